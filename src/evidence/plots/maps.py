"""Pictures of places: boroughs as tiles and as a map, and an area beside those most like it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.path import Path

from evidence.errors import DataError
from evidence.plots import style
from evidence.plots.style import Picture, canvas, drawn, require_method, short
from evidence.plots.variation import MARKS
from evidence.results import Result
from evidence.variation import words

__all__ = ["choropleth", "peers", "tiles"]

SHADES = LinearSegmentedColormap.from_list("shades", ["#f4f8fb", "#b3d2e8", "#5598c6"])
"""One hue from light to dark, so that the order also shows in grey; ink reads well on all of it."""

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
    asked = result.settings
    values = _values(result, places)
    figure, axes = canvas(0.62 * (places["row"].max() - places["row"].min() + 1) + 0.95)
    _title(figure, asked)
    scale = _scale(values)
    for place, value in zip(places.itertuples(), values, strict=True):
        _tile(axes, place, value, scale, asked["unit"])
    axes.set_xlim(places["col"].min() - 0.55, places["col"].max() + 0.55)
    axes.set_ylim(places["row"].max() + 0.55, places["row"].min() - 0.55)
    axes.set_aspect("equal")
    axes.axis("off")
    _legend(axes, scale, f"{asked['unit'] or 'value'}; * borough and health area are not the same")
    return Picture(figure, _places_alt("Tile map", result, places, values))


@drawn
def choropleth(
    result: Result, places: pd.DataFrame, outlines: pd.DataFrame, *, credit: str
) -> Picture:
    """Draw a map of the boroughs, shaded by the figure of the health area that each belongs to.

    Each health area has its figure written once, in its largest borough; a triangle says that it
    lies beyond the limits that judge: the usual spread, or chance alone.

    Parameters
    ----------
    result
        Result of `variation.limits.funnel`.
    places
        One row per borough: `borough_code`, `borough`, `area_code`, and `shared` where borough and
        area are not the same.
    outlines
        Corners in order: `borough_code`, `ring`, `longitude`, `latitude` (degrees).
    credit
        Whose outlines they are, written below the map.

    Raises
    ------
    DataError
        If the result is no funnel, an area of a borough is not in it, or a borough has no outline.
    """
    values = _values(result, places)
    absent = sorted(set(places["borough_code"]) - set(outlines["borough_code"]))
    if absent:
        raise DataError(
            f"every borough must have an outline; {words.listed(absent)} has none. "
            "Pass outlines of the same boroughs."
        )
    asked = result.settings
    rings = _rings(outlines)
    figure, axes = canvas(5.0)
    _title(figure, asked)
    scale = _scale(values)
    _shade(axes, rings, dict(zip(places["borough_code"], values, strict=True)), scale)
    written = _writable(places.assign(value=values), rings)
    _write_figures(axes, result, written, scale)
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.axis("off")
    _legend(
        axes,
        scale,
        f"{asked['unit'] or 'value'}; ▲ ▼ beyond {_limits(asked)}; hatched: no figure"
        + _together(places, written),
    )
    figure.supxlabel(textwrap.fill(credit, 76), x=0.01, ha="left", fontsize=8, color=style.QUIET)
    return Picture(figure, _places_alt("Map", result, places, values))


def _rings(outlines: pd.DataFrame) -> pd.DataFrame:
    """Return each outline once: its borough, corners in the plane, area, and where to write in it.

    A degree of longitude is shorter than one of latitude by the cosine of the latitude.
    """
    shrink = np.cos(np.radians(outlines["latitude"].mean()))
    rows = []
    for (code, _), corners in outlines.groupby(["borough_code", "ring"], sort=False):
        x, y = corners["longitude"].to_numpy() * shrink, corners["latitude"].to_numpy()
        ring = np.column_stack([x, y])
        size = abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2
        rows.append((code, ring, size, *_widest(ring)))
    return pd.DataFrame(rows, columns=["borough_code", "corners", "size", "x", "y"])


def _widest(ring: np.ndarray) -> np.ndarray:
    """Return the point of a fine grid inside an outline that lies farthest from its edges.

    Letters need more room to their sides than above and below.
    """
    low, high = ring.min(axis=0), ring.max(axis=0)
    grid = np.meshgrid(*np.linspace(low, high, 14)[1:-1].T)
    points = np.column_stack([axis.ravel() for axis in grid])
    inside = points[Path(ring).contains_points(points)]
    if not len(inside):
        return ring.mean(axis=0)
    room = np.array([0.6, 1.0])
    start, step = ring[:-1] * room, np.diff(ring, axis=0) * room
    away = (inside * room)[:, None] - start
    along = np.clip((away * step).sum(axis=2) / (step**2).sum(axis=1), 0, 1)
    gaps = np.linalg.norm(away - along[:, :, None] * step, axis=2)
    return inside[gaps.min(axis=1).argmax()]


def _shade(axes: Axes, rings: pd.DataFrame, values: dict[str, float], scale: Normalize) -> None:
    found = rings["borough_code"].map(values)
    for rows, look in (
        (found.notna(), {"facecolors": SHADES(scale(found[found.notna()]))}),
        (found.isna(), {"facecolors": "white", "hatch": "////"}),
    ):
        if rows.any():
            shapes = PolyCollection(
                rings.loc[rows, "corners"].tolist(), edgecolors=style.QUIET, linewidths=0.6, **look
            )
            axes.add_collection(shapes)


def _writable(places: pd.DataFrame, rings: pd.DataFrame) -> pd.DataFrame:
    """Return the largest borough of each health area, with the widest place in it."""
    largest = rings.sort_values("size", ascending=False).drop_duplicates("borough_code")
    found = places.merge(largest, on="borough_code").sort_values("size", ascending=False)
    return found.drop_duplicates("area_code").sort_index()


def _limits(asked: Mapping[str, Any]) -> str:
    return "chance alone" if asked["overdispersion"] == "none" else "the usual spread"


def _together(places: pd.DataFrame, written: pd.DataFrame) -> str:
    """Return a line that names the boroughs without a figure of their own on the map."""
    owner = written.set_index("area_code")["borough"]
    others = places[~places["borough_code"].isin(written["borough_code"])]
    if others.empty:
        return ""
    said = [f"{row.borough}: one area with {owner[row.area_code]}" for row in others.itertuples()]
    return "\n" + "; ".join(said)


def _write_figures(axes: Axes, result: Result, places: pd.DataFrame, scale: Normalize) -> None:
    position = result.table.set_index("area_code")["position"]
    mark = {"above": "\n▲", "below": "\n▼"}
    for place in places[places["value"].notna()].itertuples():
        written = f"{place.value:.0f}" if place.value >= 10 else f"{place.value:.1f}"
        both = f"{written}{mark.get(position[place.area_code], '')}"
        _centred(axes, place.x, place.y, both, size=8, spacing=0.9)


def _centred(axes: Axes, x: float, y: float, text: str, *, size: float, spacing: float) -> None:
    axes.text(
        x,
        y,
        text,
        ha="center",
        va="center",
        fontsize=size,
        linespacing=spacing,
        color=style.INK,
    )


def _scale(values: np.ndarray) -> Normalize:
    """Return the shades' ends; any will do where no borough has a figure."""
    known = values[~np.isnan(values)]
    return Normalize(known.min(), known.max()) if len(known) else Normalize(0, 1)


def _values(result: Result, places: pd.DataFrame) -> np.ndarray:
    """Return the figure of each borough's health area."""
    require_method(result, "funnel")
    figures = result.table.set_index("area_code")["value"]
    absent = sorted(set(places["area_code"]) - set(figures.index))
    if absent:
        raise DataError(
            f"every borough's area must be in the result; {words.listed(absent)} is not. "
            "Pass the places of the same year."
        )
    return places["area_code"].map(figures).to_numpy(dtype=float)


def _legend(axes: Axes, scale: Normalize, label: str) -> None:
    bar = axes.get_figure().colorbar(  # type: ignore[union-attr]
        mpl.cm.ScalarMappable(scale, SHADES), ax=axes, orientation="horizontal", aspect=40, pad=0.02
    )
    bar.outline.set_visible(False)
    bar.set_label(label)


def _title(figure: Figure, asked: Mapping[str, Any]) -> None:
    """Write the title over the whole width, because maps and names leave the axes little of it."""
    name = f"{asked['indicator']}, {asked['period']}".strip(", ")
    figure.suptitle(
        "\n".join(textwrap.wrap(name, 46)), x=0.01, ha="left", fontsize=11, fontweight="bold"
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
    written = _figure(value, unit) if known else "–"
    star = "*" if place.shared else ""  # type: ignore[attr-defined]
    _centred(axes, col, row, f"{name[:LETTERS]}{star}\n{written}", size=8.5, spacing=1.25)


def _figure(value: float, unit: str) -> str:
    return f"{value:.0f}" if unit == "%" or abs(value) >= 100 else words.number(value)


def _places_alt(kind: str, result: Result, places: pd.DataFrame, values: np.ndarray) -> str:
    asked = result.settings
    names = places["area_code"].map(result.table.set_index("area_code")["area"]).to_numpy()
    title = ", ".join(part for part in (asked["indicator"], asked["period"]) if part)
    if np.isnan(values).all():
        return f"{kind} of {title or 'a figure'}: no borough has a figure."
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    shared = places.loc[places["shared"], "borough"].tolist()
    differ = f" Borough and area differ in {words.listed(shared, 5)}." if shared else ""
    return (
        f"{kind} of {title or 'a figure'}, {words.plural(len(places), 'borough')} with the "
        f"figure of their health area: from {words.amount(values[low], asked['unit'])} "
        f"({names[low]}) to {words.amount(values[high], asked['unit'])} ({names[high]}).{differ}"
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
    require_method(result, "funnel")
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
    _title(figure, asked)
    at = np.arange(len(shown))[::-1]
    if result.known:
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
    line = "line: all areas; " if result.known else ""
    axes.set_xlabel(
        f"{asked['unit'] or 'value'}, with 95\u00a0% interval\n"
        f"{line}in brackets: distance\n(standard deviations)",
        fontsize=8.5,
    )
    return Picture(figure, _peers_alt(shown, asked["unit"], asked["indicator"]))


def _peers_alt(shown: pd.DataFrame, unit: str, indicator: str) -> str:
    figures = [
        f"{row.area} {words.amount(row.value, unit) if row.value == row.value else 'no figure'}"
        for row in shown.itertuples()
    ]
    return f"{indicator or 'A figure'}: {figures[0]}; areas most like it: {', '.join(figures[1:])}."
