"""A small change with something of everything that papers tell of, on the ten things that throwaway has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import throwaway

from pgrunbook.change import Change

NAME = "710_papered"
_STEPS: Mapping[str, tuple[str, str, str, str]] = {
    "001_create_mood": (
        "none", "CREATE TYPE mood AS ENUM ('calm', 'zest'); COMMENT ON TYPE mood IS 'How it goes.';",
        "none", "DROP TYPE IF EXISTS mood;",
    ),
    "002_create_box": (
        "none",
        "CREATE TABLE box (id int PRIMARY KEY, owner int NOT NULL, CONSTRAINT box_id_owner_key UNIQUE (id, owner));\n"
        "COMMENT ON TABLE box IS 'Holds slips | and more.'; COMMENT ON COLUMN box.owner IS 'Whose it is.';",
        "AccessExclusive on box", "DROP TABLE IF EXISTS box;",
    ),
    "003_create_slip": (
        "ShareRowExclusive on box; ShareRowExclusive on things",
        "CREATE TABLE slip (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, box_id int, owner int NOT NULL,\n"
        "    thing int NOT NULL REFERENCES things, mood mood NOT NULL DEFAULT 'calm', note text CHECK (note <> ''),\n"
        "    CONSTRAINT slip_box_fkey FOREIGN KEY (box_id, owner) REFERENCES box (id, owner) ON DELETE CASCADE);\n"
        "CREATE INDEX slip_box_idx ON slip (owner, box_id);\n"
        "CREATE POLICY own ON slip USING (owner = current_setting('app.owner')::int);\n"
        "ALTER TABLE slip ENABLE ROW LEVEL SECURITY;",
        "AccessExclusive on box; AccessExclusive on slip; AccessExclusive on things", "DROP TABLE IF EXISTS slip;",
    ),
    "004_refuse": (
        "ShareRowExclusive on slip",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS\n"
        "    $$BEGIN RAISE 'no' USING ERRCODE = 'P7001'; END$$;\n"
        "CREATE TRIGGER stop BEFORE DELETE ON slip FOR EACH ROW WHEN (OLD.note IS NULL)\n"
        "    EXECUTE FUNCTION refuse('P7002');",
        "AccessExclusive on slip", "DROP TRIGGER IF EXISTS stop ON slip; DROP FUNCTION IF EXISTS refuse();",
    ),
    "005_add_note": (
        "AccessExclusive on things", "ALTER TABLE things ADD COLUMN note text;",
        "AccessExclusive on things", "ALTER TABLE things DROP COLUMN IF EXISTS note;",
    ),
}  # fmt: skip
_PROOFS = {
    "001_create_mood": "to_regtype('mood') IS NULL",
    "002_create_box": "to_regclass('box') IS NULL",
    "003_create_slip": "to_regclass('slip') IS NULL",
    "004_refuse": "to_regprocedure('refuse()') IS NULL",
    "005_add_note": "NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'things'::regclass AND attname = 'note')",
}
FILES: dict[str, str | None] = {
    "README.md": "# Boxes and slips\n",
    "samples/go.sql": throwaway.TABLE,
    "timing/10_slips.sql": (
        "-- Slips of a box\n-- expect: index slip_box_idx\n\n"
        "SELECT id AS id FROM slip WHERE owner = 1 AND box_id = 1;\n"
    ),
}
for _name, (_lock, _there, _back_lock, _back) in _STEPS.items():
    FILES |= {
        f"migrate/{_name}.sql": f"-- Make {_name}\n-- lock: {_lock}\n\n{_there}\n",
        f"verify/{_name}.sql": f"-- Proof\n\nSELECT 1 AS missing WHERE {_PROOFS[_name]};\n",
        f"rollback/{_name}.sql": f"-- Unmake {_name}\n-- lock: {_back_lock}\n-- estimate: 10 ms\n\n{_back}\n",
    }


def write(root: Path, more: Mapping[str, str | None] | None = None) -> Change:
    """Write the change, with some files replaced or added, and load it."""
    return throwaway.write(root, {**FILES, **(more or {})}, name=NAME)
