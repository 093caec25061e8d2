"""Compare figures of the synthesis package with reference files, leaf by leaf.

Every number of a file is compared, or named in README.md with the reason why not; what is left over
is reported as missing. `figures` walks a file, `COMPUTED` says who computes which part of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from evidence.synthesis import (
    bias,
    count_models,
    dependent,
    network,
    network_counts,
    rare,
    regression,
    sensitivity,
    study_effects,
)
from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.fit import (
    Fit,
    fit,
    prediction_interval,
    q_based,
    quantile,
    tau2_interval,
    two_sided,
)
from evidence.synthesis.likelihoods import ModelFit
from evidence.synthesis.measures import MEASURES, back_transform
from evidence.synthesis.selection import selection_model

NOT_FIGURES = {
    "name",
    "split",
    "versions",
    "kind",
    "measure",
    "note",
    "table",
    "rows_pooled",
    "year_variable",
    "seconds_in_R",
    "cluster",
    "reference",
    "small_values",
}
"""Inputs and descriptions at the top of a file."""

WORDS = {"formula", "design", "design_names", "rows_used", "variable", "level", "levels", "names"}
WORDS |= {
    "warnings",
    "order",
    "year_order",
    "side",
    "alternative",
    "steps",
    "method",
    "note",
    "call",
}
WORDS |= {"rel_tol", "s_names", "treatments", "test", "formula_note"}
"""Inputs and descriptions inside: not figures."""


@dataclass
class Reference:
    """One reference file with the parts of it that are inputs."""

    name: str
    data: dict[str, Any]

    @cached_property
    def table(self) -> pd.DataFrame:
        """The study table."""
        return pd.DataFrame(self.data["table"]).infer_objects()

    @cached_property
    def rows(self) -> np.ndarray:
        """Rows that are pooled."""
        return np.atleast_1d(self.data["rows_pooled"])

    @cached_property
    def yi(self) -> np.ndarray:
        """Effects that are pooled."""
        return np.atleast_1d(np.array(self.data["escalc"]["yi"], float))[self.rows]

    @cached_property
    def vi(self) -> np.ndarray:
        """Variances of the effects that are pooled."""
        return np.atleast_1d(np.array(self.data["escalc"]["vi"], float))[self.rows]

    @cached_property
    def effects(self) -> pd.DataFrame:
        """The pooled rows with effect and variance."""
        pooled = self.table.iloc[self.rows].reset_index(drop=True)
        names = [str(row) for row in self.rows]
        return pooled.assign(yi=self.yi, vi=self.vi, study=names)


@dataclass
class Comparison:
    """What was found for one file: counts by feature, and every disagreement in words."""

    agreed: Counter[str] = field(default_factory=Counter)
    differs: list[str] = field(default_factory=list)
    not_compared: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)

    def lines(self, name: str) -> list[str]:
        """Return the counts of this file, one line for all and one per feature left out."""
        total = sum(self.agreed.values()) + len(self.differs)
        line = f"synthesis {name}: {total} compared, {sum(self.agreed.values())} agreed"
        if self.differs:
            line += f", {len(self.differs)} DIFFER"
        left = [f"{size} of {feature}" for feature, size in sorted(self.not_compared.items())]
        left += [
            f"{size} refused by R in {feature}" for feature, size in sorted(self.refused.items())
        ]
        return [line + (f"; not compared: {', '.join(left)}" if left else "")]


LISTED = re.compile(r"^- `([^`]+)` `([^`]+)`(?: of `([^`]+)`)?: not compared, because (.+)$", re.M)


def listed_reasons(readme: str) -> list[tuple[str, str]]:
    """Return the patterns ``file:feature/path`` listed under Synthesis, each with its reason."""
    section = readme.partition("## Synthesis")[2].partition("\n## ")[0]
    return [
        (f"{file or '*'}:{feature}/{path}", reason)
        for feature, path, file, reason in LISTED.findall(section)
    ]


def compare(case: dict[str, Any], skipped: list[tuple[str, str]]) -> Comparison:
    """Compare every figure of a file."""
    reference = Reference(case["name"], case)
    found = Comparison()
    computed = {
        feature: function(reference)
        for feature, function in COMPUTED.items()
        if feature in reference.data
    }
    for path, value in figures(reference.data):
        _compare_one(reference.name, path, value, computed, skipped, found)
    return found


def figures(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of every figure: a number, or a list of numbers."""
    for key, value in data.items():
        path = f"{prefix}/{key}" if prefix else key
        if (not prefix and key in NOT_FIGURES) or _words(key, value):
            continue
        if isinstance(value, dict) and "error" in value:
            yield path, REFUSED
        elif isinstance(value, dict):
            yield from figures(value, path)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for at, item in enumerate(value):
                yield from figures(item, f"{path}/{at}")
        elif np.size(value):
            yield path, value


def _words(key: str, value: Any) -> bool:
    flat = np.ravel(np.array(value, dtype=object))
    return key in WORDS or key.endswith("_note") or any(isinstance(item, str) for item in flat)


REFUSED = object()


def _compare_one(
    name: str,
    path: str,
    value: Any,
    computed: dict[str, Any],
    skipped: list[tuple[str, str]],
    found: Comparison,
) -> None:
    feature, size = path.partition("/")[0], _size(value)
    if value is REFUSED:
        found.refused[feature] += 1
        return
    listed = {pattern for pattern, _ in skipped if fnmatch(f"{name}:{path}", pattern)}
    found.reasons |= listed
    if listed or any(
        path == part or path.startswith(f"{part}/")
        for part in computed.get(feature, {}).get(BELOW, ())
    ):
        found.not_compared[feature] += size
        return
    ours = _at(computed, path)
    if ours is MISSING:
        found.missing.append(f"{name}:{path}")
        return
    problem = _problem(path, ours, value)
    if problem:
        found.differs.append(f"{name}:{path}: {problem}")
    else:
        found.agreed[feature] += size


MISSING = object()
BELOW = "R stopped below the maximum"
"""Where a feature keeps the paths that R itself did not fit: lower likelihood, warning (README)."""


def _at(tree: Any, path: str) -> Any:
    for key in path.split("/"):
        if isinstance(tree, dict) and key in tree:
            tree = tree[key]
        elif isinstance(tree, list) and key.isdigit() and int(key) < len(tree):
            tree = tree[int(key)]
        else:
            return MISSING
    return tree


def _size(value: Any) -> int:
    return int(np.size(np.array(value, dtype=object))) if value is not REFUSED else 1


def _numbers(value: Any) -> np.ndarray:
    flat = np.ravel(np.array(value, dtype=object))
    return np.array([np.nan if item is None else float(item) for item in flat])


def _problem(path: str, ours: Any, value: Any) -> str:
    mine, theirs = _numbers(ours), _numbers(value)
    if path.endswith("R2") and np.isnan(mine).all() and not theirs.any():
        return ""
    if mine.shape != theirs.shape:
        return f"{mine.size} figures instead of {theirs.size}"
    rtol, atol = tolerance(path)
    wrong = ~np.isclose(mine, theirs, rtol=rtol, atol=atol, equal_nan=True)
    if len(theirs) > 3 or "profile_ci" in path:
        wrong &= ~(np.isnan(theirs) & np.isfinite(mine))
    wrong &= ~(np.isnan(theirs) & np.isinf(mine))
    if not wrong.any():
        return ""
    at = int(np.flatnonzero(wrong)[0])
    return f"{wrong.sum()} of {mine.size} differ, first [{at}] {mine[at]!r} against {theirs[at]!r}"


CLOSED, ITERATIVE, POOLED, LIMITS = (1e-10, 1e-12), (1e-6, 1e-8), (1e-7, 1e-9), (1e-5, 1e-8)

TOLERANCES: list[tuple[str, tuple[float, float]]] = [
    (r"REML_metafor_default_control/I2$", (1e-3, 5e-2)),
    (r"REML_metafor_default_control/", (1e-3, 1e-4)),
    (r"^(escalc|binary/escalc_variants|escalc_variants|proportion|rate)/.*(yi|vi)$", CLOSED),
    (r"^escalc/", CLOSED),
    (r"^selmodel/", (1e-3, 1e-4)),
    (r"glmm/UM.RS/QE_Wld", (5e-2, 1e-2)),
    (r"glmm/UM.RS/(se|ci)", (2e-2, 5e-3)),
    (r"glmm", (1e-3, 1e-4)),
    (r"SUCRA", (0, 1e-2)),
    (r"^netmeta_REML/", (1e-5, 1e-6)),
    (r"^models/.*profile_ci_sigma2", (1e-4, 2e-4)),
    (r"^models/.*(sigma2|tau2|rho|I2_multilevel/.*)$", (1e-4, 1e-7)),
    (r"^models/.*(loglik|vcov|df)$", (1e-4, 1e-7)),
    (r"^models/", (1e-5, 1e-7)),
    (r"meta_metabin/RR_random_HK", (1e-3, 1e-5)),
    (r"^trimfill/[^/]*/(mu|se|ci|tau2|p|filled_yi)$", (1.5e-3, 1e-5)),
    (r"tau2_ci/DL_GENQ", (1e-5, 2e-4)),
    (r"tau2_ci/", LIMITS),
    (r"/(tau2|se_tau2|I2|H2|tau2_del)$", ITERATIVE),
    (r"/(p|Qp|QMp|QEp|p_k0)$", (1e-6, 1e-12)),
    (r"meta_pkg/I2_tau2", (1e-4, 2.5e-3)),
    (r"meta_pkg/", (1e-6, 1e-8)),
    (r"(influence|blup|trimfill|cumul|leave1out)/", (1e-6, 1e-8)),
    (r"stat$", (1e-6, 1e-8)),
]
"""Relative and absolute tolerance by path, first match; the schema's, with the reason in README."""


def tolerance(path: str) -> tuple[float, float]:
    """Return relative and absolute tolerance of a figure."""
    for pattern, chosen in TOLERANCES:
        if re.search(pattern, path):
            return chosen
    return POOLED


def _choices(method: str) -> dict[str, Any]:
    return {"model": "common"} if method in ("EE", "FE") else {"tau2": method}


def _fitted(fitted: Fit) -> dict[str, Any]:
    """Return a fit in the words of the schema."""
    full, restricted = fitted.log_likelihoods
    found = {
        "k": fitted.k,
        "mu": fitted.b[0],
        "se": fitted.se[0],
        "stat": fitted.statistic[0],
        "ddf": fitted.df,
        "p": fitted.p[0],
        "ci": [fitted.low[0], fitted.high[0]],
        "tau2": fitted.tau2,
        "se_tau2": fitted.tau2_se,
        "I2": fitted.i2,
        "H2": fitted.h2,
        "Q": fitted.q,
        "Qdf": fitted.q_df,
        "Qp": fitted.q_p,
        "weights_pct": fitted.weights,
        "loglik": {"ML": full, "REML": restricted},
        "pi": _intervals(fitted),
    }
    return found


def _intervals(fitted: Fit) -> dict[str, Any]:
    variants = {
        "default": "normal" if fitted.df is None else "t_k_minus_1",
        "riley": "t_k_minus_2",
        "t": "t_k_minus_1",
    }
    found = {}
    for name, variant in variants.items():
        limits = prediction_interval(fitted, variant)
        if limits:
            found[name] = {"lb": limits[0], "ub": limits[1]}
    return found


def fits(reference: Reference) -> dict[str, Any]:
    """Pool by every estimator with the normal distribution."""
    yi, vi = reference.yi, reference.vi
    methods = [name for name in reference.data["fits"] if name != LOOSE]
    found: dict[str, Any] = {
        name: _fitted(
            fit(yi, vi, test="z", weights=1 / vi if name == "GENQM" else None, **_choices(name))
        )
        for name in methods
    }
    return found | _loose(reference.data["fits"], found["REML"], f"fits/{LOOSE}")


LOOSE = "REML_metafor_default_control"


def _loose(holder: dict[str, Any], reml: dict[str, Any], path: str) -> dict[str, Any]:
    """Return our estimate for R's with its default convergence, and whether that is off by far."""
    stopped, tight = holder.get(LOOSE, {}), holder.get("fits", holder).get("REML", {})
    far = (
        "tau2" in stopped
        and "tau2" in tight
        and abs(stopped["tau2"] - tight["tau2"]) > (2e-6 + 1e-3 * tight["tau2"])
    )
    return {LOOSE: reml, BELOW: [path] if far else []}


def _tested(test: str, floor: str = "none") -> Callable[[Reference], dict[str, Any]]:
    feature = {"t": "t_test", "hartung_knapp": "hksj" if floor == "none" else "hksj_adhoc"}[test]

    def pooled(reference: Reference) -> dict[str, Any]:
        return {
            name: _fitted(fit(reference.yi, reference.vi, test=test, floor=floor, **_choices(name)))
            for name in reference.data[feature]
        }

    return pooled


def level90(reference: Reference) -> dict[str, Any]:
    """Pool with 90 % intervals."""
    return _fitted(fit(reference.yi, reference.vi, level=0.9))


KINDS = {"QP": "Q_profile", "PL": "profile_likelihood", "GENQ": "generalised_Q"}


def tau2_ci(reference: Reference) -> dict[str, Any]:
    """Return intervals of the between-study variance and what follows from it."""
    found = {}
    for key in reference.data["tau2_ci"]:
        method, _, kind = key.partition("_")
        if kind not in KINDS:
            continue
        fitted = fit(reference.yi, reference.vi, tau2=method)
        tau2 = np.array([fitted.tau2, *(tau2_interval(fitted, KINDS[kind]) or (np.nan, np.nan))])
        found[key] = {
            "tau2": tau2,
            "tau": np.sqrt(tau2),
            "I2": 100 * tau2 / (tau2 + fitted.typical_v),
            "H2": 1 + tau2 / fitted.typical_v,
        }
    return found


def escalc(reference: Reference) -> dict[str, Any]:
    """Return the effect sizes that everything else uses."""
    measure = str(reference.data["measure"])
    named = re.fullmatch(r"GEN\((\w+)\)", measure)
    if measure not in MEASURES and not (named and named[1] == "ABT"):
        return {"yi": reference.table["yi"], "vi": reference.table["vi"]}
    table = effect_sizes(reference.table, measure=named[1] if named else measure)
    return {"yi": table["yi"], "vi": table["vi"]}


VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "OR_add_all": ("OR", {"zero_cells": "all"}),
    "OR_if0all": ("OR", {"zero_cells": "if0all"}),
    "OR_drop00": ("OR", {"double_zeros": "drop"}),
    "MD_HO": ("MD", {"variance": "HO"}),
    "SMD_LS2": ("SMD", {"variance": "LS2"}),
    "SMD_UB": ("SMD", {"variance": "UB"}),
    "SMD_AV": ("SMD", {"variance": "AV"}),
    "SMD_cohen_d_uncorrected": ("SMD", {"variance": "uncorrected"}),
    "ROM_uncorrected": ("ROM", {"variance": "uncorrected"}),
    "meta_metacont_SMD": ("SMD", {"variance": "UB"}),
}


def variants(names: dict[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """Return effect sizes by other measures and rules."""
    found = {}
    for name in names:
        measure, choices = VARIANTS.get(name, (name, {}))
        if measure in MEASURES:
            effects = effect_sizes(table, measure=measure, **choices)
            se = np.sqrt(effects["vi"])
            found[name] = {"yi": effects["yi"], "vi": effects["vi"], "se": se}
    return found


def escalc_variants(reference: Reference) -> dict[str, Any]:
    """Return effect sizes of means and correlations by other measures and rules."""
    return variants(reference.data["escalc_variants"], reference.table)


def proportion(reference: Reference) -> dict[str, Any]:
    """Return effect sizes of proportions and the back-transformed pooled proportion."""
    found = variants(reference.data["proportion"], reference.table)
    xi, ni = reference.table["xi"].to_numpy(float), reference.table["ni"].to_numpy(float)
    found["glmm_PLO"] = _modelled(count_models.binomial_normal(xi, ni))
    effects = effect_sizes(reference.table, measure="PFT")
    fitted = fit(effects["yi"], effects["vi"], test="z")
    size = len(effects) / np.sum(1 / effects["ni"].to_numpy(float))
    ends = [back_transform(item[0], "PFT", size) for item in (fitted.b, fitted.low, fitted.high)]
    return found | {"PFT_backtransformed": {"est": ends[0], "ci": ends[1:]}}


def rate(reference: Reference) -> dict[str, Any]:
    """Return effect sizes of rates and what was pooled from them."""
    found = variants(reference.data["rate"], reference.table)
    for measure in ("IRR", "IRD"):
        found[f"mh_{measure}"] = _counted(reference.table, measure)
    if "glmm_UM.FS" in reference.data["rate"]:
        counts = rare.counts(reference.table, rates=True).with_events()
        found["glmm_UM.FS"] = _modelled(_levels(counts, rates=True))
    return found


def _counted(table: pd.DataFrame, measure: str) -> dict[str, Any]:
    result = rare.pool_counts(table, measure=measure, direction_better="none")
    log = {item.key: item for item in result.estimates}
    pooled = log["pooled"]
    ends = np.array([pooled.value, pooled.low, pooled.high])
    mu, *ci = np.log(ends) if MEASURES[measure].back == "exp" else ends
    names = {"p": "p", "Q": "Q", "Q_p": "Qp", "I2": "I2", "CMH": "CMH", "CMH_p": "CMHp"}
    names |= {"BD": "BD", "BD_p": "BDp", "TA": "TA", "TA_p": "TAp"}
    return {
        "mu": mu,
        "se": pooled.se,
        "z": mu / pooled.se,
        "ci": ci,
        "k": result.settings["studies"],
        "k_yi": int(result.table["yi"].notna().sum()),
        **{theirs: log[ours].value for ours, theirs in names.items() if ours in log},
    }


def _modelled(found: ModelFit, typical: float | None = None) -> dict[str, Any]:
    half = 1.959963984540054 * found.se
    spread = {} if typical is None else {"I2": 100 * found.tau2 / (found.tau2 + typical)}
    return {
        "mu": found.mu,
        "se": found.se,
        "ci": [found.mu - half, found.mu + half],
        "tau2": found.tau2,
        "QE_Wld": found.wald,
        "QE_LRT": found.likelihood_ratio,
        **spread,
    }


def _levels(counts: rare.Counts, rates: bool = False) -> ModelFit:
    return study_effects.fixed_levels(study_effects.Arms(counts, rates))


LOGISTIC: dict[str, Callable[[rare.Counts], ModelFit]] = {
    "UM.FS": _levels,
    "UM.RS": lambda counts: study_effects.random_levels(study_effects.Arms(counts)),
    "CM.AL": count_models.approximate_conditional,
    "CM.EL": count_models.exact_conditional,
}
DOUBTS = ("failed to converge", "singular", "unidentifiable", "degenerate")
"""Words by which R warns that a logistic model may not have been fitted."""


def glmm(reference: Reference) -> dict[str, Any]:
    """Return logistic mixed models."""
    counts = rare.counts(reference.table).informative()
    typical = count_models.typical_variance(
        effect_sizes(reference.table, measure="OR", double_zeros="drop")
    )
    return {
        name: _modelled(LOGISTIC[name](counts), typical)
        for name, block in reference.data["binary"].get("glmm", {}).items()
        if name in LOGISTIC and "error" not in block
    }


def _not_fitted(reference: Reference, found: dict[str, Any]) -> list[str]:
    """Return the figures that differ where R itself warns that it may not have fitted the model."""
    return [
        f"glmm/{name}/{key}"
        for name, block in reference.data["binary"].get("glmm", {}).items()
        if name in found and any(word in str(block.get("warnings")) for word in DOUBTS)
        for key, value in block.items()
        if key != "warnings" and _problem(f"binary/glmm/{name}/{key}", found[name][key], value)
    ]


def binary(reference: Reference) -> dict[str, Any]:
    """Return what is pooled from counts."""
    table = reference.table
    mh = {measure: _counted(table, measure) for measure in ("OR", "RR", "RD")}
    counts = rare.counts(table).informative()
    plain, plain_p = rare.association(counts, correct=False)
    mh["OR_nocorrect"] = mh["OR"] | {"CMH": plain, "CMHp": plain_p}
    models = glmm(reference)
    return {
        "mh": mh,
        "peto": _counted(table, "PETO"),
        "escalc_variants": variants(reference.data["binary"]["escalc_variants"], table),
        "glmm": models,
        BELOW: [f"binary/{path}" for path in _not_fitted(reference, models)],
        "meta_metabin": _metabin(counts),
    }


def _metabin(t: rare.Counts) -> dict[str, Any]:
    """Return what meta pools: it adds 0.5 to zero cells in Mantel-Haenszel too, and once to n."""
    half = 0.5 * ((t.a == 0) | (t.c == 0) | (t.a == t.n1) | (t.c == t.n2))
    added = rare.Counts(t.a + half, t.n1 + 2 * half, t.c + half, t.n2 + 2 * half)
    a, n1, c, n2 = t.a + half, t.n1 + half, t.c + half, t.n2 + half
    pooled = fit(np.log(a / n1) - np.log(c / n2), 1 / a - 1 / n1 + 1 / c - 1 / n2)
    ends = [pooled.low[0], pooled.high[0]]
    return {
        "RR_MH_common": dict(zip(("mu", "se"), rare.risk_ratio(added), strict=True)),
        "OR_MH_common": dict(zip(("mu", "se"), rare.odds_ratio(added), strict=True)),
        "RR_random_HK": {"mu": pooled.b[0], "se": pooled.se[0], "ci": ends, "tau2": pooled.tau2},
    }


def leave1out(reference: Reference) -> dict[str, Any]:
    """Pool without each study in turn."""
    return {
        name: _columns(_repeated(sensitivity.leave_one_out, reference.effects, name))
        for name in reference.data["leave1out"]
    }


def cumul(reference: Reference) -> dict[str, Any]:
    """Pool as studies accumulate."""
    found: dict[str, Any] = {}
    for order, block in reference.data["cumul"].items():
        if order == "year_order":
            continue
        effects = reference.effects
        if order == "by_year":
            effects = effects.iloc[np.atleast_1d(reference.data["cumul"]["year_order"])]
        found[order] = {
            name: _columns(_repeated(sensitivity.cumulative, effects, name)) for name in block
        }
    return found


def _repeated(function: Callable[..., Any], effects: pd.DataFrame, name: str) -> pd.DataFrame:
    method, _, knha = name.partition("_")
    test = "hartung_knapp" if knha else "z"
    return function(effects, test=test, floor="none", **_choices(method)).table


def _columns(table: pd.DataFrame) -> dict[str, Any]:
    names = {
        "value": "mu",
        "statistic": "stat",
        "low": "ci_lb",
        "high": "ci_ub",
        "Q_p": "Qp",
    }
    return {names.get(name, name): table[name].to_numpy() for name in table.columns[1:]}


def influence(reference: Reference) -> dict[str, Any]:
    """Return deletion diagnostics."""
    names = {
        "cook": "cook_d",
        "cov_ratio": "cov_r",
        "tau2_without": "tau2_del",
        "Q_without": "QE_del",
        "dfbetas": "dfbs",
        "influential": "is_infl",
    }
    found = {}
    for method in reference.data["influence"]:
        table = sensitivity.influence(reference.effects, **_choices(method)).table
        found[method] = {
            names.get(name, name): table[name].to_numpy() for name in table.columns[1:]
        }
    return found


def blup(reference: Reference) -> dict[str, Any]:
    """Return shrunken effects of the studies."""
    table = sensitivity.best_predictions(reference.effects).table
    names = {"value": "pred", "low": "pi_lb", "high": "pi_ub", "se": "se"}
    return {theirs: table[ours].to_numpy() for ours, theirs in names.items()}


def permutest(reference: Reference) -> dict[str, Any]:
    """Return the exact permutation test."""
    return {"p": regression.permutation_test(reference.yi, reference.vi)}


def metareg(reference: Reference) -> dict[str, Any]:
    """Regress on moderators, with the design that the file states."""
    found: dict[str, Any] = {}
    for formula, block in reference.data["metareg"].items():
        x = np.array(block["design"], float).T
        rows = np.atleast_1d(block["rows_used"])
        yi, vi = reference.yi[rows], reference.vi[rows]
        found[formula] = {
            name: _regressed(yi, vi, x, name)
            for name in block
            if name.partition("_")[2] in ("z", "knha")
        }
    return found


def _regressed(yi: np.ndarray, vi: np.ndarray, x: np.ndarray, name: str) -> dict[str, Any]:
    method, _, test = name.partition("_")
    chosen = _choices(method) | {"test": "hartung_knapp" if test == "knha" else "z"}
    fitted = fit(yi, vi, x, **chosen)
    r2 = regression.explained(fitted, fit(yi, vi, **chosen))
    return _coefficients(fitted) | {"R2": r2}


def _coefficients(fitted: Fit) -> dict[str, Any]:
    statistic, p = regression.wald(fitted, range(1, len(fitted.b)))
    return {
        "k": fitted.k,
        "b": fitted.b,
        "se": fitted.se,
        "stat": fitted.statistic,
        "t": fitted.statistic,
        "ddf": fitted.df,
        "p": fitted.p,
        "ci_lb": fitted.low,
        "ci_ub": fitted.high,
        "vcov": fitted.vcov,
        "tau2": fitted.tau2,
        "I2": fitted.i2,
        "H2": fitted.h2,
        "QM": statistic,
        "QMdf": [len(fitted.b) - 1, fitted.df],
        "QMp": p,
        "QE": fitted.q,
        "QEp": fitted.q_p,
    }


def subgroup(reference: Reference) -> dict[str, Any]:
    """Pool subgroups and test their difference."""
    block = reference.data["subgroup"]
    rows = np.atleast_1d(block["rows_used"])
    effects = reference.effects.iloc[rows].assign(
        G=[_level(value) for value in reference.effects[block["variable"]].iloc[rows]]
    )
    kinds = {
        "separate_tau2_REML_z": {"tau2": "REML", "test": "z"},
        "separate_tau2_REML_knha": {"tau2": "REML", "test": "hartung_knapp"},
        "separate_tau2_DL": {"tau2": "DL", "test": "z"},
        "EE": {"model": "common", "test": "z"},
    }
    found: dict[str, Any] = {
        name: _groups(regression.subgroups(effects, "G", floor="none", **chosen), block[name])
        for name, chosen in kinds.items()
        if name in block
    }
    x, _ = regression.design_matrix(effects, ["G"])
    shared = fit(effects["yi"], effects["vi"], x, test="z")
    null = fit(effects["yi"], effects["vi"], test="z")
    found["common_tau2_REML"] = _coefficients(shared) | {"R2": regression.explained(shared, null)}
    found["meta_common_tau2"] = _shared(effects, block["meta_common_tau2"])
    return found


def _level(value: Any) -> str:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"{value:g}" if plain else str(value)


def _groups(result: Any, block: dict[str, Any]) -> dict[str, Any]:
    by_name = result.table.set_index("group")
    ordered = [by_name.loc[_level(group["level"])] for group in block["groups"]]
    groups = [
        {
            "k": row["k"],
            "mu": row["value"],
            "se": row["se"],
            "ci": [row["low"], row["high"]],
            "tau2": row["tau2"],
            "I2": row["I2"],
            "Q": row["Q"],
        }
        for row in ordered
    ]
    p = result["Q_between_p"].value
    return {
        "groups": groups,
        "Q_between": result["Q_between"].value,
        "df": len(groups) - 1,
        "p": p,
    }


def _shared(effects: pd.DataFrame, block: dict[str, Any]) -> dict[str, Any]:
    result = regression.subgroups(effects, "G", shared_tau2=True, test="z", floor="none")
    table = result.table.set_index("group").loc[[_level(level) for level in block["levels"]]]
    return {
        "mu": table["value"].to_numpy(),
        "se": table["se"].to_numpy(),
        "tau2": table["tau2"].to_numpy(),
        "Q_b": result["Q_between"].value,
        "p": result["Q_between_p"].value,
    }


PREDICTIONS = {
    "V": "classic_k_minus_1",
    "HTS": "HTS_k_minus_2",
    "HK": "t_k_minus_1",
    "HK-PR": "t_k_minus_2",
    "KR": "KR",
    "KR-PR": "KR_PR",
    "S": "normal",
}
FLOORS = {"none": "none", "se": "scale", "ci": "interval", "IQWiG6": "iqwig6"}


def meta_pkg(reference: Reference) -> dict[str, Any]:
    """Return what the package meta computes: prediction intervals, floors, Kenward-Roger, I²."""
    yi, vi = reference.yi, reference.vi
    fitted, classic = fit(yi, vi), fit(yi, vi, test="z")
    kr = fit(yi, vi, test="kenward_roger")
    df = {"V": fitted.k - 1, "HTS": fitted.k - 2, "HK": fitted.k - 1, "HK-PR": fitted.k - 2}
    df |= {"KR": kr.df, "KR-PR": (kr.df or 0) - 1, "S": None}
    predicted = {}
    for name, variant in PREDICTIONS.items():
        limits = prediction_interval(classic if name == "S" else fitted, variant) or (None, None)
        predicted[name] = {"lb": limits[0], "ub": limits[1], "df": df[name]}
    floors = {name: fit(yi, vi, floor=floor) for name, floor in FLOORS.items()}
    tau2 = np.array([fitted.tau2, *(tau2_interval(fitted) or (np.nan, np.nan))])
    from_q = q_based(fitted)
    return {
        "pi_reml": predicted,
        "hk_adhoc": {
            name: {"mu": one.b[0], "se": one.se[0], "ci": [one.low[0], one.high[0]], "df": one.df}
            for name, one in floors.items()
        },
        "kenward_roger": {"se": kr.se[0], "ci": [kr.low[0], kr.high[0]], "df": kr.df},
        "I2_tau2": tau2 / (tau2 + fitted.typical_v),
        "I2_Q": np.array(from_q["I2"]) / 100,
        "H_Q": from_q["H"],
    }


EGGER: dict[str, dict[str, Any]] = {
    "lm_sei": {},
    "lm_vi": {"predictor": "variance"},
    "lm_ninv": {"predictor": "inverse_n"},
    "rma_reml_sei": {"model": "random"},
    "rma_reml_knha_sei": {"model": "random", "test": "hartung_knapp"},
    "rma_dl_sei": {"model": "random", "tau2": "DL"},
}


def egger(reference: Reference) -> dict[str, Any]:
    """Return regression tests of small-study effects."""
    found = {}
    for name, chosen in EGGER.items():
        if name not in reference.data["egger"] or "error" in reference.data["egger"][name]:
            continue
        n = _people(reference) if name == "lm_ninv" else None
        found[name] = _egger(bias.regression_test(reference.yi, reference.vi, n=n, **chosen))
    return found


def _egger(fitted: Fit) -> dict[str, Any]:
    return {
        "stat": fitted.statistic[1],
        "ddf": fitted.df,
        "p": fitted.p[1],
        "est": fitted.b[0],
        "ci": [fitted.low[0], fitted.high[0]],
        "dfs": fitted.df,
    }


def _people(reference: Reference) -> np.ndarray:
    table = reference.table.iloc[reference.rows]
    if {"n1i", "n2i"} <= set(table):
        return (table["n1i"] + table["n2i"]).to_numpy(float)
    return table["ni"].to_numpy(float)


def begg(reference: Reference) -> dict[str, Any]:
    """Return the rank test."""
    tau, p = bias.rank_test(reference.yi, reference.vi)
    return {"tau": tau, "p": p}


def begg_asymptotic(reference: Reference) -> dict[str, Any]:
    """Return the rank test with the normal approximation."""
    tau, p = bias.rank_test(reference.yi, reference.vi, exact=False)
    return {"tau": tau, "p": p}


def trimfill(reference: Reference) -> dict[str, Any]:
    """Return what trim and fill adds and finds."""
    found: dict[str, Any] = {}
    for name, block in reference.data["trimfill"].items():
        method, estimator, *side = name.split("_")
        result = bias.trim_and_fill(
            reference.effects,
            estimator=estimator,
            side=side[0] if side else "",
            **_choices(method),
        )
        if result.known and "error" not in block:
            found[name] = _filled(result)
    return found


def _filled(result: Any) -> dict[str, Any]:
    pooled, missing = result["filled"], result["missing"]
    k0 = int(missing.value)
    return {
        "k0": k0,
        "se_k0": missing.se,
        "k": pooled.k,
        "mu": pooled.value,
        "se": pooled.se,
        "ci": [pooled.low, pooled.high],
        "tau2": result["tau2"].value,
        "p": 2 * stats.norm.sf(abs(pooled.value / pooled.se)),
        "p_k0": 0.5**k0 * 0.5 if result.settings["estimator"] == "R0" else None,
        "filled_yi": result.table["yi"].to_numpy(),
        "filled_vi": result.table["vi"].to_numpy(),
    }


def fsn(reference: Reference) -> dict[str, Any]:
    """Return fail-safe numbers."""
    kinds = {"rosenthal": "rosenthal", "orwin_half": "orwin", "rosenberg": "rosenberg"}
    common = fit(reference.yi, reference.vi, model="common", test="z")
    p = {
        "rosenthal": stats.norm.sf(
            abs(np.sum(reference.yi / np.sqrt(reference.vi)) / np.sqrt(len(reference.yi)))
        ),
        "rosenberg": common.p[0],
    }
    return {
        name: {"fsnum": bias.fail_safe_n(reference.yi, reference.vi, kind), "p": p.get(name)}
        for name, kind in kinds.items()
    }


def pet_peese(reference: Reference) -> dict[str, Any]:
    """Return the regressions on standard error and variance."""
    yi, vi = reference.yi, reference.vi
    found = {}
    for name, predictor in (("pet", "se"), ("peese", "variance")):
        fitted = bias.regression_test(yi, vi, predictor=predictor)
        found[name] = _coefficients(fitted)
        found[f"{name}_rma_reml"] = _coefficients(
            bias.regression_test(yi, vi, predictor=predictor, model="random")
        )
    return found


def selmodel(reference: Reference) -> dict[str, Any]:
    """Return step selection models, and where R did not reach the maximum."""
    found: dict[str, Any] = {BELOW: []}
    for name, block in reference.data["selmodel"].items():
        if not isinstance(block, dict) or "error" in block:
            continue
        result = selection_model(
            reference.effects,
            steps=tuple(np.atleast_1d(block["steps"])),
            alternative=block["alternative"],
            model="common" if block["method"] == "EE" else "random",
        )
        found[name] = _selected(result) if result.known else {}
        refused = not result.known and "warnings" in block
        if refused or (result.known and found[name]["loglik"] > block["loglik"] + 1e-6):
            found[BELOW].append(f"selmodel/{name}")
    return found


def _selected(result: Any) -> dict[str, Any]:
    adjusted = result["adjusted"]
    return {
        "mu": adjusted.value,
        "se": adjusted.se,
        "p": 2 * stats.norm.sf(abs(adjusted.value / adjusted.se)),
        "ci": [adjusted.low, adjusted.high],
        "tau2": result["tau2"].value,
        "delta": result.table["weight"].to_numpy(),
        "loglik": result["log_likelihood"].value,
        "LRT": result["LRT"].value,
        "LRTp": result["LRT_p"].value,
    }


def cases(reference: Reference) -> dict[str, Any]:
    """Return the constructed edge cases."""
    found: dict[str, Any] = {name: _case(case) for name, case in reference.data["cases"].items()}
    stopped = [f"cases/{name}/{path}" for name, case in found.items() for path in case[BELOW]]
    return found | {BELOW: stopped}


def _brute(reml: Fit) -> dict[str, Any]:
    """Return our REML estimate where the file has that of a grid, independent of R."""
    w = 1 / (reml.studies.v * reml.studies.unit + reml.tau2)
    residual = reml.studies.y * np.sqrt(reml.studies.unit) - reml.b[0]
    core = (np.log(w).sum() - np.log(w.sum()) - w @ residual**2) / 2
    return {"tau2": reml.tau2, "loglik_core": core}


def _case(case: dict[str, Any]) -> dict[str, Any]:
    yi, vi = np.atleast_1d(case["yi"]), np.atleast_1d(case["vi"])
    one = Reference("case", {"escalc": {"yi": yi, "vi": vi}, "rows_pooled": np.arange(len(yi))})
    one.data |= {"fits": case["fits"], "hksj": case["hksj"], "egger": {}}
    one.data |= {"egger": {"lm_sei": case["egger_lm"]}} if "egger_lm" in case else {}
    reml = fit(yi, vi)
    interval = tau2_interval(reml) or (np.nan, np.nan)
    return {
        "yi": yi,
        "vi": vi,
        "fits": fits(one),
        "hksj": _tested("hartung_knapp")(one),
        "hksj_adhoc_REML": _fitted(fit(yi, vi, floor="scale")),
        "tau2_ci_REML_QP": [reml.tau2, *interval],
        "REML_bruteforce_tau2": _brute(reml),
        "egger_lm": egger(one).get("lm_sei", {}),
        **_loose(case, _fitted(fit(yi, vi, test="z")), LOOSE),
    }


def models(reference: Reference) -> dict[str, Any]:
    """Return multilevel models with robust variances."""
    found: dict[str, Any] = {}
    random = re.search(r"~ 1 \| ([\w.]+)/([\w.]+)", reference.data["models"]["three_level"]["call"])
    assert random, "the call must name the levels"
    for name, block in reference.data["models"].items():
        if "error" not in block:
            found[name] = _levelled(reference, name, block, random[1], random[2])
    return found


def _levelled(
    reference: Reference, name: str, block: dict[str, Any], outer: str, inner: str
) -> dict[str, Any]:
    table = reference.table.dropna(subset=["yi", "vi"])
    x = _model_matrix(table, block["call"])
    rho = float(re.findall(r"rho=?([0-9.]+)", name)[0]) if name.startswith("che") else 0.0
    data = dependent.levels(table["yi"], table["vi"], table[outer], table[inner], x=x, rho=rho)
    restricted = block["method"] == "REML"
    fitted = dependent.fit_levels(data, restricted=restricted)
    clusters = table[reference.data["cluster"]]
    ddf = float(clusters.nunique() - x.shape[1]) if block["test"] == "t" else None
    result = _levelled_coefficients(fitted, ddf) | {"loglik": fitted.log_likelihood(restricted)}
    result |= _levelled_spread(fitted, name)
    for correction in ("CR0", "CR1", "CR2_satterthwaite"):
        key = f"robust_{correction}"
        result[key] = _robust(dependent.robust(fitted, clusters, correction[:3]), correction)
        result[key]["n_clusters"] = clusters.nunique()
    if name == "three_level":
        result["profile_ci_sigma2"] = {
            str(at + 1): [fitted.variances[at], *dependent.profile_interval(data, fitted, at)]
            for at in range(2)
        }
    return result


def _model_matrix(table: pd.DataFrame, call: str) -> np.ndarray:
    terms = re.findall(r"mods = ~ (.*)$", call)
    names = [term.strip() for term in terms[0].split("+")] if terms else []
    columns = {}
    for name in names:
        factor = re.fullmatch(r"factor\((\S+)\)", name)
        column = factor[1] if factor else name
        values = table[column]
        columns[name] = [_level(value) for value in values] if factor else values.to_numpy(float)
    return regression.design_matrix(pd.DataFrame(columns, index=table.index), names)[0]


def _levelled_coefficients(fitted: dependent.Marginal, ddf: float | None) -> dict[str, Any]:
    b, se = fitted.b, np.sqrt(np.diag(fitted.vcov))
    half = quantile(0.975, ddf) * se
    tested = slice(1, None) if len(b) > 1 else slice(None)
    qm = float(b[tested] @ np.linalg.solve(fitted.vcov[tested, tested], b[tested]))
    df = len(b[tested])
    qmp = stats.chi2.sf(qm, df) if ddf is None else stats.f.sf(qm / df, df, ddf)
    spread = np.sqrt(fitted.variances.sum() + se[0] ** 2) * quantile(0.975, ddf)
    return {
        "b": b,
        "se": se,
        "stat": b / se,
        "ddf": [ddf] * len(b),
        "p": two_sided(b / se, ddf),
        "ci_lb": b - half,
        "ci_ub": b + half,
        "vcov": fitted.vcov,
        "QM": qm if ddf is None else qm / df,
        "QMdf": [df, ddf],
        "QMp": qmp,
        "k": len(fitted.data.y),
        "pi": {"default": {"lb": b[0] - spread, "ub": b[0] + spread}},
    }


def _levelled_spread(fitted: dependent.Marginal, name: str) -> dict[str, Any]:
    q, p = dependent.residual_heterogeneity(fitted.data)
    shares = dependent.heterogeneity_shares(fitted)
    total = fitted.variances.sum()
    compound = name == "hcs"
    return {
        "sigma2": 0.0 if compound else fitted.variances,
        "tau2": total if compound else 0.0,
        "rho": fitted.variances[0] / total if compound else 0.0,
        "s_levels": [len(np.unique(shared, axis=0)) for shared in fitted.data.shared],
        "QE": q,
        "QEp": p,
        "I2_multilevel": {"total": shares.sum(), "by_component": shares},
    }


def _robust(found: dependent.Robust, correction: str) -> dict[str, Any]:
    low, high = found.limits(0.95)
    shared = {"b": found.b, "se": found.se, "t": found.statistic, "stat": found.statistic}
    shared |= {"p": found.p, "ci_lb": low, "ci_ub": high, "vcov": found.vcov}
    return shared | ({"df": found.df} if "CR2" in correction else {"ddf": found.df[0]})


def ols_style_reference(reference: Reference) -> dict[str, Any]:
    """Return the two-level model that ignores clusters."""
    table = reference.table.dropna(subset=["yi", "vi"])
    return {"REML_two_level": _fitted(fit(table["yi"], table["vi"], test="z"))}


def _network_table(reference: Reference) -> pd.DataFrame:
    """Return the contrasts that the file states."""
    listed = pd.DataFrame(reference.data["contrasts"])
    return pd.DataFrame(
        {
            "study": listed["studlab"].astype("str"),
            "treatment1": listed["treat1"],
            "treatment2": listed["treat2"],
            "yi": listed["TE"].astype(float),
            "vi": listed["seTE"].astype(float) ** 2,
            "measure": reference.data["measure"],
        }
    )


def contrasts(reference: Reference) -> dict[str, Any]:
    """Return all contrasts from the table of arms, in the file's order and direction."""
    table, measure = reference.table, reference.data["measure"]
    names = {
        "study": _first(table, "study", "studlab", "id"),
        "treatment": _first(table, "treatment", "trt", "treat"),
        "n": _first(table, "ni", "n"),
    }
    if measure in ("MD", "SMD"):
        names |= {"mean": _first(table, "mi", "mean"), "sd": _first(table, "sdi", "sd")}
    else:
        names |= {"events": _first(table, "xi", "responders", "resp", "death")}
    if not all(names.values()):
        return dict(reference.data["contrasts"])
    ours = network.contrasts(table, measure=measure, **names)
    found = {}
    for row in ours.itertuples():
        found[row.study, row.treatment1, row.treatment2] = (row.yi, row.vi)
        found[row.study, row.treatment2, row.treatment1] = (-row.yi, row.vi)
    stated = _network_table(reference)
    keys = zip(stated["study"], stated["treatment1"], stated["treatment2"], strict=True)
    pairs = np.array([found.get(key, (np.nan, np.nan)) for key in keys])
    return {"TE": pairs[:, 0], "seTE": np.sqrt(pairs[:, 1])}


def _first(table: pd.DataFrame, *names: str) -> str:
    return next((name for name in names if name in table), "")


def netmeta(reference: Reference) -> dict[str, Any]:
    """Return the network with the method of moments."""
    built = network.build(_network_table(reference))
    tau2 = network.moment_tau2(built)
    common, random = built.at(0.0), built.at(tau2)
    parts = network.decompose(built)
    (q, df), (within, within_df), (between, between_df) = parts.total, parts.within, parts.between
    found: dict[str, Any] = {
        "k": len(built.arms),
        "m": len(_network_table(reference)),
        "n_treat": len(built.treatments),
        "designs": len(parts.designs),
        "tau": np.sqrt(tau2),
        "tau2": tau2,
        "I2": max(0.0, (q - df) / q),
        "Q": q,
        "df_Q": df,
        "pval_Q": stats.chi2.sf(q, df),
        "Q_heterogeneity": within,
        "df_Q_heterogeneity": within_df,
        "Q_inconsistency": between,
        "df_Q_inconsistency": between_df,
        "pval_Q_inconsistency": stats.chi2.sf(between, between_df),
        "common": _league(common),
        "random": _league(random),
        "prediction": _predicted(random, tau2),
        "Q_decomp": {
            "Q": [q, within, between],
            "df": [df, within_df, between_df],
            "pval": stats.chi2.sf([q, within, between], [df, within_df, between_df]),
        },
        "Q_het_design": _designs(parts.designs, reference.data["netmeta"]["Q_het_design"]),
        "Q_inc_random": {
            "Q": parts.between_random,
            "df": between_df,
            "pval": stats.chi2.sf(parts.between_random, between_df),
            "tau.within": parts.tau_within,
        },
        "split_random": _split(
            network.split_evidence(_network_table(reference), built, tau2),
            reference.data["netmeta"]["split_random"],
        ),
    }
    found |= {
        key: _ranked_as(
            reference.data["netmeta"][key], _adjusted_errors(reference, built, fitted.covariance)
        )
        for key, fitted in (("adj_se_common", common), ("adj_se_random", random))
        if key in reference.data["netmeta"]
    }
    ranked = {"common": _scores(reference, common), "random": _scores(reference, random)}
    return (
        found
        | {f"Pscore_{name}": scores for name, scores in ranked.items()}
        | {"SUCRA_random": ranked["random"]}
    )


def _adjusted_errors(
    reference: Reference, built: network.Network, covariance: np.ndarray
) -> list[float]:
    """Return the errors of independent contrasts that carry what a study's covariance says.

    The graph-theoretical method (Rücker and Schwarzer 2014) works with these: the weights are the
    off-diagonal elements of the study's Laplacian matrix.
    """
    weights: dict[tuple[str, frozenset[str]], float] = {}
    for study, arms in built.arms.items():
        rows = np.flatnonzero(np.array(built.studies) == study)
        inner = np.linalg.inv(covariance[np.ix_(rows, rows)])
        laplacian = np.block(
            [[inner.sum(), -inner.sum(axis=0)], [-inner.sum(axis=1)[:, None], inner]]
        )
        for one, other in combinations(range(len(arms)), 2):
            names = frozenset(built.treatments[arms[at]] for at in (one, other))
            weights[study, names] = -float(laplacian[one, other])
    stated = _network_table(reference)
    pairs = zip(stated["study"], stated["treatment1"], stated["treatment2"], strict=True)
    return [weights[study, frozenset(ends)] ** -0.5 for study, *ends in pairs]


def _ranked_as(stated: Any, ours: list[float]) -> np.ndarray:
    """Return our figures in the file's order, which names none of them."""
    theirs = _numbers(stated)
    found = np.sort(np.array(ours))
    return found[np.argsort(np.argsort(theirs))] if len(theirs) == len(found) else found


def _league(fitted: network.Weighted) -> dict[str, Any]:
    effect, se = fitted.league()
    half = quantile(0.975, None) * se
    with np.errstate(invalid="ignore", divide="ignore"):
        p = two_sided(effect / se, None)
    return {"TE": effect, "seTE": se, "lower": effect - half, "upper": effect + half, "pval": p}


def _predicted(fitted: network.Weighted, tau2: float) -> dict[str, Any]:
    effect, se = fitted.league()
    half = quantile(0.975, fitted.df) * np.sqrt(se**2 + tau2)
    np.fill_diagonal(half, 0.0)
    return {"lower": effect - half, "upper": effect + half}


def _scores(reference: Reference, fitted: network.Weighted) -> dict[str, float]:
    better = "higher" if reference.data["small_values"] == "undesirable" else "lower"
    scores = network.p_scores(*fitted.league(), better)
    return dict(zip(fitted.network.treatments, scores, strict=True))


def _designs(designs: pd.DataFrame, block: dict[str, Any]) -> dict[str, Any]:
    """Return heterogeneity within designs, in the file's order: it names them by number only."""
    ranks = np.argsort(np.lexsort((np.array(block["Q"]), np.array(block["df"]))))
    ordered = designs.sort_values(["df", "Q"]).iloc[ranks]
    pairs = zip(ordered["Q"], ordered["df"], strict=True)
    p = [stats.chi2.sf(q, df) if df else None for q, df in pairs]
    return {"Q": ordered["Q"].to_numpy(), "df": ordered["df"].to_numpy(), "pval": p}


def _split(table: pd.DataFrame, block: dict[str, Any]) -> dict[str, Any]:
    """Return split evidence in the direction that the file states."""
    names = {"proportion": "prop", "network": "nma", "difference": "diff"}
    names |= {"difference_se": "diff_se"}
    own = table["treatment1"] + ":" + table["treatment2"]
    sign = np.where(own == np.array(block["comparison"]), 1.0, -1.0)
    signed = ("network", "direct", "indirect", "difference", "z")
    return {
        names.get(name, name): table[name].to_numpy() * (sign if name in signed else 1)
        for name in table.columns[2:]
    }


def netmetabin(reference: Reference) -> dict[str, Any]:
    """Return the network by Mantel-Haenszel, where its covariances have one form only."""
    if "error" in reference.data["netmetabin_MH"]:
        return {}
    table = reference.table
    names = {
        "study": _first(table, "study", "studlab", "id"),
        "treatment": _first(table, "treatment", "trt", "treat"),
        "events": _first(table, "xi", "responders", "resp", "death"),
        "n": _first(table, "ni", "n"),
    }
    if not all(names.values()) or table.duplicated([names["study"], names["treatment"]]).any():
        return {BELOW: ["netmetabin_MH"]}
    designs, left = network_counts.design_contrasts(table, **names)
    built = network.build(designs)
    fitted = built.at(0.0)
    several = designs.groupby("study").agg(rows=("yi", "size"), studies=("studies", "first"))
    open_form = bool(((several["rows"] > 1) & (several["studies"] > 1)).any())
    open_form |= any(name.count(",") > 1 for name in left["arms"])
    return {
        **_league(fitted),
        "k": int(several["studies"].sum()),
        "Q_inconsistency": fitted.q,
        "Q": None,
        "df_Q": None,
        BELOW: ["netmetabin_MH"] if open_form else [],
    }


def netmeta_reml(reference: Reference) -> dict[str, Any]:
    """Return the network at the file's variance between studies (see README)."""
    fitted = network.build(_network_table(reference)).at(reference.data["netmeta_REML"]["tau2"])
    return {**_league(fitted), "Pscore": _scores(reference, fitted)}


COMPUTED: dict[str, Callable[[Reference], dict[str, Any]]] = {
    "escalc": escalc,
    "escalc_variants": escalc_variants,
    "proportion": proportion,
    "rate": rate,
    "fits": fits,
    "hksj": _tested("hartung_knapp"),
    "hksj_adhoc": _tested("hartung_knapp", "scale"),
    "t_test": _tested("t"),
    "level90_reml_knha": level90,
    "tau2_ci": tau2_ci,
    "leave1out": leave1out,
    "cumul": cumul,
    "influence": influence,
    "blup": blup,
    "permutest_exact": permutest,
    "metareg": metareg,
    "subgroup": subgroup,
    "meta_pkg": meta_pkg,
    "egger": egger,
    "begg": begg,
    "begg_asymptotic": begg_asymptotic,
    "trimfill": trimfill,
    "fsn": fsn,
    "pet_peese": pet_peese,
    "selmodel": selmodel,
    "cases": cases,
    "contrasts": contrasts,
    "netmeta": netmeta,
    "netmeta_REML": netmeta_reml,
    "netmetabin_MH": netmetabin,
    "models": models,
    "ols_style_reference": ols_style_reference,
    "binary": binary,
}
"""Who computes which feature of a file."""
