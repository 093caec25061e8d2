"""Limits that tell signal from noise: the funnel plot across areas, the XmR chart over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats
from scipy.optimize import elementwise

from evidence.errors import DataError, require_choice, require_columns
from evidence.results import Caution, Direction, Estimate, Result, fitting
from evidence.variation import rates, words
from evidence.variation.checks import OK, OVER, require_level, require_unique
from evidence.variation.overdispersion import (
    TRIM,
    Dispersion,
    Scaled,
    between_sd,
    dispersion,
    scaled,
    shrink,
)
from evidence.variation.spc import xmr

__all__ = ["funnel", "funnel_limits", "limit_lines", "spread", "xmr"]

MEASURES = {"proportion": "arcsine", "rate": "sqrt", "ratio": "sqrt"}
"""Measures of a funnel and the scale on which each is compared."""

Array = np.ndarray
Tail = Callable[[Array, Array], Array]

FEW_UNITS = 10
"""Below this number of areas the spread between them is hardly estimable (variation of φ)."""


def funnel_limits(
    denominator: np.ndarray,
    *,
    target: float,
    measure: str = "proportion",
    level: float = 0.95,
    method: str = "mid_p",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of chance alone around a target, at each denominator itself.

    Parameters
    ----------
    denominator
        People, or expected events for a ratio; shape (n,), positive.
    target
        The comparator as a fraction, rate per person or ratio.
    measure
        ``proportion`` (binomial), ``rate`` or ``ratio`` (Poisson).
    level
        Share of areas inside when nothing but chance makes them differ.
    method
        ``mid_p`` (default) counts half of the probability of the limit itself, so that the share
        outside is near ``1 - level`` on average; ``exact`` never lets it exceed that, and flags
        clearly fewer where events are few; ``score`` is the normal approximation, which is where
        Wilson's interval of an area just reaches the target.

    Returns
    -------
    tuple of ndarray
        Lower and upper limits on the scale of the target; a limit that no count can pass is 0
        (or 1 for a proportion).

    References
    ----------
    Spiegelhalter, Stat Med 2005;24:1185-1202, appendix A.1; Manktelow and Seaton, PLoS ONE
    2012;7:e45723 (properties of discrete limits); Lancaster, J Am Stat Assoc 1961;56:223-234.
    """
    require_choice(measure, MEASURES, "measure")
    require_choice(method, ("mid_p", "exact", "score"), "method")
    require_level(level)
    n = np.asarray(denominator, dtype=float)
    if method == "score":
        variance = target * (1 - target if measure == "proportion" else 1) / n
        reach = stats.norm.isf((1 - level) / 2) * np.sqrt(variance)
        top = 1.0 if measure == "proportion" else np.inf
        return np.maximum(target - reach, 0), np.minimum(target + reach, top)
    tails = _binomial_tails if measure == "proportion" else _poisson_tails
    half = 0.5 if method == "mid_p" else 1.0
    return tails(n, target, (1 - level) / 2, half)


def _binomial_tails(
    n: np.ndarray, target: float, tail: float, half: float
) -> tuple[np.ndarray, np.ndarray]:
    def below(x: np.ndarray, size: np.ndarray, p: float) -> np.ndarray:
        upto = special.betainc(np.maximum(size - x, 1e-12), x + 1, 1 - p)
        before = special.betainc(size - x + 1, np.maximum(x, 1e-12), 1 - p)
        return half * upto + (1 - half) * np.where(x > 0, before, 0.0)

    low = _where_tail_is(lambda x, size: below(x, size, target), n, n * target, tail)
    high = _where_tail_is(lambda x, size: below(x, size, 1 - target), n, n * (1 - target), tail)
    return low / n, 1 - high / n


def _poisson_tails(
    n: np.ndarray, target: float, tail: float, half: float
) -> tuple[np.ndarray, np.ndarray]:
    def below(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
        before = np.where(x > 0, special.gammaincc(np.maximum(x, 1e-12), mean), 0.0)
        return half * special.gammaincc(x + 1, mean) + (1 - half) * before

    def above(excess: np.ndarray, mean: np.ndarray) -> np.ndarray:
        x = mean + excess
        at_least = special.gammainc(x, mean)
        return half * at_least + (1 - half) * special.gammainc(x + 1, mean)

    mean = n * target
    low = _where_tail_is(below, mean, mean, tail)
    most = 40 + 12 * np.sqrt(mean)
    found = elementwise.find_root(
        lambda excess, m: tail - above(excess, m), (np.zeros_like(mean), most), args=(mean,)
    )
    return low / n, (mean + found.x) / n


def _where_tail_is(below: Tail, size: Array, most: Array, tail: float) -> Array:
    """Return the count whose lower tail is `tail`, and 0 where even no event is likelier."""
    zero = np.zeros_like(most)
    reachable = below(zero, size) < tail
    found = elementwise.find_root(
        lambda x, s: below(x, s) - tail,
        (zero[reachable], most[reachable]),
        args=(size[reachable],),
    )
    roots = zero.copy()
    roots[reachable] = found.x
    return roots


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of the areas, in the words and units of the reader."""

    measure: str
    multiplier: float
    direction: Direction
    levels: tuple[float, ...]
    indicator: str
    unit: str
    period: str
    comparator: str
    widened: bool

    @property
    def beyond(self) -> str:
        """What an area outside the limits that judge lies beyond."""
        return "that usual spread" if self.widened else "limits of chance"

    @property
    def suffixes(self) -> list[str]:
        return [f"{level * 100:g}".replace(".", "_") for level in self.levels]

    @property
    def subject(self) -> str:
        name = self.indicator or "This figure"
        return f"{name}, {self.period}" if self.period else name

    def words(self, value: float) -> str:
        return words.amount(value, self.unit)


def funnel(
    table: pd.DataFrame,
    *,
    direction_better: Direction,
    measure: str = "proportion",
    multiplier: float = 100,
    levels: Sequence[float] = (0.95, 0.998),
    overdispersion: str = "additive",
    target: float | None = None,
    trim: float = TRIM,
    limits: str = "mid_p",
    numerator: str = "numerator",
    denominator: str = "denominator",
    area_code: str = "area_code",
    area: str = "area",
    status: str = "status",
    rounding: str = "rounding",
    indicator: str = "",
    unit: str = "",
    period: str = "",
    comparator: str = "all areas together",
) -> Result:
    """Judge areas against what chance, and the usual spread between areas, would make of them.

    Parameters
    ----------
    table
        One row per area, with counts; rows without a figure stay in the answer as ``no figure``.
    direction_better
        ``higher``, ``lower`` or ``none``: judgements derive from it.
    measure
        ``proportion``, ``rate`` (events per person) or ``ratio`` (observed over expected).
    multiplier
        100 for percentages, 1,000 for rates per 1,000; values and limits are multiplied by it.
    levels
        Coverage of the limits, narrow to wide; the widest one judges.
    overdispersion
        ``additive`` (default: with large denominators nearly every area lies outside limits of
        chance alone) widens limits by the variance between areas; ``none`` does not.
    target
        The comparator as a fraction, rate per person or ratio; the pooled value if not given,
        1 for a ratio.
    trim
        Share of z-scores winsorised at either end before the limits are widened.
    limits
        Method of `funnel_limits`.
    numerator, denominator, area_code, area, status, rounding
        Columns; the last three may be absent. `rounding` holds by how much rounding at source may
        have moved the numerator (2.5 where it is rounded to 5); ``denominator_`` before its name
        is the same for the denominator, taken as equal if absent.
    indicator, unit, period, comparator
        Words for the reader.

    Returns
    -------
    Result
        Table: one row per area with `value`, its 95 % interval `low` and `high`, limits of chance
        (`lower_95` …), widened limits (`adjusted_lower_95` …), `z`, `z_adjusted`, `position`,
        `judgement`, and the estimate after noise (`shrunken`, `shrunken_low`, `shrunken_high`,
        `signal`). Estimates: `pooled`, `median`, `minimum`, `maximum`, `phi_pearson`,
        `phi_winsorised`, `tau` with a 95 % interval, `tau_winsorised` (which widens the limits),
        `outside_unadjusted`, `outside_adjusted`.

    Raises
    ------
    DataError
        If columns are absent, areas repeat, counts are negative, or an argument is not allowed.

    References
    ----------
    Spiegelhalter, Stat Med 2005;24:1185-1202. `tau` is not winsorised: winsorising protects the
    limits from the areas they should find, but would understate how much areas differ.
    """
    ask = _Question(
        measure,
        multiplier,
        direction_better,
        tuple(levels),
        indicator,
        unit,
        period,
        comparator,
        widened=overdispersion != "none",
    )
    _check_question(ask, overdispersion)
    require_columns(table, (area_code, numerator, denominator), "a funnel")
    require_unique(table, [area_code], "a funnel")
    x, n, reasons = rates.read_counts(
        table, numerator, denominator, status, bounded=measure == "proportion"
    )
    rows = _rows(table, x, n, reasons, area_code, area, ask)
    settings = _settings(ask, overdispersion, limits, trim)
    used = reasons == OK
    if used.sum() < 3:
        return _not_judged(
            rows,
            settings,
            f"only {words.plural(int(used.sum()), 'area')} of {len(rows)} had a figure",
            ask,
        )
    centre = _centre(x[used], n[used], target, measure)
    if not 0 < centre < (1 if measure == "proportion" else np.inf):
        return _not_judged(rows, settings, "no area, or every person, had the outcome", ask)
    figures = scaled(x[used], n[used], centre, MEASURES[measure])
    treated = dispersion(figures, trim=trim)
    added = treated.tau2 if ask.widened else 0.0
    _add_limits(rows, used, n[used], figures, added, centre, limits, ask)
    tau = between_sd(figures)
    _add_shrunken(rows, used, figures, tau[0], multiplier)
    estimates = _estimates(rows, used, x[used], n[used], figures, treated, tau, centre, ask)
    cautions = _cautions(table, rows, x, n, estimates, centre, rounding, trim, ask)
    return Result(
        text=_finding(rows, estimates, ask),
        estimates=tuple(estimates.values()),
        table=rows,
        settings=settings | {"target": centre * multiplier, "tau2_added": added},
        cautions=cautions,
    )


def limit_lines(result: Result, denominator: np.ndarray) -> pd.DataFrame:
    """Return a funnel's limits at any denominators: the lines of its picture.

    Judgements never come from these lines, but from the limits at each area's own denominator.

    Parameters
    ----------
    result
        Result of `funnel`.
    denominator
        Denominators, shape (n,), positive.

    Returns
    -------
    DataFrame
        `denominator` and the limit columns of the funnel's table.
    """
    asked = result.settings
    ask = _Question(
        measure=asked["measure"],
        multiplier=asked["multiplier"],
        direction=asked["direction_better"],
        levels=tuple(asked["levels"]),
        indicator=asked["indicator"],
        unit=asked["unit"],
        period=asked["period"],
        comparator=asked["comparator"],
        widened=asked["overdispersion"] != "none",
    )
    centre = asked["target"] / ask.multiplier
    n = np.asarray(denominator, dtype=float)
    figures = scaled(n * centre, n, centre, MEASURES[ask.measure])
    found = _limit_columns(n, figures, asked["tau2_added"], centre, asked["limits"], ask)
    return pd.DataFrame({"denominator": n} | found)


def spread(result: Result) -> Result:
    """Return how far the areas of a funnel differ, by each measure under its own name.

    Parameters
    ----------
    result
        Result of `funnel`.

    Returns
    -------
    Result
        A listing of the spread between areas in the indicator's unit, the two ratios of
        dispersion, and the areas outside either set of limits; the reason if areas were not
        judged.
    """
    if not result.known:
        return Result.could_not("Spread not known", result.reason)
    tau, unit = result["tau"], result.settings["unit"]
    rows = {
        tau.measure: f"{words.gap(tau.value or 0.0, unit)} (95\u00a0% interval "
        f"{words.between(tau.low or 0.0, tau.high or 0.0, unit)})"
    }
    for key in ("phi_pearson", "phi_winsorised"):
        rows[result[key].measure] = f"{result[key].value or 0.0:,.2f}"
    for key in ("outside_unadjusted", "outside_adjusted"):
        found = result[key]
        rows[found.measure] = words.share_of(int(found.value or 0), found.k or 0, "area")
    return Result.listing("How far areas differ, by several measures.", rows)


def _check_question(ask: _Question, overdispersion: str) -> None:
    require_choice(ask.measure, MEASURES, "measure")
    require_choice(overdispersion, ("additive", "none"), "overdispersion")
    require_choice(ask.direction, ("higher", "lower", "none"), "direction_better")
    for level in ask.levels:
        require_level(level, "levels")
    if list(ask.levels) != sorted(set(ask.levels)) or not ask.levels:
        raise DataError(f"levels must rise from narrow to wide; got {ask.levels}. Sort them.")


def _settings(ask: _Question, overdispersion: str, limits: str, trim: float) -> dict[str, object]:
    return {
        "method": "funnel",
        "measure": ask.measure,
        "scale": MEASURES[ask.measure],
        "multiplier": ask.multiplier,
        "direction_better": ask.direction,
        "levels": list(ask.levels),
        "overdispersion": overdispersion,
        "limits": limits,
        "trim": trim,
        "indicator": ask.indicator,
        "unit": ask.unit,
        "period": ask.period,
        "comparator": ask.comparator,
    }


def _centre(x: Array, n: Array, target: float | None, measure: str) -> float:
    if target is not None:
        return float(target)
    return 1.0 if measure == "ratio" else float(x.sum() / n.sum())


def _rows(
    table: pd.DataFrame,
    x: Array,
    n: Array,
    reasons: Array,
    area_code: str,
    area: str,
    ask: _Question,
) -> pd.DataFrame:
    names = table[area] if area in table.columns else table[area_code]
    rows = pd.DataFrame(
        {
            "area_code": table[area_code].astype("str").to_numpy(),
            "area": names.astype("str").to_numpy(),
            "numerator": x,
            "denominator": n,
            "status": pd.Series(reasons, dtype="str"),
        }
    )
    figures = rates.proportions if ask.measure == "proportion" else rates.crude_rates
    found = figures(rows, multiplier=ask.multiplier)
    return rows.assign(value=found["value"], low=found["low"], high=found["high"])


def _add_limits(
    rows: pd.DataFrame,
    used: Array,
    n: Array,
    figures: Scaled,
    added: float,
    centre: float,
    method: str,
    ask: _Question,
) -> None:
    for name, limit in _limit_columns(n, figures, added, centre, method, ask).items():
        rows.loc[used, name] = limit
    rows.loc[used, "z"] = figures.z
    rows.loc[used, "z_adjusted"] = figures.z * figures.s / np.sqrt(figures.s**2 + added)
    rows["position"] = pd.Series(_position(rows, "adjusted_", ask), dtype="str")
    rows["judgement"] = pd.Series(_judgement(rows["position"], ask.direction), dtype="str")


def _limit_columns(
    n: Array, figures: Scaled, added: float, centre: float, method: str, ask: _Question
) -> dict[str, Array]:
    chance, widened = {}, {}
    for level, suffix in zip(ask.levels, ask.suffixes, strict=True):
        low, high = funnel_limits(n, target=centre, measure=ask.measure, level=level, method=method)
        chance[f"lower_{suffix}"], chance[f"upper_{suffix}"] = low, high
        if added > 0:
            reach = stats.norm.isf((1 - level) / 2) * np.sqrt(figures.s**2 + added)
            low, high = figures.back(figures.target - reach), figures.back(figures.target + reach)
        widened[f"adjusted_lower_{suffix}"], widened[f"adjusted_upper_{suffix}"] = low, high
    return {name: limit * ask.multiplier for name, limit in (chance | widened).items()}


def _position(rows: pd.DataFrame, prefix: str, ask: _Question) -> Array:
    suffix = ask.suffixes[-1]
    above = rows["value"] > rows[f"{prefix}upper_{suffix}"]
    below = rows["value"] < rows[f"{prefix}lower_{suffix}"]
    without = rows["value"].isna()
    return np.select([without, above, below], ["no figure", "above", "below"], "within")


def _judgement(position: pd.Series, direction: Direction) -> list[str]:
    better = {"higher": ("better", "worse"), "lower": ("worse", "better")}
    above, below = better.get(direction, ("higher", "lower"))
    names = {"above": above, "below": below, "within": "similar", "no figure": "no figure"}
    return [names[place] for place in position]


def _add_shrunken(
    rows: pd.DataFrame, used: Array, figures: Scaled, tau: float, multiplier: float
) -> None:
    after = shrink(figures, tau)
    for name, values in (
        ("shrunken", after.value * multiplier),
        ("shrunken_low", after.low * multiplier),
        ("shrunken_high", after.high * multiplier),
        ("signal", after.signal),
    ):
        rows.loc[used, name] = values


def _estimates(
    rows: pd.DataFrame,
    used: Array,
    x: Array,
    n: Array,
    figures: Scaled,
    spread: Dispersion,
    tau: tuple[float, float, float],
    centre: float,
    ask: _Question,
) -> dict[str, Estimate]:
    about: dict[str, Any] = {
        "period": ask.period,
        "outcome": ask.indicator,
        "k": len(x),
        "design": "descriptive",
    }
    found = [
        *_level_estimates(rows, used, x, n, ask, about),
        Estimate(
            key="phi_pearson",
            value=_phi_pearson(x, n, centre, ask.measure),
            measure="dispersion ratio: Pearson's chi-square over the number of areas, "
            "nothing winsorised",
            **about,
        ),
        Estimate(
            key="phi_winsorised",
            value=spread.phi,
            measure=f"dispersion ratio: mean squared z on the {MEASURES[ask.measure]} scale, "
            f"{spread.trim * 100:g}\u00a0% winsorised at either end",
            **about,
        ),
        *_tau_estimates(spread, tau, figures.slope * ask.multiplier, ask.unit, about),
        *_outside_estimates(rows, ask, about),
    ]
    return {estimate.key: estimate for estimate in found}


def _level_estimates(
    rows: pd.DataFrame, used: Array, x: Array, n: Array, ask: _Question, about: dict[str, Any]
) -> list[Estimate]:
    figure = about | {
        "unit": ask.unit,
        "measure": ask.measure,
        "direction_better": ask.direction,
        "n": n.sum(),
    }
    return [
        Estimate(key="pooled", area=ask.comparator, **_pooled(x, n, ask), **figure),
        *(
            Estimate(key=key, value=rows.loc[used, "value"].agg(how), **figure)
            for key, how in (("median", "median"), ("minimum", "min"), ("maximum", "max"))
        ),
    ]


def _tau_estimates(
    spread: Dispersion,
    tau: tuple[float, float, float],
    size: float,
    unit: str,
    about: dict[str, Any],
) -> list[Estimate]:
    return [
        Estimate(
            key="tau",
            value=tau[0] * size,
            low=tau[1] * size,
            high=tau[2] * size,
            level=0.95,
            measure="standard deviation between areas beyond chance (Paule-Mandel, Q-profile)",
            unit=unit,
            **about,
        ),
        Estimate(
            key="tau_winsorised",
            value=float(np.sqrt(spread.tau2)) * size,
            measure="standard deviation between areas that widens the limits (winsorised)",
            unit=unit,
            **about,
        ),
    ]


def _outside_estimates(rows: pd.DataFrame, ask: _Question, about: dict[str, Any]) -> list[Estimate]:
    return [
        Estimate(
            key=f"outside_{name}",
            value=int(np.isin(_position(rows, prefix, ask), ("above", "below")).sum()),
            measure=f"areas outside the {ask.levels[-1] * 100:g}\u00a0% limits {of}",
            unit="areas",
            **about,
        )
        for name, prefix, of in (
            ("unadjusted", "", "of chance alone"),
            (
                "adjusted",
                "adjusted_",
                "that allow for the usual spread" if ask.widened else "that judge: chance alone",
            ),
        )
    ]


def _pooled(x: Array, n: Array, ask: _Question) -> dict[str, Any]:
    whole = pd.DataFrame({"numerator": [x.sum()], "denominator": [n.sum()]})
    figures = rates.proportions if ask.measure == "proportion" else rates.crude_rates
    row = figures(whole, multiplier=ask.multiplier).iloc[0]
    return {"value": row["value"], "low": row["low"], "high": row["high"], "level": 0.95}


def _phi_pearson(x: Array, n: Array, centre: float, measure: str) -> float:
    variance = n * centre * (1 - centre) if measure == "proportion" else n * centre
    return float(np.mean((x - n * centre) ** 2 / variance))


def _finding(rows: pd.DataFrame, found: dict[str, Estimate], ask: _Question) -> str:
    tau, pooled = found["tau"], found["pooled"].value or 0.0
    units = words.plural(int(found["pooled"].k or 0), "area")
    size, low, high = (tau.value or 0.0), (tau.low or 0.0), (tau.high or 0.0)
    outside = rows.loc[rows["position"].isin(["above", "below"]), "area"].tolist()
    if size == 0:
        yet = f"; yet beyond limits: {words.listed(outside, 2)}" if outside else ""
        return (
            f"{ask.subject}: the {units} vary no more than chance alone makes them, around "
            f"{ask.words(pooled)} (from {ask.words(found['minimum'].value or 0.0)} to "
            f"{ask.words(found['maximum'].value or 0.0)}){yet}."
        )
    name = f" ({outside[0]})" if len(outside) == 1 else ""
    limits = f", 95\u00a0% interval {words.between(low, high, ask.unit)}"
    chance = ", so perhaps by chance alone" if low == 0 else ""
    beyond = (
        f"around {ask.words(pooled)}; "
        f"{words.share_of(len(outside), int(found['pooled'].k or 0), 'area')} "
        f"{words.verb(max(len(outside), 1), 'lies', 'lie')} beyond {ask.beyond}"
    )
    start = f"{ask.subject}: areas differ by about {words.gap(size, ask.unit)} (standard deviation"
    return fitting(
        f"{start}{limits}{chance}) {beyond}{name}.",
        f"{start}{limits}{chance}) {beyond}.",
        f"{start}{chance}) {beyond}.",
    )


def _not_judged(
    rows: pd.DataFrame, settings: dict[str, object], because: str, ask: _Question
) -> Result:
    rows["position"] = pd.Series("no figure", index=rows.index, dtype="str")
    rows["judgement"] = rows["position"]
    return Result(
        text=f"{ask.subject}: areas not judged: {because}.",
        table=rows,
        settings=settings,
        reason=because,
        cautions=tuple(_without_figure(rows)),
    )


def _cautions(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    x: Array,
    n: Array,
    found: dict[str, Estimate],
    centre: float,
    rounding: str,
    trim: float,
    ask: _Question,
) -> tuple[Caution, ...]:
    used = (rows["status"] == OK).to_numpy()
    doubts = _without_figure(rows)
    doubts += _few_or_small(n[used], centre, ask)
    doubts += _spread_doubts(found, trim, ask)
    doubts += _rounded(table, rows, x, n, rounding, ask)
    units = int(used.sum())
    expected = words.number(units * (1 - ask.levels[-1]))
    narrow = words.number(units * (1 - ask.levels[0]))
    doubts.append(
        Caution(
            "multiple_testing",
            f"{units} areas are judged at once: if they differed by chance alone, on average "
            f"{expected} of them would lie outside the {ask.levels[-1] * 100:g}\u00a0% limits and "
            f"{narrow} outside the {ask.levels[0] * 100:g}\u00a0% limits.",
        )
    )
    return tuple(doubts)


def _without_figure(rows: pd.DataFrame) -> list[Caution]:
    doubts = []
    for reason, group in rows[rows["status"] != OK].groupby("status", sort=True):
        kind = "suspected_error" if reason == OVER else "suppression"
        doubts.append(
            Caution(
                kind,
                f"No figure for {words.plural(len(group), 'area')} ({reason}): "
                f"{words.listed(group['area'].tolist())}.",
            )
        )
    return doubts


def _few_or_small(n: Array, centre: float, ask: _Question) -> list[Caution]:
    doubts = []
    if len(n) < FEW_UNITS:
        doubts.append(
            Caution(
                "few_units",
                f"Only {len(n)} areas: the spread between them, and limits widened by it, are "
                "very uncertain.",
            )
        )
    rare = n * (min(centre, 1 - centre) if ask.measure == "proportion" else centre)
    small = int((rare < rates.SMALL_COUNT).sum())
    if small:
        doubts.append(
            Caution(
                "small_counts",
                f"{words.plural(small, 'area')} would expect fewer than {rates.SMALL_COUNT} "
                "events: limits are wide and coarse there.",
            )
        )
    return doubts


def _spread_doubts(found: dict[str, Estimate], trim: float, ask: _Question) -> list[Caution]:
    if not found["tau_winsorised"].value:
        return []
    phi = found["phi_winsorised"].value or 0.0
    alone, left = (int(found[f"outside_{of}"].value or 0) for of in ("unadjusted", "adjusted"))
    widened = f"{left or 'none'} outside limits that allow for the usual spread"
    return [
        Caution(
            "overdispersion",
            f"The variance of the figures is {words.number(phi)} times what chance makes it (φ, "
            f"{trim * 100:g}\u00a0% winsorised): {words.plural(alone, 'area')} "
            f"{words.verb(alone, 'lies', 'lie')} outside the "
            f"{ask.levels[-1] * 100:g}\u00a0% limits of chance alone, "
            f"{widened if ask.widened else 'which were asked for and judge here'}.",
        )
    ]


def _rounded(
    table: pd.DataFrame, rows: pd.DataFrame, x: Array, n: Array, rounding: str, ask: _Question
) -> list[Caution]:
    if rounding not in table.columns:
        return []
    off_x = pd.to_numeric(table[rounding], errors="coerce").fillna(0).to_numpy(dtype=float)
    other = f"denominator_{rounding}"
    off_n = off_x
    if other in table.columns:
        off_n = pd.to_numeric(table[other], errors="coerce").fillna(0).to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.maximum(x - off_x, 0) / (n + off_n)
        most = np.where(n > off_n, (x + off_x) / (n - off_n), np.nan)
    ceiling = 1.0 if ask.measure == "proportion" else np.inf
    shown = (rows["status"] == OK).to_numpy()
    rows["rounding_low"] = np.where(shown, least, np.nan) * ask.multiplier
    rows["rounding_high"] = np.where(shown, np.minimum(most, ceiling), np.nan) * ask.multiplier
    if not (off_x.any() or off_n.any()):
        return []
    worst = np.nanmax((rows["rounding_high"] - rows["rounding_low"]) / 2)
    return [
        Caution(
            "rounding",
            f"Counts are rounded at source (each by up to {off_x.max():g}), which can move a value "
            f"by up to {words.gap(float(worst), ask.unit)}.",
        )
    ]
