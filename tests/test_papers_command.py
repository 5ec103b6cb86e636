"""The command for papers, and the diagram of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import papered
import pytest
import throwaway
from operating import Desk

from pgrunbook.papers import command
from pgrunbook.target import rehearsal


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        papered.write(desk.changes)
        yield desk


def test_papers_are_written_and_then_hold(desk: Desk) -> None:
    folder = desk.changes / papered.NAME / "papers"
    said = desk("papers", papered.NAME)
    assert said.code == 0, said.err
    assert said.out.splitlines() == [
        f"wrote {folder / name}" for name in ("overview.md", "diagram.svg", "rollback.md")
    ]
    (folder / "decisions.md").write_text("`slip_box_fkey` holds.\n")
    said = desk("papers", papered.NAME, "--check")
    assert (said.code, said.out) == (0, f"{papered.NAME}: the papers are what the catalog says\n")
    assert {path.name for path in folder.iterdir()} == {
        "overview.md",
        "diagram.svg",
        "rollback.md",
        "decisions.md",
    }


def test_a_check_tells_which_paper_and_which_name_is_wrong_and_writes_nothing(desk: Desk) -> None:
    elsewhere = desk.folder / "elsewhere"
    said = desk("papers", papered.NAME, "--check", "--to", str(elsewhere))
    assert said.code == 1
    assert "overview.md: not there" in said.err
    assert not elsewhere.exists()
    said = desk("papers", papered.NAME, "--to", str(elsewhere), "--json")
    assert said.facts["files"] == [str(elsewhere / n) for n in ("overview.md", "diagram.svg", "rollback.md")]
    (elsewhere / "rollback.md").write_text("# Other\n")
    said = desk("papers", papered.NAME, "--check", "--to", str(elsewhere))
    assert said.code == 1
    assert "rollback.md line 1: has '# Other', should have '# The way back of 710_papered'" in said.err
    (elsewhere / "decisions.md").write_text("\n`slip_box_key`\n")
    said = desk("papers", papered.NAME, "--to", str(elsewhere))
    assert said.code == 1
    assert "decisions.md line 2: `slip_box_key` is neither in the catalog nor a file" in said.err


def test_the_diagram_of_a_run_shows_the_tables_of_the_change_as_they_are_now(desk: Desk) -> None:
    chosen = papered.write(desk.changes)
    target = rehearsal(desk.database)
    assert str(command.diagram(chosen, target)) == "no table of this change is there yet"
    with desk.looking() as conn:
        conn.execute(throwaway.TABLE + "CREATE TABLE nobodys (id int);")
        assert str(command.diagram(chosen, target)) == "diagram: 1 table"
        for step in chosen.steps:
            conn.execute(step.migrate.text.encode())
    view = command.diagram(chosen, target)
    assert str(view) == "diagram: 3 tables, 2 foreign keys"
    assert view.png is not None
    assert view.png.startswith(b"\x89PNG")
    assert view.svg is not None
    assert "slip (box_id, owner) refers to box (id, owner)" in view.svg
    assert "nobodys" not in view.svg
    assert view.html is None
