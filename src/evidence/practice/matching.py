"""Can an effect be carried over to other people? Rules, each with its reason when it refuses.

An effect found in one place holds elsewhere only for the same people, the same alternative, the
same outcome and the same time, and only as surely as its design allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from evidence.errors import DataError, require_choice
from evidence.practice.readings import DESIGN_WORDS, tier
from evidence.results import Result
from evidence.vocabulary import DESIGNS

CONVERSIONS = ("none", "logistic")
"""Ways to make a risk of a standardised difference; `logistic` is ln OR = SMD × π / √3."""

RULES = ("tier", "population", "comparator", "outcome", "time", "form")
CARRIED, REFUSED, SAME = "can be carried over", "refused", "same"
UNCONTROLLED = "d_prepost"
RISKS = ("RR", "OR", "RD")
NO_RISK = {
    "MD": "a difference in a mean",
    "SMD": "a standardised difference, and no conversion was chosen",
    "HR": "a hazard ratio",
    UNCONTROLLED: "a change in standard deviations",
}
"""Why a measure is no number of people."""

Row = Mapping[Any, Any]


def match(
    effects: pd.DataFrame,
    wanted: Mapping[str, Any],
    *,
    least_tier: str = "cluster_rct",
    smd_conversion: str = "none",
) -> Result:
    """Return which published effects can be carried over to the people wanted, and why not.

    Parameters
    ----------
    effects
        One row for each effect: id, intervention, population, comparator, outcome_is, months
        (text), tier (a design), measure, est, lo, hi; and, if they are there, offered, people,
        instead, outcome_words and citation, in which readers are told of it.
    wanted
        people, outcome, populations and comparators (words that count as the same, with the
        reason), within_months (None for any), scale_outcome.
    least_tier
        The weakest design that is accepted.
    smd_conversion
        One of `CONVERSIONS`.

    Returns
    -------
    Result
        Table: effect, finding (intervention, outcome and source in words), one column for each of
        `RULES` (``same`` or the reason of refusal), verdict (`CARRIED` or `REFUSED`), why (all
        reasons), answer (verdict and reasons). Estimates are left out: nothing is measured.
        Settings count the refusals by rule.

    Raises
    ------
    DataError
        If the tier or conversion is unknown, or there is no effect.

    References
    ----------
    Chinn, Stat Med 2000;19:3127-3131 (logistic conversion).
    """
    _check(effects, least_tier, smd_conversion)
    rows = [_judged(row, wanted, least_tier, smd_conversion) for row in effects.to_dict("records")]
    table = pd.DataFrame(rows)
    passed = table["verdict"] == CARRIED
    refusals = {rule: int((table[rule] != SAME).sum()) for rule in RULES}
    first = Counter(table.loc[~passed, "why"].str.split(" (", regex=False).str[0])
    why = ", ".join(f"{count} for {reason}" for reason, count in first.most_common())
    if passed.any():
        text = f"{int(passed.sum())} of {len(table)} published effects can be carried over"
        text += f" to {wanted['people']}; the others are refused ({why})." if why else "."
    else:
        text = (
            f"None of {len(table)} published effects can be carried over to {wanted['people']}: "
            f"{why}."
        )
    return Result(
        text=text,
        table=table,
        reason="" if passed.any() else "nothing transportable",
        settings={
            "method": "match",
            "people": wanted["people"],
            "least_tier": least_tier,
            "smd_conversion": smd_conversion,
            "refusals": refusals,
        },
    )


def refusal(matches: Result, effect: str) -> str:
    """Return why an effect cannot be carried over, every reason; empty if it can.

    Raises
    ------
    DataError
        If the effect is not among those matched.
    """
    found = matches.table[matches.table["effect"] == effect]
    if found.empty:
        known = ", ".join(matches.table["effect"].head(6))
        raise DataError(f"an effect must be one of those matched ({known} …); got {effect!r}.")
    row = found.iloc[0]
    return str(row["why"])


def _check(effects: pd.DataFrame, least_tier: str, smd_conversion: str) -> None:
    if effects.empty:
        raise DataError("matching needs at least one effect; got none. Pass the effects.")
    tier(least_tier)
    require_choice(smd_conversion, CONVERSIONS, "a conversion")


def _judged(row: Row, wanted: Mapping[str, Any], least: str, conversion: str) -> dict[str, str]:
    checks: dict[str, Callable[[], str]] = {
        "tier": lambda: _tier(row, least),
        "population": lambda: _words(row, wanted, "population"),
        "comparator": lambda: _words(row, wanted, "comparator"),
        "outcome": lambda: _outcome(row, wanted, conversion),
        "time": lambda: _time(row, wanted),
        "form": lambda: _form(row, conversion),
    }
    said = {rule: check() or SAME for rule, check in checks.items()}
    refused = [text for text in said.values() if text != SAME]
    verdict, why = REFUSED if refused else CARRIED, "; ".join(refused)
    return {
        "effect": str(row["id"]),
        "finding": _finding(row),
        **said,
        "verdict": verdict,
        "why": why,
        "answer": f"{verdict}: {why}" if why else verdict,
    }


def _finding(row: Row) -> str:
    """Return what an effect is about, in words for readers as far as there are any."""
    offered = row.get("offered", row["intervention"])
    outcome = row.get("outcome_words", row["outcome_is"])
    source = f" ({row['citation']})" if "citation" in row else ""
    return f"{offered}: {outcome}{source}"


def _tier(row: Row, least: str) -> str:
    if row["measure"] == UNCONTROLLED:
        return "no control group (a change from before to after does not say what the care added)"
    if DESIGNS.index(row["tier"]) > DESIGNS.index(least):
        return (
            f"too weak a design ({DESIGN_WORDS[row['tier']]}, where at least "
            f"{DESIGN_WORDS[least]} is asked for)"
        )
    return ""


def _words(row: Row, wanted: Mapping[str, Any], key: str) -> str:
    if row[key] in wanted[f"{key}s"]:
        return ""
    named, shown = {
        "population": ("other people", "people"),
        "comparator": ("another comparison", "instead"),
    }[key]
    return f"{named} ({row.get(shown, row[key])})"


def _outcome(row: Row, wanted: Mapping[str, Any], conversion: str) -> str:
    converted = row["measure"] == "SMD" and conversion != "none"
    asked = wanted["scale_outcome"] if converted else wanted["outcome"]
    if row["outcome_is"] == asked:
        return ""
    return f"another outcome ({row['outcome_is']}, not {asked or 'a scale for this outcome'})"


def _time(row: Row, wanted: Mapping[str, Any]) -> str:
    most, months = wanted["within_months"], str(row["months"])
    if most is None:
        return ""
    if not months.isdigit():
        return f"another time ({months}, where at most {most} months are asked for)"
    if int(months) > most:
        return f"another time ({months} months, where at most {most} are asked for)"
    return ""


def _form(row: Row, conversion: str) -> str:
    if pd.isna(row["lo"]) or pd.isna(row["hi"]):
        return "no interval (how sure the effect is was not seen)"
    if row["measure"] in RISKS or (row["measure"] == "SMD" and conversion != "none"):
        return ""
    return f"no number of people ({NO_RISK.get(row['measure'], 'another measure')})"
