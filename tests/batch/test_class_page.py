"""The class page and the summary: right numbers, no names, nothing that acts, flat memory."""

import io
import re
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console
from told import CASES, HOSTILE, hostile, override, report, standing

import grader.batch
from grader.batch.class_page import render
from grader.batch.similarity import Found, Pair, Similar
from grader.batch.summary import lines, percent, print_lines
from grader.batch.tally import MOST_LISTED, Tally
from grader.records import Status

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PAIRS = Similar(
    pairs=(
        Pair(
            students=("sub_a", "sub_b"),
            found=(
                Found(basis="curve", score=1.0, words="the same 30 recorded numbers of a training, digit for digit", expected=1e-30),
                Found(basis="code", score=0.91, words="91% of the rarer passages", expected=0.003),
            ),
        ),
    ),
    works=5,
    null=("Curves: so and so.",),
)
CLASS = [
    standing("sub_a", penalty=5.0),
    standing("sub_b", "wrong_mlp"),
    standing("sub_c", "bad"),
    standing("sub_d", "trained", trained=2, reused=1),
    standing("sub_e", "ungradable"),
    standing("sub_f", "grader_error"),
    standing("sub_g", "infra_error"),
    standing("sub_h", status="waiting", content="new"),
]
CLASS[-1] = replace(CLASS[-1], report=None, score=None, total=None, penalty=None, pending_points=0.0)
CSS = (Path(grader.batch.__file__).parent / "templates" / "class.css").read_text(encoding="utf-8")


def page(standings=CLASS, pairs=PAIRS, title="CNN on CIFAR 10", **more):
    return render(title, Tally(standings), pairs, generated_at=NOW, **more)


def text(html: str) -> str:
    """What a reader reads."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


# ------------------------------------------------------------------ the counts


def test_the_tally_counts():
    tally = Tally(CLASS)
    assert tally.statuses == {"graded": 3, "needs_review": 1, "ungradable": 1, "grader_error": 1, "infra_error": 1, "waiting": 1}
    assert len(tally.shares) == 4
    assert tally.late == 1
    assert (tally.trained, tally.reused, tally.seconds) == (2, 1, 12.5 * 8)
    assert tally.checked >= 1
    assert tally.diagnoses["Dead on every start, no single cause proved"] >= 1
    assert [case.student for case in tally.listed["needs_review"].cases] == ["sub_c"]
    assert tally.flags["curve.contradicted"].severity == "alert"
    assert sum(tally.histogram()) == 4
    for line in tally.lines.values():
        assert 0 <= line.given <= line.possible or line.possible == 0


def test_the_tally_agrees_with_the_reports():
    standings = [standing(f"s{number}", case) for number, case in enumerate(CASES)]
    tally = Tally(standings)
    scored = [each.report for each in standings if each.total is not None]
    for name, line in tally.lines.items():
        results = [found for each in scored for found in each.criteria if found.id == name]
        assert line.outcomes["pass"] == sum(found.status is Status.PASS for found in results)
        assert line.outcomes["fail"] == sum(found.status is Status.FAIL for found in results)
        assert line.outcomes["undecided"] == sum(found.status in {Status.SKIP, Status.ERROR} for found in results)
        assert line.students == len(results)
    assert sum(line.given for line in tally.lines.values()) == pytest.approx(sum(each.score for each in scored))


def test_overrides_count_as_decided():
    made = (override("curves.answers", 6.0, 1), override("model.built", 0.0, 2))
    tally = Tally([standing("sub_a", overrides=made)])
    assert tally.lines["curves.answers"].outcomes == {"pass": 1}
    assert tally.lines["model.built"].outcomes == {"fail": 1}
    assert tally.overridden == 1


def test_equal_work_costs_once():
    tally = Tally([standing(f"s{number}", trained=3, seconds=10.0) for number in range(5)])
    assert (tally.trained, tally.reused, tally.seconds) == (3, 0, 10.0)


def test_no_score_is_in_no_distribution():
    tally = Tally([each for each in CLASS if each.total is None])
    assert tally.shares == []
    assert tally.histogram() == (0,) * 10
    assert tally.quantiles(0.5) == ()
    assert "how many submissions have which total" not in page([CLASS[4]]).lower()


def test_quantiles_and_bins():
    tally = Tally([standing(f"s{score}", score=float(score)) for score in (0, 10, 50, 100, 120)])
    assert tally.quantiles(0, 0.5, 1) == (0.0, 0.5, 1.2)
    assert tally.histogram() == (1, 1, 0, 0, 0, 1, 0, 0, 0, 2)


# ------------------------------------------------------------------ the page


def test_the_page_says_it():
    said = text(page(problems=3))
    for words in (
        "Students 8",
        "Not gradable 1",
        "1 total has points taken off for lateness",
        "4 totals of 100 points",
        "Dead on every start, no single cause proved",
        "Manual review before the points count (1)",
        "The grader failed (1)",
        "3 problems came up",
        "curve.contradicted",
        "the same 30 recorded numbers of a training, digit for digit . By chance: fewer than 0.000001",
        "By chance: 0.003",
        "no accusation",
        "Models trained 2",
        "Taken from the cache 1",
        "2 min",
        "2026-03-02 09:30 UTC",
    ):
        assert words in said or words.replace(" .", ".") in said, words


def test_the_numbers_of_a_criterion_are_on_the_page():
    html = page([standing(f"s{number}", case) for number, case in enumerate(CASES)])
    tally = Tally([standing(f"s{number}", case) for number, case in enumerate(CASES)])
    rows = dict(
        re.findall(
            r'<tr role="row"><th scope="row" role="rowheader" class="what">.*?<div class="small">([\w.]+),.*?</div></th>(.*?)</tr>',
            html,
            re.DOTALL,
        )
    )
    assert set(rows) == set(tally.lines)
    for name, row in rows.items():
        shown = [int(number) for number in re.findall(r"</span>(\d+)</td>", row)]
        assert shown == [tally.lines[name].outcomes[outcome] for outcome in ("pass", "partial", "fail", "undecided", "manual")]


def test_no_name_and_no_file_is_on_the_page():
    found = replace(report("wrong_mlp"), submission=replace(report("wrong_mlp").submission, file="jane_doe.ipynb"))
    assert "jane" not in page([standing("sub_a", report=found)])


def test_hostile_words_do_nothing():
    standings = [
        standing(f"{HOSTILE}{number}", report=hostile(case))
        for number, case in enumerate(("wrong_maxpool_flatten", "hostile_forges_frames"))
    ]
    pairs = replace(
        PAIRS,
        pairs=(Pair(students=(HOSTILE, HOSTILE), found=(Found(basis="code", score=1.0, words=HOSTILE, expected=None),)),),
        null=(HOSTILE,),
    )
    html = page(standings, pairs, title=HOSTILE)  # which is checked to be inert
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;/script&gt;" in html
    assert "49" not in re.findall(r"<h1[^>]*>(.*?)</h1>", html)[0]
    assert not re.search("[\x00-\x08\x1b\u202e]", html)


def test_structure_and_access():
    html = page(problems=1)
    assert html.lstrip().startswith("<!DOCTYPE html>")
    assert html.count("<h1") == html.count("<main>") == 1
    assert "http://" not in html
    assert "https://" not in html
    assert "default-src 'none'" in html
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", html)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for table in re.findall(r"<table.*?</table>", html, flags=re.DOTALL):
        assert "<caption" in table
        assert 'scope="col"' in table
        assert 'scope="row"' in table
        assert "<th>" not in table
    for picture in re.findall(r"<svg[^>]*>", html):
        assert 'aria-hidden="true"' in picture or ('role="img"' in picture and "aria-labelledby" in picture)
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', html)) <= set(ids)


def test_no_colour_of_its_own_and_none_alone():
    assert "url(" not in CSS
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", CSS) == [], "the colours are the reports', whose contrast is tested"
    html = page()
    heights = {
        look: set(re.findall(rf'<rect class="{look}" x="[^"]*" y="[^"]*" width="[^"]*" height="([^"]*)"', html))
        for look in ("pass", "partial", "fail", "undecided")
    }
    known = [next(iter(values)) for values in heights.values() if values]
    assert len(known) >= 3
    assert len(set(known)) == len(known), "parts of a bar differ in height"


def test_an_empty_class_has_a_page():
    html = page([], None, title="")
    assert "Students</dt><dd>0" in html
    assert "Nothing." in html


def test_three_thousand_students_in_flat_memory():
    def many():
        for number in range(3000):
            yield standing(f"sub_{number:05}", CASES[number % len(CASES)], content=str(number), score=float(number % 101))

    page([standing("sub_a")])  # imports and template are not what is measured
    tracemalloc.start()
    began = time.perf_counter()
    html = page(many())
    seconds = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 20
    assert peak < 24 * 2**20
    assert len(html) < 3 * 2**20
    assert "Students</dt><dd>3,000" in html


def test_long_lists_are_cut_and_told():
    tally = Tally(standing(f"s{number}", "infra_error") for number in range(MOST_LISTED + 7))
    assert tally.listed["infra_error"].count == MOST_LISTED + 7
    assert "And 7 more." in render("Class", tally, None, generated_at=NOW)


# ------------------------------------------------------------------ the terminal


def printed(tally, width=100, **more):
    out = io.StringIO()
    print_lines(lines(tally, **more), Console(file=out, width=width, force_terminal=False))
    return out.getvalue()


def test_the_summary_says_it():
    said = printed(Tally(CLASS), pairs=2)
    for words in (
        "8 students",
        "     1  grader bug",
        "Totals of 4 submissions, of 100 points",
        "Most missed",
        "every model learns",
        "    1  to review before the points count",
        "    2  pairs of similar works to compare",
        "2 models trained, 1 taken from the cache (33 % saved); 2 min of work.",
    ):
        assert words in said, words
    assert "\x1b" not in said


def test_the_five_most_missed_come_in_order():
    tally = Tally([standing(f"s{number}", case) for number, case in enumerate(CASES)])
    shown = [line.text for line in lines(tally) if re.search(r"\([a-z_]+\.[a-z_]+\)$", line.text)]
    counts = [int(line.split()[0]) for line in shown]
    assert len(shown) == 5
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == max(line.missed for line in tally.lines.values())


def test_hostile_words_command_no_terminal():
    said = printed(Tally([standing(HOSTILE, report=hostile(), status=HOSTILE), standing("b", report=hostile("hostile_forges_frames"))]))
    assert not re.search("[\x00-\x08\x1b\u202e]", said)


def test_a_terminal_without_unicode():
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    print_lines(lines(Tally([standing("a", report=hostile())])), Console(file=out, width=80))
    out.flush()
    assert b"1 student" in out.buffer.getvalue()


@pytest.mark.parametrize(
    ("part", "whole", "said"), [(0, 10, "0 %"), (1, 3000, "1 %"), (2999, 3000, "99 %"), (10, 10, "100 %"), (0, 0, "0 %")]
)
def test_percent(part, whole, said):
    assert percent(part, whole) == said
