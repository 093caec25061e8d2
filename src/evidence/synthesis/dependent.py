"""Several effects per study: multilevel models, correlated sampling errors, robust variances.

Model: ``y = X b + u_cluster + w_effect + e`` with independent random effects of clusters and of
effects within clusters, and sampling errors of known covariance, block-diagonal by cluster
(Konstantopoulos 2011, Research Synthesis Methods 2:61-76; Pustejovsky and Tipton 2022, Prevention
Science 23:425-438 for the working model of correlated and hierarchical effects).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import linalg, optimize, special, stats

from evidence.errors import DataError
from evidence.results import Caution, Direction, Estimate, Result
from evidence.synthesis.fit import check_level, quantile, two_sided
from evidence.synthesis.pool import (
    decimals_for,
    interval_words,
    number,
    reader_scale,
    stated_measure,
    what_differs,
)
from evidence.synthesis.weighting import Array

FEW_DF = 4.0
"""Below this the Satterthwaite approximation is unreliable (Tipton 2015)."""

FEW_CLUSTERS = 10


def sampling_covariance(vi: ArrayLike, cluster: ArrayLike, rho: float) -> Array:
    """Return the covariance of sampling errors with correlation `rho` within clusters.

    Raises
    ------
    DataError
        If `rho` does not lie between 0 and 1.
    """
    if not 0 <= rho < 1:
        raise DataError(f"rho must lie between 0 and below 1; got {rho}. It is a correlation.")
    sd, groups = np.sqrt(np.asarray(vi, float)), np.asarray(cluster)
    same = groups[:, None] == groups[None, :]
    return np.where(same, rho * np.outer(sd, sd), 0.0) * (1 - np.eye(len(sd))) + np.diag(sd**2)


@dataclass(frozen=True)
class Levels:
    """Effects with known sampling covariance and the groups of each random effect.

    Parameters
    ----------
    y, v, x
        Effects (k,), sampling covariance (k, k), moderators with intercept (k, p).
    shared
        For each random effect the matrix of ones where two effects share it; each (k, k).
    """

    y: Array
    v: Array
    x: Array
    shared: tuple[Array, ...]

    def at(self, variances: ArrayLike) -> Marginal:
        """Return the generalised least squares fit at these variance components."""
        return Marginal(self, np.asarray(variances, float))


@dataclass(frozen=True)
class Marginal:
    """Generalised least squares at given variance components, computed on demand."""

    data: Levels
    variances: Array

    @cached_property
    def covariance(self) -> Array:
        """Marginal covariance of the effects."""
        parts = zip(self.variances, self.data.shared, strict=True)
        return self.data.v + sum(value * shared for value, shared in parts)

    @cached_property
    def _factor(self) -> Any:
        return linalg.cho_factor(self.covariance)

    @cached_property
    def weights(self) -> Array:
        """Inverse of the marginal covariance."""
        return np.asarray(linalg.cho_solve(self._factor, np.eye(len(self.data.y))))

    @cached_property
    def vcov(self) -> Array:
        """Model-based covariance of the coefficients."""
        return np.asarray(np.linalg.inv(self.data.x.T @ self.weights @ self.data.x))

    @cached_property
    def b(self) -> Array:
        """Coefficients."""
        return np.asarray(self.vcov @ (self.data.x.T @ (self.weights @ self.data.y)))

    @cached_property
    def residual(self) -> Array:
        """Effects minus fitted values."""
        return np.asarray(self.data.y - self.data.x @ self.b)

    @cached_property
    def projection(self) -> Array:
        """``P = W - W X (X'WX)^-1 X'W``."""
        wx = self.weights @ self.data.x
        return np.asarray(self.weights - wx @ self.vcov @ wx.T)

    @cached_property
    def rss(self) -> float:
        """Generalised residual sum of squares."""
        return float(self.residual @ self.weights @ self.residual)

    def log_likelihood(self, restricted: bool) -> float:
        """Return the log-likelihood, with the constant that standard software has."""
        k, p = self.data.x.shape
        determinant = 2 * float(np.log(np.diag(self._factor[0])).sum())
        value = -determinant / 2 - self.rss / 2
        if not restricted:
            return value - k * np.log(2 * np.pi) / 2
        value += (np.linalg.slogdet(self.vcov)[1] + _log_det(self.data.x)) / 2
        return float(value - (k - p) * np.log(2 * np.pi) / 2)

    def score(self, restricted: bool) -> tuple[Array, Array]:
        """Return gradient and expected information of the variance components."""
        kernel = self.projection if restricted else self.weights
        py = self.weights @ self.residual
        products = [kernel @ shared for shared in self.data.shared]
        gradient = np.array(
            [
                (py @ shared @ py - np.trace(product)) / 2
                for shared, product in zip(self.data.shared, products, strict=True)
            ]
        )
        information = np.array(
            [[np.sum(one * other.T) / 2 for other in products] for one in products]
        )
        return gradient, information


def _log_det(x: Array) -> float:
    return float(np.linalg.slogdet(x.T @ x)[1])


def fit_levels(data: Levels, *, restricted: bool = True) -> Marginal:
    """Return the fit at the (restricted) maximum likelihood variance components.

    Fisher scoring with step halving from the best of several starts; a component whose score is
    negative at 0 stays there.
    """
    unit = float(np.median(np.diag(data.v))) + float(np.var(data.y))
    starts = [np.array(start) * unit for start in _starts(len(data.shared))]
    best = max((data.at(start) for start in starts), key=lambda fit: fit.log_likelihood(restricted))
    for _ in range(200):
        moved = _scoring_step(best, restricted, unit)
        if moved is None:
            break
        best = moved
    return best


def _starts(count: int) -> list[tuple[float, ...]]:
    shares = (0.0, 0.03, 0.3, 1.5)
    grid = np.meshgrid(*[shares] * count)
    return [tuple(point) for point in np.column_stack([axis.ravel() for axis in grid])]


def _scoring_step(at: Marginal, restricted: bool, unit: float) -> Marginal | None:
    gradient, information = at.score(restricted)
    free = (at.variances > 0) | (gradient > 0)
    if not free.any():
        return None
    step = np.zeros(len(gradient))
    step[free] = np.linalg.pinv(information[np.ix_(free, free)]) @ gradient[free]
    if np.max(np.abs(step)) < 1e-13 * unit:
        return None
    before = at.log_likelihood(restricted)
    for halving in range(40):
        moved = at.data.at(np.maximum(0.0, at.variances + step * 0.5**halving))
        if moved.log_likelihood(restricted) > before:
            return moved
    return None


@dataclass(frozen=True, slots=True)
class Robust:
    """Coefficients with a cluster-robust covariance.

    `df` has one value per coefficient.
    """

    b: Array
    vcov: Array
    df: Array

    @property
    def se(self) -> Array:
        """Standard errors."""
        return np.sqrt(np.diag(self.vcov))

    @property
    def statistic(self) -> Array:
        """t statistics; infinite where all effects of all clusters are equal."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.b / self.se)

    @property
    def p(self) -> Array:
        """Two-sided p values."""
        return np.array(
            [two_sided(t, df) for t, df in zip(self.statistic, self.df, strict=True)], float
        )

    def limits(self, level: float) -> tuple[Array, Array]:
        """Return lower and upper limits."""
        half = np.array([quantile(1 - (1 - level) / 2, df) for df in self.df]) * self.se
        return self.b - half, self.b + half


CORRECTIONS = ("CR0", "CR1", "CR2")


def robust(fitted: Marginal, cluster: ArrayLike, correction: str = "CR2") -> Robust:
    """Return a covariance of the coefficients that needs no right working model.

    ``CR0`` plain, ``CR1`` times n/(n-p), both with n-p degrees of freedom; ``CR2`` bias-reduced
    with Satterthwaite degrees of freedom (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018,
    Journal of Business and Economic Statistics 36:672-683).

    Parameters
    ----------
    fitted
        A model of the effects.
    cluster
        Name of each effect's cluster, shape (k,).
    correction
        One of `CORRECTIONS`.

    Raises
    ------
    DataError
        If the correction is unknown or there are not more clusters than coefficients.
    """
    if correction not in CORRECTIONS:
        raise DataError(f"correction must be one of {', '.join(CORRECTIONS)}; got {correction!r}.")
    groups = [
        np.flatnonzero(np.asarray(cluster) == name) for name in pd.unique(np.asarray(cluster))
    ]
    p = fitted.data.x.shape[1]
    if len(groups) <= p:
        raise DataError(
            f"robust variances need more clusters than coefficients; got {len(groups)} and {p}."
        )
    if correction == "CR2":
        return _bias_reduced(fitted, groups)
    wx = fitted.weights @ fitted.data.x
    sums = np.array([wx[rows].T @ fitted.residual[rows] for rows in groups])
    vcov = fitted.vcov @ (sums.T @ sums) @ fitted.vcov
    if correction == "CR1":
        vcov = vcov * len(groups) / (len(groups) - p)
    return Robust(fitted.b, vcov, np.full(p, float(len(groups) - p)))


def _bias_reduced(fitted: Marginal, groups: Sequence[np.ndarray]) -> Robust:
    x, p = fitted.data.x, fitted.data.x.shape[1]
    wx = fitted.weights @ x
    annihilator = np.eye(len(x)) - x @ fitted.vcov @ wx.T
    adjusted = [_adjusted_design(fitted, rows, wx) for rows in groups]
    sums = np.array(
        [part.T @ fitted.residual[rows] for part, rows in zip(adjusted, groups, strict=True)]
    )
    vcov = fitted.vcov @ (sums.T @ sums) @ fitted.vcov
    df = [
        _satterthwaite(fitted, groups, adjusted, annihilator, fitted.vcov[:, at]) for at in range(p)
    ]
    return Robust(fitted.b, vcov, np.array(df))


def _adjusted_design(fitted: Marginal, rows: np.ndarray, wx: Array) -> Array:
    """Return ``A' W X`` of one cluster, with the adjustment A that makes CR2 exact."""
    block = fitted.covariance[np.ix_(rows, rows)]
    x = fitted.data.x[rows]
    root = linalg.cholesky(block)
    inner = root @ (block - x @ fitted.vcov @ x.T) @ root.T
    adjustment = root.T @ _inverse_root(inner) @ root
    return np.asarray(adjustment.T @ wx[rows])


def _inverse_root(matrix: Array) -> Array:
    """Return the symmetric square root of the pseudo-inverse."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    kept = values > 1e-10 * values.max()
    inverse = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    return np.asarray((vectors * inverse) @ vectors.T)


def _satterthwaite(
    fitted: Marginal,
    groups: Sequence[np.ndarray],
    adjusted: Sequence[Array],
    annihilator: Array,
    contrast: Array,
) -> float:
    vectors = np.array(
        [
            annihilator[rows].T @ (part @ contrast)
            for part, rows in zip(adjusted, groups, strict=True)
        ]
    )
    products = vectors @ fitted.covariance @ vectors.T
    return float(np.trace(products) ** 2 / np.sum(products**2))


def profile_interval(
    data: Levels, fitted: Marginal, component: int, *, level: float = 0.95, restricted: bool = True
) -> tuple[float, float | None]:
    """Return the profile-likelihood interval of a variance component.

    The upper limit is `None` where the likelihood never falls far enough.
    """
    top, allowed = fitted.log_likelihood(restricted), stats.chi2.ppf(level, 1) / 2
    estimate = float(fitted.variances[component])

    def excess(value: float) -> float:
        return top - _profiled(data, component, value, restricted) - float(allowed)

    low = 0.0
    if estimate > 0 and excess(0.0) > 0:
        low = float(optimize.brentq(excess, 0.0, estimate, xtol=1e-10 * estimate, rtol=1e-9))
    high = 2 * estimate + float(np.median(np.diag(data.v)))
    for _ in range(40):
        if excess(high) > 0:
            return low, float(optimize.brentq(excess, estimate, high, rtol=1e-9))
        high *= 2
    return low, None


def _profiled(data: Levels, component: int, value: float, restricted: bool) -> float:
    others = tuple(shared for at, shared in enumerate(data.shared) if at != component)
    held = Levels(data.y, data.v + value * data.shared[component], data.x, others)
    if not others:
        return held.at(()).log_likelihood(restricted)
    return fit_levels(held, restricted=restricted).log_likelihood(restricted)


def heterogeneity_shares(fitted: Marginal) -> Array:
    """Return the per cent of variance of each component (multilevel I², Jackson et al. 2012)."""
    data = fitted.data
    k, p = data.x.shape
    sampling = data.at(np.zeros(len(data.shared)))
    typical = (k - p) / float(np.trace(sampling.projection))
    return np.asarray(100 * fitted.variances / (fitted.variances.sum() + typical))


def residual_heterogeneity(data: Levels) -> tuple[float, float]:
    """Return Q of the residuals with sampling weights, and its p value."""
    q = data.at(np.zeros(len(data.shared))).rss
    return q, float(special.chdtrc(data.x.shape[0] - data.x.shape[1], q))


def levels(
    yi: ArrayLike,
    vi: ArrayLike,
    outer: ArrayLike,
    inner: ArrayLike,
    *,
    x: ArrayLike | None = None,
    rho: float = 0.0,
) -> Levels:
    """Return the data of a three-level model: effects `inner` within clusters `outer`.

    Sampling errors of one cluster have correlation `rho`.

    Parameters
    ----------
    yi, vi
        Effects and sampling variances, shape (k,).
    outer, inner
        Names of each effect's cluster, and of the effect within it, shape (k,).
    x
        Moderators with their own intercept, shape (k, p); a column of ones when absent.
    rho
        0 to below 1.

    Raises
    ------
    DataError
        If `rho` is outside that range.
    """
    y, clusters, effects = np.asarray(yi, float), np.asarray(outer), np.asarray(inner)
    same = clusters[:, None] == clusters[None, :]
    within = same & (effects[:, None] == effects[None, :])
    design = np.ones((len(y), 1)) if x is None else np.asarray(x, float)
    covariance = sampling_covariance(vi, clusters, rho)
    return Levels(y, covariance, design, (same.astype(float), within.astype(float)))


def pool_levels(
    effects: pd.DataFrame,
    *,
    direction_better: Direction,
    measure: str = "",
    cluster: str = "study",
    effect: str = "",
    rho: float = 0.6,
    correction: str = "CR2",
    level: float = 0.95,
    outcome: str = "",
) -> Result:
    """Pool all effects of all studies with a three-level model and robust variances.

    The working model has variance between and within studies (REML) and sampling errors correlated
    with `rho` within a study; the interval does not rely on it: bias-reduced cluster-robust
    variance with Satterthwaite degrees of freedom.

    Parameters
    ----------
    effects
        One row per effect with ``yi``, ``vi`` and the column `cluster`.
    direction_better
        ``higher``, ``lower`` or ``none``.
    measure
        Measure of the effects where the table has no such column.
    cluster, effect
        Columns of study and of the effect within it (each row its own if empty).
    rho
        Correlation of sampling errors within a study.
    correction
        ``CR2``, ``CR1`` or ``CR0``.
    level, outcome
        As for `pool`.

    Returns
    -------
    Result
        Estimates ``pooled`` (robust interval), ``prediction``, ``sigma2_between``,
        ``sigma2_within``, ``I2_between``, ``I2_within``, ``Q``, ``df``. Fewer than three studies,
        or different design tiers, measures or directions: a result that says so. Table: the effects
        with their weights in per cent.

    Raises
    ------
    DataError
        If a column is missing, a choice is unknown or a variance is not positive.
    """
    check_level(level)
    if cluster not in effects:
        raise DataError(f"effects need the column of their study; there is no {cluster!r}.")
    usable = effects.dropna(subset=["yi", "vi"]).reset_index(drop=True)
    _check_effects(usable, cluster)
    differ = what_differs(usable, measure, direction_better)
    measure = measure or stated_measure(usable)
    settings = {"cluster": cluster, "rho": rho, "correction": correction, "tau2": "REML"}
    settings |= {"level": level, "measure": measure, "direction_better": direction_better}
    clusters = usable[cluster].nunique()
    if clusters < 3 or differ:
        few = f"{clusters} studies; at least 3 needed"
        return Result.could_not("Not pooled", differ or few, **settings)
    inner = usable[effect] if effect else usable.index
    data = levels(usable["yi"], usable["vi"], usable[cluster], inner, rho=rho)
    fitted = fit_levels(data)
    found = robust(fitted, usable[cluster], correction)
    if found.se[0] < 1e-7 * np.sqrt(fitted.vcov[0, 0]):
        return Result.could_not(
            "Not pooled",
            "the studies agree exactly, so the robust interval has no width",
            **settings,
        )
    estimates = _level_estimates(fitted, found, clusters, measure, direction_better, level, outcome)
    pooled, decimals = estimates[0], decimals_for(estimates[0].low, estimates[0].high)
    subject = f"{outcome}: " if outcome else ""
    spread = [number(float(np.sqrt(value)), 2) for value in fitted.variances]
    return Result(
        text=f"{subject}{len(usable)} effects of {clusters} studies, pooled "
        f"{interval_words(pooled, decimals)}; SD {spread[0]} between and {spread[1]} within "
        "studies.",
        estimates=estimates,
        table=usable.assign(weight=_row_weights(fitted)),
        settings=settings,
        cautions=tuple(_level_cautions(fitted, float(found.df[0]), clusters)),
    )


def _check_effects(effects: pd.DataFrame, cluster: str) -> None:
    wrong = ~(np.isfinite(effects["yi"]) & np.isfinite(effects["vi"]) & (effects["vi"] > 0))
    if wrong.any():
        names = ", ".join(effects.loc[wrong, cluster].astype("str").unique()[:4])
        raise DataError(
            f"effects must be finite and variances positive; those of {names} are not. Correct "
            "them or leave them out."
        )


def _row_weights(fitted: Marginal) -> Array:
    totals = fitted.weights.sum(axis=0)
    return np.asarray(100 * totals / totals.sum())


def _level_estimates(
    fitted: Marginal,
    found: Robust,
    clusters: int,
    measure: str,
    direction_better: Direction,
    level: float,
    outcome: str,
) -> tuple[Estimate, ...]:
    low, high = (float(item[0]) for item in found.limits(level))
    value, df = float(found.b[0]), float(found.df[0])
    spread = np.sqrt(fitted.variances.sum() + found.vcov[0, 0])
    half = quantile(1 - (1 - level) / 2, df) * float(spread)
    about: dict[str, Any] = {
        "level": level,
        "measure": measure,
        "scale": "natural",
        "direction_better": direction_better,
        "outcome": outcome,
        "k": clusters,
    }
    shares = heterogeneity_shares(fitted)
    q, q_p = residual_heterogeneity(fitted.data)
    extra = {
        "sigma2_between": fitted.variances[0],
        "sigma2_within": fitted.variances[1],
        "I2_between": shares[0],
        "I2_within": shares[1],
        "Q": q,
        "Q_p": q_p,
        "df": df,
        "p": found.p[0],
    }
    return (
        Estimate(key="pooled", **reader_scale(value, low, high, measure), se=found.se[0], **about),
        Estimate(
            key="prediction", **reader_scale(value, value - half, value + half, measure), **about
        ),
        *(
            Estimate(key=key, value=item, k=clusters, unit="%" if key.startswith("I2") else "")
            for key, item in extra.items()
        ),
    )


def _level_cautions(fitted: Marginal, df: float, clusters: int) -> list[Caution]:
    found = []
    if clusters == len(fitted.data.y):
        found.append(
            Caution(
                "not_converged",
                "Each study has one effect: variance between and within studies cannot be told "
                "apart.",
            )
        )
    if df < FEW_DF:
        found.append(
            Caution(
                "few_studies",
                f"The robust interval has {df:.1f} degrees of freedom; below 4 it is unreliable.",
            )
        )
    elif clusters < FEW_CLUSTERS:
        found.append(
            Caution(
                "few_studies",
                f"Only {clusters} studies: how much effects vary between and within them is poorly "
                "known.",
            )
        )
    if np.any(fitted.variances == 0):
        which = " and ".join(
            name
            for name, value in zip(("between", "within"), fitted.variances, strict=True)
            if value == 0
        )
        found.append(
            Caution(
                "boundary", f"The variance {which} studies is estimated as 0, its lowest value."
            )
        )
    return found
