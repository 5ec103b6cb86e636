"""The briefing of a gate: what would happen, where, which locks for how long, what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence

from pgrunbook import forecast
from pgrunbook.change import Script, Step
from pgrunbook.gate import is_step
from pgrunbook.header import LockClaim
from pgrunbook.ledger import Status
from pgrunbook.lockmode import LockMode
from pgrunbook.rehearsal import TableLock
from pgrunbook.run import ROLLBACK, Run
from pgrunbook.target import Kind
from pgrunbook.views.gate_panel import Lines, Question
from pgrunbook.views.text import shorten
from pgrunbook.views.units import counted, duration

__all__ = ["of"]

SHOWN = 6
STAYS = "the step does not run, and Run All ends here."


def of(run: Run, name: str, *, so_far: str = "") -> Question:
    """Return what the gate of a step, a remedy or the rollback asks; `so_far` is what was said before."""
    facts, several = run.facts, run.approvals_needed > 1
    kind = "LIVE" if run.target.kind is Kind.LIVE else "rehearsal"
    about: dict[str, str | Sequence[str]] = {
        "where": [
            f"{kind}: {run.target.where}",
            f"database {facts.database!r} as role {facts.user!r}, PostgreSQL {facts.version}, a primary",
        ]
    }
    if several:
        command = f'pgrunbook approve {run.change.name} {name} --reason "..."'
        beside = f"they press GO here under their own name, or run: {command}"
        people = so_far or f"{run.approvals_needed} people, each under their own name"
        about["approvals"] = [people, f"it waits for another name; {beside}"] if so_far else people
    elif so_far:
        about["so far"] = so_far
    who = "" if several else run.operator
    if name == ROLLBACK:
        # To keep the change is how a run ends as a rule: nobody has to say why.
        stays = "the change stays as it is."
        return Question(
            "Roll back?", {**about, **_way_back(run)}, stays, word="ROLL BACK", who=who, reasoned=False
        )
    if not is_step(run.change, name):
        remedy = run.change.remedy(name)
        does: Lines = {"runs": _file(remedy), "statements": _statements(remedy), "does": remedy.header.effect}
        title = f"Gate {name}: {remedy.header.title}"
        return Question(title, {**about, **does}, "no row is changed, and Run All ends here.", who=who)
    step = run.change.step(name)
    title = f"Gate {step.number}: {step.migrate.header.title}"
    return Question(title, {**about, **_step(run, step)}, STAYS, who=who)


def _step(run: Run, step: Step) -> Lines:
    header, script = step.migrate.header, step.migrate
    about: dict[str, str | Sequence[str]] = {
        "runs": _file(script),
        "statements": _statements(script),
        "locks": [*_locks(run, step)] or "none",
    }
    if any(claim.mode.blocks_reads or claim.mode.blocks_writes for claim in header.locks):
        stall = header.stall_budget_ms or run.budgets.stall_ms
        about["others wait"] = f"{duration(stall)} at most because of us"
    elif header.in_transaction:
        about["others wait"] = "not at all"
    else:
        about["others wait"] = "not at all; it is this step that waits, for open transactions"
    if (ends := run.budgets.window_ends) is not None:
        fit = forecast.plan(run.control, step, ends)
        short = "" if fit.fits else "; TOO SHORT, the step will not begin"
        about["takes"] = str(fit.takes)
        about["window"] = f"ends at {run.budgets.window}, {fit.left}; reserve {fit.reserve}{short}"
    elif header.estimate:
        about["takes"] = str(forecast.of(run.control, [script]))
    about["way back"] = ", then ".join(one.label for one in step.rollback)
    about["preflight"] = _preflight(run, step)
    return about


def _file(script: Script) -> str:
    return f"{script.label}, SHA-256 {script.sha256[:12]}"


def _statements(script: Script) -> list[str]:
    told = [shorten(" ".join(one.text.split()), 160) for one in script.statements[:SHOWN]]
    more = len(script.statements) - SHOWN
    return [*told, *([f"and {counted(more, 'statement')} more"] if more > 0 else [])]


def _locks(run: Run, step: Step) -> list[str]:
    """Return each lock that is declared, what it stops, and how the rehearsal saw it."""
    done = run.rehearsal
    file = next((one for one in done.files if one.file == step.migrate.label), None) if done else None
    held: dict[str, TableLock] = {}
    for lock in (lock for one in file.statements for lock in one.took) if file else ():
        if lock.relation not in held or lock.mode.value > held[lock.relation].mode.value:
            held[lock.relation] = lock
    lines = [
        f"{_words(claim)}: {_stops(claim.mode)}; {_seen(claim, held)}" for claim in step.migrate.header.locks
    ]
    if file is not None and not file.as_declared:
        lines.append(f"THE REHEARSAL TOOK OTHER LOCKS: {'; '.join(file.observed) or 'none'}")
    if lines and file is None:
        lines.append("not rehearsed in this run: whether it takes other locks is not known")
    return lines


def _seen(claim: LockClaim, held: dict[str, TableLock]) -> str:
    seen = held.get(claim.table) or held.get(claim.table.rpartition(".")[2])
    if seen is None or seen.mode is not claim.mode:
        return "declared"
    return f"declared, and held for {duration(seen.held_ms)} in the rehearsal, on a clone without rows"


def _words(claim: LockClaim) -> str:
    return f"{claim.mode.word} on {claim.table}"


def _stops(mode: LockMode) -> str:
    """Return in plain words what waits while a lock of this mode is held.

    >>> _stops(LockMode.ACCESS_EXCLUSIVE), _stops(LockMode.SHARE)
    ('nobody can read or write meanwhile', 'nobody can write meanwhile, all can read')
    >>> _stops(LockMode.SHARE_UPDATE_EXCLUSIVE), _stops(LockMode.ROW_SHARE)
    ('all can read and write, only other changes of the table and vacuum wait', 'nobody waits for it')
    """
    if mode.blocks_reads:
        return "nobody can read or write meanwhile"
    if mode.blocks_writes:
        return "nobody can write meanwhile, all can read"
    if mode.conflicts_with(mode):
        return "all can read and write, only other changes of the table and vacuum wait"
    if mode is LockMode.ROW_EXCLUSIVE:
        return "all can read and write"
    return "nobody waits for it"


def _preflight(run: Run, step: Step) -> str | list[str]:
    if run.board is None:
        return "not run"
    against = [one for one in run.board.findings if one.stops or one.warns]
    if not against:
        return f"GO, {counted(len(run.board.findings), 'check')} found nothing"
    stopping = run.board.stopping(step.name)
    verdict = "NO-GO" if stopping else "GO for this step"
    told = [
        f"{'stops' if one in stopping else 'warns' if one.warns else f'stops {one.before}'}: {one.problem or one.title}"
        for one in against[:SHOWN]
    ]
    more = len(against) - SHOWN
    return [
        f"{verdict}, {len(against)} of {counted(len(run.board.findings), 'check')} found something",
        *told,
        *([f"and {more} more"] if more > 0 else []),
    ]


def _way_back(run: Run) -> Lines:
    rows = run.ledger.steps(run.change.name)
    done = [
        one.number for one in run.change.steps if one.name in rows and rows[one.name].status is Status.DONE
    ]
    applied = f"{counted(len(done), 'step')}: {', '.join(done)}" if done else "no step"
    return {"applied": applied, "undoes": "the last step first, as far back as the next cell says"}
