"""The grammar of the isolation tests: all of it is read, and what it is not is refused with its line."""

from __future__ import annotations

import pytest

from pgrunbook import spec
from pgrunbook.errors import BadRace
from pgrunbook.spec import Marker

pytestmark = pytest.mark.static

WHOLE = '''\
# A comment with "quotes", { braces } and the word step
setup { CREATE TABLE a (i int); }   # behind a block
setup
{
    VACUUM a;
}
teardown { DROP TABLE a; }

session s1
setup { BEGIN; -- a comment of SQL, # no comment of ours
  SELECT '{'; }
step "first step" { SELECT 1 }
step größe$1 {}
teardown { COMMIT; }
session "permutation"
step "say ""no""" { SELECT 2; SELECT 3; }
step Step2 { SELECT 4 }

permutation "first step" größe$1 "say ""no""" (*) Step2
permutation Step2(größe$1, *) "first step"
    "say ""no"""("first step" notices 3) größe$1 Step2
'''
TWO = "session a step a1 {} step a2 {} session b step b1 {}"


def read(text: str) -> spec.Spec:
    return spec.parse(text, file="made.spec")


def refused(text: str) -> str:
    with pytest.raises(BadRace) as caught:
        read(text)
    assert caught.value.next_step
    return caught.value.found


def test_the_whole_grammar_is_read() -> None:
    found = read(WHOLE)
    assert found.setups == ("CREATE TABLE a (i int);", "VACUUM a;")
    assert found.teardown == "DROP TABLE a;"
    first, second = found.sessions
    assert (first.name, first.teardown) == ("s1", "COMMIT;")
    assert first.setup == "BEGIN; -- a comment of SQL, # no comment of ours\n  SELECT '{';"
    assert [(s.name, s.session, s.sql, s.line) for s in (*first.steps, *second.steps)] == [
        ("first step", "s1", "SELECT 1", 12),
        ("größe$1", "s1", "", 13),
        ('say "no"', "permutation", "SELECT 2; SELECT 3;", 16),
        ("Step2", "permutation", "SELECT 4", 17),
    ]
    assert [one.line for one in found.permutations] == [19, 20]
    assert [[turn.markers for turn in one.turns] for one in found.listed] == [
        [(), (), (Marker(),), ()],
        [(Marker("größe$1"), Marker()), (), (Marker("first step", 3),), (), ()],
    ]


def test_a_permutation_may_repeat_steps_and_leave_some_out() -> None:
    found = read(f"{TWO} permutation b1 b1 a2")
    assert [one.names for one in found.permutations] == [("b1", "b1", "a2")]
    assert found.unused == ("a1",)


def test_without_permutations_all_orders_that_keep_each_session_s_own_are_made() -> None:
    found = read(TWO)
    assert [one.names for one in found.permutations] == [
        ("a1", "a2", "b1"),
        ("a1", "b1", "a2"),
        ("b1", "a1", "a2"),
    ]
    assert found.unused == ()
    three = read("session a step a1 {} step a2 {} session b step b1 {} step b2 {} session c step c1 {}")
    assert len({one.names for one in three.permutations}) == 30


def test_names_keep_their_case_and_quotes_make_no_difference() -> None:
    found = read('session a step foo {} step "Foo" {} session b step FOO {} permutation "foo" FOO Foo')
    assert [one.names for one in found.permutations] == [("foo", "FOO", "Foo")]


def test_what_does_not_begin_or_follow_is_refused_with_what_was_expected() -> None:
    assert refused("") == (
        "made.spec line 1: found the end of the file, expected `setup`, `teardown` or `session`"
    )
    assert (
        refused("\n\nstep a {}")
        == "made.spec line 3: found 'step', expected `setup`, `teardown` or `session`"
    )
    assert refused("setup { } teardown") == (
        "made.spec line 1: found the end of the file, expected `{ SQL }` after teardown"
    )
    assert (
        refused("session a\nteardown {}")
        == "made.spec line 2: found 'teardown', expected `step` in session 'a'"
    )
    assert refused("session a step x\nSELECT") == (
        "made.spec line 2: found 'SELECT', expected `{ SQL }` after step x"
    )
    assert (
        refused("session setup step a {}") == "made.spec line 1: found 'setup', expected the session's name"
    )
    assert refused(f"{TWO}\nsetup {{}}") == (
        "made.spec line 2: found 'setup', expected `step`, `teardown`, `session` or `permutation`"
    )
    assert refused(f"{TWO} permutation a1 a2\n{{}}") == (
        "made.spec line 2: found a block of SQL, expected `permutation`"
    )
    assert (
        refused(f"{TWO} permutation") == "made.spec line 1: found the end of the file, expected a step's name"
    )


def test_what_does_not_end_is_refused_where_it_begins() -> None:
    assert refused("# one\nsession a step x {\n SELECT 1") == "made.spec line 2: a block of SQL does not end"
    assert refused('session "a\n" step x {}') == "made.spec line 1: a name in quotes does not end on its line"
    assert refused("session a;") == "made.spec line 1: unexpected character ';'"


def test_names_are_known_and_unique() -> None:
    assert (
        refused("session a step x {}\nsession b step x {}")
        == "made.spec line 2: step 'x' is there already, on line 1"
    )
    assert (
        refused("session a step x {}\nsession a step y {}") == "made.spec line 2: two sessions are named 'a'"
    )
    assert refused(f"{TWO}\npermutation a1 c1") == "made.spec line 2: no step named 'c1'"
    assert refused(f"{TWO}\npermutation a1(c1)") == "made.spec line 2: no step named 'c1'"


def test_markers_are_checked() -> None:
    assert refused(f"{TWO}\npermutation a1 a2 permutation a1(b1, *) a2") == (
        "made.spec line 2: a marker names step 'b1', which this permutation does not run"
    )
    assert refused(f"{TWO}\npermutation a1(a2)") == (
        "made.spec line 2: step 'a1' cannot wait for 'a2' of its own session"
    )
    assert (
        refused(f"{TWO} permutation a1(b1 notices 0)")
        == "made.spec line 1: found 0 notices, expected 1 or more"
    )
    assert (
        refused(f"{TWO} permutation a1(b1 notices x)")
        == "made.spec line 1: found 'x', expected how many notices"
    )
    assert (
        refused(f"{TWO} permutation a1()")
        == "made.spec line 1: found ')', expected `*` or the name of another step"
    )
    assert (
        refused(f"{TWO} permutation a1(* b1)")
        == "made.spec line 1: found 'b1', expected `,` or `)` after a marker"
    )


def test_too_many_orders_are_refused_before_any_is_made() -> None:
    sessions = " ".join(
        f"session {name} " + " ".join(f"step {name}{number} {{}}" for number in range(9)) for name in "abc"
    )
    assert "permutations keep the order of each session, more than 1,000" in refused(sessions)
    assert len(read(f"{sessions} permutation a0 b0").listed) == 1
