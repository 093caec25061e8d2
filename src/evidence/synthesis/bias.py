"""Small-study effects and missing results: tests and corrections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from evidence.errors import DataError
from evidence.results import Caution, Estimate, Result
from evidence.synthesis.fit import Fit, fit, quantile
from evidence.synthesis.measures import peto_parts
from evidence.synthesis.pool import decimals_for, first_coefficient, number
from evidence.synthesis.regression import p_words
from evidence.synthesis.weighting import Array

FEW_FOR_TESTS = 10
"""Fewer studies than this give a test of asymmetry too little power (Sterne et al. 2011)."""

PREDICTORS = ("se", "variance", "inverse_n")
MODELS = ("weighted", "random")


def regression_test(
    yi: ArrayLike,
    vi: ArrayLike,
    *,
    predictor: str = "se",
    model: str = "weighted",
    tau2: str = "REML",
    test: str = "z",
    n: ArrayLike | None = None,
) -> Fit:
    """Return the regression of effects on a measure of study size.

    Egger et al. 1997 (BMJ 315:629-634) with ``model="weighted"`` and ``predictor="se"``: weighted
    least squares with a multiplicative dispersion, the slope's t being that of the classical
    intercept. ``model="random"`` has an additive between-study variance instead
    (Sterne and Egger 2005). The limit at infinite size is the first coefficient.

    Parameters
    ----------
    yi, vi
        Effects and sampling variances, shape (k,).
    predictor
        ``se``, ``variance`` or ``inverse_n`` (needs `n`).
    model, tau2, test
        As above; `tau2` and `test` for the random model only.
    n
        People per study.

    Raises
    ------
    DataError
        If a choice is unknown, `n` is missing, or all studies have the same size.
    """
    v = np.asarray(vi, float)
    if predictor not in PREDICTORS:
        raise DataError(f"predictor must be one of {', '.join(PREDICTORS)}; got {predictor!r}.")
    if model not in MODELS:
        raise DataError(f"model must be one of {', '.join(MODELS)}; got {model!r}.")
    if predictor == "inverse_n" and n is None:
        raise DataError("the predictor inverse_n needs the people per study; pass n=.")
    size = {
        "se": np.sqrt(v),
        "variance": v,
        "inverse_n": 1 / np.asarray(n, float) if n is not None else v,
    }[predictor]
    if not _vary(size):
        raise DataError(
            "a test of small-study effects needs studies of different size; all have the same "
            f"{predictor}. Do not test."
        )
    x = np.column_stack([np.ones(len(v)), size])
    if model == "weighted":
        return fit(yi, v, x, model="common", test="hartung_knapp")
    return fit(yi, v, x, tau2=tau2, test=test)


def _vary(size: Array) -> bool:
    return bool(np.ptp(size) > 1e-12 * np.max(np.abs(size)))


def rank_test(yi: ArrayLike, vi: ArrayLike, *, exact: bool = True) -> tuple[float, float]:
    """Return Kendall's tau between standardised deviates and variances, and its p value.

    Begg and Mazumdar 1994 (Biometrics 50:1088-1101). The exact distribution is used without ties.

    Parameters
    ----------
    yi, vi
        Effects and sampling variances, shape (k,).
    exact
        Whether the exact distribution may be used.
    """
    y, v = np.asarray(yi, float), np.asarray(vi, float)
    w = 1 / v
    deviates = (y - w @ y / w.sum()) / np.sqrt(np.maximum(v - 1 / w.sum(), 1e-300))
    ties = len(np.unique(v)) < len(v) or len(np.unique(deviates)) < len(v)
    method = "exact" if exact and not ties else "asymptotic"
    found = stats.kendalltau(deviates, v, method=method)
    return float(found.statistic), float(found.pvalue)


def peters_test(a: ArrayLike, n1: ArrayLike, c: ArrayLike, n2: ArrayLike, yi: ArrayLike) -> Fit:
    """Return Peters' regression of log odds ratios on 1/n (Peters et al. 2006, JAMA 295:676-680).

    Weights are ``events x non-events / total``, so that they do not depend on the effect.

    Parameters
    ----------
    a, n1, c, n2
        Events and people of both groups, shape (k,); each study has people with and without events.
    yi
        Log odds ratios, shape (k,).

    Raises
    ------
    DataError
        If a study has no events or nothing else, or all studies have the same size.
    """
    events = np.asarray(a, float) + np.asarray(c, float)
    total = np.asarray(n1, float) + np.asarray(n2, float)
    x = np.column_stack([np.ones(len(total)), 1 / total])
    return fit(yi, total / (events * (total - events)), x, model="common", test="hartung_knapp")


def harbord_test(a: ArrayLike, n1: ArrayLike, c: ArrayLike, n2: ArrayLike) -> Fit:
    """Return Harbord's regression of the efficient score.

    Harbord, Egger and Sterne 2006 (Statistics in Medicine 25:3443-3457).

    Parameters
    ----------
    a, n1, c, n2
        As for `peters_test`.

    Raises
    ------
    DataError
        As `peters_test`.
    """
    arrays = (np.asarray(item, float) for item in (a, n1, c, n2))
    score, variance = peto_parts(*arrays)
    x = np.column_stack([np.ones(len(score)), 1 / np.sqrt(variance)])
    return fit(score / variance, 1 / variance, x, model="common", test="hartung_knapp")


def macaskill_test(yi: ArrayLike, vi: ArrayLike, n: ArrayLike) -> Fit:
    """Return Macaskill's regression on n with inverse-variance weights.

    Macaskill, Walter and Irwig 2001 (Statistics in Medicine 20:641-654).

    Parameters
    ----------
    yi, vi, n
        Effects, sampling variances and people of the studies, shape (k,).
    """
    people = np.asarray(n, float)
    x = np.column_stack([np.ones(len(people)), people])
    return fit(yi, vi, x, model="common", test="hartung_knapp")


def small_study_tests(effects: pd.DataFrame, *, people: str = "n") -> Result:
    """Test in several ways whether small studies show other effects than large ones.

    Parameters
    ----------
    effects
        One row per study with ``yi`` and ``vi``; with columns ``ai, n1i, ci, n2i`` also the tests
        of Peters and Harbord, on the studies that have people with and people without events;
        with the column `people` also Macaskill's. A test that needs more than the studies have
        (three of different size) is left out.

    Returns
    -------
    Result
        Table with test, statistic, df, p, slope, limit, limit_low, limit_high; estimate ``egger_p``
        and ``limit`` (effect of an infinitely large study). Fewer than three studies or all of the
        same size: could not.
    """
    usable = effects.dropna(subset=["yi", "vi"])
    if len(usable) < 3:
        return Result.could_not("Small-study effects not tested", "fewer than three studies")
    if not _vary(usable["vi"].to_numpy(float)):
        return Result.could_not("Small-study effects not tested", "all studies have the same size")
    fits = {
        "Egger": regression_test(usable["yi"], usable["vi"]),
        "Egger, random effects": regression_test(usable["yi"], usable["vi"], model="random"),
    }
    fits |= _count_tests(usable, people)
    tau, tau_p = rank_test(usable["yi"], usable["vi"])
    rows = [_test_row(name, fitted) for name, fitted in fits.items()]
    rows.append({"test": "Begg", "statistic": tau, "p": tau_p})
    egger = fits["Egger"]
    return Result(
        text=_test_text(egger),
        estimates=(
            Estimate(key="egger_p", value=float(egger.p[1]), k=egger.k),
            Estimate(
                key="limit",
                value=egger.b[0],
                low=egger.low[0],
                high=egger.high[0],
                level=0.95,
                k=egger.k,
            ),
        ),
        table=pd.DataFrame(rows),
        settings={"tests": [row["test"] for row in rows]},
        cautions=tuple(few_study_cautions(egger.k)),
    )


def _count_tests(usable: pd.DataFrame, people: str) -> dict[str, Fit]:
    found: dict[str, Fit] = {}
    if {"ai", "n1i", "ci", "n2i"} <= set(usable):
        events, total = usable["ai"] + usable["ci"], usable["n1i"] + usable["n2i"]
        known = usable[(events > 0) & (events < total)]
        a, n1, c, n2 = (known[name].to_numpy(float) for name in ("ai", "n1i", "ci", "n2i"))
        if len(known) > 2 and _vary(n1 + n2):
            found["Peters"] = peters_test(a, n1, c, n2, known["yi"])
        if len(known) > 2 and _vary(peto_parts(a, n1, c, n2)[1]):
            found["Harbord"] = harbord_test(a, n1, c, n2)
    if people in usable and usable[people].notna().all() and usable[people].nunique() > 1:
        found["Macaskill"] = macaskill_test(usable["yi"], usable["vi"], usable[people])
    return found


def _test_row(name: str, fitted: Fit) -> dict[str, Any]:
    return {
        "test": name,
        "statistic": fitted.statistic[1],
        "df": fitted.df,
        "p": fitted.p[1],
        "slope": fitted.b[1],
        "limit": fitted.b[0],
        "limit_low": fitted.low[0],
        "limit_high": fitted.high[0],
    }


def _test_text(egger: Fit) -> str:
    p = float(egger.p[1])
    verdict = "show other effects than" if p < 0.1 else "do not clearly differ from"
    words = f"Small studies {verdict} large ones (Egger p {p_words(p)}, {egger.k} studies)"
    decimals = decimals_for(float(egger.low[0]), float(egger.high[0]))
    return f"{words}; a very large study would be expected at {number(egger.b[0], decimals)}."


def few_study_cautions(k: int) -> list[Caution]:
    """Return what every look at small-study effects must say."""
    found = [
        Caution(
            "other",
            "Small studies can differ for other reasons than missing results: patients, care, "
            "chance.",
        )
    ]
    if k < FEW_FOR_TESTS:
        found.append(
            Caution("few_studies", f"Fewer than 10 studies ({k}): the tests can hardly detect it.")
        )
    return found


def largest(effects: pd.DataFrame, share: float) -> pd.DataFrame:
    """Return the rows with the smallest sampling variances.

    Parameters
    ----------
    effects
        One row per study with the sampling variance vi.
    share
        Share of the rows that is kept, above 0 and up to 1; rows of equal variance stay together.

    Raises
    ------
    DataError
        If the share is none.
    """
    if not 0 < share <= 1:
        raise DataError(f"a share must lie above 0 and up to 1; got {share:g}. Change it.")
    return effects[effects["vi"] <= effects["vi"].quantile(share)]


def fail_safe_n(
    yi: ArrayLike, vi: ArrayLike, kind: str = "rosenthal", *, target: float | None = None
) -> int:
    """Return how many unpublished null studies would overturn the finding.

    ``rosenthal`` (1979; combined one-sided p above 0.05), ``rosenberg`` (2005; common effect no
    longer significant at 0.05 two-sided) or ``orwin`` (1983; common effect halved, or `target`).
    A number readers like and statisticians do not: it assumes that missing studies show nothing.

    Parameters
    ----------
    yi, vi
        Effects and sampling variances, shape (k,).
    kind
        One of the three.
    target
        Effect that is no longer of interest, for ``orwin``; half the pooled one when absent.

    Raises
    ------
    DataError
        If the kind is unknown or the target is 0, which no number of studies reaches.
    """
    if target == 0:
        raise DataError("a target must differ from 0: null studies never bring an effect to 0.")
    y, v = np.asarray(yi, float), np.asarray(vi, float)
    common = fit(y, v, model="common", test="z")
    if kind == "rosenthal":
        needed = (np.sum(y / np.sqrt(v)) / quantile(0.95, None)) ** 2 - len(y)
    elif kind == "rosenberg":
        mean_weight = np.mean(1 / v)
        needed = (common.b[0] / common.se[0] / quantile(0.975, None)) ** 2
        needed = (needed * np.sum(1 / v) - np.sum(1 / v)) / mean_weight
    elif kind == "orwin":
        aim = abs(common.b[0]) / 2 if target is None else abs(target)
        needed = len(y) * (abs(common.b[0]) - aim) / aim if aim else 0.0
    else:
        raise DataError(f"kind must be rosenthal, rosenberg or orwin; got {kind!r}.")
    return int(max(0, np.ceil(needed - 1e-9)))


ESTIMATORS = ("L0", "R0", "Q0")


def trim_and_fill(
    effects: pd.DataFrame,
    *,
    estimator: str = "L0",
    side: str = "",
    model: str = "random",
    tau2: str = "REML",
    test: str = "z",
    level: float = 0.95,
) -> Result:
    """Estimate how many studies are missing on one side, and pool as if they were there.

    Duval and Tweedie 2000 (Biometrics 56:455-463; Journal of the American Statistical Association
    95:89-98). A sensitivity analysis: it assumes that only the most extreme results are missing.

    Parameters
    ----------
    effects
        One row per study with ``yi`` and ``vi``.
    estimator
        ``L0`` (default, robust), ``R0`` or ``Q0``.
    side
        Where studies are missing, ``left`` or ``right``; from the slope of Egger's regression if
        empty.
    model, tau2, test, level
        As for `pool`.

    Returns
    -------
    Result
        Table of the added studies (yi, vi); estimates ``filled`` (pooled with them), ``missing``
        (their number with standard error).

    Raises
    ------
    DataError
        If a choice is unknown.
    """
    if estimator not in ESTIMATORS or side not in ("", "left", "right"):
        raise DataError(
            f"estimator must be one of {', '.join(ESTIMATORS)} and side left or right; got "
            f"{estimator!r} and {side!r}."
        )
    usable = effects.dropna(subset=["yi", "vi"])
    if len(usable) < 3:
        return Result.could_not("Not trimmed and filled", "fewer than three studies")
    y, v = usable["yi"].to_numpy(float), usable["vi"].to_numpy(float)
    side = side or _missing_side(y, v)
    if not side:
        return Result.could_not("Not trimmed and filled", "all studies have the same size")
    chosen: dict[str, Any] = {"model": model, "tau2": tau2, "test": test, "level": level}
    k0, se_k0, added_y, added_v = _trimmed(y, v, side, estimator, chosen)
    if k0 is None:
        return Result.could_not("Not trimmed and filled", f"{estimator} is not defined here")
    filled = fit(np.r_[y, added_y], np.r_[v, added_v], **chosen)
    missing = Estimate(key="missing", value=float(k0), se=se_k0, k=len(y))
    return Result(
        text=_fill_text(k0, side, fit(y, v, **chosen), filled),
        estimates=(
            missing,
            first_coefficient("filled", filled),
            Estimate(key="tau2", value=filled.tau2, k=filled.k),
        ),
        table=pd.DataFrame({"yi": added_y, "vi": added_v}),
        settings={"estimator": estimator, "side": side, **chosen},
    )


def _fill_text(k0: int, side: str, before: Fit, after: Fit) -> str:
    decimals = decimals_for(float(before.low[0]), float(before.high[0]))
    if k0 == 0:
        return f"No missing studies are suggested on the {side}."
    return (
        f"{k0} missing stud{'ies' if k0 > 1 else 'y'} suggested on the {side}; with "
        f"{'them' if k0 > 1 else 'it'} the pooled effect would be {number(after.b[0], decimals)} "
        f"instead of {number(before.b[0], decimals)}."
    )


def _missing_side(y: Array, v: Array) -> str:
    if not _vary(v):
        return ""
    x = np.column_stack([np.ones(len(v)), np.sqrt(v)])
    return "right" if fit(y, v, x, model="common", test="z").b[1] < 0 else "left"


def _trimmed(
    y: Array, v: Array, side: str, estimator: str, chosen: dict[str, Any]
) -> tuple[int | None, float | None, Array, Array]:
    """Return how many are missing, its standard error, and the mirrored studies."""
    flip = -1.0 if side == "right" else 1.0
    order = np.argsort(flip * y, kind="stable")
    ordered, variances = flip * y[order], v[order]
    k, k0, estimate, seen = len(y), 0, 0.0, set()
    while k0 not in seen:
        seen.add(k0)
        kept = slice(0, k - k0)
        middle = fit(ordered[kept], variances[kept], **chosen).b[0]
        estimate = _missing_count(ordered - middle, estimator)
        if np.isnan(estimate):
            return None, 0.0, y[:0], v[:0]
        k0 = min(max(0, round(estimate)), k - 1)
    mirrored = 2 * middle - ordered[k - k0 :]
    error = _count_error(k, estimate, estimator)
    return k0, error, flip * mirrored, variances[k - k0 :]


def _signed_ranks(centred: Array) -> Array:
    return np.sign(centred) * stats.rankdata(np.abs(centred), method="ordinal")


def _missing_count(centred: Array, estimator: str) -> float:
    """Return the estimated number before rounding; NaN where Q0 is not defined."""
    k, ranks = len(centred), _signed_ranks(centred)
    positive = float(ranks[ranks > 0].sum())
    if estimator == "R0":
        return k - float(np.max(-ranks, initial=0)) - 1
    if estimator == "L0":
        return (4 * positive - k * (k + 1)) / (2 * k - 1)
    inner = 2 * k**2 - 4 * positive + 0.25
    return k - 0.5 - float(np.sqrt(inner)) if inner >= 0 else float("nan")


def _count_error(k: int, k0: float, estimator: str) -> float | None:
    """Return the standard error of the number, from its estimate before rounding.

    `None` where its variance would be negative, as where all effects are equal.
    """
    if estimator == "R0":
        return float(np.sqrt(2 * max(0.0, k0) + 2))
    spread = (
        k * (k + 1) * (2 * k + 1)
        + 10 * k0**3
        + 27 * k0**2
        + 17 * k0
        - 18 * k * k0**2
        - 18 * k * k0
        + 6 * k**2 * k0
    ) / 24
    if spread < 0:
        return None
    if estimator == "L0":
        return float(4 * np.sqrt(spread) / (2 * k - 1))
    return float(2 * np.sqrt(spread) / np.sqrt((k - 0.5) ** 2 - k0 * (2 * k - k0 - 1)))


def pet_peese(effects: pd.DataFrame, *, test_level: float = 0.1) -> Result:
    """Return the precision-effect tests and the estimate that they point to.

    Stanley and Doucouliagos 2014 (Research Synthesis Methods 5:60-78): PET regresses on the
    standard error, PEESE on the variance; PEESE is read where PET's intercept differs from 0
    (one-sided 0.05, so `test_level` 0.1 two-sided).

    Parameters
    ----------
    effects
        One row per study with ``yi`` and ``vi``.
    test_level
        Two-sided level of PET's intercept below which PEESE is read.

    Returns
    -------
    Result
        Table with model, value (at infinite precision), se, low, high, p, slope, slope_p; estimate
        ``conditional``. Fewer than three studies: could not.
    """
    usable = effects.dropna(subset=["yi", "vi"])
    if len(usable) < 3 or not _vary(usable["vi"].to_numpy(float)):
        return Result.could_not("PET-PEESE not fitted", "fewer than three studies or sizes")
    fits = {
        "PET": regression_test(usable["yi"], usable["vi"]),
        "PEESE": regression_test(usable["yi"], usable["vi"], predictor="variance"),
    }
    chosen = "PEESE" if fits["PET"].p[0] < test_level else "PET"
    fitted = fits[chosen]
    decimals = decimals_for(float(fitted.low[0]), float(fitted.high[0]))
    limits = f"{number(fitted.low[0], decimals)} to {number(fitted.high[0], decimals)}"
    return Result(
        text=f"At infinite precision {chosen} expects {number(fitted.b[0], decimals)} "
        f"(95 % interval {limits}, {fitted.k} studies).",
        estimates=(first_coefficient("conditional", fitted),),
        table=pd.DataFrame([_precision_row(name, one) for name, one in fits.items()]),
        settings={"test_level": test_level, "chosen": chosen},
        cautions=tuple(few_study_cautions(fitted.k)),
    )


def _precision_row(name: str, fitted: Fit) -> dict[str, Any]:
    return {
        "model": name,
        "value": fitted.b[0],
        "se": fitted.se[0],
        "low": fitted.low[0],
        "high": fitted.high[0],
        "p": fitted.p[0],
        "slope": fitted.b[1],
        "slope_se": fitted.se[1],
        "slope_p": fitted.p[1],
    }
