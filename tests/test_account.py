"""What the events of one run tell, as far as it is compared."""

from __future__ import annotations

import json

import pytest

from pgrunbook import dossier
from pgrunbook.account import NOT_RUN, Account
from pgrunbook.dossier import Event

pytestmark = pytest.mark.static


def account(*told: tuple[str, str, dict[str, object]]) -> Account:
    events = [
        Event(
            id=n, at="x", run_id="r", change="c", step=step, kind=kind, actor="ann", detail=json.dumps(detail)
        )
        for n, (kind, step, detail) in enumerate(told, 1)
    ]
    return Account(dossier.make("r", events, source="journal", chain=""))


def test_a_step_ended_as_its_last_event_says() -> None:
    told = account(("apply started", "001", {}), ("apply done", "001", {}), ("rollback done", "001", {}))
    assert (told.end("001"), told.end("002")) == ("rolled back", NOT_RUN)
    assert account(("apply started", "001", {})).end("001") == "interrupted"


def test_figures_are_those_of_applying_and_of_nothing_else() -> None:
    told = account(
        ("apply failed", "001", {"held_ms": 9}),
        ("apply done", "001", {"held_ms": 2, "seconds": "odd"}),
        ("rollback done", "001", {"held_ms": 50}),
    )
    assert told.measured("001", "held_ms", max) == 9
    assert told.measured("001", "seconds", max) is None
