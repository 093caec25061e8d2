"""Effect sizes, zero cells, wrong input, and one effect per study."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.synthesis.effects import effect_sizes, one_per_study, require_studies
from evidence.synthesis.measures import MEASURES, back_transform, hedges_correction

TWO_BY_TWO = pd.DataFrame(
    {
        "study": ["A", "B", "C"],
        "ai": [4, 0, 0],
        "n1i": [10, 10, 10],
        "ci": [8, 2, 0],
        "n2i": [10] * 3,
    }
)
MEANS = pd.DataFrame(
    {
        "study": ["A"],
        "m1i": [12.0],
        "sd1i": [2.0],
        "n1i": [10],
        "m2i": [10.0],
        "sd2i": [2.0],
        "n2i": [10],
    }
)


def test_a_risk_ratio_by_hand_is_the_log_of_the_ratio_of_risks():
    row = effect_sizes(TWO_BY_TWO, measure="RR").iloc[0]

    assert row["yi"] == pytest.approx(np.log(0.4 / 0.8))
    assert row["vi"] == pytest.approx(1 / 4 - 1 / 10 + 1 / 8 - 1 / 10)


def test_a_mean_difference_by_hand():
    row = effect_sizes(MEANS, measure="MD").iloc[0]

    assert (row["yi"], row["vi"]) == pytest.approx((2.0, 0.8))


def test_hedges_g_uses_the_exact_correction_and_not_the_approximation():
    row = effect_sizes(MEANS, measure="SMD").iloc[0]

    assert row["yi"] == pytest.approx(float(hedges_correction(18.0)), rel=1e-14)
    assert float(hedges_correction(18.0)) == pytest.approx(math.gamma(9) / (3 * math.gamma(8.5)))
    assert abs(float(hedges_correction(18.0)) - (1 - 3 / (4 * 18 - 1))) > 1e-5


def test_half_an_event_is_added_to_zero_rows_only_by_default():
    zero = effect_sizes(TWO_BY_TWO, measure="OR")
    everywhere = effect_sizes(TWO_BY_TWO, measure="OR", zero_cells="all")
    if_any = effect_sizes(TWO_BY_TWO, measure="OR", zero_cells="if0all")

    assert zero["yi"][0] == pytest.approx(np.log((4 / 6) / (8 / 2)))
    assert zero["yi"][1] == pytest.approx(np.log((0.5 / 10.5) / (2.5 / 8.5)))
    assert everywhere["yi"][0] == pytest.approx(np.log((4.5 / 6.5) / (8.5 / 2.5)))
    assert if_any["yi"].tolist() == everywhere["yi"].tolist()


def test_without_a_correction_a_zero_cell_leaves_the_row_out_with_its_reason():
    table = effect_sizes(TWO_BY_TWO, measure="OR", zero_cells="none")

    assert table["yi"].isna().tolist() == [False, True, True]
    assert table["excluded"][1] == "OR not defined for these values"


def test_studies_without_events_can_be_dropped_and_the_reason_is_kept():
    table = effect_sizes(TWO_BY_TWO, measure="RR", double_zeros="drop")

    assert table["excluded"].tolist() == ["", "", "no events in either group"]
    assert np.isnan(table["yi"][2])


def test_a_study_dropped_because_everyone_had_events_says_so():
    everyone = pd.DataFrame({"ai": [9], "n1i": [9], "ci": [8], "n2i": [8]})

    table = effect_sizes(everyone, measure="OR", double_zeros="drop")

    assert table["excluded"].tolist() == ["no one without events"]


def test_a_missing_value_keeps_the_row_and_names_the_column():
    table = effect_sizes(MEANS.assign(sd2i=np.nan), measure="SMD")

    assert table["excluded"].tolist() == ["sd2i is missing"]
    assert table["yi"].isna().all()


def test_columns_can_have_any_name():
    renamed = MEANS.rename(columns={"m1i": "mean_arm1"})

    same = effect_sizes(renamed, measure="SMD", m1i="mean_arm1")

    assert same["yi"][0] == effect_sizes(MEANS, measure="SMD")["yi"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ai": [11, 0, 0]}, "ai \\(events\\) must not exceed n1i; row 0"),
        ({"ai": [-1, 0, 0]}, "ai \\(a count\\) must be 0 or more; row 0"),
        ({"n2i": [10, 0, 10]}, "n2i \\(a size or time\\) must be above 0; row 1"),
        ({"ci": ["x", "1", "2"]}, "column 'ci' must hold numbers; row 0"),
    ],
)
def test_impossible_counts_are_refused_with_their_rows(change, message):
    with pytest.raises(DataError, match=message):
        effect_sizes(TWO_BY_TWO.assign(**change), measure="RR")


def test_a_standard_deviation_of_zero_is_refused():
    with pytest.raises(DataError, match=r"sd1i .* must be above 0; row 0"):
        effect_sizes(MEANS.assign(sd1i=0.0), measure="MD")


def test_a_correlation_above_one_is_refused():
    with pytest.raises(DataError, match="ri \\(a correlation\\) must lie between -1 and 1; row 0"):
        effect_sizes(pd.DataFrame({"ri": [1.2], "ni": [30]}), measure="ZCOR")


def test_an_unknown_measure_choice_or_column_is_refused_with_what_there_is():
    with pytest.raises(DataError, match="measure must be one of RR, OR, RD"):
        effect_sizes(MEANS, measure="HAZARD")
    with pytest.raises(DataError, match="zero_cells must be one of only0, all"):
        effect_sizes(TWO_BY_TWO, measure="RR", zero_cells="some")
    with pytest.raises(DataError, match="the table has no mean \\(for m1i\\)"):
        effect_sizes(MEANS, measure="MD", m1i="mean")
    with pytest.raises(DataError, match="got ai beside them"):
        effect_sizes(MEANS, measure="MD", ai="m1i")


@given(st.integers(1, 30), st.integers(1, 30), st.integers(31, 90), st.integers(31, 90))
def test_exchanging_the_groups_changes_only_the_sign(a, c, n1, n2):
    there = pd.DataFrame({"ai": [a], "n1i": [n1], "ci": [c], "n2i": [n2]})
    back = pd.DataFrame({"ai": [c], "n1i": [n2], "ci": [a], "n2i": [n1]})

    for measure in ("RR", "OR", "RD", "AS", "PETO", "YUQ", "PHI", "OR2DL"):
        one, other = effect_sizes(there, measure=measure), effect_sizes(back, measure=measure)
        assert one["yi"][0] == pytest.approx(-other["yi"][0], abs=1e-12)
        assert one["vi"][0] == pytest.approx(other["vi"][0], rel=1e-10)


@given(st.floats(0.01, 100), st.floats(-50, 50), st.floats(0.5, 20))
def test_a_standardised_difference_does_not_depend_on_the_unit(factor, mean, sd):
    one = MEANS.assign(m1i=mean, sd1i=sd)
    scaled = one.assign(**{name: one[name] * factor for name in ("m1i", "sd1i", "m2i", "sd2i")})

    for measure in ("SMD", "SMDH", "SMD1"):
        assert effect_sizes(scaled, measure=measure)["yi"][0] == pytest.approx(
            effect_sizes(one, measure=measure)["yi"][0], rel=1e-9, abs=1e-9
        )


@given(st.floats(0.02, 0.98), st.integers(20, 400))
def test_back_transformation_undoes_each_transformation_of_a_proportion(share, n):
    x = float(max(1, min(n - 1, round(share * n))))
    table = pd.DataFrame({"xi": [x], "ni": [n]})

    for measure in ("PLN", "PLO", "PRZ", "PAS", "PFT"):
        yi = effect_sizes(table, measure=measure)["yi"].to_numpy()
        back = back_transform(yi, measure, np.array([float(n)]))
        assert back[0] == pytest.approx(x / n, abs=1e-9)


def test_every_measure_says_what_it_needs_and_what_readers_call_it():
    assert all(measure.columns and measure.name for measure in MEASURES.values())


EFFECTS = pd.DataFrame(
    {
        "study": ["A", "A", "B"],
        "yi": [0.2, 0.6, 1.0],
        "vi": [0.04, 0.16, 0.09],
        "n": [50, 40, 30],
        "format": ["ind", "grp", "ind"],
        "country": ["uk", "uk", "uk"],
    }
)


def test_one_per_study_by_hand():
    table = one_per_study(EFFECTS, rho=0.5)

    assert table["study"].tolist() == ["A", "B"]
    assert table["yi"].tolist() == pytest.approx([0.4, 1.0])
    assert table["vi"].tolist() == pytest.approx([(0.04 + 0.16 + 2 * 0.5 * 0.2 * 0.4) / 4, 0.09])
    assert table["rows"].tolist() == [2, 1]
    assert table["n"].tolist() == [50, 30]
    assert table["format"].tolist() == ["grp + ind", "ind"]


def test_averaging_again_changes_nothing_but_the_count_of_rows():
    once = one_per_study(pd.DataFrame({"study": ["A", "A"], "yi": [0.0, 1.0], "vi": [0.1, 0.1]}))

    again = one_per_study(once)

    assert once["rows"].tolist() == [2]
    assert again.columns.tolist() == ["study", "yi", "vi", "rows"]
    assert (again["yi"][0], again["rows"][0]) == (0.5, 1)


@given(st.floats(0, 1), st.permutations([0, 1, 2]))
def test_averaging_a_study_does_not_depend_on_the_order_of_rows(rho, order):
    straight = one_per_study(EFFECTS, rho=rho).set_index("study")
    shuffled = one_per_study(EFFECTS.iloc[list(order)], rho=rho).set_index("study")

    for name in ("yi", "vi"):
        assert shuffled.loc[["A", "B"], name].tolist() == pytest.approx(straight[name].tolist())


def test_a_correlation_outside_0_to_1_is_refused():
    with pytest.raises(DataError, match=r"rho must lie between 0 and 1; got 1\.2"):
        one_per_study(EFFECTS, rho=1.2)
    with pytest.raises(DataError, match="needs the columns study, yi, vi"):
        one_per_study(EFFECTS.drop(columns="study"))


def test_fewer_studies_than_a_task_needs_are_refused_with_how_many_there_are():
    rows = pd.DataFrame({"study": ["a", "a", "b"]})

    require_studies(rows, 2, "pooling")
    with pytest.raises(DataError, match=r"pooling needs at least 3 studies; there are 2\."):
        require_studies(rows, 3, "pooling")
    with pytest.raises(DataError, match=r"at least 1 study; there are none\."):
        require_studies(rows.head(0), 1, "pooling")
