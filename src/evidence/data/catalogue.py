"""What the workbook knows about its data: datasets, indicators and areas, read from YAML.

Nothing here imports pandas, so that a command can refuse a wrong name at once.
The shape of each file is in the docstring of its class in `evidence.data.definitions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from evidence.data.definitions import (
    AREA_CODES,
    AREA_KINDS,
    COLUMN_TYPES,
    DISCLOSURES,
    LICENCES,
    RULES,
    STATUSES,
    Area,
    Column,
    Dataset,
    Doubt,
    Framework,
    Indicator,
    Part,
    Protocol,
    Standard,
    Table,
)
from evidence.data.documents import Fields, nearest, read
from evidence.data.files import current_hash, forget, listing, noted, remembered, root
from evidence.errors import CatalogueError
from evidence.vocabulary import CAUTION_KINDS, DIRECTIONS

__all__ = [
    "Area",
    "Dataset",
    "Doubt",
    "Framework",
    "Indicator",
    "Protocol",
    "Table",
    "areas",
    "current_hash",
    "dataset",
    "datasets",
    "definition",
    "disclosure_rules",
    "forget",
    "frameworks",
    "indicators",
    "noted",
    "protocol",
    "restricted",
    "root",
]


def datasets() -> list[str]:
    """Return the ids of all datasets, sorted: their folders below data/raw."""
    prefix, suffix = "data/raw/", "/dataset.yml"
    return [path[len(prefix) : -len(suffix)] for path in listing("data/raw/**/dataset.yml")]


def dataset(id: str) -> Dataset:
    """Return what is stated about a dataset.

    Raises
    ------
    CatalogueError
        If there is no such dataset, or its dataset.yml is wrong: file, line and key are named.
    """
    return remembered(("dataset", id), lambda: _read_dataset(id))


def _read_dataset(id: str) -> Dataset:
    path = _definition_file(id, f"data/raw/{id}/dataset.yml", "dataset", datasets)
    fields = read(path)
    found = _dataset(fields)
    _same_id(fields, found.id, id)
    return found


def restricted(paths: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return the disclosure rule of each restricted dataset of which a table was read.

    Parameters
    ----------
    paths
        Paths of files, as `noted` and the record of a run name them.

    Raises
    ------
    CatalogueError
        If the rule of a restricted dataset is missing or wrong.
    """
    folders = {Path(path).parent for path in paths if re.fullmatch(r"data/raw/.+\.csv", path)}
    return disclosure_rules(folder.relative_to("data/raw").as_posix() for folder in folders)


def disclosure_rules(ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return the disclosure rule of each of these datasets that is restricted.

    Raises
    ------
    CatalogueError
        If the rule of a restricted dataset is missing or wrong.
    """
    found = {}
    for id in sorted(ids):
        path = root() / "data" / "raw" / id / "dataset.yml"
        if path.is_file():
            fields = read(path)
            if fields.has("disclosure") and fields.plain("disclosure") == "restricted":
                found[id] = _disclosure_rule(fields)
    return found


def definition(indicator_id: str) -> Indicator:
    """Return the definition of an indicator.

    Raises
    ------
    CatalogueError
        If there is no such indicator, its file is wrong, or it names a dataset, table, column or
        measure that is not there: file, line and key are named.
    """
    return remembered(("indicator", indicator_id), lambda: _read_definition(indicator_id))


def _read_definition(indicator_id: str) -> Indicator:
    relative = f"data/definitions/indicators/{indicator_id}.yml"
    path = _definition_file(indicator_id, relative, "indicator", indicators)
    fields = read(path)
    found = _indicator(fields)
    _same_id(fields, found.id, indicator_id)
    return found


def indicators(tag: str | None = None) -> list[str]:
    """Return the ids of all indicators, sorted; with a tag only those that carry it."""
    paths = listing("data/definitions/indicators/*.yml")
    ids = [Path(path).stem for path in paths]
    if tag is None:
        return ids
    return [id for id in ids if tag in definition(id).tags]


def areas(kind: str | None = None) -> list[Area]:
    """Return the areas of data/definitions/areas.yml in the order of the file.

    Parameters
    ----------
    kind
        ccg, merged_ccg, borough, icb, region or country; all if not given.

    Raises
    ------
    CatalogueError
        If the kind is unknown or the file is wrong.
    """
    if kind is not None and kind not in AREA_KINDS:
        raise CatalogueError(
            f"a kind of area must be one of {', '.join(AREA_KINDS)}; got {kind!r}. "
            f"{nearest(kind, AREA_KINDS, 'Choose one of them.')}"
        )
    return [area for area in remembered("areas", _read_areas) if kind in (None, area.kind)]


def _read_areas() -> list[Area]:
    return list(_areas(read(root() / "data" / "definitions" / "areas.yml")))


def area(code: str) -> Area:
    """Return the area with this code.

    Raises
    ------
    CatalogueError
        If there is none.
    """
    known = {item.code: item for item in areas()}
    if code not in known:
        raise CatalogueError(
            f"an area must be in data/definitions/areas.yml; {code!r} is not. "
            f"{nearest(code, list(known), 'Choose one of them.')}"
        )
    return known[code]


def frameworks() -> list[Framework]:
    """Return the frameworks of data/definitions/frameworks.yml: steps, lessons, principles.

    Raises
    ------
    CatalogueError
        If the file is wrong.
    """
    fields = read(root() / "data" / "definitions" / "frameworks.yml")
    found = []
    for id in ("steps", "lessons", "principles"):
        inside = fields.inside(id)
        items = [(each.text("id"), each.text("name")) for each in inside.each("items")]
        if len(dict(items)) != len(items):
            raise inside.refuse("items", "must have ids of their own; one comes twice")
        found.append(Framework(id=id, source=inside.text("source"), names=dict(items)))
        inside.done()
    for id in ("barriers", "actors"):
        fields.has(id)
    fields.done()
    return found


def protocol(id: str) -> Protocol:
    """Return the protocol of a review, such as ``reviews/psychotherapy_depression_uk``.

    Raises
    ------
    CatalogueError
        If there is none, or it leaves out the direction of an outcome or another field.
    """
    path = _definition_file(id, f"data/raw/{id}/protocol.yml", "protocol", _protocols)
    fields = read(path)
    found = _protocol(fields)
    _same_id(fields, found.id, id)
    return found


def _protocols() -> list[str]:
    prefix, suffix = "data/raw/", "/protocol.yml"
    return [path[len(prefix) : -len(suffix)] for path in listing("data/raw/**/protocol.yml")]


def _protocol(fields: Fields) -> Protocol:
    found = Protocol(
        id=fields.text("id"),
        question=fields.text("question"),
        population=fields.text("population"),
        intervention=fields.text("intervention"),
        comparator=fields.text("comparator"),
        outcomes=tuple(_outcome(each) for each in fields.each("outcomes")),
        primary=fields.mapping("primary"),
        multiverse=tuple(_factor(each) for each in fields.each("multiverse")),
        conclusion=tuple(_texts_of(each, "id", "rule") for each in fields.each("conclusion")),
        search_date=fields.text("search_date"),
        months_until_next_search=_number_or_not_stated(fields, "months_until_next_search"),
        registration=fields.text("registration"),
        risk_of_bias_tool=fields.text("risk_of_bias_tool"),
        sources=fields.texts("sources"),
        limits=fields.texts("limits"),
    )
    fields.done()
    return found


def _outcome(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": fields.text("id"),
        "label": fields.text("label"),
        "measure": fields.text("measure"),
        "direction_better": fields.text("direction_better", allowed=DIRECTIONS),
        "direction_note": fields.text("direction_note", default=""),
        "minimal_important_difference": _number_or_not_stated(
            fields, "minimal_important_difference"
        ),
    }
    fields.done()
    return found


def _number_or_not_stated(fields: Fields, key: str) -> Any:
    if fields.plain(key) == "not stated":
        return None
    return fields.number(key)


def _factor(fields: Fields) -> dict[str, Any]:
    found = {
        "factor": fields.text("factor"),
        "choices": fields.plain("choices"),
        "reason": fields.text("reason"),
    }
    fields.done()
    return found


def _texts_of(fields: Fields, *keys: str) -> dict[str, str]:
    found = {key: fields.text(key) for key in keys}
    fields.done()
    return found


def _definition_file(id: str, relative: str, what: str, known: Any) -> Path:
    path = root() / relative
    if not re.fullmatch(r"[a-z0-9]+([-_/][a-z0-9]+)*", id) or not path.is_file():
        raise CatalogueError(f"there must be {what} {id!r}; there is none. {nearest(id, known())}")
    return path


def _same_id(fields: Fields, stated: str, asked: str) -> None:
    if stated != asked:
        raise fields.refuse("id", f"must equal the name of its place, {asked!r}")


def _dataset(fields: Fields) -> Dataset:
    periods, first, last = _periods(fields)
    found = Dataset(
        id=fields.text("id"),
        title=fields.text("title"),
        publisher=fields.text("publisher"),
        publication=fields.text("publication"),
        url=fields.text("url"),
        licence=fields.text("licence", allowed=LICENCES),
        attribution=fields.text("attribution"),
        disclosure=fields.text("disclosure", allowed=DISCLOSURES),
        disclosure_rule=_disclosure_rule(fields),
        published=fields.text("published"),
        accessed=fields.text("accessed"),
        grain=fields.text("grain"),
        periods=periods,
        first_period=first,
        last_period=last,
        rounding=_rounding(fields),
        suppression=_suppression(fields),
        left_out=fields.text("left_out"),
        how_to_check=fields.text("how_to_check"),
        limits=fields.texts("limits"),
        cautions=_doubts(fields),
        tables=tuple(_table(each) for each in fields.each("tables")),
    )
    fields.done()
    if found.url != "not stated" and not re.fullmatch(r"https?://[^\s<>\"']+", found.url):
        raise fields.refuse("url", "must begin with https:// or be 'not stated'")
    if any(not set(doubt.periods) <= set(periods) for doubt in found.cautions if periods):
        raise fields.refuse("cautions", f"must be about periods of {', '.join(periods)}")
    _check_tables(fields, found.tables)
    return found


def _check_tables(fields: Fields, tables: tuple[Table, ...]) -> None:
    """Refuse a file that is described twice, and codes of a column that is not there."""
    columns: dict[str, list[str]] = {}
    for table in tables:
        if table.name in columns:
            raise fields.refuse("tables", f"must describe each file once; {table.file} comes twice")
        columns[table.name] = [column.name for column in table.columns]
    for table in tables:
        for column in table.columns:
            of = column.of
            if "table" in of and of["column"] not in columns.get(of["table"], ()):
                raise fields.refuse(
                    "tables",
                    f"must hold the codes of {table.file}, column {column.name!r}; there is no "
                    f"{of['column']!r} in {of['table']}.csv",
                )


def _disclosure_rule(fields: Fields) -> dict[str, int]:
    if fields.plain("disclosure") == "published":
        return {}
    inside = fields.inside("disclosure_rule")
    rule = {name: inside.integer(name) or 0 for name in ("threshold", "base")}
    inside.done()
    if min(rule.values()) < 1 or 2 * (rule["threshold"] + 1) < rule["base"]:
        raise fields.refuse(
            "disclosure_rule",
            "must give a threshold and a base of 1 or more, under which no count above the "
            "threshold is rounded to 0",
            "Write for example {threshold: 7, base: 5}.",
        )
    return rule


def _periods(fields: Fields) -> tuple[tuple[str, ...], str, str]:
    if isinstance(fields.plain("periods"), dict):
        span = fields.inside("periods")
        first, last = span.text("from"), span.text("to")
        span.done()
        return (), first, last
    periods = fields.texts("periods")
    if not periods:
        raise fields.refuse("periods", "must name at least one period")
    return periods, periods[0], periods[-1]


def _rounding(fields: Fields) -> dict[str, int]:
    if fields.plain("rounding") == "none":
        return {}
    rounding = fields.mapping("rounding")
    for unit in rounding.values():
        if isinstance(unit, bool) or not isinstance(unit, int) or unit < 1:
            raise fields.refuse(
                "rounding", "must be none or give whole units per kind of area, such as {other: 5}"
            )
    return rounding


def _suppression(fields: Fields) -> dict[str, str]:
    codes = fields.mapping("suppression", default={})
    for code, status in codes.items():
        if status not in STATUSES or status == "ok":
            raise fields.refuse(
                "suppression",
                f"must map each code to one of {', '.join(STATUSES[1:])}; "
                f"{code!r} is mapped to {status!r}",
            )
    return codes


def _doubts(fields: Fields) -> tuple[Doubt, ...]:
    found = []
    for each in fields.each("cautions", required=False):
        doubt = Doubt(
            kind=each.text("kind", allowed=CAUTION_KINDS),
            text=each.text("text"),
            periods=each.texts("periods", default=()),
        )
        each.done()
        found.append(doubt)
    return tuple(found)


def _table(fields: Fields) -> Table:
    columns = tuple(_column(each) for each in fields.each("columns"))
    rules = tuple(_rule(fields, number, rule) for number, rule in _listed(fields, "rules"))
    table = Table(
        file=fields.text("file"),
        sha256=fields.text("sha256"),
        rows=fields.integer("rows") or 0,
        key=fields.texts("key"),
        columns=columns,
        rules=rules,
        plausibility=tuple(check for _, check in _listed(fields, "plausibility")),
    )
    fields.done()
    _check_table(fields, table)
    return table


def _listed(fields: Fields, key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, each in enumerate(fields.each(key, required=False), start=1):
        yield number, {name: each.plain(name) for name in each.data}


def _rule(fields: Fields, number: int, rule: Mapping[str, Any]) -> Mapping[str, Any]:
    name = next(iter(rule), "")
    if len(rule) != 1 or name not in RULES:
        raise fields.refuse(
            "rules", f"must be single rules of {', '.join(RULES)}; rule {number} is not"
        )
    return rule


def _check_table(fields: Fields, table: Table) -> None:
    names = [column.name for column in table.columns]
    if not re.fullmatch(r"[a-z0-9_]+\.csv", table.file):
        raise fields.refuse("file", "must be a plain file name such as areas.csv")
    if not re.fullmatch(r"[0-9a-f]{64}", table.sha256):
        raise fields.refuse("sha256", "must be 64 hexadecimal digits")
    if len(set(names)) != len(names):
        raise fields.refuse("columns", "must not name a column twice")
    if not table.key:
        raise fields.refuse("key", "must name the columns by which a row is known from another")
    for name in table.key:
        if name not in names:
            raise fields.refuse("key", f"must name columns of the table; {name!r} is none")
    for rule in table.rules:
        ((name, setting),) = rule.items()
        fits = _parts_fit if name == "part_not_over_whole" else _two_columns_fit
        if not fits(setting, {column.name: column for column in table.columns}):
            raise fields.refuse(
                "rules",
                f"must name columns or measures that {table.file} has; {setting!r} of {name} "
                "does not",
                "Write [column, column], or {part: measure, whole: measure, slack: number}.",
            )


def _two_columns_fit(setting: Any, columns: Mapping[str, Column]) -> bool:
    return isinstance(setting, list) and len(setting) == 2 and all(x in columns for x in setting)


def _parts_fit(setting: Any, columns: Mapping[str, Column]) -> bool:
    if not isinstance(setting, Mapping) or not {"measure", "value"} <= set(columns):
        return False
    slack = setting.get("slack", 0)
    return (
        {"part", "whole"} <= set(setting) <= {"part", "whole", "slack"}
        and all(setting[name] in columns["measure"].allowed for name in ("part", "whole"))
        and isinstance(slack, (int, float))
        and slack >= 0
    )


def _column(fields: Fields) -> Column:
    column = Column(
        name=fields.text("name"),
        type=fields.text("type", allowed=COLUMN_TYPES),
        unit=fields.text("unit", default=""),
        label=fields.text("label", default=""),
        minimum=fields.number("min", default=None),
        maximum=fields.number("max", default=None),
        allowed=fields.texts("allowed", default=()),
        empty=fields.flag("empty"),
        of=fields.mapping("of", default={}),
        status_in=fields.text("status_in", default=""),
    )
    fields.done()
    _check_column(fields, column)
    return column


def _check_column(fields: Fields, column: Column) -> None:
    for key in ("min", "max", "status_in"):
        if key in fields.data and column.type not in ("integer", "number"):
            raise fields.refuse(key, f"must be of numbers; the column is of type {column.type}")
    if None not in (column.minimum, column.maximum) and column.minimum > column.maximum:  # type: ignore[operator]
        raise fields.refuse("min", f"must not be above max, which is {column.maximum:g}")
    if "of" in fields.data and not (_names_areas(column.of) or _names_table(column.of)):
        raise fields.refuse(
            "of",
            "must say whose codes the column holds",
            f"Write {{areas: [of {', '.join(AREA_KINDS)}], by: one of {', '.join(AREA_CODES)}}} "
            "or {table: name, column: name}.",
        )


def _names_areas(of: Mapping[str, Any]) -> bool:
    kinds = of.get("areas")
    return (
        {"areas"} <= set(of) <= {"areas", "by"}
        and isinstance(kinds, list)
        and bool(kinds)
        and all(kind in AREA_KINDS for kind in kinds)
        and of.get("by", "code") in AREA_CODES
    )


def _names_table(of: Mapping[str, Any]) -> bool:
    return (
        {"table", "column"} <= set(of) <= {"table", "column", "also"}
        and isinstance(of["table"], str)
        and isinstance(of["column"], str)
        and isinstance(of.get("also", []), list)
    )


def _indicator(fields: Fields) -> Indicator:
    why = fields.inside("why_it_matters")
    found = Indicator(
        id=fields.text("id"),
        title=fields.text("title"),
        short=fields.text("short"),
        question=fields.text("question"),
        measure=fields.text("measure", allowed=("proportion", "rate")),
        multiplier=fields.number("multiplier") or 0.0,
        unit=fields.text("unit"),
        numerator=_part(fields.inside("numerator")),
        denominator=_part(fields.inside("denominator")),
        exclusions=fields.text("exclusions"),
        direction_better=fields.text("direction_better", allowed=DIRECTIONS),
        standardise_by=fields.texts("standardise_by", default=()),
        lever=fields.text("lever"),
        evidence=fields.texts("evidence", default=()),
        tags=fields.texts("tags"),
        why_it_matters=why.text("text"),
        why_source=why.text("source"),
        limits=fields.texts("limits"),
        standard=_standard(fields),
        owner_role=fields.text("owner_role"),
        next_review=fields.text("next_review"),
        periods=fields.texts("periods"),
        default_period=fields.text("default_period"),
        cautions=_doubts(fields),
    )
    why.done()
    fields.done()
    _check_indicator(fields, found)
    return found


def _check_indicator(fields: Fields, found: Indicator) -> None:
    if len(found.short) > 28:
        raise fields.refuse("short", f"must have at most 28 characters, not {len(found.short)}")
    if found.multiplier <= 0:
        raise fields.refuse("multiplier", "must be above 0")
    if found.standard and found.measure == "proportion" and found.standard.value > found.multiplier:
        raise fields.refuse("standard", f"must be a share of at most {found.multiplier:g}")
    _check_tags(fields, found.tags)
    _check_periods(fields, found)


def _check_periods(fields: Fields, found: Indicator) -> None:
    """Refuse periods that a dataset does not have: no area would have a figure there."""
    if len(set(found.periods)) != len(found.periods):
        raise fields.refuse("periods", "must name each period once")
    if found.default_period not in found.periods:
        raise fields.refuse("default_period", f"must be one of {', '.join(found.periods)}")
    for doubt in found.cautions:
        if not set(doubt.periods) <= set(found.periods):
            raise fields.refuse("cautions", f"must be about periods of {', '.join(found.periods)}")
    for name in ("numerator", "denominator"):
        part: Part = getattr(found, name)
        known = dataset(part.dataset).periods
        if not set(part.period_map) <= set(found.periods):
            raise fields.refuse(name, f"must map periods of {', '.join(found.periods)}")
        taken = [part.period_map.get(period, period) for period in found.periods]
        for period in taken if known else ():
            if period not in known:
                raise fields.refuse(
                    "periods",
                    f"must be in {part.dataset}, which has {', '.join(known)}, or be mapped by "
                    f"period_map; {name} has no {period!r}",
                )


def _check_tags(fields: Fields, tags: tuple[str, ...]) -> None:
    known = {id for framework in frameworks() for id in framework.names}
    if not tags:
        raise fields.refuse("tags", "must name at least one step, lesson, principle or theme")
    for tag in tags:
        if re.fullmatch(r"[SLP][0-9]+", tag) and tag not in known:
            raise fields.refuse(
                "tags",
                f"must name steps, lessons and principles of frameworks.yml; {tag!r} is none",
                "Use S1 to S9, L1 to L10, P1 to P9, or a word for a theme.",
            )


def _standard(fields: Fields) -> Standard | None:
    if fields.plain("standard") == "none":
        return None
    inside = fields.inside("standard")
    standard = Standard(
        value=inside.number("value") or 0.0, text=inside.text("text"), source=inside.text("source")
    )
    inside.done()
    return standard


def _part(fields: Fields) -> Part:
    part = Part(
        label=fields.text("label"),
        dataset=fields.text("dataset"),
        table=fields.text("table"),
        where=fields.mapping("where", default={}),
        measures=fields.texts("measures", default=()),
        minus=fields.texts("minus", default=()),
        value=fields.text("value"),
        area=fields.text("area", default="area_code"),
        period=fields.text("period", default="period"),
        period_map=fields.words("period_map", default={}),
    )
    fields.done()
    _check_part(fields, part)
    return part


def _check_part(fields: Fields, part: Part) -> None:
    try:
        table = dataset(part.dataset).table(part.table)
    except CatalogueError as error:
        key = "table" if "table of dataset" in str(error) else "dataset"
        raise fields.refuse(key, "must name a table of the catalogue", f"{error}") from None
    columns = {column.name: column for column in table.columns}
    for key, names in _columns_named(part).items():
        for name in names:
            if name not in columns:
                raise fields.refuse(
                    key, f"must name columns of {part.dataset}/{table.file}", nearest(name, columns)
                )
    if columns[part.value].type not in ("integer", "number"):
        raise fields.refuse("value", f"must name a column of numbers; {part.value!r} is none")
    _check_where(fields, part, columns)
    if set(part.measures) & set(part.minus):
        raise fields.refuse("minus", "must not take off what measures adds up")
    known = columns["measure"].allowed if "measure" in columns else ()
    for key in ("measures", "minus"):
        for name in getattr(part, key):
            if name not in known:
                raise fields.refuse(
                    key,
                    f"must name measures of {part.dataset}/{table.file}; {name!r} is none",
                    nearest(name, known),
                )


def _check_where(fields: Fields, part: Part, columns: Mapping[str, Column]) -> None:
    """Refuse a value that its column never holds: no row would be chosen, and no figure found."""
    for name, value in part.where.items():
        column = columns[name]
        if isinstance(value, (list, dict)):
            raise fields.refuse("where", f"must give one value for {name}", "Name one.")
        if column.allowed and value not in column.allowed:
            raise fields.refuse(
                "where",
                f"must choose by values that {name} has; {value!r} is none",
                nearest(str(value), column.allowed),
            )
        if column.type == "flag" and not isinstance(value, bool):
            raise fields.refuse("where", f"must give true or false for {name}", "Correct it.")


def _columns_named(part: Part) -> dict[str, tuple[str, ...]]:
    return {
        "where": tuple(part.where),
        "value": (part.value,),
        "area": (part.area,),
        "period": (part.period,),
    }


def _areas(fields: Fields) -> Iterator[Area]:
    every = [(each, _area(each)) for each in fields.each("areas")]
    codes = {area.code: area.kind for _, area in every}
    seen: dict[tuple[str, Any], str] = {}
    for each, area in every:
        tile = (area.row, area.col) if area.kind == "borough" and area.row else ""
        named = (area.kind, area.name)
        unique = {"code": area.code, "ons_code": area.ons_code, "name": named, "row": tile}
        for key, value in unique.items():
            if value and (key, value) in seen:
                raise each.refuse(key, f"must be unique; {seen[key, value]} has it too")
            seen[key, value] = area.name
        if any(codes.get(code) != "borough" for code in area.boroughs):
            raise each.refuse("boroughs", "must be codes of boroughs of this file")
        if area.successor and area.successor not in codes:
            raise each.refuse("successor", "must be the code of an area of this file")
        for key in ("from", "abolished"):
            if each.has(key) and not _is_date(each.text(key)):
                raise each.refuse(key, "must be a date", "Write it as 2021-04-01.")
        yield area
    fields.done()


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _area(fields: Fields) -> Area:
    area = Area(
        code=fields.text("code"),
        ons_code=fields.text("ons_code", default=""),
        name=fields.text("name"),
        full_name=fields.text("full_name", default=fields.data.get("name", "")),
        kind=fields.text("kind", allowed=AREA_KINDS),
        boroughs=fields.texts("boroughs", default=()),
        icb_code=fields.text("icb_code", default=""),
        icb_name=fields.text("icb_name", default=""),
        row=fields.integer("row", default=None),
        col=fields.integer("col", default=None),
        from_date=fields.text("from", default=""),
        abolished=fields.text("abolished", default=""),
        successor=fields.text("successor", default=""),
        note=fields.text("note", default=""),
    )
    fields.done()
    return area
