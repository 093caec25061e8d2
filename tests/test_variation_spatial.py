"""Likeness of neighbours: a hand case, figures of esda, random maps, properties, refusals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.results import Result
from evidence.variation import spatial


def chain(values):
    codes = [f"A{i}" for i in range(len(values))]
    near = {
        code: [other for at, other in enumerate(codes) if abs(at - i) == 1]
        for i, code in enumerate(codes)
    }
    return pd.DataFrame({"area_code": codes, "value": values}), near


def grid(side=8):
    codes = [f"{row}-{column}" for row in range(side) for column in range(side)]
    near = {
        f"{row}-{column}": [
            f"{row + down}-{column + right}"
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0))
            if 0 <= row + down < side and 0 <= column + right < side
        ]
        for row in range(side)
        for column in range(side)
    }
    return codes, near


def measured(values, **choices):
    table, near = chain(values)
    return spatial.autocorrelation(table, neighbours=near, permutations=99, **choices)


def test_a_chain_of_four_has_the_moran_worked_out_by_hand():
    """Deviations −1, −1, 1, 1 on a chain: neighbours' products 1, −1, 1; I = 4/6 × 2/4 = 1/3."""
    result = measured([0.0, 0, 2, 2], style="binary")

    assert result["moran"].value == pytest.approx(1 / 3)
    assert result["moran_expected"].value == pytest.approx(-1 / 3)
    # squared differences of neighbours: 0, 4, 0; C = 3 × 2 × 4 / (2 × 6 × 4)
    assert result["geary"].value == pytest.approx(0.5)


ESDA = {
    "moran": 0.230910448845858,
    "moran_expected": -0.0101010101010101,
    "moran_variance": 0.00406513368576099,
    "moran_variance_normal": 0.00425295388399556,
    "moran_z": 3.78007377117181,
    "moran_z_normal": 3.69566294041449,
    "moran_p": 0.000156781898729853,
    "geary": 0.727291239594933,
    "geary_variance": 0.00564359306490434,
}
"""Printed by esda 2.9.0 (Moran and Geary, weights standardised by row) for the map below."""

ESDA_LOCAL = [0.624764018128, 0.655686433992, 0.258515818693, 0.0637066169541, 4.45678880177]
ESDA_G = [-1.54036975935, -0.913439350608, -1.95385518242, -1.84888573433, 3.51348361411]


def test_a_map_of_100_counties_has_the_figures_of_esda():
    """Its local Moran divides by the variance over n - 1, ours by that over n."""
    file = Path(__file__).parent / "reference" / "variation" / "moran_nc_sids.json"
    case = json.loads(file.read_text())
    codes = [str(at) for at in range(len(case["input"]["y"]))]
    near = {
        code: [str(other) for other in row]
        for code, row in zip(codes, case["params"]["neighbours"], strict=True)
    }
    table = pd.DataFrame({"area_code": codes, "value": case["input"]["y"]})

    result = spatial.autocorrelation(table, neighbours=near, permutations=9)

    found = {key: result[key].value for key in ESDA}
    assert found == pytest.approx(ESDA, rel=1e-12)
    local = result.table["local_moran"].head(5) * (len(codes) - 1) / len(codes)
    assert local.tolist() == pytest.approx(ESDA_LOCAL, rel=1e-10)
    assert result.table["local_g"].head(5).tolist() == pytest.approx(ESDA_G, rel=1e-10)


def test_the_moments_are_those_of_all_orders_of_the_values():
    from itertools import permutations

    values = [1.0, 4.0, 2.0, 8.0, 5.0]
    result = measured(values)
    table, near = chain(values)
    binary, _ = spatial._weights(table, near, "area_code", "value")
    weights = spatial._styled(binary, "row")

    every = [spatial._moments(weights, np.array(order)).moran for order in permutations(values)]

    assert result["moran_expected"].value == pytest.approx(np.mean(every))
    assert result["moran_variance"].value == pytest.approx(np.var(every))
    geary = [spatial._moments(weights, np.array(order)).geary for order in permutations(values)]
    assert result["geary_variance"].value == pytest.approx(np.var(geary))


def test_a_slope_over_a_map_is_found_and_a_random_map_is_not():
    codes, near = grid()
    slope = pd.DataFrame({"area_code": codes, "value": np.repeat(np.arange(8.0), 8)})
    noise = slope.assign(value=np.random.default_rng(8).normal(size=64))

    found = spatial.autocorrelation(slope, neighbours=near, indicator="Need")
    none = spatial.autocorrelation(noise, neighbours=near, indicator="Need")

    assert found["moran_p_permutation"].value == pytest.approx(0.001)
    assert "neighbouring areas resemble each other more" in found.text
    assert none["moran_p"].value > 0.05
    assert "no more alike than areas drawn at random" in none.text


def test_few_random_maps_are_called_alike():
    codes, near = grid()
    draw = np.random.default_rng(3)
    p = [
        spatial.autocorrelation(
            pd.DataFrame({"area_code": codes, "value": draw.normal(size=64)}),
            neighbours=near,
            permutations=9,
        )["moran_p"].value
        for _ in range(200)
    ]

    assert 0.015 < np.mean(np.array(p) < 0.05) < 0.1


@given(st.lists(st.integers(0, 100), min_size=5, max_size=12, unique=True), st.floats(0.5, 20))
def test_unit_and_origin_change_no_measure(values, factor):
    one = measured([float(value) for value in values])
    other = measured([7 + factor * value for value in values])

    for key in ("moran", "geary", "moran_z"):
        assert other[key].value == pytest.approx(one[key].value, rel=1e-6, abs=1e-9)


def test_the_order_of_areas_changes_nothing():
    codes, near = grid(5)
    table = pd.DataFrame({"area_code": codes, "value": np.arange(25) % 7})
    one = spatial.autocorrelation(table, neighbours=near)
    other = spatial.autocorrelation(table.iloc[::-1], neighbours=near)

    assert other["moran"].value == pytest.approx(one["moran"].value)
    np.testing.assert_allclose(other.table["local_z"][::-1], one.table["local_z"])


def test_local_morans_add_up_to_the_global_one():
    result = measured([3.0, 1, 4, 1, 5, 9, 2, 6])

    assert result.table["local_moran"].mean() == pytest.approx(result["moran"].value)


def test_an_island_is_said_and_the_others_are_answered():
    table, near = chain([1.0, 2, 3, 4, 9])
    near = near | {"A4": [], "A3": ["A2"]}

    result = spatial.autocorrelation(table, neighbours=near)

    assert result.table["neighbours"].tolist() == [1, 2, 2, 1, 0]
    assert "Areas without neighbours: A4." in repr(result)


def test_an_area_without_a_value_is_named_and_the_others_are_answered():
    table, near = chain([1.0, 2, np.nan, 4, 9])

    result = spatial.autocorrelation(table, neighbours=near)

    assert result.table["area_code"].tolist() == ["A0", "A1", "A3", "A4"]
    assert "No value for 1 area, left out of the map: A2." in repr(result)
    assert "Only 4 areas" in repr(result)


@pytest.mark.parametrize(
    ("values", "drop", "words"),
    [
        ([1.0, 2, 3, 4], "A2", "A2 has no entry"),
        ([1.0, 2, 3], None, "3 came"),
        ([1.0, 1, 1, 1], None, "two values that differ"),
        ([1.0, np.nan, 1, 2], None, "3 came"),
    ],
)
def test_a_wrong_map_is_refused(values, drop, words):
    table, near = chain(values)
    near.pop(drop, None)

    with pytest.raises(DataError, match=words):
        spatial.autocorrelation(table, neighbours=near)


def test_a_map_of_islands_is_refused():
    table, near = chain([1.0, 2, 3, 4])

    with pytest.raises(DataError, match="none of 4 has one in the table"):
        spatial.autocorrelation(table, neighbours={key: [] for key in near})


def test_local_rates_pull_a_small_area_to_its_neighbours():
    table, near = chain([0.0] * 6)
    table = table.assign(
        numerator=[50, 10, 60, 0, 55, 40], denominator=[500, 500, 500, 5, 500, 300]
    )

    shrunk = spatial.local_rates(table, neighbours=near)
    around = (60 + 0 + 55) / (500 + 5 + 500)

    assert abs(shrunk[3] - around) < abs(0 - around)
    with pytest.raises(DataError, match="counts and people in every area"):
        spatial.local_rates(table.assign(denominator=0), neighbours=near)


def test_a_map_survives_json():
    result = measured([3.0, 1, 4, 1, 5])

    assert Result.loads(result.dumps()) == result
