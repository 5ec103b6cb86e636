"""Failures that nobody expected are told like all others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook.errors import FileRefused, GateClosed, RunbookError, Stopped, TargetFailed
from pgrunbook.runbook import Runbook
from pgrunbook.telling import telling, told


def test_each_kind_of_failure_is_told_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGRUNBOOK_TARGET", "dbname=x password=hunter2")
    closed = GateClosed(step="001", reason="why")
    assert told(closed) is closed
    assert isinstance(told(KeyboardInterrupt()), Stopped)
    assert isinstance(told(PermissionError(13, "denied", "/x")), FileRefused)
    lost = told(psycopg.OperationalError("hunter2 is gone\nsecond line"))
    assert isinstance(lost, TargetFailed)
    assert (lost.reason, lost.details) == ("*** is gone", ("second line",))
    assert str(told(psycopg.OperationalError(""))).startswith(
        "the database did not do what it was asked: OperationalError"
    )
    slow = told(TimeoutError())
    assert isinstance(slow, TargetFailed)
    assert slow.reason == "TimeoutError"


def test_a_class_that_tells_keeps_what_its_methods_return_and_mean_to_raise() -> None:
    @telling
    class Told:
        def fine(self) -> int:
            return 1

        def lost(self) -> None:
            raise psycopg.OperationalError("gone")

        async def lost_later(self) -> None:
            raise psycopg.OperationalError("gone")

        def meant(self) -> None:
            raise ValueError("meant")

    assert Told().fine() == 1
    with pytest.raises(TargetFailed):
        Told().lost()
    with pytest.raises(TargetFailed):
        asyncio.run(Told().lost_later())
    with pytest.raises(ValueError, match="meant"):
        Told().meant()


def test_a_notebooks_cell_tells_a_broken_ledger_without_a_drivers_error(
    conn: psycopg.Connection[dict[str, Any]], database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    throwaway.write(tmp_path / "changes")
    conn.execute(throwaway.TABLE)
    monkeypatch.setenv("PGRUNBOOK_CHANGES", str(tmp_path / "changes"))
    monkeypatch.setenv("PGRUNBOOK_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("PGRUNBOOK_TARGET", database)
    runbook = Runbook.open(throwaway.NAME)
    try:
        runbook.run.binding.begin_writing()
        conn.execute("DROP TABLE pgrunbook.step")
        with pytest.raises(RunbookError, match="the database did not do what it was asked") as caught:
            runbook.status()
        assert "next: " in str(caught.value)
    finally:
        runbook.close()
