"""Several outcomes per study pooled together, with the spread of each and how they go together.

Model: ``y_i = X_i b + u_i + e_i`` for study i, with true effects ``u_i ~ N(0, G)`` that vary
between studies and sampling errors ``e_i ~ N(0, V_i)`` of known covariance; outcomes that a study
does not report are left out of its block (van Houwelingen, Arends and Stijnen 2002, Statistics in
Medicine 21:589-624; Jackson, Riley and White 2011, Statistics in Medicine 30:2481-2498).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from evidence.errors import DataError
from evidence.synthesis.weighting import Array

STRUCTURES = ("UN", "HCS", "CS", "DIAG")
"""Unstructured; one correlation with own or equal variances; no correlation."""

ZERO = 1e-4
"""Below this share of its scale a between-study SD that costs no likelihood is taken as 0."""

STEEP = 1e-4
"""A gradient above this (per unit of the scaled parameters) means no maximum was reached."""


@dataclass(frozen=True)
class Outcomes:
    """Effects of n studies on m outcomes with known sampling covariance.

    Parameters
    ----------
    y
        Effects (n, m), NaN where a study does not report an outcome.
    v
        Sampling covariances (n, m, m); entries of outcomes not reported are ignored.
    x
        Design (n, m, p): the row of each study and outcome; by default one mean per outcome.
    """

    y: Array
    v: Array
    x: Array

    @cached_property
    def observed(self) -> np.ndarray:
        """Which outcomes each study reports (n, m)."""
        return np.isfinite(self.y)

    @cached_property
    def patterns(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Studies and outcomes of each pattern of reporting."""
        kinds, which = np.unique(self.observed, axis=0, return_inverse=True)
        which = np.ravel(which)
        return [
            (np.flatnonzero(which == at), np.flatnonzero(kind))
            for at, kind in enumerate(kinds)
            if kind.any()
        ]

    @cached_property
    def effects(self) -> Array:
        """Effects with 0 where there is none (n, m)."""
        return np.where(self.observed, self.y, 0.0)

    @cached_property
    def design(self) -> Array:
        """Design with 0 where there is no effect (n, m, p)."""
        return self.x * self.observed[:, :, None]

    @cached_property
    def log_det_design(self) -> float:
        """Log determinant of ``X'X``."""
        return float(np.linalg.slogdet(np.einsum("iap,iaq->pq", self.design, self.design))[1])

    @cached_property
    def scale(self) -> Array:
        """Typical size of each outcome's effects and errors (m,)."""
        own = np.where(self.observed, np.diagonal(self.v, axis1=1, axis2=2), np.nan)
        return np.asarray(np.sqrt(np.nanmedian(own, axis=0) + np.nanvar(self.y, axis=0)))

    def at(self, between: ArrayLike) -> Joint:
        """Return the generalised least squares fit with this covariance between studies."""
        return Joint(self, np.asarray(between, float))


def outcomes(y: ArrayLike, v: ArrayLike, x: ArrayLike | None = None) -> Outcomes:
    """Return the data of a multivariate model, with one mean per outcome unless `x` is given."""
    effects = np.asarray(y, float)
    n, m = effects.shape
    design = np.broadcast_to(np.eye(m), (n, m, m)) if x is None else np.asarray(x, float)
    return Outcomes(effects, np.asarray(v, float), design)


@dataclass(frozen=True)
class Joint:
    """Generalised least squares at a given covariance between studies, computed on demand."""

    data: Outcomes
    between: Array

    @cached_property
    def _inverted(self) -> tuple[Array, float]:
        weights, log_det = np.zeros_like(self.data.v), 0.0
        for rows, seen in self.data.patterns:
            block = np.ix_(rows, seen, seen)
            total = self.data.v[block] + self.between[np.ix_(seen, seen)]
            weights[block] = np.linalg.inv(total)
            log_det += float(np.linalg.slogdet(total)[1].sum())
        return weights, log_det

    @property
    def weights(self) -> Array:
        """Inverse of each study's marginal covariance, 0 for outcomes not reported (n, m, m)."""
        return self._inverted[0]

    @cached_property
    def _weighted_design(self) -> Array:
        return np.asarray(self.weights @ self.data.design)

    @cached_property
    def vcov(self) -> Array:
        """Covariance of the coefficients."""
        return np.asarray(
            np.linalg.inv(np.einsum("iap,iaq->pq", self.data.design, self._weighted_design))
        )

    @cached_property
    def b(self) -> Array:
        """Coefficients."""
        return np.asarray(
            self.vcov @ np.einsum("iap,ia->p", self._weighted_design, self.data.effects)
        )

    @cached_property
    def _weighted_residual(self) -> Array:
        residual = self.data.effects - self.data.design @ self.b
        return np.asarray(np.einsum("iab,ib->ia", self.weights, residual))

    @cached_property
    def rss(self) -> float:
        """Generalised residual sum of squares."""
        residual = self.data.effects - self.data.design @ self.b
        return float(np.sum(residual * self._weighted_residual))

    def log_likelihood(self, restricted: bool) -> float:
        """Return the log-likelihood, with the constant that standard software has."""
        k, p = int(self.data.observed.sum()), self.data.x.shape[2]
        value = -(self._inverted[1] + self.rss) / 2
        if not restricted:
            return float(value - k * np.log(2 * np.pi) / 2)
        value += (np.linalg.slogdet(self.vcov)[1] + self.data.log_det_design) / 2
        return float(value - (k - p) * np.log(2 * np.pi) / 2)

    def score(self, restricted: bool) -> Array:
        """Return the gradient by the entries of the covariance between studies (m, m)."""
        gradient = np.einsum("ia,ib->ab", self._weighted_residual, self._weighted_residual)
        gradient -= self.weights.sum(axis=0)
        if restricted:
            wx = self._weighted_design
            gradient += np.einsum("iap,pq,ibq->ab", wx, self.vcov, wx)
        return gradient / 2


@dataclass(frozen=True)
class Structure:
    """A covariance between studies as a function of SDs and angles: ``G = L L'``, ``L = D K``.

    D has the SDs, K is a root of the correlation matrix, written with angles so that every value
    of them gives a correlation matrix and ±1 is within reach (Pinheiro and Bates 1996, Statistics
    and Computing 6:289-296). The first two of `order` are the outcomes whose correlation is the
    cosine of the first angle of ``UN``.
    """

    kind: str
    scale: Array
    order: tuple[int, ...]

    @property
    def spread(self) -> Array:
        """How the SD parameters make up the outcomes' SDs (m, number of SDs)."""
        if self.kind == "CS":
            return np.full((len(self.scale), 1), float(np.sqrt(np.mean(self.scale**2))))
        return np.diag(self.scale)

    @property
    def angles(self) -> int:
        """Number of angles."""
        m = len(self.scale)
        return {"UN": m * (m - 1) // 2, "HCS": 1, "CS": 1, "DIAG": 0}[self.kind]

    @property
    def lowest(self) -> float:
        """Lowest correlation that is possible."""
        return -1.0 if self.kind == "UN" else -1 / (len(self.scale) - 1)

    @property
    def last_angle(self) -> float:
        """Largest angle; the smallest is 0."""
        return float(np.pi if self.kind == "UN" else np.pi / 2)

    def correlation(self, angle: float) -> float:
        """Return the correlation of the first angle."""
        if self.kind == "UN":
            return float(np.cos(angle))
        return float(self.lowest + (1 - self.lowest) * np.sin(angle) ** 2)

    def root(self, at: Array) -> tuple[Array, list[Array]]:
        """Return L (m, m) and its derivative by each parameter."""
        count = self.spread.shape[1]
        sds = self.spread @ at[:count]
        k, slopes = self._cosines(at[count:])
        by_sd = [column[:, None] * k for column in self.spread.T]
        return sds[:, None] * k, by_sd + [sds[:, None] * slope for slope in slopes]

    def between(self, at: Array) -> Array:
        """Return the covariance between studies."""
        root = self.root(at)[0]
        return np.asarray(root @ root.T)

    def parameters(self, between: Array) -> Array:
        """Return the SDs and angles of an unstructured covariance between studies."""
        sds = np.sqrt(np.diag(between))
        size = np.where(sds > 0, sds, 1.0)
        rho = (between / np.outer(size, size))[np.ix_(self.order, self.order)]
        rho = (1 - 1e-9) * (rho - np.diag(np.diag(rho))) + np.eye(len(rho))
        return np.concatenate([sds / self.scale, _angles(np.linalg.cholesky(rho))])

    def _cosines(self, angles: Array) -> tuple[Array, list[Array]]:
        m = len(self.scale)
        if self.kind == "DIAG":
            return np.eye(m), []
        if self.kind != "UN":
            return _even(angles[0], m), [_even(angles[0] + np.pi / 2, m)]
        k, slopes, start = np.zeros((m, m)), [], 0
        for row, place in enumerate(self.order):
            own = angles[start : start + row]
            k[place] = _row(own, m)
            for at in range(row):
                slope = np.zeros((m, m))
                slope[place, at:] = _row(own + np.pi / 2 * (np.arange(row) == at), m)[at:]
                slopes.append(slope)
            start += row
        return k, slopes


def _row(angles: Array, m: int) -> Array:
    """Return a unit vector by its angles: cosines, each times the sines before it."""
    row = np.zeros(m)
    row[: len(angles) + 1] = np.cumprod([1.0, *np.sin(angles)])
    row[: len(angles)] *= np.cos(angles)
    return row


def _even(angle: float, m: int) -> Array:
    """Return the symmetric root of a matrix with one correlation."""
    mean = np.full((m, m), 1 / m)
    apart = np.sqrt(m / (m - 1)) * np.cos(angle)
    return np.asarray(apart * (np.eye(m) - mean) + np.sqrt(m) * np.sin(angle) * mean)


@dataclass(frozen=True)
class MultivariateFit:
    """The fit at the (restricted) maximum likelihood covariance between studies.

    `steepness` is the largest gradient left by the scaled parameters.
    """

    joint: Joint
    structure: Structure
    at: Array
    restricted: bool
    steepness: float

    @property
    def converged(self) -> bool:
        """Whether a maximum was reached."""
        return bool(self.steepness < STEEP)

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood at the maximum."""
        return self.joint.log_likelihood(self.restricted)

    @property
    def tau2(self) -> Array:
        """Variance between studies of each outcome (m,)."""
        return np.asarray(np.diag(self.joint.between))

    @property
    def rho(self) -> Array:
        """Correlations between studies (m, m); NaN where an outcome does not vary."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self.joint.between / np.sqrt(np.outer(self.tau2, self.tau2))
        return np.asarray(np.clip(found, -1, 1))


def fit_outcomes(
    data: Outcomes, structure: str = "UN", *, restricted: bool = True
) -> MultivariateFit:
    """Return the fit at the (restricted) maximum likelihood covariance between studies.

    Parameters
    ----------
    data
        Effects of studies on at least two outcomes.
    structure
        One of `STRUCTURES`.
    restricted
        REML, or ML if false.

    Raises
    ------
    DataError
        If the structure is unknown or there are fewer than two outcomes.
    """
    m = data.y.shape[1]
    if structure not in STRUCTURES:
        raise DataError(f"structure must be one of {', '.join(STRUCTURES)}; got {structure!r}.")
    if m < 2:
        raise DataError(f"a multivariate model needs at least two outcomes; got {m}. Use pool().")
    return _search(data, Structure(structure, data.scale, tuple(range(m))), restricted, {})


@dataclass(frozen=True)
class _Cost:
    """Minus the log-likelihood and its gradient by the parameters that are not held."""

    data: Outcomes
    structure: Structure
    restricted: bool
    held: Mapping[int, float] = field(default_factory=dict)

    @property
    def free(self) -> list[int]:
        count = self.structure.spread.shape[1] + self.structure.angles
        return [at for at in range(count) if at not in self.held]

    def whole(self, free: Array) -> Array:
        at = np.zeros(len(free) + len(self.held))
        at[self.free] = free
        at[list(self.held)] = list(self.held.values())
        return at

    def __call__(self, free: Array) -> tuple[float, Array]:
        root, slopes = self.structure.root(self.whole(free))
        joint = self.data.at(root @ root.T)
        pull = joint.score(self.restricted) @ root
        gradient = np.array([-2 * np.sum(pull * slopes[at]) for at in self.free])
        return -joint.log_likelihood(self.restricted), gradient

    def bounds(self) -> list[tuple[float | None, float | None]]:
        count = self.structure.spread.shape[1]
        return [(0.0, None) if at < count else (None, None) for at in self.free]


def _search(
    data: Outcomes,
    structure: Structure,
    restricted: bool,
    held: Mapping[int, float],
    near: Array | None = None,
) -> MultivariateFit:
    cost = _Cost(data, structure, restricted, held)
    starts = [
        min((point[cost.free] for point in points), key=lambda start: cost(start)[0])
        for points in _starts(structure)
    ]
    if near is not None:
        starts = [near[cost.free], min(starts, key=lambda start: cost(start)[0])]
    found = min((_descend(cost, start) for start in starts), key=lambda item: cost(item)[0])
    if near is None:
        found = _at_zero(cost, _sharpen(cost, _lifted(cost, found)))
    at = cost.whole(found)
    joint = data.at(structure.between(at))
    return MultivariateFit(joint, structure, at, restricted, _steepness(cost, found))


def _starts(structure: Structure) -> list[list[Array]]:
    """Return points to start from, by their angles: from each group the best is taken."""
    count = structure.spread.shape[1]
    middle = np.pi / 2 if structure.kind == "UN" else np.arcsin(np.sqrt(1 / len(structure.scale)))
    sds = [[sd] * count for sd in (0.15, 0.5, 1.0)]
    sds += [[0.1 if at == low else 0.7 for at in range(count)] for low in range(count)]
    turns = [np.full(structure.angles, turn) for turn in (-1.2, -0.5, 0.0, 0.5, 1.2)]
    if structure.angles > 1:
        turns += [*np.eye(structure.angles), *-np.eye(structure.angles)]
    return [[np.array([*sd, *(middle + turn)]) for sd in sds] for turn in turns]


def _descend(cost: _Cost, start: Array) -> Array:
    if not len(start):
        return start
    options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9}
    found = optimize.minimize(
        cost, start, jac=True, method="L-BFGS-B", bounds=cost.bounds(), options=options
    )
    return np.asarray(found.x)


def _lifted(cost: _Cost, at: Array) -> Array:
    """Return a better point from which no spread at 0 wants to grow, where searches get stuck."""
    for _ in range(6):
        lifts = sorted(_lifts(cost, at), key=lambda point: cost(point)[0])[:2]
        moved = min((_descend(cost, lift) for lift in lifts), key=lambda x: cost(x)[0], default=at)
        if cost(moved)[0] > cost(at)[0] - 1e-8:
            break
        at = moved
    return at


def _lifts(cost: _Cost, at: Array) -> list[Array]:
    """Return points with one SD off 0, or with spread along the steepest way up."""
    structure, between = cost.structure, cost.structure.between(at)
    found = [
        np.where(np.arange(len(at)) == place, sd, at)
        for place, (low, _) in enumerate(cost.bounds())
        for sd in (0.02, 0.1, 0.4)
        if low is not None and at[place] < ZERO
    ]
    if structure.kind != "UN":
        return found
    size = np.outer(structure.scale, structure.scale)
    slopes, ways = np.linalg.eigh(cost.data.at(between).score(cost.restricted) * size)
    if slopes[-1] > STEEP:
        along = np.outer(ways[:, -1], ways[:, -1]) * size
        found += [structure.parameters(between + step * along) for step in (0.001, 0.01, 0.1)]
    return found


def _sharpen(cost: _Cost, at: Array) -> Array:
    """Return the point after Newton steps among the parameters that are inside their range."""
    floors = np.array([-np.inf if low is None else ZERO for low, _ in cost.bounds()])
    for _ in range(3):
        inside = at > floors
        moved = at.copy()
        if inside.any():
            curvature = _curvature(cost, at)[np.ix_(inside, inside)]
            moved[inside] -= np.linalg.pinv(curvature) @ cost(at)[1][inside]
        if _steepness(cost, moved) >= _steepness(cost, at) or cost(moved)[0] > cost(at)[0] + 1e-9:
            return at
        at = moved
    return at


def _curvature(cost: _Cost, at: Array) -> Array:
    step = 1e-5
    rows = [
        (cost(at + step * unit)[1] - cost(at - step * unit)[1]) / (2 * step)
        for unit in np.eye(len(at))
    ]
    return np.asarray((np.array(rows) + np.array(rows).T) / 2)


def _at_zero(cost: _Cost, at: Array) -> Array:
    """Return the point with SDs at 0 that are as good as 0."""
    for place, (low, _) in enumerate(cost.bounds()):
        lower = np.where(np.arange(len(at)) == place, 0.0, at)
        if low is not None and at[place] < ZERO and cost(lower)[0] <= cost(at)[0] + 1e-8:
            at = lower
    return at


def _steepness(cost: _Cost, at: Array) -> float:
    gradient = cost(at)[1]
    blocked = [
        low is not None and value <= 0 < slope
        for value, slope, (low, _) in zip(at, gradient, cost.bounds(), strict=True)
    ]
    return float(np.max(np.abs(np.where(blocked, 0.0, gradient)), initial=0.0))


def variance_interval(
    fitted: MultivariateFit, outcome: int, level: float = 0.95
) -> tuple[float, float | None]:
    """Return the profile-likelihood interval of an outcome's variance between studies.

    The upper limit is `None` where the likelihood never falls far enough.
    """
    structure = fitted.structure
    place = 0 if structure.kind == "CS" else outcome
    unit = float(structure.spread[outcome, place])
    excess = _excess(fitted, structure, place, fitted.at, level)
    estimate = float(fitted.at[place])
    low = _crossing(excess, estimate, 0.0)
    high = 2 * estimate + 1.0
    for _ in range(30):
        if excess(high) > 0:
            found = _crossing(excess, estimate, high)
            return (low * unit) ** 2, (found * unit) ** 2
        high *= 2
    return (low * unit) ** 2, None


def correlation_interval(
    fitted: MultivariateFit, one: int, other: int, level: float = 0.95
) -> tuple[float, float] | None:
    """Return the profile-likelihood interval of a correlation between studies.

    A limit is the end of the possible range where the likelihood never falls far enough before
    it; `None` where the correlation is not part of the model or an outcome does not vary.
    """
    if fitted.structure.kind == "DIAG" or min(fitted.tau2[[one, other]]) <= 0:
        return None
    structure, near = _reordered(fitted, one, other)
    place = structure.spread.shape[1]
    excess = _excess(fitted, structure, place, near, level)
    ends = [_crossing(excess, float(near[place]), end) for end in (0.0, structure.last_angle)]
    low, high = sorted(structure.correlation(end) for end in ends)
    return low, high


def _reordered(fitted: MultivariateFit, one: int, other: int) -> tuple[Structure, Array]:
    """Return the structure with two outcomes first, and its parameters at the fit."""
    structure = fitted.structure
    if structure.kind != "UN":
        share = (fitted.rho[one, other] - structure.lowest) / (1 - structure.lowest)
        return structure, np.append(fitted.at[:-1], np.arcsin(np.sqrt(np.clip(share, 0, 1))))
    rest = [at for at in structure.order if at not in (one, other)]
    structure = replace(structure, order=(one, other, *rest))
    return structure, structure.parameters(fitted.joint.between)


def _angles(root: np.ndarray) -> Array:
    """Return the angles of the rows of a lower triangular root of a correlation matrix."""
    found = [
        np.arctan2(np.linalg.norm(row[at + 1 :]), row[at])
        for place, row in enumerate(root)
        for at in range(place)
    ]
    return np.array(found)


def _excess(
    fitted: MultivariateFit, structure: Structure, place: int, near: Array, level: float
) -> Callable[[float], float]:
    """Return by how much the profile falls further than an interval allows."""
    allowed = float(stats.chi2.ppf(level, 1)) / 2

    def excess(value: float) -> float:
        held = _search(fitted.joint.data, structure, fitted.restricted, {place: value}, near)
        return fitted.log_likelihood - held.log_likelihood - allowed

    return excess


def _crossing(excess: Callable[[float], float], inside: float, end: float) -> float:
    """Return where the profile has fallen far enough, or the end if it does not."""
    if inside == end or excess(end) <= 0:
        return end
    return float(optimize.brentq(excess, inside, end, xtol=1e-9, rtol=1e-9))


def residual_q(data: Outcomes) -> tuple[float, int, float]:
    """Return Q of the residuals with sampling weights only, its degrees of freedom and p."""
    m = data.y.shape[1]
    q = data.at(np.zeros((m, m))).rss
    df = int(data.observed.sum()) - data.x.shape[2]
    return q, df, float(special.chdtrc(df, q))
