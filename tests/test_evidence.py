"""What events tell beyond the course of a run."""

from __future__ import annotations

from typing import Any

import pytest

from pgrunbook import evidence

pytestmark = pytest.mark.static


def event(
    kind: str, step: str = "", *, at: str = "2026-01-31T12:00:00.000Z", **detail: Any
) -> dict[str, Any]:
    return {"at": at, "kind": kind, "step": step, "actor": "ann", "detail": detail}


def check(label: str, rows: int = 0, **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"label": label, "title": label.title(), "severity": "stop"}
    return {**said, "rows": rows, "problem": "", **more}


FOUND = {"columns": ["code", "n"], "found": [["c1", 2]], "effect": "codes are lost", "next": "the remedy"}


def test_each_audit_is_told_with_what_it_asked() -> None:
    told = [
        event("preflight", verdict="NO-GO", checks=[check("a", 3), check("b"), check("c", problem="gone")]),
        event("preflight", verdict="GO", checks=[check("b")], again="002_b"),
        event("verified", checks=[check("verify/001_a.sql")]),
    ]
    assert [
        (row["about"], row["verdict"], row["asked"], row["with rows"], row["not run"])
        for row in evidence.audits(told)
    ] == [
        ("the whole change", "NO-GO", 3, 1, 1),
        ("again before 002_b", "GO", 1, 0, 0),
        ("each applied step", "GO", 1, 0, 0),
    ]


def test_rows_of_a_check_are_told_when_they_are_news() -> None:
    told = [
        event("preflight", at="1", checks=[check("a", 1, **FOUND), check("b")]),
        event("preflight", at="2", checks=[check("a", 1, **FOUND)]),
        event("preflight", at="3", checks=[check("a")]),
        event("preflight", at="4", checks=[check("a", 1, **FOUND)]),
    ]
    found = evidence.findings(told)
    assert [one["at"] for one in found] == ["1", "4"]
    assert {name: found[0][name] for name in ("check", "rows", "columns", "found", "effect", "next")} == {
        "check": "a",
        "rows": 1,
        **FOUND,
    }


def test_who_was_asked_to_go_is_told_with_who_asked_why_and_what_came_of_it() -> None:
    session = {"pid": 7, "user": "app", "application": "till", "state": "active", "query": "SELECT 1"}
    told = [
        event("apply started", "001_a"),
        event("blocker ended", "001_a", **session, done=True, gone=True, reason_given="CHG-7"),
        event("blocker cancelled", "001_a", **session, done=True, gone=False),
        event("blocker not ended", **session, done=False, reason="it is gone", reason_given="CHG-8"),
        event("blocker ended", gone=None),
        event("blocker ended"),
    ]
    found = evidence.signals(told)
    assert [tuple(row.values())[1:6] for row in found] == [
        ("001_a", "ann", "its session was ended", "it is out of the way", "CHG-7"),
        ("001_a", "ann", "its statement was cancelled", "its transaction was still there", None),
        (None, "ann", "nothing was done", "it is gone", "CHG-8"),
        (None, "ann", "its session was ended", "the server's answer was not heard", None),
        (None, "ann", "its session was ended", None, None),
    ]
    assert tuple(found[0].values())[6:] == (7, "app", "till", "active", "SELECT 1")


def test_what_only_informs_is_told_once() -> None:
    told = [
        event("preflight", checks=[check("a", 1, severity="info", columns=["s"], found=[[seconds]])])
        for seconds in (1, 2)
    ]
    assert [one["found"] for one in evidence.findings(told)] == [[[1]]]


def test_rows_that_an_earlier_version_kept_are_told_too() -> None:
    told = [event("preflight", checks=[check("a", 9, sample=[{"n": "1", "code": "c"}, {"code": "d"}])])]
    (found,) = evidence.findings(told)
    assert (found["columns"], found["found"]) == (["code", "n"], [["c", "1"], ["d", None]])


def test_each_script_that_ran_is_told_with_how_it_ended() -> None:
    def begun(doing: str, step: str, **more: Any) -> dict[str, Any]:
        return event(f"{doing} started", step, file=f"{doing}/{step}.sql", sha256=f"{doing}{step}", **more)

    told = [
        event("run opened", scripts={"migrate/009.sql": "never ran"}),
        begun("apply", "001"),
        event("apply failed", "001"),
        begun("apply", "001"),
        event("observed", "001", job="apply"),
        event("apply done", "001"),
        begun("apply", "002"),
        begun("remedy", "", remedy="10_x"),
        event("remedy applied", remedy="10_x"),
        begun("rollback", "002"),
        begun("rollback", "002"),
        event("rollback done", "002"),
    ]
    assert [(one["what"], one["step"], one["ended"]) for one in evidence.ran(told)] == [
        ("apply", "001", "failed"),
        ("apply", "001", "done"),
        ("apply", "002", "interrupted"),
        ("remedy", "10_x", "applied"),
        ("rollback", "002", "interrupted"),
        ("rollback", "002", "done"),
    ]
    assert evidence.ran(told)[0]["sha256"] == "apply001"


OBSERVED: dict[str, Any] = {
    "job": "apply",
    "file": "migrate/001.sql",
    "worst_stall_ms": 41.5,
    "stall_budget_ms": 100,
    "held_ms": 3.25,
    "watched_ms": 900.0,
    "samples": 9,
}
WAITS = {
    "columns": ["pid", "who", "from_ms", "to_ms", "wants", "on", "held up by", "side"],
    "rows": [[7, "web", 10.0, 51.5, "RowExclusive", "things", [1, 2], "behind us"]],
}


def test_what_the_observers_saw_is_told_job_by_job() -> None:
    left = [{"side": "other", "waits": 1200, "longest_ms": 12.5}]
    way = [{"who": "pid 4", "holds": "AccessShare", "on": "things", "from_ms": 1, "to_ms": 9}]
    builds = {
        "columns": ["at_ms", "phase", "done", "total", "waits for", "who"],
        "rows": [[5.0, "building index", 1, 4, None, ""]],
    }
    told = [
        event("observed", "001", **OBSERVED, waits=WAITS, waits_left_out=left),
        event(
            "observed",
            "001",
            **{**OBSERVED, "job": "rollback"},
            in_the_way=way,
            in_the_way_left_out=3,
            builds=builds,
            sizes={"things": [1, 2]},
            problem="the watch was ended",
        ),
    ]
    first, second = evidence.stalls(told)
    assert (first["job"], first["step"], first["waits"], first["problem"]) == (1, "001", 1201, "")
    assert (second["job"], second["step"], second["problem"]) == (2, "way back of 001", "the watch was ended")
    wait, more = evidence.waits(told)
    assert (wait["side"], wait["waited ms"], wait["held up by"]) == ("waited behind us", 41.5, "1, 2")
    assert (more["who"], more["waited ms"]) == ("1,200 more, each no longer than", 12.5)
    assert [(row["job"], row["who"]) for row in evidence.in_the_way(told)] == [(2, "pid 4"), (2, "3 more")]
    assert [(row["job"], row["at ms"], row["phase"]) for row in evidence.builds(told)] == [
        (2, 5.0, "building index")
    ]
    assert evidence.sizes(told) == [
        {"job": 2, "step": "way back of 001", "name": "things", "before bytes": 1, "after bytes": 2}
    ]


def test_a_query_is_told_as_it_was_measured_last_before_and_after() -> None:
    def timed(when: str, median_ms: float, **more: Any) -> dict[str, Any]:
        query = {"name": "10_q", "median_ms": median_ms, "rows": 1, "plan": "Seq Scan on t", **more}
        return event("timed", when=when, queries=[query])

    more = {
        "runs_ms": [1.0, 3.0],
        "nodes": ["Index Scan", "Result"],
        "explain": "Index Scan ...",
        "missed": ["x"],
    }
    before, after = evidence.timings([timed("before", 9.0), timed("after", 5.0), timed("after", 2.0, **more)])
    assert (before["when"], before["runs ms"], before["nodes"], before["plan"]) == (
        "before",
        [9.0],
        ["Seq Scan on t"],
        "",
    )
    assert (after["median ms"], after["least ms"], after["most ms"]) == (2.0, 1.0, 3.0)
    assert (after["plan"], after["missed"]) == ("Index Scan ...", ["x"])


def test_nothing_is_told_of_events_that_hold_none_of_it() -> None:
    told = [event("run opened"), event("run finished", outcome="done")]
    for name in set(evidence.__all__) - {"sha256_of"}:
        if name != "at":
            assert getattr(evidence, name)(told) == []
