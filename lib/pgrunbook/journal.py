"""The local journal of a run: what happened, on disk before and after each action."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Journal"]


class Journal:
    """An append-only file of JSON lines, each flushed to disk before the call returns.

    It holds what the server could not be told (before the ledger exists, or while the connection is
    gone); those entries are merged into the ledger at the next connection.
    """

    def __init__(self, folder: Path) -> None:
        """Use `journal.jsonl` in the folder, made at the first entry."""
        self.path = folder / "journal.jsonl"

    def write(
        self,
        kind: str,
        *,
        step: str = "",
        actor: str = "",
        detail: Mapping[str, object] | None = None,
        in_ledger: bool = False,
    ) -> None:
        """Append one entry and return once it is on disk; a new file's folder is synced too."""
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "kind": kind,
            "step": step,
            "actor": actor,
            "detail": dict(detail or {}),
            "in_ledger": in_ledger,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(entry, ensure_ascii=False, default=str) + "\n"
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            _sync_folder(self.path.parent)

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries in order; a last line that a crash cut short is left out."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_bytes().decode("utf-8", "replace").splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found

    def pending(self) -> list[dict[str, Any]]:
        """Return the entries that the ledger does not hold yet."""
        entries = self.entries()
        merged = max((n for n, entry in enumerate(entries) if entry["kind"] == "merged"), default=-1)
        return [entry for entry in entries[merged + 1 :] if not entry["in_ledger"]]


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
