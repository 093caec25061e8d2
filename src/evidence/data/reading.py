"""CSV files as text: read within limits and refused with the row where they go wrong."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from evidence.data.files import read_table, shown

_OTHER_FORMATS = {
    b"\x1f\x8b": ("it is compressed (gzip)", "Unpack it."),
    b"PK\x03\x04": ("it is compressed (zip, or a workbook)", "Unpack it, or save it as CSV."),
    b"PAR1": ("it is a Parquet file", "Save it as CSV."),
    b"version https://git-lfs": (
        "it is only the pointer of Git LFS",
        "Fetch the file: git lfs pull.",
    ),
    b"<!": ("it begins like a web page", "Download the file again."),
    b"<html": ("it begins like a web page", "Download the file again."),
}
"""How files begin that are no table, what they are, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong in a table, with every row that has it.

    Rows are counted as in the file: the header is row 1.
    """

    file: str
    must: str
    came: str
    do: str
    rows: tuple[int, ...] = ()
    column: str = ""

    def __str__(self) -> str:
        where = f"{self.file}{_rows_in_words(self.rows)}"
        where += f", column {self.column!r}" if self.column else ""
        return f"{where}: {self.must}; {self.came}. {self.do}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A CSV file as read: header, cells as text, the row of the file of each record."""

    file: str
    sha256: str
    header: tuple[str, ...]
    records: tuple[tuple[str, ...], ...]
    rows: tuple[int, ...]


def read_text_table(path: Path) -> TextTable | Problem:
    """Return the cells of a CSV file as text, or the problem for which it cannot be read.

    The file must be UTF-8 without byte order mark, comma separated, with a header of unique
    names and the same number of cells in every row.

    Raises
    ------
    DataError
        If the file is missing, too large, or has an absurdly long line.
    """
    content, sha256 = read_table(path)
    name = shown(path)
    text = _decoded(name, content)
    if isinstance(text, Problem):
        return text
    records, rows = [], []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    previous = 0
    try:
        for record in reader:
            records.append(tuple(record))
            rows.append(previous + 1)
            previous = reader.line_num
    except csv.Error as error:
        return Problem(
            file=name,
            rows=(previous + 1,),
            must="a row must be valid CSV",
            came=str(error),
            do="Close the quotes that begin in this row.",
        )
    broken = _broken_header(name, records[0]) or _ragged(name, records, rows)
    if broken:
        return broken
    return TextTable(
        file=name,
        sha256=sha256,
        header=records[0],
        records=tuple(records[1:]),
        rows=tuple(rows[1:]),
    )


def _rows_in_words(rows: tuple[int, ...]) -> str:
    if not rows:
        return ""
    if len(rows) == 1:
        return f", row {rows[0]}"
    listed = ", ".join(str(row) for row in rows[:4])
    return f", rows {listed}" + (f" and {len(rows) - 4} more" if len(rows) > 4 else "")


def _decoded(name: str, content: bytes) -> str | Problem:
    if not content.strip():
        return Problem(
            file=name,
            must="a table must have a header and rows",
            came="the file is empty",
            do="Restore the file.",
        )
    for start, (came, do) in _OTHER_FORMATS.items():
        if content.startswith(start):
            return Problem(file=name, rows=(1,), must="a table must be CSV", came=came, do=do)
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return Problem(
            file=name,
            rows=(1,),
            must="a table must be UTF-8 without a byte order mark",
            came="the file begins with one",
            do="Save it as plain UTF-8 (not 'CSV UTF-8' of a spreadsheet).",
        )
    if b"\x00" in content:
        row = content.count(b"\n", 0, content.index(b"\x00")) + 1
        return Problem(
            file=name,
            rows=(row,),
            must="a table must be text",
            came="there is a NUL byte",
            do="The file is damaged or not a CSV file; export it again.",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        return Problem(
            file=name,
            rows=(content.count(b"\n", 0, error.start) + 1,),
            must="a table must be UTF-8 text",
            came=f"byte {content[error.start : error.start + 1].hex()} is not",
            do="Save the file as UTF-8 (it may be Windows-1252).",
        )


def _broken_header(name: str, header: tuple[str, ...]) -> Problem | None:
    if not header:
        return Problem(
            file=name,
            rows=(1,),
            must="a table must begin with its header",
            came="the first line is blank",
            do="Begin the file with the names of the columns.",
        )
    for separator, word in ((";", "semicolon"), ("\t", "tab")):
        if len(header) == 1 and separator in header[0]:
            return Problem(
                file=name,
                rows=(1,),
                must="cells must be separated by commas",
                came=f"the header is separated by {word}s",
                do="Save the file with commas between cells and points in decimals.",
            )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        return Problem(
            file=name,
            rows=(1,),
            column=twice[0],
            must="column names must be unique",
            came=f"{', '.join(map(repr, twice))} comes more than once",
            do="Remove or rename one of them.",
        )
    return None


def _ragged(name: str, records: list[tuple[str, ...]], rows: list[int]) -> Problem | None:
    width = len(records[0])
    bad = [(row, len(r)) for row, r in zip(rows, records, strict=True) if len(r) != width]
    if not bad:
        return None
    return Problem(
        file=name,
        rows=tuple(row for row, _ in bad),
        must=f"a row must have {width} cells like the header",
        came=f"the first of these has {bad[0][1]}",
        do="Put text with commas in quotes; write decimals with a point; remove blank rows.",
    )
