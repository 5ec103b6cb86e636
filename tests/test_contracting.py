"""The command for contracts: written where the change is, compared to the byte, never half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import contract_ground
import pytest
import throwaway
from operating import Desk

from pgrunbook import made

NAME = contract_ground.NAME
FILES = ["db.py", "db.schema.json", "db.ts"]


@pytest.fixture
def desk(database: str, tmp_path: Path, major: int) -> Iterator[Desk]:
    with Desk(database, tmp_path, more={"PGRUNBOOK_POSTGRES": str(major)}) as desk:
        throwaway.write(desk.changes, contract_ground.CHANGE, name=NAME)
        yield desk


def test_a_contract_is_written_beside_the_change_and_found_the_same(desk: Desk) -> None:
    folder = desk.changes / NAME / "contracts"
    said = desk("contracts", NAME)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0] == f"{NAME}: the contract of 1 table"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    said = desk("contracts", NAME, "--check")
    assert (said.code, said.out) == (0, f"{NAME}: the contract of 1 table is what the catalog says\n")
    # With them in its folder the change still is one.
    said = desk("contracts", NAME, "--check", "--json")
    assert said.facts["tables"] == ["thing"]
    assert said.facts["left_to_the_database"] == ["thing: title_no_shout"]
    # Only the folder was written: nothing is known of it in the target.
    assert not desk.has_ledger


def test_what_differs_is_said_and_nothing_is_written(desk: Desk) -> None:
    assert desk("contracts", NAME, "--to", str(desk.folder / "other")).code == 0
    folder = desk.folder / "other"
    assert not (desk.changes / NAME / "contracts").exists()
    (folder / "db.ts").write_text((folder / "db.ts").read_text().replace('"sad"', '"glad"'))
    (folder / "db.py").unlink()
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    said = desk("contracts", NAME, "--check", "--to", str(folder))
    assert said.code == 1
    lines = said.err.splitlines()
    assert lines[0] == f"MadeFilesDiffer: the contracts of {NAME} in {folder} are not what the catalog says"
    assert lines[1].startswith("  db.ts line ")
    assert 'should have \'export const Mood = z.enum(["sad"' in lines[1]
    assert lines[2] == "  db.py: not there"
    assert lines[3] == f"  next: run `pgrunbook contracts {NAME} --to {folder}` and commit what it writes"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept


def test_what_stands_in_the_way_is_named(desk: Desk) -> None:
    assert desk("contracts", "999_none").err.splitlines()[0] == "UnknownName: no change named '999_none'"
    throwaway.write(desk.changes)
    said = desk("contracts", throwaway.NAME)
    assert (said.code, said.err.splitlines()[0]) == (
        1,
        f"NoContract: {throwaway.NAME} has no contract: it makes no table",
    )
    broken = throwaway.step("CREATE TABLE fresh (id int); SELECT 1 / 0;", lock="none")
    throwaway.write(desk.changes, broken, name="702_broken")
    said = desk("contracts", "702_broken")
    assert said.code == 1
    assert said.err.startswith("RehearsalFailed: ")
    assert "division by zero" in said.err


def test_a_folder_that_cannot_be_written_is_named(desk: Desk) -> None:
    place = desk.folder / "file"
    place.write_text("")
    said = desk("contracts", NAME, "--to", str(place))
    assert (said.code, said.err) == (
        1,
        f"MadeFilesNotWritten: the files cannot be written to {place}: {os.strerror(17)}\n"
        "  next: let this user write there, or name another folder with --to\n",
    )
    assert made.differing({"db.ts": ""}, place) == ["db.ts: cannot be read"]
