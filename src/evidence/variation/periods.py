"""Periods counted so that neighbours differ by one: months, quarters, years."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from evidence.errors import DataError
from evidence.variation import words
from evidence.variation.checks import OK, require_columns, require_unique

MONTH = re.compile(r"^(\d{4})-(\d{2})(-\d{2})?$")
QUARTER = re.compile(r"^(\d{4})[- ]?Q([1-4])$")
YEAR = re.compile(r"^(\d{4})([-/]\d{2,4})?$")


def period_numbers(periods: Sequence[str]) -> tuple[np.ndarray, str]:
    """Return whole numbers that count periods, so that neighbours differ by one, and their kind.

    Parameters
    ----------
    periods
        Months (``2024-11`` or ``2024-11-01``), quarters (``2024 Q3``), calendar or financial
        years (``2019``, ``2019-20``), or whole numbers.

    Returns
    -------
    tuple
        Numbers, shape (n,), and ``month``, ``quarter``, ``year`` or ``number``.

    Raises
    ------
    DataError
        If the periods follow none of these forms.
    """
    texts = [str(period).strip() for period in periods]
    if texts and all(_financial_year(text) for text in texts):
        return np.array([int(text[:4]) for text in texts]), "year"
    for kind, form in (("month", MONTH), ("quarter", QUARTER), ("year", YEAR)):
        found = [form.match(text) for text in texts]
        if all(found):
            return np.array([_count(kind, match) for match in found if match]), kind
    if all(text.lstrip("-").isdigit() for text in texts):
        return np.array([int(text) for text in texts]), "number"
    raise DataError(
        "periods must all be months (2024-11), quarters (2024 Q3), years (2019-20) or whole "
        f"numbers; got {words.listed(texts, 5)}. Write them in one form."
    )


def _financial_year(text: str) -> bool:
    match = re.match(r"^(\d{4})[-/](\d{2}|\d{4})$", text)
    return bool(match) and int(match[2][-2:]) == (int(match[1]) + 1) % 100  # type: ignore[index]


def _count(kind: str, match: re.Match[str]) -> int:
    if kind == "month":
        return int(match[1]) * 12 + int(match[2]) - 1
    if kind == "quarter":
        return int(match[1]) * 4 + int(match[2]) - 1
    return int(match[1])


def period_label(number: int, kind: str) -> str:
    """Return the label of a counted period, as `period_numbers` counts them."""
    if kind == "month":
        return f"{number // 12}-{number % 12 + 1:02d}"
    if kind == "quarter":
        return f"{number // 4} Q{number % 4 + 1}"
    return str(number)


def series_in_order(
    table: pd.DataFrame, period: str, value: str, status: str
) -> tuple[pd.DataFrame, str]:
    """Return a series in order of time, with a row for every period in its range, and its kind.

    Parameters
    ----------
    table
        One row per period, in any order.
    period, value, status
        Columns; the last may be absent. A value whose status is not ``ok`` is left out.

    Returns
    -------
    tuple
        Rows with `number`, `period`, `value` and `status` (``missing`` where a period is absent
        or has no value), and the kind of period as `period_numbers` names it.

    Raises
    ------
    DataError
        If columns are absent, there is no row, or periods repeat or have no order.
    """
    require_columns(table, (period, value), "a series")
    require_unique(table, [period], "a series")
    if not len(table):
        raise DataError("a series needs a series; the table has no rows. Check the filter.")
    numbers, kind = period_numbers(table[period].tolist())
    values = pd.to_numeric(table[value], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    given = table[status].to_numpy() if status in table.columns else np.full(len(table), OK)
    rows = pd.DataFrame(
        {
            "number": numbers,
            "period": table[period].astype("str").to_numpy(),
            "value": np.where(given == OK, values, np.nan),
            "status": pd.Series(given, dtype="str").fillna("missing").to_numpy(),
        }
    )
    rows.loc[(rows["status"] == OK) & rows["value"].isna(), "status"] = "missing"
    if rows["number"].duplicated().any():
        raise DataError("a series needs one row for each period; two dates fall into one.")
    whole = pd.RangeIndex(rows["number"].min(), rows["number"].max() + 1)
    rows = rows.set_index("number").reindex(whole).rename_axis("number").reset_index()
    absent = rows["period"].isna()
    rows.loc[absent, "period"] = [period_label(n, kind) for n in rows.loc[absent, "number"]]
    rows["status"] = rows["status"].fillna("missing")
    return rows, kind
