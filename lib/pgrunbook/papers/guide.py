"""The guide: written by hand, but for the table of its steps, which is made from the SQL and the catalog."""

from __future__ import annotations

import re

from pgrunbook.change import Step
from pgrunbook.papers.markdown import codes, table
from pgrunbook.papers.material import Material
from pgrunbook.papers.wayback import locks
from pgrunbook.shape.model import Schema

__all__ = ["FILE", "guide"]

FILE = "guide.md"
_CHAIN = re.compile(r"(<!-- chain: [^\n]*-->\n).*?(<!-- end of chain -->)", re.DOTALL)
_MAKES = re.compile(
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?P<kind>TABLE|FUNCTION)\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>\w+)", re.I
)
_REMARK = re.compile(r"--[^\n]*")


def guide(material: Material, text: str) -> str:
    """Return the text of a guide with its chain as the steps are now: what each makes, needs and locks.

    The chain stands between `<!-- chain: ... -->` and `<!-- end of chain -->`; a guide may do without.
    """
    # A name in a replacement could be read as a reference to a group.
    return _CHAIN.sub(lambda found: f"{found[1]}\n{chain(material)}\n{found[2]}", text)


def chain(material: Material) -> str:
    """Return the table of the steps as Markdown, after what they need from before the change."""
    made = {step.name: _makes(step) for step in material.change.steps}
    own = {name for names in made.values() for name in names}
    outside = _known(material.around) - own
    needs = {
        step.name: _needs(step, (own | outside) - set(made[step.name])) for step in material.change.steps
    }
    asked = [name for name in sorted(outside) if any(name in found for found in needs.values())]
    rows = [
        (step.number, codes(made[step.name]), codes(needs[step.name]), locks(step.migrate))
        for step in material.change.steps
    ]
    lines = [f"From before the change: {codes(asked) or 'nothing'}.", ""]
    lines += table(["step", "makes", "needs", "locks"], rows)
    return "\n".join(lines)


def _known(schema: Schema) -> set[str]:
    return {one.name for one in schema.tables} | {f"{one.name}()" for one in schema.functions}


def _makes(step: Step) -> list[str]:
    found = [_MAKES.match(text) for text in _statements(step)]
    return [f"{one['name']}{'()' * (one['kind'].upper() == 'FUNCTION')}" for one in found if one]


def _needs(step: Step, names: set[str]) -> list[str]:
    words = set(re.findall(r"\w+", "\n".join(_statements(step))))
    return sorted(name for name in names if name.removesuffix("()") in words)


def _statements(step: Step) -> list[str]:
    return [_REMARK.sub("", one.text) for one in step.migrate.statements if one.verb != "COMMENT"]
