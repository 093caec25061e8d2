"""The multiverse that a protocol states: its factors as specifications, and what each one moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError
from evidence.results import Direction, Estimate, Result
from evidence.synthesis.effects import one_per_study
from evidence.synthesis.many import FACTOR_COLUMNS, kept_rows, multiverse
from evidence.synthesis.pool import as_key, number

ESTIMATOR, TEST, CORRELATION = "estimator", "test", "within_study_correlation"

TESTS = {"wald": "z"}
"""Words of protocols for tests of `pool`."""

WORDS = {"tau2": "estimator of the variance between studies", "test": "test and its interval"}
"""What readers see in place of two factors of the multiverse."""

ALL = ""
"""In place of a column's name: every row."""


def protocol_multiverse(
    effects: pd.DataFrame,
    factors: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Mapping[str, str]],
    *,
    direction_better: Direction,
    measure: str,
    study: str = "study",
    level: float = 0.95,
) -> Result:
    """Pool under every combination of the choices that a protocol calls defensible.

    Rows are chosen before the effects of a study are averaged, so that a study keeps its rows that
    pass each choice.

    Parameters
    ----------
    effects
        One row per effect: ``yi``, ``vi``, the study and the columns named in `columns`.
    factors
        Mappings with factor, choices and reason. ``estimator``, ``test`` and
        ``within_study_correlation`` are understood; every other factor chooses rows.
    columns
        For each other factor: its choices, each with the column of true and false that says which
        rows it keeps, or `ALL`.
    direction_better, measure, study, level
        As for `pool`.

    Returns
    -------
    Result
        As `evidence.synthesis.many.multiverse`, factors by their names in the protocol.

    Raises
    ------
    DataError
        If a factor or choice of the protocol has no column stated, or a column is missing or not
        true or false in every row.
    """
    choices = {str(each["factor"]): [str(choice) for choice in each["choices"]] for each in factors}
    chosen = [name for name in choices if name not in (ESTIMATOR, TEST)]
    _check(effects, {name: choices[name] for name in chosen if name != CORRELATION}, columns)
    parts = list(_parts(effects, {name: choices[name] for name in chosen}, columns, study))
    reasons = {str(each["factor"]): str(each["reason"]) for each in factors}
    named = {"tau2" if name == ESTIMATOR else name: reason for name, reason in reasons.items()}
    return multiverse(
        {"as stated": pd.concat(parts, ignore_index=True)},
        direction_better=direction_better,
        reasons=named,
        subsets={
            name: {choice: _column(name, choice) for choice in choices[name]} for name in chosen
        },
        tau2=choices.get(ESTIMATOR, ["REML"]),
        test=[TESTS.get(test, test) for test in choices.get(TEST, ["hartung_knapp"])],
        measure=measure,
        level=level,
    )


def _column(factor: str, choice: str) -> str:
    return f"{factor}: {choice}"


def _check(
    effects: pd.DataFrame,
    choices: Mapping[str, Sequence[str]],
    columns: Mapping[str, Mapping[str, str]],
) -> None:
    for factor, names in choices.items():
        for choice in names:
            column = columns.get(factor, {}).get(choice)
            if column is None:
                raise DataError(
                    f"every choice of the protocol must have its rows; {factor!r}, {choice!r} has "
                    "none. Name a column, or ALL."
                )
            if column != ALL and column not in effects:
                raise DataError(
                    f"the rows of a choice must be a column of the effects; {factor!r}, "
                    f"{choice!r} names {column!r}, which is not there."
                )


def _parts(
    effects: pd.DataFrame,
    choices: Mapping[str, Sequence[str]],
    columns: Mapping[str, Mapping[str, str]],
    study: str,
) -> Iterator[pd.DataFrame]:
    """Yield the studies of each combination, marked with the choices that they belong to.

    Marks of all factors meet in one combination only, so that no study is counted twice.
    """
    for picks in product(*choices.values()):
        kept = np.ones(len(effects), bool)
        rho = 0.0
        for factor, choice in zip(choices, picks, strict=True):
            if factor == CORRELATION:
                rho = float(choice)
            elif columns[factor][choice] != ALL:
                kept &= kept_rows(effects, columns[factor][choice])
        if kept.any():
            rows = one_per_study(effects.loc[kept, [study, "yi", "vi"]], rho=rho, study=study)
            marks = {
                _column(factor, choice): choice == pick
                for (factor, all_of_it), pick in zip(choices.items(), picks, strict=True)
                for choice in all_of_it
            }
            yield rows.assign(**marks)


def moved_by(universe: Result) -> Result:
    """Return how much each factor of a multiverse moves the pooled effect and its conclusion.

    Parameters
    ----------
    universe
        What `evidence.synthesis.many.multiverse` returned.

    Returns
    -------
    Result
        Table with factor, choices, moves (mean range of the pooled effect between specifications
        that differ in this factor alone, analysis scale), flips (per cent of such pairs whose
        conclusion differs) and reason, the most influential first; estimate ``moves.FACTOR`` each.

    Raises
    ------
    DataError
        If the result is no multiverse.
    """
    if not universe.known or "excludes_null" not in universe.table:
        raise DataError(f"what moves a result needs a multiverse; got: {universe.text}")
    listed: dict[str, list[str]] = dict(universe.settings["factors"])
    factors = [name for name, choices in listed.items() if len(choices) > 1]
    rows = [
        {
            "factor": WORDS.get(name, name.replace("_", " ")),
            "choices": ", ".join(listed[name]),
            "moves": _moves(universe.table, name, factors),
            "flips": universe["flips." + as_key(name)].value,
            "reason": universe.settings["reasons"][name],
        }
        for name in factors
    ]
    if not rows:
        return Result.could_not("No choice compared", "no factor has several choices")
    table = pd.DataFrame(rows).sort_values(["flips", "moves"], ascending=False, ignore_index=True)
    return Result(
        text=_moved_text(table),
        estimates=tuple(
            Estimate(key="moves." + as_key(name), value=row["moves"])
            for name, row in zip(factors, rows, strict=True)
        ),
        table=table,
    )


def _moves(table: pd.DataFrame, factor: str, factors: Sequence[str]) -> float:
    others = [FACTOR_COLUMNS.get(name, name) for name in factors if name != factor]
    if not others:
        return float(np.ptp(table["value"]))
    spread = table.groupby(others)["value"].agg(["max", "min"])
    return float((spread["max"] - spread["min"]).mean())


def _moved_text(table: pd.DataFrame) -> str:
    most = table.iloc[0]
    words = f"The most influential choice is {most['factor']}: alone it moves the pooled effect by "
    words += f"{number(most['moves'], 2)} on average and "
    if most["flips"] == 0:
        return f"{words}never changes the conclusion; nor does any other choice alone."
    return f"{words}changes the conclusion in {most['flips']:.0f} % of comparisons."
