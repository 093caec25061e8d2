"""Interrupted series: hand cases, counts, controls, checks that change words, breaks, refusals."""

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.evaluation import models
from evidence.evaluation.checks import (
    CAUSAL,
    Question,
    count_periods,
    in_brief,
    in_words,
    listed,
    periods_between,
)
from evidence.evaluation.series import (
    before_and_after,
    controlled_series,
    interrupted_series,
    year_by_year,
)
from evidence.results import Result


def months(values, first=2020 * 12, **columns):
    labels = [f"{(first + i) // 12}-{(first + i) % 12 + 1:02d}" for i in range(len(values))]
    return pd.DataFrame({"period": labels, "value": np.asarray(values, float), **columns})


def ask(event="2022-01", **words):
    words = {"outcome": "Contacts", "unit": "contacts", "event_label": "the new team"} | words
    return Question(event=event, direction_better="higher", **words)


def noisy(seed=1, n=48, step=0.0, slope=0.0, bend=0.0, correlation=0.0, sd=1.0):
    """A series with an event at its middle."""
    draw = np.random.default_rng(seed).normal(0, sd, n)
    for at in range(1, n):
        draw[at] += correlation * draw[at - 1]
    t, after = np.arange(n), np.arange(n) >= n // 2
    return 100 + slope * t + bend * t**2 + step * after + draw


def causal(text):
    return [word for word in CAUSAL if word in text.lower()]


# ---------------------------------------------------------------------------- hand cases


def test_a_clean_step_and_bend_are_found_exactly():
    """20 + t before; from the 25th month 7 higher, and rising by 0.5 more a month from then on."""
    t = np.arange(1, 49)
    after = t >= 25
    result = interrupted_series(months(20 + t + after * (7 + 0.5 * (t - 25))), ask())

    assert result["level"].value == pytest.approx(7)
    assert result["trend"].value == pytest.approx(0.5)
    assert result["mean"].value == pytest.approx(7 + 0.5 * 23 / 2)
    assert result.table["counterfactual"].iloc[-1] == pytest.approx(68)
    assert result.settings["coefficients"]["time"] == pytest.approx(1)


def test_the_level_is_the_jump_in_the_first_period_after_the_event():
    """trend_after is 0 there, so the level is fitted value less counterfactual in that period."""
    result = interrupted_series(months(noisy(step=5, slope=0.3)), ask())
    first = result.table[result.table["phase"] == "after"].iloc[0]

    assert first["period"] == "2022-01"
    assert first["fitted"] - first["counterfactual"] == pytest.approx(result["level"].value)
    assert "trend_after is 0" in result.settings["parameterisation"]


def test_a_season_is_taken_out_by_its_harmonics():
    t = np.arange(48)
    season = 10 * np.sin(2 * np.pi * (t + 1) / 12)
    result = interrupted_series(months(50 + season + 4 * (t >= 24)), ask(), harmonics=1)

    assert result["level"].value == pytest.approx(4)
    assert result.settings["coefficients"]["sin1"] == pytest.approx(10)


def test_counts_that_double_give_a_ratio_of_two_whatever_the_people():
    people = np.linspace(900, 1400, 48)
    rate = 0.1 * np.where(np.arange(48) < 24, 1.0, 2.0)
    table = months(np.round(rate * people), people=people)
    result = interrupted_series(table, ask(), exposure="people", family="poisson", change="level")

    assert result["level"].value == pytest.approx(2, rel=5e-3)
    assert result["level"].scale == "log"
    assert result.table["counterfactual"].iloc[-1] == pytest.approx(140, rel=5e-3)
    assert re.search("higher by [\\d.]+\N{NO-BREAK SPACE}%", result.text)


# ---------------------------------------------------------------------------- models


def test_independent_errors_are_those_of_statsmodels():
    y = noisy(3, step=2, slope=0.1)
    result = interrupted_series(months(y), ask(), errors="ols")
    t = np.arange(1, 49)
    after = (t >= 25).astype(float)
    model = sm.OLS(y, np.column_stack([np.ones(48), t, after, after * (t - 25)])).fit()

    assert list(result.settings["coefficients"].values()) == pytest.approx(model.params)
    assert result["level"].low == pytest.approx(model.conf_int()[2][0])


def test_the_dispersion_of_counts_is_pearsons_over_degrees_of_freedom():
    random = np.random.default_rng(4)
    y = random.poisson(random.gamma(20, 5, 60)).astype(float)
    result = interrupted_series(months(y), ask("2022-07"), family="poisson")
    table = result.table
    pearson = np.sum((table["value"] - table["fitted"]) ** 2 / table["fitted"])

    assert result["dispersion"].value == pytest.approx(pearson / 56)


@pytest.mark.parametrize("errors", models.LINEAR)
def test_every_kind_of_error_gives_an_interval_around_nearly_the_same_value(errors):
    result = interrupted_series(months(noisy(5, step=4, correlation=0.3)), ask(), errors=errors)
    estimate = result["level"]

    assert estimate.low < estimate.value < estimate.high
    assert estimate.value == pytest.approx(4, abs=2)


@pytest.mark.parametrize(
    "choices",
    [{"errors": "ols"}, {"errors": "hc3"}, {"family": "poisson"}, {"errors": "ar1"}],
)
def test_errors_taken_as_independent_are_a_caution_that_says_what_the_residuals_show(choices):
    values = np.round(noisy(n=200, correlation=0.8, sd=10.0)) + 100
    result = interrupted_series(months(values, first=2010 * 12), ask("2018-05"), **choices)
    found = [caution.text for caution in result.cautions if caution.kind == "dependence"]

    if choices == {"errors": "ar1"}:
        assert found == []
    else:
        assert re.search(r"residuals of neighbouring periods correlate \+0\.[5-9]", found[0])


def test_residuals_of_neighbours_are_compared_across_no_gap():
    """Pairs (1, 2), (2, 4), (-1, -2): 12 over the root of 6 by 24 is 1; the gap has no pair."""
    residuals = np.array([1.0, 2.0, 4.0, -1.0, -2.0])
    at = np.array([0, 1, 2, 9, 10])

    assert models.neighbours_alike(residuals, at) == pytest.approx(1)
    assert np.isnan(models.neighbours_alike(residuals[:3], at[:3]))


def test_prais_and_winsten_agree_with_statsmodels_at_their_correlation():
    y = noisy(6, n=60, correlation=0.5)
    design = np.column_stack([np.ones(60), np.arange(60)])
    fit = models.fit_linear(y, design, ["a", "b"], np.arange(60), errors="prais_winsten")
    lags = np.abs(np.subtract.outer(np.arange(60), np.arange(60)))
    gls = sm.GLS(y, design, sigma=fit.correlation**lags).fit()

    assert fit.coef == pytest.approx(gls.params)
    assert np.sqrt(np.diag(fit.vcov)) == pytest.approx(gls.bse)


def test_the_default_interval_is_wider_when_errors_follow_each_other():
    loose = interrupted_series(months(noisy(7, correlation=0.6)), ask())
    plain = interrupted_series(months(noisy(7, correlation=0.6)), ask(), errors="ols")

    assert loose["correlation"].value > 0.2
    assert loose["level"].high - loose["level"].low > plain["level"].high - plain["level"].low


def test_the_limits_of_averaged_correlations_hold_the_stated_share():
    y, t = noisy(8), np.arange(48.0)
    fit = models.fit_linear(y, np.column_stack([np.ones(48), t]), ["a", "b"], t.astype(int))
    found = fit.contrasts(np.eye(2), 0.9)
    again = fit.contrasts(np.eye(2), 0.5)
    centre, spread = fit.coefs, np.sqrt(np.diagonal(fit.vcovs, axis1=1, axis2=2))

    share = fit.weights @ models.special.stdtr(fit.df, (found.low - centre) / spread)
    assert share == pytest.approx([0.05, 0.05], abs=1e-9)
    assert (again.low > found.low).all()
    assert (again.high < found.high).all()


@settings(max_examples=20)
@given(st.integers(0, 50), st.floats(-1e4, 1e4), st.floats(0.01, 100))
def test_a_change_of_unit_or_of_origin_carries_over(seed, origin, size):
    y = noisy(seed, n=24, step=3)
    one = interrupted_series(months(y), ask("2021-01"))
    two = interrupted_series(months(origin + size * y), ask("2021-01"))

    scale = 1e-5 * size
    assert two["level"].value == pytest.approx(size * one["level"].value, rel=1e-5, abs=scale)
    assert two["level"].high == pytest.approx(size * one["level"].high, rel=1e-5, abs=scale)


def test_the_order_of_rows_and_empty_months_do_not_matter():
    table = months(noisy(9, step=3))
    mixed = pd.concat([table, months([np.nan], first=2024 * 12)]).sample(frac=1, random_state=1)
    one, two = interrupted_series(table, ask()), interrupted_series(mixed, ask())

    assert one["level"] == two["level"]
    assert {caution.kind for caution in two.cautions} >= {"missing_periods"}


def test_a_missing_month_counts_as_time_passed():
    table = months(20 + np.arange(48.0)).drop(index=[10, 30])

    assert interrupted_series(table, ask()).settings["coefficients"]["time"] == pytest.approx(1)


# ---------------------------------------------------------------------------- controls


def test_a_shared_shock_cancels_against_the_control():
    shock = np.where(np.arange(48) >= 24, -30.0, 0) + noisy(10, sd=3)
    table = months(shock + noisy(11, step=5, sd=0.3), control=shock)
    result = controlled_series(table, ask(), change="level")

    assert result["level"].value == pytest.approx(5, abs=0.5)
    assert result.table["counterfactual"].iloc[-1] < table["value"].iloc[-1]


def test_by_least_squares_it_is_the_interaction_of_a_model_of_both_series():
    table = months(noisy(12, step=5), control=noisy(13, slope=0.2))
    result = controlled_series(table, ask(), errors="ols")
    t = np.arange(1, 49)
    after = (t >= 25).astype(float)
    single = np.column_stack([np.ones(48), t, after, after * (t - 25)])
    both = np.block([[single, single], [single, 0 * single]])
    model = sm.OLS(np.concatenate([table["value"], table["control"]]), both).fit()

    assert list(result.settings["coefficients"].values()) == pytest.approx(model.params[4:])


def test_series_of_different_size_are_compared_by_their_ratio():
    control = 1000 + 50 * np.sin(np.arange(48.0))
    table = months(0.1 * control * np.where(np.arange(48) < 24, 1, 1.2), control=control)
    result = controlled_series(table, ask(), contrast="ratio", change="level")

    assert result["level"].value == pytest.approx(1.2)
    assert result.table["counterfactual"].iloc[-1] == pytest.approx(0.1 * control[-1])


# ---------------------------------------------------------------------------- checks and words


def test_with_every_check_passed_the_words_speak_of_an_effect():
    result = interrupted_series(months(noisy(14, step=8)), ask())

    assert listed(result).text == "All 5 checks are passed."
    assert "a month, than without the new team: an effect of it" in result.text
    assert result["level"].design == "its"


def test_a_change_that_chance_explains_is_neither_shown_nor_ruled_out():
    result = interrupted_series(months(noisy(25)), ask())

    assert result["level"].low < 0 < result["level"].high
    assert result["trend"].low < 0 < result["trend"].high
    assert listed(result).text == "None of 5 checks failed, but chance may explain the difference."
    assert result.text.endswith("no effect is shown, nor ruled out.")


def test_a_bend_without_a_jump_is_claimed_as_a_bend():
    values = noisy(26) + 0.5 * np.clip(np.arange(48) - 24, 0, None)
    result = interrupted_series(months(values), ask())

    assert result["level"].low < 0 < result["level"].high
    assert result["trend"].low > 0
    assert f"at once, then +{result['trend'].value:.3g} (+" in result.text
    assert "an effect of it" in result.text


@pytest.mark.parametrize(
    ("check", "values", "event"),
    [
        ("earlier trend", noisy(15, step=8, bend=0.05), "2022-01"),
        ("placebo dates", noisy(16, step=8) + 9 * (np.arange(48) >= 12), "2022-01"),
        ("shifted dates", np.where(np.arange(48) == 24, 30.0, 0) + noisy(17), "2022-01"),
        ("minimum points", noisy(18, step=8)[:30], "2022-01"),
    ],
)
def test_a_failed_check_takes_the_causal_words_away(check, values, event):
    result = interrupted_series(months(values), ask(event))
    rows = listed(result).table

    assert rows.loc[rows["check"] == check, "outcome"].iloc[0] == "failed"
    assert check in result.text
    assert causal(result.text) == []
    assert result["level"].design == "before_after"
    assert any(f"Check of {check} failed" in caution.text for caution in result.cautions)


def test_checks_come_as_a_table_with_every_date_tried():
    rows = listed(interrupted_series(months(noisy(19)), ask())).table

    assert rows["check"].drop_duplicates().tolist() == [
        "minimum points",
        "earlier trend",
        "placebo dates",
        "placebo date",
        "shifted dates",
        "shifted date",
        "series breaks",
    ]
    shifted = rows.loc[rows["check"] == "shifted date", "at"]
    assert [int(at) for at in shifted] == [-3, -2, -1, 0, 1, 2, 3]


def test_a_tiny_p_value_is_told_without_powers_of_ten():
    jump = noisy(16, step=8) + 30 * (np.arange(48) >= 12)
    bend = noisy(15, step=8, bend=0.5)
    found = [listed(interrupted_series(months(values), ask())).table for values in (jump, bend)]
    told = [" ".join(rows["found"]) for rows in found]

    assert "smallest p times 3 below 0.001" in told[0]
    assert "(quadratic term, p below 0.001)" in told[1]
    assert not re.search(r"\de[-−]", " ".join(told))


def test_a_short_series_cannot_try_placebo_dates():
    rows = listed(interrupted_series(months(noisy(20, n=20)), ask("2020-11"))).table

    placebo = rows[rows["check"] == "placebo dates"].iloc[0]
    assert (placebo["outcome"], placebo["found"]) == (
        "not possible",
        "fewer than 12 points before the event",
    )


# ---------------------------------------------------------------------------- recording breaks


BREAK = {"date": "2022-02", "label": "four services under one code"}


def test_a_recording_break_near_the_event_refuses_an_effect():
    values = noisy(21)
    values[23:25] = 945, 275
    table = months(values, control=np.r_[np.full(24, 500.0), np.full(24, 480.0)])
    result = controlled_series(table, ask(breaks=[BREAK]), contrast="ratio")

    assert not result.known
    assert "consistent with a recording break (February 2022: four services" in result.reason
    assert (
        "945 in December 2021, 275 in January 2022 (−70.9\N{NO-BREAK SPACE}%; "
        "controls −4\N{NO-BREAK SPACE}%)" in result.text
    )
    assert "refused as an effect" in result.text
    assert [estimate.key for estimate in result.estimates] == [
        "before",
        "after",
        "change",
        "change_control",
    ]
    assert {estimate.design for estimate in result.estimates} == {"descriptive"}


def test_a_break_is_dated_in_the_form_of_the_event():
    """A year among months would lie two thousand years off, and never near the event."""
    question = ask(breaks=[{"date": "2022", "label": "new codes"}])

    with pytest.raises(DataError, match=r"must all be months .* got 2022, 2022-01"):
        interrupted_series(months(noisy(step=8)), question)


def test_a_break_elsewhere_is_a_failed_check():
    result = interrupted_series(
        months(noisy(22, step=8)), ask(breaks=[BREAK | {"date": "2023-06"}])
    )

    assert result.known
    assert "series breaks" in result.text
    assert causal(result.text) == []


def test_a_change_of_a_percentage_is_in_points():
    values = np.r_[np.full(24, 50.0), np.full(24, 40.0)] + noisy(23) - 100
    values[23:25] = 50, 40
    result = interrupted_series(months(values), ask(unit="%", breaks=[BREAK]))

    assert result["change"].value == pytest.approx(-10)
    assert "(−10 points)" in result.text


def test_years_are_set_beside_the_year_before_and_no_effect_is_estimated():
    """100, 110, 99: +10 % and, in the first year after the event, −10 %."""
    years = pd.DataFrame({"period": ["2020-21", "2018-19", "2019-20"], "a": [99, 100, 110]})
    question = ask(event="2020-21", area="London", event_label="the pandemic")
    result = year_by_year(years, question, {"a": "referrals"})

    assert result["change.a"].value == pytest.approx(-10)
    assert result["change.a"].design == "descriptive"
    assert result.table["change of referrals"].tolist()[0] == ""
    assert result.table["phase"].tolist() == ["before", "before", "after"]
    assert result.text.startswith("London from 2019-20 to 2020-21: referrals −10")
    assert result.text.endswith(
        "2 years before the pandemic and 1 from it on are too few to estimate an effect of it."
    )
    with pytest.raises(DataError, match="must lie before and after '2017-18'"):
        year_by_year(years, ask(event="2017-18"), {"a": "referrals"})


def test_checks_are_told_in_words_with_their_estimates():
    table = listed(interrupted_series(months(noisy(14, step=8)), ask())).table
    told = dict(zip(table["tried"], table["answer"], strict=True))

    assert "event as dated" in told
    assert "event 3 periods earlier" in told
    assert "event 1 period later" in told
    assert told["minimum points"].startswith("passed: ")
    placebo = next(text for name, text in told.items() if name.endswith("when there was none"))
    assert re.fullmatch(r"[−\d.]+ \([−\d.]+ to [−\d.]+\)", placebo)
    assert not re.search(r"nan|NaN", " ".join(told.values()))


def test_months_are_named_and_other_periods_left_as_they_are():
    assert [in_words(each) for each in ("2024-11", "2019-20", "1989")] == [
        "November 2024",
        "2019-20",
        "1989",
    ]


def test_several_figures_stand_side_by_side_around_the_event():
    values = np.r_[np.full(24, 200.0), 50, np.full(23, 190.0)]
    tables = {
        "Finished": months(values, control=np.r_[np.full(24, 10.0), np.full(24, 9.0)]),
        "Recovery": months(np.r_[np.full(24, 50.0), np.full(24, 45.0)]),
    }
    result = before_and_after(tables, ask(area="Here"), units={"Recovery": "%"})
    rows = result.table.set_index("figure")

    assert rows.loc["Finished", ["before", "after", "change", "later"]].tolist() == [
        200,
        50,
        -75,
        190,
    ]
    assert rows.loc["Finished", "change_control"] == pytest.approx(-10)
    assert rows.loc["Recovery", "change"] == -5
    plain = [text.replace("\N{NO-BREAK SPACE}", " ") for text in rows["told"]]
    assert plain == [
        "200, then 50 (−75 %; elsewhere −10 %); 6 periods later 190",
        "50 %, then 45 % (−5 points); 6 periods later 45 %",
    ]
    assert result.text.endswith("Finished −75\N{NO-BREAK SPACE}%; Recovery −5 points.")
    with pytest.raises(DataError, match="'Recovery' must have a figure before and after '2030-01'"):
        before_and_after({"Recovery": months(values)}, ask("2030-01"), units={})


def test_figures_around_an_event_are_taken_in_order_of_time():
    table = months(noisy(step=8), control=noisy(2))
    inside = before_and_after({"a": table}, ask(), units={})
    turned = before_and_after({"a": table.iloc[::-1]}, ask(), units={})

    pd.testing.assert_frame_equal(turned.table, inside.table)


def test_a_change_from_none_is_told_without_a_percentage():
    values = np.r_[noisy(n=23), 0, noisy(n=24)]
    counts = before_and_after({"a": months(values)}, ask(), units={})
    share = before_and_after({"a": months(values)}, ask(), units={"a": "%"})

    assert counts.text.endswith(f"a from 0 to {values[24]:.3g}.")
    assert "nan" not in counts.text + counts.table["told"].iloc[0]
    assert share.table["change"].iloc[0] == pytest.approx(values[24])


def test_a_control_without_a_figure_at_the_event_leaves_its_change_out():
    control = noisy(2)
    control[24] = np.nan
    result = before_and_after({"a": months(noisy(), control=control)}, ask(), units={})

    assert result.table["change_control"].isna().all()
    assert "elsewhere" not in result.table["told"].iloc[0]


@pytest.mark.parametrize("first", [0.0, np.nan])
def test_a_year_without_a_change_in_per_cent_is_not_known(first):
    years = pd.DataFrame({"period": [2018, 2019, 2020], "a": [1.0, first, 3.0], "b": [1, 2, 4]})
    result = year_by_year(years, ask("2020"), {"a": "referrals", "b": "courses"})

    assert result["change.a"].value is None
    assert result["change.b"].value == pytest.approx(100)
    assert "from 2019 to 2020: referrals not known, courses +100" in result.text


def test_counts_without_an_event_before_a_placebo_date_skip_that_date():
    values = np.r_[np.zeros(8), np.random.default_rng(1).poisson(9, 40)]
    result = interrupted_series(months(values), ask(), family="poisson")
    dates = [one["at"] for one in result.settings["checks"] if one["check"] == "placebo date"]

    assert dates == ["2021-01", "2021-07"]


# ---------------------------------------------------------------------------- refusals


def test_a_result_survives_json():
    for result in (
        interrupted_series(months(noisy(24)), ask()),
        interrupted_series(months(noisy(24)), ask(breaks=[BREAK])),
    ):
        assert Result.loads(result.dumps()) == result


@pytest.mark.parametrize(
    ("table", "question", "choices", "message"),
    [
        (
            months(noisy()),
            ask("2030-01"),
            {},
            "at least 3 points before and after its event; '2030",
        ),
        (
            months(np.full(48, 52.0)),
            ask(),
            {},
            "must change at all; each of its 48 figures is 52",
        ),
        (months(noisy()), ask("soon"), {}, "periods must all be months .* got soon"),
        (months(noisy()), ask(), {"value": "y"}, "needs the columns 'y'; the table has period"),
        (months(noisy()), ask(), {"errors": "magic"}, "errors must be one of ar1, .* got 'magic'"),
        (months(noisy()), ask(), {"change": "slope"}, "change must be one of level and trend"),
        (months(noisy()), ask(), {"family": "normal"}, "family must be one of linear, poisson"),
        (months(-noisy()), ask(), {"family": "poisson"}, "counts must be 0 or more"),
        (
            months(np.r_[np.full(24, 5.0), np.zeros(24)]),
            ask(),
            {"family": "poisson"},
            "needs events before and after its event; '2022-01' has none on one side",
        ),
        (months([]), ask(), {}, "'2022-01' has 0 before and 0 after"),
        (
            months(noisy(n=8)),
            ask("2020-05"),
            {"harmonics": 2},
            "at least 3 points more than the 8 coefficients",
        ),
        (months(noisy()), ask(), {"harmonics": 6}, "columns of a model must differ"),
        (months(noisy()), ask(), {"harmonics": -1}, "harmonics must be 0 pairs or more; got -1"),
        (
            pd.concat([months(noisy())] * 2),
            ask(),
            {},
            "one row for each period; repeated: 2020-01, 2020-02",
        ),
        (
            months(noisy()).astype({"value": object}).replace({"value": {noisy()[0]: "*"}}),
            ask(),
            {},
            "'value' must hold numbers; .* Turn codes",
        ),
    ],
)
def test_wrong_input_is_refused_with_what_to_do(table, question, choices, message):
    with pytest.raises(DataError, match=message):
        interrupted_series(table, question, **choices)


def test_a_ratio_to_a_control_of_zero_is_refused():
    with pytest.raises(DataError, match=r"figures above 0; rows \[3\] have none"):
        controlled_series(
            months(noisy(), control=np.where(np.arange(48) == 3, 0.0, 1)), ask(), contrast="ratio"
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"level": 95}, "level must lie between 0 and 1; got 95"),
        ({"breaks": [{"date": "2020-01"}]}, "a break must have a date and a label"),
    ],
)
def test_a_question_must_make_sense(words, message):
    with pytest.raises(DataError, match=message):
        ask(**words)


def test_checks_are_listed_of_an_evaluation_only():
    with pytest.raises(DataError, match="this result has none"):
        listed(Result(text="nothing"))


def test_months_and_years_are_counted_so_that_neighbours_differ_by_one():
    assert np.diff(count_periods(["2020-12", "2021-01-01", "2021-03"])).tolist() == [1, 2]
    assert count_periods([1970, "1971", 1972.0]).tolist() == [1970, 1971, 1972]
    with pytest.raises(DataError, match="got 2019-20"):
        count_periods(["2019-20"])


@pytest.mark.parametrize(
    ("values", "causal_words"),
    [(noisy(bend=0.02, step=5), []), (noisy(step=8), ["effect"]), (noisy(), ["effect"])],
)
def test_the_words_of_a_box_are_at_most_forty_and_claim_no_more_than_the_result(
    values, causal_words
):
    long = ask(
        outcome="People in contact with mental health services", area="England", unit="people"
    )
    result = interrupted_series(months(values), long)
    brief = in_brief(result)

    assert len(brief.split()) <= 40
    assert brief.startswith(result.text[: result.text.index(" than ")])
    assert causal(brief) == causal(result.text) == causal_words


def test_words_that_fit_a_box_stay_as_they_are():
    result = interrupted_series(months(noisy(step=8)), ask())
    refused = interrupted_series(
        months(noisy(step=8)), ask(breaks=[{"date": "2022-01", "label": "new codes"}])
    )

    assert in_brief(result) == result.text
    assert in_brief(refused) == refused.text


def test_periods_are_chosen_by_their_order_in_time_both_ends_included():
    table = months(noisy(n=6))

    assert periods_between(table, "2020-02", "2020-04")["period"].tolist() == [
        "2020-02",
        "2020-03",
        "2020-04",
    ]
    with pytest.raises(DataError, match="from 2021-01 to 2020-01; none"):
        periods_between(table, "2021-01", "2020-01")
    with pytest.raises(DataError, match="all be months"):
        periods_between(table, "soon", "2020-04")
