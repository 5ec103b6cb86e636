"""What is left to do: the steps that are not in place yet, and their rehearsal on a clone."""

from __future__ import annotations

import dataclasses
import secrets

from pgrunbook import events, preflight, rehearsal, session
from pgrunbook.binding import Binding
from pgrunbook.change import Change, Step
from pgrunbook.rehearsal import Rehearsal
from pgrunbook.server import Server
from pgrunbook.stage import Stage

__all__ = ["rehearse", "remaining"]


def remaining(binding: Binding, change: Change) -> tuple[Step, ...]:
    """Return the steps whose promise does not hold yet; reads only."""
    found = ((step, preflight.run_check(binding.control, step.verify)) for step in change.steps)
    return tuple(step for step, finding in found if finding.problem or finding.total)


def rehearse(binding: Binding, change: Change, server: Server) -> Rehearsal:
    """Return what every file does to a clone of the target's schema on the embedded server.

    The clone holds what is in place already: only the remaining steps are run on it.
    """
    left = dataclasses.replace(change, steps=remaining(binding, change))
    path = session.rows(binding.control, "search_path")[0]["path"]
    name = f"rehearsal_{change.name[:30]}_{secrets.token_hex(3)}"

    def on_file(label: str) -> None:
        binding.on_stage(Stage(label, f"rehearses {label}"))

    done = rehearsal.rehearse(left, binding.target, server, name=name, search_path=path, on_file=on_file)
    binding.note("rehearsed", events.rehearsed(done))
    return done
