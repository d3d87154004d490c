"""A broker that accepts a connection and names no broker, as one does that has just started."""

from typing import Any, NamedTuple

import pytest

from relay.config.kafka import KafkaConfig
from relay.kafka.diagnostics import login


class Answer(NamedTuple):
    brokers: tuple[Any, ...]


class Brokers:
    """A connection to a broker that names these brokers of its cluster."""

    def __init__(self, *named):
        self._answer = Answer(named)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_exc):
        return None

    async def send(self, _request):
        return self._answer


@pytest.fixture
def fault_of(monkeypatch):
    async def find(*named):
        monkeypatch.setattr(login, "connect", lambda _probe: Brokers(*named))
        return await login.connection_fault(KafkaConfig(), "127.0.0.1:9092", {})

    return find


async def test_a_broker_that_names_no_broker_may_still_be_starting(fault_of):
    """The services wait for it: every other request would fail."""
    fault = await fault_of()
    assert fault.refused is False
    assert fault.text.startswith("Kafka at 127.0.0.1:9092 names no broker of its cluster: it is starting")


async def test_a_broker_that_names_itself_is_ready(fault_of):
    assert await fault_of((1, "127.0.0.1", 9092, None)) is None
