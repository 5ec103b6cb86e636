"""Contracts as they are used: three languages and the database judge the same rows alike, and none of them drifts."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contract_ground
import pytest
import throwaway
from contract_ground import BAD, GOOD, REFUSALS, Judges, insert, travelling, worse

from pgrunbook import change, scratch, session
from pgrunbook import made as made_files
from pgrunbook import server as embedded
from pgrunbook.change import Change
from pgrunbook.contracts import making
from pgrunbook.contracts.model import Contract, Kind, Table, Variant
from pgrunbook.session import Connection

ROOT = Path(__file__).parents[1] / "sql" / "changes"
COMMITTED = [name for name in change.names(ROOT) if (ROOT / name / making.FOLDER).is_dir()]

# A line that must not compile where the error is expected, and must where it is not.
USES = """
import { ThingInsert, type ThingRow, type ThingUpdate } from "./ground.js";
export const enough: ThingInsert = { title: "t", mood: "it's fine", big: "1", doc: { name: "n", other: [1] } };
export const title = (row: ThingRow): string => row.title;
export const nothing: ThingUpdate = {};
// @ts-expect-error: no such label
export const label: ThingInsert = { title: "t", mood: "glad" };
// @ts-expect-error: the mood is missing
export const missing: ThingInsert = { title: "t" };
// @ts-expect-error: nobody writes what the server generates
export const generated: ThingInsert = { title: "t", mood: "sad", id: "1" };
// @ts-expect-error: may be NULL
export const slug = (row: ThingRow): string => row.slug;
// @ts-expect-error: the document has a name
export const unnamed: ThingInsert = { title: "t", mood: "sad", doc: {} };
"""


@dataclass
class Made:
    """A change on the server, its contract, the renderings as they are now."""

    conn: Connection
    contract: Contract
    texts: Mapping[str, str]
    judges: Judges


@pytest.fixture(scope="module")
def why_no_node() -> str:
    return contract_ground.without_node()


@pytest.fixture(scope="module")
def made(
    server: embedded.Server, tmp_path_factory: pytest.TempPathFactory, why_no_node: str
) -> Iterator[Mapping[str, Made]]:
    """Every change that has a contract, and one with every type and check, applied; one run of the compiler."""
    folder = tmp_path_factory.mktemp("contracts")
    roots = {contract_ground.NAME: folder, **dict.fromkeys(COMMITTED, ROOT)}
    throwaway.write(folder, contract_ground.CHANGE, name=contract_ground.NAME)
    found: dict[str, Made] = {}
    with contextlib.ExitStack() as stack:
        for name, root in roots.items():
            chosen = change.load(name, root=root)
            applied = stack.enter_context(scratch.applied(chosen, server, root=root))
            contract, conn = making.contract(chosen, applied), applied.conn
            texts = making.rendered(contract)
            made_files.write(texts, folder / f"of_{name}")
            fill(conn, chosen)
            found[name] = Made(conn, contract, texts, Judges(folder / f"of_{name}", None))
        if not why_no_node:
            sources = {
                "ground" if name == contract_ground.NAME else f"c{name}": one.judges.folder / "db.ts"
                for name, one in found.items()
            }
            compiled = contract_ground.compile_all(sources, folder / "compiled", {"uses": USES})
            for one, file in zip(found.values(), compiled.values(), strict=True):
                one.judges.compiled = file
        yield found


def fill(conn: Connection, chosen: Change) -> None:
    """Load the rows that a change has for its own tables."""
    if chosen.name == contract_ground.NAME:
        for row in GOOD:
            names = ", ".join(f'"{name}"' for name in row)
            conn.execute(
                f"INSERT INTO thing ({names}) SELECT {names} FROM jsonb_populate_record(NULL::thing, %s)".encode(),
                (json.dumps(row),),
            )
    elif chosen.data_sample is not None:
        conn.execute(chosen.data_sample.read_bytes())


@pytest.fixture(scope="module")
def ground(made: Mapping[str, Made]) -> Made:
    return made[contract_ground.NAME]


every_contract = pytest.mark.parametrize("name", COMMITTED)
every_one = pytest.mark.parametrize("name", [contract_ground.NAME, *COMMITTED])


def test_the_typescript_compiles_and_its_types_refuse_what_they_should(
    made: Mapping[str, Made], why_no_node: str
) -> None:
    if why_no_node:
        pytest.skip(why_no_node)
    assert all(one.judges.compiled is not None and one.judges.compiled.is_file() for one in made.values())


def test_without_node_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert contract_ground.without_node() == (
        "node and npm not found: the TypeScript is neither compiled nor run"
    )


@every_contract
def test_what_is_committed_is_what_the_catalog_says(name: str, made: Mapping[str, Made]) -> None:
    assert made_files.differing(made[name].texts, ROOT / name / making.FOLDER) == []


@every_one
def test_the_enums_have_the_labels_of_the_catalog(name: str, made: Mapping[str, Made]) -> None:
    one = made[name]
    rows = one.conn.execute(
        "SELECT enumtypid::regtype::text AS name, array_agg(enumlabel::text ORDER BY enumsortorder) AS labels"
        " FROM pg_enum GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert {row["name"]: row["labels"] for row in rows} == {
        e.name: list(e.labels) for e in one.contract.enums
    }


@every_one
def test_real_rows_pass_in_every_language(name: str, made: Mapping[str, Made]) -> None:
    one = made[name]
    cases = [
        (f"{table.title}Row", row) for table in one.contract.tables for row in travelling(one.conn, table)
    ]
    assert {case[0] for case in cases} == {f"{table.title}Row" for table in one.contract.tables}
    assert one.judges.objections(cases) == []


@every_one
def test_rows_as_a_driver_gives_them_travel_as_the_contract_says(name: str, made: Mapping[str, Made]) -> None:
    one = made[name]
    for table in one.contract.tables:
        model = getattr(one.judges.models, f"{table.title}Row")
        # Arrays of enums have a type that no driver knows beforehand.
        columns = [f'"{c.name}"{"::text[]" * (c.type.kind is Kind.ARRAY)}' for c in table.columns]
        for row in one.conn.execute(f'SELECT {", ".join(columns)} FROM "{table.name}"'.encode()).fetchall():
            sent = model.model_validate(row).model_dump(mode="json")
            said = one.judges.jsonschema(f"{table.title}Row", sent)
            assert said == ""
            # There and back: a web framework hands the models what json.loads gave it.
            assert model.model_validate(sent) == model.model_validate(row)


def test_good_rows_can_be_inserted_and_pass(ground: Made) -> None:
    assert [insert(ground.conn, "thing", row) for row in GOOD] == [""] * len(GOOD)
    assert (
        ground.judges.objections([(f"Thing{one}", row) for row in GOOD for one in ("Insert", "Update")]) == []
    )


# JSON Schema has no words for these: its $comment says so.
BEYOND_JSON_SCHEMA = ("ends_after", "ends_soon", "rate_range", "starts_least")


def test_bad_rows_are_refused_by_all_and_by_the_database(ground: Made) -> None:
    bad = [{**GOOD[-1], **one} for one in BAD]
    for missing in ("title", "mood"):
        bad.append({name: value for name, value in GOOD[-1].items() if name != missing})
    states = [insert(ground.conn, "thing", row) for row in bad]
    assert [(row, state) for row, state in zip(bad, states, strict=True) if state not in REFUSALS] == []
    passed = ground.judges.acceptances([("ThingInsert", row) for row in bad])
    asked = [{name: value for name, value in row.items() if GOOD[-1].get(name) != value} for row in bad]
    assert [(judge, asked[bad.index(row)]) for judge, (_, row) in passed] == [
        ("jsonschema", {"rate": "0.5"}),
        ("jsonschema", {"rate": "2.0000000000000000000001"}),
        ("jsonschema", {"starts": "2019-12-31"}),
        ("jsonschema", {"starts": "2024-01-02", "ends": "2024-01-01"}),
        ("jsonschema", {"starts": "2024-01-01", "ends": "2024-03-25"}),
    ]
    comment = ground.judges.schema["$comment"]
    assert all(f"thing: {check}: CHECK" in comment for check in BEYOND_JSON_SCHEMA)


def test_what_no_language_can_hold_is_named_in_all(ground: Made) -> None:
    for name, text in ground.texts.items():
        assert "thing: title_no_shout: CHECK ((title <> upper(title)))" in text, name
        assert text.count("generated by pgrunbook contracts; do not edit") == 1, name
        assert ground.contract.sha256 in text, name
    row = {"title": "LOUD", "mood": "sad"}
    assert insert(ground.conn, "thing", row) == "23514"
    assert ground.judges.objections([("ThingInsert", row)]) == []


def insertable(one: Made, table: Table) -> dict[str, Any]:
    """Return a real row as an INSERT takes it."""
    own = {column.name for column in table.of(Variant.INSERT)}
    row = {key: value for key, value in travelling(one.conn, table)[0].items() if key in own}
    # A copy of a row is refused for its key at most.
    assert insert(one.conn, table.name, row) in ("", "23505"), table.name
    return row


@every_one
def test_rows_made_bad_by_their_constraints_are_refused_everywhere(
    name: str, made: Mapping[str, Made]
) -> None:
    one, cases, unmoved = made[name], [], []
    for table in one.contract.tables:
        good, row = insertable(one, table), travelling(one.conn, table)[0]
        for column, what, value in worse(table):
            cases += [
                (f"{table.title}Insert", {**good, column: value}),
                (f"{table.title}Update", {column: value}),
            ]
            if what != "generated":
                cases.append((f"{table.title}Row", {**row, column: value}))
            if (state := insert(one.conn, table.name, {**good, column: value})) not in REFUSALS:
                unmoved.append((table.name, column, what, state))
    assert len(cases) > 50
    assert unmoved == []
    assert one.judges.acceptances(cases) == []


@every_one
def test_a_row_that_lacks_what_it_needs_is_refused_everywhere(name: str, made: Mapping[str, Made]) -> None:
    one, lacking, enough = made[name], [], []
    for table in one.contract.tables:
        needed = [column.name for column in table.of(Variant.INSERT) if not column.optional(Variant.INSERT)]
        good = insertable(one, table)
        for missing in needed:
            row = {key: value for key, value in good.items() if key != missing}
            assert insert(one.conn, table.name, row) in ("23502", "23514"), (table.name, missing)
            lacking.append((f"{table.title}Insert", row))
        whole = travelling(one.conn, table)[0]
        lacking += [
            (f"{table.title}Row", {key: value for key, value in whole.items() if key != name})
            for name in whole
        ]
        if not any(check.rules for check in table.checks):
            enough.append((f"{table.title}Insert", {key: good[key] for key in needed}))
        enough.append((f"{table.title}Update", {}))
    assert one.judges.acceptances(lacking) == []
    assert one.judges.objections(enough) == []


def test_two_readings_of_one_change_give_the_same_text(
    ground: Made, server: embedded.Server, tmp_path: Path
) -> None:
    chosen = throwaway.write(tmp_path, contract_ground.CHANGE, name=contract_ground.NAME)
    with scratch.applied(chosen, server, root=tmp_path) as applied:
        again = making.contract(chosen, applied)
    assert making.rendered(again) == ground.texts
    assert again.sha256 == ground.contract.sha256
    assert session.value(ground.conn, "SELECT count(*) FROM thing") == len(GOOD)
