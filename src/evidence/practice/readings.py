"""What a finding says: its tier on the evidence ladder, and better, worse or no clear difference.

A reading follows from the interval alone, so that null and harmful results are read by the same
rule as good ones.
"""

from __future__ import annotations

import math
import re
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

DESIGN_WORDS = {
    "rct": "a randomised trial",
    "cluster_rct": "a cluster-randomised trial",
    "did": "a difference in differences",
    "its": "an interrupted time series",
    "controlled_before_after": "before and after with a comparison",
    "before_after": "before and after without a comparison",
    "descriptive": "a description",
}
"""Designs in words, as they stand in a sentence."""

ONE_OF = {
    "trials": "trial",
    "quasi-experiments": "quasi-experiment",
    "uncontrolled evaluations": "uncontrolled evaluation",
    "descriptions": "description",
}
"""A tier when it holds one."""

READINGS = (
    "worse",
    "no clear difference",
    "better",
    "neither better nor worse",
    "no comparison",
    "not estimable",
)
READING_WORDS = {
    "no clear difference": "without a clear difference",
    "no comparison": "without a comparison",
}
"""How readings are written after a count, where not as they stand."""

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

NO_FIGURE = "no figure"
NEEDED = ("design", "direction_better", "measure", "estimate", "low", "high", "stated_reading")


def tier(design: str) -> str:
    """Return the tier of the ladder that a design stands on.

    Raises
    ------
    DataError
        If the design is none of `evidence.vocabulary.DESIGNS`.
    """
    for name, designs in TIERS.items():
        if design in designs:
            return name
    known = ", ".join(one for designs in TIERS.values() for one in designs)
    raise DataError(f"a design must be one of {known}; got {design!r}. Correct it.")


def counted(name: str, count: int) -> str:
    """Return how many stand on a tier, such as ``1 trial`` or ``3 trials``."""
    return f"{count} {ONE_OF[name] if count == 1 else name}"


def tally(counts: Mapping[str, int]) -> str:
    """Return how many findings have each reading, in the order of `READINGS`."""
    said = [f"{counts[name]} {READING_WORDS.get(name, name)}" for name in READINGS if counts[name]]
    return ", ".join(said)


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
        excludes no effect; ``no clear difference`` where it does not; ``neither better nor worse``
        where it does, but no direction is better; ``no comparison`` for figures without a
        comparison group at the same time, whatever their interval; ``not estimable`` where the
        source gives no interval or no figure.

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


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """Return findings that were read with words for a narrow table.

    Parameters
    ----------
    rows
        As `read` returns them, with name, outcome, n, comparator, text and source.

    Returns
    -------
    DataFrame
        The same rows with `figure`, `finding` (name and outcome), `says` (figure and reading),
        and `rests` (design tier, comparison, people, words of the source, and the source), and
        `told`, the two together.
    """
    records = rows.to_dict("records")
    figures = [printed(row) for row in records]
    says = [
        row["reading"] if figure == NO_FIGURE else f"{figure}: {row['reading']}"
        for row, figure in zip(records, figures, strict=True)
    ]
    rests = [_rests(row) for row in records]
    return rows.assign(
        figure=figures,
        finding=[f"{row['name']}: {row['outcome']}" for row in records],
        says=says,
        rests=rests,
        told=[f"{one} ({other})" for one, other in zip(says, rests, strict=True)],
    )


def _rests(row: Mapping[Any, Any]) -> str:
    against = f"against {row['comparator']}"
    unsaid = {f"against {said}" for said in ("not stated", "none", "stated on its page")}
    parts = (ONE_OF[row["tier"]], against, row["n"], row["text"].rstrip("."), row["source"])
    return "; ".join(part for part in parts if part not in ("", "not stated", *unsaid))


def printed(row: Mapping[Any, Any]) -> str:
    """Return a finding's figure as its source prints it, such as ``RR 1.32 (1.22 to 1.43)``."""
    if math.isnan(row["estimate"]):
        return NO_FIGURE
    digits = f".{row['decimals']}f"
    words = [
        MEASURES.get(row["measure"], row["measure"]),
        f"{row['estimate']:,{digits}}",
        row["unit"],
    ]
    text = " ".join(word for word in words if word).replace(" %", "\N{NO-BREAK SPACE}%")
    if not math.isnan(row["low"]):
        text += f" ({row['low']:,{digits}} to {row['high']:,{digits}})"
    return re.sub(r"(?<!\w)-(?=\d)", "\N{MINUS SIGN}", text)


def _reading(row: Mapping[Any, Any]) -> str:
    if row["stated_reading"]:
        return str(row["stated_reading"])
    if row["design"] in UNCONTROLLED and not math.isnan(row["estimate"]):
        return "no comparison"
    if math.isnan(row["low"]):
        return "not estimable"
    null = 1.0 if row["measure"] in RATIOS else 0.0
    if row["low"] <= null <= row["high"]:
        return "no clear difference"
    if row["direction_better"] == "none":
        return "neither better nor worse"
    above = row["low"] > null
    return "better" if above == (row["direction_better"] == "higher") else "worse"
