"""Pictures of variation show the result's numbers, say them in words, and never change."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from evidence import plots
from evidence.errors import DataError
from evidence.plots import style
from evidence.results import Result
from evidence.variation import areas, limits, runcharts


def funnel_result(seed=3, k=32, sd=0.03):
    draw = np.random.default_rng(seed)
    n = draw.integers(500, 6000, k)
    p = draw.normal(0.5, sd, k)
    p[0] = 0.65
    table = pd.DataFrame(
        {
            "area_code": [f"A{i}" for i in range(k)],
            "area": [f"Area number {i}" for i in range(k)],
            "numerator": draw.binomial(n, p),
            "denominator": n,
            "status": ["ok"] * (k - 1) + ["suppressed"],
        }
    )
    return limits.funnel(
        table, direction_better="higher", indicator="Recovery", unit="%", period="2019-20"
    )


def chart_result():
    values = [10, 12, 9, 11, 10, 12, np.nan, 11, 10, 12, 9, 11, 10, 12, 30, 11]
    table = pd.DataFrame({"period": [f"2020-{i:02d}" for i in range(1, 13)], "value": values[:12]})
    more = pd.DataFrame({"period": [f"2021-{i:02d}" for i in range(1, 5)], "value": values[12:]})
    return limits.xmr(
        pd.concat([table, more]),
        direction_better="higher",
        indicator="Seen",
        unit="people",
        breaks=[{"date": "2020-08", "label": "new recording system"}],
        target=11.5,
    )


def run_result():
    values = [5, 7, 6, 5, 7, 6, 6, 8, 9, 10, 9, 9]
    table = pd.DataFrame({"period": [f"2020-{i:02d}" for i in range(1, 13)], "value": values})
    return runcharts.run_chart(table, baseline=7, run=4, indicator="Seen", unit="people")


@pytest.fixture(scope="module")
def result():
    return funnel_result()


PICTURES = {
    "funnel": lambda: plots.funnel(funnel_result(), highlight=["A5", "Area number 7"]),
    "caterpillar": lambda: plots.caterpillar(funnel_result(), highlight=["A5"]),
    "xmr": lambda: plots.xmr(chart_result()),
    "run_chart": lambda: plots.run_chart(run_result()),
    "profile": lambda: plots.profile(areas.profile({"recovery": funnel_result()}, "A5")),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_result_gives_the_same_bytes(name):
    assert PICTURES[name]().svg() == PICTURES[name]().svg()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_shows_itself_in_a_notebook_with_its_words(name):
    picture = PICTURES[name]()
    bundle = picture._repr_mimebundle_()

    assert list(bundle) == ["image/svg+xml", "text/plain"]
    assert bundle["text/plain"] == picture.alt
    assert picture.png().startswith(b"\x89PNG")
    assert 5 < len(picture.alt.split()) <= 60


@pytest.mark.parametrize("name", PICTURES)
def test_no_letter_is_smaller_than_eight_points_and_none_leaves_the_picture(name):
    picture = PICTURES[name]()
    figure = picture.figure
    figure.draw_without_rendering()
    frame = figure.bbox
    words = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    words += [text for legend in figure.legends for text in legend.get_texts()]

    words += [axes.title for axes in figure.axes] + [axes.xaxis.label for axes in figure.axes]
    assert min(text.get_fontsize() for text in words) >= 8
    for text in words:
        box = text.get_window_extent()
        assert box.x0 >= frame.x0 - 1, text.get_text()
        assert box.x1 <= frame.x1 + 1, text.get_text()


def points(picture, colour_of=None):
    offsets = [
        np.asarray(collection.get_offsets())
        for collection in picture.figure.axes[0].collections
        if len(collection.get_offsets()) and collection.get_offsets().shape[1] == 2
    ]
    return {tuple(np.round(point, 6)) for group in offsets for point in group}


def test_a_funnel_draws_every_area_with_a_figure(result):
    shown = result.table[result.table["value"].notna()]

    drawn = points(plots.funnel(result))

    assert len(shown) == 31
    for x, y in shown[["denominator", "value"]].to_numpy():
        assert (round(x, 6), round(y, 6)) in drawn


def test_a_funnel_names_only_what_lies_outside_and_what_was_asked_for(result):
    outside = result.table[result.table["position"].isin(["above", "below"])]["area"].tolist()

    plain = [text.get_text() for text in plots.funnel(result).figure.axes[0].texts]
    asked = plots.funnel(result, highlight=["A5"]).figure.axes[0].texts

    assert [text for text in plain if text.startswith("Area")] == outside
    assert "Area number 5" in [text.get_text() for text in asked]


def test_labels_of_a_funnel_do_not_cover_each_other(result):
    codes = [f"A{i}" for i in range(1, 9)]
    picture = plots.funnel(result, highlight=codes)
    boxes = [
        text.get_window_extent()
        for text in picture.figure.axes[0].texts
        if text.get_text().startswith("Area")
    ]

    assert len(boxes) >= 8
    for at, box in enumerate(boxes):
        assert not any(style._overlap(box, other) > 0 for other in boxes[at + 1 :])


def test_the_words_of_a_funnel_hold_its_key_numbers(result):
    alt = plots.funnel(result).alt
    low, high = result["minimum"].value, result["maximum"].value

    assert alt.startswith("Funnel plot of Recovery, 2019-20, 31 areas")
    assert f"{low:.1f}\u00a0%" in alt
    assert f"{high:.1f}\u00a0% (Area number 0)" in alt
    assert "above the widened limits: Area number 0" in alt


def test_the_words_of_a_funnel_without_widened_limits_say_so(result):
    alone = limits.funnel(result.table, direction_better="higher", overdispersion="none")
    alt = plots.funnel(alone).alt

    assert "widened" not in alt
    assert "above the limits of chance: Area number 0" in alt


def test_a_funnel_without_judgement_is_drawn_with_its_reason():
    table = pd.DataFrame({"area_code": ["A", "B"], "numerator": [1, 2], "denominator": [5, 5]})
    picture = plots.funnel(limits.funnel(table, direction_better="none", indicator="Few"))

    assert "not judged: only 2 areas of 2 had a figure" in picture.alt
    assert picture.svg()


def test_a_chart_leaves_a_gap_and_marks_its_event():
    picture = plots.xmr(chart_result())
    axes = picture.figure.axes[0]
    series = [line for line in axes.lines if line.get_color() == style.FAINT]

    assert "new recording system" in [text.get_text() for text in axes.texts]
    assert [np.isnan(np.asarray(line.get_ydata())).sum() for line in series] == [1, 0]
    assert "Marked: new recording system (2020-08)" in picture.alt


def test_the_legend_of_a_chart_ends_with_its_icons():
    picture = plots.xmr(chart_result())
    (legend,) = picture.figure.legends
    written = [text.get_text() for text in legend.get_texts()]

    assert written[-2:] == ["latest: routine variation", "target: met or missed by chance"]
    assert "target met or missed by chance" in picture.alt


@pytest.mark.parametrize(
    ("last", "better", "letter", "colour"),
    [
        (30, "higher", "H", style.BLUE),
        (30, "lower", "H", style.ORANGE),
        (0, "none", "L", style.PURPLE),
        (11, "higher", "~", style.QUIET),
    ],
)
def test_the_icon_tells_high_from_low_by_its_letter_and_good_from_bad_by_colour(
    last, better, letter, colour
):
    values = [10, 12, 9, 11, 10, 12, 11, 10, 12, 9, 11, last]
    table = pd.DataFrame({"period": [f"2020-{i:02d}" for i in range(1, 13)], "value": values})
    picture = plots.xmr(limits.xmr(table, direction_better=better))
    inside = [line for line in picture.figure.legends[0].findobj(Line2D) if line.get_marker()]
    (drawn,) = [line for line in inside if isinstance(line.get_marker(), Path)]
    outline = TextPath((0, 0), letter, size=1)

    assert np.ptp(drawn.get_marker().vertices - outline.vertices, axis=0) == pytest.approx(0)
    assert drawn.get_color() == colour


def test_a_run_chart_draws_each_median_over_its_stretch():
    picture = plots.run_chart(run_result())
    lines = [line for line in picture.figure.axes[0].lines if line.get_color() == style.INK]

    assert [line.get_ydata()[0] for line in lines] == [6.0, 9.0]
    assert "the first median is 6.0 people; 1 sustained run moved it to 9.0 people" in picture.alt


def test_a_profile_puts_better_to_the_right_whatever_the_direction():
    draw = np.random.default_rng(1)
    n = np.full(12, 4000)
    x = draw.binomial(n, np.linspace(0.4, 0.6, 12))
    table = pd.DataFrame(
        {"area_code": [f"A{i}" for i in range(12)], "numerator": x, "denominator": n}
    )
    found = {
        direction: limits.funnel(table, direction_better=direction, indicator=direction)
        for direction in ("higher", "lower")
    }

    picture = plots.profile(areas.profile(found, "A11"))

    marks = sorted(point[0] for point in points(picture))
    assert marks[0] < 0 < marks[-1]
    assert marks[0] == pytest.approx(-marks[-1])


@pytest.mark.parametrize("name", PICTURES)
def test_a_result_of_another_method_is_refused(name):
    with pytest.raises(DataError, match="this picture draws a result of"):
        getattr(plots, name)(Result(text="not this one"))


def test_a_chart_that_could_not_be_made_is_refused_with_the_reason():
    table = pd.DataFrame({"period": ["2020-01", "2020-02"], "value": [1, 2]})

    with pytest.raises(DataError, match="nothing to draw: fewer than three periods"):
        plots.xmr(limits.xmr(table, direction_better="none"))


def test_an_unknown_area_to_highlight_is_refused(result):
    with pytest.raises(DataError, match="Atlantis is not"):
        plots.funnel(result, highlight=["Atlantis"])


def test_the_layout_measures_letters_as_wide_as_they_are_drawn():
    words = "response of depression, up to 6 months"
    with mpl.rc_context(style.RULES):
        _, axes = style.canvas(2.0)
        measured = axes.text(0, 0, words, fontsize=7).get_window_extent().width
        drawn = TextPath((0, 0), words, size=7).get_extents().width

    assert measured == pytest.approx(drawn, rel=0.01)


def test_the_legend_of_a_funnel_keeps_clear_of_its_axis():
    figure = plots.funnel(funnel_result(), highlight=[funnel_result().table["area"].iloc[0]]).figure
    figure.draw_without_rendering()

    assert (
        figure.legends[0].get_window_extent().y1 < figure.axes[0].xaxis.label.get_window_extent().y0
    )


def test_a_picture_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no picture"):
        getattr(plots, "_nothing")  # noqa: B009


def test_the_callers_own_settings_change_nothing():
    plain = plots.xmr(chart_result()).svg()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert plots.xmr(chart_result()).svg() == plain


@pytest.mark.parametrize("name", PICTURES)
def test_no_title_leaves_its_picture_or_loses_a_word_that_two_lines_can_hold(name):
    long = {"indicator": "Recovery after NHS Talking Therapies", "period": "2019-20"}
    settings = dict(funnel_result().settings) | long
    pictures = {
        "funnel": lambda: plots.funnel(replace(funnel_result(), settings=settings)),
        "caterpillar": lambda: plots.caterpillar(replace(funnel_result(), settings=settings)),
    }
    picture = pictures.get(name, PICTURES[name])()
    picture.figure.draw_without_rendering()
    titles = [*picture.figure.texts, picture.figure.axes[0]._left_title]
    title = next(text for text in titles if text.get_text())
    box = title.get_window_extent()

    assert "…" not in title.get_text()
    assert box.x1 <= picture.figure.bbox.x1
    assert box.y1 <= picture.figure.bbox.y1
