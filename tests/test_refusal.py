"""The refusal of the ledger: whichever right is missing, the advice gives that one, and then it works."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgrunbook import session
from pgrunbook.errors import LedgerRefused, ReadOnlyTarget
from pgrunbook.ledger import Ledger
from pgrunbook.target import Kind, Target

Conn = psycopg.Connection[dict[str, Any]]
ADVICE = "let an administrator run: "


@pytest.fixture
def ledger_of(database: str) -> Iterator[Callable[[str], Ledger]]:
    """Make roles that may do nothing, and their ledgers; all are gone after the test."""
    with contextlib.ExitStack() as stack:
        admin = stack.enter_context(contextlib.closing(psycopg.connect(database, autocommit=True)))

        def make(name: str) -> Ledger:
            role = sql.Identifier(name)
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            stack.callback(admin.execute, sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(role))
            bound = Target(Kind.LIVE, make_conninfo(database, user=name))
            conn = stack.enter_context(contextlib.closing(session.connect(bound, purpose="control")))
            return Ledger(conn, bound)

        yield make


def advice(ledger: Ledger) -> str:
    def both() -> None:
        ledger.install()
        tell(ledger)

    with pytest.raises(LedgerRefused) as caught:
        both()
    return caught.value.next_step


def tell(ledger: Ledger) -> None:
    with ledger.may():
        ledger.event(run_id="r", change="c", kind="test", actor="ann")


def kept(ledger: Ledger, conn: Conn) -> Ledger:
    """A ledger that its owner has made."""
    conn.execute(
        sql.SQL("CREATE SCHEMA pgrunbook AUTHORIZATION {}").format(sql.Identifier(ledger.conn.info.user))
    )
    ledger.install()
    return ledger


def test_a_member_that_inherits_nothing_is_told_to_inherit(
    ledger_of: Callable[[str], Ledger], conn: Conn, major: int
) -> None:
    kept(ledger_of("keeper"), conn)
    guest = ledger_of("guest")
    conn.execute("ALTER ROLE guest NOINHERIT; GRANT keeper TO guest")
    told = advice(guest)
    way = 'GRANT "keeper" TO "guest" WITH INHERIT TRUE' if major >= 16 else 'ALTER ROLE "guest" INHERIT'
    assert told == ADVICE + way
    conn.execute(told.removeprefix(ADVICE).encode())
    guest.install()
    tell(guest)


def test_whoever_owns_the_tables_is_named_though_the_schema_is_ours(
    ledger_of: Callable[[str], Ledger], conn: Conn
) -> None:
    kept(ledger_of("keeper"), conn)
    guest = ledger_of("guest")
    conn.execute("ALTER SCHEMA pgrunbook OWNER TO guest")
    told = advice(guest)
    assert told == f'{ADVICE}GRANT "keeper" TO "guest"'
    conn.execute(told.removeprefix(ADVICE).encode())
    tell(guest)


def test_an_owner_whose_rights_were_taken_gives_them_back(
    ledger_of: Callable[[str], Ledger], conn: Conn
) -> None:
    keeper = kept(ledger_of("keeper"), conn)
    conn.execute("REVOKE ALL ON pgrunbook.event, pgrunbook.version FROM keeper")
    told = advice(keeper)
    _, _, grants = told.partition("; run: ")
    assert told.startswith(
        "the role owns the ledger, and its own rights were taken from it; run: GRANT ALL ON SCHEMA"
    )
    keeper.conn.execute(grants.encode())
    tell(keeper)


def test_a_right_on_the_language_is_asked_for_where_that_is_what_is_missing(
    ledger_of: Callable[[str], Ledger], conn: Conn
) -> None:
    guest = ledger_of("guest")
    conn.execute("CREATE SCHEMA pgrunbook AUTHORIZATION guest; REVOKE USAGE ON LANGUAGE plpgsql FROM public")
    told = advice(guest)
    assert told == f'{ADVICE}GRANT USAGE ON LANGUAGE plpgsql TO "guest"'
    conn.execute(told.removeprefix(ADVICE).encode())
    guest.install()
    tell(guest)


def test_row_security_on_the_ledger_is_named(ledger_of: Callable[[str], Ledger], conn: Conn) -> None:
    keeper = kept(ledger_of("keeper"), conn)
    conn.execute("ALTER TABLE pgrunbook.event ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    assert advice(keeper) == "take row security off the tables of schema pgrunbook; the ledger comes without"
    conn.execute("ALTER TABLE pgrunbook.event DISABLE ROW LEVEL SECURITY")
    tell(keeper)


def test_nobody_grants_a_superuser_anything(database: str, conn: Conn) -> None:
    conn.execute(
        "CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'no schemas here' USING ERRCODE = 'insufficient_privilege'; END $$;"
        " CREATE EVENT TRIGGER guard ON ddl_command_start WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION guard()"
    )
    bound = Target(Kind.LIVE, database)
    with (
        contextlib.closing(session.connect(bound, purpose="control")) as own,
        pytest.raises(LedgerRefused) as caught,
    ):
        Ledger(own, bound).install()
    assert caught.value.details == ("no schemas here",)
    assert caught.value.next_step.startswith("a superuser lacks no right: ")


def test_nobody_is_told_to_become_a_superuser_and_who_only_reads_gets_no_more_than_that(
    ledger_of: Callable[[str], Ledger], database: str, conn: Conn
) -> None:
    with contextlib.closing(session.connect(Target(Kind.LIVE, database), purpose="control")) as own:
        Ledger(own, Target(Kind.LIVE, database)).install()
    auditor = ledger_of("auditor")
    with pytest.raises(LedgerRefused) as caught:
        auditor.check_chain()
    assert str(caught.value).startswith("role 'auditor' cannot read the ledger ")
    reads, _, writes = caught.value.next_step.partition("; for one that writes too, ")
    assert reads == (
        f'{ADVICE}GRANT USAGE ON SCHEMA pgrunbook TO "auditor";'
        ' GRANT SELECT ON ALL TABLES IN SCHEMA pgrunbook TO "auditor"'
    )
    conn.execute(reads.removeprefix(ADVICE).encode())
    assert auditor.check_chain().events == 0
    with pytest.raises(LedgerRefused) as caught:
        tell(auditor)
    assert caught.value.next_step == writes
    assert '"postgres"' not in writes
    conn.execute(writes.removeprefix(ADVICE).encode())
    auditor.install()
    tell(auditor)


def test_within_a_transaction_that_is_aborted_the_servers_own_refusal_is_told(
    ledger_of: Callable[[str], Ledger], conn: Conn
) -> None:
    kept(ledger_of("keeper"), conn)
    guest = ledger_of("guest")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), guest.conn.transaction():
        guest.events(run_id="r")


def test_a_server_that_became_read_only_is_called_so(ledger_of: Callable[[str], Ledger], conn: Conn) -> None:
    keeper = kept(ledger_of("keeper"), conn)
    keeper.conn.execute("SET default_transaction_read_only = on")
    with pytest.raises(ReadOnlyTarget, match="is read-only for role 'keeper'"):
        tell(keeper)
