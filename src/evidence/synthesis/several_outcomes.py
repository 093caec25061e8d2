"""Pool several outcomes of the same studies at once: their means, spreads and correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from evidence.errors import DataError
from evidence.results import Caution, Direction, Estimate, Result
from evidence.synthesis import multivariate
from evidence.synthesis.dependent import FEW_CLUSTERS, sampling_covariance
from evidence.synthesis.fit import check_level, quantile, two_sided
from evidence.synthesis.multivariate import MultivariateFit, Outcomes
from evidence.synthesis.pool import (
    DESIGN_NAMES,
    decimals_for,
    interval_words,
    listed,
    measure_name,
    number,
    reader_scale,
)
from evidence.synthesis.weighting import Array

TESTS = ("t", "z", "t_residual")
"""t with an outcome's studies less one; normal; t with effects less means."""

AT_ONE = 1 - 1e-6


@dataclass(frozen=True)
class _Table:
    """The effects as studies by outcomes, and what each outcome is about."""

    data: Outcomes
    names: tuple[str, ...]
    directions: tuple[Direction, ...]
    measures: tuple[str, ...]
    left_out: int

    @property
    def counts(self) -> Array:
        return np.asarray(self.data.observed.sum(axis=0))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return list(combinations(range(len(self.names)), 2))


def pool_outcomes(
    effects: pd.DataFrame,
    *,
    direction_better: Direction | Mapping[str, Direction],
    covariance: ArrayLike | None = None,
    rho: float | None = None,
    structure: str = "UN",
    method: str = "REML",
    test: str = "t",
    measure: str = "",
    study: str = "study",
    outcome: str = "outcome",
    level: float = 0.95,
) -> Result:
    """Pool several outcomes per study in one multivariate random-effects model.

    True effects vary between studies with a covariance matrix that is estimated; sampling errors
    within a study have a known covariance. A study need not report every outcome.

    Parameters
    ----------
    effects
        One row per study and outcome with ``yi``, ``vi`` and the columns `study` and `outcome`.
    direction_better
        ``higher``, ``lower`` or ``none``, for all outcomes or by outcome.
    covariance
        Covariance of the sampling errors of all rows (k, k), 0 between studies, its diagonal `vi`.
    rho
        Where `covariance` is not known: the correlation of sampling errors within a study.
    structure
        Covariance between studies: ``UN`` unstructured, ``HCS`` one correlation, ``CS`` one
        correlation and one variance, ``DIAG`` no correlation.
    method
        ``REML`` or ``ML``.
    test
        ``t`` with the studies of an outcome less one degrees of freedom (as `pool`'s t test),
        ``z``, or ``t_residual`` with the number of effects less the number of outcomes.
    measure
        Measure of the effects where the table has no such column; outcomes may differ in it.
    study, outcome
        Columns of the study and of the outcome.
    level
        Coverage of the intervals.

    Returns
    -------
    Result
        Estimates, with X and Y for the outcomes: ``pooled.X``, ``prediction.X``, ``p.X``,
        ``tau2.X`` and ``rho.X.Y`` with profile-likelihood intervals (no value where an outcome
        does not vary), ``logLik``, ``QM`` and ``QM_p`` (all means 0), ``Q``, ``Q_df``, ``Q_p``.
        Table: one row per outcome. An outcome of one study, or a correlation of two outcomes that
        fewer than two studies report together: a result that says so.

    Raises
    ------
    DataError
        If a column is missing, a choice is unknown, there are fewer than two outcomes, a study
        has an outcome twice, or a study's sampling covariance is not positive definite.
    """
    _check_choices(effects, method, test, structure, level, study, outcome)
    settings = {"structure": structure, "method": method, "test": test, "level": level}
    settings |= {"rho": rho, "covariance": "given" if rho is None else "by rho"}
    usable = effects[effects["yi"].notna() & effects["vi"].notna()]
    known = _known_covariance(effects, covariance, rho, study)
    table = _tabulate(effects, usable, known, study, outcome, direction_better, measure)
    refusal = _refusal(table, usable, structure)
    if refusal:
        return Result.could_not("Not pooled", refusal, **settings)
    fitted = multivariate.fit_outcomes(table.data, structure, restricted=method == "REML")
    means = _means(table, fitted, test, level)
    return Result(
        text=_sentence(table, fitted, means),
        estimates=(
            *means,
            *_predictions(table, fitted, test, level),
            *_spread(table, fitted, level),
            *_tests(table, fitted, test),
        ),
        table=_rows(table, fitted, means, test),
        settings=settings,
        cautions=tuple(_cautions(table, fitted)),
    )


def _check_choices(
    effects: pd.DataFrame,
    method: str,
    test: str,
    structure: str,
    level: float,
    study: str,
    outcome: str,
) -> None:
    absent = [name for name in ("yi", "vi", study, outcome) if name not in effects]
    if absent:
        raise DataError(
            "effects to pool must have the columns yi, vi, study and outcome; the table has no "
            f"{', '.join(absent)}. Name the columns."
        )
    chosen = {
        "method": (method, ("REML", "ML")),
        "test": (test, TESTS),
        "structure": (structure, multivariate.STRUCTURES),
    }
    for name, (value, allowed) in chosen.items():
        if value not in allowed:
            raise DataError(f"{name} must be one of {', '.join(allowed)}; got {value!r}.")
    check_level(level)


def _known_covariance(
    effects: pd.DataFrame, covariance: ArrayLike | None, rho: float | None, study: str
) -> Array:
    """Return the covariance of the sampling errors of all rows."""
    if (covariance is None) == (rho is None):
        raise DataError(
            "sampling errors of one study are correlated: give either their covariance or rho; "
            f"got {'neither' if rho is None else 'both'}."
        )
    if rho is not None:
        return sampling_covariance(effects["vi"].clip(lower=0), effects[study], rho)
    known, k = np.asarray(covariance, float), len(effects)
    if known.shape != (k, k):
        raise DataError(
            f"the covariance must have a row and a column per row of the table ({k}); got "
            f"{' x '.join(map(str, known.shape))}."
        )
    _check_covariance(known, effects, study)
    return known


def _check_covariance(known: Array, effects: pd.DataFrame, study: str) -> None:
    kept = np.flatnonzero(effects["yi"].notna() & effects["vi"].notna())
    inner, names = known[np.ix_(kept, kept)], effects[study].astype(str).to_numpy()[kept]
    size = np.sqrt(np.abs(np.outer(np.diag(inner), np.diag(inner))))
    vi = np.diag(effects["vi"].to_numpy(float)[kept])
    faults = {
        "be the same on both sides of its diagonal": ~(np.abs(inner - inner.T) <= 1e-8 * size),
        "have vi on its diagonal": (vi > 0) & ~(np.abs(inner - vi) <= 1e-6 * vi),
        "be 0 between studies": (names[:, None] != names[None, :]) & (inner != 0),
    }
    for rule, wrong in faults.items():
        if wrong.any():
            which = ", ".join(dict.fromkeys(names[wrong.any(axis=1)]))
            raise DataError(f"the covariance must {rule}; it is not so for {which}. Correct it.")


def _tabulate(
    effects: pd.DataFrame,
    usable: pd.DataFrame,
    known: Array,
    study: str,
    outcome: str,
    direction_better: Direction | Mapping[str, Direction],
    measure: str,
) -> _Table:
    rows, studies = pd.factorize(usable[study].astype(str))
    columns, names = pd.factorize(usable[outcome].astype(str))
    if len(names) < 2:
        raise DataError(
            f"several outcomes need at least two of them; got {len(names)}. Use pool() for one."
        )
    _check_rows(usable, rows, columns, studies, names)
    kept = np.flatnonzero(effects["yi"].notna() & effects["vi"].notna())
    y = np.full((len(studies), len(names)), np.nan)
    v = np.zeros((len(studies), len(names), len(names)))
    y[rows, columns] = usable["yi"]
    for place in range(len(studies)):
        own = np.flatnonzero(rows == place)
        v[np.ix_([place], columns[own], columns[own])] = known[np.ix_(kept[own], kept[own])]
    data = multivariate.outcomes(y, v)
    _check_definite(data, studies)
    return _Table(
        data,
        tuple(names),
        _directions(direction_better, names),
        _measures(usable, columns, len(names), measure),
        len(effects) - len(usable),
    )


def _check_rows(
    usable: pd.DataFrame, rows: Array, columns: Array, studies: Sequence[str], names: Sequence[str]
) -> None:
    wrong = ~(np.isfinite(usable["yi"]) & np.isfinite(usable["vi"]) & (usable["vi"] > 0))
    if wrong.any():
        which = ", ".join(dict.fromkeys(studies[at] for at in rows[wrong.to_numpy()]))
        raise DataError(f"effects must be finite and variances above 0; not so for {which}.")
    twice = pd.DataFrame({"row": rows, "column": columns}).duplicated().to_numpy()
    if twice.any():
        place = int(np.flatnonzero(twice)[0])
        raise DataError(
            "a study must have each outcome once; "
            f"{studies[rows[place]]} has {names[columns[place]]} more than once. Combine the "
            "effects first, or use pool_levels()."
        )


def _check_definite(data: Outcomes, studies: Sequence[str]) -> None:
    found = []
    for rows, seen in data.patterns:
        blocks = data.v[np.ix_(rows, seen, seen)]
        sd = np.sqrt(np.diagonal(blocks, axis1=1, axis2=2))
        lowest = np.linalg.eigvalsh(blocks / (sd[:, :, None] * sd[:, None, :]))[:, 0]
        found += [studies[at] for at in rows[lowest < 1e-10]]
    if found:
        raise DataError(
            "the sampling covariance of a study must be positive definite; it is not for "
            f"{', '.join(found)}. Check variances and covariances."
        )


def _directions(
    given: Direction | Mapping[str, Direction], names: Sequence[str]
) -> tuple[Direction, ...]:
    found = [given if isinstance(given, str) else given.get(name, "") for name in names]
    for name, direction in zip(names, found, strict=True):
        if direction not in get_args(Direction) or not direction:
            raise DataError(
                f"direction_better must be higher, lower or none; got {direction!r} for {name}. "
                "State which direction is good."
            )
    return tuple(found)


def _measures(usable: pd.DataFrame, columns: Array, count: int, measure: str) -> tuple[str, ...]:
    if "measure" not in usable:
        return (measure,) * count
    given = usable["measure"].fillna(measure).astype(str).to_numpy()
    return tuple("|".join(dict.fromkeys(given[columns == at])) for at in range(count))


def _refusal(table: _Table, usable: pd.DataFrame, structure: str) -> str:
    designs = list(usable["design"].dropna().unique()) if "design" in usable else []
    if len(designs) > 1:
        named = [DESIGN_NAMES.get(str(design), str(design)) for design in designs]
        return f"designs differ: {', '.join(named)}"
    for name, measure, count in zip(table.names, table.measures, table.counts, strict=True):
        if "|" in measure:
            named = [measure_name(item) for item in measure.split("|")]
            return f"measures of {name} differ: {', '.join(named)}"
        if count < 2:
            return f"only one study reports {name}; its spread between studies cannot be estimated"
    return _no_correlation(table, structure)


def _no_correlation(table: _Table, structure: str) -> str:
    """Return why the structure's correlations cannot be estimated, or nothing."""
    together = table.data.observed.T.astype(int) @ table.data.observed
    counts = {pair: int(together[pair]) for pair in table.pairs}
    if structure in ("HCS", "CS") and sum(counts.values()) < 2:
        return "fewer than two studies report outcomes together; structure DIAG needs none"
    for (one, other), count in counts.items():
        if structure == "UN" and count < 2:
            return (
                f"fewer than two studies report both {table.names[one]} and {table.names[other]}; "
                "how they go together cannot be estimated"
            )
    return ""


def _freedom(table: _Table, test: str) -> list[float | None]:
    """Return the degrees of freedom of each outcome's test."""
    if test == "z":
        return [None] * len(table.names)
    if test == "t_residual":
        return [float(table.counts.sum() - len(table.names))] * len(table.names)
    return [float(count - 1) for count in table.counts]


def _about(table: _Table, at: int, level: float) -> dict[str, Any]:
    return {
        "level": level,
        "measure": table.measures[at],
        "scale": "natural",
        "direction_better": table.directions[at],
        "outcome": table.names[at],
        "k": int(table.counts[at]),
    }


def _means(table: _Table, fitted: MultivariateFit, test: str, level: float) -> list[Estimate]:
    se = np.sqrt(np.diag(fitted.joint.vcov))
    return [
        Estimate(
            key=f"pooled.{_key(name)}",
            **_limits(fitted.joint.b[at], se[at], df, level, table.measures[at]),
            se=se[at],
            **_about(table, at, level),
        )
        for at, (name, df) in enumerate(zip(table.names, _freedom(table, test), strict=True))
    ]


def _predictions(table: _Table, fitted: MultivariateFit, test: str, level: float) -> list[Estimate]:
    spread = np.sqrt(np.diag(fitted.joint.vcov) + fitted.tau2)
    return [
        Estimate(
            key=f"prediction.{_key(name)}",
            **_limits(fitted.joint.b[at], spread[at], df, level, table.measures[at]),
            **_about(table, at, level),
        )
        for at, (name, df) in enumerate(zip(table.names, _freedom(table, test), strict=True))
    ]


def _limits(
    value: float, spread: float, df: float | None, level: float, measure: str
) -> dict[str, Any]:
    half = quantile(1 - (1 - level) / 2, df) * float(spread)
    return reader_scale(float(value), float(value) - half, float(value) + half, measure)


def _spread(table: _Table, fitted: MultivariateFit, level: float) -> list[Estimate]:
    """Return variances between studies and their correlations with profile intervals."""
    found = []
    for at, name in enumerate(table.names):
        low, high = multivariate.variance_interval(fitted, at, level)
        found.append(
            Estimate(
                key=f"tau2.{_key(name)}",
                value=fitted.tau2[at],
                low=low,
                high=high,
                level=level,
                outcome=name,
                k=int(table.counts[at]),
            )
        )
    if fitted.structure.kind == "DIAG":
        return found
    for one, other in table.pairs:
        limits = multivariate.correlation_interval(fitted, one, other, level)
        found.append(
            Estimate(
                key=f"rho.{_key(table.names[one])}.{_key(table.names[other])}",
                value=fitted.rho[one, other] if limits else None,
                low=limits[0] if limits else None,
                high=limits[1] if limits else None,
                level=level,
            )
        )
    return found


def _tests(table: _Table, fitted: MultivariateFit, test: str) -> list[Estimate]:
    freedom, m = _freedom(table, test), len(table.names)
    b, vcov = fitted.joint.b, fitted.joint.vcov
    p = [float(two_sided(t, df)) for t, df in zip(b / np.sqrt(np.diag(vcov)), freedom, strict=True)]
    wald = float(b @ np.linalg.solve(vcov, b))
    least = min((df for df in freedom if df is not None), default=None)
    together = special.chdtrc(m, wald) if least is None else special.fdtrc(m, least, wald / m)
    q, df, q_p = multivariate.residual_q(table.data)
    figures = {f"p.{_key(name)}": value for name, value in zip(table.names, p, strict=True)}
    figures |= {"logLik": fitted.log_likelihood, "QM": wald, "QM_p": float(together)}
    figures |= {"Q": q, "Q_df": df, "Q_p": q_p}
    return [Estimate(key=key, value=value) for key, value in figures.items()]


def _rows(
    table: _Table, fitted: MultivariateFit, means: Sequence[Estimate], test: str
) -> pd.DataFrame:
    p = [item.value for item in _tests(table, fitted, test)[: len(means)]]
    return pd.DataFrame(
        {
            "outcome": table.names,
            "studies": [item.k for item in means],
            "value": [item.value for item in means],
            "low": [item.low for item in means],
            "high": [item.high for item in means],
            "p": p,
            "sd_between": np.sqrt(fitted.tau2),
        }
    )


def _key(name: str) -> str:
    return "".join(char if char.isalnum() or char in "_-" else "_" for char in name)


def _sentence(table: _Table, fitted: MultivariateFit, means: Sequence[Estimate]) -> str:
    words = [
        f"{item.outcome} {interval_words(item, decimals_for(item.low, item.high))}"
        for item in means
    ]
    start = f"{len(table.names)} outcomes of {len(table.data.y)} studies, pooled together: "
    text = start + "; ".join(words)
    if len(table.names) == 2 and fitted.structure.kind != "DIAG" and fitted.tau2.min() > 0:
        text += f"; correlation between studies {number(float(fitted.rho[0, 1]), 2)}"
    return f"{text}."


def _cautions(table: _Table, fitted: MultivariateFit) -> list[Caution]:
    found = _boundary_cautions(table, fitted)
    if not fitted.converged:
        found.append(
            Caution(
                "not_converged",
                "The search for the covariance between studies ended before a maximum.",
            )
        )
    few = [name for name, k in zip(table.names, table.counts, strict=True) if k < FEW_CLUSTERS]
    if few:
        found.append(
            Caution(
                "few_studies",
                f"Fewer than {FEW_CLUSTERS} studies report {listed(few)}: how far effects vary "
                "between studies, and together, is poorly known.",
            )
        )
    if table.left_out:
        rows = "1 row" if table.left_out == 1 else f"{table.left_out} rows"
        found.append(Caution("other", f"{rows} without effect or variance left out."))
    return found


def _boundary_cautions(table: _Table, fitted: MultivariateFit) -> list[Caution]:
    varies = fitted.tau2 > 0
    still = [name for name, moves in zip(table.names, varies, strict=True) if not moves]
    found = []
    if still:
        text = f"The variance of {listed(still)} between studies is estimated as 0"
        found.append(Caution("boundary", f"{text}, its lowest value."))
    extreme = [
        (one, other)
        for one, other in table.pairs
        if varies[one] and varies[other] and abs(fitted.rho[one, other]) > AT_ONE
    ]
    for one, other in extreme:
        sign = "1" if fitted.rho[one, other] > 0 else "−1"
        found.append(
            Caution(
                "boundary",
                f"The correlation of {table.names[one]} and {table.names[other]} between studies "
                f"is estimated as {sign}, the end of its range.",
            )
        )
    inner = fitted.rho[np.ix_(varies, varies)]
    if not extreme and len(inner) > 1 and np.linalg.eigvalsh(inner)[0] < 1 - AT_ONE:
        text = "The correlations between studies are at the edge of what is possible together."
        found.append(Caution("boundary", text))
    return found
