"""Accessibility of what a page shows, as axe-core judges it."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def violations(page: Page, within: str = "") -> list[str]:
    """Return each rule that something breaks, and the first thing that does; `within` limits it to such elements."""
    context: Any = {"include": [[within]]} if within else None
    options = {"resultTypes": ["violations"]}
    found = Axe().run(page, context=context, options=options).response["violations"]
    return [
        f"{one['id']} ({len(one['nodes'])}): {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for one in found
        for node in one["nodes"][:1]
    ]
