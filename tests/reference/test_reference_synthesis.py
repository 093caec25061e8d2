"""The workbook's synthesis methods against figures from other implementations, file by file."""

from __future__ import annotations

import copy

import pytest
from compare_synthesis import compare, listed_reasons

from conftest import HERE, reference_cases


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        cases = reference_cases(metafunc.config, "synthesis", "kind")
        metafunc.parametrize("case", cases, ids=[case["name"] for case in cases])


@pytest.fixture(scope="session")
def reasons():
    return listed_reasons((HERE / "README.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def compared(reasons):
    """Return a file's comparison, made once."""
    known = {}

    def once(case):
        if case["name"] not in known:
            known[case["name"]] = compare(case, reasons)
        return known[case["name"]]

    return once


def test_every_figure_agrees_or_is_listed_with_its_reason(case, compared, report):
    found = compared(case)

    report.extend(found.lines(case["name"]))
    assert not found.differs, "\n".join(found.differs[:10])
    assert not found.missing, (
        f"{case['name']}: neither compared nor listed in tests/reference/README.md: "
        f"{found.missing[:10]}"
    )


@pytest.mark.parametrize("path", ["fits/REML/mu", "hksj/DL/se", "escalc/yi"])
def test_a_changed_reference_figure_is_noticed(path, reasons, request):
    """The comparison can fail: any compared figure, moved a little, differs."""
    case = next(
        item for item in reference_cases(request.config, "synthesis", "kind") if "fits" in item
    )
    features = {"name", "kind", "measure", "table", "escalc", "rows_pooled", path.split("/")[0]}
    changed = copy.deepcopy({key: case[key] for key in features})
    *parents, last = path.split("/")
    holder = changed
    for key in parents:
        holder = holder[key]
    value = holder[last]
    holder[last] = [value[0] * 1.001, *value[1:]] if isinstance(value, list) else value * 1.001

    assert any(path in problem for problem in compare(changed, reasons).differs)


def test_a_new_figure_is_noticed_as_missing(reasons, request):
    case = {"name": "new", "kind": "generic", "new_feature": {"value": 1.5}}

    assert compare(case, reasons).missing == ["new:new_feature/value"]


def test_every_reason_names_figures_that_exist(compared, reasons, request):
    if request.config.getoption("--reference-dir", default=None):
        pytest.skip("the reasons are about the files carried here")
    used = set()
    for case in reference_cases(request.config, "synthesis", "kind"):
        used |= compared(case).reasons

    assert [pattern for pattern, _ in reasons if pattern not in used] == []
