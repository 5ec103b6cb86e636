"""The form of a class: its fields, what each may hold, and what is dropped from it."""

from __future__ import annotations

import logging
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NoReturn

from psycopg.types.json import Jsonb

from pgrunbook.errors import BadClassForm
from pgrunbook.views.text import shorten, visible

__all__ = ["CODE_LENGTH", "FIELDS", "PARTS", "Clean", "clean"]

logger = logging.getLogger("pgrunbook.class_codes")

CODE_LENGTH = 50
"""What varchar(50) of `class_code` holds, in characters."""
PARTS = ("client_id", "class_type", "class_subject")
"""The fields that a code begins with, in its order."""

_NUMBER = re.compile(r"[0-9]{1,10}")
_INT4 = 2**31 - 1
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Clean:
    """A form that may be sent to the server: values by column, in the order of the form."""

    values: Mapping[str, Any]
    parts: tuple[str, ...] = ()
    """The three parts of the code as text; empty where none is to be made."""

    @property
    def prefix(self) -> str:
        """Return what the code begins with.

        >>> Clean({}, ("11", "REALLL", "RLN")).prefix
        '11-REALLL-RLN-'
        """
        return "".join(f"{part}-" for part in self.parts)


def clean(form: Mapping[str, object], *, new: bool) -> Clean:
    """Return the form as it may be sent, refused before any SQL where it cannot be.

    A `class_code` in it is dropped, and logged with what was dropped: the server makes the codes. Outer blanks
    of the code's parts go; numbers may come as text, as a browser sends them. With `new`, the three parts have
    to be there. Raises BadClassForm.
    """
    given = dict(form)
    if "class_code" in given:
        dropped = given.pop("class_code")
        logger.warning("class_code dropped from the form: %s", shorten(visible(repr(dropped)), 80))
    for name in given:
        if name not in FIELDS:
            _refuse(name, "no field of the form", f"choose from: {', '.join(FIELDS)}")
    if new:
        missing = [name for name in PARTS if given.get(name) is None]
        if missing:
            _refuse(missing[0], "missing", "a code is made of client_id, class_type and class_subject")
    values = {name: _value(name, value) for name, value in given.items()}
    if not new and not values:
        raise BadClassForm(field="", found="nothing to change", next_step="give at least one field")
    parts = tuple(_part(name, values[name]) for name in PARTS) if new else ()
    made = Clean(values, parts)
    if new and len(made.prefix) + _DIGITS > CODE_LENGTH:
        _refuse(
            "class_subject",
            f"the code would be longer than {CODE_LENGTH} characters",
            "shorten type or subject",
        )
    return made


def _value(name: str, value: object) -> object:
    if value is None:
        if name in PARTS:
            _refuse(name, "missing", "it cannot be taken out of a class")
        return None
    return FIELDS[name](name, value.strip(" ") if name in PARTS and isinstance(value, str) else value)


def _part(name: str, value: object) -> str:
    text = str(value)
    if not text.strip():
        _refuse(name, "blank", "fill it in")
    if "-" in text:
        _refuse(name, f"'-' in {_shown(value)}", "a dash separates the parts of a code; leave it out")
    if hidden := next((c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")), None):
        _refuse(name, f"a character that nobody can see, {visible(hidden)}", "leave it out")
    if text != text.strip():
        _refuse(name, f"blanks at the ends of {_shown(value)}", "leave them out")
    return text


def _integer(name: str, value: object) -> int:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip(" ")):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse(name, f"{_shown(value)} is no whole number", "give digits alone")
    if not 0 <= value <= _INT4:
        _refuse(name, f"{_shown(value)} is out of range", f"choose from 0 to {_INT4}")
    return value


def _text(longest: int | None) -> Callable[[str, object], str]:
    def checked(name: str, value: object) -> str:
        if not isinstance(value, str):
            _refuse(name, f"{_shown(value)} is no text", "give text")
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            _refuse(name, "a character that PostgreSQL cannot store", "leave it out")
        if longest is not None and len(value) > longest:
            _refuse(name, f"{len(value):,} characters", f"it holds {longest} at most")
        return value

    return checked


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        _refuse(name, f"{_shown(value)} is neither true nor false", "give True or False")
    return value


def _day(name: str, value: object) -> date:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    if type(value) is not date:
        _refuse(name, f"{_shown(value)} is no date", "write it as 2026-01-22")
    return value


def _document(kind: type) -> Callable[[str, object], Jsonb]:
    def checked(name: str, value: object) -> Jsonb:
        if not isinstance(value, kind):
            _refuse(name, f"{_shown(value)} is no {kind.__name__}", f"give a {kind.__name__}")
        _storable(name, value, 0)
        return Jsonb(value)

    return checked


def _storable(name: str, value: object, depth: int) -> None:
    if depth > 100:
        _refuse(name, "nested more than 100 deep", "give less")
    if isinstance(value, str):
        _text(None)(name, value)
    elif isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(key, str):
                _refuse(name, f"the key {_shown(key)} is no text", "use text as keys")
            _storable(name, key, depth + 1)
            _storable(name, one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            _storable(name, one, depth + 1)
    elif value is not None and (
        not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value))
    ):
        _refuse(name, f"{_shown(value)} is nothing that JSON knows", "give text, numbers, lists or objects")


def _shown(value: object) -> str:
    return shorten(visible(repr(value)), 80)


def _refuse(field: str, found: str, next_step: str) -> NoReturn:
    raise BadClassForm(field=shorten(visible(field), 80), found=found, next_step=next_step)


_Check = Callable[[str, object], object]


def _fields(check: _Check, names: str) -> dict[str, _Check]:
    return dict.fromkeys(names.split(), check)


# What the server keeps for itself is not here: class_id, class_code, is_draft, created_at, updated_at.
FIELDS: Mapping[str, _Check] = {
    **_fields(_integer, "client_id"),
    **_fields(_text(50), "class_type class_subject"),
    **_fields(
        _integer,
        "site_id class_duration class_capacity class_agent initial_class_agent project_supervisor_id"
        " created_by updated_by",
    ),
    **_fields(_text(10), "class_postal_code"),
    **_fields(_text(20), "site_code class_language class_status class_mode seta cost_centre"),
    **_fields(_text(30), "order_number"),
    **_fields(_text(40), "class_province funding_reference"),
    **_fields(_text(50), "exam_type"),
    **_fields(_text(60), "class_suburb class_town"),
    **_fields(_text(120), "class_address_line class_status_reason"),
    **_fields(_text(None), "class_notes"),
    **_fields(_switch, "seta_funded exam_class"),
    **_fields(_day, "initial_agent_start original_start_date delivery_date collection_date"),
    **_fields(
        _document(list),
        "class_notes_data backup_agent_ids agent_replacements learner_ids exam_learners stop_restart_dates"
        " event_dates exception_dates qa_visit_dates qa_reports",
    ),
    **_fields(_document(dict), "schedule_data holiday_overrides order_number_metadata"),
}
"""The fields that a form may hold, each with what checks it."""
