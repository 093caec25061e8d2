"""Gaps in people: how many more would be helped if areas reached a benchmark. Arithmetic only.

A gap says how far an area is behind after noise, in people per year.
It says nothing of what would close it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError
from evidence.results import Caution, Estimate, Result

BENCHMARKS = ("median", "best_quartile", "standard")
NAMES = {
    "median": "the London median",
    "best_quartile": "the best quartile of London areas",
    "standard": "the national standard",
}
SIGN = {"higher": 1.0, "lower": -1.0}
Z = 1.959963984540054


def two_figures(value: float) -> str:
    """Return a number of people to two significant figures, such as ``1,200`` or ``3.4``."""
    if value == 0:
        return "0"
    if abs(value) < 1:
        return "fewer than 1" if value > 0 else "minus less than 1"
    rounded = float(f"{value:.2g}")
    text = f"{rounded:,.0f}" if abs(rounded) >= 10 else f"{rounded:.1f}"
    return text.replace("-", "\N{MINUS SIGN}")


def gap(funnel: Result, *, benchmark: str = "median", standard: float | None = None) -> Result:
    """Return how many people a year lie between each area's figure after noise and a benchmark.

    ``gap = max(0, direction × (benchmark − shrunken value)) × denominator``: arithmetic, without
    any claim of what would close it.

    Parameters
    ----------
    funnel
        Result of `variation.limits.funnel`; areas, `shrunken` values with their intervals,
        denominators, direction and unit are read from it.
    benchmark
        ``median`` or ``best_quartile`` of the areas' figures after noise, or ``standard``.
    standard
        Value of the national standard in the indicator's unit.

    Returns
    -------
    Result
        Table: area_code, area, denominator, value, shrunken, benchmark, behind (in the
        indicator's unit), people, low, high, noise (standard deviation of people), printed, clear
        (the interval excludes none), rank (1 for the most people). Estimates: `benchmark`,
        `london` (the sum; its interval is that of the sum, areas' noise being independent and the
        areas behind taken as found), `behind` (areas with a gap). No result, with the reason,
        where no direction is better, or there is no standard.

    Raises
    ------
    DataError
        If the result is no funnel or the benchmark unknown.
    """
    _check(funnel, benchmark)
    asked = funnel.settings
    what = f"Gap to {NAMES[benchmark]} not computed"
    if asked["direction_better"] not in SIGN:
        return Result.could_not(what, "no direction of this indicator is better")
    if benchmark == "standard" and standard is None:
        return Result.could_not(what, "no national standard is stated for this indicator")
    rows = _figures(funnel)
    if rows.empty:
        return Result.could_not(what, "no area has a figure")
    level = _level(rows["shrunken"], benchmark, standard, SIGN[asked["direction_better"]])
    table = _gaps(rows, level, SIGN[asked["direction_better"]], asked["multiplier"])
    return Result(
        text=_finding(table, asked, benchmark),
        estimates=_estimates(table, level, asked),
        table=table,
        settings={
            "method": "gap",
            "benchmark": benchmark,
            "indicator": asked["indicator"],
            "period": asked["period"],
            "unit": asked["unit"],
            "direction_better": asked["direction_better"],
        },
        cautions=(
            Caution(
                "other",
                "A gap is arithmetic: it does not say what would close it, or that it can be "
                "closed. Case mix is not allowed for.",
            ),
            Caution(
                "interval_narrow",
                "The interval of London's gap takes the benchmark and the areas behind it as "
                "found, and is somewhat too narrow for that.",
            ),
        ),
    )


def quartile_to_median(funnel: Result) -> Estimate | None:
    """Return how many people a year would be gained if the lowest quartile reached the median.

    The lowest quartile are the areas at or behind the worst quarter after noise; their gaps add
    up, and the interval is that of the sum. None where no direction is better.
    """
    asked = funnel.settings
    if asked["direction_better"] not in SIGN:
        return None
    sign = SIGN[asked["direction_better"]]
    rows = _figures(funnel)
    oriented = sign * rows["shrunken"]
    worst = rows[oriented <= oriented.quantile(0.25)]
    table = _gaps(worst, float(rows["shrunken"].median()), sign, asked["multiplier"])
    total, low, high = _sum(table)
    return Estimate(
        key="quartile_to_median",
        value=total,
        low=low,
        high=high,
        level=0.95,
        unit="people a year",
        outcome=asked["indicator"],
        period=asked["period"],
        k=len(table),
        design="descriptive",
    )


def ranking(funnels: Mapping[str, Result], *, benchmark: str = "median") -> Result:
    """Return indicators by room for improvement: people a year behind the benchmark, after noise.

    Parameters
    ----------
    funnels
        Results of `variation.limits.funnel` by indicator.
    benchmark
        ``median`` or ``best_quartile``.
    """
    rows, left_out = [], []
    for name, funnel in funnels.items():
        found = gap(funnel, benchmark=benchmark)
        if not found.known:
            left_out.append(name)
            continue
        london = found["london"]
        rows.append(
            {
                "indicator": name,
                "title": funnel.settings["indicator"],
                "period": funnel.settings["period"],
                "areas behind": int(found["behind"].value or 0),
                "people": london.value,
                "low": london.low,
                "high": london.high,
                "printed": between(london),
            }
        )
    table = pd.DataFrame(rows).sort_values("people", ascending=False).reset_index(drop=True)
    rest = f"; {len(left_out)} have no better direction" if left_out else ""
    return Result(
        text=f"{len(table)} indicators ranked by people a year behind {NAMES[benchmark]}{rest}.",
        table=table,
        settings={"method": "ranking", "benchmark": benchmark, "left_out": left_out},
    )


def between(estimate: Estimate) -> str:
    """Return an estimate of people with its interval, to two significant figures."""
    text = two_figures(estimate.value or 0.0)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ({two_figures(estimate.low)} to {two_figures(estimate.high)})"


def _check(funnel: Result, benchmark: str) -> None:
    if funnel.settings.get("method") != "funnel":
        raise DataError("a gap reads the result of a funnel; this is another one. Pass a funnel.")
    if benchmark not in BENCHMARKS:
        raise DataError(
            f"a benchmark must be one of {', '.join(BENCHMARKS)}; got {benchmark!r}. Choose one."
        )


def _figures(funnel: Result) -> pd.DataFrame:
    table = funnel.table
    return table[table["shrunken"].notna()].reset_index(drop=True)


def _level(values: pd.Series, benchmark: str, standard: float | None, sign: float) -> float:
    if benchmark == "standard" and standard is not None:
        return standard
    if benchmark == "median":
        return float(values.median())
    return float(values.quantile(0.75 if sign > 0 else 0.25))


def _gaps(rows: pd.DataFrame, level: float, sign: float, multiplier: float) -> pd.DataFrame:
    people = rows["denominator"] / multiplier
    near, far = ("shrunken_high", "shrunken_low") if sign > 0 else ("shrunken_low", "shrunken_high")
    behind = (sign * (level - rows["shrunken"])).clip(lower=0)
    table = pd.DataFrame(
        {
            "area_code": rows["area_code"],
            "area": rows["area"],
            "denominator": rows["denominator"],
            "value": rows["value"],
            "shrunken": rows["shrunken"],
            "benchmark": level,
            "behind": behind,
            "people": behind * people,
            "low": (sign * (level - rows[near])).clip(lower=0) * people,
            "high": (sign * (level - rows[far])).clip(lower=0) * people,
        }
    )
    width = (rows["shrunken_high"] - rows["shrunken_low"]) / (2 * Z)
    table["noise"] = width * people
    table["printed"] = [two_figures(value) for value in table["people"]]
    table["clear"] = table["low"] > 0
    table["rank"] = table["people"].rank(ascending=False, method="first").astype("int64")
    return table.sort_values("rank").reset_index(drop=True)


def _sum(table: pd.DataFrame) -> tuple[float, float, float]:
    """Return the sum of the gaps with the interval of the sum over the areas behind."""
    behind = table[table["people"] > 0]
    total = float(behind["people"].sum())
    reach = Z * float(np.sqrt((behind["noise"] ** 2).sum()))
    return total, max(total - reach, 0.0), total + reach


def _estimates(
    table: pd.DataFrame, level: float, asked: Mapping[str, object]
) -> tuple[Estimate, ...]:
    total, low, high = _sum(table)
    words: dict[str, Any] = {"outcome": asked["indicator"], "period": asked["period"]}
    return (
        Estimate(
            key="benchmark", value=level, unit=str(asked["unit"]), design="descriptive", **words
        ),
        Estimate(
            key="london",
            value=total,
            low=low,
            high=high,
            level=0.95,
            unit="people a year",
            area="London",
            k=len(table),
            design="descriptive",
            **words,
        ),
        Estimate(key="behind", value=int((table["people"] > 0).sum()), unit="areas", **words),
    )


def _finding(table: pd.DataFrame, asked: Mapping[str, object], benchmark: str) -> str:
    total, low, high = _sum(table)
    if not total:
        return f"{asked['indicator']}: no area is behind {NAMES[benchmark]} after noise."
    first = table.iloc[0]
    return (
        f"After noise {two_figures(total)} people a year ({two_figures(low)} to "
        f"{two_figures(high)}) lie between the {int((table['people'] > 0).sum())} areas behind "
        f"{NAMES[benchmark]} and it, most in {first['area']} ({first['printed']})."
    )
