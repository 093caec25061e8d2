"""Pictures of syntheses show the numbers of the result, from 2 to 60 studies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Polygon, Rectangle

from evidence import plots
from evidence.errors import DataError
from evidence.results import Result
from evidence.synthesis.certainty import from_items, risk_of_bias
from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.many import multiverse
from evidence.synthesis.pool import pool
from evidence.synthesis.regression import meta_regression, subgroups
from evidence.synthesis.sensitivity import leave_one_out


def studies(k, seed=1):
    rng = np.random.default_rng(seed)
    vi = rng.uniform(0.01, 0.2, k)
    names = [f"Author {i}, {1990 + i % 30}" for i in range(k)]
    return pd.DataFrame({"study": names, "yi": rng.normal(0.4, np.sqrt(vi + 0.1)), "vi": vi})


def smd(k):
    return pool(studies(k), direction_better="higher", measure="SMD", outcome="Symptoms")


def texts(picture):
    return [text.get_text() for text in picture.figure.axes[0].texts]


def shapes(picture, kind):
    return [patch for patch in picture.figure.axes[0].patches if isinstance(patch, kind)]


@pytest.mark.parametrize("k", [2, 3, 12, 60, 200])
def test_every_study_has_its_name_effect_and_weight(k):
    result = smd(k)

    drawn = texts(plots.forest(result))

    assert all(name.split(",")[0] in " ".join(drawn) for name in result.table["label"])
    weights = [f"{weight:.1f}" for weight in result.table["weight"]]
    assert all(weight in drawn for weight in weights)


def test_the_diamond_is_the_pooled_interval_and_the_bar_the_prediction_interval():
    result = smd(12)
    picture = plots.forest(result)

    diamond = shapes(picture, Polygon)[0].get_xy()[:, 0]
    bar = shapes(picture, Rectangle)[0]

    assert diamond.min() == pytest.approx(result["pooled"].low)
    assert diamond.max() == pytest.approx(result["pooled"].high)
    assert bar.get_x() == pytest.approx(result["prediction"].low)
    assert bar.get_x() + bar.get_width() == pytest.approx(result["prediction"].high)


def test_intervals_of_studies_are_drawn_where_the_table_has_them():
    result = smd(5)
    lines = [
        line for line in plots.forest(result).figure.axes[0].lines if line.get_gid() == "interval"
    ]

    assert [line.get_xdata()[0] for line in lines] == pytest.approx(result.table["low"].tolist())
    assert [line.get_xdata()[1] for line in lines] == pytest.approx(result.table["high"].tolist())


def test_an_interval_beyond_the_axis_ends_in_an_arrow():
    effects = studies(30)
    effects.loc[29, ["yi", "vi"]] = [9.0, 0.3]
    result = pool(effects, direction_better="higher", measure="SMD")
    axes = plots.forest(result).figure.axes[0]

    assert ">" in [line.get_marker() for line in axes.lines]
    assert axes.get_xlim()[1] < 9


def test_ratios_are_drawn_on_a_logarithmic_axis_in_the_numbers_of_readers():
    effects = studies(8).assign(yi=lambda table: table["yi"] - 1)
    result = pool(effects, direction_better="lower", measure="RR")
    picture = plots.forest(result)
    axes = picture.figure.axes[0]

    assert axes.get_xscale() == "log"
    assert shapes(picture, Polygon)[0].get_xy()[:, 0].min() == pytest.approx(result["pooled"].low)
    assert "Risk ratio (95\u00a0%)" in texts(picture)


def test_the_side_that_is_good_is_named_under_the_axis():
    more = plots.forest(pool(studies(5), direction_better="higher", measure="SMD"))
    less = plots.forest(pool(studies(5), direction_better="lower", measure="SMD"))

    assert "  favours the intervention →" in texts(more)
    assert "← favours the intervention  " in texts(less)


def test_studies_can_be_put_in_the_order_of_their_effects():
    result = smd(10)
    axes = plots.forest(result, order="effect").figure.axes[0]
    lines = [line for line in axes.lines if line.get_gid() == "interval"]

    middles = [np.mean(line.get_xdata()) for line in lines]
    assert middles == sorted(middles)


def test_the_words_for_the_picture_hold_the_numbers_of_the_result():
    result = smd(12)

    alt = plots.forest(result).alt

    assert alt.startswith("Forest plot of 12 studies: effects from ")
    assert f"I² {result['I2'].value:.0f}\u00a0%" in alt
    assert len(alt.split()) <= 60


def test_an_effect_beyond_the_axis_has_a_mark_of_its_own_that_the_notes_explain():
    effects = studies(30)
    effects.loc[29, ["yi", "vi"]] = [9.0, 0.3]
    picture = plots.forest(pool(effects, direction_better="higher", measure="SMD"))
    axes = picture.figure.axes[0]

    beyond = [line for line in axes.lines if line.get_gid() == "effect beyond"]
    assert [line.get_marker() for line in beyond] == [">"]
    assert len([dot for dot in axes.collections if dot.get_gid() == "effect"]) == 29
    notes = " ".join(text.get_text() for text in picture.figure.texts)
    assert "large blue arrow: so does the effect" in notes


def test_weights_are_named_in_full_and_explained():
    picture = plots.forest(smd(5))

    assert "Weight" in texts(picture)
    notes = " ".join(text.get_text() for text in picture.figure.texts)
    assert "Weight: share in the pooled effect, in\u00a0%." in notes


def grouped(k=12):
    effects = studies(k).assign(format=[*(["alone", "group"] * k)[: k - 1], "rare"])
    usual = effects[effects["format"] != "rare"]
    return pool(effects, direction_better="higher", measure="SMD"), subgroups(usual, "format")


def test_each_subgroup_has_a_heading_its_studies_and_a_diamond():
    result, groups = grouped()
    picture = plots.forest(result, groups=groups)

    drawn = texts(picture)
    assert [text for text in drawn if "stud" in text and "(" in text] == [
        "Alone (6 studies)",
        "Group (5 studies)",
        "Rare (1 study, not pooled)",
    ]
    diamonds = [shape.get_xy()[:, 0] for shape in shapes(picture, Polygon)]
    assert [(d.min(), d.max()) for d in diamonds[:-1]] == [
        pytest.approx((row.low, row.high)) for row in groups.table.itertuples()
    ]
    inside = result.table.loc[result.table["format"] == "alone", "weight"].sum()
    assert f"{inside:.1f}" in drawn
    assert "Subgroups pooled: alone " in picture.alt


def test_a_subgroup_of_one_study_is_not_called_pooled():
    effects = studies(7).assign(format=["a", "b", "b", "b", "c", "c", "c"])
    result = pool(effects, direction_better="higher", measure="SMD")

    picture = plots.forest(result, groups=subgroups(effects, "format"))

    assert [text for text in texts(picture) if "(" in text and "stud" in text] == [
        "A (1 study, not pooled)",
        "B (3 studies)",
        "C (3 studies)",
    ]
    assert texts(picture).count("Pooled") == 2
    assert len(shapes(picture, Polygon)) == 3
    assert "Subgroups pooled: b " in picture.alt


def test_subgroups_of_ratios_are_drawn_as_ratios():
    effects = studies(8).assign(format=["a", "b"] * 4)
    groups = subgroups(effects, "format")
    result = pool(effects, direction_better="lower", measure="OR")
    diamond = shapes(plots.forest(result, groups=groups), Polygon)[0].get_xy()[:, 0]

    assert diamond.min() == pytest.approx(np.exp(groups.table["low"][0]))


def test_lights_of_bias_stand_beside_each_study_with_symbol_and_colour():
    effects = studies(3)
    marks = pd.DataFrame({"study": effects["study"], "sg": [1, 1, 0], "ba": ["sr", "1", "1"]})
    bias = risk_of_bias(
        from_items(marks, {"sg": "sequence", "ba": "blinding"}, version="1", source="its raters")
    )
    result = pool(effects, direction_better="higher", measure="SMD")
    picture = plots.forest(result, bias=bias)
    axes = picture.figure.axes[0]

    lights = [dot for dot in axes.collections if dot.get_gid() == "light"]
    assert sum(len(dot.get_offsets()) for dot in lights) == 9
    assert len({tuple(dot.get_facecolor()[0]) for dot in lights}) == 3
    drawn = texts(picture)
    assert (drawn.count("+"), drawn.count("s"), drawn.count("−")) == (6, 1, 2)
    assert "Overall risk of bias low in 2." in picture.alt
    with pytest.raises(DataError, match="every study needs its risk of bias; Author 3"):
        plots.forest(smd(4), bias=bias)


def test_a_study_with_two_effects_has_its_own_lights_beside_both():
    rows = studies(4).assign(study=["A", "A", "B", "C"])
    marks = pd.DataFrame({"study": ["A", "B", "C"], "sg": [1, 0, 1]})
    bias = risk_of_bias(from_items(marks, {"sg": "sequence"}, version="1", source="raters"))
    result = pool(rows, direction_better="higher", measure="SMD")

    picture = plots.forest(result, bias=bias)

    assert [text for text in texts(picture) if text in "+−"] == [
        "+",
        "+",
        "+",
        "+",
        "−",
        "−",
        "+",
        "+",
    ]
    assert "Overall risk of bias low in 2." in picture.alt


def test_further_columns_are_printed_and_the_axis_keeps_its_room():
    effects = studies(4).assign(n=[10.0, 20.0, np.nan, 1500.0], weeks=["6", "8", "12", "52"])
    result = pool(effects, direction_better="higher", measure="SMD")
    picture = plots.forest(result, columns={"n": "People", "weeks": "Weeks"})
    figure = picture.figure

    assert {"People", "Weeks", "1,500", "52"} <= set(texts(picture))
    assert figure.axes[0].get_position().width * figure.get_figwidth() >= 1.25 - 1e-9
    with pytest.raises(DataError, match=r"columns beside a forest must be .* 'size' is not"):
        plots.forest(result, columns={"size": "Size"})


def test_names_effects_and_the_axis_do_not_run_into_each_other():
    effects = studies(200)
    effects.loc[5, "yi"] = 6.0
    picture = plots.forest(pool(effects, direction_better="lower", measure="OR"))
    axes = picture.figure.axes[0]
    picture.figure.draw_without_rendering()
    frame = axes.get_window_extent()

    boxes = [text.get_window_extent() for text in axes.texts if "(" in text.get_text()]
    assert all(box.x0 >= frame.x1 - 1 for box in boxes)


def test_two_studies_have_no_bar_for_a_prediction_interval():
    assert shapes(plots.forest(smd(2)), Rectangle) == []


def test_what_was_not_pooled_cannot_be_drawn():
    with pytest.raises(DataError, match="needs a pooled result; got one that says: Not pooled"):
        plots.forest(Result.could_not("Not pooled", "designs differ: rct, its"))
    with pytest.raises(DataError, match="order must be table, effect, weight or a column"):
        plots.forest(smd(3), order="size")


def test_a_funnel_has_a_point_per_study_at_its_effect_and_error():
    result = smd(12)
    points = plots.contour_funnel(result).figure.axes[0].collections[-1].get_offsets()

    assert points[:, 0].tolist() == pytest.approx(result.table["yi"].tolist())
    assert points[:, 1].tolist() == pytest.approx(result.table["se"].tolist())


def test_the_words_of_a_funnel_count_the_smaller_studies_on_both_sides():
    alt = plots.contour_funnel(smd(12)).alt

    counts = [int(word) for word in alt.split() if word.isdigit()]
    assert counts[1] == counts[2] + counts[3] == 6


def test_the_words_of_a_funnel_count_no_smaller_studies_where_there_are_none():
    one = plots.contour_funnel(pool(studies(1), direction_better="higher", measure="SMD")).alt
    same = studies(4).assign(vi=0.1)
    equal = plots.contour_funnel(pool(same, direction_better="higher", measure="SMD")).alt

    assert one.startswith("Funnel plot of 1 study, effect against standard error; standard errors")
    assert "smaller" not in equal


def test_a_network_without_contrasts_is_refused():
    with pytest.raises(DataError, match="needs contrasts; the table has none"):
        plots.network_graph(pd.DataFrame(columns=["study", "treatment1", "treatment2"]))


def test_a_funnel_of_ratios_has_ratios_on_its_axis():
    result = pool(studies(8), direction_better="lower", measure="RR")
    labels = [
        text.get_text() for text in plots.contour_funnel(result).figure.axes[0].get_xticklabels()
    ]

    assert "1" in labels


def universe():
    effects = studies(20).assign(large=lambda table: table["vi"] < 0.1)
    return multiverse(
        {"as given": effects},
        direction_better="higher",
        reasons={"size": "small studies differ", "tau2": "unequal studies"},
        subsets={"size": {"all": "", "large": "large"}},
        tau2=("REML", "DL", "PM"),
        measure="SMD",
    )


def test_a_specification_curve_has_every_specification_in_order():
    result = universe()
    picture = plots.specification_curve(result)
    top, bottom = picture.figure.axes

    values = [x for part in top.collections for x in np.asarray(part.get_offsets())[:, 1]]
    assert {round(v, 9) for v in result.table["value"]} <= {round(v, 9) for v in values}
    assert [text.get_text() for text in bottom.get_yticklabels()] == [
        "size: all",
        "size: large",
        "estimator: REML",
        "estimator: DL",
        "estimator: PM",
    ]
    assert picture.alt == f"Specification curve. {result.text}"


def test_a_specification_curve_says_choices_in_words():
    figure = plots.specification_curve(universe(), names={"large": "large studies only"}).figure

    names = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert "size: large studies only" in names


def test_a_network_names_each_treatment_with_its_studies():
    table = pd.DataFrame(
        {"study": ["1", "2", "3"], "treatment1": ["A", "A", "B"], "treatment2": ["B", "C", "C"]}
    )
    picture = plots.network_graph(table)

    assert texts(picture) == ["A (2)", "B (2)", "C (2)"]
    assert picture.alt.startswith(
        "Network of 3 treatments from 3 studies with 3 direct comparisons"
    )


def test_names_in_a_network_stay_inside_the_picture_and_below_its_title():
    names = [f"a treatment with a long name {i}" for i in range(22)]
    table = pd.DataFrame({"study": range(21), "treatment1": names[:-1], "treatment2": names[1:]})
    figure = plots.network_graph(table, title="Who was compared with whom").figure
    figure.draw_without_rendering()

    title = figure._suptitle.get_window_extent()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)
    assert all(not box.overlaps(title) for box in boxes)


def test_treatments_known_from_one_study_are_open_and_counted():
    table = pd.DataFrame(
        {"study": ["1", "2", "2"], "treatment1": ["A", "A", "A"], "treatment2": ["B", "B", "C"]}
    )
    picture = plots.network_graph(table)
    nodes = picture.figure.axes[0].collections[-1]

    assert [tuple(colour) == (1, 1, 1, 1) for colour in nodes.get_facecolor()] == [
        False,
        False,
        True,
    ]
    assert picture.alt.endswith("1 known from a single study.")


def test_a_bubble_plot_has_the_studies_the_line_and_the_interval_of_the_regression():
    effects = studies(15).assign(year=lambda table: 1990 + np.arange(len(table)))
    result = meta_regression(effects, ["year"])
    picture = plots.bubble(result, effects, label="year of publication")
    axes = picture.figure.axes[0]
    line = next(line for line in axes.lines if line.get_gid() == "line")
    band = axes.collections[0].get_paths()[0].vertices

    slope = (line.get_ydata()[-1] - line.get_ydata()[0]) / 14
    assert slope == pytest.approx(result.table["value"][1])
    assert axes.collections[1].get_offsets()[:, 1].tolist() == pytest.approx(effects["yi"].tolist())
    at_start = band[np.isclose(band[:, 0], 1990)][:, 1]
    centred = meta_regression(effects.assign(year=effects["year"] - 1990), ["year"]).table.iloc[0]
    assert at_start.min() == pytest.approx(centred["low"])
    assert at_start.max() == pytest.approx(centred["high"])
    assert "from 1990 to 2004" in picture.alt
    assert "Year of publication" in axes.get_xlabel()


def test_a_bubble_plot_of_several_moderators_is_refused():
    effects = studies(15).assign(a=range(15), b=[1.0, 2.0, 4.0] * 5)
    with pytest.raises(DataError, match="needs one numeric moderator"):
        plots.bubble(meta_regression(effects, ["a", "b"]), effects)
    with pytest.raises(DataError, match="needs the studies regressed; the table has no a"):
        plots.bubble(meta_regression(effects, ["a"]), effects.drop(columns="a"))


def two_arms():
    return pd.DataFrame(
        {
            "study": ["A", "B", "C"],
            "ai": [30, 12, 50],
            "n1i": [60, 40, 80],
            "ci": [20, 14, 40],
            "n2i": [60, 40, 80],
        }
    )


@pytest.mark.parametrize(
    ("measure", "at_half"),
    [("RR", lambda e: 0.5 * e), ("OR", lambda e: e / (1 + e)), ("RD", lambda e: 0.5 + e)],
)
def test_a_labbe_plot_has_the_shares_of_both_groups_and_the_pooled_curve(measure, at_half):
    result = pool(effect_sizes(two_arms(), measure=measure), direction_better="higher")
    axes = plots.labbe(result, event="respond").figure.axes[0]
    curve = next(line for line in axes.lines if line.get_gid() == "pooled")

    points = axes.collections[-1].get_offsets()
    assert points[:, 0].tolist() == pytest.approx([100 / 3, 35, 50])
    assert points[:, 1].tolist() == pytest.approx([50, 30, 62.5])
    assert curve.get_ydata()[50] == pytest.approx(100 * at_half(result["pooled"].value))


def test_a_labbe_plot_says_in_words_what_it_shows_and_refuses_other_measures():
    effects = effect_sizes(two_arms(), measure="RR")
    words = {"intervention": "SSRI", "comparator": "placebo"}
    picture = plots.labbe(pool(effects, direction_better="higher", **words), event="respond")

    assert picture.alt.startswith(
        "L'Abbé plot of 3 studies: in 2 more people respond with SSRI than with placebo."
    )
    assert picture.figure.axes[0].get_ylabel() == "SSRI: % who respond"
    with pytest.raises(DataError, match="needs a pooled RR, OR or RD"):
        plots.labbe(smd(3))
    bare = pool(effects.drop(columns="ci"), direction_better="higher")
    with pytest.raises(DataError, match="events and people of both groups; the table has no ci"):
        plots.labbe(bare)


def test_subgroups_and_left_out_studies_are_drawn_row_by_row():
    effects = studies(9).assign(format=["a", "b", "c"] * 3)
    for result in (subgroups(effects, "format"), leave_one_out(effects)):
        picture = plots.pooled_rows(result, measure="SMD")
        lines = picture.figure.axes[0].lines
        drawn = [line.get_xdata()[0] for line in lines if line.get_gid() == "interval"]

        assert drawn == pytest.approx(result.table["low"].tolist())
        assert len(picture.alt.split()) <= 60


def test_rows_of_ratios_are_drawn_as_ratios():
    result = leave_one_out(studies(5))
    picture = plots.pooled_rows(result, measure="OR")
    lines = picture.figure.axes[0].lines
    drawn = [line.get_xdata()[0] for line in lines if line.get_gid() == "interval"]

    assert drawn == pytest.approx(np.exp(result.table["low"]).tolist())
    with pytest.raises(DataError, match="rows to draw need k, value, low and high"):
        plots.pooled_rows(smd(3), measure="SMD")


def test_pictures_of_what_they_cannot_show_are_refused():
    nothing = Result.could_not("Not pooled", "designs differ")
    with pytest.raises(DataError, match="a funnel needs a pooled result"):
        plots.contour_funnel(nothing)
    with pytest.raises(DataError, match="a specification curve needs a multiverse"):
        plots.specification_curve(nothing)
    with pytest.raises(DataError, match="a network graph needs study"):
        plots.network_graph(pd.DataFrame({"study": ["1"]}))


def test_every_picture_of_a_synthesis_is_offered_by_name():
    names = {
        "forest", "contour_funnel", "baujat", "bubble", "labbe", "network_graph", "league",
        "specification_curve", "traffic_light", "bias_shares", "side_by_side", "pooled_rows",
    }  # fmt: skip

    assert names <= set(dir(plots))
    assert all(callable(getattr(plots, name)) for name in names)
