"""From what papers print to what effect sizes need.

Standard errors from intervals, p values and test statistics; means and standard deviations from
medians; change scores; cluster trials; shared control arms. Inputs may be numbers or arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evidence.errors import DataError
from evidence.synthesis.weighting import Array

ASYMMETRY = 0.1
"""A value further off the middle of its interval than this share of the width contradicts it."""


def se_from_interval(
    value: ArrayLike, low: ArrayLike, high: ArrayLike, *, level: float = 0.95, ratio: bool = False
) -> Array:
    """Return the standard error behind an interval; on the log scale for ratios.

    Parameters
    ----------
    value, low, high
        Estimates with their limits as printed, shape (k,) or numbers.
    level
        Coverage of the intervals.
    ratio
        Whether they are ratios, whose intervals are even on the log scale.

    Raises
    ------
    DataError
        If limits are out of order, a ratio is not positive, or the value lies outside its interval
        or far off its middle; the rows are named.
    """
    x, lower, upper = (np.atleast_1d(np.asarray(item, float)) for item in (value, low, high))
    _refuse(~(lower < upper), "a low limit must be below its high limit")
    if ratio:
        _refuse(lower <= 0, "limits of a ratio must be above 0")
        x, lower, upper = np.log(x), np.log(lower), np.log(upper)
    off = np.abs(x - (lower + upper) / 2) / (upper - lower)
    _refuse(off > ASYMMETRY, "a value must lie near the middle of its interval (log scale: ratio)")
    return (upper - lower) / (2 * special.ndtri(1 - (1 - level) / 2))


def se_from_p(value: ArrayLike, p: ArrayLike, *, df: ArrayLike | None = None) -> Array:
    """Return the standard error from a two-sided p value of the normal or t distribution.

    Parameters
    ----------
    value
        Estimates on the scale on which they were tested (log for ratios), shape (k,) or a number.
    p
        Their two-sided p values.
    df
        Degrees of freedom of the t distribution; the normal one when absent.

    Raises
    ------
    DataError
        If a p value is not between 0 and 1; rounded ones such as 0.000 cannot be used.
    """
    x, probability = (np.atleast_1d(np.asarray(item, float)) for item in (value, p))
    _refuse((probability <= 0) | (probability >= 1), "a p value must lie between 0 and 1")
    upper = 1 - probability / 2
    quantile = special.ndtri(upper) if df is None else special.stdtrit(np.asarray(df), upper)
    return np.asarray(np.abs(x) / quantile)


def se_from_statistic(value: ArrayLike, statistic: ArrayLike, *, squared: bool = False) -> Array:
    """Return the standard error from t or z, or with `squared` from F with 1 df or chi-square.

    Parameters
    ----------
    value
        Estimates on the scale on which they were tested (log for ratios), shape (k,) or a number.
    statistic
        Their test statistics.
    squared
        Whether the statistics are F or chi-square.

    Raises
    ------
    DataError
        If a statistic is 0, or negative although squared.
    """
    x, found = (np.atleast_1d(np.asarray(item, float)) for item in (value, statistic))
    _refuse((found < 0) & squared, "F and chi-square must not be negative")
    _refuse(found == 0, "a test statistic of 0 tells nothing about the standard error")
    return np.abs(x / (np.sqrt(found) if squared else found))


def mean_sd_from_median(
    median: float,
    n: float,
    *,
    quartiles: tuple[float, float] | None = None,
    extremes: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Return mean and standard deviation of a roughly normal outcome.

    Means by Luo et al. 2018 (Statistical Methods in Medical Research 27:1785-1805), standard
    deviations by Wan et al. 2014 (BMC Medical Research Methodology 14:135).

    Parameters
    ----------
    median, n
        Median, in the unit of the outcome, and the number of people.
    quartiles, extremes
        First and third quartile; smallest and largest value.

    Raises
    ------
    DataError
        If neither quartiles nor extremes are given, numbers are out of order, or n is below 3.
    """
    ordered = [*([extremes[0]] if extremes else []), *([quartiles[0]] if quartiles else []), median]
    ordered += [*([quartiles[1]] if quartiles else []), *([extremes[1]] if extremes else [])]
    if len(ordered) == 1 or sorted(ordered) != ordered or n < 3:
        raise DataError(
            f"a median needs quartiles or extremes around it, in order, and n of 3 or more; got "
            f"{ordered} and n {n}."
        )
    wide = 2 * special.ndtri((n - 0.375) / (n + 0.25))
    inner = 2 * special.ndtri((0.75 * n - 0.125) / (n + 0.25))
    if quartiles and extremes:
        first, second = 2.2 / (2.2 + n**0.75), 0.7 - 0.72 / n**0.55
        mean = first * np.mean(extremes) + second * np.mean(quartiles)
        sd = (np.diff(extremes)[0] / wide + np.diff(quartiles)[0] / inner) / 2
        return float(mean + (1 - first - second) * median), float(sd)
    pair, share = (quartiles, 0.7 + 0.39 / n) if quartiles else (extremes, 4 / (4 + n**0.75))
    ends = np.asarray(pair, float)
    mean = share * ends.mean() + (1 - share) * median
    return float(mean), float((ends[1] - ends[0]) / (inner if quartiles else wide))


def sd_of_change(sd_before: ArrayLike, sd_after: ArrayLike, correlation: float) -> Array:
    """Return the standard deviation of changes (Cochrane Handbook 6.5.2.8).

    Raises
    ------
    DataError
        If the correlation does not lie between -1 and 1.
    """
    if not -1 <= correlation <= 1:
        raise DataError(f"a correlation must lie between -1 and 1; got {correlation}.")
    before, after = np.asarray(sd_before, float), np.asarray(sd_after, float)
    return np.sqrt(before**2 + after**2 - 2 * correlation * before * after)


def effective_size(n: ArrayLike, cluster_size: float, icc: float) -> Array:
    """Return the number of people that a cluster trial is worth (Cochrane Handbook 23.1.4).

    Divide events by the same design effect ``1 + (cluster_size - 1) icc``.

    Raises
    ------
    DataError
        If the intracluster correlation is not between 0 and 1 or clusters hold no one.
    """
    if not 0 <= icc <= 1 or cluster_size < 1:
        raise DataError(
            f"a cluster trial needs an icc between 0 and 1 and clusters of 1 or more; got {icc} "
            f"and {cluster_size}."
        )
    return np.asarray(n, float) / (1 + (cluster_size - 1) * icc)


def split_arm(parts: int, **counts: float) -> dict[str, float]:
    """Return sizes and events of a control arm divided over the comparisons that share it.

    Means and standard deviations stay as they are (Cochrane Handbook 23.3.4). Splitting keeps the
    comparisons apart at the price of precision; the covariance of `dependent` keeps both.

    Raises
    ------
    DataError
        If there are fewer than two parts.
    """
    if parts < 2:
        raise DataError(f"a shared arm is split into 2 parts or more; got {parts}.")
    return {name: value / parts for name, value in counts.items()}


def _refuse(wrong: Any, rule: str) -> None:
    if np.any(wrong):
        rows = ", ".join(str(row) for row in np.flatnonzero(wrong)[:6])
        raise DataError(f"{rule}; rows {rows} break this. Check them against the paper.")
