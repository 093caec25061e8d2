"""Control charts over time: which points differ from the routine variation of their series.

XmR (individuals and moving range) chart with the four rules and the order of precedence that the
NHS *Making Data Count* guides use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError, require_choice, require_columns
from evidence.results import Caution, Direction, Estimate, Result
from evidence.variation import rates, words
from evidence.variation.checks import numbers, require_unique
from evidence.variation.periods import (
    MONTH,
    period_label,
    period_number,
    period_numbers,
    series_in_order,
)

Array = np.ndarray

LIMIT_FACTOR = 2.66
"""3 / 1.128: three standard deviations from the mean of moving ranges of two points."""
SCREEN_FACTOR = 3.267
"""Upper limit of moving ranges as a multiple of their mean (Montgomery, D4 for n = 2)."""
RUN = 7
"""Points of a shift or trend."""
SHORT = 12
"""Below this number of points limits are provisional (Making Data Count)."""
SIGNALS = ("improvement", "concern", "neutral high", "neutral low")
"""Points that differ from routine variation and may be read as change."""
ROUNDING = 1e-12
"""Differences below this part of the numbers subtracted are rounding of the machine."""

RULES = ("outside limits", "trend", "two of three", "shift")
"""Rules in their order: a point that breaks several is named by the first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Chart:
    """Lines and signals of series laid end to end; all arrays of the same length."""

    mean: Array
    lower: Array
    upper: Array
    moving_range: Array
    rule: Array
    side: Array


def _chart(
    value: Array,
    segment: Array,
    linked: Array,
    settling: Array,
    *,
    screen: bool,
    baseline: int | None = None,
    bounds: tuple[float | None, float | None] = (None, None),
    centre: float | None = None,
) -> _Chart:
    """Return lines and signals of series laid end to end.

    `linked` marks points that follow their left neighbour, `settling` those left out of limits.
    """
    known = ~np.isnan(value)
    judged = known & ~settling
    linked = linked & judged & np.concatenate(([False], judged[:-1]))
    step = _beyond_noise(np.concatenate(([np.nan], np.diff(value))), value)
    moving = np.where(linked, np.abs(step), np.nan)
    used = judged if baseline is None else judged & (_order(segment, judged) < baseline)
    mean = _segment_mean(value, segment, used)
    if centre is not None:
        mean = np.full(len(value), centre)
    ranged = used & linked
    typical = _segment_mean(moving, segment, ranged)
    if screen:
        within = (moving < SCREEN_FACTOR * typical) | (typical == 0)
        typical = _segment_mean(moving, segment, ranged & within)
    reach = LIMIT_FACTOR * typical
    away = _beyond_noise(value - mean, mean)
    side = np.where(known, np.sign(away), 0)
    outside = known & (np.abs(away) > reach)
    close = known & ~outside & (np.abs(away) > reach * 2 / 3)
    rule = np.select(
        [outside, _trend(step, linked), _two_of_three(close, side, linked), _shift(side, linked)],
        RULES,
        "",
    )
    direction = np.where(rule == "trend", _direction_of_trend(step, linked), side)
    floor, ceiling = bounds
    return _Chart(
        mean=mean,
        lower=np.maximum(mean - reach, -np.inf if floor is None else floor),
        upper=np.minimum(mean + reach, np.inf if ceiling is None else ceiling),
        moving_range=moving,
        rule=rule,
        side=direction,
    )


def _beyond_noise(difference: Array, size: Array) -> Array:
    """Return differences, those that are rounding of the numbers subtracted being none."""
    return np.where(np.abs(difference) <= ROUNDING * np.abs(size), 0.0, difference)


def _order(segment: Array, counted: Array) -> Array:
    """Return how many counted points of the segment came before each point."""
    before = np.cumsum(counted) - counted
    first = np.unique(segment, return_index=True)[1]
    return before - before[first][np.searchsorted(segment[first], segment)]


def _segment_mean(value: Array, segment: Array, used: Array) -> Array:
    total = np.bincount(segment, weights=np.where(used, np.nan_to_num(value), 0.0))
    count = np.bincount(segment, weights=used)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / count)[segment]


def _runs(state: Array, linked: Array) -> tuple[Array, Array]:
    """Return the run each point belongs to and the length of that run."""
    changes = ~linked
    changes[1:] |= state[1:] != state[:-1]
    run = np.cumsum(changes) - 1
    return run, np.bincount(run)[run]


def _shift(side: Array, linked: Array) -> Array:
    return (side != 0) & (_runs(side, linked)[1] >= RUN)


def _steep(step: Array, linked: Array) -> Array:
    """Return +1 or -1 for the moves that belong to a trend, else 0."""
    move = np.where(linked, np.sign(np.nan_to_num(step)), 0)
    length = _runs(move, linked)[1]
    return np.where(length >= RUN - 1, move, 0)


def _trend(step: Array, linked: Array) -> Array:
    return _direction_of_trend(step, linked) != 0


def _direction_of_trend(step: Array, linked: Array) -> Array:
    move = _steep(step, linked)
    opens = np.concatenate((move[1:], [0]))
    return np.where(move != 0, move, opens)


def _two_of_three(close: Array, side: Array, linked: Array) -> Array:
    """Return the points near the limits in windows of three on one side, two of them near."""
    member = np.zeros(len(close), dtype=bool)
    if len(close) < 3:
        return member
    joined = linked[1:-1] & linked[2:]
    one_side = (np.abs(side[:-2] + side[1:-1] + side[2:]) == 3) & joined
    near = close[:-2].astype(int) + close[1:-1] + close[2:]
    window = one_side & (near >= 2)
    for shift in range(3):
        member[shift : len(member) - 2 + shift] |= window
    return member & close


@dataclass(frozen=True, slots=True)
class _Subject:
    """What the series is about, in the words and units of the reader."""

    direction: Direction
    indicator: str
    unit: str
    area: str
    kind: str

    @property
    def name(self) -> str:
        return ", ".join(part for part in (self.indicator, self.area) if part) or "This series"


def xmr(
    table: pd.DataFrame,
    *,
    direction_better: Direction,
    breaks: Sequence[Mapping[str, Any]] = (),
    baseline: int | None = None,
    screen: bool = True,
    target: float | None = None,
    bounds: tuple[float | None, float | None] = (0.0, None),
    period: str = "period",
    value: str = "value",
    status: str = "status",
    indicator: str = "",
    unit: str = "",
    area: str = "",
) -> Result:
    """Tell routine variation of a series from special causes (individuals and moving range).

    Parameters
    ----------
    table
        One row per period; rows need not be in order. Periods that are absent, or whose status is
        not ``ok``, are shown as ``no figure`` and part their neighbours: no moving range and no
        run crosses them.
    direction_better
        ``higher``, ``lower`` or ``none``: improvement and concern derive from it.
    breaks
        Places ``{"date": period, "label": words}`` where mean and limits start anew. A labelled
        break is never read as an effect: a signal there is ``at a break``. ``"settle": n`` leaves
        the first n periods after it out of the limits and unjudged; ``"rebase": False`` only
        marks the event. A break without a label is a plain new baseline. The cautions about them
        keep the order in which they are given.
    baseline
        Number of first points of each segment that set its mean and limits; all if None.
    screen
        Leave outlying moving ranges (3.267 times the mean) out of the limits, once.
    target
        A value to be reached, drawn and compared.
    bounds
        Smallest and largest possible value; limits are cut there. Counts and percentages cannot
        be negative, so the smallest is 0 by default.
    period, value, status
        Columns; the last may be absent.
    indicator, unit, area
        Words for the reader.

    Returns
    -------
    Result
        Table: one row per period with `period`, `value`, `status`, `mean`, `lower`, `upper`,
        `moving_range`, `rule`, `point` (``common cause``, ``improvement``, ``concern``,
        ``neutral high``, ``neutral low``, ``at a break``, ``no figure``), `segment`, `event`.
        Estimates: `latest`, `mean`, `lower`, `upper` (of the last segment), `signals`, `points`,
        and `target` if given.

    Raises
    ------
    DataError
        If columns are absent, periods repeat or have no order, a break lies outside the series,
        or a value is beyond its bounds.

    References
    ----------
    Wheeler, *Understanding variation*, 1993 (2.66 and 3.267); NHS England, *Making data count*
    (rules: outside the limits; seven rising or falling; two of three near a limit on one side;
    seven on one side; named in this order). A point outside the limits does not count as near.
    """
    require_choice(direction_better, ("higher", "lower", "none"), "direction_better")
    if baseline is not None and baseline < 2:
        raise DataError(f"a baseline must be 2 points or more; got {baseline}. Take 12 or more.")
    rows, kind = series_in_order(table, period, value, status)
    _check_bounds(rows, bounds)
    marks = _marks(breaks, rows, kind)
    if int(rows["value"].notna().sum()) < 3:
        return Result.could_not(
            f"{indicator or 'Series'} not charted",
            "fewer than three periods have a figure",
            method="xmr",
        )
    rows["segment"] = _segments(rows["number"], marks)
    chart = _chart(
        rows["value"].to_numpy(),
        rows["segment"].to_numpy(),
        np.concatenate(([False], np.diff(rows["segment"]) == 0)),
        _settling(rows["number"], marks),
        screen=screen,
        baseline=baseline,
        bounds=bounds,
    )
    ask = _Subject(direction_better, indicator, unit, area, kind)
    result = _charted(rows, chart, marks, ask)
    estimates = _chart_estimates(result, target, ask)
    return Result(
        text=_chart_finding(result, estimates, marks, ask),
        estimates=estimates,
        table=result,
        settings={
            "method": "xmr",
            "direction_better": direction_better,
            "breaks": [mark.as_setting(kind) for mark in marks],
            "baseline": baseline,
            "screen": screen,
            "target": target,
            "bounds": list(bounds),
            "indicator": indicator,
            "unit": unit,
            "area": area,
        },
        cautions=_chart_cautions(result, marks, ask, baseline),
    )


def icons(result: Result) -> dict[str, str]:
    """Return what the icons of a chart say: its latest variation, and its target's assurance.

    Parameters
    ----------
    result
        Result of `xmr` or `p_prime`.

    Returns
    -------
    dict
        ``variation``: the latest point (``common cause``, ``improvement`` …); ``assurance``:
        ``consistently met``, ``consistently missed``, ``met or missed by chance`` (also where the
        target equals a limit), or empty without a target, a direction or limits.
    """
    shown = result.table[result.table["value"].notna()]
    if shown.empty:
        return {"variation": "no figure", "assurance": ""}
    last, target = shown.iloc[-1], result.settings["target"]
    direction = result.settings["direction_better"]
    assurance = ""
    limits = last[["lower", "upper"]].notna().all()
    if target is not None and direction != "none" and limits:
        above, below = last["lower"] > target, last["upper"] < target
        met, missed = (above, below) if direction == "higher" else (below, above)
        assurance = "consistently met" if met else "consistently missed" if missed else ""
        assurance = assurance or "met or missed by chance"
    return {"variation": str(last["point"]), "assurance": assurance}


@dataclass(frozen=True, slots=True)
class _Mark:
    number: int
    place: int
    label: str
    rebase: bool
    settle: int
    given: int

    def label_of(self, kind: str) -> str:
        return period_label(self.number, kind)

    def as_setting(self, kind: str) -> dict[str, str | bool | int]:
        return {
            "date": self.label_of(kind),
            "label": self.label,
            "rebase": self.rebase,
            "settle": self.settle,
        }


def _check_bounds(rows: pd.DataFrame, bounds: tuple[float | None, float | None]) -> None:
    floor = -np.inf if bounds[0] is None else bounds[0]
    ceiling = np.inf if bounds[1] is None else bounds[1]
    wrong = rows[(rows["value"] < floor) | (rows["value"] > ceiling)]
    if len(wrong):
        raise DataError(
            f"values must lie within the bounds {bounds}; {words.listed(wrong['period'].tolist())} "
            f"hold {wrong['value'].head(3).tolist()}. Correct them, or pass other bounds."
        )


def _marks(breaks: Sequence[Mapping[str, Any]], rows: pd.DataFrame, kind: str) -> tuple[_Mark, ...]:
    marks = []
    for given, item in enumerate(breaks):
        unknown = set(item) - {"date", "label", "rebase", "settle"}
        if "date" not in item or unknown:
            raise DataError(
                f"a break has a 'date' and may have 'label', 'rebase' and 'settle'; got "
                f"{dict(item)}. Correct its keys."
            )
        number = period_number(str(item["date"]), kind)
        first, last = rows["number"].iloc[[0, -1]]
        if number is None or not first < number <= last:
            raise DataError(
                f"a break must lie inside the series, {rows['period'].iloc[0]} to "
                f"{rows['period'].iloc[-1]}; got {item['date']!r}. Leave it out, or correct it."
            )
        marks.append(
            _Mark(
                number=number,
                place=number - int(first),
                label=str(item.get("label", "")).strip(),
                rebase=bool(item.get("rebase", True)),
                settle=int(item.get("settle", 0)),
                given=given,
            )
        )
    return tuple(sorted(marks, key=lambda mark: mark.number))


def _segments(number: pd.Series, marks: Sequence[_Mark]) -> Array:
    starts = sorted({mark.number for mark in marks if mark.rebase})
    return np.searchsorted(starts, number.to_numpy(), side="right")


def _settling(number: pd.Series, marks: Sequence[_Mark]) -> Array:
    return _since(number, [(mark.number, mark.settle) for mark in marks])


def _at_break(number: pd.Series, marks: Sequence[_Mark]) -> Array:
    spans = [(mark.number, max(mark.settle, 1 if mark.label else 0)) for mark in marks]
    return _since(number, spans)


def _since(number: pd.Series, spans: Sequence[tuple[int, int]]) -> Array:
    inside = np.zeros(len(number), dtype=bool)
    for start, length in spans:
        inside |= number.between(start, start + length - 1).to_numpy()
    return inside


def _charted(
    rows: pd.DataFrame, chart: _Chart, marks: Sequence[_Mark], ask: _Subject
) -> pd.DataFrame:
    events = {
        mark.number: "; ".join(other.label for other in marks if other.number == mark.number)
        for mark in marks
    }
    points = _points(rows, chart, ask.direction)
    points[_at_break(rows["number"], marks) & (chart.rule != "")] = "at a break"
    return pd.DataFrame(
        {
            "period": rows["period"].astype("str"),
            "value": rows["value"],
            "status": rows["status"].astype("str"),
            "mean": chart.mean,
            "lower": chart.lower,
            "upper": chart.upper,
            "moving_range": chart.moving_range,
            "rule": pd.Series(chart.rule, dtype="str"),
            "point": pd.Series(points, dtype="str"),
            "segment": rows["segment"],
            "event": pd.Series([events.get(n, "") for n in rows["number"]], dtype="str"),
        }
    )


def _points(rows: pd.DataFrame, chart: _Chart, direction: Direction) -> Array:
    high = {"higher": "improvement", "lower": "concern"}.get(direction, "neutral high")
    low = {"higher": "concern", "lower": "improvement"}.get(direction, "neutral low")
    found = np.select(
        [rows["value"].isna(), chart.rule == "", chart.side > 0],
        ["no figure", "common cause", high],
        low,
    )
    return found.astype(object)


def _chart_estimates(
    rows: pd.DataFrame, target: float | None, ask: _Subject
) -> tuple[Estimate, ...]:
    shown = rows[rows["value"].notna()]
    last = shown.iloc[-1]
    about = {
        "outcome": ask.indicator,
        "area": ask.area,
        "unit": ask.unit,
        "period": last["period"],
        "direction_better": ask.direction,
        "design": "descriptive",
    }
    lines = {key: last[key] for key in ("mean", "lower", "upper") if pd.notna(last[key])}
    found = [Estimate(key="latest", value=last["value"], **about)]
    found += [Estimate(key=key, value=value, **about) for key, value in lines.items()]
    if target is not None:
        found.append(Estimate(key="target", value=target, **about))
    counted = about | {"unit": f"{ask.kind}s", "direction_better": "none"}
    found.append(Estimate(key="points", value=len(shown), **counted))
    found.append(Estimate(key="signals", value=int(shown["point"].isin(SIGNALS).sum()), **counted))
    return tuple(found)


_VERDICTS = {
    "common cause": "routine variation",
    "improvement": "a special cause for the better",
    "concern": "a special cause for the worse",
    "neutral high": "a special cause, high",
    "neutral low": "a special cause, low",
    "at a break": "at a break in the series and not judged",
}


def _chart_finding(
    rows: pd.DataFrame, estimates: Sequence[Estimate], marks: Sequence[_Mark], ask: _Subject
) -> str:
    last = rows[rows["value"].notna()].iloc[-1]
    found = {estimate.key: estimate.value or 0.0 for estimate in estimates}
    rebased = [mark for mark in marks if mark.rebase]
    since = f" since {rebased[-1].label_of(ask.kind)}" if rebased else ""
    routine = ""
    if "lower" in found:
        routine = f" (limits{since} {words.between(found['lower'], found['upper'], ask.unit)})"
    return (
        f"{ask.name}: {words.amount(found['latest'], ask.unit)} in {_short(last['period'])}, "
        f"{_VERDICTS[last['point']]}{routine}; "
        f"{words.share_of(int(found['signals']), int(found['points']), ask.kind)} "
        f"{words.verb(max(int(found['signals']), 1), 'differs', 'differ')} from routine variation."
    )


def _short(period: str) -> str:
    return period[:7] if MONTH.match(period) else period


def _chart_cautions(
    rows: pd.DataFrame, marks: Sequence[_Mark], ask: _Subject, baseline: int | None = None
) -> tuple[Caution, ...]:
    named = sorted((mark for mark in marks if mark.label), key=lambda mark: mark.given)
    doubts = [_break_doubt(rows, mark, ask) for mark in named]
    shown = rows[rows["value"].notna()]
    lengths = shown.groupby("segment").size().clip(upper=baseline)
    if lengths.min() < SHORT:
        doubts.append(
            Caution(
                "short_series",
                f"Limits rest on {int(lengths.min())} points in the shortest stretch; below "
                f"{SHORT} they are provisional.",
            )
        )
    absent = rows.loc[rows["value"].isna(), "period"].tolist()
    if absent:
        doubts.append(
            Caution(
                "missing_periods",
                f"{words.plural(len(absent), ask.kind)} without a figure "
                f"({words.listed(absent)}): neighbours across a gap are not compared.",
            )
        )
    doubts.append(
        Caution(
            "multiple_testing",
            f"Four rules on {words.plural(len(shown), 'point')}: in a series that does not change "
            "they flag about one point in twenty by chance.",
        )
    )
    return tuple(doubts)


def _break_doubt(rows: pd.DataFrame, mark: _Mark, ask: _Subject) -> Caution:
    date = mark.label_of(ask.kind)
    if not mark.rebase:
        return Caution(
            "series_break",
            f"{date}: {mark.label}. A jump there may be a change in recording and is not read as "
            "an effect.",
        )
    pair = rows["value"].iloc[[mark.place - 1, mark.place]].tolist()
    moved = ""
    if not np.isnan(pair).any():
        moved = f" ({words.number(pair[0])} to {words.number(pair[1])})"
    return Caution(
        "series_break",
        f"{date}: {mark.label}. The change there{moved} is consistent with a recording break and "
        "is not read as an effect; limits start anew.",
    )


def p_prime(
    table: pd.DataFrame,
    *,
    direction_better: Direction,
    measure: str = "proportion",
    multiplier: float = 100,
    breaks: Sequence[Mapping[str, Any]] = (),
    screen: bool = True,
    target: float | None = None,
    period: str = "period",
    numerator: str = "numerator",
    denominator: str = "denominator",
    status: str = "status",
    indicator: str = "",
    unit: str = "",
    area: str = "",
) -> Result:
    """Tell routine variation of proportions or rates from special causes, by their denominators.

    Limits follow each period's denominator, and are widened by as much as the series varies more
    than chance from one period to the next.

    Parameters
    ----------
    table
        One row per period, with counts.
    measure
        ``proportion`` (P′ chart) or ``rate`` (U′ chart).
    multiplier
        100 for percentages.
    direction_better, breaks, screen, target, period, status, indicator, unit, area
        As in `xmr`.
    numerator, denominator
        Columns.

    Returns
    -------
    Result
        As `xmr`; `moving_range` is that of the standardised values. The estimate `sigma_z` is
        the widening of the last segment: 1 where chance alone moves the series, absent where the
        segment has no two neighbours or no event.

    Raises
    ------
    DataError
        As `xmr`.

    References
    ----------
    Laney, Quality Engineering 2002;14:531-537.
    """
    require_choice(measure, ("proportion", "rate"), "measure")
    require_choice(direction_better, ("higher", "lower", "none"), "direction_better")
    figures = rates.proportions if measure == "proportion" else rates.crude_rates
    found = figures(
        table, numerator=numerator, denominator=denominator, status=status, multiplier=multiplier
    )
    rows, kind = series_in_order(found, period, "value", "status")
    counted = found.set_index(found[period].astype("str"))[[numerator, denominator]]
    counted = counted.astype(float).reindex(rows["period"])
    marks = _marks(breaks, rows, kind)
    if int(rows["value"].notna().sum()) < 3:
        return Result.could_not(
            f"{indicator or 'Series'} not charted",
            "fewer than three periods have a figure",
            method="p_prime",
        )
    rows["segment"] = _segments(rows["number"], marks)
    settling = _settling(rows["number"], marks)
    chart, sigma = _laney(
        rows,
        counted[numerator].to_numpy(),
        counted[denominator].to_numpy(),
        settling,
        measure=measure,
        multiplier=multiplier,
        screen=screen,
    )
    ask = _Subject(direction_better, indicator, unit, area, kind)
    result = _charted(rows, chart, marks, ask)
    estimates = _chart_estimates(result, target, ask)
    if np.isfinite(sigma):
        measure_of = "variation between periods over chance"
        estimates += (Estimate(key="sigma_z", value=sigma, measure=measure_of),)
    return Result(
        text=_chart_finding(result, estimates, marks, ask),
        estimates=estimates,
        table=result,
        settings={
            "method": "p_prime",
            "measure": measure,
            "multiplier": multiplier,
            "direction_better": direction_better,
            "breaks": [mark.as_setting(kind) for mark in marks],
            "screen": screen,
            "target": target,
            "indicator": indicator,
            "unit": unit,
            "area": area,
        },
        cautions=_chart_cautions(result, marks, ask),
    )


def _laney(
    rows: pd.DataFrame,
    x: Array,
    n: Array,
    settling: Array,
    *,
    measure: str,
    multiplier: float,
    screen: bool,
) -> tuple[_Chart, float]:
    """Return the chart on the scale of the figures, and the widening of its last segment."""
    segment = rows["segment"].to_numpy()
    used = rows["value"].notna().to_numpy() & ~settling
    centre = _segment_mean(x, segment, used) / _segment_mean(n, segment, used)
    variance = centre * (1 - centre) if measure == "proportion" else centre
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(variance / n)
        away = _beyond_noise(x / n - centre, centre)
        z = np.where(rows["value"].notna(), away / error, np.nan)
    chart = _chart(
        z,
        segment,
        np.concatenate(([False], np.diff(segment) == 0)),
        settling,
        screen=screen,
        centre=0.0,
    )
    floor, ceiling = 0.0, 1.0 if measure == "proportion" else np.inf
    lines = {
        "mean": centre,
        "lower": np.maximum(centre + chart.lower * error, floor),
        "upper": np.minimum(centre + chart.upper * error, ceiling),
    }
    scaled = {name: line * multiplier for name, line in lines.items()}
    return replace(chart, **scaled), float(chart.upper[-1] / 3)


def charts(
    table: pd.DataFrame,
    *,
    by: Sequence[str],
    direction_better: str,
    screen: bool = True,
    period: str = "period",
    value: str = "value",
) -> pd.DataFrame:
    """Return the lines and signals of many XmR charts at once.

    Parameters
    ----------
    table
        One row per series and period, in any order.
    by
        Columns that name a series.
    direction_better
        Direction of all series, or the column that holds it.
    screen, period, value
        As in `xmr`.

    Returns
    -------
    DataFrame
        The rows in order of series and time with `mean`, `lower`, `upper`, `rule` and `point`.
        Limits are not cut; rows without a value, and absent periods, part their neighbours.

    Raises
    ------
    DataError
        If columns are absent, a period repeats in a series, a value is no number, or a direction
        does not exist.
    """
    keys = list(by)
    require_columns(table, (*keys, period, value), "control charts")
    labels, unique = pd.factorize(table[period].astype("str"))
    number = period_numbers(unique.tolist())[0][labels]
    series = table.groupby(keys, sort=True).ngroup().to_numpy()
    order = np.lexsort((number, series))
    rows = table.iloc[order].reset_index(drop=True)
    series, number = series[order], number[order]
    same = np.concatenate(([False], series[1:] == series[:-1]))
    step = np.concatenate(([0], np.diff(number)))
    if (same & (step == 0)).any():
        require_unique(rows, [*keys, period], "control charts")
        raise DataError("control charts need one row for each period; two dates fall into one.")
    chart = _chart(
        numbers(rows, value),
        series,
        same & (step == 1),
        np.zeros(len(rows), dtype=bool),
        screen=screen,
    )
    given = rows[direction_better] if direction_better in rows.columns else direction_better
    return rows.assign(
        mean=chart.mean,
        lower=chart.lower,
        upper=chart.upper,
        rule=chart.rule,
        point=_many_points(rows[value], chart, given),
    )


def _many_points(value: pd.Series, chart: _Chart, direction: Any) -> Array:
    sign = pd.Series(direction, index=value.index).map({"higher": 1, "lower": -1, "none": 0})
    if sign.isna().any():
        raise DataError("a direction must be higher, lower or none in every row. Correct it.")
    kind = chart.side * sign.to_numpy()
    return np.select(
        [value.isna(), chart.rule == "", kind > 0, kind < 0, chart.side > 0],
        ["no figure", "common cause", "improvement", "concern", "neutral high"],
        "neutral low",
    )
