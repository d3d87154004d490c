import asyncio
import json
import logging
import os
import signal
import sys

import pytest

from relay.errors import RelayError
from relay.lifecycle import stop_on_signals

PROGRAM = """
import asyncio, sys
from relay.lifecycle import run_services, stop_on_signals
from relay.errors import RelayError
from relay.telemetry.logs import configure_logging
from relay.credentials.redaction import Redactor

configure_logging("json", "info", Redactor())

async def polite(stop):
    print("ready", flush=True)
    await stop.wait()
    print("put away", flush=True)

async def slow(stop):
    print("ready", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("cleaned up", flush=True)

async def main():
    with stop_on_signals() as stop:
        await run_services({"service": {"polite": polite, "slow": slow}[sys.argv[1]]}, stop)

try:
    asyncio.run(main())
except RelayError as error:
    sys.exit(f"told: {error}")
"""


async def start_process(kind):
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, kind, stdout=pipe, stderr=pipe, start_new_session=True
    )
    assert await process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_cleanly(number):
    """SIGTERM and SIGINT let the services clean up, and the process ends with success."""
    process = await start_process("polite")
    process.send_signal(number)
    out, err = await asyncio.wait_for(process.communicate(), 60)

    assert (process.returncode, out) == (0, b"put away\n")
    assert json.loads(err)["signal"] == number.name


async def test_second_signal_stops_at_once():
    """A second signal ends a slow stop: clean-up runs, and the process reports it."""
    process = await start_process("slow")
    process.send_signal(signal.SIGTERM)
    assert await process.stdout.readline() == b"stopping\n"
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 60)

    assert (process.returncode, out) == (1, b"cleaned up\n")
    assert b"told: A second signal stopped the process at once" in err
    assert b"Traceback" not in err


async def test_second_signal_cancels_no_more_than_the_task_that_waits_for_signals():
    """After a second signal, the caller continues as if it had never been cancelled."""

    async def interrupted():
        with stop_on_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(asyncio.Event().wait(), 60)

    async def caller():
        with pytest.raises(RelayError, match="second signal"):
            await interrupted()
        return asyncio.current_task().cancelling()

    assert await asyncio.create_task(caller()) == 0


async def test_an_error_of_a_discarded_kafka_client_is_at_debug(caplog):
    """An error that no task awaits is logged: aiokafka's at debug, others as errors with their traceback."""
    caplog.set_level(logging.DEBUG, "asyncio")
    loop = asyncio.get_running_loop()
    kafkas = type("KafkaError", (Exception,), {"__module__": "aiokafka.errors"})
    with stop_on_signals():
        for error in (kafkas("gone"), ValueError("a defect")):
            loop.call_exception_handler(
                {"message": "Future exception was never retrieved", "exception": error}
            )
        loop.call_exception_handler({"message": "Task was destroyed but it is pending!"})

    levels = [
        (record.levelname, bool(record.exc_info)) for record in caplog.records if record.name == "asyncio"
    ]
    assert levels == [("DEBUG", False), ("ERROR", True), ("WARNING", False)]


async def test_the_loop_is_restored():
    """Afterwards, signals and unawaited errors go to their former handlers."""
    loop = asyncio.get_running_loop()
    before = (loop.get_exception_handler(), signal.getsignal(signal.SIGTERM))

    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 60)

    assert (loop.get_exception_handler(), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
@pytest.mark.parametrize("pid", [1, 2])
async def test_a_stop_during_the_load_ends_the_program(pid, number):
    """As the first process of a container the program handles signals itself, since the kernel drops one that is not handled."""
    program = (
        "import os, signal, sys, types\n"
        "from cli.__main__ import main\n"
        f"own, os.getpid = os.getpid(), lambda: {pid}\n"
        "sys.modules['cli.app'] = loaded = types.ModuleType('cli.app')\n"
        f"loaded.__getattr__ = lambda name: os.kill(own, {number:d})\n"
        "main()\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)

    assert await process.wait() == (128 + number if pid == 1 else -number)
