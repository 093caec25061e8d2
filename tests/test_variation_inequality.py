"""Inequality between ordered groups: hand cases, closed forms, properties, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.results import Result
from evidence.variation import inequality


def groups(values, people=None, **columns):
    people = [100] * len(values) if people is None else people
    return pd.DataFrame(
        {"rank": range(1, len(values) + 1), "population": people, "value": values, **columns}
    )


def indices(values, people=None):
    return inequality.indices(
        groups(values, people), direction_better="higher", indicator="Recovery", unit="%"
    )


def test_two_groups_at_40_and_60_have_the_indices_worked_out_by_hand():
    """Mean 50; ranks 0.25 and 0.75, so the slope is 40; Gini and concentration 0.1."""
    result = indices([40.0, 60.0])

    assert result["gap"].value == 20
    assert result["ratio"].value == 1.5
    assert result["sii"].value == pytest.approx(40)
    assert result["rii"].value == pytest.approx(70 / 30)
    assert result["concentration"].value == pytest.approx(0.1)
    assert result["gini"].value == pytest.approx(0.1)
    assert result["hoover"].value == pytest.approx(0.1)
    assert result["between_group_variance"].value == pytest.approx(100)
    assert result["population_gap"].value == pytest.approx(10)
    assert result["theil"].value == pytest.approx((0.8 * np.log(0.8) + 1.2 * np.log(1.2)) / 2)
    assert result["mld"].value == pytest.approx(-(np.log(0.8) + np.log(1.2)) / 2)
    assert result["atkinson"].value == pytest.approx(1 - np.sqrt(0.8 * 1.2))
    assert result["sii"].unit == "%"


def test_the_words_name_both_ends_and_the_slope():
    assert indices([47.5, 50.0, 59.3]).text == (
        "Recovery: 47.5\u00a0% in the most deprived of 3 groups and 59.3\u00a0% in the least, a "
        "gap of 11.8 points; the slope across all people is 17.7 points."
    )


@given(
    st.lists(st.tuples(st.floats(1, 100), st.integers(1, 1000)), min_size=2, max_size=10),
    st.sampled_from([0.5, 2.0, 10.0]),
)
def test_relative_indices_do_not_change_with_the_unit(pairs, factor):
    values, people = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    one, other = indices(values, people), indices([factor * value for value in values], people)

    for key in ("gini_weighted", "concentration", "theil", "mld", "atkinson", "ratio"):
        assert other[key].value == pytest.approx(one[key].value, rel=1e-7, abs=1e-9)
    assert other["sii"].value == pytest.approx(factor * one["sii"].value, rel=1e-7, abs=1e-9)


@given(st.floats(0.1, 100), st.integers(2, 10))
def test_equal_groups_have_no_inequality(value, number):
    result = indices([value] * number)

    for key in ("gap", "sii", "concentration", "gini", "theil", "mld", "hoover", "atkinson"):
        assert result[key].value == pytest.approx(0, abs=1e-9 * max(value, 1))


@given(st.lists(st.floats(1, 100), min_size=2, max_size=10))
def test_turning_the_order_of_groups_turns_slope_and_concentration(values):
    one, other = indices(values), indices(values[::-1])

    assert other["sii"].value == pytest.approx(-one["sii"].value, abs=1e-8)
    assert other["concentration"].value == pytest.approx(-one["concentration"].value, abs=1e-9)
    assert other["gini"].value == pytest.approx(one["gini"].value, abs=1e-9)


def test_splitting_a_group_into_equal_halves_changes_no_weighted_index():
    whole = indices([40.0, 50.0, 60.0], [200, 100, 300])
    split = indices([40.0, 40.0, 50.0, 60.0], [100, 100, 100, 300])

    for key in ("concentration", "theil", "mld", "gini_weighted", "between_group_variance"):
        assert split[key].value == pytest.approx(whole[key].value)


def test_a_value_of_zero_leaves_out_what_needs_a_logarithm_or_a_quotient():
    keys = [estimate.key for estimate in indices([0.0, 50.0]).estimates]

    assert "theil" not in keys
    assert "ratio" not in keys
    assert "gini" in keys


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (groups([1.0, 2.0]).assign(rank=[1, 3]), "ranks must count 1, 2, 3"),
        (groups([1.0, 2.0]).assign(rank=[1, 1]), "ranks must count 1, 2, 3"),
        (groups([1.0, np.nan]), r"ranks \[2\] do not have them"),
        (groups([1.0, 2.0], [0, 5]), r"ranks \[1\] do not have them"),
        (groups([1.0, -2.0]), "counts of 0 or more"),
        (groups([1.0, 2.0]).drop(columns="rank"), "needs the columns 'rank'"),
    ],
)
def test_wrong_groups_are_refused(table, words):
    with pytest.raises(DataError, match=words):
        inequality.indices(table, direction_better="none")


def with_limits(values, error, people=None, **columns):
    table = groups(values, people, **columns)
    return table.assign(low=table["value"] - 1.96 * error, high=table["value"] + 1.96 * error)


def test_the_simulated_interval_of_a_mean_is_the_closed_one():
    """The slope is linear in the values, so its variance has a closed form."""
    values = np.array([76.1, 77.0, 78.2, 78.0, 79.9])
    row = inequality.slope_indices(with_limits(values, 1.0)).iloc[0]
    place = inequality.fractional_ranks(np.full(5, 100.0))
    error = np.sqrt(1 / np.sum((place - place.mean()) ** 2))

    assert row["sii"] == pytest.approx(np.polyfit(place, values, 1)[0])
    assert row["sii_low"] == pytest.approx(row["sii"] - 1.96 * error, abs=0.03)
    assert row["sii_high"] == pytest.approx(row["sii"] + 1.96 * error, abs=0.03)


def test_the_same_seed_gives_the_same_interval_and_leaves_other_random_numbers_alone():
    table = with_limits([50.0, 52.0, 58.0], 2.0)
    np.random.seed(5)
    before = np.random.get_state()[1].copy()

    one, two = (inequality.slope_indices(table, draws=1000, seed=9) for _ in range(2))

    pd.testing.assert_frame_equal(one, two)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    other = inequality.slope_indices(table, draws=1000, seed=10)
    assert other["sii_low"].iloc[0] != one["sii_low"].iloc[0]


def test_an_areas_interval_does_not_hang_on_the_other_areas():
    one = with_limits([50.0, 52.0, 58.0], 2.0, area_code="B")
    other = with_limits([10.0, 22.0, 38.0], 3.0, area_code="A")

    alone = inequality.slope_indices(one, by="area_code", draws=1000)
    both = inequality.slope_indices(pd.concat([other, one]), by="area_code", draws=1000)

    pd.testing.assert_frame_equal(alone, both.iloc[[1]].reset_index(drop=True))


def test_a_negative_multiplier_turns_slope_and_ratio():
    table = with_limits([0.6, 0.5, 0.4], 0.02)
    plain = inequality.slope_indices(table, kind="proportion").iloc[0]
    turned = inequality.slope_indices(table, kind="proportion", multiplier=-100).iloc[0]

    assert turned["sii"] == pytest.approx(-100 * plain["sii"])
    assert turned["rii"] == pytest.approx(1 / plain["rii"])


def test_an_area_without_every_group_has_no_index_and_the_others_do():
    """London: some boroughs have no small areas in some deprivation quintiles."""
    whole = with_limits([50.0, 52.0, 58.0], 2.0, area_code="A")
    part = with_limits([50.0, 52.0, 58.0], 2.0, area_code="B").iloc[[0, 2]]
    empty = with_limits([50.0, np.nan, 58.0], 2.0, area_code="C")

    rows = inequality.slope_indices(pd.concat([whole, part, empty]), by="area_code", draws=100)

    assert rows["status"].tolist() == ["ok", "not all groups in order", "a group has no figure"]
    assert rows["sii"].notna().tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("kind", "values"),
    [("rate", [0.0, 0.2, 0.3]), ("proportion", [0.0, 0.2, 0.3]), ("proportion", [0.2, 0.3, 1.0])],
)
def test_a_group_at_the_end_of_its_scale_leaves_its_area_without_an_index(kind, values):
    ends = with_limits(values, 0.01, area_code="A")
    inside = with_limits([0.1, 0.2, 0.3], 0.01, area_code="B")

    rows = inequality.slope_indices(pd.concat([ends, inside]), by="area_code", kind=kind, draws=100)

    assert rows["status"].tolist() == ["a figure or its limit at the end of its scale", "ok"]
    assert rows["sii"].notna().tolist() == rows["sii_low"].notna().tolist() == [False, True]


def test_percentages_are_refused_as_proportions():
    with pytest.raises(DataError, match="must lie between 0 and 1; got 40 to 58"):
        inequality.slope_indices(with_limits([40.0, 50.0, 58.0], 2.0), kind="proportion")


def test_a_change_of_indices_has_the_interval_of_two_independent_ones():
    before = inequality.slope_indices(
        with_limits([50.0, 52.0, 58.0], 2.0, area_code="A"), by="area_code"
    )
    now = inequality.slope_indices(
        with_limits([50.0, 53.0, 60.0], 2.0, area_code="A"), by="area_code"
    )

    row = inequality.slope_changes(now, before).iloc[0]

    assert row["sii_change"] == pytest.approx(now["sii"].iloc[0] - before["sii"].iloc[0])
    half = (now["sii_high"] - now["sii"]).iloc[0]
    assert row["sii_change_high"] - row["sii_change"] == pytest.approx(half * np.sqrt(2), rel=0.02)
    assert row["rii_ratio"] == pytest.approx(now["rii"].iloc[0] / before["rii"].iloc[0])
    assert row["rii_ratio_low"] < 1 < row["rii_ratio_high"]


def test_an_area_of_one_period_has_no_change_and_is_not_dropped():
    one = inequality.slope_indices(
        with_limits([50.0, 52.0, 58.0], 2.0, area_code="A"), by="area_code", draws=50
    )
    other = one.assign(area_code="B")

    rows = inequality.slope_changes(one, pd.concat([one, other]))

    assert rows["status"].tolist() == ["ok", "not in this period"]
    assert rows["sii_change"].notna().tolist() == [True, False]


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(DataError, match="kind must be one of value, rate, proportion"):
        inequality.slope_indices(with_limits([1.0, 2.0, 3.0], 0.1), kind="count")


def test_indices_survive_json():
    result = indices([40.0, 50.0, 60.0])

    assert Result.loads(result.dumps()) == result


def test_bench_slope_indices_of_33_areas_by_a_hundred_thousand_draws(benchmark):
    draw = np.random.default_rng(1)
    table = pd.concat(
        with_limits(draw.uniform(0.3, 0.6, 10), 0.02, area_code=f"A{at:02d}") for at in range(33)
    )

    rows = benchmark.pedantic(
        inequality.slope_indices, (table,), {"by": "area_code", "kind": "proportion"}, rounds=3
    )

    assert (rows["status"] == "ok").all()
