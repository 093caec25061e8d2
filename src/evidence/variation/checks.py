"""What a table of counts must hold before it is analysed, and which rows give a figure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evidence.errors import DataError

OVER = "numerator over denominator"
ZERO = "zero denominator"
MISSING = "missing"
OK = "ok"


def require_level(level: float, name: str = "level") -> None:
    """Refuse a coverage that is not a fraction between 0 and 1.

    Raises
    ------
    DataError
        Naming the argument and its value.
    """
    if not 0 < level < 1:
        raise DataError(f"{name} must lie between 0 and 1; got {level}. Write 0.95 for 95 %.")


def require_unique(table: pd.DataFrame, columns: list[str], task: str) -> None:
    """Refuse rows that repeat a key.

    Raises
    ------
    DataError
        Naming the first keys that come more than once.
    """
    repeated = table.loc[table.duplicated(columns, keep=False), columns].drop_duplicates()
    if len(repeated):
        names = "; ".join(", ".join(map(str, row)) for row in repeated.to_numpy()[:3])
        raise DataError(
            f"{task} needs one row for each {' and '.join(columns)}; repeated: {names}. "
            "Add the rows up, or choose one period."
        )


def numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    """Return a column of values as floats, NaN where there is none.

    Raises
    ------
    DataError
        If a value is no number.
    """
    try:
        return pd.to_numeric(table[column]).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{column!r} must hold numbers; {error}. Turn codes such as '*' into a status first."
        ) from None


def counts(table: pd.DataFrame, column: str) -> np.ndarray:
    """Return a column of counts as floats, NaN where there is none.

    Raises
    ------
    DataError
        If a value is no number, negative or infinite, naming the rows.
    """
    values = numbers(table, column)
    wrong = np.flatnonzero((values < 0) | np.isinf(values))
    if len(wrong):
        raise DataError(
            f"{column!r} must hold counts of 0 or more; rows {wrong[:5].tolist()} hold "
            f"{values[wrong[:5]].tolist()}. Correct the table."
        )
    return values


def figure_status(
    numerator: np.ndarray,
    denominator: np.ndarray,
    status: pd.Series | None = None,
    *,
    bounded: bool = True,
) -> np.ndarray:
    """Return for each row ``ok`` or the reason why it gives no figure.

    Parameters
    ----------
    numerator, denominator
        Counts, NaN where missing; shape (n,).
    status
        Status that came with the values (``ok``, ``suppressed`` …), or None if all are published.
    bounded
        Whether the numerator is a part of the denominator (a proportion), so that a larger one
        is an error.
    """
    given = np.full(len(numerator), OK, dtype=object) if status is None else _given(status)
    reasons = np.where(np.isnan(numerator) | np.isnan(denominator), MISSING, OK)
    reasons = np.where(denominator == 0, ZERO, reasons)
    if bounded:
        reasons = np.where((numerator > denominator) & (denominator > 0), OVER, reasons)
    return np.where(given == OK, reasons, given).astype(object)


def _given(status: pd.Series) -> np.ndarray:
    return status.astype(object).where(status.notna(), MISSING).to_numpy(dtype=object)
