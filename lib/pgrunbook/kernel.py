"""What the notebook's kernel can tell: whether a person is there, and whether it is about to end."""

from __future__ import annotations

from typing import Any

__all__ = ["attended", "still_here"]


def attended() -> bool:
    """Return whether a person sits before the notebook who can answer.

    True in JupyterLab, false under nbval, nbclient, papermill and nbconvert, which do not allow input.
    The kernel keeps that in a private attribute; where it is missing the answer is no, so that gates
    stay closed.
    """
    shell = _shell()
    return bool(getattr(getattr(shell, "kernel", None), "_allow_stdin", False))


def still_here() -> bool:
    """Return whether the kernel goes on: during a shutdown it may start one more queued cell."""
    return not getattr(_shell(), "exit_now", False)


def _shell() -> Any:
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()
