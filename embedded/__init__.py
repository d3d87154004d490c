"""A real Apache Kafka of one node, fetched and run for those who have none."""

from embedded.errors import EmbeddedKafkaError
from embedded.kafka import EmbeddedKafka

__all__ = ["EmbeddedKafka", "EmbeddedKafkaError"]
