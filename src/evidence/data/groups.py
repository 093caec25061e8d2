"""Indicators by group of patients: deprivation, ethnic group, age, gender."""

from __future__ import annotations

import pandas as pd

from evidence.data import catalogue
from evidence.data.definitions import Indicator, Part
from evidence.data.tables import load
from evidence.errors import DataError

DATASET = "talking_therapies"
BREAKDOWNS = {
    "deprivation": "Indices of Deprivation Decile",
    "ethnicity": "Ethnic Group",
    "age": "Age Group",
    "gender": "Gender",
}
"""Short names of the source's breakdowns."""

WHOLE = "All"


def breakdowns(id: str) -> list[str]:
    """Return the breakdowns that the source publishes for an indicator; none for most."""
    stated = catalogue.definition(id)
    parts = (stated.numerator, stated.denominator)
    published = all(part.dataset == DATASET and part.table == "areas" for part in parts)
    return list(BREAKDOWNS) if published else []


def indicator_by_group(id: str, breakdown: str, period: str, place: str = "areas") -> pd.DataFrame:
    """Return numerator and denominator of an indicator by area and group of patients.

    Parameters
    ----------
    id
        Indicator with published breakdowns; see `breakdowns`.
    breakdown
        ``deprivation`` (tenths, 1 least deprived), ``ethnicity`` (broad groups), ``age`` or
        ``gender``.
    period
        Financial year.
    place
        ``areas`` for the CCGs, or ``ENGLAND`` or ``Y56`` (London) for deprivation.

    Returns
    -------
    DataFrame
        area_code, group_code, group, rank (order of the source, from 1; people whose group is
        not stated come last, with rank 0), numerator, denominator, status.

    Raises
    ------
    DataError
        If the source publishes no such breakdown.
    """
    if breakdown not in breakdowns(id):
        raise DataError(
            f"a breakdown of {id} must be published by its source; {breakdown!r} is not "
            f"({', '.join(breakdowns(id)) or 'none is'}). Choose another one, or report it as "
            "not known."
        )
    if place != "areas" and breakdown != "deprivation":
        raise DataError(
            f"groups of {place} are carried over for deprivation only; got {breakdown!r}. "
            "Ask for place='areas'."
        )
    rows = load(DATASET, "by_group" if place == "areas" else "by_group_reference")
    rows = rows[(rows.period == period) & ((place == "areas") | (rows.area_code == place))]
    groups = _groups(breakdown)
    rows = rows[rows.group_code.isin(groups.index)]
    stated = catalogue.definition(id)
    table = _joined(rows, stated).join(groups, on="group_code").reset_index(drop=True)
    return table.sort_values(["area_code", "order"]).drop(columns="order").reset_index(drop=True)


def over_areas(table: pd.DataFrame) -> pd.DataFrame:
    """Return the groups summed over areas, from the cells that have a figure.

    Returns
    -------
    DataFrame
        group_code, group, rank, numerator, denominator, cells and cells_absent, status.
    """
    given = table[table.status == "ok"]
    keys = ["group_code", "group", "rank"]
    total = given.groupby(keys, sort=False)[["numerator", "denominator"]].sum()
    total["cells"] = given.groupby(keys, sort=False).size()
    every = table.groupby(keys, sort=False).size()
    total = total.reindex(every.index)
    total["cells"] = total["cells"].fillna(0).astype("int64")
    total["cells_absent"] = every - total["cells"]
    total["status"] = total["numerator"].notna().map({True: "ok", False: "suppressed"})
    return total.reset_index().astype({"status": "str"})


def _groups(breakdown: str) -> pd.DataFrame:
    groups = load(DATASET, "groups")
    chosen = groups[(groups.breakdown == BREAKDOWNS[breakdown]) & (groups.subgroup == WHOLE)]
    chosen = chosen.sort_values("order")
    told = ~chosen.group.str.lower().str.contains("not stated|unknown|invalid|unspecified")
    rank = told.cumsum().where(told, 0)
    return chosen.assign(rank=rank).set_index("group_code")[["group", "rank", "order"]]


def _joined(rows: pd.DataFrame, stated: Indicator) -> pd.DataFrame:
    wide = rows.pivot(index=["area_code", "group_code"], columns="measure", values="value")
    status = rows.pivot(index=["area_code", "group_code"], columns="measure", values="status")
    needed = [*_measures(stated.numerator), *_measures(stated.denominator)]
    worst = status[needed].apply(lambda row: next((s for s in row if s != "ok"), "ok"), axis=1)
    table = pd.DataFrame(
        {
            "numerator": _sum(wide, stated.numerator),
            "denominator": _sum(wide, stated.denominator),
            "status": worst.astype("str"),
        }
    )
    counts = ["numerator", "denominator"]
    table[counts] = table[counts].where(table.status == "ok")
    return table.reset_index()


def _measures(part: Part) -> list[str]:
    return [*part.measures, *part.minus]


def _sum(wide: pd.DataFrame, part: Part) -> pd.Series:
    total = wide[list(part.measures)].astype("float64").sum(axis=1, skipna=False)
    return total - wide[list(part.minus)].astype("float64").sum(axis=1, skipna=False)
