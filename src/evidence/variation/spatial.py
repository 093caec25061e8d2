"""Whether neighbouring areas resemble each other: Moran's I, Geary's C, local statistics.

Cliff and Ord, *Spatial processes*, Pion 1981, chapters 1 and 2 (moments under normality and
randomisation). Closed forms: an area without neighbours counts as an area with a lag of 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from evidence.errors import DataError, require_choice, require_columns, require_random
from evidence.results import Caution, Estimate, Result
from evidence.variation import words
from evidence.variation.checks import counts, require_unique

Array = np.ndarray

STYLES = ("row", "binary")
FEW_AREAS = 10
PERMUTATIONS = 999


def autocorrelation(
    table: pd.DataFrame,
    *,
    neighbours: Mapping[str, Sequence[str]],
    value: str = "value",
    area_code: str = "area_code",
    style: str = "row",
    permutations: int = PERMUTATIONS,
    seed: int = 1,
    indicator: str = "",
) -> Result:
    """Return global and local measures of the likeness of neighbours.

    Parameters
    ----------
    table
        One row per area with a value; areas without one are left out and named in a caution.
    neighbours
        For every area the codes of its neighbours; areas outside the table are left out.
    value, area_code
        Columns.
    style
        ``row`` (each area's neighbours weigh 1 together) or ``binary``.
    permutations, seed
        Number of random maps behind the permutation p-value, and the seed of their order.
    indicator
        Words for the reader.

    Returns
    -------
    Result
        Table: `area_code`, `value`, `neighbours` (their number), `lag`, `local_moran`, `local_z`
        (conditional randomisation) and `local_g` (z of Getis and Ord's G, binary weights, the
        area itself left out). Estimates: `moran`, `moran_expected`, `moran_variance` and
        `moran_variance_normal`, `moran_z` and `moran_z_normal`, `moran_p`, `moran_p_permutation`,
        `geary`, `geary_variance`.

    Raises
    ------
    DataError
        If columns are absent, areas repeat, an area has no entry in `neighbours`, no area has a
        neighbour in the table, or fewer than four areas or two values are left.

    References
    ----------
    Cliff and Ord 1981; Sokal, Oden and Thomson, Geogr Anal 1998;30:331-354 (conditional local
    moments); Getis and Ord, Geogr Anal 1992;24:189-206.
    """
    require_choice(style, STYLES, "style")
    require_columns(table, (area_code, value), "spatial autocorrelation")
    absent = table.loc[table[value].isna(), area_code].astype("str").tolist()
    table = table[table[value].notna()]
    binary, places = _weights(table, neighbours, area_code, value)
    y = table[value].to_numpy(dtype=float)
    if len(np.unique(y)) < 2:
        raise DataError(
            f"spatial autocorrelation needs two values that differ; all {len(y)} areas have the "
            "same. Choose another indicator or period."
        )
    weights = _styled(binary, style)
    moments = _moments(weights, y)
    p_permuted = _permuted(weights, y, moments.moran, permutations, seed)
    about: dict[str, Any] = {"outcome": indicator, "k": len(y), "design": "descriptive"}
    found = moments.as_values() | {"moran_p_permutation": p_permuted}
    local = pd.DataFrame(
        {
            "area_code": places,
            "value": y,
            "neighbours": binary.sum(axis=1).astype("int64"),
            "lag": weights @ y,
            **_local(weights, binary, y),
        }
    )
    return Result(
        text=_finding(moments, p_permuted, indicator),
        estimates=tuple(Estimate(key=key, value=number, **about) for key, number in found.items()),
        table=local,
        settings={
            "method": "autocorrelation",
            "style": style,
            "permutations": permutations,
            "seed": seed,
            "indicator": indicator,
        },
        cautions=_doubts(local, absent),
    )


def _weights(
    table: pd.DataFrame, neighbours: Mapping[str, Sequence[str]], area_code: str, value: str
) -> tuple[Array, list[str]]:
    require_columns(table, (area_code, value), "spatial autocorrelation")
    require_unique(table, [area_code], "spatial autocorrelation")
    places = table[area_code].astype("str").tolist()
    absent = [place for place in places if place not in neighbours]
    if absent or len(places) < 4:
        raise DataError(
            "spatial autocorrelation needs four areas or more, each with its neighbours; "
            f"{words.listed(absent) or len(places)} "
            f"{'has no entry' if absent else 'came'}. Give an empty list for an island."
        )
    at = {place: row for row, place in enumerate(places)}
    binary = np.zeros((len(places), len(places)))
    for place in places:
        near = [at[other] for other in neighbours[place] if other in at and other != place]
        binary[at[place], near] = 1
    if not binary.any():
        raise DataError(
            f"spatial autocorrelation needs areas that have neighbours; none of {len(places)} has "
            "one in the table. Check that codes of both are of one kind."
        )
    return binary, places


def _styled(binary: Array, style: str) -> Array:
    if style == "binary":
        return binary
    total = binary.sum(axis=1, keepdims=True)
    return np.divide(binary, total, out=np.zeros_like(binary), where=total > 0)


@dataclass(frozen=True, slots=True)
class _Moments:
    moran: float
    expected: float
    variance: float
    variance_normal: float
    geary: float
    geary_variance: float

    @property
    def z(self) -> float:
        return float((self.moran - self.expected) / np.sqrt(self.variance))

    def as_values(self) -> dict[str, float]:
        normal = (self.moran - self.expected) / np.sqrt(self.variance_normal)
        return {
            "moran": self.moran,
            "moran_expected": self.expected,
            "moran_variance": self.variance,
            "moran_z": self.z,
            "moran_p": float(2 * stats.norm.sf(abs(self.z))),
            "moran_variance_normal": self.variance_normal,
            "moran_z_normal": float(normal),
            "geary": self.geary,
            "geary_variance": self.geary_variance,
        }


def _moments(w: Array, y: Array) -> _Moments:
    n, z = len(y), y - y.mean()
    s0 = w.sum()
    s1 = ((w + w.T) ** 2).sum() / 2
    s2 = ((w.sum(axis=1) + w.sum(axis=0)) ** 2).sum()
    kurtosis = (z**4).mean() / (z**2).mean() ** 2
    expected = -1 / (n - 1)
    normal = (n**2 * s1 - n * s2 + 3 * s0**2) / (s0**2 * (n**2 - 1)) - expected**2
    first = n * ((n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2)
    second = kurtosis * ((n**2 - n) * s1 - 2 * n * s2 + 6 * s0**2)
    random = (first - second) / ((n - 1) * (n - 2) * (n - 3) * s0**2) - expected**2
    geary = (n - 1) * (w * (y[:, None] - y[None, :]) ** 2).sum() / (2 * s0 * (z @ z))
    spread = (
        (n - 1) * s1 * (n**2 - 3 * n + 3 - (n - 1) * kurtosis)
        - (n - 1) * s2 * (n**2 + 3 * n - 6 - (n**2 - n + 2) * kurtosis) / 4
        + s0**2 * (n**2 - 3 - (n - 1) ** 2 * kurtosis)
    ) / (n * (n - 2) * (n - 3) * s0**2)
    return _Moments(
        moran=float(n / s0 * (z @ w @ z) / (z @ z)),
        expected=expected,
        variance=float(random),
        variance_normal=float(normal),
        geary=float(geary),
        geary_variance=float(spread),
    )


def _permuted(w: Array, y: Array, moran: float, permutations: int, seed: int) -> float:
    """Return the two-sided share of random maps at least as far from their mean."""
    require_random(seed, permutations)
    z = y - y.mean()
    draw = np.random.default_rng(seed)
    maps = draw.permuted(np.tile(z, (permutations, 1)), axis=1)
    simulated = len(z) / w.sum() * np.einsum("ij,ij->i", maps @ w, maps) / (z @ z)
    centre = -1 / (len(z) - 1)
    beyond = np.abs(simulated - centre) >= abs(moran - centre) - 1e-12
    return float((beyond.sum() + 1) / (permutations + 1))


def _local(w: Array, binary: Array, y: Array) -> dict[str, Array]:
    n, z = len(y), y - y.mean()
    spread = (z @ z) / n
    local = z * (w @ z) / spread
    each, square = w.sum(axis=1), (w**2).sum(axis=1)
    expected = -(z**2) * each / ((n - 1) * spread)
    variance = (z / spread) ** 2 * n / (n - 2)
    variance = variance * (square - each**2 / (n - 1)) * (spread - z**2 / (n - 1))
    others = (y.sum() - y) / (n - 1)
    around = ((y**2).sum() - y**2) / (n - 1) - others**2
    near = binary.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        local_z = (local - expected) / np.sqrt(variance)
        g = (binary @ y - near * others) / np.sqrt(around * near * (n - 1 - near) / (n - 2))
    return {"local_moran": local, "local_z": local_z, "local_g": g}


def _finding(found: _Moments, p: float, indicator: str) -> str:
    name = indicator or "This figure"
    alike = "resemble" if found.moran > found.expected else "differ from"
    if p > 0.05:
        return (
            f"{name}: neighbouring areas are no more alike than areas drawn at random (Moran's I "
            f"{found.moran:.2f}, p {p:.3f})."
        )
    return (
        f"{name}: neighbouring areas {alike} each other more than areas drawn at random (Moran's "
        f"I {found.moran:.2f}, p {p:.3f})."
    )


def _doubts(local: pd.DataFrame, absent: Sequence[str]) -> tuple[Caution, ...]:
    doubts = []
    if absent:
        doubts.append(
            Caution(
                "suppression",
                f"No value for {words.plural(len(absent), 'area')}, left out of the map: "
                f"{words.listed(absent)}.",
            )
        )
    if len(local) < FEW_AREAS:
        doubts.append(
            Caution("few_units", f"Only {len(local)} areas: likeness of neighbours is uncertain.")
        )
    islands = local.loc[local["neighbours"] == 0, "area_code"].tolist()
    if islands:
        doubts.append(Caution("other", f"Areas without neighbours: {words.listed(islands)}."))
    doubts.append(
        Caution(
            "multiple_testing",
            f"{len(local)} local statistics are shown at once: about "
            f"{words.number(len(local) * 0.05)} would lie beyond 1.96 by chance alone.",
        )
    )
    return tuple(doubts)


def local_rates(
    table: pd.DataFrame,
    *,
    neighbours: Mapping[str, Sequence[str]],
    numerator: str = "numerator",
    denominator: str = "denominator",
    area_code: str = "area_code",
) -> Array:
    """Return rates shrunk towards those of the area and its neighbours.

    Parameters
    ----------
    table
        One row per area, with counts.
    neighbours, area_code
        As in `autocorrelation`.
    numerator, denominator
        Columns.

    Returns
    -------
    ndarray
        Empirical-Bayes rates, in the order of `table`.

    Raises
    ------
    DataError
        As `autocorrelation`, and if counts are missing or a denominator is 0.

    References
    ----------
    Marshall, Appl Stat 1991;40:283-294 (local estimator). As in spdep's `EBlocal`, the spread
    around an area is that of its neighbours about their own local means.
    """
    binary, _ = _weights(table, neighbours, area_code, numerator)
    x, n = counts(table, numerator), counts(table, denominator)
    if np.isnan(x).any() or not (n > 0).all():
        raise DataError("local rates need counts and people in every area. Leave the others out.")
    near = binary + np.eye(len(x))
    people = near @ n
    mean = (near @ x) / people
    spread = near @ (n * (x / n - mean) ** 2) / people
    excess = np.maximum(spread - mean * near.sum(axis=1) / people, 0.0)
    noise = mean / n
    signal = np.divide(excess, excess + noise, out=np.zeros_like(excess), where=excess > 0)
    return mean + signal * (x / n - mean)
