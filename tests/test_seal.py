"""The seal of a record: every change of its bytes is found, and told by what it is."""

from __future__ import annotations

import base64
import gzip
import random

import pytest

from pgrunbook import seal
from pgrunbook.errors import NoRecord

pytestmark = pytest.mark.static

PAGE = '<!DOCTYPE html>\n<html lang="en"><body>größe</body>\n</html>\n'
FACTS = '{"what": "größe \udcff", "n": 1.50}\n' * 40
WHOLE = seal.close(PAGE, FACTS)
SEAL = 89  # its bytes


def broken(data: bytes) -> str:
    return seal.held(data, file="record.html").broken


def test_page_and_facts_come_back_as_they_were_sealed() -> None:
    held = seal.held(WHOLE, file="record.html")
    assert (held.page, held.facts, held.broken) == (PAGE, FACTS, "")
    assert held.facts_from == len(PAGE.encode())
    assert seal.close(PAGE, FACTS) == WHOLE


def test_the_facts_can_be_taken_out_without_this_library() -> None:
    block = WHOLE.split(b"<!-- facts: gzip, base64\n")[1].split(b"\n-->")[0]
    assert gzip.decompress(base64.b64decode(block)).decode("utf-8", "surrogateescape") == FACTS


def test_the_facts_are_inert_and_small() -> None:
    assert b"<script" not in WHOLE
    assert len(WHOLE) < len(FACTS.encode("utf-8", "surrogateescape")) / 2


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (WHOLE + b"\n", f"1 byte follows the seal, from byte {len(WHOLE):,} on; what is before them is whole"),
        (WHOLE + b"<p>", f"3 bytes follow the seal, from byte {len(WHOLE):,} on; what is before them is whole"),
        (WHOLE.replace(b"\n", b"\r\n"), "its line endings were changed: the first carriage return stands at byte 15"),
        (WHOLE[:-1], f"its last line, from byte {len(WHOLE) - SEAL:,} on, is not in the form of a seal"),
        (WHOLE[:-40], f"its last line, from byte {len(WHOLE) - SEAL:,} on, is not in the form of a seal"),
        (WHOLE[:-95], f"it ends at byte {len(WHOLE) - 95:,} without a seal"),
        (WHOLE[:-SEAL] + WHOLE[-SEAL:].upper(), f"it ends at byte {len(WHOLE):,} without a seal"),
        (
            WHOLE[:-70] + WHOLE[-70:-5].upper() + WHOLE[-5:],
            f"its last line, from byte {len(WHOLE) - SEAL:,} on, is not in the form of a seal",
        ),
        (WHOLE.replace("ö".encode(), b"oe"), "its contents do not give the hash of its seal"),
        (b" " + WHOLE, "its contents do not give the hash of its seal"),
        (b"\xef\xbb\xbf" + WHOLE, "its contents do not give the hash of its seal"),
    ],
)  # fmt: skip
def test_what_happened_to_a_file_is_told(data: bytes, found: str) -> None:
    assert data != WHOLE
    assert broken(data) == found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "it is empty"),
        (b"\x89PNG", "it is without facts and seal"),
        (b"<html>hello</html>", "it is without facts and seal"),
        (WHOLE[:60], "after byte 60 it ends without facts and seal"),
    ],
)
def test_a_file_that_is_no_record_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(NoRecord) as caught:
        seal.held(data, file="record.html")
    assert caught.value.found == f"record.html is no record of a run, or no longer: {found}"


def test_nothing_may_stand_between_the_facts_and_the_seal() -> None:
    style = b"<style>header { display: none }</style>\n"
    body = WHOLE[:-SEAL] + style
    forged = body + b"<!-- sealed: sha256 " + seal._digest(body).encode() + b" -->\n"
    assert broken(forged) == (
        f"something stands between its facts and its seal, from byte {len(WHOLE) - SEAL:,} on"
    )


@pytest.mark.parametrize("seed", range(4))
def test_every_change_of_a_byte_is_found(seed: int) -> None:
    by = random.Random(seed)
    for _ in range(500):
        at, other = by.randrange(len(WHOLE)), by.randrange(len(WHOLE))
        low, high = sorted((at, other))
        for data in (
            WHOLE[:at] + bytes([WHOLE[at] ^ (1 << by.randrange(8))]) + WHOLE[at + 1 :],
            WHOLE[:at] + WHOLE[at + 1 :],
            WHOLE[:at] + bytes([by.randrange(256)]) + WHOLE[at:],
            WHOLE[:low] + WHOLE[high : high + 1] + WHOLE[low + 1 : high] + WHOLE[low : low + 1] + WHOLE[high + 1 :],
        ):  # fmt: skip
            if data != WHOLE:
                assert _found(data)


def test_each_byte_of_the_seal_itself_is_guarded() -> None:
    for at in range(len(WHOLE) - SEAL, len(WHOLE)):
        for value in range(256):
            if value != WHOLE[at]:
                assert _found(WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :])


@pytest.mark.parametrize("length", [0, 1, 20, 60, *range(100, len(WHOLE), 37)])
def test_every_truncation_is_found(length: int) -> None:
    assert _found(WHOLE[:length])


@pytest.mark.parametrize(
    "facts", [b"", b"!!!!", base64.b64encode(b"no gzip"), base64.b64encode(gzip.compress(b"x")[:-3])]
)
def test_facts_that_cannot_be_read_are_none(facts: bytes) -> None:
    data = b"<!-- facts: gzip, base64\n" + facts + b"\n-->\n"
    assert seal.held(PAGE.encode() + data, file="x").facts is None


def test_facts_that_would_fill_the_memory_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "_MOST_BYTES", 1000)
    assert seal.held(WHOLE, file="x").facts is None


def _found(data: bytes) -> bool:
    try:
        return bool(broken(data))
    except NoRecord:
        return True
