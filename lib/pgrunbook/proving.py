"""Commands for records: write one from the ledger alone, sign it, and ask whether a file is as it was written."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pgrunbook import printing, session, signature, target
from pgrunbook.errors import NoRecord
from pgrunbook.headless import not_empty, say
from pgrunbook.identity import operator_name
from pgrunbook.ledger import Ledger
from pgrunbook.loading import load_notebook_libraries

__all__ = ["describe_record", "describe_verify", "names_file", "record", "verify"]

# The libraries behind a page take seconds to load: they are imported where they are needed.


def describe_record(sub: argparse.ArgumentParser) -> None:
    """Add what `record` understands."""
    sub.add_argument("change", metavar="RUN", help="a run, or a change: then its last run, or --run")
    sub.add_argument(
        "--run", metavar="RUN", type=not_empty, help="the run (default: the last one of the change)"
    )
    sub.add_argument(
        "--sign",
        metavar="KEY",
        type=not_empty,
        default=os.environ.get("PGRUNBOOK_SIGNING_KEY") or None,
        help="sign the file with this SSH key (default: PGRUNBOOK_SIGNING_KEY); the signature lies beside it, in .sig."
        " Name the .pub file where ssh-agent has the key",
    )
    sub.add_argument(
        "--pdf",
        action="store_true",
        help="print it to record.pdf beside it as well, with this machine's Chromium (or PGRUNBOOK_CHROMIUM)",
    )


def describe_verify(sub: argparse.ArgumentParser) -> None:
    """Add what `verify` understands."""
    sub.add_argument(
        "change", metavar="CHANGE|FILE", help="a folder of sql/changes, or a record: record.html, record.json"
    )
    sub.add_argument(
        "--file-alone", action="store_true", help="compare a record with no ledger, whatever target is named"
    )
    sub.add_argument(
        "--signer",
        metavar="ALLOWED",
        type=not_empty,
        help="the record must be signed by somebody in this file of allowed signers, as of ssh-keygen",
    )
    sub.add_argument("--identity", metavar="WHO", type=not_empty, help="and by nobody else among them")


def names_file(text: str) -> bool:
    """Return whether `verify` was asked about a record, and not about a change.

    >>> names_file("010_class_code"), names_file("lost.html"), names_file("records/lost")
    (False, True, True)
    """
    return text.lower().endswith((".html", ".json")) or "/" in text or Path(text).is_file()


def record(given: argparse.Namespace) -> int:
    """Write the record of a run from the ledger alone."""
    load_notebook_libraries()
    from pgrunbook.inspection import inspect
    from pgrunbook.record import from_ledger

    if given.pdf:
        # What cannot be printed is not written and signed either.
        printing.browser(os.environ)
    bound = target.from_environment(os.environ)
    with session.connect(bound, purpose="record") as conn:
        session.bind(conn, bound, for_change=False)
        done = from_ledger(
            Ledger(conn, bound),
            change=given.change,
            run_id=given.run,
            actor=operator_name(),
            proved=(lambda page: inspect(page).mismatch is None) if given.sign or given.pdf else None,
        )
    signed = str(signature.sign(done.page, given.sign)) if given.sign else ""
    text = [f"{done.summary.run_id}: {done.summary.outcome}", *done.lines]
    text += [f"signature: {signed}"] if signed else []
    printed = str(printing.to_pdf(done.page)) if given.pdf else ""
    text += [f"PDF: {printed}"] if printed else []
    facts = {"run": done.summary.run_id, **done.facts, "signature": signed, "pdf": printed}
    say(given, "\n".join(text), facts)
    return 0


def verify(given: argparse.Namespace) -> int:
    """Ask whether a record is as it was written; raises the first thing that differs."""
    load_notebook_libraries()
    from pgrunbook.inspection import inspect
    from pgrunbook.matching import match

    path = Path(given.change).expanduser()
    if path.is_dir():
        raise NoRecord(file=str(path), found="it is a folder; name the record.html in it")
    if not path.exists():
        raise NoRecord(file=str(path), found="there is no such file")
    found = inspect(path)
    says = dict(found.says)
    if given.signer:
        who = signature.signer(path, Path(given.signer).expanduser(), identity=given.identity or "")
        says["signature"] = f"of {who}"
    elif (beside := signature.beside(path)).is_file():
        says["signature"] = f"not looked at: name who may sign with --signer; it lies in {beside.name}"
    if not given.file_alone and os.environ.get("PGRUNBOOK_TARGET", "").strip():
        bound = target.from_environment(os.environ)
        with session.connect(bound, purpose="verify") as conn:
            facts = session.bind(conn, bound, for_change=False)
            says |= match(found, Ledger(conn, bound), facts)
    else:
        says["ledger"] = "not asked; name it with --target"
        if found.mismatch is not None and not given.signer:
            raise found.mismatch
    if found.mismatch is not None:
        says["page"] = "this version of pgrunbook would draw it otherwise; who vouches for the file is below"
    told = {
        "file": str(path),
        "run": found.held.run_id,
        "holds": True,
        "sha256": found.sha256,
        "source": found.held.source,
        "events": len(found.held.events),
        "parts": says,
    }
    lines = [f"{path}: holds, run {found.held.run_id}", *(f"  {part}: {what}" for part, what in says.items())]
    say(given, "\n".join(lines), told)
    return 0
