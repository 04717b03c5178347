"""The child process: `python -m grader.dataset standin STORE`, `... import FILE STORE SHA256 SOURCE` or `... veil FOLDER TARGET`."""

import json
import sys
from pathlib import Path

from grader.dataset.importing import parts_of
from grader.dataset.standin import standin
from grader.dataset.veiling import veil
from grader.dataset.writing import make
from grader.errors import GraderError, UsageError


def main(arguments: list[str]) -> int:
    """`standin STORE`, `import FILE STORE SHA256 SOURCE` or `veil FOLDER TARGET`. Returns the exit code of the error's class; its message goes to stderr."""
    try:
        match arguments:
            case ["standin", store]:
                make(Path(store), "standin", standin, keep=True)
            case ["import", file, store, sha256, source]:
                make(Path(store), "cifar10", lambda: parts_of(Path(file), sha256, source), keep=False)
            case ["veil", folder, target]:
                sys.stdout.write(json.dumps(veil(Path(folder), Path(target))))
            case _:
                raise UsageError("expected `standin STORE`, `import FILE STORE SHA256 SOURCE` or `veil FOLDER TARGET`")
    except GraderError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
