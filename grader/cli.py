"""The `grade` command. Nothing heavy is imported before a command needs it: `grade --help` answers at once."""

import re
import signal
import sys
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from grader.errors import GraderError
from grader.words import counted, meant

if TYPE_CHECKING:
    from rich.console import Console

    from grader.pipeline import Options, Outcome
    from grader.rubric import Rubric
    from grader.training.cache import Cache

EXIT_CODES = """\b
Exit codes: 0 graded, 1 graded but below --fail-under (or, with --on-review
fail, in need of manual review), 2 usage, configuration or rubric, 3 grader
bug, 4 not gradable, 5 nothing to grade, 6 infrastructure (retryable), 130/143
interrupted. What a student's code does is a result: exit 0."""


class _Command(click.Command):
    """A command of which our own errors become a message and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GraderError as error:
            _fail(str(error), error.exit_code)


class _Group(click.Group):
    """A group that suggests the command that was meant."""

    command_class = _Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            ctx.fail(f"{args[0]!r} is no command of {ctx.command_path}. {self.meant(args[0])}")
        return super().resolve_command(ctx, args)

    def meant(self, word: str) -> str:
        """Which command a mistyped one may be."""
        return meant(word, self.commands).strip() or f"The commands are {', '.join(self.commands)}."


class _Commands(_Group):
    """The group in which `grade SUBMISSION` means `grade run SUBMISSION`; a word that is neither a command nor a file is no submission."""

    group_class = _Group

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "--version", "-h"):
            word, *more = _positional(self.commands["run"], args)
            if re.fullmatch(r"\w[\w-]*", word) and not Path(word).exists():
                ctx.fail(f"{word!r} is neither a command nor a file. {self.meant(word)}")
            if more:
                ctx.fail(f"One SUBMISSION was expected; {len(more) + 1} were given. To grade several: grade batch PATHS… --gradebook FILE.")
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _positional(command: click.Command, args: list[str]) -> list[str]:
    """The arguments of a command that are no options; [""] where there is none, or the options are wrong (the command itself says what is)."""
    try:
        given, rest, _ = command.make_parser(click.Context(command)).parse_args(list(args))
    except click.UsageError:
        return [""]
    return [str(given.get("submission") or ""), *rest]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}, epilog=EXIT_CODES)
@click.version_option(package_name="grader", prog_name="grade")
def cli() -> None:
    """Grade neural-network notebooks.

    `grade SUBMISSION` runs a notebook in a sandbox, judges the model that it builds and writes a report. SUBMISSION is a file, a folder,
    a zip archive or a member of one (class.zip!a.ipynb), a link (with --allow-fetch), or - for standard input.
    """


_SECONDS = click.FloatRange(min=1)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
_KEY = click.option("--key", type=_FILE, metavar="FILE", help="The key of the pseudonyms (default: beside the gradebook).")
_DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help="Where training is measured.")
_BACKEND = click.option("--backend", type=click.Choice(["tensorflow", "jax"]), default="tensorflow", help="What Keras trains with.")
_HOW = (
    click.option("--rubric", default="all_cnn_c", metavar="NAME|PATH", help="The rubric to grade by."),
    click.option(
        "--budget",
        type=click.Choice(["none", "short", "full"]),
        default="short",
        help="How much training to measure: none, a short check, or all epochs (for a GPU).",
    ),
    _DEVICE,
    click.option(
        "--sandbox",
        default="auto",
        metavar="auto|NAME",
        help="The sandbox: bubblewrap, landlock, container (discarded afterwards), or none (trusted notebooks only).",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        help="Memory of a notebook: 8GiB, 6144MiB or 6144 (MiB) [default: 12GiB as on Colab, at most 60% of the machine's].",
    ),
    click.option(
        "--cell-timeout", "cell_s", type=_SECONDS, metavar="SECONDS", help="Time limit for each cell of a notebook [default: 120]."
    ),
    click.option(
        "--timeout", "wall_s", type=_SECONDS, metavar="SECONDS", help="Time limit for all cells of a notebook together [default: 600]."
    ),
    click.option(
        "--deadline",
        "deadline_s",
        type=_SECONDS,
        metavar="SECONDS",
        help="Time limit for grading a submission; what is not graded by then is skipped.",
    ),
    _BACKEND,
    click.option("--no-cache", is_flag=True, help="Ignore cached training verdicts."),
    click.option("--seed", type=click.IntRange(0, 2**31), default=0, help="Seed of every random generator."),
    click.option("--json-lines", is_flag=True, help="Print progress and result as JSON, one object per line."),
)


def _how(command: Any) -> Any:
    """The options that `grade run` and `grade batch` share."""
    for option in reversed(_HOW):
        command = option(command)
    return command


@cli.command(epilog=EXIT_CODES)
@click.argument("submission")
@_how
@click.option("--out", type=_FOLDER, default=Path("report"), help="The folder for the report.")
@click.option(
    "--format",
    "formats",
    default="json,html",
    metavar="NAME,…",
    help="Formats besides report.json: html, notebook, md, junit, gradescope, github.",
)
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with 1 if a smaller share of the automatic points is reached; undecided ones count as missing, those that --budget none leaves out do not count.",
)
@click.option(
    "--on-review", type=click.Choice(["pass", "fail"]), default="pass", help="Whether to exit with 1 if the result needs manual review."
)
@click.option("--allow-fetch", is_flag=True, help="Allow SUBMISSION to be a link.")
@click.option("--allow-host", "hosts", multiple=True, metavar="HOST", help="An additional host that links may lead to.")
@click.option("--quiet", is_flag=True, help="Print one line only.")
@click.option("--verbose", is_flag=True, help="Print every detail, and the traceback of a grader bug.")
def run(**given: Any) -> None:
    """Grade one submission (the default command)."""
    from grader import display, pipeline

    console = _console()
    _end_on_signals()
    submission, fail_under, on_review, json_lines, quiet, verbose = (
        given.pop(name) for name in ("submission", "fail_under", "on_review", "json_lines", "quiet", "verbose")
    )
    names = _names(given.pop("formats"))
    options = _options(given, formats=names, **{name: given.pop(name) for name in ("out", "allow_fetch", "hosts")})
    with closing(display.watcher(_console(stderr=True), json_lines=json_lines, quiet=quiet)) as watch:
        outcome = pipeline.grade(submission, replace(options, watch=watch))
    if not json_lines:
        _show(outcome, console, quiet=quiet, verbose=verbose)
    if outcome.staff and (verbose or outcome.exit_code == 3):
        _say(outcome.staff)
    code = _exit_code(outcome, fail_under, on_review)
    watch(
        "recorded",
        **display.result(outcome.report),
        reason=outcome.report.reason,
        exit_code=code,
        files=[str(path) for path in outcome.files],
    )
    sys.exit(code)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _options(given: dict[str, Any], side_by_side: int = 1, **more: Any) -> "Options":
    """The options of `_HOW`, taken out of `given`."""
    from grader.pipeline import Options
    from grader.sandbox import Limits

    own = ("rubric", "budget", "device", "sandbox", "deadline_s", "backend", "seed")
    limits = Limits.of(given.pop("memory"), given.pop("cell_s"), given.pop("wall_s"), side_by_side)
    return Options(**{name: given.pop(name) for name in own}, use_cache=not given.pop("no_cache"), limits=limits, **more)


def _show(outcome: "Outcome", console: "Console", *, quiet: bool, verbose: bool) -> None:
    from grader.reports import terminal

    terminal.print_report(outcome.report, console, verbose=verbose, quiet=quiet)
    if not quiet:
        page = next((path for path in outcome.files if path.suffix == ".html"), outcome.files[-1])
        console.print(f"\nReport: {page}", soft_wrap=True, highlight=False, markup=False)


def _exit_code(outcome: "Outcome", fail_under: float | None, on_review: str) -> int:
    from grader.records import RunStatus
    from grader.scoring import reached

    if outcome.exit_code:
        return outcome.exit_code
    below = fail_under is not None and reached(outcome.report.criteria) < fail_under
    return 1 if below or (on_review == "fail" and outcome.report.status is RunStatus.NEEDS_REVIEW) else 0


def _end_on_signals() -> None:
    """SIGTERM and ^C end the run in order: boxes killed, folders removed, the report written."""
    from grader.pipeline import Interrupted

    def end(number: int, _frame: object) -> NoReturn:
        for which in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(which, signal.SIG_IGN)  # one is enough: the ending itself must not be interrupted
        raise Interrupted(signal.Signals(number).name, 128 + number)

    for which in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(which, end)


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr)


def _fail(message: str, code: int) -> NoReturn:
    """End with a message; what is wrong with how a command was called comes after that command's usage."""
    context = click.get_current_context()
    usage = f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n\n" if code == 2 else ""
    _say(f"{usage}Error: {message}")
    sys.exit(code)


def _say(message: str) -> None:
    """Print to standard error; what a student wrote or named may stand in the message."""
    from grader.reports.text import plain_lines

    click.echo(plain_lines(message), err=True)


# ------------------------------------------------------------------ a class


@cli.command(epilog=EXIT_CODES)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--gradebook", required=True, metavar="FILE|URL", help="The gradebook: a file (SQLite), or postgresql://….")
@_how
@click.option("--out", type=_FOLDER, default=Path("class-report"), help="The folder for class.html, marks.csv and everyone's report.")
@click.option("--format", "formats", default="html", metavar="NAME,…", help="Formats of everyone's report besides report.json.")
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Notebooks run in parallel (default: one per processor).")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", help="This machine, or a Ray cluster.")
@click.option("--address", metavar="HOST:PORT", help="For --engine ray: the cluster (default: RAY_ADDRESS, else one of its own).")
@click.option(
    "--gpu-memory", "gpu_memory_mib", type=click.IntRange(min=1), metavar="MIB", help="For --engine ray: GPU memory of one worker."
)
@click.option(
    "--platform", default="auto", metavar="auto|NAME", help="The platform that PATHS were downloaded from, if it is not recognised."
)
@click.option("--mapping", "mapping", type=_EXISTING, metavar="CSV", help="A CSV that assigns files to students.")
@click.option("--names", metavar="REGEX", help="How files are named, with a group `student` (and `name`, `attempt`, `late`).")
@_KEY
@click.option("--late", "late_policy", type=_EXISTING, metavar="TOML", help="The late policy.")
@click.option("--regrade", multiple=True, metavar="FILTER", help="Grade again: all, status=…, student=sub_…, criterion=ID[:STATUS].")
@click.option("--all-attempts", is_flag=True, help="Grade every attempt, not only each student's latest.")
@click.option("--template", type=_EXISTING, help="The template notebook, for finding similar work.")
@click.option("--quiet", is_flag=True, help="Print only problems and the summary.")
def batch(**given: Any) -> None:
    """Grade a class: folders, or the downloads of Canvas, Moodle, Gradescope or nbgrader. Run the same command again to resume."""
    from grader import pipeline
    from grader.batch import progress, session, summary
    from grader.batch.engine import default_jobs

    console = _console()
    _end_on_signals()
    formats = tuple(name for name in _names(given.pop("formats")) if name != "json")
    options = _options(given, given["jobs"] or default_jobs(), formats=formats)
    json_lines, quiet = given.pop("json_lines"), given.pop("quiet")
    plan = session.Plan(**given, options=options)
    try:
        ended = session.grade_class(plan, lambda state: progress.watcher(console, state, json_lines=json_lines, quiet=quiet))
    except GraderError:
        raise
    except pipeline.Interrupted as signal_:
        _say(
            f"Interrupted by {signal_.name}. Graded submissions are in {session.shown(plan.gradebook)}; run the same command again to resume."
        )
        sys.exit(signal_.code)
    except Exception:  # noqa: BLE001 (a defect of ours is said as such; what was recorded is kept)
        import traceback

        _say(f"{traceback.format_exc()}\nA defect in the grader ended the run. Graded submissions are in {session.shown(plan.gradebook)}.")
        sys.exit(GraderError.exit_code)
    if not json_lines:
        summary.print_lines(ended.summary, console)
        console.print(f"\nClass: {plan.out / 'class.html'}", soft_wrap=True, highlight=False, markup=False)
    sys.exit(ended.exit_code)


@cli.command()
@click.argument("gradebook", metavar="GRADEBOOK")
@click.option("--to", required=True, metavar="csv|canvas-csv|moodle|nbgrader", help="The format.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), show_default=False, help="The folder to write to.")
@click.option("--worksheet", "source", type=_EXISTING, help="The file downloaded there: Moodle's worksheet, Canvas' gradebook.")
@click.option("--assignment", default="", show_default=False, metavar="NAME", help="Canvas: Title (id). nbgrader: the assignment.")
@click.option("--notebook", default="submission", help="nbgrader: the notebook's name in the assignment.")
@click.option("--database", type=_FILE, help="nbgrader's gradebook.db.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="WHAT=HEADER",
    help="Moodle: where identifier, grade, maximum or feedback is, if not found.",
)
@click.option("--no-feedback", is_flag=True, help="Moodle: write grades only.")
@click.option("--with-names", is_flag=True, help="csv: names beside the pseudonyms.")
@click.option("--include-review", is_flag=True, help="Include those that still need manual review.")
@click.option("--overwrite", is_flag=True, help="Replace marks that were given there; without this option they are kept and listed.")
@_KEY
def export(**given: Any) -> None:
    """Write a class's marks for another system; a missing score is never written as zero."""
    from grader.batch import export as exports
    from grader.batch import session

    gradebook, to, key, out, source = (given.pop(name) for name in ("gradebook", "to", "key", "out", "source"))
    given["columns"] = dict(column.partition("=")[::2] for column in given["columns"])
    if source is not None:
        given |= {"source": source.read_bytes(), "file": source.name}
    done = session.exported(gradebook, to, exports.Options(feedback=not given.pop("no_feedback"), **given), key)
    for name, data in done.files.items():
        out.mkdir(parents=True, exist_ok=True)
        if source is not None and (out / name).resolve() == source.resolve():
            _fail(f"--out {out}: {name} there is the file of --worksheet, which would be overwritten. Name another folder.", 2)
        (out / name).write_bytes(data)
        click.echo(f"Written: {out / name}")
    for sentence in (*done.notes, *(f"Left out: {reason}" for reason in done.left_out)):
        _say(sentence)
    click.echo(f"{counted(done.written, 'mark')} written, {len(done.left_out)} left out.")


@cli.command()
@click.argument("gradebook", metavar="GRADEBOOK")
@click.argument("student", metavar="SUB_…")
@click.argument("criterion")
@click.argument("points", type=float, required=False)
@click.option("--reason", required=True, help="The reason; it is stored and shown.")
@click.option("--author", default="staff", help="Who makes this override.")
@click.option("--withdraw", is_flag=True, help="Withdraw the override instead (without POINTS).")
def override(gradebook: str, student: str, criterion: str, points: float | None, reason: str, author: str, *, withdraw: bool) -> None:
    """Override the points of one criterion of one student; every override is kept, the newest counts."""
    from grader.batch.gradebook import Gradebook

    if withdraw == (points is not None):
        _fail("expected POINTS, or --withdraw without them.", 2)
    with Gradebook.open(gradebook, create=False) as book:
        book.override(student, criterion, points, reason=reason, author=author)
    click.echo(
        f"{student}, {criterion}: {'withdrawn' if points is None else counted(points, 'point')}. Run grade batch or grade export for the new total."
    )


# ------------------------------------------------------------------ rubrics


@cli.group("rubric")
def rubric_group() -> None:
    """List, explain, check and create rubrics."""


def _size(found: "Rubric") -> str:
    return f"{counted(len(found.criteria), 'criterion')}, {counted(found.max_points, 'point')}"


@rubric_group.command("list")
def rubric_list() -> None:
    """List the built-in rubrics."""
    from grader import rubric

    for name in rubric.names():
        found = rubric.load(name)
        click.echo(f"{found.id}  {found.title} (version {found.version}, {_size(found)})")


@rubric_group.command("show")
@click.argument("name", default="all_cnn_c")
def rubric_show(name: str) -> None:
    """Explain every criterion of a rubric."""
    from grader import rubric

    click.echo(rubric.explain(rubric.load(name)))


@rubric_group.command("check")
@click.argument("path")
def rubric_check(path: str) -> None:
    """Check a rubric file; every mistake is named with its line."""
    from grader import rubric

    found = rubric.load(path)
    click.echo(f"{found.path}: fine. {_size(found)}.")


@rubric_group.command("new")
@click.argument("path", type=click.Path(path_type=Path), required=False)
def rubric_new(path: Path | None) -> None:
    """Write a commented rubric to PATH (or to standard output) to start from."""
    from grader import rubric

    text = rubric.new_text()
    if path is None:
        click.echo(text)
    elif path.exists():
        _fail(f"{path} exists; name a new file.", 2)
    else:
        path.write_text(text, encoding="utf-8")
        click.echo(f"Written: {path}. Check it with `grade rubric check {path}`.")


# ------------------------------------------------------------------ data


@cli.group("data")
def data_group() -> None:
    """The store of CIFAR-10: status, fetch, import."""


@data_group.command("status")
@click.option("--verify", is_flag=True, help="Read all files and compare them with the recorded checksums.")
def data_status(*, verify: bool) -> None:
    """Show what the store holds."""
    from grader import dataset

    found = dataset.status(dataset.default_store(), verify=verify)
    click.echo(f"store: {found.store}")
    for item in (found.cifar10, found.standin):
        images = f", {item.records[0]:,} + {item.records[1]:,} images, fingerprint {item.fingerprint[:16]}" if item.state == "ok" else ""
        click.echo(f"{item.name}: {item.state}{images}. {item.detail} {item.mend}".rstrip())


@data_group.command("fetch")
@click.option("--connect-timeout", type=click.FloatRange(min=0.1), default=10.0, metavar="SECONDS")
@click.option("--if-missing", is_flag=True, help="Do nothing if the store already holds CIFAR-10 from any source.")
def data_fetch(connect_timeout: float, *, if_missing: bool) -> None:
    """Download the original CIFAR-10 archive and check it."""
    from grader import dataset

    store = dataset.default_store()
    there = dataset.status(store).cifar10
    _stored(there if if_missing and there.state == "ok" else dataset.fetch(store, connect_timeout))


@data_group.command("import")
@click.argument("path", type=_EXISTING)
def data_import(path: Path) -> None:
    """Fill the store from a file: the original binary archive, or an .npz of arrays or JPEG files."""
    from grader import dataset

    _stored(dataset.import_file(path, dataset.default_store()))


def _stored(found: Any) -> None:
    click.echo(f"{found.name} is in {found.folder} (fingerprint {found.fingerprint[:16]}).")


# ------------------------------------------------------------------ the cache of training verdicts


@cli.group("cache")
def cache_group() -> None:
    """The cached training verdicts: show, verify, clear."""


def _cache() -> "Cache":
    from grader.training.cache import Cache, default_folder

    return Cache(default_folder())


@cache_group.command("status")
def cache_status() -> None:
    """Show how many verdicts are cached, where, and what they saved."""
    cache = _cache()
    found = list(cache.entries())
    click.echo(f"cache: {cache.folder}")
    damaged = sum(entry.state != "ok" for entry in found)
    seconds = sum(entry.seconds for entry in found)
    size = sum(entry.bytes for entry in found) / 1024
    click.echo(f"{counted(len(found), 'verdict')}, {size:,.0f} KiB, {damaged} damaged; measuring them took {seconds:,.0f} s.")
    for verdict in sorted({entry.verdict for entry in found if entry.state == "ok"}):
        click.echo(f"  {verdict}: {sum(entry.verdict == verdict for entry in found)}")


@cache_group.command("verify")
@click.option("--remove", is_flag=True, help="Remove the damaged verdicts.")
def cache_verify(*, remove: bool) -> None:
    """Compare every cached verdict with its checksum; exit code 6 if a damaged one remains."""
    cache = _cache()
    damaged = [entry.key for entry in cache.entries() if entry.state != "ok"]
    for key in damaged:
        click.echo(f"damaged: {key}")
    if remove and damaged:
        click.echo(f"{cache.clear(damaged_only=True)} removed.")
    elif damaged:
        click.echo("`grade cache verify --remove` removes them; until then they are measured again each time.")
        sys.exit(6)
    else:
        click.echo("Every kept verdict fits its checksum.")


@cache_group.command("clear")
def cache_clear() -> None:
    """Remove every cached verdict; they are measured again when needed."""
    click.echo(f"{counted(_cache().clear(), 'verdict')} removed.")


# ------------------------------------------------------------------ calibration


@cli.command()
@click.argument("name", default="all_cnn_c", metavar="RUBRIC")
@click.option("--only", default="", show_default=False, metavar="NAME,…", help="Only these variants or kinds.")
@click.option("--seeds", default="0:10", metavar="FROM:TO", help="Only seeds in this range.")
@_DEVICE
@_BACKEND
@click.option("--precision", type=click.Choice(["auto", "float32", "mixed_bfloat16"]), default="auto")
@click.option("--standin", is_flag=True, help="Calibrate on the made-up stand-in images.")
@click.option("--runs", "path", type=click.Path(path_type=Path), metavar="FILE", help="Another file than reference/RUBRIC/runs.csv.")
@click.option(
    "--compute-only", "making", flag_value="nothing", help="Make no run; compute thresholds.toml and results.md from the recorded runs."
)
@click.option("--diagnose", "making", flag_value="diagnoses", help="Diagnose the recorded runs that did not learn, into diagnoses.csv.")
@click.option(
    "--verdicts", "making", flag_value="verdicts", help="Judge the variants like students' models, over several seeds, into verdicts.csv."
)
def calibrate(**given: Any) -> None:
    """Train the reference's variants over many seeds, and compute the thresholds from every run.

    Resumes: a run that the file holds is not made again. Several of these may run side by side on one file.
    """
    from grader import calibrate as calibration

    seeds = given.pop("seeds")
    first, _, last = seeds.partition(":")
    if not (first.isdigit() and last.isdigit()):
        _fail(f"--seeds {seeds}: expected FROM:TO, for example 0:10.", 2)
    only = tuple(name for name in given.pop("only").split(",") if name)
    given["making"] = given["making"] or "runs"
    calibration.calibrate(given.pop("name"), only=only, seeds=(int(first), int(last)), tell=click.echo, **given)


# ------------------------------------------------------------------ doctor


@cli.command()
@click.option("--out", type=_FOLDER, default=Path(), show_default=False, help="The folder that reports would go to.")
@click.option("--attack", is_flag=True, help="Attack this machine's sandbox instead (takes minutes); exit code 1 if an attack succeeds.")
@click.option("--sandbox", "tier", default="auto", show_default=False, metavar="auto|NAME", help="For --attack: the sandbox to attack.")
@click.option("--warm", is_flag=True, help="For --attack: attack forked boxes, as `grade batch` uses them.")
@click.option("--json", "as_json", is_flag=True, help="For --attack: print one JSON object.")
def doctor(out: Path, tier: str, *, attack: bool, warm: bool, as_json: bool) -> None:
    """Show what works on this machine, the impact of what is missing, and how to fix it."""
    from grader import dataset, doctor, sandbox

    if attack:
        _attack(tier, warm=warm, as_json=as_json)
        return
    rows = doctor.examine(dataset.default_store(), tiers=sandbox.tiers(), out=out)
    console = _console()
    for row in rows:
        style = {"ok": "green", "lacking": "yellow", "broken": "red"}[row.state]
        console.print(f"{row.state:8} {row.name}: {row.found}", style=style, highlight=False, markup=False)
        if row.state != "ok":
            console.print(f"         impact: {row.costs}", highlight=False, markup=False)
            console.print(f"         fix:    {row.mend}", highlight=False, markup=False)
    if any(row.state == "broken" for row in rows):
        sys.exit(6)


def _attack(tier: str, *, warm: bool, as_json: bool) -> None:
    """Make every attack of the suite on the sandbox called `tier`; exit with 1 where one was not held."""
    from grader import dataset, sandbox
    from grader.sandbox.bubblewrap import Bubblewrap
    from grader.sandbox.warm import AllWarm
    from grader_attacks import session

    box = sandbox.choose(tier)
    if warm and not isinstance(box, Bubblewrap):
        _fail(f"--warm: only the sandbox bubblewrap forks boxes; this is {box.name}.", 2)
    outcomes = []
    with AllWarm(box) if isinstance(box, Bubblewrap) and warm else nullcontext(box) as attacked:
        for outcome in session.run(attacked, dataset.default_store()):
            outcomes.append(outcome)
            if sys.stderr.isatty():
                click.echo(f"\r{counted(len(outcomes), 'attack')} made", err=True, nl=False)
    if sys.stderr.isatty():
        click.echo("\r", err=True, nl=False)
    click.echo(session.as_json(outcomes, box.name) if as_json else "\n".join(session.lines(outcomes, box.name)))
    if any(outcome.state == "open" for outcome in outcomes):
        sys.exit(1)


def main() -> None:
    """The console script."""
    cli(prog_name="grade")


if __name__ == "__main__":
    main()
