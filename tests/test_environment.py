"""The environment: files that name the same packages, a lock without addresses, one set-up."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

DESIGN_CARD = (
    "jupyterlab",
    "pandas",
    "statsmodels",
    "scikit-learn",
    "seaborn",
    "jupyter-book",
    "papermill",
)

COME_WITH_JUPYTER_BOOK = {
    "docutils",
    "myst_nb",
    "myst_parser",
    "sphinx",
    "sphinx_design",
    "sphinxcontrib",
}
"""Its exact pin fixes these, so that they are not declared a second time."""

HOSTS = tuple(
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("anaconda", "org"),
        ("deb", "debian", "org"),
    )
)
"""Hosts of package registries; put together here so that this file does not hold one either."""

MACHINE_FOLDER = re.compile(r"(?<![\w.:/~-])/(?:root|work|farm|home/(?!somebody)\w+|Users/\w+)/\w")


def needs() -> list[Requirement]:
    project = PROJECT["project"]
    return [
        Requirement(text)
        for text in [
            *project["dependencies"],
            *project["optional-dependencies"]["test"],
            *PROJECT["build-system"]["requires"],
        ]
    ]


def pins() -> list[Requirement]:
    """Every pin of the lock, without its hashes."""
    logical = re.sub(r"\\\n\s*", "", LOCK).splitlines()
    return [Requirement(line.split(" --hash=")[0]) for line in logical if line.strip()]


def conda_ranges() -> dict[str, str]:
    found = {}
    for entry in CONDA["dependencies"]:
        if isinstance(entry, str):
            name, ranges = re.fullmatch(r"([\w.-]+)(.*)", entry).groups()
            found[canonicalize_name(name)] = ranges
    return found


def outside_imports(package: Path) -> dict[str, str]:
    """Top-level modules from outside the package and the standard library -> a file of each."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                first = name.split(".")[0]
                if first != "evidence" and first not in sys.stdlib_module_names:
                    found[first] = path.relative_to(package).as_posix()
    return found


def undeclared(package: Path) -> list[str]:
    """Imports whose package is not declared in pyproject.toml."""
    homes = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(Requirement(t).name) for t in PROJECT["project"]["dependencies"]}
    return [
        f"{file}: {module}"
        for module, file in outside_imports(package).items()
        if not declared & {canonicalize_name(home) for home in homes.get(module, [])}
        and module not in COME_WITH_JUPYTER_BOOK
    ]


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_conda_names_and_ranges_are_those_of_the_project():
    project = {
        canonicalize_name(need.name): text.removeprefix(need.name)
        for text in PROJECT["project"]["dependencies"]
        for need in [Requirement(text)]
    }
    conda = conda_ranges()
    assert conda.pop("pip") == ""
    assert conda.pop("python") == PROJECT["project"]["requires-python"]
    assert conda == project


def test_every_import_of_the_package_is_a_declared_dependency():
    assert undeclared(ROOT / "src" / "evidence") == []


def test_an_import_that_nobody_declared_is_found(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    import packaging.version, json\n", "utf-8")
    assert undeclared(tmp_path) == ["a.py: packaging"]


def test_the_note_on_dependencies_names_each_and_no_other():
    note = (ROOT / "book" / "decisions" / "0002-dependencies.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w-]+)` \|", note, flags=re.MULTILINE)
    assert named == [Requirement(text).name for text in PROJECT["project"]["dependencies"]]


def test_the_design_cards_packages_are_named():
    assert set(DESIGN_CARD) <= set(conda_ranges())


def test_conda_forge_is_the_only_channel_and_pip_installs_only_the_project():
    assert CONDA["channels"] == ["conda-forge"]
    assert [entry for entry in CONDA["dependencies"] if isinstance(entry, dict)] == [
        {"pip": ["-e ."]}
    ]


@pytest.mark.parametrize("need", needs(), ids=str)
def test_the_lock_pins_what_the_project_needs_within_its_range(need):
    versions = [pin for pin in pins() if canonicalize_name(pin.name) == need.name.lower()]
    assert versions, f"requirements.lock lacks {need.name}; run make lock"
    for pin in versions:
        assert need.specifier.contains(exact(pin)), f"{pin} is outside {need}; run make lock"


def exact(pin: Requirement) -> str:
    (only,) = pin.specifier
    assert only.operator == "=="
    return only.version


def test_the_lock_serves_windows_macos_and_later_pythons_too():
    for system, python in [("win32", "3.12"), ("darwin", "3.13"), ("linux", "3.11")]:
        there = {
            **default_environment(),
            "sys_platform": system,
            "os_name": "nt" if system == "win32" else "posix",
            "platform_system": {"win32": "Windows", "darwin": "Darwin"}.get(system, "Linux"),
            "python_version": python,
            "python_full_version": f"{python}.9",
        }
        chosen = [pin.name for pin in pins() if pin.marker is None or pin.marker.evaluate(there)]
        assert len(chosen) == len(set(chosen)), f"two pins of one package on {system} {python}"
        assert {"numpy", "scipy", "jupyterlab"} <= set(chosen)
        assert ("pywinpty" in chosen) == (system == "win32")
        assert ("colorama" in chosen) == (system == "win32")


def test_every_pin_of_the_lock_has_hashes_and_no_address():
    for entry in re.sub(r"\\\n\s*", "", LOCK).splitlines():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    for sign in ("://", "@", "--index-url", "--find-links", "-e ", "file:"):
        assert sign not in LOCK


def test_the_environment_that_runs_the_tests_is_the_locks():
    if sys.prefix == sys.base_prefix and "CI" not in os.environ:
        pytest.skip("NOT CHECKED: the tests run outside a virtual environment")
    differing = []
    for pin in pins():
        if pin.marker is None or pin.marker.evaluate():
            try:
                installed = importlib.metadata.version(pin.name)
            except importlib.metadata.PackageNotFoundError:
                installed = "missing"
            if installed == "missing" or Version(installed) != Version(exact(pin)):
                differing.append(f"{pin.name}: locked {exact(pin)}, installed {installed}")
    assert differing == [], "run make setup"


def test_no_tracked_file_names_a_registry_host_or_a_folder_of_one_machine():
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {host}" for host in HOSTS if host in text]
        found += [f"{path.relative_to(ROOT)}: {m[0]}…" for m in MACHINE_FOLDER.finditer(text)]
    assert found == []


def test_the_check_for_machine_folders_and_hosts_can_fail():
    assert MACHINE_FOLDER.search("open('" + "/".join(["", "root", "x.csv"]) + "')")
    assert not MACHINE_FOLDER.search("see https://example.org/work/one and book/work/x")
    assert HOSTS[0] == "pypi" + ".org"


def stub(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def bootstrap(tmp_path: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up on a copy with only these programs and the base tools at hand."""
    tools, copy = tmp_path / "bin", tmp_path / "copy"
    (copy / ".ci").mkdir(parents=True)
    tools.mkdir()
    shutil.copy(ROOT / ".ci" / "bootstrap", copy / ".ci")
    (copy / "requirements.lock").write_text("numpy==2.4.6\n", encoding="utf-8")
    for tool in ("sh", "dirname", "cut", "head", "grep", "rm"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    for name, script in programs.items():
        stub(tools, name.replace("_", "."), script)
    return subprocess.run(
        ["sh", str(copy / ".ci" / "bootstrap")],
        env={"PATH": str(tools), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def real_python_but(answer: str) -> str:
    """A Python that is real, but whose `-m pip --version` is `answer`."""
    return f'if [ "$1 $2" = "-m pip" ]; then {answer}; else exec "{sys.executable}" "$@"; fi'


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        ({}, "Python 3.11 or later is needed; found: "),
        (
            {"python3": 'case $1 in --version) echo "Python 3.9.2";; *) exit 1;; esac'},
            "Python 3.11 or later is needed; found: Python 3.9.2.",
        ),
        ({"python3": real_python_but("exit 1")}, "pip is needed and python3 has none."),
        (
            {"python3": real_python_but('echo "pip 20.3.4 from /x (python 3.11)"')},
            "pip 22.3 or later is needed; python3 has 20.3.4.",
        ),
        (
            {
                "python3": 'case $1 in --version) echo "Python 3.9.2";; *) exit 1;; esac',
                "python3_12": real_python_but("exit 1"),
            },
            "pip is needed and python3.12 has none.",
        ),
    ],
    ids=["no python", "old python", "no pip", "old pip", "a later python beside an old one"],
)
def test_set_up_refuses_in_one_line_that_says_what_to_do(tmp_path, programs, said):
    outcome = bootstrap(tmp_path, **programs)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not (tmp_path / "copy" / ".venv").exists()


def make(*targets: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", *targets],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_make_without_a_target_lists_every_target_with_what_it_does():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^\.PHONY: ([a-z-]+)$", text, flags=re.MULTILINE)
    listed = [line.split()[1] for line in make().splitlines()]
    assert listed == targets


def test_every_target_that_ci_calls_is_a_target_of_make():
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    called = re.search(r"^for target in ([a-z -]+); do$", text, flags=re.MULTILINE)[1].split()
    assert {"test", "lint", "report"} <= set(called)
    assert set(called) <= {line.split()[1] for line in make().splitlines()}
