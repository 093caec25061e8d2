"""Least squares with covariances that allow for clusters, also when there are few of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

Array = np.ndarray

KINDS = ("CR2", "CR1", "CR0")
"""Covariances; the first is the default."""


@dataclass(frozen=True, slots=True, eq=False)
class Clustered:
    """Least squares with a cluster-robust covariance, and what its degrees of freedom need.

    Parameters
    ----------
    coef, vcov
        Shapes (p,) and (p, p).
    kind
        One of `KINDS`.
    clusters
        How many there are.
    bread
        Inverse of the cross product of the design, shape (p, p).
    pieces
        For each cluster its rows of the design and its adjustment of residuals.
    """

    coef: Array
    vcov: Array
    kind: str
    clusters: int
    bread: Array
    pieces: tuple[tuple[Array, Array], ...]

    def contrast(self, weights: Array, level: float = 0.95) -> dict[str, float]:
        """Return a linear combination of coefficients with its interval.

        Parameters
        ----------
        weights
            Shape (p,).
        level
            Coverage of the interval.

        Returns
        -------
        dict
            value, se, df, low, high, p. The degrees of freedom are Satterthwaite's for CR2 and
            clusters - 1 otherwise.
        """
        value, se = float(weights @ self.coef), float(np.sqrt(weights @ self.vcov @ weights))
        df = self._satterthwaite(weights) if self.kind == "CR2" else self.clusters - 1.0
        reach = stats.t.ppf(0.5 + level / 2, df)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * stats.t.sf(abs(value) / se, df) if se else float(value == 0)
        return {
            "value": value,
            "se": se,
            "df": float(df),
            "low": value - reach * se,
            "high": value + reach * se,
            "p": float(p),
        }

    def _satterthwaite(self, weights: Array) -> float:
        """Degrees of freedom with independent errors of one variance as working model."""
        towards = self.bread @ weights
        moved = [adjust @ (design @ towards) for design, adjust in self.pieces]
        crossed = np.array(
            [design.T @ u for (design, _), u in zip(self.pieces, moved, strict=True)]
        )
        gram = np.diag([u @ u for u in moved]) - crossed @ self.bread @ crossed.T
        total = np.sum(gram**2)
        return float(np.trace(gram) ** 2 / total) if total > 0 else 1.0


def fit_clustered(y: Array, design: Array, clusters: Array, kind: str = "CR2") -> Clustered:
    """Fit least squares with a cluster-robust covariance.

    Parameters
    ----------
    y, design
        Shapes (n,) and (n, p), of full rank.
    clusters
        Cluster of each row, shape (n,).
    kind
        ``CR0`` (Liang and Zeger), ``CR1`` (times g/(g-1) (n-1)/(n-p)) or ``CR2`` (Bell and
        McCaffrey, with the generalised inverse where a cluster has its own column).

    References
    ----------
    Bell and McCaffrey 2002, Survey Methodology 28:169-181; Pustejovsky and Tipton 2018,
    J Bus Econ Stat 36:672-683, equations 6, 9 and 12.
    """
    n, p = design.shape
    q, r = np.linalg.qr(design)
    inverse = np.linalg.inv(r)
    coef, bread = inverse @ (q.T @ y), inverse @ inverse.T
    left = y - design @ coef
    names, codes = np.unique(clusters, return_inverse=True)
    pieces, scores = [], []
    for code in range(len(names)):
        rows = codes == code
        adjust = _adjustment(q[rows]) if kind == "CR2" else np.eye(int(rows.sum()))
        pieces.append((design[rows], adjust))
        scores.append(bread @ (design[rows].T @ (adjust @ left[rows])))
    count = len(names)
    factor = count / (count - 1) * (n - 1) / (n - p) if kind == "CR1" else 1.0
    summed = np.array(scores)
    return Clustered(coef, factor * summed.T @ summed, kind, count, bread, tuple(pieces))


def _adjustment(hat: Array) -> Array:
    """The symmetric square root of the generalised inverse of I - H of one cluster."""
    values, vectors = np.linalg.eigh(np.eye(len(hat)) - hat @ hat.T)
    keep = values > 1e-8
    root = np.where(keep, 1 / np.sqrt(np.where(keep, values, 1.0)), 0.0)
    return (vectors * root) @ vectors.T
