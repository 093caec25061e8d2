"""Periods counted so that neighbours differ by one: months, quarters, years."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from evidence.errors import DataError, require_columns
from evidence.variation import words
from evidence.variation.checks import OK, require_unique

MONTH = re.compile(r"^(\d{4})-(0[1-9]|1[0-2])(-\d{2})?$")
QUARTER = re.compile(r"^(\d{4})[- ]?Q([1-4])$")
YEAR = re.compile(r"^(\d{4})([-/]\d{2,4})?$")
FORMS = {"month": MONTH, "quarter": QUARTER, "year": YEAR}
"""Forms of a single period, each tried before those below it."""
YEARS = re.compile(r"^(\d{4})\s*[-/\N{EN DASH}]\s*(\d{4}|\d{2})$")
SPAN = re.compile(r"^(\S+)\s+(?:to|-|\N{EN DASH})\s+(\S+)$")
LAST_MONTHS = re.compile(r"^(\d{1,2}) months (?:to|ending) (\d{4}-\d{2})$")


def period_numbers(periods: Sequence[str]) -> tuple[np.ndarray, str]:
    """Return whole numbers that count periods, so that neighbours differ by one, and their kind.

    Parameters
    ----------
    periods
        Months (``2024-11`` or ``2024-11-01``), quarters (``2024 Q3``), calendar or financial
        years (``2019``, ``2019-20``), windows of equal length (``2015-17``,
        ``2024-01 to 2024-03``, ``12 months to 2024-03``), or whole numbers.

    Returns
    -------
    tuple
        Numbers, shape (n,), and ``month``, ``quarter``, ``year``, ``window`` or ``number``.

    Raises
    ------
    DataError
        If the periods follow none of these forms, or windows overlap: their points share events,
        so that neighbours are alike whatever happens. The windows are named.
    """
    texts = [str(period).strip() for period in periods]
    if texts and all(_financial_year(text) for text in texts):
        return np.array([int(text[:4]) for text in texts]), "year"
    if not all(MONTH.match(text) for text in texts):
        spans = [_window(text) for text in texts]
        if any(spans):
            return _window_numbers(texts, spans), "window"
    for kind, form in FORMS.items():
        found = [form.match(text) for text in texts]
        if all(found):
            numbers = np.array([_count(kind, match) for match in found if match])
            _refuse_either_reading(texts, numbers)
            return numbers, kind
    if all(text.lstrip("-").isdigit() for text in texts):
        return np.array([int(text) for text in texts]), "number"
    raise DataError(
        "periods must all be months (2024-11), quarters (2024 Q3), years (2019-20) or whole "
        f"numbers; got {words.listed(texts, 5)}. Write them in one form."
    )


def _financial_year(text: str) -> bool:
    match = re.match(r"^(\d{4})[-/](\d{2}|\d{4})$", text)
    return bool(match) and int(match[2][-2:]) == (int(match[1]) + 1) % 100  # type: ignore[index]


def _window(text: str) -> tuple[int, int] | None:
    """Return the first and last period that a label spans, or None if it names a single one."""
    if match := LAST_MONTHS.match(text):
        last = _count("month", MONTH.match(match[2]))  # type: ignore[arg-type]
        return last - int(match[1]) + 1, last
    if match := SPAN.match(text):
        first, last_one = (_single(part) for part in match.groups())
        return (first, last_one) if first is not None and last_one is not None else None
    if (match := YEARS.match(text)) and not _financial_year(text):
        first_year, end = int(match[1]), match[2]
        last_year = int(end) if len(end) == 4 else first_year - first_year % 100 + int(end)
        return first_year, last_year + (100 if last_year < first_year else 0)
    return None


def _refuse_either_reading(texts: list[str], numbers: np.ndarray) -> None:
    """Refuse ``2008-10``, ``2009-11``, ``2010-12``: months 13 apart, or overlapping years."""
    if len(texts) > 2 and len(texts[0]) == 7 and (np.diff(np.sort(numbers)) == 13).all():
        raise DataError(
            f"periods must be read in one way only; {words.listed(texts)} are months 13 apart or "
            "overlapping windows of three years. Write windows as '2008 to 2010'."
        )


def _single(text: str) -> int | None:
    for kind, form in FORMS.items():
        if match := form.match(text):
            return _count(kind, match)
    return None


def _window_numbers(texts: list[str], spans: list[tuple[int, int] | None]) -> np.ndarray:
    known = [span for span in spans if span]
    lengths = {last - first + 1 for first, last in known}
    if len(known) < len(texts) or len(lengths) > 1 or min(lengths) < 1:
        raise DataError(
            f"windows of a series must all span as many periods; got {words.listed(texts, 5)}. "
            "Write them in one form."
        )
    length = lengths.pop()
    order = sorted(range(len(texts)), key=lambda at: known[at])
    for left, right in pairwise(order):
        if known[left][0] < known[right][0] <= known[left][1]:
            raise DataError(
                f"periods of a series must not overlap; {texts[left]!r} and {texts[right]!r} do. "
                "Points that share events are alike whatever happens: keep windows that follow "
                "each other, or take single periods."
            )
    starts = np.array([first for first, _ in known])
    apart = starts - starts.min()
    if (apart % length).any():
        raise DataError(
            "windows of a series must follow each other without a part of one between them; got "
            f"{words.listed(texts, 5)}. Keep those that do."
        )
    return apart // length


def _count(kind: str, match: re.Match[str]) -> int:
    if kind == "month":
        return int(match[1]) * 12 + int(match[2]) - 1
    if kind == "quarter":
        return int(match[1]) * 4 + int(match[2]) - 1
    return int(match[1])


def period_number(period: str, kind: str) -> int | None:
    """Return one period as a series of that kind counts it, None if it is of another kind.

    By itself ``2010-11`` may be a month or a financial year; its series tells which.

    Parameters
    ----------
    period
        Such as those of `period_numbers`.
    kind
        As `period_numbers` names it; windows have no place in time by themselves.
    """
    text = period.strip()
    if kind in FORMS:
        match = FORMS[kind].match(text)
        wrong = kind == "year" and not (text.isdigit() or _financial_year(text))
        return _count(kind, match) if match and not wrong else None
    return int(text) if kind == "number" and text.lstrip("-").isdigit() else None


def period_label(number: int, kind: str) -> str:
    """Return the label of a counted period, as `period_numbers` counts them."""
    if kind == "month":
        return f"{number // 12}-{number % 12 + 1:02d}"
    if kind == "quarter":
        return f"{number // 4} Q{number % 4 + 1}"
    if kind == "window":
        return f"window {number + 1}"
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
        raise DataError("a series needs a period; the table has no rows. Check the filter.")
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
