"""Patterns that JavaScript, JSON Schema and Python read alike: the spelling of values on the wire, and ranges."""

from __future__ import annotations

import re

from pgrunbook.contracts.model import Kind, Type

__all__ = ["END", "TIGHT", "at_least", "at_most", "between", "like", "portable", "spelling", "trimmed"]

END = r"$(?!\n)"
"""The end of a text: in Python `$` alone is also before a last line break."""

TIGHT = rf"^(?:[^ ](?:[\s\S]*[^ ])?)?{END}"
"""A text without blanks around it."""

_DAY = (
    r"(?!0000)(?:(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"
    r"|\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8])))"
).replace(r"\d", "[0-9]")
_TIME = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-5]):[0-5][0-9])"
_INTEGER = "(?:0|-?[1-9][0-9]*)"
_SPELLINGS = {
    Kind.TEXT: rf"^[^\u0000\ud800-\udfff]*{END}",
    Kind.UUID: rf"^[0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}{END}",
    Kind.BIGINT: f"^{_INTEGER}{END}",
    Kind.DATE: f"^{_DAY}{END}",
    Kind.TIMESTAMP: f"^{_DAY}{_TIME}{END}",
    Kind.TIMESTAMPTZ: f"^{_DAY}{_TIME}{_OFFSET}{END}",
}


def spelling(type_: Type) -> str:
    """Return how a value of a type that travels as text is spelt; empty for the others.

    A numeric with a scale has no more decimals than that: the server would round them away without a word.
    """
    if type_.kind is not Kind.NUMERIC:
        return _SPELLINGS.get(type_.kind, "")
    whole, decimals = "[1-9][0-9]*", r"(?:\.[0-9]+)?"
    if type_.precision is not None:
        scale = type_.scale or 0
        places = type_.precision - scale
        whole = f"[1-9][0-9]{{0,{places - 1}}}" if places > 0 else "0"
        decimals = rf"(?:\.[0-9]{{1,{scale}}})?" if scale > 0 else ""
    return f"^-?(?:0|{whole}){decimals}{END}"


def at_most(bound: int) -> str:
    """Return the alternatives for a whole number from 0 to `bound`, without anchors.

    >>> at_most(120)
    '[0-9]|[1-9][0-9]{1,1}|1[0-1][0-9]|120'
    """
    digits = str(bound)
    found = ["[0-9]"] if len(digits) > 1 else []
    found += [f"[1-9][0-9]{{1,{len(digits) - 2}}}"] if len(digits) > 2 else []
    for place, digit in enumerate(digits):
        lowest = 1 if place == 0 and len(digits) > 1 else 0
        if int(digit) > lowest:
            found.append(f"{digits[:place]}[{lowest}-{int(digit) - 1}]{_any(len(digits) - place - 1)}")
    return "|".join([*found, digits])


def at_least(bound: int) -> str:
    """Return the alternatives for a whole number of `bound`, not below 0, or more, without anchors.

    >>> at_least(7), at_least(98)
    ('[1-9][0-9]{1,}|[8-9]|7', '[1-9][0-9]{2,}|9[9-9]|98')
    """
    digits = str(bound)
    found = [f"[1-9][0-9]{{{len(digits)},}}"]
    for place, digit in enumerate(digits):
        if digit != "9":
            found.append(f"{digits[:place]}[{int(digit) + 1}-9]{_any(len(digits) - place - 1)}")
    return "|".join([*found, digits])


def between(low: int | None, high: int | None) -> list[str]:
    """Return the patterns that together a whole number, spelt in digits, has to match.

    >>> all(re.search(p, "-3") for p in between(-5, 9)), all(re.search(p, "10") for p in between(-5, 9))
    (True, False)
    """
    found = []
    if low is not None:
        found.append(f"(?:{at_least(low)})" if low >= 0 else f"(?:[0-9]+|-(?:{at_most(-low)}))")
    if high is not None:
        found.append(f"(?:-[0-9]+|(?:{at_most(high)}))" if high >= 0 else f"-(?:{at_least(-high)})")
    return [f"^{one}{END}" for one in found]


def _any(times: int) -> str:
    return "" if times == 0 else "[0-9]" if times == 1 else f"[0-9]{{{times}}}"


def trimmed(low: int, high: int | None) -> str:
    r"""Return the pattern of a text that has so many characters without the blanks around it, as btrim takes them.

    >>> [bool(re.search(trimmed(1, 3), text)) for text in ("", "  ", " a b ", "abcd", "abc \n")]
    [False, False, True, False, False]
    """
    if low <= 1 and high is None:
        return "[^ ]" if low == 1 else ""
    if high is not None and high <= 1:
        inner = "" if high < 1 else "[^ ]" if low == 1 else "[^ ]?"
        return f"^ *{inner} *{END}"
    inner = f"[^ ](?:[\\s\\S]{{{max(low - 2, 0)},{'' if high is None else high - 2}}}[^ ])"
    inner += "" if low >= 2 else "?"
    return f"^ *{inner} *{END}" if low else f"^ *(?:{inner})? *{END}"


def like(pattern: str) -> str:
    r"""Return a LIKE pattern as a regular expression.

    >>> like("a_%.b")
    '^a[\\s\\S][\\s\\S]*\\.b$(?!\\n)'
    """
    made, letters = "", iter(pattern)
    for letter in letters:
        if letter == "\\":
            letter = next(letters, "")
            made += _literal(letter)
        else:
            made += {"%": r"[\s\S]*", "_": r"[\s\S]"}.get(letter, _literal(letter))
    return f"^{made}{END}"


def _literal(letter: str) -> str:
    return f"\\{letter}" if letter in r"\^$.*+?()[]{}|/" else letter


_PIECE = re.compile(
    r"(?P<class>\[\^?\]?(?:\\.|[^\]\\\[])*\])|(?P<escape>\\.)|(?P<group>\((?:\?[:=!])?)|(?P<other>[^\[\\(])",
    re.DOTALL,
)
_CLASS_ESCAPES = {"d": "0-9", "n": "\\n", "t": "\\t", "r": "\\r"}
_ESCAPES = {"d": "[0-9]", "D": "[^0-9]", "n": "\\n", "t": "\\t", "r": "\\r"}


def portable(pattern: str) -> str | None:
    r"""Return a regular expression of PostgreSQL for the others, or None where they would read it otherwise.

    `.` and `[^a]` match line breaks, `$` only the end, `\d` stands for 0 to 9 (a locale of the server may know
    more digits). Back references, `\w`, `\s`, `[[:alpha:]]`, embedded options are not the same everywhere
    (PostgreSQL manual, 9.7.3).

    >>> portable(r"^[a-z]+\.\d{2}$"), portable(r"^\w+$"), portable("(?i)a")
    ('^[a-z]+\\.[0-9]{2}$(?!\\n)', None, None)
    """
    if pattern.startswith("***"):
        return None
    made, place = "", 0
    while place < len(pattern):
        piece = _PIECE.match(pattern, place)
        if piece is None:
            return None
        place = piece.end()
        text = piece.group()
        if piece["class"]:
            letters = _class(text)
            if letters is None:
                return None
            made += letters
        elif piece["escape"]:
            letter = text[1]
            if letter.isalnum():
                if letter not in _ESCAPES:
                    return None
                made += _ESCAPES[letter]
            else:
                made += _literal(letter)
        elif piece["group"]:
            if text == "(" and pattern[place : place + 1] == "?":
                return None
            made += "(?:" if text == "(" else text
        else:
            made += {".": r"[\s\S]", "$": END, "/": r"\/"}.get(text, text)
    try:
        re.compile(made)
    except re.error:
        return None
    return made


def _class(text: str) -> str | None:
    """Return a class of characters, or None where its syntax is not the same everywhere."""
    inside = text[2 if text.startswith("[^") else 1 : -1]
    if inside.startswith("]") or re.search(r"--|&&|~~|\|\|", inside):
        return None
    made = ""
    for letter in re.findall(r"\\.|.", inside, re.DOTALL):
        if letter[0] == "\\":
            escaped = letter[1]
            if escaped.isalnum() and escaped not in _CLASS_ESCAPES:
                return None
            made += _CLASS_ESCAPES.get(escaped, f"\\{escaped}" if escaped in r"\]^[-" else escaped)
        else:
            made += letter
    return f"[{'^' if text.startswith('[^') else ''}{made}]"
