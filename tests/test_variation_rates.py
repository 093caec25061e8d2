"""Proportions, rates, means and change: hand cases, published limits, properties, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from evidence.errors import DataError
from evidence.variation import rates


def areas(numerators, denominators, **columns):
    codes = [f"A{i}" for i in range(len(numerators))]
    return pd.DataFrame(
        {"area_code": codes, "numerator": numerators, "denominator": denominators, **columns}
    )


def test_a_proportion_of_9_in_10_has_the_wilson_limits_worked_out_by_hand():
    row = rates.proportions(areas([9], [10])).iloc[0]

    assert row["value"] == 90.0
    assert row["low"] == pytest.approx(59.58, abs=0.005)
    assert row["high"] == pytest.approx(98.21, abs=0.005)


@given(st.integers(0, 500), st.integers(1, 500), st.sampled_from([0.8, 0.95, 0.998]))
def test_wilson_and_exact_limits_equal_those_of_statsmodels(x, n, level):
    x = min(x, n)
    for name, method in (("wilson", "wilson"), ("exact", "beta")):
        row = rates.proportions(areas([x], [n]), level=level, method=name, multiplier=1).iloc[0]
        low, high = proportion_confint(x, n, alpha=1 - level, method=method)
        assert row["low"] == pytest.approx(low, rel=1e-9, abs=1e-12)
        assert row["high"] == pytest.approx(high, rel=1e-9, abs=1e-12)


def test_none_and_all_have_limits_of_exactly_0_and_1():
    rows = rates.proportions(areas([0, 20], [20, 20]), multiplier=1)

    assert rows["low"].iloc[0] == 0.0
    assert rows["high"].iloc[1] == 1.0


def test_a_count_below_10_gets_exact_limits_and_one_of_10_gets_byar():
    rows = rates.crude_rates(areas([5, 10], [1000, 1000]))

    assert rows["method"].tolist() == ["exact", "byar"]
    # Garwood limits of 5 events and Byar limits of 10, as tabulated by Breslow and Day, table 2.10
    assert rows["low"].tolist() == pytest.approx([1.623, 4.79], abs=0.005)
    assert rows["high"].tolist() == pytest.approx([11.668, 18.39], abs=0.005)


def test_byar_is_within_one_per_cent_of_the_exact_limits_from_20_events():
    count = np.arange(20, 400)

    for approximate, exact in zip(rates.byar(count), rates.poisson_exact(count), strict=True):
        np.testing.assert_allclose(approximate, exact, rtol=0.01)


def test_zero_events_have_a_rate_of_zero_with_an_upper_limit_of_3_69():
    row = rates.crude_rates(areas([0], [1000])).iloc[0]

    assert (row["value"], row["low"]) == (0.0, 0.0)
    assert row["high"] == pytest.approx(3.689, abs=0.001)


@given(st.integers(0, 300), st.integers(1, 10**6), st.sampled_from([1.0, 100.0, 1e5]))
def test_a_rate_scales_with_its_multiplier(x, n, multiplier):
    one = rates.crude_rates(areas([x], [n]), multiplier=1)[["value", "low", "high"]]
    many = rates.crude_rates(areas([x], [n]), multiplier=multiplier)[["value", "low", "high"]]

    np.testing.assert_allclose(many, one * multiplier, rtol=1e-12)


def test_rows_without_a_figure_say_why_and_the_others_are_answered():
    table = areas(
        [5, np.nan, 3, 7, 2],
        [10, 10, 0, 5, 10],
        status=["ok", "suppressed", "ok", "ok", "ok"],
    )

    rows = rates.proportions(table)

    assert rows["status"].tolist() == [
        "ok",
        "suppressed",
        "zero denominator",
        "numerator over denominator",
        "ok",
    ]
    assert rows["value"].notna().tolist() == [True, False, False, False, True]


def test_the_order_of_rows_does_not_change_a_figure():
    table = areas([5, 8, 3], [10, 10, 20])
    turned = rates.proportions(table.iloc[::-1])

    expected = rates.proportions(table)["low"].tolist()
    assert turned["low"].tolist()[::-1] == expected


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (areas([-1], [10]), r"counts of 0 or more; rows \[0\] hold \[-1.0\]"),
        (areas(["*"], [10]), "must hold numbers.*status first"),
        (areas([1], [10]).drop(columns="numerator"), "needs the columns 'numerator'"),
    ],
)
def test_a_wrong_table_is_refused_by_name(table, words):
    with pytest.raises(DataError, match=words):
        rates.proportions(table)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_is_a_fraction(level):
    with pytest.raises(DataError, match="between 0 and 1; got"):
        rates.proportions(areas([1], [2]), level=level)


def test_a_method_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(DataError, match="method must be one of wilson, exact; got 'wald'"):
        rates.proportions(areas([1], [2]), method="wald")


def test_a_mean_has_the_t_interval_worked_out_by_hand():
    table = pd.DataFrame({"area_code": ["A"] * 3 + ["B"], "value": [1.0, 2.0, 3.0, 9.0]})

    rows = rates.means(table)

    assert rows["value"].tolist() == [2.0, 9.0]
    # t(0.975, 2) = 4.3027, standard error 1/sqrt(3)
    assert rows["low"].iloc[0] == pytest.approx(2 - 4.30265 / np.sqrt(3), abs=1e-5)
    assert rows["low"].isna().tolist() == [False, True]


def test_a_change_of_56_in_70_to_48_in_80_has_newcombes_published_interval():
    """Newcombe 1998 (Stat Med 17:873-890), table II, example (a), method 10: 0.0524 to 0.3339."""
    now, before = areas([56], [70]), areas([48], [80])

    rows = rates.change(now, before, direction_better="higher", multiplier=1).table

    assert rows["difference"].iloc[0] == pytest.approx(0.2)
    assert rows["low"].iloc[0] == pytest.approx(0.0524, abs=5e-5)
    assert rows["high"].iloc[0] == pytest.approx(0.3339, abs=5e-5)
    assert rows["judgement"].tolist() == ["better"]


def test_turning_the_periods_round_turns_the_sign_of_every_change():
    now, before = areas([50, 60, 5], [100, 90, 50]), areas([40, 70, 5], [100, 90, 50])

    there = rates.change(now, before, direction_better="none").table
    back = rates.change(before, now, direction_better="none").table

    np.testing.assert_allclose(there["low"], -back["high"])
    np.testing.assert_allclose(there["difference"], -back["difference"])


def test_an_area_of_only_one_period_is_named_and_not_dropped():
    result = rates.change(areas([50, 60], [100, 90]), areas([40], [100]), direction_better="higher")

    assert result.table["judgement"].tolist() == ["no clear change", "no figure"]
    assert result.table["status"].tolist() == ["ok", "before: not in this period"]
    assert [caution.kind for caution in result.cautions] == ["suppression", "multiple_testing"]


def test_no_area_in_both_periods_is_a_result_with_the_reason():
    before = areas([1], [2], status=["suppressed"])

    result = rates.change(areas([1], [2]), before, direction_better="higher", indicator="Recovery")

    assert not result.known
    assert result.text == "Recovery: change not known: no area has a figure in both periods."


def test_a_change_of_rates_uses_limits_of_counts():
    result = rates.change(
        areas([120], [1000]),
        areas([80], [1000]),
        measure="rate",
        multiplier=1000,
        direction_better="lower",
    )

    row = result.table.iloc[0]
    assert row["difference"] == pytest.approx(40)
    assert row["judgement"] == "worse"
    # close to the normal interval 40 ± 1.96 sqrt(200)
    assert (row["low"], row["high"]) == pytest.approx((12.3, 67.7), abs=1.5)


def test_the_same_area_twice_is_refused():
    table = areas([1, 2], [5, 5]).assign(area_code="A")

    with pytest.raises(DataError, match="one row for each area_code; repeated: A"):
        rates.change(table, table, direction_better="none")


def test_figures_that_are_equal_are_said_not_to_have_changed():
    result = rates.change(areas([50], [100]), areas([50], [100]), direction_better="higher")

    assert result["difference"].value == 0
    assert "all areas together, did not change (95" in result.text


def test_a_mean_of_codes_is_refused():
    table = pd.DataFrame({"area_code": ["A", "A"], "value": ["1", "*"]})

    with pytest.raises(DataError, match="'value' must hold numbers"):
        rates.means(table)
