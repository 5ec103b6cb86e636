"""Records in a notebook: of a target, or of two rehearsals made for the purpose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import throwaway
from throwaway import apply, running, write

from pgrunbook import server as embedded
from pgrunbook.errors import ChainBroken, UnknownName
from pgrunbook.reviewing import Records


@pytest.fixture(autouse=True)
def changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PGRUNBOOK_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("PGRUNBOOK_CHANGES", str(tmp_path / "changes"))
    return tmp_path / "changes"


@pytest.fixture
def rehearsed(server: embedded.Server, changes: Path) -> Iterator[Records]:
    write(changes)
    records = Records(server)
    yield records
    records.close()


def test_two_rehearsals_are_made_listed_compared_and_checked(rehearsed: Records) -> None:
    assert rehearsed.rehearse(throwaway.NAME).text == (
        "700_throwaway: rehearsed twice, rolled back the first time, past a reader the second"
    )
    assert rehearsed.runs().text == "2 runs: 1 done, 1 rolled back"
    assert rehearsed.facts().text == "700_throwaway, rehearsal: done"
    differences = rehearsed.differences()
    assert differences.text == "700_throwaway, rehearsal against rehearsal: outcome, steps, approvals differ"
    assert rehearsed.costs().text.endswith("3 steps in two runs; stalls within the budget in both")
    assert rehearsed.check().text == "2 runs: the chain is unbroken, and every event gives its hash"
    steps = differences.facts["steps"]
    assert isinstance(steps, list)
    # The reader stood in the way of the second run alone.
    waited = {one["name"][:3]: one["waited_s"] for one in steps}
    assert all(waited[number][1] > waited[number][0] for number in ("001", "003"))


def test_an_altered_ledger_is_found(rehearsed: Records) -> None:
    rehearsed.rehearse(throwaway.NAME)
    with rehearsed._ledger() as ledger:
        ledger.conn.execute("ALTER TABLE pgrunbook.event DISABLE TRIGGER ALL")
        ledger.conn.execute("UPDATE pgrunbook.event SET actor = 'nobody' WHERE id = 3")
    with pytest.raises(ChainBroken):
        rehearsed.check()


def test_before_anything_ran_it_says_that_there_is_no_run(rehearsed: Records) -> None:
    for call in (rehearsed.runs, rehearsed.differences, rehearsed.check):
        with pytest.raises(UnknownName):
            call()


def test_of_a_target_without_runs_it_says_so(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGRUNBOOK_TARGET", database)
    records = Records.open()
    assert records.runs().text == "0 runs"
    for call in (records.facts, records.differences, records.costs):
        with pytest.raises(UnknownName):
            call()


def test_with_a_target_its_runs_are_read_and_nothing_is_rehearsed(
    database: str, changes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database) as conn:
        conn.execute(throwaway.TABLE)  # type: ignore[arg-type]
    with running(write(changes), database, tmp_path / "records") as made:
        apply(made)
        made.finish("done")
    monkeypatch.setenv("PGRUNBOOK_TARGET", database)
    records = Records.open()
    assert records.rehearse(throwaway.NAME).text == "not rehearsed: the target has runs of its own"
    view = records.runs()
    assert view.text == "1 run: 1 done"
    assert made.run_id in (view.html or "")
    assert records.facts(made.run_id).text == "700_throwaway, rehearsal: done"
    with pytest.raises(UnknownName):
        records.differences()
