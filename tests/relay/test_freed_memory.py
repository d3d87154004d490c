"""What a process frees stays with it."""

import ctypes
import os
import subprocess
import sys

import pytest

REUSE = """
import os, resource
from relay.freed_memory import keep_freed_memory

def faults_of_a_second_use():
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [b"x" * 3_000_000 for _ in range(8)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
print(faults_of_a_second_use(), os.environ["_RJEM_MALLOC_CONF"])
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no such options")
def test_memory_that_was_freed_is_used_again_without_page_faults():
    """24 MB are some 5,900 pages. An operator's own options for the allocator of polars stay."""
    options = {"_RJEM_MALLOC_CONF": "dirty_decay_ms:1"}
    ended = subprocess.run(
        [sys.executable, "-c", REUSE], env={**_environment(), **options}, capture_output=True, check=True
    )
    faults, kept = ended.stdout.decode().split()
    assert int(faults) < 600
    assert kept == "dirty_decay_ms:1"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
