"""The live panel of a checklist: a box, a name and a remark for each item; its callbacks only set flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets

from pgrunbook import kernel
from pgrunbook.checklist import Checked
from pgrunbook.views import panel
from pgrunbook.views.lifeline import display
from pgrunbook.views.units import counted

__all__ = ["TickPanel", "Wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to be recorded of an item."""

    key: str
    ticked: bool
    who: str
    remark: str


@dataclass(slots=True)
class TickPanel:
    """The items under the cell; `done` changes when its button is pressed, `wishes` hands out what was ticked."""

    title: str
    about: Mapping[str, str]
    items: Sequence[Checked]
    who: str
    done: bool = False
    text: Any = None
    finish: Any = None
    box: Any = None
    boxes: dict[str, Any] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)
    remarks: dict[str, Any] = field(default_factory=dict)
    _told: dict[str, Wish] = field(default_factory=dict)

    def show(self) -> None:
        """Put the panel under the cell."""
        note = (
            "Tick what you have made sure of; each tick is kept at once, with the name and the remark beside it."
            " Done leaves what is not ticked open. The notebook waits here, nothing runs meanwhile."
        )
        self.text = panel.html(panel.WAITING, self.title, self.about.items(), note)
        rows = [self._row(one) for one in self.items]
        self.finish = ipywidgets.Button(description="Done", button_style="primary")
        self.finish.on_click(self._finished)
        self._said()
        self.box = ipywidgets.VBox([self.text, *rows, ipywidgets.HBox([self.finish])])
        display(self.box)
        next(iter(self.boxes.values()), self.finish).focus()

    def wishes(self) -> list[Wish]:
        """Return what has changed since the last call: ticks, ticks taken back, and names and remarks after Done."""
        changed = []
        for key in self.boxes:
            wish, told = self._wish(key), self._told[key]
            if wish.ticked != told.ticked or (wish.ticked and self.done and wish != told):
                self._told[key] = wish
                changed.append(wish)
        return changed

    def close(self) -> None:
        """Take the panel away as soon as the table is shown in its place."""
        panel.close(self.box)

    def _row(self, one: Checked) -> Any:
        key, tick = one.item.key, one.tick
        again = f" ({one.why})" if one.why else ""
        # The description is the box's label, also to a screen reader; a key is plain letters.
        box = ipywidgets.Checkbox(
            value=tick is not None,
            indent=False,
            description=key,
            layout={"width": "auto", "min_width": "9em"},
        )
        name = ipywidgets.Text(
            value=tick.who if tick else self.who, placeholder="your name", layout={"width": "12em"}
        )
        remark = ipywidgets.Text(
            value=tick.remark if tick else "",
            placeholder="remark, kept in the record",
            layout={"width": "20em"},
        )
        self.boxes[key], self.names[key], self.remarks[key] = box, name, remark
        self._told[key] = self._wish(key)
        for field_ in (box, name, remark):
            field_.observe(self._changed, names="value")
        label = ipywidgets.HTML(
            f'<div style="line-height:1.4">{panel.escaped(one.item.text + again)}</div>',
            layout={"width": "36em"},
        )
        return ipywidgets.HBox([box, label, name, remark])

    def _wish(self, key: str) -> Wish:
        who = " ".join(self.names[key].value.split())
        # Nobody ticks without a name.
        return Wish(key, bool(self.boxes[key].value and who), who, self.remarks[key].value.strip())

    def _changed(self, _change: Any) -> None:
        for key, box in self.boxes.items():
            box.disabled = not self.names[key].value.strip()
        self._said()
        kernel.answered()

    def _said(self) -> None:
        open_ = sum(not self._wish(key).ticked for key in self.boxes)
        self.finish.description = f"Done, {counted(open_, 'item')} left open" if open_ else "Done"
        self.finish.layout.width = "auto"

    def _finished(self, _button: Any) -> None:
        self.done = True
