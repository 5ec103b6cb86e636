"""What became of a race: its permutations by how they ended, and whether it kept its promises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgrunbook.interleaving import PATIENCE_S, Interleaving, Stage
from pgrunbook.race import Expectation, Race

__all__ = ["Broken", "Outcome", "Result", "label", "run"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The permutations that ended alike: the same rows at the end, and the same errors on the way."""

    label: str
    interleavings: tuple[Interleaving, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """An expectation that does not hold, and the first permutation that shows it, where one alone does."""

    expectation: Expectation
    permutation: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"not in {' '.join(self.permutation)}" if self.permutation else "in none"
        return f"expected {self.expectation}: {where}"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of all permutations of a race, in the order of the file."""

    race: Race
    interleavings: tuple[Interleaving, ...]

    @property
    def happened(self) -> tuple[Interleaving, ...]:
        """Return the permutations that can happen."""
        return tuple(one for one in self.interleavings if one.impossible_at is None)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Return the permutations that can happen by how they ended, in order of first appearance."""
        found: dict[str, list[Interleaving]] = {}
        for one in self.happened:
            found.setdefault(label(one), []).append(one)
        return tuple(Outcome(text, tuple(ones)) for text, ones in found.items())

    @property
    def broken(self) -> tuple[Broken, ...]:
        """Return the expectations that do not hold; raises BadRace for a name that no outcome has."""
        return tuple(self._broken())

    def _broken(self) -> Iterator[Broken]:
        for one in self.race.expectations:
            held = [self._holds(one, interleaving) for interleaving in self.happened]
            if one.somewhere and not any(held):
                yield Broken(one)
            elif not one.somewhere and not all(held):
                yield Broken(one, self.happened[held.index(False)].permutation.names)

    def _holds(self, expectation: Expectation, interleaving: Interleaving) -> bool:
        values = _values(interleaving)
        counted = re.fullmatch(r"[0-9A-Z]{5}", expectation.name)
        if expectation.name not in values and not counted:
            known = ", ".join(values)
            self.race.refuse(
                expectation.line,
                f"no outcome has {expectation.name!r}",
                f"expect one of {known} or an SQLSTATE; a SELECT in a teardown gives an outcome its columns",
            )
        found = values.get(expectation.name, ["0"])
        # A column that came without a row has no value to be wrong, but none to be right either.
        return bool(found) and all(expectation.holds(value) for value in found)


def _values(interleaving: Interleaving) -> dict[str, list[str | None]]:
    failures = [report.failure.sqlstate for report in interleaving.reports if report.failure]
    waits = sum(report.waited for report in interleaving.reports)
    values: dict[str, list[str | None]] = {}
    for rows in interleaving.outcome:
        for number, column in enumerate(rows.columns):
            values.setdefault(column, []).extend(row[number] for row in rows.values)
    values.setdefault("waits", [str(waits)])
    values.setdefault("errors", [str(len(failures))])
    for code in failures:
        values.setdefault(code, [str(failures.count(code))])
    return values


def label(interleaving: Interleaving) -> str:
    """Return how a permutation ended, in words: `duplicates 1, codes 2, error 40001`."""
    rows = [
        ", ".join(
            f"{name} {'NULL' if value is None else value}"
            for name, value in zip(one.columns, row, strict=True)
        )
        for one in interleaving.outcome
        for row in one.values
    ]
    failures = sorted(report.failure.sqlstate for report in interleaving.reports if report.failure)
    errors = [
        f"error {code}{f' {failures.count(code)} times' if failures.count(code) > 1 else ''}"
        for code in dict.fromkeys(failures)
    ]
    return ", ".join(["; ".join(rows)] * bool(rows) + errors) or "no row, no error"


def run(race: Race, conninfo: str, *, patience_s: float = PATIENCE_S) -> Result:
    """Return what becomes of every permutation of a race, on a database that nobody else uses.

    An order that cannot happen is found out once: others that begin alike are not tried. `patience_s` is for one
    permutation, in seconds. Raises RaceFailed.
    """
    done: list[Interleaving] = []
    dead: list[tuple[str, ...]] = []
    with Stage(race.spec, conninfo, race=race.name, patience_s=patience_s) as stage:
        for permutation in race.spec.permutations:
            start = _begun(permutation.names, dead)
            played = Interleaving(permutation, impossible_at=start - 1) if start else stage.play(permutation)
            if played.impossible_at is not None and not start:
                dead.append(permutation.names[: played.impossible_at + 1])
            done.append(played)
    return Result(race, tuple(done))


def _begun(order: tuple[str, ...], dead: Sequence[tuple[str, ...]]) -> int:
    return next((len(start) for start in dead if order[: len(start)] == start), 0)
