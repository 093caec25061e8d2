"""The weighted least squares algebra that every model with independent studies shares.

With weights ``w`` and an orthonormal basis ``Q`` of the moderators, the projection
``P = W - W Q (Q'WQ)^-1 Q'W`` gives every quantity of a random-effects model: the generalised
heterogeneity statistic ``y'Py``, the restricted likelihood and its derivatives, and the moment
estimators of the between-study variance.
Nothing here is of size k x k, so the cost is linear in the number of studies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evidence.errors import DataError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Studies:
    """Effects, sampling variances and moderators, on a scale where the median variance is 1.

    Parameters
    ----------
    y, v
        Effects and sampling variances divided by ``sqrt(unit)`` and ``unit``; shape (k,).
    q, r
        QR decomposition of the moderators (or of the column of ones); shapes (k, p) and (p, p).
    unit
        Median sampling variance; multiply a variance by it to return to the original scale.
    """

    y: Array
    v: Array
    q: Array
    r: Array
    unit: float

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.y)

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return self.q.shape[1]

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        return self.k - self.p

    def at(self, tau2: float) -> Weighted:
        """Return the fit with inverse-variance weights at this between-study variance."""
        return self.weighted(1.0 / (self.v + tau2))

    def weighted(self, weights: Array) -> Weighted:
        """Return the fit with these weights."""
        return Weighted(self, weights)


@dataclass(frozen=True)
class Weighted:
    """Weighted least squares fit of `studies` with weights `w`, computed on demand."""

    studies: Studies
    w: Array

    @cached_property
    def inverse(self) -> Array:
        """``(Q'WQ)^-1``."""
        q = self.studies.q
        return np.asarray(np.linalg.inv((q * self.w[:, None]).T @ q), float)

    @cached_property
    def coefficients(self) -> Array:
        """Coefficients of the basis columns."""
        return self.inverse @ (self.studies.q.T @ (self.w * self.studies.y))

    @cached_property
    def residual(self) -> Array:
        """``y - Q b``."""
        return np.asarray(self.studies.y - self.studies.q @ self.coefficients)

    @cached_property
    def py(self) -> Array:
        """``P y``."""
        return self.w * self.residual

    @cached_property
    def rss(self) -> float:
        """``y'Py``: the generalised heterogeneity statistic."""
        return float(self.py @ self.residual)

    @cached_property
    def leverage(self) -> Array:
        """Diagonal of the hat matrix."""
        return self.w * np.einsum("ij,jk,ik->i", self.studies.q, self.inverse, self.studies.q)

    @cached_property
    def _mixed(self) -> Array:
        q = self.studies.q
        return self.inverse @ ((q * (self.w**2)[:, None]).T @ q)

    @cached_property
    def trace_p(self) -> float:
        """``tr(P)``."""
        return float(self.w.sum() - np.trace(self._mixed))

    @cached_property
    def trace_pp(self) -> float:
        """``tr(PP)``."""
        w2 = self.w**2
        return float(w2.sum() - 2 * (w2 @ self.leverage) + np.sum(self._mixed * self._mixed.T))

    def trace_with(self, d: Array) -> tuple[float, float]:
        """Return ``tr(PD)`` and ``tr(PDPD)`` for the diagonal matrix with diagonal `d`."""
        q, wd = self.studies.q, self.w * d
        mixed = self.inverse @ ((q * (self.w * wd)[:, None]).T @ q)
        first = wd.sum() - np.trace(mixed)
        second = wd @ wd - 2 * ((wd**2) @ self.leverage) + np.sum(mixed * mixed.T)
        return float(first), float(second)

    @cached_property
    def log_likelihoods(self) -> tuple[float, float]:
        """Full and restricted log-likelihood, up to constants, on the standardised scale."""
        spread = float(np.log(self.w).sum())
        determinant = float(np.linalg.slogdet(self.inverse)[1])
        return (spread - self.rss) / 2, (spread + determinant - self.rss) / 2


def studies(yi: ArrayLike, vi: ArrayLike, x: ArrayLike | None = None) -> Studies:
    """Return effects and variances ready for fitting.

    Parameters
    ----------
    yi, vi
        Effects and positive sampling variances, shape (k,).
    x
        Moderators with their own intercept, shape (k, p); a column of ones when absent.

    Raises
    ------
    DataError
        If shapes differ, a value is not finite, a variance is not positive, or the moderators are
        linearly dependent.
    """
    y, v = np.atleast_1d(np.asarray(yi, float)), np.atleast_1d(np.asarray(vi, float))
    columns = np.ones((len(y), 1)) if x is None else np.asarray(x, float)
    _check_numbers(y, v, columns)
    q, r = np.linalg.qr(columns)
    _check_rank(r, columns)
    unit = float(np.median(v))
    return Studies(y / np.sqrt(unit), v / unit, q, r, unit)


def _check_numbers(y: Array, v: Array, x: Array) -> None:
    if y.shape != v.shape or len(x) != len(y):
        raise DataError(
            "effects, variances and moderators must have one value per study; "
            f"got {y.size} effects, {v.size} variances and {len(x)} rows of moderators."
        )
    wrong = ~(np.isfinite(y) & np.isfinite(v) & (v > 0))
    if wrong.any():
        rows = ", ".join(str(row) for row in np.flatnonzero(wrong)[:8])
        raise DataError(
            f"effects must be finite and sampling variances positive; rows {rows} are not. "
            "Correct them or leave them out."
        )


def _check_rank(r: Array, x: Array) -> None:
    own = np.abs(np.diag(r))
    if len(x) < x.shape[1] or (own <= 1e-10 * np.linalg.norm(x, axis=0)).any():
        raise DataError(
            f"moderators must be linearly independent and fewer than the studies; got "
            f"{x.shape[1]} columns over {len(x)} studies that are not. Leave one out."
        )
