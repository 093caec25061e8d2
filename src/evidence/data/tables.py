"""Tables of data/raw: loaded with their types, checked against dataset.yml, joined on areas."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import pandas as pd

from evidence.data import catalogue, practice
from evidence.data.definitions import Dataset, Table
from evidence.data.documents import nearest
from evidence.data.files import listing, remembered, root
from evidence.data.reading import Problem, TextTable, read_text_table
from evidence.data.schema import find_problems, typed
from evidence.errors import DataError, EvidenceError

PRACTICE = {
    "data/raw/practice/*.yml": practice.cases,
    "data/definitions/interventions.yml": practice.interventions,
    "data/definitions/gain.yml": practice.targets,
}
"""Definitions of practice and gain: a workbook may do without them."""


def load(id: str, table: str | None = None) -> pd.DataFrame:
    """Return a table of a dataset, checked and with typed columns.

    Text is ``str`` (empty cells are missing), integer ``int64`` (``Int64`` where dataset.yml
    allows empty cells), number ``float64``, flag ``bool``.

    Parameters
    ----------
    id
        Dataset, such as ``qof`` or ``reviews/psychotherapy_depression_uk``.
    table
        Name of the table; may be left out where the dataset has one only.

    Raises
    ------
    CatalogueError
        If the dataset or table is unknown or dataset.yml is wrong.
    DataError
        If the file does not hold what dataset.yml states: file, row and column are named.
    """
    return remembered(("table", id, table), lambda: _loaded(id, table)).copy(deep=False)


def _loaded(id: str, table: str | None) -> pd.DataFrame:
    dataset = catalogue.dataset(id)
    spec = dataset.table(table)
    text, problems = _problems_of(dataset, spec)
    if text is None or problems:
        more = len(problems) - 1
        also = f" ({more} more problem{'s' * (more > 1)} in this table.)" if more else ""
        raise DataError(f"{problems[0]}{also}")
    return typed(text, spec, dataset)


def check(id: str | None = None) -> list[str]:
    """Return every problem of a dataset in words; of the whole catalogue if none is named.

    A definition that cannot be read is a problem, too, so that one broken file does not hide
    the others.

    Raises
    ------
    CatalogueError
        If the named dataset is unknown.
    """
    if id is not None:
        if id not in catalogue.datasets():
            catalogue.dataset(id)
        return _dataset_problems(id)
    found = [problem for each in catalogue.datasets() for problem in _dataset_problems(each)]
    found += _files_without_dataset()
    found += _refused(catalogue.areas) + _refused(catalogue.frameworks)
    for indicator in catalogue.indicators():
        found += _refused(partial(catalogue.definition, indicator))
    for pattern, stated in PRACTICE.items():
        if listing(pattern):
            found += _refused(stated)
    return found


def join(
    left: pd.DataFrame,
    right: pd.DataFrame,
    on: str | Sequence[str],
    allow_missing: Collection[str] = (),
) -> pd.DataFrame:
    """Return the rows of `left` with the columns of `right`, matched on areas.

    Every key of either side must be on the other one: an area that is silently dropped is how
    wrong totals come about.
    Keys of `right` must be unique, so rows of `left` are kept in number and order.

    Parameters
    ----------
    left, right
        Tables with the columns named in `on`; no other column may be in both.
    on
        Column of area codes, or several columns of which the first holds the area codes.
    allow_missing
        Area codes that may be on one side only; rows of `left` keep missing values, rows of
        `right` are left out.

    Raises
    ------
    DataError
        If areas are unmatched (they are named), keys of `right` repeat, or columns clash.
    """
    keys = [on] if isinstance(on, str) else list(on)
    _refuse_unfit(left, right, keys)
    for these, those, name in ((left, right, "right"), (right, left, "left")):
        _refuse_unmatched(these[keys], those[keys], name, set(allow_missing))
    return left.merge(right, on=keys, how="left", validate="m:1")


def without(table: pd.DataFrame, column: str, names: Collection[str | int]) -> pd.DataFrame:
    """Return the rows whose `column` holds none of `names`.

    Raises
    ------
    DataError
        If a name does not stand in the column, with the nearest one: a study that is misspelt
        would stay in without a word.
    """
    _refuse_absent(table, column, names, "left out")
    return table[~table[column].isin(names)]


def only(table: pd.DataFrame, column: str, names: Collection[str | int]) -> pd.DataFrame:
    """Return the rows whose `column` holds one of `names`.

    Raises
    ------
    DataError
        If a name does not stand in the column, with the nearest one.
    """
    _refuse_absent(table, column, names, "asked for")
    return table[table[column].isin(names)]


def _refuse_absent(
    table: pd.DataFrame, column: str, names: Collection[str | int], done: str
) -> None:
    known = set(table[column])
    for name in names:
        if name not in known:
            raise DataError(
                f"what is {done} must stand in column {column!r}; {name!r} does not. "
                f"{nearest(str(name), map(str, known))}"
            )


def _path(id: str, spec: Table) -> Path:
    return root() / "data" / "raw" / id / spec.file


def _problems_of(dataset: Dataset, spec: Table) -> tuple[TextTable | None, list[Problem]]:
    text = read_text_table(_path(dataset.id, spec))
    if isinstance(text, Problem):
        return None, [text]
    problems = find_problems(text, spec, dataset, _other_tables(dataset))
    if dataset.disclosure == "restricted":
        problems = [_without_cells(problem) for problem in problems]
    return text, problems


def _without_cells(problem: Problem) -> Problem:
    """Return a problem without what its cells hold: a page that fails shows its error."""
    if not problem.rows:
        return problem
    return replace(problem, came="what came is not told, for the data are restricted")


def _other_tables(dataset: Dataset) -> Callable[[str], pd.DataFrame]:
    def cells(name: str) -> pd.DataFrame:
        text = read_text_table(_path(dataset.id, dataset.table(name)))
        if isinstance(text, Problem):
            raise DataError(str(text))
        return pd.DataFrame(list(text.records), columns=list(text.header), dtype="str")

    return cells


def _dataset_problems(id: str) -> list[str]:
    try:
        dataset = catalogue.dataset(id)
    except EvidenceError as error:
        return [str(error)]
    found = _stray_files(dataset)
    for spec in dataset.tables:
        try:
            found += [str(problem) for problem in _problems_of(dataset, spec)[1]]
        except EvidenceError as error:
            found.append(str(error))
    return found


def _stray_files(dataset: Dataset) -> list[str]:
    beside = {"dataset.yml", "protocol.yml", *(spec.file for spec in dataset.tables)}
    return [
        f"{path}: every table must be stated in dataset.yml; this one is not. "
        "Describe it under tables or remove it."
        for path in _files_in(f"data/raw/{dataset.id}/*")
        if path.rsplit("/", 1)[1] not in beside
    ]


def _files_without_dataset() -> list[str]:
    stated = {f"data/raw/{id}" for id in catalogue.datasets()}
    return [
        f"{path}: every file of data/raw must lie beside a dataset.yml, which says whose it is and "
        "whether it may be shown; this one does not. Describe it or remove it."
        for path in _files_in("data/raw/**/*")
        if path.rsplit("/", 1)[0] not in stated and not fnmatch(path, "data/raw/practice/*.yml")
    ]


def _files_in(pattern: str) -> list[str]:
    """Return the files that match, but not those that a system hides beside its own."""
    found = [path for path in listing(pattern) if (root() / path).is_file()]
    return [path for path in found if not path.rsplit("/", 1)[1].startswith(".")]


def _refused(read: Callable[[], object]) -> list[str]:
    try:
        read()
    except EvidenceError as error:
        return [str(error)]
    return []


def _refuse_unfit(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> None:
    for frame, side in ((left, "left"), (right, "right")):
        absent = [key for key in keys if key not in frame.columns]
        if absent:
            raise DataError(
                f"both tables of a join must have {', '.join(keys)}; the {side} one lacks "
                f"{', '.join(absent)}. Rename its column first."
            )
    clash = sorted((set(left.columns) & set(right.columns)) - set(keys))
    if clash:
        raise DataError(
            f"tables of a join must share no column but {', '.join(keys)}; both have "
            f"{', '.join(clash)}. Rename or drop it in one of them."
        )
    again = right[right.duplicated(keys)]
    if len(again):
        raise DataError(
            f"the right table of a join must have each {', '.join(keys)} once; "
            f"{_named(again[keys])} come more than once. Choose one row for each first."
        )


def _refuse_unmatched(
    these: pd.DataFrame, those: pd.DataFrame, side: str, allowed: set[str]
) -> None:
    known = set(those.itertuples(index=False, name=None))
    unmatched = [
        key
        for key in dict.fromkeys(these.itertuples(index=False, name=None))
        if key not in known and key[0] not in allowed
    ]
    if unmatched:
        rows = pd.DataFrame(unmatched)
        raise DataError(
            f"every area of a join must be in both tables; the {side} one lacks {_named(rows)}. "
            "Correct the codes, or name in allow_missing those that may be missing."
        )


def _named(keys: pd.DataFrame) -> str:
    names = [" ".join(map(str, row)) for row in keys.drop_duplicates().itertuples(index=False)]
    listed = ", ".join(names[:8])
    return listed + (f" and {len(names) - 8} more" if len(names) > 8 else "")
