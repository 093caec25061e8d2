"""Distribution of a weighted sum of chi-square variables, needed for the generalised Q."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

STEP = 0.12
"""Node distance relative to the narrowest feature: the trapezoidal error is about 1e-14."""


def weighted_chi2_cdf(x: float, weights: ArrayLike) -> float:
    """Return ``P(sum w_j Z_j^2 <= x)`` for independent standard normal ``Z_j``.

    The Laplace transform ``prod (1 + 2 w_j s)^(-1/2) / s`` has its singularities on the negative
    real axis only. It is inverted by the trapezoidal rule on the parabola ``s0 + it - ct^2``
    (Weideman and Trefethen 2007, Mathematics of Computation 76:1341-1356) through the
    saddlepoint ``s0``, so that many weights do not make it oscillate; absolute error about 1e-13.

    Parameters
    ----------
    x
        Where the distribution function is wanted.
    weights
        Positive weights, shape (m,).
    """
    if x <= 0:
        return 0.0
    w = np.asarray(weights, float) / x
    s0 = _saddlepoint(w)
    width = np.sqrt(np.sum(2 * w**2 / (1 + 2 * w * s0) ** 2) + 1 / s0**2)
    bend = 1 / (4 * max(s0, len(w) / 4))
    step = STEP * 2 * s0 / max(1.0, s0 * width)
    t = np.arange(0.0, 6.2 / np.sqrt(bend), step)
    node, slope = s0 + 1j * t - bend * t**2, 1 + 2j * bend * t
    log_transform = -0.5 * np.log1p(2 * np.outer(node, w)).sum(axis=1)
    terms = (np.exp(node + log_transform) / node * slope).real
    total = (terms.sum() - terms[0] / 2) * step / np.pi
    return float(min(1.0, max(0.0, total)))


def _saddlepoint(w: np.ndarray) -> float:
    def slope(s: float) -> float:
        return float(1 - np.sum(w / (1 + 2 * w * s)) - 1 / s)

    return float(optimize.brentq(slope, 1.0, len(w) / 2 + 1.001, rtol=1e-6))
