"""The Markdown of papers."""

from __future__ import annotations

from markdown_it import MarkdownIt

from pgrunbook.papers import markdown


def html(lines: list[str]) -> str:
    return MarkdownIt().enable("table").render("\n".join(lines))


def test_a_table_is_read_as_one_whatever_its_cells_say() -> None:
    lines = markdown.table(
        ["name", "gone", "says"], [(markdown.code("a|b`c"), "", "x | y\nz"), ("d", "", "")]
    )
    drawn = html(lines)
    assert drawn.count("<th>") == 2
    assert drawn.count("<tr>") == 3
    assert "<code>a|b`c</code>" in drawn
    assert "<td>x | y z</td>" in drawn


def test_no_rows_are_no_table() -> None:
    assert markdown.table(["a"], []) == []


def test_code_is_code_whatever_backticks_it_has() -> None:
    for text in ("a", "`", "``a`", "a`", "```"):
        assert f"<code>{text}</code>" in html([markdown.code(text)]), text
