"""The gradient of a proportion or rate over ordered groups of people within areas.

People of an area are compared with each other only. What the averages of areas show, which can
hide this or turn it round (Robinson, Am Sociol Rev 1950;15:351-357), is `equity.across_areas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from evidence.errors import DataError, require_choice, require_columns
from evidence.results import Caution, Direction, Estimate, Result
from evidence.variation import rates, words
from evidence.variation.checks import OK, counts, require_unique

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
    measure: str = "proportion",
    multiplier: float = 100,
    level: float = 0.95,
    indicator: str = "",
    unit: str = "%",
    noun: str = "group",
) -> Result:
    """Return how a figure changes over ordered groups inside areas, each its own comparison.

    A proportion is modelled on the log odds (binomial), a rate on its logarithm (Poisson), each
    with a level of its own for every area.

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
    measure
        ``proportion`` or ``rate``.
    multiplier
        100 for percentages, 1,000 for rates per 1,000.
    level
        Coverage of the intervals.
    indicator, unit, noun
        Words for the reader; `noun` is what a group is called, such as ``tenth``.

    Returns
    -------
    Result
        Table: one row per group with `rank`, `numerator`, `denominator`, `value`, `low`, `high`
        (Wilson, or Byar for a rate), `cells` and `cells_absent`. Estimates: `slope` (log odds, or
        log rate, per step; interval widened by the dispersion), `odds_ratio` or `rate_ratio`,
        `step` (the slope in the figure's own unit: the average over all people of what one step
        changes), `dispersion`, `gap` (last group minus first).

    Raises
    ------
    DataError
        If columns are absent, cells repeat, a cell has no place in the order, counts are negative
        or a choice does not exist.

    References
    ----------
    McCullagh and Nelder, *Generalized linear models*, 1989, sections 4.5 and 6.2 (dispersion:
    Pearson's statistic over its degrees of freedom).
    """
    require_choice(direction_better, ("higher", "lower", "none"), "direction_better")
    require_choice(measure, ("proportion", "rate"), "measure")
    require_columns(table, (area_code, rank), "a gradient within areas")
    require_unique(table, [area_code, rank], "a gradient within areas")
    order = counts(table, rank)
    if np.isnan(order).any():
        raise DataError(
            f"every cell needs its place in {rank!r}; rows {np.flatnonzero(np.isnan(order))[:5]} "
            "have none. Leave groups without an order out."
        )
    bounded = measure == "proportion"
    x, n, reasons = rates.read_counts(table, numerator, denominator, status, bounded=bounded)
    cells = pd.DataFrame(
        {
            "area_code": table[area_code].astype("str").to_numpy(),
            "rank": order,
            "numerator": x,
            "denominator": n,
            "known": reasons == OK,
        }
    )
    name = indicator or "This figure"
    settings = {
        "method": "within_areas",
        "direction_better": direction_better,
        "measure": measure,
        "multiplier": multiplier,
        "level": level,
        "indicator": indicator,
        "unit": unit,
        "noun": noun,
    }
    groups = _by_group(cells, measure, multiplier, level)
    used = _informative(cells, measure)
    because = ""
    if used["area_code"].nunique() < 2 or len(used) < used["area_code"].nunique() + 2:
        because = "fewer than two areas have figures in several groups"
    elif _apart(used, measure):
        because = "in every area all events lie at one end of the order, which no slope can follow"
    if because:
        return Result(
            text=f"{name}: gradient within areas not known: {because}.",
            table=groups,
            settings=settings,
            reason=because,
        )
    estimates = _gradient_estimates(_fixed_effects(used, measure), groups, used, settings)
    return Result(
        text=_gradient_words(name, groups, estimates, settings),
        estimates=tuple(estimates),
        table=groups,
        settings=settings,
        cautions=_gradient_doubts(cells),
    )


def _by_group(cells: pd.DataFrame, measure: str, multiplier: float, level: float) -> pd.DataFrame:
    known = cells[cells["known"]]
    sums = known.groupby("rank", as_index=False)[["numerator", "denominator"]].sum()
    figures = rates.proportions if measure == "proportion" else rates.crude_rates
    found = figures(sums, multiplier=multiplier, level=level).drop(columns="status")
    count = cells.groupby("rank")["known"].agg(["sum", "size"])
    found["cells"] = count["sum"].reindex(found["rank"]).to_numpy()
    found["cells_absent"] = (count["size"] - count["sum"]).reindex(found["rank"]).to_numpy()
    return found


def _informative(cells: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the cells of areas with several groups, and with and without the outcome."""
    known = cells[cells["known"]]
    grouped = known.groupby("area_code")
    sums = grouped[["numerator", "denominator"]].sum()
    some = (grouped.size() > 1) & (sums["numerator"] > 0)
    if measure == "proportion":
        some &= sums["numerator"] < sums["denominator"]
    return known[known["area_code"].isin(some.index[some])].reset_index(drop=True)


def _apart(cells: pd.DataFrame, measure: str) -> bool:
    """Whether events lie beyond all non-events in every area, so that no slope is the likeliest.

    Albert and Anderson, Biometrika 1984;71:1-10. A rate counts no non-events: there all other
    groups take their place.
    """
    without = cells["numerator"] < cells["denominator"]
    others = cells[without] if measure == "proportion" else cells
    events = cells[cells["numerator"] > 0].groupby("area_code")["rank"].agg(["min", "max"])
    ends = others.groupby("area_code")["rank"].agg(["min", "max"])
    after, before = events["min"] >= ends["max"], events["max"] <= ends["min"]
    return bool(after.all() or before.all())


@dataclass(frozen=True, slots=True)
class _Slope:
    """A fitted slope per step, its standard error, the dispersion, and what a slope of 1 moves."""

    value: float
    error: float
    dispersion: float
    moves: float


def _fixed_effects(cells: pd.DataFrame, measure: str) -> _Slope:
    """Return the slope of a model with a level per area, by iterated weighted least squares."""
    area, names = pd.factorize(cells["area_code"])
    x, y, n = (cells[name].to_numpy() for name in ("rank", "numerator", "denominator"))

    def mean(values: Array, weight: Array) -> Array:
        return (np.bincount(area, weight * values) / np.bincount(area, weight))[area]

    odds = measure == "proportion"
    eta = np.log((y + 0.5) / (n - y + 0.5 if odds else n))
    slope, information = 0.0, 1.0
    for _ in range(60):
        share, weight = _fitted(eta, n, odds)
        working = eta + (y - n * share) / weight
        centred = x - mean(x, weight)
        information = float(np.sum(weight * centred**2))
        step = float(np.sum(weight * centred * working)) / information
        eta = mean(working, weight) + step * centred
        moved, slope = abs(step - slope), step
        if moved < 1e-13:
            break
    share, weight = _fitted(eta, n, odds)
    pearson = float(np.sum((y - n * share) ** 2 / weight))
    dispersion = pearson / (len(y) - len(names) - 1)
    return _Slope(
        value=slope,
        error=float(np.sqrt(dispersion / information)),
        dispersion=dispersion,
        moves=float(weight.sum() / n.sum()),
    )


def _fitted(eta: Array, n: Array, odds: bool) -> tuple[Array, Array]:
    """Return fitted shares and the variance of the counts, which weighs the cells."""
    share = 1 / (1 + np.exp(-eta)) if odds else np.exp(eta)
    return share, n * share * (1 - share) if odds else n * share


def _gradient_estimates(
    slope: _Slope, groups: pd.DataFrame, used: pd.DataFrame, asked: dict[str, Any]
) -> list[Estimate]:
    about: dict[str, Any] = {
        "outcome": asked["indicator"],
        "k": used["area_code"].nunique(),
        "n": used["denominator"].sum(),
        "design": "descriptive",
    }
    odds = asked["measure"] == "proportion"
    half = stats.norm.isf((1 - asked["level"]) / 2) * slope.error
    ends = np.array([slope.value, slope.value - half, slope.value + half])
    unit = "percentage points" if asked["unit"] == "%" else asked["unit"]

    def interval(key: str, limits: Array, **more: Any) -> Estimate:
        value, low, high = limits.tolist()
        return Estimate(
            key=key, value=value, low=low, high=high, level=asked["level"], **more, **about
        )

    return [
        interval(
            "slope",
            ends,
            se=slope.error,
            scale="log odds" if odds else "log",
            measure="change per step of the order, within areas",
        ),
        interval("odds_ratio" if odds else "rate_ratio", np.exp(ends)),
        interval("step", asked["multiplier"] * slope.moves * ends, unit=unit),
        Estimate(key="dispersion", value=slope.dispersion, **about),
        Estimate(
            key="gap",
            value=float(groups["value"].iloc[-1] - groups["value"].iloc[0]),
            unit=unit,
            **about,
        ),
    ]


def _gradient_words(
    name: str, groups: pd.DataFrame, estimates: list[Estimate], asked: dict[str, Any]
) -> str:
    found = {estimate.key: estimate for estimate in estimates}
    first, last = groups.iloc[0], groups.iloc[-1]
    unit, noun = asked["unit"], asked["noun"]
    return (
        f"{name}: {words.amount(first['value'], unit)} in {noun} {first['rank']:.0f}, "
        f"{words.amount(last['value'], unit)} in {noun} {last['rank']:.0f}; among people of the "
        f"same area it {in_steps(found['step'], unit, noun)}."
    )


def in_steps(step: Estimate, unit: str, noun: str = "group") -> str:
    """Return how a figure moves from one group to the next, such as ``falls by 1.8 points …``.

    Parameters
    ----------
    step
        The estimate of that name.
    unit
        Of the figure.
    noun
        What a group is called.
    """
    onward = f"from one {noun} to the next"
    value, low, high = (float(end or 0.0) for end in (step.value, step.low, step.high))
    if low <= 0 <= high:
        ends = words.between(low, high, unit)
        return f"changes by {words.gap(value, unit)} {onward} (95\u00a0% {ends})"
    least, most = sorted((abs(low), abs(high)))
    return (
        f"{'rises' if value > 0 else 'falls'} by {words.gap(abs(value), unit)} {onward} "
        f"(95\u00a0% {words.between(least, most, unit)})"
    )


def _gradient_doubts(cells: pd.DataFrame) -> tuple[Caution, ...]:
    absent = int((~cells["known"]).sum())
    if not absent:
        return ()
    return (
        Caution(
            "suppression",
            f"{absent} of {len(cells)} cells of area and group have no figure and are left "
            "out; where small cells are suppressed, the ends of the order are thinner.",
        ),
    )
