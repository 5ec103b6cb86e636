"""A run of a hundred thousand lock samples and ten thousand events still leaves a file that opens at once."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import recorded
from playwright.sync_api import Browser

from pgrunbook import dossier, record, seal
from pgrunbook.dossier import Dossier
from pgrunbook.observers import Observation, trace
from pgrunbook.observers.locks import Side, Wait

pytestmark = pytest.mark.browser

STEPS, SAMPLES, EVENTS = 20, 100_000, 10_000


@pytest.fixture(scope="module")
def held() -> Dossier:
    """The facts of such a run, in the form in which the ledger gives them."""
    luck = random.Random(7)
    told = recorded.events("x", steps=1, checks=60)
    begun, ended = told[:-4], told[-4:]
    for step in range(STEPS):
        waits = tuple(
            Wait(
                10.0 * n,
                n % 2500,
                f"web {n % 40}",
                luck.uniform(1, 90),
                "RowExclusiveLock",
                "things",
                (1, 2),
                luck.choice(list(Side)),
            )
            for n in range(SAMPLES // STEPS)
        )
        detail = {
            **recorded.observed("x", waits=0),
            **trace.facts(Observation(SAMPLES // STEPS, waits, seconds=50.0)),
        }
        begun.append({**begun[-1], "kind": "observed", "step": f"{step:03}_step", "detail": detail})
    made_up = [*begun, *begun[-1:] * (EVENTS - len(begun) - len(ended)), *ended]
    filling = {"reason": "somebody looked", "what": "x" * 60}
    rows = []
    for number, one in enumerate(made_up, 1):
        detail = one["detail"] if number <= len(begun) or number > EVENTS - len(ended) else filling
        kind = one["kind"] if detail is not filling else "looked"
        text = dossier._json(detail)
        rows.append(
            {
                "id": number,
                "at": f"2026-01-31T12:{number // 60 % 60:02}:{number % 60:02}.000000Z",
                "run_id": "r1",
                "change": "010_x",
                "step": one["step"],
                "kind": kind,
                "actor": "ann",
                "detail": text,
                "previous_hash": f"{luck.getrandbits(256):064x}",
                "hash": f"{luck.getrandbits(256):064x}",
            }
        )
    return dossier.from_ledger("r1", rows, chain="unbroken", texts={recorded.SHA256: recorded.SQL})


@pytest.fixture(scope="module")
def file(held: Dossier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "record.html"
    path.write_bytes(seal.close(record.page_of(held), held.text))
    return path


def test_the_file_is_under_five_megabytes_and_holds_every_event(held: Dossier, file: Path) -> None:
    assert len(held.events) == EVENTS
    assert sum(int(str(row["samples"])) for row in held.summary["stalls"]) >= SAMPLES
    assert file.stat().st_size < 5_000_000
    sealed = seal.held(file.read_bytes(), file=str(file))
    assert sealed.facts == held.text


def test_it_opens_within_two_seconds(browser: Browser, file: Path) -> None:
    page = browser.new_page()
    took = []
    # The best of some: what else the machine does is not the page's.
    while len(took) < 3 or (min(took) >= 2 and len(took) < 15):
        began = time.perf_counter()
        page.goto(file.as_uri(), wait_until="load")
        page.locator("#versions").bounding_box()
        took.append(time.perf_counter() - began)
    assert min(took) < 2, took
    assert "The first 250 of 10,000" in page.locator("#events").inner_text()
    page.close()
