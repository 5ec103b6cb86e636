"""The desk of the class codes, for a notebook: each call is one thing to show, and returns a view of it."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from pgrunbook import kernel, monitoring, places, session
from pgrunbook import server as embedded
from pgrunbook.runbook import Runbook
from pgrunbook.server import Server
from pgrunbook.session import Connection
from pgrunbook.target import Kind, Target
from pgrunbook.telling import telling
from pgrunbook.views import activity, table
from pgrunbook.views.text import visible
from pgrunbook.views.units import counted
from pgrunbook.views.view import View
from pgrunbook.workloads import antipatterns, class_panel, code_scaling, fallback_codes
from pgrunbook.workloads.class_codes import ClassCodes, Saved
from pgrunbook.workloads.class_form import clean
from pgrunbook.workloads.code_metrics import CodeMetrics

__all__ = ["ClassCodeDesk"]

_LIVE = "not armed: the target is live, and a runbook creates no class there"


@telling
class ClassCodeDesk:
    """Class codes in a notebook: `desk = ClassCodeDesk.of(runbook)`.

    What creates classes does so in a rehearsal only. On a live target it says that it is not armed, whoever
    presses what: classes are created there by the application. What reads works on both. The anti-patterns
    run on the embedded server, in a database that is dropped again, whatever the target.
    """

    def __init__(self, target: Target, server: Callable[[], Server]) -> None:
        """Work on a target; `server` starts the embedded server for the anti-patterns."""
        self.target = target
        self._server = server
        self.codes = ClassCodes(metrics=CodeMetrics())

    @classmethod
    def of(cls, runbook: Runbook) -> ClassCodeDesk:
        """Return the desk of a runbook's target."""
        return cls(runbook.run.target, functools.cache(lambda: embedded.start(places.embedded_major())))

    @property
    def armed(self) -> bool:
        """Return whether classes may be created here: in a rehearsal."""
        return self.target.kind is Kind.REHEARSAL

    async def form(self, *, wait_s: float = 60) -> View:
        """Show the form until Done is pressed, or nothing was touched for `wait_s` seconds, so that Run All goes on.

        Where nobody is there, and on a live target, it shows a line of text.
        """
        if not self.armed:
            return View(f"class form ... {_LIVE}")
        if not kernel.attended():
            return View("class form ... not shown: nobody is there to fill it in")
        made = await class_panel.ask(self._create, wait_s=wait_s)
        rows = [{"class": one["class_id"], "code": one["class_code"]} for one in made]
        line = f"class form ... {counted(len(rows), 'class', 'classes')} created"
        return View(line, html=table.to_html(rows, caption=line) if rows else None)

    def create(self, form: Mapping[str, object]) -> View:
        """Create a class in a rehearsal, as the form does, and show the code that it got."""
        if not self.armed:
            return View(f"class ... {_LIVE}")
        saved = self._create(form)
        return View(f"{saved['message']} {visible(saved['class_code'])}", facts={"answer": dict(saved)})

    def held_counter(self, form: Mapping[str, object]) -> View:
        """Hold the counter of the form's prefix in a rehearsal and create a class all the same.

        Shows who waits for whom meanwhile, and that the class is saved with a timestamp code, counted as one.
        """
        if not self.armed:
            return View(f"held counter ... {_LIVE}")
        before = self.codes.metrics.figures.fallbacks
        prefix = clean(form, new=True).prefix
        with self._connected() as holder, self._connected() as look, ThreadPoolExecutor(1) as pool:
            holder.execute("BEGIN")
            holder.execute("SELECT FROM class_code_counters WHERE prefix = %s FOR UPDATE", [prefix])
            asked = pool.submit(self._create, form)
            found: list[monitoring.Waiting] = []
            while not found and not asked.done():
                found = monitoring.waits(look, text="class_code")
                time.sleep(0.01)
            saved = asked.result()
            holder.execute("ROLLBACK")
            named = [one.pid for wait in found for one in wait.blockers] == [session.pid(holder)]
        waited = f"{counted(len(found), 'session')} waited" + (", its blocker named" if named else "")
        kind = "a timestamp code" if fallback_codes.is_fallback(str(saved["class_code"])) else "a number"
        counted_now = self.codes.metrics.figures.fallbacks - before
        return View(
            f"held counter ... {waited}; the class was saved with {kind}, {counted(counted_now, 'fallback')} counted",
            facts={"answer": dict(saved), **activity.waits(found).facts},
        )

    def antipattern(self, name: str) -> View:
        """Run one of the four of antipatterns.NAMES and return what came of it; raises UnknownName."""
        return antipatterns.show(name, self._server())

    def waits(self, text: str = "class_code") -> View:
        """Return who waits for a lock now and for whom, of statements that hold the text."""
        with self._connected() as conn:
            return _steady(activity.waits(monitoring.waits(conn, text=text), text=text))

    def slow_statements(self, text: str = "class_code") -> View:
        """Return the statements with the text that took longest, where the server counts them."""
        with self._connected() as conn:
            return _steady(activity.slow_statements(monitoring.slow_statements(conn, text=text), text=text))

    def fallback_codes(self) -> View:
        """Return which classes have a timestamp code from a fallback."""
        with self._connected() as conn:
            return fallback_codes.find(conn)

    def metrics(self) -> View:
        """Return what was created at this desk: counts in the line, times in the facts."""
        now = self.codes.metrics.figures
        line = (
            f"class codes: {now.created:,} made, {counted(now.fallbacks, 'fallback')},"
            f" {counted(now.duplicates, 'duplicate')}, {counted(now.failures, 'failure')}"
        )
        facts = {
            "p50 ms": round(now.p50_ms, 2),
            "p99 ms": round(now.p99_ms, 2),
            "fallback rate": now.fallback_rate,
        }
        return View(line, facts=facts)

    def scaling(self, measured: Mapping[str, object] | None = None) -> View:
        """Return how many users the counter is enough for; `measured` as in code_scaling."""
        return code_scaling.scaling(measured)

    def _create(self, form: Mapping[str, object]) -> Saved:
        with self._connected() as conn:
            return self.codes.create(conn, form)

    def _connected(self) -> contextlib.closing[Connection]:
        return contextlib.closing(session.connect(self.target, purpose="class codes"))


def _steady(view: View) -> View:
    """Return the view without its table where a notebook test would compare what varies."""
    return view if kernel.attended() else View(view.text, facts=view.facts)
