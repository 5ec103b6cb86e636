"""The README's example of a step, and the commands that pages and notebooks tell people to type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgrunbook import change, cli
from pgrunbook.commands import COMMANDS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted(ROOT.glob("sql/changes/**/*.md")), *sorted(ROOT.glob("notebooks/*.py"))]
# Between backquotes, or a line of its own after settings of the shell.
COMMAND = re.compile(r"`(?:\./)?pgrunbook ([^`\n]+)`|^(?:\w+='[^']*' )?\./pgrunbook (.+)$", re.MULTILINE)
NAME, FILE = "060_invoice_number", "001_add_invoice_number.sql"


def test_the_example_of_a_step_is_a_change_that_is_proved_undone_and_safe_to_run_twice(
    conn: psycopg.Connection[Any], tmp_path: Path
) -> None:
    text = README.read_text(encoding="utf-8")
    assert FILE in text
    blocks = re.findall(r"^```sql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for folder, block in zip(("migrate", "verify", "rollback"), blocks, strict=True):
        (tmp_path / NAME / folder).mkdir(parents=True)
        (tmp_path / NAME / folder / FILE).write_text(block)
    (tmp_path / NAME / "README.md").write_text("# Invoices have numbers\n")
    (step,) = change.load(NAME, root=tmp_path).steps
    (back,) = step.rollback
    problems = step.verify.text.encode()
    conn.execute("CREATE TABLE invoices (id bigint)")
    for _ in range(2):
        assert conn.execute(problems).fetchall() == [{"missing": "invoices.number"}]
        for _ in range(2):
            conn.execute(step.migrate.text.encode())
            assert conn.execute(problems).fetchall() == []
        for _ in range(2):
            conn.execute(back.text.encode())


@pytest.mark.static
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_that_people_are_told_to_type_is_understood(page: Path) -> None:
    found = COMMAND.findall(page.read_text(encoding="utf-8").replace("\\\n", ""))
    assert found or page != README
    for typed in found:
        words = shlex.split("".join(typed), comments=True)
        assert words[0] in {*COMMANDS, "lab", "test"}
        # Of these the rest is for others, and one word alone only names the command.
        if words[0] not in ("lab", "test") and words[1:]:
            assert cli.parser().parse_args(words).command == words[0]
