"""Compare the workbook's variation methods with one reference file.

`compare(case, reasons)` computes every figure of the file's output that the workbook has, at the
same place in the same shape, and sets them side by side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

import compare_evaluation
import numpy as np
import pandas as pd
from scipy import stats

from evidence.disclosure import Rule
from evidence.variation import (
    areas,
    comparison,
    inequality,
    limits,
    multilevel,
    overdispersion,
    rates,
    runcharts,
    spatial,
    spc,
    standardise,
)

Path = tuple[str | int, ...]

FEATURES = (
    "proportion_wilson_exact",
    "rate_byar_exact",
    "mean_t_ci",
    "dsr_dobson",
    "dsr_nonindependent",
    "isr_smr",
    "funnel_phe_proportion",
    "funnel_phe_rate",
    "funnel_phe_ratio",
    "funnel_overdispersion",
    "quantile",
    "compare_benchmark",
    "trend_test",
    "sii_rii",
    "life_expectancy",
    "spc_xmr",
    "run_chart",
    "mixed_binomial",
    "mixed_poisson",
    "mixed_gaussian",
    "small_area_variation",
    "inequality_indices",
    "spatial_autocorrelation",
    "its_segmented",
    "did",
    "synthetic_control",
    "epi_2x2",
    "disclosure_control",
)
"""All features of the schema, whether compared or not."""

FLOOR = 1e-12
"""Absolute difference that is rounding of zero."""


@dataclass
class Comparison:
    """What agreed, what did not, and what was not compared and why, for one file."""

    name: str
    feature: str
    agree: list[Path] = field(default_factory=list)
    disagree: list[str] = field(default_factory=list)
    listed: dict[Path, str] = field(default_factory=dict)
    unexplained: list[Path] = field(default_factory=list)

    def line(self) -> str:
        """Return the line of the printed table."""
        compared = len(self.agree) + len(self.disagree)
        line = (
            f"{self.feature:<24} {self.name:<32} compared {compared:>5}  "
            f"agreed {len(self.agree):>5}  not compared {len(self.listed):>5}"
        )
        if self.unexplained:
            line += f"  unexplained {len(self.unexplained)}"
        reasons = sorted(set(self.listed.values()))
        return line + "".join(f"\n{'':<26}not compared, because {reason}" for reason in reasons)


LISTED = re.compile(
    r"^- `(?P<feature>\w+)` `(?P<figure>[^`]+)`: not compared, because (?P<why>.+)$"
)


def listed_reasons(readme: str) -> dict[tuple[str, str], str]:
    """Return the reasons of the README by feature and figure; `*` stands for any part."""
    own = readme.partition("## Variation")[2].partition("\n## ")[0]
    found = (LISTED.match(line.strip()) for line in own.splitlines())
    return {(match["feature"], match["figure"]): match["why"] for match in found if match}


def compare(case: dict[str, Any], reasons: dict[tuple[str, str], str]) -> Comparison:
    """Compute and compare every figure of one file."""
    feature = case["feature"]
    if feature not in FEATURES:
        raise ValueError(f"a reference file must be of a known feature; got {feature!r}.")
    result = Comparison(case["name"], feature)
    ours = dict(_figures(COMPUTE[feature](case))) if feature in COMPUTE else {}
    for path, expected in _figures(case["output"]):
        if path not in ours:
            _file_away(result, path, feature, reasons)
        elif _agrees(ours[path], expected, tolerance(case, path)):
            result.agree.append(path)
        else:
            result.disagree.append(f"{result.name} {path}: {ours[path]!r}, reference {expected!r}")
    return result


def _figures(output: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(output, dict):
        for key, value in output.items():
            yield from _figures(value, (*path, key))
    elif isinstance(output, (list, tuple, np.ndarray, pd.Series)):
        for at, value in enumerate(output):
            yield from _figures(value, (*path, at))
    else:
        yield path, output


def _file_away(
    result: Comparison, path: Path, feature: str, reasons: dict[tuple[str, str], str]
) -> None:
    name = ".".join(str(part) for part in path if isinstance(part, str))
    for (listed, figure), why in reasons.items():
        if listed == feature and fnmatch(name, figure):
            result.listed[path] = why
            return
    result.unexplained.append(path)


def _agrees(ours: Any, expected: Any, allowed: tuple[float, float]) -> bool:
    if expected is None or _absent(ours):
        return expected is None and _absent(ours)
    if isinstance(expected, bool) or isinstance(ours, (bool, np.bool_)):
        return bool(ours) == expected
    if isinstance(expected, str) and expected in ("Inf", "-Inf", "NaN"):
        return repr(float(ours)) == repr(float(expected))
    if isinstance(expected, str):
        return str(ours) == expected
    relative, absolute = allowed
    return math.isclose(ours, expected, rel_tol=relative, abs_tol=absolute)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def tolerance(case: dict[str, Any], path: Path) -> tuple[float, float]:
    """Return the relative and absolute tolerance of a figure: the file's, or its exception's."""
    name = str(path[0])
    if case["feature"] == "sii_rii" and SIMULATED.search(name):
        measure = name[:3]
        width = abs(
            case["output"][f"{measure}_upper95_0cl"] - case["output"][f"{measure}_lower95_0cl"]
        )
        return 0.0, 0.02 * width
    for feature, pattern, relative in LOOSER:
        if feature == case["feature"] and fnmatch(name, pattern):
            return relative, FLOOR
    return float(case["rel_tol"]), FLOOR


SIMULATED = re.compile(r"_(lower|upper)95")
"""Limits from random draws: compared within 2 % of the interval's width."""

LOOSER: tuple[tuple[str, str, float], ...] = (
    ("epi_2x2", "fisher_or", 1e-4),
    ("its_segmented", "gls_*", 1e-4),
    ("small_area_variation", "nb_*", 1e-5),
    ("small_area_variation", "gamma_poisson_eb", 1e-5),
)
"""Figures with a tolerance of their own; the reasons stand in README.md."""


# --------------------------------------------------------------------------- figures from counts

LEVELS = {"95": 0.95, "99_8": 0.998, "95_0cl": 0.95, "99_8cl": 0.998}


def _table(case: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(case["input"])


def _from_counts(case: dict[str, Any], figures: Callable[..., pd.DataFrame]) -> list[pd.DataFrame]:
    """Return figures with limits of 95 %, of 99.8 % and exact ones of 95 %."""
    multiplier = case["params"]["multiplier"]
    return [
        figures(_table(case), numerator="x", denominator="n", multiplier=multiplier, **choices)
        for choices in ({"level": 0.95}, {"level": 0.998}, {"level": 0.95, "method": "exact"})
    ]


def _limits(narrow: pd.DataFrame, wide: pd.DataFrame) -> dict[str, Any]:
    """Return values with both limits, under the names of the source."""
    return {
        "value": narrow["value"],
        "lower95_0cl": narrow["low"],
        "upper95_0cl": narrow["high"],
        "lower99_8cl": wide["low"],
        "upper99_8cl": wide["high"],
    }


def _proportions(case: dict[str, Any]) -> dict[str, Any]:
    wilson, wide, exact = _from_counts(case, rates.proportions)
    beside = {"exact_lower95": exact["low"], "exact_upper95": exact["high"]}
    return _limits(wilson, wide) | beside


def _crude_rates(case: dict[str, Any]) -> dict[str, Any]:
    byar, wide, exact = _from_counts(case, rates.crude_rates)
    return _limits(byar, wide) | {
        "method": byar["method"].map({"byar": "Byars", "exact": "Exact"}),
        "exact_lower95": exact["low"],
        "exact_upper95": exact["high"],
    }


def _means(case: dict[str, Any]) -> dict[str, Any]:
    narrow = rates.means(_table(case), value="x", by="g")
    wide = rates.means(_table(case), value="x", by="g", level=0.998)
    return _limits(narrow, wide) | {
        "g": narrow["g"],
        "value_sum": narrow["total"],
        "value_count": narrow["n"],
        "stdev": narrow["sd"],
    }


def _direct(case: dict[str, Any], level: float, **choices: Any) -> pd.DataFrame:
    return standardise.direct_rates(
        _table(case),
        by="area",
        band="ageband",
        events="count",
        population="pop",
        standard="esp2013",
        level=level,
        **choices,
    )


def _direct_rates(case: dict[str, Any]) -> dict[str, Any]:
    multiplier = case["params"]["multiplier"]
    narrow = _direct(case, 0.95, multiplier=multiplier)
    wide = _direct(case, 0.998, multiplier=multiplier)
    gamma = _direct(case, 0.95, multiplier=1, method="gamma", fewest=0)
    return _limits(narrow, wide) | {
        "area": narrow["area"],
        "total_count": narrow["events"],
        "total_pop": narrow["population"],
        "crude": narrow["events"] / narrow["population"],
        "gamma_rate": gamma["value"],
        "gamma_lci": gamma["low"],
        "gamma_uci": gamma["high"],
    }


def _repeat_events(case: dict[str, Any]) -> dict[str, Any]:
    found = _direct(case, 0.95, multiplier=case["params"]["multiplier"], frequency="eventfreq")
    return {
        "area": found["area"],
        "total_count": found["events"],
        "total_pop": found["population"],
        "value": found["value"],
        "lowercl": found["low"],
        "uppercl": found["high"],
    }


def _indirect(case: dict[str, Any], level: float, method: str = "byar") -> pd.DataFrame:
    return standardise.indirect_ratios(
        _table(case),
        by="area",
        band="ageband",
        events="count",
        population="pop",
        reference_events="x_ref",
        reference_population="n_ref",
        ratio=case["params"]["refvalue"],
        multiplier=case["params"]["multiplier"],
        level=level,
        method=method,
    )


def _indirect_ratios(case: dict[str, Any]) -> dict[str, Any]:
    narrow, wide, exact = (
        _indirect(case, 0.95),
        _indirect(case, 0.998),
        _indirect(case, 0.95, "exact"),
    )
    return {
        "area": narrow["area"],
        "observed": narrow["observed"],
        "expected": narrow["expected"],
        "isr": narrow["value"],
        "isr_l95": narrow["low"],
        "isr_u95": narrow["high"],
        "isr_l998": wide["low"],
        "isr_u998": wide["high"],
        "method": narrow["method"].map({"byar": "Byars", "exact": "Exact"}),
        "exact_l95": exact["low"],
        "exact_u95": exact["high"],
        "rate": narrow["rate"],
        "rate_l95": narrow["rate_low"],
        "rate_u95": narrow["rate_high"],
        "ref_rate": narrow["reference_rate"],
    }


def _life_expectancy(case: dict[str, Any]) -> dict[str, Any]:
    found = standardise.life_expectancy(
        _table(case), start="startage", deaths="deaths", population="pops"
    )
    return {
        "startage": found["startage"],
        "value": found["value"],
        "lowercl": found["low"],
        "uppercl": found["high"],
    }


def _quantiles(case: dict[str, Any]) -> dict[str, Any]:
    found = comparison.quantiles(
        _table(case).assign(value=lambda table: pd.to_numeric(table["value"])),
        within="region",
        number=case["params"]["nquantiles"],
        highest_first=case["params"]["invert"],
    )
    return {"quantile": [None if pd.isna(value) else int(value) for value in found["quantile"]]}


def _benchmark(case: dict[str, Any]) -> dict[str, Any]:
    polarity = {"high_good": "higher", "low_good": "lower", "none": "none", None: "none"}
    found = comparison.with_benchmark(
        _table(case),
        benchmark=case["params"]["benchmark"],
        direction_better=polarity[case["params"]["polarity"]],
        multiplier=1,
        numerator="x",
        denominator="n",
    )
    five = found["judgement_5"].str.replace(" 99.8 %", "_99.8").str.replace(" 95 %", "_95")
    return {"cat95": found["judgement"], "cat5": five}


def _trend(case: dict[str, Any]) -> dict[str, Any]:
    found = comparison.trend(
        _table(case), direction_better="none", period="t", numerator="x", denominator="n"
    )
    return {
        "chi2": found["chi2"].value,
        "p": found["p"].value,
        "logit_slope": found["odds_slope"].value,
        "logit_se": found["odds_slope"].se,
        "log_rate_slope": found["rate_slope"].value,
        "log_rate_se": found["rate_slope"].se,
    }


# --------------------------------------------------------------------------- limits


def _run_chart(case: dict[str, Any]) -> dict[str, Any]:
    table, params = _table(case), case["params"]
    found = []
    for name, group in table.groupby("grp", sort=True):
        chart = runcharts.run_chart(
            group,
            period="date",
            value="y",
            direction=params["direction"],
            baseline=params["med_rows"],
            run=params["runlength"],
        ).table
        for stretch, part in chart.groupby("stretch"):
            own = part[part["part"] != ""]
            later = chart.loc[(chart["stretch"] > stretch) & (chart["part"] != ""), "period"]
            found.append(
                {
                    "order": stretch,
                    "grp": name,
                    "median": own["median"].iloc[0],
                    "start_date": own["period"].iloc[0],
                    "end_date": own["period"].iloc[-1],
                    "extend_to": (later if len(later) else chart["period"].iloc[-1:]).iloc[0],
                    "run_type": own["part"].iloc[0],
                }
            )
    lines = pd.DataFrame(found).sort_values(["order", "grp"], kind="stable")
    return {"sustained": {name: lines[name].tolist() for name in lines.columns[1:]}}


def _funnel_proportion(case: dict[str, Any]) -> dict[str, Any]:
    """Limits at the source's own grid of populations, which is taken as given."""
    x, n = (np.array(case["input"][name], dtype=float) for name in ("x", "n"))
    target, multiplier = x.sum() / n.sum(), case["params"]["multiplier"]
    grid = np.array(case["output"]["limits"]["Population"], dtype=float)
    lines: dict[str, Any] = {"baseline": np.full(len(grid), target * multiplier)}
    for name, level in (("2s", 0.95), ("3s", 0.998)):
        low, high = limits.funnel_limits(grid, target=target, level=level, method="score")
        lines[f"lower_{name}_limit"] = low * multiplier
        if multiplier == 100:
            lines[f"upper_{name}_limit"] = high * multiplier
    return {"limits": lines, "significance": _significance(x, n, target, "proportion", "score")}


def _funnel_rate(case: dict[str, Any]) -> dict[str, Any]:
    x, n = (np.array(case["input"][name], dtype=float) for name in ("x", "n"))
    multiplier, years = case["params"]["multiplier"], case["params"]["years_of_data"]
    target = x.sum() / n.sum()
    grid = np.array(case["output"]["limits"]["Events"], dtype=float)
    lines: dict[str, Any] = {"baseline": np.full(len(grid), target * multiplier)}
    for edge, name, people, limit in _inverted(grid, target, "rate"):
        lines[f"{edge}_{name}_population_1_year"] = people / years
        lines[f"{edge}_{name}_limit"] = limit * multiplier
    return {"limits": lines, "significance": _significance(x, n, target, "rate", "exact")}


def _funnel_ratio(case: dict[str, Any]) -> dict[str, Any]:
    x, expected = (np.array(case["input"][name], dtype=float) for name in ("obs", "exp"))
    grid = np.array(case["output"]["limits"]["Observed_events"], dtype=float)
    lines: dict[str, Any] = {}
    for edge, name, events, limit in _inverted(grid, 1.0, "ratio"):
        lines[f"{edge}_{name}_exp_events"] = events
        lines[f"{edge}_{name}_limit"] = limit * 100
    return {"limits": lines, "significance": _significance(x, expected, 1.0, "ratio", "exact")}


def _inverted(grid: np.ndarray, target: float, measure: str) -> Iterator[tuple[Any, ...]]:
    """Denominators at which each count of events lies on a limit, and the limit there."""
    for name, level in (("2s", 0.95), ("3s", 0.998)):
        low, high = rates.poisson_exact(grid, level)
        for edge, side, expected in (("lower", 0, high), ("upper", 1, low)):
            people = expected / target
            found = limits.funnel_limits(
                people, target=target, measure=measure, level=level, method="exact"
            )
            yield edge, name, people, found[side]


def _significance(
    x: np.ndarray, n: np.ndarray, target: float, measure: str, method: str
) -> np.ndarray:
    words = np.full(len(x), "Not significant", dtype=object)
    for level, tail in ((0.95, "0.025"), (0.998, "0.001")):
        low, high = limits.funnel_limits(
            n, target=target, measure=measure, level=level, method=method
        )
        words[x / n > high] = f"High ({tail})"
        words[x / n < low] = f"Low ({tail})"
    return words


def _overdispersion(case: dict[str, Any]) -> dict[str, Any]:
    x, n = (np.array(case["input"][name], dtype=float) for name in ("num", "den"))
    kind, method = case["params"]["data_type"], case["params"]["sr_method"]
    target = 1.0 if kind == "SR" else x.sum() / n.sum()
    scale = {"PR": "arcsine", "RC": "log_counts"}.get(kind, "log" if method == "SHMI" else "sqrt")
    cut = "truncate" if scale == "log" else "winsorise"
    figures = overdispersion.scaled(x, n, target, scale)
    found = overdispersion.dispersion(figures, trim=case["params"]["trim_by"], method=cut)
    moved = np.isnan(found.z) if cut == "truncate" else found.z != figures.z
    output: dict[str, Any] = {
        "phi": found.phi,
        "tau2": found.tau2,
        "id": case["input"]["id"],
        "rr": x / n,
        "Y": figures.y,
        "Uzscore": figures.z,
        "Wuzscore": found.z,
        "truncated" if cut == "truncate" else "winsorised": moved.astype(int),
        "target_transformed": np.full(len(x), figures.target),
    }
    output |= _overdispersion_limits(case, figures, found.tau2)
    if "corrected_OD99UCL" in output:
        output |= _as_the_source(case, figures, found.tau2)
    output.setdefault("s", figures.s)
    value = x / n * case["params"]["multiplier"]
    output["outlier"] = (value > output["OD99UCL"]) | (value < output["OD99LCL"])
    return output


def _as_the_source(
    case: dict[str, Any], figures: overdispersion.Scaled, tau2: float
) -> dict[str, Any]:
    """Limits that the source draws on the wrong scale, from the workbook's own spread.

    The workbook draws no such limits: that these agree shows only where the source goes wrong.
    """
    counts = case["params"]["data_type"] == "RC"
    n = np.array(case["input"]["den"], dtype=float)
    s = 1 / (2 * np.sqrt(n)) if counts else figures.s
    output: dict[str, Any] = {"s": s}
    for share, z in (("95", 1.959964), ("99", 3.090232)):
        for name, sign in (("LCL", -1), ("UCL", 1)):
            wide = figures.target + sign * z * np.sqrt(s**2 + tau2)
            output[f"OD{share}{name}"] = np.exp(wide) if counts else wide
            if counts:
                output[f"{name}{share}"] = np.exp(figures.target + sign * z * s)
    return {
        key: found if key == "s" else found * case["params"]["multiplier"]
        for key, found in output.items()
    }


def _overdispersion_limits(
    case: dict[str, Any], figures: overdispersion.Scaled, tau2: float
) -> dict[str, Any]:
    """Limits by the workbook's scales; the source's z are 1.959964 and 3.090232."""
    kind, method = case["params"]["data_type"], case["params"]["sr_method"]
    multiplier = case["params"]["multiplier"]
    expected = np.array(case["input"]["den"], dtype=float)
    prefix = "corrected_OD" if kind == "RC" or method == "CQC" else "OD"
    output: dict[str, Any] = {}
    for share, level in (("95", 0.95), ("99", 0.998)):
        z = {"95": 1.959964, "99": 3.090232}[share]
        for name, sign, edge in (("LCL", -1, 0), ("UCL", 1, 1)):
            wide = figures.back(figures.target + sign * z * np.sqrt(figures.limit_s**2 + tau2))
            output[f"{prefix}{share}{name}"] = wide * multiplier
            if kind == "PR":
                chance = figures.back(figures.target + sign * z * figures.s)
                output[f"{name}{share}"] = chance * multiplier
            if kind == "SR":
                around = rates.poisson_exact(expected, level)[edge] / expected
                output[f"{name}{share}"] = around * multiplier
    return output


def _xmr(case: dict[str, Any]) -> dict[str, Any]:
    params = case["params"]
    breaks = params["rebase"] or []
    direction = {"increase": "higher", "decrease": "lower", "neutral": "none"}
    result = limits.xmr(
        pd.DataFrame({"period": case["input"]["date"], "value": case["input"]["value"]}),
        direction_better=direction[params["improvement_direction"]],
        breaks=[{"date": date} for date in ([breaks] if isinstance(breaks, str) else breaks)],
        baseline=params["fix_after_n_points"],
        screen=params["screen_outliers"],
        target=params["target"],
        bounds=(None, None),
    )
    rows, seen = result.table, spc.icons(result)
    side = np.sign(rows["value"] - rows["mean"]).astype(int)
    distance = (rows["value"] - rows["mean"]).abs() / (rows["upper"] - rows["mean"])
    outside = distance > 1
    return {
        "date": rows["period"],
        "rebase_group": rows["segment"],
        "mean": rows["mean"],
        "lpl": rows["lower"],
        "upl": rows["upper"],
        "outside_limits": outside,
        "relative_to_mean": side,
        "close_to_limits": ~outside & (distance > 2 / 3),
        "special_cause_type": _rule_names(rows, side),
        "point_type": rows["point"].map(POINT_TYPES),
        "latest_variation": POINT_TYPES[seen["variation"]],
        "assurance": ASSURANCE[seen["assurance"]],
    }


POINT_TYPES = {
    "common cause": "common_cause",
    "improvement": "special_cause_improvement",
    "concern": "special_cause_concern",
    "neutral high": "special_cause_neutral_high",
    "neutral low": "special_cause_neutral_low",
}


ASSURANCE = {
    "consistently met": "consistent_pass",
    "consistently missed": "consistent_fail",
    "met or missed by chance": "inconsistent",
    "": None,
}


def _in_a_trend(value: pd.Series) -> set[int]:
    """Places in seven values that rise one after the other."""
    up = (value.diff() > 0).to_numpy()
    starts = [at for at in range(len(up) - 6) if up[at + 1 : at + 7].all()]
    return {at + step for at in starts for step in range(7)}


def _rule_names(rows: pd.DataFrame, side: pd.Series) -> list[str]:
    """The source's names: side from the mean, and for a trend its direction."""
    rising = _in_a_trend(rows["value"])
    names = []
    for at, rule in enumerate(rows["rule"]):
        high = side[at] > 0
        names.append(
            {
                "": "Common Cause",
                "outside limits": "Above UCL" if high else "Below LCL",
                "trend": f"7 Point Trend ({'Increasing' if at in rising else 'Decreasing'})",
                "two of three": f"2 in 3 {'Above' if high else 'Below'} CL",
                "shift": f"7 Points {'Above' if high else 'Below'} CL",
            }[rule]
        )
    return names


# --------------------------------------------------------------------------- models of areas


def _r_names(case: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """The source's names of coefficients, by what is left of both without punctuation."""
    plain = {re.sub(r"\W", "", name.removeprefix("fixed.")): value for name, value in found.items()}
    wanted = case["output"].get("fixef") or case["output"]["reml"]["fixef"]
    return {
        name: plain[re.sub(r"\W", "", name).replace("Intercept", "intercept")] for name in wanted
    }


def _fitted(case: dict[str, Any], output: dict[str, Any], result: Any) -> dict[str, Any]:
    fixed = {found.key: found for found in result.estimates if found.key.startswith("fixed.")}
    rows = result.table.set_index("group").reindex([str(name) for name in output["group"]])
    return {
        "fixef": _r_names(case, {key: found.value for key, found in fixed.items()}),
        "fixef_se": _r_names(case, {key: found.se for key, found in fixed.items()}),
        "var_group": result["var_group"].value,
        "loglik": result["loglik"].value,
        "group": rows.index.tolist(),
        "blup": rows["effect"],
        "blup_se": rows["effect_se"],
    }


def _covariates(case: dict[str, Any], used: tuple[str, ...]) -> list[str]:
    return [name for name in case["input"] if name not in used]


def _mixed_binomial(case: dict[str, Any]) -> dict[str, Any]:
    table, group = _table(case), case["params"]["group"]
    quadrature = case["params"]["nAGQ"]
    result = multilevel.random_intercept(
        table,
        outcome="incidence",
        trials="size",
        group=group,
        covariates=_covariates(case, ("incidence", "size", group)),
        quadrature=quadrature,
        interval=False,
    )
    output = _fitted(case, case["output"], result)
    if quadrature > 1:
        output["loglik"] -= _saturated(table["incidence"], table["size"])
    return output | {"mor": result["mor"].value, "icc_latent": result["icc"].value}


def _saturated(y: pd.Series, n: pd.Series) -> float:
    """Log-likelihood of the saturated model, which the source leaves out with quadrature."""
    return float(np.sum(stats.binom.logpmf(y, n, y / n)))


def _mixed_poisson(case: dict[str, Any]) -> dict[str, Any]:
    group = case["params"]["group"]
    result = multilevel.random_intercept(
        _table(case),
        outcome="cases",
        exposure="expected",
        family="poisson",
        group=group,
        covariates=_covariates(case, ("cases", "expected", group)),
        quadrature=case["params"]["nAGQ"],
        interval=False,
    )
    return _fitted(case, case["output"], result) | {"mor": result["mor"].value}


def _mixed_gaussian(case: dict[str, Any]) -> dict[str, Any]:
    names = list(case["input"])
    found = {}
    for method in ("reml", "ml"):
        result = multilevel.random_intercept(
            _table(case),
            outcome=names[0],
            family="gaussian",
            group=names[-1],
            covariates=names[1:-1],
            reml=method == "reml",
            interval=False,
        )
        rows = result.table.set_index("group").reindex(case["output"][method]["group"])
        found[method] = _fitted(case, case["output"][method], result) | {
            "var_resid": result["var_residual"].value,
            "icc": result["icc"].value,
            "reliability": rows["reliability"],
        }
    return found


def _small_areas(case: dict[str, Any]) -> dict[str, Any]:
    table = _table(case)
    result = areas.small_area_variation(
        table, observed="obs", expected="exp", population="pop", area_code="id", draws=10
    )
    rows, found = result.table, {item.key: item.value for item in result.estimates}
    rate = rows["rate"].to_numpy()
    people, events = table["pop"], table["obs"]
    mean = events.sum() / people.sum()
    excess = (people * (rate - mean) ** 2).sum() / people.sum() - mean / people.mean()
    output = {name: found.get(key) for name, key in SMALL_AREA.items()}
    return output | {
        "rate": rate,
        "smr": rows["ratio"],
        "quantiles_type7": np.quantile(rate, [0.05, 0.25, 0.5, 0.75, 0.95]),
        "scv_x10": found["scv"] * 10,
        "scv_x100": found["scv"] * 100,
        "gamma_poisson_eb": rows["ratio_gamma"],
        "ebest_pop": rows["rate_marshall"],
        "ebest_exp": rows["ratio_marshall"],
        "ebest_pop_a": excess,
        "ebest_pop_b": mean,
    }


SMALL_AREA = {
    "eq": "extremal_quotient",
    "eq_5_95": "quotient_5_95",
    "iqr_ratio": "quotient_quartiles",
    "cv": "cv",
    "cvw": "cv_weighted",
    "scv": "scv",
    "chi2": "chi2",
    "chi2_p": "chi2_p",
    "dl_tau2": "log_variance",
    "dl_mean": "log_mean",
    "dl_Q": "log_q",
    "nb_mu": "nb_mean",
    "nb_theta": "nb_theta",
    "nb_loglik": "nb_loglik",
}


def _spatial(case: dict[str, Any]) -> dict[str, Any]:
    table = _table(case).assign(area_code=lambda rows: rows.index.astype("str"))
    near = {str(at): [str(i) for i in row] for at, row in enumerate(case["params"]["neighbours"])}
    result = spatial.autocorrelation(table, neighbours=near, value="y", permutations=9)
    binary = spatial.autocorrelation(
        table, neighbours=near, value="y", style="binary", permutations=9
    )
    output = {
        "moran_I": result["moran"].value,
        "expectation": result["moran_expected"].value,
        "var_random": result["moran_variance"].value,
        "z_random": result["moran_z"].value,
        "p_two_random": result["moran_p"].value,
        "var_normal": result["moran_variance_normal"].value,
        "z_normal": result["moran_z_normal"].value,
        "moran_I_binary": binary["moran"].value,
        "geary_C": result["geary"].value,
        "geary_var": result["geary_variance"].value,
        "local_I": result.table["local_moran"],
        "local_z": result.table["local_z"],
        "localG_binary": result.table["local_g"],
        "lag_W": result.table["lag"],
    }
    if {"x", "n"} <= set(table):
        output["eb_local"] = spatial.local_rates(
            table, neighbours=near, numerator="x", denominator="n"
        )
    return output


# --------------------------------------------------------------------------- inequality


def _slope_indices(case: dict[str, Any]) -> dict[str, Any]:
    kinds = {0: "value", 1: "rate", 2: "proportion"}
    row = inequality.slope_indices(
        _table(case),
        rank="q",
        population="pop",
        low="lcl",
        high="ucl",
        kind=kinds[case["params"]["value_type"]],
        multiplier=case["params"]["multiplier"],
    ).iloc[0]
    return {
        "sii": row["sii"],
        "rii": row["rii"],
        "intercept": row["intercept"],
        "sii_lower95_0cl": row["sii_low"],
        "sii_upper95_0cl": row["sii_high"],
        "rii_lower95_0cl": row["rii_low"],
        "rii_upper95_0cl": row["rii_high"],
    }


INDICES = {
    "gini": "gini",
    "gini_weighted": "gini_weighted",
    "concentration_index": "concentration",
    "generalised_ci": "concentration_absolute",
    "theil": "theil",
    "mld": "mld",
    "atkinson1": "atkinson",
    "bgv": "between_group_variance",
    "mean": "mean",
    "hoover_share": "hoover",
    "abs_gap": "gap",
    "rel_gap": "ratio",
    "par": "population_gap",
    "paf": "population_share",
    "sii_wls": "sii",
    "rii_kunst": "rii",
    "rii_pamuk": "rii_mean",
}


def _indices(case: dict[str, Any]) -> dict[str, Any]:
    result = inequality.indices(_table(case), direction_better="none", population="pop")
    found = {name: result[key].value for name, key in INDICES.items()}
    return found | {"fractional_rank": result.table["fractional_rank"]}


def _two_by_two(case: dict[str, Any]) -> dict[str, Any]:
    names = ["exposed_cases", "exposed_others", "unexposed_cases", "unexposed_others"]
    result = comparison.two_by_two(pd.DataFrame(case["input"]["strata"], columns=names))
    found = {item.key: item for item in result.estimates}
    output = {
        "fisher_p": found["p_fisher"].value,
        "fisher_or": found["odds_ratio_conditional"].value,
        "chi2": found["chi2"].value,
        "mh_chi2": found["chi2_mh"].value,
        "newc_l": found["risk_difference_newcombe"].low,
        "newc_u": found["risk_difference_newcombe"].high,
    }
    ratios = (("rr", "risk_ratio"), ("or", "odds_ratio"), ("rd", "risk_difference"))
    for short, key in (*ratios, ("mh", "odds_ratio_mh")):
        if key in found:
            output["mh_or" if short == "mh" else short] = found[key].value
            output[f"{short}_l"], output[f"{short}_u"] = found[key].low, found[key].high
    return output


def _released(case: dict[str, Any]) -> dict[str, Any]:
    rule = Rule(threshold=case["params"]["suppress_max"], base=case["params"]["base"])
    return {"released": rule.released(case["input"]["count"])}


COMPUTE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "proportion_wilson_exact": _proportions,
    "rate_byar_exact": _crude_rates,
    "mean_t_ci": _means,
    "dsr_dobson": _direct_rates,
    "dsr_nonindependent": _repeat_events,
    "isr_smr": _indirect_ratios,
    "funnel_phe_proportion": _funnel_proportion,
    "funnel_phe_rate": _funnel_rate,
    "funnel_phe_ratio": _funnel_ratio,
    "quantile": _quantiles,
    "compare_benchmark": _benchmark,
    "trend_test": _trend,
    "life_expectancy": _life_expectancy,
    "funnel_overdispersion": _overdispersion,
    "mixed_binomial": _mixed_binomial,
    "mixed_poisson": _mixed_poisson,
    "mixed_gaussian": _mixed_gaussian,
    "sii_rii": _slope_indices,
    "inequality_indices": _indices,
    "small_area_variation": _small_areas,
    "spatial_autocorrelation": _spatial,
    "epi_2x2": _two_by_two,
    "its_segmented": compare_evaluation.its_segmented,
    "did": compare_evaluation.did,
    "synthetic_control": compare_evaluation.synthetic_control,
    "spc_xmr": _xmr,
    "run_chart": _run_chart,
    "disclosure_control": _released,
}
"""What the workbook computes for each feature that it has."""
