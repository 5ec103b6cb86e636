"""The guide of the job scheduler: what it shows runs, what it claims holds, what it names exists."""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
import scheduler_guide as guide
from conftest import Elsewhere
from markdown_it import MarkdownIt
from operating import Desk
from pooling import PGBOUNCER, pgbouncer

from pgrunbook import server as embedded
from pgrunbook.cli import parser

SECTIONS = guide.sections()
PERFORMANCE = SECTIONS["Performance Considerations"]
CLEAN, VACUUM = (guide.blocks(PERFORMANCE, "sql")[n] for n in (1, 2))
HOT = guide.blocks(PERFORMANCE, "sql")[4]
RESTORE = guide.blocks(SECTIONS["Rollback Procedure"], "sql")[0]
BACKUPS = ("scheduler_config", "scheduled_jobs", "job_executions", "recipe_rotation")


@pytest.fixture(scope="module")
def template(server: embedded.Server) -> Iterator[str]:
    with ground.scheduler(server) as name:
        yield name


@pytest.fixture(scope="module")
def full(server: embedded.Server) -> Iterator[str]:
    with ground.scheduler(server) as name:
        guide.fill(server.conninfo_for(name))
        yield name


@pytest.fixture
def database(server: embedded.Server, full: str) -> Iterator[str]:
    """A copy of the scheduler's database with 10,000 rows in each table."""
    with ground.copy(server, full) as conninfo:
        yield conninfo


def test_the_guide_has_its_eight_sections_and_eight_cases() -> None:
    assert list(SECTIONS) == [
        "Schema Overview",
        "Migration Dependencies",
        "Migration Order",
        "Rollback Procedure",
        "Testing Strategy",
        "Production Deployment Checklist",
        "Performance Considerations",
        "Troubleshooting",
    ]
    cases = list(guide.sections(SECTIONS["Troubleshooting"], level=3))
    assert [heading.partition(".")[0] for heading in cases] == [str(n) for n in range(1, 9)]
    drawn = MarkdownIt().enable("table").render(guide.TEXT)
    assert drawn.count("<table>") == len(re.findall(r"^\|---", guide.TEXT, re.MULTILINE))


def test_every_block_of_sql_runs_in_psql_in_the_order_of_the_guide(
    server: embedded.Server, database: str, conn: psycopg.Connection[Any]
) -> None:
    for table in BACKUPS:
        conn.execute(f"CREATE TABLE {table}_backup_night AS TABLE {table}".encode())
    blocks = guide.blocks(guide.TEXT, "sql")
    assert len(blocks) > 25
    for block in blocks:
        said = guide.psql(server, database, block)
        assert "ERROR" not in said, f"{block}\n{said}"


def test_the_questions_before_and_after_a_migration_answer_for_a_sound_database(
    conn: psycopg.Connection[Any],
) -> None:
    (before,) = guide.blocks(SECTIONS["Migration Dependencies"], "sql")
    assert conn.execute(before.encode()).fetchall() == [
        {
            "home": "public",
            "users_there": True,
            "users_id_type": "integer",
            "function_there": True,
            "may_create": True,
        }
    ]
    after = guide.blocks(SECTIONS["Migration Order"], "sql")[0]
    assert conn.execute(after.encode()).fetchall() == [
        {"tables": 4, "indexes": 13, "functions": 7, "enabled": True}
    ]


@pytest.mark.parametrize("row", guide.rows(PERFORMANCE, "index"), ids=lambda row: row[0])
def test_each_index_serves_the_query_that_the_guide_names_by_the_plan_that_it_names(
    server: embedded.Server, full: str, row: list[str]
) -> None:
    index, _, query, plan = row
    with psycopg.connect(server.conninfo_for(full)) as conn:
        found = conn.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchone()
    assert found is not None
    assert (plan, index) in set(_nodes(found[0][0]["Plan"])), json.dumps(found[0])


def _nodes(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield node["Node Type"], node.get("Index Name", "")
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def test_the_guide_has_a_query_for_every_index_but_the_primary_keys(conn: psycopg.Connection[Any]) -> None:
    found = conn.execute(
        "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = ANY (%s::regclass[]) AND NOT i.indisprimary",
        [list(BACKUPS)],
    ).fetchall()
    assert {row["relname"] for row in found} == {row[0] for row in guide.rows(PERFORMANCE, "index")}


def counts(conn: psycopg.Connection[Any]) -> tuple[int, ...]:
    """Return how many rows there are: jobs, executions, recipes."""
    return tuple(
        conn.execute(f"SELECT count(*) AS n FROM {table}".encode()).fetchall()[0]["n"]
        for table in ("scheduled_jobs", "job_executions", "recipe_rotation")
    )


OLD = """
SELECT
    (SELECT count(*) FROM job_executions WHERE completed_at < now() - interval '90 days') AS executions,
    (SELECT count(*) FROM recipe_rotation WHERE last_used_date < current_date - 365) AS recipes
"""


def test_the_clean_up_takes_what_is_old_and_nothing_else(conn: psycopg.Connection[Any]) -> None:
    conn.execute(
        "UPDATE scheduled_jobs SET frequency_type = 'once', status = 'completed', scheduled_for = NULL,"
        " completed_at = now() - CASE id WHEN 'job_09001' THEN 89 ELSE 91 END * interval '1 day'"
        " WHERE id IN ('job_09001', 'job_09002')"
    )
    (old,) = conn.execute(OLD).fetchall()
    assert old["executions"] > 1000
    assert old["recipes"] > 500
    conn.execute(CLEAN.encode())
    assert counts(conn) == (9999, 10000 - old["executions"], 10000 - old["recipes"])
    assert conn.execute(OLD).fetchall() == [{"executions": 0, "recipes": 0}]
    assert conn.execute("SELECT count(*) AS n FROM job_executions WHERE status = 'running'").fetchall() == [
        {"n": 3}
    ]


def test_the_clean_up_waits_for_nobody_and_no_worker_waits_for_it(
    conn: psycopg.Connection[Any], someone_else: Callable[[], Elsewhere]
) -> None:
    # Somebody holds an old row: it is left for the next week, and so is its job.
    conn.execute("DELETE FROM job_executions WHERE job_id = 'job_00002' AND id <> 1")
    conn.execute(
        "UPDATE scheduled_jobs SET frequency_type = 'once', status = 'completed', scheduled_for = NULL,"
        " completed_at = now() - interval '91 days' WHERE id = 'job_00002'"
    )
    holder = someone_else()
    holder.begin_and_hold("SELECT FROM job_executions WHERE id = 1 FOR UPDATE")
    conn.execute("SET lock_timeout = '1ms'")
    conn.execute(CLEAN.encode())
    assert conn.execute(
        "SELECT id FROM job_executions WHERE completed_at < now() - interval '90 days'"
    ).fetchall() == [{"id": 1}]
    holder.release()
    # The clean-up is in the middle of a batch of each table: workers go on.
    cleaner = someone_else()
    cleaner.execute("BEGIN")
    for batch in re.findall(r"DELETE FROM .*?;", CLEAN, re.DOTALL):
        cleaner.execute(batch.replace("90 days", "1 day").replace("365", "300"))
    for _ in range(2):
        taken = ground.claim(conn)
        assert taken is not None
        conn.execute("SELECT complete_job(%s, %s)", taken)
    conn.execute("SELECT update_recipe_rotation(1, 'recipe_0', 'dinner', current_date)")
    cleaner.release()


def test_the_vacuum_reaches_every_table(
    conn: psycopg.Connection[Any], eventually: Callable[..., Any]
) -> None:
    conn.execute(VACUUM.encode())
    asked = (
        "SELECT count(*) AS n FROM pg_stat_user_tables"
        " WHERE relname = ANY (%s) AND last_vacuum IS NOT NULL AND last_analyze IS NOT NULL"
    )
    eventually(lambda: conn.execute(asked, [list(BACKUPS)]).fetchall() == [{"n": 4}])


def test_of_all_updates_of_jobs_half_are_starts_that_stay_on_their_page(
    server: embedded.Server, template: str, eventually: Callable[..., Any]
) -> None:
    with (
        ground.copy(server, template) as conninfo,
        psycopg.connect(conninfo, autocommit=True, row_factory=psycopg.rows.dict_row) as conn,
    ):
        for number in range(50):
            ground.job(conn, f"job_sync_{number:02}")
        while taken := ground.claim(conn):
            conn.execute("SELECT complete_job(%s, %s)", taken)
        conn.execute("SELECT pg_stat_force_next_flush()")
        found = eventually(lambda: conn.execute(HOT.encode()).fetchall())
    assert [(row["relname"], row["updates"], row["hot_percent"]) for row in found] == [
        ("job_executions", 50, 0),
        ("scheduled_jobs", 100, 50),
    ]


@pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")
def test_through_a_pooler_of_transactions_nobody_hears_the_wake_up(
    database: str, conn: psycopg.Connection[Any]
) -> None:
    with (
        pgbouncer(database, "transaction") as pooled,
        psycopg.connect(database, autocommit=True) as near,
        psycopg.connect(pooled, autocommit=True) as far,
    ):
        for listener in (near, far):
            listener.execute("LISTEN job_scheduler")
        ground.job(conn, "job_sync_001")
        assert [heard.channel for heard in near.notifies(timeout=30, stop_after=1)] == ["job_scheduler"]
        assert list(far.notifies(timeout=1)) == []


def test_jobs_that_fail_together_come_back_apart_with_jitter(conn: psycopg.Connection[Any]) -> None:
    conn.execute(guide.blocks(PERFORMANCE, "sql")[0].encode())
    conn.execute("DELETE FROM scheduled_jobs")
    for number in range(5):
        ground.job(conn, f"job_sync_{number}")
    while taken := ground.claim(conn):
        conn.execute("SELECT fail_job(%s, %s, 'tandoor: 503')", taken)
    waits = [
        row["wait"]
        for row in conn.execute(
            "SELECT extract(epoch FROM j.scheduled_for - e.completed_at)::float AS wait"
            " FROM scheduled_jobs AS j JOIN job_executions AS e ON e.job_id = j.id"
        ).fetchall()
    ]
    assert len({round(wait) for wait in waits}) > 1
    assert all(60 <= wait <= 90 for wait in waits)


def test_the_copies_of_a_rollback_go_back_into_a_new_scheduler(
    server: embedded.Server, database: str, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("DELETE FROM job_executions WHERE status = 'running'")
    ground.configure(conn, timezone="Asia/Kolkata", max_concurrent_jobs=2)
    asked = ["SELECT to_jsonb(t) - 'created_at' - 'updated_at' AS row FROM {} AS t ORDER BY t.id"]
    before = {table: conn.execute(asked[0].format(table).encode()).fetchall() for table in BACKUPS}
    way_back = "".join(
        f"psql -X -q -v ON_ERROR_STOP=1 --single-transaction -f rollback/{script.name}\n"
        for script in _backwards()
    )
    guide.sh(server, database, way_back, options="-c scheduler.backup_tag=night")
    assert conn.execute("SELECT to_regclass('scheduled_jobs') AS gone").fetchall() == [{"gone": None}]
    *steps, last = ground.scripts()
    for step in steps:
        conn.execute(step.read_bytes())
    assert "ERROR" not in guide.psql(server, database, RESTORE)
    assert ground.claim(conn) is None
    conn.execute(last.read_bytes())
    for table in BACKUPS:
        assert conn.execute(asked[0].format(table).encode()).fetchall() == before[table], table
    ground.job(conn, "job_sync_001", due="-1 year", priority="critical")
    assert ground.claim(conn) == ("job_sync_001", 10001 - 3)


def _backwards() -> list[Path]:
    """Return the rollback files as they run: steps backwards, the parts of a step in their order."""
    return sorted(
        sorted(ground.scripts("rollback")), key=lambda script: script.name.partition(".")[0], reverse=True
    )


def test_what_the_guide_says_of_psql_applies_the_change(server: embedded.Server, template: str) -> None:
    _, development, _, production, *_ = guide.blocks(SECTIONS["Migration Order"], "sh")
    for script in (development, production):
        assert "psql" in script
        with ground.copy(server, template) as conninfo:
            with psycopg.connect(conninfo) as conn:
                for back in _backwards():
                    conn.execute(back.read_bytes())
            guide.sh(server, conninfo, script)
            with psycopg.connect(conninfo) as conn:
                assert conn.execute("SELECT enabled FROM scheduler_config").fetchall() == [(True,)]


def test_what_the_guide_says_of_pgrunbook_applies_the_change_ticks_it_off_and_takes_it_back(
    server: embedded.Server, tmp_path: Path
) -> None:
    live = [
        *_commands(SECTIONS["Migration Order"])[1:],
        *_commands(SECTIONS["Production Deployment Checklist"]),
    ]
    kept = _commands(SECTIONS["Rollback Procedure"])[-1]
    database = embedded.create_database(server, f"live_{uuid.uuid4().hex[:12]}")
    try:
        with psycopg.connect(database, autocommit=True) as conn, Desk(database, tmp_path) as desk:
            desk.changes = ground.FOLDER.parent
            conn.execute(ground.FOUNDATION.encode())
            codes = [desk(*one, *["--no-rehearsal"] * (one[0] == "apply")).code for one in live]
            assert codes == [0, 3, 0, 0, 0, 0]
            assert "open" not in desk("tick", "050_job_scheduler").out
            assert desk(*kept, PGOPTIONS="-c scheduler.backup_tag=night").code == 0
            assert conn.execute(
                "SELECT to_regclass('scheduled_jobs'), to_regclass('scheduled_jobs_backup_night') IS NOT NULL"
            ).fetchall() == [(None, True)]
    finally:
        embedded.drop_database(server, psycopg.conninfo.conninfo_to_dict(database)["dbname"])


def _commands(text: str) -> list[list[str]]:
    """Return the arguments of each `./pgrunbook` of a text."""
    scripts = "\n".join(guide.blocks(text, "sh")).replace("\\\n", " ")
    return [shlex.split(one) for one in re.findall(r"\./pgrunbook (.+)$", scripts, re.MULTILINE)]


def test_every_command_of_the_guide_is_understood() -> None:
    commands = _commands(guide.TEXT)
    assert len(commands) > 10
    for command in commands:
        if command[0] != "test":
            assert parser().parse_args(command).change == "050_job_scheduler"
