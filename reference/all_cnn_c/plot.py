"""Draw `curves-<data set>.svg` from `runs.csv` and `thresholds.toml`: every calibration run over the band. `python reference/all_cnn_c/plot.py`."""

import csv
import tomllib
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "grader"
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).resolve().parent
STYLES = {"reference": ("C0", "-"), "honest": ("C2", "-"), "fragile": ("C1", "--"), "slow": ("C4", "-."), "defect": ("C3", ":")}


def main() -> None:
    """One figure a data set, one panel a role."""
    with (HERE / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["held_accuracy"] and row["precision"] == "mixed_bfloat16" and row["backend"] == "tensorflow"
        ]
    found = tomllib.loads((HERE / "thresholds.toml").read_text(encoding="utf-8"))["dataset"]
    for name, part in found.items():
        courses = defaultdict(list)
        for row in rows:
            if row["dataset"].startswith(name):
                courses[row["variant"], row["kind"], row["seed"]].append((int(row["images"]), float(row["held_accuracy"])))
        figure, axes = plt.subplots(figsize=(9, 5))
        band = part["band"]["base"]
        images = [point["images"] for point in band]
        axes.fill_between(
            images, [point["low"] for point in band], [point["high"] for point in band], alpha=0.15, label="band (honest runs)"
        )
        axes.plot(images, [point["passes"] for point in band], "k--", linewidth=1, label="passes")
        axes.plot(images, [point["zero"] for point in band], "k:", linewidth=1, label="told from guessing")
        seen = set()
        for (_, kind, _), points in sorted(courses.items()):
            colour, dash = STYLES[kind]
            label = None if kind in seen else kind
            seen.add(kind)
            axes.plot(*zip(*sorted(points), strict=True), color=colour, linestyle=dash, linewidth=0.8, alpha=0.7, label=label)
        axes.set(xlabel="training images", ylabel="accuracy on held-back images", title=f"Calibration on {name}: {len(courses)} runs")
        axes.legend(loc="upper left", fontsize=8)
        figure.tight_layout()
        figure.savefig(HERE / f"curves-{name}.svg", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
