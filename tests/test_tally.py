"""How the lanes of a suite ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgrunbook import tally

pytestmark = pytest.mark.static

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="1"/></testsuites>
"""


def test_errors_of_a_report_count_as_failures(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    assert tally.counts(report) == tally.counts(None) == (0, 0, 0)
    report.write_text(REPORT)
    assert tally.counts(report) == (4, 3, 3)
