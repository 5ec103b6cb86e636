"""The live panel of a call: its progress, who is in the way, Cancel; its buttons only set flags."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets

from pgrunbook import signalling
from pgrunbook.patience import Blocker
from pgrunbook.views.gauges import share_gauge, stall_gauge
from pgrunbook.views.lifeline import display
from pgrunbook.views.panel import WAITING, WORKING, beside, close, escaped, family, html, markup
from pgrunbook.views.units import duration

__all__ = ["FRAME_S", "Frame", "Signal", "StepPanel"]

FRAME_S = 0.25
"""The shortest time between two frames."""
_LONG_S = 1.0
_OFFERED = 5
_CANCEL = "what is done already stays, nothing is left half done"


@dataclass(frozen=True, slots=True)
class Signal:
    """What somebody asked and confirmed: to end a session in the way, or its statement only."""

    blocker: Blocker
    statement_only: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """What the panel shows at one moment, as plain values; texts may come from the database.

    `share` is how much is done, from 0 to 1; `picture` is SVG of our own; a budget of 0: nobody is stopped.
    """

    seconds: float
    doing: str = "works"
    held_back_s: float = 0.0
    takes_s: float | None = None
    share: float | None = None
    worst_ms: float = 0.0
    budget_ms: float = 0.0
    lines: Sequence[tuple[str, str]] = ()
    picture: str = ""
    cancel: str = ""

    @property
    def time(self) -> str:
        """Return the time so far beside the estimate, which knows nothing of waiting.

        >>> Frame(12.7, takes_s=2, held_back_s=9.0).time, Frame(5, takes_s=60.0).time, Frame(0.2).time
        ('for 12 s, 9 s of it held back; estimate 2 s, past it by 1 s', 'for 5 s; estimate 1 min', 'for 0 ms')
        """
        back = f", {_whole(self.held_back_s)} of it held back" if self.held_back_s >= 1 else ""
        said = f"for {_whole(self.seconds)}{back}"
        if self.takes_s is None:
            return said
        over = self.seconds - self.held_back_s - self.takes_s
        # A second is the time of a glance: nobody needs to know before.
        past = f", past it by {_whole(over)}" if over >= 1 else ""
        return f"{said}; estimate {duration(float(f'{self.takes_s * 1000:.2g}'))}{past}"


def _whole(seconds: float) -> str:
    return duration(int(seconds) * 1000)


@dataclass(slots=True)
class StepPanel:
    """Progress of a call, a Cancel button, and buttons to end who is in the way.

    A frame changes only what is new: one like the last sends nothing to the browser. `cancelled` changes when
    Cancel is pressed; what was confirmed about others is handed out by `confirmed`.
    """

    title: str
    stoppable: bool = True
    cancelled: bool = False
    text: Any = None
    picture: Any = None
    cancel: Any = None
    effect: Any = None
    rows: Any = None
    box: Any = None
    _seen: bool = False
    _asking: Signal | None = None
    _confirmed: list[Signal] = field(default_factory=list)
    _offered: object = None

    def show(self) -> None:
        """Put the panel under the cell."""
        self.text = html(WORKING, self.title, [("now", "starts")])
        self.picture = ipywidgets.HTML()
        self.cancel = ipywidgets.Button(description="Cancel", button_style="warning")
        self.cancel.on_click(self._pressed)
        self.effect = ipywidgets.HTML(_note(_CANCEL))
        self.rows = ipywidgets.VBox([])
        stop = [beside(self.cancel, self.effect)] if self.stoppable else []
        self.box = ipywidgets.VBox([self.text, self.picture, self.rows, *stop])
        display(self.box)

    def confirmed(self) -> list[Signal]:
        """Return what was asked and confirmed since the last call."""
        asked, self._confirmed = self._confirmed, []
        return asked

    def update(self, frame: Frame, blockers: Sequence[Blocker] = ()) -> None:
        """Show what is done now, for how long already, and who may be ended."""
        if self.text is None:
            return
        if frame.seconds >= _LONG_S and not self._seen:
            self._seen = True
            self.cancel.focus()
        colour = WAITING if frame.lines or self.cancelled else WORKING
        doing = frame.doing
        if self.cancelled:
            doing = f"cancelling: the server was asked to stop; {doing}"
            self.cancel.disabled = True
        # A value like the one before is not sent.
        self.text.value = markup(colour, self.title, [("now", doing), ("time", frame.time), *frame.lines])
        gauges = share_gauge(frame.share), stall_gauge(frame.worst_ms, frame.budget_ms)
        self.picture.value = "".join((*gauges, frame.picture))
        self.effect.value = _note(frame.cancel or _CANCEL)
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
            return beside(ipywidgets.HTML(escaped(f"{what} of {who}?")), yes, no)
        buttons = [
            self._button(text, "", functools.partial(self._ask, Signal(blocker, only)))
            for text, only in (("Cancel its statement", True), ("End its session", False))
            if not signalling.stays(blocker, statement_only=only)
        ]
        return beside(ipywidgets.HTML(escaped(who)), *buttons)

    def _button(self, text: str, style: str, pressed: Callable[[], None]) -> Any:
        button = ipywidgets.Button(
            description=text, button_style=style, layout={"width": "auto", "flex": "0 0 auto"}
        )
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


def _note(effect: str) -> str:
    return f'<span style="opacity:.7">{escaped(effect)}</span>'
