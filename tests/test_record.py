"""The record of a run: written whatever happened to the database, and again from the ledger alone."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import forging
import psycopg
import pytest
import throwaway
from throwaway import apply, running, write

from pgrunbook import binding, dossier, places, record
from pgrunbook.dossier import Dossier
from pgrunbook.errors import ChainBroken, NotPrimary, UnknownName
from pgrunbook.history import WRITTEN
from pgrunbook.inspection import inspect
from pgrunbook.ledger import HOLD_CHAIN, Ledger
from pgrunbook.run import Run
from pgrunbook.views.record import synthesize
from pgrunbook.views.view import View

if TYPE_CHECKING:
    from conftest import Elsewhere


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PGRUNBOOK_RECORDS", str(tmp_path / "records"))
    return places.records()


@pytest.fixture
def applied(database: str, tmp_path: Path, records: Path) -> Iterator[Run]:
    """A run that has applied everything."""
    with psycopg.connect(database) as conn:
        conn.execute(throwaway.TABLE)  # type: ignore[arg-type]
    with running(write(tmp_path / "changes"), database, records) as made:
        apply(made)
        made.finish("done")
        yield made


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def sections(file: Path) -> dict[str, str]:
    """Return the sections of a page by their id."""
    return dict(re.findall(r'(?s)<section id="(\w+)">(.*?)</section>', read(file)))


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def facts(run: Run) -> Dossier:
    file = run.records / run.run_id / "record.json"
    held = dossier.read(read(file), file=str(file))
    assert held.text == read(file)
    return held


def test_a_record_holds_the_hashes_of_the_ledger_and_its_facts_are_kept_beside_it(applied: Run) -> None:
    head = applied.ledger.events(run_id=applied.run_id)[-1]["hash"]
    file = record.write_record(applied, []).page
    assert file == applied.records / applied.run_id / "record.html"
    assert head[:12] in read(file)
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "journal.jsonl",
        "record.html",
        "record.json",
    ]
    # A notebook writes its record from another process, when the rehearsal's database has gone.
    summary = record.from_journal(applied.run_id)
    assert (summary.outcome, len(summary.steps)) == ("done", 3)
    assert summary.chain.startswith("unbroken, ")


def test_a_record_from_the_ledger_alone_says_the_same(applied: Run) -> None:
    first = sections(record.write_record(applied, []).page)
    told = facts(applied)
    shutil.rmtree(applied.records)
    done = record.from_ledger(applied.ledger, change=applied.change.name, run_id=None, actor="ann")
    assert (done.summary.run_id, done.summary.outcome, done.unknown) == (applied.run_id, "done", "")
    again = sections(done.page)
    # The ledger knows the first one since, and says so in the second.
    assert WRITTEN in again.pop("events")
    assert WRITTEN not in first.pop("events")
    assert again == first
    assert facts(applied).events[:-1] == told.events


def test_the_ledger_knows_each_file_that_was_written(applied: Run) -> None:
    first = sha256_of(record.write_record(applied, []).page)
    again = sha256_of(
        record.from_ledger(applied.ledger, change=applied.run_id, run_id=None, actor="ann").page
    )
    told = applied.ledger.events(run_id=applied.run_id, kind=WRITTEN)
    assert [(one["actor"], one["detail"]["sha256"]) for one in told] == [("tester", first), ("ann", again)]
    assert told[1]["detail"]["facts_sha256"] == sha256_of(applied.records / applied.run_id / record.FACTS)
    # A record makes no run longer.
    finished = record.from_journal(applied.run_id).finished
    assert finished is not None
    assert finished < told[0]["at"]


def test_a_role_that_only_reads_gets_the_record_all_the_same(applied: Run, database: str) -> None:
    record.write_record(applied, [])
    with throwaway.looking(database) as conn:
        conn.execute(
            "CREATE ROLE auditor; GRANT USAGE ON SCHEMA pgrunbook TO auditor;"
            " GRANT SELECT ON ALL TABLES IN SCHEMA pgrunbook TO auditor; SET ROLE auditor"
        )
        try:
            done = record.from_ledger(Ledger(conn, applied.target), change=applied.run_id, run_id=None)
        finally:
            conn.execute("RESET ROLE; DROP OWNED BY auditor; DROP ROLE auditor")
    assert done.unknown == "permission denied for table event"
    assert done.summary.outcome == "done"
    assert len(applied.ledger.events(run_id=applied.run_id, kind=WRITTEN)) == 1


def test_a_record_does_not_wait_for_long_for_a_transaction_that_holds_the_chain(
    applied: Run, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "CHAIN_MS", 50)
    elsewhere.begin_and_hold(HOLD_CHAIN)
    assert read(record.write_record(applied, []).page)
    done = record.from_ledger(applied.ledger, change=applied.run_id, run_id=None)
    assert done.unknown == "canceling statement due to lock timeout"


def test_a_record_that_the_ledger_could_not_be_told_of_says_so_and_is_told_later(
    applied: Run, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "CHAIN_MS", 50)
    elsewhere.begin_and_hold(HOLD_CHAIN)
    first = record.write_record(applied, [("Seen", View("nobody stalled"))])
    assert (first.kept, first.lines[1:]) == (
        None,
        [
            "the ledger does not know this record: canceling statement due to lock timeout",
            "  next: the journal keeps that: the next run that writes to this database tells it",
        ],
    )
    assert inspect(first.page).held.source == "ledger"
    # Written again meanwhile, it still is the ledger's record.
    second = record.write_record(applied, [("Seen", View("nobody stalled"))])
    assert facts(applied).source == "ledger"
    assert applied.ledger.events(run_id=applied.run_id, kind=WRITTEN) == []
    elsewhere.release()
    hashes = [sha256_of(first.page), sha256_of(second.page)]
    applied.close()
    with running(applied.change, applied.target, applied.records) as later:
        later.binding.begin_writing()
        told = later.ledger.events(run_id=applied.run_id, kind=WRITTEN)
    assert [one["detail"]["sha256"] for one in told] == hashes
    assert all(one["detail"]["journal_at"] for one in told)


def test_a_run_that_wrote_nothing_to_the_target_is_told_from_its_journal(
    database: str, tmp_path: Path, records: Path
) -> None:
    with psycopg.connect(database) as conn:
        conn.execute(throwaway.TABLE)  # type: ignore[arg-type]
    with running(write(tmp_path / "changes"), database, records) as made:
        text = read(record.write_record(made, []).page)
    assert "not begun: nothing was written to the target" in text
    assert "stopped before the first step" in text


def test_a_run_whose_database_has_gone_is_told_from_its_journal(
    applied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.write_record(applied, [])
    applied.close()

    def gone(*_arguments: object, **_options: object) -> None:
        raise psycopg.OperationalError("connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "connect", gone)
        text = read(record.write_record(applied, []).page)
    assert "not read: the ledger could not be reached any more" in text
    assert "003_require_code" in text
    # What was kept before is older than what the journal knows.
    assert facts(applied).source == "journal"


def test_events_that_only_the_journal_holds_are_in_the_record(applied: Run) -> None:
    applied.binding.journal.write("apply failed", step="003_require_code", detail={"reason": "gone"})
    record.write_record(applied, [])
    assert facts(applied).source == "journal"
    assert record.from_journal(applied.run_id).steps[-1]["outcome"] == "failed"


def test_an_altered_ledger_is_told(applied: Run) -> None:
    applied.work.execute("ALTER TABLE pgrunbook.event DISABLE TRIGGER ALL")
    applied.work.execute("UPDATE pgrunbook.event SET actor = 'nobody' WHERE id = 2")
    assert "chain is broken at event 2" in " ".join(read(record.write_record(applied, []).page).split())
    assert facts(applied).chain.startswith("the ledger's chain is broken at event 2: ")
    with pytest.raises(ChainBroken):
        record.from_ledger(applied.ledger, change=applied.change.name, run_id=None)


def test_a_run_that_the_ledger_does_not_know_is_refused(applied: Run) -> None:
    with pytest.raises(UnknownName) as caught:
        record.from_ledger(applied.ledger, change=applied.change.name, run_id="nope")
    assert caught.value.known == (applied.run_id,)
    with pytest.raises(UnknownName) as caught:
        record.from_ledger(applied.ledger, change="nope", run_id=None)
    assert (caught.value.kind, caught.value.known) == ("run or change in the ledger", (applied.run_id,))


def test_what_came_since_the_chain_was_computed_is_in_the_next_record(
    applied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = Ledger.check_chain

    def and_then(ledger: Ledger) -> object:
        state = computed(ledger)
        ledger.event(run_id=applied.run_id, change="x", kind="checklist ticked", actor="bob")
        return state

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "check_chain", and_then)
        for file in (
            record.write_record(applied, []).page,
            record.from_ledger(applied.ledger, change=applied.run_id, run_id=None).page,
        ):
            assert inspect(file).mismatch is None
            held = facts(applied)
            assert held.chain.startswith(f"unbroken, {held.events[-1].id} events, ")


def test_the_page_that_was_there_is_kept_with_its_signature_and_its_print(applied: Run) -> None:
    file = record.write_record(applied, [("Seen", View("nobody stalled"))]).page
    first = file.read_bytes()
    for name in ("record.html.sig", "record.pdf"):
        file.with_name(name).write_text(name)
    done = record.from_ledger(applied.ledger, change=applied.run_id, run_id=None)
    assert done.kept == file.with_stem(f"record-{hashlib.sha256(first).hexdigest()[:12]}")
    assert done.kept.read_bytes() == first
    assert {path.name for path in file.parent.iterdir()} == {
        "journal.jsonl",
        done.kept.name,
        f"{done.kept.name}.sig",
        done.kept.with_suffix(".pdf").name,
        "record.html",
        "record.json",
    }


def test_a_run_that_writes_its_record_again_keeps_the_one_before(applied: Run) -> None:
    first = record.write_record(applied, [("Seen", View("nobody stalled"))])
    whole = first.page.read_bytes()
    signed = first.page.with_name("record.html.sig")
    signed.write_text("of the first")
    second = record.write_record(applied, [("Seen", View("nobody stalled, asked again"))])
    assert second.kept is not None
    assert second.kept.read_bytes() == whole
    assert second.kept.with_name(f"{second.kept.name}.sig").read_text() == "of the first"
    assert not signed.exists()
    assert second.lines == [
        f"record: {second.page}",
        f"the one before it, with what the operator saw: {second.kept}",
    ]
    known = {one["detail"]["sha256"] for one in applied.ledger.events(run_id=applied.run_id, kind=WRITTEN)}
    assert known == {sha256_of(second.kept), sha256_of(second.page)}


def test_the_record_of_an_executed_notebook_stands_for_the_one_that_its_own_cell_wrote(applied: Run) -> None:
    file = record.write_record(applied, [("Seen", View("nobody stalled"))]).page
    file.with_name("record.pdf").write_text("stale")
    notebook = synthesize("Executed", [("Seen", View("nobody stalled"))])
    assert record.write_executed(notebook, record.from_journal(applied.run_id)) == file
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "journal.jsonl",
        "record.html",
        "record.json",
    ]


def test_a_page_that_the_ledger_vouches_for_is_left_as_it_is(applied: Run) -> None:
    def again() -> record.Written:
        return record.from_ledger(
            applied.ledger,
            change=applied.run_id,
            run_id=None,
            proved=lambda page: inspect(page).mismatch is None,
        )

    file = record.write_record(applied, [("Seen", View("nobody stalled"))]).page
    whole = file.read_bytes()
    vouches = "the ledger vouches for the one that was there"
    assert (again().stands, file.read_bytes()) == (vouches, whole)
    for forged in (whole + b" ", whole.replace(b"nobody stalled", b"all was well"), b""):
        file.write_bytes(forged)
        assert not again().stands
    file.write_bytes(whole)
    forging.reseal(file, page=lambda page: page.replace("nobody stalled", "all was well"))
    assert not again().stands
    assert again().stands


def test_a_page_of_which_the_ledger_knows_nothing_stands_only_where_it_shows_what_its_facts_give(
    applied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> str:
        return record.from_ledger(
            applied.ledger,
            change=applied.run_id,
            run_id=None,
            proved=lambda page: inspect(page).mismatch is None,
        ).stands

    # The ledger knows no record of this run, whoever writes one.
    monkeypatch.setattr(Ledger, "event", lambda *_own, **_event: None)
    file = record.write_record(applied, []).page
    whole = file.read_bytes()
    assert again().startswith("the ledger knows no record of this run; ")
    assert file.read_bytes() == whole
    forging.reseal(file, page=lambda page: page.replace("003_require_code", "003_enquire_code"))
    assert again() == ""


def test_a_record_is_written_from_the_journal_whatever_keeps_the_ledger_from_being_read(
    applied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.write_record(applied, [])

    def refused(_ledger: Ledger) -> None:
        raise NotPrimary(where="there")

    monkeypatch.setattr(Ledger, "check_chain", refused)
    assert read(record.write_record(applied, []).page)
    assert facts(applied).source == "journal"
