"""The workbook's variation methods against figures from other implementations, file by file."""

from __future__ import annotations

import copy

import pytest
from compare_variation import FEATURES, compare, listed_reasons

from conftest import HERE, reference_cases


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        cases = reference_cases(metafunc.config, "variation", "feature")
        metafunc.parametrize("case", cases, ids=[case["name"] for case in cases])


@pytest.fixture(scope="session")
def reasons():
    return listed_reasons((HERE / "README.md").read_text(encoding="utf-8"))


def test_every_figure_agrees_or_is_listed_with_its_reason(case, reasons, report):
    found = compare(case, reasons)

    report.append(found.line())
    assert not found.disagree, "\n".join(found.disagree[:10])
    assert not found.unexplained, (
        f"{case['name']}: neither compared nor listed in tests/reference/README.md: "
        f"{found.unexplained[:10]}"
    )


def test_a_changed_reference_figure_is_noticed(case, reasons):
    """The comparison can fail: any compared figure, moved a little, disagrees."""
    found = compare(case, reasons)
    if not found.agree:
        pytest.skip(
            f"{case['feature']}: no figure is compared: {sorted(set(found.listed.values()))}"
        )
    for path in (found.agree[0], found.agree[-1]):
        assert compare(_moved(case, path), reasons).disagree, path


def _moved(case, path):
    changed = copy.deepcopy(case)
    *parents, last = path
    holder = changed["output"]
    for key in parents:
        holder = holder[key]
    value = holder[last]
    if isinstance(value, str) or value is None:
        holder[last] = f"not {value}"
    else:
        holder[last] = not value if isinstance(value, bool) else value * 1.25 + 0.5
    return changed


def test_the_grid_of_features_is_complete():
    """The 28 features of the schema, so that the comparison cannot shrink to what passes."""
    assert len(FEATURES) == 28


def test_the_carried_files_are_the_45_of_the_reference_set():
    assert len(list((HERE / "variation").glob("*.json"))) == 45


def test_every_listed_reason_names_a_feature_and_says_why(reasons):
    assert {feature for feature, _ in reasons} <= set(FEATURES)
    assert all(reason for reason in reasons.values())
