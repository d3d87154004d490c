"""The rights of the relay's user on the cluster, found out by requests that change nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.transaction import EndTxnRequest
from cryptography import x509

from relay.config.kafka import KafkaConfig
from relay.errors import RelayError, describe
from relay.kafka.aiokafka_patches.client import ask_any_broker, hidden_topics, list_topic_names, patch_client
from relay.kafka.connection import Connection
from relay.kafka.diagnostics.authorization_protocol import TopicOperationsRequest, operations_in
from relay.kafka.diagnostics.missing_topic_rights import read_operations_on_missing

ANONYMOUS = "User:ANONYMOUS"

_UNSUPPORTED = (NotImplementedError, IncompatibleBrokerVersion)
_TOPIC = 2  # the code of a topic among Kafka's config resources
_REFUSED_GROUP, _REFUSED_ID, _REFUSED_TOPIC, _REFUSED_CLUSTER = 30, 53, 29, 31
# Answers of brokers that checked the right first: coordinator loading, not available, elsewhere; unknown member, generation or
# group; rebalance; invalid producer id, epoch or transaction state; concurrent transactions; fenced.
_ANSWERS_AFTER_THE_RIGHT = {0, 14, 15, 16, 22, 24, 25, 27, 47, 48, 49, 51, 69, 90}


@dataclass(frozen=True, slots=True)
class RightsTiming:
    """Bounds of reading the rights, in seconds."""

    answer_seconds: float = 5.0
    seconds: float = 30.0

    def times(self, patience: float) -> "RightsTiming":
        """Return the bounds multiplied by `patience`."""
        return RightsTiming(self.answer_seconds * patience, self.seconds * patience)


DEFAULT_TIMING = RightsTiming()


@dataclass(frozen=True, slots=True)
class GrantedRights:
    """The rights of the user. None as a value: the broker does not report it."""

    operations: Mapping[str, frozenset[str] | None]
    """By topic, missing ones too."""
    hidden: frozenset[str] = frozenset()
    """Topics that the user may not see, whether they exist or not."""
    missing: frozenset[str] = frozenset()
    """Topics that do not exist."""
    creatable: Mapping[str, bool | None] = field(default_factory=dict)
    """Whether the user may create each of the missing topics."""
    groups: Mapping[str, bool | None] = field(default_factory=dict)
    """Whether the user may read with each group, as its members do."""
    transactional_ids: Mapping[str, bool | None] = field(default_factory=dict)
    """Whether the user may write with each transactional id."""


async def read_rights(
    connection: Connection,
    topics: Sequence[str],
    groups: Sequence[str],
    transactional_ids: Sequence[str],
    timing: RightsTiming = DEFAULT_TIMING,
) -> GrantedRights:
    """Return the rights of the user of this connection. Changes nothing.

    1. Topics that a broker lists: the broker reports the operations (KIP-430).
    2. Other topics: a broker checks Describe before it looks for the offsets of a topic, DescribeConfigs before it looks for its
       settings, Read and Write before it looks for its log, and Create before it validates a new one.
    3. Groups: a broker checks Read before it looks for the member. This heartbeat is of a member that no group has.
    4. Transactional ids: a broker checks Write before it compares the producer. This end of a transaction is of a producer
       that no id has, so the transactions of a running producer go on.

    Raises RelayError if Kafka does not answer.
    """
    timing = timing.times(connection.patience)
    async with _open_client(connection, timing) as client:
        listed = await list_topic_names(client) & set(topics)
        unlisted = sorted(set(topics) - listed)
        hidden = await hidden_topics(client, unlisted)
        missing = sorted(set(unlisted) - hidden)
        return GrantedRights(
            await _read_operations(client, sorted(listed))
            | await _hidden_operations(client, sorted(hidden))
            | await read_operations_on_missing(client, missing),
            frozenset(hidden),
            frozenset(missing),
            {name: await _may_create(client, name, timing) for name in missing},
            {name: await _may_join(client, name) for name in groups},
            {name: await _may_write_with(client, name) for name in transactional_ids},
        )


def principal_of(kafka: KafkaConfig) -> str | None:
    """Return the name of the user as Kafka's ACLs have it. None: only the issuer of its token knows it."""
    if kafka.sasl_mechanism == "OAUTHBEARER":
        return None
    if kafka.sasl_username is not None:
        return f"User:{kafka.sasl_username}"
    if kafka.certificate_file is None:
        return ANONYMOUS
    try:
        certificate = x509.load_pem_x509_certificate(kafka.certificate_file.read_bytes())
    except (OSError, ValueError):
        return None
    return f"User:{certificate.subject.rfc4514_string()}"


@asynccontextmanager
async def _open_client(connection: Connection, timing: RightsTiming) -> AsyncIterator[AIOKafkaClient]:
    """Yield a client. Raises RelayError if Kafka fails meanwhile."""
    client = AIOKafkaClient(**connection.options(), request_timeout_ms=int(timing.answer_seconds * 1000))
    patch_client(client)
    try:
        async with asyncio.timeout(timing.seconds):
            await client.bootstrap()
            yield client
    except (KafkaError, TimeoutError, OSError) as error:
        raise RelayError(
            f"Kafka at {connection.bootstrap} did not answer a question about rights: {describe(error)}."
            " Try again; if this lasts, see its log."
        ) from error
    finally:
        await client.close()


async def _read_operations(client: AIOKafkaClient, names: list[str]) -> dict[str, frozenset[str] | None]:
    try:
        answer = await ask_any_broker(client, TopicOperationsRequest(names))
    except _UNSUPPORTED:  # older than Kafka 2.3
        return dict.fromkeys(names)
    return {
        name: operations_in(bits) if code == 0 else None
        for code, name, _internal, _parts, bits in answer.topics
    }


async def _hidden_operations(client: AIOKafkaClient, names: list[str]) -> dict[str, frozenset[str] | None]:
    """Return the operations on topics without Describe. Read and Write imply Describe, so only DescribeConfigs is left."""
    if not names:
        return {}
    request = DescribeConfigsRequest([(_TOPIC, name, None) for name in names], False)
    answer = await ask_any_broker(client, request)
    refused = {name for code, _message, _type, name, _entries in answer.resources if code == _REFUSED_TOPIC}
    return {name: frozenset() if name in refused else frozenset({"DescribeConfigs"}) for name in names}


async def _may_create(client: AIOKafkaClient, name: str, timing: RightsTiming) -> bool | None:
    controller = client.cluster.controller
    node = client.get_random_node() if controller is None else controller.nodeId
    request = CreateTopicsRequest(
        [(name, 1, 1, [], [])], int(timing.answer_seconds * 1000), validate_only=True
    )
    try:
        ((_name, code, *_),) = (await client.send(node, request)).topic_errors
    except _UNSUPPORTED:
        return None
    if code in {_REFUSED_TOPIC, _REFUSED_CLUSTER}:
        return False
    return True if code in _CREATION_ANSWERS else None


# Created, exists, or refused for its partitions, replicas, settings or a policy.
_CREATION_ANSWERS = {0, 36, 37, 38, 39, 40, 42, 44}


async def _may_join(client: AIOKafkaClient, group: str) -> bool | None:
    answer = await ask_any_broker(client, HeartbeatRequest(group, -1, ""))
    return _is_allowed(answer.error_code, _REFUSED_GROUP)


async def _may_write_with(client: AIOKafkaClient, transactional_id: str) -> bool | None:
    request = EndTxnRequest(transactional_id, -1, -1, False)
    try:
        answer = await ask_any_broker(client, request)
    except _UNSUPPORTED:
        return None
    return _is_allowed(answer.error_code, _REFUSED_ID)


def _is_allowed(code: int, refusal: int) -> bool | None:
    if code == refusal:
        return False
    return True if code in _ANSWERS_AFTER_THE_RIGHT else None


def all_of(values: Iterable[bool | None]) -> bool | None:
    """Return False if one is False, else None if one is None, else True."""
    found = set(values)
    return False if False in found else None if None in found else True
