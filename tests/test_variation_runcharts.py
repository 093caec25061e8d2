"""Run charts: a hand case, points on the median, gaps, properties, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.results import Result
from evidence.variation import periods, runcharts

BASE = [5, 7, 6, 5, 7, 6, 6]


def months(values):
    labels = [periods.period_label(24000 + i, "month") for i in range(len(values))]
    return pd.DataFrame({"period": labels, "value": values})


def chart(values, **choices):
    table = values if isinstance(values, pd.DataFrame) else months(values)
    return runcharts.run_chart(table, **({"baseline": 7, "run": 4} | choices))


def test_four_points_above_the_median_set_it_anew():
    result = chart([*BASE, 8, 9, 10, 9, 9])

    rows = result.table
    assert rows["median"].tolist() == [6.0] * 7 + [9.0] * 5
    assert rows["part"].tolist() == ["baseline"] * 7 + ["sustained"] * 4 + [""]
    assert result["runs"].value == 1


def test_points_on_the_median_neither_count_nor_end_a_run():
    rows = chart([*BASE, 8, 6, 9, 6, 10, 9]).table

    assert rows["stretch"].tolist() == [0] * 7 + [1] * 6
    assert rows["median"].iloc[-1] == 9.0


def test_a_point_on_the_other_side_ends_a_run():
    assert chart([*BASE, 8, 9, 10, 3, 9, 9, 9])["runs"].value == 0


def test_only_runs_on_the_asked_side_count():
    values = [*BASE, 8, 9, 10, 9]

    assert chart(values, direction="above")["runs"].value == 1
    assert chart(values, direction="below")["runs"].value == 0


def test_no_run_crosses_a_missing_month():
    table = months([*BASE, 8, 9, 10, 9, 9, 9]).drop(index=9)

    result = chart(table)

    assert result["runs"].value == 0
    assert [caution.kind for caution in result.cautions] == ["missing_periods"]


@given(st.lists(st.integers(0, 50), min_size=7, max_size=60))
def test_turning_the_series_upside_down_turns_the_medians(values):
    up, down = chart(values).table, chart([-value for value in values]).table

    np.testing.assert_array_equal(up["median"], -down["median"])
    assert up["part"].tolist() == down["part"].tolist()


def test_too_short_a_series_is_a_reason():
    assert chart([1, 2, 3]).reason == "the baseline needs 7 periods, 3 have a figure"


def test_a_wrong_length_or_side_is_refused():
    with pytest.raises(DataError, match="2 or more points; got 7 and 1"):
        chart(BASE, run=1)
    with pytest.raises(DataError, match="direction must be one of both, above, below"):
        chart(BASE, direction="up")


def test_a_run_chart_survives_json():
    result = chart([*BASE, 8, 9, 10, 9], indicator="Seen", unit="people")

    assert Result.loads(result.dumps()) == result
    assert (
        result.text
        == "Seen: the median is 9.0 people after 1 sustained run; it began at 6.0 people."
    )
