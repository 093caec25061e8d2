"""Run charts: a median that is set anew after each sustained run of points on one side of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError, require_choice
from evidence.results import Caution, Estimate, Result
from evidence.variation import words
from evidence.variation.periods import series_in_order

SIDES = {"both": (1, -1), "above": (1,), "below": (-1,)}


def run_chart(
    table: pd.DataFrame,
    *,
    direction: str = "both",
    baseline: int = 13,
    run: int = 9,
    period: str = "period",
    value: str = "value",
    status: str = "status",
    indicator: str = "",
    unit: str = "",
    area: str = "",
) -> Result:
    """Find sustained runs around a median, setting the median anew after each of them.

    Parameters
    ----------
    table
        One row per period, in any order.
    direction
        ``both``, ``above`` or ``below``: the sides on which a run counts.
    baseline
        Number of first points that set the first median.
    run
        Points of a run; points on the median neither count nor end it.
    period, value, status
        Columns; the last may be absent. An absent period, or one without a figure, ends a run.
    indicator, unit, area
        Words for the reader.

    Returns
    -------
    Result
        Table: one row per period with `period`, `value`, `status`, `median` (of its stretch),
        `stretch` (0 is the baseline's), and `part` (``baseline`` or ``sustained`` for the points
        that set the median, else empty). Estimates: `median` (the last), `first_median`, `runs`.

    Raises
    ------
    DataError
        If columns are absent, periods repeat, or a length is too small.

    References
    ----------
    Provost and Murray, *The health care data guide*, 2011, chapter 3 (runs, re-phased medians).
    """
    require_choice(direction, SIDES, "direction")
    if baseline < 2 or run < 2:
        raise DataError(f"baseline and run must be 2 or more points; got {baseline} and {run}.")
    rows, _ = series_in_order(table, period, value, status)
    name = ", ".join(part for part in (indicator, area) if part) or "This series"
    settings = {"method": "run_chart", "direction": direction, "baseline": baseline, "run": run}
    settings |= {"indicator": indicator, "unit": unit, "area": area}
    known = np.flatnonzero(rows["value"].notna())
    if len(known) < baseline:
        return Result.could_not(
            f"{name}: no run chart",
            f"the baseline needs {baseline} periods, {len(known)} have a figure",
        )
    result = _stretches(rows, known[:baseline], run, SIDES[direction])
    found = int(result["stretch"].max())
    last, first = result["median"].iloc[-1], result["median"].iloc[0]
    about: dict[str, Any] = {
        "outcome": indicator,
        "area": area,
        "unit": unit,
        "design": "descriptive",
    }
    return Result(
        text=f"{name}: the median is {words.amount(last, unit)}"
        + (
            f" after {words.plural(found, 'sustained run')}; it began at "
            f"{words.amount(first, unit)}."
            if found
            else f"; no run of {run} points on one side of it."
        ),
        estimates=(
            Estimate(key="median", value=last, **about),
            Estimate(key="first_median", value=first, **about),
            Estimate(key="runs", value=found, outcome=indicator, area=area),
        ),
        table=result.drop(columns="number"),
        settings=settings,
        cautions=_doubts(result),
    )


def _stretches(
    rows: pd.DataFrame, first: np.ndarray, run: int, sides: tuple[int, ...]
) -> pd.DataFrame:
    value = rows["value"].to_numpy()
    stretch = np.zeros(len(rows), dtype=int)
    part = np.full(len(rows), "", dtype=object)
    median = np.full(len(rows), np.median(value[first]))
    part[first[0] : first[-1] + 1] = "baseline"
    begin, count = int(first[-1]) + 1, 0
    while (members := _next_run(value, median, begin, run, sides)) is not None:
        count += 1
        stretch[members[0] :] = count
        median[members[0] :] = np.median(value[members])
        part[members[0] : members[-1] + 1] = "sustained"
        begin = int(members[-1]) + 1
    return rows.assign(median=median, stretch=stretch, part=pd.Series(part, dtype="str"))


def _next_run(
    value: np.ndarray, median: np.ndarray, begin: int, run: int, sides: tuple[int, ...]
) -> np.ndarray | None:
    """Return the points of the first run from `begin` on, without those on the median."""
    members: list[int] = []
    for at in range(begin, len(value)):
        side = 0 if np.isnan(value[at]) else int(np.sign(value[at] - median[at]))
        turned = members and side == -np.sign(value[members[-1]] - median[members[-1]])
        if np.isnan(value[at]) or turned:
            members = []
        if side in sides:
            members.append(at)
        if len(members) == run:
            return np.array(members)
    return None


def _doubts(rows: pd.DataFrame) -> tuple[Caution, ...]:
    absent = rows.loc[rows["value"].isna(), "period"].tolist()
    if not absent:
        return ()
    return (
        Caution(
            "missing_periods",
            f"{words.plural(len(absent), 'period')} without a figure ({words.listed(absent)}): no "
            "run crosses them.",
        ),
    )
