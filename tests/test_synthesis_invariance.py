"""Order, scale and sign: what must not matter does not, for pooling, networks, levels and bias."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.synthesis.bias import pet_peese, small_study_tests, trim_and_fill
from evidence.synthesis.dependent import pool_levels
from evidence.synthesis.network import network_pool
from evidence.synthesis.pool import pool
from evidence.synthesis.sensitivity import influence

CASES = json.loads(
    (Path(__file__).parent / "reference" / "synthesis" / "edge_dev.json").read_text("utf-8")
)["cases"]
FACTORS = st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6]).flatmap(
    lambda factor: st.sampled_from([factor, -factor])
)
STUDIES = st.integers(4, 10).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(-300, 300), min_size=k, max_size=k, unique=True),
        st.lists(st.integers(1, 400), min_size=k, max_size=k, unique=True),
        st.permutations(range(k)),
    )
)
CHOICES = {"direction_better": "higher", "measure": "MD"}


def table(yi, vi, factor=1.0):
    names = [f"S{at}" for at in range(len(yi))]
    y, v = np.array(yi) / 100, np.array(vi) / 1000
    return pd.DataFrame({"study": names, "yi": factor * y, "vi": factor**2 * v})


def same(one, other, factor, key):
    """Whether an estimate of `other` is that of `one` times the factor, limits in order."""
    mine, theirs = one[key], other[key]
    ends = sorted([factor * mine.low, factor * mine.high])
    size = abs(factor) * max(abs(mine.low), abs(mine.high), 1e-9)
    assert theirs.value == pytest.approx(factor * mine.value, rel=1e-5, abs=1e-5 * size)
    assert [theirs.low, theirs.high] == pytest.approx(ends, rel=1e-5, abs=1e-5 * size)


@settings(max_examples=40)
@given(STUDIES, FACTORS)
def test_pooling_follows_scale_and_sign_and_ignores_order(drawn, factor):
    yi, vi, order = drawn
    one = pool(table(yi, vi), **CHOICES)
    other = pool(table(yi, vi, factor).iloc[list(order)], **CHOICES)

    same(one, other, factor, "pooled")
    same(one, other, factor, "common")
    assert other["I2"].value == pytest.approx(one["I2"].value, rel=1e-5, abs=1e-5)


@settings(max_examples=25)
@given(STUDIES, FACTORS)
def test_a_network_follows_scale_and_sign_and_ignores_order_and_direction(drawn, factor):
    yi, vi, order = drawn
    pairs = [("A", "B"), ("B", "C"), ("A", "C"), ("C", "D")]
    rows = table(yi, vi).assign(
        treatment1=[pairs[at % 4][0] for at in range(len(yi))],
        treatment2=[pairs[at % 4][1] for at in range(len(yi))],
    )
    turned = rows.iloc[list(order)].assign(yi=factor * rows["yi"], vi=factor**2 * rows["vi"])
    names = {"treatment1": "treatment2", "treatment2": "treatment1"}
    turned = turned.assign(yi=-turned["yi"]).rename(columns=names)

    one = network_pool(rows, reference="A", **CHOICES)
    other = network_pool(turned, reference="A", **CHOICES)

    for name in "BCD":
        same(one, other, factor, f"vs.{name}")


@settings(max_examples=8)
@given(STUDIES, FACTORS)
def test_levels_follow_scale_and_sign_and_ignore_order(drawn, factor):
    yi, vi, order = drawn
    rows = table([*yi, *np.array(yi[::-1]) + 40], [*vi, *vi])
    rows["study"] = [f"S{at // 2}" for at in range(len(rows))]
    shuffled = rows.iloc[[*order, *range(len(yi), len(rows))]]
    other_rows = shuffled.assign(yi=factor * shuffled["yi"], vi=factor**2 * shuffled["vi"])

    one, other = pool_levels(rows, **CHOICES), pool_levels(other_rows, **CHOICES)

    assert other["pooled"].value == pytest.approx(
        factor * one["pooled"].value, rel=1e-3, abs=1e-3 * abs(factor)
    )
    assert other["pooled"].se == pytest.approx(abs(factor) * one["pooled"].se, rel=2e-3)


@settings(max_examples=25)
@given(STUDIES, FACTORS)
def test_small_study_tests_and_corrections_follow_scale_and_sign_and_ignore_order(drawn, factor):
    yi, vi, order = drawn
    rows, other_rows = table(yi, vi), table(yi, vi, factor).iloc[list(order)]

    one, other = small_study_tests(rows), small_study_tests(other_rows)
    same(one, other, factor, "limit")
    assert other["egger_p"].value == pytest.approx(one["egger_p"].value, rel=1e-5, abs=1e-9)
    limits = [pet_peese(each).table["value"].to_numpy() for each in (rows, other_rows)]
    size = abs(factor) * max(np.abs(limits[0]).max(), 1e-6)
    assert limits[1] == pytest.approx(factor * limits[0], rel=1e-5, abs=1e-5 * size)
    filled = [trim_and_fill(each) for each in (rows, other_rows)]
    assert filled[0].known == filled[1].known
    assert filled[1]["missing"].value == filled[0]["missing"].value
    same(filled[0], filled[1], factor, "filled")


@settings(max_examples=20)
@given(STUDIES, FACTORS)
def test_influence_follows_the_studies_and_not_their_scale_sign_or_order(drawn, factor):
    yi, vi, order = drawn
    one = influence(table(yi, vi)).table.set_index("study").sort_index()
    other = influence(table(yi, vi, factor).iloc[list(order)]).table.set_index("study").sort_index()

    assert other["hat"].to_numpy() == pytest.approx(one["hat"].to_numpy(), rel=1e-4, abs=1e-6)
    assert np.sign(factor) * other["rstudent"].to_numpy() == pytest.approx(
        one["rstudent"].to_numpy(), rel=1e-3, abs=1e-4
    )


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_edge_case_raises_or_gives_a_missing_number_without_its_reason(name):
    yi, vi = np.atleast_1d(CASES[name]["yi"]), np.atleast_1d(CASES[name]["vi"])
    rows = pd.DataFrame({"study": [f"S{at}" for at in range(len(yi))], "yi": yi, "vi": vi})

    sizes_differ, effects_differ = np.ptp(vi) > 0, len(yi) == 1 or np.ptp(yi) > 0
    several = len(yi) > 2
    results = {
        "pooled": (pool(rows, **CHOICES), True),
        "without a floor": (pool(rows, floor="none", **CHOICES), effects_differ),
        "small studies": (small_study_tests(rows), several and sizes_differ),
        "filled": (trim_and_fill(rows), several and sizes_differ),
        "influence": (influence(rows), several),
        "levels": (pool_levels(rows, **CHOICES), several and effects_differ),
    }
    adjusted = pool(rows, test="kenward_roger", **CHOICES)

    assert {what: result.known for what, (result, _) in results.items()} == {
        what: can for what, (_, can) in results.items()
    }
    assert adjusted.known or adjusted.reason.startswith("the test has less than one degree")
    for result in (adjusted, *(result for result, _ in results.values())):
        assert all(estimate.value is not None for estimate in result.estimates)
