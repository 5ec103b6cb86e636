"""The shelf: runs of a ledger and of a folder, the last one first, each found by its name or its file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import throwaway
from throwaway import apply, running, write

from pgrunbook import record, shelf
from pgrunbook.errors import BadDossier, NoRecord, RunbookError, UnknownName
from pgrunbook.history import summarise
from pgrunbook.run import Run


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "records"
    monkeypatch.setenv("PGRUNBOOK_RECORDS", str(folder))
    return folder


@pytest.fixture
def two(database: str, tmp_path: Path, records: Path) -> Iterator[tuple[Run, Run]]:
    """A run that was done, with its record, and a later one that was left, with none; the ledger is open."""
    with psycopg.connect(database) as conn:
        conn.execute(throwaway.TABLE)  # type: ignore[arg-type]
    with running(write(tmp_path / "changes"), database, records) as first:
        apply(first)
        first.finish("done")
        record.write_record(first, [])
    with running(first.change, database, records, operator="ann") as second:
        second.decide_by_policy("001")
        second.apply("001")
        yield first, second


def test_a_ledger_tells_its_runs_the_last_one_first(two: tuple[Run, Run], records: Path) -> None:
    first, second = two
    (later, earlier) = shelf.in_ledger(second.ledger, change=None, folder=records)
    assert [later.run_id, earlier.run_id] == [second.run_id, first.run_id]
    assert (earlier.outcome, earlier.good, earlier.record) == (
        "done",
        True,
        records / first.run_id / "record.html",
    )
    assert (later.outcome, later.good, later.record) == ("stopped before the first step", False, None)
    assert (later.operator, later.change, later.target_kind) == ("ann", throwaway.NAME, "rehearsal")
    assert earlier.took_s is not None
    assert earlier.took_s > 0
    assert shelf.in_ledger(second.ledger, change="other", folder=records) == []


def test_a_list_says_the_same_as_the_whole_of_the_events(two: tuple[Run, Run], records: Path) -> None:
    first, second = two
    entry = shelf.in_ledger(second.ledger, change=None, folder=records)[-1]
    events = second.ledger.events(run_id=first.run_id)
    whole = summarise(first.run_id, events, chain="")
    for name in ("outcome", "good", "operator", "target", "worst_stall_ms", "started", "change"):
        assert getattr(entry, name) == whole[name]


def test_a_folder_tells_its_runs_without_any_server(two: tuple[Run, Run], records: Path) -> None:
    first, second = two
    found = shelf.in_folder(records, change=None)
    assert [(one.run_id, one.outcome) for one in found] == [
        (second.run_id, "stopped before the first step"),
        (first.run_id, "done"),
    ]
    assert shelf.in_folder(records, change="other") == []
    assert shelf.in_folder(records / "nowhere", change=None) == []


def test_a_signature_beside_the_page_is_told(two: tuple[Run, Run], records: Path) -> None:
    first, _ = two
    (records / first.run_id / "record.html.sig").write_text("x")
    assert [one.signed for one in shelf.in_folder(records, change=None)] == [False, True]


def test_one_broken_record_hides_no_other(two: tuple[Run, Run], records: Path) -> None:
    first, _ = two
    (records / "broken").mkdir()
    (records / "broken" / "record.json").write_text("{")
    (records / "empty").mkdir()
    found = {one.run_id: one.outcome for one in shelf.in_folder(records, change=None)}
    assert found["broken"].startswith("cannot be read: ")
    assert found[first.run_id] == "done"
    assert "empty" not in found


def test_a_run_is_found_by_its_name_and_by_either_of_its_files(two: tuple[Run, Run], records: Path) -> None:
    first, second = two
    folder = records / first.run_id
    held = [
        shelf.find(first.run_id, folder=records, ledger=None),
        shelf.find(str(folder / "record.html"), folder=records, ledger=None),
        shelf.find(str(folder / "record.json"), folder=records, ledger=None),
        shelf.find(str(folder), folder=records, ledger=None),
    ]
    assert len({one.text for one in held}) == 1
    # The ledger knows more than a file of a moment ago.
    known = shelf.find(first.run_id, folder=records, ledger=second.ledger)
    assert len(known.events) >= len(held[0].events)
    # One without a record is told from its journal.
    assert shelf.find(second.run_id, folder=records, ledger=None).source == "journal"


@pytest.mark.parametrize("name", ["", "nobody", "..", "../records", "/", "x\0y"])
def test_a_name_that_is_no_run_is_refused_with_those_that_are(
    two: tuple[Run, Run], records: Path, name: str
) -> None:
    for ledger in (None, two[1].ledger):
        with pytest.raises(UnknownName) as caught:
            shelf.find(name, folder=records, ledger=ledger)
        assert two[0].run_id in caught.value.known


@pytest.mark.parametrize(
    ("name", "content"), [("x.json", "[]"), ("x.html", ""), ("x.html", "<p>no record</p>")]
)
def test_a_file_that_is_no_record_says_so(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises((BadDossier, NoRecord)):
        shelf.load(tmp_path / name)


def test_a_run_whose_name_leads_elsewhere_has_no_record_here(two: tuple[Run, Run], records: Path) -> None:
    ledger = two[1].ledger
    (records.parent / "record.html").write_text("x")
    ledger.event(run_id="..", change=throwaway.NAME, kind="odd", actor="mallory")
    entry = shelf.in_ledger(ledger, change=None, folder=records)[0]
    assert (entry.run_id, entry.record) == ("..", None)


def test_no_error_but_those_of_the_project_leave_it(tmp_path: Path) -> None:
    (tmp_path / "record.html").write_bytes(b"\xff\xfe<!-- sealed: sha256 -->\n")
    with pytest.raises(RunbookError):
        shelf.load(tmp_path / "record.html")


def test_one_folder_that_nobody_can_make_sense_of_hides_no_other(two: tuple[Run, Run], records: Path) -> None:
    first, second = two
    kept = records / first.run_id / shelf.FACTS
    odd, count = re.subn(r'("stall_budget_ms": )[0-9.]+', r'\1["x"]', kept.read_text(), count=1)
    assert count
    kept.write_text(odd)
    found = {one.run_id: one.outcome for one in shelf.in_folder(records, change=None)}
    assert found.keys() == {first.run_id, second.run_id}
    assert found[first.run_id].startswith("cannot be read: ")
