"""A race: a spec with a title and what it promises, read from its file."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NoReturn

from pgrunbook import spec
from pgrunbook.errors import BadRace, UnknownName
from pgrunbook.header import CHANGE_NAME
from pgrunbook.spec import Spec

__all__ = ["Expectation", "Race", "load", "names", "parse", "root_from"]

KEYS: Final = ("expect", "on")
_FILE_NAME: Final = re.compile(r"[0-9]{2,3}_[a-z0-9_]+")
_KEY_LINE: Final = re.compile(r"#\s*([a-z_]+):(?:\s+(.*))?")
_EXPECTATION: Final = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*|[0-9A-Z]{5}) +(?:(?P<sign>=|<>|<=|>=|<|>) *)?(?P<value>[^\s<>=]+)"
    r"(?: +in (?P<where>some|every) permutation)?"
)
_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a race promises of its outcomes: in every permutation that can happen, or in at least one.

    `name` is a column of the outcome, or else `waits` or `errors`, the number of steps that waited or failed, or an
    SQLSTATE, the number of steps that failed with it.
    """

    name: str
    sign: str
    value: str
    somewhere: bool
    line: int

    def __str__(self) -> str:
        sign = "" if self.sign == "=" else f"{self.sign} "
        return f"{self.name} {sign}{self.value} in {'some' if self.somewhere else 'every'} permutation"

    def holds(self, found: str | None) -> bool:
        """Return whether a value is as expected: by size where both are numbers, else as text."""
        if found is None:
            return False
        try:
            return _SIGNS[self.sign](Decimal(found), Decimal(self.value))
        except InvalidOperation:
            return _SIGNS[self.sign](found, self.value)


@dataclass(frozen=True, slots=True)
class Race:
    """A file of `sql/races`, read and checked; `on` names the change on whose database it runs, if any."""

    name: str
    title: str
    story: str
    on: str
    expectations: tuple[Expectation, ...]
    spec: Spec
    file: str

    def refuse(self, line: int, found: str, next_step: str) -> NoReturn:
        """Raise BadRace for a line of the file."""
        raise BadRace(file=self.file, line=line, found=found, next_step=next_step)


def root_from(environment: Mapping[str, str], *, start: Path | None = None) -> Path:
    """Return the folder of races: PGRUNBOOK_RACES, else `sql/races` of the project around `start`.

    `start` is the current folder unless given; outside any project it is the project that this library is
    installed from. Raises BadRace when there is no such folder.
    """
    here = (start or Path.cwd()).absolute()
    if named := environment.get("PGRUNBOOK_RACES"):
        return _existing(Path(named).expanduser().absolute())
    candidates = [folder / "sql" / "races" for folder in (here, *here.parents, Path(__file__).parents[2])]
    return _existing(next((folder for folder in candidates if folder.is_dir()), candidates[0]))


def _existing(root: Path) -> Path:
    if not root.is_dir():
        raise BadRace(
            file=str(root),
            found="there is no such folder of races",
            next_step="set PGRUNBOOK_RACES to the folder of races, or work inside the project",
        )
    return root


def names(root: Path) -> list[str]:
    """Return the names of the races in a folder, in order; raises BadRace for a file that is misnamed."""
    files = sorted(path for path in _existing(root).glob("*.spec") if path.name[0] not in "_.")
    for path in files:
        if not _FILE_NAME.fullmatch(path.stem):
            raise BadRace(
                file=path.name,
                found="the file is not named like a race",
                next_step="name it like 60_invoice_number.spec, or begin its name with _ to keep it out",
            )
    return [path.stem for path in files]


def load(name: str, *, root: Path) -> Race:
    """Return the race of that name from the folder `root`; raises UnknownName and BadRace."""
    path = _existing(root) / f"{name}.spec"
    if not _FILE_NAME.fullmatch(name) or not path.is_file():
        raise UnknownName(kind="race", name=name, known=names(root))
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRace(
            file=path.name, found=f"it is not UTF-8: {error.reason}", next_step="save it as UTF-8"
        ) from None
    return parse(text, file=path.name)


def parse(text: str, *, file: str) -> Race:
    """Return the race in a text; `file` names it. Raises BadRace.

    The comments on top are its header: a title, then lines for the reader, among them `# on: CHANGE` and one
    or more of `# expect: NAME [=, <>, <, <=, >, >=] VALUE [in some permutation]`.
    """
    return _Header(text, file).race()


class _Header:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file

    def refuse(self, line: int, found: str, next_step: str) -> NoReturn:
        raise BadRace(file=self.file, line=line, found=found, next_step=next_step)

    def race(self) -> Race:
        lines = self.text.splitlines()
        size = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
        comments = [line[1:].strip() for line in lines[:size]]
        if not comments or not comments[0] or _KEY_LINE.fullmatch(lines[0]):
            self.refuse(1, "the title is missing", "begin the file with `# What it shows, in one line`")
        on, expectations, story = "", list[Expectation](), list[str]()
        for number, line in enumerate(lines, 1):
            found = _KEY_LINE.fullmatch(line.rstrip())
            if found is None:
                if 1 < number <= size:
                    story.append(comments[number - 1])
                continue
            key, value = found[1], (found[2] or "").strip()
            if number > size:
                if key in KEYS:
                    self.refuse(
                        number, f"`{key}` stands below the header", "move the line to the comments on top"
                    )
            elif key == "expect":
                expectations.append(self.expectation(value, number))
            elif key == "on":
                if on:
                    self.refuse(
                        number, "`on` is there twice", "name one change; it brings those that it requires"
                    )
                if not CHANGE_NAME.fullmatch(value):
                    self.refuse(
                        number, f"{value!r} is not the name of a change", "name a folder of sql/changes"
                    )
                on = value
            else:
                self.refuse(number, f"unknown key {key!r}", f"use one of the keys {', '.join(KEYS)}")
        if not expectations:
            self.refuse(1, "it expects nothing", "add `# expect: NAME VALUE`, with a column of the outcome")
        return Race(
            name=self.file.removesuffix(".spec"),
            title=comments[0],
            story=" ".join(filter(None, story)),
            on=on,
            expectations=tuple(expectations),
            spec=spec.parse(self.text, file=self.file),
            file=self.file,
        )

    def expectation(self, value: str, line: int) -> Expectation:
        found = _EXPECTATION.fullmatch(value)
        if found is None:
            self.refuse(
                line,
                f"cannot read `expect: {value}`",
                "write `expect: duplicates > 0 in some permutation`, or the like",
            )
        somewhere = found["where"] == "some"
        return Expectation(found["name"], found["sign"] or "=", found["value"], somewhere, line)
