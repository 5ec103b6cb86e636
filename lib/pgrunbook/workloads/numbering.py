"""Ways to number classes: each as plain SQL, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from pgrunbook.errors import UnknownName

__all__ = [
    "BARE_COUNTER",
    "BLOCK",
    "GENERATOR_ALONE",
    "GROUND",
    "METHODS",
    "NEXT_CLASS_CODE",
    "Ground",
    "Method",
    "Promise",
    "named",
    "script",
]

BLOCK: Final = 100

# pgbench knows numbers only, so a script names the client and SQL makes the prefix of it.
_PREFIX: Final = ":client || '-REALLL-RLN-'"
_CHOOSE: Final = "\\set client 11 + random(0, :prefixes - 1)\n"

GROUND: Final = """
CREATE TABLE classes (class_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, class_code varchar(50));
CREATE SEQUENCE numbers;
CREATE SEQUENCE retries;
CREATE FUNCTION numbered(prefix text, number bigint) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN prefix || lpad(number::text, greatest(4, length(number::text)), '0');
"""


class Ground(Enum):
    """What a method finds in the database beside the table of classes."""

    PLAIN = "CREATE INDEX ON classes (class_code);"
    UNIQUE = "ALTER TABLE classes ADD CONSTRAINT class_code_unique UNIQUE (class_code);"
    GENERATOR = "class_code_unique and all that the change 020_class_code_generator makes"


class Promise(Enum):
    """What holds whatever the sessions do, rollbacks included."""

    NO_DUPLICATE_NO_GAP = "no duplicate, no gap"
    NO_DUPLICATE = "no duplicate"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Method:
    """One way to create a class with the next code of its prefix.

    `statements` run in one transaction that begins with `begin`; without it each commits by itself.
    `beforehand` runs in front of that and chooses the client. With `creates_classes` false there are no
    rows of classes, and the counters alone tell how many codes were given. Beyond `most_codes` of a prefix
    the method itself is wrong; 0: never. The `setup` on Ground.GENERATOR is run again before each measurement,
    for which the counters are emptied.
    """

    name: str
    promise: Promise
    ground: Ground
    statements: str
    begin: str = ""
    setup: str = ""
    beforehand: str = _CHOOSE
    settings: tuple[tuple[str, str], ...] = ()
    creates_classes: bool = True
    most_codes: int = 0


_READ_LAST = """\
SELECT coalesce((SELECT class_code FROM classes WHERE class_code LIKE {prefix} || '%'
    ORDER BY class_code DESC LIMIT 1{lock}), '0000') AS last \\gset
"""
_INSERT_NEXT = """\
INSERT INTO classes (class_code)
    VALUES (numbered({prefix}, substring(:last FROM '[0-9]+$')::bigint + 1));
"""
# Read through the index, as on a table that is large: the planner has to see the prefix for that, and here
# the table begins empty.
_BY_INDEX = (
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_sort", "off"),
)
# As text 10000 comes before 9999.
_FOUR_DIGITS = 9_999


def _read_then_insert(lock: str = "") -> str:
    return _READ_LAST.replace("{lock}", lock) + _INSERT_NEXT


NEXT_CLASS_CODE = Method(
    "next_class_code",
    Promise.NO_DUPLICATE_NO_GAP,
    Ground.GENERATOR,
    "INSERT INTO classes (class_code) VALUES (next_class_code(:client, 'REALLL', 'RLN'));\n",
)
_COUNTERS = """
INSERT INTO class_code_counters (prefix, last_number)
    SELECT client || '-REALLL-RLN-', 0 FROM generate_series(11, 138) AS client;
"""
BARE_COUNTER = Method(
    "bare counter, no class",
    Promise.NO_DUPLICATE_NO_GAP,
    Ground.GENERATOR,
    "UPDATE class_code_counters SET last_number = last_number + 1 WHERE prefix = {prefix}"
    " RETURNING last_number;\n",
    setup=_COUNTERS,
    creates_classes=False,
)
GENERATOR_ALONE = Method(
    "next_class_code, no class",
    Promise.NO_DUPLICATE_NO_GAP,
    Ground.GENERATOR,
    "SELECT next_class_code(:client, 'REALLL', 'RLN');\n",
    setup=_COUNTERS,
    creates_classes=False,
)

METHODS: Final = (
    BARE_COUNTER,
    NEXT_CLASS_CODE,
    Method(
        f"blocks of {BLOCK}",
        Promise.NO_DUPLICATE,
        Ground.GENERATOR,
        "INSERT INTO classes (class_code) VALUES (numbered({prefix}, :number));\n",
        # A session takes a block and hands it out; what is left of it at the end is lost.
        beforehand=f"""\
\\if :left = 0
{_CHOOSE}\
SELECT min(substring(code FROM '[0-9]+$')::bigint) - 1 AS number
    FROM next_class_codes(:client, 'REALLL', 'RLN', {BLOCK}) AS code \\gset
\\set left {BLOCK}
\\endif
\\set left :left - 1
\\set number :number + 1
""",
    ),
    Method(
        "sequence",
        Promise.NO_DUPLICATE,
        Ground.UNIQUE,
        # One for all prefixes: a sequence for each would have to be made while classes are created.
        "INSERT INTO classes (class_code) VALUES (numbered({prefix}, nextval('numbers')));\n",
    ),
    Method(
        "advisory lock",
        Promise.NO_DUPLICATE_NO_GAP,
        Ground.PLAIN,
        # A statement of its own: the next one must not see the table as it was before the wait.
        f"SELECT pg_advisory_xact_lock(hashtextextended({{prefix}}, 0));\n{_read_then_insert()}",
        begin="BEGIN;",
        settings=_BY_INDEX,
        most_codes=_FOUR_DIGITS,
    ),
    Method(
        "unique + retry",
        Promise.NO_DUPLICATE_NO_GAP,
        Ground.UNIQUE,
        "SELECT create_class({prefix});\n",
        setup="""
CREATE FUNCTION create_class(prefix text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text;
BEGIN
    LOOP
        SELECT numbered(prefix, coalesce(substring(max(class_code) FROM '[0-9]+$')::bigint, 0) + 1) INTO code
            FROM classes WHERE class_code LIKE prefix || '%';
        BEGIN
            INSERT INTO classes (class_code) VALUES (code);
            RETURN code;
        EXCEPTION WHEN unique_violation THEN
            PERFORM nextval('retries');
        END;
    END LOOP;
END $$;
""",
        settings=_BY_INDEX,
        most_codes=_FOUR_DIGITS,
    ),
    Method(
        "SERIALIZABLE + retry",
        Promise.NO_DUPLICATE_NO_GAP,
        Ground.PLAIN,
        _read_then_insert(),
        begin="BEGIN ISOLATION LEVEL SERIALIZABLE;",
        settings=_BY_INDEX,
        most_codes=_FOUR_DIGITS,
    ),
    Method(
        "SELECT ... FOR UPDATE",
        Promise.NOTHING,
        Ground.PLAIN,
        _read_then_insert(" FOR UPDATE"),
        begin="BEGIN;",
        settings=_BY_INDEX,
        most_codes=_FOUR_DIGITS,
    ),
    Method(
        "max + 1",
        Promise.NOTHING,
        Ground.PLAIN,
        _read_then_insert(),
        begin="BEGIN;",
        settings=_BY_INDEX,
        most_codes=_FOUR_DIGITS,
    ),
)


def named(name: str) -> Method:
    """Return the method of that name; raises UnknownName."""
    known = {method.name: method for method in (*METHODS, GENERATOR_ALONE)}
    if name not in known:
        raise UnknownName(kind="method", name=name, known=list(known))
    return known[name]


def script(method: Method, *, undone_of: int = 0) -> str:
    r"""Return the method as a script for pgbench.

    With `undone_of`, every session rolls back the first of so many transactions after it has its code, as
    happens when the rest of the work fails. It expects the variables prefixes, done, left, number and client.

    >>> print(script(GENERATOR_ALONE, undone_of=20))
    \set client 11 + random(0, :prefixes - 1)
    \if :done % 20 = 0
    BEGIN;
    SELECT next_class_code(:client, 'REALLL', 'RLN');
    ROLLBACK;
    \else
    SELECT next_class_code(:client, 'REALLL', 'RLN');
    \endif
    \set done :done + 1
    <BLANKLINE>
    """
    kept = f"{method.begin}\n{method.statements}COMMIT;\n" if method.begin else method.statements
    text = method.beforehand + kept
    if undone_of:
        undone = f"{method.begin or 'BEGIN;'}\n{method.statements}ROLLBACK;\n"
        choice = f"\\if :done % {undone_of} = 0\n{undone}\\else\n{kept}\\endif\n"
        # Counted at the end: a script that is begun anew keeps what it has set.
        text = f"{method.beforehand}{choice}\\set done :done + 1\n"
    return text.replace("{prefix}", _PREFIX)
