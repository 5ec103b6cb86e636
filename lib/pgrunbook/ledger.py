"""The ledger in the target: what ran, what it cost, who approved; the truth about every step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from pgrunbook import archive, chain, legible, refusal, session
from pgrunbook.chain import Chain
from pgrunbook.detail import storable, text
from pgrunbook.errors import LedgerInUse, RunnerBusy
from pgrunbook.session import Connection, ServerFacts
from pgrunbook.target import Target

__all__ = ["Ledger", "Status", "StepRow", "hold_work_lock"]

# Our advisory locks: (7239847, 1) one runner a database, (7239847, 2) one writer of events, (7239847, 3)
# shared, on the session that runs a runner's scripts.
_RUNNER_LOCK = (7239847, 1)
_WORK_LOCK = (7239847, 3)
HOLD_CHAIN = "SELECT pg_advisory_xact_lock(7239847, 2)"
WORKERS_S = 10.0
UPGRADE_S = 2.0
_FOLDER = Path(__file__).parents[2] / "sql" / "ledger"


class Status(Enum):
    """What the ledger says of a step now."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step as the ledger knows it; times are UTC texts."""

    step: str
    status: Status
    script_sha256: str
    run_id: str
    started_at: str
    finished_at: str | None
    seconds: float | None
    detail: Mapping[str, Any]
    cluster: str


class Ledger:
    """Reads and writes schema `pgrunbook` over one connection, which it does not own."""

    def __init__(self, conn: Connection, target: Target) -> None:
        """Keep the connection; nothing is read or written yet."""
        self.conn = conn
        self.target = target

    @property
    def exists(self) -> bool:
        """Return whether the ledger is installed here."""
        # to_regclass() would fail for a role that may not use the schema.
        return bool(
            session.value(
                self.conn,
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n"
                " ON n.oid = c.relnamespace WHERE n.nspname = 'pgrunbook' AND c.relname = 'event')",
            )
        )

    def install(self) -> None:
        """Make or upgrade the ledger's schema; does nothing where it is current.

        Raises LedgerRefused when the role may not, and LedgerInUse when somebody holds one of its tables.
        """
        files = sorted(_FOLDER.glob("[0-9][0-9][0-9]_*.sql"))
        try:
            with self.may(), self.conn.transaction():
                self.hold_chain()
                version = "SELECT max(version) FROM pgrunbook.version"
                installed = session.value(self.conn, version) if self.exists else 0
                self.conn.execute(f"SET LOCAL lock_timeout = {UPGRADE_S * 1000:.0f}".encode())
                for file in files:
                    if int(file.name[:3]) > installed:
                        self.conn.execute(file.read_bytes())
        except psycopg.errors.LockNotAvailable:
            raise LedgerInUse(where=self.target.where, seconds=UPGRADE_S) from None

    def take_runner_lock(self) -> None:
        """Become the only runner in this database, for as long as the connection lives.

        Polls once and never waits: a session that waits for an advisory lock holds a snapshot and would
        deadlock a concurrent index build of the holder. Raises RunnerBusy, naming the holder.
        """
        while not session.value(self.conn, "SELECT pg_try_advisory_lock(%s, %s)", _RUNNER_LOCK):
            # Nobody holds it where the holder ended between the two questions: then try again.
            for holder in session.rows(self.conn, "runner_lock_holder"):
                raise self._busy(holder)

    def give_back_runner_lock(self) -> None:
        """Let others run now; a connection that is busy or gone gives it back when the server sees it end."""
        if self.conn.info.transaction_status is TransactionStatus.IDLE:
            with contextlib.suppress(psycopg.Error):
                self.conn.execute("SELECT pg_advisory_unlock(%s, %s)", _RUNNER_LOCK)

    def await_workers(self, *, own: Connection | None, checkpoint: Callable[[], None]) -> None:
        """Return once no other session works for a runner; one whose client is gone ends by itself.

        A session without a client may still commit what it was told to commit, so nothing is decided
        before it has ended. One that builds an index is not waited for here: the build is watched where
        it matters. Raises RunnerBusy, naming the session, after ten seconds.
        """
        until = time.monotonic() + WORKERS_S
        pid = session.pid(own) if own is not None and not own.closed else None
        while found := [
            one for one in session.rows(self.conn, "work_sessions") if one["pid"] != pid and not one["builds"]
        ]:
            checkpoint()
            if time.monotonic() > until:
                raise self._busy(found[0])
            time.sleep(0.05)

    def _busy(self, holder: Mapping[str, Any]) -> RunnerBusy:
        return RunnerBusy(
            where=self.target.where,
            holder=f"{holder['application_name']} (pid {holder['pid']}, role {holder['user']!r})",
            since=holder["since"],
        )

    def open_run(self, *, run_id: str, change: str, operator: str, version: str, facts: ServerFacts) -> None:
        """Write the run's row; does nothing when it is there."""
        with self.may():
            self.conn.execute(
                "INSERT INTO pgrunbook.run (run_id, change, operator, target_kind, library_version,"
                " system_identifier, timeline) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (
                    text(run_id),
                    change,
                    text(self.target.redacted(operator)),
                    self.target.kind.value,
                    version,
                    facts.system_identifier,
                    facts.timeline,
                ),
            )

    def keep(self, scripts: Mapping[str, str]) -> None:
        """Write the texts of scripts, by their SHA-256, that the ledger does not keep yet."""
        with self.may():
            archive.keep(self.conn, scripts)

    def hold_chain(self) -> None:
        """Let nobody else append an event before the open transaction ends."""
        self.conn.execute(HOLD_CHAIN)

    def finish_run(self, run_id: str, outcome: str) -> None:
        """Write how a run ended."""
        self.conn.execute(
            "UPDATE pgrunbook.run SET finished_at = clock_timestamp(), outcome = %s WHERE run_id = %s",
            (outcome, run_id),
        )

    def event(
        self,
        *,
        run_id: str,
        change: str,
        kind: str,
        actor: str,
        step: str = "",
        detail: Mapping[str, object] | None = None,
        entry: int | None = None,
    ) -> None:
        """Append one event; the server gives it its number, time and hash.

        With the number of a journal's entry it is appended once, however often it is told.
        """
        numbered = {} if entry is None else {"journal_entry": entry}
        detail = {**self.target.mask.whole(detail or {}), **numbered}
        self.conn.execute(
            "INSERT INTO pgrunbook.event (run_id, change, step, kind, actor, detail) VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (run_id, (detail ->> 'journal_entry')) WHERE detail ? 'journal_entry' DO NOTHING",
            (
                *map(text, (run_id, change, step, kind, self.target.redacted(actor))),
                Jsonb(storable(detail)),
            ),
        )

    def knows(self, run_id: str) -> bool:
        """Return whether a run began to write here."""
        return bool(session.value(self.conn, "SELECT true FROM pgrunbook.run WHERE run_id = %s", (run_id,)))

    def mark(
        self,
        step: str,
        status: Status,
        *,
        run_id: str,
        change: str,
        sha256: str,
        seconds: float | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Write the state of a step; joins the transaction that is open on the connection, if any."""
        ended = status not in (Status.RUNNING, Status.ROLLING_BACK)
        cursor = self.conn.execute(
            "INSERT INTO pgrunbook.step AS s"
            " (change, step, status, script_sha256, run_id, seconds, detail, finished_at)"
            " VALUES (%(change)s, %(step)s, %(status)s, %(sha256)s, %(run_id)s, %(seconds)s, %(detail)s,"
            " CASE WHEN %(ended)s THEN clock_timestamp() END)"
            " ON CONFLICT (change, step) DO UPDATE SET status = excluded.status,"
            " script_sha256 = excluded.script_sha256, run_id = excluded.run_id, seconds = excluded.seconds,"
            " detail = excluded.detail, finished_at = excluded.finished_at,"
            " started_at = CASE WHEN %(ended)s THEN s.started_at ELSE excluded.started_at END",
            {
                "change": change,
                "step": step,
                "status": status.value,
                "sha256": sha256,
                "run_id": run_id,
                "seconds": seconds,
                "detail": Jsonb(storable(self.target.mask.whole(detail or {}))),
                "ended": ended,
            },
        )
        assert cursor.rowcount == 1, f"ledger wrote {cursor.rowcount} rows for {step}"

    def put_back(self, step: str, row: StepRow | None, *, change: str) -> None:
        """Write the state of a step as it was before: what was begun and taken back has not been."""
        which = {"change": change, "step": step}
        where = "WHERE change = %(change)s AND step = %(step)s"
        if row is None:
            self.conn.execute(f"DELETE FROM pgrunbook.step {where}", which)
            return
        old = {"status": row.status.value, "detail": Jsonb(storable(dict(row.detail)))}
        names = ("script_sha256", "run_id", "started_at", "finished_at", "seconds")
        values = {**which, **old, **{name: getattr(row, name) for name in names}}
        written = ", ".join(f"{name} = %({name})s" for name in (*old, *names))
        self.conn.execute(f"UPDATE pgrunbook.step SET {written} {where}", values)

    def steps(self, change: str) -> dict[str, StepRow]:
        """Return the state of each step of a change that the ledger knows, by step name."""
        found = self._rows("ledger_steps", change=change)
        own = [{**row, "detail": legible.step(row["detail"])} for row in found]
        return {row["step"]: StepRow(**{**row, "status": Status(row["status"])}) for row in own}

    def events(
        self, *, run_id: str | None = None, change: str | None = None, kind: str | None = None
    ) -> list[dict[str, Any]]:
        """Return events in order, of one run or one change, of one kind or all, times as UTC texts."""
        return legible.read_all(self._rows("ledger_events", run_id=run_id, change=change, kind=kind))

    def briefs(self, *, change: str | None, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return the events of all runs, of one change or of all, with these keys of their detail alone."""
        return self._rows("ledger_briefs", change=change, keys=list(keys))

    def run(self, run_id: str) -> list[dict[str, Any]]:
        """Return the events of a run in full: time, detail and hashes to the letter, as the chain holds them."""
        return self._rows("ledger_run", run_id=run_id)

    def running(self) -> list[dict[str, Any]]:
        """Return the run whose session is open now, if any: its change, its operator, and its session."""
        return self._rows("running_run")

    def check_chain(self) -> Chain:
        """Return the chain's state after computing every hash again; raises ChainBroken."""
        with self.may(reading=True):
            return chain.check(self.conn)

    def _rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        if not self.exists:
            return []
        with self.may(reading=True):
            return session.rows(self.conn, query, parameters)

    @contextlib.contextmanager
    def may(self, *, reading: bool = False) -> Iterator[None]:
        """Turn a missing right into LedgerRefused, with the way out; not within a transaction that is aborted by it."""
        try:
            yield
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
            if self.conn.info.transaction_status is TransactionStatus.INERROR:
                raise
            raise refusal.of(self.conn, error, where=self.target.where, reading=reading) from None


def hold_work_lock(conn: Connection) -> None:
    """Let other runners see, for as long as the session lives, that it may have work in its hands."""
    conn.execute("SELECT pg_try_advisory_lock_shared(%s, %s)", _WORK_LOCK)
