"""No secret is left anywhere: each is planted once, a change is run into every kind of trouble, and all is searched."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import postgast
import psycopg
import pytest
import searching
import throwaway
from operating import AT_ONCE, Desk
from postgast import pg_query_pb2 as grammar
from psycopg.conninfo import make_conninfo

from pgrunbook import notebook, printing, queries, session, target
from pgrunbook.errors import CannotConnect, NoBrowser
from pgrunbook.masking import Mask
from pgrunbook.target import Kind, Target

if TYPE_CHECKING:
    from conftest import Elsewhere

LIBRARY = Path(session.__file__).parent
# What the server shows of other sessions, and of what connects it with other servers.
TOLD = {"query", "application_name", "gid", "subconninfo", "umoptions", "srvoptions", "conninfo"}


# --- one way in --------------------------------------------------------------------------------------------


def columns(name: str, text: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each output column of a query, and the columns that its value is made of."""
    text = re.sub(r"%\(\w+\)s", "NULL", text).replace("%%", "%")
    for statement in postgast.parse(text).stmts:
        for select in postgast.find_nodes(statement, grammar.SelectStmt):
            for one in select.target_list:
                made_of = {
                    field.string.sval
                    for column in postgast.find_nodes(one, grammar.ColumnRef)
                    for field in column.fields
                    if field.WhichOneof("node") == "string"
                }
                yield one.res_target.name, made_of


def test_every_column_with_words_of_other_sessions_is_masked_where_it_comes_in() -> None:
    found = {
        (file.name, column)
        for file in sorted(queries.FOLDER.glob("*.sql"))
        for column, made_of in columns(file.name, file.read_text(encoding="utf-8"))
        if made_of & TOLD and column
    }
    assert ("lock_holders.sql", "query") in found
    assert ("awaited.sql", "who") in found
    checks = {(name, column) for name, column in found if name.startswith("health_")}
    assert {column for _, column in found - checks} <= session.STATEMENTS | session.WORDS


def test_a_query_that_would_slip_through_is_found() -> None:
    text = "SELECT a.pid AS pid, left(a.query, 5) AS said FROM pg_stat_activity AS a WHERE a.pid = %(pid)s"
    assert [(name, made_of & TOLD) for name, made_of in columns("x", text)] == [
        ("pid", set()),
        ("said", {"query"}),
    ]


def engine() -> Iterator[tuple[str, ast.AST]]:
    """Yield every node of the engine's modules; workloads are the application's side."""
    for file in sorted(LIBRARY.rglob("*.py")):
        name = file.relative_to(LIBRARY).with_suffix("").as_posix()
        if not name.startswith("workloads/"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                yield name, node


def test_the_server_is_heard_in_one_place_alone() -> None:
    calls, texts, notices = set(), set(), set()
    for name, node in engine():
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if re.search(r"psycopg\.(\w*Connection\.)?connect$|_Guarded\.connect$|queries\.get$", called):
                calls.add((name, called))
        if isinstance(node, ast.Attribute) and node.attr == "message_primary":
            notices.add(name)
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(
                r"\b(FROM|JOIN) (pg_stat_(activity|statements)|pg_prepared_xacts|pg_subscription)", node.value
            )
        ):
            texts.add(name)
    embedded = {("server", "psycopg.connect"), ("laboratory", "psycopg.connect")}
    assert calls - embedded == {
        ("session", "_Guarded.connect"),
        ("session", "queries.get"),
        ("preflight", "queries.get"),
    }
    # The racer works on the embedded server alone, and so do the other two.
    assert notices == {"session", "racer"}
    assert texts == {"rehearsal", "server"}


@pytest.fixture
def bound(database: str) -> Target:
    return Target(Kind.LIVE, make_conninfo(database, password="Aq7ownPassword"))


def test_errors_notices_and_rows_are_masked_as_they_come_in(bound: Target, elsewhere: Elsewhere) -> None:
    said = "'postgresql://u:Bq7inTheError@h/d and Aq7ownPassword'"
    heard: list[str] = []
    with contextlib.closing(session.connect(bound, purpose="test")) as conn:
        conn.add_notice_handler(lambda told: heard.append(session.heard(conn, told)))
        conn.execute(f"DO $$ BEGIN RAISE WARNING '%', {said}; END $$".encode())
        assert heard == ["WARNING: postgresql://u:***@h/d and ***"]
        for call in (conn.execute, conn.cursor().execute):
            with pytest.raises(psycopg.errors.RaiseException) as caught:
                call(f"DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = {said}, DETAIL = {said}; END $$".encode())
            assert str(caught.value).startswith(
                "postgresql://u:***@h/d and ***\nDETAIL:  postgresql://u:***@"
            )
            assert "7" not in str(caught.value).replace("PL/pgSQL", "").split("CONTEXT")[0]
        elsewhere.execute("SET application_name = 'password=Cq7inTheName'")
        elsewhere.begin_and_hold("SELECT 'Dq7literal', 'host=x password=Eq7inTheQuery'")
        (now,) = session.rows(conn, "session_now", {"pid": elsewhere.pid})
        assert now["application_name"] == "password=***"
        assert now["query"] == "SELECT 'Dq7literal', 'host=x password=***'"
    with contextlib.closing(
        session.connect(dataclasses.replace(bound, mask_literals=True), purpose="x")
    ) as conn:
        (now,) = session.rows(conn, "session_now", {"pid": elsewhere.pid})
        assert now["query"] == "SELECT ?, ?"


def test_a_password_from_the_environment_is_known_once_it_was_used(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "Fq7environment")
    bound = Target(Kind.LIVE, database)
    with contextlib.closing(session.connect(bound, purpose="test")):
        assert bound.redacted("it was Fq7environment") == "it was ***"
    nowhere = Target(Kind.LIVE, "host=/nowhere dbname=Fq7environment")
    with pytest.raises(CannotConnect) as caught:
        session.connect(nowhere, purpose="test")
    assert "Fq7environment" not in caught.value.reason


def test_what_a_person_asked_for_literals_is_read_from_option_and_environment() -> None:
    for word, asked in {"": False, "0": False, "off": False, "1": True, "yes": True, "of": True}.items():
        environment = {"PGRUNBOOK_TARGET": "dbname=x", "PGRUNBOOK_MASK_LITERALS": word}
        assert target.from_environment(environment).mask_literals is asked
    assert target.from_environment({"PGRUNBOOK_TARGET": "dbname=x"}, mask_literals=True).mask_literals


# --- everything that a run leaves --------------------------------------------------------------------------

OWN = {
    name: f"{name}Kx7vQ2mZ9w"
    for name in (
        "uri",
        "row",
        "notice",
        "error",
        "reason",
        "app",
        "query",
        "literal",
        "service",
        "passfile",
        "env",
    )
}
SCRIPT = "scriptKx7vQ2mZ9w"

FILES = throwaway.changed({
    "preflight/05_connections.sql": (
        "-- Where the rows come from\n-- severity: warn\n\nSELECT id AS id, said AS said FROM sources ORDER BY id;\n"
    ),
    "migrate/001_add_note.sql": (
        "-- Add the note\n-- lock: AccessExclusive on things\n\nALTER TABLE things ADD COLUMN note text;\n"
        "DO $$ BEGIN RAISE NOTICE '%', (SELECT said FROM sources WHERE id = 2); END $$;\n"
    ),
    "migrate/003_require_code.sql": (
        "-- Require the code\n-- lock: AccessExclusive on things\n\n"
        f"-- CREATE SUBSCRIPTION s CONNECTION 'host=x password={SCRIPT}' PUBLICATION p\n"
        "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT said FROM sources WHERE id = 3); END $$;\n"
    ),
})  # fmt: skip
SOURCES = f"""
CREATE TABLE sources (id int, said text);
INSERT INTO sources VALUES (1, 'host=db9 password={OWN["row"]}'), (2, 'took postgresql://u:{OWN["notice"]}@h/d'),
    (3, 'could not connect: "host=db9 password=''{OWN["error"]}''" refused');
"""
CELLS = """
from pgrunbook import Runbook; from pgrunbook.gate import Policy; from pgrunbook.step import Budgets
from pgrunbook.patience import Attempt; import asyncio
runbook = Runbook.open("700_throwaway"); runbook
runbook.run.policy, runbook.run.reason = Policy.APPROVE_ALL, "CHG-1"
runbook.preflight()
await runbook.gate("001")
stop = lambda: runbook.run.cancel() if runbook.run.blockers else asyncio.get_running_loop().call_later(0.05, stop)
stop(); await runbook.apply("001")
runbook.run.binding.budgets = Budgets(policy=(Attempt(20, 10),) * 3, patience_s=0.3)
await runbook.apply("001")
runbook.run.work.execute("SELECT pg_sleep(0), said::int FROM sources WHERE id = 3")
runbook.lock_waits()
runbook.status()
runbook.record()
"""


@dataclasses.dataclass
class Left:
    """What was seen while runs went on, and what they have left."""

    said: dict[str, bytes] = dataclasses.field(default_factory=dict)

    def add(self, name: str, held: object) -> None:
        self.said[name] = held if isinstance(held, bytes) else str(held).encode("utf-8", "surrogateescape")

    def where(self, secret: str) -> list[str]:
        return [name for name, held in self.said.items() if searching.holds(held, secret)]


@pytest.fixture
def elsewhere_named(elsewhere: Elsewhere) -> Elsewhere:
    elsewhere.execute(f"SET application_name = 'etl password={OWN['app']}'")
    return elsewhere


def a_run_with_every_trouble(
    database: str, folder: Path, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, *, literals: bool
) -> Left:
    """Run the change by command and by notebook, with a blocker, a failure and a cancel; return all that is left."""
    left = Left()
    scratch = folder / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    parts = psycopg.conninfo.conninfo_to_dict(database)
    uri = f"postgresql://{parts['user']}:{OWN['uri']}@/{parts['dbname']}?host={parts['host']}".replace(
        "@/", "@/", 1
    )
    passfile = folder / "pass"
    passfile.write_text(f"*:*:*:*:{OWN['passfile']}\n")
    passfile.chmod(0o600)
    services = folder / "services"
    services.write_text(
        "[shop]\n"
        + "".join(f"{key}={value}\n" for key, value in {**parts, "password": OWN["service"]}.items())
    )
    start = subprocess.Popen.__init__

    def noting(self: Any, *arguments: Any, **options: Any) -> None:
        start(self, *arguments, **options)
        with contextlib.suppress(OSError):
            left.add(
                f"process {self.pid}",
                str(self.args).encode() + Path(f"/proc/{self.pid}/cmdline").read_bytes(),
            )

    monkeypatch.setattr(subprocess.Popen, "__init__", noting)
    more = {"PGPASSFILE": str(passfile), "PGSERVICEFILE": str(services), "TMPDIR": str(scratch)}
    if literals:
        more["PGRUNBOOK_MASK_LITERALS"] = "1"
    go = ("--approve-all", "--reason", f"CHG-1, with password={OWN['reason']}")
    watching, over = [], threading.Event()

    def watch() -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            while not over.wait(0.02):
                watching.append(
                    conn.execute(
                        "SELECT application_name, query FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook %'"
                    ).fetchall()
                )

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with Desk(database, folder, conninfo=uri, more=more) as desk:
            desk.write(FILES, sql=throwaway.TABLE + SOURCES)
            elsewhere.begin_and_hold(
                f"SELECT count(*), 'host=db9 password={OWN['query']}' AS a, '{OWN['literal']}' AS b FROM things"
            )
            left.add("preflight", desk("preflight", throwaway.NAME, PGRUNBOOK_TARGET="service=shop"))
            left.add(
                "blockers", desk("blockers", throwaway.NAME, PGPASSWORD=OWN["env"], PGRUNBOOK_TARGET=database)
            )
            book = nbformat.v4.new_notebook(
                cells=[
                    nbformat.v4.new_code_cell(line, metadata={"tags": ["raises-exception"]})
                    for line in CELLS.strip().splitlines()
                ]
            )
            path = folder / "700_throwaway.ipynb"
            nbformat.write(book, path)
            done = notebook.execute(
                path, environment={**desk.environment, "HOME": str(folder)}, log=folder / "kernel.log"
            )
            left.add("executed notebook", nbformat.writes(done.notebook))
            assert "StepCancelled" in nbformat.writes(done.notebook)
            assert "LockNotTaken" in nbformat.writes(done.notebook)
            waits = desk.start("apply", throwaway.NAME, *AT_ONCE)
            # It tells who is in the way; then they are sent away, and the third step fails.
            assert waits.stderr is not None
            first = waits.stderr.readline()
            elsewhere.release()
            left.add("apply", [first, *waits.communicate(timeout=60)])
            assert waits.returncode == 1, left.said["apply"]
            left.add("apply, json", desk("apply", throwaway.NAME, *go, "--json"))
            left.add("status", desk("status", throwaway.NAME, "--json"))
            left.add("record", desk("record", throwaway.NAME))
            for wrong in (f"{uri}&port=1", f"host=/nowhere password={OWN['uri']}", f"{uri}&nonsense=1"):
                left.add(f"wrong {len(left.said)}", desk("status", PGRUNBOOK_TARGET=wrong))
            for table in desk.ask(
                "SELECT format('pgrunbook.%I', relname) FROM pg_class"
                " WHERE relkind = 'r' AND relnamespace = 'pgrunbook'::regnamespace"
            ):
                left.add(table, "\n".join(desk.ask(f"SELECT t::text FROM {table} AS t")))
                with desk.looking() as conn:
                    left.add(
                        f"{table}, as JSON",
                        conn.execute(f"SELECT to_json(t)::text FROM {table} AS t".encode()).fetchall(),
                    )
    finally:
        over.set()
        watcher.join()
    with contextlib.suppress(NoBrowser), monkeypatch.context() as short:
        # Chromium makes a socket below it, whose path may not be long.
        short.setenv("TMPDIR", "/tmp")
        short.setattr(tempfile, "tempdir", "/tmp")
        (page, *_) = sorted((folder / "records").rglob("record.html"))
        printed = searching.of(printing.to_pdf(page))
        # In its letters alone, which are no text in the file.
        assert searching.holds(printed, "SHA-256")
    left.add("pg_stat_activity", watching)
    assert any(watching)
    for file in sorted([*(folder / "records").rglob("*"), *scratch.rglob("*"), folder / "kernel.log"]):
        if file.is_file():
            left.add(file.relative_to(folder).as_posix(), searching.of(file))
    return left


@pytest.mark.timeout(300)
@pytest.mark.parametrize("literals", [False, True])
def test_no_secret_is_left_by_a_run_with_every_trouble(
    literals: bool, database: str, tmp_path: Path, elsewhere_named: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = a_run_with_every_trouble(database, tmp_path, elsewhere_named, monkeypatch, literals=literals)
    kept = " ".join(left.said)
    for name in ("record.html", "record.json", "journal.jsonl", "kernel.log", "pgrunbook.event", "process "):
        assert name in kept, kept
    found = {name: left.where(secret) for name, secret in OWN.items()}
    # A value in somebody's statement is shown unless it was asked to keep it out: who is in the way is told by it.
    shown = found.pop("literal")
    assert bool(shown) is not literals, shown
    # The change's own texts are what was run, byte for byte: their hashes would prove nothing else.
    script = left.where(SCRIPT)
    assert found == {name: [] for name in found}
    if not literals:
        assert {"pgrunbook.event", "pgrunbook.script"} <= {*shown, *script}


@pytest.mark.parametrize("way", searching.ways("x"))
def test_the_search_sees_through(way: str) -> None:
    for secret in OWN.values():
        held = searching.ways(secret)[way]
        assert searching.holds(held, secret)
        assert not searching.holds(held, secret.replace("9w", "8w"))


def test_without_the_masks_the_secrets_are_found(
    database: str, tmp_path: Path, elsewhere_named: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = lambda _self, value: value  # noqa: E731
    monkeypatch.setattr(Mask, "text", bare)
    monkeypatch.setattr(Mask, "query", bare)
    elsewhere_named.begin_and_hold(f"SELECT 'password={OWN['query']}' FROM pg_class")
    bound = Target(Kind.LIVE, database)
    with contextlib.closing(session.connect(bound, purpose="x")) as conn:
        (now,) = session.rows(conn, "session_now", {"pid": elsewhere_named.pid})
    assert searching.holds(str(now).encode(), OWN["query"])
    assert searching.holds(str(now).encode(), OWN["app"])
