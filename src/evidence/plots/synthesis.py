"""Pictures of evidence syntheses: funnel, specification curve, network of treatments."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from evidence.errors import DataError
from evidence.plots.forests import RATIO_TICKS
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

__all__ = ["contour_funnel", "network_graph", "specification_curve"]


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
    return Picture(figure, _funnel_alt(table, centre))


def _pooled_on_axis(result: Result) -> float:
    keys = [item.key for item in result.estimates]
    found = result["pooled_analysis_scale" if "pooled_analysis_scale" in keys else "pooled"]
    return float(found.value or 0.0)


def _funnel_limits(table: pd.DataFrame, result: Result, deepest: float) -> tuple[float, float]:
    ends = [*table["yi"], _pooled_on_axis(result), 0.0]
    spread = max(ends) - min(ends)
    reach = max(spread * 0.06, 0.4 * deepest)
    return min(ends) - reach, max(ends) + reach


def _funnel_label(axes: Axes, pooled: Estimate) -> str:
    name = MEASURES[pooled.measure].name if pooled.measure in MEASURES else "effect"
    if pooled.measure not in MEASURES or MEASURES[pooled.measure].back != "exp":
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


def _funnel_alt(table: pd.DataFrame, centre: float) -> str:
    halves = table["se"] > table["se"].median()
    smaller = int(halves.sum())
    right = int((table.loc[halves, "yi"] > centre).sum())
    sides = (
        f". Of the {smaller} smaller studies {right} lie above the pooled effect and "
        f"{smaller - right} below"
    )
    return (
        f"Funnel plot of {len(table)} stud{'ies' if len(table) != 1 else 'y'}, effect against "
        f"standard error{sides if smaller else ''}; standard errors from {table['se'].min():.2f} "
        f"to {table['se'].max():.2f}."
    )


@drawn
def specification_curve(
    result: Result,
    *,
    title: str = "Every combination of choices",
    names: Mapping[str, str] | None = None,
) -> Picture:
    """Draw all specifications in the order of their pooled effect, with the choices below.

    Parameters
    ----------
    result
        What `evidence.synthesis.many.multiverse` returned.
    title
        Shown above.
    names
        Words for choices that the result knows by a code.

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
    _dashboard(bottom, table, rows, CHOICES | dict(names or {}))
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


def _dashboard(
    axes: Axes, table: pd.DataFrame, rows: list[tuple[str, str]], spoken: Mapping[str, str]
) -> None:
    at = np.arange(len(table))
    for row, (factor, choice) in enumerate(rows):
        chosen = (table[factor].astype(str) == choice).to_numpy()
        size = min(12.0, 900 / len(table))
        axes.scatter(at[chosen], np.full(chosen.sum(), row), s=size, marker="|", color=INK)
    names = [_choice_name(factor, choice, spoken) for factor, choice in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params(axis="y", labelsize=7.8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"{len(table):,} specifications, smallest effect first")
    axes.set_xticks([])


FACTORS = {"tau2_method": "estimator", "within_study_correlation": "correlation"}
CHOICES = {
    "hartung_knapp": "Hartung-Knapp",
    "kenward_roger": "Kenward-Roger",
    "z": "normal",
    "wald": "normal",
}


def _choice_name(factor: str, choice: str, spoken: Mapping[str, str]) -> str:
    """Return factor and choice as readers know them."""
    name = FACTORS.get(factor, factor.replace("_", " "))
    return f"{name}: {short(spoken.get(choice, choice.replace('_', ' ')), 22)}"


@drawn
def network_graph(table: pd.DataFrame, *, title: str = "Who was compared with whom") -> Picture:
    """Draw the treatments of a network on a circle, lines as thick as they have studies.

    Nodes grow with the studies that had the treatment; open ones are known from a single study.

    Parameters
    ----------
    table
        Contrasts with study, treatment1 and treatment2.
    title
        Shown above.

    Raises
    ------
    DataError
        If a column is missing or there is no contrast.
    """
    absent = [name for name in ("study", "treatment1", "treatment2") if name not in table]
    if absent:
        raise DataError(f"a network graph needs study, treatment1, treatment2; no {absent}.")
    if table.empty:
        raise DataError("a network graph needs contrasts; the table has none.")
    names = sorted(set(table["treatment1"]) | set(table["treatment2"]))
    pairs = pd.Series([tuple(sorted(pair)) for pair in _pairs(table)]).value_counts()
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    place = dict(zip(names, np.column_stack([np.cos(angle), np.sin(angle)]), strict=True))
    figure, axes = canvas(5.1)
    for (one, other), studies in pairs.items():
        ends = np.array([place[one], place[other]])
        axes.plot(*ends.T, color=SKY, linewidth=0.8 + 4.5 * studies / pairs.max(), zorder=1)
    counts = {name: _studies_of(table, name) for name in names}
    sizes = [30 + 170 * counts[name] / max(counts.values()) for name in names]
    fills = ["white" if counts[name] == 1 else BLUE for name in names]
    spots = np.array([place[name] for name in names]).T
    axes.scatter(*spots, s=sizes, color=fills, edgecolor=BLUE, linewidth=1.2, zorder=2)
    texts = {name: _node_name(name, counts[name], len(names)) for name in names}
    for name, turn in zip(names, angle, strict=True):
        _node_label(axes, turn, texts[name])
    longest = max(len(line) for text in texts.values() for line in text.splitlines())
    half = WIDTH / 2 - 0.08
    reach = half / max(half - 0.17 - 0.061 * longest, 0.4)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.axis("off")
    figure.suptitle(title, x=0.02, ha="left", fontsize=11, fontweight="bold")
    return Picture(figure, _network_alt(table, names, pairs))


def _pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["treatment1"], table["treatment2"], strict=True))


def _studies_of(table: pd.DataFrame, name: str) -> int:
    inside = (table["treatment1"] == name) | (table["treatment2"] == name)
    return int(table.loc[inside, "study"].nunique())


def _node_name(name: str, studies: int, nodes: int) -> str:
    """Return name and studies, on two lines while the circle has room for them."""
    lines = textwrap.wrap(name, 17, break_on_hyphens=False) if nodes <= 24 else [short(name, 24)]
    return "\n".join([*lines[:1], short(" ".join(lines[1:]), 17)]).strip() + f" ({studies})"


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
        multialignment="right" if left else "left",
        linespacing=0.95,
        fontsize=8.3,
    )


def _network_alt(table: pd.DataFrame, names: list[str], pairs: pd.Series) -> str:
    most = pairs.index[0]
    single = sum(_studies_of(table, name) == 1 for name in names)
    once = f" {single} known from a single study." if single else ""
    return (
        f"Network of {len(names)} treatments from {table['study'].nunique()} studies with "
        f"{len(pairs)} direct comparisons; most often {most[0]} with {most[1]} "
        f"({int(pairs.iloc[0])} contrasts).{once}"
    )
