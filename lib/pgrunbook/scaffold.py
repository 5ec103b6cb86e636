"""The beginning of a new change: its folder and its notebook, copied from the template."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import jupytext
import nbformat

from pgrunbook.errors import BadChange
from pgrunbook.header import CHANGE_NAME

__all__ = ["PLACEHOLDER", "create"]

PLACEHOLDER = "{{change}}"


def create(name: str, *, root: Path, template: Path, notebooks: Path) -> list[Path]:
    """Return the files of a new change, just written: its folder in `root` and, where possible, its notebook.

    The folder is a copy of `template`; `{{change}}` in a file's text becomes the name. Where `notebooks`
    holds `_template.py` (a `py:percent` text) the notebook and its text twin are written from it. Either
    everything is written or nothing. Raises BadChange for a name or a number that cannot be used.
    """
    _refuse_unusable(name, root=root, template=template, notebooks=notebooks)
    with tempfile.TemporaryDirectory(dir=root, prefix=".new_") as scratch:
        # Written beside its place on the same file system, so that each part appears by one rename.
        folder = Path(scratch) / name
        shutil.copytree(template, folder, ignore=shutil.ignore_patterns(".*"))
        for path in folder.rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes().replace(PLACEHOLDER.encode(), name.encode()))
        parts = [(folder, root / name)]
        if (notebooks / "_template.py").is_file():
            parts += [(made, notebooks / made.name) for made in _notebook(name, notebooks, Path(scratch))]
        _move(parts)
    files = sorted(path for path in (root / name).rglob("*") if path.is_file())
    return files + [place for _, place in parts[1:]]


def _refuse_unusable(name: str, *, root: Path, template: Path, notebooks: Path) -> None:
    if not CHANGE_NAME.fullmatch(name):
        raise BadChange(
            change=repr(name),
            found="not a name for a change",
            next_step="use three digits, an underscore and lower-case words, e.g. 060_invoice_number",
        )
    for folder in (root, template):
        if not folder.is_dir():
            raise BadChange(
                change=name,
                found=f"there is no folder {folder}",
                next_step="work inside the project, or set PGRUNBOOK_CHANGES to its folder of changes",
            )
    number = name[:4]
    taken = sorted([*root.glob(f"{number}*"), *notebooks.glob(f"{number}*")])
    if taken:
        raise BadChange(
            change=name,
            found=f"the number {name[:3]} is taken by {taken[0]}",
            next_step="take a number that no change and no notebook has; the number is the order",
        )


def _notebook(name: str, notebooks: Path, scratch: Path) -> list[Path]:
    """Return a notebook and its text twin, written to a scratch folder."""
    source = (notebooks / "_template.py").read_text(encoding="utf-8").replace(PLACEHOLDER, name)
    book = jupytext.reads(source, fmt="py:percent")
    for number, cell in enumerate(book.cells, 1):
        # Random ids would make two notebooks from one template differ in every cell.
        cell["id"] = f"cell-{number:02d}"
    book.metadata.setdefault("jupytext", {})["formats"] = "ipynb,py:percent"
    made, twin = scratch / f"{name}.ipynb", scratch / f"{name}.py"
    nbformat.validate(book)
    made.write_text(jupytext.writes(book, fmt="ipynb"), encoding="utf-8")
    twin.write_text(jupytext.writes(book, fmt="py:percent"), encoding="utf-8")
    return [made, twin]


def _move(parts: list[tuple[Path, Path]]) -> None:
    """Rename every part to its place, or none."""
    done: list[tuple[Path, Path]] = []
    try:
        for made, place in parts:
            made.rename(place)
            done.append((made, place))
    except OSError:
        for made, place in reversed(done):
            place.rename(made)
        raise
