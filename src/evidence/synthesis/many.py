"""Pool many specifications at once: which choices change the conclusion?

`pool_many` fits thousands of study subsets as one batched computation. The weights at a given
between-study variance are the same for every subset, so the search for its estimate is a matrix
product over all subsets at once; each is then refined by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from evidence.errors import DataError
from evidence.results import Caution, Direction, Estimate, Result
from evidence.synthesis.fit import check_level, fit
from evidence.synthesis.pool import as_key, decimals_for, number, reader_scale
from evidence.synthesis.weighting import Array

BATCHED = ("REML", "ML", "PM", "EB", "DL", "HE", "HS", "SJ")
"""Estimators of the between-study variance that are computed in batches."""

CHUNK = 60_000
"""Studies times specifications worked on at once: half a megabyte per array stays in the cache."""

GRID = np.concatenate([[0.0], np.logspace(-4, 5, 37)])
"""Where roots are looked for, in multiples of the median sampling variance."""

Mask = NDArray[np.bool_]


def pool_many(
    yi: ArrayLike,
    vi: ArrayLike,
    include: ArrayLike,
    *,
    model: str = "random",
    tau2: str = "REML",
    test: str = "hartung_knapp",
    floor: str = "scale",
    level: float = 0.95,
) -> pd.DataFrame:
    """Pool many subsets of the same studies.

    Parameters
    ----------
    yi, vi
        Effects and sampling variances, shape (k,).
    include
        Which studies each specification includes, shape (S, k).
    model, tau2, test, floor, level
        As for `fit`, the same for all subsets: estimators of `BATCHED`; tests ``z``, ``t`` and
        ``hartung_knapp``; floors ``none`` and ``scale``.

    Returns
    -------
    pandas.DataFrame
        One row per specification: k, value, se, low, high, p, tau2. Empty subsets have no numbers.

    Raises
    ------
    DataError
        If shapes do not fit, a variance is not positive, or a choice is not one of those above.
    """
    y, v, kept = np.asarray(yi, float), np.asarray(vi, float), np.asarray(include, bool)
    check_level(level)
    _check(y, v, kept, model, tau2, test, floor)
    unit = float(np.median(v)) if len(v) else 1.0
    centre = float(np.average(y, weights=1 / v)) if len(y) else 0.0
    y, v = (y - centre) / np.sqrt(unit), v / unit
    rows = max(1, CHUNK // max(1, len(y)))
    parts = [
        _pooled_chunk(y, v, kept[at : at + rows], model, tau2, test, floor, level)
        for at in range(0, len(kept), rows)
    ]
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name in ("value", "low", "high"):
        table[name] = table[name] * np.sqrt(unit) + centre
    table["se"] *= np.sqrt(unit)
    table["tau2"] *= unit
    table["p"] = _p_values(table["value"] / table["se"], table.pop("df"))
    return pd.DataFrame(table)


def _check(y: Array, v: Array, kept: Mask, model: str, tau2: str, test: str, floor: str) -> None:
    if kept.ndim != 2 or kept.shape[1] != len(y) or len(v) != len(y):
        raise DataError(
            f"`include` must have one column per study; got shape {kept.shape} for {len(y)} "
            f"effects and {len(v)} variances."
        )
    if not (np.isfinite(y).all() and np.isfinite(v).all() and (v > 0).all()):
        raise DataError("effects must be finite and variances positive; some are not.")
    allowed = {
        "model": (model, ("random", "common")),
        "tau2": (tau2, BATCHED),
        "test": (test, ("z", "t", "hartung_knapp")),
        "floor": (floor, ("none", "scale")),
    }
    for name, (value, choices) in allowed.items():
        if value not in choices:
            raise DataError(f"{name} must be one of {', '.join(choices)} here; got {value!r}.")


def _p_values(statistic: Array, df: Array) -> Array:
    with np.errstate(invalid="ignore"):
        normal = 2 * special.ndtr(-np.abs(statistic))
        student = 2 * special.stdtr(np.where(np.isfinite(df), df, 1.0), -np.abs(statistic))
    return np.where(np.isfinite(df), student, normal)


def _pooled_chunk(
    y: Array,
    v: Array,
    kept: Mask,
    model: str,
    method: str,
    test: str,
    floor: str,
    level: float,
) -> dict[str, Array]:
    k = kept.sum(axis=1)
    tau2 = np.zeros(len(kept))
    several = k > 1
    if model == "random" and several.any():
        tau2[several] = _between(y, v, kept[several], method)
    w = kept / (v + tau2[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        total = w.sum(axis=1)
        value = w @ y / total
        se = np.sqrt(1 / total)
        if test == "hartung_knapp":
            residual = (w * (y - value[:, None]) ** 2).sum(axis=1)
            scale = np.where(several, residual / np.maximum(k - 1, 1), 1.0)
            se = se * np.sqrt(np.maximum(scale, 1.0) if floor == "scale" else scale)
    df = np.where(several & (test != "z"), k - 1.0, np.inf)
    half = _quantiles(df, level) * se
    empty = np.where(k > 0, 1.0, np.nan)
    return {
        "k": k,
        "value": value * empty,
        "se": se * empty,
        "low": (value - half) * empty,
        "high": (value + half) * empty,
        "tau2": tau2 * empty,
        "df": df,
    }


def _quantiles(df: Array, level: float) -> Array:
    upper = 1 - (1 - level) / 2
    sizes, where = np.unique(df, return_inverse=True)
    found = np.where(
        np.isfinite(sizes),
        special.stdtrit(np.where(np.isfinite(sizes), sizes, 1.0), upper),
        special.ndtri(upper),
    )
    return found[where]


def _between(y: Array, v: Array, kept: Mask, method: str) -> Array:
    """Return the between-study variance of each subset of at least two studies."""
    if method in ("REML", "ML", "PM", "EB"):
        return _by_root(y, v, kept, "PM" if method == "EB" else method)
    m = kept.astype(float)
    k = m.sum(axis=1)
    if method == "SJ":
        mean = m @ y / k
        start = np.maximum(m @ y**2 / k - mean**2, 0.0)
        w = m / (v + start[:, None] + (start == 0)[:, None])
        return start * _q(y, w) / (k - 1)
    a = np.ones_like(v) if method == "HE" else 1 / v
    w = m * a
    total = w.sum(axis=1)
    q = _q(y, w)
    if method == "HS":
        return np.maximum(0.0, (q - k) / total)
    expected = m @ (a * v) - m @ (a**2 * v) / total
    return np.maximum(0.0, (q - expected) / (total - m @ a**2 / total))


def _q(y: Array, w: Array) -> Array:
    mean = w @ y / w.sum(axis=1)
    return np.asarray((w * (y - mean[:, None]) ** 2).sum(axis=1))


def _by_root(y: Array, v: Array, kept: Mask, method: str) -> Array:
    grid = GRID[: np.searchsorted(GRID, 4 * np.ptp(y) ** 2 + 10) + 1]
    values = _on_grid(y, v, kept, grid, method)
    falls = (values[:, :-1] > 0) & (values[:, 1:] <= 0)
    first = falls.argmax(axis=1)
    at = np.arange(len(kept))
    after = np.minimum(first + 1, len(grid) - 1)
    low, high = grid[first], grid[after]
    with np.errstate(divide="ignore", invalid="ignore"):
        drop = values[at, first] / (values[at, first] - values[at, after])
    has_root = falls.any(axis=1)
    start = np.where(has_root, low + (high - low) * drop, 0.0)
    found = _refined(y, v, kept, start, low, high, np.flatnonzero(has_root), method)
    unclear = falls.sum(axis=1) + (values[:, 0] <= 0) != 1
    for row in np.flatnonzero(unclear):
        found[row] = fit(y[kept[row]], v[kept[row]], tau2=method).tau2
    return found


def _on_grid(y: Array, v: Array, kept: Mask, grid: Array, method: str) -> Array:
    """Return the estimating function of every subset at every grid point, shape (S, G)."""
    w = 1 / (v[:, None] + grid)
    m, points = kept.astype(float), len(grid)
    y1, y2 = y[:, None], (y**2)[:, None]
    if method == "PM":
        s1, sy, syy = np.split(m @ np.hstack([w, w * y1, w * y2]), [points, 2 * points], axis=1)
        return syy - sy**2 / s1 - (m.sum(axis=1) - 1)[:, None]
    columns = [w, w * y1, w**2, w**2 * y1, w**2 * y2]
    s1, sy, t1, ty, tyy = np.split(
        m @ np.hstack(columns), [points, 2 * points, 3 * points, 4 * points], axis=1
    )
    mean = sy / s1
    trace = s1 - t1 / s1 if method == "REML" else s1
    return tyy - 2 * mean * ty + mean**2 * t1 - trace


def _refined(
    y: Array,
    v: Array,
    kept: Mask,
    tau2: Array,
    low: Array,
    high: Array,
    active: NDArray[np.intp],
    method: str,
) -> Array:
    """Return the roots by Newton's method held inside their brackets.

    Its error squares at each step, so a step below 1e-8 is the last one needed.
    """
    for _ in range(60):
        if not len(active):
            break
        value, slope = _value_and_slope(y, v, kept[active], tau2[active], method)
        rising = value > 0
        low[active[rising]] = tau2[active[rising]]
        high[active[~rising]] = tau2[active[~rising]]
        with np.errstate(divide="ignore", invalid="ignore"):
            step = tau2[active] - value / slope
        inside = (step > low[active]) & (step < high[active])
        moved = np.where(inside, step, (low[active] + high[active]) / 2)
        done = inside & (np.abs(moved - tau2[active]) <= 1e-8 * np.maximum(moved, 1e-3))
        tau2[active] = moved
        active = active[~done]
    return tau2


def _value_and_slope(
    y: Array, v: Array, kept: Mask, tau2: Array, method: str
) -> tuple[Array, Array]:
    w = kept / (v + tau2[:, None])
    total = w.sum(axis=1)
    residual = y - (w @ y / total)[:, None]
    py = w * residual
    squares = np.einsum("ij,ij->i", py, py)
    if method == "PM":
        return np.einsum("ij,ij->i", py, residual) - (kept.sum(axis=1) - 1), -squares
    w2 = np.einsum("ij,ij->i", w, w)
    wpy = np.einsum("ij,ij->i", w, py)
    third = np.einsum("ij,ij->i", py * py, w) - wpy**2 / total
    if method == "ML":
        return squares - total, w2 - 2 * third
    w3 = np.einsum("ij,ij->i", w * w, w)
    trace_pp = w2 - 2 * w3 / total + (w2 / total) ** 2
    return squares - (total - w2 / total), trace_pp - 2 * third


def multiverse(
    versions: Mapping[str, pd.DataFrame],
    *,
    direction_better: Direction,
    reasons: Mapping[str, str],
    subsets: Mapping[str, Mapping[str, str]] | None = None,
    tau2: Sequence[str] = ("REML",),
    test: Sequence[str] = ("hartung_knapp",),
    measure: str = "",
    null: float = 0.0,
    level: float = 0.95,
) -> Result:
    """Pool under every combination of defensible choices and say which one matters.

    Parameters
    ----------
    versions
        Tables of effects (``yi``, ``vi``) by the name of the choice that made them, such as the
        correlation within studies; one entry where there is no such choice.
    direction_better
        ``higher``, ``lower`` or ``none``.
    reasons
        Why each factor is open to choice: a text per name in `subsets`, and for ``effects``,
        ``tau2`` and ``test`` where they have several choices.
    subsets
        Factor name to its choices: name of the choice to the column of true and false that says
        which studies it includes; an empty text includes all.
    tau2, test
        Estimators and tests to combine; see `pool_many`.
    measure, null, level
        Measure of the effects; no effect on the analysis scale; coverage.

    Returns
    -------
    Result
        Table with one row per specification: its choices, k, value, low, high, p, tau2 (analysis
        scale) and whether the interval excludes no effect. Estimates ``specifications``,
        ``share_same_sign``, ``share_excluding_null`` (per cent), ``smallest``, ``largest`` and per
        factor ``flips.NAME``: per cent of neighbouring specifications, differing in it alone,
        whose conclusion differs.

    Raises
    ------
    DataError
        If a factor has no reason, or a column is missing or not true or false in every row.
    """
    factors: dict[str, Sequence[str]] = {"effects": list(versions)}
    factors |= {name: list(choices) for name, choices in (subsets or {}).items()}
    factors |= {"tau2": list(tau2), "test": list(test)}
    open_factors = [name for name, choices in factors.items() if len(choices) > 1]
    silent = [name for name in open_factors if not reasons.get(name, "").strip()]
    if silent:
        raise DataError(
            f"every choice must have its reason; none is given for {', '.join(silent)}. Say why "
            "it is open."
        )
    table = pd.concat(
        [
            _one_method(versions[version], version, subsets or {}, estimator, how, level)
            for version, estimator, how in product(versions, tau2, test)
        ],
        ignore_index=True,
    ).dropna(subset=["value"], ignore_index=True)
    if table.empty:
        return Result.could_not("No multiverse", "no specification includes a study")
    table["excludes_null"] = (table["low"] > null) | (table["high"] < null)
    estimates = _multiverse_estimates(table, open_factors, measure, null)
    return Result(
        text=_multiverse_text(table, estimates),
        estimates=estimates,
        table=table,
        settings={
            "factors": {name: list(choices) for name, choices in factors.items()},
            "reasons": dict(reasons),
            "level": level,
            "null": null,
            "measure": measure,
            "direction_better": direction_better,
        },
        cautions=(
            Caution(
                "multiple_testing",
                "The specifications share their studies; shares of them are not probabilities.",
            ),
        ),
    )


def _one_method(
    effects: pd.DataFrame,
    version: str,
    subsets: Mapping[str, Mapping[str, str]],
    estimator: str,
    test: str,
    level: float,
) -> pd.DataFrame:
    usable = effects.dropna(subset=["yi", "vi"])
    rows = list(product(*(choices.items() for choices in subsets.values())))
    include = np.ones((len(rows), len(usable)), bool)
    for at, choices in enumerate(rows):
        for name, column in choices:
            if column and column not in usable:
                raise DataError(
                    f"a subset must be a column of the effects; {name!r} names {column!r}, which "
                    "is not there."
                )
            include[at] &= kept_rows(usable, column) if column else True
    found = pool_many(usable["yi"], usable["vi"], include, tau2=estimator, test=test, level=level)
    chosen = pd.DataFrame(
        [{factor: pick[0] for factor, pick in zip(subsets, row, strict=True)} for row in rows],
        index=found.index,
    )
    ways = pd.DataFrame({"effects": version, "tau2_method": estimator, "test": test}, found.index)
    return pd.concat([ways, chosen, found], axis=1)


def kept_rows(effects: pd.DataFrame, column: str) -> Mask:
    """Return which rows a column of true and false keeps.

    Raises
    ------
    DataError
        If a row has neither.
    """
    unknown = effects[column].isna()
    if unknown.any():
        raise DataError(
            f"a column that chooses rows must be true or false in each; {column!r} is empty in "
            f"{int(unknown.sum())}. Decide those."
        )
    return effects[column].to_numpy(bool)


FACTOR_COLUMNS = {"tau2": "tau2_method"}


def _multiverse_estimates(
    table: pd.DataFrame, factors: Sequence[str], measure: str, null: float
) -> tuple[Estimate, ...]:
    sign = np.sign(table["value"] - null)
    usual = sign.mode().iloc[0]
    ends = [reader_scale(value, value, value, measure) for value in _ends(table)]
    found = [
        Estimate(key="specifications", value=float(len(table))),
        Estimate(key="share_same_sign", value=100 * float((sign == usual).mean()), unit="%"),
        Estimate(
            key="share_excluding_null", value=100 * float(table["excludes_null"].mean()), unit="%"
        ),
        Estimate(key="smallest", value=ends[0]["value"], measure=measure),
        Estimate(key="largest", value=ends[1]["value"], measure=measure),
    ]
    flips = (
        Estimate(
            key="flips." + as_key(factor),
            value=_flips(table, factor, factors, null),
            unit="%",
        )
        for factor in factors
    )
    return (*found, *flips)


def _ends(table: pd.DataFrame) -> tuple[float, float]:
    return float(table["value"].min()), float(table["value"].max())


def _flips(table: pd.DataFrame, factor: str, factors: Sequence[str], null: float) -> float:
    """Return the per cent of pairs that differ in this factor alone and in their conclusion."""
    others = [FACTOR_COLUMNS.get(name, name) for name in factors if name != factor]
    verdict = np.where(table["excludes_null"], np.sign(table["value"] - null), 0)
    groups = (
        pd.Series(verdict).groupby([table[name] for name in others])
        if others
        else [("all", pd.Series(verdict))]
    )
    different = pairs = 0.0
    for _, group in groups:
        counts = group.value_counts().to_numpy(float)
        every = counts.sum() * (counts.sum() - 1) / 2
        pairs += every
        different += every - float(np.sum(counts * (counts - 1) / 2))
    return 100 * different / pairs if pairs else 0.0


def _multiverse_text(table: pd.DataFrame, estimates: Sequence[Estimate]) -> str:
    low, high = _ends(table)
    decimals = decimals_for(low, high)
    share = next(item.value for item in estimates if item.key == "share_excluding_null")
    counted = f"{len(table):,} specification{'s' if len(table) > 1 else ''}"
    words = (
        f"{counted}: pooled effect {number(low, decimals)} to "
        f"{number(high, decimals)} (analysis scale), {share:.0f} % exclude no effect"
    )
    flips = {item.key[6:]: item.value or 0.0 for item in estimates if item.key.startswith("flips.")}
    if not flips or max(flips.values()) == 0:
        return f"{words}; no single choice changes the conclusion."
    most = max(flips, key=lambda name: flips[name])
    return f"{words}; the choice that changes the conclusion most often is {most}."
