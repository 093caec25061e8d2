"""What the builds survive: ``python -m tests.endurance.faults`` (``make endurance``).

On copies of the workbook: builds killed at random moments and resumed, notebooks that raise, die
or hang, a second build at once, places that cannot be written to, and two copies that must agree
byte for byte.  The last line says how many checks passed and failed; the exit code is 1 if any
failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from tests.bench.workbook import ROOT, Ended, Workbook, copies, load, needed

AS_OF = "2027-01-31"
ORPHAN_SECONDS = 8
"""How long what a killed build started may live on."""
STARTING_SECONDS = 3
"""How long a second command may take to see that another is going."""
DATED = ("started", "ended", "seconds")
"""Keys of run.json that tell when a run was, and so may differ between equal runs."""
DATE = ("--as-of", AS_OF)
PATIENCE = ("--cell-seconds", "20")


@dataclass(slots=True)
class Tally:
    """Checks that passed and failed, told as they come."""

    passed: int = 0
    failed: int = 0

    def check(self, name: str, holds: bool, otherwise: object = "") -> bool:
        """Count one check and print it, with what came if it failed."""
        self.passed += holds
        self.failed += not holds
        came = f"; came: {str(otherwise)[:1500]}" if not holds else ""
        print(f"  {'ok  ' if holds else 'FAIL'} {name}{came}", flush=True)
        return holds

    def equal(self, name: str, found: object, expected: object) -> bool:
        """Count one check that two things are the same."""
        return self.check(name, found == expected, f"{found!r}, not {expected!r}")


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a build leaves when nothing disturbs it, and how long it takes."""

    files: dict[str, bytes]
    site: dict[str, bytes]
    seconds: float


def kept(workbook: Workbook) -> dict[str, bytes]:
    """Return every file of the finished runs, run.json without the times of the run."""
    return {
        name: _undated(content) if name.endswith("/run.json") else content
        for name, content in contents(workbook.runs).items()
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by their relative path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def differing(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """Return the names of the files that are not the same in both, a few of them."""
    names = sorted(one.keys() | other.keys())
    return [name for name in names if one.get(name) != other.get(name)][:12]


def results_only(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files named results.json."""
    return {name: content for name, content in files.items() if name.endswith("/results.json")}


def _undated(content: bytes) -> bytes:
    run = json.loads(content)
    return json.dumps({key: run[key] for key in run if key not in DATED}).encode()


def stamps(workbook: Workbook) -> dict[str, tuple[int, str]]:
    """Return when each finished run was written, by the file system and by its own word."""
    found = {}
    for folder in workbook.runs.glob("[!.]*"):
        path = folder / "run.json"
        if path.is_file():
            started = json.loads(path.read_text(encoding="utf-8"))["started"]
            found[folder.name] = (path.stat().st_mtime_ns, started)
    return found


def started_here(workbook: Workbook) -> list[psutil.Process]:
    """Return the living processes that were started for a copy, kernels in sessions of their own.

    A forked kernel shows the environment that its fork server was started with.
    """
    mark = f"EVIDENCE_ROOT={workbook.root}\0".encode()
    found = []
    for process in psutil.process_iter():
        try:
            if mark in Path(f"/proc/{process.pid}/environ").read_bytes():
                found.append(process)
        except OSError:
            continue
    return found


def wait_for_orphans(workbook: Workbook) -> tuple[float, int]:
    """Wait until no process of a copy lives, or too long; return how long and how many live."""
    started = time.monotonic()
    while left := started_here(workbook):
        if time.monotonic() - started > ORPHAN_SECONDS:
            break
        time.sleep(0.2)
    return time.monotonic() - started, len(left)


def build(workbook: Workbook, *words: str) -> Ended:
    """Build a copy at the fixed date, and stop everything if that fails."""
    ended = workbook.evidence(*workbook.build(*DATE, *words))
    if ended.code != 0:
        sys.exit(f"an undisturbed build ended with {ended.code}:\n{ended.err[-3000:]}")
    return ended


def undisturbed(workbook: Workbook) -> Undisturbed:
    """Build a copy from nothing and keep what came of it."""
    ended = build(workbook)
    return Undisturbed(kept(workbook), contents(workbook.site), ended.cost.wall)


# ------------------------------------------------------------------------------- killed builds


def killed_builds(tally: Tally, workbook: Workbook, chosen: argparse.Namespace) -> None:
    """Kill builds at random moments; each is then resumed and compared with an undisturbed one."""
    whole = undisturbed(workbook)
    chance, longest = random.Random(chosen.seed), whole.seconds
    print(f"  an undisturbed build takes {whole.seconds:.1f} s; seed {chosen.seed}. {load()}")
    for number in range(chosen.kills):
        while not (moment := _killed(workbook, chance.uniform(0.2, longest), number % 2 == 0)):
            longest *= 0.9
        _resumed(tally, workbook, whole, number, moment)
    before = [path.name for path in workbook.temporary.iterdir()]
    tally.check(
        f"temporary folders do not pile up over {chosen.kills} killed builds",
        len(before) <= 3,
        f"{len(before)} left: {sorted(before)[:8]}",
    )


def _killed(workbook: Workbook, moment: float, group: bool) -> float:
    """Kill a build, and all of its group or not, after some seconds; return 0 if it had ended."""
    workbook.forget()
    going = workbook.start(*workbook.build(*DATE))
    try:
        going.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        (os.killpg if group else os.kill)(going.pid, signal.SIGKILL)
        going.wait()
        return moment
    return 0.0


def _resumed(
    tally: Tally, workbook: Workbook, whole: Undisturbed, number: int, moment: float
) -> None:
    group, at_once = number % 2 == 0, number // 2 % 2 == 0
    whom = "the whole group" if group else "the parent only"
    left = "" if at_once else _orphans_end(tally, workbook, f"kill {number + 1}")
    complete = stamps(workbook)
    pointed = len(workbook.pointers())
    print(
        f"  kill {number + 1} of {whom} after {moment:.1f} s: {len(complete)} runs complete, "
        f"{pointed} published{left}"
    )
    again = workbook.evidence(*workbook.build(*DATE))
    name = f"kill {number + 1}: the next build"
    tally.check(f"{name} ends well", again.code == 0, f"{again.code}: {again.err[-600:]}")
    files = kept(workbook)
    tally.check(
        f"{name} leaves the same runs, byte for byte",
        files == whole.files,
        differing(files, whole.files),
    )
    again_ran = [page for page in again.ran if any(_of(run, page) for run in complete)]
    now = stamps(workbook)
    moved = [run for run, stamp in complete.items() if now.get(run) != stamp]
    tally.check(f"{name} runs nothing that was complete", not again_ran + moved, again_ran + moved)
    unfinished = [path.name for path in workbook.runs.glob(".*")]
    tally.check(f"{name} leaves no unfinished folder", not unfinished, unfinished)
    site = contents(workbook.site)
    tally.check(f"{name} leaves the same site", site == whole.site, differing(site, whole.site))
    _orphans_end(tally, workbook, name)


def _orphans_end(tally: Tally, workbook: Workbook, name: str) -> str:
    seconds, left = wait_for_orphans(workbook)
    tally.check(f"{name}: no process lives on after {ORPHAN_SECONDS} s", left == 0, f"{left} do")
    for process in started_here(workbook):
        process.kill()
    return f", the last process ended {seconds:.1f} s later"


def _of(run: str, page: str) -> bool:
    """Whether a run's folder name is of this page and not of one whose id begins alike."""
    return run.rpartition("-")[0] == page


# ------------------------------------------------------------------------------ broken notebooks

PLAN_FILE = "book/report.yml"
FAULTS = {
    "raises": "ZeroDivisionError: division by zero",
    "dies": "the kernel died",
    "hangs": "a cell ran for over 20 s",
    "not_recorded": "without run.record",
}
"""Notebooks of tests/notebooks and what must be said of each."""


def broken_notebooks(tally: Tally, workbook: Workbook, chosen: argparse.Namespace) -> None:
    """Add pages that raise, die, hang or record nothing: the others are published all the same."""
    build(workbook)
    before = {name: _pointer(workbook, name) for name in _pages(workbook)}
    _add_faults(workbook)
    ended = workbook.evidence(*_with_faults(workbook))
    lines = [line for line in ended.err.splitlines() if line.strip()]
    tally.equal("broken notebooks: exit code", ended.code, 1)
    tally.equal("broken notebooks: one line each, and no other", len(lines), len(FAULTS))
    for notebook, said in FAULTS.items():
        page = _page_id(notebook)
        own = [line for line in lines if line.startswith(f"page {page}")]
        tally.check(f"{page}: its line names page and error", said in " ".join(own), own or lines)
        text = (workbook.site / f"{page}.html").read_text(encoding="utf-8")
        tally.check(f"{page}: marked in the book", "ev-box-failed" in text, text[:300])
        tally.equal(f"{page}: its state", _pointer(workbook, page)["state"], "failed")
    after = {name: _pointer(workbook, name) for name in before}
    states = {pointer["state"] for pointer in after.values()}
    tally.equal("broken notebooks: the other pages are published", states, {"complete"})
    moved = [name for name in before if after[name] != before[name]]
    counting = [name for name in moved if PLAN_FILE in _run(workbook, after[name])["reads"]]
    tally.equal("broken notebooks: only pages that read the plan ran again", moved, counting)
    tally.equal("broken notebooks: the good page", _pointer(workbook, "good")["state"], "complete")
    _orphans_end(tally, workbook, "broken notebooks")
    _mended(tally, workbook)


def _with_faults(workbook: Workbook) -> list[str]:
    added = ["good", *_page_ids()] if workbook.chosen else []
    return workbook.build(*DATE, *PATIENCE) + added


def _mended(tally: Tally, workbook: Workbook) -> None:
    """Mend the pages that fail: they run, alone, and lose their marks."""
    folder = workbook.root / "notebooks" / "faults"
    for notebook in FAULTS:
        shutil.copy(folder / "good.ipynb", folder / f"{notebook}.ipynb")
        _name_itself(folder / f"{notebook}.ipynb", "good", notebook)
    ended = workbook.evidence(*_with_faults(workbook))
    tally.equal("mended notebooks: exit code", ended.code, 0)
    tally.equal("mended notebooks: they ran, alone", sorted(ended.ran), _page_ids())
    marked = [
        page
        for page in _page_ids()
        if "ev-box-failed" in (workbook.site / f"{page}.html").read_text(encoding="utf-8")
    ]
    tally.check("mended notebooks: no mark is left in the book", not marked, marked)


def failing_page(tally: Tally, workbook: Workbook, chosen: argparse.Namespace) -> None:
    """Break a page that others read: it keeps its last figures, marked; its readers wait."""
    build(workbook)
    needs = {page["id"]: set(page["needs"]) for page in workbook.plan() if page["notebook"]}
    victim = min(need for own in needs.values() for need in own if not needs[need])
    readers = sorted(id for id in needs if victim in needed(id, needs) - {id})
    run = _pointer(workbook, victim)["run"]
    _raise_for(workbook, victim)
    ended = workbook.evidence(*workbook.build(*DATE))
    failed = sorted(id for id in _pages(workbook) if _pointer(workbook, id)["state"] == "failed")
    text = (workbook.site / f"{victim}.html").read_text(encoding="utf-8")
    tally.equal("a page that others read fails: exit code", ended.code, 1)
    tally.equal("a page that others read fails: so do they", failed, sorted([victim, *readers]))
    tally.equal("a page that fails keeps its last run", _pointer(workbook, victim)["run"], run)
    tally.check("a page that fails is marked in the book", "ev-box-failed" in text, text[:300])
    lines = [line for line in ended.err.splitlines() if line.strip()]
    tally.equal("a page that others read fails: a line each", len(lines), len(failed))


def _raise_for(workbook: Workbook, page: str) -> None:
    notebook = next(each["notebook"] for each in workbook.plan() if each["id"] == page)
    path = workbook.root / "notebooks" / f"{notebook}.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    last = [cell for cell in content["cells"] if cell["cell_type"] == "code"][-1]
    last["source"] = f"assert run.page != {page!r}, 'broken'\n{''.join(last['source'])}"
    path.write_text(json.dumps(content), encoding="utf-8")


def _add_faults(workbook: Workbook) -> None:
    folder = workbook.root / "notebooks" / "faults"
    folder.mkdir()
    for notebook in ("good", *FAULTS):
        copy = shutil.copy(ROOT / "tests" / "notebooks" / f"{notebook}.ipynb", folder)
        _name_itself(Path(copy), f"broken/{notebook}", f"faults/{notebook}")
    plan = workbook.root / "book" / "report.yml"
    report = yaml.safe_load(plan.read_text(encoding="utf-8"))
    pages = [
        {"id": _page_id(name), "title": f"A page: {name}", "notebook": f"faults/{name}"}
        for name in ("good", *FAULTS)
    ]
    report["parts"].append({"id": "faults", "title": "Faults", "pages": pages})
    plan.write_text(yaml.safe_dump(report, sort_keys=False), encoding="utf-8")


def _name_itself(path: Path, old: str, new: str) -> None:
    """A notebook names itself in ``evidence.start``: give a copy its own name."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f'start(\\"{old}', f'start(\\"{new}'), encoding="utf-8")


def _page_id(notebook: str) -> str:
    return notebook.replace("_", "-")


def _page_ids() -> list[str]:
    return sorted(map(_page_id, FAULTS))


def _pages(workbook: Workbook) -> list[str]:
    return [path.stem for path in workbook.pointers()]


def _run(workbook: Workbook, pointer: dict[str, Any]) -> dict[str, Any]:
    path = workbook.runs / pointer["run"] / "run.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _pointer(workbook: Workbook, page: str) -> dict[str, Any]:
    path = workbook.processed / "pages" / f"{page}.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


# -------------------------------------------------------------------------------- two at a time


def second_build(tally: Tally, workbook: Workbook, chosen: argparse.Namespace) -> None:
    """Start a second build, and a single run, while a build runs pages, then while it renders."""
    page = next(page["id"] for page in workbook.plan() if page["notebook"])
    for when, reached in (("runs pages", _runs_pages), ("renders the book", _renders)):
        for words in (workbook.build(*DATE), ["build", "--again"], ["run", page]):
            workbook.forget()
            _meet(tally, workbook, when, reached, words)


def _meet(
    tally: Tally,
    workbook: Workbook,
    when: str,
    reached: Callable[[Workbook], bool],
    words: list[str],
) -> None:
    name = f"`evidence {' '.join(words[:2])}` while a build {when}"
    first = workbook.start(*workbook.build(*DATE))
    while first.poll() is None and not reached(workbook):
        time.sleep(0.05)
    began = time.monotonic()
    second = workbook.start(*words)
    met = 0.0
    while second.poll() is None:
        met = time.monotonic() - began if first.poll() is None else met
        time.sleep(0.05)
    said = second.communicate()[1]
    met = time.monotonic() - began if first.poll() is None else met
    if second.returncode == 0 and met < STARTING_SECONDS:
        print(f"  NOT CHECKED, the build had ended by then: {name}")
    else:
        came = f"{second.returncode} with both going for {met:.1f} s: {said.strip()}"
        tally.check(f"{name}: refused", second.returncode == 2, came)
        tally.check(f"{name}: names the build", f"process {first.pid}" in said, came)
    told = first.communicate()[1]
    tally.equal(f"{name}: the build ends well", (first.returncode, told), (0, ""))


def _runs_pages(workbook: Workbook) -> bool:
    return any(workbook.runs.glob(".*"))


def _renders(workbook: Workbook) -> bool:
    """Whether every page is published, so that only the book is left to do."""
    number = sum(bool(page["notebook"]) for page in workbook.plan())
    while len(workbook.pointers()) < number:
        time.sleep(0.02)
    return True


# ------------------------------------------------------------------------ nowhere to write to


def nowhere_to_write(tally: Tally, workbook: Workbook, chosen: argparse.Namespace) -> None:
    """Build where data/processed may not be written to, and where the disk is full."""
    for name, where in (("read-only data/processed", _read_only), ("full disk", _full)):
        workbook.forget()
        workbook.processed.mkdir()
        with where(workbook) as made:
            if made:
                _one_clear_line(tally, name, workbook.evidence(*workbook.build(*DATE)))
            else:
                print(f"  NOT CHECKED: {name} (needs the right to mount a file system)")
    workbook.forget()
    again = workbook.evidence(*workbook.build(*DATE))
    tally.equal("with room again a build ends well", (again.code, again.err), (0, ""))


def _one_clear_line(tally: Tally, name: str, ended: Ended) -> None:
    lines = [line for line in ended.err.splitlines() if line.strip()]
    print(f"      exit {ended.code}, {len(lines)} lines, the first: {lines[0] if lines else ''}")
    tally.check(f"{name}: a failing exit code", ended.code in (1, 2), ended.code)
    tally.check(f"{name}: no traceback", "Traceback" not in ended.err, ended.err[-1500:])
    told = [line for line in lines if "processed" in line or "space" in line or "written" in line]
    tally.check(f"{name}: one line that says it", len(lines) == 1 and bool(told), lines[:6])


@contextmanager
def _read_only(workbook: Workbook) -> Iterator[bool]:
    """Yield whether data/processed may not be written to; an administrator may where others not."""
    if os.geteuid() == 0:
        with _mounted(workbook.processed, "ro") as made:
            yield made
        return
    workbook.processed.chmod(0o555)
    try:
        yield True
    finally:
        workbook.processed.chmod(0o755)


def _full(workbook: Workbook) -> AbstractContextManager[bool]:
    """Say whether data/processed is now a file system with room for less than one run."""
    return _mounted(workbook.processed, "size=200k")


@contextmanager
def _mounted(folder: Path, option: str) -> Iterator[bool]:
    command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(folder)]
    mounted = shutil.which("mount") and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield bool(mounted)
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


# ------------------------------------------------------------------------------------ two copies


def two_copies(tally: Tally, workbook: Workbook, chosen: argparse.Namespace) -> None:
    """Build two copies in different folders, one with plain kernels: the same bytes everywhere."""
    with copies(2, few=not chosen.all) as pair:
        forked, plain = (copy for copy in pair)
        build(forked)
        build(plain, "--plain-kernels", "--jobs", "1")
        one, other = kept(forked), kept(plain)
        numbers = results_only(one), results_only(other)
        tally.check(
            f"forked and plain kernels: the same {len(numbers[0])} results.json",
            numbers[0] == numbers[1],
            differing(*numbers),
        )
        tally.check(
            "forked and plain kernels: the same files of every run",
            one == other,
            differing(one, other),
        )
        site = contents(forked.site), contents(plain.site)
        tally.check(
            f"two copies: the same site of {len(site[0])} files",
            site[0] == site[1],
            differing(*site),
        )
        left = [path.name for copy in pair for path in copy.temporary.iterdir()]
        tally.check("builds that end leave nothing temporary", not left, left)


CHECKS: dict[str, Callable[[Tally, Workbook, argparse.Namespace], None]] = {
    "kills": killed_builds,
    "notebooks": broken_notebooks,
    "needed": failing_page,
    "second": second_build,
    "write": nowhere_to_write,
    "copies": two_copies,
}


def main() -> int:
    """Run the checks and say how many passed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="builds killed")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--all", action="store_true", help="every page, not a few of each kind")
    parser.add_argument("--only", nargs="*", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--keep", action="store_true", help="leave the copies for looking at")
    chosen = parser.parse_args()
    tally = Tally()
    for name in chosen.only:
        began = time.monotonic()
        print(f"{CHECKS[name].__doc__} {load()}", flush=True)
        with copies(1, few=not chosen.all, keep=chosen.keep) as (workbook,):
            CHECKS[name](tally, workbook, chosen)
        print(f"  ({time.monotonic() - began:.0f} s)")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
