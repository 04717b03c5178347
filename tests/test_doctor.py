"""The doctor: machines made of files, and what it says about them."""

import importlib.util
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from grader import dataset, doctor
from grader.sandbox import TierState

REPO = Path(__file__).resolve().parent.parent
WORKS = TierState(name="bubblewrap", works=True, reason="Namespaces.")
FAILS = TierState(name="landlock", works=False, reason="The kernel has no Landlock.", mend="Use another kernel.")
UNPROTECTED = TierState(name="none", works=True, reason="No protection.")


@pytest.fixture
def machine(tmp_path):
    """A machine with everything: write or delete files below it to change it."""
    files = {
        "proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n",
        "proc/cpuinfo": "model name\t: Example 9000\nflags\t\t: fpu avx2 avx512f avx512_bf16\n",
        "proc/self/cgroup": "0::/jobs/box\n",
        "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
        "sys/fs/cgroup/jobs/box/memory.max": "max\n",
        "sys/fs/cgroup/jobs/box/cpu.max": "max 100000\n",
        "dev/null": "",
    }
    root = tmp_path / "machine"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def examine(tmp_path, machine):
    def _examine(tiers=(WORKS,), out=tmp_path / "out", store=tmp_path / "store"):
        rows = doctor.examine(store, tiers=tiers, out=out, root=machine)
        for row in rows:
            assert (row.state == "ok") == (not row.costs) == (not row.mend), row
        return {row.name: row for row in rows}

    return _examine


def test_every_line_says_what_is_there_and_each_lack_what_it_costs(examine):
    rows = examine()
    assert rows["python"].state == "ok"
    assert rows["sandbox bubblewrap"] == doctor.Symptom(name="sandbox bubblewrap", state="ok", found="Namespaces.")
    assert rows["memory"].found == "8.0 of 16.0 GiB available; a notebook may use 9.5 GiB (--memory)"
    assert rows["processor"].found == "Example 9000: avx2, avx512f, avx512_bf16"
    assert rows["processor"].state == "ok"
    assert rows["control groups"].found.startswith("version 2 (")


@pytest.mark.parametrize(
    ("tiers", "states"),
    [
        ((WORKS, FAILS), {"sandbox bubblewrap": "ok", "sandbox landlock": "lacking"}),
        ((FAILS, UNPROTECTED), {"sandbox landlock": "broken"}),
        ((UNPROTECTED,), {"sandbox": "broken"}),
        ((), {"sandbox": "broken"}),
    ],
)
def test_a_sandbox_is_lacking_where_another_works_and_broken_where_none_does(examine, tiers, states):
    rows = {name: row for name, row in examine(tiers).items() if name.startswith("sandbox")}
    assert {name: row.state for name, row in rows.items()} == states
    if FAILS in tiers:
        assert rows["sandbox landlock"].mend == "Use another kernel."
        assert rows["sandbox landlock"].found == "The kernel has no Landlock."


@pytest.mark.parametrize(
    ("available", "limit", "expected"),
    [
        (8388608, "max", ("ok", "8.0 of 16.0 GiB available; a notebook may use 9.5 GiB (--memory)")),
        (
            8388608,
            str(1536 << 20),
            ("lacking", "8.0 of 16.0 GiB available, limited by the control group to 1.5 GiB; a notebook may use 1 GiB (--memory)"),
        ),
        (
            8388608,
            str(512 << 20),
            ("broken", "8.0 of 16.0 GiB available, limited by the control group to 0.5 GiB; a notebook may use 1 GiB (--memory)"),
        ),
        (524288, "max", ("broken", "0.5 of 16.0 GiB available; a notebook may use 9.5 GiB (--memory)")),
    ],
)
def test_memory_is_what_the_control_group_leaves(examine, machine, available, limit, expected):
    (machine / "proc/meminfo").write_text(f"MemTotal:       16777216 kB\nMemAvailable:    {available} kB\n")
    (machine / "sys/fs/cgroup/jobs/memory.max").write_text(limit)
    assert (examine()["memory"].state, examine()["memory"].found) == expected


def test_memory_that_cannot_be_read_is_said_to_be_unknown(examine, machine):
    (machine / "proc/meminfo").unlink()
    assert examine()["memory"].state == "lacking"


def test_a_limit_on_processor_time_counts_as_fewer_cores(examine, machine, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert (examine()["processor cores"].state, examine()["processor cores"].found) == ("ok", "4 usable")
    (machine / "sys/fs/cgroup/jobs/box/cpu.max").write_text("150000 100000\n")
    found = examine()["processor cores"]
    assert (found.state, found.found) == ("lacking", "4 usable, limited by the control group to 1.5")


def test_version_1_control_groups_are_read_too(examine, machine):
    (machine / "sys/fs/cgroup/cgroup.controllers").unlink()
    (machine / "proc/self/cgroup").write_text("4:memory:/docker/abc\n3:cpu,cpuacct:/\n0::/\n")
    for name, text in {
        "memory/memory.limit_in_bytes": str(3 << 30),
        "cpu/cpu.cfs_quota_us": "50000",
        "cpu/cpu.cfs_period_us": "100000",
    }.items():
        (machine / "sys/fs/cgroup" / name).parent.mkdir(exist_ok=True)
        (machine / "sys/fs/cgroup" / name).write_text(text)
    rows = examine()
    assert rows["memory"].found.endswith("limited by the control group to 3.0 GiB; a notebook may use 1.75 GiB (--memory)")
    assert rows["processor cores"].found.endswith("limited by the control group to 0.5")
    assert rows["control groups"].found == f"version 1 ({machine}/sys/fs/cgroup/memory)"


def test_a_machine_that_shows_nothing_is_described_and_nothing_raises(tmp_path):
    rows = {row.name: row for row in doctor.examine(tmp_path / "store", tiers=(), out=tmp_path, root=tmp_path / "none")}
    assert rows["control groups"].found == "none visible"
    assert rows["processor"].found.endswith("no vector instructions named; no bfloat16")
    assert rows["gpu"].found == "no NVIDIA device"


def _tool(folder, text):
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{text}\n")
    tool.chmod(0o755)


def test_a_gpu_is_named_by_its_tool(examine, machine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (machine / "dev/nvidia0").write_text("")
    assert examine()["gpu"].found == "nvidia0, but nvidia-smi does not answer"
    _tool(tmp_path, "exit 9")
    assert examine()["gpu"].found == "nvidia0, but nvidia-smi does not answer"
    _tool(tmp_path, "echo 'Example GPU, 81920 MiB, 570.1'")
    monkeypatch.setattr(doctor, "_version", lambda _: None)
    assert examine()["gpu"].found == "Example GPU, 81920 MiB, 570.1, but CUDA's libraries are not installed"
    monkeypatch.setattr(doctor, "_version", lambda name: "9.1" if name == "nvidia-cudnn-cu12" else None)
    assert (examine()["gpu"].state, examine()["gpu"].found) == ("ok", "Example GPU, 81920 MiB, 570.1")


def test_libraries_are_compared_with_what_the_package_requires(examine, monkeypatch):
    wanted = ["numpy>=1.26", "keras>=3.15", "left-out>=1; extra == 'dev'", "nowhere-to-be-found>=2", "pillow"]
    versions = {"numpy": "2.4.6", "keras": "3.9.2", "pillow": "13.0.0"}

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    monkeypatch.setattr(metadata, "version", version)
    rows = examine()
    assert rows["libraries"].found == "numpy 2.4.6, pillow 13.0.0"
    assert (rows["library keras"].state, rows["library keras"].found) == ("broken", "3.9.2, older than 3.15")
    assert rows["library keras"].mend == "pip install 'keras>=3.15'"
    assert rows["library nowhere-to-be-found"].found == "not installed"
    assert "library left-out" not in rows


def test_packages_of_colab_are_compared_with_the_list_which_is_the_extra(examine, monkeypatch):
    extra = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]["colab"]
    assert sorted(doctor.colab().values()) == sorted(extra)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("cv2", "pydot") else name)
    row = examine()["packages of Colab"]
    assert (row.state, row.found, row.mend) == ("lacking", "not installed: cv2, pydot", "pip install 'grader[colab]'")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert examine()["packages of Colab"].found == f"all {len(extra)} are installed"


def test_data_is_named_with_its_source_or_its_lack(examine, tmp_path):
    store = tmp_path / "data"
    assert examine(store=store)["data"].state == "lacking"
    assert examine(store=store)["data"].found == f"{store}/cifar10: does not exist; the made-up stand-in will be made"
    images, labels = np.zeros((10, 32, 32, 3), np.uint8), np.arange(10, dtype=np.uint8)
    np.savez(tmp_path / "small.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    fingerprint = dataset.import_file(tmp_path / "small.npz", store).fingerprint[:16]
    row = examine(store=store)["data"]
    assert row.state == "lacking"
    assert row.found == (
        f"{store}/cifar10: 10 training and 10 test images; from small.npz, fingerprint {fingerprint}; not the full 50,000 and 10,000"
    )
    (store / "cifar10" / "manifest.json").unlink()
    row = examine(store=store)["data"]
    assert (row.state, row.mend) == ("broken", "`grade data fetch` or `grade data import FILE` replaces it.")


def test_a_report_folder_is_tried_and_nothing_is_left_there(examine, tmp_path):
    folder = tmp_path / "out"
    assert examine(out=folder)["report folder"].state == "ok"
    assert not folder.exists()
    folder.mkdir()
    assert examine(out=folder)["report folder"].found == f"{folder} can be written"
    assert list(folder.iterdir()) == []
    (tmp_path / "file").write_text("")
    row = examine(out=tmp_path / "file" / "out")["report folder"]
    assert (row.state, row.found) == ("broken", f"{tmp_path}/file: a folder cannot be made there")
    assert examine(out=tmp_path / "file")["report folder"].found == f"{tmp_path}/file: Not a directory"


def test_a_full_disk_is_lacking(examine, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100 << 20}))
    row = examine()["disk for data"]
    assert row.state == "lacking"
    assert row.found.endswith("0.1 GiB free")


def test_a_locale_that_is_not_utf8_is_lacking(examine, monkeypatch):
    monkeypatch.setattr("locale.getpreferredencoding", lambda **_: "ANSI_X3.4-1968")
    assert examine()["locale"].state == "lacking"


def test_git_is_lacking_where_it_is_not_installed(examine, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert examine()["git"].state == "lacking"


def test_nothing_heavy_is_imported(tmp_path):
    program = (
        "import sys; from pathlib import Path; from grader import doctor; doctor.examine(Path(sys.argv[1]), tiers=()); "
        "print(sorted({'numpy', 'tensorflow', 'keras', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
