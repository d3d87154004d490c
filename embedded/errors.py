"""The error of the embedded Kafka."""

from relay.errors import RelayError


class EmbeddedKafkaError(RelayError):
    """The embedded Kafka cannot be downloaded, started or kept running."""
