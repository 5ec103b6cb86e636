"""What updates leave to be merged into full-text indexes: merged before rows are locked, not by whoever comes next."""

from __future__ import annotations

from collections.abc import Iterable

from pgrunbook.session import Connection

__all__ = ["merge"]

TIMEOUT_MS = 30_000
# Only the owner of an index may (PostgreSQL manual, 9.28.8); where we are not, senders merge as ever.
_MERGE = """
WITH RECURSIVE part AS (
    SELECT to_regclass(name)::oid AS oid FROM unnest(%s::text[]) AS name
    UNION
    SELECT inhrelid FROM pg_inherits JOIN part ON inhparent = part.oid
)
SELECT coalesce(sum(gin_clean_pending_list(i.indexrelid)), 0)::bigint AS pages
FROM part
JOIN pg_index AS i ON i.indrelid = part.oid
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_am AS a ON a.oid = c.relam
WHERE a.amname = 'gin' AND c.relkind = 'i' AND i.indisvalid AND pg_has_role(c.relowner, 'USAGE')
"""


def merge(conn: Connection, tables: Iterable[str], *, lock_ms: int) -> int:
    """Merge the pending lists of the GIN indexes of tables, named as SQL spells them; return how many pages those had.

    Every new version of a row adds to them, and whoever fills one merges it while others wait for his rows. Nobody
    waits for this: a sender who meets it leaves the list to it. Raises LockNotAvailable.
    """
    with conn.transaction():
        conn.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}; SET LOCAL lock_timeout = {lock_ms}")
        row = conn.execute(_MERGE, (list(tables),)).fetchone()
    return row["pages"] if row else 0
