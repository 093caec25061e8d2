"""What a result of restricted data says, searched for counts that the rule does not show.

The scan takes nothing on trust: every column and estimate of whole numbers is held to the rule
unless the result states that it counts no people, and so is every number in a sentence unless what
follows it is no person.  It finds what was shown by mistake; what can be worked out by adding up is
prevented before, by `evidence.disclosure.tables`.  What it says names the place and no count,
because a page that fails shows its error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd

from evidence.disclosure.rules import Rule
from evidence.disclosure.tables import SUPPRESSED
from evidence.results import Result

COUNTS = (
    "admissions",
    "cases",
    "contacts",
    "count",
    "deaths",
    "denominator",
    "detentions",
    "events",
    "n",
    "numerator",
    "observed",
    "patients",
    "people",
    "persons",
    "population",
    "referrals",
)
"""Columns that hold counts of people or events, whatever their values look like."""
NOT_COUNTS = (
    "col",
    "decile",
    "denominator_rounding",
    "month",
    "quantile",
    "quintile",
    "rank",
    "rounding",
    "row",
    "segment",
    "stretch",
    "year",
)
"""Columns of whole numbers that count no people."""
LABELS = (
    "area",
    "area_code",
    "borough",
    "code",
    "group",
    "group_code",
    "id",
    "label",
    "name",
    "period",
    "place",
    "provider",
    "service",
    "site",
)
"""Columns of text that say which row it is: ``Area 3`` counts nobody."""
THINGS = re.compile(
    r"(?:areas?|beds?|columns?|deciles?|groups?|indicators?|intervals?|limits?|maps?|months?|"
    r"percentage points?|periods?|points?|quarters?|rows?|runs?|services?|standard deviations?|"
    r"studies|study|times?|windows?|years?)\b"
)
"""What a number in a sentence may count without counting people."""
PEOPLE = re.compile(
    r"(?:admissions?|adults?|boys?|carers?|cases?|children|contacts?|counts?|courses?|deaths?|"
    r"detentions?|events?|girls?|inpatients?|men|observed|patients?|people|persons?|referrals?|"
    r"residents?|users?|women|admitted|detained|died|discharged|recovered)\b"
)
"""What a number in a sentence counts if it counts people, or what happened to them."""
NAMED = re.compile(rf"\b(?:{THINGS.pattern}) $", re.IGNORECASE)
"""What stands before a number that is a name, such as ``Area 3``."""
STOPS = re.compile(r"(?:a|an|at|by|each|every|for|from|in|of|on|per|that|the|this|with)\b")
"""Words after which a noun is no longer what the number before them counts: ``3 a year``."""
ROUND = r"1(?:,?0|0)+\b(?![.,]\d)"
NOT_NUMBERS = re.compile(r"\b\d{4}/\d{2,4}\b|\b24/7\b")
NUMBER = re.compile(
    r"(?<![\w.,\N{MINUS SIGN}-])(\d{1,3}(?:,\d{3})+|\d+)(\.0+)?(?![\w]|[.,]\d|\s?%|-\d)"
)
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)
SCALE = re.compile(
    r"(?:per|\d(?: [a-z]+)? in|of every|rounded to|each by up to|level|base|threshold) $"
)
RATE = re.compile(rf"^(?: [a-z]+)? (?:in|per|of every) {ROUND}")
"""What follows a number that is a rate, such as ``11 people in 100``; 3 in 40 are counts."""
SEARCHED = ("text/html", "text/plain")
READ_ALOUD = ("alt", "aria-label", "title")
NOT_SHOWN = "a count is not as the rule shows it"
RELATIVE = 1e-9


def problems(results: Mapping[str, Result], rule: Rule) -> list[str]:
    """Return what in results of restricted data breaks the rule, naming result and column.

    Parameters
    ----------
    results
        Results by name.
    rule
        The rule of the data that they were computed from.
    """
    found = []
    for name, result in results.items():
        stated = result.settings.get("disclosure") or {}
        if (stated.get("threshold"), stated.get("base")) != (rule.threshold, rule.base):
            found.append(
                f"result {name!r}: its settings do not state the disclosure rule (threshold "
                f"{rule.threshold}, base {rule.base})"
            )
            continue
        free = (*NOT_COUNTS, *stated.get("not_counts", ()))
        scale = float(result.settings.get("multiplier") or 100)
        found += [
            f"result {name!r}, {item}" for item in table_problems(result.table, rule, free, scale)
        ]
        found += [f"result {name!r}, {item}" for item in _estimate_problems(result, rule, free)]
        found += [f"result {name!r}, {item}" for item in _setting_problems(result.settings, rule)]
        said = [result.text, result.reason, *(caution.text for caution in result.cautions)]
        said += [text for one in result.estimates for text in (one.outcome, one.population)]
        found += [f"result {name!r}, {item}" for item in text_problems(said, rule)]
    return found


def _setting_problems(settings: Mapping[str, Any], rule: Rule) -> Iterator[str]:
    for name, value in settings.items():
        inside = value if isinstance(value, (list, tuple)) else [value]
        for one in inside:
            if isinstance(one, Mapping):
                yield from _setting_problems(one, rule)
            elif name in COUNTS and _is_number(one) and not rule.allows(one):
                yield f"setting {name!r}: {NOT_SHOWN}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def table_problems(
    table: pd.DataFrame,
    rule: Rule,
    not_counts: Iterable[str] = NOT_COUNTS,
    multiplier: float = 100,
    *,
    printed: bool = False,
) -> Iterator[str]:
    """Yield what breaks the rule in a table, naming the column.

    Counts that are not shown as the rule has it, in numbers or in words; figures in rows whose
    count is left out; figures that are not those of the counts shown, and so were computed from
    others. A printed table shows rounded figures: of its columns that hold no counts by name, only
    small whole numbers count.
    """
    exempt = set(not_counts)
    for name in table.columns.difference(table.select_dtypes(["number", "bool"]).columns):
        if name not in exempt and name not in LABELS:
            cells = table[name].dropna().astype("str")
            yield from (f"column {name!r}, {item}" for item in text_problems(cells, rule))
    derived = {"value"} if {"numerator", "denominator", "value"} <= set(table.columns) else set()
    numbers = table.select_dtypes("number")
    for name in numbers.columns:
        values = numbers[name].to_numpy(dtype=float, na_value=np.nan)
        values = values[np.isfinite(values)]
        is_count = name in COUNTS or bool((values == np.floor(values)).all())
        if name in exempt or name in derived or not is_count:
            continue
        certain = name in COUNTS or not printed
        wrong = [
            value
            for value in values
            if not rule.allows(value) and (certain or 1 <= value <= rule.threshold)
        ]
        if wrong:
            yield f"column {name!r}: {NOT_SHOWN}"
    yield from _figures_without_counts(table, numbers, exempt)
    if derived and not printed:
        yield from _figures_of_other_counts(table, multiplier)


def _figures_without_counts(
    table: pd.DataFrame, numbers: pd.DataFrame, exempt: set[str]
) -> Iterator[str]:
    if "status" in table.columns:
        hidden = (table["status"] == SUPPRESSED).to_numpy()
    else:
        hidden = np.zeros(len(table), dtype=bool)
    for name in {"numerator", "count", "observed"} & set(numbers.columns):
        hidden = hidden | numbers[name].isna().to_numpy()
    for name in numbers.columns:
        if name not in exempt and name not in COUNTS and numbers.loc[hidden, name].notna().any():
            yield f"column {name!r}: a figure stands in a row whose count is left out"


def _figures_of_other_counts(table: pd.DataFrame, multiplier: float) -> Iterator[str]:
    x, n, value = (
        table[name].to_numpy(dtype=float, na_value=np.nan)
        for name in ("numerator", "denominator", "value")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = x / n * multiplier
    apart = np.isfinite(value) & ~np.isclose(value, shown, rtol=RELATIVE, atol=0)
    if apart.any():
        yield "column 'value': a figure is not that of the counts shown beside it"


def _estimate_problems(result: Result, rule: Rule, free: Iterable[str]) -> Iterator[str]:
    for estimate in result.estimates:
        if estimate.n is not None and not rule.allows(estimate.n):
            yield f"estimate {estimate.key!r}: n, {NOT_SHOWN}"
        if estimate.key in free or _is_no_person(estimate.unit):
            continue
        for end in (estimate.value, estimate.low, estimate.high):
            if end is not None and float(end).is_integer() and not rule.allows(abs(end)):
                yield f"estimate {estimate.key!r}: {NOT_SHOWN}"
                break


def _is_no_person(unit: str) -> bool:
    if "%" in unit or re.search(rf"\bper {ROUND}", unit):
        return True
    return not _counts_people(f" {unit}") and ("per " in unit or bool(THINGS.search(unit)))


def text_problems(texts: Iterable[str], rule: Rule) -> Iterator[str]:
    """Yield what breaks the rule in sentences: small counts, and counts that were not rounded."""
    for written in texts:
        text = NOT_NUMBERS.sub(" ", written)
        for match in NUMBER.finditer(text):
            value = float(match[1].replace(",", ""))
            before, after = text[: match.start()], text[match.end() :]
            if rule.allows(value) or SCALE.search(before) or _counts_things(after):
                continue
            people = _counts_people(after) and not _is_year(before, match[1])
            small = value <= rule.threshold and not match[2] and not NAMED.search(before)
            if people or small:
                yield f"text {_around(text, match)!r}: {NOT_SHOWN}"
        for match in WORD.finditer(text):
            value, after = WORDS.index(match[0].lower()) + 1, text[match.end() :]
            if not rule.allows(value) and not RATE.match(after) and _counts_people(after):
                yield f"text {_around(text, match)!r}: {NOT_SHOWN}"


def _counts_things(after: str) -> bool:
    """Return whether what follows a number is no person: ``of 32 areas``, ``people in 100``."""
    return bool(RATE.match(after)) or _first_noun(after) is THINGS


def _counts_people(after: str) -> bool:
    return _first_noun(after) is PEOPLE


def _first_noun(after: str) -> re.Pattern[str] | None:
    """Return which kind of noun comes first of the three words that follow a number."""
    words = re.sub(r"^ (?:of|to|and|or)(?: the)? [\d,.]+", "", after.lower())
    words = re.sub(r"^ of (?:the|these|its) (?=(?:\w+ )?\w+s\b)", " ", words)
    if not words.startswith((" ", "-")):  # the number ends its clause
        return None
    following = words.replace("-", " ").split()[:3]
    for place in range(len(following)):
        rest = " ".join(following[place:])
        for kind in (THINGS, PEOPLE):
            if kind.match(rest):
                return kind
        if STOPS.match(rest):
            return None
    return None


def _is_year(before: str, digits: str) -> bool:
    return bool(re.search(r"\b(?:in|since|from|until|of) $", before, re.IGNORECASE)) and bool(
        re.fullmatch("(?:19|20)\\d\\d", digits)
    )


def _around(text: str, match: re.Match[str]) -> str:
    """Return the words around a number without any: a page that fails shows its error."""
    before, after = text[max(match.start() - 20, 0) : match.start()], text[match.end() :][:25]
    return WORD.sub("…", re.sub(r"\d+", "…", f"{before}…{after}")).strip()


def notebook_problems(notebook: Mapping[str, Any], rule: Rule) -> Iterator[str]:
    """Yield what breaks the rule in the outputs of an executed notebook, naming the cell."""
    for number, cell in enumerate(notebook.get("cells", []), start=1):
        for output in cell.get("outputs", []):
            found = [*_output_problems(output, rule)]
            yield from (f"cell {number}, {item}" for item in found)


def _output_problems(output: Mapping[str, Any], rule: Rule) -> Iterator[str]:
    data = output.get("data", {})
    page = _joined(data.get("text/html", ""))
    if page:
        reader = _Tables()
        reader.feed(page)
        yield from text_problems([*reader.texts, *reader.loose_cells()], rule)
        for table in reader.tables():
            yield from table_problems(table, rule, printed=True)
    else:
        said = _joined(data.get("text/plain", "")) or _joined(output.get("text", ""))
        yield from text_problems([said], rule)
    other = [kind for kind in data if kind.startswith("text/")]
    said_otherwise = [_joined(data[kind]) for kind in other if kind not in SEARCHED]
    yield from text_problems(said_otherwise, rule)


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)


class _Tables(HTMLParser):
    """Collects the tables of a page as rows of cells, and the words outside them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.grids: list[list[list[str]]] = []
        self.texts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value for name, value in attrs if name in READ_ALOUD and value]
        if tag == "table":
            self.grids.append([])
            self._inside = True
        elif tag == "tr" and self._inside:
            self.grids[-1].append([])
        elif tag in ("td", "th") and self._inside and self.grids[-1]:
            self.grids[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "table"

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.texts.append(data)
        elif self.grids[-1] and self.grids[-1][-1]:
            self.grids[-1][-1][-1] += data

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield tables whose columns of numbers are numbers."""
        for rows in self.grids:
            if len(rows) < 2:
                continue
            body = [row for row in rows[1:] if len(row) == len(rows[0])]
            names = [name.strip() or f"column {n}" for n, name in enumerate(rows[0], start=1)]
            columns = [_numbers([row[place] for row in body]) for place in range(len(names))]
            table = pd.concat(columns, axis=1, keys=_apart(names))
            numbered = [row[0].strip() for row in body] == [*map(str, range(len(body)))]
            yield table.iloc[:, int(numbered and not rows[0][0].strip()) :]

    def loose_cells(self) -> Iterator[str]:
        """Yield headings in words, and cells of rows that have not the columns of their heading."""
        for rows in self.grids:
            heading = rows[0] if rows else []
            yield from (name for name in heading if not name.strip().isdecimal())
            for row in rows[1:]:
                yield from row if len(row) != len(heading) else ()


def _apart(names: list[str]) -> list[str]:
    """Return names of which none comes twice, so that no column hides another."""
    return [
        f"{name} ({place})" if name in names[:place] else name for place, name in enumerate(names)
    ]


def _numbers(cells: list[str]) -> pd.Series:
    plain = [cell.strip().replace(",", "").replace("\N{MINUS SIGN}", "-") for cell in cells]
    known = pd.Series(
        [None if cell in ("", "NaN", "<NA>") else cell for cell in plain], dtype="str"
    )
    values = pd.to_numeric(known, errors="coerce")
    return values if values.notna().sum() == known.notna().sum() else known
