"""Every attack on a box, as data; and the attacks that are known to be open on a tier, each with its reason."""

from collections.abc import Mapping

from grader_attacks.records import Attack, Proof

FORGE, LIE, READ, WRITE = "forge the score", "lie in the claim", "read", "write"
PROCESS, SURVIVE, EXHAUST, HANG, NETWORK = "kill, trace or signal", "survive", "exhaust", "hang", "network"
POISON, DATA, ARCHIVE, SEMANTICS = "poison the report", "data and training", "archives and pickles", "semantics"


def _all(
    room: str, family: str, proof: Proof, attacks: Mapping[str, str], *, alone: bool = False, control: bool = True, root: bool = False
) -> tuple[Attack, ...]:
    return tuple(
        Attack(id=f"{room}.{name}", family=family, what=what, proof=proof, alone=alone, control=control, root=root)
        for name, what in attacks.items()
    )


def _reads(secret: str, attacks: Mapping[str, str], *, control: bool = True, root: bool = False) -> tuple[Attack, ...]:
    return tuple(
        Attack(id=f"read.{name}", family=READ, what=what, proof="secret", secret=secret, control=control, root=root)
        for name, what in attacks.items()
    )


BOX_ATTACKS: tuple[Attack, ...] = (
    # ---- read; first of all what is open from the start, as the next ones leave descriptors open
    *_reads("file", {"inherited": "Read a descriptor that the grader has open."}, control=False),
    *_reads("rubric", {"rubric": "Read the rubric's file."}),
    *_reads("thresholds", {"thresholds": "Read the thresholds of the training check."}),
    *_reads("source", {"check_source": "Read the grader's own source.", "import_grader": "Import the grader."}),
    *_reads(
        "file",
        {
            "secret": "Read a file of the host that everybody may read.",
            "planted_module": "Import a module from a folder of the host.",
            "held_back_labels": "Read labels that are held back.",
            "other_submission": "Read another submission.",
            "host_shared_memory": "Read a file in the host's /dev/shm.",
            "symbolic_link": "Read through a symbolic link made in the work folder.",
            "climbing": "Read through forty times `..`.",
            "openat2": "Read through openat2.",
            "path_descriptor": "Reopen an O_PATH descriptor through /proc/self/fd.",
            "mapping": "Map a file of the host.",
            "sendfile": "Copy a file of the host with sendfile.",
            "proc_self_root": "Read through /proc/self/root.",
            "proc_thread_root": "Read through /proc/thread-self/root.",
            "extended_attribute": "Read an extended attribute of a file of the host.",
            "link_target": "Read where a symbolic link of the host points.",
            "neighbour_root": "Read through another process's /proc/…/root.",
            "neighbour_environment": "Read another process's environment.",
            "neighbour_command": "Read another process's command line.",
            "neighbour_open_file": "Open what another process has open.",
            "neighbour_memory": "Read another process's memory through /proc/…/mem.",
            "neighbour_vectors": "Read another process's memory with process_vm_readv.",
            "neighbour_traced": "Read another process's memory with ptrace.",
            "neighbour_descriptor": "Take a descriptor of another process with pidfd_getfd.",
            "watched_names": "Learn the names of files that others make, with inotify.",
            "other_names": "List a folder of other submissions.",
        },
    ),
    *_reads("file", {"environment": "Find the grader's environment in the own one."}, control=False),
    *_reads("file", {"hard_link": "Read through a hard link made in the work folder."}, control=False),
    *_reads("file", {"file_handle": "Read through open_by_handle_at."}, root=True),
    *_reads("file", {"proc_first_root": "Read through /proc/1/root."}, control=False),
    *_reads("temporary", {"host_temporary": "List the host's folder for temporary files."}),
    *_reads("home", {"host_home": "List the home of the user who runs the grader."}),
    *_reads("users", {"host_users": "Read the host's /etc/passwd."}),
    *_reads("name", {"host_name": "Learn the host's name."}),
    *_reads("mounts", {"host_mounts": "Learn the host's mounts from /proc/self/mountinfo."}),
    *_reads("parent", {"parent_environment": "Read the grader's environment through /proc."}),
    *_reads("size", {"file_size": "Learn the size of a file of the host by its name."}),
    *_all("read", READ, "said", {"process_exists": "Learn whether a process of the host exists."}),
    *_all("read", READ, "said", {"fanotify": "Watch the file system with fanotify.", "keyring": "Reach a keyring of the kernel."}),
    *_all("read", READ, "said", {"kernel_log": "Read the kernel's log."}, root=True),
    # ---- write
    *_all(
        "write",
        WRITE,
        "changed",
        {
            "overwrite": "Overwrite a file of the host that everybody may write.",
            "append": "Append to a file of the host.",
            "create": "Make a file outside the work folder.",
            "create_unnamed": "Make a file without a name outside the work folder.",
            "truncate_by_path": "Truncate a file by its path.",
            "truncate_read_only": "Truncate a file while opening it for reading.",
            "delete": "Delete a file of the host.",
            "delete_tree": "Delete a folder of the host.",
            "rename": "Rename a file of the host.",
            "move_in": "Move an own file out of the work folder.",
            "make_folder": "Make a folder outside the work folder.",
            "make_symlink": "Make a symbolic link outside the work folder.",
            "make_hard_link": "Make a hard link outside the work folder.",
            "make_fifo": "Make a named pipe outside the work folder.",
            "change_mode": "Change a file's mode.",
            "change_times": "Change a file's times.",
            "set_attribute": "Set an extended attribute.",
            "remove_attribute": "Remove an extended attribute.",
            "set_flags": "Set a file's flags with an ioctl, which needs no right to write.",
            "shared_mapping": "Change a file through a shared mapping.",
            "through_root": "Write through /proc/self/root.",
            "through_parent": "Write through another process's /proc/…/root.",
            "through_symlink": "Write through a symbolic link made in the work folder.",
            "through_path_descriptor": "Write through an O_PATH descriptor reopened in /proc/self/fd.",
            "given_data": "Change the data that the box was given to read.",
            "given_reopened": "Reopen the given data for writing through /proc/self/fd.",
            "hold_lock": "Hold a lock on a file that others need.",
            "oom_score": "Make the kernel kill another process first.",
        },
    ),
    *_all("write", WRITE, "changed", {"make_device": "Make a device."}, root=True),
    *_all("write", WRITE, "said", {"own_program": "Plant a module beside the program that runs in every box."}),
    *_all(
        "write",
        WRITE,
        "said",
        {"library": "Plant a file in the interpreter's library.", "sysctl": "Write a setting of the kernel.", "mount_over": "Remount the root."},
        control=False,
    ),
    # ---- kill, trace or signal
    *_all(
        "process",
        PROCESS,
        "victim",
        {
            "kill_neighbour": "Kill another process with kill.",
            "kill_thread": "Kill another process with tkill.",
            "kill_thread_of": "Kill another process with tgkill.",
            "queue_signal": "End another process with rt_sigqueueinfo.",
            "kill_by_descriptor": "Kill another process with pidfd_send_signal.",
            "signal_by_owner": "Have the kernel signal another process, with F_SETOWN.",
            "signal_by_owner_struct": "Have the kernel signal another process, with F_SETOWN_EX.",
            "signal_by_ioctl": "Have the kernel signal another process, with FIOSETOWN.",
            "stop_by_tracing": "Trace another process.",
            "write_memory": "Write another process's memory with process_vm_writev.",
            "write_memory_file": "Write another process's memory through /proc/…/mem.",
            "limit_neighbour": "Lower another process's limits.",
            "slow_neighbour": "Lower another process's priority.",
            "move_neighbour": "Move another process to one core.",
            "starve_neighbour": "Lower another process's priority for disks.",
        },
    ),
    *_all(
        "process",
        PROCESS,
        "said",
        {
            "compare": "Compare descriptors with another process (kcmp).",
            "signal_parent": "Signal the grader.",
            "signal_everybody": "Signal every process at once.",
            "be_undumpable": "Hide the own open files from the host.",
            "fork": "Fork.",
            "raw_fork": "Fork by the bare system call.",
            "raw_clone": "Clone by the bare system call.",
            "raw_clone3": "Clone by clone3, whose flags a filter cannot see.",
            "spawn": "Start a program with subprocess.",
            "posix_spawn": "Start a program with posix_spawn.",
            "shell": "Start a shell.",
            "self_again": "Start the interpreter again, without the box's filter.",
            "message_queue": "Make a System V message queue, which outlives the box.",
            "semaphores": "Make System V semaphores, which outlive the box.",
            "posix_queue": "Make a POSIX message queue, which outlives the box.",
            "kernel_aio": "Use the kernel's asynchronous I/O, of which the host has a limited supply.",
            "add_key": "Add a key to a keyring of the kernel.",
            "personality": "Switch the randomisation of addresses off.",
        },
    ),
    *_all(
        "process",
        PROCESS,
        "said",
        {
            "events": "Count events of the processor.",
            "page_faults": "Handle the own page faults (userfaultfd).",
            "kernel_program": "Load something into the kernel (bpf).",
            "realtime": "Take a real-time priority.",
        },
        root=True,
    ),
    *_all(
        "process",
        PROCESS,
        "said",
        {
            "own_session": "Leave the session.",
            "io_uring": "Use io_uring, whose calls no filter sees.",
            "old_interface": "Make 32-bit system calls with `int 0x80`.",
            "other_numbers": "Make system calls by their x32 numbers.",
            "enter_namespace": "Enter a namespace.",
        },
        control=False,
    ),
    *_all("process", PROCESS, "said", {"trace_me": "Be traced by the parent.", "new_user": "Make a user namespace.", "new_filter": "Answer one's own system calls with a second filter."}, alone=True),
    *_all("process", PROCESS, "printed", {"replace_program": "Replace the process by another program.", "replace_program_at": "Replace the process with execveat."}, alone=True),
    # ---- network
    *_all(
        "network",
        NETWORK,
        "heard",
        {
            "tcp": "Connect by TCP.",
            "udp": "Send by UDP.",
            "name_server": "Send data in a question to a name server.",
            "unix_stream": "Connect to a unix socket.",
            "unix_datagram": "Send to a unix socket.",
            "abstract_stream": "Connect to an abstract unix socket.",
            "abstract_datagram": "Send to an abstract unix socket.",
            "raw_call": "Connect by bare system calls.",
            "message_with_address": "Send by UDP with sendmsg.",
            "pair_to_path": "Write from a socketpair to a unix socket.",
            "pair_to_abstract": "Write from a socketpair to an abstract unix socket.",
            "pair_connected": "Connect one end of a socketpair to a unix socket.",
        },
    ),
    *_all("network", NETWORK, "heard", {"tcp6": "Connect by TCP over IPv6.", "fast_open": "Connect and send in one call.", "inherited_socket": "Use a socket among the open descriptors."}, control=False),
    *_all(
        "network",
        NETWORK,
        "said",
        {
            "pair_named": "Give one end of a socketpair an abstract name.",
            "send_descriptor": "Hide a descriptor in a message between two sockets.",
            "listening": "Listen on a TCP port.",
            "abstract_name": "Listen on an abstract name.",
            "path_name": "Listen on a path.",
            "netlink": "Open a netlink socket.",
            "multicast": "Multicast.",
        },
    ),
    *_all("network", NETWORK, "said", {"raw_socket": "Open a raw socket.", "packet_socket": "Open a packet socket."}, root=True),
    *_all("network", NETWORK, "said", {"resolver": "Resolve a name.", "kernel_crypto": "Use the kernel's cryptography through a socket.", "vsock": "Reach the hypervisor through vsock."}, control=False),
    # ---- survive
    *_all(
        "ending",
        SURVIVE,
        "survivor",
        {
            "double_fork": "Fork twice and leave the session.",
            "deaf_child": "Leave a child that ignores every signal that can be ignored.",
            "raw_child": "Leave a child made by bare system calls.",
        },
        alone=True,
    ),
    *_all(
        "ending",
        SURVIVE,
        "survivor",
        {
            "closed_pipe": "Close everything that the host reads, and go on.",
            "own_group": "Leave the process group and go on.",
            "thread_after_main": "End the main thread and go on in another.",
            "without_parent_signal": "Undo the signal at the parent's death and go on.",
            "deep_tree": "Leave a folder so deep that its removal fails.",
        },
        alone=True,
        control=False,
    ),
    # ---- exhaust
    *_all("ending", EXHAUST, "ended", {
            "shared_mappings": "Keep memory in shared mappings that no process's size counts.",
            "zero_device": "Keep memory in shared mappings of /dev/zero.",
            "shared_segment": "Keep memory in System V segments that nobody is attached to.",
            "disk_in_flight": "Fill the disk with files whose only descriptor is in flight between two sockets.",
        },
        alone=True,
    ),
    *_all(
        "ending",
        EXHAUST,
        "ended",
        {
            "memory": "Use more memory than is allowed.",
            "memory_in_threads": "Use more memory than is allowed, from eight threads at once.",
            "memory_file": "Keep memory in memory files.",
            "shared_memory_folder": "Fill /dev/shm.",
            "disk": "Fill the work folder.",
            "disk_temporary": "Fill the folder for temporary files.",
            "disk_deleted": "Fill the disk with files that are deleted but open.",
            "disk_mapped": "Fill the disk with files that are deleted and closed but mapped.",
            "one_file": "Write one file that is too large.",
            "sparse_file": "Reserve one file that is too large.",
            "inodes": "Make very many files.",
            "folders": "Make very many folders.",
            "deep_folders": "Make folders in folders.",
            "threads": "Start very many threads.",
            "processor": "Use more processor time than is allowed.",
            "output": "Write more output than is allowed.",
            "descriptors": "Open very many files.",
            "address_space": "Reserve a huge address space.",
            "locked_memory": "Lock memory.",
            "core_file": "Leave a core file.",
            "larger_limits": "Raise the own limits.",
            "gpu_memory": "Open a GPU that was not given.",
        },
        alone=True,
        control=False,
    ),
    *_all("frames", EXHAUST, "garbled", {"flood": "Send more bytes of frames than the host should hold.", "flood_of_small": "Send very many frames.", "flood_of_values": "Send few bytes of very many values.", "long_texts": "Send texts that would fill every report."}, alone=True, control=False),
    # ---- hang
    *_all(
        "ending",
        HANG,
        "ended",
        {
            "loop": "Loop for ever.",
            "loop_in_c": "Loop in a C library (a regular expression).",
            "long_sum": "Loop in the interpreter's own C code.",
            "sleep": "Sleep for days.",
            "deadlock": "Wait for a lock that nobody gives back.",
            "deaf": "Ignore and block every signal, and loop.",
            "swallow": "Swallow every exception, and loop.",
            "stopped": "Stop the own process.",
            "half_a_frame": "Send half a frame and wait.",
            "endless_repr": "Answer with an object whose text takes for ever.",
            "endless_finaliser": "Loop in a finaliser.",
        },
        alone=True,
        control=False,
    ),
    # ---- forge the score, at the pipe
    *_all(
        "frames",
        FORGE,
        "garbled",
        {
            "garbage": "Write garbage to the frame pipe.",
            "huge_length": "Announce a frame of 4 GiB.",
            "out_of_order": "Send a frame out of order.",
            "unknown_kind": "Send a frame of kind `score`.",
            "unknown_field": "Send a record with a field `earned`.",
            "duplicate_keys": "Send a frame with a key twice.",
            "not_a_number": "Send NaN.",
            "deep_nesting": "Send 200,000 nested lists.",
            "huge_number": "Send a number of 100,000 digits.",
            "surrogates": "Send half of a surrogate pair.",
        },
        alone=True,
        control=False,
    ),
)  # fmt: skip

_LANDLOCK_OPEN = {
    "read.file_size": "Landlock does not cover metadata: whoever knows a file's name learns its size, owner and times.",
    "read.link_target": "Landlock does not cover where symbolic links point.",
    "read.host_name": "There is no namespace for the host's name on this tier.",
    "read.host_mounts": "TensorFlow needs /proc/self, and the list of mounts is in it.",
    "read.process_exists": "There is no namespace for processes: whether a number is in use can be looked up, nothing else about it.",
}
_CONTAINER_OPEN = dict.fromkeys(
    (
        "read.rubric", "read.thresholds", "read.check_source", "read.import_grader", "read.secret", "read.planted_module",
        "read.held_back_labels", "read.other_submission", "read.host_shared_memory", "read.symbolic_link", "read.climbing",
        "read.path_descriptor", "read.mapping", "read.sendfile", "read.proc_self_root", "read.proc_thread_root",
        "read.neighbour_command", "read.other_names", "read.host_temporary", "read.host_users", "read.host_home",
        "write.overwrite", "write.append", "write.create", "write.create_unnamed", "write.delete", "write.delete_tree",
        "write.rename", "write.move_in", "write.make_folder", "write.make_symlink", "write.shared_mapping", "write.through_root",
        "write.through_symlink", "write.through_path_descriptor", "write.given_data", "write.given_reopened",
        "ending.zero_device",
    ),
    "The kernel has no Landlock: the declared container alone keeps apart what everybody in it may read or write.",
)  # fmt: skip

KNOWN_OPEN: Mapping[str, Mapping[str, str]] = {
    "bubblewrap": {},
    "landlock": _LANDLOCK_OPEN,
    "container": {**_CONTAINER_OPEN, **_LANDLOCK_OPEN},
}
"""Tier -> attack -> why it is open there (for `container`: where the kernel has no Landlock). `SECURITY.md` names each; a test holds that no other is open."""
