"""The carried tables give the figures that were worked out before the workbook existed."""

import pandas as pd
import pytest

from evidence import data
from evidence.variation import gradients, limits, rates


def counted(indicator, period=None):
    return data.indicator(indicator, period), data.definition(indicator)


def funnel(indicator, period=None, **choices):
    table, what = counted(indicator, period)
    return limits.funnel(
        table,
        measure=what.measure,
        multiplier=what.multiplier,
        direction_better=what.direction_better,
        indicator=what.short,
        unit=what.unit,
        **choices,
    )


@pytest.fixture(scope="module")
def recovery():
    return funnel("talking-therapies-recovery", "2019-20")


def test_recovery_in_2019_20_ranged_from_enfield_to_city_and_hackney(recovery):
    rows = recovery.table.sort_values("value")

    assert len(rows) == 32
    assert (rows["area"].iloc[0], rows["area"].iloc[-1]) == ("Enfield", "City and Hackney")
    assert rows["value"].iloc[0] == pytest.approx(47.77, abs=0.005)
    assert rows["value"].iloc[-1] == pytest.approx(59.19, abs=0.005)
    assert recovery["pooled"].value == pytest.approx(52.04, abs=0.005)


def test_recovery_in_2019_20_has_both_named_dispersion_ratios(recovery):
    assert recovery["phi_pearson"].value == pytest.approx(7.777, abs=0.0005)
    assert recovery["phi_winsorised"].value == pytest.approx(5.174, abs=0.0005)


def test_only_city_and_hackney_lies_beyond_the_usual_spread(recovery):
    assert recovery["outside_unadjusted"].value == 9
    assert recovery["outside_adjusted"].value == 1
    rows = recovery.table.set_index("area")
    assert rows.loc["City and Hackney", "judgement"] == "better"


@pytest.mark.parametrize(
    ("indicator", "period", "low", "high", "pooled"),
    [
        ("talking-therapies-recovery", "2017-18", 40.9, 58.2, 50.01),
        ("talking-therapies-recovery", "2018-19", 42.1, 59.3, 51.39),
        ("talking-therapies-reliable-recovery", "2019-20", 45.1, 55.1, 48.88),
        ("talking-therapies-finished", "2019-20", 17.9, 59.6, 34.83),
        ("talking-therapies-referrals", "2019-20", 18.9, 52.1, 35.34),
        ("depression-review", "2018-19", 50.38, 90.36, 81.87),
        ("smi-care-plan", "2018-19", 75.37, 93.13, 89.60),
        ("smi-blood-pressure", "2018-19", 85.01, 93.31, 89.66),
        ("depression-register", "2018-19", 5.72, 10.16, 7.65),
    ],
)
def test_each_indicator_has_its_known_range_and_pooled_value(indicator, period, low, high, pooled):
    result = funnel(indicator, period)

    assert result["minimum"].value == pytest.approx(low, abs=0.05)
    assert result["maximum"].value == pytest.approx(high, abs=0.05)
    assert result["pooled"].value == pytest.approx(pooled, abs=0.005)


def test_every_indicator_is_said_in_at_most_forty_words():
    for indicator in data.indicators():
        result = funnel(indicator, data.definition(indicator).default_period)
        assert len(result.text.split()) <= 40, result.text


@pytest.mark.parametrize(
    ("period", "slope", "low", "high"),
    [
        ("2017-18", -0.0799, None, None),
        ("2018-19", -0.0798, None, None),
        ("2019-20", -0.0728, -0.0811, -0.0645),
    ],
)
def test_recovery_falls_over_tenths_of_deprivation_within_areas(period, slope, low, high):
    result = gradients.within_areas(
        by_tenth(period), rank="order", direction_better="higher", indicator="Recovery"
    )

    assert result["slope"].value == pytest.approx(slope, abs=5e-5)
    if low is not None:
        assert result["slope"].low == pytest.approx(low, abs=5e-5)
        assert result["slope"].high == pytest.approx(high, abs=5e-5)
        assert result["dispersion"].value == pytest.approx(1.338, abs=0.0005)
        assert result.table["value"].round(1).tolist() == [
            *[59.3, 56.5, 55.3, 55.0, 53.6],
            *[53.5, 52.0, 50.9, 48.9, 47.5],
        ]
        assert result.table["cells"].sum() == 244


def by_tenth(period):
    cells = data.load("talking_therapies", "by_group")
    labels = data.load("talking_therapies", "groups")
    chosen = cells[(cells["period"] == period) & cells["group_code"].str.startswith("dep")]
    wide = chosen.pivot(index=["area_code", "group_code"], columns="measure", values="value")
    table = wide.reset_index().merge(labels[["group_code", "order"]], on="group_code")
    return table[table["order"] <= 10].assign(
        numerator=lambda rows: rows["recovery"],
        denominator=lambda rows: rows["finished_course_treatment"] - rows["not_at_caseness"],
    )


def test_what_lasts_from_year_to_year_is_said_with_its_interval():
    now, what = counted("talking-therapies-recovery", "2019-20")
    before, _ = counted("talking-therapies-recovery", "2018-19")

    result = rates.change(now, before, direction_better=what.direction_better, unit=what.unit)

    correlation = result["correlation"]
    assert correlation.low < correlation.value < correlation.high
    assert correlation.value == pytest.approx(0.605, abs=0.001)
    assert pd.notna(result.table["difference"]).all()
