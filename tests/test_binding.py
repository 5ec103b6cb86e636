"""The bond between a run and its target: what is remembered where, and that no secret is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgrunbook.binding import Binding
from pgrunbook.errors import RunnerBusy
from pgrunbook.step import Cancelled
from pgrunbook.target import Kind, Target

SECRET = "hunter2-secret"


@pytest.fixture
def bound(database: str, tmp_path: Path) -> Iterator[Binding]:
    made = Binding("700_x", Target(Kind.LIVE, f"{database} password={SECRET}"), "run-1", tmp_path, "ann")
    with contextlib.closing(made):
        yield made


def test_nothing_is_written_before_the_first_decision(bound: Binding) -> None:
    bound.note("looked", {"rows": 3})
    assert not bound.ledger.exists
    assert [entry["kind"] for entry in bound.journal.pending()] == ["looked"]
    bound.begin_writing()
    bound.begin_writing()
    assert bound.journal.pending() == []
    (event,) = bound.ledger.events(run_id="run-1")
    assert (event["kind"], event["detail"]["rows"], event["actor"]) == ("looked", 3, "ann")
    assert event["detail"]["journal_at"]


def test_no_secret_is_remembered_however_deep_it_hides(bound: Binding) -> None:
    bound.begin_writing()
    bound.note("odd", {"a": SECRET, "b": [f"x{SECRET}y", {"c": (SECRET, 1)}], "d": 7})
    (event,) = bound.ledger.events(run_id="run-1")
    assert event["detail"] == {"a": "***", "b": ["x***y", {"c": ["***", 1]}], "d": 7}
    assert SECRET not in bound.journal.path.read_text()
    assert SECRET not in repr(bound)


def test_what_the_server_could_not_be_told_is_merged_when_it_is_back(bound: Binding) -> None:
    bound.begin_writing()
    bound.note("before")
    bound.control.execute("ALTER TABLE pgrunbook.event RENAME TO hidden")
    bound.note("meanwhile")
    bound.control.execute("ALTER TABLE pgrunbook.hidden RENAME TO event")
    assert [entry["kind"] for entry in bound.journal.pending()] == ["meanwhile"]
    bound.begin_writing()
    bound.note("after")
    assert [event["kind"] for event in bound.ledger.events()] == ["before", "meanwhile", "after"]


def test_the_runner_lock_goes_with_the_connections(bound: Binding, eventually: Callable[..., Any]) -> None:
    other = Binding("700_x", bound.target, "run-2", bound.records, "bob")
    with contextlib.closing(other):
        bound.begin_writing()
        with pytest.raises(RunnerBusy, match=r"'pgrunbook control run-1'|pgrunbook control run-1 \(pid "):
            other.begin_writing()
        bound.close()

        def free() -> bool:
            with contextlib.suppress(RunnerBusy):
                other.begin_writing()
                return True
            return False

        eventually(free)


def test_a_request_to_stop_holds_until_it_is_forgotten(bound: Binding) -> None:
    # Before anything was connected, and while nothing runs.
    bound.cancel()
    assert bound.work.execute("SELECT 1 AS one").fetchone() == {"one": 1}
    bound.cancel()
    with pytest.raises(Cancelled):
        bound.checkpoint()
    bound.resume()
    bound.checkpoint()


def test_connections_are_made_anew_when_they_are_gone(bound: Binding) -> None:
    first = bound.work
    assert bound.work is first
    with psycopg.connect(bound.target.conninfo, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (first.info.backend_pid,))
    assert bound.work is not first
    assert first.closed
