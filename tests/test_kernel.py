"""The kernel: who is there, whether it goes on, and what the browser has to be told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pgrunbook import kernel

pytestmark = pytest.mark.static


def inside(monkeypatch: pytest.MonkeyPatch, **shell: Any) -> None:
    monkeypatch.setattr(kernel, "_shell", lambda: SimpleNamespace(**shell))


def test_outside_a_notebook_nobody_is_there_and_nothing_ends() -> None:
    assert not kernel.attended()
    assert kernel.still_here()
    kernel.answered()


@pytest.mark.parametrize("allowed", [True, False])
def test_a_person_is_there_where_input_is_allowed(monkeypatch: pytest.MonkeyPatch, allowed: bool) -> None:
    inside(monkeypatch, kernel=SimpleNamespace(_allow_stdin=allowed))
    assert kernel.attended() is allowed


def test_a_kernel_that_does_not_say_so_has_nobody_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    inside(monkeypatch, kernel=SimpleNamespace())
    assert not kernel.attended()


def test_a_kernel_that_was_asked_to_shut_down_does_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    inside(monkeypatch, exit_now=False)
    assert kernel.still_here()
    inside(monkeypatch, exit_now=True)
    assert not kernel.still_here()


def test_the_browser_is_told_that_its_message_was_dealt_with(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Any, ...]] = []
    parent = {"header": {"msg_id": "m1"}}
    running = SimpleNamespace(
        iopub_socket="iopub",
        get_parent=lambda channel: parent if channel == "shell" else None,
        session=SimpleNamespace(
            send=lambda socket, kind, content, parent, ident: sent.append((socket, kind, content, parent))
        ),
    )
    inside(monkeypatch, kernel=running)
    kernel.answered()
    # Idle lets a text field send its next change; busy again, because the cell still runs.
    assert sent == [
        ("iopub", "status", {"execution_state": "idle"}, parent),
        ("iopub", "status", {"execution_state": "busy"}, parent),
    ]
