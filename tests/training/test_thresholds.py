"""From rows to bands and rates, on rows made for the purpose; and the committed file holds together."""

import hashlib
import os
import re
import tomllib
from types import SimpleNamespace

import pytest

from grader import rubric
from grader.calibrate import hardware
from grader.errors import UsageError
from grader.training import bands, runs, thresholds

FOLDER = rubric.reference(rubric.load("all_cnn_c"))
VARIANTS = {
    "reference": SimpleNamespace(role="base", visible=True, kind="reference"),
    "dropped": SimpleNamespace(role="dropout", visible=True, kind="reference"),
    "broken": SimpleNamespace(role="base", visible=True, kind="defect"),
    "hidden": SimpleNamespace(role="base", visible=False, kind="defect"),
}


def row(variant, kind, seed, images, accuracy="", dead="no", **more):
    empty = dict.fromkeys(runs.COLUMNS, "")
    return {
        **empty,
        "variant": variant,
        "kind": kind,
        "seed": str(seed),
        "images": str(images),
        "train_accuracy": "0.1",
        "held_loss": "" if accuracy == "" else str(2.3026 - (accuracy - 0.1)),
        "held_accuracy": str(accuracy),
        "held_images": "1000" if accuracy != "" else "",
        "dead": dead,
        "dataset": "cifar10:abc",
        "backend": "tensorflow",
        "precision": "float32",
        "seconds": "1",
        **more,
    }


def recorded(rows):
    return thresholds.recorded(rows, dataset="cifar10", backend="tensorflow", precision="float32")


ROWS = [
    *(row("reference", "reference", seed, images, 0.1 + seed / 100 + images / 100_000) for seed in range(4) for images in (3072, 9600)),
    *(row("broken", "defect", seed, images, 0.1) for seed in range(2) for images in (3072, 9600)),
    *(row("hidden", "defect", seed, images, 0.4) for seed in range(2) for images in (3072, 9600)),
    row("broken", "defect", 2, 3072, "", "yes"),
]


def test_the_band_is_the_solutions_runs_and_the_limits_come_from_chance_and_defects():
    early, late = thresholds.limits(recorded(ROWS), VARIANTS, "base")
    assert (early.images, late.images) == (3072, 9600)
    assert (late.low, late.high) == (pytest.approx(0.196), pytest.approx(0.226))
    assert early.zero == pytest.approx(0.1 + 2.33 * 0.009487, abs=1e-4)
    assert early.passes == pytest.approx(0.1 + 4.5 * 0.009487, abs=1e-4), "a defect that the short run cannot show does not raise the limit"


def test_a_defect_over_guessing_raises_the_limit():
    more = [*ROWS, row("broken", "defect", 3, 9600, 0.2)]
    assert thresholds.limits(recorded(more), VARIANTS, "base")[1].passes == pytest.approx(0.2 + 2 * (0.2 * 0.8 / 1000) ** 0.5, abs=1e-3)


def test_accuracy_by_luck_neither_passes_nor_raises_the_limit():
    lucky = [row("broken", "defect", 3, 9600, 0.2, held_loss="2.3030")]
    band = thresholds.limits(recorded([*ROWS, *lucky]), VARIANTS, "base")
    assert band == thresholds.limits(recorded(ROWS), VARIANTS, "base")
    assert thresholds.decided(recorded(lucky)[0], band)[0] == "doubtful"
    lagging = recorded([row("reference", "honest", 0, 9600, 0.2, held_loss="3.5", train_accuracy="0.3")])[0]
    assert thresholds.decided(lagging, band) == ("learns", 9600)


@pytest.mark.parametrize(
    ("loss", "trained", "window", "off"),
    [
        (2.2995, 0.1, 512, True),
        (2.2999, 0.1, 512, False),
        (None, 0.1, 512, False),
        (4.0, 0.1597, 512, True),  # 0.1 and 4.5 standard errors of 512 guesses: 0.15966
        (4.0, 0.1596, 512, False),
        (4.0, 1.0, 0, False),
    ],
)
def test_off_guessing_is_a_loss_below_it_or_training_images_over_it(loss, trained, window, off):
    assert bands.off_guessing(loss, trained, window) is off


def test_another_role_has_its_own_band_or_none():
    assert thresholds.limits(recorded(ROWS), VARIANTS, "dropout") == ()


def test_other_settings_are_left_out():
    assert recorded([row("reference", "reference", 0, 3072, 0.2, backend="jax")]) == []
    assert recorded([row("reference", "reference", 0, 3072, 0.2, precision="mixed_bfloat16")]) == []
    assert recorded([row("reference", "reference", 0, 3072, 0.2, dataset="standin:abc")]) == []


def test_endings_are_those_of_a_real_course():
    band = thresholds.limits(recorded(ROWS), VARIANTS, "base")
    said = {(run.variant, run.seed): thresholds.decided(run, band)[0] for run in recorded(ROWS)}
    assert said["reference", 3] == "learns"
    assert said["broken", 0] == "stuck"
    assert said["broken", 2] == "dead"
    between = recorded([row("reference", "honest", 0, 3072, 0.13)])[0]
    assert thresholds.decided(between, band)[0] == "doubtful"


def test_rates_are_counted_on_seeds_that_the_limits_do_not_come_from():
    counted = thresholds.rates(recorded(ROWS), VARIANTS)
    assert (counted["honest_failed"].count, counted["honest_failed"].of) == (0, 4)
    assert (counted["defects_found"].count, counted["defects_found"].of) == (3, 3)
    assert str(thresholds.Rate(count=1, of=4)) == "1 of 4 (25.0%; 95 % interval 4.6% to 69.9%)"


def test_a_revival_is_counted():
    rows = [row("broken", "defect", 0, 3072, "", "yes"), row("broken", "defect", 0, 3584, "", "no")]
    counted = thresholds.rates(recorded(rows), VARIANTS)["dead_revived"]
    assert (counted.count, counted.of) == (1, 1)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("model name\t: A CPU\nflags\t\t: fpu avx512_bf16 amx_bf16\nmodel name\t: Other\n", "A CPU (AVX-512 BF16, AMX BF16), GPU"),
        ("model name\t: A CPU\nflags\t\t: fpu avx2\n", "A CPU, GPU"),
        ("", "unknown CPU, GPU"),
        (None, "unknown CPU, GPU"),
    ],
)
def test_rows_say_which_processor_made_them(tmp_path, said, shown):
    if said is not None:
        (tmp_path / "cpuinfo").write_text(said)
    assert hardware("gpu", tmp_path / "cpuinfo") == f"{len(os.sched_getaffinity(0))}x {shown}"


# ------------------------------------------------------------------ the committed calibration


def test_the_committed_thresholds_are_those_of_the_committed_runs(tmp_path):
    from grader.calibrate import write_thresholds

    variants = {variant.name: variant for variant in runs.variants(FOLDER).VARIANTS}
    write_thresholds(FOLDER / "runs.csv", tmp_path / "thresholds.toml", variants, lambda _: None)
    for name in ("thresholds.toml", "results.md"):
        assert (tmp_path / name).read_text() == (FOLDER / name).read_text(), f"{name}: run `grade calibrate --compute-only`"
    found = tomllib.loads((FOLDER / "thresholds.toml").read_text())
    assert found["runs_sha256"] == hashlib.sha256((FOLDER / "runs.csv").read_bytes()).hexdigest()


def test_the_readme_counts_the_whole_verdicts_as_they_are():
    computed = re.findall(r"the same verdict (\d+ of \d+) .*the same cause named (\d+ of \d+)", (FOLDER / "results.md").read_text())
    told = " ".join((FOLDER / "README.md").read_text().split())
    assert len(computed) == 2, "float32, and JAX"
    for verdicts, causes in computed:
        assert f"the same verdict in {verdicts} and the same cause in {causes}" in told


@pytest.mark.parametrize("dataset", ["cifar10", "standin"])
def test_the_committed_bands_load_and_are_in_order(dataset):
    found = bands.load(FOLDER, dataset)
    assert found is not None
    for role in ("base", "dropout", "augmentation"):
        points = found.points(role)
        assert [point.images for point in points] == sorted(point.images for point in points)
        for point in points:
            assert 0.1 < point.zero < point.passes < 0.5
            assert point.low <= point.median <= point.high


def test_an_uncalibrated_data_set_has_no_bands(tmp_path):
    assert bands.load(FOLDER, "other") is None
    assert bands.load(tmp_path, "cifar10") is None


def test_a_damaged_file_is_a_clear_error(tmp_path):
    (tmp_path / "thresholds.toml").write_text("[dataset.cifar10.band]\nbase = [{images = 1}]\n")
    with pytest.raises(UsageError, match=r"expected the thresholds that `grade calibrate` writes"):
        bands.load(tmp_path, "cifar10")
    (tmp_path / "thresholds.toml").write_text("[dataset.cifar10.band]\nbase = []\n")
    with pytest.raises(UsageError, match="expected at least one point; found none"):
        bands.load(tmp_path, "cifar10")


def test_the_nearest_point_serves():
    from training_samples import BAND
    from training_samples import bands as made

    assert made().at("base", 7000).images == 6400
    assert made().at("dropout", 1).images == BAND[0].images
    assert made().at("base", 10**6).images == 19200


def test_another_files_columns_are_refused(tmp_path):
    (tmp_path / "runs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="expected the columns variant, kind"):
        runs.rows(tmp_path / "runs.csv")
    assert runs.rows(tmp_path / "none.csv") == []


def test_wilson():
    low, high = bands.wilson(100, 1000)
    assert low == pytest.approx(0.0829, abs=1e-3)
    assert high == pytest.approx(0.1201, abs=1e-3)
    assert bands.wilson(0, 0) == (0.0, 1.0)
