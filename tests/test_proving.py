"""Commands for records: what `record` writes and `verify FILE` answers, with their exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import forging
import pytest
from operating import AT_ONCE, Desk
from throwaway import NAME

from pgrunbook import proving, signature
from pgrunbook.history import WRITTEN


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        desk.write()
        assert desk("apply", NAME, *AT_ONCE).code == 0
        yield desk


def written(desk: Desk) -> Path:
    (file,) = desk.records.glob("*/record.html")
    return file


def test_a_record_holds_against_the_ledger_and_alone(desk: Desk) -> None:
    file = written(desk)
    said = desk("verify", str(file))
    assert (said.code, said.err) == (0, "")
    first, *parts = said.out.splitlines()
    assert first == f"{file}: holds, run {file.parent.name}"
    assert [line.split(":")[0].strip() for line in parts] == [
        "seal", "events", "scripts", "page", "ledger", "file",
    ]  # fmt: skip
    assert parts[-1].startswith("  file: the ledger knows it: written ")
    alone = desk("verify", str(file), "--file-alone", "--json")
    assert (alone.code, alone.facts["holds"], alone.facts["run"]) == (0, True, file.parent.name)
    assert alone.facts["parts"]["ledger"] == "not asked; name it with --target"
    assert desk("verify", str(file.with_suffix(".json"))).code == 0


def test_a_record_needs_no_target_no_folder_and_no_changes(desk: Desk, tmp_path: Path) -> None:
    copy = tmp_path / "copy.html"
    shutil.copy(written(desk), copy)
    shutil.rmtree(desk.records)
    shutil.rmtree(desk.changes)
    desk.more["PGRUNBOOK_TARGET"] = ""
    said = desk("verify", str(copy))
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith("\n  ledger: not asked; name it with --target\n")


def test_a_changed_byte_ends_with_exit_code_1_and_the_place(desk: Desk) -> None:
    file = written(desk)
    whole = file.read_bytes()
    at = whole.index(b"003_require_code", whole.index(b'<section id="steps">'))
    file.write_bytes(whole[:at] + b"9" + whole[at + 1 :])
    said = desk("verify", str(file))
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(
        f"RecordDiffers: {file} is not as it was written: its contents do not give the hash of its seal\n"
        f"  the page does not show what its facts give, from byte {at:,} on"
    )
    as_json = desk("verify", str(file), "--json")
    assert (as_json.code, as_json.facts["error"]) == (1, "RecordDiffers")
    assert f"from byte {at:,} on" in as_json.facts["details"][0]


@pytest.mark.parametrize(
    ("contents", "error", "found"),
    [
        (b"", "NoRecord", "it is empty"),
        (b"hello", "NoRecord", "it is without facts and seal"),
        (None, "NoRecord", "there is no such file"),
    ],
)
def test_a_file_that_is_no_record_is_refused(
    database: str, tmp_path: Path, contents: bytes | None, error: str, found: str
) -> None:
    file = tmp_path / "x.html"
    if contents is not None:
        file.write_bytes(contents)
    with Desk(database, tmp_path) as desk:
        said = desk("verify", str(file), "--json")
        folder = desk("verify", f"{tmp_path}")
    assert (said.code, said.facts["error"]) == (1, error)
    assert found in said.facts["found"]
    assert (folder.code, "it is a folder; name the record.html in it" in folder.err) == (1, True)


def test_a_forgery_that_holds_by_itself_is_found_against_the_ledger(desk: Desk) -> None:
    file = written(desk)
    forging.reseal(file, page=lambda page: page.replace("CHG-1234", "CHG-9999", 1))
    assert desk("verify", str(file), "--file-alone").code == 1
    shutil.rmtree(file.parent)
    assert desk("record", file.parent.name).code == 0
    forging.reseal(
        file,
        page=lambda page: page.replace("<!-- evidence -->\n", "<!-- evidence -->\n<p>All was well.</p>\n", 1),
    )
    assert desk("verify", str(file), "--file-alone").code == 0
    said = desk("verify", str(file))
    assert (said.code, said.out) == (1, "")
    assert "the ledger knows 2 records of this run, and this file is none of them" in said.err


def test_a_run_is_recorded_by_its_name_when_folder_and_change_are_lost(desk: Desk) -> None:
    run = written(desk).parent.name
    shutil.rmtree(desk.records)
    shutil.rmtree(desk.changes)
    said = desk("record", run)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{run}: done\nrecord: {desk.records / run / 'record.html'}\n"
    facts = desk("record", run, "--json").facts
    assert (facts["run"], facts["record"]) == (run, str(desk.records / run / "record.html"))
    assert (facts["signature"], facts["unknown_to_ledger"]) == ("", "")
    with desk.looking() as conn:
        told = conn.execute("SELECT actor FROM pgrunbook.event WHERE kind = %s", (WRITTEN,)).fetchall()
    assert [row["actor"] for row in told] == ["ann"] * 3


def test_a_run_that_is_not_there_is_told_with_those_that_are(desk: Desk) -> None:
    run = written(desk).parent.name
    said = desk("record", "nope", "--json")
    assert (said.code, said.facts["error"]) == (1, "UnknownName")
    assert (said.facts["found"], said.facts["next"]) == (
        "no run or change in the ledger named 'nope'",
        f"choose one of: {run}",
    )


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not there: openssh-client")
def test_a_record_is_signed_and_its_signer_is_asked_for(desk: Desk, tmp_path: Path) -> None:
    key, signers = tmp_path / "ann", tmp_path / "allowed_signers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers.write_text(f"ann@example.org {key.with_suffix('.pub').read_text()}")
    file = written(desk)
    said = desk("verify", str(file), "--signer", str(signers))
    assert (said.code, "there is no record.html.sig beside it" in said.err) == (1, True)
    said = desk("record", NAME, "--sign", str(key))
    assert said.out.splitlines()[-1] == f"signature: {signature.beside(file)}"
    assert "  signature: not looked at: " in desk("verify", str(file)).out
    said = desk("verify", str(file), "--signer", str(signers), "--identity", "ann@example.org")
    assert (said.code, said.err) == (0, "")
    assert "\n  signature: of ann@example.org, ED25519 SHA256:" in said.out
    # A record that is written anew is not the one that was signed.
    assert desk("record", NAME).code == 0
    assert not signature.beside(file).exists()
    desk.more["PGRUNBOOK_SIGNING_KEY"] = str(tmp_path / "none")
    said = desk("record", NAME)
    assert (said.code, said.err.startswith(f"NotSigned: {file} is written, but it is not signed: ")) == (
        1,
        True,
    )


def test_a_record_that_cannot_be_printed_is_neither_written_nor_signed(desk: Desk) -> None:
    before = written(desk).read_bytes()
    said = desk("record", NAME, "--pdf", PGRUNBOOK_CHROMIUM="/nowhere/chromium")
    assert (said.code, said.err.startswith("NoBrowser: ")) == (1, True)
    assert written(desk).read_bytes() == before


def test_a_name_of_a_change_is_no_file(tmp_path: Path) -> None:
    file = tmp_path / "record"
    file.write_text("")
    assert [proving.names_file(text) for text in (NAME, str(file), "b.HTML", "x.json", "a/b")] == [
        False, True, True, True, True,
    ]  # fmt: skip


def test_the_facts_of_an_answer_are_json(desk: Desk) -> None:
    said = desk("verify", str(written(desk)), "--json")
    assert json.loads(said.out)["source"] == "ledger"
