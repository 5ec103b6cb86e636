"""Masks: passwords and, on request, every literal value are taken out of texts from outside."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgrunbook import masking
from pgrunbook.masking import Mask, literals, passwords

pytestmark = pytest.mark.static

SECRET = "Zx9wv"
ANNOUNCED = [
    "postgresql://ann:{}@db1/shop",
    "postgres://ann:{}@db1:5432,db2/shop?sslmode=require",
    "postgresql+psycopg://:{}@/shop",
    "https://ann:{}@files.example/x",
    "postgresql://db1/shop?user=ann&password={}",
    "postgresql://db1/shop?sslpassword={}&x=1",
    "postgresql%3A%2F%2Fann%3A{}%40db1%2Fshop",
    "https://x.example/?to=postgresql%3A%2F%2Fann%3A{}%40db1%2Fshop&b",
    "host=db1 password={} dbname=shop",
    "host=db1 password = '{}' dbname=shop",
    "host=db1 sslpassword='a \\' {}' dbname=shop",
    'invalid connection option in "host=db1 password={}"',
    "PGPASSWORD={} pg_dump shop",
    "export PGPASSWORD='{}'; psql",
    'connection to "password={} host=x" failed',
    "ALTER ROLE ann PASSWORD '{}'",
    "ALTER ROLE ann WITH ENCRYPTED PASSWORD 'a''{}'",
    "ALTER USER ann PASSWORD E'a\\'{}' VALID UNTIL 'infinity'",
    "ALTER USER ann PASSWORD'{}'",
    "ALTER USER ann PASSWORD U&'\\0061{}'",
    "CREATE ROLE ann LOGIN PASSWORD $p${}$p$",
    "CREATE ROLE ann LOGIN PASSWORD 'a'\n   '{}'",
    "ALTER ROLE ann PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==${}:x'",
    "the verifier is SCRAM-SHA-256$4096:c2FsdA==${}:x",
    "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'ann', password '{}')",
    "ALTER USER MAPPING FOR u SERVER s OPTIONS (SET password '{}')",
    "CREATE USER MAPPING FOR u SERVER s OPTIONS (\"password\" '{}')",
    "CREATE SERVER s FOREIGN DATA WRAPPER aws OPTIONS (secret_access_key '{}')",
    "CREATE SUBSCRIPTION s CONNECTION 'host=db1 password={} dbname=shop' PUBLICATION p",
    "CREATE SUBSCRIPTION s CONNECTION 'host=db1 password=''a {}'' dbname=shop' PUBLICATION p",
    "CREATE SUBSCRIPTION s CONNECTION E'host=db1 password=\\'a {}\\' dbname=shop' PUBLICATION p",
    "CREATE SUBSCRIPTION s CONNECTION 'postgresql://ann:it''s{}@db1/shop' PUBLICATION p",
    "SELECT dblink_connect('host=db1 user=ann password={}')",
    "SELECT * FROM dblink('postgresql://ann:{}@db1/shop', 'SELECT 1') AS t (a int)",
    "COPY t FROM PROGRAM 'PGPASSWORD={} psql -c \"TABLE t\" shop'",
    "COPY t TO PROGRAM 'curl -H \"Authorization: Bearer {}\" https://x.example'",
    "UPDATE users SET password = '{}' WHERE id = 1",
    "UPDATE users SET password_hash = crypt('{}', gen_salt('bf')) WHERE id = 1",
    "SELECT * FROM users WHERE password IN ('a', '{}')",
    "SELECT * FROM users WHERE password LIKE '{}%'",
    "SELECT * FROM users WHERE password <> '{}'",
    'UPDATE users SET settings = \'{{"password": "{}"}}\'',
    '{{"name": "ann", "password": "a\\"{}"}}',
    '{{\\"password\\": \\"{}\\"}}',
    "SELECT f(password => '{}')",
    "SELECT f(password := '{}')",
    "LINE 1: ALTER ROLE ann PASSWORD \"{}\" PASSWORD '{}'".replace('"{}" ', ""),
    "Key (api_key)=({}) already exists.",
    "Key (id, api_key)=(1, {}) is not present in table",
    "password: {}",
    "X-Api-Key: {}",
    "curl -H 'X-Api-Key: {}' https://x.example",
    "Authorization: Basic {}",
    "tool --password {} --verbose",
    "host=db1 pass={} user=ann",
    "-----BEGIN RSA PRIVATE KEY-----\nabc\n{}\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("text", ANNOUNCED)
def test_an_announced_password_is_taken_out(text: str) -> None:
    shown = passwords(text.format(SECRET))
    assert SECRET not in shown
    assert "***" in shown
    assert passwords(shown) == shown


@pytest.mark.parametrize("text", ANNOUNCED)
def test_so_is_one_that_was_cut_off_anywhere(text: str) -> None:
    whole = text.format(SECRET)
    first = whole.index(SECRET)
    for end in range(first + 1, len(whole) + 1):
        shown = passwords(whole[:end])
        assert whole[first:end][: len(SECRET)] not in shown.replace("***", ""), whole[:end]


@pytest.mark.parametrize("text", ANNOUNCED)
def test_so_is_one_in_the_middle_of_other_lines_and_within_json(text: str) -> None:
    line = f"ERROR:  it failed\nDETAIL:  {text.format(SECRET)}\nHINT:  none"
    assert SECRET not in passwords(line)
    assert SECRET not in passwords(quote(text.format(SECRET)))
    if not set('\\"\n') & set(text):
        assert SECRET not in passwords(json.dumps({"said": text.format(SECRET)}))


WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="'\"\\$%*"), min_size=4
)


@given(WORDS)
@example("00()")
@example("a(b(c)")
def test_whatever_the_password_is(secret: str) -> None:
    secret = f"{SECRET}{secret}{SECRET}"
    for text in ("host=x password={} dbname=y", "ALTER ROLE a PASSWORD '{}' LOGIN", "postgresql://a:{}@b/c"):
        assert SECRET not in passwords(text.format(secret)), text


@given(st.text("password='\"\\ @:/%$*?&=PGsecrt{}()\n"))
def test_masking_again_changes_nothing_that_holds_no_new_secret(text: str) -> None:
    once = passwords(text)
    assert len(passwords(once)) <= len(once) + 10


@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  password authentication failed for user "dba"',
        "check user and password: PGRUNBOOK_TARGET, PGPASSWORD or .pgpass",
        "fe_sendauth: no password supplied",
        "write it as `host=... dbname=... user=...`, as `postgresql://...`, or as `service=NAME`",
        "ALTER ROLE ann PASSWORD NULL",
        "SELECT id FROM users WHERE password IS NOT NULL AND name = 'ann'",
        "see https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNSTRING",
        'connection to server at "db1" (10.0.0.1), port 5432 failed: Connection refused',
        "SELECT count(*), 'secret' FROM things WHERE kind = 'password' OR kind = 'x'",
        "50 % of 100%d, %s and %%",
        "reading a monkey's turkey: 'token ring'",
        "",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert passwords(text) == text


def test_what_stands_around_a_password_can_still_be_read() -> None:
    assert passwords("ALTER ROLE ann PASSWORD 'x' VALID UNTIL '2027-01-01'") == (
        "ALTER ROLE ann PASSWORD '***' VALID UNTIL '2027-01-01'"
    )
    assert passwords("OPTIONS (user 'ann', password 'x', host 'db1')") == (
        "OPTIONS (user 'ann', password '***', host 'db1')"
    )
    assert passwords("CONNECTION 'host=x password=''a b'' dbname=y' PUBLICATION p") == (
        "CONNECTION 'host=x password=''***'' dbname=y' PUBLICATION p"
    )


@pytest.mark.parametrize(
    "text",
    [
        "password" * 12_000, "postgres://a:" * 8_000, "x://a:" * 16_000, "password='" * 10_000, "%70" * 33_000,
        "a" * 100_000 + "pass", "password$" * 11_000, "password" + " " * 100_000, "password '" + "''," * 30_000,
        "password" + "'\n" * 50_000, "$a$" * 33_000 + "password", "password=\\'" * 10_000,
        "(secret)=(" * 10_000, "(secret" * 14_000, "--secret " * 11_000, "secret: " * 12_000,
        "".join(f"$t{n}$ " for n in range(12_000)), "'" * 100_000 + "pass",
    ],
)  # fmt: skip
def test_a_hostile_text_of_100_kb_takes_no_time(text: str) -> None:
    began = time.perf_counter()
    passwords(text)
    literals(text)
    assert time.perf_counter() - began < 10


# --- literal values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT * FROM t WHERE a = 'Zx9wv' AND b IN (1, 2.5, 1e9) LIMIT 10",
         "SELECT * FROM t WHERE a = ? AND b IN (?, ?, ?) LIMIT ?"),
        ("SELECT E'Zx9\\'wv', B'01', X'AF', U&'\\0061', $q$Zx9wv$q$, N'Zx', true, NULL, $1",
         "SELECT ?, ?, ?, ?, ?, N?, ?, NULL, $1"),
        ("/* Zx9wv */ SELECT 1 -- Zx9wv\n, 2", "/* ? */ SELECT ? -- ?\n, ?"),
        ("COMMENT ON TABLE t IS 'Zx9wv'", "COMMENT ON TABLE t IS ?"),
        ("DO $$ BEGIN PERFORM 'Zx9wv'; END $$", "DO ?"),
        ("NOTIFY c, 'Zx9wv'", "NOTIFY c, ?"),
        ("ALTER ROLE ann PASSWORD 'Zx9wv'", "ALTER ROLE ann PASSWORD ?"),
        ('SELECT "Name", café FROM "S".t2 WHERE "é" = \'Zx9wvé\'', 'SELECT "Name", café FROM "S".t2 WHERE "é" = ?'),
        ("autovacuum: VACUUM public.t (to prevent wraparound)", "autovacuum: VACUUM public.t (to prevent wraparound)"),
        ("<insufficient privilege>", "<insufficient privilege>"),
        ("SELEKT 'Zx9wv' FORM 5", "SELEKT ? FORM ?"),
        # Cut off, as the server does at track_activity_query_size.
        ("UPDATE t SET a = 'Zx9w", "UPDATE t SET a = ?"),
        ("UPDATE t SET a = E'Zx9w\\", "UPDATE t SET a = ?"),
        ("SELECT 1 /* Zx9w", "SELECT ? /* ? */"),
        ("DO $do$ BEGIN Zx9w", "DO ?"),
        ('SELECT "na', 'SELECT "na'),
        # With standard_conforming_strings off, the first text ends two words later.
        ("SELECT 'a\\', Zx9wv, ' FROM t", "SELECT ? …"),
        ("SELECT 'a\\'' || 'Zx9wv' FROM t", "SELECT ? …"),
        ("SELECT E'\\u0', 'Zx9wv', $a$ x", "SELECT … (the rest cannot be read, and is not shown)"),
        ("'Zx9wv\udc80'", "… (the rest cannot be read, and is not shown)"),
    ],
)  # fmt: skip
def test_a_statement_without_its_values(query: str, shown: str) -> None:
    assert literals(query) == shown


@given(st.text("SELECT'\"$aE\\/*-; x1é", max_size=60), WORDS)
def test_no_literal_survives_any_cut(before: str, secret: str) -> None:
    secret = f"{SECRET}{secret}"
    whole = (
        f"UPDATE t SET a = '{secret}', b = $q${secret}$q$ /* {secret} */ WHERE c = E'\\'{secret}'; {before}"
    )
    for end in range(0, len(whole), 7):
        assert SECRET not in literals(whole[:end])


def test_a_mask_knows_its_secrets_however_they_are_spelled() -> None:
    secret = "p@s's \"w\\ö"
    mask = Mask((secret,))
    for spelled in (
        secret, secret.replace("'", "''"), quote(secret, safe=""), json.dumps(secret),
        secret.replace("\\", "\\\\").replace("'", "\\'"),
    ):  # fmt: skip
        assert mask.text(f"<{spelled}>").strip('<">') == "***"
    assert secret not in repr(mask)


def test_literals_are_masked_in_statements_alone_and_on_request_alone() -> None:
    assert Mask().query("SELECT 'a', password = 'b'") == "SELECT 'a', password = '***'"
    assert Mask(literals=True).query("SELECT 'a', password = 'b'") == "SELECT ?, password = ***"
    assert Mask(literals=True).text("it is 5 o'clock") == "it is 5 o'clock"


def test_a_whole_detail_is_masked_and_nothing_else_of_it_changes() -> None:
    detail = {"a": ["x", ("PASSWORD 'y'", 1)], "b": {"c": None, "d": 1.5}, "e": True}
    assert Mask().whole(detail) == {"a": ["x", ("PASSWORD '***'", 1)], "b": {"c": None, "d": 1.5}, "e": True}


def test_a_short_password_or_a_word_of_ours_spoils_nothing_that_a_run_says() -> None:
    digest = "abcd" * 16
    said = {"outcome": "done", "cluster": "system 7412345678, timeline 1", "sha256": digest, "note": "abc"}
    for secret in ("done", "1234", "abc", "abcd"):
        assert Mask((secret,)).whole(said) == said
        assert secret not in Mask((secret,)).text(f"host=x password={secret}").removeprefix("host=x password")
    assert Mask(("1234",)).text("it is 1234") == "it is ***"
    assert Mask((digest,)).whole(digest) == "***"


def test_of_many_dollar_tags_the_last_few_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(masking, "_scanned", lambda _query, closed: tried.append(closed))
    literals("SELECT " + "".join(f"$tried{n}$ " for n in range(1000)))
    assert len(tried) == 13
    assert tried[5].endswith("$tried999$")
