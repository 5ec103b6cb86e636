"""The archive: the text of every script of a run, kept in the ledger under its SHA-256."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pgrunbook import session
from pgrunbook.session import Connection

__all__ = ["keep", "texts"]


def keep(conn: Connection, scripts: Mapping[str, str]) -> int:
    """Write the scripts, by SHA-256, that the ledger does not keep yet; return how many that were."""
    known = session.value(
        conn, "SELECT array_agg(sha256) FROM pgrunbook.script WHERE sha256 = ANY (%s)", (list(scripts),)
    )
    missing = {sha256: text.encode() for sha256, text in scripts.items() if sha256 not in (known or ())}
    if missing:
        conn.execute(
            "INSERT INTO pgrunbook.script (sha256, content)"
            " SELECT * FROM unnest(%s::text[], %s::bytea[]) ON CONFLICT DO NOTHING",
            (list(missing), list(missing.values())),
        )
    return len(missing)


def texts(conn: Connection, wanted: Collection[str]) -> dict[str, str]:
    """Return the texts that the ledger keeps under these hashes; none where it is older than its archive.

    Nothing here is proof: whoever shows a text compares its `evidence.sha256_of` with the one that an event tells.
    """
    there = "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'pgrunbook' AND tablename = 'script')"
    if not wanted or not session.value(conn, there):
        return {}
    found = session.rows(conn, "ledger_scripts", {"sha256": list(wanted)})
    return {row["sha256"]: bytes(row["content"]).decode("utf-8", "surrogateescape") for row in found}
