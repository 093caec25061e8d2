"""The forest: every study with its effect, what was pooled from them, and their risk of bias."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from evidence.errors import DataError
from evidence.plots.bias_risk import COLOURS, judged, symbol
from evidence.plots.style import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    QUIET,
    WIDTH,
    Picture,
    canvas,
    drawn,
    short,
)
from evidence.results import Estimate, Result
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.pool import decimals_for, interval_words, number, reader_scale

__all__ = ["forest", "pooled_rows"]

ROW = 0.185
"""Height of a study's row in inches: 60 studies stay under a foot."""

NAME, FIGURES, WEIGHT = 1.46, 1.14, 0.6
"""Inches for the study's name, for effect and interval, and for the weight."""

COLUMN, DOT = 0.52, 0.135
"""Inches for a further column of text, and for one light of the risk of bias."""

NARROWEST = 1.25
"""Inches that the axis keeps; with many columns the picture grows wider instead."""

TEXT, SMALL = 8.3, 7.4

SHORT_NAMES = {
    "standardised mean difference": "SMD",
    "mean difference": "Difference",
    "risk ratio": "Risk ratio",
    "odds ratio": "Odds ratio",
    "Peto odds ratio": "Odds ratio",
    "risk difference": "Difference",
    "rate ratio": "Rate ratio",
}

RATIO_TICKS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000)

LIGHT = "#f0a877"
"""Diamonds of subgroups, paler than the one of all studies."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A forest's axes with columns of text on both sides, placed in inches from the left."""

    figure: Figure
    axes: Axes
    left: float
    inside: float
    width: float

    def write(
        self, inches: float, row: float, text: str, align: str = "left", **words: Any
    ) -> None:
        """Write text in a row, `inches` from the left edge of the picture."""
        place = blended_transform_factory(self.axes.transAxes, self.axes.transData)
        style: dict[str, Any] = {
            "fontsize": TEXT,
            "va": "center",
            "ha": align,
            "clip_on": False,
            "transform": place,
        }
        self.axes.text((inches - self.left) / self.inside, row, text, **style | words)

    def rule(self, row: float) -> None:
        """Draw a thin line across the picture."""
        ends = [(0.05 - self.left) / self.inside, (self.width - 0.05 - self.left) / self.inside]
        place = blended_transform_factory(self.axes.transAxes, self.axes.transData)
        self.axes.plot(
            ends, [row, row], color=FAINT, linewidth=0.8, clip_on=False, transform=place, gid="rule"
        )

    @property
    def effect_at(self) -> float:
        """Where effect and interval end."""
        return self.width - WEIGHT

    @property
    def weight_at(self) -> float:
        """Where the last column ends."""
        return self.width - 0.06


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands between a study's name and the axis: lights of bias, further columns."""

    bias: pd.DataFrame = field(default_factory=pd.DataFrame)
    domains: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def inches(self) -> float:
        """Room needed."""
        return COLUMN * len(self.columns) + DOT * len(self.domains) + 0.08 * bool(self.domains)

    def letter(self, at: int) -> str:
        """Heading of a domain: A, B … and O for the overall judgement."""
        return "O" if self.domains[at] == "overall" else "ABCDEFGHIJKLMN"[at]

    def light_at(self, at: int) -> float:
        """Inches from the left edge to the middle of a domain's lights."""
        return NAME + COLUMN * len(self.columns) + DOT * (at + 0.5)


@drawn
def forest(
    result: Result,
    *,
    order: str = "table",
    title: str = "",
    groups: Result | None = None,
    bias: Result | None = None,
    columns: Mapping[str, str] | None = None,
) -> Picture:
    """Draw each study's effect with its interval, the pooled effect and the prediction interval.

    An arrow at the edge says that an interval goes on beyond the axis; a large one that the effect
    itself lies there.

    Parameters
    ----------
    result
        What `evidence.synthesis.pool.pool` returned, for 1 to several hundred studies.
    order
        ``table`` keeps the order of the table, ``effect`` and ``weight`` sort by those, any other
        name by that column of the table.
    title
        Shown above; the outcome when empty.
    groups
        What `evidence.synthesis.regression.subgroups` returned for the same studies: they then
        stand under a heading per subgroup, with a diamond for each that pools several studies.
    bias
        What `evidence.synthesis.certainty.risk_of_bias` returned: a light per domain, colour and
        symbol, beside each study.
    columns
        Further columns of the result's table to print, with their headings.

    Raises
    ------
    DataError
        If the result has no studies to draw, `order` or a column is unknown, the table has no
        column with the subgroups, or a study has no judgement.
    """
    if not result.known or "yi" not in result.table:
        raise DataError(f"a forest plot needs a pooled result; got one that says: {result.text}")
    studies = _drawn_columns(_ordered(result.table, order))
    beside = _beside(studies, bias, columns or {})
    pooled, predicted = result["pooled"], _found(result, "prediction")
    rows = _rows(studies, groups)
    notes, decimals = _notes(result, beside), _decimals(pooled, studies)
    height = len(rows) + 2 + (predicted is not None)
    sheet = _layout(
        height,
        title or pooled.outcome,
        beside=beside.inches,
        figures=_figures_room(studies, decimals),
        notes=_note_room(notes, beside),
    )
    axes = sheet.axes
    axes.set_xscale("log" if _is_ratio(pooled.measure) else "linear")
    axes.set_xlim(_limits(studies, pooled, predicted))
    axes.set_ylim(height - 0.5, -1.6)
    _headings(sheet, pooled.measure, pooled.level, beside=beside)
    for at, (kind, row) in enumerate(rows):
        _draw_row(sheet, at, kind, row, (studies, beside, decimals, pooled.measure))
    _lights(sheet, rows, beside)
    _summary(sheet, len(rows) + 0.75, result, predicted, decimals)
    _reference_lines(axes, pooled, len(rows) + 0.1)
    _effect_axis(axes, pooled.measure)
    _sides(sheet, result)
    _write_notes(sheet, notes + _outside(axes, studies), beside)
    return Picture(sheet.figure, _forest_alt(result, studies, decimals, groups, beside))


def _found(result: Result, key: str) -> Estimate | None:
    return next((item for item in result.estimates if item.key == key), None)


def _ordered(table: pd.DataFrame, order: str) -> pd.DataFrame:
    names = {"effect": "yi", "weight": "weight"}
    if order == "table":
        return table
    column = names.get(order, order)
    if column not in table:
        raise DataError(
            f"order must be table, effect, weight or a column of the result's table; got {order!r}."
        )
    return table.sort_values(column, kind="stable", ascending=order != "weight")


def _drawn_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the studies with effect and limits on the reader's scale as x, low_x and high_x."""
    names = ("effect", "effect_low", "effect_high") if "effect" in table else ("yi", "low", "high")
    x, low, high = (table[name].to_numpy(float) for name in names)
    return table.assign(x=x, low_x=low, high_x=high)


def _beside(studies: pd.DataFrame, bias: Result | None, columns: Mapping[str, str]) -> Beside:
    absent = [name for name in columns if name not in studies]
    if absent:
        raise DataError(
            f"columns beside a forest must be in the result's table; {absent[0]!r} is not."
        )
    if bias is None:
        return Beside(columns=columns)
    table, domains = judged(bias)
    table = table.set_index("study")
    unjudged = [str(name) for name in studies["study"] if name not in table.index]
    if unjudged:
        raise DataError(
            f"every study needs its risk of bias; {', '.join(unjudged[:4])} have none. "
            "Judge them or leave the lights out."
        )
    return Beside(table.loc[studies["study"].unique(), domains], tuple(domains), columns)


def _rows(studies: pd.DataFrame, groups: Result | None) -> list[tuple[str, Any]]:
    """Return what each line of the picture shows: a heading, a study, a subgroup, or nothing."""
    if groups is None:
        return [("study", row) for _, row in studies.iterrows()]
    by = str(groups.settings.get("by", ""))
    if not groups.known or by not in studies:
        raise DataError(
            f"subgroups to draw must come from a column of the result's table; got: {groups.text}"
        )
    pooled = {str(row["group"]): row for row in _pooled_groups(groups)}
    names = studies[by].astype("str")
    order = [*map(str, groups.table["group"]), *names]
    rows: list[tuple[str, Any]] = []
    for name in dict.fromkeys(order):
        inside = studies[names == name]
        rows.append(("heading", (name, len(inside), name in pooled)))
        rows += [("study", row) for _, row in inside.iterrows()]
        if name in pooled:
            rows += [("group", pooled[name] | {"weight": inside["weight"].sum()})]
        rows.append(("gap", None))
    return rows[:-1]


def _pooled_groups(groups: Result) -> list[dict[Any, Any]]:
    return [row for row in groups.table.to_dict("records") if row["k"] > 1]


def _draw_row(sheet: Sheet, at: int, kind: str, row: Any, about: tuple[Any, ...]) -> None:
    studies, beside, decimals, measure = about
    if kind == "study":
        _study(sheet, at, row, decimals, float(studies["weight"].max()))
        _text_columns(sheet, at, row, beside)
    elif kind == "heading":
        name, count, pooled = row
        words = f"{count} stud{'ies' if count != 1 else 'y'}" + ("" if pooled else ", not pooled")
        heading = f"{name[:1].upper()}{name[1:]} ({words})"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        sheet.write(0.07, at + 0.1, heading, fontweight="bold", bbox=box, zorder=2)
    elif kind == "group":
        ends = reader_scale(row["value"], row["low"], row["high"], measure)
        _diamond(sheet, at, (ends["low"], ends["value"], ends["high"]), LIGHT, 0.32)
        _figures(sheet, at, tuple(ends.values()), decimals, f"{row['weight']:.1f}", bold=True)
        sheet.write(0.07, at, "Pooled", fontweight="bold")


def _decimals(pooled: Estimate, studies: pd.DataFrame) -> int:
    """Return the decimals that the pooled interval or a typical study justifies."""
    typical = 0.0, float((studies["high_x"] - studies["low_x"]).median())
    found = max(decimals_for(pooled.low, pooled.high), decimals_for(*typical))
    return min(found, 2) if abs(pooled.value or 0.0) >= 0.1 else found


def _figures_room(studies: pd.DataFrame, decimals: int) -> float:
    """Return the inches that the longest effect with its interval takes."""
    ends = studies[["x", "low_x", "high_x"]].to_numpy(float)
    longest = max(sum(len(number(end, decimals)) for end in row) for row in ends) + 5
    return max(FIGURES, 0.066 * longest + 0.06)


def _layout(
    rows: int,
    title: str,
    *,
    beside: float = 0.0,
    figures: float = FIGURES,
    notes: float = 0.0,
) -> Sheet:
    top, bottom = (0.34 if title else 0.1), 0.5 + notes
    height = (rows + 1.1) * ROW + top + bottom
    left, right = NAME + beside, figures + WEIGHT
    width = max(WIDTH, left + NARROWEST + right)
    figure, axes = canvas(height)
    figure.set_size_inches(width, height)
    figure.set_layout_engine("none")
    inside = width - left - right
    axes.set_position(
        (left / width, bottom / height, inside / width, (height - top - bottom) / height)
    )
    if title:
        figure.text(0.02, 1 - 0.22 / height, short(title, 58), fontsize=10.5, fontweight="bold")
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    return Sheet(figure, axes, left, inside, width)


def _is_ratio(measure: str) -> bool:
    return measure in MEASURES and MEASURES[measure].back == "exp" and _null(measure) is not None


def _null(measure: str) -> float | None:
    return MEASURES[measure].null if measure in MEASURES else 0.0


def _limits(
    studies: pd.DataFrame, pooled: Estimate, predicted: Estimate | None
) -> tuple[float, float]:
    """Return limits that show nearly all intervals whole; the few beyond get an arrow."""
    scale = np.log if _is_ratio(pooled.measure) else np.asarray
    must = [pooled.low, pooled.high, _null(pooled.measure)]
    must += [predicted.low, predicted.high] if predicted else []
    ends = scale([value for value in must if value is not None])
    middle = scale(np.quantile(studies["x"], [0.02, 0.98]))
    lows, highs = np.sort(scale(studies["low_x"])), np.sort(scale(studies["high_x"]))
    beyond = len(studies) // 20
    low = min(ends.min(), middle[0], lows[beyond])
    high = max(ends.max(), middle[1], highs[-1 - beyond])
    core = max(ends.max(), middle[1]) - min(ends.min(), middle[0])
    low, high = max(low, ends.min() - 1.5 * core), min(high, ends.max() + 1.5 * core)
    room = 0.04 * (high - low)
    back = np.exp if _is_ratio(pooled.measure) else np.asarray
    return float(back(low - room)), float(back(high + room))


def _headings(
    sheet: Sheet,
    measure: str,
    level: float | None,
    ends: tuple[str, str] = ("Study", "Weight"),
    beside: Beside | None = None,
) -> None:
    known = MEASURES[measure].name if measure in MEASURES else ""
    name = SHORT_NAMES.get(known, "Effect")
    words: dict[str, Any] = {"fontweight": "bold"}
    sheet.write(0.07, -1.0, ends[0], **words)
    sheet.write(
        sheet.effect_at, -1.0, f"{name} ({100 * (level or 0.95):g}\u00a0%)", "right", **words
    )
    sheet.write(sheet.weight_at, -1.0, ends[1], "right", **words)
    sheet.rule(-0.55)
    if beside is not None:
        for at, heading in enumerate(beside.columns.values()):
            sheet.write(_column_at(at), -1.0, short(heading, 9), "right", **words)
        for at in range(len(beside.domains)):
            sheet.write(beside.light_at(at), -1.0, beside.letter(at), "center", **words)


def _column_at(at: int) -> float:
    return NAME + COLUMN * (at + 1) - 0.1


def _study(sheet: Sheet, at: int, study: pd.Series, decimals: int, heaviest: float) -> None:
    axes = sheet.axes
    low, high = axes.get_xlim()
    inside = bool(low <= study["x"] <= high)
    start, end = np.clip([study["low_x"], study["high_x"]], low, high)
    axes.plot([start, end], [at, at], color=INK, linewidth=1.0, zorder=2, gid="interval")
    for beyond, edge, mark in (
        (study["low_x"] < low, low, "<"),
        (study["high_x"] > high, high, ">"),
    ):
        if beyond:
            outside = not inside and (study["x"] < low) == (mark == "<")
            look = {"color": BLUE, "markersize": 7.5} if outside else _SMALL_ARROW
            gid = "effect beyond" if outside else "interval beyond"
            axes.plot(edge, at, mark, clip_on=False, zorder=4, gid=gid, **look)
    size = 8 + 42 * study["weight"] / heaviest
    if inside:
        axes.scatter(
            study["x"], at, s=size, marker="s", color=BLUE, zorder=3, linewidths=0, gid="effect"
        )
    sheet.write(0.07, at, _label(str(study["label"])))
    ends = (study["x"], study["low_x"], study["high_x"])
    _figures(sheet, at, ends, decimals, f"{study['weight']:.1f}")


_SMALL_ARROW: dict[str, Any] = {"color": INK, "markersize": 3.4}


def _figures(
    sheet: Sheet,
    at: float,
    ends: tuple[Any, ...],
    decimals: int,
    last: str,
    bold: bool = False,
) -> None:
    value, low, high = (number(end, decimals) for end in ends)
    words: dict[str, Any] = {"fontweight": "bold"} if bold else {}
    sheet.write(sheet.effect_at, at, f"{value} ({low}, {high})", "right", **words)
    sheet.write(sheet.weight_at, at, last, "right", **(words or {"color": QUIET}))


def _text_columns(sheet: Sheet, at: int, study: pd.Series, beside: Beside) -> None:
    for column, name in enumerate(beside.columns):
        sheet.write(_column_at(column), at, _cell(study[name]), "right", color=QUIET)


def _lights(sheet: Sheet, rows: list[tuple[str, Any]], beside: Beside) -> None:
    """Draw the lights of all studies, one collection per judgement."""
    place = blended_transform_factory(sheet.axes.transAxes, sheet.axes.transData)
    spots: dict[str, list[tuple[float, int]]] = {}
    for at, row in enumerate(rows):
        if row[0] != "study":
            continue
        for column, domain in enumerate(beside.domains):
            judgement, inches = (
                str(beside.bias.loc[row[1]["study"], domain]),
                beside.light_at(column),
            )
            spots.setdefault(judgement, []).append(((inches - sheet.left) / sheet.inside, at))
            sheet.write(inches, at, symbol(judgement), "center", fontsize=6.6, va="center_baseline")
    for judgement, places in spots.items():
        across, down = np.array(places).T
        sheet.axes.scatter(
            across, down, s=66, color=COLOURS.get(judgement, FAINT),
            linewidths=0, clip_on=False, transform=place, gid="light",
        )  # fmt: skip


def _cell(value: Any) -> str:
    if isinstance(value, (int, float, np.number)):
        return "" if pd.isna(value) else f"{float(value):,.4g}".replace("-", "−")
    return "" if value is None else short(str(value), 9)


def _label(text: str, most: int = 20) -> str:
    """Return a study's name that fits its column, with its year if it ends in one."""
    name, _, year = text.rpartition(" ")
    if len(text) <= most or not (year.isdigit() and len(year) == 4):
        return short(text, most)
    kept = short(name.rstrip(","), most - 5).replace(" &…", "…")
    return f"{kept} {year}"


def _diamond(
    sheet: Sheet, at: float, across: tuple[Any, Any, Any], colour: str, tall: float
) -> None:
    low, value, high = across
    corners = np.column_stack(
        [np.array([low, value, high, value], float), at + tall * np.array([0, -1, 0, 1])]
    )
    sheet.axes.add_patch(
        Polygon(corners, facecolor=colour, edgecolor=ORANGE, linewidth=0.8, zorder=3)
    )


def _summary(
    sheet: Sheet, at: float, result: Result, predicted: Estimate | None, decimals: int
) -> None:
    pooled = result["pooled"]
    sheet.rule(at - 0.7)
    _diamond(sheet, at, (pooled.low, pooled.value, pooled.high), ORANGE, 0.38)
    name = "All studies pooled" if result.settings["model"] == "random" else "Pooled, common"
    sheet.write(0.07, at, name, fontweight="bold")
    ends = (pooled.value, pooled.low, pooled.high)
    _figures(sheet, at, ends, decimals, "100", bold=True)
    if predicted is not None and predicted.low is not None and predicted.high is not None:
        width = predicted.high - predicted.low
        bar = Rectangle((predicted.low, at + 0.86), width, 0.28, color=ORANGE, alpha=0.55)
        sheet.axes.add_patch(bar)
        sheet.write(0.07, at + 1, "A new study may find")
        limits = f"{number(predicted.low, decimals)}, {number(predicted.high, decimals)}"
        sheet.write(sheet.effect_at, at + 1, f"({limits})", "right")


def _reference_lines(axes: Axes, pooled: Estimate, bottom: float) -> None:
    value = float(pooled.value or 0)
    axes.plot(
        [value] * 2, [-0.5, bottom], color=ORANGE, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1
    )
    null = _null(pooled.measure)
    if null is not None:
        axes.plot([null] * 2, [-0.5, bottom + 2], color=QUIET, linewidth=0.9, zorder=1)


def _effect_axis(axes: Axes, measure: str) -> None:
    low, high = axes.get_xlim()
    if _is_ratio(measure):
        ticks = [tick for tick in RATIO_TICKS if low <= tick <= high]
        while len(ticks) > 5:
            ticks = [tick for tick in ticks if tick == 1 or ticks.index(tick) % 2]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    axes.tick_params(axis="x", labelsize=TEXT)


def _sides(sheet: Sheet, result: Result) -> None:
    """Say under the axis which side favours whom."""
    pooled = result["pooled"]
    null = _null(pooled.measure)
    if null is None or pooled.direction_better == "none":
        return
    names = [str(result.settings["comparator"]), str(result.settings["intervention"])]
    if pooled.direction_better == "lower":
        names.reverse()
    below = blended_transform_factory(
        sheet.axes.transData, sheet.axes.transAxes
    ) + ScaledTranslation(0, -0.36, sheet.figure.dpi_scale_trans)
    words: dict[str, Any] = {"fontsize": TEXT, "color": QUIET, "va": "center", "transform": below}
    sheet.axes.text(null, 0, f"← favours {short(names[0], 17)}  ", ha="right", **words)
    sheet.axes.text(null, 0, f"  favours {short(names[1], 17)} →", ha="left", **words)


def _notes(result: Result, beside: Beside) -> list[str]:
    """Return the lines under the picture, but for the one on what lies beyond the axis."""
    lines = [f"Weight: share in the pooled effect, in\u00a0%. {_footnote(result)}."]
    if beside.domains:
        named = [f"{beside.letter(at)}\u00a0{name}" for at, name in enumerate(beside.domains)]
        lines.append(f"Risk of bias: {', '.join(named)}.")
    return lines


def _outside(axes: Axes, studies: pd.DataFrame) -> list[str]:
    low, high = axes.get_xlim()
    if bool(((studies["x"] < low) | (studies["x"] > high)).any()):
        return ["Small arrow: the interval goes on; large blue arrow: so does the effect."]
    if bool(((studies["low_x"] < low) | (studies["high_x"] > high)).any()):
        return ["Arrow: the interval goes on beyond the axis."]
    return []


def _wrapped(notes: list[str], wide: float) -> list[str]:
    letters = int(wide / 0.0535)
    return [line for note in notes for line in textwrap.wrap(note, letters)]


def _note_room(notes: list[str], beside: Beside) -> float:
    wide = max(WIDTH, NAME + beside.inches + NARROWEST + FIGURES + WEIGHT) - 0.15
    longest = [*notes, "A line on what lies beyond the axis."]
    return 0.14 * len(_wrapped(longest, wide)) + 0.17 * bool(beside.domains) + 0.06


def _write_notes(sheet: Sheet, notes: list[str], beside: Beside) -> None:
    height = sheet.figure.get_figheight()
    lines = _wrapped(notes, sheet.width - 0.15)
    bottom = 0.07 + 0.17 * bool(beside.domains)
    for at, line in enumerate(reversed(lines)):
        place = (bottom + 0.14 * at) / height
        sheet.figure.text(0.07 / sheet.width, place, line, fontsize=SMALL, color=QUIET)
    if beside.domains:
        _light_key(sheet, beside)


def _light_key(sheet: Sheet, beside: Beside) -> None:
    """Draw each judgement that occurs with its colour, symbol and name, in one line."""
    height, at = sheet.figure.get_figheight(), 0.15
    present = set(beside.bias.stack())
    for name in (one for one in COLOURS if one in present):
        light = sheet.figure.add_axes(
            ((at - 0.06) / sheet.width, 0.05 / height, 0.12 / sheet.width, 0.12 / height)
        )
        light.scatter(0.5, 0.5, s=58, color=COLOURS[name], linewidths=0)
        light.text(0.5, 0.5, symbol(name), fontsize=6.4, ha="center", va="center_baseline")
        light.set(xlim=(0, 1), ylim=(0, 1))
        light.axis("off")
        sheet.figure.text(
            (at + 0.1) / sheet.width, 0.11 / height, name, fontsize=SMALL, va="center", color=QUIET
        )
        at += 0.35 + 0.056 * len(name)


def _footnote(result: Result) -> str:
    tau2, i2, settings = result["tau2"], result["I2"], result.settings
    share = f"I² {i2.value:.0f}\u00a0%"
    if i2.low is not None and i2.high is not None:
        share += f" ({i2.low:.0f} to {i2.high:.0f})"
    if settings["model"] == "common":
        return f"{share}; common effect"
    decimals = decimals_for(tau2.low, tau2.high)
    test = {"hartung_knapp": "Hartung-Knapp", "kenward_roger": "Kenward-Roger"}
    method = f"{settings['tau2']}, {test.get(str(settings['test']), settings['test'])}"
    spread = number(tau2.value, max(decimals, 2)) if tau2.value else "0"
    return f"τ² {spread}; {share}; {method}"


def _forest_alt(
    result: Result, studies: pd.DataFrame, decimals: int, groups: Result | None, beside: Beside
) -> str:
    pooled = result["pooled"]
    weakest, strongest = studies["x"].min(), studies["x"].max()
    spread = f"{number(weakest, decimals)} to {number(strongest, decimals)}"
    null = _null(pooled.measure)
    words = (
        f"Forest plot of {pooled.k} stud{'ies' if pooled.k != 1 else 'y'}: effects from {spread}"
    )
    if null is not None:
        clear = int(((studies["low_x"] > null) | (studies["high_x"] < null)).sum())
        words += f", {clear or 'none'} with an interval that excludes no effect"
    words += f". Pooled {interval_words(pooled, decimals)}"
    predicted = _found(result, "prediction")
    if predicted is not None:
        ends = (number(predicted.low, decimals), number(predicted.high, decimals))
        words += f"; a new study may find {ends[0]} to {ends[1]}"
    words += f". {_footnote(result)}."
    if beside.domains:
        low = int((beside.bias[beside.domains[-1]] == "low").sum())
        words += f" Overall risk of bias low in {low}."
    if groups is None:
        return words
    listed = ", ".join(
        f"{row['group']} {number(reader_scale(row['value'], 0.0, 0.0, pooled.measure)['value'], 2)}"
        for row in _pooled_groups(groups)
    )
    return f"{words} Subgroups pooled: {listed}."


@drawn
def pooled_rows(result: Result, *, measure: str, title: str = "") -> Picture:
    """Draw one pooled effect per row: subgroups, leaving studies out, or studies as they add up.

    Parameters
    ----------
    result
        What `subgroups`, `leave_one_out` or `cumulative` returned: a table whose first column names
        the row, with k, value, low and high on the analysis scale.
    measure
        Measure of the effects, for their scale and name.
    title
        Shown above.

    Raises
    ------
    DataError
        If the table has no such columns.
    """
    needed = {"k", "value", "low", "high"}
    if not result.known or not needed <= set(result.table):
        raise DataError(f"rows to draw need k, value, low and high; got: {result.text}")
    rows = _reader_rows(result.table, measure)
    sheet = _layout(len(rows), title)
    axes = sheet.axes
    axes.set_xscale("log" if _is_ratio(measure) else "linear")
    null = _null(measure)
    ends = [*rows["low"], *rows["high"], *([] if null is None else [null])]
    axes.set_xlim(_with_room(min(ends), max(ends), measure))
    axes.set_ylim(len(rows) - 0.4, -1.6)
    _headings(sheet, measure, result.settings.get("level", 0.95), ("", "Studies"))
    decimals = decimals_for(0.0, float((rows["high"] - rows["low"]).median()))
    for at, row in enumerate(rows.itertuples()):
        _pooled_row(sheet, at, row, decimals)
    if null is not None:
        axes.plot([null] * 2, [-0.5, len(rows) - 0.4], color=QUIET, linewidth=0.9, zorder=1)
    _effect_axis(axes, measure)
    spread = f"{number(rows['value'].min(), decimals)} to {number(rows['value'].max(), decimals)}"
    alt = f"{len(rows)} pooled effects from {spread}. {result.text}"
    return Picture(sheet.figure, " ".join(alt.split(" ")[:60]))


def _reader_rows(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    ends = [
        reader_scale(value, low, high, measure)
        for value, low, high in zip(table["value"], table["low"], table["high"], strict=True)
    ]
    names = table.iloc[:, 0].astype("str").tolist()
    return pd.DataFrame(ends).assign(name=names, k=table["k"].to_numpy())


def _with_room(low: float, high: float, measure: str) -> tuple[float, float]:
    if _is_ratio(measure):
        room = (high / low) ** 0.05
        return low / room, high * room
    room = 0.05 * (high - low)
    return low - room, high + room


def _pooled_row(sheet: Sheet, at: int, row: Any, decimals: int) -> None:
    axes = sheet.axes
    axes.plot([row.low, row.high], [at, at], color=INK, linewidth=1.1, zorder=2, gid="interval")
    axes.scatter(row.value, at, s=28, marker="D", color=ORANGE, zorder=3, linewidths=0)
    sheet.write(0.07, at, _label(row.name))
    _figures(sheet, at, (row.value, row.low, row.high), decimals, f"{row.k:.0f}")
