"""Remedies: what they replace is kept to the byte, given back to the byte, and never taken from anybody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import psycopg
import pytest
import throwaway

from pgrunbook import batch, pace, remedy, session, target, undoing
from pgrunbook.batch import Rules
from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed
from pgrunbook.ledger import Ledger
from pgrunbook.remedy import Applied
from pgrunbook.session import Connection
from pgrunbook.undoing import Undone

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
RETURNING = "RETURNING jsonb_build_object('id', t.id) AS key, jsonb_build_object({0}) AS before, {1} AS after"
CLEAR = (
    "WITH batch AS (SELECT id, code FROM things WHERE code IS NOT NULL ORDER BY id LIMIT 3)\n"
    "UPDATE things AS t SET code = NULL FROM batch WHERE t.id = batch.id AND t.code = batch.code\n"
    "RETURNING jsonb_build_object('id', t.id) AS key, jsonb_build_object('code', batch.code) AS before,\n"
    "    jsonb_build_object('code', t.code) AS after"
)
DELETE = (
    "WITH batch AS (SELECT id FROM {0} ORDER BY id LIMIT 3)\n"
    "DELETE FROM {0} AS t USING batch WHERE t.id = batch.id\n"
    "RETURNING jsonb_build_object('id', t.id) AS key, to_jsonb(t) AS before, NULL::jsonb AS after"
)


# Without a pause, and with room for a slow machine.
BRISK = Rules(stall_ms=5_000, share=1.0)


class Hands:
    """A remedy on a database with a ledger, and the sessions that it takes."""

    def __init__(self, work: Connection, look: Connection, folder: Path) -> None:
        self.work, self.look, self.folder = work, look, folder

    def script(self, sql: str) -> Script:
        files = throwaway.changed({"remedy/10_doubled_codes.sql": f"-- Repair\n\n{sql};\n"})
        return throwaway.write(self.folder, files).remedies[0]

    def preview(self, sql: str) -> remedy.Preview:
        return remedy.preview(self.work, self.look, self.script(sql))

    def apply(self, sql: str, **options: Any) -> Applied:
        given = {"look": self.look, "rules": BRISK, **options}
        return remedy.apply(self.work, self.script(sql), run_id="r", change=throwaway.NAME, **given)

    def undo(self, sql: str, **options: Any) -> Undone:
        given = {"look": self.look, "rules": BRISK, **options}
        return undoing.undo(self.work, self.script(sql), change=throwaway.NAME, **given)

    def hash(self, table: str = "things") -> Any:
        text = f"SELECT md5(string_agg((t.*)::text, E'\\n' ORDER BY (t.*)::text)) FROM {table} AS t"
        return session.value(self.look, text)


@pytest.fixture
def hands(database: str, tmp_path: Path) -> Iterator[Hands]:
    bound = target.rehearsal(database)
    with session.connect(bound, purpose="work") as work, session.connect(bound, purpose="look") as look:
        look.execute(throwaway.TABLE)
        ledger = Ledger(look, bound)
        ledger.install()
        facts = session.bind(look, bound)
        ledger.open_run(run_id="r", change=throwaway.NAME, operator="tester", version="0", facts=facts)
        yield Hands(work, look, tmp_path)


def said(act: Callable[[], object]) -> str:
    with pytest.raises(RemedyFailed) as caught:
        act()
    return str(caught.value)


def test_a_remedy_goes_batch_by_batch_and_undo_gives_all_of_it_back(hands: Hands) -> None:
    before, batches = hands.hash(), list[int]()
    preview = hands.preview(CLEAR)
    assert (preview.table, preview.undo_proved, hands.hash()) == ("things", True, before)
    assert [(dict(r.key), dict(r.before), r.after) for r in preview.repairs] == [
        ({"id": i}, {"code": f"c{i}"}, {"code": None}) for i in (1, 2, 3)
    ]
    count = lambda done: batches.append(done.rows)  # noqa: E731
    assert hands.apply(CLEAR, on_batch=count) == Applied("10_doubled_codes", "things", 10, 4)
    assert batches == [3, 6, 9, 10]
    assert session.value(hands.look, "SELECT count(*) FROM things WHERE code IS NULL") == 10
    assert hands.apply(CLEAR) == Applied("10_doubled_codes", "things", 0, 0)
    assert hands.undo(CLEAR) == Undone("10_doubled_codes", 10, ())
    assert hands.hash() == before
    assert hands.undo(CLEAR) == Undone("10_doubled_codes", 0, ())


def test_a_row_that_was_repaired_twice_gets_its_first_value_back(hands: Hands) -> None:
    before = hands.hash()
    once = CLEAR.replace("code IS NOT NULL", "id = 5 AND code = 'c5'").replace(
        "SET code = NULL", "SET code = 'v1'"
    )
    twice = once.replace("'c5'", "'v1'").replace("SET code = 'v1'", "SET code = 'v2'")
    assert [hands.apply(once).repairs, hands.apply(twice).repairs] == [1, 1]
    assert hands.undo(twice) == Undone("10_doubled_codes", 2, ())
    assert hands.hash() == before


def test_a_value_that_somebody_wrote_between_two_repairs_is_the_one_that_comes_back(hands: Hands) -> None:
    hands.apply(CLEAR)
    hands.look.execute("UPDATE things SET code = 'again' WHERE id = 5")
    hands.apply(CLEAR)
    assert hands.undo(CLEAR) == Undone("10_doubled_codes", 10, ANY, left_alone=1)
    assert session.value(hands.look, "SELECT code FROM things WHERE id = 5") == "again"


VALUES = r"""
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE values (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    n numeric, f8 float8, f4 float4, big bigint, flag boolean, c char(7), v varchar(9), doc jsonb, plain json,
    tags text[], grid int[], raw bytea, at timestamptz, local timestamp, day date, span interval, u uuid, addr inet,
    r int4range, m mood, p pair, x xml, spot point, bits bit(3),
    doubled numeric GENERATED ALWAYS AS (n * 2) STORED
);
INSERT INTO values (
    n, f8, f4, big, flag, c, v, doc, plain, tags, grid, raw, at, local, day, span, u, addr, r, m, p, x, spot, bits
) VALUES
    (1234567890123456789.12345678901234567890, 0.1, 1e-40, 9223372036854775807, true, 'ab', e'\t\n',
     '{"a": 1.10, "b": [null]}', '{"a":1,"b":2.50}', '{a,"b c",NULL,"q\"uote"}', '{{1,2},{3,4}}', '\x00ff',
     '2025-06-25 02:14:00.123456+02', '0044-03-15 12:00 BC', 'infinity', '1 mon -2 days 03:04:05.5',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::1/64', '[1,5)', 'ok', '(1,"x y")', '<a>1</a>', '(1.5,2)', '101'),
    ('NaN', 'NaN', '-Infinity', -1, NULL, '', '', '[]', 'null', '{}', '{}', '', 'infinity', '-infinity', '-infinity',
     '0', NULL, NULL, 'empty', NULL, NULL, NULL, NULL, NULL),
    ('Infinity', 1e308, 3.4e38, 0, false, '%s {0}', '''";--', '"\u00e9\ud83d\ude00"', '[]', '{"<b>"}', NULL,
     '\x27', 'epoch', NULL, NULL, NULL, NULL, NULL, NULL, 'sad', '(,)', NULL, '(NaN,Infinity)', NULL);
"""
COLUMNS = "n f8 f4 big flag c v doc tags grid raw at local day span u addr r m p x spot bits"


def test_values_of_every_type_come_back_to_the_byte(hands: Hands) -> None:
    hands.look.execute(VALUES if has_xml(hands.look) else VALUES.replace("x xml", "x text"))
    columns = COLUMNS.split()
    before = hands.hash("values")
    pairs = ", ".join(f"'{name}', batch.{name}" for name in columns)
    after = ", ".join(f"'{name}', t.{name}" for name in columns)
    clear = (
        "WITH batch AS (SELECT * FROM values WHERE v IS NOT NULL ORDER BY id LIMIT 2)\n"
        f"UPDATE values AS t SET {', '.join(f'{name} = NULL' for name in columns)} FROM batch WHERE t.id = batch.id\n"
        + RETURNING.format(pairs, f"jsonb_build_object({after})")
    )
    assert hands.preview(clear).undo_proved
    assert hands.apply(clear).repairs == 3
    assert hands.undo(clear) == Undone("10_doubled_codes", 3, ())
    assert hands.hash("values") == before


def has_xml(conn: Connection) -> bool:
    try:
        conn.execute("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


def test_deleted_rows_come_back_to_the_byte_with_identity_and_generated_columns(hands: Hands) -> None:
    text = VALUES if has_xml(hands.look) else VALUES.replace("x xml", "x text")
    # A json text is kept without its blanks: jsonb is what a remedy returns.
    hands.look.execute(text + "UPDATE values SET plain = NULL WHERE plain::text <> 'null'")
    before = hands.hash("values")
    delete = DELETE.format("values")
    assert hands.preview(delete).undo_proved
    assert hands.apply(delete) == Applied("10_doubled_codes", "values", 3, 1)
    assert session.value(hands.look, "SELECT count(*) FROM values") == 0
    assert hands.undo(delete) == Undone("10_doubled_codes", 3, ())
    assert hands.hash("values") == before


@pytest.mark.parametrize(
    ("kind", "value"), [("json", '{"b": 1,   "a": 2, "a": 3}'), ("float4", "-0"), ("float8", "-0")]
)
def test_a_value_that_jsonb_cannot_keep_is_not_proved(kind: str, value: str, hands: Hands) -> None:
    hands.look.execute(
        f"CREATE TABLE docs (id int PRIMARY KEY, doc {kind}); INSERT INTO docs VALUES (1, '{value}')"
    )
    clear = "UPDATE docs AS t SET doc = NULL FROM docs AS o WHERE t.id = o.id AND o.doc IS NOT NULL\n"
    clear += RETURNING.format("'doc', o.doc", "jsonb_build_object('doc', t.doc)")
    assert hands.preview(clear).undo_proved is False


def test_deleted_rows_that_somebody_wrote_again_are_left_alone(hands: Hands) -> None:
    delete = DELETE.format("things")
    assert hands.apply(delete).repairs == 10
    hands.look.execute("INSERT INTO things VALUES (2, 'new')")
    assert hands.undo(delete) == Undone("10_doubled_codes", 9, ANY, left_alone=1)
    assert session.value(hands.look, "SELECT code FROM things WHERE id = 2") == "new"


def test_a_delete_that_would_take_other_rows_along_is_refused(hands: Hands) -> None:
    hands.look.execute("CREATE TABLE parts (of int REFERENCES things ON DELETE CASCADE)")
    for act in (hands.preview, hands.apply):
        assert said(lambda act=act: act(DELETE.format("things"))) == (  # type: ignore[misc]
            "remedy 10_doubled_codes: a foreign key would change parts with the rows that it deletes\n"
            "  next: repair these tables first, or with it in WITH queries: quarantine keeps what it returns"
        )


def test_composite_keys_and_hostile_names_find_their_rows(hands: Hands) -> None:
    hands.look.execute(
        'CREATE TABLE "x""; DROP TABLE y %s {0}" ("a b%d" int, "é""" text, "t" text, "<script>" text,'
        ' PRIMARY KEY ("a b%d", "é"""));'
        'INSERT INTO "x""; DROP TABLE y %s {0}"'
        " SELECT i % 3, 'k' || i, 'same', '<b>' || i FROM generate_series(1, 6) AS i"
    )
    table = '"x""; DROP TABLE y %s {0}"'
    before = hands.hash(table)
    clear = (
        f'WITH batch AS (SELECT * FROM {table} WHERE t IS NOT NULL ORDER BY "é""" LIMIT 4)\n'
        f"UPDATE {table} AS t SET t = NULL, \"<script>\" = '' FROM batch\n"
        'WHERE t."a b%d" = batch."a b%d" AND t."é""" = batch."é"""\n'
        'RETURNING jsonb_build_object(\'a b%d\', t."a b%d", \'é"\', t."é""") AS key,\n'
        "    jsonb_build_object('t', batch.t, '<script>', batch.\"<script>\") AS before,\n"
        "    jsonb_build_object('t', t.t, '<script>', t.\"<script>\") AS after"
    )
    assert hands.preview(clear).undo_proved
    assert hands.apply(clear) == Applied("10_doubled_codes", 'x"; DROP TABLE y %s {0}', 6, 2)
    assert hands.undo(clear).restored == 6
    assert hands.hash(table) == before


def test_keys_and_values_in_quarantine_are_data_and_nothing_else(hands: Hands) -> None:
    hostile = [
        'x"; DROP TABLE y',
        "<script>alert(1)</script>",
        "'; --",
        "📚 é",
        "two\nlines",
        "\\",
        "%s{0}$1",
        "",
    ]
    hands.look.execute("CREATE TABLE names (id text PRIMARY KEY, code text)")
    for value in hostile:
        hands.look.execute("INSERT INTO names VALUES (%s, %s)", (value, value))
    clear = CLEAR.replace("things", "names").replace("t.code = batch.code", "true")
    before = hands.hash("names")
    assert {r.key["id"] for r in hands.preview(clear).repairs} <= set(hostile)
    assert hands.apply(clear).repairs == len(hostile)
    hands.look.execute("UPDATE names SET code = '<img onerror=x>' WHERE id = '📚 é'")
    assert hands.undo(clear) == Undone("10_doubled_codes", len(hostile) - 1, ANY, left_alone=1)
    hands.look.execute("UPDATE names SET code = '📚 é' WHERE id = '📚 é'")
    assert hands.hash("names") == before


def test_a_remedy_that_never_ends_is_refused_and_its_last_batch_rolled_back(hands: Hands) -> None:
    again = CLEAR.replace("SET code = NULL", "SET code = t.code || '!'")
    assert said(lambda: hands.apply(again)) == (
        "remedy 10_doubled_codes: it repairs the same row twice and would never end\n"
        "  next: let it find only rows that still need repair; the last batch was rolled back"
    )
    assert session.value(hands.look, "SELECT count(*) FROM things WHERE code LIKE '%!'") == 3
    assert session.value(hands.look, "SELECT count(*) FROM pgrunbook.quarantine") == 3
    assert hands.undo(again).restored == 3


@pytest.mark.parametrize(
    ("key", "before", "after", "found"),
    [
        ("'[1]'", "'{}'", "'{}'", "it returns [1] as key, which names no column"),
        ("'{}'", """'{"code": "a"}'""", "'{}'", "it returns {} as key, which names no column"),
        ("NULL", """'{"code": "a"}'""", "'{}'", "it returns NULL as key, which names no column"),
        ("""'{"id": null}'""", """'{"code": "a"}'""", """'{"code": 1}'""",
         'it returns the key {"id": null}, and NULL finds no row'),
        ("""'{"id": 1}'""", "'{}'", "'{}'", "it returns {} as before, which names no column"),
        ("""'{"id": 1}'""", """'{"code": "a"}'""", """'{"id": 1}'""",
         'it returns {"code": "a"} as before and {"id": 1} as after: different columns'),
    ],
)  # fmt: skip
def test_a_remedy_whose_rows_make_no_undo_changes_nothing(
    key: str, before: str, after: str, found: str, hands: Hands
) -> None:
    rows = hands.hash()
    sql = f"UPDATE things SET code = NULL WHERE id = 1 AND code IS NOT NULL RETURNING {key}::jsonb AS key,"
    for act in (hands.preview, hands.apply):
        assert said(lambda act=act: act(f"{sql} {before}::jsonb AS before, {after}::jsonb AS after")) == (  # type: ignore[misc]
            f"remedy 10_doubled_codes: {found}\n"
            "  next: return objects such as jsonb_build_object('id', t.id) AS key; nothing was changed"
        )
    assert hands.hash() == rows


def test_a_key_that_finds_several_rows_gives_nothing_back(hands: Hands) -> None:
    hands.look.execute("UPDATE things SET code = 'same'; ALTER TABLE things ADD COLUMN grp int DEFAULT 1")
    loose = (
        CLEAR.replace("LIMIT 3", "LIMIT 1")
        .replace("'id', t.id", "'grp', t.grp")
        .replace("id, code", "id, code, grp")
    )
    loose = loose.replace("code IS NOT NULL", "id = 1 AND code IS NOT NULL")
    assert hands.preview(loose).undo_proved is False
    assert hands.apply(loose).repairs == 1
    before = hands.hash()
    assert hands.undo(loose) == Undone("10_doubled_codes", 0, ANY, left_alone=1)
    assert hands.hash() == before


def test_a_server_that_refuses_is_quoted(hands: Hands) -> None:
    hands.look.execute("ALTER TABLE things ALTER code SET NOT NULL")
    for act in (hands.preview, hands.apply):
        assert said(lambda act=act: act(CLEAR)) == (  # type: ignore[misc]
            'remedy 10_doubled_codes: null value in column "code" of relation "things" violates not-null constraint\n'
            "  DETAIL:  Failing row contains (1, null).\n"
            "  next: nothing of this batch was changed; mend the cause and call it again"
        )


def test_stopped_in_the_middle_the_next_call_goes_on(hands: Hands) -> None:
    class Stop(Exception):
        pass

    before, seen = hands.hash(), list[int]()

    def checkpoint() -> None:
        if seen:
            raise Stop

    with pytest.raises(Stop):
        hands.apply(
            CLEAR,
            on_batch=lambda done: seen.append(done.rows),
            rules=Rules(stall_ms=5_000, share=1.0, checkpoint=checkpoint),
        )
    assert session.value(hands.look, "SELECT count(*) FROM things WHERE code IS NULL") == 3
    seen.clear()
    assert hands.apply(CLEAR).repairs == 7
    assert hands.undo(CLEAR).restored == 10
    assert hands.hash() == before


def test_somebody_elses_row_is_waited_for_without_holding_others_up(
    hands: Hands, elsewhere: Elsewhere, eventually: Callable[..., Any], database: str
) -> None:
    elsewhere.begin_and_hold("UPDATE things SET code = 'theirs' WHERE id = 2")
    with ThreadPoolExecutor(1) as pool:
        applied = pool.submit(hands.apply, CLEAR)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'"
        eventually(lambda: session.value(hands.look, waits))
        # The first row of that batch was repaired before the wait: its writer is let through all the same.
        hands.look.execute("SET lock_timeout = '2s'; UPDATE things SET code = code WHERE id = 1")
        elsewhere.release()
        assert applied.result(60).repairs == 10
    kept = hands.look.execute("SELECT before FROM pgrunbook.quarantine WHERE key = '{\"id\": 2}'").fetchall()
    assert kept == [{"before": {"code": "theirs"}}]


def test_a_row_that_nobody_lets_go_is_a_failure_in_the_end(
    hands: Hands, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PAUSE_S", 0.001)
    monkeypatch.setattr(batch, "ATTEMPTS", 3)
    elsewhere.begin_and_hold("UPDATE things SET code = 'theirs' WHERE id = 2")
    assert said(lambda: hands.apply(CLEAR)).splitlines()[0] == (
        "remedy 10_doubled_codes: canceling statement due to lock timeout"
    )
    assert session.value(hands.look, "SELECT count(*) FROM pgrunbook.quarantine") == 0


FAMILY = """
CREATE TABLE parents (id int PRIMARY KEY, code text NOT NULL);
CREATE TABLE children (id int PRIMARY KEY, parent int NOT NULL REFERENCES parents{0});
INSERT INTO parents SELECT i, 'p' || i % 5 FROM generate_series(1, 20) AS i;
INSERT INTO children SELECT i, 1 + i % 20 FROM generate_series(1, 60) AS i;
"""
MERGE = """\
WITH doubled AS (
    SELECT p.id, s.id AS stays FROM parents AS p
    JOIN LATERAL (SELECT min(id) AS id FROM parents WHERE code = p.code) AS s ON s.id < p.id
    ORDER BY p.id LIMIT 4
), moved AS (
    UPDATE children AS c SET parent = d.stays FROM doubled AS d WHERE c.parent = d.id
    RETURNING 'children' AS table_name, jsonb_build_object('id', c.id) AS key,
        jsonb_build_object('parent', d.id) AS before, jsonb_build_object('parent', c.parent) AS after
), gone AS (
    DELETE FROM parents AS p USING doubled AS d WHERE p.id = d.id
    RETURNING 'parents' AS table_name, jsonb_build_object('id', p.id) AS key, to_jsonb(p) AS before,
        NULL::jsonb AS after
)
SELECT table_name, key, before, after FROM moved UNION ALL SELECT table_name, key, before, after FROM gone"""


@pytest.mark.parametrize("cascade", ["", " ON DELETE CASCADE"])
def test_rows_of_several_tables_are_repaired_and_given_back_in_one_transaction_a_batch(
    cascade: str, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.look.execute(FAMILY.format(cascade))
    before = hands.hash("parents"), hands.hash("children")
    preview = hands.preview(MERGE)
    assert (preview.table, len(preview.repairs), preview.undo_proved) == ("children, parents", 16, True)
    assert {repair.table for repair in preview.repairs} == {("children",), ("parents",)}
    assert hands.apply(MERGE) == Applied("10_doubled_codes", "children, parents", 60, 4)
    assert session.value(hands.look, "SELECT count(*) FROM parents") == 5
    kept = hands.look.execute(
        "SELECT table_name, count(*), count(DISTINCT batch) AS batches FROM pgrunbook.quarantine GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [tuple(row.values()) for row in kept] == [("children", 45, 4), ("parents", 15, 4)]
    # Less than a batch at a time would give back children before their parents.
    monkeypatch.setattr(pace, "LARGEST", 1)
    assert hands.undo(MERGE, rules=Rules(5_000, 1.0, start=1)) == Undone("10_doubled_codes", 60, ())
    assert (hands.hash("parents"), hands.hash("children")) == before


def test_a_row_that_is_changed_and_not_returned_is_refused(hands: Hands) -> None:
    hands.look.execute(FAMILY.format(" ON DELETE CASCADE"))
    forgets = MERGE.replace("c.parent = d.id\n", "c.parent = d.id AND c.id > 10\n")
    half = MERGE.replace("FROM moved UNION", "FROM moved WHERE key <> '{\"id\": 26}' UNION")
    before = hands.hash("parents"), hands.hash("children")
    for sql, changed, returned in ((forgets, 16, 12), (half, 16, 15)):
        for act in (hands.preview, hands.apply):
            assert said(lambda act=act, sql=sql: act(sql)) == (  # type: ignore[misc]
                f"remedy 10_doubled_codes: it changed {changed} rows of children, parents and returned {returned}\n"
                "  next: return every row that it changes, and mind triggers and foreign keys that change others;"
                " the batch was rolled back"
            )
    assert (hands.hash("parents"), hands.hash("children")) == before


def test_a_trigger_that_changes_other_rows_of_the_table_is_found(hands: Hands) -> None:
    hands.look.execute(
        "CREATE FUNCTION next_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF pg_trigger_depth() = 1 THEN"
        " UPDATE things SET code = code || '?' WHERE id = NEW.id + 5; END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER next_one AFTER UPDATE ON things FOR EACH ROW EXECUTE FUNCTION next_one()"
    )
    assert said(lambda: hands.preview(CLEAR)).startswith(
        "remedy 10_doubled_codes: it changed 6 rows of things and returned 3\n"
    )


def test_partitions_count_as_their_table(hands: Hands) -> None:
    hands.look.execute(
        "CREATE TABLE parted (id int, code text) PARTITION BY RANGE (id);"
        "CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (5);"
        "CREATE TABLE high PARTITION OF parted FOR VALUES FROM (5) TO (99);"
        "INSERT INTO parted SELECT i, 'c' || i FROM generate_series(1, 8) AS i"
    )
    before = hands.hash("parted")
    clear = CLEAR.replace("things", "parted")
    assert hands.preview(clear).undo_proved
    assert hands.apply(clear) == Applied("10_doubled_codes", "parted", 8, 3)
    assert hands.undo(clear).restored == 8
    assert hands.hash("parted") == before


def test_many_rows_are_given_back_in_time(hands: Hands) -> None:
    hands.look.execute("INSERT INTO things SELECT i, 'c' || i FROM generate_series(11, 5000) AS i")
    before = hands.hash()
    clear = CLEAR.replace("LIMIT 3", "LIMIT 1000")
    assert hands.apply(clear) == Applied("10_doubled_codes", "things", 5000, 5)
    seen = threading.Event()
    assert hands.undo(clear, rules=Rules(checkpoint=seen.set)).restored == 5000
    assert seen.is_set()
    assert hands.hash() == before
