"""A change: one folder of SQL files that together are a schema change, read and checked as a whole."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pgrunbook import checklist, header, statement
from pgrunbook.checklist import Checklist
from pgrunbook.errors import BadChange, UnknownName
from pgrunbook.folder import Folder
from pgrunbook.header import CHANGE_NAME, Kind
from pgrunbook.script import Script, check_statements

__all__ = ["Change", "Script", "Step", "load", "names", "root_from"]

_FILE_NAME = re.compile(r"[0-9]{2,3}_[a-z0-9_]+")
_STEP_NAME = re.compile(r"([0-9]{3}[a-z]?)_[a-z0-9_]+")
_ROLLBACK_NAME = re.compile(r"([0-9]{3}[a-z]?_[a-z0-9_]+)(?:\.([1-9]))?")
_FOLDERS = {"README.md", "checklist.md", "contracts", "papers", "samples", *(kind.value for kind in Kind)}

Named = TypeVar("Named", "Script", "Step")


@dataclass(frozen=True, slots=True)
class Step:
    """A migrate file, the check that proves it and the files that undo it, in the order they run."""

    name: str
    number: str
    migrate: Script
    verify: Script
    rollback: tuple[Script, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Everything in a change folder, valid as a whole; samples are paths, as only a rehearsal reads them."""

    name: str
    folder: Path
    readme: str
    requires: tuple[str, ...]
    preflight: tuple[Script, ...]
    remedies: tuple[Script, ...]
    steps: tuple[Step, ...]
    timings: tuple[Script, ...]
    go_sample: Path | None = None
    no_go_samples: Mapping[str, Path] = field(default_factory=dict, hash=False)
    traffic: tuple[Path, ...] = ()
    data_sample: Path | None = None
    """Rows for what the change makes, to be loaded after it, any number of times."""
    checklist: Checklist = field(default_factory=Checklist)

    @property
    def title(self) -> str:
        """Return the first heading of the README, or the change's name where it has none."""
        headings = (line[2:].strip() for line in self.readme.splitlines() if line.startswith("# "))
        return next(headings, "") or self.name

    @property
    def scripts(self) -> tuple[Script, ...]:
        """Return every file of the change that may be sent to the target."""
        steps = [script for step in self.steps for script in (step.migrate, step.verify, *step.rollback)]
        return (*self.preflight, *self.remedies, *steps, *self.timings)

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the live tables that the change claims to lock, in order of first appearance.

        Those that it makes itself are left out: they need not be there before.
        """
        scripts = [script for step in self.steps for script in (step.migrate, *step.rollback)]
        made = {one.creates for step in self.steps for one in step.migrate.statements}
        claimed = dict.fromkeys(claim.table for script in scripts for claim in script.header.locks)
        return tuple(table for table in claimed if table not in made)

    def step(self, number_or_name: str) -> Step:
        """Return the step called `002` or `002_add_key`; raises UnknownName."""
        for step in self.steps:
            if number_or_name in (step.number, step.name):
                return step
        raise UnknownName(kind="step", name=number_or_name, known=[step.name for step in self.steps])

    def check(self, name: str) -> Script:
        """Return the preflight check of that name; raises UnknownName."""
        return _named("check", name, self.preflight)

    def remedy(self, name: str) -> Script:
        """Return the remedy of that name; raises UnknownName."""
        return _named("remedy", name, self.remedies)


def _named(kind: str, name: str, candidates: Iterable[Named]) -> Named:
    by_name = {candidate.name: candidate for candidate in candidates}
    if name not in by_name:
        raise UnknownName(kind=kind, name=name, known=list(by_name))
    return by_name[name]


def root_from(environment: Mapping[str, str], *, start: Path | None = None) -> Path:
    """Return the folder of changes: PGRUNBOOK_CHANGES, else `sql/changes` of the project around `start`.

    `start` is the current folder unless given; outside any project it is the project that this library is
    installed from. Raises BadChange when there is no such folder.
    """
    here = (start or Path.cwd()).absolute()
    if named := environment.get("PGRUNBOOK_CHANGES"):
        return _existing(Path(named).expanduser().absolute())
    candidates = [folder / "sql" / "changes" for folder in (here, *here.parents, Path(__file__).parents[2])]
    return _existing(next((folder for folder in candidates if folder.is_dir()), candidates[0]))


def names(root: Path) -> list[str]:
    """Return the names of the changes in a folder, in order; raises BadChange for a folder that is misnamed.

    Folders that begin with `_` or `.` (the template, for one) are not changes.
    """
    folders = [path.name for path in _existing(root).iterdir() if path.is_dir() and path.name[0] not in "_."]
    for name in sorted(folders):
        if not CHANGE_NAME.fullmatch(name):
            raise BadChange(
                change=name,
                found=f"the folder in {root} is not named like a change",
                next_step="name it like 060_invoice_number, or begin its name with _ to keep it out",
            )
    return sorted(folders)


def load(name: str, *, root: Path) -> Change:
    """Return the change of that name from the folder `root`, read completely and checked.

    Raises UnknownName when it is not there, BadHeader, BadStatement or BadChange for the first thing in it
    that is wrong: a change that loads has everything that applying and undoing it needs.
    """
    if not CHANGE_NAME.fullmatch(name) or not (_existing(root) / name).is_dir():
        raise UnknownName(kind="change", name=name, known=names(root))
    return _ChangeFolder(root / name).read()


def _existing(root: Path) -> Path:
    if not root.is_dir():
        raise BadChange(
            change=str(root),
            found="there is no such folder of changes",
            next_step="set PGRUNBOOK_CHANGES to the folder of changes, or work inside the project",
        )
    return root


class _ChangeFolder(Folder):
    """A change folder while it is read; what it finds wrong it refuses at once."""

    def read(self) -> Change:
        self.entries("", _FOLDERS)
        readme = self.path / "README.md"
        if not readme.is_file():
            self.refuse("README.md is missing", "say on one page what the change is for and how it goes back")
        steps = self.steps()
        preflight = tuple(self.guarding(script, steps) for script in self.scripts(Kind.PREFLIGHT))
        self.entries("samples", {"go.sql", "data.sql", "no_go", "traffic"})
        no_go = {path.stem: path for path in self.files("samples/no_go", _FILE_NAME)}
        for name, path in no_go.items():
            if name not in {check.name for check in preflight}:
                self.refuse(
                    f"{self.label(path)} has no check of its name in preflight/",
                    f"write preflight/{name}.sql, or name the sample after the check that it must fail",
                )
        go, data = (self.path / "samples" / name for name in ("go.sql", "data.sql"))
        traffic = self.files("samples/traffic", re.compile(r"[a-z0-9_]+"))
        samples = [*(path for path in (go, data) if path.is_file()), *no_go.values(), *traffic]
        for path in samples:
            statement.parse(self.text(path), file=self.label(path))
        return Change(
            name=self.path.name,
            folder=self.path,
            readme=self.text(readme),
            requires=self.requires(steps),
            preflight=preflight,
            remedies=self.scripts(Kind.REMEDY),
            steps=steps,
            timings=self.scripts(Kind.TIMING),
            go_sample=go if go in samples else None,
            no_go_samples=MappingProxyType(no_go),
            traffic=traffic,
            data_sample=data if data in samples else None,
            checklist=self.checklist(steps),
        )

    def checklist(self, steps: Sequence[Step]) -> Checklist:
        path = self.path / "checklist.md"
        if not path.is_file():
            return Checklist()
        return checklist.parse(self.text(path), file=self.label(path), steps=[step.name for step in steps])

    def steps(self) -> tuple[Step, ...]:
        migrations = self.scripts(Kind.MIGRATE, _STEP_NAME)
        if not migrations:
            self.refuse("there is no step in migrate/", "write the first, and its verify and rollback")
        verifications = {script.name: script for script in self.scripts(Kind.VERIFY, _STEP_NAME)}
        rollbacks = self.rollbacks()
        numbers: dict[str, str] = {}
        for migrate in migrations:
            number = migrate.name.partition("_")[0]
            if number in numbers:
                self.refuse(
                    f"steps {numbers[number]} and {migrate.name} have the same number",
                    "give each step its own number",
                )
            numbers[number] = migrate.name
            for kind, present in ((Kind.VERIFY, verifications), (Kind.ROLLBACK, rollbacks)):
                if migrate.name not in present:
                    self.refuse(
                        f"step {migrate.name} has no {kind.value}/{migrate.name}.sql",
                        "write the file; a step that cannot be proved or undone is not run",
                    )
        for kind, present in ((Kind.VERIFY, verifications), (Kind.ROLLBACK, rollbacks)):
            for name in sorted(present.keys() - set(numbers.values())):
                self.refuse(
                    f"{kind.value}/{name}.sql belongs to no step",
                    f"write migrate/{name}.sql, or rename or remove the file",
                )
        return tuple(
            Step(m.name, m.name.partition("_")[0], m, verifications[m.name], rollbacks[m.name])
            for m in migrations
        )

    def guarding(self, check: Script, steps: Sequence[Step]) -> Script:
        """Return a check with the full name of the first step that it stops."""
        before = check.header.before
        if not before:
            return check
        names = [step.name for step in steps if before in (step.number, step.name)]
        if not names:
            self.refuse(
                f"{check.label} must be clean before {before}, and there is no such step",
                f"name one of: {', '.join(step.number for step in steps)}",
            )
        return dataclasses.replace(check, header=dataclasses.replace(check.header, before=names[0]))

    def rollbacks(self) -> dict[str, tuple[Script, ...]]:
        """Return the files that undo each step, in the order they run."""
        found: dict[str, list[Script]] = {}
        for script in self.scripts(Kind.ROLLBACK, _ROLLBACK_NAME):
            found.setdefault(re.sub(r"\.[0-9]$", "", script.name), []).append(script)
        for step, scripts in found.items():
            present = [script.name for script in scripts]
            numbered = [f"{step}.{part}" for part in range(1, len(scripts) + 1)]
            if present not in ([step], numbered):
                self.refuse(
                    f"the rollback files of {step} are {', '.join(f'{name}.sql' for name in present)}",
                    f"have either {step}.sql alone or {step}.1.sql, {step}.2.sql and so on without a gap",
                )
        return {step: tuple(scripts) for step, scripts in found.items()}

    def requires(self, steps: Iterable[Step]) -> tuple[str, ...]:
        required = tuple(dict.fromkeys(name for step in steps for name in step.migrate.header.requires))
        if self.path.name in required:
            self.refuse("the change requires itself", "take its own name out of the `requires` line")
        return required

    def scripts(self, kind: Kind, name: re.Pattern[str] = _FILE_NAME) -> tuple[Script, ...]:
        return tuple(self.script(path, kind) for path in self.files(kind.value, name))

    def script(self, path: Path, kind: Kind) -> Script:
        label = self.label(path)
        text = self.text(path)
        described = header.parse(text, kind=kind, file=label)
        script = Script(
            path=path,
            kind=kind,
            name=path.stem,
            text=text,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            header=described,
            statements=statement.parse(text, file=label),
        )
        check_statements(script, file=label)
        return script
