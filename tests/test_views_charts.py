"""Pictures say what the numbers say, the same way each time."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from drawing import HOSTILE, WAIT, Timed, build_progress, lock_waits, sizes, text_of, timings

from pgrunbook.observers.progress import BuildSample
from pgrunbook.observers.size import SizeChange
from pgrunbook.views import charts, style
from pgrunbook.views.charts import Picture

pytestmark = pytest.mark.static

VIEWS = Path(style.__file__).parent
EVERY = pytest.mark.parametrize("draw", [lock_waits, timings, build_progress, sizes])


@EVERY
def test_a_picture_is_a_labelled_image_without_anything_that_acts(draw: Callable[[], Picture]) -> None:
    picture = draw()
    root = ElementTree.fromstring(picture.svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == picture.alt
    assert picture.png.startswith(b"\x89PNG")
    for trace in (
        "<style",
        "<script",
        "<metadata",
        "<!DOCTYPE",
        "http://www.w3.org/1999/xlink",
        "matplotlib",
    ):
        assert trace not in picture.svg
    assert len(picture.svg) < 60_000


def test_hostile_names_stay_text_in_every_picture() -> None:
    wait = replace(WAIT, who=HOSTILE, relation=HOSTILE, wants=HOSTILE)
    pictures = [
        charts.lock_waits([wait], stall_budget_ms=100, held=[(0.0, 1.0, HOSTILE)]),
        charts.timings([Timed(HOSTILE, (1.0,), 1.0, title=HOSTILE, nodes=(HOSTILE,))], []),
        charts.build_progress([BuildSample(5.0, HOSTILE, 1, 2, None)]),
        charts.sizes([SizeChange(HOSTILE, 1, 2)]),
    ]
    for picture in pictures:
        assert "<script" not in picture.svg
        assert "<script>alert(1)</script> $\\frac{1}$" in text_of(picture)
        assert "\u202e" not in picture.svg


@pytest.mark.parametrize("file", sorted(VIEWS.glob("*.py")), ids=lambda file: file.stem)
def test_no_view_imports_a_database_driver_or_pyplot(file: Path) -> None:
    names = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    assert not [name for name in names if name.startswith(("psycopg", "sqlalchemy", "matplotlib.pyplot"))]


def test_pictures_tables_and_records_work_where_no_driver_is_loaded() -> None:
    code = (
        "import sys; from pgrunbook.views import charts, record, table, verdict, view;"
        " print([name for name in ('psycopg', 'sqlalchemy', 'matplotlib.pyplot') if name in sys.modules])"
    )
    path = str(VIEWS.parents[1])
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout.strip() == "[]"
