"""What the evidence supports: people per year who would gain if more people were reached.

``gain = eligible people a year × extra reach × (risk with − risk without)``.
The effect is drawn once for all areas: it is the same unknown effect everywhere, so the areas'
gains rise and fall together and London's interval is that of their sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError, require_choice, require_random
from evidence.practice.gap import A_YEAR, ON_REGISTER, between, two_figures
from evidence.results import Caution, Estimate, Result

Array = np.ndarray
MEASURES = ("RR", "OR", "RD", "SMD")
Z = 1.959963984540054
LEAST_DRAWS = 100
"""Fewer draws have no ends of an interval."""
ASSUMED = "assumed"
WHAT = {
    "eligible_share": "share of these people who could be helped",
    "reach": "share of them reached beyond those reached now",
    "baseline": "share with the outcome without it",
}
"""What a gain rests on, in words."""


def risk_with(baseline: Array, effect: Array, measure: str) -> Array:
    """Return the risk of the outcome with the intervention.

    Parameters
    ----------
    baseline
        Risk without it, between 0 and 1.
    effect
        Its effect: a ratio of risks (RR) or odds (OR), a difference of risks (RD), or a
        standardised difference (SMD) towards the outcome, made an odds ratio by
        ln OR = SMD × π / √3.
    measure
        One of `MEASURES`.

    Returns
    -------
    ndarray
        Risk with it, kept between 0 and 1.

    References
    ----------
    Chinn, Stat Med 2000;19:3127-3131.
    """
    if measure not in MEASURES:
        raise DataError(f"an effect must be one of {', '.join(MEASURES)}; got {measure!r}.")
    if measure == "RR":
        return np.clip(baseline * effect, 0.0, 1.0)
    if measure == "RD":
        return np.clip(baseline + effect, 0.0, 1.0)
    ratio = effect if measure == "OR" else np.exp(effect * math.pi / math.sqrt(3.0))
    odds = ratio * baseline / (1.0 - baseline)
    return np.asarray(odds / (1.0 + odds))


def effect_draws(
    effect: Mapping[Any, Any], *, direction_better: str, draws: int, seed: int
) -> tuple[float, Array]:
    """Return the point effect and draws of it: normal on the scale of its interval.

    Parameters
    ----------
    effect
        measure, est, lo, hi (95 %), direction_better. An SMD is turned so that above 0 means more
        of the outcome.
    direction_better
        Direction of the outcome whose risk is meant: ``higher`` for a good one.
    draws, seed
        How many, and from which seed.

    Raises
    ------
    DataError
        If the measure has no risk, there is no interval, or directions contradict.
    """
    measure, limits = effect["measure"], (effect["est"], effect["lo"], effect["hi"])
    if measure not in MEASURES or any(pd.isna(value) for value in limits):
        raise DataError(
            f"a gain needs an effect on a risk with its interval; got {measure!r} with {limits}. "
            "Choose an effect that the match lets pass."
        )
    if not limits[1] <= limits[0] <= limits[2] or (measure in ("RR", "OR") and limits[1] <= 0):
        raise DataError(
            f"an effect must lie in its interval, and a ratio above 0; got {limits} for {measure}. "
            "Correct it."
        )
    if measure != "SMD" and effect["direction_better"] != direction_better:
        raise DataError(
            f"a ratio or difference of risks must be of the outcome itself; the effect is better "
            f"{effect['direction_better']}, the outcome {direction_better}. Correct one of them."
        )
    ratio = measure in ("RR", "OR")
    est, low, high = (math.log(value) if ratio else float(value) for value in limits)
    noise = np.random.default_rng(seed).standard_normal(draws)
    drawn = est + noise * (high - low) / (2 * Z)
    if ratio:
        return math.exp(est), np.exp(drawn)
    turn = -1.0 if measure == "SMD" and effect["direction_better"] != direction_better else 1.0
    return turn * est, turn * drawn


def gain(
    areas: pd.DataFrame,
    effect: Mapping[Any, Any],
    *,
    eligible_share: float,
    reach: float,
    baseline: float,
    direction_better: str = "higher",
    gained: str = "people who gain",
    people: str = "people",
    bases: Mapping[str, str] | None = None,
    period: str = "",
    counted: str = A_YEAR,
    level: float = 0.95,
    draws: int = 20_000,
    seed: int = 1,
) -> Result:
    """Return how many people would gain in each area, and in London together.

    Parameters
    ----------
    areas
        area_code, area, denominator (people); rows without it have no figure. Optional:
        baseline and baseline_se, the area's own risk without the intervention and its noise,
        independent between areas.
    effect
        measure, est, lo, hi, direction_better, id.
    eligible_share, reach
        Share of the denominator who could be helped; share of those who would be reached beyond
        those reached now.
    baseline
        Risk without the intervention, where areas have none of their own.
    direction_better
        ``higher`` for a good outcome, ``lower`` for a bad one.
    gained, people
        Words for the reader.
    bases
        Where eligible_share, reach and baseline come from: a source or the word assumed.
    period
        Of the denominators.
    counted
        What the denominators count: `gap.A_YEAR` for people of a year, or `gap.ON_REGISTER` for
        people on a register at one date; a gain of the latter is counted once, not each year.
    level, draws, seed
        Coverage of intervals, and the draws of the effect that all areas share.

    Returns
    -------
    Result
        Table: area_code, area, denominator, eligible, reached, gained, low, high, printed, rank.
        Estimates: `london` (interval of the sum of the areas' draws), `risk_without`,
        `risk_with`, `per_100` (people who gain of 100 reached), `reached`. No result, with the
        reason, where no area has a denominator.

    Raises
    ------
    DataError
        If a share is not between 0 and 1, columns are absent, people are fewer than none, the
        effect has no risk or does not lie in its interval, or draws or level cannot be.
    """
    _check(areas, {"eligible_share": eligible_share, "reach": reach, "baseline": baseline})
    _check_draws(direction_better, level, draws, seed)
    known = areas[areas["denominator"].notna()].reset_index(drop=True)
    if known.empty:
        return Result.could_not("How many would gain is not known", "no area has a figure")
    point, drawn = effect_draws(effect, direction_better=direction_better, draws=draws, seed=seed)
    sign = 1.0 if direction_better == "higher" else -1.0
    measure = str(effect["measure"])
    reached = known["denominator"].to_numpy(float) * eligible_share * reach
    own, own_draws = _baselines(known, baseline, draws, seed)
    points = reached * sign * (risk_with(own, np.asarray(point), measure) - own)
    samples = sign * (risk_with(own_draws, drawn[:, None], measure) - own_draws) * reached
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(samples, ends, axis=0)
    table = _table(known, eligible_share, reached, points, low, high)
    total = (float(points.sum()), *map(float, np.quantile(samples.sum(axis=1), ends)))
    risk = risk_with(np.asarray(baseline), np.append(drawn, point), measure)
    shares = {"eligible_share": eligible_share, "reach": reach, "baseline": baseline}
    words = {"outcome": gained, "period": period, "design": str(effect.get("tier", ""))}
    estimates = _estimates(total, risk, baseline, sign, reached, ends, counted, words)
    return Result(
        text=_finding(estimates[0], reach, reached, gained, people),
        estimates=estimates,
        table=table,
        settings={
            "method": "gain",
            "effect": str(effect.get("id", "")),
            "measure": measure,
            **shares,
            "direction_better": direction_better,
            "bases": dict(bases or {}),
            "counted": counted,
            "gained": gained,
            "period": period,
            "level": level,
            "draws": draws,
            "seed": seed,
        },
        cautions=_cautions(bases or {}, counted),
    )


def assumptions(stated: Mapping[str, Mapping[str, Any]]) -> Result:
    """Return eligible people, reach and baseline with where each comes from.

    Parameters
    ----------
    stated
        By name: value and basis.
    """
    table = pd.DataFrame(
        [
            {
                "what": WHAT.get(name, name),
                "value": _per_cent(one["value"]),
                "basis": "assumed" if str(one["basis"]).startswith(ASSUMED) else "source",
                "from": one["basis"],
            }
            for name, one in stated.items()
        ]
    )
    assumed = table.loc[table["basis"] == ASSUMED, "what"].tolist()
    text = f"Assumed, not known: {', '.join(assumed)}." if assumed else "Every share has a source."
    return Result(text=text, table=table, settings={"method": "assumptions"})


def _per_cent(share: float) -> str:
    return f"{100 * share:.3g}\N{NO-BREAK SPACE}%"


def sensitivity(
    areas: pd.DataFrame,
    effect: Mapping[Any, Any],
    stated: Mapping[str, Mapping[str, Any]],
    **words: Any,
) -> Result:
    """Return London's gain with reach halved and doubled, and with other baselines.

    Parameters
    ----------
    areas, effect
        As `gain` takes them.
    stated
        eligible_share, reach and baseline: value, low and high (None if not known).
    words
        Further arguments of `gain`.
    """
    values: dict[str, Any] = {name: float(one["value"]) for name, one in stated.items()}
    varied = {"as stated": values}
    varied["half the reach"] = values | {"reach": values["reach"] / 2}
    varied["twice the reach"] = values | {"reach": min(2 * values["reach"], 1.0)}
    for end, name in (("low", "lower baseline"), ("high", "higher baseline")):
        other = stated["baseline"].get(end)
        if other is not None:
            varied[name] = values | {"baseline": float(other)}
    rows = []
    for name, chosen in varied.items():
        london = gain(areas, effect, **chosen, **words)["london"]
        shares = {f"{share}_words": _per_cent(one) for share, one in chosen.items()}
        rows.append(
            {
                "case": name,
                **chosen,
                **shares,
                "people": london.value,
                "unit": london.unit,
                "printed": between(london),
            }
        )
    table = pd.DataFrame(rows)
    least, most, unit = table["people"].min(), table["people"].max(), table["unit"].iloc[0]
    return Result(
        text=f"Over these choices London's figure lies between {two_figures(least)} and "
        f"{two_figures(most)} {unit}: it is as good as the reach and baseline put in.",
        table=table,
        settings={"method": "sensitivity of gain"},
    )


def share_of_gap(
    gap: Result, gained: Result, *, effect_outcome: str, indicator_outcome: str
) -> Result:
    """Return the share of London's gap that the gain would fill, where both count the same outcome.

    Parameters
    ----------
    gap, gained
        Results of `gap.gap` and `gain`.
    effect_outcome, indicator_outcome
        What the effect is about, and what the indicator counts.
    """
    what = "Share of the gap not shown"
    if effect_outcome != indicator_outcome:
        return Result.could_not(
            what,
            f"the effect is on {effect_outcome}, but the indicator counts {indicator_outcome}, so "
            "people who gain do not close this gap",
        )
    if not gap.known or not gap["london"].value:
        return Result.could_not(what, "there is no gap")
    behind, total = float(gap["london"].value or 0), gained["london"]
    share = Estimate(
        key="share",
        value=100 * (total.value or 0) / behind,
        low=100 * (total.low or 0) / behind,
        high=100 * (total.high or 0) / behind,
        level=total.level,
        unit="% of the gap",
        area="London",
    )
    return Result(
        text=f"It would fill {two_figures(share.value or 0)}\N{NO-BREAK SPACE}% of London's gap "
        f"({two_figures(share.low or 0)} to {two_figures(share.high or 0)}\N{NO-BREAK SPACE}%).",
        estimates=(share,),
        settings={"method": "share of the gap"},
        cautions=(Caution("other", "The interval holds the effect's uncertainty, not the gap's."),),
    )


def _check(areas: pd.DataFrame, shares: Mapping[str, float]) -> None:
    for name in ("area_code", "area", "denominator"):
        if name not in areas.columns:
            raise DataError(f"a gain needs the column {name!r} of areas; it is not there. Add it.")
    if areas["area_code"].duplicated().any():
        twice = areas.loc[areas["area_code"].duplicated(), "area_code"].iloc[0]
        raise DataError(f"areas must be unique; {twice!r} comes twice. Drop one.")
    if (areas["denominator"] < 0).any():
        below = areas.loc[areas["denominator"] < 0, "area"].iloc[0]
        raise DataError(f"people must be 0 or more; {below} has fewer. Correct the denominators.")
    for name, value in shares.items():
        if not 0 < value <= 1 or (name == "baseline" and value == 1):
            raise DataError(
                f"{name} must be a share above 0 and up to 1; got {value:g}. Change it."
            )


def _check_draws(direction_better: str, level: float, draws: int, seed: int) -> None:
    require_choice(direction_better, ("higher", "lower"), "direction_better")
    if not 0 < level < 1:
        raise DataError(f"level must lie between 0 and 1; got {level:g}. Write 0.95 for 95 %.")
    require_random(seed, draws, LEAST_DRAWS)


def _baselines(known: pd.DataFrame, baseline: float, draws: int, seed: int) -> tuple[Array, Array]:
    """Return each area's risk without the intervention, and draws where it has noise of its own."""
    own = np.full(len(known), baseline)
    if "baseline" in known.columns:
        own = known["baseline"].fillna(baseline).to_numpy(float)
    if "baseline_se" not in known.columns:
        return own, own[None, :]
    noise = [_own_noise(code, draws, seed) for code in known["area_code"]]
    spread = known["baseline_se"].fillna(0.0).to_numpy(float)
    return own, np.clip(own + np.stack(noise, axis=1) * spread, 1e-9, 1 - 1e-9)


def _own_noise(code: str, draws: int, seed: int) -> Array:
    """Return draws that belong to an area, whichever others there are and in whatever order."""
    sequence = np.random.SeedSequence([seed, *str(code).encode()])
    return np.random.default_rng(sequence).standard_normal(draws)


def _table(
    known: pd.DataFrame, share: float, reached: Array, points: Array, low: Array, high: Array
) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "area_code": known["area_code"],
            "area": known["area"],
            "denominator": known["denominator"],
            "eligible": known["denominator"] * share,
            "reached": reached,
            "gained": points,
            "low": low,
            "high": high,
        }
    )
    table["printed"] = [
        f"{two_figures(value)} ({two_figures(a)} to {two_figures(b)})"
        for value, a, b in zip(points, low, high, strict=True)
    ]
    table["rank"] = table["gained"].rank(ascending=False, method="first").astype("int64")
    return table.sort_values("rank").reset_index(drop=True)


def _estimates(
    total: tuple[float, ...],
    risk: Array,
    baseline: float,
    sign: float,
    reached: Array,
    ends: list[float],
    counted: str,
    words: Mapping[str, Any],
) -> tuple[Estimate, ...]:
    level = ends[1] - ends[0]
    with_it, drawn = float(risk[-1]), risk[:-1]
    low, high = map(float, np.quantile(drawn, ends))
    helped = np.quantile(100 * sign * (drawn - baseline), ends)
    return (
        Estimate(
            key="london",
            value=total[0],
            low=total[1],
            high=total[2],
            level=level,
            unit=A_YEAR if counted == A_YEAR else "people, counted once",
            area="London",
            **words,
        ),
        Estimate(key="risk_without", value=baseline, unit="share", **words),
        Estimate(
            key="risk_with", value=with_it, low=low, high=high, level=level, unit="share", **words
        ),
        Estimate(
            key="per_100",
            value=100 * sign * (with_it - baseline),
            low=float(helped[0]),
            high=float(helped[1]),
            level=level,
            unit="of 100 people reached",
            **words,
        ),
        Estimate(key="reached", value=float(reached.sum()), unit=counted, **words),
    )


def _finding(london: Estimate, reach: float, reached: Array, gained: str, people: str) -> str:
    verb = "more" if (london.value or 0) >= 0 else "fewer"
    size = Estimate(
        key="size",
        value=abs(london.value or 0),
        low=min(abs(london.low or 0), abs(london.high or 0)),
        high=max(abs(london.low or 0), abs(london.high or 0)),
    )
    if (london.low or 0) * (london.high or 0) < 0:
        size, verb = london, "more"
    number, often = two_figures(float(reached.sum())), "" if london.unit != A_YEAR else " a year"
    how_many = f"{number} a year" if often else f"{number} {ON_REGISTER}"
    return (
        f"If {100 * reach:g} in 100 {people} were reached, {how_many}, London would have "
        f"{between(size)} {verb} {gained}{often}."
    )


def _cautions(bases: Mapping[str, str], counted: str) -> tuple[Caution, ...]:
    doubts = [
        Caution(
            "interval_narrow",
            "The interval holds the uncertainty of the effect alone, not that of reach, baseline "
            "or of carrying it over to London.",
        )
    ]
    assumed = [name for name, basis in bases.items() if basis.startswith(ASSUMED)]
    if assumed:
        listed = ", ".join(WHAT.get(name, name) for name in assumed)
        doubts.append(Caution("other", f"Assumed, without a source: {listed}."))
    if counted == ON_REGISTER:
        doubts.append(
            Caution(
                "other",
                "A register counts people at one date: the gain is counted once, not each year.",
            )
        )
    return tuple(doubts)
