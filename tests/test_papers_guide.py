"""The guide of a change, and the table in it that is made."""

from __future__ import annotations

from pathlib import Path

import papered
import pytest
from operating import Desk

from pgrunbook import server as embedded
from pgrunbook.papers.guide import guide
from pgrunbook.papers.material import Material, gather

GUIDE = "# Guide\n\n<!-- chain: made -->\nwhat was\n<!-- end of chain -->\n\nBy hand.\n"


@pytest.fixture(scope="module")
def material(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Material:
    root: Path = tmp_path_factory.mktemp("changes")
    return gather(papered.write(root), server, root=root)


def test_the_chain_says_what_each_step_makes_needs_and_locks_and_the_rest_stays(material: Material) -> None:
    text = guide(material, GUIDE)
    assert text.splitlines() == [
        "# Guide",
        "",
        "<!-- chain: made -->",
        "",
        "From before the change: `things`.",
        "",
        "| step | makes | needs | locks |",
        "|---|---|---|---|",
        "| 001 | | | none |",
        "| 002 | `box` | | none |",
        "| 003 | `slip` | `box`, `things` | ShareRowExclusive on `box`, `things` |",
        "| 004 | `refuse()` | `slip` | ShareRowExclusive on `slip` |",
        "| 005 | | `things` | AccessExclusive on `things` |",
        "",
        "<!-- end of chain -->",
        "",
        "By hand.",
    ]
    assert guide(material, text) == text


def test_a_guide_without_a_chain_stays_as_it_is(material: Material) -> None:
    assert guide(material, "# Guide\n") == "# Guide\n"


def test_what_a_comment_names_is_not_needed(server: embedded.Server, tmp_path: Path) -> None:
    told = papered.FILES["migrate/002_create_box.sql"]
    assert told is not None
    told = told.replace("CREATE TABLE", "-- Unlike things.\nCREATE TABLE -- things\n   ").replace(
        "Holds", "things"
    )
    chosen = papered.write(tmp_path, {"migrate/002_create_box.sql": told})
    text = guide(gather(chosen, server, root=tmp_path), GUIDE)
    assert "| 002 | `box` | | none |" in text


def test_papers_write_the_chain_and_look_up_the_names_of_a_guide(database: str, tmp_path: Path) -> None:
    with Desk(database, tmp_path) as desk:
        papered.write(desk.changes)
        folder = desk.changes / papered.NAME / "papers"
        folder.mkdir()
        (folder / "guide.md").write_text(GUIDE)
        said = desk("papers", papered.NAME)
        assert said.code == 0, said.err
        assert "| 002 | `box` | | none |" in (folder / "guide.md").read_text()
        assert desk("papers", papered.NAME, "--check").code == 0
        (folder / "guide.md").write_text(GUIDE + "`slop`\n")
        said = desk("papers", papered.NAME, "--check")
        assert said.code == 1
        assert "guide.md line 4: has 'what was', should have ''" in said.err
        said = desk("papers", papered.NAME)
        assert said.code == 1
        assert "guide.md line 18: `slop` is neither in the catalog nor a file" in said.err
