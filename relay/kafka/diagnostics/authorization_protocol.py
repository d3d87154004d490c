"""Requests of Kafka's protocol that aiokafka lacks: metadata with the operations that the user may do (KIP-430)."""

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

NOT_REPORTED = -(2**31)
"""The operations of a topic where the broker does not report them (KIP-430)."""
OPERATION_CODES = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
"""The bit of each operation (org.apache.kafka.common.acl.AclOperation)."""

_TEXT = String("utf-8")


class MetadataResponse_v8(Response):  # type: ignore[misc]  # noqa: N801 - aiokafka has no types, and such names
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class MetadataRequest_v8(RequestStruct):  # type: ignore[misc]  # noqa: N801 - as above
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = MetadataResponse_v8
    SCHEMA = Schema(
        ("topics", Array(_TEXT)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class TopicOperationsRequest(Request[MetadataRequest_v8]):  # type: ignore[misc]  # as above
    """Ask for the metadata of topics, with the operations that the user may do. It never creates a topic."""

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[MetadataRequest_v8]) -> MetadataRequest_v8:
        return request_struct_class(self._topics, False, False, True)


def operations_in(bits: int) -> frozenset[str] | None:
    """Return the names of the operations. None: the broker does not report them."""
    if bits == NOT_REPORTED:
        return None
    return frozenset(name for name, code in OPERATION_CODES.items() if bits >> code & 1)
