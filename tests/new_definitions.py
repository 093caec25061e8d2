"""What new definition files have in common, for the tests of their templates."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evidence import cli, data

ROOT = Path(__file__).resolve().parents[1]


def copy_workbook(to, monkeypatch):
    """Return a copy of this workbook in which nothing has run, and work in it."""
    for name in ("data/raw", "data/definitions", "notebooks", "book"):
        ignored = shutil.ignore_patterns("_build", "_site")
        shutil.copytree(ROOT / name, to / name, ignore=ignored)
    monkeypatch.setenv("EVIDENCE_ROOT", str(to))
    data.forget()
    return to


def evidence(capsys, *words):
    """Return exit code, output and messages of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return ended.value.code, *capsys.readouterr()


def require_refused_until_filled_in(workbook, capsys, *words, path, lines):
    """Check that a command writes a file, that a build refuses it as it is, and that it stays."""
    code, out, err = evidence(capsys, "new", *words)
    assert (code, err) == (0, "")
    assert out == f"Wrote {path}. Fill in the {lines} lines marked TO DO, then: evidence build\n"

    code, out, err = evidence(capsys, "build")
    assert (code, out) == (2, "")
    assert f"{path}, line 7: title must be filled in" in err
    assert len(err.splitlines()) == 1
    assert not (workbook / "data" / "processed").exists()

    code, out, err = evidence(capsys, "new", *words[:2])
    assert (code, out) == (2, "")
    assert f"{Path(path).name} is there already" in err
