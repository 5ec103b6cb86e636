"""The lifeline of a live panel: the page tells by itself when no news comes, the kernel whether a page shows it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import ipywidgets
from IPython import display as shown

from pgrunbook import kernel

__all__ = ["LOST", "Sight", "display"]

BEAT_S = 5.0
SILENCE_S = 20
UNSEEN_S = 30.0
SETTLING_S = 2.0
LOST = "A live panel stood here. It is over, or its kernel is gone."
NEXT = "Run this cell again: it tells what is true now, and nothing runs twice."
_STYLE = "border-left:4px solid #b91c1c;padding:.2em 0 .2em .8em;line-height:1.5"
# Until the animation is over nobody sees the note, and each beat begins it again: no script is needed, and no server.
_FADE = "@keyframes pgrunbook-silent{to{max-height:4em;visibility:visible}}"


def display(box: Any) -> None:
    """Put a panel under the cell, with a foot that turns into a warning where the kernel stops renewing it.

    Of a saved panel whose kernel is gone the page shows nothing but an error: a static line tells what to do, and
    the living foot hides it.
    """
    foot = ipywidgets.HTML(_beat(box.model_id, 0))
    foot._view_count = 0
    box.children = (*box.children, foot)
    note = f'<div id="pgrunbook-{box.model_id}" style="{_STYLE}"><b>{LOST}</b> {NEXT}</div>'
    shown.display(shown.HTML(note))
    shown.display(box)
    # Where no loop runs nobody watches.
    with contextlib.suppress(RuntimeError):
        _BEATS.add(task := asyncio.get_running_loop().create_task(_beats(box, foot)))
        task.add_done_callback(_BEATS.discard)


class Sight:
    """Whether a page shows a panel: each one that does says so when a part of it is drawn or taken away."""

    def __init__(self, box: Any) -> None:
        """Begin to listen; the panel was just displayed."""
        self._box, self._foot = box, box.children[-1]
        self._page = ipywidgets.Widget._control_comm
        self._heard, self._again = False, 0.0
        self._until = time.monotonic() + UNSEEN_S
        self._foot.observe(self._hear, names="_view_count")

    @property
    def lost(self) -> bool:
        """Return whether pages are there and none of them has shown the panel within half a minute.

        A page that was loaded anew shows it only if the notebook had been saved with it, and one that has taken it
        away may not be the only one: then they are asked again.
        """
        page, now = ipywidgets.Widget._control_comm, time.monotonic()
        if page is not self._page:
            self._page = page
            self._ask()
        if self._again and now >= self._again and not self._heard:
            self._again = 0.0
            children = self._box.children
            self._box.children = children[:-1]
            self._box.children = children
        return page is not None and not self._heard and now > self._until

    def _hear(self, change: Any) -> None:
        if change["new"]:
            self._heard = True
        else:
            # Run All once more takes it away, and another page may show it still.
            self._ask()
        kernel.answered()

    def _ask(self) -> None:
        self._heard = False
        self._again = time.monotonic() + SETTLING_S
        self._until = self._again + UNSEEN_S / 2


_BEATS: set[asyncio.Task[None]] = set()


async def _beats(box: Any, foot: Any) -> None:
    number = 0
    while True:
        await asyncio.sleep(BEAT_S)
        if foot.comm is None:
            return
        number += 1
        foot.value = _beat(box.model_id, number)


def _beat(model_id: str, number: int) -> str:
    return (
        f"<style>#pgrunbook-{model_id}{{display:none}}{_FADE}</style>"
        f'<div data-beat="{number}" style="{_STYLE};visibility:hidden;max-height:0;padding-top:0;padding-bottom:0;'
        f'overflow:hidden;animation:pgrunbook-silent 0s linear {SILENCE_S}s forwards">'
        f"<b>No news for {SILENCE_S} s: the kernel does not answer, or has ended. What stands above may be over.</b>"
        f" {NEXT}</div>"
    )
