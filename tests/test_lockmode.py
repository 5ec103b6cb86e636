"""Lock modes: what the server says conflicts, and how the names are spelt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pgrunbook.lockmode import LockMode

if TYPE_CHECKING:
    from conftest import Elsewhere


def test_the_server_agrees_which_modes_conflict(
    conn: psycopg.Connection[dict[str, Any]], elsewhere: Elsewhere
) -> None:
    conn.execute("CREATE TABLE t ()")
    for mode in LockMode:
        elsewhere.begin_and_hold(f"LOCK TABLE t IN {mode.sql} MODE")
        refused = set()
        for other in LockMode:
            try:
                with conn.transaction():
                    conn.execute(f"LOCK TABLE t IN {other.sql} MODE NOWAIT")
            except psycopg.errors.LockNotAvailable:
                refused.add(other)
        elsewhere.release()
        assert refused == set(mode.conflicting)
        assert {other for other in LockMode if mode.conflicts_with(other)} == refused


def test_the_catalog_spells_a_mode_as_we_do(conn: psycopg.Connection[dict[str, Any]]) -> None:
    conn.execute("CREATE TABLE t ()")
    for mode in LockMode:
        with conn.transaction():
            conn.execute(f"LOCK TABLE t IN {mode.sql} MODE")
            found = conn.execute(
                "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 't'::regclass"
            ).fetchall()
        assert [row["mode"] for row in found] == [mode.catalog]
        assert LockMode.parse(mode.catalog) is mode


def test_conflicts_are_mutual() -> None:
    for mode in LockMode:
        for other in LockMode:
            assert mode.conflicts_with(other) == other.conflicts_with(mode)


@pytest.mark.parametrize("mode", LockMode)
def test_every_spelling_is_read(mode: LockMode) -> None:
    for spelling in (mode.word, mode.sql, mode.catalog, mode.word.lower(), mode.sql.lower(), mode.name):
        assert LockMode.parse(spelling) is mode


@pytest.mark.parametrize(
    "text", ["", "Lock", "Access", "AccessExclusive on t", "exclusive; DROP TABLE t", "Ⅷ"]
)
def test_anything_else_is_refused_with_what_is_known(text: str) -> None:
    with pytest.raises(ValueError, match="unknown lock mode") as caught:
        LockMode.parse(text)
    assert str(caught.value) == (
        f"unknown lock mode {text!r}; known: AccessShare, RowShare, RowExclusive, ShareUpdateExclusive, Share,"
        " ShareRowExclusive, Exclusive, AccessExclusive"
    )


def test_what_a_mode_stops() -> None:
    assert [mode.word for mode in LockMode if mode.blocks_reads] == ["AccessExclusive"]
    assert [mode.word for mode in LockMode if mode.blocks_writes] == [
        "Share",
        "ShareRowExclusive",
        "Exclusive",
        "AccessExclusive",
    ]


def test_modes_are_ranked_by_what_they_conflict_with() -> None:
    modes = list(LockMode)
    assert modes == sorted(modes, key=lambda mode: mode.value)
    counts = [len(mode.conflicting) for mode in modes]
    assert counts == sorted(counts)
