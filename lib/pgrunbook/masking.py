"""Masks: what keeps passwords, and on request every literal value, out of texts that come from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import postgast
from google.protobuf.message import DecodeError
from postgast import pg_query_pb2 as grammar

__all__ = ["Mask", "literals", "passwords"]

STARS = "***"
# Whether a second, slower look is worth while.
_SIGN = re.compile(
    r"pass|pwd|secret|api[_-]?key|authorization|access_?key|_key\b|token|://|%[0-9a-f]{2}|scram-|md5|bearer|private",
    re.I,
)

# Every loop below is bounded or possessive: a hostile word of 100 kB must not hold up a look at the locks. Where what
# repeats has a loop of its own it is bounded: up to Python 3.11.4 a possessive one takes what it tried in vain along.
_POSTGRES_URI = re.compile(
    r"(?P<head>\bpostgres(?:ql)?(?:\+\w{1,20})?://[^\s:/?#@'\"]*+:)(?P<rest>(?:''|[^'\"\n])*+)", re.I
)
_URI = re.compile(r"(?P<head>(?<=\w)://[^\s:/?#@'\"]*+:)(?P<rest>(?:''|[^\s'\"<>])*+)")
_NAME = (
    r"(?:passw(?:or)?d|passphrase|\bpwd|_pwd|secret|\bpass(?=\s{0,9}=)|api[_-]?key|access_?key|(?:access|auth|session|refresh)_?token"
    r"|scram_(?:client|server)_key)\w{0,40}+"
)
# A literal may be cut off, go on after a line end, and escape its quotes in either way.
_PIECE = r"'(?:[^'\\]|''|\\.)*+(?:'|\\?\Z)"
_LITERAL = (
    rf"(?:(?:\b[eEnN]|\b[uU]&)?{_PIECE}(?:[ \t\r\f]{{0,50}}\n\s{{0,50}}+{_PIECE}){{0,999}}"
    r"|\$(?P<tag>\w{0,63})\$.*?(?:\$(?P=tag)\$|\Z))"
)
_DOUBLE = r'"(?:[^"\\]|""|\\.)*+(?:"|\\?\Z)'
# In SQL words may stand between the name and its value, and there may be several: PASSWORD 'x', IN ('x', 'y').
# Where nothing does, 'secret' may be a whole text and no name.
_IN_SQL = re.compile(
    rf"(?P<head>(?<!'){_NAME}(?=')|{_NAME}\"?[^'\",;$=]{{1,20}}?)(?P<value>{_LITERAL}(?:\s{{0,9}},\s{{0,9}}{_PIECE}){{0,999}})",
    re.I | re.S,
)
# In connection strings, shells, JSON and YAML; a quote may itself be quoted by the text around.
_SET = re.compile(
    rf"(?P<head>{_NAME}(?:\\?[\"']|\])?\s{{0,20}}+(?:=>|:=|[<>!]?=|:(?=\s{{0,20}}\\?[\"'])|%3D)\s{{0,20}}+)"
    rf"(?P<value>\*\*\*|(?P<q>''|\\['\"]).*?(?:(?P=q)|\Z)|{_LITERAL}|{_DOUBLE}"
    rf"|\w{{1,63}}\((?=[^'()]{{0,200}}')(?:{_PIECE}|[^'()])*+|(?:''|\\.|[^\s'\\]|\\\Z)++)",
    re.I | re.S,
)
# What a server says of a key, a line of YAML or HTTP, an option of a command line.
_SAID = (
    re.compile(
        rf"(?P<head>\([^()\n]{{0,300}}?{_NAME}[^()\n]{{0,300}}\)=)\((?:.*?\)(?= already | is | conflicts )|.*)",
        re.I | re.S,
    ),
    re.compile(
        rf"(?P<head>(?:^|[\n{{,;:(\"'])[ \t]{{0,50}}+(?:- )?[\w-]{{0,20}}?{_NAME}:[ \t]{{1,9}})[^\s'\"\\]++",
        re.I,
    ),
    re.compile(rf"(?P<head>--?{_NAME}[ \t]{{1,9}})[^\s-]\S*+", re.I),
    re.compile(
        r"(?P<head>\bauthorization\b\\?[\"']?\s{0,9}[:=]\s{0,9}\\?[\"']?(?:[a-z]{1,20}[ \t]{1,9})?)[^\s'\"\\]++",
        re.I,
    ),
)
_TOKENS = (
    re.compile(r"SCRAM-SHA-256\$\d{1,9}:[^\s'\"]++", re.I),
    re.compile(r"\bmd5[0-9a-f]{32}\b", re.I),
    re.compile(r"(?<=\bbearer )\S++", re.I),
    re.compile(
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", re.S
    ),
)
_TIMES_ENCODED = 3
_TAGS = 8
# A password that is so short, or a word that a run says of itself, is masked where something announces it alone.
_SHORTEST = 4
_WORDS = (
    "apply applied approved audit back blocked broken cancelled change check checked closed database done failed"
    " finished gate index interrupted journal ledger live lock migrate missing next open opened operator pass passed"
    " postgres preflight ready record rehearsal rehearsed remedy resumed rolled rollback schema server skipped started"
    " step stop stopped table target test true false none null unknown undone update user verified verify waits"
    " warn window written"
)
_OWN = frozenset(_WORDS.split())
_HASH = re.compile(r"[0-9a-f]{64}")
_ENCODED = re.compile(r"[^\s'\"<>%]{0,2000}(?:%[0-9a-f]{2}[^\s'\"<>%]{0,2000})+", re.I)


def passwords(text: str) -> str:
    """Return the text with passwords, and the secret part of connection strings, replaced by stars.

    Finds them by what stands before: URIs with user and password, keywords such as password=, PASSWORD '...',
    the options of user mappings, keys of JSON; also cut off, escaped or percent-encoded. A password that nothing
    announces, such as the second value of an INSERT, is not known for one.

    >>> passwords("postgresql://ann:s3cret@db1/shop?sslmode=require&sslpassword=k")
    'postgresql://ann:***@db1/shop?sslmode=require&sslpassword=***'
    >>> passwords("ALTER ROLE ann PASSWORD 's3cret' VALID UNTIL '2027-01-01'")
    "ALTER ROLE ann PASSWORD '***' VALID UNTIL '2027-01-01'"
    """
    if not _SIGN.search(text):
        return text
    if "%" in text:
        text = _ENCODED.sub(_decoded, text)
    return _plain(text)


def _plain(text: str) -> str:
    for uri in (_POSTGRES_URI, _URI):
        text = uri.sub(_without_password, text)
    for said in _SAID:
        text = said.sub(lambda found: found["head"] + STARS, text)
    text = _SET.sub(lambda found: found["head"] + _stars_for(found["value"]), text)
    text = _IN_SQL.sub(lambda found: f"{found['head']}'{STARS}'", text)
    for token in _TOKENS:
        text = token.sub(STARS, text)
    return text


def _without_password(found: re.Match[str]) -> str:
    rest: str = found["rest"]
    # A password may hold an @ that nobody has encoded; one that was cut off has none behind it.
    at = rest.rfind("@")
    if at >= 0:
        return f"{found['head']}{STARS}{rest[at:]}"
    return f"{found['head']}{STARS}" if rest and found.end() == len(found.string) else found[0]


def _stars_for(value: str) -> str:
    mark = next((mark for mark in ("''", "\\'", '\\"', "'", '"') if value.startswith(mark)), "")
    return f"{mark}{STARS}{mark}"


def _decoded(found: re.Match[str]) -> str:
    """Return a percent-encoded word as it is, or decoded and masked where it hides something."""
    decoded = found[0]
    for _ in range(_TIMES_ENCODED):
        decoded = unquote(decoded, errors="replace")
    masked = _plain(decoded)
    return found[0] if masked == decoded else masked


_VALUES = frozenset(
    (
        grammar.SCONST, grammar.USCONST, grammar.ICONST, grammar.FCONST, grammar.BCONST, grammar.XCONST,
        grammar.TRUE_P, grammar.FALSE_P,
    )
)  # fmt: skip
_COMMENTS = {grammar.SQL_COMMENT: b"-- ?", grammar.C_COMMENT: b"/* ? */"}


@lru_cache(maxsize=1000)
def literals(query: str) -> str:
    """Return a statement with every literal value and comment replaced by a question mark.

    PostgreSQL's own scanner finds them, in every kind of statement and also in one that was cut off; its normaliser
    would leave comments and the texts of COMMENT ON, and nothing of what it cannot parse. What cannot be scanned
    is not shown but for its first word. Names stay (PostgreSQL manual, 4.1.2 and 27.2.3).

    >>> literals("UPDATE people SET note = 'ill', age = 47 WHERE id = $1 -- by ann")
    'UPDATE people SET note = ?, age = ? WHERE id = $1 -- ?'
    >>> literals("SELECT * FROM people WHERE name = 'Joh")
    'SELECT * FROM people WHERE name = ?'
    """
    # A tag that is still open is among the last: each one that is tried is another look at the whole.
    tags = list(dict.fromkeys(re.findall(r"\$\w{0,63}\$", query)[::-1]))[:_TAGS]
    for closing in ("", "'", "\\'", '"', "*/", *tags):
        if (shown := _scanned(query, query + closing)) is not None:
            return shown
    first = re.match(r"\s*([A-Za-z]{1,20})\b", query)
    return f"{first[1] if first else ''} … (the rest cannot be read, and is not shown)".strip()


def _scanned(query: str, closed: str) -> str | None:
    try:
        text = closed.encode()
        tokens = postgast.scan(closed).tokens
    except (postgast.PgQueryError, DecodeError, UnicodeEncodeError):
        return None
    shown, at = b"", 0
    for token in tokens:
        if token.token not in _VALUES and token.token not in _COMMENTS:
            continue
        shown += text[at : token.start] + _COMMENTS.get(token.token, b"?")
        at = token.end
        # With standard_conforming_strings off it would end elsewhere, and what follows be taken for names.
        value = text[token.start : token.end]
        if token.token == grammar.SCONST and value.startswith(b"'") and b"\\'" in value:
            return f"{shown.decode()} …"
    return (shown + text[at : max(at, len(query.encode()))]).decode()


@dataclass(frozen=True, slots=True)
class Mask:
    """What is kept out of texts from one target: passwords that are known or announced, literals on request."""

    secrets: tuple[str, ...] = field(default=(), repr=False)
    literals: bool = False

    def text(self, value: str) -> str:
        """Return a text without the secrets, however they are spelled, and without announced passwords.

        >>> Mask(("s3cret ",)).text("with s3cret%20 and 's3cret '")
        "with *** and '***'"
        """
        for secret in self.secrets:
            if len(secret) < _SHORTEST or secret.lower() in _OWN:
                continue
            if secret.isdigit():
                # Within a longer number it is no password.
                value = re.sub(rf"(?<!\d){secret}(?!\d)", STARS, value)
                continue
            for spelling in _spellings(secret):
                value = value.replace(spelling, STARS)
        return passwords(value)

    def query(self, value: str) -> str:
        """Return the text of somebody's statement, without literals where that was asked for."""
        return self.text(literals(value) if self.literals else value)

    def whole(self, value: Any) -> Any:
        """Return a value of dictionaries, lists and texts with all of its texts masked, keys excepted."""
        match value:
            case str():
                # Without its hash a file or an event cannot be proved.
                return value if _HASH.fullmatch(value) and value not in self.secrets else self.text(value)
            case Mapping():
                return {key: self.whole(inner) for key, inner in value.items()}
            case list():
                return [self.whole(inner) for inner in value]
            case tuple():
                return tuple(self.whole(inner) for inner in value)
        return value


@lru_cache(maxsize=100)
def _spellings(secret: str) -> tuple[str, ...]:
    """Return how a secret may be written: as it is, in SQL, connection strings, URIs and JSON; longest first."""
    backslashed = secret.replace("\\", "\\\\")
    ways = {
        secret,
        secret.replace("'", "''"),
        backslashed.replace("'", "\\'"),
        backslashed.replace('"', '\\"'),
        quote(secret, safe="", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
        json.dumps(secret)[1:-1],
    }
    return tuple(sorted(filter(None, ways), key=len, reverse=True))
