"""Runs told by made-up events, with the same text wherever a run can hold one: the material for tests of a record."""

from __future__ import annotations

import hashlib
from typing import Any

from pgrunbook.history import summarise
from pgrunbook.views.summary import Summary

SQL = "-- Step\n\nALTER TABLE things ADD COLUMN note text;\n"
CHECKLIST = [{"key": "backup", "text": "restored", "when": "before", "step": "001_a"}]
SHA256 = hashlib.sha256(SQL.encode()).hexdigest()


def events(text: str, *, steps: int = 1, checks: int = 1) -> list[dict[str, Any]]:
    """Return the events of a run that did everything, with `text` in each place for a text."""
    told: list[dict[str, Any]] = []

    def tell(kind: str, step: str = "", **detail: Any) -> None:
        number = len(told) + 1
        told.append(
            {
                "at": f"2026-01-31T12:{number // 60 % 60:02}:{number % 60:02}.000Z",
                "kind": kind,
                "step": step,
                "actor": text,
                "detail": detail,
                "hash": hashlib.sha256(f"{number}".encode()).hexdigest(),
            }
        )

    check = {"label": text, "title": text, "severity": "stop", "rows": 7, "problem": text, "unproved": ""}
    found = {"columns": [text], "found": [[text], [None], [7]], "effect": text, "next": text}
    named = (
        "change",
        "title",
        "target",
        "operator",
        "server",
        "cluster",
        "version",
        "window_ends",
    )
    tell(
        "run opened",
        **dict.fromkeys(named, text),
        target_kind="live",
        stall_budget_ms=100,
        approvals_needed=2,
        scripts={text: SHA256},
        versions={text: text},
    )
    audit = [{**check, "label": f"{text}{n}", **found} for n in range(checks)]
    tell("preflight", verdict="NO-GO", checks=audit)
    tell("timed", when="before", queries=[query(text, 9.0)])
    held = {"schema": text, "object": text, "mode": text}
    took = [{**held, "kind": text, "milliseconds": 1.5}]
    statements = [{"number": 1, "statement": text, "took": took, "held_before": [held]}]
    locks = [{"file": text, "declared": [text], "observed": [], "statements": statements}]
    tell("rehearsed", locks=locks, not_restored=[text], server=text)
    tell("remedy started", remedy=text, file=text, sha256=SHA256)
    tell("remedy applied", remedy=text, rows=3, batches=1)
    for number in range(steps):
        step = f"{number:03}_{text}"
        tell("gate", step, go=True, who=text, reason=text, how=text)
        tell("apply started", step, file=f"migrate/{step}.sql", sha256=SHA256)
        tell("apply done", step, note=text, seconds=0.5, held_ms=2.5, attempts=1, worst_stall_ms=6.5)
        tell("observed", step, **observed(text))
    tell("rollback started", text, file=text, sha256="0" * 64)
    tell("rollback failed", text, reason=text)
    tell("verified", checks=[{**check, **found, "label": f"verify/{text}"}])
    tell("timed", when="after", queries=[query(text, 0.5)])
    tell("run finished", outcome=text)
    return told


def query(text: str, median_ms: float) -> dict[str, Any]:
    return {
        "name": text,
        "title": text,
        "median_ms": median_ms,
        "runs_ms": [median_ms, 2 * median_ms],
        "rows": 1,
        "plan": text,
        "nodes": [text],
        "shared_hit": 3,
        "shared_read": 1,
        "explain": f"{text}\n  {text}",
        "missed": [text],
    }


def observed(text: str, *, waits: int = 1) -> dict[str, Any]:
    """Return what the event of a watched step holds."""
    wait = ["pid", "who", "from_ms", "to_ms", "wants", "on", "held up by", "side"]
    build = ["at_ms", "phase", "done", "total", "waits for", "who"]
    return {
        "job": "apply",
        "file": text,
        "worst_stall_ms": 41.5,
        "stall_budget_ms": 100,
        "held_ms": 3.25,
        "watched_ms": 900.0,
        "samples": 9,
        "waits": {
            "columns": wait,
            "rows": [[7 + n, text, 10.0, 51.5, text, text, [1], "behind us"] for n in range(waits)],
        },
        "in_the_way": [
            {"who": text, "holds": text, "on": text, "state": text, "held_before_ms": 30.0}
            | {"from_ms": 1.0, "to_ms": 9.0}
        ],
        "builds": {"columns": build, "rows": [[5.0, text, 1, 4, 77, text], [95.0, text, 4, 4, None, ""]]},
        "sizes": {text: [8192, 16384]},
        "problem": text,
    }


def summary(text: str, **options: Any) -> Summary:
    """Return the summary of such a run, with the text of the script that ran."""
    told = summarise(text, events(text, **options), chain=text)
    return Summary(**{**told, "texts": {SHA256: SQL}})


def of_every_kind() -> list[tuple[str, str, dict[str, Any]]]:
    """Return kind, step and detail of events of every kind that the library reads."""
    told = [(one["kind"], one["step"], one["detail"]) for one in events("x")]
    for kind, _, detail in told:
        if kind == "run opened":
            detail["checklist"] = CHECKLIST
    item = {"item": "backup", "text_sha256": "0" * 64, "who": "ann", "remark": "", "how": "here"}
    (seen,) = [detail for kind, _, detail in told if kind == "observed"]
    seen |= {
        "waits_left_out": [{"side": "ours", "waits": 3, "longest_ms": 2.5}],
        "in_the_way_left_out": 2,
    }
    sample = {
        "label": "old",
        "title": "x",
        "severity": "stop",
        "rows": 1,
        "problem": "",
        "sample": [{"a": 1}],
    }
    asked = {
        "who": "ann",
        "pid": 7,
        "user": "app",
        "application": "till",
        "state": "active",
        "query": "SELECT 1",
    }
    return [
        *told[:-1],
        ("blocker ended", "000_x", {**asked, "done": True, "gone": True, "reason_given": "CHG-7"}),
        ("blocker cancelled", "000_x", {**asked, "done": True, "gone": None}),
        ("blocker not ended", "000_x", {**asked, "done": False, "reason": "it is gone"}),
        ("gate unanswered", "000_x", {"reason": "the page was closed"}),
        ("gate withdrawn", "000_x", {"reason": "it failed"}),
        ("ticked", "", dict(item)),
        ("tick taken back", "", dict(item)),
        ("preflight", "", {"verdict": "GO", "again": "001_a", "checks": [sample]}),
        ("rollback done", "000_x", {"seconds": 0.5, "note": "x", "journal_at": "2026-01-31T12:00:00.000Z"}),
        ("record written", "", {"file": "record.html", "sha256": "0" * 64, "facts_sha256": "1" * 64}),
        told[-1],
    ]
