"""Sample databases: what is planted in them, and that they go again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from throwaway import NAME, changed, write

from pgrunbook import samples, session
from pgrunbook.errors import SampleFailed
from pgrunbook.server import Server
from pgrunbook.target import Kind, Target


def doubled(made: Target) -> int:
    with session.connect(made, purpose="look") as conn:
        return int(session.value(conn, "SELECT count(*) FROM things WHERE code = 'c1'"))


def names(server: Server) -> list[str]:
    with psycopg.connect(server.conninfo_for("postgres")) as conn:
        found = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'rehearsal\\_%' ORDER BY 1")
        return [row[0] for row in found]


def test_what_a_remedy_removes_is_planted_unless_told_otherwise(server: Server, tmp_path: Path) -> None:
    stubborn = {
        "preflight/20_long_codes.sql": (
            "-- Long\n-- effect: none\n\nSELECT id AS id FROM things WHERE length(code) > 9;\n"
        ),
        "samples/no_go/20_long_codes.sql": "UPDATE things SET code = 'much too long' WHERE id = 9;\n",
    }
    chosen = write(tmp_path, changed(stubborn))
    for planted, first, long in (
        (None, 3, 0),
        ([], 1, 0),
        (["20_long_codes"], 1, 1),
        (["10_doubled_codes"], 3, 0),
    ):
        made = samples.make(server, chosen, planted=planted)
        try:
            assert made.kind is Kind.REHEARSAL
            with session.connect(made, purpose="look") as conn:
                assert session.value(conn, "SELECT count(*) FROM things WHERE length(code) > 9") == long
            assert doubled(made) == first
        finally:
            samples.remove(server, made)
    assert not [name for name in names(server) if NAME in name]


def test_two_rehearsals_of_one_change_do_not_meet(server: Server, tmp_path: Path) -> None:
    chosen = write(tmp_path)
    one, other = samples.make(server, chosen), samples.make(server, chosen)
    assert one.conninfo != other.conninfo
    samples.remove(server, one)
    assert doubled(other) == 3
    samples.remove(server, other)


def test_a_sample_that_does_not_load_is_named_and_leaves_no_database(server: Server, tmp_path: Path) -> None:
    broken = changed({"samples/no_go/10_doubled_codes.sql": throwaway.TABLE})
    before = names(server)
    with pytest.raises(SampleFailed) as caught:
        samples.make(server, write(tmp_path, broken))
    assert str(caught.value) == (
        'samples/10_doubled_codes.sql does not load: relation "things" already exists\n'
        "  next: mend the file, then rehearse again"
    )
    assert names(server) == before


def test_only_databases_that_are_old_and_unused_are_swept(
    server: Server, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    made = samples.make(server, write(tmp_path))
    assert samples.sweep(server) == []
    with session.connect(made, purpose="in use") as conn:
        oid = session.value(conn, "SELECT oid FROM pg_database WHERE datname = current_database()")
        os.utime(server.data / "base" / str(oid) / "PG_VERSION", (0, 0))
        assert samples.sweep(server) == []
        assert doubled(made) == 3
    left = names(server)
    assert eventually(lambda: samples.sweep(server)) == left
    assert names(server) == []
