"""Coverage of the frameworks: how much evidence of which tier stands in each cell, and the gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from evidence.errors import DataError
from evidence.practice.readings import TIERS, UNCONTROLLED, tier
from evidence.results import Caution, Estimate, Result, fitting

KINDS = (*TIERS, "indicators", "pages")
"""What is counted in a cell: the tiers of evidence, and indicators and pages, which are none."""

NO_EVIDENCE = {"indicator": "indicators", "page": "pages"}

SHORT = ("trial", "quasi", "pre-post", "descr.")
"""Headings of the tiers where room is scarce."""

UNTAGGED = "none stated"
INDICATOR_ONLY = "an indicator, no evidence"
RULE = "very low (by rule: nothing to compare with; not yet judged by a person)"
UNRATED = "not rated"


def matrix(registry: pd.DataFrame, rows: pd.DataFrame, columns: pd.DataFrame) -> Result:
    """Return how much stands in each cell of two frameworks, by tier, and what is empty.

    Parameters
    ----------
    registry
        One row for each body of evidence, case, indicator or page: entry, name, kind, design
        (empty for an indicator or page), certainty, certainty_source, and the tags `steps`,
        `lessons`, `principles` (ids joined by spaces).
    rows, columns
        Entries of the two frameworks: id, name, framework.

    Returns
    -------
    Result
        Table: one row for each cell, with `row`, `column`, their names, one count for each of
        `KINDS`, `local` (documented sites among them), `evidence` (all tiers), `share` (each entry
        counts 1 in all, spread evenly over its cells, so that shares add up to the registry),
        `certainty` and `gap`. Entries without a tag of a framework stand in ``none stated``.
        Estimates: `registry`, `cells`, `gaps` (cells without evidence), `without_anything`.

    Raises
    ------
    DataError
        If entries repeat, a tag is unknown, or both frameworks are the same.
    """
    _check(registry, rows, columns)
    across, down = str(columns["framework"].iloc[0]), str(rows["framework"].iloc[0])
    cells = {
        (row, column): _empty()
        for row in [*rows["id"], UNTAGGED]
        for column in [*columns["id"], UNTAGGED]
    }
    for entry, row, column, share in places(registry, down, across):
        _put(cells[row, column], entry, share)
    names = dict(zip([*rows["id"], *columns["id"]], [*rows["name"], *columns["name"]], strict=True))
    table = _table(cells, names)
    tagged = table[(table["row"] != UNTAGGED) & (table["column"] != UNTAGGED)]
    gaps = int((tagged["evidence"] == 0).sum())
    bare = int(((tagged["evidence"] == 0) & (tagged["indicators"] == 0)).sum())
    numbers = {"registry": len(registry), "cells": len(tagged), "gaps": gaps}
    return Result(
        text=f"Of {len(tagged)} cells of {down} and {across}, {gaps} hold no evidence and {bare} "
        "neither evidence nor an indicator.",
        estimates=tuple(
            Estimate(key=key, value=value, design="descriptive")
            for key, value in (numbers | {"without_anything": bare}).items()
        ),
        table=table,
        settings={"method": "coverage", "rows": down, "columns": across},
        cautions=(
            Caution(
                "other",
                "An entry with several tags stands in several cells; a count says how many bodies "
                "of evidence there are, not how good or how large they are. Tags are this "
                "workbook's own. Indicators and pages are counted, but are no evidence.",
            ),
        ),
    )


def totals(registry: pd.DataFrame, *frameworks: pd.DataFrame) -> Result:
    """Return the counts by tier for every entry of the frameworks, one framework below another.

    Returns
    -------
    Result
        Table: framework, id, name, one count for each of `KINDS`, evidence, certainty, gap.
    """
    found = []
    for entries in frameworks:
        framework = str(entries["framework"].iloc[0])
        for entry in entries.to_dict("records"):
            inside = registry[[entry["id"] in ids.split() for ids in registry[framework]]]
            cell = _empty()
            for item in inside.to_dict("records"):
                _put(cell, item, 1.0)
            found.append(
                {"framework": framework, "id": entry["id"], "name": entry["name"], **_shown(cell)}
            )
    table = pd.DataFrame(found).drop(columns="share")
    without = table[table["evidence"] == 0]
    text = f"{len(without)} of {len(table)} steps, lessons and principles have no evidence here"
    numbered = f"{text}: {_numbered(without)}." if len(without) else f"{text}."
    return Result(
        text=fitting(numbered, f"{text}."),
        table=table,
        settings={"method": "coverage totals"},
    )


def _numbered(entries: pd.DataFrame) -> str:
    """Return entries as a reader names them, such as steps 2 and 6; lesson 1."""
    found = []
    for framework, ids in entries.groupby("framework", sort=False)["id"]:
        numbers = [id.lstrip("SLP") for id in ids]
        name = str(framework) if len(numbers) > 1 else str(framework).removesuffix("s")
        *first, last = numbers
        found.append(f"{name} {', '.join(first)}{' and ' if first else ''}{last}")
    return "; ".join(found)


def listed(totals: Result, framework: str) -> Result:
    """Return the counts of one framework by tier, an entry to a row, narrow enough for a phone.

    Parameters
    ----------
    totals
        Result of `totals`.
    framework
        Which of its frameworks.

    Returns
    -------
    Result
        Table: the entry with its name, and its counts under `SHORT`.
    """
    inside = totals.table[totals.table["framework"] == framework]
    counts = {short: inside[name] for name, short in zip(TIERS, SHORT, strict=True)}
    bare = inside.loc[inside["evidence"] == 0, "id"].tolist()
    without = f"without evidence here: {', '.join(bare)}" if bare else "each with some evidence"
    return Result(
        text=f"{len(inside)} {framework}, {without}.",
        table=pd.DataFrame({framework.removesuffix("s"): _named(inside), **counts}).reset_index(
            drop=True
        ),
        settings={"method": "coverage listed", "framework": framework},
    )


def besides(totals: Result, framework: str) -> Result:
    """Return what else stands under the entries of one framework: sites, indicators, pages.

    Parameters
    ----------
    totals, framework
        As `listed` takes them.

    Returns
    -------
    Result
        Table: the entry with its name, and in words the documented sites among its evidence, its
        indicators, its pages and the certainty of its evidence.
    """
    inside = totals.table[totals.table["framework"] == framework]
    also = [_also(row) for row in inside.to_dict("records")]
    table = pd.DataFrame({framework.removesuffix("s"): _named(inside), "also": also})
    sites, pages = int((inside["local"] > 0).sum()), int((inside["pages"] > 0).sum())
    return Result(
        text=f"{sites} of {len(inside)} {framework} have a documented site, {pages} a page.",
        table=table.reset_index(drop=True),
        settings={"method": "coverage besides", "framework": framework},
    )


def _named(rows: pd.DataFrame) -> pd.Series:
    return rows["id"] + " " + rows["name"]


def _also(row: Mapping[Any, Any]) -> str:
    """Return sites, indicators, pages and certainty of one entry in words."""
    counts = {"local": "local site", "indicators": "indicator", "pages": "page"}
    said = [
        f"{row[key]} {word}{'' if row[key] == 1 else 's'}"
        for key, word in counts.items()
        if row[key]
    ]
    rated = row["certainty"].replace(RULE, "very low by rule")
    return "; ".join([*said, *([f"certainty {rated}"] if rated else [])]) or "nothing"


def gaps(result: Result) -> Result:
    """Return the empty cells of a coverage matrix, with what is there in place of evidence."""
    table = result.table
    empty = table[
        (table["evidence"] == 0) & (table["row"] != UNTAGGED) & (table["column"] != UNTAGGED)
    ]
    return Result(
        text=f"{len(empty)} cells hold no evidence.",
        table=empty[["row", "row_name", "column", "column_name", "gap"]].reset_index(drop=True),
        settings={"method": "coverage gaps"},
    )


def gaps_by_row(result: Result) -> Result:
    """Return for each row of a coverage matrix the columns without evidence, by what is there.

    Returns
    -------
    Result
        Table: the row with its name, `nothing` and `an indicator only` (ids of columns).
    """
    down, across = result.settings["rows"], result.settings["columns"]
    rows = []
    for (id, name), inside in gaps(result).table.groupby(["row", "row_name"], sort=False):
        ids = {gap: ", ".join(some["column"]) for gap, some in inside.groupby("gap")}
        rows.append(
            {
                down.removesuffix("s"): f"{id} {name}",
                f"{across} with nothing": ids.get("nothing", "none"),
                "with an indicator only": ids.get(INDICATOR_ONLY, "none"),
            }
        )
    return Result(
        text=f"{int(result['gaps'].value or 0)} of {int(result['cells'].value or 0)} cells of "
        f"{down} and {across} hold no evidence.",
        table=pd.DataFrame(rows),
        settings={"method": "coverage gaps by row"},
    )


def certainty(registry: pd.DataFrame) -> pd.Series:
    """Return the certainty of each entry: cited, by the stated rule, or not rated.

    The rule: a body of uncontrolled evaluations is very low, because nothing in it says what would
    have happened otherwise. Everything else stays not rated until a person or a source rates it.
    """
    return pd.Series([_certainty(row) for row in registry.to_dict("records")], index=registry.index)


def places(
    registry: pd.DataFrame, down: str, across: str
) -> Iterator[tuple[dict[str, Any], str, str, float]]:
    """Yield each entry once for each of its cells, with the share of it that stands there."""
    for item in registry.to_dict("records"):
        rows = str(item[down]).split() or [UNTAGGED]
        columns = str(item[across]).split() or [UNTAGGED]
        share = 1.0 / (len(rows) * len(columns))
        for row in rows:
            for column in columns:
                yield item, row, column, share


def kind_of(item: dict[str, Any]) -> str:
    """Return which of `KINDS` an entry counts as."""
    return NO_EVIDENCE.get(item["kind"]) or tier(item["design"])


def _check(registry: pd.DataFrame, rows: pd.DataFrame, columns: pd.DataFrame) -> None:
    if registry["entry"].duplicated().any():
        twice = registry.loc[registry["entry"].duplicated(), "entry"].iloc[0]
        raise DataError(f"entries of a registry must be unique; {twice!r} comes twice. Drop one.")
    for entries in (rows, columns):
        framework = str(entries["framework"].iloc[0])
        known = set(entries["id"])
        unknown = [id for ids in registry[framework] for id in ids.split() if id not in known]
        if unknown:
            raise DataError(
                f"tags must be {framework} of the framework; {unknown[0]!r} is none. Correct it."
            )
    if rows["framework"].iloc[0] == columns["framework"].iloc[0]:
        raise DataError("a coverage matrix needs two frameworks; got one twice. Choose another.")


def _empty() -> dict[str, Any]:
    return {"counts": Counter(), "share": 0.0, "local": 0, "certainty": Counter()}


def _put(cell: dict[str, Any], item: dict[str, Any], share: float) -> None:
    kind = kind_of(item)
    cell["counts"][kind] += 1
    cell["share"] += share
    cell["local"] += item["kind"] == "case"
    if kind in TIERS:
        cell["certainty"][_certainty(item)] += 1


def _certainty(item: dict[str, Any]) -> str:
    if item["kind"] in NO_EVIDENCE:
        return ""
    if item["certainty"] != UNRATED:
        return f"{item['certainty']} (cited: {item['certainty_source']})"
    return RULE if item["design"] in UNCONTROLLED else UNRATED


def _table(cells: dict[tuple[str, str], dict[str, Any]], names: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "row": row,
                "row_name": names.get(row, ""),
                "column": column,
                "column_name": names.get(column, ""),
                **_shown(cell),
            }
            for (row, column), cell in cells.items()
        ]
    )


def _shown(cell: dict[str, Any]) -> dict[str, Any]:
    counts = {kind: int(cell["counts"][kind]) for kind in KINDS}
    evidence = sum(counts[name] for name in TIERS)
    return {
        **counts,
        "local": cell["local"],
        "evidence": evidence,
        "share": cell["share"],
        "certainty": _words(cell["certainty"]),
        "gap": _gap(counts, evidence),
    }


def _words(rated: Counter[str]) -> str:
    return "; ".join(f"{count} {text}" for text, count in sorted(rated.items()))


def _gap(counts: dict[str, int], evidence: int) -> str:
    if evidence and counts["trials"]:
        return ""
    if evidence:
        return "no trial"
    return INDICATOR_ONLY if counts["indicators"] else "nothing"
