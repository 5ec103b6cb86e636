"""The picture of what row security costs."""

from __future__ import annotations

from pgrunbook.views.tenant_costs import tenant_costs

MEASURED = {"no row security": 0.05, "row security": 0.06, "claims read for each row": 1234.0, "none": 0.0}


def test_the_picture_says_what_it_shows() -> None:
    picture = tenant_costs(MEASURED)
    assert picture.png.startswith(b"\x89PNG")
    for way in MEASURED:
        assert way in picture.alt


def test_the_same_figures_give_the_same_picture() -> None:
    assert tenant_costs(MEASURED).svg == tenant_costs(MEASURED).svg


def test_without_figures_it_says_so() -> None:
    assert "nothing was measured" in tenant_costs({}).alt
