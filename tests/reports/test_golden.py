"""Every format of every kind of ending, as a person last saw it."""

import io

import pytest
from rich.console import Console
from samples import SAMPLES

from grader.reports import FORMATS
from grader.reports.as_github import annotations
from grader.reports.terminal import print_report


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_format_of_every_ending(sample, name, golden):
    golden(f"{sample}/{FORMATS[name].FILENAME}", FORMATS[name].render(SAMPLES[sample]()))


@pytest.mark.parametrize("sample", SAMPLES)
def test_annotations(sample, golden):
    golden(f"{sample}/annotations.txt", "\n".join(annotations(SAMPLES[sample]().report)) + "\n")


@pytest.mark.parametrize("sample", SAMPLES)
def test_terminal(sample, golden):
    shown = io.StringIO()
    console = Console(file=shown, width=100)
    report = SAMPLES[sample]().report
    for setting in ({}, {"verbose": True}, {"quiet": True}):
        print_report(report, console, **setting)
        shown.write("=" * 20 + "\n")
    assert "\x1b" not in shown.getvalue()
    golden(f"{sample}/terminal.txt", shown.getvalue())
