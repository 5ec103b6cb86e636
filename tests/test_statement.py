"""The statements of a text, as PostgreSQL's own grammar reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrunbook.errors import BadStatement
from pgrunbook.naming import RowChange
from pgrunbook.statement import Statement, parse

pytestmark = pytest.mark.static


def one(sql: str) -> Statement:
    (statement,) = parse(sql, file="x.sql")
    return statement


def refusal(sql: str) -> str:
    with pytest.raises(BadStatement) as caught:
        parse(sql, file="002_x.sql")
    return str(caught.value)


def test_a_text_is_never_split_at_a_semicolon_that_is_no_end() -> None:
    texts = [
        "DO $body$ BEGIN PERFORM 1; COMMIT; END $body$",
        "SELECT 'a;b', \";\", $$;$$ /* ; */ FROM t -- ;\nWHERE true",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
        "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; DELETE FROM v)",
    ]
    assert [statement.text for statement in parse(";;\n" + ";\n".join(texts) + " ;;", file="x")] == texts


def test_comments_inside_a_statement_stay_and_those_around_it_are_not_part_of_it() -> None:
    sql = (
        "-- über: ; \n/* größe /* nested ; */ */ SELECT /* ü */ 1 -- end\n ; -- more\nTABLE t -- no semicolon"
    )
    assert [(s.text, s.line) for s in parse(sql, file="x")] == [("SELECT /* ü */ 1", 2), ("TABLE t", 4)]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_line_is_where_the_statement_itself_begins(newline: str) -> None:
    lines = ["-- ünïcödé ✓", "", "SELECT 'ä", "ö';", "-- about the next", "/* ... */", "  (SELECT 1)", ";"]
    assert [s.line for s in parse(newline.join(lines), file="x")] == [3, 7]


@pytest.mark.parametrize("sql", ["", "\n", ";", " ; ; ", "-- only words", "/* ; */"])
def test_a_text_without_statements_has_none(sql: str) -> None:
    assert parse(sql, file="x") == ()


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        ("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT"),
        ("VALUES (1)", "SELECT"),
        ("WITH a AS (SELECT 1) UPDATE t SET x = 1", "UPDATE"),
        ("DELETE FROM t", "DELETE"),
        ("INSERT INTO t VALUES (1)", "INSERT"),
        ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", "MERGE"),
        ("CREATE UNIQUE INDEX i ON t (x)", "CREATE INDEX"),
        ("DROP INDEX i", "DROP INDEX"),
        ("CREATE TABLE t (x int)", "CREATE TABLE"),
        ("CREATE TABLE t AS SELECT 1", "CREATE TABLE AS"),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "CREATE MATERIALIZED VIEW"),
        ("DROP MATERIALIZED VIEW v", "DROP MATERIALIZED VIEW"),
        ("ALTER TABLE t ADD x int", "ALTER TABLE"),
        ("ALTER TABLE t RENAME x TO y", "ALTER TABLE"),
        ("ALTER TABLE t RENAME CONSTRAINT x TO y", "ALTER TABLE"),
        ("ALTER TABLE t SET SCHEMA app", "ALTER TABLE"),
        ("ALTER INDEX i RENAME TO j", "ALTER INDEX"),
        ("CREATE SEQUENCE s", "CREATE SEQUENCE"),
        ("ALTER SEQUENCE s RESTART", "ALTER SEQUENCE"),
        ("CREATE TYPE e AS ENUM ('a')", "CREATE TYPE"),
        ("ALTER TYPE e ADD VALUE 'b'", "ALTER TYPE"),
        ("CREATE AGGREGATE a (int) (SFUNC = f, STYPE = int)", "CREATE AGGREGATE"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1", "CREATE FUNCTION"),
        ("CREATE PROCEDURE p() LANGUAGE sql AS ''", "CREATE PROCEDURE"),
        ("CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()", "CREATE TRIGGER"),
        ("CREATE POLICY p ON t", "CREATE POLICY"),
        ("CREATE EXTENSION vector", "CREATE EXTENSION"),
        ("CREATE STATISTICS s ON a, b FROM t", "CREATE STATISTICS"),
        ("COMMENT ON TABLE t IS 'x'", "COMMENT"),
        ("DO ''", "DO"),
        ("CALL p()", "CALL"),
        ("LOCK TABLE t", "LOCK"),
        ("TRUNCATE t", "TRUNCATE"),
        ("VACUUM t", "VACUUM"),
        ("ANALYZE t", "ANALYZE"),
        ("GRANT SELECT ON t TO u", "GRANT"),
        ("REVOKE SELECT ON t FROM u", "REVOKE"),
        ("SET lock_timeout = 0", "SET"),
        ("RESET ALL", "RESET"),
        ("START TRANSACTION", "START TRANSACTION"),
        ("PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION"),
        ("ROLLBACK TO s", "ROLLBACK TO"),
    ],
)
def test_the_verb_is_the_word_that_an_administrator_says(sql: str, verb: str) -> None:
    assert one(sql).verb == verb


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("CREATE INDEX i ON app.classes (x)", ("app.classes",)),
        ("ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES s.b", ("a", "s.b")),
        ("CREATE TABLE new (x int REFERENCES live, FOREIGN KEY (x) REFERENCES other)", ("live", "other")),
        ("CREATE TABLE p1 PARTITION OF p DEFAULT", ("p",)),
        ("CREATE TABLE new (LIKE old)", ("old",)),
        ("CREATE TABLE new AS SELECT * FROM old", ("old",)),
        ("ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY", ("p", "p1")),
        ("UPDATE a SET x = b.x FROM b WHERE b.id IN (SELECT id FROM c)", ("a", "b", "c")),
        ("DELETE FROM a USING b", ("a", "b")),
        ("INSERT INTO a SELECT * FROM b", ("a", "b")),
        ("MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", ("a", "b")),
        ("SELECT 1 FROM a JOIN b USING (x), LATERAL (SELECT 1 FROM c) l", ("a", "b", "c")),
        ("SELECT 1 FROM classes c FOR UPDATE OF c", ("classes",)),
        ("WITH b AS (SELECT 1 FROM a) UPDATE t SET x = 1 FROM b", ("a", "t")),
        ("WITH t AS (SELECT 1 FROM t) SELECT 1 FROM t", ("t",)),
        ("WITH t AS (SELECT 1 FROM s) SELECT 1 FROM t", ("s",)),
        ("WITH t AS (SELECT 1 FROM s) SELECT 1 FROM public.t", ("s", "public.t")),
        ("WITH RECURSIVE t AS (SELECT 1 UNION SELECT 1 FROM t) SELECT 1 FROM t", ()),
        ("WITH a AS (SELECT 1), b AS (SELECT 1 FROM a) SELECT 1 FROM b", ()),
        ("WITH b AS (SELECT 1 FROM a), a AS (SELECT 1) SELECT 1 FROM b, a", ("a",)),
        ("SELECT (WITH a AS (SELECT 1) SELECT 1 FROM a) FROM a", ("a",)),
        ("WITH a AS (SELECT 1) UPDATE a SET x = 1", ("a",)),
        ("TRUNCATE a, b", ("a", "b")),
        ("LOCK TABLE a, s.b IN SHARE MODE", ("a", "s.b")),
        ("CREATE TRIGGER g AFTER INSERT ON s.a EXECUTE FUNCTION f()", ("s.a",)),
        ("DROP TRIGGER g ON s.a", ("s.a",)),
        ("CREATE POLICY p ON a USING (x IN (SELECT 1 FROM b))", ("a", "b")),
        ("DROP POLICY p ON a", ("a",)),
        ("COMMENT ON TABLE s.a IS ''", ("s.a",)),
        ("COMMENT ON COLUMN s.a.x IS ''", ("s.a",)),
        ("COMMENT ON CONSTRAINT k ON a IS ''", ("a",)),
        ("COMMENT ON INDEX i IS ''", ()),
        ("COMMENT ON FUNCTION f(int) IS ''", ()),
        ("DROP TABLE a, s.b", ("a", "s.b")),
        ("DROP INDEX i", ()),
        ("DROP FUNCTION f(int)", ()),
        ("ALTER TABLE a RENAME TO b", ("a",)),
        ("ALTER TABLE a RENAME x TO y", ("a",)),
        ("ALTER INDEX i RENAME TO j", ()),
        ("ALTER INDEX i SET (fillfactor = 70)", ()),
        ("ALTER SEQUENCE s OWNED BY app.a.x", ("app.a",)),
        ("CREATE SEQUENCE s OWNED BY NONE", ()),
        ("ALTER SEQUENCE s SET SCHEMA app", ()),
        ("GRANT SELECT ON a TO u", ("a",)),
        ("GRANT USAGE ON SEQUENCE s TO u", ()),
        ("REINDEX TABLE a", ("a",)),
        ("REINDEX INDEX i", ()),
        ("CREATE VIEW v AS SELECT 1 FROM a", ("a",)),
        ("VACUUM a", ("a",)),
        ("COPY a TO STDOUT", ("a",)),
        ('UPDATE "Order" SET x = 1 FROM "order", Classes, "a.b"', ('"Order"', '"order"', "classes", '"a.b"')),
        ("SELECT 1 FROM a, a b, A", ("a",)),
        ("DO $$ BEGIN DELETE FROM a; END $$", ()),
    ],
)
def test_tables_are_the_relations_that_may_be_live(sql: str, tables: tuple[str, ...]) -> None:
    assert one(sql).tables == tables


@pytest.mark.parametrize(
    ("sql", "index", "concurrently", "unique"),
    [
        ("CREATE INDEX i ON t (x)", "i", False, False),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON app.t (x)", "i", True, True),
        ('CREATE INDEX "Odd ""i""" ON t (x)', 'Odd "i"', False, False),
        ("CREATE INDEX ON t (x)", None, False, False),
        ("DROP INDEX CONCURRENTLY IF EXISTS app.i", "app.i", True, False),
        ("DROP INDEX i, j", None, False, False),
        ("DROP TABLE i", None, False, False),
        ("REINDEX INDEX CONCURRENTLY i", "i", True, False),
        ("REINDEX (CONCURRENTLY false) INDEX i", "i", False, False),
        ("REINDEX (CONCURRENTLY 0) INDEX i", "i", False, False),
        ("REINDEX (VERBOSE, CONCURRENTLY on) TABLE t", None, True, False),
    ],
)
def test_an_index_is_named_with_how_it_is_built(
    sql: str, index: str | None, concurrently: bool, unique: bool
) -> None:
    statement = one(sql)
    assert (statement.index, statement.concurrently, statement.unique) == (index, concurrently, unique)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX CONCURRENTLY i ON t (x)",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX INDEX CONCURRENTLY i",
        "REINDEX SCHEMA s",
        "REINDEX DATABASE d",
        "REINDEX SYSTEM d",
        "VACUUM",
        "VACUUM (FULL) t",
        "CLUSTER",
        "CREATE DATABASE d",
        "DROP DATABASE d",
        "ALTER DATABASE d SET TABLESPACE s",
        "CREATE TABLESPACE s LOCATION '/x'",
        "DROP TABLESPACE s",
        "ALTER SYSTEM SET work_mem = 1",
        "ALTER TABLE p DETACH PARTITION q CONCURRENTLY",
        "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p",
        "ALTER SUBSCRIPTION s REFRESH PUBLICATION",
        "DROP SUBSCRIPTION s",
        "DISCARD ALL",
    ],
)
def test_what_a_transaction_block_refuses_is_known(sql: str) -> None:
    assert one(sql).needs_no_transaction


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX i ON t (x)",
        "DROP INDEX i",
        "REINDEX TABLE t",
        "REINDEX (CONCURRENTLY false) TABLE t",
        "ANALYZE t",
        "CLUSTER t USING i",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        "ALTER TABLE p DETACH PARTITION q",
        "ALTER TABLE p DETACH PARTITION q FINALIZE",
        "ALTER TABLE t SET (fillfactor = 70)",
        "ALTER TYPE e ADD VALUE 'x'",
        "ALTER DATABASE d SET work_mem = 1",
        "ALTER SUBSCRIPTION s DISABLE",
        "DISCARD PLANS",
    ],
)
def test_what_a_transaction_block_takes_is_not_forced_out_of_it(sql: str) -> None:
    assert not one(sql).needs_no_transaction


@pytest.mark.parametrize(
    "sql",
    ["BEGIN", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT s", "RELEASE s", "COMMIT PREPARED 'x'"],
)
def test_what_begins_or_ends_a_transaction_is_known(sql: str) -> None:
    assert one(sql).controls_transaction


@pytest.mark.parametrize(
    ("sql", "only_reads"),
    [
        ("SELECT 1 FROM t", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a UNION SELECT 2", True),
        ("SELECT 1 INTO t", False),
        ("SELECT 1 FROM t FOR UPDATE", False),
        ("SELECT 1 FROM (SELECT 1 FROM t FOR SHARE) s", False),
        ("WITH a AS (DELETE FROM t RETURNING 1) SELECT 1 FROM a", False),
        ("SELECT 1 UNION (WITH a AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT 1 FROM a)", False),
        ("EXPLAIN SELECT 1", False),
        ("UPDATE t SET x = 1", False),
    ],
)
def test_a_select_only_reads_unless_something_in_it_writes(sql: str, only_reads: bool) -> None:
    assert one(sql).only_reads is only_reads


@pytest.mark.parametrize(
    ("sql", "target", "returns"),
    [
        (
            "UPDATE app.t SET x = 1 RETURNING b.key, f(1) AS before, x after",
            "app.t",
            ("key", "before", "after"),
        ),
        ("WITH b AS (SELECT 1) DELETE FROM t USING b RETURNING *, t.*, 1 + 1", "t", ("*", "*", "?column?")),
        ("INSERT INTO t VALUES (1)", "t", ()),
        ("SELECT 1 AS key, b.c, *, 1 + 1 FROM b", None, ("key", "c", "*", "?column?")),
        ("SELECT a AS x FROM t UNION ALL SELECT b AS y FROM u", None, ("x",)),
        ("CREATE TABLE t (a int)", None, ()),
    ],
)
def test_what_rows_change_and_what_is_returned_is_known(
    sql: str, target: str | None, returns: tuple[str, ...]
) -> None:
    statement = one(sql)
    assert (statement.target, statement.returns) == (target, returns)


def test_with_queries_that_change_rows_are_known() -> None:
    found = one(
        "WITH a AS (SELECT 1), moved AS (UPDATE app.t SET x = 1 FROM a RETURNING t.id),"
        " t AS (DELETE FROM t RETURNING id), quiet AS (DELETE FROM u), made AS (INSERT INTO v SELECT id FROM moved)"
        " SELECT id FROM moved AS m UNION ALL SELECT id FROM quiet UNION ALL SELECT id FROM app.t"
    )
    assert found.with_changes == (
        RowChange("moved", "UPDATE", "app.t", read=True),
        RowChange("t", "DELETE", "t", read=False),
        RowChange("quiet", "DELETE", "u", read=False),
        RowChange("made", "INSERT", "v", read=False),
    )
    assert one("WITH a AS (SELECT 1) UPDATE t SET x = 1").with_changes == ()


def test_a_syntax_error_names_its_line_also_after_letters_that_are_no_ascii() -> None:
    assert refusal("-- größte Prüfung ✓✓✓✓✓✓\n-- 日本語\nSELECT 1;\nSELEC 2;\n") == (
        '002_x.sql line 4: syntax error at or near "SELEC"\n'
        "  next: correct the SQL; psql -v ON_ERROR_STOP=1 -f 002_x.sql has to accept it too"
    )


@pytest.mark.parametrize(
    ("sql", "first_line"),
    [
        ("SELECT 1;\nSELECT (", "line 2: syntax error at end of input"),
        ("\n'abc", 'line 2: unterminated quoted string at or near "\'abc"'),
        ("\n\n/* x", 'line 3: unterminated /* comment at or near "/* x"'),
        ("\\d classes", 'line 1: syntax error at or near "\\"'),
        ("\ufeffSELECT 1", 'line 1: syntax error at or near "\ufeffSELECT"'),
        ("SELECT 1;\nDROP\0 TABLE t", "line 2: character '\\x00' cannot be sent to PostgreSQL"),
        ("SELECT '\ud800'", "line 1: character '\\ud800' cannot be sent to PostgreSQL"),
        ("SELECT " + "||".join("x" * 200), "line 1: an expression is nested more than about 45 levels deep"),
    ],
)
def test_what_cannot_be_read_is_refused(sql: str, first_line: str) -> None:
    assert refusal(sql).splitlines()[0] == f"002_x.sql {first_line}"


_PIECES = [
    "SELECT 1",
    "TABLE é",
    ";",
    "\n",
    "-- c;\n",
    "/* ; */",
    "$$;$$",
    "';'",
    "UPDATE t SET x=1",
    "(",
    "\r",
    '"',
    "\0",
]


@given(st.lists(st.sampled_from(_PIECES)).map(" ".join) | st.text())
def test_any_text_is_either_read_or_refused(sql: str) -> None:
    try:
        statements = parse(sql, file="x.sql")
    except BadStatement:
        return
    position = 0
    for statement in statements:
        position = sql.index(statement.text, position) + len(statement.text)
    assert [s.line for s in statements] == sorted(s.line for s in statements)


@pytest.mark.parametrize(
    ("sql", "much"),
    [
        ("CREATE INDEX ON t (a)", True),
        ("CREATE INDEX CONCURRENTLY ON t (a)", True),
        ("REINDEX TABLE t", True),
        ("VACUUM FULL t", True),
        ("CLUSTER t USING i", True),
        ("CREATE TABLE x AS SELECT 1", True),
        ("REFRESH MATERIALIZED VIEW m", True),
        ("UPDATE t SET a = 1", True),
        ("WITH gone AS (DELETE FROM t RETURNING *) SELECT 1", True),
        ("ALTER TABLE t ALTER a TYPE text", True),
        ("ALTER TABLE t SET UNLOGGED", True),
        ("ALTER TABLE t ADD CONSTRAINT x UNIQUE (a)", True),
        ("ALTER TABLE t ADD a uuid DEFAULT gen_random_uuid()", True),
        ("ALTER TABLE t ADD a bigserial", True),
        ("ALTER TABLE t ADD a int GENERATED ALWAYS AS IDENTITY", True),
        ("ALTER TABLE t ADD CONSTRAINT x UNIQUE USING INDEX i", False),
        ("ALTER TABLE t ADD CHECK (a > 1) NOT VALID", False),
        ("ALTER TABLE t VALIDATE CONSTRAINT x", False),
        ("ALTER TABLE t ADD a int", False),
        ("ALTER TABLE t ADD a int DEFAULT 1", False),
        ("ALTER TABLE t ADD a timestamptz DEFAULT now()", False),
        ("DROP INDEX i", False),
        ("VACUUM t", False),
        ("ANALYZE t", False),
        ("SELECT 1", False),
    ],
)
def test_what_writes_as_much_as_a_table_is_large(sql: str, much: bool) -> None:
    assert parse(sql, file="x.sql")[0].writes_in_bulk is much
