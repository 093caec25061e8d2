"""Pictures of places: the boroughs as a grid of tiles, and an area beside those most like it."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle

from evidence.errors import DataError
from evidence.plots import style
from evidence.plots.style import Picture, canvas, drawn, headline, short
from evidence.plots.variation import MARKS
from evidence.results import Result
from evidence.variation import words

__all__ = ["peers", "tiles"]

SHADES = LinearSegmentedColormap.from_list("shades", ["#f2f6f9", "#9fc6e0", "#0b4f7d"])
"""One hue from light to dark, so that the order also shows in grey."""

LETTERS = 4
"""Letters of a borough's name on its tile: the fewest that tell the boroughs apart."""


@drawn
def tiles(result: Result, places: pd.DataFrame) -> Picture:
    """Draw the boroughs as tiles with the figure of the health area that each belongs to.

    Parameters
    ----------
    result
        Result of `variation.limits.funnel`.
    places
        One row per borough: `borough`, `row`, `col`, `area_code`, and `shared` where borough and
        area are not the same.

    Raises
    ------
    DataError
        If the result is no funnel, or an area of a borough is not in it.
    """
    _require_funnel(result)
    asked = result.settings
    figures = result.table.set_index("area_code")["value"]
    absent = sorted(set(places["area_code"]) - set(figures.index))
    if absent:
        raise DataError(
            f"every borough's area must be in the result; {words.listed(absent)} is not. "
            "Pass the places of the same year."
        )
    values = places["area_code"].map(figures).to_numpy(dtype=float)
    figure, axes = canvas(0.62 * (places["row"].max() + 1) + 0.9)
    headline(axes, f"{asked['indicator']}, {asked['period']}".strip(", "))
    scale = Normalize(np.nanmin(values), np.nanmax(values))
    for place, value in zip(places.itertuples(), values, strict=True):
        _tile(axes, place, value, scale, asked["unit"])
    axes.set_xlim(places["col"].min() - 0.55, places["col"].max() + 0.55)
    axes.set_ylim(places["row"].max() + 0.55, places["row"].min() - 0.55)
    axes.set_aspect("equal")
    axes.axis("off")
    bar = figure.colorbar(
        mpl.cm.ScalarMappable(scale, SHADES), ax=axes, orientation="horizontal", aspect=40, pad=0.02
    )
    bar.outline.set_visible(False)
    bar.set_label(f"{asked['unit'] or 'value'}; * borough and health area are not the same")
    return Picture(figure, _tiles_alt(result, places, values))


def _require_funnel(result: Result) -> None:
    if result.settings.get("method") != "funnel":
        raise DataError(
            "this picture draws a result of funnel; got one of "
            f"{result.settings.get('method', 'another method')!r}. Pass the right result."
        )


def _tile(axes: Axes, place: object, value: float, scale: Normalize, unit: str) -> None:
    row, col, name = place.row, place.col, place.borough  # type: ignore[attr-defined]
    known = not np.isnan(value)
    colour = SHADES(scale(value)) if known else "white"
    axes.add_patch(
        Rectangle(
            (col - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour, edgecolor=style.FAINT, lw=0.6
        )
    )
    dark = known and scale(value) > 0.6
    written = _figure(value, unit) if known else "–"
    star = "*" if place.shared else ""  # type: ignore[attr-defined]
    axes.text(
        col,
        row,
        f"{name[:LETTERS]}{star}\n{written}",
        ha="center",
        va="center",
        fontsize=8.5,
        linespacing=1.25,
        color="white" if dark else style.INK,
    )


def _figure(value: float, unit: str) -> str:
    return f"{value:.0f}" if unit == "%" or abs(value) >= 100 else words.number(value)


def _tiles_alt(result: Result, places: pd.DataFrame, values: np.ndarray) -> str:
    asked = result.settings
    names = places["borough"].to_numpy()
    title = ", ".join(part for part in (asked["indicator"], asked["period"]) if part)
    if np.isnan(values).all():
        return f"Tile map of {title or 'a figure'}: no borough has a figure."
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    shared = places.loc[places["shared"], "borough"].tolist()
    return (
        f"Tile map of {title or 'a figure'}, {words.plural(len(places), 'borough')} with the "
        f"figure of their health area: from {words.amount(values[low], asked['unit'])} "
        f"({names[low]}) to {words.amount(values[high], asked['unit'])} ({names[high]}). "
        f"Borough and area differ in {words.listed(shared, 5)}."
    )


@drawn
def peers(result: Result, nearest: pd.DataFrame, area_code: str) -> Picture:
    """Draw an area's figure beside those of the areas most like it, nearest first.

    Parameters
    ----------
    result
        Result of `variation.limits.funnel`.
    nearest
        From `variation.areas.peers`.
    area_code
        The area.

    Raises
    ------
    DataError
        If the result is no funnel, or does not hold the area or a peer, or it has no peers.
    """
    _require_funnel(result)
    mine = nearest[nearest["area_code"] == area_code].sort_values("rank")
    rows = result.table.set_index("area_code")
    chosen = [area_code, *mine["peer"]]
    absent = [code for code in chosen if code not in rows.index]
    if absent or mine.empty:
        raise DataError(
            f"an area and its peers must be in the result; {words.listed(absent) or area_code} is "
            "not, or has no peers. Choose another area."
        )
    shown = rows.loc[chosen].reset_index()
    asked = result.settings
    figure, axes = canvas(1.3 + 0.27 * len(shown))
    headline(axes, f"{asked['indicator']}, {asked['period']}".strip(", "), 30)
    at = np.arange(len(shown))[::-1]
    axes.axvline(asked["target"], color=style.INK, linewidth=0.9, zorder=1)
    axes.hlines(at, shown["low"], shown["high"], color=style.FAINT, linewidth=2.4, zorder=2)
    for place, row in zip(at, shown.itertuples(), strict=True):
        colour, marker = MARKS[row.judgement]
        axes.scatter([row.value], [place], s=34, color=colour, marker=marker, zorder=3)
    distance = ["", *(f" ({far:.1f})" for far in mine["distance"])]
    axes.set_yticks(
        at,
        [f"{short(name, 24)}{far}" for name, far in zip(shown["area"], distance, strict=True)],
        fontsize=8.5,
    )
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(
        f"{asked['unit'] or 'value'}, with 95 % interval; line: all areas\n"
        "in brackets: distance, in standard deviations",
        fontsize=8.5,
    )
    return Picture(figure, _peers_alt(shown, asked["unit"], asked["indicator"]))


def _peers_alt(shown: pd.DataFrame, unit: str, indicator: str) -> str:
    figures = [
        f"{row.area} {words.amount(row.value, unit) if row.value == row.value else 'no figure'}"
        for row in shown.itertuples()
    ]
    return f"{indicator or 'A figure'}: {figures[0]}; areas most like it: {', '.join(figures[1:])}."
