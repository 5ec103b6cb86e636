"""The chain of events: unbroken as long as nobody rewrites one, and the first that was rewritten is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook import session, target
from pgrunbook.errors import ChainBroken
from pgrunbook.ledger import Ledger

Conn = psycopg.Connection[dict[str, Any]]
CONTENTS = "its contents do not give its hash"
BEFORE = "it does not hold the hash of the one before"


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    """A ledger with a run that has told nothing yet."""
    with throwaway.looking(database) as conn:
        bound = target.rehearsal(database)
        made = Ledger(conn, bound)
        made.install()
        facts = session.bind(conn, bound)
        made.open_run(run_id="r1", change="010_x", operator="ann", version="0.1", facts=facts)
        yield made


def tell(ledger: Ledger, **detail: object) -> None:
    ledger.event(run_id="r1", change="010_x", kind="told", actor="ann", detail=detail)


def test_a_chain_knows_how_long_it_is_and_where_it_ends(ledger: Ledger) -> None:
    assert str(ledger.check_chain()) == "unbroken, 0 events, head 000000000000"
    tell(ledger)
    chain = ledger.check_chain()
    assert str(chain) == f"unbroken, 1 event, head {chain.head[:12]}"
    tell(ledger)
    assert ledger.check_chain().events == 2
    assert ledger.check_chain().head == ledger.events()[-1]["hash"] != chain.head


@pytest.mark.parametrize(
    ("tampering", "event", "found"),
    [
        ("UPDATE pgrunbook.event SET detail = '{\"n\": 99}' WHERE id = 3", 3, CONTENTS),
        ("UPDATE pgrunbook.event SET actor = 'bob' WHERE id = 1", 1, CONTENTS),
        ("UPDATE pgrunbook.event SET at = at + interval '1 microsecond' WHERE id = 5", 5, CONTENTS),
        ("UPDATE pgrunbook.event SET hash = repeat('f', 64) WHERE id = 2", 2, CONTENTS),
        ("DELETE FROM pgrunbook.event WHERE id = 3", 3, "the next event in the table is number 4"),
        ("DELETE FROM pgrunbook.event WHERE id = 1", 1, "the next event in the table is number 2"),
        (
            "DELETE FROM pgrunbook.event WHERE id = 3; UPDATE pgrunbook.event SET id = id - 1 WHERE id > 3",
            3,
            BEFORE,
        ),
        (
            "UPDATE pgrunbook.event SET id = -2 WHERE id = 2; UPDATE pgrunbook.event SET id = 2 WHERE id = 4;"
            " UPDATE pgrunbook.event SET id = 4 WHERE id = -2",
            2,
            BEFORE,
        ),
        (
            "UPDATE pgrunbook.event SET previous_hash = repeat('0', 64) WHERE id = 4",
            4,
            BEFORE,
        ),
    ],
)  # fmt: skip
def test_the_first_event_that_was_tampered_with_is_named(
    ledger: Ledger, conn: Conn, tampering: str, event: int, found: str
) -> None:
    for number in range(1, 6):
        tell(ledger, n=number)
    assert ledger.check_chain().events == 5
    conn.execute("ALTER TABLE pgrunbook.event DISABLE TRIGGER ALL")
    conn.execute(tampering)
    conn.execute("ALTER TABLE pgrunbook.event ENABLE TRIGGER ALL")
    with pytest.raises(ChainBroken) as caught:
        ledger.check_chain()
    assert str(caught.value) == (
        f"the ledger's chain is broken at event {event}: {found}\n"
        "  next: compare with the HTML record of that run; do not trust the ledger from this event on"
    )


def test_a_chain_that_was_cut_off_at_its_end_has_another_head(ledger: Ledger, conn: Conn) -> None:
    tell(ledger)
    tell(ledger)
    recorded = ledger.check_chain()
    conn.execute("ALTER TABLE pgrunbook.event DISABLE TRIGGER ALL; DELETE FROM pgrunbook.event WHERE id = 2")
    assert ledger.check_chain() != recorded
