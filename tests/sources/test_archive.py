"""Submissions in a zip archive, honest and hostile."""

import io
import stat
import struct
import zipfile

import pytest

from grader.errors import NotGradable, NothingToGrade, UsageError
from grader.sources import archive, common, resolve

BYTES = b'{"cells": []}'


def pack(path, *members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


@pytest.mark.parametrize("form", ["{}!{}", "{}/{}"])
def test_a_member(tmp_path, form):
    path = pack(tmp_path / "class.zip", ("a/one.ipynb", BYTES), ("two.ipynb", b"{}"))
    found = resolve(form.format(path, "a/one.ipynb"))
    assert (found.data, found.file, found.source) == (BYTES, "one.ipynb", "archive")


def test_the_only_notebook(tmp_path):
    path = pack(
        tmp_path / "class.zip",
        ("a/one.ipynb", BYTES),
        ("__MACOSX/a/._one.ipynb", b"x"),
        ("a/.ipynb_checkpoints/one-checkpoint.ipynb", b"x"),
        ("notes.txt", b"x"),
    )
    assert resolve(str(path)).data == BYTES


def test_a_zip_by_any_name(tmp_path):
    assert resolve(str(pack(tmp_path / "upload", ("one.ipynb", BYTES)))).data == BYTES


def test_a_name_with_an_exclamation_mark(tmp_path):
    (tmp_path / "wow!").mkdir()
    path = pack(tmp_path / "wow!" / "class!.zip", ("a!b.ipynb", BYTES))
    assert resolve(f"{path}!a!b.ipynb").data == BYTES
    (tmp_path / "plain!.ipynb").write_bytes(BYTES)
    assert resolve(str(tmp_path / "plain!.ipynb")).source == "file"


def test_several_none_or_another_member(tmp_path):
    several = pack(tmp_path / "several.zip", ("b.ipynb", BYTES), ("a.ipynb", BYTES))
    with pytest.raises(UsageError, match=r"2 were found: a\.ipynb, b\.ipynb"):
        resolve(str(several))
    with pytest.raises(NothingToGrade, match=r"no member is named c\.ipynb; the archive holds a\.ipynb, b\.ipynb"):
        resolve(f"{several}!c.ipynb")
    with pytest.raises(NothingToGrade, match=r"only work\.py was found"):
        resolve(str(pack(tmp_path / "none.zip", ("work.py", b"x"))))
    with pytest.raises(NothingToGrade, match="nothing was found"):
        resolve(str(pack(tmp_path / "empty.zip")))


@pytest.mark.parametrize("name", ["../out.ipynb", "/etc/out.ipynb", "a/../../out.ipynb", "..\\out.ipynb", "C:/out.ipynb"])
def test_names_that_climb_out(tmp_path, name):
    path = pack(tmp_path / "class.zip", (name, BYTES))
    with pytest.raises(NotGradable, match="leads out of the archive"):
        archive.from_zip(path, name)


def test_links(tmp_path):
    info = zipfile.ZipInfo("link.ipynb")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(NotGradable, match="a link, not a file"):
        resolve(str(pack(tmp_path / "class.zip", (info, b"/etc/passwd"))))


def test_a_name_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = pack(tmp_path / "class.zip", ("a.ipynb", BYTES), ("a.ipynb", b"{}"))
    with pytest.raises(NotGradable, match="more than once"):
        resolve(str(path))


def test_encrypted(tmp_path):
    path = pack(tmp_path / "class.zip", ("a.ipynb", BYTES))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the local header's flag
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and the directory's
    path.write_bytes(data)
    with pytest.raises(NotGradable, match="encrypted"):
        resolve(str(path))


def test_a_bomb(tmp_path):
    path = pack(tmp_path / "class.zip", ("a.ipynb", b"\0" * 20_000_000))
    with pytest.raises(NotGradable, match="400 times its packed size"):
        resolve(str(path))


def test_a_very_repetitive_notebook_is_no_bomb(tmp_path):
    data = b'{"cells": ["' + b"391/391 [====] - 5s 12ms/step - loss: 1.0\\n" * 10_000 + b'"]}'
    assert resolve(str(pack(tmp_path / "class.zip", ("a.ipynb", data)))).data == data


def test_a_size_that_lies(tmp_path):
    path = pack(tmp_path / "class.zip", ("a.ipynb", b"\0" * 50_000_000))
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + 24
    data[place : place + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    with pytest.raises(NotGradable):
        resolve(str(path))


def test_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 10)
    monkeypatch.setattr(common, "MAX_BYTES", 10)
    with pytest.raises(NotGradable, match="Clear the outputs"):
        resolve(str(pack(tmp_path / "class.zip", ("a.ipynb", BYTES))))


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    with pytest.raises(NotGradable, match="at most 2 members were expected; there are 3"):
        resolve(str(pack(tmp_path / "class.zip", *((f"{i}.txt", b"") for i in range(3)))))


def test_an_oversized_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 100)
    with pytest.raises(NotGradable, match="table of contents"):
        resolve(str(pack(tmp_path / "class.zip", *((f"{i}.txt", b"") for i in range(30)))))


def test_damage_anywhere_is_a_sentence(tmp_path):
    buffer = io.BytesIO()
    pack(buffer, ("a.ipynb", bytes(range(256)) * 20))
    whole = buffer.getvalue()
    path = tmp_path / "class.zip"
    for place in range(2, len(whole) - 22, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            resolve(str(path))
        except (NotGradable, NothingToGrade, UsageError) as error:
            assert str(path)[:20] in str(error) or "class.zip" in str(error)  # noqa: PT017


def test_a_cut_off_zip_is_left_to_the_reader(tmp_path):
    path = pack(tmp_path / "class.zip", ("a.ipynb", BYTES))
    path.write_bytes(path.read_bytes()[:-10])
    assert resolve(str(path)).source == "file"  # the reader then says that it is a zip archive


def packed(*members):
    buffer = io.BytesIO()
    pack(buffer, *members)
    return buffer.getvalue()


def test_an_archive_within_the_archive(tmp_path):
    inner = packed(("w!ork.ipynb", BYTES), ("other.ipynb", b"{}"))
    path = pack(tmp_path / "class.zip", ("ada.zip", inner), ("b!o.zip", packed(("only.ipynb", b"{ }"))), ("ada.zip!x.ipynb", b"{  }"))
    assert resolve(f"{path}!ada.zip!w!ork.ipynb").data == BYTES
    assert resolve(f"{path}!b!o.zip!only.ipynb").data == b"{ }"
    assert resolve(f"{path}!ada.zip!x.ipynb").data == b"{  }"  # a member of exactly this name goes first
    with pytest.raises(NothingToGrade, match=r"ada\.zip: no member is named third\.ipynb; the archive holds other\.ipynb, w!ork\.ipynb"):
        resolve(f"{path}!ada.zip!third.ipynb")


def test_archives_are_opened_one_level_deep(tmp_path):
    inner = packed(("deeper.zip", packed(("work.ipynb", BYTES))))
    path = pack(tmp_path / "class.zip", ("ada.zip", inner))
    with pytest.raises(NothingToGrade, match=r"no member is named deeper\.zip!work\.ipynb"):
        resolve(f"{path}!ada.zip!deeper.zip!work.ipynb")


def test_hostile_archives_within_the_archive(tmp_path):
    bomb = packed(("work.ipynb", b"\0" * 20_000_000))
    grown = b"PK" + b"\0" * 20_000_000
    path = pack(
        tmp_path / "class.zip", ("bomb.zip", bomb), ("grown.zip", grown), ("none.zip", b"x"), ("out.zip", packed(("../work.ipynb", BYTES)))
    )
    for inner, words in [("bomb", "400 times"), ("grown", "400 times"), ("none", "damaged"), ("out", "leads out")]:
        with pytest.raises(NotGradable, match=words):
            resolve(f"{path}!{inner}.zip!{'../' * (inner == 'out')}work.ipynb")


def test_an_archive_that_is_there_twice_is_not_guessed_at(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = pack(tmp_path / "class.zip", ("ada.zip", packed(("a.ipynb", BYTES))), ("ada.zip", packed(("a.ipynb", b"{}"))))
    with pytest.raises(NothingToGrade, match="no member is named"):
        resolve(f"{path}!ada.zip!a.ipynb")
