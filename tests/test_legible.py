"""Events whose detail is not as the library writes it: read as far as that goes, shown as they stand, never dropped."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import recorded
from jsonschema import Draft202012Validator

from pgrunbook import dossier, legible, records, shelf
from pgrunbook.comparison import compare
from pgrunbook.dossier import Dossier
from pgrunbook.errors import NotComparable
from pgrunbook.views import comparison as side_by_side
from pgrunbook.views import drawings
from pgrunbook.views.record import _page
from pgrunbook.views.summary import Summary

pytestmark = pytest.mark.static

Detail = dict[str, Any]
VALUES: tuple[Any, ...] = (None, "a text", 7, -1.5, True, [], {}, [1, "x"], {"x": None}, 10**30)


def document(events: list[tuple[str, str, Any]]) -> Dossier:
    rows = [
        {
            "id": number,
            "at": f"2026-01-31T12:{number // 60:02}:{number % 60:02}.000000Z",
            "run_id": "r1",
            "change": "x",
            "step": step,
            "kind": kind,
            "actor": "ann",
            "detail": json.dumps(detail),
            "previous_hash": f"{number:064x}",
            "hash": f"{number + 1:064x}",
        }
        for number, (kind, step, detail) in enumerate(events, 1)
    ]
    return dossier.from_ledger("r1", rows, chain="unbroken")


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to a value and to each that is in it."""
    yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in inside:
        yield from places(inner, (*way, name))


def without(detail: Any, way: tuple[Any, ...]) -> Any:
    made = copy.deepcopy(detail)
    inner = made
    for name in way[:-1]:
        inner = inner[name]
    del inner[way[-1]]
    return made


def with_value(detail: Any, way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return value
    made = copy.deepcopy(detail)
    inner = made
    for name in way[:-1]:
        inner = inner[name]
    inner[way[-1]] = value
    return made


def mutations() -> Iterator[tuple[int, str, Any]]:
    """Yield the number of an event, what is done to its detail, and what it is then."""
    for number, (kind, _, detail) in enumerate(recorded.of_every_kind()):
        for way in places(detail):
            if way:
                yield number, f"{kind} without {way}", without(detail, way)
            for value in VALUES:
                yield number, f"{kind} with {value!r} at {way}", with_value(detail, way, value)


def look(held: Dossier) -> Mapping[str, Any]:
    """Read a run in every way that there is; return what its page says."""
    assert held.remade.text == held.text
    assert dossier.read(held.text, file="x").text == held.text
    page = _page(Summary(**held.summary))
    # The name of the change is one of the things that may be another.
    with contextlib.suppress(NotComparable):
        side_by_side.in_words(compare(held, document(recorded.of_every_kind())))
    briefs = [{**one.told, "detail": json.loads(one.detail)} for one in held.events]
    shelf._heading("r1", [legible.heads(one) for one in briefs])
    return page


def told_raw(page: Mapping[str, Any]) -> str:
    return "".join(str(block.code) for one in page["before"] if one.id == "unread" for block in one.blocks)


def test_what_the_library_writes_is_read_as_ever() -> None:
    held = document(recorded.of_every_kind())
    assert all(legible.UNREAD not in one.told for one in held.events)
    assert "unread" not in held.facts
    assert told_raw(look(held)) == ""


def test_no_detail_of_any_kind_stops_a_record_a_list_or_a_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("stalls", "waits", "sizes", "queries"):
        monkeypatch.setattr(drawings, name, lambda _summary: None)
    monkeypatch.setattr(drawings, "builds", lambda _summary: iter(()))
    validator, whole = Draft202012Validator(json.loads(records.schema())), recorded.of_every_kind()
    some = random.Random(20260301)
    of_kind: dict[str, list[tuple[int, str, Any]]] = {}
    for one in mutations():
        of_kind.setdefault(whole[one[0]][0], []).append(one)
    # All of them take minutes.
    for number, what, detail in (one for of in of_kind.values() for one in some.sample(of, min(6, len(of)))):
        events = [*whole]
        events[number] = (*whole[number][:2], detail)
        try:
            held = document(events)
            page = look(held)
            validator.validate(json.loads(held.text))
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        if "unread" in held.facts:
            assert [json.loads(row["raw"]) for row in held.facts["unread"]] == [detail], what
            assert told_raw(page), what


def test_of_a_detail_only_what_cannot_be_read_is_left_out() -> None:
    check = {"label": "a", "title": "A", "severity": "stop", "rows": 2, "problem": ""}
    event = {
        "kind": "preflight",
        "detail": {"verdict": "NO-GO", "checks": [check, {**check, "rows": None}, 7]},
    }
    read = legible.read(event)
    assert read["detail"] == {"verdict": "NO-GO", "checks": [check]}
    assert read[legible.UNREAD] == (
        "detail.checks[1].rows is null, not a count; detail.checks[2] is 7, not an object"
    )
    assert read["raw"] == event["detail"]
    assert legible.read(read) is read


@pytest.mark.parametrize(
    ("kind", "detail", "what"),
    [
        ("gate", {"who": "ann"}, "detail.go is missing"),
        ("gate", {"go": "yes"}, 'detail.go is "yes", not true or false'),
        ("preflight", None, "detail is null, not an object"),
        ("apply done", [1], "detail is [1], not an object"),
        ("unheard of", "text", 'detail is "text", not an object'),
    ],
)
def test_of_a_detail_that_lacks_what_matters_nothing_is_taken(kind: str, detail: Any, what: str) -> None:
    read = legible.read({"kind": kind, "detail": detail})
    assert (read["detail"], read[legible.UNREAD]) == ({}, what)


def test_a_decision_that_cannot_be_read_is_neither_go_nor_no_go_and_a_stall_is_not_none() -> None:
    events = [
        (
            kind,
            step,
            {"who": "ann"}
            if kind == "gate"
            else {**detail, "worst_stall_ms": None}
            if kind == "observed"
            else {}
            if kind == "apply done"
            else detail,
        )
        for kind, step, detail in recorded.of_every_kind()
    ]
    held = document(events)
    page = look(held)
    assert not {"GO", "NO-GO"} & {row["decision"] for row in held.facts["approvals"]}
    assert (held.facts["run"]["worst_stall_ms"], held.facts["stalls"]) == (None, [])
    assert page["stall"]["says"].startswith("Stalls were not measured")
    assert ("Not read", "2 events, shown as they stand") in page["facts"]
    assert "ann" in told_raw(page)
    (part,) = [
        one for one in compare(held, document(recorded.of_every_kind())).parts if one.name == "unread events"
    ]
    assert [row["event"] for row in part.rows] == ["gate 000_x", "observed 000_x"]


def test_many_mistakes_are_counted() -> None:
    read = legible.read({"kind": "verified", "detail": {"checks": [7] * 9}})
    assert read[legible.UNREAD].endswith("detail.checks[4] is 7, not an object; and 4 more")


def test_a_steps_row_says_what_of_it_cannot_be_read() -> None:
    assert legible.step({"note": "apply", "worst_stall_ms": 6.5}) == {"note": "apply", "worst_stall_ms": 6.5}
    assert legible.step({"note": "apply", "worst_stall_ms": "x"}) == {
        "note": 'detail.worst_stall_ms is "x", not a number that is not negative or null;'
        ' it stands there as {"note": "apply", "worst_stall_ms": "x"}'
    }
    assert legible.step(None) == {"note": "detail is null, not an object; it stands there as null"}
