"""Area profiles: gaps after noise across indicators."""

import numpy as np
import pandas as pd
import pytest

from evidence.errors import DataError
from evidence.results import Result
from evidence.variation import areas, limits


def funnel(rates, n, direction="higher", indicator="Recovery", unit="%"):
    table = pd.DataFrame(
        {
            "area_code": [f"A{i}" for i in range(len(rates))],
            "area": [f"Area {i}" for i in range(len(rates))],
            "numerator": np.round(np.array(rates) * n),
            "denominator": n,
        }
    )
    return limits.funnel(table, direction_better=direction, indicator=indicator, unit=unit)


SPREAD = [0.40, 0.45, 0.48, 0.49, 0.5, 0.5, 0.51, 0.52, 0.55, 0.60]


@pytest.fixture
def results():
    return {
        "large": funnel(SPREAD, 4000),
        "small": funnel(SPREAD, 150, indicator="Waits"),
        "spend": funnel(SPREAD[::-1], 900, direction="none", indicator="Referrals"),
    }


def test_the_same_gap_counts_for_less_where_it_is_more_noise(results):
    rows = areas.profile(results, "A0").table.set_index("indicator")

    assert rows.loc["large", "gap"] == pytest.approx(rows.loc["small", "gap"], abs=0.5)
    assert abs(rows.loc["large", "gap_after_noise"]) > 2 * abs(rows.loc["small", "gap_after_noise"])
    assert not rows.loc["small", "clear"]


def test_a_low_figure_is_worse_where_higher_is_better_and_high_where_nothing_is(results):
    rows = areas.profile(results, "A0").table.set_index("indicator")

    assert rows["side"].tolist() == ["worse", "worse", "higher"]


def test_ranks_follow_the_distance_in_standard_deviations_between_areas(results):
    rows = areas.profile(results, "A0").table

    expected = rows["distance"].abs().rank(ascending=False).astype(int).tolist()
    assert rows["rank"].tolist() == expected
    np.testing.assert_allclose(
        rows["distance"].where(rows["tau"] > 0, 0),
        (rows["gap_after_noise"] / rows["tau"]).where(rows["tau"] > 0, 0),
    )


def test_the_finding_names_the_largest_gap_for_the_worse(results):
    result = areas.profile(results, "A0", labels={"large": "Recovered"})

    assert result.text.startswith("Area 0: 2 of 3 indicators differ from the pooled value")
    assert "the largest gap for the worse is Recovered, 40.0% against 50.0%" in result.text
    assert result["clear_worse"].value == 1
    assert Result.loads(result.dumps()) == result


def test_an_indicator_without_the_area_is_a_row_without_a_figure(results):
    first = results["large"]
    only_some = first.from_json(
        first.to_json()
        | {
            "table": Result(text="x", table=first.table.iloc[1:].reset_index(drop=True)).to_json()[
                "table"
            ]
        }
    )

    result = areas.profile({"large": only_some, "small": results["small"]}, "A0")

    row = result.table.iloc[0]
    assert (row["status"], row["judgement"], row["rank"]) == (
        "not in this indicator",
        "no figure",
        0,
    )
    assert "No figure for Recovery." in repr(result)


def test_an_average_area_is_said_not_to_differ(results):
    result = areas.profile({"small": results["small"]}, "A4")

    assert "none of 1 indicator differs from the pooled value by more than noise" in result.text


def test_an_unknown_area_and_a_wrong_result_are_refused(results):
    with pytest.raises(DataError, match="no result holds 'ZZ'"):
        areas.profile(results, "ZZ")
    with pytest.raises(DataError, match="'other' is not one"):
        areas.profile({"other": Result(text="something else")}, "A0")
    with pytest.raises(DataError, match="at least one funnel result; got none"):
        areas.profile({}, "A0")
