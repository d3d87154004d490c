"""Let a process keep the memory that it frees, for work that needs as much again at once."""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Options of mallopt(3), from malloc.h of the C library."""
_KEPT_BYTES = 64 << 20
"""Free memory at the end of the heap that the C library keeps; a block of the consumer takes about half of it."""
_LARGEST_ON_HEAP = 32 << 20
"""The largest threshold that the C library takes. Memory above it has pages of its own, which go back when it is freed."""
_POLARS_OPTIONS = "_RJEM_MALLOC_CONF"


def keep_freed_memory() -> None:
    """Let the C library and polars keep what is freed. Call it before polars is imported, and before threads start.

    Without it a consumer gives the memory of each block of events back, and gets other pages for the next one. The kernel has to
    fill each page with zeros: two pages for every three events, a tenth of the CPU time, and more the longer a block takes, since
    polars gives back what is free for half a second.
    """
    os.environ.setdefault(_POLARS_OPTIONS, "dirty_decay_ms:10000")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # the allocator of musl or macOS has no such options
        return
    mallopt(_ARENA_MAX, 1)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_MMAP_THRESHOLD, _LARGEST_ON_HEAP)
