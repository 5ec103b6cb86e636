"""What a dead run's journal holds: told to the ledger once, by whoever comes next."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgrunbook import merging
from pgrunbook import server as embedded
from pgrunbook.binding import Binding
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger
from pgrunbook.target import Kind, Target

Bind = Callable[..., Binding]


@pytest.fixture
def bind(database: str, tmp_path: Path) -> Iterator[Bind]:
    """Bind runs to the database, or to another one."""
    with contextlib.ExitStack() as closing:

        def make(run_id: str, where: str = database) -> Binding:
            made = Binding("700_x", Target(Kind.LIVE, where), run_id, tmp_path, "ann")
            return closing.enter_context(contextlib.closing(made))

        yield make


def told(bound: Binding, run_id: str) -> list[tuple[str, str, Any]]:
    return [
        (event["kind"], event["actor"], event["detail"].get("what"))
        for event in bound.ledger.events(run_id=run_id)
    ]


def lose(bound: Binding, *kinds: str) -> None:
    """Let a run remember what it cannot tell the server, and end."""
    bound.begin_writing()
    bound.control.execute("SELECT pg_advisory_unlock_all()")
    bound.control.close()
    for number, kind in enumerate(kinds):
        bound.note(kind, {"what": number})
    bound.close()


def test_a_later_run_merges_what_a_dead_one_could_not_tell(bind: Bind) -> None:
    lose(bind("run-1"), "one", "two", "one")
    assert [entry["kind"] for entry in Journal(bind("run-1x").records / "run-1").pending()] == [
        "one",
        "two",
        "one",
    ]
    second = bind("run-2")
    second.begin_writing()
    assert told(second, "run-1") == [("one", "ann", 0), ("two", "ann", 1), ("one", "ann", 2)]
    entries = Journal(second.records / "run-1").entries()
    at = [entry["at"] for entry in entries if entry["kind"] in ("one", "two")]
    assert [event["detail"]["journal_at"] for event in second.ledger.events(run_id="run-1")] == at
    assert ("journal merged", "ann", None) in told(second, "run-2")
    second.close()
    third = bind("run-3")
    third.begin_writing()
    assert len(told(third, "run-1")) == 3
    assert told(third, "run-3") == []
    assert third.ledger.check_chain()


def test_a_merge_whose_commit_was_not_heard_of_is_not_done_twice(
    bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(bind("run-1"), "one", "two")
    second = bind("run-2")
    write = Journal.write

    def die(journal: Journal, kind: str, **options: Any) -> None:
        if kind == "merged" and journal.path.parent.name == "run-1":
            raise KeyboardInterrupt
        write(journal, kind, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", die)
        with pytest.raises(KeyboardInterrupt):
            second.begin_writing()
    assert len(Journal(second.records / "run-1").pending()) == 2
    second.close()
    third = bind("run-3")
    third.begin_writing()
    assert [kind for kind, *_ in told(third, "run-1")] == ["one", "two"]
    assert Journal(third.records / "run-1").pending() == []


def test_an_event_whose_answer_was_lost_is_not_told_twice(
    bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = bind("run-1")
    bound.begin_writing()
    tell = Ledger.event

    def lost(ledger: Ledger, **options: Any) -> None:
        tell(ledger, **options)
        ledger.conn.execute("SELECT pg_advisory_unlock_all()")
        ledger.conn.close()
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "event", lost)
        bound.note("once")
    assert [entry["kind"] for entry in bound.journal.pending()] == ["once"]
    bound.begin_writing()
    assert [kind for kind, *_ in told(bound, "run-1")] == ["once"]


def test_a_live_run_is_left_alone_and_a_killed_one_is_not(bind: Bind, database: str, tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from pgrunbook.binding import Binding\n"
        "from pgrunbook.target import Kind, Target\n"
        "bound = Binding('700_x', Target(Kind.LIVE, sys.argv[1]), 'run-1', pathlib.Path(sys.argv[2]), 'bob')\n"
        "bound.begin_writing()\n"
        "bound.control.execute('SELECT pg_advisory_unlock_all()')\n"
        "bound.control.close()\n"
        "bound.note('alone')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, database, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        second = bind("run-2")
        second.begin_writing()
        assert told(second, "run-1") == []
        second.close()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
    third = bind("run-3")
    third.begin_writing()
    assert told(third, "run-1") == [("alone", "bob", None)]


def test_runs_that_only_looked_are_not_told(bind: Bind) -> None:
    looked = bind("run-1")
    looked.note("preflight")
    looked.close()
    second = bind("run-2")
    second.begin_writing()
    assert told(second, "run-1") == []


def test_a_run_that_died_before_its_first_merge_is_known_by_its_row(bind: Bind) -> None:
    first = bind("run-1")
    first.note("run opened", {"change": "010_y", "what": "opened"})
    first.begin_writing()
    first.close()
    # As if it had been killed after its row and before its journal was merged.
    file = first.journal.path
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    with psycopg.connect(first.target.conninfo, autocommit=True) as conn:
        conn.execute(
            "ALTER TABLE pgrunbook.event DISABLE TRIGGER event_append_only; TRUNCATE pgrunbook.event"
        )
        conn.execute("ALTER TABLE pgrunbook.event ENABLE TRIGGER event_append_only")
    second = bind("run-2")
    second.begin_writing()
    assert told(second, "run-1") == [("run opened", "ann", "opened")]
    assert [event["change"] for event in second.ledger.events(run_id="run-1")] == ["010_y"]


def test_the_journal_of_a_run_on_another_database_is_left_alone(bind: Bind, server: embedded.Server) -> None:
    lose(bind("run-1"), "one")
    other = embedded.create_database(server, "merging_other")
    try:
        second = bind("run-2", other)
        second.begin_writing()
        assert told(second, "run-1") == []
        second.close()
    finally:
        embedded.drop_database(server, "merging_other")
    third = bind("run-3")
    third.begin_writing()
    assert len(told(third, "run-1")) == 1


def test_journals_that_cannot_be_read_are_left_alone(bind: Bind) -> None:
    strange = bind("run-1").records / "run-0" / "journal.jsonl"
    strange.mkdir(parents=True)
    torn = bind("run-1").records / "run-00" / "journal.jsonl"
    torn.parent.mkdir()
    torn.write_bytes(b'{"kind": "old", "in_ledger": false, "step"\n{"kind": "x", "in_ledger": false}\n\0\0')
    bound = bind("run-2")
    bound.begin_writing()
    assert merging.merge_left(bound.ledger, bound.journal) == {}
