"""Indicators: numerator and denominator of every area, from the tables that define them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from evidence.data import catalogue
from evidence.data.definitions import Doubt, Indicator, Part
from evidence.data.tables import load
from evidence.errors import DataError

_WORST_FIRST = ("suppressed", "null", "missing", "ok")


@dataclass(frozen=True, slots=True)
class _Counted:
    """Values by area with their status, and half the width of what rounding may have changed."""

    value: pd.Series
    status: pd.Series
    half_width: float


def indicator(id: str, period: str | None = None) -> pd.DataFrame:
    """Return numerator and denominator of an indicator, one row for each London CCG.

    Parameters
    ----------
    id
        Indicator, such as ``talking-therapies-recovery``.
    period
        One of the indicator's periods; its default period if not given.

    Returns
    -------
    DataFrame
        area_code, area, period, numerator, denominator (missing unless the status is ok),
        status (ok, suppressed, null, missing), rounding and denominator_rounding (half the
        width of the interval that rounding leaves open; 0 if nothing was rounded).

    Raises
    ------
    CatalogueError
        If the indicator is unknown or its definition wrong.
    DataError
        If the period is not one of its periods, a table is wrong, or a proportion has a
        numerator above its denominator by more than rounding explains.
    """
    stated = catalogue.definition(id)
    period = _known_period(stated, period)
    codes = [area.code for area in catalogue.areas("ccg")]
    numerator = _count(stated.numerator, period, codes)
    denominator = _count(stated.denominator, period, codes)
    status = _worst(numerator.status, denominator.status)
    table = pd.DataFrame(
        {
            "area_code": codes,
            "area": [area.name for area in catalogue.areas("ccg")],
            "period": period,
            "numerator": numerator.value.where(status == "ok").to_numpy(),
            "denominator": denominator.value.where(status == "ok").to_numpy(),
            "status": status.to_numpy(),
            "rounding": numerator.half_width,
            "denominator_rounding": denominator.half_width,
        }
    )
    _refuse_impossible(stated, table)
    return table


def doubts(id: str, period: str | None = None) -> list[Doubt]:
    """Return the cautions stated for an indicator and the datasets behind it, for one period.

    Raises
    ------
    CatalogueError, DataError
        If the indicator or period is unknown.
    """
    stated = catalogue.definition(id)
    period = _known_period(stated, period)
    found = [doubt for doubt in stated.cautions if doubt.about(period)]
    for part in (stated.numerator, stated.denominator):
        used = part.period_map.get(period, period)
        found += [doubt for doubt in catalogue.dataset(part.dataset).cautions if doubt.about(used)]
    return list(dict.fromkeys(found))


def _known_period(stated: Indicator, period: str | None) -> str:
    period = stated.default_period if period is None else period
    if period not in stated.periods:
        raise DataError(
            f"a period of {stated.id} must be one of {', '.join(stated.periods)}; got {period!r}. "
            "Choose one of them."
        )
    return period


def _count(part: Part, period: str, codes: list[str]) -> _Counted:
    rows = load(part.dataset, part.table)
    rows = rows[rows[part.period] == part.period_map.get(period, period)]
    for column, value in part.where.items():
        rows = rows[rows[column] == value]
    terms = [(measure, 1.0) for measure in part.measures]
    terms += [(measure, -1.0) for measure in part.minus]
    chosen = [(rows[rows.measure == measure], sign) for measure, sign in terms] or [(rows, 1.0)]
    value = pd.Series(0.0, index=codes)
    status = pd.Series("ok", index=codes, dtype="str")
    for frame, sign in chosen:
        term, term_status = _by_area(part, frame, codes)
        value = value + sign * term
        status = _worst(status, term_status)
    return _Counted(value, status, len(chosen) * _half_width(part))


def _by_area(part: Part, rows: pd.DataFrame, codes: list[str]) -> tuple[pd.Series, pd.Series]:
    again = sorted(set(rows[part.area][rows[part.area].duplicated()]))
    if again:
        raise DataError(
            f"{part.dataset}/{part.table}.csv must have one row for an area, period and measure; "
            f"{', '.join(again[:8])} have several. Narrow 'where' of the part {part.label!r}."
        )
    rows = rows.set_index(part.area)
    value = rows[part.value].astype("float64").reindex(codes)
    if "status" in rows.columns:
        status = rows["status"].reindex(codes).fillna("missing")
    else:
        status = value.isna().map({True: "missing", False: "ok"})
    return value, status.astype("str")


def _half_width(part: Part) -> float:
    unit = catalogue.dataset(part.dataset).rounding.get("other", 1)
    return unit / 2 if unit > 1 else 0.0


def _worst(one: pd.Series, other: pd.Series) -> pd.Series:
    rank = {status: number for number, status in enumerate(_WORST_FIRST)}
    return one.where(one.map(rank) <= other.map(rank), other)


def _refuse_impossible(stated: Indicator, table: pd.DataFrame) -> None:
    if stated.measure != "proportion":
        return
    slack = table.rounding + table.denominator_rounding
    over = table[table.numerator > table.denominator + slack]
    if len(over):
        first = over.iloc[0]
        parts = (stated.numerator, stated.denominator)
        restricted = any(catalogue.dataset(part.dataset).disclosure_rule for part in parts)
        counts = "more" if restricted else f"{first.numerator:g} of {first.denominator:g}"
        raise DataError(
            f"a numerator of {stated.id} must not exceed its denominator; {first.area} has "
            f"{counts} in {first.period}. Correct the definition, or state measure: rate."
        )
