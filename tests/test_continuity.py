"""Whether the server is still the same one: after a restart, a promotion, behind a name that moved."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from psycopg.conninfo import make_conninfo

from pgrunbook import bearings, continuity, session, suite
from pgrunbook import server as embedded
from pgrunbook.errors import CannotConnect, OtherServer, StepFailed
from pgrunbook.ledger import Ledger
from pgrunbook.session import ServerFacts
from pgrunbook.target import Kind, Target

Eventually = Callable[..., Any]
FACTS = ServerFacts("shop", "dba", "18.4", 180004, False, "7710", 2, "2026-03-01T22:00:00Z", 16384)


def later(**changed: Any) -> ServerFacts:
    return dataclasses.replace(FACTS, **changed)


# --- what two sights of a server tell ----------------------------------------------------------------------


def test_the_same_server_is_no_news() -> None:
    assert continuity.compare(FACTS, later(version="18.5", user="ann"), where="here") == []


def test_a_restart_says_when() -> None:
    assert continuity.compare(FACTS, later(started="2026-03-02T01:00:00Z"), where="here") == [
        "the server was restarted at 2026-03-02T01:00:00Z"
    ]


def test_a_promotion_says_what_may_be_missing() -> None:
    assert continuity.compare(FACTS, later(timeline=3, started="2026-03-02T01:00:00Z"), where="here") == [
        "a standby was promoted (timeline 2, now 3): what the old primary committed last may be missing here;"
        " ledger and catalog of this server decide"
    ]


@pytest.mark.parametrize(
    "other", [later(system_identifier="7711"), later(timeline=1), later(database_oid=16385)]
)
def test_another_cluster_an_older_branch_and_another_database_are_refused(other: ServerFacts) -> None:
    with pytest.raises(OtherServer):
        continuity.compare(FACTS, other, where="here")


def test_where_the_cluster_may_not_be_seen_the_database_is_compared() -> None:
    hidden = later(system_identifier="unknown", timeline=0)
    assert continuity.compare(hidden, hidden, where="here") == []
    with pytest.raises(OtherServer):
        continuity.compare(
            hidden, later(system_identifier="unknown", timeline=0, database_oid=1), where="here"
        )


def test_what_happened_since_a_step_began_is_told_once_and_only_if_it_did() -> None:
    before, after = "2026-03-01 21:59:59 UTC", "2026-03-01 22:00:00 UTC"
    assert continuity.since(before, FACTS.cluster, FACTS) == [
        "the server was restarted at 2026-03-01T22:00:00Z"
    ]
    assert continuity.since(after, FACTS.cluster, FACTS) == []
    (promotion,) = continuity.since(before, "system 7710, timeline 1", FACTS)
    assert promotion.startswith("a standby was promoted (timeline 1, now 2): ")


# --- real servers ------------------------------------------------------------------------------------------


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-test-", dir=suite.place()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def servers(place: Path, major: int) -> Iterator[Callable[[str], embedded.Server]]:
    """Start servers in folders of their own; they stop at the end."""
    started: list[embedded.Server] = []

    def start(name: str) -> embedded.Server:
        started.append(embedded.start(major, folder=place / name))
        return started[-1]

    yield start
    for one in started:
        embedded.stop(one)


class Name:
    """A name that leads to one server and, later, to another: a folder with a link to a socket."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "n"
        self.folder.mkdir()
        self.link = self.folder / f".s.PGSQL.{embedded.SETTINGS['port']}"

    def leads_to(self, server: embedded.Server) -> None:
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(server.data / self.link.name)

    def target(self, server: embedded.Server, database: str) -> Target:
        return Target(Kind.LIVE, make_conninfo(server.conninfo_for(database), host=str(self.folder)))


def stop(server: embedded.Server, mode: str = "fast") -> None:
    embedded._run(server, "pg_ctl", "stop", "-D", server.data, "-s", "-w", "-m", mode)


def loaded(server: embedded.Server, name: str = "shop") -> None:
    with psycopg.connect(embedded.create_database(server, name), autocommit=True) as conn:
        conn.execute(throwaway.TABLE)


def live(chosen: Any, bound: Target, records: Path) -> contextlib.AbstractContextManager[Any]:
    return throwaway.running(chosen, bound, records, policy=throwaway.Policy.APPROVE_ALL, reason="CHG-1")


def standby_of(primary: embedded.Server, place: Path, name: str) -> None:
    """Make a standby that follows a primary; it starts when its folder is started."""
    folder = place / name
    folder.mkdir(mode=0o711)
    # As the server's own user, so that the copy is that user's.
    programs = embedded._programs(primary)
    command = [programs / "pg_basebackup", "-D", folder / "data", "-R", "-X", "stream", "-c", "fast"]
    made = folder / "data"
    made.mkdir(mode=0o700)
    shutil.chown(made, primary.data.stat().st_uid, primary.data.stat().st_gid)
    embedded._execute(
        [*command, "-d", primary.conninfo_for("postgres")], subprocess.DEVNULL, embedded._other_user()
    )


def test_a_restart_between_two_steps_is_told_in_outcome_and_events(
    servers: Callable[[str], embedded.Server], tmp_path: Path
) -> None:
    server = servers("s")
    loaded(server)
    bound = Target(Kind.LIVE, server.conninfo_for("shop"))
    with live(throwaway.write(tmp_path), bound, tmp_path / "records") as made:
        throwaway.apply(made, "001")
        first = made.facts.started
        stop(server)
        with pytest.raises(CannotConnect):
            made.decide_by_policy("002")
        # The start of a server is told to the second.
        while (again := servers("s")) and _started(again) == first:
            stop(again)
        assert throwaway.apply(made, "002") == ["apply"]
        sentence = f"the server was restarted at {made.facts.started}"
        assert sentence in made.outcomes[-1].notices
        changed = [one for one in made.ledger.events(run_id=made.run_id) if one["kind"] == "server changed"]
        assert [one["detail"]["what"] for one in changed] == [sentence]
        assert throwaway.apply(made, "003") == ["apply"]
        assert made.outcomes[-1].notices == ()


def _started(server: embedded.Server) -> str:
    bound = Target(Kind.LIVE, server.conninfo_for("shop"))
    with contextlib.closing(session.connect(bound, purpose="look")) as conn:
        return session.bind(conn, bound).started


def test_another_cluster_behind_the_same_name_is_refused_in_the_middle_of_a_run(
    servers: Callable[[str], embedded.Server], place: Path, tmp_path: Path
) -> None:
    one, other, name = servers("a"), servers("b"), Name(place)
    loaded(one)
    loaded(other)
    name.leads_to(one)
    with live(throwaway.write(tmp_path), name.target(one, "shop"), tmp_path / "records") as made:
        throwaway.apply(made, "001")
        was = made.facts
        name.leads_to(other)
        # One connection only: the other one still stands, on the first server.
        made.work.close()
        with pytest.raises(OtherServer):
            throwaway.apply(made, "002")
        made.control.close()
        with pytest.raises(OtherServer) as caught:
            throwaway.apply(made, "002")
        stop(one)
    with psycopg.connect(other.conninfo_for("shop"), row_factory=psycopg.rows.dict_row) as conn:
        assert conn.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'pgrunbook'").fetchall() == []
        now = session.rows(conn, "cluster")[0]  # type: ignore[arg-type]
    assert str(caught.value).splitlines()[1] == f"  began on {was.cluster}, database oid {was.database_oid}"
    assert f"this is  system {now['system_identifier']}, timeline 1" in str(caught.value)


def test_a_database_that_was_made_anew_under_its_name_is_refused(
    servers: Callable[[str], embedded.Server], tmp_path: Path
) -> None:
    server = servers("s")
    loaded(server)
    bound = Target(Kind.LIVE, server.conninfo_for("shop"))
    with live(throwaway.write(tmp_path), bound, tmp_path / "records") as made:
        throwaway.apply(made, "001")
        loaded(server)
        with pytest.raises(OtherServer):
            throwaway.apply(made, "002")


SLOW = throwaway.changed(
    {
        "migrate/003_require_code.sql": (
            "-- Require the code\n-- hold_budget: 60 s\n-- lock: AccessExclusive on things\n\n"
            "ALTER TABLE things ADD CONSTRAINT things_code_present CHECK (code IS NOT NULL) NOT VALID;\n"
            "SELECT pg_sleep(60) FROM slow;\n"
        )
    }
)


def test_after_a_promotion_a_new_run_decides_from_ledger_and_catalog(
    servers: Callable[[str], embedded.Server], place: Path, tmp_path: Path, eventually: Eventually
) -> None:
    primary, name = servers("a"), Name(place)
    loaded(primary)
    with psycopg.connect(primary.conninfo_for("shop"), autocommit=True) as conn:
        conn.execute("CREATE TABLE slow AS SELECT 1 AS row")
    standby_of(primary, place, "b")
    standby = servers("b")
    name.leads_to(primary)
    chosen, bound = throwaway.write(tmp_path, SLOW), name.target(primary, "shop")
    with (
        live(chosen, bound, tmp_path / "records") as made,
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(primary.conninfo_for("shop"), autocommit=True) as conn,
    ):
        throwaway.apply(made, "001", "002")
        going = pool.submit(throwaway.apply, made, "003")
        asleep = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        eventually(lambda: conn.execute(asleep).fetchall())
        sent = "SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
        eventually(lambda: conn.execute(sent).fetchall())
        there = Target(Kind.LIVE, standby.conninfo_for("shop"))
        with contextlib.closing(session.connect(there, purpose="status")) as replica:
            # Its sessions and locks are the primary's: from here nobody can tell whether it was interrupted.
            found = bearings.of_change(Ledger(replica, there), chosen, "")
            told = "so the ledger says; whether anybody is at it cannot be known on a standby"
            assert (found.places[2].state, found.places[2].why) == ("running", told)
            assert found.call == "pgrunbook status 700_throwaway on the primary"
        stop(primary, "immediate")
        with pytest.raises(StepFailed):
            going.result(30)
        embedded._run(standby, "pg_ctl", "promote", "-D", standby.data, "-s", "-w")
        with psycopg.connect(standby.conninfo_for("shop"), autocommit=True) as there:
            there.execute("DELETE FROM slow")
        name.leads_to(standby)
        # The same run goes on.
        assert throwaway.apply(made, "003") == ["apply"]
        said = [notice for notice in made.outcomes[-1].notices if "promoted" in notice]
        assert said == [
            "a standby was promoted (timeline 1, now 2): what the old primary committed last may be missing here;"
            " ledger and catalog of this server decide"
        ]
        assert made.facts.timeline == 2
    with live(chosen, bound, tmp_path / "records") as made:
        # And so does a new one.
        made.ledger.conn.execute("UPDATE pgrunbook.step SET status = 'running' WHERE step LIKE '003%'")
        assert throwaway.apply(made, "003") == ["finished by an earlier run"]
        assert [one for one in made.outcomes[-1].notices if "promoted" in one] == said
        resumed = [one for one in made.ledger.events(run_id=made.run_id) if one["kind"] == "resumed"]
        assert [one["detail"]["what"] for one in resumed] == said
        assert made.check_chain()
    name.leads_to(primary)
    # The old primary comes back: it is behind.
    servers("a")
    with live(chosen, bound, tmp_path / "records") as made:
        assert made.facts.timeline == 1
        name.leads_to(standby)
        made.control.close()
        assert "promoted" in str(throwaway.statuses(made)) or made.facts.timeline == 2
        name.leads_to(primary)
        made.control.close()
        with pytest.raises(OtherServer):
            throwaway.statuses(made)
