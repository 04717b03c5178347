"""Moodle's worksheet: only grades and feedback change, every other byte stays."""

import csv
import io
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from told import HOSTILE, NO_SCORE, People, Person, hostile, standing

from grader.batch.export import Options, export
from grader.batch.export.as_moodle import _number_of
from grader.batch.export.worksheet import read
from grader.errors import UsageError

HEADER = (
    "Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,"
    "Last modified (submission),Last modified (grade),Feedback comments"
)
ROWS = [
    'Participant 11,"Doe, ""JJ"" Jane",jane@x.org,Submitted for grading,,50.00,Yes,"Monday, 2 March 2026, 10:00 AM",-,',
    'Participant 12,Ünal Ö,u@x.org,"Submitted\nfor grading",12.00,50.00,Yes,"Monday, 2 March 2026, 10:00 AM","Tuesday, 3 March 2026, 9:00 AM","<p>By hand</p>"',
    "Participant 13,Poe,p@x.org,No submission,,50.00,Yes,-,-,",
    "Participant 14,Loe,l@x.org,Submitted for grading,,50.00,No,-,-,",
]
GERMAN = "ID;Vollständiger Name;Status;Bewertung;Bestwertung;Bewertung kann geändert werden;Zuletzt geändert (Abgabe);Zuletzt geändert (Bewertung);Feedback als Kommentar"
GERMAN_ROWS = [
    "Teilnehmer/in 11;Doe;Zur Bewertung abgegeben;;50,00;Ja;Montag, 2. März 2026, 10:00;-;",
    "Teilnehmer/in 12;Roe;Zur Bewertung abgegeben;7,50;50,00;Ja;Montag, 2. März 2026, 10:00;Montag, 2. März 2026, 11:00;",
]
PEOPLE = People(
    sub_a=Person("11", platform="moodle", name="Doe", ids={"participant": "11"}),
    sub_b=Person("12", platform="moodle", ids={"participant": "12"}),
    sub_d=Person("14", platform="moodle", ids={"participant": "14"}),
    sub_z=Person("99", platform="moodle", ids={"participant": "99"}),
)
CLASS = [standing("sub_a", penalty=5.0), standing("sub_b", "wrong_mlp"), standing("sub_d"), standing("sub_z")]


def sheet(rows=ROWS, header=HEADER, end="\n", encoding="utf-8"):
    return (end.join([header, *rows]) + end).encode(encoding)


def run(data, standings=CLASS, people=PEOPLE, **options):
    return export("moodle", standings, people, Options(source=data, file="grades.csv", **options))


def cells(data, delimiter=",", encoding="utf-8"):
    return list(csv.reader(io.StringIO(data.decode(encoding), newline=""), delimiter=delimiter))


def unchanged(before, after, delimiter=",", encoding="utf-8", allowed=(4, 9)):
    """The changed cells by (row, column); everything between them is equal byte for byte."""
    one, other = read(before, "a"), read(after, "b")
    assert (one.bom, one.encoding, one.delimiter) == (other.bom, other.encoding, other.delimiter)
    skeletons = []
    changed = set()
    for each in (one, other):
        text, last, parts = each.text, 0, []
        for row in each.rows:
            for column, cell in enumerate(row.cells):
                if column in allowed:
                    parts.append(text[last : cell.start])
                    last = cell.end
        skeletons.append((*parts, text[last:]))
    for place, (row, new) in enumerate(zip(one.rows, other.rows, strict=True)):
        changed |= {(place, column) for column, (x, y) in enumerate(zip(row.cells, new.cells, strict=True)) if x.value != y.value}
    assert skeletons[0] == skeletons[1]
    return changed


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_only_grade_and_feedback_change(end, encoding):
    before = sheet(end=end, encoding=encoding)
    exported = run(before, overwrite=True)
    after = exported.files["moodle.csv"]
    assert unchanged(before, after) == {(1, 4), (1, 9), (2, 4)}
    table = cells(after, encoding=encoding)
    assert table[1][4] == f"{CLASS[0].total / 2:.2f}", "scaled from 100 to 50"
    assert table[2][4] == f"{CLASS[1].total / 2:.2f}"
    assert table[2][9] == "<p>By hand</p>", "a person's feedback is kept"
    assert table[1][9].startswith(f"<p>Automatic grading: {CLASS[0].total:.2f} of 100.00 points, after 5.00 were taken off")
    assert exported.written == 2


def test_what_cannot_be_graded_is_told():
    exported = run(sheet(), overwrite=True)
    assert sorted(exported.left_out) == [
        "grades.csv, line 5: the identifier has no mark here; the row is as it was",
        "sub_d: grades.csv, line 6: Moodle says that this grade cannot be changed; the row is as it was",
        "sub_z: no row of grades.csv has its identifier",
    ]
    assert "1 row holds feedback that is not the grader's; it was kept." in exported.notes
    assert not any(name in said for said in (*exported.left_out, *exported.notes) for name in ("Doe", "jane", "Participant"))


@pytest.mark.parametrize("case", NO_SCORE)
def test_no_score_leaves_the_row_as_it_was(case):
    before = sheet()
    exported = run(before, [standing("sub_a", case)])
    assert exported.files["moodle.csv"] == before
    assert exported.written == 0
    assert exported.left_out[0].startswith(f"sub_a: {case}")


def test_a_second_time_changes_nothing():
    once = run(sheet()).files["moodle.csv"]
    assert run(once).files["moodle.csv"] == once


MARK = f"{CLASS[1].total / 2:.2f}"
TYPED = f"12.00 is there already, the grader's mark is {MARK}"


def test_a_grade_that_somebody_typed_is_kept_and_listed():
    exported = run(sheet())
    after = exported.files["moodle.csv"]
    assert unchanged(sheet(), after) == {(1, 4), (1, 9)}
    assert cells(after)[2][4] == "12.00"
    assert f"sub_b: {TYPED}; grades.csv, line 3 is as it was (--overwrite replaces it)" in exported.left_out
    assert (exported.written, set(exported.marks)) == (1, {"sub_a"})


def test_a_grade_that_somebody_typed_is_replaced_where_asked_for_and_listed():
    exported = run(sheet(), overwrite=True)
    assert cells(exported.files["moodle.csv"])[2][4] == MARK
    assert f"1 mark was replaced (--overwrite): sub_b: {TYPED}." in exported.notes


@pytest.mark.parametrize(
    ("there", "earlier", "now"),
    [
        ("12.00", ("12.00",), MARK),  # ours, from an earlier export
        ("12,00", ("10.00", "12.00"), MARK),
        ("-", (), MARK),
        (" ", (), MARK),
        ("0.00", (), "0.00"),  # a zero is a mark
        ("12.01", ("12.00",), "12.01"),
        (MARK + "0", (), MARK + "0"),  # the same mark
    ],
)
def test_whose_grade_it_is(there, earlier, now):
    row = ROWS[1].replace(",12.00,", f',"{there}",')
    exported = run(sheet([row]), CLASS[1:2], earlier={"sub_b": earlier})
    assert cells(exported.files["moodle.csv"])[1][4] == now
    assert (exported.written == 1) == (there == now == MARK + "0" or now == MARK)


def test_columns_are_found_in_another_language_by_what_stands_in_them():
    before = sheet(GERMAN_ROWS, GERMAN)
    exported = run(before, CLASS[:2], overwrite=True)
    after = exported.files["moodle.csv"]
    assert unchanged(before, after, ";", allowed=(3, 8)) == {(1, 3), (1, 8), (2, 3), (2, 8)}
    assert [row[3] for row in cells(after, ";")[1:]] == [f"{each.total / 2:.2f}".replace(".", ",") for each in CLASS[:2]]
    assert exported.left_out == ()
    assert run(after, CLASS[:2]).files["moodle.csv"] == after


def test_columns_can_be_named():
    shuffled = "a,b,c,d\n-,3,x 11,\n"
    with pytest.raises(UsageError, match="not recognised. Name it.*Found 1: a, 2: b, 3: c, 4: d"):
        run(shuffled.encode())
    named = {"identifier": "c", "maximum": "2", "grade": "4"}
    exported = run(shuffled.encode(), columns=named)
    assert exported.files["moodle.csv"] == f"a,b,c,d\n-,3,x 11,{CLASS[0].total * 3 / 100:.2f}\n".encode()
    assert any("Feedback was not written" in note for note in exported.notes)
    assert run(shuffled.encode(), columns=named, feedback=False).notes[:1] != exported.notes[:1]
    with pytest.raises(UsageError, match="a number from 1 to 4"):
        run(shuffled.encode(), columns={**named, "grade": "9"})
    with pytest.raises(UsageError, match="the same column"):
        run(shuffled.encode(), columns={**named, "grade": "2"})


@pytest.mark.parametrize("data", [None, b"", b"\n\n", b"just text\n", b"a,b\x00,c\n", b"\xef\xbb\xbf\xff,a,b\n"])
def test_what_is_no_worksheet_is_refused(data):
    with pytest.raises(UsageError):
        run(data)


def test_a_scale_is_refused():
    scale = sheet([row.replace("50.00", '"Fail, Pass"') for row in ROWS[:1]], HEADER.replace("Maximum Grade", "Scale"))
    with pytest.raises(UsageError, match="the maximum was not recognised"):
        run(scale)


def test_a_mark_above_the_maximum_is_cut_to_it():
    after = run(sheet(), [standing("sub_a", score=120.0)]).files["moodle.csv"]
    assert cells(after)[1][4] == "50.00"


def test_feedback_is_escaped_and_ascii():
    after = run(sheet(encoding="latin-1"), [standing("sub_a", report=hostile())]).files["moodle.csv"]
    feedback = cells(after, encoding="latin-1")[1][9]
    assert "<script" not in feedback
    assert "<img" not in feedback
    assert "&lt;/script&gt;&lt;img" in feedback
    assert feedback.isascii()
    assert set(re.findall(r"</?(\w+)", feedback)) == {"p", "ul", "li"}
    assert HOSTILE not in feedback


def test_a_row_that_stands_twice_is_graded_once():
    exported = run(sheet([ROWS[0], ROWS[0]]), CLASS[:1])
    assert exported.written == 1
    assert any("earlier row" in said for said in exported.left_out)


TEXT = st.text(st.sampled_from('ab",;\n\r\tü1'), max_size=8)


@given(
    table=st.lists(st.lists(TEXT, min_size=3, max_size=5), min_size=2, max_size=6), end=st.sampled_from(["\n", "\r\n"]), bom=st.booleans()
)
def test_any_table_is_taken_apart_as_the_csv_module_does(table, end, bom):
    width = len(table[0])
    if end == "\n":
        table = [[text.replace("\r", "") for text in row] for row in table]  # which the csv module would not quote
    table = [["head"] * width, *[(row + ["x"] * width)[:width] for row in table]]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows(table)
    data = (b"\xef\xbb\xbf" if bom else b"") + text.getvalue().encode()
    found = read(data, "t")
    assert [[cell.value for cell in row.cells] for row in found.rows] == [row for row in table if len(row) > 1 or row[0]]
    assert found.with_cells({}) == data
    place = random.Random(len(data)).randrange(1, len(table))
    again = read(found.with_cells({(place, 1): 'new "value", 1\n'}), "t")
    expected = [list(row) for row in table]
    expected[place][1] = 'new "value", 1\n'
    assert [[cell.value for cell in row.cells] for row in again.rows] == expected


@pytest.mark.parametrize(
    ("text", "number"), [("Participant 11", "11"), ("11", "11"), ("Teilnehmer/in 0012", "12"), ("参加者 7", "7"), ("11 12", ""), ("", "")]
)
def test_identifiers(text, number):
    row = read(f"a,b,c\n{text},1,2\n".encode(), "t").rows[1]
    assert _number_of(row, 0) == number
