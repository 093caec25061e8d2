"""Copies of the workbook, to be built, timed and broken without touching the original.

A copy holds the code too, so that edits made meanwhile do not reach a long check; nothing that was
ever computed is copied.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
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
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
FEW_INDICATORS = ("talking-therapies-recovery", "depression-review")
FEW_AREAS = ({"area": "07R", "id": "area-camden", "title": "Camden"},)
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
    """One copy of the workbook with a folder of its own for temporary files."""

    root: Path
    temporary: Path

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
        """Return the environment in which commands work on this copy and no other."""
        return {
            **os.environ,
            **dict.fromkeys(ONE_THREAD, "1"),
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
        """Return the pages of the report, as its own code plans them."""
        done = subprocess.run(
            [sys.executable, "-c", PLAN],
            cwd=self.root,
            env=self.environment(),
            text=True,
            capture_output=True,
            check=True,
        )
        return list(json.loads(done.stdout))

    def forget(self) -> None:
        """Delete all that was computed and built."""
        for folder in (self.processed, self.root / "book" / "_build", self.site):
            shutil.rmtree(folder, ignore_errors=True)

    def notebooks_ended(self) -> float:
        """Return when (seconds since 1970) the last page was published or marked failed."""
        return max(path.stat().st_mtime for path in (self.processed / "pages").glob("*.json"))


@contextmanager
def copies(number: int, *, few: bool = False, keep: bool = False) -> Iterator[list[Workbook]]:
    """Yield fresh copies of the workbook, below a temporary folder.

    Parameters
    ----------
    number
        How many.
    few
        Keep two indicators and one area of the families, for quick checks.
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
    temporary.mkdir()
    if few:
        _keep_few(root)
    return Workbook(root, temporary)


def _keep_few(root: Path) -> None:
    for path in (root / "data" / "definitions" / "indicators").glob("*.yml"):
        if path.stem not in FEW_INDICATORS:
            path.unlink()
    plan = root / "book" / "report.yml"
    report = yaml.safe_load(plan.read_text(encoding="utf-8"))
    for part in report["parts"]:
        part["pages"] = [few for page in part["pages"] for few in _few(page)]
    plan.write_text(yaml.safe_dump(report, sort_keys=False), encoding="utf-8")
    (root / "book" / "areas.md").write_text("# Find your area\n\nA few.\n", encoding="utf-8")


def _few(page: dict[str, Any]) -> list[dict[str, Any]]:
    if not page.get("for_each", "").startswith("areas"):
        return [page]
    rest = {key: value for key, value in page.items() if key != "for_each"}
    return [
        {**rest, "id": area["id"], "title": area["title"], "parameters": {"area": area["area"]}}
        for area in FEW_AREAS
    ]


def by_notebook(pages: list[dict[str, Any]]) -> Counter[str]:
    """Return how many pages each notebook makes."""
    return Counter(page["notebook"] for page in pages if page["notebook"])


def load() -> str:
    """Return how busy the machine is, for the record."""
    one, five, _ = os.getloadavg()
    return f"{time.strftime('%H:%M:%S')} load {one:.1f} {five:.1f} on {os.cpu_count()} cores"
