"""Live work in a notebook: it runs in a thread, its panel tells who is in the way and ends them on request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, TypeVar

import psycopg
from IPython.display import display

from pgrunbook import kernel, session, signalling
from pgrunbook.conduct import conduct
from pgrunbook.errors import ConnectionLost, RunbookError, StepCancelled
from pgrunbook.news import News
from pgrunbook.patience import Blocker
from pgrunbook.run import Run
from pgrunbook.session import SILENT_S, Connection
from pgrunbook.spells import Seen
from pgrunbook.views.step_panel import FRAME_S, Signal, StepPanel
from pgrunbook.views.text import visible
from pgrunbook.views.view import View, pictured

if TYPE_CHECKING:
    from pgrunbook.views.style import Picture

__all__ = ["perform"]

T = TypeVar("T")


async def perform(
    run: Run,
    name: str,
    work: Callable[[], T],
    *,
    stoppable: bool = True,
    drawn: Callable[[Picture], None] = lambda _picture: None,
) -> T:
    """Return what work gives, done in a thread, with a panel and its buttons where somebody watches.

    What they watched becomes a picture: `drawn` takes it, or it is shown where the work did not come to its end.
    """
    news = News()
    bound = run.binding
    run.on_wait, bound.on_sample, bound.on_progress, bound.on_stage = (
        news.waits, news.sampled, news.repaired, news.at,
    )  # fmt: skip
    bound.estimating = kernel.attended()
    if not kernel.attended():
        return await conduct(name, work, cancel=run.cancel)
    panel = StepPanel(name, stoppable=stoppable)
    signals = _Signals(run, news)
    panel.show()
    last, word = -FRAME_S, "failed"

    def frame() -> None:
        nonlocal last
        signals.send(panel.confirmed())
        if (now := news.seconds) - last < FRAME_S:
            return
        last = now
        signals.look()
        panel.update(news.frame, signals.blockers)

    try:
        done = await conduct(name, work, cancel=run.cancel, wanted=lambda: panel.cancelled, frame=frame)
        word = ""
        return done
    except StepCancelled:
        word = "cancelled"
        raise
    finally:
        panel.close()
        await signals.finish()
        # A picture that cannot be drawn, or is not waited for, must not hide the outcome.
        with contextlib.suppress(Exception, asyncio.CancelledError):
            if jobs := news.seen:
                picture = await asyncio.to_thread(_picture, jobs)
                if word:
                    display(pictured(View(visible(f"{name} ... {word}")), [picture]))
                else:
                    drawn(picture)


def _picture(jobs: Sequence[Seen]) -> Picture:
    # What draws takes long to load: only here somebody waits for a picture.
    from pgrunbook.views.step_picture import step_picture

    return step_picture(jobs)


class _Signals:
    """What the panel's buttons ask for, done in threads: the loop has to stay free for the next frame."""

    def __init__(self, run: Run, news: News) -> None:
        self.run, self.news = run, news
        self.awaited: dict[int, Blocker | None] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.opened: list[Connection] = []
        self.over = False

    @property
    def blockers(self) -> list[Blocker]:
        """Return the sessions in the way, and those that a build waits for."""
        return [*self.news.blockers, *(one for one in self.awaited.values() if one is not None)]

    def send(self, signals: Sequence[Signal]) -> None:
        """Begin what somebody has confirmed."""
        for one in signals:
            self._begin(self._end(one))

    def look(self) -> None:
        """Begin to find out who they are that a build waits for: its progress names pids alone."""
        pids = self.news.awaited
        self.awaited = {pid: found for pid, found in self.awaited.items() if pid in pids}
        for pid in pids - self.awaited.keys():
            self.awaited[pid] = None
            self._begin(self._find(pid))

    async def finish(self) -> None:
        """Wait for the end of what was begun, and hang up on a server that does not answer: no signal is sent later."""
        # The step is over: whoever stops the cell now stops the waiting, and hides no outcome.
        with contextlib.suppress(asyncio.CancelledError):
            if self.tasks:
                await asyncio.wait(self.tasks, timeout=SILENT_S)
        self.over = True
        for conn in self.opened:
            session.hang_up(conn)

    def _opened(self, conn: Connection) -> None:
        self.opened.append(conn)
        if self.over:
            raise ConnectionLost(where=self.run.target.where)

    def _begin(self, doing: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(doing)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _find(self, pid: int) -> None:
        # Without it there are no buttons, no more.
        with contextlib.suppress(RunbookError, psycopg.Error):
            found = await asyncio.to_thread(signalling.look_for, self.run.binding, pid, opened=self._opened)
            if pid in self.awaited:
                self.awaited[pid] = found

    async def _end(self, signal: Signal) -> None:
        try:
            done = await asyncio.to_thread(
                signalling.end_for,
                self.run.binding,
                signal.blocker,
                step=self.run.doing,
                statement_only=signal.statement_only,
                who=self.run.operator,
                opened=self._opened,
            )
            self.news.tell(str(done))
        except (RunbookError, psycopg.Error) as error:
            self.news.tell(str(error).splitlines()[0])
