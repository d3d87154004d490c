"""How fast a core is while a program runs on it: the CPU time of one fixed loop, twenty times a second.

A core of a virtual machine is often one thread of a physical core. While the other thread is busy, the same work can take half as
long again, so the CPU seconds of two runs compare only beside this. `python core_speed.py` prints the monotonic
seconds and the µs of each loop, and takes one hundredth of its core.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LOOPS_A_SECOND = 20
ROUNDS = 4_000


@asynccontextmanager
async def core_speed(core: int) -> AsyncIterator[Callable[[float, float], float]]:
    """Measure a core; yield a function that returns the mean µs of the loop between two monotonic times, 0 without a loop."""
    with tempfile.TemporaryFile("w+") as output:
        command = ("taskset", "--cpu-list", str(core), sys.executable, __file__)
        process = await asyncio.create_subprocess_exec(*command, stdout=output)

        def mean_us(first: float, last: float) -> float:
            output.seek(0)
            loops = [map(float, line.split()) for line in output.read().splitlines()[:-1]]
            return statistics.fmean([us for at, us in loops if first <= at <= last] or [0.0])

        try:
            yield mean_us
        finally:
            process.terminate()
            await process.wait()


def main() -> None:
    while True:
        began, total = time.thread_time_ns(), 0
        for number in range(ROUNDS):
            total += number * number
        print(time.monotonic(), (time.thread_time_ns() - began) / 1_000, flush=True)
        time.sleep(1 / LOOPS_A_SECOND)


if __name__ == "__main__":
    main()
