"""The form that creates classes in a notebook: three fields, a button, and a code that nobody can type."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets
from IPython.display import clear_output, display

from pgrunbook import kernel
from pgrunbook.conduct import POLL_S
from pgrunbook.errors import RunbookError
from pgrunbook.views.text import shorten, visible
from pgrunbook.workloads.class_codes import Saved
from pgrunbook.workloads.class_form import PARTS

__all__ = ["ClassPanel", "ask"]

_LABELS = dict(zip(PARTS, ("client", "type", "subject"), strict=True))


async def ask(
    create: Callable[[Mapping[str, object]], Saved],
    *,
    wait_s: float,
    panel: Callable[[], ClassPanel] | None = None,
) -> list[Saved]:
    """Return the classes that somebody created until they pressed Done, or touched nothing for `wait_s` seconds.

    `create` runs in a thread, so that the panel goes on. Nothing of the panel is left in the notebook.
    """
    shown = (panel or ClassPanel)()
    made: list[Saved] = []
    shown.show()
    try:
        while not shown.done and time.monotonic() - shown.touched < wait_s and kernel.still_here():
            if (form := shown.wanted) is None:
                await asyncio.sleep(POLL_S)
                continue
            try:
                saved = await asyncio.to_thread(create, form)
            except RunbookError as error:
                shown.refused(str(error).splitlines()[0])
            else:
                made.append(saved)
                shown.saved(saved)
    finally:
        shown.close()
    return made


@dataclass(slots=True)
class ClassPanel:
    """The form under the cell; its buttons set `wanted` and `done` and nothing else.

    The code's field is disabled from the beginning and for ever: it shows what the server made.
    """

    wanted: Mapping[str, object] | None = None
    """The form as it was when Create was pressed; nothing while there is nothing to do."""
    done: bool = False
    touched: float = 0.0
    fields: Any = None
    code: Any = None
    create: Any = None
    finish: Any = None
    told: Any = None
    box: Any = None

    def show(self) -> None:
        """Put the form under the cell."""
        self.touched = time.monotonic()
        layout = {"width": "22em"}
        self.fields = {
            name: ipywidgets.Text(description=label, layout=layout) for name, label in _LABELS.items()
        }
        self.code = ipywidgets.Text(
            description="code", placeholder="the server makes it", disabled=True, layout=layout
        )
        self.create = ipywidgets.Button(description="Create", button_style="success")
        self.finish = ipywidgets.Button(description="Done")
        self.told = ipywidgets.HTML()
        for field in self.fields.values():
            field.observe(self._typed, names="value")
        self.create.on_click(self._pressed)
        self.finish.on_click(self._finished)
        buttons = ipywidgets.HBox([self.create, self.finish])
        self.box = ipywidgets.VBox([*self.fields.values(), self.code, buttons, self.told])
        display(self.box)

    def saved(self, saved: Saved) -> None:
        """Show the code that a class got; the form is ready for the next one."""
        self.code.value = str(saved["class_code"])
        self._ready(saved["message"])

    def refused(self, why: str) -> None:
        """Show why no class was created."""
        self.code.value = ""
        self._ready(why)

    def close(self) -> None:
        """Take the form away, so that the saved notebook holds one output and no widget."""
        clear_output(wait=True)
        for one in (
            *self.fields.values(),
            self.code,
            self.create,
            self.finish,
            self.told,
            *self.box.children,
        ):
            one.close()
        self.box.close()

    def _ready(self, told: str) -> None:
        self.told.value = f"<div>{escape(visible(shorten(told, 400)))}</div>"
        self.wanted, self.create.disabled, self.touched = None, False, time.monotonic()

    def _typed(self, _change: Any) -> None:
        self.touched = time.monotonic()
        kernel.answered()

    def _pressed(self, _button: Any) -> None:
        # A second click while the first is at work asks for nothing more.
        if self.wanted is None:
            self.create.disabled = True
            self.wanted = {name: field.value for name, field in self.fields.items()}

    def _finished(self, _button: Any) -> None:
        self.done = True
