"""Run one program against a loaded Kafka, on a number of cores, and measure it from /proc."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core_speed import core_speed
from load import Shape
from programs import Program
from report import Figures
from sink import Sink

from embedded import EmbeddedKafka
from management.settings import Settings
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import create_missing_topics

HERE = Path(__file__).parent
SHARDS = 6
SAMPLE_SECONDS = 0.05
CORES = sorted(os.sched_getaffinity(0))
OTHER_CORES = CORES[2:] or CORES[1:] or CORES
"""Of Kafka and the sink."""
TICKS = os.sysconf("SC_CLK_TCK")
FIRST_PART, LAST_PART = 0.05, 0.98
"""Between these parts of the events a rate is measured: without the start, and without the last body that waits to be full."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` of delivery at most, and `start_seconds` until the first request."""

    seconds: float
    start_seconds: float = 60.0
    group: str | None = None
    """Directory of the control group that a program runs in, with `{cores}` for the number of its cores."""


@dataclass(frozen=True, slots=True)
class Reading:
    at: float
    """Monotonic seconds."""
    cpu: float
    rows: int


@asynccontextmanager
async def loaded_kafka(
    directory: Path, shape: Shape, *, prefix: str = "peers", registry: bool = False
) -> AsyncIterator[tuple[EmbeddedKafka, float]]:
    """Run a Kafka with the events on its topics; yield it and the mean bytes of an event. This process and Kafka keep to OTHER_CORES."""
    os.sched_setaffinity(0, OTHER_CORES)
    async with EmbeddedKafka(directory, heap="1g", flush_each_write=False) as kafka:
        yield kafka, await load_topics(kafka.bootstrap, prefix, shape, registry=registry)


async def load_topics(bootstrap: str, prefix: str, shape: Shape, *, registry: bool = False) -> float:
    """Create the topics of a prefix and write the events to them; return the mean bytes of an event."""
    settings = {"bootstrap": bootstrap, "replication_factor": 1, "shards": SHARDS, "topic_prefix": prefix}
    connection = Connection(Settings(kafka=settings).kafka)
    await create_missing_topics(connection)
    command = [sys.executable, str(HERE / "load.py"), bootstrap, prefix]
    command += ["--shards", str(SHARDS), "--events", str(shape.count)]
    command += ["--organizations", str(shape.organizations), "--size", shape.size]
    command += ["--registry"] if registry else []
    process = await asyncio.create_subprocess_exec(*_pinned(CORES), *command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    count, mean = output.split()
    if int(count) != shape.count:
        raise RuntimeError(f"{count} of {shape.count} events were written")
    return float(mean)


def _pinned(cores: list[int]) -> tuple[str, ...]:
    return ("taskset", "--cpu-list", ",".join(map(str, cores)))


def _in_group(group: str | None, cores: int) -> tuple[str, ...]:
    if group is None:
        return ()
    joined = f'echo $$ > {group.format(cores=cores)}/cgroup.procs && exec "$@"'
    return ("sh", "-c", joined, "sh")


def _processes(group: str | None, cores: int) -> dict[str, str]:
    """Return the relay's number of processes: a quota below a whole core would leave it one."""
    return {} if group is None else {"RELAY_CONSUMER__PROCESSES": str(cores)}


async def measure(program: Program, cores: int, sink: Sink, count: int, limits: Limits) -> Figures:
    """Run a program until `count` rows have arrived or its time is over. Raises RuntimeError if it ends, or sends nothing."""
    sink.reset()
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *_in_group(limits.group, cores),
            *_pinned(CORES[:cores]),
            *program.command,
            env={**os.environ, **program.environment, **_processes(limits.group, cores)},
            cwd=program.directory,
            stdout=output,
            stderr=output,
        )
        try:
            async with core_speed(CORES[0]) as mean_us:
                first, last, figures = await _watch(process, program, cores, sink, count, limits)
                return replace(figures, loop_us=round(mean_us(first.at, last.at), 1))
        except RuntimeError:
            output.seek(max(0, output.tell() - 2_000))
            print(output.read().decode(errors="replace"))
            raise
        finally:
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _watch(
    process: asyncio.subprocess.Process, program: Program, cores: int, sink: Sink, count: int, limits: Limits
) -> tuple[Reading, Reading, Figures]:
    """Return the readings between which it was measured, too."""
    began, memory = time.monotonic(), 0.0
    readings: list[Reading] = []
    while True:
        if process.returncode is not None:
            raise RuntimeError(f"{program.name} ended with {process.returncode}")
        reading = Reading(time.monotonic(), _cpu_seconds(process.pid), sink.rows)
        memory = max(memory, _memory_mb(process.pid))
        if reading.rows:
            readings.append(reading)
        elif reading.at - began > limits.start_seconds:
            raise RuntimeError(f"{program.name} sent nothing within {limits.start_seconds:g} s")
        if readings and (reading.rows >= count or reading.at - readings[0].at > limits.seconds):
            break
        await asyncio.sleep(SAMPLE_SECONDS)
    last = min(
        (one for one in readings if one.rows >= count * LAST_PART),
        key=lambda one: one.at,
        default=readings[-1],
    )
    first = min((one for one in readings if one.rows >= last.rows * FIRST_PART), key=lambda one: one.at)
    rows = last.rows - first.rows
    figures = Figures(
        program.name,
        cores,
        readings[-1].rows,
        round(rows / (last.cpu - first.cpu)),
        round(rows / (last.at - first.at)),
        round(readings[0].cpu, 2),
        round(memory),
        sink.requests,
    )
    return first, last, figures


def _cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, and of its children, those that have ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS + sum(map(_cpu_seconds, _children(pid)))


def _memory_mb(pid: int) -> float:
    """Return the resident memory of a process and of its children: a page that they share counts for each."""
    found = 0.0
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            found = int(line.split()[1]) / 1024
    return found + sum(map(_memory_mb, _children(pid)))


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
