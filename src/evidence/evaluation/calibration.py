"""How often intervals hold a planted change: the methods of series tried on made-up series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evidence.errors import DataError, require_choice, require_random
from evidence.evaluation import models
from evidence.evaluation.checks import PER_CENT
from evidence.results import Estimate, Result

Array = np.ndarray

NAMES = ("intercept", "time", "level", "trend_after")
PLANTED = (50.0, 0.2, 2.0, 0.1)
"""Planted coefficients; errors have standard deviation 1."""


def made_errors(random: np.random.Generator, n: int, correlation: float) -> Array:
    """Return stationary first-order autocorrelated errors of standard deviation 1, shape (n,)."""
    found = random.normal(size=n)
    found[1:] *= np.sqrt(1 - correlation**2)
    for at in range(1, n):
        found[at] += correlation * found[at - 1]
    return found


def interval_coverage(
    *,
    points: int = 48,
    correlations: Sequence[float] = (0.0, 0.3, 0.6),
    errors: Sequence[str] = ("ar1", "ml", "prais_winsten", "ols", "hac"),
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 1,
) -> Result:
    """Measure how often intervals of a level change hold the planted one.

    Series of `points` periods with an event in the middle, a level change of 2 and a slope change
    of 0.1 per period, and first-order autocorrelated errors of standard deviation 1.

    Parameters
    ----------
    points
        Length of each series, even.
    correlations
        Correlations of neighbouring errors.
    errors
        Methods of `models.fit_linear`.
    draws, seed
        How many series for each correlation, and from which seed.
    level
        Nominal coverage.

    Returns
    -------
    Result
        Estimates ``coverage.<errors>.<correlation>`` with their Monte Carlo standard error. Table:
        correlation, errors, method (in words), coverage, held (coverage in per cent), bias,
        bias_error (Monte Carlo standard error), width.

    Raises
    ------
    DataError
        If a method is unknown, a correlation is not one that errors can have, or there are too few
        points or draws.
    """
    require_random(seed, draws, least=2)
    if points < 12 or points % 2:
        raise DataError(
            f"coverage needs an even number of at least 12 points; got {points}. Take more."
        )
    for kind in errors:
        require_choice(kind, models.LINEAR, "errors")
    if not np.all(np.abs(correlations) < 1):
        raise DataError(
            f"correlations must lie between -1 and 1; got {list(correlations)}. Take 0.3."
        )
    rows = [
        row
        for place, correlation in enumerate(correlations)
        for row in _covered(
            np.random.default_rng([seed, points, place]), points, correlation, errors, draws, level
        )
    ]
    table = pd.DataFrame(rows)
    first = table[table["errors"] == errors[0]]
    return Result(
        text=f"Of intervals of {level * 100:g}{PER_CENT} by {models.WORDS[errors[0]]}, "
        f"{_span(first['held'], 1)}{PER_CENT} hold the planted change of level ({points} points, "
        f"{draws:,} series, neighbouring errors correlated at {_span(first['correlation'], 1)}).",
        estimates=tuple(_estimate(row, draws) for row in rows),
        table=table,
        settings={
            "method": "interval_coverage",
            "points": points,
            "draws": draws,
            "level": level,
            "seed": seed,
            "planted": dict(zip(NAMES, PLANTED, strict=True)),
        },
    )


def _span(values: pd.Series, digits: int) -> str:
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _covered(
    random: np.random.Generator,
    points: int,
    correlation: float,
    errors: Sequence[str],
    draws: int,
    level: float,
) -> list[dict[str, float | str]]:
    at = np.arange(points)
    after = (at >= points // 2).astype(float)
    design = np.column_stack([np.ones(points), at + 1, after, after * (at - points // 2)])
    expected, row = design @ PLANTED, np.array([[0.0, 0.0, 1.0, 0.0]])
    found = np.empty((len(errors), draws, 3))
    for draw in range(draws):
        y = expected + made_errors(random, points, correlation)
        for place, kind in enumerate(errors):
            fit = models.fit_linear(y, design, NAMES, at, errors=kind).contrasts(row, level)
            found[place, draw] = fit.value[0], fit.low[0], fit.high[0]
    value, low, high = np.moveaxis(found, 2, 0)
    held = (low <= PLANTED[2]) & (PLANTED[2] <= high)
    return [
        {
            "correlation": correlation,
            "errors": kind,
            "method": models.WORDS[kind],
            "coverage": float(np.mean(held[place])),
            "held": 100 * float(np.mean(held[place])),
            "bias": float(value[place].mean() - PLANTED[2]),
            "bias_error": float(value[place].std(ddof=1) / np.sqrt(draws)),
            "width": float(np.mean(high[place] - low[place])),
        }
        for place, kind in enumerate(errors)
    ]


def _estimate(row: dict[str, float | str], draws: int) -> Estimate:
    share = float(row["coverage"])
    return Estimate(
        key=f"coverage.{row['errors']}.{row['correlation']}",
        value=100 * share,
        se=100 * float(np.sqrt(share * (1 - share) / draws)),
        measure="share of intervals that hold the planted change of level",
        unit="%",
        n=draws,
    )
