"""Gaps in people: how many more would be helped if areas reached a benchmark. Arithmetic only.

A gap says how far an area is behind after noise, in people per year.
It says nothing of what would close it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError, require_choice
from evidence.results import Caution, Estimate, Result

BENCHMARKS = ("median", "best_quartile", "standard", "peers")
NAMES = {
    "median": "the London median",
    "best_quartile": "the best quartile of London areas",
    "standard": "the national standard",
    "peers": "the median of the areas most like them",
}
A_YEAR, ON_REGISTER = "people a year", "people on the register"
"""What a gap counts: people of a year, or people on a register at one date."""

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


def gap(
    funnel: Result,
    *,
    benchmark: str = "median",
    standard: float | None = None,
    peers: pd.DataFrame | None = None,
    counted: str = A_YEAR,
) -> Result:
    """Return how many people lie between each area's figure after noise and a benchmark.

    ``gap = max(0, direction × (benchmark − shrunken value)) × denominator``: arithmetic, without
    any claim of what would close it.

    Parameters
    ----------
    funnel
        Result of `variation.limits.funnel`; areas, `shrunken` values with their intervals,
        denominators, direction and unit are read from it.
    benchmark
        ``median`` or ``best_quartile`` of the areas' figures after noise, ``standard``, or
        ``peers``: for each area the median of those most like it.
    standard
        Value of the national standard in the indicator's unit.
    peers
        area_code and peer, a row for each peer of each area; needed for ``peers`` alone.
    counted
        What the denominators count: `A_YEAR`, or `ON_REGISTER` where they are a stock.

    Returns
    -------
    Result
        Table: area_code, area, denominator, value, shrunken, benchmark, behind (in the
        indicator's unit), people, low, high, noise (standard deviation of people), printed, between
        (printed with the interval), clear (the interval excludes none), rank (1 for the most).
        Estimates: `benchmark` (the lowest and highest, if areas have their own), `london` (the sum;
        its interval is that of the sum, areas' noise being independent and the areas behind taken
        as found), `behind` (areas with a gap). No result, with the reason, where no direction is
        better, or there is no standard.

    Raises
    ------
    DataError
        If the result is no funnel, the benchmark unknown, or an area without peers.
    """
    _check(funnel, benchmark)
    asked = funnel.settings
    what = f"Gap to {NAMES[benchmark]} not computed"
    if asked["direction_better"] not in SIGN:
        return Result.could_not(what, "neither direction is better")
    if benchmark == "standard" and standard is None:
        return Result.could_not(what, "no national standard is stated for this indicator")
    rows = _figures(funnel)
    if rows.empty:
        return Result.could_not(what, "no area has a figure")
    sign = SIGN[asked["direction_better"]]
    level = _of_peers(rows, peers) if benchmark == "peers" else None
    if level is None:
        level = _level(rows["shrunken"], benchmark, standard, sign)
    table = _gaps(rows, level, sign, asked["multiplier"])
    return Result(
        text=_finding(table, asked, benchmark, counted),
        estimates=_estimates(table, asked, counted),
        table=table,
        settings={
            "method": "gap",
            "benchmark": benchmark,
            "counted": counted,
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


def by_benchmark(
    funnel: Result,
    *,
    standard: float | None = None,
    peers: pd.DataFrame | None = None,
    counted: str = A_YEAR,
) -> Result:
    """Return London's gap to every benchmark, or why there is none.

    Parameters
    ----------
    funnel, standard, peers, counted
        As `gap` takes them; without peers that benchmark is left out.

    Returns
    -------
    Result
        Table: benchmark, its level, areas behind it, and people with their interval.
    """
    rows = []
    for benchmark in BENCHMARKS:
        if benchmark == "peers" and peers is None:
            continue
        found = gap(funnel, benchmark=benchmark, standard=standard, peers=peers, counted=counted)
        behind = str(int(found["behind"].value or 0)) if found.known else ""
        rows.append(
            {
                "benchmark": NAMES[benchmark],
                "level": _levels(found.table, funnel.settings["unit"]) if found.known else "",
                "areas": behind,
                counted: between(found["london"]) if found.known else f"none: {found.reason}",
            }
        )
    known = sum(bool(row["level"]) for row in rows)
    return Result(
        text=f"London's gap to {known} of {len(rows)} benchmarks; which one is asked for decides "
        "its size.",
        table=pd.DataFrame(rows),
        settings={"method": "gap by benchmark", "counted": counted},
    )


def quartile_to_median(funnel: Result, *, counted: str = A_YEAR) -> Estimate | None:
    """Return how many people would be gained if the lowest quartile reached the median.

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
        unit=counted,
        outcome=asked["indicator"],
        period=asked["period"],
        k=len(table),
        design="descriptive",
    )


def ranking(
    funnels: Mapping[str, Result],
    *,
    benchmark: str = "median",
    standards: Mapping[str, float] | None = None,
    peers: pd.DataFrame | None = None,
    registers: Collection[str] = (),
) -> Result:
    """Return indicators by room for improvement: people behind the benchmark, after noise.

    Parameters
    ----------
    funnels
        Results of `variation.limits.funnel` by indicator.
    benchmark, peers
        As `gap` takes them.
    standards
        National standards by indicator, where there is one.
    registers
        Indicators whose denominators are people on a register at one date.

    Raises
    ------
    DataError
        If no indicator has a gap to this benchmark, or as `gap` does.
    """
    rows, left_out = [], {}
    for name, funnel in funnels.items():
        counted = ON_REGISTER if name in registers else A_YEAR
        given = (standards or {}).get(name)
        found = gap(funnel, benchmark=benchmark, standard=given, peers=peers, counted=counted)
        if not found.known:
            left_out[name] = found.reason
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
                "counted": counted,
                "printed": between(london).replace(" (", f" {counted} (", 1),
            }
        )
    if not rows:
        raise DataError(
            f"a ranking needs an indicator with a gap to {NAMES[benchmark]}; none of "
            f"{len(funnels)} has one. Choose another benchmark."
        )
    table = pd.DataFrame(rows).sort_values("people", ascending=False).reset_index(drop=True)
    return Result(
        text=f"{_indicators(len(table))} ranked by people behind {NAMES[benchmark]}"
        f"{_left_out(left_out)}.",
        table=table,
        settings={"method": "ranking", "benchmark": benchmark, "left_out": list(left_out)},
        cautions=_two_counts(table),
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
    require_choice(benchmark, BENCHMARKS, "a benchmark")


def _indicators(count: int) -> str:
    return f"{count} indicator{'' if count == 1 else 's'}"


def _left_out(reasons: Mapping[str, str]) -> str:
    """Return how many indicators have no gap, for each reason."""
    counts = Counter(reasons.values())
    return "".join(f"; {_indicators(count)} left out: {why}" for why, count in counts.items())


def _two_counts(table: pd.DataFrame) -> tuple[Caution, ...]:
    if table["counted"].nunique() < 2:
        return ()
    return (
        Caution(
            "other",
            "Registers count people at one date, the others people of a year: the order sets the "
            "two side by side as they stand.",
        ),
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


def _of_peers(rows: pd.DataFrame, peers: pd.DataFrame | None) -> pd.Series:
    """Return for each row the median figure of its peers after noise."""
    if peers is None:
        raise DataError(
            "a gap to peers needs the peers of each area; got none. Pass a table of area_code and "
            "peer."
        )
    near = peers.merge(rows[["area_code", "shrunken"]], left_on="peer", right_on="area_code")
    level = rows["area_code"].map(near.groupby("area_code_x")["shrunken"].median())
    if level.isna().any():
        alone = rows.loc[level.isna(), "area"].iloc[0]
        raise DataError(
            f"every area must have peers with a figure; {alone} has none. Add its peers, or choose "
            "another benchmark."
        )
    return level


def _levels(table: pd.DataFrame, unit: str) -> str:
    """Return the level of a benchmark, or its span where areas have their own."""
    low, high = table["benchmark"].min(), table["benchmark"].max()
    text = f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"
    return f"{text}\N{NO-BREAK SPACE}%" if unit == "%" else f"{text} {unit}".strip()


def _gaps(
    rows: pd.DataFrame, level: float | pd.Series, sign: float, multiplier: float
) -> pd.DataFrame:
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
    table["between"] = [
        f"{row['printed']} ({two_figures(row['low'])} to {two_figures(row['high'])})"
        for row in table.to_dict("records")
    ]
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
    table: pd.DataFrame, asked: Mapping[str, object], counted: str
) -> tuple[Estimate, ...]:
    total, low, high = _sum(table)
    words: dict[str, Any] = {"outcome": asked["indicator"], "period": asked["period"]}
    least, most = float(table["benchmark"].min()), float(table["benchmark"].max())
    levels = {"benchmark": least}
    if least != most:
        levels = {"benchmark_lowest": least, "benchmark_highest": most}
    return (
        *(
            Estimate(key=key, value=value, unit=str(asked["unit"]), design="descriptive", **words)
            for key, value in levels.items()
        ),
        Estimate(
            key="london",
            value=total,
            low=low,
            high=high,
            level=0.95,
            unit=counted,
            area="London",
            k=len(table),
            design="descriptive",
            **words,
        ),
        Estimate(key="behind", value=int((table["people"] > 0).sum()), unit="areas", **words),
    )


def _finding(table: pd.DataFrame, asked: Mapping[str, object], benchmark: str, counted: str) -> str:
    total, low, high = _sum(table)
    if not total:
        none = f"no area is behind {NAMES[benchmark]} once chance is set aside"
        return f"{asked['indicator']}: {none}."
    first, behind = table.iloc[0], int((table["people"] > 0).sum())
    if benchmark == "peers":
        areas = "area" if behind == 1 else "areas"
        where = f"between {behind} {areas} and {NAMES[benchmark]}"
    elif behind == 1:
        where = f"between the one area behind {NAMES[benchmark]} and it"
    else:
        where = f"between the {behind} areas behind {NAMES[benchmark]} and it"
    return (
        f"With chance set aside, {two_figures(total)} {counted} ({two_figures(low)} to "
        f"{two_figures(high)}) lie {where}, most in {first['area']} ({first['printed']})."
    )
