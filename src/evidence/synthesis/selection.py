"""Selection models: pooling with a model of which results become known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import optimize, stats

from evidence.errors import DataError
from evidence.results import Estimate, Result
from evidence.synthesis.bias import few_study_cautions
from evidence.synthesis.fit import fit, quantile
from evidence.synthesis.pool import decimals_for, number
from evidence.synthesis.regression import p_words
from evidence.synthesis.weighting import Array


def selection_model(
    effects: pd.DataFrame,
    *,
    steps: tuple[float, ...] = (0.025,),
    alternative: str = "",
    model: str = "random",
    shape: str = "step",
) -> Result:
    """Pool with a model of how the p value decides whether a result is known.

    Step functions: Vevea and Hedges 1995 (Psychometrika 60:419-435); with one step at 0.025 the
    three-parameter model. ``shape="beta"`` has one smooth weight ``p^(a-1) (1-p)^(b-1)`` (Citkowicz
    and Vevea 2017). Maximum likelihood.

    Parameters
    ----------
    effects
        One row per study with ``yi`` and ``vi``.
    steps
        One-sided p values at which the chance of being known changes.
    alternative
        ``greater`` or ``less``: the direction in which a p value is small; that of the REML pooled
        effect if empty.
    model
        ``random`` or ``common``.
    shape
        ``step`` or ``beta``.

    Returns
    -------
    Result
        Table with interval or parameter and its relative chance of being known; estimates
        ``adjusted``, ``tau2``, ``LRT``, ``LRT_p``. If there are too few studies or the fit does
        not converge, a result that says so.

    Raises
    ------
    DataError
        If a choice is unknown or steps are not increasing within 0 to 1.
    """
    _check_choices(alternative, model, shape, steps)
    cuts = np.asarray(steps, float)
    usable = effects.dropna(subset=["yi", "vi"])
    if len(usable) < 4:
        return Result.could_not("No selection model", "fewer than four studies")
    y, v = usable["yi"].to_numpy(float), usable["vi"].to_numpy(float)
    alternative = alternative or ("greater" if fit(y, v).b[0] > 0 else "less")
    sign = 1.0 if alternative == "greater" else -1.0
    problem = _Selection(sign * y, v, cuts, shape, model == "random")
    return _selection_result(problem, sign, alternative, steps)


def _check_choices(alternative: str, model: str, shape: str, steps: tuple[float, ...]) -> None:
    for name, value, allowed in (
        ("alternative", alternative, ("", "greater", "less")),
        ("model", model, ("random", "common")),
        ("shape", shape, ("step", "beta")),
    ):
        if value not in allowed:
            listed = " or ".join(filter(None, allowed))
            raise DataError(f"{name} must be {listed}; got {value!r}.")
    inside = len(steps) > 0 and steps[0] > 0 and steps[-1] < 1
    if shape == "step" and not (inside and np.all(np.diff(steps) > 0)):
        raise DataError(f"steps must increase between 0 and 1; got {list(steps)}.")


class _Selection:
    """The likelihood of a selection model, on the scale where effects point upwards."""

    def __init__(self, y: Array, v: Array, steps: Array, shape: str, random: bool) -> None:
        self.y, self.v, self.steps, self.shape, self.random = y, v, steps, shape, random
        self.se = np.sqrt(v)
        self.p = np.clip(stats.norm.sf(y / self.se), 1e-16, 1 - 1e-16)
        self.nodes, self.node_weights = np.polynomial.legendre.leggauss(200)
        self.extra = len(steps) if shape == "step" else 2

    def unpack(self, theta: Array) -> tuple[float, float, Array]:
        """Return pooled effect, between-study variance and weight parameters."""
        tau2 = float(np.exp(theta[1])) if self.random else 0.0
        return float(theta[0]), tau2, np.exp(theta[1 + self.random :])

    def log_likelihood(self, theta: Array) -> float:
        """Return the log-likelihood."""
        mu, tau2, weights = self.unpack(theta)
        spread = np.sqrt(self.v + tau2)
        density = stats.norm.logpdf(self.y, mu, spread)
        if self.shape == "step":
            own = np.log(np.r_[1.0, weights][np.searchsorted(self.steps, self.p)])
            known = self._known_by_steps(mu, spread, np.r_[1.0, weights])
        else:
            own = (weights[0] - 1) * np.log(self.p) + (weights[1] - 1) * np.log1p(-self.p)
            known = self._known_by_beta(mu, spread, weights)
        return float(np.sum(density + own - np.log(known)))

    def _known_by_steps(self, mu: float, spread: Array, weights: Array) -> Array:
        cuts = stats.norm.isf(self.steps)[None, :] * self.se[:, None]
        above = stats.norm.sf((cuts - mu) / spread[:, None])
        edges = np.column_stack([np.zeros(len(self.y)), above, np.ones(len(self.y))])
        return np.diff(edges, axis=1) @ weights

    def _known_by_beta(self, mu: float, spread: Array, weights: Array) -> Array:
        z = 8 * self.nodes[None, :]
        x = mu + spread[:, None] * z
        p = np.clip(stats.norm.sf(x / self.se[:, None]), 1e-16, 1 - 1e-16)
        weight = p ** (weights[0] - 1) * (1 - p) ** (weights[1] - 1)
        return np.asarray((weight * stats.norm.pdf(z)) @ (8 * self.node_weights))

    def start(self) -> Array:
        """Return starting values from the model without selection."""
        plain = fit(
            self.y, self.v, tau2="ML", model="random" if self.random else "common", test="z"
        )
        log_tau2 = [np.log(max(plain.tau2, 0.01 * float(np.median(self.v))))] if self.random else []
        return np.r_[plain.b[0], log_tau2, np.zeros(self.extra)]

    def maximise(self) -> optimize.OptimizeResult:
        """Return the best of several starts, each by a simplex then by a gradient."""
        best = None
        for shift in (0.0, -1.0, 1.0):
            begin = self.start() + np.r_[np.zeros(1 + self.random), np.full(self.extra, shift)]
            rough = optimize.minimize(
                self._cost, begin, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-11}
            )
            fine = optimize.minimize(self._cost, rough.x, method="BFGS", options={"gtol": 1e-7})
            winner = fine if fine.fun <= rough.fun else rough
            if best is None or winner.fun < best.fun:
                best = winner
        return best

    def _cost(self, theta: Array) -> float:
        with np.errstate(all="ignore"):
            value = -self.log_likelihood(theta)
        return value if np.isfinite(value) else 1e10


def _selection_result(
    problem: _Selection, sign: float, alternative: str, steps: tuple[float, ...]
) -> Result:
    settings = {"steps": list(steps), "alternative": alternative, "shape": problem.shape}
    found = problem.maximise()
    mu, tau2, weights = problem.unpack(found.x)
    error = _selection_error(problem, found.x)
    plain = fit(
        problem.y, problem.v, tau2="ML", model="random" if problem.random else "common", test="z"
    )
    unselected = -float(plain.log_likelihoods[0])
    lrt = max(0.0, 2 * (unselected + problem.log_likelihood(found.x)))
    if not np.isfinite(error) or np.any(weights > 1e4) or np.any(weights < 1e-6):
        return Result.could_not(
            "No selection model", "the likelihood has no maximum inside its range", **settings
        )
    half = quantile(0.975, None) * error
    low, high = sorted((sign * mu - half, sign * mu + half))
    adjusted = Estimate(
        key="adjusted", value=sign * mu, low=low, high=high, se=error, level=0.95, k=plain.k
    )
    decimals = decimals_for(low, high)
    limits = f"{number(low, decimals)} to {number(high, decimals)}"
    return Result(
        text=f"Allowing for selection by p value, the pooled effect is "
        f"{number(sign * mu, decimals)} (95 % interval {limits}; p of selection "
        f"{p_words(float(stats.chi2.sf(lrt, problem.extra)))}).",
        estimates=(
            adjusted,
            Estimate(key="tau2", value=tau2, k=plain.k),
            Estimate(key="log_likelihood", value=problem.log_likelihood(found.x)),
            Estimate(key="LRT", value=lrt, k=plain.k),
            Estimate(key="LRT_p", value=float(stats.chi2.sf(lrt, problem.extra)), k=plain.k),
        ),
        table=_weight_table(problem, weights),
        settings=settings,
        cautions=tuple(few_study_cautions(plain.k)),
    )


def _weight_table(problem: _Selection, weights: Array) -> pd.DataFrame:
    if problem.shape == "beta":
        return pd.DataFrame({"parameter": ["a", "b"], "weight": weights})
    edges = [0.0, *problem.steps.tolist(), 1.0]
    inside = np.searchsorted(problem.steps, problem.p)
    return pd.DataFrame(
        {
            "p_from": edges[:-1],
            "p_to": edges[1:],
            "weight": np.r_[1.0, weights],
            "k": np.bincount(inside, minlength=len(edges) - 1),
        }
    )


def _selection_error(problem: _Selection, theta: Array) -> float:
    """Return the standard error of the pooled effect from the numerical Hessian.

    A between-study variance at its boundary is held there.
    """
    free = np.ones(len(theta), bool)
    if problem.random and theta[1] < np.log(1e-5 * float(np.median(problem.v))):
        free[1] = False
    hessian = _hessian(problem.log_likelihood, theta, np.flatnonzero(free))
    try:
        covariance = np.linalg.inv(-hessian)
    except np.linalg.LinAlgError:
        return float("nan")
    return float(np.sqrt(covariance[0, 0])) if covariance[0, 0] > 0 else float("nan")


def _hessian(function: Callable[[Array], float], at: Array, which: np.ndarray) -> Array:
    step = 1e-4 * np.maximum(1.0, np.abs(at))
    found = np.empty((len(which), len(which)))
    for row, i in enumerate(which):
        for column, j in enumerate(which[: row + 1]):
            total = 0.0
            for si in (1.0, -1.0):
                for sj in (1.0, -1.0):
                    moved = at.copy()
                    moved[i] += si * step[i]
                    moved[j] += sj * step[j]
                    total += si * sj * function(moved)
            found[row, column] = found[column, row] = total / (4 * step[i] * step[j])
    return found
