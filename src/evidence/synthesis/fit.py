"""One meta-analytic model for independent studies, with or without moderators.

`fit` is the numerical core behind pooling, meta-regression, subgroups and small-study tests; it
takes arrays and returns numbers. `evidence.synthesis.pool` puts them into words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evidence.errors import DataError
from evidence.synthesis import heterogeneity
from evidence.synthesis.weighting import Array, Studies, Weighted, studies

TESTS = ("z", "t", "hartung_knapp", "kenward_roger")
FLOORS = ("none", "scale", "interval", "iqwig6")
PREDICTIONS = (
    "t_k_minus_1",
    "t_k_minus_2",
    "normal",
    "HTS_k_minus_2",
    "classic_k_minus_1",
    "KR",
    "KR_PR",
)


@dataclass(frozen=True)
class Fit:
    """Coefficients, their uncertainty, and the heterogeneity of a fitted model.

    Parameters
    ----------
    b, se, low, high, statistic, p
        Coefficients with standard errors, interval, test statistic and two-sided p; shape (m,).
    vcov
        Covariance matrix of the coefficients, shape (m, m).
    df
        Degrees of freedom of the t distribution, or `None` for the normal. Kenward-Roger with
        moderators: those of the first coefficient, `dfs` has them all.
    dfs
        Degrees of freedom of each coefficient, shape (m,); `None` for the normal.
    tau2, tau2_se
        Between-study variance and its standard error (`None` where the method has none).
    q, q_df, q_p
        Cochran's Q of the residuals with weights ``1/vi``.
    i2, h2
        Per cent of variance between studies and its ratio to sampling variance, both from `tau2`
        (Higgins and Thompson 2002); for a common-effect model from Q.
    scale
        Factor by which the variance was multiplied (Hartung-Knapp), else 1.
    """

    studies: Studies
    weighted: Weighted
    model: str
    method: str
    test: str
    floor: str
    level: float
    b: Array
    se: Array
    vcov: Array
    df: float | None
    dfs: Array | None
    statistic: Array
    p: Array
    low: Array
    high: Array
    classic_se: Array
    tau2: float
    tau2_se: float | None
    q: float
    q_df: int
    q_p: float
    i2: float
    h2: float
    typical_v: float
    scale: float

    @property
    def k(self) -> int:
        """Number of studies."""
        return self.studies.k

    @property
    def weights(self) -> Array:
        """Weight of each study in per cent."""
        return 100 * self.weighted.w / self.weighted.w.sum()

    @property
    def log_likelihoods(self) -> tuple[float, float]:
        """Full and restricted log-likelihood on the original scale."""
        data = self.studies
        best = data.at(self.tau2 / data.unit)
        lost = (float(best.w @ self.weighted.residual**2) - best.rss) / 2
        full, restricted = (item - lost for item in best.log_likelihoods)
        constant = np.log(2 * np.pi * data.unit) / 2
        return full - data.k * constant, restricted - data.df * constant


def fit(
    yi: ArrayLike,
    vi: ArrayLike,
    x: ArrayLike | None = None,
    *,
    model: str = "random",
    tau2: str | float = "REML",
    test: str = "hartung_knapp",
    floor: str = "none",
    level: float = 0.95,
    weights: ArrayLike | None = None,
) -> Fit:
    """Fit a common-effect, random-effects or mixed-effects model.

    Parameters
    ----------
    yi, vi
        Effects and sampling variances, shape (k,).
    x
        Moderators including the column of ones, shape (k, m); only that column when absent.
    model
        ``random`` or ``common``.
    tau2
        An estimator of `heterogeneity.METHODS`, or the between-study variance itself.
    test, floor
        One of `TESTS` and, for Hartung-Knapp, one of `FLOORS` (see `pool`).
    level
        Coverage of the intervals.
    weights
        Fixed weights in place of inverse-variance weights, shape (k,); not for Kenward-Roger, which
        is about the latter.

    Raises
    ------
    DataError
        If a choice is unknown or the numbers cannot be fitted (see `weighting.studies`).
    """
    _check_choices(model, test, floor, level)
    if weights is not None and test == "kenward_roger":
        raise DataError("kenward_roger is for inverse-variance weights; leave out `weights`.")
    data = studies(yi, vi, x)
    method = "none" if model == "common" else str(tau2)
    between, between_se = _between(data, model, tau2)
    weighted = data.at(between) if weights is None else data.weighted(np.asarray(weights, float))
    vcov = _covariance(data, weighted, between)
    inference = _inference(data, weighted, between, vcov, test, floor, level)
    measures = _heterogeneity(data, between, model)
    return Fit(
        studies=data,
        weighted=weighted,
        model=model,
        method=method,
        level=level,
        tau2=between * data.unit,
        tau2_se=None if between_se is None else between_se * data.unit,
        **inference,
        **measures,
    )


def _check_choices(model: str, test: str, floor: str, level: float) -> None:
    choices = (
        ("model", model, ("random", "common")),
        ("test", test, TESTS),
        ("floor", floor, FLOORS),
    )
    for name, value, allowed in choices:
        if value not in allowed:
            raise DataError(f"{name} must be one of {', '.join(allowed)}; got {value!r}.")
    check_level(level)


def check_level(level: float) -> None:
    """Refuse a coverage that is no share.

    Raises
    ------
    DataError
        If `level` does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise DataError(f"level must lie between 0 and 1; got {level}. Write 95 % as 0.95.")


def _between(data: Studies, model: str, tau2: str | float) -> tuple[float, float | None]:
    if model == "common":
        return 0.0, None
    if isinstance(tau2, str):
        return heterogeneity.estimate(data, tau2)
    if not (np.isfinite(tau2) and tau2 >= 0):
        raise DataError(f"a given tau2 must be 0 or more; got {tau2}.")
    return float(tau2) / data.unit, None


def _covariance(data: Studies, weighted: Weighted, tau2: float) -> Array:
    """Return the covariance of the coefficients on the original scale of moderators."""
    left = np.linalg.inv(data.r) @ weighted.inverse
    meat = (data.q * (weighted.w**2 * (data.v + tau2))[:, None]).T @ data.q
    return np.asarray(left @ meat @ left.T) * data.unit


def _inference(
    data: Studies,
    weighted: Weighted,
    tau2: float,
    vcov: Array,
    test: str,
    floor: str,
    level: float,
) -> dict[str, Any]:
    b = np.linalg.solve(data.r, weighted.coefficients) * np.sqrt(data.unit)
    classic_se = np.sqrt(np.diag(vcov))
    scale, dfs = 1.0, None
    if test != "z" and data.df > 0:
        dfs = np.full(data.p, float(data.df))
    if test == "hartung_knapp" and data.df > 0:
        scale = _hartung_knapp_scale(data, weighted, tau2, classic_se, floor, level)
    if test == "kenward_roger" and data.df > 0:
        vcov, dfs = _kenward_roger(data, weighted, vcov)
    se = np.sqrt(scale * np.diag(vcov))
    upper = 1 - (1 - level) / 2
    classic_wider = quantile(upper, None) * classic_se > _quantiles(upper, dfs) * se
    if floor == "interval" and test == "hartung_knapp" and bool(np.any(classic_wider)):
        se, dfs, scale = classic_se, None, 1.0
    half = _quantiles(upper, dfs) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = b / se
    return {
        "b": b,
        "se": se,
        "vcov": scale * vcov,
        "classic_se": classic_se,
        "df": None if dfs is None else float(dfs[0]),
        "dfs": dfs,
        "statistic": statistic,
        "p": two_sided(statistic, dfs),
        "low": b - half,
        "high": b + half,
        "scale": scale,
        "test": test if dfs is not None else "z",
        "floor": floor,
    }


def _hartung_knapp_scale(
    data: Studies, weighted: Weighted, tau2: float, classic_se: Array, floor: str, level: float
) -> float:
    residual = weighted.residual
    scale = float((data.at(tau2).w * residual) @ residual) / data.df
    if floor == "scale":
        return max(1.0, scale)
    if floor == "iqwig6" and _narrower_than_dl(data, np.sqrt(scale) * classic_se, level):
        return max(1.0, scale)
    return scale


def _narrower_than_dl(data: Studies, se: Array, level: float) -> bool:
    """Whether the interval is narrower than the classic one with the DerSimonian-Laird variance."""
    tau2, _ = heterogeneity.dersimonian_laird(data)
    classic = np.sqrt(np.diag(_covariance(data, data.at(tau2), tau2)))
    upper = 1 - (1 - level) / 2
    return bool(np.any(quantile(upper, data.df) * se < quantile(upper, None) * classic))


def _kenward_roger(data: Studies, weighted: Weighted, vcov: Array) -> tuple[Array, Array]:
    """Return the adjusted covariance and the degrees of freedom of each coefficient.

    Kenward and Roger 1997 (Biometrics 53:983-997) with expected information. One pooled effect has
    the degrees of freedom that Partlett and Riley 2017 (Statistics in Medicine 36:301-317) wrote
    out, with the adjusted variance; with moderators they are the original ones, which are exact
    where all studies have the same variance.
    """
    variance_of_tau2 = 2 / weighted.trace_pp
    first, second = _information_slopes(data, weighted)
    plain = weighted.inverse
    adjusted = plain + 2 * variance_of_tau2 * plain @ (second - first @ plain @ first) @ plain
    back = np.linalg.inv(data.r)
    covariance = back @ adjusted @ back.T * data.unit
    if data.p == 1:
        share = float(adjusted[0, 0] * first[0, 0])
        return covariance, np.array([2 / (variance_of_tau2 * share**2)])
    slopes = back @ (plain @ first @ plain) @ back.T * data.unit
    shares = np.diag(slopes) / np.diag(vcov)
    return covariance, 2 / (variance_of_tau2 * shares**2)


def _information_slopes(data: Studies, weighted: Weighted) -> tuple[Array, Array]:
    """Return ``Q'W^2Q`` and ``Q'W^3Q``."""
    q, w = data.q, weighted.w
    return (q * (w**2)[:, None]).T @ q, (q * (w**3)[:, None]).T @ q


def kenward_roger_omnibus(fitted: Fit, which: Sequence[int]) -> tuple[float, float]:
    """Return the scaled F statistic of some coefficients and its denominator degrees of freedom.

    Kenward and Roger 1997, section 3: both moments of F are matched.
    """
    data, weighted = fitted.studies, fitted.weighted
    first, _ = _information_slopes(data, weighted)
    back = np.linalg.inv(data.r)[list(which)]
    plain = back @ weighted.inverse @ back.T
    slopes = back @ weighted.inverse @ first @ weighted.inverse @ back.T
    shares = np.linalg.solve(plain, slopes)
    variance, m = 2 / weighted.trace_pp, len(which)
    a1, a2 = variance * np.trace(shares) ** 2, variance * float(np.sum(shares * shares.T))
    half = (a1 + 6 * a2) / (2 * m)
    g = ((m + 1) * a1 - (m + 4) * a2) / ((m + 2) * a2)
    c = np.array([g, m - g, m + 2 - g]) / (3 * m + 2 * (1 - g))
    mean = 1 / (1 - a2 / m)
    spread = 2 / m * (1 + c[0] * half) / ((1 - c[1] * half) ** 2 * (1 - c[2] * half))
    df = 4 + (m + 2) / (m * spread / (2 * mean**2) - 1)
    scale = df / (mean * (df - 2))
    b, vcov = fitted.b[list(which)], fitted.vcov[np.ix_(list(which), list(which))]
    return float(scale * (b @ np.linalg.solve(vcov, b)) / m), float(df)


def _heterogeneity(data: Studies, tau2: float, model: str) -> dict[str, Any]:
    common = data.at(0.0)
    q, df = (common.rss, data.df) if data.df else (0.0, 0)
    typical = df / common.trace_p if df else 1.0
    h2 = 1 + tau2 / typical
    i2 = 100 * tau2 / (tau2 + typical)
    if model == "common" and df:
        h2 = q / df
        i2 = max(0.0, 100 * (q - df) / q) if q > 0 else 0.0
    return {
        "q": q,
        "q_df": df,
        "q_p": float(special.chdtrc(df, q)) if df else 1.0,
        "i2": i2,
        "h2": h2,
        "typical_v": typical * data.unit,
    }


def quantile(probability: float, df: float | None) -> float:
    """Return the quantile of the t distribution, or of the normal when `df` is `None`."""
    if df is None:
        return float(special.ndtri(probability))
    return float(special.stdtrit(df, probability))


def _quantiles(probability: float, dfs: Array | None) -> Array:
    if dfs is None:
        return np.asarray(special.ndtri(probability))
    return np.asarray(special.stdtrit(dfs, probability))


def two_sided(statistic: Array, df: float | Array | None) -> Array:
    """Return the two-sided p value of a t or normal statistic."""
    if df is None:
        return np.asarray(2 * special.ndtr(-np.abs(statistic)))
    return np.asarray(2 * special.stdtr(df, -np.abs(statistic)))


def prediction_interval(fitted: Fit, variant: str = "t_k_minus_1") -> tuple[float, float] | None:
    """Return the interval for the true effect of a new study, or `None` if it is not defined.

    Parameters
    ----------
    fitted
        A model without moderators.
    variant
        ``t_k_minus_1``, ``t_k_minus_2`` and ``normal`` use the standard error of the fit's test;
        ``HTS_k_minus_2`` (Higgins, Thompson and Spiegelhalter 2009) and ``classic_k_minus_1`` the
        classic one; ``KR`` and ``KR_PR`` the Kenward-Roger standard error with
        its degrees of freedom or one fewer (Nagashima, Noma
        and Furukawa 2019 for the family).

    Raises
    ------
    DataError
        If the variant is unknown.
    """
    if variant not in PREDICTIONS:
        raise DataError(f"prediction must be one of {', '.join(PREDICTIONS)}; got {variant!r}.")
    se, df = float(fitted.se[0]), None
    if variant in ("HTS_k_minus_2", "classic_k_minus_1"):
        se = float(fitted.classic_se[0])
    if variant.startswith("KR") and fitted.studies.df:
        vcov, dfs = _kenward_roger(fitted.studies, fitted.weighted, fitted.classic_se[:, None] ** 2)
        se, df = float(np.sqrt(vcov[0, 0])), float(dfs[0]) - (variant == "KR_PR")
    if variant.endswith("k_minus_1"):
        df = fitted.k - 1
    if variant.endswith("k_minus_2"):
        df = fitted.k - 2
    if fitted.model == "common" or (df is not None and df <= 0) or fitted.k < 2:
        return None
    half = quantile(1 - (1 - fitted.level) / 2, df) * float(np.sqrt(fitted.tau2 + se**2))
    if not np.isfinite(half):
        return None
    return float(fitted.b[0]) - half, float(fitted.b[0]) + half


def tau2_interval(fitted: Fit, kind: str = "Q_profile") -> tuple[float, float] | None:
    """Return an interval for the between-study variance, or `None` for fewer than two studies.

    Parameters
    ----------
    kind
        ``Q_profile``, ``profile_likelihood`` or ``generalised_Q`` (weights ``1/vi``).

    Raises
    ------
    DataError
        If the kind is unknown.
    """
    data = fitted.studies
    kinds = ("Q_profile", "profile_likelihood", "generalised_Q")
    if kind not in kinds:
        raise DataError(f"tau2_interval must be one of {', '.join(kinds)}; got {kind!r}.")
    if data.df < 1 or fitted.model == "common":
        return None
    if kind == "Q_profile":
        low, high = heterogeneity.q_profile(data, fitted.level)
    elif kind == "generalised_Q":
        low, high = heterogeneity.generalised_q_interval(data, fitted.level)
    else:
        low, high = heterogeneity.profile_likelihood(
            data, fitted.tau2 / data.unit, fitted.level, restricted=fitted.method != "ML"
        )
    return low * data.unit, high * data.unit


def q_based(fitted: Fit) -> dict[str, tuple[float, float, float]]:
    """Return I² (per cent) and H from Q with test-based intervals.

    Higgins and Thompson 2002 (Statistics in Medicine 21:1539-1558), section 4: the interval of
    ``ln H`` uses one of two standard errors, according to whether Q exceeds the number of studies.
    """
    q, df, k = fitted.q, fitted.q_df, fitted.k
    if df < 1:
        return {"H": (1.0, 1.0, 1.0), "I2": (0.0, 0.0, 0.0)}
    h = max(1.0, float(np.sqrt(q / df)))
    error = _log_h_error(q, k)
    step = quantile(1 - (1 - fitted.level) / 2, None) * error
    limits = (h, max(1.0, h * np.exp(-step)), max(1.0, h * np.exp(step)))
    value, low, high = (100 * (1 - 1 / item**2) for item in limits)
    return {"H": limits, "I2": (value, low, high)}


def _log_h_error(q: float, k: int) -> float:
    if q > k:
        return float(0.5 * (np.log(q) - np.log(k - 1)) / (np.sqrt(2 * q) - np.sqrt(2 * k - 3)))
    if k < 3:
        return float("nan")
    return float(np.sqrt(1 / (2 * (k - 2)) * (1 - 1 / (3 * (k - 2) ** 2))))
