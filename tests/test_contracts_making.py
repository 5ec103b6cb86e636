"""The contract of a change: of the tables that it makes, and of none that were there before."""

from __future__ import annotations

from pathlib import Path

import pytest
import throwaway

from pgrunbook import scratch
from pgrunbook import server as embedded
from pgrunbook.contracts import making
from pgrunbook.errors import NoContract


def test_tables_of_the_samples_are_no_part_of_a_contract(server: embedded.Server, tmp_path: Path) -> None:
    files = throwaway.step(
        "CREATE TABLE fresh (id int); ALTER TABLE things ADD COLUMN note text;", lock="none"
    )
    chosen = throwaway.write(tmp_path, {**files, "samples/go.sql": throwaway.TABLE})
    with scratch.applied(chosen, server, root=tmp_path) as applied:
        found = making.contract(chosen, applied)
    assert [table.name for table in found.tables] == ["fresh"]
    assert sorted(making.rendered(found)) == ["db.py", "db.schema.json", "db.ts"]


def test_a_change_that_only_alters_has_none(server: embedded.Server, tmp_path: Path) -> None:
    chosen = throwaway.write(tmp_path)
    with (
        scratch.applied(chosen, server, root=tmp_path) as applied,
        pytest.raises(NoContract, match="makes no table"),
    ):
        making.contract(chosen, applied)
