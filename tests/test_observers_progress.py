"""Progress of our own index build: sampled while it runs, with the session that holds it up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pgrunbook import session, target
from pgrunbook.observers.progress import Progress
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def look(database: str, conn: Conn) -> Iterator[Connection]:
    conn.execute("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) AS i")
    with contextlib.closing(session.connect(target.rehearsal(database), purpose="watch")) as made:
        yield made


def test_a_build_that_is_held_up_names_its_phase_and_whom_it_waits_for(
    look: Connection, someone_else: Callable[[], Elsewhere], eventually: Callable[..., Any]
) -> None:
    writer, builder = someone_else(), someone_else()
    writer.begin_and_hold("INSERT INTO t VALUES (0)")
    build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    progress = Progress(builder.pid)
    progress.before(look)

    def held_up() -> bool:
        progress.sample(look, 7.5)
        return bool(progress.builds) and progress.builds[-1].waits_for == writer.pid

    eventually(held_up)
    last = progress.builds[-1]
    assert (last.at_ms, last.phase, last.done, last.total) == (7.5, "waiting for writers before build", 0, 1)
    others = Progress(writer.pid)
    others.sample(look, 7.5)
    assert others.builds == []
    writer.release()
    build.result(timeout=10)
    seen = len(progress.builds)
    progress.sample(look, 9.0)
    progress.after(look)
    assert len(progress.builds) == seen


def test_nothing_is_seen_where_nothing_is_built(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("LOCK TABLE t")
    progress = Progress(elsewhere.pid)
    progress.sample(look, 1.0)
    assert progress.builds == []
