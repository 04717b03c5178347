"""The zygote: a process in a box of its own that has imported what notebooks need, and forks a box for each of them before any student's code is known.

Theory of operation. The zygote runs code of ours only and holds no secret; it has seen no notebook, and a forked box cannot change it: memory is
copied on write, and what the kernel shares between the two is refused. The forked box first leaves for a user and a mount namespace of its own with fresh,
size-limited /content, /tmp and /dev/shm, so that no sibling's file is ever in sight, then confines itself exactly as a cold box does (`harden`).
It cannot reach the zygote: signals, tracing and process descriptors are refused by seccomp, and the zygote is not dumpable, so that its /proc/PID/mem, fd and
root are closed to everybody without rights over it. One box at a time: the zygote sleeps in `waitpid` while the box lives.

Requests come as JSON with three descriptors (input, output, frames) over a SOCK_SEQPACKET socket; the answers are `ready`, `forked`, `ended`.
"""

import ctypes
import gc
import json
import os
import socket

from .frames import cut

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC = 2, 4, 4096, 16384
_PR_SET_DUMPABLE = 4
_libc = ctypes.CDLL(None, use_errno=True)


def serve(descriptor, module):
    """Prepare `module` (its `warm()`, if it has one), then fork a box for every request until the host closes the socket.

    Returns in the forked processes only, with the descriptor of the frame pipe: the caller makes a box of it.
    """
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    host = socket.socket(fileno=descriptor)
    getattr(module, "warm", lambda: None)()
    gc.collect()
    gc.freeze()  # a box's collector then leaves these pages shared
    host.send(_encoded({"ready": _unfit()}))
    while True:
        data, descriptors, _, _ = socket.recv_fds(host, 1 << 16, 3)
        if not data:
            os._exit(0)
        request = json.loads(data)
        told, tells = os.pipe()
        pid = os.fork()
        if pid == 0:
            host.close()
            os.close(told)
            _become(request, descriptors, tells)
            return descriptors[2]
        for given in (*descriptors, tells):
            os.close(given)
        with open(told, "rb") as pipe:
            failed = pipe.read().decode("utf-8", "replace")  # ends when the box closes its side: before it reads its spec
        host.send(_encoded({"forked": pid, "failed": failed}))
        _, status = os.waitpid(pid, 0)
        host.send(_encoded({"ended": os.waitstatus_to_exitcode(status)}))


def _encoded(answer):
    return json.dumps(answer).encode()


def _unfit():
    """Why this process must not be forked, as a sentence; empty where it may be."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        return f"the imports started {threads - 1} threads, which a fork does not copy"
    with open("/proc/self/maps", encoding="utf-8") as file:
        shared = [line.split()[-1] for line in file if line.split()[1].endswith("s") and "w" in line.split()[1]]
    return f"memory is shared with whoever is forked ({cut(', '.join(shared), 200)})" if shared else ""


def _become(request, descriptors, tells):
    """In the forked process: take the descriptors, leave for namespaces of its own, say how that went; where it failed the process ends."""
    try:
        for target, given in enumerate((descriptors[0], descriptors[1], descriptors[1])):
            os.dup2(given, target)
        for given in descriptors[:2]:
            os.close(given)
        _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        _leave(request["mounts"], request["files"], request["keep"])
        os.chdir(request["work"])
        os.environ.update(request["environment"])  # TensorFlow reads it when it first computes
    except OSError as error:
        os.write(tells, str(error).encode("utf-8", "replace")[:1000])
        os._exit(1)
    os.close(tells)


def _leave(mounts, files, keep):
    """New user and mount namespaces, and in them fresh file systems: `mounts` has MiB for each folder, `files` bounds the inodes of each.

    `keep`: folders below one of these that stay in sight, as they are (read-only, with what is mounted in them).
    """
    user, group = os.getuid(), os.getgid()
    _checked(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    kept = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in keep}
    for path, mib in mounts.items():
        options = f"size={mib}m,nr_inodes={files},mode=0755".encode()
        _checked(_libc.mount(b"tmpfs", path.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV, options), f"mount {path}")
        if os.listdir(path):
            raise OSError(f"{path} is not empty")
    for path, handle in kept.items():
        os.makedirs(path)
        _checked(_libc.mount(f"/proc/self/fd/{handle}".encode(), path.encode(), None, _MS_BIND | _MS_REC, None), f"bind {path}")
        os.close(handle)


def _checked(result, what):
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
