"""Figures in words and columns."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["against", "columns", "ms", "seconds"]


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text; the first column is words, the others are numbers.

    >>> print(columns(["tool", "worst"], [["psql", "4,000"], ["ours", "6"]]))
    tool  worst
    psql  4,000
    ours      6
    """
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def ms(value: float) -> str:
    """Return milliseconds with as many digits as they are worth.

    >>> ms(4038.23), ms(12.34), ms(0.456)
    ('4,038', '12.3', '0.46')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def seconds(value: float | None) -> str:
    """Return seconds, or a dash where there are none.

    >>> seconds(1.234), seconds(None)
    ('1.23', '-')
    """
    return "-" if value is None else f"{value:.2f}"


def against(found: str, target: str, met: bool) -> str:
    """Return one figure beside its target.

    >>> against("worst stall 6.1 ms", "at most 25", True)
    'worst stall 6.1 ms (at most 25: met)'
    """
    return f"{found} ({target}: {'met' if met else 'MISSED'})"
