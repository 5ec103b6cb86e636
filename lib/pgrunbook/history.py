"""What a run did, told from its events alone: the facts behind a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pgrunbook import checklist, evidence, legible
from pgrunbook.checklist import Item
from pgrunbook.detail import shorten
from pgrunbook.evidence import at

__all__ = ["UNANSWERED", "WITHDRAWN", "WRITTEN", "checks", "heading", "summarise"]

Event = Mapping[str, Any]
NOTHING = "-"
WRITTEN = "record written"
"""The kind of the event by which the ledger knows a record."""
UNANSWERED, WITHDRAWN = "gate unanswered", "gate withdrawn"
"""The kinds of the events by which the ledger knows that nobody answered a gate, and that a GO counts no more."""
_DECISIONS = {UNANSWERED: "NO ANSWER", WITHDRAWN: "WITHDRAWN"}
RAW = 4000
"""Characters of a detail that are shown as they stand, where it cannot be read in the usual way."""


def heading(run_id: str, events: Sequence[Event]) -> dict[str, Any]:
    """Return the facts of one run that stand above its record: who, where, when, and what came of it."""
    opened = _last(events, "run opened")
    finished = _last(events, "run finished")
    outcome = str(finished.get("outcome") or _outcome(events))
    budget = float(opened.get("stall_budget_ms") or 0)
    return {
        "run_id": run_id,
        "change": opened.get("change", ""),
        "title": opened.get("title", ""),
        "outcome": outcome,
        "good": outcome in ("done", "rolled back") or outcome.startswith(("rolled back to ", "remedy ")),
        "target": opened.get("target", ""),
        "target_kind": opened.get("target_kind", ""),
        "operator": opened.get("operator", ""),
        "server": opened.get("server", ""),
        "started": at(events[0]) if events else "",
        "finished": at(_last_act(events)) if events else "",
        "window_ends": str(opened.get("window_ends", "")),
        "approvals_needed": int(opened.get("approvals_needed") or 1),
        "stall_budget_ms": budget,
        "worst_stall_ms": _worst_stall(events, budget),
    }


def summarise(run_id: str, events: Sequence[Event], *, chain: str) -> dict[str, Any]:
    """Return the facts of one run as the record's summary wants them.

    `events` come from the ledger, or from the journal where the ledger was never reached; each holds at,
    kind, step, actor and detail, those of the ledger a hash too.
    """
    events = legible.read_all(events)
    opened = _last(events, "run opened")
    unread = [_unread(event) for event in events if legible.UNREAD in event]
    steps = [
        _step(event) for event in events if event["kind"] in ("apply done", "apply failed", "apply cancelled")
    ]
    return {
        **heading(run_id, events),
        # One whose detail cannot be read at all has none here.
        "approvals": tuple(
            _approval(event)
            for event in events
            if event["kind"] in ("gate", UNANSWERED, WITHDRAWN) and event["detail"]
        ),
        "checklist": tuple(
            one.row
            for one in checklist.checked([Item(**item) for item in opened.get("checklist", [])], events)
        ),
        "checks": tuple(checks(events, "preflight")),
        "steps": tuple(steps),
        "remedies": tuple(_remedy(event) for event in events if event["kind"].startswith("remedy ")),
        "verification": tuple(checks(events, "verified")),
        "rollbacks": tuple(
            _step(event)
            for event in events
            if event["kind"] in ("rollback done", "rollback failed", "rollback cancelled")
        ),
        "rehearsal": tuple(_rehearsal(events)),
        "locks": tuple(_locks(events)),
        "audits": tuple(evidence.audits(events)),
        "findings": tuple(evidence.findings(events)),
        "ran": tuple(evidence.ran(events)),
        "stalls": tuple(evidence.stalls(events)),
        "in_the_way": tuple(evidence.in_the_way(events)),
        "waits": tuple(evidence.waits(events)),
        "builds": tuple(evidence.builds(events)),
        "sizes": tuple(evidence.sizes(events)),
        "timings": tuple(evidence.timings(events)),
        "scripts": tuple(
            {"file": file, "sha256": sha256} for file, sha256 in sorted(opened.get("scripts", {}).items())
        ),
        "events": tuple(_event(event) for event in events),
        "versions": tuple(_versions(events, opened)),
        "chain": chain,
        # Most runs have neither.
        **({"signals": signals} if (signals := tuple(evidence.signals(events))) else {}),
        **({"unread": tuple(unread)} if unread else {}),
    }


def _worst_stall(events: Sequence[Event], budget: float) -> float | None:
    """Return the longest stall that is told; None where one that is told cannot be read, and might be too long."""
    lost = any(
        legible.UNREAD in event
        and "worst_stall_ms" not in event["detail"]
        and (event["kind"] == "observed" or "worst_stall_ms" in legible.raw(event))
        for event in events
    )
    worst = max((float(event["detail"].get("worst_stall_ms") or 0) for event in events), default=0.0)
    return None if lost and worst <= budget else worst


def _unread(event: Event) -> dict[str, Any]:
    return {
        "at": at(event),
        "kind": event["kind"],
        "step": event["step"] or NOTHING,
        "what": event[legible.UNREAD],
        "raw": shorten(legible.raw(event), RAW),
    }


def _outcome(events: Sequence[Event]) -> str:
    """Return the words for a run that nobody finished."""
    for event in reversed(events):
        doing, _, how = event["kind"].partition(" ")
        if doing in ("apply", "rollback"):
            way = "" if doing == "apply" else "rolling back "
            if how in ("failed", "cancelled"):
                return f"{how} at {way}{event['step']}"
            if how in ("starting", "started"):
                return f"interrupted at {way}{event['step']}"
            if how == "done":
                return f"{'stopped after' if doing == 'apply' else 'rolled back down to'} {event['step']}"
        if event["kind"] == "preflight":
            return "NO-GO" if event["detail"].get("verdict") == "NO-GO" else "stopped before the first step"
    return "stopped before the audit"


def _last(events: Iterable[Event], kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {}
    for event in events:
        if event["kind"] == kind:
            found = event["detail"]
    return found


def _last_act(events: Sequence[Event]) -> Event:
    """Return the last event but for ticks and records: those of the day after make no run longer."""
    later = (checklist.TICKED, checklist.TAKEN_BACK, WRITTEN)
    return next((event for event in reversed(events) if event["kind"] not in later), events[-1])


def _approval(event: Event) -> dict[str, Any]:
    detail = event["detail"]
    return {
        "at": at(event),
        "what": event["step"],
        "decision": _DECISIONS.get(event["kind"]) or ("GO" if detail.get("go") else "NO-GO"),
        "who": detail.get("who", event["actor"]),
        "reason": detail.get("reason", NOTHING),
        "how": detail.get("how", NOTHING),
    }


def _step(event: Event) -> dict[str, Any]:
    detail = event["detail"]
    return {
        "at": at(event),
        "step": event["step"],
        "outcome": event["kind"].split()[-1],
        "note": detail.get("note", detail.get("reason", NOTHING)),
        "seconds": detail.get("seconds", NOTHING),
        "locks held ms": detail.get("held_ms", NOTHING),
        "attempts": detail.get("attempts", NOTHING),
        "worst stall ms": detail.get("worst_stall_ms", NOTHING),
    }


def checks(events: Sequence[Event], kind: str) -> list[dict[str, Any]]:
    """Return each check as it was asked last; those that were asked again before a step are in their places."""
    found: dict[str, Mapping[str, Any]] = {}
    for event in events:
        if event["kind"] == kind:
            asked = {check["label"]: check for check in event["detail"].get("checks", [])}
            found = {**found, **asked} if "again" in event["detail"] else asked
    return [
        {
            "check": check["label"],
            "title": check["title"],
            "severity": check["severity"],
            "rows": check["rows"],
            "problem": check["problem"] or check.get("unproved") or NOTHING,
        }
        for check in found.values()
    ]


def _remedy(event: Event) -> dict[str, Any]:
    detail = event["detail"]
    return {
        "at": at(event),
        "remedy": detail.get("remedy", ""),
        "what": event["kind"].removeprefix("remedy "),
        "rows": detail.get("rows", NOTHING),
        "batches": detail.get("batches", NOTHING),
    }


def _versions(events: Sequence[Event], opened: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = {name: opened.get(name, "") for name in ("server", "cluster")}
    found |= {"pgrunbook": opened.get("version", ""), **dict(sorted(opened.get("versions", {}).items()))}
    if rehearsed_on := _last(events, "rehearsed").get("server"):
        found["server of the rehearsal"] = rehearsed_on
    return [{"what": what, "version": version} for what, version in found.items()]


def _rehearsal(events: Sequence[Event]) -> list[dict[str, Any]]:
    rehearsed = _last(events, "rehearsed")
    rows = [
        {
            "file": row["file"],
            "declared": "; ".join(row["declared"]) or "none",
            "observed": "; ".join(row["observed"]) or "none",
            "agree": "yes" if row["declared"] == row["observed"] else "NO",
        }
        for row in rehearsed.get("locks", [])
    ]
    if rehearsed:
        left = rehearsed.get("not_restored", [])
        rows.append(
            {
                "file": "all steps undone in reverse order",
                "declared": "catalog as before each step",
                "observed": "as before" if not left else "; ".join(left[:5]),
                "agree": "yes" if not left else "NO",
            }
        )
    return rows


def _locks(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return one row for each lock that a statement took in the rehearsal."""
    return [
        {
            "file": file["file"],
            "statement": f"{statement['number']}. {statement['statement']}",
            "takes": f"{lock['mode']} on {lock['kind']} {lock['schema']}.{lock['object']}",
            "held ms": lock["milliseconds"],
            "held already": "; ".join(
                f"{held['mode']} on {held['schema']}.{held['object']}" for held in statement["held_before"]
            )
            or NOTHING,
        }
        for file in _last(events, "rehearsed").get("locks", [])
        for statement in file.get("statements", [])
        for lock in statement["took"]
    ]


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": at(event),
        "kind": event["kind"],
        "step": event["step"] or NOTHING,
        "actor": event["actor"],
        "hash": event.get("hash", "only in the journal"),
    }
