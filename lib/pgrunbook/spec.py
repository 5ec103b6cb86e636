"""The grammar of PostgreSQL's isolation tests: sessions, their steps, and the orders they run in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import factorial, prod
from typing import Final, NoReturn

from pgrunbook.errors import BadRace

__all__ = ["MOST", "Marker", "Permutation", "Session", "Spec", "Step", "Turn", "parse"]

MOST: Final = 1000  # orders of a spec that lists none; more are refused
_KEYWORDS: Final = ("notices", "permutation", "session", "setup", "step", "teardown")
# In a block of SQL nothing is special but the brace that ends it, as in the original.
_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r\f\n]+|\#[^\n]*)
      | (?P<name>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
      | "(?P<quoted>(?:[^"\n]|"")*)"
      | \{(?P<sql>[^}]*)\}
      | (?P<number>[0-9]+)
      | (?P<sign>[(),*])""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A named piece of SQL that one session sends at once."""

    name: str
    session: str
    sql: str
    line: int


@dataclass(frozen=True, slots=True)
class Session:
    """A connection with its steps in order, and what it runs before and after each permutation."""

    name: str
    steps: tuple[Step, ...]
    setup: str = ""
    teardown: str = ""


@dataclass(frozen=True, slots=True)
class Marker:
    """What has to have happened before a step is reported as done.

    Without a step it is the asterisk: reported as waiting when launched, whatever the server says. With
    `notices` the session of the other step has to have sent as many since the launch, else the other step
    must not be running; whether it has run, or will, makes no difference.
    """

    step: str = ""
    notices: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One step's place in a permutation."""

    step: Step
    markers: tuple[Marker, ...] = ()


@dataclass(frozen=True, slots=True)
class Permutation:
    """An order of steps; `line` is where the file lists it, 0 where it was made from the sessions."""

    turns: tuple[Turn, ...]
    line: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of its steps in order."""
        return tuple(turn.step.name for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole file; `listed` is empty where it leaves the permutations to be made."""

    setups: tuple[str, ...]
    teardown: str
    sessions: tuple[Session, ...]
    listed: tuple[Permutation, ...]

    @property
    def permutations(self) -> Iterator[Permutation]:
        """Return the permutations: those listed, else all that keep each session's own order."""
        if self.listed:
            return iter(self.listed)
        orders = _interleaved([session.steps for session in self.sessions])
        return (Permutation(tuple(map(Turn, order))) for order in orders)

    @property
    def unused(self) -> tuple[str, ...]:
        """Return the names of steps that no permutation runs."""
        used = {name for permutation in self.listed for name in permutation.names}
        steps = [step.name for session in self.sessions for step in session.steps]
        return tuple(name for name in steps if name not in used) if self.listed else ()

    @property
    def session_sql(self) -> str:
        """Return everything that the sessions run, to look words up in."""
        sqls = [sql for s in self.sessions for sql in (s.setup, s.teardown, *(step.sql for step in s.steps))]
        return "\n".join(sqls)


def _interleaved(piles: Sequence[tuple[Step, ...]]) -> Iterator[tuple[Step, ...]]:
    if not any(piles):
        yield ()
    for number, pile in enumerate(piles):
        if pile:
            rest = [*piles[:number], pile[1:], *piles[number + 1 :]]
            for order in _interleaved(rest):
                yield (pile[0], *order)


def parse(text: str, *, file: str) -> Spec:
    """Return the spec in a text; `file` is only named in errors. Raises BadRace.

    The grammar is that of src/test/isolation in PostgreSQL, read whole: names keep their case, plain or in
    double quotes; `#` begins a comment outside of SQL; a block of SQL cannot hold a closing brace.

    >>> made = parse("session a step x { SELECT 1 } step y { } session b step z { }", file="made.spec")
    >>> [permutation.names for permutation in made.permutations]
    [('x', 'y', 'z'), ('x', 'z', 'y'), ('z', 'x', 'y')]
    """
    return _Reader(text, file).spec()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int

    def __str__(self) -> str:
        return {"end": "the end of the file", "sql": "a block of SQL"}.get(self.kind, repr(self.text))


class _Reader:
    """Reads a spec token by token; what it finds wrong it refuses at once."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.tokens = self._tokens(text)
        self.next = next(self.tokens)
        self.steps: dict[str, Step] = {}

    def _tokens(self, text: str) -> Iterator[_Token]:
        place, line = 0, 1
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                self._refuse_character(text[place], line)
            kind, value = str(found.lastgroup), found[str(found.lastgroup)]
            if kind == "name" and value in _KEYWORDS:
                yield _Token(value, value, line)
            elif kind == "quoted":
                yield _Token("name", value.replace('""', '"'), line)
            elif kind != "skip":
                yield _Token(value if kind == "sign" else kind, value, line)
            line += found[0].count("\n")
            place = found.end()
        while True:
            yield _Token("end", "", line)

    def _refuse_character(self, character: str, line: int) -> NoReturn:
        match character:
            case '"':
                self.refuse(line, "a name in quotes does not end on its line", 'end it with `"`')
            case "{":
                self.refuse(line, "a block of SQL does not end", "end it with `}`")
        found = f"unexpected character {character!r}"
        self.refuse(line, found, "remove it, or write the name in double quotes")

    def refuse(self, line: int, found: str, next_step: str) -> NoReturn:
        raise BadRace(file=self.file, line=line, found=found, next_step=next_step)

    def take(self, kind: str, wanted: str) -> _Token:
        """Return the next token, which has to be of that kind."""
        if self.next.kind != kind:
            hint = ""
            if kind == "name" and self.next.kind in _KEYWORDS:
                hint = "; a keyword is a name only in double quotes"
            self.refuse(self.next.line, f"found {self.next}, expected {wanted}", f"write {wanted} here{hint}")
        token, self.next = self.next, next(self.tokens)
        return token

    def taken(self, kind: str) -> bool:
        """Return whether the next token was of that kind, and pass it."""
        if self.next.kind == kind:
            self.take(kind, kind)
            return True
        return False

    def block(self, keyword: str) -> str:
        """Return the SQL after an optional keyword, empty without it."""
        return self.take("sql", f"`{{ SQL }}` after {keyword}").text.strip() if self.taken(keyword) else ""

    def spec(self) -> Spec:
        setups = []
        while self.next.kind == "setup":
            setups.append(self.block("setup"))
        teardown = self.block("teardown")
        sessions = [self.session("`setup`, `teardown` or `session`" if not setups else "`session`")]
        while self.next.kind == "session":
            sessions.append(self.session("`session`"))
        permutations = []
        while self.next.kind == "permutation":
            permutations.append(self.permutation())
        if self.next.kind != "end":
            wanted = "`permutation`" if permutations else "`step`, `teardown`, `session` or `permutation`"
            found = f"found {self.next}, expected {wanted}"
            self.refuse(self.next.line, found, "keep the order: setup, teardown, sessions, permutations")
        spec = Spec(tuple(setups), teardown, tuple(sessions), tuple(permutations))
        self.check_size(spec)
        return spec

    def check_size(self, spec: Spec) -> None:
        lengths = [len(session.steps) for session in spec.sessions]
        orders = factorial(sum(lengths)) // prod(map(factorial, lengths))
        if not spec.listed and orders > MOST:
            found = f"{orders:,} permutations keep the order of each session, more than {MOST:,}"
            self.refuse(1, found, "list those that matter as `permutation` lines, or join steps")

    def session(self, wanted: str) -> Session:
        self.take("session", wanted)
        line, name = self.next.line, self.take("name", "the session's name").text
        if name in {step.session for step in self.steps.values()}:
            self.refuse(line, f"two sessions are named {name!r}", "rename one of them")
        setup = self.block("setup")
        steps = [self.step(name)]
        while self.next.kind == "step":
            steps.append(self.step(name))
        return Session(name, tuple(steps), setup, self.block("teardown"))

    def step(self, session: str) -> Step:
        line = self.take("step", f"`step` in session {session!r}").line
        name = self.take("name", "the step's name").text
        if name in self.steps:
            found = f"step {name!r} is there already, on line {self.steps[name].line}"
            self.refuse(line, found, "give each step a name of its own")
        sql = self.take("sql", f"`{{ SQL }}` after step {name}").text.strip()
        self.steps[name] = Step(name, session, sql, line)
        return self.steps[name]

    def permutation(self) -> Permutation:
        line = self.take("permutation", "`permutation`").line
        turns = [self.turn()]
        while self.next.kind == "name":
            turns.append(self.turn())
        missing = {marker.step for turn in turns for marker in turn.markers} - {t.step.name for t in turns}
        for name in sorted(missing - {""}):
            found = f"a marker names step {name!r}, which this permutation does not run"
            self.refuse(line, found, "add the step, or drop the marker")
        return Permutation(tuple(turns), line)

    def turn(self) -> Turn:
        step = self.known("a step's name")
        markers = []
        if self.taken("("):
            markers.append(self.marker(step))
            while self.taken(","):
                markers.append(self.marker(step))
            self.take(")", "`,` or `)` after a marker")
        return Turn(step, tuple(markers))

    def marker(self, step: Step) -> Marker:
        if self.taken("*"):
            return Marker()
        line, other = self.next.line, self.known("`*` or the name of another step")
        if other.session == step.session:
            found = f"step {step.name!r} cannot wait for {other.name!r} of its own session"
            self.refuse(line, found, "name a step of another session")
        if not self.taken("notices"):
            return Marker(other.name)
        number = self.take("number", "how many notices")
        if int(number.text) < 1:
            found = "found 0 notices, expected 1 or more"
            self.refuse(number.line, found, "wait for one, or drop the marker")
        return Marker(other.name, int(number.text))

    def known(self, wanted: str) -> Step:
        token = self.take("name", wanted)
        if token.text not in self.steps:
            found = f"no step named {token.text!r}"
            self.refuse(token.line, found, f"choose one of: {', '.join(self.steps)}")
        return self.steps[token.text]
