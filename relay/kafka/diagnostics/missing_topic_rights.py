"""The rights of the relay's user on topics that do not exist yet, found out by requests that change nothing."""

from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest

from relay.kafka.aiokafka_patches.client import ask_any_broker

_UNSUPPORTED = (NotImplementedError, IncompatibleBrokerVersion)
_TOPIC = 2  # the code of a topic among Kafka's config resources
_UNKNOWN_TOPIC, _REFUSED_TOPIC = 3, 29


async def read_operations_on_missing(
    client: AIOKafkaClient, names: Sequence[str]
) -> dict[str, frozenset[str] | None]:
    """Return the operations that the user may do on each of these topics, which the user may describe. None: not known.

    A broker checks the right before it looks for the topic (Kafka: KafkaApis.handleProduceRequest and handleFetchRequest), so
    its answer is "not authorized" or "unknown topic". None of the requests makes a broker create a topic, and the one of
    Write holds no record.
    """
    if not names:
        return {}
    codes = {
        "DescribeConfigs": await _config_codes(client, names),
        "Read": await _fetch_codes(client, names),
        "Write": await _produce_codes(client, names),
    }
    return {name: _operations({each: found.get(name) for each, found in codes.items()}) for name in names}


def _operations(codes: dict[str, int | None]) -> frozenset[str] | None:
    if any(code not in {_UNKNOWN_TOPIC, _REFUSED_TOPIC} for code in codes.values()):
        return None
    return frozenset({"Describe", *(name for name, code in codes.items() if code == _UNKNOWN_TOPIC)})


async def _config_codes(client: AIOKafkaClient, names: Iterable[str]) -> dict[str, int]:
    answer = await _ask(client, DescribeConfigsRequest([(_TOPIC, name, None) for name in names], False))
    return {} if answer is None else {name: code for code, _message, _type, name, _ in answer.resources}


async def _fetch_codes(client: AIOKafkaClient, names: Iterable[str]) -> dict[str, int]:
    answer = await _ask(client, FetchRequest(0, 0, 1, 0, [(name, [(0, 0, 1)]) for name in names]))
    return {} if answer is None else {name: parts[0][1] for name, parts in answer.topics}


async def _produce_codes(client: AIOKafkaClient, names: Iterable[str]) -> dict[str, int]:
    answer = await _ask(client, ProduceRequest(None, -1, 1_000, [(name, [(0, b"")]) for name in names]))
    return {} if answer is None else {name: parts[0][1] for name, parts in answer.topics}


async def _ask(client: AIOKafkaClient, request: Any) -> Any:
    try:
        return await ask_any_broker(client, request)
    except _UNSUPPORTED:
        return None
