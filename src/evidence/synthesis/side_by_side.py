"""Several answers to one question side by side: analyses, subgroups or treatments, never pooled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from evidence.errors import DataError
from evidence.results import Direction, Estimate, Result
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.natural import share_above_control_mean
from evidence.synthesis.pool import as_key, decimals_for, number

COLUMNS = ("name", "k", "value", "low", "high", "reading", "of_100", "because")

SIGNS = {"higher": 1.0, "lower": -1.0}


def side_by_side(
    found: Mapping[str, tuple[Result, str]],
    *,
    direction_better: Direction,
    measure: str,
    what: str = "analyses",
    better: str = "the intervention",
    worse: str = "control",
    studies: Mapping[str, int] | None = None,
) -> Result:
    """Return one row per answer, each read by the same rule; those that failed keep their row.

    Parameters
    ----------
    found
        By name for the reader: a result and the key of its estimate, on the scale of `measure` that
        readers see. A result that could not be had stands with its reason.
    direction_better
        ``higher`` or ``lower``.
    measure
        Measure of the estimates, such as ``SMD`` or ``OR``; it says where no effect lies.
    what
        What the rows are, in the plural: ``analyses``, ``groups``, ``treatments``.
    better, worse
        Who is favoured on either side of no effect.
    studies
        Number of studies to state by name, in place of the estimate's own.

    Returns
    -------
    Result
        Table with `COLUMNS`: reading is ``better``, ``worse``, ``no clear difference`` (the
        interval includes no effect) or ``not estimated``; of_100 is Cohen's U3 for standardised
        differences. Estimates ``row.NAME``, and ``better``, ``worse``, ``unclear`` with the number
        of rows so read. No row with an estimate: could not.

    Raises
    ------
    DataError
        If nothing is given, the direction is not stated, or the measure has no value of no effect.
    """
    if not found or direction_better not in SIGNS:
        raise DataError(
            f"answers side by side need at least one, and a better direction (higher or lower); "
            f"got {len(found)} and {direction_better!r}."
        )
    null = MEASURES[measure].null if measure in MEASURES else None
    if null is None:
        raise DataError(f"the measure must have a value of no effect; {measure!r} has none.")
    sign = SIGNS[direction_better]
    rows = [
        _row(name, result, key, measure, null, sign, direction_better)
        for name, (result, key) in found.items()
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    stated = table["name"].map(dict(studies or {}))
    table["k"] = stated.where(stated.notna(), table["k"]).astype("Int64")
    settings = {
        "measure": measure, "direction_better": direction_better, "null": null, "rows": what,
        "better": better, "worse": worse,
    }  # fmt: skip
    known = table[table["value"].notna()]
    if known.empty:
        return Result.could_not(f"No {what} compared", "none could be estimated", **settings)
    return Result(
        text=_text(table, what),
        estimates=(*_estimates(found), *_counts(table)),
        table=table,
        settings=settings,
    )


def ranked(network: Result) -> list[str]:
    """Return the treatments of a network meta-analysis by their P-scores, highest first."""
    names = list(dict.fromkeys(network.table["treatment"]))
    scores = {name: network["P." + as_key(name)].value or 0.0 for name in names}
    return sorted(names, key=lambda name: -scores[name])


def against_reference(network: Result) -> dict[str, tuple[Result, str]]:
    """Return each treatment's effect against the reference as `side_by_side` takes it, ranked."""
    names = [name for name in ranked(network) if name != network.settings["reference"]]
    return {name: (network, "vs." + as_key(name)) for name in names}


def _row(
    name: str, result: Result, key: str, measure: str, null: float, sign: float, better: Direction
) -> dict[str, Any]:
    if not result.known:
        return {"name": name, "reading": "not estimated", "because": result.reason, "of_100": ""}
    one = result[key]
    return {
        "name": name,
        "k": one.k,
        "value": one.value,
        "low": one.low,
        "high": one.high,
        "reading": _reading(one, null, sign),
        "of_100": _of_100(one, measure, better),
        "because": "",
    }


def _reading(one: Estimate, null: float, sign: float) -> str:
    if one.low is None or one.high is None:
        return "no interval"
    if one.low <= null <= one.high:
        return "no clear difference"
    return "better" if sign * (one.low - null) > 0 else "worse"


def _of_100(one: Estimate, measure: str, better: Direction) -> str:
    """Return Cohen's U3 with its interval as text, for standardised mean differences."""
    if measure != "SMD" or one.value is None:
        return ""
    share = share_above_control_mean(
        Estimate(
            key=one.key, value=one.value, low=one.low, high=one.high, measure=measure,
            direction_better=better,
        )
    )  # fmt: skip
    limits = "" if share.low is None else f" ({share.low:.0f} to {share.high:.0f})"
    return f"{share.value:.0f}{limits}"


def _text(table: pd.DataFrame, what: str) -> str:
    known = table[table["value"].notna()].sort_values("value", kind="stable")
    ends = [
        f"{number(row.value, decimals_for(row.low, row.high))} ({row.name_})"
        for row in known.rename(columns={"name": "name_"}).iloc[[0, -1]].itertuples()
    ]
    counts = [
        f"{int((table['reading'] == reading).sum())} {words}"
        for reading, words in (
            ("better", "in favour"),
            ("worse", "against"),
            ("no clear difference", "no clear difference"),
            ("not estimated", "not estimated"),
        )
        if (table["reading"] == reading).any()
    ]
    return f"{len(table)} {what}: {', '.join(counts)}; from {ends[0]} to {ends[1]}."


def _estimates(found: Mapping[str, tuple[Result, str]]) -> list[Estimate]:
    return [
        Estimate(
            key="row." + as_key(name),
            value=one.value,
            low=one.low,
            high=one.high,
            se=one.se,
            level=one.level,
            k=one.k,
        )
        for name, one in (
            (name, result[key]) for name, (result, key) in found.items() if result.known
        )
    ]


def _counts(table: pd.DataFrame) -> list[Estimate]:
    keys = {"better": "better", "worse": "worse", "unclear": "no clear difference"}
    return [
        Estimate(key=key, value=float((table["reading"] == reading).sum()))
        for key, reading in keys.items()
    ]
