"""`grade`: the automatic grader for neural-network notebooks."""

__version__ = "0.1.0"
