"""Evidence ladder: trials, quasi-experiments, evaluations, descriptions on one page, never pooled.

A lesson's findings stand one below another, strongest tier first; null and harmful ones are listed
and drawn exactly as good ones are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from evidence.errors import DataError
from evidence.practice import readings
from evidence.practice.readings import READINGS, TIERS
from evidence.results import Caution, Estimate, Result

JUDGED = ("worse", "no clear difference", "better")
"""Readings that set an outcome against a comparison."""


def with_pages(
    findings: pd.DataFrame, pages: pd.DataFrame, pooled: Mapping[str, Estimate]
) -> pd.DataFrame:
    """Return findings with a row for each pooled effect that a page of the report publishes.

    Parameters
    ----------
    findings
        One row for each outcome of a source.
    pages
        subject, name, page, design, source and the tags of what each page is about.
    pooled
        Pooled effect by page.
    """
    rows = []
    for about in pages.to_dict("records"):
        effect = pooled[about["page"]]
        rows.append(
            {
                **{key: about[key] for key in findings.columns if key in about},
                "kind": "review",
                "outcome": effect.outcome,
                "direction_better": effect.direction_better,
                "measure": effect.measure,
                "unit": "",
                "estimate": effect.value,
                "low": effect.low,
                "high": effect.high,
                "decimals": 2,
                "stated_reading": "",
                "text": "pooled in this report",
                "n": f"{effect.k} {'study' if effect.k == 1 else 'studies'}",
                "population": "stated on its page",
                "comparator": "stated on its page",
                "reported_by": "not stated",
            }
        )
    more = pd.DataFrame(rows, columns=findings.columns)
    return pd.concat([findings, more], ignore_index=True) if rows else findings


def ladder(
    findings: pd.DataFrame, *, tag: str, framework: str = "lessons", name: str = ""
) -> Result:
    """Return everything known of a lesson, step or principle, tier by tier.

    Parameters
    ----------
    findings
        One row for each outcome of a source, with the columns that `readings.read` needs, name,
        outcome, n, source, and the tags of `framework` (ids joined by spaces).
    tag, framework, name
        Which entry, of which framework, and its name for the reader.

    Returns
    -------
    Result
        Table: name, outcome, tier, reading, figure, n, comparator, text, source, kind, and
        `finding`, `says`, `rests` and `told`, which sum them up for a narrow table; strongest tier
        first. Estimates: `findings`, one for each tier and one for each reading. The setting
        `standing` says in words how many stand on each tier. No result, with the reason, where
        nothing is known.

    Raises
    ------
    DataError
        If the framework is not a column of the findings.
    """
    if framework not in findings.columns:
        raise DataError(f"findings need the column {framework!r}; it is not there. Add the tags.")
    inside = findings[[tag in ids.split() for ids in findings[framework]]]
    title = f"{tag}, {name}" if name else tag
    settings: dict[str, str] = {
        "method": "ladder",
        "tag": tag,
        "framework": framework,
        "name": name,
    }
    if inside.empty:
        return Result.could_not(
            f"Nothing is known here of {title}",
            "the registry holds no trial, quasi-experiment, evaluation or description of it",
            **settings,
        )
    rows = readings.read(inside)
    order = list(TIERS)
    rows = readings.told(rows).assign(place=rows["tier"].map(order.index))
    rows = rows.sort_values(["place", "name"], kind="stable")
    table = rows[
        [
            "name",
            "outcome",
            "tier",
            "reading",
            "figure",
            "n",
            "comparator",
            "text",
            "source",
            "kind",
            "finding",
            "says",
            "rests",
            "told",
        ]
    ]
    tiers, said = Counter(table["tier"]), Counter(table["reading"])
    return Result(
        text=_finding(title, tiers, said),
        estimates=_estimates(tiers, said),
        table=table.reset_index(drop=True),
        settings=settings | {"standing": _standing(tiers)},
        cautions=_cautions(tiers),
    )


def counted(findings: pd.DataFrame) -> Result:
    """Return how many findings of each reading stand on each tier, over the whole registry.

    Returns
    -------
    Result
        Table: tier, one count for each reading, and `others`, those that are none of `JUDGED`.
    """
    rows = readings.read(findings)
    counts = Counter(zip(rows["tier"], rows["reading"], strict=True))
    table = pd.DataFrame(
        [{"tier": tier, **{said: counts[tier, said] for said in READINGS}} for tier in TIERS]
    )
    table["others"] = table[[said for said in READINGS if said not in JUDGED]].sum(axis=1)
    null = int(rows["reading"].isin(["no clear difference", "worse"]).sum())
    return Result(
        text=f"{null} of {len(rows)} findings show no clear difference or harm; "
        f"{int((rows['reading'] == 'better').sum())} are better, the others are neither or cannot "
        "be judged.",
        table=table,
        settings={"method": "readings by tier"},
    )


def _finding(title: str, tiers: Counter[str], said: Counter[str]) -> str:
    total = sum(tiers.values())
    findings = "finding" if total == 1 else "findings"
    return f"{total} {findings} on {title}: {readings.tally(said)}."


def _standing(tiers: Counter[str]) -> str:
    """Return how many findings stand on each tier, as a sentence."""
    listed = [f"{tiers[name]} {_one(name, tiers[name])}" for name in TIERS if tiers[name]]
    return f"By design: {', '.join(listed)}; never pooled."


def _one(name: str, count: int) -> str:
    words = {"trials": "of trials", "quasi-experiments": "of quasi-experiments"}
    return words.get(name, readings.ONE_OF[name] if count == 1 else name)


def _estimates(tiers: Counter[str], said: Counter[str]) -> tuple[Estimate, ...]:
    counts = {"findings": sum(tiers.values())}
    counts |= {name.replace(" ", "_"): tiers[name] for name in TIERS}
    counts |= {name.replace(" ", "_"): said[name] for name in READINGS}
    return tuple(Estimate(key=key, value=count, unit="findings") for key, count in counts.items())


def _cautions(tiers: Counter[str]) -> tuple[Caution, ...]:
    doubts = [
        Caution(
            "designs_differ",
            "Findings differ in design, outcome and comparator: they are counted and shown, "
            "never pooled, and counts say nothing of size.",
        )
    ]
    if tiers["uncontrolled evaluations"]:
        doubts.append(
            Caution(
                "uncontrolled_design",
                "Evaluations without a comparison group cannot say what would have happened "
                "otherwise; they are read as 'no comparison' whatever their figures.",
            )
        )
    return tuple(doubts)
