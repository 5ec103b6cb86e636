"""The live panel of a call: its progress, who is in the way, Cancel; its buttons only set flags."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets
from IPython.display import display

from pgrunbook import signalling
from pgrunbook.patience import Blocker
from pgrunbook.views.panel import WAITING, WORKING, close, escaped, family, html, markup
from pgrunbook.views.units import duration

__all__ = ["Signal", "StepPanel"]

_LONG_S = 1.0
_OFFERED = 5


@dataclass(frozen=True, slots=True)
class Signal:
    """What somebody asked and confirmed: to end a session in the way, or its statement only."""

    blocker: Blocker
    statement_only: bool


@dataclass(slots=True)
class StepPanel:
    """Progress of a call, a Cancel button, and buttons to end who is in the way.

    `cancelled` changes when Cancel is pressed; what was confirmed about others is handed out by `confirmed`.
    """

    title: str
    stoppable: bool = True
    cancelled: bool = False
    text: Any = None
    cancel: Any = None
    rows: Any = None
    box: Any = None
    _seen: bool = False
    _asking: Signal | None = None
    _confirmed: list[Signal] = field(default_factory=list)
    _offered: object = None

    def show(self) -> None:
        """Put the panel under the cell."""
        self.text = html(WORKING, self.title, [("running", "starting")])
        self.cancel = ipywidgets.Button(description="Cancel", button_style="warning")
        self.cancel.on_click(self._pressed)
        self.rows = ipywidgets.VBox([])
        self.box = ipywidgets.VBox([self.text, self.rows, *([self.cancel] if self.stoppable else [])])
        display(self.box)

    def confirmed(self) -> list[Signal]:
        """Return what was asked and confirmed since the last call."""
        asked, self._confirmed = self._confirmed, []
        return asked

    def update(
        self, seconds: float, lines: Sequence[tuple[str, str]] = (), blockers: Sequence[Blocker] = ()
    ) -> None:
        """Show how long it has run, what it is doing and who may be ended; texts may come from the database."""
        if self.text is None:
            return
        if seconds >= _LONG_S and not self._seen:
            self._seen = True
            self.cancel.focus()
        running = f"for {duration(int(seconds) * 1000)}"
        colour = WAITING if lines or self.cancelled else WORKING
        if self.cancelled:
            running += ", cancelling: the server was asked to stop"
            self.cancel.disabled = True
        self.text.value = markup(colour, self.title, [("running", running), *lines])
        self._offer(blockers)

    def close(self) -> None:
        """Take the panel away as soon as the outcome is shown in its place."""
        close(self.box)

    def _pressed(self, _button: Any) -> None:
        self.cancelled = True

    def _offer(self, blockers: Sequence[Blocker]) -> None:
        """Draw the buttons, and only when they change: a button must not move away under the mouse."""
        there = {_key(one): one for one in blockers if not signalling.stays(one, statement_only=False)}
        if self._asking is not None and _key(self._asking.blocker) not in there:
            self._asking = None
        shown = dict(sorted(there.items())[:_OFFERED])
        wanted = (
            [(key, signalling.stays(one, statement_only=True) is None) for key, one in shown.items()],
            self._asking,
        )
        if wanted == self._offered:
            return
        self._offered = wanted
        gone = self.rows.children
        self.rows.children = [self._row(one) for one in shown.values()]
        for row in gone:
            for one in family(row):
                one.close()

    def _row(self, blocker: Blocker) -> Any:
        user = f" of role {blocker.user!r}" if blocker.user else ""
        who = f"{blocker.who}{user}"
        asking = self._asking
        if asking is not None and _key(asking.blocker) == _key(blocker):
            what = "Cancel the statement" if asking.statement_only else "End the session"
            yes = self._button(f"Yes, {what.lower()}", "danger", lambda: self._confirm(asking))
            no = self._button("No", "", lambda: self._ask(None))
            return ipywidgets.HBox([ipywidgets.HTML(escaped(f"{what} of {who}?")), yes, no])
        buttons = [
            self._button(text, "", functools.partial(self._ask, Signal(blocker, only)))
            for text, only in (("Cancel its statement", True), ("End its session", False))
            if not signalling.stays(blocker, statement_only=only)
        ]
        return ipywidgets.HBox([ipywidgets.HTML(escaped(who)), *buttons])

    def _button(self, text: str, style: str, pressed: Callable[[], None]) -> Any:
        button = ipywidgets.Button(description=text, button_style=style, layout={"width": "auto"})
        button.on_click(lambda _button: pressed())
        return button

    def _ask(self, signal: Signal | None) -> None:
        self._asking = signal

    def _confirm(self, signal: Signal) -> None:
        # A second click before the next frame asks for nothing more.
        if self._asking is signal:
            self._confirmed.append(signal)
            self._asking = None


def _key(blocker: Blocker) -> tuple[int, str, str]:
    return blocker.pid or 0, blocker.transaction, blocker.backend_start
