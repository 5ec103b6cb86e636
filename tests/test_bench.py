"""The benchmarks run, and fail when something did not do its work; what they measure fails nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import applying
import codes
import fallbacks
import jobs
import observing
import overhead
import psycopg
import pytest
import queues
import remedy
import rls
import stall
from clients import LIGHT, Latencies, Transaction
from tools import Command, Tool, tools

from pgrunbook import suite
from pgrunbook.workloads.contest import Result

pytestmark = [pytest.mark.slow, pytest.mark.static]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in [
        (stall, "WARM_UP_S", 0.2),
        (stall, "HEAD_START_S", 0.1),
        (stall, "AFTERWARDS_S", 0.2),
        (observing, "TURN_S", 1),
        (observing, "SETTLING_S", 1),
        (observing, "SCALE", 1),
    ]:
        monkeypatch.setattr(module, name, value)


# Measured in memory, if there is room: none of the figures is looked at.
WHERE = ("--folder", str(suite.place()))


def test_each_tool_is_measured_and_one_that_does_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, psql = tools()[:2]
    others = (
        Tool("idle", "", "", lambda place: Command(["true"])),
        Tool("broken", "", "", lambda place: Command(["sh", "-c", "echo I cannot; exit 3"])),
        Tool("ghost", "no-such-program", "ask a medium", lambda place: Command(["true"])),
    )
    monkeypatch.setattr(stall, "tools", lambda: (ours, psql, *others))
    file = tmp_path / "figures.json"
    names = "pgrunbook,psql,idle,broken,ghost"
    given = ["--light", "--seconds", "1", "--rows", "1000", "--tools", names, "--json", str(file)]
    assert stall.main([*given, *WHERE]) == 1
    said = capsys.readouterr().out
    assert "ghost: not installed and left out; to install: ask a medium" in said
    assert "FAILED: idle did not apply the change" in said
    assert "FAILED: broken did not apply the change" in said
    assert "I cannot" in said
    assert "FAILED: psql" not in said
    assert "FAILED: pgrunbook" not in said
    assert "light: worst stall" in said
    results: dict[str, dict[str, Any]] = {one["tool"]: one for one in json.loads(file.read_text())["results"]}
    assert {name: one["applied"] for name, one in results.items()} == {
        "nothing": False,
        "pgrunbook": True,
        "psql": True,
        "idle": False,
        "broken": False,
    }
    assert results["pgrunbook"]["account"]["attempts"] >= 1
    # psql stood in the queue for as long as the reader stayed, and so did the clients.
    assert results["psql"]["latencies"]["worst"] > 500
    assert results["psql"]["after_s"] >= -0.1


def test_a_client_that_could_not_ask_is_counted() -> None:
    found = Latencies.of([Transaction(n, 1.0) for n in range(999)] + [Transaction(999, 5000.0)], LIGHT)
    assert (found.count, found.worst, found.over_100) == (1000, 5000.0, 1)
    # One in a thousand stalled, but for five seconds: a third of what would have been asked.
    assert found.p99 > 4000


def test_the_change_is_applied_by_both_and_undone(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--only", "change", "--rows", "2000", "--smallest", "500", "--rounds", "1"]
    assert overhead.main([*given, *WHERE]) == 0
    said = capsys.readouterr().out
    assert "002_add_class_code_unique_index" in said
    assert "whole: " in said
    assert "memory: " in said


def test_a_way_that_does_not_apply_the_change_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def skipping(server: object, conninfo: str, *_: object) -> applying.Applied:
        with psycopg.connect(conninfo) as conn:
            assert conn.execute("SELECT count(*) FROM classes").fetchone() == (512,)
        return applying.Applied("psql", 500, 0.0, {})

    monkeypatch.setattr(applying, "_by_psql", skipping)
    with pytest.raises(SystemExit, match="FAILED: psql left only"):
        overhead.main(["--only", "change", "--rows", "500", "--smallest", "500", "--rounds", "1", *WHERE])


def test_the_observers_are_measured_at_work_and_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    assert overhead.main(["--only", "observers", "--pairs", "2", "--connections", "1", *WHERE]) == 0
    said = capsys.readouterr().out
    assert all(mode in said for mode in observing.MODES)
    assert "at most 1%" in said


def test_the_panel_is_measured_beside_the_observers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    given = ["--only", "panel", "--pairs", "2", "--connections", "1", "--json", str(file)]
    assert overhead.main([*given, *WHERE]) == 0
    said = capsys.readouterr().out
    assert all(f"{mode}, its panel: " in said for mode in observing.MODES)
    for one in json.loads(file.read_text())["panel"]:
        assert one["base_client_s"] > 0
        assert 0 < one["frames"] <= 4 * observing.TURN_S * 2
        assert one["messages"] > 0


def test_codes_are_counted_in_every_part_and_none_is_given_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert codes.main(["--quick", "--json", str(file), *WHERE]) == 0
    said = capsys.readouterr().out
    for part in ("at least 0.8", "below 50", "fillfactor 100: ", "every fallback counted: met"):
        assert part in said
    figures = json.loads(file.read_text())
    assert {*codes.PARTS, "machine", "wrong"} == set(figures)
    assert figures["wrong"] == []
    assert [(one["duplicates"], one["gaps"]) for one in figures["creation"]] == [(0, 0)]
    without, injected = figures["fallbacks"]
    assert (without["timestamps"], without["saved"], injected["saved"]) == (0, 160, 160)
    assert injected["timestamps"] == injected["counted"] > 0


@pytest.mark.parametrize(
    ("method", "given", "duplicates", "gaps", "said"),
    [
        ("next_class_code", 100, 0, 0, []),
        ("next_class_code", 100, 1, 0, ["next_class_code at 16 writers: 1 duplicates"]),
        ("next_class_code", 100, 0, 2, ["next_class_code at 16 writers: 2 gaps"]),
        ("next_class_code", 99, 0, 0, ["next_class_code at 16 writers: 99 codes, 100 were asked"]),
        ("sequence", 100, 0, 2, []),
        ("sequence", 100, 3, 2, ["sequence at 16 writers: 3 duplicates"]),
        ("max + 1", 100, 70, 0, []),
    ],
)
def test_a_promise_that_was_not_kept_fails_the_bench(
    method: str, given: int, duplicates: int, gaps: int, said: list[str]
) -> None:
    one = Result(method, 16, 1, 100, given, duplicates, gaps, 0, 1.0, 1.0, 1.0, 1.0, False)
    assert codes.report_results([one]) == said


def test_a_fallback_that_nobody_counted_fails_the_bench() -> None:
    right = fallbacks.Faults(True, 10, 10, 10, 8, 8, 2, 2, 0, 1.0, 1.0)
    assert right.wrong == []
    for name, value in [("saved", 9), ("distinct", 9), ("counted", 1), ("highest", 9), ("held", False)]:
        assert len(dataclasses.replace(right, **{name: value}).wrong) >= 1


def test_a_repair_beside_senders_loses_nothing_and_its_audit_and_the_ways_to_send_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert remedy.main(["--quick", "--json", str(file), *WHERE]) == 0
    said = capsys.readouterr().out
    assert "0 things wrong" in said
    assert "at most 1.1" in said
    figures = json.loads(file.read_text())
    ways = {one["way"]: one for one in figures["senders"]}
    assert ways["guard"]["lost"] == ways["unique, retry"]["lost"] == 0
    assert ways["the specification's plan"]["lost"] > 0
    assert figures["audit"]["memory_mb"] > 0
    assert [part["rows"] > 0 for part in figures["repair"]["parts"]] == [False, False, True, True, True, True]
    assert figures["repair"]["sent"] > 0


def test_a_repair_that_reorders_messages_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(remedy.FACTS, "order", "SELECT clock_timestamp()")
    assert remedy.main(["--quick", "--only", "repair", *WHERE]) == 1
    assert "FAILED: repaired: order differ" in capsys.readouterr().out


def test_what_row_security_costs_is_told_for_each_table_and_two_numbers_of_tenants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert rls.main(["--quick", "--json", str(file)]) == 0
    said = capsys.readouterr().out
    assert all(f"{tenants:,} tenants" in said for tenants in rls.TENANTS)
    asked = [rls.Asked(**one) for one in json.loads(file.read_text())]
    assert {(one.query, one.way) for one in asked} == {
        (query, way) for query in [*rls.QUERIES, *rls.WHOLE] for way in rls.WAYS
    }
    assert {one.calls for one in asked if one.way == rls.BY_HAND} == {0}
    assert {one.calls for one in asked if one.way == rls.POLICY} == {1}
    assert min(one.calls for one in asked if (one.query, one.way) == (rls.UNINDEXED, rls.NAIVE)) > 2_000


def test_each_job_runs_once_in_every_part_and_no_question_reads_a_table_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert jobs.main(["--quick", "--json", str(file), *WHERE]) == 0
    said = capsys.readouterr().out
    for part in ("at least 0.7", "of the first", "old snapshot", "INSERT to start"):
        assert part in said
    figures = json.loads(file.read_text())
    assert figures["wrong"] == []
    assert {one["queue"] for one in figures["claims"]} >= {"ours", "bare", "bare with history"}
    assert {tuple(one["whole"].values()) for one in figures["reading"]} == {(0, 0, 0)}
    assert {one["per_second"] > 0 for one in figures["time"]} == {True}


def test_a_question_that_reads_a_table_whole_fails_the_bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(queues, "installed", lambda: "")
    without_index = "".join(
        f"ALTER FUNCTION get_next_pending_job() SET enable_{scan} = off;"
        for scan in ("indexscan", "bitmapscan")
    )
    monkeypatch.setattr(queues, "_FILL", f"{queues._FILL} {without_index}")
    assert jobs.main(["--quick", "--only", "waiting", *WHERE]) == 1
    said = capsys.readouterr().out
    assert "procrastinate is not installed and left out" in said
    assert "FAILED: reading: job_executions is read whole" in said


def test_a_job_that_ran_twice_or_was_lost_fails_the_bench() -> None:
    before = queues.Counts(5, 5, 5, 0)
    assert queues.faults(queues.OURS, 10, before, queues.Counts(15, 15, 15, 0)) == ()
    assert queues.faults(queues.OURS, 10, before, queues.Counts(14, 15, 14, 1)) == (
        "1 jobs ran twice",
        "1 jobs were lost",
        "1 jobs are still running",
    )
    assert queues.faults(queues.HISTORY, 10, before, queues.Counts(15, 5, 5, 0)) == (
        "10 starts were not noted",
    )
    assert queues.faults(queues.BARE, 10, before, queues.Counts(15, 5, 5, 0)) == ()
