"""Pictures of local evaluations: the course without the event, event studies, placebos."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evidence.errors import DataError
from evidence.evaluation.checks import in_words, moved_by, number, signed
from evidence.plots import style
from evidence.plots.style import Picture, canvas, drawn, headline, require_method, short
from evidence.results import Result

__all__ = ["counterfactual", "event_study", "placebo_dates", "placebo_units"]

SERIES = ("interrupted_series", "controlled_series")
WITHOUT = {
    "interrupted_series": "its earlier course, continued",
    "controlled_series": "as the control moved",
    "synthetic_control": "synthetic control",
}
"""What the figure is set against, in the legend."""


@drawn
def counterfactual(result: Result) -> Picture:
    """Draw a series and what it would have been without the event, with its interval.

    Parameters
    ----------
    result
        Result of `interrupted_series`, `controlled_series` or `synthetic_control`.

    Raises
    ------
    DataError
        If the result is of another method.
    """
    method = require_method(result, *SERIES, "synthetic_control")
    rows, asked = result.table, result.settings
    figure, axes = canvas(3.7)
    at, event = np.arange(len(rows)), _event_at(rows)
    _frame(axes, result)
    if "low" in rows:
        axes.fill_between(
            at[event:],
            rows["low"][event:],
            rows["high"][event:],
            color=style.BAND,
            linewidth=0,
            zorder=0,
            label=f"{asked['level'] * 100:g} % interval of it",
        )
    axes.plot(
        at,
        rows["counterfactual"],
        color=style.ORANGE,
        linewidth=1.3,
        linestyle=(0, (4, 2)),
        label=WITHOUT[method],
    )
    axes.plot(at, rows["value"], color=style.FAINT, linewidth=1, zorder=1)
    axes.scatter(at, rows["value"], s=14, color=style.BLUE, zorder=3, label="observed")
    if "fitted" in rows:
        axes.plot(at, rows["fitted"], color=style.BLUE, linewidth=1.1, zorder=2, label="fitted")
    _mark(axes, event - 0.5, asked["event_label"], early=event < len(rows) / 2)
    _periods(axes, rows["period"])
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.5, columnspacing=1.2)
    last = rows.iloc[-1]
    alt = (
        f"{_subject(result)}, {in_words(rows['period'].iloc[0])} to {in_words(last['period'])}, "
        f"event in {in_words(asked['event'])}: in the last period {number(last['value'])} "
        f"observed, {number(last['counterfactual'])} on the dashed line ({WITHOUT[method]}). "
        f"{result.text}"
    )
    return Picture(figure, alt)


@drawn
def event_study(result: Result) -> Picture:
    """Draw the difference between those reached and the others, by periods since the event.

    Parameters
    ----------
    result
        Result of `difference_in_differences`.

    Raises
    ------
    DataError
        If the result is of another method.
    """
    require_method(result, "difference_in_differences")
    rows = result.table
    figure, axes = canvas(3.5)
    _frame(axes, result)
    axes.set_ylabel(f"difference{_in_unit(result)}")
    axes.set_xlabel("periods since the event (−1 is the comparison)")
    axes.axhline(0, color=style.INK, linewidth=0.8)
    for phase, colour in ((rows["relative"] < 0, style.QUIET), (rows["relative"] >= 0, style.BLUE)):
        some = rows[phase]
        axes.vlines(some["relative"], some["low"], some["high"], color=colour, linewidth=1.4)
        axes.scatter(
            some["relative"],
            some["value"],
            s=24,
            color=colour,
            zorder=3,
            label="before the event" if colour == style.QUIET else "from the event on",
        )
    _mark(axes, -0.5, result.settings["event_label"], early=True)
    figure.legend(loc="outside lower center", ncols=2)
    earlier = rows[rows["relative"] < -1]
    beyond = int(((earlier["low"] > 0) | (earlier["high"] < 0)).sum())
    alt = (
        f"Event study of {_subject(result)}, {len(rows)} periods: {beyond} of {len(earlier)} "
        f"intervals before the event leave out 0. {result.text}"
    )
    return Picture(figure, alt)


@drawn
def placebo_dates(result: Result) -> Picture:
    """Draw the estimate beside those at dates when nothing happened and at shifted dates.

    Parameters
    ----------
    result
        Result of `interrupted_series`, `controlled_series` or `difference_in_differences`.

    Raises
    ------
    DataError
        If the result is of another method, or no other date could be tried.
    """
    require_method(result, *SERIES, "difference_in_differences")
    rows = pd.DataFrame(result.settings["checks"])
    rows = rows[rows["check"].isin(["placebo date", "shifted date"]) & rows["value"].notna()]
    rows = rows.reset_index(drop=True)
    if rows.empty:
        raise DataError("a picture of placebo dates needs at least one; none could be tried.")
    null = 1.0 if result.settings["ratio"] else 0.0
    figure, axes = canvas(1.3 + 0.24 * len(rows))
    _frame(axes, result, 34)
    axes.set_ylabel("")
    axes.axvline(null, color=style.INK, linewidth=0.8)
    real = (rows["check"] == "shifted date") & (rows["at"] == "+0")
    names = [
        f"none in {row['at']}" if row["check"] == "placebo date" else moved_by(row["at"])
        for row in rows.to_dict("records")
    ]
    y = np.arange(len(rows))[::-1]
    for kind, colour in ((real, style.BLUE), (~real, style.QUIET)):
        chosen = kind.to_numpy()
        axes.hlines(y[chosen], rows["low"][kind], rows["high"][kind], color=colour, linewidth=1.4)
        axes.scatter(rows["value"][kind], y[chosen], s=24, color=colour, zorder=3)
    axes.set_yticks(y, names)
    axes.set_xlabel("ratio" if null else f"difference{_in_unit(result)}")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    away = rows[rows["check"] == "placebo date"]
    beyond = int(((away["low"] > null) | (away["high"] < null)).sum())
    dates = "no placebo date"
    if len(away):
        dates = f"{len(away)} placebo dates, of which {beyond or 'none'} leave out no difference"
    alt = (
        f"{_subject(result)}: estimates at {dates}, and with the event dated up to 3 periods off, "
        f"from {number(rows['value'].min())} to {number(rows['value'].max())}."
    )
    return Picture(figure, alt)


@drawn
def placebo_units(result: Result) -> Picture:
    """Draw the gap of the treated unit among those of every donor treated as if reached.

    Parameters
    ----------
    result
        Result of `synthetic_control`.

    Raises
    ------
    DataError
        If the result is of another method.
    """
    require_method(result, "synthetic_control")
    rows = result.table
    donors = [name for name in rows if name.startswith("placebo.")]
    figure, axes = canvas(3.5)
    _frame(axes, result)
    axes.set_ylabel(f"gap{_in_unit(result)}")
    at = np.arange(len(rows))
    for place, name in enumerate(donors):
        label = f"donors as if reached ({len(donors)})" if place == 0 else None
        axes.plot(at, rows[name], color=style.FAINT, linewidth=0.8, label=label)
    axes.axhline(0, color=style.INK, linewidth=0.8)
    axes.plot(at, rows["gap"], color=style.BLUE, linewidth=1.8, label=result.settings["treated"])
    event = _event_at(rows)
    _mark(axes, event - 0.5, result.settings["event_label"], early=event < len(rows) / 2)
    _periods(axes, rows["period"])
    figure.legend(loc="outside lower center", ncols=2)
    after = rows[rows["phase"] == "after"]
    mean = after["gap"].mean()
    farther = int((after[donors].mean().abs() >= abs(mean)).sum())
    alt = (
        f"Gaps of {_subject(result)} and {len(donors)} donors: mean gap after the event "
        f"{signed(mean)}; {farther} donors have one at least as large."
    )
    return Picture(figure, alt)


def _subject(result: Result) -> str:
    asked = result.settings
    return ", ".join(part for part in (asked["outcome"], asked["area"]) if part)


def _in_unit(result: Result) -> str:
    unit = result.settings["unit"]
    return f", {'points' if unit == '%' else unit}" if unit else ""


def _frame(axes: Axes, result: Result, width: int = 44) -> None:
    headline(axes, _subject(result), width)
    axes.set_ylabel(result.settings["unit"] or "value")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _event_at(rows: pd.DataFrame) -> int:
    return int((rows["phase"] == "before").sum())


def _mark(axes: Axes, at: float, label: str, *, early: bool) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * (high - low))
    axes.axvline(at, color=style.INK, linewidth=0.9, linestyle=(0, (2, 2)))
    axes.annotate(
        short(label, 40),
        (at, 1),
        (4 if early else -4, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="left" if early else "right",
        va="top",
        fontsize=8.5,
        zorder=5,
    )


def _periods(axes: Axes, periods: pd.Series) -> None:
    years = periods.astype(str).str[:4]
    starts = np.flatnonzero((years != years.shift()).to_numpy())
    if 1 < len(starts) < len(periods) / 2 and starts[1] - starts[0] < 3:
        starts = starts[1:]
    chosen = starts[:: int(np.ceil(len(starts) / 7))]
    axes.set_xlim(-0.8, len(periods) - 0.2)
    axes.set_xticks(chosen, years.iloc[chosen])
