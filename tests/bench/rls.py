"""What row security costs: the natural query of each of the nine tables of change 040, on 100,000 rows of each.

    python tests/bench/rls.py                     10 and 1,000 tenants, a minute
    python tests/bench/rls.py --quick             small tables, seconds

Three ways by turns, in one session: by hand (a role that passes row security, `user_id = ...` in the query), the
policies of the change, and naive ones that call current_app_user() without a sub-select. Milliseconds are medians
of planning and execution together, as EXPLAIN ANALYZE says them; `calls` is how often the claims were read, as
pg_stat_xact_user_functions counts. Figures never fail.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from figures import columns, ms
from ground import folder, machine, started

from pgrunbook import change
from pgrunbook import server as embedded

CHANGE = change.load("040_core_data_model", root=Path(__file__).parents[2] / "sql" / "changes")
BY_HAND, POLICY, NAIVE = "by hand", "policy", "naive"
WAYS = (BY_HAND, POLICY, NAIVE)
TENANTS = (10, 1_000)

# {rows} of each table: who owns row i is decided by the cycle, conversation or row that it belongs to.
FILL: Mapping[str, str] = {
    "vision": "(id, user_id, title, body, created_at)"
    " SELECT {key}('v', i), {key}('u', i % {tenants}), 't', 'b', {when}",
    "cycle": "(id, user_id, vision_id, title, starts_on)"
    " SELECT {key}('c', i), {key}('u', i % {tenants}), {key}('v', i), 't', date '2020-01-01' + i / {tenants}",
    "goal": "(id, user_id, cycle_id, goal_type, title) SELECT {key}('g', i), {key}('u', i / 2 % {tenants}),"
    " {key}('c', i / 2), (ARRAY['personal', 'professional'])[1 + i % 2]::goal_type, 't'",
    "weekly_plan": "(id, user_id, cycle_id, week_number)"
    " SELECT {key}('w', i), {key}('u', i / 12 % {tenants}), {key}('c', i / 12), 1 + i % 12",
    "task": "(id, user_id, cycle_id, goal_id, title) SELECT {key}('t', i), {key}('u', i / 5 % {tenants}),"
    " {key}('c', i / 5), {key}('g', i / 5 * 2), 't'",
    "plan_item": "(id, user_id, cycle_id, weekly_plan_id, task_id, quota)"
    " SELECT {key}('p', i), {key}('u', i / 60 % {tenants}), {key}('c', i / 60), {key}('w', i / 5),"
    " {key}('t', i / 60 * 5 + i % 5), 3",
    "chat_session": "(id, user_id, created_at) SELECT {key}('s', i), {key}('u', i % {tenants}), {when}",
    "chat_message": "(id, user_id, chat_session_id, role, content, created_at)"
    " SELECT {key}('m', i), {key}('u', i / 20 % {tenants}), {key}('s', i / 20), 'user', 'hello', {when}",
    "audit_log": "(user_id, action, table_name, row_id, after, database_role, occurred_at)"
    " SELECT {key}('u', i / 4 % {tenants}), 'insert', 'plan_item', {key}('p', i / 4), '{{}}', 'app_user', {when}",
}
KEY = "CREATE FUNCTION bench_key(text, bigint) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN md5($1 || $2)::uuid"

# What a screen asks for. {mine} is the predicate that row security adds by itself.
QUERIES: Mapping[str, str] = {
    "vision": "SELECT id, title FROM vision WHERE {mine} ORDER BY created_at DESC LIMIT 20",
    "cycle": "SELECT id, title FROM cycle WHERE {mine} ORDER BY starts_on DESC LIMIT 10",
    "goal": "SELECT id, title FROM goal WHERE {mine} AND cycle_id = {cycle}",
    "weekly_plan": "SELECT week_number, focus FROM weekly_plan WHERE {mine} AND cycle_id = {cycle}"
    " ORDER BY week_number",
    "task": "SELECT id, title FROM task WHERE {mine} AND cycle_id = {cycle}",
    "plan_item": "SELECT task_id, quota, done FROM plan_item"
    " WHERE {mine} AND cycle_id = {cycle} AND weekly_plan_id = {week}",
    "chat_session": "SELECT id, title FROM chat_session WHERE {mine} ORDER BY created_at DESC LIMIT 20",
    "chat_message": "SELECT role, content FROM chat_message WHERE {mine} AND chat_session_id = {chat}"
    " ORDER BY created_at",
    "audit_log": "SELECT action, before, after FROM audit_log WHERE {mine} AND table_name = 'plan_item'"
    " AND row_id = {item} ORDER BY id",
}
# Not natural, but telling: every row of a tenant, and the same with every row of the table read.
UNINDEXED = "no index"
COUNT = "SELECT count(*), max(length(content)) FROM chat_message WHERE {mine}"
WHOLE = {"all of a tenant": COUNT, UNINDEXED: COUNT}
TENANT = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """One query, asked one way."""

    query: str
    way: str
    tenants: int
    ms: float
    rows: int
    calls: int
    nodes: tuple[str, ...]


def fill(conn: psycopg.Connection[Any], rows: int, tenants: int) -> None:
    """Fill the nine tables, triggers off, and gather statistics; in the transaction that is open, if any."""
    conn.execute(KEY)
    conn.execute("SET session_replication_role = replica")
    when = "timestamptz '2026-01-01' + i * interval '1 s'"
    for table, text in FILL.items():
        filled = text.format(key="bench_key", tenants=tenants, when=when)
        conn.execute(f"INSERT INTO {table} {filled} FROM generate_series(0, {rows - 1}) AS i".encode())
        conn.execute(f"ANALYZE {table}".encode())
    conn.execute("RESET session_replication_role")


def texts(conn: psycopg.Connection[Any], queries: Mapping[str, str] = QUERIES) -> dict[str, tuple[str, str]]:
    """Return each query as the application asks it, and with the tenant written into it."""
    row = conn.execute(
        "SELECT bench_key('u', %(n)s), bench_key('c', %(n)s), bench_key('w', %(n)s * 12), bench_key('s', %(n)s),"
        " bench_key('p', %(n)s)",
        {"n": TENANT},
    ).fetchone()
    assert row is not None
    names = ("user", "cycle", "week", "chat", "item")
    values = {name: f"'{value}'" for name, value in zip(names, row, strict=True)}
    by_hand = f"user_id = {values['user']}"
    return {
        name: (text.format(mine="true", **values), text.format(mine=by_hand, **values))
        for name, text in queries.items()
    }


def act(conn: psycopg.Connection[Any], role: str) -> None:
    """Take on a role and the claims of the tenant, until the transaction ends."""
    claims = "SELECT set_config('role', %s, true), set_config('app.user_id', bench_key('u', %s)::text, true)"
    conn.execute(claims, (role, TENANT))


def explained(conn: psycopg.Connection[Any], query: str) -> tuple[dict[str, Any], int]:
    """Return what EXPLAIN ANALYZE says of a query, and how often it read the claims; in an open transaction."""
    before = _calls(conn)
    row = conn.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}".encode()).fetchone()
    assert row is not None
    return row[0][0], _calls(conn) - before


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes of a plan, from the top."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def _calls(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute(
        "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_xact_user_functions WHERE funcname = 'current_app_user'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def ask(
    conn: psycopg.Connection[Any], way: str, query: str, by_hand: str, *, indexed: bool = True
) -> tuple[dict[str, Any], int]:
    """Ask one query one way, and leave nothing behind."""
    with conn.transaction(force_rollback=True):
        if not indexed:
            for scan in ("indexscan", "indexonlyscan", "bitmapscan"):
                conn.execute(
                    f"SET LOCAL enable_{scan} = off; SET LOCAL max_parallel_workers_per_gather = 0".encode()
                )
        if way == NAIVE:
            for table in QUERIES:
                policy = "own_entries" if table == "audit_log" else "own_rows"
                conn.execute(
                    f"ALTER POLICY {policy} ON {table} USING (user_id = current_app_user())".encode()
                )
        act(conn, "none" if way == BY_HAND else "app_user")
        return explained(conn, by_hand if way == BY_HAND else query)


def measure(conn: psycopg.Connection[Any], tenants: int, rounds: int) -> list[Asked]:
    """Return every query asked every way, by turns; the first round only warms up."""
    asked = []
    for name, (query, by_hand) in texts(conn, {**QUERIES, **WHOLE}).items():
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        last: dict[str, tuple[dict[str, Any], int]] = {}
        for number in range(rounds + 1):
            for way in WAYS:
                last[way] = ask(conn, way, query, by_hand, indexed=name != UNINDEXED)
                if number:
                    times[way].append(last[way][0]["Planning Time"] + last[way][0]["Execution Time"])
        for way, (found, calls) in last.items():
            kinds = tuple(
                " ".join(filter(None, (node["Node Type"], node.get("Index Name"))))
                for node in nodes(found["Plan"])
            )
            rows = int(found["Plan"]["Actual Rows"])
            asked.append(Asked(name, way, tenants, statistics.median(times[way]), rows, calls, kinds))
    return asked


@contextlib.contextmanager
def filled(server: embedded.Server, rows: int, tenants: int) -> Iterator[psycopg.Connection[Any]]:
    """Give a session on a database with the change and its rows."""
    conninfo = embedded.create_database(server, "bench")
    try:
        with psycopg.connect(conninfo, autocommit=True, options="-c track_functions=all -c jit=off") as conn:
            assert CHANGE.go_sample is not None
            conn.execute(CHANGE.go_sample.read_bytes())
            for step in CHANGE.steps:
                conn.execute(step.migrate.path.read_bytes())
            fill(conn, rows, tenants)
            conn.execute("VACUUM ANALYZE")
            yield conn
    finally:
        embedded.drop_database(server, "bench")


def told(asked: Sequence[Asked]) -> str:
    """Return the table of one number of tenants."""
    heads = [
        "",
        "rows",
        BY_HAND,
        POLICY,
        "ratio",
        NAIVE,
        "ratio",
        "calls",
        "naive calls",
        "plan with the policy",
    ]
    lines = []
    for name in dict.fromkeys(one.query for one in asked):
        hand, policy, naive = (next(o for o in asked if (o.query, o.way) == (name, way)) for way in WAYS)
        ratios = [f"{one.ms / hand.ms:.2f}" for one in (policy, naive)]
        cells = [str(policy.rows), ms(hand.ms), ms(policy.ms), ratios[0], ms(naive.ms), ratios[1]]
        lines.append([name, *cells, f"{policy.calls:,}", f"{naive.calls:,}", " > ".join(policy.nodes)])
    return f"{asked[0].tenants:,} tenants, milliseconds\n{columns(heads, lines)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is always 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000, help="rows of each table")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--quick", action="store_true", help="2,000 rows, 3 rounds")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args(argv)
    rows, rounds = (2_000, 3) if given.quick else (given.rows, given.rounds)
    asked: list[Asked] = []
    with folder() as home, started(home, {"max_wal_size": "4GB"}) as server:
        print(f"{machine(server)}; {rows:,} rows in each of nine tables, {rounds} rounds", flush=True)
        for tenants in TENANTS:
            with filled(server, rows, tenants) as conn:
                part = measure(conn, tenants, rounds)
            print(f"\n{told(part)}", flush=True)
            asked += part
    if given.json:
        given.json.write_text(json.dumps([dataclasses.asdict(one) for one in asked], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
