"""How much does the result hang on single studies: leave-one-out, accumulation, influence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from evidence.errors import DataError
from evidence.results import Caution, Estimate, Result
from evidence.synthesis.fit import Fit, fit, quantile
from evidence.synthesis.pool import decimals_for, number
from evidence.synthesis.weighting import Array


@dataclass(frozen=True, slots=True)
class Choices:
    """How the studies are pooled each time: the arguments of `fit`."""

    model: str = "random"
    tau2: str = "REML"
    test: str = "hartung_knapp"
    floor: str = "scale"
    level: float = 0.95

    def fit(self, effects: pd.DataFrame) -> Fit:
        """Pool these studies."""
        return fit(
            effects["yi"],
            effects["vi"],
            model=self.model,
            tau2=self.tau2,
            test=self.test,
            floor=self.floor,
            level=self.level,
        )

    def settings(self) -> dict[str, Any]:
        """Return the choices as plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


def _usable(effects: pd.DataFrame, *named: str) -> pd.DataFrame:
    absent = [name for name in ("yi", "vi", *named) if name and name not in effects]
    if absent:
        raise DataError(
            f"effects must have the columns yi, vi and those named; the table has no "
            f"{', '.join(absent)}. Name the column."
        )
    return effects.dropna(subset=["yi", "vi"]).reset_index(drop=True)


def _rows(named: Iterable[tuple[str, Fit]], first: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                first: name,
                "k": fitted.k,
                "value": fitted.b[0],
                "se": fitted.se[0],
                "statistic": fitted.statistic[0],
                "p": fitted.p[0],
                "low": fitted.low[0],
                "high": fitted.high[0],
                "tau2": fitted.tau2,
                "I2": fitted.i2,
                "H2": fitted.h2,
                "Q": fitted.q,
                "Q_p": fitted.q_p,
            }
            for name, fitted in named
        ]
    )


def leave_one_out(
    effects: pd.DataFrame, *, study: str = "study", null: float = 0.0, **choices: Any
) -> Result:
    """Pool again without each study in turn.

    Parameters
    ----------
    effects
        One row per study with ``yi``, ``vi`` and its name.
    study
        Column with the study's name.
    null
        No effect on the analysis scale, to say whether the conclusion changes.
    **choices
        ``model``, ``tau2``, ``test``, ``floor``, ``level`` as for `pool`.

    Returns
    -------
    Result
        Table with left_out, k, value, se, statistic, p, low, high, tau2, I2, H2, Q, Q_p on the
        analysis scale; estimates ``smallest`` and ``largest``. Fewer than two studies: could not.

    Raises
    ------
    DataError
        If a column is missing, a choice is unknown or a variance is not positive.
    """
    usable, chosen = _usable(effects, study), Choices(**choices)
    if len(usable) < 2:
        return Result.could_not("Not left out one by one", "fewer than two studies")
    fits = [chosen.fit(usable.drop(index=row)) for row in usable.index]
    table = _rows(zip(usable[study].astype("str"), fits, strict=True), "left_out")
    whole = chosen.fit(usable)
    least, most = table.loc[table["value"].idxmin()], table.loc[table["value"].idxmax()]
    return Result(
        text=_leave_text(table, whole),
        estimates=(_extreme("smallest", least, whole), _extreme("largest", most, whole)),
        table=table,
        settings=chosen.settings(),
        cautions=tuple(_flips(table, whole, null)),
    )


def _extreme(key: str, row: pd.Series, whole: Fit) -> Estimate:
    return Estimate(
        key=key,
        value=row["value"],
        low=row["low"],
        high=row["high"],
        se=row["se"],
        level=whole.level,
        k=row["k"],
    )


def _leave_text(table: pd.DataFrame, whole: Fit) -> str:
    decimals = decimals_for(float(whole.low[0]), float(whole.high[0]))
    moves = (table["value"] - whole.b[0]).abs()
    furthest = f"it moves most without {table.loc[moves.idxmax(), 'left_out']}"
    if moves.max() <= 1e-9 * (whole.high[0] - whole.low[0]):
        furthest = "no study moves it"
    ends = (number(table["value"].min(), decimals), number(table["value"].max(), decimals))
    return (
        f"Leaving out one study at a time, the pooled effect lies between {ends[0]} and {ends[1]} "
        f"(all studies {number(whole.b[0], decimals)}); {furthest}."
    )


def _flips(table: pd.DataFrame, whole: Fit, null: float) -> list[Caution]:
    excluded = bool(whole.low[0] > null or whole.high[0] < null)
    flips = table[((table["low"] > null) | (table["high"] < null)) != excluded]
    if flips.empty:
        return []
    names = ", ".join(flips["left_out"].head(3))
    state = "no longer excludes" if excluded else "excludes"
    return [Caution("other", f"Without {names} the interval {state} no effect.")]


def cumulative(
    effects: pd.DataFrame, *, by: str = "", study: str = "study", **choices: Any
) -> Result:
    """Pool the studies as they accumulate.

    Parameters
    ----------
    effects
        One row per study with ``yi``, ``vi`` and its name.
    by
        Column that orders the studies, such as the year; the order of rows when empty.
    study, choices
        As for `leave_one_out`.

    Returns
    -------
    Result
        Table with up_to, k and the columns of `leave_one_out`, one row per added study; estimate
        ``last``. The sentence compares the first half of the studies with all.

    Raises
    ------
    DataError
        As `leave_one_out`.
    """
    usable, chosen = _usable(effects, study, by), Choices(**choices)
    if usable.empty:
        return Result.could_not("Not accumulated", "no study has a usable effect")
    ordered = usable.sort_values(by, kind="stable").reset_index(drop=True) if by else usable
    fits = [chosen.fit(ordered.iloc[: row + 1]) for row in range(len(ordered))]
    table = _rows(zip(ordered[study].astype("str"), fits, strict=True), "up_to")
    return Result(
        text=_course(fits),
        estimates=(_extreme("last", table.iloc[-1], fits[-1]),),
        table=table,
        settings=chosen.settings() | {"by": by},
    )


def _course(fits: list[Fit]) -> str:
    half, last = fits[(len(fits) - 1) // 2], fits[-1]
    decimals = decimals_for(float(last.low[0]), float(last.high[0]))
    if len(fits) == 1:
        return f"One study, effect {number(last.b[0], decimals)}: nothing has accumulated."
    return (
        f"From {half.k} to {last.k} studies the pooled effect went from "
        f"{number(half.b[0], decimals)} to {number(last.b[0], decimals)}."
    )


def best_predictions(effects: pd.DataFrame, *, study: str = "study", **choices: Any) -> Result:
    """Return each study's true effect as shrunken towards the pooled one (empirical Bayes).

    Best linear unbiased predictions with the variance of the pooled effect included
    (Raudenbush and Bryk 1985, Journal of Educational Statistics 10:75-98).

    Parameters
    ----------
    effects, study, choices
        As for `leave_one_out`; `test` is ``z`` unless given.

    Returns
    -------
    Result
        Table with study, value, se, low, high on the analysis scale.

    Raises
    ------
    DataError
        As `leave_one_out`.
    """
    usable, chosen = _usable(effects, study), Choices(**({"test": "z"} | choices))
    if usable.empty:
        return Result.could_not("Not shrunken", "no study has a usable effect")
    fitted = chosen.fit(usable)
    y, v = usable["yi"].to_numpy(float), usable["vi"].to_numpy(float)
    share = fitted.tau2 / (fitted.tau2 + v)
    value = share * y + (1 - share) * fitted.b[0]
    se = np.sqrt(share * v + (1 - share) ** 2 * fitted.se[0] ** 2)
    half = quantile(1 - (1 - chosen.level) / 2, fitted.df) * se
    table = pd.DataFrame(
        {
            "study": usable[study].astype("str"),
            "value": value,
            "se": se,
            "low": value - half,
            "high": value + half,
        }
    )
    decimals = decimals_for(float(fitted.low[0]), float(fitted.high[0]))
    return Result(
        text=f"With chance taken out, the true effects of the {fitted.k} studies lie between "
        f"{number(value.min(), decimals)} and {number(value.max(), decimals)}.",
        table=table,
        settings=chosen.settings(),
    )


def influence(effects: pd.DataFrame, *, study: str = "study", **choices: Any) -> Result:
    """Return what each study does to the pooled result, by deletion.

    Viechtbauer and Cheung 2010 (Research Synthesis Methods 1:112-125): externally standardised
    residual, DFFITS, Cook's distance, ratio of the variance, tau2 and Q without the study, hat
    value, DFBETAS and whether one of them passes its usual threshold; also Baujat's coordinates.

    Parameters
    ----------
    effects, study, choices
        As for `leave_one_out`; `test` is ``z`` unless given.

    Returns
    -------
    Result
        Table with study, rstudent, dffits, cook, cov_ratio, tau2_without, Q_without, hat, weight,
        dfbetas, rstandard, baujat_x, baujat_y, influential. Fewer than three studies: could not.

    Raises
    ------
    DataError
        As `leave_one_out`.
    """
    usable, chosen = _usable(effects, study), Choices(**({"test": "z"} | choices))
    if len(usable) < 3:
        return Result.could_not("Influence not computed", "fewer than three studies")
    whole = chosen.fit(usable)
    without = [chosen.fit(usable.drop(index=row)) for row in usable.index]
    table = influence_table(usable, whole, without)
    table.insert(0, "study", usable[study].astype("str"))
    names = table.loc[table["influential"], "study"].tolist()
    found = f"influential: {', '.join(names[:5])}" if names else "no study is influential"
    return Result(text=f"Of {whole.k} studies, {found}.", table=table, settings=chosen.settings())


def influence_table(usable: pd.DataFrame, whole: Fit, without: list[Fit]) -> pd.DataFrame:
    """Return the deletion diagnostics of all studies, in their order."""
    y, v = usable["yi"].to_numpy(float), usable["vi"].to_numpy(float)
    mu = _values(without, "b")
    spread = np.array([fitted.tau2 for fitted in without])
    error = _values(without, "se")
    hat = whole.weights / 100
    moved, own = whole.b[0] - mu, v + whole.tau2
    all_at_deleted = 1 / np.sum(1 / (v[None, :] + spread[:, None]), axis=1)
    table = pd.DataFrame(
        {
            "rstudent": (y - mu) / np.sqrt(v + spread + error**2),
            "dffits": moved / np.sqrt(hat * (spread + v)),
            "cook": (moved / whole.se[0]) ** 2,
            "cov_ratio": (error / whole.se[0]) ** 2,
            "tau2_without": spread,
            "Q_without": [fitted.q for fitted in without],
            "hat": hat,
            "weight": whole.weights,
            "dfbetas": moved / np.sqrt(all_at_deleted),
            "rstandard": (y - whole.b[0]) / np.sqrt(own * (1 - hat)),
            "baujat_x": (y - whole.b[0]) ** 2 / own,
            "baujat_y": (moved / error) ** 2,
        }
    )
    return table.assign(influential=_influential(table, len(y)))


def _values(fits: list[Fit], name: str) -> Array:
    return np.array([getattr(fitted, name)[0] for fitted in fits])


def _influential(table: pd.DataFrame, k: int) -> pd.Series:
    return (
        (table["dffits"].abs() > 3 * np.sqrt(1 / (k - 1)))
        | (special.chdtr(1, table["cook"]) > 0.5)
        | (table["hat"] > 3 / k)
        | (table["dfbetas"].abs() > 1)
    )
