"""The header of an SQL file: a title and `-- key: value` lines from a closed list."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn, TypeVar

from pgrunbook import spelling
from pgrunbook.errors import BadHeader
from pgrunbook.spelling import Estimate, Expectation, LockClaim

__all__ = [
    "CHANGE_NAME",
    "LINE_END",
    "Estimate",
    "Expectation",
    "Header",
    "Kind",
    "LockClaim",
    "Severity",
    "parse",
]

T = TypeVar("T")

# PostgreSQL ends a comment at any of these, so a lone carriage return may not hide a statement from us.
LINE_END = re.compile(r"\r\n|\r|\n")
_STEP = re.compile(r"[0-9]{3}[a-z]?(?:_[a-z0-9_]+)?")
CHANGE_NAME = re.compile(r"[0-9]{3}_[a-z0-9_]{1,59}")


class Kind(Enum):
    """What a file is for; the value is the folder it lives in."""

    PREFLIGHT = "preflight"
    REMEDY = "remedy"
    MIGRATE = "migrate"
    VERIFY = "verify"
    ROLLBACK = "rollback"
    TIMING = "timing"

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the header keys that this kind of file may have."""
        return _KEYS[self]

    @property
    def declares_locks(self) -> bool:
        """Return whether a file of this kind must say which locks it takes."""
        return "lock" in self.keys


class Severity(Enum):
    """What rows found by a preflight check mean for the change; files say `stop` or `warn`."""

    STOP = "stop"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Header:
    """Everything a file says about itself; budgets are in milliseconds, None means the run's own.

    `before` is the first step that a check stops, by its number or name; without it the check stops them all.
    """

    title: str
    effect: str = ""
    remedy: str = ""
    severity: Severity = Severity.STOP
    in_transaction: bool = True
    locks: tuple[LockClaim, ...] = ()
    hold_budget_ms: int | None = None
    stall_budget_ms: int | None = None
    estimate: Estimate | None = None
    expect: Expectation | None = None
    requires: tuple[str, ...] = ()
    before: str = ""


_KEYS: dict[Kind, tuple[str, ...]] = {
    Kind.PREFLIGHT: ("effect", "remedy", "severity", "before"),
    Kind.REMEDY: ("transaction", "effect", "stall_budget"),
    Kind.MIGRATE: ("lock", "transaction", "hold_budget", "stall_budget", "estimate", "requires"),
    Kind.VERIFY: ("effect", "remedy"),
    Kind.ROLLBACK: ("lock", "transaction", "hold_budget", "stall_budget", "estimate"),
    Kind.TIMING: ("expect",),
}
_ANY_KEY = "|".join(sorted({key for keys in _KEYS.values() for key in keys}))
_TITLE = re.compile(r"-- (\S.*)")
_PAIR = re.compile(r"-- ([A-Za-z_]+):(.*)")
_CONTINUATION = re.compile(r"--[ \t]{2,}(\S.*)")
_STRAY = re.compile(rf"--\s*({_ANY_KEY})\s*:.*", re.IGNORECASE)


def parse(text: str, *, kind: Kind, file: str) -> Header:
    r"""Return the header of a file's text; `file` is only named in errors.

    Line 1 is the title, then come `-- key: value` lines; a line with two or more blanks after `--` continues
    the value above, and the first line that is not a comment ends the header. Raises BadHeader, and nothing
    else, for anything it would have to ignore or guess.

    >>> str(parse("-- Add it\n-- lock: AccessExclusive on classes", kind=Kind.MIGRATE, file="x").locks[0])
    'AccessExclusive on classes'
    """

    def refuse(line: int, found: str) -> NoReturn:
        raise BadHeader(file=file, line=line, found=found, allowed=kind.keys)

    lines = LINE_END.split(text)
    title = _TITLE.fullmatch(lines[0])
    if title is None or _STRAY.fullmatch(lines[0]):
        refuse(1, f"expected the title, `-- What this file does`, found {_shown(lines[0])}")
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    pairs: dict[str, tuple[int, str]] = {}
    key = ""
    for number, line in enumerate(lines[1:end], 2):
        if more := _CONTINUATION.fullmatch(line):
            if not key:
                refuse(number, f"{_shown(line)} continues a value, but there is none above it")
            if _STRAY.fullmatch(line):
                refuse(number, f"{_shown(line)} continues `{key}`; a key has exactly one blank after `--`")
            first, value = pairs[key]
            pairs[key] = first, f"{value} {more[1].strip()}".strip()
            continue
        pair = _PAIR.fullmatch(line)
        if pair is None:
            refuse(number, f"{_shown(line)} is not `-- key: value` (an empty line ends the header)")
        key = pair[1]
        if key not in kind.keys:
            refuse(number, f"unknown key `{key}` for a {kind.value} file")
        if key in pairs:
            refuse(number, f"key `{key}` stands twice, first on line {pairs[key][0]}")
        pairs[key] = number, pair[2].strip()
    for number, line in enumerate(lines[end:], end + 1):
        if stray := _STRAY.fullmatch(line):
            refuse(number, f"key `{stray[1]}` stands after the header, which ended on line {end}")
    if kind.declares_locks and "lock" not in pairs:
        refuse(end, "the key `lock` is missing; say `-- lock: none` or `-- lock: AccessExclusive on classes`")

    def value_of(wanted: str, read: Callable[[str], T], default: T) -> T:
        if wanted not in pairs:
            return default
        number, value = pairs[wanted]
        try:
            return read(_filled(value))
        except ValueError as error:
            refuse(number, f"bad value for `{wanted}`: {error}")

    return Header(
        title=title[1].strip(),
        effect=value_of("effect", str, ""),
        remedy=value_of("remedy", str, ""),
        severity=value_of("severity", _severity, Severity.STOP),
        in_transaction=value_of("transaction", _in_transaction, True),
        locks=value_of("lock", spelling.locks, ()),
        hold_budget_ms=value_of("hold_budget", spelling.milliseconds, None),
        stall_budget_ms=value_of("stall_budget", spelling.milliseconds, None),
        estimate=value_of("estimate", spelling.estimate, None),
        expect=value_of("expect", spelling.expectation, None),
        requires=value_of("requires", _requires, ()),
        before=value_of("before", _step, ""),
    )


def _shown(line: str) -> str:
    """Return a line as an error quotes it: escaped, and cut when it is long."""
    return repr(line if len(line) <= 60 else f"{line[:57]}...") if line else "an empty line"


def _filled(value: str) -> str:
    if not value:
        raise ValueError("it is empty")
    return value


def _severity(value: str) -> Severity:
    if value not in ("stop", "warn"):
        raise ValueError(f"{value!r} is neither `stop` nor `warn`")
    return Severity(value)


def _in_transaction(value: str) -> bool:
    if value != "none":
        raise ValueError(f"{value!r} is not `none`; leave the key out to run in a transaction")
    return False


def _step(value: str) -> str:
    if not _STEP.fullmatch(value):
        raise ValueError(f"{value!r} is not the number or name of a step, e.g. `006` or `006_build_index`")
    return value


def _requires(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    for name in names:
        if not CHANGE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a change, e.g. `010_class_code`")
    return tuple(dict.fromkeys(names))
