"""Pooling: by hand, boundaries, refusals, cautions and invariances."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.results import Result
from evidence.synthesis.fit import fit, prediction_interval, tau2_interval
from evidence.synthesis.heterogeneity import METHODS
from evidence.synthesis.pool import as_key, listed, pool, with_and_without
from evidence.vocabulary import DESIGNS

FAR = pd.DataFrame({"study": ["A", "B", "C"], "yi": [0.0, 1.0, 2.0], "vi": [0.1, 0.1, 0.1]})
CHOICES = {"direction_better": "higher", "measure": "SMD"}


def table(yi, vi):
    return pd.DataFrame({"study": [f"S{i}" for i in range(len(yi))], "yi": yi, "vi": vi})


def kinds(result):
    return [caution.kind for caution in result.cautions]


def test_with_equal_variances_every_number_is_known_by_hand():
    result = pool(FAR, floor="none", **CHOICES)

    assert result["tau2"].value == pytest.approx(1.0 - 0.1)
    assert result["pooled"].value == pytest.approx(1.0)
    assert result["pooled"].se == pytest.approx(np.sqrt(1.0 / 3))
    assert result["pooled"].high == pytest.approx(1.0 + 4.302652729911275 * np.sqrt(1 / 3))
    assert result["prediction"].high == pytest.approx(1 + 4.302652729911275 * np.sqrt(0.9 + 1 / 3))
    assert result["I2"].value == pytest.approx(90.0)
    assert result["Q"].value == pytest.approx(20.0)
    assert result.table["weight"].tolist() == pytest.approx([100 / 3] * 3)


@pytest.mark.parametrize("method", ["REML", "PM", "EB", "DL", "HE", "DLIT", "GENQ"])
def test_unbiased_estimators_agree_when_variances_are_equal(method):
    assert fit([0, 1, 2], [0.1] * 3, tau2=method).tau2 == pytest.approx(0.9)


def test_the_sentence_says_size_interval_side_and_what_a_new_study_may_find():
    result = pool(table([0.5, 0.6, 0.9, 0.2], [0.01] * 4), outcome="Symptoms", **CHOICES)

    assert result.text.startswith("Symptoms: 4 studies, standardised mean difference 0.55 (95 %")
    assert "in favour of the intervention" in result.text
    assert "A new study may find" in result.text
    assert len(result.text.split()) <= 40


def test_ratios_are_shown_on_the_scale_of_readers_with_the_error_on_the_log_scale():
    effects = table(np.log([0.5, 0.6, 0.4]), [0.05, 0.04, 0.06])

    result = pool(effects, direction_better="lower", measure="RR")

    log = result["pooled_analysis_scale"]
    assert result["pooled"].value == pytest.approx(np.exp(log.value))
    assert result["pooled"].low == pytest.approx(np.exp(log.low))
    assert result["pooled"].se == log.se
    assert "in favour of the intervention" in result.text


def test_an_effect_on_the_wrong_side_is_in_favour_of_the_comparator():
    result = pool(table([0.5, 0.5, 0.6], [0.01] * 3), direction_better="lower", measure="SMD")

    assert "in favour of control" in result.text


def test_an_interval_around_no_effect_is_no_clear_difference():
    assert "no clear difference" in pool(FAR, **CHOICES).text


@pytest.mark.parametrize("method", sorted(METHODS))
def test_no_estimator_returns_a_negative_variance_for_homogeneous_studies(method):
    fitted = fit([0.1, 0.12, 0.09, 0.11, 0.105], [0.02, 0.03, 0.04, 0.01, 0.05], tau2=method)

    assert fitted.tau2 >= 0
    if method not in ("SJ",):
        assert fitted.tau2 == 0


def test_homogeneous_studies_get_a_boundary_caution_and_a_floored_interval():
    result = pool(table([0.1, 0.12, 0.09, 0.11, 0.105], [0.02, 0.03, 0.04, 0.01, 0.05]), **CHOICES)

    assert result["tau2"].value == 0.0
    assert {"boundary", "interval_narrow"} <= set(kinds(result))
    assert result["pooled"].se == pytest.approx(result["common"].se)


def test_without_a_floor_a_too_narrow_interval_is_said_to_be_so():
    effects = table([0.1, 0.12, 0.09, 0.11, 0.105], [0.02, 0.03, 0.04, 0.01, 0.05])

    result = pool(effects, floor="none", **CHOICES)

    assert result["pooled"].se == pytest.approx(0.00422, abs=1e-5)
    assert any("0.06 times the classic one" in caution.text for caution in result.cautions)


def test_the_floor_of_the_classic_interval_is_said_to_be_one():
    effects = table([0.1, 0.12, 0.09, 0.11, 0.105], [0.02, 0.03, 0.04, 0.01, 0.05])

    result = pool(effects, floor="interval", **CHOICES)

    assert result["pooled"].low == pytest.approx(result["common"].low)
    assert any("a floor keeps it from being so" in caution.text for caution in result.cautions)
    assert "interval_narrow" not in kinds(pool(effects, test="z", floor="interval", **CHOICES))


def test_the_unit_of_fixed_weights_does_not_matter():
    yi, vi = [0.1, 0.5, 0.9, 0.3], [0.1, 0.05, 0.2, 0.08]
    weights = np.array([1.0, 2.0, 3.0, 4.0])

    one, other = (fit(yi, vi, weights=factor * weights) for factor in (1, 100))

    residual = np.array(yi) - one.b[0]
    scale = np.sum(residual**2 / (np.array(vi) + one.tau2)) / 3
    classic = np.sum(weights**2 * (np.array(vi) + one.tau2)) / weights.sum() ** 2
    assert one.se[0] == pytest.approx(np.sqrt(scale * classic))
    assert other.se[0] == pytest.approx(one.se[0])
    with pytest.raises(DataError, match="kenward_roger is for inverse-variance weights"):
        fit(yi, vi, test="kenward_roger", weights=weights)


def test_identical_effects_without_a_floor_are_refused_and_not_certain():
    result = pool(table([0.3] * 4, [0.1, 0.2, 0.1, 0.3]), floor="none", **CHOICES)

    assert not result.known
    assert "no width" in result.reason


def test_a_test_without_degrees_of_freedom_is_refused_and_not_infinite():
    effects = table([0.10, 0.11, 0.105], [1e-4, 0.5, 0.5])

    result = pool(effects, test="kenward_roger", prediction="KR", **CHOICES)

    assert not result.known
    assert "less than one degree of freedom" in result.reason


def test_one_study_is_shown_but_nothing_is_called_pooled():
    result = pool(table([0.4], [0.04]), **CHOICES)

    assert result["pooled"].low == pytest.approx(0.4 - 1.959963984540054 * 0.2)
    assert result["tau2"].value == 0.0
    assert "One study: nothing was pooled." in [caution.text for caution in result.cautions]


def test_two_studies_have_no_prediction_interval_and_a_very_wide_interval():
    result = pool(table([-1.0, 2.0], [0.01, 0.04]), **CHOICES)

    assert {"few_studies", "prediction_interval"} <= set(kinds(result))
    assert "prediction" not in [estimate.key for estimate in result.estimates]
    assert result["pooled"].high - result["pooled"].low > 30


def test_many_effects_of_one_study_are_a_caution():
    result = pool(FAR.assign(study=["A", "A", "B"]), **CHOICES)

    assert "dependence" in kinds(result)
    assert result["pooled"].n is None


def test_a_prediction_interval_from_few_studies_is_a_caution():
    assert "prediction_interval" in kinds(pool(FAR, **CHOICES))


def test_a_prediction_interval_that_is_not_defined_is_not_put_down_to_few_studies():
    near = table([0.1, 0.5, 0.9], [0.1, 0.2, 0.3])
    one, other = (pool(near.head(k), prediction="KR_PR", **CHOICES) for k in (2, 3))

    assert "3 are needed" in " ".join(caution.text for caution in one.cautions)
    assert "no degrees of freedom here" in " ".join(caution.text for caution in other.cautions)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("model", ["random", "common"])
def test_an_unknown_prediction_interval_is_refused_even_where_there_is_none(k, model):
    with pytest.raises(DataError, match="prediction must be one of t_k_minus_1"):
        pool(FAR.head(k), prediction="t", model=model, **CHOICES)


def test_people_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="people must be numbers; 'n' has 'many'"):
        pool(FAR.assign(n=["12", "many", None]), **CHOICES)


def test_different_designs_are_not_pooled_unless_that_is_asked_for():
    mixed = FAR.assign(design=["rct", "rct", "before_after"])

    refused = pool(mixed, **CHOICES)
    asked = pool(mixed, mix_designs=True, **CHOICES)

    assert refused.text == (
        "Not pooled: designs differ: randomised trials, before and after without a comparison."
    )
    assert asked["pooled"].design == "before_after"
    assert {"designs_differ", "uncontrolled_design"} <= set(kinds(asked))


def test_different_measures_or_directions_are_not_pooled():
    measures = pool(FAR.assign(measure=["SMD", "SMD", "OR"]), direction_better="higher")
    directions = pool(FAR.assign(direction_better=["higher", "higher", "lower"]), **CHOICES)

    assert measures.reason == "measures differ: standardised mean difference, odds ratio"
    assert directions.reason == "directions differ: higher is better, lower is better"


def test_no_refusal_shows_a_reader_a_code_word():
    texts = [
        pool(FAR.assign(design=[one, "rct", "rct"]), **CHOICES).text
        for one in DESIGNS
        if one != "rct"
    ]
    texts += [
        pool(table([0.3] * 4, [0.1] * 4), floor="none", **CHOICES).text,
        pool(table([0.10, 0.11, 0.105], [1e-4, 0.5, 0.5]), test="kenward_roger", **CHOICES).text,
        pool(FAR.assign(measure=["SMD", "SMD", "OR"]), direction_better="higher").text,
    ]

    assert not [text for text in texts if re.search(r"[_=]|\brct\b|\bdid\b|SMD", text)]


def test_no_usable_study_is_a_reason_and_not_an_error():
    result = pool(FAR.assign(yi=np.nan), **CHOICES)

    assert result.reason == "no study has a usable effect"


def test_rows_without_an_effect_are_left_out_by_name():
    result = pool(
        FAR.assign(yi=[0.0, np.nan, 2.0], excluded=["", "sd1i is missing", ""]), **CHOICES
    )

    assert result.settings["left_out"] == ["B: sd1i is missing"]
    assert result["pooled"].k == 2
    assert any("B: sd1i is missing" in caution.text for caution in result.cautions)


@pytest.mark.parametrize(
    ("change", "choices", "message"),
    [
        (
            {},
            {"direction_better": "up"},
            "direction_better must be higher, lower or none; got 'up'",
        ),
        ({}, {"tau2": "XX"}, "tau2 must be one of REML"),
        ({}, {"test": "wald"}, "test must be one of z, t"),
        ({}, {"floor": "low"}, "floor must be one of none, scale"),
        ({}, {"prediction": "wide"}, "prediction must be one of"),
        ({}, {"tau2_interval": "x"}, "tau2_interval must be one of"),
        ({}, {"level": 95}, "level must lie between 0 and 1; got 95"),
        ({}, {"measure": ""}, "the measure must be stated"),
        ({}, {"study": "trial"}, "the table has no trial"),
        ({"vi": [0.1, -0.1, 0.1]}, {}, "sampling variances positive; rows 1 are not"),
        ({"design": ["trial", "rct", "rct"]}, {}, "a design must be one of rct"),
    ],
)
def test_wrong_input_is_refused_in_one_line(change, choices, message):
    with pytest.raises(DataError, match=message):
        pool(FAR.assign(**change), **(CHOICES | choices))


def test_names_are_listed_as_in_a_sentence_and_fit_into_keys():
    assert [listed(list(names)) for names in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert as_key("CBT + SSRI, 2nd") == "CBT___SSRI__2nd"


def test_results_survive_json_exactly():
    result = pool(FAR.assign(n=[10, 20, 30], format=["ind", "grp", "ind"]), **CHOICES)

    assert Result.loads(result.dumps()) == result


def test_with_and_without_puts_both_results_side_by_side():
    effects = table([0.4, 0.5, 0.45, 3.7], [0.02, 0.03, 0.02, 0.2])

    result = with_and_without(effects, effects["yi"] > 3, **CHOICES)

    assert result["with"].value > result["without"].value
    assert result.table["k"].tolist() == [4, 3]
    assert result.text.startswith("Leaving out 1 row changes the pooled result from")
    with pytest.raises(DataError, match="one truth value per row; got 1 for 4"):
        with_and_without(effects, [True], **CHOICES)


STUDIES = st.integers(2, 12).flatmap(
    lambda k: st.tuples(
        st.lists(st.floats(-3, 3), min_size=k, max_size=k),
        st.lists(st.floats(0.005, 4), min_size=k, max_size=k),
    )
)


@pytest.mark.parametrize("method", sorted(METHODS))
@given(STUDIES, st.sampled_from([1e-6, 1e-3, 1e3, 1e6]))
def test_scale_and_sign_of_effects_carry_through(method, studies, factor):
    yi, vi = np.array(studies[0]), np.array(studies[1])

    one = fit(yi, vi, tau2=method)
    other = fit(-factor * yi, factor**2 * vi, tau2=method)

    unit = one.studies.unit + one.tau2
    assert other.tau2 / factor**2 == pytest.approx(one.tau2, rel=1e-6, abs=1e-9 * unit)
    assert -other.b[0] / factor == pytest.approx(one.b[0], rel=1e-6, abs=1e-6 * np.sqrt(unit))


@given(STUDIES, st.randoms())
def test_the_order_of_studies_does_not_matter(studies, random):
    pairs = list(zip(*studies, strict=True))
    random.shuffle(pairs)
    yi, vi = zip(*pairs, strict=True)

    one, other = fit(*studies), fit(yi, vi)

    assert other.tau2 == pytest.approx(one.tau2, rel=1e-6, abs=1e-8)
    assert other.b[0] == pytest.approx(one.b[0], rel=1e-6, abs=1e-7)


@given(STUDIES)
def test_the_reml_estimate_is_never_beaten_by_a_grid(studies):
    fitted = fit(*studies, tau2="REML")
    data = fitted.studies
    best = data.at(fitted.tau2 / data.unit).log_likelihoods[1]

    grid = np.concatenate([[0], np.logspace(-6, 4, 200)])
    assert best >= max(data.at(float(tau2)).log_likelihoods[1] for tau2 in grid) - 1e-8


@given(STUDIES)
def test_well_posed_studies_never_raise_and_never_give_a_missing_number(studies):
    result = pool(table(*studies), **CHOICES)

    assert result.known
    assert all(estimate.value is not None for estimate in result.estimates)
    assert result["tau2"].low <= result["tau2"].high


@given(STUDIES, st.floats(0.05, 5))
def test_adding_a_constant_moves_the_pooled_effect_only(studies, shift):
    yi, vi = np.array(studies[0]), np.array(studies[1])

    one, other = fit(yi, vi), fit(yi + shift, vi)

    assert other.b[0] - shift == pytest.approx(one.b[0], rel=1e-5, abs=1e-5)
    assert other.tau2 == pytest.approx(one.tau2, rel=1e-5, abs=1e-6)


def test_prediction_variants_are_the_same_where_nothing_distinguishes_them():
    common = fit([0.1, 0.2], [0.1, 0.1], model="common", test="z")

    assert prediction_interval(common) is None
    assert tau2_interval(common) is None


def test_prediction_intervals_of_bcg_vaccine_differ_by_their_stated_rule(bcg_log_risk_ratios):
    fitted = fit(*bcg_log_risk_ratios)

    found = {name: prediction_interval(fitted, name) for name in ("t_k_minus_1", "HTS_k_minus_2")}

    assert found["t_k_minus_1"] == pytest.approx((-1.99602, 0.56695), abs=1e-5)
    assert found["HTS_k_minus_2"] == pytest.approx((-2.00838, 0.57931), abs=1e-5)


@pytest.fixture
def bcg_log_risk_ratios():
    """Return the 13 trials of the BCG vaccine (Colditz et al. 1994, table 1)."""
    a = np.array([4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27])
    n1 = np.array([123, 306, 231, 13598, 5069, 1541, 2545, 88391, 7499, 1716, 50634, 2498, 16913])
    c = np.array([11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29])
    n2 = np.array([139, 303, 220, 12867, 5808, 1451, 629, 88391, 7277, 1665, 27338, 2341, 17854])
    return np.log(a / n1) - np.log(c / n2), 1 / a - 1 / n1 + 1 / c - 1 / n2
