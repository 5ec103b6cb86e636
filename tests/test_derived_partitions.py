"""Partitions: what a bound, a default partition and the keys of all refuse, as the server says it too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import deriving
import pytest
import throwaway

from pgrunbook import catalog
from pgrunbook.session import Connection

SHOP = """\
CREATE TABLE kinds (id int PRIMARY KEY);
CREATE TABLE whole (id int, k text) PARTITION BY RANGE (id);
CREATE TABLE listed (id int, k text) PARTITION BY LIST (lower(k));
CREATE TABLE hashed (id int, k text) PARTITION BY HASH (id);
CREATE TABLE part (id int, k text);
"""
ATTACH = "ALTER TABLE whole ATTACH PARTITION part FOR VALUES FROM (10) TO (20)"
LISTED = "ALTER TABLE listed ATTACH PARTITION part FOR VALUES IN ('a', NULL)"
HASHED = "ALTER TABLE hashed ATTACH PARTITION part FOR VALUES WITH (MODULUS 2, REMAINDER 0)"
DEFAULT = "CREATE TABLE rest PARTITION OF whole DEFAULT; INSERT INTO whole VALUES (5, 'a'), (15, 'b')"
NESTED = (
    "CREATE TABLE inner_listed PARTITION OF listed FOR VALUES IN ('a') PARTITION BY RANGE (id);"
    " INSERT INTO part VALUES (11, 'a')"
)


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(SHOP)
        yield conn


def place(row: int, part: str = "part") -> dict[str, str]:
    return {"part": part, "place": f"(0,{row})"}


OUTSIDE = "rows of part outside its bound in"
BAD: dict[str, tuple[str, str, str, Any, str]] = {
    "a row outside a range": (
        "INSERT INTO part VALUES (10, 'a'), (20, 'b')", ATTACH, f"{OUTSIDE} whole", [place(2)], "23514",
    ),
    "no row for a range": ("INSERT INTO part VALUES (NULL, 'a')", ATTACH, f"{OUTSIDE} whole", [place(1)], "23514"),
    "a row outside a list": (
        "INSERT INTO part VALUES (1, 'A'), (2, 'b')", LISTED, f"{OUTSIDE} listed", [place(2)], "23514",
    ),
    "a row of the other hash": (
        "ALTER TABLE part ADD PRIMARY KEY (id); INSERT INTO part SELECT i FROM generate_series(1, 9) AS i"
        " WHERE satisfies_hash_partition('hashed'::regclass, 2, 0, i) OR i = 3",
        HASHED, f"{OUTSIDE} hashed", [{"id": 3}], "23514",
    ),
    "a row of another partition in a default": (
        "CREATE TABLE tens PARTITION OF whole FOR VALUES FROM (10) TO (20); INSERT INTO part VALUES (1), (15)",
        "ALTER TABLE whole ATTACH PARTITION part DEFAULT", f"{OUTSIDE} whole", [place(2)], "23514",
    ),
    "a row outside the bound above": (
        f"{NESTED}; INSERT INTO part VALUES (12, 'b')",
        "ALTER TABLE inner_listed ATTACH PARTITION part FOR VALUES FROM (10) TO (20)",
        f"{OUTSIDE} inner_listed", [place(2)], "23514",
    ),
    "duplicates of a key of all": (
        "ALTER TABLE whole ADD UNIQUE (id, k); INSERT INTO part VALUES (11, 'a'), (11, 'a')",
        ATTACH, "duplicates of part (id, k) as a partition of whole", [{"id": 11, "k": "a", "rows": 2}], "23505",
    ),
    "a reference of all that finds nothing": (
        "ALTER TABLE whole ADD CONSTRAINT kind FOREIGN KEY (id) REFERENCES kinds; INSERT INTO part VALUES (11)",
        ATTACH, "orphans of kind in part", [{"id": 11}], "23503",
    ),
    "rows in the default that are the attached one's": (
        DEFAULT, ATTACH, "rows of rest for the new partition of whole", [place(2, "rest")], "23514",
    ),
    "rows in the default that are the new one's": (
        DEFAULT, "CREATE TABLE tens PARTITION OF whole FOR VALUES FROM (10) TO (MAXVALUE)",
        "rows of rest for the new partition of whole", [place(2, "rest")], "23514",
    ),
    "rows below the default": (
        "CREATE TABLE rest PARTITION OF whole DEFAULT PARTITION BY LIST (k);"
        " CREATE TABLE rest_1 PARTITION OF rest DEFAULT; INSERT INTO whole VALUES (15, 'b')",
        ATTACH, "rows of rest for the new partition of whole", [place(1, "rest_1")], "23514",
    ),
    "a table that is there and no partition": (
        "", "CREATE TABLE IF NOT EXISTS part PARTITION OF whole FOR VALUES FROM (10) TO (20);"
        " ALTER TABLE whole ADD CHECK (id > 0); ALTER TABLE whole DETACH PARTITION part", "shape of part",
        [{"of": "part", "expected": "a partition of whole", "found": "another table"}], "42P01",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_no_go_and_fails_on_the_server(name: str, look: Connection) -> None:
    setup, command, about, expected, state = BAD[name]
    look.execute(setup.encode())
    assert deriving.refused(look, command, state)[about] == expected


GOOD: dict[str, tuple[str, str]] = {
    "rows within a range": ("INSERT INTO part VALUES (10, 'a'), (19, 'b')", ATTACH),
    "rows within a list": ("INSERT INTO part VALUES (1, 'A'), (2, NULL)", LISTED),
    "rows of the hash": (
        "INSERT INTO part SELECT i FROM generate_series(1, 9) AS i"
        " WHERE satisfies_hash_partition('hashed'::regclass, 2, 0, i)", HASHED,
    ),
    "rows of nobody else in a default": (
        "CREATE TABLE tens PARTITION OF whole FOR VALUES FROM (10) TO (20); INSERT INTO part VALUES (1), (NULL)",
        "ALTER TABLE whole ATTACH PARTITION part DEFAULT",
    ),
    "rows within the bound above": (
        NESTED, "ALTER TABLE inner_listed ATTACH PARTITION part FOR VALUES FROM (10) TO (20)",
    ),
    "a key of all that is kept": (
        "ALTER TABLE whole ADD UNIQUE (id, k);"
        " INSERT INTO part VALUES (11, 'a'), (11, 'b'), (12, NULL), (12, NULL)", ATTACH,
    ),
    "a reference of all that is kept": (
        "ALTER TABLE whole ADD FOREIGN KEY (id) REFERENCES kinds; INSERT INTO kinds VALUES (11);"
        " INSERT INTO part VALUES (11)", ATTACH,
    ),
    "a default whose rows are its own": (
        DEFAULT, "CREATE TABLE more PARTITION OF whole FOR VALUES FROM (20) TO (30)",
    ),
    "a default that is dropped before": (
        DEFAULT, "DROP TABLE rest; CREATE TABLE more PARTITION OF whole FOR VALUES FROM (10) TO (30)",
    ),
    "a partition that is there": (
        "CREATE TABLE tens PARTITION OF whole FOR VALUES FROM (10) TO (20); "
        "CREATE TABLE rest PARTITION OF whole DEFAULT",
        "CREATE TABLE IF NOT EXISTS tens PARTITION OF whole FOR VALUES FROM (10) TO (20)",
    ),
    "names along the step's own path": (
        "CREATE SCHEMA s; CREATE TABLE s.w (id int) PARTITION BY LIST (id); CREATE TABLE s.p (id int);"
        " INSERT INTO s.p VALUES (1)",
        "SET search_path TO s; ALTER TABLE w ATTACH PARTITION p FOR VALUES IN (1)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_fits_is_go_and_succeeds_on_the_server(name: str, look: Connection) -> None:
    setup, command = GOOD[name]
    look.execute(setup.encode())
    deriving.passes(look, command)


def test_the_copy_that_says_the_bound_leaves_nothing(look: Connection) -> None:
    before = catalog.snapshot(look)
    deriving.answers(look, ATTACH)
    assert catalog.differences(before, catalog.snapshot(look)) == []


def test_a_default_detached_before_only_warns(look: Connection) -> None:
    look.execute(DEFAULT)
    texts = [
        "ALTER TABLE whole DETACH PARTITION rest",
        "CREATE TABLE tens PARTITION OF whole FOR VALUES FROM (10) TO (20)",
    ]
    assert deriving.stopping(look, *texts) == {}
    assert deriving.answers(look, *texts)["002 rows of rest for the new partition of whole"].found.total == 1
