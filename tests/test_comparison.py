"""Two runs of one change: what differs is told, what does not is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pgrunbook import comparison, dossier
from pgrunbook.comparison import Comparison
from pgrunbook.dossier import Dossier, Event
from pgrunbook.errors import NotComparable

pytestmark = pytest.mark.static

Told = list[tuple[str, str, dict[str, Any]]]
SCRIPTS = {"migrate/001_a.sql": "aa" * 32, "migrate/002_b.sql": "bb" * 32}
CHECK = {
    "label": "preflight/10_x.sql",
    "title": "x",
    "severity": "stop",
    "rows": 0,
    "problem": "",
    "unproved": "",
}


def opened(**other: Any) -> tuple[str, str, dict[str, Any]]:
    facts = {
        "change": "010_a",
        "target": "shop",
        "target_kind": "rehearsal",
        "operator": "ann",
        "server": "PostgreSQL 18.4",
        "version": "0.1.0",
        "stall_budget_ms": 100,
        "scripts": SCRIPTS,
    }
    return ("run opened", "", {**facts, **other})


def applied(step: str, seconds: float, stall: float = 0.0) -> Told:
    seen = {"job": "apply", "file": "x", "worst_stall_ms": stall, "stall_budget_ms": 100, "held_ms": 3.0}
    seen |= {"watched_ms": 1.0, "samples": 0}
    return [
        ("apply started", step, {}),
        (
            "apply done",
            step,
            {"seconds": seconds, "attempts": 2, "waited_s": 0.1, "worst_stall_ms": 0, "held_ms": 2},
        ),
        ("observed", step, seen),
    ]


def timed(when: str, plan: str, median: float) -> tuple[str, str, dict[str, Any]]:
    query = {"name": "10_q", "median_ms": median, "rows": 1, "plan": plan}
    return ("timed", "", {"when": when, "queries": [query]})


def rehearsed(took: str) -> tuple[str, str, dict[str, Any]]:
    return ("rehearsed", "", {"locks": [{"file": "migrate/001_a.sql", "declared": [], "observed": [took]}]})


def audited(rows: int) -> tuple[str, str, dict[str, Any]]:
    return ("preflight", "", {"verdict": "GO", "checks": [{**CHECK, "rows": rows}]})


def gate(step: str, who: str, how: str = "typed") -> tuple[str, str, dict[str, Any]]:
    return ("gate", step, {"go": True, "who": who, "how": how, "reason": "r"})


def run(told: Told, name: str = "r1") -> Dossier:
    events = [
        Event(
            id=number,
            at=f"2026-01-31T12:00:{number:02}.000000Z",
            run_id=name,
            change="010_a",
            step=step,
            kind=kind,
            actor="ann",
            detail=json.dumps(detail),
            previous_hash="",
            hash="x",
        )
        for number, (kind, step, detail) in enumerate(told, 1)
    ]
    return dossier.make(name, events, source="ledger", chain="")


FULL: Told = [
    opened(),
    audited(0),
    rehearsed("Share on t"),
    timed("before", "Seq Scan", 5.0),
    gate("001_a", "ann"),
    *applied("001_a", 0.5),
    *applied("002_b", 2.0, stall=6.0),
    ("verified", "", {"checks": [{**CHECK, "label": "verify/001_a.sql"}]}),
    timed("after", "Index Scan", 0.5),
    ("run finished", "", {"outcome": "done"}),
]


def part(found: Comparison, name: str) -> tuple[bool, str]:
    (one,) = [one for one in found.parts if one.name == name]
    return one.differs, one.verdict


def changed(index: int, told: tuple[str, str, dict[str, Any]]) -> Dossier:
    return run([told if number == index else one for number, one in enumerate(FULL)], "r2")


def test_the_same_run_twice_differs_in_nothing() -> None:
    found = comparison.compare(run(FULL), run(FULL, "r2"))
    assert found.differing == []
    assert [part.rows for part in found.parts if part.rows] == []
    assert (found.first.run_id, found.second.run_id, found.change) == ("r1", "r2", "010_a")


@pytest.mark.parametrize(
    ("second", "name", "verdict"),
    [
        (
            changed(0, opened(scripts={**SCRIPTS, "migrate/002_b.sql": "cc" * 32})),
            "scripts",
            "1 of 2 files differ: migrate/002_b.sql",
        ),
        (
            changed(0, opened(scripts={"migrate/001_a.sql": "aa" * 32})),
            "scripts",
            "1 of 2 files differ: migrate/002_b.sql",
        ),
        (changed(0, opened(server="PostgreSQL 16.14")), "versions", "1 of 3 versions differ: server"),
        (changed(0, opened(versions={"Python": "3.12"})), "versions", "1 of 4 versions differ: Python"),
        (changed(0, opened(window_ends="04:00")), "settings", "1 of 5 settings differ: window ends"),
        (changed(0, opened(target_kind="live")), "settings", "1 of 5 settings differ: target"),
        (changed(1, audited(3)), "checks", "1 of 1 checks differ: preflight/10_x.sql"),
        (changed(2, rehearsed("AccessExclusive on t")), "locks", "1 of 1 files differ: migrate/001_a.sql"),
        (changed(2, ("odd", "", {})), "locks", "rehearsed only in the first"),
        (changed(4, gate("001_a", "bob")), "approvals", "1 of 1 gates differ: 001_a"),
        (
            changed(len(FULL) - 2, timed("after", "Seq Scan", 5.0)),
            "plans",
            "1 of 2 plans differ: 10_q, after",
        ),
        (
            changed(len(FULL) - 1, ("run finished", "", {"outcome": "rolled back"})),
            "outcome",
            "done, then rolled back",
        ),
        (run([*FULL, ("rollback done", "002_b", {})], "r2"), "steps", "1 of 2 ended otherwise"),
        (
            run([*FULL, ("apply failed", "002_b", {"worst_stall_ms": 140})], "r2"),
            "stalls",
            "OVER the budget in the second",
        ),
        (
            run([*FULL, ("remedy applied", "", {"remedy": "10_x", "rows": 7})], "r2"),
            "remedies",
            "1 of 1 remedies differ: 10_x, applied",
        ),
    ],
)
def test_what_differs_is_told_by_its_part(second: Dossier, name: str, verdict: str) -> None:
    found = comparison.compare(run(FULL), second)
    assert part(found, name) == (True, verdict)
    assert name in found.differing


def test_a_step_is_told_with_its_figures_in_both_runs() -> None:
    second = [one for one in FULL if one[1] != "001_a"]
    found = comparison.compare(run(FULL), run([*second, *applied("002_b", 3.0, stall=9.0)], "r2"))
    first, other = found.steps
    assert (first.name, first.ends, first.seconds, first.ratio) == (
        "001_a",
        ("done", "not run"),
        (0.5, None),
        None,
    )
    # The last try's time, and of all tries the worst stall.
    assert (other.seconds, other.ratio, other.worst_stall_ms) == ((2.0, 3.0), 1.5, (6.0, 9.0))
    assert (other.attempts, other.held_ms, other.waited_s) == ((2, 2), (3.0, 3.0), (0.1, 0.1))
    (query,) = found.queries
    assert (query.before_ms, query.after_ms) == ((5.0, 5.0), (0.5, 0.5))


def test_what_was_found_before_a_repair_counts_and_not_what_was_left() -> None:
    repaired = [FULL[0], audited(4), audited(0), *FULL[2:]]
    found = comparison.compare(run(repaired), run(FULL, "r2"))
    (checks,) = [one for one in found.parts if one.name == "checks"]
    assert checks.rows == ({"check": "preflight/10_x.sql", "first": "4 rows", "second": "0 rows"},)


def test_who_started_a_rehearsal_is_no_difference_of_its_gates() -> None:
    found = [run([*FULL, gate("002_b", who, "rehearsal")], who) for who in ("ann", "bob")]
    assert part(comparison.compare(*found), "approvals") == (False, "2 gates, all alike")


def test_runs_of_two_changes_are_not_compared() -> None:
    with pytest.raises(NotComparable) as caught:
        comparison.compare(run(FULL), run([opened(change="020_b")], "r2"))
    assert caught.value.changes == ("010_a", "020_b")


def test_a_stall_that_could_not_be_read_is_not_within_the_budget() -> None:
    lost = run([*FULL, ("observed", "002_b", {"job": 7})], "r2")
    assert part(comparison.compare(run(FULL), lost), "stalls") == (True, "not known in the second")
    assert part(comparison.compare(lost, lost), "stalls") == (False, "not known in either")


def test_a_run_that_came_to_nothing_is_compared_all_the_same() -> None:
    found = comparison.compare(run(FULL), run([opened()], "r2"))
    assert part(found, "outcome") == (True, "done, then stopped before the audit")
    assert [step.ends for step in found.steps] == [("done", "not run")] * 2
    empty = comparison.compare(run([opened()]), run([opened()], "r2"))
    assert part(empty, "steps") == (False, "none ran in either")
    assert part(empty, "locks") == (False, "rehearsed in neither")
