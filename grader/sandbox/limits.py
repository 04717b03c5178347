"""What a box may use. A limit that is reached is the student's result, with the limit's name, never a crash of ours."""

import re
from dataclasses import dataclass, field
from typing import Self

from grader.errors import UsageError
from grader.machine import LEAST_MIB, default_memory_mib


def parsed_memory(text: str) -> int:
    """`8GiB`, `6144MiB` or `6144` as MiB. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*(GiB|MiB|)", text.strip(), re.IGNORECASE | re.ASCII)
    size = int(float(match[1]) * (1024 if match[2].lower() == "gib" else 1)) if match else 0
    if size < LEAST_MIB:
        raise UsageError(f"--memory {text}: expected a size of at least 1GiB, for example 8GiB, 6144MiB or 6144 (MiB).")
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Totals for one box. Defaults fit the exercise: two float64 copies of 60,000 images are 3 GiB, TensorFlow itself 0.7 GiB.

    Sources: sandbox-findings (RLIMIT_DATA 0.75 GiB is the least that TensorFlow runs in, RLIMIT_AS 3 GiB). `address_mib` is generous
    because address space is not memory; `memory_mib` is watched from outside as resident size. `frames_mib` bounds what the host must hold of what a box sends: 400 models of 100 kB each
    (40 MiB), 3 MiB of pictures and 20,000 characters a cell are the most that a notebook's own records come to. `chosen`: the fields that a person set.
    """

    wall_s: float = 600.0
    cell_s: float = 120.0
    cpu_s: int = 1200
    memory_mib: int = field(default_factory=default_memory_mib)
    data_mib: int = 0
    address_mib: int = 0
    file_mib: int = 512
    disk_mib: int = 1024
    files: int = 20_000
    open_files: int = 512
    threads: int = 512
    output_mib: int = 8
    frames_mib: int = 128
    chosen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """The kernel's own limits on a process leave room for what the watch allows."""
        object.__setattr__(self, "data_mib", self.data_mib or max(8192, self.memory_mib + 4096))
        object.__setattr__(self, "address_mib", self.address_mib or max(32_768, 4 * self.memory_mib))

    @classmethod
    def of(cls, memory: str | None, cell_s: float | None, wall_s: float | None, side_by_side: int = 1) -> Self:
        """What `--memory`, `--cell-timeout` and `--timeout` say; a longer cell makes the whole longer, too. Raises UsageError."""
        usual = cls(memory_mib=default_memory_mib(side_by_side))
        size = usual.memory_mib if memory is None else parsed_memory(memory)
        cell = usual.cell_s if cell_s is None else cell_s
        whole = max(usual.wall_s, cell) if wall_s is None else wall_s
        given = {"memory_mib": memory, "cell_s": cell_s, "wall_s": wall_s}
        chosen = tuple(name for name, value in given.items() if value is not None)
        return cls(memory_mib=size, cell_s=cell, wall_s=whole, cpu_s=int(2 * whole), chosen=chosen)

    @property
    def memory(self) -> str:
        """`memory_mib` in words."""
        return f"{self.memory_mib / 1024:.4g} GiB"
