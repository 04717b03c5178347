"""Using everything up, never ending, and living on. Every attempt bounds itself, so that a machine that does not hold it is not harmed."""

import ctypes
import gc
import mmap
import os
import re
import signal
import socket
import sys
import threading
import time

from .calls import LIBC, call

MIB = 1 << 20
BLOCK = os.urandom(4096) * 4096
"""16 MiB that cost no processor time to write."""

# ------------------------------------------------------------------ exhaust: returning means that nothing stopped it


def memory(bait):
    kept = [bytearray(os.urandom(1 << 12) * 4096) for _ in range(bait["goal_mib"] // 16)]
    time.sleep(1.0)
    return f"held {16 * len(kept)} MiB"


def memory_in_threads(bait):
    kept = []
    threads = [threading.Thread(target=lambda: kept.append(bytearray(os.urandom(1 << 12) * (bait["goal_mib"] << 5)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(1.0)
    return f"held {sum(map(len, kept)) // MIB} MiB"


def _shared(bait, open_mapping):
    """Fill shared mappings, then forget all but one page of each: the pages stay, and belong to nobody's resident size."""
    kept, size = [], 64 * MIB
    for _ in range(bait["goal_mib"] // 64):
        mapped = open_mapping(size)
        for start in range(0, size, 4096):
            mapped[start]
            if start % MIB == 0:
                mapped[start : start + 1] = b"x"
        mapped.madvise(mmap.MADV_DONTNEED)
        kept.append(mapped)
    time.sleep(1.0)
    return f"held {64 * len(kept)} MiB that no process counts"


def _touched(size):
    return mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)


def shared_mappings(bait):
    return _shared(bait, _touched)


def zero_device(bait):
    """A private-looking way to the same: mapping /dev/zero shared, for reading only."""
    handle = os.open("/dev/zero", os.O_RDONLY)
    kept, size = [], 64 * MIB
    for _ in range(bait["goal_mib"] // 64):
        mapped = mmap.mmap(handle, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        for start in range(0, size, 4096):
            mapped[start]
        mapped.madvise(mmap.MADV_DONTNEED)
        kept.append(mapped)
    time.sleep(1.0)
    return f"held {64 * len(kept)} MiB that no process counts"


def memory_file(bait):
    for _ in range(bait["goal_mib"] // 16):
        os.write(call("memfd_create", b"x", 0), BLOCK)
    time.sleep(1.0)
    return "held it in memory files"


def shared_segment(bait):
    """System V segments that nobody is attached to any more."""
    LIBC.shmat.restype = ctypes.c_void_p
    kept = []
    try:
        for _ in range(bait["goal_mib"] // 64):
            kept.append(call("shmget", 0, 64 * MIB, 0o1600))
            address = LIBC.shmat(kept[-1], None, 0)
            ctypes.memset(address, 1, 64 * MIB)
            LIBC.shmdt(ctypes.c_void_p(address))
        time.sleep(1.0)
    finally:
        for identifier in kept:
            LIBC.shmctl(identifier, 0, None)
    return f"held {64 * len(kept)} MiB in segments"


def shared_memory_folder(bait):
    with open("/dev/shm/fill", "wb") as file:
        file.writelines(BLOCK for _ in range(bait["goal_mib"] // 16))
    return "filled /dev/shm"


def disk(bait):
    for index in range(bait["goal_mib"] // 16):
        with open(f"part{index}", "wb") as file:
            file.write(BLOCK)
    time.sleep(1.0)
    return "wrote it all"


def disk_temporary(bait):
    os.chdir(os.environ["TMPDIR"])
    return disk(bait)


def disk_deleted(bait):
    """Files that are deleted, but open."""
    kept = []
    for index in range(bait["goal_mib"] // 16):
        kept.append(open(f"part{index}", "wb", buffering=0))
        os.unlink(f"part{index}")
        kept[-1].write(BLOCK)
    time.sleep(1.0)
    return "wrote it into deleted files"


def disk_mapped(bait):
    """Files that are deleted and closed, but mapped: in no folder and in no table of descriptors."""
    kept = []
    for index in range(bait["goal_mib"] // 16):
        with open(f"part{index}", "w+b", buffering=0) as file:
            os.unlink(f"part{index}")
            file.write(BLOCK)
            kept.append(
                mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ, trackfd=False) if sys.version_info >= (3, 13) else _mapped(file)
            )
    time.sleep(1.0)
    return "wrote it into mapped files"


def _mapped(file):
    LIBC.mmap.restype = ctypes.c_void_p
    LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    address = LIBC.mmap(None, 4096, 1, 1, file.fileno(), 0)
    if address in (None, 2**64 - 1):
        raise OSError(ctypes.get_errno(), "mmap")
    return address


def disk_in_flight(bait):
    """Files that are deleted and closed, their descriptors on the way between two sockets."""
    import array

    first, second = socket.socketpair()
    for index in range(bait["goal_mib"] // 16):
        with open(f"part{index}", "w+b", buffering=0) as file:
            os.unlink(f"part{index}")
            file.write(BLOCK)
            first.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))])
    time.sleep(1.0)
    return f"wrote it into files in flight ({second.fileno()})"


def one_file(bait):
    with open("large", "wb", buffering=0) as file:
        while file.tell() < bait["goal_mib"] * MIB:
            file.write(b"x" * MIB)
    time.sleep(1.0)
    return "wrote one large file"


def sparse_file(bait):
    with open("sparse", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, bait["goal_mib"] * MIB)
    time.sleep(1.0)
    return "reserved one large file"


def inodes(bait):
    for index in range(bait["goal_count"]):
        with open(f"f{index}", "w"):
            pass
    time.sleep(1.0)
    return "made many files"


def folders(bait):
    for index in range(bait["goal_count"]):
        os.mkdir(f"d{index}")
    time.sleep(1.0)
    return "made many folders"


def deep_folders(bait):
    for _ in range(bait["goal_count"]):
        os.mkdir("d")
        os.chdir("d")
    time.sleep(1.0)
    return "made folders in folders"


def threads(bait):
    gate = threading.Event()
    threading.stack_size(64 << 10)
    for _ in range(bait["goal_threads"]):
        threading.Thread(target=gate.wait, daemon=True).start()
    time.sleep(1.0)
    gate.set()
    return f"ran {bait['goal_threads']} threads"


def processor(bait):
    """Processor time by several threads at once, without the interpreter's lock."""
    data = os.urandom(8 * MIB)
    import hashlib

    workers = [threading.Thread(target=lambda: [hashlib.sha512(data) for _ in range(2000)], daemon=True) for _ in range(4)]
    started = time.process_time()
    for worker in workers:
        worker.start()
    while time.process_time() - started < bait["goal_cpu_s"]:
        time.sleep(0.05)
    return f"used {bait['goal_cpu_s']} s of processor time"


def output(bait):
    for _ in range(bait["goal_mib"]):
        os.write(1, b"x" * MIB)
    time.sleep(0.5)
    return "wrote it to the output"


def descriptors(bait):
    kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(bait["goal_count"])]
    return f"opened {len(kept)} files"


def address_space(bait):
    kept = [mmap.mmap(-1, 1 << 34, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000) for _ in range(16)]
    return f"reserved {16 * len(kept)} GiB"


def locked_memory(bait):
    if LIBC.mlockall(3):
        raise OSError(ctypes.get_errno(), "mlockall")
    block = bytearray(64 * MIB)
    return f"locked {len(block)} bytes"


def core_file(bait):
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (MIB, MIB))
    return "may leave core files"


def larger_limits(bait):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1000, hard + 1000))
    return f"raised a limit from {soft} to {hard + 1000}"


def gpu_memory(bait):
    """Open the device of the first GPU: without it there is no memory to take."""
    return f"descriptor {os.open('/dev/nvidiactl', os.O_RDWR)}"


# ------------------------------------------------------------------ hang


def loop(bait):
    while True:
        pass


def loop_in_c(bait):
    re.match(r"(a+)+$", "a" * 64 + "b")


def long_sum(bait):
    sum(range(10**13))


def sleep(bait):
    time.sleep(10**6)


def deadlock(bait):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def deaf(bait):
    """A loop that hears no signal that can be ignored."""
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    while True:
        time.sleep(1)


def swallow(bait):
    """A loop that swallows every exception."""
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            continue


def stopped(bait):
    os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        time.sleep(1)


def half_a_frame(bait):
    os.write(bait["frames"], (1000).to_bytes(4, "big") + b"{")
    while True:
        time.sleep(1)


def endless_repr(bait):
    class Slow:
        def __str__(self):
            while bait:
                pass
            return ""

    return Slow()


def endless_finaliser(bait):
    class Slow:
        def __del__(self):
            while True:
                pass

    Slow()
    gc.collect()


# ------------------------------------------------------------------ survive: every survivor ends by itself after a few seconds

_ALIVE_S = 6


def _live_on():
    end = time.monotonic() + _ALIVE_S
    while time.monotonic() < end:
        time.sleep(0.1)
    os._exit(0)


def double_fork(bait):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (0, 1, 2, bait["frames"]):
                os.close(number)
            _live_on()
        os._exit(0)
    os.wait()
    time.sleep(0.2)


def deaf_child(bait):
    if os.fork() == 0:
        os.setsid()
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                continue
        if os.fork() == 0:
            for number in (0, 1, 2, bait["frames"]):
                os.close(number)
            _live_on()
        os._exit(0)
    os.wait()
    time.sleep(0.2)


def raw_child(bait):
    pid = call("clone", signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os.setsid()
        if call("clone", signal.SIGCHLD, 0, 0, 0, 0) == 0:
            for number in (0, 1, 2, bait["frames"]):
                os.close(number)
            _live_on()
        os._exit(0)
    os.waitpid(pid, 0)
    time.sleep(0.2)


def closed_pipe(bait):
    """Close everything that the host reads, and go on."""
    for number in (0, 1, 2, bait["frames"]):
        os.close(number)
    _live_on()


def own_group(bait):
    """Leave the process group that the host kills."""
    os.setpgid(0, 0)
    os.close(bait["frames"])
    _live_on()


def thread_after_main(bait):
    """End the main thread only: the process lives as long as another one does."""
    threading.Thread(target=_live_on).start()
    os.close(bait["frames"])
    LIBC.pthread_exit(None)


def without_parent_signal(bait):
    """Undo the signal at the parent's death, then outlive the parent's interest."""
    LIBC.prctl(1, 0, 0, 0, 0)
    os.close(bait["frames"])
    _live_on()


def deep_tree(bait):
    """Three thousand folders in each other: deeper than a path or a recursion goes."""
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")


EXHAUST = (
    memory, memory_in_threads, shared_mappings, zero_device, memory_file, shared_segment, shared_memory_folder, disk, disk_temporary,
    disk_deleted, disk_mapped, disk_in_flight, one_file, sparse_file, inodes, folders, deep_folders, threads, processor, output, descriptors,
    address_space, locked_memory, core_file, larger_limits, gpu_memory,
)  # fmt: skip
HANG = (loop, loop_in_c, long_sum, sleep, deadlock, deaf, swallow, stopped, half_a_frame, endless_repr, endless_finaliser)
SURVIVE = (double_fork, deaf_child, raw_child, closed_pipe, own_group, thread_after_main, without_parent_signal, deep_tree)
TRIES = {function.__name__: function for function in (*EXHAUST, *HANG, *SURVIVE)}
