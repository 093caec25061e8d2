"""XmR charts: a hand case, rules and precedence, gaps, breaks, properties, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.results import Result
from evidence.variation import limits, periods, spc

STEADY = [10, 12, 9, 11, 10, 12, 9, 11, 10, 12, 9, 11, 10, 12]


def months(values, start=24000, **columns):
    labels = [periods.period_label(start + i, "month") for i in range(len(values))]
    return pd.DataFrame({"period": labels, "value": values, **columns})


def chart(values, **choices):
    table = values if isinstance(values, pd.DataFrame) else months(values)
    return limits.xmr(table, **({"direction_better": "higher", "indicator": "Seen"} | choices))


def test_limits_are_the_mean_and_2_66_mean_moving_ranges():
    """Values 10, 12, 11, 13: mean 11.5, moving ranges 2, 1, 2."""
    rows = chart([10, 12, 11, 13]).table

    assert rows["mean"].tolist() == [11.5] * 4
    assert rows["moving_range"].tolist()[1:] == [2, 1, 2]
    assert rows["lower"].iloc[0] == pytest.approx(11.5 - 2.66 * 5 / 3)
    assert rows["upper"].iloc[0] == pytest.approx(11.5 + 2.66 * 5 / 3)


def test_a_steady_series_has_no_signal():
    result = chart(STEADY)

    assert set(result.table["point"]) == {"common cause"}
    assert result["signals"].value == 0
    assert "routine variation" in result.text


@pytest.mark.parametrize("value", [100 / 3, 0.1, 1e6 / 7])
def test_a_constant_series_has_no_signal_although_its_mean_is_rounded(value):
    result = chart([value] * 24)

    assert result["signals"].value == 0
    assert set(result.table["rule"]) == {""}
    assert result["lower"].value == result["upper"].value == pytest.approx(value)


@pytest.mark.parametrize(
    ("values", "rule", "members"),
    [
        ([*STEADY, 30], "outside limits", [14]),
        ([*STEADY, 9.5, 10, 10.4, 10.8, 11.2, 11.6, 12], "trend", list(range(14, 21))),
        ([*STEADY, *[11.5, 11.6, 11.4] * 3], "shift", list(range(13, 23))),
    ],
)
def test_each_rule_flags_its_points(values, rule, members):
    rows = chart(values, baseline=14).table

    assert np.flatnonzero(rows["rule"] == rule).tolist() == members


def test_two_of_three_near_a_limit_flag_only_the_near_ones():
    steady = chart(STEADY).table
    near = steady["mean"].iloc[0] + 0.8 * (steady["upper"].iloc[0] - steady["mean"].iloc[0])

    rows = chart([*STEADY, near, 10.8, near, 9], baseline=14).table

    assert np.flatnonzero(rows["rule"] == "two of three").tolist() == [14, 16]


def test_a_point_that_breaks_several_rules_is_named_by_the_first():
    rows = chart([*STEADY, *range(13, 23)], baseline=14).table

    assert rows["rule"].iloc[-1] == "outside limits"
    assert "trend" in rows["rule"].tolist()


def test_six_points_on_one_side_are_no_shift_and_six_rising_no_trend():
    six_high = chart([*STEADY, 11.5, 11.6, 11.4, 11.5, 11.4, 9], baseline=13).table
    six_up = chart([*STEADY, 9, 9.4, 9.8, 10.2, 10.6, 10.0], baseline=14).table

    assert "shift" not in set(six_high["rule"])
    assert "trend" not in set(six_up["rule"])


@pytest.mark.parametrize(
    ("direction", "high", "low"),
    [
        ("higher", "improvement", "concern"),
        ("lower", "concern", "improvement"),
        ("none", "neutral high", "neutral low"),
    ],
)
def test_the_direction_names_a_signal(direction, high, low):
    up = chart([*STEADY, 30], direction_better=direction).table["point"].iloc[-1]
    down = chart([*STEADY, 0], direction_better=direction).table["point"].iloc[-1]

    assert (up, down) == (high, low)


def test_a_missing_month_is_shown_and_parts_its_neighbours():
    table = months([*STEADY, 11, 10]).drop(index=5)

    result = chart(table)

    row = result.table.iloc[5]
    assert (row["status"], row["point"]) == ("missing", "no figure")
    assert result.table["moving_range"].isna().tolist()[:8] == [
        True,
        *[False] * 4,
        True,
        True,
        False,
    ]
    assert "missing_periods" in [caution.kind for caution in result.cautions]


def test_no_run_crosses_a_missing_month():
    values = [*STEADY, *[11.5, 11.6, 11.4, 11.5], np.nan, *[11.5, 11.6, 11.4, 11.5]]

    assert "shift" not in set(chart(values, baseline=13).table["rule"])


def test_a_suppressed_value_is_no_figure_even_if_a_number_stands_there():
    table = months([*STEADY, 99], status=["ok"] * 14 + ["suppressed"])

    rows = chart(table).table

    assert rows["point"].iloc[-1] == "no figure"
    assert np.isnan(rows["value"].iloc[-1])


def test_a_break_starts_new_limits_and_is_never_read_as_an_effect():
    table = months([*STEADY, *[value - 8 for value in STEADY]])
    merger = {"date": table["period"].iloc[14], "label": "four services merged into one"}

    with_break = chart(table, breaks=[merger])
    without = chart(table)

    assert set(with_break.table["point"]) == {"common cause"}
    assert without["signals"].value > 10
    assert with_break.table["segment"].tolist() == [0] * 14 + [1] * 14
    assert with_break.table["event"].iloc[14] == merger["label"]
    assert "consistent with a recording break and is not read as an effect" in repr(with_break)
    assert np.isnan(with_break.table["moving_range"].iloc[14])


def test_a_signal_at_a_labelled_break_is_not_judged_and_words_say_what_it_is():
    """London service panel: finished courses fell from 945 to 275 as four services became one."""
    values = [900, 950, 870, 940, 910, 960, 880, 930, 900, 950, 870, 945, 275, 595, 740, 770, 850]
    table = months([*values, 850, 510, 980, 1060, 870, 1070, 990, 850, 800])
    merger = {"date": table["period"].iloc[12], "label": "four services merged into one"}

    result = chart(table, breaks=[merger])
    plain = chart(table, breaks=[{"date": merger["date"]}])
    settled = chart(table, breaks=[merger | {"settle": 2}])

    assert result.table["rule"].iloc[12] == "outside limits"
    assert result.table["point"].iloc[12] == "at a break"
    assert plain.table["point"].iloc[12] == "concern"
    assert "(945 to 275) is consistent with a recording break" in repr(result)
    assert settled["mean"].value == pytest.approx(np.mean(table["value"].iloc[14:]))
    assert "improvement" not in set(result.table["point"].iloc[12:])


def test_an_event_that_is_only_marked_keeps_one_set_of_limits():
    table = months(STEADY)
    event = {"date": table["period"].iloc[6], "label": "new form", "rebase": False}

    rows = chart(table, breaks=[event]).table

    assert rows["segment"].unique().tolist() == [0]
    assert rows["event"].iloc[6] == "new form"


def test_an_outlying_range_widens_the_limits_only_without_screening():
    values = [*STEADY, 60, 10, 12, 9, 11]

    screened, plain = chart(values), chart(values, screen=False)

    assert screened["upper"].value < plain["upper"].value


def test_limits_of_counts_never_fall_below_zero():
    rows = chart([1, 5, 0, 4, 1, 6, 0, 5, 1, 4, 0, 6]).table

    assert (rows["lower"] == 0).all()


def test_rows_need_not_be_in_order_of_time():
    table = months([*STEADY, 30])

    shuffled = chart(table.sample(frac=1, random_state=1))

    assert shuffled == chart(table)


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=60), st.floats(0.1, 100))
def test_a_change_of_unit_changes_no_signal(values, factor):
    # halves keep products exact enough that no point crosses a limit by rounding
    factor = 2.0 ** round(np.log2(factor))
    plain = chart(values).table
    scaled = chart([value * factor for value in values]).table

    assert scaled["rule"].tolist() == plain["rule"].tolist()
    np.testing.assert_allclose(scaled["upper"], plain["upper"] * factor)


@given(st.lists(st.floats(0, 1e4), min_size=3, max_size=60))
def test_improvement_and_concern_change_places_with_the_direction(values):
    turn = {"improvement": "concern", "concern": "improvement"}
    up = chart(values).table["point"]
    down = chart(values, direction_better="lower").table["point"]

    assert down.tolist() == [turn.get(point, point) for point in up]


@pytest.mark.parametrize(
    ("labels", "numbers", "kind"),
    [
        (["2024-12", "2025-01"], [24299, 24300], "month"),
        (["2024-12-01", "2025-01-01"], [24299, 24300], "month"),
        (["2018-19", "2019-20"], [2018, 2019], "year"),
        (["2011-10", "2011-11", "2011-12"], [24141, 24142, 24143], "month"),
        (["2019 Q4", "2020 Q1"], [8079, 8080], "quarter"),
        (["2019", "2020"], [2019, 2020], "year"),
        (["1", "2"], [1, 2], "number"),
        (["2012-14", "2015-17", "2021-23"], [0, 1, 3], "window"),
        (["2024-04 to 2024-06", "2024-01 to 2024-03"], [1, 0], "window"),
        (["12 months to 2024-03", "12 months to 2023-03"], [1, 0], "window"),
    ],
)
def test_periods_are_counted_so_that_neighbours_differ_by_one(labels, numbers, kind):
    found, found_kind = periods.period_numbers(labels)

    assert found.tolist() == numbers
    assert found_kind == kind


@pytest.mark.parametrize(
    ("table", "choices", "words"),
    [
        (months([1, 2, 3]).assign(period="2024-01"), {}, "one row for each period; repeated"),
        (months([1, 2, 3]).assign(period=list("abc")), {}, "periods must all be months"),
        (months([1, -2, 3]), {}, "within the bounds .* hold \\[-2.0\\]"),
        (
            months([1, 2, 3]),
            {"breaks": [{"date": "2030-01", "label": "late"}]},
            "inside the series, 2000-01 to 2000-03; got '2030-01'",
        ),
        (months([1, 2, 3]), {"breaks": [{"label": "merger"}]}, "a break has a 'date'"),
        (
            months([1, 2, 3]).assign(period=["2014-16", "2015-17", "2016-18"]),
            {},
            "must not overlap; '2014-16' and '2015-17' do",
        ),
        (
            months([1, 2, 3]).assign(period=[f"12 months to 2024-0{at}" for at in (1, 2, 3)]),
            {},
            "must not overlap; '12 months to 2024-01' and '12 months to 2024-02' do",
        ),
        (
            months([1, 2, 3]).assign(period=["2008-10", "2009-11", "2010-12"]),
            {},
            "months 13 apart or overlapping windows of three years",
        ),
        (
            months([1, 2, 3]).assign(period=["2014-16", "2017-20", "2021-23"]),
            {},
            "must all span as many periods",
        ),
        (
            months([1, 2, 3]).assign(period=["2014-16", "2018-20", "2021-23"]),
            {},
            "without a part of one between them",
        ),
        (
            months([1, 2]).assign(period=["2024-11", "2024-11-15"]),
            {},
            "two dates fall into one",
        ),
        (months([1, 2, 3]), {"direction_better": "up"}, "direction_better must be one of"),
        (months([1, 2, 3]), {"baseline": 1}, "a baseline must be 2 points or more; got 1"),
        (months([]), {}, "the table has no rows"),
        (months([1, 2]).drop(columns="value"), {}, "needs the columns 'value'"),
    ],
)
def test_a_wrong_series_is_refused_by_name(table, choices, words):
    with pytest.raises(DataError, match=words):
        chart(table, **choices)


def test_many_charts_refuse_codes_in_place_of_values():
    table = months([1, 2, 3]).assign(value=["1", "*", "3"], series="A")

    with pytest.raises(DataError, match=r"'value' must hold numbers; .*Turn codes such as"):
        spc.charts(table, by=["series"], direction_better="higher")


def test_many_charts_refuse_windows_that_overlap():
    table = months([1, 2, 3]).assign(period=["2014-16", "2015-17", "2016-18"], series="A")

    with pytest.raises(DataError, match="'2014-16' and '2015-17' do"):
        spc.charts(table, by=["series"], direction_better="none")


def test_two_points_are_no_chart_but_a_reason():
    result = chart([3, 4])

    assert result.reason == "fewer than three periods have a figure"


def test_a_short_series_is_said_to_be_provisional():
    kinds = [caution.kind for caution in chart([10, 12, 11, 13]).cautions]

    assert kinds == ["short_series", "multiple_testing"]


def test_a_chart_survives_json():
    table = months([*STEADY, 30]).drop(index=3)
    result = chart(table, breaks=[{"date": "2000-08", "label": "merger"}], target=11.0)

    assert Result.loads(result.dumps()) == result
    assert result["target"].value == 11.0
    assert len(result.text.split()) <= 40


@pytest.mark.parametrize(
    ("target", "direction", "assurance"),
    [
        (5.0, "higher", "consistently met"),
        (50.0, "higher", "consistently missed"),
        (10.5, "higher", "met or missed by chance"),
        (5.0, "lower", "consistently missed"),
        (50.0, "lower", "consistently met"),
        (50.0, "none", ""),
        (None, "higher", ""),
    ],
)
def test_assurance_says_whether_limits_clear_the_target(target, direction, assurance):
    result = chart(STEADY, target=target, direction_better=direction)

    assert spc.icons(result) == {"variation": "common cause", "assurance": assurance}


def test_a_target_equal_to_a_limit_is_met_or_missed_by_chance():
    lower = chart(STEADY)["lower"].value

    seen = spc.icons(chart(STEADY, target=lower))

    assert seen["assurance"] == "met or missed by chance"


def test_without_limits_nothing_is_said_of_a_target():
    last = {"date": periods.period_label(24000 + len(STEADY) - 1, "month")}

    assert spc.icons(chart(STEADY, target=11, breaks=[last]))["assurance"] == ""
    assert spc.icons(chart(STEADY, target=11))["assurance"] == "met or missed by chance"


def test_the_latest_point_gives_the_variation_icon():
    assert spc.icons(chart([*STEADY, 30]))["variation"] == "improvement"


def counted(p, n, seed=5, drift=0.0):
    draw = np.random.default_rng(seed)
    wobble = draw.normal(0, drift, len(n))
    table = months(np.zeros(len(n)))
    return table.assign(numerator=draw.binomial(n, np.clip(p + wobble, 0, 1)), denominator=n)


def test_a_p_prime_chart_of_pure_chance_is_a_p_chart():
    """Without extra variation σ_z is near 1, and limits are p ± 3 √(p q / n)."""
    n = np.random.default_rng(2).integers(2000, 9000, 400)
    result = spc.p_prime(counted(0.3, n), direction_better="higher")
    rows, p = result.table, result["mean"].value / 100

    assert result["sigma_z"].value == pytest.approx(1, abs=0.1)
    half = 3 * result["sigma_z"].value * np.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(rows["upper"], 100 * (p + half), rtol=1e-3)
    assert (rows["rule"] == "outside limits").mean() < 0.01


def test_a_p_prime_chart_widens_where_large_denominators_vary_more_than_chance():
    n = np.full(60, 100_000)
    result = spc.p_prime(counted(0.3, n, drift=0.02), direction_better="lower")

    assert result["sigma_z"].value > 8
    assert (result.table["rule"] == "outside limits").sum() <= 2


def test_a_u_prime_chart_takes_rates_and_a_month_without_people_is_no_figure():
    n = np.full(20, 1000)
    table = counted(0.2, n)
    table.loc[4, "denominator"] = 0

    result = spc.p_prime(table, measure="rate", multiplier=1000, direction_better="none")

    assert result.table["point"].iloc[4] == "no figure"
    assert result["mean"].value == pytest.approx(200, abs=15)
    assert Result.loads(result.dumps()) == result


def panel(series=30, length=40, seed=4):
    draw = np.random.default_rng(seed)
    rows = [
        months(draw.normal(50, 5, length).round(2)).assign(
            service=f"S{at}", direction=("higher", "lower", "none")[at % 3]
        )
        for at in range(series)
    ]
    return pd.concat(rows, ignore_index=True)


def test_many_charts_at_once_equal_each_chart_by_itself():
    table = panel()
    table = table.drop(index=[17, 300, 301]).sample(frac=1, random_state=3)

    many = spc.charts(table, by=["service"], direction_better="direction")

    for name, rows in many.groupby("service"):
        direction = rows["direction"].iloc[0]
        alone = chart(
            table[table["service"] == name], direction_better=direction, bounds=(None, None)
        ).table
        alone = alone[alone["point"] != "no figure"]
        assert rows["point"].tolist() == alone["point"].tolist()
        assert rows["rule"].tolist() == alone["rule"].tolist()
        np.testing.assert_allclose(rows["upper"], alone["upper"])


def test_four_rules_flag_about_one_point_in_twenty_of_series_that_do_not_change():
    """What the caution of every chart says, for the four years that are usual here."""
    rows = spc.charts(panel(800, 48), by=["service"], direction_better="direction")

    assert 0.04 < (rows["rule"] != "").mean() < 0.07


def test_many_charts_refuse_a_repeated_month_and_an_unknown_direction():
    table = panel(series=2)

    with pytest.raises(DataError, match="one row for each service and period; repeated"):
        spc.charts(pd.concat([table, table.head(1)]), by=["service"], direction_better="higher")
    with pytest.raises(DataError, match="a direction must be higher, lower or none"):
        spc.charts(table, by=["service"], direction_better="up")


def test_bench_four_hundred_thousand_points_with_rules_and_labels(benchmark):
    draw = np.random.default_rng(1)
    labels = months(np.zeros(60))["period"].tolist()
    table = pd.DataFrame(
        {
            "series": np.repeat(np.arange(6600), 60),
            "period": np.tile(labels, 6600),
            "value": draw.normal(100, 10, 396_000),
        }
    )

    rows = benchmark.pedantic(
        spc.charts, (table,), {"by": ["series"], "direction_better": "higher"}, rounds=3
    )

    assert len(rows) == 396_000
    assert 0 < (rows["point"] != "common cause").mean() < 0.1


def test_cautions_about_breaks_keep_the_order_in_which_breaks_are_given():
    first = months(STEADY)["period"].iloc[4]
    later = months(STEADY)["period"].iloc[9]
    given = [
        {"date": later, "label": "merger", "rebase": False},
        {"date": first, "label": "move", "rebase": False},
    ]

    result = chart(STEADY, breaks=given)

    told = [item.text for item in result.cautions if item.kind == "series_break"]
    assert ["merger" in told[0], "move" in told[1]] == [True, True]
    assert [mark["label"] for mark in result.settings["breaks"]] == ["move", "merger"]


def test_a_break_that_settles_is_not_judged_whether_it_has_a_label_or_not():
    values = [*STEADY, 80, 80, *STEADY]
    date = periods.period_label(24000 + len(STEADY), "month")
    named = chart(values, breaks=[{"date": date, "label": "merger", "settle": 2}])
    plain = chart(values, breaks=[{"date": date, "settle": 2}])

    for result in (named, plain):
        assert result.table["point"].iloc[14:16].tolist() == ["at a break"] * 2
        assert result["signals"].value == 0


def test_a_plain_new_baseline_is_judged_from_its_first_point():
    values = [*STEADY, 80, *STEADY]
    date = periods.period_label(24000 + len(STEADY), "month")

    assert chart(values, breaks=[{"date": date}]).table["point"].iloc[14] == "improvement"


def test_breaks_of_one_label_each_tell_their_own_change():
    values = [10, 12, 9, 11, 40, 42, 39, 41, 70, 72, 69, 71]
    dates = [periods.period_label(24000 + at, "month") for at in (4, 8)]
    result = chart(values, breaks=[{"date": date, "label": "new codes"} for date in dates])
    told = [one.text for one in result.cautions if one.kind == "series_break"]

    assert "(11.0 to 40.0)" in told[0]
    assert "(41.0 to 70.0)" in told[1]


def test_a_break_is_read_as_a_month_in_a_series_of_months():
    """By itself 2010-11 is a financial year too."""
    table = months([*STEADY, *[value + 20 for value in STEADY]], start=2010 * 12)
    result = chart(table, breaks=[{"date": "2010-11", "label": "merger"}])

    assert result.table.loc[result.table["event"] == "merger", "period"].tolist() == ["2010-11"]


@pytest.mark.parametrize(
    ("period", "kind", "number"),
    [
        ("2010-11", "month", 2010 * 12 + 10),
        ("2010-11", "year", 2010),
        ("2010", "year", 2010),
        ("2024-11", "year", None),
        ("2024", "month", None),
        ("2024 Q3", "quarter", 2024 * 4 + 2),
        ("7", "number", 7),
        ("seven", "number", None),
        ("2010 to 2012", "window", None),
    ],
)
def test_one_period_is_counted_as_its_series_counts(period, kind, number):
    assert periods.period_number(period, kind) == number


def test_a_p_prime_chart_takes_years_that_are_numbers():
    n = np.full(20, 1000)
    table = counted(0.2, n).drop(columns="value")
    numbered = spc.p_prime(table.assign(period=range(2001, 2021)), direction_better="none")
    named = spc.p_prime(
        table.assign(period=[str(year) for year in range(2001, 2021)]), direction_better="none"
    )

    assert numbered["sigma_z"].value > 0
    assert numbered == named


def test_a_p_prime_chart_without_events_or_neighbours_has_no_widening_but_a_chart():
    n = np.full(20, 1000)
    table = counted(0.2, n)
    last = {"date": table["period"].iloc[-1], "label": "new codes"}
    never = spc.p_prime(table.assign(numerator=0), direction_better="lower")
    broken = spc.p_prime(table, direction_better="lower", breaks=[last])

    for result in (never, broken):
        assert "sigma_z" not in [estimate.key for estimate in result.estimates]
        assert result.table["point"].iloc[-1] == "common cause"
    assert never["mean"].value == 0


def test_limits_that_rest_on_a_short_baseline_are_said_to_be_provisional():
    said = [caution.text for caution in chart([*STEADY, *STEADY], baseline=6).cautions]

    assert "Limits rest on 6 points in the shortest stretch; below 12 they are provisional." in said
