"""Runbooks for schema changes on a live PostgreSQL: audit, rehearse, apply without stalling, undo, record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgrunbook.runbook import Runbook

__all__ = ["Runbook"]


def __getattr__(name: str) -> Any:
    # The notebook's libraries take a second to import; the command line must not wait for them.
    if name == "Runbook":
        from pgrunbook.runbook import Runbook

        return Runbook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
