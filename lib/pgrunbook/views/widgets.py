"""Live panels of the notebook: a gate's question, a step's progress; their buttons only set flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import ipywidgets
from IPython.display import display

from pgrunbook.views.units import duration

__all__ = ["Answer", "GatePanel", "StepPanel"]

WORD = "APPLY"


@dataclass(slots=True)
class Answer:
    """What the operator decided, once they did."""

    given: bool = False
    go: bool = False
    reason: str = ""


@dataclass(slots=True)
class GatePanel:
    """A question that a typed word arms; `answer` changes when a button is pressed.

    The callbacks run while the cell awaits, so they set flags and nothing else.
    """

    name: str
    question: str
    answer: Answer = field(default_factory=Answer)
    _box: Any = None

    def show(self) -> None:
        """Put the panel under the cell."""
        word = ipywidgets.Text(placeholder=f"type {WORD} to arm GO", layout={"width": "14em"})
        reason = ipywidgets.Text(placeholder="reason, kept in the record", layout={"width": "24em"})
        go = ipywidgets.Button(description="GO", button_style="success", disabled=True)
        no_go = ipywidgets.Button(description="NO-GO", button_style="danger")

        def arm(change: Any) -> None:
            go.disabled = change["new"].strip() != WORD

        def answer(decision: bool) -> Callable[[Any], None]:
            def pressed(_button: Any) -> None:
                self.answer.go, self.answer.reason, self.answer.given = decision, reason.value.strip(), True

            return pressed

        word.observe(arm, names="value")
        go.on_click(answer(True))
        no_go.on_click(answer(False))
        text = ipywidgets.HTML(f"<b>gate {escape(self.name)}</b><br>{escape(self.question)}")
        self._box = ipywidgets.VBox([text, ipywidgets.HBox([word, reason, go, no_go])])
        display(self._box)

    def close(self) -> None:
        """Take the panel away; the decision stays as text."""
        if self._box is not None:
            self._box.close()


@dataclass(slots=True)
class StepPanel:
    """Progress of a running step and a Cancel button; `cancelled` changes when it is pressed."""

    name: str
    cancelled: bool = False
    _box: Any = None
    _text: Any = None

    def show(self) -> None:
        """Put the panel under the cell."""
        self._text = ipywidgets.HTML(f"<b>{escape(self.name)}</b> starts")
        cancel = ipywidgets.Button(description="Cancel", button_style="warning")

        def pressed(_button: Any) -> None:
            self.cancelled = True

        cancel.on_click(pressed)
        self._box = ipywidgets.HBox([cancel, self._text])
        display(self._box)

    def update(self, seconds: float, lines: list[str]) -> None:
        """Show how long it has run and what it is doing; the lines may come from the database."""
        if self._text is not None:
            shown = "".join(f"<br>{escape(line)}" for line in lines)
            self._text.value = f"<b>{escape(self.name)}</b> for {duration(seconds * 1000)}{shown}"

    def close(self) -> None:
        """Take the panel away; the outcome stays as text."""
        if self._box is not None:
            self._box.close()
