"""What events say: enough to tell a run from its events alone, and storable as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import throwaway

from pgrunbook import change, events, header
from pgrunbook.change import Script
from pgrunbook.header import Severity
from pgrunbook.history import summarise
from pgrunbook.lockmode import LockMode
from pgrunbook.preflight import Board, Finding
from pgrunbook.rehearsal import FileRehearsal, Rehearsal, StatementLocks, TableLock
from pgrunbook.session import ServerFacts
from pgrunbook.target import rehearsal
from pgrunbook.timing import Timing

pytestmark = pytest.mark.static

ROOT = Path(__file__).parents[1] / "sql" / "changes"
FACTS = ServerFacts("shop", "dba", "18.4", 180004, False, "7710", 1, "2026-03-01T22:00:00Z")
FINDING = Finding("preflight/10_x.sql", "rows of x", Severity.STOP, "", "", ("id",), ({"id": 1},), 7)


def test_a_run_opens_with_the_hash_of_every_file_of_its_change() -> None:
    chosen = change.load(change.names(ROOT)[0], root=ROOT)
    said = events.opened(chosen, rehearsal("dbname=x"), FACTS, operator="ann", stall_ms=100)
    sql = [path for path in chosen.folder.rglob("*.sql") if "samples" not in path.parts]
    scripts = said["scripts"]
    assert isinstance(scripts, dict)
    assert sorted(scripts) == sorted(path.relative_to(chosen.folder).as_posix() for path in sql)
    assert all(len(sha256) == 64 for sha256 in scripts.values())


def test_an_audit_says_what_each_check_found() -> None:
    said = events.audited(Board("010_x", (FINDING,)))
    assert said["verdict"] == "NO-GO"
    (check,) = said["checks"]  # type: ignore[misc]
    assert (check["rows"], check["columns"], check["found"], check["severity"]) == (7, ["id"], [[1]], "stop")
    assert events.verified([FINDING])["checks"] == [check]


def test_a_rehearsal_says_each_statements_locks() -> None:
    lock = TableLock("public", "classes", "r", LockMode.SHARE, held_ms=0.987)
    locks = StatementLocks("migrate/001_x.sql", 1, "CREATE INDEX", "CREATE INDEX ...", (lock,), (), 1.234)
    file = FileRehearsal("migrate/001_x.sql", ("none",), ("Share on classes",), (locks,))
    said = events.rehearsed(Rehearsal("010_x", "18.4", (file,), ("001_x: + index i",)))
    assert said["holds"] is False
    (told,) = said["locks"]  # type: ignore[misc]
    assert told["statements"] == [
        {
            "number": 1,
            "statement": "CREATE INDEX",
            "took": [
                {
                    "schema": "public",
                    "object": "classes",
                    "kind": "table",
                    "mode": "Share",
                    "milliseconds": 0.99,
                }
            ],
            "held_before": [],
            "milliseconds": 1.23,
        }
    ]


def test_a_timing_says_every_run_and_the_plan_and_what_it_misses() -> None:
    nodes = ("Index Scan using i on t", "Result")
    timing = Timing(
        "10_x", "t", (1.0, 3.0, 2.0), 1, nodes, ("i",), 3, 0, "Index Scan using i on t (cost=...)"
    )
    wanted = header.Header("t", expect=header.Expectation(None, 1.5, None))
    script = Script(Path("timing/10_x.sql"), header.Kind.TIMING, "10_x", "", "", wanted, ())
    told = {
        "name": "10_x",
        "title": "t",
        "median_ms": 2.0,
        "runs_ms": [1.0, 3.0, 2.0],
        "rows": 1,
        "plan": "Index Scan using i on t",
        "nodes": list(nodes),
        "shared_hit": 3,
        "shared_read": 0,
        "explain": "Index Scan using i on t (cost=...)",
    }
    missed = ["expected a median below 1.5 ms, found 2.000 ms"]
    assert events.timed([timing], [script], after=False) == {"when": "before", "queries": [told]}
    assert events.timed([timing], [script], after=True) == {
        "when": "after",
        "queries": [{**told, "missed": missed}],
    }


def test_of_a_checks_rows_fifty_are_kept_and_of_a_long_value_its_beginning() -> None:
    rows = tuple({"z": None, "a": "x" * 300, "n": {"é": number}} for number in range(60))
    finding = replace(FINDING, columns=("z", "a", "n"), rows=rows, total=6000)
    (check,) = events.verified([finding])["checks"]  # type: ignore[misc]
    assert (check["rows"], check["columns"], len(check["found"])) == (6000, ["z", "a", "n"], 50)
    assert check["found"][7] == [None, "x" * 200 + "… (300 characters)", '{"é": 7}']


def test_a_check_says_what_it_means_where_it_found_something() -> None:
    finding = replace(FINDING, effect="codes are lost", remedy="run the remedy")
    quiet = replace(finding, rows=(), total=0)
    found, clean = events.verified([finding, quiet])["checks"]  # type: ignore[misc]
    assert (found["effect"], found["next"]) == ("codes are lost", "run the remedy")
    assert not {"effect", "next", "columns", "found"} & clean.keys()


def test_an_audit_of_a_step_says_what_was_asked_again() -> None:
    other = replace(FINDING, label="preflight/20_y.sql")
    first = Board("010_x", (FINDING, other))
    again = events.audited(first.updated([replace(other, total=0, rows=())]), before=first)
    assert [check["label"] for check in again["checks"]] == ["preflight/20_y.sql"]  # type: ignore[attr-defined]
    assert again["verdict"] == "NO-GO"
    assert events.audited(first, before=first)["checks"] == []


def test_a_summary_can_be_told_from_what_events_say() -> None:
    chosen = change.load(change.names(ROOT)[0], root=ROOT)
    said = events.opened(chosen, rehearsal("dbname=x"), FACTS, operator="ann", stall_ms=100)
    kinds = {"run opened": said, "preflight": events.audited(Board("010_x", (FINDING,)))}
    told = [
        {
            "at": "2026-03-01",
            "kind": kind,
            "step": "",
            "actor": "ann",
            "detail": json.loads(json.dumps(detail)),
        }
        for kind, detail in kinds.items()
    ]
    facts = summarise("r1", told, chain="")
    assert (facts["operator"], facts["outcome"], facts["server"]) == ("ann", "NO-GO", "PostgreSQL 18.4")
    assert [check["rows"] for check in facts["checks"]] == [7]


def test_a_run_says_until_when_it_may_go_on_where_that_was_set() -> None:
    chosen = change.load(change.names(ROOT)[0], root=ROOT)
    told = [
        events.opened(
            chosen, rehearsal("dbname=x"), FACTS, operator="ann", stall_ms=100, window_ends=ends
        ).get("window_ends")
        for ends in ("", "04:00 UTC")
    ]
    assert told == [None, "04:00 UTC"]


def test_a_run_opens_with_the_checklist_of_a_change_that_has_one(tmp_path: Path) -> None:
    def said(text: str | None) -> Mapping[str, object]:
        chosen = throwaway.write(tmp_path, throwaway.changed({"checklist.md": text}))
        return events.opened(chosen, rehearsal("dbname=x"), FACTS, operator="ann", stall_ms=100)

    assert said("## Before\n- [ ] backup: It was restored.\n")["checklist"] == [
        {"key": "backup", "text": "It was restored.", "when": "before", "step": "001_add_note"}
    ]
    assert "checklist" not in said(None)
