"""From bytes to a `Notebook`: read leniently, cut to what grading needs, and marked with sections, unfilled cells and written answers.

Nothing here runs, imports or judges what the notebook says. `read` mends what can be mended and says so in `repairs`; `recognise` states
facts about the code, from which the pipeline tells this exercise from others.
"""

from grader.notebook.anchors import Anchors, Question, load_anchors
from grader.notebook.reading import read
from grader.notebook.recognition import Recognition, recognise
from grader.notebook.untouched import untouched, without_copies

__all__ = ["Anchors", "Question", "Recognition", "load_anchors", "read", "recognise", "untouched", "without_copies"]
