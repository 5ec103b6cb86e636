"""Timestamp codes: what a class gets when the counter of its prefix could not be had in time."""

from __future__ import annotations

import re
import secrets
from typing import Any

import psycopg

from pgrunbook.views.view import View

__all__ = ["EXPRESSION", "RECOVERY", "TAIL_LENGTH", "find", "is_fallback", "suffix"]

# The minute is that of the server's clock in UTC: the clocks of many application servers differ.
EXPRESSION = (
    "class_code_prefix(%s, %s, %s)"
    " || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD-HH24-MI') || '-' || %s"
)
"""The SQL of a timestamp code: client, type, subject and a suffix go in."""
TAIL_LENGTH = len("2026-01-22-09-05-x3fa9c1")
_SHAPE = r"^([^-]+-){3}[0-9]{4}(-[0-9]{2}){4}-x[0-9a-f]{6}$"

RECOVERY = f"""\
**Recovery.** A class whose code ends like `-2026-01-22-09-05-x3fa9c1` was created while the counter of its prefix
could not be had in time: the minute in UTC and a random end, which keeps two of one minute apart. Nothing has to
be repaired for the next class: the counter did not move, so the numbers go on without a gap.

1. Find who held the counter: `desk.waits()` names the blockers while it lasts, the log has one warning a fallback.
2. Find the classes: `desk.fallback_codes()`, or
   `SELECT class_id, class_code, created_at FROM classes WHERE class_code ~ '{_SHAPE}' ORDER BY created_at`.
3. Leave the codes as they are. A code is printed on registers, and the database refuses to change one. A number
   given later would stand after numbers that are younger, so it would tell the wrong order; `created_at` tells
   the right one.
"""
"""What to do after fallbacks, as Markdown."""


def suffix() -> str:
    """Return the end of a timestamp code: `x` and six hexadecimal digits at random.

    The letter keeps it from looking like a number of the sequence, and from the older timestamp codes, which
    end with the minute. Of two in one minute one in 16.7 million meet; the unique constraint finds that.
    """
    return f"x{secrets.token_hex(3)}"


def is_fallback(code: str) -> bool:
    """Return whether a code was made by a fallback.

    >>> is_fallback("11-REALLL-RLN-2026-01-22-09-05-x3fa9c1")
    True
    >>> is_fallback("11-REALLL-RLN-2026-01-22-09-05"), is_fallback("11-REALLL-RLN-0043")
    (False, False)
    """
    return re.search(_SHAPE, code) is not None


def find(conn: psycopg.Connection[Any]) -> View:
    """Return how many classes have a timestamp code of a fallback; which they are stands in the facts."""
    with conn.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        found = cursor.execute(
            "SELECT class_id, class_code, created_at FROM classes WHERE class_code ~ %s ORDER BY created_at, class_id",
            [_SHAPE],
        ).fetchall()
    said = f"{len(found):,} to leave as they are" if found else "none"
    return View(
        f"timestamp codes of fallbacks: {said}",
        facts={"classes": [{"class": row[0], "code": row[1], "created": row[2]} for row in found[:50]]},
    )
