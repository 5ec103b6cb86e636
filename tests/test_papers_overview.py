"""The overview of a change's data model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import papered
import pytest
from markdown_it import MarkdownIt

from pgrunbook import server as embedded
from pgrunbook.papers.markdown import anchor
from pgrunbook.papers.material import Material, gather
from pgrunbook.papers.overview import overview


@pytest.fixture(scope="module")
def material(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Material:
    root: Path = tmp_path_factory.mktemp("changes")
    return gather(papered.write(root), server, root=root)


@pytest.mark.parametrize(
    "line",
    [
        "# The data model of 710_papered",
        "It has 3 tables, 2 foreign keys, 1 enum, 1 function. Tables come after those that they refer to.",
        "![Entity-relationship diagram of the tables](diagram.svg)",
        "- [`box`](#table-box): Holds slips | and more.",
        "This table was there before; the change alters it.",
        "| `owner` | `integer` | Whose it is. |",
        "| `id` | `integer` | | identity, always |",
        "| `mood` | `mood` | | `'calm'::mood` |",
        "| `box_id` | `integer` | yes | |",
        "| `box_id_owner_key` | `UNIQUE (id, owner)` |",
        "| `slip_box_fkey` | `box_id`, `owner` | `box (id, owner)` | CASCADE | `slip_box_idx` |",
        "| `slip_thing_fkey` | `thing` | `things (id)` | NO ACTION | none |",
        "| `slip_note_check` | `CHECK ((note <> ''::text))` |",
        "| `slip_box_idx` | `btree (owner, box_id)` | foreign key `slip_box_fkey`, policy `own`,"
        " Slips of a box (`timing/10_slips.sql`) |",
        "| `slip_pkey` | unique, `btree (id)` | key `slip_pkey` |",
        "| `stop` | BEFORE DELETE, each row when `((old.note IS NULL))` | `refuse('P7002')` |",
        "Row-level security: on, the owner is exempt.",
        "| `mood` | `calm`, `zest` | How it goes. |",
        "| `refuse()` | `trigger` | caller | `public` | `P7001` |",
    ],
)
def test_it_says_what_the_catalog_says(material: Material, line: str) -> None:
    assert line in overview(material).splitlines()


def test_tables_come_in_order_and_every_link_of_the_contents_has_its_heading(material: Material) -> None:
    text = overview(material)
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    assert headings[2:] == ["Table `box`", "Table `things`", "Table `slip`", "Enums", "Functions"]
    links = [
        line.partition("](")[2].partition(")")[0] for line in text.splitlines() if line.startswith("- [")
    ]
    assert links == [anchor(heading) for heading in headings[2:]]


def test_it_reads_as_markdown_with_all_of_its_tables(material: Material) -> None:
    text = overview(material)
    drawn = MarkdownIt().enable("table").render(text)
    assert drawn.count("<table>") == sum(line.startswith("|---") for line in text.splitlines())
    assert "\n\n\n" not in text


def test_an_index_of_some_rows_or_an_unfinished_one_serves_no_foreign_key(material: Material) -> None:
    slip = material.made.table("slip")
    for change in ({"predicate": "(owner > 1)"}, {"valid": False}):
        indexes = tuple(
            dataclasses.replace(index, **change) if index.name == "slip_box_idx" else index  # type: ignore[arg-type]
            for index in slip.indexes
        )
        tables = tuple(
            dataclasses.replace(table, indexes=indexes) if table.name == "slip" else table
            for table in material.made.tables
        )
        made = dataclasses.replace(material.made, tables=tables)
        assert "| `box (id, owner)` | CASCADE | none |" in overview(dataclasses.replace(material, made=made))
