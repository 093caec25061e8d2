"""New definition files: every key with a line of help, what is to be filled in marked TO DO.

A marked line says what to write there, and `evidence.data.documents` refuses a file that still
holds one, so that a half-filled definition is told by its lines and never becomes a page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evidence.data import catalogue, practice
from evidence.data.definitions import Column, Table
from evidence.data.documents import TO_DO, read
from evidence.data.files import root
from evidence.errors import CatalogueError
from evidence.vocabulary import DESIGNS, DIRECTIONS

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
PERIOD_COLUMNS = ("period", "year", "month")

HELP = {
    "id": "name of this file and of the page",
    "title": "name of the page",
    "short": "the name where room is scarce, at most 28 characters",
    "question": "what the page answers: Do London areas differ in …?",
    "measure": "proportion (numerator within denominator) or rate",
    "multiplier": "100 for per cent, 1000 for per 1,000",
    "unit": "as printed after a figure: %, per 1,000 adults",
    "numerator": "what is counted",
    "denominator": "out of what",
    "exclusions": "who is left out, of numerator or denominator",
    "direction_better": "which way is better: higher, lower or none",
    "standardise_by": "what a fair comparison would allow for, such as [deprivation, age]; or []",
    "lever": "what may move the figure",
    "evidence": "pages of this report on what may move it, by id; or []",
    "tags": "S1 to S9, L1 to L10, P1 to P9 of data/definitions/frameworks.yml, and theme words",
    "why_it_matters": "a sentence, and the source that says it",
    "limits": "what the figure does not show, one sentence each",
    "standard": "none, or the national standard: {value: 50, text: …, source: …}",
    "owner_role": "who answers for the figure, or not stated",
    "next_review": "when the definition is looked at again, or not stated",
    "periods": "those in which the source has figures of all areas, oldest first",
    "default_period": "the one that the page shows, mostly the latest",
    "cautions": "doubts printed with the figures: [{kind: …, text: …, periods: […]}]; or []",
}
PART_HELP = {
    "label": "in words, as printed on the page",
    "dataset": "folder below data/raw",
    "table": "its file, without .csv",
    "where": "only rows with these values: {column: value}",
    "measures": "values of the column measure that are added up; or []",
    "minus": "values of the column measure that are taken off; or []",
    "value": "column of the figures",
    "area": "column of the area codes",
    "period": "column of the period",
    "period_map": "period taken in place of one without figures: {2019-20: 2018-19}; or {}",
}
CASE_HELP = {
    "id": "name of this file",
    "title": "what it was and where, as it stands in the directory",
    "place": "borough, town or county",
    "boroughs": "codes of London boroughs in data/definitions/areas.yml; [] outside London",
    "model": "what was done, in a sentence; what the source does not say is not stated here either",
    "lessons": "L1 to L10 of data/definitions/frameworks.yml, at least one",
    "steps": "S1 to S9, or []",
    "principles": "P1 to P9, or []",
    "started": "when it began, or not stated",
    "status": "whether it still runs",
    "design": "how it was judged; the lowest that fits where the source does not say",
    "comparator": "what it was set against, or none",
    "population": "whom it was for, or not stated",
    "n": "how many people were studied (n_of: where others than people are counted), or not stated",
    "outcomes": "each outcome that the source reports, null and harmful ones too; or []",
    "cost": "with currency, per what, or not stated",
    "contact_role": "who could be asked, a role and no name; or not stated",
    "transferability": "what would and would not carry over elsewhere",
    "source": "author, title or journal, year; an address only if the source names one",
    "accessed": "date on which you read it, or not stated",
}
OUTCOME_HELP = {
    "id": "short name, such as admissions",
    "outcome": "what was counted, over what time",
    "reported_by": "who reports it",
    "direction_better": "which way is better; none where neither is",
    "measure": "in what the figure is",
    "unit": "as printed after the figure, or empty",
    "estimate": "the figure as printed; or not estimable, with a line 'because: …'",
    "interval": "[low, high] as printed, or not stated; it must fit the estimate on its scale",
    "decimals": "digits printed after the point: 0, 1, 2",
    "note": "what else must be known, such as from where to where it went",
}
ASIDE = ("measures", "minus", "period_map")
"""Keys of a part that are written only where the table or the copied definition uses them."""


def new_indicator(id: str, *, like: str = "", dataset: str = "") -> Path:
    """Write the file of a new indicator, to be filled in, and return its path.

    Parameters
    ----------
    id
        Name of the indicator: lower-case letters, digits and hyphens.
    like
        An indicator to copy; what speaks of that indicator alone is marked to be written anew.
    dataset
        A dataset whose table, columns and codes are filled in.

    Raises
    ------
    CatalogueError
        If the id is not of that form or taken, or `like` or `dataset` cannot serve; nothing is
        written then.
    """
    path = root() / "data" / "definitions" / "indicators" / f"{id}.yml"
    _refuse_id(id, path, "indicator")
    if like and dataset:
        raise CatalogueError(
            "a new indicator is made like another one or for a dataset; both were given. "
            "Drop one of the two."
        )
    values = _copied(like) if like else _blank(dataset)
    head = f"A new indicator, copied from {like}: read every line" if like else "A new indicator"
    _write(path, [f"# {head}. Fill in each {TO_DO}, then: evidence build", *_lines(id, values)])
    return path


def new_case(id: str) -> Path:
    """Write the file of a new documented site, to be filled in, and return its path.

    Every key that a case must state is there; the choices among words are listed.

    Parameters
    ----------
    id
        Name of the case: lower-case letters, digits and hyphens.

    Raises
    ------
    CatalogueError
        If the id is not of that form or taken; nothing is written then.
    """
    path = root() / "data" / "raw" / "practice" / f"{id}.yml"
    _refuse_id(id, path, "case")
    head = f"# A documented site. Fill in each {TO_DO}, then: evidence build"
    _write(path, [head, *_case_lines(id)])
    return path


def to_do_lines(path: Path) -> list[int]:
    """Return the numbers of the lines of a file that are marked to be filled in."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [n for n, line in enumerate(lines, start=1) if f'"{TO_DO}' in line]


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(lines) + "\n")


def _refuse_id(id: str, path: Path, what: str) -> None:
    if not ID.fullmatch(id):
        better = "-".join(re.findall(r"[a-z0-9]+", id.lower()))
        do = f"Write it as {better!r}." if better else "Choose one such as 'crisis-response'."
        raise CatalogueError(
            f"an id must be lower-case letters, digits and hyphens; got {id!r}. {do}"
        )
    if path.exists():
        raise CatalogueError(
            f"a new {what} must have an id of its own; {path.relative_to(root()).as_posix()} "
            "is there already. Edit that file or choose another id."
        )


def _do(what: str, was: Any = "") -> str:
    return f"{TO_DO}: {what}" + (f" (was: {was})" if was else "")


def _choose(names: Iterable[str]) -> str:
    known = list(names)
    return known[0] if len(known) == 1 else _do(_one_of(known))


def _copied(like: str) -> dict[str, Any]:
    """Return an indicator's values with those marked that cannot hold for another one."""
    catalogue.definition(like)
    path = root() / "data" / "definitions" / "indicators" / f"{like}.yml"
    fields = read(path)
    values: dict[str, Any] = {key: fields.plain(key) for key in fields.data}
    for key in ("title", "short", "question"):
        values[key] = _do(HELP[key], values[key])
    why = values["why_it_matters"]
    values["why_it_matters"] = {
        "text": _do("why it matters, as a source says", why["text"]),
        "source": _do("that source", why["source"]),
    }
    values["limits"] = [_do(HELP["limits"], " ".join(values["limits"]))]
    values["standard"] = "none"
    for caution in values.get("cautions", []):
        caution["text"] = _do("whether this doubt holds here too", caution["text"])
    _mark_part(values["numerator"], values["denominator"])
    return values


def _mark_part(numerator: dict[str, Any], denominator: dict[str, Any]) -> None:
    """Mark what is counted, and the same choice where the denominator makes it too."""
    columns = _columns(numerator["dataset"], numerator["table"])
    numerator["label"] = _do(PART_HELP["label"], numerator["label"])
    if numerator.get("measures"):
        known = columns["measure"].allowed
        numerator["measures"] = [_do(_one_of(known), ", ".join(numerator["measures"]))]
        return
    where = dict(numerator.get("where", {}))
    chosen = {name: value for name, value in where.items() if isinstance(value, str)}
    marked = {name: _do(_one_of(columns[name].allowed), was) for name, was in chosen.items()}
    numerator["where"] = {**where, **marked}
    if not marked:
        numerator["value"] = _do(PART_HELP["value"], numerator["value"])
    if denominator.get("where") == where:
        denominator["where"] = dict(numerator["where"])
        denominator["label"] = _do(PART_HELP["label"], denominator["label"])


def _blank(dataset: str) -> dict[str, Any]:
    part = _part_of(dataset) if dataset else _part_unknown()
    periods = ", ".join(catalogue.dataset(dataset).periods) if dataset else ""
    values: dict[str, Any] = {key: _do(text) for key, text in HELP.items()}
    return {
        **values,
        "multiplier": 100,
        "unit": "%",
        "numerator": part,
        "denominator": {**part},
        "direction_better": _choose(DIRECTIONS),
        "standardise_by": [],
        "evidence": [],
        "tags": [_do(HELP["tags"])],
        "why_it_matters": {"text": _do("why it matters"), "source": _do("the source that says so")},
        "limits": [_do(HELP["limits"])],
        "standard": "none",
        "owner_role": "not stated",
        "next_review": "not stated",
        "periods": [_do(HELP["periods"] + (f"; of {periods}" if periods else ""))],
        "cautions": [],
    }


def _part_unknown() -> dict[str, Any]:
    part: dict[str, Any] = {key: _do(PART_HELP[key]) for key in PART_HELP if key not in ASIDE}
    return {**part, "dataset": _choose(_with_ccgs()), "where": {}}


def _part_of(dataset: str) -> dict[str, Any]:
    tables = [table for table in catalogue.dataset(dataset).tables if _area_column(table)]
    if not tables:
        raise CatalogueError(
            f"an indicator must be made of figures of London CCGs; dataset {dataset!r} has none. "
            f"Choose {_one_of(_with_ccgs())}."
        )
    table = tables[0]
    area = _area_column(table)
    period = next((name for name in PERIOD_COLUMNS if name in table.key), "")
    part = {
        "label": _do(PART_HELP["label"]),
        "dataset": dataset,
        "table": _choose(each.name for each in tables),
        "where": {column.name: _choose(_choices(column)) for column in _choosing(table, area)},
        "value": _choose(c.name for c in table.columns if c.type in ("integer", "number")),
        "area": area,
        "period": period or _do(PART_HELP["period"]),
    }
    measures = {column.name: column.allowed for column in table.columns}.get("measure")
    return {**part, "measures": [_do(_one_of(measures))]} if measures else part


def _with_ccgs() -> list[str]:
    return [
        id
        for id in catalogue.datasets()
        if any(_area_column(table) for table in catalogue.dataset(id).tables)
    ]


def _area_column(table: Table) -> str:
    found = (column.name for column in table.columns if "ccg" in column.of.get("areas", ()))
    return next(found, "")


def _choosing(table: Table, area: str) -> Iterator[Column]:
    """Yield the columns by which rows are chosen: flags, and texts with a list of values."""
    for column in table.columns:
        if column.name not in (area, "measure", "status", *PERIOD_COLUMNS) and _choices(column):
            yield column


def _choices(column: Column) -> Sequence[str]:
    return ("true", "false") if column.type == "flag" else column.allowed


def _columns(dataset: str, table: str) -> dict[str, Column]:
    return {column.name: column for column in catalogue.dataset(dataset).table(table).columns}


def _one_of(names: Iterable[str]) -> str:
    listed = list(names)
    return f"one of {', '.join(listed)}" if listed else "a value of that column"


def _lines(id: str, values: Mapping[str, Any]) -> Iterator[str]:
    for key, text in HELP.items():
        value: Any = id if key == "id" else values.get(key, [])
        yield f"\n# {text}"
        if key in ("numerator", "denominator"):
            yield f"{key}:"
            yield from _part_lines(value)
        elif isinstance(value, Mapping):
            yield f"{key}:"
            yield from (f"  {name}: {_flow(item)}" for name, item in value.items())
        else:
            yield f"{key}: {_flow(value)}"


def _case_lines(id: str) -> Iterator[str]:
    """Yield the lines of a new case: the stated words where there is a choice, else the help."""
    values: dict[str, Any] = {key: _do(text) for key, text in CASE_HELP.items()}
    values |= {
        "id": id,
        "status": _do(_one_of(practice.STATUSES)),
        "design": _do(_one_of(DESIGNS)),
        **{key: [_do(CASE_HELP[key])] for key in ("boroughs", "lessons", "steps", "principles")},
        **dict.fromkeys(("started", "cost", "contact_role"), practice.NOT_STATED),
    }
    for key, text in CASE_HELP.items():
        yield f"\n# {text}"
        if key == "outcomes":
            yield "outcomes:"
            yield from _outcome_lines()
        else:
            yield f"{key}: {_flow(values[key])}"


def _outcome_lines() -> Iterator[str]:
    values: dict[str, Any] = {key: _do(text) for key, text in OUTCOME_HELP.items()}
    values |= {
        "reported_by": _do(_one_of(practice.REPORTERS)),
        "direction_better": _do(_one_of(DIRECTIONS)),
        "measure": _do(_one_of(practice.SCALES)),
        "unit": "",
    }
    start = "  -"
    for key, text in OUTCOME_HELP.items():
        yield f"    # {text}"
        yield f"{start} {key}: {_flow(values[key])}"
        start = "   "
    yield "    # also, where needed: design, scale (natural, log, asymmetric), because, effect"


def _part_lines(part: Mapping[str, Any]) -> Iterator[str]:
    for key, text in PART_HELP.items():
        if key in part:
            yield f"  # {text}"
            yield f"  {key}: {_flow(part[key])}"
        elif key in ASIDE:
            yield f"  # {key}: {text}"


def _flow(value: Any) -> str:
    """Return a value on one line: JSON, which is YAML too."""
    return json.dumps(value, ensure_ascii=False)
