"""Workers are killed at any moment: every job runs, none twice at a time, none is lost, the cap holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import scheduler_ground as ground
from faults.job_chaos import Account, Fight, fought

from pgrunbook import server as embedded

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

WHOLE = Fight(workers=16, jobs=20_000, kills=150, cap=12)
SAMPLE = Fight(workers=6, jobs=300, kills=5, cap=5, lease_s=1)
SMALL = Fight(workers=6, jobs=150, kills=0, cap=12, work_s=0.02)


@pytest.fixture
def jobs(server: embedded.Server) -> Iterator[str]:
    with ground.scheduler(server) as template, ground.copy(server, template) as conninfo:
        yield conninfo


@pytest.mark.parametrize(
    "fight",
    [pytest.param(SAMPLE, id="sample", marks=pytest.mark.sample), pytest.param(WHOLE, id="whole")],
)
def test_every_job_runs_and_none_twice_at_a_time(fight: Fight, jobs: str, tmp_path: Path) -> None:
    account = fought(jobs, fight, tmp_path / "log")
    print(account)
    assert wrong(account, fight) == []
    assert account.killed + account.cut + account.stopped >= fight.kills
    assert account.samples > 0


@pytest.mark.parametrize(
    ("fight", "seen"),
    [
        pytest.param(SMALL, "", id="nothing"),
        pytest.param(Fight(**{**vars(SMALL), "sabotage": "two statements"}), "overlaps", id="two_statements"),
        pytest.param(
            Fight(**{**vars(SMALL), "sabotage": "no lease", "lease_s": 1, "work_s": 4.0, "jobs": 24}),
            "overlaps",
            id="no_lease",
        ),
    ],
)
def test_the_account_tells_when_a_guard_is_gone(fight: Fight, seen: str, jobs: str, tmp_path: Path) -> None:
    found = wrong(fought(jobs, fight, tmp_path / "log", timeout=60), fight)
    assert any(one.startswith(seen) for one in found) if seen else found == []


def wrong(account: Account, fight: Fight) -> list[str]:
    """Return what must not be."""
    facts = account.facts
    wanted = {
        "jobs completed": fight.jobs,
        "completed other than once": 0,
        "completed without work": 0,
        "still running": 0,
        "overlaps": 0,
    }
    found = [f"{name}: {facts[name]}" for name, number in wanted.items() if facts[name] != number]
    most = {
        "sampled": account.most_sampled,
        "at work": account.most_at_work,
        "by intervals": facts["most at a time by intervals"],
    }
    return found + [f"{name}: {number} at a time" for name, number in most.items() if number > fight.cap]
