"""The way back: in which order steps are undone, what each takes with it, which locks, and how it is done."""

from __future__ import annotations

from pgrunbook.change import Change, Script, Step
from pgrunbook.job import Budgets
from pgrunbook.papers.markdown import code, table
from pgrunbook.papers.material import Material
from pgrunbook.views.units import counted, duration

__all__ = ["locks", "way_back"]

_USUAL = Budgets()


def way_back(material: Material) -> str:
    """Return the rollback strategy as Markdown, from the headers of the steps and from a rollback that was done."""
    change = material.change
    backwards = change.steps[::-1]
    scripts = [script for step in backwards for script in step.rollback]
    losing = [(step, material.lost[step.name]) for step in backwards if material.lost[step.name]]
    lines = [
        f"# The way back of {change.name}",
        "",
        f"Made from the steps and the catalog by `pgrunbook papers {change.name}`; edit the SQL, not this page.",
        "",
        f"{counted(len(change.steps), 'step')} {'is' if len(change.steps) == 1 else 'are'} undone one by one,"
        " the last one first; each can be the last that is undone.",
        _proof(material),
        "An object of others that depends on what would be dropped, a view for example, is named before the first"
        " step is undone, and nothing is undone while it stands; psql alone stops at it half-way.",
        "",
        "## What is lost",
        "",
    ]
    if losing:
        lines.append(
            "Rolling back takes these with it; nothing keeps a copy. Take a dump first if anybody wrote to them:"
        )
        lines.append("")
        lines += table(["undoing", "takes"], [(code(step.name), "; ".join(lost)) for step, lost in losing])
        tables = _tables(losing)
        if tables:
            if any(one.forced for one in material.made.tables if one.name in tables):
                lines += [
                    "As a superuser or with BYPASSRLS: row-level security binds the owner, whose dump would stop.",
                    "",
                ]
            options = " ".join(f"--table={name}" for name in tables)
            lines += ["```", f"pg_dump --data-only {options} --file=before_rollback.sql", "```", ""]
    else:
        lines += ["No row and no value: the way back takes only what the steps made around them.", ""]
    lines += ["## Order, locks and budgets", ""]
    lines += table(
        ["", "undoes", "what is done", "locks", "waits and holds at most", "estimate", "transaction"],
        [
            (str(number), code(step.name), script.header.title, *_cost(script))
            for number, (step, script) in enumerate(_parts(backwards), start=1)
        ],
    )
    lines += [_budgets(scripts), "", "## How", "", *_how(change)]
    return "\n".join(lines).rstrip() + "\n"


def _proof(material: Material) -> str:
    if not material.left:
        return "It was done on the embedded server for this page: afterwards the catalog was as before the change."
    left = "; ".join(code(line) for line in material.left)
    return f"It was done on the embedded server for this page, and **the catalog was not as before**: {left}."


def _tables(losing: list[tuple[Step, tuple[str, ...]]]) -> list[str]:
    whole = "all rows of "
    return [one.removeprefix(whole).strip("`") for _, lost in losing for one in lost if one.startswith(whole)]


def _parts(steps: tuple[Step, ...]) -> list[tuple[Step, Script]]:
    return [(step, script) for step in steps for script in step.rollback]


def locks(script: Script) -> str:
    """Return the locks that a file's header claims, as Markdown."""
    modes: dict[str, list[str]] = {}
    for claim in script.header.locks:
        modes.setdefault(claim.mode.word, []).append(code(claim.table))
    return "; ".join(f"{mode} on {', '.join(tables)}" for mode, tables in modes.items()) or "none"


def _cost(script: Script) -> tuple[str, str, str, str]:
    header = script.header
    stops = any(claim.mode.blocks_reads or claim.mode.blocks_writes for claim in header.locks)
    stall = duration(header.stall_budget_ms or _USUAL.stall_ms)
    hold = duration(header.hold_budget_ms or _USUAL.hold_ms)
    budgets = "" if not header.locks else f"{stall}, {hold}" if stops and header.in_transaction else stall
    estimate = ""
    if header.estimate is not None:
        reads = [f"{times:g} reads of {name}" for times, name in header.estimate.reads]
        fixed = [duration(header.estimate.fixed_ms)] if header.estimate.fixed_ms else []
        estimate = " + ".join([*reads, *fixed])
    return locks(script), budgets, estimate, "yes" if header.in_transaction else "none"


def _budgets(scripts: list[Script]) -> str:
    if not any(script.header.locks for script in scripts):
        return "No part takes a lock on a table that was there before."
    return (
        "A part waits for its locks without a queue behind it, and traffic waits no longer than the first time;"
        " one that holds its locks longer than the second is cancelled and changes nothing. Run it again then."
    )


def _how(change: Change) -> list[str]:
    first = change.steps[0]
    return [
        "In the notebook: the section *Roll back*. Its gate asks; locks and outcome go to the record.",
        "",
        "On the command line, all of it, or down to a step that stays:",
        "",
        "```",
        f"./pgrunbook rollback {change.name} --approve-all --reason TEXT",
        f"./pgrunbook rollback {change.name} --to {first.number} --approve-all --reason TEXT",
        "```",
        "",
        "With psql alone, from the change's folder, where nothing else is at hand. Nothing then watches the locks, and"
        " only the last line tells the ledger, whose events stay:",
        "",
        "```",
        *(_psql(script) for _, script in _parts(change.steps[::-1])),
        f"psql -v ON_ERROR_STOP=1 -c \"DELETE FROM pgrunbook.step WHERE change = '{change.name}'\"",
        "```",
    ]


def _psql(script: Script) -> str:
    whole = " --single-transaction" if script.header.in_transaction else ""
    return f"psql -v ON_ERROR_STOP=1{whole} -f {script.label}"
