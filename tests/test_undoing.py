"""Undo: what others changed since is left alone and told, a rule in force says no, and all of it can be rehearsed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import throwaway

from pgrunbook import remedy, session, target, undoing
from pgrunbook.batch import Rules
from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed, UndoForbidden
from pgrunbook.ledger import Ledger
from pgrunbook.pace import Progress
from pgrunbook.session import Connection
from pgrunbook.undoing import Refused, Undone

if TYPE_CHECKING:
    from conftest import Elsewhere

NAME = "10_doubled_codes"
BRISK = Rules(stall_ms=5_000, share=1.0)
CLEAR = """\
-- Clear the codes

WITH batch AS (SELECT id, code FROM things WHERE code IS NOT NULL ORDER BY id
    LIMIT coalesce(current_setting('pgrunbook.batch', true)::int, 1000))
UPDATE things AS t SET code = NULL FROM batch WHERE t.id = batch.id AND t.code = batch.code
RETURNING jsonb_build_object('id', t.id) AS key, jsonb_build_object('code', batch.code) AS before,
    jsonb_build_object('code', t.code) AS after;
"""
HASH = "SELECT md5(string_agg((t.*)::text, E'\\n' ORDER BY id)) FROM things AS t"


class Hands:
    """A remedy on a database with a ledger, and the sessions that it takes."""

    def __init__(self, work: Connection, look: Connection, folder: Path) -> None:
        self.work, self.look, self.folder = work, look, folder
        self.script = self.scripted(CLEAR)

    def scripted(self, text: str) -> Script:
        files = throwaway.changed({f"remedy/{NAME}.sql": text})
        return throwaway.write(self.folder, files).remedies[0]

    def apply(self, start: int = 3) -> int:
        return remedy.apply(
            self.work, self.script, run_id="r", change=throwaway.NAME, look=self.look,
            rules=Rules(5_000, 1.0, start=start),
        ).repairs  # fmt: skip

    def undo(self, **options: Any) -> Undone:
        given = {"look": self.look, "rules": BRISK, **options}
        return undoing.undo(self.work, self.script, change=throwaway.NAME, **given)

    def preview(self, **options: Any) -> Undone:
        given = {"look": self.look, "rules": BRISK, **options}
        return undoing.preview(self.work, self.script, change=throwaway.NAME, **given)

    @property
    def hash(self) -> Any:
        return session.value(self.look, HASH)

    def codes(self) -> list[Any]:
        return [row["code"] for row in self.look.execute("SELECT code FROM things ORDER BY id").fetchall()]


@pytest.fixture
def hands(database: str, tmp_path: Path) -> Iterator[Hands]:
    bound = target.rehearsal(database)
    with session.connect(bound, purpose="work") as work, session.connect(bound, purpose="look") as look:
        look.execute(throwaway.TABLE)
        ledger = Ledger(look, bound)
        ledger.install()
        facts = session.bind(look, bound)
        ledger.open_run(run_id="r", change=throwaway.NAME, operator="tester", version="0", facts=facts)
        yield Hands(work, look, tmp_path)


def refused(key: int, now: Any) -> Refused:
    return Refused("things", {"id": key}, {"code": None}, now)


def test_rows_that_were_changed_since_are_left_alone_and_told_with_what_they_hold(hands: Hands) -> None:
    hands.apply()
    hands.look.execute("UPDATE things SET code = 'mine' WHERE id = 4; DELETE FROM things WHERE id = 7")
    left = (refused(7, None), refused(4, {"code": "mine"}))
    assert hands.preview() == Undone(NAME, 8, left, 2)
    assert hands.undo() == Undone(NAME, 8, left, 2)
    assert hands.codes()[2:5] == ["c3", "mine", "c5"]
    hands.look.execute("UPDATE things SET code = NULL WHERE id = 4")
    assert hands.undo() == Undone(NAME, 1, left[:1], 1)
    assert left[1].facts == {
        "table": "things", "key": {"id": 4}, "left_as": {"code": None}, "now": {"code": "mine"},
    }  # fmt: skip


def test_a_deleted_row_that_somebody_wrote_again_is_told_with_what_it_holds(hands: Hands) -> None:
    delete = (
        "-- Delete\n\nDELETE FROM things AS t WHERE id = 2"
        " RETURNING jsonb_build_object('id', t.id) AS key, to_jsonb(t) AS before, NULL::jsonb AS after;\n"
    )
    hands.script = hands.scripted(delete)
    assert hands.apply() == 1
    hands.look.execute("INSERT INTO things VALUES (2, 'new')")
    assert hands.undo() == Undone(NAME, 0, (Refused("things", {"id": 2}, None, {"id": 2, "code": "new"}),), 1)


def test_many_rows_that_were_changed_are_counted_and_the_first_are_told(hands: Hands) -> None:
    hands.look.execute("INSERT INTO things SELECT i, 'c' || i FROM generate_series(11, 300) AS i")
    assert hands.apply(100) == 300
    hands.look.execute("UPDATE things SET code = 'mine' WHERE id % 3 = 0")
    done = hands.undo()
    assert (done.restored, done.left_alone, len(done.refused)) == (200, 100, undoing.SHOWN)
    assert done.refused[0] == refused(300, {"code": "mine"})


def test_a_rehearsed_undo_changes_nothing_and_holds_what_undo_does(hands: Hands) -> None:
    before = hands.hash
    hands.apply()
    after = hands.hash
    assert hands.preview() == Undone(NAME, 10)
    assert hands.hash == after
    assert (
        session.value(hands.look, "SELECT count(*) FROM pgrunbook.quarantine WHERE undone_at IS NULL") == 10
    )
    assert hands.undo() == Undone(NAME, 10)
    assert hands.hash == before
    assert hands.preview() == hands.undo() == Undone(NAME, 0)


def test_a_row_that_was_repaired_twice_counts_as_given_back_while_it_is_tried(hands: Hands) -> None:
    before = hands.hash
    hands.apply()
    hands.look.execute("UPDATE things SET code = 'again' WHERE id = 5")
    hands.apply()
    assert hands.preview(rules=Rules(5_000, 1.0, start=1)).restored == 11
    # The value between the two was somebody's own.
    assert hands.undo() == Undone(NAME, 10, (refused(5, {"code": "again"}),), 1)
    hands.look.execute("UPDATE things SET code = 'c5' WHERE id = 5")
    assert hands.hash == before


def test_a_rule_that_is_in_force_forbids_it_and_is_named_with_its_step(hands: Hands) -> None:
    hands.apply()
    hands.look.execute("ALTER TABLE things ADD CONSTRAINT no_c2 CHECK (code <> 'c2')")
    tried = hands.preview()
    assert tried.forbidden == ('new row for relation "things" violates check constraint "no_c2"',)
    asked = []

    def step_of(rule: str, column: str) -> str:
        asked.append((rule, column))
        return "003_no_c2"

    with pytest.raises(UndoForbidden) as caught:
        hands.undo(step_of=step_of)
    assert asked == [("no_c2", "")]
    assert str(caught.value) == (
        "remedy 10_doubled_codes cannot be undone while no_c2 of things is in force\n"
        '  new row for relation "things" violates check constraint "no_c2"\n'
        "  Failing row contains (2, c2).\n"
        "  next: roll back 003_no_c2, which made it, and undo then; nothing was changed"
    )
    assert caught.value.exit_code == 3
    assert hands.codes() == [None] * 10
    hands.look.execute("ALTER TABLE things DROP CONSTRAINT no_c2")
    assert hands.undo().restored == 10


def test_what_was_given_back_before_a_rule_forbids_the_rest_stays(hands: Hands) -> None:
    hands.apply()
    hands.look.execute("CREATE UNIQUE INDEX only_once ON things (code)")
    hands.look.execute("INSERT INTO things VALUES (99, 'c2')")
    with pytest.raises(UndoForbidden) as caught:
        hands.undo(rules=Rules(5_000, 1.0, start=4))
    assert str(caught.value).splitlines()[-1] == (
        "  next: drop only_once, and undo then; 4 rows given back before stay so"
    )
    assert hands.codes()[6:10] == ["c7", "c8", "c9", "c10"]


def test_a_missing_value_that_is_forbidden_names_its_column(hands: Hands) -> None:
    hands.look.execute("UPDATE things SET code = NULL WHERE id = 1")
    fill = CLEAR.replace("code IS NOT NULL", "code IS NULL").replace("SET code = NULL", "SET code = 'none'")
    hands.script = hands.scripted(fill.replace("AND t.code = batch.code", "AND t.code IS NULL"))
    assert hands.apply() == 1
    hands.look.execute("ALTER TABLE things ALTER code SET NOT NULL")
    asked = []
    with pytest.raises(UndoForbidden, match=" of things is in force"):
        hands.undo(step_of=lambda rule, column: asked.append(column) or "")
    assert asked == ["code"]


def test_undo_goes_in_batches_and_tells_how_far_it_is(hands: Hands) -> None:
    hands.apply()
    told: list[Progress] = []
    hands.undo(on_batch=told.append, rules=Rules(5_000, 1.0, start=2))
    assert told[0].rows == 2
    assert {one.expected for one in told} == {10}
    assert told[-1].rows == 10


def test_undo_never_holds_rows_for_longer_than_the_budget(hands: Hands, elsewhere: Elsewhere) -> None:
    hands.look.execute("INSERT INTO things SELECT i, 'c' || i FROM generate_series(11, 40) AS i")
    before = hands.hash
    hands.apply(50)
    hands.look.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END $$;"
        "CREATE TRIGGER slow BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    # All at once would take 2 s.
    done = hands.undo(rules=Rules(400, 1.0, start=50))
    assert (done.restored, done.worst_hold_ms < 2000) == (40, True)
    assert hands.hash == before


def test_it_stops_where_it_is_asked_to_and_the_next_call_goes_on(hands: Hands) -> None:
    class Stop(Exception):
        pass

    before = hands.hash
    hands.apply()
    told: list[Progress] = []

    def checkpoint() -> None:
        if told:
            raise Stop

    with pytest.raises(Stop):
        hands.undo(on_batch=told.append, rules=Rules(5_000, 1.0, checkpoint, start=3))
    assert hands.codes().count(None) == 7
    assert hands.undo() == Undone(NAME, 7)
    assert hands.hash == before


def test_rows_of_a_table_that_the_remedy_no_longer_knows_are_not_given_back(hands: Hands) -> None:
    hands.look.execute("CREATE TABLE others (id int, code text)")
    hands.apply()
    hands.script = hands.scripted(CLEAR.replace("things", "others"))
    with pytest.raises(RemedyFailed) as caught:
        hands.undo()
    assert str(caught.value) == (
        "remedy 10_doubled_codes: quarantine holds rows of things, and it changes others\n"
        "  next: restore the file of the remedy as it was when it ran, then undo it; nothing was changed"
    )


DELETE_TWO = """\
-- Take two away

WITH batch AS (SELECT id FROM things WHERE id <= 2 ORDER BY id
    LIMIT coalesce(current_setting('pgrunbook.batch', true)::int, 1000))
DELETE FROM things AS t USING batch WHERE t.id = batch.id
RETURNING jsonb_build_object('id', t.id) AS key, to_jsonb(t) AS before, NULL::jsonb AS after;
"""


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_a_column_that_other_rows_follow_is_not_repaired(hands: Hands, action: str) -> None:
    # Undo would give back the code, and not what followed it.
    hands.look.execute("ALTER TABLE things ADD CONSTRAINT once UNIQUE (code)")
    hands.look.execute(f"CREATE TABLE uses (code text REFERENCES things (code) ON UPDATE {action})")
    hands.look.execute("INSERT INTO uses SELECT code FROM things WHERE code IS NOT NULL LIMIT 1")
    before = hands.look.execute("SELECT code FROM uses").fetchall()
    with pytest.raises(RemedyFailed, match=r"a foreign key \(ON UPDATE\) changes uses"):
        hands.apply()
    assert hands.look.execute("SELECT code FROM uses").fetchall() == before


def test_a_deletion_that_does_not_return_the_whole_row_is_refused(hands: Hands) -> None:
    hands.script = hands.scripted(DELETE_TWO.replace("to_jsonb(t) AS", "jsonb_build_object('id', t.id) AS"))
    before = hands.hash
    with pytest.raises(RemedyFailed, match="does not return code of them"):
        hands.apply()
    assert hands.hash == before


def test_a_row_that_a_trigger_keeps_out_is_left_alone_and_not_called_restored(hands: Hands) -> None:
    hands.script = hands.scripted(DELETE_TWO)
    assert hands.apply() == 2
    hands.look.execute(
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER skip BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION skip()"
    )
    done = hands.undo()
    assert (done.restored, done.left_alone) == (0, 2)
    hands.look.execute("DROP TRIGGER skip ON things")
    assert hands.undo().restored == 2


def test_a_column_that_is_newer_than_the_deletion_gets_its_default(hands: Hands) -> None:
    hands.script = hands.scripted(DELETE_TWO)
    assert hands.apply() == 2
    hands.look.execute("ALTER TABLE things ADD COLUMN note text NOT NULL DEFAULT 'new'")
    assert hands.undo().restored == 2
    found = hands.look.execute("SELECT DISTINCT note FROM things WHERE id <= 2").fetchall()
    assert found == [{"note": "new"}]


def test_a_table_with_a_domain_that_takes_no_null_is_given_back(hands: Hands) -> None:
    hands.look.execute(
        "CREATE DOMAIN label AS text NOT NULL; ALTER TABLE things ADD COLUMN l label DEFAULT 'l'"
    )
    before = hands.hash
    repaired = hands.apply()
    assert hands.undo().restored == repaired > 0
    assert hands.hash == before


def test_a_deferred_rule_forbids_the_undo_in_its_preview_too(hands: Hands) -> None:
    hands.look.execute("ALTER TABLE things ADD CONSTRAINT once UNIQUE (code) DEFERRABLE INITIALLY DEFERRED")
    taken = session.value(hands.look, "SELECT code FROM things WHERE code IS NOT NULL ORDER BY id LIMIT 1")
    hands.apply()
    hands.look.execute("INSERT INTO things (id, code) VALUES (9000, %s)", (taken,))
    assert hands.preview().forbidden
    with pytest.raises(UndoForbidden):
        hands.undo()


def test_whole_batches_are_given_back_one_by_one_however_small(hands: Hands) -> None:
    hands.script = hands.scripted(DELETE_TWO.replace("id <= 2", "id <= 6"))
    sizes: list[int] = []
    total = hands.apply(start=1)
    rows = [0]
    done = hands.undo(
        rules=Rules(5_000, 1.0, start=1),
        on_batch=lambda told: (sizes.append(told.rows - rows[-1]), rows.append(told.rows)),
    )
    assert done.restored == total == sum(sizes)
    assert sizes[0] < total, "a small size gives back one batch of the remedy, not a thousand rows"


# --- the table that was repaired ---------------------------------------------------------------------------


def test_undo_gives_back_into_the_repaired_table_whatever_the_search_path_says(hands: Hands) -> None:
    before = hands.hash
    hands.look.execute(
        "CREATE SCHEMA b; CREATE TABLE b.things (id int, code text); INSERT INTO b.things VALUES (1)"
    )
    hands.apply()
    hands.work.execute("SET search_path = b")
    assert hands.preview() == Undone(NAME, 10)
    assert hands.undo() == Undone(NAME, 10)
    assert hands.hash == before
    assert session.value(hands.look, "SELECT code FROM b.things") is None


def test_a_table_that_was_made_anew_gets_nothing_back(hands: Hands) -> None:
    hands.apply()
    hands.look.execute(
        "ALTER TABLE things RENAME TO old; CREATE TABLE things AS SELECT * FROM old; DROP TABLE old"
    )
    with pytest.raises(RemedyFailed) as caught:
        hands.undo()
    assert str(caught.value) == (
        "remedy 10_doubled_codes: public.things was dropped since it was repaired, and made anew\n"
        "  next: nothing was changed; where the new one holds the same rows, as after a restore of a dump,"
        " set table_oid of these rows of pgrunbook.quarantine to NULL, then undo it"
    )
    assert hands.codes() == [None] * 10
    hands.look.execute("UPDATE pgrunbook.quarantine SET table_oid = NULL")
    assert hands.undo() == Undone(NAME, 10)


def test_rows_that_an_earlier_version_kept_go_back_where_one_table_has_the_name(hands: Hands) -> None:
    hands.apply()
    hands.look.execute("UPDATE pgrunbook.quarantine SET table_oid = NULL, table_schema = NULL")
    hands.look.execute("CREATE SCHEMA b; CREATE TABLE b.things (id int, code text)")
    with pytest.raises(RemedyFailed, match=r"without their schema, and there are b\.things, public\.things"):
        hands.undo()
    hands.look.execute("DROP TABLE b.things")
    assert hands.undo() == Undone(NAME, 10)


def test_a_quarantine_of_an_earlier_version_is_not_called_empty(hands: Hands) -> None:
    hands.apply()
    hands.look.execute("ALTER TABLE pgrunbook.quarantine DROP table_oid")
    with pytest.raises(RemedyFailed, match="an earlier version of the library made the quarantine here"):
        hands.preview()
