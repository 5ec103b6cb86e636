"""The tools that are compared: each applies the same SQL the way its manual says."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from pgrunbook.server import Server

__all__ = ["CHANGE", "Command", "Place", "Task", "Tool", "known", "missing", "tools"]

CHANGE = "700_bench"
PSQL_PAUSE_S = 1


@dataclass(frozen=True, slots=True)
class Task:
    """What a tool has to do: SQL, the locks it takes, the constraints that are there afterwards."""

    sql: str
    locks: str
    constraints: tuple[str, ...]

    @property
    def undone(self) -> str:
        """Return a SELECT whose rows say what is missing."""
        names = ", ".join(f"('{name}')" for name in self.constraints)
        return (
            f"SELECT name AS missing FROM (VALUES {names}) AS wanted (name)\n"
            "WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conname = name);"
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tool works: a folder of its own, a database; and how long it may try."""

    server: Server
    folder: Path
    conninfo: str
    task: Task
    window_s: float

    @property
    def host(self) -> str:
        """Return the folder of the server's socket."""
        return str(conninfo_to_dict(self.conninfo)["host"])

    @property
    def database(self) -> str:
        """Return the database's name."""
        return str(conninfo_to_dict(self.conninfo)["dbname"])

    def write(self, files: Mapping[str, str]) -> None:
        """Write files into the folder."""
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Command:
    """What is started, in the place's folder."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    def whole_environment(self) -> dict[str, str]:
        """Return this process's environment without what would lead to another server, and our own."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return {**kept, **self.environment}


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its program (a path or a name to look for; empty: ours), how to get it, how to start it."""

    name: str
    program: str
    install: str
    command: Callable[[Place], Command]


def known() -> list[str]:
    """Return the names of all tools."""
    return [tool.name for tool in tools()]


def missing(tool: Tool) -> str:
    """Return how to install a tool that is not here, or nothing."""
    return "" if not tool.program or shutil.which(tool.program) else tool.install


def tools() -> tuple[Tool, ...]:
    """Return all tools, this project first."""
    return (
        Tool("pgrunbook", "", "", pgrunbook),
        Tool("psql", "", "", psql),
        Tool("psql, 100 ms", "", "", lambda place: psql_with_retries(place, lock_timeout="100ms")),
        Tool("psql, 2 s", "", "", lambda place: psql_with_retries(place, lock_timeout="2s")),
        Tool("Alembic", "alembic", 'pip install alembic "psycopg[binary]"', alembic),
        Tool("dbmate", "dbmate", "npm install -g dbmate", dbmate),
        Tool("Sqitch", "sqitch", "apt-get install sqitch libdbd-pg-perl", sqitch),
    )


def pgrunbook(place: Place) -> Command:
    """Apply it as an operator does; the rehearsal on a clone is left out, as it does not touch the target."""
    task = place.task
    place.write(
        {
            f"changes/{CHANGE}/README.md": "# Benchmark\n",
            f"changes/{CHANGE}/migrate/001_change.sql": f"-- Change\n-- lock: {task.locks}\n\n{task.sql}\n",
            f"changes/{CHANGE}/verify/001_change.sql": f"-- It is there\n\n{task.undone}\n",
            f"changes/{CHANGE}/rollback/001_change.sql": "-- Not needed here\n-- lock: none\n\nSELECT 1;\n",
        }
    )
    ends = datetime.now().astimezone() + timedelta(seconds=place.window_s)
    argv = [sys.executable, "-m", "pgrunbook", "apply", CHANGE, "--no-rehearsal", "--approve-all"]
    return Command(
        [*argv, "--reason", "benchmark", "--json"],
        {
            "PGRUNBOOK_TARGET": place.conninfo,
            "PGRUNBOOK_CHANGES": str(place.folder / "changes"),
            "PGRUNBOOK_RECORDS": str(place.folder / "records"),
            "PGRUNBOOK_WINDOW_ENDS": ends.isoformat(timespec="seconds"),
        },
    )


def psql(place: Place) -> Command:
    """Run the file."""
    place.write({"change.sql": place.task.sql})
    program = str(place.server.bin / "psql")
    return Command([program, "-X", "-v", "ON_ERROR_STOP=1", "-f", "change.sql", place.conninfo])


def psql_with_retries(place: Place, *, lock_timeout: str) -> Command:
    """Run the file with a lock_timeout until it succeeds, a pause of a second after each failure."""
    once = psql(place)
    loop = f'n=0; until "$@"; do n=$((n+1)); [ $n -ge 120 ] && exit 1; sleep {PSQL_PAUSE_S}; done'
    return Command(["sh", "-c", loop, "sh", *once.argv], {"PGOPTIONS": f"-c lock_timeout={lock_timeout}"})


def alembic(place: Place) -> Command:
    """Run one revision that executes the SQL."""
    place.write(
        {
            "alembic.ini": "[alembic]\nscript_location = alembic\n",
            "alembic/env.py": (
                "import os, psycopg, sqlalchemy\n"
                "from alembic import context\n"
                "engine = sqlalchemy.create_engine('postgresql+psycopg://',\n"
                "    creator=lambda: psycopg.connect(os.environ['BENCH_TARGET']))\n"
                "with engine.connect() as connection:\n"
                "    context.configure(connection=connection)\n"
                "    with context.begin_transaction():\n"
                "        context.run_migrations()\n"
            ),
            "alembic/versions/001_change.py": (
                "from alembic import op\n"
                "revision, down_revision = '001', None\n"
                f"def upgrade():\n    op.execute({place.task.sql!r})\n"
            ),
        }
    )
    return Command(["alembic", "upgrade", "head"], {"BENCH_TARGET": place.conninfo})


def dbmate(place: Place) -> Command:
    """Run one migration."""
    place.write({"db/migrations/001_change.sql": f"-- migrate:up\n{place.task.sql}\n\n-- migrate:down\n"})
    url = f"postgres://postgres@/{place.database}?host={quote(place.host, safe='')}&sslmode=disable"
    return Command(["dbmate", "--no-dump-schema", "up"], {"DATABASE_URL": url})


def sqitch(place: Place) -> Command:
    """Deploy one change."""
    place.write(
        {
            "sqitch.conf": f'[core]\n\tengine = pg\n[engine "pg"]\n\tclient = {place.server.bin / "psql"}\n',
            "sqitch.plan": (
                "%syntax-version=1.0.0\n%project=bench\n\n"
                "change 2026-01-01T00:00:00Z bench <bench@example.org> # the change\n"
            ),
            "deploy/change.sql": f"-- Deploy change\nBEGIN;\n{place.task.sql}\nCOMMIT;\n",
        }
    )
    who = {"SQITCH_FULLNAME": "bench", "SQITCH_EMAIL": "bench@example.org"}
    return Command(
        ["sqitch", "deploy", f"db:pg:{place.database}"],
        {"PGHOST": place.host, "PGUSER": "postgres", **who},
    )
