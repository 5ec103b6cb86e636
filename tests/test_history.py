"""What a run did, told from its events alone."""

from __future__ import annotations

from typing import Any

import pytest

from pgrunbook.checklist import Item
from pgrunbook.history import NOTHING, summarise

pytestmark = pytest.mark.static

OPENED: dict[str, Any] = {
    "change": "010_class_code",
    "title": "Class codes",
    "target": "service shop",
    "target_kind": "live",
    "operator": "ann",
    "server": "PostgreSQL 18.4",
    "cluster": "system 7, timeline 1",
    "version": "0.1.0",
    "stall_budget_ms": 100,
    "scripts": {"verify/001_a.sql": "b" * 64, "migrate/001_a.sql": "a" * 64},
}
CHECK = {
    "label": "preflight/10_a.sql",
    "title": "codes used twice",
    "severity": "stop",
    "rows": 0,
    "problem": "",
}


class Told:
    """Events, numbered and timed as they are told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def tell(self, kind: str, step: str = "", **detail: Any) -> Told:
        number = len(self.events) + 1
        self.events.append(
            {
                "at": f"2026-01-31T12:00:{number:02}.000Z",
                "kind": kind,
                "step": step,
                "actor": "ann",
                "detail": detail,
                "hash": f"{number:064x}",
            }
        )
        return self

    def opened(self) -> Told:
        return self.tell("run opened", **OPENED)

    def audited(self, verdict: str = "GO", rows: int = 0) -> Told:
        return self.tell("preflight", verdict=verdict, checks=[{**CHECK, "rows": rows}])

    def gated(self, step: str) -> Told:
        return self.tell("gate", step, go=True, who="bob", reason="open", how="typed", script_sha256="a" * 64)

    def applied(self, step: str, **facts: Any) -> Told:
        return self.gated(step).tell("apply started", step, file="x").tell("apply done", step, **facts)

    @property
    def facts(self) -> dict[str, Any]:
        return summarise("r1", self.events, chain="unbroken")


def test_a_run_that_came_to_its_end() -> None:
    told = Told().opened().audited()
    told.applied("001_a", note="apply", seconds=0.5, held_ms=2.5, attempts=3, worst_stall_ms=6.5)
    told.tell("verified", checks=[{**CHECK, "label": "verify/001_a.sql"}]).tell(
        "run finished", outcome="done"
    )
    facts = told.facts
    assert (facts["outcome"], facts["good"]) == ("done", True)
    assert {
        key: facts[key]
        for key in ("run_id", "change", "title", "target", "target_kind", "operator", "server")
    } == {
        "run_id": "r1",
        "change": "010_class_code",
        "title": "Class codes",
        "target": "service shop",
        "target_kind": "live",
        "operator": "ann",
        "server": "PostgreSQL 18.4",
    }
    assert (facts["started"], facts["finished"]) == ("2026-01-31T12:00:01.000Z", "2026-01-31T12:00:07.000Z")
    assert (facts["stall_budget_ms"], facts["worst_stall_ms"]) == (100.0, 6.5)
    assert facts["approvals"] == (
        {
            "at": "2026-01-31T12:00:03.000Z",
            "what": "001_a",
            "decision": "GO",
            "who": "bob",
            "reason": "open",
            "how": "typed",
        },
    )
    assert facts["steps"] == (
        {
            "at": "2026-01-31T12:00:05.000Z",
            "step": "001_a",
            "outcome": "done",
            "note": "apply",
            "seconds": 0.5,
            "locks held ms": 2.5,
            "attempts": 3,
            "worst stall ms": 6.5,
        },
    )
    assert [check["check"] for check in facts["checks"]] == ["preflight/10_a.sql"]
    assert [check["check"] for check in facts["verification"]] == ["verify/001_a.sql"]
    assert facts["scripts"] == (
        {"file": "migrate/001_a.sql", "sha256": "a" * 64},
        {"file": "verify/001_a.sql", "sha256": "b" * 64},
    )
    assert facts["versions"] == (
        {"what": "server", "version": "PostgreSQL 18.4"},
        {"what": "cluster", "version": "system 7, timeline 1"},
        {"what": "pgrunbook", "version": "0.1.0"},
    )
    assert facts["chain"] == "unbroken"
    assert len(facts["events"]) == 7
    assert facts["events"][-1] == {
        "at": "2026-01-31T12:00:07.000Z",
        "kind": "run finished",
        "step": NOTHING,
        "actor": "ann",
        "hash": f"{7:064x}",
    }


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        (Told(), "stopped before the audit"),
        (Told().opened(), "stopped before the audit"),
        (Told().opened().audited("NO-GO", 3), "NO-GO"),
        (Told().opened().audited("NO-GO", 3).audited(), "stopped before the first step"),
        (Told().opened().audited().gated("001_a"), "stopped before the first step"),
        (Told().opened().audited().applied("001_a"), "stopped after 001_a"),
        (Told().opened().audited().tell("apply started", "001_a"), "interrupted at 001_a"),
        (Told().opened().audited().tell("apply starting", "001_a"), "interrupted at 001_a"),
        (
            Told().opened().audited().tell("apply started", "001_a").tell("apply failed", "001_a", reason="x"),
            "failed at 001_a",
        ),
        (
            Told().opened().audited().tell("apply started", "001_a").tell("apply cancelled", "001_a"),
            "cancelled at 001_a",
        ),
        (
            Told().opened().audited().applied("001_a").tell("rollback done", "001_a"),
            "rolled back down to 001_a",
        ),
        (
            Told().opened().audited().applied("001_a").tell("rollback failed", "001_a"),
            "failed at rolling back 001_a",
        ),
        (
            Told().opened().audited().applied("001_a").tell("rollback cancelled", "001_a"),
            "cancelled at rolling back 001_a",
        ),
        (
            Told().opened().audited().applied("001_a").tell("rollback started", "001_a"),
            "interrupted at rolling back 001_a",
        ),
        (
            Told().opened().audited().tell("apply failed", "001_a").applied("001_a"),
            "stopped after 001_a",
        ),
    ],
)  # fmt: skip
def test_a_run_that_nobody_finished_says_where_it_stopped(told: Told, outcome: str) -> None:
    assert (told.facts["outcome"], told.facts["good"]) == (outcome, False)


@pytest.mark.parametrize(
    ("outcome", "good"),
    [
        ("done", True),
        ("rolled back", True),
        ("failed at 002_b", False),
        ("NO-GO", False),
        ("abandoned", False),
    ],
)
def test_what_a_run_says_of_its_own_end_comes_first(outcome: str, good: bool) -> None:
    facts = Told().opened().audited().applied("001_a").tell("run finished", outcome=outcome).facts
    assert (facts["outcome"], facts["good"]) == (outcome, good)


def test_nothing_is_told_of_a_run_without_events() -> None:
    facts = Told().facts
    assert (facts["started"], facts["finished"], facts["worst_stall_ms"]) == ("", "", 0.0)
    for empty in (
        "approvals",
        "checks",
        "steps",
        "remedies",
        "verification",
        "rollbacks",
        "rehearsal",
        "locks",
        "scripts",
    ):
        assert facts[empty] == ()
    assert facts["events"] == ()


def test_a_failed_try_is_told_as_well_as_the_one_that_succeeded() -> None:
    told = (
        Told()
        .opened()
        .audited()
        .tell("apply failed", "001_a", reason="no room")
        .applied("001_a", note="apply")
    )
    assert [(step["outcome"], step["note"]) for step in told.facts["steps"]] == [
        ("failed", "no room"),
        ("done", "apply"),
    ]


def test_the_way_back_is_told_also_where_it_failed() -> None:
    told = Told().opened().tell("rollback failed", "002_b", reason="no room").tell("rollback done", "002_b")
    told.tell("rollback done", "001_a").tell("rollback cancelled", "000_x")
    assert [(step["step"], step["outcome"]) for step in told.facts["rollbacks"]] == [
        ("002_b", "failed"),
        ("002_b", "done"),
        ("001_a", "done"),
        ("000_x", "cancelled"),
    ]


def test_the_worst_stall_is_that_of_all_steps() -> None:
    told = Told().opened().applied("001_a", worst_stall_ms=3).applied("002_b", worst_stall_ms=41.5)
    told.applied("003_c", worst_stall_ms=None).applied("004_d")
    assert told.facts["worst_stall_ms"] == 41.5


def test_the_last_audit_counts() -> None:
    told = Told().opened().audited("NO-GO", 3).audited("GO", 0)
    assert [check["rows"] for check in told.facts["checks"]] == [0]


def test_a_check_that_was_asked_again_before_a_step_is_told_in_its_place() -> None:
    told = Told().opened().audited("NO-GO", 3)
    told.tell(
        "preflight", checks=[{**CHECK, "label": "new"}, {**CHECK, "rows": 0}], again="002_b", verdict="GO"
    )
    assert [(one["check"], one["rows"]) for one in told.facts["checks"]] == [
        ("preflight/10_a.sql", 0),
        ("new", 0),
    ]


def test_remedies_are_told_in_order() -> None:
    told = Told().opened().tell("remedy previewed", remedy="10_a", rows=3)
    told.tell("remedy applied", remedy="10_a", rows=3, batches=1).tell("remedy undone", remedy="10_a", rows=2)
    assert [(row["remedy"], row["what"], row["rows"], row["batches"]) for row in told.facts["remedies"]] == [
        ("10_a", "previewed", 3, NOTHING),
        ("10_a", "applied", 3, 1),
        ("10_a", "undone", 2, NOTHING),
    ]


def test_the_rehearsal_says_where_locks_were_not_as_declared() -> None:
    told = (
        Told()
        .opened()
        .tell(
            "rehearsed",
            locks=[
                {"file": "migrate/001_a.sql", "declared": ["Share on t"], "observed": ["Share on t"]},
                {
                    "file": "migrate/002_b.sql",
                    "declared": [],
                    "observed": ["AccessExclusive on t", "Share on u"],
                },
            ],
            not_restored=["001_a: + table public.left"],
        )
    )
    assert [(row["declared"], row["observed"], row["agree"]) for row in told.facts["rehearsal"]] == [
        ("Share on t", "Share on t", "yes"),
        ("none", "AccessExclusive on t; Share on u", "NO"),
        ("catalog as before each step", "001_a: + table public.left", "NO"),
    ]


def test_the_rehearsal_tells_what_each_statement_took_and_held_already() -> None:
    share = {"schema": "public", "object": "t", "kind": "table", "mode": "Share", "milliseconds": 1.5}
    index = {
        "schema": "public",
        "object": "i",
        "kind": "index",
        "mode": "AccessExclusive",
        "milliseconds": 0.5,
    }
    statements = [
        {"number": 1, "statement": "CREATE INDEX", "took": [share], "held_before": []},
        {"number": 2, "statement": "COMMENT", "took": [], "held_before": [share]},
        {"number": 3, "statement": "ALTER INDEX", "took": [index], "held_before": [share]},
    ]
    file = {"file": "migrate/001_a.sql", "declared": [], "observed": [], "statements": statements}
    told = Told().opened().tell("rehearsed", locks=[file], not_restored=[])
    assert told.facts["locks"] == (
        {
            "file": "migrate/001_a.sql",
            "statement": "1. CREATE INDEX",
            "takes": "Share on table public.t",
            "held ms": 1.5,
            "held already": NOTHING,
        },
        {
            "file": "migrate/001_a.sql",
            "statement": "3. ALTER INDEX",
            "takes": "AccessExclusive on index public.i",
            "held ms": 0.5,
            "held already": "Share on public.t",
        },
    )


def test_an_event_merged_from_the_journal_has_the_time_when_it_happened() -> None:
    told = Told().tell("run opened", **OPENED, journal_at="2026-01-31T11:59:00.000Z")
    assert told.facts["started"] == "2026-01-31T11:59:00.000Z"
    assert told.facts["events"][0]["at"] == "2026-01-31T11:59:00.000Z"


def test_entries_of_a_journal_are_enough() -> None:
    events = [
        {key: event[key] for key in event if key != "hash"} for event in Told().opened().audited().events
    ]
    facts = summarise("r1", events, chain="the ledger was not reached")
    assert facts["outcome"] == "stopped before the first step"
    assert {event["hash"] for event in facts["events"]} == {"only in the journal"}


def test_a_checklist_tells_what_is_open_and_a_tick_of_the_day_after_makes_no_run_longer() -> None:
    items = [Item("backup", "It was restored.", "before", "001_a"), Item("quiet", "For a day.", "after")]
    told = Told().tell("run opened", **{**OPENED, "checklist": [item.facts for item in items]})
    told.tell("ticked", "001_a", item="backup", who="bob", how="typed", text_sha256=items[0].sha256)
    told.applied("001_a").tell("run finished", outcome="done")
    before = told.facts
    assert [(row["item"], row["state"], row["by"]) for row in before["checklist"]] == [
        ("backup", "ticked", "bob"),
        ("quiet", "OPEN", NOTHING),
    ]
    after = told.tell("ticked", item="quiet", who="ann", text_sha256=items[1].sha256).facts
    assert after["checklist"][1]["state"] == "ticked"
    assert (after["finished"], after["outcome"]) == (before["finished"], "done")
    assert Told().opened().facts["checklist"] == ()
