"""Do the areas of a source add up to the total that it prints itself?"""

from __future__ import annotations

import pandas as pd

from evidence.data import catalogue
from evidence.data.tables import load

DATASET = "talking_therapies"
LONDON = "Y56"
MEASURES = {
    "referrals_received": "referrals received",
    "finished_course_treatment": "courses finished",
    "at_caseness": "courses at caseness when they began",
    "not_at_caseness": "courses not at caseness when they began",
    "improvement": "courses with reliable improvement",
    "deterioration": "courses with reliable deterioration",
    "no_reliable_change": "courses without reliable change",
    "recovery": "courses that ended in recovery",
    "reliable_recovery": "courses that ended in reliable recovery",
}
"""What the measures of the source count, in words."""


def reconciliation() -> pd.DataFrame:
    """Return the sum of London's CCGs beside the London row of the same source.

    Rounding alone can part them by half the rounding unit for every area and for the total:
    33 x 2.5 = 82.5 for 32 areas rounded to 5.
    Only measures and years in which every area has a figure are compared.

    Returns
    -------
    DataFrame
        period, measure, counted (the measure in words), areas (how many), sum_of_areas, london,
        difference, bound, within.
    """
    counts = load(DATASET, "areas")
    half = catalogue.dataset(DATASET).rounding["other"] / 2
    groups = counts[counts.area_type == "CCG"].groupby(["period", "measure"])
    table = groups.agg(
        areas=("value", "size"), known=("value", "count"), sum_of_areas=("value", "sum")
    )
    london = counts[counts.area_code == LONDON].set_index(["period", "measure"])["value"]
    table = table[table.areas == table.known].join(london.rename("london"), how="inner")
    table = table[table.areas == len(catalogue.areas("ccg"))].reset_index()
    table["difference"] = (table.sum_of_areas - table.london).astype("int64")
    table["bound"] = half * (table.areas + 1)
    table["within"] = table.difference.abs() <= table.bound
    table["counted"] = table["measure"].map(MEASURES)
    columns = [
        "period",
        "measure",
        "counted",
        "areas",
        "sum_of_areas",
        "london",
        "difference",
        "bound",
    ]
    return table[[*columns, "within"]].astype({"sum_of_areas": "int64", "london": "int64"})
