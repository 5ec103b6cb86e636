"""A race's file: its header is a closed list, its folder is found, its promises can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgrunbook import race
from pgrunbook.errors import BadRace, UnknownName

pytestmark = pytest.mark.static

SPEC = "session a step x { SELECT 1 }\n"
GOOD = """\
# Two sessions, one row
# What the reader should know: that
# it holds.
#
# expect: duplicates 0
# on: 020_class_code_generator
# expect: 40001 > 0 in some permutation
# expect: status <> done in every permutation

"""


def refused(text: str) -> str:
    with pytest.raises(BadRace) as caught:
        race.parse(text, file="10_made.spec")
    assert caught.value.next_step
    return caught.value.found


def test_the_header_is_read_whole() -> None:
    found = race.parse(GOOD + SPEC, file="10_made.spec")
    assert (found.name, found.title, found.on) == (
        "10_made",
        "Two sessions, one row",
        "020_class_code_generator",
    )
    assert found.story == "What the reader should know: that it holds."
    assert [str(one) for one in found.expectations] == [
        "duplicates 0 in every permutation",
        "40001 > 0 in some permutation",
        "status <> done in every permutation",
    ]
    assert [one.line for one in found.expectations] == [5, 7, 8]
    assert len(found.spec.sessions) == 1


def test_a_header_that_promises_nothing_or_says_what_nobody_reads_is_refused() -> None:
    assert refused(SPEC) == "10_made.spec line 1: the title is missing"
    assert refused(f"# expect: a 1\n{SPEC}") == "10_made.spec line 1: the title is missing"
    assert refused(f"#\n# expect: a 1\n{SPEC}") == "10_made.spec line 1: the title is missing"
    assert refused(f"# Title\n{SPEC}") == "10_made.spec line 1: it expects nothing"
    assert refused(f"# Title\n# expct: a 1\n{SPEC}") == "10_made.spec line 2: unknown key 'expct'"
    below = f"# Title\n# expect: a 1\n\n# expect: b 1\n{SPEC}"
    assert refused(below) == "10_made.spec line 4: `expect` stands below the header"
    twice = f"# Title\n# on: 010_a\n# on: 020_b\n# expect: a 1\n{SPEC}"
    assert refused(twice) == "10_made.spec line 3: `on` is there twice"
    assert refused(f"# Title\n# on: somewhere\n{SPEC}") == (
        "10_made.spec line 2: 'somewhere' is not the name of a change"
    )


@pytest.mark.parametrize(
    "value",
    ["", "duplicates", "duplicates 0 0", "duplicates == 0", "duplicates 0 in most permutations", "> 0"],
)
def test_an_expectation_that_cannot_be_read_is_refused(value: str) -> None:
    assert (
        refused(f"# Title\n# expect: {value}\n{SPEC}")
        == f"10_made.spec line 2: cannot read `expect: {value}`"
    )


@pytest.mark.parametrize(
    ("expected", "found", "holds"),
    [
        ("n 0", "0", True),
        ("n 0", "00.0", True),
        ("n 0", "1", False),
        ("n <> 0", "1", True),
        ("n > 9", "10", True),
        ("n >= 10", "10", True),
        ("n < 10", "10", False),
        ("n <= 10", "9", True),
        ("n done", "done", True),
        ("n <> done", "done", False),
        ("n 0", None, False),
    ],
)
def test_numbers_are_compared_by_size_and_words_as_words(
    expected: str, found: str | None, holds: bool
) -> None:
    made = race.parse(f"# Title\n# expect: {expected}\n{SPEC}", file="10_made.spec")
    assert made.expectations[0].holds(found) is holds


def test_the_spec_below_the_header_is_checked_with_the_lines_of_the_file() -> None:
    assert (
        refused(f"{GOOD}session a stp") == "10_made.spec line 10: found 'stp', expected `step` in session 'a'"
    )


def test_races_are_the_files_of_the_folder(tmp_path: Path) -> None:
    for name in ("20_b", "10_a", "_draft"):
        (tmp_path / f"{name}.spec").write_text(GOOD + SPEC)
    (tmp_path / "README.md").write_text("not a race")
    assert race.names(tmp_path) == ["10_a", "20_b"]
    assert race.load("20_b", root=tmp_path).name == "20_b"
    with pytest.raises(UnknownName, match="choose one of: 10_a, 20_b"):
        race.load("30_c", root=tmp_path)
    with pytest.raises(UnknownName):
        race.load("../10_a", root=tmp_path)
    (tmp_path / "Mine.spec").write_text(GOOD + SPEC)
    with pytest.raises(BadRace, match="not named like a race"):
        race.names(tmp_path)
    (tmp_path / "40_d.spec").write_bytes(b"# \xff\n")
    with pytest.raises(BadRace, match="it is not UTF-8"):
        race.load("40_d", root=tmp_path)


def test_the_folder_is_the_one_named_or_the_project_s(tmp_path: Path) -> None:
    races = tmp_path / "sql" / "races"
    races.mkdir(parents=True)
    inside = tmp_path / "notebooks"
    inside.mkdir()
    assert race.root_from({}, start=inside) == races
    assert race.root_from({"PGRUNBOOK_RACES": str(inside)}, start=tmp_path) == inside
    assert race.root_from({}, start=Path("/")).parts[-2:] == ("sql", "races")
    with pytest.raises(BadRace, match="there is no such folder of races"):
        race.root_from({"PGRUNBOOK_RACES": str(tmp_path / "nowhere")})
