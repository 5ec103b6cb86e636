"""Several names in one call: one view, in order, and an end at the first failure."""

from __future__ import annotations

import asyncio

import pytest

from pgrunbook.errors import UnknownName
from pgrunbook.several import joined, several, several_awaited
from pgrunbook.views.view import View


class Steps:
    def __init__(self) -> None:
        self.asked: list[str] = []

    @several
    def show(self, name: str) -> View:
        self.asked.append(name)
        if name == "003":
            raise UnknownName(kind="step", name=name, known=["001", "002"])
        return View(f"{name} shown", html=f"<pre>{name}</pre>", facts={"sha": name})

    @several_awaited
    async def perform(self, name: str) -> View:
        return self.show(name)


def test_one_name_gives_the_view_as_it_is() -> None:
    assert Steps().show("001") == View("001 shown", html="<pre>001</pre>", facts={"sha": "001"})


def test_several_names_give_one_view_in_their_order() -> None:
    both = View(
        "002 shown\n001 shown", "<pre>002</pre>\n<pre>001</pre>", facts={"1. sha": "002", "2. sha": "001"}
    )
    assert Steps().show("002", "001") == both
    assert asyncio.run(Steps().perform("002", "001")) == both  # type: ignore[arg-type]


def test_the_first_failure_ends_it() -> None:
    steps = Steps()
    with pytest.raises(UnknownName):
        steps.show("001", "003", "002")
    assert steps.asked == ["001", "003"]


def test_views_without_a_table_make_none() -> None:
    assert joined([View("a"), View("b")]).html is None
