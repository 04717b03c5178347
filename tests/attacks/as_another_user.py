"""The quick attacks on boxes that run as another user than the grader's; run by `test_boxes.py` as `as_another_user.py TIER [no-landlock]`, as root.

What it changes for that (who may walk to the interpreter, whether there is Landlock) holds in this process only. Prints {attack: [state, detail]}. The path has `tests`.
Ends with NOT_HERE, and the reason on standard error, where the former has to be changed and root may not: a container without CAP_SYS_ADMIN. Nothing that is installed mends that.
"""

import json
import sys

import harness

from grader import sandbox
from grader.sandbox.base import interpreter_folders
from grader.sandbox.landlock import other_user
from grader_attacks import boxes, suite

NOT_HERE = 77


def main():
    """See the module's docstring."""
    tier, *without = sys.argv[1:]
    try:
        harness.open_the_way(*interpreter_folders(), harness.ROOT)
    except PermissionError as error:
        if harness.may_mount():
            raise
        sys.stderr.write(f"The interpreter lies below a private folder, and no mount namespace can be made: {error}")
        sys.exit(NOT_HERE)
    if without:
        harness.refuse_landlock()
    assert other_user() is not None
    box = sandbox.choose(tier)
    outcomes = boxes.run([attack for attack in suite.BOX_ATTACKS if not attack.alone], box)
    json.dump({outcome.attack.id: [outcome.state, outcome.detail] for outcome in outcomes}, sys.stdout)


if __name__ == "__main__":
    main()
