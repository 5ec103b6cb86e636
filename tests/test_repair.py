"""Repairs of a run: noted, and stopped in time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook import repair, session
from pgrunbook.errors import GateClosed, RemedyFailed, StepCancelled, WindowEnded
from pgrunbook.pace import Progress
from pgrunbook.run import Run

Conn = psycopg.Connection[dict[str, Any]]
DOUBLED = "SELECT count(*) AS n FROM things WHERE code = 'c1'"
HASH = "SELECT md5(string_agg((t.*)::text, E'\\n' ORDER BY id)) FROM things AS t"
# As many repairs as several batches.
MANY = "INSERT INTO things SELECT i, 'c1' FROM generate_series(11, 2510) AS i"


@pytest.fixture
def run(conn: Conn, database: str, tmp_path: Path) -> Iterator[Run]:
    """A run whose window ends in an hour, on a table that needs three batches."""
    conn.execute(throwaway.TABLE)
    conn.execute(MANY)
    ends = datetime.now(UTC) + timedelta(hours=1)
    budgets = throwaway.tight(window_ends=ends)
    with throwaway.running(throwaway.write(tmp_path), database, tmp_path, budgets=budgets) as made:
        made.decide_by_policy("10_doubled_codes")
        yield made


def events(made: Run) -> list[tuple[str, Any]]:
    found = made.ledger.events(run_id=made.run_id)
    return [(one["kind"], one["detail"].get("rows")) for one in found if one["kind"].startswith("remedy")]


def left(conn: Conn) -> int:
    row = conn.execute(DOUBLED).fetchone()
    assert row is not None
    return int(row["n"])


def test_a_remedy_is_previewed_applied_and_undone_with_its_events(run: Run, conn: Conn) -> None:
    run.preview_remedy("10_doubled_codes")
    told: list[Progress] = []
    run.binding.on_progress = told.append
    assert run.apply_remedy("10_doubled_codes").repairs == 2500
    assert left(conn) == 1
    rows = [one.rows for one in told]
    assert rows == sorted(rows)
    assert (rows[-1], {one.expected for one in told}) == (2500, {1})
    assert run.preview_undo("10_doubled_codes").restored == 2500
    assert throwaway.undo(run, "10_doubled_codes").restored == 2500
    assert left(conn) == 2501
    assert events(run) == [
        ("remedy previewed", 50),
        ("remedy started", None),
        ("remedy applied", 2500),
        ("remedy undo previewed", 2500),
        ("remedy undone", 2500),
    ]


def test_a_remedy_whose_check_finds_nothing_is_not_run(run: Run, conn: Conn) -> None:
    conn.execute("UPDATE things SET code = NULL WHERE id > 1")
    done = run.apply_remedy("10_doubled_codes")
    assert (done.repairs, done.batches, done.table) == (0, 0, "things")
    assert events(run) == [("remedy not needed", 0)]


def test_a_remedy_whose_check_cannot_be_run_is_refused(run: Run, conn: Conn) -> None:
    conn.execute("ALTER TABLE things RENAME code TO kode")
    with pytest.raises(RemedyFailed) as caught:
        run.apply_remedy("10_doubled_codes")
    assert str(caught.value) == (
        "remedy 10_doubled_codes: its check preflight/10_doubled_codes.sql could not be run:"
        ' column "code" does not exist\n'
        "  next: mend the check or the privilege; without it nobody knows what to repair"
    )


def test_a_remedy_that_fails_on_the_way_says_how_far_it_came(run: Run, conn: Conn) -> None:
    conn.execute("ALTER TABLE things ADD CONSTRAINT stays CHECK (id <> 2400 OR code IS NOT NULL)")
    with pytest.raises(RemedyFailed):
        run.apply_remedy("10_doubled_codes")
    stays = 2501 - left(conn)
    assert 0 < stays < 2500
    assert events(run) == [("remedy started", None), ("remedy stopped", stays)]
    conn.execute("ALTER TABLE things DROP CONSTRAINT stays")
    run.apply_remedy("10_doubled_codes")
    started = [one for one in run.ledger.events(run_id=run.run_id) if one["kind"] == "remedy started"]
    assert [one["detail"]["in_quarantine"] for one in started] == [0, stays]


def test_who_stops_a_remedy_or_its_undo_has_told_how_far_it_came(run: Run, conn: Conn) -> None:
    run.binding.on_progress = lambda _progress: run.cancel()
    with pytest.raises(StepCancelled):
        run.apply_remedy("10_doubled_codes")
    done = 2501 - left(conn)
    assert 0 < done < 2500
    run.decide_by_policy("undo 10_doubled_codes")
    with pytest.raises(StepCancelled):
        run.undo_remedy("10_doubled_codes")
    assert events(run) == [
        ("remedy started", None),
        ("remedy stopped", done),
        ("remedy undo stopped", left(conn) - (2501 - done)),
    ]
    # What somebody has begun to give back is repaired again by a new GO alone, and the undo goes on with its own.
    with pytest.raises(GateClosed):
        run.apply_remedy("10_doubled_codes")
    run.binding.on_progress = lambda _progress: None
    run.undo_remedy("10_doubled_codes")
    assert left(conn) == 2501


@pytest.mark.parametrize(
    ("rule", "column", "step"),
    [
        ("things_code", "", "002_build_index"),
        ("things_code_present", "", "003_require_code"),
        ("", "code", "003_require_code"),
        ("things_cod", "", ""),
        ("", "id", ""),
    ],
)
def test_the_step_that_made_a_rule_is_known(rule: str, column: str, step: str, tmp_path: Path) -> None:
    assert repair._maker(throwaway.write(tmp_path), rule, column) == step


def test_a_remedy_stops_in_time_and_its_work_so_far_stays(
    run: Run, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The time runs out once many are done; a batch is at most twice as large as the one before.
    monkeypatch.setattr(repair, "seconds_until", lambda _ends: 60 if left(conn) > 1501 else 4.9)
    with pytest.raises(WindowEnded) as caught:
        run.apply_remedy("10_doubled_codes")
    stays = 2501 - left(conn)
    assert 1000 <= stays < 2500
    assert str(caught.value) == (
        f"remedy 10_doubled_codes stopped: the window ends at {run.budgets.window}\n"
        "  it repairs batch by batch, and there is no time for another one\n"
        f"  {stays:,} repaired rows stay; what was replaced is in quarantine\n"
        "  next: apply the step again in the next window; what was applied before it stays"
    )
    assert events(run) == [("remedy started", None), ("remedy stopped", stays)]
    # The way back is always open.
    assert throwaway.undo(run, "10_doubled_codes").restored == stays


# Another process that repairs: arguments are the change's root, the database, records, and its share of the time.
RUNNER = """
import sys
from pathlib import Path
import throwaway
root, database, records, share = sys.argv[1:]
chosen = throwaway.change.load(throwaway.NAME, root=Path(root))
budgets = throwaway.tight(stall_ms=5_000, remedy_share=float(share))
with throwaway.running(chosen, database, Path(records), budgets=budgets) as run:
    run.decide_by_policy("10_doubled_codes")
    run.apply_remedy("10_doubled_codes")
"""
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION slow()"""
OURS = "SELECT state, query FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook step%'"


@pytest.mark.parametrize(("where", "share"), [("inside a batch", 1.0), ("between batches", 0.05)])
def test_killed_at_any_moment_the_next_run_finishes_and_undo_gives_every_byte_back(
    where: str, share: float, conn: Conn, database: str, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    conn.execute(throwaway.TABLE + MANY)
    before = session.value(conn, HASH)
    conn.execute(SLOW)
    chosen = throwaway.write(tmp_path)
    places = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, "-c", RUNNER, str(tmp_path), database, str(tmp_path / "records"), str(share)]

    def reached(rows: int) -> bool:
        at = conn.execute(OURS).fetchall()
        inside = any(one["state"] == "active" and "UPDATE things" in one["query"] for one in at)
        moment = inside if where == "inside a batch" else all(one["state"] == "idle" for one in at)
        return moment and (left(conn) <= 2501 - rows)

    for rows in (1, 400):
        with subprocess.Popen(command, env=environment) as killed:
            eventually(lambda rows=rows: reached(rows), timeout=60)
            killed.kill()
        kept = session.value(conn, "SELECT count(*) FROM pgrunbook.quarantine")
        assert kept == 2501 - left(conn), "what is repaired is in quarantine, and nothing else is"
        assert left(conn) > 1, "it was not killed in time"
    conn.execute("DROP TRIGGER slow ON things")
    with throwaway.running(chosen, database, tmp_path, budgets=throwaway.tight(stall_ms=5_000)) as made:
        made.decide_by_policy("10_doubled_codes")
        repaired = made.apply_remedy("10_doubled_codes").repairs
        assert 0 < repaired < 2500
        assert left(conn) == 1
        undone = throwaway.undo(made, "10_doubled_codes")
    assert (undone.restored, undone.left_alone) == (2500, 0)
    assert session.value(conn, HASH) == before


def test_a_remedy_that_begins_too_late_repairs_nothing(
    run: Run, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "seconds_until", lambda _ends: -1)
    with pytest.raises(WindowEnded, match="0 repaired rows stay"):
        run.apply_remedy("10_doubled_codes")
    assert left(conn) == 2501
