"""The live panel of a gate: what would run, a word that arms GO, a reason; its buttons only set flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias

import ipywidgets

from pgrunbook import kernel
from pgrunbook.views.lifeline import display
from pgrunbook.views.panel import WAITING, beside, close, escaped, html, markup

__all__ = ["Answer", "GatePanel", "Lines", "Question", "rows"]

Lines: TypeAlias = Mapping[str, str | Sequence[str]]


def rows(lines: Lines) -> list[tuple[str, str]]:
    """Return lines as names and values, each name once.

    >>> rows({"where": "here", "locks": ["one", "two"]})
    [('where', 'here'), ('locks', 'one'), ('', 'two')]
    """
    return [
        ("" if place else name, value)
        for name, values in lines.items()
        for place, value in enumerate([values] if isinstance(values, str) else values)
    ]


@dataclass(frozen=True, slots=True)
class Question:
    """What a gate asks: `about` says line by line what would run; typing `word` arms GO."""

    title: str
    about: Lines
    no_go: str
    word: str = "APPLY"
    who: str = ""
    """The name to approve under; without one the panel asks for it."""
    reasoned: bool = True
    """Whether a NO-GO needs a reason."""


@dataclass(slots=True)
class Answer:
    """What the operator decided, once they did."""

    given: bool = False
    go: bool = False
    who: str = ""
    reason: str = ""


@dataclass(slots=True)
class GatePanel:
    """A question under the cell; `answer` changes when a button is pressed.

    The callbacks run while the cell awaits, so they set flags and nothing else.
    """

    question: Question
    answer: Answer = field(default_factory=Answer)
    now: Any = None
    hint: Any = None
    first: Any = None
    word: Any = None
    name: Any = None
    reason: Any = None
    go: Any = None
    no_go: Any = None
    box: Any = None

    def show(self) -> None:
        """Put the panel under the cell."""
        asked = self.question
        self.word = ipywidgets.Text(placeholder=f"type {asked.word} to arm GO", layout={"width": "16em"})
        self.reason = ipywidgets.Text(
            placeholder="reason or ticket, kept in the record", layout={"width": "28em"}
        )
        self.name = ipywidgets.Text(value=asked.who, placeholder="your name", layout={"width": "16em"})
        self.now, self.hint = ipywidgets.HTML(), ipywidgets.HTML()
        self.go = ipywidgets.Button(description="GO", button_style="success", disabled=True)
        self.no_go = ipywidgets.Button(description="NO-GO", button_style="danger")
        for one in (self.word, self.name, self.reason):
            one.observe(self._typed, names="value")
        self.go.on_click(self._answered(True))
        self.no_go.on_click(self._answered(False))
        about = html(WAITING, asked.title, rows(asked.about))
        self.hint.value = (
            f"Type <b>{escape(asked.word)}</b> and press GO to let it run. NO-GO{' with a reason' * asked.reasoned}:"
            f" {escaped(asked.no_go)} The notebook waits here, nothing runs meanwhile."
        )
        fields = [self.reason] if asked.who else [self.name, self.reason]
        answering = beside(self.word, self.go, self.no_go)
        self.box = ipywidgets.VBox([about, self.now, self.hint, beside(*fields), answering])
        display(self.box)
        # Run All leaves the notebook at its last cell: bring the question before the eye. From its first field on
        # Tab goes through the fields to the buttons; Enter in a field does nothing.
        self.first = fields[0]
        self.first.focus()

    def update(self, lines: Lines) -> None:
        """Show what may change while the gate waits; texts may come from the database."""
        if self.now is not None:
            if not self.now.value and not (self.word.value or self.reason.value):
                # What was asked before the page had drawn the field is lost.
                self.first.focus()
            self.now.value = markup(WAITING, "Now", rows(lines))

    def settle(self) -> Answer:
        """Return the answer with the texts as they are by now: a click may overtake what was typed before it."""
        self.answer.reason, self.answer.who = self.reason.value.strip(), self.name.value.strip()
        return self.answer

    def close(self) -> None:
        """Take the panel away as soon as the decision is shown in its place."""
        close(self.box)

    def _typed(self, _change: Any) -> None:
        armed = self.word.value.strip() == self.question.word
        self.go.disabled = not (armed and self.name.value.strip())
        kernel.answered()

    def _answered(self, go: bool) -> Callable[[Any], None]:
        def pressed(_button: Any) -> None:
            given = self.answer
            if given.given or (go and self.go.disabled):
                return
            if not go and self.question.reasoned and not self.reason.value.strip():
                self.hint.value = (
                    "<b>NO-GO needs a reason</b>: write why, and press it again; the record keeps it."
                )
                self.reason.focus()
                kernel.answered()
                return
            given.given, given.go = True, go
            self.settle()
            self.go.disabled = self.no_go.disabled = True

        return pressed
