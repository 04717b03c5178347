"""The calibration's results as Markdown: what `reference/<id>/results.md` says, computed from the committed runs and nothing else."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from statistics import median
from typing import Any

from grader.training import thresholds
from grader.training.thresholds import Rate, Recorded

_WORDS = {
    "honest_failed": "honest runs whose death was proved (they would cost points)",
    "honest_undecided": "honest runs that one seed did not decide within its images",
    "defects_found": "runs of visible defects that were not taken for learning",
    "fragile_took_off": "runs of the fragile models that took off",
    "dead_revived": "runs whose death was proved and that showed a gradient later",
}


def as_markdown(
    parts: Mapping[str, tuple[Sequence[Recorded], Mapping[str, Rate], Mapping[str, str]]],
    variants: Mapping[str, Any],
    diagnoses: Sequence[Mapping[str, str]],
    verdicts: Sequence[Mapping[str, str]] = (),
) -> str:
    """`parts`: data set -> (runs, rates, facts). `verdicts`: the rows of `verdicts.csv`."""
    sources = "`runs.csv`, `diagnoses.csv` and `verdicts.csv`"
    lines = ["# Results of the calibration", "", f"Computed from {sources} by `grade calibrate`; do not edit.", ""]
    for dataset, (runs, counted, facts) in parts.items():
        lines += [f"## {dataset}", ""]
        lines += [f"{len(runs)} runs, fingerprint `{facts['fingerprint']}`, {facts['hardware']}, Keras {facts['keras']}.", ""]
        lines += ["| counted on seeds that the limits do not come from | |", "|---|---|"]
        lines += [f"| {_WORDS[key]} | {rate} |" for key, rate in counted.items()]
        lines += [
            "",
            "| variant | kind | seeds | endings | images until certain, median | accuracy then, median |",
            "|---|---|---|---|---|---|",
        ]
        lines += _variants(runs, variants)
        mine = [row for row in diagnoses if row["dataset"].partition(":")[0] == dataset]
        if mine:
            failing = [row for row in mine if row["kind"] != "slow"]  # those are in order, and a short run need not find anything
            right = Rate(count=sum(row["named"] == row["cause"] for row in failing), of=len(failing))
            lines += ["", f"**Causes.** Named right: {right}, over the recorded runs of defects and fragile models that did not learn.", ""]
            lines += [
                "| variant | seed | ending | cause | cured (or, where it had died, kept alive) by | accuracy without | with |",
                "|---|---|---|---|---|---|---|",
            ]
            lines += [
                f"| {row['variant']} | {row['seed']} | {row['ending']} | {row['cause']} | {row['named'] or 'nothing'}"
                f"{': ' + row['change'] if row['change'] else ''} | {row['accuracy_without']} | {row['accuracy_with']} |"
                for row in sorted(mine, key=lambda row: (row["variant"], int(row["seed"])))
            ]
        lines.append("")
    if verdicts:
        lines += [*whole_verdicts(verdicts), ""]
    return "\n".join(lines)


def whole_verdicts(verdicts: Sequence[Mapping[str, str]]) -> list[str]:
    """A table for each data set: a column a setting, and how many of each setting's verdicts, and of the causes named, are the default's."""
    lines = [
        "## Whole verdicts in other settings",
        "",
        "Variants judged as a student's model is: over all its seeds (in brackets how each ended), and with its diagnosis.",
    ]
    default = thresholds.DEFAULT["backend"], thresholds.DEFAULT["precision"]
    for dataset in dict.fromkeys(row["dataset"].partition(":")[0] for row in verdicts):
        mine = [row for row in verdicts if row["dataset"].partition(":")[0] == dataset]
        settings = sorted({(row["backend"], row["precision"]) for row in mine}, key=lambda setting: (setting != default, setting))
        rows = {(row["variant"], row["backend"], row["precision"]): row for row in mine}
        lines += ["", f"| {dataset} | " + " | ".join(" ".join(setting) for setting in settings) + " |", "|---" * (len(settings) + 1) + "|"]
        for variant in dict.fromkeys(row["variant"] for row in mine):
            lines.append(f"| {variant} | " + " | ".join(_verdict(rows.get((variant, *setting))) for setting in settings) + " |")
        lines.append("")
        for setting in settings:
            pairs = [
                (rows[variant, *default], other)
                for (variant, *where), other in rows.items()
                if tuple(where) == setting != default and (variant, *default) in rows
            ]
            if pairs:
                same, cause, first = (
                    Rate(count=sum(said(one) == said(other) for one, other in pairs), of=len(pairs))
                    for said in (itemgetter("verdict"), itemgetter("named"), _first_ending)
                )
                lines.append(
                    f"* {' '.join(setting)}: the same verdict {same}; the same cause named {cause}; the first run ends the same {first}."
                )
    return lines


def _first_ending(row: Mapping[str, str]) -> str:
    return row["endings"].partition(";")[0]


def _verdict(row: Mapping[str, str] | None) -> str:
    if row is None:
        return "not judged"
    return f"{row['verdict']} ({row['endings'].replace(';', ', ')}){': ' + row['named'] if row['named'] else ''}"


def _variants(runs: Sequence[Recorded], variants: Mapping[str, Any]) -> list[str]:
    judged = thresholds.held_out_endings(runs, variants)
    lines = []
    for name, variant in variants.items():
        mine = [(run, said) for run, said in judged if run.variant == name]
        if not mine:
            continue
        endings = {said: sum(other == said for _, other in mine) for said in ("learns", "doubtful", "stuck", "dead")}
        band = thresholds.limits(runs, variants, variant.role) or thresholds.limits(runs, variants, "base")
        certain = [thresholds.decided(run, band)[1] for run, _ in mine]
        accuracies = [found[0] for (run, _), images in zip(mine, certain, strict=True) if (found := run.at(images)) is not None]
        told = ", ".join(f"{count} {said}" for said, count in endings.items() if count)
        seen = "" if variant.visible else f" (a short run cannot see it: `{variant.caught_by}`)"
        shown = f"{median(accuracies):.3f}" if accuracies else "not measured"
        lines.append(f"| {name} | {variant.kind}{seen} | {len(mine)} | {told} | {median(certain):,.0f} | {shown} |")
    return lines
