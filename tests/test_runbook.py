"""The runbook of a notebook: gates fail closed, views never vary, nothing is left behind."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from attended import Person, at_once
from jupyter_client.manager import start_new_kernel

from pgrunbook import binding
from pgrunbook import runbook as facade
from pgrunbook import server as embedded
from pgrunbook.errors import (
    BadWindow,
    GateClosed,
    PreflightFailed,
    PreflightMissing,
    QueryRefused,
    ScriptChanged,
    StepCancelled,
    UnknownName,
)
from pgrunbook.ledger import HOLD_CHAIN
from pgrunbook.runbook import Runbook
from pgrunbook.views.view import View

STEPS = ("001", "002", "003")
Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, server: embedded.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    changes = tmp_path / "changes"
    throwaway.write(changes)
    monkeypatch.setenv("PGRUNBOOK_CHANGES", str(changes))
    monkeypatch.setenv("PGRUNBOOK_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("PGRUNBOOK_OPERATOR", "ann")
    monkeypatch.delenv("PGRUNBOOK_TARGET", raising=False)
    monkeypatch.setattr(facade.server, "start", lambda _major: server)
    yield changes
    facade._close_all()


@pytest.fixture
def live(conn: Conn, database: str, monkeypatch: pytest.MonkeyPatch) -> Runbook:
    """The runbook of a live target whose board says GO."""
    conn.execute(throwaway.TABLE)
    monkeypatch.setenv("PGRUNBOOK_TARGET", database)
    made = Runbook.open(throwaway.NAME)
    made.preflight()
    return made


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(monkeypatch)


def statuses(runbook: Runbook) -> list[str]:
    return throwaway.statuses(runbook.run)


async def top_to_bottom(runbook: Runbook) -> list[View]:
    """Run what the cells of a notebook run."""
    views = [runbook.preflight(), runbook.preview("10_doubled_codes")]
    views += [await runbook.gate("10_doubled_codes"), await runbook.remedy("10_doubled_codes")]
    views += [runbook.preflight(), await runbook.rehearse(), runbook.time_before()]
    for step in STEPS:
        views += [runbook.sql(step), await runbook.gate(step), await runbook.apply(step)]
    views += [runbook.verify(), runbook.time_after(), runbook.lock_waits()]
    views += [
        await runbook.gate("rollback to 001"),
        await runbook.roll_back(to="001"),
        await runbook.forward_again(),
    ]
    return [*views, runbook.status(), runbook.record()]


def rehearsals(server: embedded.Server) -> set[str]:
    with psycopg.connect(server.conninfo_for("postgres")) as conn:
        found = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'rehearsal%'")
        return {str(name) for (name,) in found}


# -- rehearsals --------------------------------------------------------------------------------------


def test_a_rehearsal_says_the_same_words_each_time(server: embedded.Server) -> None:
    said = []
    before = rehearsals(server)
    for _ in range(2):
        runbook = Runbook.open(throwaway.NAME)
        views = [View(runbook._repr_mimebundle_()[0]["text/plain"]), *asyncio.run(top_to_bottom(runbook))]  # type: ignore[index]
        assert len(rehearsals(server) - before) == 1
        runbook.close()
        assert rehearsals(server) == before
        said.append([(view.text, view.html) for view in views])
    assert said[0] == said[1]
    assert [text for text, _ in said[0]] == [
        "700_throwaway bound to the rehearsal database, a primary (rehearsal)",
        "700_throwaway: NO-GO, 1 of 13 checks found rows",
        "remedy 10_doubled_codes ... would repair 2 rows of things in its first batch; undo gives every row back",
        "gate 10_doubled_codes ... open, approved by the rehearsal",
        "remedy 10_doubled_codes ... 2 rows repaired, what was replaced is in quarantine",
        "700_throwaway: GO, 13 checks found nothing",
        "700_throwaway rehearsed on a clone: 6 files, every lock as declared; the way back restores the catalog",
        "1 query timed before the change",
        "migrate/001_add_note.sql",
        "gate 001_add_note ... open, approved by the rehearsal",
        "001 Add the note ... done, nobody stalled",
        "migrate/002_build_index.sql",
        "gate 002_build_index ... open, approved by the rehearsal",
        "002 Build the index ... done, nobody stalled",
        "migrate/003_require_code.sql",
        "gate 003_require_code ... open, approved by the rehearsal",
        "003 Require the code ... done, nobody stalled",
        "3 steps verified, all promises hold",
        "1 query timed, every expectation holds",
        "lock waits of 3 steps: nobody stalled",
        "gate rollback to 001_add_note ... open, approved by the rehearsal",
        "003 Require the code ... rolled back, nobody stalled\n002 Build the index ... rolled back, nobody stalled",
        "002 Build the index ... done, nobody stalled\n003 Require the code ... done, nobody stalled",
        "700_throwaway: 3 of 3 steps done\n"
        "resume here: run the cell runbook.verify(), then runbook.record() (every step is done)",
        "record written, event chain unbroken",
    ]


def test_steps_in_a_group_are_gated_and_applied_one_after_the_other(server: embedded.Server) -> None:
    runbook = Runbook.open(throwaway.NAME, planted=[])
    runbook.preflight()
    assert runbook.sql(*STEPS[:2]).text == "migrate/001_add_note.sql\nmigrate/002_build_index.sql"
    gates = asyncio.run(runbook.gate(*STEPS[:2]))
    assert gates.text.splitlines() == [
        "gate 001_add_note ... open, approved by the rehearsal",
        "gate 002_build_index ... open, approved by the rehearsal",
    ]
    # The third has no GO: what stands before it is done, and stays.
    with pytest.raises(GateClosed):
        asyncio.run(runbook.apply(*STEPS))
    assert statuses(runbook)[:2] == ["done", "done"]
    assert [heading for heading, _ in runbook.shown][-2:] == ["001_add_note", "002_build_index"]


def test_opening_again_closes_the_one_before(server: embedded.Server) -> None:
    before = rehearsals(server)
    for _ in range(2):
        Runbook.open(throwaway.NAME)
    assert len(rehearsals(server) - before) == 1


def test_a_rehearsal_without_obstacles_needs_no_remedy() -> None:
    runbook = Runbook.open(throwaway.NAME, planted=[])
    runbook.preflight()
    assert (
        at_once(runbook.gate("10_doubled_codes")).text
        == "gate 10_doubled_codes ... not asked: nothing to repair"
    )
    assert at_once(runbook.remedy("10_doubled_codes")).text == "remedy 10_doubled_codes ... nothing to repair"


# -- names that are not there ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda _: Runbook.open("nope"), "no change named 'nope'\n  next: choose one of: 700_throwaway"),
        (lambda _: Runbook.open("../700"), "no change named '../700'\n  next: choose one of: 700_throwaway"),
        (
            lambda runbook: runbook.sql("009"),
            "no step named '009'\n  next: choose one of: 001_add_note, 002_build_index, 003_require_code",
        ),
        (
            lambda runbook: asyncio.run(runbook.gate("009")),
            "no step named '009'\n  next: choose one of: 001_add_note, 002_build_index, 003_require_code",
        ),
        (
            lambda runbook: asyncio.run(runbook.apply("009")),
            "no step named '009'\n  next: choose one of: 001_add_note, 002_build_index, 003_require_code",
        ),
        (
            lambda runbook: runbook.preview("10_nothing"),
            "no remedy named '10_nothing'\n  next: choose one of: 10_doubled_codes",
        ),
    ],
)
def test_a_name_that_is_not_there_is_told_with_those_that_are(
    live: Runbook, ask: Callable[[Runbook], object], message: str
) -> None:
    with pytest.raises(UnknownName) as caught:
        ask(live)
    assert str(caught.value) == message


# -- a live target with nobody there -----------------------------------------------------------------


def test_without_a_person_the_gates_of_a_live_target_stay_closed(live: Runbook, conn: Conn) -> None:
    with pytest.raises(GateClosed) as caught:
        at_once(live.gate("001"))
    assert str(caught.value) == (
        "the gate of 001_add_note is closed: nobody is here to ask, and no policy was set\n"
        '  next: approve it with runbook.gate("001") in the notebook, or'
        " --approve-all --reason TEXT on the command line; nothing was changed"
    )
    for cell in (live.apply("001"), live.undo("10_doubled_codes")):
        with pytest.raises(GateClosed):
            at_once(cell)
    assert at_once(live.gate("rollback")).text.startswith(
        "gate rollback ... closed, the change stays: nobody is here"
    )
    assert at_once(live.roll_back()).text == "nothing rolled back: the gate is closed, the change stays"
    assert conn.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'pgrunbook'").fetchone() is None


def test_a_live_binding_shows_server_and_role(live: Runbook) -> None:
    data, metadata = live._repr_mimebundle_()  # type: ignore[misc]
    assert re.fullmatch(
        r"700_throwaway bound to database '\w+' on the local socket as 'postgres', a primary \(LIVE\)",
        data["text/plain"],
    )
    assert f"PostgreSQL {live.run.facts.version}" in data["text/html"]
    assert metadata["pgrunbook"]["role"] == "postgres"


def test_a_live_binding_tells_the_window_that_the_call_or_the_environment_sets(
    live: Runbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGRUNBOOK_WINDOW_ENDS", "2100-01-01 05:00+02:00")
    said = Runbook.open(throwaway.NAME)._repr_mimebundle_()[0]["text/plain"]  # type: ignore[index]
    assert said.endswith("(LIVE), window ends 2100-01-01 05:00:00 UTC+02:00")
    made = Runbook.open(throwaway.NAME, window_ends=datetime(2101, 1, 1, tzinfo=UTC))
    assert made.run.budgets.window == "2101-01-01 00:00:00 UTC"
    with pytest.raises(BadWindow, match="no date and time"):
        Runbook.open(throwaway.NAME, window_ends="tomorrow")
    # The window is the live target's: a rehearsal before it, or after it, is none of its business.
    monkeypatch.delenv("PGRUNBOOK_TARGET")
    assert Runbook.open(throwaway.NAME, planted=[]).run.budgets.window_ends is None


# -- a live target with a person ---------------------------------------------------------------------


def test_go_opens_the_gate_of_one_step(live: Runbook, person: Person) -> None:
    view = at_once(live.gate("001"), person.answer(go=True))
    assert view.text == "gate 001_add_note ... open, approved by ann (CHG-1)"
    assert at_once(live.apply("001")).text == "001 Add the note ... done, nobody stalled"
    with pytest.raises(GateClosed, match="nobody approved it in this run"):
        at_once(live.apply("002"))


def test_no_go_closes_it(live: Runbook, person: Person) -> None:
    with pytest.raises(GateClosed, match="ann said NO-GO"):
        at_once(live.gate("001"), person.answer(go=False))
    with pytest.raises(GateClosed, match="ann said NO-GO"):
        at_once(live.apply("001"))
    assert statuses(live) == ["not run"] * 3


def test_a_gate_is_not_asked_before_the_board_says_go(live: Runbook, conn: Conn, person: Person) -> None:
    conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    live.preflight()
    with pytest.raises(PreflightFailed):
        at_once(live.gate("001"))
    fresh = Runbook.open(throwaway.NAME)
    with pytest.raises(PreflightMissing):
        at_once(fresh.gate("001"))
    assert person.panels == []


def test_a_check_that_guards_a_step_closes_its_gate_alone_and_the_record_shows_the_rows(
    conn: Conn, database: str, monkeypatch: pytest.MonkeyPatch, person: Person, folder: Path
) -> None:
    name = "preflight/10_doubled_codes.sql"
    check = throwaway.FILES[name].replace("\n\n", "\n-- before: 002\n\n", 1)
    throwaway.write(folder, throwaway.changed({name: check}))
    conn.execute(throwaway.TABLE + "UPDATE things SET code = 'c1' WHERE id = 2")
    monkeypatch.setenv("PGRUNBOOK_TARGET", database)
    made = Runbook.open(throwaway.NAME)
    assert made.preflight().text.startswith("700_throwaway: GO until 002_build_index, 1 of ")
    at_once(made.gate("001"), person.answer(go=True))
    at_once(made.apply("001"))
    with pytest.raises(PreflightFailed, match="NO-GO before 002_build_index"):
        at_once(made.gate("002"))
    heading, view = made.shown[-1]
    assert heading == "Preflight before 002"
    assert ">c1<" in (view.html or "")
    at_once(made.gate("10_doubled_codes"), person.answer(go=True))
    at_once(made.remedy("10_doubled_codes"))
    at_once(made.gate("002"), person.answer(go=True))
    assert at_once(made.apply("002")).text == "002 Build the index ... done, nobody stalled"


def test_two_people_have_to_give_their_names(live: Runbook, person: Person) -> None:
    live = Runbook.open(throwaway.NAME, approvals=2)
    live.preflight()

    async def both() -> None:
        first = await person.answer(go=True, who="ann")
        assert first.question.about["approvals"] == "2 people, each under their own name"
        second = await person.answer(go=True, who="Ann ")
        assert second.question.about["approvals"][0] == "1 of 2 people approved it (ann)"
        await person.answer(go=True, who="bob", reason="CHG-2")

    view = at_once(live.gate("001"), both())
    assert view.text == "gate 001_add_note ... open, approved by Ann (CHG-1), bob (CHG-2)"
    assert at_once(live.apply("001")).text == "001 Add the note ... done, nobody stalled"


def test_the_stop_button_at_a_gate_is_no_answer(live: Runbook, person: Person) -> None:
    async def scene() -> None:
        cell = asyncio.ensure_future(live.gate("001"))
        while not person.panels:
            await asyncio.sleep(0.01)
        cell.cancel()
        with pytest.raises(GateClosed, match="the cell was stopped before anybody answered"):
            await cell

    asyncio.run(scene())
    assert live.run.gates.decisions == {}


def test_cancel_ends_a_wait_and_the_same_cell_resumes(live: Runbook, person: Person, elsewhere: Any) -> None:
    at_once(live.gate("001"), person.answer(go=True))
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    waiting = person.cancel(lambda panel: f"pid {elsewhere.pid}" in panel.text.value)
    with pytest.raises(StepCancelled, match="the transaction was rolled back: nothing was left behind"):
        at_once(live.apply("001"), waiting)
    assert statuses(live)[0] == "failed"
    elsewhere.release()
    assert at_once(live.apply("001")).text == "001 Add the note ... done, nobody stalled"


def test_a_no_to_the_rollback_keeps_the_change_and_goes_on(live: Runbook, person: Person) -> None:
    for step in STEPS:
        at_once(live.gate(step), person.answer(go=True))
        at_once(live.apply(step))
    view = at_once(live.gate("rollback"), person.answer(go=False, reason="all is well"))
    assert view.text == "gate rollback ... closed, the change stays: ann said NO-GO (all is well)"
    assert at_once(live.roll_back()).text == "nothing rolled back: the gate is closed, the change stays"
    assert at_once(live.forward_again()).text == "nothing to apply again: the change stays"
    assert live.record().text.startswith("record written, event chain unbroken: ")
    assert statuses(live) == ["done"] * 3


def test_what_a_person_rolled_back_stays_so_until_a_new_go(live: Runbook, person: Person) -> None:
    for step in STEPS:
        at_once(live.gate(step), person.answer(go=True))
        at_once(live.apply(step))
    with pytest.raises(TimeoutError):
        asyncio.run(
            asyncio.wait_for(_answered(live.gate("rollback"), person.answer(go=True, word="APPLY")), 0.5)
        )
    at_once(live.gate("rollback to 002"), person.answer(go=True, word="ROLL BACK"))
    # It is no GO to undo more.
    assert at_once(live.roll_back()).text == "nothing rolled back: the gate is closed, the change stays"
    undone = at_once(live.roll_back(to="002"))
    assert undone.text == "003 Require the code ... rolled back, nobody stalled"
    assert at_once(live.forward_again()).text == "nothing to apply again: what was rolled back stays so"
    with pytest.raises(GateClosed, match="nobody approved it in this run"):
        at_once(live.apply("003"))
    # One GO is one rollback.
    assert at_once(live.roll_back()).text == "nothing rolled back: the gate is closed, the change stays"
    assert statuses(live) == ["done", "done", "rolled back"]


async def _answered(cell: Any, answer: Any) -> None:
    await asyncio.gather(cell, answer)


def test_run_all_again_goes_on_where_the_last_one_ended(live: Runbook, person: Person) -> None:
    at_once(live.gate("001"), person.answer(go=True))
    at_once(live.apply("001"))
    # The runner lock of the first must not stand in the way of the second.
    again = Runbook.open(throwaway.NAME)
    again.preflight()
    assert at_once(again.gate("001")).text == "gate 001 ... not asked: already done"
    assert at_once(again.apply("001")).text == "001 Add the note ... already done"
    at_once(again.gate("002"), person.answer(go=True))
    assert at_once(again.apply("002")).text == "002 Build the index ... done, nobody stalled"


def test_a_step_that_was_undone_by_other_means_is_asked_about(
    live: Runbook, conn: Conn, person: Person
) -> None:
    at_once(live.gate("001"), person.answer(go=True))
    at_once(live.apply("001"))
    conn.execute("ALTER TABLE things DROP COLUMN note")
    assert at_once(live.gate("001"), person.answer(go=True)).text.startswith("gate 001_add_note ... open")


def test_a_file_that_was_edited_after_it_ran_stops_at_its_gate(
    live: Runbook, folder: Path, person: Person
) -> None:
    at_once(live.gate("001"), person.answer(go=True))
    at_once(live.apply("001"))
    text = throwaway.FILES["migrate/001_add_note.sql"]
    throwaway.write(folder, {"migrate/001_add_note.sql": f"{text}-- edited\n"})
    again = Runbook.open(throwaway.NAME)
    again.preflight()
    with pytest.raises(ScriptChanged):
        at_once(again.gate("001"))


# -- looking -----------------------------------------------------------------------------------------


def test_read_shows_a_table_and_changes_nothing(live: Runbook) -> None:
    assert live.read("SELECT id, code FROM things WHERE code LIKE 'c1%' ORDER BY id").shape == (2, 2)
    with pytest.raises(QueryRefused):
        live.read("UPDATE things SET code = 'x' RETURNING id")
    assert live.read("SELECT 1 AS n FROM things WHERE code = 'x'").empty


def test_duplicates_are_shown_and_written_beside_the_record(live: Runbook, conn: Conn) -> None:
    conn.execute("INSERT INTO things (id, code) SELECT i, 'twice' FROM generate_series(101, 102) AS i")
    view = live.duplicates("things", "code", strategy="set-null", export=True)
    assert "2 rows" in view.text
    assert "twice" in (view.html or "")
    written = (live.run.records / live.run.run_id / "duplicates.csv").read_text(encoding="utf-8")
    assert [line.split(",")[2] for line in written.splitlines()[1:]] == ["101", "102"]
    assert live.shown[-1] == ("Duplicates of things", view)


def test_the_diagram_of_the_change_is_shown_and_goes_to_the_record(live: Runbook) -> None:
    view = live.diagram()
    assert view.text == "diagram: 1 table"
    assert view.svg is not None
    assert live.shown[-1] == ("Data model", view)
    live.record()
    [record] = live.run.records.glob("*/record.html")
    assert "Entity-relationship diagram, 700_throwaway: 1 table" in record.read_text(encoding="utf-8")


def test_a_record_can_be_written_before_any_step_and_again(live: Runbook) -> None:
    for _ in range(2):
        assert live.record().text == "record written, event chain not begun"
    files = list(live.run.records.glob("*/record.html"))
    assert len(files) == 1
    assert "0 of 3 steps done" in files[0].read_text(encoding="utf-8")


def test_a_record_that_the_ledger_could_not_be_told_of_says_so(
    live: Runbook, person: Person, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(live.gate("001"), person.answer(go=True))
    monkeypatch.setattr(binding, "CHAIN_MS", 50)
    elsewhere.begin_and_hold(HOLD_CHAIN)
    said = live.record().text.splitlines()
    assert said[0].startswith("record written, event chain unbroken: ")
    assert said[1:] == [
        "the ledger does not know this record: it could not be told all of the run, or not be read: this is what"
        " the journal holds",
        f"  next: when it can be: `pgrunbook record {live.run.run_id}`",
    ]


# -- a kernel that ends ------------------------------------------------------------------------------

OPENED = """
from pgrunbook import Runbook
from pgrunbook.gate import Policy
runbook = Runbook.open("700_throwaway")
runbook.run.policy, runbook.run.reason = Policy.APPROVE_ALL, "test"
runbook.preflight()
runbook.run.decide_by_policy("001")
"""


@pytest.fixture
def kernel_client(
    conn: Conn, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    conn.execute(throwaway.TABLE)
    monkeypatch.setenv("PGRUNBOOK_TARGET", database)
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with (tmp_path / "kernel.log").open("wb") as said:
        manager, client = start_new_kernel(kernel_name="python3", stderr=said)
        try:
            reply = client.execute_interactive(OPENED, timeout=60, output_hook=lambda _message: None)
            assert reply["content"]["status"] == "ok", reply["content"]
            yield client
            until = time.monotonic() + 60
            while manager.is_alive():
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


def ours(conn: Conn) -> list[str]:
    found = conn.execute(
        "SELECT application_name FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'pgrunbook%'"
    )
    return [row["application_name"] for row in found]


@pytest.mark.slow
def test_a_kernel_that_is_shut_down_runs_no_queued_step(
    kernel_client: Any, conn: Conn, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    begun, leaked = tmp_path / "begun", tmp_path / "leaked"
    # The shutdown reaches the control thread while a cell of the main thread runs; the next one may start.
    kernel_client.execute(
        f"open({str(begun)!r}, 'w').close()\nimport time\nwhile not get_ipython().exit_now: time.sleep(0.01)"
    )
    kernel_client.execute(f"open({str(leaked)!r}, 'w').close()\nawait runbook.apply('001')")
    eventually(begun.exists)
    kernel_client.shutdown()
    eventually(lambda: not ours(conn), timeout=60)
    assert conn.execute("SELECT status FROM pgrunbook.step").fetchall() == []
    assert conn.execute("SELECT kind FROM pgrunbook.event WHERE step <> ''").fetchall() == [{"kind": "gate"}]


@pytest.mark.slow
def test_a_kernel_that_is_shut_down_in_a_wait_cancels_its_step_and_says_so(
    kernel_client: Any, conn: Conn, elsewhere: Any, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    kernel_client.execute("await runbook.apply('001')")
    status = "SELECT status FROM pgrunbook.step"
    eventually(lambda: conn.execute(status).fetchall() == [{"status": "running"}])
    kernel_client.shutdown()
    eventually(lambda: not ours(conn), timeout=60)
    assert conn.execute(status).fetchall() == [{"status": "failed"}]
    told = conn.execute(
        "SELECT kind FROM pgrunbook.event WHERE step <> '' ORDER BY id DESC LIMIT 2"
    ).fetchall()
    assert told == [{"kind": "observed"}, {"kind": "apply cancelled"}]
    columns = conn.execute("SELECT * FROM things LIMIT 0").description or []
    assert [column.name for column in columns] == ["id", "code"]
