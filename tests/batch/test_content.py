"""What counts as equal work."""

import copy
import json

import pytest

from grader.batch.content import content_of

NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3"}, "colab": {"provenance": ["doe"]}},
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# One\n", "two"]},
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {"id": "xyz"},
            "source": "x = 1",
            "outputs": [{"output_type": "stream", "text": "1"}],
            "execution_count": 3,
        },
    ],
}


def changed(*path, to):
    found = copy.deepcopy(NOTEBOOK)
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    "other",
    [
        json.dumps(NOTEBOOK, indent=4).encode(),
        json.dumps(dict(reversed(NOTEBOOK.items()))).encode(),
        b"\xef\xbb\xbf" + json.dumps(NOTEBOOK).encode(),
        changed("metadata", "colab", to={"provenance": ["roe"]}),
        changed("cells", 1, "id", to="another"),
        changed("cells", 1, "metadata", to={"id": "another", "colab": {"base_uri": "x"}}),
    ],
)
def test_what_grading_never_looks_at_makes_no_other_content(other):
    assert content_of(other) == content_of(json.dumps(NOTEBOOK).encode())


@pytest.mark.parametrize(
    "other",
    [
        changed("cells", 0, "source", to="# One\ntwo!"),
        changed("cells", 1, "source", to="x = 2"),
        changed("cells", 1, "outputs", 0, "text", to="2"),
        changed("cells", 1, "execution_count", to=4),
        changed("cells", 1, "cell_type", to="raw"),
        changed("metadata", "kernelspec", to={"name": "julia"}),
        changed("nbformat_minor", to=4),
        changed("cells", to=[]),
    ],
)
def test_what_grading_may_look_at_makes_another_content(other):
    assert content_of(other)[0] != content_of(json.dumps(NOTEBOOK).encode())[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no notebook",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"cells": 3}',
        b'{"cells": [3]}',
        b'{"cells": [{"cell_type": "code", "source": [1]}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_notebook_is_its_bytes(data):
    content, code = content_of(data)
    assert content.startswith("bytes:")
    assert code == ""
    assert content_of(data + b" ")[0] != content


def test_the_code_is_that_of_the_code_cells():
    assert content_of(json.dumps(NOTEBOOK).encode())[1] == "x = 1"
    assert content_of(changed("cells", 1, "source", to=["a\n", "\ud800"]))[1] == "a\n?"
