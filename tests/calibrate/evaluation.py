"""How well the evaluation methods keep what they promise, on series with a planted change.

`python tests/calibrate/evaluation.py [--draws 2000] [--seed 1]` prints a table and ends with exit
code 1 if a bar is missed. Bars allow for the Monte Carlo error of the number of draws.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evidence.evaluation import models
from evidence.evaluation.calibration import NAMES, interval_coverage
from evidence.evaluation.calibration import made_errors as errors
from evidence.evaluation.checks import Question
from evidence.evaluation.clusters import fit_clustered
from evidence.evaluation.differences import difference_in_differences, permutation_test
from evidence.evaluation.series import controlled_series, interrupted_series
from evidence.evaluation.synthetic import synthetic_control

STEP = 2.0
"""Planted change of level, where the errors have standard deviation 1."""
FULL = 2000
"""Draws from which on bars hold as they stand."""


@dataclass(frozen=True)
class Line:
    cell: str
    what: str
    value: float
    low: float = -np.inf
    high: float = np.inf

    def met(self, draws: int) -> bool:
        """Whether the bar is met; shares of few draws are allowed their Monte Carlo error."""
        more = slack(min(max(self.value, 0.02), 0.98), draws) if draws < FULL and self.share else 0
        return self.low - more <= self.value <= self.high + more

    @property
    def share(self) -> bool:
        return not self.what.startswith("bias")

    def printed(self, draws: int) -> str:
        bar = ""
        if np.isfinite(self.low) or np.isfinite(self.high):
            limits = [f"{x:.3g}" if np.isfinite(x) else "" for x in (self.low, self.high)]
            bar = f"  bar {limits[0]}..{limits[1]}  {'met' if self.met(draws) else 'MISSED'}"
        return f"{self.cell:<52} {self.what:<44} {self.value:8.4f}{bar}"


def slack(share: float, draws: int) -> float:
    """Three Monte Carlo standard errors of a share."""
    return 3 * float(np.sqrt(share * (1 - share) / draws))


def design(n: int) -> np.ndarray:
    t, after = np.arange(1, n + 1.0), np.arange(n) >= n // 2
    return np.column_stack([np.ones(n), t, after, after * (t - n // 2 - 1)])


def linear(random: np.random.Generator, draws: int) -> Iterator[Line]:
    """Coverage of the level change by every kind of error, and the bias of the default."""
    for n, correlations in ((24, [0.3]), (48, [0.0, 0.3, 0.6]), (96, [0.3])):
        seed = int(random.integers(2**31))
        found = interval_coverage(points=n, correlations=correlations, draws=draws, seed=seed)
        for row in found.table.itertuples():
            cell = f"interrupted series, {n} points, AR(1) {row.correlation}"
            default = " (default)" * (row.errors == "ar1")
            bar = 3 * row.bias_error if default else np.inf
            yield Line(cell, f"bias of the level, {row.errors}{default}", row.bias, -bar, bar)
            least = 0.88 if default else -np.inf
            yield Line(cell, f"coverage, {row.errors}{default}", row.coverage, least)


def counts(random: np.random.Generator, draws: int) -> Iterator[Line]:
    """Overdispersed counts with a rate ratio of 0.8."""
    n, truth = 60, np.log(0.8)
    x = design(n)[:, :3]
    for spread in (1.0, 3.0):
        mean = 200 * np.exp(0.003 * x[:, 1] + truth * x[:, 2])
        covered = dict.fromkeys(("scaled", "poisson"), 0)
        values = np.empty(draws)
        for draw in range(draws):
            shape = mean / (spread - 1) if spread > 1 else None
            rate = mean if shape is None else random.gamma(shape, spread - 1)
            y = random.poisson(rate).astype(float)
            for kind in covered:
                found = models.fit_counts(y, x, NAMES[:3], errors=kind).contrasts(np.eye(3)[2:])
                covered[kind] += bool(found.low[0] <= truth <= found.high[0])
            values[draw] = found.value[0]
        cell = f"counts, {n} points, variance {spread:g} times the mean"
        bar = 3 * values.std() / np.sqrt(draws)
        yield Line(cell, "bias of the log rate ratio", values.mean() - truth, -bar, bar)
        for kind, count in covered.items():
            least = 0.88 if kind == "scaled" else -np.inf
            yield Line(cell, f"coverage of 95 % intervals, {kind}", count / draws, least)


def months(values: np.ndarray, **columns: np.ndarray) -> pd.DataFrame:
    labels = [f"{2020 + i // 12}-{i % 12 + 1:02d}" for i in range(len(values))]
    return pd.DataFrame({"period": labels, "value": values, **columns})


def controlled(random: np.random.Generator, draws: int) -> Iterator[Line]:
    """A shock that the control shares, with a planted change beyond it."""
    n, covered, values = 48, 0, []
    question = Question(event="2022-01", direction_better="higher")
    for _ in range(draws):
        shared = 2 * errors(random, n, 0.6) - 5 * (np.arange(n) >= n // 2)
        mine = 50 + shared + STEP * (np.arange(n) >= n // 2) + errors(random, n, 0.3)
        table = months(mine, control=40 + shared + errors(random, n, 0.3))
        level = controlled_series(table, question)["level"]
        covered += bool(level.low <= STEP <= level.high)
        values.append(level.value)
    cell = "controlled series, 48 points, AR(1) 0.3, shared shock"
    bar = 3 * np.std(values) / np.sqrt(draws)
    yield Line(cell, "bias of the level", float(np.mean(values)) - STEP, -bar, bar)
    yield Line(cell, "coverage of 95 % intervals", covered / draws, 0.88)


def placebo_dates(random: np.random.Generator, draws: int) -> Iterator[Line]:
    """How often checks fail when nothing happened before the event, errors independent."""
    failed: dict[str, int] = {}
    tried, rejected = 0, 0
    question = Question(event="2022-01", direction_better="higher")
    for _ in range(draws):
        y = 50 + 0.1 * np.arange(48) + 4 * (np.arange(48) >= 24) + random.normal(0, 1, 48)
        for check in interrupted_series(months(y), question).settings["checks"]:
            if check["check"] == "placebo date":
                tried, rejected = tried + 1, rejected + (check["p"] < 0.05)
            elif check["outcome"]:
                bad = check["outcome"] != "passed"
                failed[check["check"]] = failed.get(check["check"], 0) + bad
    cell = "checks, 48 points, independent errors, step of 4 SD"
    yield Line(cell, "one placebo date rejects", rejected / tried, 0.03, 0.07)
    for name, count in failed.items():
        bar = (0.03, 0.07) if name in ("placebo dates", "earlier trend") else (-np.inf, np.inf)
        yield Line(cell, f"check of {name} not passed", count / draws, *bar)


def panel(
    random: np.random.Generator, clusters: int, reached: int, step: float, periods: int = 12
) -> pd.DataFrame:
    """Clusters with levels of their own, shared periods, and errors that follow each other."""
    shared = random.normal(0, 1, periods)
    event = periods // 2 + 1
    rows = [
        (f"C{c:02d}", t + 1, c < reached, y + step * (c < reached and t + 1 >= event))
        for c in range(clusters)
        for t, y in enumerate(random.normal(0, 3) + shared + errors(random, periods, 0.4))
    ]
    return pd.DataFrame(rows, columns=["area_code", "period", "treated", "value"])


def few_clusters(random: np.random.Generator, draws: int) -> Iterator[Line]:
    """Size and power with few clusters, by kind of covariance."""
    for clusters, reached in ((5, 2), (10, 3), (20, 10)):
        base = panel(random, clusters, reached, 0.0)
        codes = base["area_code"].to_numpy()
        area = (codes[:, None] == np.unique(codes)[None, :]).astype(float)
        time = (base["period"].to_numpy()[:, None] == np.arange(2, 13)[None, :]).astype(float)
        did = (base["treated"] & (base["period"] > 6)).to_numpy(float)
        x, weights = np.column_stack([area, time, did]), np.eye(area.shape[1] + 12)[-1]
        rejected = dict.fromkeys(("CR2", "CR1", "CR0"), 0)
        power, values = 0, []
        for _ in range(draws):
            y = panel(random, clusters, reached, 0.0)["value"].to_numpy()
            for kind in rejected:
                found = fit_clustered(y, x, codes, kind).contrast(weights)
                rejected[kind] += found["p"] < 0.05
                if kind == "CR2":
                    values.append(found["value"])
            moved = fit_clustered(y + STEP * did, x, codes, "CR2").contrast(weights)
            power += moved["p"] < 0.05
        cell = f"difference in differences, {clusters} clusters, {reached} reached"
        bar = 3 * np.std(values) / np.sqrt(draws)
        yield Line(cell, "bias", float(np.mean(values)), -bar, bar)
        for kind, count in rejected.items():
            most = 0.07 if kind == "CR2" else np.inf
            yield Line(cell, f"size at 5 %, {kind}", count / draws, -np.inf, most)
        yield Line(cell, f"power at {STEP:g} SD, CR2", power / draws)


def permutation(random: np.random.Generator, draws: int) -> Iterator[Line]:
    """Size of the permutation test, counted in full, and its refusal."""
    question = Question(event="7", direction_better="higher")
    rejected = sum(
        permutation_test(panel(random, 8, 3, 0.0), question)["p"].value <= 0.05
        for _ in range(draws)
    )
    cell = "permutation test, 8 clusters, 3 reached"
    yield Line(cell, "size at 5 %", rejected / draws, -np.inf, 0.05 + slack(0.05, FULL))
    refused = permutation_test(panel(random, 5, 2, 9.0), question)
    yield Line("permutation test, 5 clusters, 2 reached", "refused", float(not refused.known), 1, 1)


def staggered(random: np.random.Generator, draws: int) -> Iterator[Line]:
    """Starts in two periods, effects that grow: group-time against two-way fixed effects."""
    starts = {f"C{c:02d}": (4 if c < 6 else 8 if c < 12 else None) for c in range(24)}
    question = Question(direction_better="higher")
    covered, values, plain = 0, [], []
    truth = (6 * sum(range(1, 10)) + 6 * sum(range(1, 6))) / (6 * 9 + 6 * 5) * 0.5
    for _ in range(draws):
        table = panel(random, 24, 0, 0.0)
        start = pd.to_numeric(table["area_code"].map(starts))
        since = (table["period"] - start + 1).clip(lower=0).fillna(0)
        table = table.assign(start=start.astype("Int64"), value=table["value"] + 0.5 * since)
        for method in ("group-time", "two-way fixed effects"):
            effect = difference_in_differences(
                table, question, starts="start", method=method, draws=1
            )["effect"]
            (values if method == "group-time" else plain).append(effect.value)
            if method == "group-time":
                covered += bool(effect.low <= truth <= effect.high)
    cell = "staggered starts, 24 clusters, growing effects"
    bar = 3 * np.std(values) / np.sqrt(draws)
    yield Line(cell, "bias, group-time", float(np.mean(values)) - truth, -bar, bar)
    yield Line(cell, "bias, two-way fixed effects", float(np.mean(plain)) - truth)
    yield Line(cell, "coverage of 95 % intervals, group-time", covered / draws, 0.88)


def synthetic(random: np.random.Generator, draws: int) -> Iterator[Line]:
    """The placebo test in space among alike units, none of them reached."""
    question, rejected, gaps = Question(event="16", direction_better="higher"), 0, []
    names, periods = [f"U{u:02d}" for u in range(21)], np.arange(1, 25)
    for _ in range(draws):
        loads, factor = random.normal(1, 0.3, 21), np.cumsum(random.normal(0, 1, 24))
        values = np.outer(factor, loads) + random.normal(0, 0.5, (24, 21))
        wide = pd.DataFrame(values, columns=names).assign(period=periods)
        result = synthetic_control(
            wide.melt("period", var_name="area_code"), question, treated="U00"
        )
        rejected += result["placebo_p"].value <= 0.05
        gaps.append(result["effect"].value)
    cell = "synthetic control, 20 donors, nothing happened"
    bar = 3 * np.std(gaps) / np.sqrt(draws)
    yield Line(cell, "bias of the mean gap", float(np.mean(gaps)), -bar, bar)
    yield Line(cell, "placebo test in space rejects at 5 %", rejected / draws, -np.inf, 0.07)


CELLS = (
    linear,
    counts,
    controlled,
    placebo_dates,
    few_clusters,
    permutation,
    staggered,
    synthetic,
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=FULL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("cells", nargs="*", help=" ".join(cell.__name__ for cell in CELLS))
    asked = parser.parse_args(arguments)
    missed, started = [], time.perf_counter()
    for place, cell in enumerate(CELLS):
        if asked.cells and cell.__name__ not in asked.cells:
            continue
        random = np.random.default_rng([asked.seed, place])
        for line in cell(random, asked.draws):
            print(line.printed(asked.draws), flush=True)
            if not line.met(asked.draws):
                missed.append(line)
    seconds = time.perf_counter() - started
    how = f"{asked.draws} draws a cell, seed {asked.seed}, {seconds:.0f} s"
    print(f"\n{how}; bars missed: {len(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
