"""`grade batch`, from hand-ins to gradebook: read the class, enter every attempt, grade what is not graded yet, tell of it.

Running the same command again goes on where the last one ended, however it ended: the gradebook says what is done, the hand-ins say what there is.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path

import grader
from grader import dataset, pipeline, reports, rubric, sources
from grader.batch import afterwards, export, late
from grader.batch.content import content_of
from grader.batch.engine import Engine, Local, default_jobs
from grader.batch.gradebook import Gradebook
from grader.batch.identities import Identities
from grader.batch.progress import Watching
from grader.batch.records import FINISHED, Entry, Graded, GradingKey, Standing
from grader.batch.shelf import Shelf
from grader.batch.summary import Said
from grader.batch.supervisor import Progress, Supervisor, Watcher, Work
from grader.batch.worker import FILE, Item
from grader.errors import GraderError, InfrastructureError, NothingToGrade, UsageError
from grader.machine import machine_mib
from grader.records import Executed, HandedIn
from grader.sources.classes import read_class

_NO_MARK = frozenset(["rubric", "sandbox", "out", "formats", "allow_fetch", "hosts", "store", "cache", "use_cache", "limits", "watch"])
"""Options that change no mark, or are a part of the key by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `grade batch` was asked for. `regrade` are filters (see `wanted`); `engine`: local | ray."""

    paths: tuple[Path, ...]
    gradebook: str
    options: pipeline.Options
    out: Path
    engine: str = "local"
    jobs: int | None = None
    address: str | None = None
    gpu_memory_mib: int | None = None
    platform: str = "auto"
    mapping: Path | None = None
    names: str | None = None
    key: Path | None = None
    late_policy: Path | None = None
    regrade: tuple[str, ...] = ()
    all_attempts: bool = False
    template: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _HandIn:
    """A hand-in whose bytes were looked at: where they are, and what they are."""

    entry: Entry
    handed: HandedIn
    refusal: str = ""


@dataclass(slots=True, kw_only=True)
class Class:
    """An opened class: the book, who is who, and what was handed in."""

    book: Gradebook
    people: Identities
    key_id: int
    run_id: int
    contents: dict[str, _HandIn] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a run came to: what was done in it, and how many students' standings have each status now.

    `left`: contents that were to be graded in this run and were not, for the machine's reasons.
    """

    progress: Progress
    left: int
    counts: Mapping[str, int]
    summary: tuple[Said, ...] = ()

    @property
    def exit_code(self) -> int:
        """As for one submission: 3 where a defect of ours ended one, 6 where the machine did (the same command tries those again), else 0."""
        if self.counts.get("grader_error"):
            return GraderError.exit_code
        return InfrastructureError.exit_code if self.left else 0


def beside(gradebook: str, suffix: str) -> Path:
    """A file that belongs to a gradebook: beside the SQLite file, or in the current folder where it is a server's."""
    return Path(f"grade-class{suffix}") if "://" in gradebook else Path(f"{gradebook}{suffix}")


def people_of(gradebook: str, key: Path | None, scope: str) -> Identities:
    """Who is who in a class: the key and the names, which lie beside the gradebook or where `key` says. Raises UsageError."""
    names = beside(gradebook, ".names") if key is None else key.with_suffix(".names")
    return Identities.open(key or beside(gradebook, ".key"), names, scope)


def shown(gradebook: str) -> str:
    """A gradebook as it may be printed: an address may hold a password."""
    return "the gradebook" if "://" in gradebook else gradebook


def grading_key(options: pipeline.Options, fingerprint: str) -> GradingKey:
    """What a grading with these options hangs on, besides the content."""
    lines = rubric.load(options.rubric)
    return GradingKey(
        rubric=lines.id,
        rubric_version=lines.version,
        rubric_sha256=lines.sha256,
        tool=grader.__version__,
        settings={
            **{each.name: getattr(options, each.name) for each in fields(options) if each.name not in _NO_MARK},
            "dataset": fingerprint,
            **{name: getattr(options.limits, name) for name in options.limits.chosen},
        },
    )


def open_class(plan: Plan, fingerprint: str, tell: Callable[[str], None]) -> Class:
    """Read what was handed in, and enter it all; nothing is graded yet.

    Raises UsageError (paths, mapping, key or gradebook that cannot be used), NothingToGrade where no notebook was found, InfrastructureError.
    """
    found = read_class(plan.paths, mapping=plan.mapping, names=plan.names, platform=plan.platform)
    for problem in found.problems:
        tell(problem)
    if not found.handed_in:
        said = " ".join(found.problems[:3]) or "There is nothing in them that looks like one."
        raise NothingToGrade(f"No notebook was found in {', '.join(str(path) for path in plan.paths[:3])}. {said}")
    people = people_of(plan.gradebook, plan.key, rubric.load(plan.options.rubric).id)
    book = Gradebook.open(plan.gradebook)
    try:
        key_id = book.key(grading_key(plan.options, fingerprint))
        with sources.Reader() as read:
            hand_ins = list(_looked_at(found.handed_in, people, read, book))
        people.save()
        book.enter([hand_in.entry for hand_in in hand_ins])
        if plan.late_policy is not None:
            book.set_setting(late.SETTING, late.load(plan.late_policy).as_setting())
        arguments = {"rubric": plan.options.rubric, "budget": plan.options.budget, "engine": plan.engine, "handed_in": len(hand_ins)}
        run_id = book.use(key_id, arguments)
    except BaseException:
        book.close()
        raise
    return Class(
        book=book,
        people=people,
        key_id=key_id,
        run_id=run_id,
        contents={hand_in.entry.content: hand_in for hand_in in hand_ins},
        fingerprint=fingerprint,
    )


def _looked_at(handed_in: Sequence[HandedIn], people: Identities, read: sources.Reader, book: Gradebook) -> Iterator[_HandIn]:
    """Every hand-in with its content. Bytes that the gradebook knows are not parsed again."""
    known = book.known()
    for handed in handed_in:
        student = people.enter(handed)
        data, refusal = (b"", handed.refusal) if handed.refusal else _bytes(read, handed)
        sha256 = hashlib.sha256(data or f"{student}: {refusal}".encode()).hexdigest()
        content, code = known.get(sha256, ""), ""
        if not content:
            content, code = content_of(data) if data else (f"refused:{sha256}", "")
            known[sha256] = content
        entry = Entry(
            student=student,
            content=content,
            sha256=sha256,
            code=code,
            members=tuple(people.pseudonym(handed.platform, member) for member in handed.members),
            platform=handed.platform,
            submitted_at=handed.submitted_at,
            seconds_late=handed.seconds_late if handed.seconds_late is not None else 0.0 if handed.late is False else None,
            attempt=handed.attempt,
        )
        yield _HandIn(entry=entry, handed=handed, refusal=refusal)


def _bytes(read: sources.Reader, handed: HandedIn) -> tuple[bytes, str]:
    """(bytes, refusal): one of the two is empty. Raises InfrastructureError. What names the student is not in the refusal."""
    try:
        return read.resolve(handed.reference).data, ""
    except InfrastructureError:
        raise
    except GraderError as error:
        said = str(error)
        for name in (handed.reference, handed.reference.partition("!")[2], handed.file, Path(handed.file).name):
            said = said.replace(name, FILE) if name else said
        return b"", said


# ------------------------------------------------------------------ what is to be done


def to_do(opened: Class, plan: Plan, read: sources.Reader) -> tuple[list[Work], int]:
    """The contents to grade now, and how many need it no more.

    To grade: of the attempts that count (of all, where asked for), handed in here, without a finished grading; and those to regrade.
    """
    owners: dict[str, list[str]] = {}
    counting = set()
    for standing in opened.book.standings(opened.key_id, all_attempts=plan.all_attempts, with_reports=False):
        if standing.content in opened.contents:
            owners.setdefault(standing.content, []).append(standing.student)
        if standing.attempt == standing.attempts:  # the latest counts
            counting.add((standing.student, standing.content))
    if plan.regrade:
        again = wanted(opened, plan.regrade) & owners.keys()
        opened.book.begin_regrade(opened.key_id, again)
    left = opened.book.unfinished(opened.key_id, owners)
    works = [
        Work(
            content=content,
            students=tuple(students),
            load=partial(_item, read, opened.contents[content]),
            counts_for=tuple(student for student in students if (student, content) in counting),
        )
        for content, students in owners.items()
        if content in left
    ]
    return works, len(owners) - len(works)


def _item(read: sources.Reader, hand_in: _HandIn) -> Item | str:
    """What is graded; a sentence where the hand-in is another one by now: it is another content then, and the next run enters it."""
    entry, refusal = hand_in.entry, hand_in.refusal
    data = b""
    if not refusal:
        data, refusal = _bytes(read, hand_in.handed)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            return "the submission was changed, or taken away, while the class was graded. Run the same command again."
    return Item(content=entry.content, sha256=entry.sha256, data=data, refusal=refusal)


def wanted(opened: Class, filters: Sequence[str]) -> set[str]:
    """The contents that the filters of `--regrade` name: all | status=… | student=sub_… | criterion=ID[:STATUS]; several are alternatives.

    Raises UsageError for a filter that is none of these, or names nothing.
    """
    tests = [_test(text) for text in filters]
    reports_needed = any(text.startswith("criterion=") for text in filters)
    return {
        standing.content
        for standing in opened.book.standings(opened.key_id, all_attempts=True, with_reports=reports_needed)
        if any(test(standing) for test in tests)
    }


def _test(text: str) -> Callable[[Standing], bool]:
    if text == "all":
        return lambda _: True
    name, _, value = text.partition("=")
    if name == "status" and value in (*FINISHED, "infra_error"):
        return lambda standing: standing.status == value
    if name == "student" and value:
        return lambda standing: standing.student == value
    if name == "criterion" and value:
        criterion, _, status = value.partition(":")
        return lambda standing: (
            standing.report is not None
            and any(
                line.id == criterion and (line.status.value == status if status else line.status.value != "pass")
                for line in standing.report.criteria
            )
        )
    raise UsageError(
        f"--regrade {text}: expected all, status=OUTCOME ({', '.join(sorted(FINISHED))}, infra_error), student=sub_… or criterion=ID[:STATUS]."
    )


# ------------------------------------------------------------------ doing it


def engine_of(plan: Plan) -> Engine:
    """The engine that the plan names. Raises UsageError, InfrastructureError."""
    if plan.engine == "ray":
        from grader.batch.ray_engine import Cluster  # noqa: PLC0415 (an extra)

        return Cluster(plan.options, jobs=plan.jobs, address=plan.address, gpu_memory_mib=plan.gpu_memory_mib)
    return Local(plan.options, jobs=plan.jobs or default_jobs())


def _crowded(plan: Plan) -> str:
    """What to say where the notebooks that run side by side may together use more memory than there is; empty where they may not."""
    jobs, limits, most = plan.jobs or default_jobs(), plan.options.limits, machine_mib()
    if plan.engine != "local" or not most or jobs * limits.memory_mib <= most:
        return ""
    return (
        f"{jobs} notebooks in parallel may use {limits.memory} each, more than this machine has ({most / 1024:.3g} GiB): where memory runs out, "
        "the kernel ends notebooks that did nothing wrong. Use fewer --jobs, or less --memory."
    )


def grade_all(opened: Class, plan: Plan, works: Sequence[Work], watcher: Watcher, progress: Progress) -> None:
    """Grade what is to be done, each result into the gradebook as it comes. Raises InfrastructureError, and whatever a signal raises."""
    if not works:
        return
    shelf = Shelf(plan.out / "reports", f"key {opened.key_id}")
    engine = engine_of(plan)
    try:
        if engine.dataset != opened.fingerprint:
            raise InfrastructureError(
                f"The engine grades on {engine.dataset}, this machine has {opened.fingerprint}: marks from different images do not mix. "
                "Give every machine the same store (grade data status)."
            )
        rounds = opened.book.rounds(opened.key_id, [work.content for work in works])

        def record(graded: Graded) -> bool:
            return opened.book.record(opened.key_id, graded, regrade=rounds[graded.content])

        if crowded := _crowded(plan):
            watcher.tell(crowded)
        Supervisor(engine, record, watcher, progress, plan.options, shelf).grade(works)
        for lack in engine.lacks:
            watcher.tell(lack)
    finally:
        engine.close()
    opened.book.finish(opened.run_id)


def complete_shelf(opened: Class, plan: Plan, standings: Sequence[Standing]) -> None:
    """Write the reports that are not on the shelf, or are another attempt's: of work that was graded earlier, or for somebody else."""
    shelf = Shelf(plan.out / "reports", f"key {opened.key_id}")
    missing = [standing for standing in standings if standing.status != "waiting" and not shelf.has(standing.student, standing.content)]
    for standing in missing:
        report = opened.book.report(opened.key_id, standing.content)
        if report is not None:
            shelf.put((standing.student,), standing.content, reports.files(Executed(report=report), plan.options.formats))


def grade_class(plan: Plan, watch: Callable[[Progress], Watching]) -> Ended:
    """The whole of `grade batch`. Raises UsageError, NothingToGrade, InfrastructureError; whatever was graded by then is in the gradebook."""
    rubric.load(plan.options.rubric)
    reports.check(plan.options.formats)
    data = dataset.ensure(plan.options.store or dataset.default_store())
    problems: list[str] = []
    with sources.Reader() as read:
        opened = open_class(plan, f"{data.name}:{data.fingerprint[:16]}", problems.append)
        try:
            works, finished = to_do(opened, plan, read)
            progress = Progress(total=finished + len(works), already=finished)
            watcher = watch(progress)
            try:
                for problem in problems:
                    watcher.tell(problem)
                grade_all(opened, plan, works, watcher, progress)
                standings = list(opened.book.standings(opened.key_id, with_reports=False))
                complete_shelf(opened, plan, standings)
            finally:
                watcher.close()
            summary = afterwards.tell(
                opened.book,
                opened.key_id,
                opened.people,
                plan.out,
                standings=standings,
                title=rubric.load(plan.options.rubric).title,
                template=plan.template,
                problems=len(problems),
            )
            counts = opened.book.counts(opened.key_id)
            left = len(opened.book.unfinished(opened.key_id, (work.content for work in works)))
            return Ended(progress=progress, left=left, counts=counts, summary=summary)
        finally:
            opened.book.close()


def exported(gradebook: str, to: str, options: export.Options, key: Path | None) -> export.Exported:
    """The marks of a class in another system's format, under the grading key that was used last. Raises UsageError."""
    with Gradebook.open(gradebook, create=False) as book:
        keys = book.keys()
        if not keys:
            raise UsageError(f"{shown(gradebook)}: nothing was graded into this gradebook yet. Run `grade batch` first.")
        key_id, used = next(iter(keys.items()))
        there = (key or beside(gradebook, ".key")).exists()  # where it is not, nobody is known: `people_of` would make a new one
        names: export.Names = people_of(gradebook, key, used.rubric).of if there else lambda _: None
        earlier = book.setting(f"exported {to}") or {}  # what the platform holds of these is ours
        done = export.export(to, book.standings(key_id), names, replace(options, earlier=earlier))
        known = earlier | {student: sorted({mark, *earlier.get(student, ())}) for student, mark in done.marks.items()}
        if known != earlier:
            book.set_setting(f"exported {to}", known)
        return done
