"""Embedded Kafka: a real Apache Kafka of one node, for installations without a Kafka.

Enters: a data directory, a port, a Maven repository to download from.
Leaves: the bootstrap address of a running broker; failures are EmbeddedKafkaError.
It knows no topic of the relay, and only the command line uses it.
"""

from embedded.errors import EmbeddedKafkaError
from embedded.kafka import EmbeddedKafka

__all__ = ["EmbeddedKafka", "EmbeddedKafkaError"]
