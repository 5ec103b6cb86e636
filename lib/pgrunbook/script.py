"""One SQL file of a change, and the rules for what may stand in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pgrunbook.errors import BadStatement
from pgrunbook.header import Header, Kind
from pgrunbook.statement import Statement

__all__ = ["Script", "check_statements"]

_REMEDY_COLUMNS = ("key", "before", "after")


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
    wanted = {Kind.REMEDY: "an UPDATE or DELETE", Kind.MIGRATE: "", Kind.ROLLBACK: ""}
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
    if script.kind is Kind.REMEDY and only.verb not in ("UPDATE", "DELETE"):
        refuse(
            only.line,
            f"a remedy is one UPDATE or DELETE, this is {only.verb}",
            "repair rows of one table; WITH may come before it",
        )
    if script.kind is Kind.REMEDY and only.returns != _REMEDY_COLUMNS:
        refuse(
            only.line,
            f"a remedy returns key, before, after, this returns {', '.join(only.returns) or 'nothing'}",
            "end it with RETURNING ... AS key, ... AS before, ... AS after; undo is made of them",
        )
