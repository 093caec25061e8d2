"""Small-area variation, and area profiles: gaps after noise across indicators."""

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

    assert rows.loc[list(results), "side"].tolist() == ["worse", "worse", "higher"]


def test_ranks_follow_the_distance_in_standard_deviations_between_areas(results):
    rows = areas.profile(results, "A0").table

    expected = rows["distance"].abs().rank(ascending=False).astype(int).tolist()
    assert rows["rank"].tolist() == expected == [1, 2, 3]
    np.testing.assert_allclose(
        rows["distance"].where(rows["tau"] > 0, 0),
        (rows["gap_after_noise"] / rows["tau"]).where(rows["tau"] > 0, 0),
    )


def test_the_finding_names_the_largest_gap_for_the_worse(results):
    result = areas.profile(results, "A0", labels={"large": "Recovered"})

    assert result.text.startswith("Area 0: 2 of 3 indicators differ from all areas together")
    assert (
        "the largest gap for the worse is Recovered, 40.0\u00a0% against 50.0\u00a0%" in result.text
    )
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

    row = result.table.iloc[-1]
    assert row["indicator"] == "large"
    assert (row["status"], row["judgement"], row["rank"]) == (
        "not in this indicator",
        "no figure",
        0,
    )
    assert "No figure for Recovery." in repr(result)


def test_an_average_area_is_said_not_to_differ(results):
    result = areas.profile({"small": results["small"]}, "A4")

    assert "none of 1 indicator differs from all areas together by more than noise" in result.text


def test_an_unknown_area_and_a_wrong_result_are_refused(results):
    with pytest.raises(DataError, match="no result holds 'ZZ'"):
        areas.profile(results, "ZZ")
    with pytest.raises(DataError, match="'other' is not one"):
        areas.profile({"other": Result(text="something else")}, "A0")
    with pytest.raises(DataError, match="at least one funnel result; got none"):
        areas.profile({}, "A0")


def small_areas(k=40, sd=0.3, seed=2, size=60):
    draw = np.random.default_rng(seed)
    expected = draw.uniform(size / 2, 2 * size, k)
    factor = draw.gamma(1 / sd**2, sd**2, k) if sd else np.ones(k)
    return pd.DataFrame(
        {
            "area_code": [f"A{i}" for i in range(k)],
            "observed": draw.poisson(expected * factor),
            "expected": expected,
            "population": (expected * 100).round(),
        }
    )


def varied(table, **choices):
    return areas.small_area_variation(table, indicator="Admissions", **choices)


def test_four_areas_have_the_statistics_worked_out_by_hand():
    """Observed 5, 10, 15, 10 of 10 expected each: (O−E)²/E² averages 0.125, less 1/E = 0.025."""
    table = small_areas(4).assign(observed=[5, 10, 15, 10], expected=10.0, population=1000)

    result = varied(table)

    assert result["scv"].value == pytest.approx(0.025)
    assert result["chi2"].value == pytest.approx(5.0)
    assert result["extremal_quotient"].value == pytest.approx(3.0)
    assert result["cv"].value == pytest.approx(np.std([5, 10, 15, 10], ddof=1) / 10)
    assert result.table["ratio"].tolist() == [0.5, 1.0, 1.5, 1.0]


def test_the_variance_that_was_put_in_is_found_within_its_interval():
    found = [varied(small_areas(seed=seed))["eb_variance"] for seed in range(40)]

    assert np.mean([variance.value for variance in found]) == pytest.approx(0.09, abs=0.015)
    assert np.mean([variance.low <= 0.09 <= variance.high for variance in found]) >= 0.8


def test_the_variance_leads_because_chance_alone_moves_the_others():
    result = varied(small_areas(sd=0.0, seed=11))

    assert result.estimates[0].key == "eb_variance"
    assert result["eb_variance"].value < 0.01
    assert result["extremal_quotient"].value > 1.3


def test_counts_less_varied_than_chance_have_a_variance_of_zero():
    table = small_areas().assign(observed=lambda rows: rows["expected"].round())

    result = varied(table)

    assert result["eb_variance"].value == 0
    assert "vary no more than chance alone makes them" in result.text
    assert result.table["ratio_gamma"].nunique() == 1


@pytest.mark.parametrize("column", ["rate_marshall", "ratio_gamma"])
def test_shrunken_figures_lie_between_their_own_and_the_common_one(column):
    result = varied(small_areas())
    rows = result.table
    own = rows["rate"] if column == "rate_marshall" else rows["ratio"]
    middle = (
        rows["observed"].sum() / rows["population"].sum()
        if column == "rate_marshall"
        else result["nb_mean"].value
    )

    assert ((rows[column] - middle) * (own - middle) >= -1e-12).all()
    assert ((rows[column] - middle).abs() <= (own - middle).abs() + 1e-12).all()


def test_an_area_without_events_has_no_quotient_but_all_the_rest():
    result = varied(
        small_areas().assign(observed=lambda rows: rows["observed"].where(rows.index > 0, 0))
    )

    keys = [estimate.key for estimate in result.estimates]
    assert "extremal_quotient" not in keys
    assert result["log_variance"].value > 0


def test_an_area_without_people_is_no_figure_and_the_rest_is_answered():
    table = small_areas()
    table.loc[3, "population"] = 0

    result = varied(table)

    assert result.table["status"].iloc[3] == "zero denominator"
    assert result["eb_variance"].k == 39
    assert Result.loads(result.dumps()) == result


def test_too_few_areas_are_a_reason():
    result = varied(small_areas(2))

    assert not result.known
    assert len(result.table) == 2


def test_the_bootstrap_takes_its_seed():
    one, two, other = (varied(small_areas(), seed=seed)["eb_variance"] for seed in (1, 1, 2))

    assert (one.low, one.high) == (two.low, two.high)
    assert (one.low, one.high) != (other.low, other.high)


def test_events_in_one_area_alone_have_a_variance_with_its_interval():
    """A third of the samples of four areas hold none of them."""
    table = small_areas(4).assign(observed=[0, 0, 0, 5], expected=2.0, population=1000)

    variance = varied(table)["eb_variance"]

    assert 0 <= variance.low <= variance.value <= variance.high


LINEAGE = pd.DataFrame(
    {
        "from_code": ["07M", "07R", "08C", "93C", "07L"],
        "to_code": ["93C", "93C", "W2U", "QMJ", "07L"],
    }
)


def on_maps(*codes):
    return pd.DataFrame({"area_code": codes, "numerator": 40, "denominator": 100})


def test_an_area_and_the_one_that_took_it_over_are_not_both_counted():
    rows = areas.one_map(on_maps("07L", "07M", "07R", "93C", "08C"), LINEAGE)

    assert rows["status"].tolist() == [
        "ok",
        "ok",
        "ok",
        "map of another date: 07M and 07R",
        "ok",
    ]


def test_the_older_area_leaves_where_the_newer_map_has_more_rows():
    split = pd.DataFrame({"from_code": ["OLD", "OLD"], "to_code": ["N1", "N2"]})

    rows = areas.one_map(on_maps("OLD", "N1", "N2"), split)

    assert rows["status"].tolist() == ["map of another date: N1 and N2", "ok", "ok"]


def test_an_heir_of_an_heir_is_found():
    rows = areas.one_map(on_maps("07M", "QMJ"), LINEAGE)

    assert rows["status"].tolist() == ["ok", "map of another date: 07M"]


def test_a_funnel_names_the_area_of_another_map_and_judges_the_rest():
    table = on_maps("07L", "07M", "07R", "08C", "93C")

    result = limits.funnel(areas.one_map(table, LINEAGE), direction_better="higher")

    assert result["pooled"].k == 4
    assert "No figure for 1 area (map of another date: 07M and 07R): 93C." in repr(result)


def test_areas_of_one_map_keep_their_status():
    table = on_maps("07M", "07R").assign(status=["ok", "suppressed"])

    pd.testing.assert_frame_equal(areas.one_map(table, LINEAGE), table)


def test_a_lineage_without_its_columns_is_refused():
    with pytest.raises(DataError, match="needs the columns 'from_code', 'to_code'"):
        areas.one_map(on_maps("07M"), pd.DataFrame({"old": []}))


def test_the_nearest_areas_are_peers_and_their_distance_is_in_standard_deviations():
    table = pd.DataFrame({"area_code": list("ABCD"), "score": [0.0, 1.0, 5.0, 6.0]})

    found = areas.peers(table, columns=["score"], number=1)

    assert found["peer"].tolist() == ["B", "A", "D", "C"]
    assert found["distance"].tolist() == pytest.approx([1 / table["score"].std(ddof=0)] * 4)


def test_the_unit_of_a_column_changes_no_peer():
    draw = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "area_code": [f"A{i}" for i in range(20)],
            "a": draw.normal(size=20),
            "b": draw.gamma(2, size=20),
        }
    )
    other = table.assign(a=table["a"] * 1000, b=table["b"] / 7)

    one, two = (areas.peers(rows, columns=["a", "b"]) for rows in (table, other))

    pd.testing.assert_frame_equal(one, two)


def test_an_area_with_a_missing_value_has_no_peers():
    table = pd.DataFrame({"area_code": list("ABCD"), "score": [0.0, np.nan, 5.0, 6.0]})

    assert "B" not in areas.peers(table, columns=["score"], number=1)["area_code"].tolist()


@pytest.mark.parametrize(
    ("scores", "number", "words"),
    [
        ([1.0, 1.0, 1.0], 1, "must vary; score does not"),
        ([1.0, 2.0, 3.0], 3, "more areas than the 3"),
    ],
)
def test_peers_that_cannot_be_are_refused(scores, number, words):
    table = pd.DataFrame({"area_code": list("ABC"), "score": scores})

    with pytest.raises(DataError, match=words):
        areas.peers(table, columns=["score"], number=number)


def test_a_reading_names_the_side_only_where_the_gap_is_clear_of_noise(results):
    rows = areas.profile(results, "A0").table.set_index("indicator")

    assert rows.loc["large", "reading"] == "worse"
    assert rows.loc["small", "reading"] == "not clear of noise"
    assert rows["beyond"].to_dict() == {"large": "no", "small": "no", "spend": "no"}


def test_an_area_beyond_the_usual_spread_is_said_and_counted():
    shares = [0.5, 0.49, 0.51] * 4 + [0.8]
    result = areas.profile({"one": funnel(shares, 4000)}, "A12")

    assert result.table["beyond"].tolist() == ["yes"]
    assert result["beyond"].value == 1
