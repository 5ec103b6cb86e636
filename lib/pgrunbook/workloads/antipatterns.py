"""The four ways not to number classes, each run in a scratch database that is dropped afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg

from pgrunbook import server as embedded
from pgrunbook.errors import UnknownName
from pgrunbook.server import Server
from pgrunbook.views import table
from pgrunbook.views.units import counted
from pgrunbook.views.view import View

__all__ = ["NAMES", "show"]

Conn = psycopg.Connection[tuple[Any, ...]]
_PREFIX = "11-REALLL-RLN-"
_LAST = 42
_LOOK = "SELECT max(right(class_code, 4)::int) FROM classes WHERE class_code ~ '-[0-9]{4}$'"
_SAVE = "INSERT INTO classes (class_code) VALUES (%s)"
_TABLE = f"""
CREATE TABLE classes (class_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, class_code varchar(50));
INSERT INTO classes (class_code)
SELECT '{_PREFIX}' || lpad(i::text, 4, '0') FROM generate_series(1, {_LAST}) AS i;
"""
_UNIQUE = "ALTER TABLE classes ADD CONSTRAINT class_code_unique UNIQUE (class_code)"


def show(name: str, server: Server) -> View:
    """Run an anti-pattern on the embedded server and return what came of it; raises UnknownName."""
    if name not in NAMES:
        raise UnknownName(kind="anti-pattern", name=name, known=list(NAMES))
    # The name of a rehearsal's database: what a killed process leaves behind is swept with those.
    database = f"rehearsal_antipattern_{secrets.token_hex(4)}"
    conninfo = embedded.create_database(server, database)
    try:
        with _session(conninfo) as conn:
            conn.execute(_TABLE)
        line, rows = NAMES[name](conninfo)
    finally:
        embedded.drop_database(server, database)
    return View(f"{name}: {line}", html=table.to_html(rows, caption=f"{name}: {line}"))


def _client_side(conninfo: str) -> _Shown:
    with _session(conninfo) as ann, _session(conninfo) as ben:
        seen = [_number(ann), _number(ben)]
        ann.execute(_SAVE, [_code(seen[0] + 1)])
        ben.execute(_SAVE, [_code(seen[1] + 1)])
        twice = _duplicates(ann)
        rows = [_row("two users read the last number", f"both read {seen[0]}", _code(seen[1]))]
        rows.append(
            _row("both save the next one, no constraint", f"{counted(twice, 'duplicate')}", _code(43))
        )
        ann.execute("DELETE FROM classes WHERE class_id > 43")
        ann.execute(_UNIQUE)
        refused = _refusal(ben, _code(seen[1] + 1))
        rows.append(_row("the same with a unique constraint", f"the second user gets {refused}", _code(43)))
        ben.execute(_SAVE, [_code(9999)])
        rows.append(_row("a client sends a number of its own", "it is saved", _code(_number(ben))))
        lost = _number(ben) - 44
        rows.append(_row("what that costs", f"{lost:,} numbers are lost", _code(44)))
    return f"2 users, {counted(twice, 'duplicate')}", rows


def _timestamps(conninfo: str) -> _Shown:
    rows = []
    # The same random numbers on every run.
    luck = random.Random(11)
    with _session(conninfo) as conn:
        conn.execute("DELETE FROM classes")
        conn.execute(_UNIQUE)
        # Two saves of one minute, 40 seconds apart.
        made = [
            conn.execute(
                "SELECT %s || to_char(%s::timestamp, 'YYYY-MM-DD-HH24-MI')",
                [_PREFIX, f"2026-01-22 09:05:{second}"],
            ).fetchone()
            for second in (10, 50)
        ]
        first, second = [str(one and one[0]) for one in made]
        conn.execute(_SAVE, [first])
        refused = _refusal(conn, second)
        rows.append(_row("two saves of one minute", f"the second user gets {refused}", second))
        conn.execute("DELETE FROM classes")
        for _ in range(6):
            conn.execute(_SAVE, [str(uuid.UUID(int=luck.getrandbits(128), version=4))])
        by_code = conn.execute("SELECT class_id, class_code FROM classes ORDER BY class_code").fetchall()
        order = [rank for rank, _ in by_code]
        places = [sorted(order).index(one) + 1 for one in order]
        rows.append(
            _row(
                "six classes with a UUID, in the order of their codes",
                f"created as {', '.join(map(str, places))}",
                by_code[0][1],
            )
        )
    lost = "order lost" if places != sorted(places) else "order kept"
    return f"1 minute, {counted(int(refused == '23505'), 'collision')}; UUIDs, {lost}", rows


def _lock_files(conninfo: str) -> _Shown:
    rows = []
    with tempfile.TemporaryDirectory(prefix="pgrunbook-locks-") as place:
        shared, own = Path(place) / "shared", Path(place) / "own"
        for folder in (shared, own):
            folder.mkdir()
        with _Worker(conninfo, shared) as dies:
            dies.expect("locked")
            dies.process.kill()
            dies.process.wait()
        with _Worker(conninfo, shared) as kept_out:
            stale = kept_out.said() == "busy"
        left = (shared / "lock").exists()
        rows.append(_row("kill -9 of the process that holds the lock file", "the file stays" * left, "lock"))
        rows.append(_row("the next process", "is kept out, for ever" if stale else "gets in", "lock"))
        (shared / "lock").unlink()
        with _Worker(conninfo, shared) as one, _Worker(conninfo, own) as two:
            for worker in (one, two):
                worker.expect("locked")
            for worker in (one, two):
                worker.tell("read")
                worker.expect(f"read {_LAST}")
            for worker in (one, two):
                worker.tell("save")
                worker.expect("saved")
    with _session(conninfo) as conn:
        twice = _duplicates(conn)
    rows.append(
        _row(
            "two servers, a lock folder on each",
            f"both hold the lock, {counted(twice, 'duplicate')}",
            _code(43),
        )
    )
    return (
        f"{counted(int(stale), 'stale lock')} after a crash; 2 folders, {counted(twice, 'duplicate')}",
        rows,
    )


def _after_the_save(conninfo: str) -> _Shown:
    without = "SELECT count(*) FROM classes WHERE class_code IS NULL"
    insert = "INSERT INTO classes DEFAULT VALUES RETURNING class_id"
    update = "UPDATE classes SET class_code = %s WHERE class_id = %s"
    with _session(conninfo) as reader:
        with _session(conninfo) as writer:
            saved = writer.execute(insert).fetchone()
            seen = _one(reader, without)
            writer.execute(update, [_code(43), saved and saved[0]])
            after = _one(reader, without)
            writer.execute(insert)
            # The application ends here: its second statement is never sent.
        left = _one(reader, without)
    rows = [
        _row(
            "INSERT without the code, a reader looks",
            f"{counted(seen, 'class', 'classes')} without a code",
            None,
        ),
        _row(
            "UPDATE with the code, a reader looks",
            f"{counted(after, 'class', 'classes')} without a code",
            _code(43),
        ),
        _row(
            "INSERT, and the application crashes",
            f"{counted(left, 'class', 'classes')} without a code, for ever",
            None,
        ),
    ]
    line = f"a reader saw {counted(seen, 'class', 'classes')} without a code, a crash left {left}"
    return line, rows


_Shown = tuple[str, list[Mapping[str, object]]]
NAMES: Mapping[str, Callable[[str], _Shown]] = {
    "client-side numbers": _client_side,
    "timestamp or UUID alone": _timestamps,
    "lock files": _lock_files,
    "code after the save": _after_the_save,
}
"""The anti-patterns by name, in the order of the specification."""


class _Worker:
    """A process of the application: it takes a lock file, reads the last number and saves the next when told to."""

    def __init__(self, conninfo: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from pgrunbook.workloads.antipatterns import _work; _work()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tell(str(folder / "lock"))
        self.tell(conninfo)

    def tell(self, line: str) -> None:
        assert self.process.stdin
        print(line, file=self.process.stdin, flush=True)

    def said(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def expect(self, line: str) -> None:
        if (said := self.said()) != line:
            raise RuntimeError(f"a process said {said!r} instead of {line!r}")

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def _work() -> None:
    """Be such a process."""
    lock, conninfo = sys.stdin.readline().rstrip("\n"), sys.stdin.readline().rstrip("\n")
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        print("busy", flush=True)
        return
    print("locked", flush=True)
    sys.stdin.readline()
    with _session(conninfo) as conn:
        number = _number(conn)
        print(f"read {number}", flush=True)
        sys.stdin.readline()
        conn.execute(_SAVE, [_code(number + 1)])
    Path(lock).unlink()
    print("saved", flush=True)


@contextlib.contextmanager
def _session(conninfo: str) -> Iterator[Conn]:
    with contextlib.closing(psycopg.connect(conninfo, autocommit=True)) as conn:
        yield conn


def _one(conn: Conn, query: str) -> int:
    row = conn.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


def _number(conn: Conn) -> int:
    return _one(conn, _LOOK)


def _code(number: int) -> str:
    return f"{_PREFIX}{number:04d}"


def _duplicates(conn: Conn) -> int:
    return _one(conn, "SELECT count(class_code) - count(DISTINCT class_code) FROM classes")


def _refusal(conn: Conn, code: str) -> str:
    try:
        conn.execute(_SAVE, [code])
    except psycopg.Error as error:
        return str(error.sqlstate)
    return "no error"


def _row(done: str, outcome: str, code: str | None) -> Mapping[str, object]:
    return {"done": done, "came of it": outcome, "code": code}
