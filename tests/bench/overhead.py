"""What the care costs: the class-code change by this project beside the same SQL files through psql.

    python tests/bench/overhead.py                    up to a million rows, then the observers
    python tests/bench/overhead.py --rows 10000000    up to ten million (needs 20 GB and an hour)
    python tests/bench/overhead.py --only change      times, memory and the cost of every step
    python tests/bench/overhead.py --only observers   what watching costs 100 pgbench connections
    python tests/bench/overhead.py --only panel       what the live panel costs them beside the observers

The change is applied and rolled back on one table again and again, by turns through `pgrunbook apply` and
through psql, one psql for each file: preflight, then each migrate file with its verify file, then timing. "steps"
compares the same SQL: every step with its proof. "whole" is all of it, and on our side more than the same SQL:
the checks of the server and those derived from the statements, verification before and after, and the record.
Sizes ten times smaller each show which steps grow with the table, and whether our memory does.

The observers are switched on and off by turns of four seconds while pgbench reads over 100 connections; each turn
on is compared with the turns off beside it. The figure is the mean loss and its 95 % interval. Two modes: a
step at work, and a step that waits while a reader stands in the way (looks as well as observers). The panel of a
notebook, four frames a second, is measured in the same way, with the observers on in all turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import applying
import observing
from ground import folder, machine, started

from pgrunbook import change as changes

NAME = "010_class_code"
SMALLEST, CONNECTIONS = 10_000, 100
SETTINGS = {"max_wal_size": "8GB"}


def parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", choices=["change", "observers", "panel"], help="one part of it")
    made.add_argument("--rows", type=int, default=1_000_000, help="the largest table (default: 1000000)")
    made.add_argument("--smallest", type=int, default=SMALLEST, help=f"the smallest (default: {SMALLEST})")
    made.add_argument("--rounds", type=int, default=3, help="how often each applies the change (default: 3)")
    made.add_argument("--pairs", type=int, default=40, help="turns on and off of the observers (default: 40)")
    made.add_argument(
        "--connections", type=int, default=CONNECTIONS, help=f"of pgbench (default: {CONNECTIONS})"
    )
    made.add_argument("--folder", type=Path, help="where the server's data lie meanwhile (default: /tmp)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return made


def sizes(smallest: int, largest: int) -> list[int]:
    """Return sizes that grow ten times each.

    >>> sizes(10_000, 1_000_000), sizes(10_000, 50_000), sizes(10, 10)
    ([10000, 100000, 1000000], [10000, 50000], [10])
    """
    found = []
    while smallest < largest:
        found.append(smallest)
        smallest *= 10
    return [*found, largest]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; ends with an error when something did not do its work, never for its figures."""
    given = parser().parse_args(arguments)
    figures: dict[str, object] = {}
    with folder(given.folder) as home, started(home / "server", SETTINGS) as server:
        where = machine(server)
        print(where)
        if given.only in (None, "change"):
            change = changes.load(NAME, root=changes.root_from({}))
            steps = sizes(given.smallest, given.rows)
            results = []
            for rows in steps:
                print(f"{change.name} on {rows:,} rows ...", flush=True)
                results += applying.by_turns(server, change, rows, given.rounds, home)
            applying.report(results, steps)
            figures["change"] = [dataclasses.asdict(one) for one in results]
        for panel in [
            one for one, name in ((False, "observers"), (True, "panel")) if given.only in (None, name)
        ]:
            what = "the live panel and observers" if panel else "observers"
            print(
                f"\n{what} beside {given.connections} connections, {given.pairs} pairs of turns",
                flush=True,
            )
            turns = [
                observing.by_turns(
                    server, mode, pairs=given.pairs, connections=given.connections, home=home, panel=panel
                )
                for mode in observing.MODES
            ]
            observing.report(turns)
            figures["panel" if panel else "observers"] = [dataclasses.asdict(one) for one in turns]
    if given.json:
        given.json.write_text(json.dumps({"machine": where, **figures}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
