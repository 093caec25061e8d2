"""Multilevel models and robust variances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.synthesis.dependent import (
    fit_levels,
    levels,
    pool_levels,
    profile_interval,
    robust,
    sampling_covariance,
)
from evidence.synthesis.fit import fit

RNG = np.random.default_rng(2)
CLUSTERS = np.repeat(np.arange(15), 3)
EFFECTS = pd.DataFrame(
    {
        "study": [f"S{i}" for i in CLUSTERS],
        "yi": 0.3 + np.repeat(RNG.normal(0, 0.4, 15), 3) + RNG.normal(0, 0.25, 45),
        "vi": RNG.uniform(0.01, 0.06, 45),
    }
)


def test_the_covariance_within_a_study_by_hand():
    covariance = sampling_covariance([0.04, 0.09, 0.16], ["A", "A", "B"], 0.5)

    assert np.allclose(covariance, [[0.04, 0.03, 0], [0.03, 0.09, 0], [0, 0, 0.16]], rtol=1e-14)


def test_one_effect_per_study_is_the_ordinary_random_effects_model():
    one = EFFECTS.iloc[::3]

    fitted = fit_levels(levels(one["yi"], one["vi"], one["study"], one.index))
    ordinary = fit(one["yi"], one["vi"], test="z")

    assert fitted.variances.sum() == pytest.approx(ordinary.tau2, rel=1e-5)
    assert fitted.b[0] == pytest.approx(ordinary.b[0], rel=1e-6)


def test_robust_variances_of_independent_studies_by_hand():
    one = EFFECTS.iloc[::3]
    fitted = fit_levels(levels(one["yi"], one["vi"], one["study"], one.index))
    w = 1 / (one["vi"].to_numpy() + fitted.variances.sum())
    residual = one["yi"].to_numpy() - fitted.b[0]

    plain = np.sum(w**2 * residual**2) / w.sum() ** 2
    adjusted = np.sum(w**2 * residual**2 / (1 - w / w.sum())) / w.sum() ** 2

    assert robust(fitted, one["study"], "CR0").vcov[0, 0] == pytest.approx(plain)
    assert robust(fitted, one["study"], "CR1").vcov[0, 0] == pytest.approx(plain * 15 / 14)
    assert robust(fitted, one["study"], "CR2").vcov[0, 0] == pytest.approx(adjusted)


def test_no_other_variances_have_a_higher_likelihood():
    data = levels(EFFECTS["yi"], EFFECTS["vi"], EFFECTS["study"], EFFECTS.index, rho=0.6)
    best = fit_levels(data).log_likelihood(True)

    for between in np.linspace(0, 0.5, 12):
        for within in np.linspace(0, 0.3, 12):
            assert data.at([between, within]).log_likelihood(True) <= best + 1e-9


def test_a_variance_of_zero_is_found_and_said():
    wave = 0.01 * np.sin(np.arange(45))
    effects = EFFECTS.assign(yi=np.tile([0.1, 0.3, 0.5], 15) + wave, vi=0.05)

    result = pool_levels(effects, direction_better="higher", measure="SMD")

    assert result["sigma2_between"].value == 0.0
    assert "boundary" in [caution.kind for caution in result.cautions]


def test_studies_that_agree_exactly_have_no_robust_interval_and_say_so():
    effects = EFFECTS.assign(yi=np.tile([0.1, 0.3, 0.5], 15), vi=0.05)

    result = pool_levels(effects, direction_better="higher", measure="SMD")

    assert result.reason == "the studies agree exactly, so the robust interval has no width"


def test_the_profile_interval_holds_the_estimate():
    data = levels(EFFECTS["yi"], EFFECTS["vi"], EFFECTS["study"], EFFECTS.index)
    fitted = fit_levels(data)

    low, high = profile_interval(data, fitted, 0)

    assert low < fitted.variances[0] < high


def test_a_pooled_result_says_studies_effects_and_spread():
    result = pool_levels(EFFECTS, direction_better="higher", measure="SMD", outcome="Symptoms")

    assert result.text.startswith("Symptoms: 45 effects of 15 studies, pooled 0.")
    assert result["pooled"].k == 15
    assert result.table["weight"].sum() == pytest.approx(100)
    assert result["prediction"].low < result["pooled"].low


def test_few_studies_are_a_reason_or_a_caution():
    few = EFFECTS[EFFECTS["study"].isin(["S0", "S1", "S2"])]

    assert not pool_levels(EFFECTS.head(6), direction_better="higher", measure="SMD").known
    result = pool_levels(few, direction_better="higher", measure="SMD")
    assert "few_studies" in [caution.kind for caution in result.cautions]


def test_shares_of_variance_are_in_per_cent_and_few_studies_are_said_to_be_few():
    eight = EFFECTS[EFFECTS["study"].isin([f"S{at}" for at in range(8)])]

    result = pool_levels(eight, direction_better="higher", measure="SMD")

    assert [one.key for one in result.estimates if one.unit == "%"] == ["I2_between", "I2_within"]
    assert any(item.text.startswith("Only 8 studies: how much") for item in result.cautions)


def test_one_effect_per_study_cannot_tell_the_levels_apart_and_says_so():
    result = pool_levels(EFFECTS.iloc[::3], direction_better="higher", measure="SMD")

    assert "not_converged" in [caution.kind for caution in result.cautions]


def test_a_table_without_effects_is_a_reason():
    result = pool_levels(EFFECTS.assign(yi=np.nan, measure="SMD"), direction_better="higher")

    assert result.reason == "0 studies; at least 3 needed"


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("measure", ["SMD", "OR"], "measures differ: standardised mean difference, odds ratio"),
        ("design", ["rct", "its"], "designs differ: randomised trials, interrupted time series"),
        ("direction_better", ["higher", "lower"], "directions differ"),
    ],
)
def test_effects_of_different_kinds_are_not_pooled(column, values, said):
    mixed = EFFECTS.assign(**{column: [values[0]] * 40 + [values[1]] * 5})

    result = pool_levels(mixed, direction_better="higher")

    assert result.reason.startswith(said)


@pytest.mark.parametrize("variance", [0.0, -0.1, np.inf])
def test_a_variance_that_cannot_be_is_refused_by_its_study(variance):
    wrong = EFFECTS.assign(vi=EFFECTS["vi"].where(EFFECTS["study"] != "S3", variance))

    with pytest.raises(DataError, match="variances positive; those of S3 are not"):
        pool_levels(wrong, direction_better="higher", measure="SMD")


def test_wrong_choices_are_refused():
    with pytest.raises(DataError, match="rho must lie between 0 and below 1; got 1"):
        pool_levels(EFFECTS, direction_better="higher", measure="SMD", rho=1)
    with pytest.raises(DataError, match="correction must be one of CR0, CR1, CR2"):
        pool_levels(EFFECTS, direction_better="higher", measure="SMD", correction="CR3")
    with pytest.raises(DataError, match="there is no 'trial'"):
        pool_levels(EFFECTS, direction_better="higher", measure="SMD", cluster="trial")


@settings(max_examples=10)
@given(st.sampled_from([1e-3, 0.1, 30.0, 1e3]), st.integers(0, 1000))
def test_scale_and_order_carry_through(factor, seed):
    order = np.random.default_rng(seed).permutation(len(EFFECTS))
    scaled = EFFECTS.assign(yi=factor * EFFECTS["yi"], vi=factor**2 * EFFECTS["vi"]).iloc[order]

    one = pool_levels(EFFECTS, direction_better="higher", measure="SMD")
    other = pool_levels(scaled, direction_better="higher", measure="SMD")

    assert other["pooled"].value / factor == pytest.approx(one["pooled"].value, rel=1e-5)
    assert other["df"].value == pytest.approx(one["df"].value, rel=1e-4)
