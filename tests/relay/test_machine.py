"""The cores and the memory that a process may use."""

import os

import pytest

from relay.machine import available_cores, available_memory

MACHINE_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
MACHINE_MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def groups(directory, own, **files):
    """Write control groups: `files` have the path of a file, with `__` for `/`, and its text. Return root and membership."""
    names = {
        "cpu": "cpu.max",
        "memory": "memory.max",
        "quota": "cpu.cfs_quota_us",
        "period": "cpu.cfs_period_us",
        "limit": "memory.limit_in_bytes",
    }
    root = directory / "cgroup"
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(names[path.name]).write_text(text)
    membership = directory / "membership"
    membership.write_text(f"1:cpuset:/\n{own}\n")
    return root, membership


@pytest.mark.parametrize(
    ("own", "files", "cores", "memory"),
    [
        pytest.param("0::/", {}, MACHINE_CORES, MACHINE_MEMORY, id="no limit"),
        pytest.param(
            "0::/", {"cpu": "max 100000\n", "memory": "max\n"}, MACHINE_CORES, MACHINE_MEMORY, id="max"
        ),
        pytest.param(
            "0::/", {"cpu": "50000 100000\n", "memory": "1048576\n"}, 0.5, 1_048_576, id="container"
        ),
        pytest.param(
            "0::/a/b",
            {
                "a__b__cpu": "max 100000\n",
                "a__cpu": "75000 100000\n",
                "cpu": "90000 100000\n",
                "a__memory": "4096\n",
            },
            0.75,
            4096,
            id="the least of all levels",
        ),
        pytest.param(
            "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n0::/",
            {"cpu__quota": "50000\n", "cpu__period": "100000\n", "memory__limit": "536870912\n"},
            0.5,
            512 * 1024**2,
            id="container of version 1",
        ),
        pytest.param(
            "4:cpu:/a\n3:memory:/a",
            {
                "cpu__a__quota": "-1\n",
                "cpu__a__period": "100000\n",
                "memory__a__limit": "9223372036854771712\n",
                "memory__b__limit": "4096\n",
            },
            MACHINE_CORES,
            MACHINE_MEMORY,
            id="no limit of version 1",
        ),
    ],
)
def test_a_process_may_use_what_its_control_groups_leave(tmp_path, own, files, cores, memory):
    """The least limit of the group and of those above it counts, else the machine's own."""
    root, membership = groups(tmp_path, own, **files)

    assert available_cores(root, membership) == cores
    assert available_memory(root, membership) == memory


def test_a_system_without_control_groups_limits_nothing(tmp_path):
    """Without /proc, as on macOS, the machine's own numbers count."""
    assert available_cores(tmp_path, tmp_path / "none") == MACHINE_CORES
    assert available_memory(tmp_path, tmp_path / "none") == MACHINE_MEMORY
