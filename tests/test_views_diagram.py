"""The picture of tables and foreign keys."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import pytest
from drawing import HOSTILE, text_of

from pgrunbook.shape.model import Column, ForeignKey, Index, Key, Schema, Table
from pgrunbook.views import diagram
from pgrunbook.views import svg as pictures

SVG = "{http://www.w3.org/2000/svg}"


def column(name: str, type: str = "uuid", *, nullable: bool = False) -> Column:
    return Column(name, type, type, nullable)


def key(child: str, parent: str, *columns: str) -> ForeignKey:
    return ForeignKey(f"{child}_{parent}", columns, parent, ("id", "user_id"), "CASCADE", "NO ACTION", "")


def table(
    name: str, *columns: Column, keys: tuple[ForeignKey, ...] = (), unique: tuple[str, ...] = ()
) -> Table:
    pair = (column("id"), column("user_id"))
    indexes = (Index("i", unique, unique, True, ""),) if unique else ()
    primary = Key(f"{name}_pkey", ("id",), "")
    first = Index(f"{name}_pkey", ("id",), ("id",), True, "")
    return Table(
        name, "public", "", (*pair, *columns), primary, foreign_keys=keys, indexes=(first, *indexes)
    )  # fmt: skip


CYCLE = table("cycle")
GOAL = table(
    "goal",
    column("cycle_id"),
    column("up", nullable=True),
    column("due", "timestamp with time zone", nullable=True),
    keys=(key("goal", "cycle", "cycle_id", "user_id"), key("goal", "goal", "up", "user_id")),
)
TWO = Schema((CYCLE, GOAL))


def desc_of(svg: str) -> str:
    return ElementTree.fromstring(svg).findtext(f"{SVG}desc") or ""


def test_a_box_has_its_columns_their_types_and_the_keys_they_are_part_of() -> None:
    text = text_of(diagram.diagram(TWO, heading="060_goals"))
    for words in (
        "060_goals: 2 tables, 2 foreign keys",
        "cycle",
        "goal",
        "timestamptz?",
        "FK1,2",
        "FK1",
        "FK2",
        "PK",
    ):
        assert words in text


def test_who_cannot_see_it_is_told_every_table_and_how_many_rows_meet_how_many() -> None:
    picture = diagram.diagram(TWO)
    root = ElementTree.fromstring(picture.svg)
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert root.findtext(f"{SVG}title") == "Entity-relationship diagram, 2 tables, 2 foreign keys"
    assert desc_of(picture.svg) == (
        "cycle (id uuid, user_id uuid)."
        " goal (id uuid, user_id uuid, cycle_id uuid, up uuid?, due timestamptz?)."
        " goal (cycle_id, user_id) refers to cycle (id, user_id): to each row of goal exactly one of cycle,"
        " to each row of cycle none or more of goal."
        " goal (up, user_id) refers to goal (id, user_id): to each row of goal none or one of goal,"
        " to each row of goal none or more of goal."
    )


def test_a_key_whose_columns_are_unique_has_at_most_one_row_at_its_own_end() -> None:
    one = table(
        "one", column("cycle_id"), keys=(key("one", "cycle", "cycle_id", "user_id"),), unique=("cycle_id",)
    )
    assert "to each row of cycle none or one of one." in desc_of(diagram.diagram(Schema((CYCLE, one))).svg)


def test_a_table_of_somebody_else_is_drawn_only_where_a_key_points_at_it() -> None:
    around = Schema((CYCLE, table("vision")))
    told = desc_of(diagram.diagram(Schema((GOAL,)), around=around).svg)
    assert "cycle (id uuid, user_id uuid), not of this change." in told
    assert "vision" not in told
    assert "refers to cycle" in told
    assert "refers to cycle" not in desc_of(diagram.diagram(Schema((GOAL,))).svg)


def test_many_columns_are_abbreviated_and_the_keys_among_them_stay() -> None:
    many = [column(f"c{n}", "text") for n in range(30)]
    wide = table("wide", *many, column("cycle_id"), keys=(key("wide", "cycle", "cycle_id", "user_id"),))
    root = ElementTree.fromstring(diagram.diagram(Schema((CYCLE, wide))).svg)
    drawn = [element.text for element in root.iter(f"{SVG}text")]
    assert {"c0", "cycle_id", "… 22 more"} <= set(drawn)
    assert "c29" not in drawn


def test_the_same_tables_give_the_same_bytes_in_whatever_order_they_come() -> None:
    first, second = diagram.diagram(TWO), diagram.diagram(Schema((GOAL, CYCLE)))
    assert (first.svg, first.png) == (second.svg, second.png)


def test_it_fits_on_a_landscape_page_and_nine_tables_stay_readable() -> None:
    tables = [table("t0")]
    for number in range(1, 9):
        up = f"t{(number - 1) // 2}"
        tables.append(
            table(
                f"t{number}", *[column(f"column_{n}", "timestamp with time zone") for n in range(6)], column("up_id"),
                keys=(key(f"t{number}", up, "up_id", "user_id"),),
            )
        )  # fmt: skip
    svg = diagram.diagram(Schema(tuple(tables))).svg
    width, height = (float(size) for size in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2])
    assert width <= 785.1
    assert height <= 538.1
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
    assert min(sizes) > 4.4
    assert sorted(sizes)[len(sizes) // 2] > 5.4


def test_it_asks_for_nothing_from_outside_and_stands_in_a_page_as_it_is() -> None:
    svg = diagram.diagram(TWO).svg
    assert not re.search(r"href=\"[^#]|<script|<style|@import|<image|url\((?!#)", svg)
    again = pictures.rebuild(svg)
    assert again is not None
    assert desc_of(again) == desc_of(svg)


def test_colours_are_told_apart_without_colour() -> None:
    colours = {c.lower() for c in re.findall(r"#[0-9a-fA-F]{6}", diagram.diagram(TWO).svg)}
    assert all(len({*re.findall("..", colour[1:])}) == 1 or _is_grey(colour) for colour in colours), colours


def _is_grey(colour: str) -> bool:
    parts = [int(part, 16) for part in re.findall("..", colour[1:])]
    return max(parts) - min(parts) < 24


def test_hostile_names_stay_names() -> None:
    hostile = dataclasses.replace(CYCLE, name=HOSTILE, comment=HOSTILE, columns=(column(HOSTILE, HOSTILE),))
    svg = diagram.diagram(Schema((dataclasses.replace(hostile, primary_key=None),)), heading=HOSTILE).svg
    assert "<script" not in svg
    ElementTree.fromstring(svg)


@pytest.mark.parametrize("schema", [Schema(), Schema((CYCLE,))])
def test_no_table_and_one_table_are_pictures_too(schema: Schema) -> None:
    assert diagram.diagram(schema).svg.startswith("<svg ")
