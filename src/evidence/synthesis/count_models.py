"""Pooling of rare events by their likelihood: logistic and Poisson mixed models, beta-binomial.

The counts are taken as they are: no continuity correction, and a study without events in one group
stays in. Effects may differ between studies, which Mantel-Haenszel and Peto do not allow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from evidence.errors import DataError
from evidence.results import Caution, Direction, Estimate, Result
from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.fit import check_level, fit
from evidence.synthesis.likelihoods import (
    NO_SPREAD,
    ModelFit,
    binomial_terms,
    hypergeometric_terms,
    normal_effects,
    poisson_terms,
    smallest,
    standard_error,
)
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.pool import (
    AT_ZERO,
    FEW_STUDIES,
    decimals_for,
    interval_words,
    only_few,
)
from evidence.synthesis.rare import Counts, counts, pooled_counts
from evidence.synthesis.regression import p_words
from evidence.synthesis.study_effects import Arms, fixed_levels, random_levels
from evidence.synthesis.weighting import Array


def beta_binomial(events: Array, trials: Array, second: Array | None = None) -> ModelFit:
    """Fit beta-binomial groups whose logit mean is shared, or differs by being a first group.

    Kuss 2015 (Statistics in Medicine 34:1097-1116): groups of people share a chance that follows a
    beta distribution with the same intra-group correlation everywhere.

    Parameters
    ----------
    events, trials
        Events and sizes of the groups, shape (m,).
    second
        0 for the first and 1 for the second group of a study, shape (m,); the effect is the log
        odds ratio of first against second. Without it the effect is the log odds.
    """
    group = np.zeros(len(events)) if second is None else 1.0 - np.asarray(second, float)

    def cost(theta: Array) -> float:
        effect, level, log_odds_rho = (theta[0], theta[1], theta[2])
        eta = level + effect * group if second is not None else effect + 0.0 * group
        return -float(np.sum(_beta_binomial(events, trials, eta, special.expit(log_odds_rho))))

    overall = float(special.logit((events.sum() + 0.5) / (trials.sum() + 1)))
    start = [0.0 if second is not None else overall, overall, -3.0]
    best = smallest(cost, np.array(start))
    order = [0, 2] if second is None else [0, 1, 2]
    at, rho = best.x, float(special.expit(best.x[2]))
    if rho < NO_SPREAD**2:
        order, rho = order[:-1], 0.0

    def of(free: Array) -> float:
        moved = at.copy()
        moved[order] = free
        return cost(moved)

    se = standard_error(of, at[order], range(len(order)))
    return ModelFit(float(at[0]), se, None, -float(best.fun), correlation=rho)


def _beta_binomial(events: Array, trials: Array, eta: Array, rho: float) -> Array:
    if rho < NO_SPREAD**2:
        return np.asarray(events * eta - trials * np.logaddexp(0, eta))
    p, size = special.expit(eta), (1 - rho) / rho
    alpha, beta = p * size, (1 - p) * size
    return np.asarray(
        special.betaln(events + alpha, trials - events + beta) - special.betaln(alpha, beta)
    )


def binomial_normal(events: Array, trials: Array) -> ModelFit:
    """Fit ``events ~ Binomial(trials, logit(mu + u))`` with u normal: the model of proportions."""
    start = float(special.logit(np.clip(events.sum() / trials.sum(), 0.01, 0.99)))
    return normal_effects(binomial_terms(events, trials), len(events), start)


def poisson_normal(events: Array, times: Array) -> ModelFit:
    """Fit ``events ~ Poisson(times * exp(mu + u))`` with u normal: the model of rates."""
    start = float(np.log(events.sum() / times.sum()))
    return normal_effects(poisson_terms(events, times), len(events), start)


def approximate_conditional(t: Counts) -> ModelFit:
    """Fit the events of group 1 as a share of all, which holds where events are rare (CM.AL)."""
    return normal_effects(binomial_terms(t.a, t.a + t.c, np.log(t.n1 / t.n2)), len(t.a))


def exact_conditional(t: Counts) -> ModelFit:
    """Fit the noncentral hypergeometric distribution of the events of group 1 (CM.EL)."""
    return normal_effects(hypergeometric_terms(t), len(t.a))


def both_arms(t: Counts) -> ModelFit:
    """Fit both groups of all studies as beta-binomial."""
    second = np.repeat([0.0, 1.0], len(t.a))
    return beta_binomial(np.r_[t.a, t.c], np.r_[t.n1, t.n2], second)


MODELS: dict[str, dict[str, tuple[str, Callable[[Counts], ModelFit]]]] = {
    "OR": {
        "UM.FS": ("logistic model with a level for each study", lambda t: fixed_levels(Arms(t))),
        "UM.RS": ("logistic model with random levels", lambda t: random_levels(Arms(t))),
        "CM.EL": ("exact conditional logistic model", exact_conditional),
        "CM.AL": ("approximate conditional logistic model", approximate_conditional),
        "BB": ("beta-binomial model", both_arms),
    },
    "IRR": {
        "UM.FS": (
            "Poisson model with a level for each study",
            lambda t: fixed_levels(Arms(t, rates=True)),
        ),
        "UM.RS": (
            "Poisson model with random levels",
            lambda t: random_levels(Arms(t, rates=True)),
        ),
        "CM.EL": ("conditional Poisson model", approximate_conditional),
    },
}
"""Measure and model to its words and its fit. Given their total, counts of two rates are binomial,
so that the conditional model of rates is exact."""


def pool_by_likelihood(
    studies: pd.DataFrame,
    *,
    measure: str,
    direction_better: Direction,
    model: str = "CM.EL",
    level: float = 0.95,
    outcome: str = "",
    **columns: str,
) -> Result:
    """Pool counts of rare events by maximum likelihood, with effects that may differ.

    The default conditions on the events of each study, so that nothing must be assumed about the
    levels of risk; with a level per study (``UM.FS``) estimates of many small studies are biased
    away from no effect (Jackson et al. 2018).

    Parameters
    ----------
    studies
        One row per study.
    measure
        ``OR`` or, for rates, ``IRR``.
    direction_better
        ``higher``, ``lower`` or ``none``.
    model
        ``CM.EL`` (exact conditional), ``CM.AL`` (approximate conditional, odds ratios only),
        ``UM.FS`` (a level per study), ``UM.RS`` (random levels) or ``BB`` (beta-binomial, odds
        ratios only).
    level
        Coverage of the interval.
    outcome
        Words for the sentence.
    **columns
        Column names by letter, as for `effect_sizes`.

    Returns
    -------
    Result
        Estimates ``pooled`` (reader's scale), ``p``, ``tau2`` and ``I2`` (for ``BB`` instead
        ``correlation``), and where the model has them the tests of one common effect
        ``QE_wald``, ``QE_ratio`` with p values. Table: the studies with yi and vi. Fewer than two
        informative studies, or counts whose ratio is infinite or 0: a result that says so.

    Raises
    ------
    DataError
        If the measure or model is unknown or counts are impossible; rows are named.
    """
    check_level(level)
    words, model_of = _chosen(measure, model)
    rules: dict[str, Any] = dict(columns)
    table = effect_sizes(studies, measure=measure, double_zeros="drop", **rules)
    rates = measure == "IRR"
    every = counts(table, rates=rates, **columns)
    used = every.with_events() if rates else every.informative()
    settings = {"measure": measure, "model": model, "level": level}
    settings |= {"direction_better": direction_better, "studies": len(every.a)}
    refusal = _too_little(used) or ("" if rates else _infinite(used, model))
    if refusal:
        return Result.could_not("Not pooled", refusal, **settings)
    found = model_of(used)
    estimates = _model_estimates(found, used, table, measure, direction_better, level)
    pooled = estimates[0]
    subject = f"{outcome}: " if outcome else ""
    limits = interval_words(pooled, decimals_for(pooled.low, pooled.high))
    return Result(
        text=f"{subject}{len(used.a)} of {len(every.a)} studies, {words}: {MEASURES[measure].name} "
        f"{limits}, p {p_words(estimates[1].value or 0.0)}.",
        estimates=estimates,
        table=table.reset_index(drop=True),
        settings=settings | {"studies_used": len(used.a)},
        cautions=tuple(_model_cautions(found, len(used.a), len(every.a))),
    )


def _chosen(measure: str, model: str) -> tuple[str, Callable[[Counts], ModelFit]]:
    if measure not in MODELS:
        raise DataError(f"measure must be one of {', '.join(MODELS)}; got {measure!r}.")
    if model not in MODELS[measure]:
        raise DataError(
            f"model must be one of {', '.join(MODELS[measure])} for {measure}; got {model!r}."
        )
    return MODELS[measure][model]


def _too_little(t: Counts) -> str:
    if len(t.a) < 2:
        return "fewer than two studies have events"
    if t.a.sum() * t.c.sum() == 0:
        return "no events in one of the groups in all studies together"
    return ""


def _infinite(t: Counts, model: str) -> str:
    """Return why no odds ratio above 0 is finite here, or nothing."""
    b, d = t.n1 - t.a, t.n2 - t.c
    if b.sum() * d.sum() == 0:
        return "no one without events in one of the groups in all studies together"
    one_sided = np.all(t.a * d == 0) or np.all(b * t.c == 0)
    if model in ("CM.EL", "UM.FS") and one_sided:
        return "each study's odds ratio is infinite, or each is 0"
    return ""


def typical_variance(table: pd.DataFrame) -> float:
    """Return the typical sampling variance of corrected effects, as I² needs it."""
    usable = table.dropna(subset=["yi", "vi"])
    return fit(usable["yi"], usable["vi"]).typical_v


def _model_estimates(
    found: ModelFit,
    used: Counts,
    table: pd.DataFrame,
    measure: str,
    direction_better: Direction,
    level: float,
) -> tuple[Estimate, ...]:
    pooled = pooled_counts(found.mu, found.se, used, measure, direction_better, level)
    numbers: dict[str, float | None] = {
        "p": float(2 * special.ndtr(-abs(found.mu / found.se))),
        "tau2": found.tau2,
        "correlation": found.correlation,
        "QE_wald": found.wald,
        "QE_ratio": found.likelihood_ratio,
    }
    if found.tau2 is not None:
        numbers["I2"] = 100 * found.tau2 / (found.tau2 + typical_variance(table))
    for key in ("QE_wald", "QE_ratio"):
        statistic = numbers[key]
        if statistic is not None:
            numbers[f"{key}_p"] = float(special.chdtrc(found.df, statistic))
    known = ((key, value) for key, value in numbers.items() if value is not None)
    return (
        pooled,
        *(Estimate(key=key, value=value, unit="%" if key == "I2" else "") for key, value in known),
    )


def _model_cautions(found: ModelFit, used: int, studies: int) -> list[Caution]:
    cautions = []
    if used < studies:
        left = studies - used
        cautions.append(
            Caution(
                "small_counts",
                f"{left} of {studies} studies {'has' if left == 1 else 'have'} no events or no one "
                "without, and say nothing about a ratio.",
            )
        )
    if used < FEW_STUDIES:
        cautions.append(only_few(used))
    if found.tau2 == 0 or found.correlation == 0:
        cautions.append(AT_ZERO)
    return cautions
