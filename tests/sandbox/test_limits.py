"""What a box may use unless somebody says otherwise, and what may be said."""

import pytest

from grader import machine
from grader.batch import session
from grader.errors import UsageError
from grader.pipeline import Options
from grader.sandbox import Limits
from grader.sandbox.limits import parsed_memory


@pytest.fixture
def memory(tmp_path):
    """A machine of so many GiB, whose control group leaves so many of them."""

    def make(total, group="max"):
        root = tmp_path / f"{total}-{group}"
        for name, text in {
            "proc/meminfo": f"MemTotal: {total << 20} kB\n",
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/cgroup.controllers": "memory\n",
            "sys/fs/cgroup/box/memory.max": group if group == "max" else str(group << 30),
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return root

    return make


@pytest.mark.parametrize(
    ("total", "group", "side_by_side", "gib"),
    [
        (64, "max", 1, 12),  # Colab's
        (16, "max", 1, 9.5),  # 60 %
        (64, 10, 1, 6),  # 60 % of what the container has
        (24, "max", 2, 7.125),
        (64, "max", 16, 6),  # no share under what is usual
        (8, "max", 4, 4.75),  # but none over 60 %
        (1, "max", 1, 1),
    ],
)
def test_a_notebook_may_use_what_colab_has_or_what_the_machine_can_spare(memory, total, group, side_by_side, gib):
    assert machine.default_memory_mib(side_by_side, memory(total, group)) == gib * 1024


def test_a_machine_that_does_not_say_what_it_has_gives_the_usual(tmp_path):
    assert machine.default_memory_mib(root=tmp_path) == 6144 // 128 * 128


@pytest.mark.parametrize(("text", "mib"), [("8GiB", 8192), ("8 gib", 8192), ("1.5GiB", 1536), ("6144MiB", 6144), ("6144", 6144)])
def test_sizes_of_memory(text, mib):
    assert parsed_memory(text) == mib


@pytest.mark.parametrize("text", ["", "8GB", "lots", "-8GiB", "512", "0.5GiB", "8GiB8", "1e9", "\u0668GiB", "nan"])
def test_what_is_no_size_says_what_is_one(text):
    with pytest.raises(UsageError, match="8GiB, 6144MiB or 6144"):
        parsed_memory(text)


def test_the_kernels_limits_leave_room_for_the_watchs():
    usual, large = Limits(memory_mib=2048), Limits.of("20GiB", None, None)
    assert (usual.data_mib, usual.address_mib) == (8192, 32768)
    assert large.memory_mib + 2048 < large.data_mib < large.address_mib
    assert (large.memory, Limits(memory_mib=4000).memory) == ("20 GiB", "3.906 GiB")


def test_a_longer_cell_makes_the_whole_longer_and_the_processor_time_follows():
    assert Limits.of(None, None, None) == Limits()
    longer = Limits.of(None, 900, None)
    assert (longer.cell_s, longer.wall_s, longer.cpu_s, longer.chosen) == (900, 900, 1800, ("cell_s",))
    said = Limits.of("2GiB", 30, 60.5)
    assert (said.cell_s, said.wall_s, said.cpu_s, said.memory_mib) == (30, 60.5, 121, 2048)


def test_a_class_is_graded_anew_where_a_limit_is_set_and_not_where_the_machine_is_another():
    keys = [
        session.grading_key(Options(limits=limits), "images")
        for limits in (Limits(), Limits.of(None, None, None, 9), Limits.of("9GiB", None, None), Limits.of(None, 60, 300))
    ]
    assert keys[0] == keys[1]
    assert keys[2].settings == {**keys[0].settings, "memory_mib": 9216}
    assert keys[3].settings == {**keys[0].settings, "cell_s": 60, "wall_s": 300}


def test_more_than_the_machine_has_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "machine_mib", lambda: 24 << 10)
    plan = session.Plan(paths=(), gradebook="", out=tmp_path, jobs=4, options=Options(limits=Limits.of("8GiB", None, None)))
    assert session._crowded(plan).startswith("4 notebooks in parallel may use 8 GiB each, more than this machine has (24 GiB)")
    monkeypatch.setattr(session, "machine_mib", lambda: 32 << 10)
    assert session._crowded(plan) == ""
