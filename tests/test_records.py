"""Records for machines: listed, compared, and each one as its published schema says."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from jsonschema import Draft202012Validator, ValidationError
from throwaway import apply, refused, roll_back, running, write

from pgrunbook import bearings, cli, inspection, record, records, shelf
from pgrunbook.errors import PreflightFailed, StepCancelled
from pgrunbook.run import Run
from pgrunbook.views import bearings as boards

Document = dict[str, Any]
SCHEMA = json.loads(records.schema())
VALIDATOR = Draft202012Validator(SCHEMA)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PGRUNBOOK_RECORDS", str(tmp_path / "records"))
    return tmp_path / "records"


@pytest.fixture
def table(database: str) -> str:
    with psycopg.connect(database) as conn:
        conn.execute(throwaway.TABLE)  # type: ignore[arg-type]
    return database


def written(made: Run) -> Document:
    """Return the facts of a run as they are written, and hold them to the schema."""
    file = record.write_record(made, []).page.with_name("record.json")
    document: Document = json.loads(file.read_text(encoding="utf-8"))
    VALIDATOR.validate(document)
    return document


@pytest.fixture
def done(table: str, tmp_path: Path, folder: Path) -> Iterator[Run]:
    with running(write(tmp_path / "changes"), table, folder) as made:
        made.time_queries(after=False)
        apply(made)
        made.verify()
        made.time_queries(after=True)
        made.finish("done")
        yield made


def test_the_schema_is_one(done: Run) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    # Only a run with something that cannot be read, or in which somebody was asked to go, tells of that.
    assert sorted(SCHEMA["required"]) == sorted(SCHEMA["properties"].keys() - {"unread", "signals"})


def test_a_run_that_was_done_and_its_rollback_are_as_the_schema_says(done: Run) -> None:
    assert written(done)["run"]["outcome"] == "done"
    roll_back(done)
    done.finish("rolled back")
    document = written(done)
    assert (document["run"]["outcome"], len(document["rollbacks"])) == ("rolled back", 3)
    # Nothing that a run of this size tells is left out of what is looked at.
    empty = {name for name, value in document.items() if value == []}
    assert empty <= {
        "checklist",
        "remedies",
        "rehearsal",
        "locks",
        "findings",
        "waits",
        "in_the_way",
        "builds",
    }


def test_a_no_go_and_its_remedy_are_as_the_schema_says(table: str, tmp_path: Path, folder: Path) -> None:
    change = write(tmp_path / "changes")
    with psycopg.connect(table) as conn:
        conn.execute(throwaway.FILES["samples/no_go/10_doubled_codes.sql"])  # type: ignore[arg-type]
    with running(change, table, folder) as made:
        with pytest.raises(PreflightFailed):
            made.decide_by_policy("001")
        assert written(made)["run"]["outcome"] == "NO-GO"
        made.decide_by_policy("10_doubled_codes")
        made.apply_remedy("10_doubled_codes")
        document = written(made)
    assert document["remedies"][-1]["rows"] == 2
    assert ["code"] in [one["columns"] for one in document["findings"]]


def test_a_step_that_failed_is_as_the_schema_says(table: str, tmp_path: Path, folder: Path) -> None:
    change = write(tmp_path / "changes", throwaway.step("DO $$ BEGIN RAISE 'no room'; END $$;"))
    with running(change, table, folder) as made:
        refused(made)
        assert written(made)["run"]["outcome"] == "failed at 001_only"


def test_a_step_that_was_cancelled_is_as_the_schema_says(
    table: str, tmp_path: Path, folder: Path, someone_else: Callable[[], Any]
) -> None:
    someone_else().begin_and_hold("SELECT count(*) FROM things")
    with running(write(tmp_path / "changes"), table, folder) as made:
        made.decide_by_policy("001")
        made.on_wait = lambda *_: made.cancel()
        with pytest.raises(StepCancelled):
            made.apply("001")
        document = written(made)
    assert document["run"]["outcome"] == "cancelled at 001_add_note"
    assert document["in_the_way"]


def test_a_run_that_only_its_journal_tells_is_as_the_schema_says(
    table: str, tmp_path: Path, folder: Path
) -> None:
    with running(write(tmp_path / "changes"), table, folder) as made:
        document = written(made)
    assert (document["source"], document["events"][0]["hash"]) == ("journal", None)


def spoiled(document: Document, change: Callable[[Document], object]) -> Document:
    copied = copy.deepcopy(document)
    change(copied)
    return copied


def test_the_schema_refuses_what_is_no_record(done: Run) -> None:
    good = written(done)
    changes: list[Callable[[Document], object]] = [
        lambda one: one.update(format="other"),
        lambda one: one.update(format_version=2),
        lambda one: one.update(source="hearsay"),
        lambda one: one.update(more=1),
        lambda one: one.pop("chain"),
        lambda one: one.update(events=[]),
        lambda one: one["run"].update(good="yes"),
        lambda one: one["run"].update(started="yesterday"),
        lambda one: one["run"].pop("operator"),
        lambda one: one["run"].update(target_kind="staging"),
        lambda one: one["approvals"][0].update(decision="MAYBE"),
        lambda one: one["steps"][0].update(seconds="soon"),
        lambda one: one["steps"][0].update(outcome="half"),
        lambda one: one["checks"][0].update(rows=-1),
        lambda one: one["scripts"][0].update(sha256="AB" * 32),
        lambda one: one["events"][0].update(hash=None),
        lambda one: one["events"][0].pop("previous_hash"),
        lambda one: one["events"][0].update(at=one["events"][0]["at"].replace("Z", "+00:00")),
        lambda one: one["timings"][0].update(median_ms=None),
        lambda one: one.update(source="journal"),
    ]
    for change in changes:
        with pytest.raises(ValidationError):
            VALIDATOR.validate(spoiled(good, change))


def test_every_section_refuses_a_row_with_a_name_too_many_or_too_few(done: Run) -> None:
    good = written(done)
    for name, rows in good.items():
        if isinstance(rows, list) and rows:
            with pytest.raises(ValidationError):
                VALIDATOR.validate(spoiled(good, lambda one, name=name: one[name][0].update(more=1)))  # type: ignore[misc]
            with pytest.raises(ValidationError):
                VALIDATOR.validate(spoiled(good, lambda one, name=name: one[name][0].popitem()))  # type: ignore[misc]


def test_records_lists_the_runs_of_the_ledger_and_without_a_target_those_of_the_folder(
    done: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    written(done)
    assert cli.main(["records"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"1 run: 1 done; in {folder}\n")
    assert done.run_id in out
    assert cli.main(["records", "--json", "--target", done.target.conninfo]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["where"].startswith("in the ledger of ")
    assert [(one["run_id"], one["outcome"], one["signed"]) for one in told["runs"]] == [
        (done.run_id, "done", False)
    ]
    assert told["runs"][0]["record"] == str(folder / done.run_id / "record.html")
    monkeypatch.delenv("PGRUNBOOK_TARGET")
    assert cli.main(["records", "010_other"]) == 0
    assert capsys.readouterr().out == f"no run of 010_other in {folder}\n"


def test_records_prints_the_published_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["records", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


def test_compare_holds_a_file_against_a_run(
    done: Run, capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGRUNBOOK_TARGET", raising=False)
    written(done)
    assert cli.main(["compare", done.run_id, str(folder / done.run_id / "record.html")]) == 0
    assert capsys.readouterr().out.startswith("700_throwaway, rehearsal against rehearsal: nothing differs\n")
    assert cli.main(["compare", done.run_id, "nobody", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "UnknownName"


def test_record_prints_a_pdf_beside_the_page_where_it_is_asked_to(
    done: Run,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chromium = tmp_path / "chromium"
    chromium.write_text(
        '#!/bin/sh\nfor one; do case $one in --print*) echo %PDF-1.4 > "${one#*=}";; esac; done\n'
    )
    chromium.chmod(0o755)
    monkeypatch.setenv("PGRUNBOOK_CHROMIUM", str(chromium))
    asked = ["record", done.run_id, "--target", done.target.conninfo, "--json"]
    assert cli.main(asked) == 0
    assert json.loads(capsys.readouterr().out)["pdf"] == ""
    assert not (folder / done.run_id / "record.pdf").exists()
    assert cli.main([*asked, "--pdf"]) == 0
    assert json.loads(capsys.readouterr().out)["pdf"] == str(folder / done.run_id / "record.pdf")
    assert (folder / done.run_id / "record.pdf").read_text().startswith("%PDF-")


def test_what_somebody_wrote_into_the_ledger_by_hand_stops_nothing(done: Run, tmp_path: Path) -> None:
    written_by_hand = {
        "gate": "null",
        "preflight": '{"verdict": "GO", "checks": [null]}',
        "observed": "{}",
        "apply failed": "[7]",
        "run finished": '{"outcome": null, "worst_stall_ms": "6 ms"}',
    }
    for kind, detail in written_by_hand.items():
        done.work.execute(
            "INSERT INTO pgrunbook.event (run_id, change, step, kind, actor, detail)"
            " VALUES (%s, %s, '001_add_note', %s, 'eve', %s::jsonb)",
            (done.run_id, done.change.name, kind, detail),
        )
    done.work.execute("UPDATE pgrunbook.step SET detail = '7' WHERE step = '001_add_note'")
    document = written(done)
    told = {row["kind"]: json.loads(row["raw"]) for row in document["unread"]}
    assert told == {kind: json.loads(detail) for kind, detail in written_by_hand.items()}
    assert document["run"]["worst_stall_ms"] is None
    page = (tmp_path / "records" / done.run_id / "record.html").read_text(encoding="utf-8")
    assert "Events that cannot be read in the usual way" in page
    assert inspection.inspect(tmp_path / "records" / done.run_id / "record.html").mismatch is None
    again = record.from_ledger(done.ledger, change=done.run_id, run_id=None)
    assert len(again.summary.unread) == 5
    for listed in (
        shelf.in_ledger(done.ledger, change=None, folder=tmp_path),
        shelf.in_folder(tmp_path / "records", change=None),
    ):
        (entry,) = listed
        # A list asks for little of each event, so that it may miss less.
        assert entry.outcome.endswith("events cannot be read)")
    board = bearings.of_change(done.ledger, done.change, done.facts.cluster)
    assert "detail is 7, not an object; it stands there as 7" in str(boards.rows(board)[0]["why"])
    assert "it stands there as 7" in done.status()[0]["note"]
