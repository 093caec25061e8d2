"""Pooling of rare events without continuity corrections: Mantel-Haenszel and Peto.

Both combine counts, not effects, so that zero cells need no correction. Studies without events in
either group carry no information on ratios, those with nothing but events none on odds ratios; they
are left out by count, never silently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from evidence.errors import DataError
from evidence.results import Caution, Direction, Estimate, Result
from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.fit import check_level, quantile
from evidence.synthesis.measures import MEASURES, peto_parts
from evidence.synthesis.pool import decimals_for, interval_words, reader_scale
from evidence.synthesis.regression import p_words
from evidence.synthesis.weighting import Array

EVENTS = ("ai", "n1i", "ci", "n2i")
RATES = ("x1i", "t1i", "x2i", "t2i")


@dataclass(frozen=True, slots=True)
class Counts:
    """Events and group sizes of studies, shape (k,) each."""

    a: Array
    n1: Array
    c: Array
    n2: Array

    @property
    def n(self) -> Array:
        """All people of each study."""
        return np.asarray(self.n1 + self.n2)

    def informative(self) -> Counts:
        """Return the studies that have both events and people without events."""
        events = self.a + self.c
        return self.only((events > 0) & (events < self.n))

    def with_events(self) -> Counts:
        """Return the studies that have events; enough for rates, where sizes are times."""
        return self.only(self.a + self.c > 0)

    def only(self, keep: NDArray[np.bool_]) -> Counts:
        """Return some of the studies."""
        return Counts(self.a[keep], self.n1[keep], self.c[keep], self.n2[keep])


def odds_ratio(t: Counts) -> tuple[float, float]:
    """Return the log odds ratio and its standard error (Robins, Breslow and Greenland 1986)."""
    b, d, n = t.n1 - t.a, t.n2 - t.c, t.n
    r, s = t.a * d / n, b * t.c / n
    p, q = (t.a + d) / n, (b + t.c) / n
    total_r, total_s = r.sum(), s.sum()
    variance = (
        (p @ r) / (2 * total_r**2)
        + (p @ s + q @ r) / (2 * total_r * total_s)
        + (q @ s) / (2 * total_s**2)
    )
    return float(np.log(total_r / total_s)), float(np.sqrt(variance))


def risk_ratio(t: Counts) -> tuple[float, float]:
    """Return the log risk ratio and its standard error (Greenland and Robins 1985)."""
    r, s = np.sum(t.a * t.n2 / t.n), np.sum(t.c * t.n1 / t.n)
    variance = np.sum((t.n1 * t.n2 * (t.a + t.c) - t.a * t.c * t.n) / t.n**2) / (r * s)
    return float(np.log(r / s)), float(np.sqrt(variance))


def risk_difference(t: Counts) -> tuple[float, float]:
    """Return the risk difference and its standard error (Sato, Greenland and Robins 1989)."""
    weight = float(np.sum(t.n1 * t.n2 / t.n))
    value = float(np.sum((t.a * t.n2 - t.c * t.n1) / t.n)) / weight
    share1, share2 = t.n1 / t.n, t.n2 / t.n
    p = np.sum(t.c * share1**2 - t.a * share2**2 + share1 * share2 * (t.n2 - t.n1) / 2)
    q = np.sum(t.a * (t.n2 - t.c) / t.n + t.c * (t.n1 - t.a) / t.n) / 2
    return value, float(np.sqrt((value * p + q) / weight**2))


def peto_odds_ratio(t: Counts) -> tuple[float, float]:
    """Return the log odds ratio by observed minus expected events (Yusuf et al. 1985)."""
    excess, variance = peto_parts(t.a, t.n1, t.c, t.n2)
    return float(excess.sum() / variance.sum()), float(1 / np.sqrt(variance.sum()))


def rate_ratio(t: Counts) -> tuple[float, float]:
    """Return the log rate ratio and its standard error; sizes are person-times."""
    r, s = np.sum(t.a * t.n2 / t.n), np.sum(t.c * t.n1 / t.n)
    variance = np.sum(t.n1 * t.n2 * (t.a + t.c) / t.n**2) / (r * s)
    return float(np.log(r / s)), float(np.sqrt(variance))


def rate_difference(t: Counts) -> tuple[float, float]:
    """Return the rate difference and its standard error; sizes are person-times."""
    weight = float(np.sum(t.n1 * t.n2 / t.n))
    value = float(np.sum((t.a * t.n2 - t.c * t.n1) / t.n)) / weight
    variance = np.sum((t.a * t.n2**2 + t.c * t.n1**2) / t.n**2) / weight**2
    return value, float(np.sqrt(variance))


METHODS: dict[str, Callable[[Counts], tuple[float, float]]] = {
    "OR": odds_ratio,
    "RR": risk_ratio,
    "RD": risk_difference,
    "PETO": peto_odds_ratio,
    "IRR": rate_ratio,
    "IRD": rate_difference,
}


def association(t: Counts, *, correct: bool = True) -> tuple[float, float]:
    """Return the Cochran-Mantel-Haenszel chi-square and its p value.

    `correct` takes the continuity correction of 0.5 off the excess of events.
    """
    excess, variance = peto_parts(t.a, t.n1, t.c, t.n2)
    distance = max(0.0, abs(float(excess.sum())) - 0.5 * correct)
    statistic = distance**2 / float(variance.sum())
    return statistic, float(special.chdtrc(1, statistic))


def rate_association(t: Counts, *, correct: bool = True) -> tuple[float, float]:
    """Return the Mantel-Haenszel chi-square of rates and its p value; sizes are person-times."""
    events = t.a + t.c
    excess = float(np.sum(t.a - t.n1 * events / t.n))
    variance = float(np.sum(events * t.n1 * t.n2 / t.n**2))
    statistic = max(0.0, abs(excess) - 0.5 * correct) ** 2 / variance
    return statistic, float(special.chdtrc(1, statistic))


def homogeneity(t: Counts) -> dict[str, float]:
    """Return the Breslow-Day test of equal odds ratios, and with Tarone's correction.

    Breslow and Day 1980 (equation 4.30); Tarone 1985 (Biometrika 72:91-95).
    """
    odds = np.exp(odds_ratio(t)[0])
    events = t.a + t.c
    expected = _expected_events(t, events, odds)
    variance = 1 / (
        1 / expected
        + 1 / (events - expected)
        + 1 / (t.n1 - expected)
        + 1 / (t.n2 - events + expected)
    )
    breslow = float(np.sum((t.a - expected) ** 2 / variance))
    tarone = max(0.0, breslow - float(np.sum(t.a - expected)) ** 2 / float(variance.sum()))
    df = len(t.a) - 1
    return {
        "BD": breslow,
        "BD_p": float(special.chdtrc(df, breslow)),
        "TA": tarone,
        "TA_p": float(special.chdtrc(df, tarone)),
    }


def _expected_events(t: Counts, events: Array, odds: float) -> Array:
    """Return the events of group 1 that give the common odds ratio with the same margins."""
    square = 1 - odds
    linear = t.n2 - events + odds * (t.n1 + events)
    constant = -odds * t.n1 * events
    if abs(square) < 1e-12:
        return -constant / linear
    return np.asarray((-linear + np.sqrt(linear**2 - 4 * square * constant)) / (2 * square))


def pool_counts(
    studies: pd.DataFrame,
    *,
    measure: str,
    direction_better: Direction,
    level: float = 0.95,
    outcome: str = "",
    **columns: str,
) -> Result:
    """Pool counts of events by Mantel-Haenszel or Peto, without continuity corrections.

    A common effect is assumed. Prefer it to inverse variance where events are rare (Cochrane
    Handbook 10.4); Peto only for small effects and balanced groups (10.4.2).

    Parameters
    ----------
    studies
        One row per study.
    measure
        ``OR``, ``RR``, ``RD``, ``PETO``, or for rates ``IRR`` and ``IRD``.
    direction_better
        ``higher``, ``lower`` or ``none``.
    level
        Coverage of the interval.
    outcome
        Words for the sentence.
    **columns
        Column names by letter, as for `effect_sizes`.

    Returns
    -------
    Result
        Estimates ``pooled`` (reader's scale), ``p``, ``Q``, ``Q_p``, ``I2``; for OR also ``CMH``,
        ``BD`` (Breslow-Day), ``TA`` (Tarone) with p values. Table: the studies with yi and vi.
        Counts that give no finite effect with an interval: a result that says so.

    Raises
    ------
    DataError
        If the measure is unknown, the level is no share, or counts are impossible; rows are named.
    """
    check_level(level)
    if measure not in METHODS:
        raise DataError(f"measure must be one of {', '.join(METHODS)}; got {measure!r}.")
    rules: dict[str, Any] = {"zero_cells": "none" if measure == "PETO" else "only0", **columns}
    table = effect_sizes(studies, measure=measure, double_zeros="drop", **rules)
    every = counts(table, rates=measure.startswith("IR"), **columns)
    used = _informative(every, measure)
    settings = {"measure": measure, "method": _method(measure), "level": level}
    with np.errstate(divide="ignore", invalid="ignore"):
        value, se = METHODS[measure](used) if len(used.a) else (np.nan, np.nan)
    if not (np.isfinite(value) and np.isfinite(se) and se > 0):
        return Result.could_not("Not pooled", _undefined(every), **settings)
    estimates = _count_estimates(value, se, used, table, measure, direction_better, level)
    pooled = estimates[0]
    name, limits = MEASURES[measure].name, decimals_for(pooled.low, pooled.high)
    subject = f"{outcome}: " if outcome else ""
    return Result(
        text=f"{subject}{len(used.a)} of {len(every.a)} studies, {_method(measure)} {name} "
        f"{interval_words(pooled, limits)}, p {p_words(estimates[1].value or 0.0)}.",
        estimates=estimates,
        table=table.reset_index(drop=True),
        settings=settings
        | {
            "studies": len(every.a),
            "studies_used": len(used.a),
            "direction_better": direction_better,
        },
        cautions=tuple(_count_cautions(len(used.a), len(every.a), measure)),
    )


def _informative(every: Counts, measure: str) -> Counts:
    """Return the studies that count: one with nothing but events shows equal risks, no odds."""
    if measure in ("RD", "IRR", "IRD"):
        return every
    return every.with_events() if measure == "RR" else every.informative()


def _undefined(t: Counts) -> str:
    if not np.any((t.a > 0) & (t.c > 0)):
        return "no study has events in both groups"
    return "these counts give an infinite effect, or one without an interval"


def _method(measure: str) -> str:
    return "Peto" if measure == "PETO" else "Mantel-Haenszel"


def counts(table: pd.DataFrame, *, rates: bool = False, **columns: str) -> Counts:
    """Return the complete rows of a table as counts; columns by letter as for `effect_sizes`."""
    names = [columns.get(letter, letter) for letter in (RATES if rates else EVENTS)]
    whole = table.dropna(subset=names)
    a, n1, c, n2 = (whole[name].to_numpy(float) for name in names)
    return Counts(a, n1, c, n2)


def pooled_counts(
    value: float,
    se: float,
    used: Counts,
    measure: str,
    direction_better: Direction,
    level: float,
) -> Estimate:
    """Return what was pooled from counts, on the reader's scale, with a normal interval."""
    half = quantile(1 - (1 - level) / 2, None) * se
    return Estimate(
        key="pooled",
        **reader_scale(value, value - half, value + half, measure),
        level=level,
        se=se,
        measure=measure,
        scale="natural",
        direction_better=direction_better,
        k=len(used.a),
        n=None if measure.startswith("IR") else float(used.n.sum()),
    )


def _count_estimates(
    value: float,
    se: float,
    used: Counts,
    table: pd.DataFrame,
    measure: str,
    direction_better: Direction,
    level: float,
) -> tuple[Estimate, ...]:
    pooled = pooled_counts(value, se, used, measure, direction_better, level)
    found: dict[str, Any] = {"p": float(2 * special.ndtr(-abs(value / se)))}
    found |= _spread_about(value, table)
    if measure == "OR":
        statistic, p = association(used)
        found |= {"CMH": statistic, "CMH_p": p}
        found |= homogeneity(used) if len(used.a) > 1 else {}
    if measure == "IRR":
        found["CMH"], found["CMH_p"] = rate_association(used)
    return (
        pooled,
        *(
            Estimate(key=key, value=item, unit="%" if key == "I2" else "")
            for key, item in found.items()
        ),
    )


def _spread_about(value: float, table: pd.DataFrame) -> dict[str, float]:
    usable = table.dropna(subset=["yi", "vi"])
    q = float(np.sum((usable["yi"] - value) ** 2 / usable["vi"]))
    df = len(usable) - 1
    if df < 1:
        return {"Q": 0.0, "Q_p": 1.0, "I2": 0.0}
    i2 = max(0.0, 100 * (q - df) / q) if q > 0 else 0.0
    return {"Q": q, "Q_p": float(special.chdtrc(df, q)), "I2": i2}


def _count_cautions(used: int, studies: int, measure: str) -> list[Caution]:
    found = [
        Caution("other", "One common effect is assumed; differences between studies are ignored.")
    ]
    if used < studies:
        lack = "no events" if measure == "RR" else "no events or no one without"
        found.append(
            Caution(
                "small_counts",
                f"{studies - used} of {studies} studies have {lack}, and carry no information "
                "here.",
            )
        )
    return found
