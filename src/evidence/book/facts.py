"""What is known of each page when the book is rendered: state, box, doubts, origin, downloads.

The facts come from ``data/processed`` as the runs left it, and from the date of rendering.
They are plain values, one JSON file per page, so that the rendering of one page depends on the
facts of that page and on nothing else.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from evidence.book.planning import NOT_STATED, Report
from evidence.data import catalogue
from evidence.data.catalogue import Area
from evidence.errors import CatalogueError
from evidence.runs.pages import Page
from evidence.runs.store import Store, read_json
from evidence.vocabulary import CAUTION_KINDS

COMPLETE, FAILED, NEVER, PROSE = "complete", "failed", "never run", "prose"
RAW, DEFINITIONS = "data/raw/", "data/definitions/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A page as its runs left it.

    `folder` is the published run's folder, and `run` and `results` its two documents; all three
    are empty unless `state` is ``complete``.
    """

    page: Page
    state: str
    error: str = ""
    folder: Path | None = None
    run: Mapping[str, Any]
    results: Mapping[str, Any]


def published(root: Path, page: Page) -> Published:
    """Return what the runs left of a page; a run whose documents are not whole counts as none."""
    nothing: dict[str, Any] = {}
    if not page.notebook:
        return Published(page=page, state=PROSE, run=nothing, results=nothing)
    store = Store(root)
    pointer = store.pointer(page.id) or {}
    state = str(pointer.get("state", NEVER))
    if state == FAILED:
        error = _reason(page, str(pointer.get("error", "")))
        return Published(page=page, state=FAILED, error=error, run=nothing, results=nothing)
    folder = store.runs / str(pointer.get("run") or "-")
    run, results = read_json(folder / "run.json"), read_json(folder / "results.json")
    if state != COMPLETE or run is None or results is None:
        return Published(page=page, state=NEVER, run=nothing, results=nothing)
    return Published(page=page, state=COMPLETE, folder=folder, run=run, results=results)


def _reason(page: Page, error: str) -> str:
    """Return why a page failed; errors of analyses may hold counts, so not of restricted data."""
    if any_restricted():
        return f"not shown, because this workbook holds restricted data; see evidence run {page.id}"
    return error or "no reason was kept"


def any_restricted() -> bool:
    """Return whether a dataset of the workbook is restricted, or cannot be read to tell."""
    try:
        return bool(catalogue.disclosure_rules(catalogue.datasets()))
    except CatalogueError:
        return True


def page_facts(
    found: Published, report: Report, as_of: date, anchors: Iterable[str] = ()
) -> dict[str, Any]:
    """Return everything that the rendering of one page needs to know beside its text.

    Parameters
    ----------
    found
        The page as its runs left it.
    report
        The plan, for titles and citations.
    as_of
        Date of rendering: decides what is overdue.
    anchors
        Ids of datasets that the data catalogue's page has a place for.
    """
    page, box = found.page, found.results.get("box")
    return {
        "page": page.id,
        "title": page.title,
        "notebook": page.notebook,
        "state": found.state,
        "error": found.error,
        "run": found.run.get("run", ""),
        "box": box,
        "review": _review(page, box, as_of),
        "cautions": cautions(found.results),
        "computed": _computed(found, report, set(anchors)) if found.folder else None,
        "downloads": downloads(found),
        "citation": citation(page, report, found.run) if page.notebook else "",
    }


def numbers(found: Published) -> dict[str, Any]:
    """Return the estimates of a page, by result and key, for numbers in prose."""
    results = found.results.get("results", {})
    return {
        "state": found.state,
        "results": {
            name: {item["key"]: item for item in result["estimates"]}
            for name, result in results.items()
        },
    }


def cautions(results: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the doubts of all results of a page, each once, the weightiest first."""
    listed = [item for result in results.get("results", {}).values() for item in result["cautions"]]
    unique = {(item["kind"], item["text"]): item for item in listed}
    return sorted(unique.values(), key=lambda item: CAUTION_KINDS.index(item["kind"]))


def downloads(found: Published) -> list[dict[str, Any]]:
    """Return the files that a reader can take away: ``kind``, ``name``, ``source``, ``bytes``.

    `source` is relative to the run's folder; the citation has none, it is written with the site.
    """
    if found.folder is None:
        return []
    folder = found.folder
    files = [
        *(("table", path) for path in sorted((folder / "tables").glob("*.csv"))),
        *(("figure", path) for path in sorted((folder / "figures").glob("*.*"))),
        ("notebook", folder / "notebook.ipynb"),
    ]
    return [
        {
            "kind": kind,
            "name": f"{found.page.id}.ipynb" if kind == "notebook" else path.name,
            "source": path.relative_to(folder).as_posix(),
            "bytes": path.stat().st_size,
        }
        for kind, path in files
        if path.is_file()
    ]


def citation(page: Page, report: Report, run: Mapping[str, Any]) -> str:
    """Return how to cite a page, in one sentence."""
    of_run = f", run {run['run']}" if run.get("run") else ""
    return (
        f"{report.publisher}. {page.title}. In: {report.title}, "
        f"edition {report.edition}, page {page.id}{of_run}."
    )


def bibtex(page: Page, report: Report, run: Mapping[str, Any]) -> str:
    """Return the citation of a page as a BibTeX entry."""
    lines = {
        "author": f"{{{report.publisher}}}",
        "title": page.title,
        "booktitle": report.title,
        "edition": report.edition,
        "note": f"Page {page.id}" + (f", run {run['run']}" if run.get("run") else ""),
    }
    body = "".join(f"  {key} = {{{value}}},\n" for key, value in lines.items())
    return f"@incollection{{{page.id},\n{body}}}\n"


def dataset_anchor(dataset: str) -> str:
    """Return the name of a dataset's place on the data catalogue's page."""
    return "dataset-" + re.sub(r"[^a-z0-9]+", "-", dataset)


def listed_datasets(found: Published, datasets: Iterable[str]) -> list[str]:
    """Return the datasets that have a row of their own on the data catalogue's page."""
    path = found.folder / "notebook.ipynb" if found.folder else None
    if path is None or not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return [dataset for dataset in datasets if f"<td>{dataset}</td>" in text]


def borough_tiles(boroughs: Iterable[Area], areas: Iterable[Area], report: Report) -> list[Any]:
    """Return a tile per borough: place on the grid, name and the pages of its areas.

    Parameters
    ----------
    boroughs
        With `row` and `col`.
    areas
        Health areas, each with the codes of the boroughs that it covers.
    report
        The plan; an area without a page of its own is left out.
    """
    page_of = {page.subject: page for page in report.pages if page.subject}
    areas = [area for area in areas if area.code in page_of]
    return [
        {
            "name": borough.name,
            "row": borough.row,
            "col": borough.col,
            "pages": [
                {"id": page_of[area.code].id, "title": area.name, "now": area.icb_name}
                for area in sorted(areas, key=lambda area: _closeness(area, borough))
                if borough.code in area.boroughs
            ],
        }
        for borough in sorted(boroughs, key=lambda borough: borough.name)
    ]


def _closeness(area: Area, borough: Area) -> tuple[int, int]:
    """Areas named for a borough first, then those that lie wholly in it."""
    place = area.boroughs.index(borough.code) if borough.code in area.boroughs else 99
    return place, len(area.boroughs)


def _review(page: Page, box: Mapping[str, Any] | None, as_of: date) -> dict[str, Any]:
    due = str((box or {}).get("next_review", NOT_STATED))
    if due == NOT_STATED:
        return {"due": NOT_STATED, "overdue": False}
    try:
        return {"due": due, "overdue": date.fromisoformat(due) < as_of}
    except ValueError:
        raise CatalogueError(
            f"a page's next review must be a date such as 2027-01-31 or '{NOT_STATED}'; page "
            f"{page.id} has {due!r}. Correct where its notebook takes it from."
        ) from None


def _computed(found: Published, report: Report, anchors: set[str]) -> dict[str, Any]:
    run = found.run
    reads = {path: sha for path, sha in run.get("reads", {}).items() if "listing:" not in path}
    titles = {page.id: page.title for page in report.pages}
    return {
        "parameters": dict(run.get("parameters", {})),
        "data": [_source(path, sha, report, anchors) for path, sha in sorted(reads.items())],
        "pages": [
            {"id": id, "title": titles.get(id, id), "sha256": sha}
            for id, sha in sorted(run.get("pages", {}).items())
            if id in titles
        ],
        "versions": dict(run.get("versions", {})),
        "command": shlex.join(["evidence", "run", found.page.id]),
    }


def _source(path: str, sha256: str, report: Report, anchors: set[str]) -> dict[str, str]:
    href = ""
    if path.startswith(RAW):
        dataset = path.removeprefix(RAW).rpartition("/")[0]
        anchor = f"#{dataset_anchor(dataset)}" if dataset in anchors else ""
        href = f"{report.data_page}.html{anchor}"
    return {"path": path, "sha256": sha256, "href": href}
