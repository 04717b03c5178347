"""Which notebook of a hand-in counts, what a person may say about it, and what hostile names and archives come to."""

import io
import os
import stat
import struct
import tempfile
import time
import warnings
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from class_samples import NOTEBOOK, packed, spread, zipped
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from grader.errors import GraderError, NotGradable, NothingToGrade, UsageError
from grader.sources import archive, resolve
from grader.sources.classes import PLATFORMS, read_class


def files(found):
    return {handed.student: handed.file for handed in found.handed_in if not handed.refusal}


def refused(found):
    return {handed.student: handed.refusal for handed in found.handed_in if handed.refusal}


def csv(tmp_path, text):
    path = tmp_path / "mapping.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ------------------------------------------------------------------ several notebooks, or none


def test_the_notebook_named_as_the_others_are(tmp_path):
    folder = spread(tmp_path / "x", ["ada/hw.ipynb", "bo/hw.ipynb", "cy/HW.ipynb", "cy/scratch.ipynb", "cy/data/notes.ipynb"])
    found = read_class([folder])
    assert files(found) == {"ada": "hw.ipynb", "bo": "hw.ipynb", "cy": "HW.ipynb"}
    (problem,) = found.problems
    assert "(1)" in problem
    assert "cy/HW.ipynb" in problem


def test_the_newest_of_later_uploads(tmp_path):
    found = read_class(
        [
            zipped(
                tmp_path / "x.zip",
                [
                    "a_1_1_hw.ipynb",
                    "b_2_2_hw.ipynb",
                    *(f"c_3_{n}_hw{f'-{n}' if n else ''}.ipynb" for n in (0, 2, 10)),
                    "c_3_7_scratch.ipynb",
                ],
            )
        ]
    )
    assert files(found) == {"1": "hw.ipynb", "2": "hw.ipynb", "3": "hw-10.ipynb"}
    alone = read_class([zipped(tmp_path / "y.zip", ["c_3_1_work.ipynb", "c_3_2_work-1.ipynb"])])
    assert (files(alone), alone.handed_in[0].ids["fid"]) == ({"3": "work-1.ipynb"}, "2")


@pytest.mark.parametrize(
    "names",
    [
        ["cy/a.ipynb", "cy/b.ipynb"],
        ["cy/part/hw.ipynb", "cy/other/hw.ipynb"],
        ["cy/hw (1).ipynb", "cy/hw (2).ipynb"],
        ["cy/lab-1.ipynb", "cy/lab-2.ipynb"],
    ],
)
@pytest.mark.parametrize("others", [[], ["ada/hw.ipynb", "bo/hw.ipynb"]])
def test_what_cannot_be_told_is_left_to_a_person(tmp_path, names, others):
    found = read_class([spread(tmp_path / "x", [*names, *others, "z/hw.ipynb"])])
    assert "cy" not in files(found)
    assert refused(found) == {"cy": "2 notebooks were submitted together, and it is unclear which one counts."}
    (problem,) = found.problems
    assert "one notebook was expected in a submission; there are 2" in problem
    assert all(name in problem for name in names)
    assert "mapping CSV (columns file, student)" in problem


def test_a_class_of_two_notebooks_each(tmp_path):
    found = read_class([spread(tmp_path / "x", [f"{who}/lab-{n}.ipynb" for who in ("ada", "bo", "cy") for n in (1, 2)] + ["di/lab.ipynb"])])
    assert files(found) == {"di": "lab.ipynb"}
    assert len(found.problems) == 3


def test_single_notebooks_of_one_name(tmp_path):
    paths = sorted(spread(tmp_path / "x", ["ada/hw.ipynb", "bo/hw.ipynb"]).glob("*/hw.ipynb"))
    found = read_class(paths)
    assert found.handed_in == ()
    assert all(str(path) in found.problems[0] for path in paths)


def test_one_name_in_two_folders_is_not_one_student(tmp_path):
    found = read_class([spread(tmp_path / "a", ["ada.ipynb", "bo.ipynb"]), spread(tmp_path / "b", ["ada.ipynb", "cy.ipynb"])])
    assert set(files(found)) == {"bo", "cy"}
    (problem,) = found.problems
    assert "it is unclear which is newer" in problem
    assert "columns file, student, attempt" in problem


def test_archives_that_were_handed_in(tmp_path):
    members = {
        "a_1_1_work.zip": packed({"deep/hw.ipynb": NOTEBOOK + b"1", "__MACOSX/deep/._hw.ipynb": b"x"}),
        "b_2_2_work.zip": packed({"hw.ipynb": NOTEBOOK + b"2", "other.ipynb": NOTEBOOK}),
        "c_3_3_hw.ipynb": NOTEBOOK + b"3",
        "d_4_4_work.zip": packed(["report.pdf"]),
        "e_5_5_work.zip": b"PK no archive",
        "f_6_6_work.zip": packed({"inner.zip": packed(["hw.ipynb"])}),
        "g_7_7_work.zip": packed(["../hw.ipynb"]),
        "h_8_8_a.zip": packed(["a.ipynb", "b.ipynb"]),
    }
    for path in (zipped(tmp_path / "x.zip", members), spread(tmp_path / "x", members)):
        found = read_class([path])
        assert files(found) == {"1": "hw.ipynb", "2": "hw.ipynb", "3": "hw.ipynb"}
        assert [resolve(one.reference).data for one in found.handed_in if not one.refusal] == [
            NOTEBOOK + digit for digit in (b"1", b"2", b"3")
        ]
        problems = "\n".join(found.problems)
        for words in (
            "d_4_4_work.zip was submitted",
            "e_5_5_work.zip: the archive is damaged",
            "f_6_6_work.zip was submitted",
            "leads out of the archive",
            "h_8_8_a.zip!b.ipynb",
        ):
            assert words in problems
        said = refused(found)
        assert set(said) == {"4", "5", "6", "7", "8"}
        assert said["4"] == said["6"] == "A notebook (.ipynb) was expected; the archive that was submitted holds none."
        assert said["5"] == said["7"] == "A notebook (.ipynb) was expected; the archive that was submitted could not be read."


# ------------------------------------------------------------------ the mapping


def test_a_mapping_of_everything(tmp_path):
    folder = spread(
        tmp_path / "x",
        ["u1.ipynb", "u2/first.ipynb", "u2/second.ipynb", "u3/hw.ipynb", "u3/report.pdf", "u4.ipynb", "u5/a/hw.ipynb", "late.txt"],
    )
    text = (
        "\ufeffFile;Student;Name;Submitted at;seconds late;attempt;unused\r\n"
        "u1.ipynb;ada;Ada L.;2026-03-01 10:00 +01:00;;2;x\r\n"
        ";;;;;;\r\n"
        "second.ipynb;bo;;;90.5;;\r\n"
        "u3/;cy;;;;;\r\n"
        "x/u5/a/hw.ipynb;di;;;;;\r\n"
        "late.txt;ed;;;;;\r\n"
        "nothing.ipynb;fay;;;;;\r\n"
    )
    found = read_class([folder], mapping=csv(tmp_path, text.replace("x/u5", "u5")))
    assert files(found) == {"ada": "u1.ipynb", "bo": "second.ipynb", "cy": "hw.ipynb", "di": "hw.ipynb", "ed": "late.txt"}
    assert {one.platform for one in found.handed_in} == {"csv"}
    ada, bo = found.handed_in[:2]
    assert (ada.name, ada.attempt, ada.submitted_at) == ("Ada L.", 2, datetime(2026, 3, 1, 9, tzinfo=UTC))
    assert (bo.seconds_late, bo.attempt) == (90.5, None)
    assert len(found.problems) == 2
    assert "line 8: nothing that was submitted is called nothing.ipynb" in found.problems[0]
    assert "no line names u4.ipynb. They are skipped" in found.problems[1]


def test_a_mapping_settles_what_a_platform_leaves_open(tmp_path):
    path = zipped(tmp_path / "x.zip", ["a_1_1_hw.ipynb", "b_2_2_one.ipynb", "b_2_3_two.ipynb", "c_3_4_hw.ipynb"])
    assert "2" not in files(read_class([path]))
    found = read_class([path], mapping=csv(tmp_path, "file,student\nb_2_3_two.ipynb,2\n"))
    assert files(found) == {"1": "hw.ipynb", "2": "two.ipynb", "3": "hw.ipynb"}
    assert found.problems == ()
    assert {one.platform for one in found.handed_in} == {"canvas"}
    assert found.handed_in[1].ids == {"uid": "2", "fid": "3"}


def test_a_mapping_of_the_platforms_identifiers(tmp_path):
    path = zipped(tmp_path / "x.zip", ["a_1_11_hw.ipynb", "b_2_12_hw.ipynb"])
    found = read_class([path], mapping=csv(tmp_path, "student,file\nada@example.edu,1\n"))
    assert [(one.student, one.ids["uid"]) for one in found.handed_in] == [("2", "2"), ("ada@example.edu", "1")]


def test_a_mapping_of_groups(tmp_path):
    folder = spread(tmp_path / "x", ["one.ipynb", "two.ipynb", "three.ipynb"])
    found = read_class(
        [folder], mapping=csv(tmp_path, "file,student,group\none.ipynb,ada,owls\none.ipynb,bo,owls\ntwo.ipynb,cy,\nthree.ipynb,di,solo\n")
    )
    assert [(one.student, one.members) for one in found.handed_in] == [("cy", ()), ("owls", ("ada", "bo")), ("solo", ("di",))]


def test_a_mapping_of_attempts(tmp_path):
    folder = spread(tmp_path / "x", ["a.ipynb", "b.ipynb", "c.ipynb", "d.ipynb"])
    text = "file,student,attempt,submitted_at\na.ipynb,ada,2,\nb.ipynb,ada,1,\nc.ipynb,bo,,2026-01-02T00:00:00Z\nd.ipynb,bo,,2026-01-01T00:00:00Z\n"
    found = read_class([folder], mapping=csv(tmp_path, text))
    assert [(one.student, one.attempt, one.file) for one in found.handed_in] == [
        ("ada", 1, "b.ipynb"),
        ("ada", 2, "a.ipynb"),
        ("bo", 1, "d.ipynb"),
        ("bo", 2, "c.ipynb"),
    ]


def test_a_mapping_into_an_archive_that_was_handed_in(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a_1_1_w.zip": packed(["one.ipynb", "two.ipynb"]), "b_2_2_hw.ipynb": None})
    found = read_class([path], mapping=csv(tmp_path, "file,student\na_1_1_w.zip!two.ipynb,1\n"))
    assert files(found) == {"1": "two.ipynb", "2": "hw.ipynb"}
    assert found.problems == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: one column 'file' was expected; there are 0"),
        ("file,name\n", "one column 'student' was expected; there are 0"),
        ("file,student,student\n", "one column 'student' was expected; there are 2"),
        ("file,student,submited_at\n", "did you mean 'submitted_at'"),
        ("file,student\na.ipynb,\n", "line 2: the column 'student' is empty"),
        ("file,student\n,ada\n", "line 2: the column 'file' is empty"),
        ("file,student,submitted_at\na.ipynb,ada,2026-03-01 10:00\n", "a time with its zone"),
        ("file,student,submitted_at\na.ipynb,ada,soon\n", "a time with its zone"),
        ("file,student,seconds_late\na.ipynb,ada,nan\n", "0 or more"),
        ("file,student,seconds_late\na.ipynb,ada,-1\n", "0 or more"),
        ("file,student,seconds_late\na.ipynb,ada,inf\n", "0 or more"),
        ("file,student,attempt\na.ipynb,ada,0\n", "whole number from 1"),
        ("file,student,attempt\na.ipynb,ada,1.5\n", "whole number from 1"),
        ("file,student\na.ipynb,ada\na.ipynb,bo\n", "lines 2 and 3: one file is given to two students"),
        ("file,student\n" + '"' + "x" * 200_000, "not readable as CSV"),
        (b"file,student\na.ipynb,Zo\xeb\n", "not UTF-8"),
    ],
)
def test_a_mapping_that_cannot_be_used(tmp_path, text, words):
    folder = spread(tmp_path / "x", ["a.ipynb", "b.ipynb"])
    with pytest.raises(UsageError, match=words):
        read_class([folder], mapping=csv(tmp_path, text))
    with pytest.raises(NothingToGrade):
        read_class([folder], mapping=tmp_path / "none.csv")


# ------------------------------------------------------------------ the expression


def test_an_expression(tmp_path):
    path = zipped(
        tmp_path / "x.zip",
        ["wk1/007-ada-try2-late.ipynb", "wk1/008-bo-try1.ipynb", "wk1/readme.ipynb", "wk1/x.txt", "wk1/009-cy-try0.ipynb"],
    )
    found = read_class([path], names=r"(?P<student>\d+)-(?P<name>\w+)-try(?P<attempt>\d+)(?P<late>-late)?\.ipynb")
    assert [(one.student, one.name, one.attempt, one.late) for one in found.handed_in] == [("007", "ada", 2, True), ("008", "bo", 1, False)]
    (problem,) = found.problems
    assert "wk1/009-cy-try0.ipynb, wk1/readme.ipynb" in problem
    nbgrader = read_class([path], names=r".*/(?P<student_id>\d+)-\w+-try(?P<attempt>[12]).*")
    assert [one.student for one in nbgrader.handed_in] == ["007", "008"]


@pytest.mark.parametrize(
    ("names", "words"), [("(", "a regular expression was expected"), ("x", "a group called student"), ("(?P<who>x)", "the groups are who")]
)
def test_an_expression_that_cannot_be_used(tmp_path, names, words):
    with pytest.raises(UsageError, match=words):
        read_class([spread(tmp_path / "x", ["a.ipynb"])], names=names)
    with pytest.raises(UsageError, match="takes the place of a layout"):
        read_class([tmp_path / "x"], names="(?P<student>.*)", platform="canvas")


# ------------------------------------------------------------------ hostile names and archives


def test_links_and_devices_are_told_of_and_not_followed(tmp_path):
    folder = spread(tmp_path / "x", ["ada.ipynb"])
    (folder / "bo.ipynb").symlink_to(folder / "ada.ipynb")
    (folder / "all").symlink_to("/")
    os.mkfifo(folder / "cy.ipynb")
    found = read_class([folder])
    assert set(files(found)) == {"ada"}
    assert "all, bo.ipynb, cy.ipynb" in found.problems[0]


def test_names_that_are_no_text(tmp_path):
    folder = spread(tmp_path / "x", ["ada.ipynb"])
    try:
        (Path(os.fsdecode(bytes(folder) + b"/b\xff.ipynb"))).touch()
    except OSError:
        pytest.skip("this file system holds UTF-8 names only")
    found = read_class([folder])
    assert set(files(found)) == {"ada"}
    assert "readable names" in found.problems[0]


def test_a_folder_that_may_not_be_read(tmp_path):
    folder = spread(tmp_path / "x", ["ada/hw.ipynb", "bo/hw.ipynb", "cy/hw.ipynb"])
    (folder / "bo").chmod(0)
    found = read_class([folder])
    (folder / "bo").chmod(0o700)
    if os.geteuid() != 0:
        assert set(files(found)) == {"ada", "cy"}
        assert "bo/ could not be read" in found.problems[0]
    else:
        assert set(files(found)) == {"ada", "bo", "cy"}


def hostile(tmp_path):
    link = zipfile.ZipInfo("b_2_2_hw.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "x.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        warnings.simplefilter("ignore", UserWarning)  # duplicate names
        file.writestr("a_1_1_hw.ipynb", NOTEBOOK)
        file.writestr(link, b"/etc/passwd")
        file.writestr("../c_3_3_hw.ipynb", NOTEBOOK)
        file.writestr("/d_4_4_hw.ipynb", NOTEBOOK)
        file.writestr("C:/e_5_5_hw.ipynb", NOTEBOOK)
        file.writestr("f_6_6_hw.ipynb", NOTEBOOK)
        file.writestr("f_6_6_hw.ipynb", b"{}")
        file.writestr("g_7_7_hw.ipynb", b"\0" * 20_000_000)
        file.writestr("h_8_8_hw.ipynb", NOTEBOOK)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"h_8_8")) + 8] |= 1  # encrypted
    path.write_bytes(data)
    return path


def test_members_that_would_be_refused_are_told_of(tmp_path):
    found = read_class([hostile(tmp_path)])
    assert set(files(found)) == {"1"}
    assert resolve(found.handed_in[0].reference).data == NOTEBOOK
    problems = "\n".join(found.problems)
    for words in (
        "b_2_2_hw.ipynb: the member is a link",
        "c_3_3_hw.ipynb: the member's name leads out",
        "d_4_4_hw.ipynb: the member's name leads out",
        "e_5_5_hw.ipynb: the member's name leads out",
        "more than once, so that it is unclear which one counts: f_6_6_hw.ipynb",
        "g_7_7_hw.ipynb: the member grows",
        "h_8_8_hw.ipynb: the member is encrypted",
    ):
        assert words in problems


def test_a_whole_archive_that_is_refused(tmp_path, monkeypatch):
    path = zipped(tmp_path / "x.zip", [f"a_1_{number}_hw.ipynb" for number in range(40)])
    data = path.read_bytes()
    for damaged in (data[:-30], data[:100], b"", data[:-10] + struct.pack("<I", 2**30) + data[-6:]):
        path.write_bytes(damaged)
        with pytest.raises(NotGradable, match=r"x\.zip: the archive('s table of contents| is damaged)"):
            read_class([path])
    path.write_bytes(data)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 10)
    with pytest.raises(NotGradable, match="at most 10 members"):
        read_class([path])
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 100)
    with pytest.raises(NotGradable, match="table of contents"):
        read_class([path])


def test_nothing_is_written_and_nothing_stays_open(tmp_path):
    path = hostile(tmp_path)
    before = sorted(path.parent.rglob("*")), len(list(Path("/proc/self/fd").iterdir()))
    read_class([path])
    with pytest.raises(UsageError):
        read_class([path], mapping=csv(tmp_path / "..", "x"))
    assert (sorted(path.parent.rglob("*")), len(list(Path("/proc/self/fd").iterdir()))) == before


@pytest.mark.parametrize(
    "name",
    [
        "n{0}_{0}_9{0}_hw.ipynb",
        "Name {0}_{0}_assignsubmission_file/hw.ipynb",
        "submitted/s{0}/ps1/hw.ipynb",
        "hw1-s{0}/hw.ipynb",
        "s{0}.ipynb",
        "s{0}/a/hw.ipynb",
        "x_1_{0}_hw.ipynb",
    ],
)
def test_three_thousand_members(tmp_path, name):
    path = zipped(tmp_path / "x.zip", {name.format(number): b"{}" for number in range(3_000)})
    mapped = csv(tmp_path, "file,student\n" + "".join(f"{name.format(number)},m{number}\n" for number in range(3_000)))
    start = time.perf_counter()
    plain, by_rows = read_class([path]), read_class([path], mapping=mapped)
    assert time.perf_counter() - start < 10  # 1 s where nothing else runs
    assert len(by_rows.handed_in) == 3_000
    assert len(files(plain)) == (3_000 if name != "x_1_{0}_hw.ipynb" else 0)


def test_a_time_stamp_for_each_of_many(tmp_path):
    members = {
        f"submitted/s{number}/ps1/{name}": data
        for number in range(1_500)
        for name, data in (("hw.ipynb", b"{}"), ("timestamp.txt", b"2026-01-01 00:00:00 UTC"))
    }
    start = time.perf_counter()
    found = read_class([zipped(tmp_path / "x.zip", members)])
    assert time.perf_counter() - start < 10
    assert all(one.submitted_at for one in found.handed_in)
    assert len(found.handed_in) == 1_500


PARTS = [
    "submission_metadata.yml", "timestamp.txt", "submitted", "ps1", "a+ps1+2026-01-01 00:00:00 UTC", "doe_1_2_hw.ipynb", "LATE_anon_x_1_hw.ipynb", "anon__1_.ipynb", "1_2_.ipynb",
    "Jane_1_assignsubmission_file", "_1_assignsubmission_file_", "_assignsubmission_file_x.ipynb", "hw1-", "hw1-a", "hw1--main", "-.ipynb", "hw.ipynb", "hw-1.ipynb", ".ipynb", " .ipynb", "x.zip", ".zip",
    "..", ".", "", ".git", "__MACOSX", "C:", "a!b.zip", "!", "\\", "\u202e.ipynb", "\0", "\n.ipynb", "e\u0301.ipynb", "\u00e9.ipynb", "\u0663_\u0664_\u0665_hw.ipynb", "x" * 1_200 + ".ipynb", "-" * 50, "9" * 500 + "_1_hw.ipynb",
]  # fmt: skip
names = st.lists(st.sampled_from(PARTS) | st.text(max_size=8), min_size=1, max_size=5).map("/".join) | st.text(max_size=20).map(
    lambda text: text + ".ipynb"
)
contents = st.sampled_from(
    [
        b"{}",
        b"",
        packed(["a.ipynb"]),
        packed(["a.ipynb", "../b.ipynb"]),
        b"PK\x03\x04",
        b"a: [",
        b"submission_1:\n  :submitters: [{:email: x}]\n",
    ]
)


def built(members):
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as file:
        warnings.simplefilter("ignore", UserWarning)  # duplicate names
        for name, data in members:
            info = zipfile.ZipInfo()
            info.filename = info.orig_filename = name.encode("utf-8", "replace").decode()
            file.writestr(info, data)
    return buffer.getvalue()


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    members=st.lists(st.tuples(names, contents), max_size=8),
    damage=st.none() | st.tuples(st.integers(0, 2_000), st.integers(1, 255)),
    platform=st.sampled_from(PLATFORMS),
    rows=st.none() | st.lists(names, max_size=3),
)
@example(members=[("submitted/a/b/timestamp.txt", b"{}")], damage=None, platform="auto", rows=None)
@example(members=[("submission_metadata.yml", b"{}")], damage=None, platform="gradescope", rows=None)
@example(members=[("hw1-a.zip", b"{}"), ("hw1-.zip", b"{}")], damage=None, platform="repositories", rows=["hw1-a.zip"])
def test_no_name_raises_anything_but_a_sentence(members, damage, platform, rows):
    data = bytearray(built(members))
    if damage is not None and data:
        data[damage[0] % len(data)] ^= damage[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "class.zip")
        path.write_bytes(data)
        mapping = None
        if rows is not None:
            mapping = Path(folder, "mapping.csv")
            mapping.write_text("file,student\n" + "".join(f'"{row}",s{number}\n' for number, row in enumerate(rows)), "utf-8", "replace")
        try:
            found = read_class([path], mapping=mapping, platform=platform)
        except GraderError as error:
            assert str(error)  # noqa: PT017
            return
        assert {found.name for found in Path(folder).iterdir()} <= {"class.zip", "mapping.csv"}
    assert all(one.student and one.file and one.reference.startswith(str(path)) for one in found.handed_in)
    assert len({(one.platform, one.student, one.attempt) for one in found.handed_in}) == len(found.handed_in)
    "\n".join([*found.problems, *(one.student for one in found.handed_in)]).encode()  # text that can be written


@settings(max_examples=100)
@given(members=st.lists(names, min_size=1, max_size=6), platform=st.sampled_from(PLATFORMS))
def test_every_reference_can_be_read(members, platform):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "class.zip")
        path.write_bytes(built([(name, f"{{}}{number}".encode()) for number, name in enumerate(members)]))
        try:
            found = read_class([path], platform=platform)
        except GraderError:
            return
        read = [resolve(one.reference) for one in found.handed_in if one.file.lower().endswith(".ipynb") and not one.refusal]
    assert len({submission.sha256 for submission in read}) == len(read)
