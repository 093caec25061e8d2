"""Pictures of local evaluations show the result's numbers, say them in words, and never change."""

import numpy as np
import pandas as pd
import pytest

from evidence import plots
from evidence.errors import DataError
from evidence.evaluation.checks import Question
from evidence.evaluation.differences import difference_in_differences
from evidence.evaluation.series import controlled_series, interrupted_series
from evidence.evaluation.synthetic import synthetic_control
from evidence.results import Result

WORDS = {"outcome": "Contacts", "unit": "contacts", "area": "Here", "event_label": "the new team"}


def series(n=48, **words):
    random = np.random.default_rng(1)
    control = 100 + random.normal(0, 1, n)
    table = pd.DataFrame(
        {
            "period": [f"{2020 + i // 12}-{i % 12 + 1:02d}" for i in range(n)],
            "value": control + 5 * (np.arange(n) >= 24) + random.normal(0, 1, n),
            "control": control,
        }
    )
    return table, Question(event="2022-01", direction_better="higher", **WORDS | words)


def panel(clusters=26, periods=20, event=11):
    random = np.random.default_rng(2)
    rows = [
        (f"C{c:02d}", t, c < 10, np.sin(t) + 3 * (c < 10 and t >= event) + random.normal(0, 1))
        for c in range(clusters)
        for t in range(1, periods + 1)
    ]
    table = pd.DataFrame(rows, columns=["area_code", "period", "treated", "value"])
    return table, Question(event=str(event), direction_better="higher", **WORDS)


RESULTS = {
    "interrupted": lambda: interrupted_series(*series()),
    "broken": lambda: interrupted_series(
        *series(breaks=[{"date": "2022-01", "label": "one code for four"}])
    ),
    "controlled": lambda: controlled_series(*series(), contrast="ratio"),
    "differences": lambda: difference_in_differences(*panel()),
    "synthetic": lambda: synthetic_control(*panel(), treated="C00"),
}
PICTURES = {
    "counterfactual of a series": ("counterfactual", "interrupted"),
    "counterfactual at a break": ("counterfactual", "broken"),
    "counterfactual of two series": ("counterfactual", "controlled"),
    "counterfactual by synthetic control": ("counterfactual", "synthetic"),
    "event study": ("event_study", "differences"),
    "placebo dates of a series": ("placebo_dates", "controlled"),
    "placebo dates of a panel": ("placebo_dates", "differences"),
    "placebo units": ("placebo_units", "synthetic"),
}


@pytest.mark.parametrize(("name", "of"), PICTURES.values(), ids=PICTURES)
def test_a_picture_is_the_same_bytes_for_the_same_result_and_survives_json(name, of):
    result = RESULTS[of]()
    first = getattr(plots, name)(result)
    second = getattr(plots, name)(Result.loads(result.dumps()))

    assert first.svg() == second.svg()
    assert first.alt == second.alt
    assert "Contacts, Here" in first.alt


def test_the_counterfactual_line_is_that_of_the_table():
    result = RESULTS["interrupted"]()
    axes = plots.counterfactual(result).figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}

    drawn = lines["its earlier course, continued"].get_ydata()
    assert drawn.tolist() == result.table["counterfactual"].tolist()
    band = axes.collections[0].get_paths()[0].vertices
    after = result.table[result.table["phase"] == "after"]
    assert band[:, 1].min() == pytest.approx(after["low"].min())
    assert band[:, 1].max() == pytest.approx(after["high"].max())


def test_the_alt_text_of_a_break_says_that_it_is_refused():
    alt = plots.counterfactual(RESULTS["broken"]()).alt

    assert "Consistent with a recording break, so refused as an effect" in alt


def test_the_event_study_draws_every_period_with_its_interval():
    result = RESULTS["differences"]()
    axes = plots.event_study(result).figure.axes[0]
    points = np.vstack([dots.get_offsets() for dots in axes.collections[1::2]])

    assert sorted(points[:, 0].tolist()) == sorted(result.table["relative"].tolist())
    assert points[:, 1].sum() == pytest.approx(result.table["value"].sum())


def test_placebo_dates_have_a_row_for_each_date_tried():
    result = RESULTS["controlled"]()
    axes = plots.placebo_dates(result).figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]

    assert "as dated" in names
    assert sum(name.startswith("none in ") for name in names) == 3
    assert sum(name.endswith((" earlier", " later")) for name in names) == 6


def test_the_words_of_placebo_dates_say_where_there_was_none():
    table, question = series()
    few = interrupted_series(table.iloc[17:31], question)

    assert "estimates at no placebo date, and with" in plots.placebo_dates(few).alt
    assert (
        "3 placebo dates, of which none leave" in plots.placebo_dates(RESULTS["controlled"]()).alt
    )


def test_every_donor_is_drawn_beside_the_unit():
    result = RESULTS["synthetic"]()
    axes = plots.placebo_units(result).figure.axes[0]
    gaps = [line for line in axes.lines if len(line.get_xdata()) == len(result.table)]

    assert len(gaps) == 26
    assert gaps[-1].get_ydata().tolist() == result.table["gap"].tolist()


@pytest.mark.parametrize(
    ("name", "of", "message"),
    [
        ("counterfactual", "differences", "draws a result of interrupted_series or .* 'difference"),
        ("event_study", "synthetic", "draws a result of difference_in_differences; got one of 'sy"),
        ("placebo_units", "interrupted", "draws a result of synthetic_control"),
        ("placebo_dates", "synthetic", "draws a result of interrupted_series or controlled_series"),
    ],
)
def test_a_result_of_another_method_is_refused(name, of, message):
    with pytest.raises(DataError, match=message):
        getattr(plots, name)(RESULTS[of]())
