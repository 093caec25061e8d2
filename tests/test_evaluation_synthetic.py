"""Synthetic control: exact weights, placebos in space and time, donors left out, refusals."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from evidence.errors import DataError
from evidence.evaluation.checks import CAUSAL, Question, listed
from evidence.evaluation.synthetic import simplex_weights, synthetic_control


def ask(event="2011", **words):
    words = {"outcome": "Admissions", "event_label": "the unit"} | words
    return Question(event=event, direction_better="lower", **words)


def units(seed=1, donors=25, periods=20, event=2011, step=0.0):
    """A unit that is 0.6 of one donor and 0.4 of another, and moves by `step` from the event."""
    random = np.random.default_rng(seed)
    years = np.arange(2001, 2001 + periods)
    common = np.cumsum(random.normal(0, 1, periods))
    lines = {
        f"D{i:02d}": 50 + random.normal(0, 5) + random.normal(1, 0.3) * common
        + random.normal(0, 0.3, periods)
        for i in range(donors)
    }  # fmt: skip
    mix = 0.6 * lines["D00"] + 0.4 * lines["D01"] + random.normal(0, 0.05, periods)
    lines["Here"] = mix + step * (years >= event)
    wide = pd.DataFrame(lines, index=years)
    return wide.rename_axis("period").reset_index().melt("period", var_name="area_code")


def run(table, question=None, **choices):
    return synthetic_control(table, question or ask(), treated="Here", **choices)


# ---------------------------------------------------------------------------- weights


def test_weights_of_a_point_between_two_donors_are_its_shares():
    """6 lies a quarter of the way from 5 to 9; the donor at 20 is not needed twice over."""
    donors = np.array([[5.0, 9.0], [1.0, 5.0]])

    assert simplex_weights(np.array([6.0, 2.0]), donors) == pytest.approx([0.75, 0.25])


def test_a_point_outside_takes_the_nearest_donor():
    assert simplex_weights(np.array([0.0]), np.array([[5.0, 9.0, 7.0]])) == pytest.approx([1, 0, 0])


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 12))
def test_no_other_weights_come_closer(seed, count, rows):
    random = np.random.default_rng(seed)
    target, donors = random.normal(0, 1, rows), random.normal(0, 1, (rows, count))
    weights = simplex_weights(target, donors)
    loss = np.sum((target - donors @ weights) ** 2)
    slope = -2 * donors.T @ (target - donors @ weights)

    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert slope.min() >= weights @ slope - 1e-6 * (1 + loss)
    other = optimize.minimize(
        lambda w: np.sum((target - donors @ w) ** 2),
        np.full(count, 1 / count),
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
    )
    assert loss <= other.fun + 1e-6


def test_the_fit_before_the_event_is_no_worse_than_that_of_a_nested_search():
    """Synth's nested optimum on its own data: mean squared error 4.715 before the event."""
    file = Path(__file__).parent / "reference" / "variation" / "synth_toy.json"
    case = json.loads(file.read_text(encoding="utf-8"))
    target, donors = (np.array(case["input"][name]) for name in ("Z1", "Z0"))
    loss = np.mean((target - donors @ simplex_weights(target, donors)) ** 2)

    assert loss <= 1.01 * case["output"]["optimised"]["loss_v"]


# ---------------------------------------------------------------------------- estimates


def test_a_planted_change_is_found_with_its_donors():
    result = run(units(step=-6))

    assert result["effect"].value == pytest.approx(-6, abs=0.3)
    assert result.settings["weights"]["D00"] == pytest.approx(0.6, abs=0.1)
    assert listed(result).text == "All 7 checks are passed."
    assert re.search(r"lower by [\d.]+ than without the unit: an effect of it", result.text)
    assert result["placebo_p"].value == pytest.approx(1 / 26)
    assert result["effect"].low is None


def test_the_gap_is_the_figure_less_the_weighted_donors():
    table = units(2)
    result = run(table)
    wide = table.pivot(index="period", columns="area_code", values="value")
    made = sum(weight * wide[name] for name, weight in result.settings["weights"].items())

    assert result.table["gap"].to_numpy() == pytest.approx((wide["Here"] - made).to_numpy())
    assert result["effect"].value == pytest.approx((wide["Here"] - made).loc[2011:].mean())


def test_without_a_change_nothing_is_shown():
    result = run(units(3))

    assert result["placebo_p"].value > 0.05
    assert "an effect of it" not in result.text


@settings(max_examples=25)
@given(st.integers(0, 20), st.floats(0.1, 20), st.floats(-100, 100))
def test_unit_origin_and_order_do_not_matter(seed, size, origin):
    table = units(seed, donors=5, periods=14)
    moved = table.assign(value=origin + size * table["value"]).sample(frac=1, random_state=2)
    one, two = run(table), run(moved)

    assert two["effect"].value == pytest.approx(
        size * one["effect"].value, rel=1e-4, abs=1e-3 * size
    )


# ---------------------------------------------------------------------------- checks and words


def outcome(result, check):
    rows = listed(result).table
    return rows.loc[rows["check"] == check, ["outcome", "found"]].iloc[0].tolist()


def test_with_few_donors_the_placebo_test_is_refused():
    result = run(units(4, donors=12, step=-6))

    assert outcome(result, "placebo units") == [
        "not possible",
        "placebo test refused: with 12 donors its smallest possible p is 0.077",
    ]
    assert "placebo_p" not in [estimate.key for estimate in result.estimates]
    assert [word for word in CAUSAL if word in result.text.lower()] == []


def test_a_unit_that_no_donors_resemble_fails_the_fit():
    table = units(5)
    table.loc[table["area_code"] == "Here", "value"] += 200

    assert outcome(run(table), "fit before the event")[0] == "failed"


def test_a_change_before_the_event_fails_the_placebo_date():
    assert outcome(run(units(6, step=-9, event=2006)), "placebo dates")[0] == "failed"


def test_each_weighted_donor_is_left_out_in_turn():
    result = run(units(7, step=-6))
    rows = listed(result).table
    left = set(rows.loc[rows["check"] == "donor left out", "at"])

    assert left == {name for name, weight in result.settings["weights"].items() if weight > 0.001}
    assert result["leave_one_out_low"].value <= result["leave_one_out_high"].value < 0


def test_a_recording_break_at_the_event_refuses_an_effect():
    result = run(units(8, step=-6), ask(breaks=[{"date": "2010", "label": "new codes"}]))

    assert not result.known
    assert [e.key for e in result.estimates] == ["before", "after", "change", "change_control"]


# ---------------------------------------------------------------------------- refusals


def test_donors_with_gaps_are_left_out_and_named():
    table = units(9)
    table = table[(table["area_code"] != "D03") | (table["period"] != 2004)]
    result = run(table)

    assert "D03" not in result.settings["donors"]
    assert any("D03" in caution.text for caution in result.cautions)


@pytest.mark.parametrize(
    ("table", "question", "choices", "message"),
    [
        (units(), ask("2001"), {}, "two periods before its event and one after; '2001' has 0"),
        (units(), ask("2050"), {}, "'2050' has 20 before and 0 after"),
        (units(), ask(), {"donors": ["D01", "Nowhere"]}, "must be in 'area_code'; Nowhere is not"),
        (units(), ask(), {"donors": ["D01"]}, "at least 2 donors .* 1 of 1 have"),
        (units(), ask(), {"value": "y"}, "needs the columns 'y'"),
        (pd.concat([units()] * 2), ask(), {}, "one row for each unit and period; D00 2001"),
    ],
)
def test_wrong_input_is_refused_with_what_to_do(table, question, choices, message):
    with pytest.raises(DataError, match=message):
        run(table, question, **choices)


def test_weights_need_every_figure():
    with pytest.raises(DataError, match="a figure in every period before the event"):
        simplex_weights(np.array([1.0, np.nan]), np.ones((2, 2)))
