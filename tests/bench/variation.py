"""What the methods of variation cost: ``python -m tests.bench.variation`` (``make bench``).

Each task is done five times in a process of its own, the best time counts, and the largest memory
of the process is printed.  CPU time is printed beside it: on a busy machine only that one can be
believed.  Where R and its packages are installed the same task is timed there,
side by side; its time is no bar.  The national table is read from the reference copies, and skipped
loudly where they are not.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.bench.workbook import load

from evidence.variation import inequality, limits, multilevel, spc, standardise

ROUNDS = 5
NATIONAL = (
    Path(__file__).resolve().parents[3]
    / "shared/data/nhs_talking_therapies_annual/measures_annual.parquet"
)
MEMORY_BAR = 2 * 1024**3
PERIODS = [f"{2020 + at // 12}-{at % 12 + 1:02d}" for at in range(60)]

FINISHED = "finished_course_treatment"
SHARES = {
    "recovery": (FINISHED, "not_at_caseness"),
    "reliable_recovery": (FINISHED, "not_at_caseness"),
    "improvement": (FINISHED, ""),
    "deterioration": (FINISHED, ""),
    "no_reliable_change": (FINISHED, ""),
    "at_caseness": (FINISHED, ""),
    "not_at_caseness": (FINISHED, ""),
    FINISHED: ("referrals_received", ""),
    "<6 weeks": (FINISHED, ""),
    "<18 weeks": (FINISHED, ""),
}
"""Measure (or wait) to the whole that it is a share of, and what is taken off that."""


def practices() -> pd.DataFrame:
    """Return events and people of 6,500 practices in 19 age bands."""
    draw, bands = np.random.default_rng(1), standardise.ESP2013
    people = draw.integers(50, 800, 6500 * len(bands))
    return pd.DataFrame(
        {
            "area_code": np.repeat([f"P{at:05d}" for at in range(6500)], len(bands)),
            "age_band": list(bands) * 6500,
            "numerator": draw.poisson(people * 0.02),
            "denominator": people,
            "standard": list(bands.values()) * 6500,
        }
    )


def series() -> pd.DataFrame:
    """Return 60 months of 200 indicators in 33 boroughs."""
    value = np.random.default_rng(1).normal(100, 10, 200 * 33 * 60)
    return pd.DataFrame(
        {
            "indicator": np.repeat(np.arange(200), 33 * 60),
            "area": np.tile(np.repeat(np.arange(33), 60), 200),
            "period": np.tile(PERIODS, 200 * 33),
            "value": value,
        }
    )


def quantiles() -> pd.DataFrame:
    """Return proportions with limits in ten quantiles of deprivation of 33 areas."""
    value = np.random.default_rng(1).uniform(0.3, 0.6, 330)
    return pd.DataFrame(
        {
            "area_code": np.repeat(np.arange(33), 10),
            "rank": np.tile(np.arange(1, 11), 33),
            "population": 1000,
            "value": value,
            "low": value - 0.02,
            "high": value + 0.02,
        }
    )


def groups() -> pd.DataFrame:
    """Return people with an outcome in 6,500 practices that differ, and a covariate."""
    draw = np.random.default_rng(1)
    x, n = draw.normal(size=6500), draw.integers(300, 1200, 6500)
    chance = 1 / (1 + np.exp(1 - 0.2 * x - draw.normal(0, 0.4, 6500)))
    seen = draw.binomial(n, chance)
    return pd.DataFrame({"practice": np.arange(6500), "x": seen, "n": n, "score": x})


def rates(table: pd.DataFrame) -> None:
    """Standardise directly, with intervals."""
    assert (standardise.direct_rates(table)["status"] == "ok").all()


def charts(table: pd.DataFrame) -> None:
    """Draw limits, apply the rules, label the points."""
    found = spc.charts(table, by=["indicator", "area"], direction_better="higher")
    assert 0 < (found["point"] != "common cause").mean() < 0.1


def slopes(table: pd.DataFrame) -> None:
    """Find slope indices with intervals from 100,000 draws."""
    found = inequality.slope_indices(table, by="area_code", kind="proportion", draws=100_000)
    assert (found["status"] == "ok").all()


def intercepts(table: pd.DataFrame) -> None:
    """Fit a random intercept."""
    found = multilevel.random_intercept(table, outcome="x", trials="n", group="practice")
    assert found["sd_group"].low < np.hypot(0.4, 0.2) < found["sd_group"].high


def intercepts_given_score(table: pd.DataFrame) -> None:
    """Fit a random intercept and a covariate."""
    found = multilevel.random_intercept(
        table, outcome="x", trials="n", group="practice", covariates=["score"]
    )
    assert found["sd_group"].low < 0.4 < found["sd_group"].high


def national(path: str) -> int:
    """Read the national table and judge every CCG by every indicator in every year.

    Returns
    -------
    int
        The number of funnels.
    """
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    wanted = (pc.field("org_type") == "CCG") & (pc.field("measure_statistic") == "count")
    waits = (pc.field("variable_a") == "First treatment") & (pc.field("measure_name") == FINISHED)
    wanted &= (pc.field("variable_type") == "Total") | waits
    keys = ["reporting_period", "org_code", "org_name"]
    columns = [*keys, "variable_type", "variable_b", "measure_name", "value"]
    rows = ds.dataset(path).to_table(columns=columns, filter=wanted).to_pandas()
    rows["count"] = pd.to_numeric(rows["value"], errors="coerce")
    total = rows["variable_type"] == "Total"
    rows["measure"] = rows["measure_name"].where(total, rows["variable_b"])
    wide = rows.pivot(index=keys, columns="measure", values="count").reset_index()
    funnels = 0
    for _, year in wide.groupby("reporting_period"):
        for numerator, (denominator, less) in SHARES.items():
            counts = year[["org_code", "org_name"]].assign(
                numerator=year[numerator],
                denominator=year[denominator] - (year[less] if less else 0),
            )
            found = limits.funnel(
                counts, direction_better="none", area_code="org_code", area="org_name"
            )
            assert found.known
            assert len(found.table) == len(year)
            funnels += 1
    return funnels


TASKS: dict[str, tuple[Callable[[], pd.DataFrame], Callable[[pd.DataFrame], None], float]] = {
    "direct rates with intervals, 6,500 × 19": (practices, rates, 0.2),
    "control charts with rules and labels, 200 × 33 × 60": (series, charts, 1.0),
    "slope indices, 100,000 draws × 33 areas": (quantiles, slopes, 0.5),
    "binomial random intercept, 6,500 practices": (groups, intercepts, 2.0),
    "binomial random intercept and a covariate": (groups, intercepts_given_score, 2.0),
}
"""Task to how its table is made, what is done, and the bar in seconds."""

IN_R: dict[str, tuple[str, str]] = {
    "direct rates with intervals, 6,500 × 19": (
        "PHEindicatormethods",
        "d <- dplyr::group_by(d, area_code); "
        "calculate_dsr(d, numerator, denominator, stdpop = standard)",
    ),
    "control charts with rules and labels, 200 × 33 × 60": (
        "NHSRplotthedots",
        "d$period <- as.Date(paste0(d$period, '-01')); "
        "for (one in split(d, list(d$indicator, d$area))) ptd_spc(one, value, period)",
    ),
    "slope indices, 100,000 draws × 33 areas": (
        "PHEindicatormethods",
        "d <- dplyr::group_by(d, area_code); phe_sii(d, rank, population, value = value, "
        "value_type = 2, lower_cl = low, upper_cl = high, repetitions = 1e5)",
    ),
    "binomial random intercept, 6,500 practices": (
        "lme4",
        "glmer(cbind(x, n - x) ~ 1 + (1 | practice), data = d, family = binomial, nAGQ = 1)",
    ),
    "binomial random intercept and a covariate": (
        "lme4",
        "glmer(cbind(x, n - x) ~ score + (1 | practice), data = d, family = binomial, nAGQ = 1)",
    ),
}
"""Task to the R package that does the same, and the call, on a table `d`."""


@dataclass(frozen=True, slots=True)
class Took:
    """What a task took: seconds of the clock and of the processor, and the largest memory."""

    wall: float
    cpu: float
    memory: int
    found: Any


def timed(name: str) -> Took:
    """Return what a task took, the best of some rounds."""
    make, do, _ = TASKS[name]
    table = make()
    return min((_once(do, table) for _ in range(ROUNDS)), key=lambda took: took.wall)


def _once(do: Callable[[Any], Any], what: Any) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    found = do(what)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Took(wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, found)


def timed_national() -> Took:
    """Return what the national table took, read once."""
    return _once(national, str(NATIONAL))


def in_r(name: str) -> str:
    """Return what the same task takes in R, or why it was not timed."""
    package, call = IN_R[name]
    if shutil.which("Rscript") is None:
        return "R is not installed"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        TASKS[name][0]().to_csv(path, index=False)
        code = (
            f"suppressMessages(library({package})); d <- read.csv('{path}'); "
            f"cat(system.time(invisible({{{call}}}))[['elapsed']])"
        )
        ended = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=False)
    return f"R {float(ended.stdout):.2f} s" if ended.returncode == 0 else f"R lacks {package}"


def main() -> int:
    """Time everything and say which bars were met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    missed = 0
    for name, (_, _, bar) in TASKS.items():
        took = _apart(timed, name)
        missed += _told(name, took, bar, in_r(name))
    if NATIONAL.is_file():
        took = _apart(timed_national)
        missed += _told(f"national table, from file to {took.found} funnels", took, 10.0)
        missed += took.memory > MEMORY_BAR
        print(f"{'':<54}its memory: bar {MEMORY_BAR / 1e6:.0f} MB")
    else:
        print(f"SKIPPED, not met and not missed: there is no {NATIONAL.name} beside the workbook.")
    print(f"\n{missed} bars missed. {load()}")
    return 1 if missed else 0


def _apart(task: Callable[..., Any], *arguments: str) -> Any:
    """Do a task in a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(task, *arguments).result()


def _told(name: str, took: Took, bar: float, other: str = "") -> bool:
    """Print one bar and return whether it was missed."""
    missed = took.wall > bar
    print(
        f"{name:<54}{took.wall:6.2f} s (cpu {took.cpu:5.2f} s), bar {bar:4.1f} s  "
        f"{took.memory / 1e6:5.0f} MB  {'MISSED' if missed else 'met'}  {other}".rstrip(),
        flush=True,
    )
    return missed


if __name__ == "__main__":
    sys.exit(main())
