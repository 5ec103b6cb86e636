"""The blocks of a record's sections: pictures, tables and texts, made of what the ledger tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from pgrunbook.evidence import sha256_of
from pgrunbook.views import drawings, svg
from pgrunbook.views.exporter import source
from pgrunbook.views.style import Picture
from pgrunbook.views.summary import Rows, Summary
from pgrunbook.views.table import to_html
from pgrunbook.views.units import counted, duration, size

__all__ = ["Block", "builds", "capped", "found", "plans", "ran", "sizes", "stalls", "unread", "waits"]

_MOST_ROWS, _ENDS, _MOST_FINDINGS, _LONGEST = 500, 250, 100, 40_000


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a section: a picture, a table or a text, under a title or without one; the last three are markup."""

    title: str = ""
    says: str = ""
    bad: bool = False
    figure: str = ""
    table: str = ""
    code: str = ""


def capped(rows: Rows) -> Iterator[Block]:
    """Yield the rows, of very many the first and the last."""
    if len(rows) <= _MOST_ROWS:
        yield Block(table=_rows(rows))
        return
    yield Block(says=f"The first {_ENDS} of {len(rows):,}:", table=_rows(rows[:_ENDS]))
    says = f"The last {_ENDS}; those between are in the facts at the end of this file, each with all it says:"
    yield Block(says=says, table=_rows(rows[-_ENDS:]))


def _rows(rows: Rows, columns: list[str] | None = None) -> Markup:
    return Markup(to_html(rows, columns, cap=None, null="-"))


def _picture(name: str, picture: Picture | None, title: str = "") -> Iterator[Block]:
    drawn = svg.rebuild(picture.svg, prefix=f"{name}-") if picture else None
    if drawn:
        yield Block(title, figure=Markup(drawn))


def stalls(summary: Summary) -> Iterator[Block]:
    """Yield the worst stall of each job that was watched."""
    yield from _picture("stalls", drawings.stalls(summary))
    if summary.stalls:
        names = ["step", "worst stall ms", "budget ms", "locks held ms", "samples", "waits"]
        blind = ["problem"] if any(row["problem"] for row in summary.stalls) else []
        yield Block(table=_rows(summary.stalls[:_MOST_ROWS], [*names, *blind]))


def found(summary: Summary) -> Iterator[Block]:
    """Yield the audits, and the rows that checks found."""
    if summary.audits:
        yield Block("Audits", table=_rows(summary.audits[:_MOST_ROWS]))
    for row in summary.findings[:_MOST_FINDINGS]:
        columns, found = row["columns"], row["found"]
        assert isinstance(columns, list)
        assert isinstance(found, list)
        rows = tuple(dict(zip(columns, values, strict=True)) for values in found)
        total = int(str(row["rows"]))
        more = f"; the first {len(rows)} are kept" if len(rows) < total else ""
        said = [f"{row['severity']}: {counted(total, 'row')} at {row['at']}{more}"]
        said += [f"{name}: {row[key]}" for name, key in (("effect", "effect"), ("next", "next")) if row[key]]
        table = Markup(to_html(rows, list(columns), cap=None)) if rows else ""
        yield Block(f"{row['check']}: {row['title']}", ". ".join(said), table=table)
    if len(summary.findings) > _MOST_FINDINGS:
        yield Block(
            says=f"{len(summary.findings) - _MOST_FINDINGS:,} more are in the facts at the end of this file."
        )


def ran(summary: Summary) -> Iterator[Block]:
    """Yield each script that was begun, with its text where it is the one of the hash."""
    if summary.ran:
        yield Block(table=_rows(summary.ran[:_MOST_ROWS], ["at", "what", "file", "ended", "sha256"]))
    for file, sha256 in dict.fromkeys((str(row["file"]), str(row["sha256"])) for row in summary.ran):
        text = summary.texts.get(sha256)
        if text is None:
            yield Block(file, "The ledger does not keep its text.")
        elif sha256_of(text) != sha256:
            says = (
                f"ALTERED since: the text that the ledger keeps gives {sha256_of(text)}, so it is not shown."
            )
            yield Block(file, says, bad=True)
        else:
            cut = f" Its first {_LONGEST:,} characters." if len(text) > _LONGEST else ""
            yield Block(
                file, f"SHA-256 {sha256}, computed again.{cut}", code=source(text[:_LONGEST], "postgresql")
            )


def waits(summary: Summary) -> Iterator[Block]:
    """Yield the timeline of lock waits, who was in the way, and who waited."""
    yield from _picture("waits", drawings.waits(summary))
    if summary.in_the_way:
        says = (
            "While they held what the step wanted it looked and did not ask, so that nobody waited behind it."
        )
        names = ["step", "who", "holds", "on", "state", "held before ms", "from ms", "to ms"]
        yield Block("Who was in the way", says, table=_rows(summary.in_the_way[:_MOST_ROWS], names))
    if summary.waits:
        names = [name for name in summary.waits[0] if name not in ("job", "to ms")]
        worst = sorted(summary.waits, key=lambda row: -float(str(row["waited ms"])))[:_ENDS]
        known = {id(row) for row in worst}
        kept = tuple(row for row in summary.waits if id(row) in known)
        left = len(summary.waits) - len(kept)
        says = (
            f"The longest {len(kept)}; {left:,} more are in the facts at the end of this file."
            if left
            else ""
        )
        yield Block("Who waited", says, table=_rows(kept, names))


def unread(summary: Summary) -> Iterator[Block]:
    """Yield the events whose detail cannot be read in the usual way, as they stand."""
    for row in summary.unread[:_MOST_FINDINGS]:
        title = f"{row['kind']}, step {row['step']}, {row['at']}"
        yield Block(title, f"{row['what']}.", bad=True, code=source(str(row["raw"]), ""))
    if len(summary.unread) > _MOST_FINDINGS:
        yield Block(
            says=f"{len(summary.unread) - _MOST_FINDINGS:,} more are in the facts at the end of this file."
        )


def builds(summary: Summary) -> Iterator[Block]:
    """Yield how index builds went, job by job."""
    for number, (step, picture) in enumerate(drawings.builds(summary)):
        yield from _picture(f"build{number}", picture, step)


def sizes(summary: Summary) -> Iterator[Block]:
    """Yield the sizes of tables and their indexes, before and after."""
    yield from _picture("sizes", drawings.sizes(summary))
    if summary.sizes:
        rows = tuple(
            {
                "step": row["step"],
                "name": row["name"],
                "before": _size(row["before bytes"]),
                "after": _size(row["after bytes"]),
            }
            for row in summary.sizes[:_MOST_ROWS]
            if row["before bytes"] != row["after bytes"]
        )
        yield Block(table=_rows(rows)) if rows else Block(says="No size changed.")


def _size(held: object) -> str:
    return size(held) if isinstance(held, int) else "not known"


def plans(summary: Summary) -> Iterator[Block]:
    """Yield the times of queries before and after, and their plans."""
    yield from _picture("timings", drawings.queries(summary))
    if not summary.timings:
        return
    names = ["query", "when", "median ms", "least ms", "most ms", "rows", "blocks hit", "blocks read"]
    yield Block(table=_rows(summary.timings, names))
    for row in summary.timings:
        missed = row["missed"]
        says = (
            f"Expected otherwise: {'; '.join(map(str, missed))}."
            if isinstance(missed, list) and missed
            else ""
        )
        if row["plan"] or says:
            title = f"{row['query']}, {row['when']}: {duration(float(str(row['median ms'])))}"
            yield Block(title, says, bad=bool(says), code=source(str(row["plan"]), "") if row["plan"] else "")
