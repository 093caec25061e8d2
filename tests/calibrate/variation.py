"""How often the variation methods raise a false alarm, and how often they find what is there.

`python tests/calibrate/variation.py [SETS]` prints the tables and fails outside the stated bars:
nominal 5 % limits flag 4 to 6 % of areas that do not differ, a figure 4 standard deviations out is
found in 95 % of sets, and 95 % intervals of the spread hold it.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from evidence.variation import limits, multilevel, spc

AREAS = 100
CELLS = [
    ("proportion", 0.5),
    ("proportion", 0.1),
    ("proportion", 0.02),
    ("rate", 0.01),
    ("ratio", 1.0),
]
EVENTS = [(5, 20), (50, 100), (50, 500), (500, 5000)]


def areas(draw: np.random.Generator, measure: str, p: float, events: tuple[int, int], sd: float):
    n = np.round(draw.uniform(*events, AREAS) / p)
    own = np.clip(p + sd * draw.standard_normal(AREAS), 0, 1 if measure == "proportion" else None)
    x = draw.binomial(n.astype(int), own) if measure == "proportion" else draw.poisson(n * own)
    codes = [f"A{at}" for at in range(AREAS)]
    return pd.DataFrame({"area_code": codes, "numerator": x, "denominator": n})


def false_alarms(sets: int) -> list[str]:
    wrong = []
    print("Share outside nominal 5 % limits when nothing varies (100 areas)")
    print(f"{'measure':<12}{'p':>6}{'events':>12}{'mid-P':>9}{'exact':>9}{'widened':>9}")
    for measure, p in CELLS:
        for events in EVENTS:
            draw = np.random.default_rng(1)
            shares = {"mid_p": [], "exact": [], "widened": []}
            for _ in range(sets):
                table = areas(draw, measure, p, events, 0.0)
                for name, values in shares.items():
                    rows = limits.funnel(
                        table,
                        measure=measure,
                        levels=(0.95,),
                        direction_better="none",
                        limits="exact" if name == "exact" else "mid_p",
                        overdispersion="additive" if name == "widened" else "none",
                    ).table
                    values.append((rows["position"] != "within").mean())
            found = {name: float(np.mean(values)) for name, values in shares.items()}
            line = "".join(f"{100 * share:>8.2f}%" for share in found.values())
            print(f"{measure:<12}{p:>6}{events[0]:>6}-{events[1]:<5}{line}")
            if events[0] >= 50:
                wrong += [
                    f"{measure} p={p} events {events}: {name} flags {100 * found[name]:.2f} %"
                    for name in ("mid_p", "widened")
                    if not 0.04 <= found[name] <= 0.06
                ]
    return wrong


def planted(sets: int) -> list[str]:
    draw, found = np.random.default_rng(2), 0
    for _ in range(sets):
        table = areas(draw, "proportion", 0.5, (500, 3000), 0.03)
        n = table["denominator"].iloc[0]
        table.loc[0, "numerator"] = round(n * (0.5 + 4 * np.hypot(0.03, 0.5 / np.sqrt(n))))
        rows = limits.funnel(table, direction_better="higher").table
        found += rows["judgement"].iloc[0] == "better"
    print(f"\nA figure 4 standard deviations out is found in {100 * found / sets:.1f} % of sets")
    return [] if found >= 0.95 * sets else [f"planted outlier found in {found} of {sets} sets"]


def chart_alarms(series: int) -> None:
    draw = np.random.default_rng(3)
    labels = [f"{2000 + at // 12}-{at % 12 + 1:02d}" for at in range(60)]
    table = pd.DataFrame(
        {
            "series": np.repeat(np.arange(series), 60),
            "period": np.tile(labels, series),
            "value": draw.normal(100, 10, 60 * series),
        }
    )
    rows = spc.charts(table, by=["series"], direction_better="none")
    print("\nXmR charts of 60 points that do not change: share of points flagged, by rule")
    for rule in spc.RULES:
        print(f"  {rule:<16}{100 * (rows['rule'] == rule).mean():>6.2f} %")
    any_signal = (rows["rule"] != "").groupby(rows["series"]).any().mean()
    print(f"  charts with any signal {100 * any_signal:.0f} %")


def spread_coverage(sets: int) -> list[str]:
    draw, held = np.random.default_rng(4), {"tau": 0, "icc": 0}
    icc = 0.3**2 / (0.3**2 + np.pi**2 / 3)
    for _ in range(sets):
        table = areas(draw, "proportion", 0.5, (300, 2000), 0.03).head(33)
        tau = limits.funnel(table, direction_better="none")["tau"]
        held["tau"] += tau.low <= 3.0 <= tau.high
        own = 1 / (1 + np.exp(1 - 0.3 * draw.standard_normal(40)))
        n = draw.integers(50, 400, 40)
        groups = pd.DataFrame({"area": np.arange(40), "x": draw.binomial(n, own), "n": n})
        fit = multilevel.random_intercept(groups, outcome="x", trials="n", group="area")["icc"]
        held["icc"] += fit.low <= icc <= fit.high
    print("\n95 % intervals that hold the value put in")
    for name, count in held.items():
        print(f"  {name:<6}{100 * count / sets:>6.1f} %")
    return [
        f"{name}: {count} of {sets} intervals hold the value"
        for name, count in held.items()
        if not 0.90 <= count / sets <= 0.99
    ]


def main(sets: int = 200) -> int:
    wrong = false_alarms(sets) + planted(sets)
    chart_alarms(20 * sets)
    wrong += spread_coverage(sets)
    print("\n".join(["", *(f"OUTSIDE ITS BAR: {line}" for line in wrong)]) or "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
