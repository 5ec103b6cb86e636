"""What the notebook's kernel can tell: whether a person is there, and whether it is about to end."""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["answered", "attended", "still_here"]


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


def answered() -> None:
    """Tell the browser that a widget's message was dealt with, so that it sends the next one.

    A text field sends one change and waits until the kernel has been idle. ipykernel 7.4 deals with it while a
    cell awaits, but does not say so: of a typed word only the first letter would arrive.
    """
    # Outside a kernel there is no browser.
    with contextlib.suppress(AttributeError, LookupError):
        running = _shell().kernel
        for state in ("idle", "busy"):
            running.session.send(
                running.iopub_socket,
                "status",
                {"execution_state": state},
                parent=running.get_parent("shell"),
                ident=b"status",
            )


def _shell() -> Any:
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()
