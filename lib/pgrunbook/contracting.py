"""The command for contracts: made from the catalog of the applied change, written or compared."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pgrunbook import change as changes
from pgrunbook import made, scratch
from pgrunbook.contracts import making
from pgrunbook.errors import MadeFilesDiffer
from pgrunbook.headless import EmbeddedServer, say

__all__ = ["contracts"]


def contracts(given: argparse.Namespace) -> int:
    """Write the contract of a change or, with `--check`, compare it with the files that are there.

    Raises MadeFilesDiffer where they are not what the catalog says.
    """
    root = changes.root_from(os.environ)
    change = changes.load(given.change, root=root)
    folder = Path(given.to).absolute() if given.to else change.folder / making.FOLDER
    with EmbeddedServer() as running, scratch.applied(change, running, root=root) as applied:
        found = making.contract(change, applied)
    texts = making.rendered(found)
    facts = {
        "change": change.name,
        "tables": [table.name for table in found.tables],
        "sha256": found.sha256,
        "files": [str(folder / name) for name in texts],
        "left_to_the_database": [
            f"{table.name}: {check.name}"
            for table in found.tables
            for check in table.checks
            if not check.expressed
        ],
    }
    count = f"{len(found.tables)} table{'' if len(found.tables) == 1 else 's'}"
    if given.check:
        if differences := made.differing(texts, folder):
            raise MadeFilesDiffer(
                command=making.FOLDER,
                change=change.name,
                folder=str(folder),
                differences=differences,
                to=given.to,
            )
        say(given, f"{change.name}: the contract of {count} is what the catalog says", facts)
        return 0
    written = made.write(texts, folder)
    say(
        given,
        "\n".join([f"{change.name}: the contract of {count}", *(f"wrote {one}" for one in written)]),
        facts,
    )
    return 0
