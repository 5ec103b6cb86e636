"""Several names in one call: a method of one step that takes a group of them, one after the other."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pgrunbook.views.view import View

__all__ = ["joined", "several", "several_awaited"]

S = TypeVar("S")


def several(method: Callable[[S, str], View]) -> Callable[..., View]:
    """Return a method that takes names, and gives what it shows of each as one view; the first failure ends it."""

    @functools.wraps(method)
    def called(self: S, name: str, *more: str) -> View:
        return joined([method(self, one) for one in (name, *more)])

    return called


def several_awaited(method: Callable[[S, str], Awaitable[View]]) -> Callable[..., Awaitable[View]]:
    """Return the same of a method that is awaited."""

    @functools.wraps(method)
    async def called(self: S, name: str, *more: str) -> View:
        return joined([await method(self, one) for one in (name, *more)])

    return called


def joined(views: Sequence[View]) -> View:
    """Return views as one, below each other; facts by the place of their view, pictures left out.

    >>> joined([View("001 ... done"), View("002 ... done", facts={"held": 1})])
    001 ... done
    002 ... done
    """
    if len(views) == 1:
        return views[0]
    text = "\n".join(view.text for view in views)
    html = "\n".join(view.html for view in views if view.html)
    facts = {
        f"{place}. {name}": fact for place, view in enumerate(views, 1) for name, fact in view.facts.items()
    }
    return View(text, html=html or None, facts=facts)
