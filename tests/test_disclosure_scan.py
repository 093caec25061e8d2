"""What a result of SYNTHETIC restricted data says is searched for counts that may not be shown."""

import numpy as np
import pandas as pd
import pytest

from evidence.disclosure import Rule, control_parts, scan
from evidence.results import Caution, Estimate, Result
from evidence.variation import limits

RULE = Rule(threshold=7, base=5)


def restricted(areas=14, seed=3):
    draw = np.random.default_rng(seed)
    n = draw.integers(20, 90, areas)
    return pd.DataFrame(
        {
            "area_code": [f"A{at}" for at in range(areas)],
            "area": [f"Area {at}" for at in range(areas)],
            "numerator": draw.binomial(n, 0.3),
            "denominator": n,
        }
    )


def funnel(table):
    return limits.funnel(table, direction_better="higher", indicator="SYNTHETIC", unit="%")


def stated(**parts):
    parts = {"text": "Shown as the rule has it.", **parts}
    return RULE.stated(Result(**parts))


def problems(**parts):
    return scan.problems({"found": stated(**parts)}, RULE)


def table(**columns):
    return problems(table=pd.DataFrame(columns))


def test_a_funnel_of_a_controlled_table_keeps_the_rule():
    exact = restricted()
    result = RULE.stated(funnel(control_parts(exact, RULE)))

    assert (result.table["status"] == "suppressed").any()
    assert (result.table["status"] == "ok").sum() >= 3
    assert scan.problems({"funnel": result}, RULE) == []
    assert "Counts are rounded at source (each by up to 2.5)" in repr(result)


def test_a_funnel_of_the_exact_table_breaks_it_and_the_column_is_named():
    found = scan.problems({"funnel": RULE.stated(funnel(restricted()))}, RULE)

    assert any("result 'funnel', column 'numerator'" in item for item in found)
    assert any("result 'funnel', column 'denominator'" in item for item in found)


def test_a_result_that_states_no_rule_or_another_one_is_named():
    other = Rule(4, 5).stated(Result(text="x"))

    found = scan.problems({"plain": Result(text="x"), "other": other}, RULE)

    assert [item.split(":")[0] for item in found] == ["result 'plain'", "result 'other'"]
    assert "threshold 7, base 5" in found[0]


@pytest.mark.parametrize(
    "columns",
    [
        {"people": [10, 3]},
        {"people": [10, 12]},
        {"whatever": [10.0, 4.0]},
        {"expected": [10.0, 4.0]},
        {"observed": [10, 15.5]},
        {"printed": ["10", "3"]},
        {"told": ["10 (8 to 12)", "3 (1 to 6)"]},
        {"told": pd.Categorical(["3 people", "10 people"])},
        {"seen": pd.Series([10, 3], dtype="object")},
    ],
)
def test_a_count_that_the_rule_does_not_show_is_found_in_any_column(columns):
    (name,) = columns

    assert f"column {name!r}" in table(**columns)[0]


@pytest.mark.parametrize(
    "columns",
    [
        {"people": [10, 0, 995]},
        {"people": pd.array([10, None], dtype="Int64")},
        {"share": [12.5, 3.0]},
        {"rank": [1, 2]},
        {"area": ["3", "4"]},
        {"told": ["2 of 33 areas", "in 2019-20 12.5 %"]},
        {"clear": [True, False]},
    ],
)
def test_what_the_rule_shows_and_what_counts_no_people_is_left_alone(columns):
    assert table(**columns) == []


def test_a_column_stated_to_count_no_people_is_left_alone():
    result = RULE.stated(
        Result(text="x", table=pd.DataFrame({"beds_type": [1, 2]})), not_counts=["beds_type"]
    )

    assert scan.problems({"found": result}, RULE) == []


def test_a_percentage_beside_a_count_that_is_left_out_is_found():
    found = table(
        numerator=pd.array([None, 20], dtype="Int64"),
        denominator=[40, 50],
        value=[7.5, 40.0],
        status=["suppressed", "ok"],
    )

    assert any(
        "column 'value': a figure stands in a row whose count is left out" in f for f in found
    )


def test_a_figure_in_a_suppressed_row_is_found_though_no_count_stands_beside_it():
    assert "column 'share'" in table(share=[7.5, 40.25], status=["suppressed", "ok"])[0]


def test_a_percentage_of_the_exact_counts_is_found():
    """20 of 50 is 40 %; 42.857 % is 21 of 49, which were rounded to them."""
    found = table(numerator=[20], denominator=[50], value=[300 / 7])

    assert found == [
        "result 'found', column 'value': a figure is not that of the counts shown beside it"
    ]


@pytest.mark.parametrize(
    ("estimate", "breaks"),
    [
        (Estimate(key="pooled", value=31.25, unit="%", n=123), True),
        (Estimate(key="pooled", value=31.25, unit="%", n=125), False),
        (Estimate(key="people", value=4), True),
        (Estimate(key="people", value=10, low=6.0, high=14.5), True),
        (Estimate(key="outside", value=4, unit="areas"), False),
        (Estimate(key="share", value=4, unit="%"), False),
        (Estimate(key="phi", value=1.37), False),
        (Estimate(key="london", value=4, unit="people a year"), True),
        (Estimate(key="london", value=4, unit="admissions per month"), True),
        (Estimate(key="london", value=4, unit="admissions per 1,000 adults"), False),
        (Estimate(key="length", value=4, unit="months"), False),
    ],
)
def test_estimates_are_held_to_the_rule(estimate, breaks):
    found = problems(estimates=(estimate,))

    assert bool(found) == breaks
    assert all(f"estimate {estimate.key!r}" in item for item in found)


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        ("In Camden 4 people were detained.", True),
        ("In Camden 4 were detained.", True),
        ("Of 123 patients most recovered.", True),
        ("Of 125 patients most recovered.", False),
        ("2 of 33 areas lie beyond that usual spread.", False),
        ("Areas differ by 3.5 percentage points (95 % interval 2 to 4 percentage points).", False),
        ("Recovery was 5 % in 2019-20.", False),
        ("No figure for 3 areas (suppressed).", False),
        ("Rates are per 5 people.", False),
        ("11 people in 100 more than elsewhere.", False),
        ("Counts of 1,234 people.", True),
        ("Counts of 1,235 people.", False),
        ("4 detentions a month were counted.", True),
        ("12 detentions a year.", True),
        ("3 more people a year.", True),
        ("3 in each area died.", True),
        ("3 of the group recovered.", True),
        ("3 of the areas differ.", False),
        ("3 died this year.", True),
        ("Self-harm was recorded in 4 patients.", True),
        ("3 in 40 patients recovered.", True),
        ("3 in 1,000 patients recovered.", False),
        ("Of the patients 3/40 recovered.", True),
        ("In 2018/19 and 2019-20 it was open 24/7.", False),
        ("3.0 patients recovered.", True),
        ("The interval is 2.0 to 4.0.", False),
        ("In Camden three people were detained.", True),
        ("Three areas differ.", False),
        ("One person in 100 was seen.", False),
        ("11 women and 12 children were seen.", True),
        ("No figure for 2 areas: Area 3 and Area 4.", False),
        ("In area 3 patients were seen.", True),
        ("Since 2019 patients have been asked.", False),
    ],
)
def test_sentences_are_held_to_the_rule(text, breaks):
    assert bool([*scan.text_problems([text], RULE)]) == breaks


def test_cautions_are_read_too():
    found = problems(cautions=(Caution("small_counts", "Only 3 people were seen."),))

    assert "text 'Only … people were seen.'" in found[0]


def test_reasons_outcomes_and_populations_are_read_too():
    assert problems(reason="only 3 people were seen")
    assert problems(estimates=(Estimate(key="share", value=12.5, outcome="3 people detained"),))
    assert problems(estimates=(Estimate(key="share", value=12.5, population="of 4 patients"),))
    assert problems(estimates=(Estimate(key="share", value=12.5, outcome="people detained"),)) == []


def test_settings_are_read_too():
    assert "setting 'observed': a count" in problems(settings={"observed": 3})[0]
    assert "setting 'people': a count" in problems(settings={"by": [{"people": [10, 4]}]})[0]
    assert problems(settings={"people": 10, "seed": 3, "count": "people"}) == []


def test_what_is_found_is_told_without_counts():
    """The error of a page that failed stands in the book."""
    found = problems(
        text="In Camden 4 people and 6 patients, three people in Barnet were detained.",
        table=pd.DataFrame({"people": [6, 3], "told": ["4 people", "6 of 33 people"]}),
        estimates=(Estimate(key="seen", value=4, n=6),),
        settings={"observed": 6},
    )

    assert len(found) >= 7
    for told in found:
        assert not any(count in told for count in ("3", "4", "6", "three"))


def outputs(*data):
    return {"cells": [{"cell_type": "code", "outputs": [{"data": item} for item in data]}]}


def test_an_output_of_a_notebook_is_searched_and_its_cell_named():
    raw = pd.DataFrame({"area": ["A", "B"], "people": [3, 1234]})
    shown = {"text/html": raw.to_html(), "text/plain": "ignored beside a table: 3"}

    found = [*scan.notebook_problems(outputs({"text/plain": "a picture"}, shown), RULE)]

    assert found == ["cell 1, column 'people': a count is not as the rule shows it"]


def test_the_page_of_a_controlled_result_keeps_the_rule():
    result = RULE.stated(funnel(control_parts(restricted(), RULE)))
    page = {"text/html": result._repr_html_(), "text/plain": repr(result)}

    assert [*scan.notebook_problems(outputs(page), RULE)] == []


@pytest.mark.parametrize(
    "output",
    [
        {"text/html": '<img alt="3 patients were seen">'},
        {"text/html": "<table><tr><th>area</th></tr><tr><td>A</td><td>3</td></tr></table>"},
        {"text/html": "<table><tr><th>seen (n=3)</th></tr><tr><td>A</td></tr></table>"},
        {"text/html": "<table><tr><th>told</th></tr><tr><td>3 people</td></tr></table>"},
        {
            "text/html": "<table><tr><th>seen</th><th>seen</th></tr>"
            "<tr><td>3</td><td>10</td></tr></table>"
        },
        {"text/plain": "<Markdown object>", "text/markdown": "Only 3 patients were seen."},
        {"text/plain": "<Latex object>", "text/latex": ["Only 3 ", "patients were seen."]},
    ],
)
def test_no_form_of_an_output_hides_a_count(output):
    assert "cell 1" in next(scan.notebook_problems(outputs(output), RULE))


def test_headings_that_are_numbers_are_names_and_no_counts():
    tenths = pd.DataFrame([[12.5, 13.5]], columns=["1", "2"]).to_html(index=False)

    assert [*scan.notebook_problems(outputs({"text/html": tenths}), RULE)] == []


def test_what_a_cell_printed_is_searched():
    notebook = {"cells": [{"outputs": [{"output_type": "stream", "text": ["seen: ", "3\n"]}]}]}

    assert "cell 1, text" in next(scan.notebook_problems(notebook, RULE))
