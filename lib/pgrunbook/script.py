"""One SQL file of a change, and the rules for what may stand in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pgrunbook.errors import BadStatement
from pgrunbook.header import Header, Kind
from pgrunbook.statement import Statement

__all__ = ["Script", "check_statements"]

_TABLE_COLUMN = ("table_name",)
_REMEDY_COLUMNS = ("key", "before", "after")
_CHANGES = ("UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Script:
    """One SQL file; `sha256` is over its bytes, which are what the server gets."""

    path: Path
    kind: Kind
    name: str
    text: str
    sha256: str
    header: Header
    statements: tuple[Statement, ...]

    @property
    def label(self) -> str:
        """Return the file inside its change, e.g. `migrate/002_add_key.sql`."""
        return f"{self.kind.value}/{self.path.name}"

    @property
    def sized(self) -> list[str]:
        """Return the tables whose size it may change: those that it locks, and those that it makes."""
        made = [one.creates for one in self.statements if one.creates and one.verb.startswith("CREATE TABLE")]
        return list(dict.fromkeys([*(claim.table for claim in self.header.locks), *made]))

    @property
    def repairs(self) -> Mapping[str, str]:
        """Return the tables whose rows a remedy changes, as SQL spells them, with what it does to each."""
        one = self.statements[0]
        if one.target is not None:
            return {one.target: one.verb}
        # One that is deleted from anywhere counts as deleted from.
        return {
            change.table: change.verb for change in sorted(one.with_changes, key=lambda c: c.verb == "DELETE")
        }

    @property
    def pieces(self) -> tuple[tuple[Statement, bytes], ...]:
        """Return each statement with its bytes, comments before it included; together they are the file.

        Sent one after the other they do what the file does, and it is known which of them the server is at.
        """
        data, ends = self.text.encode(), [one.stop for one in self.statements]
        begins, stops = [0, *ends[:-1]], [*ends[:-1], len(data)]
        return tuple(
            (one, data[begin:stop]) for one, begin, stop in zip(self.statements, begins, stops, strict=True)
        )


def check_statements(script: Script, *, file: str) -> None:
    """Raise BadStatement where the statements of a script do not fit its kind or how it runs."""

    def refuse(line: int, found: str, next_step: str) -> NoReturn:
        raise BadStatement(file=file, line=line, found=found, next_step=next_step)

    statements, alone = script.statements, not script.header.in_transaction
    if not statements:
        refuse(1, "there is no statement in the file", "write one, or remove the file")
    for one in statements:
        if one.controls_transaction:
            refuse(one.line, f"{one.verb} is the runner's to say", "take it out; a file is one transaction")
        if one.needs_no_transaction and not alone:
            refuse(
                one.line,
                f"{one.verb}{' CONCURRENTLY' if one.concurrently else ''} cannot run in a transaction",
                "add the line `-- transaction: none` to the header and leave the statement alone in its file",
            )
        if one.verb == "CREATE INDEX" and one.concurrently and one.index is None:
            refuse(
                one.line,
                "an index without a name: after a failure nobody could tell which one to clear away",
                "give it a name",
            )
    wanted = {Kind.REMEDY: "a remedy", Kind.MIGRATE: "", Kind.ROLLBACK: ""}
    needed = wanted.get(script.kind, "a SELECT") or ("a statement" if alone else "")
    if needed and len(statements) > 1:
        why = "without a transaction" if needed == "a statement" else f"in a {script.kind.value} file"
        refuse(
            statements[1].line,
            f"{len(statements)} statements {why}, where exactly one may stand",
            "move the others to files of their own",
        )
    only = statements[0]
    if needed == "a SELECT" and not only.only_reads:
        refuse(
            only.line,
            f"a {script.kind.value} file is one SELECT that only reads, this is {only.verb}",
            "no INTO, no FOR UPDATE and no WITH query that changes rows; return the rows instead",
        )
    if script.kind is Kind.REMEDY:
        _check_remedy(only, refuse)


def _check_remedy(only: Statement, refuse: Callable[[int, str, str], NoReturn]) -> None:
    """Refuse what repairs rows that it does not return: quarantine could not keep them."""
    if only.verb not in (*_CHANGES, "SELECT") or (only.verb == "SELECT" and not only.with_changes):
        refuse(
            only.line,
            f"a remedy is one UPDATE or DELETE, or one SELECT over WITH queries that are, this is {only.verb}",
            "repair rows of one table; or of several, with one SELECT that returns what each WITH query changed",
        )
    if only.verb != "SELECT" and only.with_changes:
        refuse(
            only.line,
            f"WITH {only.with_changes[0].name} changes rows, too, and quarantine would not keep them",
            "make it one SELECT over WITH queries, which returns table_name, key, before, after of all of them",
        )
    for one in only.with_changes:
        if one.verb not in _CHANGES:
            refuse(
                only.line,
                f"WITH {one.name} is {one.verb}: a remedy repairs by UPDATE or DELETE",
                "take it out; rows that a remedy made could not be given back",
            )
        if not one.read:
            refuse(
                only.line,
                f"nothing reads what WITH {one.name} changed: quarantine would not keep it",
                f"end it with RETURNING and add UNION ALL SELECT ... FROM {one.name}",
            )
    wanted = (*_TABLE_COLUMN, *_REMEDY_COLUMNS) if only.verb == "SELECT" else _REMEDY_COLUMNS
    if only.returns != wanted:
        end = (
            "end it with SELECT 'TABLE' AS table_name, "
            if only.verb == "SELECT"
            else "end it with RETURNING "
        )
        refuse(
            only.line,
            f"a remedy returns {', '.join(wanted)}, this returns {', '.join(only.returns) or 'nothing'}",
            f"{end}... AS key, ... AS before, ... AS after; undo is made of them",
        )
