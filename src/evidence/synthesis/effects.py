"""Effect sizes from study tables, and one effect per study where a study gives several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError
from evidence.synthesis.measures import MEASURES, Columns

ZERO_CELLS = ("only0", "all", "if0all", "none")
VARIANCES = ("LS", "LS2", "UB", "AV", "HO", "uncorrected")

COUNTS = ("ai", "n1i", "ci", "n2i", "xi", "ni", "x1i", "x2i")
SPREADS = ("sd1i", "sd2i")
SIZES = ("n1i", "n2i", "ni", "t1i", "t2i", "ti", "mi")


def effect_sizes(
    studies: pd.DataFrame,
    *,
    measure: str,
    zero_cells: str = "only0",
    add: float = 0.5,
    double_zeros: str = "keep",
    variance: str = "LS",
    **columns: str,
) -> pd.DataFrame:
    """Return the study table with effect ``yi`` and sampling variance ``vi`` added.

    Ratios are on the log scale. Rows whose effect cannot be computed stay in the table with empty
    ``yi`` and ``vi`` and a reason in ``excluded``; `pool` leaves them out and says so.

    Parameters
    ----------
    studies
        One row per study or comparison.
    measure
        One of `measures.MEASURES`: ``SMD``, ``MD``, ``RR``, ``OR``, ``RD`` and so on.
    zero_cells, add
        Where `add` is added to the cells: ``only0`` to rows with a zero cell, ``all`` rows,
        ``if0all`` to all rows if one has a zero, or ``none``. Never applied to AS, PHI, PAS, PFT.
    double_zeros
        ``keep``, or ``drop`` rows without events in both groups or with nothing else.
    variance
        ``LS`` (large sample, the default), for SMD also ``LS2``, ``UB``, ``AV``, for MD ``HO``
        (equal variances); ``uncorrected`` leaves the bias correction of SMD, ROM and CVR out.
    **columns
        Names of the columns by their letters, such as ``m1i="mean_arm1"``; a letter not named is
        looked up as a column of that name.

    Returns
    -------
    pandas.DataFrame
        The table with ``yi``, ``vi``, ``measure`` and ``excluded``.

    Raises
    ------
    DataError
        If a choice or column is unknown, a count is negative or above its total, a standard
        deviation is not positive, or a correlation lies outside -1 to 1; the rows are named.
    """
    _check_choices(measure, zero_cells, double_zeros, variance)
    letters = _letters(studies, measure, columns)
    _check_values(letters, studies.index)
    missing = np.any([np.isnan(values) for values in letters.values()], axis=0)
    excluded = np.where(missing, _missing_reason(letters), "")
    if double_zeros == "drop" and "ci" in letters:
        excluded = np.where(missing, excluded, _no_information(letters))
    ready = _corrected(letters, MEASURES[measure].zero_cells, zero_cells, add, excluded == "")
    yi, vi = _effects(ready, measure, variance, excluded == "")
    undefined = (excluded == "") & ~(np.isfinite(yi) & np.isfinite(vi) & (vi > 0))
    excluded = np.where(undefined, f"{measure} not defined for these values", excluded)
    usable = excluded == ""
    return studies.assign(
        yi=np.where(usable, yi, np.nan),
        vi=np.where(usable, vi, np.nan),
        measure=measure,
        excluded=pd.Series(excluded, index=studies.index, dtype="str"),
    )


def _check_choices(measure: str, zero_cells: str, double_zeros: str, variance: str) -> None:
    for name, value, allowed in (
        ("measure", measure, tuple(MEASURES)),
        ("zero_cells", zero_cells, ZERO_CELLS),
        ("double_zeros", double_zeros, ("keep", "drop")),
        ("variance", variance, VARIANCES),
    ):
        if value not in allowed:
            raise DataError(f"{name} must be one of {', '.join(allowed)}; got {value!r}.")


def _letters(studies: pd.DataFrame, measure: str, columns: dict[str, str]) -> dict[str, Any]:
    needed = MEASURES[measure].columns
    unknown = [letter for letter in columns if letter not in needed]
    if unknown:
        raise DataError(
            f"{measure} needs the columns {', '.join(needed)}; got {', '.join(unknown)} beside "
            "them. Leave those out."
        )
    names = {letter: columns.get(letter, letter) for letter in needed}
    absent = [f"{name} (for {letter})" for letter, name in names.items() if name not in studies]
    if absent:
        raise DataError(
            f"{measure} needs the columns {', '.join(needed)}; the table has no "
            f"{', '.join(absent)}. Name them, such as {needed[0]}='column'."
        )
    return {letter: _numbers(studies, name) for letter, name in names.items()}


def _numbers(studies: pd.DataFrame, name: str) -> np.ndarray:
    values = pd.to_numeric(studies[name], errors="coerce")
    text = values.isna() & studies[name].notna()
    if text.any():
        raise DataError(
            f"column {name!r} must hold numbers; {_rows(studies.index[text])} do not. Correct them."
        )
    return values.to_numpy(float, na_value=np.nan)


def _rows(index: Iterable[Any]) -> str:
    rows = [str(row) for row in index]
    more = f" and {len(rows) - 6} more" if len(rows) > 6 else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(rows[:6])}{more}"


def _check_values(c: Columns, index: pd.Index) -> None:
    alpha = "mi" in c
    for letter, values in c.items():
        if letter in SPREADS:
            _refuse(values <= 0, index, f"{letter} (a standard deviation) must be above 0")
        elif letter in SIZES:
            _refuse(values <= 0, index, f"{letter} (a size or time) must be above 0")
        elif letter in COUNTS and not alpha:
            _refuse(values < 0, index, f"{letter} (a count) must be 0 or more")
        if letter == "ri":
            _refuse(np.abs(values) > 1, index, "ri (a correlation) must lie between -1 and 1")
    for events, total in (("ai", "n1i"), ("ci", "n2i"), ("xi", "ni")):
        if events in c and total in c and not alpha:
            _refuse(c[events] > c[total], index, f"{events} (events) must not exceed {total}")


def _refuse(wrong: np.ndarray, index: pd.Index, rule: str) -> None:
    if wrong.any():
        raise DataError(f"{rule}; {_rows(index[wrong])} break this. Correct them at the source.")


def _missing_reason(c: Columns) -> np.ndarray:
    reasons = np.full(len(next(iter(c.values()))), "", dtype=object)
    for letter, values in c.items():
        reasons[np.isnan(values) & (reasons == "")] = f"{letter} is missing"
    return reasons


def _no_information(c: Columns) -> np.ndarray:
    """Return why the rows say nothing about an odds ratio, or nothing for those that do."""
    none = (c["ai"] == 0) & (c["ci"] == 0)
    every = (c["ai"] == c["n1i"]) & (c["ci"] == c["n2i"])
    return np.where(none, "no events in either group", np.where(every, "no one without events", ""))


def _corrected(c: Columns, kind: str, rule: str, add: float, used: np.ndarray) -> Columns:
    if not kind or rule == "none":
        return c
    zero = _has_zero(c, kind) & used
    where = {"only0": zero, "all": used, "if0all": used & zero.any()}[rule]
    step = np.where(where, add, 0.0)
    groups = {
        "two": {"ai": 1, "n1i": 2, "ci": 1, "n2i": 2},
        "one": {"xi": 1, "ni": 2},
        "rates": {"x1i": 1, "x2i": 1},
        "rate": {"xi": 1},
    }[kind]
    return {letter: values + groups.get(letter, 0) * step for letter, values in c.items()}


def _has_zero(c: Columns, kind: str) -> np.ndarray:
    cells: tuple[np.ndarray, ...]
    if kind == "two":
        cells = (c["ai"], c["n1i"] - c["ai"], c["ci"], c["n2i"] - c["ci"])
    elif kind == "one":
        cells = (c["xi"], c["ni"] - c["xi"])
    else:
        cells = tuple(c[letter] for letter in ("x1i", "x2i", "xi") if letter in c)
    return np.any([cell == 0 for cell in cells], axis=0)


def _effects(c: Columns, measure: str, variance: str, used: np.ndarray) -> tuple[Any, Any]:
    yi, vi = np.full(len(used), np.nan), np.full(len(used), np.nan)
    kept = {letter: values[used] for letter, values in c.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        yi[used], vi[used] = MEASURES[measure].formula(kept, variance)
    return yi, vi


def require_studies(effects: pd.DataFrame, least: int, task: str, *, study: str = "study") -> None:
    """Refuse a table that has fewer studies than a task needs.

    Raises
    ------
    DataError
        Saying how many there must be and how many there are.
    """
    found = effects[study].nunique()
    if found < least:
        studies, are = "study" if least == 1 else "studies", "is" if found == 1 else "are"
        raise DataError(
            f"{task} needs at least {least} {studies}; there {are} {found or 'none'}. "
            "Leave fewer out, or ask for others."
        )


def one_per_study(
    effects: pd.DataFrame,
    *,
    rho: float = 0.6,
    study: str = "study",
    people: str = "n",
) -> pd.DataFrame:
    """Return one row per study: its effects averaged, the variance allowing for their correlation.

    The mean of m effects has variance ``sum_ij r_ij sqrt(v_i v_j) / m^2`` with ``r = rho`` between
    different effects of a study (Borenstein et al. 2009, equation 24.5). Rows without an effect
    (``excluded``) are left out.

    Parameters
    ----------
    effects
        Table with ``yi``, ``vi`` and the study's name.
    rho
        Correlation between the effects of one study, 0 to 1. It is rarely reported: 0.6 is a
        convention (Cuijpers and colleagues), so vary it.
    study, people
        Columns with the study's name and the number of people; of several rows of a study the
        largest number is kept, because they overlap.

    Returns
    -------
    pandas.DataFrame
        Rows in order of first appearance, with ``rows`` (how many were averaged). Other columns
        keep a value that all rows of the study share; differing texts are joined with " + ".

    Raises
    ------
    DataError
        If `rho` is not between 0 and 1 or a column is missing.
    """
    if not 0 <= rho <= 1:
        raise DataError(f"rho must lie between 0 and 1; got {rho}. It is a correlation.")
    absent = [name for name in (study, "yi", "vi") if name not in effects]
    if absent:
        raise DataError(f"one effect per study needs the columns study, yi, vi; no {absent}.")
    usable = effects[effects["yi"].notna() & effects["vi"].notna()]
    rows = [
        _averaged(group, rho, study, people)
        for _, group in usable.groupby(study, sort=False, dropna=False)
    ]
    columns = list(dict.fromkeys([*effects.columns, "rows"]))
    return pd.DataFrame(rows, columns=columns).reset_index(drop=True)


def _averaged(group: pd.DataFrame, rho: float, study: str, people: str) -> dict[str, Any]:
    yi, sd = group["yi"].to_numpy(float), np.sqrt(group["vi"].to_numpy(float))
    variance = (rho * sd.sum() ** 2 + (1 - rho) * (sd**2).sum()) / len(sd) ** 2
    row = {name: _shared(group[name]) for name in group.columns}
    if people in group:
        row[people] = group[people].max()
    return row | {study: group[study].iloc[0], "yi": yi.mean(), "vi": variance, "rows": len(sd)}


def _shared(values: pd.Series) -> Any:
    different = values.dropna().unique()
    if len(different) == 1:
        return different[0]
    if len(different) and all(isinstance(value, str) for value in different):
        return " + ".join(sorted(different))
    return None if values.dtype.kind not in "iuf" else np.nan
