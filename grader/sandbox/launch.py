"""Starting a process with its frame pipe: what every backend shares.

Processes die with the grader, and not before: the kernel takes the *thread* that started a process for its parent.
"""

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from grader.errors import InfrastructureError
from grader.sandbox.base import Job, places
from grader.sandbox.cgroups import Group
from grader.sandbox.folders import remove_folder
from grader.sandbox.limits import Limits
from grader.sandbox.process import Running, descendants
from grader.words import cut


def first_line(output: bytes) -> str:
    """The first line of a program's output, at most 200 characters, as text."""
    return cut((output.decode("utf-8", "replace").strip().splitlines() or ["(it said nothing)"])[0], 200)


@cache
def _keeper() -> ThreadPoolExecutor:
    """One thread that lives as long as this process, for the threads that do not."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")


def started(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """`subprocess.Popen(command, **options)`, whose parent-death signal comes when this process ends, whichever thread calls. Raises OSError."""

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, **options)  # noqa: S603

    return start() if threading.current_thread() is threading.main_thread() else _keeper().submit(start).result()


def launch(
    build: Callable[[int], list[str]],
    *,
    job: Job,
    limits: Limits,
    folder: Path,
    confinement: Mapping[str, Any],
    environment: Mapping[str, str],
    work: Path | None = None,
    user: int | None = None,
    in_box: tuple[str, ...] = (),
) -> Running:
    """Start `build(frame descriptor)` and tell it, on its first line of input, its confinement, limits and the job's spec.

    Raises InfrastructureError if the process cannot be started; then nothing is left behind.
    """
    frames, frames_in_box = os.pipe()
    group = Group.make(limits)
    identity: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    try:
        process = started(
            build(frames_in_box),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(frames_in_box,),
            cwd=work,
            env=dict(environment),
            start_new_session=True,
            **identity,
        )
    except OSError as error:
        os.close(frames)
        remove_folder(folder)
        if group is not None:
            group.remove()
        raise InfrastructureError(
            f"The sandbox could not be started: {error}. Run `grade doctor` to see what is missing on this machine."
        ) from None
    finally:
        os.close(frames_in_box)
    if group is not None:  # bubblewrap starts a process or two; the last one waits for the line that is sent below
        group.admit(lambda: [process.pid, *descendants(process.pid)] if process.poll() is None else [])
    running = Running(process, frames, limits, folder, in_box=in_box, group=group)
    running.begin(confinement, job.spec, places(job))
    return running
