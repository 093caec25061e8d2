"""Practice directory: documented sites, their outcomes, and which sites are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from evidence.errors import DataError
from evidence.practice import readings
from evidence.results import Caution, Estimate, Result

FRAMEWORKS = ("steps", "lessons", "principles")
TOLD = ("finding", "says", "rests", "told")
"""Columns of findings that sum the others up for a narrow table."""

UNCONTROLLED = (
    "Most sites were judged against their own past or not at all: what changed there cannot be "
    "put down to the service."
)


def directory(sites: pd.DataFrame, *, lesson: str = "all", borough: str = "all") -> Result:
    """Return the documented sites, narrowed to a lesson and a borough.

    Parameters
    ----------
    sites
        One row for each site: id, title, place, model, boroughs, lessons, steps, principles
        (each ids joined by spaces), design, started, status, comparator, n, cost, source.
    lesson, borough
        An id to narrow by, or ``all``.

    Returns
    -------
    Result
        Table: the sites, ordered by design tier and title, with `tier`, and in words `judged`
        (what was done and how it was judged) and `carries` (what would carry over, cost, source).
        Estimates: `sites`, `shown`, and one for each tier.

    Raises
    ------
    DataError
        If no site is given.
    """
    if sites.empty:
        raise DataError("a directory needs at least one site; got none. Add a case.")
    shown = sites
    for column, chosen in (("lessons", lesson), ("boroughs", borough)):
        if chosen != "all":
            shown = shown[[chosen in ids.split() for ids in shown[column]]]
    shown = shown.assign(tier=[readings.tier(design) for design in shown["design"]])
    order = list(readings.TIERS)
    shown = shown.sort_values(["tier", "title"], key=lambda column: _placed(column, order))
    records = shown.to_dict("records")
    shown = shown.assign(
        judged=[_judged(row) for row in records], carries=[_carries(row) for row in records]
    )
    counts = Counter(shown["tier"])
    tiers = ", ".join(readings.counted(name, counts[name]) for name in order if counts[name])
    estimates = [_count("sites", len(sites)), _count("shown", len(shown))]
    estimates += [_count(name.replace(" ", "_"), counts[name]) for name in order]
    return Result(
        text=_shown(len(shown), len(sites), tiers, lesson, borough),
        estimates=tuple(estimates),
        table=shown.reset_index(drop=True),
        settings={"method": "directory", "lesson": lesson, "borough": borough},
        cautions=(Caution("uncontrolled_design", UNCONTROLLED),) if len(shown) else (),
    )


def similar(sites: pd.DataFrame) -> Result:
    """Return for each site the one most like it: shared tags over all tags of the two.

    Returns
    -------
    Result
        Table: site, most like, shared (tags in common), likeness (Jaccard's index, 0 to 1);
        sites that share no tag with any other have ``none``.

    References
    ----------
    Jaccard, Bull Soc Vaudoise Sci Nat 1901;37:547-579.
    """
    tags = {
        row["title"]: {tag for kind in FRAMEWORKS for tag in row[kind].split()}
        for row in sites.to_dict("records")
    }
    rows = [_nearest(title, tags) for title in tags]
    table = pd.DataFrame(rows, columns=["site", "most like", "shared", "likeness"])
    alike = int((table["likeness"] > 0).sum())
    return Result(
        text=f"{alike} of {len(table)} sites share a step, lesson or principle with another.",
        table=table,
        settings={"method": "similar", "measure": "Jaccard"},
    )


def without_site(sites: pd.DataFrame, lessons: pd.DataFrame) -> Result:
    """Return the lessons for which no site is documented.

    Parameters
    ----------
    sites
        With `lessons` (ids joined by spaces).
    lessons
        id and name of every lesson.
    """
    known = {id for ids in sites["lessons"] for id in ids.split()}
    gaps = lessons.loc[~lessons["id"].isin(known), ["id", "name"]].reset_index(drop=True)
    text = f"No site is documented for {len(gaps)} of {len(lessons)} lessons"
    return Result(text=f"{text}: {_listed(gaps['id'])}." if len(gaps) else f"{text}.", table=gaps)


def measured(indicators: pd.DataFrame) -> Result:
    """Return the indicators that carry a lesson, or that there is none.

    Parameters
    ----------
    indicators
        page and title of each.
    """
    count = len(indicators)
    text = f"{count} indicators of this report carry the lesson."
    if count < 2:
        text = f"{'One' if count else 'No'} indicator of this report carries the lesson."
    return Result(text=text, table=indicators, settings={"method": "indicators of a lesson"})


def outcomes(findings: pd.DataFrame) -> Result:
    """Return every outcome of the sites as its source prints it, with its reading.

    Parameters
    ----------
    findings
        One row for each outcome of a source; rows of kind ``case`` are taken.

    Returns
    -------
    Result
        Table: name, outcome, tier, figure, reading, n, comparator, reported_by, text, source.
    """
    rows = readings.read(findings[findings["kind"] == "case"]).reset_index(drop=True)
    rows = readings.told(rows)
    judged = (~rows["reading"].isin(["no comparison", "not estimable"])).sum()
    columns = [
        "name",
        "outcome",
        "tier",
        "figure",
        "reading",
        "n",
        "comparator",
        "reported_by",
        "text",
        "source",
        *TOLD,
    ]
    verb = "has an interval by which it" if judged == 1 else "have an interval by which they"
    known = f"{judged or 'None'} of {len(rows)} outcomes {verb} can be judged."
    return Result(
        text=known if len(rows) else "No outcome of such a site is known.",
        table=rows[columns],
        settings={"method": "outcomes"},
    )


def umbrella(findings: pd.DataFrame) -> Result:
    """Return the published syntheses side by side, each with tier, direction and reading.

    Nothing is pooled: rows differ in population, comparator, outcome and sign convention.

    Parameters
    ----------
    findings
        One row for each outcome of a source; rows of kind ``synthesis`` and ``statement``.
    """
    rows = readings.read(findings[findings["kind"] != "case"]).reset_index(drop=True)
    rows = readings.told(rows)
    counts = Counter(rows["reading"])
    columns = [
        "name",
        "population",
        "comparator",
        "outcome",
        "tier",
        "direction_better",
        "figure",
        "reading",
        "n",
        "text",
        "source",
        *TOLD,
    ]
    return Result(
        text=f"{len(rows)} findings of {rows['name'].nunique()} interventions: "
        f"{readings.tally(counts)}.",
        table=rows[columns],
        settings={"method": "umbrella"},
        cautions=(
            Caution(
                "designs_differ",
                "Findings differ in design, comparator and sign convention; none are pooled here.",
            ),
        ),
    )


def _shown(shown: int, known: int, tiers: str, lesson: str, borough: str) -> str:
    where = {"lesson": lesson, "borough": borough}
    narrowed = " and ".join(f"this {what}" for what, chosen in where.items() if chosen != "all")
    if not narrowed:
        return f"{known} documented site{'' if known == 1 else 's'}: {tiers}."
    if not shown:
        return f"None of the {known} documented sites belongs to {narrowed}."
    verb = "belongs" if shown == 1 else "belong"
    return f"{shown} of {known} documented sites {verb} to {narrowed}: {tiers}."


def _judged(site: Mapping[Any, Any]) -> str:
    how = f"{'an' if site['tier'][0] in 'aeiou' else 'a'} {readings.ONE_OF[site['tier']]}"
    against = (
        "" if site["comparator"] in ("none", "not stated") else f"against {site['comparator']}"
    )
    people = "" if site["n"] == "not stated" else site["n"]
    begun = "" if site["started"] == "not stated" else f"begun {site['started']}"
    lessons = f"lessons {', '.join(site['lessons'].split())}"
    said = "; ".join(part for part in (how, against, people, begun, lessons) if part)
    return f"{site['model']} Judged by {said}."


def _carries(site: Mapping[Any, Any]) -> str:
    cost = "Cost not stated" if site["cost"] == "not stated" else f"Cost: {site['cost']}"
    return f"{site['transferability']} {cost}. Source: {site['source']}."


def _placed(column: pd.Series, order: list[str]) -> pd.Series:
    return column.map(order.index) if column.name == "tier" else column


def _count(key: str, value: int) -> Estimate:
    return Estimate(key=key, value=value, unit="sites", design="descriptive")


def _nearest(title: str, tags: dict[str, set[str]]) -> tuple[str, str, str, float]:
    likeness = {
        other: len(tags[title] & tags[other]) / len(tags[title] | tags[other])
        for other in tags
        if other != title and tags[title] | tags[other]
    }
    best = max(sorted(likeness), key=lambda other: likeness[other], default="")
    if not best or not likeness[best]:
        return title, "none", "none", 0.0
    return title, best, _listed(sorted(tags[title] & tags[best])), likeness[best]


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(ids) or "none"
