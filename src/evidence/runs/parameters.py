"""The parameters cell as a contract: plain literals, typed, with help and allowed values.

A notebook has one code cell tagged ``parameters`` whose lines all read
``name: type = value  # help; allowed: a | b | c``.
The same check serves the command line, a batch run and JupyterLab.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import math
import tokenize
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence.errors import RunError

SCALARS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
TYPES = (*SCALARS, *(f"list[{name}]" for name in SCALARS))
FORM = "name: type = value  # help; allowed: a | b | c"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of a parameters cell.

    `type` is one of `TYPES`; `allowed` holds literals as text and ``@catalogue`` names.
    """

    name: str
    type: str
    default: Any
    help: str
    allowed: tuple[str, ...]
    line: int


Catalogue = Callable[[str, Mapping[str, Any]], Sequence[str]]
"""Returns the values that an ``@name`` stands for, given all values of the notebook."""


def read_cells(notebook: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook file, without needing nbformat.

    Raises
    ------
    RunError
        If the file is missing or is not a notebook.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except FileNotFoundError:
        raise RunError(
            f"a page's notebook must exist; {notebook.name} is not in {notebook.parent.name}/. "
            "Check the name in book/report.yml."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"a notebook must be valid JSON with cells; {notebook.name} is not ({error}). "
            "Open and save it in JupyterLab, or restore it from git."
        ) from None
    return list(cells)


def contract(notebook: Path) -> tuple[Parameter, ...]:
    """Return the parameters that a notebook declares.

    Raises
    ------
    RunError
        If the cell is missing or doubled, or a line is not of the stated form; the message
        names file, cell and line.
    """
    cells = read_cells(notebook)
    tagged = [
        number
        for number, cell in enumerate(cells, start=1)
        if "parameters" in cell.get("metadata", {}).get("tags", [])
    ]
    if len(tagged) != 1:
        found = f"cells {', '.join(map(str, tagged))}" if tagged else "none"
        raise RunError(
            f"a notebook must have exactly one cell tagged 'parameters'; {notebook.name} has "
            f"{found}. Tag one cell in JupyterLab (property inspector, cell tags)."
        )
    source = "".join(cells[tagged[0] - 1]["source"])
    return parse(source, f"{notebook.name}, cell {tagged[0]}")


def parse(source: str, where: str) -> tuple[Parameter, ...]:
    """Return the parameters declared by the source of one cell.

    Raises
    ------
    RunError
        If a line is not a plain typed literal, or a default breaks its own rule.
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise RunError(
            f"the parameters cell must be valid Python; {where}, line {error.lineno}: {error.msg}. "
            f"Write each line as: {FORM}"
        ) from None
    comments = _comments(source)
    found = [_parameter(node, comments, where) for node in statements]
    names = [item.name for item in found]
    for item in found:
        if names.count(item.name) > 1:
            raise RunError(
                f"a parameter must be declared once; {where}, line {item.line}: {item.name!r} is "
                "declared again. Delete one of the lines."
            )
    return tuple(found)


def check(
    parameters: Sequence[Parameter],
    values: Mapping[str, Any],
    where: str,
    catalogue: Catalogue | None = None,
) -> dict[str, Any]:
    """Return the full set of values, defaults filled in, or refuse the first wrong one.

    Parameters
    ----------
    parameters
        The contract of the notebook.
    values
        Overrides by name.
    where
        What the values belong to, for the message.
    catalogue
        Returns the allowed values of an ``@name``; without it such values are not checked.

    Raises
    ------
    RunError
        If a name is unknown, a type is wrong or a value is not allowed.
    """
    known = {item.name: item for item in parameters}
    for name in values:
        if name not in known:
            raise RunError(_unknown(name, list(known), where))
    full = {
        item.name: _typed(item, values.get(item.name, item.default), where) for item in parameters
    }
    for item in parameters:
        _check_allowed(item, full, where, catalogue)
    return full


def from_text(parameters: Sequence[Parameter], pairs: Sequence[str], where: str) -> dict[str, Any]:
    """Return the values of ``name=value`` texts from a command line, by the declared types.

    Lists are given as ``a,b,c``, or as `evidence parameters` prints them: ``["a", "b, c"]``.

    Raises
    ------
    RunError
        If a text is not ``name=value``, a name is unknown, or a value is not of the type.
    """
    known = {item.name: item for item in parameters}
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip()
        if not equals:
            raise RunError(f"a parameter must be given as name=value; got {pair!r}. Add '='.")
        if name not in known:
            raise RunError(_unknown(name, list(known), where))
        if name in values:
            raise RunError(f"a parameter must be given once; {name!r} came twice. Delete one.")
        values[name] = _read(known[name], text.strip(), where)
    return values


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _parameter(node: ast.stmt, comments: Mapping[int, str], where: str) -> Parameter:
    place = f"{where}, line {node.lineno}"
    if (
        not isinstance(node, ast.AnnAssign)
        or not isinstance(node.target, ast.Name)
        or node.value is None
    ):
        raise RunError(
            f"a parameters cell must hold only typed literals; {place}: "
            f"'{ast.unparse(node)[:60]}'. Write: {FORM}"
        )
    name, kind = node.target.id, ast.unparse(node.annotation)
    if kind not in TYPES:
        raise RunError(
            f"a parameter's type must be one of {', '.join(TYPES)}; {place}: {name!r} has "
            f"{kind!r}. Use one of these."
        )
    help_text, allowed = _help(comments.get(node.end_lineno or node.lineno, ""))
    item = Parameter(name, kind, _literal(node.value, name, place), help_text, allowed, node.lineno)
    value = _typed(item, item.default, place)
    _check_allowed(item, {name: value}, place, None)
    return Parameter(name, kind, value, help_text, allowed, node.lineno)


def _literal(node: ast.expr, name: str, place: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise RunError(
            f"a parameter's default must be a plain literal; {place}: {name!r} is worked out from "
            f"'{ast.unparse(node)[:60]}'. Move the calculation to a later cell."
        ) from None


def _help(comment: str) -> tuple[str, tuple[str, ...]]:
    text, _, allowed = comment.partition("allowed:")
    values = tuple(part.strip() for part in allowed.split("|") if part.strip())
    return text.strip().rstrip(";").strip(), values


def _unknown(name: str, known: list[str], where: str) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else "Choose one of these."
    return (
        f"a parameter must be one of {', '.join(known) or 'none'}; {where}: {name!r} is not. {hint}"
    )


def _typed(item: Parameter, value: Any, where: str) -> Any:
    if item.type.startswith("list["):
        if not isinstance(value, (list, tuple)):
            raise RunError(_wrong_type(item, value, where))
        return [_scalar(item, item.type[5:-1], element, where) for element in value]
    return _scalar(item, item.type, value, where)


def _scalar(item: Parameter, kind: str, value: Any, where: str) -> Any:
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, SCALARS[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise RunError(_wrong_type(item, value, where))
    if isinstance(value, float) and not math.isfinite(value):
        raise RunError(f"{item.name!r} must be a finite number; {where}: got {value}. Change it.")
    return value


def _wrong_type(item: Parameter, value: Any, where: str) -> str:
    return (
        f"{item.name!r} must be of type {item.type}; {where}: got {value!r}. "
        f"Give it as {item.type}, such as {item.default!r}."
    )


def _read(item: Parameter, text: str, where: str) -> Any:
    if item.type.startswith("list["):
        if text.startswith("["):
            return _typed(item, _from_json(item, text, where), where)
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return [_read_scalar(item, item.type[5:-1], part, where) for part in parts]
    return _read_scalar(item, item.type, text, where)


def _from_json(item: Parameter, text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise RunError(_wrong_type(item, text, where)) from None


def _read_scalar(item: Parameter, kind: str, text: str, where: str) -> Any:
    if kind == "str":
        return text
    if kind == "bool":
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise RunError(_wrong_type(item, text, where))
    try:
        return SCALARS[kind](text)
    except ValueError:
        raise RunError(_wrong_type(item, text, where)) from None


def _check_allowed(
    item: Parameter, full: Mapping[str, Any], where: str, catalogue: Catalogue | None
) -> None:
    named = [name for name in item.allowed if name.startswith("@")]
    if not item.allowed or (named and catalogue is None):
        return
    allowed = [name for name in item.allowed if name not in named]
    for name in named:
        allowed += catalogue(name, full) if catalogue else ()
    value = full[item.name]
    for element in value if isinstance(value, list) else [value]:
        if str(element) not in allowed:
            raise RunError(_not_allowed(item, element, allowed, where))


def _not_allowed(item: Parameter, value: Any, allowed: list[str], where: str) -> str:
    near = difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.5)
    shown = ", ".join(allowed[:12]) + (f" … ({len(allowed)} in all)" if len(allowed) > 12 else "")
    word = bool(near) and not near[0][:1].isdigit()
    hint = f"Did you mean {near[0]!r}?" if word else "Choose one of these."
    return f"{item.name!r} must be one of {shown}; {where}: got {value!r}. {hint}"
