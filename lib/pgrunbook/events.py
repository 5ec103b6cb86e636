"""What each event of a run says: the details that go to the ledger and the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pgrunbook import versions
from pgrunbook.change import Change, Script
from pgrunbook.detail import shorten
from pgrunbook.preflight import Board, Finding
from pgrunbook.rehearsal import FileRehearsal, Rehearsal, TableLock
from pgrunbook.session import ServerFacts
from pgrunbook.target import Target
from pgrunbook.timing import Timing, misses

__all__ = ["audited", "opened", "rehearsed", "timed", "verified"]

Detail = Mapping[str, object]

ROWS, CELL = 50, 200
"""Rows of a check that are kept, and characters of a value."""


def opened(
    change: Change,
    target: Target,
    facts: ServerFacts,
    *,
    operator: str,
    stall_ms: int,
    window_ends: str = "",
    approvals: int = 1,
) -> Detail:
    """Return who runs what where with what and until when, and the hash of every file of the change."""
    return {
        "change": change.name,
        "title": change.title,
        "target": target.where,
        "target_kind": target.kind.value,
        "operator": operator,
        "server": f"PostgreSQL {facts.version}",
        "cluster": facts.cluster,
        "version": versions.library(),
        "versions": versions.ours(),
        "stall_budget_ms": stall_ms,
        "approvals_needed": approvals,
        **({"window_ends": window_ends} if window_ends else {}),
        "scripts": {script.label: script.sha256 for script in change.scripts},
        **({"checklist": [item.facts for item in change.checklist.items]} if change.checklist.items else {}),
    }


def audited(board: Board, *, before: Board | None = None) -> Detail:
    """Return the verdict of a board and what each check found; of one made from `before` it, those asked again."""
    known = {id(one) for one in before.findings} if before else set()
    asked = [_finding(one) for one in board.findings if id(one) not in known]
    return {"verdict": "GO" if board.go else "NO-GO", "checks": asked}


def verified(findings: Sequence[Finding]) -> Detail:
    """Return what each verify file found."""
    return {"checks": [_finding(one) for one in findings]}


def rehearsed(done: Rehearsal) -> Detail:
    """Return the locks of every file and statement, declared and observed, and what did not come back."""
    return {
        "locks": [_file(one) for one in done.files],
        "not_restored": list(done.not_restored),
        "holds": done.holds,
        "server": f"PostgreSQL {done.server_version}",
    }


def timed(timings: Sequence[Timing], scripts: Sequence[Script], *, after: bool) -> Detail:
    """Return each query's cost and plan, and after the change what it misses of its script; times in milliseconds."""
    expected = {script.name: script.header.expect for script in scripts if after}
    queries = [
        {
            "name": one.name,
            "title": one.title,
            "median_ms": round(one.median_ms, 4),
            "runs_ms": [round(ms, 4) for ms in one.runs_ms],
            "rows": one.rows,
            "plan": one.nodes[0],
            "nodes": list(one.nodes),
            "shared_hit": one.shared_hit,
            "shared_read": one.shared_read,
            "explain": one.text,
            **({"missed": missed} if (missed := misses(one, expected.get(one.name))) else {}),
        }
        for one in timings
    ]
    return {"when": "after" if after else "before", "queries": queries}


def _finding(finding: Finding) -> Detail:
    return {
        "label": finding.label,
        "title": finding.title,
        "severity": finding.severity.value,
        "rows": finding.total,
        "problem": finding.problem,
        "unproved": finding.unproved,
        "cost": finding.cost,
        **({"before": finding.before} if finding.before else {}),
        **_found(finding),
    }


def _found(finding: Finding) -> Detail:
    """Return the rows of a finding, in the order of its columns, and what it means where it found something."""
    said = {"effect": finding.effect, "next": finding.remedy} if finding.stops or finding.warns else {}
    rows = [[_cell(row.get(name)) for name in finding.columns] for row in finding.rows[:ROWS]]
    return {**said, **({"columns": list(finding.columns), "found": rows} if rows else {})}


def _cell(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    said = (
        json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)
    )
    return shorten(said, CELL)


def _file(file: FileRehearsal) -> Detail:
    statements = [
        {
            "number": one.number,
            "statement": one.verb,
            "took": [{**_lock(lock), "milliseconds": round(lock.held_ms, 2)} for lock in one.took],
            "held_before": [_lock(lock) for lock in one.held_before],
            "milliseconds": round(one.milliseconds, 2),
        }
        for one in file.statements
    ]
    return {
        "file": file.file,
        "declared": list(file.declared),
        "observed": list(file.observed),
        "statements": statements,
    }


def _lock(lock: TableLock) -> Detail:
    return {"schema": lock.schema, "object": lock.relation, "kind": lock.kind_word, "mode": lock.mode.word}
