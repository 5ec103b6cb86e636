"""Questions: one person or two answer a gate, at its screen and at another terminal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from attended import Person, at_once
from faults.proxy import Door, behind_a_door

from pgrunbook import conduct, lookout, question
from pgrunbook.binding import Binding
from pgrunbook.deciding import Deciding
from pgrunbook.errors import GateClosed, JournalRefused, RunbookError, RunnerBusy, ServerSilent
from pgrunbook.gate import TERMINAL, Decision
from pgrunbook.ledger import Ledger, Status
from pgrunbook.lookout import Look, Lookout
from pgrunbook.run import Run
from pgrunbook.target import Kind, Target
from pgrunbook.views.gate_panel import GatePanel


@pytest.fixture
def run(conn: psycopg.Connection[Any], database: str, tmp_path: Path) -> Iterator[Run]:
    """A run on a live target whose board says GO."""
    with throwaway.live(conn, database, tmp_path) as made:
        yield made


def test_only_what_is_done_and_still_true_needs_no_answer(run: Run, conn: psycopg.Connection[Any]) -> None:
    assert question.settled(run, "001") == ""
    throwaway.apply(run, "001")
    assert question.settled(run, "001") == "already done"
    conn.execute("ALTER TABLE things DROP COLUMN note")
    assert question.settled(run, "001") == ""
    assert question.settled(run, "rollback") == ""


def test_a_remedy_needs_no_answer_once_an_audit_found_nothing(
    run: Run, conn: psycopg.Connection[Any]
) -> None:
    assert question.settled(run, "10_doubled_codes") == "nothing to repair"
    conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    run.preflight()
    assert question.settled(run, "10_doubled_codes") == ""
    run.audits.board = None
    assert question.settled(run, "10_doubled_codes") == ""


# -- people before the panel --------------------------------------------------------------------------


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(monkeypatch)


def two(run: Run) -> Run:
    run.approvals_needed = run.gates.approvals_needed = 2
    return run


def names(made: list[Decision]) -> list[tuple[str, str]]:
    return [(one.who, one.how) for one in made]


def test_the_second_person_says_go_at_the_same_screen_under_another_name(run: Run, person: Person) -> None:
    async def people() -> None:
        await person.answer(go=True, who="ann")
        # Their own name again, spelled otherwise: it goes on waiting.
        again = await person.answer(go=True, who=" ANN")
        assert again.question.about["approvals"][0] == "1 of 2 people approved it (ann)"
        await person.answer(go=True, who="bob")

    made = at_once(question.ask(two(run), "001"), people())
    assert names(made) == [("ANN", "typed in the notebook"), ("bob", "typed in the notebook")]
    assert run.apply("001").note == "apply"


def test_the_second_person_says_go_at_their_own_terminal(
    run: Run, person: Person, terminal: Callable[..., str]
) -> None:
    async def people() -> None:
        assert terminal().startswith("no run of 700_throwaway is open there")
        await person.answer(go=True, who="ann")
        await person.panel(GatePanel)
        assert terminal(who="Ann") == "Ann has approved it already"
        assert terminal() == ""

    made = at_once(question.ask(two(run), "001"), people())
    assert names(made) == [("ann", "typed in the notebook"), ("bob", "pgrunbook approve")]
    assert run.apply("001").note == "apply"


def test_a_no_go_from_another_terminal_closes_the_gate_that_waits(
    run: Run, person: Person, terminal: Callable[..., str]
) -> None:
    async def people() -> None:
        await person.answer(go=True, who="ann")
        await person.panel(GatePanel)
        assert terminal("001", "--no-go", reason="the backup failed") == ""

    with pytest.raises(GateClosed, match=r"bob said NO-GO \(the backup failed\)"):
        at_once(question.ask(two(run), "001"), people())
    with pytest.raises(GateClosed):
        run.apply("001")

    # Who asks again is told.
    async def again() -> None:
        shown = await person.panel(GatePanel)
        assert shown.question.about["approvals"][0] == "bob said NO-GO (the backup failed)"
        shown.reason.value = "so be it"
        shown.no_go.click()

    with pytest.raises(GateClosed, match="so be it"):
        at_once(question.ask(run, "001"), again())


def test_after_a_gate_was_withdrawn_the_second_person_can_approve_again(
    run: Run, terminal: Callable[..., str]
) -> None:
    for _ in range(2):
        two(run).decide("001", go=True, who="ann", reason="x", how="typed")
        assert terminal(who="Ann") == "Ann has approved it already"
        assert terminal() == ""
        run.deciding.hear()
        assert run.gates.require("001_add_note", run.change.steps[0].migrate.sha256).who == "bob"
        run.gates.withdraw("001_add_note")


def test_a_no_go_that_comes_too_late_says_so(
    run: Run, terminal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    two(run).decide("001", go=True, who="ann", reason="x", how="typed")
    event, step = Ledger.event, run.change.steps[0]

    def begins(ledger: Ledger, **told: Any) -> None:
        event(ledger, **told)
        if told["kind"] == "gate":
            ledger.mark(
                step.name,
                Status.RUNNING,
                run_id=run.run_id,
                change=run.change.name,
                sha256=step.migrate.sha256,
            )
            event(ledger, **{**told, "kind": "apply started"})

    monkeypatch.setattr(Ledger, "event", begins)
    assert terminal("001", "--no-go") == "the NO-GO by bob is recorded, but it had begun already"
    assert run.deciding.hear()
    assert not run.gates.decisions[step.name][-1].go


def test_a_run_that_was_recorded_and_goes_on_is_still_approved(
    run: Run, terminal: Callable[..., str]
) -> None:
    two(run).decide("001", go=True, who="ann", reason="x", how="typed")
    run.finish("recorded")
    assert terminal() == ""


def test_a_click_on_go_does_not_override_a_no_go_that_its_screen_did_not_show(
    run: Run, person: Person, terminal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look, clicked = Lookout.look, threading.Event()

    def late(lookout: Lookout, **how: bool) -> Look:
        # The look hears it, but only when GO is clicked already.
        assert how or clicked.wait(30)
        return look(lookout, **how)

    async def people() -> None:
        await person.answer(go=True, who="ann")
        monkeypatch.setattr(Lookout, "look", late)
        shown = await person.panel(GatePanel)
        assert terminal("001", "--no-go", reason="the backup failed") == ""
        shown.reason.value, shown.name.value, shown.word.value = "CHG-1", "cid", "APPLY"
        shown.go.click()
        clicked.set()

    with pytest.raises(GateClosed, match=r"bob said NO-GO \(the backup failed\)"):
        at_once(question.ask(two(run), "001"), people())
    assert [one.who for one in run.gates.decisions["001_add_note"]] == ["bob"]


def test_what_was_approved_while_nobody_waited_opens_the_gate_at_once(
    run: Run, person: Person, terminal: Callable[..., str]
) -> None:
    async def stopped() -> None:
        asking = asyncio.ensure_future(question.ask(two(run), "001"))
        await person.answer(go=True, who="ann")
        await person.panel(GatePanel)
        asking.cancel()
        with pytest.raises(GateClosed, match="the cell was stopped"):
            await asking
        assert terminal() == ""

    asyncio.run(stopped())
    assert [who for who, _ in names(asyncio.run(question.ask(run, "001")))] == ["ann", "bob"]


def test_while_it_waits_it_shows_who_is_in_the_way(
    run: Run, person: Person, someone_else: Callable[[], Any]
) -> None:
    other = someone_else()
    other.begin_and_hold("SELECT count(*) FROM things")

    async def people() -> None:
        shown = await person.panel(GatePanel)
        while f"pid {other.pid}" not in shown.now.value:
            await asyncio.sleep(0.02)
        assert "idle in transaction" in shown.now.value
        other.release()
        while "nobody" not in shown.now.value:
            await asyncio.sleep(0.02)
        shown.reason.value = "seen enough"
        shown.no_go.click()

    with pytest.raises(GateClosed):
        at_once(question.ask(run, "001"), people())


# -- a server that does not answer, and a connection that is lost -------------------------------------


@pytest.fixture
def door(run: Run, database: str) -> Iterator[Door]:
    """A door in the run's way to its server, that can be shut without a word."""
    run.binding.close()
    with behind_a_door(database, Door) as (made, behind):
        run.binding.target = run.target = Target(Kind.LIVE, behind)
        yield made


@pytest.fixture
def patience(door: Door) -> Iterator[None]:
    """Who waits for the server does so for half a minute at least: then the door is opened."""
    timer = threading.Timer(30, door.open.set)
    timer.start()
    yield
    timer.cancel()


async def shut(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shut the door, and wait until a look hangs before it; from then on what is lost is told soon."""
    door.open.clear()
    before = door.held
    while door.held == before:
        await asyncio.sleep(0.01)
    for name in ("SILENT_S", "CONNECT_S"):
        monkeypatch.setattr(lookout, name, 0.5)


def kinds(run: Run) -> list[str]:
    return [str(one["kind"]) for one in run.ledger.events(run_id=run.run_id) if one["step"]]


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    ("does", "error", "says"),
    [
        ("stop", GateClosed, "the cell was stopped"),
        ("NO-GO", GateClosed, r"cid said NO-GO \(CHG-1\)"),
        ("GO", ServerSilent, "GO to 001_add_note was not accepted: .* has not answered"),
    ],
)
def test_a_gate_is_left_although_a_look_hangs(
    run: Run,
    person: Person,
    door: Door,
    monkeypatch: pytest.MonkeyPatch,
    begun: bool,
    does: str,
    error: type[RunbookError],
    says: str,
) -> None:
    async def scene() -> GatePanel:
        asking = asyncio.ensure_future(question.ask(two(run), "001"))
        if begun:
            await person.answer(go=True, who="ann")
        shown = await person.panel(GatePanel)
        while "nobody" not in shown.now.value:
            await asyncio.sleep(0.02)
        await shut(door, monkeypatch)
        if does == "stop":
            asking.cancel()
        else:
            shown.reason.value, shown.name.value, shown.word.value = "CHG-1", "cid", "APPLY"
            (shown.go if does == "GO" else shown.no_go).click()
        with pytest.raises(error, match=says):
            await asking
        assert not door.open.is_set()
        # What comes too late changes nothing.
        door.open.set()
        return shown

    shown = asyncio.run(scene())
    assert shown.box.comm is None
    refused = does == "NO-GO"
    decided = [(one.who, one.go) for one in run.gates.decisions.get("001_add_note", [])]
    assert decided == ([("cid", False)] if refused else [("ann", True)] * begun)
    # What the server could not be told then is told from the journal.
    run.binding.begin_writing()
    assert kinds(run).count("gate") == begun + refused


def test_a_silent_server_is_told_while_the_gate_waits_and_an_answer_counts_once_it_is_back(
    run: Run, person: Person, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def people() -> None:
        shown = await person.panel(GatePanel)
        await shut(door, monkeypatch)
        while "not known: " not in shown.now.value:
            await asyncio.sleep(0.02)
        for name in ("SILENT_S", "CONNECT_S"):
            monkeypatch.setattr(lookout, name, 30.0)
        door.open.set()
        while "nobody" not in shown.now.value:
            await asyncio.sleep(0.02)
        shown.reason.value, shown.word.value = "CHG-1", "APPLY"
        shown.go.click()

    assert names(at_once(question.ask(run, "001"), people())) == [("tester", "typed in the notebook")]
    assert run.apply("001").note == "apply"


def test_a_go_that_nobody_may_compare_with_a_no_go_is_not_accepted(
    run: Run, person: Person, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def people() -> None:
        await person.answer(go=True, who="ann")
        shown = await person.panel(GatePanel)
        elsewhere.begin_and_hold("LOCK TABLE pgrunbook.event IN ACCESS EXCLUSIVE MODE")
        shown.reason.value, shown.name.value, shown.word.value = "CHG-1", "cid", "APPLY"
        shown.go.click()

    with pytest.raises(ServerSilent, match=r"was not accepted: canceling statement due to .* timeout"):
        at_once(question.ask(two(run), "001"), people())
    elsewhere.release()
    assert kinds(run) == ["gate"]


@pytest.mark.parametrize("asks", [question.ask, question.found_settled])
def test_stop_reaches_a_gate_whose_question_waits_for_a_lock_and_the_run_stays_the_runner(
    asks: Callable[[Run, str], Coroutine[Any, Any, Any]],
    run: Run,
    person: Person,
    elsewhere: Any,
    conn: psycopg.Connection[Any],
    eventually: Callable[..., Any],
) -> None:
    run.binding.begin_writing()
    before = run.binding.runner_pid
    elsewhere.begin_and_hold("LOCK TABLE pgrunbook.event, pgrunbook.step IN ACCESS EXCLUSIVE MODE")
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = %s"

    async def scene() -> None:
        asking = asyncio.ensure_future(asks(run, "001"))
        await asyncio.to_thread(eventually, lambda: conn.execute(waits, [before]).fetchone())
        asking.cancel()
        with pytest.raises(GateClosed, match="the cell was stopped"):
            await asking

    asyncio.run(scene())
    assert run.binding.control.info.backend_pid == before


def cut(conn: psycopg.Connection[Any], run: Run) -> None:
    """End the session that holds the runner lock."""
    ended = conn.execute("SELECT pg_terminate_backend(%s, 60000) AS ended", [run.binding.runner_pid])
    assert ended.fetchone() == {"ended": True}


def test_a_gate_that_loses_the_runner_lock_takes_it_again_and_says_so(
    run: Run, person: Person, terminal: Callable[..., str], conn: psycopg.Connection[Any]
) -> None:
    async def people() -> None:
        await person.answer(go=True, who="ann")
        shown = await person.panel(GatePanel)
        cut(conn, run)
        assert terminal().startswith("no run of 700_throwaway is open there")
        while "this run holds the runner lock again" not in shown.now.value:
            await asyncio.sleep(0.02)
        assert terminal() == ""

    made = at_once(question.ask(two(run), "001"), people())
    assert names(made) == [("ann", "typed in the notebook"), ("bob", "pgrunbook approve")]
    outcome = run.apply("001")
    assert (outcome.note, question.AGAIN in outcome.notices) == ("apply", True)


def test_a_gate_ends_where_another_runner_took_the_lock_meanwhile(
    run: Run,
    person: Person,
    conn: psycopg.Connection[Any],
    elsewhere: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def people() -> None:
        await person.answer(go=True, who="ann")
        monkeypatch.setattr(lookout, "LOOK_S", float("inf"))
        await person.panel(GatePanel)
        cut(conn, run)
        elsewhere.execute("SET application_name = 'the other'; SELECT pg_advisory_lock(7239847, 1)")
        monkeypatch.setattr(lookout, "LOOK_S", 0.0)

    with pytest.raises(RunnerBusy, match=rf"the other \(pid {elsewhere.pid}"):
        at_once(question.ask(two(run), "001"), people())


# -- what was answered counts, whatever comes after it ------------------------------------------------

BUSY = RunnerBusy(where="here", holder="the other (pid 7, role 'ann')", since="now")


def left(run: Run) -> list[str]:
    """Why questions were left without an answer, as the journal holds it."""
    return [
        one["detail"]["reason"] for one in run.binding.journal.entries() if one["kind"] == "gate unanswered"
    ]


@pytest.mark.parametrize("comes", ["stop", "stop while others are heard", "another runner", "a lost server"])
def test_a_no_go_takes_back_an_earlier_go_whatever_comes_after_it(
    run: Run, person: Person, monkeypatch: pytest.MonkeyPatch, comes: str
) -> None:
    two(run).decide("001", go=True, who="ann", reason="x", how="typed")
    hearing = asyncio.Event()

    async def last(_lookout: Lookout, **_how: bool) -> Look:
        hearing.set()
        await asyncio.sleep(60)
        return Look({})

    def fails(*_: object) -> None:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    async def scene() -> None:
        asking = asyncio.ensure_future(question.ask(run, "001"))
        shown = await person.panel(GatePanel)

        def click(*_: object) -> None:
            shown.reason.value, shown.name.value = "the backup failed", "bob"
            shown.no_go.click()

        def lost(_lookout: Lookout) -> Look | None:
            click()
            raise BUSY

        if comes == "another runner":
            monkeypatch.setattr(Lookout, "poll", lost)
        else:
            click()
        if comes == "stop":
            asking.cancel()
        elif comes == "a lost server":
            monkeypatch.setattr(Binding, "begin_writing", fails)
        elif "heard" in comes:
            monkeypatch.setattr(Lookout, "last", last)
            await hearing.wait()
            asking.cancel()
        with pytest.raises(GateClosed, match=r"bob said NO-GO \(the backup failed\)"):
            await asyncio.wait_for(asking, 30)

    asyncio.run(scene())
    monkeypatch.undo()
    run.binding.begin_writing()
    told = [one["detail"]["go"] for one in run.ledger.events(run_id=run.run_id, kind="gate")]
    assert (told, left(run), run.deciding.asked) == ([True, False], [], "")
    # Another GO does not stand beside the one that was taken back.
    run.gates.hear(Decision("001_add_note", True, "cid", "ok", TERMINAL, run.change.steps[0].migrate.sha256))
    assert [one.who for one in run.gates.decisions["001_add_note"]] == ["bob"]


def test_a_question_that_an_error_ends_is_left_at_once_and_says_why(
    run: Run, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_lookout: Lookout) -> Look | None:
        raise BUSY

    monkeypatch.setattr(Lookout, "poll", lost)
    with pytest.raises(RunnerBusy):
        at_once(question.ask(run, "001"))
    assert (run.deciding.asked, left(run)) == ("", [str(BUSY).splitlines()[0]])
    run.close()
    assert len(left(run)) == 1


def test_a_second_press_of_stop_leaves_no_thread_behind(
    run: Run, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling, goes_on, ended = threading.Event(), threading.Event(), threading.Event()
    leave = Deciding.leave

    def slow(deciding: Deciding, reason: str, *, server: bool = True) -> None:
        telling.set()
        goes_on.wait(30)
        leave(deciding, reason, server=server)
        ended.set()

    async def scene() -> None:
        asking = asyncio.ensure_future(question.ask(run, "001"))
        await person.panel(GatePanel)
        monkeypatch.setattr(Deciding, "leave", slow)
        asking.cancel()
        assert await asyncio.to_thread(telling.wait, 30)
        asking.cancel()
        await asyncio.wait({asking}, timeout=0.3)
        assert not asking.done()
        goes_on.set()
        with pytest.raises(GateClosed, match="the cell was stopped"):
            await asking
        assert ended.is_set()

    asyncio.run(scene())
    assert len(left(run)) == 1


def test_a_question_whose_end_cannot_be_kept_says_so(
    run: Run, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_deciding: Deciding, _reason: str, *, server: bool = True) -> None:
        raise JournalRefused(path="there", reason="No space left on device")

    async def scene() -> None:
        asking = asyncio.ensure_future(question.ask(run, "001"))
        await person.panel(GatePanel)
        with monkeypatch.context() as patched:
            patched.setattr(Deciding, "leave", full)
            asking.cancel()
            with pytest.raises(JournalRefused, match="No space left"):
                await asking

    asyncio.run(scene())


def test_a_decision_about_another_gate_leaves_the_question_as_it_is(run: Run, person: Person) -> None:
    run.decide("001", go=False, who="ann", reason="no backup", how="typed")

    async def people() -> None:
        shown = await person.panel(GatePanel)
        other = "002_build_index"
        detail = {"who": "bob", "go": False, "reason": "later", "how": TERMINAL, "script_sha256": ""}
        run.ledger.event(
            run_id=run.run_id, change=run.change.name, step=other, kind="gate", actor="bob", detail=detail
        )
        while run.gates.last(other) is None:
            await asyncio.sleep(0.02)
        shown.reason.value, shown.word.value = "now there is one", "APPLY"
        shown.go.click()

    assert [one.reason for one in at_once(question.ask(run, "001"), people())] == ["now there is one"]


def test_short_work_that_ends_before_stop_reaches_it_was_stopped_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conduct, "POLL_S", 30.0)
    began, goes_on = threading.Event(), threading.Event()

    def settled(_run: Run, _name: str) -> str:
        began.set()
        goes_on.wait(30)
        return ""

    async def scene() -> None:
        monkeypatch.setattr(question, "settled", settled)
        asking = asyncio.ensure_future(question.found_settled(run, "001"))
        assert await asyncio.to_thread(began.wait, 30)
        asking.cancel()
        goes_on.set()
        with pytest.raises(GateClosed, match="001_add_note is closed: the cell was stopped"):
            await asking

    asyncio.run(scene())
