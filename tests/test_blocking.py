"""The command `blockers`: from a second terminal it lists who is in the way, and ends one on request."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from jsonschema import Draft202012Validator
from operating import AT_ONCE, Desk, ended
from psycopg.conninfo import make_conninfo
from throwaway import NAME

from pgrunbook import records
from pgrunbook.binding import Binding
from pgrunbook.errors import LedgerRefused

if TYPE_CHECKING:
    from conftest import Elsewhere

Eventually = Callable[..., Any]
EVENTS = (
    "SELECT concat_ws(' | ', kind, step, actor, detail ->> 'reason_given') FROM pgrunbook.event"
    " WHERE kind LIKE 'blocker%' ORDER BY id"
)


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        desk.write()
        yield desk


def test_it_lists_who_would_make_the_next_step_wait_and_writes_nothing(
    desk: Desk, elsewhere: Elsewhere
) -> None:
    said = desk("blockers", NAME)
    assert (said.code, said.out, said.err) == (0, "001_add_note: nobody is in the way now\n", "")
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    said = desk("blockers", NAME)
    assert said.code == 0
    assert said.out.startswith("001_add_note: 1 in the way now\n")
    assert "SELECT count(*) FROM things" in said.out
    facts = desk("blockers", NAME, "--json").facts
    (one,) = facts["blockers"]
    assert (one["pid"], one["role"], one["state"]) == (elsewhere.pid, "postgres", "idle in transaction")
    assert one["holds"] == "AccessShareLock on things"
    assert not desk.has_ledger
    assert not desk.records.exists()


def test_each_step_has_its_own_blockers(desk: Desk, elsewhere: Elsewhere) -> None:
    # Who only reads is in the way of an ALTER TABLE and not of a concurrent build.
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    assert len(desk("blockers", NAME, "--step", "003", "--json").facts["blockers"]) == 1
    assert desk("blockers", NAME, "--step", "002", "--json").facts["blockers"] == []
    elsewhere.execute("UPDATE things SET code = code WHERE id = 1")
    assert len(desk("blockers", NAME, "--step", "002", "--json").facts["blockers"]) == 1
    assert desk("blockers", NAME, "--step", "009").code == 1


def test_after_the_last_step_nothing_is_next(desk: Desk) -> None:
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk("blockers", NAME).out == f"{NAME}: every step is done\n"


def test_a_waiting_apply_says_for_whom_and_goes_on_when_a_second_terminal_ends_them(
    desk: Desk, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    process = desk.start("apply", NAME, *AT_ONCE)
    eventually(lambda: desk.has_ledger and desk.statuses == ["running"], timeout=30)
    said = desk("blockers", NAME, "--end", str(elsewhere.pid), "--reason", "CHG-7", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.facts == {"pid": elsewhere.pid, "done": True, "gone": True, "event": "blocker ended"}
    done = ended(process)
    assert done.code == 0, done.err
    waits = f"waits, and nobody behind us: pid {elsewhere.pid} holds AccessShareLock on things for "
    assert waits in done.err
    assert desk.ask(EVENTS) == ["blocker ended | 001_add_note | ann | CHG-7"]
    # In the run that waited, not in one of its own.
    assert desk.ask("SELECT count(DISTINCT run_id) FROM pgrunbook.event") == [1]
    assert "; event chain: unbroken" in desk("status").out
    with pytest.raises(psycopg.OperationalError):
        elsewhere.execute("SELECT 1")


def test_without_a_run_it_is_kept_as_a_run_of_its_own(desk: Desk, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    said = desk("blockers", NAME, "--cancel", str(elsewhere.pid), "--reason", "CHG-7")
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith(
        f"BlockerStays: pid {elsewhere.pid} was left alone: it runs no statement that could be cancelled\n"
    )
    said = desk("blockers", NAME, "--end", str(elsewhere.pid), "--reason", "CHG-8")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"pid {elsewhere.pid}: its session was ended, it is out of the way\n"
    assert desk.ask(EVENTS) == [
        "blocker not ended | 001_add_note | ann | CHG-7",
        "blocker ended | 001_add_note | ann | CHG-8",
    ]
    runs = desk.ask("SELECT run_id FROM pgrunbook.run ORDER BY started_at")
    assert desk.ask("SELECT outcome FROM pgrunbook.run ORDER BY started_at") == [
        "blocker not ended",
        "blocker ended",
    ]
    assert desk("record", runs[1]).code == 0
    facts = json.loads((desk.records / runs[1] / "record.json").read_text())
    Draft202012Validator(json.loads(records.schema())).validate(facts)
    (kept,) = facts["signals"]
    assert (kept["who_asked"], kept["why"], kept["pid"]) == ("ann", "CHG-8", elsewhere.pid)
    page = (desk.records / runs[1] / "record.html").read_text()
    assert "Sessions cancelled or ended" in page
    assert "CHG-8" in page.partition("Sessions cancelled or ended")[2]


def test_what_could_not_be_kept_is_not_done(
    desk: Desk, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")

    def refused(_binding: Binding) -> None:
        raise LedgerRefused(where="there", user="ann", reason="permission denied for database shop")

    monkeypatch.setattr(Binding, "begin_writing", refused)
    said = desk("blockers", NAME, "--end", str(elsewhere.pid), "--reason", "CHG-7")
    assert (said.code, said.err.partition(":")[0]) == (1, "LedgerRefused")
    assert elsewhere.execute("SELECT 1 AS x") == [{"x": 1}]


def test_what_was_done_is_said_where_the_ledger_of_the_run_refuses_it(
    desk: Desk, eventually: Eventually
) -> None:
    with desk.looking() as conn, contextlib.ExitStack() as after:
        conn.execute(
            "CREATE ROLE reader LOGIN; CREATE ROLE helper LOGIN; GRANT SELECT ON things TO reader;"
            " GRANT pg_signal_backend, pg_read_all_stats TO helper"
        )
        after.callback(conn.execute, "DROP OWNED BY helper, reader; DROP ROLE helper, reader")
        reader = psycopg.connect(make_conninfo(desk.database, user="reader"))
        after.callback(reader.close)
        reader.execute("SELECT count(*) FROM things")
        process = desk.start("apply", NAME, *AT_ONCE)
        eventually(lambda: desk.has_ledger and desk.statuses == ["running"], timeout=30)
        conn.execute(
            "GRANT USAGE ON SCHEMA pgrunbook TO helper; GRANT SELECT ON ALL TABLES IN SCHEMA pgrunbook TO helper"
        )
        pid, helper = reader.info.backend_pid, make_conninfo(desk.database, user="helper")
        said = desk("blockers", NAME, "--end", str(pid), "--reason", "CHG-7", PGRUNBOOK_TARGET=helper)
        assert ended(process).code == 0
    assert said.code == 1
    assert said.err.startswith(f"SignalUntold: pid {pid}: its session was ended, it is out of the way\n")
    assert "the ledger does not know that: role 'helper' cannot keep the ledger " in said.err


def test_only_who_is_in_the_way_is_ended_and_only_with_a_reason(desk: Desk, elsewhere: Elsewhere) -> None:
    said = desk("blockers", NAME, "--end", str(elsewhere.pid), "--reason", "CHG-7")
    assert (said.code, said.err) == (
        3,
        f"BlockerStays: pid {elsewhere.pid} was left alone: it is not in the way\n"
        "  next: look again: nothing was done\n",
    )
    said = desk("blockers", NAME, "--cancel", str(elsewhere.pid))
    assert (said.code, said.err.splitlines()[0]) == (3, "ReasonMissing: --cancel needs a reason")
    assert desk("blockers", NAME, "--cancel", "1", "--end", "2").code == 2
    assert elsewhere.execute("SELECT 1 AS x") == [{"x": 1}]
    assert not desk.has_ledger
