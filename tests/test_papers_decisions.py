"""Names in a paper that is written by hand."""

from __future__ import annotations

from pathlib import Path

from pgrunbook.papers import decisions
from pgrunbook.papers.names import Names

NAMES = Names(
    frozenset({"slip", "box_id"}),
    frozenset({"refuse"}),
    frozenset(),
    frozenset({"null"}),
    frozenset({"P7001"}),
)


def test_code_is_found_with_its_line_and_fences_are_left_out() -> None:
    text = "# `one`\n\n```\n`not this`\n```\nand `two` with ``th`ree``, not \\`\n"
    assert list(decisions.quoted(text)) == [(1, "one"), (6, "two"), (6, "th`ree")]


def test_what_names_nothing_is_told_with_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "sql" / "710_papered"
    (folder / "migrate").mkdir(parents=True)
    (folder / "migrate" / "001_slip.sql").touch()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_slip.py").write_text("def test_it_slips() -> None: ...\n")
    text = (
        "`slip`, `box_id`, `refuse()`, `NULL`, `P7001`, `710_papered`, `pgrunbook rollback 710_papered`\n"
        "`migrate/001_slip.sql`, `migrate/`, `migrate/*.sql`, `notebooks/`, `tests/test_slip.py::test_it_slips`\n"
        "`slop` and `P7002`\n"
        "`migrate/002_slip.sql` and `/etc/passwd`\n"
        "`tests/test_slip.py::test_it` and `tests/test_slop.py::test_it_slips`\n"
    )
    assert decisions.mistakes(text, NAMES, folder=folder, project=tmp_path) == [
        "line 3: `slop` is neither in the catalog nor a file",
        "line 3: `P7002` is neither in the catalog nor a file",
        "line 4: `migrate/002_slip.sql` is neither in the catalog nor a file",
        "line 4: `/etc/passwd` is neither in the catalog nor a file",
        "line 5: `tests/test_slip.py::test_it` is neither in the catalog nor a file",
        "line 5: `tests/test_slop.py::test_it_slips` is neither in the catalog nor a file",
    ]
