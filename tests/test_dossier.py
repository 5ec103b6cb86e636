"""The document of a run: complete, the same bytes each time, and every hash can be computed from it alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrunbook import dossier, session, target
from pgrunbook.dossier import Dossier, Event
from pgrunbook.errors import BadDossier
from pgrunbook.ledger import Ledger

# As jsonb gives them back: scale is kept, exponents are not.
HARD = (
    '{"a": 1.10, "b": 0.0000001, "c": 12345678901234567890.5, "d": -0.0, "e": 1e2, "f": 1e400, "g": 1.5e-400,'
    r' "tab\t": "\u0001\u001f\u007f\n\"\\/<b> größe \ud83d\ude00", "h": [], "i": {}, "j": [null, true, {"k": [1.00]}]}'
)

A, B = "a" * 64, "b" * 64


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    bound = target.rehearsal(database)
    with session.connect(bound, purpose="test") as conn:
        made = Ledger(conn, bound)
        made.install()
        yield made


def tell(ledger: Ledger, kind: str, detail: str, *, run_id: str = "r1", step: str = "") -> None:
    ledger.conn.execute(
        "INSERT INTO pgrunbook.event (run_id, change, step, kind, actor, detail) VALUES (%s, %s, %s, %s, %s, %s)",
        (run_id, "010_a", step, kind, "ann 'the \"dba\"'\n", detail),
    )


def document(ledger: Ledger, run_id: str = "r1") -> Dossier:
    return dossier.from_ledger(run_id, ledger.run(run_id), chain=str(ledger.check_chain()))


def test_every_hash_can_be_computed_from_the_document_alone_whatever_the_detail_holds(ledger: Ledger) -> None:
    tell(ledger, "run opened", f'{{"change": "010_a", "scripts": {{"migrate/001_a.sql": "{A}"}}}}')
    tell(ledger, "odd", HARD, step="001_\\ä")
    tell(ledger, "odd", "{}", run_id="r2")
    tell(ledger, "odd", "{}")
    written = document(ledger).text
    held = dossier.read(written, file="record.json")
    assert held.text == written
    assert [one.id for one in held.events] == [1, 2, 4]
    for one in held.events:
        assert hashlib.sha256(one.hashed.encode()).hexdigest() == one.hash
    assert held.events[1].previous_hash == held.events[0].hash
    assert '"a": 1.10, "b": 0.0000001' in held.events[1].detail
    # The other run's event stands between the two.
    assert held.events[2].previous_hash != held.events[1].hash


def test_a_change_of_any_part_of_an_event_changes_what_its_hash_is_made_of(ledger: Ledger) -> None:
    tell(ledger, "odd", HARD)
    written = document(ledger).text
    for old, new in [
        ("1.10", "1.1"),
        ("odd", "add"),
        ('"id": 1', '"id": 2'),
        ("010_a", "010_b"),
        ("größe", "grösse"),
    ]:
        one = dossier.read(written.replace(old, new), file="x").events[0]
        assert hashlib.sha256(one.hashed.encode()).hexdigest() != one.hash


def test_the_ledgers_own_times_and_details_are_told_as_before(ledger: Ledger) -> None:
    tell(ledger, "odd", HARD)
    (told,), (before,) = ([one.told for one in document(ledger).events], ledger.events(run_id="r1"))
    assert told["at"] == before["at"]
    assert {**told["detail"], "f": None} == {**before["detail"], "f": None}
    # No double holds it, and no JSON knows infinity.
    assert len(told["detail"]["f"]) == 401


def test_the_same_run_gives_the_same_bytes(ledger: Ledger) -> None:
    tell(
        ledger,
        "run opened",
        f'{{"change": "010_a", "scripts": {{"migrate/002.sql": "{B}", "migrate/001.sql": "{A}"}}}}',
    )
    tell(ledger, "gate", '{"go": true, "who": "bob"}', step="001_a")
    assert document(ledger).text == document(ledger).text
    held = json.loads(document(ledger).text)
    assert held["approvals"] == [
        {
            "at": held["approvals"][0]["at"],
            "what": "001_a",
            "decision": "GO",
            "who": "bob",
            "reason": None,
            "how": None,
        }
    ]
    assert [one["file"] for one in held["scripts"]] == ["migrate/001.sql", "migrate/002.sql"]
    assert held["run"]["change"] == "010_a"


def test_scripts_lie_beside_their_hash(ledger: Ledger) -> None:
    tell(
        ledger,
        "run opened",
        f'{{"change": "010_a", "scripts": {{"migrate/001.sql": "{A}", "migrate/002.sql": "{B}"}}}}',
    )
    made = dossier.from_ledger("r1", ledger.run("r1"), chain="whole", texts={A: "SELECT 'é';\n", "cc": "no"})
    assert [one["text"] for one in made.scripts] == ["SELECT 'é';\n", None]
    assert dossier.read(made.text, file="x").scripts == made.scripts


def test_facts_that_do_not_follow_from_the_events_are_found_by_making_the_document_anew(
    ledger: Ledger,
) -> None:
    tell(ledger, "run opened", '{"change": "010_a", "operator": "ann"}')
    tell(ledger, "run finished", '{"outcome": "failed at 001_a"}')
    written = document(ledger).text
    assert dossier.read(written, file="x").remade.text == written
    forged = written.replace('"outcome": "failed at 001_a", "good": false', '"outcome": "done", "good": true')
    assert forged != written
    assert dossier.read(forged, file="x").remade.text != forged


def test_a_run_that_only_its_journal_tells_has_no_hashes() -> None:
    def entry(n: int, kind: str, step: str = "", **detail: object) -> dict[str, Any]:
        at = f"2026-01-31T12:00:0{n}.000Z"
        return {"n": n, "at": at, "kind": kind, "step": step, "actor": "ann", "detail": detail}

    entries = [
        entry(1, "run opened", change="010_a"),
        entry(2, "merged"),
        entry(3, "apply failed", "001_a", seconds=1e-07),
    ]
    made = dossier.from_journal("r1", entries)
    assert (made.source, made.chain) == ("journal", dossier.NOT_READ)
    assert [(one.id, one.change, one.hash) for one in made.events] == [(1, "010_a", None), (3, "010_a", None)]
    assert made.facts["run"]["outcome"] == "failed at 001_a"
    assert dossier.read(made.text, file="x").text == made.text
    assert dossier.from_journal("r1", entries[:1]).chain == dossier.NOT_BEGUN


details = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), details, max_size=4))
def test_any_document_comes_back_as_it_was_written(detail: dict[str, Any]) -> None:
    entry = {"n": 1, "at": "x", "kind": "odd", "step": "", "actor": "", "detail": detail}
    written = dossier.from_journal("r", [entry]).text
    assert dossier.read(written, file="x").text == written


ONE = Event(id=1, at="x", run_id="r1", change="c", step="", kind="k", actor="a", detail="{}")
GOOD = dossier.make("r1", [ONE], source="ledger", chain="").text


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (GOOD, "", "it is no JSON: Expecting value: line 1 column 1 (char 0)"),
        (GOOD, "[" * 100_000, "it is no JSON: maximum recursion depth exceeded"),
        (GOOD, "[]", 'it has no "format": "pgrunbook record"'),
        ("pgrunbook record", "other", 'it has no "format": "pgrunbook record"'),
        ('"format_version": 1', '"format_version": 2', "its format_version is 2, this library reads 1"),
        ('"format_version": 1', '"format_version": "1"', 'its format_version is "1", this library reads 1'),
        ('"source": "ledger"', '"source": 5', "source is not a text"),
        ('"run_id": "r1", "change": ""', '"change": ""', "run.run_id is not a text"),
        ('"events": [', '"events": 1, "e": [', "events is not a list"),
        ('"scripts": []', '"scripts": [{"file": "a"}]', "scripts is not a list of objects with file, sha256 and text"),
        ('"chain": ""', '"chain": "", "chain": ""', 'it is no JSON: the name "chain" is there twice in one object'),
        ('"detail": {}', '"detail": NaN', "it is no JSON: NaN is no number"),
        ('{"id": 1,', '{"id": 1.0,', "id of event 1 is 1.0"),
        ('{"id": 1,', "{", "event 1 does not hold exactly id, at, run_id, change, step, kind, actor, detail, "),
        ('"hash": null}', '"hash": 7}', "hash of event 1 is 7"),
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_refused_by_what_is_wrong_with_it(old: str, new: str, found: str) -> None:
    assert dossier.read(GOOD, file="x").text == GOOD
    assert old in GOOD
    with pytest.raises(BadDossier) as caught:
        dossier.read(GOOD.replace(old, new), file="some/record.json")
    assert str(caught.value).startswith(f"some/record.json is not the record of a run: {found}")


def test_a_run_that_the_ledger_does_not_know_has_no_events(ledger: Ledger) -> None:
    assert ledger.run("nobody") == []
    ledger.conn.execute("DROP SCHEMA pgrunbook CASCADE")
    assert ledger.run("r1") == []


@pytest.mark.parametrize(
    ("detail", "found"),
    [
        ('{"a": ' + "[" * 400 + "]" * 400 + "}", "it is nested too deeply"),
        ('{"a": "\\ud800"}', "it holds half of a character"),
    ],
)
def test_a_document_that_nobody_can_write_again_is_refused(detail: str, found: str) -> None:
    entry = {"at": "2026-01-31T12:00:00.000Z", "kind": "odd", "step": "", "actor": "ann", "detail": {}}
    text = dossier.from_journal("r1", [entry]).text.replace('"detail": {}', f'"detail": {detail}')
    with pytest.raises(BadDossier) as caught:
        dossier.read(text, file="x")
    assert caught.value.found.endswith(found)
