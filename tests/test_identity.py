"""Who runs, and what a run is called."""

from __future__ import annotations

import getpass
import os
import re

import pytest

from pgrunbook.identity import new_run_id, operator_name, system_user

pytestmark = pytest.mark.static


def test_the_operator_may_say_who_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGRUNBOOK_OPERATOR", "ann")
    assert operator_name() == "ann"
    monkeypatch.setenv("PGRUNBOOK_OPERATOR", "")
    monkeypatch.setenv("LOGNAME", "bob")
    assert operator_name() == "bob"


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("no username")])
def test_a_user_without_a_name_is_told_by_its_number(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def nameless() -> str:
        raise error

    monkeypatch.delenv("PGRUNBOOK_OPERATOR", raising=False)
    monkeypatch.setattr(getpass, "getuser", nameless)
    assert system_user() == operator_name() == str(os.getuid())


def test_run_names_sort_by_time_name_their_change_and_do_not_repeat() -> None:
    names = [new_run_id("010_class_code") for _ in range(50)]
    assert len(set(names)) > 40
    assert all(re.fullmatch(r"\d{8}T\d{9}Z-010_class_code-[0-9a-f]{4}", name) for name in names)
