"""Areas against a benchmark, each other in quantiles, their own past; one risk against another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from evidence.errors import DataError, require_choice, require_columns
from evidence.results import Caution, Direction, Estimate, Result
from evidence.variation import rates, words
from evidence.variation.checks import OK, counts, require_unique
from evidence.variation.periods import period_numbers


def with_benchmark(
    table: pd.DataFrame,
    *,
    benchmark: float,
    direction_better: Direction,
    measure: str = "proportion",
    multiplier: float = 100,
    numerator: str = "numerator",
    denominator: str = "denominator",
    status: str = "status",
) -> pd.DataFrame:
    """Return figures with their judgement against a benchmark, by their intervals.

    Parameters
    ----------
    table
        One row per area, with counts.
    benchmark
        Value to compare with, in the unit of the figures.
    direction_better
        ``higher``, ``lower`` or ``none``.
    measure, multiplier, numerator, denominator, status
        As in `rates`.

    Returns
    -------
    DataFrame
        The rows with `value`, the 95 % interval `low`, `high`, the 99.8 % interval `low_99_8`,
        `high_99_8`, `judgement` (three categories: the benchmark lies outside the 95 % interval)
        and `judgement_5` (five: ``better 99.8 %``, ``better 95 %``, ``similar`` …).

    Raises
    ------
    DataError
        If columns are absent, a choice does not exist or the benchmark is no number.

    References
    ----------
    The rule of the Fingertips profiles (OHID, *Public health profiles: technical guidance*).
    """
    require_choice(direction_better, ("higher", "lower", "none"), "direction_better")
    require_choice(measure, ("proportion", "rate"), "measure")
    if not np.isfinite(benchmark):
        raise DataError(f"a benchmark must be a number; got {benchmark}. Leave the judgement out.")
    figures = rates.proportions if measure == "proportion" else rates.crude_rates
    columns: dict[str, Any] = {
        "numerator": numerator,
        "denominator": denominator,
        "status": status,
    }
    rows = figures(table, multiplier=multiplier, **columns)
    wide = figures(table, multiplier=multiplier, level=0.998, **columns)
    rows["low_99_8"], rows["high_99_8"] = wide["low"], wide["high"]
    above, below = {"higher": ("better", "worse"), "lower": ("worse", "better")}.get(
        direction_better, ("higher", "lower")
    )
    absent = rows["value"].isna()
    three = [rows["low"] > benchmark, rows["high"] < benchmark]
    five = [rows["low_99_8"] > benchmark, rows["high_99_8"] < benchmark, *three]
    names = [f"{above} 99.8 %", f"{below} 99.8 %", f"{above} 95 %", f"{below} 95 %"]
    rows["judgement"] = np.select([absent, *three], ["no figure", above, below], "similar")
    rows["judgement_5"] = np.select([absent, *five], ["no figure", *names], "similar")
    return rows


def quantiles(
    table: pd.DataFrame,
    *,
    value: str = "value",
    within: str | None = None,
    number: int = 5,
    highest_first: bool = True,
) -> pd.DataFrame:
    """Return the quantile of each area among the areas of its parent.

    Parameters
    ----------
    table
        One row per area.
    value
        Column of figures; areas without one get no quantile.
    within
        Column of the parent (region), or None for one group.
    number
        Number of quantiles.
    highest_first
        Whether the highest values form quantile 1.

    Returns
    -------
    DataFrame
        The rows with `quantile` (Int64) and `quantile_status`; areas of the same value share a
        quantile, and a parent with fewer areas than quantiles gets none.

    Raises
    ------
    DataError
        If a column is absent or there are fewer than two quantiles.

    References
    ----------
    The rank rule of the Fingertips profiles, as its published figures follow it.
    """
    require_columns(table, (value, *([within] if within else [])), "a quantile")
    if number < 2:
        raise DataError(f"there must be at least 2 quantiles; got {number}. Use 5 for quintiles.")
    rows = table.reset_index(drop=True).copy()
    grouped = rows.groupby(within)[value] if within else rows.assign(one=1).groupby("one")[value]
    rank = grouped.rank(ascending=not highest_first, method="min")
    size = grouped.transform("count")
    place = (number + 1) - np.ceil((size + 1 - rank) / size * number)
    few = size < number
    rows["quantile"] = place.clip(lower=1).where(~few).astype("Int64")
    rows["quantile_status"] = np.select(
        [rows[value].isna(), few], ["missing", f"fewer than {number} areas"], OK
    )
    return rows


def trend(
    table: pd.DataFrame,
    *,
    direction_better: Direction,
    level: float = 0.95,
    period: str = "period",
    numerator: str = "numerator",
    denominator: str = "denominator",
    status: str = "status",
    indicator: str = "",
    area: str = "",
) -> Result:
    """Test whether a proportion rises or falls steadily over periods.

    Parameters
    ----------
    table
        One row per period, with counts; at least three with a figure. Without a column of
        periods the rows are taken to be in order of time.
    direction_better
        ``higher``, ``lower`` or ``none``.
    level
        The trend is called clear if p is below ``1 - level``.
    period, numerator, denominator, status
        Columns.
    indicator, area
        Words for the reader.

    Returns
    -------
    Result
        Estimates: `chi2` and `p` (Cochran-Armitage), `odds_slope` and `rate_slope` (per period,
        on the log scale, with intervals); no slopes where all events lie after all non-events or
        before them, because they have no largest likelihood there.

    Raises
    ------
    DataError
        If columns are absent, a count is negative, or periods repeat, overlap or have no order.

    References
    ----------
    Armitage, Biometrics 1955;11:375-386. Periods are scored by their place in time, so a missing
    one leaves its gap. People counted in several periods make p too small.
    """
    x, n, reasons = rates.read_counts(table, numerator, denominator, status, bounded=True)
    used = reasons == OK
    name = ", ".join(part for part in (indicator, area) if part) or "This figure"
    settings = {"method": "trend", "level": level, "direction_better": direction_better}
    if used.sum() < 3 or not 0 < x[used].sum() < n[used].sum():
        return Result.could_not(
            f"{name}: no trend tested", "it takes three periods with and without events"
        )
    place = _places(table, period)[used]
    chi2 = _armitage(place, x[used], n[used])
    p = float(stats.chi2.sf(chi2, 1))
    about: dict[str, Any] = {"outcome": indicator, "area": area, "design": "descriptive"}
    slopes = _slopes(place, x[used], n[used], level, about)
    clear = p < 1 - level
    up = np.sum((place - np.average(place, weights=n[used])) * x[used]) > 0
    moved = ("rose" if up else "fell") if clear else "shows no clear trend"
    factor = f"odds × {np.exp(slopes[0].value or 0.0):.2f} per period; " if slopes else ""
    return Result(
        text=f"{name} {moved} over {words.plural(int(used.sum()), 'period')}"
        f" ({factor}p {_p_words(p)}).",
        estimates=(
            Estimate(key="chi2", value=chi2, measure="Cochran-Armitage chi-square", **about),
            Estimate(key="p", value=p, measure="p-value", **about),
            *slopes,
        ),
        settings=settings,
        cautions=_trend_doubts(table, used, period),
    )


def _trend_doubts(table: pd.DataFrame, used: np.ndarray, period: str) -> tuple[Caution, ...]:
    doubts = [
        Caution(
            "dependence",
            "The test takes periods as independent; people counted in several make it too "
            "ready to find a trend.",
        )
    ]
    names = table[period] if period in table.columns else pd.Series(np.arange(1, len(table) + 1))
    absent = names[~used].astype("str").tolist()
    if absent:
        doubts.append(
            Caution(
                "missing_periods",
                f"{words.plural(len(absent), 'period')} without a figure left out: "
                f"{words.listed(absent)}.",
            )
        )
    return tuple(doubts)


def _places(table: pd.DataFrame, period: str) -> np.ndarray:
    """Return each row's place in time, counted from 1."""
    if period not in table.columns:
        return np.arange(1.0, len(table) + 1)
    require_unique(table, [period], "a trend")
    numbers, _ = period_numbers(table[period].tolist())
    return (numbers - numbers.min() + 1).astype(float)


def _p_words(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def _armitage(score: np.ndarray, x: np.ndarray, n: np.ndarray) -> float:
    share = x.sum() / n.sum()
    centred = score - np.average(score, weights=n)
    covariance = np.sum(centred * x)
    return float(covariance**2 / (share * (1 - share) * np.sum(n * centred**2)))


def _slopes(
    place: np.ndarray, x: np.ndarray, n: np.ndarray, level: float, about: dict[str, Any]
) -> tuple[Estimate, ...]:
    """Return the slopes of odds and rate; none where events and non-events do not overlap in time.

    Albert and Anderson, Biometrika 1984;71:1-10: a likelihood without overlap has no maximum.
    """
    events, others = place[x > 0], place[x < n]
    if events.min() >= others.max() or events.max() <= others.min():
        return ()
    return tuple(
        _slope_estimate(key, *_slope(place, x, n, family), level, about)
        for key, family in (("odds_slope", "binomial"), ("rate_slope", "poisson"))
    )


def _slope(score: np.ndarray, x: np.ndarray, n: np.ndarray, family: str) -> tuple[float, float]:
    """Return the slope per period and its standard error, by Newton's method (two parameters)."""
    design = np.column_stack([np.ones_like(score), score])
    share = x.sum() / n.sum()
    beta = np.array([np.log(share / (1 - share)) if family == "binomial" else np.log(share), 0.0])
    for _ in range(50):
        eta = design @ beta
        mean = n / (1 + np.exp(-eta)) if family == "binomial" else n * np.exp(eta)
        weight = mean * (1 - mean / n) if family == "binomial" else mean
        information = design.T @ (design * weight[:, None])
        step = np.linalg.solve(information, design.T @ (x - mean))
        beta = beta + step
        if np.abs(step).max() < 1e-12:
            break
    return float(beta[1]), float(np.sqrt(np.linalg.inv(information)[1, 1]))


def _slope_estimate(
    key: str, slope: float, error: float, level: float, about: dict[str, Any]
) -> Estimate:
    half = stats.norm.isf((1 - level) / 2) * error
    what = "log odds" if key == "odds_slope" else "log rate"
    return Estimate(
        key=key,
        value=slope,
        low=slope - half,
        high=slope + half,
        level=level,
        se=error,
        measure=f"change of the {what} per period",
        scale="log",
        **about,
    )


def two_by_two(
    strata: pd.DataFrame,
    *,
    exposed_cases: str = "exposed_cases",
    exposed_others: str = "exposed_others",
    unexposed_cases: str = "unexposed_cases",
    unexposed_others: str = "unexposed_others",
    level: float = 0.95,
    indicator: str = "",
) -> Result:
    """Return ratios and differences of two risks, together and with strata held apart.

    Parameters
    ----------
    strata
        One row per stratum with the four counts; one row for a single table.
    exposed_cases, exposed_others, unexposed_cases, unexposed_others
        Columns.
    level
        Coverage of the intervals.
    indicator
        Words for the reader.

    Returns
    -------
    Result
        Estimates for the strata added up: `risk_ratio`, `odds_ratio` (Wald on the logarithm),
        `risk_difference` (Wald) and `risk_difference_newcombe`, `odds_ratio_conditional`, `chi2`,
        `p_fisher`; within strata: `odds_ratio_mh` and `chi2_mh`. Ratios are left out where a
        count is 0, and chi-squares where nobody, or everybody, is a case.

    Raises
    ------
    DataError
        If columns are absent, a count is missing or negative, or a side has nobody.

    References
    ----------
    Newcombe, Stat Med 1998;17:873-890, method 10; Mantel and Haenszel, J Natl Cancer Inst
    1959;22:719-748; Robins, Breslow and Greenland, Biometrics 1986;42:311-323 (its variance).
    """
    names = (exposed_cases, exposed_others, unexposed_cases, unexposed_others)
    require_columns(strata, names, "a two-by-two table")
    cells = np.column_stack([counts(strata, name) for name in names])
    a, b, c, d = (float(total) for total in cells.sum(axis=0))
    if np.isnan(cells).any() or a + b == 0 or c + d == 0:
        raise DataError(
            "a two-by-two table needs four counts in every stratum and people on both sides; got "
            f"{cells.tolist()[:3]}. Leave empty strata out."
        )
    z = float(stats.norm.isf((1 - level) / 2))
    found = _risk_differences(a, b, c, d, z, level)
    table = np.array([[a, b], [c, d]]).astype(int)
    found["p_fisher"] = (float(stats.fisher_exact(table)[1]),)
    if min(a, b, c, d) > 0:
        found |= _crude_ratios(a, b, c, d, z)
        found["odds_ratio_conditional"] = (float(stats.contingency.odds_ratio(table).statistic),)
    if min(a + c, b + d) > 0:
        found |= _mantel_haenszel(cells, z)
        found["chi2"] = (float(stats.chi2_contingency(table, correction=False)[0]),)
    about: dict[str, Any] = {"outcome": indicator, "n": cells.sum(), "design": "descriptive"}
    return Result(
        text=_two_by_two_words(found, indicator),
        estimates=tuple(
            _ratio_estimate(key, values, level, about) for key, values in found.items()
        ),
        table=pd.DataFrame(
            cells,
            columns=["exposed_cases", "exposed_others", "unexposed_cases", "unexposed_others"],
        ),
        settings={"method": "two_by_two", "level": level, "indicator": indicator},
        cautions=(
            Caution(
                "uncontrolled_design",
                "Groups that were not assigned at random differ in more than the exposure; only "
                "the strata given are held apart.",
            ),
        ),
    )


Found = dict[str, tuple[float, ...]]


def _risk_differences(a: float, b: float, c: float, d: float, z: float, level: float) -> Found:
    n, m = a + b, c + d
    one, other = a / n, c / m
    half = z * np.sqrt(one * (1 - one) / n + other * (1 - other) / m)
    sides = []
    for x, size in ((a, n), (c, m)):
        low, high = rates.wilson(np.array([x]), np.array([size]), level)
        sides.append((x / size, float(low[0]), float(high[0])))
    return {
        "risk_difference": (one - other, one - other - half, one - other + half),
        "risk_difference_newcombe": tuple(rates.difference_limits(*sides)),
    }


def _crude_ratios(a: float, b: float, c: float, d: float, z: float) -> Found:
    risk = (a / (a + b)) / (c / (c + d))
    odds = a * d / (b * c)
    spread = {
        "risk_ratio": (risk, 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)),
        "odds_ratio": (odds, 1 / a + 1 / b + 1 / c + 1 / d),
    }
    return {
        key: (value, value * np.exp(-z * np.sqrt(v)), value * np.exp(z * np.sqrt(v)))
        for key, (value, v) in spread.items()
    }


def _mantel_haenszel(cells: np.ndarray, z: float) -> Found:
    a, b, c, d = cells.T
    n = cells.sum(axis=1)
    r, s = a * d / n, b * c / n
    expected = (a + b) * (a + c) / n
    variance = (a + b) * (c + d) * (a + c) * (b + d) / (n**2 * (n - 1))
    found: Found = {"chi2_mh": (float((a - expected).sum() ** 2 / variance.sum()),)}
    if r.sum() > 0 and s.sum() > 0:
        ratio = r.sum() / s.sum()
        p, q = (a + d) / n, (b + c) / n
        error = np.sqrt(
            (p * r).sum() / (2 * r.sum() ** 2)
            + (p * s + q * r).sum() / (2 * r.sum() * s.sum())
            + (q * s).sum() / (2 * s.sum() ** 2)
        )
        ends = (ratio * np.exp(-z * error), ratio * np.exp(z * error))
        found["odds_ratio_mh"] = (float(ratio), float(ends[0]), float(ends[1]))
    return found


def _ratio_estimate(
    key: str, values: tuple[float, ...], level: float, about: dict[str, Any]
) -> Estimate:
    if len(values) == 1:
        return Estimate(key=key, value=values[0], **about)
    return Estimate(key=key, value=values[0], low=values[1], high=values[2], level=level, **about)


def _two_by_two_words(found: Found, indicator: str) -> str:
    value, low, high = (100 * part for part in found["risk_difference_newcombe"])
    text = (
        f"{indicator or 'The risk'} differs by {value:.1f} points between the two sides (95 % "
        f"{low:.1f} to {high:.1f})"
    )
    if "odds_ratio_mh" in found:
        ratio, lower, upper = found["odds_ratio_mh"]
        text += f"; odds ratio within strata {ratio:.2f} ({lower:.2f} to {upper:.2f})"
    return text + "."
