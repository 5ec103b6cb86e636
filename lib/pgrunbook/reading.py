"""Reading: what a SELECT of the operator's finds in the target, as a table to look at."""

from __future__ import annotations

from typing import Any

import pandas as pd
import psycopg
import sqlalchemy
from psycopg.rows import tuple_row

from pgrunbook import session
from pgrunbook.errors import QueryRefused
from pgrunbook.target import Target

__all__ = ["select"]


def select(bound: Target, query: str) -> pd.DataFrame:
    """Return the rows of a query, asked in a read-only transaction over a connection of its own.

    Raises QueryRefused with the server's words, as for a statement that writes (SQLSTATE 25006).
    """

    def connect() -> psycopg.Connection[Any]:
        # SQLAlchemy asks for plain tuples and begins its own transactions.
        conn: psycopg.Connection[Any] = session.connect(bound, purpose="read")
        conn.autocommit = False
        conn.row_factory = tuple_row
        return conn

    # pandas warns about every other kind of connection.
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=connect, poolclass=sqlalchemy.NullPool)
    # To SQLAlchemy a colon begins a parameter; here it is only a colon.
    asked = sqlalchemy.text(query.replace(":", r"\:"))
    try:
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            return pd.read_sql(asked, connection)
    except (pd.errors.DatabaseError, sqlalchemy.exc.SQLAlchemyError) as error:
        found = error.__cause__ if isinstance(error, pd.errors.DatabaseError) else error
        reason = str(getattr(found, "orig", found)).splitlines()[0]
        raise QueryRefused(reason=reason) from None
