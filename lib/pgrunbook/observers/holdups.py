"""Who was in the way of a step that looked and did not ask, from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pgrunbook.looking import Blocker

__all__ = ["MOST", "Holdups"]

MOST = 50
"""Sessions that are kept by name; of those that come later only the number is."""


@dataclass(slots=True)
class Holdups:
    """Collects what each look found; one row a session and table, however often it was seen."""

    seen: dict[tuple[object, ...], dict[str, object]] = field(default_factory=dict)
    left_out: set[tuple[object, ...]] = field(default_factory=set)

    def see(self, blockers: Sequence[Blocker], at_ms: float) -> None:
        """Add one look; `at_ms` since the step began."""
        for one in blockers:
            key = (one.pid, one.backend_start, one.transaction, one.relation)
            if key not in self.seen and len(self.seen) >= MOST:
                self.left_out.add(key)
                continue
            row = self.seen.setdefault(
                key,
                {
                    "who": one.who,
                    "holds": one.holds,
                    "on": one.relation,
                    "state": one.state,
                    "held_before_ms": round(one.age_ms, 1),
                    "from_ms": round(at_ms, 1),
                },
            )
            row["to_ms"] = round(at_ms, 1)

    @property
    def facts(self) -> dict[str, object]:
        """Return the rows, in order of first sight, and how many more there were; nothing where nobody was."""
        found: dict[str, object] = {"in_the_way": list(self.seen.values())} if self.seen else {}
        return {**found, **({"in_the_way_left_out": len(self.left_out)} if self.left_out else {})}
