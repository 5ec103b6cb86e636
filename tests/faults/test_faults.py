"""Whatever is killed at whatever moment: the next run knows the truth and finishes."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest
from faults.arena import KINDS, SIGNALS, Arena, Job, jobs, write_changes
from faults.proxy import Door, Point, Unit, Wire
from faults.runner import Runner

from pgrunbook import change
from pgrunbook.lockmode import LockMode

if TYPE_CHECKING:
    from faults.conftest import Tally

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

# Where in a job: at its first word to the ledger, between, at the COMMIT of its end, and after that.
PLACES = (
    "opening",
    "first",
    "third",
    "half",
    "two thirds",
    "commit not sent",
    "commit not heard of",
    "later",
)
SAMPLE = 40


@dataclass(frozen=True)
class Fault:
    """One fault: what is killed, in which job, where."""

    job: Job
    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.job}-{self.kind}-{self.place.replace(' ', '_')}"


def planned() -> tuple[list[Fault], dict[Job, str], dict[Job, str]]:
    """Return the faults for every step of every change, there and back.

    And the jobs that build or drop an index, with their verb, and those that wait for a lock, with the statement
    that makes them wait.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_changes(folder)
        found: list[Fault] = []
        builds: dict[Job, str] = {}
        queues: dict[Job, str] = {}
        for number, job in enumerate(jobs(folder)):
            step = change.load(job.change, root=folder).step(job.step)
            script = step.rollback[0] if job.back else step.migrate
            if not script.header.in_transaction:
                builds[job] = script.statements[0].verb
            elif claims := [one for one in script.header.locks if one.mode.conflicts_with(one.mode)]:
                # The weakest that is in its way: the audit has to get through.
                weakest = next(mode for mode in LockMode if mode.conflicts_with(claims[0].mode))
                queues[job] = f"LOCK TABLE {claims[0].table} IN {weakest.sql} MODE"
            for kind_number, kind in enumerate(KINDS):
                rest = [place for place in PLACES if not place.startswith("commit")]
                turn = number + kind_number
                places = (
                    ["commit not sent", "commit not heard of"] if kind not in SIGNALS else ["commit not sent"]
                )
                places.append(rest[turn % len(rest)])
                found += [Fault(job, kind, place) for place in places]
    return found, builds, queues


PLANNED, BUILDS, QUEUES = planned()


def parametrised(faults: list[Any], sample: int) -> list[Any]:
    """Return the parameters, of which so many, evenly spread over kinds and jobs, belong to the sample."""
    by_kind = sorted(faults, key=lambda one: KINDS.index(one.kind))
    chosen = {str(by_kind[n * len(by_kind) // sample]) for n in range(sample)}
    assert len(chosen) == sample
    return [
        pytest.param(one, id=str(one), marks=[pytest.mark.sample] if str(one) in chosen else [])
        for one in faults
    ]


def point(fault: Fault, units: list[Unit]) -> Point:
    """Return the moment of a fault in what an undisturbed run asked."""
    own = [unit for unit in units if unit.role in ("control", "step")]
    first = next(n for n, unit in enumerate(own) if "INSERT INTO pgrunbook.step AS s" in unit.text)
    commit = max(n for n, unit in enumerate(own) if unit.text == "COMMIT")
    opening = next(n for n, unit in enumerate(own) if "pg_try_advisory_lock" in unit.text)
    # A signal takes nothing from what is said between runner and server.
    after = fault.place in ("commit not heard of", "half", "later") and fault.kind not in SIGNALS
    at = {
        "opening": opening,
        "first": first,
        "third": first + (commit - first) // 3,
        "half": first + (commit - first) // 2,
        "two thirds": first + (commit - first) * 2 // 3,
        "commit not sent": commit,
        "commit not heard of": commit,
        "later": min(commit + 1, len(own) - 1),
    }[fault.place]
    unit = own[at]
    return Point(unit.role, unit.number, after, unit.text[:60])


class Trigger:
    """Fires one fault and remembers that it did."""

    def __init__(self, arena: Arena, kind: str) -> None:
        self.arena, self.kind = arena, kind
        self.runner: Runner | None = None
        self.door: Door | None = None
        self.backend = 0
        self.stopped_at: Any = None

    def __call__(self, wire: Wire) -> bool:
        """Fire; return whether the server is to hear what the runner asked."""
        until = time.monotonic() + 10
        while self.runner is None or self.door is None:
            assert time.monotonic() < until
            time.sleep(0.001)
        self.backend = wire.backend
        if self.kind in SIGNALS:
            self.runner.signal(SIGNALS[self.kind])
            return True
        if self.kind == "runner":
            self.runner.signal(9)
        elif self.kind == "backend":
            psutil.Process(wire.backend).kill()
        elif self.kind == "restart":
            self.stopped_at = self.started
            self.arena.stop_at_once()
        elif self.kind == "cut":
            self.door.cut()
        elif self.kind == "terminate":
            with self.arena.connected() as conn:
                gone = conn.execute(
                    "SELECT pg_terminate_backend(%s, 5000) AS gone", (wire.backend,)
                ).fetchone()
                assert gone == {"gone": True}
        return False

    @property
    def started(self) -> Any:
        with self.arena.connected() as conn:
            return conn.execute("SELECT pg_postmaster_start_time() AS at").fetchall()

    def require_fired(self, code: int, text: str) -> None:
        """Require the traces that a fault of this kind leaves; nothing that did not happen is counted."""
        assert self.backend, "the run never came to this point"
        assert "Traceback" not in text, text
        if self.kind == "runner":
            assert code == -9
        else:
            assert code in (0, 1, 3), text
        if self.kind in SIGNALS:
            assert code == 1, text
        if self.kind == "backend":
            assert f"(PID {self.backend}) was terminated by signal 9" in self.arena.log
        if self.kind == "restart":
            assert self.started != self.stopped_at
        if code != 0 and self.kind != "runner":
            assert text.count("\n  next: ") == 1, text


@contextlib.contextmanager
def fresh(arena: Arena, job: Job) -> Iterator[tuple[str, Path]]:
    """Give a database in which the job is to begin, and a folder for records."""
    arena.prepared(job)
    like, _ = arena.before(job)
    database = arena.database(like)
    with tempfile.TemporaryDirectory(dir=arena.folder, prefix="r") as records:
        yield database, Path(records)
    arena.drop(database)


def finished(arena: Arena, job: Job, database: str, records: Path, *, cli: bool = False) -> str:
    """Resume with a fresh runner, to the end, and return what it said."""
    again = arena.start(job, database, records=records, whole=True, cli=cli)
    assert again.ended() == 0, again.text
    arena.require_clean(job, database, records)
    return again.text


@pytest.mark.parametrize("fault", parametrised(PLANNED, SAMPLE - 14))
def test_after_a_fault_the_next_run_finishes(fault: Fault, arena: Arena, tally: Tally) -> None:
    with fresh(arena, fault.job) as (database, records):
        trigger = Trigger(arena, fault.kind)
        # Every fourth is the command itself, with all that it does around a run.
        cli = fault.place == "commit not heard of" and fault.kind in ("runner", "cut")
        with arena.door(point(fault, arena.units[fault.job]), trigger) as door:
            trigger.door = door
            trigger.runner = arena.start(fault.job, database, door=door, records=records, cli=cli)
            code = trigger.runner.ended()
            assert door.fired, f"the run never came to {door.point}:\n{trigger.runner.text}"
        arena.up()
        trigger.require_fired(code, trigger.runner.text)
        tally.fired[fault.kind] += 1
        finished(arena, fault.job, database, records, cli=cli)
        tally.resumed += 1


# --- in the middle of a build ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """A fault while a build or a drop waits for somebody; `outlives`: it goes on without its client."""

    job: Job
    kind: str
    holder: str
    outlives: bool = False

    def __str__(self) -> str:
        return f"{self.job}-{self.kind}-{self.holder.replace(' ', '_')}{'-outlives' if self.outlives else ''}"


def held(builds: dict[Job, str]) -> list[Held]:
    """Return the faults in each build and drop: held up at its beginning, later, and by an old snapshot."""
    found = []
    for job, verb in builds.items():
        # To drop an index nobody waits for snapshots.
        for holder in ("writer", "late writer", *(["snapshot"] if verb == "CREATE INDEX" else [])):
            found += [Held(job, kind, holder) for kind in KINDS]
            found += [Held(job, kind, holder, outlives=True) for kind in ("runner", "cut")]
    return found


def holder(arena: Arena, job: Job, database: str, *, snapshot: bool = False) -> psycopg.Connection[Any]:
    """Open the transaction that the build has to wait for."""
    conn = psycopg.connect(arena.server.conninfo_for(database))
    if snapshot:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.execute("SELECT count(*) FROM pg_class")
    else:
        step = change.load(job.change, root=arena.changes).step(job.step)
        script = step.rollback[0] if job.back else step.migrate
        conn.execute(f"LOCK TABLE {script.header.locks[0].table} IN ROW EXCLUSIVE MODE")
    return conn


WAITS = """
SELECT w.pid AS pid
  FROM pg_locks AS w
  JOIN pg_locks AS h ON h.virtualxid = w.virtualxid AND h.granted AND h.pid = %s
 WHERE w.locktype = 'virtualxid' AND NOT w.granted
"""


def waits(arena: Arena, runner: Runner, holder: psycopg.Connection[Any]) -> None:
    """Return once the build waits for this transaction."""
    until = time.monotonic() + 30
    with arena.connected() as conn:
        while not conn.execute(WAITS, (holder.info.backend_pid,)).fetchall():
            assert time.monotonic() < until, f"it does not wait:\n{runner.text}"
            time.sleep(0.005)


def gone(arena: Arena, database: str, role: str) -> None:
    """Return once no session of this role is there any more."""
    until = time.monotonic() + 30
    with arena.connected(database) as conn:
        ours = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE %s"
        )
        while conn.execute(ours, (f"pgrunbook {role}%",)).fetchall():
            assert time.monotonic() < until, f"the {role} session does not end"
            time.sleep(0.005)


@pytest.mark.parametrize("held", parametrised(held(BUILDS), 10))
def test_after_a_fault_in_a_build_the_next_run_finishes(held: Held, arena: Arena, tally: Tally) -> None:
    with fresh(arena, held.job) as (database, records), contextlib.ExitStack() as closing:
        in_the_way = holder(arena, held.job, database, snapshot=held.holder == "snapshot")
        closing.callback(in_the_way.close)
        trigger = Trigger(arena, held.kind)
        with arena.door() as door:
            trigger.door = door
            trigger.runner = arena.start(held.job, database, door=door, records=records)
            waits(arena, trigger.runner, in_the_way)
            if held.holder == "late writer":
                later = holder(arena, held.job, database)
                closing.callback(later.close)
                in_the_way.close()
                in_the_way = later
                waits(arena, trigger.runner, in_the_way)
            trigger(next(wire for wire in door.wires if wire.role == "step"))
            code = trigger.runner.ended()
        arena.up()
        trigger.require_fired(code, trigger.runner.text)
        tally.fired[held.kind] += 1
        if held.outlives:
            # Its client is gone, the server still works: the next run sees it to its end.
            waits(arena, trigger.runner, in_the_way)
            again = arena.start(held.job, database, records=records, whole=True)
            with arena.connected(database) as conn:
                control = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook control%'"
                until = time.monotonic() + 30
                while not conn.execute(control).fetchall():
                    assert time.monotonic() < until, again.text
            in_the_way.close()
            assert again.ended() == 0, again.text
            arena.require_clean(held.job, database, records)
        else:
            in_the_way.close()
            gone(arena, database, "step")
            finished(arena, held.job, database, records)
        tally.resumed += 1


# --- while it waits for a lock -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Waiting:
    """A fault while a step looks for the moment in which it can have its locks."""

    job: Job
    kind: str

    def __str__(self) -> str:
        return f"{self.job}-{self.kind}-waiting"


def looks(door: Door, runner: Runner) -> None:
    """Return once the runner has its session for the step and asks again and again who is in its way."""
    until = time.monotonic() + 30
    while True:
        asked = [unit.text for unit in list(door.seen) if unit.role == "control"][-6:]
        ready = any(wire.role == "step" for wire in list(door.wires))
        if ready and len(asked) == 6 and len(set(asked)) <= 2 and "pg_locks" in "".join(asked):
            return
        assert time.monotonic() < until, f"it does not wait:\n{runner.text}"
        time.sleep(0.005)


@pytest.mark.parametrize("waiting", parametrised([Waiting(job, kind) for job in QUEUES for kind in KINDS], 4))
def test_after_a_fault_in_the_wait_for_a_lock_the_next_run_finishes(
    waiting: Waiting, arena: Arena, tally: Tally
) -> None:
    with (
        fresh(arena, waiting.job) as (database, records),
        contextlib.closing(psycopg.connect(arena.server.conninfo_for(database))) as in_the_way,
    ):
        in_the_way.execute(QUEUES[waiting.job])
        trigger = Trigger(arena, waiting.kind)
        with arena.door() as door:
            trigger.door = door
            trigger.runner = arena.start(waiting.job, database, door=door, records=records)
            looks(door, trigger.runner)
            trigger(next(wire for wire in door.wires if wire.role == "step"))
            if waiting.kind in SIGNALS:
                trigger.runner.ended()
            in_the_way.close()
            code = trigger.runner.ended()
        arena.up()
        trigger.require_fired(code, trigger.runner.text)
        tally.fired[waiting.kind] += 1
        finished(arena, waiting.job, database, records)
        tally.resumed += 1
