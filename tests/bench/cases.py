"""The situations in which the tools are compared: tables, traffic on them, and who stays in the way."""

from __future__ import annotations

from dataclasses import dataclass

from tools import Task
from visitors import Visit

__all__ = ["ROWS", "Case", "hard", "one_reader"]

ROWS, PARTITIONS = 200_000, 16


@dataclass(frozen=True, slots=True)
class Case:
    """One situation; `visits` are who is there before the tool starts, `window_s` how long it may try."""

    name: str
    setup: str
    traffic: tuple[str, ...]
    task: Task
    visits: tuple[Visit, ...]
    window_s: float = 60.0

    @property
    def comes_back(self) -> bool:
        """Return whether somebody comes again and again, so that there is no moment when all are gone."""
        return any(visit.again for visit in self.visits)


def one_reader(rows: int = ROWS, seconds: float = 5.0) -> Case:
    """Return the ordinary situation: a reader whose transaction stays open."""
    return Case(
        "a reader stays in its transaction",
        _table("hot", rows),
        _traffic("hot", rows),
        _checked("hot"),
        (Visit.once(_read("hot"), seconds),),
    )


def hard(rows: int = ROWS) -> tuple[Case, ...]:
    """Return the situations that are harder."""
    setup, traffic, read, checked = _table("hot", rows), _traffic("hot", rows), _read("hot"), _checked("hot")
    stays = Visit.once(read, 5.0)
    return (
        Case(
            "two tables in one step",
            setup + _table("warm", rows),
            traffic + _traffic("warm", rows),
            _checked("hot", "warm"),
            (Visit.once(_read("warm"), 5.0),),
        ),
        Case(
            "a foreign key to a hot table",
            f"{setup} CREATE TABLE leaf (id int PRIMARY KEY, hot_id int);"
            f" INSERT INTO leaf SELECT i, i FROM generate_series(1, {rows}) AS i;",
            (*traffic, f"\\set id random(2, {rows})\nUPDATE leaf SET hot_id = :id WHERE id = :id;"),
            Task(
                "ALTER TABLE leaf ADD CONSTRAINT leaf_hot FOREIGN KEY (hot_id) REFERENCES hot NOT VALID;",
                "ShareRowExclusive on hot; ShareRowExclusive on leaf",
                ("leaf_hot",),
            ),
            (Visit.once("UPDATE hot SET amount = 0 WHERE id = 1", 5.0),),
        ),
        Case(
            f"a table of {PARTITIONS} partitions", _table("hot", rows, PARTITIONS), traffic, checked, (stays,)
        ),
        Case(
            "a reader who comes back after 50 ms",
            setup,
            traffic,
            checked,
            (Visit(read, (3.0, 3.0), (0.05, 0.05), again=True),),
            window_s=40.0,
        ),
        Case(
            "three readers, seldom a gap",
            setup,
            traffic,
            checked,
            tuple(Visit(read, (0.1, 0.4), (0.05, 0.3), n / 10, again=True) for n in range(3)),
            window_s=40.0,
        ),
        Case(
            "three readers, never a gap",
            setup,
            traffic,
            checked,
            tuple(Visit(read, (0.6, 0.6), (0.0, 0.0), n / 5, again=True) for n in range(3)),
            window_s=15.0,
        ),
    )


def _table(name: str, rows: int, partitions: int = 0) -> str:
    kind = "PARTITION BY HASH (id)" if partitions else ""
    parts = [
        f"CREATE TABLE {name}_{n} PARTITION OF {name} FOR VALUES WITH (MODULUS {partitions}, REMAINDER {n});"
        for n in range(partitions)
    ]
    return (
        f"CREATE TABLE {name} (id int PRIMARY KEY, amount int NOT NULL, note text) {kind};{''.join(parts)}"
        f"INSERT INTO {name} SELECT i, 0, 'row ' || i FROM generate_series(1, {rows}) AS i;"
    )


def _traffic(name: str, rows: int) -> tuple[str, ...]:
    """Return a reader and a writer; row 1 is left to visitors."""
    pick = f"\\set id random(2, {rows})\n"
    return (
        f"{pick}SELECT note FROM {name} WHERE id = :id;",
        f"{pick}UPDATE {name} SET amount = amount + 1 WHERE id = :id;",
    )


def _checked(*names: str) -> Task:
    """Return the task of adding a CHECK constraint to each table."""
    adds = [f"ALTER TABLE {n} ADD CONSTRAINT {n}_amount CHECK (amount >= 0) NOT VALID;" for n in names]
    locks = "; ".join(f"AccessExclusive on {n}" for n in names)
    return Task("\n".join(adds), locks, tuple(f"{n}_amount" for n in names))


def _read(name: str) -> str:
    return f"SELECT amount FROM {name} WHERE id = 1"
