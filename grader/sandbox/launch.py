"""Starting a process with its frame pipe: what every backend shares."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from grader.errors import InfrastructureError
from grader.sandbox.base import Job, places
from grader.sandbox.cgroups import Group
from grader.sandbox.folders import remove_folder
from grader.sandbox.keeper import started
from grader.sandbox.limits import Limits
from grader.sandbox.process import Running, descendants
from grader.words import cut


def first_line(output: bytes) -> str:
    """The first line of a program's output, at most 200 characters, as text."""
    return cut((output.decode("utf-8", "replace").strip().splitlines() or ["(it said nothing)"])[0], 200)


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
