"""Broken tables and definitions: each is refused with file, row, column and what to do."""

from __future__ import annotations

import hashlib
import os
import shutil
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import pytest

from evidence import data
from evidence.data import files
from evidence.errors import CatalogueError, DataError, EvidenceError

SOUND = Path(__file__).parent / "broken_tables" / "sound"
COUNTS = "data/raw/clinics/counts.csv"
CODED = "data/raw/clinics/coded.csv"
GROUPS = "data/raw/clinics/groups.csv"
DATASET = "data/raw/clinics/dataset.yml"
INDICATOR = "data/definitions/indicators/helped.yml"
FRAMEWORKS = "data/definitions/frameworks.yml"
AREAS = "data/definitions/areas.yml"


@dataclass(frozen=True)
class Broken:
    """One way to break a file of the sound workbook, and what the refusal must say.

    `says` are parts of the message in any order; the file is always one of them.
    """

    name: str
    file: str
    old: bytes
    new: bytes
    says: tuple[str, ...]
    error: type[EvidenceError] = DataError
    rehash: bool = True


def table(name, old, new, *says, file=COUNTS, **more):
    return Broken(
        name, file, old.encode(), new if type(new) is bytes else new.encode(), says, **more
    )


def stated(name, old, new, *says, file=DATASET, **more):
    return Broken(name, file, old.encode(), new.encode(), says, error=CatalogueError, **more)


ALL = "EVERYTHING"
HEADER = "area_code,period,seen,treated,share,open,group_code,status\n"

CASES = [
    table("ragged header", ",treated,", ",", "rows 2, 3, 4, 5", "7 cells", "has 8"),
    table(
        "missing column",
        ALL,
        HEADER.replace("treated,", "") + "07L,2018-19,200,50.0,true,a,ok\n",
        "'treated'",
        "must have this column",
        "Add",
    ),
    table("misspelt column", "treated", "treatd", "'treated'", "Did you mean 'treatd'?"),
    table("extra column", "group_code,status", "group_code,status,note", "row"),
    table(
        "extra column throughout",
        ALL,
        HEADER.replace("status", "status,note") + "07L,2018-19,200,100,50.0,true,a,ok,x\n",
        "'note'",
        "must be stated in dataset.yml",
    ),
    table("column twice", "treated", "seen", "row 1", "'seen'", "more than once", "rename"),
    table(
        "duplicate key",
        "07L,2019-20",
        "07L,2018-19",
        "row 3",
        "07L, 2018-19 stands already in row 2",
        "Remove",
    ),
    table("negative count", "200,100", "200,-100", "row 2", "'treated'", "at least 0", "-100"),
    table("percentage over 100", "30.0", "130.0", "row 4", "'share'", "at most 100"),
    table(
        "numerator over denominator",
        "300,90",
        "300,900",
        "row 4",
        "'treated'",
        "must not exceed seen",
        "900 and 300",
    ),
    table(
        "unknown area", "07M,2019-20", "07Q,2019-20", "row 5", "'area_code'", "'07Q'", "areas.yml"
    ),
    table("area of another kind", "07M,2019-20", "ENGLAND,2019-20", "row 5", "code of a ccg"),
    table("unknown group", "true,a", "true,z", "row 2", "'group_code'", "groups.csv"),
    table("unknown period", "07M,2019-20", "07M,2019-2020", "row 5", "Did you mean '2019-20'?"),
    table("unknown status code", ",suppressed", ",hidden", "row 5", "'status'", "'hidden'"),
    table("value without ok", "30.0,false,a,ok", "30.0,false,a,null", "row 4", "'share'", "null"),
    table("ok without value", "50.0,true,b", ",true,b", "row 3", "'share'", "status is ok"),
    table("text in a number column", "210,105", "many,105", "row 3", "'seen'", "whole number"),
    table("fraction in a whole column", "210,105", "210.5,105", "row 3", "'seen'", "'210.5'"),
    table("suppression code without status", "210,105", "210,*", "row 3", "status_in", "never 0"),
    table("small number code", "210,105", "210,<5", "row 3", "'treated'", "status_in", "never 0"),
    table("NaN", "30.0", "NaN", "row 4", "'share'", "finite number", "'NaN'", "Leave the cell"),
    table("infinity", "30.0", "inf", "row 4", "'share'", "finite number", "'inf'"),
    table("thousands separator", "210,105", '"1,210",105', "row 3", "'seen'", "thousands"),
    table("decimal comma", "30.0", '"30,0"', "row 4", "'share'", "decimals with a point"),
    table("space around a number", "210,105", " 210,105", "row 3", "'seen'", "' 210'"),
    table("wrong truth value", "false,a", "no,a", "row 4", "'open'", "true or false", "'no'"),
    table("empty cell", "210,105", ",105", "row 3", "'seen'", "must not be empty"),
    table("semicolons", ALL, "area_code;period;seen\n07L;2018-19;3,5\n", "row 1", "semicolon"),
    table("tabs", ALL, "area_code\tperiod\tseen\n07L\t2018-19\t3\n", "row 1", "tab"),
    table("unquoted decimal comma", "30.0", "30,0", "row 4", "8 cells", "has 9", "quotes"),
    table("blank row", "07M,2018-19", "\n07M,2018-19", "row 4", "8 cells", "blank rows"),
    table("open quotes", "300,90", '"300,90', "row 4", "valid CSV", "quotes"),
    table("empty file", ALL, "", "the file is empty", "Restore"),
    table("only blanks", ALL, " \n\n", "the file is empty"),
    table("header only", ALL, HEADER, "only a header", "Restore the rows"),
    table("byte order mark", ALL, b"\xef\xbb\xbf" + HEADER.encode(), "row 1", "byte order mark"),
    table("UTF-16", ALL, HEADER.encode("utf-16"), "row 1", "byte order mark", "UTF-8"),
    table("Windows encoding", "105", "105\xe9".encode("cp1252"), "row 3", "UTF-8", "Windows-1252"),
    table("NUL byte", "300", "3\0000", "row 4", "NUL byte", "damaged"),
    table("line too long", "300", "3" * 200_000, "row 4", "100,000 characters", "line ends"),
    table("row lost", "07M,2019-20,310,95,,false,b,suppressed\n", "", "4 rows", "it has 3"),
    table("changed figure", "300,90", "300,91", "sha256", "if the change is meant", rehash=False),
    table("line ends changed", "\n", "\r\n", "sha256", rehash=False),
    table(
        "part over whole",
        "helped,65",
        "helped,66",
        "row 13",
        "'value'",
        "helped must not exceed waiting",
        "66 and 60 for 07M, 2019-20",
        file=CODED,
    ),
    table("unknown code", "helped,*", "helped,?", "row 3", "'value'", "'?'", file=CODED),
    table("unexplained blank", "helped,*", "helped,", "row 3", "must not be empty", file=CODED),
    table("number beyond all numbers", ",30.0,", ",1e999,", "row 4", "'share'", "must be finite"),
    table("integer beyond 64 bits", "210,105", "9223372036854775808,105", "row 3", "18 digits"),
    table("integer of 5,000 digits", "210,105", "9" * 5000 + ",105", "row 3", "18 digits"),
    table("number of 5,000 digits", ",30.0,", f",{'3' * 5000},", "row 4", "'share'", "'3333"),
    table("integer in powers of ten", "210,105", "1e5,105", "row 3", "'seen'", "'1e5'"),
    table("integer with a plus", "210,105", "+210,105", "row 3", "'seen'", "'+210'"),
    table("integer with an underscore", "210,105", "2_10,105", "row 3", "'seen'", "'2_10'"),
    table("digits of another script", "210,105", "٢١٠,105", "row 3", "'seen'"),
    table("minus sign of typesetters", "210,105", "210,−5", "row 3", "'treated'", "'−5'"),
    table("units below the header", ALL, HEADER + ",,people,people,%,,,\n", "row 2", "'area_code'"),
    table("header twice", "07L,2018-19", HEADER + "07L,2018-19", "row 2", "'area_code'"),
    table("row of totals", "07M,2019-20", "Total,2019-20", "row 5", "'Total'"),
    table("footnote", ",suppressed\n", ",suppressed\nSource: town\n", "row 6", "has 1"),
    table(
        "rows of commas", ",suppressed\n", ",suppressed\n,,,,,,,\n", "row 6", "must not be empty"
    ),
    table("columns of commas", "status\n", "status,,\n", "row 1", "''", "more than once"),
    table("blank first line", ALL, "\n" + HEADER, "row 1", "blank", "Begin the file"),
    table("separator line", ALL, "sep=,\n" + HEADER, "row 2", "2 cells"),
    table("UTF-16 without mark", ALL, HEADER.encode("utf-16-le"), "row 1", "NUL byte"),
    table("gzip", ALL, b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "row 1", "compressed", "Unpack"),
    table("workbook", ALL, b"PK\x03\x04\x14\x00\x00\x00", "row 1", "compressed", "as CSV"),
    table(
        "pointer of Git LFS",
        ALL,
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "row 1",
        "pointer",
        "git lfs pull",
    ),
    table("page of a web site", ALL, "<!DOCTYPE html>\n<html></html>\n", "row 1", "web page"),
    *(
        table(name, "a,Adults", f"a,{cell}", "row 2", "'label'", says, file=GROUPS)
        for name, cell, says in (
            ("space after a text", "Adults ", "'Adults '"),
            ("space before a text", "\u00a0Adults", "space"),
            ("line end in a text", '"Adults\n"', "space"),
            ("character of no width", "Adu\u200blts", "nobody sees"),
            ("bell", "Adu\x07lts", "nobody sees"),
            ("colours of a terminal", "\x1b[31mAdults", "nobody sees"),
            ("order of reading turned", "\u202eAdults", "nobody sees"),
            ("apostrophe decoded twice", "Adultâ€™s", "stand for damage"),
            ("letter decoded twice", "Ã©lite", "stand for damage"),
            ("damaged character", "Adul\ufffds", "stand for damage"),
            ("formula", "=cmd|'/C calc'!A0", "begin like a formula"),
            ("formula with a link", '"=HYPERLINK(""x"",""y"")"', "begin like a formula"),
            ("formula by at", "@SUM(1)", "begin like a formula"),
            ("formula by plus", "+1+cmd", "begin like a formula"),
            ("formula by minus", "-1+cmd|x", "begin like a formula"),
        )
    ),
    table("space after a code", "07L,2017-18,w", "07L,2017-18 ,w", "row 2", "space", file=CODED),
    stated("licence missing", "licence: OGL-UK-3.0\n", "", "licence", "it is missing", "Add it"),
    stated("licence unknown", "OGL-UK-3.0", "OGL-UK-3", "line 6", "Did you mean 'OGL-UK-3.0'?"),
    stated("licence empty", "OGL-UK-3.0", "", "licence", "must be text"),
    stated("disclosure unknown", "published\npub", "public\npub", "line 8", "restricted"),
    stated(
        "restricted, no rule", "published\npub", "restricted\npub", "disclosure_rule", "missing"
    ),
    stated(
        "restricted, rule too coarse",
        "published\npub",
        "restricted\ndisclosure_rule: {threshold: 1, base: 10}\npub",
        "disclosure_rule",
        "no count above the threshold is rounded to 0",
    ),
    stated(
        "published, but with a rule",
        "published\npub",
        "published\ndisclosure_rule: {threshold: 7, base: 5}\npub",
        "line 9",
        "not a known key",
    ),
    stated("unknown key", "left_out", "leftout", "left_out", "it is missing"),
    stated("key too many", "limits:", "limit: x\nlimits:", "line 17", "'limits'?"),
    stated("unknown status", '"*": suppressed', '"*": hidden', "line 14", "'hidden'"),
    stated("rounding in words", "{england: 1, other: 5}", "five", "line 13", "rounding"),
    stated("rounding of nothing", "other: 5", "other: 0", "line 13", "whole units"),
    stated("unknown column type", "type: flag", "type: boolean", "columns[6].type", "flag"),
    stated("column twice", "name: treated", "name: seen", "columns", "twice"),
    stated("key is no column", "[area_code, period]", "[area, period]", "key", "'area'"),
    stated("file elsewhere", "counts.csv\n", "../counts.csv\n", "plain file name"),
    stated("hash is no hash", '"SHA256 OF counts.csv"', '"abc"', "64 hexadecimal digits"),
    stated("rows as text", "rows: 4", "rows: four", "tables[1].rows", "whole number", "'four'"),
    stated("bound as text", "min: 0, max", "min: zero, max", "must be a number"),
    stated("bound not finite", "min: 0, max", "min: .inf, max", "finite number"),
    stated("yes for true", "empty: true", 'empty: "yes"', "columns[5].empty", "true or false"),
    stated("unknown rule", "value_only_if_ok", "value_if_ok", "rules", "rule 2"),
    stated("unknown caution", "cautions: []", "cautions: [{kind: bad, text: x}]", "series_break"),
    stated("no period", '["2017-18", "2018-19", "2019-20"]\nr', "[]\nr", "periods", "at least one"),
    stated("limits as text", "limits:\n  - Made", "limits: Made", "limits", "a list of texts"),
    stated("cautions as text", "cautions: []", "cautions: [old]", "list of mappings"),
    stated("YAML syntax", "grain: area", "grain: [area", "line 1", "valid YAML"),
    stated("YAML tab", "publisher: Town", "publisher:\tTown\n\tx: y", "line 4", "valid YAML"),
    stated(
        "YAML key twice",
        "publisher: Town",
        "publisher: Town\npublisher: City",
        "line 4",
        "'publisher' stands already in line 3",
        "Remove one",
    ),
    stated(
        "YAML aliases that multiply",
        "publisher: Town",
        "publisher: Town\nx0: &x0 [a, a]\n"
        + "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "line 4",
        "aliases",
    ),
    stated("YAML alias to itself", "publisher: Town", "publisher: &p [*p]", "line 3", "aliases"),
    stated("YAML merge", "publisher: Town", "<<: {publisher: Town}", "line 3", "valid YAML"),
    stated("YAML tag", "rows: 4", "rows: !!int four", "line 23", "tags are not read", "int"),
    stated("YAML Python tag", ": Town", ": !!python/name:os.system ''", "line 3", "tags are not"),
    stated("YAML date by tag", '"2020"', "!!timestamp 2020-99-99", "line 9", "tags are not read"),
    stated("YAML nested 31 deep", ": Town", f": {'[' * 31}{']' * 31}", "line 3", "30 levels"),
    stated(
        "YAML nested deep", ": Town", f": {'[' * 400_000}{']' * 400_000}", "line 3", "30 levels"
    ),
    stated("YAML list as a key", ": Town", ": Town\n? [a, b]\n: c", "line 4", "must be text"),
    stated("YAML mapping as a key", ": Town", ": Town\n? {a: b}\n: c", "line 4", "must be text"),
    stated(
        "YAML truth as a key", '"c": suppressed', "NO: suppressed", "line 14", "False", "quotes"
    ),
    stated("YAML number as a key", '"c": suppressed', "7: suppressed", "line 14", "7 needs quotes"),
    stated("YAML octal number", "rows: 4", "rows: 010", "line 23", "'010'", "plain digits"),
    stated("YAML number by the clock", "rows: 4", "rows: 1:30", "line 23", "'1:30'", "quotes"),
    stated("YAML hexadecimal number", "rows: 4", "rows: 0x4", "line 23", "'0x4'"),
    stated("YAML number too long", "rows: 4", f"rows: {'9' * 5000}", "line 23", "18 digits"),
    stated("YAML bound too long", "min: 0, max", f"min: {'9' * 401}, max", "18 digits"),
    stated("YAML two documents", ": Town", ": Town\n---\n", "line 4", "valid YAML"),
    stated("YAML bell", ": Town", ": To\x07wn", "valid YAML", "control characters"),
    stated("YAML merge conflict", "publisher", "<<<<<<< HEAD\npublisher", "line 4", "valid YAML"),
    stated("YAML list", "id: clinics", "- id: clinics", "line 2", "valid YAML"),
    stated("another id", "id: clinics", "id: clinic", "line 1", "'clinics'"),
    stated("codes of aeras", "{areas: [ccg]}}", "{aeras: [ccg]}}", "columns[1].of", "areas: [of"),
    stated("codes of areas in words", "{areas: [ccg]}}", "{areas: ccg}}", "columns[1].of", "ccg"),
    stated("codes of an unknown kind", "{areas: [ccg]}}", "{areas: [ccgs]}}", "columns[1].of"),
    stated("codes by name", "{areas: [ccg]}}", "{areas: [ccg], by: name}}", "columns[1].of"),
    stated("codes of nothing", "{table: groups, column: group_code}", "{}", "columns[7].of"),
    stated("codes of no column", ", column: group_code}", "}", "columns[7].of"),
    stated(
        "codes of another column", "column: group_code}", "column: code}", "no 'code' in groups"
    ),
    stated("codes of another table", "table: groups", "table: group", "'group_code' in group.csv"),
    stated("bounds of text", "name: label, type: text,", "name: label, type: text, min: 3,", "min"),
    stated("bounds crossed", "min: 0, max: 100", "min: 100, max: 0", "columns[5].min", "above max"),
    stated(
        "status of text", "type: text, allowed: [w", "status_in: s, type: text, allowed: [w", "s"
    ),
    stated("address of a script", "url: not stated", "url: 'javascript:x'", "line 5", "https://"),
    stated("address in words", "url: not stated", "url: ask us", "line 5", "'not stated'"),
    stated(
        "caution of another period",
        "cautions: []",
        "cautions: [{kind: other, text: x, periods: ['1999-00']}]",
        "line 19",
        "must be about periods",
    ),
    stated("no key", "[area_code, period]\n", "[]\n", "tables[1].key", "known from another"),
    stated("file twice", "file: groups.csv", "file: counts.csv", "counts.csv comes twice"),
    stated("rule of three columns", "[treated, seen]", "[treated, seen, open]", "tables[1].rules"),
    stated("rule of no column", "[treated, seen]", "[treated, sen]", "tables[1].rules", "'sen'"),
    stated("rule of a word", "[treated, seen]", "treated", "tables[1].rules", "[column, column]"),
    stated("rule of no measure", "part: helped", "part: helpd", "tables[3].rules", "'helpd'"),
    stated("rule without part", "part: helped, ", "", "tables[3].rules", "slack: number"),
    stated("rule with a word", "slack: 5", "slack: five", "tables[3].rules", "'five'"),
    stated("no direction", "direction_better: higher\n", "", "direction_better", file=INDICATOR),
    stated("bad direction", ": higher", ": up", "line 22", "higher, lower, none", file=INDICATOR),
    stated("unknown dataset", "dataset: clinics", "dataset: clinic", "line 10", file=INDICATOR),
    stated("unknown table", "table: coded", "table: codes", "Did you mean 'coded'", file=INDICATOR),
    stated(
        "unknown measure",
        "[waiting]",
        "[waitin]",
        "denominator.measures",
        "Did you mean 'waiting'?",
        file=INDICATOR,
    ),
    stated(
        "unknown value column", "value: value", "value: valeu", "numerator.value", file=INDICATOR
    ),
    stated("unknown tag", "[S1,", "[S7,", "line 24", "'S7' is none", file=INDICATOR),
    stated("no tags", "[S1, waiting]", "[]", "line 24", "at least one", file=INDICATOR),
    stated("zero multiplier", "100", "0", "multiplier", "above 0", file=INDICATOR),
    stated("long short name", "short: Helped", "short: " + "x" * 29, "28", file=INDICATOR),
    stated("period unknown", '_period: "2019-20"', '_period: "2020-21"', "line 31", file=INDICATOR),
    stated("period of no table", 's: ["2017-18",', 's: ["1999-00",', "'1999-00'", file=INDICATOR),
    stated("period twice", 's: ["2017-18",', 's: ["2017-18", "2017-18",', "once", file=INDICATOR),
    stated(
        "period mapped to none",
        ': "2017-18"}',
        ': "2107-18"}',
        "line 30",
        "'2107-18'",
        file=INDICATOR,
    ),
    stated("period mapped for none", '{"2018-19":', '{"2018-91":', "must map", file=INDICATOR),
    stated("caution of no period", 's: ["2018-19"]', 's: ["2018-91"]', "line 32", file=INDICATOR),
    stated(
        "value is text",
        "[helped]\n  value: value",
        "[helped]\n  value: period",
        "line 13",
        "column of numbers",
        file=INDICATOR,
    ),
    stated(
        "several values of where",
        "[helped]\n",
        "[helped]\n  where: {area_code: [07L]}\n",
        "numerator.where",
        "one value",
        file=INDICATOR,
    ),
    stated("standard over all", "{value: 50,", "{value: 5000,", "at most 100", file=INDICATOR),
    stated(
        "borough that is none",
        "Barnet,",
        "Barnet, boroughs: [E0900],",
        "areas[2].boroughs",
        file=AREAS,
    ),
    stated(
        "successor that is none",
        "Barnet,",
        "Barnet, successor: ZZZ,",
        "areas[2].successor",
        file=AREAS,
    ),
    stated(
        "two areas of one name",
        "name: Barnet",
        "name: Barking and Dagenham",
        "areas[2].name",
        file=AREAS,
    ),
    stated(
        "end that is no date", "Barnet,", "Barnet, abolished: soon,", "must be a date", file=AREAS
    ),
    stated(
        "day that is none", "Barnet,", "Barnet, from: 2021-02-30,", "must be a date", file=AREAS
    ),
    stated(
        "measure taken off itself",
        "[helped]\n",
        "[helped]\n  minus: [helped]\n",
        "numerator.minus",
        file=INDICATOR,
    ),
    stated("two areas of one code", "E38000005", "E38000004", "areas[2].ons_code", file=AREAS),
    stated(
        "two areas on one tile",
        "kind: country}",
        "kind: country}\n  - {code: E1, name: A, kind: borough, row: 1, col: 2}"
        "\n  - {code: E2, name: B, kind: borough, row: 1, col: 2}",
        "areas[5].row",
        "A has it too",
        file=AREAS,
    ),
    stated(
        "step twice",
        "{id: S1, name: one step}",
        "{id: S1, name: a}, {id: S1, name: b}",
        "line 3",
        "comes twice",
        file=FRAMEWORKS,
    ),
    stated("area twice", "07M", "07L", "areas[2].code", "Barking and Dagenham", file=AREAS),
    stated("unknown kind", "kind: country", "kind: nation", "line 4", "country", file=AREAS),
    stated("areas as text", "areas:\n", "areas: none\n#", "valid YAML", file=AREAS),
]


def break_file(root: Path, case: Broken) -> None:
    path = root / case.file
    content = path.read_bytes()
    assert case.old == ALL.encode() or case.old in content, "the case changes nothing"
    many = content.count(case.old) if case.old == b"\n" else 1
    path.write_bytes(
        case.new if case.old == ALL.encode() else content.replace(case.old, case.new, many)
    )
    if not case.rehash:
        shutil.copy(SOUND / case.file, path.with_suffix(".sound"))


def state_hashes(root: Path) -> None:
    """Put the hashes of the tables into dataset.yml; of the sound copy where there is one."""
    folder = root / "data" / "raw" / "clinics"
    text = (folder / "dataset.yml").read_text(encoding="utf-8")
    for path in sorted(folder.glob("*.csv")):
        kept = path.with_suffix(".sound")
        digest = hashlib.sha256((kept if kept.exists() else path).read_bytes()).hexdigest()
        text = text.replace(f"SHA256 OF {path.name}", digest)
        kept.unlink(missing_ok=True)
    (folder / "dataset.yml").write_text(text, encoding="utf-8")


def everything(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    shutil.copytree(SOUND, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    return tmp_path


def use_all() -> None:
    for name in ("counts", "groups", "coded"):
        data.load("clinics", name)
    data.definition("helped")


def test_the_unbroken_workbook_is_accepted(workbook):
    state_hashes(workbook)
    use_all()
    assert data.check() == []


def test_there_are_more_than_25_cases_with_names_of_their_own():
    names = [case.name + case.file for case in CASES]
    assert len(set(names)) == len(names) > 25


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_file_is_refused_by_file_row_column_and_remedy(workbook, case):
    break_file(workbook, case)
    state_hashes(workbook)
    before = everything(workbook)
    with pytest.raises(case.error) as caught:
        use_all()
    message = str(caught.value)
    assert case.file in message
    for words in case.says:
        assert words in message
    assert message.count("\n") < 3
    assert len(message) < 700
    assert everything(workbook) == before
    assert any(case.says[0] in problem for problem in data.check())


def test_a_file_of_1_gb_is_refused_before_it_is_read(workbook):
    state_hashes(workbook)
    with (workbook / COUNTS).open("r+b") as stream:
        stream.truncate(1_000_000_000)
    tracemalloc.start()
    with pytest.raises(DataError, match="at most 50 MB; it has 1,000 MB and was not read"):
        data.load("clinics", "counts")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_definition_of_2_mb_is_refused(workbook):
    with (workbook / DATASET).open("ab") as stream:
        stream.write(b"#" * 2_000_000)
    with pytest.raises(CatalogueError, match="at most 1 MB"):
        data.dataset("clinics")


def test_a_missing_table_is_refused_by_name(workbook):
    state_hashes(workbook)
    (workbook / COUNTS).unlink()
    with pytest.raises(DataError, match=r"counts\.csv must be a file; there is none"):
        data.load("clinics", "counts")


RULE = "disclosure: restricted\ndisclosure_rule: {threshold: 7, base: 5}\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("numerator over denominator", "treated must not exceed seen"),
        ("negative count", "at least 0"),
        ("fraction in a whole column", "whole number"),
        ("part over whole", "helped must not exceed waiting"),
    ],
)
def test_what_is_wrong_in_restricted_data_is_told_without_what_its_cells_hold(workbook, name, told):
    case = next(case for case in CASES if case.name == name)
    break_file(workbook, case)
    path = workbook / DATASET
    path.write_text(path.read_text().replace("disclosure: published\n", RULE))
    state_hashes(workbook)
    with pytest.raises(DataError, match=told) as caught:
        use_all()
    assert "row" in str(caught.value)
    assert "what came is not told, for the data are restricted" in str(caught.value)
    for digits in ("900", "300", "-100", "210", "66", "60"):
        assert digits not in str(caught.value)


def test_an_impossible_figure_of_restricted_data_is_told_without_its_counts(workbook):
    path = workbook / DATASET
    path.write_text(path.read_text().replace("disclosure: published\n", RULE))
    path = workbook / INDICATOR
    path.write_text(path.read_text().replace("[helped]", "[helped, helped]"))
    state_hashes(workbook)
    with pytest.raises(DataError, match=r"Barnet has more in 2019-20"):
        data.indicator("helped")


def test_a_plausibility_check_of_absent_columns_is_refused(workbook):
    path = workbook / DATASET
    setting = "plausibility: [{standard_error_for_sd: {sd: [seen]}}]\n    rules:\n      - part"
    path.write_text(path.read_text().replace("rules:\n      - part", setting))
    state_hashes(workbook)
    with pytest.raises(CatalogueError, match=r"must name columns of coded\.csv.*got \{'sd'"):
        data.notices("clinics")


def test_a_message_shows_the_beginning_of_a_long_value(workbook):
    path = workbook / DATASET
    path.write_text(path.read_text().replace("limits:\n  - Made", f"limits: {'x' * 900}\n# Made"))
    with pytest.raises(CatalogueError, match="limits must be a list") as caught:
        data.dataset("clinics")
    assert "x" * 150 + "x" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_definition_in_another_encoding_is_refused_with_its_line(workbook):
    path = workbook / DATASET
    path.write_bytes(path.read_bytes().replace(b"Town", b"T\xf6wn"))
    with pytest.raises(CatalogueError, match="line 3: a definition must be UTF-8"):
        data.dataset("clinics")


def test_an_empty_definition_is_refused(workbook):
    (workbook / DATASET).write_bytes(b"")
    with pytest.raises(
        CatalogueError, match="must hold 'key: value' lines; this file holds nothing"
    ):
        data.dataset("clinics")


def test_check_finds_every_problem_of_every_file(workbook):
    for case in CASES:
        if case.name in ("negative count", "wrong truth value", "unknown code"):
            break_file(workbook, case)
    (workbook / "data/raw/clinics/stray.csv").write_text("a\n1\n")
    state_hashes(workbook)
    found = "\n".join(data.check())
    for words in ("at least 0", "'no'", "'?'", "stray.csv"):
        assert words in found


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("clinics/counts.xlsx", "every table must be stated in dataset.yml"),
        ("clinics/COUNTS.CSV", "every table must be stated in dataset.yml"),
        ("patients/list.csv", "must lie beside a dataset.yml"),
        ("patients/more/list.tsv", "must lie beside a dataset.yml"),
        ("list.csv", "must lie beside a dataset.yml"),
        ("practice/list.csv", "must lie beside a dataset.yml"),
    ],
)
def test_a_file_that_nothing_describes_is_found(workbook, path, says):
    state_hashes(workbook)
    file = workbook / "data" / "raw" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("name\nA\n")
    (file.parent / ".DS_Store").write_text("")
    (problem,) = data.check()
    assert problem.startswith(f"data/raw/{path}: ")
    assert says in problem


def test_a_file_that_may_not_be_read_is_refused_by_name(workbook, monkeypatch):
    state_hashes(workbook)

    def refuse(path, mode):
        raise PermissionError(13, "Permission denied")

    data.dataset("clinics")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"counts\.csv must be readable; Permission denied\. Corr"):
        files.read_table(workbook / COUNTS)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)])
def test_what_is_no_file_is_refused_without_waiting(workbook, make):
    state_hashes(workbook)
    (workbook / COUNTS).unlink()
    make(workbook / COUNTS)
    with pytest.raises(DataError, match=r"counts\.csv must be (a file|readable)"):
        data.load("clinics", "counts")


def test_the_first_problem_is_raised_and_the_others_are_counted(workbook):
    for case in CASES:
        if case.name in ("negative count", "wrong truth value"):
            break_file(workbook, case)
    state_hashes(workbook)
    with pytest.raises(DataError, match=r"at least 0.*\(1 more problem in this table\.\)"):
        data.load("clinics", "counts")


def test_many_rows_with_one_problem_are_one_problem(workbook):
    path = workbook / COUNTS
    rows = "".join(f"X{n},2018-19,1,1,1,true,a,ok\n" for n in range(9))
    path.write_text(HEADER + rows)
    state_hashes(workbook)
    with pytest.raises(DataError, match="rows 2, 3, 4, 5 and 5 more, column 'area_code'"):
        data.load("clinics", "counts")


def test_rows_are_counted_as_in_the_file_even_after_a_cell_with_a_line_break(workbook):
    path = workbook / "data/raw/clinics/groups.csv"
    path.write_text('group_code,label\na,"two\nlines"\nb,\nb,again\n')
    state_hashes(workbook)
    with pytest.raises(DataError, match=r"row 5: .* b stands already in row 4"):
        data.load("clinics", "groups")


def test_suppression_codes_become_a_status_and_never_a_number(workbook):
    state_hashes(workbook)
    coded = data.load("clinics", "coded")
    assert coded["value"].isna().tolist() == [
        *(False, True, True, True, False, False),
        *(True, True, False, False, False, False),
    ]
    assert coded["status"].tolist()[:8] == [
        *("ok", "suppressed", "suppressed", "null", "ok", "ok", "suppressed", "missing")
    ]
    assert str(coded["value"].dtype) == "Int64"
