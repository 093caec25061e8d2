"""Notebooks stay thin: a question, its parameters, short steps that call the package, a record."""

from __future__ import annotations

import ast
import copy
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(
    path for path in FOLDER.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
)

STEP = 8
LONGEST = 15
"""Lines of a step, and of the parameters and record cells."""

MAY_IMPORT = {"evidence", "pandas"}
ABSOLUTE = re.compile(r"""(?<![\w.:/<])(?:~/|/(?!/)[A-Za-z]\w*/|[A-Za-z]:\\)""")


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def lines(cell: dict[str, Any]) -> list[str]:
    return [line for line in source(cell).splitlines() if line.strip()]


def tagged(cell: dict[str, Any]) -> bool:
    return "parameters" in cell["metadata"].get("tags", [])


def records(cell: dict[str, Any]) -> bool:
    return bool(re.search(r"^run\.record\(", source(cell), flags=re.MULTILINE))


def shape(cells: list[dict[str, Any]], name: str) -> list[str]:
    """Title, parameters, start and record, each where it belongs."""
    found = []
    prose = [line for cell in cells if cell["cell_type"] == "markdown" for line in lines(cell)]
    titles = [line for line in prose if line.startswith("# ")]
    if len(titles) != 1:
        found.append(f"one title (# …) is needed; there are {len(titles)}")
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    places = [place for place, cell in enumerate(cells) if tagged(cell)]
    if len(places) != 1:
        found.append(f"one cell tagged parameters is needed; there are {len(places)}")
    else:
        after = source(cells[places[0] + 1]) if places[0] + 1 < len(cells) else ""
        if not re.search(
            rf"""^run = evidence\.start\(["']{name}["'], globals\(\)\)""", after, re.M
        ):
            found.append(f'the cell after the parameters must call evidence.start("{name}", …)')
    if not code or not records(code[-1]):
        found.append("the last code cell must call run.record(…)")
    if sum(map(records, code)) > 1:
        found.append("run.record(…) is called more than once")
    return found


def length(cell: dict[str, Any]) -> int:
    """Lines that do something: imports stand together in the cell that starts the run."""
    return sum(not line.startswith(("import ", "from ")) for line in lines(cell))


def unexplained(cells: list[dict[str, Any]]) -> list[str]:
    """Code cells too far from prose: a sentence covers two cells, to compute and to show."""
    found, since = [], 0
    for place, cell in enumerate(cells):
        opening = tagged(cell) or "evidence.start(" in source(cell)
        since = 0 if cell["cell_type"] == "markdown" or opening else since + 1
        if since > 2:
            found.append(f"cell {place}: no sentence of prose within two cells before it")
    return found


def steps(cells: list[dict[str, Any]]) -> list[str]:
    """Each code cell short and plain Python, under a sentence of prose."""
    found = unexplained(cells)
    for place, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        allowed = LONGEST if tagged(cell) or records(cell) else STEP
        if length(cell) > allowed:
            found.append(f"cell {place}: {length(cell)} lines; at most {allowed}")
        if any(line.lstrip().startswith(("!", "%")) for line in lines(cell)):
            found.append(f"cell {place}: no shell or magic lines")
            continue
        found += [f"cell {place}: {problem}" for problem in plain(source(cell))]
    return found


def plain(text: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.append(f"{node.name} belongs in the package")
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        found += [
            f"imports {module}; a notebook imports only evidence and pandas"
            for module in modules
            if module.split(".")[0] not in MAY_IMPORT
        ]
    return found


def clean(notebook: dict[str, Any]) -> list[str]:
    """No outputs, no counts, no path of one machine, lasting cell ids."""
    found = []
    cells = notebook["cells"]
    if (notebook["nbformat"], notebook["nbformat_minor"]) != (4, 5):
        found.append("the format must be 4.5")
    ids = [cell.get("id", "") for cell in cells]
    if len(set(ids)) != len(ids) or not all(ids):
        found.append("every cell needs an id of its own")
    for place, cell in enumerate(cells):
        if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"]):
            found.append(f"cell {place}: committed with outputs; clear them")
        if ABSOLUTE.search(source(cell)):
            found.append(f"cell {place}: an absolute path")
    return found


def problems(notebook: dict[str, Any], name: str) -> list[str]:
    return [*clean(notebook), *shape(notebook["cells"], name), *steps(notebook["cells"])]


def test_there_are_notebooks():
    assert NOTEBOOKS, "notebooks/ holds no notebook: nothing was checked"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_the_notebook_is_thin(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    name = path.relative_to(FOLDER).with_suffix("").as_posix()
    assert problems(notebook, name) == []
    nbformat.validate(nbformat.from_dict(notebook))


def markdown(identity: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": identity, "metadata": {}, "source": [text]}


def code(identity: str, text: str, *tags: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": identity,
        "metadata": {"tags": list(tags)} if tags else {},
        "execution_count": None,
        "outputs": [],
        "source": text.splitlines(keepends=True),
    }


GOOD = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        markdown("title", "# Where do areas differ?"),
        code("parameters", 'period: str = "2019-20"  # year', "parameters"),
        code("start", 'import evidence\n\nrun = evidence.start("variation/x", globals())'),
        markdown("load-why", "The figures of one year; see https://example.org/a/b."),
        code("load", "table = evidence.data.indicator('x', period)"),
        markdown("record-why", "What the page publishes."),
        code("record", "run.record(box=None)"),
    ],
}


def with_cell(place: int, **changes: Any) -> dict[str, Any]:
    notebook = copy.deepcopy(GOOD)
    notebook["cells"][place].update(changes)
    return notebook


def without_prose() -> dict[str, Any]:
    notebook = copy.deepcopy(GOOD)
    step = notebook["cells"][4]
    notebook["cells"][3:6] = [{**step, "id": f"step-{n}"} for n in range(3)]
    return notebook


def without_cell(place: int) -> dict[str, Any]:
    notebook = copy.deepcopy(GOOD)
    del notebook["cells"][place]
    return notebook


def test_a_thin_notebook_has_no_problem():
    assert problems(GOOD, "variation/x") == []


BROKEN = {
    "a second title": (with_cell(3, source=["# Another\n"]), "there are 2"),
    "no parameters": (with_cell(1, metadata={}), "one cell tagged parameters is needed"),
    "two parameters cells": (with_cell(4, metadata={"tags": ["parameters"]}), "there are 2"),
    "nothing started": (without_cell(2), "must call evidence.start"),
    "another notebook started": (
        with_cell(2, source=['run = evidence.start("variation/y", globals())']),
        'must call evidence.start("variation/x"',
    ),
    "nothing recorded": (with_cell(6, source=["table"]), "must call run.record"),
    "recorded twice": (with_cell(4, source=["run.record()"]), "more than once"),
    "a long step": (with_cell(4, source=["x = 1\n"] * 9), "cell 4: 9 lines; at most 8"),
    "a long record": (
        with_cell(6, source=["x = 1\n"] * 15 + ["run.record()"]),
        "cell 6: 16 lines; at most 15",
    ),
    "steps without a word": (without_prose(), "cell 6: no sentence of prose within two cells"),
    "a function": (with_cell(4, source=["def f():\n", "    pass"]), "f belongs in the package"),
    "a class": (with_cell(4, source=["class A:\n", "    pass"]), "A belongs in the package"),
    "a shell line": (with_cell(4, source=["!pip install x"]), "no shell or magic lines"),
    "a magic line": (with_cell(4, source=["%matplotlib inline"]), "no shell or magic lines"),
    "numpy": (with_cell(4, source=["import numpy as np"]), "imports numpy"),
    "a path of one machine": (with_cell(4, source=["t = '/data/mine/x.csv'"]), "an absolute path"),
    "a path of one Windows machine": (with_cell(4, source=["t = r'C:\\x'"]), "an absolute path"),
    "a home folder": (with_cell(4, source=["t = '~/x.csv'"]), "an absolute path"),
    "outputs": (with_cell(4, outputs=[{}]), "committed with outputs"),
    "a count": (with_cell(4, execution_count=3), "committed with outputs"),
    "two cells of one id": (with_cell(4, id="title"), "an id of its own"),
    "an older format": ({**GOOD, "nbformat_minor": 4}, "the format must be 4.5"),
}


@pytest.mark.parametrize(("notebook", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_the_check_catches(notebook, said):
    assert said in "; ".join(problems(notebook, "variation/x"))
