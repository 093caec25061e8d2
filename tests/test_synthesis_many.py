"""Many specifications at once give what each gives alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.synthesis.fit import fit
from evidence.synthesis.many import BATCHED, multiverse, pool_many

RNG = np.random.default_rng(4)
VI = RNG.uniform(0.01, 0.3, 25)
YI = RNG.normal(0.3, np.sqrt(VI + 0.08))
SUBSETS = RNG.uniform(size=(60, 25)) < 0.4


@pytest.mark.parametrize("method", BATCHED)
@pytest.mark.parametrize("test", ["z", "t", "hartung_knapp"])
def test_each_specification_is_what_it_is_alone(method, test):
    table = pool_many(YI, VI, SUBSETS, tau2=method, test=test, floor="none")

    for row, kept in zip(table.itertuples(), SUBSETS, strict=True):
        alone = fit(YI[kept], VI[kept], tau2=method, test=test)
        assert row.tau2 == pytest.approx(alone.tau2, rel=1e-7, abs=1e-10)
        assert (row.value, row.se) == pytest.approx((alone.b[0], alone.se[0]), rel=1e-7)
        assert (row.low, row.high) == pytest.approx((alone.low[0], alone.high[0]), rel=1e-6)
        assert row.p == pytest.approx(alone.p[0], rel=1e-6)


def test_several_maxima_are_settled_as_in_a_single_fit():
    yi, vi = np.array([0, 0.1, 5, 5.1, -5]), np.array([0.001, 2, 0.001, 3, 4])

    table = pool_many(yi, vi, np.ones((1, 5)))

    assert table["tau2"][0] == pytest.approx(14.1244013595555, rel=1e-7)


def test_empty_and_single_subsets_have_no_or_their_own_number():
    table = pool_many(YI, VI, np.array([np.zeros(25), np.eye(25)[3]]))

    assert np.isnan(table["value"][0])
    assert (table["value"][1], table["tau2"][1]) == (pytest.approx(YI[3]), 0.0)


def test_wrong_shapes_and_choices_are_refused():
    with pytest.raises(DataError, match="one column per study"):
        pool_many(YI, VI, np.ones((2, 3)))
    with pytest.raises(DataError, match="model must be one of random, common here; got 'fixed'"):
        pool_many(YI, VI, SUBSETS, model="fixed")
    with pytest.raises(DataError, match="tau2 must be one of REML, ML"):
        pool_many(YI, VI, SUBSETS, tau2="GENQ")
    with pytest.raises(DataError, match="variances positive"):
        pool_many(YI, -VI, SUBSETS)


@given(st.sampled_from([1e-6, 1e-2, 1e2, 1e6]), st.floats(-10, 10))
def test_scale_and_origin_carry_through(factor, shift):
    one = pool_many(YI, VI, SUBSETS[:10])
    other = pool_many(factor * (YI + shift), factor**2 * VI, SUBSETS[:10])

    assert np.allclose(other["tau2"] / factor**2, one["tau2"], rtol=1e-6, atol=1e-9)
    assert np.allclose(other["value"] / factor - shift, one["value"], rtol=1e-6, atol=1e-7)


EFFECTS = pd.DataFrame({"yi": YI, "vi": VI, "low_risk": YI < 0.35, "large": VI < 0.1})
CHOICES = {"risk": {"all": "", "low risk only": "low_risk"}, "size": {"all": "", "large": "large"}}
REASONS = {"risk": "bias may inflate", "size": "small studies differ", "tau2": "unequal studies"}


def test_a_multiverse_has_every_combination_once():
    result = multiverse(
        {"as given": EFFECTS},
        direction_better="higher",
        reasons=REASONS,
        subsets=CHOICES,
        tau2=("REML", "DL"),
        measure="SMD",
    )

    assert result["specifications"].value == 8
    assert not result.table[["risk", "size", "tau2_method"]].duplicated().any()
    assert result["smallest"].value <= result["largest"].value
    assert result.settings["reasons"] == REASONS


def test_the_choice_that_turns_the_conclusion_is_named():
    effects = pd.DataFrame(
        {
            "yi": [0.5, 0.5, 0.5, -0.5, -0.5],
            "vi": [0.01] * 5,
            "good": [False, False, False, True, True],
        }
    )

    result = multiverse(
        {"as given": effects},
        direction_better="higher",
        reasons={"risk": "bias", "tau2": "unequal"},
        subsets={"risk": {"all": "", "good only": "good"}},
        tau2=("REML", "DL"),
        test=("z",),
        measure="SMD",
    )

    assert result["flips.risk"].value == 100.0
    assert result["flips.tau2"].value == 0.0
    assert "most often is risk" in result.text


def test_effects_without_a_number_are_a_reason():
    none = pd.DataFrame({"yi": [np.nan], "vi": [np.nan]})

    result = multiverse({"only": none}, direction_better="higher", reasons={})

    assert result.reason == "no specification includes a study"


def test_a_choice_that_leaves_a_row_open_is_refused():
    rows = pd.DataFrame({"yi": YI, "vi": VI, "low_risk": [True, None] + [False] * 23})

    with pytest.raises(DataError, match="'low_risk' is empty in 1"):
        multiverse(
            {"only": rows},
            direction_better="higher",
            reasons={"risk": "unclear"},
            subsets={"risk": {"all": "", "low": "low_risk"}},
        )


def test_a_choice_without_a_reason_is_refused():
    with pytest.raises(DataError, match="none is given for risk"):
        multiverse(
            {"as given": EFFECTS},
            direction_better="higher",
            reasons={},
            subsets={"risk": CHOICES["risk"]},
        )
    with pytest.raises(DataError, match="'big' names 'huge', which is not there"):
        multiverse(
            {"as given": EFFECTS},
            direction_better="higher",
            reasons={"size": "x"},
            subsets={"size": {"all": "", "big": "huge"}},
        )


def test_ten_thousand_specifications_take_no_more_than_20_microseconds_each(benchmark):
    rng = np.random.default_rng(1)
    vi = rng.uniform(0.01, 0.3, 100)
    yi = rng.normal(0.3, np.sqrt(vi + 0.1))
    include = rng.uniform(size=(10_000, 100)) < 0.5

    benchmark(pool_many, yi, vi, include)
