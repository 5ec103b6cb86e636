"""What became of a race: how its permutations ended, and one of each kind, moment by moment."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from pgrunbook.interleaving import Interleaving
from pgrunbook.outcome import Outcome, Result
from pgrunbook.racer import Report
from pgrunbook.views.table import to_html, to_text
from pgrunbook.views.text import visible
from pgrunbook.views.units import counted
from pgrunbook.views.view import View

__all__ = ["facts", "in_full", "overview", "race", "summary", "verdict"]

_MOST_ROWS = 5  # of one result, in words


def verdict(result: Result) -> str:
    """Return what became of a race, in one line."""
    ended = "; ".join(f"{visible(one.label)} in {len(one.interleavings)}" for one in result.outcomes)
    kept = "as expected" if not result.broken else "NOT AS EXPECTED: " + "; ".join(map(str, result.broken))
    return f"{result.race.name}: {_counts(result)}: {ended}; {visible(kept)}"


def _counts(result: Result) -> str:
    return f"{len(result.happened)} of {counted(len(result.interleavings), 'permutation')} can happen"


def race(result: Result) -> View:
    """Return a race for a notebook: outcomes, the steps, and one permutation of each outcome as a timeline."""
    steps = [
        {"session": session.name, "step": step.name, "SQL": " ".join(step.sql.split())}
        for session in result.race.spec.sessions
        for step in session.steps
        if step.name not in result.race.spec.unused
    ]
    tables = [
        to_html(_outcomes(result), caption=f"{result.race.title}: {_counts(result)}"),
        to_html(steps, caption="the steps"),
    ]
    tables += [_timeline(result, outcome) for outcome in result.outcomes]
    return View(verdict(result), html="\n".join(tables), facts={"race": result.race.name})


def _outcomes(result: Result) -> list[dict[str, object]]:
    return [
        {
            "permutations": len(outcome.interleavings),
            "how they end": outcome.label,
            "the first of them": " ".join(outcome.interleavings[0].permutation.names),
        }
        for outcome in result.outcomes
    ]


def _timeline(result: Result, outcome: Outcome) -> str:
    """Return one permutation of an outcome: a column for each session, a row for each moment."""
    shown = _example(outcome)
    sessions = [session.name for session in result.race.spec.sessions]
    moment = "moment"
    while moment in sessions:
        moment += " "
    rows = []
    for number in range(len(shown.permutation.turns)):
        row: dict[str, object] = {moment: number + 1, **dict.fromkeys(sessions, "-")}
        for report in shown.reports:
            name = report.turn.step.name
            if report.launched == number:
                row[report.turn.step.session] = f"{name}: {_at_launch(report)}"
            elif report.launched < number < report.done:
                row[report.turn.step.session] = "waits"
            elif report.done == number:
                row[report.turn.step.session] = f"{name} goes on: {said(report)}"
        rows.append(row)
    return to_html(rows, [moment, *sessions], caption=f"one that ends with {outcome.label}", cap=None)


def _example(outcome: Outcome) -> Interleaving:
    """Return the permutation in which the sessions meet most often, and of those where they meet first."""

    def meetings(one: Interleaving) -> tuple[int, int]:
        order = [turn.step.session for turn in one.permutation.turns]
        changes = [number for number, (a, b) in enumerate(itertools.pairwise(order)) if a != b]
        return len(changes), -min(changes, default=0)

    return max(outcome.interleavings, key=meetings)


def _at_launch(report: Report) -> str:
    if not report.waited:
        return said(report)
    waits = f"waits for {' and '.join(report.waited_for)}" if report.waited_for else "is held back"
    return f"{waits}, then goes on: {said(report)}" if report.done == report.launched else waits


def said(report: Report) -> str:
    """Return what a step gave, in words: its rows, its notices, its error."""
    parts = [
        ", ".join(
            f"{name} {'NULL' if value is None else value}"
            for name, value in zip(rows.columns, row, strict=True)
        )
        for rows in report.rows
        for row in rows.values[:_MOST_ROWS]
    ]
    for rows in report.rows:
        if not rows.values:
            parts.append("no row")
        elif len(rows.values) > _MOST_ROWS:
            parts.append(f"{counted(len(rows.values), 'row')} in all")
    parts += report.notices
    if report.failure is not None:
        parts.append(f"ERROR {report.failure.sqlstate}: {report.failure.message}")
    return "; ".join(parts) or "done"


def overview(results: Sequence[Result], *, listed: bool = True) -> View:
    """Return whether all races ended as they promise, with a picture, and a row for each where `listed`.

    What notebook tests compare, the verdict, is the same with a race more in the folder; a list is not.
    """
    rows = [
        {
            "race": result.race.name,
            "shows": result.race.title,
            "on": result.race.on or "an empty database",
            "permutations": len(result.interleavings),
            "can happen": len(result.happened),
            "result": "broken" if result.broken else "holds",
        }
        for result in results
    ]
    broken = [result.race.name for result in results if result.broken]
    said = f"NOT AS EXPECTED: {', '.join(broken)}" if broken else "every race ends as its file expects"
    # What draws takes long to load: nobody should wait for it who sees no picture.
    from pgrunbook.views.endings import endings

    picture = endings(results)
    html = to_html(rows, caption=said, cap=None) if listed else None
    kept = {"races": rows, "broken": broken, "picture": picture.alt}
    return View(said, html=html, png=picture.png, svg=picture.svg, facts=kept)


def in_full(result: Result) -> str:
    """Return the whole of a race as text: the same bytes on every run, to be compared with a file."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: Result) -> Iterator[str]:
    yield f"{result.race.name}: {visible(result.race.title)}"
    yield _counts(result)
    if result.race.spec.unused:
        yield f"unused steps: {visible(', '.join(result.race.spec.unused))}"
    broken = [miss.expectation for miss in result.broken]
    for expectation in result.race.expectations:
        yield f"expect {expectation}: {'BROKEN' if expectation in broken else 'holds'}"
    for number, outcome in enumerate(result.outcomes, 1):
        yield ""
        yield f"outcome {number}: {visible(outcome.label)} ({counted(len(outcome.interleavings), 'permutation')})"
        for one in outcome.interleavings:
            yield f"    {visible(' '.join(one.permutation.names))}"
        yield from _moments(_example(outcome))


def _moments(shown: Interleaving) -> Iterator[str]:
    rows = []
    for number in range(len(shown.permutation.turns)):
        reports = [report for report in shown.reports if report.launched == number]
        reports += sorted(
            (one for one in shown.reports if one.done == number and one.launched < number),
            key=lambda one: one.ended,
        )
        for report in reports:
            again = report.launched < number
            after = f" after {report.released_by}" if report.released_by else ""
            words = f"goes on{after}: {said(report)}" if again else _at_launch(report)
            step = report.turn.step
            rows.append({"moment": number + 1, "session": step.session, "step": step.name, "what": words})
    widths = {key: max(len(visible(row[key])) for row in rows) for key in ("session", "step")}
    for row in rows:
        names = [visible(row[key]).ljust(width) for key, width in widths.items()]
        yield f"  {row['moment']:>3}  {'  '.join(names)}  {visible(row['what'])}".rstrip()


def summary(results: Sequence[Result]) -> str:
    """Return one line for each race as a table for a terminal."""
    rows = [
        {
            "race": result.race.name,
            "permutations": len(result.interleavings),
            "can happen": len(result.happened),
            "outcomes": len(result.outcomes),
            "result": "BROKEN" if result.broken else "holds",
        }
        for result in results
    ]
    return to_text(rows, cap=None)


def facts(result: Result) -> dict[str, object]:
    """Return what became of a race, for machines."""
    return {
        "race": result.race.name,
        "title": result.race.title,
        "on": result.race.on,
        "permutations": len(result.interleavings),
        "happened": len(result.happened),
        "unused": list(result.race.spec.unused),
        "outcomes": [
            {"label": one.label, "permutations": [" ".join(i.permutation.names) for i in one.interleavings]}
            for one in result.outcomes
        ],
        "broken": [str(miss) for miss in result.broken],
    }
