"""Figures by group, correlations of area averages, and what the mix of groups would make."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evidence.errors import DataError
from evidence.results import Result
from evidence.variation import equity, rates


def groups(**changes):
    table = pd.DataFrame(
        {
            "group_code": ["g1", "g2", "g3", "g4"],
            "group": ["01 Least", "02 Most", "Not stated", "Tiny"],
            "rank": [1, 2, 0, 3],
            "numerator": [60.0, 45.0, 9.0, np.nan],
            "denominator": [100.0, 100.0, 10.0, np.nan],
            "status": ["ok", "ok", "ok", "suppressed"],
            "cells": [4, 3, 1, 0],
            "cells_absent": [0, 1, 3, 4],
        }
    )
    return table.assign(**changes)


def by_group(tables=None, **choices):
    tables = {"deprivation": groups()} if tables is None else tables
    return equity.by_group(tables, **({"direction_better": "higher"} | choices))


def test_figures_have_wilson_intervals_and_the_gap_is_of_stated_groups_only():
    """60 and 45 of 100; the 90 % of people not stated takes no part in the gap."""
    result = by_group(indicator="Recovery", period="2019-20")
    low, high = rates.wilson(np.array([60.0]), np.array([100.0]))

    assert result["deprivation.g1"].value == 60
    assert result["deprivation.g1"].low == pytest.approx(100 * low[0])
    assert result["deprivation.g1"].high == pytest.approx(100 * high[0])
    assert result["deprivation.gap"].value == 15
    assert (
        result.text
        == "Recovery, 2019-20: 45.0\u00a0% (2 Most) to 60.0\u00a0% (1 Least) by deprivation."
    )


def test_the_gap_has_the_interval_of_newcombes_method():
    """Newcombe 1998, table II, method 10, example (a): 56/70 against 48/80."""
    table = groups().iloc[:2].assign(numerator=[56, 48], denominator=[70, 80])

    gap = by_group({"arm": table}, multiplier=1)["arm.gap"]

    assert (gap.value, gap.low, gap.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_equal_figures_are_told_of_two_groups():
    result = by_group({"age": groups(numerator=[50.0, 50, 9, np.nan])})

    assert result["age.gap"].value == 0
    assert "50.0\u00a0% (1 Least) to 50.0\u00a0% (2 Most) by age" in result.text


def test_a_suppressed_group_stays_and_is_counted():
    result = by_group()
    row = result.table.set_index("group_code").loc["g4"]

    assert (row.status, row.cells_absent) == ("suppressed", 4)
    assert np.isnan(row.value)
    assert "8 of 16 cells of area and group have no figure" in repr(result)
    assert "no figure at all: Tiny" in repr(result)


def test_a_rate_may_exceed_one_and_has_byar_limits():
    table = groups(numerator=[150.0, 45, 9, np.nan])
    low, high = rates.byar(np.array([150.0]))

    result = by_group({"age": table}, measure="rate", unit="per 100 referrals")

    assert result["age.g1"].value == 150
    assert result["age.g1"].low == pytest.approx(low[0])
    assert result["age.g1"].high == pytest.approx(high[0])


def test_several_breakdowns_name_the_widest_first_in_forty_words():
    narrow = groups(numerator=[60.0, 58, 9, np.nan])
    result = by_group(
        {"gender": narrow, "deprivation": groups(), "age": narrow},
        indicator="Finished courses of NHS Talking Therapies per referral",
        period="2019-20",
    )

    assert "by deprivation; gaps by gender 2.0, age 2.0 points." in result.text
    assert len(result.text.split()) <= 40


def test_order_of_rows_changes_no_figure():
    turned = {"deprivation": groups().iloc[::-1].reset_index(drop=True)}

    assert {e.key: e.value for e in by_group(turned).estimates} == {
        e.key: e.value for e in by_group().estimates
    }


def test_breakdowns_without_two_figures_say_so():
    alone = groups(rank=[1, 0, 0, 2])

    assert "no breakdown has two groups with a figure" in by_group({"age": alone}).text


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "at least one breakdown; got none"),
        ({"age": groups().drop(columns="cells")}, "figures by age needs the columns 'cells'"),
        ({"age": pd.concat([groups(), groups()])}, "one row for each group_code; repeated: g1"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(tables, message):
    with pytest.raises(DataError, match=message):
        by_group(tables)


def areas(k=32, seed=2, slope=0.0):
    draw = np.random.default_rng(seed)
    score = draw.uniform(9, 33, k)
    n = draw.integers(700, 5000, k)
    share = 0.5 + slope * (score - 20) + draw.normal(0, 0.02, k)
    return pd.DataFrame(
        {
            "area_code": [f"A{i}" for i in range(k)],
            "numerator": draw.binomial(n, share),
            "denominator": n,
            "score": score,
        }
    )


def test_the_correlation_of_averages_is_pearsons_with_fishers_interval():
    table = areas(slope=-0.002)
    value = table.numerator / table.denominator
    r = np.corrcoef(value, table.score)[0, 1]
    half = stats.norm.isf(0.025) / np.sqrt(len(table) - 3)

    found = equity.across_areas(table, direction_better="higher")["correlation"]

    assert found.value == pytest.approx(r)
    assert found.low == pytest.approx(np.tanh(np.arctanh(r) - half))
    assert found.high == pytest.approx(np.tanh(np.arctanh(r) + half))


def test_scaling_the_score_changes_no_correlation():
    table = areas()
    other = table.assign(score=3 * table.score + 7)

    one, two = (equity.across_areas(t, direction_better="none") for t in (table, other))

    assert one["correlation"].value == pytest.approx(two["correlation"].value)
    assert "which may be zero" in one.text
    assert [caution.kind for caution in one.cautions] == ["ecological"]


def test_a_rate_of_areas_may_count_more_events_than_people():
    table = areas().assign(numerator=lambda rows: 3 * rows["numerator"])

    result = equity.across_areas(table, direction_better="none", measure="rate", unit="per 100")

    assert result["correlation"].k == 32
    assert result.table["value"].min() > 100
    assert result.table["low"].notna().all()


def test_areas_without_a_score_are_left_out_and_three_are_too_few():
    table = areas(6)
    table.loc[:2, "score"] = np.nan

    result = equity.across_areas(table, direction_better="higher", indicator="Recovery")

    assert not result.known
    assert "only 3 areas with a figure and a score" in result.text
    assert len(result.table) == 6


def mixed():
    """Two groups at 60 % and 40 %: areas of 3:1 and 1:3 are due 55 % and 45 %."""
    return pd.DataFrame(
        {
            "area_code": ["A", "A", "B", "B"],
            "group_code": ["g1", "g2"] * 2,
            "numerator": [180, 40, 60, 120],
            "denominator": [300, 100, 100, 300],
        }
    )


def test_the_mix_of_groups_alone_makes_areas_differ():
    found = equity.expected_from_groups(mixed()).set_index("area_code")

    assert found.expected.tolist() == pytest.approx([55, 45])
    assert found.value.tolist() == pytest.approx([55, 45])


def test_an_area_that_does_better_in_every_group_keeps_its_expectation_of_the_mix():
    table = mixed().assign(numerator=[210, 50, 50, 110])
    found = equity.expected_from_groups(table).set_index("area_code")

    assert found.value["A"] > found.expected["A"]
    assert (found.expected * found.denominator).sum() == pytest.approx(
        (found.value * found.denominator).sum()
    )


def test_the_mix_of_groups_holds_for_rates_with_more_events_than_people():
    table = mixed().assign(numerator=lambda rows: 5 * rows["numerator"])
    found = equity.expected_from_groups(table, measure="rate").set_index("area_code")

    assert found.expected.tolist() == pytest.approx([275, 225])


def test_cells_that_repeat_are_refused():
    with pytest.raises(DataError, match="one row for each area_code and group_code"):
        equity.expected_from_groups(pd.concat([mixed(), mixed()]))


def test_results_survive_json():
    for result in (by_group(), equity.across_areas(areas(), direction_better="higher")):
        assert Result.loads(result.dumps()) == result


def test_groups_are_named_and_their_figures_told_without_the_codes_of_the_source():
    table = pd.DataFrame(
        {
            "group_code": ["dep01", "dep10", "dep11"],
            "group": ["01 Least deprived", "10 Most deprived", "Not stated/Not known/Invalid"],
            "rank": [1, 2, 0],
            "numerator": [60, 40, np.nan],
            "denominator": [100, 100, np.nan],
            "status": ["ok", "ok", "suppressed"],
            "cells": 1,
            "cells_absent": 0,
        }
    )

    rows = equity.by_group({"deprivation": table}, direction_better="higher").table

    assert rows["group"].tolist() == ["1 Least deprived", "10 Most deprived", "Not stated"]
    assert rows["figure"].tolist() == ["given", "given", "suppressed"]
