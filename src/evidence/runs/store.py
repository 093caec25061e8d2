"""Where runs are kept: finished folders, the pointer of each page, and the one-writer lock.

A run is written in a temporary folder and renamed when it is complete, so a folder under
``data/processed/runs`` whose name does not begin with a dot is always whole.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from evidence.errors import RunError

UNFINISHED = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Store:
    """The runs below one workbook's ``data/processed``."""

    root: Path

    @property
    def runs(self) -> Path:
        """Folder of finished runs."""
        return self.root / "data" / "processed" / "runs"

    @property
    def pages(self) -> Path:
        """Folder of the pages' pointers."""
        return self.root / "data" / "processed" / "pages"

    @property
    def failed(self) -> Path:
        """Folder of notebooks that failed, kept for reading."""
        return self.root / "data" / "processed" / "failed"

    def new_folder(self, page: str) -> Path:
        """Make and return an empty temporary folder for a run."""
        folder = self.runs / f"{UNFINISHED}{page}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        return folder

    def finish(self, folder: Path, page: str, run: str) -> Path:
        """Rename a complete temporary folder to its lasting name and return it.

        What an earlier failure of the page left behind goes.
        """
        final = self.runs / f"{page}-{run}"
        if final.exists():
            shutil.rmtree(folder)
        else:
            folder.rename(final)
        shutil.rmtree(self.failed / page, ignore_errors=True)
        return final

    def keep_failed(self, folder: Path, page: str) -> Path:
        """Move what a failed run left to the folder of failures and return it."""
        kept = self.failed / page
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(kept)
        return kept

    def clear_unfinished(self) -> int:
        """Delete what killed runs left behind and return how many there were."""
        left = list(self.runs.glob(f"{UNFINISHED}*"))
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)

    def finished(self, page: str) -> list[dict[str, Any]]:
        """Return run.json of each finished run of a page, newest first."""
        found = [
            read_json(folder / "run.json") for folder in self.runs.glob(f"{page}-????????????")
        ]
        mine = [run for run in found if run is not None and run["page"] == page]
        return sorted(mine, key=lambda run: run["ended"], reverse=True)

    def pointer(self, page: str) -> dict[str, Any] | None:
        """Return what is known of a page: its published run, state and last error."""
        return read_json(self.pages / f"{page}.json")

    def point(self, page: str, **known: Any) -> None:
        """Write what is known of a page, in one step."""
        write_json(self.pages / f"{page}.json", {"page": page, **known})

    def find(self, name: str) -> dict[str, Any]:
        """Return run.json of the run with this id, unique prefix, folder name or folder.

        Raises
        ------
        RunError
            If there is none, or more than one.
        """
        folder = Path(name)
        if (folder / "run.json").is_file():
            return {**(read_json(folder / "run.json") or {}), "folder": str(folder)}
        folders = [item for item in self.runs.glob("*-*") if not item.name.startswith(".")]
        hits = [
            item
            for item in folders
            if name
            and (item.name.startswith(name) or item.name.rpartition("-")[2].startswith(name))
        ]
        if len(hits) != 1:
            named = ", ".join(sorted(item.name for item in hits)[:5])
            what = f"{len(hits)} runs ({named})" if hits else "no run"
            raise RunError(
                f"a run must be named by its id, a unique prefix or its folder; {name!r} fits "
                f"{what}. See data/processed/runs for what there is."
            )
        return {**(read_json(hits[0] / "run.json") or {}), "folder": str(hits[0])}

    @contextmanager
    def lock(self, command: str) -> Iterator[None]:
        """Hold the right to write below ``data/processed``.

        Raises
        ------
        RunError
            If another process holds it; a lock whose process is gone is taken over.
        """
        path = self.root / "data" / "processed" / "lock.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = _take(path, command)
        try:
            yield
        finally:
            if read_json(path) == mine:
                path.unlink(missing_ok=True)


def _take(path: Path, command: str) -> dict[str, Any]:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    mine = {**this_process(), "command": command, "since": since}
    for _ in range(2):
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            _refuse_if_held(path)
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(mine, file)
        return mine
    raise RunError("another build is starting at this moment; try again when it has ended.")


def _refuse_if_held(path: Path) -> None:
    held = read_json(path)
    if held is not None and is_alive(held):
        raise RunError(
            f"only one build may write at a time; `{held['command']}` (process "
            f"{held['process']}, since {held['since']}) is running. Wait for it or stop it."
        )
    if held is None and time.time() - path.stat().st_mtime < 2:
        raise RunError("another build is starting at this moment; try again when it has ended.")
    path.unlink(missing_ok=True)


def this_process() -> dict[str, Any]:
    """Return what tells this process from every other, before and after it."""
    return {"process": os.getpid(), "born": psutil.Process().create_time()}


def is_alive(noted: Mapping[str, Any]) -> bool:
    """Return whether the process that `this_process` described goes on."""
    try:
        return abs(psutil.Process(noted["process"]).create_time() - noted["born"]) < 1
    except psutil.Error:
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None if the file is missing or was cut off."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: Path, value: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """Write a JSON object in one step: readers see the old file or the new one, never a part.

    Without `indent` it stands on one line, which takes a fraction of the time for a large one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=indent, allow_nan=False)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text + "\n", encoding="utf-8", newline="\n")
    temporary.replace(path)
