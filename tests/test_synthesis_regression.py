"""Meta-regression and subgroups: by hand, properties, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_studies_without_the_moderator_are_counted():
    result = meta_regression(LINE.assign(dose=[0, 1, 2, np.nan]), ["dose"])

    assert any("1 of 4 rows lack a value" in caution.text for caution in result.cautions)


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
