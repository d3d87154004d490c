"""The cores and the memory that this process may use: those of the machine, less what its control groups take away."""

import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> float:
    """Return the cores that this process may use: its affinity mask, and the least quota of its control groups.

    Source of `cpu.max`: Linux, "Control Group v2", CPU: quota and period in microseconds, or `max`. Version 1 is not read.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = (text.split() for text in _limits("cpu.max", root, membership))
    return min([float(cores), *(int(quota) / int(period) for quota, period in quotas)])


def available_memory(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """Return the bytes of memory that this process may use: those of the machine, or the least limit of its control groups."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *map(int, _limits("memory.max", root, membership))])


def _limits(name: str, root: Path, membership: Path) -> Iterator[str]:
    """Yield the limits of the control group of this process and of those above it. A file that is missing limits nothing."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if own is None:
        return
    folder = root / own
    for each in (folder, *folder.parents):
        if not each.is_relative_to(root):
            return
        try:
            text = (each / name).read_text().strip()
        except OSError:
            continue
        if not text.startswith("max"):
            yield text
