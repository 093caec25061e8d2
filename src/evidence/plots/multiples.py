"""Pictures of many things at once: services month by month, and indicators side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evidence.errors import DataError
from evidence.plots import style
from evidence.plots.style import Picture, canvas, drawn, require_method, short
from evidence.plots.variation import POINTS
from evidence.results import Result
from evidence.variation import words

__all__ = ["small_multiples", "spread"]

ACROSS = 3
"""Charts side by side: as many as stay legible on a phone."""

READ = {
    "improvement": "better",
    "concern": "worse",
    "neutral high": "high",
    "neutral low": "low",
    "at a break": "at a break, not judged",
}


@drawn
def small_multiples(charts: Mapping[str, Result]) -> Picture:
    """Draw many control charts, each in a small panel, breaks marked and labelled.

    Percentages share one scale; counts have their own, because services differ in size.

    Parameters
    ----------
    charts
        Results of `variation.spc.xmr` by title; one without a chart keeps its panel and reason.

    Raises
    ------
    DataError
        If there is no chart, a result is another one, or charts span different periods.
    """
    known = {name: chart for name, chart in charts.items() if chart.known}
    if not known or any(chart.settings.get("method") != "xmr" for chart in known.values()):
        raise DataError("small multiples draw results of xmr; got another one or none.")
    _require_one_time(known)
    asked = next(iter(known.values())).settings
    down = -(-len(charts) // ACROSS)
    shared = asked["unit"] == "%"
    figure, panels = canvas(down + 0.9, down, ncols=ACROSS, squeeze=False, sharey=shared)
    _arrange(figure, down, shared)
    ends = {name: _ends(chart.table) for name, chart in known.items()}
    if shared:
        lows, highs = zip(*ends.values(), strict=True)
        ends = dict.fromkeys(ends, (min(lows), max(highs)))
    for item, axes in zip_longest(charts.items(), panels.flat):
        if item is None:
            axes.axis("off")
        else:
            axes.set(autoscale_on=False, ylim=ends.get(item[0], (0, 1)))
            _panel(axes, *item)
    _ends_of_time(panels, [chart.table["period"] for chart in known.values()])
    figure.suptitle(
        f"{asked['indicator']}, {asked['unit']}",
        x=0.01,
        y=0.998,
        ha="left",
        fontsize=10,
        fontweight="bold",
    )
    handles = {
        label: handle
        for axes in panels.flat
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="lower center",
        ncols=3,
        handletextpad=0.4,
        columnspacing=1.0,
    )
    return Picture(figure, _multiples_alt(charts, asked))


def _require_one_time(known: Mapping[str, Result]) -> None:
    """Refuse charts whose panels could not stand above one axis of time."""
    first, *others = ((name, chart.table["period"].tolist()) for name, chart in known.items())
    apart = [name for name, periods in others if periods != first[1]]
    if apart:
        raise DataError(
            f"small multiples share their periods; {words.listed(apart)} has others than "
            f"{first[0]}. Give every series a row for each period."
        )


def _arrange(figure: Figure, down: int, shared: bool) -> None:
    """Settle the layout at once: to measure the text of every panel takes longer than drawing."""
    figure.set_layout_engine(None)
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.055 if shared else 0.085,
        right=0.97,
        bottom=0.72 / height,
        top=1 - 0.42 / height,
        wspace=0.16 if shared else 0.42,
        hspace=0.34,
    )


def _ends(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the scale of one chart: its points and limits with a little room."""
    shown = rows[["value", "lower", "upper"]]
    low, high = float(shown.min().min()), float(shown.max().max())
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _panel(axes: Axes, name: str, chart: Result) -> None:
    axes.set_title(short(name.replace(" and ", " & "), 21), fontsize=8, fontweight="normal", pad=2)
    axes.tick_params(labelsize=8, length=2, pad=1)
    axes.locator_params(axis="y", nbins=3)
    if not chart.known:
        axes.text(0.5, 0.5, "no chart", transform=axes.transAxes, ha="center", fontsize=8)
        axes.set_xticks([])
        return
    rows = chart.table
    at = np.arange(len(rows))
    for _, part in rows.assign(at=at).groupby("segment"):
        edges = [part["at"].iloc[0] - 0.5, part["at"].iloc[-1] + 0.5]
        low, mean, high = (part[line].iloc[-1] for line in ("lower", "mean", "upper"))
        axes.fill_between(edges, low, high, color=style.BAND, linewidth=0, zorder=0)
        axes.plot(edges, [mean, mean], color=style.INK, linewidth=0.8, zorder=1)
        axes.plot(part["at"], part["value"], color=style.QUIET, linewidth=0.7, zorder=2)
    for point, label in READ.items():
        some = (rows["point"] == point).to_numpy()
        if some.any():
            colour, marker = POINTS[point]
            axes.scatter(
                at[some], rows["value"][some], s=9, color=colour, marker=marker, zorder=3,
                linewidths=0, label=label,
            )  # fmt: skip
    for place in at[(rows["event"] != "").to_numpy()]:
        axes.axvline(
            place - 0.5,
            color=style.INK,
            linewidth=0.9,
            linestyle=(0, (2, 1.5)),
            label="codes changed",
        )
        axes.annotate(
            rows["period"].iloc[place],
            (place - 0.5, 1),
            (-2 if place > len(rows) / 2 else 2, -1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if place > len(rows) / 2 else "left",
            va="top",
            fontsize=8,
        )


def _ends_of_time(panels: np.ndarray, periods: list[pd.Series]) -> None:
    """Write the years below the lowest panel of each column only; all share the same months."""
    longest = max(periods, key=len)
    years = longest.str[:4]
    starts = np.flatnonzero((years != years.shift()).to_numpy())[1::2]
    for column in panels.T:
        drawn_in = [axes for axes in column if axes.axison]
        for axes in drawn_in:
            axes.set_xticks(starts, [""] * len(starts))
            axes.set_xlim(-0.8, len(longest) - 0.2)
        if drawn_in:
            drawn_in[-1].set_xticks(starts, years.iloc[starts])


def _multiples_alt(charts: Mapping[str, Result], asked: Mapping[str, object]) -> str:
    points = {name: set(chart.table["point"]) for name, chart in charts.items() if chart.known}
    count = {
        kind: sum(kind in found for found in points.values())
        for kind in ("improvement", "concern", "neutral high", "neutral low")
    }
    signals = ", ".join(f"{READ[kind]} in {number}" for kind, number in count.items() if number)
    broken = [
        name for name, chart in charts.items() if chart.known and (chart.table["event"] != "").any()
    ]
    said = f" Codes changed in {words.listed(broken, 4)}." if broken else ""
    return (
        f"{asked['indicator']}: control charts of {words.plural(len(charts), 'service')}; signals: "
        f"{signals or 'none'}.{said}"
    )


@drawn
def spread(result: Result) -> Picture:
    """Draw for each indicator how far areas differ beyond chance, and how much of it lasts.

    Parameters
    ----------
    result
        Result of `variation.overview.real_variation`.

    Raises
    ------
    DataError
        If the result is another one.
    """
    require_method(result, "real_variation")
    rows = result.table.iloc[::-1].reset_index(drop=True)
    figure, axes = canvas(1.4 + 0.27 * len(rows), 1, ncols=2, sharey=True)
    at = np.arange(len(rows))
    for panel, name, colour, marker in (
        (axes[0], "relative", style.BLUE, "o"),
        (axes[1], "lasting", style.GREEN, "D"),
    ):
        panel.hlines(
            at, rows[f"{name}_low"], rows[f"{name}_high"], color=style.FAINT, linewidth=2.4
        )
        panel.scatter(rows[name], at, s=28, color=colour, marker=marker, zorder=3)
        panel.tick_params(axis="y", length=0)
    axes[0].set_yticks(at, [short(label, 26) for label in rows["label"]], fontsize=8.5)
    axes[0].set_ylim(-0.7, len(rows) - 0.3)
    axes[0].set_xlim(left=0)
    axes[0].set_xlabel("spread beyond chance,\n% of London's figure", fontsize=8.5)
    axes[1].set_xlim(min(0.0, rows["lasting_low"].min() - 0.05), 1.06)
    axes[1].set_xlabel("correlation with\nthe year before", fontsize=8.5)
    for panel, text in zip(axes, ("How far", "How lasting"), strict=True):
        panel.set_title(text, fontsize=9.5)
    return Picture(figure, _spread_alt(result.table))


def _spread_alt(table: pd.DataFrame) -> str:
    known = table[table["relative"].notna()]
    if known.empty:
        return f"No spread is known of {words.plural(len(table), 'indicator')}."
    most, least = known.iloc[0], known.iloc[-1]
    kept = table["lasting"]
    lasting = (
        f"; correlation with the year before {kept.min():.2f} to {kept.max():.2f}"
        if kept.notna().any()
        else ""
    )
    return (
        f"Spread between areas beyond chance for {words.plural(len(known), 'indicator')}, in % of "
        f"London's figure: from {least['relative']:.1f} ({least['label']}) to "
        f"{most['relative']:.1f} ({most['label']}){lasting}."
    )
