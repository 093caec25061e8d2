"""Figures by group of people, and what the averages of areas say in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from evidence.errors import DataError, require_choice, require_columns
from evidence.results import Caution, Direction, Estimate, Result
from evidence.variation import rates, words
from evidence.variation.checks import OK, require_level, require_unique

FEW_AREAS = 4
"""A correlation of fewer areas has no interval (Fisher's needs n - 3)."""

COLUMNS = [
    "breakdown",
    "group_code",
    "group",
    "rank",
    "numerator",
    "denominator",
    "value",
    "low",
    "high",
    "status",
    "figure",
    "cells",
    "cells_absent",
]


def by_group(
    tables: Mapping[str, pd.DataFrame],
    *,
    direction_better: Direction,
    measure: str = "proportion",
    multiplier: float = 100,
    level: float = 0.95,
    whole: float | None = None,
    indicator: str = "",
    unit: str = "%",
    period: str = "",
) -> Result:
    """Return a proportion or rate by group of people, breakdown by breakdown.

    Parameters
    ----------
    tables
        By breakdown (``deprivation``, ``age`` …) one row per group with `group_code`, `group`,
        `rank` (0 for people whose group is not stated), `numerator`, `denominator`, `status`, and
        `cells` and `cells_absent`: how many areas have and lack a figure for the group.
    direction_better
        ``higher``, ``lower`` or ``none``.
    measure
        ``proportion`` (Wilson interval) or ``rate`` (Byar).
    multiplier, level
        As in `rates.proportions`.
    whole
        Figure of everyone together, for pictures to draw; kept in the settings.
    indicator, unit, period
        Words for the reader.

    Returns
    -------
    Result
        Table: the groups with `breakdown`, `value`, `low`, `high`, `status` and `figure` (the
        status in words); a group without a figure stays, with its reason. Estimates: every figure
        as ``<breakdown>.<group_code>``, and ``<breakdown>.gap``, the largest less the smallest
        figure of groups that are stated (Newcombe interval, not adjusted for having chosen the
        extremes).

    Raises
    ------
    DataError
        If there is no table, columns are absent, groups repeat or counts are negative.
    """
    require_choice(direction_better, ("higher", "lower", "none"), "direction_better")
    require_choice(measure, ("proportion", "rate"), "measure")
    if not tables:
        raise DataError(
            "figures by group need at least one breakdown; got none. Report them as not known."
        )
    parts = [_figures(name, table, measure, multiplier, level) for name, table in tables.items()]
    rows = pd.concat(parts, ignore_index=True)
    about: dict[str, Any] = {
        "outcome": indicator,
        "period": period,
        "level": level,
        "design": "descriptive",
    }
    gaps = {name: _gap(part) for name, part in zip(tables, parts, strict=True)}
    return Result(
        text=_group_words(gaps, indicator or "This figure", unit, period),
        estimates=(*_group_estimates(rows, unit, about), *_gap_estimates(gaps, unit, about)),
        table=rows,
        settings={
            "method": "by_group",
            "direction_better": direction_better,
            "measure": measure,
            "level": level,
            "whole": whole,
            "indicator": indicator,
            "unit": unit,
            "period": period,
        },
        cautions=_group_doubts(rows),
    )


def _figures(
    name: str, table: pd.DataFrame, measure: str, multiplier: float, level: float
) -> pd.DataFrame:
    require_columns(table, (*COLUMNS[1:6], "status", *COLUMNS[-2:]), f"figures by {name}")
    require_unique(table, ["group_code"], f"figures by {name}")
    figures = rates.proportions if measure == "proportion" else rates.crude_rates
    found = figures(table, multiplier=multiplier, level=level)
    shown = found["status"].map({OK: "given"}).fillna(found["status"])
    groups = found["group"].map(plain_group)
    return found.assign(breakdown=name, figure=shown, group=groups)[COLUMNS]


def _gap(part: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the smallest and the largest figure of the groups that are stated.

    Of equal figures the first is the smallest and the last the largest: two groups, if all are.
    """
    known = part[(part["rank"] > 0) & part["value"].notna()]
    if len(known) < 2:
        return known.iloc[:0]
    return known.loc[[known["value"].idxmin(), known["value"].iloc[::-1].idxmax()]]


def _group_estimates(rows: pd.DataFrame, unit: str, about: dict[str, Any]) -> list[Estimate]:
    return [
        Estimate(
            key=f"{row.breakdown}.{row.group_code}",
            value=row.value,
            low=row.low,
            high=row.high,
            unit=unit,
            population=row.group,
            k=row.cells,
            n=row.denominator,
            **about,
        )
        for row in rows[rows["value"].notna()].itertuples()
    ]


def _gap_estimates(
    gaps: Mapping[str, pd.DataFrame], unit: str, about: dict[str, Any]
) -> list[Estimate]:
    found = []
    for name, ends in gaps.items():
        if len(ends):
            least, most = ends[["value", "low", "high"]].to_numpy()
            value, low, high = rates.difference_limits(list(most), list(least))
            found.append(
                Estimate(
                    key=f"{name}.gap",
                    value=value,
                    low=low,
                    high=high,
                    measure="largest less smallest figure of a group",
                    unit="percentage points" if unit == "%" else unit,
                    **about,
                )
            )
    return found


def _group_words(gaps: Mapping[str, pd.DataFrame], name: str, unit: str, period: str) -> str:
    sizes = {
        key: float(ends["value"].iloc[1] - ends["value"].iloc[0])
        for key, ends in gaps.items()
        if len(ends)
    }
    start = f"{name}{', ' + period if period else ''}"
    if not sizes:
        return f"{start}: no breakdown has two groups with a figure."
    widest = max(sizes, key=lambda key: sizes[key])
    low, high = (row for _, row in gaps[widest].iterrows())
    others = [f"{key} {size:.1f}" for key, size in sizes.items() if key != widest]
    beside = f"; gaps by {', '.join(others)}{' points' if unit == '%' else ''}" if others else ""
    return (
        f"{start}: {words.amount(low['value'], unit)} ({low['group']}) to "
        f"{words.amount(high['value'], unit)} ({high['group']}) by {widest}{beside}."
    )


def plain_group(name: str) -> str:
    """Return a group's name without the leading zero that sorts it in its source.

    People whose group is unknown are ``Not stated``, whatever else the source adds to that.
    """
    if name.startswith("Not stated"):
        return "Not stated"
    return name[1:] if name[:1] == "0" and name[1:2].isdigit() else name


def _group_doubts(rows: pd.DataFrame) -> tuple[Caution, ...]:
    absent, every = (
        int(rows["cells_absent"].sum()),
        int(rows[["cells", "cells_absent"]].sum().sum()),
    )
    empty = rows.loc[rows["value"].isna(), "group"].tolist()
    doubts = []
    if absent:
        without = f"; no figure at all: {words.listed(empty, 6)}" if empty else ""
        doubts.append(
            Caution(
                "suppression",
                f"{absent} of {every} cells of area and group have no figure, mostly because they "
                f"are small and suppressed{without}. Nothing is filled in for them.",
            )
        )
    doubts.append(
        Caution(
            "other",
            "Groups differ in much besides what names them, such as severity and the services near "
            "them: a gap shows who does less well, not why.",
        )
    )
    return tuple(doubts)


def across_areas(
    table: pd.DataFrame,
    *,
    direction_better: Direction,
    score: str = "score",
    area_code: str = "area_code",
    numerator: str = "numerator",
    denominator: str = "denominator",
    status: str = "status",
    measure: str = "proportion",
    multiplier: float = 100,
    level: float = 0.95,
    indicator: str = "",
    unit: str = "%",
    score_label: str = "score",
) -> Result:
    """Return how the averages of areas go with a score of the areas, such as deprivation.

    This is what a reader has where no breakdown by group is published, and it says nothing about
    people; what happens to people of the same area is `gradients.within_areas`.

    Parameters
    ----------
    table
        One row per area with counts and its score; areas without either are left out and counted.
    direction_better
        ``higher``, ``lower`` or ``none``.
    score, area_code, numerator, denominator, status
        Columns.
    measure
        ``proportion`` (Wilson interval) or ``rate`` (Byar).
    multiplier, level
        As in `rates.proportions`.
    indicator, unit, score_label
        Words for the reader.

    Returns
    -------
    Result
        Table: `area_code`, `area` (if given), `score`, `value`, `low`, `high`, `denominator` and
        `status`. Estimates: `correlation` (Pearson, every area counting the same, Fisher interval)
        and `rank_correlation` (Spearman).

    Raises
    ------
    DataError
        If columns are absent, areas repeat or counts are negative.

    References
    ----------
    Robinson, Am Sociol Rev 1950;15:351-357 (ecological correlations); Fisher, Metron 1921;1:3-32.
    """
    require_choice(direction_better, ("higher", "lower", "none"), "direction_better")
    require_choice(measure, ("proportion", "rate"), "measure")
    require_level(level)
    require_columns(table, (area_code, score), "a correlation of areas")
    require_unique(table, [area_code], "a correlation of areas")
    figures = rates.proportions if measure == "proportion" else rates.crude_rates
    found = figures(
        table,
        numerator=numerator,
        denominator=denominator,
        status=status,
        multiplier=multiplier,
        level=level,
    )
    found = found.rename(columns={area_code: "area_code", score: "score"})
    found["score"] = pd.to_numeric(found["score"]).astype("float64")
    shown = ["area_code", "area", "score", "denominator", "value", "low", "high", "status"]
    rows = found[[name for name in shown if name in found.columns]]
    settings = {
        "method": "across_areas",
        "direction_better": direction_better,
        "level": level,
        "indicator": indicator,
        "unit": unit,
        "score_label": score_label,
    }
    used = rows[(rows["status"] == OK) & rows["score"].notna()]
    name = indicator or "This figure"
    if len(used) < FEW_AREAS or min(used["value"].nunique(), used["score"].nunique()) < 2:
        because = f"only {words.plural(len(used), 'area')} with a figure and a score, or no spread"
        return Result(
            text=f"{name}: correlation across areas not known: {because}.",
            table=rows,
            settings=settings,
            reason=because,
        )
    estimates = _correlations(used, level, indicator)
    return Result(
        text=_across_words(estimates[0], name, score_label),
        estimates=estimates,
        table=rows,
        settings=settings,
        cautions=(
            Caution(
                "ecological",
                "A correlation of area averages says nothing about people: areas differ in many "
                "ways at once, and each holds people of every group.",
            ),
        ),
    )


def _correlations(used: pd.DataFrame, level: float, indicator: str) -> tuple[Estimate, Estimate]:
    about: dict[str, Any] = {"outcome": indicator, "k": len(used), "design": "descriptive"}
    pearson = stats.pearsonr(used["value"], used["score"])
    low, high = pearson.confidence_interval(level)
    ranked = stats.spearmanr(used["value"], used["score"])
    return (
        Estimate(
            key="correlation",
            value=float(pearson.statistic),
            low=float(low),
            high=float(high),
            level=level,
            measure="Pearson correlation of areas' figures with their scores",
            **about,
        ),
        Estimate(
            key="rank_correlation",
            value=float(ranked.statistic),
            measure="Spearman rank correlation",
            **about,
        ),
    )


def _across_words(found: Estimate, name: str, score_label: str) -> str:
    low, high = found.low or 0.0, found.high or 0.0
    value, *ends = (words.true_minus(f"{item:.2f}") for item in (found.value or 0.0, low, high))
    clear = "above zero" if low > 0 else "below zero" if high < 0 else "which may be zero"
    return (
        f"{name}: across the averages of {words.plural(found.k or 0, 'area')} the correlation with "
        f"{score_label} is {value} (95\u00a0% {ends[0]} to {ends[1]}), {clear}."
    )


def expected_from_groups(
    cells: pd.DataFrame,
    *,
    group: str = "group_code",
    area_code: str = "area_code",
    numerator: str = "numerator",
    denominator: str = "denominator",
    status: str = "status",
    measure: str = "proportion",
    multiplier: float = 100,
) -> pd.DataFrame:
    """Return what each area's figure would be if only its mix of groups set it apart.

    Parameters
    ----------
    cells
        One row per area and group with counts; cells without a figure are left out.
    group, area_code, numerator, denominator, status
        Columns.
    measure
        ``proportion`` or ``rate``: a rate may count more events than people.
    multiplier
        100 for percentages.

    Returns
    -------
    DataFrame
        `area_code`, `expected` (the figures of the groups over all areas, weighted by the area's
        mix), `value` (the area's own, from the same cells) and `denominator`.

    Raises
    ------
    DataError
        If columns are absent, cells repeat or counts are negative.
    """
    require_columns(cells, (area_code, group), "figures expected from groups")
    require_unique(cells, [area_code, group], "figures expected from groups")
    x, n, reasons = rates.read_counts(
        cells, numerator, denominator, status, bounded=measure == "proportion"
    )
    known = pd.DataFrame(
        {
            "area_code": cells[area_code].astype("str").to_numpy(),
            "group": cells[group].astype("str").to_numpy(),
            "x": x,
            "n": n,
        }
    )[reasons == OK]
    sums = known.groupby("group")[["x", "n"]].sum()
    share = sums["x"] / sums["n"]
    known = known.assign(due=known["n"] * known["group"].map(share))
    areas = known.groupby("area_code", as_index=False)[["x", "n", "due"]].sum()
    per = multiplier / np.where(areas["n"] > 0, areas["n"], np.nan)
    return pd.DataFrame(
        {
            "area_code": areas["area_code"],
            "expected": areas["due"] * per,
            "value": areas["x"] * per,
            "denominator": areas["n"],
        }
    )
