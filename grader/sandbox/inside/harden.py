"""What a box does to itself before anything else is imported: rlimits, capabilities, Landlock, seccomp. Standard library only.

Theory of operation. The process is single-threaded here, so that restrictions reach every later thread. In order:

1. *rlimits* bound address space, data, file size, descriptors, CPU time; no core files.
2. *Capabilities* are dropped from every set.
3. *Landlock* leaves reading to named trees and writing to the work folders. It does not cover metadata (chmod, utime), signals
   before ABI 6, or sockets other than TCP: the next step does.
4. *seccomp* (a BPF program written here) refuses with EPERM: new processes and exec (threads stay allowed, so per-process limits are
   totals), signals to others, sockets, tracing, mounting, keyrings, io_uring, bpf, System V and POSIX queues, memfd, watching files;
   it lets metadata changes *pretend* to succeed, because shutil and tarfile raise otherwise. Memory that no process's size counts (shared
   mappings without a file) and files that are in nobody's table (descriptors in flight) are refused: the host could not see them. Of a
   socketpair only the stream kind is left (asyncio needs it): a datagram one can write to any address. Calls that are newer than this list
   do not exist in the box.

Measured: about 1 ms; TensorFlow's `fit`, XLA, IPython and `.keras` saving all work under it (DECISIONS.md, sandbox).
"""

import ctypes
import errno
import os
import platform
import resource
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_X86 = platform.machine() == "x86_64"
_ARCH = 0 if _X86 else 1

# system call numbers: (x86_64, aarch64); None where the architecture has no such call
_DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "process_madvise": (440, 440),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "personality": (135, 92),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "mq_open": (240, 180), "msgget": (68, 186), "semget": (64, 190),
    "shmget": (29, 194), "socket": (41, 198), "truncate": (76, 45), "link": (86, None), "linkat": (265, 37),
    "mknod": (133, None), "mknodat": (259, 33), "setpriority": (141, 140), "sched_setscheduler": (144, 119), "ioprio_set": (251, 30),
    "vhangup": (153, 58), "syslog": (103, 116), "lookup_dcookie": (212, 18), "seccomp": (317, 277),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setresuid": (117, 147), "setgroups": (116, 159),
    "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "sendmsg": (46, 211),
    "sendmmsg": (307, 269), "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262), "io_setup": (206, 0),
    "sched_setattr": (314, 274), "sched_setparam": (142, 118), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "modify_ldt": (154, None), "quotactl_fd": (443, 443),
    "kexec_file_load": (320, 294), "process_mrelease": (448, 448),
    "setsid": (112, 157), "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "tkill": (200, 130),
}  # fmt: skip
_PRETENDED = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88), "flock": (73, 32),
}  # fmt: skip
_WITHOUT_ATTRIBUTES = {
    "getxattr": (191, 8), "lgetxattr": (192, 9), "fgetxattr": (193, 10), "listxattr": (194, 11), "llistxattr": (195, 12), "flistxattr": (196, 13),
}  # fmt: skip
_OPENAT2, _FIRST_UNKNOWN = 437, 457
"""openat2's flags lie in memory; from `statmount` (457) on, numbers are later than this list was made (Linux 6.8)."""
_CLONE, _CLONE3, _KILL, _TGKILL = ((56, 435, 62, 234), (220, 435, 129, 131))[_ARCH]
_IOCTL, _FCNTL, _PRLIMIT, _AFFINITY, _CAPSET = ((16, 72, 302, 203, 126), (29, 25, 261, 122, 91))[_ARCH]
_MMAP, _OPEN, _OPENAT, _SOCKETPAIR, _PRCTL = ((9, 2, 257, 53, 157), (222, None, 56, 199, 167))[_ARCH]
_RT_SIGQUEUEINFO, _RT_TGSIGQUEUEINFO, _SECCOMP = ((129, 297, 317), (138, 240, 277))[_ARCH]
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 24, 47, 22, 38
_SIGKILL = 9


def limit_resources(limits):
    """Set rlimits from `limits`: keys data_mib, address_mib, file_mib, cpu_s, open_files (all integers)."""
    mib = 1 << 20

    def set_to(which, value, hard=None):
        ceiling = resource.getrlimit(which)[1]
        hard = value if hard is None else hard
        if ceiling != resource.RLIM_INFINITY:
            value, hard = min(value, ceiling), min(hard, ceiling)
        resource.setrlimit(which, (value, hard))

    set_to(resource.RLIMIT_DATA, limits["data_mib"] * mib)
    set_to(resource.RLIMIT_AS, limits["address_mib"] * mib)
    set_to(resource.RLIMIT_FSIZE, limits["file_mib"] * mib)
    set_to(resource.RLIMIT_NOFILE, limits["open_files"])
    set_to(resource.RLIMIT_CORE, 0)
    set_to(resource.RLIMIT_MEMLOCK, 64 << 10)
    set_to(resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + 5)


def drop_capabilities():
    """Empty the bounding, ambient, effective, permitted and inheritable sets (no error where they are empty already)."""
    for capability in range(64):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _libc.prctl(_PR_CAP_AMBIENT, 4, 0, 0, 0)
    _libc.syscall(_CAPSET, struct.pack("Ii", 0x20080522, 0), b"\0" * 24)


def landlock_abi() -> int:
    """The kernel's Landlock ABI version; 0 where it has none."""
    version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    return int(max(version, 0))


def seccomp_available() -> bool:
    """Whether the kernel takes seccomp filters (asks for the ERRNO action)."""
    action = ctypes.c_uint32(0x00050000)
    return bool(_libc.syscall(_SECCOMP, 2, 0, ctypes.byref(action)) == 0)


def restrict_files(readable, writable, listed=()):
    """Landlock: read below `readable`, read and write below `writable`, list folders below `listed`, nothing else. Returns the ABI used (0: none here)."""
    abi = landlock_abi()
    if not abi:
        return 0
    handled = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):  # REFER, TRUNCATE, IOCTL_DEV
        if abi >= since:
            handled |= 1 << bit
    network = 3 if abi >= 4 else 0  # TCP bind and connect
    scoped = 3 if abi >= 6 else 0  # abstract unix sockets and signals
    attributes = struct.pack("QQQ", handled, network, scoped)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    read = 1 | 4 | 8  # execute (mmap of libraries), read file, read folder
    special = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12  # no device, socket, fifo, block or symbolic link is made
    write = handled & ~special & ~1
    for paths, access in ((readable, read), (writable, write), (listed, 8)):
        for path in paths:
            try:
                handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            allowed = access if os.path.isdir(path) else access & (1 | 2 | 4 | 1 << 14 | 1 << 15)
            failed = _libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed & handled, handle), 0)
            os.close(handle)
            if failed:
                raise OSError(ctypes.get_errno(), f"landlock_add_rule {path}")
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
    return abi


class _Program:
    """A classic BPF program under construction. Offsets of `struct seccomp_data`: 0 number, 4 architecture, 16 + 8n argument n."""

    LOAD, AND, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
    ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

    def __init__(self):
        self.code = []

    def add(self, operation, operand, if_true=0, if_false=0):
        self.code.append(struct.pack("HBBI", operation, if_true, if_false, operand))

    def answer(self, number, result):
        """Call `number` returns `result`; others go on."""
        self.add(self.EQUAL, number, 0, 1)
        self.add(self.RETURN, result)

    def only_self(self, number, argument, also=()):
        """Call `number` is allowed when its argument is this process (or one of `also`), else EPERM."""
        values = (os.getpid(), *also)
        self.add(self.EQUAL, number, 0, len(values) + 3)
        self.add(self.LOAD, 16 + 8 * argument)
        for index, value in enumerate(values):
            self.add(self.EQUAL, value, len(values) - index, 0)
        self.add(self.RETURN, self.ERRNO | errno.EPERM)
        self.add(self.RETURN, self.ALLOW)

    def masked(self, number, argument, mask, value, *, refused):
        """Call `number` is refused where (argument & mask) == value and `refused`, or where it is not and not `refused`."""
        self.add(self.EQUAL, number, 0, 5)
        self.add(self.LOAD, 16 + 8 * argument)
        self.add(self.AND, mask)
        self.add(self.EQUAL, value, int(not refused), int(refused))
        self.add(self.RETURN, self.ERRNO | errno.EPERM)
        self.add(self.RETURN, self.ALLOW)

    def refuse_values(self, number, argument, values):
        """Call `number` is refused when its (32-bit) argument is one of `values`."""
        self.add(self.EQUAL, number, 0, len(values) + 3)
        self.add(self.LOAD, 16 + 8 * argument)
        for index, value in enumerate(values):
            self.add(self.EQUAL, value, len(values) - index, 0)
        self.add(self.RETURN, self.ALLOW)
        self.add(self.RETURN, self.ERRNO | errno.EPERM)


def restrict_calls(*, shared_mappings=False):
    """Install the seccomp filter described at the top; `shared_mappings`: leave those without a file (CUDA makes them). Raises OSError where the kernel refuses it."""
    program = _Program()
    refused, absent = program.ERRNO | errno.EPERM, program.ERRNO | errno.ENOSYS
    program.add(program.LOAD, 4)
    program.add(program.EQUAL, 0xC000003E if _X86 else 0xC00000B7, 1, 0)
    program.add(program.RETURN, program.KILL)
    program.add(program.LOAD, 0)
    if _X86:  # the x32 ABI has numbers of its own
        program.add(program.AT_LEAST, 0x40000000, 0, 1)
        program.add(program.RETURN, program.KILL)
    program.add(program.AT_LEAST, _FIRST_UNKNOWN, 0, 1)
    program.add(program.RETURN, absent)
    program.answer(_OPENAT2, absent)
    for numbers in _WITHOUT_ATTRIBUTES.values():
        program.answer(numbers[_ARCH], program.ERRNO | errno.ENOTSUP)
    for numbers in _DENIED.values():
        if numbers[_ARCH] is not None:
            program.answer(numbers[_ARCH], refused)
    for numbers in _PRETENDED.values():
        if numbers[_ARCH] is not None:
            program.answer(numbers[_ARCH], program.ERRNO)
    program.answer(_CLONE3, absent)  # its flags lie in memory: make the C library fall back to clone
    namespaces = 0x7E020080 | 0x02000000
    program.add(program.EQUAL, _CLONE, 0, 5)
    program.add(program.LOAD, 16)
    program.add(program.ANY_BIT, namespaces, 1, 0)
    program.add(program.ANY_BIT, 0x10000, 1, 0)  # CLONE_THREAD: threads yes, processes no
    program.add(program.RETURN, refused)
    program.add(program.RETURN, program.ALLOW)
    for number in (_KILL, _TGKILL, _RT_SIGQUEUEINFO, _RT_TGSIGQUEUEINFO):
        program.only_self(number, 0)
    program.only_self(_PRLIMIT, 0, also=(0,))
    program.only_self(_AFFINITY, 0, also=(0,))
    if not shared_mappings:
        program.masked(_MMAP, 3, 0x21, 0x21, refused=True)  # MAP_SHARED (or _VALIDATE) with MAP_ANONYMOUS
    for number, argument in ((_OPEN, 1), (_OPENAT, 2)):
        if number is not None:
            program.masked(
                number, argument, 0x203, 0x200, refused=True
            )  # O_RDONLY with O_TRUNC: Landlock before ABI 3 sees only the reading
    program.masked(_SOCKETPAIR, 1, 0xF, 1, refused=False)  # SOCK_STREAM only
    # PR_SET_PDEATHSIG: the box dies with the grader, whatever it runs; PR_SET_DUMPABLE: the host must be able to count what it has open
    program.refuse_values(_PRCTL, 0, (_PR_SET_PDEATHSIG, 4))
    # TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP; then what changes an inode through a descriptor that only reads: SETFLAGS, FSSETXATTR,
    # SETVERSION, ENABLE_VERITY, SET_ENCRYPTION_POLICY
    program.refuse_values(
        _IOCTL, 1, (0x5412, 0x541C, 0x8901, 0x8902, 0x40086602, 0x40046602, 0x401C5820, 0x40087602, 0x40047602, 0x40806685, 0x800C6613)
    )
    program.refuse_values(_FCNTL, 1, (8, 10, 15, 1024, 1026))  # F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY
    program.add(program.RETURN, program.ALLOW)
    code = ctypes.create_string_buffer(b"".join(program.code))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program.code), ctypes.addressof(code)))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.c_void_p(ctypes.addressof(head)), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def harden(spec):
    """Apply what `spec` asks for: {"tier", "limits", "readable", "writable", "listed", "shared_mappings"}; tier "none" gets the rlimits only.

    "parent" (tiers without a PID namespace): the process that started the box and that it must not outlive.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)  # as bubblewrap's --die-with-parent, for the tiers without it
    if os.getppid() != spec.get("parent", os.getppid()):  # the grader was killed before this line: nobody would end this box
        os._exit(1)
    limit_resources(spec["limits"])
    if spec["tier"] == "none":
        return
    drop_capabilities()
    restrict_files(spec["readable"], spec["writable"], spec["listed"])
    restrict_calls(shared_mappings=spec["shared_mappings"])
