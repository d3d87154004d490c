from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType


async def alter_topic(connection, topic, **configs):
    """Replace all settings of a topic."""
    names = {name.replace("_", "."): value for name, value in configs.items()}
    admin = AIOKafkaAdminClient(**connection.options())
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, names)])
    finally:
        await admin.close()
