"""What each of the nine steps asks to be measured, from the published figures of the indicators."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from evidence.errors import DataError, require_choice
from evidence.practice import gap
from evidence.results import Caution, Result

POWER, TEST = 0.8, 0.05
HEADINGS = {
    "S1": "groups of areas pooled",
    "S4": "smallest change that would be noticed",
    "S5": "slope from the most to the least deprived",
    "S6": "if the lowest quartile reached the median",
    "S7": "figures, rounding and breaks",
    "S8": "last search, and citation",
    "S9": "best area after noise, and those beyond the usual spread",
}
"""Steps whose measure is told in words, an indicator to a row, and the heading of the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the measures of the steps are computed from.

    Parameters
    ----------
    funnels
        Results of `variation.limits.funnel` by indicator.
    stated
        One row for each indicator: id, short, owner_role, next_review, breaks (cautions of its
        definition about breaks and restatements), rounding, register (whether its denominator
        counts people at one date).
    groups
        area_code and group (the integrated care board of today).
    findings
        One row for each outcome of a source, with reported_by.
    reviews
        One row for each body of evidence: name, kind, last_search, next_search, citation.
    gradients
        Slopes by deprivation of indicators that have figures by group: a table of period, sii,
        sii_low and sii_high, the latest period last.
    """

    funnels: Mapping[str, Result]
    stated: pd.DataFrame
    groups: pd.DataFrame
    findings: pd.DataFrame
    reviews: pd.DataFrame
    gradients: Mapping[str, Result] = field(default_factory=dict)


def measure(step: str, material: Material) -> Result:
    """Return what a step asks to be measured.

    Parameters
    ----------
    step
        ``S1`` to ``S9``.
    material
        Published figures and definitions.

    Raises
    ------
    DataError
        If the step is unknown.
    """
    require_choice(step, MEASURES, "a step")
    if step in OF_INDICATORS and not material.funnels:
        return Result.could_not("Not measured", "no indicator has a published page")
    return MEASURES[step](material)


def grouped(material: Material) -> Result:
    """Return each group of areas pooled, sum over sum, against the rest of London (S1)."""
    rows = []
    for funnel in material.funnels.values():
        table = _with_figures(funnel).merge(material.groups, on="area_code", how="left")
        if table["group"].isna().any():
            lost = table.loc[table["group"].isna(), "area"].iloc[0]
            raise DataError(f"every area must belong to a group; {lost} does not. Add it.")
        for name, inside in table.groupby("group"):
            rest = table[table["group"] != name]
            times = funnel.settings["multiplier"]
            value, other = _pooled(inside) * times, _pooled(rest) * times
            rows.append(
                {
                    "indicator": funnel.settings["indicator"],
                    "unit": funnel.settings["unit"],
                    "group": name,
                    "areas": len(inside),
                    "pooled": value,
                    "rest of London": other,
                    "difference": value - other,
                }
            )
    table = pd.DataFrame(rows)
    table["told"] = [
        f"{row['group']} {_with_unit(row['pooled'], row['unit'])} "
        f"({_signed(row['difference'])} against the rest)"
        for row in table.to_dict("records")
    ]
    text = (
        f"{table['group'].nunique()} groups of areas, today's integrated care boards, pooled on "
        f"{len(material.funnels)} indicators and set against the rest of London."
    )
    return Result(text=text, table=table, settings={"method": "groups pooled"})


def _with_unit(value: float, unit: str) -> str:
    return f"{value:.1f}" + ("\N{NO-BREAK SPACE}%" if unit == "%" else f" {unit}".rstrip())


def _signed(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")


def shown(step: str, measure: Result) -> Result:
    """Return a measure as a reader sees it: an indicator to a row, the rest of it in words.

    Parameters
    ----------
    step, measure
        As `measure` takes and returns them.
    """
    if step not in HEADINGS or not measure.known:
        return measure
    about = measure.table.columns[0]
    told = measure.table.groupby(about, sort=False)["told"].agg("; ".join).reset_index()
    return replace(measure, table=told.set_axis([about, HEADINGS[step]], axis=1))


def owners(material: Material) -> Result:
    """Return who answers for each indicator and when it is looked at again (S2)."""
    table = material.stated[["short", "owner_role", "next_review"]].reset_index(drop=True)
    owned = int((table["owner_role"] != "not stated").sum())
    reviewed = int((table["next_review"] != "not stated").sum())
    return Result(
        text=f"{owned or 'None'} of {len(table)} indicators {'has' if owned < 2 else 'have'} an "
        f"owner role stated, {reviewed or 'none'} a date of the next review.",
        table=table.set_axis(["indicator", "owner", "next review"], axis=1),
        settings={"method": "owners"},
    )


def reported(material: Material) -> Result:
    """Return who reports the outcomes of the evidence (S3)."""
    counts = Counter(material.findings["reported_by"])
    table = pd.DataFrame(
        [{"reported by": who, "findings": count} for who, count in counts.most_common()]
    )
    return Result(
        text=f"Patients report {counts['patients']} of {counts.total()} outcomes as far as stated; "
        f"for {counts['not stated']} it is not stated who reports them.",
        table=table,
        settings={"method": "reported outcomes"},
    )


def detectable(material: Material) -> Result:
    """Return the smallest change of one area between two years that would be noticed (S4).

    Two years of the same size, two-sided test at 5 %, power 80 %, chance alone:
    ``(z₀.₉₇₅ + z₀.₈) √(2 p (1 − p) / n)`` for a proportion, ``√(2 r / n)`` in it for a rate.

    References
    ----------
    Fleiss, Statistical methods for rates and proportions, 2nd ed. 1981, chapter 3.
    """
    rows = []
    for funnel in material.funnels.values():
        table, asked = _with_figures(funnel), funnel.settings
        least = table["denominator"].map(lambda n, one=funnel: smallest_difference(one, n))
        rows.append(
            {
                "indicator": asked["indicator"],
                "unit": "points" if asked["unit"] == "%" else asked["unit"],
                "London": funnel["pooled"].value,
                "smallest area": least.max(),
                "median area": least.median(),
                "largest area": least.min(),
                "areas outside limits": int(funnel["outside_adjusted"].value or 0),
            }
        )
    table = pd.DataFrame(rows)
    table["told"] = [
        f"in the median area {row['median area']:.1f} {row['unit']} (largest "
        f"{row['largest area']:.1f}, smallest {row['smallest area']:.1f}); "
        f"{row['areas outside limits'] or 'none'} outside the limits"
        for row in table.to_dict("records")
    ]
    first = table.loc[table["median area"].idxmax()]
    return Result(
        text=f"A contract that rests on one area and year can notice no change below the figures "
        f"here; in {first['indicator']} the median area would need {first['median area']:.1f} "
        f"{first['unit']}.",
        table=table,
        settings={"method": "detectable difference", "power": POWER, "test": TEST},
        cautions=(
            Caution(
                "overdispersion",
                "Chance alone: figures vary more from year to year than that, so that even larger "
                "changes may mean nothing.",
            ),
        ),
    )


def smallest_difference(funnel: Result, denominator: float) -> float:
    """Return the smallest difference between two years of one area seen with 80 % power.

    Parameters
    ----------
    funnel
        Whose pooled value and unit are used.
    denominator
        People of the area in each of the two years.
    """
    times = float(funnel.settings["multiplier"])
    level = float(funnel["pooled"].value or 0.0) / times
    spread = level * (1 - level) if funnel.settings["measure"] == "proportion" else level
    reach = float(stats.norm.ppf(1 - TEST / 2) + stats.norm.ppf(POWER))
    return reach * math.sqrt(2 * spread / denominator) * times


def gradient(material: Material) -> Result:
    """Return the slope of each indicator over tenths of deprivation, where it is known (S5).

    The slope index of inequality, from the latest period of the indicator's page on groups.
    """
    rows = []
    for id, found in material.gradients.items():
        last = found.table.iloc[-1]
        asked = material.funnels[id].settings
        rows.append(
            {
                "indicator": asked["indicator"],
                "period": last["period"],
                "unit": "points" if asked["unit"] == "%" else asked["unit"],
                "slope": last["sii"],
                "95 % low": last["sii_low"],
                "95 % high": last["sii_high"],
            }
        )
    without = len(material.funnels) - len(rows)
    if not rows:
        return Result.could_not(
            "Gradient by deprivation not known",
            "no table of this edition holds figures by deprivation within areas",
        )
    table = pd.DataFrame(rows).sort_values("slope", ascending=False, ignore_index=True)
    table["told"] = [
        f"{row['slope']:.1f} {row['unit']} ({row['95 % low']:.1f} to {row['95 % high']:.1f}), "
        f"{row['period']}"
        for row in table.to_dict("records")
    ]
    first = table.iloc[0]
    return Result(
        text=f"From the most to the least deprived people {first['indicator']} rises most, by "
        f"{first['slope']:.1f} {first['unit']} ({first['95 % low']:.1f} to "
        f"{first['95 % high']:.1f}) on the slope index; {without} of "
        f"{len(material.funnels)} indicators have no figures by deprivation.",
        table=table,
        settings={"method": "gradient by deprivation", "without": without},
        cautions=(
            Caution(
                "other",
                "A gradient across averages of areas would not stand in for one across people, "
                "and is not shown.",
            ),
        ),
    )


def quartile_gain(material: Material) -> Result:
    """Return how many people more if the lowest quartile of areas reached the median (S6)."""
    rows = []
    stated = material.stated.set_index("id")
    for id, funnel in material.funnels.items():
        counted = gap.ON_REGISTER if stated.loc[id, "register"] else gap.A_YEAR
        found = gap.quartile_to_median(funnel, counted=counted)
        if found is None:
            continue
        rows.append(
            {
                "indicator": found.outcome,
                "period": found.period,
                "areas": found.k,
                "people": found.value,
                "low": found.low,
                "high": found.high,
                "more people": f"{gap.between(found)} more {found.unit}",
                "told": f"{gap.between(found)} more {found.unit}, {found.period}",
            }
        )
    table = pd.DataFrame(rows).sort_values("people", ascending=False, ignore_index=True)
    first = table.iloc[0]
    return Result(
        text=f"If the lowest quartile of areas reached the London median, {first['more people']} "
        f"would count in {first['indicator']}, the most of {len(table)} indicators.",
        table=table.drop(columns=["people", "low", "high"]),
        settings={"method": "quartile to median"},
        cautions=(
            Caution("other", "Arithmetic: nothing here says what would bring areas to the median."),
        ),
    )


def completeness(material: Material) -> Result:
    """Return for each indicator how many areas have a figure, its rounding and breaks (S7)."""
    stated = material.stated.set_index("id")
    rows = []
    for id, funnel in material.funnels.items():
        have = int(funnel.table["value"].notna().sum())
        rows.append(
            {
                "indicator": funnel.settings["indicator"],
                "period": funnel.settings["period"],
                "areas with a figure": have,
                "areas": len(funnel.table),
                "counts rounded to": int(stated.loc[id, "rounding"]),
                "breaks and restatements": stated.loc[id, "breaks"] or "none stated",
            }
        )
    table = pd.DataFrame(rows)
    table["told"] = [
        f"{row['period']}: {row['areas with a figure']} of {row['areas']} areas; "
        f"{_rounded(row['counts rounded to'])}; breaks and restatements: "
        f"{row['breaks and restatements']}"
        for row in table.to_dict("records")
    ]
    full = int((table["areas with a figure"] == table["areas"]).sum())
    return Result(
        text=f"{full} of {len(table)} indicators have a figure for every area; "
        f"{int((table['counts rounded to'] > 1).sum())} rest on rounded counts.",
        table=table,
        settings={"method": "completeness"},
    )


def _rounded(to: int) -> str:
    return "exact counts" if to == 1 else f"counts rounded to {to}"


def searches(material: Material) -> Result:
    """Return when each body of evidence was searched for and will be, and its citation (S8)."""
    rows = material.reviews[material.reviews["kind"] != "indicator"]
    columns = ["name", "last_search", "next_search", "citation"]
    table = rows[columns].drop_duplicates().reset_index(drop=True)
    dated, due = (int((table[name] != "not stated").sum()) for name in columns[1:3])
    searched = [
        last if last == "not stated" else f"{last}; next: {following}"
        for last, following in zip(table["last_search"], table["next_search"], strict=True)
    ]
    return Result(
        text=f"{dated} of {len(table)} bodies of evidence and sites "
        f"{'states' if dated == 1 else 'state'} when a last search was made, {due or 'none'} when "
        "the next is due; each has a citation.",
        table=table[["name"]].assign(
            **{"last search": searched, "citation": table["citation"]},
            told=[
                f"{one} ({cited})" if one != "not stated" else f"search not stated ({cited})"
                for one, cited in zip(searched, table["citation"], strict=True)
            ],
        ),
        settings={"method": "searches"},
    )


def outliers(material: Material) -> Result:
    """Return the areas that do better than the usual spread, beside those that do worse (S9)."""
    rows = []
    for funnel in material.funnels.values():
        if funnel.settings["direction_better"] == "none":
            continue
        table = _with_figures(funnel)
        named = {
            side: ", ".join(table.loc[table["judgement"] == side, "area"]) or "none"
            for side in ("better", "worse")
        }
        best = table.loc[_best(table, funnel.settings["direction_better"])]
        rows.append(
            {
                "indicator": funnel.settings["indicator"],
                "best after noise": best["area"],
                "its value": best["value"],
                "unit": funnel.settings["unit"],
                "London": funnel["pooled"].value,
                "better than the usual spread": named["better"],
                "worse than it": named["worse"],
            }
        )
    table = pd.DataFrame(rows)
    table["told"] = [
        f"{row['best after noise']}, {_with_unit(row['its value'], row['unit'])} (London "
        f"{_with_unit(row['London'], row['unit'])}); better than the usual spread: "
        f"{row['better than the usual spread']}; worse than it: {row['worse than it']}"
        for row in table.to_dict("records")
    ]
    good = int((table["better than the usual spread"] != "none").sum())
    return Result(
        text=f"{good} of {len(table)} indicators {'has' if good == 1 else 'have'} an area beyond "
        "the usual spread on the good side; the best area after noise is named for each.",
        table=table,
        settings={"method": "outliers"},
        cautions=(Caution("multiple_testing", "The best of many areas is partly the luckiest."),),
    )


MEASURES: dict[str, Callable[[Material], Result]] = {
    "S1": grouped,
    "S2": owners,
    "S3": reported,
    "S4": detectable,
    "S5": gradient,
    "S6": quartile_gain,
    "S7": completeness,
    "S8": searches,
    "S9": outliers,
}
"""Step -> what it asks to be measured."""

OF_INDICATORS = ("S1", "S4", "S6", "S7", "S9")
"""Steps that are measured on the indicators' published figures."""


def _with_figures(funnel: Result) -> pd.DataFrame:
    return funnel.table[funnel.table["value"].notna()].reset_index(drop=True)


def _pooled(rows: pd.DataFrame) -> float:
    total = float(rows["denominator"].sum())
    return float(rows["numerator"].sum()) / total if total else float(np.nan)


def _best(table: pd.DataFrame, direction: str) -> int:
    values = table["shrunken"]
    return int(values.idxmax() if direction == "higher" else values.idxmin())
