"""The target that a destination name belongs to, and how an operator changes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig, Kinds
from consumer.targets.store import ClaimStore, ClaimUnknownError
from consumer.targets.target import Claim, Target, target_of
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.timestamps import now_ms


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The target that a destination belongs to now, and the one before; None: it had none, or that cannot be read."""

    target: Target
    before: Target | None


async def confirm_target(
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    name: str,
    kinds: Kinds = DESTINATIONS,
) -> Confirmation:
    """Make the destination belong to the target of these settings. Raises InputError for an unknown name, or RelayError."""
    if name not in destinations:
        known = ", ".join(sorted(destinations)) or "none"
        raise InputError(f"The settings have no destination {name}; they have: {known}.")
    config = destinations[name]
    target = target_of(config.kind, kinds[config.kind].identity(config))
    store = ClaimStore(connection, Topics(connection.kafka.topic_prefix).destinations)
    with kafka_errors_as_relay_errors(connection):
        try:
            claim = await store.read(name)
        except ClaimUnknownError:
            claim = None
        await store.write(name, Claim(target, now_ms(), confirmed=True))
    return Confirmation(target, claim.target if claim else None)
