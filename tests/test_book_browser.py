"""What the browser checks choose to open (the checks themselves: `make browser`)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PLACE = Path(__file__).parent / "browser" / "check.py"


@pytest.fixture(scope="module")
def browser() -> ModuleType:
    spec = importlib.util.spec_from_file_location("browser_check", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["browser_check"] = module
    spec.loader.exec_module(module)
    return module


def a_site(folder: Path) -> Path:
    for name, text in {
        "index.html": "<p>words</p>",
        "prose.html": "<p>other words</p>",
        "map.html": '<nav class="ev-tiles">',
        "one.html": '<section class="ev-box"> notebooks/variation/funnel.ipynb',
        "two.html": '<section class="ev-box"> notebooks/variation/funnel.ipynb',
        "three.html": '<section class="ev-box"> notebooks/synthesis/pairwise.ipynb',
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_one_page_of_each_notebook_and_of_each_kind_of_prose_is_chosen(
    browser: ModuleType, tmp_path: Path
) -> None:
    chosen = set(browser.kinds(a_site(tmp_path)).values())

    assert chosen == {"index.html", "map.html", "one.html", "three.html"}


def test_every_page_is_opened_and_the_chosen_ones_in_every_setting(
    browser: ModuleType, tmp_path: Path
) -> None:
    jobs = browser.plan_jobs(a_site(tmp_path), everything=False)

    assert {name for name, _, _ in jobs} == {path.name for path in tmp_path.glob("*.html")}
    assert sum(thorough for _, _, thorough in jobs) == 4 * 8
    assert sum(name == "two.html" for name, _, _ in jobs) == 1
    assert len({(n, str(s)) for n, s, _ in browser.plan_jobs(tmp_path, everything=True)}) == 6 * 8
