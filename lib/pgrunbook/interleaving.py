"""One permutation of a spec, run on real sessions: who waits is what the server says, never a guess."""

from __future__ import annotations

import contextlib
import re
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.pq.abc import PGconn

from pgrunbook import session
from pgrunbook.errors import RaceFailed
from pgrunbook.racer import Answer, Racer, Report, Rows, gather
from pgrunbook.spec import Permutation, Spec, Turn
from pgrunbook.target import rehearsal

__all__ = ["PATIENCE_S", "Interleaving", "Stage"]

PATIENCE_S: Final = 60.0  # for a whole permutation
_PAUSE_S: Final = 0.002
# A spec that sets one of these decides itself who looks for deadlocks, and when.
_OWN_LOOK: Final = re.compile(
    r"\b(deadlock_timeout|log_lock_waits|client_min_messages|log_min_messages)\b", re.I
)
# A wait that may end though nobody lets go of a lock: by a timeout, or by a signal that is on its way.
_ENDED_OTHERWISE: Final = re.compile(r"_timeout\b|\bpg_(cancel|terminate)_backend\b", re.I)
_LOOK: Final = """
SELECT pid, pg_catalog.pg_isolation_test_session_is_blocked(pid, %(pids)s::int[]) AS blocked,
       pg_catalog.pg_blocking_pids(pid) || pg_catalog.pg_safe_snapshot_blocking_pids(pid) AS by,
       pg_catalog.pg_safe_snapshot_blocking_pids(pid) <> '{}' AS snapshot,
       pid IN (SELECT l.pid FROM pg_catalog.pg_locks AS l
                WHERE l.waitstart < pg_catalog.clock_timestamp() - interval '1 s') AS long
  FROM unnest(%(pids)s::int[]) AS pid
"""


@dataclass(frozen=True, slots=True)
class Interleaving:
    """What a permutation came to.

    `outcome` is what the SELECTs of the teardowns found, of the sessions first. Where it cannot happen, because
    a session was still waiting when its next step had its turn and only later steps could have let it go on,
    `impossible_at` is the number of that turn, and there is no outcome.
    """

    permutation: Permutation
    reports: tuple[Report, ...] = ()
    outcome: tuple[Rows, ...] = ()
    impossible_at: int | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    pid: int
    blocked: bool
    by: list[int]
    snapshot: bool
    long: bool


class _CannotHappen(Exception):
    """Nothing moves any more."""


class Stage(contextlib.ExitStack):
    """The sessions of a spec on one database, as a context manager; plays one permutation after the other."""

    def __init__(self, spec: Spec, conninfo: str, *, race: str, patience_s: float = PATIENCE_S) -> None:
        super().__init__()
        self.spec, self.race, self.patience_s = spec, race, patience_s
        self._must_look = not _OWN_LOOK.search(spec.session_sql)
        self._may_end_by_itself = bool(_ENDED_OTHERWISE.search(spec.session_sql))
        self.racers: list[Racer] = []
        self.deadline = float("inf")
        with contextlib.ExitStack() as opened:
            self.control = session.connect(rehearsal(conninfo), purpose=f"race {race}")
            opened.callback(self.control.close)
            for described in spec.sessions:
                self.racers.append(Racer(described, conninfo, race=race))
                opened.callback(self.racers[-1].close)
            opened.callback(self._silence)
            self.push(opened.pop_all().__exit__)

    def play(self, permutation: Permutation) -> Interleaving:
        """Run one permutation between the setups and teardowns.

        Raises RaceFailed where it does not end, where one that the file lists cannot happen, where a session has
        a step to run after its end, or where the SQL around the steps fails. A step that fails is a result like
        any other, and so is one in which the server ends the session: the next permutation has a new one.
        """
        self.permutation, self.reports = permutation, list[Report]()
        self.deadline = time.monotonic() + self.patience_s
        self._around(self.control.pgconn, "DISCARD ALL", "reset")
        for racer in self.racers:
            if not racer.alive():
                racer.close()
                racer.open()
            self._around(racer.raw, "DISCARD ALL", "reset")
        for sql in self.spec.setups:
            self._around(self.control.pgconn, sql, "setup")
        for racer in self.racers:
            self._around(racer.raw, racer.described.setup, f"setup of session {racer.name}")
        impossible_at = self._steps()
        self._silence()
        found: list[Rows] = []
        alive = [racer for racer in self.racers if racer.alive()]
        for racer in alive:
            found += self._around(racer.raw, racer.described.teardown, f"teardown of session {racer.name}")
        for racer in alive:
            # What is still open counts for nothing: an outcome is what was committed.
            if not racer.idle:
                self._around(racer.raw, "ROLLBACK", "end")
        found += self._around(self.control.pgconn, self.spec.teardown, "teardown")
        outcome = tuple(found) if impossible_at is None else ()
        return Interleaving(permutation, tuple(self.reports), outcome, impossible_at)

    def _steps(self) -> int | None:
        for number, turn in enumerate(self.permutation.turns):
            try:
                self._take(number, turn)
            except _CannotHappen:
                if self.permutation.line:
                    self._give_up("a step has its turn while its session waits for a later one")
                return number
        try:
            while self._waiting():
                self._settle()
                self._expect_progress()
        except _CannotHappen:
            self._give_up("all steps were sent, and some of them wait for ever")
        return None

    def _take(self, number: int, turn: Turn) -> None:
        racer = self._racer_of(turn.step.name)
        while racer.at is not None:
            self._settle()
            if racer.at is not None:
                self._expect_progress()
        if racer.lost:
            self._give_up(f"step {turn.step.name} comes after the end of session {racer.name}")
        racer.at = report = Report(turn, number)
        self.reports.append(report)
        racer.wanted = {
            marker: marker.notices + self._racer_of(marker.step).heard
            for marker in turn.markers
            if marker.notices
        }
        racer.send(turn.step.sql)
        report.waited = any(not marker.step for marker in turn.markers)
        if not report.waited:
            self._advance(racer, report, pause=_PAUSE_S)
        self._settle(but=racer)

    def _racer_of(self, step: str) -> Racer:
        return next(one for one in self.racers if step in [s.name for s in one.described.steps])

    def _waiting(self) -> list[tuple[Racer, Report]]:
        """Return the sessions that are at a step, in the order in which they came to it."""
        found = [(racer, racer.at) for racer in self.racers if racer.at is not None]
        return sorted(found, key=lambda pair: pair[1].launched)

    def _settle(self, *, but: Racer | None = None) -> None:
        """Bring every step to its end or to where it waits; again as long as one has come to its end."""
        again = True
        while again:
            ended = [self._advance(*one) for one in self._waiting() if one[0] is not but]
            again, but = any(ended), None

    def _advance(self, racer: Racer, report: Report, *, pause: float = 0.0) -> bool:
        """Return whether a step is done, as soon as it is, or as it waits; look after a pause in seconds."""
        while racer.busy():
            if not select.select([racer.raw.socket], [], [], pause)[0] and self._waits(racer, report):
                return False
            pause = _PAUSE_S
            self._check_time()
        if self._held(racer, report):
            report.waited = True
            return False
        before = max((one for one in self.reports if one.done >= 0), key=lambda one: one.ended, default=None)
        report.close(
            racer.answer.results,
            done=self.reports[-1].launched,
            ended=1 + (before.ended if before else 0),
            after=before.turn.step.name if before else "",
        )
        racer.at = None
        return True

    def _waits(self, racer: Racer, report: Report) -> bool:
        found = self._look()
        # What the session said before it began to wait is here by now.
        if not racer.busy() or not self._stands(racer, found):
            return False
        if not report.waited_for:
            report.waited_for = tuple(one.name for one in self.racers if one.pid in found[racer.pid].by)
        report.waited = True
        return True

    def _look(self) -> dict[int, _Look]:
        pids = [racer.pid for racer in self.racers]
        # Nothing prepared outlives a reset.
        rows = self.control.execute(_LOOK, {"pids": pids}, prepare=False)
        return {row["pid"]: _Look(**row) for row in rows}

    def _stands(self, racer: Racer, found: dict[int, _Look]) -> bool:
        """Return whether a session waits for others of the race and will not find itself in a deadlock."""
        if not found[racer.pid].blocked:
            return False
        # A function may forbid such messages: who has waited for long has looked, though he did not say so.
        if self._must_look and not found[racer.pid].long:
            return racer.looked or found[racer.pid].snapshot
        ahead, seen = set(found[racer.pid].by), set[int]()
        while ahead - seen:
            seen |= ahead
            ahead = {pid for one in ahead if one in found for pid in found[one].by}
        return racer.pid not in seen

    def _held(self, racer: Racer, report: Report) -> bool:
        """Return whether a marker keeps a step from being reported as done."""
        for marker in (one for one in report.turn.markers if one.step):
            other = self._racer_of(marker.step)
            if marker.notices:
                if other.heard < racer.wanted[marker]:
                    return True
            elif other.at is not None and other.at.turn.step.name == marker.step:
                return True
        return False

    def _expect_progress(self) -> None:
        """Raise _CannotHappen where nothing moves any more; else give what moves a moment."""
        self._check_time()
        found = self._look()
        waiting = self._waiting()
        busy = [racer for racer, _ in waiting if racer.busy()]
        moves = any(not self._stands(racer, found) for racer in busy)
        ready = any(racer not in busy and not self._held(racer, report) for racer, report in waiting)
        if waiting and not moves and not ready and not (self._may_end_by_itself and busy):
            raise _CannotHappen
        select.select([racer.raw.socket for racer in busy], [], [], _PAUSE_S)

    def _check_time(self) -> None:
        if time.monotonic() > self.deadline:
            self._give_up(f"not done within {self.patience_s:g} s")

    def _give_up(self, found: str) -> None:
        waiting = self._waiting()
        self._silence()
        raise RaceFailed(
            race=self.race,
            found=found,
            details=[
                f"step {report.turn.step.name} waits for session {' and '.join(report.waited_for) or 'nobody'}"
                for _, report in waiting
            ],
            permutation=self.permutation.names,
            next_step="mend the order or the markers, and end every transaction with COMMIT or ROLLBACK",
        )

    def _silence(self) -> None:
        """End whatever the sessions still do; one after the other, as one's end may let another go on."""
        left = [racer for racer, _ in self._waiting()]
        for racer in left:
            with contextlib.suppress(psycopg.Error):
                if racer.busy():
                    racer.conn.cancel_safe(timeout=5)
                while racer.busy():
                    select.select([racer.raw.socket], [], [], _PAUSE_S)
            racer.at = None
        for racer in left:
            if not racer.idle:
                with contextlib.suppress(psycopg.Error):
                    racer.conn.pgconn.exec_(b"ROLLBACK")

    def _around(self, raw: PGconn, sql: str, where: str) -> Sequence[Rows]:
        """Return what SQL before or after the steps gives."""
        if not sql:
            return ()
        answer = Answer(raw)
        raw.send_query(sql.encode())
        while not answer.complete():
            select.select([raw.socket], [], [], _PAUSE_S)
            self._check_time()
        rows, failure = gather(answer.results)
        if failure is not None:
            raise RaceFailed(
                race=self.race,
                found=f"{where} failed: {failure.message}",
                permutation=self.permutation.names,
                next_step="mend its SQL; each permutation has to leave the database as it found it",
            )
        return rows
