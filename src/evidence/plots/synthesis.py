"""Pictures of evidence syntheses: the forest of studies with what was pooled from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from evidence.errors import DataError
from evidence.plots.style import (
    BAND,
    BLUE,
    FAINT,
    INK,
    ORANGE,
    QUIET,
    SKY,
    WIDE_BAND,
    WIDTH,
    Picture,
    canvas,
    drawn,
    short,
)
from evidence.results import Estimate, Result
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.pool import decimals_for, interval_words, number, reader_scale

__all__ = ["contour_funnel", "forest", "network_graph", "pooled_rows", "specification_curve"]

ROW = 0.185
"""Height of a study's row in inches: 60 studies stay under a foot."""

LEFT, RIGHT = 1.46, 1.62
"""Inches for the study's name, and for effect, interval and weight."""

TEXT = 8.3

SHORT_NAMES = {
    "standardised mean difference": "SMD",
    "mean difference": "Difference",
    "risk ratio": "Risk ratio",
    "odds ratio": "Odds ratio",
    "Peto odds ratio": "Odds ratio",
    "risk difference": "Difference",
    "rate ratio": "Rate ratio",
}


@drawn
def forest(result: Result, *, order: str = "table", title: str = "") -> Picture:
    """Draw each study's effect with its interval, the pooled effect and the prediction interval.

    Parameters
    ----------
    result
        What `evidence.synthesis.pool.pool` returned.
    order
        ``table`` keeps the order of the table, ``effect`` and ``weight`` sort by those, any other
        name by that column of the table.
    title
        Shown above; the outcome when empty.

    Raises
    ------
    DataError
        If the result has no studies to draw or `order` is unknown.
    """
    if not result.known or "yi" not in result.table:
        raise DataError(f"a forest plot needs a pooled result; got one that says: {result.text}")
    studies = _drawn_columns(_ordered(result.table, order))
    pooled = result["pooled"]
    predicted = _found(result, "prediction")
    rows = len(studies) + 2 + (predicted is not None)
    figure, axes = _layout(rows, title or pooled.outcome)
    axes.set_xscale("log" if _is_ratio(pooled.measure) else "linear")
    axes.set_xlim(_limits(studies, pooled, predicted))
    axes.set_ylim(rows - 0.5, -1.6)
    decimals = _decimals(pooled, studies)
    _columns(axes, pooled)
    for at, (_, study) in enumerate(studies.iterrows()):
        _study(axes, at, study, decimals, float(studies["weight"].max()))
    _summary(axes, len(studies) + 0.75, result, predicted, decimals)
    _reference_lines(axes, pooled, len(studies) + 0.1)
    _effect_axis(axes, pooled)
    _sides(figure, axes, result)
    figure.text(0.02, 0.1 / figure.get_figheight(), _footnote(result), fontsize=7.6, color=QUIET)
    return Picture(figure, _forest_alt(result, studies, decimals))


def _found(result: Result, key: str) -> Estimate | None:
    return next((item for item in result.estimates if item.key == key), None)


def _ordered(table: pd.DataFrame, order: str) -> pd.DataFrame:
    names = {"effect": "yi", "weight": "weight"}
    if order == "table":
        return table
    column = names.get(order, order)
    if column not in table:
        raise DataError(
            f"order must be table, effect, weight or a column of the result's table; got {order!r}."
        )
    return table.sort_values(column, kind="stable", ascending=order != "weight")


def _decimals(pooled: Estimate, studies: pd.DataFrame) -> int:
    """Return the decimals that the pooled interval or a typical study justifies."""
    typical = 0.0, float((studies["high_x"] - studies["low_x"]).median())
    return max(decimals_for(pooled.low, pooled.high), decimals_for(*typical))


def _layout(rows: int, title: str) -> tuple[Figure, Axes]:
    top, bottom = (0.34 if title else 0.1), 0.78
    height = rows * ROW + 1.1 * ROW + top + bottom
    figure, axes = canvas(height)
    figure.set_layout_engine("none")
    axes.set_position(
        (
            LEFT / WIDTH,
            bottom / height,
            (WIDTH - LEFT - RIGHT) / WIDTH,
            (height - top - bottom) / height,
        )
    )
    if title:
        figure.text(0.02, 1 - 0.22 / height, title, fontsize=10.5, fontweight="bold")
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    return figure, axes


def _drawn_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the studies with effect and limits on the reader's scale as x, low_x and high_x."""
    names = ("effect", "effect_low", "effect_high") if "effect" in table else ("yi", "low", "high")
    x, low, high = (table[name].to_numpy(float) for name in names)
    return table.assign(x=x, low_x=low, high_x=high)


def _is_ratio(measure: str) -> bool:
    return measure in MEASURES and MEASURES[measure].back == "exp" and _null(measure) is not None


def _null(measure: str) -> float | None:
    return MEASURES[measure].null if measure in MEASURES else 0.0


def _limits(
    studies: pd.DataFrame, pooled: Estimate, predicted: Estimate | None
) -> tuple[float, float]:
    """Return limits that show nearly all intervals whole; the few beyond get an arrow."""
    scale = np.log if _is_ratio(pooled.measure) else np.asarray
    must = [pooled.low, pooled.high, _null(pooled.measure)]
    must += [predicted.low, predicted.high] if predicted else []
    ends = scale([value for value in must if value is not None])
    middle = scale(np.quantile(studies["x"], [0.02, 0.98]))
    lows, highs = np.sort(scale(studies["low_x"])), np.sort(scale(studies["high_x"]))
    beyond = len(studies) // 20
    low = min(ends.min(), middle[0], lows[beyond])
    high = max(ends.max(), middle[1], highs[-1 - beyond])
    core = max(ends.max(), middle[1]) - min(ends.min(), middle[0])
    low, high = max(low, ends.min() - 1.5 * core), min(high, ends.max() + 1.5 * core)
    room = 0.04 * (high - low)
    back = np.exp if _is_ratio(pooled.measure) else np.asarray
    return float(back(low - room)), float(back(high + room))


def _write(axes: Axes, inches: float, row: float, text: str, align: str, **words: Any) -> None:
    place = blended_transform_factory(axes.transAxes, axes.transData)
    style: dict[str, Any] = {
        "fontsize": TEXT,
        "va": "center",
        "ha": align,
        "clip_on": False,
    } | words
    axes.text(inches / (WIDTH - LEFT - RIGHT), row, text, transform=place, **style)


NAME_AT, EFFECT_AT, WEIGHT_AT = -LEFT + 0.07, WIDTH - LEFT - 0.4, WIDTH - LEFT - 0.06


def _columns(axes: Axes, pooled: Estimate, ends: tuple[str, str] = ("Study", "Wt")) -> None:
    name = (
        SHORT_NAMES.get(MEASURES[pooled.measure].name, "Effect")
        if (pooled.measure in MEASURES)
        else "Effect"
    )
    level = f"{100 * (pooled.level or 0.95):g} %"
    words: dict[str, Any] = {"fontweight": "bold"}
    _write(axes, NAME_AT, -1.0, ends[0], "left", **words)
    _write(axes, EFFECT_AT, -1.0, f"{name} ({level})", "right", **words)
    _write(axes, WEIGHT_AT, -1.0, ends[1], "right", **words)
    axes.axhline(-0.55, xmin=-2, xmax=3, color=FAINT, linewidth=0.8, clip_on=False)


def _study(axes: Axes, at: int, study: pd.Series, decimals: int, heaviest: float) -> None:
    low, high = axes.get_xlim()
    start, end = max(study["low_x"], low), min(study["high_x"], high)
    axes.plot([start, end], [at, at], color=INK, linewidth=1.0, zorder=2, gid="interval")
    for beyond, edge, mark in (
        (study["low_x"] < low, low, "<"),
        (study["high_x"] > high, high, ">"),
    ):
        if beyond:
            axes.plot(edge, at, mark, color=INK, markersize=3.4, clip_on=False)
    size = 8 + 42 * study["weight"] / heaviest
    if low <= study["x"] <= high:
        axes.scatter(study["x"], at, s=size, marker="s", color=BLUE, zorder=3, linewidths=0)
    _write(axes, NAME_AT, at, _label(str(study["label"])), "left")
    limits = f"{number(study['low_x'], decimals)}, {number(study['high_x'], decimals)}"
    _write(axes, EFFECT_AT, at, f"{number(study['x'], decimals)} ({limits})", "right")
    _write(axes, WEIGHT_AT, at, f"{study['weight']:.1f}", "right", color=QUIET)


def _label(text: str, most: int = 20) -> str:
    """Return a study's name that fits its column, with its year if it ends in one."""
    name, _, year = text.rpartition(" ")
    if len(text) <= most or not (year.isdigit() and len(year) == 4):
        return short(text, most)
    kept = short(name.rstrip(","), most - 5).replace(" &…", "…")
    return f"{kept} {year}"


def _summary(
    axes: Axes, at: float, result: Result, predicted: Estimate | None, decimals: int
) -> None:
    pooled = result["pooled"]
    axes.axhline(at - 0.7, xmin=-2, xmax=3, color=FAINT, linewidth=0.8, clip_on=False)
    across = [pooled.low, pooled.value, pooled.high, pooled.value]
    corners = np.column_stack([np.array(across, float), at + 0.38 * np.array([0, -1, 0, 1])])
    axes.add_patch(Polygon(corners, color=ORANGE, zorder=3))
    words: dict[str, Any] = {"fontweight": "bold"}
    name = "Pooled" if result.settings["model"] == "random" else "Pooled, common"
    _write(axes, NAME_AT, at, name, "left", **words)
    limits = f"({number(pooled.low, decimals)}, {number(pooled.high, decimals)})"
    text = f"{number(pooled.value, decimals)} {limits}"
    _write(axes, EFFECT_AT, at, text, "right", **words)
    _write(axes, WEIGHT_AT, at, "100", "right", **words)
    if predicted is not None and predicted.low is not None and predicted.high is not None:
        width = predicted.high - predicted.low
        bar = Rectangle((predicted.low, at + 0.86), width, 0.28, color=ORANGE, alpha=0.55)
        axes.add_patch(bar)
        _write(axes, NAME_AT, at + 1, "A new study may find", "left")
        limits = f"{number(predicted.low, decimals)}, {number(predicted.high, decimals)}"
        _write(axes, EFFECT_AT, at + 1, f"({limits})", "right")


def _reference_lines(axes: Axes, pooled: Estimate, bottom: float) -> None:
    value = float(pooled.value or 0)
    axes.plot(
        [value] * 2,
        [-0.5, bottom],
        color=ORANGE,
        linewidth=0.8,
        linestyle=(0, (4, 3)),
        zorder=1,
    )
    null = _null(pooled.measure)
    if null is not None:
        axes.plot([null] * 2, [-0.5, bottom + 2], color=QUIET, linewidth=0.9, zorder=1)


RATIO_TICKS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000)


def _effect_axis(axes: Axes, pooled: Estimate) -> None:
    low, high = axes.get_xlim()
    if _is_ratio(pooled.measure):
        ticks = [tick for tick in RATIO_TICKS if low <= tick <= high]
        while len(ticks) > 5:
            ticks = [tick for tick in ticks if tick == 1 or ticks.index(tick) % 2]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    axes.tick_params(axis="x", labelsize=TEXT)


def _sides(figure: Figure, axes: Axes, result: Result) -> None:
    """Say under the axis which side favours whom."""
    pooled = result["pooled"]
    null = _null(pooled.measure)
    if null is None or pooled.direction_better == "none":
        return
    names = [str(result.settings["comparator"]), str(result.settings["intervention"])]
    if pooled.direction_better == "lower":
        names.reverse()
    below = blended_transform_factory(axes.transData, axes.transAxes) + ScaledTranslation(
        0, -0.36, figure.dpi_scale_trans
    )
    words: dict[str, Any] = {"fontsize": TEXT, "color": QUIET, "va": "center", "transform": below}
    axes.text(null, 0, f"← favours {short(names[0], 17)}  ", ha="right", **words)
    axes.text(null, 0, f"  favours {short(names[1], 17)} →", ha="left", **words)


def _footnote(result: Result) -> str:
    tau2, i2, settings = result["tau2"], result["I2"], result.settings
    share = f"I² {i2.value:.0f} %"
    if i2.low is not None and i2.high is not None:
        share += f" ({i2.low:.0f} to {i2.high:.0f})"
    if settings["model"] == "common":
        return f"{share}; common effect"
    decimals = decimals_for(tau2.low, tau2.high)
    test = {"hartung_knapp": "Hartung-Knapp", "kenward_roger": "Kenward-Roger"}
    method = f"{settings['tau2']}, {test.get(str(settings['test']), settings['test'])}"
    return f"τ² {number(tau2.value, max(decimals, 2))}; {share}; {method}"


def _forest_alt(result: Result, studies: pd.DataFrame, decimals: int) -> str:
    pooled = result["pooled"]
    weakest, strongest = studies["x"].min(), studies["x"].max()
    spread = f"{number(weakest, decimals)} to {number(strongest, decimals)}"
    null = _null(pooled.measure)
    words = f"Forest plot of {pooled.k} studies: effects from {spread}"
    if null is not None:
        clear = int(((studies["low_x"] > null) | (studies["high_x"] < null)).sum())
        words += f", {clear} with an interval that excludes no effect"
    words += f". Pooled {interval_words(pooled, decimals)}"
    predicted = _found(result, "prediction")
    if predicted is not None:
        words += (
            f"; a new study may find {number(predicted.low, decimals)} to "
            f"{number(predicted.high, decimals)}"
        )
    return f"{words}. {_footnote(result)}."


@drawn
def pooled_rows(result: Result, *, measure: str, title: str = "") -> Picture:
    """Draw one pooled effect per row: subgroups, leaving studies out, or studies as they add up.

    Parameters
    ----------
    result
        What `subgroups`, `leave_one_out` or `cumulative` returned: a table whose first column names
        the row, with k, value, low and high on the analysis scale.
    measure
        Measure of the effects, for their scale and name.
    title
        Shown above.

    Raises
    ------
    DataError
        If the table has no such columns.
    """
    needed = {"k", "value", "low", "high"}
    if not result.known or not needed <= set(result.table):
        raise DataError(f"rows to draw need k, value, low and high; got: {result.text}")
    rows = _reader_rows(result.table, measure)
    figure, axes = _layout(len(rows), title)
    axes.set_xscale("log" if _is_ratio(measure) else "linear")
    null = _null(measure)
    ends = [*rows["low"], *rows["high"], *([] if null is None else [null])]
    axes.set_xlim(_with_room(min(ends), max(ends), measure))
    axes.set_ylim(len(rows) - 0.4, -1.6)
    pooled = Estimate(key="rows", measure=measure, level=result.settings.get("level", 0.95))
    _columns(axes, pooled, ("", "k"))
    decimals = decimals_for(0.0, float((rows["high"] - rows["low"]).median()))
    for at, row in enumerate(rows.itertuples()):
        _pooled_row(axes, at, row, decimals)
    if null is not None:
        axes.plot([null] * 2, [-0.5, len(rows) - 0.4], color=QUIET, linewidth=0.9, zorder=1)
    _effect_axis(axes, pooled)
    spread = f"{number(rows['value'].min(), decimals)} to {number(rows['value'].max(), decimals)}"
    alt = f"{len(rows)} pooled effects from {spread}. {result.text}"
    return Picture(figure, " ".join(alt.split()[:60]))


def _reader_rows(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    ends = [
        reader_scale(value, low, high, measure)
        for value, low, high in zip(table["value"], table["low"], table["high"], strict=True)
    ]
    names = table.iloc[:, 0].astype("str").tolist()
    return pd.DataFrame(ends).assign(name=names, k=table["k"].to_numpy())


def _with_room(low: float, high: float, measure: str) -> tuple[float, float]:
    if _is_ratio(measure):
        room = (high / low) ** 0.05
        return low / room, high * room
    room = 0.05 * (high - low)
    return low - room, high + room


def _pooled_row(axes: Axes, at: int, row: Any, decimals: int) -> None:
    axes.plot([row.low, row.high], [at, at], color=INK, linewidth=1.1, zorder=2, gid="interval")
    axes.scatter(row.value, at, s=28, marker="D", color=ORANGE, zorder=3, linewidths=0)
    _write(axes, NAME_AT, at, _label(row.name), "left")
    limits = f"{number(row.low, decimals)}, {number(row.high, decimals)}"
    _write(axes, EFFECT_AT, at, f"{number(row.value, decimals)} ({limits})", "right")
    _write(axes, WEIGHT_AT, at, f"{row.k:.0f}", "right", color=QUIET)


@drawn
def contour_funnel(result: Result, *, title: str = "Small studies and large ones") -> Picture:
    """Draw effects against their standard errors, with the zones of statistical significance.

    Gaps in the white zone (p above 0.1) on one side suggest that results are missing because of
    their p value; gaps elsewhere suggest other reasons (Peters et al. 2008, Journal of Clinical
    Epidemiology 61:991-996).

    Parameters
    ----------
    result
        What `evidence.synthesis.pool.pool` returned.
    title
        Shown above.

    Raises
    ------
    DataError
        If the result has no studies to draw.
    """
    if not result.known or "yi" not in result.table:
        raise DataError(f"a funnel needs a pooled result; got one that says: {result.text}")
    table, pooled = result.table, result["pooled"]
    figure, axes = canvas(3.7)
    deepest = 1.08 * float(table["se"].max())
    low, high = _funnel_limits(table, result, deepest)
    null = 0.0
    for z, shade in ((2.576, WIDE_BAND), (1.960, BAND), (1.645, "white")):
        edge = [null - z * deepest, null, null + z * deepest]
        axes.fill_between(edge, [deepest, 0, deepest], deepest, color=shade, zorder=0, linewidth=0)
    axes.axvline(null, color=QUIET, linewidth=0.9)
    centre = _pooled_on_axis(result)
    axes.axvline(centre, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.scatter(table["yi"], table["se"], s=22, color=BLUE, edgecolor="white", linewidth=0.5)
    axes.set_xlim(low, high)
    axes.set_ylim(deepest, 0)
    axes.set_ylabel("Standard error (large studies on top)")
    axes.set_xlabel(_funnel_label(axes, pooled))
    axes.set_title(title)
    _funnel_key(axes)
    return Picture(figure, _funnel_alt(table, pooled, centre))


def _pooled_on_axis(result: Result) -> float:
    found = _found(result, "pooled_analysis_scale") or result["pooled"]
    return float(found.value or 0.0)


def _funnel_limits(table: pd.DataFrame, result: Result, deepest: float) -> tuple[float, float]:
    ends = [*table["yi"], _pooled_on_axis(result), 0.0]
    spread = max(ends) - min(ends)
    reach = max(spread * 0.06, 0.4 * deepest)
    return min(ends) - reach, max(ends) + reach


def _funnel_label(axes: Axes, pooled: Estimate) -> str:
    name = MEASURES[pooled.measure].name if pooled.measure in MEASURES else "effect"
    if not _is_ratio(pooled.measure):
        return name[0].upper() + name[1:]
    low, high = np.exp(axes.get_xlim())
    ticks = [tick for tick in RATIO_TICKS if low <= tick <= high]
    axes.set_xticks(np.log(ticks), [f"{tick:g}" for tick in ticks])
    return name[0].upper() + name[1:]


def _funnel_key(axes: Axes) -> None:
    shades = [("p > 0.1 (inside)", "white"), ("0.05 to 0.1", BAND), ("0.01 to 0.05", WIDE_BAND)]
    patches = [Patch(facecolor=shade, edgecolor=FAINT, label=text) for text, shade in shades]
    line = Line2D([], [], color=ORANGE, linestyle=(0, (4, 3)), label="pooled")
    axes.legend(
        handles=[*patches, line], loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=4,
        columnspacing=1.0, handlelength=1.4,
    )  # fmt: skip


def _funnel_alt(table: pd.DataFrame, pooled: Estimate, centre: float) -> str:
    halves = table["se"] > table["se"].median()
    right = int((table.loc[halves, "yi"] > centre).sum())
    return (
        f"Funnel plot of {len(table)} studies, effect against standard error. Of the "
        f"{int(halves.sum())} smaller studies {right} lie above the pooled effect and "
        f"{int(halves.sum()) - right} below; standard errors from {table['se'].min():.2f} to "
        f"{table['se'].max():.2f}."
    )


@drawn
def specification_curve(result: Result, *, title: str = "Every combination of choices") -> Picture:
    """Draw all specifications in the order of their pooled effect, with the choices below.

    Parameters
    ----------
    result
        What `evidence.synthesis.many.multiverse` returned.
    title
        Shown above.

    Raises
    ------
    DataError
        If the result has no specifications.
    """
    if not result.known or "excludes_null" not in result.table:
        raise DataError(f"a specification curve needs a multiverse; got: {result.text}")
    table = result.table.sort_values("value", ignore_index=True)
    rows = _choice_rows(result)
    figure, (top, bottom) = canvas(
        2.6 + 0.19 * len(rows), rows=2, sharex=True,
        height_ratios=(2.1, 0.19 * len(rows) + 0.1),
    )  # fmt: skip
    _curve(top, table, result)
    _dashboard(bottom, table, rows)
    top.set_title(title)
    return Picture(figure, f"Specification curve. {result.text}")


def _choice_rows(result: Result) -> list[tuple[str, str]]:
    columns: dict[str, str] = {"tau2": "tau2_method"}
    factors: dict[str, list[str]] = dict(result.settings["factors"])
    return [
        (columns.get(factor, factor), str(choice))
        for factor, choices in factors.items()
        if len(choices) > 1
        for choice in choices
    ]


def _curve(axes: Axes, table: pd.DataFrame, result: Result) -> None:
    at = np.arange(len(table))
    for clear, colour in ((False, QUIET), (True, BLUE)):
        some = (table["excludes_null"] == clear).to_numpy()
        axes.vlines(
            at[some], table["low"][some], table["high"][some], color=colour, alpha=0.35,
            linewidth=min(3.0, 180 / len(table)),
        )  # fmt: skip
        axes.scatter(at[some], table["value"][some], s=5, color=colour, zorder=3)
    axes.axhline(float(result.settings["null"]), color=INK, linewidth=0.8)
    axes.set_ylabel("Pooled effect")
    axes.tick_params(axis="x", bottom=False, labelbottom=False)


def _dashboard(axes: Axes, table: pd.DataFrame, rows: list[tuple[str, str]]) -> None:
    at = np.arange(len(table))
    for row, (factor, choice) in enumerate(rows):
        chosen = (table[factor].astype(str) == choice).to_numpy()
        size = min(12.0, 900 / len(table))
        axes.scatter(at[chosen], np.full(chosen.sum(), row), s=size, marker="|", color=INK)
    names = [f"{factor.replace('_', ' ')}: {short(choice, 16)}" for factor, choice in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params(axis="y", labelsize=7.8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"{len(table):,} specifications, smallest effect first")
    axes.set_xticks([])


@drawn
def network_graph(table: pd.DataFrame, *, title: str = "Who was compared with whom") -> Picture:
    """Draw the treatments of a network on a circle, lines as thick as they have studies.

    Parameters
    ----------
    table
        Contrasts with study, treatment1 and treatment2.
    title
        Shown above.

    Raises
    ------
    DataError
        If a column is missing.
    """
    absent = [name for name in ("study", "treatment1", "treatment2") if name not in table]
    if absent:
        raise DataError(f"a network graph needs study, treatment1, treatment2; no {absent}.")
    names = sorted(set(table["treatment1"]) | set(table["treatment2"]))
    pairs = pd.Series([tuple(sorted(pair)) for pair in _pairs(table)]).value_counts()
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    place = dict(zip(names, np.column_stack([np.cos(angle), np.sin(angle)]), strict=True))
    figure, axes = canvas(4.6)
    for (one, other), studies in pairs.items():
        ends = np.array([place[one], place[other]])
        axes.plot(*ends.T, color=SKY, linewidth=0.8 + 4.5 * studies / pairs.max(), zorder=1)
    counts = {name: _studies_of(table, name) for name in names}
    sizes = [30 + 170 * counts[name] / max(counts.values()) for name in names]
    axes.scatter(*np.array([place[name] for name in names]).T, s=sizes, color=BLUE, zorder=2)
    for name, turn in zip(names, angle, strict=True):
        _node_label(axes, turn, f"{short(name, 24)} ({counts[name]})")
    axes.set(xlim=(-2.8, 2.8), ylim=(-2.75, 2.95), aspect="equal", title=title)
    axes.axis("off")
    return Picture(figure, _network_alt(table, names, pairs))


def _pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["treatment1"], table["treatment2"], strict=True))


def _studies_of(table: pd.DataFrame, name: str) -> int:
    inside = (table["treatment1"] == name) | (table["treatment2"] == name)
    return int(table.loc[inside, "study"].nunique())


def _node_label(axes: Axes, angle: float, text: str) -> None:
    """Write a treatment outwards from its node, so that any number of names stays apart."""
    turned = np.degrees(angle) % 360
    left = 90 < turned < 270
    axes.annotate(
        text,
        (np.cos(angle), np.sin(angle)),
        (10 * np.cos(angle), 10 * np.sin(angle)),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        rotation=turned - 180 if left else turned,
        rotation_mode="anchor",
        fontsize=8.3,
    )


def _network_alt(table: pd.DataFrame, names: list[str], pairs: pd.Series) -> str:
    most = pairs.index[0]
    return (
        f"Network of {len(names)} treatments from {table['study'].nunique()} studies with "
        f"{len(pairs)} direct comparisons; most often {most[0]} with {most[1]} "
        f"({int(pairs.iloc[0])} contrasts)."
    )
