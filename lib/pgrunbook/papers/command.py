"""The command for papers, and the diagram of a run for its notebook."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pgrunbook import change as changes
from pgrunbook import made, session
from pgrunbook.change import Change
from pgrunbook.errors import MadeFilesDiffer, PapersMistaken
from pgrunbook.headless import EmbeddedServer, say
from pgrunbook.papers import making
from pgrunbook.papers.material import gather
from pgrunbook.shape import catalog
from pgrunbook.shape.model import Schema
from pgrunbook.target import Target
from pgrunbook.views.view import View

__all__ = ["diagram", "papers"]


def papers(given: argparse.Namespace) -> int:
    """Write the papers of a change or, with `--check`, compare them with the catalog; look up the written ones.

    Raises MadeFilesDiffer and PapersMistaken.
    """
    root = changes.root_from(os.environ)
    change = changes.load(given.change, root=root)
    folder = Path(given.to).absolute() if given.to else change.folder / making.FOLDER
    with EmbeddedServer() as running:
        material = gather(change, running, root=root)
    texts = making.texts(material)
    if given.check:
        if differences := making.outdated(texts, folder):
            raise MadeFilesDiffer(
                command="papers", change=change.name, folder=str(folder), differences=differences, to=given.to
            )
        lines = [f"{change.name}: the papers are what the catalog says"]
    else:
        lines = [f"wrote {file}" for file in made.write(texts, folder)]
    if wrong := making.mistakes(material, folder):
        raise PapersMistaken(change=change.name, mistakes=wrong)
    facts = {"change": change.name, "files": [str(folder / name) for name in texts]}
    say(given, "\n".join(lines), facts)
    return 0


def diagram(change: Change, target: Target) -> View:
    """Return the diagram of the tables that a change makes or locks, as the target's catalog has them now."""
    with session.connect(target, purpose="diagram") as conn:
        found = catalog.read(conn)
    made_here = {one.creates for step in change.steps for one in step.migrate.statements} | set(change.tables)
    tables = tuple(table for table in found.tables if table.name in made_here)
    if not tables:
        return View("no table of this change is there yet")
    # What draws takes long to load.
    from pgrunbook.views import diagram as pictures

    schema = Schema(tables)
    picture = pictures.diagram(schema, around=found, heading=change.name)
    return View(
        f"diagram: {schema.summary}",
        png=picture.png,
        svg=picture.svg,
        facts={"picture": picture.alt},
    )
