"""The notebook libraries load without the part that nobody needs, and that part can still be had."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.static

PROGRAM = """
import sys
from pgrunbook.loading import load_notebook_libraries
load_notebook_libraries()
load_notebook_libraries()
assert "nbformat" in sys.modules and "rfc3987_syntax" not in sys.modules
import nbformat
nbformat.validate(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))
import rfc3987_syntax
assert rfc3987_syntax.__name__ == "rfc3987_syntax"
"""


def test_the_slow_part_is_left_out_and_still_there_for_others() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
