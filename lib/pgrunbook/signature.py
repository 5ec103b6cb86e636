"""The signature of a record: made with the operator's SSH key, and verified offline, both by ssh-keygen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pgrunbook.errors import NotSigned, SignatureRefused

__all__ = ["NAMESPACE", "beside", "sign", "signer"]

# A signature of something else, such as a commit or a login, does not pass for one of a record.
NAMESPACE = "pgrunbook-record"
_MISSING = "ssh-keygen is not there"
_INSTALL = "install OpenSSH's client (Debian: openssh-client; 8.2 or newer)"
# Without a terminal nobody can touch a security key or answer an agent.
_ALONE_S = 60


def beside(file: Path) -> Path:
    """Return where the signature of a file lies: its name with .sig."""
    return file.with_name(f"{file.name}.sig")


def sign(file: Path, key: str) -> Path:
    """Sign a file with a private key, or with the agent's where `key` is a public one; return the signature.

    A passphrase is asked for by ssh-keygen itself, in a terminal; without one an encrypted key is refused. Raises
    NotSigned; then a signature that was there is as it was.
    """
    path = Path(key).expanduser()
    target = beside(file)

    def failed(found: str, next_step: str, details: Sequence[str] = ()) -> NotSigned:
        return NotSigned(file=str(file), found=found, details=details, next_step=next_step)

    if not path.is_file():
        raise failed(f"there is no key {path}", "name the file of a private SSH key, or of its public half")
    arguments = ["-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(path)]
    try:
        done = _ssh_keygen(arguments, file, may_ask=sys.stdin is not None and sys.stdin.isatty())
    except FileNotFoundError:
        raise failed(_MISSING, _INSTALL) from None
    except subprocess.TimeoutExpired:
        raise failed(f"ssh-keygen did not end within {_ALONE_S} s", "sign it in a terminal") from None
    if done.returncode or not done.stdout:
        raise failed(
            f"ssh-keygen refused the key {path}",
            "where the key has a passphrase, call again in a terminal, or give it to ssh-agent and name the .pub file",
            _lines(done.stderr or b""),
        )
    fresh = target.with_name(f".{target.name}")
    fresh.write_bytes(done.stdout)
    os.replace(fresh, target)
    return target


def signer(file: Path, allowed: Path, *, identity: str = "") -> str:
    """Return who signed a file, of those in `allowed` (ssh-keygen manual, ALLOWED SIGNERS), and with which key.

    Raises SignatureRefused where the signature is missing, of nobody who is allowed, of another file or of another
    than `identity`.
    """
    signature = beside(file)

    def refused(found: str, next_step: str, said: bytes = b"") -> SignatureRefused:
        return SignatureRefused(
            file=str(file), found=found, details=_lines(said) if said else (), next_step=next_step
        )

    if not signature.is_file():
        raise refused(
            f"there is no {signature.name} beside it",
            "ask who wrote it for the signature, or sign it: `pgrunbook record RUN --sign KEY`",
        )
    if not allowed.is_file():
        raise refused(
            f"there is no file {allowed} of allowed signers",
            "write one: `name@example.org ssh-ed25519 AAAA...`",
        )
    common = ["-f", str(allowed), "-s", str(signature)]
    try:
        names = [identity]
        if not identity:
            found = _ssh_keygen(["-Y", "find-principals", *common], None)
            names = [name for line in _lines(found.stdout) for name in line.split(",")]
            if found.returncode or not names:
                raise refused(
                    f"the key of its signature is not in {allowed}",
                    "ask for the signer's public key by another way, and compare",
                    found.stderr,
                )
        done = _ssh_keygen(["-Y", "verify", "-n", NAMESPACE, "-I", names[0], *common], file)
    except FileNotFoundError:
        raise refused(_MISSING, _INSTALL) from None
    except subprocess.TimeoutExpired:
        raise refused(f"ssh-keygen did not end within {_ALONE_S} s", "call again") from None
    if done.returncode:
        raise refused(
            f"the signature is not one of {names[0]} for this file",
            "do not trust it; take file and signature from where they were first kept",
            done.stderr + done.stdout,
        )
    key = re.search(rb"with (\S+) key (\S+)", done.stdout)
    return f"{names[0]}, {key[1].decode()} {key[2].decode()}" if key else names[0]


def _ssh_keygen(
    arguments: Sequence[str], file: Path | None, *, may_ask: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen with the file as its input; unless it may ask, without a terminal to ask in."""
    environment = dict(os.environ) | {"LC_ALL": "C"}
    if not may_ask:
        environment["SSH_ASKPASS_REQUIRE"] = "never"
    contents = file.read_bytes() if file else b""
    return subprocess.run(
        ["ssh-keygen", *arguments],
        input=contents,
        stdout=subprocess.PIPE,
        # A security key asks to be touched there.
        stderr=None if may_ask else subprocess.PIPE,
        env=environment,
        start_new_session=not may_ask,
        timeout=None if may_ask else _ALONE_S,
        check=False,
    )


def _lines(said: bytes) -> list[str]:
    return [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
