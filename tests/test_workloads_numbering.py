"""The numbering methods: what each sends, and what one session alone gets from it."""

from __future__ import annotations

import psycopg
import pytest

from pgrunbook.errors import UnknownName
from pgrunbook.server import Server
from pgrunbook.workloads import contest, numbering
from pgrunbook.workloads.numbering import GENERATOR_ALONE, METHODS, Method, Promise


def test_every_method_has_a_name_of_its_own() -> None:
    assert len({method.name for method in (*METHODS, GENERATOR_ALONE)}) == len(METHODS) + 1
    assert [numbering.named(method.name) for method in METHODS] == list(METHODS)


def test_a_method_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnknownName, match="advisory lock"):
        numbering.named("mutex file")


def test_the_specifications_method_is_the_specifications() -> None:
    sent = numbering.script(numbering.named("SELECT ... FOR UPDATE"))
    assert "LIKE :client || '-REALLL-RLN-' || '%'\n    ORDER BY class_code DESC LIMIT 1 FOR UPDATE" in sent
    assert sent.index("BEGIN;") < sent.index("FOR UPDATE") < sent.index("INSERT") < sent.index("COMMIT;")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_one_session_alone_counts_from_one_and_what_it_rolls_back_is_a_gap_only_where_none_is_promised(
    server: Server, method: Method
) -> None:
    with contest.prepared(server, method) as conninfo:
        result = contest.measure(server, conninfo, method, writers=1, codes=8, undone_of=0, limit_s=60)
        with psycopg.connect(conninfo) as conn:
            found = conn.execute("SELECT class_code FROM classes ORDER BY class_id").fetchall()
        undone = contest.measure(server, conninfo, method, writers=1, codes=8, undone_of=5, limit_s=60)
    assert (result.codes, undone.codes) == (8, 8)
    wanted = [f"11-REALLL-RLN-{number:04}" for number in range(1, 9)] if method.creates_classes else []
    assert [code for (code,) in found] == wanted
    assert not undone.duplicates
    assert bool(undone.gaps) == (method.promise is Promise.NO_DUPLICATE)
