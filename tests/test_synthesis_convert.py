"""Conversions from what papers print."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from evidence.errors import DataError
from evidence.synthesis.convert import (
    effective_size,
    mean_sd_from_median,
    sd_of_change,
    se_from_interval,
    se_from_p,
    se_from_statistic,
    split_arm,
)


@given(st.floats(-5, 5), st.floats(0.01, 3), st.sampled_from([0.9, 0.95, 0.99]))
def test_an_interval_gives_its_standard_error_back(value, se, level):

    half = ndtri(1 - (1 - level) / 2) * se

    assert se_from_interval(value, value - half, value + half, level=level)[0] == pytest.approx(se)


def test_an_interval_of_a_ratio_is_read_on_the_log_scale():
    assert se_from_interval(2.0, 1.0, 4.0, ratio=True)[0] == pytest.approx(np.log(4) / 3.919928)


def test_a_contradictory_interval_is_refused_with_its_row():
    with pytest.raises(DataError, match=r"near the middle of its interval .*; rows 1 break this"):
        se_from_interval([0.5, 0.9], [0.0, 0.0], [1.0, 1.0])
    with pytest.raises(DataError, match="a low limit must be below its high limit; rows 0"):
        se_from_interval(0.5, 1.0, 0.0)
    with pytest.raises(DataError, match="limits of a ratio must be above 0"):
        se_from_interval(1.0, 0.0, 2.0, ratio=True)


def test_p_values_and_statistics_agree():
    assert se_from_p(1.96, 0.0499957902964409)[0] == pytest.approx(1.0)
    assert se_from_p(2.0, 0.0733880347707403, df=10)[0] == pytest.approx(1.0)
    assert se_from_statistic(3.0, 2.0)[0] == 1.5
    assert se_from_statistic(3.0, 4.0, squared=True)[0] == 1.5


def test_rounded_p_values_and_empty_statistics_are_refused():
    with pytest.raises(DataError, match="a p value must lie between 0 and 1; rows 1"):
        se_from_p([1, 1], [0.05, 0.0])
    with pytest.raises(DataError, match="a test statistic of 0 tells nothing"):
        se_from_statistic(1.0, 0.0)
    with pytest.raises(DataError, match="must not be negative"):
        se_from_statistic(1.0, -1.0, squared=True)


@pytest.mark.parametrize("given_ends", ["quartiles", "extremes", "both"])
def test_medians_of_normal_data_give_mean_and_deviation_back(given_ends):
    data = np.random.default_rng(1).normal(10, 3, (400, 99))
    found = []
    for sample in data:
        low, first, median, third, high = np.quantile(sample, [0, 0.25, 0.5, 0.75, 1])
        ends = {"quartiles": (first, third), "extremes": (low, high)}
        chosen = ends if given_ends == "both" else {given_ends: ends[given_ends]}
        found.append(mean_sd_from_median(median, 99, **chosen))

    assert np.mean(found, axis=0) == pytest.approx([10, 3], abs=0.06)


def test_a_median_alone_or_out_of_order_is_refused():
    with pytest.raises(DataError, match="a median needs quartiles or extremes around it"):
        mean_sd_from_median(5, 20)
    with pytest.raises(DataError, match=r"got \[6, 5, 7\]"):
        mean_sd_from_median(5, 20, quartiles=(6, 7))


def test_changes_clusters_and_shared_arms_by_hand():
    assert sd_of_change(3.0, 4.0, 0.0) == pytest.approx(5.0)
    assert sd_of_change(3.0, 3.0, 1.0) == pytest.approx(0.0)
    assert effective_size(210, 22, 0.05) == pytest.approx(210 / 2.05)
    assert split_arm(2, n=50, events=9) == {"n": 25.0, "events": 4.5}


def test_impossible_designs_are_refused():
    with pytest.raises(DataError, match="a correlation must lie between -1 and 1"):
        sd_of_change(1, 1, 2)
    with pytest.raises(DataError, match="an icc between 0 and 1"):
        effective_size(100, 20, 1.5)
    with pytest.raises(DataError, match="2 parts or more; got 1"):
        split_arm(1, n=50)
