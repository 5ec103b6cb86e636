"""Prints a record to PDF, with the Chromium that the machine has, and without a network."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pgrunbook.errors import NoBrowser, PdfNotMade

__all__ = ["browser", "to_pdf"]

NAMES: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
LIMIT_S: Final = 120.0
# A browser's socket lies in its temporary folder, and the whole path of a socket has some 100 bytes, of which
# the names that it and we add need about half.
_LONGEST = 45


def browser(environment: Mapping[str, str]) -> str:
    """Return the program to print with: PGRUNBOOK_CHROMIUM, else the first Chromium on the PATH.

    Raises NoBrowser.
    """
    named = environment.get("PGRUNBOOK_CHROMIUM", "").strip()
    for name in [named] if named else NAMES:
        if found := shutil.which(name, path=environment.get("PATH")):
            return found
    raise NoBrowser(named=named)


def to_pdf(page: Path, *, limit_s: float = LIMIT_S) -> Path:
    """Print a page beside itself as PDF and return that file; one that was there is replaced at the end.

    The browser gets a profile of its own and no network. Raises NoBrowser, and PdfNotMade when it fails
    or takes longer than `limit_s` seconds.
    """
    program = browser(os.environ)
    file = page.with_suffix(".pdf")
    with tempfile.TemporaryDirectory(prefix="print-", dir=_short()) as scratch:
        made = Path(scratch) / "record.pdf"
        said = Path(scratch) / "said"
        command = [
            program,
            "--headless",
            "--disable-gpu",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--no-first-run",
            # Whatever asked for the network, nobody would answer.
            "--proxy-server=127.0.0.1:9",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={scratch}/profile",
            "--no-pdf-header-footer",
            f"--print-to-pdf={made}",
            # Chromium refuses to sandbox what root runs.
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            page.absolute().as_uri(),
        ]
        with said.open("wb") as out:
            try:
                code = _run(command, out.fileno(), limit_s, {**os.environ, "TMPDIR": scratch})
            except subprocess.TimeoutExpired:
                raise PdfNotMade(
                    page=str(page), program=program, reason=f"no end after {limit_s:g} s"
                ) from None
            except OSError as error:
                raise PdfNotMade(
                    page=str(page), program=program, reason=error.strerror or str(error)
                ) from error
        if code or not made.is_file() or not made.read_bytes().startswith(b"%PDF-"):
            last = said.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise PdfNotMade(page=str(page), program=program, reason=f"exit code {code}, {last[0]}")
        fresh = file.with_name(f".{file.name}")
        shutil.copyfile(made, fresh)
        os.replace(fresh, file)
    return file


def _short() -> str:
    """Return a folder for what is temporary, in which a browser's socket has room."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(os.fsencode(usual)) > _LONGEST and os.access("/tmp", os.W_OK) else usual


def _run(command: list[str], out: int, limit_s: float, environment: Mapping[str, str]) -> int:
    """Return the exit code of a command; whatever ends the wait ends it and all that it started."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True
    )
    try:
        return process.wait(limit_s)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
