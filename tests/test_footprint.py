"""What a remedy has to know of its tables is asked in one go."""

from __future__ import annotations

import throwaway

from pgrunbook.footprint import Footprint, footprints

TABLES = """
CREATE SCHEMA app;
CREATE DOMAIN document AS jsonb;
CREATE DOMAIN checked AS document CHECK (VALUE IS DISTINCT FROM '0');
CREATE TABLE app."%s" (id int PRIMARY KEY, gone int, doc checked, plain json, docs jsonb[], twice int GENERATED ALWAYS
    AS (id * 2) STORED, parent int REFERENCES app."%s" ON UPDATE CASCADE, ALTERNATIVE int UNIQUE);
ALTER TABLE app."%s" DROP gone;
CREATE TABLE children (of int REFERENCES app."%s" ON UPDATE SET NULL, also int REFERENCES app."%s",
    other int REFERENCES app."%s" (alternative));
"""


def test_columns_documents_and_followers_of_each_table_are_found(database: str) -> None:
    hostile = ("app", "%s")
    with throwaway.looking(database) as conn:
        conn.execute(TABLES)
        assert footprints(conn, [("children",), hostile, ("nowhere",)]) == {
            ("children",): Footprint(["of", "also", "other"]),
            hostile: Footprint(
                ["id", "doc", "plain", "docs", "parent", "alternative"],
                {"doc", "plain"},
                {"id": ['app."%s"', "children"]},
            ),
            ("nowhere",): Footprint(),
        }
