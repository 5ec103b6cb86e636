"""The seal of a record: its facts inside the page, and one hash over every other byte of the file."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import re
import zlib
from dataclasses import dataclass

from pgrunbook.errors import NoRecord

__all__ = ["Sealed", "close", "held"]

_FACTS = "<!-- facts: gzip, base64\n"
_FACTS_END = "\n-->\n"
_SEAL = re.compile(rb"<!-- sealed: sha256 ([0-9a-f]{64}) -->\n")
_SEAL_BEGINS = b"<!-- sealed: sha256 "
_SEAL_ENDS = b" -->\n"
_SEAL_BYTES = len(_SEAL_BEGINS) + 64 + len(_SEAL_ENDS)
_LINE = 4000
# 10,000 events take a hundredth of it: a file may claim to unpack to anything.
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A record's file taken apart; the facts are None where they cannot be read."""

    page: str
    facts: str | None
    facts_from: int
    """Where the block of facts begins in the file, in bytes."""
    broken: str
    """What is wrong with the seal, empty where it holds."""
    sha256: str
    """Of the whole file, as sha256sum tells it."""


def close(page: str, facts: str) -> bytes:
    """Return the file of a record: the page, its facts as inert data, and the seal as its last line.

    The same page and facts give the same bytes. Facts may be taken out without this library: base64 between the
    two lines of the comment, then gunzip.
    """
    packed = base64.b64encode(gzip.compress(facts.encode("utf-8", "surrogateescape"), mtime=0)).decode(
        "ascii"
    )
    lines = "\n".join(packed[at : at + _LINE] for at in range(0, len(packed), _LINE))
    body = f"{page.rstrip()}\n{_FACTS}{lines}{_FACTS_END}".encode()
    return body + _SEAL_BEGINS + _digest(body).encode() + _SEAL_ENDS


def _digest(body: bytes) -> str:
    """Return the hash of every byte but those of the hash itself."""
    return hashlib.sha256(body + _SEAL_BEGINS + _SEAL_ENDS).hexdigest()


def held(data: bytes, *, file: str) -> Sealed:
    """Return the parts of a record's file and whether its seal holds.

    Raises NoRecord for a file that is empty or has neither facts nor a seal.
    """
    if not data:
        raise NoRecord(file=file, found="it is empty")
    begins = data.rfind(_FACTS.encode().rstrip())
    if begins < 0 and _SEAL_BEGINS not in data:
        cut = data.lstrip().lower().startswith(b"<!doctype html>")
        raise NoRecord(
            file=file,
            found=f"{'after byte ' + format(len(data), ',') + ' it ends' if cut else 'it is'} without facts and seal",
        )
    page = data if begins < 0 else data[:begins]
    broken = _broken(data)
    last = data.find(_FACTS_END.encode(), max(begins, 0))
    ends = last + len(_FACTS_END)
    if min(begins, last) >= 0 and not broken and ends != len(data) - _SEAL_BYTES:
        broken = f"something stands between its facts and its seal, from byte {ends:,} on"
    return Sealed(
        page=page.decode("utf-8", "replace"),
        facts=_unpacked(data[begins:]) if begins >= 0 else None,
        facts_from=begins if begins >= 0 else len(data),
        broken=broken,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _broken(data: bytes) -> str:
    """Return what is wrong with the seal in one clause, empty where it holds."""
    last = data[-_SEAL_BYTES:]
    if (found := _SEAL.fullmatch(last)) and found[1].decode() == _digest(data[:-_SEAL_BYTES]):
        return ""
    unix = data.replace(b"\r\n", b"\n")
    if unix != data and not _broken(unix):
        first = data.find(b"\r\n")
        return f"its line endings were changed: the first carriage return stands at byte {first:,}"
    if found:
        return "its contents do not give the hash of its seal"
    seals = list(_SEAL.finditer(data))
    if seals and (after := len(data) - seals[-1].end()):
        whole = not _broken(data[: seals[-1].end()])
        rest = "; what is before them is whole" if whole else ""
        follow = "1 byte follows" if after == 1 else f"{after:,} bytes follow"
        return f"{follow} the seal, from byte {seals[-1].end():,} on{rest}"
    begins = data.rfind(_SEAL_BEGINS)
    if begins >= 0:
        return f"its last line, from byte {begins:,} on, is not in the form of a seal"
    return f"it ends at byte {len(data):,} without a seal"


def _unpacked(block: bytes) -> str | None:
    """Return the facts of a block; None where any byte of it is not as it was written."""
    text = block.decode("utf-8", "replace")
    end = text.find(_FACTS_END)
    if not text.startswith(_FACTS) or end < 0:
        return None
    try:
        packed = base64.b64decode(text[len(_FACTS) : end].replace("\n", ""), validate=True)
        unpacking = zlib.decompressobj(wbits=31)
        facts = unpacking.decompress(packed, _MOST_BYTES)
        whole = unpacking.eof and not unpacking.unused_data
        return facts.decode("utf-8", "surrogateescape") if whole else None
    except (binascii.Error, zlib.error, ValueError):
        return None
