"""The contract of a race, held against every file of sql/races; names none: the folder is the list.

What a race comes to is committed in tests/expected and has to be the same bytes on every run and every major;
`pgrunbook races --save tests/expected` writes it anew. A race without such a file is held against a second run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgrunbook import change, race
from pgrunbook import server as embedded
from pgrunbook.laboratory import Laboratory
from pgrunbook.views import races

ROOT = Path(__file__).parents[1] / "sql"
EXPECTED = Path(__file__).parent / "expected"
NAMES = race.names(ROOT / "races")

every_race = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def laboratory(server: embedded.Server) -> Iterator[Laboratory]:
    made = Laboratory(server, root=ROOT / "races", changes_root=ROOT / "changes")
    with contextlib.closing(made):
        yield made


@every_race
def test_a_race_ends_as_its_file_expects_and_the_same_way_each_time(
    name: str, laboratory: Laboratory
) -> None:
    result = laboratory.run(name)
    assert [str(one) for one in result.broken] == []
    committed = EXPECTED / f"{name}.out"
    before = (
        committed.read_text(encoding="utf-8") if committed.exists() else races.in_full(laboratory.run(name))
    )
    assert races.in_full(result) == before


@pytest.mark.static
@every_race
def test_a_race_says_what_it_is_about_and_stands_on_a_change_that_is_there(name: str) -> None:
    found = race.load(name, root=ROOT / "races")
    assert found.story, "write a line or two for the reader under the title"
    assert found.spec.unused == ()
    assert not found.on or found.on in change.names(ROOT / "changes")


@pytest.mark.static
def test_nothing_is_expected_of_a_race_that_is_gone() -> None:
    assert {path.stem for path in EXPECTED.iterdir()} <= set(NAMES)
