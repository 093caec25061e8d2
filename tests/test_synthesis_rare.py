"""Rare events: by hand, zero cells, refusals, properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.synthesis.rare import counts, homogeneity, pool_counts

ONE = pd.DataFrame({"study": ["A"], "ai": [4], "n1i": [20], "ci": [8], "n2i": [20]})
ZEROS = pd.DataFrame(
    {
        "study": ["A", "B", "C"],
        "ai": [0, 2, 0],
        "n1i": [50, 60, 40],
        "ci": [3, 5, 0],
        "n2i": [50, 55, 40],
    }
)


@pytest.mark.parametrize(
    ("measure", "expected"), [("OR", (4 / 16) / (8 / 12)), ("RR", 0.5), ("RD", -0.2)]
)
def test_one_study_gives_its_own_effect(measure, expected):
    result = pool_counts(ONE, measure=measure, direction_better="lower")

    assert result["pooled"].value == pytest.approx(expected)


def test_peto_by_hand_is_observed_minus_expected_over_variance():
    result = pool_counts(ONE, measure="PETO", direction_better="lower")

    variance = 20 * 20 * 12 * 28 / (40**2 * 39)
    assert np.log(result["pooled"].value) == pytest.approx((4 - 6) / variance)


def test_a_rate_ratio_of_one_study_is_the_ratio_of_its_rates():
    rates = pd.DataFrame({"x1i": [4], "t1i": [100.0], "x2i": [8], "t2i": [50.0]})

    assert pool_counts(rates, measure="IRR", direction_better="lower")["pooled"].value == (
        pytest.approx(0.25)
    )


def test_zero_cells_are_used_as_they_are_and_empty_studies_counted():
    result = pool_counts(ZEROS, measure="OR", direction_better="lower")

    assert result.settings["studies_used"] == 2
    assert result.text.startswith("2 of 3 studies, Mantel-Haenszel odds ratio")
    assert any("1 of 3 studies have no events" in item.text for item in result.cautions)


def test_empty_studies_count_in_a_risk_difference():
    result = pool_counts(ZEROS, measure="RD", direction_better="lower")

    assert result.settings["studies_used"] == 3


def test_no_events_at_all_is_a_reason():
    result = pool_counts(ZEROS.assign(ai=0, ci=0), measure="OR", direction_better="lower")

    assert result.reason == "no study has events in both groups"


def test_impossible_counts_and_unknown_measures_are_refused():
    with pytest.raises(DataError, match="ai \\(events\\) must not exceed n1i; row 0"):
        pool_counts(ONE.assign(ai=30), measure="OR", direction_better="lower")
    with pytest.raises(DataError, match="measure must be one of OR, RR, RD, PETO"):
        pool_counts(ONE, measure="SMD", direction_better="lower")


def test_only_the_share_of_variance_between_studies_is_in_per_cent():
    found = pool_counts(ZEROS, measure="OR", direction_better="lower")

    assert [one.key for one in found.estimates if one.unit == "%"] == ["I2"]


def test_equal_odds_ratios_are_homogeneous():
    table = pd.DataFrame({"ai": [10, 20], "n1i": [30, 60], "ci": [5, 10], "n2i": [30, 60]})

    assert homogeneity(counts(table))["BD"] == pytest.approx(0.0, abs=1e-12)


TABLES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(10, 60), st.integers(1, 9), st.integers(10, 60)),
    min_size=2,
    max_size=6,
)


@given(TABLES)
def test_exchanging_groups_inverts_ratios(rows):
    table = pd.DataFrame(rows, columns=["ai", "n1i", "ci", "n2i"])
    swapped = table.rename(columns={"ai": "ci", "ci": "ai", "n1i": "n2i", "n2i": "n1i"})

    for measure in ("OR", "RR", "PETO"):
        one = pool_counts(table, measure=measure, direction_better="none")
        other = pool_counts(swapped, measure=measure, direction_better="none")
        if one.known:
            assert one["pooled"].value == pytest.approx(1 / other["pooled"].value)


def test_a_study_with_events_only_shows_equal_risks_and_counts_in_a_risk_ratio():
    table = pd.DataFrame({"ai": [10, 3], "n1i": [10, 10], "ci": [10, 5], "n2i": [10, 10]})

    ratio = pool_counts(table, measure="RR", direction_better="lower")
    odds = pool_counts(table, measure="OR", direction_better="lower")

    assert ratio["pooled"].value == pytest.approx((10 + 3) / (10 + 5))
    variance = (10 * 10 * 8 - 3 * 5 * 20) / 20**2 / (13 * 10 / 20 * 15 * 10 / 20)
    assert ratio["pooled"].se == pytest.approx(np.sqrt(variance))
    assert (ratio.settings["studies_used"], odds.settings["studies_used"]) == (2, 1)


def test_peto_and_differences_need_events_in_one_group_only():
    table = pd.DataFrame({"ai": [0, 0], "n1i": [10, 10], "ci": [5, 5], "n2i": [10, 10]})
    rates = pd.DataFrame({"x1i": [0], "t1i": [10.0], "x2i": [4], "t2i": [10.0]})

    peto = pool_counts(table, measure="PETO", direction_better="lower")
    difference = pool_counts(rates, measure="IRD", direction_better="lower")

    variance = 2 * 10 * 10 * 5 * 15 / (20**2 * 19)
    assert np.log(peto["pooled"].value) == pytest.approx(-5 / variance)
    assert difference["pooled"].value == pytest.approx(-0.4)
    assert difference["pooled"].se == pytest.approx(np.sqrt(4 / 10**2))


@pytest.mark.parametrize(
    ("measure", "ai", "ci", "said"),
    [
        ("OR", [10, 10], [5, 6], "these counts give an infinite effect, or one without"),
        ("OR", [10, 6], [5, 0], "these counts give an infinite effect, or one without"),
        ("RD", [0, 0], [0, 0], "no study has events in both groups"),
        ("RD", [10, 10], [10, 10], "these counts give an infinite effect, or one without"),
        ("RR", [0, 0], [5, 6], "no study has events in both groups"),
    ],
)
def test_counts_without_a_finite_effect_and_interval_are_a_reason(measure, ai, ci, said):
    table = pd.DataFrame({"ai": ai, "n1i": [10, 10], "ci": ci, "n2i": [10, 10]})

    assert pool_counts(table, measure=measure, direction_better="lower").reason.startswith(said)
