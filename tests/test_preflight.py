"""The audit: what it finds, what it cannot read, and that it changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from psycopg.conninfo import make_conninfo
from throwaway import FILES, TABLE, changed, write

from pgrunbook import preflight, queries, session
from pgrunbook.errors import PreflightFailed
from pgrunbook.header import Severity
from pgrunbook.preflight import Board, Finding
from pgrunbook.session import Connection

if TYPE_CHECKING:
    pass

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(TABLE)
        yield conn


def check(folder: Path, sql: str, *, severity: str = "stop") -> Callable[[Connection], Finding]:
    files = changed({"preflight/10_doubled_codes.sql": f"-- A check\n-- severity: {severity}\n\n{sql};\n"})
    script = write(folder, files).preflight[0]
    return lambda conn: preflight.run_check(conn, script)


def found(board: Board, name: str) -> Finding:
    return next(finding for finding in board.findings if finding.name == name)


@pytest.mark.parametrize(("rows", "shown"), [(0, 0), (1, 1), (49, 49), (50, 50), (51, 50), (12_345, 50)])
def test_the_first_rows_are_shown_and_all_are_counted(
    rows: int, shown: int, look: Connection, tmp_path: Path
) -> None:
    finding = check(tmp_path, f"SELECT i AS number, '%s' AS text FROM generate_series(1, {rows}) AS i")(look)
    assert (finding.total, len(finding.rows), finding.problem) == (rows, shown, "")
    assert finding.columns == ("number", "text")
    assert [row["number"] for row in finding.rows] == list(range(1, shown + 1))
    assert finding.stops == (rows > 0)


def test_rows_of_a_warning_stop_nothing(look: Connection, tmp_path: Path) -> None:
    finding = check(tmp_path, "SELECT 1 AS x", severity="warn")(look)
    assert (finding.total, finding.severity, finding.stops) == (1, Severity.WARN, False)
    board = Board("x", (finding,))
    assert (board.go, board.failed, board.warnings) == (True, (), (finding,))


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT nothing AS x FROM things", 'could not be run: column "nothing" does not exist'),
        ("SELECT 1 / (id - 1) AS x FROM things", "could not be run: division by zero"),
        ("SELECT change_it() AS x", "could not be run: cannot execute INSERT in a read-only transaction"),
        (
            "SELECT nextval('counter') AS x",
            "could not be run: cannot execute nextval() in a read-only transaction",
        ),
        (
            "SELECT complain() AS x",
            "could not be run: CONTEXT:  PL/pgSQL function complain() line 1 at RAISE",
        ),
    ],
)
@pytest.mark.parametrize("severity", ["stop", "warn"])
def test_a_check_that_cannot_be_run_is_no_go_with_the_reason(
    severity: str, sql: str, problem: str, look: Connection, tmp_path: Path
) -> None:
    look.execute("CREATE SEQUENCE counter")
    look.execute(
        "CREATE FUNCTION change_it() RETURNS int LANGUAGE sql AS 'INSERT INTO things VALUES (0) RETURNING 1'"
    )
    look.execute(
        "CREATE FUNCTION complain() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION ''; END $$"
    )
    finding = check(tmp_path, sql, severity=severity)(look)
    assert (finding.problem, finding.total, finding.stops) == (problem, 0, True)
    assert session.value(look, "SELECT count(*) FROM things") == 10


def test_a_check_that_takes_too_long_is_ended(
    look: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "TIMEOUT_MS", 500)
    finding = check(tmp_path, "SELECT pg_sleep(60) AS x")(look)
    assert finding.problem == "could not be run: canceling statement due to statement timeout"
    assert check(tmp_path, "SELECT 1 AS x")(look).total == 1


def test_values_that_python_has_no_type_for_are_shown_as_the_server_writes_them(
    look: Connection, tmp_path: Path
) -> None:
    sql = "SELECT 'infinity'::timestamptz AS a, '4713-01-01 BC'::date AS b, '1 mon'::interval AS c, 'NaN'::numeric AS d"
    row = check(tmp_path, sql)(look).rows[0]
    assert {name: str(value) for name, value in row.items()} == {
        "a": "infinity", "b": "4713-01-01 BC", "c": "1 mon", "d": "NaN",
    }  # fmt: skip


def test_a_proof_joins_the_transaction_that_is_open(look: Connection, tmp_path: Path) -> None:
    script = write(tmp_path).steps[0].verify
    with look.transaction(force_rollback=True):
        look.execute("ALTER TABLE things ADD COLUMN note text")
        assert preflight.run_check(look, script, read_only=False).total == 0
    assert preflight.run_check(look, script).total == 1


def test_the_refusal_tells_what_was_found_and_what_could_not_be_read(
    look: Connection, tmp_path: Path
) -> None:
    look.execute("UPDATE things SET code = 'c' || id % 3")
    files = changed({"preflight/20_broken.sql": "-- Broken\n\nSELECT gone AS x FROM things;\n"})
    board = preflight.audit(look, write(tmp_path, files))
    with pytest.raises(PreflightFailed) as caught:
        board.require_go()
    assert str(caught.value) == (
        f"{throwaway.NAME} is NO-GO: 2 of {len(board.findings)} checks found rows or could not be run\n"
        "  preflight/10_doubled_codes.sql: Codes used twice (3 rows)\n"
        '  preflight/20_broken.sql: could not be run: column "gone" does not exist\n'
        "  next: look at the rows of these checks, then run remedy 10_doubled_codes"
        " or repair them by hand, and run preflight again; nothing was changed"
    )


def test_a_missing_table_is_said_once_and_its_checks_are_left_out(look: Connection, tmp_path: Path) -> None:
    look.execute("DROP TABLE things")
    board = preflight.audit(look, write(tmp_path))
    assert found(board, "server: missing_tables").rows == (
        {"missing_table": "things", "search_path": '"$user", public'},
    )
    assert [(f.label, f.problem) for f in board.failed[1:]] == [
        ("preflight/10_doubled_codes.sql", "not run, because a table of the change is missing")
    ]


def test_a_table_that_the_change_makes_need_not_be_there(look: Connection, tmp_path: Path) -> None:
    files = {
        **throwaway.step("CREATE TABLE fresh (id int); ALTER TABLE things RENAME TO renamed;", lock="none"),
        **throwaway.step(
            "ALTER TABLE fresh ADD note text;", name="002_more", lock="AccessExclusive on fresh"
        ),
        **throwaway.step(
            "ALTER TABLE renamed ADD note text;", name="003_more", lock="AccessExclusive on renamed"
        ),
    }
    chosen = write(tmp_path, files)
    assert chosen.tables == ()
    assert preflight.audit(look, chosen).go


def test_the_servers_checks_are_quiet_on_a_quiet_server(look: Connection, tmp_path: Path) -> None:
    board = preflight.audit(look, write(tmp_path))
    assert [(f.label, f.total, f.problem) for f in board.findings if f.stops or f.warns] == []
    labels = [finding.label for finding in board.findings]
    assert labels == [
        *(f"server: {name.removeprefix('health_')}" for name in queries.names("health_")),
        "server: blockers",
        "server: idle_slots",
        "server: standbys",
        "indexes that are there",
        "derived: 001 column note of things",
        # Its duplicates are asked for by the check below.
        "derived: 002 build of things_code on things",
        "derived: 003 name things_code_present on things",
        "preflight/10_doubled_codes.sql",
    ]


# --- derived checks ----------------------------------------------------------------------------------------

PARTIAL = "CREATE UNIQUE INDEX CONCURRENTLY things_code ON things (code) WHERE id > 0;"


def test_a_derived_check_stops_its_step_like_a_written_one(look: Connection, tmp_path: Path) -> None:
    look.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    build = FILES["migrate/002_build_index.sql"].partition("CREATE")[0] + PARTIAL + "\n"
    chosen = write(tmp_path, changed({"migrate/002_build_index.sql": build, "preflight/10_doubled_codes.sql": None,
                                      "remedy/10_doubled_codes.sql": None,
                                      "samples/no_go/10_doubled_codes.sql": None}))  # fmt: skip
    board = preflight.audit(look, chosen)
    [finding] = board.failed
    assert finding.label == "derived: 002 duplicates of things (code) where id > 0"
    assert [dict(row) for row in finding.rows] == [{"code": "c1", "rows": 2, "first id": 1, "last id": 2}]
    assert "Scan on things" in finding.cost
    with pytest.raises(PreflightFailed, match="Rows that a unique index would refuse"):
        board.require_go()
    board.require_go("001_add_note")
    with pytest.raises(PreflightFailed):
        board.require_go("002_build_index")
    # Asked again before the step, it tells of what has come since.
    look.execute("UPDATE things SET code = NULL WHERE id = 2")
    preflight.ask_again(look, chosen, board, "002_build_index").require_go("002_build_index")


def test_what_a_written_check_asks_is_not_asked_again(look: Connection, tmp_path: Path) -> None:
    look.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    board = preflight.audit(look, write(tmp_path))
    assert [finding.label for finding in board.failed] == ["preflight/10_doubled_codes.sql"]


def test_a_step_that_is_in_place_raises_no_alarm(look: Connection, tmp_path: Path) -> None:
    # No ledger knows it, and the column and the constraint would be in the way of a second time.
    look.execute("ALTER TABLE things ADD COLUMN note text")
    look.execute("ALTER TABLE things ADD CONSTRAINT things_code_present CHECK (code IS NOT NULL) NOT VALID")
    board = preflight.audit(look, write(tmp_path))
    assert [f.label for f in board.findings if f.stops or f.warns] == []
    look.execute('ALTER TABLE things DROP COLUMN note; ALTER TABLE things ADD COLUMN "Note" text')
    assert preflight.audit(look, write(tmp_path)).go


def test_a_derived_check_without_an_answer_warns_and_stops_nothing(
    look: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    look.execute("CREATE FUNCTION slow(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
                 " $$ BEGIN PERFORM pg_sleep(60); RETURN $1; END $$")  # fmt: skip
    build = FILES["migrate/002_build_index.sql"].replace("things (code)", "things (slow(code))")
    monkeypatch.setattr("pgrunbook.derived.check.TIMEOUT_MS", 50)
    board = preflight.audit(look, write(tmp_path, changed({"migrate/002_build_index.sql": build})))
    finding = found(board, "derived: 002 duplicates of things (slow(code))")
    assert (finding.unproved, finding.stops, finding.warns) == ("no answer within 0.05 s", False, True)
    assert [one.label for one in board.failed] == ["preflight/10_doubled_codes.sql"]


def test_invalid_indexes_are_a_warning(look: Connection, tmp_path: Path) -> None:
    look.execute('CREATE INDEX "half; built" ON things (code)')
    look.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"half; built\"'::regclass")
    finding = found(preflight.audit(look, write(tmp_path)), "server: invalid_indexes")
    assert finding.rows == ({"index": '"half; built"', "on_table": "things", "takes_writes": True},)
    assert not finding.stops


def test_a_role_that_owns_nothing_is_told_what_it_needs(
    look: Connection, database: str, tmp_path: Path
) -> None:
    chosen, name_of = write(tmp_path), look.info.dbname
    with throwaway.role(look, "GRANT SELECT ON things TO {}") as role:
        with throwaway.looking(make_conninfo(database, user=role)) as conn:
            board = preflight.audit(conn, chosen)
        assert [finding.label for finding in board.failed] == ["server: missing_privileges"]
        assert list(board.failed[0].rows) == [
            {
                "object": f"database {name_of}",
                "needs": "CREATE, for the ledger's schema pgrunbook",
                "role": role,
            },
            {"object": "schema public", "needs": "CREATE", "role": role},
            {"object": "things", "needs": "membership of its owner postgres", "role": role},
        ]
        hidden = found(board, "server: hidden_sessions")
        assert (hidden.rows, hidden.stops) == (({"role": role, "needs": "pg_read_all_stats"},), False)
        look.execute(f"GRANT CREATE ON DATABASE {name_of} TO {role}; GRANT ALL ON SCHEMA public TO {role}")
        look.execute(f"ALTER TABLE things OWNER TO {role}; GRANT pg_read_all_stats TO {role}")
        with throwaway.looking(make_conninfo(database, user=role)) as conn:
            assert [f.label for f in preflight.audit(conn, chosen).findings if f.stops or f.warns] == []
        look.execute("ALTER TABLE things OWNER TO postgres")


def test_a_role_that_may_not_read_a_table_is_no_go(look: Connection, database: str, tmp_path: Path) -> None:
    with throwaway.role(look) as role, throwaway.looking(make_conninfo(database, user=role)) as conn:
        board = preflight.audit(conn, write(tmp_path))
        assert (
            found(board, "10_doubled_codes").problem == "could not be run: permission denied for table things"
        )
        assert not board.go


def test_an_audit_leaves_no_trace(look: Connection, conn: Conn, tmp_path: Path) -> None:
    preflight.audit(look, write(tmp_path))
    assert look.info.transaction_status.name == "IDLE"
    assert session.value(conn, "SELECT to_regnamespace('pgrunbook')") is None
    assert FILES
