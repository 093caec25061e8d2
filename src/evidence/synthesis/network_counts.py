"""Network meta-analysis of rare events by Mantel-Haenszel, without continuity corrections.

Efthimiou et al. 2019 (Statistics in Medicine 38:2992-3012): the counts of all studies that compare
the same treatments (a design) give Mantel-Haenszel log odds ratios with their covariance, and the
designs are then combined as one network with a common effect for each comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError
from evidence.results import Caution, Direction, Result
from evidence.synthesis.network import network_pool
from evidence.synthesis.weighting import Array


def design_odds_ratios(events: Array, sizes: Array) -> tuple[Array, Array]:
    """Return log odds ratios of all pairs of arms of one design, and their variances.

    Parameters
    ----------
    events, sizes
        Events and people of each arm, shape (studies, arms); each arm has events and people without
        in some study.

    Returns
    -------
    tuple
        Effects and variances of each arm (row) against each (column), shape (arms, arms). The
        effects of more than two arms are made consistent by averaging all ways from one arm to the
        other (Greenland 1989, Biometrics 45:183-191).
    """
    arms = events.shape[1]
    a, b = events, sizes - events
    total = sizes.sum(axis=1)
    crossed = np.einsum("kx,ky->xy", a / total[:, None], b)
    with np.errstate(divide="ignore"):
        raw = np.log(crossed) - np.log(crossed.T)
    pairs = list(combinations(range(arms), 2))
    covariance = np.array(
        [[_covariance(a, b, total, crossed, one, other) for other in pairs] for one in pairs]
    )
    averaged = np.array([_averaged(one, other, pairs, arms) for one, other in pairs])
    pooled = averaged @ np.array([raw[pair] for pair in pairs])
    spread = np.diag(averaged @ covariance @ averaged.T)
    effect, variance = np.zeros((arms, arms)), np.zeros((arms, arms))
    for (one, other), value, square in zip(pairs, pooled, spread, strict=True):
        effect[one, other], effect[other, one] = value, -value
        variance[one, other] = variance[other, one] = square
    return effect, variance


def _averaged(one: int, other: int, pairs: Sequence[tuple[int, int]], arms: int) -> Array:
    """Return the weights of the raw log odds ratios in an averaged one."""
    weights = np.zeros(len(pairs))
    for at, (first, second) in enumerate(pairs):
        for arm, sign in ((one, 1.0), (other, -1.0)):
            if first == arm:
                weights[at] += sign / arms
            if second == arm:
                weights[at] -= sign / arms
    return weights


def _covariance(
    a: Array, b: Array, total: Array, crossed: Array, one: tuple[int, int], other: tuple[int, int]
) -> float:
    """Return the covariance of two raw log odds ratios."""
    shared = set(one) & set(other)
    if not shared:
        return 0.0
    if one == other:
        return _variance(a, b, total, crossed, *one)
    x = shared.pop()
    y, z = (pair[0] if pair[1] == x else pair[1] for pair in (one, other))
    sign = (1.0 if one[0] == x else -1.0) * (1.0 if other[0] == x else -1.0)
    return sign * _shared_arm(a, b, total, crossed, x, y, z)


def _variance(a: Array, b: Array, total: Array, crossed: Array, x: int, y: int) -> float:
    """Return the variance of Robins, Breslow and Greenland 1986 (Biometrics 42:311-323)."""
    r, s = a[:, x] * b[:, y] / total, a[:, y] * b[:, x] / total
    p, q = (a[:, x] + b[:, y]) / total, (a[:, y] + b[:, x]) / total
    sum_r, sum_s = crossed[x, y], crossed[y, x]
    return float(
        p @ r / (2 * sum_r**2) + (p @ s + q @ r) / (2 * sum_r * sum_s) + q @ s / (2 * sum_s**2)
    )


def _shared_arm(a: Array, b: Array, total: Array, crossed: Array, x: int, y: int, z: int) -> float:
    """Return the covariance of the log odds ratios of one arm `x` against `y` and against `z`.

    By the argument of Robins, Breslow and Greenland: with events and people without exchanged it is
    the same, and both forms are averaged. With one study it is ``1/a + 1/b`` of the shared arm.
    """
    square = total**2

    def part(first: Array, second: Array, third: Array, scale: float) -> float:
        return float(np.sum(first * second * third / square)) / scale

    n = a[:, x] + b[:, x]
    outer = part(a[:, x], b[:, y], b[:, z], crossed[x, y] * crossed[x, z])
    outer += part(b[:, x], a[:, y], a[:, z], crossed[y, x] * crossed[z, x])
    inner = part(n, a[:, y], b[:, z], crossed[y, x] * crossed[x, z])
    inner += part(n, b[:, y], a[:, z], crossed[x, y] * crossed[z, x])
    return outer / 2 + inner / 4


def design_contrasts(
    arms: pd.DataFrame,
    *,
    study: str = "study",
    treatment: str = "treatment",
    events: str = "events",
    n: str = "n",
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Return one row per design and pair of its treatments, and what was left out.

    Studies without events, or without people without, are left out; so are treatments that have no
    events in any study of their design (or only events), as no odds ratio is defined there.

    Parameters
    ----------
    arms
        One row per study and arm.
    study, treatment, events, n
        Column names.

    Returns
    -------
    tuple
        Table of study (here the design in words), treatment1, treatment2, yi, vi, studies; and
        names of ``studies`` and ``arms`` left out.

    Raises
    ------
    DataError
        If a column is missing, counts are impossible, or a study has a treatment twice.
    """
    _check_arms(arms, study, treatment, events, n)
    whole = arms.dropna(subset=[study, treatment, events, n])
    table = whole.assign(
        **{study: whole[study].astype("str"), treatment: whole[treatment].astype("str")}
    )
    left: dict[str, list[str]] = {"studies": [], "arms": []}
    rows: list[dict[str, Any]] = []
    for design, members in _designs(table, study, treatment, events, n, left).items():
        wide = members.pivot(index=study, columns=treatment, values=[events, n])
        known = [name for name in design if _has_both(wide[events][name], wide[n][name])]
        left["arms"] += [f"{name} in {', '.join(design)}" for name in design if name not in known]
        if len(known) < 2:
            left["studies"] += [str(name) for name in wide.index]
            continue
        effect, variance = design_odds_ratios(
            wide[events][known].to_numpy(float), wide[n][known].to_numpy(float)
        )
        rows += [
            {
                "study": ":".join(design),
                "treatment1": known[one],
                "treatment2": known[other],
                "yi": effect[one, other],
                "vi": variance[one, other],
                "studies": len(wide),
            }
            for one, other in combinations(range(len(known)), 2)
        ]
    columns = ["study", "treatment1", "treatment2", "yi", "vi", "studies"]
    return pd.DataFrame(rows, columns=columns).assign(measure="OR"), left


def _check_arms(arms: pd.DataFrame, study: str, treatment: str, events: str, n: str) -> None:
    absent = [name for name in (study, treatment, events, n) if name not in arms]
    if absent:
        raise DataError(f"arms need study, treatment, events and people; there is no {absent}.")
    twice = arms.duplicated([study, treatment])
    wrong = (arms[events] < 0) | (arms[n] <= 0) | (arms[events] > arms[n])
    for rows, must in (
        (twice, "a study must have each treatment once"),
        (wrong, "events must lie between 0 and the people of their arm"),
    ):
        if rows.any():
            names = ", ".join(str(name) for name in arms.loc[rows, study].unique()[:5])
            raise DataError(f"{must}; {names} has not. Correct those rows.")


def _designs(
    table: pd.DataFrame,
    study: str,
    treatment: str,
    events: str,
    n: str,
    left: dict[str, list[str]],
) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return the rows of each set of treatments that studies compare."""
    found: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for name, rows in table.groupby(study, sort=False):
        design = tuple(sorted(rows[treatment]))
        if len(design) < 2 or not 0 < rows[events].sum() < rows[n].sum():
            left["studies"].append(str(name))
            continue
        found.setdefault(design, []).append(rows)
    return {design: pd.concat(parts) for design, parts in found.items()}


def _has_both(events: pd.Series, sizes: pd.Series) -> bool:
    return bool(0 < events.sum() < sizes.sum())


def network_pool_counts(
    arms: pd.DataFrame,
    *,
    direction_better: Direction,
    reference: str,
    level: float = 0.95,
    outcome: str = "",
    **columns: str,
) -> Result:
    """Compare all treatments of a network by Mantel-Haenszel odds ratios of rare events.

    Parameters
    ----------
    arms
        One row per study and arm.
    direction_better, reference, level, outcome
        As for `network_pool`.
    **columns
        Names of the columns ``study``, ``treatment``, ``events``, ``n``.

    Returns
    -------
    Result
        As `network_pool`, with odds ratios and a common effect: no variance between studies. If no
        design has events in two arms, a result that says so.

    Raises
    ------
    DataError
        As `design_contrasts` and `network_pool`; the network may fall apart where arms without
        events are left out.
    """
    table, left = design_contrasts(arms, **columns)
    if table.empty:
        return Result.could_not("Not pooled", "no design has events in two of its arms")
    found = network_pool(
        table,
        direction_better=direction_better,
        reference=reference,
        tau2="none",
        level=level,
        outcome=outcome,
    )
    studies = int(table.drop_duplicates("study")["studies"].sum())
    designs = int(found.settings["studies"])
    random = ("tau2", "I2", "Q_inconsistency_random", "Q_inconsistency_random_p")
    return replace(
        found,
        text=found.text.replace(f"{designs} studies of", f"{studies} studies of", 1),
        estimates=tuple(
            replace(one, k=None if one.k is None else studies)
            for one in found.estimates
            if one.key not in random
        ),
        table=found.table.assign(direct_studies=_direct_studies(found.table, table)),
        settings=dict(found.settings)
        | {"method": "Mantel-Haenszel", "studies": studies, "designs": designs}
        | {"left_out": left["studies"], "arms_left_out": left["arms"]},
        cautions=(
            *(item for item in found.cautions if item.kind != "few_studies"),
            *_left_out(left),
            COMMON,
        ),
    )


def _direct_studies(league: pd.DataFrame, designs: pd.DataFrame) -> list[int]:
    """Return how many studies compare each pair of the league directly."""
    pairs = [
        frozenset(pair) for pair in zip(designs["treatment1"], designs["treatment2"], strict=True)
    ]
    counts = designs["studies"].groupby(pairs).sum()
    return [
        int(counts.get(frozenset(pair), 0))
        for pair in zip(league["treatment"], league["against"], strict=True)
    ]


COMMON = Caution(
    "other",
    "One common effect is assumed for each comparison; differences between studies are ignored.",
)


def _left_out(left: dict[str, list[str]]) -> list[Caution]:
    found = []
    for what, names in left.items():
        if names:
            word = what if len(names) > 1 else {"studies": "study", "arms": "arm"}[what]
            found.append(
                Caution(
                    "small_counts",
                    f"{len(names)} {word} without events, or without people without, say nothing "
                    f"about an odds ratio: {'; '.join(names[:5])}.",
                )
            )
    return found
