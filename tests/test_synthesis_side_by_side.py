"""Answers side by side are read by one rule, and none is dropped."""

from __future__ import annotations

import pandas as pd
import pytest

from evidence.errors import DataError
from evidence.results import Estimate, Result
from evidence.synthesis.network import network_pool
from evidence.synthesis.side_by_side import against_reference, ranked, side_by_side


def answer(value, low, high, k=5):
    return Result(
        text="found", estimates=(Estimate(key="pooled", value=value, low=low, high=high, k=k),)
    ), "pooled"


FOUND = {
    "first": answer(0.5, 0.3, 0.7),
    "second": answer(0.1, -0.1, 0.3, k=3),
    "third": (Result.could_not("Not pooled", "designs differ: rct, its"), "pooled"),
    "fourth": answer(-0.4, -0.6, -0.2),
}


def test_each_answer_is_read_from_its_interval_and_the_direction():
    higher = side_by_side(FOUND, direction_better="higher", measure="SMD")
    lower = side_by_side(FOUND, direction_better="lower", measure="SMD")

    assert higher.table["reading"].tolist() == [
        "better", "no clear difference", "not estimated", "worse",
    ]  # fmt: skip
    assert lower.table["reading"].tolist()[0] == "worse"
    assert [higher[key].value for key in ("better", "worse", "unclear")] == [1, 1, 1]


def test_an_answer_that_could_not_be_had_keeps_its_row_and_reason():
    result = side_by_side(FOUND, direction_better="higher", measure="SMD")

    assert result.table["because"].tolist()[2] == "designs differ: rct, its"
    assert "1 not estimated" in result.text
    assert result.table["k"].isna().tolist() == [False, False, True, False]
    assert Result.from_json(result.to_json()) == result


def test_the_number_of_studies_can_be_stated():
    result = side_by_side(
        FOUND, direction_better="higher", measure="SMD", studies={"first": 12, "third": 1}
    )

    assert result.table["k"].tolist() == [12, 3, 1, 5]


def test_standardised_differences_are_also_given_in_people():
    result = side_by_side(FOUND, direction_better="higher", measure="SMD")

    assert result.table["of_100"][0] == "69 (62 to 76)"


def test_ratios_are_read_against_one():
    result = side_by_side({"a": answer(0.8, 0.7, 0.95)}, direction_better="lower", measure="RR")

    assert result.table["reading"][0] == "better"
    assert result.table["of_100"][0] == ""


def test_the_words_name_the_smallest_and_the_largest_answer():
    text = side_by_side(FOUND, direction_better="higher", measure="SMD", what="analyses").text

    assert text == (
        "4 analyses: 1 in favour, 1 against, 1 no clear difference, 1 not estimated; "
        "from −0.40 (fourth) to 0.50 (first)."
    )


def test_nothing_estimated_is_a_result_that_says_so():
    result = side_by_side({"x": FOUND["third"]}, direction_better="higher", measure="SMD")

    assert result.reason == "none could be estimated"


def test_an_unstated_direction_and_an_unknown_measure_are_refused():
    with pytest.raises(DataError, match="a better direction"):
        side_by_side(FOUND, direction_better="none", measure="SMD")
    with pytest.raises(DataError, match="must have a value of no effect; 'apples' has none"):
        side_by_side(FOUND, direction_better="higher", measure="apples")


def test_treatments_stand_against_the_reference_in_the_order_of_their_scores():
    rows = [("1", "A b", "C", 0.9, 0.02), ("2", "A b", "D", 0.5, 0.03), ("3", "C", "D", -0.4, 0.02)]
    table = pd.DataFrame(rows, columns=["study", "treatment1", "treatment2", "yi", "vi"])
    network = network_pool(table, direction_better="higher", reference="C", measure="SMD")

    assert ranked(network) == ["A b", "D", "C"]
    found = against_reference(network)
    assert list(found) == ["A b", "D"]
    assert network[found["A b"][1]].value > network[found["D"][1]].value > 0
