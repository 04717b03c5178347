"""Killing, tracing, slowing and starting processes, and asking the kernel for what a notebook has no business with."""

import ctypes
import fcntl
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys

from .calls import ARM, LIBC, NotHere, Vector, call


def kill_neighbour(bait):
    os.kill(bait["victim"], signal.SIGKILL)


def kill_thread(bait):
    call("tkill", bait["victim"], signal.SIGKILL)


def kill_thread_of(bait):
    call("tgkill", bait["victim"], bait["victim"], signal.SIGKILL)


def queue_signal(bait):
    information = ctypes.create_string_buffer(128)
    ctypes.c_int.from_buffer(information, 8).value = -1  # SI_QUEUE
    call("rt_sigqueueinfo", bait["victim"], signal.SIGTERM, information)


def kill_by_descriptor(bait):
    call("pidfd_send_signal", call("pidfd_open", bait["victim"], 0), signal.SIGKILL, None, 0)


def _signal_on_input(bait, own):
    """Have the kernel send SIGIO, which ends a process, to the victim when a pipe of ours becomes readable."""
    out, into = os.pipe()
    own(out)
    fcntl.fcntl(out, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(into, b"x")


def signal_by_owner(bait):
    _signal_on_input(bait, lambda handle: fcntl.fcntl(handle, fcntl.F_SETOWN, bait["victim"]))


def signal_by_owner_struct(bait):
    owner = (ctypes.c_int * 2)(1, bait["victim"])  # F_OWNER_PID
    _signal_on_input(bait, lambda handle: fcntl.fcntl(handle, 15, bytes(owner)))


def signal_by_ioctl(bait):
    """FIOSETOWN works on sockets only."""
    first, second = socket.socketpair()
    fcntl.ioctl(first.fileno(), 0x8901, bytes(ctypes.c_int(bait["victim"])))
    fcntl.fcntl(first.fileno(), fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    second.send(b"x")


def stop_by_tracing(bait):
    call("ptrace", 16, bait["victim"], 0, 0)
    return "stopped a process and may read and write it"


def write_memory(bait):
    buffer = ctypes.create_string_buffer(b"OVERWRITTEN")
    here, there = Vector(ctypes.addressof(buffer), 11), Vector(bait["victim_address"], 11)
    call("process_vm_writev", bait["victim"], ctypes.byref(here), 1, ctypes.byref(there), 1, 0)


def write_memory_file(bait):
    with open(f"/proc/{bait['victim']}/mem", "r+b", buffering=0) as memory:
        memory.seek(bait["victim_address"])
        memory.write(b"OVERWRITTEN")


def limit_neighbour(bait):
    resource.prlimit(bait["victim"], resource.RLIMIT_NOFILE, (3, 3))


def slow_neighbour(bait):
    os.setpriority(os.PRIO_PROCESS, bait["victim"], 19)


def move_neighbour(bait):
    os.sched_setaffinity(bait["victim"], {min(os.sched_getaffinity(0))})


def starve_neighbour(bait):
    call("ioprio_set", 1, bait["victim"], 3 << 13)
    return "took its priority for disks"


def compare(bait):
    return f"compared: {call('kcmp', os.getpid(), bait['victim'], 0, 0, 0)}"


def signal_parent(bait):
    os.kill(bait["grader"], 0)
    return "the grader can be signalled"


def signal_everybody(bait):
    os.kill(-1, 0)
    return "everybody can be signalled"


def trace_me(bait):
    call("ptrace", 0, 0, 0, 0)
    return "traced"


def be_undumpable(bait):
    """Without it the host may not look at this process's open files, and so not count what it hides in them."""
    if LIBC.prctl(4, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "PR_SET_DUMPABLE")
    LIBC.prctl(4, 1, 0, 0, 0)
    return "hidden from the host"


def _child(start):
    def attempt(bait):
        pid = start(bait)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return f"started process {pid}"

    return attempt


def raw_clone3(bait):
    arguments = (ctypes.c_uint64 * 11)()
    arguments[4] = signal.SIGCHLD
    return call("clone3", ctypes.byref(arguments), 88)


def new_user(bait):
    call("unshare", 0x10000000)
    return "has a user namespace of its own"


def enter_namespace(bait):
    call("setns", os.open("/proc/self/ns/uts", os.O_RDONLY), 0)
    return "entered a namespace"


def replace_program(bait):
    os.write(1, b"")
    os.execv("/bin/echo", ["/bin/echo", f"said {bait['token']}"])


def replace_program_at(bait):
    program = os.open("/bin/echo", os.O_PATH)
    arguments = (ctypes.c_char_p * 3)(b"echo", f"said {bait['token']}".encode(), None)
    call("execveat", program, b"", arguments, None, 0x1000)


def simple(name, *arguments):
    """An attempt that only asks for something that must not be had."""

    def attempt(bait):
        return f"{name} gave {call(name, *arguments)}"

    return attempt


def _zeros(size=128, **at):
    block = ctypes.create_string_buffer(size)
    for place, (kind, value) in {int(key[1:]): pair for key, pair in at.items()}.items():
        kind.from_buffer(block, place).value = value
    return block


def add_key(bait):
    return f"key {call('add_key', b'user', b'grade-attack', b'x', 1, -1)}"  # in this thread's own keyring, gone with it


def new_filter(bait):
    """A second seccomp filter with a listener would let a process answer its own calls."""
    program = ctypes.create_string_buffer(b"\x06\0\0\0\0\0\xff\x7f", 8)
    head = ctypes.create_string_buffer(16)
    ctypes.c_uint16.from_buffer(head, 0).value = 1
    ctypes.c_uint64.from_buffer(head, 8).value = ctypes.addressof(program)
    LIBC.prctl(38, 1, 0, 0, 0)
    return f"listener {call('seccomp', 1, 8, head)}"


def old_interface(bait):
    """`int 0x80`: the 32-bit numbers, which a filter of 64-bit ones does not know (20 is getpid, 102 socketcall)."""
    if ARM:
        raise NotHere("aarch64 has no such instruction")
    code = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3")
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return f"getpid by int 0x80: {function()}"


def other_numbers(bait):
    """The x32 numbers of the same calls."""
    if ARM:
        raise NotHere("aarch64 has no x32")
    return f"x32 getpid: {call(0x40000000 | 39)}"


TRIES = {
    "kill_neighbour": kill_neighbour,
    "kill_thread": kill_thread,
    "kill_thread_of": kill_thread_of,
    "queue_signal": queue_signal,
    "kill_by_descriptor": kill_by_descriptor,
    "signal_by_owner": signal_by_owner,
    "signal_by_owner_struct": signal_by_owner_struct,
    "signal_by_ioctl": signal_by_ioctl,
    "stop_by_tracing": stop_by_tracing,
    "write_memory": write_memory,
    "write_memory_file": write_memory_file,
    "limit_neighbour": limit_neighbour,
    "slow_neighbour": slow_neighbour,
    "move_neighbour": move_neighbour,
    "starve_neighbour": starve_neighbour,
    "compare": compare,
    "signal_parent": signal_parent,
    "signal_everybody": signal_everybody,
    "trace_me": trace_me,
    "be_undumpable": be_undumpable,
    "fork": _child(lambda bait: os.fork()),
    "raw_fork": _child(lambda bait: call("fork")),
    "raw_clone": _child(lambda bait: call("clone", signal.SIGCHLD, 0, 0, 0, 0)),
    "raw_clone3": _child(raw_clone3),
    "spawn": lambda bait: f"ran {subprocess.run(['/bin/true'], check=True).returncode}",
    "posix_spawn": lambda bait: f"ran {os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)[1]}",
    "shell": lambda bait: os.popen("echo shell").read(),
    "self_again": lambda bait: subprocess.run(
        [sys.executable, "-I", "-c", "print('again')"], check=True, capture_output=True
    ).stdout.decode(),
    "new_user": new_user,
    "enter_namespace": enter_namespace,
    "replace_program": replace_program,
    "replace_program_at": replace_program_at,
    "own_session": simple("setsid"),
    "personality": simple("personality", 0x0040000),
    "message_queue": simple("msgget", 0, 0o1600),
    "semaphores": simple("semget", 0, 1, 0o1600),
    "posix_queue": simple("mq_open", b"grade-attack", 0o102, 0o600, None),
    "events": lambda bait: (
        f"descriptor {call('perf_event_open', _zeros(p0=(ctypes.c_uint32, 1), p4=(ctypes.c_uint32, 128)), 0, -1, -1, 0)}"
    ),
    "page_faults": simple("userfaultfd", 1),
    "kernel_program": lambda bait: (
        f"map {call('bpf', 0, _zeros(p0=(ctypes.c_uint32, 2), p4=(ctypes.c_uint32, 4), p8=(ctypes.c_uint32, 4), p12=(ctypes.c_uint32, 1)), 128)}"
    ),
    "kernel_aio": lambda bait: f"context {call('io_setup', 16, _zeros())}",
    "io_uring": lambda bait: f"ring {call('io_uring_setup', 1, _zeros(256))}",
    "add_key": add_key,
    "new_filter": new_filter,
    "old_interface": old_interface,
    "other_numbers": other_numbers,
    "realtime": lambda bait: (
        f"set {call('sched_setattr', 0, _zeros(p0=(ctypes.c_uint32, 56), p4=(ctypes.c_uint32, 1), p20=(ctypes.c_uint32, 1)), 0)}"
    ),
}
