"""Known answers of the workbook's own trials of psychotherapy for depression in the UK."""

from __future__ import annotations

import pytest

from evidence.data import load
from evidence.synthesis.dependent import pool_levels
from evidence.synthesis.effects import one_per_study
from evidence.synthesis.pool import pool, with_and_without

CHOICES = {"direction_better": "higher", "measure": "SMD"}


@pytest.fixture(scope="module")
def trials():
    table = load("reviews/psychotherapy_depression_uk", "trials")
    return table.assign(yi=table["g"], vi=table["g_se"] ** 2)


def test_all_studies_pooled_by_one_effect_per_study(trials):
    result = pool(one_per_study(trials), floor="none", **CHOICES)

    assert result["pooled"].k == 54
    assert result["pooled"].value == pytest.approx(0.517365, abs=5e-7)
    assert (result["pooled"].low, result["pooled"].high) == pytest.approx((0.353, 0.681), abs=5e-4)
    assert result["tau2"].value == pytest.approx(0.2080, abs=5e-5)
    assert result["I2"].value == pytest.approx(81, abs=0.5)
    assert result["prediction"].low == pytest.approx(-0.41, abs=0.005)
    assert result["prediction"].high == pytest.approx(1.45, abs=0.005)


def test_low_risk_of_bias_by_the_databases_four_items(trials):
    result = pool(one_per_study(trials[trials["rob"] == 4]), floor="none", **CHOICES)

    found = [result["pooled"].value, result["pooled"].low, result["pooled"].high]
    assert result["pooled"].k == 27
    assert found == pytest.approx([0.473, 0.232, 0.714], abs=5e-4)


def test_the_default_floor_changes_nothing_here(trials):
    effects = one_per_study(trials)

    assert pool(effects, **CHOICES)["pooled"] == pool(effects, floor="none", **CHOICES)["pooled"]


def test_without_the_row_that_probably_holds_standard_errors_the_effect_is_smaller(trials):
    effects = one_per_study(trials)

    result = with_and_without(effects, effects["study"] == "O'Mahen, 2013a", **CHOICES)

    assert result.table["k"].tolist() == [54, 53]
    assert result["with"].value == pytest.approx(0.517, abs=5e-4)
    assert result["without"].value == pytest.approx(0.45, abs=0.005)


def test_all_rows_in_a_three_level_model_agree_with_one_effect_per_study(trials):
    result = pool_levels(trials, rho=0.6, **CHOICES)

    assert result["pooled"].k == 54
    assert result["pooled"].value == pytest.approx(0.517, abs=0.03)
