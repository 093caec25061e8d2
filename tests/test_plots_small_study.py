"""Pictures of single studies, of answers side by side, of networks, published effects and bias."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from evidence.errors import DataError
from evidence.plots.bias_risk import bias_shares, traffic_light
from evidence.plots.choices import side_by_side as draw_side_by_side
from evidence.plots.networks import league
from evidence.plots.published import published_effects, turned
from evidence.plots.small_study import baujat
from evidence.practice import readings
from evidence.results import Estimate, Result
from evidence.synthesis.certainty import risk_of_bias
from evidence.synthesis.network import network_pool
from evidence.synthesis.sensitivity import influence
from evidence.synthesis.side_by_side import ranked, side_by_side

NOTHING = Result.could_not("Not pooled", "designs differ: rct, its")


def gid(axes, kind, name):
    return [item for item in getattr(axes, kind) if item.get_gid() == name]


def studies():
    rng = np.random.default_rng(3)
    vi = rng.uniform(0.02, 0.1, 12)
    yi = rng.normal(0.4, np.sqrt(vi))
    yi[4] = 3.0
    return pd.DataFrame({"study": [f"Author {i}, 2001" for i in range(12)], "yi": yi, "vi": vi})


def test_a_baujat_plot_has_a_point_per_study_and_names_the_one_that_stands_out():
    result = influence(studies())
    picture = baujat(result)
    axes = picture.figure.axes[0]

    drawn = np.vstack([part.get_offsets() for part in axes.collections])
    wanted = result.table[["baujat_x", "baujat_y"]].to_numpy()
    assert sorted(map(tuple, drawn.round(9))) == sorted(map(tuple, wanted.round(9)))
    assert "Author 4, 2001" in [text.get_text() for text in axes.texts]
    assert picture.alt.startswith("Baujat plot of 12 studies. Author 4, 2001 moves the pooled")


@pytest.mark.filterwarnings("error")
def test_a_baujat_plot_of_studies_that_agree_keeps_its_axes():
    axes = baujat(influence(studies().assign(yi=0.5, vi=0.1))).figure.axes[0]

    assert axes.get_xlim()[0] < 0 < axes.get_xlim()[1]


def answers(measure="SMD", direction="higher"):
    found = {
        "one": (0.5, 0.3, 0.7), "two": (0.9, -0.2, 2.0), "three": (1.3, 1.1, 40.0),
    }  # fmt: skip
    given = {
        name: (
            Result(text="x", estimates=(Estimate(key="e", value=v, low=low, high=high, k=at + 2),)),
            "e",
        )
        for at, (name, (v, low, high)) in enumerate(found.items())
    }
    given["four"] = (NOTHING, "e")
    return side_by_side(given, direction_better=direction, measure=measure)


def test_answers_side_by_side_are_drawn_at_their_values_with_their_intervals():
    picture = draw_side_by_side(answers(), title="By way")
    axes = picture.figure.axes[0]

    at = [item.get_offsets()[0].tolist() for item in gid(axes, "collections", "answer")]
    assert at == [[0.5, 0], [0.9, 1], [1.3, 2]]
    ends = [line.get_xdata()[0] for line in gid(axes, "lines", "interval")]
    assert ends == pytest.approx([0.3, -0.2, 1.1])
    words = [text.get_text() for text in axes.texts]
    assert "one (2)" in words
    assert "0.50 (0.30 to 0.70)" in words


def test_an_answer_that_could_not_be_had_stands_with_its_reason():
    words = [
        text.get_text()
        for text in draw_side_by_side(answers(), title="By way").figure.axes[0].texts
    ]

    assert {"four", "designs differ: rct, its"} <= set(words)


def test_an_interval_far_wider_than_the_others_is_cut_with_an_arrow():
    axes = draw_side_by_side(answers(), title="By way").figure.axes[0]

    assert axes.get_xlim()[1] < 40
    assert ">" in [line.get_marker() for line in axes.lines]


def test_ratios_have_a_log_axis():
    table = answers("OR", "lower")
    positive = Result(
        text=table.text,
        table=table.table.assign(low=table.table["low"].abs()),
        settings=table.settings,
    )
    axes = draw_side_by_side(positive, title="Ratios").figure.axes[0]

    assert axes.get_xscale() == "log"
    assert any("favours the intervention  |" in text.get_text() for text in axes.texts)


def test_the_words_of_the_picture_hold_its_values():
    alt = draw_side_by_side(answers(), title="By way").alt

    assert alt.startswith("By way. 4 analyses: 2 in favour, 1 no clear difference, 1 not estimated")
    assert "one 0.50, two 0.9, three" in alt


def network():
    rows = [
        ("1", "A", "B", 0.9, 0.02), ("2", "A", "B", 1.0, 0.03), ("3", "B", "C", 0.2, 0.02),
        ("4", "A", "C", 1.2, 0.05), ("5", "C", "D", 0.1, 0.05),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["study", "treatment1", "treatment2", "yi", "vi"])
    return network_pool(table, direction_better="higher", reference="D", measure="OR")


def test_a_league_counts_direct_studies_above_and_marks_clear_effects_below():
    result = network()
    picture = league(result)
    axes = picture.figure.axes[0]

    assert ranked(result) == ["A", "B", "C", "D"]
    counts = {text.get_position(): text.get_text() for text in gid(axes, "texts", "direct")}
    assert counts == {(1, 0): "2", (2, 0): "1", (2, 1): "1", (3, 2): "1"}
    assert len(gid(axes, "patches", "effect")) == 6
    half = result.table[result.table["treatment"] < result.table["against"]]
    clear = ((half["low"] > 0) | (half["high"] < 0)).sum()
    assert len(gid(axes, "collections", "clear")) == clear
    assert f"{clear} of 6 comparisons have an interval that excludes" in " ".join(
        picture.alt.split()
    )


def test_a_league_is_blue_where_the_column_is_better():
    axes = league(network()).figure.axes[0]

    first = gid(axes, "patches", "effect")[0]
    red, _, blue, _ = first.get_facecolor()
    assert isinstance(first, Rectangle)
    assert blue > red


def test_a_league_of_an_unnamed_measure_has_effects_on_its_key():
    table = pd.DataFrame(
        [("1", "A", "B", 0.4, 0.1), ("2", "B", "C", 0.2, 0.1)],
        columns=["study", "treatment1", "treatment2", "yi", "vi"],
    )

    figure = league(network_pool(table, direction_better="higher", reference="A")).figure

    assert any("below: effect, column against row" in text.get_text() for text in figure.texts)


def published():
    rows = [
        ("care", "symptoms", "rct", "lower", "SMD", -0.4, -0.6, -0.2),
        ("care", "response", "rct", "higher", "RR", 1.1, 0.9, 1.3),
        ("care", "relapse", "its", "lower", "RR", 0.5, 0.4, 0.8),
        ("routine", "symptoms", "before_after", "higher", "d_prepost", 0.9, 0.8, 1.0),
        ("nurses", "cholesterol", "cluster_rct", "lower", "MD", 0.03, -0.2, 0.3),
    ]
    columns = ["name", "outcome", "design", "direction_better", "measure", "estimate"]
    table = pd.DataFrame(rows, columns=[*columns, "low", "high"]).assign(stated_reading="")
    return readings.read(table)


def test_each_measure_has_a_panel_and_better_is_to_the_right():
    picture = published_effects(published(), title="Published")

    places = [
        [round(float(item.get_offsets()[0][0]), 6) for item in gid(axes, "collections", "effect")]
        for axes in picture.figure.axes
    ]
    assert places == [[0.4], [1.1, 2.0], [0.9]]
    assert picture.alt.startswith("Published: 4 of 5 findings drawn.")
    assert "1 no clear difference" in picture.alt
    assert "1 more, without interval" in picture.figure.axes[-1].get_xlabel()


def test_odds_ratios_have_a_panel_and_a_ratio_from_0_has_none():
    table = published().assign(measure=["SMD", "OR", "RR", "d_prepost", "MD"])
    table.loc[2, "low"] = 0.0

    picture = published_effects(table, title="Published")

    assert [axes.get_title(loc="right").split(",")[0] for axes in picture.figure.axes] == [
        "Standardised mean difference",
        "Odds ratio",
        "Change from before to after",
    ]
    assert picture.alt.startswith("Published: 3 of 5 findings drawn.")
    assert "2 more, without interval" in picture.figure.axes[-1].get_xlabel()


def test_turning_a_ratio_round_swaps_its_limits():
    row = published().to_dict("records")[2]

    assert turned(row) == pytest.approx((2.0, 1.25, 2.5))


def judged():
    marks = {"a": ("low", "low"), "b": ("low", "high"), "c": ("some concerns", "low")}
    rows = [
        {"study": study, "tool": "RoB 2", "version": "2019", "domain": domain,
         "judgement": judgement, "source": "its reviewers"}
        for study, pair in marks.items()
        for domain, judgement in zip(("randomisation", "missing data"), pair, strict=True)
    ]  # fmt: skip
    return risk_of_bias(pd.DataFrame(rows))


def test_every_judgement_has_a_light_with_its_symbol():
    picture = traffic_light(judged())
    axes = picture.figure.axes[0]

    assert len(gid(axes, "collections", "light")) == 9
    assert [text.get_text() for text in axes.texts].count("−") == 2
    assert "randomisation 2, missing data 2, overall 1" in picture.alt


def test_shares_of_bias_are_weighted_and_fill_the_bar():
    picture = bias_shares(judged(), {"a": 50, "b": 30, "c": 20})
    widths = [bar.get_width() for bar in picture.figure.axes[0].patches]

    assert sum(widths) == pytest.approx(300)
    assert "randomisation 80 % low; missing data 70 % low; overall 50 % low" in picture.alt


def test_the_title_of_shares_stays_inside_the_picture():
    figure = bias_shares(judged(), title="Risk of bias, share of the evidence").figure
    figure.draw_without_rendering()

    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: baujat(NOTHING), "a Baujat plot needs influence diagnostics; got: Not pooled"),
        (lambda: draw_side_by_side(NOTHING, title="x"), "needs answers side by side"),
        (lambda: league(NOTHING), "a league needs a network meta-analysis"),
        (lambda: published_effects(pd.DataFrame({"name": []}), title="x"), "the column 'outcome'"),
        (
            lambda: published_effects(published().assign(low=np.nan), title="x"),
            "no finding has an interval",
        ),
        (lambda: traffic_light(NOTHING), "needs its judgements"),
        (lambda: bias_shares(judged(), {"a": 1.0}), "every study needs a weight; b, c has none"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, said):
    with pytest.raises(DataError, match=said):
        draw()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: baujat(influence(studies())),
        lambda: draw_side_by_side(answers(), title="By way"),
        lambda: league(network()),
        lambda: published_effects(published(), title="Published"),
        lambda: traffic_light(judged()),
        lambda: bias_shares(judged()),
    ],
)
def test_a_picture_is_the_same_each_time_and_has_words(draw):
    assert draw().svg() == draw().svg()
    assert len(draw().alt) > 40
