"""Loads the notebook libraries without the one optional part of them that takes seconds."""

from __future__ import annotations

import sys

__all__ = ["load_notebook_libraries"]

# jsonschema builds a grammar for the format `iri` while it loads, and no notebook's schema uses that format.
_SLOW_AND_UNUSED = "rfc3987_syntax"


def load_notebook_libraries() -> None:
    """Import nbformat as quickly as it can be; does nothing where it is loaded already.

    Whoever imports the part left out afterwards gets it as always.
    """
    if "nbformat" in sys.modules or _SLOW_AND_UNUSED in sys.modules:
        return
    # None tells the import system that a module cannot be had, which jsonschema is prepared for.
    sys.modules[_SLOW_AND_UNUSED] = None  # type: ignore[assignment]
    try:
        import nbformat  # noqa: F401
    finally:
        del sys.modules[_SLOW_AND_UNUSED]
