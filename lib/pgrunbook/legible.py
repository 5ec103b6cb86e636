"""What of an event's detail can be read in the usual way; the rest is shown as it stands, and said to be so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pgrunbook.vocabulary import EVERY, KINDS, OUTCOME, TEXTS, Each, Only, Table

__all__ = ["UNREAD", "heads", "raw", "read", "read_all", "step"]

UNREAD: Final = "unread"
"""The key of an event that is there where its detail is not as this library writes it: what is wrong with it."""

Event = Mapping[str, Any]
_MOST = 5


class _Unfit(Exception):
    """A value is not of the shape that was asked for."""


def read_all(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return events as `read` does."""
    return [dict(read(event)) for event in events]


def read(event: Event) -> Event:
    """Return an event with what can be read of its detail in the usual way.

    Where that is not all of it, `unread` says what is wrong, and `raw` holds the detail as it stands. Of a detail that
    lacks what its kind of event cannot do without, nothing is left.
    """
    if UNREAD in event:
        return event
    kind = event["kind"]
    shape = KINDS.get(kind, OUTCOME if kind.startswith(("apply ", "rollback ", "remedy ")) else {})
    return _as(event, {**EVERY, **shape})


def heads(event: Event) -> Event:
    """Return an event of which only some keys were fetched: none of the others is missed."""
    shape = {**EVERY, **KINDS.get(event["kind"], {})}
    return _as(event, {f"{name.rstrip('?')}?": inner for name, inner in shape.items() if name})


def step(detail: Any) -> Mapping[str, Any]:
    """Return the detail of a step's row; where not all of it can be read, its note says so and shows it whole."""
    event = _as({"detail": detail}, {**EVERY, **OUTCOME})
    if UNREAD not in event:
        return detail  # type: ignore[no-any-return]
    return {**event["detail"], "note": f"{event[UNREAD]}; it stands there as {raw(event)}"}


def raw(event: Event) -> str:
    """Return the detail of an event as it stands, as JSON."""
    return json.dumps(event["raw"], ensure_ascii=False, default=str)


def _as(event: Event, shape: Mapping[str, Any]) -> Event:
    said: list[str] = []
    try:
        kept = _fit(event["detail"], shape, "detail", said)
    except _Unfit as unfit:
        said.insert(0, str(unfit))
        kept = {}
    if not said:
        return event
    more = [f"and {len(said) - _MOST:,} more"] if len(said) > _MOST else []
    return {**event, "detail": kept, UNREAD: "; ".join([*said[:_MOST], *more]), "raw": event["detail"]}


def _fit(value: Any, shape: Any, at: str, said: list[str]) -> Any:
    """Return what of a value is of its shape, having said what is not; raises _Unfit."""
    match shape:
        case Only():
            _require(shape.fits(value), value, at, shape.words)
            return value
        case list():
            _require(isinstance(value, list), value, at, "a list")
            return [
                kept
                for number, one in enumerate(value)
                for kept in _kept(one, shape[0], f"{at}[{number}]", said)
            ]
        case Each():
            _require(isinstance(value, dict), value, at, "an object")
            return {
                name: kept
                for name, one in value.items()
                for kept in _kept(one, shape.shape, f"{at}.{name}", said)
            }
        case Table():
            _require(isinstance(value, dict), value, at, "an object")
            columns, rows = value.get("columns"), value.get("rows")
            _require(TEXTS.fits(columns), columns, f"{at}.columns", TEXTS.words)
            _require(isinstance(rows, list), rows, f"{at}.rows", "a list")
            for number, row in enumerate(rows):
                where = f"{at}.rows[{number}]"
                _require(
                    isinstance(row, list) and len(row) == len(columns), row, where, "a row of its columns"
                )
                _fit(dict(zip(columns, row, strict=True)), shape.shape, where, said)
            return value
    _require(isinstance(value, dict), value, at, "an object")
    kept = dict(value)
    for key, inner in shape.items():
        name = key.rstrip("?")
        if not name:
            continue
        if name in value and key != name:
            found = _kept(value[name], inner, f"{at}.{name}", said)
            kept.update({name: found[0]} if found else {})
            if not found:
                del kept[name]
        elif key == name:
            if name not in value:
                raise _Unfit(f"{at}.{name} is missing")
            kept[name] = _fit(value[name], inner, f"{at}.{name}", said)
    if (whole := shape.get("")) is not None and not whole.fits(kept):
        raise _Unfit(f"{at} does not hold {whole.words}")
    return kept


def _kept(value: Any, shape: Any, at: str, said: list[str]) -> list[Any]:
    """Return what can be kept of a value that may be left out: itself, or nothing."""
    try:
        return [_fit(value, shape, at, said)]
    except _Unfit as unfit:
        said.append(str(unfit))
        return []


def _require(fits: bool, value: Any, at: str, words: str) -> None:
    if not fits:
        told = json.dumps(value, ensure_ascii=False, default=str)
        raise _Unfit(f"{at} is {told if len(told) <= 40 else f'{told[:40]}…'}, not {words}")
