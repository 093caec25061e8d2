"""What the tables leave open: completeness, suppression, rounding, restatements, gaps, breaks."""

from __future__ import annotations

import pandas as pd

from evidence.data import catalogue, services
from evidence.data.counts import indicator
from evidence.data.groups import BREAKDOWNS, DATASET, WHOLE
from evidence.data.tables import load

STATUSES = ["ok", "suppressed", "null", "missing"]
REGISTERS = {
    "DEP_PREV_18plus": "Depression register, 18 and over",
    "SMI_PREV_allages": "Severe mental illness register, all ages",
}
"""Registers that each year's publication states again for the year before."""


def completeness() -> pd.DataFrame:
    """Return how many areas have a figure, by indicator and period.

    Returns
    -------
    DataFrame
        indicator, label, period, areas, ok, suppressed, null, missing.
    """
    rows = []
    for id in catalogue.indicators():
        stated = catalogue.definition(id)
        for period in stated.periods:
            status = indicator(id, period)["status"]
            row = {"indicator": id, "label": stated.short, "period": period, "areas": len(status)}
            rows.append(row | {name: int((status == name).sum()) for name in STATUSES})
    return pd.DataFrame(rows)


def suppression() -> pd.DataFrame:
    """Return how many cells of area, group and measure have no figure, by breakdown and period.

    Only whole groups are counted, not the detailed ethnic groups inside them.

    Returns
    -------
    DataFrame
        breakdown, period, cells, ok, suppressed, null, missing, share_without (percent).
    """
    groups = load(DATASET, "groups")
    whole = groups[groups.subgroup == WHOLE].set_index("group_code")["breakdown"]
    cells = load(DATASET, "by_group")
    cells = cells[cells.group_code.isin(whole.index)]
    names = {source: name for name, source in BREAKDOWNS.items()}
    cells = cells.assign(breakdown=cells.group_code.map(whole).map(names))
    table = cells.groupby(["breakdown", "period", "status"]).size().unstack(fill_value=0)
    table = table.reindex(columns=STATUSES, fill_value=0).rename_axis(columns=None)
    table.insert(0, "cells", table.sum(axis=1))
    table["share_without"] = 100 * (1 - table["ok"] / table["cells"])
    return table.reindex(list(BREAKDOWNS), level="breakdown").reset_index()


def rounding() -> pd.DataFrame:
    """Return how the counts of each dataset were rounded and what its marks for no figure mean.

    Returns
    -------
    DataFrame
        dataset, title, rounded_to (of areas, or ``none``), rounded_to_england, marks, tables and
        rows.
    """
    words = {"null": "no figure", "missing": "not in the source"}
    rows = []
    for id in catalogue.datasets():
        stated = catalogue.dataset(id)
        marks = ", ".join(
            f"{code or 'an empty cell'}: {words.get(what, what)}"
            for code, what in stated.suppression.items()
        )
        rows.append(
            {
                "dataset": id,
                "title": stated.title,
                "rounded_to": str(stated.rounding.get("other", "none")),
                "rounded_to_england": str(stated.rounding.get("england", "none")),
                "marks": marks or "none",
                "tables": len(stated.tables),
                "rows": sum(table.rows for table in stated.tables),
            }
        )
    return pd.DataFrame(rows)


def restatements() -> pd.DataFrame:
    """Return how the registers of a year changed when they were published again a year later.

    Every area of England that both publications state is compared, joined on its ONS code: areas
    that merged in between have no second figure.

    Returns
    -------
    DataFrame
        place (England, London), register, year, areas (with both figures), differ (in the
        register's count), lower (how many of these fell), largest (largest change of an area,
        percent of its first figure), first and restated (sums).
    """
    both = load("qof", "restatements")
    change = both["restated"] - both["first"]
    size = 100 * (change / both["first"]).abs()
    both = both.assign(differ=change != 0, lower=change < 0, largest=size)
    places = {"England": both, "London": both[both["london"]]}
    found = pd.concat(
        {place: _restated(rows) for place, rows in places.items()}, names=["place"]
    ).reset_index()
    found.insert(1, "register", found.pop("indicator").map(REGISTERS))
    return found


def _restated(rows: pd.DataFrame) -> pd.DataFrame:
    return (
        rows.groupby(["indicator", "year"])
        .agg(
            areas=("differ", "size"),
            differ=("differ", "sum"),
            lower=("lower", "sum"),
            largest=("largest", "max"),
            first=("first", "sum"),
            restated=("restated", "sum"),
        )
        .astype({"first": "float64", "restated": "float64"})
    )


def missing_services() -> pd.DataFrame:
    """Return the months in which services that report before and after have no referrals.

    A place whose old code ended and whose new code does not yet report counts as missing.

    Returns
    -------
    DataFrame
        period, services (how many), codes and places (separated by ``; ``), in order of month.
    """
    table = services.service_months("referrals_received", services.service_codes())
    places = load(services.DATASET, "services").set_index("service_code")["service_area"]
    gaps = table[table["missing"] != ""]
    codes = gaps["missing"].str.split()
    return pd.DataFrame(
        {
            "period": gaps["period"],
            "services": codes.str.len(),
            "codes": codes.str.join("; "),
            "places": ["; ".join(places[code] for code in listed) for listed in codes],
        }
    ).reset_index(drop=True)


def breaks() -> pd.DataFrame:
    """Return the reorganisations of services with the counts on either side.

    Returns
    -------
    DataFrame
        date (first month of the new code), old_codes, new_code, places, and for `referrals` and
        `finished` courses the last figure of the old codes together (`_before`) and the first of
        the new code (`_after`).
    """
    months = load(services.DATASET, "months")
    places = load(services.DATASET, "services").set_index("service_code")["service_area"]
    rows = []
    for event in load(services.DATASET, "service_events").itertuples():
        old = event.old_codes.split(";")
        row = {
            "date": event.date,
            "old_codes": ", ".join(old),
            "new_code": event.new_code,
            "places": ", ".join(places[code] for code in old),
        }
        for name, measure in (
            ("referrals", "referrals_received"),
            ("finished", "finished_course_treatment"),
        ):
            series = months[months.measure == measure].dropna(subset="value")
            row[f"{name}_before"] = _last_together(series, old)
            row[f"{name}_after"] = series[
                (series.service_code == event.new_code) & (series.period == event.date)
            ]["value"].sum()
        rows.append(row)
    return pd.DataFrame(rows)


def _last_together(series: pd.DataFrame, codes: list[str]) -> float:
    """Return the sum of several codes in the last month in which all of them report."""
    mine = series[series.service_code.isin(codes)].groupby("period")["value"].agg(["size", "sum"])
    return float(mine.loc[mine["size"] == len(codes), "sum"].iloc[-1])
