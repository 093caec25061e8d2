"""The gradient of a proportion over ordered groups within areas, beside the one between areas.

A map of area averages can hide, or turn round, what happens to people: Robinson, Am Sociol Rev
1950;15:351-357 (ecological fallacy).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from evidence.results import Caution, Direction, Estimate, Result
from evidence.variation import rates, words
from evidence.variation.checks import OK, require_choice, require_columns, require_unique

Array = np.ndarray


def within_areas(
    table: pd.DataFrame,
    *,
    direction_better: Direction,
    rank: str = "rank",
    area_code: str = "area_code",
    numerator: str = "numerator",
    denominator: str = "denominator",
    status: str = "status",
    scores: Mapping[str, float] | None = None,
    level: float = 0.95,
    indicator: str = "",
    unit: str = "%",
) -> Result:
    """Return how a proportion changes over ordered groups inside areas, each its own comparison.

    Parameters
    ----------
    table
        One row per area and group, with counts; cells without a figure are left out and counted.
    direction_better
        ``higher``, ``lower`` or ``none``.
    rank
        Column of the groups' order: 1, 2, 3 … (such as tenths of deprivation).
    area_code, numerator, denominator, status
        Columns.
    scores
        A score of each area (such as its average deprivation), to set beside the gradient the
        correlation that area averages alone would show.
    level
        Coverage of the intervals.
    indicator, unit
        Words for the reader.

    Returns
    -------
    Result
        Table: one row per group with `rank`, `numerator`, `denominator`, `value`, `low`, `high`
        (Wilson), `cells` and `cells_absent`. Estimates: `slope` (log odds per step, each area with
        its own level, interval widened by the dispersion), `odds_ratio`, `dispersion`, `gap` (last
        group minus first, percentage points), `correlation` of areas' figures with `scores`.

    Raises
    ------
    DataError
        If columns are absent, cells repeat or counts are negative.

    References
    ----------
    McCullagh and Nelder, *Generalized linear models*, 1989, section 4.5 (quasi-binomial
    dispersion: Pearson's statistic over its degrees of freedom).
    """
    require_choice(direction_better, ("higher", "lower", "none"), "direction_better")
    require_columns(table, (area_code, rank), "a gradient within areas")
    require_unique(table, [area_code, rank], "a gradient within areas")
    x, n, reasons = rates.read_counts(table, numerator, denominator, status, bounded=True)
    cells = pd.DataFrame(
        {
            "area_code": table[area_code].astype("str").to_numpy(),
            "rank": pd.to_numeric(table[rank]).to_numpy(dtype=float),
            "numerator": x,
            "denominator": n,
            "known": reasons == OK,
        }
    )
    name = indicator or "This figure"
    settings = {
        "method": "within_areas",
        "direction_better": direction_better,
        "level": level,
        "indicator": indicator,
        "unit": unit,
    }
    groups = _by_group(cells, level)
    used = _informative(cells)
    if used["area_code"].nunique() < 2 or len(used) < used["area_code"].nunique() + 2:
        because = "fewer than two areas have figures in several groups"
        return Result(
            text=f"{name}: gradient within areas not known: {because}.",
            table=groups,
            settings=settings,
            reason=because,
        )
    slope, error, dispersion = _fixed_effects(used)
    estimates = _gradient_estimates(slope, error, dispersion, groups, used, level, indicator)
    estimates += _between(cells, scores, level, indicator)
    return Result(
        text=_gradient_words(name, groups, estimates, unit),
        estimates=tuple(estimates),
        table=groups,
        settings=settings,
        cautions=_gradient_doubts(cells, estimates),
    )


def _by_group(cells: pd.DataFrame, level: float) -> pd.DataFrame:
    known = cells[cells["known"]]
    sums = known.groupby("rank", as_index=False)[["numerator", "denominator"]].sum()
    found = rates.proportions(sums, level=level).drop(columns="status")
    count = cells.groupby("rank")["known"].agg(["sum", "size"])
    found["cells"] = count["sum"].reindex(found["rank"]).to_numpy()
    found["cells_absent"] = (count["size"] - count["sum"]).reindex(found["rank"]).to_numpy()
    return found


def _informative(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of areas with several groups, and with and without the outcome."""
    known = cells[cells["known"]]
    grouped = known.groupby("area_code")
    sums = grouped[["numerator", "denominator"]].sum()
    some = (
        (grouped.size() > 1) & (sums["numerator"] > 0) & (sums["numerator"] < sums["denominator"])
    )
    return known[known["area_code"].map(some)].reset_index(drop=True)


def _fixed_effects(cells: pd.DataFrame) -> tuple[float, float, float]:
    """Return slope, standard error and dispersion of a logit model with a level per area."""
    area, names = pd.factorize(cells["area_code"])
    x, y, n = (cells[name].to_numpy() for name in ("rank", "numerator", "denominator"))

    def mean(values: Array, weight: Array) -> Array:
        return (np.bincount(area, weight * values) / np.bincount(area, weight))[area]

    eta = np.log((y + 0.5) / (n - y + 0.5))
    slope, information = 0.0, 1.0
    for _ in range(60):
        share = 1 / (1 + np.exp(-eta))
        weight = n * share * (1 - share)
        working = eta + (y - n * share) / weight
        centred = x - mean(x, weight)
        information = float(np.sum(weight * centred**2))
        step = float(np.sum(weight * centred * working)) / information
        eta = mean(working, weight) + step * centred
        moved, slope = abs(step - slope), step
        if moved < 1e-13:
            break
    share = 1 / (1 + np.exp(-eta))
    pearson = float(np.sum((y - n * share) ** 2 / (n * share * (1 - share))))
    dispersion = pearson / (len(y) - len(names) - 1)
    return slope, float(np.sqrt(dispersion / information)), dispersion


def _gradient_estimates(
    slope: float,
    error: float,
    dispersion: float,
    groups: pd.DataFrame,
    used: pd.DataFrame,
    level: float,
    indicator: str,
) -> list[Estimate]:
    about: dict[str, Any] = {
        "outcome": indicator,
        "k": used["area_code"].nunique(),
        "n": used["denominator"].sum(),
        "design": "descriptive",
    }
    half = stats.norm.isf((1 - level) / 2) * error
    ends = (slope, slope - half, slope + half)
    ratio = [float(np.exp(end)) for end in ends]
    gap = float(groups["value"].iloc[-1] - groups["value"].iloc[0])
    return [
        Estimate(
            key="slope",
            value=slope,
            low=ends[1],
            high=ends[2],
            level=level,
            se=error,
            scale="log odds",
            measure="change per step of the order, within areas",
            **about,
        ),
        Estimate(
            key="odds_ratio", value=ratio[0], low=ratio[1], high=ratio[2], level=level, **about
        ),
        Estimate(key="dispersion", value=dispersion, **about),
        Estimate(key="gap", value=gap, unit="percentage points", **about),
    ]


def _between(
    cells: pd.DataFrame, scores: Mapping[str, float] | None, level: float, indicator: str
) -> list[Estimate]:
    if scores is None:
        return []
    whole = cells[cells["known"]].groupby("area_code")[["numerator", "denominator"]].sum()
    whole = whole[whole["denominator"] > 0]
    value = whole["numerator"] / whole["denominator"]
    score = pd.Series(scores, dtype=float).reindex(value.index)
    both = score.notna()
    if both.sum() < 4:
        return []
    found = stats.pearsonr(value[both], score[both])
    low, high = found.confidence_interval(level)
    return [
        Estimate(
            key="correlation",
            value=float(found.statistic),
            low=float(low),
            high=float(high),
            level=level,
            measure="Pearson correlation of areas' figures with their scores",
            outcome=indicator,
            k=int(both.sum()),
            design="descriptive",
        )
    ]


def _gradient_words(name: str, groups: pd.DataFrame, estimates: list[Estimate], unit: str) -> str:
    found = {estimate.key: estimate for estimate in estimates}
    ratio = found["odds_ratio"]
    first, last = groups.iloc[0], groups.iloc[-1]
    beside = ""
    if "correlation" in found:
        beside = f"; across area averages the correlation is {found['correlation'].value:.2f}"
    return (
        f"{name}: {words.amount(first['value'], unit)} in group {first['rank']:.0f}, "
        f"{words.amount(last['value'], unit)} in group {last['rank']:.0f}; within areas the odds "
        f"change × {ratio.value:.3f} per group (95 % {ratio.low:.3f} to {ratio.high:.3f}){beside}."
    )


def _gradient_doubts(cells: pd.DataFrame, estimates: list[Estimate]) -> tuple[Caution, ...]:
    doubts = []
    absent = int((~cells["known"]).sum())
    if absent:
        doubts.append(
            Caution(
                "suppression",
                f"{absent} of {len(cells)} cells of area and group have no figure and are left "
                "out; where small cells are suppressed, the ends of the order are thinner.",
            )
        )
    if any(estimate.key == "correlation" for estimate in estimates):
        doubts.append(
            Caution(
                "ecological",
                "A correlation of area averages says nothing about people: areas differ in many "
                "ways at once, and each holds people of every group.",
            )
        )
    return tuple(doubts)
