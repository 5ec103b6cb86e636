"""The local journal of a run: what happened, on disk before and after each action."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgrunbook.detail import storable
from pgrunbook.errors import JournalRefused

__all__ = ["Journal"]


class Journal:
    """An append-only file of JSON lines, each flushed to disk before the call returns.

    It holds what the server could not be told (before the ledger exists, or while the connection is
    gone); those entries are merged into the ledger at the next connection.
    """

    def __init__(self, folder: Path) -> None:
        """Use `journal.jsonl` in the folder, made at the first entry."""
        self.path = folder / "journal.jsonl"
        self._writing = threading.Lock()

    def write(
        self,
        kind: str,
        *,
        step: str = "",
        actor: str = "",
        detail: Mapping[str, object] | None = None,
        in_ledger: bool = False,
    ) -> None:
        """Append one entry and return once it is on disk; the folders of a new file are synced too.

        Raises JournalRefused with the system's reason.
        """
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "kind": kind,
            "step": step,
            "actor": actor,
            "detail": detail or {},
            "in_ledger": in_ledger,
        }
        line = json.dumps(storable(entry), ensure_ascii=False).encode() + b"\n"
        with self._kept(), self._writing:
            new = _make(self.path.parent) + ([self.path.parent] if not self.path.exists() else [])
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # What a crash cut short must not take the next entry with it.
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line
                while line:
                    line = line[os.write(descriptor, line) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            for folder in new:
                _sync_folder(folder)

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries in order; a line that a crash cut short is left out.

        Raises JournalRefused with the system's reason.
        """
        with self._kept():
            if not self.path.exists():
                return []
            lines = self.path.read_bytes().split(b"\n")
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and "kind" in entry:
                    found.append(entry)
        return found

    def pending(self) -> list[dict[str, Any]]:
        """Return the entries that the ledger does not hold yet."""
        entries = self.entries()
        merged = max((n for n, entry in enumerate(entries) if entry["kind"] == "merged"), default=-1)
        return [entry for entry in entries[merged + 1 :] if not entry["in_ledger"]]

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalRefused(path=str(self.path), reason=error.strerror or str(error)) from error


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the folders that got a new entry by it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return [one.parent for one in missing]


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
