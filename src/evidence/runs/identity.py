"""The id of a run: a hash of everything that can change its numbers, and of nothing else."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
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
    "evidence.runs.preloading",
    "evidence.runs.compare",
    "evidence.runs.identity",
    "evidence.runs.store",
)
"""Modules that start, place or show pages: never what they compute."""

SOURCE = Path(__file__).resolve().parent.parent
MEMORY = SOURCE / "__pycache__" / "code-hashes.json"
_parsing = threading.RLock()
"""Python 3.11 may fail when two threads parse at the same time; pages are run by threads."""


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
    reached: dict[str, str] = {}
    with _parsing:
        waiting = _imported_by_notebook(notebook)
        while waiting:
            name = waiting.pop()
            if name in reached or name.startswith(UNRELATED):
                continue
            digest, imported = _module(name)
            reached[name] = digest
            waiting |= imported
    return dict(sorted(reached.items()))


def _imported_by_notebook(notebook: Path) -> set[str]:
    cells = [cell for cell in read_cells(notebook) if cell["cell_type"] == "code"]
    return {"evidence", *_imported_by_cells(tuple("".join(cell["source"]) for cell in cells))}


@cache
def _imported_by_cells(sources: tuple[str, ...]) -> frozenset[str]:
    names: set[str] = set()
    for source in sources:
        with suppress(SyntaxError):
            names |= set(_known(_mentioned(ast.parse(source))))
    return frozenset(names)


@cache
def _module(name: str) -> tuple[str, frozenset[str]]:
    path = _path(name)
    if path is None:
        return "", frozenset()
    digest, mentioned, on_demand = _code(path.read_bytes())
    imported = set(_known(mentioned))
    if on_demand and name != "evidence":
        imported |= {f"{name}.{item.stem}" for item in path.parent.glob("[!_]*.py")}
    return digest, frozenset(imported)


def _code(content: bytes) -> tuple[str, list[str], bool]:
    """Return hash, names mentioned in imports, and whether modules are imported on demand.

    Parsing is remembered beside Python's own compiled files, under the hash of the file.
    """
    key = hashlib.sha256(content).hexdigest()
    remembered = _remembered()
    if key not in remembered:
        tree = ast.parse(content)
        mentioned = sorted(_mentioned(tree))
        _drop_docstrings(tree)
        digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
        remembered[key] = [digest, mentioned, b"import_module(" in content]
        _remember(remembered)
    digest, mentioned, on_demand = remembered[key]
    return digest, mentioned, on_demand


@cache
def _remembered() -> dict[str, Any]:
    try:
        known = json.loads(MEMORY.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(known: Mapping[str, Any]) -> None:
    temporary = MEMORY.with_name(f"{MEMORY.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(known), encoding="utf-8")
        temporary.replace(MEMORY)
    except OSError:
        return


def _path(name: str) -> Path | None:
    parts = name.split(".")[1:]
    for candidate in (
        SOURCE.joinpath(*parts, "__init__.py"),
        SOURCE.joinpath(*parts[:-1], f"{parts[-1]}.py") if parts else SOURCE / "__init__.py",
    ):
        if candidate.is_file():
            return candidate
    return None


def _mentioned(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == "evidence"}


def _known(names: Iterable[str]) -> list[str]:
    """Return the names that are modules of `evidence`, with the packages they stand in."""
    found = []
    for name in names:
        parts = name.split(".")
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
