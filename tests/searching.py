"""Looking for a secret in anything: however it is spelled, and inside what is packed into something else."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pypdf

DEEP = 5
_RUN = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
_PACKED = re.compile(rb"\x1f\x8b\x08|x[\x01\x5e\x9c\xda]")
_TOKEN = re.compile(rb"%[0-9a-fA-F]{2}|\\u00[0-9a-fA-F]{2}|\\x[0-9a-fA-F]{2}|&#x?[0-9a-fA-F]{1,4};")


def holds(held: bytes, secret: str) -> bool:
    """Return whether a secret is in there in any spelling: escaped, encoded, packed, or several of these."""
    looked_for = spellings(secret)
    return any(one in part for part in layers(held) for one in looked_for)


def spellings(secret: str) -> set[bytes]:
    """Return the secret as it is, turned to Base64 from each of three starts, and in hexadecimal digits."""
    plain = secret.encode()
    inner = set()
    for shift, touched in enumerate((0, 2, 3)):
        digits = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
        inner.add(digits[touched : len(digits) - bool((shift + len(plain)) % 3)])
    return {plain, plain.hex().encode(), plain.hex().upper().encode(), *inner}


def layers(held: bytes, deep: int = DEEP) -> Iterator[bytes]:
    """Yield what is held, and all that can be unpacked from it."""
    yield held
    if not deep:
        return
    if _TOKEN.search(held):
        yield from layers(_TOKEN.sub(_character, held), deep - 1 if deep > 2 else 0)
    for found in _PACKED.finditer(held):
        with_header = 47
        try:
            yield from layers(
                zlib.decompressobj(with_header).decompress(held[found.start() :], 50_000_000), deep - 1
            )
        except zlib.error:
            continue
    if b"IDAT" in held:
        # The data of a picture may be in several pieces.
        pieces = [
            held[at.end() : at.end() + int.from_bytes(held[at.start() - 4 : at.start()])]
            for at in re.finditer(b"IDAT", held)
        ]
        yield b"".join(_unpacked(b"".join(pieces)))
    for run in _RUN.findall(held):
        try:
            decoded = base64.b64decode(
                run.rstrip(b"=") + b"=" * (-len(run.rstrip(b"=")) % 4),
                altchars=b"-_" if set(run) & set(b"-_") else None,
            )
        except ValueError:
            continue
        if (
            len(decoded) > 100_000
            or _PACKED.search(decoded[:4])
            or decoded.isascii()
            or b"PNG" in decoded[:8]
        ):
            yield from layers(decoded, deep - 1)


def _unpacked(packed: bytes) -> Iterator[bytes]:
    try:
        yield zlib.decompress(packed)
    except zlib.error:
        return


def _character(found: re.Match[bytes]) -> bytes:
    digits = found[0].strip(b"%\\ux&#;")
    number = int(digits) if found[0].startswith(b"&#") and b"x" not in found[0] else int(digits, 16)
    return chr(number).encode() if number < 128 else found[0]


def of(path: Path) -> bytes:
    """Return a file's bytes, and the text of a PDF, whose letters are numbers of glyphs."""
    held = path.read_bytes()
    if path.suffix == ".pdf":
        text = "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
        # Without ligatures.
        held += unicodedata.normalize("NFKC", text).encode()
    return held


def ways(secret: str) -> dict[str, bytes]:
    """Return the secret in everything that the search has to see through, by name."""
    plain = secret.encode()
    page = (
        b"<img src='data:image/png;base64,"
        + base64.b64encode(b"\x89PNG" + zlib.compress(b"x" * 50 + plain))
        + b"'>"
    )
    return {
        "plain": b"x" + plain + b"y",
        "percent": "".join(f"%{byte:02x}" for byte in plain).encode(),
        "quoted": quote(f"password={secret}").encode(),
        "json": "".join(f"\\u{ord(letter):04x}" for letter in secret).encode(),
        "json in json": json.dumps(json.dumps({"a": secret})).encode(),
        "entities": "".join(f"&#{ord(letter)};" for letter in secret).encode(),
        **{f"base64 after {n}": base64.b64encode(b"z" * n + plain + b"z" * 30) for n in range(4)},
        "hexadecimal": plain.hex().encode(),
        "deflate": b"stream\n" + zlib.compress(b"a" * 100 + plain) + b"\nendstream",
        "picture in a page": page,
        "page in an archive": zlib.compress(page),
    }
