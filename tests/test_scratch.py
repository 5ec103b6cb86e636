"""A scratch database that has a change."""

from __future__ import annotations

from pathlib import Path

import papered
import psycopg
import pytest
import throwaway

from pgrunbook import scratch
from pgrunbook import server as embedded
from pgrunbook.errors import RehearsalFailed


def databases(server: embedded.Server) -> set[str]:
    with psycopg.connect(server.conninfo_for("postgres"), autocommit=True) as conn:
        return {name for (name,) in conn.execute("SELECT datname FROM pg_database").fetchall()}


def test_it_has_the_change_and_tells_what_was_there_before(server: embedded.Server, tmp_path: Path) -> None:
    chosen, left = papered.write(tmp_path), databases(server)
    with scratch.applied(chosen, server, root=tmp_path) as found:
        assert [table.name for table in found.before.tables] == ["things"]
        assert [table.name for table in found.after.tables] == ["box", "slip", "things"]
        assert ("table", "public.things") in {(kind, name) for kind, name, _ in found.catalog}
        assert databases(server) > left
    assert databases(server) == left


def test_what_a_change_requires_is_there_before_it(server: embedded.Server, tmp_path: Path) -> None:
    papered.write(tmp_path)
    text, lock = "CREATE TABLE late (box int REFERENCES box)", "ShareRowExclusive on box"
    files = throwaway.step(text, lock=lock, head="-- requires: 710_papered")
    late = throwaway.write(tmp_path, files, name="720_late")
    with scratch.applied(late, server, root=tmp_path) as found:
        assert [table.name for table in found.after.since(found.before).tables] == ["late"]


def test_a_build_outside_a_transaction_runs_as_it_will(server: embedded.Server, tmp_path: Path) -> None:
    with scratch.applied(throwaway.write(tmp_path), server, root=tmp_path) as found:
        assert "things_code" in {index.name for index in found.after.table("things").indexes}


def test_a_file_that_does_not_run_is_named_and_nothing_is_left(
    server: embedded.Server, tmp_path: Path
) -> None:
    left = databases(server)
    broken = papered.write(tmp_path, {"migrate/005_add_note.sql": "-- No\n-- lock: none\n\nSELECT 1/0;\n"})
    reason = pytest.raises(RehearsalFailed, match=r"migrate/005_add_note.sql.*division by zero")
    with reason, scratch.applied(broken, server, root=tmp_path):
        pass
    assert databases(server) == left
