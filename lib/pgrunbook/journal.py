"""The local journal of a run: what happened, on disk before and after each action."""

from __future__ import annotations

import contextlib
import fcntl
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
    gone); those entries are merged into the ledger at the next connection, by this run or by a later one.
    Each entry has a number, by which the ledger knows what it holds already. From the first entry until
    `close`, or the end of the process however it comes, the file is locked: whoever gets that lock knows
    that the run is over.
    """

    def __init__(self, folder: Path) -> None:
        """Use `journal.jsonl` in the folder, made at the first entry."""
        self.path = folder / "journal.jsonl"
        self.database = ""
        """Which database this run is bound to, in words that no other database has."""
        self._writing = threading.Lock()
        self._next: int | None = None
        self._alive: int | None = None

    def number(self) -> int:
        """Return the number of an entry that is yet to be written."""
        with self._writing:
            if self._next is None:
                entries = self.entries() if self.path.is_file() else []
                self._next = max((entry.get("n", 0) for entry in entries), default=0) + 1
            self._next += 1
            return self._next - 1

    def close(self) -> None:
        """Say that the run is over; an entry after that locks the file again."""
        with self._writing:
            if self._alive is not None:
                os.close(self._alive)
                self._alive = None

    def write(
        self,
        kind: str,
        *,
        step: str = "",
        actor: str = "",
        detail: Mapping[str, object] | None = None,
        in_ledger: bool = False,
        n: int | None = None,
    ) -> None:
        """Append one entry and return once it is on disk; the folders of a new file are synced too.

        `n` is a number taken before, under which the ledger was told. Raises JournalRefused with the
        system's reason.
        """
        entry = {
            "n": self.number() if n is None else n,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "kind": kind,
            "step": step,
            "actor": actor,
            "detail": detail or {},
            "in_ledger": in_ledger,
            "database": self.database,
        }
        line = json.dumps(storable(entry), ensure_ascii=False).encode() + b"\n"
        with self._kept(), self._writing:
            new = _make(self.path.parent) + ([self.path.parent] if not self.path.exists() else [])
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            if self._alive is None:
                self._alive = os.open(self.path, os.O_RDONLY)
                # Where a file system knows no locks, numbers alone keep entries from being merged twice.
                with contextlib.suppress(OSError):
                    fcntl.flock(self._alive, fcntl.LOCK_SH)
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
    def taken_over(self) -> Iterator[bool]:
        """Hold the journal of another run, if that run is over; gives whether it is.

        A journal that cannot be opened is as good as one of a live run.
        """
        with contextlib.ExitStack() as held:
            over = True
            try:
                descriptor = os.open(self.path, os.O_RDONLY)
                held.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._alive = descriptor
            except OSError:
                over = False
            try:
                yield over
            finally:
                self._alive = None

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
