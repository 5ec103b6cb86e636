"""The performance of a job: what was seen of it is told when no lock is held any more, also where it failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from throwaway import apply, refused, roll_back, running, tight, write

from pgrunbook import forecast
from pgrunbook.observers import Observation, trace
from pgrunbook.observers.locks import Side
from pgrunbook.stage import ASKS, BEGINS, COMMITS, LOOKS, ROLLS_BACK, STOPS_BUILD, VERIFIES, Stage

if TYPE_CHECKING:
    from conftest import Elsewhere

    from pgrunbook.run import Run

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture(autouse=True)
def _table(conn: Conn) -> None:
    conn.execute(throwaway.TABLE)


def observed(run: Run) -> list[dict[str, Any]]:
    return [one["detail"] for one in run.ledger.events(run_id=run.run_id, kind="observed")]


def test_each_job_is_told_with_what_was_seen_of_it(database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as run:
        apply(run)
        roll_back(run, "002")
        told = observed(run)
        assert [(one["job"], one["file"]) for one in told] == [
            ("apply", "migrate/001_add_note.sql"),
            ("apply", "migrate/002_build_index.sql"),
            ("apply", "migrate/003_require_code.sql"),
            ("rollback", "rollback/003_require_code.sql"),
        ]
        assert all(one["watched_ms"] > 0 and one["stall_budget_ms"] == 100 for one in told)
        # Sizes are known when the step is over, which is too late for its own event.
        before, after = told[1]["sizes"]["things, indexes"]
        assert after > before
        about = [one["kind"] for one in run.ledger.events(run_id=run.run_id) if one["step"]]
        assert about[:4] == ["gate", "apply started", "apply done", "observed"]
        assert run.check_chain()


def test_who_waited_behind_a_step_is_told(
    database: str, tmp_path: Path, someone_else: Callable[[], Elsewhere]
) -> None:
    # The step goes on once somebody was seen to wait behind it.
    sql = "ALTER TABLE things ADD COLUMN note text; SET LOCAL lock_timeout TO 0; SELECT pg_advisory_xact_lock(1);"
    files = throwaway.step(sql, head="-- hold_budget: 60 s")
    holder, behind = someone_else(), someone_else()
    holder.execute("SELECT pg_advisory_lock(1)")
    with running(write(tmp_path, files), database, tmp_path, budgets=tight(stall_ms=5000)) as run:
        waiting: list[Any] = []

        def look(seen: Observation) -> None:
            if not waiting and any(one.side is Side.OURS for one in seen.waits):
                waiting.append(behind.submit("SELECT * FROM things"))
            elif seen.worst_stall_ms > 50:
                holder.execute("SELECT pg_advisory_unlock_all()")

        run.binding.on_sample = look
        apply(run)
        waiting[0].result(timeout=60)
        (told,) = observed(run)
    waits = [one for one in trace.observation(told).waits if one.side is Side.BEHIND_US]
    assert {one.pid for one in waits} == {behind.pid}
    assert max(one.waited_ms for one in waits) > 50
    assert told["worst_stall_ms"] >= max(one.waited_ms for one in waits) - 0.1


def test_who_was_in_the_way_is_told_also_where_the_step_never_came(
    database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    with running(write(tmp_path), database, tmp_path) as run:
        elsewhere.begin_and_hold("SELECT * FROM things")
        refused(run)
        (told,) = observed(run)
        assert run.ledger.events(run_id=run.run_id)[-1]["kind"] == "observed"
    (holder,) = told["in_the_way"]
    assert holder["who"].startswith(f"pid {elsewhere.pid}")
    assert (holder["on"], holder["state"]) == ("things", "idle in transaction")
    assert holder["to_ms"] >= holder["from_ms"] > 0


def test_where_the_server_is_gone_the_journal_keeps_what_was_seen(database: str, tmp_path: Path) -> None:
    # Its own session last: whoever ends itself first leaves the others alive.
    files = throwaway.step(
        "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity "
        "WHERE application_name ~ 'pgrunbook' ORDER BY pid = pg_backend_pid() OFFSET 0) AS ours"
    )
    with running(write(tmp_path, files), database, tmp_path) as run:
        assert "failed" in refused(run)
        (kept,) = [one for one in run.binding.journal.pending() if one["kind"] == "observed"]
        assert kept["detail"]["job"] == "apply"
        run.binding.begin_writing()
        assert [one["file"] for one in observed(run)] == ["migrate/001_only.sql"]


def told(run: Run) -> list[Stage]:
    stages: list[Stage] = []
    run.binding.on_stage, run.binding.estimating = stages.append, True
    return stages


def test_what_a_job_does_is_told_step_by_step(database: str, tmp_path: Path) -> None:
    sql = "ALTER TABLE things ADD COLUMN note text; COMMENT ON COLUMN things.note IS 'x';"
    with running(write(tmp_path, throwaway.step(sql)), database, tmp_path) as run:
        stages = told(run)
        apply(run)
    assert [(one.doing, one.holds) for one in stages] == [
        (BEGINS, False),
        (LOOKS, False),
        (ASKS, False),
        ("runs statement 1 of 2, ALTER TABLE in line 5", True),
        ("runs statement 2 of 2, COMMENT in line 5", True),
        (VERIFIES, True),
        (COMMITS, True),
    ]
    assert {(one.script, one.stall_budget_ms, one.takes_s, one.cancel) for one in stages} == {
        ("migrate/001_only.sql", 100, None, ROLLS_BACK)
    }


def test_a_build_tells_its_statement_and_its_estimate(database: str, tmp_path: Path) -> None:
    name = "migrate/002_build_index.sql"
    text = throwaway.FILES[name].replace("\n\n", "\n-- estimate: 40 ms + 2 reads of things\n\n", 1)
    with running(write(tmp_path, throwaway.changed({name: text})), database, tmp_path) as run:
        apply(run, "001")
        stages = told(run)
        apply(run, "002")
    doing = [one.doing for one in stages]
    assert doing == [BEGINS, doing[1], VERIFIES]
    assert doing[1].startswith("runs CREATE INDEX in line ")
    assert {(one.stall_budget_ms, one.cancel, one.holds) for one in stages} == {(0, STOPS_BUILD, False)}
    assert stages[0].takes_s is not None
    assert 0.04 < stages[0].takes_s < 5


def test_where_nobody_watches_no_table_is_read_for_an_estimate(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "of", lambda *_: pytest.fail("a table was read"))
    name = "migrate/001_add_note.sql"
    text = throwaway.FILES[name].replace("\n\n", "\n-- estimate: 2 reads of things\n\n", 1)
    with running(write(tmp_path, throwaway.changed({name: text})), database, tmp_path) as run:
        apply(run, "001")
