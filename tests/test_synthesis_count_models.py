"""Rare events by their likelihood: by hand, against scipy, properties, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import stats

from evidence.errors import DataError
from evidence.synthesis.count_models import (
    approximate_conditional,
    beta_binomial,
    binomial_normal,
    exact_conditional,
    pool_by_likelihood,
)
from evidence.synthesis.likelihoods import hypergeometric_terms, integrated
from evidence.synthesis.rare import Counts, counts, pool_counts
from evidence.synthesis.study_effects import Arms, fixed_levels, random_levels

TRIALS = pd.DataFrame(
    {
        "study": list("ABCDEF"),
        "ai": [1, 0, 4, 2, 6, 0],
        "n1i": [100, 80, 150, 90, 200, 60],
        "ci": [4, 3, 9, 2, 15, 0],
        "n2i": [100, 85, 140, 95, 210, 60],
    }
)
SAME = Counts(*(np.array([value] * 4, float) for value in (10, 50, 20, 50)))
ODDS = {"measure": "OR", "direction_better": "lower"}


def test_four_equal_studies_have_the_odds_ratio_of_one_and_no_spread():
    for fitted in (fixed_levels(Arms(SAME)), random_levels(Arms(SAME))):
        assert fitted.mu == pytest.approx(np.log((10 / 40) / (20 / 30)), abs=1e-5)
        assert fitted.tau2 == 0.0
        assert fitted.wald == pytest.approx(0.0, abs=1e-6)
    variance = (1 / 10 + 1 / 40 + 1 / 20 + 1 / 30) / 4
    assert fixed_levels(Arms(SAME)).se == pytest.approx(np.sqrt(variance), rel=1e-4)


def test_equal_rates_in_equal_studies_have_the_ratio_of_one():
    fitted = fixed_levels(Arms(SAME, rates=True))

    assert fitted.mu == pytest.approx(np.log(0.5), abs=1e-5)
    assert fitted.se == pytest.approx(np.sqrt((1 / 10 + 1 / 20) / 4), rel=1e-4)


def test_without_spread_the_exact_model_is_fishers_conditional_estimate():
    one = Counts(*(np.array([value], float) for value in (4, 20, 8, 20)))
    effects = np.linspace(-3, 1, 4001)

    values = [float(hypergeometric_terms(one)(np.array([[mu]]))[0][0, 0]) for mu in effects]
    fisher = stats.contingency.odds_ratio([[4, 16], [8, 12]], kind="conditional")

    assert effects[int(np.argmax(values))] == pytest.approx(np.log(fisher.statistic), abs=1e-3)


def test_the_exact_likelihood_is_scipys_noncentral_hypergeometric_distribution():
    t = counts(TRIALS).informative()
    effect = 0.7

    found, score, information = hypergeometric_terms(t)(np.full((len(t.a), 1), effect))

    for row, (a, n1, c, n2) in enumerate(zip(t.a, t.n1, t.c, t.n2, strict=True)):
        law = stats.nchypergeom_fisher(n1 + n2, n1, a + c, np.exp(effect))
        assert found[row, 0] == pytest.approx(law.logpmf(a), abs=1e-6)
        assert score[row, 0] == pytest.approx(a - law.mean(), abs=1e-6)
        assert information[row, 0] == pytest.approx(law.var(), rel=1e-5)


def test_the_quadrature_is_the_integral_over_a_fine_grid():
    t = counts(TRIALS).informative()
    terms = hypergeometric_terms(t)
    grid = np.linspace(-8, 8, 8001)

    density = np.exp(terms(-0.5 + 0.6 * np.tile(grid, (len(t.a), 1)))[0]) * stats.norm.pdf(grid)

    expected = np.log(np.trapezoid(density, grid, axis=1))
    assert integrated(terms, -0.5, 0.6, len(t.a)) == pytest.approx(expected, abs=1e-8)


def test_the_beta_binomial_likelihood_is_that_of_scipy():
    events, trials = np.array([1.0, 4.0, 2.0]), np.array([10.0, 12.0, 30.0])
    fitted = beta_binomial(events, trials)
    p, rho = 1 / (1 + np.exp(-fitted.mu)), fitted.correlation
    size = (1 - rho) / rho

    law = stats.betabinom.logpmf(events, trials, p * size, (1 - p) * size)

    choose = [
        np.log(stats.binom.pmf(x, n, 0.5)) + n * np.log(2)
        for x, n in zip(events, trials, strict=True)
    ]
    assert fitted.log_likelihood == pytest.approx(float(np.sum(law) - np.sum(choose)), abs=1e-6)


def test_equal_groups_have_no_beta_binomial_correlation_and_their_crude_odds_ratio():
    result = pool_by_likelihood(
        pd.DataFrame({"ai": [10] * 4, "n1i": [50] * 4, "ci": [20] * 4, "n2i": [50] * 4}),
        model="BB",
        **ODDS,
    )

    assert result["correlation"].value == pytest.approx(0.0, abs=1e-4)
    assert result["pooled"].value == pytest.approx((10 / 40) / (20 / 30), rel=1e-3)


def test_a_logistic_model_recovers_known_spread_of_proportions():
    rng = np.random.default_rng(5)
    trials = rng.integers(50, 200, 400).astype(float)
    chance = 1 / (1 + np.exp(-rng.normal(-1.0, 0.7, 400)))

    found = binomial_normal(rng.binomial(trials.astype(int), chance).astype(float), trials)

    assert found.mu == pytest.approx(-1.0, abs=3 * found.se)
    assert found.tau2 == pytest.approx(0.49, abs=0.1)


def test_a_logistic_model_of_equal_proportions_has_no_spread():
    found = binomial_normal(np.array([10.0, 20.0, 30.0]), np.array([100.0, 200.0, 300.0]))

    assert found.mu == pytest.approx(np.log(0.1 / 0.9), abs=1e-5)
    assert found.tau2 == 0.0


@pytest.mark.parametrize("model", ["UM.FS", "UM.RS", "CM.EL", "CM.AL", "BB"])
def test_every_model_recovers_a_known_odds_ratio_of_many_trials(model):
    rng = np.random.default_rng(11)
    k, effect = 60, -0.6 + 0.5 * rng.standard_normal(60)
    level = rng.normal(-3.0, 0.4, k)
    n = rng.integers(200, 600, (2, k))
    ai = rng.binomial(n[0], 1 / (1 + np.exp(-level - effect)))
    ci = rng.binomial(n[1], 1 / (1 + np.exp(-level)))
    table = pd.DataFrame({"ai": ai, "n1i": n[0], "ci": ci, "n2i": n[1]})

    result = pool_by_likelihood(table, model=model, **ODDS)

    assert result["pooled"].low < np.exp(-0.6) < result["pooled"].high


def test_the_approximate_model_nears_the_exact_one_as_events_become_rare():
    t = counts(TRIALS).informative()
    rarer = Counts(t.a, t.n1 * 1000, t.c, t.n2 * 1000)

    assert approximate_conditional(rarer).mu == pytest.approx(exact_conditional(rarer).mu, abs=1e-3)


def test_the_result_says_what_was_used_and_what_was_left_out():
    result = pool_by_likelihood(TRIALS, outcome="Deaths", **ODDS)

    assert result.text.startswith(
        "Deaths: 5 of 6 studies, exact conditional logistic model: odds ratio 0."
    )
    assert result.settings["studies_used"] == 5
    kinds = [caution.kind for caution in result.cautions]
    assert "small_counts" in kinds
    mantel = pool_counts(TRIALS, **ODDS)["pooled"]
    assert result["pooled"].value == pytest.approx(mantel.value, rel=0.05)


def test_too_few_events_are_a_reason():
    none = TRIALS.assign(ai=0)

    assert "no events in one of the groups" in pool_by_likelihood(none, **ODDS).reason
    assert "fewer than two studies" in pool_by_likelihood(TRIALS.tail(2), **ODDS).reason


@pytest.mark.parametrize("model", ["UM.FS", "UM.RS", "CM.EL", "CM.AL", "BB"])
def test_a_group_in_which_everyone_has_events_is_a_reason(model):
    table = pd.DataFrame({"ai": [9, 9], "n1i": [9, 9], "ci": [5, 6], "n2i": [9, 9]})

    reason = pool_by_likelihood(table, model=model, **ODDS).reason

    assert reason == "no one without events in one of the groups in all studies together"


@pytest.mark.parametrize("model", ["UM.FS", "CM.EL"])
def test_studies_that_all_have_an_infinite_odds_ratio_are_a_reason(model):
    table = pd.DataFrame({"ai": [9, 4], "n1i": [9, 9], "ci": [5, 0], "n2i": [9, 9]})
    swapped = table.rename(columns={"ai": "ci", "ci": "ai"})

    for one in (table, swapped):
        reason = pool_by_likelihood(one, model=model, **ODDS).reason
        assert reason == "each study's odds ratio is infinite, or each is 0"


def test_unknown_measures_and_models_are_refused():
    with pytest.raises(DataError, match="measure must be one of OR, IRR; got 'RR'"):
        pool_by_likelihood(TRIALS, measure="RR", direction_better="lower")
    with pytest.raises(DataError, match=r"model must be one of UM.FS, .* for OR; got 'GLM'"):
        pool_by_likelihood(TRIALS, model="GLM", **ODDS)


ROWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(20, 60), st.integers(1, 9), st.integers(20, 60)),
    min_size=3,
    max_size=6,
)


def test_a_small_spread_is_found_from_either_side():
    rows = np.array([(3, 20, 3, 20), (5, 36, 9, 56), (6, 31, 2, 41)], float).T
    one, other = Counts(*rows), Counts(*rows[[2, 3, 0, 1]])

    assert exact_conditional(one).tau2 == pytest.approx(0.011585, rel=1e-3)
    assert exact_conditional(other).mu == pytest.approx(-exact_conditional(one).mu, abs=1e-5)


@pytest.mark.parametrize("model", ["UM.FS", "CM.EL"])
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(ROWS, st.randoms())
def test_exchanging_groups_inverts_the_ratio_and_order_does_not_matter(model, rows, random):
    table = pd.DataFrame(rows, columns=["ai", "n1i", "ci", "n2i"])
    random.shuffle(rows)
    swapped = pd.DataFrame(rows, columns=["ci", "n2i", "ai", "n1i"])

    one = pool_by_likelihood(table, model=model, **ODDS)
    other = pool_by_likelihood(swapped, model=model, **ODDS)

    if one.known:
        assert np.log(one["pooled"].value) == pytest.approx(
            -np.log(other["pooled"].value), abs=2e-4
        )
        assert one["tau2"].value == pytest.approx(other["tau2"].value, abs=2e-3)
