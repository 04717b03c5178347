"""Reading many hand-ins from archives that are opened once."""

import zipfile

import pytest

from grader import sources
from grader.errors import NotGradable, NothingToGrade

BODY = b'{"cells": [], "nbformat": 4, "nbformat_minor": 4, "metadata": {}}'


def test_many_members_are_read_from_one_opened_archive(tmp_path, monkeypatch):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(50):
            archive.writestr(f"s{number}.ipynb", BODY + b" " * number)
        archive.writestr("../out.ipynb", BODY)
    opened = []
    real = zipfile.ZipFile.__init__
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda self, *given, **named: (opened.append(1), real(self, *given, **named))[1])
    with sources.Reader() as read:
        found = [read.resolve(f"{path}!s{number}.ipynb") for number in range(50)]
        assert [len(one.data) for one in found] == [len(BODY) + number for number in range(50)]
        assert [one.file for one in found[:2]] == ["s0.ipynb", "s1.ipynb"]
        with pytest.raises(NothingToGrade, match="no member is named"):
            read.resolve(f"{path}!nobody.ipynb")
        with pytest.raises(NotGradable, match="leads out"):
            read.resolve(f"{path}!../out.ipynb")
    assert len(opened) == 1


def test_files_and_folders_are_read_as_ever(tmp_path):
    (tmp_path / "a!b.ipynb").write_bytes(BODY)
    with sources.Reader() as read:
        assert read.resolve(str(tmp_path / "a!b.ipynb")).data == BODY
        assert read.resolve(str(tmp_path)).data == BODY
        with pytest.raises(NothingToGrade):
            read.resolve(str(tmp_path / "gone.ipynb"))
