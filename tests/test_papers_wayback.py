"""The paper on the way back."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from pathlib import Path

import papered
import pytest
import throwaway

from pgrunbook import server as embedded
from pgrunbook.papers.material import Material, gather
from pgrunbook.papers.wayback import way_back


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changes")


@pytest.fixture(scope="module")
def material(server: embedded.Server, root: Path) -> Material:
    return gather(papered.write(root), server, root=root)


@pytest.mark.parametrize(
    "line",
    [
        "# The way back of 710_papered",
        "5 steps are undone one by one, the last one first; each can be the last that is undone.",
        "It was done on the embedded server for this page: afterwards the catalog was as before the change.",
        "| `003_create_slip` | all rows of `slip` |",
        "| `005_add_note` | all values of `things.note` |",
        "pg_dump --data-only --table=slip --table=box --file=before_rollback.sql",
        "| 1 | `005_add_note` | Unmake 005_add_note | AccessExclusive on `things` | 100 ms, 500 ms | 10 ms | yes |",
        "| 3 | `003_create_slip` | Unmake 003_create_slip | AccessExclusive on `box`, `slip`, `things` |"
        " 100 ms, 500 ms | 10 ms | yes |",
        "| 5 | `001_create_mood` | Unmake 001_create_mood | none | | 10 ms | yes |",
        "./pgrunbook rollback 710_papered --approve-all --reason TEXT",
    ],
)
def test_it_says_order_locks_budgets_and_what_is_lost(material: Material, line: str) -> None:
    assert line in way_back(material).splitlines()


def test_a_way_back_that_leaves_something_says_so(material: Material) -> None:
    text = way_back(dataclasses.replace(material, left=("+ column public.things.note text",)))
    assert "**the catalog was not as before**: `+ column public.things.note text`." in text


def test_a_way_back_that_loses_nothing_says_so(material: Material) -> None:
    text = way_back(dataclasses.replace(material, lost=dict.fromkeys(material.lost, ())))
    assert "No row and no value" in text
    assert "pg_dump" not in text


def test_budgets_of_a_header_and_parts_outside_a_transaction_are_told(
    server: embedded.Server, tmp_path: Path
) -> None:
    files = throwaway.changed(
        {
            "rollback/001_add_note.sql": "-- Drop the note\n-- lock: AccessExclusive on things\n-- hold_budget: 2 s\n"
            "-- stall_budget: 20 ms\n\nALTER TABLE things DROP COLUMN note;\n",
        }
    )
    chosen = throwaway.write(tmp_path, files)
    lines = way_back(gather(chosen, server, root=tmp_path)).splitlines()
    assert "| 3 | `001_add_note` | Drop the note | AccessExclusive on `things` | 20 ms, 2 s | yes |" in lines
    assert (
        "| 2 | `002_build_index` | Drop the index | ShareUpdateExclusive on `things` | 100 ms | none |"
        in lines
    )
    assert "psql -v ON_ERROR_STOP=1 -f rollback/002_build_index.sql" in lines
    assert "psql -v ON_ERROR_STOP=1 --single-transaction -f rollback/001_add_note.sql" in lines


def test_what_it_says_of_psql_leads_back_and_the_change_can_be_applied_again(
    material: Material, server: embedded.Server, database: str, tmp_path: Path
) -> None:
    chosen = material.change
    with throwaway.looking(database) as conn:
        conn.execute(throwaway.TABLE)
    commands = [line for line in way_back(material).splitlines() if line.startswith("psql ")]
    assert len(commands) == 6
    with throwaway.running(chosen, database, tmp_path) as run:
        throwaway.apply(run)
        for command in commands:
            subprocess.run(
                [str(server.bin / "psql"), "-X", "-q", f"--dbname={database}", *shlex.split(command)[1:]],
                cwd=chosen.folder,
                check=True,
            )
        assert set(throwaway.statuses(run)) == {"not run"}
        with throwaway.looking(database) as conn:
            assert conn.execute("SELECT to_regclass('slip') AS slip").fetchall() == [{"slip": None}]
        assert set(throwaway.apply(run)) == {"apply"}
