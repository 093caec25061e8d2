"""Gradients within areas: a hand case, a fitted model, the ecological fallacy, refusals."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from evidence.errors import DataError
from evidence.results import Estimate, Result
from evidence.variation import equity, gradients


def cells(slope=-0.2, areas=12, groups=10, seed=3, level_slope=0.0, size=200):
    draw = np.random.default_rng(seed)
    rows = []
    for area in range(areas):
        need = draw.normal()
        start = 0.4 * draw.normal() + level_slope * need
        for group in range(1, groups + 1):
            n = int(size * np.exp(0.15 * need * (group - 5)))
            p = 1 / (1 + np.exp(-(start + slope * (group - 5))))
            rows.append((f"A{area:02d}", group, draw.binomial(n, p), n, need))
    return pd.DataFrame(rows, columns=["area_code", "rank", "numerator", "denominator", "need"])


def within(table, **choices):
    return gradients.within_areas(table, **({"direction_better": "higher"} | choices))


def test_two_areas_of_two_groups_have_the_common_odds_ratio_of_both_tables():
    """20/40 against 10/40 in both areas: odds 1 and 1/3, a ratio of 1/3."""
    table = pd.DataFrame(
        {
            "area_code": ["A", "A", "B", "B"],
            "rank": [1, 2, 1, 2],
            "numerator": [20, 10, 20, 10],
            "denominator": [40] * 4,
        }
    )

    result = within(table)

    assert result["odds_ratio"].value == pytest.approx(1 / 3)
    assert result["gap"].value == pytest.approx(-25)
    assert result["step"].value == pytest.approx(100 * np.log(1 / 3) * (0.25 + 0.1875) / 2)
    assert result["dispersion"].value == pytest.approx(0, abs=1e-9)


def test_slope_and_error_equal_those_of_a_fitted_model_with_a_level_per_area():
    table = cells()
    design = pd.get_dummies(table["area_code"], dtype=float).assign(rank=table["rank"])
    fit = sm.GLM(
        table["numerator"] / table["denominator"],
        design,
        family=sm.families.Binomial(),
        var_weights=table["denominator"],
    ).fit(scale="X2", tol=1e-12)

    result = within(table)

    assert result["slope"].value == pytest.approx(fit.params["rank"], rel=1e-8)
    assert result["slope"].se == pytest.approx(fit.bse["rank"], rel=1e-7)
    assert result["dispersion"].value == pytest.approx(fit.scale, rel=1e-7)


def test_a_rate_has_the_slope_of_a_poisson_model_with_a_level_per_area():
    table = cells(slope=-0.05)
    table["numerator"] = table["numerator"] * 3
    design = pd.get_dummies(table["area_code"], dtype=float).assign(rank=table["rank"])
    fit = sm.GLM(
        table["numerator"], design, family=sm.families.Poisson(), exposure=table["denominator"]
    ).fit(scale="X2", tol=1e-12)

    result = within(table, measure="rate", multiplier=1000, unit="per 1,000 people")

    assert result["slope"].value == pytest.approx(fit.params["rank"], rel=1e-8)
    assert result["slope"].se == pytest.approx(fit.bse["rank"], rel=1e-7)
    assert result["rate_ratio"].value == pytest.approx(np.exp(fit.params["rank"]), rel=1e-8)
    whole = 1000 * table["numerator"].sum() / table["denominator"].sum()
    assert result["step"].value == pytest.approx(whole * fit.params["rank"], rel=1e-8)
    assert "per 1,000 people from one group to the next" in result.text


def test_two_areas_of_two_groups_have_the_common_rate_ratio_of_both_tables():
    """60 of 40 against 30 of 40 in both areas, more events than people: a ratio of a half."""
    table = pd.DataFrame(
        {
            "area_code": ["A", "A", "B", "B"],
            "rank": [1, 2, 1, 2],
            "numerator": [60, 30, 60, 30],
            "denominator": [40] * 4,
        }
    )

    result = within(table, measure="rate")

    assert result["rate_ratio"].value == pytest.approx(1 / 2)
    assert result["gap"].value == pytest.approx(-75)
    assert result.table["value"].tolist() == [150, 75]


@pytest.mark.parametrize(
    ("step", "unit", "words"),
    [
        (
            (-1.8, -2.04, -1.6),
            "%",
            "falls by 1.8 points from one group to the next (95\u00a0% 1.6 to 2.0)",
        ),
        (
            (0.5, 0.1, 0.9),
            "%",
            "rises by 0.5 points from one group to the next (95\u00a0% 0.1 to 0.9)",
        ),
        (
            (-0.1, -0.4, 0.2),
            "%",
            "changes by −0.1 points from one group to the next (95\u00a0% −0.4 to 0.2)",
        ),
    ],
)
def test_a_step_is_said_in_the_unit_of_the_figure(step, unit, words):
    value, low, high = step
    said = gradients.in_steps(Estimate(key="step", value=value, low=low, high=high), unit)

    assert said == words


def test_the_slope_that_was_put_in_is_found_within_its_interval():
    found = [within(cells(seed=seed, groups=5))["slope"] for seed in range(60)]

    assert np.mean([slope.low <= -0.2 <= slope.high for slope in found]) >= 0.88
    assert np.mean([slope.value for slope in found]) == pytest.approx(-0.2, abs=0.01)


def test_a_gradient_within_areas_can_be_hidden_between_them():
    """Needier areas have more people in the worse groups, yet do as well on average."""
    table = cells(slope=-0.1, areas=32, level_slope=0.14, seed=8)
    sums = table.groupby("area_code")[["numerator", "denominator"]].sum()
    averages = sums.assign(score=table.groupby("area_code")["need"].first()).reset_index()

    inside = within(table, indicator="Recovery")
    between = equity.across_areas(averages, direction_better="higher")

    assert inside["odds_ratio"].high < 0.95
    assert abs(between["correlation"].value) < 0.35
    assert (
        "among people of the same area it falls by 2.3 points from one group to the next"
        in inside.text
    )
    assert len(inside.text.split()) <= 40


def test_an_area_without_a_gradient_flattens_the_common_slope():
    one, other = cells(seed=5), cells(seed=5)
    extra = other[other["area_code"] == "A00"].assign(
        area_code="Z", numerator=lambda rows: (rows["denominator"] * 0.5).round()
    )

    flat = within(pd.concat([one, extra]))["slope"].value

    assert abs(flat) < abs(within(one)["slope"].value)


def test_reversing_the_order_turns_the_slope():
    table = cells()
    turned = table.assign(rank=11 - table["rank"])

    assert within(turned)["slope"].value == pytest.approx(-within(table)["slope"].value)


def test_suppressed_cells_are_counted_and_left_out():
    table = cells().assign(status="ok")
    table.loc[[0, 10, 20], ["numerator", "status"]] = [np.nan, "suppressed"]

    result = within(table)

    assert result.table["cells_absent"].tolist() == [3] + [0] * 9
    assert "3 of 120 cells of area and group have no figure" in repr(result)
    assert result["slope"].n == table.loc[table["status"] == "ok", "denominator"].sum()


def test_one_area_is_a_reason_and_not_a_number():
    result = within(cells(areas=1), indicator="Recovery")

    assert not result.known
    assert len(result.table) == 10


def test_a_cell_that_comes_twice_is_refused():
    table = pd.concat([cells(), cells().head(1)])

    with pytest.raises(DataError, match="one row for each area_code and rank; repeated: A00"):
        within(table)


def test_a_gradient_survives_json():
    result = within(cells())

    assert Result.loads(result.dumps()) == result


def pairs(*numerators):
    return pd.DataFrame(
        {
            "area_code": np.repeat(["A", "B", "C"], 2)[: len(numerators)],
            "rank": [1, 2] * (len(numerators) // 2),
            "numerator": numerators,
            "denominator": 10,
        }
    )


@pytest.mark.parametrize(
    ("numerators", "measure"),
    [
        ((0, 10, 0, 10), "proportion"),
        ((0, 5, 0, 5), "proportion"),
        ((10, 5, 10, 5), "proportion"),
        ((0, 5, 0, 7), "rate"),
    ],
)
def test_events_at_one_end_of_the_order_are_a_reason_and_not_a_steep_slope(numerators, measure):
    result = within(pairs(*numerators), measure=measure)

    assert not result.known
    assert "no slope can follow" in result.reason
    assert result.table["numerator"].tolist() == [
        numerators[0] + numerators[2],
        numerators[1] + numerators[3],
    ]


@pytest.mark.parametrize("measure", ["proportion", "rate"])
def test_one_area_with_events_at_both_ends_is_enough_for_a_slope(measure):
    result = within(pairs(0, 5, 0, 5, 2, 4), measure=measure)

    assert result["slope"].value > 0
    assert result["slope"].se < 2


def test_cells_that_are_all_suppressed_are_a_reason():
    result = within(cells().assign(status="suppressed"))

    assert result.reason == "fewer than two areas have figures in several groups"


def test_a_cell_without_a_place_in_the_order_is_refused():
    table = cells()
    table["rank"] = table["rank"].astype(float).where(table.index != 3)

    with pytest.raises(DataError, match=r"its place in 'rank'; rows \[3\] have none"):
        within(table)
