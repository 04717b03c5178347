"""Similar work: planted copies are found, what everybody has is not, and chance is said.

The class is the corpus: 188 variations of one solution, many one line apart. That is harder than a class: what most have in common counts nothing, so a
copy of a variation without passages of its own cannot be told from the rest. Measured here on three draws of 20 planted copies, see docs/exports.md.
"""

import ast
import hashlib
import json
import math
import os
import random
import re
import subprocess
import sys
import time
import zlib
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from told import report, standing

from grader.batch import similarity
from grader.batch.records import Standing
from grader.batch.similarity import LIMIT, MOST_PAIRS, Fingerprints, _prints, _tail, _token_text, similar
from grader.records import ReportCurve

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
OWN = 60
"""Fingerprints that at most a tenth of the class has, from which on a work counts as having passages of its own."""


@cache
def corpus() -> dict[str, tuple[str, ...]]:
    """The code cells of every readable notebook of the corpus."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("*/submission.ipynb")):
        try:
            cells = json.loads(path.read_text(encoding="utf-8-sig"))["cells"]
        except (ValueError, KeyError, TypeError):
            continue
        found[path.parent.name] = tuple("".join(cell.get("source", "")) for cell in cells if cell["cell_type"] == "code")
    return found


@cache
def rare() -> dict[str, set[int]]:
    """What each work of the corpus has that at most a tenth of them have."""
    having = {name: set(_prints(_token_text("\n\n".join(cells))).tolist()) for name, cells in corpus().items()}
    count = Counter(mark for prints in having.values() for mark in prints)
    return {name: {mark for mark in prints if count[mark] <= len(having) / 10} for name, prints in having.items()}


def akin(one: str, other: str) -> bool:
    """Whether two cases were made from one notebook: most of what few others have is in both."""
    return len(rare()[one] & rare()[other]) * 2 > min(len(rare()[one]), len(rare()[other]))


def work(student: str, cells, content: str = "", **fields) -> Standing:
    code = "\n\n".join(cells)
    key = content or hashlib.sha256(code.encode()).hexdigest()
    return Standing(student=student, attempt=1, attempts=1, content=key, status="graded", code=code, **fields)


def disguised(cells, seed: int):
    """The same cells with every assigned name changed, the comments replaced, and two cells swapped."""
    rng = random.Random(seed)
    names = set()
    for cell in cells:
        try:
            names |= {node.id for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        except SyntaxError:
            continue
    new = {name: f"my_{number}_{name[:2]}" for number, name in enumerate(sorted(names))}
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, new)) + r")\b") if new else None
    made = []
    for cell in cells:
        bare = re.sub(r"#.*", "", cell)
        made.append(f"# comment {rng.randrange(1000)}\n" + (pattern.sub(lambda match: new[match[0]], bare) if pattern else bare))
    if len(made) > 3:
        place = rng.randrange(1, len(made) - 1)
        made[place], made[place - 1] = made[place - 1], made[place]
    return made


@cache
def planted(seed: int):
    """The corpus with 20 disguised copies of works that have passages of their own, what was found, and the originals."""
    able = [name for name, own in rare().items() if len(own) >= OWN and not any(akin(name, other) for other in corpus() if other != name)]
    originals = sorted(able, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())[:20]  # a new case hardly changes the draw
    works = [work(name, cells) for name, cells in corpus().items()]
    works += [work(f"copy of {name}", disguised(corpus()[name], seed)) for name in originals]
    return works, similar(works), originals


def of(found, basis):
    return {frozenset(pair.students): each for pair in found.pairs for each in pair.found if each.basis == basis}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_planted_copies_are_found(seed):
    works, found, originals = planted(seed)
    listed = of(found, "code")
    missed = [name for name in originals if frozenset((name, f"copy of {name}")) not in listed]
    assert len(originals) == 20
    assert len(missed) <= 4, missed
    own = {each.student: set(_prints(_token_text(each.code)).tolist()) for each in works}
    having = [prints for prints in own.values() if prints]
    for name in missed:  # what was missed has next to nothing that the class does not have, once its names are changed
        rare = [mark for mark in own[name] & own[f"copy of {name}"] if sum(mark in prints for prints in having) <= len(having) / 10]
        assert len(rare) < 40, name  # 37 at most in eight draws: cases made from one another share what is rare otherwise


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_few_others_are_listed(seed):
    _, found, originals = planted(seed)
    assert originals
    unplanted = {pair: each for pair, each in of(found, "code").items() if not akin(*(name.removeprefix("copy of ") for name in pair))}
    assert len(unplanted) <= 20, "of 34,000 pairs; these are variations of each other in the corpus itself"
    assert all(each.expected <= LIMIT for each in unplanted.values())


def test_what_chance_is_is_said():
    works, found, _ = planted(1)
    said = next(each for each in found.null if each.startswith("Code:"))
    different, pairs = (int(number.replace(",", "")) for number in re.match(r"Code: (\d+) different works, ([\d,]+) pairs", said).groups())
    assert pairs == different * (different - 1) // 2
    assert different >= 0.9 * len(works)
    assert "Chance:" in said
    pair = next(pair for pair in found.pairs if pair.found[0].basis == "code")
    assert pair.expected is not None
    assert re.search(rf"\d+% of the rarer passages .* \(\d+ fingerprints that at most \d+ of {different} works have\)", pair.found[0].words)


def test_it_is_the_same_in_every_process():
    code = (
        "from grader.batch.similarity import _prints, _token_text; print(_prints(_token_text('model.add(Conv2D(96, 3))\\n' * 9)).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "1"}
    )
    here = _prints(_token_text("model.add(Conv2D(96, 3))\n" * 9)).tolist()
    assert json.loads(done.stdout) == here
    assert len(here) >= 3


def own_code(seed: int, lines: int = 60):
    """Code that nobody else has: calls of many shapes."""
    rng = random.Random(seed)
    return [
        "\n".join(
            f"a{i} = f("
            + ", ".join(rng.choice(("1", "x", "'s'", "[2]", "y+3", "-z", "k=4", "g(5)")) for _ in range(rng.randrange(2, 9)))
            + ")"
            for i in range(lines)
        )
    ]


def test_independent_codes_are_not_listed_and_one_copy_among_them_is():
    works = [work(f"s{number}", own_code(number)) for number in range(40)]
    assert similar(works).pairs == ()
    found = similar([*works, work("copy", disguised(own_code(7), 1))])
    assert [pair.students for pair in found.pairs] == [("s7", "copy")]
    assert found.pairs[0].expected < 1e-6


def test_the_template_and_what_the_class_has_count_nothing():
    shared = own_code(99)
    works = [work(f"s{number}", [*shared, *own_code(number, 20)]) for number in range(30)]
    assert similar(works).pairs == (), "all have it"
    few = [work(f"s{number}", [*(shared if number < 3 else ()), *own_code(number, 20)]) for number in range(30)]
    assert {pair.students for pair in similar(few).pairs} == {("s0", "s1"), ("s0", "s2"), ("s1", "s2")}
    assert similar(few, template="\n\n".join(shared)).pairs == ()


def test_members_of_a_group_are_no_pair():
    works = [work(f"s{number}", own_code(number)) for number in range(20)]
    copy = work("copy", disguised(own_code(7), 1))
    assert len(similar([*works, copy]).pairs) == 1
    assert similar([*works, replace(copy, members=("s7", "copy"))]).pairs == ()
    both = [replace(each, members=("m1", each.student)) if each.student in {"s7", "copy"} else each for each in [*works, copy]]
    assert similar(both).pairs == ()


def test_equal_contents_are_paired_with_the_first_of_them():
    works = [work(f"s{number}", own_code(number)) for number in range(6)]
    found = similar([*works, *[replace(works[2], student=f"twin{number}") for number in range(3)]])
    assert [pair.students for pair in found.pairs] == [("s2", "twin0"), ("s2", "twin1"), ("s2", "twin2")]
    assert found.pairs[0].found[0].words == "the same notebook, outputs and all, as 4 students have it"


def test_unfilled_templates_and_what_could_not_be_graded_are_no_pairs():
    empty = [standing(f"s{number}", "other_unfilled_template", code=own_code(1)[0]) for number in range(4)]
    other = [standing(f"o{number}", "other_pytorch_cifar10", code=own_code(2)[0]) for number in range(4)]
    assert not report("other_unfilled_template").models
    assert similar([*empty, *other]).pairs == ()


def with_curve(student: str, values, code: str = "", **fields) -> Standing:
    curve = ReportCurve(role="base", cell=3, values={"val_accuracy": tuple(values)})
    return standing(
        student,
        content=student,
        code=code or own_code(zlib.crc32(student.encode()), 12)[0],
        report=replace(report("wrong_mlp"), recorded=(curve,)),
        **fields,
    )


def history(seed: int, epochs: int = 30, decimals: int = 4):
    rng = random.Random(seed)
    return [round(0.8 - 0.4 * math.exp(-epoch / 6) + rng.gauss(0, 0.01), decimals) for epoch in range(epochs)]


def test_the_same_digits_are_found_and_other_trainings_are_not():
    works = [with_curve(f"s{number}", history(number)) for number in range(80)]
    assert of(similar(works), "curve") == {}
    found = of(similar([*works, with_curve("copy", history(5))]), "curve")
    (pair,) = found
    assert pair == {"s5", "copy"}
    assert re.fullmatch(r"the same \d\d recorded numbers of a training, digit for digit", found[pair].words)
    assert found[pair].expected < 1e-9


def test_a_copied_beginning_is_found_and_said():
    works = [with_curve("a", history(1)), with_curve("b", [*history(1)[:15], *history(2)[15:]]), with_curve("c", history(3))]
    found = of(similar(works), "curve")
    assert set(found) == {frozenset("ab")}
    assert re.search(r"the same 1\d recorded numbers .*, of \d\d that both record", found[frozenset("ab")].words)


def test_dead_trainings_and_round_numbers_say_nothing():
    dead = [with_curve(f"s{number}", [0.1] * 30) for number in range(3)]
    still = [with_curve(f"t{number}", [0.1, *[0.0999 + 0.0001 * (epoch % 2) for epoch in range(29)]]) for number in range(3)]
    coarse = [with_curve(f"u{number}", history(1, decimals=2)) for number in range(3)]
    assert of(similar([*dead, *still, *coarse]), "curve") == {}


def test_a_fixed_seed_is_said():
    code = "tf.keras.utils.set_random_seed(42)\n"
    works = [with_curve(name, history(1), code=code + own_code(number)[0]) for number, name in enumerate("ab")]
    (found,) = of(similar(works), "curve").values()
    assert "both set a random seed" in found.words


def test_rare_models_are_found_and_the_common_one_is_not():
    usual = report("full_spanish_stored_outputs")
    odd = report("wrong_maxpool_flatten")
    odd = replace(odd, models=(replace(odd.models[0], optimizer="RMSprop (rate 0.00037)"),))
    works = [standing(f"s{number}", content=f"{number}", code="x = 1", report=replace(usual, recorded=())) for number in range(60)]
    assert similar(works).pairs == ()
    pairs = similar([*works, *[standing(f"odd{number}", content=f"odd{number}", code="x = 1", report=odd) for number in range(2)]]).pairs
    assert [pair.students for pair in pairs] == [("odd0", "odd1")]
    assert pairs[0].found[0].basis == "model"
    assert "2 of 62 works have it" in pairs[0].found[0].words
    many = [standing(f"odd{number}", content=f"odd{number}", code="x = 1", report=odd) for number in range(20)]
    assert similar([*works, *many]).pairs == (), "what twenty have is not rare"


def test_a_small_class_makes_no_statement_on_chance():
    works = [work(f"s{number}", own_code(number)) for number in range(3)]
    found = similar([*works, work("copy", disguised(own_code(1), 2))])
    assert [(pair.students, pair.expected) for pair in found.pairs] == [(("s1", "copy"), None)]
    assert any("Too few for a distribution" in said for said in found.null)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "\x00\ud800",
        "'" * 5000,
        "(" * 5000,
        "x" * 400_000,
        "%%bash\nrm -rf /\n",
        '"""' + "a" * 100_000,
        " \n" * 150_000 + "x = 1",
        "'\\N{" * 25_000,
    ],
    ids=["empty", "odd", "quotes", "nested", "long", "shell", "open", "blank", "named"],
)
def test_hostile_code_is_compared_without_harm(code):
    works = [work(f"s{number}", own_code(number)) for number in range(3)]
    began = time.perf_counter()
    similar([*works, work("a", [code], content="1"), work("b", [code], content="2")])
    assert time.perf_counter() - began < 8


def test_fingerprints_are_made_once_for_each_content(tmp_path, monkeypatch):
    path = tmp_path / "kept.npz"
    works = [work(f"s{number}", own_code(number), content=str(number)) for number in range(14)]
    works.append(work("copy", disguised(own_code(3), 5), content="copy"))
    template = "".join(own_code(1)[:1])
    wanted = similar(works, template=template)
    first = Fingerprints(path)
    assert similar(works, template=template, fingerprints=first) == wanted
    first.keep()
    made = []
    monkeypatch.setattr(similarity, "_token_text", lambda code, real=similarity._token_text: made.append(code) or real(code))
    again = Fingerprints(path)
    assert similar(works, template=template, fingerprints=again) == wanted
    assert made == [template]
    written = path.stat().st_mtime_ns
    again.keep()
    assert path.stat().st_mtime_ns == written, "nothing new"
    more = [*works, work("new", own_code(50), content="new")]
    assert similar(more, template=template, fingerprints=again) == similar(more, template=template)
    again.keep()
    made.clear()
    similar(more, fingerprints=Fingerprints(path))
    assert made == [""]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "version", "sizes"])
def test_fingerprints_that_are_damaged_or_anothers_are_made_anew(tmp_path, damage, monkeypatch):
    path = tmp_path / "kept.npz"
    works = [work(f"s{number}", own_code(number), content=str(number)) for number in range(4)]
    kept = Fingerprints(path)
    wanted = similar(works, fingerprints=kept)
    kept.keep()
    data = path.read_bytes()
    if damage == "version":
        monkeypatch.setattr(similarity, "_made_by", lambda: "another")
    elif damage == "sizes":
        parts = dict(np.load(path))
        np.savez(path, **{**parts, "prints": parts["prints"][:-5]})
    else:
        path.write_bytes({"cut": data[: len(data) // 2], "text": b"no archive", "empty": b""}[damage])
    again = Fingerprints(path)
    assert similar(works, fingerprints=again) == wanted
    again.keep()
    assert Fingerprints(path)._kept.keys() == {"0", "1", "2", "3"}


def test_nothing_and_nobody():
    assert similar([]).pairs == ()
    assert similar([standing("a", "grader_error", code="")]).pairs == ()


def test_a_large_class_is_compared_without_comparing_all_pairs():
    rng = random.Random(0)
    parts = [own_code(number, 6)[0] for number in range(400)]
    works = [work(f"s{number}", [parts[rng.randrange(400)] for _ in range(4)], content=str(number)) for number in range(500)]
    began = time.perf_counter()
    found = similar(works)
    assert found.works == 500
    assert len(found.pairs) <= MOST_PAIRS
    assert time.perf_counter() - began < 40


@pytest.mark.parametrize(
    ("hits", "tries", "chance", "exact"), [(3, 10, 0.1, 0.0702), (6, 30, 0.005, 8.3e-9), (0, 5, 0.1, 1.0), (5, 5, 0.1, 1e-5)]
)
def test_the_binomial_tail_is_never_too_small(hits, tries, chance, exact):
    assert exact * 0.99 <= _tail(hits, tries, chance) <= exact * 1.5
