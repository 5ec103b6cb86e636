"""What events tell beyond the course of a run: rows that checks found, locks and waits, plans, scripts that ran."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "audits",
    "builds",
    "findings",
    "in_the_way",
    "ran",
    "sha256_of",
    "signals",
    "sizes",
    "stalls",
    "timings",
    "waits",
]

Event = Mapping[str, Any]
Rows = list[dict[str, Any]]
_ENDS = ("done", "failed", "cancelled", "applied", "stopped", "undone")
_SIGNALS = {
    "blocker cancelled": "its statement was cancelled",
    "blocker ended": "its session was ended",
    "blocker not ended": "nothing was done",
}
_SIDES = {"behind us": "waited behind us", "ours": "our step waited", "other": "waited for others"}


def at(event: Event) -> str:
    """Return when an event happened, in UTC: one of the journal knows it better than the ledger."""
    return str(event["detail"].get("journal_at") or event["at"])


def audits(events: Sequence[Event]) -> Rows:
    """Return one row an audit, those before single steps included: its verdict, and how many checks found rows."""
    return [
        {
            "at": at(event),
            "about": f"again before {event['detail']['again']}"
            if "again" in event["detail"]
            else _about(event),
            "verdict": event["detail"].get("verdict", "GO"),
            "asked": len(event["detail"].get("checks", [])),
            "with rows": sum(1 for check in event["detail"].get("checks", []) if check["rows"]),
            "not run": sum(1 for check in event["detail"].get("checks", []) if check["problem"]),
        }
        for event in events
        if event["kind"] in ("preflight", "verified") and event["detail"]
    ]


def findings(events: Sequence[Event]) -> Rows:
    """Return what checks found, with the rows that were kept, whenever it was news; the columns in their order."""
    told: dict[str, object] = {}
    found: Rows = []
    for event in events:
        if event["kind"] not in ("preflight", "verified"):
            continue
        for check in event["detail"].get("checks", []):
            news = (check["rows"], check.get("found", check.get("sample")))
            if news == told.get(check["label"], (0, None)):
                continue
            # What only informs holds estimates, which differ from one audit to the next.
            if check["severity"] == "info" and check["label"] in told:
                continue
            told[check["label"]] = news
            if check["rows"]:
                found.append(_found(event, check))
    return found


def _found(event: Event, check: Mapping[str, Any]) -> dict[str, Any]:
    # Ledgers of earlier versions keep objects, which know no order of columns.
    sample = check.get("sample", [])
    columns = check.get("columns", sorted({name for row in sample for name in row}))
    return {
        "at": at(event),
        "check": check["label"],
        "title": check["title"],
        "severity": check["severity"],
        "rows": check["rows"],
        "effect": check.get("effect", ""),
        "next": check.get("next", ""),
        "columns": columns,
        "found": check.get("found", [[row.get(name) for name in columns] for row in sample]),
    }


def _about(event: Event) -> str:
    return "each applied step" if event["kind"] == "verified" else "the whole change"


def ran(events: Sequence[Event]) -> Rows:
    """Return one row for each script that was begun on the target, with its hash and how it ended."""
    found: Rows = []
    for number, event in enumerate(events):
        doing, _, how = event["kind"].rpartition(" ")
        if how == "started" and "sha256" in event["detail"]:
            found.append(
                {
                    "at": at(event),
                    "what": doing,
                    "step": event["step"] or event["detail"].get("remedy", ""),
                    "file": event["detail"]["file"],
                    "sha256": event["detail"]["sha256"],
                    "ended": _ended(event, events[number + 1 :]),
                }
            )
    return found


def _ended(begun: Event, later: Iterable[Event]) -> str:
    doing = begun["kind"].rpartition(" ")[0]
    for event in later:
        what, _, how = event["kind"].rpartition(" ")
        if what == doing and event["step"] == begun["step"]:
            return how if how in _ENDS else "interrupted"
    return "interrupted"


def _observed(events: Sequence[Event]) -> list[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Return which job it was that was watched, by number and in words, with what was seen of it."""
    found: list[tuple[dict[str, Any], Mapping[str, Any]]] = []
    for event in (one for one in events if one["kind"] == "observed" and one["detail"]):
        back = "way back of " if event["detail"]["job"] == "rollback" else ""
        found.append(({"job": len(found) + 1, "step": f"{back}{event['step']}"}, event["detail"]))
    return found


def stalls(events: Sequence[Event]) -> Rows:
    """Return one row a job that was watched: its worst stall, beside its budget, and how closely it was watched."""
    return [
        {
            **job,
            "file": told["file"],
            "worst stall ms": told["worst_stall_ms"],
            "budget ms": told["stall_budget_ms"],
            "locks held ms": told["held_ms"],
            "watched ms": told["watched_ms"],
            "samples": told["samples"],
            "waits": len(_rows(told, "waits"))
            + sum(left["waits"] for left in told.get("waits_left_out", [])),
            "problem": told.get("problem", ""),
        }
        for job, told in _observed(events)
    ]


def waits(events: Sequence[Event]) -> Rows:
    """Return the waits that were kept of each job; where some were left out, a row says how many, and the longest."""
    found: Rows = []
    for job, told in _observed(events):
        for row in _rows(told, "waits"):
            found.append(
                {
                    **job,
                    "side": _SIDES.get(row["side"], row["side"]),
                    "who": row["who"],
                    "pid": row["pid"],
                    "from ms": row["from_ms"],
                    "to ms": row["to_ms"],
                    "waited ms": round(row["to_ms"] - row["from_ms"], 1),
                    "wants": row["wants"],
                    "on": row["on"],
                    "held up by": ", ".join(map(str, row["held up by"])),
                }
            )
        for left in told.get("waits_left_out", []):
            found.append(
                {
                    **job,
                    "side": _SIDES.get(left["side"], left["side"]),
                    "who": f"{left['waits']:,} more, each no longer than",
                    "waited ms": left["longest_ms"],
                }
            )
    return found


def in_the_way(events: Sequence[Event]) -> Rows:
    """Return who was in the way of a job that looked and did not ask, with whom nobody waited."""
    found: Rows = []
    for job, told in _observed(events):
        found += [{**job, **{_blank(k): v for k, v in row.items()}} for row in told.get("in_the_way", [])]
        if left := told.get("in_the_way_left_out"):
            found.append({**job, "who": f"{left:,} more"})
    return found


def signals(events: Sequence[Event]) -> Rows:
    """Return one row for each session in the way that somebody asked to end, or whose statement to cancel."""
    return [
        {
            "at": at(event),
            "step": event["step"] or None,
            "who asked": event["actor"],
            "what was done": _SIGNALS[event["kind"]],
            "what came of it": event["detail"].get("reason") or _left(event["detail"]),
            "why": event["detail"].get("reason_given"),
            "pid": event["detail"].get("pid"),
            "role": event["detail"].get("user"),
            "application": event["detail"].get("application"),
            "state": event["detail"].get("state"),
            "statement": event["detail"].get("query"),
        }
        for event in events
        if event["kind"] in _SIGNALS
    ]


def _left(detail: Mapping[str, Any]) -> str | None:
    if "gone" not in detail:
        return None
    words = {True: "it is out of the way", False: "its transaction was still there"}
    return words.get(detail["gone"], "the server's answer was not heard")


def builds(events: Sequence[Event]) -> Rows:
    """Return the looks at index builds that were kept."""
    return [
        {**job, **{_blank(name): value for name, value in row.items()}}
        for job, told in _observed(events)
        for row in _rows(told, "builds")
    ]


def sizes(events: Sequence[Event]) -> Rows:
    """Return the size of each table and of its indexes before and after each job, in bytes."""
    return [
        {**job, "name": name, "before bytes": before, "after bytes": after}
        for job, told in _observed(events)
        for name, (before, after) in sorted(told.get("sizes", {}).items())
    ]


def timings(events: Sequence[Event]) -> Rows:
    """Return the cost and the plan of each query, before the change and after, as it was measured last."""
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        if event["kind"] != "timed":
            continue
        for query in event["detail"].get("queries", []):
            runs = query.get("runs_ms", [query["median_ms"]])
            last[query["name"], event["detail"]["when"]] = {
                "query": query["name"],
                "title": query.get("title", ""),
                "when": event["detail"]["when"],
                "median ms": query["median_ms"],
                "least ms": min(runs),
                "most ms": max(runs),
                "runs ms": runs,
                "rows": query["rows"],
                "blocks hit": query.get("shared_hit"),
                "blocks read": query.get("shared_read"),
                "nodes": query.get("nodes", [query["plan"]]),
                "plan": query.get("explain", ""),
                "missed": query.get("missed", []),
            }
    return [last[key] for key in sorted(last, key=lambda one: (one[0], one[1] == "after"))]


def _rows(told: Mapping[str, Any], name: str) -> Rows:
    table = told.get(name)
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] if table else []


def _blank(name: str) -> str:
    return name.replace("_", " ")


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a script's bytes, hex.

    >>> sha256_of("SELECT 1;")[:12]
    '17db4fd369ed'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
