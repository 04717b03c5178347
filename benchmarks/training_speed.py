"""How fast the training check trains: images a second of our loop in box 2, against stock `model.fit` in float32 on the same device.

Run `python benchmarks/training_speed.py` with the Python in which the grader is installed, on a machine that has nothing else to do. Both sides train the
reference's base model with its own optimizer at batch 128 on the same images. Ours goes through the sandbox and in the precision that `grade` would choose
here; the other is a plain process with `model.fit` on float32 arrays, as a student runs it, without validation, its first (compiling) call left out. The sides
alternate (A B A B …); the ratio is that of the medians. The second table is not timed here: it reads the calibration's `runs.csv`, which says how many images and
seconds each recorded run took until its verdict was certain.

Exit code 0 if the target is met, 1 if it is missed, 2 if something could not be measured.
"""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median

from grader import calibrate, dataset, rubric, sandbox
from grader.sandbox import Limits
from grader.training import bands, runs, thresholds
from grader.training.box2 import Box2
from grader.training.session import check_device, precision_for

TARGET = {"cpu": 2.0, "gpu": 3.0}
STOCK = """
import json, os, sys, time
import numpy as np
import keras
config, data, steps, batch = json.loads(sys.stdin.read())
model = keras.saving.deserialize_keras_object(config)
model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
images = np.load(os.path.join(data, "x_train.npy"), mmap_mode="r")[: steps * batch].astype("float32") / 255
labels = np.load(os.path.join(data, "y_train.npy"))[: steps * batch]
model.fit(images[: 2 * batch], labels[: 2 * batch], batch_size=batch, epochs=1, verbose=0)
began = time.perf_counter()
model.fit(images, labels, batch_size=batch, epochs=1, verbose=0)
print(steps * batch / (time.perf_counter() - began))
"""


def stock(config: object, data: Path, steps: int, batch: int) -> float:
    """Images a second of `model.fit`."""
    done = subprocess.run(
        [sys.executable, "-c", STOCK],
        input=json.dumps([config, str(data), steps, batch]),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"training_speed: stock fit failed: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1])


def timed(rounds: int, steps: int) -> int:
    lines = rubric.load("all_cnn_c")
    folder = rubric.reference(lines)
    data = dataset.ensure(dataset.default_store())
    device = check_device("auto")
    precision = precision_for(device)
    box = sandbox.choose()
    ours, theirs = [], []
    with Box2(box, Limits(), data=data.folder, device=device) as box2:
        base = calibrate.specifications(lines, folder / "solution.ipynb", box, box2, data)["base"]
        batch = base.batch_size
        for _ in range(rounds):
            box2.open(base, seed=0, precision=precision, most_steps=steps + 4)
            box2.advance(4)
            ours.append(steps * batch / box2.advance(steps).seconds)
            theirs.append(stock(base.config, data.folder, steps, batch))
    ratio = median(ours) / median(theirs)
    print(f"ours, {precision}: {median(ours):.0f} images/s ({', '.join(f'{value:.0f}' for value in ours)})")
    print(f"model.fit, float32: {median(theirs):.0f} images/s ({', '.join(f'{value:.0f}' for value in theirs)})")
    print(f"ratio {ratio:.2f}, target at least {TARGET[device]}")
    print(
        json.dumps(
            {
                "benchmark": "training_speed",
                "device": device,
                "hardware": calibrate.hardware(device),
                "precision": precision,
                "ours": ours,
                "stock": theirs,
                "ratio": round(ratio, 3),
                "python": platform.python_version(),
            }
        )
    )
    return 0 if ratio >= TARGET[device] else 1


def spent() -> None:
    """Images and seconds until the verdict on one seed was certain, by kind of run."""
    folder = rubric.reference(rubric.load("all_cnn_c"))
    variants = {variant.name: variant for variant in runs.variants(folder).VARIANTS}
    rows = runs.rows(folder / "runs.csv")
    for name in ("cifar10", "standin"):
        found = [run for run in thresholds.recorded(rows, dataset=name, **calibrate.DEFAULT) if run.variant in variants]
        known = bands.load(folder, name)
        if known is None or not found:
            continue
        judged = [(run, thresholds.decided(run, known.points(variants[run.variant].role))[0]) for run in found]
        for ending in ("learns", "dead", "doubtful", "stuck"):
            group = [run for run, said in judged if said == ending]
            if group:
                images = [thresholds.decided(run, known.points(variants[run.variant].role))[1] for run in group]
                rate = [run.seconds * count / run.images for run, count in zip(group, images, strict=True)]
                print(f"{name}: {ending}: {len(group)} runs, median {median(images):,.0f} images, {median(rate):.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16)
    given = parser.parse_args()
    spent()
    raise SystemExit(timed(given.rounds, given.steps))
