"""The reach of a GO: which files would run and how far, with which locks, for how long, and who is in the way now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgrunbook import forecast, gate, obstacles, patience, quarantine, session, standing, window
from pgrunbook.change import Change, Script, Step
from pgrunbook.derived import undone as way_back
from pgrunbook.header import LockClaim
from pgrunbook.ledger import Ledger, StepRow
from pgrunbook.lockmode import LockMode
from pgrunbook.patience import Blocker
from pgrunbook.session import Connection, ServerFacts
from pgrunbook.standing import Standing
from pgrunbook.target import Kind, Target
from pgrunbook.views.text import shorten
from pgrunbook.views.units import counted, duration

__all__ = ["SHOWN", "Reach", "in_the_way", "where"]

SHOWN, BLOCKERS = 6, 4
UNREHEARSED = "not rehearsed in this run: whether it takes other locks is not known"


@dataclass(frozen=True, slots=True)
class Reach:
    """What one gate is about, told alike to whoever is asked, at whichever screen.

    `rehearsed` is what the event of the run's rehearsal holds, `found` how many rows the check of a remedy found,
    `ends` when the window does.
    """

    ledger: Ledger
    change: Change
    name: str
    stall_ms: int
    rehearsed: Mapping[str, Any] | None = None
    found: int | None = None
    ends: datetime | None = None

    def lines(self) -> dict[str, str | list[str]]:
        """Return what would run, how far it goes, its locks, and the way back."""
        if gate.goes_back(self.name):
            return self._rollback()
        if gate.is_step(self.change, self.name):
            return self._step(self.change.step(self.name))
        return self._remedy(*gate.scripts(self.change, self.name))

    def _step(self, step: Step) -> dict[str, str | list[str]]:
        return {
            "runs": _file(step.migrate),
            "statements": _statements([step.migrate]),
            "locks": self._locks([step.migrate]) or "none",
            "others wait": self._wait([step.migrate]),
            **(self._takes([step.migrate]) if self.ends is None else self._fits(step, self.ends)),
            "way back": ", then ".join(one.label for one in step.rollback),
        }

    def _remedy(self, script: Script) -> dict[str, str | list[str]]:
        undoes = self.name != script.name
        kept = self._kept(script)
        found = (
            "nobody has counted them in this run" if self.found is None else f"its check found {self.found:,}"
        )
        stall = duration(script.header.stall_budget_ms or self.stall_ms)
        return {
            "runs": f"{'the undo of ' * undoes}{_file(script)}",
            **({} if undoes else {"statements": _statements([script])}),
            **({"does": script.header.effect} if script.header.effect and not undoes else {}),
            "rows": f"gives back {counted(kept, 'row')} that it replaced, newest first; those changed since stay"
            if undoes
            else f"all that its check finds, batch by batch ({found}); what it replaces is kept",
            "locks": [
                f"RowExclusive on {table}: {_stops(LockMode.ROW_EXCLUSIVE)}" for table in script.repairs
            ],
            "others wait": f"for rows of the batch at work alone, {stall} at most because of us",
            "way back": "the remedy again"
            if undoes
            else f"its undo, which needs a GO of its own; {kept:,} rows kept",
        }

    def _rollback(self) -> dict[str, str | list[str]]:
        rows = self.ledger.steps(self.change.name)
        steps = list(_undone(self.change, self.name, rows))
        files = [script for step, _ in steps for script in step.rollback]
        gone = {step.name for step, _ in steps}
        stays = [
            step.number
            for step in self.change.steps
            if step.name not in gone and standing.of(step, rows, "", backwards=True) is Standing.DONE
        ]
        against = way_back.standing_against(self.ledger.conn, [step for step, _ in steps])
        text = gate.subject(self.change, self.name)[1][:12]
        return {
            "undoes": [
                f"{step.name}: {step.migrate.header.title}{'' if done else ' (begun and not finished)'}"
                for step, done in steps
            ]
            or "no step",
            "stays": f"{counted(len(stays), 'step')}: {', '.join(stays)}" if stays else "no step",
            "runs": [*map(_file, files), f"the text of this way back: SHA-256 {text}"],
            "statements": _statements(files) or "none",
            "locks": self._locks(files) or "none",
            "others wait": self._wait(files) if files else "not at all",
            **self._takes(files),
            **(
                {"forbidden by": [f"{one['object']} {one['why']} ({one['step']})" for one in against[:SHOWN]]}
                if against
                else {}
            ),
            "way back": "the steps again, each with a new GO; rows of what is dropped are gone",
        }

    def _kept(self, script: Script) -> int:
        conn = self.ledger.conn
        if not quarantine.exists(conn):
            return 0
        return quarantine.count(conn, change=self.change.name, remedy=script.name)

    def _wait(self, files: Sequence[Script]) -> str:
        stalls = [
            script.header.stall_budget_ms or self.stall_ms
            for script in files
            if any(one.mode.blocks_reads or one.mode.blocks_writes for one in script.header.locks)
        ]
        if stalls:
            each = " at each file" if len(files) > 1 else ""
            return f"{duration(max(stalls))} at most because of us{each}"
        if all(script.header.in_transaction for script in files):
            return "not at all"
        return "not at all; it is this step that waits, for open transactions"

    def _takes(self, files: Sequence[Script]) -> dict[str, str | list[str]]:
        if not any(script.header.estimate for script in files):
            return {}
        return {"takes": str(forecast.of(self.ledger.conn, files))}

    def _fits(self, step: Step, ends: datetime) -> dict[str, str | list[str]]:
        fit = forecast.plan(self.ledger.conn, step, ends)
        short = "" if fit.fits else "; TOO SHORT, the step will not begin"
        when = f"ends at {window.spelled(ends)}, {fit.left}"
        return {"takes": str(fit.takes), "window": f"{when}; reserve {fit.reserve}{short}"}

    def _locks(self, files: Sequence[Script]) -> list[str]:
        """Return the strongest lock that is declared for each table, what it stops, and how the rehearsal saw it."""
        told = {one["file"]: one for one in (self.rehearsed or {}).get("locks", [])}
        strongest: dict[str, tuple[LockClaim, list[str]]] = {}
        for script in files:
            for claim in script.header.locks:
                known = strongest.get(claim.table)
                if known is None or claim.mode.value > known[0].mode.value:
                    strongest[claim.table] = (claim, [script.label])
                elif claim.mode is known[0].mode:
                    known[1].append(script.label)
        lines = [
            f"{claim.mode.word} on {claim.table}: {_stops(claim.mode)}; {_seen(claim, labels, told)}"
            for claim, labels in strongest.values()
        ]
        for script in files:
            file = told.get(script.label)
            if file is not None and file["declared"] != file["observed"]:
                of = f" ({script.label})" if len(files) > 1 else ""
                lines.append(f"THE REHEARSAL TOOK OTHER LOCKS: {'; '.join(file['observed']) or 'none'}{of}")
        if lines and any(script.label not in told for script in files):
            lines.append(UNREHEARSED)
        return lines


def where(target: Target, facts: ServerFacts) -> list[str]:
    """Return where a GO lets something run."""
    kind = "LIVE" if target.kind is Kind.LIVE else "rehearsal"
    return [
        f"{kind}: {target.where}",
        f"database {facts.database!r} as role {facts.user!r}, PostgreSQL {facts.version}, a primary",
    ]


def in_the_way(conn: Connection, ledger: Ledger, change: Change, name: str) -> str | list[str]:
    """Return who would make what a gate is about wait now, oldest first; of a remedy, who may hold its rows."""
    files = _files(ledger, change, name)
    found, unseen = _blockers(conn, change, name, files), _unseen(conn, files)
    if not (found or unseen):
        return "nobody"
    told = [ledger.target.redacted(line) for one in found[:BLOCKERS] for line in _told(one)]
    more = len(found) - BLOCKERS
    left = [f"not known of {', '.join(unseen)}: this role's search path does not find it"] if unseen else []
    return [*told, *([f"and {more} more"] if more > 0 else []), *left]


def _told(one: Blocker) -> list[str]:
    does = "runs" if one.state == "active" else "last statement"
    said = [f"role {one.user!r}"] * bool(one.user) + [f"{does}: {one.query}"] * bool(one.query)
    return [str(one), *["; ".join(said)] * bool(said)]


def _files(ledger: Ledger, change: Change, name: str) -> Sequence[Script]:
    if gate.is_step(change, name):
        return [change.step(name).migrate]
    if gate.goes_back(name):
        steps = _undone(change, name, ledger.steps(change.name))
        return [script for step, _ in steps for script in step.rollback]
    return gate.scripts(change, name)


def _unseen(conn: Connection, files: Sequence[Script]) -> list[str]:
    tables = {claim.table for script in files for claim in script.header.locks}
    tables.update(table for script in files for table in script.repairs)
    return [row["name"] for row in session.rows(conn, "unseen_tables", {"tables": sorted(tables)})]


def _blockers(conn: Connection, change: Change, name: str, files: Sequence[Script]) -> list[Blocker]:
    if gate.is_step(change, name):
        return [one.blocker for one in obstacles.obstacles(conn, [change.step(name)])]
    if gate.goes_back(name):
        return obstacles.ahead(conn, files)
    # All but readers: who has written, or locked rows to do so, may hold those that it wants.
    claims = [LockClaim(LockMode.EXCLUSIVE, table) for script in files for table in script.repairs]
    return [one for one in patience.blockers(conn, claims) if one.age_ms >= patience.OLD_MS]


def _undone(change: Change, name: str, rows: Mapping[str, StepRow]) -> Iterator[tuple[Step, bool]]:
    """Yield each step that a rollback finds something of, the last first, and whether it was finished."""
    for step in gate.undone(change, name):
        found = standing.of(step, rows, "", backwards=True)
        if found is not Standing.NOT_RUN:
            yield step, found is Standing.DONE


def _file(script: Script) -> str:
    return f"{script.label}, SHA-256 {script.sha256[:12]}"


def _statements(files: Sequence[Script]) -> list[str]:
    found = [one for script in files for one in script.statements]
    told = [shorten(" ".join(one.text.split()), 160) for one in found[:SHOWN]]
    more = len(found) - SHOWN
    return [*told, *([f"and {counted(more, 'statement')} more"] if more > 0 else [])]


def _seen(claim: LockClaim, labels: Sequence[str], told: Mapping[str, Mapping[str, Any]]) -> str:
    names = (claim.table, claim.table.rpartition(".")[2])
    held = [
        (LockMode.parse(lock["mode"]).value, float(lock["milliseconds"]))
        for label in labels
        for one in told.get(label, {}).get("statements", [])
        for lock in one["took"]
        if lock["object"] in names
    ]
    mode, ms = max(held, default=(None, 0.0))
    if mode != claim.mode.value:
        return "declared"
    return f"declared, and held for {duration(ms)} in the rehearsal, on a clone without rows"


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
