"""Names that a paper may use, from a real catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import papered
import pytest

from pgrunbook import scratch
from pgrunbook import server as embedded
from pgrunbook.papers import names
from pgrunbook.papers.names import Names


@pytest.fixture(scope="module")
def known(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    root: Path = tmp_path_factory.mktemp("changes")
    with scratch.applied(papered.write(root), server, root=root) as found:
        yield names.read(found.conn, found.after)


@pytest.mark.parametrize(
    "code",
    [
        "slip", "slip.box_id", "box_id", "slip_box_fkey", "slip.slip_box_idx", "own", "stop", "refuse()", "mood",
        "mood.zest", "zest", "P7001", "P7002", "23505", "42501", "uuid", "jsonb", "now()", "session_replication_role",
        "app.owner", "'app.owner'", "FOREIGN KEY (box_id, owner)", "ON DELETE CASCADE", "slip.owner = 12", "note <> ''",
        "mood = 'zest'", "SELECT ... FOR SHARE", "NULL", "true", "postgres", "box_id_owner_key",
    ],
)  # fmt: skip
def test_what_is_there_is_known(known: Names, code: str) -> None:
    assert known.unknown(code) == []


@pytest.mark.parametrize(
    ("code", "unknown"),
    [
        ("slop", ["slop"]),
        ("box.thing", ["box.thing"]),
        ("slip_box_key", ["slip_box_key"]),
        ("refused()", ["refused()"]),
        ("P7003", ["P7003"]),
        ("99999", ["99999"]),
        ("app.tenant", ["app.tenant"]),
        ("'app.tenant'", ["app.tenant"]),
        ("UNIQUELY (box_id)", ["UNIQUELY"]),
        ("slip.owner = box.holder", ["box.holder"]),
        ("mood.angry", ["mood.angry"]),
        ("a sentence of words", ["a", "sentence", "of", "words"]),
    ],
)
def test_what_is_not_there_is_unknown(known: Names, code: str, unknown: list[str]) -> None:
    assert known.unknown(code) == unknown
