"""Pictures of practice: coverage of the frameworks, the evidence ladder, and people by area."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from evidence.errors import DataError
from evidence.plots import style
from evidence.plots.style import Picture, canvas, drawn, require_method, short
from evidence.practice.coverage import UNTAGGED
from evidence.practice.gap import NAMES, between
from evidence.practice.readings import TIERS
from evidence.results import Result

__all__ = ["coverage", "gain", "gap", "ladder"]

SHADES = {
    "trials": "#9ecae1",
    "no trial": "#f6d8ae",
    "an indicator, no evidence": "#eceff1",
    "nothing": "white",
}
"""Fill of a cell by what stands in it."""

WORDS = {
    "trials": "trials among them",
    "no trial": "evidence, no trial",
    "an indicator, no evidence": "an indicator only",
    "nothing": "nothing",
}

MARKS: dict[str, tuple[int, str, str, str]] = {
    "worse": (0, "v", style.ORANGE, style.ORANGE),
    "no clear difference": (1, "s", style.PURPLE, style.PURPLE),
    "better": (2, "^", style.BLUE, style.BLUE),
    "neither better nor worse": (3, "o", style.QUIET, style.QUIET),
    "no comparison": (3, "D", "white", style.QUIET),
    "not estimable": (3, "X", style.QUIET, style.QUIET),
}
"""Column, shape, fill and edge of a reading; all marks have one size."""

COLUMNS = ("worse", "no clear\ndifference", "better", "neither, or\nnot judged")
NOTE = (
    "disc: no direction is better; open: no comparison group;\n"
    "cross: no figure or interval by which to judge"
)
MARK_SIZE = 46
STEP, FIRST = 0.104, 0.645


@drawn
def coverage(result: Result) -> Picture:
    """Draw how many bodies of evidence stand in each cell of two frameworks.

    Parameters
    ----------
    result
        Result of `practice.coverage.matrix`.

    Raises
    ------
    DataError
        If the result is another one.
    """
    require_method(result, "coverage")
    table = result.table
    rows, columns = list(dict.fromkeys(table["row"])), list(dict.fromkeys(table["column"]))
    figure, axes = canvas(0.36 * len(rows) + 1.35)
    for cell in table.to_dict("records"):
        _cell(axes, columns.index(cell["column"]), rows.index(cell["row"]), cell)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), [_tag(id) for id in columns])
    axes.set_yticks(range(len(rows)), [_tag(id) for id in rows])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(f"Evidence by {result.settings['rows']} and {result.settings['columns']}")
    axes.set_xlabel("number: bodies of evidence; i: an indicator only")
    keys = [Rectangle((0, 0), 1, 1, facecolor=SHADES[key], edgecolor=style.FAINT) for key in SHADES]
    figure.legend(
        keys,
        list(WORDS.values()),
        loc="outside lower center",
        ncols=2,
        handlelength=1.2,
        columnspacing=1.4,
    )
    return Picture(figure, _coverage_alt(result))


@drawn
def ladder(result: Result) -> Picture:
    """Draw every finding on its tier of the ladder, in the column of its reading.

    Findings on different scales share no axis: a mark says better, worse or no clear difference,
    and the figure stands beside it in its source's own measure.

    Parameters
    ----------
    result
        Result of `practice.ladder.ladder`.

    Raises
    ------
    DataError
        If the result is another one, or knows nothing.
    """
    require_method(result, "ladder")
    if not result.known:
        raise DataError(f"a ladder needs findings; {result.text} Show the text in its place.")
    lines = _lines(result.table)
    figure, axes = canvas(0.31 * len(lines) + 1.3)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_xticks([FIRST + STEP * n for n in range(len(COLUMNS))], COLUMNS, fontsize=7)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for n in range(len(COLUMNS)):
        axes.axvline(FIRST + STEP * n, color=style.FAINT, linewidth=0.6, zorder=0)
    for at, line in enumerate(lines):
        _line(axes, at, line)
    figure.supxlabel(NOTE, x=0.01, ha="left", fontsize=7, color=style.QUIET)
    figure.suptitle(short(_ladder_title(result), 52), x=0.01, ha="left", fontsize=11, weight="bold")
    return Picture(figure, _ladder_alt(result))


@drawn
def gap(result: Result) -> Picture:
    """Draw how many people each area is behind the benchmark, with intervals, the most first.

    Areas whose interval ends at none are left out and counted. Filled: clear of noise.

    Parameters
    ----------
    result
        Result of `practice.gap.gap`.

    Raises
    ------
    DataError
        If the result is another one, or no area can be drawn.
    """
    require_method(result, "gap")
    asked, table = result.settings, result.table
    rows = table[table["high"] > 0].sort_values(["people", "high"], ascending=False)
    rows = rows.reset_index(drop=True)
    if rows.empty:
        raise DataError(f"a picture of gaps needs an area behind; {result.text} Show the text.")
    behind = NAMES[asked["benchmark"]].replace("like them", "like it")
    note = "filled: clear of noise; arithmetic, nothing here says what would close a gap"
    left_out = len(table) - len(rows)
    if left_out:
        areas = "1 area is" if left_out == 1 else f"{left_out} areas are"
        note += f"\n{areas} left out: nobody behind, even at the far end of the interval"
    title = f"Gap: {asked['indicator']}, {asked['period']}"
    axes = _people_by_area(rows, rows["people"], style.BLUE, rows["clear"], title, note)
    axes.set_xlabel(f"{asked['counted']} behind\n{behind} (95 % interval)")
    alt = (
        f"Dot plot with intervals of the gap in {asked['counted']}, {len(rows)} areas. "
        f"{_largest(rows)} {result.text}"
    )
    return Picture(_whole(axes), alt)


@drawn
def gain(result: Result) -> Picture:
    """Draw how many people would gain in each area by the evidence, with intervals.

    Parameters
    ----------
    result
        Result of `practice.gain.gain`.

    Raises
    ------
    DataError
        If the result is another one.
    """
    require_method(result, "gain")
    asked, rows = result.settings, result.table
    clear = (rows["low"] > 0) | (rows["high"] < 0)
    note = "intervals hold the uncertainty of the effect alone, which all areas share"
    title = f"What the evidence supports: {asked['gained']}"
    axes = _people_by_area(rows, rows["gained"], style.GREEN, clear, title, note)
    axes.set_xlabel(f"{result['london'].unit} (95 % interval)")
    alt = (
        f"Dot plot with intervals of {asked['gained']} ({result['london'].unit}) in {len(rows)} "
        f"areas; London {between(result['london'])}. {_largest(rows)} {result.text}"
    )
    return Picture(_whole(axes), alt)


def _whole(axes: Axes) -> Figure:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure


def _people_by_area(
    rows: pd.DataFrame, people: pd.Series, colour: str, clear: pd.Series, title: str, note: str
) -> Axes:
    figure, axes = canvas(0.175 * len(rows) + 1.5)
    at = list(range(len(rows)))
    axes.hlines(at, rows["low"], rows["high"], color=colour, linewidth=1.2, alpha=0.7)
    for filled, fill in ((clear, colour), (~clear, "white")):
        some = filled.to_numpy()
        axes.scatter(
            people[some],
            [place for place, one in zip(at, some, strict=True) if one],
            s=17,
            facecolors=fill,
            edgecolors=colour,
            zorder=3,
        )
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_yticks(at, [short(name, 26) for name in rows["area"]], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=style.WIDE_BAND)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    figure.supxlabel(note, x=0.01, ha="left", fontsize=7, color=style.QUIET)
    lines = "\n".join(textwrap.wrap(title, 46))
    figure.suptitle(lines, x=0.01, ha="left", fontsize=11, weight="bold")
    return axes


def _largest(rows: pd.DataFrame) -> str:
    said = [f"{row['area']} {row['printed']}" for row in rows.head(3).to_dict("records")]
    return f"Most: {', '.join(said)}."


def _tag(id: str) -> str:
    return "none" if id == UNTAGGED else id


def _cell(axes: Axes, x: int, y: int, cell: dict[Any, Any]) -> None:
    kind = cell["gap"] or "trials"
    box = Rectangle(
        (x - 0.5, y - 0.5), 1, 1, facecolor=SHADES[kind], edgecolor=style.FAINT, linewidth=0.8
    )
    axes.add_patch(box)
    text = str(cell["evidence"]) if cell["evidence"] else "i" if cell["indicators"] else ""
    weight = "bold" if cell["evidence"] else "normal"
    axes.text(x, y, text, ha="center", va="center", fontsize=9, fontweight=weight, color=style.INK)


def _coverage_alt(result: Result) -> str:
    table = result.table
    tagged = table[(table["row"] != UNTAGGED) & (table["column"] != UNTAGGED)]
    most = tagged.loc[tagged["evidence"].idxmax()]
    kinds = Counter(tagged["gap"].replace("", "trials"))
    listed = ", ".join(f"{kinds[key]} {WORDS[key]}" for key in SHADES)
    return (
        f"Grid of {result.settings['rows']} by {result.settings['columns']}. {result.text} "
        f"Cells: {listed}. Most in {most['row']} by {most['column']}: {most['evidence']}."
    )


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return headings of tiers and findings in the order in which they are drawn."""
    lines: list[dict[str, Any]] = []
    for tier in TIERS:
        inside = table[table["tier"] == tier]
        lines.append({"heading": tier, "count": len(inside)})
        lines += [
            {str(key): value for key, value in row.items()} for row in inside.to_dict("records")
        ]
    return lines


def _line(axes: Axes, at: int, line: dict[str, Any]) -> None:
    if "heading" in line:
        band = Rectangle((0, at - 0.42), 1, 0.84, facecolor=style.WIDE_BAND, zorder=0.5)
        axes.add_patch(band)
        text = line["heading"].capitalize() + (f" ({line['count']})" if line["count"] else ": none")
        axes.text(0.01, at, text, va="center", fontsize=8.5, fontweight="bold")
        return
    axes.text(0.01, at - 0.2, short(line["name"], 46), va="center", fontsize=7.5)
    below = short(f"{line['figure']}: {line['outcome']}", 54)
    axes.text(0.01, at + 0.22, below, va="center", fontsize=6.8, color=style.QUIET)
    column, marker, fill, edge = MARKS[line["reading"]]
    axes.scatter(
        FIRST + STEP * column,
        at,
        s=MARK_SIZE,
        marker=marker,
        facecolors=fill,
        edgecolors=edge,
        linewidths=1.2,
        zorder=3,
        gid="finding",
    )


def _ladder_title(result: Result) -> str:
    name = result.settings["name"]
    return f"{result.settings['tag']}: {name}" if name else str(result.settings["tag"])


def _ladder_alt(result: Result) -> str:
    parts = []
    for tier in TIERS:
        inside = result.table[result.table["tier"] == tier]
        said = Counter(inside["reading"])
        listed = ", ".join(f"{count} {name}" for name, count in said.items()) or "none"
        parts.append(f"{tier}: {listed}")
    return f"Evidence ladder. {result.text} By tier, strongest first: {'; '.join(parts)}."
