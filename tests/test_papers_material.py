"""What papers are made of."""

from __future__ import annotations

from pathlib import Path

import papered

from pgrunbook import server as embedded
from pgrunbook.papers.material import gather


def test_the_way_back_is_gone_and_what_it_takes_is_seen(server: embedded.Server, tmp_path: Path) -> None:
    found = gather(papered.write(tmp_path), server, root=tmp_path)
    assert [table.name for table in found.made.tables] == ["box", "slip", "things"]
    assert [table.name for table in found.around.tables] == ["things"]
    assert found.lost == {
        "005_add_note": ("all values of `things.note`",),
        "004_refuse": (),
        "003_create_slip": ("all rows of `slip`",),
        "002_create_box": ("all rows of `box`",),
        "001_create_mood": (),
    }
    assert found.left == ()
    assert found.names.unknown("slip_box_fkey P7001") == []


def test_rows_that_a_way_back_deletes_and_what_it_leaves_are_told(
    server: embedded.Server, tmp_path: Path
) -> None:
    head = "-- Unmake\n-- lock: none\n\n"
    found = gather(
        papered.write(
            tmp_path,
            {
                "rollback/005_add_note.sql": f"{head}DELETE FROM things WHERE code IS NULL;\n",
                "migrate/004_refuse.sql": f"{head}CREATE SEQUENCE counter;\n",
                "rollback/004_refuse.sql": f"{head}DROP SEQUENCE counter;\n",
            },
        ),
        server,
        root=tmp_path,
    )
    assert found.lost["005_add_note"] == ("DELETE of rows in `things`",)
    assert found.lost["004_refuse"] == ("the position of sequence `counter`",)
    assert found.left == ("+ column public.things.note text",)
