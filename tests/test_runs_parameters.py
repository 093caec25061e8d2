"""The parameters cell as a contract."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import RunError
from evidence.runs.parameters import check, contract, from_text, parse

BROKEN = Path(__file__).parent / "notebooks"
CELL = """period: str = "2018-19"  # financial year; allowed: 2017-18 | 2018-19
level: float = 0.95  # coverage
areas: list[str] = ["07L", "07M"]  # codes; allowed: @areas
labels: bool = True  # name the areas
seed: int = 1
"""


def declared():
    return parse(CELL, "x.ipynb, cell 2")


def test_a_line_gives_name_type_default_help_and_allowed_values():
    period = declared()[0]

    assert (period.name, period.type, period.default) == ("period", "str", "2018-19")
    assert (period.help, period.allowed) == ("financial year", ("2017-18", "2018-19"))


def test_defaults_fill_what_is_not_overridden():
    full = check(declared(), {"seed": 7}, "page x")

    assert full == {
        "period": "2018-19",
        "level": 0.95,
        "areas": ["07L", "07M"],
        "labels": True,
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"perriod": "2018-19"}, "'perriod' is not. Did you mean 'period'?"),
        ({"period": 2018}, "'period' must be of type str; page x: got 2018"),
        ({"period": "2019-20"}, "must be one of 2017-18, 2018-19; page x: got '2019-20'"),
        ({"seed": True}, "'seed' must be of type int"),
        ({"seed": 1.5}, "'seed' must be of type int"),
        ({"seed": "1"}, "'seed' must be of type int"),
        ({"level": "0.9"}, "'level' must be of type float"),
        ({"level": float("nan")}, "'level' must be a finite number"),
        ({"areas": "07L"}, r"'areas' must be of type list\[str\]"),
        ({"areas": [7]}, r"'areas' must be of type list\[str\]"),
        ({"areas": ["07X"]}, "'areas' must be one of 07L, 07M; page x: got '07X'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_the_rule(values, message):
    with pytest.raises(RunError, match=message):
        check(declared(), values, "page x", lambda name, values: ["07L", "07M"])


def test_allowed_values_may_mix_literals_with_a_catalogue():
    parameters = parse('period: str = "latest"  # year; allowed: latest | @periods', "x")

    def periods(name, values):
        return ["2018-19"] if name == "@periods" else []

    for period in ("latest", "2018-19"):
        assert check(parameters, {"period": period}, "x", periods) == {"period": period}
    with pytest.raises(RunError, match="one of latest, 2018-19; x: got '2019-20'"):
        check(parameters, {"period": "2019-20"}, "x", periods)


def test_an_int_is_taken_where_a_float_is_declared():
    assert check(declared(), {"level": 1}, "page x")["level"] == 1.0


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("a: int = 1\nb: int = a + 1", "line 2: 'b' is worked out from 'a \\+ 1'"),
        ("a = 1", "must hold only typed literals"),
        ("import os", "must hold only typed literals"),
        ("a: int", "must hold only typed literals"),
        ("a: dict = {}", "type must be one of"),
        ("a: int | None = None", "type must be one of"),
        ("a: int = 'x'", "'a' must be of type int"),
        ("a: int = 3  # n; allowed: 1 | 2", "must be one of 1, 2"),
        ("a: int = 1\na: int = 2", "'a' is declared again"),
        ("a: int = (", "must be valid Python; x, line 1"),
    ],
)
def test_a_cell_that_is_not_plain_typed_literals_is_refused_by_line(cell, message):
    with pytest.raises(RunError, match=message):
        parse(cell, "x")


@pytest.mark.parametrize(
    ("notebook", "message"),
    [
        ("no_parameters", "exactly one cell tagged 'parameters'; no_parameters.ipynb has none"),
        ("two_parameters", "two_parameters.ipynb has cells 2, 3"),
        ("derived_value", "derived_value.ipynb, cell 2, line 2: 'last' is worked out"),
        ("untyped", "untyped.ipynb, cell 2, line 1"),
        ("wrong_default", "wrong_default.ipynb, cell 2, line 1: got '2015'"),
        ("absent", "absent.ipynb is not in notebooks/"),
    ],
)
def test_a_notebook_that_breaks_the_contract_is_refused_by_file_and_line(notebook, message):
    with pytest.raises(RunError, match=message):
        contract(BROKEN / f"{notebook}.ipynb")


def test_a_file_that_is_not_a_notebook_is_refused(tmp_path):
    (tmp_path / "x.ipynb").write_text("not json")

    with pytest.raises(RunError, match=r"x.ipynb is not .*JupyterLab"):
        contract(tmp_path / "x.ipynb")


def test_texts_are_read_by_the_declared_types():
    pairs = ["seed=3", "level=0.9", "labels=false", "areas=07L, 07M", "period=2017-18"]

    values = from_text(declared(), pairs, "page x")

    assert values == {
        "seed": 3,
        "level": 0.9,
        "labels": False,
        "areas": ["07L", "07M"],
        "period": "2017-18",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [("", []), ("[]", []), ('["07L"]', ["07L"]), ('["a, b", "c"]', ["a, b", "c"])],
)
def test_a_list_is_read_as_it_is_printed_too(text, value):
    assert from_text(declared(), [f"areas={text}"], "page x") == {"areas": value}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("seed", "name=value; got 'seed'"),
        ("sead=1", "Did you mean 'seed'"),
        ("areas=[07L", "'areas' must be of type list"),
        ("areas=[7]", "'areas' must be of type list"),
        ("seed=one", "'seed' must be of type int; page x: got 'one'"),
        ("labels=yes", "'labels' must be of type bool"),
        ("zzz=1", "Choose one of these"),
    ],
)
def test_a_wrong_text_is_refused(pair, message):
    with pytest.raises(RunError, match=message):
        from_text(declared(), [pair], "page x")


def test_a_parameter_given_twice_is_refused():
    with pytest.raises(RunError, match="'seed' came twice"):
        from_text(declared(), ["seed=1", "seed=2"], "page x")


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_any_value_survives_being_written_and_read(number, factor, flag):
    cell = f"a: int = {number!r}\nb: float = {factor!r}\nc: bool = {flag!r}"

    full = check(parse(cell, "x"), {}, "x")

    assert full == {"a": number, "b": factor, "c": flag}
