"""The command line: the engine without a notebook, and the way into the notebooks."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence

import psycopg

from pgrunbook import duplication, proving, records, versions, workbench
from pgrunbook.commands import COMMANDS
from pgrunbook.errors import FAILED, RunbookError
from pgrunbook.headless import not_empty, say_error, stoppable
from pgrunbook.telling import told

__all__ = ["main", "parser"]


def parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    top = argparse.ArgumentParser(
        prog="pgrunbook",
        description="Runbooks for schema changes on a live PostgreSQL.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 NO-GO or gate closed.",
    )
    top.add_argument("--version", action="version", version=f"pgrunbook {versions.library()}")
    verbs = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def verb(name: str, text: str, *, change: bool = True, live: bool = True) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        if change:
            sub.add_argument("change", help="a folder of sql/changes, e.g. 010_class_code")
        sub.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        sub.add_argument(
            "--changes",
            metavar="DIR",
            type=not_empty,
            help="folder of changes (default: PGRUNBOOK_CHANGES or sql/changes)",
        )
        if live:
            sub.add_argument(
                "--target",
                metavar="CONNINFO",
                type=not_empty,
                help="connection string or service=NAME (default: PGRUNBOOK_TARGET); others can read it in the process"
                " list, so leave passwords to .pgpass or the service file",
            )
            sub.add_argument(
                "--mask-literals",
                action="store_true",
                help="show and keep other sessions' statements without their values (PGRUNBOOK_MASK_LITERALS=1)",
            )
        return sub

    rehearse = verb(
        "rehearse", "run the change's notebook on the embedded server and write its record", live=False
    )
    rehearse.add_argument(
        "--save", action="store_true", help="keep the outputs in the notebook, for tests to compare with"
    )
    verb("preflight", "audit: GO or NO-GO, with the rows that stand in the way")
    apply = _windowed(
        _approving(verb("apply", "audit, rehearse, apply what is not applied yet, verify, write the record"))
    )
    apply.add_argument(
        "--no-rehearsal", action="store_true", help="do not run the change on a clone of the schema first"
    )
    apply.add_argument(
        "--tick",
        metavar="ITEM[=REMARK]",
        action="append",
        type=not_empty,
        default=[],
        help="you made sure of this item of the checklist; once for each",
    )
    remedy = _windowed(_approving(verb("remedy", "repair what a check found; old values go to quarantine")))
    remedy.add_argument("name", help="a file of remedy/, e.g. 10_duplicate_codes")
    remedy.add_argument(
        "--preview",
        action="store_true",
        help="show the first batch, or all that --undo would do; change nothing",
    )
    remedy.add_argument("--undo", action="store_true", help="give back what it replaced")
    proving.describe_verify(
        verb(
            "verify",
            "ask whether the promise of each applied step holds now, or whether a record is true",
            change=False,
        )
    )
    _windowed(_approving(verb("rollback", "undo applied steps in reverse order"))).add_argument(
        "--to", metavar="STEP", type=not_empty, help="the last step that stays (default: undo all)"
    )
    blockers = verb("blockers", "who would make the next step wait now; cancel or end one of them")
    blockers.add_argument("--step", metavar="STEP", type=not_empty, help="another step than the next one")
    end = blockers.add_mutually_exclusive_group()
    end.add_argument("--cancel", metavar="PID", type=int, help="cancel the statement of this session")
    end.add_argument("--end", metavar="PID", type=int, help="end this session")
    blockers.add_argument(
        "--reason", metavar="TEXT", default="", help="why, kept in the ledger and the record"
    )
    status = verb(
        "status",
        "show what the ledger says of each step, and what is open in the checklist; reads only",
        change=False,
    )
    status.add_argument("change", nargs="?", help="one change (default: all)")
    approve = verb(
        "approve",
        "another person's GO or NO-GO to what the gate of an open run asks, from their own terminal",
    )
    approve.add_argument(
        "step", help="a step, a remedy, 'undo REMEDY', rollback or 'rollback to STEP', as the gate names it"
    )
    approve.add_argument("--no-go", action="store_true", help="close the gate")
    approve.add_argument("--show", action="store_true", help="show what the gate asks; nothing is recorded")
    approve.add_argument(
        "--reason", metavar="TEXT", default="", help="why, kept in the ledger and the record; needed"
    )
    tick = verb("tick", "tick items of the checklist of a run, or show it; who applies need not be who ticks")
    tick.add_argument(
        "items", nargs="*", metavar="ITEM[=REMARK]", help="what you made sure of (default: show all)"
    )
    tick.add_argument(
        "--run",
        metavar="RUN",
        type=not_empty,
        help="the run (default: the last one that ticked or applied something)",
    )
    tick.add_argument("--take-back", action="store_true", help="these items are open again")
    proving.describe_record(
        verb("record", "write the HTML record of a run from the ledger alone, and sign it", change=False)
    )
    records.describe_records(
        verb("records", "list runs: of the target's ledger, else those whose records lie here", change=False)
    )
    records.describe_compare(verb("compare", "what differs between two runs of one change", change=False))
    races = verb("races", "run races of sql/races on the embedded server", change=False, live=False)
    races.add_argument("names", nargs="*", metavar="NAME", help="a file of sql/races (default: all)")
    races.add_argument(
        "--save", metavar="DIR", type=not_empty, help="also write each race in full to DIR/NAME.out"
    )
    duplication.describe(
        verb(
            "duplicates",
            "what a unique index would refuse: totals, the largest groups, all of them in a file",
        ),
        writes=False,
    )
    duplication.describe(
        verb("new-remedy", "write the remedy for duplicates into the change; only reads the target"),
        writes=True,
    )
    contracts = verb(
        "contracts",
        "write what a front end may rely on: TypeScript, JSON Schema and Pydantic models of the change's tables",
        live=False,
    )
    contracts.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 when the files differ"
    )
    contracts.add_argument(
        "--to", metavar="DIR", type=not_empty, help="another folder than contracts/ of the change"
    )
    papers = verb(
        "papers",
        "write overview, diagram and way back of the change's data model; look up every name in its decisions",
        live=False,
    )
    papers.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 when the files differ"
    )
    papers.add_argument(
        "--to", metavar="DIR", type=not_empty, help="another folder than papers/ of the change"
    )
    new = verb("new", "copy the template to a new change and its notebook", change=False, live=False)
    new.add_argument("name", help="number and words, e.g. 060_invoice_number")
    verbs.add_parser("lab", help="open JupyterLab on the notebooks, embedded server running", add_help=False)
    verbs.add_parser("test", help="run everything that CI runs", add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a person reads the errors, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that this terminal cannot show must not end a command.
            stream.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _run(arguments)
        finally:
            print(end="", flush=True)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            say_error(told(error), as_json=False)
        # Python flushes once more when it ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(arguments: list[str]) -> int:
    """Return the exit code of one command, with every failure told."""
    as_json = False
    try:
        if arguments[:1] == ["test"]:
            return workbench.test(arguments[1:])
        if arguments[:1] == ["lab"]:
            return workbench.lab(arguments[1:])
        given = parser().parse_args(arguments)
        as_json = given.json
        if given.changes:
            os.environ["PGRUNBOOK_CHANGES"] = os.path.abspath(os.path.expanduser(given.changes))
        if getattr(given, "target", None):
            os.environ["PGRUNBOOK_TARGET"] = given.target
        if getattr(given, "mask_literals", False):
            os.environ["PGRUNBOOK_MASK_LITERALS"] = "1"
        with stoppable():
            return COMMANDS[given.command](given)
    except BrokenPipeError:
        raise
    except (RunbookError, psycopg.Error, OSError, KeyboardInterrupt) as failure:
        error = told(failure)
    say_error(error, as_json=as_json)
    return error.exit_code


def _windowed(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
    sub.add_argument(
        "--window-ends",
        metavar="TEXT",
        type=not_empty,
        help="no step begins, waits or builds when it, and rolling it back, would not be done by then:"
        " `2026-11-22 04:00` or `04:00`, this machine's zone unless an offset says otherwise"
        " (default: PGRUNBOOK_WINDOW_ENDS); a rollback is never refused",
    )
    return sub


def _approving(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
    sub.add_argument("--approve-all", action="store_true", help="open every gate; needs --reason")
    sub.add_argument("--reason", metavar="TEXT", default="", help="why, kept in the ledger and the record")
    sub.add_argument(
        "--approvals",
        metavar="N",
        type=_people,
        default=1,
        help="people who have to say GO to each gate (default: 1); the command waits for the others' `approve`",
    )
    return sub


def _people(text: str) -> int:
    """Return how many people a gate needs; what is no number of people is wrong usage."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of people")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
