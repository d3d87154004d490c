"""The cores and the memory that this process may use: those of the machine, less what its control groups take away.

Linux has two versions of control groups, and a machine may use both. Version 2 has one tree of groups, version 1 one for each
controller. A container sees its own group at the root of a tree, whatever path its membership names.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> float:
    """Return the cores that this process may use: its affinity mask, and the least quota of its control groups."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(cores), *(_cores_of(folder) for folder in _groups("cpu", root, membership))])


def available_memory(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """Return the bytes of memory that this process may use: those of the machine, or the least limit of its control groups."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    names = ("memory.max", "memory.limit_in_bytes")
    found = (_read(folder / name) for folder in _groups("memory", root, membership) for name in names)
    return min([machine, *(int(text) for text in found if text.isdecimal())])


def _cores_of(folder: Path) -> float:
    """Return the quota of one group.

    Source: Linux, "Control Group v2", CPU, and "CFS Bandwidth Control": quota and period in microseconds; `max` or -1: no quota.
    """
    files = ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")
    quota, period, *_ = [*" ".join(_read(folder / name) for name in files).split(), "max", "max"]
    return int(quota) / int(period) if quota.isdecimal() else math.inf


def _read(path: Path) -> str:
    """Return the text of a file; empty: it is missing, and limits nothing."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _groups(controller: str, root: Path, membership: Path) -> Iterator[Path]:
    """Yield the folders of the control groups of this process, and of those above them."""
    for line in _read(membership).splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        tree = root / controller if controllers else root
        folder = tree / own.removeprefix("/")
        yield from (each for each in (folder, *folder.parents) if each.is_relative_to(tree))
