"""Every effect size by hand: its value and its variance from one study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gammaln

from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.measures import MEASURES, back_transform

COUNTS = {"ai": [12], "n1i": [40], "ci": [5], "n2i": [50]}
MEANS = {"m1i": [14.0], "sd1i": [4.0], "n1i": [20], "m2i": [10.0], "sd2i": [5.0], "n2i": [25]}
TIMES = {"x1i": [8], "t1i": [100.0], "x2i": [18], "t2i": [90.0]}
SHARE = {"xi": [6], "ni": [30]}
ALPHA = {"ai": [0.8], "mi": [10], "ni": [100]}
CHANGE = {"m1i": [12.0], "m2i": [10.0], "sd1i": [4.0], "ni": [30], "ri": [0.5]}


def exact_j(m):
    return float(np.exp(gammaln(m / 2) - np.log(np.sqrt(m / 2)) - gammaln((m - 1) / 2)))


def arcsine_square(share, n):
    return np.arcsin(np.sqrt(share)), 1 / (4 * n)


P, Q = 12 / 40, 5 / 50
POOLED = np.sqrt((19 * 16 + 24 * 25) / 43)
D = 4 / POOLED
BY_HAND: list[tuple[str, dict, float, float]] = [
    ("RR", COUNTS, np.log(P / Q), 1 / 12 - 1 / 40 + 1 / 5 - 1 / 50),
    ("OR", COUNTS, np.log((12 / 28) / (5 / 45)), 1 / 12 + 1 / 28 + 1 / 5 + 1 / 45),
    ("RD", COUNTS, P - Q, P * (1 - P) / 40 + Q * (1 - Q) / 50),
    ("AS", COUNTS, np.arcsin(np.sqrt(P)) - np.arcsin(np.sqrt(Q)), 1 / 160 + 1 / 200),
    (
        "PETO",
        COUNTS,
        (12 - 17 * 40 / 90) / (17 * 73 * 40 * 50 / (90**2 * 89)),
        1 / (17 * 73 * 40 * 50 / (90**2 * 89)),
    ),
    ("MD", MEANS, 4.0, 16 / 20 + 25 / 25),
    ("SMD", MEANS, exact_j(43) * D, 1 / 20 + 1 / 25 + (exact_j(43) * D) ** 2 / 90),
    (
        "SMDH",
        MEANS,
        exact_j(43) * 4 / np.sqrt(20.5),
        exact_j(43) ** 2 * 16 / 20.5 * (16**2 / 19 + 25**2 / 24) / (8 * 20.5**2)
        + (16 / 19 + 25 / 24) / 20.5,
    ),
    ("SMD1", MEANS, exact_j(24) * 0.8, 1 / 20 + 1 / 25 + (exact_j(24) * 0.8) ** 2 / 50),
    (
        "ROM",
        MEANS,
        np.log(1.4) + (16 / (20 * 14**2) - 25 / (25 * 10**2)) / 2,
        16 / (20 * 14**2) + 25 / (25 * 10**2),
    ),
    (
        "OR2DN",
        COUNTS,
        np.log((12 / 28) / (5 / 45)) / 1.65,
        (1 / 12 + 1 / 28 + 1 / 5 + 1 / 45) / 1.65**2,
    ),
    ("IRR", TIMES, np.log((8 / 100) / (18 / 90)), 1 / 8 + 1 / 18),
    ("IRD", TIMES, 8 / 100 - 18 / 90, 8 / 100**2 + 18 / 90**2),
    ("IRSD", TIMES, np.sqrt(0.08) - np.sqrt(0.2), 1 / 400 + 1 / 360),
    ("VR", MEANS, np.log(4 / 5) + 1 / 38 - 1 / 48, 1 / 38 + 1 / 48),
    ("SMCR", CHANGE, exact_j(29) * 0.5, 2 * 0.5 / 30 + (exact_j(29) * 0.5) ** 2 / 60),
    ("IRLN", {"xi": [8], "ti": [100.0]}, np.log(0.08), 1 / 8),
    ("PR", SHARE, 0.2, 0.2 * 0.8 / 30),
    ("PLN", SHARE, np.log(0.2), 1 / 6 - 1 / 30),
    ("PLO", SHARE, np.log(6 / 24), 1 / 6 + 1 / 24),
    ("PRZ", SHARE, stats.norm.ppf(0.2), 0.2 * 0.8 / 30 / stats.norm.pdf(stats.norm.ppf(0.2)) ** 2),
    ("PAS", SHARE, *arcsine_square(0.2, 30)),
    (
        "PFT",
        SHARE,
        (np.arcsin(np.sqrt(6 / 31)) + np.arcsin(np.sqrt(7 / 31))) / 2,
        1 / (4 * 30 + 2),
    ),
    ("COR", {"ri": [0.4], "ni": [28]}, 0.4, (1 - 0.16) ** 2 / 27),
    ("ZCOR", {"ri": [0.4], "ni": [28]}, np.arctanh(0.4), 1 / 25),
    ("ARAW", ALPHA, 0.8, 2 * 10 * 0.04 / (9 * 98)),
    ("ABT", ALPHA, -np.log(0.2), 2 * 10 / (9 * 98)),
]


@pytest.mark.parametrize(
    ("measure", "columns", "value", "variance"), BY_HAND, ids=[row[0] for row in BY_HAND]
)
def test_each_measure_by_hand(measure, columns, value, variance):
    found = effect_sizes(pd.DataFrame(columns), measure=measure)

    assert found["yi"][0] == pytest.approx(value, rel=1e-12)
    assert found["vi"][0] == pytest.approx(variance, rel=1e-12)


def one(measure, columns, **choices):
    found = effect_sizes(pd.DataFrame(columns), measure=measure, **choices)
    return float(found["yi"][0]), float(found["vi"][0])


def test_variances_of_a_standardised_difference_by_their_formulae():
    j, n, m = exact_j(43), 1 / 20 + 1 / 25, 43

    assert one("SMD", MEANS, variance="UB")[1] == pytest.approx(
        n + (1 - (m - 2) / (m * j**2)) * (j * D) ** 2
    )
    assert one("SMD", MEANS, variance="LS2")[1] == pytest.approx(j**2 * (n + D**2 / 90))
    assert one("SMD", MEANS, variance="uncorrected") == pytest.approx((D, n + D**2 / 90))
    assert one("MD", MEANS, variance="HO")[1] == pytest.approx(POOLED**2 * n)


def test_a_variance_by_the_average_effect_weighs_it_by_the_people_of_each_study():
    two = pd.DataFrame({name: values * 2 for name, values in MEANS.items()})
    two.loc[1, ["m1i", "n1i", "n2i"]] = [10.0, 65, 70]

    found = effect_sizes(two, measure="SMD", variance="AV")

    average = (45 * exact_j(43) * D + 135 * 0.0) / 180
    assert found["vi"].tolist() == pytest.approx(
        [1 / 20 + 1 / 25 + average**2 / 90, 1 / 65 + 1 / 70 + average**2 / 270]
    )


def test_a_ratio_of_variation_is_that_of_deviations_less_that_of_means():
    variation, deviations, means = (one(name, MEANS) for name in ("CVR", "VR", "ROM"))

    assert variation[0] == pytest.approx(deviations[0] - means[0])
    assert variation[1] == pytest.approx(deviations[1] + means[1])


def test_a_ratio_of_means_and_of_variation_without_their_corrections():
    rom = (np.log(1.4), 16 / (20 * 14**2) + 25 / (25 * 10**2))
    cvr = (
        np.log((4 / 14) / (5 / 10)),
        1 / 38 + 16 / (20 * 14**2) + 1 / 48 + 25 / (25 * 10**2),
    )

    assert one("ROM", MEANS, variance="uncorrected") == pytest.approx(rom)
    assert one("CVR", MEANS, variance="uncorrected") == pytest.approx(cvr)
    corrected = one("ROM", MEANS)[0]
    assert corrected == pytest.approx(rom[0] + (16 / (20 * 14**2) - 25 / (25 * 10**2)) / 2)


@given(st.integers(1, 19), st.integers(20, 60), st.integers(1, 19), st.integers(20, 60))
def test_the_phi_coefficient_is_the_correlation_of_two_yes_no_columns(a, n1, c, n2):
    group = np.r_[np.ones(n1), np.zeros(n2)]
    event = np.r_[np.ones(a), np.zeros(n1 - a), np.ones(c), np.zeros(n2 - c)]

    found = one("PHI", {"ai": [a], "n1i": [n1], "ci": [c], "n2i": [n2]}, zero_cells="none")

    assert found[0] == pytest.approx(np.corrcoef(group, event)[0, 1], abs=1e-12)


def test_yules_q_and_an_odds_ratio_as_a_standardised_difference():
    odds, variance = (12 / 28) / (5 / 45), 1 / 12 + 1 / 28 + 1 / 5 + 1 / 45

    assert one("YUQ", COUNTS)[0] == pytest.approx((odds - 1) / (odds + 1))
    assert one("OR2DL", COUNTS) == pytest.approx(
        (np.log(odds) * np.sqrt(3) / np.pi, variance * 3 / np.pi**2)
    )


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_every_measure_has_words_and_a_way_back(measure):
    definition = MEASURES[measure]

    assert definition.name
    assert np.isfinite(back_transform(0.3, measure, 20.0))
    assert definition.columns
