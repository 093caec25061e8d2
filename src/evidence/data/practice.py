"""Cases, interventions, targets of gain and frameworks: what files state about practice.

Nothing here imports pandas, so that a wrong case is told before anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence.data import catalogue
from evidence.data.documents import Fields, nearest, read
from evidence.data.files import listing, root
from evidence.errors import CatalogueError
from evidence.vocabulary import DESIGNS, DIRECTIONS

SCALES = {
    "RR": "log",
    "OR": "log",
    "HR": "log",
    "RD": "natural",
    "MD": "natural",
    "SMD": "natural",
    "change": "natural",
    "count": "natural",
    "percentage": "natural",
}
"""Measures of an outcome and the scale on which an interval lies evenly about its estimate."""

POSSIBLE = {
    "RR": (0, math.inf),
    "OR": (0, math.inf),
    "HR": (0, math.inf),
    "RD": (-1, 1),
    "count": (0, math.inf),
    "percentage": (0, 100),
}
"""Measures that cannot take every value, and the least and most they can be."""

MOST_DECIMALS = 6
READINGS = (
    "better",
    "worse",
    "no clear difference",
    "neither better nor worse",
    "no comparison",
    "not estimable",
)
REPORTERS = ("patients", "clinicians", "service", "not stated")
STATUSES = ("running", "ended", "unknown")
NOT_STATED, NOT_ESTIMABLE = "not stated", "not estimable"
_Known = Mapping[str, tuple[str, ...]]
_KINDS = {"steps": "S1 to S9", "lessons": "L1 to L10", "principles": "P1 to P9"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """The steps, lessons and principles that something belongs to, by id."""

    steps: tuple[str, ...]
    lessons: tuple[str, ...]
    principles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One outcome of a case, or one statement of a source.

    `estimate`, `low` and `high` are None where the source gives none; `because` says why there is
    no estimate. `reading` is stated only where a source says in words what it found; `effect` is
    the row of published_syntheses that holds the same figure.
    """

    outcome: str
    design: str
    direction_better: str
    measure: str = ""
    unit: str = ""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    decimals: int = 0
    reading: str = ""
    because: str = ""
    text: str = ""
    n: str = NOT_STATED
    source: str = ""
    reported_by: str = NOT_STATED
    effect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One documented site: one YAML file of data/raw/practice."""

    id: str
    title: str
    place: str
    boroughs: tuple[str, ...]
    model: str
    tags: Tags
    started: str
    status: str
    design: str
    comparator: str
    population: str
    n: str
    findings: tuple[Finding, ...]
    cost: str
    contact_role: str
    transferability: str
    source: str
    accessed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """What has been studied under one name: tags, rows of published_syntheses, statements.

    `review` is a folder of data/raw, `page` the page of the report with its pooled effect.
    """

    id: str
    name: str
    tags: Tags
    effects: tuple[str, ...] = ()
    statements: tuple[Finding, ...] = ()
    review: str = ""
    page: str = ""
    design: str = ""
    certainty: str = "not rated"
    certainty_source: str = ""
    cost: str = NOT_STATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of people with where it comes from: a source, or the word assumed.

    A share that is read from a table has no `value` here but names `dataset` and `treatment`.
    """

    basis: str
    value: float | None = None
    dataset: str = ""
    treatment: str = ""

    @property
    def assumed(self) -> bool:
        """Whether no source states it."""
        return self.basis.startswith("assumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """People to whom an effect might be carried over, and what must match for that.

    `populations` and `comparators` map the words of published_syntheses that count as the same to
    the reason why. `scale_outcome` is the scale from which the outcome would follow by conversion.
    `within_months` is the longest follow-up that counts, None for any.
    Without an `indicator` there is nobody to count, and `because` says why.
    """

    id: str
    title: str
    people: str
    intervention: str
    indicator: str
    because: str
    indicator_outcome: str
    effect: str
    outcome: str
    direction_better: str
    gained: str
    scale_outcome: str
    populations: Mapping[str, str]
    comparators: Mapping[str, str]
    within_months: int | None
    time_reason: str
    eligible_share: Share | None = None
    reach: Share | None = None
    baseline: Share | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a framework: its id, its name, what it asks for, and other stated fields."""

    id: str
    name: str
    asks: str = ""
    source: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


def cases() -> list[Case]:
    """Return every documented site, by id.

    Raises
    ------
    CatalogueError
        If a file is wrong: an unknown lesson, a missing direction or tier, an interval that does
        not fit its estimate; file, line and key are named.
    """
    paths = listing("data/raw/practice/*.yml")
    known = _known() if paths else {}
    return [_read_case(Path(path).stem, known) for path in paths]


def case(id: str) -> Case:
    """Return one documented site.

    Raises
    ------
    CatalogueError
        If there is none, or its file is wrong.
    """
    names = [Path(name).stem for name in listing("data/raw/practice/*.yml")]
    if id not in names:
        raise CatalogueError(f"there must be a case {id!r}; there is none. {nearest(id, names)}")
    return _read_case(id, _known())


def interventions() -> list[Intervention]:
    """Return what has been studied, in the order of data/definitions/interventions.yml.

    Raises
    ------
    CatalogueError
        If the file is wrong.
    """
    fields = read(_definitions("interventions"))
    fields.has("designs")
    fields.has("words")
    known = _known()
    found = [_intervention(each, known) for each in fields.each("interventions")]
    fields.done()
    _refuse_repeats(fields, "interventions", [each.id for each in found])
    return found


def design_words() -> dict[str, str]:
    """Return the design tier that each design text of published_syntheses stands for.

    Raises
    ------
    CatalogueError
        If a tier is unknown.
    """
    fields = read(_definitions("interventions"))
    words = fields.mapping("designs")
    for text, design in words.items():
        if design not in DESIGNS:
            raise fields.refuse(
                "designs", f"must map to one of {', '.join(DESIGNS)}; {text!r} does not"
            )
    return words


def plain_words() -> dict[str, str]:
    """Return how terse words of published_syntheses are written for readers."""
    return read(_definitions("interventions")).words("words")


def registers() -> dict[str, str]:
    """Return the indicators whose denominator is a register, with the people on it, from gain.yml.

    Such a denominator counts people at one date; of all others it counts people of one year.

    Raises
    ------
    CatalogueError
        If one is no indicator.
    """
    fields = read(_definitions("gain"))
    found = fields.words("registers")
    known = catalogue.indicators()
    for id in found:
        if id not in known:
            raise fields.refuse(
                "registers", f"must be indicators; {id!r} is none", nearest(id, known)
            )
    return found


def targets() -> list[Target]:
    """Return the people to whom effects might be carried over, from gain.yml.

    Raises
    ------
    CatalogueError
        If the file is wrong, or a share has neither a source nor the word assumed.
    """
    fields = read(_definitions("gain"))
    fields.has("outcomes")
    fields.has("registers")
    found = [_target(each) for each in fields.each("targets")]
    fields.done()
    _refuse_repeats(fields, "targets", [each.id for each in found])
    return found


def target(id: str) -> Target:
    """Return one target.

    Raises
    ------
    CatalogueError
        If there is none, with the nearest id.
    """
    known = {each.id: each for each in targets()}
    if id not in known:
        raise CatalogueError(f"there must be a target {id!r}; there is none. {nearest(id, known)}")
    return known[id]


def outcome_words() -> dict[str, tuple[str, str, str]]:
    """Return outcome, months of follow-up and words for readers of each outcome, from gain.yml."""
    fields = read(_definitions("gain"))
    inside = fields.inside("outcomes")
    found = {}
    for text in inside.data:
        each = inside.inside(text)
        months = each.plain("months")
        if isinstance(months, bool) or not isinstance(months, (int, str)):
            raise each.refuse("months", "must be a whole number, or words such as 'not stated'")
        found[text] = (each.text("outcome"), str(months), each.text("words"))
        each.done()
    return found


def framework(id: str) -> list[Entry]:
    """Return the entries of steps, lessons, principles, barriers or actors, with what each asks.

    Raises
    ------
    CatalogueError
        If there is no such framework or an entry has no name.
    """
    fields = read(_definitions("frameworks"))
    if not fields.has(id):
        raise CatalogueError(
            f"a framework must be in data/definitions/frameworks.yml; {id!r} is not. "
            f"{nearest(id, fields.data)}"
        )
    inside = fields.inside(id)
    found = [_entry(each, inside.text("source")) for each in inside.each("items")]
    _refuse_repeats(inside, "items", [each.id for each in found])
    return found


def entry(id: str) -> Entry:
    """Return one step, lesson or principle by its id, such as ``S4``.

    Raises
    ------
    CatalogueError
        If there is none.
    """
    known = {each.id: each for kind in _KINDS for each in framework(kind)}
    if id not in known:
        raise CatalogueError(
            f"a step, lesson or principle must be in data/definitions/frameworks.yml; {id!r} is "
            f"not. {nearest(id, known)}"
        )
    return known[id]


def fits(value: float, low: float, high: float, decimals: int, scale: str) -> bool:
    """Return whether an interval lies about its estimate as its scale asks, but for rounding.

    Parameters
    ----------
    value, low, high
        As printed.
    decimals
        Digits printed after the point: each figure may be off by half of the last one.
    scale
        ``natural``, ``log``, or ``asymmetric``, where the interval must only hold the estimate.
    """
    half = 0.5 * 10.0**-decimals
    if not low - half <= value <= high + half:
        return False
    if scale == "asymmetric":
        return True
    if scale == "natural":
        least, most = (low + high) / 2 - half, (low + high) / 2 + half
    else:
        least = math.sqrt(max(low - half, 0.0) * max(high - half, 0.0))
        most = math.sqrt((low + half) * (high + half))
    slack = 1e-9 * max(abs(value), 1.0)
    return least - half - slack <= value <= most + half + slack


def _definitions(name: str) -> Path:
    return root() / "data" / "definitions" / f"{name}.yml"


def _known() -> _Known:
    """Return the ids that tags and boroughs may name, read once for many files."""
    names = {each.id: tuple(each.names) for each in catalogue.frameworks()}
    return {**names, "boroughs": tuple(area.code for area in catalogue.areas("borough"))}


def _read_case(id: str, known: _Known) -> Case:
    fields = read(root() / "data" / "raw" / "practice" / f"{id}.yml")
    found = _case(fields, known)
    if found.id != id:
        raise fields.refuse("id", f"must equal the name of its file, {id!r}")
    return found


def _case(fields: Fields, known: _Known) -> Case:
    tags = _tags(fields, known)
    if not tags.lessons:
        raise fields.refuse("lessons", "must name at least one lesson", f"Use {_KINDS['lessons']}.")
    design, n = fields.text("design", allowed=DESIGNS), _people(fields)
    source, outcomes = fields.text("source"), fields.each("outcomes")
    _refuse_repeats(fields, "outcomes", [each.text("id") for each in outcomes])
    found = Case(
        id=fields.text("id"),
        title=fields.text("title"),
        place=fields.text("place"),
        boroughs=_boroughs(fields, known),
        model=fields.text("model"),
        tags=tags,
        started=fields.text("started"),
        status=fields.text("status", allowed=STATUSES),
        design=design,
        comparator=fields.text("comparator"),
        population=fields.text("population"),
        n=n,
        findings=tuple(_case_outcome(each, design, n, source) for each in outcomes),
        cost=fields.text("cost"),
        contact_role=fields.text("contact_role"),
        transferability=fields.text("transferability"),
        source=source,
        accessed=fields.text("accessed"),
    )
    fields.done()
    return found


def _tags(fields: Fields, known: _Known) -> Tags:
    return Tags(**{kind: _tagged(fields, kind, known) for kind in _KINDS})


def _tagged(fields: Fields, kind: str, known: _Known) -> tuple[str, ...]:
    ids = fields.texts(kind)
    _refuse_repeats(fields, kind, ids)
    for id in ids:
        if id not in known[kind]:
            raise fields.refuse(
                kind,
                f"must name {kind} of frameworks.yml; {id!r} is none",
                f"Use {_KINDS[kind]}.",
            )
    return ids


def _boroughs(fields: Fields, known: _Known) -> tuple[str, ...]:
    codes = fields.texts("boroughs")
    _refuse_repeats(fields, "boroughs", codes)
    for code in codes:
        if code not in known["boroughs"]:
            raise fields.refuse(
                "boroughs",
                f"must name boroughs of areas.yml by code; {code!r} is none",
                "Leave the list empty for a place outside London.",
            )
    return codes


def _people(fields: Fields) -> str:
    of = fields.text("n_of", "people")
    if fields.plain("n") == NOT_STATED:
        return NOT_STATED
    n = fields.integer("n")
    if not n or n < 1:
        raise fields.refuse("n", "must be a positive number or 'not stated'")
    return f"{n:,} {of}"


def _case_outcome(fields: Fields, design: str, n: str, source: str) -> Finding:
    fields.text("id")
    found = Finding(
        outcome=fields.text("outcome"),
        design=fields.text("design", design, allowed=DESIGNS),
        direction_better=fields.text("direction_better", allowed=DIRECTIONS),
        reported_by=fields.text("reported_by", allowed=REPORTERS),
        text=fields.text("note", ""),
        n=n,
        source=source,
        effect=fields.text("effect", ""),
        **_figures(fields),
    )
    fields.done()
    return found


def _statement(fields: Fields) -> Finding:
    figures = _figures(fields) if fields.has("estimate") else {}
    reading = fields.text("reading", "", allowed=READINGS)
    if not figures and not reading:
        raise fields.refuse(
            "reading", "must be given where there is no estimate", f"One of {', '.join(READINGS)}."
        )
    found = Finding(
        outcome=fields.text("outcome"),
        design=fields.text("design", allowed=DESIGNS),
        direction_better=fields.text("direction_better", allowed=DIRECTIONS),
        text=fields.text("text"),
        n=fields.text("n"),
        source=fields.text("source"),
        reading=reading,
        **figures,
    )
    fields.done()
    return found


def _figures(fields: Fields) -> dict[str, Any]:
    measure = fields.text("measure", allowed=SCALES)
    decimals = fields.integer("decimals") or 0
    if not 0 <= decimals <= MOST_DECIMALS:
        raise fields.refuse("decimals", f"must be digits after the point, 0 to {MOST_DECIMALS}")
    unit = "" if fields.data.get("unit") == "" else fields.text("unit", "")
    fields.has("unit")
    scale = fields.text("scale", SCALES[measure], allowed=("natural", "log", "asymmetric"))
    stated: dict[str, Any] = {"measure": measure, "unit": unit, "decimals": decimals}
    if fields.plain("estimate") == NOT_ESTIMABLE:
        return {**stated, "because": fields.text("because"), "reading": NOT_ESTIMABLE}
    estimate = fields.number("estimate")
    least, most = POSSIBLE.get(measure, (-math.inf, math.inf))
    if estimate is None or not least <= estimate <= most:
        raise fields.refuse("estimate", f"must be possible for a {measure}: {least} to {most}")
    stated["estimate"] = estimate
    if fields.plain("interval") == NOT_STATED:
        return stated
    low, high = _interval(fields)
    if not fits(estimate, low, high, decimals, scale):
        raise fields.refuse(
            "interval",
            f"must fit the estimate {estimate:g} on the {scale} scale, but for the rounding of "
            f"{decimals} printed decimals",
            "Read the figures again, or state the scale.",
        )
    return {**stated, "low": low, "high": high}


def _interval(fields: Fields) -> tuple[float, float]:
    pair = fields.plain("interval")
    if (
        not isinstance(pair, list)
        or len(pair) != 2
        or not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in pair)
        or not all(math.isfinite(x) for x in pair)
        or pair[0] > pair[1]
    ):
        raise fields.refuse("interval", "must be [low, high] or 'not stated'")
    return float(pair[0]), float(pair[1])


def _intervention(fields: Fields, known: _Known) -> Intervention:
    tags = _tags(fields, known)
    if not any((tags.steps, tags.lessons, tags.principles)):
        raise fields.refuse("lessons", "or steps or principles must name at least one")
    certainty = fields.text("certainty")
    cited = certainty != "not rated"
    found = Intervention(
        id=fields.text("id"),
        name=fields.text("name"),
        tags=tags,
        effects=fields.texts("effects", ()),
        statements=tuple(_statement(each) for each in fields.each("statements", required=False)),
        review=fields.text("review", ""),
        page=fields.text("page", ""),
        design=fields.text("design", "", allowed=DESIGNS),
        certainty=certainty,
        certainty_source=fields.text("certainty_source") if cited else "",
        cost=fields.text("cost", NOT_STATED),
    )
    fields.done()
    if not (found.effects or found.statements or found.review):
        raise fields.refuse("effects", "or statements or a review must be given")
    if found.review and not found.design:
        raise fields.refuse("design", "must be given for a review")
    return found


def _target(fields: Fields) -> Target:
    months = fields.plain("within_months")
    indicator = fields.text("indicator")
    counted = indicator != "none"
    found = Target(
        id=fields.text("id"),
        title=fields.text("title"),
        people=fields.text("people"),
        intervention=fields.text("intervention"),
        indicator=indicator if counted else "",
        because="" if counted else fields.text("because"),
        indicator_outcome=fields.text("indicator_outcome"),
        effect=fields.text("effect"),
        outcome=fields.text("outcome"),
        direction_better=fields.text("direction_better", allowed=("higher", "lower")),
        gained=fields.text("gained"),
        scale_outcome=fields.text("scale_outcome", ""),
        populations=fields.words("populations"),
        comparators=fields.words("comparators"),
        within_months=None if months == "any" else _months(fields),
        time_reason=fields.text("time_reason"),
        eligible_share=_share(fields, "eligible_share") if counted else None,
        reach=_share(fields, "reach") if counted else None,
        baseline=_share(fields, "baseline") if counted else None,
    )
    fields.done()
    if counted and indicator not in catalogue.indicators():
        raise fields.refuse(
            "indicator", "must be an indicator", nearest(indicator, catalogue.indicators())
        )
    return found


def _months(fields: Fields) -> int:
    months = fields.integer("within_months") or 0
    if months < 1:
        raise fields.refuse("within_months", "must be 1 or more, or any")
    return months


def _share(fields: Fields, key: str) -> Share:
    inside = fields.inside(key)
    found = Share(
        basis=inside.text("basis"),
        value=inside.number("value", None),
        dataset=inside.text("dataset", ""),
        treatment=inside.text("treatment", ""),
    )
    inside.done()
    if found.value is None and not found.dataset:
        raise inside.refuse("value", "must be a number, or a dataset must be named")
    if found.dataset and not found.treatment:
        raise inside.refuse("treatment", "must be given for a dataset")
    if found.value is not None and not 0 < found.value <= 1:
        raise inside.refuse("value", "must lie between 0 and 1, and not be 0")
    if key == "baseline" and found.value == 1:
        raise inside.refuse("value", "must be below 1, so that somebody can gain")
    return found


def _entry(fields: Fields, source: str) -> Entry:
    stated = {key: str(value) for key, value in fields.data.items()}
    asks = next((stated[key] for key in ("measure", "question", "check") if key in stated), "")
    known = ("id", "name", "source", "measure", "question", "check")
    return Entry(
        id=fields.text("id"),
        name=fields.text("name"),
        asks=asks,
        source=stated.get("source", source),
        more={key: value for key, value in stated.items() if key not in known},
    )


def _refuse_repeats(fields: Fields, key: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise fields.refuse(key, f"must have ids of their own; {id!r} comes twice")
        seen.add(id)
