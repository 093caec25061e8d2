"""The command line: `evidence …`.

Exit codes: 0 done; 1 a run, check or build failed; 2 wrong use, told before anything ran;
130 stopped by Ctrl-C.
Heavy libraries are imported by the commands that need them, so that a wrong word is told at once.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evidence import __version__, book
from evidence.data import catalogue, practice
from evidence.errors import CatalogueError, EvidenceError, RunError
from evidence.runs.pages import Page

if TYPE_CHECKING:
    from evidence.runs.execute import Outcome
    from evidence.runs.parameters import Parameter

STOPPED = 130
SHORT_LIST = 12
"""As many allowed values are written out; of a longer list the first, and how many there are."""

app = typer.Typer(
    name="evidence",
    help="London mental health evidence workbook: data, runs and the report.",
    epilog="Example: evidence build",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
data_app = typer.Typer(no_args_is_help=True)
new_app = typer.Typer(no_args_is_help=True)
app.add_typer(
    data_app, name="data", help="The tables of the workbook.", epilog="Example: evidence data check"
)
app.add_typer(
    new_app,
    name="new",
    help="Start a new definition from a template.",
    epilog="Example: evidence new indicator crisis-response",
)


def _console(**choices: Any) -> Console:
    return Console(highlight=False, markup=False, emoji=False, **choices)


out = _console(soft_wrap=True)
told = _console(soft_wrap=True, stderr=True)

Plain = Annotated[bool, typer.Option("--plain-kernels", help="Start each kernel anew.")]
PageId = Annotated[str, typer.Argument(help="Id of a page; `evidence pages` lists them.")]


def _tell_version(asked: bool) -> None:
    if asked:
        out.print(f"evidence {__version__}")
        raise typer.Exit


@app.callback()
def options(
    root: Annotated[Path | None, typer.Option(help="Folder of the workbook.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """London mental health evidence workbook: data, runs and the report."""
    if root is not None:
        os.environ["EVIDENCE_ROOT"] = str(root.resolve())


@data_app.command("list", epilog="Example: evidence data list")
def data_list() -> None:
    """List the datasets with publisher, periods and licence."""
    _workbook()
    found = [catalogue.dataset(name) for name in catalogue.datasets()]
    _print_table(
        ("dataset", "periods", "licence", "publisher"),
        [(each.id, _span(each), each.licence, each.publisher) for each in found],
        whole=3,
    )


@data_app.command("check", epilog="Example: evidence data check qof")
def data_check(
    dataset: Annotated[str | None, typer.Argument(help="Only this one; all if left out.")] = None,
) -> None:
    """Check hash, schema and rules of a dataset; without one, of all and of the definitions."""
    _workbook()
    if dataset is not None and dataset not in catalogue.datasets():
        catalogue.dataset(dataset)
    from evidence.data.plausibility import notices
    from evidence.data.tables import check

    problems = check(dataset)
    for problem in problems:
        told.print(str(problem))
    if problems:
        raise typer.Exit(1)
    names = [dataset] if dataset else catalogue.datasets()
    for name in names:
        for notice in notices(name):
            out.print(f"{name}: to be looked at: {notice.text}")
    out.print(f"{_counted(len(names), 'dataset')} checked, no problem found.")


@app.command(epilog="Example: evidence pages")
def pages() -> None:
    """List the pages with notebook and state: fresh, stale, failed, never run, or prose."""
    root = _workbook()
    from evidence.runs.fresh import states

    report = book.plan(root)
    state = states(root, report.pages)
    _print_table(
        ("page", "state", "notebook", "title"),
        [
            (page.id, state.get(page.id, "prose"), page.notebook or "-", page.title)
            for page in report.pages
        ],
        whole=3,
    )


@app.command(epilog="Example: evidence parameters talking-therapies-recovery")
def parameters(page: PageId) -> None:
    """List the parameters of a page with type, value, allowed values and help."""
    root = _workbook()
    chosen = _with_notebook(root, page)
    from evidence.runs.fresh import planned
    from evidence.runs.parameters import contract

    plan = planned(root, chosen)
    _print_table(
        ("name", "type", "value on this page", "allowed", "help"),
        [
            (
                item.name,
                item.type,
                json.dumps(plan.parameters[item.name], ensure_ascii=False),
                _allowed(item, plan.parameters),
                item.help,
            )
            for item in contract(plan.notebook)
        ],
        whole=2,
    )


@app.command(
    epilog="\b\nExamples:\n"
    "  evidence run smi-care-plan -p period=2016-17\n"
    "  evidence run smi-care-plan -f mine.yml --json"
)
def run(
    page: PageId,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", help='name=value, once for each; a list is a,b or ["a, b", "c"].'),
    ] = None,
    file: Annotated[Path | None, typer.Option("-f", help="YAML file of parameters.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json.")] = False,
    plain: Plain = False,
) -> None:
    """Run a page, with parameters changed; what is published stays."""
    root = _workbook()
    chosen = _with_notebook(root, page)
    overrides = _overrides(root, chosen, parameter or [], file)
    from evidence.runs.fresh import planned

    planned(root, chosen, overrides)
    from evidence.runs.execute import run_page

    outcome = run_page(root, chosen, overrides, forked=not plain)
    if outcome.state == "failed":
        told.print(outcome.error)
        raise typer.Exit(1)
    folder = Path("data/processed/runs") / outcome.run
    if as_json:
        _print_json(json.loads((root / folder / "run.json").read_text("utf-8")))
    else:
        _tell_run(root / folder, folder, outcome)


@app.command(epilog="\b\nExamples:\n  evidence build\n  evidence build smi-care-plan --jobs 4")
def build(
    page: Annotated[
        list[str] | None, typer.Argument(help="Run only these and what they need.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Kernels at a time.")] = 2,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Date by which a review counts as overdue."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Run even what is up to date.")] = False,
    plain: Plain = False,
    cell_seconds: Annotated[int, typer.Option(min=1, help="Longest time of one cell.")] = 600,
) -> None:
    """Run what is out of date, then build the book."""
    root = _workbook()
    from evidence.runs.fresh import states

    practice.cases()  # a wrong case stops the build before any page runs
    report = book.plan(root)
    chosen = _with_needs(report, page or [])
    state = states(root, chosen)
    outcomes: Sequence[Outcome] = ()
    if again or any(value != "fresh" for value in state.values()):
        outcomes = _run_all(
            root, chosen, jobs=jobs, forked=not plain, again=again, cell_seconds=cell_seconds
        )
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    new = sum(not outcome.reused for outcome in outcomes) - failed
    out.print(
        f"{_counted(len(state), 'page')}: {new} run, {len(state) - new - failed} up to date, "
        f"{failed} failed"
    )
    _build_book(root, as_of)
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example: evidence compare 3fa2 published")
def compare(
    a: Annotated[str, typer.Argument(help="Run id, unique prefix or folder.")],
    b: Annotated[str, typer.Argument(help="Another run, or: published")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page of its own.")] = None,
) -> None:
    """Set two runs side by side, number by number."""
    root = _workbook()
    from evidence.runs.compare import compare as compare_runs

    found = compare_runs(root, a, b)
    if html is not None:
        html.write_text(found.to_html(), encoding="utf-8", newline="\n")
    if as_json:
        _print_json(found.to_json())
        return
    for name, (first, second) in {**found.parameters, **found.data}.items():
        out.print(f"{name}: {first} | {second}")
    if found.changed:
        out.print(f"a is {found.a}, b is {found.b}")
        _print_table(
            ("number", "a", "b", "b - a", "relative"),
            [
                (
                    number.key,
                    *map(_shown, (number.a, number.b, number.absolute, number.relative)),
                )
                for number in found.changed
            ],
            whole=5,
        )
    out.print(found.verdict())


@new_app.command(
    "indicator",
    epilog="\b\nExamples:\n"
    "  evidence new indicator smi-alcohol --like smi-blood-pressure\n"
    "  evidence new indicator smi-alcohol --dataset qof",
)
def new_indicator(
    id: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    like: Annotated[str, typer.Option(help="An indicator to copy what can be copied from.")] = "",
    dataset: Annotated[str, typer.Option(help="The dataset that its figures come from.")] = "",
) -> None:
    """Write the file of a new indicator, with a line of help for every key."""
    root = _workbook()
    from evidence.data import templates

    _tell_written(root, templates.new_indicator(id, like=like, dataset=dataset))


@new_app.command("case", epilog="Example: evidence new case hackney-crisis-house")
def new_case(
    id: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
) -> None:
    """Write the file of a new documented site, with a line of help for every key."""
    root = _workbook()
    from evidence.data import templates

    _tell_written(root, templates.new_case(id))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    ``--debug`` may stand anywhere among the arguments.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_print(stream)
    sys.exit(_exit_code([word for word in words if word != "--debug"], "--debug" in words))


def _exit_code(words: list[str], debug: bool) -> int:
    try:
        code = int(app(args=words, prog_name="evidence", standalone_mode=False) or 0)
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            told.print(traceback.format_exc().rstrip())
        return _told(error)
    if code == STOPPED:
        _told(KeyboardInterrupt())
    return code


def _told(error: BaseException) -> int:
    """Tell an error in a line or two and return the exit code that it stands for."""
    if isinstance(error, KeyboardInterrupt):
        told.print("evidence: stopped; what was complete is kept.")
        return STOPPED
    if isinstance(error, EvidenceError):
        told.print(f"evidence: {error}")
        return 2
    if hasattr(error, "format_message"):
        _tell_wrong_use(error)
        return 2
    reason = " ".join(str(error).split())
    if isinstance(error, OSError):
        told.print(f"evidence: a file could not be read or written; {reason}.")
    else:
        told.print(
            f"evidence: unexpected {type(error).__name__}: {reason}. Add --debug to see where."
        )
    return 1


def _tell_wrong_use(error: Any) -> None:
    """Tell what typer refused; for a command without arguments that is its whole help."""
    said = error.format_message().rstrip()
    where = error.ctx.command_path if getattr(error, "ctx", None) else "evidence"
    if said.startswith("Usage:"):
        told.print(said)
    else:
        end = "" if said.endswith(("?", ".")) else "."
        told.print(f"evidence: {said}{end} See `{where} --help`.")


def _never_fail_to_print(stream: TextIO) -> None:
    """Let a terminal or pipe that knows few characters show the others as escapes."""
    reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
    if reconfigure is not None and not _knows_all(stream):
        reconfigure(errors="backslashreplace")


def _knows_all(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().startswith("utf")


def _print_json(value: Any) -> None:
    out.out(json.dumps(value, ensure_ascii=not _knows_all(sys.stdout), indent=1), highlight=False)


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]], whole: int) -> None:
    """Print a table; on a terminal the columns after the first `whole` may wrap between words."""
    table = Table(box=None, pad_edge=False)
    widths, words = [], []
    for number, column in enumerate(zip(head, *rows, strict=True)):
        widths.append(max(map(len, column)))
        words.append(max(len(word) for cell in column for word in cell.split() or [""]))
        table.add_column(head[number], no_wrap=number < whole, min_width=words[number])
    for row in rows:
        table.add_row(*map(Text, row))
    wide = sum(widths) + 2 * len(widths)
    narrow = sum(widths[:whole]) + sum(words[whole:]) + 2 * len(widths)
    width = min(wide, max(out.width, narrow)) if out.is_terminal else wide
    _console(width=width).print(table, crop=False)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _span(found: catalogue.Dataset) -> str:
    if found.periods:
        return f"{found.periods[0]} to {found.periods[-1]}"
    return f"{found.first_period} to {found.last_period}"


def _allowed(item: Parameter, values: dict[str, Any]) -> str:
    from evidence.runs.choices import allowed_values

    shown = []
    for name in item.allowed:
        known = allowed_values(name, values) if name.startswith("@") else [name]
        more = f"… ({len(known)} in all)"
        shown += known if len(known) <= SHORT_LIST else [*known[:3], more]
    return " | ".join(shown)


def _workbook() -> Path:
    root = catalogue.root()
    if not (root / "book" / "report.yml").is_file():
        raise CatalogueError(
            f"the workbook is a folder with book/report.yml; {root} has none. "
            "Name it by --root, or go into it."
        )
    return root


def _with_notebook(root: Path, id: str) -> Page:
    page = book.plan(root).page(id)
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
    from evidence.data.documents import read

    fields = read(file)
    return {str(name): fields.plain(name) for name in fields.data}


def _with_needs(report: book.Report, ids: Sequence[str]) -> list[Page]:
    if not ids:
        return list(report.pages)
    waiting, wanted = list(ids), set()
    while waiting:
        id = waiting.pop()
        if id not in wanted:
            wanted.add(id)
            waiting += report.page(id).needs
    return [page for page in report.pages if page.id in wanted]


def _run_all(root: Path, chosen: Sequence[Page], **choices: Any) -> Sequence[Outcome]:
    from rich.progress import Progress

    from evidence.runs.execute import run_pages

    total, done = sum(bool(page.notebook) for page in chosen), 0
    with Progress(console=told, disable=not told.is_terminal, transient=True) as progress:
        task = progress.add_task("pages", total=total)

        def tell(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            progress.advance(task)
            if outcome.state == "failed":
                told.print(outcome.error)
            elif not outcome.reused and not told.is_terminal:
                took = f"{outcome.seconds:.1f} s"
                out.print(f"{done} of {total}: ran {outcome.page} in {took}")

        return run_pages(root, chosen, told=tell, **choices)


def _build_book(root: Path, as_of: datetime | None) -> None:
    from evidence.runs.store import Store

    with Store(root).lock("evidence build"), told.status("rendering the book"):
        try:
            built = book.build(root, as_of=as_of.date() if as_of else None)
        except EvidenceError as error:
            failure = error
        else:
            said = f"built in {built.seconds:.0f} s" if built.rebuilt else "up to date"
            out.print(f"book {said}: {built.index}")
            return
    told.print(f"evidence: {failure}")
    raise typer.Exit(1)


def _tell_written(root: Path, path: Path) -> None:
    from evidence.data import templates

    lines = templates.to_do_lines(path)
    out.print(
        f"Wrote {path.relative_to(root).as_posix()}. "
        f"Fill in the {_counted(len(lines), 'line')} marked {templates.TO_DO}, then: evidence build"
    )


def _tell_run(path: Path, shown: Path, outcome: Outcome) -> None:
    results = json.loads((path / "results.json").read_text("utf-8"))["results"]
    for name, result in results.items():
        out.print(f"{name}: {result['text']}")
    for notice in outcome.notices:
        out.print(notice)
    how = "reused" if outcome.reused else f"run in {outcome.seconds:.1f} s"
    out.print(f"{shown.as_posix()} ({how})")
