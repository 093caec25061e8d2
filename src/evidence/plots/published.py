"""Pictures of published effects as they stand: a panel for each measure, nothing pooled."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from evidence.errors import DataError
from evidence.plots.style import (
    BLUE,
    FAINT,
    ORANGE,
    PURPLE,
    QUIET,
    WIDE_BAND,
    Picture,
    canvas,
    drawn,
    short,
)
from evidence.practice.readings import RATIOS, TIERS

__all__ = ["published_effects"]

NEEDED = (
    "name",
    "outcome",
    "tier",
    "reading",
    "measure",
    "estimate",
    "low",
    "high",
    "direction_better",
)

PANELS = {
    "SMD": "Standardised mean difference, against a control",
    "RR": "Risk ratio, against a control",
    "OR": "Odds ratio, against a control",
    "HR": "Hazard ratio, against a control",
    "d_prepost": "Change from before to after, no control, d",
}
"""Measures that share an axis, in the order of their panels; others have units of their own."""

MARKS = {
    "trials": ("s", BLUE),
    "quasi-experiments": ("D", PURPLE),
    "uncontrolled evaluations": ("o", ORANGE),
    "descriptions": ("v", QUIET),
}
"""Shape and colour of a tier."""


@drawn
def published_effects(findings: pd.DataFrame, *, title: str) -> Picture:
    """Draw published effects side by side, each measure on an axis of its own.

    Effects for which lower is better are turned round, so that right is better in every panel.
    Figures in units of their own, and findings without an interval, are counted below.

    Parameters
    ----------
    findings
        Rows as `evidence.practice.readings.read` returns them.
    title
        Shown above.

    Raises
    ------
    DataError
        If a column is missing or no finding can be drawn.
    """
    absent = [name for name in NEEDED if name not in findings]
    if absent:
        raise DataError(f"published effects need the column {absent[0]!r}; it is not there.")
    beyond = findings["measure"].isin(RATIOS) & (findings["low"] <= 0)  # no place on a log axis
    drawable = findings["measure"].isin(list(PANELS)) & findings["low"].notna() & ~beyond
    shown = findings[drawable]
    if shown.empty:
        raise DataError("no finding has an interval in a measure that can be drawn; list them.")
    groups = [(name, shown[shown["measure"] == name]) for name in PANELS]
    groups = [(name, _ordered(rows)) for name, rows in groups if len(rows)]
    lines = [len(rows) for _, rows in groups]
    figure, panels = canvas(
        0.3 * sum(lines) + 0.72 * len(groups) + 0.7,
        rows=len(groups),
        height_ratios=lines,
        squeeze=False,
    )
    for axes, (measure, rows) in zip(panels[:, 0], groups, strict=True):
        _panel(axes, measure, rows)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    _legend(figure, shown)
    panels[-1, 0].set_xlabel(_note(len(findings) - len(shown)), fontsize=7.6, color=QUIET, x=0.2)
    return Picture(figure, _alt(findings, shown, title))


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    place = rows["tier"].map(list(TIERS).index)
    return rows.assign(_place=place).sort_values(
        ["_place", "name"], kind="stable", ignore_index=True
    )


def _panel(axes: Axes, measure: str, rows: pd.DataFrame) -> None:
    ratio = measure in RATIOS
    axes.set_xscale("log" if ratio else "linear")
    axes.axvline(1.0 if ratio else 0.0, color=QUIET, linewidth=0.9, zorder=1)
    for at, row in enumerate(rows.to_dict("records")):
        value, low, high = turned(row)
        marker, colour = MARKS[row["tier"]]
        clear = row["reading"] in ("better", "worse", "no comparison")
        axes.plot([low, high], [at, at], color=colour, linewidth=1.4, zorder=2, gid="interval")
        axes.scatter(
            value, at, s=26, marker=marker, facecolor=colour if clear else "white",
            edgecolor=colour, zorder=3, gid="effect",
        )  # fmt: skip
    names = [
        f"{short(row.name_, 36)}\n{short(row.outcome, 38)}"
        for row in rows.rename(columns={"name": "name_"}).itertuples()
    ]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for at in range(0, len(rows), 2):
        axes.axhspan(at - 0.5, at + 0.5, color=WIDE_BAND, zorder=0, linewidth=0)
    axes.set_title(
        f"{PANELS[measure]} ({len(rows)})", fontsize=8.6, fontweight="normal", loc="right"
    )
    _ticks(axes, ratio)


def turned(row: dict[Any, Any]) -> tuple[float, float, float]:
    """Return value and limits of a finding with better to the right."""
    ends = [float(row[name]) for name in ("estimate", "low", "high")]
    if row["direction_better"] != "lower":
        return ends[0], ends[1], ends[2]
    flipped = [1 / end for end in ends] if row["measure"] in RATIOS else [-end for end in ends]
    return flipped[0], flipped[2], flipped[1]


def _ticks(axes: Axes, ratio: bool) -> None:
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    axes.tick_params(axis="x", labelsize=8)
    if ratio:
        low, high = axes.get_xlim()
        ticks = [tick for tick in (0.25, 0.5, 0.7, 1, 1.5, 2, 3, 4) if low <= tick <= high]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.1 * (high - low)), high)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))


def _legend(figure: Any, shown: pd.DataFrame) -> None:
    tiers = [tier for tier in MARKS if (shown["tier"] == tier).any()]
    handles = [
        Line2D(
            [],
            [],
            marker=MARKS[tier][0],
            color=MARKS[tier][1],
            linewidth=1.2,
            markersize=5,
            label=tier,
        )
        for tier in tiers
    ]
    handles.append(
        Line2D(
            [],
            [],
            marker="o",
            color=QUIET,
            markerfacecolor="white",
            linewidth=1.2,
            markersize=5,
            label="open: includes no effect",
        )
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.8)


def _note(left: int) -> str:
    rest = f"{left} more, without interval or in units of their own, are in the table"
    return "Right of the line is better in every panel" + (f";\n{rest}" if left else "")


def _alt(findings: pd.DataFrame, shown: pd.DataFrame, title: str) -> str:
    counts = [
        f"{PANELS[name].lower()}: {len(rows)} ({_readings(rows)})"
        for name in PANELS
        if len(rows := shown[shown["measure"] == name])
    ]
    return f"{title}: {len(shown)} of {len(findings)} findings drawn. {'; '.join(counts)}."


def _readings(rows: pd.DataFrame) -> str:
    return ", ".join(f"{count} {name}" for name, count in rows["reading"].value_counts().items())
