"""What a box may use. A limit that is reached is the student's result, with the limit's name, never a crash of ours."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Totals for one box. Defaults fit the exercise: two float64 copies of 60,000 images are 3 GiB, TensorFlow itself 0.7 GiB.

    Sources: sandbox-findings (RLIMIT_DATA 0.75 GiB is the least that TensorFlow runs in, RLIMIT_AS 3 GiB). `address_mib` is generous
    because address space is not memory; `memory_mib` is watched from outside as resident size. `frames_mib` bounds what the host must hold of what a box sends: 400 models of 100 kB each
    (40 MiB), 3 MiB of pictures and 20,000 characters a cell are the most that a notebook's own records come to.
    """

    wall_s: float = 600.0
    cell_s: float = 120.0
    cpu_s: int = 1200
    memory_mib: int = 6144
    data_mib: int = 8192
    address_mib: int = 32768
    file_mib: int = 512
    disk_mib: int = 1024
    files: int = 20_000
    open_files: int = 512
    threads: int = 512
    output_mib: int = 8
    frames_mib: int = 128
