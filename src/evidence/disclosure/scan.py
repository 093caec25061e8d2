"""What a result of restricted data says, searched for counts that the rule does not show.

The scan takes nothing on trust: every column and estimate of whole numbers is held to the rule
unless the result states that it counts no people, and so is every number in a sentence unless what
follows it is no person.  It finds what was shown by mistake; what can be worked out by adding up is
prevented before, by `evidence.disclosure.tables`.
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
THINGS = (
    "area",
    "bed",
    "column",
    "decile",
    "group",
    "indicator",
    "interval",
    "limit",
    "map",
    "month",
    "percentage point",
    "period",
    "point",
    "quarter",
    "row",
    "run",
    "service",
    "standard deviation",
    "studies",
    "study",
    "time",
    "window",
    "year",
)
"""What a number in a sentence may count without counting people."""
NUMBER = re.compile(r"(?<![\w.,/\N{MINUS SIGN}-])(\d{1,3}(?:,\d{3})+|\d+)(?![\w/]|[.,]\d|\s?%|-\d)")
SCALE = re.compile(r"(?:per|in|of every|rounded to|each by up to|level|base|threshold) $")
RATE = re.compile(r"^(?: [a-z]+)? (?:in|per|of every) \d")
"""What follows a number that is a rate, such as ``11 people in 100``."""
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
        said = [result.text, *(caution.text for caution in result.cautions)]
        found += [f"result {name!r}, {item}" for item in text_problems(said, rule)]
    return found


def table_problems(
    table: pd.DataFrame,
    rule: Rule,
    not_counts: Iterable[str] = NOT_COUNTS,
    multiplier: float = 100,
    *,
    printed: bool = False,
) -> Iterator[str]:
    """Yield what breaks the rule in a table, naming the column.

    Counts that are not shown as the rule has it; figures in rows whose count is left out; figures
    that are not those of the counts shown, and so were computed from others. A printed table shows
    rounded figures: of its columns that hold no counts by name, only small whole numbers count.
    """
    exempt = set(not_counts)
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
            yield f"column {name!r}: {wrong[0]:g} is no count as the rule shows it"
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
            yield f"estimate {estimate.key!r}: n {estimate.n:g} is no count as the rule shows it"
        if estimate.key in free or _is_no_person(estimate.unit):
            continue
        for end in (estimate.value, estimate.low, estimate.high):
            if end is not None and float(end).is_integer() and not rule.allows(abs(end)):
                yield f"estimate {estimate.key!r}: {end:g} is no count as the rule shows it"
                break


def _is_no_person(unit: str) -> bool:
    return "%" in unit or "per " in unit or any(thing in unit for thing in THINGS)


def text_problems(texts: Iterable[str], rule: Rule) -> Iterator[str]:
    """Yield what breaks the rule in sentences: small counts, and counts that were not rounded."""
    for text in texts:
        for match in NUMBER.finditer(text):
            value = float(match[1].replace(",", ""))
            before, after = text[: match.start()], text[match.end() :]
            if rule.allows(value) or SCALE.search(before) or _counts_things(after):
                continue
            if value <= rule.threshold or _counts_people(after):
                yield f"text {_around(text, match)!r}: {value:g} is no count as the rule shows it"


def _counts_things(after: str) -> bool:
    """Return whether what follows a number is no person: ``of 32 areas``, ``people in 100``."""
    if RATE.match(after):
        return True
    words = re.sub(r"^ (?:of|to|and|or) [\d,.]+", "", after.lower())
    words = " ".join(words.replace("-", " ").split()[:3])
    return any(re.search(rf"\b{thing}s?\b", words) for thing in THINGS)


def _counts_people(after: str) -> bool:
    words = re.findall(r"[a-z]+", after.lower())[:3]
    return any(word in COUNTS[:-1] or word in ("person", "patient", "adults") for word in words)


def _around(text: str, match: re.Match[str]) -> str:
    return text[max(match.start() - 20, 0) : match.end() + 25].strip()


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
        yield from text_problems(reader.texts, rule)
        for table in reader.tables():
            yield from table_problems(table, rule, printed=True)
    else:
        said = _joined(data.get("text/plain", "")) or _joined(output.get("text", ""))
        yield from text_problems([said], rule)


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
            width = len(rows[0])
            body = [row for row in rows[1:] if len(row) == width]
            columns = {
                str(name).strip() or f"column {place + 1}": _numbers([row[place] for row in body])
                for place, name in enumerate(rows[0])
            }
            numbered = [row[0].strip() for row in body] == [*map(str, range(len(body)))]
            yield pd.DataFrame(columns).iloc[:, int(numbered and not rows[0][0].strip()) :]


def _numbers(cells: list[str]) -> pd.Series:
    plain = [cell.strip().replace(",", "").replace("\N{MINUS SIGN}", "-") for cell in cells]
    known = pd.Series(
        [None if cell in ("", "NaN", "<NA>") else cell for cell in plain], dtype="str"
    )
    values = pd.to_numeric(known, errors="coerce")
    return values if values.notna().sum() == known.notna().sum() else known
