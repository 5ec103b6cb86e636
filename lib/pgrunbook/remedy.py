"""Repairs what a check found, batch by batch, and keeps what it replaced."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pgrunbook import jsonnull, quarantine, restoring
from pgrunbook.batch import Batches, Rules, begin, goes_back_whole, is_sized
from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed
from pgrunbook.footprint import Footprint, footprints
from pgrunbook.pace import AIM, WHOLE_AIM, Progress
from pgrunbook.patience import split_name
from pgrunbook.quarantine import Repair, Table
from pgrunbook.rowhold import RowHold
from pgrunbook.session import Connection

__all__ = ["Applied", "Preview", "Repair", "apply", "names", "preview", "tables"]


# A remedy that never ends comes to batches of nothing but rows that it repaired already.
ASKED = 10
SHOWN = 50
"""How many rows a preview tries: the same on every machine, however busy."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a remedy would do, tried and taken back; `table` names the tables where they are several."""

    remedy: str
    table: str
    repairs: tuple[Repair, ...]
    undo_proved: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What a remedy did; `worst_hold_ms` is the longest that anybody can have waited for its rows."""

    remedy: str
    table: str
    repairs: int
    batches: int
    seconds: float = field(default=0.0, compare=False)
    worst_hold_ms: float = field(default=0.0, compare=False)


def preview(conn: Connection, look: Connection, script: Script, *, rules: Rules | None = None) -> Preview:
    """Return the first batch of a remedy as before/after rows, and whether undo gives every row back.

    Everything happens in a transaction that is rolled back; the proof compares the text of each whole row
    after the undo with the row as another session sees it. Raises RemedyFailed with the server's reason.
    """
    rules = dataclasses.replace(rules or Rules(), start=SHOWN)
    batches = Batches(conn, look, script, rules, fixed=not is_sized(script), patient=True)

    def attempt(size: int, hold: RowHold) -> tuple[list[Repair], bool]:
        with conn.transaction(force_rollback=True):
            begin(conn, rules, size)
            repairs = _repair(conn, look, script)
            conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
            restored = restoring.restore(conn, repairs)
            proved = len(restored) == len(repairs)
            rows = restoring.whole(conn, repairs) if proved else set()
        # Nobody waits for rows any more; who changed them meanwhile makes a proof fail, never pass.
        return repairs, proved and rows == restoring.whole(look, repairs)

    repairs, proved = batches.one(attempt)
    return Preview(script.name, names(script), tuple(repairs), proved)


def apply(
    conn: Connection,
    script: Script,
    *,
    run_id: str,
    change: str,
    look: Connection | None = None,
    rules: Rules | None = None,
    expected: int = 0,
    on_batch: Callable[[Progress], None] = lambda _progress: None,
) -> Applied:
    """Run a remedy batch by batch until it finds nothing more; each batch commits with its quarantine rows.

    No batch holds rows for longer than the stall budget: one that would is taken back and tried smaller.
    Stopped at any moment, the next call goes on where it ended. Raises RemedyFailed when a batch fails
    or repairs a row a second time, which would never end; and whatever the checkpoint raises to stop it.
    """
    rules = rules or Rules()
    began = time.perf_counter()
    aim = WHOLE_AIM if goes_back_whole(script) else AIM
    batches = Batches(conn, look, script, rules, fixed=not is_sized(script), aim=aim)
    rows = number = 0
    since = quarantine.last(conn)

    def attempt(size: int, hold: RowHold) -> list[Repair]:
        with conn.transaction():
            begin(conn, rules, size)
            repairs = _repair(conn, look, script)
            if repairs:
                _require_new(conn, script, repairs, change=change, since=since if number else None)
                quarantine.keep(conn, repairs, run_id=run_id, change=change, remedy=script.name)
            hold.check()
            return repairs

    while repairs := batches.one(attempt):
        rows, number = rows + len(repairs), number + 1
        on_batch(Progress(rows, expected, time.perf_counter() - began, batches.pace.size))
    seconds = time.perf_counter() - began
    return Applied(script.name, names(script), rows, number, seconds, batches.pace.worst_ms)


def tables(script: Script) -> Mapping[str, Table]:
    """Return the tables that a remedy changes, by their names as SQL spells them and as quarantine does."""
    parts = {name: split_name(name) for name in script.repairs}
    return parts | {".".join(table): table for table in parts.values()}


def names(script: Script) -> str:
    """Return the tables that a remedy changes in words."""
    return ", ".join(".".join(split_name(name)) for name in script.repairs)


def _require_new(
    conn: Connection, script: Script, repairs: list[Repair], *, change: str, since: int | None
) -> None:
    once = {(repair.table, repair.texts[0]) for repair in repairs}
    if len(once) < len(repairs):
        raise RemedyFailed(
            remedy=script.name,
            reason="it changes several rows that have one key, and undo could not tell them apart",
            next_step="return a key that finds one row, or take the others away first; the batch was rolled back",
        )
    if since is not None and quarantine.again(
        conn, repairs[:ASKED], change=change, remedy=script.name, since=since
    ):
        raise RemedyFailed(
            remedy=script.name,
            reason="it repairs the same row twice and would never end",
            next_step="let it find only rows that still need repair; the last batch was rolled back",
        )


def _repair(conn: Connection, look: Connection | None, script: Script) -> list[Repair]:
    """Run the statement and return what it repaired; refuse what quarantine would not know of."""
    by_name = tables(script)
    changed = list(dict.fromkeys(by_name.values()))
    before = restoring.changed(conn, changed)
    # Where nobody counts, nobody would see what a foreign key changes in them.
    counted = changed if before is not None else []
    # Asked before any row is locked.
    known = footprints(conn, changed)
    for name, verb in script.repairs.items():
        others = restoring.touched_by_delete(conn, by_name[name], besides=counted) if verb == "DELETE" else []
        if others:
            raise RemedyFailed(
                remedy=script.name,
                reason=f"a foreign key would change {', '.join(others)} with the rows that it deletes",
                next_step="repair these tables first, or with it in WITH queries: quarantine keeps what it returns",
            )
    try:
        repairs = quarantine.read(conn, script.text, by_name)
    except ValueError as error:
        raise RemedyFailed(
            remedy=script.name,
            reason=str(error),
            next_step="return objects such as jsonb_build_object('id', t.id) AS key; nothing was changed",
        ) from None
    _require_undoable(script, repairs, known)
    after = restoring.changed(conn, changed)
    if before is not None and after is not None and after - before != len(repairs):
        raise RemedyFailed(
            remedy=script.name,
            reason=f"it changed {after - before:,} rows of {names(script)} and returned {len(repairs):,}",
            next_step="return every row that it changes, and mind triggers and foreign keys that change others;"
            " the batch was rolled back",
        )
    try:
        return jsonnull.noted(conn, look, repairs, known)
    except ValueError as error:
        raise RemedyFailed(
            remedy=script.name,
            reason=str(error),
            next_step="let its key find the row before and after; the batch was rolled back",
        ) from None


def _require_undoable(script: Script, repairs: Sequence[Repair], known: Mapping[Table, Footprint]) -> None:
    """Refuse what undo would give back in part only."""
    for one in {(one.table, one.after is None, *one.before): one for one in repairs}.values():
        shape, deleted = known[one.table], one.after is None
        others = [other for name in one.before for other in shape.followers.get(name, ()) if not deleted]
        lost = [name for name in shape.columns if deleted and name not in one.before]
        if others:
            raise RemedyFailed(
                remedy=script.name,
                reason=f"a foreign key (ON UPDATE) changes {', '.join(others)} with the rows that it changes",
                next_step="repair the rows that refer to them first; the batch was rolled back",
            )
        if lost:
            raise RemedyFailed(
                remedy=script.name,
                reason=f"it deletes rows of {'.'.join(one.table)} and does not return {', '.join(lost)} of them",
                next_step="return to_jsonb(t.*) AS before; the batch was rolled back",
            )
