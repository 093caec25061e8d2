"""The notebook's side of a run: check the parameters, read other pages, record the results.

In JupyterLab the same calls make a draft, which is marked so and never published.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from evidence.data import catalogue
from evidence.errors import RunError
from evidence.results import Box, Conclusion, Result
from evidence.runs.choices import allowed_values
from evidence.runs.parameters import Parameter, check, contract, parse

FOLDER_VARIABLE = "EVIDENCE_RUN_FOLDER"
PAGE_VARIABLE = "EVIDENCE_RUN_PAGE"
ROW_KEYS = ("row", "study", "area_code", "service_code", "period", "indicator")
_read_pages: dict[str, str] = {}
_read_rules: dict[str, dict[str, int]] = {}
_opened: dict[str, PageResults] = {}
"""Results of the runs that were read, by the name of the run."""


class Drawn(Protocol):
    """A picture that can be recorded: SVG text and alternative text."""

    alt: str

    def svg(self) -> str:
        """Return the picture as SVG text."""


@dataclass(slots=True)
class Run:
    """One run of a notebook: a draft in JupyterLab, or a batch run that is kept.

    Attributes
    ----------
    page, notebook
        The page's id and its notebook.
    parameters
        The full set of checked values.
    draft
        Whether nothing will be kept.
    """

    page: str
    notebook: str
    parameters: dict[str, Any]
    folder: Path | None
    recorded: bool = field(default=False)

    @property
    def draft(self) -> bool:
        """Whether this is a draft, which is never published."""
        return self.folder is None

    def record(
        self,
        *,
        box: Box | None = None,
        figures: Mapping[str, Drawn] | None = None,
        conclusion: Conclusion | None = None,
        **results: Result,
    ) -> Recorded:
        """Keep the results of the run; the last cell of every notebook.

        Parameters
        ----------
        box
            The summary that opens the page.
        figures
            Pictures by name; each is kept as SVG with its alternative text.
        conclusion
            What the page concludes, and by which stated rule; `compare` tells when it changes.
        **results
            Results by their lasting names.

        Raises
        ------
        RunError
            If it is called twice, without a result, or with something that is not a result; or if
            restricted data were read and something to be kept breaks their disclosure rule.
        """
        if self.recorded:
            raise RunError(
                "run.record must be called once; it was called again. Merge the two calls."
            )
        _check_results(results)
        _check_disclosure(results, box, figures or {}, conclusion)
        kept = {
            name: replace(result, provenance=self._provenance(result))
            for name, result in results.items()
        }
        drawn = dict(figures or {})
        if self.folder is not None:
            _write(self.folder, self.page, kept, box, drawn, conclusion)
            self.recorded = True
        return Recorded(names=tuple(kept), draft=self.draft)

    def _provenance(self, result: Result) -> dict[str, Any]:
        return {
            "page": self.page,
            "parameters": self.parameters,
            "read": catalogue.noted(),
            "pages": dict(_read_pages),
            "rows": _rows(result),
        }


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `record` kept, shown at the end of a notebook."""

    names: tuple[str, ...]
    draft: bool

    def __repr__(self) -> str:
        listed = ", ".join(self.names)
        if self.draft:
            return f"DRAFT, not published: {listed}. Run `evidence run` to keep these results."
        return f"Recorded: {listed}."


def start(notebook: str, namespace: Mapping[str, Any]) -> Run:
    """Check the parameters of a notebook and open its run.

    Call it directly after the parameters cell: ``run = evidence.start("…", globals())``.

    Parameters
    ----------
    notebook
        Path below ``notebooks/`` without ``.ipynb``.
    namespace
        The notebook's ``globals()``.

    Raises
    ------
    RunError
        If a parameter is unknown, missing, of the wrong type or not allowed, with the nearest
        name where one is close.
    """
    path = catalogue.root() / "notebooks" / f"{notebook}.ipynb"
    parameters = contract(path)
    _check_typed_cell(parameters, namespace, path)
    missing = [item.name for item in parameters if item.name not in namespace]
    if missing:
        raise RunError(
            f"every declared parameter must have a value; {path.name}: {missing[0]!r} has none. "
            "Run the parameters cell first."
        )
    values = {item.name: namespace[item.name] for item in parameters}
    full = check(parameters, values, path.name, allowed_values)
    catalogue.forget()
    _read_pages.clear()
    _read_rules.clear()
    _opened.clear()
    folder = os.environ.get(FOLDER_VARIABLE)
    page = os.environ.get(PAGE_VARIABLE, "draft")
    return Run(page, notebook, full, Path(folder) if folder else None)


class NoResultError(RunError, KeyError):
    """A page has no result of the name asked for."""

    __str__ = Exception.__str__


class PageResults(Mapping[str, Result]):
    """Results of a page by name, each rebuilt when it is asked for.

    Raises
    ------
    NoResultError
        On a name that the page has not recorded.
    """

    def __init__(self, page: str, stored: Mapping[str, Any]) -> None:
        self._page = page
        self._stored = stored
        self._rebuilt: dict[str, Result] = {}

    def __getitem__(self, name: str) -> Result:
        if name not in self._stored:
            raise NoResultError(
                f"page {self._page!r} must have a result {name!r} to be read here; it has "
                f"{', '.join(sorted(self._stored)) or 'none'}. Name another page."
            )
        if name not in self._rebuilt:
            self._rebuilt[name] = Result.from_json(self._stored[name])
        return self._rebuilt[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def published(page: str) -> PageResults:
    """Return the published results of another page, by name, and note that they were read.

    Raises
    ------
    RunError
        If the page has no published run.
    """
    root = catalogue.root()
    pointer = _pointer(root, page)
    run = pointer.get("run", "")
    if run not in _opened:
        document = _document(root, run)
        if document is None:
            raise RunError(
                f"a page that is read must have a published run; {page!r} has none. "
                f"Run `evidence build {page}` first."
            )
        _opened[run] = PageResults(page, document["results"])
        for result in document["results"].values():
            if "disclosure" in result["settings"]:
                _read_rules[f"page {page}"] = dict(result["settings"]["disclosure"])
    _read_pages[page] = pointer["results_sha256"]
    return _opened[run]


def published_document(root: Path, page: str) -> dict[str, Any] | None:
    """Return results.json of a page's published run, or None if it has none."""
    return _document(root, _pointer(root, page).get("run", ""))


def _pointer(root: Path, page: str) -> dict[str, str]:
    """Return what is said of the published run of a page: nothing if it has never been run."""
    try:
        return dict(json.loads((root / "data/processed/pages" / f"{page}.json").read_text("utf-8")))
    except FileNotFoundError:
        return {}


def _document(root: Path, run: str) -> dict[str, Any] | None:
    """Return results.json of a run, None if there is no such run or `run` is empty."""
    if not run:
        return None
    try:
        text = (root / "data/processed/runs" / run / "results.json").read_text("utf-8")
    except FileNotFoundError:
        return None
    return dict(json.loads(text))


def results_hash(document: Mapping[str, Any]) -> str:
    """Return the hash of what a page's results say, leaving out how they came about."""
    said = {
        "box": document.get("box"),
        "conclusion": document.get("conclusion"),
        "results": {
            name: {key: value for key, value in item.items() if key != "provenance"}
            for name, item in document["results"].items()
        },
        "alt": {name: item["alt"] for name, item in document.get("figures", {}).items()},
    }
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_results(results: Mapping[str, Any]) -> None:
    if not results:
        raise RunError("run.record must be given at least one result; got none. Name one.")
    for name, result in results.items():
        if not isinstance(result, Result):
            raise RunError(
                f"run.record keeps Result objects; {name!r} is a {type(result).__name__}. "
                "Return a Result from the analysis."
            )
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise RunError(f"a result's name must be lower-case with underscores; got {name!r}.")


def _check_disclosure(
    results: Mapping[str, Result],
    box: Box | None,
    figures: Mapping[str, Drawn],
    conclusion: Conclusion | None,
) -> None:
    """Refuse what would give counts of restricted data away, from tables or from pages read."""
    rules = catalogue.restricted(catalogue.noted()) | _read_rules
    if not rules:
        return
    from evidence.disclosure import Rule, scan

    rule = Rule.joint(rules.values())
    said = [
        *(box.to_json().values() if box else ()),
        *(conclusion.to_json().values() if conclusion else ()),
    ]
    found = scan.problems(results, rule)
    found += [f"the box or conclusion, {item}" for item in scan.text_problems(said, rule)]
    for name, picture in figures.items():
        found += [f"figure {name!r}, {item}" for item in scan.text_problems([picture.alt], rule)]
    if found:
        raise RunError(
            f"results of restricted data ({', '.join(rules)}) must keep their disclosure rule; "
            f"{'; '.join(found[:3])}{f'; and {len(found) - 3} more' if len(found) > 3 else ''}. "
            "Compute from a table that evidence.disclosure has controlled, and state its rule."
        )


def _check_typed_cell(
    parameters: tuple[Parameter, ...], namespace: Mapping[str, Any], path: Path
) -> None:
    """Refuse a parameters cell that was changed, in JupyterLab, to something not allowed."""
    names = {item.name for item in parameters}
    for source in reversed(list(namespace.get("_ih", []))):
        if source != "" and _declares(source, names):
            check(
                parameters,
                {item.name: item.default for item in parse(source, path.name)},
                path.name,
            )
            return


def _declares(source: str, names: set[str]) -> bool:
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    targets = {
        node.target.id
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return bool(targets & names)


def _rows(result: Result) -> dict[str, list[str]]:
    for key in ROW_KEYS:
        if key in result.table.columns:
            return {key: [str(value) for value in result.table[key]]}
    return {}


def _write(
    folder: Path,
    page: str,
    results: Mapping[str, Result],
    box: Box | None,
    figures: Mapping[str, Drawn],
    conclusion: Conclusion | None,
) -> None:
    drawn = {name: _write_figure(folder, name, picture) for name, picture in figures.items()}
    (folder / "tables").mkdir(exist_ok=True)
    for name, result in results.items():
        if len(result.table):
            result.table.to_csv(folder / "tables" / f"{name}.csv", index=False, lineterminator="\n")
    document = {
        "page": page,
        "box": box.to_json() if box else None,
        "conclusion": conclusion.to_json() if conclusion else None,
        "results": {name: result.to_json() for name, result in results.items()},
        "figures": drawn,
    }
    _write_json(folder / "reads.json", {"reads": catalogue.noted(), "pages": _read_pages})
    _write_json(folder / "results.json", document)


def _write_figure(folder: Path, name: str, picture: Drawn) -> dict[str, str]:
    (folder / "figures").mkdir(exist_ok=True)
    path = f"figures/{name}.svg"
    (folder / path).write_text(picture.svg(), encoding="utf-8", newline="\n")
    return {"svg": path, "alt": picture.alt}


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
