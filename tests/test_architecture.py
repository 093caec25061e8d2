"""The shape of the package: who imports whom, where input and output happen, how long things get.

Each rule is a function of a package folder that lists what breaks it, so that every rule is also
shown to catch a broken example.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "evidence"
PAPER = ROOT / "ARCHITECTURE.md"

ANALYSIS = ("variation", "synthesis", "evaluation", "screening", "practice")

GROUND = ("errors", "vocabulary")
"""Parts that import nothing and may be imported by all."""

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "vocabulary": set(),
    "results": {*GROUND},
    **{part: {*GROUND, "results"} for part in ANALYSIS},
    "disclosure": {*GROUND, "results"},
    "plots": {*GROUND, "results", *ANALYSIS},
    "data": {*GROUND},
    "sources": {*GROUND},
    "runs": {*GROUND, "results", "data", "disclosure"},
    "reviews": {*GROUND, "results", "data", "runs"},
    "book": {*GROUND, "results", "data", "runs", "reviews", "disclosure"},
    "cli": {*GROUND, "results", "data", "sources", "runs", "reviews", "book"},
    "evidence": {"runs"},
}
"""Part -> parts it may import; `evidence` is the package's own front door."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "runs": ("papermill", "nbformat", "nbclient", "jupyter_client", "ipykernel"),
    "book": ("jupyter_book", "sphinx", "docutils", "myst_nb", "myst_parser", "sphinx_design"),
    "sources": ("socket", "urllib.request", "requests", "http", "httpx", "aiohttp", "urllib3"),
    "plots": ("matplotlib", "seaborn"),
}
"""Part -> outside modules that no other part imports."""

KERNELS = "runs/kernels.py"
"""Forked kernels import libraries before they fork and reseed the global random state after."""

NO_INPUT_OUTPUT = ("pathlib", "os", "io", "shutil", "tempfile", "subprocess", "pickle", "logging")
WRITERS = ("to_csv", "to_parquet", "to_excel", "to_pickle", "savefig", "write_text", "write_bytes")
SEEDED = ("default_rng", "Generator", "SeedSequence", "PCG64", "BitGenerator", "Philox")
VAGUE = ("util", "utils", "helper", "helpers", "common", "misc", "tools", "stuff")

LONGEST_FILE = 800
LONGEST_BODY = 60
LONG_BODIES: dict[str, str] = {}
"""`module.py::function` -> why its body may be longer than LONGEST_BODY lines."""


def modules(package: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        yield name, ast.parse(path.read_text(encoding="utf-8"), filename=name)


def part_of(name: str) -> str:
    first = name.removesuffix(".py").split("/")[0]
    return "evidence" if first == "__init__" else first


def imported(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and full name of everything that a module imports, at any depth."""
    here = ["evidence", *name.removesuffix(".py").split("/")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def within(module: str, library: str) -> bool:
    return module == library or module.startswith(f"{library}.")


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def forbidden_edges(package: Path) -> list[str]:
    found = []
    for name, tree in modules(package):
        part = part_of(name)
        if part not in MAY_IMPORT:
            found.append(f"{name}: the part {part!r} has no import rule")
            continue
        for line, target in imported(name, tree):
            if not within(target, "evidence"):
                continue
            other = [*target.split("."), ""][1]
            if other != part and other in MAY_IMPORT and other not in MAY_IMPORT[part]:
                found.append(f"{name}:{line}: {part} must not import {other}")
    return found


def misplaced_libraries(package: Path) -> list[str]:
    return [
        f"{name}:{line}: only {home} imports {target}"
        for name, tree in modules(package)
        for line, target in imported(name, tree)
        for home, libraries in ONLY_IN.items()
        if part_of(name) != home
        and any(within(target, library) for library in libraries)
        and not (name == KERNELS and home == "plots")
    ]


def input_and_output_in_analysis(package: Path) -> list[str]:
    found = []
    for name, tree in modules(package):
        if part_of(name) not in ANALYSIS:
            continue
        found += [
            f"{name}:{line}: an analysis part must not import {target}"
            for line, target in imported(name, tree)
            if any(within(target, library) for library in NO_INPUT_OUTPUT)
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):
                found.append(f"{name}:{node.lineno}: an analysis part keeps no global state")
            if isinstance(node, ast.Call):
                call = dotted(node.func)
                last = call.split(".")[-1]
                if call in ("open", "print", "input") or last in WRITERS or "pd.read_" in call:
                    found.append(f"{name}:{node.lineno}: an analysis part must not call {call}")
    return found


def global_random_state(package: Path) -> list[str]:
    found = []
    for name, tree in modules(package):
        if name == KERNELS:
            continue
        imports = list(imported(name, tree))
        found += [
            f"{name}:{line}: {target} uses the global random state; pass a seed"
            for line, target in imports
            if within(target, "random")
        ]
        chains = [
            (node.lineno, dotted(node))
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
        ]
        for line, target in imports + [(n, re.sub(r"^np\b", "numpy", text)) for n, text in chains]:
            drawn = re.fullmatch(r"numpy\.random\.(\w+)", target)
            if drawn and drawn[1] not in SEEDED:
                found.append(f"{name}:{line}: {target} uses the global random state; pass a seed")
    return sorted(set(found))


def vague_names(package: Path) -> list[str]:
    return [
        f"{path.relative_to(package).as_posix()}: the name says nothing of what it holds"
        for path in sorted(package.rglob("*"))
        if path.stem.strip("_") in VAGUE or re.search(r"_(v\d+\w*|old|new)$", path.stem)
    ]


def long_files(package: Path) -> list[str]:
    lengths = {
        path.relative_to(package).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(package.rglob("*.py"))
    }
    return [
        f"{name}: {n} lines; does it hold two things?"
        for name, n in lengths.items()
        if n > LONGEST_FILE
    ]


def body_lengths(package: Path) -> dict[str, int]:
    """Lines of every function's body, its docstring left out."""
    lengths = {}
    for name, tree in modules(package):
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                lengths[f"{name}::{node.name}"] = max(lines, lengths.get(f"{name}::{node.name}", 0))
    return lengths


def long_functions(package: Path) -> list[str]:
    return [
        f"{name}: a body of {lines} lines"
        for name, lines in body_lengths(package).items()
        if lines > LONGEST_BODY and name not in LONG_BODIES
    ]


RULES: dict[str, Callable[[Path], list[str]]] = {
    "imports go one way": forbidden_edges,
    "each outside library has one home": misplaced_libraries,
    "analysis parts neither read nor write": input_and_output_in_analysis,
    "randomness comes from a passed seed": global_random_state,
    "names say what a module holds": vague_names,
    "files stay short": long_files,
    "functions stay short": long_functions,
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_the_package_keeps_the_rule(rule):
    assert rule(PACKAGE) == []


BROKEN = {
    "variation/rates.py imports synthesis": (
        "variation/rates.py",
        "from evidence.synthesis import pool",
        forbidden_edges,
        "variation/rates.py:1: variation must not import synthesis",
    ),
    "a relative import is followed": (
        "variation/limits.py",
        "def late():\n    from ..data import tables",
        forbidden_edges,
        "variation/limits.py:2: variation must not import data",
    ),
    "the waist imports a part by name": (
        "results.py",
        "from evidence import plots",
        forbidden_edges,
        "results.py:1: results must not import plots",
    ),
    "a part nobody planned": (
        "surprise.py",
        "x = 1",
        forbidden_edges,
        "surprise.py: the part 'surprise' has no import rule",
    ),
    "papermill outside runs": (
        "book/stage.py",
        "import papermill.execute",
        misplaced_libraries,
        "book/stage.py:1: only runs imports papermill.execute",
    ),
    "sphinx outside book": (
        "runs/execute.py",
        "from sphinx.util import logging",
        misplaced_libraries,
        "runs/execute.py:1: only book imports sphinx.util.logging",
    ),
    "network outside sources": (
        "data/tables.py",
        "from urllib import request",
        misplaced_libraries,
        "data/tables.py:1: only sources imports urllib.request",
    ),
    "a loopback server in the book": (
        "book/serve.py",
        "from http.server import HTTPServer",
        misplaced_libraries,
        "book/serve.py:1: only sources imports http.server.HTTPServer",
    ),
    "a plot in an analysis": (
        "synthesis/pool.py",
        "import matplotlib.pyplot as plt",
        misplaced_libraries,
        "synthesis/pool.py:1: only plots imports matplotlib.pyplot",
    ),
    "a path in an analysis": (
        "synthesis/pool.py",
        "from pathlib import Path",
        input_and_output_in_analysis,
        "synthesis/pool.py:1: an analysis part must not import pathlib.Path",
    ),
    "an open file in an analysis": (
        "screening.py",
        "text = open('x').read()",
        input_and_output_in_analysis,
        "screening.py:1: an analysis part must not call open",
    ),
    "a table read in an analysis": (
        "practice/gain.py",
        "t = pd.read_csv('x')",
        input_and_output_in_analysis,
        "practice/gain.py:1: an analysis part must not call pd.read_csv",
    ),
    "global state in an analysis": (
        "evaluation.py",
        "def f():\n    global x\n    x = 1",
        input_and_output_in_analysis,
        "evaluation.py:2: an analysis part keeps no global state",
    ),
    "numpy's global seed": (
        "variation/areas.py",
        "import numpy as np\nnp.random.seed(1)",
        global_random_state,
        "variation/areas.py:2: numpy.random.seed uses the global random state; pass a seed",
    ),
    "the standard library's random": (
        "screening.py",
        "from random import shuffle",
        global_random_state,
        "screening.py:1: random.shuffle uses the global random state; pass a seed",
    ),
    "a module called utils": (
        "synthesis/_utils.py",
        "x = 1",
        vague_names,
        "synthesis/_utils.py: the name says nothing of what it holds",
    ),
    "a second version beside the first": (
        "synthesis/pool_v2.py",
        "x = 1",
        vague_names,
        "synthesis/pool_v2.py: the name says nothing of what it holds",
    ),
    "a file that goes on": (
        "plots/style.py",
        "x = 1\n" * 801,
        long_files,
        "plots/style.py: 801 lines; does it hold two things?",
    ),
    "a function that goes on": (
        "plots/style.py",
        'def f():\n    """Doc."""\n' + "    x = 1\n" * 61,
        long_functions,
        "plots/style.py::f: a body of 61 lines",
    ),
}


@pytest.mark.parametrize(("file", "text", "rule", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_the_rule_catches(tmp_path, file, text, rule, message):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert rule(tmp_path) == [message]


@pytest.mark.parametrize(
    ("file", "text", "rule"),
    [
        ("runs/kernels.py", "import numpy as np\nnp.random.seed(1)", global_random_state),
        ("variation/areas.py", "import numpy as np\nnp.random.default_rng(1)", global_random_state),
        ("variation/areas.py", "def f(random):\n    random.shuffle([])", global_random_state),
        ("runs/kernels.py", "import matplotlib", misplaced_libraries),
        ("cli.py", "from urllib.parse import quote", misplaced_libraries),
        ("plots/variation.py", "from evidence.variation import limits", forbidden_edges),
        ("variation/limits.py", "from evidence.variation.rates import wilson", forbidden_edges),
    ],
    ids=[
        "reseed after fork",
        "seeded",
        "passed generator",
        "import before fork",
        "parse only",
        "plots",
        "same part",
    ],
)
def test_the_rule_lets_pass_what_is_meant_to_pass(tmp_path, file, text, rule):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert rule(tmp_path) == []


def test_function_lengths_are_shown_and_typical_ones_are_short(capsys):
    lengths = body_lengths(PACKAGE)
    longest = max(lengths, key=lengths.__getitem__)
    median = statistics.median(lengths.values())
    with capsys.disabled():
        print(
            f"\nfunctions: {len(lengths)}, median body {median:g} lines, "
            f"longest {lengths[longest]} ({longest})"
        )
    assert median <= 14


def test_a_listed_long_function_is_still_there_and_still_long():
    lengths = body_lengths(PACKAGE)
    assert [name for name in LONG_BODIES if lengths.get(name, 0) <= LONGEST_BODY] == []


def section(heading: str) -> str:
    text = PAPER.read_text(encoding="utf-8")
    assert f"\n## {heading}\n" in text
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """Cells of the table under a heading of ARCHITECTURE.md, without its two head lines."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_papers_module_map_is_the_tree():
    mapped = [row[0].strip("`") for row in rows("Modules")]
    first_lines = {
        name: (ast.get_docstring(tree) or "").split("\n")[0]
        for name, tree in modules(PACKAGE)
        if not name.endswith("__init__.py")
    }
    missing = [f"| `{n}` | {text} |" for n, text in first_lines.items() if n not in mapped]
    gone = [name for name in mapped if name not in first_lines]
    assert (missing, gone) == ([], []), "ARCHITECTURE.md, Modules: add the missing, drop the gone"
    assert mapped == sorted(set(mapped))


def test_the_papers_import_rules_are_the_tested_ones():
    written = {
        part.strip("`"): set(re.findall(r"`(\w+)`", allowed))
        for part, allowed, *_ in rows("Import rules")
    }
    assert written == MAY_IMPORT


def test_the_papers_homes_of_outside_libraries_are_the_tested_ones():
    written = {
        home.strip("`"): set(re.findall(r"`([\w.]+)`", libraries))
        for home, libraries, *_ in rows("Homes of outside libraries")
    }
    assert written == {home: set(libraries) for home, libraries in ONLY_IN.items()}


def test_places_for_additions_exist_unless_marked_as_planned():
    wrong = []
    for what, place, *_ in rows("Adding something"):
        for path in re.findall(r"`([\w./-]+)`", place):
            planned = "(planned)" in what
            if (ROOT / path).exists() == planned:
                wrong.append(f"{what}: {path} {'exists' if planned else 'does not exist'}")
    assert wrong == []
