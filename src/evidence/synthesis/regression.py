"""Do study characteristics go with the size of the effect: meta-regression and subgroups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from evidence.errors import DataError, require_random
from evidence.results import Caution, Estimate, Result
from evidence.synthesis.fit import Fit, fit, kenward_roger_omnibus
from evidence.synthesis.pool import (
    as_key,
    decimals_for,
    first_coefficient,
    listed,
    no_interval,
    number,
)
from evidence.synthesis.weighting import Array

STUDIES_PER_MODERATOR = 10
"""Fewer studies per moderator than this give unstable findings (Cochrane Handbook 10.11.4)."""

EXACT_PERMUTATIONS = 5040
"""Up to this many orders (7 studies) all are tried, above it random ones."""
LEAST_ORDERS = 19
"""Random orders below which no p value can be as small as 0.05."""


def wald(fitted: Fit, which: Sequence[int]) -> tuple[float, float]:
    """Return the omnibus statistic of some coefficients and its p value.

    Chi-square where the fit uses the normal distribution, else F: the chi-square divided by the
    number of coefficients, for Kenward-Roger scaled and with degrees of freedom of its own.
    """
    b, vcov = fitted.b[list(which)], fitted.vcov[np.ix_(list(which), list(which))]
    if fitted.test == "kenward_roger":
        scaled, df = kenward_roger_omnibus(fitted, which)
        return scaled, float(special.fdtrc(len(b), df, scaled))
    statistic = float(b @ np.linalg.solve(vcov, b))
    if fitted.df is None:
        return statistic, float(special.chdtrc(len(b), statistic))
    return statistic / len(b), float(special.fdtrc(len(b), fitted.df, statistic / len(b)))


def explained(fitted: Fit, null: Fit) -> float | None:
    """Return the per cent of between-study variance that the moderators account for (R²).

    Both models must be fitted to the same studies. `None` if the null model has no variance to
    explain; not below 0. For common-effect models it is the adjusted R² of the weighted regression.
    """
    before, after = null.tau2, fitted.tau2
    if fitted.model == "common":
        before, after = null.q / max(null.q_df, 1), fitted.q / max(fitted.q_df, 1)
    if before <= 0:
        return None
    return float(np.clip(100 * (before - after) / before, 0.0, 100.0))


def design_matrix(effects: pd.DataFrame, moderators: Sequence[str]) -> tuple[Array, list[str]]:
    """Return intercept and moderators; text columns become indicators against their first level.

    Raises
    ------
    DataError
        If a column is missing or has a single value.
    """
    columns: list[Any] = [np.ones(len(effects))]
    names = ["intercept"]
    for moderator in moderators:
        if moderator not in effects:
            raise DataError(
                f"a moderator must be a column of the table; there is no {moderator!r}."
            )
        values = effects[moderator]
        if values.nunique() < 2:
            raise DataError(
                f"a moderator must differ between studies; {moderator!r} is the same in all that "
                "have it. Leave it out."
            )
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            columns.append(values.to_numpy(float))
            names.append(moderator)
            continue
        levels = sorted(values.astype("str").unique())
        columns += [(values.astype("str") == level).to_numpy(float) for level in levels[1:]]
        names += [f"{moderator}: {level}" for level in levels[1:]]
    return np.column_stack(columns), names


def formula_matrix(effects: pd.DataFrame, formula: str) -> tuple[Array, list[str], pd.Index]:
    """Return the design that a formula such as ``~ year + format`` states.

    Parameters
    ----------
    effects
        One row per study.
    formula
        Right-hand side in Wilkinson's notation: ``+`` adds a column, ``:`` is an interaction, ``*``
        both, ``C(x)`` takes numbers as categories. Text columns become indicators against their
        alphabetically first level.

    Returns
    -------
    tuple
        Columns (k, m), intercept first; the names of the terms; the rows used: those in which
        every named column has a value.

    Raises
    ------
    DataError
        If the formula cannot be read, names no column of the table or has no intercept.
    """
    import formulaic

    try:
        matrix = formulaic.model_matrix(formula, effects, na_action="drop", context={})
    except (formulaic.errors.FormulaicError, SyntaxError) as error:
        reason = str(error).splitlines()[0].split(" [")[0]
        raise DataError(
            f"a formula must name columns of the table, such as '~ year + format'; {formula!r} "
            f"cannot be used: {reason}."
        ) from error
    if isinstance(matrix, formulaic.ModelMatrices) or "Intercept" not in matrix:
        raise DataError(
            f"a formula must have a right side with its intercept; {formula!r} has not. Write it "
            "as '~ year + format'."
        )
    constant = [
        name for name in matrix.columns if name != "Intercept" and matrix[name].nunique() < 2
    ]
    if constant:
        raise DataError(
            f"a moderator must differ between studies; {constant[0]!r} is the same in all that "
            "have it. Leave it out."
        )
    names = [_term_words(str(name)) for name in matrix.columns]
    return matrix.to_numpy(float), names, matrix.index


def _term_words(name: str) -> str:
    """Return ``format[T.group]`` as ``format: group`` and ``a:b`` as ``a × b``."""
    if name == "Intercept":
        return "intercept"
    parts = re.split(r":(?![^\[]*\])", name)
    return " × ".join(re.sub(r"\[T\.(.*)\]$", r": \1", part) for part in parts)


def meta_regression(
    effects: pd.DataFrame,
    moderators: str | Sequence[str],
    *,
    model: str = "random",
    tau2: str = "REML",
    test: str = "hartung_knapp",
    floor: str = "scale",
    level: float = 0.95,
    permutations: int = 0,
    seed: int = 1,
    words: Mapping[str, str] | None = None,
) -> Result:
    """Regress effects on study characteristics, weighted and with residual heterogeneity.

    Parameters
    ----------
    effects
        One row per study with ``yi`` and ``vi``; rows without them or without a moderator are left
        out and counted in a caution.
    moderators
        A formula (``"~ year + format"``, see `formula_matrix`), or columns: numbers as they are,
        texts as indicators against their alphabetically first level.
    model, tau2, test, floor, level
        As for `pool`.
    permutations
        Random orders of the moderators' rows for p values without a distribution; 0 for none.
        All orders are tried for up to 7 studies (see `permuted_moderators`).
    seed
        Seed of the random orders.
    words
        Moderators in words for the sentence.

    Returns
    -------
    Result
        Table with term, value, se, statistic, df, p, low, high and, if asked for, permutation_p
        (not of the intercept, which no order changes the meaning of);
        estimates per term and ``QM``, ``QM_p``, ``QE``, ``QE_p``, ``tau2``, ``R2`` (where defined),
        ``I2``, ``H2`` and ``QM_permutation_p``.

    Raises
    ------
    DataError
        If a moderator is missing, constant, or a combination of others.
    """
    x, names, usable = _design(effects, moderators)
    settings: dict[str, Any] = {"model": model, "tau2": tau2, "test": test, "floor": floor}
    asked: dict[str, Any] = {
        "moderators": moderators if isinstance(moderators, str) else list(moderators)
    }
    if len(usable) <= x.shape[1]:
        return Result.could_not(
            "Not regressed",
            f"{len(usable)} studies for {x.shape[1]} coefficients",
            **asked,
            **settings,
        )
    chosen: dict[str, Any] = {"model": model, "tau2": tau2, "test": test, "floor": floor}
    fitted = fit(usable["yi"], usable["vi"], x, level=level, **chosen)
    null = fit(usable["yi"], usable["vi"], level=level, **chosen)
    table = coefficient_table(fitted, names)
    estimates = [*_terms(table, fitted), *_omnibus(fitted, null)]
    if permutations:
        omnibus, single = _permuted(usable["yi"], usable["vi"], x, seed, permutations, chosen)
        table["permutation_p"] = [np.nan, *single[1:]]
        estimates.append(Estimate(key="QM_permutation_p", value=omnibus, k=fitted.k))
        settings |= {"permutations": permutations, "seed": seed}
    named = [(words or {}).get(name, name) for name in _moderators(moderators, names)]
    return Result(
        text=_regression_text(named, fitted, null),
        estimates=tuple(estimates),
        table=table,
        settings=asked | settings | {"level": level},
        cautions=tuple(_regression_cautions(fitted, len(effects))),
    )


def _design(
    effects: pd.DataFrame, moderators: str | Sequence[str]
) -> tuple[Array, list[str], pd.DataFrame]:
    """Return the columns, their names and the rows that have all that is needed."""
    if not isinstance(moderators, str):
        known = [name for name in moderators if name in effects]
        usable = effects.dropna(subset=["yi", "vi", *known])
        return (*design_matrix(usable, moderators), usable)
    whole = effects.dropna(subset=["yi", "vi"]).reset_index(drop=True)
    x, names, rows = formula_matrix(whole, moderators)
    return x, names, whole.loc[rows]


def _moderators(moderators: str | Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the moderators by themselves: what a formula's terms are made of."""
    if not isinstance(moderators, str):
        return list(moderators)
    parts = (part.split(": ")[0] for name in names[1:] for part in name.split(" × "))
    return list(dict.fromkeys(parts))


def coefficient_table(fitted: Fit, names: Sequence[str]) -> pd.DataFrame:
    """Return coefficients with error, test and interval, one row per term."""
    return pd.DataFrame(
        {
            "term": list(names),
            "value": fitted.b,
            "se": fitted.se,
            "statistic": fitted.statistic,
            "df": np.full(len(fitted.b), np.nan) if fitted.dfs is None else fitted.dfs,
            "p": fitted.p,
            "low": fitted.low,
            "high": fitted.high,
        }
    )


def _terms(table: pd.DataFrame, fitted: Fit) -> list[Estimate]:
    return [
        Estimate(
            key="b." + as_key(row.term),
            value=row.value,
            low=row.low,
            high=row.high,
            se=row.se,
            level=fitted.level,
            k=fitted.k,
        )
        for row in table.itertuples()
    ]


def _omnibus(fitted: Fit, null: Fit) -> list[Estimate]:
    statistic, p = wald(fitted, range(1, len(fitted.b)))
    found = {
        "QM": statistic,
        "QM_p": p,
        "QE": fitted.q,
        "QE_p": fitted.q_p,
        "tau2": fitted.tau2,
        "I2": fitted.i2,
        "H2": fitted.h2,
        "R2": explained(fitted, null),
    }
    return [
        Estimate(key=key, value=value, k=fitted.k, unit="%" if key in ("I2", "R2") else "")
        for key, value in found.items()
        if value is not None
    ]


def _regression_text(moderators: Sequence[str], fitted: Fit, null: Fit) -> str:
    _, p = wald(fitted, range(1, len(fitted.b)))
    share = explained(fitted, null)
    verdict = "differ" if p < 1 - fitted.level else "do not clearly differ"
    words = f"{fitted.k} studies: effects {verdict} by {listed(moderators)} (p {p_words(p)})"
    return (
        f"{words}." if share is None else f"{words}; it accounts for {share:.0f} % of the variance."
    )


def p_words(p: float) -> str:
    """Return a p value as readers see it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _regression_cautions(fitted: Fit, rows: int) -> list[Caution]:
    found = [
        Caution(
            "ecological",
            "Differences between studies are not differences between people: other features of the "
            "studies may explain them.",
        )
    ]
    found += _left_out(fitted.k, rows)
    slopes = len(fitted.b) - 1
    if fitted.k < STUDIES_PER_MODERATOR * slopes:
        few = f"{fitted.k} studies for {slopes} coefficients: fewer than 10 each."
        one = f"{fitted.k} studies for one coefficient: fewer than 10."
        found.append(Caution("few_studies", one if slopes == 1 else few))
    return found


def _left_out(used: int, rows: int) -> list[Caution]:
    words = f"{rows - used} of {rows} rows lack a value and were left out."
    return [Caution("other", words)] if used < rows else []


def permutation_test(
    yi: ArrayLike,
    vi: ArrayLike,
    *,
    tau2: str = "REML",
    test: str = "z",
    seed: int = 1,
    orders: int = 1000,
) -> float:
    """Return the p value of no pooled effect from flipping the signs of effects.

    All sign patterns where there are at most 4,096 of them (k of 12), else `orders` random ones
    beside the observed one (Follmann and Proschan 1999, Biometrics 55:732-737), so that p is never
    0 (Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39).

    Parameters
    ----------
    yi, vi
        Effects and sampling variances, shape (k,).
    tau2, test
        As for `fit`.
    seed, orders
        Seed and number of the random patterns.
    """
    require_random(seed, orders, LEAST_ORDERS)
    y, v = np.asarray(yi, float), np.asarray(vi, float)
    observed = abs(fit(y, v, tau2=tau2, test=test).statistic[0])
    if len(y) <= 12:
        codes = np.arange(2 ** len(y))[:, None]
        signs = 1.0 - 2.0 * ((codes >> np.arange(len(y))) & 1)
    else:
        drawn = np.random.default_rng(seed).choice([-1.0, 1.0], (orders, len(y)))
        signs = np.vstack([np.ones(len(y)), drawn])
    found = [abs(fit(sign * y, v, tau2=tau2, test=test).statistic[0]) for sign in signs]
    return float(np.mean(np.array(found) >= observed * (1 - 1e-9)))


def permuted_moderators(
    yi: ArrayLike, vi: ArrayLike, x: ArrayLike, *, seed: int = 1, orders: int = 1000, **choices: Any
) -> float:
    """Return the omnibus p value from permuting the rows of the moderators.

    Higgins and Thompson 2004 (Statistics in Medicine 23:1663-1682): all orders for up to 7 studies,
    else `orders` random ones beside the observed one, as in `permutation_test`.

    Parameters
    ----------
    yi, vi
        Effects and sampling variances, shape (k,).
    x
        Moderators, shape (k, p); the intercept must be the first column.
    seed, orders
        Seed and number of the random orders.
    **choices
        ``model``, ``tau2``, ``test``, ``floor`` as for `fit`.
    """
    return _permuted(yi, vi, np.asarray(x, float), seed, orders, choices)[0]


def _permuted(
    yi: ArrayLike, vi: ArrayLike, design: Array, seed: int, orders: int, choices: dict[str, Any]
) -> tuple[float, Array]:
    """Return p values of all moderators together and of each coefficient, from permuting rows."""
    require_random(seed, orders, LEAST_ORDERS)
    y, v = np.asarray(yi, float), np.asarray(vi, float)
    terms = range(1, design.shape[1])
    random = np.random.default_rng(seed)
    rows = (
        list(permutations(range(len(y))))
        if factorial(min(len(y), 10)) <= EXACT_PERMUTATIONS
        else [np.arange(len(y)), *(random.permutation(len(y)) for _ in range(orders))]
    )
    seen = _statistics(fit(y, v, design, **choices), terms)
    found = np.array(
        [_statistics(fit(y, v, design[list(order)], **choices), terms) for order in rows]
    )
    shares = np.mean(found >= seen * (1 - 1e-9), axis=0)
    return float(shares[0]), shares[1:]


def _statistics(fitted: Fit, terms: Sequence[int]) -> Array:
    return np.r_[wald(fitted, terms)[0], np.abs(fitted.statistic)]


def subgroups(
    effects: pd.DataFrame,
    by: str,
    *,
    shared_tau2: bool = False,
    model: str = "random",
    tau2: str = "REML",
    test: str = "hartung_knapp",
    floor: str = "scale",
    level: float = 0.95,
) -> Result:
    """Pool each subgroup and test whether the subgroups differ.

    Parameters
    ----------
    effects
        One row per study with ``yi``, ``vi`` and the column `by`.
    by
        Column with the subgroup of each study.
    shared_tau2
        One between-study variance for all subgroups (needed where some are small), or each its own.
    model, tau2, test, floor, level
        As for `pool`.

    Returns
    -------
    Result
        Table with group, k, value, se, low, high, tau2, I2, Q per subgroup; estimates
        ``Q_between`` (chi-square) and ``Q_between_p``. If there are not two groups, no group has
        two studies, or an interval would say nothing, a result that says so. Rows without an
        effect or a subgroup are left out and counted in a caution.

    Raises
    ------
    DataError
        If a column is missing or a choice is unknown.
    """
    absent = [name for name in (by, "yi", "vi") if name not in effects]
    if absent:
        raise DataError(f"subgroups need a column of the table; there is no {absent[0]!r}.")
    usable = effects.dropna(subset=["yi", "vi", by])
    sizes = usable[by].astype("str").value_counts()
    settings = {"by": by, "shared_tau2": shared_tau2, "tau2": tau2, "test": test, "floor": floor}
    refusal = _no_groups(by, sizes)
    if refusal:
        return Result.could_not("Subgroups not compared", refusal, **settings)
    between: str | float = tau2
    if shared_tau2 and model == "random":
        x, _ = design_matrix(usable.assign(**{by: usable[by].astype("str")}), [by])
        between = fit(usable["yi"], usable["vi"], x, tau2=tau2).tau2
    chosen: dict[str, Any] = {"model": model, "tau2": between, "test": test, "floor": floor}
    fits = {
        name: fit(rows["yi"], rows["vi"], level=level, **chosen)
        for name, rows in usable.groupby(usable[by].astype("str"))
    }
    unread = next((why for why in map(no_interval, fits.values()) if why), "")
    if unread:
        return Result.could_not("Subgroups not compared", unread, **settings)
    statistic, p = between_groups(list(fits.values()))
    return Result(
        text=_subgroup_text(by, fits, p, level),
        estimates=(
            *_subgroup_estimates(fits),
            Estimate(key="Q_between", value=statistic, k=len(usable)),
            Estimate(key="Q_between_p", value=p, k=len(usable)),
        ),
        table=pd.DataFrame([_subgroup_row(name, fitted) for name, fitted in fits.items()]),
        settings=settings | {"level": level, "model": model},
        cautions=tuple(_subgroup_cautions(fits, len(effects))),
    )


def _no_groups(by: str, sizes: pd.Series) -> str:
    """Return why the groups of these sizes cannot be compared, or nothing."""
    if sizes.empty:
        return f"no study has both a usable effect and a known {by}"
    if len(sizes) < 2:
        return f"{by} has one value only"
    if sizes.max() < 2:
        return "no group has two studies, so nothing can be pooled"
    return ""


def between_groups(fits: Sequence[Fit]) -> tuple[float, float]:
    """Return the chi-square of differences between pooled effects, and its p value."""
    b = np.array([fitted.b[0] for fitted in fits])
    w = 1 / np.array([fitted.se[0] for fitted in fits]) ** 2
    statistic = float(w @ (b - w @ b / w.sum()) ** 2)
    return statistic, float(special.chdtrc(len(b) - 1, statistic))


def _subgroup_row(name: str, fitted: Fit) -> dict[str, Any]:
    return {
        "group": name,
        "k": fitted.k,
        "value": fitted.b[0],
        "se": fitted.se[0],
        "low": fitted.low[0],
        "high": fitted.high[0],
        "tau2": fitted.tau2,
        "I2": fitted.i2,
        "Q": fitted.q,
    }


def _subgroup_estimates(fits: dict[str, Fit]) -> list[Estimate]:
    return [first_coefficient("group." + as_key(name), fitted) for name, fitted in fits.items()]


def _subgroup_text(by: str, fits: dict[str, Fit], p: float, level: float) -> str:
    verdict = "differ" if p < 1 - level else "do not clearly differ"
    ranked = sorted(fits, key=lambda name: fits[name].b[0])
    ends = [
        f"{number(fits[name].b[0], decimals_for(fits[name].low[0], fits[name].high[0]))} "
        f"({name}, k {fits[name].k})"
        for name in (ranked[0], ranked[-1])
    ]
    return f"Effects {verdict} by {by} (p {p_words(p)}): from {ends[0]} to {ends[1]}."


def _subgroup_cautions(fits: dict[str, Fit], rows: int) -> list[Caution]:
    single = [name for name, fitted in fits.items() if fitted.k == 1]
    found = [
        Caution(
            "ecological",
            "Subgroups of studies differ in more than their label; this is not a comparison within "
            "studies.",
        ),
        *_left_out(sum(fitted.k for fitted in fits.values()), rows),
    ]
    if single:
        found.append(
            Caution(
                "few_studies", f"One study only in {', '.join(single)}: nothing was pooled there."
            )
        )
    return found
