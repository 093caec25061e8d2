"""Pictures of answers side by side: analyses, subgroups or treatments with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from evidence.errors import DataError
from evidence.plots.style import (
    BLUE,
    FAINT,
    ORANGE,
    QUIET,
    WIDTH,
    Picture,
    canvas,
    drawn,
    short,
)
from evidence.results import Result
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.pool import decimals_for, number

__all__ = ["side_by_side"]

ROW = 0.215
"""Height of a row in inches."""

LEFT, RIGHT = 1.98, 1.24
"""Inches for the row's name with its studies, and for its figures."""

LONGEST_NAME = 28
MOST_DECIMALS = 2

MARKS = {"better": ("s", BLUE, BLUE), "worse": ("v", ORANGE, ORANGE)}
OPEN = ("o", "white", QUIET)
"""Shape, fill and edge of a reading; shape says what colour says."""

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@drawn
def side_by_side(result: Result, *, title: str) -> Picture:
    """Draw each answer with its interval, in the order of the table; none is pooled.

    Filled squares are intervals in favour, orange triangles against, open circles those that
    include no effect.

    Parameters
    ----------
    result
        What `evidence.synthesis.side_by_side.side_by_side` returned.
    title
        Shown above.

    Raises
    ------
    DataError
        If the result is another one, or has nothing to draw.
    """
    if not result.known or "reading" not in result.table or "null" not in result.settings:
        raise DataError(f"this picture needs answers side by side; got: {result.text}")
    table = result.table
    axes = _axes(len(table), title)
    ratio = MEASURES[str(result.settings["measure"])].back == "exp"
    axes.set_xscale("log" if ratio else "linear")
    axes.set_xlim(_limits(table, float(result.settings["null"]), ratio))
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.axvline(float(result.settings["null"]), color=QUIET, linewidth=0.9, zorder=1)
    for at, row in enumerate(table.to_dict("records")):
        _row(axes, at, row)
    _ticks(axes, ratio)
    _sides(axes, result)
    return Picture(axes.figure, _alt(result, title))  # type: ignore[arg-type]


def _axes(rows: int, title: str) -> Axes:
    top, bottom = 0.5, 0.66
    height = rows * ROW + top + bottom
    figure, axes = canvas(height)
    figure.set_layout_engine("none")
    axes.set_position(
        (LEFT / WIDTH, bottom / height, (WIDTH - LEFT - RIGHT) / WIDTH, rows * ROW / height)
    )
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    figure.text(0.02, 1 - 0.26 / height, short(title, 52), fontsize=10.5, fontweight="bold")
    return axes


def _limits(table: pd.DataFrame, null: float, ratio: bool) -> tuple[float, float]:
    """Return limits that show all values; intervals far wider than most are cut with an arrow."""
    known = table[table["value"].notna()]
    scale = np.log if ratio else np.asarray
    values = scale([*known["value"].to_numpy(float), null])
    ends = scale(known[["low", "high"]].dropna().to_numpy(float))
    if not ends.size:
        ends = np.array([[values.min(), values.max()]])
    reach = float(np.median(ends[:, 1] - ends[:, 0])) or 1.0
    low = max(ends[:, 0].min(), values.min() - reach)
    high = min(ends[:, 1].max(), values.max() + reach)
    low, high = min(low, values.min()), max(high, values.max())
    room = 0.06 * (high - low)
    back = np.exp if ratio else np.asarray
    return float(back(low - room)), float(back(high + room))


def _row(axes: Axes, at: int, row: dict[Any, Any]) -> None:
    place = blended_transform_factory(axes.transAxes, axes.transData)
    words: dict[str, Any] = {
        "transform": place,
        "va": "center",
        "fontsize": 7.9,
        "clip_on": False,
    }
    inside = WIDTH - LEFT - RIGHT
    count = "" if pd.isna(row["k"]) else f" ({int(row['k'])})"
    axes.text(
        (0.08 - LEFT) / inside,
        at,
        short(str(row["name"]), LONGEST_NAME) + count,
        ha="left",
        **words,
    )
    if pd.isna(row["value"]):
        reason = short(str(row["because"]), 38)
        axes.text(
            0.02,
            at,
            reason,
            ha="left",
            color=QUIET,
            style="italic",
            backgroundcolor="white",
            **words | {"fontsize": 7.6},
        )
        return
    decimals = min(MOST_DECIMALS, decimals_for(row["low"], row["high"]))
    figures = number(row["value"], decimals)
    if not pd.isna(row["low"]):
        figures += f" ({number(row['low'], decimals)} to {number(row['high'], decimals)})"
        _interval(axes, at, row)
    axes.text((WIDTH - LEFT - 0.05) / inside, at, figures, ha="right", **words)
    marker, fill, edge = MARKS.get(row["reading"], OPEN)
    axes.scatter(
        row["value"],
        at,
        s=28,
        marker=marker,
        facecolor=fill,
        edgecolor=edge,
        zorder=3,
        gid="answer",
    )


def _interval(axes: Axes, at: int, row: dict[Any, Any]) -> None:
    low, high = axes.get_xlim()
    colour = MARKS.get(row["reading"], OPEN)[2]
    ends = [max(row["low"], low), min(row["high"], high)]
    axes.plot(ends, [at, at], color=colour, linewidth=1.4, zorder=2, gid="interval")
    for beyond, edge, mark in ((row["low"] < low, low, "<"), (row["high"] > high, high, ">")):
        if beyond:
            axes.plot(edge, at, mark, color=colour, markersize=4, clip_on=False)


def _ticks(axes: Axes, ratio: bool) -> None:
    low, high = axes.get_xlim()
    axes.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.6)
    axes.tick_params(axis="x", labelsize=8.3)
    if not ratio:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        return
    ticks = [tick for tick in TICKS if low <= tick <= high]
    while len(ticks) > 4:
        ticks = [tick for tick in ticks if tick == 1 or ticks.index(tick) % 2]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _sides(axes: Axes, result: Result) -> None:
    settings = result.settings
    names = [str(settings["worse"]), str(settings["better"])]
    if settings["direction_better"] == "lower":
        names.reverse()
    name = MEASURES[str(settings["measure"])].name
    words: dict[str, Any] = {"fontsize": 8, "color": QUIET, "va": "center"}
    below = axes.transAxes + ScaledTranslation(0, -0.36, axes.figure.dpi_scale_trans)
    middle = 0.5 + (RIGHT - LEFT) / 2 / (WIDTH - LEFT - RIGHT)
    text = f"← favours {short(names[0], 16)}  |  favours {short(names[1], 16)} →"
    axes.text(middle, 0, text, ha="center", transform=below, **words)
    lower = axes.transAxes + ScaledTranslation(0, -0.53, axes.figure.dpi_scale_trans)
    note = f"{name}; studies in brackets; open circle: includes no effect"
    axes.text(middle, 0, note, ha="center", transform=lower, **words | {"fontsize": 7.6})


def _alt(result: Result, title: str) -> str:
    known = result.table[result.table["value"].notna()]
    listed = []
    for row in known.head(6).to_dict("records"):
        decimals = min(MOST_DECIMALS, decimals_for(row["low"], row["high"]))
        listed.append(f"{row['name']} {number(row['value'], decimals)}")
    more = f" and {len(known) - 6} more" if len(known) > 6 else ""
    return f"{title}. {result.text} Values: {', '.join(listed)}{more}."
