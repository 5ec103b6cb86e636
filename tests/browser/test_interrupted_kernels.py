"""Kernels and connections that go while a statement really runs: one cell later the truth is told, nothing runs twice.

What a page makes of it is for test_interruptions.py: here the front end is scripted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from faults.proxy import Door, Point, Wire, behind_a_door
from psycopg.conninfo import make_conninfo
from scripted import OPENED, FrontEnd, kernel

Conn = psycopg.Connection[dict[str, Any]]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

GROUND = """
CREATE TABLE counted (id int);
CREATE TABLE go_on (x int);
CREATE FUNCTION runs_until_it_may_go_on() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT EXISTS (SELECT FROM go_on) LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$;
"""
STATEMENT, BUILD = "001", "002"
COUNTED = "001 Count ... done, nobody stalled"
ALREADY = "001 Count ... already done"
BUILT = "002 Build the index ... done, nobody stalled"
FILES = {
    "README.md": "# Throw-away\n",
    # It would leave a row more if it were done twice.
    "migrate/001_count.sql": "-- Count\n-- lock: RowExclusive on counted\n\n"
    "INSERT INTO counted SELECT count(*) + 1 FROM counted;\nSELECT runs_until_it_may_go_on();\n",
    "verify/001_count.sql": "-- Counted\n\nSELECT 'once' AS missing WHERE NOT EXISTS (SELECT FROM counted);\n",
    "rollback/001_count.sql": "-- Forget\n-- lock: RowExclusive on counted\n\nDELETE FROM counted;\n",
    **{name: text for name, text in throwaway.FILES.items() if name.endswith("002_build_index.sql")},
}
RUNS = {
    STATEMENT: "state = 'active' AND query LIKE '%runs_until_it_may_go_on%'",
    BUILD: "state = 'active' AND query LIKE '%CREATE UNIQUE INDEX CONCURRENTLY%' AND wait_event = 'virtualxid'",
}


@dataclass
class Desk:
    """A notebook's kernel, and the page before it."""

    manager: Any
    client: Any
    conn: Conn
    page: FrontEnd = field(init=False)

    def __post_init__(self) -> None:
        self.sit_down()

    def sit_down(self) -> None:
        """Run the first cells."""
        self.page = FrontEnd(self.client)
        self.page.done(self.page.run(OPENED))

    def cell(self, source: str) -> str:
        return self.page.done(self.page.run(source))

    def asked(self, step: str) -> str:
        """Run a gate's cell, and return it once it has asked."""
        gate = self.page.run(f"await runbook.gate('{step}')")
        self.page.shown(gate)
        return gate

    def answered(self) -> None:
        self.page.type(self.page.field("to arm GO"), "APPLY")
        go = self.page.field("^[|]GO$")
        self.page.until(lambda: self.page.widgets[go]["disabled"] is False)
        self.page.click(go)

    def go(self, step: str) -> None:
        gate = self.asked(step)
        self.answered()
        assert "... open, approved by ann" in self.page.done(gate)

    def begun(self, step: str, eventually: Callable[..., Any]) -> str:
        """Run a step's cell, and return it once its statement runs."""
        made = self.page.run(f"await runbook.apply('{step}')")
        eventually(lambda: self.works(step))
        return made

    def works(self, step: str) -> list[int]:
        """The server's sessions that run the statement of a step."""
        found = self.conn.execute(
            f"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND {RUNS[step]}"
            " AND application_name LIKE 'pgrunbook step %'"
        )
        return [one["pid"] for one in found]

    def is_runner(self) -> bool:
        """Whether a run holds the runner lock."""
        found = self.conn.execute(
            "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
            " AND datname = current_database() AND application_name LIKE 'pgrunbook control %'"
        )
        return bool(found.fetchall())

    def restarted(self, *, killed: bool) -> None:
        # On a slow machine too a kernel comes to its clean end.
        self.manager.shutdown_wait_time = 60
        self.manager.restart_kernel(now=killed)
        # What the old connection was given last may have gone with the old kernel.
        self.client.stop_channels()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.sit_down()

    def stands(self, step: str) -> str:
        """What the ledger says."""
        found = self.conn.execute("SELECT status FROM pgrunbook.step WHERE step LIKE %s", [f"{step}%"])
        return ", ".join(one["status"] for one in found)

    def kinds(self, step: str) -> list[str]:
        found = self.conn.execute(
            "SELECT kind FROM pgrunbook.event WHERE step LIKE %s AND kind NOT IN ('observed', 'gate') ORDER BY id",
            [f"{step}%"],
        )
        return [one["kind"] for one in found]

    def go_on(self) -> None:
        """Let the statement of the first step come to its end."""
        self.conn.execute("INSERT INTO go_on VALUES (1)")

    def counted(self) -> int:
        """How often the first step was done."""
        (row,) = self.conn.execute("SELECT count(*) AS times FROM counted")
        return int(row["times"])

    def indexes(self) -> list[bool]:
        """Each index beside the key: whether it is valid."""
        found = self.conn.execute(
            "SELECT indisvalid AS valid FROM pg_index WHERE indrelid = 'things'::regclass AND NOT indisprimary"
        )
        return [one["valid"] for one in found]


@pytest.fixture
def target(database: str) -> str:
    return database


@pytest.fixture
def desk(target: str, conn: Conn, tmp_path: Path) -> Iterator[Desk]:
    conn.execute(throwaway.TABLE + GROUND)
    throwaway.write(tmp_path / "changes", FILES)
    with kernel(tmp_path, target) as (manager, client):
        made = Desk(manager, client, conn)
        yield made
        made.client.stop_channels()


@pytest.fixture
def door(database: str) -> Iterator[Commits]:
    """A way to the server that can be cut."""
    with behind_a_door(database, Commits) as (made, _):
        yield made


class Commits(Door):
    """A door that knows the moment when a step commits."""

    cut_at_commit = ""

    def pass_on(self, wire: Wire, unit: bytes, text: str) -> None:
        if self.cut_at_commit and (wire.role, text) == ("step", "COMMIT"):
            here, self.cut_at_commit = self.cut_at_commit, ""
            self.point = Point(wire.role, self._counts[wire.role] + 1, here == "after")
            self.fire = lambda _wire: bool(self.cut())
        super().pass_on(wire, unit, text)


@pytest.fixture
def counted(desk: Desk) -> Desk:
    """The first step is done, the second has its GO, and an old transaction is open: a build would wait for it."""
    desk.go_on()
    desk.go(STATEMENT)
    assert desk.cell("await runbook.apply('001')") == COUNTED
    desk.go(BUILD)
    return desk


@pytest.fixture
def old(elsewhere: Any) -> Any:
    """A session that reads what was there a while ago."""
    elsewhere.begin_and_hold("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    return elsewhere


def test_a_kernel_restarted_while_a_statement_runs_has_it_taken_back(desk: Desk, eventually: Any) -> None:
    desk.go(STATEMENT)
    desk.begun(STATEMENT, eventually)
    desk.restarted(killed=False)
    assert desk.works(STATEMENT) == []
    assert desk.cell("runbook.status()") == (
        "700_throwaway: 0 of 2 steps done\n"
        'resume here: run the cell await runbook.gate("001") (gate closed: nobody approved it in this run)'
    )
    assert (desk.stands(STATEMENT), desk.counted()) == ("failed", 0)
    desk.go_on()
    desk.go(STATEMENT)
    assert desk.cell("await runbook.apply('001')") == COUNTED
    assert desk.kinds(STATEMENT) == ["apply started", "apply cancelled", "apply started", "apply done"]
    assert desk.counted() == 1


def test_a_kernel_killed_while_a_statement_runs_leaves_it_to_the_server(desk: Desk, eventually: Any) -> None:
    desk.go(STATEMENT)
    desk.begun(STATEMENT, eventually)
    desk.restarted(killed=True)
    (pid,) = desk.works(STATEMENT)
    assert desk.cell("runbook.status()").endswith(
        f"(001 is at work: pid {pid}, its runner is gone, the server still works on it)"
    )
    assert desk.stands(STATEMENT) == "running"
    gate = desk.asked(STATEMENT)
    desk.answered()
    step = desk.page.run("await runbook.apply('001')")
    # The new run decides nothing while a session of the old one is at work.
    eventually(desk.is_runner)
    desk.go_on()
    assert "... open" in desk.page.done(gate)
    assert desk.page.done(step) == COUNTED
    assert desk.kinds(STATEMENT) == ["apply started", "apply started", "apply done"]
    assert desk.counted() == 1


def test_a_kernel_restarted_while_an_index_is_built_stops_it_and_the_next_run_clears_it(
    counted: Desk, old: Any, eventually: Any
) -> None:
    desk = counted
    desk.begun(BUILD, eventually)
    desk.restarted(killed=False)
    assert desk.works(BUILD) == []
    assert desk.cell("runbook.status()").startswith("700_throwaway: 1 of 2 steps done\n")
    assert (desk.stands(BUILD), desk.indexes()) == ("failed", [])
    desk.go(BUILD)
    old.release()
    assert desk.cell("await runbook.apply('002')") == BUILT
    assert desk.kinds(BUILD) == ["apply started", "apply cancelled", "apply started", "apply done"]
    assert desk.indexes() == [True]


@pytest.mark.parametrize("ends", ["before the next run", "while it is watched"])
def test_a_build_that_outlives_its_kernel_is_watched_to_its_end_and_built_once(
    ends: str, counted: Desk, old: Any, eventually: Any
) -> None:
    desk = counted
    desk.begun(BUILD, eventually)
    desk.restarted(killed=True)
    (pid,) = desk.works(BUILD)
    assert desk.cell("runbook.status()").endswith(
        f"(002 is at work: pid {pid}, its runner is gone, the server still works on it)"
    )
    assert (desk.stands(BUILD), desk.indexes()) == ("running", [False])
    if ends == "before the next run":
        old.release()
        eventually(lambda: desk.indexes() == [True])
        assert "valid" in desk.cell("runbook.status().facts['steps'][1]['why']")
    desk.go(BUILD)
    step = desk.page.run("await runbook.apply('002')")
    if ends == "while it is watched":
        desk.page.field("^[|]Cancel$")
        assert desk.works(BUILD) == [pid]
        old.release()
    assert desk.page.done(step) == "002 Build the index ... finished by an earlier run"
    assert desk.kinds(BUILD) == ["apply started", "apply done"]
    assert desk.indexes() == [True]


class TestTheWayToTheServerIsCut:
    """Every connection of the notebook at once, as where a router restarts."""

    @pytest.fixture
    def target(self, database: str, door: Door) -> str:
        return make_conninfo(database, host=str(door.folder))

    def test_while_a_gate_waits_it_is_answered_all_the_same(self, desk: Desk, door: Door) -> None:
        gate = desk.asked(STATEMENT)
        door.cut()
        desk.answered()
        assert "... open, approved by ann" in desk.page.done(gate)
        desk.go_on()
        assert desk.cell("await runbook.apply('001')") == COUNTED
        assert desk.kinds(STATEMENT) == ["apply started", "apply done"]
        assert desk.counted() == 1

    def test_while_a_statement_runs_nobody_says_that_it_was_taken_back(
        self, desk: Desk, door: Door, eventually: Any
    ) -> None:
        desk.go(STATEMENT)
        step = desk.begun(STATEMENT, eventually)
        (pid,) = desk.works(STATEMENT)
        door.cut()
        told = desk.page.done(step)
        assert told.startswith("StepFailed: 001_count failed: migrate/001_count.sql: ")
        assert told.splitlines()[-2:] == [
            "  the connection was lost: the server may work on until it notices, then it rolls the transaction"
            " back; nothing will be left behind",
            "  next: apply the step again: it connects anew and reads where the step stands",
        ]
        assert desk.cell("runbook.status()").endswith(
            f"(001 is at work: pid {pid}, its runner is gone, the server still works on it)"
        )
        step = desk.page.run("await runbook.apply('001')")
        eventually(desk.is_runner)
        desk.go_on()
        assert desk.page.done(step) == COUNTED
        assert desk.kinds(STATEMENT) == ["apply started", "apply failed", "apply started", "apply done"]
        assert desk.counted() == 1

    def test_while_an_index_is_built_the_next_call_watches_the_build(
        self, counted: Desk, door: Door, old: Any, eventually: Any
    ) -> None:
        desk = counted
        step = desk.begun(BUILD, eventually)
        (pid,) = desk.works(BUILD)
        door.cut()
        told = desk.page.done(step)
        assert told.startswith("StepFailed: 002_build_index failed: migrate/002_build_index.sql: ")
        assert "what is left could not be looked at" in told
        assert told.endswith("next: apply the step again: it connects anew and reads where the step stands")
        assert desk.works(BUILD) == [pid]
        step = desk.page.run("await runbook.apply('002')")
        old.release()
        assert desk.page.done(step) == "002 Build the index ... finished by an earlier run"
        assert desk.kinds(BUILD) == ["apply started", "apply failed", "apply done"]
        assert desk.indexes() == [True]

    @pytest.mark.parametrize(("when", "done", "next_"), [("before", 0, COUNTED), ("after", 1, ALREADY)])
    def test_at_commit_the_ledger_tells(
        self, when: str, done: int, next_: str, desk: Desk, door: Commits
    ) -> None:
        desk.go_on()
        desk.go(STATEMENT)
        door.cut_at_commit = when
        told = desk.cell("await runbook.apply('001')")
        assert told.startswith("StepFailed: 001_count failed: migrate/001_count.sql: ")
        assert (
            "\n  whether the server committed is not known here; its ledger is\n  next: apply the step again"
            in told
        )
        assert desk.cell("runbook.status()").startswith(f"700_throwaway: {done} of 2 steps done\n")
        assert desk.counted() == done
        assert desk.cell("await runbook.apply('001')") == next_
        assert desk.counted() == 1
        assert desk.kinds(STATEMENT).count("apply done") == 1
