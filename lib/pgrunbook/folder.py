"""A folder of a change while it is read: strict about what may lie in it and how it is encoded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from pgrunbook.errors import BadChange, BadStatement

__all__ = ["Folder"]


class Folder:
    """Reads files and refuses, with the change's name and the way out, what has no place there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, found: str, next_step: str) -> NoReturn:
        """Raise BadChange for this folder."""
        raise BadChange(change=self.path.name, found=found, next_step=next_step)

    def files(self, folder: str, name: re.Pattern[str]) -> tuple[Path, ...]:
        """Return the SQL files of a folder in order, refusing whatever else is there."""
        found = self.entries(folder, None)
        for path in found:
            if path.suffix != ".sql" or not name.fullmatch(path.stem) or not path.is_file():
                self.refuse(
                    f"{path.relative_to(self.path)} is not named like a file of {folder}/",
                    "name it like 010_add_column.sql (three digits, a letter if need be) where it is a step,"
                    " like 10_duplicate_codes.sql elsewhere, or take it out",
                )
        return found

    def entries(self, folder: str, allowed: set[str] | None) -> tuple[Path, ...]:
        """Return what lies in a folder in order, refusing what is not among the allowed names."""
        path = self.path / folder
        found = sorted(p for p in path.iterdir() if not p.name.startswith(".")) if path.is_dir() else []
        for entry in found:
            if allowed is not None and entry.name not in allowed:
                self.refuse(
                    f"{entry.relative_to(self.path)} has no place in a change",
                    f"there may be {', '.join(sorted(allowed))}; rename it or take it out",
                )
            if allowed is not None and entry.is_dir() == bool(entry.suffix):
                is_, belongs = ("folder", "file") if entry.is_dir() else ("file", "folder")
                self.refuse(
                    f"{entry.relative_to(self.path)} is a {is_} where a {belongs} belongs", "move it away"
                )
        return tuple(found)

    def label(self, path: Path) -> str:
        """Return the file as errors name it, e.g. `010_class_code/migrate/002_add_key.sql`."""
        return f"{self.path.name}/{path.relative_to(self.path).as_posix()}"

    def text(self, path: Path) -> str:
        """Return the text of a file, every byte of it; raises BadStatement unless it is UTF-8 without a mark."""
        try:
            data = path.read_bytes()
        except OSError as error:
            found = f"{path.relative_to(self.path)} cannot be read ({error.strerror})"
            self.refuse(found, "let this user read it")
        if data.startswith(b"\xef\xbb\xbf"):
            # psql drops a byte order mark, the server calls it a syntax error.
            raise BadStatement(
                file=self.label(path),
                line=1,
                found="a byte order mark begins the file",
                next_step="save the file as UTF-8 without it",
            )
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadStatement(
                file=self.label(path),
                line=data.count(b"\n", 0, error.start) + 1,
                found=f"byte 0x{data[error.start]:02x} is not UTF-8",
                next_step="save the file as UTF-8",
            ) from None
