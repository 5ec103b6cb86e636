"""Row security: a table without a policy shows nothing to anybody whom it holds for."""

from __future__ import annotations

from collections.abc import Iterator

import deriving
import psycopg
import pytest
import throwaway
from psycopg.conninfo import make_conninfo

from pgrunbook.session import Connection

ENABLE = "ALTER TABLE t ENABLE ROW LEVEL SECURITY"
FORCE = "ALTER TABLE t FORCE ROW LEVEL SECURITY"
POLICY = "CREATE POLICY p ON t USING (true)"


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
        yield conn


def test_without_a_policy_nobody_sees_a_row(look: Connection, database: str) -> None:
    assert deriving.stopping(look, ENABLE) == {"001 policies of t (enabled)": [{"table": "t", "policies": 0}]}
    assert list(deriving.stopping(look, FORCE)) == ["001 policies of t (forced)"]
    look.execute(ENABLE)
    with (
        throwaway.role(look, "GRANT ALL ON t TO {}") as role,
        throwaway.looking(make_conninfo(database, user=role)) as conn,
    ):
        assert conn.execute("SELECT * FROM t").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("INSERT INTO t VALUES (2)")


@pytest.mark.parametrize("texts", [[f"{POLICY}; {ENABLE}"], [POLICY, ENABLE], [ENABLE, POLICY]])
def test_a_policy_of_the_same_change_will_do(texts: list[str], look: Connection) -> None:
    assert deriving.stopping(look, *texts) == {}


def test_a_policy_that_is_there_will_do(look: Connection) -> None:
    look.execute(POLICY)
    assert deriving.stopping(look, ENABLE) == {}


def test_roles_that_it_does_not_hold_for_are_told(look: Connection) -> None:
    with throwaway.role(look, "ALTER ROLE {} BYPASSRLS") as over, throwaway.role(look) as owner:
        look.execute(f"ALTER TABLE t OWNER TO {owner}")
        about = "roles beside the policies of t"
        found = {row["role"]: row["why"] for row in deriving.rows(look, ENABLE, about)}
        assert (found["postgres"], found[over], found[owner]) == (
            "superuser",
            "BYPASSRLS",
            "owner of the table",
        )
        forced = {row["role"] for row in deriving.rows(look, f"{ENABLE}; {FORCE}", about)}
        assert (over in forced, owner in forced) == (True, False)
        look.execute("ALTER TABLE t OWNER TO postgres")
