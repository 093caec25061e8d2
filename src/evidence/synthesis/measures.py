"""Formulae of the effect-size measures: from the columns of studies to effect and variance.

Letters of columns are those of the field's standard software: ``ai, n1i, ci, n2i`` for events,
``m1i, sd1i, n1i, …`` for means, ``x1i, t1i, …`` for rates, ``xi, ni`` for proportions, ``ri, ni``
for correlations, ``ai, mi, ni`` for reliabilities. Each function takes arrays of shape (k,) and
returns ``(yi, vi)``.

Sources: Borenstein et al. 2009, Introduction to Meta-Analysis, chapters 4-7; Hedges 1981 (Journal
of Educational Statistics 6:107-128) for the SMD; Bonett 2008 (Psychological Methods 13:99-109) for
SMDH; Lajeunesse 2015 (Ecology 96:2056-2063) for ROM; Nakagawa et al. 2015 (Methods in Ecology and
Evolution 6:143-152) for VR, and for CVR, which is VR less ROM with the correction of each; Rücker
et al. 2009 (Statistics in Medicine 28:721-738) for AS; Freeman and Tukey 1950 and Miller 1978 for
PFT; Bonett 2002 for ABT; Yusuf et al. 1985 for PETO.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
Columns = Mapping[str, Array]
Pair = tuple[Array, Array]


def hedges_correction(df: Array | float) -> Array:
    """Return the exact small-sample factor J (Hedges 1981, equation 6e)."""
    m = np.where(np.asarray(df, float) > 1, df, np.nan)
    return np.exp(special.gammaln(m / 2) - np.log(np.sqrt(m / 2)) - special.gammaln((m - 1) / 2))


def _cells(c: Columns) -> tuple[Array, Array, Array, Array, Array, Array]:
    a, n1, b2, n2 = c["ai"], c["n1i"], c["ci"], c["n2i"]
    return a, n1 - a, b2, n2 - b2, n1, n2


def _log_odds_ratio(c: Columns, _variance: str) -> Pair:
    a, b, e, d, *_rest = _cells(c)
    return np.log(a) - np.log(b) - np.log(e) + np.log(d), 1 / a + 1 / b + 1 / e + 1 / d


def _log_risk_ratio(c: Columns, _variance: str) -> Pair:
    a, _b, e, _d, n1, n2 = _cells(c)
    return np.log(a / n1) - np.log(e / n2), 1 / a - 1 / n1 + 1 / e - 1 / n2


def _risk_difference(c: Columns, _variance: str) -> Pair:
    a, b, e, d, n1, n2 = _cells(c)
    return a / n1 - e / n2, a * b / n1**3 + e * d / n2**3


def _arcsine_difference(c: Columns, _variance: str) -> Pair:
    a, _b, e, _d, n1, n2 = _cells(c)
    return np.arcsin(np.sqrt(a / n1)) - np.arcsin(np.sqrt(e / n2)), 1 / (4 * n1) + 1 / (4 * n2)


def _peto(c: Columns, _variance: str) -> Pair:
    observed_minus_expected, variance = peto_parts(c["ai"], c["n1i"], c["ci"], c["n2i"])
    return observed_minus_expected / variance, 1 / variance


def peto_parts(a: Array, n1: Array, c: Array, n2: Array) -> Pair:
    """Return observed minus expected events of group 1, and their hypergeometric variance."""
    events, total = a + c, n1 + n2
    expected = n1 * events / total
    variance = n1 * n2 * events * (total - events) / (total**2 * (total - 1))
    return a - expected, variance


def _yule_q(c: Columns, _variance: str) -> Pair:
    a, b, e, d, *_rest = _cells(c)
    odds = a * d / (b * e)
    yi = (odds - 1) / (odds + 1)
    return yi, 0.25 * (1 - yi**2) ** 2 * (1 / a + 1 / b + 1 / e + 1 / d)


def _phi(c: Columns, _variance: str) -> Pair:
    """Return the phi coefficient with its multinomial variance (Bishop et al. 1975, 11.3-11)."""
    a, b, e, d, n1, n2 = _cells(c)
    n = n1 + n2
    rows, columns = n1 * n2 / n**2, (a + e) * (b + d) / n**2
    row_skew, column_skew = (n1 - n2) / n, (a + e - b - d) / n
    yi = (a * d - b * e) / (n**2 * np.sqrt(rows * columns))
    skew = row_skew * column_skew / np.sqrt(rows * columns)
    squares = row_skew**2 / rows + column_skew**2 / columns
    return yi, (1 - yi**2 + yi * (1 + yi**2 / 2) * skew - 0.75 * yi**2 * squares) / n


def _odds_to_d(factor: float) -> Callable[[Columns, str], Pair]:
    def convert(c: Columns, variance: str) -> Pair:
        yi, vi = _log_odds_ratio(c, variance)
        return yi / factor, vi / factor**2

    return convert


def _pooled_sd(c: Columns) -> Array:
    n1, n2 = c["n1i"], c["n2i"]
    squares = (n1 - 1) * c["sd1i"] ** 2 + (n2 - 1) * c["sd2i"] ** 2
    return np.sqrt(squares / (n1 + n2 - 2))


def _mean_difference(c: Columns, variance: str) -> Pair:
    yi = c["m1i"] - c["m2i"]
    if variance == "HO":
        return yi, _pooled_sd(c) ** 2 * (1 / c["n1i"] + 1 / c["n2i"])
    return yi, c["sd1i"] ** 2 / c["n1i"] + c["sd2i"] ** 2 / c["n2i"]


def _standardised_difference(c: Columns, variance: str) -> Pair:
    n1, n2 = c["n1i"], c["n2i"]
    d = (c["m1i"] - c["m2i"]) / _pooled_sd(c)
    j = np.ones_like(d) if variance == "uncorrected" else hedges_correction(n1 + n2 - 2)
    return j * d, _smd_variance(d, j, n1, n2, variance)


def _smd_variance(d: Array, j: Array, n1: Array, n2: Array, variance: str) -> Array:
    sizes, m, g = 1 / n1 + 1 / n2, n1 + n2 - 2, j * d
    if variance == "UB":
        return sizes + (1 - (m - 2) / (m * j**2)) * g**2
    if variance == "LS2":
        return j**2 * (sizes + d**2 / (2 * (n1 + n2)))
    if variance == "AV":
        mean = np.sum((n1 + n2) * g) / np.sum(n1 + n2)
        return sizes + mean**2 / (2 * (n1 + n2))
    return sizes + g**2 / (2 * (n1 + n2))


def _heteroscedastic_difference(c: Columns, _variance: str) -> Pair:
    n1, n2, s1, s2 = c["n1i"], c["n2i"], c["sd1i"] ** 2, c["sd2i"] ** 2
    between = (s1 + s2) / 2
    yi = hedges_correction(n1 + n2 - 2) * (c["m1i"] - c["m2i"]) / np.sqrt(between)
    spread = yi**2 * (s1**2 / (n1 - 1) + s2**2 / (n2 - 1)) / (8 * between**2)
    return yi, spread + (s1 / (n1 - 1) + s2 / (n2 - 1)) / between


def _glass(c: Columns, _variance: str) -> Pair:
    yi = hedges_correction(c["n2i"] - 1) * (c["m1i"] - c["m2i"]) / c["sd2i"]
    return yi, 1 / c["n1i"] + 1 / c["n2i"] + yi**2 / (2 * c["n2i"])


def _log_ratio_of_means(c: Columns, variance: str) -> Pair:
    first = c["sd1i"] ** 2 / (c["n1i"] * c["m1i"] ** 2)
    second = c["sd2i"] ** 2 / (c["n2i"] * c["m2i"] ** 2)
    bias = 0.0 if variance == "uncorrected" else (first - second) / 2
    return np.log(c["m1i"] / c["m2i"]) + bias, first + second


def _log_variation_ratio(c: Columns, variance: str) -> Pair:
    n1, n2 = c["n1i"], c["n2i"]
    first, second = c["sd1i"] / c["m1i"], c["sd2i"] / c["m2i"]
    bias = (1 / (n1 - 1) - 1 / (n2 - 1) - first**2 / n1 + second**2 / n2) / 2
    bias = 0.0 * bias if variance == "uncorrected" else bias
    vi = 1 / (2 * (n1 - 1)) + first**2 / n1 + 1 / (2 * (n2 - 1)) + second**2 / n2
    return np.log(first / second) + bias, vi


def _log_variability_ratio(c: Columns, _variance: str) -> Pair:
    first, second = 1 / (2 * (c["n1i"] - 1)), 1 / (2 * (c["n2i"] - 1))
    return np.log(c["sd1i"] / c["sd2i"]) + first - second, first + second


def _standardised_change(c: Columns, _variance: str) -> Pair:
    yi = hedges_correction(c["ni"] - 1) * (c["m1i"] - c["m2i"]) / c["sd1i"]
    return yi, 2 * (1 - c["ri"]) / c["ni"] + yi**2 / (2 * c["ni"])


def _log_rate_ratio(c: Columns, _variance: str) -> Pair:
    yi = np.log(c["x1i"] / c["t1i"]) - np.log(c["x2i"] / c["t2i"])
    return yi, 1 / c["x1i"] + 1 / c["x2i"]


def _rate_difference(c: Columns, _variance: str) -> Pair:
    yi = c["x1i"] / c["t1i"] - c["x2i"] / c["t2i"]
    return yi, c["x1i"] / c["t1i"] ** 2 + c["x2i"] / c["t2i"] ** 2


def _root_rate_difference(c: Columns, _variance: str) -> Pair:
    yi = np.sqrt(c["x1i"] / c["t1i"]) - np.sqrt(c["x2i"] / c["t2i"])
    return yi, 1 / (4 * c["t1i"]) + 1 / (4 * c["t2i"])


def _log_rate(c: Columns, _variance: str) -> Pair:
    return np.log(c["xi"] / c["ti"]), 1 / c["xi"]


def _proportion(c: Columns, _variance: str) -> Pair:
    yi = c["xi"] / c["ni"]
    return yi, yi * (1 - yi) / c["ni"]


def _log_proportion(c: Columns, _variance: str) -> Pair:
    return np.log(c["xi"] / c["ni"]), 1 / c["xi"] - 1 / c["ni"]


def _logit_proportion(c: Columns, _variance: str) -> Pair:
    other = c["ni"] - c["xi"]
    return np.log(c["xi"] / other), 1 / c["xi"] + 1 / other


def _probit_proportion(c: Columns, _variance: str) -> Pair:
    share = c["xi"] / c["ni"]
    yi = special.ndtri(share)
    density = np.exp(-(yi**2) / 2) / np.sqrt(2 * np.pi)
    return yi, share * (1 - share) / (c["ni"] * density**2)


def _arcsine_proportion(c: Columns, _variance: str) -> Pair:
    return np.arcsin(np.sqrt(c["xi"] / c["ni"])), 1 / (4 * c["ni"])


def _double_arcsine_proportion(c: Columns, _variance: str) -> Pair:
    x, n = c["xi"], c["ni"]
    yi = (np.arcsin(np.sqrt(x / (n + 1))) + np.arcsin(np.sqrt((x + 1) / (n + 1)))) / 2
    return yi, 1 / (4 * n + 2)


def _correlation(c: Columns, _variance: str) -> Pair:
    return c["ri"], (1 - c["ri"] ** 2) ** 2 / (c["ni"] - 1)


def _fisher_z(c: Columns, _variance: str) -> Pair:
    return np.arctanh(c["ri"]), 1 / (c["ni"] - 3)


def _alpha(c: Columns, _variance: str) -> Pair:
    variance = 2 * c["mi"] * (1 - c["ai"]) ** 2 / ((c["mi"] - 1) * (c["ni"] - 2))
    return c["ai"], variance


def _log_alpha(c: Columns, _variance: str) -> Pair:
    return -np.log(1 - c["ai"]), 2 * c["mi"] / ((c["mi"] - 1) * (c["ni"] - 2))


@dataclass(frozen=True, slots=True)
class Measure:
    """What a measure needs, how it is computed and on which scale it is read.

    Parameters
    ----------
    columns
        Letters of the columns it needs.
    formula
        From columns to effect and variance.
    name
        What readers call it.
    back
        Transformation to the reader's scale: ``""``, ``exp``, ``logit``, ``tanh`` …
    null
        No effect, on the reader's scale.
    zero_cells
        ``two`` or ``one`` group of events whose zero cells get a continuity correction, or "".
    """

    columns: tuple[str, ...]
    formula: Callable[[Columns, str], Pair]
    name: str
    back: str = ""
    null: float | None = 0.0
    zero_cells: str = ""


EVENTS = ("ai", "n1i", "ci", "n2i")
MEANS = ("m1i", "sd1i", "n1i", "m2i", "sd2i", "n2i")
RATES = ("x1i", "t1i", "x2i", "t2i")

MEASURES: dict[str, Measure] = {
    "RR": Measure(EVENTS, _log_risk_ratio, "risk ratio", "exp", 1.0, "two"),
    "OR": Measure(EVENTS, _log_odds_ratio, "odds ratio", "exp", 1.0, "two"),
    "RD": Measure(EVENTS, _risk_difference, "risk difference", zero_cells="two"),
    "AS": Measure(EVENTS, _arcsine_difference, "arcsine difference"),
    "PETO": Measure(EVENTS, _peto, "Peto odds ratio", "exp", 1.0, "two"),
    "YUQ": Measure(EVENTS, _yule_q, "Yule's Q", zero_cells="two"),
    "PHI": Measure(EVENTS, _phi, "phi coefficient"),
    "OR2DL": Measure(
        EVENTS,
        _odds_to_d(np.pi / np.sqrt(3)),
        "standardised mean difference (from odds, logistic)",
        zero_cells="two",
    ),
    "OR2DN": Measure(
        EVENTS,
        _odds_to_d(1.65),
        "standardised mean difference (from odds, normal)",
        zero_cells="two",
    ),
    "MD": Measure(MEANS, _mean_difference, "mean difference"),
    "SMD": Measure(MEANS, _standardised_difference, "standardised mean difference"),
    "SMDH": Measure(
        MEANS, _heteroscedastic_difference, "standardised mean difference (SDs differ)"
    ),
    "SMD1": Measure(MEANS, _glass, "Glass's delta"),
    "ROM": Measure(MEANS, _log_ratio_of_means, "ratio of means", "exp", 1.0),
    "CVR": Measure(MEANS, _log_variation_ratio, "ratio of coefficients of variation", "exp", 1.0),
    "VR": Measure(MEANS, _log_variability_ratio, "ratio of standard deviations", "exp", 1.0),
    "SMCR": Measure(
        ("m1i", "m2i", "sd1i", "ni", "ri"), _standardised_change, "standardised change"
    ),
    "IRR": Measure(RATES, _log_rate_ratio, "rate ratio", "exp", 1.0, "rates"),
    "IRD": Measure(RATES, _rate_difference, "rate difference", zero_cells="rates"),
    "IRSD": Measure(RATES, _root_rate_difference, "difference of square-root rates"),
    "IRLN": Measure(("xi", "ti"), _log_rate, "rate", "exp", None, "rate"),
    "PR": Measure(("xi", "ni"), _proportion, "proportion", null=None, zero_cells="one"),
    "PLN": Measure(("xi", "ni"), _log_proportion, "proportion", "exp", None, "one"),
    "PLO": Measure(("xi", "ni"), _logit_proportion, "proportion", "logit", None, "one"),
    "PRZ": Measure(("xi", "ni"), _probit_proportion, "proportion", "probit", None, "one"),
    "PAS": Measure(("xi", "ni"), _arcsine_proportion, "proportion", "arcsine", None),
    "PFT": Measure(("xi", "ni"), _double_arcsine_proportion, "proportion", "freeman_tukey", None),
    "COR": Measure(("ri", "ni"), _correlation, "correlation"),
    "ZCOR": Measure(("ri", "ni"), _fisher_z, "correlation", "tanh"),
    "ARAW": Measure(("ai", "mi", "ni"), _alpha, "reliability (alpha)", null=None),
    "ABT": Measure(("ai", "mi", "ni"), _log_alpha, "reliability (alpha)", "alpha", None),
}
"""All measures by the names of the field's standard software."""


def back_transform(value: Array | float, measure: str, sizes: Array | float | None = None) -> Array:
    """Return effects on the scale that readers use.

    Parameters
    ----------
    value
        Effects on the analysis scale.
    measure
        One of `MEASURES`, or any other name, which is left as it is.
    sizes
        Sample size of each effect, needed for ``PFT`` only; for a pooled effect the harmonic mean
        (Miller 1978). Without it a PFT effect is left as it is.
    """
    x = np.asarray(value, float)
    back = MEASURES[measure].back if measure in MEASURES else ""
    if back == "freeman_tukey":
        return x if sizes is None else _inverse_freeman_tukey(x, np.asarray(sizes, float))
    return np.asarray(INVERSES[back](x))


def _inverse_freeman_tukey(x: Array, n: Array) -> Array:
    low = np.arcsin(np.sqrt(1 / (n + 1))) / 2
    high = (np.arcsin(np.sqrt(n / (n + 1))) + np.pi / 2) / 2
    twice = 2 * np.clip(x, low, high)
    sine = np.sin(twice)
    inner = 1 - (sine + (sine - 1 / sine) / n) ** 2
    return 0.5 * (1 - np.sign(np.cos(twice)) * np.sqrt(np.maximum(0.0, inner)))


INVERSES: dict[str, Callable[[Array], Array]] = {
    "": lambda x: x,
    "exp": np.exp,
    "logit": special.expit,
    "probit": special.ndtr,
    "arcsine": lambda x: np.sin(np.clip(x, 0, np.pi / 2)) ** 2,
    "tanh": np.tanh,
    "alpha": lambda x: 1 - np.exp(-x),
}
