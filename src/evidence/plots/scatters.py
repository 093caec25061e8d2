"""Pictures of studies as points: effect against a moderator, events in two groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from evidence.errors import DataError
from evidence.plots.forests import RATIO_TICKS
from evidence.plots.style import (
    BAND,
    BLUE,
    ORANGE,
    QUIET,
    Picture,
    canvas,
    drawn,
    headline,
    label_points,
    short,
)
from evidence.results import Result
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.pool import decimals_for, number

__all__ = ["bubble", "labbe"]

NAMED = 2
"""Studies named besides their bubble: those farthest from the line."""

ARMS = {"ai": "ai", "n1i": "n1i", "ci": "ci", "n2i": "n2i"}


@drawn
def bubble(
    result: Result, studies: pd.DataFrame, *, label: str = "", title: str = "", study: str = "study"
) -> Picture:
    """Draw effects against one numeric moderator, with the regression line and its interval.

    Bubbles have areas in proportion to the weights; the band is the interval of the mean effect
    (none after Kenward-Roger, whose covariance cannot be rebuilt from the coefficients).

    Parameters
    ----------
    result
        What `evidence.synthesis.regression.meta_regression` returned for one numeric moderator.
    studies
        The table that was regressed: ``yi``, ``vi`` and the moderator.
    label
        Moderator in words, with its unit; its column's name when empty.
    title
        Shown above.
    study
        Column with the study's name.

    Raises
    ------
    DataError
        If the result is no such regression, or the table lacks its columns.
    """
    moderators = list(result.settings.get("moderators", []))
    if not result.known or len(moderators) != 1 or len(result.table) != 2:
        raise DataError(f"a bubble plot needs one numeric moderator; got: {result.text}")
    moderator = str(moderators[0])
    absent = [name for name in ("yi", "vi", moderator) if name not in studies]
    if absent:
        raise DataError(f"a bubble plot needs the studies regressed; the table has no {absent[0]}.")
    usable = studies.dropna(subset=["yi", "vi", moderator])
    weights = 1 / (usable["vi"].to_numpy(float) + float(result["tau2"].value or 0.0))
    x, y = usable[moderator].to_numpy(float), usable["yi"].to_numpy(float)
    grid = np.linspace(x.min(), x.max(), 60)
    mean, half = _line(result.table, np.column_stack([np.ones(len(x)), x]), weights, grid)
    figure, axes = canvas(3.5)
    if result.settings.get("test") != "kenward_roger":
        axes.fill_between(grid, mean - half, mean + half, color=BAND, zorder=0, linewidth=0)
    axes.plot(grid, mean, color=ORANGE, linewidth=1.5, gid="line")
    size = 8 + 130 * weights / weights.max()
    axes.scatter(x, y, s=size, color=BLUE, alpha=0.65, edgecolor="white", linewidth=0.6)
    measure = str(studies["measure"].iloc[0]) if "measure" in studies else ""
    axes.axhline(0.0, color=QUIET, linewidth=0.9, zorder=1)
    words = label or moderator.replace("_", " ")
    axes.set_xlabel(_capital(words))
    _effect_label(axes, measure)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=bool((x == x.round()).all())))
    headline(axes, title or f"Effect by {words}")
    if study in usable:
        away = np.abs(y - np.interp(x, grid, mean))
        far = away >= np.sort(away)[-NAMED:].min()
        names = [short(str(n), 22) if f else "" for n, f in zip(usable[study], far, strict=True)]
        label_points(axes, x.tolist(), y.tolist(), names, fontsize=8)
    return Picture(figure, _bubble_alt(result, words, x))


def _line(
    table: pd.DataFrame, design: np.ndarray, weights: np.ndarray, grid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the fitted line and half its interval, with the coefficients' covariance rebuilt."""
    shape = np.linalg.inv(design.T @ (weights[:, None] * design))
    slope = table.iloc[1]
    scale = float(slope["se"]) ** 2 / shape[1, 1]
    at = np.column_stack([np.ones(len(grid)), grid])
    spread = np.sqrt(scale * np.einsum("ij,jk,ik->i", at, shape, at))
    quantile = (float(slope["high"]) - float(slope["value"])) / float(slope["se"])
    return at @ table["value"].to_numpy(float), quantile * spread


def _effect_label(axes: Axes, measure: str) -> None:
    name = MEASURES[measure].name if measure in MEASURES else "effect"
    axes.set_ylabel(name[0].upper() + name[1:])
    if measure in MEASURES and MEASURES[measure].back == "exp":
        low, high = np.exp(axes.get_ylim())
        ticks = [tick for tick in RATIO_TICKS if low <= tick <= high]
        axes.set_yticks(np.log(ticks), [f"{tick:g}" for tick in ticks])


def _bubble_alt(result: Result, words: str, x: np.ndarray) -> str:
    slope = result.table.iloc[1]
    decimals = max(decimals_for(float(slope["low"]), float(slope["high"])), 2)
    value, low, high = (number(float(slope[name]), decimals) for name in ("value", "low", "high"))
    reading = "excludes" if slope["low"] > 0 or slope["high"] < 0 else "includes"
    ends = f"{_plain(x.min())} to {_plain(x.max())}"
    return (
        f"Bubble plot of {len(x)} studies: effect against {words} from {ends}. The line changes "
        f"by {value} per unit (interval {low} to {high}, which {reading} no change)."
    )


def _plain(value: float) -> str:
    """Return a number without a comma in it, because it may be a year."""
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"


@drawn
def labbe(
    result: Result, *, columns: dict[str, str] | None = None, event: str = "", title: str = ""
) -> Picture:
    """Draw the share of people with the event in each study: treated against control.

    L'Abbé, Detsky and O'Rourke 1987 (Annals of Internal Medicine 107:224-233). On the grey line
    both groups fare alike; the dashed curve is the pooled effect at each share in control.

    Parameters
    ----------
    result
        What `evidence.synthesis.pool.pool` returned for ``RR``, ``OR`` or ``RD``, from a table that
        holds the events and people of both groups.
    columns
        Names of those columns by their letters ai, n1i, ci, n2i; the letters themselves if absent.
    event
        What is counted, such as ``respond``.
    title
        Shown above; the outcome when empty.

    Raises
    ------
    DataError
        If the result is of another measure or its table lacks a column.
    """
    names = ARMS | (columns or {})
    measure = str(result.settings.get("measure", ""))
    if not result.known or measure not in CURVES:
        raise DataError(f"a L'Abbé plot needs a pooled RR, OR or RD; got: {result.text}")
    absent = [name for name in names.values() if name not in result.table]
    if absent:
        raise DataError(
            f"a L'Abbé plot needs events and people of both groups; the table has no {absent[0]}."
        )
    ai, n1, ci, n2 = (result.table[names[letter]].to_numpy(float) for letter in ARMS)
    treated, control = 100 * ai / n1, 100 * ci / n2
    figure, axes = canvas(4.3)
    axes.plot([0, 100], [0, 100], color=QUIET, linewidth=0.9, zorder=1)
    grid = np.linspace(0, 1, 101)
    curve = 100 * CURVES[measure](grid, float(result["pooled"].value or 0.0))
    axes.plot(100 * grid, curve, color=ORANGE, linewidth=1.4, linestyle=(0, (4, 3)), gid="pooled")
    size = 12 + 170 * (n1 + n2) / (n1 + n2).max()
    axes.scatter(control, treated, s=size, color=BLUE, alpha=0.65, edgecolor="white", zorder=3)
    axes.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    what = event or "have the event"
    axes.set_xlabel(_capital(f"{result.settings['comparator']}: % who {what}"))
    axes.set_ylabel(_capital(f"{result.settings['intervention']}: % who {what}"))
    headline(axes, title or result["pooled"].outcome or "Both groups of each study")
    words: dict[str, Any] = {"fontsize": 8, "rotation": 45, "rotation_mode": "anchor"}
    axes.text(80, 78, "both alike", va="top", color=QUIET, **words)
    axes.legend(
        handles=[
            Line2D([], [], color=ORANGE, linestyle=(0, (4, 3)), label="pooled effect"),
            Line2D(
                [], [], marker="o", linewidth=0, color=BLUE, alpha=0.65, label="study, area: people"
            ),
        ],
        loc="lower right",
    )
    above = int((treated > control).sum())
    return Picture(figure, _labbe_alt(result, above, len(ai), (control, treated), what))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _capped(risk: np.ndarray) -> np.ndarray:
    return np.where((risk >= 0) & (risk <= 1), risk, np.nan)


CURVES: dict[str, Callable[[np.ndarray, float], Any]] = {
    "RR": lambda risk, effect: _capped(effect * risk),
    "RD": lambda risk, effect: _capped(risk + effect),
    "OR": lambda risk, effect: effect * risk / (1 - risk + effect * risk),
}
"""Share with the event in the treated by the share in control, at a pooled effect."""


def _labbe_alt(result: Result, above: int, k: int, shares: tuple[Any, Any], what: str) -> str:
    control, treated = shares
    names = result.settings
    pooled = result["pooled"]
    decimals = decimals_for(pooled.low, pooled.high)
    return (
        f"L'Abbé plot of {k} studies: in {above} more people {what} with {names['intervention']} "
        f"than with {names['comparator']}. Shares from {control.min():.0f} to "
        f"{control.max():.0f}\u00a0% with {names['comparator']}, {treated.min():.0f} to "
        f"{treated.max():.0f}\u00a0% with {names['intervention']}; pooled "
        f"{MEASURES[pooled.measure].name} {number(pooled.value, decimals)}."
    )
