"""A derived check: one question to the server about one statement, its cost told before it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import postgast
import psycopg

from pgrunbook import counting, session
from pgrunbook.counting import Counted
from pgrunbook.derived import rights
from pgrunbook.derived.tables import statement_of
from pgrunbook.header import Header, Severity
from pgrunbook.session import Connection

__all__ = ["TIMEOUT_MS", "Answer", "Check", "ask", "cost_of"]

TIMEOUT_MS = 300_000
LOCK_TIMEOUT_MS = 200
# A step that names what is not there fails; unless something before it makes that.
_MISSING = ("3F000", "42703", "42704", "42883", "42P01", "42804", "42809", "42P10")


@dataclass(frozen=True, slots=True)
class Check:
    """What is asked: rows of a SELECT are the problem, or the rows that `look` returns; without both, nothing.

    The rows of `text` that are shown are the first by its `ordered` first columns, a primary key; without one
    they come as they lie. `counted` says that it limits itself and tells its total, groups by their size and key;
    `by_index` is another text for the same, taken where the server would answer it from an index alone. `path` is
    a SET of search_path that the step says before. `doubt` says why rows found now may be gone when the step runs:
    they only warn then. `sure` is False where what it names may be made before; then a name that is missing proves
    nothing. `draft` writes the text itself, with the help of an empty copy; `copies` says that `look` has the
    server try something on one: both in a transaction of their own that is rolled back. `covers` is what a check
    that was written by hand would have to ask to be the same one.
    """

    step: str
    about: str
    header: Header
    text: str = ""
    counted: bool = False
    ordered: int = 0
    by_index: str = ""
    look: Callable[[Connection], Sequence[Mapping[str, Any]]] | None = None
    draft: Callable[[Connection], str] | None = None
    copies: bool = False
    path: str = ""
    doubt: str = ""
    sure: bool = True
    covers: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Return the name of the check on the board."""
        return f"derived: {self.step} {self.about}"

    @property
    def severity(self) -> Severity:
        """Return what its rows mean."""
        return Severity.WARN if self.doubt and self.header.severity is Severity.STOP else self.header.severity


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found; `problem` is the error that the statement would meet too, `unproved` why nothing is known."""

    found: Counted = field(default_factory=Counted)
    cost: str = ""
    problem: str = ""
    unproved: str = ""


def ask(conn: Connection, check: Check, *, timeout_ms: int | None = None) -> Answer:
    """Return the answer to a check; it reads under a statement timeout, and an error stays an answer.

    The connection must be outside a transaction.
    """
    cost, text = "", check.text
    timeout_ms = TIMEOUT_MS if timeout_ms is None else timeout_ms
    if check.look is None and check.draft is None and not check.text:
        return Answer(unproved=check.header.effect)
    try:
        if check.look is not None and check.copies:
            return Answer(_counted(check.look(conn)))
        text = text if check.draft is None else check.draft(conn)
        # Who holds ACCESS EXCLUSIVE now must not be waited for, and nobody behind us.
        with session.reading(conn, timeout_ms=timeout_ms, lock_timeout_ms=LOCK_TIMEOUT_MS):
            # A valid CHECK that rules the rows out is proof enough; the same rows first each time.
            conn.execute("SET LOCAL constraint_exclusion = on; SET LOCAL synchronize_seqscans = off")
            if check.path:
                conn.execute(check.path.encode())
            if check.look is not None:
                return Answer(_counted(check.look(conn)))
            if check.by_index:
                plan = _plan(conn, check.by_index)
                if any(node["Node Type"] == "Index Only Scan" for node in _nodes(plan)):
                    text, cost = check.by_index, _cost(plan)
            cost = cost or cost_of(conn, text)
            found = (
                counting.with_total(conn, text)
                if check.counted
                else counting.in_order(conn, text, check.ordered)
            )
            return Answer(found, cost)
    except psycopg.errors.QueryCanceled:
        return Answer(cost=cost, unproved=f"no answer within {timeout_ms / 1000:g} s")
    except postgast.PgQueryError as error:
        return Answer(unproved=f"could not be asked: {error}")
    except psycopg.Error as error:
        return _failed(conn, check, error, cost, text)


def _failed(conn: Connection, check: Check, error: psycopg.Error, cost: str, text: str) -> Answer:
    reason = rights.reason(conn, error, statement_of(text) if text else None)
    state = error.sqlstate or ""
    # A value that an expression cannot take, it cannot take in the step either.
    if not check.doubt and (state.startswith(("22", "23")) or (check.sure and state in _MISSING)):
        return Answer(cost=cost, problem=f"the statement would fail: {reason}")
    return Answer(cost=cost, unproved=f"could not be asked: {reason}")


def _counted(rows: Sequence[Mapping[str, Any]]) -> Counted:
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Counted(columns, tuple(rows[: counting.SAMPLE]), len(rows))


def cost_of(conn: Connection, text: str) -> str:
    """Return what a query would read, in words, as the server plans it in the transaction that is open."""
    return _cost(_plan(conn, text))


def _plan(conn: Connection, text: str) -> dict[str, Any]:
    row = conn.execute(f"EXPLAIN (FORMAT JSON) {text}".encode()).fetchone()
    assert row is not None
    plan: dict[str, Any] = next(iter(row.values()))[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _cost(plan: dict[str, Any]) -> str:
    scans: dict[str, int] = {}
    for node in _nodes(plan):
        if "Relation Name" in node:
            by = f" by {node['Index Name']}" if "Index Name" in node else ""
            words = f"{node['Node Type']} on {node['Relation Name']}{by}"
            scans[words] = max(scans.get(words, 0), node["Plan Rows"])
    listed = "; ".join(f"{words}, about {rows:,} rows" for words, rows in scans.items())
    return f"planned cost {plan['Total Cost']:,.0f}" + (f": {listed}" if listed else "")
