"""How often intervals of made-up reviews hold what they should, and how often Egger cries wolf."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from evidence.errors import DataError, require_random
from evidence.results import Caution, Estimate, Result
from evidence.synthesis.bias import regression_test
from evidence.synthesis.fit import PREDICTIONS, check_level, fit, prediction_interval
from evidence.synthesis.pool import PREDICTION_I2, PREDICTION_STUDIES
from evidence.synthesis.weighting import Array

COLUMNS = ("no_floor", "floor", *PREDICTIONS, "egger")
"""Columns of per cents: Hartung-Knapp without and with its floor, prediction intervals, Egger."""


def variances(k: int, ratio: float = 4.0) -> Array:
    """Return known, unequal sampling variances of `k` studies, the largest `ratio` times the least.

    A fourfold range of variances is a fourfold range of study sizes.
    """
    return np.asarray(0.05 * np.geomspace(ratio**-0.5, ratio**0.5, k))


def between(v: Array, share: float) -> float:
    """Return the between-study variance that is `share` per cent of all (I², Higgins 2002)."""
    w = 1 / v
    typical = (len(v) - 1) / (w.sum() - (w**2).sum() / w.sum())
    return float(typical * share / (100 - share))


def synthesis_coverage(
    *,
    sets: int = 1000,
    studies: Sequence[int] = (5, 10, 20),
    shares: Sequence[float] = (0, 25, 50, 75),
    ratio: float = 4.0,
    level: float = 0.95,
    seed: int = 20191101,
) -> Result:
    """Try intervals of the mean, prediction intervals and Egger's test on made-up reviews.

    True effects are normal around 0, sampling variances known and unequal, and no study is missing;
    the between-study variance is estimated by restricted maximum likelihood.

    Parameters
    ----------
    sets
        Made-up reviews per cell.
    studies
        Numbers of studies in a review.
    shares
        Per cent of the variance that lies between studies (I²).
    ratio
        Largest over least sampling variance within a review.
    level
        Nominal coverage; Egger's test is at its complement.
    seed
        Seed of all draws.

    Returns
    -------
    Result
        Table with one row per cell: studies, i2, ``no_floor`` and ``floor`` (per cent of intervals
        by Hartung and Knapp that hold the mean, without and with the default floor), one column per
        variant of prediction interval (per cent chance that a new study's true effect lies inside,
        where the variant is defined), ``egger`` (per cent of reviews found asymmetric though none
        is). Estimates ``<column>.lowest`` and ``<column>.highest`` over the cells.

    Raises
    ------
    DataError
        If there are fewer than two sets, a review has fewer than three studies, all studies have
        one variance or all variance lies between studies.
    """
    check_level(level)
    require_random(seed, sets)
    if sets < 2 or min(studies) < 3:
        raise DataError(
            f"coverage needs 2 sets and 3 studies or more; got {sets} sets and reviews of "
            f"{min(studies)}. Take more."
        )
    if ratio <= 1 or max(shares) >= 100 or min(shares) < 0:
        raise DataError(
            f"made-up reviews need variances that differ (ratio above 1) and shares of 0 to under "
            f"100 %; got ratio {ratio:g} and shares {', '.join(f'{one:g}' for one in shares)}."
        )
    cells = [(k, share) for k in studies for share in shares]
    table = pd.DataFrame(
        [
            {"studies": k, "i2": share, **_cell((seed, k, share), k, share, sets, ratio, level)}
            for k, share in cells
        ],
        columns=["studies", "i2", *COLUMNS],
    )
    return Result(
        text=_sentence(table, sets, level),
        estimates=tuple(_ends(table)),
        table=table,
        settings={"method": "synthesis_coverage", "sets": sets, "seed": seed, "level": level}
        | {"studies": list(studies), "shares": list(shares), "ratio": ratio},
        cautions=(
            Caution(
                "synthetic", "The reviews are made up, so that what they should find is known."
            ),
            Caution("prediction_interval", _short_of(table, level)),
        ),
    )


def _cell(
    seed: tuple[float, ...], k: int, share: float, sets: int, ratio: float, level: float
) -> dict[str, float]:
    """Return per cents of one cell."""
    draw = np.random.default_rng([int(part) for part in seed])
    v = variances(k, ratio)
    tau2 = between(v, share)
    held: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for y in draw.normal(0.0, np.sqrt(v + tau2), (sets, k)):
        plain = fit(y, v, level=level)
        held["no_floor"].append(plain.low[0] <= 0 <= plain.high[0])
        wider = np.sqrt(max(1.0, 1 / plain.scale)) * (plain.high[0] - plain.b[0])
        held["floor"].append(abs(plain.b[0]) <= wider)
        for variant in PREDICTIONS:
            limits = prediction_interval(plain, variant)
            if limits:
                held[variant].append(new_study_held(limits, tau2))
        held["egger"].append(regression_test(y, v).p[1] < 1 - level)
    return {name: 100 * float(np.mean(found)) for name, found in held.items() if found}


def new_study_held(limits: tuple[float, float], tau2: float) -> float:
    """Return the chance that the true effect of a new study, normal around 0, lies in limits."""
    if tau2 == 0:
        return float(limits[0] <= 0 <= limits[1])
    low, high = special.ndtr(np.array(limits) / np.sqrt(tau2))
    return float(high - low)


def _ends(table: pd.DataFrame) -> list[Estimate]:
    k = len(table)
    return [
        Estimate(key=f"{name}.{which}", value=value, unit="%", k=k)
        for name in COLUMNS
        if table[name].notna().any()
        for which, value in (("lowest", table[name].min()), ("highest", table[name].max()))
    ]


def _range(values: pd.Series) -> str:
    return f"{values.min():.1f} to {values.max():.1f} %"


def _sentence(table: pd.DataFrame, sets: int, level: float) -> str:
    return (
        f"Made-up reviews, {sets:,} of each kind: {100 * level:g} % Hartung-Knapp intervals hold "
        f"the mean in {_range(table['no_floor'])}, prediction intervals a new study in "
        f"{_range(table['t_k_minus_1'])}; Egger's {100 - 100 * level:g} % test errs in "
        f"{_range(table['egger'])}."
    )


def _short_of(table: pd.DataFrame, level: float) -> str:
    """Return the caution that every page's prediction interval carries below these bounds."""
    differ = table[table["i2"] > 0]
    least = differ["t_k_minus_1"] if len(differ) else table["t_k_minus_1"]
    return (
        f"The prediction interval with k − 1 degrees of freedom holds a new study in "
        f"{_range(least)} where studies differ, not in {100 * level:g} %: with fewer than "
        f"{PREDICTION_STUDIES} studies or I² below {PREDICTION_I2:g} % it is too narrow, and every "
        "page that shows one then says so."
    )
