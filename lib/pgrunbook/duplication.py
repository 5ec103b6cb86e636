"""What an operator does about duplicates: looks at them, takes all of them along, has a remedy written."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgrunbook import change as changes
from pgrunbook import duplicates, places, session, strategies, target, uniquekey
from pgrunbook.change import Change
from pgrunbook.duplicates import Duplicates, extract
from pgrunbook.duplicates.extract import Extract
from pgrunbook.errors import BadChange, BadKey, BadStrategy
from pgrunbook.headless import not_empty, say
from pgrunbook.identity import new_run_id
from pgrunbook.remedy import Repair
from pgrunbook.run import Run
from pgrunbook.session import Connection
from pgrunbook.strategies import Draft, Strategy
from pgrunbook.uniquekey import UniqueKey
from pgrunbook.views import duplicates as pictures
from pgrunbook.views.view import View

__all__ = ["FILE", "Wanted", "describe", "keep", "look", "new_remedy", "of_run", "show"]

FILE = "duplicates.csv"
_NAME = re.compile(r"[0-9]{2,3}_[a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key in the operator's words, and the way to repair it; texts as on the command line.

    `strategy` is a word such as `resequence-gaps`, empty for none; `order` is a list of columns with commas.
    """

    table: str
    key: str
    where: str = ""
    nulls_not_distinct: bool = False
    strategy: str = ""
    column: str = ""
    order: str = ""
    newest: bool = False

    @property
    def unique(self) -> UniqueKey:
        """Return the key; raises BadKey."""
        return uniquekey.parse(
            self.table, self.key, where=self.where, nulls_not_distinct=self.nulls_not_distinct
        )

    @property
    def ordered(self) -> tuple[str, ...]:
        """Return the columns that say which row came first; raises BadKey."""
        if not self.order.strip():
            return ()
        try:
            parsed = uniquekey.parse(self.table, self.order)
        except BadKey:
            raise BadKey(
                found=f"{self.order!r} is no list of columns to order by",
                next_step="write columns with commas, e.g. created_at, id; the newest stays where that is asked for",
            ) from None
        return tuple(name or part for name, part in zip(parsed.columns, parsed.parts, strict=True))

    def draft(self, conn: Connection) -> Draft | None:
        """Return the remedy of the strategy, None where none is named; raises BadKey, BadStrategy."""
        if not self.strategy:
            return None
        words = [one.value for one in Strategy]
        if self.strategy not in words:
            raise BadStrategy(
                strategy=self.strategy,
                key=str(self.unique),
                found="there is no such strategy",
                next_step=f"choose one of: {', '.join(words)}",
            )
        return strategies.propose(
            conn,
            self.unique,
            Strategy(self.strategy),
            column=self.column,
            order=self.ordered,
            newest=self.newest,
        )


def look(
    conn: Connection, wanted: Wanted, *, file: Path | None = None, previewed: tuple[Repair, ...] | None = None
) -> View:
    """Return the duplicates of a key as a view, all of them written to `file` where one is named.

    With a strategy it tells what that would do to each row; with the repairs of a preview, what they did.
    Raises BadKey, BadStrategy, OSError.
    """
    found, written = _found(conn, wanted, file)
    if previewed is not None:
        found = duplicates.with_preview(found, previewed)
    return pictures.show(found, written)


def _found(conn: Connection, wanted: Wanted, file: Path | None) -> tuple[Duplicates, Extract | None]:
    draft = wanted.draft(conn)
    found = duplicates.find(conn, wanted.unique, order=wanted.ordered, draft=draft)
    if file is None or not found.groups:
        return found, None
    return found, extract.write(conn, wanted.unique, file, order=wanted.ordered, draft=draft)


def keep(change: Change, draft: Draft, *, name: str = "") -> Path:
    """Return the new file of remedy/ with a draft in it; nothing that is there is overwritten.

    Without a name it gets the next free number and the strategy's word. Raises BadChange; the file is taken
    away again where the change would not load with it.
    """
    named = name or _next_name(change, draft)
    if not _NAME.fullmatch(named):
        raise BadChange(
            change=change.name,
            found=f"{named!r} is not a name for a remedy",
            next_step="use a number and lower-case words, e.g. 20_doubled_sequences",
        )
    file = change.folder / "remedy" / f"{named}.sql"
    file.parent.mkdir(exist_ok=True)
    try:
        out = file.open("x", encoding="utf-8", newline="\n")
    except FileExistsError:
        raise BadChange(
            change=change.name, found=f"remedy/{file.name} is there already", next_step="choose another name"
        ) from None
    try:
        with out:
            out.write(draft.text)
        changes.load(change.name, root=change.folder.parent)
    except BaseException:
        file.unlink()
        raise
    return file


def _next_name(change: Change, draft: Draft) -> str:
    numbers = [int(one.name.split("_")[0]) for one in change.remedies]
    return f"{max(numbers, default=0) // 10 * 10 + 10:02d}_{draft.strategy.replace('-', '_')}_duplicates"


# --- commands ----------------------------------------------------------------------------------------------


def describe(sub: argparse.ArgumentParser, *, writes: bool) -> None:
    """Give a command the arguments that name a key and a strategy."""
    sub.add_argument(
        "--table", required=True, type=not_empty, help="the table, e.g. messages or app.messages"
    )
    sub.add_argument(
        "--key", required=True, type=not_empty, help="columns or expressions, e.g. `channel_id, lower(code)`"
    )
    sub.add_argument("--where", type=not_empty, metavar="SQL", help="the predicate of a partial unique index")
    sub.add_argument("--nulls-not-distinct", action="store_true", help="NULLs are duplicates of each other")
    sub.add_argument(
        "--strategy",
        required=writes,
        default="",
        choices=[one.value for one in Strategy],
        help="how to repair",
    )
    sub.add_argument("--column", type=not_empty, help="the column to change (default: the last of the key)")
    sub.add_argument(
        "--order", type=not_empty, metavar="COLUMNS", help="what says which row came first, e.g. created_at"
    )
    sub.add_argument("--newest", action="store_true", help="keep the newest row of each group, not the first")
    if writes:
        sub.add_argument("--name", type=not_empty, help="the file of remedy/, e.g. 20_doubled_sequences")
        sub.add_argument("--print", action="store_true", help="print the file, write nothing")
    else:
        sub.add_argument(
            "--export", action="store_true", help="write all of them to a CSV file beside the records"
        )


def show(given: argparse.Namespace) -> int:
    """Show the duplicates of a key; only reads."""
    changes.load(given.change, root=changes.root_from(os.environ))
    file = places.records() / new_run_id(given.change) / FILE if given.export else None
    wanted, bound = _wanted(given), target.from_environment(os.environ)
    with session.connect(bound, purpose="duplicates") as conn:
        session.bind(conn, bound, for_change=False)
        found, written = _found(conn, wanted, file)
    text = [pictures.line(found), *(f"\n{one}" for one in pictures.text(found))]
    text += [f"\nall of them: {written.file}"] if written else []
    facts = {
        "key": str(found.key),
        "groups": found.groups,
        "rows": found.rows,
        "surplus": found.surplus,
        "largest": found.largest,
        "file": str(written.file) if written else None,
        "shown": found.shown,
    }
    say(given, "\n".join(text), facts)
    return 0


def of_run(run: Run, table: str, key: str, *, export: bool, remedy: str, **how: Any) -> View:
    """Return the view of a run's target; `remedy` tells what its first batch does, `export` also writes the file."""
    wanted = Wanted(table, key, **how)
    file = run.records / run.run_id / FILE if export else None
    previewed = run.preview_remedy(remedy).repairs if remedy else None
    with session.connect(run.target, purpose="duplicates") as conn:
        return look(conn, wanted, file=file, previewed=previewed)


def new_remedy(given: argparse.Namespace) -> int:
    """Write the remedy of a strategy into the change; only reads the target."""
    change = changes.load(given.change, root=changes.root_from(os.environ))
    wanted, bound = _wanted(given), target.from_environment(os.environ)
    with session.connect(bound, purpose="new remedy") as conn:
        session.bind(conn, bound, for_change=False)
        draft = wanted.draft(conn)
    assert draft is not None
    if given.print:
        say(
            given,
            draft.text.rstrip("\n"),
            {"change": change.name, "text": draft.text, "warnings": draft.warnings},
        )
        return 0
    file = keep(change, draft, name=given.name or "")
    text = [
        draft.title,
        f"  {draft.effect}",
        *(f"  mind: {one}" for one in draft.warnings),
        f"created {file}",
    ]
    text.append(f"next: read it, then `pgrunbook remedy {change.name} {file.stem} --preview`")
    facts = {"change": change.name, "file": str(file), "warnings": draft.warnings}
    say(given, "\n".join(text), facts)
    return 0


def _wanted(given: argparse.Namespace) -> Wanted:
    return Wanted(
        given.table,
        given.key,
        given.where or "",
        given.nulls_not_distinct,
        given.strategy,
        given.column or "",
        given.order or "",
        given.newest,
    )
