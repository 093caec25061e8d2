"""What the methods of synthesis cost: ``python -m tests.bench.synthesis`` (``make bench``).

Each task is done in a process of its own: first once for its memory, then some rounds of which the
best counts.  CPU time is printed beside the clock's: on a busy machine only that one can be
believed, and the bars are about it.  Where PyMARE can be imported (with its Knapp-Hartung interval,
the default) the single fit is timed there too, and its bar is a share of that; where R with metafor
is installed the same tasks are timed in R, without a bar.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from tests.bench.workbook import load

from evidence.synthesis.fit import fit
from evidence.synthesis.many import pool_many

ROUNDS = 5
METHODS = ("REML", "DL", "PM", "ML")
PER_SPECIFICATION = 20.0
"""Microseconds that one of 10,000 specifications over 100 studies may take."""

OF_PYMARE = 1 / 5
"""What a single fit may take of PyMARE's time."""

OF_LINEAR = 1.5
"""Time per study at 100,000 studies over that at 10,000; linear is 1."""

MEMORY = 500e6
"""Bytes that a million specifications may take, the libraries included."""


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of the clock and of the processor in the best round, and the largest memory."""

    wall: float
    cpu: float
    memory: int


def studies(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return effects and variances of studies that differ."""
    draw = np.random.default_rng(k)
    v = draw.uniform(0.01, 0.3, k)
    return draw.normal(0.3, np.sqrt(v + 0.08)), v


def subsets(count: int) -> np.ndarray:
    """Return which of 100 studies each specification includes, about half of them."""
    return np.random.default_rng(1).integers(0, 2, (count, 100), dtype=np.int8).astype(bool)


def specifications(count: int) -> Callable[[], object]:
    """Return a task: pool as many subsets, a quarter of them by each estimator."""
    y, v = studies(100)
    parts = np.array_split(subsets(count), len(METHODS))

    def task() -> object:
        return [
            pool_many(y, v, part, tau2=method) for part, method in zip(parts, METHODS, strict=True)
        ]

    return task


def one_fit(k: int) -> Callable[[], object]:
    """Return a task: one restricted maximum likelihood fit with its Hartung-Knapp interval."""
    y, v = studies(k)
    return lambda: fit(y, v)


def one_fit_of_pymare(k: int) -> Callable[[], object]:
    """Return the same task for PyMARE."""
    from pymare import meta_regression

    y, v = studies(k)
    return lambda: meta_regression(y, v, method="REML").get_fe_stats()


TASKS: dict[str, tuple[Callable[[int], Callable[[], object]], int, int]] = {
    "specifications": (specifications, 10_000, 1),
    "a million specifications": (specifications, 1_000_000, 1),
    "one fit": (one_fit, 100, 200),
    "one fit of PyMARE": (one_fit_of_pymare, 100, 50),
    "fit of 10,000 studies": (one_fit, 10_000, 20),
    "fit of 100,000 studies": (one_fit, 100_000, 2),
}
"""Name to what makes the task, of which size, and how often a round does it."""


def timed(name: str, rounds: int) -> Took:
    """Return what a task takes once, in the best of some rounds."""
    make, size, often = TASKS[name]
    task = make(size)
    task()
    best = min((_round(task, often) for _ in range(rounds)), key=lambda pair: pair[1])
    return Took(*best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _round(task: Callable[[], Any], often: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(often):
        task()
    return (time.perf_counter() - wall) / often, (time.process_time() - cpu) / often


IN_R = """
suppressMessages(library(metafor)); set.seed(1); k <- 100
v <- runif(k, .01, .3); y <- rnorm(k, .3, sqrt(v + .08)); m <- c('REML', 'DL', 'PM', 'ML')
one <- system.time(for (i in 1:20) rma(y, v, test = 'knha'))[['elapsed']] / 20
many <- system.time(for (i in 1:200) {
  s <- runif(k) < .5; rma(y[s], v[s], method = m[i %% 4 + 1], test = 'knha') })[['elapsed']] / 200
cat(sprintf('R: one fit %.0f µs, one specification %.0f µs', one * 1e6, many * 1e6))
"""


def in_r() -> str:
    """Return what metafor takes for one fit and for one specification, or why it was not timed."""
    if shutil.which("Rscript") is None:
        return "SKIPPED, not met and not missed: R is not installed, so metafor was not timed."
    ended = subprocess.run(["Rscript", "-e", IN_R], capture_output=True, text=True, check=False)
    if ended.returncode:
        return "SKIPPED, not met and not missed: R lacks metafor."
    return ended.stdout


def main() -> int:
    """Time everything and say which bars were met."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    missed = 0
    many = _apart("specifications")
    each = many.cpu / TASKS["specifications"][1] * 1e6
    missed += _told(
        "10,000 specifications over 100 studies", many, each, "µs each", PER_SPECIFICATION
    )
    million = _apart("a million specifications", 1)
    missed += _told("1,000,000 specifications", million, million.memory / 1e6, "MB", MEMORY / 1e6)
    single = _apart("one fit")
    if importlib.util.find_spec("pymare"):
        peer = _apart("one fit of PyMARE")
        words = f"one REML and Hartung-Knapp fit, PyMARE {peer.cpu * 1e6:.0f} µs"
        missed += _told(words, single, single.cpu * 1e6, "µs", peer.cpu * OF_PYMARE * 1e6)
    else:
        print(f"one REML and Hartung-Knapp fit of 100 studies: {single.cpu * 1e6:.0f} µs")
        print("SKIPPED, not met and not missed: PyMARE cannot be imported, so it was not timed.")
    fewer, more = _apart("fit of 10,000 studies"), _apart("fit of 100,000 studies")
    ratio = (more.cpu / 100_000) / (fewer.cpu / 10_000)
    missed += _told("100,000 studies, per study over 10,000", more, ratio, "times", OF_LINEAR)
    print(in_r())
    print(f"\n{missed} bars missed. {load()}")
    return 1 if missed else 0


def _apart(name: str, rounds: int = ROUNDS) -> Took:
    """Time a task in a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(timed, name, rounds).result()


def _told(name: str, took: Took, found: float, unit: str, bar: float) -> bool:
    """Print one bar and return whether it was missed."""
    missed = found > bar
    print(
        f"{name:<54}{found:8.2f} {unit:<8} bar {bar:7.2f}  {took.wall:9.6f} s "
        f"(cpu {took.cpu:9.6f} s) {took.memory / 1e6:5.0f} MB  {'MISSED' if missed else 'met'}",
        flush=True,
    )
    return missed


if __name__ == "__main__":
    sys.exit(main())
