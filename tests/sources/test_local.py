"""Submissions on this machine: files, standard input, folders."""

import hashlib
import io
import os

import pytest

from grader.errors import NotGradable, NothingToGrade, UsageError
from grader.sources import common, local, resolve
from grader.sources.common import display_name, display_path, is_notebook_name

BYTES = b'{"cells": []}'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work.ipynb").write_bytes(BYTES)
    return tmp_path


def test_a_file(folder):
    found = resolve(str(folder / "work.ipynb"))
    digest = hashlib.sha256(BYTES).hexdigest()
    assert (found.id, found.sha256, found.data) == ("sub_" + digest[:12], digest, BYTES)
    assert (found.file, found.source) == ("work.ipynb", "file")


def test_a_file_of_any_suffix_and_through_a_link(folder):
    (folder / "work.ipynb.txt").write_bytes(BYTES)
    (folder / "link.ipynb").symlink_to(folder / "work.ipynb")
    assert resolve(str(folder / "work.ipynb.txt")).data == BYTES
    assert resolve(str(folder / "link.ipynb")).file == "link.ipynb"


def test_an_empty_file_is_for_the_reader_to_judge(folder):
    (folder / "empty.ipynb").touch()
    assert resolve(str(folder / "empty.ipynb")).data == b""


def test_standard_input():
    found = resolve("-", stdin=io.BytesIO(BYTES))
    assert (found.data, found.source, found.file) == (BYTES, "stdin", "stdin.ipynb")
    with pytest.raises(NothingToGrade, match="it was empty"):
        resolve("-", stdin=io.BytesIO())


def test_a_missing_file_names_its_neighbours(folder):
    with pytest.raises(NothingToGrade, match=r"no such file or folder\. Did you mean work\.ipynb\?"):
        resolve(str(folder / "wrok.ipynb"))
    with pytest.raises(NothingToGrade, match=r"Did you mean work\.ipynb\?"):
        resolve(str(folder / "zzz"))
    with pytest.raises(NothingToGrade, match=r"and no folder .*none either"):
        resolve(str(folder / "none" / "work.ipynb"))


@pytest.mark.parametrize("reference", ["", "  ", "a\0b"])
def test_no_reference_at_all(reference):
    with pytest.raises(UsageError):
        resolve(reference)


def test_a_name_too_long_for_a_file_system():
    with pytest.raises(NothingToGrade):
        resolve("x" * 10_000)


def test_a_device_or_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.ipynb")
    with pytest.raises(UsageError, match="device, pipe or socket"):
        resolve(str(tmp_path / "pipe.ipynb"))


def test_an_unreadable_file(folder, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match=r"could not be read \(Permission denied\)"):
        local.from_file(folder / "work.ipynb")


def test_too_large(folder):
    with (folder / "big.ipynb").open("wb") as file:
        file.truncate(common.MAX_BYTES + 1)
    with pytest.raises(NotGradable, match="at most 128 MiB was expected; this one has 128 MiB"):
        resolve(str(folder / "big.ipynb"))
    with (folder / "big.ipynb").open("rb") as stream, pytest.raises(NotGradable, match="this one is larger"):
        resolve("-", stdin=stream)


# ------------------------------------------------------------------ folders


def test_a_folder_with_one_notebook(tmp_path):
    for name in (
        "a/b/mine.IPYNB",
        ".ipynb_checkpoints/mine-checkpoint.ipynb",
        "a/.hidden/x.ipynb",
        "__MACOSX/a/._mine.ipynb",
        "a/._mine.ipynb",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(BYTES)
    found = resolve(str(tmp_path))
    assert (found.file, found.source, found.data) == ("mine.IPYNB", "folder", BYTES)


def test_a_folder_with_several_names_them(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "other.ipynb").write_bytes(BYTES)
    with pytest.raises(UsageError, match=r"2 were found: sub/other\.ipynb, work\.ipynb"):
        resolve(str(folder))


def test_a_folder_with_none(tmp_path):
    with pytest.raises(NothingToGrade, match="nothing was found"):
        resolve(str(tmp_path))
    (tmp_path / "work.py").touch()
    with pytest.raises(NothingToGrade, match=r"only work\.py was found"):
        resolve(str(tmp_path))


def test_links_in_a_folder_are_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.ipynb").write_bytes(BYTES)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.ipynb").symlink_to(tmp_path / "outside" / "x.ipynb")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(NothingToGrade):
        resolve(str(tmp_path / "in"))


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a/b/c.ipynb", "c.ipynb"),
        ("C:\\Users\\x\\c.ipynb", "c.ipynb"),
        ("a\x1b[31m\n\u202eb.ipynb", "a[31mb.ipynb"),
        ("../..", ".."),
        ("", "notebook.ipynb"),
        ("\n", "notebook.ipynb"),
        ("x" * 300 + ".ipynb", "x" * 113 + "….ipynb"),
    ],
)
def test_display_names(name, shown):
    assert display_name(name) == shown
    assert len(display_name(name)) <= 120


def test_paths_in_messages_are_short_and_clean():
    assert len(display_path("x" * 1000)) == 200
    assert display_path("a\x1b\nb") == "ab"


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("x.ipynb", True),
        ("a/x.IPYNB", True),
        ("x.py", False),
        (".x.ipynb", False),
        ("a/.ipynb_checkpoints/x.ipynb", False),
        ("__MACOSX/x.ipynb", False),
    ],
)
def test_which_files_are_notebooks_of_a_person(path, ours):
    assert is_notebook_name(path) is ours
