"""Who handed in what, as each platform's own download tells it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from class_samples import GRADESCOPE, NOTEBOOK, packed, spread, zipped

from grader.errors import NotGradable, NothingToGrade, UsageError
from grader.sources import resolve
from grader.sources.classes import read_class

CANVAS = [
    "doejane_1001_501_hw.ipynb",
    "müllerzoë_LATE_1002_502_hw-1.ipynb",
    "team_a_1003_503_my_hw_7_8_final.ipynb",
    "李明_1004_504_hw (1).ipynb",
    "__MACOSX/._doejane_1001_501_hw.ipynb",
    "._doejane_1001_501_hw.ipynb",
]
MOODLE = [
    "Jane Doe_301_assignsubmission_file/hw.ipynb",
    "Zoë van der Müller_302_assignsubmission_file/work/part/hw.ipynb",
    "O'Neil-Smith_303_assignsubmission_file/hw_2_final.ipynb",
]


def by_student(found):
    return {handed.student: handed for handed in found.handed_in}


def readable(found):
    """Every reference leads to the file that it says, and no two to the same one."""
    read = [resolve(handed.reference) for handed in found.handed_in]
    assert [submission.file for submission in read] == [Path(handed.reference.rpartition("!")[2]).name for handed in found.handed_in]
    assert len({submission.sha256 for submission in read}) == len(read)
    return True


@pytest.fixture(params=["zip", "folder", "wrapped zip"])
def build(request, tmp_path):
    """Members as a zip, as the folder that it unpacks to, and as that folder packed again."""

    def made(members, name="download"):
        if request.param == "folder":
            return spread(tmp_path / name, members)
        if request.param == "wrapped zip":
            pairs = members.items() if isinstance(members, dict) else [(member, None) for member in members]
            members = {f"{name}/{member}": data for member, data in pairs}
        return zipped(tmp_path / f"{name}.zip", members)

    return made


# ------------------------------------------------------------------ Canvas


def test_canvas(build):
    found = read_class([build(CANVAS)])
    told = by_student(found)
    assert found.problems == ()
    assert {handed.platform for handed in found.handed_in} == {"canvas"}
    assert set(told) == {"1001", "1002", "1003", "1004"}
    assert (told["1001"].name, told["1001"].late, told["1001"].file, told["1001"].ids) == (
        "doejane",
        False,
        "hw.ipynb",
        {"uid": "1001", "fid": "501"},
    )
    assert (told["1002"].name, told["1002"].late, told["1002"].file) == ("müllerzoë", True, "hw-1.ipynb")
    assert (told["1003"].name, told["1003"].file) == ("team_a", "my_hw_7_8_final.ipynb")
    assert (told["1004"].name, told["1004"].attempt) == ("李明", None)
    assert readable(found)


def test_canvas_names_of_digits_or_none(build):
    found = read_class(
        [build(["2024001_1001_501_7_hw.ipynb", "2024002_LATE_1002_502_hw.ipynb", "1003_503_hw.ipynb", "LATE_1004_504_hw.ipynb"])]
    )
    assert {one.student: (one.name, one.ids["fid"], one.late, one.file) for one in found.handed_in} == {
        "1001": ("2024001", "501", False, "7_hw.ipynb"),
        "1002": ("2024002", "502", True, "hw.ipynb"),
        "1003": ("", "503", False, "hw.ipynb"),
        "1004": ("", "504", True, "hw.ipynb"),
    }


def test_canvas_anonymous(build):
    found = read_class([build(["anon_aB3xY_501_hw.ipynb", "LATE_anon_7_502_hw.ipynb"])])
    told = by_student(found)
    assert {student: (one.name, one.late, dict(one.ids)) for student, one in told.items()} == {
        "aB3xY": ("", False, {"anon": "aB3xY", "fid": "501"}),
        "7": ("", True, {"anon": "7", "fid": "502"}),
    }


def test_canvas_without_a_notebook(build):
    found = read_class([build([*CANVAS, "roejohn_1005_505_report.pdf", "poejim_1006_text.html", "loemary_LATE_1007_link.html"])])
    assert {one.student: one.file for one in found.handed_in[4:]} == {"1005": "report.pdf", "1006": "text.html", "1007": "link.html"}
    assert len(found.problems) == 3
    for name, problem in zip(
        ("loemary_LATE_1007_link.html", "poejim_1006_text.html", "roejohn_1005_505_report.pdf"), found.problems, strict=True
    ):
        assert f"only {name} was submitted. Ask for the notebook" in problem.replace("download/", "")


def test_canvas_twice_downloaded_is_two_attempts(tmp_path):
    early = zipped(tmp_path / "early.zip", ["doejane_1001_501_hw.ipynb", "roejohn_1002_502_hw.ipynb"])
    late = zipped(tmp_path / "late.zip", ["doejane_1001_600_hw-1.ipynb", "roejohn_1002_502_hw.ipynb"])
    found = read_class([late, early, early])
    assert [(one.student, one.attempt, one.ids["fid"]) for one in found.handed_in] == [
        ("1001", 1, "501"),
        ("1001", 2, "600"),
        ("1002", None, "502"),
    ]
    assert found.problems == ()


def test_canvas_files_named_one_by_one(tmp_path):
    folder = spread(tmp_path / "x", CANVAS[:4])
    found = read_class(sorted(folder.glob("*.ipynb")))
    assert set(by_student(found)) == {"1001", "1002", "1003", "1004"}


def test_a_stranger_among_canvas_files(build):
    found = read_class([build([*CANVAS, "solution.ipynb", "notes/other.ipynb"])])
    assert len(found.handed_in) == 4
    (problem,) = found.problems
    assert "the file names identify no student for" in problem
    assert "solution.ipynb" in problem
    assert "notes/other.ipynb" in problem


# ------------------------------------------------------------------ Moodle


@pytest.mark.parametrize(
    "form",
    [lambda name: name, lambda name: name.replace("_file/", "_file_/"), lambda name: name.replace("_file/", "_file_").replace("/", "_")],
)
def test_moodle(build, form):
    found = read_class([build([form(name) for name in MOODLE] + [form("Ann Roe_304_assignsubmission_onlinetext/onlinetext.html")])])
    told = by_student(found)
    assert told.pop("304").file == "onlinetext.html", "in the class, though it cannot be graded"
    assert {student: (one.name, dict(one.ids)) for student, one in told.items()} == {
        "301": ("Jane Doe", {"participant": "301"}),
        "302": ("Zoë van der Müller", {"participant": "302"}),
        "303": ("O'Neil-Smith", {"participant": "303"}),
    }
    assert told["303"].file == "hw_2_final.ipynb"
    assert all(one.platform == "moodle" and one.late is None and one.submitted_at is None for one in found.handed_in)
    (problem,) = found.problems
    assert "onlinetext.html was submitted" in problem
    assert readable(found)


def test_moodle_text_beside_a_notebook_is_one_hand_in(build):
    names = ["Jane Doe_301_assignsubmission_file/hw.ipynb", "Jane Doe_301_assignsubmission_onlinetext/onlinetext.html"]
    found = read_class([build([*names, "Jane Doe_301_assignfeedback_file/hw.ipynb"])])
    assert [one.student for one in found.handed_in] == ["301"]
    assert found.problems == ()


@pytest.mark.parametrize("word", ["Participant", "Teilnehmer-in", "Participante", "参加者"])
def test_moodle_anonymous(build, word):
    found = read_class([build([f"{word}_{number}_assignsubmission_file/hw.ipynb" for number in (301, 302)])])
    assert {(one.student, one.name) for one in found.handed_in} == {("301", ""), ("302", "")}


def test_moodle_teams(build):
    found = read_class([build(["Team Owls_71_assignsubmission_file/hw.ipynb", "Default group_assignsubmission_file/hw.ipynb"])])
    assert {(one.student, one.name, one.ids.get("participant")) for one in found.handed_in} == {
        ("71", "Team Owls", "71"),
        ("Default group", "Default group", None),
    }


# ------------------------------------------------------------------ Gradescope


def test_gradescope(build):
    members = {
        "submission_metadata.yml": GRADESCOPE.encode(),
        "submission_409194023/hw.ipynb": None,
        "submission_500000001/hw.ipynb": None,
        "submission_600000002/src/hw.ipynb": None,
        "submission_700000003/hw.ipynb": None,
        "submission_900000005/hw.ipynb": None,
    }
    found = read_class([build(members, "assignment_42_export")])
    told = by_student(found)
    assert set(told) == {"first@example.edu", "alice@example.edu, bob@example.edu", "00333"}
    one = told["first@example.edu"]
    assert (one.name, one.attempt, one.members) == ("First Last", 2, ())
    assert one.submitted_at == datetime(2026, 4, 26, 17, 34, 0, 861_687, tzinfo=UTC)
    assert one.ids == {"submission": "409194023", "sid": "0123456789", "email": "first@example.edu"}
    group = told["alice@example.edu, bob@example.edu"]
    assert (group.members, group.name) == (("alice@example.edu", "bob@example.edu"), "Alice A, Bob B")
    assert group.ids == {"submission": "500000001"}
    assert group.submitted_at == told["00333"].submitted_at == datetime(2026, 4, 26, 17, 0, tzinfo=UTC)
    assert told["00333"].name == ""
    assert readable(found)
    assert len(found.problems) == 3
    assert "submission_700000003: submission_metadata.yml names no student" in found.problems[0]
    assert "submission_800000004" in found.problems[1]
    assert "submission_900000005/hw.ipynb" in found.problems[2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not readable YAML|something else"),
        (b"- a\n- b\n", "something else"),
        (b"a: [", "not readable YAML"),
        (b"\xff\xfe\x00", "not readable YAML"),
        (b"[" * 900, "not readable YAML"),
        (b"[" * 200_000, "not readable YAML"),
        (b"- " * 100_000, "not readable YAML"),
        (b"x" * 65 * 2**20, "could not be read"),
    ],
)
def test_gradescope_metadata_that_is_none(tmp_path, data, words):
    path = spread(tmp_path / "x", {"submission_metadata.yml": data, "submission_1/hw.ipynb": None})
    with pytest.raises(NotGradable, match=words):
        read_class([path])


def test_gradescope_metadata_builds_nothing_but_text(tmp_path):
    evil = b"submission_1:\n  :submitters:\n  - :email: !!python/object/apply:os.system [touch /tmp/x]\n  - :email: !!int '7'\n    ? [a]\n    : b\n"
    bomb = b"a: &a [x, x]\nb: &b [*a, *a]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (n, n, n - 1, n - 1) for n in range(ord("c"), ord("z")))
    path = spread(tmp_path / "x", {"submission_metadata.yml": evil + bomb, "submission_1/hw.ipynb": None})
    assert [one.student for one in read_class([path]).handed_in] == ["7"]


# ------------------------------------------------------------------ nbgrader

STAMP = b"2015-02-02 14:58:23.948203 UTC\n"
COURSE = {
    "submitted/alice/ps1/hw.ipynb": None,
    "submitted/alice/ps1/timestamp.txt": STAMP,
    "submitted/bob_b/ps1/hw.ipynb": None,
    "submitted/bob_b/ps1/.ipynb_checkpoints/hw-checkpoint.ipynb": None,
    "source/ps1/hw.ipynb": None,
    "gradebook.db": b"",
}


def test_nbgrader_course(build):
    found = read_class([build(COURSE)])
    told = by_student(found)
    assert found.problems == ()
    assert set(told) == {"alice", "bob_b"}
    assert (told["alice"].platform, told["alice"].ids) == ("nbgrader", {"student": "alice", "assignment": "ps1"})
    assert told["alice"].submitted_at == datetime(2015, 2, 2, 14, 58, 23, 948_203, tzinfo=UTC)
    assert told["bob_b"].submitted_at is None
    assert readable(found)


def test_nbgrader_parts_of_a_course(tmp_path):
    course = spread(tmp_path / "course", COURSE | {"submitted/bob_b/ps1/timestamp.txt": STAMP})
    whole = read_class([course])
    assert read_class([course / "submitted"]) == whole
    assert read_class(sorted(course.glob("submitted/*/ps1"))) == whole
    assert read_class(sorted(course.glob("submitted/*"))) == whole


def test_nbgrader_several_assignments(build):
    path = build(COURSE | {"submitted/alice/ps2/other.ipynb": None})
    with pytest.raises(UsageError, match=r"there are 2: ps1, ps2\. Give the folders of one"):
        read_class([path])


def test_nbgrader_inbound(tmp_path):
    names = ["a+b+ps1+2015-02-02 14:00:00.000000 UTC", "a+b+ps1+2015-02-03 14:00:00.5 UTC+q8x", "bob+ps1+2015-02-02 09:00:00 UTC"]
    inbound = spread(tmp_path / "inbound", [f"{name}/hw.ipynb" for name in names] + [f"{names[2]}/submission_secret.txt"])
    found = read_class([inbound])
    assert found.problems == ()
    assert [(one.student, one.attempt, one.submitted_at.day) for one in found.handed_in] == [("a+b", 1, 2), ("a+b", 2, 3), ("bob", None, 2)]
    alone = read_class([inbound / names[2]])
    assert [(one.student, one.ids["assignment"], one.submitted_at.hour) for one in alone.handed_in] == [("bob", "ps1", 9)]


INBOUND = ["bo+Lab 3+CNN+2026-03-01 10:00:00 UTC", "a+b+c+d+2026-03-01 10:00:00.5 UTC+q8x", "x@y+z+ps 1+2026-03-01 10_00_00 UTC"]


@pytest.mark.parametrize("name", INBOUND)
@pytest.mark.parametrize("others", [[], ["cy+hw+2026-03-02 09:00:00 UTC", "di+hw+2026-03-02 09:00:00 UTC"]])
def test_nbgrader_inbound_where_the_student_ends_is_unclear(build, name, others):
    found = read_class([build([f"{one}/hw.ipynb" for one in (name, *others)], "inbound")])
    assert [one.student for one in found.handed_in] == ["cy", "di"][: len(others)]
    assert any(f"where the student ends is unclear in {name}." in problem for problem in found.problems)


@pytest.mark.parametrize(
    ("name", "other", "student"),
    [
        (INBOUND[0], "CNN", "bo+Lab 3"),
        (INBOUND[0], "Lab 3", None),
        (INBOUND[1], "d", "a+b+c"),
        (INBOUND[2], "ps 1", "x@y+z"),
    ],
)
def test_nbgrader_inbound_is_settled_by_the_assignments_name(build, name, other, student):
    found = read_class([build([f"{one}/hw.ipynb" for one in (name, f"cy+{other}+2026-03-02 09:00:00 UTC")], "inbound")])
    assert {one.student: one.ids["assignment"] for one in found.handed_in} == {"cy": other} | ({student: other} if student else {})
    assert len(found.problems) == (0 if student else 2)


def test_nbgrader_inbound_mapped_by_a_person(tmp_path):
    inbound = spread(tmp_path / "inbound", [f"{INBOUND[0]}/hw.ipynb", "cy+hw+2026-03-02 09:00:00 UTC/hw.ipynb"])
    (tmp_path / "m.csv").write_text(f"file,student\n{INBOUND[0]},bo\n", encoding="utf-8")
    found = read_class([inbound], mapping=tmp_path / "m.csv")
    assert {one.student for one in found.handed_in} == {"bo", "cy"}


@pytest.mark.parametrize("stamp", [b"yesterday", b"2015-13-40 99:00:00 UTC", b"0001-01-01 00:00:00 +14:00", b"\xff" * 20, b"x" * 2_000])
def test_nbgrader_a_time_that_is_none(build, stamp):
    found = read_class([build(COURSE | {"submitted/alice/ps1/timestamp.txt": stamp})])
    assert by_student(found)["alice"].submitted_at is None
    (problem,) = found.problems
    assert "timestamp.txt" in problem
    assert "unknown time" in problem


@pytest.mark.parametrize(
    ("stamp", "hour"),
    [
        (b"2015-02-02 14:58:23", 14),
        (b"2015-02-02T14:58:23.9Z", 14),
        (b"2015-02-02 14:58:23.948203 +0200", 12),
        (b"2015-02-02 14:58:23 -05", 19),
    ],
)
def test_nbgrader_forms_of_a_time(tmp_path, stamp, hour):
    path = spread(tmp_path / "x", COURSE | {"submitted/alice/ps1/timestamp.txt": stamp})
    assert by_student(read_class([path]))["alice"].submitted_at.hour == hour


# ------------------------------------------------------------------ repositories and plain folders


def test_repositories(tmp_path):
    folder = spread(tmp_path / "hw1-submissions", ["hw1-anna-b/hw.ipynb", "hw1-anna-c/src/hw.ipynb", "hw1-anna-c/node_modules/x.ipynb"])
    spread(folder, {"hw1-anna-b/.git/HEAD": b"", "hw1-anna-c/.git/HEAD": b"", "hw1-empty/.git/HEAD": b"", "hw1-anna-b/README.md": b""})
    found = read_class([folder])
    assert {(one.platform, one.student, one.ids["repository"]) for one in found.handed_in} == {
        ("repositories", "anna-b", "hw1-anna-b"),
        ("repositories", "anna-c", "hw1-anna-c"),
    }
    (problem,) = found.problems
    assert "nothing to read in hw1-empty/" in problem


def test_repositories_downloaded_as_archives(tmp_path):
    folder = spread(
        tmp_path / "x",
        {f"hw1-{name}-main.zip": packed({f"hw1-{name}-main/hw.ipynb": NOTEBOOK + name.encode()}) for name in ("ada", "bo", "cy")},
    )
    found = read_class([folder])
    assert [one.student for one in found.handed_in] == ["ada", "bo", "cy"]
    assert readable(found)


def test_a_folder_of_notebooks_and_of_folders(build):
    found = read_class([build(["Ada_Lovelace.ipynb", "bo.b.IPYNB", "cy/hw.ipynb", "cy/data/x.csv", ".hidden/x.ipynb", "grades.csv"])])
    assert [(one.platform, one.student, one.file) for one in found.handed_in] == [
        ("folder", "Ada_Lovelace", "Ada_Lovelace.ipynb"),
        ("folder", "bo.b", "bo.b.IPYNB"),
        ("folder", "cy", "hw.ipynb"),
    ]
    (problem,) = found.problems
    assert "grades.csv" in problem
    assert readable(found)


def test_one_student_in_one_folder(build):
    found = read_class([build(["ada/hw.ipynb"], "class")])
    assert [one.student for one in found.handed_in] in (["ada"], ["class"])


def test_names_that_an_archive_did_not_say_are_utf_8(tmp_path):
    path = tmp_path / "class.zip"
    path.write_bytes(packed({"Zo##.ipynb": NOTEBOOK}).replace(b"Zo##.ipynb", "Zoë.ipynb".encode()))  # as the Finder writes it
    found = read_class([path])
    assert [one.student for one in found.handed_in] == ["Zoë"]
    assert resolve(found.handed_in[0].reference).data == NOTEBOOK


def test_one_spelling_of_a_name(tmp_path):
    found = read_class([spread(tmp_path / "one", ["Zoe\u0308.ipynb"])])
    assert [one.student for one in found.handed_in] == ["Zo\u00eb"]
    assert resolve(found.handed_in[0].reference).data


NAMES = ["{}.ipynb.json", "{}.ipynb.txt", "{}.ipynb (1)", "{}.json", "{}.txt", "{}", "{}.ipynb.html", "{}.ipynb_"]
UNREADABLE = ["{}.tar.gz", "{}.rar", "{}.7z", "{}.py", "{}.html", "{}.pdf", "{}.ipynb.txt", "{}.ipynb.json", "{}.tgz", "{}.docx"]
FORMS = {
    "folder": "{}",
    "folders": "s{0}/{1}",
    "canvas": "who_{0}_9{0}_{1}",
    "moodle": "Who {0}_{0}_assignsubmission_file/{1}",
    "nbgrader": "submitted/s{0}/ps1/{1}",
}


@pytest.mark.parametrize("form", FORMS)
def test_work_by_another_name_is_in_the_class(build, form):
    """What is a notebook by its content is graded, whatever it is called; what is none stays in the class."""
    members = {FORMS[form].format(number, f"ok{number}.ipynb") if form != "folder" else f"ok{number}.ipynb": None for number in range(3)}
    notebooks = [name.format(f"n{number}") for number, name in enumerate(NAMES)]
    others = [name.format(f"o{number}") for number, name in enumerate(UNREADABLE)]
    for number, name in enumerate([*notebooks, *others], 10):
        path = name if form == "folder" else FORMS[form].format(number, name)
        members[path] = NOTEBOOK[:-1] + f', "n": {number}}}'.encode() if name in notebooks else b"\x1f\x8b " + name.encode()
    found = read_class([build(members)])
    told = {one.file: one for one in found.handed_in}
    assert set(told) == {"ok0.ipynb", "ok1.ipynb", "ok2.ipynb", *notebooks, *others}
    assert len({one.student for one in found.handed_in}) == len(told)
    assert len(found.problems) == len(others)
    assert not any(one.refusal for one in found.handed_in), "the one file's content says best what it is"
    for name in notebooks:
        assert resolve(told[name].reference).data.startswith(NOTEBOOK[:-1])
    if form == "folder":
        assert {told[name].student for name in (*notebooks, *others)} == {*(f"n{n}" for n in range(8)), *(f"o{n}" for n in range(10))}


def test_hand_ins_of_several_files_or_none(build):
    members = {
        "A B_1_assignsubmission_file/hw.ipynb": None,
        "A C_2_assignsubmission_file/work.py": None,
        "A C_2_assignsubmission_file/data.csv": None,
        "A D_3_assignsubmission_file/notes/readme.md": None,
        "A E_4_assignsubmission_file/hw.ipynb.json": None,
        "A E_4_assignsubmission_file/model.h5": b"\x89HDF",
    }
    found = by_student(read_class([build(members)]))
    assert {student: one.refusal for student, one in found.items()} == {
        "1": "",
        "2": "A notebook (.ipynb) was expected; 2 other files were submitted.",
        "3": "",
        "4": "",
    }
    assert found["4"].file == "hw.ipynb.json"


def test_a_folder_of_other_things_is_nobodys(build):
    found = read_class(
        [build({"ada.ipynb": None, "bo/hw.ipynb": None, "data/x.csv": None, "data/y.npy": b"1", "README": None, "r.md": None})]
    )
    assert [one.student for one in found.handed_in] == ["ada", "bo"]
    assert len(found.problems) == 2


# ------------------------------------------------------------------ forced platforms, and nothing at all


def test_a_forced_platform(tmp_path):
    path = spread(tmp_path / "x", ["hw1-ada/hw.ipynb", "hw1-bo/hw.ipynb"])
    assert [one.student for one in read_class([path]).handed_in] == ["hw1-ada", "hw1-bo"]
    assert [one.student for one in read_class([path], platform="repositories").handed_in] == ["ada", "bo"]
    for platform in ("canvas", "moodle", "gradescope", "nbgrader"):
        with pytest.raises(UsageError, match="was expected"):
            read_class([path], platform=platform)
    with pytest.raises(UsageError, match="one of auto, gradescope"):
        read_class([path], platform="blackboard")
    canvas = spread(tmp_path / "y", CANVAS[:2])
    assert [one.student for one in read_class([canvas], platform="folder").handed_in] == [Path(name).stem for name in CANVAS[:2]]


def test_nothing_there(tmp_path):
    with pytest.raises(NothingToGrade, match="no such file"):
        read_class([tmp_path / "nothing.zip"])
    (tmp_path / "empty").mkdir()
    zipped(tmp_path / "empty.zip", {})
    for path in (tmp_path / "empty", tmp_path / "empty.zip"):
        with pytest.raises(NothingToGrade, match="nothing was found"):
            read_class([path])
    with pytest.raises(NothingToGrade):
        read_class([])


def test_a_path_that_is_no_notebook(tmp_path):
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    (tmp_path / "roster.csv").write_bytes(b"a,b")
    paths = [tmp_path / "report.pdf", tmp_path / "roster.csv"]
    found = read_class([*paths, *spread(tmp_path / "x", ["ada.ipynb"]).iterdir()])
    assert [one.student for one in found.handed_in] == ["ada", "report"]
    assert [name in problem for name, problem in zip(("roster.csv", "report.pdf"), found.problems, strict=True)] == [True, True]
    assert read_class(paths).handed_in == (), "alone, it may be a class that is packed as we cannot read it"
