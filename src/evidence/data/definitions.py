"""What definition files state, as frozen records, and the words that they may use.

Each class is the shape of one YAML file, or of one mapping in it; `evidence.data.catalogue`
reads the files into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evidence.data.documents import nearest
from evidence.errors import CatalogueError

COLUMN_TYPES = ("text", "integer", "number", "flag")
STATUSES = ("ok", "suppressed", "null", "missing")
LICENCES = (
    "OGL-UK-3.0",
    "facts-with-citation",
    "CC0-1.0",
    "CC-BY-4.0",
    "Apache-2.0",
    "MIT",
)
DISCLOSURES = ("published", "restricted")
AREA_KINDS = ("ccg", "merged_ccg", "borough", "icb", "region", "country")
AREA_CODES = ("code", "ons_code", "either")
"""Codes by which a table may name areas."""
RULES = ("numerator_not_over_denominator", "value_only_if_ok", "part_not_over_whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A caution stated in a definition file: its kind, its words, the periods it is about."""

    kind: str
    text: str
    periods: tuple[str, ...] = ()

    def about(self, period: str) -> bool:
        """Return whether the doubt is about this period (no periods: about all)."""
        return not self.periods or period in self.periods


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    `type` is text, integer, number or flag (true/false in the file).
    `empty` allows empty cells, `minimum`, `maximum` and `allowed` bound the others.
    `of` says whose codes it holds: ``{areas: [ccg, …], by: code | ons_code | either}`` or
    ``{table: groups, column: group_code}``.
    `status_in` names the column that receives the status of cells holding a suppression code.
    """

    name: str
    type: str
    unit: str = ""
    label: str = ""
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    empty: bool = False
    of: Mapping[str, Any] = field(default_factory=dict)
    status_in: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One CSV file of a dataset: columns in their order, key, number of rows, hash and rules.

    `plausibility` holds the settings of checks that raise doubts, not errors.
    """

    file: str
    sha256: str
    rows: int
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rules: tuple[Mapping[str, Any], ...] = ()
    plausibility: tuple[Mapping[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The file without its ending, as `load` takes it."""
        return self.file.removesuffix(".csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A folder of data/raw: what its tables are, whose, under which licence, with which limits.

    `disclosure_rule` holds the threshold and rounding base of restricted data, and is empty for
    published data.
    `rounding` gives the unit to which counts were rounded by kind of area (1: exact), empty if
    nothing was rounded; `suppression` the status that each raw code stands for.
    `periods` are listed; a long even series gives `first_period` and `last_period` only.
    """

    id: str
    title: str
    publisher: str
    publication: str
    url: str
    licence: str
    attribution: str
    disclosure: str
    disclosure_rule: Mapping[str, int]
    published: str
    accessed: str
    grain: str
    periods: tuple[str, ...]
    first_period: str
    last_period: str
    rounding: Mapping[str, int]
    suppression: Mapping[str, str]
    left_out: str
    how_to_check: str
    limits: tuple[str, ...]
    cautions: tuple[Doubt, ...]
    tables: tuple[Table, ...]

    def table(self, name: str | None = None) -> Table:
        """Return a table by name, or the only one.

        Raises
        ------
        CatalogueError
            If there is no such table, or several and none was named.
        """
        names = [table.name for table in self.tables]
        if name is None and len(names) == 1:
            return self.tables[0]
        if name is None:
            raise CatalogueError(
                f"dataset {self.id!r} has {len(names)} tables ({', '.join(names)}); "
                "none was named. Name one of them."
            )
        for table in self.tables:
            if table.name == name:
                return table
        raise CatalogueError(
            f"a table of dataset {self.id!r} was asked for; there is no {name!r}. "
            f"{nearest(name, names)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Numerator or denominator of an indicator: which rows of which table make it.

    Of the rows that satisfy `where`, the value is taken of the one row for an area and period;
    with `measures` it is the sum over the rows whose `measure` is named there, less those named
    in `minus`.
    `period_map` replaces a period for which the source has no value by another one.
    """

    label: str
    dataset: str
    table: str
    where: Mapping[str, Any]
    measures: tuple[str, ...]
    minus: tuple[str, ...]
    value: str
    area: str
    period: str
    period_map: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """A national standard for an indicator, in its unit, with its source."""

    value: float
    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """One YAML file of data/definitions/indicators: what is counted, over what, and why.

    `measure` is proportion (numerator within denominator) or rate; figures are
    numerator / denominator x `multiplier`, in `unit`.
    `evidence` names the pages of this report on what may move the indicator.
    """

    id: str
    title: str
    short: str
    question: str
    measure: str
    multiplier: float
    unit: str
    numerator: Part
    denominator: Part
    exclusions: str
    direction_better: str
    standardise_by: tuple[str, ...]
    lever: str
    evidence: tuple[str, ...]
    tags: tuple[str, ...]
    why_it_matters: str
    why_source: str
    limits: tuple[str, ...]
    standard: Standard | None
    owner_role: str
    next_review: str
    periods: tuple[str, ...]
    default_period: str
    cautions: tuple[Doubt, ...]

    def described(self) -> dict[str, str]:
        """Return what is counted and why, part by part, in words for a reader."""
        better = {"none": "no direction is better"}.get(self.direction_better)
        return {
            "Numerator": self.numerator.label,
            "Denominator": self.denominator.label,
            "Left out": self.exclusions,
            "Better": better or self.direction_better,
            "National standard": self.standard.text if self.standard else "none stated",
            "What may move it": self.lever,
            "Why it matters": f"{self.why_it_matters} ({self.why_source})",
            "Limits": " ".join(self.limits),
            "Owner": self.owner_role,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A place: CCG, merged CCG, borough, integrated care board, region or country.

    `boroughs` are the codes of the boroughs that a health area covers (wholly or in part).
    `row` and `col` place a borough on the tile grid, counted from 1 at the top left.
    `abolished` is an ISO date; `successor` the code of the area that took over.
    """

    code: str
    ons_code: str
    name: str
    full_name: str
    kind: str
    boroughs: tuple[str, ...] = ()
    icb_code: str = ""
    icb_name: str = ""
    row: int | None = None
    col: int | None = None
    from_date: str = ""
    abolished: str = ""
    successor: str = ""
    note: str = ""

    def described(self, successor: Area | None = None) -> dict[str, str]:
        """Return what the area was and what took its place, part by part, in words.

        Parameters
        ----------
        successor
            The area that took over, for its name.
        """
        said = {
            "What it covered": self.note,
            "Taken over by": successor.full_name if successor else "not stated",
            "Today's integrated care board": self.icb_name,
            "Codes": f"{self.code} (NHS), {self.ons_code} (Office for National Statistics)",
        }
        return {name: text for name, text in said.items() if text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """A list of ideas by which the workbook is tagged: steps, lessons or principles.

    `names` maps each id (S1, L3, P9) to its name.
    """

    id: str
    source: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What a review set out to do: question, outcomes, primary analysis and its alternatives.

    `outcomes` are mappings with id, label, measure, direction_better and
    minimal_important_difference (a number, or None if not stated); `primary` the settings of the
    primary analysis; `multiverse` mappings with factor, choices and reason; `conclusion`
    mappings with id and rule.
    """

    id: str
    question: str
    population: str
    intervention: str
    comparator: str
    outcomes: tuple[Mapping[str, Any], ...]
    primary: Mapping[str, Any]
    multiverse: tuple[Mapping[str, Any], ...]
    conclusion: tuple[Mapping[str, Any], ...]
    search_date: str
    months_until_next_search: int | None
    registration: str
    risk_of_bias_tool: str
    sources: tuple[str, ...]
    limits: tuple[str, ...]

    def described(self) -> dict[str, str]:
        """Return what was asked and how, part by part, in words for a reader."""
        outcome = self.outcomes[0]
        difference = outcome["minimal_important_difference"]
        months = self.months_until_next_search
        return {
            "Population": self.population,
            "Intervention": self.intervention,
            "Comparator": self.comparator,
            "Outcome": f"{outcome['label']} ({outcome['measure']})",
            "Better": str(outcome["direction_better"]),
            "Difference that matters": "not stated" if difference is None else str(difference),
            "Risk of bias": self.risk_of_bias_tool,
            "Last search": self.search_date,
            "Next search": "not stated" if months is None else f"after {months} months",
            "Limits": " ".join(self.limits),
        }
