"""Targets: where a connection string leads, in words that never hold a password."""

from __future__ import annotations

import pickle
import traceback

import pytest

from pgrunbook import target
from pgrunbook.errors import BadTarget, NoTarget
from pgrunbook.target import Kind, Target

pytestmark = pytest.mark.static

SECRET = "sw0rdfish"


@pytest.mark.parametrize("environment", [{}, {"PGRUNBOOK_TARGET": ""}, {"PGRUNBOOK_TARGET": " \n"}])
def test_nothing_defaults_to_a_live_target(environment: dict[str, str]) -> None:
    with pytest.raises(NoTarget):
        target.from_environment(environment)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("service=shop", "service shop"),
        ("service=shop dbname=other", "service shop"),
        ("dbname=shop", "database 'shop' on the default host"),
        ("host=db1", "the default database on db1"),
        ("host=db1 dbname=shop user=dba password=sw0rdfish", "database 'shop' on db1 as 'dba'"),
        ("host=db1,db2 port=5433 dbname=shop", "database 'shop' on db1,db2:5433"),
        ("hostaddr=10.0.0.1 dbname=shop", "database 'shop' on 10.0.0.1"),
        ("host=/var/run/postgresql port=5433 dbname=shop", "database 'shop' on the local socket"),
        ("postgresql://dba:sw0rdfish@db1:5433/shop?sslmode=require", "database 'shop' on db1:5433 as 'dba'"),
        ("postgres://db1/shop", "database 'shop' on db1"),
        ("  dbname='my shop'  ", "database 'my shop' on the default host"),
    ],
)
def test_a_connection_string_is_read_as_libpq_reads_it(text: str, where: str) -> None:
    bound = target.from_environment({"PGRUNBOOK_TARGET": text})
    assert (bound.kind, bound.where) == (Kind.LIVE, where)
    assert SECRET not in repr(bound) + str(bound) + bound.where


@pytest.mark.parametrize(
    "text",
    [
        "dba:sw0rdfish@db1/shop",
        "host=db1 pasword=sw0rdfish",
        "password='sw0rdfish",
        "host=db1 password = sw0rdfish with blanks",
        "postgresql://dba:sw0rdfish@[db1/shop",
        "postgresql://dba:sw0rdfish%zz@db1/shop",
        "postgresql://db1/shop?password=sw0rdfish%ff",
        "postgresql://db1/shop?password=sw0rdfish&nonsense=1",
        "mysql://dba:sw0rdfish@db1/shop",
        "dbname=postgresql://dba:sw0rdfish@db1/shop",
        "dbname='host=db1 password=sw0rdfish'",
        "sw0rdfish",
        "=sw0rdfish",
    ],
)
def test_what_libpq_cannot_read_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(BadTarget) as caught:
        target.from_environment({"PGRUNBOOK_TARGET": text})
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    # The test's own source lines are no part of what an operator sees.
    shown = "\n".join(line for line in shown.splitlines() if 'PGRUNBOOK_TARGET": text' not in line)
    assert SECRET not in shown
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_passwords_are_taken_out_of_texts() -> None:
    bound = Target(Kind.LIVE, "dbname=shop password='sw0rd fish' sslpassword=key9")
    assert bound.redacted("sw0rd fish, key9 and sw0rd fish") == "***, *** and ***"
    assert Target(Kind.LIVE, "dbname=shop").redacted("nothing to hide") == "nothing to hide"
    assert Target(Kind.LIVE, "dbname=shop password=''").redacted("abc") == "abc"
    assert Target(Kind.LIVE, "postgresql://dba:sw0rd%20fish@db1/shop").redacted("a sw0rd fish") == "a ***"


def test_a_rehearsal_is_named_as_one() -> None:
    bound = target.rehearsal("host=/tmp/x dbname=y")
    assert (bound.kind, bound.where) == (Kind.REHEARSAL, "the rehearsal database")


def test_a_target_is_a_value() -> None:
    bound = Target(Kind.LIVE, "dbname=shop")
    assert pickle.loads(pickle.dumps(bound)) == bound
    assert hash(bound) == hash(Target(Kind.LIVE, "dbname=shop"))
    assert bound != Target(Kind.REHEARSAL, "dbname=shop")
