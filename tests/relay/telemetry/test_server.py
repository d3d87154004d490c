import socket

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from relay.errors import RelayError
from relay.telemetry.health import Health
from relay.telemetry.server import serve

NOON_MS = 1_795_435_200_000


async def get(url):
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.get(url)


def test_conditions_do_not_hold_at_the_start():
    """A condition named at the start does not hold until it is reported."""
    health = Health("kafka", clock_ms=lambda: NOON_MS)
    assert health.problems() == ["kafka: still starting (since 2026-11-23T12:00:00Z)."]

    health.report("kafka", ok=True)

    assert health.problems() == []


def test_a_problem_keeps_its_start_time():
    """A problem keeps the time of its start, through new reasons, until it is over."""
    now = [NOON_MS]
    health = Health(clock_ms=lambda: now[0])
    health.report("sentinel", ok=False, reason="403: give the role")
    now[0] += 60_000

    health.report("sentinel", ok=False, reason="404: set the rule's id")

    assert health.problems() == ["sentinel: 404: set the rule's id (since 2026-11-23T12:00:00Z)."]
    health.report("sentinel", ok=True)
    health.report("sentinel", ok=False, reason="403")
    assert health.problems() == ["sentinel: 403 (since 2026-11-23T12:01:00Z)."]


async def test_endpoints_serve_liveness_readiness_and_metrics():
    """/healthz is 200 while the process lives, /readyz has a line for each problem, /metrics is in Prometheus' format."""
    health, registry = Health("kafka"), CollectorRegistry()
    Counter("jira_relay_producer_events", "Events.", registry=registry).inc(3)
    async with serve("127.0.0.1:0", health, registry) as url:
        assert (await get(f"{url}/healthz")).status_code == 200
        starting = await get(f"{url}/readyz")
        health.report("kafka", ok=True)
        ready = await get(f"{url}/readyz")
        metrics = await get(f"{url}/metrics")

    assert (starting.status_code, ready.status_code) == (503, 200)
    assert starting.text.startswith("kafka: still starting")
    assert "jira_relay_producer_events_total 3.0" in metrics.text
    assert metrics.headers["content-type"].startswith("text/plain")


async def test_port_is_free_afterwards():
    """The server closes its port at the end."""
    async with serve("127.0.0.1:0", Health(), CollectorRegistry()) as url:
        pass

    with pytest.raises(httpx.ConnectError):
        await get(url)


async def test_a_port_in_use_is_one_sentence():
    """The error of a port in use names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            RelayError, match=rf"telemetry\.listen .* 127\.0\.0\.1:{port}: another process uses it"
        ):
            async with serve(f"127.0.0.1:{port}", Health(), CollectorRegistry()):
                pass


@pytest.mark.parametrize("address", ["203.0.113.7:9464", "nowhere.invalid:9464"])
async def test_foreign_address_is_one_sentence(address):
    """The error of an address of another machine names the setting."""
    with pytest.raises(RelayError, match=r"telemetry\.listen"):
        async with serve(address, Health(), CollectorRegistry()):
            pass


async def test_ipv6_is_served():
    """An IPv6 address is served, and written with brackets in the URL."""
    async with serve("[::1]:0", Health(), CollectorRegistry()) as url:
        assert (await get(f"{url}/healthz")).text == "alive\n"
