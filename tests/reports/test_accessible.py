"""WCAG 2.1 AA, as far as a test can tell: contrast, structure, names, no remote parts."""

import re
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from samples import SAMPLES

from grader import reports
from grader.records import Verdict
from grader.reports import as_html
from grader.reports.text import NOTHING
from grader.reports.trained import VERDICTS
from grader.reports.view import SYMBOLS, WORDS

CSS = (Path(reports.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
TEXT = [
    ("text", "bg"),
    ("text", "panel"),
    ("muted", "bg"),
    ("link", "bg"),
    ("pass", "pass-bg"),
    ("partial", "partial-bg"),
    ("fail", "fail-bg"),
    ("open", "open-bg"),
    ("series-4", "panel"),  # a key word in code
    ("code-string", "panel"),
    ("series-1", "panel"),  # a number in code
    ("code-comment", "panel"),
]
SHAPES = [
    *((drawn, ground) for drawn in ("series-1", "series-2", "pass", "series-4", "partial", "series-6") for ground in ("panel", "band")),
    ("text", "band"),
    ("link", "bg"),
    ("rule", "bg"),
    ("rule", "panel"),
]
LOOKS = ("own", "cure", "cure2", "seed", "median", "guess", "death")


def _themes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root\s*{(.*?)}", CSS, flags=re.DOTALL)
    light, dark, printed = (dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block)) for block in blocks)
    return {"light": light, "dark": {**light, **dark}, "print": {**light, **printed}}


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_contrast_of_black_and_white_is_21():
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", _themes())
def test_text_contrast_is_at_least_4_5(theme):
    colours = _themes()[theme]
    poor = {pair: round(_contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in TEXT}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", _themes())
def test_contrast_of_lines_is_at_least_3(theme):
    colours = _themes()[theme]
    poor = {pair: round(_contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in SHAPES}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 3} == {}


def test_every_colour_is_checked():
    light, dark, _ = _themes().values()
    assert set(light) == set(dark) == {name for pair in TEXT + SHAPES for name in pair}
    outside = re.sub(r":root\s*{.*?}", "", CSS, flags=re.DOTALL)
    assert re.findall(r"#[0-9a-f]{3,6}\b", outside) == ["#ffffff"]  # the paper under a student's figure


def test_the_style_sheet_loads_nothing():
    assert "url(" not in CSS
    assert "@import" not in CSS


def test_status_is_never_colour_alone():
    assert len(set(WORDS.values())) == len(set(SYMBOLS.values())) == len(WORDS)
    page = as_html.render(SAMPLES["bad"]())
    assert all(word in page for word in WORDS.values())


@pytest.mark.parametrize("sample", SAMPLES)
def test_structure(sample):
    page = as_html.render(SAMPLES[sample]())
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "default-src 'none'" in page
    assert page.count("<h1") == page.count("<main>") == 1
    assert page.index('class="skip"') < page.index("<header>")
    assert "http://" not in page
    assert "https://" not in page
    body = re.sub(r'<div class="prose">.*?</div>', "", page, flags=re.DOTALL)
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", body)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for table in re.findall(r"<table.*?</table>", page, flags=re.DOTALL):
        assert "<caption" in table
        assert 'scope="col"' in table
    pictures = re.findall(r"<svg(?![^>]*aria-hidden=\"true\")[^>]*>", page)
    assert len(pictures) == page.count("<desc ") == len(re.findall(r"<svg[^>]*role=\"img\"[^>]*aria-labelledby", page))
    assert all('alt="' in image for image in re.findall(r"<img[^>]*>", page))


@pytest.mark.parametrize("sample", SAMPLES)
def test_links_lead_somewhere_and_ids_are_unique(sample):
    page = as_html.render(SAMPLES[sample]())
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)
    for names in re.findall(r'aria-labelledby="([^"]*)"', page):
        assert set(names.split()) <= set(ids)


def _drawn(look: str) -> tuple[str, str, str]:
    """What a line of the figure looks like without its colour: dashes, width, marker."""
    rule = re.search(rf"^svg \.{look} {{(.*?)}}", CSS, flags=re.MULTILINE)[1]
    found = [re.search(rf"{name}: ([^;]+)", rule) for name in ("stroke-dasharray", "stroke-width")]
    marker = {"own": "circle", "seed": "small circle", "cure": "square", "cure2": "square", "death": "cross"}.get(look, "none")
    return (*(each[1] if each else "" for each in found), marker)


def test_lines_over_the_band_differ_without_colour():
    assert len({_drawn(look) for look in LOOKS}) == len(LOOKS)
    assert "stroke: var(--rule)" in re.search(r"svg \.band {(.*?)}", CSS)[1]  # the shading alone has too little contrast


def test_the_figure_of_a_training_check_has_words_for_everything():
    page = as_html.render(SAMPLES["good"]())
    picture = re.search(r'<figure class="reruns">.*?</figure>', page, flags=re.DOTALL)[0]
    drawn = re.search(r"<svg role.*?</svg>", picture, flags=re.DOTALL)[0]
    legend = dict(re.findall(r'<li><svg class="swatch".*?class="(\w+)".*?<span>(.*?)</span></li>', picture))
    assert legend == {
        "own": "this model, seed 1",
        "cure": "with the ReLU on the 10-map convolution removed (seed 0)",
        "seed": "the same model, seed 2",
        "death": "proved dead: seeds 0, 2",
        "band": "reference band",
        "median": "median of the reference runs",
        "guess": "chance level, 0.10",
    }
    assert set(legend) == set(re.findall(r'class="(\w+)"', drawn)) - {"grid"}
    assert "Seed 0: proved dead after 2,048 images." in drawn
    assert "The band holds the accuracies of 48 runs of the solution itself after the same number of images." in picture
    header = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', picture)
    changed = "With the ReLU on the 10-map convolution removed"
    assert header == ["Training images", "Seed 1", changed, "Seed 0", "Seed 2", "Band low", "Band median", "Band high", "Learns from"]


def test_a_verdict_is_a_heading_in_words():
    heads = [re.sub(r"<[^>]*>", "", head) for head in re.findall(r"<h3[^>]*-head\">(.*?)</h3>", as_html.render(SAMPLES["trained"]()))]
    assert heads == ["Base model: ✓ Learns", "Dropout model: ✗ Dead on every start", f"Augmentation model: {NOTHING} Not measured"]
    assert len({phrase.words for phrase in VERDICTS.values()}) == len({phrase.symbol for phrase in VERDICTS.values()}) == len(VERDICTS)
    assert set(VERDICTS) == set(get_args(Verdict))
