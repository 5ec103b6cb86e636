"""Who is at the keyboard, and what a run is called."""

from __future__ import annotations

import getpass
import os
import secrets
from datetime import UTC, datetime

__all__ = ["new_run_id", "operator_name"]


def operator_name() -> str:
    """Return who is at the keyboard: PGRUNBOOK_OPERATOR, else the name of the system's user."""
    return os.environ.get("PGRUNBOOK_OPERATOR") or getpass.getuser()


def new_run_id(change: str) -> str:
    """Return a name for a run that sorts by time and never repeats."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z-{change}-{secrets.token_hex(2)}"
