"""The example of a step in the README."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg

from pgrunbook import change

README = Path(__file__).parents[1] / "README.md"
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
