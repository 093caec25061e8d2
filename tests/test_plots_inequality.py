"""Pictures of groups, places and many things at once show the result's numbers and say them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb

from evidence import plots
from evidence.errors import DataError
from evidence.plots import maps
from evidence.results import Result
from evidence.variation import areas, equity, gradients, inequality, limits, overview, rates

TENTHS = list(range(1, 11))


def cells(k=12, seed=3):
    draw = np.random.default_rng(seed)
    rows = []
    for area in range(k):
        level = 0.2 * draw.normal()
        for tenth in TENTHS:
            n = int(draw.integers(60, 400))
            share = 1 / (1 + np.exp(-(level - 0.08 * (tenth - 5))))
            rows.append((f"A{area}", tenth, draw.binomial(n, share), n))
    return pd.DataFrame(rows, columns=["area_code", "rank", "numerator", "denominator"])


def group_result(name="Recovery after NHS Talking Therapies"):
    sums = cells().groupby("rank", as_index=False)[["numerator", "denominator"]].sum()
    tenths = sums.assign(
        group_code=[f"d{rank}" for rank in sums["rank"]],
        group=[f"{rank:02d} tenth" for rank in sums["rank"]],
        status="ok",
        cells=12,
        cells_absent=0,
    )
    age = tenths.head(3).assign(
        group=["Under 16", "18 to 35", "Not stated/Not known/Invalid"],
        rank=[1, 2, 0],
        numerator=[np.nan, 300, 40],
        denominator=[np.nan, 600, 100],
        status=["suppressed", "ok", "ok"],
    )
    return equity.by_group(
        {"deprivation": tenths, "age": age},
        direction_better="higher",
        whole=51.0,
        indicator=name,
        period="2019-20",
    )


def within_result():
    return gradients.within_areas(cells(), direction_better="higher", indicator="Recovery")


def across_result():
    draw = np.random.default_rng(4)
    table = cells().groupby("area_code", as_index=False)[["numerator", "denominator"]].sum()
    table["area"] = [f"Area {code}" for code in table["area_code"]]
    return equity.across_areas(
        table.assign(score=draw.uniform(9, 33, len(table))),
        direction_better="higher",
        indicator="Recovery",
        score_label="deprivation score",
    )


def funnel_result(k=6):
    n = np.array([900, 1500, 2200, 3100, 4000, 5200])[:k]
    share = np.array([0.48, 0.5, 0.52, 0.55, 0.6, 0.47])[:k]
    table = pd.DataFrame(
        {
            "area_code": [f"A{i}" for i in range(k)],
            "area": [f"Area number {i}" for i in range(k)],
            "numerator": (n * share).round(),
            "denominator": n,
            "status": ["ok"] * (k - 1) + ["suppressed"],
        }
    )
    return limits.funnel(
        table, direction_better="higher", indicator="Recovery", unit="%", period="2019-20"
    )


def places():
    names = ["Camden", "Barnet", "Hackney", "City of London", "Enfield", "Sutton", "Merton"]
    return pd.DataFrame(
        {
            "borough_code": [f"B{i}" for i in range(7)],
            "borough": names,
            "row": [1, 1, 2, 2, 3, 3, 3],
            "col": [1, 2, 1, 2, 1, 2, 3],
            "area_code": ["A0", "A1", "A2", "A2", "A3", "A4", "A5"],
            "shared": [False, False, True, True, False, False, False],
        }
    )


def outlines():
    """Squares side by side, each corner once; the second borough has a sliver of its own."""
    rows = []
    for number in range(7):
        for ring, side in [(1, 0.1), (2, 0.01)] if number == 1 else [(1, 0.1 - 0.01 * number)]:
            x, y = 0.2 * number + 0.15 * (ring - 1), 51.5
            corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]
            rows += [(f"B{number}", ring, *corner) for corner in corners]
    return pd.DataFrame(rows, columns=["borough_code", "ring", "longitude", "latitude"])


def drawn_map(result=None):
    return plots.choropleth(
        result or funnel_result(), places(), outlines(), credit="Contains OS data © Crown copyright"
    )


def nearest():
    table = pd.DataFrame({"area_code": [f"A{i}" for i in range(6)], "need": [1, 2, 4, 7, 11, 16.0]})
    return areas.peers(table, columns=["need"], number=3)


def chart_results():
    quiet = [50, 52, 49, 51, 50, 52, 49, 51] * 3
    months = pd.period_range("2021-01", periods=24, freq="M").strftime("%Y-%m")
    charts = {}
    for number, name in enumerate(["Ealing", "Barnet, Camden, Enfield, Islington", "Brent", "X"]):
        values = [value + number for value in quiet]
        values[20] = 80 if name == "Brent" else values[20]
        rows = pd.DataFrame({"period": months, "value": values})
        charts[name] = limits.xmr(
            rows if name != "X" else rows.head(2),
            direction_better="higher",
            indicator="Recovery after Talking Therapies",
            unit="%",
            breaks=[{"date": "2022-03", "label": "one code"}] if number == 1 else [],
        )
    return charts


def real_result():
    draw = np.random.default_rng(5)
    found, lasting = {}, {}
    for number, sd in enumerate((0.01, 0.03, 0.06)):
        n = np.full(20, 3000)
        table = pd.DataFrame(
            {
                "area_code": [f"A{i}" for i in range(20)],
                "area": [f"Area {i}" for i in range(20)],
                "numerator": draw.binomial(n, draw.normal(0.5, sd, 20)),
                "denominator": n,
                "status": "ok",
            }
        )
        key = f"indicator-{number}"
        found[key] = limits.funnel(table, direction_better="higher", unit="%", indicator=key)
        lasting[key] = rates.change(table, table, direction_better="higher")
    lasting.pop("indicator-0")
    return overview.real_variation(found, lasting)


def slope_result():
    table = pd.DataFrame(
        {"rank": [1, 2, 3, 4], "denominator": [400, 300, 200, 100], "value": [40.0, 44, 50, 58]}
    )
    return inequality.indices(
        table,
        population="denominator",
        direction_better="higher",
        indicator="Recovery after NHS Talking Therapies",
        unit="%",
    )


PICTURES = {
    "slope": lambda: plots.slope(slope_result(), ends=("most deprived", "least deprived")),
    "equity": lambda: plots.equity(group_result()),
    "people_and_areas": lambda: plots.people_and_areas(
        within_result(), beside=group_result("England"), across=across_result(), order="tenth"
    ),
    "tiles": lambda: plots.tiles(funnel_result(), places()),
    "choropleth": lambda: drawn_map(),
    "peers": lambda: plots.peers(funnel_result(), nearest(), "A2"),
    "small_multiples": lambda: plots.small_multiples(chart_results()),
    "spread": lambda: plots.spread(real_result()),
}


def texts(picture):
    figure = picture.figure
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.axison]
    found = [text for axes in figure.axes for text in (*axes.texts, axes._left_title)]
    found += [axes.xaxis.label for axes in shown]
    for axes in shown:
        low, high = sorted(axes.get_ylim())
        found += [
            label for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high
        ]
    found += [text for legend in figure.legends for text in legend.get_texts()]
    found += [figure._suptitle] if figure._suptitle else []
    return [text for text in found if text.get_text() and text.get_visible()]


def marks(axes):
    return {
        tuple(np.round(point, 6))
        for collection in axes.collections
        if isinstance(collection, PathCollection)
        for point in np.asarray(collection.get_offsets())
    }


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_result_gives_the_same_bytes(name):
    assert PICTURES[name]().svg() == PICTURES[name]().svg()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_shows_itself_in_a_notebook_with_its_words(name):
    picture = PICTURES[name]()

    assert picture._repr_mimebundle_()["text/plain"] == picture.alt
    assert picture.png().startswith(b"\x89PNG")
    assert 5 < len(picture.alt.split()) <= 70


@pytest.mark.parametrize("name", PICTURES)
def test_no_letter_is_smaller_than_eight_points_and_none_leaves_the_picture(name):
    picture = PICTURES[name]()
    frame = picture.figure.bbox

    for text in texts(picture):
        box = text.get_window_extent()
        assert text.get_fontsize() >= 8, text.get_text()
        assert box.x0 >= frame.x0 - 1, text.get_text()
        assert box.x1 <= frame.x1 + 1, text.get_text()
        assert box.y1 <= frame.y1 + 1, text.get_text()


def test_equity_draws_every_figure_and_says_where_there_is_none():
    result = group_result()
    picture = plots.equity(result)
    top, below = picture.figure.axes

    figures = result.table[result.table.breakdown == "deprivation"].value
    drawn = {x for x, _ in marks(top)}
    assert {round(value, 6) for value in figures} <= drawn
    assert [text.get_text() for text in below.texts] == ["no figure: suppressed"]
    labels = [label.get_text() for label in below.get_yticklabels()]
    assert labels == ["Under 16", "18 to 35", "Not stated"]
    assert "1 group without a figure" in picture.alt


def test_equity_draws_the_figure_of_everyone():
    line = plots.equity(group_result()).figure.axes[0].lines[0]

    assert line.get_xdata()[0] == 51.0


def test_people_and_areas_draws_groups_above_and_averages_below():
    within, across = within_result(), across_result()
    picture = plots.people_and_areas(within, across=across)
    top, below = picture.figure.axes

    for x, y in within.table[["rank", "value"]].to_numpy():
        assert (round(x, 6), round(y, 6)) in marks(top)
    for x, y in across.table[["score", "value"]].to_numpy():
        assert (round(x, 6), round(y, 6)) in marks(below)
    assert f"correlation {across['correlation'].value:.2f}" in below.get_title("left")
    assert within.text in picture.alt
    assert across.text in picture.alt


def test_people_alone_are_one_panel_with_the_larger_place_as_a_line():
    beside = group_result("England")
    picture = plots.people_and_areas(within_result(), beside=beside)

    (axes,) = picture.figure.axes
    known = beside.table[(beside.table["rank"] > 0) & beside.table["value"].notna()]
    assert axes.lines[0].get_ydata().tolist() == known["value"].tolist()
    assert "England:" in picture.alt


def test_a_slope_draws_groups_as_wide_as_their_people_and_the_line_of_the_index():
    result = slope_result()
    picture = plots.slope(result)
    axes = picture.figure.axes[0]
    (spans,), (line,) = axes.collections, axes.lines
    widths = [np.ptp(span[:, 0]) + 0.8 for span in spans.get_segments()]
    low, high = line.get_ydata()

    assert widths == pytest.approx([40, 30, 20, 10])
    assert [span[0, 1] for span in spans.get_segments()] == [40, 44, 50, 58]
    assert high - low == pytest.approx(result["sii"].value)
    assert (low + high) / 2 == pytest.approx(result["mean"].value)
    middles = result.table["fractional_rank"] * 100
    fitted = np.interp(middles, [0, 100], [low, high])
    weight = result.table["population"]
    assert np.sum(weight * (result.table["value"] - fitted)) == pytest.approx(0, abs=1e-9)
    assert f"{low:.1f}\u00a0% to {high:.1f}\u00a0%" in picture.alt


def test_every_borough_has_a_tile_with_the_figure_of_its_area():
    result = funnel_result()
    picture = plots.tiles(result, places())
    written = [text.get_text() for text in picture.figure.axes[0].texts]

    assert len(written) == 7
    assert written[0] == "Camd\n48"
    assert written[2:4] == ["Hack*\n52", "City*\n52"]
    assert written[-1] == "Mert\n–"
    assert "Borough and area differ in Hackney and City of London" in picture.alt


def test_words_of_a_map_name_no_difference_where_there_is_none():
    alt = plots.tiles(funnel_result(), places().assign(shared=False)).alt

    assert alt.endswith("(Area number 4).")


@pytest.mark.filterwarnings("error")
def test_boroughs_without_any_figure_are_drawn_without_a_shade():
    table = funnel_result().table.assign(status="suppressed")
    result = limits.funnel(table, direction_better="higher", indicator="Recovery")
    axes = plots.tiles(result, places()).figure.axes[0]

    assert {tile.get_facecolor() for tile in axes.patches} == {(1.0, 1.0, 1.0, 1.0)}


def test_the_legend_of_a_map_names_the_limits_that_judge():
    result = funnel_result()
    alone = replace(result, settings={**result.settings, "overdispersion": "none"})

    assert "beyond the usual spread" in drawn_map(result).figure.axes[1].get_xlabel()
    assert "beyond chance alone" in drawn_map(alone).figure.axes[1].get_xlabel()


def test_peers_in_a_funnel_that_judged_nothing_have_no_line_of_all_areas():
    table = funnel_result().table.iloc[[1, 2]]
    few = limits.funnel(table, direction_better="higher", indicator="Recovery", unit="%")
    one = nearest()[lambda rows: (rows["area_code"] == "A2") & (rows["peer"] == "A1")]
    axes = plots.peers(few, one, "A2").figure.axes[0]

    assert not axes.lines
    assert "line: all areas" not in axes.get_xlabel()


def test_tiles_darken_with_the_figure():
    axes = plots.tiles(funnel_result(), places()).figure.axes[0]
    shade = [sum(tile.get_facecolor()[:3]) for tile in axes.patches]

    assert shade[0] > shade[1] > shade[2] == shade[3] > shade[4] > shade[5]


def luminance(colour):
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("picture", [lambda: PICTURES["tiles"](), lambda: drawn_map()])
def test_figures_on_a_map_can_be_read_on_every_shade(picture):
    """WCAG 2.1, 1.4.3: letters have 4.5 times the contrast of their ground."""
    axes = picture().figure.axes[0]
    ink = {luminance(text.get_color()) for text in axes.texts}
    shades = [luminance(maps.SHADES(at)[:3]) for at in np.linspace(0, 1, 50)]

    assert min((shade + 0.05) / (letters + 0.05) for shade in shades for letters in ink) >= 4.5


def test_a_borough_whose_area_is_not_in_the_result_is_refused():
    with pytest.raises(DataError, match="area must be in the result; Z9 is not"):
        plots.tiles(funnel_result(), places().assign(area_code="Z9"))


def test_a_map_shades_every_outline_and_writes_the_figure_of_an_area_once():
    result = funnel_result()
    beyond = result.table["position"].where(result.table["area_code"] != "A4", "above")
    picture = drawn_map(replace(result, table=result.table.assign(position=beyond)))
    axes, bar = picture.figure.axes
    written = [text.get_text() for text in axes.texts]
    shaded, hatched = (group for group in axes.collections if group.get_paths())

    assert written == ["48", "50", "52", "55", "60\n▲"]
    assert len(shaded.get_paths()) == 7
    assert len(hatched.get_paths()) == 1
    assert hatched.get_hatch() == "////"
    assert "City of London: one area with Hackney" in bar.get_xlabel()
    assert "Contains OS data © Crown copyright" in picture.figure._supxlabel.get_text()
    assert "to 60.0\u00a0% (Area number 4)" in picture.alt


def test_a_map_writes_inside_the_largest_outline_of_a_borough():
    axes = drawn_map().figure.axes[0]
    (shaded, *_) = axes.collections

    for text, place in zip(axes.texts, [0, 1, 3, 5, 6], strict=True):
        assert shaded.get_paths()[place].contains_point(text.get_position())


def test_a_map_keeps_the_shape_of_the_ground():
    corners = drawn_map().figure.axes[0].collections[0].get_paths()[0].vertices
    wide, high = np.ptp(corners[:, 0]), np.ptp(corners[:, 1])

    assert wide / high == pytest.approx(np.cos(np.radians(51.54)), rel=1e-3)


def test_a_borough_without_an_outline_is_refused():
    few = outlines()[lambda rows: rows["borough_code"] != "B3"]
    with pytest.raises(DataError, match="every borough must have an outline; B3 has none"):
        plots.choropleth(funnel_result(), places(), few, credit="")


def test_peers_stand_below_the_area_nearest_first():
    picture = plots.peers(funnel_result(), nearest(), "A2")
    labels = [label.get_text() for label in picture.figure.axes[0].get_yticklabels()]

    assert labels[0] == "Area number 2"
    assert labels[1].startswith("Area number 1 (")
    assert (
        "Recovery: Area number 2 52.0\u00a0%; areas most like it: Area number 1 50.0\u00a0%"
        in picture.alt
    )


def test_an_area_without_peers_is_refused():
    with pytest.raises(DataError, match="Z9 is not, or has no peers"):
        plots.peers(funnel_result(), nearest(), "Z9")


def test_charts_of_other_months_are_not_put_above_one_axis_of_time():
    charts = chart_results()
    months = pd.period_range("2022-01", periods=24, freq="M").strftime("%Y-%m")
    rows = pd.DataFrame({"period": months, "value": 50})
    charts["Later"] = limits.xmr(rows, direction_better="higher", unit="%")

    with pytest.raises(DataError, match="Later has others than Ealing"):
        plots.small_multiples(charts)


def test_every_service_has_a_panel_and_only_the_one_that_moved_has_marks():
    picture = plots.small_multiples(chart_results())
    panels = [axes for axes in picture.figure.axes if axes.axison]

    assert [axes.get_title("left")[:6] for axes in panels] == ["Ealing", "Barnet", "Brent", "X"]
    assert [len(marks(axes)) for axes in panels[:3]] == [0, 0, 1]
    assert [text.get_text() for text in panels[3].texts] == ["no chart"]
    assert "signals: better in 1" in picture.alt


def test_a_break_is_a_dashed_line_with_its_month_and_parts_the_mean():
    panel = plots.small_multiples(chart_results()).figure.axes[1]

    assert [text.get_text() for text in panel.texts] == ["2022-03"]
    dashed = [line for line in panel.lines if line.get_label() == "codes changed"]
    assert dashed[0].get_xdata()[0] == 13.5


def test_the_spread_of_every_indicator_is_drawn_with_the_widest_on_top():
    result = real_result()
    left, right = plots.spread(result).figure.axes

    top = max(marks(left), key=lambda point: point[1])
    assert top[0] == pytest.approx(result.table["relative"].max(), abs=1e-5)
    assert len(marks(left)) == 3
    assert sum(np.isfinite(x) for x, _ in marks(right)) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda other: plots.equity(other),
        lambda other: plots.people_and_areas(other),
        lambda other: plots.tiles(other, places()),
        lambda other: plots.choropleth(other, places(), outlines(), credit=""),
        lambda other: plots.slope(other),
        lambda other: plots.peers(other, nearest(), "A2"),
        lambda other: plots.small_multiples({"x": other}),
        lambda other: plots.spread(other),
    ],
)
def test_a_result_of_another_method_is_refused(call):
    with pytest.raises(DataError, match=r"draws? (a result|results) of"):
        call(Result(text="not this one"))


def test_a_spread_that_is_not_known_is_left_out_of_the_words():
    table = funnel_result().table.iloc[[1, 2]]
    few = limits.funnel(table, direction_better="higher", indicator="few")
    one = {"few": few, "many": funnel_result()}

    assert plots.spread(overview.real_variation({"few": few}, {})).alt == (
        "No spread is known of 1 indicator."
    )
    both = plots.spread(overview.real_variation(one, {})).alt
    assert "for 1 indicator, in %" in both
    assert "nan" not in both
