"""The first notebook: which changes there are, where they would run, how far each is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook import start
from pgrunbook.errors import BadChange, BadHeader, BadTarget
from pgrunbook.views.view import View


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    changes = tmp_path / "changes"
    throwaway.write(changes)
    monkeypatch.setenv("PGRUNBOOK_CHANGES", str(changes))
    monkeypatch.delenv("PGRUNBOOK_TARGET", raising=False)
    return changes


def cells(view: View) -> str:
    assert view.html is not None
    return view.html.partition("<tbody>")[2]


def test_it_lists_every_change_with_what_it_holds() -> None:
    view = start.changes_here()
    assert view.text == "1 change, every file read and in order"
    assert "<td>700_throwaway</td><td>Throw-away</td>" in cells(view)


def test_a_change_that_does_not_load_is_the_answer(folder: Path) -> None:
    (folder / throwaway.NAME / "migrate" / "001_add_note.sql").write_text(
        "-- Title\n-- lok: none\n\nSELECT 1;\n"
    )
    with pytest.raises(BadHeader, match=r"001_add_note.sql line 2: unknown key"):
        start.changes_here()


def test_without_a_target_everything_is_a_rehearsal() -> None:
    assert start.where().text == "no target is named: every notebook is a rehearsal on the embedded server"
    assert start.state().text == "1 change, nothing applied: a rehearsal begins afresh each time"


def test_a_live_target_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGRUNBOOK_TARGET", "host=db1 dbname=shop user=dba password=secret")
    assert start.where().text == "LIVE: database 'shop' on db1 as 'dba'"


def test_a_target_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGRUNBOOK_TARGET", "host=db1 password=secret nonsense")
    with pytest.raises(BadTarget) as caught:
        start.where()
    assert "secret" not in str(caught.value)


def test_it_says_how_far_a_change_is_and_writes_nothing(
    conn: psycopg.Connection[Any],
    database: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conn.execute(throwaway.TABLE)
    monkeypatch.setenv("PGRUNBOOK_TARGET", database)
    assert "<td>0 of 3</td><td>001_add_note</td>" in cells(start.state())
    assert conn.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'pgrunbook'").fetchone() is None
    chosen = throwaway.write(folder)
    with throwaway.running(chosen, database, tmp_path / "records") as run:
        throwaway.apply(run, "001")
        assert "<td>1 of 3</td><td>002_build_index</td>" in cells(start.state())
        throwaway.apply(run, "002", "003")
    assert "<td>3 of 3</td><td>nothing</td>" in cells(start.state())


def test_the_folder_of_changes_decides_which_there_are(folder: Path) -> None:
    (folder / "note").mkdir()
    with pytest.raises(BadChange, match="not named like a change"):
        start.state()
