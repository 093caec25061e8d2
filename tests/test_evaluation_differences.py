"""Difference in differences: hand cases, few clusters, staggered starts, permutation, refusals."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.evaluation.checks import CAUSAL, Question, listed
from evidence.evaluation.clusters import fit_clustered
from evidence.evaluation.differences import difference_in_differences, permutation_test


def ask(event="7", **words):
    words = {"outcome": "Score", "unit": "points", "event_label": "the offer"} | words
    return Question(event=event, direction_better="higher", **words)


def panel(seed=1, areas=20, periods=12, reached=10, step=0.0, event=7, drift=0.0, starts=None):
    """Areas with levels of their own and shared periods; those reached rise by `step`."""
    random = np.random.default_rng(seed)
    rows = []
    for area in range(areas):
        start = event if starts is None else starts[area]
        level, treated = random.normal(50, 5), area < reached
        for period in range(1, periods + 1):
            on = treated and start is not None and period >= start
            y = level + np.sin(period) + step * on + drift * treated * period
            rows.append((f"A{area:02d}", period, treated, y + random.normal(0, 1)))
    return pd.DataFrame(rows, columns=["area_code", "period", "treated", "value"])


FOUR = pd.DataFrame(
    {
        "area_code": ["a", "a", "b", "b", "c", "c", "d", "d"],
        "period": [1, 2] * 4,
        "treated": [True] * 4 + [False] * 4,
        "value": [10, 18, 12, 16, 10, 11, 20, 23],
    }
)
"""Those reached rise by 8 and 4, the others by 1 and 3: 6 less 2 is 4."""


# ---------------------------------------------------------------------------- hand cases


@pytest.mark.parametrize("method", ["two by two", "two-way fixed effects", "group-time"])
def test_it_is_the_difference_of_the_mean_changes(method):
    result = difference_in_differences(FOUR, ask("2"), method=method)

    assert result["effect"].value == pytest.approx(4)
    assert result["clusters_treated"].value == 2


def test_the_plain_cluster_error_is_that_of_the_changes():
    """CR0 of two group means of changes: √(Σ(8-6)².../2² + Σ(1-2)².../2²) = √(8/4 + 2/4)."""
    result = difference_in_differences(FOUR, ask("2"), covariance="CR0")

    assert result["effect"].se == pytest.approx(np.sqrt(2.5))


def test_the_adjusted_cluster_error_is_welchs():
    """CR2 of two group means is √(s²/n + s²/n) with Welch's degrees of freedom, here equal n."""
    result = difference_in_differences(FOUR, ask("2"))

    assert result["effect"].se == pytest.approx(np.sqrt(8 / 2 + 2 / 2))
    assert result["df"].value == pytest.approx(2)


def test_cluster_errors_of_least_squares_are_those_of_statsmodels():
    table = panel(2)
    design = np.column_stack([np.ones(len(table)), table["treated"], table["period"]]).astype(float)
    known = smf.ols("value ~ treated + period", table.astype({"treated": float})).fit(
        cov_type="cluster", cov_kwds={"groups": table["area_code"].factorize()[0]}
    )
    fit = fit_clustered(table["value"].to_numpy(), design, table["area_code"].to_numpy(), "CR1")

    assert np.sqrt(np.diag(fit.vcov)) == pytest.approx(known.bse.to_numpy())


# ---------------------------------------------------------------------------- staggered starts


def staggered():
    """Two of them start in 3, two in 5, two never; effects grow by 1 for each period since."""
    rows = []
    for area, start in zip("abcdef", (3, 3, 5, 5, None, None), strict=True):
        for period in range(1, 7):
            since = 0 if start is None or period < start else period - start + 1
            rows.append((area, period, start, 10 * ord(area) + 2 * period + since))
    return pd.DataFrame(rows, columns=["area_code", "period", "start", "value"])


def test_group_time_effects_are_found_one_by_one():
    result = difference_in_differences(staggered(), ask(""), starts="start")
    found = {e.key: e.value for e in result.estimates if e.key.startswith("att.")}

    expected = {"att.3.3": 1, "att.3.4": 2, "att.3.5": 3, "att.3.6": 4, "att.5.5": 1, "att.5.6": 2}
    assert found == pytest.approx(expected)
    assert result["effect"].value == pytest.approx(13 / 6)
    assert result.settings["regression"] == "group-time"


def test_two_way_fixed_effects_go_wrong_where_effects_grow():
    """Early starters serve as comparison of late ones: why group-time is the default."""
    wrong = difference_in_differences(
        staggered(), ask(""), starts="start", method="two-way fixed effects"
    )

    assert wrong["effect"].value < 13 / 6 - 0.2


def test_without_anyone_never_reached_the_last_starters_are_the_comparison():
    table = staggered()
    table = table[table["start"].notna()]
    result = difference_in_differences(table, ask(""), starts="start")
    found = {e.key: e.value for e in result.estimates if e.key.startswith("att.")}

    assert found == pytest.approx({"att.3.3": 1, "att.3.4": 2})
    assert any("those who start last (5)" in caution.text for caution in result.cautions)


def test_the_event_study_compares_with_the_period_before():
    rows = difference_in_differences(staggered(), ask(""), starts="start").table.set_index(
        "relative"
    )

    assert rows.loc[-1, ["value", "low", "high"]].tolist() == [0, 0, 0]
    assert rows.loc[[0, 1, 2, 3], "value"].tolist() == pytest.approx([1, 2, 3, 4])
    assert rows.loc[[-2, -3, -4], "value"].tolist() == pytest.approx([0, 0, 0])


@settings(max_examples=25)
@given(st.integers(0, 30), st.floats(-50, 50), st.floats(0.1, 10))
def test_levels_of_areas_shared_periods_and_units_do_not_matter(seed, level, size):
    table = panel(seed, areas=8, periods=4, reached=3, event=3)
    shock = level * table["area_code"].eq("A01") + level * table["period"].eq(2)
    moved = table.assign(value=size * (table["value"] + shock))
    one = difference_in_differences(table, ask("3"), draws=19)
    two = difference_in_differences(moved.sample(frac=1, random_state=1), ask("3"), draws=19)

    assert two["effect"].value == pytest.approx(size * one["effect"].value, rel=1e-6, abs=1e-6)
    assert two["effect"].se == pytest.approx(size * one["effect"].se, rel=1e-6)


# ---------------------------------------------------------------------------- permutation


def test_the_permutation_p_counts_all_assignments():
    """The changes 8, 4 | 1, 3, 2, 0: only the true pair is as far apart; 1 of 15."""
    more = pd.DataFrame(
        {"area_code": list("eeff"), "period": [1, 2] * 2, "treated": False, "value": [5, 7, 6, 6]}
    )
    table = pd.concat([FOUR, more])

    with_six = permutation_test(table, ask("2"))
    assert not with_six.known

    seven = pd.concat(
        [
            table,
            pd.DataFrame(
                {"area_code": list("gg"), "period": [1, 2], "treated": False, "value": [3, 4]}
            ),
        ]
    )
    result = permutation_test(seven, ask("2"))
    assert result["p"].value == pytest.approx(1 / 21)


def test_a_permutation_test_that_could_never_reach_5_per_cent_is_refused_by_name():
    table = panel(3, areas=5, reached=2, step=50)
    alone = permutation_test(table, ask())
    beside = difference_in_differences(table, ask())

    assert alone.text == (
        "permutation test refused: with 5 clusters, 2 of them reached, its smallest possible p "
        "is 0.1."
    )
    assert any("Permutation test refused" in caution.text for caution in beside.cautions)
    assert "permutation_p" not in [estimate.key for estimate in beside.estimates]


def test_drawn_assignments_come_from_the_seed_alone():
    table = panel(4, areas=30, reached=15)
    one, two = (permutation_test(table, ask(), draws=99, seed=5) for _ in range(2))
    other = permutation_test(table, ask(), draws=99, seed=6)

    assert one["p"] == two["p"]
    assert other["p"] != one["p"]
    assert 0.1 < other["p"].value <= 1
    assert one.settings["how"].startswith("99 assignments of 30 clusters, 15 of them reached")


# ---------------------------------------------------------------------------- checks and words


def test_a_real_change_with_parallel_courses_passes_every_check():
    result = difference_in_differences(panel(5, step=3), ask())

    assert listed(result).text == "All 6 checks are passed."
    assert "an effect of it" in result.text
    assert result["effect"].design == "did"
    assert result["effect"].low < 3 < result["effect"].high
    assert result["permutation_p"].value < 0.01


def spiked(table):
    """Those reached are much higher in the last period before the event, and in no other."""
    return table.assign(value=table["value"] + 9 * (table["treated"] & table["period"].eq(6)))


@pytest.mark.parametrize(
    ("check", "table", "event"),
    [
        ("earlier trend", panel(6, drift=0.5), "7"),
        ("number of clusters", panel(7, areas=5, reached=1, step=3), "7"),
        ("minimum points", FOUR, "2"),
        ("shifted dates", spiked(panel(8)), "7"),
    ],
)
def test_a_failed_check_takes_the_causal_words_away(check, table, event):
    result = difference_in_differences(table, ask(event))

    assert check in result.text
    assert [word for word in CAUSAL if word in result.text.lower()] == []
    assert result["effect"].design == "controlled_before_after"


def test_a_recording_break_at_the_event_refuses_an_effect():
    question = ask(breaks=[{"date": "7", "label": "new codes"}])
    result = difference_in_differences(panel(9, step=3), question)

    assert "consistent with a recording break (7: new codes)" in result.reason
    assert "effect" not in [estimate.key for estimate in result.estimates]


def test_one_cluster_alone_gives_no_interval():
    """A single reached cluster says nothing of how much such clusters vary."""
    result = difference_in_differences(panel(11, reached=1, step=3), ask())

    assert result["effect"].low is None
    assert "number of clusters" in result.text
    assert any("no interval can be given" in caution.text for caution in result.cautions)


def test_a_group_without_figures_before_its_start_is_left_out_and_said():
    table = staggered()
    last = table["start"].max()
    cut = table[(table["start"] != last) | (table["period"] >= last)]
    result = difference_in_differences(cut, ask(""), starts="start")
    without = difference_in_differences(table[table["start"] != last], ask(""), starts="start")

    assert result["effect"].value == pytest.approx(without["effect"].value)
    assert any("no period before they were reached" in one.text for one in result.cautions)


# ---------------------------------------------------------------------------- refusals


def changed(**columns):
    return panel(10).assign(**columns)


@pytest.mark.parametrize(
    ("table", "question", "choices", "message"),
    [
        (panel(), ask(""), {}, "either an event .* or a column of starts"),
        (panel(), ask(), {"starts": "period"}, "either an event .* Give one"),
        (panel(), ask(), {"covariance": "HC3"}, "covariance must be one of CR2, CR1, CR0"),
        (panel(), ask(), {"method": "magic"}, "method must be one of two-way fixed effects"),
        (panel(), ask("99"), {}, "both before and after; 10 clusters are reached"),
        (changed(treated=True), ask(), {}, "clusters that the event did not reach; all 20"),
        (changed(treated=False), ask(), {}, "0 clusters are reached"),
        (changed(treated=lambda t: t["period"] > 6), ask(), {}, "one group throughout; A00, A01"),
        (panel().drop(columns="value"), ask(), {}, "needs the columns 'value'"),
        (changed(treated="yes"), ask(), {}, "'treated' must hold numbers"),
        (
            staggered(),
            ask(""),
            {"starts": "start", "method": "two by two"},
            "needs one common date",
        ),
        (
            changed(value=lambda t: t["value"].where((t["period"] != 3) | t["treated"])),
            ask(),
            {},
            "some period has only clusters of one kind",
        ),
    ],
)
def test_wrong_input_is_refused_with_what_to_do(table, question, choices, message):
    with pytest.raises(DataError, match=message):
        difference_in_differences(table, question, **choices)
