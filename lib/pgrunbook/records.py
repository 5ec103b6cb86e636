"""Commands for many records: list runs, compare two of them, print the schema of their facts."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from importlib import resources

from pgrunbook import comparison, places, session, shelf, target
from pgrunbook.errors import BadDossier
from pgrunbook.headless import say
from pgrunbook.ledger import Ledger
from pgrunbook.loading import load_notebook_libraries
from pgrunbook.views import runs

__all__ = ["compare", "describe_compare", "describe_records", "ledger_of_target", "records", "schema"]


def describe_records(sub: argparse.ArgumentParser) -> None:
    """Add what `records` understands."""
    sub.add_argument("change", nargs="?", help="one change (default: all)")
    sub.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of record.json instead; needs no target"
    )


def describe_compare(sub: argparse.ArgumentParser) -> None:
    """Add what `compare` understands."""
    for name in ("first", "second"):
        sub.add_argument(
            name, metavar=name.upper(), help="a run, or a record's file: record.html or record.json"
        )


def schema() -> str:
    """Return the JSON Schema (draft 2020-12) of the facts of a run, as it is published."""
    return resources.files("pgrunbook").joinpath("schemas", "record-1.json").read_text(encoding="utf-8")


@contextlib.contextmanager
def ledger_of_target() -> Iterator[Ledger | None]:
    """Give the ledger of the target that the environment names; None where it names none."""
    if not os.environ.get("PGRUNBOOK_TARGET", "").strip():
        yield None
        return
    bound = target.from_environment(os.environ)
    with session.connect(bound, purpose="records") as conn:
        session.bind(conn, bound, for_change=False)
        yield Ledger(conn, bound)


def records(given: argparse.Namespace) -> int:
    """List the runs of the target's ledger, or without a target those in the records folder."""
    if given.schema:
        print(schema(), end="")
        return 0
    folder = places.records()
    with ledger_of_target() as ledger:
        if ledger is None:
            where, found = f"in {folder}", shelf.in_folder(folder, change=given.change)
        else:
            where = f"in the ledger of {ledger.target.where}"
            found = shelf.in_ledger(ledger, change=given.change, folder=folder)
    of = f"of {given.change} " if given.change else ""
    say(given, runs.in_words(found, where=f"{of}{where}"), {"where": where, "runs": runs.facts(found)})
    return 0


def compare(given: argparse.Namespace) -> int:
    """Hold two runs of one change against each other."""
    load_notebook_libraries()
    from pgrunbook.views import comparison as side_by_side

    with ledger_of_target() as ledger:
        held = [
            shelf.find(name, folder=places.records(), ledger=ledger) for name in (given.first, given.second)
        ]
    try:
        found = comparison.compare(*held)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # whatever somebody made of a file
        raise BadDossier(
            file=f"{given.first} or {given.second}",
            found=f"its facts tell no run ({type(error).__name__}: {error})",
        ) from None
    say(given, side_by_side.in_words(found), side_by_side.facts(found))
    return 0
