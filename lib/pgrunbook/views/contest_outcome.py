"""What came out of the contest of numbering methods, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Protocol

from pgrunbook.views.units import counted

__all__ = [
    "Kind",
    "Result",
    "figures",
    "kind_of",
    "methods",
    "names_of_prefixes",
    "outcome",
    "rate",
    "verdict",
]


class Kind(Enum):
    """What a method did, in the order in which the verdict tells it."""

    CLEAN = "no duplicate, no gap"
    GAPS = "no duplicate, but gaps"
    DUPLICATES = "duplicates"
    NOTHING = "no code at all"
    YARDSTICK = "no class to number"


class Result(Protocol):
    """What one method did with so many writers on so many prefixes; times in ms."""

    @property
    def method(self) -> str: ...  # noqa: D102
    @property
    def writers(self) -> int: ...  # noqa: D102
    @property
    def prefixes(self) -> int: ...  # noqa: D102
    @property
    def wanted(self) -> int: ...  # noqa: D102
    @property
    def codes(self) -> int: ...  # noqa: D102
    @property
    def duplicates(self) -> int | None: ...  # noqa: D102
    @property
    def gaps(self) -> int | None: ...  # noqa: D102
    @property
    def retries(self) -> int: ...  # noqa: D102
    @property
    def codes_per_second(self) -> float: ...  # noqa: D102
    @property
    def p50_ms(self) -> float: ...  # noqa: D102
    @property
    def p99_ms(self) -> float: ...  # noqa: D102
    @property
    def max_ms(self) -> float: ...  # noqa: D102
    @property
    def stopped(self) -> bool: ...  # noqa: D102


def kind_of(results: Sequence[Result]) -> Kind:
    """Return what one method did in all of its results."""
    if not any(one.codes for one in results):
        return Kind.NOTHING
    if all(one.duplicates is None for one in results):
        return Kind.YARDSTICK
    if any(one.duplicates for one in results):
        return Kind.DUPLICATES
    return Kind.GAPS if any(one.gaps for one in results) else Kind.CLEAN


def methods(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Return the results of every method by its name, in the order they took part."""
    found: dict[str, list[Result]] = {}
    for one in results:
        found.setdefault(one.method, []).append(one)
    return found


def verdict(results: Sequence[Result]) -> str:
    """Return one line that says what holds on every run: who gave duplicates, who left gaps, and who neither."""
    parts = []
    for kind in Kind:
        names = [name for name, mine in methods(results).items() if kind_of(mine) is kind]
        if names and kind is not Kind.YARDSTICK:
            parts.append(f"{kind.value}: {', '.join(names)}")
    if not parts:
        return "no method created a class"
    return f"{_range(one.writers for one in results)} writers; {'; '.join(parts)}"


def _range(numbers: Iterable[int]) -> str:
    known = sorted(set(numbers))
    return str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"


def names_of_prefixes(prefixes: int) -> str:
    """Return among how many prefixes the classes were created.

    >>> names_of_prefixes(1), names_of_prefixes(64)
    ('one hot prefix', '64 prefixes')
    """
    return "one hot prefix" if prefixes == 1 else f"{prefixes} prefixes"


def rate(value: float) -> str:
    """Return a rate with as many digits as it is worth.

    >>> rate(21345), rate(987.4), rate(42.42)
    ('21,300', '987', '42')
    """
    return f"{round(value, -2):,.0f}" if value >= 10_000 else f"{value:,.0f}"


def outcome(one: Result) -> str:
    """Return what the table showed afterwards."""
    if one.duplicates is None:
        return Kind.YARDSTICK.value
    found = [
        counted(one.duplicates, "duplicate") if one.duplicates else "no duplicate",
        counted(one.gaps, "gap") if one.gaps else "no gap",
    ]
    if one.retries:
        found.append(counted(one.retries, "retry", "retries"))
    if one.stopped:
        found.append(f"stopped at {one.codes:,}")
    return ", ".join(found)


def figures(one: Result) -> dict[str, object]:
    """Return all figures by name."""
    return {
        "method": one.method,
        "writers": one.writers,
        "prefixes": one.prefixes,
        "codes": one.codes,
        "wanted": one.wanted,
        "duplicates": one.duplicates,
        "gaps": one.gaps,
        "retries": one.retries,
        "codes per second": round(one.codes_per_second),
        "p50 ms": round(one.p50_ms, 3),
        "p99 ms": round(one.p99_ms, 3),
        "max ms": round(one.max_ms, 3),
        "stopped": one.stopped,
    }
