"""The four anti-patterns: each does wrong what it is shown for, the same on every run, and leaves nothing."""

from __future__ import annotations

import psycopg
import pytest

from pgrunbook.errors import UnknownName
from pgrunbook.server import Server
from pgrunbook.workloads import antipatterns

SHOWN = {
    "client-side numbers": (
        "client-side numbers: 2 users, 1 duplicate",
        [
            "both read 42",
            "1 duplicate",
            "the second user gets 23505",
            "it is saved",
            "9,955 numbers are lost",
        ],
    ),
    "timestamp or UUID alone": (
        "timestamp or UUID alone: 1 minute, 1 collision; UUIDs, order lost",
        ["the second user gets 23505", "11-REALLL-RLN-2026-01-22-09-05", "created as "],
    ),
    "lock files": (
        "lock files: 1 stale lock after a crash; 2 folders, 1 duplicate",
        ["the file stays", "is kept out, for ever", "both hold the lock, 1 duplicate"],
    ),
    "code after the save": (
        "code after the save: a reader saw 1 class without a code, a crash left 1",
        ["1 class without a code", "0 classes without a code", "1 class without a code, for ever"],
    ),
}


def databases(server: Server) -> set[str]:
    with psycopg.connect(server.conninfo_for("postgres")) as conn:
        return {name for (name,) in conn.execute("SELECT datname FROM pg_database").fetchall()}


@pytest.mark.parametrize("name", antipatterns.NAMES)
def test_an_anti_pattern_fails_as_its_line_says(server: Server, name: str) -> None:
    line, outcomes = SHOWN[name]
    before = databases(server)
    first, second = antipatterns.show(name, server), antipatterns.show(name, server)
    assert first.text == line
    assert first.html
    for outcome in outcomes:
        assert outcome in first.html
    assert (second.text, second.html) == (first.text, first.html)
    assert databases(server) == before


def test_each_of_the_four_has_its_expectation() -> None:
    assert list(SHOWN) == list(antipatterns.NAMES)


def test_an_unknown_one_is_refused_with_those_that_exist(server: Server) -> None:
    with pytest.raises(UnknownName, match="choose one of: client-side numbers, timestamp or UUID alone"):
        antipatterns.show("triggers", server)


def test_a_database_is_dropped_also_when_the_demonstration_fails(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_conninfo: str) -> None:
        raise ZeroDivisionError

    before = databases(server)
    monkeypatch.setattr(antipatterns, "NAMES", {"it": fails})
    with pytest.raises(ZeroDivisionError):
        antipatterns.show("it", server)
    assert databases(server) == before
