"""The arena: a server that may be killed, each change in each of its states, and what has to hold afterwards."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from faults.proxy import Door, Point, Unit, Wire
from faults.runner import Runner, Stable
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from pgrunbook import catalog, change, checklist, scaffold, session, suite, target
from pgrunbook import server as embedded
from pgrunbook.change import Change, Step
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("runner", "backend", "restart", "cut", "terminate", "sigint", "sigterm")
SIGNALS = {"sigint": signal.SIGINT, "sigterm": signal.SIGTERM}
ROWS = 3_000

# Its one step would leave a row more if it were done twice.
COUNTING = "701_counting"
COUNTING_FILES = {
    "README.md": "# Counts how often it was done\n",
    "migrate/001_count.sql": "-- Count\n-- lock: RowExclusive on counted\n\n"
    "INSERT INTO counted SELECT count(*) + 1 FROM counted;\n",
    "verify/001_count.sql": "-- Counted\n\nSELECT 'once' AS missing WHERE NOT EXISTS (SELECT FROM counted);\n",
    "rollback/001_count.sql": "-- Forget one\n-- lock: RowExclusive on counted\n\nDELETE FROM counted\n"
    "WHERE id = (SELECT max(id) FROM counted);\n",
    "samples/go.sql": "-- Nothing yet\nCREATE TABLE counted (id int);\n",
}
TEMPLATE = "702_template"

State = tuple[catalog.Catalog, Mapping[str, Any]]


@dataclass(frozen=True)
class Job:
    """One step of a change, there or back."""

    change: str
    step: str
    back: bool = False

    def __str__(self) -> str:
        return f"{self.change}-{self.step}-{'back' if self.back else 'there'}"


def write_changes(folder: Path) -> None:
    """Copy all changes of the project, and beside them the template and the one that counts."""
    shutil.copytree(ROOT / "sql" / "changes", folder, dirs_exist_ok=True)
    scaffold.create(TEMPLATE, root=folder, template=folder / "_template", notebooks=folder / "none")
    for path, text in COUNTING_FILES.items():
        file = folder / COUNTING / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def jobs(folder: Path) -> list[Job]:
    """Return every step of every change, there and back."""
    found = []
    for name in change.names(folder):
        for step in change.load(name, root=folder).steps:
            found += [Job(name, step.name), Job(name, step.name, back=True)]
    return found


@dataclass
class Arena:
    """Where runners are killed."""

    server: embedded.Server
    changes: Path
    folder: Path
    stable: Stable
    clean: dict[tuple[str, int], tuple[str, State]] = field(default_factory=dict)
    units: dict[Job, list[Unit]] = field(default_factory=dict)
    undone: dict[Job, State] = field(default_factory=dict)
    stopping: threading.Lock = field(default_factory=threading.Lock)

    # --- the server ---

    @cached_property
    def socket(self) -> Path:
        return self.server.data / f".s.PGSQL.{embedded.SETTINGS['port']}"

    @contextlib.contextmanager
    def connected(self, database: str = "postgres") -> Iterator[psycopg.Connection[dict[str, Any]]]:
        place = self.server.conninfo_for(database)
        with contextlib.closing(psycopg.connect(place, autocommit=True, row_factory=dict_row)) as conn:
            yield conn

    def up(self) -> None:
        """Return once the server takes connections, started if it was stopped."""
        # pg_ctl looks ten times a second whether the server it stops is gone: one started meanwhile would be it.
        with self.stopping:
            embedded.start(self.server.major, folder=self.server.folder)
        until = time.monotonic() + 60
        while True:
            try:
                with self.connected():
                    return
            except psycopg.Error:
                assert time.monotonic() < until, "the server does not come back"
                time.sleep(0.02)

    def stop_at_once(self) -> None:
        with self.stopping:
            embedded._run(
                self.server, "pg_ctl", "stop", "-D", self.server.data, "-s", "-w", "-m", "immediate"
            )

    @property
    def log(self) -> str:
        return (self.server.data / "log").read_text(errors="replace")

    # --- states ---

    def database(self, like: str) -> str:
        """Make a database like another one and return its name."""
        name = f"f_{uuid.uuid4().hex[:10]}"
        with self.connected() as conn:
            conn.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
        return name

    def drop(self, name: str) -> None:
        embedded.drop_database(self.server, name)

    def state(self, database: str) -> State:
        """Return the catalog and a hash of every table, without the ledger's and without when a row was written."""
        bound = target.rehearsal(self.server.conninfo_for(database))
        with contextlib.closing(session.connect(bound, purpose="look")) as conn:
            tables = conn.execute(
                "SELECT c.oid::regclass::text AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace"
                " WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema', 'pgrunbook')"
                " AND nspname NOT LIKE 'pg\\_%' ORDER BY 1"
            ).fetchall()
            data = {
                row["name"]: session.value(
                    conn,
                    "SELECT count(*) || ' ' || coalesce(md5(string_agg(said, E'\\n' ORDER BY said)), '') FROM"
                    f" (SELECT (to_jsonb(t) - 'created_at' - 'updated_at')::text AS said FROM {row['name']} AS t) AS r",
                )
                for row in tables
            }
            return catalog.snapshot(conn), data

    def load(self, chosen: Change) -> str:
        """Load the sample, cut to a few thousand rows a table, and return the database."""
        name = f"s_{uuid.uuid4().hex[:10]}"
        embedded.create_database(self.server, name)
        with self.connected(name) as conn:
            assert chosen.go_sample is not None
            conn.execute(chosen.go_sample.read_bytes())
            for table in conn.execute(
                "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = 'public'::regnamespace ORDER BY 1"
            ).fetchall():
                with contextlib.suppress(psycopg.errors.ForeignKeyViolation):
                    conn.execute(
                        f"DELETE FROM {table['name']} WHERE ctid NOT IN"
                        f" (SELECT ctid FROM {table['name']} ORDER BY ctid LIMIT {ROWS})"
                    )
            conn.execute("VACUUM (FULL, ANALYZE)")
        return name

    def before(self, job: Job) -> tuple[str, State]:
        """Return the database in which a job has to begin, as a clean run left it, and its state."""
        chosen = change.load(job.change, root=self.changes)
        number = [step.name for step in chosen.steps].index(job.step) + job.back
        return self.after_steps(chosen, number)

    def after_steps(self, chosen: Change, number: int) -> tuple[str, State]:
        """Return the database after so many steps of a clean run, and its state."""
        if (chosen.name, number) not in self.clean:
            if number == 0:
                place = self.load(chosen)
            else:
                like, _ = self.after_steps(chosen, number - 1)
                place = self.database(like)
                step = chosen.steps[number - 1]
                self._watched(Job(chosen.name, step.name), place)
            self.clean[chosen.name, number] = place, self.state(place)
        return self.clean[chosen.name, number]

    def _watched(self, job: Job, database: str) -> None:
        """Run a job undisturbed and keep what its sessions asked."""
        with self.door() as door:
            runner = self.start(job, database, door=door, records=self.folder / "clean")
            assert runner.ended() == 0, runner.text
            self.units[job] = list(door.seen)

    def prepared(self, job: Job) -> None:
        """Make sure that the job was run undisturbed, so that its units and its result are known."""
        if job in self.units:
            return
        if not job.back:
            chosen = change.load(job.change, root=self.changes)
            self.after_steps(chosen, [step.name for step in chosen.steps].index(job.step) + 1)
            return
        place = self.database(self.before(job)[0])
        self._watched(job, place)
        self.undone[job] = self.state(place)
        self.drop(place)

    # --- runners ---

    @contextlib.contextmanager
    def door(
        self, point: Point | None = None, fire: Callable[[Wire], bool] = lambda _wire: True
    ) -> Iterator[Door]:
        door = Door(self.folder / "d", self.socket, point, fire)
        try:
            yield door
        finally:
            door.close()

    def start(
        self,
        job: Job,
        database: str,
        *,
        door: Door | None = None,
        records: Path,
        whole: bool = False,
        cli: bool = False,
    ) -> Runner:
        """Start a runner for a job; `whole`: for all that is left of the change in that direction."""
        conninfo = self.server.conninfo_for(database)
        if door is not None:
            conninfo = make_conninfo(conninfo, host=str(door.folder))
        chosen = change.load(job.change, root=self.changes)
        steps = [step.name for step in chosen.steps]
        number = steps.index(job.step)
        ticks = [f"--tick={item.key}" for item in chosen.checklist.items if item.when != checklist.AFTER]
        to = steps[number - 1 : number] if number else []
        if cli and job.back:
            order = [
                "cli",
                "rollback",
                job.change,
                *(["--to", *to] if to else []),
                "--approve-all",
                "--reason",
                "r",
            ]
        elif cli:
            order = ["cli", "apply", job.change, "--approve-all", "--reason", "r", "--no-rehearsal", *ticks]
        elif job.back:
            order = ["rollback", job.change, *to]
        else:
            order = ["apply", job.change, *([] if whole else [job.step])]
        return self.stable.start(conninfo, records, self.changes, *order)

    # --- what has to hold ---

    def require_clean(self, job: Job, database: str, records: Path) -> None:
        """Require that a job that was resumed has left what an undisturbed one leaves, and nothing else."""
        chosen = change.load(job.change, root=self.changes)
        there = len(chosen.steps)
        wanted = self.undone[job] if job.back else self.after_steps(chosen, there)[1]
        found = self.state(database)
        assert catalog.differences(wanted[0], found[0]) == []
        assert found[1] == wanted[1]
        with self.connected(database) as conn:
            self._require_ledger(conn, chosen, job, records)
            invalid = (
                "SELECT indexrelid::regclass::text AS name FROM pg_index"
                " WHERE NOT (indisvalid AND indisready AND indislive)"
            )
            assert conn.execute(invalid).fetchall() == []
            self._require_nobody(conn)

    def _require_ledger(
        self, conn: psycopg.Connection[dict[str, Any]], chosen: Change, job: Job, records: Path
    ) -> None:
        ledger = Ledger(conn, target.rehearsal(conn.info.dsn))
        assert ledger.check_chain().events
        rows = ledger.steps(chosen.name)
        number = [step.name for step in chosen.steps].index(job.step)
        events = ledger.events(change=chosen.name)
        for place, step in enumerate(chosen.steps):
            if job.back and place > number:
                assert step.name not in rows
                continue
            wanted = "rolled back" if job.back and place == number else "done"
            assert rows[step.name].status.value == wanted, f"{step.name} is {rows[step.name].status}"
            self._require_once(events, step, back=job.back and place == number)
        for journal in [Journal(file.parent) for file in records.glob("*/journal.jsonl")]:
            self._require_told(ledger, journal)

    def _require_once(self, events: list[dict[str, Any]], step: Step, *, back: bool) -> None:
        own = [event for event in events if event["step"] == step.name]
        done = [event for event in own if event["kind"] == "apply done"]
        assert len(done) == 1, f"{step.name} was done {len(done)} times"
        begun = [
            event["run_id"]
            for event in own
            if event["kind"] == "apply started" and event["id"] < done[0]["id"]
        ]
        assert begun, f"{step.name} was done and never started"
        assert done[0]["detail"]["note"] != "apply" or done[0]["run_id"] in begun
        ends = [event for event in own if event["kind"] == "rollback done"]
        nothing = [event for event in ends if event["detail"].get("note", "").startswith("was not finished")]
        if back:
            assert ends, f"{step.name} was not rolled back"
            starts = [event for event in own if event["kind"] == "rollback started"]
            assert len(starts) >= len(ends) - len(nothing)
            assert len(ends) - len(nothing) <= len(step.rollback), f"{step.name} was undone {len(ends)} times"
        else:
            assert ends == []

    def _require_told(self, ledger: Ledger, journal: Journal) -> None:
        """Every entry that the ledger was not told at the time is there now, once."""
        run_id = journal.path.parent.name
        if not ledger.knows(run_id):
            assert ledger.events(run_id=run_id) == []
            return
        there = [event["detail"].get("journal_entry") for event in ledger.events(run_id=run_id)]
        entries = [entry for entry in journal.entries() if entry["kind"] != "merged"]
        for entry in entries:
            if not entry["in_ledger"]:
                assert there.count(entry["n"]) == 1, (
                    f"{run_id}: {entry} is there {there.count(entry['n'])} times"
                )
        numbers = [number for number in there if number is not None]
        assert len(numbers) == len(set(numbers))
        merged = [one["detail"] for one in ledger.events(run_id=run_id) if "journal_at" in one["detail"]]
        at = {detail["journal_entry"]: detail["journal_at"] for detail in merged}
        for entry in entries:
            if entry["n"] in at:
                assert at[entry["n"]] == entry["at"]

    def _require_nobody(self, conn: psycopg.Connection[dict[str, Any]]) -> None:
        until = time.monotonic() + 15
        while left := conn.execute(
            "SELECT application_name AS left FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            " UNION ALL SELECT locktype || ' ' || mode FROM pg_locks WHERE pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND (locktype = 'advisory' OR mode NOT IN ('AccessShareLock', 'ShareUpdateExclusiveLock'))"
            " UNION ALL SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        ).fetchall():
            assert time.monotonic() < until, f"left behind: {left}"
            time.sleep(0.02)


@contextlib.contextmanager
def opened(major: int) -> Iterator[Arena]:
    """Open an arena on a server of its own; a socket's path has about 100 bytes, so its folder is short."""
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-fault-", dir=suite.place()))
    folder.chmod(0o711)
    running = embedded.start(major, folder=folder / "s")
    changes = folder / "changes"
    write_changes(changes)
    try:
        with Stable(folder) as stable:
            yield Arena(running, changes, folder, stable)
    finally:
        with contextlib.suppress(Exception):
            embedded.start(major, folder=folder / "s")
        embedded.stop(running)
        shutil.rmtree(folder, ignore_errors=True)
