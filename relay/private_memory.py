"""Keep the memory of a process, which holds keys, from its dumps and from other processes."""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """Disable core dumps of this process, since its memory holds keys.

    The limit holds for its child processes too.
    Some systems hand a dump to a program whatever the limit is, so on Linux the process also becomes non-dumpable:
    other processes of the same user can then read neither its memory nor its environment.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
