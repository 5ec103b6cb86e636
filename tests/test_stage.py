"""Stages: another script is another job."""

from __future__ import annotations

import pytest

from pgrunbook.stage import ASKS, LOOKS, Stage

pytestmark = pytest.mark.static


def test_a_stage_says_no_more_than_it_knows() -> None:
    stage = Stage("migrate/001_a.sql", LOOKS)
    assert (stage.holds, stage.stall_budget_ms, stage.takes_s, stage.cancel) == (False, 0.0, None, "")
    assert stage != Stage("migrate/001_a.sql", ASKS)
