"""Traps of area statistics that no single method owns: what goes wrong quietly elsewhere."""

import numpy as np
import pandas as pd
import pytest

from evidence.variation import (
    areas,
    inequality,
    limits,
    multilevel,
    overview,
    rates,
    runcharts,
    spatial,
    spc,
)


def counted(k=32, seed=4, sd=0.02, mean=0.5):
    draw = np.random.default_rng(seed)
    n = draw.integers(400, 5000, k)
    share = np.clip(mean + sd * draw.standard_normal(k), 0.001, 0.999)
    return pd.DataFrame(
        {
            "area_code": [f"A{at:02d}" for at in range(k)],
            "area": [f"Area {at:02d}" for at in range(k)],
            "numerator": draw.binomial(n, share),
            "denominator": n,
        }
    )


def funnel(table, **choices):
    return limits.funnel(table, **({"direction_better": "higher"} | choices))


def monthly(values, **columns):
    periods = pd.period_range("2022-01", periods=len(values), freq="M").strftime("%Y-%m")
    return pd.DataFrame({"period": periods, "value": values, **columns})


def grid():
    near = {f"A{at:02d}": [f"A{other:02d}" for other in (at - 1, at + 1)] for at in range(32)}
    return {code: [other for other in row if other in near] for code, row in near.items()}


def every_random_method():
    table = counted()
    rare = counted(mean=0.02, sd=0.004)
    found = funnel(rare, measure="rate", multiplier=1000)
    groups = pd.DataFrame({"rank": [1, 2, 3], "population": 10, "value": [1.0, 2, 3]})
    groups = groups.assign(low=groups["value"] - 0.1, high=groups["value"] + 0.1)
    funnel(table)
    overview.real_variation({"rare": found}, {})
    spatial.autocorrelation(
        table.assign(value=table["numerator"]), neighbours=grid(), permutations=9
    )
    inequality.slope_indices(groups, draws=100)
    expected = rare.assign(expected=0.02 * rare["denominator"], population=rare["denominator"])
    areas.small_area_variation(expected, observed="numerator")
    multilevel.random_intercept(table, outcome="numerator", trials="denominator", group="area_code")


def test_no_method_draws_from_or_resets_the_callers_random_numbers():
    np.random.seed(20)
    before = np.random.get_state()[1].tolist()

    every_random_method()

    assert np.random.get_state()[1].tolist() == before


def test_a_tiny_area_is_judged_by_exact_limits_at_its_own_size():
    """Eight people of ten with the outcome are within chance of a half; 800 of 1,000 are not."""
    table = counted(sd=0.0)
    table.loc[0, ["numerator", "denominator"]] = [8, 10]
    table.loc[1, ["numerator", "denominator"]] = [800, 1000]

    result = funnel(table, overdispersion="none")
    rows = result.table.set_index("area_code")

    assert rows.loc["A00", "judgement"] == "similar"
    assert rows.loc["A01", "judgement"] == "better"
    assert rows.loc["A00", "upper_99_8"] > 95
    assert rows.loc["A01", "upper_99_8"] < 60
    assert "small_counts" in [caution.kind for caution in result.cautions]


def test_a_funnel_says_how_many_of_its_areas_chance_alone_would_put_outside():
    told = [item.text for item in funnel(counted()).cautions if item.kind == "multiple_testing"]

    assert len(told) == 1
    assert "32 areas are judged at once" in told[0]
    assert "1.6 outside the 95\u00a0% limits" in told[0]


def test_a_month_that_is_not_complete_is_shown_without_a_figure():
    """The last month of a feed is often part of a month: it must be neither a fall nor a limit."""
    steady = [10, 12, 9, 11, 10, 12, 9, 11, 10, 12, 9, 11]
    table = monthly([*steady, 2], status=["ok"] * 12 + ["partial"])

    chart = spc.xmr(table, direction_better="higher")
    run = runcharts.run_chart(table, baseline=6, run=5)

    assert chart.table["point"].iloc[-1] == "no figure"
    assert chart.table["status"].iloc[-1] == "partial"
    assert chart["mean"].value == pytest.approx(np.mean(steady))
    assert np.isnan(run.table["value"].iloc[-1])
    assert "2023-01" in repr(chart)


def test_a_longer_month_is_no_signal_where_days_are_the_denominator():
    days = pd.period_range("2022-01", periods=24, freq="M").days_in_month.to_numpy()
    table = monthly(np.zeros(24)).assign(numerator=100 * days, denominator=days)

    per_day = spc.p_prime(table, direction_better="lower", measure="rate", multiplier=1)

    assert per_day.table["value"].unique().tolist() == [100]
    assert per_day["signals"].value == 0


def test_a_lockdown_is_a_labelled_break_and_its_limits_start_anew():
    before, after = [50, 52, 49, 51] * 3, [30, 32, 29, 31] * 3
    table = monthly([*before, *after])
    covid = [{"date": "2023-01", "label": "first lockdown"}]

    chart = spc.xmr(table, direction_better="higher", breaks=covid)

    assert chart["signals"].value == 0
    assert chart.table["mean"].iloc[[0, -1]].tolist() == [50.5, 30.5]
    assert "is not read as an effect" in repr(chart)


def test_more_events_than_people_are_a_rate_and_no_proportion():
    """Registers may hold more people than an estimate of how many there are."""
    table = counted().assign(numerator=lambda rows: rows["denominator"] + 50)

    proportions = rates.proportions(table)
    found = rates.crude_rates(table, multiplier=100)

    assert proportions["value"].isna().all()
    assert (found["value"] > 100).all()
    assert found[["low", "high"]].notna().all(axis=None)


def test_nothing_goes_by_direction_where_no_direction_is_better():
    table = counted(sd=0.0)
    table.loc[0, "numerator"] = table.loc[0, "denominator"]

    judged = set(funnel(table, direction_better="none").table["judgement"])

    assert judged == {"higher", "similar"}


def test_areas_with_enough_people_are_nearly_all_significant_until_limits_are_widened():
    table = counted(sd=0.05)
    table[["numerator", "denominator"]] *= 400

    result = funnel(table)

    assert result["outside_unadjusted"].value > 25
    assert result["outside_adjusted"].value <= 2
    assert result["tau"].low > 0
