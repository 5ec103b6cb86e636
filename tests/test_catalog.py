"""The catalog as lines: every change of every kind of object makes a difference, and its undoing none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pgrunbook import catalog, session, target
from pgrunbook import server as embedded
from pgrunbook.ledger import Ledger

Conn = psycopg.Connection[dict[str, Any]]

ONE_OF_EACH = """
CREATE SCHEMA app;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN short AS varchar(20) CHECK (length(VALUE) > 1);
CREATE TYPE pair AS (a int, b int);
CREATE TYPE span AS RANGE (subtype = int);
CREATE TABLE t (id int PRIMARY KEY, code text DEFAULT 'x', n int, colour colour, note short);
CREATE TABLE "Odd ""Table" (id int REFERENCES t (id));
CREATE TABLE p (a int) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE INDEX t_code ON t (code);
CREATE SEQUENCE s;
CREATE VIEW v AS SELECT id FROM t;
CREATE MATERIALIZED VIEW m AS SELECT id FROM t;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE AGGREGATE agg (int) (SFUNC = int4pl, STYPE = int);
CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE POLICY pol ON t USING (id > 0);
CREATE RULE r AS ON UPDATE TO v DO ALSO NOTHING;
ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0) NOT VALID;
CREATE STATISTICS st ON id, n FROM t;
INSERT INTO t (id, n, note) VALUES (1, 1, 'ab'), (2, 1, 'ab');
"""

# What is changed, the kind of the lines that must differ, and how it is undone.
CHANGES = [
    ("CREATE TABLE new (a int)", "table", "DROP TABLE new"),
    ("CREATE SCHEMA new", "schema", "DROP SCHEMA new"),
    ("GRANT USAGE ON SCHEMA app TO PUBLIC", "schema", "REVOKE USAGE ON SCHEMA app FROM PUBLIC"),
    ("ALTER TABLE t RENAME TO t2", "table", "ALTER TABLE t2 RENAME TO t"),
    ("ALTER TABLE t SET SCHEMA app", "table", "ALTER TABLE app.t SET SCHEMA public"),
    ("ALTER TABLE t OWNER TO helper", "table", "ALTER TABLE t OWNER TO postgres"),
    ("ALTER TABLE t SET (fillfactor = 70)", "table", "ALTER TABLE t RESET (fillfactor)"),
    ('ALTER TABLE "Odd ""Table" SET UNLOGGED', "table", 'ALTER TABLE "Odd ""Table" SET LOGGED'),
    ("ALTER TABLE t REPLICA IDENTITY FULL", "table", "ALTER TABLE t REPLICA IDENTITY DEFAULT"),
    ("GRANT SELECT ON t TO PUBLIC", "table", "REVOKE SELECT ON t FROM PUBLIC"),
    ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "table", "ALTER TABLE t DISABLE ROW LEVEL SECURITY"),
    ("ALTER TABLE t FORCE ROW LEVEL SECURITY", "table", "ALTER TABLE t NO FORCE ROW LEVEL SECURITY"),
    ("ALTER TABLE p DETACH PARTITION p1", "table", "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1)"),
    ("ALTER TABLE t ADD COLUMN new int", "column", "ALTER TABLE t DROP COLUMN new"),
    ("ALTER TABLE t ALTER code SET DEFAULT 'y'", "column", "ALTER TABLE t ALTER code SET DEFAULT 'x'"),
    ("ALTER TABLE t ALTER code DROP DEFAULT", "column", "ALTER TABLE t ALTER code SET DEFAULT 'x'"),
    ("ALTER TABLE t ALTER n SET NOT NULL", "column", "ALTER TABLE t ALTER n DROP NOT NULL"),
    ("ALTER TABLE t ALTER n TYPE bigint", "column", "ALTER TABLE t ALTER n TYPE int"),
    (
        'ALTER TABLE t ALTER code TYPE text COLLATE "C"',
        "column",
        'ALTER TABLE t ALTER code TYPE text COLLATE "default"',
    ),
    ("ALTER TABLE t ALTER n SET STATISTICS 500", "column", "ALTER TABLE t ALTER n SET STATISTICS -1"),
    ("ALTER TABLE t ALTER code SET STORAGE EXTERNAL", "column", "ALTER TABLE t ALTER code SET STORAGE EXTENDED"),
    (
        "ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY",
        "column",
        "ALTER TABLE t ALTER id DROP IDENTITY",
    ),
    ("GRANT UPDATE (code) ON t TO PUBLIC", "column", "REVOKE UPDATE (code) ON t FROM PUBLIC"),
    ("ALTER TYPE pair ADD ATTRIBUTE c int", "column", "ALTER TYPE pair DROP ATTRIBUTE c"),
    ("CREATE INDEX t_new ON t (n) WHERE n > 1", "index", "DROP INDEX t_new"),
    ("ALTER INDEX t_code SET (fillfactor = 70)", "index", "ALTER INDEX t_code RESET (fillfactor)"),
    ("CLUSTER t USING t_code", "index", "ALTER TABLE t SET WITHOUT CLUSTER"),
    ("ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey", "index", "ALTER TABLE t REPLICA IDENTITY DEFAULT"),
    (
        "ALTER TABLE t DROP CONSTRAINT positive; ALTER TABLE t ADD CONSTRAINT positive CHECK (n >= 0) NOT VALID",
        "constraint",
        "ALTER TABLE t DROP CONSTRAINT positive; ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0) NOT VALID",
    ),
    (
        "ALTER TABLE t VALIDATE CONSTRAINT positive",
        "constraint",
        "ALTER TABLE t DROP CONSTRAINT positive; ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0) NOT VALID",
    ),
    (
        "ALTER TABLE t RENAME CONSTRAINT positive TO pos",
        "constraint",
        "ALTER TABLE t RENAME CONSTRAINT pos TO positive",
    ),
    ("ALTER SEQUENCE s INCREMENT 5", "sequence", "ALTER SEQUENCE s INCREMENT 1"),
    ("ALTER SEQUENCE s MAXVALUE 99", "sequence", "ALTER SEQUENCE s NO MAXVALUE"),
    ("ALTER SEQUENCE s MINVALUE -5", "sequence", "ALTER SEQUENCE s NO MINVALUE"),
    ("ALTER SEQUENCE s START 7", "sequence", "ALTER SEQUENCE s START 1"),
    ("ALTER SEQUENCE s CACHE 20", "sequence", "ALTER SEQUENCE s CACHE 1"),
    ("ALTER SEQUENCE s CYCLE", "sequence", "ALTER SEQUENCE s NO CYCLE"),
    ("ALTER SEQUENCE s AS int", "sequence", "ALTER SEQUENCE s AS bigint"),
    ("ALTER SEQUENCE s OWNED BY t.n", "sequence", "ALTER SEQUENCE s OWNED BY NONE"),
    ("GRANT USAGE ON SEQUENCE s TO PUBLIC", "sequence", "REVOKE USAGE ON SEQUENCE s FROM PUBLIC"),
    ("ALTER TABLE t DISABLE TRIGGER trg", "trigger", "ALTER TABLE t ENABLE TRIGGER trg"),
    ("ALTER TABLE t ENABLE ALWAYS TRIGGER trg", "trigger", "ALTER TABLE t ENABLE TRIGGER trg"),
    ("DROP TRIGGER trg ON t", "trigger", "CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"),
    ("ALTER POLICY pol ON t USING (id > 1)", "policy", "ALTER POLICY pol ON t USING (id > 0)"),
    ("ALTER POLICY pol ON t TO helper", "policy", "ALTER POLICY pol ON t TO PUBLIC"),
    (
        "ALTER POLICY pol ON t WITH CHECK (id > 1)",
        "policy",
        "DROP POLICY pol ON t; CREATE POLICY pol ON t USING (id > 0)",
    ),
    ("DROP RULE r ON v", "rule", "CREATE RULE r AS ON UPDATE TO v DO ALSO NOTHING"),
    ("DROP STATISTICS st", "statistics", "CREATE STATISTICS st ON id, n FROM t"),
    (
        "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "function",
        "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ),
    ("ALTER FUNCTION f() SECURITY DEFINER", "function", "ALTER FUNCTION f() SECURITY INVOKER"),
    ("REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC", "function", "GRANT EXECUTE ON FUNCTION f() TO PUBLIC"),
    ("ALTER AGGREGATE agg (int) OWNER TO helper", "function", "ALTER AGGREGATE agg (int) OWNER TO postgres"),
    ("ALTER DOMAIN short SET DEFAULT 'ab'", "type", "ALTER DOMAIN short DROP DEFAULT"),
    ("ALTER DOMAIN short SET NOT NULL", "type", "ALTER DOMAIN short DROP NOT NULL"),
    ("ALTER DOMAIN short ADD CONSTRAINT c CHECK (VALUE <> 'no')", "type", "ALTER DOMAIN short DROP CONSTRAINT c"),
    (
        "ALTER DOMAIN short RENAME CONSTRAINT short_check TO c",
        "type",
        "ALTER DOMAIN short RENAME CONSTRAINT c TO short_check",
    ),
    ("ALTER TYPE colour RENAME VALUE 'red' TO 'blue'", "type", "ALTER TYPE colour RENAME VALUE 'blue' TO 'red'"),
    ("REVOKE USAGE ON TYPE span FROM PUBLIC", "type", "GRANT USAGE ON TYPE span TO PUBLIC"),
    (
        "CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 0",
        "view",
        "CREATE OR REPLACE VIEW v AS SELECT id FROM t",
    ),
    ("ALTER VIEW v SET (security_barrier)", "view", "ALTER VIEW v RESET (security_barrier)"),
    ("ALTER MATERIALIZED VIEW m RENAME id TO i", "materialized view", "ALTER MATERIALIZED VIEW m RENAME i TO id"),
    ("COMMENT ON TABLE t IS 'new'", "comment", "COMMENT ON TABLE t IS NULL"),
    ("COMMENT ON COLUMN t.code IS 'new'", "comment", "COMMENT ON COLUMN t.code IS NULL"),
    ("COMMENT ON SCHEMA app IS 'new'", "comment", "COMMENT ON SCHEMA app IS NULL"),
    ("COMMENT ON CONSTRAINT positive ON t IS 'new'", "comment", "COMMENT ON CONSTRAINT positive ON t IS NULL"),
    ("COMMENT ON TRIGGER trg ON t IS 'new'", "comment", "COMMENT ON TRIGGER trg ON t IS NULL"),
    ("COMMENT ON POLICY pol ON t IS 'new'", "comment", "COMMENT ON POLICY pol ON t IS NULL"),
    ("COMMENT ON RULE r ON v IS 'new'", "comment", "COMMENT ON RULE r ON v IS NULL"),
    ("COMMENT ON FUNCTION f() IS 'new'", "comment", "COMMENT ON FUNCTION f() IS NULL"),
    ("COMMENT ON TYPE colour IS 'new'", "comment", "COMMENT ON TYPE colour IS NULL"),
    ("COMMENT ON INDEX t_code IS 'new'", "comment", "COMMENT ON INDEX t_code IS NULL"),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC",
        "default privileges",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM PUBLIC",
    ),
    ("CREATE PUBLICATION pub FOR TABLE t", "published table", "DROP PUBLICATION pub"),
    ("DROP EXTENSION plpgsql CASCADE", "extension", ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def shared(server: embedded.Server) -> Iterator[Conn]:
    """One database for all small changes, which are tried in transactions."""
    name = "one_of_each"
    with psycopg.connect(
        embedded.create_database(server, name), autocommit=True, row_factory=dict_row
    ) as connection:
        connection.execute(ONE_OF_EACH)
        connection.execute("CREATE ROLE helper")
        yield connection
        connection.execute("DROP OWNED BY helper; DROP ROLE helper")
    embedded.drop_database(server, name)


@pytest.fixture
def tried(shared: Conn) -> Iterator[Conn]:
    with shared.transaction(force_rollback=True):
        yield shared


@pytest.fixture
def one_of_each(conn: Conn) -> Conn:
    conn.execute(ONE_OF_EACH)
    return conn


@pytest.mark.parametrize(("change", "kind", "undo"), CHANGES, ids=[change[:60] for change, _, _ in CHANGES])
def test_every_change_makes_a_difference_and_its_undoing_none(
    tried: Conn, change: str, kind: str, undo: str
) -> None:
    before = catalog.snapshot(tried)
    tried.execute(change)
    changed = catalog.snapshot(tried)
    assert kind in {line[0] for line in before ^ changed}
    assert catalog.differences(before, changed)
    if undo:
        tried.execute(undo)
        assert catalog.differences(before, catalog.snapshot(tried)) == []


def test_there_is_a_line_of_each_kind(shared: Conn) -> None:
    kinds = {kind for kind, _, _ in catalog.snapshot(shared)}
    assert kinds == {
        "schema",
        "table",
        "partitioned table",
        "view",
        "materialized view",
        "composite type",
        "sequence",
        "column",
        "index",
        "constraint",
        "trigger",
        "rule",
        "policy",
        "statistics",
        "function",
        "type",
        "comment",
        "extension",
    }


def test_an_invalid_index_is_not_a_valid_one(one_of_each: Conn) -> None:
    before = catalog.snapshot(one_of_each)
    with pytest.raises(psycopg.errors.UniqueViolation):
        one_of_each.execute("CREATE UNIQUE INDEX CONCURRENTLY u ON t (n)")
    broken = catalog.snapshot(one_of_each)
    assert catalog.differences(before, broken) == [
        "+ index public.u CREATE UNIQUE INDEX u ON public.t USING btree (n) INVALID"
    ]
    one_of_each.execute("UPDATE t SET n = id; REINDEX INDEX u")
    assert catalog.differences(broken, catalog.snapshot(one_of_each)) == [
        "- index public.u CREATE UNIQUE INDEX u ON public.t USING btree (n) INVALID",
        "+ index public.u CREATE UNIQUE INDEX u ON public.t USING btree (n) valid",
    ]


def test_the_same_catalog_gives_the_same_lines_in_any_session(one_of_each: Conn, database: str) -> None:
    with session.connect(target.rehearsal(database), purpose="look") as other:
        assert catalog.snapshot(other) == catalog.snapshot(one_of_each)


def test_rows_and_the_state_of_a_sequence_are_no_schema(one_of_each: Conn) -> None:
    before = catalog.snapshot(one_of_each)
    one_of_each.execute("INSERT INTO t (id) VALUES (9)")
    one_of_each.execute("SELECT nextval('s')")
    one_of_each.execute("ANALYZE")
    assert catalog.differences(before, catalog.snapshot(one_of_each)) == []


def test_the_ledger_is_left_out_and_so_are_temporary_tables(one_of_each: Conn, database: str) -> None:
    before = catalog.snapshot(one_of_each)
    with session.connect(target.rehearsal(database), purpose="look") as other:
        Ledger(other, target.rehearsal(database)).install()
        other.execute("CREATE TEMPORARY TABLE passing (a int)")
        other.execute("COMMENT ON TABLE passing IS 'x'")
        assert catalog.differences(before, catalog.snapshot(other)) == []


def test_differences_are_sorted_lines() -> None:
    before = frozenset({("table", "b", "x"), ("table", "a", ""), ("table", "same", "")})
    after = frozenset({("table", "b", "y"), ("table", "same", "")})
    assert catalog.differences(before, after) == ["- table a", "- table b x", "+ table b y"]
    assert catalog.differences(before, before) == []
