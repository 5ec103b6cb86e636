"""Versions of everything on this side of the connection."""

from __future__ import annotations

import importlib.metadata
import platform

import psycopg

__all__ = ["library", "ours"]


def library() -> str:
    """Return the version of this library."""
    return importlib.metadata.version("pgrunbook")


def ours() -> dict[str, str]:
    """Return what ran on the operator's machine, by name, with its version."""
    number = psycopg.pq.version()
    return {
        "Python": platform.python_version(),
        "psycopg": psycopg.__version__,
        "libpq": f"{number // 10000}.{number % 10000}",
        "operating system": f"{platform.system()} {platform.release()}, {platform.machine()}",
    }
