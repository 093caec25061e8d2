"""Amounts and counts read the same way in every sentence."""

from __future__ import annotations

import pytest

from evidence.variation import words


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (52.04, "%", "52.0\u00a0%"),
        (-0.8, "%", "−0.8\u00a0%"),
        (35.34, "per 1,000 adults", "35.3 per 1,000 adults"),
        (27455.0, "", "27,455"),
    ],
)
def test_an_amount_has_a_space_before_its_unit_and_a_true_minus_sign(value, unit, written):
    assert words.amount(value, unit) == written


def test_an_interval_below_zero_is_written_with_true_minus_signs():
    assert words.between(-0.8, -0.2, "%") == "−0.8 to −0.2"
    assert words.between(-1200, 3, "") == "−1,200 to 3.0"


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "none of 32 areas"),
        (1, "1 of 32 areas"),
        (12, "12 of 32 areas"),
        (32, "all 32 areas"),
    ],
)
def test_none_and_all_are_said_in_words(count, written):
    assert words.share_of(count, 32, "area") == written


@pytest.mark.parametrize(("count", "written"), [(0, "none of 1 area"), (1, "1 of 1 area")])
def test_one_alone_is_not_called_all(count, written):
    assert words.share_of(count, 1, "area") == written
