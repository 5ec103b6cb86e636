"""What is left to do: read from the promises of the steps, rehearsed without the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import throwaway

from pgrunbook import prospect
from pgrunbook import server as embedded
from pgrunbook.stage import Stage

Conn = psycopg.Connection[dict[str, Any]]


def test_only_steps_that_are_not_in_place_are_left_and_rehearsed(
    conn: Conn, database: str, tmp_path: Path, server: embedded.Server
) -> None:
    conn.execute(throwaway.TABLE)
    with throwaway.running(throwaway.write(tmp_path), database, tmp_path) as made:
        names = [step.name for step in prospect.remaining(made.binding, made.change)]
        assert names == ["001_add_note", "002_build_index", "003_require_code"]
        throwaway.apply(made, "001", "002")
        left = prospect.remaining(made.binding, made.change)
        assert [step.name for step in left] == ["003_require_code"]
        stages: list[Stage] = []
        made.binding.on_stage = stages.append
        done = prospect.rehearse(made.binding, made.change, server)
        assert [file.file for file in done.files] == [
            "migrate/003_require_code.sql",
            "rollback/003_require_code.sql",
        ]
        assert [one.doing for one in stages] == [f"rehearses {file.file}" for file in done.files]
        assert made.binding.journal.entries()[-1]["kind"] == "rehearsed"
