"""Run pages: Papermill in threads of this process, kernels as the processes.

Whatever goes wrong in one page is one line and that page's state; the others go on.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from evidence.errors import RunError
from evidence.runs import identity
from evidence.runs.fresh import Planned, make_id, planned, published_hash, reusable
from evidence.runs.kernels import can_fork, kernel_environment, kernel_manager
from evidence.runs.pages import Page
from evidence.runs.record import FOLDER_VARIABLE, PAGE_VARIABLE, results_hash
from evidence.runs.store import Store, read_json, write_json

CELL_SECONDS = 600
"""A cell that runs longer is taken to hang."""
FOLDERS = re.compile(
    r"""(?<=['"])(?:/|[A-Za-z]:\\)[^'"]*[/\\](?=[^'"/\\]+['"])"""  # of a file in quotes
    r"""|(?<![\w:/.])(?:/|[A-Za-z]:\\)(?:[^\s'"/\\]+[/\\]+)+"""  # of one without
)
"""Folders of a machine before the name of a file."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one page.

    `run` is the folder name of the finished run, `error` one line if it failed, `notices` what
    the reader of the run should know (an override without effect).
    """

    page: str
    state: Literal["complete", "failed"]
    run: str = ""
    reused: bool = False
    seconds: float = 0.0
    error: str = ""
    notices: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs notebooks of one workbook; made by `runner`."""

    store: Store
    environment: Mapping[str, str]
    forked: bool
    cell_seconds: int

    def run(self, plan: Planned, *, publish: bool, again: bool = False) -> Outcome:
        """Run one page, or reuse the finished run that it would repeat."""
        started = time.monotonic()
        run = None if again else reusable(self.store, plan)
        if run is None:
            try:
                run = self._execute(plan)
            except (RunError, OSError) as error:
                reason = _without_folders(str(error), self.store.root)
                return self._failed(plan, reason, publish, time.monotonic() - started)
            reused = False
        else:
            reused = True
        name = f"{plan.page.id}-{run['run']}"
        if publish:
            self.store.point(
                plan.page.id,
                run=name,
                state="complete",
                error="",
                results_sha256=run["results_sha256"],
            )
        return Outcome(plan.page.id, "complete", name, reused, time.monotonic() - started)

    def _execute(self, plan: Planned) -> dict[str, Any]:
        folder = self.store.new_folder(plan.page.id)
        began = datetime.now(UTC)
        try:
            self._papermill(plan, folder)
            run = self._describe(plan, folder, began)
        except RunError as error:
            write_json(
                folder / "run.json",
                {
                    "page": plan.page.id,
                    "state": "failed",
                    "parameters": plan.parameters,
                    "error": str(error),
                },
            )
            self.store.keep_failed(folder, plan.page.id)
            raise
        self.store.finish(folder, plan.page.id, run["run"])
        return run

    def _papermill(self, plan: Planned, folder: Path) -> None:
        output = folder / "notebook.ipynb"
        notebook = nbformat.read(plan.notebook, as_version=4)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        own = {
            FOLDER_VARIABLE: str(folder),
            PAGE_VARIABLE: plan.page.id,
            "EVIDENCE_ROOT": str(self.store.root),
        }
        manager = kernel_manager(
            forked=self.forked, environment={**self.environment, **own}, cwd=plan.notebook.parent
        )
        try:
            papermill.execute_notebook(
                notebook,
                str(output).replace("{", "{{").replace("}", "}}"),
                parameters=dict(plan.parameters),
                kernel_name="python3",
                progress_bar=False,
                request_save_on_cell_execute=False,
                execution_timeout=self.cell_seconds,
                kernel_manager_class=manager,
                shutdown_kernel="immediate",
                record_timing=False,
            )
        except PapermillExecutionError as error:
            raise RunError(_cell_failed(plan, output, error)) from None
        except CellTimeoutError:
            raise RunError(
                f"page {plan.page.id}: a cell ran for over {self.cell_seconds} s and was stopped."
            ) from None
        except DeadKernelError:
            raise RunError(
                f"page {plan.page.id}: the kernel died. Run it in JupyterLab to see where."
            ) from None
        except RuntimeError as error:
            raise RunError(f"page {plan.page.id}: the kernel did not start ({error}).") from None
        finally:
            _strip(output)

    def _describe(self, plan: Planned, folder: Path, began: datetime) -> dict[str, Any]:
        document, read = read_json(folder / "results.json"), read_json(folder / "reads.json")
        if document is None or read is None:
            raise RunError(
                f"page {plan.page.id}: the notebook ended without run.record. "
                "Call it in the last cell."
            )
        run = make_id(plan, read["reads"], read["pages"])
        ended = datetime.now(UTC)
        described = {
            "page": plan.page.id,
            "run": run,
            "notebook": plan.page.notebook,
            "parameters": plan.parameters,
            **read,
            "code": identity.code_hashes(plan.notebook),
            "versions": identity.versions(),
            "git": _git_commit(self.store.root),
            "seed": plan.parameters.get("seed"),
            "started": began.isoformat(timespec="seconds"),
            "ended": ended.isoformat(timespec="milliseconds"),
            "seconds": round((ended - began).total_seconds(), 3),
            "state": "complete",
            "error": "",
            "results_sha256": results_hash(document),
        }
        write_json(folder / "results.json", {**document, "run": run}, indent=None)
        (folder / "reads.json").unlink()
        write_json(folder / "run.json", described)
        return described

    def _failed(self, plan: Planned, error: str, publish: bool, seconds: float) -> Outcome:
        if publish:
            before = self.store.pointer(plan.page.id) or {}
            self.store.point(
                plan.page.id,
                run=before.get("run", ""),
                state="failed",
                error=error,
                results_sha256=before.get("results_sha256", ""),
            )
        return Outcome(plan.page.id, "failed", seconds=seconds, error=error)


@contextmanager
def runner(
    root: Path, command: str, *, forked: bool = True, cell_seconds: int = CELL_SECONDS
) -> Iterator[Runner]:
    """Hold the workbook's lock and yield a runner; clears what killed runs left behind.

    Parameters
    ----------
    root
        The workbook.
    command
        What is running, for the message that refuses a second one.
    forked
        Fork the kernels where the system can.
    cell_seconds
        Longest time of one cell.

    Raises
    ------
    RunError
        If another process is writing, or nothing can be written.
    """
    for name in ("papermill", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    store = Store(root)
    try:
        with store.lock(command), kernel_environment(root) as environment:
            store.clear_unfinished()
            yield Runner(store, environment, forked and can_fork(), cell_seconds)
    except OSError as error:
        raise RunError(
            "there must be room and the right to write below data/processed; "
            f"{_without_folders(str(error), root)}. "
            "Make room or change the rights, then build again; what was complete is kept."
        ) from error


def run_page(
    root: Path, page: Page, overrides: Mapping[str, Any] | None = None, *, forked: bool = True
) -> Outcome:
    """Run one page with some parameters changed; with none changed, publish its results.

    Raises
    ------
    RunError
        If a parameter breaks its contract, before anything runs.
    """
    plan = planned(root, page, overrides)
    own = planned(root, page)
    identity.code_hashes(plan.notebook)  # before kernels import this code
    with runner(root, f"evidence run {page.id}", forked=forked) as running:
        outcome = running.run(plan, publish=plan.parameters == own.parameters)
    if outcome.state == "failed" or plan.parameters == own.parameters:
        return outcome
    changed = [name for name in plan.parameters if plan.parameters[name] != own.parameters[name]]
    notices = _without_effect(Store(root), outcome, changed)
    return Outcome(
        outcome.page,
        outcome.state,
        outcome.run,
        outcome.reused,
        outcome.seconds,
        outcome.error,
        notices,
    )


def run_pages(
    root: Path,
    pages: Sequence[Page],
    *,
    jobs: int = 2,
    forked: bool = True,
    again: bool = False,
    cell_seconds: int = CELL_SECONDS,
    told: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Bring pages up to date, each after the pages it needs; failures do not stop the others.

    Parameters
    ----------
    root
        The workbook.
    pages
        Pages of the report; those without a notebook are passed over.
    jobs
        How many kernels at a time.
    forked, again, cell_seconds
        Fork kernels; run even what is up to date; longest time of one cell.
    told
        Called with each outcome as it comes.

    Raises
    ------
    RunError
        If a page's parameters break their contract, or needs form a circle; nothing ran then.
    """
    plans = {page.id: planned(root, page) for page in pages if page.notebook}
    order = _needs(plans)
    for notebook in {plan.notebook for plan in plans.values()}:
        identity.code_hashes(notebook)  # before kernels import this code
    with (
        runner(root, "evidence build", forked=forked, cell_seconds=cell_seconds) as running,
        ThreadPoolExecutor(max_workers=jobs) as pool,
    ):
        try:
            outcomes = _schedule(
                plans,
                order,
                told or (lambda outcome: None),
                lambda plan: pool.submit(running.run, plan, publish=True, again=again),
                running,
            )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def _schedule(
    plans: Mapping[str, Planned],
    order: dict[str, set[str]],
    told: Callable[[Outcome], None],
    submit: Callable[[Planned], Future[Outcome]],
    running: Runner,
) -> list[Outcome]:
    outcomes: dict[str, Outcome] = {}
    going: dict[Future[Outcome], str] = {}
    waiting = dict(order)
    while waiting or going:
        for page in [page for page, needs in waiting.items() if needs <= set(outcomes)]:
            failed = [
                need for need in sorted(waiting.pop(page)) if outcomes[need].state == "failed"
            ]
            if failed:
                error = f"page {page}: needs {failed[0]}, which failed."
                outcomes[page] = running._failed(plans[page], error, True, 0.0)
                told(outcomes[page])
            else:
                going[submit(plans[page])] = page
        if not going:
            continue
        done, _ = wait(going, return_when=FIRST_COMPLETED)
        for future in done:
            outcomes[going.pop(future)] = future.result()
            told(future.result())
    return list(outcomes.values())


def _needs(plans: Mapping[str, Planned]) -> dict[str, set[str]]:
    needs = {
        page: {need for need in plan.page.needs if need in plans} for page, plan in plans.items()
    }
    left = dict(needs)
    while left:
        ready = [page for page, wanted in left.items() if not wanted & set(left)]
        if not ready:
            raise RunError(
                f"pages must not need each other in a circle; {', '.join(left)} do. "
                "Remove one of the needs in book/report.yml."
            )
        for page in ready:
            del left[page]
    return needs


def _cell_failed(plan: Planned, output: Path, error: PapermillExecutionError) -> str:
    number = 0
    for cell in nbformat.read(output, as_version=4).cells:
        if {"injected-parameters", "papermill-error-cell-tag"} & set(cell.metadata.get("tags", [])):
            continue
        number += 1
        if cell.metadata.get("papermill", {}).get("exception"):
            break
    text = " ".join(str(error.evalue).split())[:400]
    return f"page {plan.page.id}, cell {number}: {error.ename}: {text}"


def _without_folders(text: str, root: Path) -> str:
    """Name files of the workbook by their place in it and others by name: the book shows it."""
    return FOLDERS.sub("", text.replace(f"{root}{os.sep}", ""))


def _strip(output: Path) -> None:
    """Drop times and random ids from an executed notebook, so that equal runs are equal files."""
    notebook = read_json(output)
    if notebook is None:
        return
    notebook["metadata"].pop("papermill", None)
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"].pop("papermill", None)
        cell["metadata"].pop("execution", None)
        if "injected-parameters" in cell["metadata"].get("tags", []):
            cell["id"] = "injected-parameters"
        elif "papermill-error-cell-tag" in cell["metadata"].get("tags", []):
            cell["id"] = f"failed-{number}"
    write_json(output, notebook)


def _without_effect(store: Store, outcome: Outcome, changed: Sequence[str]) -> tuple[str, ...]:
    mine = read_json(store.runs / outcome.run / "run.json") or {}
    if mine.get("results_sha256") != published_hash(store, outcome.page):
        return ()
    return (f"no effect on results: {', '.join(changed)}",)


@cache
def _git_commit(root: Path) -> str:
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    )
    return found.stdout.strip() or "not in git"
