"""The contest of the numbering methods: 1 to 64 sessions create classes, and the table is counted afterwards."""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import environ
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.rows import dict_row

from pgrunbook import change as changes
from pgrunbook import places
from pgrunbook import server as embedded
from pgrunbook.errors import TooManyCodes
from pgrunbook.server import Server
from pgrunbook.workloads import numbering, pgbench
from pgrunbook.workloads.numbering import METHODS, Ground, Method
from pgrunbook.workloads.pgbench import Load

if TYPE_CHECKING:
    from pgrunbook.views.view import View

__all__ = ["HOT", "MANY", "Result", "hold", "large", "measure", "prepared", "small"]

GENERATOR: Final = "020_class_code_generator"
HOT, MANY = 1, 64
# Every session rolls back the first of so many transactions after it has its code.
UNDONE_OF: Final = 20
WARM_UP: Final = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What one method did with so many sessions on so many prefixes; times in ms, of one transaction.

    `codes` are those that were committed; `duplicates` and `gaps` are None where no class was created. A gap
    is a number below the highest of its prefix that no class has. `stopped` says that the time was over.
    """

    method: str
    writers: int
    prefixes: int
    wanted: int
    codes: int
    duplicates: int | None
    gaps: int | None
    retries: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    stopped: bool

    @property
    def codes_per_second(self) -> float:
        """Return how many codes were committed in a second."""
        return self.codes / self.seconds if self.seconds else 0.0


@contextlib.contextmanager
def prepared(server: Server, method: Method) -> Iterator[str]:
    """Give the connection string of a scratch database in which the method can work, and drop it."""
    # The name of a rehearsal: what a killed process leaves behind is swept away with those.
    name = f"rehearsal_contest_{secrets.token_hex(4)}"
    conninfo = embedded.create_database(server, name)
    try:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute(numbering.GROUND)
            if method.ground is Ground.GENERATOR:
                conn.execute(Ground.UNIQUE.value)
                for step in changes.load(GENERATOR, root=changes.root_from(environ)).steps:
                    conn.execute(step.migrate.text.encode())
            else:
                conn.execute(method.ground.value)
            conn.execute(method.setup.encode())
        yield conninfo
    finally:
        embedded.drop_database(server, name)


def measure(
    server: Server,
    conninfo: str,
    method: Method,
    *,
    writers: int,
    prefixes: int = HOT,
    codes: int = 2_000,
    undone_of: int = UNDONE_OF,
    limit_s: float = 10.0,
    durable: bool = False,
) -> Result:
    """Let the method create `codes` classes in its prepared database, emptied before, and count them.

    Every session creates as many, so there may be a few more. It is stopped when `limit_s` is over. Without
    `durable` no commit waits for the disk, whose hiccups would be measured too. Raises LoadFailed, and TooManyCodes.
    """
    each = math.ceil(codes / writers)
    if 0 < method.most_codes < each * writers:
        raise TooManyCodes(method=method.name, wanted=each * writers, most=method.most_codes)
    # Those that are rolled back come on top.
    undone = math.ceil(each / (undone_of - 1)) if undone_of else 0
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(_EMPTIED)
        if method.ground is Ground.GENERATOR:
            conn.execute("TRUNCATE class_code_counters")
            conn.execute(method.setup.encode())
    commit = () if durable else (("synchronous_commit", "off"),)
    load = Load(
        script=numbering.script(method, undone_of=undone_of),
        writers=writers,
        each=each + undone,
        settings=(*commit, *method.settings),
        variables=(("prefixes", prefixes), ("done", 0), ("left", 0), ("number", 0), ("client", 0)),
    )
    work = pgbench.run(server, conninfo, load, limit_s=limit_s)
    with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as conn:
        found = conn.execute(_COUNTED if method.creates_classes else _COUNTERS_READ).fetchone()
        begun_anew = conn.execute("SELECT last_value - 1 AS again FROM retries").fetchone()
    assert found is not None
    assert begun_anew is not None
    # A session's first transactions load its caches; an application's pool has done that long ago.
    times = sorted(one.ms for one in work.transactions if one.number > WARM_UP)
    return Result(
        method=method.name,
        writers=writers,
        prefixes=prefixes,
        wanted=each * writers,
        codes=found["codes"],
        duplicates=found["duplicates"],
        gaps=found["gaps"],
        retries=begun_anew["again"] + sum(one.retries for one in work.transactions),
        seconds=work.seconds,
        p50_ms=percentile(times, 0.5),
        p99_ms=percentile(times, 0.99),
        max_ms=times[-1] if times else 0.0,
        stopped=work.stopped,
    )


_EMPTIED: Final = """
TRUNCATE classes RESTART IDENTITY;
SELECT setval('numbers', 1, false), setval('retries', 1);
"""
_COUNTED: Final = r"""
SELECT coalesce(sum(codes), 0)::bigint AS codes,
    coalesce(sum(codes - numbers), 0)::bigint AS duplicates,
    coalesce(sum(highest - numbers), 0)::bigint AS gaps
FROM (
    SELECT count(*) AS codes, count(DISTINCT number) AS numbers, max(number) AS highest
    FROM (
        SELECT substring(class_code FROM '^(.*-)[0-9]+$') AS prefix,
            substring(class_code FROM '[0-9]+$')::bigint AS number
        FROM classes
    ) AS split
    GROUP BY prefix
) AS of_prefix
"""
_COUNTERS_READ: Final = """
SELECT coalesce(sum(last_number), 0)::bigint AS codes, NULL::bigint AS duplicates, NULL::bigint AS gaps
FROM class_code_counters
"""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the sorted values that is not below this share of them; 0 of none.

    >>> percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 0.99), percentile([], 0.5)
    (2, 4, 0.0)
    """
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0


def hold(
    server: Server,
    *,
    methods: Sequence[Method] = METHODS,
    writers: Sequence[int] = (1, 4, 16, 64),
    prefixes: Sequence[int] = (HOT, MANY),
    codes: int = 2_000,
    limit_s: float = 10.0,
    durable: bool = False,
) -> tuple[Result, ...]:
    """Return what every method does with every number of writers, on one hot prefix and on many.

    It runs in scratch databases of the embedded server, never on a target, and drops them.
    """
    found = []
    for method in methods:
        with prepared(server, method) as conninfo:
            found += [
                measure(
                    server,
                    conninfo,
                    method,
                    writers=at_once,
                    prefixes=among,
                    codes=codes,
                    limit_s=limit_s,
                    durable=durable,
                )
                for among in prefixes
                for at_once in writers
            ]
    return tuple(found)


def small(server: Server | None = None, *, codes: int = 2_000) -> View:
    """Return so many codes at 16 writers on one hot prefix by every method, as a picture; a few seconds."""
    from pgrunbook.views import contest as views

    return views.contest(hold(server or _own(), writers=(16,), prefixes=(HOT,), codes=codes, limit_s=5.0))


def large(server: Server | None = None) -> View:
    """Return every method at 1 to 64 writers on one hot prefix and on many, as a picture; about 20 seconds."""
    from pgrunbook.views import contest as views

    return views.contest(hold(server or _own(), codes=512, limit_s=1.0))


def _own() -> Server:
    return embedded.start(places.embedded_major())
