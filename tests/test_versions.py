"""Versions of everything on this side of the connection."""

from __future__ import annotations

import platform

import pytest

from pgrunbook import versions

pytestmark = pytest.mark.static


def test_whatever_ran_here_has_a_version() -> None:
    assert versions.library()[0].isdigit()
    assert list(versions.ours()) == ["Python", "psycopg", "libpq", "operating system"]
    assert versions.ours()["Python"] == platform.python_version()
    assert all(versions.ours().values())
