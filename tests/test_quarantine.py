"""The quarantine: texts as the server wrote them, found again by number, by batch and by key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import throwaway

from pgrunbook import quarantine, session, target
from pgrunbook.ledger import Ledger
from pgrunbook.quarantine import Repair
from pgrunbook.session import Connection

TABLES = {"things": ("things",), "app.others": ("app", "others")}
OF = {"change": throwaway.NAME, "remedy": "10_doubled_codes"}


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        bound = target.rehearsal(database)
        ledger = Ledger(conn, bound)
        ledger.install()
        facts = session.bind(conn, bound)
        ledger.open_run(run_id="r", change=throwaway.NAME, operator="tester", version="0", facts=facts)
        conn.execute("CREATE TABLE things (id int); CREATE SCHEMA app; CREATE TABLE app.others (id int)")
        yield conn


def update(key: int, before: str = "a", after: str | None = "b", table: str = "things") -> Repair:
    texts = (f'{{"id": {key}}}', f'{{"code": "{before}"}}', after and f'{{"code": "{after}"}}')
    return Repair({"id": key}, {"code": before}, {"code": after} if after else None, texts, TABLES[table])


def keep(look: Connection, *keys: int, table: str = "things") -> None:
    with look.transaction():
        quarantine.keep(look, [update(key, table=table) for key in keys], run_id="r", **OF)


def kept(look: Connection, limit: int, *, whole: bool = True, below: int | None = None) -> list[int]:
    found = quarantine.kept(look, TABLES, **OF, below=below, limit=limit, whole_batches=whole)
    assert list(found) == sorted(found, reverse=True)
    return [int(repair.key["id"]) for repair in found.values()]


def test_a_number_is_shown_and_kept_to_its_last_digit(look: Connection) -> None:
    many = "12345678901234567890123456789"
    sql = f"""SELECT '{{"id": 7}}'::jsonb AS key, NULL::jsonb AS after,
              '{{"f": 0.10, "n": {many}, "d": {many}.50}}'::jsonb AS before"""
    repair = quarantine.read(look, sql, {"things": ("things",)})[0]
    assert (repair.key, repair.table) == ({"id": 7}, ("things",))
    assert repair.before == {"f": "0.10", "n": many, "d": f"{many}.50"}
    assert repair.after is None
    assert repair.texts == ('{"id": 7}', f'{{"d": {many}.50, "f": 0.10, "n": {many}}}', None)


def test_rows_of_several_tables_say_which(look: Connection) -> None:
    sql = """SELECT name AS table_name, '{"id": 7}'::jsonb AS key, '{"a": 1}'::jsonb AS before, NULL::jsonb AS after
             FROM unnest(ARRAY['app.others', 'things']) AS name"""
    assert [one.table for one in quarantine.read(look, sql, TABLES)] == [("app", "others"), ("things",)]
    with pytest.raises(ValueError, match=r"it returns others as table_name, and changes things, app\.others"):
        quarantine.read(look, sql.replace("app.", ""), TABLES)


def test_a_row_of_several_repairs_is_given_back_newest_first() -> None:
    repairs = {1: update(1, "a", "b"), 2: update(2, "a", "b"), 5: update(1, "b", "c"), 9: update(1, "c", "d")}
    assert [list(part) for part in quarantine.rounds(repairs)] == [[9, 2], [5], [1]]
    two_tables = {1: update(1), 2: update(1, table="app.others")}
    assert [list(part) for part in quarantine.rounds(two_tables)] == [[2, 1]]
    assert list(quarantine.rounds({})) == []


def test_what_is_kept_comes_newest_first_and_as_whole_batches(look: Connection) -> None:
    for batch in ([1, 2, 3], [4], [5, 6, 7, 8, 9]):
        keep(look, *batch)
    assert kept(look, 2, whole=False) == [9, 8]
    assert kept(look, 2) == [9, 8, 7, 6, 5]
    assert kept(look, 5) == [9, 8, 7, 6, 5]
    assert kept(look, 6) == [9, 8, 7, 6, 5, 4]
    assert kept(look, 7) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    lowest = session.value(look, "SELECT min(id) FROM pgrunbook.quarantine WHERE key = '{\"id\": 5}'")
    assert kept(look, 1, below=lowest) == [4]
    quarantine.mark_undone(look, [lowest])
    assert 5 not in kept(look, 100)
    # What an older ledger kept knows no batch.
    look.execute("UPDATE pgrunbook.quarantine SET batch = NULL")
    assert kept(look, 2) == [9, 8]


def test_a_table_that_the_remedy_does_not_change_any_more_is_refused(look: Connection) -> None:
    keep(look, 1, table="app.others")
    with pytest.raises(ValueError, match=r"holds rows of app\.others, and it changes things"):
        quarantine.kept(look, {"things": ("things",)}, **OF, below=None, limit=9, whole_batches=True)


def test_a_row_that_is_repaired_again_is_found(look: Connection) -> None:
    keep(look, 1, 2)
    since = quarantine.last(look)
    keep(look, 3)

    def again(key: int, table: str = "things") -> bool:
        return quarantine.again(look, [update(8), update(key, table=table)], **OF, since=since)

    assert [again(1), again(3), again(3, "app.others"), again(9)] == [False, True, False, False]


def test_keys_are_looked_up_in_an_index_however_large_the_quarantine_is(look: Connection) -> None:
    look.execute(
        "INSERT INTO pgrunbook.quarantine (run_id, change, remedy, table_name, key, before)"
        " SELECT 'r', %s, %s, 'things', jsonb_build_object('id', i), '{\"a\": 1}' FROM generate_series(1, 20000) AS i",
        (OF["change"], OF["remedy"]),
    )
    read = (
        "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
        " WHERE relname = 'quarantine'"
    )
    repairs = [update(key) for key in range(1, 101)]
    # Also once its plan is kept, and whatever is known of the table.
    for _ in range(12):
        with look.transaction():
            before = session.value(look, read)
            assert quarantine.again(look, repairs, **OF, since=10_000) is False
            assert session.value(look, read) - before <= 100
        with look.transaction():
            before = session.value(look, read)
            assert quarantine.repaired_since(look, range(1, 101), **OF) == set()
            assert session.value(look, read) - before <= 200
    look.execute("ANALYZE pgrunbook.quarantine")
    with look.transaction():
        before = session.value(look, read)
        assert quarantine.again(look, repairs, **OF, since=10_000) is False
        assert session.value(look, read) - before <= 100


def test_what_was_repaired_once_more_is_known_by_number(look: Connection) -> None:
    keep(look, 1, 2, 3)
    keep(look, 2, 2)
    keep(look, 3, table="app.others")
    numbers = list(quarantine.kept(look, TABLES, **OF, below=None, limit=9, whole_batches=False))[::-1]
    assert quarantine.repaired_since(look, numbers, **OF) == {numbers[1], numbers[3]}
    assert quarantine.count(look, **OF) == 6
