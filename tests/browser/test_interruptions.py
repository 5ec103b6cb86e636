"""Pages, kernels and connections that go in the middle of a gate or a step: one cell later the truth is shown."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator

import psycopg
import pytest
from browser.lab import CHANGE, KEPT, PATIENCE_MS, Lab, Operator
from playwright.sync_api import expect

from pgrunbook import workbench
from pgrunbook.views import lifeline

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

REPORT = "month end report"
DONE = "001 Refuse rows without a label from now on ... done, nobody stalled"
RUNS = """
CREATE TABLE go_on (x int);
CREATE FUNCTION runs_until_it_may_go_on() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT EXISTS (SELECT FROM go_on) LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$;
"""
QUICKER = """\
from pgrunbook.views import lifeline
lifeline.BEAT_S, lifeline.SILENCE_S, lifeline.UNSEEN_S = 1.0, 6, 16.0
"""


@pytest.fixture(scope="module", autouse=True)
def quicker(lab: Lab) -> Iterator[None]:
    """Kernels of these tests tell sooner that something is lost."""
    file = lab.folder / "ipython" / "profile_default" / "startup" / "10_quicker.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(QUICKER)
    yield
    file.unlink()


@pytest.fixture
def unsaved(operator: Operator) -> Operator:
    """An operator whose first step waits because of a report."""
    operator.somebody(REPORT)
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("GO", word="APPLY")
    operator.waits_in_the_way(REPORT)
    return operator


@pytest.fixture
def waiting(unsaved: Operator) -> Operator:
    """The same, and the notebook is saved as it is."""
    unsaved.save()
    return unsaved


@pytest.fixture
def often(lab: Lab) -> Iterator[None]:
    """JupyterLab saves as often as it does when this project has started it; before the notebook is opened."""
    ours = workbench.SETTINGS / "labconfig" / "default_setting_overrides.json"
    ((name, settings),) = json.loads(ours.read_text(encoding="utf-8")).items()
    file = (lab.folder / "settings").joinpath(*name.split(":")).with_suffix(".jupyterlab-settings")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings))
    yield
    file.unlink()


@pytest.fixture
def slow(notebook: Lab) -> Iterator[None]:
    """The statement of the second step runs until it may go on."""
    (file,) = (notebook.folder / "changes" / CHANGE / "migrate").glob("002_*.sql")
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("\nALTER", "\nSELECT runs_until_it_may_go_on();\nALTER", 1), encoding="utf-8"
    )
    yield
    file.write_text(text, encoding="utf-8")


def go_away(operator: Operator) -> None:
    """The report ends."""
    operator.others.pop().close()


def ask_the_cell(operator: Operator, source: str, shows: str) -> None:
    """Run a cell until it answers: what was queued before an error goes with it."""
    shown, prompt = operator.page.get_by_text(shows), operator.cell(source).locator(".jp-InputPrompt")

    def answered() -> int:
        if not shown.count() and "*" not in prompt.inner_text():
            operator.run_cell(source)
        return shown.count()

    operator.eventually(answered, timeout=120, interval=0.5)


def begun(operator: Operator) -> list[str]:
    return [kind for kind, _ in operator.events() if kind.startswith("apply")]


def test_a_reload_takes_the_question_away_and_the_gate_closes_itself(operator: Operator) -> None:
    operator.run_all()
    operator.button("GO").wait_for()
    operator.open()
    # The notebook was not saved with the panel: nobody could answer, and the next cell would wait for ever.
    operator.is_idle()
    assert operator.status() in ("no ledger", "not run")
    ask_the_cell(operator, 'gate("001")', "Gate 001: ")
    operator.answer("GO", word="APPLY")
    operator.page.get_by_text("gate 001_forbid_missing_label ... open").wait_for()
    assert operator.events().count(("gate", "ann")) == 1
    assert begun(operator) == []


def test_a_saved_question_comes_back_and_is_answered_once(operator: Operator) -> None:
    operator.run_all()
    operator.button("GO").wait_for()
    operator.save()
    operator.open()
    operator.button("GO").wait_for()
    operator.answer("GO", word="APPLY")
    operator.eventually(lambda: operator.status() == "done", timeout=60)
    # The page's cell has lost the way to its outputs, and says that it is over.
    expect(operator.cell('gate("001")')).to_contain_text(lifeline.LOST)
    assert operator.button("GO").count() == 0
    # Nobody sees the next question: it closes itself, and the notebook is the operator's again.
    ask_the_cell(operator, 'apply("001")', "001 Refuse rows without a label from now on ... already done")
    assert begun(operator) == ["apply started", "apply done"]


def test_a_notebook_that_saves_itself_shows_the_running_step_again(often: None, unsaved: Operator) -> None:
    operator = unsaved
    (before,) = operator.sessions("step")
    operator.eventually(
        lambda: "widget-view" in str(operator.in_file('apply("001")')), timeout=120, interval=0.2
    )
    operator.page.reload()
    operator.waits_in_the_way(REPORT)
    operator.button("Cancel").scroll_into_view_if_needed()
    operator.look("reloaded_while_it_waits")
    assert operator.status() == "running"
    assert operator.sessions("step") == [before]
    operator.button("Cancel").click()
    operator.eventually(lambda: operator.status() == "failed", timeout=60)
    operator.button("Cancel").wait_for(state="detached")
    go_away(operator)
    ask_the_cell(operator, 'apply("001")', DONE)
    assert begun(operator) == ["apply started", "apply cancelled", "apply started", "apply done"]


@pytest.mark.parametrize("kept", [(*KEPT, 'apply("002")', 'gate("003")', 'apply("003")', "runbook.status")])
def test_a_page_that_goes_leaves_a_statement_and_a_build_alone(slow: None, operator: Operator) -> None:
    operator.conn.execute(RUNS)
    operator.run_all()
    for number in ("001", "002"):
        operator.page.get_by_text(f"Gate {number}: ").wait_for()
        operator.answer("GO", word="APPLY")
    runs = "runs statement 1 of 2, SELECT in line"
    operator.page.get_by_text(runs).wait_for()
    before = operator.sessions("step")
    operator.save()
    gone, operator.page = operator.page, operator.page.context.new_page()
    gone.close()
    operator.page.set_default_timeout(PATIENCE_MS)
    operator.open()
    operator.page.get_by_text(runs).wait_for()
    operator.button("Cancel").scroll_into_view_if_needed()
    operator.look("closed_while_a_statement_runs")
    assert operator.status("002") == "running"
    assert operator.sessions("step") == before
    operator.conn.execute("INSERT INTO go_on VALUES (1)")
    operator.eventually(lambda: operator.status("002") == "done", timeout=60)
    expect(operator.cell('apply("002")')).to_contain_text(lifeline.LOST)
    # The next question has no page either: Run All ends here.
    operator.stop()
    ask_the_cell(operator, 'apply("002")', "002 Prove that every row has a label ... already done")

    old = psycopg.connect(operator.conn.info.dsn, application_name=REPORT)
    operator.others.append(old)
    old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    operator.run_from('gate("003")')
    operator.page.get_by_text("Gate 003: ").wait_for()
    operator.answer("GO", word="APPLY")
    waits = operator.page.get_by_text(re.compile(rf"pid {old.info.backend_pid} '{REPORT}'"))
    operator.button("GO").wait_for(state="hidden")
    waits.first.wait_for()
    operator.save()
    operator.page.reload()
    waits.first.wait_for()
    operator.button("Cancel").scroll_into_view_if_needed()
    operator.look("reloaded_while_an_index_is_built")
    assert operator.button("Cancel").is_enabled()
    assert operator.status("003") == "running"
    go_away(operator)
    operator.eventually(lambda: operator.status("003") == "done", timeout=60)
    expect(operator.cell('apply("003")')).to_contain_text(lifeline.LOST)
    ask_the_cell(operator, "runbook.status", f"{CHANGE}: 3 of 3 steps done")
    operator.look("board_after_all")
    assert begun(operator) == ["apply started", "apply done"] * 3


def test_two_pages_ask_the_same_question_and_one_answer_counts(operator: Operator) -> None:
    operator.run_all()
    operator.button("GO").wait_for()
    operator.save()
    second = Operator(operator.page.context.new_page(), operator.lab, operator.conn, operator.eventually)
    second.page.set_default_timeout(PATIENCE_MS)
    second.open()
    second.button("GO").wait_for()
    operator.type("reason or ticket", "CHG-1")
    operator.type("to arm GO", "APPLY")
    operator.eventually(second.button("GO").is_enabled)
    second.look("two_pages_asked")
    # Both at once, as two people would: the second does not wait until its page knows of the first.
    for go in [one.button("GO").element_handle() for one in (operator, second)]:
        go.dispatch_event("click")
    operator.page.get_by_text(DONE).wait_for()
    expect(second.cell('gate("001")')).to_contain_text(lifeline.LOST)
    assert second.button("GO").count() == 0
    second.look("two_pages_answered")
    assert operator.events() == [("gate", "ann"), ("apply started", "ann"), ("apply done", "ann")]
    second.page.close()


@pytest.mark.parametrize("kept", [KEPT[:-1]])
def test_run_all_once_more_takes_the_question_away_and_nothing_runs_twice(operator: Operator) -> None:
    operator.run_all()
    operator.button("GO").wait_for()
    operator.run_all()
    operator.button("GO").wait_for(state="detached")
    # JupyterLab shows an output of the second call alone: the first closes its gate, and all that waits ends.
    prompts = operator.page.locator(".jp-CodeCell .jp-InputPrompt")
    operator.eventually(lambda: "*" not in "".join(prompts.all_inner_texts()), timeout=120)
    operator.look("run_all_twice")
    assert operator.status() in ("no ledger", "not run")
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("GO", word="APPLY")
    operator.page.get_by_text("'Run All came to its end'").wait_for()
    for _ in range(2):
        operator.run_all()
    operator.page.get_by_text("001 Refuse rows without a label from now on ... already done").wait_for()
    operator.page.get_by_text("gate 001 ... not asked: already done").wait_for()
    operator.look("run_all_after_the_end")
    assert begun(operator) == ["apply started", "apply done"]
    assert operator.events().count(("gate", "ann")) == 1


def test_the_stop_button_ends_a_step_whose_panel_the_page_has_lost(unsaved: Operator) -> None:
    operator = unsaved
    operator.open()
    assert operator.status() == "running"
    operator.stop()
    operator.eventually(lambda: operator.status() == "failed", timeout=60)
    go_away(operator)
    ask_the_cell(operator, 'apply("001")', DONE)


def test_a_dead_kernel_shows_in_the_panel_and_after_a_reload(waiting: Operator) -> None:
    operator = waiting
    operator.kernel().send_signal(signal.SIGSTOP)
    # The kernel is there and does not answer: the panel says so by itself, whatever the page knows.
    operator.page.get_by_text("No news for 6 s").wait_for()
    operator.look("silent")
    operator.kernel().send_signal(signal.SIGCONT)
    operator.page.get_by_text("No news for 6 s").wait_for(state="hidden")
    operator.kernel().kill()
    operator.page.get_by_text("No news for 6 s").wait_for()
    operator.eventually(lambda: operator.sessions("step") == [], timeout=60)
    operator.page.reload()
    operator.page.get_by_text(lifeline.LOST).wait_for()
    operator.look("dead_after_reload")
    assert operator.button("Cancel").count() == 0
    go_away(operator)
    operator.is_idle()
    # A new kernel knows nothing: the gate is asked again, and the step runs once.
    operator.run_all()
    operator.button("GO").wait_for()
    operator.look("asked_again")
    operator.answer("GO", word="APPLY")
    operator.page.get_by_text(DONE).wait_for()
    assert begun(operator) == ["apply started", "apply started", "apply done"]


def test_restart_and_run_all_asks_again_and_resumes(waiting: Operator) -> None:
    operator = waiting
    operator.menu("Kernel", "Restart Kernel and Run All Cells…")
    operator.page.locator(".jp-Dialog button.jp-mod-accept").click()
    operator.button("GO").wait_for()
    assert operator.status() == "failed"
    go_away(operator)
    operator.answer("GO", word="APPLY")
    operator.page.get_by_text(DONE).wait_for()
    assert begun(operator) == ["apply started", "apply cancelled", "apply started", "apply done"]


def test_a_lost_connection_ends_the_step_and_the_same_cell_resumes(waiting: Operator) -> None:
    operator = waiting
    for pid in operator.sessions("step") + operator.sessions("control"):
        operator.conn.execute("SELECT pg_terminate_backend(%s)", [pid])
    operator.is_idle()
    operator.look("connection_lost")
    print(operator.output('apply("001")'))
    assert operator.button("Cancel").count() == 0
    go_away(operator)
    operator.run_cell('apply("001")')
    operator.page.get_by_text(DONE).wait_for()


def test_a_silent_jupyter_server_leaves_the_step_alone(waiting: Operator) -> None:
    operator = waiting
    operator.lab.process.send_signal(signal.SIGSTOP)
    try:
        operator.page.get_by_text("No news for 6 s").wait_for()
        assert operator.status() == "running"
    finally:
        operator.lab.process.send_signal(signal.SIGCONT)
    operator.page.get_by_text("No news for 6 s").wait_for(state="hidden")
    go_away(operator)
    operator.page.get_by_text(DONE).wait_for()
    assert begun(operator) == ["apply started", "apply done"]


def test_a_second_notebook_of_the_same_change_is_told_who_is_at_work(waiting: Operator) -> None:
    operator = waiting
    book = operator.lab.notebook
    other = book.with_name("second.ipynb")
    other.write_bytes(book.read_bytes())
    second = Operator(operator.page.context.new_page(), operator.lab, operator.conn, operator.eventually)
    try:
        second.open(other.name)
        second.run_all()
        second.button("GO").wait_for()
        second.answer("GO", word="APPLY")
        second.page.get_by_text("RunnerBusy").wait_for()
        second.look("runner_busy")
        shown = second.output('gate("001")')
        assert "another runner is at work in service clicked" in shown
        print(shown)
    finally:
        second.page.close()
        other.unlink()
    go_away(operator)
    operator.page.get_by_text(DONE).wait_for()
    assert begun(operator) == ["apply started", "apply done"]
