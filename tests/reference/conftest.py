"""Reference figures: which files are compared, and what the comparison found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPORT = pytest.StashKey[list[str]]()


def reference_files(config: pytest.Config, own: str) -> list[Path]:
    """Return the JSON files to compare: those of --reference-dir, else of the folder `own`."""
    given = config.getoption("--reference-dir", default=None)
    folder = Path(given) if given else HERE / own
    files = sorted(folder.rglob("*.json"))
    if not files:
        raise pytest.UsageError(f"reference figures must be JSON files; {folder} holds none.")
    return files


def reference_cases(config: pytest.Config, own: str, key: str) -> list[dict]:
    """Return the cases that have `key` at the top: the mark of their schema."""
    cases = []
    for file in reference_files(config, own):
        case = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(case, dict) and key in case:
            cases.append(case)
    return cases


@pytest.fixture
def report(request):
    """Lines that the run prints at its end, whatever passed."""
    return request.config.stash.setdefault(REPORT, [])


def pytest_terminal_summary(terminalreporter):
    lines = terminalreporter.config.stash.get(REPORT, [])
    if lines:
        terminalreporter.section("reference figures")
        for line in lines:
            terminalreporter.write_line(line)
