"""Table lock modes and what each of them stops."""

from __future__ import annotations

from enum import Enum
from typing import Self

__all__ = ["LockMode"]


class LockMode(Enum):
    """A table-level lock mode; the value is its strength rank (PostgreSQL manual, 13.3.1).

    >>> LockMode.parse("AccessExclusive").sql
    'ACCESS EXCLUSIVE'
    >>> LockMode.SHARE.blocks_writes, LockMode.SHARE.blocks_reads
    (True, False)
    """

    ACCESS_SHARE = 1
    ROW_SHARE = 2
    ROW_EXCLUSIVE = 3
    SHARE_UPDATE_EXCLUSIVE = 4
    SHARE = 5
    SHARE_ROW_EXCLUSIVE = 6
    EXCLUSIVE = 7
    ACCESS_EXCLUSIVE = 8

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the mode named by `AccessExclusive`, `AccessExclusiveLock` or `ACCESS EXCLUSIVE`.

        Raises ValueError for anything else.
        """
        wanted = text.replace(" ", "").replace("_", "").removesuffix("Lock").casefold()
        for mode in cls:
            if mode.word.casefold() == wanted:
                return mode
        raise ValueError(f"unknown lock mode {text!r}; known: {', '.join(m.word for m in cls)}")

    @property
    def sql(self) -> str:
        """Return the mode as `LOCK TABLE ... IN ... MODE` spells it."""
        return self.name.replace("_", " ")

    @property
    def word(self) -> str:
        """Return the mode as file headers spell it, e.g. `ShareUpdateExclusive`."""
        return self.name.title().replace("_", "")

    @property
    def catalog(self) -> str:
        """Return the mode as `pg_locks.mode` spells it."""
        return f"{self.word}Lock"

    def conflicts_with(self, other: LockMode) -> bool:
        """Return whether two sessions cannot hold these modes on one table at once.

        >>> LockMode.SHARE.conflicts_with(LockMode.SHARE)
        False
        >>> LockMode.ACCESS_EXCLUSIVE.conflicts_with(LockMode.ACCESS_SHARE)
        True
        """
        return other in _CONFLICTS[self]

    @property
    def conflicting(self) -> tuple[LockMode, ...]:
        """Return the modes that this one has to wait for, weakest first."""
        return tuple(mode for mode in LockMode if self.conflicts_with(mode))

    @property
    def blocks_reads(self) -> bool:
        """Return whether a plain SELECT waits behind this mode."""
        return self.conflicts_with(LockMode.ACCESS_SHARE)

    @property
    def blocks_writes(self) -> bool:
        """Return whether INSERT, UPDATE and DELETE wait behind this mode."""
        return self.conflicts_with(LockMode.ROW_EXCLUSIVE)


_M = LockMode
_CONFLICTS: dict[LockMode, frozenset[LockMode]] = {
    _M.ACCESS_SHARE: frozenset({_M.ACCESS_EXCLUSIVE}),
    _M.ROW_SHARE: frozenset({_M.EXCLUSIVE, _M.ACCESS_EXCLUSIVE}),
    _M.ROW_EXCLUSIVE: frozenset({_M.SHARE, _M.SHARE_ROW_EXCLUSIVE, _M.EXCLUSIVE, _M.ACCESS_EXCLUSIVE}),
    _M.SHARE_UPDATE_EXCLUSIVE: frozenset(
        {_M.SHARE_UPDATE_EXCLUSIVE, _M.SHARE, _M.SHARE_ROW_EXCLUSIVE, _M.EXCLUSIVE, _M.ACCESS_EXCLUSIVE}
    ),
    _M.SHARE: frozenset(
        {
            _M.ROW_EXCLUSIVE,
            _M.SHARE_UPDATE_EXCLUSIVE,
            _M.SHARE_ROW_EXCLUSIVE,
            _M.EXCLUSIVE,
            _M.ACCESS_EXCLUSIVE,
        }
    ),
    _M.SHARE_ROW_EXCLUSIVE: frozenset(set(_M) - {_M.ACCESS_SHARE, _M.ROW_SHARE}),
    _M.EXCLUSIVE: frozenset(set(_M) - {_M.ACCESS_SHARE}),
    _M.ACCESS_EXCLUSIVE: frozenset(_M),
}
