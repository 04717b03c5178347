"""Downloads as the platforms make them, built for tests: folders, archives, archives within archives."""

import io
import zipfile

NOTEBOOK = b'{"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}'


def packed(members):
    """A zip archive of `{name: data}` (or names alone, which are notebooks) in memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in with_data(members):
            file.writestr(name, data)
    return buffer.getvalue()


def zipped(path, members):
    path.write_bytes(packed(members))
    return path


def spread(folder, members):
    """The same as files in a folder."""
    for name, data in with_data(members):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def with_data(members):
    """Pairs of name and bytes; every notebook differs, and what is not named as one is none."""
    pairs = members.items() if isinstance(members, dict) else ((name, None) for name in members)
    return [
        (name, (notebook(name) if ".ipynb" in name.lower() else f"text of {name}".encode()) if data is None else data)
        for name, data in pairs
    ]


def notebook(name):
    return NOTEBOOK[:-2] + f'"n": "{name!a}"}}}}'.encode()


GRADESCOPE = """\
submission_409194023:
  :submitters:
  - :name: First Last
    :sid: '0123456789'
    :email: first@example.edu
  :created_at: 2026-04-26 17:34:00.861687000 Z
  :score: 2.0
  :results:
    score: 2.0
    output: |-
      =====================================================================
      submission_1:
      Final Score: 2.0
  :history:
  - :id: 1
    :created_at: 2026-04-25 17:34:00.000000000 Z
submission_500000001:
  :submitters:
  - :name: Alice A
    :sid: '111'
    :email: alice@example.edu
  - :name: Bob B
    :sid: '222'
    :email: bob@example.edu
  :created_at: &1 2026-04-26 19:00:00.000000000 +02:00
submission_600000002:
  :submitters:
  - :sid: 00333
    :name: ~
  :created_at: *1
submission_700000003:
  :submitters: []
submission_800000004:
  :submitters:
  - :name: No Files
    :email: none@example.edu
"""
