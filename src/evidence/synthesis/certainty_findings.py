"""What a pooled effect means for people: absolute effects, summary of findings, plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evidence.errors import DataError
from evidence.results import Caution, Estimate, Result
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.pool import number


def absolute_effects(pooled: Estimate, baselines: Sequence[float], *, per: int = 1000) -> Result:
    """Return a relative effect in people, over a range of risks without the intervention.

    Parameters
    ----------
    pooled
        Estimate of measure ``RR``, ``OR`` or ``RD`` on the natural scale, with its interval.
    baselines
        Risks without the intervention, 0 to 1; each must come from a stated source.
    per
        Number of people the result is stated for.

    Returns
    -------
    Result
        Table with baseline, without, with_value, difference, difference_low, difference_high (all
        per `per` people) and nnt with nnt_low and nnt_high (people to treat for one more or one
        fewer event; empty where the interval includes no difference).

    Raises
    ------
    DataError
        If the measure has no absolute effect or a risk is not between 0 and 1.
    """
    if pooled.measure not in ("RR", "OR", "RD") or pooled.value is None:
        raise DataError(
            f"absolute effects need a risk ratio, odds ratio or risk difference; got "
            f"{pooled.measure!r}."
        )
    wrong = [risk for risk in baselines if not 0 < risk < 1]
    if wrong or not len(baselines):
        raise DataError(f"risks must lie between 0 and 1 and one must be given; got {wrong}.")
    table = pd.DataFrame([_absolute(pooled, float(risk), per) for risk in baselines])
    moved = table["difference"]
    ends = dict.fromkeys(number(end, 0) for end in (moved.min(), moved.max()))
    return Result(
        text=f"Per {per:,} people: {' to '.join(ends)} events difference at risks of "
        f"{100 * min(baselines):g} to {100 * max(baselines):g} %.",
        table=table,
        settings={"measure": pooled.measure, "per": per, "baselines": list(baselines)},
    )


def _absolute(pooled: Estimate, risk: float, per: int) -> dict[str, float | None]:
    value, low, high = (
        None if end is None else _risk_with(end, pooled.measure, risk) - risk
        for end in (pooled.value, pooled.low, pooled.high)
    )
    clear = low is not None and high is not None and low * high > 0
    ends = sorted(1 / abs(end) for end in (low, high) if end) if clear else []
    return {
        "baseline": risk,
        "without": per * risk,
        "with_value": per * (risk + (value or 0.0)),
        "difference": per * (value or 0.0),
        "difference_low": None if low is None else per * low,
        "difference_high": None if high is None else per * high,
        "nnt": 1 / abs(value) if clear and value else float("nan"),
        "nnt_low": ends[0] if ends else float("nan"),
        "nnt_high": ends[1] if ends else float("nan"),
    }


def _risk_with(effect: float, measure: str, risk: float) -> float:
    if measure == "RR":
        return min(1.0, effect * risk)
    if measure == "RD":
        return min(1.0, max(0.0, risk + effect))
    odds = effect * risk / (1 - risk)
    return odds / (1 + odds)


def summary_of_findings(
    pooled: Estimate,
    baselines: Mapping[str, float],
    *,
    event: str = "have the outcome",
    intervention: str = "the intervention",
    comparator: str = "control",
    certainty: str = "not rated",
    per: int = 1000,
) -> Result:
    """Return a summary-of-findings table: people with and without, at several baseline risks.

    Parameters
    ----------
    pooled
        Estimate of measure ``RR``, ``OR`` or ``RD`` with its interval.
    baselines
        Risks without the intervention, 0 to 1, by the words that say where each comes from.
    event
        What people do or have, in the plural: ``respond``.
    intervention, comparator
        Who is compared.
    certainty
        One of `certainty.LEVELS` or ``not rated``.
    per
        Number of people the result is stated for.

    Returns
    -------
    Result
        Table with one row per baseline, its figures as text: risk from, without, with, difference,
        number needed to treat and certainty; estimates ``difference.1`` … and ``nnt.1`` … as
        numbers, in the order of the rows.

    Raises
    ------
    DataError
        If the measure has no absolute effect or a risk is not between 0 and 1.
    """
    exact = absolute_effects(pooled, list(baselines.values()), per=per).table
    rows = exact.to_dict("records")
    table = pd.DataFrame(
        [_finding(name, row) for name, row in zip(baselines, rows, strict=True)]
    ).assign(certainty=certainty)
    return Result(
        text=_summary_text(rows, per, event, intervention, comparator),
        estimates=tuple(_found(pooled, rows, per)),
        table=table,
        settings={"measure": pooled.measure, "per": per, "baselines": dict(baselines)},
        cautions=() if _clear(rows) else (Caution("other", NO_NUMBER_NEEDED),),
    )


NO_NUMBER_NEEDED = (
    "The interval includes no difference, so no number needed to treat is given: it would run to "
    "infinity."
)


def _finding(name: str, row: dict[Any, Any]) -> dict[str, str]:
    between = f"{number(row['difference_low'], 0)} to {number(row['difference_high'], 0)}"
    nnt = "" if pd.isna(row["nnt"]) else f"{row['nnt']:,.0f}"
    if nnt:
        nnt += f" ({row['nnt_low']:,.0f} to {row['nnt_high']:,.0f})"
    return {
        "risk from": name,
        "without": number(row["without"], 0),
        "with": number(row["with_value"], 0),
        "difference": f"{number(row['difference'], 0)} ({between})",
        "needed to treat": nnt or "not given",
    }


def _clear(rows: Sequence[Mapping[Any, Any]]) -> bool:
    return not any(pd.isna(row["nnt"]) for row in rows)


def _found(pooled: Estimate, rows: Sequence[Mapping[Any, Any]], per: int) -> list[Estimate]:
    found = []
    for at, row in enumerate(rows, start=1):
        ends = {"low": row["difference_low"], "high": row["difference_high"]}
        found.append(
            Estimate(
                key=f"difference.{at}",
                value=row["difference"],
                level=pooled.level,
                unit=f"per {per:,} people",
                **ends,
            )
        )
        if not pd.isna(row["nnt"]):
            limits = {"low": row["nnt_low"], "high": row["nnt_high"]}
            found.append(
                Estimate(
                    key=f"nnt.{at}", value=row["nnt"], level=pooled.level, unit="people", **limits
                )
            )
    return found


def _summary_text(
    rows: Sequence[Mapping[Any, Any]], per: int, event: str, intervention: str, comparator: str
) -> str:
    base = _between([row["without"] for row in rows])
    moved = _between([abs(row["difference"]) for row in rows])
    more = "more" if rows[0]["difference"] > 0 else "fewer"
    said = f"Of {per:,} people, {base} {event} with {comparator}; with {intervention} "
    return f"{said}{moved} {more} do{'' if _clear(rows) else ', but perhaps none'}."


def _between(values: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{end:,.0f}" for end in (min(values), max(values))))


VERBS = {
    "high": "is {side} than",
    "moderate": "is probably {side} than",
    "low": "may be {side} than",
}


def plain_line(
    pooled: Estimate,
    level: str,
    *,
    intervention: str,
    comparator: str,
    outcome: str,
) -> str:
    """Return what was found as one sentence whose verb follows the certainty.

    Santesso et al. 2020 (GRADE guidelines 26, Journal of Clinical Epidemiology 119:126-135): plain
    statement at high certainty, probably at moderate, may at low, uncertain at very low. Where
    certainty is not rated the sentence says so. An interval that includes no effect is said to
    leave the direction open, whatever the certainty.

    Raises
    ------
    DataError
        If the estimate has no interval, no direction, or a measure without a value of no effect.
    """
    null = MEASURES[pooled.measure].null if pooled.measure in MEASURES else None
    if null is None or pooled.value is None or pooled.low is None or pooled.high is None:
        raise DataError(
            f"a plain sentence needs an interval and a value of no effect; {pooled.key!r} has none."
        )
    if pooled.direction_better not in ("higher", "lower"):
        raise DataError(f"a plain sentence needs the better direction; {pooled.key!r} has none.")
    named = intervention[:1].upper() + intervention[1:]
    if level == "very low":
        return (
            f"It is very uncertain whether {intervention} differs from {comparator} in {outcome}."
        )
    if pooled.low <= null <= pooled.high:
        return (
            f"These studies leave open whether {intervention} is better or worse than "
            f"{comparator} for {outcome}."
        )
    side = "better" if (pooled.value > null) == (pooled.direction_better == "higher") else "worse"
    if level in VERBS:
        return f"{named} {VERBS[level].format(side=side)} {comparator} for {outcome}."
    return (
        f"In these studies {intervention} was {side} than {comparator} for {outcome}; "
        "how certain that is has not been rated."
    )
