"""What each format promises to the system that reads it."""

import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from samples import REFERENCE, SAMPLES, bad, criterion, fragile, good, report, rerun, score_maps, scored, training

from grader.errors import GraderError, InfrastructureError, UsageError
from grader.records import Answer, CellError, CurvePoint, Executed, Report, ReportCell, ReportCurve, Rerun, RunStatus, Status
from grader.reports import FORMATS, as_gradescope, as_html, as_json, as_junit, check, schema, view, write, write_started
from grader.reports.as_github import annotations, main, outputs
from grader.reports.terminal import print_report
from grader.reports.trained import VERDICTS, tried

NO_SCORE = ["ungradable", "grader_error", "infra_error", "started"]


# ------------------------------------------------------------------ words


@pytest.mark.parametrize("name", [*FORMATS, "terminal"])
@pytest.mark.parametrize("status", [Status.PASS, Status.FAIL, Status.SKIP, Status.MANUAL, Status.ERROR])
def test_one_of_a_thing_is_one_thing(name, status):
    """A report with one criterion of one point, one layer, one answer: no "1 points", "1 criteria", "1 layers"."""
    earned = {Status.PASS: 1.0, Status.FAIL: 0.0}.get(status)
    lines = (criterion("a.b", 1, 1.0, earned, status),)
    model = good().report.models[0]
    found = scored(
        lines, models=(replace(model, layers=model.layers[:1]),), answers=(Answer(section=4, question="", text="x", cell=1, points=1.0),)
    )
    if name == "terminal":
        shown = io.StringIO()
        print_report(found, Console(file=shown, width=200), verbose=True)
        text = shown.getvalue()
    else:
        text = FORMATS[name].render(Executed(report=found))
    wrong = re.findall(
        r"(?<![\d.,])1 (?:points|criteria|layers|answers|models|epochs|parameters|seeds|images|characters|bytes)\b|, [a-z ]+ points\.", text
    )
    assert not wrong


@pytest.mark.parametrize("name", [*FORMATS, "terminal"])
@pytest.mark.parametrize("basis", ["recorded", "measured"])
@pytest.mark.parametrize(("earned", "status"), [(6.0, Status.PASS), (2.0, Status.PARTIAL), (0.0, Status.FAIL)])
def test_points_that_rest_on_the_record_say_so(name, basis, earned, status):
    if name == "notebook":
        return  # it holds no criteria
    found = scored((criterion("a.b", 1, 3.0, 3.0), criterion("train.accuracy", 3, 6.0, earned, status, basis=basis)))
    if name == "terminal":
        shown = io.StringIO()
        print_report(found, Console(file=shown, width=200))
        text = shown.getvalue()
    else:
        text = FORMATS[name].render(Executed(report=found))
    words = '"basis": "recorded"' if name == "json" else view.RECORDED
    assert (words in text) == (basis == "recorded")


def test_undecided_points_rest_on_nothing():
    found = scored((criterion("train.accuracy", 3, 6.0, None, Status.SKIP, basis="recorded"),))
    assert view.RECORDED not in FORMATS["md"].render(Executed(report=found))


# ------------------------------------------------------------------ report.json


def test_published_schema_is_the_records():
    assert schema.PUBLISHED.read_text(encoding="utf-8") == schema.text(), "run python -m grader.reports.schema"


@pytest.mark.parametrize("sample", SAMPLES)
def test_reports_validate_and_read_back(sample):
    executed = SAMPLES[sample]()
    data = json.loads(as_json.render(executed))
    jsonschema.Draft202012Validator.check_schema(schema.schema())
    jsonschema.Draft202012Validator(schema.schema()).validate(data)
    assert next(iter(data)) == "schema"
    assert as_json.render(Executed(report=as_json.parse(json.dumps(data)))) == as_json.render(executed)


def test_a_field_too_many_does_not_validate():
    data = json.loads(as_json.render(good())) | {"grade": 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema.schema())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "The file is not a report"),
        ("[]", "The file is not a report"),
        ('{"schema": "other"}', "schema: expected 'grader/report/v1', found 'other'"),
    ],
)
def test_what_is_no_report_is_refused(text, said):
    with pytest.raises(UsageError) as error:
        as_json.parse(text)
    assert said in str(error.value)


# ------------------------------------------------------------------ writing


def test_write_puts_report_json_last_and_leaves_nothing_else(tmp_path):
    paths = write(good(), tmp_path / "new", ["html", "md", "html"])
    assert [path.name for path in paths] == ["report.html", "report.md", "report.json"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["report.html", "report.json", "report.md"]


def test_started_replaces_what_an_earlier_run_left(tmp_path):
    write(good(), tmp_path, ["gradescope"])
    sample = good().report
    write_started(tmp_path, rubric=sample.rubric, submission=sample.submission, max_score=60.0, formats=["gradescope"])
    assert as_json.load(tmp_path / "report.json").status is RunStatus.STARTED
    assert "score" not in json.loads((tmp_path / "results.json").read_text())["tests"][0]


def test_near_miss_is_suggested():
    with pytest.raises(UsageError) as error:
        check(["json", "htm"])
    expected = "--format: expected one of json, html, md, junit, gradescope, github, notebook, page; found 'htm'. Did you mean 'html'?"
    assert str(error.value) == expected


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Name another folder"):
        write(good(), tmp_path / "file")


@pytest.mark.parametrize(("number", "words", "kind"), [(28, "No space left", InfrastructureError), (13, "Permission denied", UsageError)])
def test_nothing_is_left_when_a_write_fails(number, words, kind, tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(number, words)))
    with pytest.raises(kind, match=words):
        write(good(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_agree():
    assert {name: module.NAME for name, module in FORMATS.items()} == {name: name for name in FORMATS}
    assert len({module.FILENAME for module in FORMATS.values()}) == len(FORMATS)


# ------------------------------------------------------------------ junit


def test_junit_tells_whose_fault():
    root = ET.fromstring(as_junit.render(bad()))
    kinds = {case.get("name"): [child.tag for child in case if child.tag != "properties"] for case in root.iter("testcase")}
    assert kinds == {
        "model.built": [],
        "model.no_pooling": ["failure"],
        "model.no_flatten": ["failure"],
        "model.parameters": ["failure"],
        "data.normalized": ["failure"],
        "train.protocol": ["error"],
        "train.accuracy": ["skipped"],
        "dropout.answers": ["skipped"],
    }
    assert {case.get("classname") for case in root.iter("testcase")} >= {"all_cnn_c.section 1"}
    assert root.get("failures") == "4"
    assert root.find("testsuite").get("hostname") == "grader"


@pytest.mark.parametrize("sample", NO_SCORE)
def test_junit_without_a_score_is_one_error(sample):
    root = ET.fromstring(as_junit.render(SAMPLES[sample]()))
    assert root.get("tests") == root.get("errors") == "1"
    assert not root.findall(".//failure")


# ------------------------------------------------------------------ gradescope


def test_gradescope_adds_up_and_hides_nothing():
    results = json.loads(as_gradescope.render(bad()))
    assert sum(test.get("score", 0) for test in results["tests"]) == pytest.approx(15.0)
    assert "score" not in results
    assert {test.get("visibility", results["visibility"]) for test in results["tests"]} == {"visible"}
    assert results["stdout_visibility"] == "hidden"
    undecided = [test["extra_data"]["status"] for test in results["tests"] if "score" not in test]
    assert sorted(undecided) == ["error", "manual", "skip"]
    assert all("status" not in test for test in results["tests"] if "score" not in test)


def test_gradescope_keeps_flags_from_students():
    results = json.loads(as_gradescope.render(bad()))
    assert [flag["id"] for flag in results.pop("extra_data")["flags"]] == ["curve.contradicted", "cells.order"]
    assert "0.93" not in json.dumps(results)


@pytest.mark.parametrize("sample", NO_SCORE)
def test_gradescope_never_writes_a_zero_for_no_score(sample):
    results = json.loads(as_gradescope.render(SAMPLES[sample]()))
    assert "score" not in results
    assert [("score" in test, "max_score" in test) for test in results["tests"]] == [(False, False)]


# ------------------------------------------------------------------ github


def test_annotations_are_limited():
    many = tuple(criterion(f"c.{i}", 1, 1.0, 0.0, Status.FAIL) for i in range(30))
    some = tuple(criterion(f"p.{i}", 1, 1.0, 0.5, Status.PARTIAL) for i in range(30))
    levels = [line.split(" ")[0] for line in annotations(scored(many + some))]
    assert levels == ["::error"] * 10 + ["::warning"] * 10 + ["::notice"]


def test_summary_stays_below_a_mebibyte():
    many = tuple(criterion(f"c.{i}", 1, 1.0, 0.0, Status.FAIL, message="é" * 900, hint="ü" * 900) for i in range(600))
    text = FORMATS["github"].render(Executed(report=scored(many)))
    assert len(text.encode()) <= 2**20
    assert text.endswith("The whole report is in `report.json`.\n")


def test_public_formats_hold_no_flags_and_no_answers():
    executed = replace(bad(), report=replace(bad().report, answers=(Answer(section=5, question="Why?", text="private words"),)))
    for name in ("github", "junit"):
        text = FORMATS[name].render(executed)
        assert "contradicted" not in text
        assert "private words" not in text


def test_outputs_and_main(tmp_path, capsys):
    write(good(), tmp_path)
    path = tmp_path / "report.json"
    assert outputs(good().report, path) == ["status=graded", "score=52.5", "max-score=60", f"report={path}"]
    assert outputs(SAMPLES["infra_error"]().report, path)[1] == "score="
    assert main([str(path)]) == 0
    assert capsys.readouterr().out.startswith("::warning file=submission.ipynb,title=")
    assert main(["--outputs", str(path)]) == 0
    assert capsys.readouterr().out.startswith("status=graded\n")
    assert main([]) == 2
    assert main([str(tmp_path / "none.json")]) == 2


# ------------------------------------------------------------------ points


@st.composite
def _reports(draw: st.DrawFn) -> Report:
    criteria = []
    for number in range(draw(st.integers(1, 12))):
        points = draw(st.integers(1, 2000)) / 100
        status = draw(st.sampled_from(Status))
        fraction = draw(st.floats(0, 1)) if status in {Status.PASS, Status.PARTIAL, Status.FAIL} else None
        earned = None if fraction is None else points * fraction
        criteria.append(criterion(f"c.{number}", draw(st.integers(0, 6)), points, earned, status))
    return scored(tuple(criteria), draw(st.sampled_from([RunStatus.GRADED, RunStatus.NEEDS_REVIEW])))


@given(_reports())
def test_printed_lines_add_up_to_the_printed_total(made):
    lines = view.lines(made)
    total = re.match(r"([\d.]+) of ([\d.]+) points?", view.headline(made))
    assert sum(line.earned or 0 for line in lines) == round(float(total[1]) * 100)
    assert sum(line.possible for line in lines) == round(float(total[2]) * 100)
    for line in lines:
        assert line.earned is None or 0 <= line.earned <= line.possible
        assert line.earned is None or abs(line.earned / 100 - line.result.earned) < 0.01


@given(_reports())
def test_every_line_that_lost_points_says_what_to_do(made):
    assert all(line.advice for line in view.lines(made) if line.result.status in {Status.FAIL, Status.PARTIAL})


def test_thirds_add_up():
    made = scored(tuple(criterion(f"c.{i}", 1, 1.0, 1 / 3) for i in range(3)))
    assert [line.earned for line in view.lines(made)] == [34, 33, 33]
    assert view.headline(made) == "1 of 3 points"


# ------------------------------------------------------------------ html and terminal


def test_curves_without_a_finite_value_are_said_to_be_so():
    curve = ReportCurve(role="base", cell=1, values={"loss": (float("nan"), float("inf")), "accuracy": ()})
    page = as_html.render(Executed(report=report(recorded=(curve,))))
    assert "No finite value was recorded" in page
    assert "<svg" not in page


@pytest.mark.parametrize(
    "values", [(0.5,), (0.1, 0.1, 0.1), (float("nan"), 0.2, float("nan"), 0.4), (-3.0, 1e11), (0.0, 0.0), (1e-9, 1e-8)]
)
def test_odd_curves_are_drawn(values):
    curve = ReportCurve(role="base", cell=1, values={"loss": values, "acc": values})
    page = as_html.render(Executed(report=report(recorded=(curve,))))
    assert page.count("<svg") == 2
    assert not re.search(r'(points|cx|cy|[xy][12]?)="[^"]*(nan|inf)', page)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60))
def test_any_curve_is_drawn_within_its_box(values):
    curve = ReportCurve(role="base", cell=1, values={"loss": tuple(values)})
    page = as_html.render(Executed(report=report(recorded=(curve,))))
    for group in re.findall(r'<polyline[^>]*points="([^"]*)"', page):
        for pair in group.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 360
            assert 0 <= y <= 220


@given(
    st.lists(st.tuples(st.integers(-5, 10**13), st.floats() | st.none()), max_size=50),
    st.lists(st.lists(st.floats(allow_nan=True) | st.integers(), min_size=6, max_size=6), max_size=5),
    st.sampled_from(["learns", "dead", "cut"]),
)
def test_any_training_is_drawn_within_its_box(measured, band, ending):
    points = tuple(CurvePoint(step=1, images=images, loss=None, accuracy=accuracy) for images, accuracy in measured)
    run = Rerun(seed=0, ending=ending, points=points, images=measured[-1][0] if measured else 7, steps=1)
    columns = zip(*band, strict=True) if band else [()] * 6
    names = ("images", "low", "median", "high", "passes", "zero")
    check = training("base", "doubtful", (run,), reference={name: list(column) for name, column in zip(names, columns, strict=True)})
    page = as_html.render(Executed(report=report(training=(check,))))
    for group in re.findall(r'<poly(?:line|gon)[^>]*points="([^"]*)"', page):
        for pair in group.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 360
            assert 0 <= y <= 250
    assert all(0 <= float(value) <= 360 for value in re.findall(r' (?:cx|cy|[xy][12]?)="([^"]*)"', page))


def test_a_training_over_all_epochs_has_its_own_figures():
    check = replace(fragile(), curve=tuple(CurvePoint(step=391 * i, images=50_000 * i, loss=2.0 / i, accuracy=0.2 * i) for i in (1, 2, 3)))
    page = as_html.render(Executed(report=report(training=(check,))))
    assert page.count("<svg role") == 3
    assert "Base model, trained here as long as the notebook asks: accuracy" in page
    assert "this model, seed 1" in page  # the short re-run that learns


def test_what_the_notebook_recorded_stands_once():
    page = as_html.render(SAMPLES["trained"]())
    assert page.count("Base model, recorded in the notebook (cell 2): accuracy</figcaption>") == 1
    assert page.index('id="training"') < page.index("Base model, recorded in the notebook")
    assert page.index("Other model, recorded in the notebook") < page.index('id="training"')
    assert 'id="recorded"' not in as_html.render(good())


@pytest.mark.parametrize("verbose", [False, True])
def test_terminal_says_verdict_reason_and_cure(verbose):
    shown = io.StringIO()
    print_report(good().report, Console(file=shown, width=300), verbose=verbose)
    text = shown.getvalue()
    assert "Base model: Learns on some random starts only (fragile)" in text
    assert fragile().reason in text
    assert fragile().diagnosis in text
    cured = "Cured with the ReLU on the 10-map convolution removed: accuracy 0.341 (95 % interval 0.319 to 0.365) after 9,600 images."
    assert cured in text
    assert (fragile().recorded in text) == verbose
    assert ("Seed 0: after 16 steps all 640 units" in text) == verbose


@pytest.mark.parametrize("said", ["slow", "stuck", "doubtful", "a later version's word"])
def test_every_verdict_has_a_heading(said):
    check = replace(fragile(), verdict=said, reason="", diagnosis="", review="The interval contains the limit.", counterfactuals=())
    for name in ("html", "md"):
        text = FORMATS[name].render(Executed(report=report(training=(check,))))
        assert "The interval contains the limit." in text
        assert (VERDICTS[said].words if said in VERDICTS else "later version") in text
        assert "The band holds the accuracies of 48 runs of the solution itself" in text


def test_a_change_tried_on_two_seeds_has_a_row_for_each():
    first, second = score_maps(rerun(0, "stuck", 0.1), cures=False), score_maps(rerun(2, "stuck", 0.11), cures=False)
    check = replace(fragile(), counterfactuals=(replace(first, lives=True), second))
    assert [(row[0], row[-1]) for _, row in tried(check)] == [("0", "not dead, but slow"), ("2", "no")]
    page = as_html.render(Executed(report=report(training=(check,))))
    table = re.search(r"<caption>One row for each change</caption>.*?</table>", page, flags=re.DOTALL)[0]
    rows = [re.findall(r"<t[hd][ >]", row) for row in re.findall(r"<tr>.*?</tr>", table, flags=re.DOTALL)]
    assert [len(row) for row in rows] == [7, 7, 7]


def test_a_cached_check_says_so_and_an_unknown_number_of_runs_is_not_invented():
    check = replace(fragile(), cached=True, reference={name: column for name, column in REFERENCE.items() if name != "dataset_runs"})
    page = as_html.render(Executed(report=report(training=(check,))))
    assert "the cache: an equal model was trained before" in page
    assert "The band holds the accuracies of the runs of the solution itself after the same number of images." in page


def test_terminal_without_unicode_and_with_colour():
    ascii_file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_report(bad().report, Console(file=ascii_file, width=100), verbose=True)
    ascii_file.flush()
    assert b"Failed" in ascii_file.buffer.getvalue()
    coloured = io.StringIO()
    print_report(bad().report, Console(file=coloured, force_terminal=True, width=60, color_system="standard", _environ={"TERM": "xterm"}))
    assert "\x1b[31m" in coloured.getvalue()
    plain = io.StringIO()
    print_report(bad().report, Console(file=plain, force_terminal=True, width=60, no_color=True))
    assert "\x1b[31m" not in plain.getvalue()


def test_quiet_wins_and_is_one_line():
    shown = io.StringIO()
    print_report(SAMPLES["ungradable"]().report, Console(file=shown), verbose=True, quiet=True)
    assert shown.getvalue() == "ungradable -/100 submission.ipynb\n"


def test_a_page_that_could_act_is_refused():
    from grader.reports import inert

    page = as_html.render(good())
    for planted in (
        "<script>1</script>",
        "<p onclick=a>x</p>",
        '<a href="https://e.org">x</a>',
        '<img src="x.png">',
        "<p style=color:red>x</p>",
        "<!-- x -->",
        "<style>*{}</style>",
    ):
        with pytest.raises(GraderError, match="fault of the grader"):
            inert.check(page.replace("</main>", planted + "</main>"))


@pytest.mark.parametrize("name", [*(name for name in FORMATS if name not in ("notebook", "page")), "terminal", "annotations"])
def test_every_format_names_the_cells_that_failed_and_what_followed(name):
    error = CellError(type="AttributeError", message="no Dropot", line=13, statement=1)
    cells = (
        ReportCell(
            index=11,
            status="error",
            error=error,
            more=(CellError(type="OSError", message="no file", line=2, cell=3),),
            consequence="so no model",
        ),
        ReportCell(
            index=12,
            status="error",
            error=CellError(type="Stopped", message="It ended."),
            consequence="so cells 14 and 15 were not reached",
        ),
        ReportCell(index=14, status="skipped"),
    )
    told = replace(good().report, cells=cells)
    if name == "terminal":
        print_report(told, Console(file=(shown := io.StringIO()), width=300))
        text = shown.getvalue()
    else:
        text = "\n".join(annotations(told)) if name == "annotations" else FORMATS[name].render(replace(good(), report=told))
    if name == "json":
        assert json.loads(text)["cells"][0]["consequence"] == "so no model"
        return
    first = "Cell 11 stopped with AttributeError: no Dropot (line 13), so no model. Also OSError: no file (cell 3, line 2)."
    assert text.count(first) == 1
    assert text.count("Cell 12 ended the run: It ended, so cells 14 and 15 were not reached.") == 1
    assert "Cell 14" not in text
