"""The command line: `evidence …`.

Exit codes: 0 done; 1 a run, check or build failed; 2 wrong use, told before anything ran.
Heavy libraries are imported by the commands that need them, so that a wrong word is told at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from evidence import book
from evidence.data import catalogue
from evidence.errors import EvidenceError, RunError
from evidence.runs.pages import Page

if TYPE_CHECKING:
    from evidence.runs.execute import Outcome

app = typer.Typer(
    name="evidence",
    help="London mental health evidence workbook: data, runs and the report.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
data_app = typer.Typer(help="The tables of the workbook.", no_args_is_help=True)
new_app = typer.Typer(help="Start a new definition from a template.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(new_app, name="new")
out = Console(highlight=False, soft_wrap=True)
told = Console(stderr=True, highlight=False, soft_wrap=True)

Plain = Annotated[bool, typer.Option("--plain-kernels", help="Start each kernel anew.")]


@app.callback()
def options(
    root: Annotated[Path | None, typer.Option(help="Folder of the workbook.")] = None,
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """London mental health evidence workbook. Example: evidence build"""
    if root is not None:
        os.environ["EVIDENCE_ROOT"] = str(root.resolve())
    if debug:
        os.environ["EVIDENCE_DEBUG"] = "1"


@data_app.command("list")
def data_list() -> None:
    """List the datasets with publisher, periods and licence. Example: evidence data list"""
    table = Table("dataset", "publisher", "periods", "licence", box=None)
    for name in catalogue.datasets():
        found = catalogue.dataset(name)
        table.add_row(name, found.publisher, _span(found), found.licence)
    out.print(table)


@data_app.command("check")
def data_check(dataset: Annotated[str | None, typer.Argument()] = None) -> None:
    """Check hash, schema and rules of one dataset or all. Example: evidence data check qof"""
    from evidence.data.plausibility import notices
    from evidence.data.tables import check

    names = [dataset] if dataset else catalogue.datasets()
    problems = [problem for name in names for problem in check(name)]
    for problem in problems:
        told.print(str(problem), markup=False)
    if problems:
        raise typer.Exit(1)
    for name in names:
        for notice in notices(name):
            out.print(f"{name}: to be looked at: {notice.text}", markup=False)
    out.print(f"{len(names)} dataset{'s' if len(names) != 1 else ''} checked, no problem found.")


@app.command()
def pages() -> None:
    """List the pages with notebook and state. Example: evidence pages"""
    from evidence.runs.fresh import states

    report = book.plan(catalogue.root())
    state = states(catalogue.root(), report.pages)
    table = Table("page", "title", "notebook", "state", box=None)
    for page in report.pages:
        table.add_row(page.id, page.title, page.notebook or "-", state.get(page.id, "prose"))
    out.print(table)


@app.command()
def parameters(page: str) -> None:
    """List the parameters of a page. Example: evidence parameters talking-therapies-recovery"""
    from evidence.runs.fresh import planned
    from evidence.runs.parameters import contract

    plan = planned(catalogue.root(), _with_notebook(page))
    table = Table("name", "type", "value on this page", "allowed", "help", box=None)
    for item in contract(plan.notebook):
        table.add_row(
            item.name,
            item.type,
            str(plan.parameters[item.name]),
            " | ".join(item.allowed),
            item.help,
        )
    out.print(table)


@app.command()
def run(
    page: str,
    parameter: Annotated[list[str] | None, typer.Option("-p", help="name=value")] = None,
    file: Annotated[Path | None, typer.Option("-f", help="YAML file of parameters.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json.")] = False,
    plain: Plain = False,
) -> None:
    """Run a page, with parameters changed. Example: evidence run smi-care-plan -p period=2016-17"""
    from evidence.runs.fresh import planned

    root, chosen = catalogue.root(), _with_notebook(page)
    overrides = _overrides(root, chosen, parameter or [], file)
    planned(root, chosen, overrides)
    from evidence.runs.execute import run_page

    outcome = run_page(root, chosen, overrides, forked=not plain)
    if outcome.state == "failed":
        told.print(outcome.error, markup=False)
        raise typer.Exit(1)
    folder = Path("data/processed/runs") / outcome.run
    if as_json:
        out.print((root / folder / "run.json").read_text("utf-8").rstrip(), markup=False)
    else:
        _tell_run(root / folder, folder, outcome)


@app.command()
def build(
    page: Annotated[list[str] | None, typer.Argument(help="Only these and what they need.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Kernels at a time.")] = 2,
    as_of: Annotated[str | None, typer.Option(help="Date that staleness is worked out on.")] = None,
    again: Annotated[bool, typer.Option(help="Run even what is up to date.")] = False,
    plain: Plain = False,
    cell_seconds: Annotated[int, typer.Option(min=1, help="Longest time of one cell.")] = 600,
) -> None:
    """Run what is out of date, then build the book. Example: evidence build"""
    from evidence.runs.fresh import states

    root = catalogue.root()
    report = book.plan(root)
    chosen = _with_needs(report.pages, page or [])
    state = states(root, chosen)
    outcomes: Sequence[Outcome] = ()
    if again or any(value != "fresh" for value in state.values()):
        outcomes = _run_all(
            root, chosen, jobs=jobs, forked=not plain, again=again, cell_seconds=cell_seconds
        )
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    built = book.build(root, as_of=as_of)
    new = sum(not outcome.reused for outcome in outcomes) - len(failed)
    said = "book built" if built.rebuilt else "book up to date"
    out.print(
        f"{len(state)} pages: {new} run, {len(state) - new - len(failed)} up to date, "
        f"{len(failed)} failed; {said}: {built.index}",
        markup=False,
    )
    if failed:
        raise typer.Exit(1)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Run id, unique prefix or folder.")],
    b: Annotated[str, typer.Argument(help="Another run, or: published")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page of its own.")] = None,
) -> None:
    """Set two runs side by side, number by number. Example: evidence compare 3fa2 published"""
    from evidence.runs.compare import compare as compare_runs

    found = compare_runs(catalogue.root(), a, b)
    if html is not None:
        html.write_text(found.to_html(), encoding="utf-8")
    if as_json:
        out.print(json.dumps(found.to_json(), ensure_ascii=False, indent=1), markup=False)
        return
    table = Table("number", "a", "b", "b - a", "relative", box=None)
    for number in found.changed:
        shown = [
            "" if value is None else f"{value:.6g}"
            for value in (number.a, number.b, number.absolute, number.relative)
        ]
        table.add_row(number.key, *shown)
    for name, (first, second) in {**found.parameters, **found.data}.items():
        out.print(f"{name}: {first} | {second}", markup=False)
    out.print(table)
    out.print(found.verdict(), markup=False)


@new_app.command("indicator")
def new_indicator(id: str) -> None:
    """Write a template to fill in. Example: evidence new indicator crisis-response"""
    from evidence.data.templates import new_indicator as write

    path = write(id)
    out.print(f"Wrote {path}. Fill in every line marked TO DO, then: evidence build", markup=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; wrong input ends in one line and exit code 2."""
    try:
        app(args=list(arguments) if arguments is not None else None)
    except EvidenceError as error:
        if os.environ.get("EVIDENCE_DEBUG"):
            raise
        told.print(f"evidence: {error}", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        told.print("evidence: stopped; what was complete is kept.")
        sys.exit(1)


def _span(found: catalogue.Dataset) -> str:
    if found.periods:
        return f"{found.periods[0]} to {found.periods[-1]}"
    return f"{found.first_period} to {found.last_period}"


def _with_notebook(id: str) -> Page:
    page = book.plan(catalogue.root()).page(id)
    if not page.notebook:
        raise RunError(
            f"a page to run must have a notebook; {id!r} is prose. See `evidence pages`."
        )
    return page


def _overrides(root: Path, page: Page, pairs: list[str], file: Path | None) -> dict[str, Any]:
    from evidence.runs.parameters import contract, from_text

    known = contract(root / "notebooks" / f"{page.notebook}.ipynb")
    from_file = _read_parameters(file) if file else {}
    return {**from_file, **from_text(known, pairs, f"page {page.id}")}


def _read_parameters(file: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"a file of parameters must be readable YAML; {reason}.") from None
    if not isinstance(values, dict):
        raise RunError(f"a file of parameters must hold lines name: value; {file} does not.")
    return {str(name): value for name, value in values.items()}


def _with_needs(pages: Sequence[Page], ids: Sequence[str]) -> list[Page]:
    if not ids:
        return list(pages)
    report = book.plan(catalogue.root())
    waiting, wanted = list(ids), set()
    while waiting:
        id = waiting.pop()
        if id not in wanted:
            wanted.add(id)
            waiting += report.page(id).needs
    return [page for page in pages if page.id in wanted]


def _run_all(root: Path, chosen: Sequence[Page], **choices: Any) -> Sequence[Outcome]:
    from rich.progress import Progress

    from evidence.runs.execute import run_pages

    total = sum(bool(page.notebook) for page in chosen)
    with Progress(console=told, disable=not told.is_terminal, transient=True) as progress:
        task = progress.add_task("pages", total=total)

        def tell(outcome: Outcome) -> None:
            progress.advance(task)
            if outcome.state == "failed":
                told.print(outcome.error, markup=False)
            elif not outcome.reused and not told.is_terminal:
                out.print(f"ran {outcome.page} in {outcome.seconds:.1f} s", markup=False)

        return run_pages(root, chosen, told=tell, **choices)


def _tell_run(path: Path, shown: Path, outcome: Outcome) -> None:
    results = json.loads((path / "results.json").read_text("utf-8"))["results"]
    for name, result in results.items():
        out.print(f"{name}: {result['text']}", markup=False)
    for notice in outcome.notices:
        out.print(notice, markup=False)
    how = "reused" if outcome.reused else f"run in {outcome.seconds:.1f} s"
    out.print(f"{shown} ({how})", markup=False)
