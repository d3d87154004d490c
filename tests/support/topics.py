"""Changes to the settings of a topic."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from relay.kafka.connection import Connection


async def alter_topic(connection: Connection, topic: str, **configs: str) -> None:
    """Replace all settings of a topic that differ from the broker's defaults. Returns once the broker reports them."""
    names = {name.replace("_", "."): value for name, value in configs.items()}
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, names)
    admin = AIOKafkaAdminClient(**connection.options())
    await admin.start()
    try:
        await admin.alter_configs([resource])
        async with asyncio.timeout(60):
            while not names.items() <= (await _settings(admin, topic)).items():
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def _settings(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for answer in answers for entry in answer.resources[0][4]}


async def topics_of(connection: Connection) -> set[str]:
    """Return the topics of the connection's prefix."""
    admin = AIOKafkaAdminClient(**connection.options())
    await admin.start()
    try:
        return {name for name in await admin.list_topics() if name.startswith(connection.kafka.topic_prefix)}
    finally:
        await admin.close()
