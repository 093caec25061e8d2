"""Which pages need to run: the recorded reads of the last run, hashed again.

Nothing here imports pandas, except for a published page whose hash was not kept with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evidence.data import catalogue
from evidence.runs import identity
from evidence.runs.choices import allowed_values
from evidence.runs.pages import Page
from evidence.runs.parameters import check, contract
from evidence.runs.store import Store

State = Literal["fresh", "stale", "failed", "never run"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A page with its notebook found and its full set of parameters checked."""

    page: Page
    notebook: Path
    parameters: dict[str, Any]


def planned(root: Path, page: Page, overrides: Mapping[str, Any] | None = None) -> Planned:
    """Check a page's parameters, before anything runs.

    Raises
    ------
    RunError
        If the notebook's contract or a value breaks its rule.
    """
    notebook = root / "notebooks" / f"{page.notebook}.ipynb"
    values = {**page.parameters, **(overrides or {})}
    full = check(contract(notebook), values, f"page {page.id}", allowed_values)
    return Planned(page, notebook, full)


def reusable(store: Store, plan: Planned) -> dict[str, Any] | None:
    """Return run.json of a finished run that a new one would repeat exactly, or None."""
    for run in store.finished(plan.page.id):
        if run["parameters"] == plan.parameters and current_id(store, plan, run) == run["run"]:
            return run
    return None


def current_id(store: Store, plan: Planned, run: Mapping[str, Any]) -> str:
    """Return the id that a run would have now if it read what `run` read."""
    reads = {key: catalogue.current_hash(key) or "gone" for key in run["reads"]}
    pages = {page: published_hash(store, page) for page in run["pages"]}
    return make_id(plan, reads, pages)


def make_id(plan: Planned, reads: Mapping[str, str], pages: Mapping[str, str]) -> str:
    """Return the id of a run of `plan` that read these files and pages."""
    return identity.run_id(
        notebook=identity.notebook_hash(plan.notebook),
        parameters=plan.parameters,
        reads=reads,
        pages=pages,
        code=identity.code_hashes(plan.notebook),
        versions=identity.versions(),
    )


def published_hash(store: Store, page: str) -> str:
    """Return the hash of a page's published results, or ``gone``."""
    pointer = store.pointer(page)
    if pointer and pointer.get("results_sha256"):
        return str(pointer["results_sha256"])
    from evidence.runs.record import published_document, results_hash

    document = published_document(store.root, page)
    return results_hash(document) if document else "gone"


def states(root: Path, pages: Sequence[Page]) -> dict[str, State]:
    """Return the state of every page that has a notebook.

    A page whose needs are not fresh is stale, because they may change what it reads.
    """
    store = Store(root)
    found: dict[str, State] = {}
    for page in pages:
        if page.notebook:
            found[page.id] = _state(store, planned(root, page), found)
    return found


def _state(store: Store, plan: Planned, others: Mapping[str, State]) -> State:
    pointer = store.pointer(plan.page.id)
    if pointer is None:
        return "never run"
    if pointer["state"] == "failed":
        return "failed"
    run = reusable(store, plan)
    waiting = any(others.get(need, "fresh") != "fresh" for need in plan.page.needs)
    same = run is not None and pointer["run"] == f"{plan.page.id}-{run['run']}"
    return "fresh" if same and not waiting else "stale"
