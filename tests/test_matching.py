"""A record beside its ledger: the first event that is another one is named, whoever altered it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import forging
import psycopg
import pytest
import throwaway
from throwaway import apply, running, write

from pgrunbook import binding, dossier, record
from pgrunbook.dossier import Event
from pgrunbook.errors import ChainBroken, RecordDiffers, RunbookError
from pgrunbook.inspection import inspect
from pgrunbook.matching import match
from pgrunbook.run import Run
from pgrunbook.views.view import View

SHOWN = [("What was seen", View("nobody stalled"))]


@pytest.fixture
def applied(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run that has applied everything."""
    monkeypatch.setenv("PGRUNBOOK_RECORDS", str(tmp_path / "records"))
    with psycopg.connect(database) as conn:
        conn.execute(throwaway.TABLE)  # type: ignore[arg-type]
    with running(write(tmp_path / "changes"), database, tmp_path / "records") as made:
        apply(made)
        made.finish("done")
        yield made


@pytest.fixture
def file(applied: Run) -> Path:
    """Its record."""
    return record.write_record(applied, SHOWN).page


def says(applied: Run, file: Path) -> dict[str, str]:
    return match(inspect(file), applied.ledger, applied.facts)


def differs(applied: Run, file: Path, kind: type[RunbookError] = RecordDiffers) -> str:
    """Return the first thing that differs, with what is known of it."""
    with pytest.raises(kind) as caught:
        says(applied, file)
    return "; ".join([caught.value.found, *caught.value.details])


def tamper(applied: Run, sql: str) -> None:
    applied.control.execute("ALTER TABLE pgrunbook.event DISABLE TRIGGER ALL")
    applied.control.execute(sql.encode())
    applied.control.execute("ALTER TABLE pgrunbook.event ENABLE TRIGGER ALL")


def last(file: Path) -> int:
    return inspect(file).held.events[-1].id


def by_eve(events: list[Event]) -> list[Event]:
    return [dataclasses.replace(e, actor="eve") if n == 3 else e for n, e in enumerate(events)]


def test_a_record_is_as_the_ledger_has_it_and_the_ledger_knows_the_file(applied: Run, file: Path) -> None:
    said = says(applied, file)
    assert list(said) == ["ledger", "file"]
    count = last(file)
    assert said["ledger"] == (
        f"{count} events, each as the ledger has it; 1 event of this run came later,"
        f" the last one event {count + 1} (record written)"
    )
    assert said["file"].startswith("the ledger knows it: written 20")
    assert said["file"].endswith(" by tester")
    assert says(applied, file.with_suffix(".json"))["file"].startswith("the ledger knows it: ")


def test_events_that_came_later_are_told_and_are_no_difference(applied: Run, file: Path) -> None:
    applied.ledger.event(run_id=applied.run_id, change="x", kind="checklist ticked", actor="bob")
    assert "2 events of this run came later" in says(applied, file)["ledger"]
    applied.ledger.event(run_id="another", change="x", kind="run opened", actor="bob")
    again = record.from_ledger(applied.ledger, change=applied.run_id, run_id=None, actor="ann").page
    assert "1 event of this run came later" in says(applied, again)["ledger"]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        (
            "UPDATE pgrunbook.event SET actor = 'eve' WHERE id = 4",
            "is another one in the ledger; actor: tester here, eve in the ledger;"
            " the contents of the ledger's event do not give its hash: it was altered there",
        ),
        ("DELETE FROM pgrunbook.event WHERE id = 4", "it was removed there, or put in here"),
        ("TRUNCATE pgrunbook.event", "does not know run "),
        ("DROP SCHEMA pgrunbook CASCADE", "there is no ledger in the rehearsal database to compare it with"),
    ],
)
def test_a_ledger_that_was_altered_is_told_by_its_first_event(
    applied: Run, file: Path, sql: str, found: str
) -> None:
    if sql.startswith("DROP"):
        applied.control.execute(sql.encode())
    else:
        tamper(applied, sql)
    assert found in differs(applied, file)


def test_a_ledger_that_was_altered_elsewhere_is_told_as_well(applied: Run, file: Path) -> None:
    tamper(applied, f"UPDATE pgrunbook.event SET actor = 'eve' WHERE id = {last(file) + 1}")
    assert "chain is broken at event" in differs(applied, file, ChainBroken)


def test_a_ledger_that_was_cut_off_and_chained_anew_is_told(applied: Run, file: Path) -> None:
    count = last(file) + 1
    applied.ledger.event(run_id="another", change="x", kind="run opened", actor="bob")
    later = record.from_ledger(applied.ledger, change=applied.run_id, run_id=None, actor="ann").page
    tamper(applied, f"DELETE FROM pgrunbook.event WHERE id > {count}")
    assert f"its chain ended at event {count + 1}, head " in differs(applied, later)


@pytest.mark.parametrize(
    ("alter", "found"),
    [
        (by_eve, "is another one in the ledger; actor: eve here, tester in the ledger; hash: "),
        (lambda events: [*events[:3], *events[4:]], "it leaves out event 4 ("),
        (
            lambda events: [*events, dataclasses.replace(events[-1], id=events[-1].id + 1)],
            "is another one in the ledger; ",
        ),
    ],
)
def test_a_record_that_was_forged_chained_and_sealed_again_is_found(
    applied: Run, file: Path, alter: Callable[[list[Event]], list[Event]], found: str
) -> None:
    forging.rewrite(file, alter)
    assert inspect(file).mismatch is None
    assert found in differs(applied, file)


def test_a_record_that_ends_before_the_run_did_says_so(applied: Run, file: Path) -> None:
    forging.rewrite(file, lambda events: events[:-1])
    said = says(applied, file)
    assert "2 events of this run came later" in said["ledger"]
    assert said["file"].startswith("the ledger does not know it, only 1 other; ")


def test_the_chain_of_a_record_tells_which_events_may_not_be_missing(applied: Run, file: Path) -> None:
    chain = inspect(file).held.chain
    forging.rewrite(file, lambda events: events[:-1], chain=chain)
    assert inspect(file).mismatch is None
    assert f"it leaves out event {last(file) + 1} (run finished)" in differs(applied, file)


@pytest.mark.parametrize("chain", ["", "the ledger's chain is broken at event 2: x"])
def test_a_record_that_does_not_say_where_the_chain_ended_differs(
    applied: Run, file: Path, chain: str
) -> None:
    forging.rewrite(file, list, chain=chain)
    assert inspect(file).mismatch is None
    assert "it does not say where the ledger's chain ended, " in differs(applied, file)


def test_the_text_of_a_script_that_was_left_out_is_missed(applied: Run, file: Path) -> None:
    forging.rewrite(file, list, texts={})
    assert inspect(file).mismatch is None
    assert "it leaves out the text of " in differs(applied, file)


def test_a_run_that_was_invented_as_one_of_the_journal_is_found(applied: Run, file: Path) -> None:
    held = inspect(file).held
    events = [
        dataclasses.replace(e, run_id="r2", at=f"{e.at[:-4]}Z", hash=None, previous_hash=None)
        for e in held.events
    ]
    forging.save(file, dossier.make("r2", events, source="journal", chain=dossier.NOT_BEGUN))
    assert inspect(file).mismatch is None
    assert "(apply started 001_add_note), and the ledger in " in differs(applied, file)
    # Who said NO-GO at the first gate wrote nothing.
    early = [e for e in events if e.kind in ("run opened", "preflight", "gate", "remedy previewed")]
    forging.save(file, dossier.make("r2", early, source="journal", chain=dossier.NOT_BEGUN))
    assert says(applied, file)["ledger"] == "it knows nothing of this run either"


def test_evidence_that_was_forged_and_sealed_again_is_found(applied: Run, file: Path) -> None:
    forging.reseal(file, page=lambda page: page.replace("nobody stalled", "all was well"))
    assert inspect(file).mismatch is None
    assert "the ledger knows 1 record of this run, and this file is none of them; 20" in differs(
        applied, file
    )


def test_a_page_that_was_forged_and_sealed_again_is_told_by_its_place(applied: Run, file: Path) -> None:
    forging.reseal(file, page=lambda page: page.replace("003_require_code", "004_require_code", 1))
    assert "the page does not show what its facts give, from byte " in differs(applied, file)


def test_a_page_that_another_version_drew_is_vouched_for_by_the_ledger(
    applied: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = record.page_of
    monkeypatch.setattr(record, "page_of", lambda held: drawn(held).replace("Started", "Begun"))
    assert inspect(file).mismatch is not None
    assert says(applied, file)["file"].endswith("; another version of pgrunbook drew its page")


def test_a_record_of_a_role_that_only_reads_follows_from_the_ledger(
    applied: Run, file: Path, database: str
) -> None:
    grants = "GRANT USAGE ON SCHEMA pgrunbook TO {0}; GRANT SELECT ON ALL TABLES IN SCHEMA pgrunbook TO {0}"
    with throwaway.role(applied.control, grants) as auditor, throwaway.looking(database) as conn:
        conn.execute(f"SET ROLE {auditor}".encode())
        ledger = type(applied.ledger)(conn, applied.target)
        own = record.from_ledger(ledger, change=applied.run_id, run_id=None).page
        assert match(inspect(own), ledger, applied.facts)["file"] == (
            "the ledger does not know it, only 1 other; all that it says follows from the events up to its last one"
        )


def test_evidence_that_no_ledger_knows_is_told(applied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "tell", lambda *_, **__: None)
    own = record.write_record(applied, SHOWN).page
    assert says(applied, own)["file"] == (
        "the ledger knows no record of this run; nothing but the seal proves the evidence"
    )


def test_another_cluster_is_told_before_its_events(applied: Run, file: Path) -> None:
    found = inspect(file)
    other = dataclasses.replace(applied.facts, system_identifier="7")
    with pytest.raises(RecordDiffers) as caught:
        match(found, applied.ledger, other)
    assert "it tells of another cluster (system " in caught.value.found
    promoted = dataclasses.replace(applied.facts, timeline=9)
    assert match(found, applied.ledger, promoted)["cluster"].endswith("timeline 9")
    hidden = dataclasses.replace(applied.facts, system_identifier="unknown", timeline=0)
    assert match(found, applied.ledger, hidden)["cluster"] == "this role may not see which cluster it is"
