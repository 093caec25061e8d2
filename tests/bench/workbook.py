"""Copies of the workbook, to be built, timed and broken without touching the original.

A copy holds the code too, so that edits made meanwhile do not reach a long check; nothing that was
ever computed is copied.
"""

from __future__ import annotations

import compileall
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.bench.measure import Cost

ROOT = Path(__file__).resolve().parents[2]
MEASURE = Path(__file__).with_name("measure.py")
COPIED = ("data/raw", "data/definitions", "notebooks", "book", "src")
NOT_COPIED = shutil.ignore_patterns("_site", "_build", "__pycache__", ".ipynb_checkpoints")
UNUSUAL = (
    "PYTHONDONTWRITEBYTECODE",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)
EVIDENCE = "from evidence.cli import main; main()"
PLAN = """\
import json
from evidence import book
from evidence.data import catalogue
plan = book.plan(catalogue.root())
keys = ("id", "title", "notebook", "parameters", "needs", "part", "subject")
print(json.dumps([{key: getattr(page, key) for key in keys} for page in plan.pages]))
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ended: exit code, what it said, and its cost."""

    code: int
    out: str
    err: str
    cost: Cost

    @property
    def ran(self) -> list[str]:
        """The pages that a build ran, in the order in which they ended."""
        pages = re.findall(r"\bran (\S+) in [\d.]+ s$", self.out, re.MULTILINE)
        said = re.search(r"pages?: (\d+) run\b", self.out)
        if self.code == 0 and (said is None or int(said[1]) != len(pages)):
            raise ValueError(f"a build must list the pages that it counts as run; got {self.out!r}")
        return pages


@dataclass(frozen=True, slots=True)
class Workbook:
    """One copy of the workbook with a folder of its own for temporary files.

    Only `chosen` pages are run in it, if any are named.
    """

    root: Path
    temporary: Path
    chosen: tuple[str, ...] = ()

    @property
    def processed(self) -> Path:
        """Folder of what is computed."""
        return self.root / "data" / "processed"

    @property
    def runs(self) -> Path:
        """Folder of the finished runs."""
        return self.processed / "runs"

    @property
    def site(self) -> Path:
        """The built book."""
        return self.root / "book" / "_site"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment in which commands work on this copy and no other.

        It is a user's: threads as each command sets them, compiled modules kept.
        """
        users = {name: value for name, value in os.environ.items() if name not in UNUSUAL}
        return {
            **users,
            "PYTHONPATH": str(self.root / "src"),
            "PYTHONUNBUFFERED": "1",
            "EVIDENCE_ROOT": str(self.root),
            "TMPDIR": str(self.temporary),
            **more,
        }

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        """Start ``evidence`` with these words, in a session of its own, and do not wait."""
        return subprocess.Popen(
            [sys.executable, "-c", EVIDENCE, *words],
            cwd=self.root,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **more,
        )

    def build(self, *words: str) -> list[str]:
        """Return the words of ``evidence build`` for this copy."""
        return ["build", *words, *self.chosen]

    def evidence(self, *words: str) -> Ended:
        """Run ``evidence`` with these words to its end, measured."""
        return self.measure([sys.executable, "-c", EVIDENCE, *words], self.root)

    def papermill(self, page: dict[str, Any], out: Path) -> Ended:
        """Run the notebook of a page with its parameters by Papermill's own command, measured."""
        notebook = self.root / "notebooks" / f"{page['notebook']}.ipynb"
        parameters = yaml.safe_dump(page["parameters"])
        command = [sys.executable, "-m", "papermill", str(notebook), str(out), "-k", "python3"]
        return self.measure([*command, "-y", parameters], notebook.parent)

    def measure(self, command: list[str], folder: Path) -> Ended:
        """Run any command on this copy, measured with all its descendants."""
        with tempfile.TemporaryDirectory() as scratch:
            cost = Path(scratch) / "cost.json"
            done = subprocess.run(
                [sys.executable, str(MEASURE), str(cost), "--", *command],
                cwd=folder,
                env=self.environment(),
                text=True,
                capture_output=True,
                check=True,
            )
            known = Cost(**json.loads(cost.read_text(encoding="utf-8")))
        return Ended(known.code, done.stdout, done.stderr, known)

    def plan(self) -> list[dict[str, Any]]:
        """Return the pages that a build of this copy runs, as its own code plans them."""
        done = subprocess.run(
            [sys.executable, "-c", PLAN],
            cwd=self.root,
            env=self.environment(),
            text=True,
            capture_output=True,
            check=True,
        )
        pages: list[dict[str, Any]] = json.loads(done.stdout)
        return [page for page in pages if page["id"] in self.chosen or not self.chosen]

    def published(self) -> dict[str, dict[str, Any]]:
        """Return run.json of every page that is published."""
        pointers = [json.loads(path.read_text("utf-8")) for path in self.pointers()]
        return {
            each["page"]: json.loads((self.runs / each["run"] / "run.json").read_text("utf-8"))
            for each in pointers
            if each["run"]
        }

    def pointers(self) -> list[Path]:
        """Return the files that say what is published."""
        return sorted((self.processed / "pages").glob("*.json"))

    def forget(self) -> None:
        """Delete all that was computed and built."""
        for folder in (self.processed, self.root / "book" / "_build", self.site):
            shutil.rmtree(folder, ignore_errors=True)

    def notebooks_ended(self) -> float:
        """Return when (seconds since 1970) the last page was published or marked failed."""
        return max(path.stat().st_mtime for path in self.pointers())


@contextmanager
def copies(number: int, *, few: bool = False, keep: bool = False) -> Iterator[list[Workbook]]:
    """Yield fresh copies of the workbook, below a temporary folder.

    Parameters
    ----------
    number
        How many.
    few
        Run a page or two of each notebook only, for quick checks; the book shows them all.
    keep
        Leave the folder behind, for looking at what went wrong.
    """
    folder = Path(tempfile.mkdtemp(prefix="workbook-"))
    try:
        yield [_copy(folder / f"{'copy' * (place + 1)}{place}", few) for place in range(number)]
    finally:
        if keep:
            print(f"The copies were kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _copy(folder: Path, few: bool) -> Workbook:
    root, temporary = folder / "workbook", folder / "tmp"
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name, ignore=NOT_COPIED)
    compileall.compile_dir(root / "src", quiet=1)  # neither side pays for the first import
    temporary.mkdir()
    whole = Workbook(root, temporary)
    return Workbook(root, temporary, few_of(whole.plan())) if few else whole


def few_of(pages: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return a page of each notebook that needs no other, and the cheapest one that needs some."""
    needs = {page["id"]: set(page["needs"]) for page in pages if page["notebook"]}
    firsts = {page["notebook"]: page["id"] for page in reversed(pages) if not page["needs"]}
    chosen = {id for notebook, id in firsts.items() if notebook}
    readers = {id: needed(id, needs) for id, own in needs.items() if own}
    if readers:
        chosen |= min(readers.values(), key=lambda below: (len(below - chosen), sorted(below)))
    return tuple(page["id"] for page in pages if page["id"] in chosen)


def needed(page: str, needs: Mapping[str, set[str]]) -> set[str]:
    """Return a page and all that it needs, by way of others too."""
    return {page}.union(*(needed(need, needs) for need in needs[page]))


def by_notebook(pages: list[dict[str, Any]]) -> Counter[str]:
    """Return how many pages each notebook makes."""
    return Counter(page["notebook"] for page in pages if page["notebook"])


def load() -> str:
    """Return how busy the machine is, for the record."""
    one, five, _ = os.getloadavg()
    return f"{time.strftime('%H:%M:%S')} load {one:.1f} {five:.1f} on {os.cpu_count()} cores"
