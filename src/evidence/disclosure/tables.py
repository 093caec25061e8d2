"""Restricted tables made fit to be shown, before anything is computed from them.

What is computed from a controlled table alone (rates, limits, pictures, sentences, downloads) can
give away no more than the table does, so control comes first and analysis after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from evidence.disclosure.rules import Rule
from evidence.disclosure.system import Sum, System, protected, require_sums
from evidence.errors import DataError, require_columns

SUPPRESSED = "suppressed"
MOST_CELLS = 2500
TOTALS = ("all", "england", "london", "sum", "total")
"""Labels that totals mostly have."""


def control(
    table: pd.DataFrame,
    rule: Rule,
    *,
    by: Sequence[str],
    count: str = "count",
    total: str | None = None,
    shown: str = "",
    sums: Iterable[tuple[str, Sequence[str]]] = (),
) -> pd.DataFrame:
    """Return a table of counts as it may be shown: small counts left out, others rounded.

    Further cells are left out where a total less the rest, the margins of a two-way table, or
    areas that overlap would give a small count back.

    Parameters
    ----------
    table
        One row per cell: the labels of `by`, an exact count, and other text.
    rule
        How counts are shown.
    by
        One column of labels (a list) or two (a two-way table).
    count
        Column of counts; every cell must have one.
    total
        Label of totals in the columns of `by`, or None if there are none.
    shown
        Column of flags: False for a cell that is no row of what is shown but follows from it, such
        as an area that lies in one of two overlapping areas only. All are shown if not given.
    sums
        Further totals of a list: a label of `by` and the labels that it is the sum of.

    Returns
    -------
    DataFrame
        The rows to be shown with `count` (Int64, empty where left out) and `status` (``ok`` or
        ``suppressed``; why a cell was left out is not told).

    Raises
    ------
    DataError
        If columns are absent, cells repeat, a count is missing or no count, a total is not the sum
        of its parts, another column holds numbers (from which counts could be worked out), the
        table has more than two dimensions or 2,500 cells, or no choice of cells protects it.

    References
    ----------
    See `evidence.disclosure.system`.
    """
    rows = table.reset_index(drop=True)
    _check(rows, by, count, shown)
    _require_total(rows, by, total)
    found = tuple(_sums(rows, by, total, sums))
    if not found:
        _refuse_unnamed_total(rows, by[0], count)
    unseen = np.zeros(len(rows), dtype=bool) if not shown else ~rows[shown].to_numpy(dtype=bool)
    system = System(_exact(rows, count), found, unseen, rule)
    names = [" / ".join(map(str, key)) for key in rows[list(by)].itertuples(index=False)]
    require_sums(system, names)
    left_out = protected(system)
    if left_out is None:
        small = [names[place] for place in np.flatnonzero(system.small)]
        raise DataError(
            f"a restricted table must be shown so that no count of 1 to {rule.threshold} can be "
            f"worked out; no choice of cells to leave out protects {_listed(small)}. "
            "Join groups, or leave the total out."
        )
    figures = rule.released(system.counts)
    figures[left_out] = np.nan
    rows[count] = pd.array(figures, dtype="Float64").astype("Int64")
    rows["status"] = pd.Series(np.where(left_out, SUPPRESSED, "ok"), dtype="str")
    kept = rows[~unseen].drop(columns=[shown] if shown else [])
    return kept.reset_index(drop=True)


def control_parts(
    table: pd.DataFrame,
    rule: Rule,
    *,
    by: str = "area_code",
    numerator: str = "numerator",
    denominator: str = "denominator",
    total: str | None = None,
) -> pd.DataFrame:
    """Return counts of people with and without an outcome as they may be shown.

    The people without it follow from both counts, and are protected like those with it.

    Parameters
    ----------
    table
        One row per label with both counts, and other text, such as `data.indicator` returns; what
        its `rounding` columns say is said anew.
    rule, total
        As in `control`.
    by, numerator, denominator
        Columns.

    Returns
    -------
    DataFrame
        The rows with both columns as they may be shown (Int64), `status` (``suppressed`` where
        either is left out, so that no analysis gives a figure there) and `rounding` (by how much
        either may have been moved), as `variation.limits.funnel` reads them.

    Raises
    ------
    DataError
        As `control`, and if a numerator is over its denominator.
    """
    said_anew = [name for name in ("rounding", "denominator_rounding") if name in table.columns]
    rows = table.drop(columns=said_anew).reset_index(drop=True)
    _check(rows, [by], numerator, "", denominator)
    _require_total(rows, [by], total)
    if total is None:
        _refuse_unnamed_total(rows, by, denominator)
    x, n = _exact(rows, numerator), _exact(rows, denominator)
    if (x > n).any():
        over = rows.loc[x > n, by].astype("str").tolist()
        raise DataError(
            f"a numerator must not be over its denominator; it is in {_listed(over)}. "
            "Correct the table."
        )
    parts = pd.DataFrame(
        {
            "label": np.tile(rows[by].astype("str"), 3),
            "part": np.repeat([numerator, "the rest", denominator], len(rows)),
            "count": np.concatenate([x, n - x, n]),
            "shown": np.repeat([True, False, True], len(rows)),
        }
    )
    # Denominators are the totals of their parts: one label names the margins of both columns.
    margin = "\0all"
    parts["part"] = parts["part"].where(parts["part"] != denominator, margin)
    if total is not None:
        parts["label"] = parts["label"].where(parts["label"] != total, margin)
    found = control(parts, rule, by=["label", "part"], total=margin, shown="shown")
    halves = found["part"] == margin
    for column, half in ((numerator, found[~halves]), (denominator, found[halves])):
        rows[column] = half["count"].to_numpy()
        rows[column] = rows[column].astype("Int64")
    gone = rows[[numerator, denominator]].isna().any(axis=1)
    return rows.assign(
        status=pd.Series(np.where(gone, SUPPRESSED, "ok"), dtype="str"),
        rounding=rule.base / 2 if rule.base > 1 else 0.0,
    )


def _check(
    rows: pd.DataFrame, by: Sequence[str], count: str, shown: str, other_count: str = ""
) -> None:
    if not 1 <= len(by) <= 2:
        raise DataError(
            f"a restricted table must be a list or a two-way table; {len(by)} columns of labels "
            "came. Add up over the others, and show one table at a time."
        )
    known = [*by, count, *([shown] if shown else []), *([other_count] if other_count else [])]
    require_columns(rows, known, "disclosure control")
    if rows.duplicated(list(by)).any():
        raise DataError(
            f"a restricted table needs one row for each {' and '.join(by)}; some repeat. Add the "
            "rows up."
        )
    others = rows.drop(columns=known).select_dtypes(["number", "bool"]).columns.tolist()
    if others:
        raise DataError(
            "a restricted table may hold no numbers beside its counts, which could be worked out "
            f"from them; {_listed(others)} came too. Drop them, and compute them from what is "
            "shown."
        )
    if len(rows) > MOST_CELLS:
        raise DataError(
            f"a restricted table may have {MOST_CELLS:,} cells at most; {len(rows):,} came. "
            "Show fewer groups at a time."
        )


def _require_total(rows: pd.DataFrame, by: Sequence[str], total: str | None) -> None:
    """Refuse a total that is not there: a total by another label would give the rest back."""
    if total is None or any((rows[column].astype("str") == total).any() for column in by):
        return
    raise DataError(
        f"the label of totals must be in {' or '.join(map(repr, by))}; {total!r} is not. Correct "
        "it, or leave it out if the table has no total."
    )


def _refuse_unnamed_total(rows: pd.DataFrame, by: str, count: str) -> None:
    """Refuse a row that is called a total and is one, but was not named as such."""
    labels = rows[by].astype("str")
    for place in rows.index[labels.str.casefold().isin(TOTALS)]:
        if len(rows) > 1 and rows[count][place] == rows[count].drop(place).sum():
            raise DataError(
                "a total must be named, or the rest would give small counts back; "
                f"{labels[place]!r} is the sum of the other rows. Name it with "
                f"total={labels[place]!r}."
            )


def _exact(rows: pd.DataFrame, count: str) -> np.ndarray:
    values = pd.to_numeric(rows[count], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if np.isnan(values).any():
        raise DataError(
            f"disclosure control needs a count in every cell; rows "
            f"{np.flatnonzero(np.isnan(values))[:5].tolist()} of {count!r} have none. "
            "Give 0 where nobody was counted, and leave other rows out."
        )
    return values


def _sums(
    rows: pd.DataFrame,
    by: Sequence[str],
    total: str | None,
    further: Iterable[tuple[str, Sequence[str]]],
) -> Iterable[Sum]:
    if total is not None:
        for column in by:
            yield from _margins(rows, column, [name for name in by if name != column], total)
    places = {str(label): place for place, label in enumerate(rows[by[0]])}
    for label, labels in further:
        unknown = [name for name in (label, *labels) if name not in places or len(by) > 1]
        if unknown:
            raise DataError(
                f"a further sum must name rows of a list; {_listed(unknown)} came. Give each its "
                "row, and flag those that are not shown."
            )
        yield places[label], tuple(places[name] for name in labels)


def _margins(rows: pd.DataFrame, column: str, other: Sequence[str], total: str) -> Iterable[Sum]:
    """Yield the sums over one column: in each line of the other one, its total and its parts."""
    line = rows[list(other)].iloc[:, 0] if other else pd.Series("", index=rows.index)
    for _, group in rows.groupby(line, sort=False):
        is_total = group[column].astype("str") == total
        parts = tuple(group.index[~is_total])
        if is_total.any() and parts:
            yield int(group.index[is_total][0]), parts


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(str, names[:5]))
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
