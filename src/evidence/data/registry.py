"""Everything that the report knows of practice, as tables: findings, registry, effects, baselines.

One row of `findings` is one outcome of one source; one row of `registry` is one body of evidence,
case or indicator, with its tags. Nothing here judges: readings are made in `evidence.practice`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from evidence.data import catalogue, practice
from evidence.data.counts import indicator
from evidence.data.documents import nearest
from evidence.data.files import listing
from evidence.data.practice import Case, Finding, Intervention, Share, Tags, Target
from evidence.data.tables import join, load
from evidence.errors import CatalogueError, DataError

EFFECTS = "published_syntheses"
LISTS = "depression-register"
"""The indicator whose denominator is the adults on lists of general practices."""

FINDING_COLUMNS = (
    "subject",
    "name",
    "kind",
    "outcome",
    "design",
    "direction_better",
    "measure",
    "unit",
    "estimate",
    "low",
    "high",
    "decimals",
    "stated_reading",
    "text",
    "n",
    "population",
    "comparator",
    "reported_by",
    "source",
    "steps",
    "lessons",
    "principles",
)
NUMBERS = ("estimate", "low", "high")
IN_WORDS = {
    "design_words": "design",
    "people": "population",
    "instead": "comparator",
    "offered": "intervention",
}
"""Columns for readers, and the column of published_syntheses that each puts into words."""


def effects() -> pd.DataFrame:
    """Return the rows of published_syntheses with tier, outcome and months in words of this book.

    Returns
    -------
    DataFrame
        The columns of the table and `tier` (a design), `outcome_is`, `months` (text),
        `intervention_id` (empty for rows that a case holds), and `outcome_words`, `design_words`,
        `people`, `instead` and `offered`: outcome, design, population, comparator and intervention
        in words for readers.

    Raises
    ------
    CatalogueError
        If a design or an outcome of the table has no meaning stated, or a row belongs to no
        intervention and no case, or to several.
    """
    table = load(EFFECTS)
    designs, outcomes = practice.design_words(), practice.outcome_words()
    _require_known(table["design"], designs, "designs of data/definitions/interventions.yml")
    _require_known(table["outcome"], outcomes, "outcomes of data/definitions/gain.yml")
    owner = _owners(practice.interventions(), practice.cases())
    _require_known(table["id"], owner, "effects of an intervention or case")
    _refuse_unknown_effects(owner, set(table["id"]))
    _refuse_unknown_effects([each.effect for each in practice.targets()], set(table["id"]))
    return table.assign(
        tier=table["design"].map(designs),
        outcome_is=[outcomes[text][0] for text in table["outcome"]],
        months=[outcomes[text][1] for text in table["outcome"]],
        outcome_words=[outcomes[text][2] for text in table["outcome"]],
        intervention_id=table["id"].map(owner),
        **{name: _plain(table[terse]) for name, terse in IN_WORDS.items()},
    )


def effect(id: str, among: pd.DataFrame) -> dict[str, Any]:
    """Return one row of `effects` as plain values.

    Raises
    ------
    DataError
        If there is none, with the nearest id.
    """
    rows = among[among["id"] == id].to_dict("records")
    if not rows:
        raise DataError(
            f"an effect must be a row of {EFFECTS}; {id!r} is none. {nearest(id, among['id'])}"
        )
    return {str(key): value for key, value in rows[0].items()}


def chosen_effects(ids: Sequence[str]) -> pd.DataFrame:
    """Return these rows of `effects`, in the order given.

    Raises
    ------
    DataError
        If none is named or one is no row, with the nearest id.
    """
    if not ids:
        raise DataError(f"at least one row of {EFFECTS} must be named; got none. Name one.")
    published = effects()
    for id in ids:
        effect(id, published)
    return published.set_index("id").loc[list(ids)].reset_index()


def findings() -> pd.DataFrame:
    """Return every finding of every intervention and case, one row for each outcome of a source.

    Rows of published_syntheses that a case repeats stand once, as the case's.

    Returns
    -------
    DataFrame
        Columns `FINDING_COLUMNS`; `steps`, `lessons` and `principles` are ids joined by spaces,
        `kind` is case, synthesis or statement; numbers are missing where a source has none.
    """
    published = effects()
    rows = [row for each in practice.interventions() for row in _studied(each, published)]
    rows += [row for each in practice.cases() for row in _documented(each)]
    table = pd.DataFrame(rows, columns=list(FINDING_COLUMNS))
    return table.astype(dict.fromkeys(NUMBERS, "float64") | {"decimals": "int64"})


def sites() -> pd.DataFrame:
    """Return one row for each documented site, in words.

    Returns
    -------
    DataFrame
        id, title, place, boroughs (codes joined by spaces), model, lessons, steps, principles,
        started, status, design, comparator, population, n, outcomes (how many), cost,
        contact_role, transferability, source, accessed.
    """
    rows = []
    for each in practice.cases():
        stated = asdict(each)
        rows.append(
            {
                **{key: value for key, value in stated.items() if isinstance(value, str)},
                **_tag_words(each.tags),
                "boroughs": " ".join(each.boroughs),
                "outcomes": len(each.findings),
            }
        )
    return pd.DataFrame(rows)


def registry() -> pd.DataFrame:
    """Return every tagged body of evidence, case and indicator, one row each.

    An intervention studied by several designs has a row for each, so that designs are counted
    apart.

    Returns
    -------
    DataFrame
        entry (unique), name, kind (synthesis, review, case, indicator), design (empty for an
        indicator), certainty, certainty_source, last_search, next_search, citation, steps, lessons,
        principles (ids joined by spaces).
    """
    published = effects()
    rows = [row for each in practice.interventions() for row in _bodies(each, published)]
    rows += [
        _entry(each.id, each.title, "case", each.design, each.tags, citation=each.source)
        for each in practice.cases()
    ]
    for id in catalogue.indicators():
        stated = catalogue.definition(id)
        rows.append(_entry(id, stated.title, "indicator", "", _tags_among(stated.tags)))
    return pd.DataFrame(rows)


def with_pages(entries: pd.DataFrame, pages: Iterable[Any]) -> pd.DataFrame:
    """Return a registry with a row for each page of the report.

    A page carries the tags of the report's plan, and those of the indicator that it is about.

    Parameters
    ----------
    entries
        As `registry` returns them.
    pages
        Pages of the plan: id, title, tags and subject.
    """
    known = set(catalogue.indicators())
    rows = []
    for page in pages:
        about = catalogue.definition(page.subject).tags if page.subject in known else ()
        tags = _tags_among(dict.fromkeys([*page.tags, *about]))
        rows.append(_entry(f"page:{page.id}", page.title, "page", "", tags))
    return pd.concat([entries, pd.DataFrame(rows)], ignore_index=True)


def pages() -> pd.DataFrame:
    """Return the interventions whose pooled effect has a page of the report.

    Returns
    -------
    DataFrame
        subject, name, page, design, source, steps, lessons, principles.
    """
    columns = ["subject", "name", "page", "design", "source", "steps", "lessons", "principles"]
    rows = [
        {
            "subject": each.id,
            "name": each.name,
            "page": each.page,
            "design": each.design,
            "source": f"page {each.page} of this report",
            **_tag_words(each.tags),
        }
        for each in practice.interventions()
        if each.page
    ]
    return pd.DataFrame(rows, columns=columns)


def indicators() -> pd.DataFrame:
    """Return one row for each indicator: what its definition states about data and owner.

    Returns
    -------
    DataFrame
        id, short, owner_role, next_review, rounding (1 if counts are exact), breaks (cautions
        about breaks, restatements and periods, joined), register (whether its denominator counts
        people at one date).
    """
    kinds = ("series_break", "missing_periods", "denominator_period", "reconciliation")
    rows, registers = [], practice.registers()
    for id in catalogue.indicators():
        stated = catalogue.definition(id)
        source = catalogue.dataset(stated.numerator.dataset)
        doubts = [*stated.cautions, *source.cautions]
        rows.append(
            {
                "id": id,
                "short": stated.short,
                "owner_role": stated.owner_role,
                "next_review": stated.next_review,
                "rounding": source.rounding.get("other", 1),
                "breaks": " ".join(doubt.text for doubt in doubts if doubt.kind in kinds),
                "register": id in registers,
            }
        )
    return pd.DataFrame(rows)


def boards() -> pd.DataFrame:
    """Return the integrated care board of today of every London CCG: area_code, group."""
    rows = [(area.code, area.icb_name) for area in catalogue.areas("ccg")]
    return pd.DataFrame(rows, columns=["area_code", "group"])


def likeness() -> pd.DataFrame:
    """Return in what London CCGs may be alike: area_code, deprivation, adults.

    Deprivation is the average score of 2019, adults are those on lists of general practices.

    Raises
    ------
    DataError
        If an area lacks one of the two.
    """
    codes = {area.ons_code: area.code for area in catalogue.areas("ccg")}
    scores = load("deprivation", "ccgs")
    scores = scores.assign(area_code=scores["ccg_ons_code"].map(codes))
    adults = indicator(LISTS)[["area_code", "denominator"]]
    alike = join(adults, scores[["area_code", "imd2019_score"]], on="area_code")
    return alike.rename(columns={"imd2019_score": "deprivation", "denominator": "adults"})


def entries(*frameworks: str) -> pd.DataFrame:
    """Return the entries of frameworks: id, name, asks, framework, source."""
    rows = [
        {
            "id": each.id,
            "name": each.name,
            "asks": each.asks,
            "framework": framework,
            "source": each.source,
            **each.more,
        }
        for framework in frameworks
        for each in practice.framework(framework)
    ]
    return pd.DataFrame(rows)


def share(stated: Share, override: float = 0.0) -> dict[str, Any]:
    """Return a share of people with its range, if its table gives one, and where it comes from.

    Parameters
    ----------
    stated
        The share of gain.yml.
    override
        A value to take instead, called assumed; 0 takes the stated one.

    Returns
    -------
    dict
        value, low, high (None without a table), basis.

    Raises
    ------
    DataError
        If the override is no share, or the table has no such treatment.
    """
    if override:
        if not 0 < override <= 1:
            raise DataError(f"a share must lie above 0 and up to 1; got {override:g}. Change it.")
        return {"value": override, "low": None, "high": None, "basis": "assumed (set by hand)"}
    if stated.value is not None:
        return {"value": stated.value, "low": None, "high": None, "basis": stated.basis}
    arms = load(stated.dataset)
    absent = [name for name in ("treatment", "responders", "n") if name not in arms.columns]
    if absent:
        raise DataError(
            f"a baseline is read from a table of arms; {stated.dataset} has no column "
            f"{', '.join(absent)}. Correct data/definitions/gain.yml."
        )
    arms = arms[arms["treatment"] == stated.treatment]
    if arms.empty:
        raise DataError(
            f"a baseline is read from arms of one treatment; {stated.dataset} has no arm "
            f"{stated.treatment!r}. Correct data/definitions/gain.yml."
        )
    shares = arms["responders"] / arms["n"]
    people, count = int(arms["n"].sum()), int(arms["responders"].sum())
    return {
        "value": count / people,
        "low": float(shares.quantile(0.25)),
        "high": float(shares.quantile(0.75)),
        "basis": f"{count:,} of {people:,} {stated.basis}; {len(arms)} trials",
    }


def shares(target: Target, **overrides: float) -> dict[str, dict[str, Any]]:
    """Return eligible share, reach and baseline of a target, each as `share` returns it.

    Parameters
    ----------
    target
        With an indicator.
    **overrides
        eligible_share, reach, baseline: values to take instead, called assumed; 0 takes the stated
        one.

    Raises
    ------
    CatalogueError
        If the target has nobody to count.
    """
    stated = {
        "eligible_share": target.eligible_share,
        "reach": target.reach,
        "baseline": target.baseline,
    }
    found = {}
    for name, one in stated.items():
        if one is None:
            raise CatalogueError(
                f"a gain needs people to count; target {target.id!r} has no indicator: "
                f"{target.because}. Choose another target."
            )
        found[name] = share(one, overrides.get(name, 0.0))
    return found


def wanted(target: Target, within_months: int = 0) -> dict[str, Any]:
    """Return a target as plain values, as `evidence.practice.matching` takes it."""
    stated = {
        key: value
        for key, value in asdict(target).items()
        if key not in ("eligible_share", "reach", "baseline")
    }
    return {**stated, "within_months": within_months or target.within_months}


def _require_known(column: pd.Series, known: Mapping[str, Any], where: str) -> None:
    missing = sorted(set(column) - set(known))
    if missing:
        raise CatalogueError(
            f"every row of {EFFECTS} must be explained by {where}; {missing[0]!r} is not "
            f"({len(missing)} in all). Add it there."
        )


def _plain(terse: pd.Series) -> list[str]:
    words = practice.plain_words()
    return [words.get(text, text) for text in terse]


def _owners(studied: Iterable[Intervention], documented: Iterable[Case]) -> dict[str, str]:
    owners: dict[str, str] = {}
    pairs = [(effect, each.id) for each in studied for effect in each.effects]
    pairs += [(one.effect, "") for each in documented for one in each.findings if one.effect]
    for effect, owner in pairs:
        if effect in owners:
            raise CatalogueError(
                f"a row of {EFFECTS} must belong to one intervention or case; {effect!r} belongs "
                "to two. Remove one in data/definitions/interventions.yml."
            )
        owners[effect] = owner
    return owners


def _refuse_unknown_effects(owners: Iterable[str], known: set[str]) -> None:
    for effect in owners:
        if effect not in known:
            raise CatalogueError(
                f"an effect named in interventions.yml, gain.yml or a case must be in {EFFECTS}; "
                f"{effect!r} is none. Correct it."
            )


def _studied(each: Intervention, published: pd.DataFrame) -> list[dict[str, Any]]:
    about = {"subject": each.id, "name": each.name, **_tag_words(each.tags)}
    rows = []
    for row in published[published["intervention_id"] == each.id].to_dict("records"):
        many = "sites" if "sites" in row["design"] else "studies"
        people = [
            f"{row[key]:,} {one if row[key] == 1 else more}"
            for key, one, more in (("k", "study", many), ("n", "person", "people"))
            if pd.notna(row[key])
        ]
        figures = {"estimate": row["est"], "low": row["lo"], "high": row["hi"]}
        rows.append(
            {
                **about,
                **{key: row[key] for key in ("direction_better", "measure")},
                **figures,
                "outcome": row["outcome_words"],
                "kind": "synthesis",
                "design": row["tier"],
                "unit": "",
                "decimals": 2,
                "stated_reading": "",
                "text": row["design_words"],
                "n": ", ".join(people) or practice.NOT_STATED,
                "population": row["people"],
                "comparator": row["instead"],
                "reported_by": practice.NOT_STATED,
                "source": row["citation"],
            }
        )
    return rows + [_row(one, about, "statement", practice.NOT_STATED) for one in each.statements]


def _documented(each: Case) -> list[dict[str, Any]]:
    about = {"subject": each.id, "name": each.title, **_tag_words(each.tags)}
    outcomes = each.findings or (
        Finding(
            outcome="none seen",
            design=each.design,
            direction_better="none",
            reading=practice.NOT_ESTIMABLE,
            n=each.n,
            source=each.source,
        ),
    )
    return [_row(one, about, "case", each.comparator, each.population) for one in outcomes]


def _row(
    one: Finding,
    about: Mapping[str, str],
    kind: str,
    comparator: str,
    population: str = practice.NOT_STATED,
) -> dict[str, Any]:
    return {
        **about,
        "kind": kind,
        "outcome": one.outcome,
        "design": one.design,
        "direction_better": one.direction_better,
        "measure": one.measure,
        "unit": one.unit,
        "estimate": one.estimate,
        "low": one.low,
        "high": one.high,
        "decimals": one.decimals,
        "stated_reading": one.reading,
        "text": " ".join(part for part in (one.text, one.because) if part),
        "n": one.n,
        "population": population,
        "comparator": comparator,
        "reported_by": one.reported_by,
        "source": one.source,
    }


def _bodies(each: Intervention, published: pd.DataFrame) -> list[dict[str, str]]:
    tiers = published.loc[published["intervention_id"] == each.id, "tier"].tolist()
    tiers += [one.design for one in each.statements]
    tiers += [each.design] if each.review else []
    kind = "review" if each.review else "synthesis"
    stated = catalogue.protocol(each.review).described() if _has_protocol(each.review) else {}
    cited = published.loc[published["intervention_id"] == each.id, "citation"].tolist()
    cited += [one.source for one in each.statements] + (
        [catalogue.dataset(each.review).publication] if each.review else []
    )
    return [
        _entry(
            f"{each.id}:{design}",
            each.name,
            kind,
            design,
            each.tags,
            certainty=each.certainty,
            certainty_source=each.certainty_source,
            last_search=stated.get("Last search", practice.NOT_STATED),
            next_search=stated.get("Next search", practice.NOT_STATED),
            citation="; ".join(dict.fromkeys(cited)),
        )
        for design in dict.fromkeys(tiers)
    ]


def _has_protocol(review: str) -> bool:
    return f"data/raw/{review}/protocol.yml" in listing("data/raw/**/protocol.yml")


def _entry(
    entry: str,
    name: str,
    kind: str,
    design: str,
    tags: Tags,
    certainty: str = "not rated",
    certainty_source: str = "",
    last_search: str = practice.NOT_STATED,
    next_search: str = practice.NOT_STATED,
    citation: str = "",
) -> dict[str, str]:
    return {
        "entry": entry,
        "name": name,
        "kind": kind,
        "design": design,
        "certainty": certainty,
        "certainty_source": certainty_source,
        "last_search": last_search,
        "next_search": next_search,
        "citation": citation,
        **_tag_words(tags),
    }


def _tag_words(tags: Tags) -> dict[str, str]:
    return {kind: " ".join(ids) for kind, ids in asdict(tags).items()}


def _tags_among(words: Iterable[str]) -> Tags:
    names = {each.id: each.names for each in catalogue.frameworks()}
    return Tags(**{kind: tuple(word for word in words if word in names[kind]) for kind in names})
