"""Boards: what each part of a run found, as views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from pgrunbook.change import Change, Script
from pgrunbook.gate import Decision
from pgrunbook.header import Severity
from pgrunbook.ledger import Status
from pgrunbook.preflight import Board, Finding
from pgrunbook.rehearsal import Rehearsal
from pgrunbook.remedy import Applied, Preview
from pgrunbook.session import ServerFacts
from pgrunbook.step import Outcome
from pgrunbook.target import Kind, Target
from pgrunbook.undoing import Undone
from pgrunbook.views import table, verdict
from pgrunbook.views.units import counted
from pgrunbook.views.view import View

__all__ = [
    "audit",
    "binding",
    "decision",
    "outcomes",
    "preview",
    "rehearsal",
    "repaired",
    "script",
    "undo_previewed",
    "undone",
    "verification",
]

NOTHING = "-"


def binding(
    change: Change, target: Target, facts: ServerFacts, run_id: str, operator: str, window: str = ""
) -> View:
    """Return where a run is bound to, and until when.

    Version, cluster and names vary: only a live notebook shows them.
    """
    live = target.kind is Kind.LIVE
    known = {
        "target": target.where,
        "server": f"PostgreSQL {facts.version}",
        "database": facts.database,
        "role": facts.user,
        "operator": operator,
        "cluster": facts.cluster,
        "run": run_id,
        **({"window ends": window} if window else {}),
    }
    line = f"{change.name} bound to {target.where}, a primary ({'LIVE' if live else 'rehearsal'})"
    line += f", window ends {window}" if window else ""
    return View(line, html=table.to_html([known], caption=line) if live else None, facts=known)


def audit(board: Board) -> View:
    """Return the preflight board: a verdict, one row a check, and the rows of each check that found any.

    The server's own findings (sessions, slots, sizes) vary from run to run, so only their titles are
    compared; their rows stand in the facts, as do those that only inform, of sizes and times, and planned costs.
    """
    told = [finding for finding in board.findings if finding.severity is Severity.INFO]
    own = [finding for finding in board.findings if not finding.label.startswith("server:")]
    server = [finding for finding in board.findings if finding.label.startswith("server:")]
    # Warnings of the server come and go with its sessions: they must not change the verdict's text.
    warned = sum(finding in own for finding in board.warnings)
    line = verdict.board_line(
        board.change,
        checks=len(board.findings),
        stopped=len(board.failed),
        warned=warned,
        until=board.goes_until,
    )
    guards = any(finding.before for finding in own)
    rows = [
        {
            "check": f.name,
            "title": f.title,
            "verdict": _word(f),
            "rows": f.total,
            **({"stops from": f.before or "the beginning"} if guards else {}),
            "effect": f.effect if f.total else NOTHING,
        }
        for f in own
    ]
    stopping = sum(finding.stops for finding in server)
    rows.append(
        {
            "check": f"{len(server)} checks of the server",
            "title": "tables, privileges, invalid indexes, blockers, slots, standbys",
            "verdict": "stop" if stopping else "ok",
            "rows": stopping,
            **({"stops from": "the beginning"} if guards else {}),
            "effect": "; ".join(f.problem or f.title for f in server if f.stops) or NOTHING,
        }
    )
    parts = [table.to_html(rows, caption=line)]
    parts += [_rows(finding) for finding in (*board.failed, *board.warnings) if finding in own]
    facts: dict[str, object] = {
        f.label: [dict(row) for row in f.rows[:10]] for f in (*server, *told) if f.total
    }
    facts |= {f"cost of {f.label}": f.cost for f in own if f.cost}
    return View(line, html="\n".join(part for part in parts if part), facts=facts)


def _word(finding: Finding) -> str:
    if finding.problem or finding.unproved:
        return "stop" if finding.problem else "not proved"
    return "ok" if not finding.total else finding.severity.value


def _rows(finding: Finding) -> str:
    if said := finding.problem or finding.unproved:
        word = "problem" if finding.problem else "not proved"
        return table.to_html([{"check": finding.name, word: said}])
    caption = (
        f"{finding.name}: {finding.title}. Remedy: {finding.remedy}" if finding.remedy else finding.title
    )
    return table.to_html(finding.rows, finding.columns, caption=caption, total=finding.total, cap=12)


def preview(found: Preview) -> View:
    """Return a remedy's first batch as a before/after table."""
    proof = "undo gives every row back" if found.undo_proved else "UNDO DOES NOT GIVE EVERY ROW BACK"
    line = verdict.remedy_line(found.remedy, len(found.repairs), previewed=True)
    line += f" of {found.table} in its first batch; {proof}" if found.repairs else ""
    several = len({repair.table for repair in found.repairs}) > 1
    rows = [
        {
            **({"table": ".".join(repair.table)} if several else {}),
            **{f"key {name}": value for name, value in repair.key.items()},
            **{f"{name} before": value for name, value in repair.before.items()},
            **(
                {f"{name} after": value for name, value in repair.after.items()}
                if repair.after is not None
                else {"after": "deleted"}
            ),
        }
        for repair in found.repairs
    ]
    return View(line, html=table.to_html(rows, caption=line, cap=12) if rows else None)


def repaired(done: Applied) -> View:
    """Return what a remedy did."""
    return View(
        verdict.remedy_line(done.remedy, done.repairs), facts={"table": done.table, "batches": done.batches}
    )


def undone(done: Undone) -> View:
    """Return what an undo gave back, and what it left alone."""
    line = verdict.remedy_line(done.remedy, done.restored, undone=True)
    return _given_back(done, line, "left alone because somebody changed them since")


def undo_previewed(found: Undone) -> View:
    """Return what an undo would give back, leave alone and be forbidden."""
    line = verdict.remedy_line(found.remedy, found.restored, previewed=True, undone=True)
    view = _given_back(found, line, "would be left alone because somebody changed them since")
    if not found.forbidden:
        return view
    said = [{"forbidden now": reason} for reason in found.forbidden]
    html = (view.html or "") + table.to_html(said)
    return View(f"{view.text}; the rest is FORBIDDEN by a rule that is in force", html=html)


def _given_back(done: Undone, line: str, why: str) -> View:
    if not done.left_alone:
        return View(line)
    line += f", {counted(done.left_alone, 'row')} {why}"
    rows = [
        {
            "table": one.table,
            **{f"key {name}": value for name, value in one.key.items()},
            "left as": _values(one.left_as, "deleted"),
            "now": _values(one.now, "not there"),
        }
        for one in done.refused
    ]
    return View(line, html=table.to_html(rows, caption=line, total=done.left_alone, cap=12))


def _values(held: Mapping[str, object] | None, missing: str) -> str:
    return missing if held is None else ", ".join(f"{name}: {value}" for name, value in held.items())


def script(chosen: Script) -> View:
    """Return a file as it will be sent to the server."""
    # JupyterLab would break long lines inside words, and its export would not keep columns below each other.
    pre = f'<pre class="sql" style="word-break:normal;font-family:monospace">{escape(chosen.text.rstrip())}</pre>'
    html = f"<p><em>{escape(chosen.label)}</em></p>\n{pre}"
    return View(chosen.label, html=html, facts={"sha256": chosen.sha256})


def rehearsal(done: Rehearsal) -> View:
    """Return declared and observed locks of every file, and whether the way back restores the catalog."""
    locks_word = (
        "every lock as declared"
        if not done.differing
        else f"{counted(len(done.differing), 'file')} took other locks than declared"
    )
    back = (
        "the way back restores the catalog"
        if not done.not_restored
        else f"the way back leaves {counted(len(done.not_restored), 'difference')}"
    )
    line = f"{done.change} rehearsed on a clone: {counted(len(done.files), 'file')}, {locks_word}; {back}"
    if not done.files:
        line = f"{done.change}: nothing left to rehearse, every step is in place"
    rows = [
        {
            "file": file.file,
            "declared": "; ".join(file.declared) or "none",
            "observed": "; ".join(file.observed) or "none",
            "verdict": "ok" if file.as_declared else "differs",
        }
        for file in done.files
    ]
    html = table.to_html(rows, caption=line)
    if done.not_restored:
        html += table.to_html([{"not restored": text} for text in done.not_restored])
    return View(line, html=html, facts={"server": f"PostgreSQL {done.server_version}"})


def decision(made: Sequence[Decision]) -> View:
    """Return a gate's decisions, one a person; a rehearsal's are the same each time, a person's reason is not."""
    last = made[-1]
    if last.how == "rehearsal":
        line = verdict.gate_line(last.step, opened=last.go, approver="the rehearsal")
    else:
        said = ", ".join(f"{one.who} ({one.reason})" for one in made)
        line = verdict.gate_line(last.step, opened=last.go, approver=said)
    return View(
        line, facts={"decisions": [{"who": one.who, "reason": one.reason, "how": one.how} for one in made]}
    )


def outcomes(done: Sequence[Outcome], change: Change) -> View:
    """Return one line a step; times and waits stand in the facts."""
    if not done:
        return View("nothing to do")
    facts = (
        done[0].facts
        if len(done) == 1
        else {f"{n}. {one.step}": _short(one) for n, one in enumerate(done, 1)}
    )
    return View("\n".join(_line(one, change) for one in done), facts=facts)


def _short(done: Outcome) -> str:
    took = f"{done.seconds:.3f} s, locks held {done.held_ms:.1f} ms, worst stall {done.worst_stall_ms:.1f} ms"
    return "; ".join([took, *done.warnings])


def _line(done: Outcome, change: Change) -> str:
    step = change.step(done.step)
    ran = done.note in ("apply", "rollback")
    word = done.status.value if ran else done.note
    if ran and done.status is Status.ROLLING_BACK:
        word = "partly rolled back"
    return verdict.step_line(
        step.number,
        step.migrate.header.title,
        word,
        worst_stall_ms=done.worst_stall_ms,
        budget_ms=done.stall_budget_ms if ran else None,
    )


def verification(findings: Sequence[Finding]) -> View:
    """Return whether each applied step's promise holds now."""
    broken = [finding for finding in findings if finding.total or finding.problem]
    said = f"{len(broken)} BROKEN" if broken else "all promises hold"
    line = f"{counted(len(findings), 'step')} verified, {said}"
    rows = [
        {"step": f.name, "verdict": "broken" if f in broken else "ok", "found": f.problem or f.total}
        for f in findings
    ]
    html = table.to_html(rows, caption=line)
    html += "".join(
        table.to_html(f.rows, f.columns, caption=f.title, total=f.total) for f in broken if f.rows
    )
    return View(line, html=html)
