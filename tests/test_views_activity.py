"""Lock waits and slow statements as views: the line alone is compared, hostile text stays text."""

from __future__ import annotations

import pytest

from pgrunbook.monitoring import NotAvailable, Session, SlowStatement, Waiting
from pgrunbook.views import activity

pytestmark = pytest.mark.static

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


def session(pid: int, statement: str = "UPDATE classes", state: str = "active") -> Session:
    return Session(pid, "app", f"shop {HOSTILE}", state, "2026-01-22 09:05:00 UTC", statement)


def test_nobody_waiting_is_one_line() -> None:
    view = activity.waits([], text="class_code")
    assert view.text == "lock waits now with 'class_code' in the statement: nobody waits"
    assert view.html is None
    assert activity.waits([]).text == "lock waits now: nobody waits"


def test_each_blocker_of_a_wait_has_a_row() -> None:
    prepared = Session(0, "", "", "prepared transaction", "", "")
    found = [
        Waiting(session(7, HOSTILE), "ShareLock", "transactionid", 1234.5, (session(8), prepared)),
        Waiting(session(9), "ExclusiveLock", "classes", 3, (session(7),)),
    ]
    view = activity.waits(found)
    assert view.text == "lock waits now: 2 sessions waiting"
    assert view.html
    assert view.html.count("<tr>") == 1 + 3
    assert "<img" not in view.html
    assert "pid 8 shop" in view.html
    assert "prepared transaction" in view.html
    assert "1.23 s" in view.html


def test_slow_statements_are_a_table() -> None:
    view = activity.slow_statements([SlowStatement(HOSTILE, 3, 1.5, 2, 4.5, 3)], text="class_code")
    assert view.text == "slow statements with 'class_code' in them: 1, the slowest on average first"
    assert view.html
    assert "<img" not in view.html
    assert activity.slow_statements([]).text == "slow statements: none counted yet"


def test_what_is_not_available_is_told_with_the_way_out() -> None:
    view = activity.slow_statements(NotAvailable("the server has none", "install it"))
    assert view.text == "slow statements: not available here: the server has none\n  next: install it"
    assert view.html is None
