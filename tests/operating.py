"""An operator's shell for tests: a target, folders, and commands in this process or in one of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from unittest import mock

import psycopg
import throwaway
from psycopg.rows import dict_row

from pgrunbook import catalog, cli, session, target

GO = ("--approve-all", "--reason", "CHG-1234")
# Most tests are not about the clone of the schema.
AT_ONCE = (*GO, "--no-rehearsal")


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def facts(self) -> Any:
        """The one JSON object on standard output."""
        return json.loads(self.out)


@dataclass
class Desk:
    """Where an operator works: `desk("apply", NAME, *GO)` runs a command in this process."""

    database: str
    folder: Path
    conninfo: str = ""
    more: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changes, self.records = self.folder / "changes", self.folder / "records"
        self.changes.mkdir(exist_ok=True)

    def write(self, files: Mapping[str, str | None] = throwaway.FILES, *, sql: str = throwaway.TABLE) -> None:
        """Write the small change and make its tables in the target."""
        throwaway.write(self.changes, files)
        with self.looking() as conn:
            conn.execute(sql)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PGRUNBOOK_TARGET": self.conninfo or self.database,
            "PGRUNBOOK_CHANGES": str(self.changes),
            "PGRUNBOOK_RECORDS": str(self.records),
            "PGRUNBOOK_OPERATOR": "ann",
            **self.more,
        }

    def __call__(self, *arguments: str, **environment: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, {**self.environment, **environment}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                code = cli.main(list(arguments))
            except SystemExit as exit:
                code = int(exit.code or 0)
        return Said(code, out.getvalue(), err.getvalue())

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command in a process of its own."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        command = [sys.executable, "-m", "pgrunbook", *arguments]
        self.started.append(subprocess.Popen(command, env=self.environment, text=True, **pipes))
        return self.started[-1]

    def run(self, *arguments: str, **options: Any) -> Said:
        """Run a command in a process of its own to its end."""
        return ended(self.start(*arguments, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            # Those of a test that failed; the others have ended.
            process.kill()
            process.communicate()

    @contextlib.contextmanager
    def looking(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        with contextlib.closing(
            psycopg.connect(self.database, autocommit=True, row_factory=dict_row)
        ) as conn:
            yield conn

    def ask(self, sql: str) -> Any:
        """Return the first column of the rows that a query finds."""
        with self.looking() as conn:
            return [next(iter(row.values())) for row in conn.execute(sql.encode()).fetchall()]

    @property
    def has_ledger(self) -> bool:
        return bool(self.ask("SELECT 1 FROM pg_namespace WHERE nspname = 'pgrunbook'"))

    @property
    def statuses(self) -> list[str]:
        """What the ledger says of each step."""
        return list(self.ask("SELECT status FROM pgrunbook.step ORDER BY step"))

    @property
    def ours(self) -> list[str]:
        """The sessions of pgrunbook in the target."""
        return list(
            self.ask(
                "SELECT application_name FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'pgrunbook %'"
            )
        )

    def catalog(self) -> catalog.Catalog:
        """The target's catalog without the ledger's."""
        with contextlib.closing(session.connect(target.rehearsal(self.database), purpose="look")) as conn:
            return catalog.snapshot(conn)


def ended(process: subprocess.Popen[str], timeout: float = 60) -> Said:
    """Wait for the end of a command that was started."""
    out, err = process.communicate(timeout=timeout)
    return Said(process.returncode, out or "", err or "")
