"""Likelihoods of counts with one normal effect per study, integrated and maximised.

The conditional models of Stijnen, Hamza and Ozdemir 2010 (Statistics in Medicine 29:3046-3067):
given all events of a study those of group 1 follow a noncentral hypergeometric distribution, or
nearly a binomial one where events are rare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize, special

from evidence.synthesis.rare import Counts
from evidence.synthesis.weighting import Array

Terms = Callable[[Array], tuple[Array, Array, Array]]
"""Effects of shape (k, m) to log-likelihood, score and information, each of that shape."""

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
TIGHT = {"xatol": 1e-7, "fatol": 1e-9, "maxiter": 2000}
NO_SPREAD = 1e-4
"""A standard deviation of effects below this is 0."""

NO_LOG_SPREAD = -20.0
"""Logarithm of a standard deviation that is as good as 0."""

LOG_SPREADS = np.linspace(-6.0, 1.5, 16)
"""Where a spread is looked for first."""

BIGGEST_STEP = 2.0
FAR = 30.0
"""An effect of this size (log scale) is as good as infinite."""


@dataclass(frozen=True, slots=True)
class ModelFit:
    """What a likelihood of counts gives.

    Parameters
    ----------
    mu, se
        Effect on the analysis scale (log odds, log odds ratio or log rate ratio) with its error.
    tau2
        Variance of the effects between studies; `None` for the beta-binomial, see `correlation`.
    log_likelihood
        At the maximum, without constants of the data.
    wald, likelihood_ratio, df
        Tests that all studies have one effect, and their degrees of freedom; `None` where the model
        has no such test.
    correlation
        Intra-study correlation of the beta-binomial, else `None`.
    """

    mu: float
    se: float
    tau2: float | None
    log_likelihood: float
    wald: float | None = None
    likelihood_ratio: float | None = None
    df: int = 0
    correlation: float | None = None

    def tested(self, wald: float, likelihood_ratio: float, df: int) -> ModelFit:
        """Return the fit with the tests that all studies have one effect."""
        return replace(self, wald=wald, likelihood_ratio=max(0.0, likelihood_ratio), df=df)


def binomial_terms(events: Array, trials: Array, offset: Array | float = 0.0) -> Terms:
    """Return the log-likelihood of ``events ~ Binomial(trials, logit(offset + effect))``."""
    x, n = events[:, None], trials[:, None]
    shift = np.broadcast_to(np.asarray(offset, float), events.shape)[:, None]

    def terms(effect: Array) -> tuple[Array, Array, Array]:
        eta = shift + effect
        p = special.expit(eta)
        return x * eta - n * np.logaddexp(0, eta), x - n * p, n * p * (1 - p)

    return terms


def poisson_terms(events: Array, times: Array) -> Terms:
    """Return the log-likelihood of ``events ~ Poisson(times * exp(effect))``."""
    x, time = events[:, None], times[:, None]

    def terms(effect: Array) -> tuple[Array, Array, Array]:
        expected = time * np.exp(effect)
        return x * effect - expected, x - expected, expected

    return terms


def hypergeometric_terms(t: Counts) -> Terms:
    """Return the log-likelihood of the events of group 1 given those of both: the exact model.

    What group 1 could have had is listed for one study after the other, in one row.
    """
    total = t.a + t.c
    lowest, highest = np.maximum(0.0, total - t.n2), np.minimum(total, t.n1)
    sizes = (highest - lowest).astype(int) + 1
    starts = np.r_[0, np.cumsum(sizes)[:-1]]
    of = np.repeat(np.arange(len(t.a)), sizes)
    held = np.arange(sizes.sum()) - starts[of] + lowest[of]
    ways = _log_choose(t.n1[of], held) + _log_choose(t.n2[of], total[of] - held)
    own = _log_choose(t.n1, t.a) + _log_choose(t.n2, t.c)

    def terms(effect: Array) -> tuple[Array, Array, Array]:
        log_terms = ways + effect.T[:, of] * held
        top = np.maximum.reduceat(log_terms, starts, axis=1)
        weights = np.exp(log_terms - top[:, of])
        norm = np.add.reduceat(weights, starts, axis=1)
        mean = np.add.reduceat(weights * held, starts, axis=1) / norm
        variance = np.add.reduceat(weights * (held - mean[:, of]) ** 2, starts, axis=1) / norm
        log_likelihood = own + effect.T * t.a - top - np.log(norm)
        return log_likelihood.T, (t.a - mean).T, variance.T

    return terms


def _log_choose(n: Array, k: Array) -> Array:
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1))


def integrated(terms: Terms, mu: float, tau: float, k: int) -> Array:
    """Return each study's log-likelihood with its normal effect integrated out, shape (k,).

    Adaptive Gauss-Hermite quadrature: nodes are centred at the mode of the integrand.
    """
    mode, information = _mode(terms, np.full(k, mu), tau)
    spread = 1 / np.sqrt(1 + tau**2 * information)
    z = mode[:, None] + spread[:, None] * NODES
    log_terms = terms(mu + tau * z)[0] - z**2 / 2 + NODES**2 / 2 + np.log(NODE_WEIGHTS)
    return np.asarray(special.logsumexp(log_terms, axis=1) + np.log(spread) - np.log(2 * np.pi) / 2)


def _mode(terms: Terms, centre: Array, tau: float) -> tuple[Array, Array]:
    """Return the most likely standardised effect of each study and the information there."""
    mode = np.zeros(len(centre))
    for _ in range(100):
        _, score, information = (item[:, 0] for item in terms((centre + tau * mode)[:, None]))
        step = (tau * score - mode) / (1 + tau**2 * information)
        mode = mode + np.clip(step, -BIGGEST_STEP, BIGGEST_STEP)
        if np.max(np.abs(step)) < 1e-9:
            break
    return mode, terms((centre + tau * mode)[:, None])[2][:, 0]


def normal_effects(terms: Terms, k: int, start: float = 0.0) -> ModelFit:
    """Fit normally distributed effects of studies whose likelihood is given, one number each.

    `start` is where the search for the mean begins.
    """

    def cost(theta: Array) -> float:
        return -float(np.sum(integrated(terms, theta[0], np.exp(theta[1]), k)))

    found = two_parameters(cost, start)
    own = _own_effects(terms, k, start)
    log_likelihood, _, information = (item[:, 0] for item in terms(own[:, None]))
    common = optimize.minimize_scalar(
        lambda mu: -float(terms(np.full((k, 1), mu))[0].sum()), bracket=(start - 1, start + 1)
    )
    with np.errstate(divide="ignore"):
        variances = np.where(np.abs(own) < FAR, 1 / information, np.inf)
    ratio = 2 * (float(log_likelihood.sum()) + float(common.fun))
    return found.tested(scatter(own, variances), ratio, k - 1)


def _own_effects(terms: Terms, k: int, start: float) -> Array:
    """Return the most likely effect of each study, at most `FAR` from 0."""
    own = np.full(k, start)
    for _ in range(200):
        _, score, information = (item[:, 0] for item in terms(own[:, None]))
        step = np.clip(score / np.maximum(information, 1e-12), -1.0, 1.0)
        own = np.clip(own + step, -FAR, FAR)
        if np.max(np.abs(step) * (np.abs(own) < FAR)) < 1e-10:
            break
    return own


def scatter(effects: Array, variances: Array) -> float:
    """Return the inverse-variance chi-square of differences; infinite variances count nothing."""
    known = np.isfinite(effects) & np.isfinite(variances)
    if not known.any():
        return 0.0
    y, w = effects[known], 1 / variances[known]
    return float(w @ (y - w @ y / w.sum()) ** 2)


def two_parameters(cost: Callable[[Array], float], start: float) -> ModelFit:
    """Maximise over mean and log standard deviation, and settle whether the latter is 0.

    `cost` is minus the log-likelihood. A spread is looked for on a grid first, because the search
    would miss a small one where the likelihood is flat.
    """
    plain = optimize.minimize_scalar(
        lambda mu: cost(np.array([mu, NO_LOG_SPREAD])), bracket=(start - 1, start + 1)
    )
    best = smallest(cost, spread_start(cost, np.array([plain.x])))
    tau = float(np.exp(best.x[1]))
    if tau < NO_SPREAD or plain.fun <= best.fun + 1e-9:
        at = np.array([plain.x, NO_LOG_SPREAD])
        return ModelFit(float(plain.x), standard_error(cost, at, [0]), 0.0, -float(plain.fun))
    return ModelFit(
        float(best.x[0]), standard_error(cost, best.x, [0, 1]), tau**2, -float(best.fun)
    )


def spread_start(cost: Callable[[Array], float], at: Array) -> Array:
    """Return the parameters of a model without spread with the best log spread behind them."""
    found = [np.r_[at, log_tau] for log_tau in LOG_SPREADS]
    return min(found, key=cost)


def smallest(cost: Callable[[Array], float], start: Array) -> optimize.OptimizeResult:
    """Return the minimum by a simplex with sides of 0.3, started anew where it stopped."""
    found = None
    at = np.asarray(start, float)
    for side in (0.3, 0.1):
        corners = np.vstack([at, at + side * np.eye(len(at))])
        chosen = TIGHT | {"initial_simplex": corners}
        found = optimize.minimize(cost, at, method="Nelder-Mead", options=chosen)
        at = found.x
    return found


def standard_error(cost: Callable[[Array], float], at: Array, free: Sequence[int]) -> float:
    """Return the standard error of the first of the `free` parameters; the others are known."""
    return float(np.sqrt(np.linalg.inv(curvature(cost, at, free))[0, 0]))


def curvature(cost: Callable[[Array], Any], at: Array, free: Sequence[int]) -> Array:
    """Return second differences in the `free` parameters, shape (free, free, ...)."""
    h = 1e-3
    steps = np.eye(len(at))[list(free)] * h
    return np.array(
        [
            [
                cost(at + one + two)
                - cost(at + one - two)
                - cost(at - one + two)
                + cost(at - one - two)
                for two in steps
            ]
            for one in steps
        ]
    ) / (4 * h**2)
