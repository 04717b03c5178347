"""`main(writer, spec)`: run the attempts named in `spec["tries"]` and send a frame `result` {name: outcome} for each."""

import os
import socket
import subprocess
import sys
import threading
import time


def main(writer, spec):
    for name in spec["tries"]:
        try:
            outcome = TRIES[name](spec)
        except BaseException as error:
            outcome = f"refused: {type(error).__name__}"
        writer.send("result", {name: outcome})
    writer.send("end", {})


def _read(path):
    def attempt(spec):
        with open(path.format(**spec)) as file:
            return f"read {len(file.read())}"

    return attempt


def _write(path):
    def attempt(spec):
        with open(path.format(**spec), "w") as file:
            file.write("x")
        return "wrote"

    return attempt


def _spawn(spec):
    return f"ran {subprocess.run(['/bin/true'], check=True).returncode}"


def _fork(spec):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return f"forked {pid > 0}"


def _environ_of_parent(spec):
    with open(f"/proc/{os.getppid()}/environ") as file:
        return "leaked" if "GRADER_SECRET" in file.read() else "refused: nothing in it"


def _kill_parent(spec):
    os.kill(os.getppid(), 0)
    return "signalled"


def _connect(spec):
    with socket.create_connection(("127.0.0.1", int(spec["port"])), timeout=2):
        return "connected"


def _udp(spec):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.sendto(b"x", ("127.0.0.1", 9))
    return "sent"


def _abstract(spec):
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind("\0grade-test")
    return "bound"


def _thread(spec):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(1))
    thread.start()
    thread.join()
    return f"threads {len(seen)}"


def _work(spec):
    with open("made.txt", "w") as file:
        file.write("x")
    with open("made.txt") as file:
        return f"own {file.read()}"


def _memory(spec):
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 20) * 16))


def _many_files(spec):
    for index in range(10**6):
        open(f"f{index}", "w").close()
    return "made a million files"


def _output(spec):
    for _ in range(10**5):
        os.write(1, b"x" * 65536)
    return "wrote"


def _hang(spec):
    while True:
        time.sleep(1)


TRIES = {
    "package": _read("{package}/checks/__init__.py"),
    "rubric": _read("{repository}/rubrics/all_cnn_c/rubric.toml"),
    "secret": _read("{secret}"),
    "shadow": _read("/etc/shadow"),
    "environ_of_parent": _environ_of_parent,
    "environment": lambda spec: os.environ.get("GRADER_SECRET", "absent"),
    "write_outside": _write("{outside}/x"),
    "write_usr": _write("/usr/x"),
    "spawn": _spawn,
    "fork": _fork,
    "kill_parent": _kill_parent,
    "connect": _connect,
    "udp": _udp,
    "abstract": _abstract,
    "thread": _thread,
    "work": _work,
    "import_grader": lambda spec: __import__("grader.checks").__name__,
    "path": lambda spec: "clean" if not [path for path in sys.path if "attempts" in path] else "dirty",
    "memory": _memory,
    "many_files": _many_files,
    "output": _output,
    "hang": _hang,
}
