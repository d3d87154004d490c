"""Look-ups of host names that DNS does not answer, beside everything else that a process does."""

import asyncio
import contextlib
import socket
import threading
import time

import httpx
import pytest

from relay.lifecycle import run_services
from relay.name_resolution import HostResolver, ResolverTiming, bounded_lookups, lookups_for

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]


class Dns:
    """Hosts that begin with `silent` have no answer until the end of the test; `unknown` ones do not exist."""

    def __init__(self, real):
        self.real = real
        self.asked = []
        self.released = threading.Event()

    def getaddrinfo(self, host, port, *rest, **options):
        self.asked.append(host)
        if str(host).startswith("silent"):
            self.released.wait(60)
            return ANSWER
        if str(host).startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.real(host, port, *rest, **options)

    def running(self):
        return sum(thread.name.startswith("look-up of silent") for thread in threading.enumerate())


@pytest.fixture
def dns(monkeypatch):
    found = Dns(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    yield found
    found.released.set()
    while found.running():  # the next test counts its own
        time.sleep(0.01)


@pytest.fixture
async def page():
    """The URL of a server that is reached by name."""

    async def answer(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}/"


async def test_names_without_an_answer_hold_up_neither_other_sites_nor_threads(dns, page):
    """Sixty silent hosts: another site is asked, a connection is opened, and work in threads goes on."""
    answered = asyncio.Event()

    async def service(stop):
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            with lookups_for("source"):
                silent = [
                    asyncio.create_task(client.get(f"http://silent{number}.example/")) for number in range(60)
                ]
            while dns.running() < 60:
                await asyncio.sleep(0.01)
            async with asyncio.timeout(20):
                assert (await client.get(page, timeout=30)).status_code == 200
                assert await asyncio.to_thread(lambda: 7) == 7
                _, writer = await asyncio.open_connection("localhost", int(page.split(":")[2].strip("/")))
                writer.close()
            results = await asyncio.gather(*silent, return_exceptions=True)
            assert {type(result) for result in results} == {httpx.ConnectTimeout}
        answered.set()
        await stop.wait()

    stop = asyncio.Event()
    running = asyncio.create_task(run_services({"producer": service}, stop))
    waiting = asyncio.create_task(answered.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=240)
    stop.set()
    await running
    assert answered.is_set()


async def test_a_silent_name_holds_one_thread_and_its_callers_fail_in_time(dns):
    resolver = HostResolver(asyncio.get_running_loop(), ResolverTiming(answer_seconds=0.2))
    started = time.monotonic()
    results = await asyncio.gather(
        *(resolver.getaddrinfo("silent.example", 443) for _ in range(200)), return_exceptions=True
    )

    assert time.monotonic() - started < 30  # one after the other they would take 40 s
    assert {(type(error), error.errno) for error in results} == {(socket.gaierror, socket.EAI_AGAIN)}
    assert dns.asked == ["silent.example"]
    assert dns.running() == 1


async def test_an_answer_after_the_time_serves_the_next_caller(dns):
    """A name that answers late is known at the next attempt."""
    resolver = HostResolver(asyncio.get_running_loop(), ResolverTiming(answer_seconds=0.1))
    with pytest.raises(socket.gaierror, match=r"no answer within 0\.1 s"):
        await resolver.getaddrinfo("silent.example", 443)
    dns.released.set()
    while dns.running():
        await asyncio.sleep(0.01)

    assert await resolver.getaddrinfo("silent.example", 443) == ANSWER


async def test_each_purpose_has_its_own_bound(dns):
    """Sites that use up their look-ups leave those of brokers and destinations alone."""
    resolver = HostResolver(asyncio.get_running_loop(), ResolverTiming(answer_seconds=0.2, max_lookups=3))

    async def look_up(host, purpose):
        with lookups_for(purpose):
            return await resolver.getaddrinfo(host, 443)

    async def answered(host, purpose):
        """Look up until there is an answer: on a busy machine it takes longer than the bound of this test."""
        while True:
            (result,) = await asyncio.gather(look_up(host, purpose), return_exceptions=True)
            if "no answer within" not in str(result):
                return result

    results = await asyncio.gather(
        *(look_up(f"silent{number}.example", "source") for number in range(5)), return_exceptions=True
    )
    assert sum("3 names have no answer yet" in str(error) for error in results) == 2
    assert isinstance(await answered("localhost", "relay"), list)
    dns.released.set()
    while dns.running():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    assert isinstance(await answered("localhost", "source"), list)


async def test_a_failure_is_answered_from_memory_for_a_short_time(dns):
    """An unknown name is asked for once in that time, and again afterwards."""
    loop = asyncio.get_running_loop()
    for failure_seconds, asked in ((60, 1), (0.05, 3)):
        dns.asked.clear()
        resolver = HostResolver(loop, ResolverTiming(failure_seconds=failure_seconds))
        for _ in range(3):
            with pytest.raises(socket.gaierror, match="not known"):
                await resolver.getaddrinfo("unknown.example", 443)
            await asyncio.sleep(0.1)
        assert len(dns.asked) == asked


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", None, "fe80::1%lo"])
async def test_an_address_needs_no_thread(host):
    resolver = HostResolver(asyncio.get_running_loop())

    assert await resolver.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    assert resolver._lookups == {}


async def test_a_name_that_is_none_is_an_error_of_its_caller():
    """Too long a label raises UnicodeError, as asyncio's own look-up does."""
    resolver = HostResolver(asyncio.get_running_loop())
    with pytest.raises(UnicodeError):
        await resolver.getaddrinfo("a" * 300, 443)


async def test_the_loop_is_restored():
    loop = asyncio.get_running_loop()
    before = loop.getaddrinfo
    with bounded_lookups():
        assert loop.getaddrinfo != before
    assert loop.getaddrinfo == before
