"""The contest: promises are kept by many sessions at once, and what is not kept is found."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import psycopg
import pytest

from pgrunbook import server as embedded
from pgrunbook.errors import LoadFailed, TooManyCodes
from pgrunbook.server import Server
from pgrunbook.views import contest as views
from pgrunbook.workloads import contest, numbering
from pgrunbook.workloads.contest import Result
from pgrunbook.workloads.numbering import METHODS, NEXT_CLASS_CODE, Ground, Method, Promise

SEQUENCE = numbering.named("sequence")
VERDICT = (
    "16 writers; no duplicate, no gap: next_class_code, advisory lock, unique + retry, SERIALIZABLE + retry;"
    " no duplicate, but gaps: blocks of 100, sequence; duplicates: SELECT ... FOR UPDATE, max + 1"
)


def counted(server: Server, statements: str, **options: Any) -> Result:
    """Return the result of a method made for one test, on the ground of the sequence."""
    method = dataclasses.replace(SEQUENCE, name="made up", ground=Ground.PLAIN, statements=statements)
    with contest.prepared(server, method) as conninfo:
        return contest.measure(
            server, conninfo, method, **{"writers": 2, "codes": 6, "limit_s": 60, "undone_of": 0, **options}
        )


def scratch(server: Server) -> list[str]:
    with psycopg.connect(server.conninfo_for("postgres")) as conn:
        found = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'rehearsal_contest_%'")
        return [name for (name,) in found.fetchall()]


def test_the_small_contest_gives_the_same_verdict_each_time(server: Server) -> None:
    view = contest.small(server, codes=320)
    assert view.text == VERDICT
    results = view.facts["results"]
    assert isinstance(results, list)
    assert [one["method"] for one in results] == [method.name for method in METHODS]
    assert {one["codes"] for one in results if not one["stopped"]} == {320}
    assert scratch(server) == []


def test_the_large_contest_asks_for_every_method_at_1_to_64_writers_on_one_and_on_many_prefixes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int, int]] = []

    def noted(
        _: Server, __: str, method: Method, *, writers: int, prefixes: int, codes: int, **___: Any
    ) -> Result:
        asked.append((method.name, writers, prefixes))
        return Result(method.name, writers, prefixes, codes, codes, 0, 0, 0, 1.0, 1.0, 2.0, 3.0, False)

    monkeypatch.setattr(contest, "measure", noted)
    monkeypatch.setattr(contest, "prepared", lambda *_: contextlib.nullcontext(""))
    assert contest.large(server).text.startswith("1 to 64 writers; no duplicate, no gap: ")
    names = [method.name for method in METHODS]
    assert asked == [(name, n, among) for name in names for among in (1, 64) for n in (1, 4, 16, 64)]


def test_without_a_server_it_runs_on_the_embedded_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(embedded, "start", lambda major: started.append(major) or server)
    monkeypatch.setattr(contest, "hold", lambda server, **_: ())
    assert contest.small().text == contest.large().text == "no method created a class"
    assert started == [server.major] * 2


@pytest.mark.parametrize("name", ["SELECT ... FOR UPDATE", "max + 1"])
def test_who_reads_the_last_code_before_writing_the_next_gives_codes_twice(server: Server, name: str) -> None:
    method = numbering.named(name)
    assert method.promise is Promise.NOTHING
    # All read before any writes, whatever the machine does meanwhile.
    slow = method.statements.replace("\\gset\n", "\\gset\n\\sleep 20 ms\n")
    assert slow != method.statements
    with contest.prepared(server, method) as conninfo:
        result = contest.measure(
            server, conninfo, dataclasses.replace(method, statements=slow), writers=4, codes=20, limit_s=60
        )
    assert result.codes == 20
    assert result.duplicates


def test_codes_given_twice_are_counted(server: Server) -> None:
    found = counted(
        server, "INSERT INTO classes (class_code) VALUES (numbered({prefix}, 1 + nextval('numbers') % 2));\n"
    )
    assert (found.codes, found.duplicates, found.gaps) == (6, 4, 0)


def test_numbers_left_out_are_counted(server: Server) -> None:
    found = counted(
        server, "INSERT INTO classes (class_code) VALUES (numbered({prefix}, 3 * nextval('numbers')));\n"
    )
    assert (found.codes, found.duplicates, found.gaps) == (6, 0, 12)


def test_gaps_are_counted_within_each_prefix(server: Server) -> None:
    statements = (
        "INSERT INTO classes (class_code) VALUES (numbered((11 + :client_id) || '-REALLL-RLN-', :done + 1));\n"
        "\\set done :done + 1\n"
    )
    found = counted(server, statements)
    assert (found.codes, found.duplicates, found.gaps) == (6, 0, 0)


def test_retries_in_the_database_are_counted(server: Server) -> None:
    found = counted(
        server,
        "SELECT nextval('retries');\n"
        "INSERT INTO classes (class_code) VALUES (numbered({prefix}, nextval('numbers')));\n",
    )
    assert found.retries == 6


def test_what_is_rolled_back_comes_on_top_of_what_was_asked(server: Server) -> None:
    with contest.prepared(server, NEXT_CLASS_CODE) as conninfo:
        found = contest.measure(
            server, conninfo, NEXT_CLASS_CODE, writers=4, codes=41, undone_of=3, limit_s=60
        )
        # 11 each; every session rolls back its first, fourth, seventh ... transaction.
        assert (found.wanted, found.codes, found.duplicates, found.gaps) == (44, 44, 0, 0)
        again = contest.measure(server, conninfo, NEXT_CLASS_CODE, writers=1, codes=5, limit_s=60)
        assert (again.codes, again.gaps) == (5, 0)


def test_a_method_that_reads_text_is_not_asked_for_more_than_four_digits(server: Server) -> None:
    method = numbering.named("max + 1")
    with pytest.raises(TooManyCodes, match="10,000 codes"):
        contest.measure(server, "", method, writers=1, codes=10_000)


def test_a_method_that_never_ends_is_stopped_and_says_so(server: Server) -> None:
    found = counted(
        server,
        "INSERT INTO classes (class_code) VALUES (numbered({prefix}, nextval('numbers')));\n"
        "SELECT pg_sleep(600) WHERE :client_id = 1;\n",
        limit_s=1,
    )
    assert found.stopped
    assert 0 < found.codes < 6
    assert "stopped at " in views.contest([found]).metadata()["pgrunbook"]["picture"]


def test_a_scratch_database_is_dropped_when_the_method_fails(server: Server) -> None:
    with pytest.raises(LoadFailed, match="nowhere"):
        counted(server, "INSERT INTO nowhere VALUES (1);\n")
    assert scratch(server) == []


def test_with_no_code_there_is_no_rate_and_no_time() -> None:
    one = Result("m", 1, 1, 5, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, True)
    assert one.codes_per_second == 0
