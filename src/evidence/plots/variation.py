"""Pictures of variation: funnel, control chart, caterpillar, area profile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evidence.errors import DataError
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
from evidence.variation.limits import limit_lines
from evidence.variation.spc import icons

__all__ = ["caterpillar", "funnel", "profile", "run_chart", "xmr"]

MARKS: dict[str, tuple[str, str]] = {
    "better": (style.BLUE, "^"),
    "worse": (style.ORANGE, "v"),
    "higher": (style.PURPLE, "^"),
    "lower": (style.PURPLE, "v"),
    "similar": (style.QUIET, "o"),
    "no figure": (style.QUIET, "o"),
}
"""Colour and shape of a judgement."""

POINTS: dict[str, tuple[str, str]] = {
    "common cause": (style.QUIET, "o"),
    "improvement": (style.BLUE, "^"),
    "concern": (style.ORANGE, "v"),
    "neutral high": (style.PURPLE, "^"),
    "neutral low": (style.PURPLE, "v"),
    "at a break": (style.YELLOW, "D"),
}
"""Colour and shape of a point of a control chart."""


@drawn
def funnel(result: Result, *, highlight: Sequence[str] = ()) -> Picture:
    """Draw figures against denominators with the limits of chance and the usual spread.

    Parameters
    ----------
    result
        Result of `variation.limits.funnel`.
    highlight
        Codes or names of areas to name beside those outside the widened limits.

    Raises
    ------
    DataError
        If the result is no funnel, or a highlighted area is not in it.
    """
    rows = _figures(result, "funnel")
    asked = result.settings
    figure, axes = canvas(4.3)
    _funnel_frame(axes, rows, asked["unit"], _title(asked["indicator"], asked["period"]))
    if result.known:
        _funnel_lines(axes, result, rows)
    _funnel_points(axes, rows)
    named = _named(rows, highlight)
    if named.any():
        texts = [
            short(name, 24) if show else "" for name, show in zip(rows["area"], named, strict=True)
        ]
        chosen = rows["area_code"].isin(list(highlight)) | rows["area"].isin(list(highlight))
        axes.scatter(
            rows.loc[chosen, "denominator"],
            rows.loc[chosen, "value"],
            s=90,
            facecolors="none",
            edgecolors=style.INK,
            linewidths=1.2,
            zorder=4,
        )
        label_points(axes, rows["denominator"], rows["value"], texts, fontsize=9, zorder=5)
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.5, columnspacing=1.2)
    return Picture(figure, _funnel_alt(result, rows))


def _figures(result: Result, *methods: str) -> pd.DataFrame:
    require_method(result, *methods)
    rows = result.table
    if "value" not in rows:
        raise DataError(f"there is nothing to draw: {result.reason or result.text}. Leave it out.")
    return rows[rows["value"].notna()].reset_index(drop=True)


def _title(indicator: str, period: str) -> str:
    return indicator + (f", {period}" if period else "")


def _funnel_frame(axes: Axes, rows: pd.DataFrame, unit: str, title: str) -> None:
    headline(axes, title)
    axes.set_ylabel(unit or "value")
    axes.set_xlabel("denominator: how many the figure is out of")
    most = rows["denominator"].max() if len(rows) else 1.0
    axes.set_xlim(0, most * 1.06)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _funnel_lines(axes: Axes, result: Result, rows: pd.DataFrame) -> None:
    least, most = rows["denominator"].min(), rows["denominator"].max()
    lines = limit_lines(result, np.linspace(max(least * 0.5, most / 200), most * 1.06, 160))
    at = lines["denominator"]
    narrow, wide = (
        _suffix(level) for level in (result.settings["levels"][0], result.settings["levels"][-1])
    )
    widened = result.settings["tau2_added"] > 0
    for suffix, shade, share in ((wide, style.WIDE_BAND, wide), (narrow, style.BAND, narrow)):
        axes.fill_between(
            at,
            lines[f"adjusted_lower_{suffix}"],
            lines[f"adjusted_upper_{suffix}"],
            color=shade,
            linewidth=0,
            zorder=0,
            label=f"{'usual spread' if widened else 'chance alone'}, "
            f"{share.replace('_', '.')}\u00a0%",
        )
    if widened:
        for edge in ("lower", "upper"):
            axes.plot(
                at,
                lines[f"{edge}_{wide}"],
                color=style.QUIET,
                linewidth=0.9,
                linestyle=(0, (4, 3)),
                label=f"chance alone, {wide.replace('_', '.')}\u00a0%" if edge == "lower" else None,
            )
    target = result.settings["target"]
    axes.axhline(target, color=style.INK, linewidth=1.0, zorder=1)
    axes.annotate(
        words.amount(target, result.settings["unit"] if result.settings["unit"] == "%" else ""),
        (1, target),
        (2, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=9,
    )
    values = rows["value"]
    inside = lines[at >= least]
    low = min(values.min(), inside[f"adjusted_lower_{wide}"].min())
    high = max(values.max(), inside[f"adjusted_upper_{wide}"].max())
    margin = 0.06 * (high - low)
    axes.set_ylim(max(low - margin, 0), high + margin)


def _suffix(level: float) -> str:
    return f"{level * 100:g}".replace(".", "_")


_UNJUDGED = {"no figure": "not judged"}


def _funnel_points(axes: Axes, rows: pd.DataFrame) -> None:
    for judgement, (colour, marker) in MARKS.items():
        some = rows[rows["judgement"] == judgement]
        if len(some):
            axes.scatter(
                some["denominator"],
                some["value"],
                s=26 if judgement == "similar" else 46,
                color=colour,
                marker=marker,
                linewidths=0.5,
                edgecolors="white",
                zorder=3,
                label=f"{_UNJUDGED.get(judgement, judgement)} ({len(some)})",
            )


def _named(rows: pd.DataFrame, highlight: Sequence[str]) -> np.ndarray:
    known = set(rows["area_code"]) | set(rows["area"])
    absent = [name for name in highlight if name not in known]
    if absent:
        raise DataError(
            f"highlighted areas must be in the result with a figure; {words.listed(absent)} "
            "is not. Use its code or name."
        )
    outside = rows["position"].isin(["above", "below"])
    chosen = rows["area_code"].isin(list(highlight)) | rows["area"].isin(list(highlight))
    return (outside | chosen).to_numpy()


def _funnel_alt(result: Result, rows: pd.DataFrame) -> str:
    asked = result.settings
    unit = asked["unit"]
    subject = _title(asked["indicator"] or "figures", asked["period"])
    if rows.empty:
        return f"Funnel plot of {subject}: no area has a figure."
    start = (
        f"Funnel plot of {subject}, {words.plural(len(rows), 'area')}: from "
        f"{_extreme(rows, rows['value'].idxmin(), unit)} to "
        f"{_extreme(rows, rows['value'].idxmax(), unit)}"
    )
    if not result.known:
        return f"{start}; not judged: {result.reason}."
    outside = rows[rows["position"].isin(["above", "below"])]
    limits = "the limits of chance" if asked["overdispersion"] == "none" else "the widened limits"
    named = "; ".join(
        f"{position} {limits}: {words.listed(group['area'].tolist())}"
        for position, group in outside.groupby("position")
    )
    return (
        f"{start}, around {words.amount(asked['target'], unit)}; "
        f"{named or f'none lies outside {limits}'}."
    )


def _extreme(rows: pd.DataFrame, at: int, unit: str) -> str:
    return f"{words.amount(rows.loc[at, 'value'], unit)} ({rows.loc[at, 'area']})"


@drawn
def xmr(result: Result) -> Picture:
    """Draw a series with its mean, limits, signals and labelled events.

    The legend ends with the icons of the chart: its latest point, and whether a target is met.

    Parameters
    ----------
    result
        Result of `variation.limits.xmr` or `variation.spc.p_prime`.

    Raises
    ------
    DataError
        If the result is no control chart.
    """
    shown = _figures(result, "xmr", "p_prime")
    rows, asked = result.table, result.settings
    figure, axes = canvas(3.7)
    headline(axes, ", ".join(part for part in (asked["indicator"], asked["area"]) if part))
    axes.set_ylabel(asked["unit"] or "value")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    at = np.arange(len(rows))
    for _, part in rows.assign(at=at).groupby("segment"):
        _segment(axes, part)
    for point, (colour, marker) in POINTS.items():
        some = (rows["point"] == point).to_numpy()
        if some.any():
            axes.scatter(
                at[some],
                rows["value"][some],
                s=18 if point == "common cause" else 38,
                color=colour,
                marker=marker,
                linewidths=0.4,
                edgecolors="white",
                zorder=3,
                label=f"{_PLAIN[point]} ({some.sum()})",
            )
    if asked["target"] is not None:
        axes.axhline(
            asked["target"], color=style.GREEN, linewidth=1, linestyle=(0, (1, 1.5)), label="target"
        )
    _time_axis(axes, rows["period"])
    _events(axes, rows)
    handles, labels = axes.get_legend_handles_labels()
    for icon, label in _icons(result):
        handles.append(icon)
        labels.append(label)
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=2,
        handletextpad=0.5,
        columnspacing=1.2,
    )
    return Picture(figure, _xmr_alt(result, shown))


ASSURANCE = {
    "consistently met": ("P", style.BLUE),
    "consistently missed": ("F", style.ORANGE),
    "met or missed by chance": ("?", style.QUIET),
}
"""Letter (pass, fail) and colour of the icon that says whether a target is met."""


def _icons(result: Result) -> list[tuple[tuple[Line2D, Line2D], str]]:
    """Return ring, letter and words of the chart's icons.

    The letter of the latest point is H or L where it is a special cause, and a wave where not.
    """
    said = icons(result)
    last = result.table[result.table["value"].notna()].iloc[-1]
    point = said["variation"]
    routine = point in ("common cause", "at a break")
    letter = "~" if routine else "H" if last["value"] > last["mean"] else "L"
    found = [(letter, POINTS[point][0], f"latest: {_PLAIN[point]}")]
    if said["assurance"]:
        found.append((*ASSURANCE[said["assurance"]], f"target: {said['assurance']}"))
    return [(_icon(letter, colour), label) for letter, colour, label in found]


def _icon(letter: str, colour: str) -> tuple[Line2D, Line2D]:
    ring = Line2D(
        [], [], linestyle="", marker="o", markersize=11, markerfacecolor="white", color=colour
    )
    path = TextPath((0, 0), letter, size=1)
    middle = path.get_extents().get_points().mean(axis=0)
    outline = Path(path.vertices - middle, path.codes)
    return ring, Line2D([], [], linestyle="", marker=outline, markersize=6, color=colour, mew=0)


_PLAIN = {
    "common cause": "routine variation",
    "improvement": "special cause, better",
    "concern": "special cause, worse",
    "neutral high": "special cause, high",
    "neutral low": "special cause, low",
    "at a break": "at a break, not judged",
}


def _segment(axes: Axes, part: pd.DataFrame) -> None:
    named = part["segment"].iloc[0] == 0
    edges = np.repeat(part["at"].to_numpy(dtype=float), 2) + np.tile([-0.5, 0.5], len(part))
    lines = {name: np.repeat(part[name].to_numpy(), 2) for name in ("mean", "lower", "upper")}
    axes.plot(part["at"], part["value"], color=style.FAINT, linewidth=1.2, zorder=1)
    axes.fill_between(
        edges,
        lines["lower"],
        lines["upper"],
        color=style.BAND,
        linewidth=0,
        zorder=0,
        label="limits of routine variation" if named else None,
    )
    axes.plot(
        edges,
        lines["mean"],
        color=style.INK,
        linewidth=1.0,
        zorder=1,
        label="mean" if named else None,
    )


def _time_axis(axes: Axes, periods: pd.Series) -> None:
    axes.set_xlim(-0.8, len(periods) - 0.2)
    years = periods.str[:4]
    starts = np.flatnonzero((years != years.shift()).to_numpy())
    if len(starts) > 1 and len(starts) < len(periods) / 2:
        starts = starts[1:] if starts[1] - starts[0] < 3 else starts
        step = int(np.ceil(len(starts) / 7))
        axes.set_xticks(starts[::step], years.iloc[starts[::step]])
    else:
        step = int(np.ceil(len(periods) / 6))
        at = np.arange(0, len(periods), step)
        axes.set_xticks(at, periods.iloc[at])


def _events(axes: Axes, rows: pd.DataFrame) -> None:
    events = rows[rows["event"] != ""]
    if events.empty:
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * len(events) * (high - low))
    for line, (at, event) in enumerate(events["event"].items()):
        axes.axvline(float(at) - 0.5, color=style.INK, linewidth=0.9, linestyle=(0, (2, 2)))
        left = float(at) < len(rows) / 2
        label = axes.annotate(
            short(event, 46),
            (float(at) - 0.5, 1 - 0.075 * line),
            (4 if left else -4, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="left" if left else "right",
            va="top",
            fontsize=8.5,
            zorder=5,
        )
        label.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _xmr_alt(result: Result, shown: pd.DataFrame) -> str:
    events = result.table[result.table["event"] != ""]
    marked = ""
    if len(events):
        marked = f" Marked: {short(events['event'].iloc[0], 60)} ({events['period'].iloc[0][:7]})."
    counts = shown["point"].value_counts()
    signals = ", ".join(f"{counts[point]} {_PLAIN[point]}" for point in POINTS if point in counts)
    name = ", ".join(
        part for part in (result.settings["indicator"], result.settings["area"]) if part
    )
    return (
        f"Control chart of {name or 'a series'}, {shown['period'].iloc[0][:7]} to "
        f"{shown['period'].iloc[-1][:7]}: {signals}; last value "
        f"{words.amount(shown['value'].iloc[-1], result.settings['unit'])}"
        f"{_assured(result)}.{marked}"
    )


def _assured(result: Result) -> str:
    said = icons(result)["assurance"]
    return f"; target {said}" if said else ""


@drawn
def caterpillar(result: Result, *, highlight: Sequence[str] = ()) -> Picture:
    """Draw each area's figure with its interval, and the estimate after noise, in order.

    Parameters
    ----------
    result
        Result of `variation.limits.funnel`.
    highlight
        Codes or names of areas to print in bold.

    Raises
    ------
    DataError
        If the result is no funnel, or a highlighted area is not in it.
    """
    rows = _figures(result, "funnel").sort_values("value").reset_index(drop=True)
    _named(rows, highlight)
    figure, axes = canvas(1.1 + 0.185 * max(len(rows), 3))
    asked = result.settings
    headline(axes, _title(asked["indicator"], asked["period"]))
    axes.set_xlabel(asked["unit"] or "value")
    at = np.arange(len(rows))
    axes.hlines(
        at, rows["low"], rows["high"], color=style.FAINT, linewidth=2.2, label="95\u00a0% interval"
    )
    for judgement, (colour, marker) in MARKS.items():
        some = (rows["judgement"] == judgement).to_numpy()
        if some.any():
            axes.scatter(
                rows["value"][some],
                at[some],
                s=22,
                color=colour,
                marker=marker,
                zorder=3,
                label=_UNJUDGED.get(judgement, judgement),
            )
    if "shrunken" in rows:
        axes.scatter(
            rows["shrunken"],
            at,
            s=26,
            facecolors="none",
            edgecolors=style.INK,
            linewidths=0.8,
            zorder=4,
            label="after noise is taken out",
        )
        axes.axvline(asked["target"], color=style.INK, linewidth=0.9, zorder=1)
    axes.set_yticks(at, [short(name, 30) for name in rows["area"]], fontsize=8.5)
    for label, (code, name) in zip(
        axes.get_yticklabels(), rows[["area_code", "area"]].to_numpy(), strict=True
    ):
        label.set_fontweight("bold" if code in highlight or name in highlight else "normal")
    axes.set_ylim(-0.8, len(rows) - 0.2)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.5, columnspacing=1.2)
    return Picture(figure, _funnel_alt(result, rows).replace("Funnel plot", "Ordered intervals", 1))


@drawn
def profile(result: Result) -> Picture:
    """Draw one area's gaps across indicators, in standard deviations between areas.

    Better figures stand to the right; where no direction is better, higher ones do, with hollow
    marks. The grey line spans all areas.

    Parameters
    ----------
    result
        Result of `variation.areas.profile`.

    Raises
    ------
    DataError
        If the result is no profile.
    """
    shown = _figures(result, "profile")
    rows = shown[shown["tau"] > 0].sort_values("rank", ascending=False).reset_index(drop=True)
    figure, axes = canvas(1.2 + 0.5 * max(len(rows), 1))
    headline(axes, f"{result.settings['area']} against all areas")
    axes.axvline(0, color=style.INK, linewidth=1.0, zorder=1)
    for at, row in rows.iterrows():
        _profile_row(axes, float(at), row)
    reach = (
        max(2.5, *(np.abs(_in_sd(rows, name)).max() for name in ("minimum", "maximum")))
        if len(rows)
        else 2.5
    )
    axes.set_xlim(-reach * 1.05, reach * 1.05)
    axes.set_ylim(-0.45, len(rows) - 0.1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.set_xlabel(
        "← worse      standard deviations between areas      better →\n"
        "grey: range of all areas; mark and bar: this area after noise, 95\u00a0%\n"
        "hollow: no direction is better, higher values to the right",
        fontsize=8.5,
    )
    return Picture(figure, _profile_alt(result, rows))


def _in_sd(rows: pd.DataFrame, name: str) -> pd.Series:
    sign = np.where(rows["direction_better"] == "lower", -1.0, 1.0)
    return sign * (rows[name] - rows["pooled"]) / rows["tau"]


def _profile_row(axes: Axes, at: float, row: pd.Series) -> None:
    one = row.to_frame().T.infer_objects()
    ends = [float(_in_sd(one, name).iloc[0]) for name in ("minimum", "maximum")]
    noise = [float(_in_sd(one, name).iloc[0]) for name in ("shrunken_low", "shrunken_high")]
    colour, marker = MARKS[row["side"] if row["clear"] else "similar"]
    axes.hlines(at, ends[0], ends[1], color=style.FAINT, linewidth=5, zorder=0)
    axes.hlines(at, noise[0], noise[1], color=colour, linewidth=2, zorder=2)
    axes.scatter(
        _in_sd(one, "shrunken"),
        [at],
        s=60,
        marker=marker,
        facecolors="white" if row["direction_better"] == "none" else colour,
        edgecolors=colour,
        linewidths=1.6,
        zorder=3,
    )
    beside = words.amount(row["pooled"], "%" if row["unit"] == "%" else "")
    written = f"{words.amount(row['value'], row['unit'])} (all: {beside})"
    for x, side, text in ((0.0, "left", short(row["label"], 34)), (1.0, "right", written)):
        axes.text(
            x,
            at + 0.24,
            text,
            transform=axes.get_yaxis_transform(),
            ha=side,
            va="bottom",
            fontsize=9,
        )


def _profile_alt(result: Result, rows: pd.DataFrame) -> str:
    area = result.settings["area"]
    clear = rows[rows["clear"]].sort_values("rank")
    named = "; ".join(
        f"{row['label']} {words.amount(row['value'], row['unit'])} against "
        f"{words.amount(row['pooled'], row['unit'])} ({row['side']})"
        for _, row in clear.head(3).iterrows()
    )
    return (
        f"{area} on {words.plural(len(rows), 'indicator')}, each against all areas; clear gaps "
        f"after noise: {len(clear) or 'none'}. {('Largest: ' + named + '.') if named else ''}"
    ).strip()


@drawn
def run_chart(result: Result) -> Picture:
    """Draw a series with its medians, and the points that set them.

    Parameters
    ----------
    result
        Result of `variation.runcharts.run_chart`.

    Raises
    ------
    DataError
        If the result is no run chart.
    """
    shown = _figures(result, "run_chart")
    rows, asked = result.table, result.settings
    figure, axes = canvas(3.5)
    name = ", ".join(part for part in (asked["indicator"], asked["area"]) if part)
    headline(axes, name)
    axes.set_ylabel(asked["unit"] or "value")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    at = np.arange(len(rows))
    axes.plot(at, rows["value"], color=style.FAINT, linewidth=1.2, zorder=1)
    for stretch, part in rows.assign(at=at).groupby("stretch"):
        ends = [part["at"].iloc[0] - 0.5, part["at"].iloc[-1] + 0.5]
        label = "median" if stretch == 0 else None
        axes.plot(ends, [part["median"].iloc[0]] * 2, color=style.INK, linewidth=1.2, label=label)
    for part, colour, marker, label in (
        ("", style.QUIET, "o", "other points"),
        ("baseline", style.SKY, "s", "points that set the first median"),
        ("sustained", style.ORANGE, "D", "sustained run, sets the median anew"),
    ):
        some = (rows["part"] == part).to_numpy()
        if some.any():
            axes.scatter(
                at[some], rows["value"][some], s=20, color=colour, marker=marker, label=label
            )
    _time_axis(axes, rows["period"])
    figure.legend(loc="outside lower center", ncols=1, handletextpad=0.5)
    return Picture(figure, _run_alt(result, shown, name))


def _run_alt(result: Result, shown: pd.DataFrame, name: str) -> str:
    unit, runs = result.settings["unit"], int(result["runs"].value or 0)
    moved = (
        f"; {words.plural(runs, 'sustained run')} moved it to "
        f"{words.amount(result['median'].value or 0.0, unit)}"
        if runs
        else "; no sustained run"
    )
    return (
        f"Run chart of {name or 'a series'}, {shown['period'].iloc[0][:7]} to "
        f"{shown['period'].iloc[-1][:7]}: the first median is "
        f"{words.amount(result['first_median'].value or 0.0, unit)}{moved}."
    )
