"""How a million messages are repaired beside live senders, what an audit of ten million rows costs, who loses what.

    python tests/bench/remedy.py                  all three parts, a quarter of an hour
    python tests/bench/remedy.py --only repair    one of: repair, audit, senders
    python tests/bench/remedy.py --quick          small tables, seconds

repair: the sample of change 030 with one message in twenty on its neighbour's number, in channels and in
conversations, as two senders at once leave it: whoever came after them counted on from there, so that nearly every
message has to move. Four clients of pgbench send, touch cursors and edit messages all the while, in the homes that
are being repaired. Steps 001 to 003, both remedies, then undo of both. The row "nothing" is the same traffic
without us. Latencies are those of pgbench, pauses taken off. One line for each target says what was found, how many
times the target that is, and whether it was met.

audit: the duplicates check of the change as the library runs it, in a process of its own, and the bare GROUP BY
of the specification through psql, by turns.

senders: sixteen at once in one channel and one conversation, numbered each way.

Exit code 1 says that something was lost, reordered or not given back; times never fail.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from clients import LIGHT, Latencies, Pgbench, Transaction
from figures import against, columns, ms, seconds
from ground import folder, machine, started
from psycopg.conninfo import make_conninfo

from pgrunbook import change, preflight, session, target
from pgrunbook import server as embedded
from pgrunbook.change import Change
from pgrunbook.errors import RemedyFailed
from pgrunbook.gate import Policy, undo_of
from pgrunbook.run import Run
from pgrunbook.server import Server
from pgrunbook.workloads.message_contest import Tally, Way, contest
from pgrunbook.workloads.messages import Home, HomeKind

NAME, DATABASE, NOTHING = "030_message_sequence", "bench", "nothing"
T = TypeVar("T")

REMEDIES = ("10_duplicate_channel_sequences", "20_duplicate_conversation_sequences")
SETTINGS = {"max_wal_size": "4GB"}
WORST_MS, RATIO, MEMORY_MB = 100.0, 1.1, 150.0
# Repair and undo of a million messages; of fewer, less, down to a tenth.
IN_ALL_S = 600.0
BASELINE_S = 10.0
AGAIN = 20
HOMES, SENT = 100, "sent by the bench"

CHOOSE = "\\set n random(1, {})\n"
# As before the guard: the highest number plus one.
SEND = f"""
INSERT INTO messages (channel_id, conversation_id, author_id, content, sequence)
SELECT channel_id, conversation_id, '00000000-0000-0000-0000-000000000007', '{SENT}', 1 + coalesce(
    (SELECT max(sequence) FROM messages AS m WHERE m.channel_id = h.channel_id),
    (SELECT max(sequence) FROM messages AS m WHERE m.conversation_id = h.conversation_id))
FROM bench_homes AS h WHERE n = :n;
"""
# The same values again: the rows are locked, and nothing is changed that undo would have to leave alone.
READ = """
UPDATE read_cursors SET last_read_sequence = last_read_sequence
WHERE (user_id, coalesce(channel_id, conversation_id)) = (
    SELECT reader, coalesce(channel_id, conversation_id) FROM bench_homes WHERE n = :n);
"""
EDIT = """
UPDATE messages SET content = content WHERE id = (SELECT edited FROM bench_homes WHERE n = :n);
"""
PREPARE = f"""
CREATE TABLE bench_homes AS
WITH largest AS (
    (SELECT channel_id, NULL::uuid AS conversation_id, count(*) AS messages
     FROM messages WHERE channel_id IS NOT NULL GROUP BY 1 ORDER BY 3 DESC LIMIT {HOMES})
    UNION ALL
    (SELECT NULL, conversation_id, count(*)
     FROM messages WHERE conversation_id IS NOT NULL GROUP BY 2 ORDER BY 3 DESC LIMIT {HOMES})
)
SELECT row_number() OVER () AS n, channel_id, conversation_id,
    (SELECT max(user_id::text)::uuid FROM read_cursors AS c
     WHERE c.channel_id = l.channel_id OR c.conversation_id = l.conversation_id) AS reader,
    (SELECT max(id::text)::uuid FROM messages AS m
     WHERE m.channel_id = l.channel_id OR m.conversation_id = l.conversation_id) AS edited
FROM largest AS l;
CREATE UNIQUE INDEX ON bench_homes (n);
CREATE INDEX ON read_cursors (user_id, (coalesce(channel_id, conversation_id)));
"""
# What has to be as before: each old row, the order of the old messages, and the unread counts over them.
ROWS = f"SELECT md5(string_agg(md5(m::text), '' ORDER BY id)) FROM messages AS m WHERE content <> '{SENT}'"
CURSORS = "SELECT md5(string_agg(md5(c::text), '' ORDER BY c::text)) FROM read_cursors AS c"
ORDER = f"""
SELECT md5(string_agg(id::text, '' ORDER BY coalesce(channel_id, conversation_id), sequence, created_at, id))
FROM messages WHERE content <> '{SENT}'
"""
UNREAD = f"""
SELECT md5(string_agg(home || reader || unread, '' ORDER BY home, reader)) FROM (
    SELECT home::text, reader::text, sum(message) OVER (
        PARTITION BY home ORDER BY number DESC, message ROWS UNBOUNDED PRECEDING) AS unread
    FROM (
        SELECT coalesce(channel_id, conversation_id) AS home, sequence AS number, 1 AS message, NULL::uuid AS reader
        FROM messages WHERE content <> '{SENT}'
        UNION ALL
        SELECT coalesce(channel_id, conversation_id), last_read_sequence, 0, user_id FROM read_cursors
    ) AS line
) AS counted WHERE reader IS NOT NULL
"""
# Messages that the guard has numbered.
NEW = f"content = '{SENT}' AND created_at >= to_timestamp({{since}})"
TOUCHED_NEW = f"""
SELECT count(*) FROM pgrunbook.quarantine AS q JOIN messages AS m ON m.id = (q.key->>'id')::uuid
WHERE q.table_name LIKE '%messages' AND {NEW}
"""
NOT_LAST = f"""
SELECT count(*) FROM (
    SELECT max(sequence) FILTER (WHERE NOT ({NEW})) AS old, min(sequence) FILTER (WHERE {NEW}) AS new
    FROM messages GROUP BY channel_id, conversation_id
) AS home WHERE new <= old
"""
BARE = """
SELECT channel_id, sequence, COUNT(*) FROM messages WHERE channel_id IS NOT NULL
GROUP BY channel_id, sequence HAVING COUNT(*) > 1;
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the repair: how long it took, what it did and what clients felt meanwhile."""

    name: str
    seconds: float
    rows: int
    batches: int
    latencies: Latencies | None
    worst_hold_ms: float = 0.0

    @property
    def rate(self) -> float:
        """Return rows a second."""
        return self.rows / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Repaired:
    """The whole repair; a failure is one line each."""

    messages: int
    planted: int
    asked: int
    sent: int
    before: dict[str, str]
    undone: dict[str, str]
    parts: list[Part]
    failures: list[str]


@dataclass(frozen=True, slots=True)
class Audited:
    """An audit beside the bare query; times are medians, in seconds."""

    rows: int
    groups: int
    ours_s: float
    bare_s: float
    memory_mb: float

    @property
    def ratio(self) -> float:
        """Return how many times as long ours took."""
        return self.ours_s / self.bare_s


def sample(server: Server, chosen: Change, messages: int, planted: Sequence[str] = ()) -> str:
    """Return a fresh database with the change's sample, so many messages."""
    conninfo = embedded.create_database(server, DATABASE)
    assert chosen.go_sample is not None
    options = f"-c sample.messages={messages} -c maintenance_work_mem=256MB"
    with psycopg.connect(make_conninfo(conninfo, options=options), autocommit=True) as conn:
        for file in [chosen.go_sample, *(chosen.no_go_samples[name] for name in planted)]:
            conn.execute(file.read_bytes())
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")
    return conninfo


# --- repair ------------------------------------------------------------------------------------------------


def repair(server: Server, chosen: Change, messages: int, home: Path, baseline_s: float) -> Repaired:
    """Return how the repair went beside four clients, and whether all was right at each point."""
    conninfo = sample(server, chosen, messages, REMEDIES)
    failures: list[str] = []
    spans: list[tuple[str, float, float, int, int, float]] = []
    with psycopg.connect(conninfo, autocommit=True) as look:
        look.execute(PREPARE.encode())
        planted = _one(look, f"SELECT count(*) FROM ({_repeated()}) AS d")
        before = {name: str(_one(look, query)) for name, query in FACTS.items()}

        def compare(when: str, *names: str) -> None:
            for name in names:
                if str(_one(look, FACTS[name])) != before[name]:
                    failures.append(f"{when}: {name} differ")

        with contextlib.closing(_run(chosen, conninfo, home)) as run:
            run.preflight()
            choose = CHOOSE.format(_one(look, "SELECT count(*) FROM bench_homes"))
            scripts = [choose + one for one in (SEND, SEND, READ, EDIT)]
            with Pgbench(server, conninfo, LIGHT, scripts, home) as clients:
                began = time.time()
                for number in ("001", "002", "003"):
                    run.decide_by_policy(number)
                    run.apply(number)
                guarded = time.time()
                spans.append(("steps 001 to 003", began, guarded, 0, 0, 0.0))
                time.sleep(baseline_s)
                spans.append((NOTHING, guarded, time.time(), 0, 0, 0.0))
                for name in REMEDIES:
                    run.decide_by_policy(name)
                    began = time.time()
                    done = _patiently(lambda name=name: run.apply_remedy(name))
                    ended = time.time()
                    rows, batches = _kept(look, name, "count(*), count(DISTINCT batch)")
                    spans.append((name, began, ended, rows, batches, done.worst_hold_ms))
                compare("repaired", "order", "unread counts")
                if left := _one(look, f"SELECT count(*) FROM ({_repeated()}) AS d"):
                    failures.append(f"repaired: {left} numbers are repeated")
                if wrong := _one(look, NOT_LAST.format(since=guarded)):
                    failures.append(f"repaired: in {wrong} homes a new message is not after the old ones")
                if touched := _one(look, TOUCHED_NEW.format(since=guarded)):
                    failures.append(f"repaired: {touched} new messages were renumbered")
                for name in reversed(REMEDIES):
                    run.decide_by_policy(undo_of(name))
                    began = time.time()
                    undone = _patiently(lambda name=name: run.undo_remedy(name))
                    ended = time.time()
                    rows, stay = _kept(look, name, "count(undone_at), count(*) - count(undone_at)")
                    spans.append((f"undo of {name}", began, ended, rows, 0, undone.worst_hold_ms))
                    if stay:
                        failures.append(f"undo of {name} left {stay} rows alone")
                felt = clients.transactions()
        after = {name: str(_one(look, query)) for name, query in FACTS.items()}
        failures += [f"undone: {name} differ" for name in FACTS if after[name] != before[name]]
        sent = _one(look, f"SELECT count(*) FROM messages WHERE content = '{SENT}'")
        asked = _sends(home)
        if asked != sent:
            failures.append(f"{asked} messages were sent and {sent} are there")
    embedded.drop_database(server, DATABASE)
    parts = [
        Part(name, ends - begins, rows, batches, _between(felt, begins, ends), hold)
        for name, begins, ends, rows, batches, hold in spans
    ]
    return Repaired(messages, planted, asked, sent, before, after, parts, failures)


def _kept(look: psycopg.Connection[Any], remedy: str, facts: str) -> tuple[int, int]:
    """Return two facts about the quarantine of a remedy, whatever calls it took."""
    found = look.execute(f"SELECT {facts} FROM pgrunbook.quarantine WHERE remedy = %s".encode(), (remedy,))
    first, second = found.fetchall()[0]
    return first, second


def _patiently(work: Callable[[], T]) -> T:
    """Do the work, and go on with it where a slow moment of the machine stopped it; say so."""
    for number in range(AGAIN):
        try:
            return work()
        except RemedyFailed as error:
            if "stall budget" not in error.reason or number == AGAIN - 1:
                raise
            print(f"stopped and called again: {error.reason}", flush=True)
    raise AssertionError


FACTS = {
    "rows of messages": ROWS,
    "rows of read_cursors": CURSORS,
    "order": ORDER,
    "unread counts": UNREAD,
}


def _repeated() -> str:
    one = "SELECT 1 FROM messages WHERE {0}_id IS NOT NULL GROUP BY {0}_id, sequence HAVING count(*) > 1"
    return " UNION ALL ".join(one.format(kind) for kind in ("channel", "conversation"))


def _one(conn: psycopg.Connection[Any], query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def _run(chosen: Change, conninfo: str, home: Path) -> Run:
    return Run(
        chosen, target.rehearsal(conninfo), home / "records", Policy.REHEARSAL, operator="the benchmark"
    )


def _between(felt: Sequence[Transaction], begins: float, ends: float) -> Latencies | None:
    part = [one for one in felt if begins <= one.ended <= ends]
    return Latencies.of(part, LIGHT) if part else None


def _sends(home: Path) -> int:
    """Return how many of pgbench's transactions were those that send, from its logs."""
    lines = [line.split() for file in home.glob("pgbench_log.*") for line in file.read_text().splitlines()]
    return sum(line[3] in ("0", "1") for line in lines)


def told(found: Repaired) -> str:
    """Return the table of the repair and its verdict."""
    heads = ["", "seconds", "rows", "rows/s", "batches", "held ms", "worst ms", "p99.9", "median", ">100"]
    rows = []
    for part in found.parts:
        felt = part.latencies
        cells = [ms(felt.worst), ms(felt.p999), ms(felt.median), str(felt.over_100)] if felt else ["-"] * 4
        moved = [f"{part.rows:,}", f"{part.rate:,.0f}", f"{part.batches:,}", ms(part.worst_hold_ms)]
        rows.append([part.name, seconds(part.seconds), *moved, *cells])
    head = f"{found.messages:,} messages, {found.planted:,} repeated numbers, {found.sent:,} messages sent meanwhile"
    return "\n".join([head, columns(heads, rows), *_verdict(found)])


def _verdict(found: Repaired) -> list[str]:
    """Return one line for each target."""
    noise = _worst(part for part in found.parts if part.name == NOTHING)
    ours = [part for part in found.parts if part.name != NOTHING]
    lines = []
    for way, parts in (
        ("forwards", [part for part in ours if not part.name.startswith("undo")]),
        ("in undo", [part for part in ours if part.name.startswith("undo")]),
    ):
        worst = _worst(parts)
        times = f", {worst / noise:.1f} times that without us" if noise else ""
        told = f"worst stall of a writer {way} {ms(worst)} ms, {worst / WORST_MS:.2f} of the target{times}"
        lines.append(against(told, f"at most {WORST_MS:.0f} ms", worst <= WORST_MS))
    took = sum(part.seconds for part in ours)
    may = IN_ALL_S * max(0.1, found.messages / 1_000_000)
    told = f"repair and undo {seconds(took)} s, {took / may:.2f} of the target"
    lines.append(against(told, f"at most {may:.0f} s", took <= may))
    for name in found.before:
        was, now = found.before[name], found.undone[name]
        lines.append(
            against(f"{name}: {str(was)[:12]} before, {str(now)[:12]} undone", "the same", was == now)
        )
    lost = found.asked - found.sent
    lines.append(against(f"{found.asked:,} messages sent, {found.sent:,} there", "all", not lost))
    lines.append(against(f"{len(found.failures)} things wrong", "none", not found.failures))
    return lines


def _worst(parts: Iterable[Part]) -> float:
    return max((part.latencies.worst for part in parts if part.latencies), default=0.0)


# --- audit -------------------------------------------------------------------------------------------------


def audit(server: Server, chosen: Change, rows: int, rounds: int) -> Audited:
    """Return what the check costs beside the bare query, on a table with as little else as there can be."""
    conninfo = embedded.create_database(server, DATABASE)
    make = f"""
    CREATE TABLE messages AS
    SELECT CASE WHEN k % 2 = 0 THEN md5('channel ' || k % 20000)::uuid END AS channel_id,
        CASE WHEN k % 2 = 1 THEN md5('conversation ' || k % 40000)::uuid END AS conversation_id,
        k / 20000 - (k % 100003 = 7)::int AS sequence
    FROM generate_series(1, {rows}) AS k;
    CREATE INDEX messages_channel_seq_idx ON messages (channel_id, sequence);
    """
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(make.encode())
        conn.execute("VACUUM ANALYZE")
        groups = len(conn.execute(BARE.encode()).fetchall())
    ours, bare, memory = [], [], 0.0
    for number in range(rounds + 1):
        took, megabytes, found = _by_us(conninfo)
        if found != groups:
            raise SystemExit(f"FAILED: the check found {found} groups, the bare query {groups}")
        began = time.perf_counter()
        command = [
            server.bin / "psql",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-o",
            os.devnull,
            "-c",
            BARE,
            conninfo,
        ]
        subprocess.run(command, check=True)
        # The first time warms up and does not count.
        if number:
            ours.append(took)
            bare.append(time.perf_counter() - began)
            memory = max(memory, megabytes)
    embedded.drop_database(server, DATABASE)
    return Audited(rows, groups, statistics.median(ours), statistics.median(bare), memory)


def _by_us(conninfo: str) -> tuple[float, float, int]:
    """Return the seconds of the check, the memory of its process in MB, and what it found."""
    argv = [sys.executable, __file__, "--check", conninfo]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as pipe:
        said = pipe.read()
    # wait4() tells what this one process used, at its most.
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("FAILED: the check could not be run")
    took, found = said.split()
    return float(took), used.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2), int(found)


def check(conninfo: str) -> None:
    """Run the change's check once and print its seconds and how many groups it found."""
    script = change.load(NAME, root=ROOT).check(REMEDIES[0])
    with session.connect(target.rehearsal(conninfo), purpose="bench") as conn:
        began = time.perf_counter()
        found = preflight.run_check(conn, script)
        took = time.perf_counter() - began
    if found.problem:
        raise SystemExit(found.problem)
    print(took, found.total)


# --- senders -----------------------------------------------------------------------------------------------

STEPS = {
    Way.GUARD: ("001", "002", "003", "004", "005"),
    Way.COUNTER: ("001", "003", "004", "005"),
    Way.RETRY: ("004", "005"),
    Way.PLAN: ("004", "005"),
}


def senders(server: Server, chosen: Change, writers: int, each: int) -> list[Tally]:
    """Return how sixteen senders did each way, each on a fresh database."""
    tallies = []
    for way, steps in STEPS.items():
        conninfo = sample(server, chosen, 2_000)
        with psycopg.connect(conninfo, autocommit=True) as conn:
            for number in steps:
                conn.execute(chosen.step(number).migrate.text.encode())
            homes = [
                Home(kind, _one(conn, f"SELECT min({kind.value}::text)::uuid FROM messages"))
                for kind in HomeKind
            ]
        tallies.append(contest(conninfo, way, homes, author=UUID(int=7), writers=writers, each=each))
        embedded.drop_database(server, DATABASE)
    return tallies


def told_senders(tallies: Sequence[Tally]) -> str:
    """Return the table of the senders and the verdict."""
    heads = ["", "asked", "sent", "lost", "repeated", "retries", "messages/s", "worst ms"]
    rows = [
        [
            one.way.value,
            *(f"{n:,}" for n in (one.asked, one.sent, one.lost, one.repeated, one.retries)),
            f"{one.rate:,.0f}",
            ms(one.worst_ms),
        ]
        for one in tallies
    ]
    guard = next(one for one in tallies if one.way is Way.GUARD)
    found = f"the guard: {guard.lost} lost, {guard.retries} retries, {guard.repeated} repeated"
    return "\n".join(
        [columns(heads, rows), against(found, "none", not (guard.lost or guard.retries or guard.repeated))]
    )


ROOT = Path(__file__).parents[2] / "sql" / "changes"


def parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", choices=["repair", "audit", "senders"], help="one part alone")
    made.add_argument(
        "--quick", action="store_true", help="small tables: shows that it works, measures little"
    )
    made.add_argument(
        "--messages", type=int, default=1_000_000, help="messages to repair (default: a million)"
    )
    made.add_argument("--rows", type=int, default=10_000_000, help="rows to audit (default: ten million)")
    made.add_argument("--each", type=int, default=60, help="messages of each of 16 senders (default: 60)")
    made.add_argument("--rounds", type=int, default=3, help="how often the audit is measured (default: 3)")
    made.add_argument("--folder", type=Path, help="where the server's data lie meanwhile (default: /tmp)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    made.add_argument("--check", metavar="CONNINFO", help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when something was lost, reordered or not given back."""
    given = parser().parse_args(arguments)
    if given.check:
        check(given.check)
        return 0
    if given.quick:
        given.messages, given.rows, given.each, given.rounds = 3_000, 100_000, 5, 1
    chosen, facts, failures = change.load(NAME, root=ROOT), {}, []
    with folder(given.folder) as home, started(home / "server", SETTINGS) as server:
        print(facts.setdefault("machine", machine(server)))
        if given.only in (None, "senders"):
            tallies = senders(server, chosen, 16, given.each)
            print(f"\n16 senders, one channel and one conversation\n{told_senders(tallies)}", flush=True)
            facts["senders"] = [{**dataclasses.asdict(one), "way": one.way.value} for one in tallies]
            failures += [
                f"{one.way.value}: {one.lost} messages lost, {one.repeated} numbers repeated"
                for one in tallies
                if one.way is not Way.PLAN and (one.lost or one.repeated)
            ]
        if given.only in (None, "audit"):
            audited = audit(server, chosen, given.rows, given.rounds)
            met = against(f"{audited.ratio:.3f} times psql", f"at most {RATIO}", audited.ratio <= RATIO)
            room = against(
                f"memory {audited.memory_mb:.0f} MB",
                f"at most {MEMORY_MB:.0f}",
                audited.memory_mb <= MEMORY_MB,
            )
            print(
                f"\naudit of {audited.rows:,} rows, {audited.groups:,} repeated numbers: {audited.ours_s:.3f} s,"
                f" the bare query {audited.bare_s:.3f} s\n{met}, {room}",
                flush=True,
            )
            facts["audit"] = dataclasses.asdict(audited)
        if given.only in (None, "repair"):
            found = repair(server, chosen, given.messages, home, 1.0 if given.quick else BASELINE_S)
            print(f"\n{told(found)}")
            facts["repair"] = dataclasses.asdict(found)
            failures += found.failures
    if given.json:
        given.json.write_text(json.dumps(facts, indent=2) + "\n")
    for line in failures:
        print(f"FAILED: {line}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
