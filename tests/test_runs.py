"""Runs: recorded, reused, isolated, compared."""

import errno
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.util import get_temp_dir
from pathlib import Path

import psutil
import pytest

from evidence import data
from evidence.data import catalogue, files
from evidence.errors import RunError
from evidence.results import Conclusion, Estimate, Result
from evidence.runs import execute, identity, kernels, preloading, store
from evidence.runs.compare import compare
from evidence.runs.execute import run_page, run_pages
from evidence.runs.fresh import states
from evidence.runs.pages import Page
from evidence.runs.record import PageResults, published, start
from evidence.runs.store import Store, read_json, write_json

BROKEN = Path(__file__).parent / "notebooks"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """A workbook of its own, with the notebooks of tests/notebooks."""
    shutil.copytree(BROKEN, tmp_path / "notebooks" / "broken")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "report.yml").write_text("title: Test\n")
    (tmp_path / "data" / "definitions").mkdir(parents=True)
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    return tmp_path


def page(name, id=None, needs=(), **parameters):
    return Page(
        id=id or name.replace("_", "-"),
        title=name,
        notebook=f"broken/{name}",
        parameters=parameters,
        needs=tuple(needs),
    )


def results(workbook, run):
    return read_json(workbook / "data/processed/runs" / run / "results.json")


def change_notebook(workbook, name, old, new):
    path = workbook / "notebooks" / "broken" / f"{name}.ipynb"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def ran(workbook):
    outcome = run_page(workbook, page("good"))
    assert outcome.error == ""
    return workbook, outcome


def test_a_run_keeps_results_parameters_versions_and_the_executed_notebook(ran):
    workbook, outcome = ran
    folder = workbook / "data/processed/runs" / outcome.run

    run = read_json(folder / "run.json")

    assert run["parameters"] == {"year": 2015, "scale": 2.0, "note": "x"}
    assert (run["state"], run["page"], run["notebook"]) == ("complete", "good", "broken/good")
    assert set(run["versions"]) == {"python", *identity.LIBRARIES}
    assert results(workbook, outcome.run)["results"]["found"]["estimates"][0]["value"] == 4030.0
    assert (folder / "notebook.ipynb").is_file()
    assert not (folder / "reads.json").exists()


def test_nothing_of_the_machine_is_written(ran):
    workbook, outcome = ran
    folder = workbook / "data/processed/runs" / outcome.run

    written = "".join(path.read_text() for path in folder.rglob("*.json"))
    written += (folder / "notebook.ipynb").read_text()

    assert str(workbook) not in written
    assert os.uname().nodename not in written


def test_a_finished_run_is_reused(ran):
    workbook, outcome = ran

    again = run_page(workbook, page("good"))

    assert again.reused
    assert again.run == outcome.run


def test_a_changed_cell_source_makes_another_run_and_a_changed_output_does_not(ran):
    workbook, outcome = ran
    change_notebook(workbook, "good", '"outputs": []', '"outputs": [ ]')

    assert run_page(workbook, page("good")).reused

    change_notebook(workbook, "good", "times", "multiplied by")

    assert run_page(workbook, page("good")).run != outcome.run


def test_an_override_is_kept_beside_the_published_run_and_never_replaces_it(ran):
    workbook, outcome = ran

    other = run_page(workbook, page("good"), {"year": 2014})

    assert other.run != outcome.run
    assert Store(workbook).pointer("good")["run"] == outcome.run
    assert other.notices == ()


def test_an_override_that_changes_no_output_is_said_to_have_no_effect(ran):
    workbook, _ = ran

    other = run_page(workbook, page("good"), {"note": "y"})

    assert other.notices == ("no effect on results: note",)


def test_a_wrong_parameter_is_refused_before_anything_runs(workbook):
    with pytest.raises(RunError, match="Did you mean 'year'"):
        run_page(workbook, page("good"), {"yaer": 2014})

    assert not (workbook / "data" / "processed").exists()


def test_failures_are_one_line_each_and_the_other_pages_go_on(workbook):
    pages = [
        page("raises"),
        page("dies"),
        page("hangs"),
        page("not_recorded"),
        page("good"),
        page("reads_page", needs=["raises"]),
    ]

    outcomes = {item.page: item for item in run_pages(workbook, pages, cell_seconds=3)}

    assert outcomes["good"].state == "complete"
    assert outcomes["raises"].error == ("page raises, cell 4: ZeroDivisionError: division by zero")
    assert "the kernel died" in outcomes["dies"].error
    assert "over 3 s" in outcomes["hangs"].error
    assert "without run.record" in outcomes["not-recorded"].error
    assert outcomes["reads-page"].error == "page reads-page: needs raises, which failed."
    assert all("\n" not in item.error for item in outcomes.values())
    assert (workbook / "data/processed/failed/raises/notebook.ipynb").is_file()
    assert list(Store(workbook).runs.glob(".*")) == []


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("evidence.data.root() / 'data/raw/none.csv'", "'data/raw/none.csv'"),
        ("'/home/somebody/a plan/none.csv'", "'none.csv'"),
        ("'/tmp/x7/none.csv'", "'none.csv'"),
    ],
)
def test_the_reason_of_a_failure_holds_no_folder_of_the_machine(workbook, file, told):
    change_notebook(workbook, "good", "year * scale", f"open({file})")

    (outcome,) = run_pages(workbook, [page("good")])

    assert outcome.error.endswith(f"FileNotFoundError: [Errno 2] No such file or directory: {told}")
    assert Store(workbook).pointer("good")["error"] == outcome.error


def test_what_a_failure_left_goes_when_the_page_runs_well(ran):
    workbook, _ = ran
    left = workbook / "data/processed/failed/good"
    change_notebook(workbook, "good", "year * scale", "year / 0")
    run_pages(workbook, [page("good")])
    assert left.is_dir()

    change_notebook(workbook, "good", "year / 0", "year * scale * 3")
    run_pages(workbook, [page("good")])

    assert not left.exists()


def test_a_batch_that_is_stopped_starts_no_further_page(workbook):
    pages = [page("good", id=f"good-{n}", scale=float(n)) for n in range(8)]

    def stop(outcome):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pages(workbook, pages, jobs=1, told=stop)

    assert len(list(Store(workbook).runs.iterdir())) <= 2
    assert not (workbook / "data/processed/lock.json").exists()


def test_a_failed_page_keeps_what_was_published_and_is_marked_failed(ran):
    workbook, outcome = ran
    change_notebook(workbook, "good", "year * scale", "year / 0")

    run_pages(workbook, [page("good")])

    pointer = Store(workbook).pointer("good")
    assert (pointer["state"], pointer["run"]) == ("failed", outcome.run)
    assert "ZeroDivisionError" in pointer["error"]


def test_a_page_that_reads_a_page_runs_after_it_and_again_only_when_its_results_change(workbook):
    pages = [page("reads_page", needs=["good"]), page("good")]

    first = {item.page: item for item in run_pages(workbook, pages)}
    change_notebook(workbook, "good", "# Good", "# Still good")
    second = {item.page: item for item in run_pages(workbook, pages)}
    change_notebook(workbook, "good", "times", "multiplied by")
    third = {item.page: item for item in run_pages(workbook, pages)}

    text = results(workbook, third["reads-page"].run)["results"]["found"]["text"]
    assert not first["reads-page"].reused
    assert not second["good"].reused
    assert second["reads-page"].reused
    assert not third["reads-page"].reused
    assert text == "Read 2015 multiplied by 2.0."


def test_pages_that_need_each_other_are_refused(workbook):
    pages = [page("good", id="a", needs=["b"]), page("good", id="b", needs=["a"])]

    with pytest.raises(RunError, match="in a circle; a, b do"):
        run_pages(workbook, pages)


def test_states_follow_what_ran_and_what_changed_since(workbook):
    pages = [page("good"), page("reads_page", needs=["good"]), page("raises")]

    before = states(workbook, pages)
    run_pages(workbook, pages)
    after = states(workbook, pages)
    change_notebook(workbook, "good", "times", "multiplied by")
    changed = states(workbook, pages)

    assert set(before.values()) == {"never run"}
    assert after == {"good": "fresh", "reads-page": "fresh", "raises": "failed"}
    assert changed == {"good": "stale", "reads-page": "stale", "raises": "failed"}


def test_forked_and_plain_kernels_give_the_same_files(workbook):
    forked = run_page(workbook, page("good"))
    first = (workbook / "data/processed/runs" / forked.run / "results.json").read_bytes()
    notebook = (workbook / "data/processed/runs" / forked.run / "notebook.ipynb").read_bytes()
    shutil.rmtree(workbook / "data/processed")

    plain = run_page(workbook, page("good"), forked=False)

    folder = workbook / "data/processed/runs" / plain.run
    assert plain.run == forked.run
    assert (folder / "results.json").read_bytes() == first
    assert (folder / "notebook.ipynb").read_bytes() == notebook


def test_forked_kernels_do_not_share_a_random_state(workbook):
    outcomes = [run_page(workbook, page("random", id=f"random-{n}")) for n in (1, 2)]

    values = [
        [item["value"] for item in results(workbook, o.run)["results"]["found"]["estimates"]]
        for o in outcomes
    ]

    assert values[0][0] != values[1][0]
    assert values[0][1] != values[1][1]


def test_a_second_writer_is_refused_by_name_and_a_dead_one_taken_over(workbook):
    store = Store(workbook)
    refused = pytest.raises(RunError, match=r"`evidence build` .* is running")
    with store.lock("evidence build"), refused, store.lock("other"):
        pass
    write_json(
        workbook / "data/processed/lock.json",
        {"process": 999999, "born": 0.0, "command": "evidence build", "since": "long ago"},
    )

    with store.lock("next"):
        assert read_json(workbook / "data/processed/lock.json")["command"] == "next"

    assert not (workbook / "data/processed/lock.json").exists()


def test_folders_of_killed_runs_are_cleared_and_never_taken_for_runs(ran):
    workbook, outcome = ran
    left = Store(workbook).new_folder("good")
    write_json(left / "results.json", {"results": {}})

    run_pages(workbook, [page("good")])

    assert not left.exists()
    assert [item["run"] for item in Store(workbook).finished("good")] == [outcome.run[-12:]]


def test_two_runs_are_compared_number_by_number(ran):
    workbook, _ = ran
    other = run_page(workbook, page("good"), {"year": 2014})

    found = compare(workbook, other.run[-12:-6], "published")

    number = found.numbers[0]
    assert found.parameters == {"year": (2014, 2015)}
    assert (number.key, number.a, number.b) == ("found/product", 4028.0, 4030.0)
    assert number.absolute == 2.0
    assert number.relative == 2.0 / 4028.0
    assert found.verdict().startswith("1 of 1 numbers differ")
    assert "found/product" in found.to_html()
    assert json.loads(json.dumps(found.to_json()))["conclusion_changed"] is False


@pytest.mark.parametrize(
    ("a", "b", "share"),
    [((1, 3), (2, 4), 1 / 3), ((1, 2), (3, 4), 0.0), ((1, 2), (1, 2), 1.0), ((1, 1), (1, 1), 1.0)],
)
def test_interval_overlap_is_the_shared_part_of_the_joint_span(ran, a, b, share):
    workbook, outcome = ran
    folders = []
    for name, (low, high) in (("a", a), ("b", b)):
        folder = workbook / name
        shutil.copytree(workbook / "data/processed/runs" / outcome.run, folder)
        estimate = Estimate(key="x", value=1, low=low, high=high)
        verdict = Conclusion.from_interval(estimate).to_json()
        result = Result(text="x", estimates=(estimate,)).to_json()
        write_json(folder / "results.json", {"results": {"r": result}, "conclusion": verdict})
        folders.append(str(folder))

    found = compare(workbook, *folders)

    assert found.numbers[0].overlap == pytest.approx(share)
    assert not found.conclusion_changed


def test_runs_that_cannot_be_compared_are_refused(ran):
    workbook, outcome = ran
    random = run_page(workbook, page("random"))

    with pytest.raises(RunError, match="of one notebook"):
        compare(workbook, outcome.run, random.run)
    with pytest.raises(RunError, match="'zzz' fits no run"):
        compare(workbook, "zzz", "published")


def cell_inputs(source):
    return {"_ih": ["", source, "start"]}


def test_in_jupyterlab_a_run_is_a_draft_and_keeps_nothing(workbook):
    run = start("broken/good", {"year": 2014, "scale": 1.0, "note": ""})

    kept = run.record(found=Result(text="x"))

    assert run.draft
    assert "DRAFT, not published" in repr(kept)
    assert not (workbook / "data" / "processed").exists()


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ({"year": 2013, "scale": 1.0, "note": ""}, "'year' must be one of 2014, 2015"),
        ({"year": "2014", "scale": 1.0, "note": ""}, "'year' must be of type int"),
        ({"scale": 1.0, "note": ""}, "'year' has none"),
        (
            {
                "year": 2014,
                "scale": 1.0,
                "note": "",
                **cell_inputs("yaer: int = 2014\nscale: float = 1.0"),
            },
            "'yaer' is not. Did you mean 'year'",
        ),
        (
            {"year": 2014, "scale": 1.0, "note": "", **cell_inputs("year: int = 2013 + 1")},
            "'year' is worked out",
        ),
        ({"year": 2014, "scale": 1.0, "note": "", **cell_inputs("1 +")}, None),
    ],
)
def test_jupyterlab_meets_the_same_refusals(workbook, namespace, message):
    if message is None:
        assert start("broken/good", namespace).draft
        return
    with pytest.raises(RunError, match=message):
        start("broken/good", namespace)


def test_record_refuses_what_is_not_a_result(workbook):
    values = {"year": 2014, "scale": 1.0, "note": ""}

    with pytest.raises(RunError, match="at least one result"):
        start("broken/good", values).record()
    with pytest.raises(RunError, match="'found' is a int"):
        start("broken/good", values).record(found=1)
    with pytest.raises(RunError, match="lower-case"):
        start("broken/good", values).record(Found=Result(text="x"))


def test_record_is_refused_the_second_time(workbook, monkeypatch):
    folder = workbook / "run"
    folder.mkdir()
    monkeypatch.setenv("EVIDENCE_RUN_FOLDER", str(folder))
    run = start("broken/good", {"year": 2014, "scale": 1.0, "note": ""})
    run.record(found=Result(text="x"))

    with pytest.raises(RunError, match="called once"):
        run.record(found=Result(text="x"))


def test_reading_a_page_that_never_ran_is_refused(workbook):
    with pytest.raises(RunError, match="'nothing' has none"):
        published("nothing")


def test_a_result_that_a_page_does_not_have_is_refused_by_name(workbook):
    results = PageResults("good", {"size": Result(text="x").to_json()})

    with pytest.raises(RunError, match=r"page 'good' must have a result 'chart' .* it has size\."):
        results["chart"]
    assert "chart" not in results
    assert results.get("chart") is None
    assert results["size"].text == "x"


def test_the_rows_of_a_table_and_the_files_read_are_kept_as_provenance(workbook, monkeypatch):
    import pandas as pd

    folder = workbook / "run"
    folder.mkdir()
    monkeypatch.setenv("EVIDENCE_RUN_FOLDER", str(folder))
    run = start("broken/good", {"year": 2014, "scale": 1.0, "note": ""})

    run.record(found=Result(text="x", table=pd.DataFrame({"area_code": ["a", "b"]})))

    kept = read_json(folder / "results.json")["results"]["found"]["provenance"]
    assert kept["rows"] == {"area_code": ["a", "b"]}
    assert kept["parameters"]["year"] == 2014
    assert (folder / "tables" / "found.csv").read_text() == "area_code\na\nb\n"


def test_comments_and_docstrings_do_not_change_the_hash_of_code(tmp_path, monkeypatch):
    def digest(text):
        (tmp_path / "module.py").write_text(text)
        monkeypatch.setattr(identity, "SOURCE", tmp_path)
        identity._module.cache_clear()
        found = identity._module("evidence.module")[0]
        identity._module.cache_clear()
        return found

    plain = digest("def f():\n    return 1\n")

    assert digest('"""Doc."""\n\n\ndef f():\n    """Say."""\n    # why\n    return 1\n') == plain
    assert digest("def f():\n    return 2\n") != plain


def test_the_modules_that_a_notebook_reaches_leave_out_those_that_only_run_or_show(workbook):
    found = identity.code_hashes(workbook / "notebooks/broken/good.ipynb")

    assert {"evidence", "evidence.results", "evidence.runs.record"} <= set(found)
    assert "evidence.data.catalogue" in found
    assert "evidence.data.templates" not in found
    assert not any(name.startswith(identity.UNRELATED) for name in found)


def test_threads_that_ask_for_the_modules_of_notebooks_at_the_same_time_get_the_same_answer(
    workbook, monkeypatch, tmp_path
):
    monkeypatch.setattr(identity, "MEMORY", tmp_path / "nothing" / "remembered.json")
    notebook = workbook / "notebooks/broken/good.ipynb"
    expected = identity.code_hashes(notebook)

    def ask(_):
        identity._module.cache_clear()
        identity._remembered.cache_clear()
        return identity.code_hashes(notebook)

    def let_others_go_on(phase, info):
        time.sleep(0.001)

    gc.callbacks.append(let_others_go_on)
    try:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(ask, range(4)))
    finally:
        gc.callbacks.remove(let_others_go_on)

    assert found == [expected] * 4


KILL = """
import sys, time
from pathlib import Path
from evidence.runs.execute import run_pages
from evidence.runs.pages import Page
pages = [Page(id=f"good-{n}", title="g", notebook="broken/good", parameters={"scale": float(n)})
         for n in range(6)]
run_pages(Path(sys.argv[1]), pages)
"""


def test_a_killed_batch_resumes_without_repeating_what_was_complete(workbook):
    script = workbook / "batch.py"
    script.write_text(KILL)
    batch = subprocess.Popen([sys.executable, str(script), str(workbook)])
    deadline = time.monotonic() + 120
    while not list((workbook / "data/processed/pages").glob("*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    batch.kill()
    batch.wait()
    complete = {item.stem for item in (workbook / "data/processed/pages").glob("*.json")}
    pages = [page("good", id=f"good-{n}", scale=float(n)) for n in range(6)]

    outcomes = {item.page: item for item in run_pages(workbook, pages)}

    assert all(item.state == "complete" for item in outcomes.values())
    assert all(outcomes[name].reused for name in complete)
    assert not all(item.reused for item in outcomes.values())
    values = [
        results(workbook, outcomes[f"good-{n}"].run)["results"]["found"]["estimates"][0]
        for n in range(6)
    ]
    assert [item["value"] for item in values] == [2015.0 * n for n in range(6)]


HANG = """
import sys
from pathlib import Path
from evidence.runs.execute import run_pages
from evidence.runs.pages import Page
run_pages(Path(sys.argv[1]), [Page(id="hangs", title="h", notebook="broken/hangs")])
"""


def test_kernels_end_soon_after_a_killed_batch(workbook):
    script = workbook / "batch.py"
    script.write_text(HANG)
    change_notebook(workbook, "hangs", "time.sleep(60)", "open('up', 'w').close(); time.sleep(60)")
    batch = subprocess.Popen([sys.executable, str(script), str(workbook)])
    started = psutil.Process(batch.pid)
    deadline = time.monotonic() + 60
    while not (workbook / "notebooks" / "broken" / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    below = started.children(recursive=True)

    batch.kill()
    batch.wait()

    _, alive = psutil.wait_procs(below, timeout=10)
    for process in alive:
        process.kill()
    assert len(below) >= 2
    assert alive == []


RENDER = """
import sys, time
from pathlib import Path
from evidence.runs.execute import run_page
from evidence.runs.pages import Page
run_page(Path(sys.argv[1]), Page(id="good", title="g", notebook="broken/good", parameters={}))
Path(sys.argv[1], "data/processed/pages/rendering.json").touch()
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("script", "ready"), [(KILL, "good-*.json"), (RENDER, "rendering.json")], ids=["runs", "after"]
)
def test_temporary_folders_of_a_killed_process_go_with_the_next(workbook, script, ready):
    temporary = workbook / "tmp"
    temporary.mkdir()
    settings = {**os.environ, "TMPDIR": str(temporary)}
    (workbook / "killed.py").write_text(script)
    (workbook / "next.py").write_text(RENDER)
    killed = subprocess.Popen(
        [sys.executable, str(workbook / "killed.py"), str(workbook), "60"], env=settings
    )
    deadline = time.monotonic() + 60
    while not list((workbook / "data/processed/pages").glob(ready)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    left = {path.name.split("-")[0] for path in temporary.iterdir()}
    command = [sys.executable, str(workbook / "next.py"), str(workbook), "0"]
    subprocess.run(command, env=settings, check=True, timeout=60)

    assert left == {"evidence", "pymp"}
    assert list(temporary.iterdir()) == []


def test_a_process_that_lives_on_keeps_its_sockets_when_another_runs(workbook):
    temporary = workbook / "tmp"
    temporary.mkdir()
    settings = {**os.environ, "TMPDIR": str(temporary)}
    (workbook / "first.py").write_text(RENDER)
    command = [sys.executable, str(workbook / "first.py"), str(workbook)]
    first = subprocess.Popen([*command, "60"], env=settings)
    deadline = time.monotonic() + 60
    while not (workbook / "data/processed/pages/rendering.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = sorted(temporary.iterdir())
    subprocess.run([*command, "0"], env=settings, check=True, timeout=60)
    after = sorted(temporary.iterdir())
    first.kill()
    first.wait()

    assert len(before) == 2
    assert after == before


@pytest.mark.parametrize("named", ["kept", "pymp-1/../kept", "../kept"])
def test_only_folders_of_sockets_go_by_the_note_of_a_killed_process(workbook, monkeypatch, named):
    get_temp_dir()  # of this process, before its place for temporary folders is another
    temporary = workbook / "tmp"
    (temporary / "kept").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with kernels.kernel_environment(workbook) as own:
        prefix = Path(own["MPLCONFIGDIR"]).parent.name[:16]
    note = {"process": 2**22 + 1, "born": 0.0, "sockets": named}
    write_json(temporary / f"{prefix}left" / kernels.FORKSERVER_NOTE, note)

    with kernels.kernel_environment(workbook):
        left = sorted(path.name for path in temporary.iterdir())

    assert "kept" in left
    assert f"{prefix}left" not in left


def test_a_place_that_cannot_be_written_to_is_one_line(workbook):
    (workbook / "data" / "processed").write_text("a file, not a folder")

    with pytest.raises(RunError, match=r"below data/processed; .*File exists"):
        run_pages(workbook, [page("good")])


def test_a_full_disk_is_one_line_and_leaves_no_run(workbook, monkeypatch):
    def write(path, value):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(execute, "write_json", write)
    monkeypatch.setattr(store, "write_json", write)

    with pytest.raises(RunError, match="No space left on device"):
        run_pages(workbook, [page("good")])

    assert list(Store(workbook).finished("good")) == []


def test_a_notebook_cut_off_by_a_full_disk_is_passed_over(tmp_path):
    cut = tmp_path / "notebook.ipynb"
    cut.write_text('{"cells": [')

    execute._strip(cut)

    assert cut.read_text() == '{"cells": ['


def test_a_notebook_reads_only_modules_that_its_id_covers(workbook):
    change_notebook(
        workbook,
        "good",
        'text=f\\"{year} times {scale}.\\"',
        'text=\\" \\".join(m for m in __import__(\\"sys\\").modules if m[:8] == \\"evidence\\")',
    )

    outcome = run_page(workbook, page("good"), forked=False)

    loaded = results(workbook, outcome.run)["results"]["found"]["text"].split()
    covered = identity.code_hashes(workbook / "notebooks/broken/good.ipynb")
    missing = [
        name for name in loaded if name not in covered and not name.startswith(identity.UNRELATED)
    ]
    assert missing == []


def test_the_code_is_read_for_its_hash_before_any_kernel_imports_it(workbook, monkeypatch):
    happened = []
    real_hashes, real_kernels = identity.code_hashes, execute.kernel_manager
    monkeypatch.setattr(
        identity, "code_hashes", lambda path: happened.append("hash") or real_hashes(path)
    )
    monkeypatch.setattr(
        execute, "kernel_manager", lambda **how: happened.append("kernel") or real_kernels(**how)
    )

    run_pages(workbook, [page("good")])
    built, happened[:] = list(happened), []
    run_page(workbook, page("good", id="other"))

    assert built[:2] == ["hash", "kernel"]
    assert happened[:2] == ["hash", "kernel"]


def test_a_module_that_cannot_be_imported_is_left_to_the_pages_that_use_it(monkeypatch):
    real, asked = preloading.import_module, []

    def broken(name):
        asked.append(name)
        if name == "evidence.synthesis.pool":
            raise SyntaxError("half written")
        return real(name)

    monkeypatch.setattr(preloading, "import_module", broken)
    preloading.import_parts()

    assert "evidence.synthesis.pool" in asked
    assert "evidence.variation.limits" in asked


def test_reading_ahead_remembers_tables_and_leaves_no_notes(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))
    files._made.clear()

    preloading.read_indicators()

    assert catalogue.noted() == {}
    assert any(key[:2] == ("table", "qof") for _, key in files._made)

    data.indicator("depression-review")
    assert "data/raw/qof/ccgs.csv" in catalogue.noted()


def test_reading_ahead_leaves_what_is_broken_to_the_pages_that_use_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    (tmp_path / "data/definitions/indicators").mkdir(parents=True)
    (tmp_path / "data/definitions/indicators/broken.yml").write_text("id: [", encoding="utf-8")

    preloading.read_indicators()

    assert catalogue.noted() == {}


def test_the_catalogue_notes_are_forgotten_between_runs(workbook):
    start("broken/good", {"year": 2014, "scale": 1.0, "note": ""})

    assert catalogue.noted() == {}


def test_hashes_of_code_are_remembered_by_content_and_survive_a_broken_memory(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(identity, "MEMORY", tmp_path / "memory.json")
    identity._remembered.cache_clear()
    first = identity._code(b"import evidence.data\n")
    (tmp_path / "memory.json").write_text("not json")
    identity._remembered.cache_clear()

    second = identity._code(b"import evidence.data\n")
    identity._remembered.cache_clear()

    assert first == second
    assert second[1] == ["evidence.data"]
    assert "not json" not in (tmp_path / "memory.json").read_text()


def test_an_empty_or_ambiguous_name_of_a_run_is_refused(ran):
    workbook, outcome = ran
    other = run_page(workbook, page("good"), {"year": 2014})

    with pytest.raises(RunError, match="'' fits no run"):
        Store(workbook).find("")
    assert {Store(workbook).find(item.run)["run"] for item in (outcome, other)} == {
        outcome.run[-12:],
        other.run[-12:],
    }
