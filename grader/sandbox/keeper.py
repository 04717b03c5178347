"""Starting processes that die with the grader, and not before: the kernel takes the *thread* that started a process for its parent."""

import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any


@cache
def _keeper() -> ThreadPoolExecutor:
    """One thread that lives as long as this process, for the threads that do not."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")


def started(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """`subprocess.Popen(command, **options)`, whose parent-death signal comes when this process ends, whichever thread calls. Raises OSError."""

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, **options)  # noqa: S603

    if threading.current_thread() is threading.main_thread():
        return start()
    return _keeper().submit(start).result()
