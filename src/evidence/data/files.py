"""Files of the workbook: where they are, how they are read, and a note of each that was read.

The notes, and what was made of files that have not changed since (`remembered`), are the only
module state of the package.
A run empties the notes at its start (`forget`) and stores them at its end (`noted`), so that it
is known which files its numbers came from, and `current_hash` tells later whether one has changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from evidence.errors import CatalogueError, DataError, EvidenceError

LARGEST_TABLE = 50_000_000
LARGEST_DEFINITION = 1_000_000
LONGEST_LINE = 100_000
_LISTING = "listing:"

MOST_REMEMBERED = 256

Made = TypeVar("Made")

_notes: dict[str, str] = {}
_reading: ContextVar[tuple[dict[str, str], ...]] = ContextVar("reading", default=())
_made: dict[Hashable, tuple[dict[str, str], object]] = {}


def root() -> Path:
    """Return the folder of the workbook.

    It is the folder named by the environment variable EVIDENCE_ROOT, else the nearest parent of
    the current folder that holds book/report.yml.

    Raises
    ------
    CatalogueError
        If there is no such folder.
    """
    named = os.environ.get("EVIDENCE_ROOT")
    if named:
        folder = Path(named).expanduser().resolve()
        if not folder.is_dir():
            raise CatalogueError(
                f"EVIDENCE_ROOT must name the workbook's folder; {named!r} is not a folder. "
                "Correct it or unset it."
            )
        return folder
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "book" / "report.yml").is_file():
            return folder
    raise CatalogueError(
        f"the workbook is a folder with book/report.yml; none found in {here} or above it. "
        "Go into the workbook or set EVIDENCE_ROOT."
    )


def noted() -> dict[str, str]:
    """Return what has been read since `forget`: relative path or listing -> sha256."""
    return dict(sorted(_notes.items()))


def forget() -> None:
    """Empty the notes of what has been read."""
    _notes.clear()


def remembered(key: Hashable, make: Callable[[], Made]) -> Made:
    """Return what `make` returns, made anew only if a file that it read has changed.

    What it read is noted each time, so that a run states the same files whether or not an earlier
    call has read them.

    Parameters
    ----------
    key
        What is made, such as the name of a table; the root of the workbook is added to it.
    make
        Reads files of the workbook, and nothing else that can change.
    """
    key = (root(), key)
    reads, found = _made.get(key, ({}, None))
    if reads and all(current_hash(name) == sha256 for name, sha256 in reads.items()):
        for name, sha256 in reads.items():
            _note(name, sha256)
        return found  # type: ignore[return-value]
    reads = {}
    outer = _reading.set((*_reading.get(), reads))
    try:
        found = make()
    finally:
        _reading.reset(outer)
    if len(_made) >= MOST_REMEMBERED:
        _made.clear()
    _made[key] = (reads, found)
    return found


def _note(name: str, sha256: str) -> None:
    for notes in (_notes, *_reading.get()):
        notes[name] = sha256


def current_hash(key: str) -> str | None:
    """Return the hash that a key of `noted` has now, or None if its file is gone.

    Parameters
    ----------
    key
        A path relative to the root with forward slashes, or ``listing:<glob>``.
    """
    if key.startswith(_LISTING):
        return _hash_of_names(_names(key.removeprefix(_LISTING)))
    path = root() / key
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def listing(pattern: str) -> list[str]:
    """Return the paths under the root that match a glob, sorted, and note the listing."""
    names = _names(pattern)
    _note(_LISTING + pattern, _hash_of_names(names))
    return names


def shown(path: Path) -> str:
    """Return a path as messages show it: relative to the root where it lies in it."""
    try:
        return path.relative_to(root()).as_posix()
    except (ValueError, CatalogueError):
        return str(path)


def read_definition(path: Path) -> bytes:
    """Return the bytes of a YAML file and note it; CatalogueError if it cannot be read."""
    return _read(path, LARGEST_DEFINITION, CatalogueError)


def read_table(path: Path) -> tuple[bytes, str]:
    """Return the bytes of a table and their sha256, and note it; DataError if it cannot be read."""
    content = _read(path, LARGEST_TABLE, DataError)
    _refuse_long_lines(path, content)
    return content, hashlib.sha256(content).hexdigest()


def _read(path: Path, limit: int, error: type[EvidenceError]) -> bytes:
    name = shown(path)
    try:
        if not path.is_file():
            raise error(f"{name} must be a file; there is none. Restore it or correct the name.")
        size = path.stat().st_size
        if size <= limit:
            with path.open("rb") as stream:
                content = stream.read(limit + 1)
            size = len(content)
    except OSError as refused:
        raise error(
            f"{name} must be readable; {refused.strerror}. Correct its permissions, or those of "
            "its folder."
        ) from None
    if size > limit:
        raise error(
            f"{name} must have at most {limit / 1e6:g} MB; it has {size / 1e6:,.0f} MB "
            "and was not read. Split it or keep only what the workbook needs."
        )
    _note(name, hashlib.sha256(content).hexdigest())
    return content


def _refuse_long_lines(path: Path, content: bytes) -> None:
    start, row = 0, 1
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        if end - start > LONGEST_LINE:
            raise DataError(
                f"{shown(path)}, row {row}: a line must have at most {LONGEST_LINE:,} characters; "
                f"this one has {end - start:,}. Check that the file has line ends."
            )
        start, row = end + 1, row + 1


def _names(pattern: str) -> list[str]:
    folder = root()
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern))


def _hash_of_names(names: list[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
