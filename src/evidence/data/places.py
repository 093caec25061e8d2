"""Places as readers know them: boroughs with their health area, services with their codes."""

from __future__ import annotations

import re

import pandas as pd

from evidence.data import catalogue, services
from evidence.data.tables import load


def tiles() -> pd.DataFrame:
    """Return the tile grid of the boroughs, each with the health area of 2019-20 that served it.

    A borough that two areas shared (Westminster) stands with the area that had no other borough.

    Returns
    -------
    DataFrame
        borough_code, borough, row, col (from 1 at the top left), area_code, and shared: whether
        the area has a part in another borough, or the borough in another area.
    """
    health = sorted(catalogue.areas("ccg"), key=lambda area: len(area.boroughs))
    rows = []
    for borough in catalogue.areas("borough"):
        here = [area for area in health if borough.code in area.boroughs]
        rows.append(
            {
                "borough_code": borough.code,
                "borough": borough.name,
                "row": borough.row,
                "col": borough.col,
                "area_code": here[0].code,
                "shared": len(here) > 1 or len(here[0].boroughs) > 1,
            }
        )
    return pd.DataFrame(rows)


def service_families() -> dict[str, list[str]]:
    """Return the services of London by place: each code with those that it took over from.

    Returns
    -------
    dict
        Name of the place, as far as the source tells it, to service codes, in order of name.
    """
    listed = load(services.DATASET, "services").set_index("service_code")
    heirs = {
        old: event.new_code
        for event in load(services.DATASET, "service_events").itertuples()
        for old in event.old_codes.split(";")
    }
    found: dict[str, list[str]] = {}
    for code in listed.index:
        row = listed.loc[heirs.get(code, code)]
        found.setdefault(_place(row["service_area"], row["mapping_basis"]), []).append(code)
    return dict(sorted(found.items()))


def _place(text: str, basis: str) -> str:
    """Return the place in a description such as ``Trust: places (from 2024-11)``.

    A site that could not be placed is named by its trust and itself.
    """
    if basis == "unverified":
        return re.sub(r" site \((.*)\)", r": \1", text.partition(":")[0])
    return re.sub(r" \(from [^)]*\)$", "", text.rpartition(": ")[2])
