"""How much more figures differ between areas than chance alone would make them.

Figures are compared on a scale on which chance has the same size everywhere; z is the distance
from the target there, in standard errors.
Spiegelhalter, Qual Saf Health Care 2005;14:347-351 (winsorised z, dispersion ratio φ);
Spiegelhalter, Stat Med 2005;24:1185-1202 (funnel limits, additive τ²).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from evidence.errors import DataError, require_choice

TRIM = 0.1
"""Share of areas at either end whose z-scores are pulled in (Spiegelhalter 2005)."""

Array = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """Figures on the scale on which chance has a known size.

    Parameters
    ----------
    y, s
        Transformed figure and its standard error by chance alone, shape (n,).
    target
        The transformed comparator.
    back
        From the scale back to the natural one (a fraction, rate or ratio), never out of range.
    slope
        Change of the natural figure per unit of the scale, at the target.
    limit_s
        Standard error that the target itself implies, for limits around it; `s` on the scales
        where the two are one.
    """

    y: Array
    s: Array
    target: float
    back: Callable[[Array], Array]
    slope: float
    limit_s: Array

    @property
    def z(self) -> Array:
        """Distance from the target in standard errors."""
        return (self.y - self.target) / self.s


SCALES = ("arcsine", "sqrt", "log", "log_counts")


def scaled(numerator: Array, denominator: Array, target: float, scale: str) -> Scaled:
    """Return figures on a variance-stabilising scale.

    Parameters
    ----------
    numerator, denominator
        Counts, or observed and expected, shape (n,).
    target
        The comparator on the natural scale.
    scale
        ``arcsine`` for proportions; ``sqrt`` or ``log`` for observed over expected and rates
        (``log`` puts zero events at minus infinity); ``log_counts`` for the ratio of two counts,
        half an event added to each (Spiegelhalter, Stat Med 2005, section 2.3).

    Raises
    ------
    DataError
        If the scale is unknown or the target is out of its range.
    """
    require_choice(scale, SCALES, "scale")
    _check_target(target, scale)
    return _SCALES[scale](np.asarray(numerator, float), np.asarray(denominator, float), target)


def _check_target(target: float, scale: str) -> None:
    top = 1.0 if scale == "arcsine" else np.inf
    if not 0 < target < top:
        raise DataError(
            f"the comparator must lie between 0 and {top:g} for the scale {scale!r}; got {target}. "
            "Nothing can be judged where no area, or every person, has the outcome."
        )


def _arcsine(x: Array, n: Array, target: float) -> Scaled:
    error = 1 / (2 * np.sqrt(n))
    return Scaled(
        y=np.arcsin(np.sqrt(x / n)),
        s=error,
        target=float(np.arcsin(np.sqrt(target))),
        back=lambda y: np.sin(np.clip(y, 0, np.pi / 2)) ** 2,
        slope=2 * np.sqrt(target * (1 - target)),
        limit_s=error,
    )


def _sqrt(x: Array, n: Array, target: float) -> Scaled:
    expected = n * target
    error = 1 / (2 * np.sqrt(expected))
    return Scaled(
        y=np.sqrt(x / expected),
        s=error,
        target=1.0,
        back=lambda y: target * np.maximum(y, 0) ** 2,
        slope=2 * target,
        limit_s=error,
    )


def _log(x: Array, n: Array, target: float) -> Scaled:
    expected = n * target
    error = 1 / np.sqrt(expected)
    with np.errstate(divide="ignore"):
        y = np.log(x / expected)
    return Scaled(
        y=y,
        s=error,
        target=0.0,
        back=lambda y: target * np.exp(y),
        slope=target,
        limit_s=error,
    )


def _log_counts(x: Array, n: Array, target: float) -> Scaled:
    return Scaled(
        y=np.log((x + 0.5) / (n + 0.5)),
        s=np.sqrt(x / (x + 0.5) ** 2 + n / (n + 0.5) ** 2),
        target=float(np.log(target)),
        back=np.exp,
        slope=target,
        limit_s=np.sqrt((1 + 1 / target) / n),
    )


_SCALES = {"arcsine": _arcsine, "sqrt": _sqrt, "log": _log, "log_counts": _log_counts}


@dataclass(frozen=True, slots=True, eq=False)
class Dispersion:
    """The dispersion ratio and what is added to the variance of every area because of it.

    Parameters
    ----------
    phi
        Mean of z² after winsorising or truncating; 1 when chance explains everything.
    tau2
        Additive variance between areas, on the scale.
    z
        The z-scores used, NaN where truncated.
    trim
        Share at either end that was treated.
    """

    phi: float
    tau2: float
    z: Array
    trim: float


def dispersion(figures: Scaled, *, trim: float = TRIM, method: str = "winsorise") -> Dispersion:
    """Return the dispersion ratio φ and the additive variance τ² of areas.

    Parameters
    ----------
    figures
        Figures on their scale.
    trim
        Share at either end that is treated.
    method
        ``winsorise`` (default) pulls the ends in to the quantiles, ``truncate`` leaves them out,
        ``none`` takes all as they are.

    Returns
    -------
    Dispersion
        With ``tau2`` 0 where φ is no larger than chance makes it.

    Raises
    ------
    DataError
        If the method is unknown, or an area without events stands at minus infinity.

    References
    ----------
    Spiegelhalter 2005 (see the module); τ² as by DerSimonian and Laird, with the treated z.
    """
    require_choice(method, ("winsorise", "truncate", "none"), "method")
    infinite = int(np.isinf(figures.z).sum())
    if infinite and method != "truncate":
        raise DataError(
            f"a dispersion ratio needs events in every area; {infinite} have none, which a "
            "logarithm cannot hold. Use the scale 'sqrt', or method 'truncate'."
        )
    low, high = np.quantile(figures.z, [trim, 1 - trim])
    outside = (figures.z < low) | (figures.z > high)
    if method == "winsorise":
        z = np.clip(figures.z, low, high)
    else:
        z = np.where(outside & (method == "truncate"), np.nan, figures.z)
    kept = ~np.isnan(z)
    weight = 1 / figures.s[kept] ** 2
    units = int(kept.sum())
    phi = float(np.sum(z[kept] ** 2) / units)
    spread = weight.sum() - (weight**2).sum() / weight.sum()
    excess = units * phi - (units - 1)
    return Dispersion(phi, max(0.0, excess / spread) if spread > 0 else 0.0, z, trim)


def between_sd(figures: Scaled, level: float = 0.95) -> tuple[float, float, float]:
    """Return the standard deviation between areas with its interval, on the scale.

    Parameters
    ----------
    figures
        Figures on their scale; at least two areas.
    level
        Coverage of the interval.

    Returns
    -------
    tuple of float
        Estimate, lower and upper limit. The estimate makes the generalised Q equal its
        expectation, the limits its quantiles, so the interval always holds the estimate.

    References
    ----------
    Paule and Mandel, J Res Natl Bur Stand 1982;87:377-385 (estimate);
    Viechtbauer, Stat Med 2007;26:37-52, section 3.1 (Q-profile interval).
    """
    df = len(figures.y) - 1
    tail = (1 - level) / 2
    aims = (df, stats.chi2.isf(tail, df), stats.chi2.ppf(tail, df))
    estimate, low, high = (float(np.sqrt(_tau2_where_q_is(figures, aim))) for aim in aims)
    return estimate, low, max(high, estimate)


def _tau2_where_q_is(figures: Scaled, aim: float) -> float:
    variance = figures.s**2

    def excess(tau2: float) -> float:
        weight = 1 / (variance + tau2)
        mean = np.sum(weight * figures.y) / weight.sum()
        return float(np.sum(weight * (figures.y - mean) ** 2) - aim)

    if excess(0.0) <= 0:
        return 0.0
    top = float(variance.max())
    while excess(top) > 0:
        top *= 4
    return float(optimize.brentq(excess, 0.0, top, xtol=1e-15, rtol=1e-12))


@dataclass(frozen=True, slots=True, eq=False)
class Shrunken:
    """Figures pulled towards the target by as much as they are noise, on the natural scale.

    Parameters
    ----------
    value, low, high
        Estimate and interval of each area.
    signal
        Share of the distance from the target that is signal: τ² / (τ² + s²).
    """

    value: Array
    low: Array
    high: Array
    signal: Array


def shrink(figures: Scaled, tau: float, level: float = 0.95) -> Shrunken:
    """Return empirical-Bayes estimates under a normal distribution of areas about the target.

    Parameters
    ----------
    figures
        Figures on their scale.
    tau
        Standard deviation between areas on the scale; 0 pulls every area to the target.
    level
        Coverage of the intervals, which take `tau` and the target as known.

    References
    ----------
    Efron and Morris, J Am Stat Assoc 1975;70:311-319, with additive variance τ².
    """
    signal = tau**2 / (tau**2 + figures.s**2)
    y = figures.target + signal * (figures.y - figures.target)
    half = stats.norm.isf((1 - level) / 2) * np.sqrt(signal) * figures.s
    return Shrunken(figures.back(y), figures.back(y - half), figures.back(y + half), signal)
