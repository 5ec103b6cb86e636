"""The planner: what it shows in a rehearsal, and that it writes nothing in a live database."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import psycopg
import pytest

from pgrunbook import change, samples, session
from pgrunbook import server as embedded
from pgrunbook.target import Kind
from pgrunbook.workloads.planner import Planner


@pytest.fixture(scope="module")
def planner(server: embedded.Server) -> Iterator[Planner]:
    chosen = change.load("040_core_data_model", root=change.root_from(os.environ))
    target = samples.make(server, chosen, planted=[])
    try:
        with session.connect(target, purpose="steps") as conn:
            for step in chosen.steps:
                conn.execute(step.migrate.text.encode())
        made = Planner(target, chosen)
        made.load()
        yield made
    finally:
        samples.remove(server, target)


def rows(planner: Planner) -> list[int]:
    with psycopg.connect(planner.target.conninfo) as conn:
        found = conn.execute(
            "SELECT (SELECT count(*) FROM vision), (SELECT count(*) FROM audit_log)"
        ).fetchall()
        return list(found[0])


def test_the_sample_data_reaches_every_table_and_may_be_loaded_again(planner: Planner) -> None:
    before = rows(planner)
    assert planner.load().text == "sample data loaded: rows in 9 tables"
    assert rows(planner) == before


def test_tenants_are_shown_apart(planner: Planner) -> None:
    view = planner.tenants()
    assert view.text == "9 tables, two tenants: each sees his own rows, nobody sees any"
    with psycopg.connect(planner.target.conninfo, autocommit=True) as conn:
        conn.execute(
            "ALTER TABLE goal NO FORCE ROW LEVEL SECURITY; ALTER TABLE goal DISABLE ROW LEVEL SECURITY"
        )
        try:
            assert "ROWS OF ANOTHER ARE SEEN" in planner.tenants().text
        finally:
            conn.execute(
                "ALTER TABLE goal ENABLE ROW LEVEL SECURITY; ALTER TABLE goal FORCE ROW LEVEL SECURITY"
            )


def test_ways_around_the_lock_are_tried_and_taken_back(planner: Planner) -> None:
    before = rows(planner)
    view = planner.lock()
    assert view.text == "lock of weeks 7 to 12 ... 2 of 14 tries passed, 12 refused"
    assert str(view.html).count("P7012") == 9
    assert "no row reached" not in str(view.html)
    assert rows(planner) == before


def test_the_cost_is_told_by_plans_and_drawn_by_times(planner: Planner) -> None:
    before = rows(planner)
    view = planner.cost()
    assert view.text == "row security on 100,000 rows ... 50 rows by index vision_user_idx, claims read once"
    assert "for each row" in str(view.html)
    assert view.png
    assert rows(planner) == before


def test_a_live_database_is_not_written_to(planner: Planner) -> None:
    live = Planner(dataclasses.replace(planner.target, kind=Kind.LIVE), planner._change)
    before = rows(planner)
    for view in (live.load(), live.tenants(), live.lock(), live.cost()):
        assert "not armed" in view.text
    assert rows(planner) == before
