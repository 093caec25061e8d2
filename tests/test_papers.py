"""The papers of the house: what they name exists, and they are written as agreed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest
import typer
import yaml

import evidence
from evidence import cli

ROOT = Path(__file__).resolve().parents[1]
DECISIONS = sorted((ROOT / "book" / "decisions").glob("*.md"))
PAPERS = [
    *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG")),
    *DECISIONS,
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

CFF_REQUIRED = {"cff-version", "message", "title", "authors"}
CFF_KNOWN = CFF_REQUIRED | {
    "abstract",
    "type",
    "version",
    "license",
    "keywords",
    "date-released",
    "doi",
    "repository-code",
    "url",
    "references",
    "preferred-citation",
    "identifiers",
    "contact",
}

papers = pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.name)


def code_in(text: str) -> list[str]:
    """Lines that stand in code: fenced blocks and spans between back-ticks."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [line for block in fenced for line in block.splitlines()] + re.findall(r"`(.+?)`", rest)


def prose_in(text: str) -> list[str]:
    """Lines of prose, without code, tables and headings."""
    rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [line for line in rest.splitlines() if line and line[0] not in "|#"]


def broken_links(text: str, folder: Path) -> list[str]:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [t for t in targets if "://" not in t and not (folder / t).exists()]


def unknown_targets(text: str) -> list[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, flags=re.MULTILINE))
    named = [m[1] for line in code_in(text) if (m := re.match(r"make ([a-z-]+)", line))]
    return [target for target in named if target not in known]


def unknown_commands(text: str) -> list[str]:
    """Command lines of `evidence` in code whose command or long option does not exist."""
    unknown = []
    for line in code_in(text):
        words = line.split()
        if words[1:2] in ([], ["…"]) or words[0].split("/")[-1] != "evidence":
            continue
        command: click.Command = typer.main.get_command(cli.app)
        for word in words[1:]:
            if isinstance(command, click.Group) or hasattr(command, "commands"):
                inner = command.commands.get(word)
                if inner is None:
                    unknown.append(line)
                    break
                command = inner
            elif word.startswith("-"):
                options = {name for option in command.params for name in option.opts}
                if word not in options:
                    unknown.append(line)
    return unknown


def crowded_lines(text: str) -> list[str]:
    return [
        line
        for line in prose_in(text)
        if re.search(r"[a-z0-9)`*\]][.?!] [A-Z]", re.sub(r"^\d+\. |\b[A-Z]\. ", "", line))
    ]


@papers
def test_links_lead_somewhere(path):
    assert broken_links(path.read_text(encoding="utf-8"), path.parent) == []


@papers
def test_named_make_targets_exist(path):
    assert unknown_targets(path.read_text(encoding="utf-8")) == []


@papers
def test_named_commands_exist(path):
    assert unknown_commands(path.read_text(encoding="utf-8")) == []


@papers
def test_each_sentence_has_its_line(path):
    assert crowded_lines(path.read_text(encoding="utf-8")) == []


def test_the_checks_of_papers_can_fail():
    assert broken_links("see [this](no/such.md)", ROOT) == ["no/such.md"]
    assert unknown_targets("run `make coffee`") == ["coffee"]
    assert unknown_commands("```\nevidence pagess\n```") == ["evidence pagess"]
    assert unknown_commands("`.venv/bin/evidence new indikator`") != []
    assert unknown_commands("`evidence compare A B --colour red`") != []
    assert unknown_commands("`evidence compare A B --json` and `evidence data check`") == []
    assert crowded_lines("One sentence. Another one.") != []
    assert crowded_lines("| in a table. It may |\n```\nin code. It may\n```") == []


def test_readme_names_the_two_commands_and_the_way_without_make():
    said = code_in((ROOT / "README.md").read_text(encoding="utf-8"))
    for line in ("make report", "make test", "python -m pip install -e .", "evidence build"):
        assert line in said


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_note_has_date_status_and_its_three_parts(path):
    text = path.read_text(encoding="utf-8")
    assert re.match(rf"# {path.name[:4]} \S", text)
    assert re.search(r"^Date: \d{4}-\d{2}-\d{2}$", text, flags=re.MULTILINE)
    assert re.search(r"^Status: (proposed|accepted|superseded by \d{4})$", text, flags=re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == [
        "Context",
        "Decision",
        "Consequences",
    ]
    told = [line for line in text.splitlines() if line and not line.startswith("|")]
    assert len(told) <= 30


def test_decision_notes_are_numbered_without_gaps():
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_citation_file_holds_what_the_format_asks_and_nothing_unknown():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert set(citation) >= CFF_REQUIRED
    assert set(citation) <= CFF_KNOWN
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert all("name" in author or "family-names" in author for author in citation["authors"])


def test_version_licence_and_authors_are_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] == evidence.__version__
    assert citation["license"] == PROJECT["license"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{citation['license']} ")
    assert citation["authors"] == PROJECT["authors"]


def test_the_changelog_starts_with_what_is_unreleased():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\)", v) for v in versions[1:])
    kinds = re.findall(r"^### (.+)$", text, flags=re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
