"""What the tests in a browser share: Chromium, one JupyterLab, and an operator before a fresh database."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from browser.lab import CHANGE, KEPT, PATIENCE_MS, Lab, Operator, chromium, started
from playwright.sync_api import Browser, expect

from pgrunbook import server as embedded

LAST = "'Run All came to its ' + 'end'"

# By itself it gives up after five seconds.
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; for a module, because Playwright keeps an event loop in this thread while it runs."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for all tests."""
    with started(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def kept() -> Sequence[str]:
    """Words of the cells that the notebook has; a module may ask for others."""
    return KEPT


@pytest.fixture
def notebook(lab: Lab, kept: Sequence[str]) -> Lab:
    """The notebook, made afresh."""
    lab.keep(kept, LAST)
    return lab


@pytest.fixture
def sample() -> str:
    """The state of the target: a file of the change's samples."""
    return "go.sql"


@pytest.fixture
def operator(
    request: pytest.FixtureRequest,
    notebook: Lab,
    browser: Browser,
    server: embedded.Server,
    eventually: Callable[..., Any],
    sample: str,
) -> Iterator[Operator]:
    """An operator before the freshly opened notebook; the target is a fresh database."""
    lab = notebook
    name = f"test_{uuid.uuid4().hex[:12]}"
    conninfo = embedded.create_database(server, name)
    lab.target(conninfo)
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    samples = lab.folder / "changes" / CHANGE / "samples"
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for file in dict.fromkeys(["go.sql", sample]):
            conn.execute((samples / file).read_bytes())
        someone = Operator(page, lab, conn, eventually)
        try:
            someone.open()
            yield someone
        finally:
            someone.look(f"end_of_{request.node.name}")
            for other in someone.others:
                other.close()
            context.close()
            for running in lab.ask("api/sessions"):
                with contextlib.suppress(OSError):
                    lab.ask(f"api/sessions/{running['id']}", "DELETE")
    embedded.drop_database(server, name)
