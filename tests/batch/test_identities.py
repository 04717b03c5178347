"""Pseudonyms: stable, keyed, told apart, and never given away by a file's mode."""

import json
import multiprocessing
import re
import stat
from concurrent.futures import ProcessPoolExecutor

import pytest

from grader.batch import identities
from grader.batch.identities import Identities
from grader.errors import GraderError, UsageError
from grader.records import HandedIn


@pytest.fixture
def place(tmp_path):
    return tmp_path / "class.key", tmp_path / "class.names"


def opened(place, scope="course|hw1"):
    return Identities.open(*place, scope)


def handed(student="123", platform="canvas", **more):
    return HandedIn(platform=platform, student=student, reference="class.zip!x.ipynb", file="x.ipynb", **more)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_pseudonym_tells_nothing_and_stays(place):
    ours = opened(place)
    pseudonym = ours.pseudonym("canvas", "123")
    assert re.fullmatch("sub_[a-z2-7]{12}", pseudonym)
    assert opened(place).pseudonym("canvas", "123") == pseudonym
    others = [ours.pseudonym("moodle", "123"), ours.pseudonym("canvas", "124"), opened(place, "course|hw2").pseudonym("canvas", "123")]
    assert len({pseudonym, *others}) == 4


def test_what_is_put_together_is_told_apart(tmp_path):
    place = tmp_path / "key", tmp_path / "names"
    assert opened(place, "b").pseudonym("a", "cd") != opened(place, "bc").pseudonym("a", "d")
    assert opened(place, "b|c").pseudonym("a", "d") != opened(place, "b").pseudonym("a", "c|d")


def test_another_key_gives_another_pseudonym(tmp_path):
    one = Identities.open(tmp_path / "one.key", tmp_path / "one.names", "hw1")
    other = Identities.open(tmp_path / "other.key", tmp_path / "other.names", "hw1")
    assert one.pseudonym("canvas", "123") != other.pseudonym("canvas", "123")
    assert len((tmp_path / "one.key").read_bytes()) == 32


def test_names_come_back(place):
    ours = opened(place)
    group = handed("the owls", "csv", name="The Owls", members=("ada", "bo"), ids={"participant": "9"})
    pseudonym = ours.enter(group)
    alone = ours.enter(handed("7", name="Zoë Ångström", ids={"uid": "7", "fid": "70"}))
    ours.save()
    assert mode(place[0]) == mode(place[1]) == 0o600
    again = opened(place)
    assert list(again._known.items()) == list(ours._known.items())
    assert len(again._known) == 4
    assert again.of(pseudonym).members == ("ada", "bo")
    assert again.of(ours.pseudonym("csv", "ada")).student == "ada"
    assert (again.of(alone).name, again.of(alone).ids) == ("Zoë Ångström", {"uid": "7", "fid": "70"})
    assert again.of("sub_aaaaaaaaaaaa") is None
    assert json.loads(place[1].read_text("utf-8"))["schema"] == identities.SCHEMA


def test_a_later_hand_in_adds_to_what_is_known(place):
    ours = opened(place)
    first = ours.enter(handed("7", name="Ada", ids={"uid": "7", "fid": "70"}))
    assert ours.enter(handed("7", ids={"fid": "71"})) == first
    assert (ours.of(first).name, ours.of(first).ids, len(ours._known)) == ("Ada", {"uid": "7", "fid": "71"}, 1)


def test_any_text_comes_back(place):
    ours = opened(place)
    students = ["a\nb", "\u2028", '"', "\\ud800", "\x00", "\x1b[31m", "=cmd()", "e\u0301", "😀", "x" * 5_000]
    pseudonyms = [ours.enter(handed(student, name=student)) for student in students]
    ours.save()
    again = opened(place)
    assert [again.of(pseudonym).student for pseudonym in pseudonyms] == students


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o644, 0o610])
@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_others_may_read(place, which, bits):
    opened(place).save()
    place[which].chmod(bits)
    with pytest.raises(UsageError, match=rf"its mode is 0{bits:o}\. Others may have read it\. To go on with it: chmod 600"):
        opened(place)


def test_the_names_are_looked_at_before_they_are_written_over(place):
    ours = opened(place)
    ours.save()
    place[1].chmod(0o644)
    with pytest.raises(UsageError, match="only its owner"):
        ours.save()


def test_a_key_that_is_missing_is_not_made_anew(place):
    ours = opened(place)
    ours.enter(handed())
    ours.save()
    place[0].unlink()
    with pytest.raises(UsageError, match="it is not there. Put it back"):
        opened(place)
    assert not place[0].exists()


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 31, b"x" * 33])
def test_a_damaged_key(place, data):
    opened(place)
    place[0].write_bytes(data)
    with pytest.raises(UsageError, match="a key of 32 bytes was expected"):
        opened(place)


def test_a_key_that_is_no_file(place):
    place[0].mkdir(mode=0o700)
    with pytest.raises(UsageError, match="no plain file"):
        opened(place)


def test_names_of_another_key_or_scope(place, tmp_path):
    ours = opened(place)
    ours.enter(handed())
    ours.save()
    with pytest.raises(UsageError, match="names of 'course|hw2' were expected"):
        opened(place, "course|hw2")
    Identities.open(tmp_path / "other.key", tmp_path / "other.names", "course|hw1")
    (tmp_path / "other.key").replace(place[0])
    with pytest.raises(UsageError, match="another key"):
        opened(place)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"[]",
        lambda data: data.replace(b"names/v1", b"names/v9"),
        lambda data: data.replace(b'"student":', b'"pupil":'),
        lambda data: data.replace(b'"123"', b"123"),
        lambda data: b"\xff" + data,
    ],
)
def test_damaged_names(place, damage):
    ours = opened(place)
    ours.enter(handed())
    ours.save()
    place[1].write_bytes(damage(place[1].read_bytes()))
    with pytest.raises(UsageError, match="the names file is damaged"):
        opened(place)


def test_a_changed_student_is_seen(place):
    ours = opened(place)
    ours.enter(handed("123"))
    ours.save()
    place[1].write_bytes(place[1].read_bytes().replace(b'"123"', b'"124"'))
    with pytest.raises(UsageError, match="another key"):
        opened(place)


def test_two_students_of_one_pseudonym_are_an_error(place, monkeypatch):
    monkeypatch.setattr(identities, "_LENGTH", 1)  # 32 pseudonyms: a collision comes by itself
    ours = opened(place)
    with pytest.raises(GraderError, match="two students would share the pseudonym sub_"):
        [ours.enter(handed(str(number))) for number in range(33)]


def test_an_empty_scope(place):
    with pytest.raises(UsageError, match="scope"):
        opened(place, " ")


def test_nothing_is_left_where_nothing_can_be_written(place, tmp_path):
    ours = opened(place)
    place[1].mkdir()  # cannot be replaced by a file
    with pytest.raises(UsageError):
        ours.save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class.key", "class.names"]
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="could not be made"):
        Identities.open(tmp_path / "file" / "key", tmp_path / "names", "hw1")


def enter_some(key, names, start):
    ours = Identities.open(key, names, "hw1")
    for number in range(start, start + 20):
        ours.enter(handed(str(number)))
    ours.save()
    return ours.pseudonym("canvas", "everyone")


def test_runs_at_the_same_time_have_one_key_and_lose_no_name(place):
    with ProcessPoolExecutor(6, multiprocessing.get_context("spawn")) as pool:
        told = list(pool.map(enter_some, *zip(*((*place, 100 * run) for run in range(12)), strict=True)))
    assert len(set(told)) == 1
    assert {identity.student for identity in Identities.open(*place, "hw1")._known.values()} == {
        str(100 * run + n) for run in range(12) for n in range(20)
    }


def test_three_thousand_students(place):
    ours = opened(place)
    for number in range(3_000):
        ours.enter(handed(str(number), name=f"Student {number}", ids={"uid": str(number)}))
    ours.save()
    assert len(opened(place)._known) == 3_000
