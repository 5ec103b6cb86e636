"""The sections of a record: what each shows, in which order, and what stands there where nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pgrunbook.views import blocks
from pgrunbook.views.blocks import Block
from pgrunbook.views.summary import Rows, Summary
from pgrunbook.views.units import counted

__all__ = ["Section", "after", "before"]

_CHAIN = (
    "Each event's hash covers the event and the hash before it, in the ledger of the target. The chain is"
)


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the page; `none` stands where it has no blocks."""

    id: str
    title: str
    count: str = ""
    lead: str = ""
    none: str = ""
    blocks: list[Block] = field(default_factory=list)


Made = Callable[[Summary], Iterator[Block]]


def before(summary: Summary) -> list[Section]:
    """Return what comes before the evidence that the operator saw: the summary, then what the ledger proves."""
    people = summary.approvals_needed
    # Said after the commit, which is later and nearer to the truth, in the section of the stalls.
    told = ("locks held ms", "worst stall ms") if summary.stalls else ()
    sections = [
        _table(
            summary,
            "approvals",
            "Approvals",
            f"{counted(people, 'person', 'people')} had to approve each step." if people > 1 else "",
            "No step was approved.",
        ),
        _table(summary, "checklist", "Checklist", _ticks(summary.checklist), ""),
        _table(summary, "steps", "Steps", "", "No step ran.", without=told),
        _drawn(summary, "stalls", "Worst stall by step", _STALLS, blocks.stalls, "No step was watched."),
        _table(summary, "checks", "Checks before", _CHECKS, "No check ran."),
        _table(
            summary,
            "remedies",
            "Remedies",
            "What was replaced is kept in quarantine in the target.",
            "Nothing was repaired.",
        ),
        _table(
            summary,
            "verification",
            "Verification",
            "Each step's own proof that it did what it says.",
            "Nothing was verified.",
        ),
        _table(
            summary,
            "rollbacks",
            "Rollback",
            "The way back, where it was taken or proved.",
            "No step was rolled back.",
            without=told,
        ),
        _drawn(
            summary, "findings", "What the checks found", _FINDINGS, blocks.found, "No check found a row."
        ),
        _drawn(summary, "ran", "SQL as it ran", _RAN, blocks.ran, "No script ran."),
        _table(
            summary,
            "rehearsal",
            "Rehearsal",
            "Every file on a clone of the target's schema: locks declared in its header, and locks observed.",
            "The change was not rehearsed.",
        ),
        _table(summary, "locks", "Locks by statement", _LOCKS, "No statement was seen to take a lock."),
        _drawn(summary, "waits", "Lock waits", _WAITS, blocks.waits, "Nobody was seen to wait."),
        _table(summary, "signals", "Sessions cancelled or ended", _SIGNALS, ""),
        _drawn(
            summary,
            "builds",
            "Index builds",
            "How far each build was seen to be, and when.",
            blocks.builds,
            "",
        ),
        _drawn(summary, "timings", "Plans before and after", _PLANS, blocks.plans, "No query was timed."),
        _drawn(summary, "sizes", "Sizes on disk", "", blocks.sizes, ""),
        _drawn(summary, "unread", "Events that cannot be read in the usual way", _UNREAD, blocks.unread, ""),
    ]
    # Most changes have no checklist, many build no index.
    return [one for one in sections if one.blocks or one.none]


def after(summary: Summary) -> list[Section]:
    """Return what comes last: the hashes of all files, the events, the versions."""
    return [
        _table(
            summary,
            "scripts",
            "Scripts",
            "SHA-256 of each file of the change when the run was opened; compare with sha256sum.",
            "No script was recorded.",
        ),
        _table(
            summary,
            "events",
            "Events",
            f"{_CHAIN} {summary.chain}." if summary.chain else "",
            "No event was recorded.",
        ),
        _table(summary, "versions", "Versions", "", "No version was recorded."),
    ]


_CHECKS = "A check's rows are the problem; no rows is good."
_FINDINGS = "Whenever it was news; of many rows the first are kept. What was asked again before a step is an audit too."
_RAN = "Each script that was begun on the target, as it was sent, with the hash that its event holds."
_LOCKS = (
    "What each statement took on the clone, for how long it kept it there, and what its file held already."
)
_STALLS = (
    "The longest that anybody can have waited behind a step: time in the queue and time with its locks together"
    " where these stop others, and what was seen."
)
_WAITS = (
    "What the observers saw from a session of their own. A wait ends where it was seen last; times are since the step"
    " began, in the picture one step after the other. Short waits fall between two looks."
)
_SIGNALS = "Who was in the way and was asked to go: by whom, why, and what came of it."
_UNREAD = (
    "An older version wrote them otherwise, or somebody wrote them by hand. What can be read of them is above, the"
    " rest is not; here they are as they stand."
)
_PLANS = "EXPLAIN (ANALYZE, BUFFERS) in read-only transactions that were rolled back; blocks of 8 kB."


def _table(
    summary: Summary, name: str, title: str, lead: str, none: str, *, without: Sequence[str] = ()
) -> Section:
    rows: Rows = tuple(
        {key: value for key, value in row.items() if key not in without} for row in getattr(summary, name)
    )
    always = name in ("events", "approvals")
    return Section(
        name,
        title,
        f"{len(rows):,}" if rows else "",
        lead if rows or always else "",
        none,
        list(blocks.capped(rows)) if rows else [],
    )


def _drawn(summary: Summary, name: str, title: str, lead: str, made: Made, none: str) -> Section:
    rows: Rows = getattr(summary, name)
    shown = list(made(summary))
    return Section(name, title, f"{len(rows):,}" if rows else "", lead if shown else "", none, shown)


def _ticks(rows: Rows) -> str:
    """Return how far a checklist came.

    >>> _ticks(({"item": "backup", "state": "ticked"}, {"item": "smoke", "state": "OPEN"}))
    '1 of 2 items ticked. Open: smoke.'
    """
    still = [str(row.get("item")) for row in rows if row.get("state") != "ticked"]
    left = f"Open: {', '.join(still)}." if still else "Nothing is open."
    return f"{len(rows) - len(still)} of {counted(len(rows), 'item')} ticked. {left}"
