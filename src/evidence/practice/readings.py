"""What a finding says: its tier on the evidence ladder, and better, worse or no clear difference.

A reading follows from the interval alone, so that null and harmful results are read by the same
rule as good ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evidence.errors import DataError

TIERS = {
    "trials": ("rct", "cluster_rct"),
    "quasi-experiments": ("did", "its", "controlled_before_after"),
    "uncontrolled evaluations": ("before_after",),
    "descriptions": ("descriptive",),
}
"""Tiers of the ladder, strongest first, and the designs in each; never pooled with one another."""

READINGS = ("worse", "no clear difference", "better", "no comparison", "not estimable")
UNCONTROLLED = TIERS["uncontrolled evaluations"]
RATIOS = ("RR", "OR", "HR")
MEASURES = {
    "change": "",
    "count": "",
    "percentage": "",
    "MD": "difference",
    "RD": "risk difference",
    "d_prepost": "d, before to after,",
}
"""How a measure is written before its figure, where not by its own name."""

NEEDED = ("design", "direction_better", "measure", "estimate", "low", "high", "stated_reading")


def tier(design: str) -> str:
    """Return the tier of the ladder that a design stands on.

    Raises
    ------
    DataError
        If the design is none of `evidence.results.DESIGNS`.
    """
    for name, designs in TIERS.items():
        if design in designs:
            return name
    known = ", ".join(one for designs in TIERS.values() for one in designs)
    raise DataError(f"a design must be one of {known}; got {design!r}. Correct it.")


def read(findings: pd.DataFrame) -> pd.DataFrame:
    """Return findings with `tier` and `reading`.

    Parameters
    ----------
    findings
        One row for each outcome of a source, with design, direction_better, measure, estimate,
        low, high and stated_reading (empty where figures speak).

    Returns
    -------
    DataFrame
        The same rows with `tier` and `reading`: ``better`` or ``worse`` where the interval
        excludes no effect; ``no clear difference`` where it does not; ``no comparison`` for
        figures without a comparison group at the same time, whatever their interval; ``not
        estimable`` where the source gives no interval or no figure, or no direction is better.

    Raises
    ------
    DataError
        If a column is absent or a design unknown.
    """
    absent = [name for name in NEEDED if name not in findings.columns]
    if absent:
        raise DataError(f"findings to read need the column {absent[0]!r}; it is not there. Add it.")
    rows = findings.to_dict("records")
    return findings.assign(
        tier=[tier(row["design"]) for row in rows], reading=[_reading(row) for row in rows]
    )


def printed(row: Mapping[Any, Any]) -> str:
    """Return a finding's figure as its source prints it, such as ``RR 1.32 (1.22 to 1.43)``."""
    if math.isnan(row["estimate"]):
        return "no figure"
    digits = f".{row['decimals']}f"
    words = [
        MEASURES.get(row["measure"], row["measure"]),
        f"{row['estimate']:,{digits}}",
        row["unit"],
    ]
    text = " ".join(word for word in words if word).replace(" %", "%")
    if not math.isnan(row["low"]):
        text += f" ({row['low']:,{digits}} to {row['high']:,{digits}})"
    return text.replace("-", "\N{MINUS SIGN}") if row["estimate"] < 0 or row["low"] < 0 else text


def _reading(row: Mapping[Any, Any]) -> str:
    if row["stated_reading"]:
        return str(row["stated_reading"])
    if row["design"] in UNCONTROLLED and not math.isnan(row["estimate"]):
        return "no comparison"
    if math.isnan(row["low"]) or row["direction_better"] == "none":
        return "not estimable"
    null = 1.0 if row["measure"] in RATIOS else 0.0
    if row["low"] <= null <= row["high"]:
        return "no clear difference"
    above = row["low"] > null
    return "better" if above == (row["direction_better"] == "higher") else "worse"
