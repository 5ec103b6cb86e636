"""The desk of the job scheduler, for a notebook: each call is one thing to show, and returns a view of it."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping

from pgrunbook import kernel, places, session
from pgrunbook import server as embedded
from pgrunbook.run import Run
from pgrunbook.runbook import Runbook
from pgrunbook.server import Server
from pgrunbook.session import Connection
from pgrunbook.target import Kind
from pgrunbook.telling import telling
from pgrunbook.views import job_contest as pictures
from pgrunbook.views import table
from pgrunbook.views.clock_changes import clock_changes
from pgrunbook.views.style import Picture
from pgrunbook.views.units import counted
from pgrunbook.views.view import View
from pgrunbook.workloads import job_calendar, job_contest, job_examples, job_queue
from pgrunbook.workloads.job_contest import Way

__all__ = ["JobDesk"]

_LIVE = "not armed: the target is live, and a runbook starts no jobs there"
_STILL_RAN = re.compile(r"WARNING: job (\S+) still runs")
_TAG = "scheduler.backup_tag"


@telling
class JobDesk:
    """The job scheduler in a notebook: `desk = JobDesk.of(runbook)`.

    What starts jobs does so in a rehearsal only; on a live target it says that it is not armed. What reads works on
    both, at any time. Contests run on the embedded server, in a database that is dropped again, whatever the target.
    """

    def __init__(self, run: Run, server: Callable[[], Server]) -> None:
        """Work on a run's target; `server` starts the embedded server for the contests."""
        self.run = run
        self.target = run.target
        self._server = server

    @classmethod
    def of(cls, runbook: Runbook) -> JobDesk:
        """Return the desk of a runbook's target."""
        return cls(runbook.run, functools.cache(lambda: embedded.start(places.embedded_major())))

    @property
    def armed(self) -> bool:
        """Return whether jobs may be started here: in a rehearsal."""
        return self.target.kind is Kind.REHEARSAL

    def queue(self) -> View:
        """Return the queue as it is now: slots and leases, who waits, what failed, what is next."""
        with self._connected() as conn:
            return _steady(job_queue.board(conn))

    def calendar(self) -> View:
        """Return when jobs are due around the days on which the clocks change in three zones."""
        with self._connected() as conn:
            found = job_calendar.courses(conn)
        rows = [
            {
                "zone": one.zone,
                "clocks": f"{one.clocks} on {one.day}" if one.changes else "stay",
                "schedule": one.name,
                **{
                    name: f"{at:%a} {at.day} {at:%b %H:%M}"
                    for name, at in zip(("before", "then", "next"), one.around, strict=True)
                },
                "hours between": one.hours,
            }
            for one in found
        ]
        kept = [one.kept(one.ours) for one in found]
        later = [one for one, same in zip(found, kept, strict=True) if not same]
        line = (
            f"{counted(len(found), 'schedule')} over changes of the clocks: {sum(kept)} keep their time of day,"
            f" {len(later)} come later on the day that leaves it out; steps of 24 hours keep"
            f" {sum(one.kept(one.stepped) for one in found)}"
        )
        picture = clock_changes([one for one in found if one.name == found[1].name])
        return _pictured(line, picture, html=table.to_html(rows, caption=line))

    def twice(self) -> View:
        """Let pollers claim jobs as specified and as built, and return how many ran twice."""
        with job_contest.prepared(self._server()) as conninfo:
            found = [job_contest.twice(conninfo, way) for way in (Way.SPECIFIED, Way.APART, Way.CLAIM)]
        theirs, ours = found[0], found[1:]
        line = (
            f"{theirs.pollers} pollers, {theirs.jobs} jobs: as specified, jobs"
            f" {'ran' if theirs.repeated else 'did not run'} twice and more;"
            f" ours: {sum(one.repeated for one in ours)} ran twice, {sum(one.never for one in ours)} did not run"
        )
        return _pictured(line, pictures.twice(found), facts={one.way: pictures.said(one) for one in found})

    def cap(self) -> View:
        """Let pollers claim a job each at one moment, and return how many ran at a time."""
        ways, cap, pollers = (Way.SPECIFIED, Way.COUNTED, Way.CLAIM), 5, 16
        with job_contest.prepared(self._server()) as conninfo:
            found = {way.value: job_contest.at_once(conninfo, way, pollers=pollers, cap=cap) for way in ways}
        theirs, ours = found[Way.SPECIFIED.value], found[Way.CLAIM.value]
        line = (
            f"{pollers} pollers at one moment, cap {cap}, {counted(len(ours), 'round')}: as specified up to"
            f" {max(theirs)} jobs ran at a time; ours: {pictures.span(ours)}"
        )
        return _pictured(line, pictures.at_once(found, cap=cap, pollers=pollers), facts=found)

    def polling(self) -> View:
        """Ask for the next job while more and more are due, and return what one question reads."""
        with job_contest.prepared(self._server()) as conninfo:
            found = job_contest.polling(conninfo, waiting=(100, 1_000, 10_000, 30_000))
        scans = {(one.index_scans, one.table_scans) for one in found}
        read = (
            "the index once, the table never"
            if scans == {(1, 0)}
            else f"NOT THE INDEX ALONE: {sorted(scans)}"
        )
        line = f"{found[0].waiting:,} to {found[-1].waiting:,} jobs due: one question reads {read}"
        return _pictured(line, pictures.polling(found), facts={"questions": found})

    async def examples(self) -> View:
        """Load the sample jobs in a rehearsal, let a worker do some of them, and return what it did."""
        data = self.run.change.data_sample
        if not self.armed or data is None:
            return View(f"example jobs ... {_LIVE}")
        with self._connected() as conn:
            rows = await job_examples.work(conn, self.target.conninfo, data.read_bytes())
        order = "by priority" if job_examples.by_priority(rows) else "NOT BY PRIORITY"
        line = (
            f"{counted(len(rows), 'job')} done by a worker {order}:"
            f" {sum(row['status'] == 'completed' for row in rows)} completed,"
            f" {sum(row['why'] == 'dependent' for row in rows)} of them made due by another,"
            f" {sum(row['status'] == 'failed' for row in rows)} failed and is tried again"
        )
        return View(line, html=table.to_html(rows, caption=line, null=""))

    async def lost_worker(self) -> View:
        """Kill a worker in a rehearsal while it has a job at work, and return what became of the job."""
        if not self.armed:
            return View(f"lost worker ... {_LIVE}")
        with self._connected() as conn:
            rows = await job_examples.crash(conn, self.target.conninfo)
        told = [f"attempt {row['attempt']} {row['error'] or row['status']}" for row in rows]
        line = f"worker killed at work: {', '.join(told)}"
        return View(line, html=table.to_html(rows, caption=line, null=""))

    def leave_running(self) -> View:
        """Start a job in a rehearsal that nobody will end, for the rollback to name."""
        if not self.armed:
            return View(f"job left running ... {_LIVE}")
        with self._connected() as conn:
            execution = job_examples.leave(conn)
        return View(f"{job_examples.LEFT} runs, and nobody will end it", facts={"execution": execution})

    def back_up_as(self, tag: str) -> View:
        """Have the rollback of a rehearsal copy the tables under this tag; of a live target, say what it will do."""
        if self.armed:
            self.run.work.execute("SELECT set_config(%s, %s, false)", [_TAG, tag])
        found = session.value(self.run.work, "SELECT coalesce(current_setting(%s, true), '')", [_TAG])
        if found:
            return View(f"the rollback copies the four tables under the tag {found}")
        return View(
            "the rollback copies nothing\n"
            f"  next: open the notebook with PGOPTIONS='-c {_TAG}=before_050' where the rows are to be kept"
        )

    def rolled_back(self) -> View:
        """Return which jobs the rollback left running, and how many rows each backup has."""
        warned = [
            name
            for outcome in self.run.outcomes
            for notice in outcome.notices
            for name in _STILL_RAN.findall(notice)
        ]
        with self._connected() as conn, session.reading(conn, timeout_ms=60_000):
            rows = list(_backups(conn))
        ran = (
            f"{counted(len(warned), 'job')} still ran: {', '.join(warned)}" if warned else "no job still ran"
        )
        line = f"rollback: {ran}; {counted(len(rows), 'table')} kept as backup"
        notices = [notice for outcome in self.run.outcomes for notice in outcome.notices]
        return View(
            line, html=table.to_html(rows, caption=line) if rows else None, facts={"notices": notices}
        )

    def _connected(self) -> contextlib.closing[Connection]:
        return contextlib.closing(session.connect(self.target, purpose="job desk"))


def _backups(conn: Connection) -> Iterator[dict[str, object]]:
    names = conn.execute(
        "SELECT c.relname AS name FROM pg_class AS c"
        " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
        " AND c.relname ~ '^(scheduled_jobs|job_executions|scheduler_config|recipe_rotation)_backup_[a-z0-9_]{1,20}$'"
        " ORDER BY c.relname"
    ).fetchall()
    for row in names:
        # The pattern leaves nothing that would need quotes.
        yield {"backup": row["name"], "rows": session.value(conn, f"SELECT count(*) FROM {row['name']}")}


def _pictured(
    line: str, picture: Picture, *, html: str | None = None, facts: Mapping[str, object] | None = None
) -> View:
    return View(line, html, picture.png, picture.svg, {**(facts or {}), "picture": picture.alt})


def _steady(view: View) -> View:
    """Return the view without its tables where a notebook test would compare what varies."""
    return view if kernel.attended() else View(view.text, None, view.png, view.svg, view.facts)
