"""Our own CSV and Canvas': what is in them, and what never is."""

import csv
import io
import re
from dataclasses import replace

import pytest
from told import HOSTILE, NO_SCORE, People, Person, hostile, override, report, standing

from grader.batch.export import Options, export
from grader.batch.export.common import defused
from grader.batch.tally import Tally
from grader.errors import UsageError

PEOPLE = People(
    sub_a=Person("101", name="doe, =jane", ids={"uid": "101", "fid": "7"}),
    sub_b=Person("102", name="roe", ids={"uid": "102"}),
    sub_c=Person("103", ids={"uid": "103"}),
)
CLASS = [standing("sub_a", penalty=2.5), standing("sub_b", "wrong_mlp"), standing("sub_c", "dropout_good")]
ASSIGNMENT = "CNN on CIFAR 10 (9876)"


def rows(exported):
    (data,) = exported.files.values()
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))


def records(exported):
    header, *body = rows(exported)
    return [dict(zip(header, row, strict=True)) for row in body]


def test_an_unknown_format_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="found 'canvas_csv'. Did you mean 'canvas-csv'"):
        export("canvas_csv", [], People(), Options())


# ------------------------------------------------------------------ ours


def test_one_row_a_student_and_one_column_a_criterion():
    exported = export("csv", CLASS, People(), Options())
    first = records(exported)[0]
    found = report("full_spanish_stored_outputs")
    assert [row["student"] for row in records(exported)] == ["sub_a", "sub_b", "sub_c"]
    assert (first["score"], first["penalty"], first["total"]) == (f"{found.score:.2f}", "2.50", f"{found.score - 2.5:.2f}")
    assert (first["max_score"], first["pending_points"], first["status"]) == ("100.00", f"{found.pending_points:.2f}", "graded")
    for line in found.criteria:
        assert first[line.id] == ("" if line.earned is None else f"{line.earned:.2f}"), "not decided is empty, never zero"
    assert sum(float(first[line.id] or 0) for line in found.criteria) == pytest.approx(found.score)
    assert (exported.written, exported.left_out) == (3, ())


def resting(**more):
    """A standing whose points for accuracy rest on the record."""
    found = standing("sub_a", **more)
    criteria = tuple(replace(line, earned=6.0, basis="recorded") if line.id == "train.accuracy" else line for line in found.report.criteria)
    return replace(found, report=replace(found.report, criteria=criteria))


def test_points_that_rest_on_the_record_are_named():
    assert records(export("csv", [resting()], PEOPLE, Options()))[0]["recorded, not measured"] == "train.accuracy"
    assert records(export("csv", CLASS, PEOPLE, Options()))[0]["recorded, not measured"] == ""
    assert Tally([resting()]).lines["train.accuracy"].recorded == 1
    assert Tally([resting(overrides=(override("train.accuracy", 3.0, 1),))]).lines["train.accuracy"].recorded == 0


def test_names_only_where_they_are_asked_for():
    text = export("csv", CLASS, PEOPLE, Options()).files["marks.csv"].decode()
    assert "jane" not in text
    assert "101" not in text
    named = records(export("csv", CLASS, PEOPLE, Options(with_names=True)))
    assert (named[0]["name"], named[0]["platform_id"]) == ("doe, =jane", "101")


def test_with_names_whoever_is_not_known_is_left_out():
    exported = export("csv", [*CLASS, standing("sub_unknown")], PEOPLE, Options(with_names=True))
    assert len(records(exported)) == exported.written == 3
    assert [said.partition(":")[0] for said in exported.left_out] == ["sub_unknown"]


@pytest.mark.parametrize("case", NO_SCORE)
@pytest.mark.parametrize("to", ["csv", "canvas-csv"])
def test_no_score_is_never_a_zero(case, to):
    exported = export(to, [standing("sub_a", case), CLASS[1]], PEOPLE, Options(assignment=ASSIGNMENT))
    assert exported.written == 1
    assert len(exported.left_out) == 1
    assert exported.left_out[0].startswith(f"sub_a: {case}")
    own = [row for row in rows(exported) if "sub_a" in row or "101" in row]
    assert all(not re.fullmatch(r"\d+\.\d\d", cell) for row in own for cell in row)
    assert (len(own) == 1) == (to == "csv")


@pytest.mark.parametrize("to", ["csv", "canvas-csv"])
def test_waiting_and_a_total_that_is_none_or_no_number(to):
    waiting = standing("sub_a", status="waiting", report=None)
    gone = replace(CLASS[1], total=None)
    odd = replace(CLASS[2], total=float("nan"))
    exported = export(to, [replace(waiting, report=None), gone, odd], PEOPLE, Options(assignment=ASSIGNMENT))
    assert exported.written == 0
    assert [said.split(":")[0] for said in exported.left_out] == ["sub_a", "sub_b", "sub_c"]


@pytest.mark.parametrize("to", ["csv", "canvas-csv"])
def test_who_needs_review_is_written_only_where_asked_for(to):
    review = [standing("sub_a", "hostile_forges_frames", score=31.0)]
    exported = export(to, review, PEOPLE, Options(assignment=ASSIGNMENT))
    assert exported.written == 0
    assert "needs_review" in exported.left_out[0]
    assert b"31.00" not in next(iter(exported.files.values()))
    asked = export(to, review, PEOPLE, Options(assignment=ASSIGNMENT, include_review=True))
    assert asked.written == 1
    assert b"31.00" in next(iter(asked.files.values()))


def test_overrides_are_in_the_columns():
    made = (
        override("model.built", 0.5, 1),
        override("model.built", 1.5, 2),
        override("curves.answers", 4.0, 3),
        override("curves.answers", None, 4),
    )
    (row,) = records(export("csv", [standing("sub_a", overrides=made)], PEOPLE, Options()))
    assert row["model.built"] == "1.50", "the newest counts"
    assert row["curves.answers"] == "", "withdrawn"


def test_each_member_of_a_group_has_a_row():
    group = standing("sub_group", members=("sub_a", "sub_b"))
    made = records(export("csv", [group], PEOPLE, Options()))
    assert [(row["student"], row["group"], row["total"]) for row in made] == [
        ("sub_a", "sub_group", made[0]["total"]),
        ("sub_b", "sub_group", made[0]["total"]),
    ]


def test_hostile_text_commands_nothing():
    odd = People(sub_a=Person(HOSTILE, name="=1+1"), sub_b=Person("\t@x", name="\r-2"))
    exported = export("csv", [standing("sub_a", report=hostile()), standing("sub_b")], odd, Options(with_names=True))
    for row in rows(exported):
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            assert not re.search("[\x00-\x08\x1b\u202e\n]", cell)
    assert [row["name"] for row in records(exported)] == ["'=1+1", "'-2"]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", " =1", "\x00=1"])
def test_defused(text):
    assert defused(text)[:1] not in {"=", "+", "-", "@", "\t", "\r"}


# ------------------------------------------------------------------ Canvas

BOOK = (
    "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Other (1),CNN on CIFAR 10 (9876),Final Score\r\n"
    ",,,,,,Manual Posting,(read only)\r\n"
    '"    Points Possible",,,,,10,20.00,(read only)\r\n'
    '"Doe, Jane",101,0042,jane,"A, B",5,,1\r\n'
    "Roe,102,0043,roe,A,5,3,1\r\n"
)


def test_canvas_is_importable_and_keyed_by_id():
    exported = export("canvas-csv", CLASS, PEOPLE, Options(assignment=ASSIGNMENT))
    header, *body = rows(exported)
    assert header == ["Student", "ID", "SIS Login ID", "Section", ASSIGNMENT]
    assert [(row[1], row[4]) for row in body] == [
        ("101", f"{CLASS[0].total:.2f}"),
        ("102", f"{CLASS[1].total:.2f}"),
        ("103", f"{CLASS[2].total:.2f}"),
    ]
    assert exported.written == 3
    assert "jane" not in str(rows(exported))


@pytest.mark.parametrize("title", ["", "CNN on CIFAR 10", "CNN (12a)"])
def test_canvas_needs_the_assignments_number(title):
    with pytest.raises(UsageError, match="--assignment"):
        export("canvas-csv", CLASS, PEOPLE, Options(assignment=title))


def test_canvas_takes_its_cells_from_the_exported_gradebook():
    options = Options(assignment="(9876)", source=BOOK.encode(), file="book.csv")
    exported = export("canvas-csv", CLASS, PEOPLE, options)
    header, points, first = rows(exported)
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", ASSIGNMENT]
    assert points == ["    Points Possible", "", "", "", "", "20.00"]
    assert first == ["Doe, Jane", "101", "0042", "jane", "A, B", f"{CLASS[0].total / 5:.2f}"]
    mark = f"{CLASS[1].total / 5:.2f}"
    assert exported.left_out == (
        f"sub_b: 3 is there already, the grader's mark is {mark}; it is kept (--overwrite replaces it)",
        "sub_c: not a student of the exported gradebook",
    )
    replaced = export("canvas-csv", CLASS, PEOPLE, replace(options, overwrite=True))
    assert rows(replaced)[3][:2] + rows(replaced)[3][5:] == ["Roe", "102", mark]
    assert f"1 mark was replaced (--overwrite): sub_b: 3 is there already, the grader's mark is {mark}." in replaced.notes
    again = export("canvas-csv", CLASS, PEOPLE, replace(options, earlier={"sub_b": ["3.00"]}))
    assert rows(again) == rows(replaced), "the mark that was exported before is ours"
    assert "Scaled to the 20 points of Canvas' assignment." in exported.notes


@pytest.mark.parametrize(
    ("there", "kept"),
    [("EX", True), ("0.00", True), ("17", True), ("N/A", True), ("", False), ("-", False), ("{mark}", False), ("{mark}0", True)],
)
def test_canvas_keeps_what_is_there(there, kept):
    book = BOOK.replace("A,5,3,1", f"A,5,{there.format(mark=f'{CLASS[1].total / 5:.2f}')},1")
    exported = export("canvas-csv", CLASS[1:2], PEOPLE, Options(assignment=ASSIGNMENT, source=book.encode()))
    assert exported.written == (not kept)
    assert len(exported.left_out) == kept


@pytest.mark.parametrize(
    ("stated", "points"),
    [
        ('"1,000"', 1000),
        ('"1,000.00"', 1000),
        ("1000.00", 1000),
        ("1 000", 1000),
        ("1\u202f000", 1000),
        ('"1\u00a0000,00"', 1000),
        ('"1.000,00"', 1000),
        ("1'000.5", 1000.5),
        ('"1,234,567"', 1234567),
        ('"12,5"', 12.5),
        ("0.125", 0.125),
        ("1", 1),
    ],
)
def test_canvas_points_possible_are_read_for_what_they_are(stated, points):
    book = BOOK.replace(",20.00,", f",{stated},")
    exported = export("canvas-csv", CLASS[:1], PEOPLE, Options(assignment=ASSIGNMENT, source=book.encode()))
    _, possible, row = rows(exported)
    assert possible[-1] == f"{points + 1e-9:.2f}", "as Canvas reads it: of 1,000 it would make 1"
    assert float(row[-1]) == pytest.approx(CLASS[0].total * points / 100, abs=0.006)
    words = "1 point" if points == 1 else f"{points:,g} points"
    assert f"Scaled to the {words} of Canvas' assignment." in exported.notes


@pytest.mark.parametrize("stated", ["1.000", '"1,00,000"', "1e3", "ten", "1 00", '"1,000,00"', "1.000.00", "10 pts", "\u0661\u0660"])
def test_canvas_points_possible_that_cannot_be_read_for_sure_are_refused(stated):
    book = BOOK.replace(",20.00,", f",{stated},")
    with pytest.raises(UsageError, match=r"book.csv: the points possible .* cannot be read as one number for sure"):
        export("canvas-csv", CLASS[:1], PEOPLE, Options(assignment=ASSIGNMENT, source=book.encode(), file="book.csv"))


def test_canvas_points_possible_in_a_file_with_semicolons():
    book = BOOK.replace(",", ";").replace('"Doe; Jane"', "Doe").replace('"A; B"', "A")
    for stated in ("1,000", "1.000"):  # there a comma may be the decimal one
        with pytest.raises(UsageError, match="cannot be read"):
            export("canvas-csv", CLASS[:1], PEOPLE, Options(assignment=ASSIGNMENT, source=book.replace("20.00", stated).encode()))
    exported = export("canvas-csv", CLASS[:1], PEOPLE, Options(assignment=ASSIGNMENT, source=book.replace("20.00", "1.000,00").encode()))
    assert "Scaled to the 1,000 points of Canvas' assignment." in exported.notes


@pytest.mark.parametrize(
    ("title", "says"),
    [
        ("Final Project", "may import nothing"),
        ("The final", "may import nothing"),
        ("Current events", "may import nothing"),
        ("Lab 3 Final Score", "imports nothing"),
        ("Unposted Current Score", "imports nothing"),
        ("Final Grade of the CNN", "imports nothing"),
        ("Override Score", "imports nothing"),
        ("Semifinals", ""),
        ("CNN on CIFAR 10", ""),
    ],
)
@pytest.mark.parametrize("source", [None, BOOK])
def test_canvas_titles_that_canvas_takes_for_its_own(title, says, source):
    source = source and source.replace("CNN on CIFAR 10", title).encode()
    exported = export("canvas-csv", CLASS[:1], PEOPLE, Options(assignment=f"{title} (9876)", source=source))
    said = [note for note in exported.notes if "own totals" in note]
    assert len(said) == bool(says)
    assert all(f"{says} into it: {title} (9876)." in note for note in said)
    assert any("The import replaces marks" in note for note in exported.notes) == (source is None)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"a,b\n1,2\n", "Student, ID"),
        (BOOK.replace("(9876)", "(5)").encode(), "0 were found"),
        (b"\xff\xfe\x00", "UTF-8"),
        (BOOK.replace("20.00", "(read only)").encode(), "read only"),
        (b"", "Student, ID"),
    ],
)
def test_canvas_refuses_another_file(source, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        export("canvas-csv", CLASS, PEOPLE, Options(assignment=ASSIGNMENT, source=source, file="book.csv"))


def test_canvas_leaves_out_who_is_not_known_anonymous_or_marked_twice():
    people = PEOPLE | {"sub_d": Person("x7Yz", ids={"anon": "x7Yz"}), "sub_e": Person("101", ids={"uid": "101"})}
    exported = export(
        "canvas-csv",
        [*CLASS, standing("sub_d"), standing("sub_e"), standing("sub_f")],
        People(people),
        Options(assignment=ASSIGNMENT),
    )
    assert [row[1] for row in rows(exported)[1:]] == ["102", "103"]
    assert sorted(said.partition(":")[0] for said in exported.left_out) == ["sub_a", "sub_d", "sub_e", "sub_f"]
    assert not any("101" in said or "doe" in said for said in exported.left_out), "pseudonyms only"


def test_canvas_gives_every_member_of_a_group_the_mark():
    people = People(sub_g=Person("104, 105", members=("104", "105")))
    exported = export("canvas-csv", [standing("sub_g")], people, Options(assignment=ASSIGNMENT))
    assert [row[1] for row in rows(exported)[1:]] == ["104", "105"]
