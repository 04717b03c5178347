"""A job for the sandbox contract: tries what a box must not let happen, and reports how each attempt ended."""
