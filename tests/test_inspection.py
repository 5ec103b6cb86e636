"""The inspection of a record: a forgery is found by what it is, without a server."""

from __future__ import annotations

import dataclasses
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forging
import psycopg
import pytest
import throwaway
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from throwaway import apply, running, write

from pgrunbook import dossier, inspection, places, queries, record, seal, target
from pgrunbook import server as embedded
from pgrunbook.dossier import Event
from pgrunbook.errors import BadDossier, NoRecord, RecordDiffers
from pgrunbook.inspection import inspect
from pgrunbook.ledger import Ledger
from pgrunbook.views.view import View


@pytest.fixture(scope="module")
def original(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    """The record of a run that applied everything and showed something."""
    with pytest.MonkeyPatch.context() as patched:
        folder = tmp_path_factory.mktemp("original")
        patched.setenv("PGRUNBOOK_RECORDS", str(folder / "records"))
        database = embedded.create_database(server, f"test_{uuid.uuid4().hex[:12]}")
        with psycopg.connect(database) as conn:
            conn.execute(throwaway.TABLE)  # type: ignore[arg-type]
        with running(write(folder / "changes"), database, places.records()) as made:
            apply(made)
            made.finish("done")
            yield record.write_record(made, [("What was seen", View("nobody stalled"))]).page.read_bytes()


@pytest.fixture
def file(original: bytes, tmp_path: Path) -> Path:
    """A copy of it."""
    path = tmp_path / "record.html"
    path.write_bytes(original)
    return path


def refused(path: Path) -> str:
    """Return the first thing that differs."""
    with pytest.raises(RecordDiffers) as caught:
        _raised(path)
    return caught.value.found.removeprefix(f"{path} is not as it was written: ")


def _raised(path: Path) -> None:
    if (found := inspect(path)).mismatch is not None:
        raise found.mismatch


def altered(number: int, **changed: str) -> Callable[[str], str]:
    """Alter one event of the facts, and nothing else."""

    def alter(text: str) -> str:
        held = dossier.read(text, file="x")
        events = [dataclasses.replace(e, **changed) if n == number else e for n, e in enumerate(held.events)]
        return dataclasses.replace(held, events=events).text

    return alter


def test_a_record_that_nobody_touched_holds(file: Path) -> None:
    found = inspect(file)
    assert found.mismatch is None
    assert list(found.says) == ["seal", "events", "scripts", "page"]
    count = len(found.held.events)
    assert found.says["events"] == f"{count} hashes computed again and linked"
    assert found.says["page"] == "it shows what the facts give; the evidence is sealed, and not in the facts"
    assert found.seen


def test_the_json_of_the_same_facts_holds_too(file: Path) -> None:
    _, facts = forging.page_and_facts(file)
    path = file.with_suffix(".json")
    path.write_text(facts, encoding="utf-8")
    assert list(inspect(path).says) == ["seal", "events", "scripts", "facts"]
    path.write_text(altered(2, actor="eve")(facts), encoding="utf-8")
    assert refused(path).startswith("the contents of event 3 (")
    path.write_text("", encoding="utf-8")
    with pytest.raises(NoRecord):
        inspect(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(NoRecord) as caught:
        inspect(path)
    assert caught.value.found.endswith('or no longer: it has no "format": "pgrunbook record"')


def test_a_thousand_random_changes_of_a_byte_are_all_found(original: bytes) -> None:
    by = random.Random(9)
    for _ in range(1000):
        at = by.randrange(len(original))
        flipped = bytes([original[at] ^ by.randrange(1, 256)])
        for data in (
            original[:at] + flipped + original[at + 1 :],
            original[:at] + original[at + 1 :],
            original[:at] + flipped + original[at:],
            original[:at] + original[at + 1 : at + 2] + original[at : at + 1] + original[at + 2 :],
        ):
            if data != original:
                assert seal.held(data, file="x").broken


@pytest.mark.parametrize("seed", range(6))
def test_the_place_of_a_change_is_told(original: bytes, file: Path, seed: int) -> None:
    by = random.Random(seed)
    at = by.randrange(len(original))
    file.write_bytes(original[:at] + bytes([original[at] ^ 1]) + original[at + 1 :])
    with pytest.raises(RecordDiffers) as caught:
        inspect(file)
    (place,) = caught.value.details
    evidence = original.index(b"<!-- evidence -->"), original.index(b"<!-- end of evidence -->")
    if f"from byte {at:,} on" in place:
        assert at < original.index(b"<!-- facts")
    elif "the evidence, or the seal" in place:
        assert evidence[0] < at < evidence[1] or b"<!-- evidence: headings" in original[at - 400 : at + 400]
    else:
        assert place.startswith("the facts, from byte ")
        assert at >= original.index(b"<!-- facts")


def test_a_change_of_a_word_is_told_with_its_line_and_section(original: bytes, file: Path) -> None:
    at = original.index(b"003_", original.index(b'<section id="steps">'))
    file.write_bytes(original[:at] + b"004" + original[at + 3 :])
    with pytest.raises(RecordDiffers) as caught:
        inspect(file)
    line = original[:at].count(b"\n") + 1
    assert caught.value.details == (
        f"the page does not show what its facts give, from byte {at + 2:,} on (line {line:,}, section steps)",
    )


def test_a_word_of_the_summary_that_was_altered_and_sealed_again_is_found(file: Path) -> None:
    forging.reseal(file, page=lambda page: page.replace("tester", "nobody", 1))
    assert refused(file).startswith("the page does not show what its facts give, from byte ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<section id="steps">', '<p>Nothing else ran.</p><section id="steps">'),
        ("<body>", "<body><!-- evidence: headings -->"),
        ("</style>", "header { display: none }</style>"),
        ("</main>", ""),
        ("</html>\n", "</html>\n<p>more</p>\n"),
        ("<!-- end of evidence -->", ""),
    ],
)
def test_a_page_that_says_more_or_less_than_its_facts_is_found(file: Path, old: str, new: str) -> None:
    forging.reseal(file, page=lambda page: page.replace(old, new, 1))
    assert refused(file).startswith("the page does not show what its facts give, from byte ")


@pytest.mark.parametrize(
    "markup",
    [
        "<style>header { display: none }</style>",
        "<template>",
        "<!-- evidence -->",
        '<p style="position: fixed">x</p>',
        "<div>",
        "</section>",
    ],
)
def test_evidence_that_could_hide_or_cover_the_page_is_found(file: Path, markup: str) -> None:
    whole = file.read_bytes()
    for begin in ("<!-- evidence -->\n", "<!-- evidence: headings -->\n"):
        file.write_bytes(whole)
        forging.reseal(file, page=lambda page, begin=begin: page.replace(begin, begin + markup, 1))
        assert refused(file).startswith("its evidence holds what no record draws, "), begin
    file.write_bytes(whole)
    forging.reseal(
        file, page=lambda page: page.replace("<!-- evidence -->\n", "<!-- evidence -->\n<p>x</p>", 1)
    )
    assert inspect(file).seen


@pytest.mark.parametrize("part", ["actor", "step", "kind", "at", "detail", "change"])
def test_an_event_that_was_altered_is_named(file: Path, part: str) -> None:
    forged = '{"go": true}' if part == "detail" else "2026-01-01T00:00:00.000000Z"
    forging.reseal(file, facts=altered(1, **{part: forged}))
    assert refused(file).startswith("the contents of event 2 (")


def test_an_altered_event_with_its_own_hash_computed_again_does_not_fit_the_next_one(file: Path) -> None:
    def alter(text: str) -> str:
        held = dossier.read(text, file="x")
        one, *rest = held.events
        (one,) = forging.chained([dataclasses.replace(one, actor="eve")])
        return dataclasses.replace(held, events=[one, *rest]).text

    forging.reseal(file, facts=alter)
    assert "does not hold the hash of the one before, event 1 (run opened)" in refused(file)


def test_events_that_were_taken_out_turned_round_or_put_in_are_found(file: Path) -> None:
    def facts(order: Callable[[list[Event]], list[Event]]) -> Callable[[str], str]:
        def alter(text: str) -> str:
            held = dossier.read(text, file="x")
            return dataclasses.replace(held, events=order(list(held.events))).text

        return alter

    whole = file.read_bytes()
    for order, found in (
        (lambda all_: [*all_[:2], all_[3], all_[2], *all_[4:]], " stands behind event 4 ("),
        (lambda all_: all_[:-1], "do not follow from its events"),
        (lambda all_: all_[:3] + all_[4:], "do not follow from its events"),
        (lambda all_: [*all_, all_[-1]], " stands behind "),
        (lambda all_: [dataclasses.replace(e, run_id="r2") for e in all_], "do not give its hash"),
    ):
        file.write_bytes(whole)
        forging.reseal(file, facts=facts(order))
        assert found in refused(file)


def test_a_script_that_was_altered_is_named(file: Path) -> None:
    forging.reseal(file, facts=lambda text: text.replace("ADD COLUMN note text", "ADD COLUMN note json"))
    assert refused(file) == "the text of migrate/001_add_note.sql does not give its SHA-256"


def test_facts_that_do_not_follow_from_the_events_are_found(file: Path) -> None:
    forging.reseal(file, facts=lambda text: text.replace('"outcome": "done"', '"outcome": "failed"', 1))
    assert refused(file).startswith("its facts (run")
    assert refused(file).endswith(") do not follow from its events")


def test_a_record_without_its_facts_is_refused(file: Path, original: bytes) -> None:
    body = original[: original.index(b"<!-- facts")]
    file.write_bytes(body + b"<!-- sealed: sha256 " + seal._digest(body).encode() + b" -->\n")
    assert "cannot be read or are missing" in refused(file)
    file.write_bytes(seal.close("<!DOCTYPE html>\n", "[]"))
    with pytest.raises(BadDossier):
        inspect(file)


@pytest.mark.parametrize(
    "kind", ["run opened", "gate", "preflight", "apply done", "observed", "rehearsed", "queries timed"]
)
@pytest.mark.parametrize(
    "detail", ["{}", '{"checks": 1, "scripts": [], "locks": "x", "seconds": {}, "stall_budget_ms": "y"}']
)
def test_events_that_tell_no_run_end_in_one_sentence(file: Path, kind: str, detail: str) -> None:
    page, facts = forging.page_and_facts(file)
    held = dossier.read(facts, file="x")
    odd = dataclasses.replace(held.events[-1], id=held.events[-1].id + 1, kind=kind, detail=detail)
    events = forging.chained([*held.events, odd])
    file.write_bytes(seal.close(page, dataclasses.replace(held, events=events, chain="").text))
    assert refused(file).startswith(("its events tell no run (", "its facts (", "the page does not"))


def test_a_record_forged_through_and_through_is_whole_by_itself(file: Path) -> None:
    """What only the ledger, or a signature, can tell."""
    forging.rewrite(file, lambda events: [dataclasses.replace(e, actor="eve") for e in events])
    assert inspect(file).mismatch is None


def test_a_run_that_only_its_journal_tells_is_drawn_from_it(tmp_path: Path) -> None:
    entry = {"n": 1, "at": "2026-01-31T12:00:00.000Z", "kind": "run opened", "step": "", "actor": "ann"}
    held = dossier.from_journal("r1", [{**entry, "detail": {"change": "010_a"}}])
    path = tmp_path / "record.html"
    forging.save(path, held)
    found = inspect(path)
    assert (found.mismatch, found.seen) == (None, False)
    assert found.says["events"].startswith("1 event of the journal, which has no hashes")


@pytest.mark.parametrize(
    "claimed",
    [
        {"source": "somewhere"},
        {"chain": "unbroken, 1 event, head 0123456789ab"},
        {"events": [{"hash": "0" * 64}]},
        {"events": [{"previous_hash": "0" * 64}]},
    ],
)
def test_a_journal_that_claims_hashes_or_a_chain_is_refused(tmp_path: Path, claimed: dict[str, Any]) -> None:
    entry = {"n": 1, "at": "2026-01-31T12:00:00.000Z", "kind": "run opened", "step": "", "actor": "ann"}
    held = dossier.from_journal("r1", [{**entry, "detail": {"change": "010_a"}}])
    if "events" in claimed:
        claimed = {"events": [dataclasses.replace(held.events[0], **claimed["events"][0])]}
    path = tmp_path / "record.html"
    forging.save(path, dataclasses.replace(held, **claimed))
    assert refused(path) == "it claims hashes or a chain that no ledger gave"


@pytest.mark.parametrize("chain", ["unbroken, , events, head 0123456789ab", "unbroken", "fine"])
def test_a_chain_that_no_ledger_tells_is_refused(tmp_path: Path, chain: str) -> None:
    path = tmp_path / "record.html"
    forging.save(path, dossier.make("r1", [], source="ledger", chain=chain))
    assert refused(path) == "what it says of the ledger's chain is nothing that is written there"


def test_gaps_where_other_runs_wrote_are_told(tmp_path: Path) -> None:
    events = [
        Event(id=n, at="2026-01-31T12:00:00.000000Z", run_id="r1", change="c", step="", kind="k", actor="a",
              detail="{}", previous_hash="0" * 64)
        for n in (4, 5, 9)
    ]  # fmt: skip
    path = tmp_path / "record.html"
    forging.save(path, dossier.make("r1", forging.chained(events), source="ledger", chain=""))
    assert inspect(path).says["events"] == (
        "3 hashes computed again and linked; 1 gap, where events of other runs stand in the ledger"
    )
    assert inspection.naming(events[0]) == "event 4 (k)"


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["", "a", "aa", "é", "€", "\U0001f600", "\x7f", "\u2028", "\x01\x1f", '"\\/', "\b\f\n\r\t", "z" * 300, "-->"]
)  # fmt: skip
NUMBERS = (
    st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.sampled_from(["1.50", "-0.0", "0.00", "1e400", "-1E+2", "1e-300", "1.0e2", "-0", "1" + "0" * 5000])
)
VALUES = st.recursive(
    st.sampled_from(["null", "true", "false"]) | NUMBERS | TEXTS.map(dossier._json),
    lambda inner: (
        st.lists(inner, max_size=5).map(lambda all_: f"[{', '.join(all_)}]")
        | st.dictionaries(TEXTS.map(dossier._json), inner, max_size=6).map(
            lambda all_: "{" + ",".join(f"{key}:{value}" for key, value in all_.items()) + "}"
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(details=st.lists(VALUES, min_size=1, max_size=9), words=st.lists(TEXTS, min_size=4, max_size=4))
def test_every_hash_that_the_server_gives_is_computed_again_from_the_file(
    ledger: psycopg.Connection[dict[str, object]], details: list[str], words: list[str]
) -> None:
    with ledger.transaction(force_rollback=True):
        ledger.cursor().executemany(
            "INSERT INTO pgrunbook.event (run_id, change, step, kind, actor, detail)"
            " VALUES ('r1', %s, %s, %s, %s, jsonb_build_object('value', %s::jsonb))",
            [(*words, detail) for detail in details],
        )
        rows = ledger.execute(queries.get("ledger_run"), {"run_id": "r1"}).fetchall()
    assert len(rows) == len(details)
    written = seal.close("<!DOCTYPE html>", dossier.from_ledger("r1", rows, chain="").text)
    facts = seal.held(written, file="x").facts
    assert facts is not None
    held = dossier.read(facts, file="x")
    assert "computed again and linked" in inspection._events(held, "x")
    assert [one.hash for one in held.events] == [row["hash"] for row in rows]


@pytest.fixture
def ledger(database: str) -> Iterator[psycopg.Connection[dict[str, object]]]:
    """A session on a ledger without events."""
    with throwaway.looking(database) as conn:
        Ledger(conn, target.rehearsal(database)).install()
        yield conn
