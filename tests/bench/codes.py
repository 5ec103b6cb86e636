"""Class codes: how fast, how long the waits, and whether a code is ever given twice or left out.

    python tests/bench/codes.py                    all of it, about five minutes
    python tests/bench/codes.py --only creation    100,000 classes at 16 and at 64 writers
    python tests/bench/codes.py --quick            the same in small, some seconds; the figures mean nothing

generation   next_class_code beside a bare UPDATE of its counter, by turns: the ratio of codes per second
creation     100,000 classes of one prefix, every 20th rolled back: duplicates, gaps, p50, p99, the longest
methods      every method at 1 to 64 writers, on one hot prefix and on many
snapshot     what a REPEATABLE READ reader of 30 s does to the hot counter, at fillfactor 50 and 100
fallbacks    10,000 classes through the Python side, without faults and with lock timeouts injected

All writers are sessions of pgbench, but for the fallbacks. "durable": every commit waits for the disk, as is
PostgreSQL's default; else none does, so that the disk is not what is measured. A duplicate, a gap or an
uncounted fallback ends it with exit code 1; times never do.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import fallbacks
import snapshots
from figures import against, columns, ms
from ground import folder, machine, started

from pgrunbook.server import Server
from pgrunbook.workloads import contest, numbering
from pgrunbook.workloads.contest import HOT, MANY, Result
from pgrunbook.workloads.numbering import BARE_COUNTER, GENERATOR_ALONE, NEXT_CLASS_CODE, Promise

RATIO, P99_MS = 0.8, 50.0
PARTS = ("generation", "creation", "methods", "snapshot", "fallbacks")
SETTINGS = {"max_wal_size": "8GB"}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    rounds: int
    ratio_codes: int
    by_turns: tuple[int, ...]
    creations: tuple[tuple[int, int, bool], ...]
    method_codes: int
    writers: tuple[int, ...]
    quiet_s: float
    open_s: float
    faulty: int
    limit_s: float


CREATIONS = ((16, 100_000, False), (64, 100_000, False), (16, 20_000, True))  # writers, codes, durable
FULL = Scale(5, 1_000, (1, 16, 64), CREATIONS, 640, (1, 4, 16, 64), 3.0, 30.0, 10_000, 120.0)
QUICK = Scale(1, 80, (16,), ((16, 200, False),), 40, (4,), 0.3, 0.4, 160, 20.0)
# The same table and the same index entries without a function: what a class costs at least.
BARE_CLASS = dataclasses.replace(
    BARE_COUNTER,
    name="bare counter and class",
    statements="WITH next AS (UPDATE class_code_counters SET last_number = last_number + 1"
    " WHERE prefix = {prefix} RETURNING prefix, last_number)"
    " INSERT INTO classes (class_code) SELECT numbered(prefix, last_number) FROM next;\n",
    setup=f"{BARE_COUNTER.setup} ALTER TABLE classes DISABLE TRIGGER class_code_guard;",
    creates_classes=True,
)
BY_TURNS = (BARE_COUNTER, GENERATOR_ALONE, BARE_CLASS, NEXT_CLASS_CODE)


def generation(server: Server, scale: Scale) -> list[tuple[bool, Result]]:
    """Return the results of the four by turns, each with whether its commits waited for the disk."""
    found = []
    with contextlib.ExitStack() as stack:
        places = [(method, stack.enter_context(contest.prepared(server, method))) for method in BY_TURNS]
        for durable in (True, False):
            for writers in scale.by_turns:
                # One session alone would wait for the disk and for nothing else.
                for number in range(0 if durable and writers == 1 else scale.rounds):
                    for method, conninfo in places if number % 2 else reversed(places):
                        result = contest.measure(
                            server,
                            conninfo,
                            method,
                            writers=writers,
                            codes=scale.ratio_codes,
                            undone_of=0,
                            limit_s=scale.limit_s,
                            durable=durable,
                        )
                        found.append((durable, result))
    return found


def report_generation(found: Sequence[tuple[bool, Result]]) -> None:
    """Print the medians, and the ratios of what was measured side by side."""
    rows = []
    targets = []
    for durable in (True, False):
        for writers in sorted({one.writers for waited, one in found if waited == durable}):
            of: dict[str, list[Result]] = {}
            for waited, one in found:
                if (waited, one.writers) == (durable, writers):
                    of.setdefault(one.method, []).append(one)
            rates = {
                name: statistics.median(one.codes_per_second for one in mine) for name, mine in of.items()
            }
            alone = _ratio(of[GENERATOR_ALONE.name], of[BARE_COUNTER.name])
            whole = _ratio(of[NEXT_CLASS_CODE.name], of[BARE_CLASS.name])
            p99 = statistics.median(one.p99_ms for one in of[GENERATOR_ALONE.name])
            rows.append(
                [
                    f"{writers}, {'durable' if durable else 'commits do not wait'}",
                    *[f"{rates[method.name]:,.0f}" for method in BY_TURNS[:2]],
                    f"{alone:.2f}",
                    ms(p99),
                    *[f"{rates[method.name]:,.0f}" for method in BY_TURNS[2:]],
                    f"{whole:.2f}",
                ]
            )
            how = f"{writers} writers{'' if durable else ', commits not waiting'}"
            if durable or writers == 16:
                targets.append(against(f"{how}: {alone:.2f} of it", f"at least {RATIO}", alone >= RATIO))
            if writers == 16:
                targets.append(against(f"{how}: p99 {ms(p99)} ms", f"below {P99_MS:.0f}", p99 < P99_MS))
    heads = ["writers", "bare counter/s", "next_class_code/s", "ratio", "its p99 ms"]
    print(columns([*heads, "bare with class/s", "class created/s", "ratio"], rows))
    print("\n".join(targets))


def _ratio(ours: Sequence[Result], bare: Sequence[Result]) -> float:
    pairs = zip(ours, bare, strict=True)
    return statistics.median(one.codes_per_second / other.codes_per_second for one, other in pairs)


def creation(server: Server, scale: Scale) -> list[Result]:
    """Return what came of many classes of one prefix at each number of writers."""
    with contest.prepared(server, NEXT_CLASS_CODE) as conninfo:
        return [
            contest.measure(
                server,
                conninfo,
                NEXT_CLASS_CODE,
                writers=writers,
                codes=codes,
                limit_s=scale.limit_s,
                durable=durable,
            )
            for writers, codes, durable in scale.creations
        ]


def report_results(results: Sequence[Result]) -> list[str]:
    """Print the results as a table and return the promises that were not kept."""
    rows = [
        [
            one.method,
            str(one.writers),
            str(one.prefixes),
            f"{one.codes:,}{'*' if one.stopped else ''}",
            *["-" if count is None else f"{count:,}" for count in (one.duplicates, one.gaps)],
            f"{one.retries:,}",
            f"{one.codes_per_second:,.0f}",
            *[ms(value) for value in (one.p50_ms, one.p99_ms, one.max_ms)],
        ]
        for one in results
    ]
    heads = ["method", "writers", "prefixes", "codes", "duplicates", "gaps", "retries", "codes/s"]
    print(columns([*heads, "p50 ms", "p99 ms", "max ms"], rows))
    if any(one.stopped for one in results):
        print("* stopped when its time was over")
    return [f"{one.method} at {one.writers} writers: {said}" for one in results if (said := _broken(one))]


def _broken(one: Result) -> str:
    promise = numbering.named(one.method).promise
    if promise is not Promise.NOTHING and one.duplicates:
        return f"{one.duplicates:,} duplicates"
    if promise is Promise.NO_DUPLICATE_NO_GAP and one.gaps:
        return f"{one.gaps:,} gaps"
    return "" if one.stopped or one.codes == one.wanted else f"{one.codes:,} codes, {one.wanted:,} were asked"


def parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", choices=PARTS, help="one part of it")
    made.add_argument("--quick", action="store_true", help="see that it works, in some seconds")
    made.add_argument("--folder", type=Path, help="where the server's data lie meanwhile (default: /tmp)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a promise was not kept, never for the times."""
    given = parser().parse_args(arguments)
    scale = QUICK if given.quick else FULL
    parts = [given.only] if given.only else PARTS
    figures: dict[str, object] = {}
    wrong: list[str] = []
    with folder(given.folder) as home, started(home / "server", SETTINGS) as server:
        figures["machine"] = machine(server)
        print(figures["machine"])
        if "generation" in parts:
            _head(f"one hot prefix, median of {scale.rounds} rounds by turns")
            turns = generation(server, scale)
            report_generation(turns)
            figures["generation"] = [{"durable": durable, **_plain(one)} for durable, one in turns]
        if "creation" in parts:
            _head(f"classes of one prefix, one in {contest.UNDONE_OF} rolled back")
            results = creation(server, scale)
            wrong += report_results(results)
            for (writers, _, durable), one in zip(scale.creations, results, strict=True):
                how = "commits wait for the disk" if durable else "commits do not wait"
                if writers == 16:
                    found = f"whole creation at 16 writers, {how}: p99 {ms(one.p99_ms)} ms"
                    print(against(found, f"below {P99_MS:.0f}", one.p99_ms < P99_MS))
            figures["creation"] = [_plain(one) for one in results]
        if "methods" in parts:
            _head("every method; commits do not wait for the disk")
            results = list(
                contest.hold(
                    server,
                    writers=scale.writers,
                    prefixes=(HOT, MANY),
                    codes=scale.method_codes,
                    limit_s=min(scale.limit_s, 2.0),
                )
            )
            wrong += report_results(results)
            figures["methods"] = [_plain(one) for one in results]
        if "snapshot" in parts:
            _head(f"{snapshots.WRITERS} writers on one counter while a REPEATABLE READ reader stays")
            piles = [
                snapshots.measure(server, percent, quiet_s=scale.quiet_s, open_s=scale.open_s)
                for percent in (50, 100)
            ]
            snapshots.report(piles)
            figures["snapshot"] = [dataclasses.asdict(one) for one in piles]
        if "fallbacks" in parts:
            _head(f"{scale.faulty:,} classes through the Python side, {fallbacks.WRITERS} threads")
            faults = [fallbacks.measure(server, scale.faulty, held=held) for held in (False, True)]
            wrong += fallbacks.report(faults)
            figures["fallbacks"] = [dataclasses.asdict(one) for one in faults]
    if given.json:
        given.json.write_text(json.dumps({**figures, "wrong": wrong}, indent=2) + "\n", encoding="utf-8")
    for said in wrong:
        print(f"FAILED: {said}")
    return 1 if wrong else 0


def _head(text: str) -> None:
    print(f"\n{text} ...", flush=True)


def _plain(one: Result) -> dict[str, object]:
    return {**dataclasses.asdict(one), "codes_per_second": one.codes_per_second}


if __name__ == "__main__":
    sys.exit(main())
