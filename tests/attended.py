"""A person before a notebook, without a browser: panels are shown nowhere and pressed by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from pgrunbook import kernel
from pgrunbook.views import gate_panel, panel, step_panel, tick_panel
from pgrunbook.views.gate_panel import GatePanel
from pgrunbook.views.step_panel import StepPanel
from pgrunbook.views.tick_panel import TickPanel

T = TypeVar("T")


class Person:
    """Somebody who answers each panel as it comes: `Person(monkeypatch)` sits down at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.panels: list[Any] = []
        monkeypatch.setattr(kernel, "attended", lambda: True)
        for module in (gate_panel, step_panel, tick_panel):
            monkeypatch.setattr(module, "display", lambda _box: None)
        monkeypatch.setattr(panel, "clear_output", lambda wait: None)
        for kind in (GatePanel, StepPanel, TickPanel):
            monkeypatch.setattr(kind, "show", self._seen(kind.show))

    def _seen(self, show: Callable[[Any], None]) -> Callable[[Any], None]:
        def shown(panel: Any) -> None:
            show(panel)
            self.panels.append(panel)

        return shown

    async def panel(self, kind: type[T]) -> T:
        """The next panel of a kind, once it is there."""
        while not any(isinstance(one, kind) for one in self.panels):
            await asyncio.sleep(0.01)
        while not isinstance(found := self.panels.pop(0), kind):
            pass
        return found

    async def answer(
        self, *, go: bool, word: str = "APPLY", reason: str = "CHG-1", who: str = ""
    ) -> GatePanel:
        panel = await self.panel(GatePanel)
        panel.reason.value = reason
        if who:
            panel.name.value = who
        panel.word.value = word
        (panel.go if go else panel.no_go).click()
        return panel

    async def cancel(self, when: Callable[[StepPanel], bool] = lambda _panel: True) -> None:
        panel = await self.panel(StepPanel)
        while not when(panel):
            await asyncio.sleep(0.01)
        panel.cancel.click()


def at_once(asked: Awaitable[T], *done: Awaitable[Any]) -> T:
    """Run a cell while a person does something."""

    async def scene() -> T:
        doing = [asyncio.ensure_future(one) for one in done]
        try:
            return await asyncio.wait_for(asked, 30)
        finally:
            for one in doing:
                one.cancel()

    return asyncio.run(scene())
