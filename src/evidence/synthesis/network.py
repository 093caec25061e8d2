"""Network meta-analysis: several treatments compared at once, directly and indirectly.

Frequentist random-effects model with consistent treatment effects. Arms of one study share their
comparator, so contrasts of a multi-arm study are correlated; the between-study variance is the same
for every contrast. Estimates equal those of the graph-theoretical method (Rücker 2012, Research
Synthesis Methods 3:312-324; Rücker and Schwarzer 2014, Statistics in Medicine 33:4353-4369).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, optimize, special

from evidence.errors import DataError
from evidence.results import Caution, Direction, Estimate, Result
from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.fit import check_level, quantile, two_sided
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.pool import (
    as_key,
    decimals_for,
    interval_words,
    reader_scale,
    stated_measure,
    what_differs,
)
from evidence.synthesis.regression import p_words
from evidence.synthesis.weighting import Array

CONTRAST = ("study", "treatment1", "treatment2", "yi", "vi")

ARM_LETTERS = {
    "OR": ("ai", "n1i", "ci", "n2i"),
    "RR": ("ai", "n1i", "ci", "n2i"),
    "RD": ("ai", "n1i", "ci", "n2i"),
    "MD": ("m1i", "sd1i", "n1i", "m2i", "sd2i", "n2i"),
    "SMD": ("m1i", "sd1i", "n1i", "m2i", "sd2i", "n2i"),
}


def contrasts(
    arms: pd.DataFrame,
    *,
    measure: str,
    study: str = "study",
    treatment: str = "treatment",
    events: str = "events",
    n: str = "n",
    mean: str = "mean",
    sd: str = "sd",
) -> pd.DataFrame:
    """Return all contrasts within studies from one row per arm.

    A study with a zero cell in any arm has 0.5 added to the cells of all its arms, so that its
    contrasts stay consistent.

    Parameters
    ----------
    arms
        One row per study and arm.
    measure
        ``OR``, ``RR``, ``RD`` from `events` and `n`; ``MD`` or ``SMD`` from `mean`, `sd` and `n`.
    study, treatment, events, n, mean, sd
        Column names.

    Returns
    -------
    pandas.DataFrame
        study, treatment1, treatment2, yi, vi, measure, excluded; one row per pair of arms.

    Raises
    ------
    DataError
        If the measure or a column is unknown, a study has a treatment twice, or none has two
        complete arms.
    """
    if measure not in ARM_LETTERS:
        raise DataError(f"measure must be one of {', '.join(ARM_LETTERS)}; got {measure!r}.")
    counted = measure in ("OR", "RR", "RD")
    needed = [study, treatment, n, *([events] if counted else [mean, sd])]
    absent = [name for name in needed if name not in arms]
    if absent:
        raise DataError(f"arms need the columns {', '.join(needed)}; there is no {absent}.")
    twice = arms.duplicated([study, treatment])
    if twice.any():
        names = ", ".join(str(name) for name in arms.loc[twice, study].unique()[:5])
        raise DataError(
            f"a study must have each treatment once; {names} has one twice. Merge those arms."
        )
    complete = arms.dropna(subset=needed)
    pairs = [
        _pair(name, one, other, treatment)
        for name, group in complete.groupby(study, sort=False)
        for one, other in combinations(_corrected_arms(group, measure, events, n), 2)
    ]
    if not pairs:
        raise DataError("arms must form pairs; no study has two arms with all their numbers.")
    table = pd.DataFrame(pairs)
    letters: dict[str, Any] = dict(
        zip(ARM_LETTERS[measure], _pair_columns(counted, events, n, mean, sd), strict=True)
    )
    kept = effect_sizes(table, measure=measure, zero_cells="none", **letters)
    return kept[[*CONTRAST, "measure", "excluded"]]


def _corrected_arms(group: pd.DataFrame, measure: str, events: str, n: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [dict(row) for row in group.to_dict("records")]
    counted = measure in ("OR", "RR", "RD")
    if counted and any(row[events] == 0 or row[events] == row[n] for row in rows):
        rows = [row | {events: row[events] + 0.5, n: row[n] + 1} for row in rows]
    return rows


def _pair(name: Any, one: dict[str, Any], other: dict[str, Any], treatment: str) -> dict[str, Any]:
    first = {f"1.{key}": value for key, value in one.items()}
    second = {f"2.{key}": value for key, value in other.items()}
    ends = {"treatment1": str(one[treatment]), "treatment2": str(other[treatment])}
    return {"study": str(name)} | ends | first | second


def _pair_columns(counted: bool, events: str, n: str, mean: str, sd: str) -> list[str]:
    names = [events, n] if counted else [mean, sd, n]
    return [f"{side}.{name}" for side in (1, 2) for name in names]


@dataclass(frozen=True)
class Network:
    """Contrasts of studies against their first arm, with their covariance.

    Parameters
    ----------
    treatments
        Names, sorted.
    y, s
        Basic contrasts (m,) and their sampling covariance (m, m).
    x
        Treatment contrasts of each row against the first treatment, shape (m, t-1).
    spread
        Covariance of a between-study variance of 1: 1 on the diagonal, 1/2 within a study; (m, m).
    rows
        Study of each row, and its arms: tuples of treatment indices.
    """

    treatments: tuple[str, ...]
    y: Array
    s: Array
    x: Array
    spread: Array
    studies: tuple[str, ...]
    arms: dict[str, tuple[int, ...]]

    def at(self, tau2: float) -> Weighted:
        """Return the fit at this between-study variance."""
        return Weighted(self, self.s + tau2 * self.spread, self.x)

    @cached_property
    def by_design(self) -> Array:
        """Contrasts per design: the model in which designs may contradict each other."""
        designs = [self.design(study) for study in self.studies]
        columns = [
            (np.array([design == name for design in designs]))[:, None] * self._own(name)
            for name in dict.fromkeys(designs)
        ]
        return np.hstack(columns)

    def _own(self, design: tuple[int, ...]) -> Array:
        """Return indicators of each comparison with the first arm of this design."""
        found = np.zeros((len(self.y), len(design) - 1))
        for row, study in enumerate(self.studies):
            if self.design(study) == design:
                position = list(design).index(self._second(row)) - 1
                found[row, position] = 1.0
        return found

    def _second(self, row: int) -> int:
        study = self.studies[row]
        return self.arms[study][1 + row - self.studies.index(study)]

    def design(self, study: str) -> tuple[int, ...]:
        """Return the set of treatments that a study compares."""
        return self.arms[study]

    def label(self, design: Sequence[int]) -> str:
        """Return a design in words."""
        return ":".join(self.treatments[arm] for arm in design)


@dataclass(frozen=True)
class Weighted:
    """Generalised least squares of a network's contrasts, computed on demand."""

    network: Network
    covariance: Array
    x: Array

    @cached_property
    def weights(self) -> Array:
        """Inverse covariance."""
        return np.asarray(linalg.inv(self.covariance))

    @cached_property
    def vcov(self) -> Array:
        """Covariance of the effects against the first treatment."""
        return np.asarray(np.linalg.inv(self.x.T @ self.weights @ self.x))

    @cached_property
    def b(self) -> Array:
        """Effects against the first treatment."""
        return np.asarray(self.vcov @ (self.x.T @ (self.weights @ self.network.y)))

    @cached_property
    def q(self) -> float:
        """Generalised residual sum of squares."""
        residual = self.network.y - self.x @ self.b
        return float(residual @ self.weights @ residual)

    @cached_property
    def projection(self) -> Array:
        """``P = W - W X (X'WX)^-1 X'W``."""
        wx = self.weights @ self.x
        return np.asarray(self.weights - wx @ self.vcov @ wx.T)

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        return self.x.shape[0] - self.x.shape[1]

    def league(self) -> tuple[Array, Array]:
        """Return effects and standard errors of each treatment (row) against each (column)."""
        t = len(self.network.treatments)
        effect = np.r_[0.0, self.b]
        covariance = np.zeros((t, t))
        covariance[1:, 1:] = self.vcov
        variance = np.diag(covariance)
        squared = variance[:, None] + variance[None, :] - 2 * covariance
        return effect[:, None] - effect[None, :], np.sqrt(np.maximum(squared, 0.0))


def build(table: pd.DataFrame) -> Network:
    """Return the network of a table of contrasts.

    Raises
    ------
    DataError
        If columns are missing, a variance is not positive, a study lacks contrasts, has one twice
        or variances that no arms can have, or the network falls apart; its parts are named.
    """
    absent = [name for name in CONTRAST if name not in table]
    if absent:
        raise DataError(f"a network needs the columns {', '.join(CONTRAST)}; there is no {absent}.")
    usable = table.dropna(subset=["yi", "vi"])
    _check_contrasts(usable)
    names = sorted(set(usable["treatment1"]) | set(usable["treatment2"]))
    parts = _parts(usable)
    if len(parts) > 1:
        listed = "; ".join(", ".join(sorted(part)) for part in parts)
        raise DataError(
            f"a network must be connected; its parts are: {listed}. Analyse them one by one."
        )
    index = {name: at for at, name in enumerate(names)}
    blocks = [
        _block(str(name), group, index) for name, group in usable.groupby("study", sort=False)
    ]
    studies = tuple(name for name, *_, arms in blocks for _ in arms[1:])
    same = np.array([[one == other for other in studies] for one in studies], float)
    return Network(
        tuple(names),
        np.concatenate([y for _, y, *_ in blocks]),
        np.asarray(linalg.block_diag(*[s for _, _, s, _, _ in blocks])),
        np.vstack([x for _, _, _, x, _ in blocks]),
        (same + np.eye(len(studies))) / 2,
        studies,
        {name: arms for name, *_, arms in blocks},
    )


def _check_contrasts(table: pd.DataFrame) -> None:
    if table.empty:
        raise DataError("a network needs contrasts with effect and variance; there is none.")
    finite = np.isfinite(table["yi"]) & np.isfinite(table["vi"])
    pairs = pd.Series(
        [frozenset(pair) for pair in zip(table["treatment1"], table["treatment2"], strict=True)],
        table.index,
    )
    for wrong, must in (
        (~finite | (table["vi"] <= 0), "contrasts must be finite with variances above 0"),
        (pairs.map(len) < 2, "a contrast must compare two treatments"),
        (pd.DataFrame({"study": table["study"], "pair": pairs}).duplicated(),
         "a study must have each contrast once"),
    ):  # fmt: skip
        if wrong.any():
            names = ", ".join(table.loc[wrong, "study"].astype("str").unique()[:5])
            raise DataError(f"{must}; it is not so for {names}. Correct those rows.")


def _parts(table: pd.DataFrame) -> list[set[str]]:
    parts: list[set[str]] = []
    for one, other in zip(table["treatment1"], table["treatment2"], strict=True):
        touching = [part for part in parts if one in part or other in part]
        merged = {one, other}.union(*touching)
        parts = [part for part in parts if part not in touching] + [merged]
    return parts


def _block(
    name: str, group: pd.DataFrame, index: dict[str, int]
) -> tuple[str, Array, Array, Array, tuple[int, ...]]:
    """Return contrasts against the study's first arm, their covariance and their design."""
    effect: dict[tuple[int, int], float] = {}
    variance: dict[tuple[int, int], float] = {}
    for row in group.itertuples():
        one, other = index[row.treatment1], index[row.treatment2]
        effect[one, other], effect[other, one] = row.yi, -row.yi
        variance[one, other] = variance[other, one] = row.vi
    arms = tuple(sorted({arm for pair in effect for arm in pair}))
    missing = [pair for pair in combinations(arms, 2) if pair not in effect]
    if missing:
        raise DataError(
            f"a study with {len(arms)} arms must have all {len(arms) * (len(arms) - 1) // 2} "
            f"contrasts; {name} lacks {len(missing)}. Give all or use contrasts()."
        )
    first, others = arms[0], arms[1:]
    y = np.array([effect[arm, first] for arm in others])
    s = np.array([[_shared(variance, first, one, other) for other in others] for one in others])
    if np.linalg.eigvalsh(s)[0] <= 1e-10 * s.max():
        raise DataError(
            f"the variances of a study's contrasts must fit each other; no {len(arms)} arms can "
            f"have those of {name}. Check them or use contrasts()."
        )
    x = np.zeros((len(others), len(index) - 1))
    for row, arm in enumerate(others):
        x[row, arm - 1] = 1.0
        if first > 0:
            x[row, first - 1] = -1.0
    return name, y, s, x, arms


def _shared(variance: dict[tuple[int, int], float], first: int, one: int, other: int) -> float:
    if one == other:
        return variance[one, first]
    return (variance[one, first] + variance[other, first] - variance[one, other]) / 2


def moment_tau2(network: Network, x: Array | None = None) -> float:
    """Return the between-study variance by the method of moments (Jackson et al. 2013)."""
    design = network.x if x is None else x
    fit = Weighted(network, network.s, design)
    if fit.df <= 0:
        return 0.0
    return max(0.0, (fit.q - fit.df) / float(np.sum(fit.projection * network.spread)))


def restricted_tau2(network: Network) -> float:
    """Return the between-study variance by restricted maximum likelihood."""
    if network.at(0.0).df <= 0:
        return 0.0
    unit = float(np.median(np.diag(network.s)))
    widest = np.log10(max(1e4, 40 * float(np.ptp(np.r_[0.0, network.y])) ** 2 / unit))
    grid = np.concatenate([[0.0], np.logspace(-5, widest, 40)]) * unit
    scores = np.array([_score(network, float(tau2)) for tau2 in grid])
    falls = np.flatnonzero((scores[:-1] > 0) & (scores[1:] <= 0))
    found = [
        float(
            optimize.brentq(
                lambda t: _score(network, t), grid[at], grid[at + 1], xtol=1e-14 * unit, rtol=1e-13
            )
        )
        for at in falls
    ]
    found += [0.0] if scores[0] <= 0 else []
    return max(found, key=lambda tau2: _restricted_likelihood(network, tau2))


def _score(network: Network, tau2: float) -> float:
    projection = network.at(tau2).projection
    py = projection @ network.y
    return float(py @ network.spread @ py - np.sum(projection * network.spread))


def _restricted_likelihood(network: Network, tau2: float) -> float:
    fit = network.at(tau2)
    return float(-np.linalg.slogdet(fit.covariance)[1] + np.linalg.slogdet(fit.vcov)[1] - fit.q)


def p_scores(effect: Array, se: Array, direction_better: str) -> Array:
    """Return how likely each treatment is better than the others, on average (P-score).

    Rücker and Schwarzer 2015 (BMC Medical Research Methodology 15:58); the expected SUCRA.
    """
    sign = -1.0 if direction_better == "lower" else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        better = special.ndtr(sign * effect / se)
    np.fill_diagonal(better, 0.0)
    return np.asarray(better.sum(axis=1) / (len(effect) - 1))


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Cochran's Q split into heterogeneity within designs and inconsistency between them."""

    total: tuple[float, int]
    within: tuple[float, int]
    between: tuple[float, int]
    designs: pd.DataFrame
    tau_within: float
    between_random: float


def decompose(network: Network) -> Decomposition:
    """Return the design-by-treatment decomposition (Krahn, Binder and König 2013; Higgins 2012).

    `between_random` is the statistic of inconsistency with the variance within designs allowed for.
    """
    total = network.at(0.0)
    full = Weighted(network, network.s, network.by_design)
    tau2 = moment_tau2(network, network.by_design)
    covariance = network.s + tau2 * network.spread
    between = network.at(tau2).q - Weighted(network, covariance, network.by_design).q
    return Decomposition(
        (total.q, total.df),
        (full.q, full.df),
        (max(0.0, total.q - full.q), total.df - full.df),
        _design_table(network, full),
        float(np.sqrt(tau2)),
        max(0.0, between),
    )


def _design_table(network: Network, full: Weighted) -> pd.DataFrame:
    residual = network.y - full.x @ full.b
    designs: dict[tuple[int, ...], list[int]] = {}
    for row, study in enumerate(network.studies):
        designs.setdefault(network.design(study), []).append(row)
    rows = []
    for design, members in designs.items():
        block = np.ix_(members, members)
        q = float(residual[members] @ full.weights[block] @ residual[members])
        df = len(members) - (len(design) - 1)
        rows.append({"design": network.label(design), "Q": q if df else 0.0, "df": df})
    return pd.DataFrame(rows).sort_values("design", ignore_index=True)


def split_evidence(table: pd.DataFrame, network: Network, tau2: float) -> pd.DataFrame:
    """Return direct and indirect estimates of each comparison, and whether they differ.

    The indirect estimate is what remains of the network estimate when the direct one is taken out
    (back-calculation; Dias et al. 2010, Statistics in Medicine 29:932-944; König et al. 2013).

    Parameters
    ----------
    table, network
        Contrasts as for `build`, and the network built from them.
    tau2
        Variance between studies.

    Returns
    -------
    pandas.DataFrame
        treatment1, treatment2, k, proportion direct, network, direct, indirect with errors,
        difference, z, p; empty where there is no such evidence.
    """
    effect, error = network.at(tau2).league()
    usable = table.dropna(subset=["yi", "vi"])
    rows = []
    for one, other in combinations(range(len(network.treatments)), 2):
        names = network.treatments[one], network.treatments[other]
        direct = _direct(usable, names, tau2)
        rows.append(
            {"treatment1": names[0], "treatment2": names[1]}
            | _split(effect[one, other], error[one, other], direct)
        )
    return pd.DataFrame(rows)


def _direct(
    table: pd.DataFrame, names: tuple[str, str], tau2: float
) -> tuple[int, float, float] | None:
    there = (table["treatment1"] == names[0]) & (table["treatment2"] == names[1])
    back = (table["treatment1"] == names[1]) & (table["treatment2"] == names[0])
    y = np.r_[table.loc[there, "yi"], -table.loc[back, "yi"]]
    if not len(y):
        return None
    w = 1 / (np.r_[table.loc[there, "vi"], table.loc[back, "vi"]] + tau2)
    return len(y), float(w @ y / w.sum()), float(1 / np.sqrt(w.sum()))


def _split(
    effect: float, error: float, direct: tuple[int, float, float] | None
) -> dict[str, float]:
    found = {"k": 0, "proportion": 0.0, "network": effect, "network_se": error}
    nothing = dict.fromkeys(
        ("direct", "direct_se", "difference", "difference_se", "z", "p"), np.nan
    )
    if direct is None:
        return found | nothing | {"indirect": effect, "indirect_se": error}
    k, value, se = direct
    share = error**2 / se**2
    found |= nothing | {"k": k, "proportion": share, "direct": value, "direct_se": se}
    if share > 1 - 1e-8:
        return found | {"indirect": np.nan, "indirect_se": np.nan}
    precision = 1 / error**2 - 1 / se**2
    indirect = (effect / error**2 - value / se**2) / precision
    gap = np.sqrt(se**2 + 1 / precision)
    z = (value - indirect) / gap
    return found | {
        "indirect": indirect,
        "indirect_se": 1 / np.sqrt(precision),
        "difference": value - indirect,
        "difference_se": gap,
        "z": z,
        "p": float(two_sided(np.array(z), None)),
    }


def contributions(table: pd.DataFrame, network: Network, tau2: float) -> pd.DataFrame:
    """Return how much each direct comparison contributes to each network estimate, in per cent.

    Flows through the network are split over shortest paths, the least used edge first
    (Papakonstantinou et al. 2018, F1000Research 7:610); rows are network estimates, columns direct
    comparisons. This is the matrix that CINeMA weighs study limitations with.

    Parameters
    ----------
    table, network, tau2
        As for `split_evidence`.
    """
    usable = table.dropna(subset=["yi", "vi"])
    pairs = zip(usable["treatment1"], usable["treatment2"], strict=True)
    edges = sorted({tuple(sorted(pair)) for pair in pairs})
    index = {name: at for at, name in enumerate(network.treatments)}
    ends = [(index[one], index[other]) for one, other in edges]
    weights = [_direct(usable, (one, other), tau2) for one, other in edges]
    precision = np.array([1 / found[2] ** 2 if found else 0.0 for found in weights])
    incidence = np.zeros((len(ends), len(index)))
    for row, (one, other) in enumerate(ends):
        incidence[row, one], incidence[row, other] = 1.0, -1.0
    laplacian = incidence.T @ (precision[:, None] * incidence)
    solved = np.linalg.pinv(laplacian) @ (incidence.T * precision)
    rows = {
        f"{network.treatments[one]}:{network.treatments[other]}": _streams(
            solved[one] - solved[other], ends, one, other
        )
        for one, other in combinations(range(len(index)), 2)
    }
    columns = [f"{one}:{other}" for one, other in edges]
    return 100 * pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _streams(flow: Array, ends: Sequence[tuple[int, int]], source: int, sink: int) -> Array:
    """Return the share of each edge when a unit flow is taken apart path by path."""
    left, shares = flow.copy(), np.zeros(len(ends))
    for _ in range(4 * len(ends)):
        path = _shortest_path(left, ends, source, sink)
        if not path:
            break
        amount = min(abs(left[edge]) for edge in path)
        for edge in path:
            left[edge] -= np.sign(left[edge]) * amount
            shares[edge] += amount / len(path)
    return shares / shares.sum()


def _shortest_path(
    flow: Array, ends: Sequence[tuple[int, int]], source: int, sink: int
) -> list[int]:
    reached: dict[int, list[int]] = {source: []}
    frontier = [source]
    while frontier and sink not in reached:
        following = []
        for node in frontier:
            for edge, (one, other) in enumerate(ends):
                if abs(flow[edge]) < 1e-10:
                    continue
                start, stop = (one, other) if flow[edge] > 0 else (other, one)
                if start == node and stop not in reached:
                    reached[stop] = [*reached[node], edge]
                    following.append(stop)
        frontier = following
    return reached.get(sink, [])


def network_pool(
    table: pd.DataFrame,
    *,
    direction_better: Direction,
    reference: str,
    measure: str = "",
    tau2: str = "REML",
    level: float = 0.95,
    outcome: str = "",
) -> Result:
    """Compare all treatments of a connected network.

    Parameters
    ----------
    table
        Contrasts: study, treatment1, treatment2, yi, vi; all pairs of a multi-arm study, as
        `contrasts` gives them.
    direction_better
        ``higher`` or ``lower``: which effects are good, for the ranking.
    reference
        Treatment with which the others are compared.
    measure
        Measure of the effects where the table has no such column.
    tau2
        ``REML``, ``DL`` (moments) or ``none`` for a common effect.
    level, outcome
        As for `pool`.

    Returns
    -------
    Result
        Table: the league, one row per ordered pair with treatment, against, value, low, high, p,
        prediction_low, prediction_high on the analysis scale, proportion of direct evidence and
        its disagreement with the indirect. Estimates per treatment against the reference
        (``vs.NAME``), P-scores (``P.NAME``), ``tau2``, ``I2``, ``Q``, ``Q_between_designs`` and
        its p value. If measures differ, a result that says so.

    Raises
    ------
    DataError
        If the network falls apart, the reference is unknown, or a choice is wrong.
    """
    check_level(level)
    if tau2 not in ("REML", "DL", "none"):
        raise DataError(f"tau2 must be REML, DL or none; got {tau2!r}.")
    if direction_better not in ("higher", "lower"):
        raise DataError(
            f"direction_better must be higher or lower to rank treatments; got "
            f"{direction_better!r}."
        )
    built = build(table)
    if reference not in built.treatments:
        raise DataError(
            f"the reference must be a treatment ({', '.join(built.treatments)}); got {reference!r}."
        )
    differ = what_differs(table.dropna(subset=["yi", "vi"]), measure, direction_better)
    if differ:
        return Result.could_not("Not pooled", differ, reference=reference, measure=measure)
    measure = measure or stated_measure(table)
    chosen = {"REML": restricted_tau2, "DL": moment_tau2}
    between = chosen[tau2](built) if tau2 in chosen else 0.0
    fit = built.at(between)
    split = split_evidence(table, built, between)
    parts = decompose(built)
    scores = p_scores(*fit.league(), direction_better)
    estimates = _network_estimates(fit, parts, scores, reference, measure, between, level)
    return Result(
        text=_network_text(built, estimates, scores, outcome),
        estimates=estimates,
        table=_league_table(fit, split, between, level),
        settings={
            "reference": reference,
            "tau2": tau2,
            "level": level,
            "measure": measure,
            "direction_better": direction_better,
            "studies": len(built.arms),
            "multi_arm": sum(len(arms) > 2 for arms in built.arms.values()),
        },
        cautions=tuple(_network_cautions(table, parts, split)),
    )


def _network_estimates(
    fit: Weighted,
    parts: Decomposition,
    scores: Array,
    reference: str,
    measure: str,
    tau2: float,
    level: float,
) -> tuple[Estimate, ...]:
    effect, error = fit.league()
    names = fit.network.treatments
    at, k = names.index(reference), len(fit.network.arms)
    upper = quantile(1 - (1 - level) / 2, None)
    found = []
    for row, name in enumerate(names):
        value, half = float(effect[row, at]), upper * float(error[row, at])
        if row != at:
            limits = reader_scale(value, value - half, value + half, measure)
            found.append(
                Estimate(
                    key=f"vs.{as_key(name)}",
                    **limits,
                    level=level,
                    measure=measure,
                    se=error[row, at],
                    k=k,
                )
            )
        found.append(Estimate(key=f"P.{as_key(name)}", value=scores[row]))
    q, df = parts.total
    between, between_df = parts.between
    numbers = {
        "tau2": tau2,
        "I2": max(0.0, 100 * (q - df) / q) if q > 0 else 0.0,
        "Q": q,
        "Q_p": float(special.chdtrc(df, q)) if df else 1.0,
        "Q_between_designs": between,
        "Q_between_designs_p": float(special.chdtrc(between_df, between)) if between_df else 1.0,
        "Q_inconsistency_random": parts.between_random,
        "Q_inconsistency_random_p": float(special.chdtrc(between_df, parts.between_random))
        if between_df
        else 1.0,
    }
    return (
        *found,
        *(
            Estimate(key=key, value=value, k=k, unit="%" if key == "I2" else "")
            for key, value in numbers.items()
        ),
    )


def _network_text(
    network: Network, estimates: Sequence[Estimate], scores: Array, outcome: str
) -> str:
    best = network.treatments[int(np.argmax(scores))]
    found = {estimate.key: estimate for estimate in estimates}
    subject = f"{outcome}: " if outcome else ""
    words = f"{subject}{len(network.arms)} studies of {len(network.treatments)} treatments; "
    against = found.get(f"vs.{as_key(best)}")
    if against is None:
        return f"{words}none ranks above the reference {best}."
    limits = interval_words(against, decimals_for(against.low, against.high))
    name = MEASURES[against.measure].name if against.measure in MEASURES else "effect"
    return f"{words}highest ranked {best}, {name} {limits} against the reference."


def _league_table(fit: Weighted, split: pd.DataFrame, tau2: float, level: float) -> pd.DataFrame:
    effect, error = fit.league()
    names = fit.network.treatments
    upper = 1 - (1 - level) / 2
    df = fit.df if fit.df > 0 else None
    pairs = split.set_index(["treatment1", "treatment2"])
    rows = []
    for one, other in ((i, j) for i in range(len(names)) for j in range(len(names)) if i != j):
        value, se = float(effect[one, other]), float(error[one, other])
        half = quantile(upper, None) * se
        wide = quantile(upper, df) * float(np.sqrt(se**2 + tau2))
        evidence = pairs.loc[(names[min(one, other)], names[max(one, other)])]
        rows.append(
            {
                "treatment": names[one],
                "against": names[other],
                "value": value,
                "se": se,
                "low": value - half,
                "high": value + half,
                "p": float(two_sided(np.array(value / se), None)),
                "prediction_low": value - wide,
                "prediction_high": value + wide,
                "direct_studies": int(evidence["k"]),
                "direct_share": float(evidence["proportion"]),
                "disagreement_p": float(evidence["p"]),
            }
        )
    return pd.DataFrame(rows)


def _network_cautions(
    table: pd.DataFrame, parts: Decomposition, split: pd.DataFrame
) -> list[Caution]:
    found = []
    between, df = parts.between_random, parts.between[1]
    if df and special.chdtrc(df, between) < 0.1:
        found.append(
            Caution(
                "other",
                f"Direct and indirect evidence disagree between designs "
                f"(p {p_words(float(special.chdtrc(df, between)))}): read the comparisons singly.",
            )
        )
    single = int((split["k"] == 1).sum())
    if single:
        found.append(
            Caution("few_studies", f"{single} of the direct comparisons rest on one study each.")
        )
    left_out = int(table["yi"].isna().sum())
    if left_out:
        found.append(Caution("other", f"{left_out} contrasts could not be computed."))
    return found
