"""What each event of a run says: the details that go to the ledger and the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgrunbook.change import Change
from pgrunbook.explain import Timing
from pgrunbook.preflight import Board, Finding
from pgrunbook.rehearsal import FileRehearsal, Rehearsal, TableLock
from pgrunbook.session import ServerFacts
from pgrunbook.target import Target

__all__ = ["audited", "opened", "rehearsed", "timed", "verified"]

Detail = Mapping[str, object]

SAMPLE = 5


def opened(
    change: Change,
    target: Target,
    facts: ServerFacts,
    *,
    operator: str,
    version: str,
    stall_ms: int,
    window_ends: str = "",
) -> Detail:
    """Return who runs what where and until when, and the hash of every file of the change."""
    steps = [script for step in change.steps for script in (step.migrate, step.verify, *step.rollback)]
    scripts = [*change.preflight, *change.remedies, *steps, *change.timings]
    return {
        "change": change.name,
        "title": change.title,
        "target": target.where,
        "target_kind": target.kind.value,
        "operator": operator,
        "server": f"PostgreSQL {facts.version}",
        "cluster": facts.cluster,
        "version": version,
        "stall_budget_ms": stall_ms,
        **({"window_ends": window_ends} if window_ends else {}),
        "scripts": {script.label: script.sha256 for script in scripts},
        **({"checklist": [item.facts for item in change.checklist.items]} if change.checklist.items else {}),
    }


def audited(board: Board) -> Detail:
    """Return the verdict of a board and what each check found."""
    return {"verdict": "GO" if board.go else "NO-GO", "checks": [_finding(one) for one in board.findings]}


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


def timed(timings: Sequence[Timing], *, after: bool) -> Detail:
    """Return the median, the rows and the plan of each query; times in milliseconds."""
    queries = [
        {"name": one.name, "median_ms": round(one.median_ms, 4), "rows": one.rows, "plan": one.nodes[0]}
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
        "sample": [{key: str(value) for key, value in row.items()} for row in finding.rows[:SAMPLE]],
    }


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
