"""Short rounds of chaos. `make chaos` plays longer ones."""

import asyncio
import sys

import pytest


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "options",
    [
        (
            "--seed",
            "11",
            "--minutes",
            "0.3",
            "--gap",
            "1.0",
            "--producers",
            "2",
            "--consumers",
            "1",
            "--watches",
            "1",
        ),
        (
            *("--seed", "12", "--minutes", "0.4", "--gap", "4.0", "--producers", "1", "--consumers", "1"),
            *("--brokers", "3", "--only", "kafka kill,two brokers,all brokers,rolling restart"),
        ),
    ],
    ids=["one broker", "three brokers"],
)
async def test_a_short_round_of_chaos_loses_and_repeats_nothing(options):
    """Kills, freezes and cut connections cost no record, and repeat none in Kafka."""
    round_ = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(580):
            output, _ = await round_.communicate()
    finally:
        if round_.returncode is None:
            round_.kill()
            await round_.wait()

    assert round_.returncode == 0, output.decode()
