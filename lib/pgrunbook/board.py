"""The board of an audit: what each check found, and which steps that stops."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pgrunbook.errors import PreflightFailed
from pgrunbook.header import Severity

__all__ = ["Board", "Finding"]

ROWS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: its first rows, and how many there are in all.

    `before` is the first step that it stops, by its full name; empty: it stops the whole change. `unproved` is
    why a derived check has no answer, which stops nothing: the statement itself will tell. `cost` is what a
    derived check was planned to read.
    """

    label: str
    title: str
    severity: Severity
    effect: str
    remedy: str
    columns: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    total: int = 0
    problem: str = ""
    before: str = ""
    unproved: str = ""
    cost: str = ""

    @property
    def stops(self) -> bool:
        """Return whether this finding makes the board say NO-GO; a check that could not run does too."""
        return bool(self.problem) or (self.total > 0 and self.severity is Severity.STOP)

    @property
    def warns(self) -> bool:
        """Return whether this finding is worth a look and stops nothing; what only informs is no warning."""
        found = bool(self.unproved) or (self.total > 0 and self.severity is not Severity.INFO)
        return found and not self.stops

    @property
    def name(self) -> str:
        """Return the check's name without folder and ending."""
        return self.label.removeprefix("preflight/").removeprefix("verify/").removesuffix(".sql")

    @property
    def lines(self) -> list[str]:
        """Return its first rows, one a line, and how many more there are."""
        shown = [
            ", ".join(f"{name}: {value}" for name, value in row.items()) for row in self.rows[:ROWS_SHOWN]
        ]
        return shown + ([f"and {self.total - len(shown):,} more"] if self.total > len(shown) else [])


@dataclass(frozen=True, slots=True)
class Board:
    """All findings of one audit; `offered` are the remedies of the change, `steps` its steps in order."""

    change: str
    findings: tuple[Finding, ...]
    offered: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()

    @property
    def go(self) -> bool:
        """Return whether nothing stops any step of the change."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Return the findings that stop the change, be it at a later step."""
        return tuple(finding for finding in self.findings if finding.stops)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Return the findings that are worth a look and stop nothing."""
        return tuple(finding for finding in self.findings if finding.warns)

    @property
    def goes_until(self) -> str:
        """Return the first step that something stops where others come before it, else nothing."""
        stopped = next((step for step in self.steps if self.stopping(step)), "")
        return stopped if stopped != next(iter(self.steps), "") else ""

    def concerns(self, finding: Finding, step: str) -> bool:
        """Return whether a finding is about a step: all are, but those that are about later ones."""
        if finding.before not in self.steps or step not in self.steps:
            return True
        return self.steps.index(finding.before) <= self.steps.index(step)

    def stopping(self, step: str) -> tuple[Finding, ...]:
        """Return the findings that stop a step."""
        return tuple(finding for finding in self.failed if self.concerns(finding, step))

    def derived(self, step: str) -> tuple[Finding, ...]:
        """Return what the checks found that were derived from the statements of a step."""
        return tuple(f for f in self.findings if f.before == step and f.label.startswith("derived: "))

    def updated(self, found: Iterable[Finding]) -> Board:
        """Return the board with findings of checks that were run again in the place of the old ones."""
        new = {finding.label: finding for finding in found}
        return dataclasses.replace(self, findings=tuple(new.get(one.label, one) for one in self.findings))

    def require_go(self, step: str = "") -> None:
        """Raise PreflightFailed, with the remedies that would help, unless the board says GO.

        With the name of a step, only what stops that step counts.
        """
        failed = self.stopping(step) if step else self.failed
        if failed:
            # The rows of a check that was waited for are news.
            rows = [line for f in failed if f.before for line in f.lines]
            raise PreflightFailed(
                change=self.change,
                failed=[(f.label, f.problem or f.title, f.total) for f in failed],
                checks=len(self.findings),
                remedies=[name for name in self.offered if name in {f.name for f in failed}],
                step=step if any(f.before for f in failed) else "",
                rows=rows,
            )
