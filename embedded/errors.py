from relay.errors import RelayError


class EmbeddedKafkaError(RelayError):
    """The embedded Kafka cannot be fetched, started or kept running."""
