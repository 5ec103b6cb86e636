"""Decisions: written by hand, and every name in them looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pgrunbook.papers.names import Names

__all__ = ["FILE", "mistakes", "quoted"]

FILE = "decisions.md"
_FENCE = re.compile(r"\s*(?:```|~~~)")
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
_FILE_LIKE = re.compile(r"[\w./*-]+/[\w./*-]*|[\w-]+\.(?:sql|md|svg|py|ts|json|ipynb|spec)")


def quoted(text: str) -> Iterator[tuple[int, str]]:
    """Yield every piece of `code` with the number of its line; what stands between fences is left out."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield from ((number, match[2].strip()) for match in _CODE.finditer(line))


def mistakes(text: str, names: Names, *, folder: Path, project: Path) -> list[str]:
    """Return the pieces of code that name nothing: no object of the catalog, no SQL, no file, no test, no command.

    Files are looked for in the change's `folder` and in the project.
    """
    found = []
    for number, code in quoted(text):
        if test := _TEST.fullmatch(code):
            unknown = [] if _is_tested(project / test[1], test[2]) else [code]
        elif _FILE_LIKE.fullmatch(code):
            places = (folder, folder / "papers", project)
            unknown = [] if any(_is_there(place, code) for place in places) else [code]
        elif code.removeprefix("./").startswith("pgrunbook"):
            unknown = []
        else:
            unknown = [] if code == folder.name else names.unknown(code)
        found += [f"line {number}: `{name}` is neither in the catalog nor a file" for name in unknown]
    return found


def _is_there(place: Path, name: str) -> bool:
    return any(True for _ in place.glob(name)) if not name.startswith("/") else False


def _is_tested(file: Path, name: str) -> bool:
    return file.is_file() and f"def {name}(" in file.read_text(encoding="utf-8")
