"""Mixed models of counts in which each study has its own level, fixed or random.

The logit (or log rate) of the groups of study i is ``level_i ± (mu + u_i) / 2`` with u normal.
Jackson et al. 2018 (Statistics in Medicine 37:1059-1085), models 4 (fixed levels, UM.FS) and 5
(random levels, UM.RS).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from evidence.synthesis.likelihoods import (
    BIGGEST_STEP,
    NO_LOG_SPREAD,
    NO_SPREAD,
    NODE_WEIGHTS,
    NODES,
    ModelFit,
    curvature,
    scatter,
    smallest,
    spread_start,
    standard_error,
    two_parameters,
)
from evidence.synthesis.rare import Counts
from evidence.synthesis.weighting import Array

Arm = tuple[Array, Array, Array]
"""Log-likelihood, score and information of one group by its linear predictor."""


@dataclass(frozen=True, slots=True)
class Arms:
    """Two groups per study whose events follow a binomial or a Poisson distribution."""

    counts: Counts
    rates: bool = False

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.counts.a)

    def arm(self, events: Array, size: Array, eta: Array) -> Arm:
        """Return the terms of one group; constants of the data are left out."""
        x, n = events[:, None], size[:, None]
        if self.rates:
            expected = n * np.exp(eta)
            return x * eta - expected, x - expected, expected
        p = special.expit(eta)
        return x * eta - n * np.logaddexp(0, eta), x - n * p, n * p * (1 - p)

    def at(self, level: Array, effect: Array) -> tuple[Arm, Arm]:
        """Return the terms of both groups at levels (k, m) and effects (k, m)."""
        t = self.counts
        return (
            self.arm(t.a, t.n1, level + effect / 2),
            self.arm(t.c, t.n2, level - effect / 2),
        )

    def levels(self) -> Array:
        """Return rough levels of the studies to start from, shape (k,)."""
        t = self.counts
        events, size = t.a + t.c, t.n1 + t.n2
        return np.log(events / size) if self.rates else np.log(events / (size - events))

    def saturated(self) -> tuple[float, float]:
        """Return the log-likelihood where every group has its own level, and the Wald statistic.

        Studies with a zero cell have an infinite effect with infinite variance, and drop out of
        the Wald statistic.
        """
        t = self.counts
        log_likelihood, effects, variances = 0.0, np.zeros(self.k), np.zeros(self.k)
        for sign, events, size in ((1.0, t.a, t.n1), (-1.0, t.c, t.n2)):
            share = events / size
            rest = -events if self.rates else special.xlog1py(size - events, -share)
            log_likelihood += float(np.sum(special.xlogy(events, share) + rest))
            with np.errstate(divide="ignore"):
                effects += sign * (np.log(share) if self.rates else special.logit(share))
                variances += 1 / events + (0.0 if self.rates else 1 / (size - events))
        return log_likelihood, scatter(effects, variances)


def fixed_levels(arms: Arms) -> ModelFit:
    """Fit a level per study as a parameter and normal effects (UM.FS).

    The levels are profiled out: at each mean and spread they are the most likely ones.
    """
    kept = arms.levels()

    def cost(theta: Array) -> float:
        nonlocal kept
        value, kept = _profiled(arms, float(theta[0]), float(np.exp(theta[1])), kept)
        return -value

    found = two_parameters(cost, 0.0)
    common, _ = _profiled(arms, _common(arms, kept), np.exp(NO_LOG_SPREAD), kept)
    saturated, wald = arms.saturated()
    return found.tested(wald, 2 * (saturated - common), arms.k - 1)


def _common(arms: Arms, kept: Array) -> float:
    spread = float(np.exp(NO_LOG_SPREAD))
    best = optimize.minimize_scalar(
        lambda mu: -_profiled(arms, mu, spread, kept)[0], bracket=(-1.0, 1.0)
    )
    return float(best.x)


def _profiled(arms: Arms, mu: float, tau: float, levels: Array) -> tuple[float, Array]:
    """Return the log-likelihood with the most likely levels, and those levels."""
    level = levels.copy()
    value = np.zeros(arms.k)
    for _ in range(60):
        value, score, information = _at_levels(arms, mu, tau, level)
        step = score / information
        if np.max(np.abs(step)) < 1e-8:
            break
        level = level + np.clip(step, -1.0, 1.0)
    return float(value.sum()), level


def _at_levels(arms: Arms, mu: float, tau: float, level: Array) -> tuple[Array, Array, Array]:
    """Return integrated log-likelihood of each study, with score and information of its level."""
    mode, steepness = _effect_mode(arms, mu, tau, level)
    spread = 1 / np.sqrt(1 + tau**2 * steepness)
    z = mode[:, None] + spread[:, None] * NODES
    one, two = arms.at(level[:, None], mu + tau * z)
    log_terms = one[0] + two[0] - z**2 / 2 + NODES**2 / 2 + np.log(NODE_WEIGHTS)
    total = special.logsumexp(log_terms, axis=1)
    shares = np.exp(log_terms - total[:, None])
    score, information = one[1] + two[1], one[2] + two[2]
    mean = np.sum(shares * score, axis=1)
    variance = np.sum(shares * score**2, axis=1) - mean**2
    curved = np.sum(shares * information, axis=1)
    value = total + np.log(spread) - np.log(2 * np.pi) / 2
    return np.asarray(value), mean, np.maximum(curved - variance, curved / 10)


def _effect_mode(arms: Arms, mu: float, tau: float, level: Array) -> tuple[Array, Array]:
    mode = np.zeros(arms.k)
    steepness = np.zeros(arms.k)
    for _ in range(100):
        one, two = arms.at(level[:, None], (mu + tau * mode)[:, None])
        steepness = ((one[2] + two[2]) / 4)[:, 0]
        step = (tau * (one[1] - two[1])[:, 0] / 2 - mode) / (1 + tau**2 * steepness)
        if np.max(np.abs(step)) < 1e-9:
            break
        mode = mode + np.clip(step, -BIGGEST_STEP, BIGGEST_STEP)
    return mode, steepness


def random_levels(arms: Arms) -> ModelFit:
    """Fit normal levels and normal effects, independent of each other (UM.RS).

    The two-dimensional integrals are by Laplace's approximation.
    """
    level = float(np.median(arms.levels()))

    def cost(theta: Array) -> float:
        return -float(
            np.sum(_laplace(arms, theta[0], theta[1], np.exp(theta[2]), np.exp(theta[3])))
        )

    plain = smallest(lambda free: cost(np.r_[free, NO_LOG_SPREAD]), np.array([level, 0.0, 0.0]))
    best = smallest(cost, spread_start(cost, plain.x))
    tau = float(np.exp(best.x[3]))
    saturated, wald = _saturated_random(arms, plain.x)
    at = best.x
    if tau < NO_SPREAD or plain.fun <= best.fun + 1e-9:
        at, tau = np.r_[plain.x, NO_LOG_SPREAD], 0.0
    spreads = [which for which in (2, 3) if np.exp(at[which]) >= NO_SPREAD]
    se = standard_error(cost, at, [1, 0, *spreads])
    found = ModelFit(float(at[1]), se, tau**2, -cost(at))
    return found.tested(wald, 2 * (saturated + plain.fun), arms.k - 1)


def _laplace(
    arms: Arms, level: Array | float, effect: Array | float, sigma: float, tau: float
) -> Array:
    """Return each study's log-likelihood with random level and random effect, shape (k,).

    `level` and `effect` are means, for all studies or for each.
    """
    z = np.zeros((2, arms.k))
    value = np.zeros(arms.k)
    for _ in range(100):
        one, two = arms.at(
            np.reshape(level + sigma * z[0], (-1, 1)), np.reshape(effect + tau * z[1], (-1, 1))
        )
        both, apart = one[2] + two[2], one[2] - two[2]
        h00, h11 = 1 + sigma**2 * both[:, 0], 1 + tau**2 * both[:, 0] / 4
        h01 = sigma * tau * apart[:, 0] / 2
        determinant = h00 * h11 - h01**2
        value = (one[0] + two[0])[:, 0] - (z**2).sum(axis=0) / 2 - np.log(determinant) / 2
        g0 = sigma * (one[1] + two[1])[:, 0] - z[0]
        g1 = tau * (one[1] - two[1])[:, 0] / 2 - z[1]
        step = np.array([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0]) / determinant
        if np.max(np.abs(step)) < 1e-9:
            break
        z = z + np.clip(step, -BIGGEST_STEP, BIGGEST_STEP)
    return np.asarray(value)


def _saturated_random(arms: Arms, start: Array) -> tuple[float, float]:
    """Return log-likelihood and Wald statistic of one effect per study and random levels.

    The random level is that of group 2 here; which group it belongs to matters only in this model.
    """
    own = np.full(arms.k, start[1])

    def cost(theta: Array) -> float:
        nonlocal own
        own, value = _own_effects(arms, theta[0], float(np.exp(theta[1])), own)
        return -value

    best = smallest(cost, np.array([start[0] - start[1] / 2, start[2]]))
    own, value = _own_effects(arms, best.x[0], float(np.exp(best.x[1])), own)
    return value, _wald_random(arms, best.x, own)


def _own_effects(arms: Arms, level: float, sigma: float, start: Array) -> tuple[Array, float]:
    """Return the most likely effect of each study, and the log-likelihood with them."""
    h, own = 1e-3, start.copy()
    for _ in range(60):
        low, mid, high = (_with_effects(arms, level, own + shift, sigma) for shift in (-h, 0.0, h))
        slope, bend = (high - low) / (2 * h), (2 * mid - high - low) / h**2
        step = np.where(bend > 0, slope / np.maximum(bend, 1e-8), np.sign(slope))
        own = own + np.clip(step, -1.0, 1.0)
        if np.max(np.abs(step)) < 1e-6:
            break
    return own, float(_with_effects(arms, level, own, sigma).sum())


def _with_effects(arms: Arms, level: float, effects: Array, sigma: float) -> Array:
    return _laplace(arms, level + effects / 2, effects, sigma, 0.0)


def _wald_random(arms: Arms, at: Array, own: Array) -> float:
    """Return the Wald statistic of equal effects, with level and spread estimated beside them."""

    def each(theta: Array) -> Array:
        return -_with_effects(arms, theta[0], own + theta[2], float(np.exp(theta[1])))

    free = [2, 0, 1] if np.exp(at[1]) >= NO_SPREAD else [2, 0]
    blocks = curvature(each, np.array([at[0], at[1], 0.0]), free)
    shared, cross, precision = blocks[1:, 1:].sum(axis=2), blocks[1:, 0], blocks[0, 0]
    inner = np.diag(precision) - cross.T @ np.linalg.solve(shared, cross)
    total = inner.sum(axis=1)
    centred = inner - np.outer(total, total) / total.sum()
    return float(own @ centred @ own)
