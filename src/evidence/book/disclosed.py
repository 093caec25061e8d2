"""Pages of restricted data are shown only if their runs state and keep the disclosure rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evidence.book.facts import Published
from evidence.data import catalogue
from evidence.errors import RunError
from evidence.results import Result


def require_disclosed(found: Published, notebook: Mapping[str, Any] | None) -> None:
    """Refuse a page whose run read restricted data and does not keep their rule.

    Results, words, alternative texts and the outputs of the executed notebook are scanned again,
    because all of them are shown or offered as downloads.

    Parameters
    ----------
    found
        The page as its runs left it.
    notebook
        Its executed notebook, if it has one.

    Raises
    ------
    RunError
        Naming the page, and the first result and column, cell or text that breaks the rule.
    """
    rules = catalogue.restricted(found.run.get("reads", {}))
    if not rules:
        return
    from evidence.disclosure import Rule, scan

    rule = Rule.joint(rules.values())
    results = {
        name: Result.from_json(item) for name, item in found.results.get("results", {}).items()
    }
    said = [*(found.results.get("box") or {}).values()]
    said += [drawn["alt"] for drawn in found.results.get("figures", {}).values()]
    problems = [
        *scan.problems(results, rule),
        *scan.text_problems(said, rule),
        *scan.notebook_problems(notebook or {}, rule),
    ]
    if problems:
        raise RunError(
            f"a page of restricted data ({', '.join(rules)}) must keep their disclosure rule; page "
            f"{found.page.id}: {problems[0]}. Compute from a table that evidence.disclosure has "
            f"controlled, and run `evidence run {found.page.id}` again."
        )
