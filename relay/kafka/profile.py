"""The features of a kind of Kafka cluster."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """The features that the relay may use. `compression` is the name of a codec, or None."""

    transactions: bool
    idempotence: bool
    compression: str | None
    admin: bool
    max_request_bytes: int


KAFKA = Profile(
    transactions=True, idempotence=True, compression="zstd", admin=True, max_request_bytes=6_000_000
)

# Event Hubs: transactions are a preview, gzip exists in some tiers only, topics are created through Azure, and a request
# above 1,046,528 bytes closes the connection (azure-event-hubs-apache-kafka-overview, apache-kafka-configurations).
EVENT_HUBS = Profile(
    transactions=False, idempotence=False, compression=None, admin=False, max_request_bytes=1_000_000
)


def profile_named(name: str) -> Profile:
    return {"kafka": KAFKA, "event-hubs": EVENT_HUBS}[name]
