"""A table against what its dataset.yml states: every problem found, then typed columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evidence.data.catalogue import areas
from evidence.data.definitions import Column, Dataset, Table
from evidence.data.documents import UNSEEN, nearest
from evidence.data.reading import Problem, TextTable

_PATTERNS = {
    "integer": r"-?[0-9]{1,18}",
    "number": r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?",
    "flag": "true|false",
}
_WORDS = {
    "integer": "a whole number of at most 18 digits",
    "number": "a finite number with a decimal point",
    "flag": "true or false",
}
_LONGEST_NUMBER = 40
_LONGEST_SHOWN = 60
_TWICE_ENCODED = "â€|[ÂÃ][\u0080-\u00bf]"
_FORMULA = r"(?s)[=+@].*|-.*[A-Za-z(].*"
_USUAL_CODES = ("*", "NULL", "c", ":", "-", "..", "n/a")


class Sheet:
    """The cells of a table as text columns, with the means to say what is wrong where."""

    def __init__(self, table: TextTable, spec: Table, dataset: Dataset) -> None:
        self.file, self.spec, self.dataset = table.file, spec, dataset
        self.header, self.sha256 = table.header, table.sha256
        columns = zip(*table.records, strict=True) if table.records else [[] for _ in table.header]
        self.cells = {
            name: pd.Series(list(cells), dtype="str")
            for name, cells in zip(table.header, columns, strict=True)
        }
        self.rows = np.array(table.rows, dtype="int64")
        self._numbers: dict[str, pd.Series] = {}
        self._settle_codes()

    def problem(
        self,
        must: str,
        came: str,
        do: str,
        *,
        where: pd.Series | None = None,
        column: str = "",
    ) -> Problem:
        """Return a problem of the rows where a truth column holds."""
        rows = () if where is None else tuple(self.rows[where.to_numpy()].tolist())
        return Problem(file=self.file, rows=rows, column=column, must=must, came=came, do=do)

    def wrong_cells(
        self, column: Column, wrong: pd.Series, must: str, do: str | Callable[[str], str]
    ) -> list[Problem]:
        """Return the problem of a column's cells where a truth column holds, none if nowhere.

        Parameters
        ----------
        column, wrong, must
            Which cells must be what.
        do
            What to do, or what it follows from: the first of the cells.
        """
        if not wrong.any():
            return []
        first = self.cells[column.name][wrong].iloc[0][:_LONGEST_SHOWN]
        todo = do if isinstance(do, str) else do(first)
        return [self.problem(must, f"got {first!r}", todo, where=wrong, column=column.name)]

    def numbers(self, name: str) -> pd.Series:
        """Return a column as floats; cells that are not numbers are missing."""
        if name not in self._numbers:
            cells = self.cells[name]
            short = cells.where(cells.str.len() <= _LONGEST_NUMBER, "")
            numbers = pd.to_numeric(short, errors="coerce").astype("float64")
            self._numbers[name] = numbers
        return self._numbers[name]

    def _settle_codes(self) -> None:
        """Move suppression codes from their cells into the status column that is named for them."""
        for column in self.spec.columns:
            if not column.status_in or column.name not in self.cells:
                continue
            cells = self.cells[column.name]
            status = cells.map(self.dataset.suppression)
            self.cells[column.name] = cells.where(status.isna(), "")
            self.cells.setdefault(column.status_in, status.fillna("ok").astype("str"))


def find_problems(table: TextTable, spec: Table, dataset: Dataset, others: Any) -> list[Problem]:
    """Return every problem of a table.

    Parameters
    ----------
    table, spec, dataset
        The cells, and what is stated about them.
    others
        Function from a table's name to the text cells of another table of the dataset.
    """
    sheet = Sheet(table, spec, dataset)
    wrong = list(_header_problems(sheet))
    if not wrong and not table.records:
        wrong = [
            sheet.problem("a table must have rows", "it has only a header", "Restore the rows.")
        ]
    if wrong:
        return wrong
    for column in spec.columns:
        wrong += _column_problems(sheet, column, others)
    wrong += _key_problems(sheet)
    if not wrong:
        for rule in spec.rules:
            wrong += _rule_problems(sheet, rule)
    return wrong + list(_identity_problems(sheet, table))


def typed(table: TextTable, spec: Table, dataset: Dataset) -> pd.DataFrame:
    """Return the columns of a sound table with their types."""
    sheet = Sheet(table, spec, dataset)
    columns = {column.name: _typed(sheet.cells[column.name], column) for column in spec.columns}
    for column in spec.columns:
        if column.status_in:
            columns.setdefault(column.status_in, sheet.cells[column.status_in])
    return pd.DataFrame(columns)


def _typed(cells: pd.Series, column: Column) -> pd.Series:
    if column.type == "flag":
        return cells == "true"
    filled = cells.mask(cells == "")
    if column.type == "text":
        return filled.astype("str")
    numbers = pd.to_numeric(filled)
    if column.type == "number":
        return numbers.astype("float64")
    return numbers.astype("Int64" if column.empty or column.status_in else "int64")


def _header_problems(sheet: Sheet) -> Iterator[Problem]:
    stated = [column.name for column in sheet.spec.columns]
    made = {column.status_in for column in sheet.spec.columns if column.status_in}
    for name in stated:
        if name not in sheet.cells:
            yield sheet.problem(
                "the table must have this column",
                f"the header has {', '.join(sheet.header)}",
                f"Add the column or correct its name. {nearest(name, sheet.header)}",
                column=name,
            )
    for name in sheet.header:
        if name not in stated and name not in made:
            yield sheet.problem(
                "every column must be stated in dataset.yml",
                "this one is not",
                f"Remove the column or describe it. {nearest(name, stated)}",
                column=name,
            )


def _column_problems(sheet: Sheet, column: Column, others: Any) -> list[Problem]:
    cells = sheet.cells[column.name]
    empty = cells == ""
    unexplained = empty & (sheet.cells[column.status_in] == "ok") if column.status_in else empty
    found = []
    if not column.empty and unexplained.any():
        found.append(
            sheet.problem(
                "a cell must not be empty",
                f"{int(unexplained.sum())} of the table's are",
                "Fill it, or state empty: true if a missing value has a reason.",
                where=unexplained,
                column=column.name,
            )
        )
    if column.type in _PATTERNS:
        found += _type_problems(sheet, column, cells, empty)
    else:
        found += _text_problems(sheet, column, cells)
    return found + _value_problems(sheet, column, cells, empty, others)


def _type_problems(
    sheet: Sheet, column: Column, cells: pd.Series, empty: pd.Series
) -> list[Problem]:
    right = cells.str.fullmatch(_PATTERNS[column.type]) & (cells.str.len() <= _LONGEST_NUMBER)
    wrong = ~empty & ~right.astype("bool")
    must = f"a cell must be {_WORDS[column.type]}"
    return sheet.wrong_cells(column, wrong, must, lambda first: _what_to_do(first, sheet.dataset))


def _text_problems(sheet: Sheet, column: Column, cells: pd.Series) -> list[Problem]:
    """Return what a reader would not see, and what a spreadsheet would compute on opening."""
    texts = pd.Series(cells.unique(), dtype="str")
    checks = (
        (texts != texts.str.strip(), "begin or end with a space", "Remove the space."),
        (
            texts.str.contains(f"{UNSEEN.pattern}|{_TWICE_ENCODED}"),
            "hold characters that nobody sees or that stand for damage",
            "Export the table again as UTF-8, or remove them.",
        ),
        (
            texts.str.fullmatch(_FORMULA),
            "begin like a formula, which spreadsheets run",
            "Write it as text that begins otherwise.",
        ),
    )
    return [
        problem
        for wrong, what, do in checks
        if wrong.any()
        for problem in sheet.wrong_cells(
            column, cells.isin(texts[wrong]), f"a text must not {what}", do
        )
    ]


def _what_to_do(cell: str, dataset: Dataset) -> str:
    if cell in _USUAL_CODES or cell in dataset.suppression or cell.startswith(("<", ">")):
        return (
            "If it is a suppression code, map it under suppression and give the column "
            "status_in: status; it is never 0."
        )
    if cell.replace(",", "", 1).replace("-", "", 1).isdigit():
        return "Write decimals with a point and no thousands separator."
    if cell.strip().lower() in ("nan", "inf", "-inf", "infinity", "none", "na"):
        return "Leave the cell empty and give the reason in a status column."
    return "Correct the cell."


def _value_problems(
    sheet: Sheet, column: Column, cells: pd.Series, empty: pd.Series, others: Any
) -> list[Problem]:
    found = []
    if column.type in ("integer", "number"):
        found += _range_problems(sheet, column)
    if column.allowed:
        found += _foreign(sheet, column, set(column.allowed), "one of the allowed values", empty)
    if "areas" in column.of:
        kinds = f"the code of a {' or '.join(column.of['areas'])} of data/definitions/areas.yml"
        found += _foreign(sheet, column, _area_codes(column.of), kinds, empty)
    if "table" in column.of:
        codes = set(others(column.of["table"])[column.of["column"]])
        what = f"a {column.of['column']} of {column.of['table']}.csv"
        found += _foreign(sheet, column, codes | set(column.of.get("also", ())), what, empty)
    return found


def _range_problems(sheet: Sheet, column: Column) -> list[Problem]:
    values = sheet.numbers(column.name)
    checks = [(np.isinf(values), "finite")]
    if column.minimum is not None:
        checks.append((values < column.minimum, f"at least {column.minimum:g}"))
    if column.maximum is not None:
        checks.append((values > column.maximum, f"at most {column.maximum:g}"))
    return [
        problem
        for wrong, bound in checks
        for problem in sheet.wrong_cells(
            column, wrong, f"a number must be {bound}", "Correct the cell."
        )
    ]


def _foreign(
    sheet: Sheet, column: Column, known: set[str], what: str, empty: pd.Series
) -> list[Problem]:
    wrong = ~empty & ~sheet.cells[column.name].isin(known)
    must = f"a cell must be {what}"
    return sheet.wrong_cells(column, wrong, must, lambda first: nearest(first, known))


def _area_codes(of: Mapping[str, Any]) -> set[str]:
    by = of.get("by", "code")
    chosen = [area for area in areas() if area.kind in of["areas"]]
    codes = {area.code for area in chosen} if by in ("code", "either") else set()
    return codes | ({area.ons_code for area in chosen} if by in ("ons_code", "either") else set())


def _key_problems(sheet: Sheet) -> list[Problem]:
    key = pd.DataFrame({name: sheet.cells[name] for name in sheet.spec.key})
    again = key.duplicated(keep="first")
    if not again.any():
        return []
    first = key[again].iloc[0]
    earlier = sheet.rows[(key == first).all(axis=1).to_numpy()][0]
    return [
        sheet.problem(
            f"each row must have a {', '.join(sheet.spec.key)} of its own",
            f"{', '.join(first)} stands already in row {earlier}",
            "Remove one of the two rows.",
            where=again,
        )
    ]


def _rule_problems(sheet: Sheet, rule: Mapping[str, Any]) -> list[Problem]:
    (name, setting), *_ = rule.items()
    return _RULES[name](sheet, setting)


def _numerator_over_denominator(sheet: Sheet, setting: Sequence[str]) -> list[Problem]:
    numerator, denominator = setting
    wrong = sheet.numbers(numerator) > sheet.numbers(denominator)
    if not wrong.any():
        return []
    values = [sheet.cells[name][wrong].iloc[0] for name in setting]
    return [
        sheet.problem(
            f"{numerator} must not exceed {denominator}",
            f"got {values[0]} and {values[1]}",
            "Correct one of the two.",
            where=wrong,
            column=numerator,
        )
    ]


def _value_without_ok(sheet: Sheet, setting: Sequence[str]) -> list[Problem]:
    value, status = setting
    wrong = (sheet.cells[value] != "") != (sheet.cells[status] == "ok")
    if not wrong.any():
        return []
    got = (sheet.cells[value][wrong].iloc[0], sheet.cells[status][wrong].iloc[0])
    return [
        sheet.problem(
            f"{value} must be given exactly where {status} is ok",
            f"got {got[0]!r} with status {got[1]!r}",
            "Empty the cell or correct its status.",
            where=wrong,
            column=value,
        )
    ]


def _part_over_whole(sheet: Sheet, setting: Mapping[str, Any]) -> list[Problem]:
    keys = [name for name in sheet.spec.key if name != "measure"]
    frame = pd.DataFrame({name: sheet.cells[name] for name in [*keys, "measure"]})
    frame = frame.assign(number=sheet.numbers("value"))
    part = frame[frame.measure == setting["part"]]
    whole = frame[frame.measure == setting["whole"]]
    both = part.reset_index().merge(whole, on=keys, suffixes=("", "_whole"))
    over = both[both.number > both.number_whole + setting.get("slack", 0)]
    if over.empty:
        return []
    wrong = pd.Series(False, index=frame.index)
    wrong[over["index"]] = True
    first = over.iloc[0]
    return [
        sheet.problem(
            f"{setting['part']} must not exceed {setting['whole']}",
            f"got {first.number:g} and {first.number_whole:g} for "
            + ", ".join(str(first[key]) for key in keys),
            "Correct one of the two.",
            where=wrong,
            column="value",
        )
    ]


_RULES: dict[str, Callable[[Sheet, Any], list[Problem]]] = {
    "numerator_not_over_denominator": _numerator_over_denominator,
    "value_only_if_ok": _value_without_ok,
    "part_not_over_whole": _part_over_whole,
}


def _identity_problems(sheet: Sheet, table: TextTable) -> Iterator[Problem]:
    if len(table.records) != sheet.spec.rows:
        yield sheet.problem(
            f"the table must have the {sheet.spec.rows} rows stated in dataset.yml",
            f"it has {len(table.records)}",
            "Restore the file, or state the new number if the change is meant.",
        )
    if table.sha256 != sheet.spec.sha256:
        yield sheet.problem(
            "the file must have the sha256 stated in dataset.yml",
            f"it has {table.sha256}",
            "Restore the file, or state the new sha256 if the change is meant.",
        )
