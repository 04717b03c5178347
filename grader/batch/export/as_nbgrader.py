"""Marks into nbgrader's `gradebook.db`, through nbgrader's own interface. Writing twice gives what writing once gives.

The assignment, its notebook and a grade cell for each criterion are made where they are not there. Automatic points are nbgrader's `auto_score`, a
person's are its `manual_score`; what a person still has to give awaits manual grading there. Points that somebody gave there stay. The late penalty is
nbgrader's own.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

from grader.batch.export.common import Exported, Names, Options, Recipient, addressed, require
from grader.batch.identities import Identity
from grader.batch.points import in_force
from grader.batch.records import Standing
from grader.errors import UsageError
from grader.records import CriterionResult, Status
from grader.reports.text import clean
from grader.words import counted, one_line

_NAME = re.compile(r"[^+/\\\x00-\x1f]{1,120}")
_NOT_IN_CELLS = re.compile(r"[^a-zA-Z0-9_\-]")


def export(standings: Iterable[Standing], names: Names, options: Options) -> Exported:
    """Write into the database that `options.database` names; it is made where there is none.

    Raises:
        UsageError: nbgrader is not installed, an option is missing, or the database is not one of nbgrader's.
    """
    assignment = require(options.assignment, "--assignment", "ps1, nbgrader's name of the assignment")
    for option, name in (("--assignment", assignment), ("--notebook", options.notebook)):
        if not _NAME.fullmatch(name):
            raise UsageError(f"{option}: expected a name without +, slashes and control characters, as nbgrader has them; found {name!r}.")
    if options.database is None:
        raise UsageError("--database: the path of nbgrader's gradebook.db was expected; none was given.")
    found, left_out = addressed(standings, names, options, _student, "an nbgrader student id")
    with _opened(options) as (api, gradebook):
        gradebook.update_or_create_assignment(assignment)
        gradebook.update_or_create_notebook(options.notebook, assignment)
        cells: dict[str, str] = {}
        given = [said for student, recipient in found.items() for said in _write(api, gradebook, student, recipient, options, cells)]
        gradebook.db.commit()
    pending = sum(recipient.standing.pending_points > 0 for recipient in found.values())
    notes = [f"{counted(pending, 'mark awaits', 'marks await')} manual grading in nbgrader."] * bool(pending)
    kept = "were replaced where the criterion is decided here" if options.overwrite else "are kept"
    notes += [f"Points that were given in nbgrader {kept}: {'; '.join(given)}."] * bool(given)
    return Exported(files={}, written=len(found), left_out=tuple(left_out), notes=tuple(notes))


def _student(identity: Identity) -> str:
    return identity.ids.get("student", "") if identity.platform == "nbgrader" else identity.student


@contextmanager
def _opened(options: Options) -> Iterator[tuple[Any, Any]]:
    """(nbgrader's module, the gradebook). Raises UsageError where it cannot be used.

    Its log would name students, so it stays silent. It asks the program `alembic` for its schema's version; the library answers, as the program need not
    be on the path.
    """
    try:
        from nbgrader import api  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise UsageError("--to nbgrader: the package nbgrader is not installed. Install it: pip install 'grader[nbgrader]'") from error
    from alembic.script import ScriptDirectory  # noqa: PLC0415 (only this export needs it)
    from sqlalchemy.exc import SAWarning, SQLAlchemyError  # noqa: PLC0415 (only this export needs it)

    database = options.database
    assert database is not None
    scripts = str(Path(api.__file__).with_name("alembic"))
    gradebook = None
    before = api.app_log.disabled, api.get_alembic_version
    api.app_log.disabled, api.get_alembic_version = True, lambda: ScriptDirectory(scripts).get_current_head()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)
            gradebook = api.Gradebook(f"sqlite:///{database.absolute()}", course_id=options.course)
            yield api, gradebook
    except (SQLAlchemyError, api.InvalidEntry) as error:
        raise UsageError(
            f"{database}: a gradebook of nbgrader was expected; it cannot be written as one ({type(error).__name__}). "
            "Check the path and the folder's permissions; an older one is brought up to date by: nbgrader db upgrade"
        ) from None
    finally:
        api.app_log.disabled, api.get_alembic_version = before
        if gradebook is not None:
            gradebook.close()


def _write(api: Any, gradebook: Any, student: str, recipient: Recipient, options: Options, cells: dict[str, str]) -> Iterator[str]:
    """One student's submission: a grade for each criterion, and the penalty. Yields where somebody else's points were found."""
    standing, identity = recipient.standing, recipient.identity
    criteria = standing.report.criteria if standing.report is not None else ()
    _make_cells(gradebook, criteria, options, cells)
    known = {}
    if options.with_names and identity is not None and identity.name:
        first, _, last = one_line(clean(identity.name), 200).rpartition(" ")
        known = {"first_name": first, "last_name": last}
    gradebook.update_or_create_student(student, **known)
    when = {} if standing.submitted_at is None else {"timestamp": standing.submitted_at.astimezone(UTC).replace(tzinfo=None)}
    gradebook.update_or_create_submission(options.assignment, student, **when)
    notebook = gradebook.find_submission_notebook(options.notebook, options.assignment, student)
    notebook.late_submission_penalty = standing.penalty or 0.0
    by_cell = {grade.cell_id: grade for grade in notebook.grades}
    decided = in_force(standing.overrides)
    for line in criteria:
        cell = cells[cell_name(line.id)]
        grade = by_cell.get(cell)
        if grade is None:  # a criterion that came after this submission was entered
            grade = api.Grade(cell_id=cell, notebook=notebook)
            gradebook.db.add(grade)
        grade.auto_score = standing.machine.get(line.id, line.earned)
        ours = {made.points for made in standing.overrides if made.criterion == line.id}
        typed = grade.manual_score is not None and grade.manual_score not in ours
        points = decided[line.id].points if line.id in decided else None
        if typed:
            yield f"{recipient.pseudonym}, {line.id}: {grade.manual_score:g}" + (
                f", decided here: {points:g}" if points is not None else ""
            )
        if ours and (options.overwrite or not typed):
            grade.manual_score = points
        grade.needs_manual_grade = grade.auto_score is None and grade.manual_score is None
    gradebook.db.commit()


def _make_cells(gradebook: Any, criteria: Iterable[CriterionResult], options: Options, cells: dict[str, str]) -> None:
    """The ids of the grade cells of a report's criteria by name, made where they are not there as they should be."""
    for line in criteria:
        name = cell_name(line.id)
        if name not in cells:
            kind = "markdown" if line.status is Status.MANUAL else "code"
            cell = gradebook.update_or_create_grade_cell(name, options.notebook, options.assignment, max_score=line.points, cell_type=kind)
            cells[name] = cell.id


def cell_name(criterion: str) -> str:
    """A criterion's id as nbgrader allows names of cells: `model.built` becomes `model-built`."""
    return _NOT_IN_CELLS.sub("-", criterion)
