"""Patches of every client, and bounded waits for a client's clean-up."""

import asyncio
import random
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    KafkaConnectionError,
    NodeNotReadyError,
    RequestTimedOutError,
    StaleMetadata,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

METADATA_PAUSE_SECONDS = 0.25
_BROKER_ERRORS = (KafkaConnectionError, NodeNotReadyError, RequestTimedOutError, StaleMetadata)
"""Errors of one broker, which another broker may not have."""


Login = Callable[[], Mapping[str, Any]]
"""Returns the options of a client that its login needs, as they are now."""


def patch_client(client: Any, login: Login | None = None) -> None:
    """Apply the patches that every client needs. `login` None: the client closes soon."""
    throttle_metadata_updates(client)
    close_abandoned_bootstrap(client)
    forbid_topic_creation(client)
    require_brokers(client)
    if login is not None:
        renew_login(client, login)


def patch_admin(admin: AIOKafkaAdminClient) -> None:
    """Apply the patches of every client to the client of this admin client, and ask any broker, not one drawn by lot."""
    client, send = admin._client, admin._send_request  # noqa: SLF001
    patch_client(client)

    async def patched(request: Any, node_id: int | None = None) -> Any:
        return await (ask_any_broker(client, request) if node_id is None else send(request, node_id))

    admin._send_request = patched  # noqa: SLF001


async def ask_any_broker(client: Any, request: Any) -> Any:
    """Send a question to the known brokers in any order, until one answers. Raises the last KafkaError if none does.

    Metadata names a dead broker until its session ends, 9 s by Kafka's default; aiokafka draws one broker and gives up.
    The request must change nothing: a broker that did not answer may have received it.
    """
    nodes = [broker.nodeId for broker in client.cluster.brokers()] or [client.get_random_node()]
    random.shuffle(nodes)
    for node in nodes[:-1]:
        try:
            return await client.send(node, request)
        except _BROKER_ERRORS:
            continue
    return await client.send(nodes[-1], request)


def require_brokers(client: Any) -> None:
    """Raise NodeNotReadyError, which can be retried, while the metadata names no broker. aiokafka fails an assertion.

    A cluster names none while each of its brokers is fenced: as it starts, or where heartbeats are late under load.
    """
    get = client.get_random_node

    def patched() -> Any:
        if (node := get()) is None:
            raise NodeNotReadyError("Kafka names no broker that is ready")
        return node

    client.get_random_node = patched


def forbid_topic_creation(client: Any) -> None:
    """Send each metadata request with allow_auto_topic_creation false. aiokafka always sends true.

    1. A broker with auto.create.topics.enable creates each missing topic that such a request names.
    2. Metadata requests below version 4 (Kafka 0.10) lack the field; `list_topic_names` names no topic.
    3. Every request goes over a connection from `_get_conn`, except the first, which names no topic.
    """
    get = client._get_conn  # noqa: SLF001

    async def patched(*args: Any, **options: Any) -> Any:
        connection = await get(*args, **options)
        if connection is not None and "send" not in vars(connection):
            connection.send = _sender_without_topic_creation(connection.send)
        return connection

    client._get_conn = patched  # noqa: SLF001


def _sender_without_topic_creation(send: Any) -> Any:
    def patched(request: Any, *args: Any, **options: Any) -> Any:
        if isinstance(request, MetadataRequest):
            request._allow_auto_topic_creation = False  # noqa: SLF001
        return send(request, *args, **options)

    return patched


async def list_topic_names(client: Any) -> set[str]:
    """Return the topics that the user may describe. Names no topic, so it creates none. Raises KafkaError."""
    cluster = await client.fetch_all_metadata()
    return set(cluster.topics(exclude_internal_topics=False))


async def hidden_topics(client: Any, names: Sequence[str]) -> set[str]:
    """Return the topics that the user may not see, whether they exist or not. Creates none. Raises KafkaError.

    A broker refuses the offsets of a topic without Describe before it looks for the topic.
    """
    if not names:
        return set()
    request = OffsetRequest(-1, 0, [(name, [(0, -1)]) for name in names])
    answer = await ask_any_broker(client, request)
    refused = TopicAuthorizationFailedError.errno
    return {name for name, partitions in answer.topics if any(code == refused for _, code, *_ in partitions)}


async def hidden_topics_of(admin: AIOKafkaAdminClient, names: Sequence[str]) -> set[str]:
    """Return the topics that the user of this admin client may not see."""
    return await hidden_topics(admin._client, names)  # noqa: SLF001


def renew_login(client: Any, login: Login) -> None:
    """Open each new connection with the login of now. aiokafka keeps the password and the TLS context of its start.

    Kafka does not close the connections of a user whose password changed, so a change shows when the next one begins.
    """
    get = client._get_conn  # noqa: SLF001

    async def patched(node_id: Any, *, group: Any = ConnectionGroup.DEFAULT, **options: Any) -> Any:
        known = client._conns.get((node_id, group))  # noqa: SLF001
        if known is None or not known.connected():
            found = login()
            client._sasl_plain_password = found.get("sasl_plain_password")  # noqa: SLF001
            client._ssl_context = found.get("ssl_context")  # noqa: SLF001
        return await get(node_id, group=group, **options)

    client._get_conn = patched  # noqa: SLF001


def throttle_metadata_updates(client: Any) -> None:
    """Pause after a failed metadata update. A client that saw a partition without leader would ask in a tight loop."""
    update = client._metadata_update  # noqa: SLF001

    async def update_or_pause(*args: Any) -> bool:
        updated: bool = await update(*args)
        if not updated:
            await asyncio.sleep(METADATA_PAUSE_SECONDS)
        return updated

    client._metadata_update = update_or_pause  # noqa: SLF001


def close_abandoned_bootstrap(client: Any) -> None:
    """Close the connection of a cancelled start, which the client forgets while it waits for its first answer."""
    bootstrap = client.bootstrap

    async def patched() -> None:
        try:
            await bootstrap()
        except asyncio.CancelledError as error:
            for frame, _ in traceback.walk_tb(error.__traceback__):  # no attribute holds the connection
                if isinstance(left := frame.f_locals.get("bootstrap_conn"), AIOKafkaConnection):
                    left.close()
            raise

    client.bootstrap = patched


def consume_exception(ended: "asyncio.Future[Any]") -> None:
    """Retrieve the error of an abandoned future, so that asyncio does not log it. For add_done_callback."""
    if not ended.cancelled():
        ended.exception()


async def wait_bounded(task: "asyncio.Future[Any]", seconds: float) -> bool:
    """Wait for a clean-up, and return whether it ended within `seconds`. Its own error or cancellation is ignored."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)
    task.add_done_callback(consume_exception)
    return bool(done)
