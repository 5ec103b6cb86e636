"""Names in syntax trees: quoted where SQL needs it, tables told from what only looks like one."""

from __future__ import annotations

import postgast
import pytest

from pgrunbook import naming

pytestmark = pytest.mark.static


def tree(sql: str) -> naming.Tree:
    return naming.inner(postgast.parse(sql).stmts[0].stmt)


def tables(sql: str) -> tuple[str, ...]:
    parsed = tree(sql)
    return naming.tables(parsed.DESCRIPTOR.name, parsed)


@pytest.mark.parametrize(
    "name", ["classes", "a1$", "Class", "order", "user", "name", 'a"b', "größe", "1a", "a b", ""]
)
def test_a_quoted_name_reads_back_as_itself(name: str) -> None:
    quoted = naming.quote_name(name)
    if name:
        assert tables(f"TABLE {quoted}") == (quoted,)
    assert quoted.strip('"').replace('""', '"') == name


def test_a_with_query_is_no_table_but_the_table_it_hides_is() -> None:
    assert tables("WITH a AS (SELECT 1 FROM a) SELECT 1 FROM a, b") == ("a", "b")


def test_what_a_statement_makes_is_told_from_what_it_touches() -> None:
    made = tree("CREATE TABLE app.child (id int REFERENCES parent)")
    assert naming.creates("CreateStmt", made) == "app.child"
    assert naming.tables("CreateStmt", made) == ("parent",)
    dropped = tree('DROP INDEX CONCURRENTLY app."Odd"')
    assert naming.index("DropStmt", dropped) == 'app."Odd"'
    assert naming.tables("DropStmt", dropped) == ()


def test_walking_reaches_every_node_once() -> None:
    kinds = [node.DESCRIPTOR.name for node in naming.walk(tree("SELECT a FROM t WHERE b = 1"))]
    assert kinds.count("RangeVar") == 1
    assert kinds.count("ColumnRef") == 2
