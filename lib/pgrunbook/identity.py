"""Who is at the keyboard, and what a run is called."""

from __future__ import annotations

import getpass
import os
import secrets
from datetime import UTC, datetime

__all__ = ["new_run_id", "operator_name", "system_user"]


def operator_name() -> str:
    """Return who is at the keyboard: PGRUNBOOK_OPERATOR, else the name of the system's user."""
    return os.environ.get("PGRUNBOOK_OPERATOR") or system_user()


def system_user() -> str:
    """Return the name of the system's user, or its number where it has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def new_run_id(change: str) -> str:
    """Return a name for a run that sorts by time and never repeats."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z-{change}-{secrets.token_hex(2)}"
