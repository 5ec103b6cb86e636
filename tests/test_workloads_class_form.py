"""The form of a class: what is refused, what is taken, and that the table has its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from pgrunbook.errors import BadClassForm
from pgrunbook.workloads.class_form import FIELDS, clean

pytestmark = pytest.mark.static

GOOD: dict[str, Any] = {"client_id": 11, "class_type": "REALLL", "class_subject": "RLN"}


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


BAD: list[tuple[dict[str, Any], str]] = [
    ({"client_id": None}, "client_id: missing"),
    ({"class_subject": None}, "class_subject: missing"),
    ({"class_type": ""}, "class_type: blank"),
    ({"class_type": "   "}, "class_type: blank"),
    ({"class_type": "\u00a0"}, "class_type: blank"),
    ({"class_type": "A-B"}, "class_type: '-' in 'A-B'"),
    ({"class_subject": "R\nLN"}, "class_subject: a character that nobody can see, ↵"),
    ({"class_subject": "R\u202eLN"}, "class_subject: a character that nobody can see, \\u202e"),
    ({"class_subject": "\tRLN"}, "class_subject: a character that nobody can see, ⇥"),
    ({"class_subject": "\u2003RLN"}, "class_subject: blanks at the ends of '\\u2003RLN'"),
    ({"class_subject": 7}, "class_subject: 7 is no text"),
    ({"class_subject": ["RLN"]}, "class_subject: ['RLN'] is no text"),
    ({"class_subject": b"RLN"}, "class_subject: b'RLN' is no text"),
    ({"class_subject": "S" * 51}, "class_subject: 51 characters"),
    ({"class_type": "R" * 25, "class_subject": "S" * 25}, "class_subject: the code would be longer than 50"),
    ({"client_id": "eleven"}, "client_id: 'eleven' is no whole number"),
    ({"client_id": "\u0661\u0661"}, "client_id: '\u0661\u0661' is no whole number"),
    ({"client_id": "-5"}, "client_id: '-5' is no whole number"),
    ({"client_id": -5}, "client_id: -5 is out of range"),
    ({"client_id": 2**31}, "client_id: 2147483648 is out of range"),
    ({"client_id": True}, "client_id: True is no whole number"),
    ({"client_id": 11.0}, "client_id: 11.0 is no whole number"),
    ({"class_id": 5}, "class_id: no field of the form"),
    ({"is_draft": False}, "is_draft: no field of the form"),
    ({"CLASS_CODE": "x"}, "CLASS_CODE: no field of the form"),
    ({'x"; DROP TABLE y\n': 1}, 'x"; DROP TABLE y↵: no field of the form'),
    ({"class_notes": "a\0b"}, "class_notes: a character that PostgreSQL cannot store"),
    ({"class_notes": "\ud800"}, "class_notes: a character that PostgreSQL cannot store"),
    ({"seta_funded": "yes"}, "seta_funded: 'yes' is neither true nor false"),
    ({"delivery_date": "22.01.2026"}, "delivery_date: '22.01.2026' is no date"),
    ({"delivery_date": datetime(2026, 1, 22)}, "delivery_date: datetime.datetime(2026, 1, 22, 0, 0) is no date"),
    ({"learner_ids": {"id": 1}}, "learner_ids: {'id': 1} is no list"),
    ({"learner_ids": [{"name": "a\0"}]}, "learner_ids: a character that PostgreSQL cannot store"),
    ({"learner_ids": [float("nan")]}, "learner_ids: nan is nothing that JSON knows"),
    ({"learner_ids": [object]}, "learner_ids: <class 'object'> is nothing that JSON knows"),
    ({"learner_ids": nested(200)}, "learner_ids: nested more than 100 deep"),
    ({"schedule_data": [1]}, "schedule_data: [1] is no dict"),
    ({"schedule_data": {1: 2}}, "schedule_data: the key 1 is no text"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "found"), BAD)
def test_a_bad_form_is_refused_with_the_field_and_the_way_out(fields: dict[str, Any], found: str) -> None:
    with pytest.raises(BadClassForm) as caught:
        clean({**GOOD, **fields}, new=True)
    first, next_step = str(caught.value).splitlines()
    assert first.startswith(found)
    assert next_step.startswith("  next: ")
    assert first.isprintable()


@pytest.mark.parametrize("missing", GOOD)
def test_a_part_that_is_not_there_is_refused(missing: str) -> None:
    with pytest.raises(BadClassForm, match=f"{missing}: missing"):
        clean({name: value for name, value in GOOD.items() if name != missing}, new=True)


def test_a_good_form_is_taken_with_its_values_in_their_types() -> None:
    made = clean(
        {
            "client_id": " 11 ",
            "class_type": " REALLL ",
            "class_subject": "R LN",
            "learner_ids": [1, 2.5, None, True, {"a": "b"}],
            "delivery_date": "2026-01-22",
            "original_start_date": date(2026, 1, 23),
            "seta_funded": True,
            "class_notes": "two\nlines",
            "seta": None,
        },
        new=True,
    )
    assert made.prefix == "11-REALLL-R LN-"
    values = dict(made.values)
    assert isinstance(document := values.pop("learner_ids"), Jsonb)
    assert document.obj == [1, 2.5, None, True, {"a": "b"}]
    assert values == {
        "client_id": 11,
        "class_type": "REALLL",
        "class_subject": "R LN",
        "delivery_date": date(2026, 1, 22),
        "original_start_date": date(2026, 1, 23),
        "seta_funded": True,
        "class_notes": "two\nlines",
        "seta": None,
    }


def test_an_update_takes_any_fields_and_makes_no_code() -> None:
    assert clean({"class_town": "Paarl"}, new=False).parts == ()
    for form, found in (({}, "nothing to change"), ({"client_id": None}, "client_id: missing")):
        with pytest.raises(BadClassForm, match=found):
            clean(form, new=False)


def test_the_form_of_the_caller_stays_as_it_was() -> None:
    form = {**GOOD, "class_code": "HACK"}
    clean(form, new=True)
    assert form == {**GOOD, "class_code": "HACK"}


def columns() -> Iterator[str]:
    folder = Path(__file__).resolve().parents[1] / "sql" / "changes" / "020_class_code_generator"
    text = (folder / "samples" / "go.sql").read_text(encoding="utf-8")
    table = text.split("CREATE TABLE classes (", 1)[1].split("\n);", 1)[0]
    return (found[1] for found in re.finditer(r"^    ([a-z_]+) ", table, re.MULTILINE))


def test_every_column_is_a_field_or_the_servers_own() -> None:
    own = {"class_id", "class_code", "is_draft", "created_at", "updated_at"}
    assert set(columns()) == own | set(FIELDS)
