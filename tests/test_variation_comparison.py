"""Benchmarks, quantiles and trends: hand cases, another implementation, properties, refusals."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from evidence.errors import DataError
from evidence.variation import comparison


def areas(numerators, denominators):
    return pd.DataFrame({"numerator": numerators, "denominator": denominators})


def test_an_interval_that_holds_the_benchmark_is_similar():
    rows = comparison.with_benchmark(
        areas([50, 60, 70, 30], [100] * 4), benchmark=50, direction_better="higher"
    )

    # Wilson 95 % of 60 in 100 is 50.2 to 69.1
    assert rows["judgement"].tolist() == ["similar", "better", "better", "worse"]
    assert rows["judgement_5"].tolist()[1:] == ["better 95 %", "better 99.8 %", "worse 99.8 %"]


@pytest.mark.parametrize(
    ("direction", "names"),
    [
        ("higher", ["better", "worse"]),
        ("lower", ["worse", "better"]),
        ("none", ["higher", "lower"]),
    ],
)
def test_the_direction_names_the_judgement(direction, names):
    rows = comparison.with_benchmark(
        areas([90, 10], [100, 100]), benchmark=50, direction_better=direction
    )

    assert rows["judgement"].tolist() == names


def test_a_benchmark_that_is_not_known_is_refused():
    table = pd.DataFrame({"numerator": [1], "denominator": [10]})

    with pytest.raises(DataError, match="a benchmark must be a number; got nan"):
        comparison.with_benchmark(table, benchmark=float("nan"), direction_better="higher")


def test_an_area_without_people_is_no_figure_and_the_other_is_judged():
    rows = comparison.with_benchmark(
        areas([0, 90], [0, 100]), benchmark=50, direction_better="none"
    )

    assert rows["judgement"].tolist() == ["no figure", "higher"]


def test_ten_areas_fall_into_five_pairs_highest_first():
    table = pd.DataFrame({"value": range(10)})

    rows = comparison.quantiles(table)

    assert rows["quantile"].tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    assert comparison.quantiles(table, highest_first=False)["quantile"].tolist() == [
        *[1, 1, 2, 2, 3],
        *[3, 4, 4, 5, 5],
    ]


def test_areas_of_one_value_share_a_quantile_and_a_missing_one_has_none():
    table = pd.DataFrame({"value": [1.0, 1, 1, 4, 5, 6, np.nan]})

    rows = comparison.quantiles(table, number=3)

    assert rows["quantile"].iloc[:3].nunique() == 1
    assert pd.isna(rows["quantile"].iloc[6])
    assert rows["quantile_status"].iloc[6] == "missing"


def test_a_parent_with_fewer_areas_than_quantiles_gets_none():
    table = pd.DataFrame({"value": range(8), "region": ["A"] * 5 + ["B"] * 3})

    rows = comparison.quantiles(table, within="region")

    assert rows["quantile"].notna().tolist() == [True] * 5 + [False] * 3
    assert rows["quantile_status"].iloc[7] == "fewer than 5 areas"


def test_one_quantile_is_refused():
    with pytest.raises(DataError, match="at least 2 quantiles; got 1"):
        comparison.quantiles(pd.DataFrame({"value": [1, 2]}), number=1)


def months(x, n):
    return areas(x, n).assign(period=[str(2010 + i) for i in range(len(x))])


def test_slopes_and_their_errors_equal_those_of_a_fitted_model():
    x, n = np.array([120, 135, 160, 170, 190]), np.array([1010, 1032, 1044, 1051, 1060])
    design = sm.add_constant(np.arange(1, 6))
    logit = sm.GLM(np.column_stack([x, n - x]), design, family=sm.families.Binomial()).fit(
        tol=1e-12
    )
    poisson = sm.GLM(x, design, family=sm.families.Poisson(), offset=np.log(n)).fit(tol=1e-12)

    result = comparison.trend(months(x, n), direction_better="none", indicator="Seen")

    assert result["odds_slope"].value == pytest.approx(logit.params[1], rel=1e-8)
    assert result["odds_slope"].se == pytest.approx(logit.bse[1], rel=1e-7)
    assert result["rate_slope"].value == pytest.approx(poisson.params[1], rel=1e-8)
    assert result.text.startswith("Seen rose over 5 periods")


def test_two_groups_give_the_chi_square_of_the_two_by_two_table():
    """With two periods Armitage's test is Pearson's chi-square."""
    two = comparison._armitage(np.array([1.0, 2.0]), np.array([30, 50]), np.array([100, 100]))

    assert two == pytest.approx(200 * (30 * 50 - 70 * 50) ** 2 / (80 * 120 * 100 * 100))


def test_turning_time_round_turns_the_slope():
    there = comparison.trend(months([10, 20, 30], [100] * 3), direction_better="none")
    back = comparison.trend(months([30, 20, 10], [100] * 3), direction_better="none")

    assert there["odds_slope"].value == pytest.approx(-back["odds_slope"].value)
    assert there["chi2"].value == pytest.approx(back["chi2"].value)


def test_a_trend_takes_periods_in_order_of_time_and_keeps_their_gaps():
    table = months([10, 20, 30, 45], [100] * 4)

    turned = comparison.trend(table.iloc[[2, 0, 3, 1]], direction_better="none")
    gap = comparison.trend(table.drop(index=1), direction_better="none")
    by_place = comparison._slope(
        np.array([1.0, 3.0, 4.0]), np.array([10, 30, 45.0]), np.full(3, 100.0), "binomial"
    )

    assert turned["odds_slope"].value == pytest.approx(
        comparison.trend(table, direction_better="none")["odds_slope"].value
    )
    assert gap["odds_slope"].value == pytest.approx(by_place[0])


def test_a_trend_names_the_periods_without_a_figure_and_tests_the_others():
    table = months([10, 120, 30, 45, 50], [100, 100, 0, 100, 100])

    result = comparison.trend(table, direction_better="none")

    assert "over 3 periods" in result.text
    assert "2 periods without a figure left out: 2011 and 2012." in repr(result)


@pytest.mark.parametrize(
    ("periods", "words"),
    [
        (["2019", "2019", "2020"], "a trend needs one row for each period; repeated: 2019"),
        (["2014-16", "2015-17", "2016-18"], "must not overlap; '2014-16' and '2015-17' do"),
    ],
)
def test_a_trend_over_repeated_or_overlapping_periods_is_refused(periods, words):
    table = months([10, 20, 30], [100] * 3).assign(period=periods)

    with pytest.raises(DataError, match=words):
        comparison.trend(table, direction_better="none")


@pytest.mark.parametrize("x", [[0, 0, 0], [5, 5, 5]])
def test_no_events_or_only_events_are_a_reason_and_not_a_number(x):
    result = comparison.trend(months(x, [5, 5, 5]), direction_better="none")

    assert not result.known


def two_by_two(*rows):
    names = ["exposed_cases", "exposed_others", "unexposed_cases", "unexposed_others"]
    return pd.DataFrame(list(rows), columns=names)


def test_a_two_by_two_table_has_the_ratios_worked_out_by_hand():
    """30 of 100 against 15 of 100: risk ratio 2, odds ratio 30 × 85 / (70 × 15) = 2.429."""
    result = comparison.two_by_two(two_by_two((30, 70, 15, 85)), indicator="Relapse")

    assert result["risk_ratio"].value == pytest.approx(2)
    assert result["odds_ratio"].value == pytest.approx(2550 / 1050)
    assert result["risk_difference"].value == pytest.approx(0.15)
    assert result["odds_ratio_mh"].value == pytest.approx(result["odds_ratio"].value)
    assert result.text.startswith("Relapse differs by 15.0 points between the two sides")


def test_strata_and_their_interval_equal_those_of_statsmodels():
    strata = two_by_two((20, 80, 10, 90), (50, 50, 30, 70), (5, 195, 4, 296))
    other = sm.stats.StratifiedTable(
        strata.to_numpy().reshape(3, 2, 2).transpose(1, 2, 0).astype(float)
    )

    result = comparison.two_by_two(strata)

    assert result["odds_ratio_mh"].value == pytest.approx(other.oddsratio_pooled)
    low, high = other.oddsratio_pooled_confint()
    assert (result["odds_ratio_mh"].low, result["odds_ratio_mh"].high) == pytest.approx((low, high))
    chi2 = other.test_null_odds(correction=False).statistic
    assert result["chi2_mh"].value == pytest.approx(chi2)


def test_changing_the_sides_inverts_the_ratios():
    one = comparison.two_by_two(two_by_two((30, 70, 15, 85)))
    other = comparison.two_by_two(two_by_two((15, 85, 30, 70)))

    assert other["odds_ratio"].value == pytest.approx(1 / one["odds_ratio"].value)
    assert other["risk_difference"].low == pytest.approx(-one["risk_difference"].high)


def test_a_count_of_zero_leaves_the_ratios_out_and_keeps_the_difference():
    keys = [item.key for item in comparison.two_by_two(two_by_two((0, 10, 3, 7))).estimates]

    assert "odds_ratio" not in keys
    assert "risk_difference_newcombe" in keys


def test_a_side_without_people_is_refused():
    with pytest.raises(DataError, match="people on both sides"):
        comparison.two_by_two(two_by_two((0, 0, 3, 7)))


@pytest.mark.parametrize("x", [[0, 0, 10], [10, 0, 0], [0, 4, 10]])
def test_a_trend_whose_odds_have_no_largest_likelihood_keeps_its_test(x):
    result = comparison.trend(months(x, [10, 10, 10]), direction_better="none")
    keys = [estimate.key for estimate in result.estimates]

    assert keys == ["chi2", "p"]
    assert result["p"].value < 0.01
    assert "rose" in result.text if x[-1] else "fell" in result.text
    assert "odds" not in result.text


def test_a_trend_with_overlap_in_time_keeps_its_slopes():
    result = comparison.trend(months([0, 4, 0, 5], [10] * 4), direction_better="none")

    assert result["odds_slope"].low < result["odds_slope"].value < result["odds_slope"].high


def test_a_diagonal_table_of_two_risks_has_no_odds_ratio():
    keys = {item.key for item in comparison.two_by_two(two_by_two((5, 0, 0, 5))).estimates}

    assert {"odds_ratio_conditional", "odds_ratio", "risk_ratio"}.isdisjoint(keys)
    assert {"chi2", "p_fisher", "risk_difference"} <= keys


@pytest.mark.parametrize("cells", [(0, 10, 0, 12), (10, 0, 12, 0)])
def test_a_table_where_nobody_or_everybody_is_a_case_has_a_difference_of_none(cells):
    result = comparison.two_by_two(two_by_two(cells))

    assert result["risk_difference"].value == 0
    assert result["p_fisher"].value == 1
    assert {"chi2", "chi2_mh"}.isdisjoint(item.key for item in result.estimates)
