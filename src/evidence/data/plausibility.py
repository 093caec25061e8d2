"""Doubts about figures that no rule forbids: notices to a person, never errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evidence.data import catalogue
from evidence.data.definitions import Table
from evidence.data.tables import load
from evidence.errors import CatalogueError


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A doubt about rows of a table: their keys, the columns, and the reason in words.

    `kind` is the name of the check in dataset.yml, such as ``standard_error_for_sd``.
    """

    table: str
    kind: str
    rows: tuple[Any, ...]
    columns: tuple[str, ...]
    text: str


def notices(id: str, among: Collection[Any] | None = None) -> list[Notice]:
    """Return the doubts that the plausibility checks of a dataset raise.

    The checks and their settings stand in dataset.yml under ``plausibility``.
    ``standard_error_for_sd``: in both arms the SD after treatment is below half of the SD at
    baseline and of the instrument's median SD in the table (taken over at least six arms), and
    becomes ordinary (half to double the SD at baseline, else of the instrument) when multiplied
    by the square root of n, as a standard error would.

    Parameters
    ----------
    id
        Dataset.
    among
        Keys of the rows that an analysis uses: doubts about other rows are left out.

    Raises
    ------
    CatalogueError, DataError
        If the dataset is unknown, wrong, or asks for an unknown check.
    """
    found = []
    for spec in catalogue.dataset(id).tables:
        for stated in spec.plausibility:
            ((name, setting),) = stated.items()
            if name not in _CHECKS:
                raise CatalogueError(
                    f"a plausibility check of {id} must be one of {', '.join(_CHECKS)}; got "
                    f"{name!r}. Correct dataset.yml."
                )
            _require_columns(id, spec, setting)
            found += _CHECKS[name](id, spec, setting)
    used = None if among is None else set(among)
    return [note for note in found if used is None or used & set(note.rows)]


def _require_columns(id: str, spec: Table, setting: Mapping[str, Any]) -> None:
    stated = [setting.get(name) for name in ("sd", "n", "baseline_sd")]
    arms = [names if isinstance(names, list) else [] for names in stated]
    named = {*arms[0], *arms[1], *arms[2], setting.get("instrument")}
    same_arms = 0 < len(arms[0]) == len(arms[1]) == len(arms[2])
    if not same_arms or not named <= {column.name for column in spec.columns}:
        raise CatalogueError(
            f"data/raw/{id}/dataset.yml: standard_error_for_sd must name columns of {spec.file}: "
            f"one of sd, n and baseline_sd for each arm, and instrument; got {setting}. Correct it."
        )


def _standard_errors(id: str, spec: Table, setting: Mapping[str, Any]) -> list[Notice]:
    table = load(id, spec.name)
    usual = _usual_sd(table, setting["sd"], setting["instrument"])
    suspicious = pd.Series(True, index=table.index)
    arms = zip(setting["sd"], setting["n"], setting["baseline_sd"], strict=True)
    for sd, n, baseline in arms:
        suspicious &= _like_a_standard_error(table[sd], table[n], table[baseline], usual)
    columns = (*setting["sd"], *setting["n"])
    return [
        Notice(
            table=spec.name,
            kind="standard_error_for_sd",
            rows=tuple(row[name] for name in spec.key),
            columns=columns,
            text=_in_words(row, setting),
        )
        for _, row in table[suspicious].iterrows()
    ]


def _usual_sd(table: pd.DataFrame, columns: list[str], instrument: str) -> pd.Series:
    long = table.melt([instrument], columns, value_name="sd").dropna(subset="sd")
    by_instrument = long.groupby(instrument).sd.agg(["median", "count"])
    median = by_instrument["median"].where(by_instrument["count"] >= 6)
    return table[instrument].map(median)


def _like_a_standard_error(
    sd: pd.Series, n: pd.Series, baseline: pd.Series, usual: pd.Series
) -> pd.Series:
    reference = baseline.fillna(usual)
    far_too_small = ~(sd >= 0.5 * baseline) & ~(sd >= 0.5 * usual) & reference.notna()
    as_sd = sd * np.sqrt(n.astype("float64"))
    return far_too_small & (as_sd >= 0.5 * reference) & (as_sd <= 2 * reference)


def _in_words(row: pd.Series, setting: Mapping[str, Any]) -> str:
    sds = " and ".join(f"{row[name]:g}" for name in setting["sd"])
    baselines = " and ".join(f"{row[name]:g}" for name in setting["baseline_sd"])
    as_sds = " and ".join(
        f"{row[sd] * row[n] ** 0.5:.1f}" for sd, n in zip(setting["sd"], setting["n"], strict=True)
    )
    who = row["study"] if "study" in row.index else "This row"
    return (
        f"{who} ({row[setting['instrument']]}): the SDs {sds} are very probably standard errors. "
        f"SDs at baseline are {baselines}; multiplied by the root of n the figures are {as_sds}. "
        "Check the paper before use."
    )


_CHECKS = {"standard_error_for_sd": _standard_errors}
