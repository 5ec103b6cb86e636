"""Files that are made, not written: put where they belong, or compared with what lies there."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from pgrunbook.errors import MadeFilesNotWritten

__all__ = ["differing", "write"]


def differing(texts: Mapping[str, str], folder: Path) -> list[str]:
    """Return the files of a folder that are not what they should be, with the first line that differs in each."""
    found = []
    for name, text in texts.items():
        try:
            kept = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            missing = isinstance(error, FileNotFoundError)
            found.append(f"{name}: {'not there' if missing else 'cannot be read'}")
            continue
        if kept != text:
            found.append(f"{name} {_first_difference(kept, text)}")
    return found


def _first_difference(kept: str, text: str) -> str:
    old, new = kept.split("\n"), text.split("\n")
    # A hash differs whenever anything does.
    for number, (one, other) in enumerate(zip(old, new, strict=False), start=1):
        if one != other and "sha256" not in other:
            pairs = itertools.zip_longest(one, other)
            start = max(0, next(place for place, (a, b) in enumerate(pairs) if a != b) - 30)
            return (
                f"line {number}: has {one[start : start + 90]!r}, should have {other[start : start + 90]!r}"
            )
    if len(old) == len(new):
        return "has another hash"
    return f"line {min(len(old), len(new)) + 1}: has {len(old)} lines, should have {len(new)}"


def write(texts: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the files and return them; raises MadeFilesNotWritten."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise MadeFilesNotWritten(folder=str(folder), reason=error.strerror or str(error)) from error
    return [folder / name for name in texts]
