"""Pictures of networks of treatments: the league of all comparisons as a heat map."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.patches import Rectangle

from evidence.errors import DataError
from evidence.plots.style import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    QUIET,
    WIDE_BAND,
    WIDTH,
    Picture,
    canvas,
    drawn,
    short,
)
from evidence.results import Result
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.pool import number
from evidence.synthesis.side_by_side import ranked

__all__ = ["league"]

NAMES = 1.8
"""Inches for the treatments' names."""

SHADES = LinearSegmentedColormap.from_list("better", [ORANGE, "#f6e3d6", "white", "#d3e6f2", BLUE])


@drawn
def league(result: Result, *, title: str = "Every treatment against every other") -> Picture:
    """Draw the league of a network: effects below the diagonal, direct trials above it.

    Treatments stand in the order of their P-scores. A cell below the diagonal compares the
    treatment of its column with that of its row: blue where the column's is better, with a dot
    where the interval excludes no effect. A number above it counts the studies that compared the
    two directly; empty cells rest on indirect evidence alone.

    Parameters
    ----------
    result
        What `evidence.synthesis.network.network_pool` returned.
    title
        Shown above.

    Raises
    ------
    DataError
        If the result is no network.
    """
    if not result.known or "direct_studies" not in result.table:
        raise DataError(f"a league needs a network meta-analysis; got: {result.text}")
    names = ranked(result)
    pairs = result.table.set_index(["treatment", "against"])
    side = (WIDTH - NAMES - 0.12) / len(names)
    height = side * len(names) + 1.35
    figure, axes = canvas(height)
    figure.set_layout_engine("none")
    width = WIDTH - NAMES - 0.12
    axes.set_position((NAMES / WIDTH, 0.78 / height, width / WIDTH, width / height))
    norm = _norm(result.table)
    for row, below in enumerate(names):
        for column, above in enumerate(names[:row]):
            _effect(axes, column, row, pairs.loc[(above, below)], result, norm)
            _direct(axes, row, column, int(pairs.loc[(above, below), "direct_studies"]))
    _frame(axes, names)
    _key(axes, result, norm, height)
    figure.text(0.02, 1 - 0.26 / height, title, fontsize=11, fontweight="bold")
    return Picture(figure, _alt(result, names))


def _norm(table: pd.DataFrame) -> TwoSlopeNorm:
    """Return shades that are full at 2.5 medians, so that one extreme does not pale the rest."""
    top = 2.5 * float(table["value"].abs().median()) or 1.0
    return TwoSlopeNorm(0.0, -top, top)


def _effect(
    axes: Axes, x: int, y: int, pair: pd.Series, result: Result, norm: TwoSlopeNorm
) -> None:
    sign = -1.0 if result.settings["direction_better"] == "lower" else 1.0
    shade = SHADES(norm(sign * pair["value"]))
    axes.add_patch(
        Rectangle(
            (x - 0.5, y - 0.5), 1, 1, facecolor=shade, edgecolor=FAINT, linewidth=0.5, gid="effect"
        )
    )
    if pair["low"] > 0 or pair["high"] < 0:
        axes.scatter(x, y, s=5, color=INK, linewidths=0, gid="clear")


def _direct(axes: Axes, x: int, y: int, studies: int) -> None:
    box = Rectangle(
        (x - 0.5, y - 0.5),
        1,
        1,
        facecolor=WIDE_BAND if studies else "white",
        edgecolor=FAINT,
        linewidth=0.5,
    )
    axes.add_patch(box)
    if studies:
        axes.text(x, y, str(studies), ha="center", va="center", fontsize=6.8, gid="direct")


def _frame(axes: Axes, names: list[str]) -> None:
    count = len(names)
    for at in range(count):
        axes.add_patch(Rectangle((at - 0.5, at - 0.5), 1, 1, facecolor=QUIET, linewidth=0))
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(
        range(count), [f"{short(name, 28)} {at + 1}" for at, name in enumerate(names)], fontsize=7.4
    )
    numbers = [str(at) if at < 10 or at % 2 == 0 else "" for at in range(1, count + 1)]
    axes.set_xticks(range(count), numbers, fontsize=6.8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=2)
    for side in axes.spines.values():
        side.set_visible(False)


def _key(axes: Axes, result: Result, norm: TwoSlopeNorm, height: float) -> None:
    figure = axes.get_figure()
    bar = figure.add_axes((NAMES / WIDTH, 0.5 / height, 0.42, 0.11 / height))  # type: ignore[union-attr]
    measure = MEASURES.get(str(result.settings["measure"]))
    ratio = measure is not None and measure.back == "exp"
    shown = figure.colorbar(ScalarMappable(norm, SHADES), cax=bar, orientation="horizontal")  # type: ignore[union-attr]
    ends = [norm.vmin or 0.0, (norm.vmin or 0.0) / 2, 0.0, (norm.vmax or 0.0) / 2, norm.vmax or 0.0]
    sign = -1.0 if result.settings["direction_better"] == "lower" else 1.0
    values = [float(np.exp(sign * end)) if ratio else sign * end for end in ends]
    shown.set_ticks(ends, labels=[number(value, 1) for value in values])
    bar.tick_params(labelsize=7.4, length=2)
    shown.outline.set_linewidth(0.4)
    name = "effect" if measure is None else measure.name
    note = (
        f"below: {name}, column against row (blue: column better; dot: interval\n"
        "excludes no effect); above: trials that compared the two directly"
    )
    figure.text(0.02, 0.05 / height, note, fontsize=7.2, color=QUIET, va="bottom")  # type: ignore[union-attr]


def _alt(result: Result, names: list[str]) -> str:
    half = result.table[result.table["treatment"] < result.table["against"]]
    clear = int(((half["low"] > 0) | (half["high"] < 0)).sum())
    direct = int((half["direct_studies"] > 0).sum())
    return (
        f"League of {len(names)} treatments as a heat map: {clear} of {len(half)} comparisons "
        f"have an interval that excludes no effect, {direct} were studied directly. Ranked highest "
        f"{', '.join(names[:3])}; lowest {', '.join(names[-3:])}."
    )
