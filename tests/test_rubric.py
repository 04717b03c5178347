"""Reading rubrics: every mistake is named with its line, and the built-in rubric is what the design fixes."""

import hashlib
import math
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from grader import checks, rubric
from grader.errors import UsageError

CATALOGUE = {
    "model_head": {"classes": 10},
    "model_parameters": {"full": (500_000, 2_000_000), "share": 0.5, "strict": True},
    "curves_plotted": {"curves": ("accuracy", "val_accuracy")},
    "manual_answers": {"section": 4},
    "model_no_pooling": {},
}

GOOD = """\
id = "mine"
version = "1.0"
title = "Mine"
max_points = 10

[sections]
1 = "The network"
2 = "The rest"

[[criterion]]
id = "model.head"
check = "model_head"
section = 1
points = 4
title = "The head"
why = "It matters."

[[criterion]]
id = "model.parameters"
check = "model_parameters"
section = 1
points = 3.5
title = "The size"
why = \"\"\"
It
matters.\"\"\"
params = { full = [1, 2], share = 1 }

[[criterion]]
id = "curves.plotted"
check = "curves_plotted"
section = 2
points = 2.5
title = "The curves"
why = "It matters."

[criterion.params]
curves = [
    "loss",
]
"""

FIXED_IDS = [
    "model.built",
    "model.no_pooling",
    "model.no_flatten",
    "model.strided_downsampling",
    "model.same_padding",
    "model.score_maps",
    "model.head",
    "model.parameters",
    "model.nonlinear",
    "data.cifar10",
    "data.normalized",
    "data.consistent",
    "train.loss",
    "train.protocol",
    "train.learns",
    "train.accuracy",
    "curves.plotted",
    "curves.answers",
    "dropout.placed",
    "dropout.rate",
    "dropout.learns",
    "dropout.answers",
    "augmentation.placed",
    "augmentation.learns",
    "augmentation.answers",
]


@pytest.fixture
def catalogue(monkeypatch):
    """A small set of checks in place of the real ones."""
    monkeypatch.setattr(checks, "names", lambda: tuple(sorted(CATALOGUE)))
    monkeypatch.setattr(checks, "get", lambda name: SimpleNamespace(PARAMS=CATALOGUE[name]))


@pytest.fixture
def load(tmp_path, monkeypatch, catalogue):
    """Load a text as `rubric.toml` in the working directory, so that messages begin with that name."""
    monkeypatch.chdir(tmp_path)

    def _load(text: str | bytes) -> rubric.Rubric:
        Path("rubric.toml").write_bytes(text.encode() if isinstance(text, str) else text)
        return rubric.load("rubric.toml")

    return _load


def refusal(load, text) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load(text)
    return str(caught.value).splitlines()


def test_a_good_rubric_is_read_whole(load):
    mine = load(GOOD)
    assert (mine.id, mine.version, mine.title, mine.max_points) == ("mine", "1.0", "Mine", 10)
    assert mine.sections == {1: "The network", 2: "The rest"}
    assert [criterion.points for criterion in mine.criteria] == [4, 3.5, 2.5]
    assert mine.criteria[1].why == "It\nmatters."
    assert mine.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert mine.folder == Path()


def test_params_are_the_defaults_overwritten_by_the_rubric(load):
    head, parameters, curves = load(GOOD).criteria
    assert head.params == {"classes": 10}
    assert parameters.params == {"full": (1, 2), "share": 1, "strict": True}
    assert curves.params == {"curves": ("loss",)}


def test_a_rubric_cannot_be_changed_after_loading(load):
    mine = load(GOOD)
    with pytest.raises(ValidationError, match="frozen"):
        mine.max_points = 11
    with pytest.raises(ValidationError, match="frozen"):
        mine.criteria[0].points = 11


def test_windows_line_ends_are_read_and_counted_the_same(load):
    assert load(GOOD.replace("\n", "\r\n")).criteria[1].points == 3.5
    assert refusal(load, GOOD.replace("points = 4", 'points = "x"').replace("\n", "\r\n"))[0].startswith("rubric.toml:14: ")


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ("points = 4", 'points = "three"', ['rubric.toml:14: criterion[0].points: expected a number >= 0, got "three"']),
        ("points = 4", "points = -1", ["rubric.toml:14: criterion[0].points: expected a number >= 0, got -1"]),
        ("points = 4", "points = nan", ["rubric.toml:14: criterion[0].points: expected a number >= 0, got nan"]),
        ("points = 4", "points = inf", ["rubric.toml:14: criterion[0].points: expected a number >= 0, got inf"]),
        ("points = 4", "points = true", ["rubric.toml:14: criterion[0].points: expected a number >= 0, got true"]),
        ("points = 4\n", "", ["rubric.toml:10: criterion[0].points: expected a number >= 0, found nothing"]),
        (
            "points = 4",
            "point = 4",
            [
                "rubric.toml:10: criterion[0].points: expected a number >= 0, found nothing",
                (
                    'rubric.toml:14: criterion[0].point: unknown key; did you mean "points"?; '
                    "known keys: id, check, section, points, title, why, expected, hint, params"
                ),
            ],
        ),
        (
            'title = "Mine"',
            'titel = "Mine"',
            [
                "rubric.toml:1: title: expected a text that is not empty, found nothing",
                'rubric.toml:3: titel: unknown key; did you mean "title"?; known keys: id, version, title, max_points, sections, criterion',
            ],
        ),
        ("points = 4", "points = 5", ["rubric.toml:4: max_points: expected the sum of the criteria's points, 11, got 10"]),
        ("max_points = 10", "max_points = 0", ["rubric.toml:4: max_points: expected a number > 0, got 0"]),
        (
            'id = "curves.plotted"',
            'id = "model.head"',
            ['rubric.toml:30: criterion[2].id: expected an id of its own, got "model.head", which criterion[0] has'],
        ),
        (
            'id = "curves.plotted"',
            'id = "Curves Plotted"',
            ['rubric.toml:30: criterion[2].id: expected a dotted lower-case name such as "model.head", got "Curves Plotted"'],
        ),
        (
            'check = "model_head"',
            'check = "model_haed"',
            ['rubric.toml:12: criterion[0].check: expected the name of a check, got "model_haed"; did you mean "model_head"?'],
        ),
        (
            'check = "model_head"',
            'check = "zzz"',
            ['rubric.toml:12: criterion[0].check: expected the name of a check, got "zzz"'],
        ),
        (
            "share = 1 }",
            "shore = 1 }",
            [
                (
                    'rubric.toml:27: criterion[1].params.shore: check "model_parameters" has no such parameter; did you mean "share"?; '
                    "it takes full, share, strict"
                )
            ],
        ),
        (
            'check = "model_head"',
            'check = "model_no_pooling"\nparams.any = 1',
            ['rubric.toml:13: criterion[0].params.any: check "model_no_pooling" has no such parameter; it takes none'],
        ),
        ("full = [1, 2]", "full = [1]", ["rubric.toml:27: criterion[1].params.full: expected an array of 2 whole numbers, got [1]"]),
        (
            "full = [1, 2]",
            "full = [1, 2.5]",
            ["rubric.toml:27: criterion[1].params.full: expected an array of 2 whole numbers, got [1, 2.5]"],
        ),
        ("full = [1, 2]", "full = 3", ["rubric.toml:27: criterion[1].params.full: expected an array of 2 whole numbers, got 3"]),
        ("share = 1 }", "share = nan }", ["rubric.toml:27: criterion[1].params.share: expected a number, got nan"]),
        ("share = 1 }", "strict = 1 }", ["rubric.toml:27: criterion[1].params.strict: expected true or false, got 1"]),
        ('    "loss",', "    7,", ["rubric.toml:38: criterion[2].params.curves: expected an array of texts, got [7]"]),
        (
            "section = 2",
            "section = 3",
            ["rubric.toml:32: criterion[2].section: expected a section that has a title in [sections] (1, 2), got 3"],
        ),
        ("section = 2", 'section = "2"', ['rubric.toml:32: criterion[2].section: expected a whole number from 1 to 99, got "2"']),
        ('2 = "The rest"', '2 = ""', ['rubric.toml:8: sections.2: expected a text that is not empty, got ""']),
        (
            '2 = "The rest"',
            '2 = "The rest"\nlast = "More"',
            ['rubric.toml:9: sections.last: expected a section number from 1 to 99 as the key, got "last"'],
        ),
        ('title = "Mine"', "title = ", ["rubric.toml:3: expected TOML, found a mistake at column 9: invalid value"]),
        ('title = "Mine"', 'id = "again"', ["rubric.toml:3: expected TOML, found a mistake at column 13: cannot overwrite a value"]),
    ],
)
def test_each_mistake_is_named_with_its_line(load, old, new, messages):
    assert old in GOOD
    assert refusal(load, GOOD.replace(old, new, 1)) == messages


def test_a_misspelt_table_is_named_once_and_so_is_what_is_missing(load):
    text = GOOD[: GOOD.index("[criterion.params]")].replace("[[criterion]]", "[[criteria]]")
    first, second = refusal(load, text)
    assert first == "rubric.toml:1: criterion: expected at least one [[criterion]] table, found nothing"
    assert second.startswith('rubric.toml:10: criteria: unknown key; did you mean "criterion"?; known keys: id, version')


def test_all_mistakes_are_reported_together_in_order_of_line(load):
    text = (
        GOOD.replace("points = 4", 'points = "x"')
        .replace('"curves_plotted"', '"curves"')
        .replace("share = 1", "shore = 1")
        .replace('"1.0"', "1")
    )
    assert [line.split(": ")[:2] for line in refusal(load, text)] == [
        ["rubric.toml:2", "version"],
        ["rubric.toml:14", "criterion[0].points"],
        ["rubric.toml:27", "criterion[1].params.shore"],
        ["rubric.toml:31", "criterion[2].check"],
    ]


def test_text_that_is_no_utf8_is_named_with_its_line(load):
    assert refusal(load, GOOD.replace("The head", "T\xeate").encode("latin-1")) == [
        "rubric.toml:15: expected UTF-8 text, found byte 0xea; save the file as UTF-8"
    ]


def test_an_unfinished_file_is_named_with_its_last_line(load):
    (line,) = refusal(load, 'id = "mine"\ntitle = """never closed\n')
    assert line.startswith("rubric.toml:2: expected TOML, found a mistake: ")


@pytest.mark.parametrize(
    "text", ["", "criterion = 1", "criterion = [1]", "sections = 1", "[[criterion]]\nparams = 1\ncheck = 2", "x = " + "[" * 5000]
)
def test_odd_files_are_refused_and_never_crash(load, text):
    assert all(line.startswith("rubric.toml:") for line in refusal(load, text))


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: (GOOD + text).encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    try:
        rubric.load(path)
    except UsageError as error:
        assert str(error).startswith(f"{path}:")  # noqa: PT017


def test_an_unknown_name_suggests_the_near_one():
    with pytest.raises(UsageError) as caught:
        rubric.load("all_cnn")
    assert str(caught.value) == (
        'rubric: expected a built-in rubric or a rubric file, found neither under "all_cnn"; did you mean "all_cnn_c"?; '
        "built in: all_cnn_c; a file is named by its path, for example ./rubric.toml"
    )


def test_a_folder_stands_for_its_rubric(load, tmp_path):
    load(GOOD)
    assert rubric.load(tmp_path).path == tmp_path / "rubric.toml"


def test_points_that_add_up_but_for_rounding_are_taken(load):
    text = GOOD.replace("max_points = 10", "max_points = 0.3").replace("points = 4", "points = 0.1")
    assert load(text.replace("points = 3.5", "points = 0.2").replace("points = 2.5", "points = 0")).max_points == 0.3


# ------------------------------------------------------------------ the built-in rubric, with the real checks


@pytest.fixture(scope="module")
def built_in():
    return rubric.load("all_cnn_c")


def test_the_built_in_rubric_has_the_fixed_criteria(built_in):
    assert [criterion.id for criterion in built_in.criteria] == FIXED_IDS
    assert built_in.max_points == 100


def test_the_sections_have_their_points(built_in):
    totals = {number: math.fsum(item.points for item in built_in.criteria if item.section == number) for number in built_in.sections}
    assert totals == {1: 30, 2: 12, 3: 24, 4: 10, 5: 12, 6: 12}


def test_the_checks_are_named_after_what_they_serve(built_in):
    shared = {"learns": "training_learns", "accuracy": "training_accuracy", "answers": "manual_answers"}
    for criterion in built_in.criteria:
        assert criterion.check == shared.get(criterion.id.partition(".")[2], criterion.id.replace(".", "_"))


def test_the_numbers_of_the_rubric_stand_in_its_params(built_in):
    params = {criterion.id: criterion.params for criterion in built_in.criteria}
    assert params["model.parameters"]["full"] == (500_000, 2_000_000)
    assert params["model.parameters"]["none"] == (250_000, 4_000_000)
    assert params["dropout.rate"]["full"] == (0.1, 0.3)
    assert params["dropout.rate"]["partial"] == (0.05, 0.5)
    assert params["model.built"]["image_shape"] == (32, 32, 3)
    assert params["model.strided_downsampling"]["strided"] == 2


def test_every_criterion_tells_the_student_what_and_why(built_in):
    for criterion in built_in.criteria:
        assert criterion.why.endswith(".")
        assert criterion.expected
        assert criterion.hint


def test_every_criterion_has_its_reasons_in_the_readme(built_in):
    readme = (built_in.folder / "README.md").read_text()
    assert [criterion.id for criterion in built_in.criteria if f"`{criterion.id}`" not in readme] == []


def test_explain_shows_every_line_and_parameter(built_in):
    text = rubric.explain(built_in)
    for criterion in built_in.criteria:
        assert f"{criterion.points:>4g}  {criterion.id}: {criterion.title}" in text
    assert "1. The network: 30 points" in text
    assert "full = [500000, 2000000]" in text
    assert built_in.sha256 in text


def test_the_new_rubric_is_valid_and_lists_every_check(tmp_path):
    path = tmp_path / "rubric.toml"
    path.write_text(rubric.new_text())
    assert rubric.load(path).max_points == 10
    assert tomllib.loads(rubric.new_text())["id"] == "my_exercise"
    for name in checks.names():
        assert f"#   {name}" in rubric.new_text()
