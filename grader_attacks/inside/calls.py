"""Raw system calls, so that nothing of Python or of the C library stands between an attempt and the kernel."""

import ctypes
import os
import platform

LIBC = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
NUMBERS = {  # (x86_64, aarch64)
    "add_key": (248, 217), "bpf": (321, 280), "clone": (56, 220), "clone3": (435, 435), "execveat": (322, 281), "fanotify_init": (300, 262),
    "fork": (57, None), "io_setup": (206, 0), "io_uring_setup": (425, 425), "ioprio_set": (251, 30), "kcmp": (312, 272), "keyctl": (250, 219),
    "memfd_create": (319, 279), "mq_open": (240, 180), "msgget": (68, 186), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "openat2": (437, 437), "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "removexattr": (197, 14), "rt_sigqueueinfo": (129, 138), "sched_setattr": (314, 274), "seccomp": (317, 277), "semget": (64, 190), "setns": (308, 268),
    "setsid": (112, 157), "shmget": (29, 194), "socket": (41, 198), "syslog": (103, 116), "tgkill": (234, 131), "tkill": (200, 130),
    "unshare": (272, 97), "userfaultfd": (323, 282), "vfork": (58, None),
}  # fmt: skip


class NotHere(Exception):
    """This machine has nothing that the attempt could be made on."""


def call(name, *arguments):
    """The result of system call `name`; OSError where the kernel refuses, NotHere where it has no such call."""
    number = NUMBERS[name][ARM] if isinstance(name, str) else name
    if number is None:
        raise NotHere(f"this architecture has no {name}")
    result = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(value) if isinstance(value, int) else value for value in arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class Vector(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
