"""Reading what was not given. What an attempt returns is searched outside for what only the secret holds."""

import ctypes
import mmap
import os
import socket
import sys
import time

from .calls import LIBC, Vector, call


def text(path):
    """The first 64 KiB of a file, as text."""
    with open(path, "rb") as file:
        return file.read(1 << 16).decode("latin-1")


def at(pattern):
    """An attempt that reads the file at `pattern`, filled in from the bait."""
    return lambda bait: text(pattern.format(**bait))


def listing(pattern):
    """An attempt that lists the folder at `pattern`."""
    return lambda bait: " ".join(os.listdir(pattern.format(**bait)))


def by_symlink(bait):
    os.symlink(bait["secret"], "link")
    return text("link")


def by_hard_link(bait):
    os.link(bait["secret"], "hard")
    return text("hard")


def by_climbing(bait):
    return text("../" * 40 + bait["secret"].lstrip("/"))


def by_openat2(bait):
    how = (ctypes.c_uint64 * 3)(0, 0, 0)
    handle = call("openat2", -100, bait["secret"].encode(), ctypes.byref(how), 24)
    return os.read(handle, 4096).decode()


def by_handle(bait):
    handle = ctypes.create_string_buffer(136)
    ctypes.c_uint32.from_buffer(handle).value = 128
    mount = ctypes.c_int()
    call("name_to_handle_at", -100, bait["secret"].encode(), handle, ctypes.byref(mount), 0)
    folder = os.open(os.path.dirname(bait["secret"]), os.O_RDONLY)
    return os.read(call("open_by_handle_at", folder, handle, os.O_RDONLY), 4096).decode()


def by_path_descriptor(bait):
    handle = os.open(bait["secret"], os.O_PATH)
    return text(f"/proc/self/fd/{handle}")


def by_mapping(bait):
    handle = os.open(bait["secret"], os.O_RDONLY)
    return mmap.mmap(handle, 0, prot=mmap.PROT_READ)[:4096].decode()


def by_sendfile(bait):
    source = os.open(bait["secret"], os.O_RDONLY)
    out, into = os.pipe()
    os.sendfile(into, source, 0, 4096)
    return os.read(out, 4096).decode()


def by_import(bait):
    sys.path.insert(0, bait["repository"])
    module = __import__("grader.scoring")
    return text(module.scoring.__file__)


def as_module(bait):
    sys.path.insert(0, os.path.dirname(bait["secret"]))
    import planted_secret

    return planted_secret.SECRET


def environment(bait):
    return repr(dict(os.environ))


def inherited(bait):
    """Whatever can be read from descriptors that were not meant for the box."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > 2:
            try:
                os.set_blocking(number, False)
                found.append(os.pread(number, 4096, 0).decode("latin-1"))
            except OSError:
                continue
    return " ".join(found)


def neighbour_memory(bait):
    with open(f"/proc/{bait['neighbour']}/mem", "rb", buffering=0) as memory:
        memory.seek(bait["address"])
        return memory.read(bait["length"]).decode("latin-1")


def neighbour_vectors(bait):
    buffer = ctypes.create_string_buffer(bait["length"])
    here = Vector(ctypes.addressof(buffer), bait["length"])
    there = Vector(bait["address"], bait["length"])
    call("process_vm_readv", bait["neighbour"], ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return buffer.raw.decode("latin-1")


def neighbour_traced(bait):
    """PTRACE_ATTACH, wait, and one PTRACE_PEEKDATA after another through the C library."""
    LIBC.ptrace.restype = ctypes.c_long
    LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if LIBC.ptrace(16, bait["neighbour"], None, None) < 0:
        raise OSError(ctypes.get_errno(), "PTRACE_ATTACH")
    os.waitpid(bait["neighbour"], 0)
    words = [LIBC.ptrace(2, bait["neighbour"], bait["address"] + 8 * index, None) for index in range(bait["length"] // 8)]
    LIBC.ptrace(17, bait["neighbour"], None, None)
    return b"".join((word & (1 << 64) - 1).to_bytes(8, sys.byteorder) for word in words).decode("latin-1")


def neighbour_descriptor(bait):
    process = call("pidfd_open", bait["neighbour"], 0)
    return os.pread(call("pidfd_getfd", process, 0, 0), 4096, 0).decode()


def size_of(bait):
    return f"size {os.stat(bait['secret']).st_size}"


def link_target(bait):
    return os.readlink(bait["link"])


def attribute(bait):
    return os.getxattr(bait["secret"], "user.secret").decode()


def watched_names(bait):
    """Names of files that others make in a folder, by inotify: it asks nobody but the file's own permissions."""
    handle = LIBC.inotify_init1(os.O_NONBLOCK)
    if handle < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    try:
        if LIBC.inotify_add_watch(handle, bait["watched"].encode(), 0x100) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        for _ in range(40):
            time.sleep(0.05)
            try:
                return os.read(handle, 65536).decode("latin-1")
            except BlockingIOError:
                continue
    finally:
        os.close(handle)
    return ""


def fanotify(bait):
    return f"descriptor {call('fanotify_init', 0x200, 0)}"


def host_name(bait):
    return f"name {socket.gethostname()}"


def mounts(bait):
    return text("/proc/self/mountinfo")


def process_exists(bait):
    return f"uid {os.stat('/proc/{neighbour}'.format(**bait)).st_uid}"


def kernel_log(bait):
    buffer = ctypes.create_string_buffer(4096)
    return f"{call('syslog', 3, buffer, 4096)} bytes"


def keyring(bait):
    return f"keyring {call('keyctl', 0, -4, 1)}"


TRIES = {
    "rubric": at("{rubric}"),
    "thresholds": at("{thresholds}"),
    "check_source": at("{package}/scoring.py"),
    "import_grader": by_import,
    "planted_module": as_module,
    "secret": at("{secret}"),
    "held_back_labels": at("{held}"),
    "other_submission": at("{other}"),
    "other_names": listing("{others}"),
    "host_temporary": listing("{temporary}"),
    "host_shared_memory": at("{shared}"),
    "host_home": listing("{home}"),
    "host_users": at("/etc/passwd"),
    "host_name": host_name,
    "host_mounts": mounts,
    "symbolic_link": by_symlink,
    "hard_link": by_hard_link,
    "climbing": by_climbing,
    "openat2": by_openat2,
    "file_handle": by_handle,
    "path_descriptor": by_path_descriptor,
    "mapping": by_mapping,
    "sendfile": by_sendfile,
    "proc_self_root": at("/proc/self/root{secret}"),
    "proc_thread_root": at("/proc/thread-self/root{secret}"),
    "proc_first_root": at("/proc/1/root{secret}"),
    "neighbour_root": at("/proc/{neighbour}/root{secret}"),
    "neighbour_environment": at("/proc/{neighbour}/environ"),
    "neighbour_command": at("/proc/{neighbour}/cmdline"),
    "neighbour_open_file": at("/proc/{neighbour}/fd/0"),
    "neighbour_memory": neighbour_memory,
    "neighbour_vectors": neighbour_vectors,
    "neighbour_traced": neighbour_traced,
    "neighbour_descriptor": neighbour_descriptor,
    "parent_environment": at("/proc/{grader}/environ"),
    "environment": environment,
    "inherited": inherited,
    "file_size": size_of,
    "link_target": link_target,
    "extended_attribute": attribute,
    "watched_names": watched_names,
    "fanotify": fanotify,
    "process_exists": process_exists,
    "kernel_log": kernel_log,
    "keyring": keyring,
}
