"""Topics of a Kafka cluster, the relay's own or another one, as JSON records.

Enters: events in the native format or another one, each with the key, the time and the headers of its record.
Leaves: records of one idempotent producer, and the outcome of each row.
May not know: the relay's own topics, groups and offsets, delivery. docs/destinations/kafka.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind, OpenFlows
from consumer.destinations.kafka.config import TopicConfig, identity


def _open(name: str, config: TopicConfig, request_timeout_seconds: float) -> OpenFlows:
    from consumer.destinations.kafka.destination import open_kafka  # noqa: PLC0415 - see DestinationKind.open

    return open_kafka(name, config, request_timeout_seconds)


KAFKA = DestinationKind(
    TopicConfig, _open, identity, None, request_timeout_seconds=40.0, beside=TopicConfig.beside
)
