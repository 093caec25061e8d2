"""Leave-one-out, accumulation, shrinkage and influence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.synthesis.fit import fit
from evidence.synthesis.sensitivity import best_predictions, cumulative, influence, leave_one_out

STUDIES = pd.DataFrame(
    {
        "study": ["A", "B", "C", "D"],
        "yi": [0.0, 0.1, -0.1, 3.0],
        "vi": [0.1, 0.1, 0.1, 0.1],
        "year": [2003, 2001, 2002, 2000],
    }
)


def test_leaving_each_study_out_pools_the_others():
    result = leave_one_out(STUDIES, test="z")

    assert result.table["left_out"].tolist() == ["A", "B", "C", "D"]
    assert result.table["value"][3] == pytest.approx(0.0)
    assert result["smallest"].value == pytest.approx(0.0)
    assert "it moves most without D" in result.text


def test_studies_that_agree_have_none_that_moves_the_effect():
    text = leave_one_out(STUDIES.assign(yi=0.1)).text

    assert text.endswith("(all studies 0.10); no study moves it.")


def test_a_study_that_turns_the_conclusion_is_named():
    effects = pd.DataFrame(
        {"study": list("ABCD"), "yi": [0.5, 0.5, 0.5, -0.6], "vi": [0.01, 0.01, 0.01, 0.02]}
    )

    result = leave_one_out(effects, test="z")

    assert any("Without D the interval excludes no effect" in item.text for item in result.cautions)


def test_accumulation_by_year_ends_with_all_studies():
    result = cumulative(STUDIES, by="year", test="z")

    assert result.table["up_to"].tolist() == ["D", "B", "C", "A"]
    assert result["last"].value == pytest.approx(fit(STUDIES["yi"], STUDIES["vi"]).b[0])


@pytest.mark.parametrize(
    ("k", "said"),
    [
        (1, "One study, effect 0.00: nothing has accumulated."),
        (2, "From 1 to 2 studies the pooled effect went from 0.00 to 0.05."),
        (4, "From 2 to 4 studies the pooled effect went from 0.1 to 0.8."),
    ],
)
def test_accumulation_compares_the_first_half_with_all(k, said):
    assert cumulative(STUDIES.head(k), test="z").text == said


def test_columns_that_are_not_there_are_refused():
    with pytest.raises(DataError, match="the table has no date"):
        cumulative(STUDIES, by="date")
    for each in (leave_one_out, best_predictions, influence):
        with pytest.raises(DataError, match="the table has no trial"):
            each(STUDIES, study="trial")


def test_shrinkage_by_hand_moves_equal_studies_by_the_same_share():
    result = best_predictions(STUDIES)
    fitted = fit(STUDIES["yi"], STUDIES["vi"])
    share = fitted.tau2 / (fitted.tau2 + 0.1)

    expected = fitted.b[0] + share * (STUDIES["yi"] - fitted.b[0])
    assert result.table["value"].tolist() == pytest.approx(expected.tolist())


def test_the_outlier_is_the_influential_study():
    result = influence(STUDIES)

    assert result.table.loc[result.table["influential"], "study"].tolist() == ["D"]
    assert result.text == "Of 4 studies, influential: D."


def test_hat_values_add_up_to_one():
    assert influence(STUDIES).table["hat"].sum() == pytest.approx(1.0)


def test_too_few_studies_are_a_reason():
    assert leave_one_out(STUDIES.head(1)).reason == "fewer than two studies"
    assert influence(STUDIES.head(2)).reason == "fewer than three studies"
    assert not cumulative(STUDIES.head(0)).known


def test_an_unknown_choice_is_refused():
    with pytest.raises(DataError, match="test must be one of"):
        leave_one_out(STUDIES, test="bootstrap")


@given(st.permutations([0, 1, 2, 3]))
def test_leave_one_out_does_not_depend_on_the_order_of_rows(order):
    straight = leave_one_out(STUDIES).table.set_index("left_out")["value"]
    shuffled = leave_one_out(STUDIES.iloc[list(order)]).table.set_index("left_out")["value"]

    assert shuffled[straight.index].tolist() == pytest.approx(straight.tolist())


@given(st.floats(0.01, 100))
def test_influence_does_not_depend_on_the_unit(factor):
    scaled = STUDIES.assign(yi=STUDIES["yi"] * factor, vi=STUDIES["vi"] * factor**2)

    one, other = influence(STUDIES).table, influence(scaled).table

    for name in ("rstudent", "dffits", "cook", "hat"):
        assert np.allclose(one[name], other[name], rtol=1e-5, atol=1e-7)
