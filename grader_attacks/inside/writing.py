"""Writing what must not be written. Each attempt has a folder of its own outside, `{spot}`, open to everybody; the host compares it afterwards."""

import array
import ctypes
import fcntl
import mmap
import os
import shutil
import time

from .calls import LIBC, call


def overwrite(bait):
    with open(f"{bait['spot']}/file.txt", "w") as file:
        file.write("changed")


def append(bait):
    with open(f"{bait['spot']}/file.txt", "a") as file:
        file.write("changed")


def create(bait):
    with open(f"{bait['spot']}/new.txt", "w") as file:
        file.write("new")


def create_unnamed(bait):
    handle = os.open(bait["spot"], os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(handle, b"x" * 4096)
    return "made a file without a name"


def truncate_by_path(bait):
    os.truncate(f"{bait['spot']}/file.txt", 0)


def truncate_read_only(bait):
    """O_RDONLY with O_TRUNC: Landlock before ABI 3 sees only the reading."""
    os.close(os.open(f"{bait['spot']}/file.txt", os.O_RDONLY | os.O_TRUNC))


def delete(bait):
    os.unlink(f"{bait['spot']}/file.txt")


def delete_tree(bait):
    shutil.rmtree(bait["spot"], ignore_errors=True)


def rename(bait):
    os.rename(f"{bait['spot']}/file.txt", f"{bait['spot']}/other.txt")


def move_in(bait):
    with open("mine.txt", "w") as file:
        file.write("mine")
    os.rename("mine.txt", f"{bait['spot']}/mine.txt")


def make_folder(bait):
    os.mkdir(f"{bait['spot']}/folder")


def make_symlink(bait):
    os.symlink("/", f"{bait['spot']}/link")


def make_hard_link(bait):
    os.link(f"{bait['spot']}/file.txt", f"{bait['spot']}/hard.txt")


def make_fifo(bait):
    os.mkfifo(f"{bait['spot']}/fifo")


def make_device(bait):
    os.mknod(f"{bait['spot']}/device", 0o666 | 0o020000, os.makedev(1, 3))


def change_mode(bait):
    os.chmod(f"{bait['spot']}/file.txt", 0o700)


def change_times(bait):
    os.utime(f"{bait['spot']}/file.txt", (1, 1))


def set_attribute(bait):
    os.setxattr(f"{bait['spot']}/file.txt", "user.mine", b"1")


def remove_attribute(bait):
    call("removexattr", f"{bait['spot']}/file.txt".encode(), b"user.planted")


def set_flags(bait):
    """FS_IOC_SETFLAGS (no dump) needs no descriptor that can write."""
    handle = os.open(f"{bait['spot_given']}/file.txt", os.O_RDONLY)
    flags = array.array("l", [0])
    fcntl.ioctl(handle, 0x80086601, flags)
    flags[0] |= 0x40
    fcntl.ioctl(handle, 0x40086602, flags)


def shared_mapping(bait):
    handle = os.open(f"{bait['spot']}/file.txt", os.O_RDWR)
    with mmap.mmap(handle, 4) as mapped:
        mapped[:4] = b"evil"


def through_root(bait):
    with open(f"/proc/self/root{bait['spot']}/file.txt", "w") as file:
        file.write("changed")


def through_parent(bait):
    with open(f"/proc/{bait['neighbour']}/root{bait['spot']}/file.txt", "w") as file:
        file.write("changed")


def through_symlink(bait):
    os.symlink(f"{bait['spot']}/file.txt", "way-out")
    with open("way-out", "w") as file:
        file.write("changed")


def through_path_descriptor(bait):
    handle = os.open(f"{bait['spot']}/file.txt", os.O_PATH)
    with open(f"/proc/self/fd/{handle}", "w") as file:
        file.write("changed")


def given_data(bait):
    """The data that the box was given to read."""
    with open(f"{bait['spot_given']}/file.txt", "r+") as file:
        file.write("changed")


def given_reopened(bait):
    handle = os.open(f"{bait['spot_given']}/file.txt", os.O_RDONLY)
    with open(f"/proc/self/fd/{handle}", "r+") as file:
        file.write("changed")


def hold_lock(bait):
    """Hold a lock on a file that was given to read, so that others wait for it."""
    handle = os.open(f"{bait['spot_given']}/file.txt", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    time.sleep(1.0)


def library(bait):
    """The interpreter's own library: what every later submission would run."""
    with open(os.path.join(os.path.dirname(os.__file__), bait["token"] + ".pth"), "w") as file:
        file.write("import os")
    return "planted a file in the standard library"


def own_program(bait):
    """The folder of the program that runs in the box."""
    with open(os.path.join(os.path.dirname(__file__), "planted.py"), "w") as file:
        file.write("")
    return "planted a file beside the box's own program"


def oom_score(bait):
    with open(f"/proc/{bait['neighbour']}/oom_score_adj", "w") as file:
        file.write("900")


def sysctl(bait):
    with open("/proc/sys/kernel/core_pattern", "r+") as file:
        file.write(file.read())
    return "wrote a kernel setting"


def mount_over(bait):
    if LIBC.unshare(0x00020000) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if LIBC.mount(b"none", b"/", None, 0x4000 | 0x40000, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    return "remounted"


TRIES = {
    name.__name__: name
    for name in (
        overwrite, append, create, create_unnamed, truncate_by_path, truncate_read_only, delete, delete_tree, rename, move_in, make_folder,
        make_symlink, make_hard_link, make_fifo, make_device, change_mode, change_times, set_attribute, remove_attribute, set_flags,
        shared_mapping, through_root, through_parent, through_symlink, through_path_descriptor, given_data, given_reopened, hold_lock,
        library, own_program, oom_score, sysctl, mount_over,
    )
}  # fmt: skip
