"""Pictures of inequality: figures by group of people, gradients, and what area averages show."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evidence.plots import style
from evidence.plots.style import (
    Picture,
    canvas,
    drawn,
    headline,
    label_points,
    require_method,
    short,
)
from evidence.results import Result
from evidence.variation import words

__all__ = ["equity", "people_and_areas", "slope"]


@drawn
def equity(result: Result) -> Picture:
    """Draw a figure by group of people, one panel for each breakdown, with intervals.

    A group without a figure keeps its row and says why; the line is everyone together.

    Parameters
    ----------
    result
        Result of `variation.equity.by_group`.

    Raises
    ------
    DataError
        If the result is another one.
    """
    require_method(result, "by_group")
    rows, asked = result.table, result.settings
    parts = list(rows.groupby("breakdown", sort=False))
    sizes = [len(part) for _, part in parts]
    figure, panels = canvas(
        1.15 + 0.21 * sum(sizes) + 0.3 * len(sizes),
        len(sizes),
        sharex=True,
        squeeze=False,
        height_ratios=[size + 0.6 for size in sizes],
    )
    for (name, part), axes in zip(parts, panels[:, 0], strict=True):
        _equity_panel(axes, name, part.reset_index(drop=True), asked["whole"])
    figure.suptitle(
        "\n".join(textwrap.wrap(f"{asked['indicator']}, {asked['period']}".strip(", "), 46)),
        x=0.01,
        ha="left",
        fontsize=11,
        fontweight="bold",
    )
    line = "\nline: everyone together" if asked["whole"] is not None else ""
    panels[-1, 0].set_xlabel(f"{asked['unit'] or 'value'}, with {_level(result)} interval{line}")
    return Picture(figure, _equity_alt(result))


def _level(result: Result) -> str:
    return f"{result.settings['level'] * 100:g}\u00a0%"


def _equity_panel(axes: Axes, name: str, part: pd.DataFrame, whole: float | None) -> None:
    axes.set_title(f"by {name}", fontsize=9.5, pad=3)
    at = np.arange(len(part))[::-1]
    if whole is not None:
        axes.axvline(whole, color=style.INK, linewidth=0.9, zorder=1)
    axes.hlines(at, part["low"], part["high"], color=style.SKY, linewidth=2.4, zorder=2)
    stated = (part["rank"] > 0).to_numpy()
    for some, face in ((stated, style.BLUE), (~stated, "white")):
        axes.scatter(
            part["value"][some], at[some], s=26, color=face, edgecolors=style.BLUE, zorder=3
        )
    for row, place in zip(part.itertuples(), at, strict=True):
        if np.isnan(row.value):
            axes.text(
                0.02,
                place,
                f"no figure: {row.status}",
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=8.5,
                color=style.QUIET,
            )
    axes.set_yticks(at, [short(group, 26) for group in part["group"]], fontsize=8.5)
    axes.set_ylim(-0.7, len(part) - 0.3)
    axes.tick_params(axis="y", length=0)


def _equity_alt(result: Result) -> str:
    rows, unit = result.table, result.settings["unit"]
    said = []
    for name, part in rows[rows["rank"] > 0].groupby("breakdown", sort=False):
        known = part[part["value"].notna()]
        if len(known):
            low, high = known["value"].min(), known["value"].max()
            said.append(f"{name} {words.amount(low, unit)} to {words.amount(high, unit)}")
        else:
            said.append(f"{name} no figure")
    absent = int(rows["value"].isna().sum())
    title = ", ".join(
        part for part in (result.settings["indicator"], result.settings["period"]) if part
    )
    without = f" {words.plural(absent, 'group')} without a figure." if absent else ""
    return f"{title or 'A figure'} by group of people: {'; '.join(said)}.{without}"


@drawn
def people_and_areas(
    result: Result, *, beside: Result | None = None, across: Result | None = None, order: str = ""
) -> Picture:
    """Draw how a figure changes over ordered groups, and below it what area averages show.

    Parameters
    ----------
    result
        Result of `variation.gradients.within_areas`: groups of all areas together.
    beside
        Result of `variation.equity.by_group` for a larger place, drawn as a line; its groups that
        have no order are left out.
    across
        Result of `variation.equity.across_areas`, drawn in a panel of its own.
    order
        What the groups are, for the axis.

    Raises
    ------
    DataError
        If a result is another one.
    """
    require_method(result, "within_areas")
    panels = 1 if across is None else 2
    figure, axes = canvas(3.4 * panels, panels, squeeze=False)
    top = axes[0, 0]
    _groups_panel(top, result, beside)
    headline(top, _name(result) if across is None else "People, by group")
    top.set_xlabel(order or "group, in order")
    alt = _gradient_alt(result, beside)
    if across is not None:
        require_method(across, "across_areas")
        _areas_panel(axes[1, 0], across)
        figure.suptitle(_name(result), x=0.01, ha="left", fontsize=11, fontweight="bold")
        alt += f" Below it area averages: {across.text}"
    return Picture(figure, alt)


def _name(result: Result) -> str:
    return result.settings["indicator"] or "Figure by group"


def _groups_panel(axes: Axes, result: Result, beside: Result | None) -> None:
    rows = result.table[result.table["value"].notna()]
    if beside is not None:
        require_method(beside, "by_group")
        known = beside.table[(beside.table["rank"] > 0) & beside.table["value"].notna()]
        axes.plot(
            known["rank"],
            known["value"],
            color=style.QUIET,
            linewidth=1.4,
            marker="s",
            markersize=4,
            label="England",
        )
    axes.vlines(rows["rank"], rows["low"], rows["high"], color=style.SKY, linewidth=2.4)
    axes.scatter(
        rows["rank"],
        rows["value"],
        s=34,
        color=style.BLUE,
        zorder=3,
        label=f"London areas together, {_level(result)} interval",
    )
    axes.set_xticks(result.table["rank"])
    axes.set_ylabel(result.settings["unit"] or "value")
    axes.legend(loc="best")


def _areas_panel(axes: Axes, across: Result) -> None:
    rows = across.table[across.table["value"].notna() & across.table["score"].notna()]
    asked = across.settings
    axes.vlines(rows["score"], rows["low"], rows["high"], color=style.FAINT, linewidth=1.6)
    axes.scatter(rows["score"], rows["value"], s=28, color=style.ORANGE, zorder=3)
    found = f", correlation {across['correlation'].value:.2f}" if across.known else ""
    headline(axes, f"Averages of {words.plural(len(rows), 'area')}{found}", 40)
    axes.set_xlabel(asked["score_label"])
    axes.set_ylabel(asked["unit"] or "value")
    if "area" in rows.columns and len(rows):
        ends = {rows["value"].idxmin(), rows["value"].idxmax()}
        texts = [short(name, 22) if at in ends else "" for at, name in rows["area"].items()]
        label_points(axes, rows["score"].tolist(), rows["value"].tolist(), texts, fontsize=8.5)


def _gradient_alt(result: Result, beside: Result | None) -> str:
    start = f"{result.text.rstrip('.')}."
    if beside is None:
        return start
    known = beside.table[(beside.table["rank"] > 0) & beside.table["value"].notna()]
    if known.empty:
        return start
    unit = beside.settings["unit"]
    ends = [words.amount(known["value"].iloc[at], unit) for at in (0, -1)]
    return f"{start} England: {ends[0]} to {ends[1]}."


@drawn
def slope(result: Result, *, ends: tuple[str, str] = ("rank 1", "last rank")) -> Picture:
    """Draw ordered groups as wide as they have people, with the line behind the slope index.

    Parameters
    ----------
    result
        Result of `variation.inequality.indices`.
    ends
        Words for the first and the last group, such as ``most deprived`` and ``least deprived``.

    Raises
    ------
    DataError
        If the result is another one.
    """
    require_method(result, "inequality")
    rows, unit = result.table, result.settings["unit"]
    share = 100 * rows["share"].to_numpy()
    right = share.cumsum()
    index, mean = (float(result[key].value or 0.0) for key in ("sii", "mean"))
    figure, axes = canvas(3.3)
    headline(axes, _name(result))
    axes.hlines(
        rows["value"],
        right - share + 0.4,
        right - 0.4,
        color=style.SKY,
        linewidth=4,
        label="group, as wide as it has people",
    )
    axes.plot(
        [0, 100],
        [mean - index / 2, mean + index / 2],
        color=style.ORANGE,
        linewidth=1.6,
        label=f"line through all people: slope index {words.gap(index, unit)}",
    )
    axes.set_xlim(0, 100)
    axes.set_ylabel(unit or "value")
    axes.set_xlabel(f"← {ends[0]}          % of people          {ends[1]} →")
    figure.legend(loc="outside lower center", ncols=1, handletextpad=0.5)
    return Picture(figure, _slope_alt(result, index, mean))


def _slope_alt(result: Result, index: float, mean: float) -> str:
    unit = result.settings["unit"]
    low, high = (words.amount(mean + half * index, unit) for half in (-0.5, 0.5))
    return (
        f"{result.text.rstrip('.')}. The line through {words.plural(len(result.table), 'group')} "
        f"runs from {low} to {high}."
    )
