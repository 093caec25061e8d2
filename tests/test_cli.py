"""The command line: what is refused before anything runs, what is printed, how a command ends."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from evidence import __version__, cli
from evidence.book.building import Built
from evidence.errors import RunError

TESTS = Path(__file__).parent
ROOT = TESTS.parent
SOUND = TESTS / "broken_tables" / "sound"
COMMANDS = [
    [],
    ["data"],
    ["data", "list"],
    ["data", "check"],
    ["pages"],
    ["parameters"],
    ["run"],
    ["build"],
    ["compare"],
    ["new"],
    ["new", "indicator"],
    ["new", "case"],
]
REPORT = """\
title: A made-up report
edition: "0"
publisher: Makers
comments: {page: index}
data_page: index
parts:
  - id: front
    title: Front
    pages:
      - {id: index, title: "Front, τ ≥ 2", prose: index.md}
PAGES
"""


@pytest.fixture
def evidence(capsys):
    """Call the command line in this process: exit code, standard output, standard error."""

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in words])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return call


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """A small workbook with the notebooks of tests/notebooks; `plan` says which are pages."""
    shutil.copytree(SOUND / "data", tmp_path / "data")
    shutil.copytree(TESTS / "notebooks", tmp_path / "notebooks" / "broken")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.md").write_text("# Front\n", encoding="utf-8")
    plan(tmp_path, "good")
    state_hashes(tmp_path / "data/raw/clinics")
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    return tmp_path


def state_hashes(folder):
    path = folder / "dataset.yml"
    text = path.read_text(encoding="utf-8")
    for table in folder.glob("*.csv"):
        digest = hashlib.sha256(table.read_bytes()).hexdigest()
        text = text.replace(f"SHA256 OF {table.name}", digest)
    path.write_text(text, encoding="utf-8")


def plan(root, *names):
    lines = [
        f"      - {{id: {name.replace('_', '-')}, title: {name}, notebook: broken/{name}}}"
        for name in names
    ]
    text = REPORT.replace("PAGES", "\n".join(lines))
    (root / "book" / "report.yml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of this workbook in which nothing has run."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("data/raw", "data/definitions", "notebooks", "book"):
        ignored = shutil.ignore_patterns("_build", "_site")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    return root


def process(*words, cwd, stdout=subprocess.PIPE, **environment):
    known = {k: v for k, v in os.environ.items() if k != "EVIDENCE_ROOT"}
    return subprocess.run(
        [sys.executable, "-c", "from evidence.cli import main; main()", *words],
        cwd=cwd,
        env={**known, **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


def refused(answer, *says):
    """Assert a refusal of wrong use in one to three lines, nothing on standard output."""
    code, out, err = answer
    assert code == 2, err
    assert out == ""
    assert 1 <= len(err.splitlines()) <= 3
    assert "Traceback" not in err
    for words in says:
        assert words in err


# What is refused before anything runs


HEAVY = """
import json, sys
from evidence.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
loaded = {name.split(".")[0] for name in sys.modules}
print(json.dumps([code, sorted(loaded & {"pandas", "numpy", "scipy", "statsmodels", "papermill",
    "nbformat", "nbclient", "jupyter_client", "matplotlib", "sphinx", "jupyter_book"})]))
"""


def light(copy, *words):
    """Call in a fresh process; return exit code and the heavy libraries that it imported."""
    run = subprocess.run(
        [sys.executable, "-c", HEAVY, *words],
        env={**os.environ, "EVIDENCE_ROOT": str(copy)},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stderr, json.loads(run.stdout.splitlines()[-1])


def test_the_version_is_told(evidence):
    assert evidence("--version") == (0, f"evidence {__version__}\n", "")


def test_a_wrong_parameter_name_is_told_with_the_nearest_before_any_heavy_import(copy):
    err, ended = light(copy, "run", "talking-therapies-recovery", "-p", "perriod=2018-19")

    assert ended == [2, []]
    assert "Did you mean 'period'?" in err
    assert not (copy / "data" / "processed").exists()


def test_a_period_without_figures_is_refused_with_the_allowed_ones(copy):
    err, ended = light(copy, "run", "talking-therapies-recovery", "-p", "period=2013-14")

    assert ended == [2, []]
    assert "'period' must be one of latest, 2017-18, 2018-19, 2019-20" in err
    assert not (copy / "data" / "processed").exists()


@pytest.mark.parametrize("words", [["pages"], ["parameters", "smi-care-plan"], ["data", "list"]])
def test_lists_need_no_heavy_library(copy, words):
    assert light(copy, *words) == ("", [0, []])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-p", "year=last"], ["'year' must be of type int", "'last'"]),
        (["-p", "year=2013"], ["'year' must be one of 2014, 2015", "2013"]),
        (["-p", "scale=nan"], ["finite"]),
        (["-p", "year"], ["name=value", "Add '='"]),
        (["-p", "year=2014", "-p", "year=2015"], ["'year' came twice"]),
        (["-f", "none.yml"], ["none.yml must be a file"]),
        (["-f", "list.yml"], ["list.yml", "'key: value' lines", "list"]),
        (["-f", "empty.yml"], ["empty.yml", "holds nothing"]),
        (["-f", "cut.yml"], ["cut.yml, line 3", "valid YAML"]),
        (["-f", "twice.yml"], ["twice.yml, line 2", "'year' stands already in line 1"]),
        (["-f", "typo.yml"], ["'yaer' is not", "Did you mean 'year'?"]),
        (["-f", "type.yml"], ["'year' must be of type int"]),
        (["--perid", "3"], ["No such option: --perid", "`evidence run --help`"]),
    ],
)
def test_wrong_parameters_and_options_are_refused(workbook, evidence, monkeypatch, words, says):
    for name, text in {
        "list.yml": "- year: 2014\n",
        "empty.yml": "",
        "cut.yml": "year: 2014\nscale: [1\n",
        "twice.yml": "year: 2014\nyear: 2015\n",
        "typo.yml": "yaer: 2014\n",
        "type.yml": "year: '2014'\n",
    }.items():
        (workbook / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(workbook)

    refused(evidence("run", "good", *words), *says)

    assert not (workbook / "data" / "processed").exists()


@pytest.mark.parametrize(
    ("notebook", "says"),
    [
        ("no_parameters", ["exactly one cell tagged 'parameters'", "no_parameters.ipynb", "none"]),
        ("two_parameters", ["exactly one", "two_parameters.ipynb has cells 2, "]),
        ("derived_value", ["derived_value.ipynb, cell 2, line ", "is worked out from"]),
        ("untyped", ["untyped.ipynb, cell 2, line ", "typed literals"]),
        ("wrong_default", ["wrong_default.ipynb, cell 2, line "]),
        ("gone", ["gone.ipynb is not in broken/", "book/report.yml"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "parameters", "build"])
def test_a_broken_parameters_cell_is_refused_by_file_cell_and_line(
    workbook, evidence, notebook, says, command
):
    plan(workbook, notebook)

    refused(evidence(command, notebook.replace("_", "-")), *says)

    assert not (workbook / "data" / "processed").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "goood"], ["'goood'", "Did you mean 'good'?"]),
        (["parameters", "goood"], ["Did you mean 'good'?"]),
        (["build", "goood"], ["Did you mean 'good'?"]),
        (["run", "index"], ["'index' is prose", "evidence pages"]),
        (["parameters", "index"], ["'index' is prose"]),
        (["data", "check", "clinic"], ["'clinic'", "Did you mean 'clinics'?"]),
        (["buld"], ["No such command 'buld'. Did you mean 'build'?"]),
        (["run"], ["Missing argument 'page'. See `evidence run --help`."]),
        (["build", "--jobs", "0"], ["'--jobs'", "greater than or equal to 1"]),
        (["build", "--as-of", "today"], ["'--as-of'", "'today'"]),
        (["compare", "abc"], ["Missing argument 'b'"]),
        (["--root", "/nowhere", "pages"], ["/nowhere"]),
        (["verify"], ["No such command 'verify'"]),
    ],
)
def test_unknown_names_are_refused_with_what_to_do(workbook, evidence, words, says):
    refused(evidence(*words), *says)


@pytest.mark.parametrize(
    "words", [["pages"], ["data", "list"], ["build"], ["new", "indicator", "x"]]
)
def test_outside_a_workbook_it_is_said_what_to_do(tmp_path, words):
    ended = process(*words, cwd=tmp_path)

    err = ended.stderr.decode()
    refused((ended.returncode, ended.stdout.decode(), err), "book/report.yml", "Go into")
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_no_workbook_is_refused(tmp_path, evidence, monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", "")

    refused(evidence("--root", tmp_path, "data", "list"), f"{tmp_path} has none", "--root")


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2(evidence):
    code, out, err = evidence()

    assert (code, out) == (2, "")
    assert err.startswith("Usage: evidence ")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_shows_an_example(evidence, words):
    code, out, _ = evidence(*words, "--help")

    lines = [line.strip() for line in out.splitlines()]
    assert code == 0
    assert any(line.removeprefix("Example: ").startswith("evidence ") for line in lines)


def test_every_command_is_among_those_whose_help_is_tested(evidence):
    import typer

    def names(command, before):
        yield before
        for name, inner in getattr(command, "commands", {}).items():
            yield from names(inner, [*before, name])

    assert sorted(names(typer.main.get_command(cli.app), [])) == sorted(COMMANDS)


# How errors are told


def test_debug_shows_where_an_error_arose_wherever_it_stands(workbook, evidence):
    for words in (["--debug", "run", "goood"], ["run", "goood", "--debug"]):
        code, _, err = evidence(*words)
        assert code == 2
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("evidence: a page must be one of")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyError("run"), 1, "evidence: unexpected KeyError: 'run'. Add --debug to see where."),
        (PermissionError(13, "Permission denied", "x.yml"), 1, "could not be read or written"),
        (KeyboardInterrupt(), 130, "evidence: stopped; what was complete is kept."),
    ],
)
def test_what_nobody_foresaw_and_ctrl_c_end_in_one_line(
    workbook, evidence, monkeypatch, error, code, says
):
    def fail(root):
        raise error

    monkeypatch.setattr(cli.book, "plan", fail)

    ended, out, err = evidence("pages")

    assert (ended, out) == (code, "")
    assert len(err.splitlines()) == 1
    assert says in err


def test_a_reader_that_has_gone_away_ends_the_command_quietly(workbook):
    reader, writer = os.pipe()
    os.close(reader)

    ended = process("pages", cwd=workbook, stdout=writer)

    os.close(writer)
    assert ended.stderr == b""
    assert ended.returncode == 1


@pytest.mark.parametrize("settings", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "LANG": "C"}])
def test_signs_that_the_terminal_does_not_know_do_not_stop_a_command(workbook, settings):
    ended = process("pages", cwd=workbook, **settings)

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert any(signs in ended.stdout for signs in (b"\\u03c4 \\u2265 2", "τ ≥ 2".encode()))


# What is printed


def test_pages_are_listed_with_their_states(workbook, evidence):
    code, out, _ = evidence("pages")

    rows = [line.split("  ") for line in out.splitlines()]
    assert code == 0
    assert rows[1][0] == "index"
    assert "prose" in out.splitlines()[1]
    assert "never run" in out.splitlines()[2]


def test_a_list_that_is_piped_has_one_line_for_each_entry_and_no_id_is_cut(
    copy, evidence, monkeypatch
):
    monkeypatch.setenv("EVIDENCE_ROOT", str(copy))
    monkeypatch.setenv("COLUMNS", "40")

    for words in (["pages"], ["data", "list"], ["parameters", "talking-therapies-recovery"]):
        _, out, _ = evidence(*words)
        assert "…" not in out.replace("… (32 in all)", "")
        assert not any(line.startswith(" ") for line in out.splitlines())

    _, out, _ = evidence("pages")
    assert "psychotherapy-depression-uk-low-risk " in out


def test_on_a_narrow_terminal_titles_wrap_and_ids_stay_whole(copy, evidence, monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(copy))
    monkeypatch.setattr(cli, "out", Console(force_terminal=True, width=40))

    _, pages, _ = evidence("pages")
    _, parameters, _ = evidence("parameters", "psychotherapy-depression-uk")

    ids = [line.split()[0] for line in pages.splitlines() if not line.startswith(" ")]
    assert "psychotherapy-depression-uk-low-risk" in ids
    assert any(line.startswith(" ") for line in pages.splitlines())
    assert "…" not in pages + parameters


def test_parameters_are_listed_with_the_values_they_may_take(copy, evidence, monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(copy))

    _, out, _ = evidence("parameters", "talking-therapies-recovery")

    line = {row.split()[0]: row for row in out.splitlines()}
    assert "latest | 2017-18 | 2018-19 | 2019-20" in line["period"]
    assert '"talking-therapies-recovery"' in line["indicator"]
    assert "07L | 07M | 07N | … (32 in all)" in line["highlight"]


def test_datasets_are_listed_with_their_span_of_periods(workbook, evidence):
    code, out, _ = evidence("data", "list")

    assert code == 0
    assert "clinics  2017-18 to 2019-20  OGL-UK-3.0  Town" in out


def test_a_series_given_by_its_ends_is_listed_by_them(copy, evidence, monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(copy))

    _, out, _ = evidence("data", "list")

    assert "talking_therapies_services " in out
    assert "2021-01 to 2026-03" in out


def test_a_broken_table_fails_the_check_with_a_line_for_each_problem(workbook, evidence):
    table = workbook / "data/raw/clinics/counts.csv"
    table.write_bytes(table.read_bytes().replace(b"200,100", b"-200,100"))

    code, out, err = evidence("data", "check")

    assert (code, out) == (1, "")
    assert all(line.startswith("data/raw/clinics/counts.csv") for line in err.splitlines())
    assert "-200" in err


def test_sound_data_pass_the_check_and_doubts_are_told(copy, evidence, monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(copy))

    code, out, err = evidence("data", "check", "reviews/psychotherapy_depression_uk")

    assert (code, err) == (0, "")
    assert "to be looked at: " in out
    assert out.endswith("1 dataset checked, no problem found.\n")


# Runs


@pytest.fixture
def ran(workbook, evidence):
    code, out, err = evidence("run", "good")
    assert (code, err) == (0, "")
    return out


def test_a_run_prints_its_results_and_its_folder(ran, workbook):
    text, folder = ran.splitlines()

    assert text == "found: 2015 times 2.0."
    assert (workbook / folder.split()[0] / "results.json").is_file()


def test_a_run_with_a_parameter_changed_is_compared_with_what_is_published(ran, workbook, evidence):
    (workbook / "mine.yml").write_text("year: 2014\nscale: 3\n", encoding="utf-8")

    code, out, _ = evidence("run", "good", "-f", workbook / "mine.yml", "-p", "scale=2.0", "--json")
    run = json.loads(out)

    assert code == 0
    assert run["parameters"] == {"year": 2014, "scale": 2.0, "note": "x"}

    html = workbook / "both.html"
    code, out, _ = evidence("compare", run["run"][:6], "published", "--html", html)

    assert code == 0
    assert "year: 2014 | 2015" in out
    assert "found/product  4028  4030  2" in out
    assert "1 of 1 numbers differ" in out
    assert b"\r" not in html.read_bytes()
    assert "found/product" in html.read_text(encoding="utf-8")

    code, out, _ = evidence("compare", run["run"], "published", "--json")
    assert json.loads(out)["numbers"][0]["absolute"] == 2.0


def test_a_change_without_effect_is_told(ran, evidence):
    code, out, _ = evidence("run", "good", "-p", "note=y")

    assert code == 0
    assert "no effect on results: note" in out


def test_a_failing_cell_is_one_line_and_exit_code_1(workbook, evidence):
    plan(workbook, "raises")

    code, out, err = evidence("run", "raises")

    assert (code, out) == (1, "")
    assert err == "page raises, cell 4: ZeroDivisionError: division by zero\n"


def write_run(root, page, id, value):
    folder = root / "data/processed/runs" / f"{page}-{id}"
    folder.mkdir(parents=True)
    estimates = [{"key": "x", "value": value, "low": None, "high": None}]
    run = {"page": page, "run": id, "notebook": "n", "parameters": {}, "reads": {}, "pages": {}}
    results = {"results": {"r": {"text": "≥", "estimates": estimates}}, "conclusion": None}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


@pytest.fixture
def two(workbook):
    return [
        write_run(workbook, "good", "3fa2cc000001", 1.0),
        write_run(workbook, "good", "3fb000000002", 2.0),
    ]


def test_a_run_is_named_by_id_unique_prefix_or_folder(two, evidence):
    for first in ("3fa2cc000001", "3fa", "good-3fa2cc000001", "good-3fa", str(two[0])):
        code, out, err = evidence("compare", first, "3fb")
        assert (code, err) == (0, "")
        assert "r/x" in out
        assert out.endswith("1 of 1 numbers differ; the page states no conclusion.\n")


def test_equal_runs_show_no_table(two, evidence):
    code, out, _ = evidence("compare", "3fa", "3fa")

    assert code == 0
    assert out == "0 of 1 numbers differ; the page states no conclusion.\n"


def test_a_number_that_only_one_run_has_stands_alone(two, evidence):
    path = two[1] / "results.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"x"', '"y"'), encoding="utf-8")

    _, out, _ = evidence("compare", "3fa", "3fb")

    assert out.splitlines()[0] == "a is good-3fa2cc000001, b is good-3fb000000002"
    assert [line.split() for line in out.splitlines()[2:4]] == [["r/x", "1"], ["r/y", "2"]]


@pytest.mark.parametrize(
    ("name", "says"),
    [("3f", "'3f' fits 2 runs"), ("zzz", "'zzz' fits no run"), ("published", "no run")],
)
def test_a_name_that_fits_no_run_or_several_is_refused(two, evidence, name, says):
    refused(evidence("compare", name, "3fb"), says)


def test_a_page_that_was_never_published_cannot_be_compared_with(two, evidence):
    refused(evidence("compare", "3fa", "published"), "'good' has none", "evidence build good")


def test_json_is_plain_ascii_where_the_terminal_knows_no_more(two, workbook):
    ended = process("compare", "3fa", "3fb", "--json", cwd=workbook, PYTHONIOENCODING="ascii")

    assert json.loads(ended.stdout.decode("ascii"))["numbers"][0]["key"] == "r/x"


# Builds


@pytest.fixture
def rendered(workbook, monkeypatch):
    """Put a quick stand-in in the place of rendering; returns what it was called with."""
    calls = []

    def build(root, *, as_of=None):
        calls.append(as_of)
        return Built(site=root / "book" / "_site", rebuilt=len(calls) == 1, pages=1, seconds=3.2)

    monkeypatch.setattr(cli.book, "build", build)
    return calls


def test_a_build_runs_what_is_stale_and_says_what_it_did(workbook, rendered, evidence):
    code, out, err = evidence("build", "--as-of", "2027-01-31")

    assert (code, err) == (0, "")
    first, second, third = out.splitlines()
    assert first.startswith("1 of 1: ran good in ")
    assert second == "1 page: 1 run, 0 up to date, 0 failed"
    assert third == f"book built in 3 s: {workbook / 'book/_site/index.html'}"
    assert str(rendered[0]) == "2027-01-31"

    code, out, _ = evidence("build")
    assert code == 0
    assert out.splitlines()[0] == "1 page: 0 run, 1 up to date, 0 failed"
    assert out.splitlines()[1].startswith("book up to date: ")

    code, out, _ = evidence("build", "--again", "good")
    assert out.splitlines()[1] == "1 page: 1 run, 0 up to date, 0 failed"


def test_a_failed_page_is_one_line_and_the_book_is_built_all_the_same(
    workbook, rendered, evidence, monkeypatch
):
    plan(workbook, "good", "raises")
    monkeypatch.setattr(cli, "told", cli._console(stderr=True, force_terminal=True, width=100))

    code, out, err = evidence("build")

    assert code == 1
    assert "page raises, cell 4: ZeroDivisionError: division by zero" in err
    assert "Traceback" not in err
    assert "2 pages: 1 run, 0 up to date, 1 failed\nbook built" in out


def test_only_the_named_pages_and_what_they_need_are_run(workbook, rendered, evidence, monkeypatch):
    text = REPORT.replace("PAGES", "      - {id: a, title: a, notebook: broken/good}\n") + (
        "      - {id: b, title: b, notebook: broken/good, needs: [a]}\n"
        "      - {id: c, title: c, notebook: broken/good}\n"
    )
    (workbook / "book" / "report.yml").write_text(text, encoding="utf-8")
    asked = []
    monkeypatch.setattr(cli, "_run_all", lambda root, pages, **_: asked.extend(pages) or [])

    evidence("build", "b")

    assert [page.id for page in asked] == ["a", "b"]


def test_a_book_is_not_rendered_while_another_build_works(workbook, rendered, evidence):
    evidence("build")
    other = subprocess.Popen(
        [sys.executable, "-c", LOCKED, str(workbook)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    try:
        code, _, err = evidence("build")
    finally:
        other.kill()
        other.wait()

    assert code == 2
    assert f"process {other.pid}" in err
    assert len(rendered) == 1


LOCKED = """
import sys, time
from pathlib import Path
from evidence.runs.store import Store
with Store(Path(sys.argv[1])).lock("evidence build"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_book_that_warns_fails_the_build_with_the_lines_that_matter(
    workbook, rendered, evidence, monkeypatch
):
    def build(root, *, as_of=None):
        raise RunError("the book must build without a warning; 1 came:\n  index.md:3: no such page")

    monkeypatch.setattr(cli.book, "build", build)

    code, _, err = evidence("build", "index")

    assert code == 1
    assert err.splitlines()[1] == "  index.md:3: no such page"
    assert "Traceback" not in err
