"""Random-intercept models: a case with a known answer, other fits, properties, refusals."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats
from statsmodels.regression.mixed_linear_model import MixedLM

from evidence.errors import DataError
from evidence.results import Result
from evidence.variation import multilevel


def practices(groups=60, sd=0.4, seed=1, size=80):
    draw = np.random.default_rng(seed)
    effect = draw.normal(0, sd, groups)
    n = draw.integers(size // 2, 2 * size, groups)
    return pd.DataFrame(
        {
            "practice": [f"P{i:04d}" for i in range(groups)],
            "events": draw.binomial(n, special.expit(-1 + effect)),
            "people": n,
            "deprived": draw.normal(size=groups).round(3),
        }
    )


def binomial(table, **choices):
    base = {"outcome": "events", "trials": "people", "group": "practice", "interval": False}
    return multilevel.random_intercept(table, **(base | choices))


def marginal(table, beta, sd):
    """The likelihood by brute integration, one group at a time."""
    total = 0.0
    for y, n in table[["events", "people"]].to_numpy():
        value, _ = integrate.quad(
            lambda u, y=y, n=n: (
                stats.binom.pmf(y, n, special.expit(beta + sd * u)) * stats.norm.pdf(u)
            ),
            -8,
            8,
            points=[special.logit(y / n) / max(sd, 0.1) if 0 < y < n else 0.0],
            limit=200,
        )
        total += np.log(value)
    return total


def test_the_likelihood_with_quadrature_is_that_of_brute_integration():
    table = practices(groups=12, size=30)
    result = binomial(table, quadrature=15)

    beta, sd = result["fixed.intercept"].value, result["sd_group"].value
    assert result["loglik"].value == pytest.approx(marginal(table, beta, sd), abs=1e-6)


def test_the_fit_is_a_maximum():
    table = practices(groups=12, size=30)
    result = binomial(table, quadrature=15)
    beta, sd = result["fixed.intercept"].value, result["sd_group"].value

    best = marginal(table, beta, sd)

    for other in ((beta + 0.05, sd), (beta - 0.05, sd), (beta, sd + 0.05), (beta, sd - 0.05)):
        assert marginal(table, *other) < best


def test_the_median_odds_ratio_of_a_variance_of_one_is_2_60():
    """exp(√2 × 0.6745) = 2.596."""
    assert multilevel.median_odds_ratio(1.0) == pytest.approx(2.596, abs=0.001)


def test_the_spread_is_recovered_within_its_interval():
    covered, values = [], []
    for seed in range(30):
        spread = binomial(practices(seed=seed), interval=True)["sd_group"]
        covered.append(spread.low <= 0.4 <= spread.high)
        values.append(spread.value)

    assert np.mean(covered) >= 0.85
    assert np.mean(values) == pytest.approx(0.4, abs=0.04)


def test_groups_that_do_not_differ_stand_on_the_boundary_and_it_is_said():
    table = practices(sd=0.0, seed=3).assign(events=lambda t: (t["people"] * 0.3).round())

    result = binomial(table, interval=True)

    assert result["sd_group"].value == 0
    assert result["sd_group"].low == 0
    assert result["mor"].value == 1
    assert "boundary" in [caution.kind for caution in result.cautions]
    assert (result.table["effect"].abs() < 1e-3).all()


def test_effects_are_shrunk_more_where_people_are_few():
    table = practices(groups=40, sd=0.5)
    table.loc[:1, ["events", "people"]] = [[6, 10], [600, 1000]]

    rows = binomial(table).table

    assert 0 < rows["effect"].iloc[0] < rows["effect"].iloc[1]
    assert rows["reliability"].iloc[0] < rows["reliability"].iloc[1]


def test_the_order_of_rows_and_the_names_of_groups_change_nothing():
    table = practices()
    turned = table.iloc[::-1].assign(practice=lambda t: "X" + t["practice"])

    one, two = binomial(table), binomial(turned)

    assert two["sd_group"].value == pytest.approx(one["sd_group"].value, rel=1e-6)
    np.testing.assert_allclose(two.table["effect"], one.table["effect"], atol=1e-6)


def test_splitting_a_practice_into_rows_changes_nothing():
    table = practices(groups=20)
    half = table.assign(events=table["events"] // 2, people=table["people"] // 2)
    rest = table.assign(
        events=table["events"] - half["events"], people=table["people"] - half["people"]
    )

    split = binomial(pd.concat([half, rest]))

    whole = binomial(table)
    assert split["sd_group"].value == pytest.approx(whole["sd_group"].value, rel=1e-6)


def test_a_poisson_model_of_rates_finds_the_spread_it_was_given():
    draw = np.random.default_rng(7)
    expected = draw.uniform(20, 200, 150)
    table = pd.DataFrame(
        {
            "area": np.arange(150),
            "events": draw.poisson(expected * np.exp(draw.normal(0.1, 0.3, 150))),
            "expected": expected,
        }
    )

    result = multilevel.random_intercept(
        table, outcome="events", exposure="expected", family="poisson", group="area"
    )

    assert result["sd_group"].low < 0.3 < result["sd_group"].high
    assert result["fixed.intercept"].value == pytest.approx(0.1, abs=0.08)


def patients(seed=2, groups=25, per=12):
    draw = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), per)
    x = draw.normal(size=codes.size)
    y = 3 + 0.7 * x + draw.normal(0, 2, groups)[codes] + draw.normal(0, 3, codes.size)
    return pd.DataFrame({"trust": codes, "x": x, "y": y}).iloc[5:]


@pytest.mark.parametrize("reml", [True, False])
def test_a_gaussian_model_equals_that_of_statsmodels(reml):
    table = patients()
    other = MixedLM(table["y"], np.column_stack([np.ones(len(table)), table["x"]]), table["trust"])
    fit = other.fit(reml=reml, method=["powell", "bfgs"])

    result = multilevel.random_intercept(
        table, outcome="y", family="gaussian", group="trust", covariates=["x"], reml=reml
    )

    # its search stops earlier: the likelihood here is never lower
    assert result["var_group"].value == pytest.approx(fit.cov_re.iloc[0, 0], rel=1e-2)
    assert result["loglik"].value == pytest.approx(fit.llf, rel=1e-6)
    assert result["loglik"].value >= fit.llf - 1e-9
    assert result["fixed.x"].se == pytest.approx(fit.bse_fe.iloc[1], rel=2e-3)
    assert result["icc"].low < result["icc"].value < result["icc"].high


def test_text_covariates_are_coded_against_their_first_value():
    table = practices().assign(kind=lambda t: np.where(t["deprived"] > 0, "urban", "rural"))

    keys = [estimate.key for estimate in binomial(table, covariates=["kind", "deprived"]).estimates]

    assert keys[:3] == ["fixed.intercept", "fixed.kind.urban", "fixed.deprived"]


@pytest.mark.parametrize(
    ("change", "choices", "words"),
    [
        ({"events": 999}, {}, "a positive denominator that holds them; rows \\[0, 1"),
        ({"people": 0}, {}, "positive denominator"),
        ({"practice": "one"}, {}, "three groups or more; got 1"),
        ({}, {"covariates": ["deprived", "deprived"]}, "must not repeat each other"),
        ({"deprived": np.nan}, {"covariates": ["deprived"]}, "a value in every row"),
        ({}, {"trials": None}, "name it as trials"),
        ({}, {"family": "gamma"}, "family must be one of binomial, poisson, gaussian"),
        ({"events": 0}, {}, "events and, in a proportion, non-events"),
        ({}, {"quadrature": 0}, "quadrature must be 1 point or more"),
        ({"practice": [None, *"ABCDEFGHIJK"]}, {}, r"every row needs its group; rows \[0\] have"),
        ({}, {"family": "gaussian", "outcome": "flat"}, "values that vary; all 12 are 4"),
    ],
)
def test_wrong_input_is_refused_by_name(change, choices, words):
    with pytest.raises(DataError, match=words):
        binomial(practices(groups=12).assign(flat=4.0).assign(**change), **choices)


def test_a_fit_survives_json_and_says_its_scale_and_approximation():
    result = binomial(practices(groups=12), indicator="Reviewed", interval=True)

    assert Result.loads(result.dumps()) == result
    assert result.settings["icc_scale"] == "latent (variance π²/3)"
    assert result.settings["approximation"] == "Laplace"
    assert result["icc"].low < result["icc"].value < result["icc"].high
    assert "drawn at random the odds differ by a factor of" in result.text


def test_bench_a_random_intercept_for_6500_practices(benchmark):
    table = practices(groups=6500, size=600)

    result = benchmark.pedantic(binomial, (table,), {"interval": True}, rounds=2)

    assert result["sd_group"].low < 0.4 < result["sd_group"].high
