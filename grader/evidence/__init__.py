"""From claims and rebuilt models to `Evidence`: all that checks may look at."""

from grader.evidence.build import build, candidates
from grader.evidence.flags import flags
from grader.evidence.integrity import SEEN, SUSPICIOUS

__all__ = ["SEEN", "SUSPICIOUS", "build", "candidates", "flags"]
