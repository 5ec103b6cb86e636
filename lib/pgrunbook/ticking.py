"""The checklist of a run: who ticks what, and which step may not begin without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from pgrunbook import checklist, standing
from pgrunbook.binding import Binding
from pgrunbook.change import Change, Step
from pgrunbook.checklist import TAKEN_BACK, TICKED, UNDONE, Checked, Item
from pgrunbook.errors import ItemsOpen, UnknownName
from pgrunbook.gate import Policy
from pgrunbook.ledger import Ledger

__all__ = ["Ticking", "detail", "of_last_run"]


@dataclass(slots=True)
class Ticking:
    """The checklist of a run; the ledger keeps the ticks, so that somebody else may tick beside it."""

    change: Change
    binding: Binding

    def now(self, when: str = "", *, ledger: Ledger | None = None) -> tuple[Checked, ...]:
        """Return the items of a moment, or all of them, as they stand now; raises UnknownName.

        `ledger` is one over another connection than the run's own.
        """
        items = self.change.checklist.of(when) if when else self.change.checklist.items
        if not items:
            return ()
        ledger, own = ledger or self.binding.ledger, self.binding.run_id
        told = ledger.events(run_id=own)
        # Another run may have rolled back what this one goes on with.
        told += [one for one in ledger.events(change=self.change.name, kind=UNDONE) if one["run_id"] != own]
        told.sort(key=itemgetter("id"))
        return checklist.checked(items, [*told, *self.binding.journal.pending()])

    def tick(self, key: str, *, who: str, remark: str = "", how: str) -> None:
        """Record that somebody made sure of an item; again, with another name or remark, where it is ticked."""
        self._note(TICKED, self.change.checklist.item(key), who=who, remark=remark, how=how)

    def take_back(self, key: str, *, who: str, remark: str = "", how: str) -> None:
        """Record that an item is open again."""
        self._note(TAKEN_BACK, self.change.checklist.item(key), who=who, remark=remark, how=how)

    def tick_by_policy(self, policy: Policy, open_items: Sequence[Checked]) -> None:
        """Tick what is open where the policy does: a rehearsal does, and says so; all others leave it open."""
        if policy is Policy.REHEARSAL:
            for one in open_items:
                if one.tick is None:
                    self.tick(
                        one.item.key,
                        who=self.binding.operator,
                        remark="a rehearsal ticks its own items",
                        how=policy.value,
                    )

    def holding_up(self, step: Step, *, ledger: Ledger | None = None) -> tuple[Checked, ...]:
        """Return the items that a step waits for, ticked or open; none where it is done. `ledger` as for `now`."""
        if not any(item.holds_up(step.name) for item in self.change.checklist.items):
            return ()
        ledger = ledger or self.binding.ledger
        if not standing.is_to_run(step, ledger.steps(self.change.name)):
            return ()
        return tuple(one for one in self.now(ledger=ledger) if one.item.holds_up(step.name))

    def require(self, step: Step) -> None:
        """Raise ItemsOpen where a step that is still to run waits for items that nobody has ticked."""
        items = self.holding_up(step)
        if waits := [one.row for one in items if one.tick is None]:
            raise ItemsOpen(step=step.name, found=waits, items=len(items))

    def _note(self, kind: str, item: Item, *, who: str, remark: str, how: str) -> None:
        self.binding.begin_writing()
        told = detail(item, who=who.strip() or self.binding.operator, remark=remark, how=how)
        self.binding.note(kind, told, step=item.step)


def detail(item: Item, *, who: str, remark: str, how: str) -> dict[str, object]:
    """Return what the ledger keeps of a tick, or of one that is taken back."""
    return {
        "item": item.key,
        "when": item.when,
        "text": item.text,
        "text_sha256": item.sha256,
        "who": who,
        "remark": remark,
        "how": how,
    }


def of_last_run(ledger: Ledger, change: Change, *, run_id: str = "") -> tuple[str, tuple[Checked, ...]]:
    """Return the last run of a change that ticked or applied, or the one that is named, and its checklist.

    Raises UnknownName where the ledger knows no such run.
    """
    events = ledger.events(change=change.name)
    runs = list(dict.fromkeys(str(event["run_id"]) for event in events))
    acted = dict.fromkeys(
        str(event["run_id"]) for event in events if event["kind"].startswith((TICKED, "apply "))
    )
    chosen = run_id or next(reversed(list(acted) or runs), "the last one")
    if chosen not in runs:
        raise UnknownName(kind=f"run of {change.name}", name=chosen, known=runs)
    own = [event for event in events if event["run_id"] == chosen or event["kind"] == UNDONE]
    return chosen, checklist.checked(change.checklist.items, own)
