"""What the events of one run tell, as far as it is compared with another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pgrunbook.dossier import Dossier
from pgrunbook.legible import UNREAD

__all__ = ["NOT_RUN", "Account", "Side"]

Detail = Mapping[str, Any]
NOT_RUN = "not run"
_ENDS = {
    "apply done": "done",
    "apply failed": "failed",
    "apply cancelled": "cancelled",
    "apply started": "interrupted",
    "apply starting": "interrupted",
    "rollback done": "rolled back",
    "rollback failed": "not rolled back",
    "rollback cancelled": "not rolled back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two runs."""

    run_id: str
    target: str
    target_kind: str
    started: str
    outcome: str
    stall_budget_ms: float
    worst_stall_ms: float | None

    @property
    def over(self) -> bool | None:
        """Return whether anybody stalled for longer than the budget; None where that is not known."""
        return None if self.worst_stall_ms is None else self.worst_stall_ms > self.stall_budget_ms


class Account:
    """What the events of a run tell, as far as it is compared."""

    def __init__(self, held: Dossier) -> None:
        self.events = [event.told for event in held.events]
        self.unread = {
            f"{event['kind']} {event['step']}".strip(): str(event[UNREAD])
            for event in self.events
            if UNREAD in event
        }
        run = held.facts["run"]
        opened = self.last("run opened")
        self.change = str(run.get("change") or (held.events[0].change if held.events else ""))
        self.side = Side(
            run_id=held.run_id,
            target=str(run.get("target", "")),
            target_kind=str(run.get("target_kind", "")),
            started=str(run.get("started", "")),
            outcome=str(run.get("outcome", "")),
            stall_budget_ms=float(run.get("stall_budget_ms") or 0),
            worst_stall_ms=None if run.get("worst_stall_ms") is None else float(run["worst_stall_ms"]),
        )
        self.scripts = {str(one["file"]): str(one["sha256"])[:12] for one in held.scripts}
        self.settings = {
            "target": f"{self.side.target} ({self.side.target_kind})",
            "operator": opened.get("operator", ""),
            "stall budget ms": opened.get("stall_budget_ms"),
            "window ends": opened.get("window_ends", "none"),
            "approvals needed": opened.get("approvals_needed", 1),
        }
        self.versions = {
            "server": opened.get("server", ""),
            "cluster": opened.get("cluster", ""),
            "pgrunbook": opened.get("version", ""),
            **opened.get("versions", {}),
        }
        # What was there before anything was repaired.
        audits = [one for event in self.of("preflight") for one in event["detail"].get("checks", [])]
        self.checks = {one["label"]: _found(one) for one in reversed(audits)}
        self.verified = {one["label"]: _found(one) for one in self.last("verified").get("checks", [])}
        self.remedies = self._remedies()
        self.plans = {
            f"{query['name']}, {event['detail'].get('when', '')}": str(query.get("plan", ""))
            for event in self.of("timed")
            for query in event["detail"].get("queries", [])
        }
        self.medians = {
            (str(query["name"]), str(event["detail"].get("when"))): float(query["median_ms"])
            for event in self.of("timed")
            for query in event["detail"].get("queries", [])
        }
        self.approvals = self._approvals()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a kind."""
        return [event for event in self.events if event["kind"] == kind]

    def last(self, kind: str) -> Detail:
        """Return the detail of the last event of a kind, empty where there is none."""
        found = self.of(kind)
        return found[-1]["detail"] if found else {}

    def _remedies(self) -> dict[str, str]:
        counts: dict[str, int] = {}
        for what in ("applied", "undone"):
            for event in self.of(f"remedy {what}"):
                name = f"{event['detail'].get('remedy', '')}, {what}"
                counts[name] = counts.get(name, 0) + int(event["detail"].get("rows") or 0)
        return {name: f"{rows:,} rows" for name, rows in counts.items()}

    def _approvals(self) -> dict[str, str]:
        given: dict[str, list[str]] = {}
        for event in self.of("gate"):
            detail = event["detail"]
            said = "GO" if detail.get("go") else "NO-GO"
            # A rehearsal approves itself, whoever started it.
            by = "" if detail.get("how") == "rehearsal" else f" of {detail.get('who') or event['actor']}"
            given.setdefault(event["step"], []).append(f"{said}{by} ({detail.get('how', '')})")
        return {what: "; ".join(dict.fromkeys(said)) for what, said in given.items()}

    def measured(self, step: str, key: str, pick: Callable[[Iterable[float]], float]) -> float | None:
        """Return a figure of the tries to apply a step."""
        found = [
            float(event["detail"][key])
            for event in self.events
            if event["step"] == step
            and (event["kind"].startswith("apply ") or event["detail"].get("job") == "apply")
            and isinstance(event["detail"].get(key), int | float)
        ]
        return pick(found) if found else None

    def end(self, step: str) -> str:
        """Return how a step ended in this run."""
        ends = [
            _ENDS[event["kind"]] for event in self.events if event["step"] == step and event["kind"] in _ENDS
        ]
        return ends[-1] if ends else NOT_RUN


def _found(check: Detail) -> str:
    rows = int(check.get("rows") or 0)
    return str(check.get("problem") or check.get("unproved") or f"{rows:,} row{'' if rows == 1 else 's'}")
