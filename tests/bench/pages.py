"""What a page costs: ``python -m tests.bench.pages`` (``make bench``).

On copies of the workbook, it measures

1. CPU time per page of a cold build against ``papermill`` on the same notebooks and parameters;
2. wall time of the notebooks of a cold build against a serial loop of ``papermill`` commands;
3. wall time of a build that has nothing to do;
4. which pages run again when the words, then the numbers, of one indicator change;
5. the largest memory of the build.

Papermill runs a sample of pages of each notebook, before and after the build, and the loop over
all pages is worked out from their means; everything else is measured on all pages.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.bench.measure import Cost
from tests.bench.workbook import Ended, Workbook, by_notebook, copies, load

Run = dict[str, Any]
CPU_BAR, WALL_BAR = 1 / 4, 1 / 5
NO_OP_BAR = 1.0
MEMORY_BAR = 2 * 1024**3
NO_OPS = 5
OF_INDICATORS = "variation/area_variation"
"""The notebook of the pages of one indicator each."""


@dataclass(slots=True)
class Bars:
    """The bars tried so far, as rows of a table."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    missed: int = 0

    def add(self, name: str, found: str, bar: str, met: bool) -> None:
        """Note one bar."""
        self.rows.append((name, found, bar, "met" if met else "MISSED"))
        self.missed += not met

    def __str__(self) -> str:
        widths = [max(len(row[place]) for row in self.rows) for place in range(4)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in self.rows)
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Build:
    """A cold build taken apart: its whole cost, the book alone, a build with nothing to do."""

    whole: Cost
    book: Cost
    no_op: Cost
    notebooks_wall: float

    @property
    def notebooks_cpu(self) -> float:
        """CPU seconds without those of the book; start and check of the plan count here."""
        return self.whole.cpu - (self.book.cpu - self.no_op.cpu)


def told(name: str, cost: Cost) -> None:
    """Print one measurement as it comes."""
    print(
        f"  {name:<52} wall {cost.wall:7.2f} s  cpu {cost.cpu:7.2f} s  "
        f"largest process {cost.peak_process / 1e6:5.0f} MB  [{load()}]",
        flush=True,
    )


def must(ended: Ended, what: str) -> Ended:
    """Return what ended well; stop the benchmark otherwise."""
    if ended.code != 0:
        sys.exit(f"{what} ended with {ended.code}; there is nothing to time.\n{ended.err[-3000:]}")
    return ended


def built(workbook: Workbook) -> Ended:
    """Build a copy."""
    return must(workbook.evidence(*workbook.build()), "evidence build")


def sample(pages: list[dict[str, Any]], size: int) -> dict[str, list[dict[str, Any]]]:
    """Return some pages of each notebook, spread over all of them."""
    chosen: dict[str, list[dict[str, Any]]] = {}
    for notebook, number in by_notebook(pages).items():
        own = [page for page in pages if page["notebook"] == notebook]
        take = min(size, number)
        chosen[notebook] = [own[place * number // take] for place in range(take)]
    return chosen


def by_papermill(
    workbook: Workbook, pages: list[dict[str, Any]], costs: dict[str, list[Cost]]
) -> None:
    """Run pages one after the other by Papermill's command, and add what each cost."""
    for page in pages:
        ended = must(workbook.papermill(page, workbook.temporary / "out.ipynb"), "papermill")
        told(f"papermill {page['notebook']} ({page['id']})", ended.cost)
        costs.setdefault(page["notebook"], []).append(ended.cost)


def cold_build(workbook: Workbook) -> Build:
    """Build all from nothing, then the book alone, then nothing."""
    workbook.forget()
    started = time.time()
    whole = built(workbook)
    notebooks = workbook.notebooks_ended() - started
    told("evidence build, cold", whole.cost)
    for folder in ("_build", "_site"):
        workbook.measure(["rm", "-r", str(workbook.root / "book" / folder)], workbook.root)
    book = built(workbook)
    told("evidence build, the book alone", book.cost)
    no_op = built(workbook)
    told("evidence build, nothing to do", no_op.cost)
    return Build(whole.cost, book.cost, no_op.cost, notebooks)


def weighted(
    costs: dict[str, list[Cost]], pages: list[dict[str, Any]], of: Callable[[Cost], float]
) -> float:
    """Return the sum over all pages, each taken as the mean of its notebook's sample."""
    return sum(
        number * statistics.mean(of(cost) for cost in costs[notebook])
        for notebook, number in by_notebook(pages).items()
    )


def compare_cost(
    bars: Bars, builds: list[Build], costs: dict[str, list[Cost]], pages: list[dict[str, Any]]
) -> None:
    """Set CPU and wall time of the builds beside those of Papermill's command."""
    number = sum(by_notebook(pages).values())
    cpu = statistics.mean(build.notebooks_cpu for build in builds)
    wall = statistics.mean(build.notebooks_wall for build in builds)
    loop_cpu = weighted(costs, pages, lambda cost: cost.cpu)
    loop_wall = weighted(costs, pages, lambda cost: cost.wall)
    ran = sum(len(each) for each in costs.values())
    print(f"\nPapermill's loop over {number} pages is worked out from {ran} runs:")
    for notebook, each in costs.items():
        means = [statistics.mean(of) for of in zip(*((c.cpu, c.wall) for c in each), strict=True)]
        print(
            f"  {notebook:<32} {by_notebook(pages)[notebook]:3d} pages, {len(each)} runs: "
            f"cpu {means[0]:.2f} s, wall {means[1]:.2f} s each"
        )
    book = statistics.mean(build.book.wall - build.no_op.wall for build in builds)
    book_cpu = statistics.mean(build.book.cpu - build.no_op.cpu for build in builds)
    print(f"The book part, stated apart: wall {book:.1f} s, cpu {book_cpu:.1f} s.\n")
    bars.add(
        "CPU per page / papermill",
        f"{cpu / number:.2f} s / {loop_cpu / number:.2f} s = {cpu / loop_cpu:.3f}",
        f"<= {CPU_BAR}",
        cpu / loop_cpu <= CPU_BAR,
    )
    bars.add(
        "wall of the notebooks / serial papermill",
        f"{wall:.1f} s / {loop_wall:.0f} s = {wall / loop_wall:.3f}",
        f"<= {WALL_BAR}",
        wall / loop_wall <= WALL_BAR,
    )
    tree = max(build.whole.peak_tree for build in builds)
    one = max(build.whole.peak_process for build in builds)
    most = max(build.whole.processes for build in builds)
    bars.add(
        "memory of the build, largest",
        f"{tree / 1e6:.0f} MB over at most {most} processes (largest one {one / 1e6:.0f} MB)",
        f"<= {MEMORY_BAR / 1e6:.0f} MB",
        tree <= MEMORY_BAR,
    )
    left = sum(build.whole.left_behind for build in builds)
    bars.add("processes left behind by a build", str(left), "0", left == 0)


def nothing_to_do(bars: Bars, workbook: Workbook) -> None:
    """Time a build that has nothing to do."""
    walls = [built(workbook).cost.wall for _ in range(NO_OPS)]
    middle = statistics.median(walls)
    shown = ", ".join(f"{wall:.2f}" for wall in sorted(walls))
    name = f"nothing to do, median of {NO_OPS}"
    bars.add(name, f"{middle:.2f} s ({shown})", f"<= {NO_OP_BAR} s", middle <= NO_OP_BAR)


def changed_definition(bars: Bars, workbook: Workbook, pages: list[dict[str, Any]]) -> None:
    """Change one indicator's words, then its numbers, and see which pages run again."""
    indicator = next(page["subject"] for page in pages if page["notebook"] == OF_INDICATORS)
    path = workbook.root / "data" / "definitions" / "indicators" / f"{indicator}.yml"
    key = path.relative_to(workbook.root).as_posix()
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    words = {**definition, "lever": "Other words about what could be done."}
    numbers = {**words, "default_period": definition["periods"][-2]}
    for name, changed in (("words", words), ("numbers", numbers)):
        before = workbook.published()
        path.write_text(yaml.safe_dump(changed, allow_unicode=True), encoding="utf-8")
        ended = built(workbook)
        told(f"evidence build after the {name} of an indicator changed", ended.cost)
        expected = using(key, before, workbook.published())
        more, fewer = sorted(set(ended.ran) - expected), sorted(expected - set(ended.ran))
        fewer += sorted(planned_to_use(pages, indicator) - expected)
        wrong = "".join(
            f"; {how}: {_shortened(wrongly)}"
            for how, wrongly in (("too many", more), ("missing", fewer))
            if wrongly
        )
        bars.add(
            f"pages run again when {name} of {indicator} change",
            f"{len(ended.ran)} of {len(before)}{wrong}",
            str(len(expected)),
            not wrong and len(ended.ran) == len(expected),
        )
        print(f"    ran: {_shortened(ended.ran)}")


def using(key: str, before: dict[str, Run], after: dict[str, Run]) -> set[str]:
    """Return the pages that read a file, or a page whose results changed, by their own records."""
    changed = {id for id in before if before[id]["results_sha256"] != after[id]["results_sha256"]}
    return {id for id, run in before.items() if key in run["reads"] or changed & set(run["pages"])}


def planned_to_use(pages: list[dict[str, Any]], indicator: str) -> set[str]:
    """Return the pages that must use an indicator: its own, and those that need that one."""
    return {
        page["id"] for page in pages if indicator == page["subject"] or indicator in page["needs"]
    }


def _shortened(pages: list[str]) -> str:
    areas = [page for page in pages if page.startswith("area-")]
    others = [page for page in pages if not page.startswith("area-")]
    shown = areas if len(areas) < 4 else [f"{len(areas)} area pages ({areas[0]} … {areas[-1]})"]
    return ", ".join([*others, *shown])


def main() -> int:
    """Measure everything and say which bars were met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--few", action="store_true", help="a page or two of each notebook")
    parser.add_argument("--rounds", type=int, default=1, help="cold builds, each between samples")
    parser.add_argument("--sample", type=int, default=2, help="pages of each notebook by papermill")
    parser.add_argument("--keep", action="store_true", help="leave the copies for looking at")
    chosen = parser.parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        sys.exit("The benchmark needs Linux: it reads /proc and adopts orphaned processes.")
    bars, costs, builds = Bars(), dict[str, list[Cost]](), list[Build]()
    with copies(2, few=chosen.few, keep=chosen.keep) as (ours, theirs):
        pages = ours.plan()
        print(f"{sum(by_notebook(pages).values())} pages with a notebook. {load()}")
        told(
            "evidence build, warming up",
            built(theirs).cost,
        )
        runs = [page for some in sample(pages, chosen.sample).values() for page in some]
        for _ in range(chosen.rounds):
            by_papermill(theirs, runs[::2], costs)
            builds.append(cold_build(ours))
            by_papermill(theirs, runs[1::2], costs)
        compare_cost(bars, builds, costs, pages)
        nothing_to_do(bars, ours)
        changed_definition(bars, ours, pages)
    print(f"\n{bars}\n{len(bars.rows) - bars.missed} met, {bars.missed} missed. {load()}")
    return 1 if bars.missed else 0


if __name__ == "__main__":
    sys.exit(main())
