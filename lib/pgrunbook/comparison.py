"""Two runs of one change, held against each other: what differs and matters to an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pgrunbook.account import NOT_RUN, Account, Side
from pgrunbook.dossier import Dossier
from pgrunbook.errors import NotComparable

__all__ = ["Comparison", "Part", "Query", "Side", "Step", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step in both runs, first and second; None where it did not run or was not measured."""

    name: str
    ends: tuple[str, str]
    seconds: tuple[float | None, float | None]
    waited_s: tuple[float | None, float | None]
    held_ms: tuple[float | None, float | None]
    worst_stall_ms: tuple[float | None, float | None]
    attempts: tuple[int | None, int | None]

    @property
    def ratio(self) -> float | None:
        """Return how many times as long the second run took."""
        first, second = self.seconds
        return second / first if first and second is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the comparison: a deterministic verdict, and the rows that differ."""

    name: str
    verdict: str
    differs: bool
    rows: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The median of one query in both runs, first and second; None where it was not timed."""

    name: str
    before_ms: tuple[float | None, float | None]
    after_ms: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs between two runs."""

    change: str
    first: Side
    second: Side
    parts: tuple[Part, ...]
    steps: tuple[Step, ...]
    queries: tuple[Query, ...]

    @property
    def differing(self) -> list[str]:
        """Return the names of the parts that differ."""
        return [part.name for part in self.parts if part.differs]


def compare(first: Dossier, second: Dossier) -> Comparison:
    """Return what differs from the first run to the second; raises NotComparable for runs of two changes."""
    one, other = Account(first), Account(second)
    if one.change != other.change:
        raise NotComparable(
            runs=(first.run_id, second.run_id), changes=(one.change or "none", other.change or "none")
        )
    steps = _steps(one, other)
    parts = (
        _outcomes(one, other),
        _steps_part(steps),
        _stalls(one, other),
        _mapped("scripts", "file", "files", one.scripts, other.scripts),
        _locks(one, other),
        _mapped("checks", "check", "checks", one.checks, other.checks),
        _mapped("verification", "check", "proofs", one.verified, other.verified),
        _mapped("remedies", "remedy", "remedies", one.remedies, other.remedies),
        _mapped("plans", "query", "plans", one.plans, other.plans),
        _mapped("approvals", "what", "gates", one.approvals, other.approvals),
        _mapped("settings", "what", "settings", one.settings, other.settings),
        _mapped("versions", "what", "versions", one.versions, other.versions),
        *([_unread(one, other)] if one.unread or other.unread else []),
    )
    return Comparison(
        change=one.change,
        first=one.side,
        second=other.side,
        parts=parts,
        steps=steps,
        queries=_queries(one, other),
    )


def _steps(one: Account, other: Account) -> tuple[Step, ...]:
    files = {*one.scripts, *other.scripts}
    known = [file[len("migrate/") : -len(".sql")] for file in files if file.startswith("migrate/")]
    names = sorted(name for name in known if one.end(name) != NOT_RUN or other.end(name) != NOT_RUN)

    def both(
        name: str, key: str, pick: Callable[[Iterable[float]], float]
    ) -> tuple[float | None, float | None]:
        return one.measured(name, key, pick), other.measured(name, key, pick)

    def last(figures: Iterable[float]) -> float:
        return [*figures][-1]

    def asked(told: Account, name: str) -> int | None:
        number = told.measured(name, "attempts", last)
        return None if number is None else int(number)

    return tuple(
        Step(
            name=name,
            ends=(one.end(name), other.end(name)),
            seconds=both(name, "seconds", last),
            waited_s=both(name, "waited_s", last),
            held_ms=both(name, "held_ms", max),
            worst_stall_ms=both(name, "worst_stall_ms", max),
            attempts=(asked(one, name), asked(other, name)),
        )
        for name in names
    )


def _queries(one: Account, other: Account) -> tuple[Query, ...]:
    def both(name: str, when: str) -> tuple[float | None, float | None]:
        return one.medians.get((name, when)), other.medians.get((name, when))

    names = dict.fromkeys(name for name, _ in (*one.medians, *other.medians))
    return tuple(
        Query(name=name, before_ms=both(name, "before"), after_ms=both(name, "after")) for name in names
    )


def _unread(one: Account, other: Account) -> Part:
    """Return what cannot be read in the usual way, and so is not compared."""
    first, second = one.unread, other.unread
    rows = tuple(
        {"event": key, "first": first.get(key, "-"), "second": second.get(key, "-")}
        for key in {**first, **second}
    )
    verdict = f"{len(rows)} not compared as a whole: what they say cannot be read in the usual way"
    return Part(name="unread events", verdict=verdict, differs=True, rows=rows)


def _outcomes(one: Account, other: Account) -> Part:
    ends = one.side.outcome, other.side.outcome
    same = ends[0] == ends[1]
    return Part(
        name="outcome",
        verdict=f"{ends[0]} in both" if same else f"{ends[0]}, then {ends[1]}",
        differs=not same,
    )


def _steps_part(steps: tuple[Step, ...]) -> Part:
    other = [step for step in steps if step.ends[0] != step.ends[1]]
    rows = tuple({"step": step.name, "first": step.ends[0], "second": step.ends[1]} for step in other)
    if not steps:
        return Part(name="steps", verdict="none ran in either", differs=False)
    if not other:
        return Part(name="steps", verdict=f"all {len(steps)} ended alike", differs=False)
    return Part(
        name="steps", verdict=f"{len(other)} of {len(steps)} ended otherwise", differs=True, rows=rows
    )


def _stalls(one: Account, other: Account) -> Part:
    over = one.side.over, other.side.over
    verdict = {
        (False, False): "within the budget in both",
        (True, True): "OVER the budget in both",
        (True, False): "OVER the budget in the first",
        (False, True): "OVER the budget in the second",
        (None, None): "not known in either",
        (None, False): "not known in the first",
        (False, None): "not known in the second",
        (None, True): "OVER the budget in the second, not known in the first",
        (True, None): "OVER the budget in the first, not known in the second",
    }[over]
    return Part(name="stalls", verdict=verdict, differs=over[0] != over[1])


def _locks(one: Account, other: Account) -> Part:
    """Compare what each file of the change declares and took on the clone."""

    def taken(told: Account) -> dict[str, str]:
        return {
            row[
                "file"
            ]: f"declared {'; '.join(row['declared']) or 'none'}, took {'; '.join(row['observed']) or 'none'}"
            for row in told.last("rehearsed").get("locks", [])
        }

    held = taken(one), taken(other)
    if not held[0] and not held[1]:
        return Part(name="locks", verdict="rehearsed in neither", differs=False)
    if not held[0] or not held[1]:
        where = "first" if held[0] else "second"
        return Part(name="locks", verdict=f"rehearsed only in the {where}", differs=True)
    return _mapped("locks", "file", "files", *held)


def _mapped(
    name: str,
    column: str,
    noun: str,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
) -> Part:
    """Return a part of things by name that are alike or not."""
    every = list(dict.fromkeys([*first, *second]))
    rows = tuple(
        {
            column: key,
            "first": str(first[key]) if key in first else "not there",
            "second": str(second[key]) if key in second else "not there",
        }
        for key in every
        if first.get(key) != second.get(key)
    )
    if not every:
        return Part(name=name, verdict="none in either", differs=False)
    if not rows:
        return Part(name=name, verdict=f"{len(every)} {noun}, all alike", differs=False)
    which = ", ".join(str(row[column]) for row in rows[:3]) + (", ..." if len(rows) > 3 else "")
    return Part(
        name=name, verdict=f"{len(rows)} of {len(every)} {noun} differ: {which}", differs=True, rows=rows
    )
