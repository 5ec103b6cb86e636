"""A new change: everything is written, or nothing is."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
import pytest

from pgrunbook import scaffold
from pgrunbook.errors import BadChange

pytestmark = pytest.mark.static

NOTEBOOK = """\
# %% [markdown]
# # {{change}}

# %% tags=["parameters"]
CHANGE = "{{change}}"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    template = tmp_path / "changes/_template"
    (template / "migrate").mkdir(parents=True)
    (template / "README.md").write_text("# {{change}}\n", encoding="utf-8")
    (template / "migrate/001_first.sql").write_bytes(b"-- {{change}} \xc3\xbc\r\nSELECT '{{change}}';")
    (template / ".DS_Store").touch()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/_template.py").write_text(NOTEBOOK, encoding="utf-8")
    (tmp_path / "notebooks/900_records.ipynb").touch()
    return tmp_path


def create(project: Path, name: str = "060_invoice_number") -> list[Path]:
    changes = project / "changes"
    return scaffold.create(
        name, root=changes, template=changes / "_template", notebooks=project / "notebooks"
    )


def snapshot(project: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_a_new_change_is_the_template_under_its_own_name(project: Path) -> None:
    folder = project / "changes/060_invoice_number"
    assert create(project) == [
        folder / "README.md",
        folder / "migrate/001_first.sql",
        project / "notebooks/060_invoice_number.ipynb",
        project / "notebooks/060_invoice_number.py",
    ]
    assert (folder / "README.md").read_bytes() == b"# 060_invoice_number\n"
    assert (folder / "migrate/001_first.sql").read_bytes() == (
        b"-- 060_invoice_number \xc3\xbc\r\nSELECT '060_invoice_number';"
    )
    assert sorted(path.name for path in (project / "changes").iterdir()) == [
        "060_invoice_number",
        "_template",
    ]


def test_the_notebook_is_valid_and_paired_with_its_text(project: Path) -> None:
    *_, made, twin = create(project)
    book = jupytext.reads(made.read_text(encoding="utf-8"), fmt="ipynb")
    nbformat.validate(book)
    assert [(cell.id, cell.cell_type, cell.source) for cell in book.cells] == [
        ("cell-01", "markdown", "# 060_invoice_number"),
        ("cell-02", "code", 'CHANGE = "060_invoice_number"'),
    ]
    assert book.cells[1].metadata.tags == ["parameters"]
    assert book.metadata.jupytext.formats == "ipynb,py:percent"
    text = jupytext.reads(twin.read_text(encoding="utf-8"), fmt="py:percent")
    assert [cell.source for cell in text.cells] == [cell.source for cell in book.cells]


def test_without_a_notebook_template_the_folder_is_enough(project: Path) -> None:
    (project / "notebooks/_template.py").unlink()
    assert [path.name for path in create(project)] == ["README.md", "001_first.sql"]


@pytest.mark.parametrize(
    "name", ["", "60_x", "060-x", "060_X", "../060_x", "060_x/y", "060_", "060_x\n", "060_ü"]
)
def test_a_bad_name_is_refused_and_nothing_is_written(project: Path, name: str) -> None:
    before = snapshot(project)
    with pytest.raises(BadChange) as caught:
        create(project, name)
    assert str(caught.value) == (
        f"{name!r}: not a name for a change\n"
        "  next: use three digits, an underscore and lower-case words, e.g. 060_invoice_number"
    )
    assert snapshot(project) == before


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("060_invoice_number", "changes/060_invoice_number"),
        ("060_other", "changes/060_invoice_number"),
        ("900_other", "notebooks/900_records.ipynb"),
    ],
)
def test_a_taken_number_is_refused_and_nothing_is_written(project: Path, name: str, taken: str) -> None:
    create(project)
    before = snapshot(project)
    with pytest.raises(BadChange) as caught:
        create(project, name)
    assert str(caught.value) == (
        f"{name}: the number {name[:3]} is taken by {project / taken}\n"
        "  next: take a number that no change and no notebook has; the number is the order"
    )
    assert snapshot(project) == before


def test_a_missing_template_is_refused(project: Path) -> None:
    with pytest.raises(BadChange) as caught:
        scaffold.create(
            "060_x", root=project / "changes", template=project / "gone", notebooks=project / "notebooks"
        )
    assert str(caught.value) == (
        f"060_x: there is no folder {project / 'gone'}\n"
        "  next: work inside the project, or set PGRUNBOOK_CHANGES to its folder of changes"
    )


def test_when_the_last_file_cannot_be_placed_nothing_is_left(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(project)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == project / "notebooks/060_invoice_number.py":
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="disk full"):
        create(project)
    assert snapshot(project) == before
    assert [path.name for path in (project / "changes").iterdir()] == ["_template"]
