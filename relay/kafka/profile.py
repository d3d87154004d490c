from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """What a flavour of Kafka lets us use.

    `max_request_bytes` is in bytes; `compression` is a codec's name or None.
    """

    transactions: bool
    idempotence: bool
    compression: str | None
    admin: bool
    max_request_bytes: int


KAFKA = Profile(
    transactions=True, idempotence=True, compression="zstd", admin=True, max_request_bytes=6_000_000
)

# Event Hubs: no transactions outside a preview, gzip in some tiers only, topics are made through Azure, and the
# connection is closed above 1,046,528 bytes (azure-event-hubs-apache-kafka-overview, apache-kafka-configurations).
EVENT_HUBS = Profile(
    transactions=False, idempotence=False, compression=None, admin=False, max_request_bytes=1_000_000
)


def profile_named(name: str) -> Profile:
    return {"kafka": KAFKA, "event-hubs": EVENT_HUBS}[name]
