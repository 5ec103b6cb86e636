"""Sixteen senders at once: the guard loses nothing and repeats nothing; what the other ways cost."""

from __future__ import annotations

from collections.abc import Sequence

import message_ground as ground
import psycopg

from pgrunbook import server as embedded
from pgrunbook.workloads.message_contest import Tally, Way, contest
from pgrunbook.workloads.messages import HomeKind

WRITERS, EACH = 16, 15
INDEXES = ("004", "005")


def contested(server: embedded.Server, way: Way, steps: Sequence[str]) -> Tally:
    """Return how senders did in two homes at once, on a database with these steps."""
    with ground.database(server, messages=300) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            ground.apply(conn, *steps)
            homes = [ground.homes(conn, kind)[0] for kind in HomeKind]
        return contest(conninfo, way, homes, author=ground.AUTHOR, writers=WRITERS, each=EACH)


def test_the_guard_loses_no_message_repeats_no_number_and_needs_no_retry(server: embedded.Server) -> None:
    tally = contested(server, Way.GUARD, ["001", "002", "003", *INDEXES])
    assert (tally.sent, tally.lost, tally.retries, tally.repeated) == (WRITERS * EACH, 0, 0, 0)


def test_the_counter_in_the_statement_does_as_well_without_the_guard(server: embedded.Server) -> None:
    # The starts are filled once there is something to count from.
    tally = contested(server, Way.COUNTER, ["001", "003", *INDEXES])
    assert (tally.sent, tally.lost, tally.retries, tally.repeated) == (WRITERS * EACH, 0, 0, 0)


def test_sending_again_loses_nothing_and_costs_retries(server: embedded.Server) -> None:
    tally = contested(server, Way.RETRY, INDEXES)
    assert (tally.sent, tally.lost, tally.repeated) == (WRITERS * EACH, 0, 0)
    assert tally.retries > 0


def test_the_specifications_plan_loses_messages(server: embedded.Server) -> None:
    tally = contested(server, Way.PLAN, INDEXES)
    assert tally.lost > 0
    assert (tally.sent + tally.lost, tally.repeated) == (WRITERS * EACH, 0)


def test_without_the_indexes_the_plan_repeats_numbers(server: embedded.Server) -> None:
    tally = contested(server, Way.PLAN, [])
    assert (tally.sent, tally.lost) == (WRITERS * EACH, 0)
    assert tally.repeated > 0


def test_a_sender_of_the_old_kind_is_numbered_by_the_guard(server: embedded.Server) -> None:
    tally = contested(server, Way.PLAN, ["001", "002", "003", *INDEXES])
    assert (tally.sent, tally.lost, tally.repeated) == (WRITERS * EACH, 0, 0)
