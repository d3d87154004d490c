"""Client quotas of a broker; neither aiokafka nor librdkafka has a call for them."""

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

from relay.kafka.connection import Connection

_ENTITY = Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))


class _Response(Response):  # type: ignore[misc]
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("entries", Array(("error_code", Int16), ("error_message", String("utf-8")), ("entity", _ENTITY))),
    )


class _Struct(RequestStruct):  # type: ignore[misc]
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", _ENTITY),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _AlterClientQuotas(Request[_Struct]):  # type: ignore[misc]
    API_KEY = 49

    def __init__(self, client_id: str, quotas: dict[str, float]) -> None:
        self._client_id = client_id
        self._quotas = quotas

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        operations = [(name, value, False) for name, value in self._quotas.items()]
        return request_struct_class([([("client-id", self._client_id)], operations)], False)


async def set_quota(connection: Connection, **quotas: float) -> None:
    """Set quotas of the connection's client id: `producer_byte_rate` in bytes a second, and others of Kafka."""
    admin = AIOKafkaAdminClient(**connection.options() | {"client_id": "operator"})
    await admin.start()
    try:
        node = admin._client.get_random_node()
        response = await admin._client.send(node, _AlterClientQuotas(connection.client_id, quotas))
        assert [entry[0] for entry in response.entries] == [0], response
    finally:
        await admin.close()
