"""Which indexes the scheduler's questions use: with 10,000 rows of each kind, with statistics of them and without."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground

from pgrunbook import server as embedded

Connection = psycopg.Connection[Any]
TABLES = ("scheduled_jobs", "job_executions", "recipe_rotation", "scheduler_config")

# 10,000 jobs: most of users and waiting, 10 of each type that is for all; 10,000 executions, 5 of them running;
# 10,000 recipes of 100 users at 4 meals over 100 days.
FILLED = """
INSERT INTO users (name) SELECT 'user ' || number FROM generate_series(3, 1000) AS number;
INSERT INTO scheduled_jobs (
    id, job_type, user_id, priority, frequency_type, frequency_config, parameters, enabled, status, scheduled_for
)
SELECT
    'job_' || number,
    CASE
        WHEN number % 1000 = 0 THEN 'weekly_trends'
        ELSE (ARRAY['weekly_generation', 'auto_sync', 'daily_advisor'])[1 + number % 3]
    END,
    CASE WHEN number % 10 > 0 THEN 1 + number % 1000 END,
    (ARRAY['critical', 'high', 'medium', 'low'])[1 + number % 4],
    CASE WHEN number % 7 = 0 THEN 'once' ELSE 'every_n_hours' END,
    CASE WHEN number % 7 = 0 THEN '{}' ELSE jsonb_build_object('hours', 1 + number % 200) END,
    jsonb_build_object('user', number % 1000, 'source', 'tandoor'),
    number % 10 <> 1,
    CASE WHEN number > 9995 THEN 'running' WHEN number % 3 = 0 THEN 'completed' ELSE 'pending' END,
    CASE WHEN number % 7 = 0 AND number % 3 = 0 THEN NULL ELSE now() + (number - 500) * interval '1 minute' END
FROM generate_series(1, 10000) AS number
WHERE number <= 9995 OR number % 7 > 0;
UPDATE scheduled_jobs SET scheduled_for = now() WHERE scheduled_for IS NULL AND status = 'pending';
INSERT INTO job_executions (
    job_id, parent_job_id, trigger_type, status, slot, attempt_number, started_at, lease_until, completed_at, output
)
SELECT
    'job_' || (1 + number % 9000),
    CASE WHEN number % 10 = 0 THEN 'job_' || (1 + number % 100) END,
    CASE WHEN number % 10 = 0 THEN 'dependent' ELSE 'scheduled' END,
    CASE WHEN number > 9997 THEN 'running' ELSE 'completed' END,
    CASE WHEN number > 9997 THEN number - 9997 END,
    1,
    now() - number * interval '1 minute',
    now() + interval '1 hour',
    CASE WHEN number <= 9997 THEN now() - number * interval '1 minute' + interval '3 seconds' END,
    CASE WHEN number % 2 = 0 THEN jsonb_build_object('meals', number % 500) END
FROM generate_series(1, 10000) AS number;
INSERT INTO recipe_rotation (user_id, recipe_id, meal_type, last_used_date, use_count)
SELECT
    1 + number % 100,
    'recipe ' || (number / 400),
    (ARRAY['breakfast', 'lunch', 'dinner', 'snack'])[1 + (number / 100) % 4],
    current_date - (number * 7919 % 100)::integer,
    1
FROM generate_series(0, 9999) AS number;
"""

QUESTIONS = {
    "idx_scheduled_jobs_status_priority": """
        SELECT id FROM scheduled_jobs WHERE enabled = true AND priority = 'high' AND scheduled_for <= now()
        ORDER BY scheduled_for LIMIT 1
    """,
    "idx_scheduled_jobs_user_id": "SELECT * FROM scheduled_jobs WHERE user_id = 7",
    "idx_scheduled_jobs_job_type": "SELECT * FROM scheduled_jobs WHERE job_type = 'weekly_trends'",
    "idx_scheduled_jobs_parameters": """SELECT * FROM scheduled_jobs WHERE parameters @> '{"user": 7}'""",
    "idx_scheduled_jobs_frequency_config": """
        SELECT * FROM scheduled_jobs WHERE frequency_config @> '{"hours": 48}'
    """,
    "idx_job_executions_job_started": """
        SELECT * FROM job_executions WHERE job_id = 'job_7' ORDER BY started_at DESC LIMIT 10
    """,
    "idx_job_executions_parent": "SELECT * FROM job_executions WHERE parent_job_id = 'job_71'",
    "idx_job_executions_running": "SELECT * FROM job_executions WHERE status = 'running'",
    "idx_job_executions_output": """SELECT * FROM job_executions WHERE output @> '{"meals": 44}'""",
    "recipe_rotation_user_recipe_meal_key": """
        SELECT * FROM recipe_rotation WHERE user_id = 7 AND recipe_id = 'recipe 3' AND meal_type = 'lunch'
    """,
    "idx_recipe_rotation_last_used": """
        SELECT recipe_id, last_used_date FROM recipe_rotation
        WHERE user_id = 7 AND meal_type = 'lunch' AND last_used_date > current_date - 30
        ORDER BY last_used_date DESC
    """,
    "idx_recipe_rotation_recipe": "SELECT * FROM recipe_rotation WHERE recipe_id = 'recipe 3'",
    "idx_recipe_rotation_date": "SELECT * FROM recipe_rotation WHERE last_used_date < current_date - 95",
}


# Without statistics one document in a hundred is taken to match, so that a small table is read; and of two unique ways
# to few rows the planner takes either.
NEEDS_STATISTICS = {
    "idx_scheduled_jobs_parameters",
    "idx_scheduled_jobs_frequency_config",
    "idx_job_executions_output",
    "recipe_rotation_user_recipe_meal_key",
}


def _let_alone(conn: Connection) -> None:
    """See to it that nobody makes statistics but the test."""
    for table in TABLES:
        conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())


@contextlib.contextmanager
def filled(server: embedded.Server, *, analyzed: bool) -> Iterator[str]:
    with ground.scheduler(server) as name:
        conninfo = server.conninfo_for(name)
        with psycopg.connect(conninfo, autocommit=True) as conn:
            _let_alone(conn)
            conn.execute(FILLED.encode())
            if analyzed:
                conn.execute("VACUUM (ANALYZE)")
        yield conninfo


@pytest.fixture(scope="module", params=["with statistics", "without statistics"])
def large(server: embedded.Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with 10,000 rows of each kind, for tests that leave it as it was."""
    with filled(server, analyzed=request.param == "with statistics") as conninfo:
        yield conninfo


@pytest.fixture
def session(large: str) -> Iterator[Connection]:
    """A session whose work is undone."""
    with contextlib.closing(psycopg.connect(large)) as conn:
        yield conn


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def planned(conn: Connection, query: str) -> list[dict[str, Any]]:
    """Return the nodes of a query's plan."""
    found = conn.execute(b"EXPLAIN (FORMAT JSON) " + query.encode()).fetchone()
    assert found is not None
    return list(nodes(found[0][0]["Plan"]))


def scans(conn: Connection) -> dict[str, int]:
    """Return how often this transaction has read each table from end to end."""
    names = dict.fromkeys(TABLES, 0)
    for name, number in conn.execute("SELECT relname, seq_scan FROM pg_stat_xact_user_tables"):
        if name in names:
            names[name] = number
    return names


def test_there_are_10000_rows_of_each_kind(session: Connection) -> None:
    for table in TABLES[:3]:
        found = session.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert found is not None
        assert 9_999 <= found[0] <= 10_000


def test_every_index_has_a_question(session: Connection) -> None:
    found = session.execute(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = ANY (%s::regclass[]) AND NOT indisprimary",
        [list(TABLES)],
    ).fetchall()
    assert {name for (name,) in found} == set(QUESTIONS)


def analyzed(conn: Connection) -> bool:
    found = conn.execute("SELECT reltuples > 0 FROM pg_class WHERE relname = 'scheduled_jobs'").fetchone()
    return found == (True,)


@pytest.mark.parametrize("index", QUESTIONS)
def test_the_question_that_an_index_is_for_uses_it(session: Connection, index: str) -> None:
    if analyzed(session) or index not in NEEDS_STATISTICS:
        plan = planned(session, QUESTIONS[index])
        assert index in {node.get("Index Name") for node in plan}
        assert not any(node["Node Type"] == "Seq Scan" for node in plan)
    answer = len(session.execute(QUESTIONS[index].encode()).fetchall())
    assert answer > 0
    # The same rows without any index.
    for way in ("indexscan", "indexonlyscan", "bitmapscan"):
        session.execute(f"SET LOCAL enable_{way} = off".encode())
    assert "Seq Scan" in {node["Node Type"] for node in planned(session, QUESTIONS[index])}
    assert len(session.execute(QUESTIONS[index].encode()).fetchall()) == answer


@pytest.mark.parametrize("kind", ["idx_scheduled_jobs_status_priority", "idx_recipe_rotation_last_used"])
def test_what_is_wanted_in_an_order_lies_in_it(session: Connection, kind: str) -> None:
    plan = planned(session, QUESTIONS[kind])
    assert not any(node["Node Type"] == "Sort" or "Filter" in node for node in plan)


def test_the_cooldown_is_answered_by_the_index_alone_whatever_its_length(session: Connection) -> None:
    for days in (1, 30, 90):
        query = QUESTIONS["idx_recipe_rotation_last_used"].replace("30", str(days))
        assert "Index Only Scan" in {node["Node Type"] for node in planned(session, query)}


@pytest.mark.parametrize("column", ["parameters", "frequency_config", "output"])
def test_what_a_document_holds_is_looked_up(session: Connection, column: str) -> None:
    [index] = [name for name in QUESTIONS if name.endswith(f"_{column}")]
    session.execute("SET LOCAL enable_seqscan = off")
    assert {"Bitmap Heap Scan", "Bitmap Index Scan"} <= {
        node["Node Type"] for node in planned(session, QUESTIONS[index])
    }


def test_a_hundred_polls_and_starts_never_read_a_table_from_end_to_end(session: Connection) -> None:
    before = scans(session)
    session.execute("UPDATE scheduler_config SET max_concurrent_jobs = 300 WHERE id = 1")
    for _ in range(100):
        assert ground.claim(session) is not None
    for _ in range(100):
        session.execute("SELECT get_next_pending_job()")
    after = scans(session)
    assert [after[table] - before[table] for table in TABLES[:3]] == [0, 0, 0]


@pytest.mark.parametrize("end", ["complete_job", "fail_job"])
def test_ending_a_hundred_jobs_reads_no_table_from_end_to_end(session: Connection, end: str) -> None:
    session.execute("UPDATE scheduler_config SET max_concurrent_jobs = 300 WHERE id = 1")
    claims = [ground.claim(session) for _ in range(100)]
    for claimed in claims:
        assert claimed is not None
        session.execute(
            'UPDATE scheduled_jobs SET parameters = \'{"then": ["job_9001", "job_9002"]}\' WHERE id = %s',
            [claimed[0]],
        )
    before = scans(session)
    for claimed in claims:
        session.execute(
            f"SELECT {end}(%s, %s, {'NULL' if end == 'complete_job' else 'NULL::text'})".encode(), claimed
        )
    after = scans(session)
    assert [after[table] - before[table] for table in ("scheduled_jobs", "job_executions")] == [0, 0]


def test_recipes_are_told_and_asked_without_reading_the_table_from_end_to_end(session: Connection) -> None:
    before = scans(session)
    for number in range(100):
        session.execute("SELECT update_recipe_rotation(%s, 'soup', 'lunch', current_date)", [1 + number])
        session.execute("SELECT count(*) FROM get_recipes_on_cooldown(%s, 'lunch')", [1 + number])
    assert scans(session)["recipe_rotation"] == before["recipe_rotation"]


def test_giving_back_what_lost_workers_had_reads_no_table_from_end_to_end(session: Connection) -> None:
    session.execute(
        "UPDATE job_executions SET lease_until = now() - interval '1 second' WHERE status = 'running'"
    )
    before = scans(session)
    session.execute("SELECT get_next_pending_job()")
    found = session.execute(
        "SELECT count(*) FROM job_executions WHERE status = 'failed' AND error_message LIKE 'worker lost%'"
    )
    assert found.fetchone() == (3,)
    after = scans(session)
    assert after["scheduled_jobs"] == before["scheduled_jobs"]
    # The question just above has to look everywhere.
    assert after["job_executions"] <= before["job_executions"] + 1


def test_a_user_who_goes_is_looked_up_in_the_tables_that_name_him(session: Connection) -> None:
    before = scans(session)
    session.execute("DELETE FROM users WHERE id = 900")
    assert scans(session) == before


# -- plans that are older than the rows


@pytest.fixture
def empty(server: embedded.Server) -> Iterator[str]:
    """A database of the scheduler without any job, in which nobody makes statistics."""
    with ground.scheduler(server) as name:
        conninfo = server.conninfo_for(name)
        with psycopg.connect(conninfo, autocommit=True) as conn:
            _let_alone(conn)
        yield conninfo


@pytest.mark.parametrize("vacuumed", [False, True])
def test_plans_that_were_made_while_the_tables_were_empty_serve_when_they_are_full(
    empty: str, vacuumed: bool
) -> None:
    with contextlib.closing(psycopg.connect(empty, autocommit=True)) as early:
        early.execute("UPDATE scheduler_config SET max_concurrent_jobs = 300")
        if vacuumed:
            # Of an empty table that nobody vacuumed the planner thinks that it has ten pages.
            early.execute("VACUUM (ANALYZE)")

        def run(number: int) -> str:
            claimed = ground.claim(early)
            assert claimed is not None
            end = ("complete_job", "fail_job")[number % 2]
            early.execute(f"SELECT {end}(%s, %s, NULL)".encode(), claimed)
            early.execute("SELECT count(*) FROM get_recipes_on_cooldown(1, 'lunch')")
            early.execute("SELECT update_recipe_rotation(1, 'soup', 'lunch', current_date)")
            return claimed[0]

        # Twenty times: after five a plan is kept for good.
        for number in range(20):
            assert ground.claim(early) is None
            ground.job(early, f"early_{number}", parameters={"then": ["nobody"]})
            early.execute("DELETE FROM scheduled_jobs WHERE id = %s", [run(number)])
            early.execute("DELETE FROM recipe_rotation")
        with psycopg.connect(empty) as other:
            other.execute(FILLED.encode())
            other.execute(
                "UPDATE scheduled_jobs SET parameters = '{\"then\": [\"nobody\"]}' WHERE parameters <> '{}'"
            )
        with early.transaction():
            before = scans(early)
            for number in range(50):
                run(number)
            after = scans(early)
    assert [after[table] - before[table] for table in TABLES[:3]] == [0, 0, 0]


# -- on the same page


def updates(conn: Connection) -> tuple[int, int]:
    """Return how many updates of jobs this transaction has made, and how many of them stayed on their page."""
    found = conn.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'scheduled_jobs'"
    ).fetchone()
    assert found is not None
    return found[0], found[1]


def test_a_start_leaves_the_job_on_its_page_and_all_indexes_alone(session: Connection) -> None:
    name = ground.job(session, "page_1", due="-1000 days", priority="critical")
    for number in range(1, 4):
        before = updates(session)
        assert (ground.claim(session) or ("",))[0] == name
        after = updates(session)
        assert (after[0] - before[0], after[1] - before[1]) == (1, 1), number
        session.execute("DELETE FROM job_executions WHERE job_id = %s", [name])
        session.execute("UPDATE scheduled_jobs SET status = 'pending' WHERE id = %s", [name])


def test_what_a_start_changes_is_in_no_index(session: Connection) -> None:
    found = session.execute(
        "SELECT DISTINCT a.attname FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid"
        " AND (a.attnum = ANY (i.indkey) OR pg_get_expr(i.indpred, i.indrelid) ~ ('\\m' || a.attname || '\\M'))"
        " WHERE i.indrelid = 'scheduled_jobs'::regclass"
    ).fetchall()
    assert {name for (name,) in found}.isdisjoint(
        {"status", "started_at", "due_at", "error_count", "updated_at"}
    )
