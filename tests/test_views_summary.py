"""The summary of a run takes whatever its history tells."""

from __future__ import annotations

from dataclasses import fields

import pytest

from pgrunbook.history import summarise
from pgrunbook.views.summary import Summary

pytestmark = pytest.mark.static


def test_whatever_a_history_tells_has_its_place() -> None:
    told = summarise("r1", [], chain="")
    summary = Summary(**told)
    assert summary.run_id == "r1"
    # The last two only where there is something to tell.
    assert {one.name for one in fields(Summary)} - told.keys() == {"texts", "signals", "unread"}
