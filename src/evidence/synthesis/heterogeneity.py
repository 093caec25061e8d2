"""Between-study variance: estimators, standard errors and intervals.

All functions take `Studies` on the standardised scale and return values on that scale.
Likelihood estimators look for every maximum, the boundary at 0 included, because a restricted
likelihood can have several; moment estimators are cut off at 0.

Sources: Veroniki et al. 2016 (Research Synthesis Methods 7:55-79) for the estimators and
intervals; Viechtbauer 2005 (Journal of Educational and Behavioral Statistics 30:261-293) for the
likelihoods; Viechtbauer 2007 (Statistics in Medicine 26:37-52) for the Q-profile interval; Jackson
2013 (Research Synthesis Methods 4:220-229) for the generalised Q interval.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, stats

from evidence.errors import DataError
from evidence.synthesis.quadratic import weighted_chi2_cdf
from evidence.synthesis.weighting import Array, Studies, Weighted

GRID = np.concatenate([[0.0], np.logspace(-7, 12, 58)])
"""Where the score is looked at first, in multiples of the median sampling variance."""

GRID_CELLS = 2_000_000
"""Most grid points times studies held in memory at once."""

Estimate = tuple[float, float | None]


def estimate(studies: Studies, method: str) -> Estimate:
    """Return the between-study variance and its standard error by one of `METHODS`.

    Raises
    ------
    DataError
        If the method is unknown.
    """
    if method not in METHODS:
        raise DataError(f"tau2 must be one of {', '.join(METHODS)}; got {method!r}.")
    if studies.df == 0:
        return 0.0, None
    return METHODS[method](studies)


def restricted_likelihood(studies: Studies) -> Estimate:
    """Return the REML estimate; standard error from the expected information."""
    tau2 = _best_maximum(studies, restricted=True)
    return tau2, float(np.sqrt(2 / studies.at(tau2).trace_pp))


def maximum_likelihood(studies: Studies) -> Estimate:
    """Return the ML estimate; standard error from the expected information."""
    tau2 = _best_maximum(studies, restricted=False)
    return tau2, float(np.sqrt(2 / np.sum(studies.at(tau2).w ** 2)))


def _score(studies: Studies, tau2: float, restricted: bool) -> float:
    """Return twice the derivative of the log-likelihood."""
    if studies.p == 1:
        return _score_of_mean(studies, tau2, restricted)
    fit = studies.at(tau2)
    trace = fit.trace_p if restricted else float(fit.w.sum())
    return float(fit.py @ fit.py) - trace


def _score_of_mean(studies: Studies, tau2: float, restricted: bool) -> float:
    w = 1.0 / (studies.v + tau2)
    total = float(w.sum())
    py = w * (studies.y - float(w @ studies.y) / total)
    trace = total - float(w @ w) / total if restricted else total
    return float(py @ py) - trace


def _scores(studies: Studies, grid: Array, restricted: bool) -> Array:
    """Return the score at every point of a grid, in pieces that fit the memory."""
    pieces = max(1, studies.k * len(grid) // GRID_CELLS)
    return np.concatenate(
        [_scores_at_once(studies, piece, restricted) for piece in np.array_split(grid, pieces)]
    )


def _scores_at_once(studies: Studies, grid: Array, restricted: bool) -> Array:
    y, q, p = studies.y, studies.q, studies.p
    w = 1.0 / (studies.v + grid[:, None])
    squares = (q[:, :, None] * q[:, None, :]).reshape(len(y), p * p)
    information = (w @ squares).reshape(-1, p, p)
    b = np.linalg.solve(information, (w @ (q * y[:, None]))[:, :, None])[:, :, 0]
    trace = w.sum(axis=1)
    if restricted:
        second = (w**2 @ squares).reshape(-1, p, p)
        trace = trace - np.trace(np.linalg.solve(information, second), axis1=1, axis2=2)
    return np.asarray(((w * (y - b @ q.T)) ** 2).sum(axis=1) - trace)


def _best_maximum(studies: Studies, *, restricted: bool) -> float:
    """Return the highest of all local maxima of the likelihood on [0, inf)."""
    grid = GRID[: np.searchsorted(GRID, _upper_bound(studies)) + 1]
    scores = _scores(studies, grid, restricted)
    falls = np.flatnonzero((scores[:-1] > 0) & (scores[1:] <= 0))
    found = [_root(studies, float(grid[at]), float(grid[at + 1]), restricted) for at in falls]
    found += [0.0] if scores[0] <= 0 else []
    if len(found) == 1:
        return found[0]
    return max(found, key=lambda tau2: studies.at(tau2).log_likelihoods[restricted])


def _upper_bound(studies: Studies) -> float:
    """Return a variance above every root of the score."""
    spread = float(np.ptp(studies.weighted(np.ones(studies.k)).residual))
    return 2 * spread**2 * studies.k / studies.df + 10


def _root(studies: Studies, low: float, high: float, restricted: bool) -> float:
    found = optimize.brentq(
        lambda tau2: _score(studies, tau2, restricted), low, high, xtol=1e-14, rtol=1e-14
    )
    return float(found)


def paule_mandel(studies: Studies) -> Estimate:
    """Return the variance at which the generalised Q equals its degrees of freedom.

    The empirical Bayes and the iterated DerSimonian-Laird estimates have the same fixed point,
    so they are found here too instead of by iterations that can fail.
    """
    tau2 = q_equals(studies, studies.df)
    return tau2, _error_at_root(studies, tau2)


def _error_at_root(studies: Studies, tau2: float) -> float:
    weight = float(studies.at(tau2).w.sum())
    return float(np.sqrt(2 * studies.k**2 / studies.df)) / weight


def median_paule_mandel(studies: Studies) -> Estimate:
    """Return the variance at which the generalised Q equals its median."""
    tau2 = q_equals(studies, float(stats.chi2.median(studies.df)))
    return tau2, _error_at_root(studies, tau2)


def q_equals(studies: Studies, target: float) -> float:
    """Return the variance at which the generalised Q equals `target`; 0 if it is below at 0.

    Q falls and is convex in the variance, so Newton's method from 0 approaches from the left.
    """
    tau2 = 0.0
    for _ in range(500):
        fit = studies.at(tau2)
        slope = float(fit.py @ fit.py)
        if fit.rss <= target or slope == 0:
            break
        step = (fit.rss - target) / slope
        if step <= 1e-15 * tau2:
            break
        tau2 += step
    return tau2


def generalised_q(studies: Studies, weights: Array) -> Estimate:
    """Return the moment estimate with fixed weights (DerSimonian and Kacker 2007)."""
    fit = studies.weighted(weights)
    expected, _ = fit.trace_with(studies.v)
    tau2 = max(0.0, (fit.rss - expected) / fit.trace_p)
    return tau2, _moment_error(studies, fit, tau2)


def _moment_error(studies: Studies, fit: Weighted, tau2: float) -> float:
    _, spread = fit.trace_with(studies.v + tau2)
    return float(np.sqrt(2 * spread)) / fit.trace_p


def dersimonian_laird(studies: Studies) -> Estimate:
    """Return the moment estimate with inverse-variance weights, not below 0."""
    return generalised_q(studies, 1 / studies.v)


def hedges(studies: Studies) -> Estimate:
    """Return the moment estimate with equal weights (Hedges and Olkin), not below 0."""
    return generalised_q(studies, np.ones(studies.k))


def hunter_schmidt(studies: Studies) -> Estimate:
    """Return the Hunter-Schmidt estimate, not below 0."""
    fit = studies.weighted(1 / studies.v)
    weight = float(fit.w.sum())
    tau2 = max(0.0, (fit.rss - studies.k) / weight)
    _, spread = fit.trace_with(studies.v + tau2)
    return tau2, float(np.sqrt(2 * spread)) / weight


def hunter_schmidt_corrected(studies: Studies) -> Estimate:
    """Return the Hunter-Schmidt estimate with a small-sample correction, not below 0."""
    fit = studies.weighted(1 / studies.v)
    weight, ratio = float(fit.w.sum()), studies.k / studies.df
    tau2 = max(0.0, ratio * (fit.rss - studies.df) / weight)
    _, spread = fit.trace_with(studies.v + tau2)
    return tau2, ratio * float(np.sqrt(2 * spread)) / weight


def sidik_jonkman(studies: Studies) -> Estimate:
    """Return the Sidik-Jonkman estimate, which is positive unless all effects are equal."""
    start = float(np.var(studies.y))
    if start == 0:
        return 0.0, 0.0
    fit = studies.at(start)
    tau2 = start * fit.rss / studies.df
    _, spread = fit.trace_with(studies.v + tau2)
    return tau2, start * float(np.sqrt(2 * spread)) / studies.df


def generalised_q_median(studies: Studies) -> Estimate:
    """Return the variance at which the observed generalised Q (weights 1/v) is its median."""
    tau2 = generalised_q_quantile(studies, 0.5)
    return tau2, _moment_error(studies, studies.weighted(1 / studies.v), tau2)


def generalised_q_quantile(studies: Studies, probability: float) -> float:
    """Return the variance at which the observed Q has this lower tail probability, or 0.

    Raises no error: where even no heterogeneity makes the observed Q too likely, it is 0.
    """
    fit = studies.weighted(1 / studies.v)
    excess = _tail(studies, probability, fit.rss)
    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 4
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-13, rtol=1e-13))


def _tail(studies: Studies, probability: float, observed: float) -> Callable[[float], float]:
    """Return P(Q <= observed) - probability as a function of the variance."""
    root = np.sqrt(1 / studies.v)
    base = studies.q * root[:, None]
    orthogonal = np.linalg.qr(base, mode="complete")[0][:, studies.p :]

    def excess(tau2: float) -> float:
        spread = 1 + tau2 / studies.v
        eigenvalues = np.linalg.eigvalsh((orthogonal * spread[:, None]).T @ orthogonal)
        return weighted_chi2_cdf(observed, eigenvalues) - probability

    return excess


def q_profile(studies: Studies, level: float) -> tuple[float, float]:
    """Return the Q-profile interval; both limits are 0 when even no heterogeneity is too much."""
    tail = (1 - level) / 2
    low = q_equals(studies, float(stats.chi2.ppf(1 - tail, studies.df)))
    high = q_equals(studies, float(stats.chi2.ppf(tail, studies.df)))
    return low, high


def generalised_q_interval(studies: Studies, level: float) -> tuple[float, float]:
    """Return the interval by inverting the distribution of the generalised Q, weights 1/v."""
    tail = (1 - level) / 2
    low = generalised_q_quantile(studies, 1 - tail)
    return low, generalised_q_quantile(studies, tail)


def profile_likelihood(
    studies: Studies, tau2: float, level: float, *, restricted: bool = True
) -> tuple[float, float]:
    """Return the variances whose log-likelihood is within half a chi-square of that of `tau2`."""

    def drop(value: float) -> float:
        return top - studies.at(value).log_likelihoods[restricted] - allowed

    allowed = float(stats.chi2.ppf(level, 1)) / 2
    top = studies.at(tau2).log_likelihoods[restricted]
    low = 0.0 if tau2 == 0 or drop(0.0) <= 0 else _bisect(drop, 0.0, tau2)
    high = 2 * tau2 + 1
    while drop(high) < 0:
        high *= 2
    return low, _bisect(drop, tau2, high)


def _bisect(function: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.brentq(function, low, high, xtol=1e-14, rtol=1e-13))


METHODS: dict[str, Callable[[Studies], Estimate]] = {
    "REML": restricted_likelihood,
    "ML": maximum_likelihood,
    "DL": dersimonian_laird,
    "PM": paule_mandel,
    "EB": paule_mandel,
    "HE": hedges,
    "HS": hunter_schmidt,
    "HSk": hunter_schmidt_corrected,
    "SJ": sidik_jonkman,
    "PMM": median_paule_mandel,
    "GENQ": dersimonian_laird,
    "GENQM": generalised_q_median,
    "DLIT": paule_mandel,
}
"""Estimators of the between-study variance by the names that the field uses."""
