"""What runs in the box that draws a notebook. Nothing here imports the grader."""

import sys

sys.modules.setdefault(
    "rfc3987_syntax", None
)  # where it is installed, jsonschema imports it: most of the start's time, for addresses alone
