"""Inequality between groups that have an order, such as tenths of deprivation.

Definitions follow WHO, *Handbook on health inequality monitoring*, 2013, and O'Donnell et al.,
*Analyzing health equity using household survey data*, World Bank 2008. Groups stand from the most
deprived (rank 1) to the least.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from evidence.errors import DataError, require_choice, require_columns, require_random
from evidence.results import Caution, Direction, Estimate, Result
from evidence.variation import words
from evidence.variation.checks import counts, require_level, require_unique
from evidence.variation.rates import difference_limits

Array = np.ndarray

DRAWS = 100_000
"""Draws behind a simulated interval (as public health England published them)."""


def fractional_ranks(population: Array) -> Array:
    """Return the middle of each group's share of people, groups in order of rank.

    Parameters
    ----------
    population
        People by group, shape (..., k), in order of rank.
    """
    share = population / population.sum(axis=-1, keepdims=True)
    return share.cumsum(axis=-1) - share / 2


def slopes(rank: Array, value: Array, population: Array) -> tuple[Array, Array]:
    """Return slope and intercept of values on fractional ranks, weighted by people.

    Parameters
    ----------
    rank
        Fractional ranks, shape (..., k).
    value
        Values, broadcast against `rank`.
    population
        Weights, shape (..., k).
    """
    weight = population / population.sum(axis=-1, keepdims=True)
    centred = rank - (weight * rank).sum(axis=-1, keepdims=True)
    mean = (weight * value).sum(axis=-1)
    slope = (weight * centred * value).sum(axis=-1) / (weight * centred**2).sum(axis=-1)
    return slope, mean - slope * (weight * rank).sum(axis=-1)


SCALES = ("value", "rate", "proportion")
BOTTOM = {"value": -np.inf, "rate": 0.0, "proportion": 0.0}
TOP = {"value": np.inf, "rate": np.inf, "proportion": 1.0}
"""Ends of each scale, which no simulated value reaches."""


def slope_indices(
    table: pd.DataFrame,
    *,
    by: str | None = None,
    rank: str = "rank",
    population: str = "population",
    value: str = "value",
    low: str = "low",
    high: str = "high",
    kind: str = "value",
    multiplier: float = 1,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 1,
) -> pd.DataFrame:
    """Return slope and relative indices of inequality with simulated intervals.

    Parameters
    ----------
    table
        One row per group (and area), with the value and its 95 % limits.
    by
        Column of areas; None for one set of groups.
    rank, population, value, low, high
        Columns; rank 1 is the most deprived.
    kind
        How chance moves a value: ``value`` (normal), ``rate`` (on the log) or ``proportion`` (a
        fraction, on the logit); it gives the standard errors from the limits. A group where nobody
        had the event, or everybody, has no place on such a scale: its area gets no index.
    multiplier
        Of the slope index; a negative one turns its sign, and the relative index round.
    level
        Coverage of the simulated intervals.
    draws, seed
        Number of simulated sets, and the seed of their random numbers. Every area gets the same
        ones, so that its interval does not hang on the other rows of the table.

    Returns
    -------
    DataFrame
        One row per area: `sii`, `sii_low`, `sii_high`, `rii`, `rii_low`, `rii_high`,
        `intercept`, and `status` (why there is none, or ``ok``).

    Raises
    ------
    DataError
        If columns are absent, a choice does not exist, or values lie outside their kind: rates
        below 0, proportions outside 0 to 1.

    References
    ----------
    Mackenbach and Kunst, Soc Sci Med 1997;44:757-771 (the relative index is the ratio of the
    fitted ends); simulation: Public Health England, *SII and RII*, 2018. Values are moved on their
    own scale with errors from the transformed limits; the slope is always fitted to the values.
    """
    require_choice(kind, SCALES, "kind")
    require_level(level)
    require_random(seed, draws)
    need = (rank, population, value, low, high)
    require_columns(table, (*need, *([by] if by else [])), "a slope index")
    _require_kind(table[value].to_numpy(dtype=float), kind)
    groups = table.groupby(by, sort=True) if by else [("", table)]

    @cache
    def noise(number: int) -> Array:
        return np.random.default_rng(seed).standard_normal((number, draws), dtype=np.float32)

    rows = []
    for name, group in groups:
        ordered = group.sort_values(rank)
        found = _slope_index(ordered, need, kind, multiplier, level, noise)
        rows.append({by or "area_code": name} | found)
    return pd.DataFrame(rows)


def _require_kind(value: Array, kind: str) -> None:
    if (value < BOTTOM[kind]).any() or (value > TOP[kind]).any():
        raise DataError(
            f"values of kind {kind!r} must lie between {BOTTOM[kind]:g} and {TOP[kind]:g}; got "
            f"{np.nanmin(value):g} to {np.nanmax(value):g}. Write proportions as fractions."
        )


def _slope_index(
    group: pd.DataFrame,
    need: tuple[str, ...],
    kind: str,
    multiplier: float,
    level: float,
    noise: Callable[[int], Array],
) -> dict[str, Any]:
    rank, people, value, low, high = (group[name].to_numpy(dtype=float) for name in need)
    names = ("sii", "sii_low", "sii_high", "rii", "rii_low", "rii_high", "intercept")
    missing = ~np.isfinite(np.array([people, value, low, high])).all()
    whole = len(rank) > 2 and np.array_equal(np.sort(rank), np.arange(1, len(rank) + 1))
    figures = np.array([value, low, high])
    ends = (figures <= BOTTOM[kind]).any() or (figures >= TOP[kind]).any()
    if missing or not whole or (people <= 0).any() or ends:
        why = "a group has no figure" if missing else "not all groups in order"
        if ends and whole and not missing:
            why = "a figure or its limit at the end of its scale"
        return dict.fromkeys(names, np.nan) | {"status": why}
    place = fractional_ranks(people)
    slope, start = (float(part) for part in slopes(place, value, people))
    centre, error = _errors(value, low, high, kind)
    moved = _back(noise(len(value)) * _single(error) + _single(centre), kind)
    many_slope, many_start = _many_slopes(place, moved, people)
    tail = (1 - level) / 2
    sii = _limits(many_slope * multiplier, tail)
    rii = _limits(_relative(many_slope, many_start, multiplier), tail)
    found = (
        slope * multiplier,
        *sii,
        float(_relative(np.array(slope), np.array(start), multiplier)),
        *rii,
        start,
    )
    return dict(zip(names, found, strict=True)) | {"status": "ok"}


def _many_slopes(place: Array, moved: Array, people: Array) -> tuple[Array, Array]:
    """Return `slopes` of many sets of values by one product: both are linear in the values."""
    share = people / people.sum()
    centred = place - share @ place
    per_value = share * centred / (share @ centred**2)
    slope, mean = np.array([per_value, share], dtype=np.float32) @ moved
    return slope, mean - slope * (np.float32(share @ place))


def _errors(value: Array, low: Array, high: Array, kind: str) -> tuple[Array, Array]:
    """Return values on the scale on which chance is normal, with their standard errors."""
    width = 2 * stats.norm.isf(0.025)
    centre, lower, upper = (_forward(part, kind) for part in (value, low, high))
    return centre, (upper - lower) / width


def _forward(value: Array, kind: str) -> Array:
    if kind == "rate":
        return np.log(value)
    return np.log(value / (1 - value)) if kind == "proportion" else value


def _single(column: Array) -> Array:
    """Single precision is far finer than the noise of the draws, and twice as fast."""
    return column.astype(np.float32)[:, None]


def _back(value: Array, kind: str) -> Array:
    """Return simulated values on their natural scale, in place."""
    if kind == "rate":
        return np.exp(value, out=value)
    if kind == "proportion":
        np.exp(np.negative(value, out=value), out=value)
        value += 1
        return np.reciprocal(value, out=value)
    return value


def _relative(slope: Array, start: Array, multiplier: float) -> Array:
    ratio = (slope + start) / start
    return 1 / ratio if multiplier < 0 else ratio


def _limits(values: Array, tail: float) -> tuple[float, float]:
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def slope_changes(
    now: pd.DataFrame, before: pd.DataFrame, *, by: str = "area_code"
) -> pd.DataFrame:
    """Return how slope and relative indices changed between two periods.

    Parameters
    ----------
    now, before
        Results of `slope_indices`.
    by
        Column of areas.

    Returns
    -------
    DataFrame
        One row per area of either period: `sii_change` with `sii_change_low` and
        `sii_change_high`, `rii_ratio` with `rii_ratio_low` and `rii_ratio_high`, and `status`.

    Raises
    ------
    DataError
        If columns are absent or areas repeat.

    References
    ----------
    Zou and Donner, Stat Med 2008;27:1693-1702 (interval of a difference from two intervals; of
    the ratio on the logarithm). The periods are taken as independent.
    """
    for table in (now, before):
        require_columns(table, (by, "sii", "rii", "status"), "a change of indices")
        require_unique(table, [by], "a change of indices")
    both = now.merge(before, on=by, how="outer", suffixes=("", "_before"))
    one, other = (both[name].fillna("not in this period") for name in ("status", "status_before"))
    status = np.where(one == "ok", np.where(other == "ok", "ok", "before: " + other), one)
    found = {by: both[by]}
    for index, name, scale in (("sii", "sii_change", np.asarray), ("rii", "rii_ratio", np.log)):
        ends = ("", "_low", "_high")
        new = [scale(both[f"{index}{end}"].where(status == "ok")) for end in ends]
        old = [scale(both[f"{index}{end}_before"].where(status == "ok")) for end in ends]
        moved = difference_limits(new, old)
        for end, value in zip(ends, moved, strict=True):
            found[f"{name}{end}"] = value if index == "sii" else np.exp(value)
    return pd.DataFrame(found | {"status": pd.Series(status, dtype="str")})


def indices(
    table: pd.DataFrame,
    *,
    direction_better: Direction,
    rank: str = "rank",
    group: str = "group",
    population: str = "population",
    value: str = "value",
    indicator: str = "",
    unit: str = "",
) -> Result:
    """Return the gaps and indices of inequality between ordered groups.

    Parameters
    ----------
    table
        One row per group: rank (1 = most deprived), people and value.
    direction_better
        ``higher``, ``lower`` or ``none``.
    rank, group, population, value
        Columns; `group` holds names and may be absent.
    indicator, unit
        Words for the reader.

    Returns
    -------
    Result
        Table: the groups in order with `share` and `fractional_rank`. Estimates: `gap` and `ratio`
        (last against first), `sii`, `rii` (ratio of the fitted ends), `rii_mean` (slope over
        mean), `concentration`, `concentration_absolute`, `gini` (of groups), `gini_weighted`,
        `theil`, `mld`, `atkinson` (ε = 1), `between_group_variance`, `hoover`,
        `population_gap` and `population_share` (what would change if all had the last group's
        value), `mean`. Indices with logarithms are left out where a value is 0.

    Raises
    ------
    DataError
        If columns are absent, ranks repeat or skip, a group has no people or no value, or a
        value is negative.
    """
    require_choice(direction_better, ("higher", "lower", "none"), "direction_better")
    require_columns(table, (rank, population, value), "an index of inequality")
    ordered = table.sort_values(rank).reset_index(drop=True)
    people, values = counts(ordered, population), counts(ordered, value)
    _check_groups(ordered[rank].to_numpy(), people, values)
    found = _index_values(people, values)
    place = fractional_ranks(people)
    about: dict[str, Any] = {
        "outcome": indicator,
        "k": len(values),
        "n": people.sum(),
        "design": "descriptive",
    }
    units = dict.fromkeys(("gap", "sii", "population_gap", "mean"), unit)
    names = ordered[group] if group in ordered.columns else ordered[rank]
    return Result(
        text=_inequality_words(values, found, indicator, unit),
        estimates=tuple(
            Estimate(
                key=key,
                value=number,
                unit=units.get(key, ""),
                direction_better=direction_better if key == "mean" else "",
                **about,
            )
            for key, number in found.items()
        ),
        table=pd.DataFrame(
            {
                "rank": ordered[rank].astype("int64"),
                "group": names.astype("str"),
                "population": people,
                "value": values,
                "share": people / people.sum(),
                "fractional_rank": place,
            }
        ),
        settings={
            "method": "inequality",
            "direction_better": direction_better,
            "indicator": indicator,
            "unit": unit,
        },
        cautions=(
            Caution(
                "ecological",
                "These are gaps between groups; people within a group differ, and a group's gap "
                "says nothing about one person.",
            ),
        ),
    )


def _check_groups(rank: Array, people: Array, values: Array) -> None:
    if len(rank) < 2 or not np.array_equal(rank, np.arange(1, len(rank) + 1)):
        raise DataError(
            f"ranks must count 1, 2, 3 … without gap, 1 for the most deprived; got {rank.tolist()}."
            " Give every group its place."
        )
    bad = np.flatnonzero(~(people > 0) | np.isnan(values))
    if len(bad):
        raise DataError(
            f"every group needs people and a value; ranks {(bad + 1).tolist()} do not have them. "
            "An index of some of the groups would mislead: join groups, or leave it out."
        )


def _index_values(people: Array, values: Array) -> dict[str, float]:
    share = people / people.sum()
    mean = float(np.sum(share * values))
    place = fractional_ranks(people)
    slope, start = (float(part) for part in slopes(place, values, people))
    first, last = float(values[0]), float(values[-1])
    absolute = float(2 * np.sum(share * values * place) - mean)
    found = {
        "mean": mean,
        "gap": last - first,
        "sii": slope,
        "concentration_absolute": absolute,
        "between_group_variance": float(np.sum(share * (values - mean) ** 2)),
        "population_gap": last - mean,
    }
    if first > 0:
        found["ratio"] = last / first
    if start > 0:
        found["rii"] = (slope + start) / start
    if mean > 0:
        found |= _relative_values(share, values, mean) | {
            "rii_mean": slope / mean,
            "concentration": absolute / mean,
            "population_share": (last - mean) / mean,
        }
    return found


def _relative_values(share: Array, values: Array, mean: float) -> dict[str, float]:
    found = {
        "gini": _gini(values, np.full(len(values), 1 / len(values))),
        "gini_weighted": _gini(values, share),
        "hoover": float(np.abs(share * values / mean - share).sum() / 2),
    }
    if (values > 0).all():
        logs = np.log(values / mean)
        found |= {
            "theil": float(np.sum(share * values / mean * logs)),
            "mld": float(-np.sum(share * logs)),
            "atkinson": float(1 - np.exp(np.sum(share * logs))),
        }
    return found


def _gini(values: Array, share: Array) -> float:
    """Return one minus twice the area under the Lorenz curve."""
    order = np.argsort(values, kind="stable")
    held = np.concatenate(([0.0], np.cumsum(share[order] * values[order])))
    return float(1 - np.sum(share[order] * (held[1:] + held[:-1])) / held[-1])


def _inequality_words(values: Array, found: dict[str, float], indicator: str, unit: str) -> str:
    name = indicator or "This figure"
    first, last = (words.amount(float(value), unit) for value in (values[0], values[-1]))
    return (
        f"{name}: {first} in the most deprived of {len(values)} groups and {last} in the least, a "
        f"gap of {words.gap(abs(found['gap']), unit)}; the slope across all people is "
        f"{words.gap(found['sii'], unit)}."
    )
