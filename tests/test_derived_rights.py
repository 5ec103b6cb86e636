"""Rights: a question that may not be asked says which GRANT it lacks, and with that it is answered."""

from __future__ import annotations

from collections.abc import Iterator

import deriving
import pytest
import throwaway
from psycopg.conninfo import make_conninfo

from pgrunbook import session
from pgrunbook.derived import rights
from pgrunbook.session import Connection

INDEX = "CREATE UNIQUE INDEX u ON far.things (a)"


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute("CREATE SCHEMA far; CREATE TABLE far.things (id int PRIMARY KEY, a int)")
        conn.execute("INSERT INTO far.things VALUES (1, 1), (2, 1)")
        yield conn


def doubts(conn: Connection, text: str) -> set[str]:
    return {one.unproved for one in deriving.answers(conn, text).values() if one.unproved}


def test_each_grant_that_is_asked_for_leads_to_the_answer(look: Connection, database: str) -> None:
    with throwaway.role(look) as role, throwaway.looking(make_conninfo(database, user=role)) as conn:
        usage, select = f"GRANT USAGE ON SCHEMA far TO {role}", f"GRANT SELECT ON far.things TO {role}"
        first = doubts(conn, INDEX)
        assert first == {f"could not be asked: permission denied for schema far; needed: {usage}; {select}"}
        look.execute(usage.encode())
        assert doubts(conn, INDEX) == {
            f"could not be asked: permission denied for table things; needed: {select}"
        }
        look.execute(select.encode())
        assert doubts(conn, INDEX) == set()
        assert list(deriving.stopping(conn, INDEX)) == ["001 duplicates of far.things (a)"]
        look.execute(f"REVOKE ALL ON far.things FROM {role}; REVOKE ALL ON SCHEMA far FROM {role}".encode())


def test_a_policy_that_hides_rows_is_told_with_who_would_see_them(look: Connection, database: str) -> None:
    with throwaway.role(look) as role, throwaway.looking(make_conninfo(database, user=role)) as conn:
        look.execute(f"GRANT USAGE ON SCHEMA far TO {role}; GRANT SELECT ON far.things TO {role}".encode())
        look.execute("ALTER TABLE far.things ENABLE ROW LEVEL SECURITY")
        [why] = doubts(conn, INDEX)
        assert why.endswith(
            "needed: a role that the policies of far.things do not hold for, or one with BYPASSRLS"
        )
        look.execute(f"REVOKE ALL ON far.things FROM {role}; REVOKE ALL ON SCHEMA far FROM {role}".encode())


def test_what_has_nothing_to_do_with_rights_is_only_said(look: Connection) -> None:
    assert rights.reason(look, ValueError("\n odd \n more")) == "odd"
    assert rights.reason(look, ValueError()) == "ValueError"


def test_a_copy_needs_the_right_to_temporary_tables(look: Connection, database: str) -> None:
    with throwaway.role(look) as role, throwaway.looking(make_conninfo(database, user=role)) as conn:
        name = session.value(look, "SELECT current_database()")
        look.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC".encode())
        look.execute(f"GRANT USAGE ON SCHEMA far TO {role}; GRANT SELECT ON far.things TO {role}".encode())
        [why] = doubts(conn, "ALTER TABLE far.things ALTER a TYPE bigint")
        assert why.endswith(f"needed: GRANT TEMPORARY ON DATABASE {name} TO {role}")
        look.execute(f"REVOKE ALL ON far.things FROM {role}; REVOKE ALL ON SCHEMA far FROM {role}".encode())
