"""Changes to the settings of a topic."""

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from relay.kafka.connection import Connection


async def alter_topic(connection: Connection, topic: str, **configs: str) -> None:
    """Replace all settings of a topic that differ from the broker's defaults."""
    names = {name.replace("_", "."): value for name, value in configs.items()}
    admin = AIOKafkaAdminClient(**connection.options())
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, names)])
    finally:
        await admin.close()


async def topics_of(connection: Connection) -> set[str]:
    """Return the topics of the connection's prefix."""
    admin = AIOKafkaAdminClient(**connection.options())
    await admin.start()
    try:
        return {name for name in await admin.list_topics() if name.startswith(connection.kafka.topic_prefix)}
    finally:
        await admin.close()
