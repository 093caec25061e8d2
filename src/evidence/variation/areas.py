"""What figures say about areas: one area across indicators, and areas after noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError
from evidence.results import Caution, Estimate, Result
from evidence.variation import words

PROFILE_COLUMNS = (
    "value",
    "low",
    "high",
    "lower_99_8",
    "upper_99_8",
    "adjusted_lower_99_8",
    "adjusted_upper_99_8",
    "shrunken",
    "shrunken_low",
    "shrunken_high",
    "signal",
)
"""Columns of a funnel's table that an area's profile carries over."""


def profile(
    results: Mapping[str, Result],
    area_code: str,
    *,
    area: str = "",
    labels: Mapping[str, str] | None = None,
) -> Result:
    """Return one area's figures across indicators, ranked by their distance after noise.

    Parameters
    ----------
    results
        Results of `limits.funnel` by indicator; unit, period, direction and comparator are read
        from their settings.
    area_code
        The area.
    area
        Its name, if no result holds it.
    labels
        Short names of indicators for rows and charts; the indicator's own title if absent.

    Returns
    -------
    Result
        Table: one row per indicator with the funnel's columns for this area, `pooled`, `median`,
        `minimum`, `maximum`, `tau`, `gap` (value minus pooled), `gap_after_noise` with
        `gap_low` and `gap_high` (the empirical-Bayes estimate minus pooled), `side` (``better``,
        ``worse``, ``higher``, ``lower``, ``none``), `clear` (the interval excludes no gap),
        `distance` (gap after noise in standard deviations between areas) and `rank` (1 for the
        largest distance; 0 where there is no figure). Estimates: `indicators`, `clear_better`,
        `clear_worse`, `beyond` (outside the widened limits).

    Raises
    ------
    DataError
        If there is no result, a result is no funnel, or no result knows the area.

    References
    ----------
    Efron and Morris, J Am Stat Assoc 1975;70:311-319 (shrinkage towards the common value).
    """
    if not results:
        raise DataError("a profile needs at least one funnel result; got none. Run the funnels.")
    rows = [
        _profile_row(key, result, area_code, (labels or {}).get(key, ""))
        for key, result in results.items()
    ]
    table = _ranked(pd.DataFrame(rows))
    names = [name for name in table.pop("area") if name]
    name = area or (names[0] if names else "")
    if not name:
        raise DataError(
            f"the area must be in at least one funnel; no result holds {area_code!r}. "
            "Check the code."
        )
    return Result(
        text=_profile_finding(table, name),
        estimates=_profile_estimates(table, name),
        table=table,
        settings={"method": "profile", "area_code": area_code, "area": name},
        cautions=_profile_cautions(table),
    )


def _profile_row(key: str, result: Result, area_code: str, label: str) -> dict[str, Any]:
    asked = result.settings
    if asked.get("method") != "funnel":
        raise DataError(f"a profile reads funnel results; {key!r} is not one. Leave it out.")
    found = result.table[result.table["area_code"] == area_code]
    row = found.iloc[0].to_dict() if len(found) else {}
    known = {estimate.key: estimate.value for estimate in result.estimates}
    pooled = known.get("pooled")
    return {
        "indicator": key,
        "label": label or asked["indicator"] or key,
        "unit": asked["unit"],
        "period": asked["period"],
        "direction_better": asked["direction_better"],
        "area": row.get("area", ""),
        "status": row.get("status", "not in this indicator"),
        **{name: row.get(name, np.nan) for name in PROFILE_COLUMNS},
        **{name: known.get(name, np.nan) for name in ("pooled", "median", "minimum", "maximum")},
        "tau": known.get("tau", np.nan),
        "position": row.get("position", "no figure"),
        "judgement": row.get("judgement", "no figure"),
        "gap": _less(row.get("value"), pooled),
        "gap_after_noise": _less(row.get("shrunken"), pooled),
        "gap_low": _less(row.get("shrunken_low"), pooled),
        "gap_high": _less(row.get("shrunken_high"), pooled),
    }


def _less(value: float | None, pooled: float | None) -> float:
    if value is None or pooled is None:
        return np.nan
    return 0.0 if math.isclose(value, pooled, rel_tol=1e-12) else value - pooled


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    gap, tau = table["gap_after_noise"], table["tau"]
    table["distance"] = np.where(tau > 0, gap / tau.where(tau > 0), 0.0 * gap)
    table["clear"] = (table["gap_low"] > 0) | (table["gap_high"] < 0)
    table["side"] = pd.Series(
        [_side(*pair) for pair in zip(gap, table["direction_better"], strict=True)], dtype="str"
    )
    order = table["distance"].abs().rank(ascending=False, method="first")
    table["rank"] = order.fillna(0).astype("int64")
    for name in ("indicator", "label", "unit", "period", "direction_better", "status"):
        table[name] = table[name].astype("str")
    return table


def _side(gap: float, direction: str) -> str:
    if np.isnan(gap) or gap == 0:
        return "none"
    above, below = {"higher": ("better", "worse"), "lower": ("worse", "better")}.get(
        direction, ("higher", "lower")
    )
    return above if gap > 0 else below


def _profile_estimates(table: pd.DataFrame, area: str) -> tuple[Estimate, ...]:
    numbers = {
        "indicators": table["value"].notna().sum(),
        "clear_better": (table["clear"] & (table["side"] == "better")).sum(),
        "clear_worse": (table["clear"] & (table["side"] == "worse")).sum(),
        "beyond": table["position"].isin(["above", "below"]).sum(),
    }
    return tuple(
        Estimate(key=key, value=int(value), unit="indicators", area=area, design="descriptive")
        for key, value in numbers.items()
    )


def _profile_finding(table: pd.DataFrame, area: str) -> str:
    known = table[table["value"].notna()]
    clear = known[known["clear"]].sort_values("rank")
    if known.empty:
        return f"{area}: no indicator has a figure."
    if clear.empty:
        return (
            f"{area}: none of {words.plural(len(known), 'indicator')} differs from the pooled "
            "value by more than noise."
        )
    worse = clear[clear["side"] == "worse"]
    first = (worse if len(worse) else clear).iloc[0]
    return (
        f"{area}: {len(clear)} of {words.plural(len(known), 'indicator')} "
        f"{words.verb(len(clear), 'differs', 'differ')} from the pooled value by more than noise; "
        f"the largest gap{_of(first)} is {first['label']}, "
        f"{words.amount(first['value'], first['unit'])} against "
        f"{words.amount(first['pooled'], first['unit'])}."
    )


def _of(row: pd.Series) -> str:
    return {"worse": " for the worse", "better": " for the better"}.get(row["side"], "")


def _profile_cautions(table: pd.DataFrame) -> tuple[Caution, ...]:
    doubts = []
    absent = table[table["value"].isna()]
    if len(absent):
        doubts.append(
            Caution("suppression", f"No figure for {words.listed(absent['label'].tolist())}.")
        )
    known = len(table) - len(absent)
    doubts.append(
        Caution(
            "multiple_testing",
            f"{words.plural(known, 'indicator')} are looked at together: some gap appears in every "
            "area. Gaps are shrunk by the share that is noise, and ranked after that.",
        )
    )
    return tuple(doubts)
