"""The signature of a record: real keys, real ssh-keygen, no network, and nothing that waits for an answer."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgrunbook import signature
from pgrunbook.errors import NotSigned, SignatureRefused

pytestmark = [
    pytest.mark.static,
    pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not there: openssh-client"),
]


def key(folder: Path, name: str, *, passphrase: str = "") -> Path:
    """Make an SSH key."""
    made = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(made)], check=True
    )
    return made


def allowed(folder: Path, **keys: Path) -> Path:
    """Write who may sign."""
    lines = [f"{who}@example.org {made.with_suffix('.pub').read_text()}" for who, made in keys.items()]
    file = folder / "allowed_signers"
    file.write_text("".join(lines))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "record.html"
    made.write_text("<!DOCTYPE html>\n")
    return made


def refused(file: Path, signers: Path, **options: str) -> str:
    with pytest.raises(SignatureRefused) as caught:
        signature.signer(file, signers, **options)
    return caught.value.found.removeprefix(f"{file} is not proved to be signed: ")


def test_who_signed_is_told_with_the_key(file: Path, tmp_path: Path) -> None:
    ann = key(tmp_path, "ann")
    assert signature.sign(file, str(ann)) == tmp_path / "record.html.sig"
    signers = allowed(tmp_path, ann=ann)
    said = signature.signer(file, signers)
    assert said.startswith("ann@example.org, ED25519 SHA256:")
    assert signature.signer(file, signers, identity="ann@example.org") == said


def test_a_signature_is_written_anew_without_a_question(file: Path, tmp_path: Path) -> None:
    ann = key(tmp_path, "ann")
    signature.sign(file, str(ann))
    file.write_text("other")
    signature.sign(file, str(ann))
    assert signature.signer(file, allowed(tmp_path, ann=ann))


def test_a_key_that_fails_leaves_the_signature_that_was_there(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, locked = key(tmp_path, "ann"), key(tmp_path, "locked", passphrase="none but hers")
    good = signature.sign(file, str(ann)).read_bytes()
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for failing in (locked, locked.with_suffix(".pub"), tmp_path / "none"):
        with pytest.raises(NotSigned):
            signature.sign(file, str(failing))
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        with pytest.raises(NotSigned, match="ssh-keygen is not there"):
            signature.sign(file, str(ann))
    assert signature.beside(file).read_bytes() == good
    assert signature.signer(file, allowed(tmp_path, ann=ann)).startswith("ann@example.org, ")
    assert [one.name for one in sorted(tmp_path.glob("*record*"))] == ["record.html", "record.html.sig"]


def test_a_file_that_was_altered_is_refused(file: Path, tmp_path: Path) -> None:
    ann = key(tmp_path, "ann")
    signature.sign(file, str(ann))
    file.write_text("<!DOCTYPE html>\r\n", newline="")
    assert refused(file, allowed(tmp_path, ann=ann)) == (
        "the signature is not one of ann@example.org for this file"
    )


def test_somebody_else_is_refused(file: Path, tmp_path: Path) -> None:
    ann, eve = key(tmp_path, "ann"), key(tmp_path, "eve")
    signature.sign(file, str(eve))
    signers = allowed(tmp_path, ann=ann)
    assert refused(file, signers) == f"the key of its signature is not in {signers}"
    both = allowed(tmp_path, ann=ann, eve=eve)
    assert signature.signer(file, both).startswith("eve@example.org, ")
    assert refused(file, both, identity="ann@example.org") == (
        "the signature is not one of ann@example.org for this file"
    )
    assert refused(file, both, identity="nobody") == "the signature is not one of nobody for this file"


def test_a_signature_of_something_else_does_not_pass(file: Path, tmp_path: Path) -> None:
    ann = key(tmp_path, "ann")
    subprocess.run(["ssh-keygen", "-Y", "sign", "-q", "-n", "git", "-f", str(ann), str(file)], check=True)
    assert "the signature is not one of ann" in refused(file, allowed(tmp_path, ann=ann))


@pytest.mark.parametrize("contents", ["", "rubbish", "-----BEGIN SSH SIGNATURE-----\nAAAA\n"])
def test_a_signature_that_is_none_is_refused(file: Path, tmp_path: Path, contents: str) -> None:
    ann = key(tmp_path, "ann")
    signature.beside(file).write_text(contents)
    assert "the key of its signature is not in " in refused(file, allowed(tmp_path, ann=ann))
    assert "the signature is not one of ann" in refused(file, allowed(tmp_path, ann=ann), identity="ann")


def test_what_is_missing_is_named(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = key(tmp_path, "ann")
    signers = allowed(tmp_path, ann=ann)
    assert refused(file, signers) == "there is no record.html.sig beside it"
    signature.sign(file, str(ann))
    assert refused(file, tmp_path / "none") == f"there is no file {tmp_path / 'none'} of allowed signers"
    with pytest.raises(NotSigned, match="there is no key"):
        signature.sign(file, str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(file, signers) == "ssh-keygen is not there"
    with pytest.raises(NotSigned, match="ssh-keygen is not there\n  next: install"):
        signature.sign(file, str(ann))


def test_a_key_that_is_none_is_refused_in_ssh_keygens_own_words(file: Path) -> None:
    with pytest.raises(NotSigned) as caught:
        signature.sign(file, str(file))
    assert caught.value.found.endswith(f"not signed: ssh-keygen refused the key {file}")
    assert caught.value.details


def test_a_key_with_a_passphrase_never_waits_where_nobody_can_answer(file: Path, tmp_path: Path) -> None:
    locked = key(tmp_path, "ann", passphrase="open sesame")
    # Even where the process has a terminal: a notebook's kernel has that of the server it was started from.
    code, said = in_a_terminal(file, locked, stdin=subprocess.DEVNULL)
    assert code == 1
    assert "where the key has a passphrase, call again in a terminal" in said
    assert not signature.beside(file).exists()


def test_in_a_terminal_ssh_keygen_asks_for_the_passphrase_itself(file: Path, tmp_path: Path) -> None:
    locked = key(tmp_path, "ann", passphrase="open sesame")
    code, said = in_a_terminal(file, locked, answer=b"open sesame\n")
    assert (code, "Enter passphrase" in said) == (0, True)
    assert signature.signer(file, allowed(tmp_path, ann=locked)).startswith("ann@example.org, ")


def test_a_key_that_the_agent_holds_signs_by_its_public_half(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    ann = key(tmp_path, "ann")
    socket = tmp_path / "a"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        # Its socket is there a moment before it listens.
        eventually(lambda: subprocess.run(["ssh-add", "-q", str(ann)], check=False).returncode == 0)
        ann.unlink()
        signature.sign(file, str(ann.with_suffix(".pub")))
    finally:
        agent.terminate()
        agent.wait()
    assert signature.signer(file, allowed(tmp_path, ann=ann)).startswith("ann@example.org, ")


# Its output is the terminal; the input may be another.
SIGN = """
import fcntl, pathlib, sys, termios
from pgrunbook import signature
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
signature.sign(pathlib.Path(sys.argv[1]), sys.argv[2])
"""


def in_a_terminal(file: Path, key: Path, *, answer: bytes = b"", stdin: int | None = None) -> tuple[int, str]:
    """Sign in a process with a terminal of its own, answer its question; return its end and what it said there."""
    ours, its = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", SIGN, str(file), str(key)],
        stdin=its if stdin is None else stdin, stdout=its, stderr=its, start_new_session=True,
    )  # fmt: skip
    os.close(its)
    said = b""
    # Linux ends the reading of a terminal that nobody has open any more with an error.
    with contextlib.suppress(OSError):
        while read := os.read(ours, 4096):
            said += read
            if answer and b"passphrase" in said:
                os.write(ours, answer)
                answer = b""
    os.close(ours)
    return child.wait(), said.decode(errors="replace")
