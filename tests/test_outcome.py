"""What became of a race: alike ends together, broken promises named, dead orders not tried again."""

from __future__ import annotations

from typing import Any

import pytest

from pgrunbook import outcome, race
from pgrunbook.errors import BadRace
from pgrunbook.interleaving import Stage
from pgrunbook.outcome import Result

BODY = """
setup { CREATE TABLE a (i int PRIMARY KEY); INSERT INTO a VALUES (1); }
teardown { SELECT count(*) AS n, max(i) AS most, min(i) FILTER (WHERE i > 9) AS nothing FROM a; DROP TABLE a; }
session s1 setup { BEGIN; }
step one { INSERT INTO a SELECT max(i) + 1 FROM a; } step end1 { COMMIT; }
session s2 setup { BEGIN; }
step two { INSERT INTO a SELECT max(i) + 1 FROM a; } step end2 { COMMIT; }
"""


def ran(database: str, *expected: str, body: str = BODY) -> Result:
    lines = "".join(f"# expect: {one}\n" for one in expected or ("n > 0",))
    return outcome.run(race.parse(f"# Made\n{lines}\n{body}", file="10_made.spec"), database)


def test_permutations_that_end_alike_stand_together(database: str) -> None:
    result = ran(database)
    assert [
        (one.label, [" ".join(i.permutation.names) for i in one.interleavings]) for one in result.outcomes
    ] == [
        ("n 3, most 3, nothing NULL", ["one end1 two end2", "two end2 one end1"]),
        ("n 2, most 2, nothing NULL, error 23505", ["one two end1 end2", "two one end2 end1"]),
    ]
    assert (len(result.happened), len(result.interleavings)) == (4, 6)


BROKEN = [
    ("n >= 2", ""),
    ("n 3", "expected n 3 in every permutation: not in one two end1 end2"),
    ("n 3 in some permutation", ""),
    ("n 4 in some permutation", "expected n 4 in some permutation: in none"),
    ("23505 1 in some permutation", ""),
    ("23505 0", "expected 23505 0 in every permutation: not in one two end1 end2"),
    ("40001 0", ""),
    ("40001 > 0 in some permutation", "expected 40001 > 0 in some permutation: in none"),
    ("errors <= 1", ""),
    ("errors 0", "expected errors 0 in every permutation: not in one two end1 end2"),
    ("waits 1 in some permutation", ""),
    ("waits 0", "expected waits 0 in every permutation: not in one two end1 end2"),
    # A NULL is no value: nothing can be promised of it.
    ("nothing <> 5", "expected nothing <> 5 in every permutation: not in one end1 two end2"),
]


def test_every_kind_of_expectation_can_be_broken(database: str) -> None:
    played = ran(database).interleavings
    for expected, broken in BROKEN:
        promising = race.parse(f"# Made\n# expect: {expected}\n{BODY}", file="10_made.spec")
        assert "; ".join(map(str, Result(promising, played).broken)) == broken


def test_an_expectation_of_something_that_no_outcome_has_is_an_error(database: str) -> None:
    with pytest.raises(BadRace) as caught:
        _ = ran(database, "duplicates 0").broken
    assert caught.value.found == "10_made.spec line 2: no outcome has 'duplicates'"
    assert caught.value.next_step.startswith("expect one of n, most, nothing, waits, errors or an SQLSTATE")


def test_every_row_of_an_outcome_counts_and_no_row_keeps_no_promise(database: str) -> None:
    body = (
        "teardown { SELECT generate_series(1, 2) AS n; SELECT 1 AS none WHERE false; } session s1 step x {}"
    )
    result = ran(database, "n <= 2", "n 1", "none 1", body=body)
    assert [one.label for one in result.outcomes] == ["n 1; n 2"]
    assert [str(one.expectation) for one in result.broken] == [
        "n 1 in every permutation",
        "none 1 in every permutation",
    ]


def test_a_race_that_reports_nothing_says_so(database: str) -> None:
    result = ran(database, "errors 0", body="session s1 step x {}")
    assert [one.label for one in result.outcomes] == ["no row, no error"]


def test_orders_that_begin_like_a_dead_one_are_not_tried(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def play(self: Stage, permutation: Any, *, original: Any = Stage.play) -> Any:
        tried.append(permutation.names)
        return original(self, permutation)

    monkeypatch.setattr(Stage, "play", play)
    body = BODY.replace("step end1 {", "step more {} step end1 {")
    result = ran(database, body=body)
    impossible = [one for one in result.interleavings if one.impossible_at is not None]
    assert len(tried) < len(result.interleavings)
    # Those that were tried and those that were not are told alike.
    dead = {one.permutation.names[: (one.impossible_at or 0) + 1] for one in impossible}
    assert len(dead) == len(tried) - len(result.happened)
