"""Points: bounded, additive, and never for what was not decided."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.records import Finding, Status
from grader.scoring import reached, result, totals

LINE = SimpleNamespace(id="a", title="A", section=1, points=4.0, why="w", expected="e", hint="h")


def finding(status, fraction):
    return Finding(status=status, fraction=fraction, message="m")


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan, math.inf])
def test_a_fraction_out_of_range_is_a_defect_and_no_points(fraction):
    line = result(LINE, finding(Status.PASS, fraction))
    assert (line.status, line.earned) == (Status.ERROR, None)


def test_hints_are_for_those_who_lost_points():
    assert result(LINE, finding(Status.FAIL, 0.0)).hint == "h"
    assert result(LINE, finding(Status.PASS, 1.0)).hint == ""


FINDINGS = st.one_of(
    st.floats(0, 1).map(lambda share: finding(Status.PARTIAL, share)),
    st.sampled_from([finding(Status.SKIP, None), finding(Status.MANUAL, None), finding(Status.ERROR, None)]),
)


@given(st.lists(st.tuples(st.floats(0, 50), FINDINGS), max_size=30), st.randoms())
def test_sums(pairs, random):
    lines = [result(SimpleNamespace(**{**vars(LINE), "points": points}), found) for points, found in pairs]
    sums = totals(lines)
    shuffled = list(lines)
    random.shuffle(shuffled)
    again = totals(shuffled)
    assert sums.score == pytest.approx(again.score)
    assert 0 <= sums.score <= sums.auto_maximum + 0.005 * len(lines)
    assert sums.score == pytest.approx(sum(line.earned or 0 for line in lines))
    assert sums.maximum == pytest.approx(sum(line.points for line in lines))


@given(st.lists(FINDINGS, min_size=1, max_size=20), st.data())
def test_hiding_a_criterion_raises_no_percentage(findings, data):
    lines = [result(LINE, found) for found in findings]
    chosen = data.draw(st.integers(0, len(lines) - 1))
    hidden = result(LINE, finding(data.draw(st.sampled_from([Status.SKIP, Status.ERROR])), None))
    if lines[chosen].status is not Status.MANUAL:
        assert reached([*lines[:chosen], hidden, *lines[chosen + 1 :]]) <= reached(lines)


def test_what_the_run_left_out_on_request_is_not_missing():
    full, lacking = result(LINE, finding(Status.PASS, 1.0)), result(LINE, finding(Status.SKIP, None))
    assert reached([full, replace(lacking, basis="left_out")]) == 100.0
    assert reached([full, lacking]) == 50.0
    assert reached([replace(lacking, basis="left_out"), result(LINE, finding(Status.MANUAL, None))]) == 0.0
