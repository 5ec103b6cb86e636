"""Where things lie, unless the environment says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgrunbook import places
from pgrunbook.errors import UnknownName

pytestmark = pytest.mark.static


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTEBOOKS", "RECORDS", "POSTGRES"):
        monkeypatch.delenv(f"PGRUNBOOK_{name}", raising=False)


def test_in_a_checkout_everything_lies_in_it() -> None:
    assert Path(__file__).parents[1] == places.PROJECT
    assert places.notebooks() == places.PROJECT / "notebooks"
    assert places.records() == places.PROJECT / "records"
    assert places.embedded_major() == 18


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGRUNBOOK_NOTEBOOKS", "~/books")
    monkeypatch.setenv("PGRUNBOOK_RECORDS", "kept")
    monkeypatch.setenv("PGRUNBOOK_POSTGRES", " 16 ")
    assert places.notebooks() == Path.home() / "books"
    assert places.records() == tmp_path / "kept"
    assert places.embedded_major() == 16


def test_outside_a_checkout_records_lie_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(places, "PROJECT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert places.records() == tmp_path / "records"


@pytest.mark.parametrize("named", ["99", "abc", "\uff11\uff18"])
def test_a_version_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("PGRUNBOOK_POSTGRES", named)
    with pytest.raises(
        UnknownName, match=rf"^no embedded PostgreSQL \(PGRUNBOOK_POSTGRES\) named '{named}'\n"
    ):
        places.embedded_major()
