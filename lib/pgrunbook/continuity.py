"""Continuity: whether the server behind a name is still the one that a run, or a step, began on."""

from __future__ import annotations

import re

from pgrunbook.errors import OtherServer
from pgrunbook.session import ServerFacts

__all__ = ["compare", "promoted", "since"]

_CLUSTER = re.compile(r"system (\d+), timeline (\d+)")


def compare(was: ServerFacts, now: ServerFacts, *, where: str) -> list[str]:
    """Return what has become of the server since a run was bound to it, in sentences; none: nothing.

    Raises OtherServer when it is another cluster, another database of the same name, or an older branch of
    the same history. Where the role may not see the cluster only the database is compared.
    """
    known = "unknown" not in (was.system_identifier, now.system_identifier)
    if was.database_oid != now.database_oid or (
        known and (was.system_identifier != now.system_identifier or was.timeline > now.timeline)
    ):
        raise OtherServer(where=where, was=_words(was), now=_words(now))
    if known and was.timeline < now.timeline:
        return [_promotion(was.timeline, now.timeline)]
    return [f"the server was restarted at {now.started}"] if was.started != now.started else []


def promoted(was: str, now: str) -> bool:
    """Return whether a cluster is a later branch of the history of another; both in the ledger's words.

    >>> promoted("system 7, timeline 1", "system 7, timeline 2")
    True
    >>> promoted("system 7, timeline 2", "system 7, timeline 1")
    False
    >>> promoted("system 7, timeline 1", "system 8, timeline 2")
    False
    >>> promoted("system unknown, timeline 0", "system 8, timeline 2")
    False
    """
    before, after = _CLUSTER.fullmatch(was), _CLUSTER.fullmatch(now)
    return bool(before and after and before[1] == after[1] and int(before[2]) < int(after[2]))


def since(began: str, was: str, now: ServerFacts) -> list[str]:
    """Return what has become of the server since a step began there (UTC, the cluster in words), in sentences."""
    if promoted(was, now.cluster):
        return [_promotion(int(was.rsplit(" ", 1)[1]), now.timeline)]
    started = now.started.replace("T", " ").replace("Z", " UTC")
    return [f"the server was restarted at {now.started}"] if started > began else []


def _promotion(was: int, now: int) -> str:
    return (
        f"a standby was promoted (timeline {was}, now {now}): what the old primary committed last may be missing"
        " here; ledger and catalog of this server decide"
    )


def _words(facts: ServerFacts) -> str:
    return f"{facts.cluster}, database oid {facts.database_oid}"
