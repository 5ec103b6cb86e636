"""The null of JSON goes into quarantine and comes back as itself, and NULL as NULL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import throwaway

from pgrunbook import remedy, session, target, undoing
from pgrunbook.batch import Rules
from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed
from pgrunbook.ledger import Ledger
from pgrunbook.session import Connection

NAME = "10_docs"
# As a domain, below a hostile name, and beside a value: JSON's null, NULL and an object.
DOCS = """
CREATE DOMAIN document AS jsonb;
CREATE TABLE docs (id int PRIMARY KEY, doc jsonb, "%s 'x'" document, plain json, note text);
INSERT INTO docs VALUES (1, 'null', 'null', 'null', NULL), (2, NULL, NULL, NULL, NULL),
    (3, '{"a": null}', 'null', NULL, 'x'), (4, NULL, '[null]', 'null', 'y');
"""
HASH = "SELECT array_agg(t::text ORDER BY id)::text FROM docs AS t"
TEXT = "-- Take documents away\n\n{};\n"
DELETE = TEXT.format(
    "WITH b AS (SELECT id FROM docs ORDER BY id LIMIT 3) DELETE FROM docs AS t USING b WHERE t.id = b.id"
    " RETURNING jsonb_build_object('id', t.id) AS key, to_jsonb(t.*) AS before, NULL::jsonb AS after"
)
UPDATE = TEXT.format(
    "WITH b AS (SELECT * FROM docs WHERE note IS DISTINCT FROM 'done' ORDER BY id LIMIT 3) UPDATE docs AS t"
    " SET doc = {doc}, note = 'done' FROM b WHERE t.id = b.id RETURNING jsonb_build_object('id', t.id) AS key,"
    " jsonb_build_object('doc', b.doc, 'note', b.note) AS before,"
    " jsonb_build_object('doc', t.doc, 'note', t.note) AS after"
)


class Hands:
    def __init__(self, work: Connection, look: Connection, folder: Path) -> None:
        self.work, self.look, self.folder = work, look, folder

    def script(self, text: str) -> Script:
        return throwaway.write(self.folder, throwaway.changed({f"remedy/{NAME}.sql": text})).remedy(NAME)

    def goes_there_and_back(self, text: str) -> str:
        script, rules = self.script(text), Rules(5_000, 1.0)
        before = session.value(self.look, HASH)
        assert remedy.preview(self.work, self.look, script, rules=rules).undo_proved
        assert remedy.apply(
            self.work, script, run_id="r", change=throwaway.NAME, look=self.look, rules=rules
        ).repairs == 4  # fmt: skip
        between = session.value(self.look, HASH)
        undone = undoing.undo(self.work, script, change=throwaway.NAME, rules=rules)
        assert (undone.restored, undone.left_alone) == (4, 0)
        assert session.value(self.look, HASH) == before
        return str(between)


@pytest.fixture
def hands(database: str, tmp_path: Path) -> Iterator[Hands]:
    bound = target.rehearsal(database)
    with session.connect(bound, purpose="work") as work, session.connect(bound, purpose="look") as look:
        look.execute(DOCS)
        ledger = Ledger(look, bound)
        ledger.install()
        facts = session.bind(look, bound)
        ledger.open_run(run_id="r", change=throwaway.NAME, operator="tester", version="0", facts=facts)
        yield Hands(work, look, tmp_path)


def test_deleted_rows_come_back_with_each_null_as_it_was(hands: Hands) -> None:
    assert hands.goes_there_and_back(DELETE) == "None"


@pytest.mark.parametrize("doc", ["NULL", "'null'", "'[]'", "CASE WHEN t.id > 1 THEN t.doc END"])
def test_changed_columns_get_the_null_that_they_had(doc: str, hands: Hands) -> None:
    assert hands.goes_there_and_back(UPDATE.format(doc=doc)).count("done") == 4


def test_without_a_second_session_nothing_is_lost_in_silence(hands: Hands) -> None:
    before = session.value(hands.look, HASH)
    with pytest.raises(RemedyFailed) as caught:
        remedy.apply(hands.work, hands.script(DELETE), run_id="r", change=throwaway.NAME)
    assert str(caught.value) == (
        "remedy 10_docs: nobody can tell whether %s 'x', doc, plain held NULL or the null of JSON:"
        " there is no second session to look\n"
        "  next: let its key find the row before and after; the batch was rolled back"
    )
    assert session.value(hands.look, HASH) == before


def test_a_key_that_does_not_find_the_row_as_it_was_is_refused(hands: Hands) -> None:
    moved = UPDATE.format(doc="NULL").replace("note = 'done'", "note = 'done', id = t.id + 100")
    with pytest.raises(RemedyFailed, match="its key does not find the row as it was before the repair"):
        remedy.apply(hands.work, hands.script(moved), run_id="r", change=throwaway.NAME, look=hands.look)
