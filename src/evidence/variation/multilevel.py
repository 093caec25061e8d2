"""Random-intercept models: how much groups differ once chance and covariates are allowed for.

Binomial and Poisson models are fitted by maximum likelihood, the integral over a group's effect
by Laplace's approximation or adaptive Gauss-Hermite quadrature (Pinheiro and Bates, J Comput Graph
Stat 1995;4:12-35); Gaussian models by (restricted) maximum likelihood in the ratio of the two
variances, which is exact for one grouping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from evidence.errors import DataError, require_choice, require_columns
from evidence.results import Caution, Estimate, Result
from evidence.variation import words
from evidence.variation.checks import counts

Array = np.ndarray

FAMILIES = ("binomial", "poisson", "gaussian")
LATENT = np.pi**2 / 3
"""Variance of the standard logistic distribution: the level-1 variance on the latent scale."""
FEW_GROUPS = 10
MANY_GROUPS = 500
"""Above this number of groups the spread's interval is Wald's on the logarithm: its profile is
slow, and differs by less than a hundredth of its width."""
SINGULAR = 1e-4
"""A standard deviation between groups below this is on its boundary, 0."""


def random_intercept(
    table: pd.DataFrame,
    *,
    outcome: str,
    group: str,
    family: str = "binomial",
    trials: str | None = None,
    exposure: str | None = None,
    covariates: Sequence[str] = (),
    quadrature: int = 1,
    reml: bool = True,
    level: float = 0.95,
    interval: bool = True,
    indicator: str = "",
) -> Result:
    """Return how much groups differ, and each group's effect shrunk by its own noise.

    Parameters
    ----------
    table
        One row per group, or several (periods, patients).
    outcome
        Column of events, or of the measured value.
    group
        Column of groups.
    family
        ``binomial`` (with `trials`), ``poisson`` (with `exposure`) or ``gaussian``.
    trials, exposure
        Column of people; column of expected events or person-time.
    covariates
        Columns; text is coded against its first value in order.
    quadrature
        Points of the quadrature: 1 is Laplace's approximation, which is enough where groups have
        many events; more points matter for small groups, and change the variance.
    reml
        Gaussian models only: restricted maximum likelihood.
    level, interval
        Coverage of the profile-likelihood interval of the spread (for more than 500 groups the
        Wald interval of its logarithm), and whether to compute it.
    indicator
        Words for the reader.

    Returns
    -------
    Result
        Table: one row per group, sorted, with `group`, `effect` (conditional mode), `effect_se`,
        `reliability` (share of the effect's variance that is signal). Estimates: `fixed.<name>`,
        `sd_group` with interval, `var_group`, `loglik`; `icc` and `mor` (median odds ratio) for
        binomial, `mor` (median rate ratio) for Poisson, `icc` and `var_residual` for Gaussian.

    Raises
    ------
    DataError
        If columns are absent or hold no numbers, counts are impossible, a measured value does not
        vary, covariates are collinear, a row has no group, or there are fewer than three groups.

    References
    ----------
    Larsen and Merlo, Am J Epidemiol 2005;161:81-88 (MOR); Goldstein et al., Understanding
    Statistics 2002;1:223-231 (latent-scale ICC).
    """
    require_choice(family, FAMILIES, "family")
    need = [outcome, group, *covariates, *(name for name in (trials, exposure) if name)]
    require_columns(table, need, "a random-intercept model")
    if quadrature < 1:
        raise DataError(f"quadrature must be 1 point or more; got {quadrature}. Use 1 for Laplace.")
    design, names = _design(table, covariates)
    codes, groups = pd.factorize(table[group], sort=True)
    if (codes < 0).any():
        raise DataError(
            f"every row needs its group; rows {np.flatnonzero(codes < 0)[:5].tolist()} have none "
            f"in {group!r}. Name it, or leave them out."
        )
    if len(groups) < 3:
        raise DataError(f"a random intercept needs three groups or more; got {len(groups)}.")
    if family == "gaussian":
        fit = _gaussian(
            table[outcome].to_numpy(dtype=float), design, codes, reml, level if interval else None
        )
    else:
        problem = _problem(table, outcome, trials, exposure, family, design, codes)
        fit = _fit(problem, quadrature, level if interval else None)
    settings = {
        "method": "random_intercept",
        "family": family,
        "covariates": list(covariates),
        "approximation": _approximation(family, quadrature, reml),
        "quadrature": quadrature,
        "level": level,
        "icc_scale": "observed" if family == "gaussian" else "latent (variance π²/3)",
    }
    return _as_result(fit, groups, names, family, level, settings, indicator)


def _approximation(family: str, quadrature: int, reml: bool) -> str:
    if family == "gaussian":
        return "restricted maximum likelihood" if reml else "maximum likelihood"
    return "Laplace" if quadrature == 1 else f"adaptive quadrature, {quadrature} points"


def _design(table: pd.DataFrame, covariates: Sequence[str]) -> tuple[Array, list[str]]:
    columns, names = [np.ones(len(table))], ["intercept"]
    for name in covariates:
        if pd.api.types.is_numeric_dtype(table[name]):
            columns.append(table[name].to_numpy(dtype=float))
            names.append(name)
            continue
        for value in sorted(table[name].astype("str").unique())[1:]:
            columns.append((table[name].astype("str") == value).to_numpy(dtype=float))
            names.append(f"{name}.{value}")
    design = np.column_stack(columns)
    if np.isnan(design).any():
        raise DataError("covariates must have a value in every row; some are missing. Drop them.")
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise DataError(f"covariates must not repeat each other; {names} do. Leave one out.")
    return design, names


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """Counts, denominators and design of a binomial or Poisson model; rows with their group."""

    y: Array
    n: Array
    design: Array
    codes: Array
    groups: int
    family: str

    def total(self, rows: Array) -> Array:
        return np.bincount(self.codes, rows, self.groups)

    def terms(self, eta: Array) -> tuple[Array, Array, Array]:
        """Return log-likelihood, mean and weight of each row, without constants."""
        if self.family == "binomial":
            mean = self.n * special.expit(eta)
            return self.y * eta - self.n * np.logaddexp(0, eta), mean, mean * (1 - mean / self.n)
        mean = self.n * np.exp(eta)
        return self.y * (eta + np.log(self.n)) - mean, mean, mean

    @property
    def constant(self) -> float:
        if self.family == "binomial":
            choose = special.gammaln(self.n + 1) - special.gammaln(self.y + 1)
            return float(np.sum(choose - special.gammaln(self.n - self.y + 1)))
        return float(-np.sum(special.gammaln(self.y + 1)))


def _problem(
    table: pd.DataFrame,
    outcome: str,
    trials: str | None,
    exposure: str | None,
    family: str,
    design: Array,
    codes: Array,
) -> _Problem:
    column = trials if family == "binomial" else exposure
    if family == "binomial" and column is None:
        raise DataError("a binomial model needs the column of people; name it as trials.")
    y = counts(table, outcome)
    n = counts(table, column) if column else np.ones(len(y))
    wrong = np.isnan(y) | np.isnan(n) | (n == 0)
    if family == "binomial":
        wrong |= y > n
    if wrong.any():
        raise DataError(
            f"every row of a {family} model needs events and a positive denominator that holds "
            f"them; rows {np.flatnonzero(wrong)[:5].tolist()} do not. Leave them out."
        )
    return _Problem(y, n, design, codes, int(codes.max()) + 1, family)


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """What every family's fit gives."""

    beta: Array
    beta_se: Array
    sd: float
    sd_interval: tuple[float, float] | None
    icc_interval: tuple[float, float] | None
    loglik: float
    effect: Array
    effect_se: Array
    residual: float | None
    reliability: Array
    converged: bool


class _Likelihood:
    """The marginal likelihood; the modes of the last point start the next search."""

    def __init__(self, problem: _Problem, quadrature: int) -> None:
        self.problem = problem
        self.modes = np.zeros(problem.groups)
        node, weight = np.polynomial.hermite.hermgauss(quadrature)
        self.nodes, self.log_weights = node, np.log(weight) + node**2

    def __call__(self, point: Array) -> float:
        """Return minus the log-likelihood at (β…, σ), without constants."""
        beta, sd = point[:-1], abs(float(point[-1]))
        offset = self.problem.design @ beta
        curvature = self._seek(offset, sd)
        width = np.sqrt(2 / curvature)
        at = [self._joint(offset, sd, self.modes + width * node) for node in self.nodes]
        inside = special.logsumexp(np.array(at) + self.log_weights[:, None], axis=0)
        return float(-np.sum(inside + np.log(width) - 0.5 * np.log(2 * np.pi)))

    def _joint(self, offset: Array, sd: float, effect: Array) -> Array:
        """Return the log density of each group's data and its standardised effect."""
        value, _, _ = self.problem.terms(offset + sd * effect[self.problem.codes])
        return self.problem.total(value) - effect**2 / 2

    def _seek(self, offset: Array, sd: float) -> Array:
        """Move the modes to their place for this point; return the curvature there."""
        problem, effect = self.problem, self.modes
        for _ in range(60):
            _, mean, weight = problem.terms(offset + sd * effect[problem.codes])
            slope = sd * problem.total(problem.y - mean) - effect
            curvature = 1 + sd**2 * problem.total(weight)
            step = np.clip(slope / curvature, -2, 2)
            effect = effect + step
            if np.abs(step).max() < 1e-11:
                break
        self.modes = effect
        _, _, weight = problem.terms(offset + sd * effect[problem.codes])
        return 1 + sd**2 * problem.total(weight)

    def effects(self, point: Array) -> tuple[Array, Array]:
        """Return each group's effect and its standard error, on the linear scale."""
        sd = abs(float(point[-1]))
        curvature = self._seek(self.problem.design @ point[:-1], sd)
        return sd * self.modes, sd / np.sqrt(curvature)


def _fit(problem: _Problem, quadrature: int, level: float | None) -> _Fit:
    likelihood = _Likelihood(problem, quadrature)
    start = np.append(_without_groups(problem), 0.5)
    found = optimize.minimize(likelihood, start, method="BFGS", options={"gtol": 1e-4})
    point = found.x
    gradient, hessian = _derivatives(likelihood, point)
    for _ in range(8):
        if abs(point[-1]) < SINGULAR or np.abs(gradient).max() < 1e-7:
            break
        step = np.linalg.solve(hessian, gradient)
        if likelihood(point - step) > likelihood(point) + 1e-9:
            break
        point = point - step
        gradient, hessian = _derivatives(likelihood, point)
    point[-1] = abs(point[-1])
    singular = point[-1] < SINGULAR
    information = hessian[:-1, :-1] if singular else hessian
    errors = np.sqrt(np.diag(np.linalg.inv(information)))[: len(point) - 1]
    best = likelihood(point)
    interval = None
    if level is not None and problem.groups <= MANY_GROUPS:
        interval = _profile(likelihood, point, best, level)
    elif level is not None:
        interval = _wald(float(point[-1]), float(np.linalg.inv(hessian)[-1, -1]), level)
    effect, effect_se = likelihood.effects(point)
    sd = 0.0 if singular else float(point[-1])
    noise = effect_se**2 / sd**2 if sd else np.ones(problem.groups)
    return _Fit(
        beta=point[:-1],
        beta_se=errors,
        sd=sd,
        sd_interval=interval,
        icc_interval=None
        if interval is None or problem.family != "binomial"
        else (_latent_icc(interval[0]), _latent_icc(interval[1])),
        loglik=problem.constant - best,
        effect=effect,
        effect_se=effect_se,
        residual=None,
        reliability=1 - noise,
        converged=bool(np.abs(gradient[:-1]).max() < 1e-2),
    )


def _without_groups(problem: _Problem) -> Array:
    """Return the coefficients of the model without groups, by scoring."""
    beta = np.zeros(problem.design.shape[1])
    share = problem.y.sum() / problem.n.sum()
    if not 0 < share < (1 if problem.family == "binomial" else np.inf):
        raise DataError("a model needs events and, in a proportion, non-events; one is missing.")
    beta[0] = special.logit(share) if problem.family == "binomial" else np.log(share)
    for _ in range(25):
        _, mean, weight = problem.terms(problem.design @ beta)
        score = problem.design.T @ (problem.y - mean)
        step = np.linalg.solve(problem.design.T @ (problem.design * weight[:, None]), score)
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return beta


def _derivatives(function: Any, point: Array) -> tuple[Array, Array]:
    """Return gradient and Hessian by central differences."""
    size = len(point)
    h = 1e-4 * np.maximum(np.abs(point), 0.1)
    steps = np.diag(h)
    centre = function(point)
    up = np.array([function(point + step) for step in steps])
    down = np.array([function(point - step) for step in steps])
    hessian = np.diag((up - 2 * centre + down) / h**2)
    for i in range(size):
        for j in range(i):
            cross = [
                function(point + a * steps[i] + b * steps[j]) for a in (1, -1) for b in (1, -1)
            ]
            hessian[i, j] = hessian[j, i] = (cross[0] - cross[1] - cross[2] + cross[3]) / (
                4 * h[i] * h[j]
            )
    return (up - down) / (2 * h), hessian


def _wald(sd: float, variance: float, level: float) -> tuple[float, float]:
    """Return the interval of σ on its logarithm, which serves where groups are many."""
    reach = np.exp(stats.norm.isf((1 - level) / 2) * np.sqrt(variance) / max(sd, SINGULAR))
    return sd / reach, sd * reach


def _latent_icc(sd: float) -> float:
    return sd**2 / (sd**2 + LATENT)


def _profile(
    likelihood: _Likelihood, point: Array, best: float, level: float
) -> tuple[float, float]:
    """Return the profile-likelihood interval of σ; its lower end is 0 where 0 is not excluded."""
    limit = best + stats.chi2.ppf(level, 1) / 2
    beta = point[:-1].copy()

    def excess(sd: float) -> float:
        nonlocal beta
        found = optimize.minimize(
            lambda trial: likelihood(np.append(trial, sd)),
            beta,
            method="BFGS",
            options={"gtol": 1e-3},
        )
        beta = found.x
        return float(found.fun - limit)

    low, centre = 0.0, float(point[-1])
    if excess(0.0) > 0:
        low = optimize.brentq(excess, 0.0, centre, xtol=1e-4 * max(centre, 0.01))
    beta, top = point[:-1].copy(), max(2 * centre, 0.1)
    while excess(top) < 0 and top < 50:
        top *= 2
    high = optimize.brentq(excess, centre, top, xtol=1e-4 * max(centre, 0.01))
    return float(low), float(high)


def _gaussian(y: Array, design: Array, codes: Array, reml: bool, level: float | None) -> _Fit:
    if np.isnan(y).any():
        raise DataError("every row of a Gaussian model needs a value; some are missing. Drop them.")
    if np.ptp(y) == 0:
        raise DataError(
            f"a Gaussian model needs values that vary; all {len(y)} are {y[0]:g}. Take another."
        )
    model = _Balance(y, design, codes, reml)
    found = optimize.minimize_scalar(
        lambda log_ratio: model.deviance(np.exp(log_ratio)),
        bounds=(-14, 14),
        method="bounded",
        options={"xatol": 1e-10},
    )
    ratio = float(np.exp(found.x))
    if model.deviance(0.0) <= found.fun + 1e-9:
        ratio = 0.0
    beta, inverse, residual = model.solve(ratio)
    gap = np.bincount(codes, y - design @ beta) / model.size
    reliability = model.size * ratio / (1 + model.size * ratio)
    effect_se = np.sqrt(ratio * residual * (1 - reliability))
    return _Fit(
        beta=beta,
        beta_se=np.sqrt(residual * np.diag(inverse)),
        sd=float(np.sqrt(ratio * residual)),
        sd_interval=None,
        icc_interval=None if level is None else model.interval(ratio, level),
        loglik=-0.5 * model.deviance(ratio),
        effect=reliability * gap,
        effect_se=effect_se,
        residual=residual,
        reliability=reliability,
        converged=bool(found.success),
    )


class _Balance:
    """The likelihood of a Gaussian random intercept, in the ratio of the two variances."""

    def __init__(self, y: Array, design: Array, codes: Array, reml: bool) -> None:
        self.size = np.bincount(codes).astype(float)
        self.reml = reml
        both = np.column_stack([design, y])
        self.square = both.T @ both
        self.sums = np.column_stack([np.bincount(codes, column) for column in both.T])
        self.free = len(y) - (design.shape[1] if reml else 0)

    def solve(self, ratio: float) -> tuple[Array, Array, float]:
        """Return coefficients, the inverse of their information, and the residual variance."""
        share = ratio / (1 + self.size * ratio)
        whole = self.square - self.sums.T @ (self.sums * share[:, None])
        inverse = np.linalg.inv(whole[:-1, :-1])
        beta = inverse @ whole[:-1, -1]
        return beta, inverse, float((whole[-1, -1] - beta @ whole[:-1, -1]) / self.free)

    def deviance(self, ratio: float) -> float:
        """Return minus twice the (restricted) log-likelihood."""
        _, inverse, residual = self.solve(ratio)
        value = self.free * (np.log(2 * np.pi * residual) + 1)
        value += np.log1p(self.size * ratio).sum()
        return float(value - (np.linalg.slogdet(inverse)[1] if self.reml else 0.0))

    def interval(self, ratio: float, level: float) -> tuple[float, float]:
        """Return the profile-likelihood interval of the share of variance between groups."""
        limit = self.deviance(ratio) + stats.chi2.ppf(level, 1)

        def excess(share: float) -> float:
            return self.deviance(share / (1 - share)) - limit

        share, top = ratio / (1 + ratio), 1 - 1e-9
        low = float(optimize.brentq(excess, 0.0, share)) if excess(0.0) > 0 else 0.0
        high = float(optimize.brentq(excess, share, top)) if excess(top) > 0 else 1.0
        return low, high


def _as_result(
    fit: _Fit,
    groups: pd.Index,
    names: list[str],
    family: str,
    level: float,
    settings: dict[str, Any],
    indicator: str,
) -> Result:
    about: dict[str, Any] = {"outcome": indicator, "k": len(groups), "design": "descriptive"}
    z = stats.norm.isf((1 - level) / 2)
    low, high = fit.sd_interval or (None, None)
    fixed = [
        Estimate(
            key=f"fixed.{_key(name)}",
            value=value,
            low=value - z * error,
            high=value + z * error,
            level=level,
            se=error,
            scale={"binomial": "log odds", "poisson": "log rate"}.get(family, "natural"),
            **about,
        )
        for name, value, error in zip(names, fit.beta, fit.beta_se, strict=True)
    ]
    spread = Estimate(
        key="sd_group",
        value=fit.sd,
        low=low,
        high=high,
        level=level if low is not None else None,
        measure="standard deviation between groups",
        **about,
    )
    return Result(
        text=_finding(fit, family, len(groups), indicator),
        estimates=(*fixed, spread, *_spread_measures(fit, family, about)),
        table=pd.DataFrame(
            {
                "group": pd.Series(groups.astype("str"), dtype="str"),
                "effect": fit.effect,
                "effect_se": fit.effect_se,
                "reliability": fit.reliability,
            }
        ),
        settings=settings,
        cautions=_doubts(fit, len(groups)),
    )


def _key(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in name)


def median_odds_ratio(variance: float) -> float:
    """Return the median ratio of odds (or rates) between two groups drawn at random.

    References
    ----------
    Larsen and Merlo, Am J Epidemiol 2005;161:81-88.
    """
    return float(np.exp(np.sqrt(2 * variance) * stats.norm.ppf(0.75)))


def _spread_measures(fit: _Fit, family: str, about: dict[str, Any]) -> list[Estimate]:
    variance = fit.sd**2
    found = {"var_group": variance, "loglik": fit.loglik}
    if family != "gaussian":
        found["mor"] = median_odds_ratio(variance)
    limits: dict[str, tuple[float, float]] = {}
    if family == "binomial":
        found["icc"] = _latent_icc(fit.sd)
    if fit.residual is not None:
        found |= {"var_residual": fit.residual, "icc": variance / (variance + fit.residual)}
    if fit.icc_interval:
        limits["icc"] = fit.icc_interval
    if fit.sd_interval:
        low, high = (median_odds_ratio(sd**2) for sd in fit.sd_interval)
        limits["mor"] = (low, high)
    made = []
    for key, value in found.items():
        ends: dict[str, Any] = dict(zip(("low", "high"), limits.get(key, ()), strict=False))
        made.append(Estimate(key=key, value=value, **ends, **about))
    return made


def _finding(fit: _Fit, family: str, groups: int, indicator: str) -> str:
    name = indicator or "This outcome"
    if fit.sd == 0:
        return f"{name}: the {words.plural(groups, 'group')} differ no more than chance explains."
    if family == "gaussian":
        share = fit.sd**2 / (fit.sd**2 + (fit.residual or 0.0))
        return (
            f"{name}: {100 * share:.0f}\u00a0% of the variance lies between "
            f"{words.plural(groups, 'group')} (standard deviation {words.number(fit.sd)})."
        )
    what = "odds differ" if family == "binomial" else "rate differs"
    ratio = median_odds_ratio(fit.sd**2)
    return (
        f"{name}: between two of {words.plural(groups, 'group')} drawn at random the {what} by a "
        f"factor of {ratio:.2f} in the median, beyond chance."
    )


def _doubts(fit: _Fit, groups: int) -> tuple[Caution, ...]:
    doubts = []
    if not fit.converged:
        doubts.append(Caution("not_converged", "The search for the best fit did not settle."))
    if fit.sd == 0:
        doubts.append(
            Caution("boundary", "The spread between groups is estimated as 0, its boundary.")
        )
    if groups < FEW_GROUPS:
        doubts.append(
            Caution("few_units", f"Only {groups} groups: the spread between them is uncertain.")
        )
    return tuple(doubts)
