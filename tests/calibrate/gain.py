"""How often intervals of gains and gaps hold the planted truth, for areas and for their sum.

`python tests/calibrate/gain.py [SETS]` prints the table and fails outside the stated bars: the
interval of London's gain and that of one area hold the truth in 93 to 97 % of sets; that of one
area's gap in 93 to 99 %, as it cannot fall below none. Beside them, without a bar: what London's
interval would hold if each area's effect were drawn apart (far too little), or if the areas' limits
were added up (too much where areas have noise of their own), and the interval of London's gap,
which takes the areas behind as found.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from evidence.practice.gain import gain
from evidence.practice.gap import gap
from evidence.variation.limits import funnel

AREAS, PEOPLE, REACH, BASELINE = 32, 2000.0, 0.1, 0.25
TRUE_RATIO, ERROR = 1.3, 0.05
"""The planted risk ratio, and the standard error of its logarithm in the evidence."""

OWN_NOISE = 0.04
"""Standard error of an area's own risk without the intervention."""

DRAWS = 2000
BARS = (0.93, 0.97)
STANDARD = 53.0


def seen(draw: np.random.Generator) -> dict[str, object]:
    """Return the effect as a synthesis would have found it."""
    log = np.log(TRUE_RATIO) + ERROR * draw.standard_normal()
    limits = {name: np.exp(log + z * ERROR) for name, z in (("lo", -1.96), ("hi", 1.96))}
    return {"measure": "RR", "est": np.exp(log), **limits, "direction_better": "higher"}


def gains(draw: np.random.Generator, own: bool, seed: int) -> dict[str, bool]:
    """Return which intervals of one simulated London hold the truth."""
    risks = np.full(AREAS, BASELINE)
    table = pd.DataFrame(
        {"area_code": [f"A{n}" for n in range(AREAS)], "area": "x", "denominator": PEOPLE}
    )
    if own:
        found = BASELINE + OWN_NOISE * draw.standard_normal(AREAS)
        table = table.assign(baseline=found, baseline_se=OWN_NOISE)
    truth = PEOPLE * REACH * risks * (TRUE_RATIO - 1)
    shares = {"eligible_share": 1.0, "reach": REACH, "baseline": BASELINE}
    result = gain(table, seen(draw), **shares, draws=DRAWS, seed=seed)
    london, rows = result["london"], result.table.set_index("area_code")
    half = np.sqrt(((rows["high"] - rows["low"]) ** 2).sum()) / 2
    return {
        "London, shared effect": london.low <= truth.sum() <= london.high,
        "one area": rows.loc["A0", "low"] <= truth[0] <= rows.loc["A0", "high"],
        "(areas drawn apart)": abs(london.value - truth.sum()) <= half,
        "(limits added up)": rows["low"].sum() <= truth.sum() <= rows["high"].sum(),
    }


def gaps(draw: np.random.Generator) -> dict[str, bool]:
    """Return whether the interval of London's gap holds the planted gap."""
    n = draw.integers(800, 5000, AREAS).astype(float)
    risks = np.clip(draw.normal(0.52, 0.03, AREAS), 0.01, 0.99)
    table = pd.DataFrame(
        {
            "area_code": [f"A{n}" for n in range(AREAS)],
            "area": "x",
            "numerator": draw.binomial(n.astype(int), risks).astype(float),
            "denominator": n,
        }
    )
    result = gap(funnel(table, direction_better="higher"), benchmark="standard", standard=STANDARD)
    truth = float((np.clip(STANDARD / 100 - risks, 0, None) * n).sum())
    rows = result.table.set_index("area_code").loc[table["area_code"]]
    one = max(STANDARD / 100 - risks[0], 0.0) * n[0]
    london = result["london"]
    return {
        "(London's gap)": london.low <= truth <= london.high,
        "one area's gap": rows["low"].iloc[0] - 1e-9 <= one <= rows["high"].iloc[0] + 1e-9,
    }


def coverage(held: list[dict[str, bool]]) -> dict[str, float]:
    """Return the share of sets in which each interval held the truth."""
    return {name: float(np.mean([one[name] for one in held])) for name in held[0]}


def main() -> int:
    """Print the coverage of every cell and return how many bars were missed."""
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    draw = np.random.default_rng(1)
    slack = 3 * np.sqrt(0.95 * 0.05 / sets) if sets < 2000 else 0.0
    cells = {
        "effect uncertain, baseline known": [gains(draw, False, n) for n in range(sets)],
        "effect uncertain, areas' own baselines noisy": [gains(draw, True, n) for n in range(sets)],
        "gap to a standard": [gaps(draw) for _ in range(max(sets // 4, 1))],
    }
    missed = 0
    print(f"intervals of 95 %, {sets:,} sets (a quarter for gaps); no bar where in brackets")
    for cell, held in cells.items():
        for name, share in coverage(held).items():
            barred = not name.startswith("(")
            low, high = BARS[0] - slack, (BARS[1] if "gap" not in name else 0.99) + slack
            met = not barred or low <= share <= high
            missed += not met
            verdict = "" if not barred else "met" if met else "MISSED"
            print(f"{cell:<48} {name:<26} {100 * share:6.1f} %  {verdict}")
    return missed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
