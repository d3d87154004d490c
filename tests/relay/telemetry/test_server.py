import socket

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from relay.errors import RelayError
from relay.telemetry.health import Health
from relay.telemetry.server import serve

NOON_MS = 1_795_435_200_000


async def get(url):
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url)


def test_health_begins_with_what_is_not_known_yet():
    """A condition named at the start does not hold until it is reported."""
    health = Health("kafka", clock_ms=lambda: NOON_MS)
    assert health.problems() == ["kafka: still starting (since 2026-11-23T12:00:00Z)."]

    health.report("kafka", ok=True)

    assert health.problems() == []


def test_fault_tells_since_when():
    """A fault keeps the time it began, through new reasons, until it is over."""
    now = [NOON_MS]
    health = Health(clock_ms=lambda: now[0])
    health.report("sentinel", ok=False, reason="403: give the role")
    now[0] += 60_000

    health.report("sentinel", ok=False, reason="404: set the rule's id")

    assert health.problems() == ["sentinel: 404: set the rule's id (since 2026-11-23T12:00:00Z)."]
    health.report("sentinel", ok=True)
    health.report("sentinel", ok=False, reason="403")
    assert health.problems() == ["sentinel: 403 (since 2026-11-23T12:01:00Z)."]


async def test_endpoint_tells_life_readiness_and_metrics():
    """/healthz is 200 while the process lives, /readyz says each fault in a line, /metrics is Prometheus'."""
    health, registry = Health("kafka"), CollectorRegistry()
    Counter("jira_relay_events", "Events.", registry=registry).inc(3)
    async with serve("127.0.0.1:0", health, registry) as url:
        assert (await get(f"{url}/healthz")).status_code == 200
        starting = await get(f"{url}/readyz")
        health.report("kafka", ok=True)
        ready = await get(f"{url}/readyz")
        metrics = await get(f"{url}/metrics")

    assert (starting.status_code, ready.status_code) == (503, 200)
    assert starting.text.startswith("kafka: still starting")
    assert "jira_relay_events_total 3.0" in metrics.text
    assert metrics.headers["content-type"].startswith("text/plain")


async def test_port_is_free_afterwards():
    """What was served is closed at the end."""
    async with serve("127.0.0.1:0", Health(), CollectorRegistry()) as url:
        pass

    with pytest.raises(httpx.ConnectError):
        await get(url)


async def test_taken_port_is_one_sentence():
    """A port that another process has is told with the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            RelayError, match=rf"telemetry\.listen .* 127\.0\.0\.1:{port}: another process uses it"
        ):
            async with serve(f"127.0.0.1:{port}", Health(), CollectorRegistry()):
                pass


@pytest.mark.parametrize("address", ["203.0.113.7:9464", "nowhere.invalid:9464"])
async def test_foreign_address_is_one_sentence(address):
    """An address that is not this machine's is told with the setting."""
    with pytest.raises(RelayError, match=r"telemetry\.listen"):
        async with serve(address, Health(), CollectorRegistry()):
            pass


async def test_ipv6_is_served():
    """An IPv6 address is listened on, and written as a URL needs it."""
    async with serve("[::1]:0", Health(), CollectorRegistry()) as url:
        assert (await get(f"{url}/healthz")).text == "alive\n"
