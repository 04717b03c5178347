"""What a person on the staff is pointed to."""

from grader.evidence import flags
from grader.records import Evidence, Flag, Note, Notebook, RunRecord


def test_a_defect_of_ours_is_flagged_other_notes_are_not():
    notes = (
        Note(cell=2, kind="shim", text="old name"),
        Note(cell=-1, kind="grader", text="a defect in the grader while preparing keras: X"),
    )
    found = flags(Evidence(notebook=Notebook(cells=()), run=RunRecord(notes=notes)))
    words = "The grader noted a defect in the grader while preparing keras: X."
    assert found == (Flag(id="grader_defect", severity="warning", message=words, cell=None),)
