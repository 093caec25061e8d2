"""Meta-regression and subgroups: by hand, properties, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evidence.errors import DataError
from evidence.synthesis.fit import fit
from evidence.synthesis.regression import (
    explained,
    meta_regression,
    permutation_test,
    permuted_moderators,
    subgroups,
    wald,
)

LINE = pd.DataFrame({"yi": [1.0, 3.0, 5.0, 7.0], "vi": [0.1] * 4, "dose": [0, 1, 2, 3]})
GROUPS = pd.DataFrame(
    {"yi": [0.0, 0.0, 1.0, 1.0], "vi": [0.1, 0.1, 0.1, 0.1], "format": ["a", "a", "b", "b"]}
)


def test_effects_on_a_line_give_its_slope_and_no_residual_heterogeneity():
    result = meta_regression(LINE, ["dose"], test="z")

    assert result["b.intercept"].value == pytest.approx(1.0)
    assert result["b.dose"].value == pytest.approx(2.0)
    assert result["tau2"].value == 0.0
    assert result["R2"].value == pytest.approx(100.0)
    assert result["b.dose"].se == pytest.approx(np.sqrt(0.1 / 5))


def test_two_groups_of_equal_studies_differ_by_a_chi_square_known_by_hand():
    result = subgroups(GROUPS, "format", test="z")

    assert result["Q_between"].value == pytest.approx(1.0 / (0.05 + 0.05))
    assert result["group.a"].value == pytest.approx(0.0)
    assert result.table["k"].tolist() == [2, 2]


def test_a_text_moderator_is_compared_with_its_first_level():
    result = meta_regression(GROUPS, ["format"], test="z")

    assert result.table["term"].tolist() == ["intercept", "format: b"]
    assert result["b.format__b"].value == pytest.approx(1.0)


def test_one_study_in_a_subgroup_is_said_to_be_one():
    result = subgroups(GROUPS.assign(format=["a", "a", "a", "b"]), "format")

    assert any("One study only in b" in caution.text for caution in result.cautions)


def test_a_subgroup_column_with_one_value_is_a_reason():
    assert not subgroups(GROUPS.assign(format="a"), "format").known


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": ["a", "b", "c", "d"]}, "no group has two studies, so nothing can be pooled"),
        ({"yi": [np.nan] * 4}, "no study has both a usable effect and a known format"),
        ({"format": [None] * 4}, "no study has both a usable effect and a known format"),
    ],
)
def test_groups_that_cannot_be_pooled_are_a_reason_and_not_an_error(change, reason, shared):
    result = subgroups(GROUPS.assign(**change), "format", shared_tau2=shared)

    assert result.reason == reason


def test_groups_without_any_spread_and_without_a_floor_are_a_reason():
    result = subgroups(GROUPS, "format", floor="none")

    assert "no width" in result.reason


def test_a_test_without_enough_freedom_in_a_group_is_a_reason():
    spread = GROUPS.assign(yi=[0.1, 0.9, 0.5, 1.6])

    result = subgroups(spread, "format", test="kenward_roger")

    assert "less than one degree of freedom" in result.reason


def test_studies_without_a_subgroup_are_counted():
    gaps = pd.concat([GROUPS, GROUPS.head(1).assign(format=None)], ignore_index=True)

    texts = [caution.text for caution in subgroups(gaps, "format").cautions]

    assert "1 of 5 rows lack a value and were left out." in texts
    assert not any("lack a value" in item.text for item in subgroups(GROUPS, "format").cautions)


def test_studies_without_the_moderator_are_counted():
    result = meta_regression(LINE.assign(dose=[0, 1, 2, np.nan]), ["dose"])

    assert any("1 of 4 rows lack a value" in caution.text for caution in result.cautions)


def test_few_studies_per_coefficient_are_a_caution():
    one, two = (meta_regression(TRIALS.head(k), m) for k, m in ((9, ["year"]), (9, "~ format")))

    assert "9 studies for one coefficient: fewer than 10." in [item.text for item in one.cautions]
    assert "9 studies for 2 coefficients: fewer than 10 each." in [
        item.text for item in two.cautions
    ]
    assert "few_studies" not in [item.kind for item in meta_regression(TRIALS, "~ year").cautions]


def test_too_many_coefficients_are_a_reason():
    result = meta_regression(LINE.head(2), ["dose"])

    assert result.reason == "2 studies for 2 coefficients"


def test_missing_constant_and_dependent_moderators_are_refused():
    with pytest.raises(DataError, match="there is no 'age'"):
        meta_regression(LINE, ["age"])
    with pytest.raises(DataError, match="'dose' is the same in all"):
        meta_regression(LINE.assign(dose=1), ["dose"])
    with pytest.raises(DataError, match="moderators must be linearly independent"):
        meta_regression(LINE.assign(twice=LINE["dose"] * 2), ["dose", "twice"])
    with pytest.raises(DataError, match="subgroups need a column of the table; there is no 'x'"):
        subgroups(LINE, "x")


TRIALS = pd.DataFrame(
    {
        "yi": [0.1, 0.5, 0.3, 0.9, 0.6, 1.1, 0.7, 1.6, 0.2, 0.8],
        "vi": [0.02, 0.05, 0.03, 0.04, 0.06, 0.05, 0.02, 0.07, 0.03, 0.04],
        "year": [1990, 1995, 1993, 2001, 1999, 2006, 2003, 2011, 1991, 2000],
        "format": ["ind", "grp", "ind", "grp", "tel", "tel", "ind", "grp", "tel", "ind"],
    }
)


def test_a_formula_gives_the_columns_that_listing_the_moderators_gives():
    by_formula = meta_regression(TRIALS, "~ year + format")
    by_columns = meta_regression(TRIALS, ["year", "format"])

    assert sorted(by_formula.table["term"]) == sorted(by_columns.table["term"])
    one = by_formula.table.set_index("term")["value"]
    assert one["year"] == pytest.approx(by_columns["b.year"].value)
    assert one["format: tel"] == pytest.approx(by_columns["b.format__tel"].value)
    assert by_formula["QM"].value == pytest.approx(by_columns["QM"].value)
    assert "differ by year and format" in by_formula.text.replace("do not clearly ", "")


def test_a_formula_takes_interactions_and_numbers_as_categories():
    terms = meta_regression(TRIALS, "~ year * C(format)", test="z").table["term"].tolist()
    dose = meta_regression(TRIALS.assign(dose=[1, 2] * 5), "~ C(dose)", test="z")

    assert {"year", "C(format): ind", "year × C(format): tel"} <= set(terms)
    assert dose.table["term"].tolist() == ["intercept", "C(dose): 2"]


def test_a_formula_leaves_out_and_counts_rows_without_a_value():
    gaps = TRIALS.assign(year=TRIALS["year"].where(TRIALS["year"] != 1990))
    gaps.loc[3, "yi"] = np.nan

    result = meta_regression(gaps, "~ year")

    assert result["QM"].k == 8
    assert any("2 of 10 rows lack a value" in caution.text for caution in result.cautions)
    same = meta_regression(gaps.dropna(), ["year"])
    assert result["b.year"].value == pytest.approx(same["b.year"].value)


def test_moderators_stand_in_words_in_the_sentence():
    words = {"year": "year of publication", "format": "format"}

    assert (
        "by year of publication and format (p"
        in meta_regression(TRIALS, "~ year + format", words=words).text
    )


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("~ age", "must name columns of the table, .* '~ age' cannot be used"),
        ("~ year +* 3", "cannot be used"),
        ("~ 0 + year", "a right side with its intercept; '~ 0 \\+ year' has not"),
        ("yi ~ year", "a right side with its intercept"),
        ("~ same", "'same' is the same in all"),
        ("~ year + I(year * 2)", "linearly independent|cannot be used"),
    ],
)
def test_a_formula_that_cannot_be_used_is_refused(formula, message):
    with pytest.raises(DataError, match=message):
        meta_regression(TRIALS.assign(same=1), formula)


def test_a_formula_sees_the_table_and_nothing_of_the_program():
    secret = np.arange(10.0)

    with pytest.raises(DataError, match="'~ secret' cannot be used"):
        meta_regression(TRIALS, "~ secret")
    assert secret.sum() == 45


def test_with_equal_variances_kenward_roger_is_the_ordinary_regression():
    y = np.array([0.1, 0.9, 0.2, 1.5, 0.4, 2.0, 1.0, 0.3])
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    z = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    design = np.column_stack([np.ones(8), x, z])

    fitted = fit(y, np.full(8, 0.05), design, test="kenward_roger")
    b, rss, *_ = np.linalg.lstsq(design, y, rcond=None)
    se = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * rss[0] / 5)

    assert fitted.dfs == pytest.approx([5.0] * 3)
    assert fitted.b == pytest.approx(b)
    assert fitted.se == pytest.approx(se, rel=1e-6)
    slope = stats.linregress(x, y)
    alone = fit(y, np.full(8, 0.05), design[:, :2], test="kenward_roger")
    assert alone.p[1] == pytest.approx(slope.pvalue, rel=1e-6)
    without = np.sum((y - y.mean()) ** 2)
    f = (without - rss[0]) / 2 / (rss[0] / 5)
    assert wald(fitted, [1, 2]) == pytest.approx((f, stats.f.sf(f, 2, 5)), rel=1e-6)


def test_kenward_roger_of_one_coefficient_is_the_square_of_its_t():
    result = meta_regression(TRIALS, "~ year", test="kenward_roger").table.iloc[1]
    omnibus = meta_regression(TRIALS, "~ year", test="kenward_roger")

    assert omnibus["QM"].value == pytest.approx(result["statistic"] ** 2)
    assert omnibus["QM_p"].value == pytest.approx(result["p"])
    assert result["df"] < 8


@given(st.floats(0.1, 50), st.floats(-100, 100))
def test_kenward_roger_does_not_depend_on_the_unit_or_origin_of_a_moderator(factor, shift):
    moved = TRIALS.assign(year=factor * (TRIALS["year"] - 2000) + shift)

    one = meta_regression(TRIALS, "~ year + format", test="kenward_roger")
    other = meta_regression(moved, "~ year + format", test="kenward_roger")

    assert other["QM_p"].value == pytest.approx(one["QM_p"].value, rel=1e-4)
    assert other.table["df"][1:].tolist() == pytest.approx(one.table["df"][1:].tolist(), rel=1e-4)


def test_permutation_gives_a_p_value_for_all_moderators_and_for_each():
    six = TRIALS.head(6)
    result = meta_regression(six, "~ year", test="z", permutations=19)

    expected = permuted_moderators(
        six["yi"], six["vi"], np.column_stack([np.ones(6), six["year"]]), test="z"
    )
    assert result["QM_permutation_p"].value == pytest.approx(expected)
    assert result.table["permutation_p"][1] == pytest.approx(expected)
    assert np.isnan(result.table["permutation_p"][0])
    assert result["QM_permutation_p"].value * 720 == pytest.approx(
        round(result["QM_permutation_p"].value * 720)
    )


EFFECTS = st.lists(st.floats(-2, 2), min_size=5, max_size=9)


@given(EFFECTS, st.floats(0.1, 50), st.floats(-100, 100))
def test_the_unit_and_origin_of_a_moderator_do_not_change_its_test(effects, factor, shift):
    dose = np.arange(len(effects)) ** 1.5
    vi = 0.05 + 0.01 * np.arange(len(effects))
    one, other = (
        fit(effects, vi, np.column_stack([np.ones(len(effects)), x]), test="z")
        for x in (dose, factor * dose + shift)
    )

    assert wald(other, [1])[0] == pytest.approx(wald(one, [1])[0], rel=1e-4, abs=1e-6)


@given(EFFECTS)
def test_explained_variance_lies_between_0_and_100(effects):
    x = np.column_stack([np.ones(len(effects)), np.arange(len(effects))])
    vi = np.full(len(effects), 0.1)

    share = explained(fit(effects, vi, x), fit(effects, vi))

    assert share is None or 0 <= share <= 100


def test_a_permutation_test_counts_sign_patterns_exactly():
    assert permutation_test([1.0, 1.1, 0.9, 1.2], [0.1] * 4) == pytest.approx(2 / 16)


def test_permuting_a_moderator_counts_orders_exactly():
    x = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])

    p = permuted_moderators(LINE["yi"], LINE["vi"], x, model="common", test="z")

    assert p == pytest.approx(2 / 24)


def test_random_orders_count_the_observed_one_so_that_no_p_value_is_0():
    effects, variances = 5.0 + np.arange(20) / 10, np.full(20, 0.01)
    x = np.column_stack([np.ones(20), np.arange(20)])

    flipped = permutation_test(effects, variances, orders=49)
    permuted = permuted_moderators(effects, variances, x, orders=49, test="z")

    assert (flipped, permuted) == (pytest.approx(1 / 50), pytest.approx(1 / 50))
