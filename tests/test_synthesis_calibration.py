"""Calibration of syntheses: by hand, against a plain simulation, words, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evidence.errors import DataError
from evidence.synthesis.calibration import (
    between,
    new_study_held,
    synthesis_coverage,
    variances,
)


@pytest.fixture(scope="module")
def small():
    return synthesis_coverage(sets=40, studies=(5, 8), shares=(0, 50))


def test_with_equal_variances_the_spread_is_known_by_hand():
    assert between(np.full(6, 0.2), 50) == pytest.approx(0.2)
    assert between(np.full(6, 0.2), 75) == pytest.approx(0.6)
    assert between(np.full(6, 0.2), 0) == 0.0


@given(st.integers(3, 30), st.floats(1.0, 100.0))
def test_variances_have_the_stated_ratio(k, ratio):
    assert np.ptp(np.log(variances(k, ratio))) == pytest.approx(np.log(ratio))


def test_the_chance_of_a_new_study_is_that_of_the_normal_distribution():
    assert new_study_held((-1.0, 2.0), 4.0) == pytest.approx(
        stats.norm.cdf(1.0) - stats.norm.cdf(-0.5)
    )
    assert new_study_held((-1.0, 2.0), 0.0) == 1.0
    assert new_study_held((0.1, 2.0), 0.0) == 0.0


def test_where_studies_do_not_differ_the_floored_interval_holds_at_least_its_level():
    found = synthesis_coverage(sets=400, studies=(10,), shares=(0,))

    assert found.table["floor"][0] >= 95.0


def test_there_is_one_row_per_cell_and_every_per_cent_is_one(small):
    assert small.table[["studies", "i2"]].to_numpy().tolist() == [[5, 0], [5, 50], [8, 0], [8, 50]]
    shares = small.table.drop(columns=["studies", "i2"]).to_numpy()
    assert ((shares >= 0) & (shares <= 100) | np.isnan(shares)).all()


def test_the_floor_never_makes_an_interval_hold_less(small):
    assert (small.table["floor"] >= small.table["no_floor"]).all()


def test_the_same_seed_gives_the_same_figures_in_each_cell(small):
    again = synthesis_coverage(sets=40, studies=(8,), shares=(50,))

    assert again.table.iloc[0].tolist() == small.table.iloc[3].tolist()


def test_the_words_state_coverage_beside_its_nominal_level_and_warn_of_prediction(small):
    assert small.text.startswith("Made-up reviews, 40 of each kind: 95 % Hartung-Knapp intervals")
    assert "Egger's 5 % test errs in" in small.text
    assert len(small.text.split()) <= 40
    warning = next(item.text for item in small.cautions if item.kind == "prediction_interval")
    assert "fewer than 20 studies or I² below 50 %" in warning
    assert small["t_k_minus_1.lowest"].value == small.table["t_k_minus_1"].min()


def test_too_few_sets_or_studies_are_refused():
    with pytest.raises(DataError, match="2 sets and 3 studies or more; got 1 sets"):
        synthesis_coverage(sets=1)
    with pytest.raises(DataError, match="reviews of 2"):
        synthesis_coverage(studies=(2, 5))


@pytest.mark.parametrize(
    ("choices", "said"),
    [({"ratio": 1.0}, "got ratio 1 and shares"), ({"shares": (0, 100)}, "shares 0, 100")],
)
def test_reviews_that_cannot_be_made_up_are_refused(choices, said):
    with pytest.raises(DataError, match=said):
        synthesis_coverage(sets=2, **choices)
