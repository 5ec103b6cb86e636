"""The vocabulary of events: which keys the detail of each kind has, and of what shape their values are."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["EVERY", "KINDS", "OUTCOME", "TEXTS", "Each", "Only", "Table"]

_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z")


@dataclass(frozen=True, slots=True)
class Only:
    """A value that a test lets pass."""

    words: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Each:
    """An object whose values are all of one shape, whatever their names."""

    shape: Any


@dataclass(frozen=True, slots=True)
class Table:
    """An object of columns and rows, whose rows are of one shape."""

    shape: Mapping[str, Any]


def _real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


TEXT = Only("a text", lambda value: isinstance(value, str))
TEXTS = Only(
    "a list of texts", lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value)
)
FLAG = Only("true or false", lambda value: isinstance(value, bool))
REAL = Only("a number", _real)
AMOUNT = Only("a number that is not negative", lambda value: _real(value) and value >= 0)
COUNT = Only("a count", lambda value: _real(value) and isinstance(value, int) and value >= 0)
HASH = Only("a SHA-256", lambda value: isinstance(value, str) and bool(_HASH.fullmatch(value)))
TIME = Only("a time", lambda value: isinstance(value, str) and bool(_TIME.fullmatch(value)))
FIGURES = Only(
    "figures", lambda value: isinstance(value, list) and bool(value) and all(map(AMOUNT.fits, value))
)
PAIR = Only(
    "two counts or nulls",
    lambda value: (
        isinstance(value, list) and len(value) == 2 and all(one is None or COUNT.fits(one) for one in value)
    ),
)


def _or_null(shape: Only) -> Only:
    return Only(f"{shape.words} or null", lambda value: value is None or shape.fits(value))


def _one_of(*words: str) -> Only:
    return Only(" or ".join(words), lambda value: isinstance(value, str) and value in words)


def _wide(check: Mapping[str, Any]) -> bool:
    """Return whether the rows of a check are as wide as its columns; earlier versions keep objects instead."""
    columns, found = check.get("columns"), check.get("found", [])
    rows = isinstance(found, list) and all(
        isinstance(row, list) and len(row) == len(columns or []) for row in found
    )
    return rows and ("found" not in check or columns is not None)


# A key with a question mark may be left out, and is where it is not of its shape; without one the whole is unfit.
# `""` is what the values have to be together.
_CHECK = {
    "label": TEXT,
    "title": TEXT,
    "severity": _one_of("stop", "warn", "info"),
    "rows": COUNT,
    "problem": TEXT,
    "unproved?": TEXT,
    "effect?": TEXT,
    "next?": TEXT,
    "columns?": TEXTS,
    "sample?": [{}],
    "": Only("rows as wide as its columns", _wide),
}
_LOCK = {"schema": TEXT, "object": TEXT, "kind?": TEXT, "mode": TEXT}
_STATEMENT = {
    "number": COUNT,
    "statement": TEXT,
    "took": [{**_LOCK, "kind": TEXT, "milliseconds": AMOUNT}],
    "held_before": [_LOCK],
}
_QUERY = {
    "name": TEXT,
    "median_ms": AMOUNT,
    "rows": COUNT,
    "plan": TEXT,
    "title?": TEXT,
    "runs_ms?": FIGURES,
    "nodes?": TEXTS,
    "shared_hit?": _or_null(COUNT),
    "shared_read?": _or_null(COUNT),
    "explain?": TEXT,
    "missed?": TEXTS,
}
_WAIT = {
    "pid": _or_null(COUNT),
    "who": TEXT,
    "from_ms": REAL,
    "to_ms": REAL,
    "wants": _or_null(TEXT),
    "on": _or_null(TEXT),
    "held up by": Only("a list", lambda value: isinstance(value, list)),
    "side": TEXT,
}
_BUILD = {
    "at_ms": AMOUNT,
    "phase": TEXT,
    "done": _or_null(COUNT),
    "total": _or_null(COUNT),
    "waits for": Only(
        "a count, a text or null", lambda value: value is None or COUNT.fits(value) or TEXT.fits(value)
    ),
    "who": _or_null(TEXT),
}
_IN_THE_WAY = {
    "who": TEXT,
    **{f"{name}?": _or_null(TEXT) for name in ("on", "holds", "state")},
    **{f"{name}?": _or_null(REAL) for name in ("from_ms", "to_ms", "held_before_ms")},
}
_ITEM = {
    **dict.fromkeys(("key", "text", "when"), TEXT),
    "step?": TEXT,
    "": Only("key, text, when and step alone", lambda item: item.keys() <= {"key", "text", "when", "step"}),
}
_TICK = {"item": TEXT, **{f"{name}?": TEXT for name in ("text_sha256", "who", "remark", "how")}}
_SIGNAL = {
    "pid?": _or_null(COUNT),
    **{
        f"{name}?": _or_null(TEXT)
        for name in ("who", "user", "application", "state", "query", "reason", "reason_given", "asked_from")
    },
    "done?": FLAG,
    "gone?": _or_null(FLAG),
}
OUTCOME = {
    **{f"{name}?": TEXT for name in ("note", "reason", "remedy", "file")},
    **{f"{name}?": _or_null(AMOUNT) for name in ("seconds", "waited_s", "held_ms")},
    **{f"{name}?": _or_null(COUNT) for name in ("attempts", "rows", "batches")},
    "sha256?": HASH,
    "": Only("a file with its hash", lambda detail: "sha256" not in detail or "file" in detail),
}
_AUDIT = {"verdict?": _one_of("GO", "NO-GO"), "checks?": [_CHECK], "again?": TEXT}
EVERY = {"journal_at?": TIME, "worst_stall_ms?": _or_null(AMOUNT)}
KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "run opened": {
        **{
            f"{name}?": TEXT
            for name in (
                "change",
                "title",
                "target",
                "operator",
                "server",
                "cluster",
                "version",
                "window_ends",
            )
        },
        "target_kind?": _one_of("live", "rehearsal"),
        "versions?": Each(TEXT),
        "stall_budget_ms?": AMOUNT,
        "approvals_needed?": COUNT,
        "scripts?": Each(HASH),
        "checklist?": [_ITEM],
    },
    "run finished": {"outcome?": TEXT},
    "preflight": {**_AUDIT, "verdict": _AUDIT["verdict?"]},
    "verified": _AUDIT,
    "rehearsed": {
        "locks?": [{"file": TEXT, "declared": TEXTS, "observed": TEXTS, "statements?": [_STATEMENT]}],
        "not_restored?": TEXTS,
        "server?": TEXT,
    },
    "timed": {"when": _one_of("before", "after"), "queries?": [_QUERY]},
    "gate": {"go": FLAG, **{f"{name}?": TEXT for name in ("who", "reason", "how")}},
    "gate unanswered": {"reason?": TEXT},
    "gate withdrawn": {"reason?": TEXT},
    **dict.fromkeys(("blocker cancelled", "blocker ended", "blocker not ended"), _SIGNAL),
    "ticked": _TICK,
    "tick taken back": _TICK,
    "observed": {
        "job": TEXT,
        "file": TEXT,
        **dict.fromkeys(("worst_stall_ms", "stall_budget_ms", "held_ms", "watched_ms"), AMOUNT),
        "samples": COUNT,
        "problem?": TEXT,
        "waits?": Table(_WAIT),
        "waits_left_out?": [{"side": TEXT, "waits": COUNT, "longest_ms": AMOUNT}],
        "in_the_way?": [_IN_THE_WAY],
        "in_the_way_left_out?": COUNT,
        "builds?": Table(_BUILD),
        "sizes?": Each(PAIR),
    },
}
