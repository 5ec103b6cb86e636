"""How the values of a header are spelt: times, tables, locks, estimates, expectations."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgrunbook.lockmode import LockMode

__all__ = ["Estimate", "Expectation", "LockClaim", "estimate", "expectation", "locks", "milliseconds"]

_DURATION = re.compile(r"([1-9][0-9]{0,5}) ?(ms|s)")
_IDENTIFIER = r'(?:[^\W\d]\w*|"(?:[^"]|"")+")'
_TABLE = re.compile(rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})?")
_MEDIAN = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(ms|s)")
_SEMICOLON = re.compile(r';(?=(?:[^"]*"[^"]*")*[^"]*$)')  # those outside quotes
_ROWS = re.compile(r"[0-9]{1,18}")
_TERM = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(?:(ms|s|min)|reads? of (.+))")
_PLUS = re.compile(r'\s\+\s(?=(?:[^"]*"[^"]*")*[^"]*$)')
_UNIT_MS = {"ms": 1, "s": 1000, "min": 60_000}


@dataclass(frozen=True, slots=True)
class LockClaim:
    """The strongest lock that a script says it takes on one live table."""

    mode: LockMode
    table: str

    def __str__(self) -> str:
        """Return the claim as a header spells it, e.g. `AccessExclusive on classes`."""
        return f"{self.mode.word} on {self.table}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a timed query must show: the index it uses, its median time and its number of rows."""

    index: str | None = None
    median_below_ms: float | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a script says it takes: a fixed time, and sequential reads of tables, as (times, table)."""

    fixed_ms: float = 0.0
    reads: tuple[tuple[float, str], ...] = ()
    words: str = ""


def milliseconds(value: str) -> int:
    """Return a time such as `50 ms` or `2 s` in milliseconds, from 1 to 999999 of its unit; raises ValueError.

    >>> milliseconds("50 ms"), milliseconds("2 s")
    (50, 2000)
    """
    # Zero is refused: PostgreSQL reads a timeout of 0 as no timeout at all.
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not a whole time such as `50 ms` or `2 s`, from 1 to 999999")
    return int(match[1]) * (1000 if match[2] == "s" else 1)


def _table(value: str) -> str:
    if not _TABLE.fullmatch(value):
        raise ValueError(f"{value!r} is not a name such as `classes` or `app.classes`")
    if re.sub(r'"[^"]*"', "", value) != re.sub(r'"[^"]*"', "", value).lower():
        raise ValueError(f"{value!r} is not spelt as PostgreSQL stores it; use lower case, or quote it")
    return value


def locks(value: str) -> tuple[LockClaim, ...]:
    """Return what `none` or `AccessExclusive on classes; ShareRowExclusive on users` claims; raises ValueError.

    >>> [str(claim) for claim in locks("Share on a; RowExclusive on app.b")], locks("none")
    (['Share on a', 'RowExclusive on app.b'], ())
    """
    if value == "none":
        return ()
    claims: list[LockClaim] = []
    for part in _SEMICOLON.split(value):
        mode, separator, table = part.strip().partition(" on ")
        if not separator:
            raise ValueError(f"{part.strip()!r} is neither `none` nor `AccessExclusive on classes`")
        claim = LockClaim(LockMode.parse(mode.strip()), _table(table.strip()))
        if claim.table in {other.table for other in claims}:
            raise ValueError(f"{claim.table} stands twice; claim the strongest lock only")
        claims.append(claim)
    return tuple(claims)


def estimate(value: str) -> Estimate:
    """Return what `2 ms + 1.5 reads of classes; words` says; raises ValueError.

    >>> estimate("2 ms + 1.5 reads of classes; a scan")
    Estimate(fixed_ms=2.0, reads=((1.5, 'classes'),), words='a scan')
    """
    said, *words = _SEMICOLON.split(value, maxsplit=1)
    fixed_ms, reads = 0.0, []
    for part in _PLUS.split(said.strip()):
        term = _TERM.fullmatch(part.strip())
        if term is None or not float(term[1]):
            raise ValueError(
                f"{part.strip()!r} is neither a time such as `2 ms`, `1.5 s` or `3 min`, nor `2 reads of classes`;"
                " join several with ` + ` and put words after `;`"
            )
        if term[2]:
            fixed_ms += float(term[1]) * _UNIT_MS[term[2]]
        else:
            reads.append((float(term[1]), _table(term[3].strip())))
    return Estimate(fixed_ms, tuple(reads), "".join(words).strip())


def expectation(value: str) -> Expectation:
    """Return what `index class_code_unique; median < 1 ms; rows 1` or a part of it says; raises ValueError.

    >>> expectation("median < 2 s; rows 1")
    Expectation(index=None, median_below_ms=2000.0, rows=1)
    """
    found: dict[str, str] = {}
    for part in value.split(";"):
        word, _, rest = part.strip().partition(" ")
        if word in found:
            raise ValueError(f"`{word}` stands twice")
        found[word] = rest.strip()
    if unknown := found.keys() - {"index", "median", "rows"}:
        raise ValueError(f"{min(unknown)!r} is none of `index NAME`, `median < N ms`, `rows N`")
    median = _MEDIAN.fullmatch(found.get("median", "< 1 ms").removeprefix("<").strip())
    if median is None or not found.get("median", "<").startswith("<") or not float(median[1]):
        raise ValueError(f"`median {found['median']}` is not `median < 1 ms`")
    if not _ROWS.fullmatch(found.get("rows", "0")):
        raise ValueError(f"`rows {found['rows']}` is not `rows 1`")
    return Expectation(
        index=_table(found["index"]) if "index" in found else None,
        median_below_ms=float(median[1]) * (1000 if median[2] == "s" else 1) if "median" in found else None,
        rows=int(found["rows"]) if "rows" in found else None,
    )
