"""Failures that nobody expected, told like all others: what was found, and what to do next."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from pgrunbook import target
from pgrunbook.errors import FileRefused, RunbookError, Stopped, TargetFailed

__all__ = ["telling", "told"]

C = TypeVar("C", bound=type)


def told(failure: BaseException) -> RunbookError:
    """Return a failure as the error that a person reads, without the target's password."""
    if isinstance(failure, RunbookError):
        return failure
    if isinstance(failure, KeyboardInterrupt):
        return Stopped()
    # A TimeoutError of Python's own is an OSError without a file or a number.
    if isinstance(failure, OSError) and (failure.filename or failure.errno):
        return FileRefused(path=str(failure.filename or ""), reason=failure.strerror or str(failure))
    said = str(failure)
    with contextlib.suppress(RunbookError):
        said = target.from_environment(os.environ).redacted(said)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason, *details = lines or [type(failure).__name__]
    return TargetFailed(reason=reason, details=details[:3])


def telling(cls: C) -> C:
    """Return the class with its public methods raising RunbookError where the database or a file failed."""
    for name, member in list(vars(cls).items()):
        if not name.startswith("_") and inspect.isfunction(member):
            setattr(cls, name, _told_by(member))
    return cls


def _told_by(method: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def awaited(*arguments: Any, **options: Any) -> Any:
            try:
                return await method(*arguments, **options)
            except (psycopg.Error, OSError) as failure:
                raise told(failure) from failure

        return awaited

    @functools.wraps(method)
    def called(*arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except (psycopg.Error, OSError) as failure:
            raise told(failure) from failure

    return called
