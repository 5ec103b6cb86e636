"""The laboratory: races run on scratch databases, with the change that they stand on, and leave nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import throwaway
from throwaway import NAME, changed

from pgrunbook import server as embedded
from pgrunbook.errors import SampleFailed, UnknownName
from pgrunbook.laboratory import Laboratory

ALONE = "# Alone\n# expect: n 1\n\nteardown { SELECT 1 AS n; }\nsession s1 step x { SELECT 1; }\n"
ON = f"""# On a change
# on: {NAME}
# expect: n 1 in some permutation
# expect: 23505 1 in some permutation

teardown {{ SELECT count(*) - 10 AS n FROM things; DELETE FROM things WHERE id > 10; }}
session s1 step one {{ INSERT INTO things (id, code, note) VALUES (11, 'new', 'the first step adds the note'); }}
session s2 step two {{ INSERT INTO things (id, code) VALUES (12, 'new'); }}
"""


@pytest.fixture
def laboratory(server: embedded.Server, tmp_path: Path) -> Iterator[Laboratory]:
    (tmp_path / "races").mkdir()
    (tmp_path / "races" / "10_alone.spec").write_text(ALONE)
    (tmp_path / "races" / "20_on.spec").write_text(ON)
    throwaway.write(tmp_path / "changes")
    made = Laboratory(server, root=tmp_path / "races", changes_root=tmp_path / "changes")
    with contextlib.closing(made):
        yield made


def databases(server: embedded.Server) -> set[str]:
    with psycopg.connect(server.conninfo_for("postgres")) as conn:
        return {row[0] for row in conn.execute("SELECT datname FROM pg_database").fetchall()}


def test_a_race_runs_with_the_sample_and_every_step_of_its_change(laboratory: Laboratory) -> None:
    result = laboratory.run("20_on")
    assert [one.label for one in result.outcomes] == ["n 1, error 23505"]
    assert result.broken == ()


def test_a_race_alone_begins_in_an_empty_database(laboratory: Laboratory) -> None:
    (laboratory.root / "30_empty.spec").write_text(
        "# Empty\n# expect: n 0\n\n"
        "teardown { SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'public'::regnamespace; }\n"
        "session s1 step x { SELECT 1; }\n"
    )
    assert laboratory.run("30_empty").broken == ()


def test_the_change_is_prepared_once_and_nothing_is_left(laboratory: Laboratory) -> None:
    before = databases(laboratory.server)
    laboratory.run("10_alone")
    assert databases(laboratory.server) == before
    laboratory.run("20_on")
    (prepared,) = databases(laboratory.server) - before
    laboratory.run("20_on")
    assert databases(laboratory.server) - before == {prepared}
    laboratory.close()
    assert databases(laboratory.server) == before


def test_a_race_that_breaks_off_leaves_no_database(laboratory: Laboratory) -> None:
    before = databases(laboratory.server)
    (laboratory.root / "30_bad.spec").write_text(f"{ALONE} permutation x".replace("SELECT 1 AS n", "SELECT"))
    with pytest.raises(UnknownName):
        laboratory.run("40_nowhere")
    (laboratory.root / "30_bad.spec").write_text(ALONE.replace("SELECT 1 AS n", "SELECT 1 / 0"))
    with pytest.raises(Exception, match="teardown failed: division by zero"):
        laboratory.run("30_bad")
    assert databases(laboratory.server) == before


def test_the_change_that_a_race_stands_on_has_to_be_there_and_to_apply(laboratory: Laboratory) -> None:
    (laboratory.root / "30_lost.spec").write_text(ON.replace(NAME, "990_nowhere"))
    with pytest.raises(UnknownName, match="no change named '990_nowhere'"):
        laboratory.run("30_lost")
    bad = {
        "migrate/001_add_note.sql": (
            "-- Add\n-- lock: AccessExclusive on things\n\nALTER TABLE things ADD COLUMN code int;\n"
        )
    }
    throwaway.write(laboratory.changes_root, changed(bad))
    with pytest.raises(SampleFailed, match=r"migrate/001_add_note.sql does not load: column \"code\""):
        laboratory.run("20_on")


def test_a_notebook_shows_one_race_or_all_of_them(laboratory: Laboratory) -> None:
    assert laboratory.race("10_alone").text == (
        "10_alone: 1 of 1 permutation can happen: n 1 in 1; as expected"
    )
    assert laboratory.overview().text == "every race ends as its file expects"
    (laboratory.root / "15_broken.spec").write_text(ALONE.replace("expect: n 1", "expect: n 2"))
    assert laboratory.overview().text == "NOT AS EXPECTED: 15_broken"


def test_it_is_opened_on_the_folders_that_the_environment_names(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGRUNBOOK_RACES", str(laboratory.root))
    monkeypatch.setenv("PGRUNBOOK_CHANGES", str(laboratory.changes_root))
    with contextlib.closing(Laboratory.on(laboratory.server)) as opened:
        assert (opened.root, opened.changes_root) == (laboratory.root, laboratory.changes_root)
        assert opened.run("10_alone").broken == ()
