"""A small made-up workbook with runs on disk, for the tests of the book."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from evidence.results import Box, Caution, Estimate, Result

ALT = "Made-up funnel plot: three areas, one of them above the upper limit."
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360" viewBox="0 0 640 360">'
    '<rect width="640" height="360" fill="#fff"/>'
    '<path d="M40 60 C200 160 400 170 600 175 M40 300 C200 200 400 190 600 185" fill="none" '
    'stroke="#1f4e5f"/><circle cx="300" cy="120" r="6" fill="#b3450b"/></svg>'
)
AREAS = """\
areas:
  - {code: "07M", name: Barnet, kind: ccg, boroughs: [E1], icb_name: North Central London}
  - {code: "07R", name: Camden, kind: ccg, boroughs: [E2, E3], icb_name: North Central London}
  - {code: "08Y", name: "King's Cross", kind: ccg, boroughs: [E3], icb_name: Westward}
  - {code: E1, name: Barnet, kind: borough, row: 1, col: 2}
  - {code: E2, name: Camden, kind: borough, row: 2, col: 2}
  - {code: E3, name: Westminster, kind: borough, row: 3, col: 1}
"""
REPORT = """\
title: A made-up report
edition: "0"
publisher: Makers of the made-up report
comments: {page: rerun}
data_page: data-catalogue
chain:
  - {question: Where do areas differ?, parts: [variation], page: recovery}
  - {question: "How is it <computed>?", parts: [methods], page: glossary}
parts:
  - id: front
    title: Summary
    pages:
      - {id: index, title: Front, prose: index.md}
      - {id: data-catalogue, title: Data catalogue, notebook: report/data_catalogue}
      - {id: rerun, title: Re-run this yourself, prose: rerun.md}
  - id: variation
    title: Variation
    pages:
      - id: recovery
        title: Recovery
        notebook: variation/area_variation
        parameters: {indicator: recovery}
        prose: around.md
      - {id: failing, title: A page that fails, notebook: variation/area_variation}
      - {id: waiting, title: A page that waits, notebook: variation/area_variation}
  - id: areas
    title: Areas
    pages:
      - {id: areas, title: Find your area, prose: areas.md}
      - for_each: areas(kind=ccg)
        id: "area-{slug}"
        title: "{name}"
        notebook: variation/area_profile
        parameters: {area: "{area}"}
        needs: ["part:variation"]
  - id: methods
    title: Methods
    pages:
      - {id: glossary, title: Glossary, prose: glossary.md}
"""
PROSE = {
    "index.md": """\
# Front

Recovery was {num}`recovery/funnel/pooled` % ({num}`recovery/funnel/pooled[low]:.2f` at least;
of {num}`recovery/funnel/areas`).
See [the page](recovery.md) and {cite:t}`maker2020`.
Of a page that failed we know {num}`failing/funnel/pooled`.

$$\\bar{x} = \\frac{1}{n} \\sum_i x_i$$

```{bibliography}
```
""",
    "rerun.md": "# Re-run this yourself\n\n## Report an error or comment\n\nWrite to us.\n",
    "around.md": (
        "# Ignored\n\nWhat the page is about.\n\n% results\n\n## What follows from it\n\nLittle.\n"
    ),
    "areas.md": "# Find your area\n\n```{tile-grid}\n```\n\n```{borough-list}\n```\n",
    "glossary.md": (
        "# Glossary\n\n(term-certainty)=\n## Certainty\n\nHow sure.\n\n"
        "(term-design-tier)=\n## Design tier\n\nHow it was found out.\n"
    ),
}
BIBLIOGRAPHY = """\
@article{maker2020, author = {Maker, A. and Doer, B.}, title = {On making},
  journal = {Journal of Made-up Things}, year = {2020}}

@book{writer2021, author = {Writer, C.}, title = {On writing}, publisher = {Made-up Press},
  year = {2021}}
"""
BOX = {
    "finding": "Recovery differs between areas by more than chance; one of three stands out.",
    "size": "11 people in 100 between the lowest and the highest area",
    "design": "descriptive",
    "applies_to": "Adults who finished a course",
    "period": "2019-20",
    "next_review": "2027-03-01",
}


def a_result(value: float = 52.04) -> Result:
    """Return a result with an estimate, a table and five cautions."""
    kinds = ("other", "rounding", "old_data", "overdispersion", "small_counts")
    return Result(
        text=f"Recovery was {value:.1f} % over all areas.",
        estimates=(
            Estimate(key="pooled", value=value, low=value - 0.5, high=value + 0.5, level=0.95, k=3),
            Estimate(key="lowest", value=-3.25),
            Estimate(key="areas", value=1234.0),
        ),
        table=pd.DataFrame(
            {
                "area_name": ["Barnet", "Camden", "Westward"],
                "value": [48.1, 59.2, 50.0],
                "upper_99_8": [55.0, 56.0, 57.5],
                "judgement": ["similar", "better", "similar"],
            }
        ),
        cautions=tuple(Caution(kind, f"Doubt about {kind}.") for kind in kinds),
    )


def a_notebook(result: Result) -> dict[str, Any]:
    """Return an executed notebook with steps, a result, a picture and plain output."""

    def markdown(text: str) -> dict[str, Any]:
        return {"cell_type": "markdown", "metadata": {}, "source": text}

    def code(text: str, *outputs: dict[str, Any], tags: tuple[str, ...] = ()) -> dict[str, Any]:
        return {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {"tags": list(tags)},
            "source": text,
            "outputs": list(outputs),
        }

    def shows(data: dict[str, Any]) -> dict[str, Any]:
        return {
            "output_type": "execute_result",
            "execution_count": 1,
            "metadata": {},
            "data": data,
        }

    return {
        "cells": [
            markdown("# Variation between areas\n\nHow much do areas differ?"),
            code('indicator: str = "recovery"', tags=("parameters",)),
            markdown("First the figures are read."),
            code("table = data.indicator(indicator)"),
            markdown("## The funnel\n\nEach point is an area."),
            code("result = funnel(table)\nresult", shows({"text/html": result._repr_html_()})),
            code("plots.funnel(result)", shows({"image/svg+xml": SVG, "text/plain": ALT})),
            markdown("The results are kept."),
            code("run.record(funnel=result)", shows({"text/plain": "Recorded: funnel."})),
        ],
        "metadata": {"papermill": {"parameters": {}}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write_json(path: Path, value: Any) -> None:
    """Write JSON, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_run(
    root: Path,
    page: str,
    *,
    result: Result | None = None,
    box: dict[str, str] | None = None,
    notebook: dict[str, Any] | None = None,
    run: str = "0123456789ab",
) -> Path:
    """Write a complete run of a page and point the page at it."""
    result = result or a_result()
    name = f"{page}-{run}"
    folder = root / "data/processed/runs" / name
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / "tables").mkdir(exist_ok=True)
    (folder / "figures/funnel.svg").write_text(SVG, encoding="utf-8")
    result.table.to_csv(folder / "tables/funnel.csv", index=False)
    write_json(folder / "notebook.ipynb", notebook or a_notebook(result))
    write_json(
        folder / "results.json",
        {
            "page": page,
            "run": run,
            "box": Box(**{**BOX, **(box or {})}).to_json(),
            "results": {"funnel": result.to_json()},
            "figures": {"funnel": {"svg": "figures/funnel.svg", "alt": ALT}},
        },
    )
    write_json(
        folder / "run.json",
        {
            "page": page,
            "run": run,
            "notebook": "variation/area_variation",
            "parameters": {"indicator": "recovery", "levels": [0.95, 0.998], "note": ""},
            "reads": {
                "data/raw/talking_therapies/areas.csv": "a" * 64,
                "data/definitions/areas.yml": "b" * 64,
                "listing:data/raw/*": "c" * 64,
            },
            "pages": {"recovery": "d" * 64} if page != "recovery" else {},
            "versions": {"pandas": "3.1.1"},
            "state": "complete",
        },
    )
    point(root, page, run=name, state="complete", error="")
    return folder


def point(root: Path, page: str, **known: str) -> None:
    """Write the pointer of a page."""
    write_json(root / "data/processed/pages" / f"{page}.json", {"page": page, **known})


def write_workbook(root: Path) -> Path:
    """Write the whole made-up workbook; one page failed and one never ran."""
    for name, text in {
        "book/report.yml": REPORT,
        "book/references.bib": BIBLIOGRAPHY,
        "data/raw/talking_therapies/dataset.yml": "id: talking_therapies\n",
        "data/definitions/areas.yml": AREAS,
        **{f"book/{name}": text for name, text in PROSE.items()},
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for page in ("recovery", "area-barnet", "area-camden", "area-kings-cross"):
        write_run(root, page)
    catalogue = a_notebook(a_result())
    catalogue["cells"][5]["outputs"][0]["data"]["text/html"] = (
        "<table><tr><td>talking_therapies</td></tr><tr><td>talking_therapies</td></tr></table>"
    )
    write_run(root, "data-catalogue", notebook=catalogue)
    point(root, "failing", run="", state="failed", error="page failing, cell 3: ValueError: <no>")
    return root
