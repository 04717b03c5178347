"""`grade calibrate`: make the reference's runs, compute its thresholds. On the pipeline's floor, as it uses every room that a grading uses."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from grader import dataset, evidence, notebook, rubric, sandbox
from grader.errors import GraderError, UsageError
from grader.records import Evidence
from grader.sandbox import Limits
from grader.sandbox.notebook_run import collect_notebook, start_notebook
from grader.training import bands, results, runs, thresholds
from grader.training.bands import FILE
from grader.training.box2 import Box2
from grader.training.resumed import Resumed
from grader.training.session import check_device, precision_for
from grader.training.specification import Specification, specify
from grader.training.thresholds import DEFAULT

Making = Literal["runs", "diagnoses", "verdicts", "nothing"]
"""What is made before the thresholds are computed anew."""

_BFLOAT16 = {"avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX BF16"}


def calibrate(
    name: str,
    *,
    only: tuple[str, ...],
    seeds: tuple[int, int],
    device: str,
    backend: str,
    precision: str,
    standin: bool,
    path: Path | None,
    making: Making,
    tell: Callable[[str], None],
) -> None:
    """Make the runs, diagnoses or whole verdicts that are missing, and write `thresholds.toml`. Raises UsageError, InfrastructureError."""
    lines = rubric.load(name)
    folder = rubric.reference(lines)
    variants = runs.variants(folder).VARIANTS
    file = path or folder / "runs.csv"
    if making != "nothing":
        device = check_device(device)
        precision = precision_for(device) if precision == "auto" else precision
        if making != "verdicts" and path is None and {"backend": backend, "precision": precision} != DEFAULT:
            raise UsageError(
                f"--backend {backend} --precision {precision}: {file} holds what the thresholds come from, made with {' and '.join(DEFAULT.values())}. "
                "Add --verdicts to judge the variants in this setting, or --runs FILE to make runs elsewhere."
            )
        unknown = sorted(set(only) - {variant.name for variant in variants} - {variant.kind for variant in variants})
        if unknown:
            raise UsageError(f"--only {', '.join(unknown)}: expected variants or kinds of {folder / 'calibrate.py'}.")
        chosen = [variant for variant in variants if not only or variant.name in only or variant.kind in only]
        queue = [(variant, seed) for seed in range(*seeds) for variant in chosen if seed < variant.seeds]
        data = dataset.ensure(dataset.default_store()) if not standin else dataset.ensure_standin(dataset.default_store())
        box = sandbox.choose()
        with Box2(box, Limits(), data=data.folder, backend=backend, device=device) as box2:
            setting = runs.Setting(
                dataset=f"{data.name}:{data.fingerprint[:16]}",
                backend=backend,
                precision=precision,
                hardware=hardware(device),
                keras=box2.versions()["keras"],
            )
            bases = specifications(lines, folder / "solution.ipynb", box, box2, data)
            found = bands.load(folder, data.name)
            trainer = Resumed(box2, file.parent / ".calibrating" / "runs", {**asdict(setting), **box2.versions()})
            calibration = runs.Calibration(box=trainer, bases=bases, queue=queue, setting=setting, tell=tell)
            if making == "runs":
                calibration.make(file)
            elif found is None:
                raise UsageError(
                    f"{folder / FILE}: expected thresholds for {data.name}; make its runs first, without --diagnose or --verdicts."
                )
            elif making == "diagnoses":
                calibration.diagnose(file, file.with_name("diagnoses.csv"), found)
            else:
                calibration.judge(file.with_name("verdicts.csv"), found)
    if path is None:
        write_thresholds(file, folder / FILE, {variant.name: variant for variant in variants}, tell)


def specifications(
    lines: rubric.Rubric, solution: Path, box: sandbox.Sandbox, box2: Box2, data: dataset.Dataset
) -> dict[str, Specification]:
    """What each role's model of the solution asks to be trained, found as a student's is."""
    found = examined(lines, solution, box, box2, data)
    missing = [role for role, match in found.roles.items() if match.model is None]
    if missing:
        raise GraderError(f"{solution}: expected a model for every role; none was found for {', '.join(missing)}.")
    return {role: specify(match.model) for role, match in found.roles.items() if match.model is not None}


def examined(lines: rubric.Rubric, path: Path, box: sandbox.Sandbox, box2: Box2, data: dataset.Dataset) -> Evidence:
    """A notebook's evidence without its training."""
    anchors = notebook.load_anchors(lines.folder / "anchors.toml")
    read = notebook.read(path.read_bytes(), anchors)
    with start_notebook(read.cells, box, Limits(), data.folder) as running:
        record = collect_notebook(running, read.cells, Limits())
    rebuilt = box2.rebuild_all(evidence.candidates(record))
    return evidence.build(read, record, rebuilt, attempted=True)


def write_thresholds(source: Path, target: Path, variants: dict[str, Any], tell: Callable[[str], None]) -> None:
    """Compute `target` and `results.md` beside it from every run in `source` and every diagnosis beside that."""
    rows = runs.rows(source)
    parts, told = {}, {}
    for name in ("cifar10", "standin"):
        mine = [row for row in rows if row["dataset"].partition(":")[0] == name and row["variant"] in variants]
        found = thresholds.recorded(mine, dataset=name, **DEFAULT)
        if not found:
            continue
        limits = {role: thresholds.limits(found, variants, role) for role in ("base", "dropout", "augmentation")}
        counted = thresholds.rates(found, variants)
        facts = {
            "fingerprint": mine[0]["dataset"].partition(":")[2],
            "hardware": mine[0]["hardware"],
            "keras": mine[0]["keras"],
            "runs": str(len(found)),
        }
        parts[name] = ({role: band for role, band in limits.items() if band}, counted, facts)
        told[name] = (found, counted, facts)
        for key, rate in counted.items():
            tell(f"{name}: {key}: {rate}")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    target.write_text(thresholds.as_toml(parts, digest), encoding="utf-8")
    diagnoses = runs.rows(source.with_name("diagnoses.csv"), runs.DIAGNOSES)
    verdicts = runs.rows(source.with_name("verdicts.csv"), runs.VERDICTS)
    target.with_name("results.md").write_text(results.as_markdown(told, variants, diagnoses, verdicts), encoding="utf-8")
    tell(f"Written: {target}")


def hardware(device: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """A short description of where runs are made, for their rows: processors, their model, and whether they multiply bfloat16 themselves."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    flags = said.get("flags", "").split()
    units = [name for flag, name in _BFLOAT16.items() if flag in flags]
    model = said.get("model name") or "unknown CPU"
    return f"{len(os.sched_getaffinity(0))}x {model}" + (f" ({', '.join(units)})" if units else "") + (", GPU" if device == "gpu" else "")
