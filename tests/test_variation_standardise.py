"""Standardised rates and life expectancy: hand cases, another implementation, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evidence.errors import DataError
from evidence.variation import rates, standardise


def two_bands(events=(10, 40), people=(1000, 1000), standard=(3000, 1000), area="A"):
    return pd.DataFrame(
        {
            "area_code": area,
            "age_band": ["young", "old"],
            "numerator": events,
            "denominator": people,
            "standard": standard,
            "reference_events": [20, 60],
            "reference_population": [2000, 2000],
        }
    )


def test_a_direct_rate_is_the_weighted_mean_of_its_bands():
    """Rates 10 and 40 per 1,000, weights 3 and 1: (30 + 40) / 4 = 17.5."""
    row = standardise.direct_rates(two_bands(), multiplier=1000).iloc[0]

    assert row["value"] == pytest.approx(17.5)
    assert row["low"] < 17.5 < row["high"]
    assert row["events"] == 50


def test_equal_weights_and_people_give_the_crude_rate_and_its_byar_limits():
    row = standardise.direct_rates(two_bands(standard=(1, 1)), multiplier=1000).iloc[0]

    low, high = rates.byar(np.array([50.0]))
    assert row["value"] == pytest.approx(25)
    assert (row["low"], row["high"]) == pytest.approx((low[0] / 2, high[0] / 2))


def test_one_band_gives_the_exact_limits_by_the_gamma_method():
    """With one weight Fay and Feuer's interval is Garwood's."""
    table = two_bands().iloc[:1]

    row = standardise.direct_rates(table, method="gamma", multiplier=1000).iloc[0]

    assert row["low"] == pytest.approx(stats.chi2.ppf(0.025, 20) / 2)
    assert row["high"] == pytest.approx(stats.chi2.ppf(0.975, 22) / 2)


def test_repeat_events_of_the_same_people_widen_the_interval():
    once = two_bands(events=(60, 60)).assign(frequency=1)
    twice = two_bands(events=(30, 30)).assign(frequency=2)

    one = standardise.direct_rates(once, frequency="frequency").iloc[0]
    two = standardise.direct_rates(twice, frequency="frequency").iloc[0]

    assert two["value"] == pytest.approx(one["value"])
    assert two["high"] - two["low"] > 1.3 * (one["high"] - one["low"])


def test_few_events_give_no_figure_but_the_other_areas_do():
    table = pd.concat([two_bands(), two_bands(events=(2, 3), area="B")])

    rows = standardise.direct_rates(table)

    assert rows["status"].tolist() == ["ok", "fewer than 10 events"]
    assert rows["value"].notna().tolist() == [True, False]


def test_a_band_without_people_gives_no_figure_and_no_error():
    table = pd.concat([two_bands(), two_bands(events=(50, 0), people=(1000, 0), area="B")])

    rows = standardise.direct_rates(table)

    assert rows["status"].tolist() == ["ok", "a band without people"]


@given(st.floats(0.1, 50))
def test_the_size_of_the_standard_does_not_matter(factor):
    plain = standardise.direct_rates(two_bands())
    scaled = standardise.direct_rates(two_bands(standard=(3000 * factor, 1000 * factor)))

    np.testing.assert_allclose(scaled[["value", "low", "high"]], plain[["value", "low", "high"]])


def test_the_european_standard_adds_up_to_a_hundred_thousand_in_nineteen_bands():
    assert len(standardise.ESP2013) == 19
    assert sum(standardise.ESP2013.values()) == 100_000


@pytest.mark.parametrize("rate", [standardise.direct_rates, standardise.indirect_ratios])
def test_a_missing_age_band_is_named_and_the_other_areas_are_answered(rate):
    table = pd.concat([two_bands(), two_bands(area="B").iloc[:1]])

    rows = rate(table).set_index("area_code")

    assert rows.loc["B", "status"] == "no count in age band old"
    assert np.isnan(rows.loc["B", ["value", "low", "high"]].astype(float)).all()
    alone = rate(two_bands()).iloc[0]
    assert rows.loc["A", ["value", "low", "high", "status"]].equals(
        alone[["value", "low", "high", "status"]].rename("A")
    )


@pytest.mark.parametrize("rate", [standardise.direct_rates, standardise.indirect_ratios])
def test_a_missing_count_is_named_by_band_and_is_not_zero(rate):
    table = pd.concat([two_bands(), two_bands(area="B").assign(numerator=[10, np.nan])])

    rows = rate(table)

    assert rows["status"].tolist() == ["ok", "no count in age band old"]
    assert rows["value"].isna().tolist() == [False, True]


def test_a_missing_count_of_repeat_events_is_not_zero():
    table = pd.concat([two_bands(events=(60, 60)), two_bands((np.nan, 60), area="B")])

    rows = standardise.direct_rates(table.assign(frequency=1), frequency="frequency")

    assert rows["status"].tolist() == ["ok", "no count in age band young"]


def test_no_area_with_every_age_band_is_refused():
    table = two_bands().assign(numerator=[10, np.nan])

    with pytest.raises(DataError, match=r"an area with all 2 age bands.* none has them"):
        standardise.direct_rates(table)


def test_a_standard_that_holds_nobody_is_refused():
    with pytest.raises(DataError, match="must hold people; 'standard' is 0 in every band"):
        standardise.direct_rates(two_bands().assign(standard=0))


def test_an_indirect_ratio_is_observed_over_expected():
    """Expected 1000 × 20/2000 + 1000 × 60/2000 = 40; observed 50: 125."""
    row = standardise.indirect_ratios(two_bands(), multiplier=1000).iloc[0]

    assert row["expected"] == pytest.approx(40)
    assert row["value"] == pytest.approx(125)
    assert row["reference_rate"] == pytest.approx(20)
    assert row["rate"] == pytest.approx(25)
    assert row["method"] == "byar"


def test_the_reference_itself_has_a_ratio_of_one_hundred():
    table = two_bands(events=(20, 60), people=(2000, 2000))

    assert standardise.indirect_ratios(table)["value"].tolist() == pytest.approx([100])


def test_an_area_where_no_event_is_expected_has_no_ratio():
    table = pd.concat([two_bands(), two_bands(people=(0, 0), events=(0, 0), area="B")])

    rows = standardise.indirect_ratios(table)

    assert rows["status"].tolist() == ["ok", "no event expected"]


def test_a_reference_band_without_people_is_refused():
    with pytest.raises(DataError, match="every age band of the reference needs people"):
        standardise.indirect_ratios(two_bands().assign(reference_population=0))


def life_table(deaths=(2, 10, 90), people=(1000, 10000, 3000), start=(0, 1, 60)):
    return pd.DataFrame({"start_age": start, "numerator": deaths, "denominator": people})


def test_life_expectancy_in_the_open_band_is_one_over_its_death_rate():
    rows = standardise.life_expectancy(life_table())

    assert rows["value"].iloc[-1] == pytest.approx(3000 / 90)


def test_a_constant_death_rate_in_single_years_gives_its_inverse():
    """With a rate m at every age (and a = 1/2) life expectancy is close to 1/m everywhere."""
    ages = np.arange(0, 400)
    table = life_table(deaths=np.full(400, 20.0), people=np.full(400, 1000.0), start=ages)

    rows = standardise.life_expectancy(table)

    assert rows["value"].iloc[1:].tolist() == pytest.approx([50.0] * 399, rel=1e-3)


def test_more_people_narrow_the_interval_and_leave_the_value():
    one = standardise.life_expectancy(life_table())
    ten = standardise.life_expectancy(
        life_table(deaths=(20, 100, 900), people=(10000, 100000, 30000))
    )

    np.testing.assert_allclose(ten["value"], one["value"])
    width = (one["high"] - one["low"]) / (ten["high"] - ten["low"])
    np.testing.assert_allclose(width, np.sqrt(10))


def test_a_small_place_has_no_life_expectancy():
    rows = standardise.life_expectancy(life_table(people=(100, 1000, 300), deaths=(1, 1, 9)))

    assert rows["status"].unique().tolist() == ["fewer than 5,000 person-years"]
    assert rows["value"].isna().all()


def test_a_small_place_with_many_deaths_in_a_band_is_small_and_no_error():
    rows = standardise.life_expectancy(life_table(people=(100, 100, 300), deaths=(1, 90, 9)))

    assert rows["status"].unique().tolist() == ["fewer than 5,000 person-years"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (life_table(start=(1, 5, 60)), "rising ages that begin with 0"),
        (life_table(deaths=(2, 10, 0)), "open last band of a life table needs deaths"),
        (life_table(deaths=(2000, 10, 9)), "no more deaths than person-years"),
        (
            life_table(deaths=(2, 600, 90)),
            "those from age 1 have more than their width allows",
        ),
    ],
)
def test_a_wrong_life_table_is_refused(table, words):
    with pytest.raises(DataError, match=words):
        standardise.life_expectancy(table)


def test_bench_standardised_rates_of_6500_practices_by_19_bands(benchmark):
    draw = np.random.default_rng(1)
    bands = list(standardise.ESP2013)
    people = draw.integers(50, 800, 6500 * 19)
    table = pd.DataFrame(
        {
            "area_code": np.repeat([f"P{i:05d}" for i in range(6500)], 19),
            "age_band": bands * 6500,
            "numerator": draw.poisson(people * 0.02),
            "denominator": people,
            "standard": list(standardise.ESP2013.values()) * 6500,
        }
    )

    rows = benchmark.pedantic(standardise.direct_rates, (table,), rounds=3)

    assert (rows["status"] == "ok").all()
