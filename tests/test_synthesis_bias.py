"""Small-study effects, trim and fill, PET-PEESE and selection models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evidence.errors import DataError
from evidence.synthesis.bias import (
    fail_safe_n,
    harbord_test,
    largest,
    pet_peese,
    peters_test,
    rank_test,
    regression_test,
    small_study_tests,
    trim_and_fill,
)
from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.selection import selection_model

ASYMMETRIC = pd.DataFrame(
    {
        "study": [f"S{i}" for i in range(12)],
        "yi": [0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.42, 0.5, 0.65, 0.8, 0.9, 1.1],
        "vi": np.linspace(0.005, 0.3, 12),
    }
)
SYMMETRIC = pd.DataFrame({"yi": [-0.2, -0.1, 0.0, 0.1, 0.2], "vi": [0.02, 0.01, 0.005, 0.01, 0.02]})


def test_eggers_slope_is_the_classical_intercept_of_standardised_effects_on_precision():
    y, v = ASYMMETRIC["yi"].to_numpy(), ASYMMETRIC["vi"].to_numpy()

    slope = regression_test(y, v)
    classical = stats.linregress(1 / np.sqrt(v), y / np.sqrt(v))

    assert slope.b[1] == pytest.approx(classical.intercept)
    assert slope.statistic[1] == pytest.approx(classical.intercept / classical.intercept_stderr)


def test_asymmetry_is_found_and_said():
    result = small_study_tests(ASYMMETRIC)

    assert result["egger_p"].value < 0.01
    assert result.text.startswith("Small studies show other effects than large ones")
    assert result.table["test"].tolist() == ["Egger", "Egger, random effects", "Begg"]


def test_counts_add_the_tests_that_suit_them():
    counts = pd.DataFrame(
        {
            "ai": [5, 10, 30, 60],
            "n1i": [40, 90, 300, 800],
            "ci": [9, 15, 35, 62],
            "n2i": [41, 92, 298, 790],
        }
    )
    yi = np.log(counts["ai"] / counts["ci"])
    table = counts.assign(yi=yi, vi=1 / counts["ai"] + 1 / counts["ci"], n=counts["n1i"] * 2)

    names = small_study_tests(table).table["test"].tolist()

    assert {"Peters", "Harbord", "Macaskill"} <= set(names)


def test_studies_without_events_do_not_stop_the_tests_of_counts():
    counts = pd.DataFrame(
        {
            "study": list("ABCDE"),
            "ai": [5, 10, 30, 60, 0],
            "n1i": [40, 90, 300, 800, 20],
            "ci": [9, 15, 35, 62, 0],
            "n2i": [41, 92, 298, 790, 25],
        }
    )
    table = effect_sizes(counts, measure="OR")
    effect = table["yi"].head(4)

    found = small_study_tests(table).table.set_index("test")

    informative = counts.head(4)[["ai", "n1i", "ci", "n2i"]].to_numpy(float).T
    assert found.loc["Peters", "p"] == pytest.approx(peters_test(*informative, effect).p[1])
    assert found.loc["Harbord", "p"] == pytest.approx(harbord_test(*informative).p[1])


def test_a_test_of_counts_that_the_studies_cannot_answer_is_left_out():
    same_size = pd.DataFrame({"ai": [5, 10, 30], "n1i": 40, "ci": [9, 9, 9], "n2i": 40})
    two = pd.DataFrame(
        {"ai": [5, 10, 0], "n1i": [40, 50, 60], "ci": [9, 9, 0], "n2i": [40, 55, 60]}
    )

    for table, left_out in ((same_size, {"Peters"}), (two, {"Peters", "Harbord"})):
        names = set(small_study_tests(effect_sizes(table, measure="OR")).table["test"])
        assert {"Peters", "Harbord"} - names == left_out


def test_peters_test_ignores_the_unit_of_size_and_harbord_the_order_of_groups():
    a, n1 = np.array([5, 10, 30, 60.0]), np.array([40, 90, 300, 800.0])
    c, n2 = np.array([9, 15, 35, 62.0]), np.array([41, 92, 298, 790.0])
    effect = np.log(a / (n1 - a)) - np.log(c / (n2 - c))

    assert peters_test(a, n1, c, n2, effect).p[1] == pytest.approx(
        peters_test(c, n2, a, n1, -effect).p[1]
    )
    assert harbord_test(a, n1, c, n2).p[1] == pytest.approx(harbord_test(c, n2, a, n1).p[1])


def test_studies_of_one_size_are_not_tested():
    same = SYMMETRIC.assign(vi=0.1)

    assert small_study_tests(same).reason == "all studies have the same size"
    with pytest.raises(DataError, match="studies of different size"):
        regression_test(same["yi"], same["vi"])


def test_an_unknown_predictor_or_missing_sizes_are_refused():
    with pytest.raises(DataError, match="predictor must be one of se, variance, inverse_n"):
        regression_test([0, 1, 2], [1, 2, 3], predictor="n")
    with pytest.raises(DataError, match="pass n="):
        regression_test([0, 1, 2], [1, 2, 3], predictor="inverse_n")
    with pytest.raises(DataError, match="model must be one of weighted, random; got 'wighted'"):
        regression_test([0, 1, 2], [1, 2, 3], model="wighted")


def test_a_perfectly_ranked_set_has_a_rank_correlation_of_one():
    v = np.array([0.01, 0.02, 0.04, 0.08, 0.16])
    tau, p = rank_test(np.sqrt(v) * np.array([0.0, 1.0, 2.0, 3.0, 4.0]), v)

    assert tau == pytest.approx(1.0)
    assert p == pytest.approx(2 / 120)


def test_symmetric_studies_have_nothing_to_fill():
    result = trim_and_fill(SYMMETRIC, model="common")

    assert result["missing"].value == 0
    assert result.table.empty


def test_filled_studies_mirror_the_most_extreme_ones():
    result = trim_and_fill(ASYMMETRIC, side="left")
    count = int(result["missing"].value)

    assert count > 0
    assert result["filled"].value < 0.35
    assert result.table["vi"].tolist() == ASYMMETRIC["vi"].tail(count).tolist()


@given(st.floats(0.01, 100), st.sampled_from(["L0", "R0"]))
def test_trim_and_fill_carries_scale_and_sign_through(factor, estimator):
    flipped = ASYMMETRIC.assign(yi=-factor * ASYMMETRIC["yi"], vi=factor**2 * ASYMMETRIC["vi"])

    one = trim_and_fill(ASYMMETRIC, estimator=estimator)
    other = trim_and_fill(flipped, estimator=estimator)

    assert other["missing"].value == one["missing"].value
    assert {one.settings["side"], other.settings["side"]} == {"left", "right"}
    assert -other["filled"].value / factor == pytest.approx(one["filled"].value, rel=1e-5)


def test_an_unknown_estimator_or_kind_is_refused():
    with pytest.raises(DataError, match="estimator must be one of L0, R0, Q0"):
        trim_and_fill(ASYMMETRIC, estimator="X")
    with pytest.raises(DataError, match="kind must be rosenthal, rosenberg or orwin"):
        fail_safe_n([1, 2], [1, 1], "x")


def test_fail_safe_numbers_by_hand():
    y, v = np.full(4, 2.0), np.ones(4)

    assert fail_safe_n(y, v) == int(np.ceil((8 / 1.6448536269514722) ** 2 - 4))
    assert fail_safe_n(y, v, "orwin") == 4
    assert fail_safe_n([0.0, 0.0], [1.0, 1.0], "orwin") == 0
    with pytest.raises(DataError, match="a target must differ from 0"):
        fail_safe_n(y, v, "orwin", target=0)


def test_pet_peese_finds_the_limit_of_effects_that_grow_with_the_error():
    v = np.linspace(0.01, 0.25, 8)
    exact = pd.DataFrame({"yi": 0.2 + 1.5 * np.sqrt(v), "vi": v})

    assert pet_peese(exact).table["value"][0] == pytest.approx(0.2)
    assert pet_peese(exact.assign(yi=0.2 + v)).table["value"][1] == pytest.approx(0.2)


def test_a_selection_model_recovers_a_known_effect_and_known_selection():
    rng = np.random.default_rng(7)
    se = rng.uniform(0.1, 0.4, 6000)
    y = rng.normal(0.2, np.sqrt(se**2 + 0.04))
    known = (stats.norm.sf(y / se) < 0.025) | (rng.uniform(size=6000) < 0.3)
    effects = pd.DataFrame({"yi": y[known], "vi": se[known] ** 2})

    result = selection_model(effects)

    assert result["adjusted"].value == pytest.approx(0.2, abs=0.02)
    assert result.table["weight"][1] == pytest.approx(0.3, abs=0.04)
    assert result["LRT_p"].value < 1e-6


def test_without_selection_the_beta_model_has_weights_near_one():
    rng = np.random.default_rng(3)
    se = rng.uniform(0.1, 0.4, 400)
    effects = pd.DataFrame({"yi": rng.normal(0.2, np.sqrt(se**2 + 0.02)), "vi": se**2})

    result = selection_model(effects, shape="beta")

    assert result["adjusted"].low < 0.2 < result["adjusted"].high
    assert result["LRT_p"].value > 0.01


@settings(max_examples=5)
@given(st.sampled_from([0.01, 0.1, 10.0, 100.0]))
def test_a_selection_model_carries_scale_and_sign_through(factor):
    flipped = ASYMMETRIC.assign(yi=-factor * ASYMMETRIC["yi"], vi=factor**2 * ASYMMETRIC["vi"])

    one, other = selection_model(ASYMMETRIC), selection_model(flipped)

    assert -other["adjusted"].value / factor == pytest.approx(one["adjusted"].value, rel=1e-3)


def test_a_step_without_results_has_no_maximum_and_says_so():
    effects = pd.DataFrame({"yi": np.full(8, 2.0) + np.arange(8) / 10, "vi": np.full(8, 0.01)})

    assert "no maximum" in selection_model(effects).reason


def test_wrong_steps_are_refused():
    with pytest.raises(DataError, match="steps must increase between 0 and 1"):
        selection_model(ASYMMETRIC, steps=(0.5, 0.025))
    with pytest.raises(DataError, match="steps must increase between 0 and 1; got \\[\\]"):
        selection_model(ASYMMETRIC, steps=())
    with pytest.raises(DataError, match="model must be random or common; got 'randon'"):
        selection_model(ASYMMETRIC, model="randon")
    with pytest.raises(DataError, match="alternative must be greater or less"):
        selection_model(ASYMMETRIC, alternative="up")


def test_the_largest_studies_are_those_of_smallest_variance():
    effects = pd.DataFrame({"study": list("abcd"), "vi": [0.4, 0.1, 0.3, 0.2]})

    assert largest(effects, 0.5)["study"].tolist() == ["b", "d"]
    assert largest(effects, 1.0)["study"].tolist() == ["a", "b", "c", "d"]
    for share in (-1.0, 0.0, 1.01):
        with pytest.raises(DataError, match="above 0 and up to 1"):
            largest(effects, share)
