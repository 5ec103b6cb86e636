"""The papers made, and compared with those that lie in the change."""

from __future__ import annotations

from pathlib import Path

from pgrunbook import made, places
from pgrunbook.papers import decisions
from pgrunbook.papers import guide as guides
from pgrunbook.papers.material import Material
from pgrunbook.papers.overview import overview
from pgrunbook.papers.wayback import way_back

__all__ = ["DIAGRAM", "FOLDER", "mistakes", "outdated", "texts"]

FOLDER, DIAGRAM = "papers", "diagram.svg"


def texts(material: Material) -> dict[str, str]:
    """Return the text of each paper that is made, by its file's name."""
    # What draws takes long to load.
    from pgrunbook.views.diagram import diagram

    drawn = diagram(material.made, around=material.around, heading=material.change.name)
    found = {"overview.md": overview(material), DIAGRAM: drawn.svg, "rollback.md": way_back(material)}
    written = material.change.folder / FOLDER / guides.FILE
    if written.is_file():
        found[guides.FILE] = guides.guide(material, written.read_text(encoding="utf-8"))
    return found


def outdated(found: dict[str, str], folder: Path) -> list[str]:
    """Return what is not as it should be in the papers of a folder, one line each.

    Of the diagram its words count, which name every table, column and foreign key: where its lines run may depend
    on the version of Graphviz.
    """
    differing = made.differing(found, folder)
    return [
        line
        for line in differing
        if not line.startswith(f"{DIAGRAM} ") or _words(folder / DIAGRAM) != _said(found[DIAGRAM])
    ]


def _words(file: Path) -> str:
    return _said(file.read_text(encoding="utf-8", errors="replace"))


def _said(svg: str) -> str:
    return svg.partition("<title>")[2].partition("</desc>")[0]


def mistakes(material: Material, folder: Path) -> list[str]:
    """Return the names in the written papers that do not exist; none where there is no such paper."""
    written = [file for name in (decisions.FILE, guides.FILE) if (file := folder / name).is_file()]
    return [
        f"{file.name} {mistake}"
        for file in written
        for mistake in decisions.mistakes(
            file.read_text(encoding="utf-8"),
            material.names,
            folder=material.change.folder,
            project=places.PROJECT,
        )
    ]
