"""Figures from counts, each with its interval: proportions, rates, means, and their change.

Intervals are those that English public health statistics publish (Eayres, *Technical briefing 3:
commonly used public health statistics and their confidence intervals*, APHO 2008): Wilson's score
interval for proportions, Byar's approximation for counts of 10 and over, exact limits below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from evidence.errors import require_choice, require_columns
from evidence.results import Caution, Direction, Estimate, Result
from evidence.variation import words
from evidence.variation.checks import (
    OK,
    counts,
    figure_status,
    numbers,
    require_level,
    require_unique,
)

SMALL_COUNT = 10
"""Below this count Byar's approximation gives way to exact limits (Eayres 2008, section 4)."""

Interval = tuple[np.ndarray, np.ndarray]


def wilson(numerator: np.ndarray, denominator: np.ndarray, level: float = 0.95) -> Interval:
    """Return Wilson's score limits of proportions, without continuity correction.

    Parameters
    ----------
    numerator, denominator
        Counts, shape (n,); denominators positive.
    level
        Coverage as a fraction.

    Returns
    -------
    tuple of ndarray
        Lower and upper limits as fractions.

    References
    ----------
    Wilson, J Am Stat Assoc 1927;22:209-212; Newcombe, Stat Med 1998;17:857-872, method 3.
    """
    require_level(level)
    x, n = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    z = stats.norm.isf((1 - level) / 2)
    centre = 2 * x + z**2
    half = z * np.sqrt(z**2 + 4 * x * (1 - x / n))
    low = np.where(x == 0, 0.0, (centre - half) / (2 * (n + z**2)))
    high = np.where(x == n, 1.0, (centre + half) / (2 * (n + z**2)))
    return low, high


def clopper_pearson(
    numerator: np.ndarray, denominator: np.ndarray, level: float = 0.95
) -> Interval:
    """Return exact (Clopper-Pearson) limits of proportions, as fractions.

    References
    ----------
    Clopper and Pearson, Biometrika 1934;26:404-413.
    """
    require_level(level)
    x, n = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(x == 0, 0.0, stats.beta.ppf(tail, x, n - x + 1))
        high = np.where(x == n, 1.0, stats.beta.isf(tail, x + 1, n - x))
    return low, high


def poisson_exact(count: np.ndarray, level: float = 0.95) -> Interval:
    """Return exact limits of the expectation of Poisson counts.

    References
    ----------
    Garwood, Biometrika 1936;28:437-442, by the chi-square distribution.
    """
    require_level(level)
    x = np.asarray(count, dtype=float)
    tail = (1 - level) / 2
    low = np.where(x == 0, 0.0, stats.chi2.ppf(tail, 2 * np.maximum(x, 1e-300)) / 2)
    return low, stats.chi2.isf(tail, 2 * x + 2) / 2


def byar(count: np.ndarray, level: float = 0.95) -> Interval:
    """Return Byar's approximate limits of the expectation of Poisson counts, never below 0.

    References
    ----------
    Breslow and Day, *Statistical methods in cancer research* vol. II, IARC 1987, p. 69.
    """
    require_level(level)
    x = np.asarray(count, dtype=float)
    z = stats.norm.isf((1 - level) / 2)
    safe = np.where(x > 0, x, 1.0)
    low = x * (1 - 1 / (9 * safe) - z / (3 * np.sqrt(safe))) ** 3
    high = (x + 1) * (1 - 1 / (9 * (x + 1)) + z / (3 * np.sqrt(x + 1))) ** 3
    return np.maximum(low, 0.0), high


def count_limits(count: np.ndarray, level: float = 0.95) -> Interval:
    """Return limits of Poisson counts: Byar from 10 events, exact below."""
    x = np.asarray(count, dtype=float)
    exact, approximate = poisson_exact(x, level), byar(x, level)
    return (
        np.where(x < SMALL_COUNT, exact[0], approximate[0]),
        np.where(x < SMALL_COUNT, exact[1], approximate[1]),
    )


def proportions(
    table: pd.DataFrame,
    *,
    numerator: str = "numerator",
    denominator: str = "denominator",
    status: str = "status",
    multiplier: float = 100,
    level: float = 0.95,
    method: str = "wilson",
) -> pd.DataFrame:
    """Return the table with proportions and their intervals.

    Parameters
    ----------
    table
        One row per area, group or month, with counts.
    numerator, denominator, status
        Columns; a missing `status` column means that all counts are published.
    multiplier
        100 for percentages.
    level
        Coverage of the interval.
    method
        ``wilson`` (default: good coverage at any size, the published practice) or ``exact``.

    Returns
    -------
    DataFrame
        The rows of `table` with `status` (why there is no figure, or ``ok``), `value`, `low` and
        `high`; rows without a figure hold NaN.

    Raises
    ------
    DataError
        If a column is absent or a count is negative or no number.
    """
    require_choice(method, ("wilson", "exact"), "method")
    limits = wilson if method == "wilson" else clopper_pearson
    x, n, reasons = read_counts(table, numerator, denominator, status, bounded=True)
    usable = reasons == OK
    low, high = limits(x[usable], n[usable], level)
    return _filled(table, reasons, x[usable] / n[usable], low, high, multiplier)


def crude_rates(
    table: pd.DataFrame,
    *,
    numerator: str = "numerator",
    denominator: str = "denominator",
    status: str = "status",
    multiplier: float = 1000,
    level: float = 0.95,
    method: str = "byar",
) -> pd.DataFrame:
    """Return the table with crude rates of independent events and their intervals.

    Parameters
    ----------
    table, numerator, denominator, status, level
        As in `proportions`; the numerator may exceed the denominator.
    multiplier
        1,000 for a rate per 1,000 people.
    method
        ``byar`` (default: exact below 10 events, where Byar is poor) or ``exact``.

    Returns
    -------
    DataFrame
        The rows of `table` with `status`, `value`, `low`, `high` and `method`.

    Raises
    ------
    DataError
        If a column is absent or a count is negative or no number.
    """
    require_choice(method, ("byar", "exact"), "method")
    limits = count_limits if method == "byar" else poisson_exact
    x, n, reasons = read_counts(table, numerator, denominator, status, bounded=False)
    usable = reasons == OK
    low, high = limits(x[usable], level)
    people = n[usable]
    figures = _filled(table, reasons, x[usable] / people, low / people, high / people, multiplier)
    used = np.where((x < SMALL_COUNT) | (method == "exact"), "exact", "byar")
    figures["method"] = np.where(usable, used, "")
    return figures


def means(
    table: pd.DataFrame, *, value: str = "value", by: str = "area_code", level: float = 0.95
) -> pd.DataFrame:
    """Return the mean of each group with Student's t interval.

    Parameters
    ----------
    table
        One row per person or item; rows without a value are left out and counted.
    value, by
        Columns.
    level
        Coverage of the interval.

    Returns
    -------
    DataFrame
        One row per group, sorted: the group, `n`, `total`, `sd`, `value`, `low`, `high`;
        no interval below two items.

    Raises
    ------
    DataError
        If a column is absent or a value is no number.
    """
    require_columns(table, (value, by), "a mean")
    require_level(level)
    grouped = table.assign(**{value: numbers(table, value)}).groupby(by, sort=True)[value]
    rows = grouped.agg(n="count", total="sum", sd="std", value="mean").reset_index()
    enough = rows["n"] >= 2
    t = stats.t.isf((1 - level) / 2, np.where(enough, rows["n"] - 1, np.nan))
    half = t * rows["sd"] / np.sqrt(rows["n"].where(enough))
    return rows.assign(low=rows["value"] - half, high=rows["value"] + half)


def read_counts(
    table: pd.DataFrame, numerator: str, denominator: str, status: str, *, bounded: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numerators, denominators and, for each row, ``ok`` or why it gives no figure.

    Raises
    ------
    DataError
        If a column is absent or a count is negative or no number.
    """
    require_columns(table, (numerator, denominator), "a figure from counts")
    x, n = counts(table, numerator), counts(table, denominator)
    given = table[status] if status in table.columns else None
    return x, n, figure_status(x, n, given, bounded=bounded)


def _filled(
    table: pd.DataFrame,
    reasons: np.ndarray,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    multiplier: float,
) -> pd.DataFrame:
    """Return the table with figures in the rows that have one, and why the others have none."""
    figures = table.reset_index(drop=True).copy()
    figures["status"] = pd.Series(reasons, dtype="str")
    for name, found in (("value", value), ("low", low), ("high", high)):
        column = np.full(len(figures), np.nan)
        column[reasons == OK] = found * multiplier
        figures[name] = column
    return figures


def change(
    now: pd.DataFrame,
    before: pd.DataFrame,
    *,
    direction_better: Direction,
    measure: str = "proportion",
    multiplier: float = 100,
    level: float = 0.95,
    numerator: str = "numerator",
    denominator: str = "denominator",
    area_code: str = "area_code",
    area: str = "area",
    status: str = "status",
    indicator: str = "",
    unit: str = "",
    period: str = "",
    period_before: str = "",
) -> Result:
    """Return how each area's figure changed between two periods, with intervals.

    Parameters
    ----------
    now, before
        One row per area, with counts; an area in only one of them is answered ``no figure``.
    direction_better
        ``higher``, ``lower`` or ``none``.
    measure
        ``proportion`` or ``rate``.
    multiplier, level, numerator, denominator, area_code, area, status
        As in `proportions`.
    indicator, unit, period, period_before
        Words for the reader.

    Returns
    -------
    Result
        Table: `area_code`, `area`, `value`, `value_before`, `difference`, `low`, `high`, `status`
        and `judgement` (``better``, ``worse``, ``higher``, ``lower``, ``no clear change``,
        ``no figure``). Estimates: `difference` of all areas together, `correlation` of the
        areas' figures in both periods (what lasts), and the counts `rose` and `fell`.

    Raises
    ------
    DataError
        If columns are absent, areas repeat or counts are negative.

    References
    ----------
    Newcombe, Stat Med 1998;17:873-890, method 10 (proportions); the same construction for rates:
    Zou and Donner, Stat Med 2008;27:1693-1702.
    """
    require_choice(measure, ("proportion", "rate"), "measure")
    require_choice(direction_better, ("higher", "lower", "none"), "direction_better")
    keys = (area_code, area, numerator, denominator, status)
    sides = [_side(table, keys, measure, multiplier, level) for table in (now, before)]
    rows = sides[0].merge(
        sides[1], on="area_code", how="outer", suffixes=("", "_before"), sort=False
    )
    rows = _differences(rows, direction_better)
    both = rows[rows["status"] == OK]
    settings = {
        "method": "change",
        "measure": measure,
        "multiplier": multiplier,
        "level": level,
        "direction_better": direction_better,
        "indicator": indicator,
        "unit": unit,
        "period": period,
        "period_before": period_before,
    }
    subject = indicator or "This figure"
    if both.empty:
        because = "no area has a figure in both periods"
        return Result(
            text=f"{subject}: change not known: {because}.",
            reason=because,
            settings=settings,
            table=rows[CHANGE_COLUMNS],
        )
    about: dict[str, Any] = {
        "outcome": indicator,
        "period": f"{period_before} to {period}" if period and period_before else period,
        "k": len(both),
        "design": "descriptive",
    }
    whole = _whole(both, measure, multiplier, level)
    found = (
        Estimate(
            key="difference",
            measure=f"difference of {measure}s",
            unit="percentage points" if unit == "%" else unit,
            direction_better=direction_better,
            level=level,
            **whole,
            **about,
        ),
        *_correlation(both, level, about),
        *(
            Estimate(key=key, value=int((sign * both[edge] > 0).sum()), unit="areas", **about)
            for key, sign, edge in (("rose", 1, "low"), ("fell", -1, "high"))
        ),
    )
    return Result(
        text=_change_finding(found, subject, unit, period_before),
        estimates=found,
        table=rows[CHANGE_COLUMNS],
        settings=settings,
        cautions=_change_cautions(rows, level),
    )


CHANGE_COLUMNS = [
    "area_code",
    "area",
    "value",
    "value_before",
    "difference",
    "low",
    "high",
    "status",
    "judgement",
]


def _side(
    table: pd.DataFrame,
    keys: tuple[str, str, str, str, str],
    measure: str,
    multiplier: float,
    level: float,
) -> pd.DataFrame:
    area_code, area, numerator, denominator, status = keys
    require_columns(table, (area_code, numerator, denominator), "a change")
    require_unique(table, [area_code], "a change")
    names = table[area] if area in table.columns else table[area_code]
    rows = pd.DataFrame(
        {
            "area_code": table[area_code].astype("str").to_numpy(),
            "area": names.astype("str").to_numpy(),
            "numerator": counts(table, numerator),
            "denominator": counts(table, denominator),
            "status": table[status].to_numpy() if status in table.columns else OK,
        }
    )
    figures = proportions if measure == "proportion" else crude_rates
    return figures(rows, multiplier=multiplier, level=level)


def _differences(rows: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    rows["area"] = rows["area"].fillna(rows["area_before"])
    now, before = (rows[name].fillna("not in this period") for name in ("status", "status_before"))
    rows["status"] = np.where(now == OK, np.where(before == OK, OK, "before: " + before), now)
    known = rows["status"] == OK
    pair = [rows[name].where(known) for name in ("value", "low", "high")]
    old = [rows[f"{name}_before"].where(known) for name in ("value", "low", "high")]
    rows["difference"], rows["low"], rows["high"] = difference_limits(pair, old)
    clear = np.select([rows["low"] > 0, rows["high"] < 0], [1, -1], 0)
    up, down = {"higher": ("better", "worse"), "lower": ("worse", "better")}.get(
        direction, ("higher", "lower")
    )
    words_of = np.select([~known, clear > 0, clear < 0], ["no figure", up, down], "no clear change")
    return rows.assign(judgement=pd.Series(words_of, dtype="str", index=rows.index))


def difference_limits(now: Sequence[Any], before: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Return a difference and its limits from two figures with theirs.

    Parameters
    ----------
    now, before
        Value, lower and upper limit of either figure; numbers or arrays.

    References
    ----------
    Newcombe 1998, method 10; Zou and Donner 2008.
    """
    (a, a_low, a_high), (b, b_low, b_high) = now, before
    down = np.sqrt((a - a_low) ** 2 + (b_high - b) ** 2)
    up = np.sqrt((a_high - a) ** 2 + (b - b_low) ** 2)
    return a - b, a - b - down, a - b + up


def _whole(both: pd.DataFrame, measure: str, multiplier: float, level: float) -> dict[str, Any]:
    sums = pd.DataFrame(
        {
            "numerator": [both["numerator"].sum(), both["numerator_before"].sum()],
            "denominator": [both["denominator"].sum(), both["denominator_before"].sum()],
        }
    )
    figures = proportions if measure == "proportion" else crude_rates
    found = figures(sums, multiplier=multiplier, level=level)[["value", "low", "high"]].to_numpy()
    value, low, high = difference_limits(list(found[0]), list(found[1]))
    return {"value": value, "low": low, "high": high}


def _correlation(both: pd.DataFrame, level: float, about: dict[str, Any]) -> list[Estimate]:
    if len(both) < 4 or both["value"].nunique() < 2 or both["value_before"].nunique() < 2:
        return []
    found = stats.pearsonr(both["value"], both["value_before"])
    low, high = found.confidence_interval(level)
    return [
        Estimate(
            key="correlation",
            value=found.statistic,
            low=low,
            high=high,
            level=level,
            measure="Pearson correlation of the areas' figures in both periods (Fisher interval)",
            **about,
        )
    ]


def _change_finding(
    found: tuple[Estimate, ...], subject: str, unit: str, period_before: str
) -> str:
    of = {estimate.key: estimate for estimate in found}
    whole = of["difference"]
    value, low, high = whole.value or 0.0, whole.low or 0.0, whole.high or 0.0
    size = words.gap(abs(value), unit)
    moved = f"rose by {size}" if value > 0 else f"fell by {size}" if value else "did not change"
    since = f" since {period_before}" if period_before else ""
    return (
        f"{subject}, all areas together, {moved}{since} "
        f"(95\u00a0% interval of the change {words.between(low, high, unit)}); clearly up in "
        f"{words.share_of(int(of['rose'].value or 0), whole.k or 0, 'area')}, clearly down in "
        f"{int(of['fell'].value or 0) or 'none'}."
    )


def _change_cautions(rows: pd.DataFrame, level: float) -> tuple[Caution, ...]:
    doubts = []
    absent = rows.loc[rows["status"] != OK, "area"].tolist()
    if absent:
        doubts.append(
            Caution(
                "suppression",
                f"No change for {words.plural(len(absent), 'area')} without a figure in both "
                f"periods: {words.listed(absent)}.",
            )
        )
    known = int((rows["status"] == OK).sum())
    doubts.append(
        Caution(
            "multiple_testing",
            f"{words.plural(known, 'area')} are compared at once: about "
            f"{words.number(known * (1 - level))} would show a clear change by chance alone.",
        )
    )
    return tuple(doubts)
