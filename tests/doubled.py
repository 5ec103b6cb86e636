"""Duplicates made for one test: tables with groups of three, and a remedy drafted, run and undone on them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import throwaway

from pgrunbook import remedy, session, strategies, target, undoing
from pgrunbook.batch import Rules
from pgrunbook.change import Script
from pgrunbook.ledger import Ledger
from pgrunbook.remedy import Applied
from pgrunbook.session import Connection
from pgrunbook.strategies import Draft, Strategy
from pgrunbook.undoing import Undone
from pgrunbook.uniquekey import UniqueKey

if TYPE_CHECKING:
    from conftest import Elsewhere

NAME = "20_doubled"
# Each pair of channel and sequence three times; the gap after each pair is wide.
MESSAGES = """
CREATE TABLE messages (id int PRIMARY KEY, channel int, sequence int NOT NULL, code varchar(40), note text,
    at timestamptz, parent int);
INSERT INTO messages
SELECT i, i % 3 + 1, i / 9 * 7, 'code ' || i / 9, 'note ' || i,
       timestamptz '2026-01-01' + (i * 37 % 90) * interval '1 s', NULL
  FROM generate_series(0, 89) AS i;
"""


class Bench:
    """A database with a ledger and the sessions that a remedy takes; batches are small."""

    def __init__(self, work: Connection, look: Connection, folder: Path) -> None:
        self.work, self.look, self.folder = work, look, folder
        self._scripts: dict[str, Script] = {}

    def propose(self, key: UniqueKey, strategy: Strategy, **options: Any) -> Draft:
        return strategies.propose(self.look, key, strategy, **options)

    def script(self, draft: Draft) -> Script:
        if draft.text not in self._scripts:
            files = throwaway.changed({f"remedy/{NAME}.sql": draft.text})
            self._scripts[draft.text] = throwaway.write(self.folder, files).remedy(NAME)
        return self._scripts[draft.text]

    def preview(self, draft: Draft) -> remedy.Preview:
        return remedy.preview(self.work, self.look, self.script(draft))

    def apply(self, draft: Draft, rules: Rules | None = None) -> Applied:
        rules = rules or Rules(start=7)
        return remedy.apply(self.work, self.script(draft), run_id="r", change=throwaway.NAME, rules=rules)

    def undo(self, draft: Draft) -> Undone:
        return undoing.undo(self.work, self.script(draft), change=throwaway.NAME)

    def value(self, sql: str) -> Any:
        return session.value(self.look, sql)

    def hash(self, *tables: str) -> list[Any]:
        """The rows of the tables, each by its text, in order."""
        text = "SELECT md5(string_agg((t.*)::text, E'\\n' ORDER BY (t.*)::text)) FROM {} AS t"
        return [self.value(text.format(table)) for table in tables]

    def order(self, of: str = "channel, sequence, at, id") -> list[int]:
        return [row["id"] for row in self.look.execute(f"SELECT id FROM messages ORDER BY {of}").fetchall()]  # type: ignore[arg-type]

    def builds(self, key: UniqueKey) -> None:
        """Build the unique index, which fails where a duplicate is left, and drop it."""
        nulls = " NULLS NOT DISTINCT" if key.nulls_not_distinct else ""
        where = f" WHERE {key.where}" if key.where else ""
        parts = ", ".join(
            f"({part})" if name is None else part for part, name in zip(key.parts, key.columns, strict=True)
        )
        self.look.execute(f"CREATE UNIQUE INDEX proof ON {key.table} ({parts}){nulls}{where}".encode())
        [schema] = self.look.execute(
            "SELECT relnamespace::regnamespace::text AS name FROM pg_class WHERE relname = 'proof'"
        )
        self.look.execute(f"DROP INDEX {schema['name']}.proof".encode())

    def proved(self, draft: Draft, key: UniqueKey, *tables: str) -> Applied:
        """Run a remedy with all that it has to keep: no duplicate left, nothing to do twice, undo to the byte."""
        before = self.hash(*tables)
        assert self.preview(draft).undo_proved
        assert self.hash(*tables) == before
        done = self.apply(draft)
        assert done.repairs > 7
        after = self.hash(*tables)
        assert after != before
        self.builds(key)
        assert self.apply(draft).repairs == 0
        undone = self.undo(draft)
        assert (undone.restored, undone.refused) == (done.repairs, ())
        assert self.hash(*tables) == before
        self.apply(draft)
        assert self.hash(*tables) == after
        return done

    def amid(self, draft: Draft, elsewhere: Elsewhere, sql: str, eventually: Callable[..., Any]) -> list[Any]:
        """Run a remedy that has read its rows when somebody else's change of one of them is committed.

        Returns everything that it repaired.
        """
        elsewhere.begin_and_hold(sql)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(lambda: self.work.execute(draft.statement.encode()).fetchall())
            self.waits_for(elsewhere, first, eventually)
            elsewhere.release()
            repaired = found = first.result(30)
        while found:
            found = self.work.execute(draft.statement.encode()).fetchall()
            repaired += found
        return repaired

    def waits_for(self, elsewhere: Elsewhere, work: Future[Any], eventually: Callable[..., Any]) -> None:
        waits = f"SELECT {elsewhere.pid} = ANY (pg_blocking_pids({session.pid(self.work)}))"
        eventually(lambda: self.value(waits) or work.done())
        assert not work.done(), work.result()


@contextlib.contextmanager
def bench(database: str, folder: Path) -> Iterator[Bench]:
    bound = target.rehearsal(database)
    with session.connect(bound, purpose="work") as work, session.connect(bound, purpose="look") as look:
        ledger = Ledger(look, bound)
        ledger.install()
        facts = session.bind(look, bound)
        ledger.open_run(run_id="r", change=throwaway.NAME, operator="tester", version="0", facts=facts)
        yield Bench(work, look, folder)
