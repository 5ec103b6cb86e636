"""The papers of every change that has them: made again they are the same, and their names exist."""

from __future__ import annotations

import re
from pathlib import Path

import papered
import pytest

from pgrunbook import change, made, scratch
from pgrunbook import server as embedded
from pgrunbook.papers import decisions, making
from pgrunbook.papers.material import gather
from pgrunbook.views import diagram, layout

ROOT = Path(__file__).parents[1] / "sql" / "changes"
WITH_PAPERS = [name for name in change.names(ROOT) if (ROOT / name / making.FOLDER).is_dir()]


@pytest.mark.parametrize("name", WITH_PAPERS)
def test_the_papers_of_a_change_are_what_the_catalog_says(name: str, server: embedded.Server) -> None:
    material = gather(change.load(name, root=ROOT), server, root=ROOT)
    folder = ROOT / name / making.FOLDER
    # Byte for byte: the versions that draw are pinned here.
    assert made.differing(making.texts(material), folder) == []
    assert making.mistakes(material, folder) == []
    assert material.left == ()


@pytest.mark.parametrize("name", WITH_PAPERS)
def test_no_line_of_the_diagram_of_a_change_runs_through_a_box_or_on_another(
    name: str, server: embedded.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[layout.Layout] = []
    arrange = layout.arrange
    monkeypatch.setattr(
        layout, "arrange", lambda *given, **how: found.append(arrange(*given, **how)) or found[0]
    )
    with scratch.applied(change.load(name, root=ROOT), server, root=ROOT) as applied:
        diagram.diagram(applied.after)
    assert layout.flaws(found[0]) == 0
    assert len(found[0].boxes) == len(applied.after.tables)


@pytest.mark.parametrize("name", WITH_PAPERS)
def test_the_decisions_of_a_change_have_every_part_and_name_what_they_decide(name: str) -> None:
    text = (ROOT / name / making.FOLDER / decisions.FILE).read_text(encoding="utf-8")
    headings = re.findall(r"^## (\w+)", text, re.MULTILINE)
    assert headings == ["Status", "Context", "Decision", "Consequences", "Alternatives"]
    assert len(list(decisions.quoted(text))) > 20


def test_papers_are_outdated_when_the_catalog_moves_on(server: embedded.Server, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    chosen = papered.write(tmp_path)
    texts = making.texts(gather(chosen, server, root=tmp_path))
    made.write(texts, folder)
    assert making.outdated(texts, folder) == []
    moved = papered.FILES["migrate/002_create_box.sql"]
    assert moved is not None
    later = papered.write(
        tmp_path, {"migrate/002_create_box.sql": moved.replace("owner int", "owner bigint")}
    )
    outdated = making.outdated(making.texts(gather(later, server, root=tmp_path)), folder)
    assert [line.split()[0] for line in outdated] == ["overview.md", "diagram.svg"]


def test_of_the_diagram_its_words_count(tmp_path: Path) -> None:
    svg = "<svg><title>t</title><desc>a (id int).</desc><path/></svg>"
    made.write({making.DIAGRAM: svg.replace("<path/>", "<line/>")}, tmp_path)
    assert making.outdated({making.DIAGRAM: svg}, tmp_path) == []
    assert making.outdated({making.DIAGRAM: svg.replace("int", "bigint")}, tmp_path) != []
    (tmp_path / making.DIAGRAM).unlink()
    assert making.outdated({making.DIAGRAM: svg}, tmp_path) == ["diagram.svg: not there"]


def test_written_names_are_looked_up_and_no_paper_is_no_mistake(
    server: embedded.Server, tmp_path: Path
) -> None:
    material = gather(papered.write(tmp_path), server, root=tmp_path)
    assert making.mistakes(material, tmp_path) == []
    (tmp_path / decisions.FILE).write_text(
        "`slip_box_fkey` and `slip_box_key` and `migrate/003_create_slip.sql`\n"
    )
    assert making.mistakes(material, tmp_path) == [
        "decisions.md line 1: `slip_box_key` is neither in the catalog nor a file"
    ]
