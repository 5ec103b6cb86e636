"""Two runners at once, under load: one applies, the other says who does, nothing happens twice."""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from faults.arena import Arena, Job

from pgrunbook import change

if TYPE_CHECKING:
    from faults.conftest import Tally

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

CHANGE = "010_class_code"
BUSY = re.compile(
    r"RunnerBusy: another runner is at work in .*\n"
    r"  pgrunbook (control|step) \S+ \(pid \d+, role 'postgres'\), connected since \d{4}-\d\d-\d\d [\d:]+ UTC\n"
    r"  next: wait until it ends, or ask its operator to cancel it; nothing was run\n"
)
ROUNDS = [pytest.param(n, marks=[pytest.mark.sample] if n < 5 else []) for n in range(50)]


@contextlib.contextmanager
def load(arena: Arena, database: str) -> Iterator[list[int]]:
    """Keep two writers at work; gives how often each committed."""
    done, stop = [0, 0], threading.Event()

    def write(number: int) -> None:
        with psycopg.connect(arena.server.conninfo_for(database), autocommit=True) as conn:
            while not stop.is_set():
                conn.execute("UPDATE classes SET class_id = class_id WHERE class_id = %s", (number + 1,))
                done[number] += 1
                stop.wait(0.002)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("number", ROUNDS)
def test_one_applies_and_the_other_says_so(number: int, arena: Arena, tally: Tally) -> None:
    chosen = change.load(CHANGE, root=arena.changes)
    job = Job(CHANGE, chosen.steps[0].name)
    arena.prepared(job)
    database = arena.database(arena.before(job)[0])
    with tempfile.TemporaryDirectory(dir=arena.folder, prefix="r") as records:
        with load(arena, database) as done:
            both = [arena.start(job, database, records=Path(records), whole=True) for _ in range(2)]
            codes = [runner.ended() for runner in both]
        said = {runner.text for runner, code in zip(both, codes, strict=True) if code == 3}
        if sorted(codes) == [0, 3]:
            assert BUSY.fullmatch(said.pop())
            tally.refused += 1
        else:
            # One was through before the other had begun: that one found everything done.
            assert codes == [0, 0], [runner.text for runner in both]
            assert any(text.count("already done") == len(chosen.steps) for text in (r.text for r in both))
        assert min(done) > 0
        arena.require_clean(job, database, Path(records))
    arena.drop(database)
    tally.rounds += 1
