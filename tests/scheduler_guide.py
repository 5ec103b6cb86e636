"""The guide of the job scheduler, read by tests: its sections, cases, blocks and tables; rows to run it on."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass

import psycopg
import scheduler_ground as ground
from psycopg.conninfo import conninfo_to_dict

from pgrunbook import server as embedded

TEXT = (ground.FOLDER / "papers" / "guide.md").read_text(encoding="utf-8")

# 10,000 rows in each table: jobs of 250 users, one execution in a hundred led to by another job.
ROWS = """
INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, 1000) AS n;
INSERT INTO scheduled_jobs
    (id, job_type, user_id, priority, frequency_type, frequency_config, parameters, scheduled_for)
SELECT
    'job_' || lpad(n::text, 5, '0'),
    CASE WHEN n % 10 = 0 THEN 'weekly_trends' WHEN n % 3 = 0 THEN 'daily_advisor' ELSE 'auto_sync' END,
    CASE WHEN n % 2 = 0 THEN 1 + n / 2 % 250 END,
    (ARRAY['critical', 'high', 'medium', 'low'])[1 + n % 4],
    'daily',
    jsonb_strip_nulls(jsonb_build_object('hour', n % 24, 'timezone', CASE WHEN n % 500 = 0 THEN 'Asia/Kolkata' END)),
    jsonb_strip_nulls(jsonb_build_object('list', n, 'then', CASE WHEN n % 100 = 0 THEN ARRAY['job_00017'] END)),
    now() + (n - 5000) * interval '1 minute'
FROM generate_series(1, 10000) AS n;
INSERT INTO job_executions
    (job_id, parent_job_id, trigger_type, status, slot, attempt_number, started_at, lease_until, completed_at, output)
SELECT
    'job_' || lpad((1 + n % 1000)::text, 5, '0'),
    CASE WHEN n % 100 = 0 THEN 'job_' || lpad((17 + n / 100 % 10)::text, 5, '0') END,
    'scheduled',
    CASE WHEN n > 9997 THEN 'running' ELSE 'completed' END,
    CASE WHEN n > 9997 THEN n - 9997 END,
    1,
    ran.at,
    ran.at + interval '5 minutes',
    CASE WHEN n <= 9997 THEN ran.at END,
    CASE WHEN n % 2 = 0 THEN jsonb_build_object('plan', n) END
FROM generate_series(1, 10000) AS n
CROSS JOIN LATERAL (SELECT now() - (10000 - n) * interval '30 minutes' * (n <= 9997)::integer AS at) AS ran;
INSERT INTO recipe_rotation (user_id, recipe_id, meal_type, last_used_date)
SELECT
    n % 100 + 1,
    'recipe_' || n / 400,
    (ARRAY['breakfast', 'lunch', 'dinner', 'snack'])[1 + n / 100 % 4],
    current_date - n % 397
FROM generate_series(1, 10000) AS n;
VACUUM (ANALYZE) scheduled_jobs, job_executions, recipe_rotation;
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A trouble: what one sees, what to ask, and what to do, one after the other."""

    message: str
    debug: str
    remedies: tuple[str, ...]


def sections(text: str = TEXT, *, level: int = 2) -> dict[str, str]:
    """Return the text below each heading of a level, by heading."""
    parts = re.split(rf"^{'#' * level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(text: str, language: str) -> list[str]:
    """Return what stands between fences of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the rows of the table whose first column has that head."""
    lines = text[text.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def case(number: int) -> Case:
    """Return the trouble of that number."""
    found = sections(sections()["Troubleshooting"], level=3)
    (text,) = (text for heading, text in found.items() if heading.startswith(f"{number}. "))
    (message,), (debug, *remedies) = blocks(text, "text"), blocks(text, "sql")
    return Case(message, debug, tuple(remedies))


def fill(database: str) -> None:
    """Put 10,000 rows into each table."""
    with psycopg.connect(database, autocommit=True) as conn:
        for statement in ROWS.split(";\n"):
            conn.execute(statement.encode())


def psql(server: embedded.Server, database: str, text: str, *, options: str = "") -> str:
    """Return all that psql says of SQL, as a person sees it."""
    command = [str(server.bin / "psql"), "-X", "-v", "ON_ERROR_STOP=1", f"--dbname={database}"]
    environment = {**os.environ, "PGOPTIONS": options, "PGAPPNAME": "meals"}
    done = subprocess.run(
        command,
        input=text,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.stdout


def sh(server: embedded.Server, database: str, script: str, *, options: str = "") -> None:
    """Run a shell script in the change's folder where psql is at hand and knows the database."""
    place = conninfo_to_dict(database)
    environment = {
        **os.environ,
        "PATH": f"{server.bin}:{os.environ['PATH']}",
        "PGHOST": str(place["host"]),
        "PGPORT": str(place["port"]),
        "PGUSER": str(place["user"]),
        "PGDATABASE": str(place["dbname"]),
        "PGOPTIONS": options,
    }
    subprocess.run(["sh", "-euc", script], cwd=ground.FOLDER, env=environment, check=True, timeout=120)


def alike(shown: str, said: str) -> bool:
    """Return whether every line that the guide shows was said, in that order, whatever the numbers in it."""
    told = iter(_plain(said))
    return all(line in told for line in _plain(shown))


def _plain(text: str) -> list[str]:
    return [re.sub(r"\d+(\.\d+)?", "0", line).rstrip() for line in text.splitlines()]
