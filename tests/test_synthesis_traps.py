"""The nineteen numerical traps of evidence synthesis, one test for each at least, by its number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import gamma

from evidence.errors import DataError
from evidence.results import Result
from evidence.synthesis.bias import regression_test, small_study_tests, trim_and_fill
from evidence.synthesis.calibration import synthesis_coverage
from evidence.synthesis.count_models import pool_by_likelihood
from evidence.synthesis.dependent import fit_levels, levels, pool_levels, profile_interval
from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.fit import fit, prediction_interval, q_based, tau2_interval
from evidence.synthesis.heterogeneity import METHODS
from evidence.synthesis.many import pool_many
from evidence.synthesis.measures import back_transform
from evidence.synthesis.network import build, contrasts, network_pool
from evidence.synthesis.network_counts import network_pool_counts
from evidence.synthesis.pool import pool
from evidence.synthesis.rare import pool_counts
from evidence.synthesis.regression import meta_regression, subgroups

REFERENCE = Path(__file__).parent / "reference" / "synthesis"
CASES = json.loads((REFERENCE / "edge_dev.json").read_text(encoding="utf-8"))["cases"]
CHOICES = {"direction_better": "higher", "measure": "SMD"}


def case(name):
    return np.atleast_1d(CASES[name]["yi"]), np.atleast_1d(CASES[name]["vi"])


def studies(yi, vi):
    return pd.DataFrame({"study": [f"S{at}" for at in range(len(yi))], "yi": yi, "vi": vi})


def reference(name):
    return json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bcg():
    data = reference("bcg")["escalc"]
    return np.array(data["yi"]), np.array(data["vi"])


def test_trap_1_a_variance_at_its_boundary_is_exactly_zero():
    assert fit(*case("near_boundary")).tau2 == 0.0
    assert fit(*case("homogeneous_tau0")).tau2 == 0.0


def test_trap_1_of_several_maxima_the_highest_is_found():
    fitted = fit(*case("bimodal"))

    assert fitted.tau2 == pytest.approx(CASES["bimodal"]["REML_bruteforce_tau2"]["tau2"], rel=1e-5)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("name", sorted(set(CASES) - {"k1"}))
def test_trap_2_every_estimator_converges_on_every_edge_case(name, method):
    fitted = fit(*case(name), tau2=method)

    assert np.isfinite([fitted.tau2, fitted.b[0], fitted.se[0]]).all()
    assert fitted.tau2 >= 0


@pytest.mark.parametrize("method", sorted(METHODS))
def test_trap_2_huge_differences_between_tiny_variances_converge(method):
    y = np.array([-900.0, 700.0, 20.0, -350.0, 480.0])

    fitted = fit(y, np.full(5, 1e-6), tau2=method)

    assert fitted.tau2 == pytest.approx(np.var(y, ddof=1), rel=0.3)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_trap_3_all_figures_follow_the_scale_of_the_effects(factor, bcg):
    y, v = bcg
    one, other = fit(y, v), fit(factor * y, factor**2 * v)

    assert other.tau2 / factor**2 == pytest.approx(one.tau2, rel=1e-9)
    assert other.low[0] / factor == pytest.approx(one.low[0], rel=1e-9)
    for kind in ("Q_profile", "profile_likelihood", "generalised_Q"):
        assert np.array(tau2_interval(other, kind)) / factor**2 == pytest.approx(
            np.array(tau2_interval(one, kind)), rel=1e-7
        )


@pytest.mark.parametrize("method", sorted(METHODS))
def test_trap_3_effects_of_a_millionth_give_the_figures_of_effects_of_a_million(method):
    tiny, large = fit(*case("scale_1e_6"), tau2=method), fit(*case("scale_1e6"), tau2=method)

    assert tiny.tau2 * 1e24 == pytest.approx(large.tau2, rel=1e-8)
    assert tiny.b[0] * 1e12 == pytest.approx(large.b[0], rel=1e-9)
    assert tiny.se[0] * 1e12 == pytest.approx(large.se[0], rel=1e-9)
    for kind in ("Q_profile", "profile_likelihood", "generalised_Q"):
        assert np.array(tau2_interval(tiny, kind)) * 1e24 == pytest.approx(
            np.array(tau2_interval(large, kind)), rel=1e-6
        )


def test_trap_3_the_interval_of_the_variance_has_no_ceiling():
    low, high = tau2_interval(fit(*case("k2_far")))

    assert low < 4.475 < 100 < high


def test_trap_4_agreeing_studies_have_an_empty_interval_at_zero_and_one_study_none():
    assert tau2_interval(fit(*case("homogeneous_tau0"))) == (0.0, 0.0)
    assert tau2_interval(fit(*case("k1"))) is None


def test_trap_4_the_interval_may_lie_above_the_estimate_of_another_method():
    data = reference("normand1999_md")
    fitted = fit(data["escalc"]["yi"], data["escalc"]["vi"], tau2="DL")
    low, high = tau2_interval(fitted)
    result = pool(studies(data["escalc"]["yi"], data["escalc"]["vi"]), tau2="DL", **CHOICES)

    assert fitted.tau2 < low < high
    assert result["tau2"].low == pytest.approx(low)


@pytest.mark.parametrize("method", ["DL", "HE", "HS", "HSk", "DLIT"])
def test_trap_5_a_moment_estimate_is_cut_at_zero(method):
    assert fit(*case("homogeneous_tau0"), tau2=method).tau2 == 0.0


def test_trap_6_an_interval_narrower_than_the_common_effect_is_floored_and_said():
    floored = pool(studies(*case("homogeneous_tau0")), **CHOICES)
    bare = pool(studies(*case("homogeneous_tau0")), floor="none", **CHOICES)

    assert bare["pooled"].se < bare["common"].se / 15
    assert floored["pooled"].se == pytest.approx(floored["common"].se)
    for result in (floored, bare):
        assert "interval_narrow" in [caution.kind for caution in result.cautions]
    for equal in (
        pool(studies(*case("identical_yi")), floor="none", **CHOICES),
        pool_levels(studies(*case("identical_yi")), **CHOICES),
    ):
        assert "no width" in equal.reason


def test_trap_7_one_study_has_no_variance_between_and_a_normal_interval():
    fitted = fit(*case("k1"))

    assert (fitted.tau2, fitted.df, fitted.test) == (0.0, None, "z")


def test_trap_7_two_studies_have_one_degree_of_freedom_and_no_prediction(bcg):
    y, v = bcg
    fitted = fit(y[:2], v[:2])

    assert fitted.df == 1
    assert (fitted.low[0], fitted.high[0]) == pytest.approx((-5.60, 2.95), abs=0.01)
    assert prediction_interval(fitted, "t_k_minus_2") is None


@pytest.mark.parametrize(
    ("variant", "low", "high"),
    [
        ("HTS_k_minus_2", -2.0084, 0.5793),
        ("t_k_minus_2", -2.0091, 0.5800),
        ("KR", -2.0169, 0.5878),
    ],
)
def test_trap_8_prediction_intervals_state_their_rule_and_differ(variant, low, high, bcg):
    assert prediction_interval(fit(*bcg), variant) == pytest.approx((low, high), abs=5e-5)
    assert pool(studies(*bcg), prediction=variant, **CHOICES).settings["prediction"] == variant


def test_trap_8_without_variance_between_no_sentence_promises_a_range_of_new_studies():
    result = pool(studies(*case("homogeneous_tau0")), **CHOICES)

    assert "new study" not in result.text
    assert "boundary" in [caution.kind for caution in result.cautions]


def test_trap_9_both_definitions_of_i2_are_given_in_per_cent(bcg):
    result = pool(studies(*bcg), **CHOICES)

    assert result["I2"].value == pytest.approx(92.22, abs=0.005)
    assert result["I2_Q"].value == pytest.approx(92.12, abs=0.005)
    assert q_based(fit(*bcg))["I2"][0] == result["I2_Q"].value


ZERO = pd.DataFrame(
    {"study": list("ABC"), "ai": [0, 2, 0], "n1i": [50] * 3, "ci": [3, 5, 0], "n2i": [50] * 3}
)


def test_trap_10_mantel_haenszel_and_peto_need_no_correction_and_count_what_they_used():
    for measure in ("OR", "PETO"):
        result = pool_counts(ZERO, measure=measure, direction_better="lower")
        assert result.settings["studies"] == 3
        assert result.settings["studies_used"] == 2
        assert "small_counts" in [caution.kind for caution in result.cautions]


def test_trap_10_a_risk_difference_of_empty_groups_has_no_infinite_weight():
    effects = effect_sizes(ZERO, measure="RD")
    bare = effect_sizes(ZERO, measure="RD", zero_cells="none")

    assert (effects["vi"] > 0).all()
    assert np.isnan(bare["vi"][2])
    assert bare["excluded"][2] == "RD not defined for these values"


def test_trap_11_transformations_hold_at_their_edges():
    assert back_transform(0.0, "PFT", 20.0) == pytest.approx(0.0, abs=1e-9)
    assert back_transform(3.0, "PFT", 20.0) == pytest.approx(1.0, abs=1e-9)
    full = effect_sizes(pd.DataFrame({"xi": [10], "ni": [10]}), measure="PLO")
    assert np.isfinite(full["yi"][0])
    tiny = effect_sizes(pd.DataFrame({"ri": [0.5], "ni": [3]}), measure="ZCOR")
    assert tiny["excluded"][0] == "ZCOR not defined for these values"


def test_trap_11_corrections_for_small_samples_are_exact_and_can_be_left_out():
    table = pd.DataFrame(
        {"m1i": [4.0], "sd1i": [2.0], "n1i": [6], "m2i": [3.0], "sd2i": [2.0], "n2i": [6]}
    )
    exact = gamma(5) / (np.sqrt(5) * gamma(4.5))
    assert effect_sizes(table, measure="SMD")["yi"][0] == pytest.approx(0.5 * exact)
    with_bias = effect_sizes(table, measure="ROM", variance="uncorrected")["yi"][0]
    assert with_bias == pytest.approx(np.log(4 / 3))
    assert effect_sizes(table, measure="ROM")["yi"][0] != pytest.approx(with_bias)


def test_trap_12_explained_variance_is_not_defined_without_variance_and_uses_the_same_rows():
    none = studies(*case("homogeneous_tau0")).assign(dose=[1, 2, 3, 4, 5])
    gaps = studies([0.1, 0.9, 0.4, 1.2, 5.0], [0.05] * 5).assign(dose=[1, 3, 2, 4, np.nan])

    assert "R2" not in [estimate.key for estimate in meta_regression(none, ["dose"]).estimates]
    result = meta_regression(gaps, ["dose"])
    assert result["QE"].k == 4
    assert result["R2"].value == meta_regression(gaps.head(4), ["dose"])["R2"].value
    with pytest.raises(DataError, match="linearly independent"):
        meta_regression(gaps.assign(twice=2 * gaps["dose"]), ["dose", "twice"])


def test_trap_13_a_group_of_one_study_is_shown_and_does_not_blow_up_the_test():
    table = studies([0.1, 1.5, 0.3, 2.0], [0.05, 0.04, 0.06, 0.05]).assign(g=["a", "a", "a", "b"])

    apart = subgroups(table, "g")
    shared = subgroups(table, "g", shared_tau2=True)

    assert apart.table["tau2"].tolist()[1] == 0.0
    assert np.isfinite(apart["Q_between"].value)
    assert apart["Q_between"].value != pytest.approx(shared["Q_between"].value)
    assert "few_studies" in [caution.kind for caution in apart.cautions]


def test_trap_14_egger_needs_three_studies_of_different_size_and_warns_below_ten():
    equal = studies(*case("identical_vi"))
    few = studies([0.1, 0.2, 0.6], [0.01, 0.02, 0.05])

    assert small_study_tests(equal).reason == "all studies have the same size"
    assert "fewer than three" in small_study_tests(few.head(2)).reason
    assert "few_studies" in [caution.kind for caution in small_study_tests(few).cautions]
    grows = 0.1 + 2 * np.sqrt(few["vi"])
    assert regression_test(grows, few["vi"]).b[1] == pytest.approx(2.0)


def test_trap_15_trim_and_fill_survives_ties_and_adds_fewer_than_there_are():
    ties = studies([0.2, 0.2, 0.5, 0.5, 0.5, 0.9, 0.9, 2.0], np.linspace(0.01, 0.4, 8))

    for estimator in ("L0", "R0"):
        assert 0 < trim_and_fill(ties, estimator=estimator)["missing"].value < 8
    assert trim_and_fill(ties, estimator="Q0").reason == "Q0 is not defined here"


def test_trap_16_an_extreme_ratio_of_variances_is_fitted_and_said():
    result = pool(studies(*case("vi_ratio_1e8")), **CHOICES)

    assert result["tau2"].value == pytest.approx(0.042155765, rel=1e-6)
    assert any("times the smallest" in caution.text for caution in result.cautions)


def test_trap_17_variance_components_may_be_zero_and_intervals_open_and_few_clusters_warn():
    draw = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "study": np.repeat(list("ABCD"), 3),
            "yi": 0.3 + draw.normal(0, 0.05, 12),
            "vi": 0.05,
        }
    )
    data = levels(table["yi"], table["vi"], table["study"], table.index)
    fitted = fit_levels(data)
    low, high = profile_interval(data, fitted, 0)
    result = pool_levels(table, **CHOICES)

    assert fitted.variances.tolist() == [0.0, 0.0]
    assert low == 0.0 < high
    kinds = [caution.kind for caution in result.cautions]
    assert {"boundary", "few_studies"} <= set(kinds)
    assert any("below 4 it is unreliable" in caution.text for caution in result.cautions)


ARMS = pd.DataFrame(
    {
        "study": ["1"] * 3 + ["2"] * 2 + ["3"] * 2,
        "treatment": ["C", "A", "B", "B", "A", "C", "B"],
        "events": [9, 3, 6, 5, 0, 8, 6],
        "n": [90, 100, 110, 66, 60, 80, 82],
    }
)


def test_trap_18_arms_of_one_study_count_once_and_names_and_rounding_do_not_matter():
    pairs = contrasts(ARMS, measure="OR")
    rounded = pairs.assign(yi=pairs["yi"].round(3), vi=pairs["vi"].round(4))

    one = network_pool(pairs, direction_better="lower", reference="A")
    other = network_pool(rounded, direction_better="lower", reference="A")
    worse = network_pool(pairs, direction_better="higher", reference="A")

    assert build(pairs).at(0.0).df == 2
    assert other["vs.C"].value == pytest.approx(one["vs.C"].value, rel=5e-3)
    assert worse["P.C"].value == pytest.approx(1 - one["P.C"].value)
    apart = pairs.tail(1).assign(study="9", treatment1="P", treatment2="Q")
    with pytest.raises(DataError, match="its parts are: A, B, C; P, Q"):
        build(pd.concat([pairs, apart]))


def test_trap_18_arms_without_events_are_taken_out_by_name():
    result = network_pool_counts(ARMS, direction_better="lower", reference="B")

    assert result.settings["arms_left_out"] == ["A in A, B"]
    assert result.settings["studies"] == 2


def test_trap_19_tiny_p_values_ratios_and_falling_transforms_survive_json():
    sure = pool(studies([9.0, 9.1, 9.05], [1e-4] * 3), test="z", **CHOICES)
    ratio = pool(
        studies(np.log([0.5, 0.6, 0.4]), [0.05, 0.04, 0.06]), direction_better="lower", measure="OR"
    )
    alpha = pool(studies([-1.0, -1.5, -1.2], [0.01] * 3), direction_better="higher", measure="ABT")

    for result in (sure, ratio, alpha):
        assert Result.loads(result.dumps()) == result
        assert "NaN" not in result.dumps()
        assert result["pooled"].low <= result["pooled"].value <= result["pooled"].high
    assert sure["p"].value < 1e-300
    assert (ratio["pooled"].scale, ratio["pooled_analysis_scale"].scale) == ("natural", "analysis")


COUNTED = {"direction_better": "lower", "level": 95}
FIVE = studies([0.1, 0.4, 0.2, 0.6, 0.3], [0.05] * 5)
PAIRS = contrasts(ARMS, measure="OR")


@pytest.mark.parametrize(
    "asked",
    [
        lambda: pool(FIVE, **CHOICES, level=95),
        lambda: pool_levels(FIVE, **CHOICES, level=95),
        lambda: pool_many(FIVE["yi"], FIVE["vi"], np.ones((1, 5)), level=95),
        lambda: pool_counts(ZERO, measure="OR", **COUNTED),
        lambda: pool_by_likelihood(ZERO, measure="OR", **COUNTED),
        lambda: network_pool(PAIRS, reference="A", **COUNTED),
        lambda: network_pool_counts(ARMS, reference="B", **COUNTED),
        lambda: synthesis_coverage(sets=2, studies=(3,), shares=(0,), level=95),
    ],
    ids=["pool", "levels", "many", "counts", "likelihood", "network", "network counts", "coverage"],
)
def test_a_level_in_per_cent_is_refused_with_the_way_to_write_it(asked):
    with pytest.raises(DataError, match=r"between 0 and 1; got 95. Write 95 % as 0.95"):
        asked()
