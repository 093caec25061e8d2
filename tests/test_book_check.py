"""The checks of a built site: each fault is found, and a sound page passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence.book import check

SOUND = """<!DOCTYPE html><html lang="en-GB"><head><title>A</title>
<link rel="stylesheet" href="_static/a.css?v=1"><script src="_static/a.js"></script></head>
<body><h1 id="top">A</h1><p><a href="#top">up</a> <a href="b.html#part">b</a>
<a href="https://doi.org/10.1/x">out</a> <a href="mailto:x@y.z">write</a></p>
<img src="data:image/svg+xml,%3Csvg/%3E" alt="A drawing of a line"/></body></html>"""
OTHER = '<html lang="en-GB"><h1>B</h1><p id="part">b <a href="a.html">back</a></p></html>'


def a_site(folder: Path, text: str = SOUND) -> Path:
    (folder / "_static").mkdir()
    for name in ("a.css", "a.js"):
        (folder / "_static" / name).write_text("", encoding="utf-8")
    (folder / "a.html").write_text(text, encoding="utf-8")
    (folder / "b.html").write_text(OTHER, encoding="utf-8")
    return folder


def test_a_sound_site_has_no_problem(tmp_path: Path) -> None:
    assert check(a_site(tmp_path)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("b.html#part", "c.html", "broken link: c.html"),
        ("b.html#part", "b.html#gone", "broken anchor: b.html#gone"),
        ('"#top"', '"#gone"', "broken anchor: #gone"),
        ("_static/a.css?v=1", "_static/z.css", "broken link: _static/z.css"),
        ("_static/a.css?v=1", "https://cdn.example/a.css", "<link> loads from another host"),
        ("_static/a.js", "//cdn.example/a.js", "<script> loads from another host"),
        ('alt="A drawing of a line"', "", "has no alternative text"),
        ('alt="A drawing of a line"', 'alt="  "', "has no alternative text"),
        ("A drawing of a line", "line.png", "a file name as alternative text: line.png"),
        ("<p>", '<p style="color: red">', "an inline style= on <p>"),
        ("<p>", '<p onclick="x()">', "an inline onclick= on <p>"),
        ("<p>", "<style>p {}</style><p>", "an inline <style>"),
        ("<p>", "<script>x()</script><p>", "an inline <script>"),
        ("<p>", '<p id="top">', "the id 'top' comes more than once"),
        ('lang="en-GB"', "", "the language must be en-GB; it is not stated"),
        ("<h1", "<h1>Z</h1><h1", "one main heading; it has 2"),
        ("<p>", "<p>/home/somebody/x ", "a path of the machine stands on the page: /home/"),
        ("<p>", "<p>/srv/workbook ", "a path of the machine stands on the page: /srv/workbook"),
    ],
)
def test_a_fault_is_found_and_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SOUND
    found = [str(p) for p in check(a_site(tmp_path, SOUND.replace(old, new)), forbidden=["/srv/w"])]

    said = said.replace("/srv/workbook", "/srv/w")
    assert len(found) == 1
    assert found[0].startswith("a.html: ")
    assert said in found[0]


def test_links_out_of_a_folder_are_followed(tmp_path: Path) -> None:
    site = a_site(tmp_path)
    (site / "sub").mkdir()
    inner = '<html lang="en-GB"><h1>C</h1><a href="../b.html#part">b</a><a href="./d.html">d</a>'
    (site / "sub/c.html").write_text(inner, encoding="utf-8")

    assert [str(problem) for problem in check(site)] == ["sub/c.html: broken link: ./d.html"]


def test_an_empty_folder_is_no_site(tmp_path: Path) -> None:
    assert [problem.text for problem in check(tmp_path)] == [f"there is no page in {tmp_path.name}"]
