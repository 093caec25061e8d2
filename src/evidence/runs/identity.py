"""The id of a run: a hash of everything that can change its numbers, and of nothing else."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evidence.runs.parameters import read_cells

LIBRARIES = ("numpy", "scipy", "pandas", "statsmodels", "scikit-learn", "matplotlib")
UNRELATED = (
    "evidence.cli",
    "evidence.book",
    "evidence.reviews",
    "evidence.sources",
    "evidence.data.templates",
    "evidence.runs.execute",
    "evidence.runs.kernels",
    "evidence.runs.compare",
    "evidence.runs.identity",
    "evidence.runs.store",
)
"""Modules that start, place or show pages: never what they compute."""

SOURCE = Path(__file__).resolve().parent.parent


def run_id(
    *,
    notebook: str,
    parameters: Mapping[str, Any],
    reads: Mapping[str, str],
    pages: Mapping[str, str],
    code: Mapping[str, str],
    versions: Mapping[str, str],
) -> str:
    """Return 12 hexadecimal digits that change whenever one of the inputs does."""
    inputs = [notebook, dict(parameters), dict(reads), dict(pages), dict(code), dict(versions)]
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def notebook_hash(path: Path) -> str:
    """Return the hash of a notebook's cell sources, without outputs and metadata."""
    sources = [(cell["cell_type"], "".join(cell["source"])) for cell in read_cells(path)]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python (minor) and of the libraries that numbers depend on."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": python, **{name: version(name) for name in LIBRARIES}}


def code_hashes(notebook: Path) -> dict[str, str]:
    """Return the hash of each `evidence` module that a notebook reaches by import.

    Comments and docstrings do not count. A package that imports its modules on demand counts whole.
    """
    waiting = _imported_by_notebook(notebook)
    reached: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name in reached or name.startswith(UNRELATED):
            continue
        digest, imported = _module(name)
        reached[name] = digest
        waiting |= imported
    return dict(sorted(reached.items()))


def _imported_by_notebook(notebook: Path) -> set[str]:
    names: set[str] = {"evidence"}
    for cell in read_cells(notebook):
        if cell["cell_type"] == "code":
            try:
                tree = ast.parse("".join(cell["source"]))
            except SyntaxError:
                continue
            names |= _imports(tree)
    return names


@cache
def _module(name: str) -> tuple[str, frozenset[str]]:
    path = _path(name)
    if path is None:
        return "", frozenset()
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    imported = _imports(tree)
    if "import_module(" in text and name != "evidence":
        imported |= {f"{name}.{item.stem}" for item in path.parent.glob("[!_]*.py")}
    _drop_docstrings(tree)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), frozenset(imported)


def _path(name: str) -> Path | None:
    parts = name.split(".")[1:]
    for candidate in (
        SOURCE.joinpath(*parts, "__init__.py"),
        SOURCE.joinpath(*parts[:-1], f"{parts[-1]}.py") if parts else SOURCE / "__init__.py",
    ):
        if candidate.is_file():
            return candidate
    return None


def _imports(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= set(_known(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            below = (f"{node.module}.{alias.name}" for alias in node.names)
            names |= set(_known([node.module, *below]))
    return names


def _known(names: Iterable[str]) -> list[str]:
    """Return the names that are modules of `evidence`, with the packages they stand in."""
    found = []
    for name in names:
        parts = name.split(".")
        if parts[0] == "evidence":
            ladder = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
            found += [step for step in ladder if _path(step) is not None]
    return found


def _drop_docstrings(tree: ast.AST) -> None:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, owners) and node.body and _is_text(node.body[0]):
            node.body = node.body[1:] or [ast.Pass()]


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
