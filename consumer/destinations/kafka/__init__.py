"""Topics of a Kafka cluster, the relay's own or another one, as JSON records.

Enters: events in the native format or another one, each with the key, the time and the headers of its record.
Leaves: records of one idempotent producer, and the outcome of each row.
May not know: the relay's own topics, groups and offsets, delivery. docs/destinations/kafka.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind
from consumer.destinations.kafka.config import TopicConfig, identity
from consumer.destinations.kafka.destination import open_kafka

KAFKA = DestinationKind(
    TopicConfig, open_kafka, identity, None, request_timeout_seconds=40.0, beside=TopicConfig.beside
)
