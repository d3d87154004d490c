"""The target that a destination name belongs to, and how an operator changes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig, Flow, Kinds
from consumer.targets.store import ClaimStore, ClaimUnknownError, claim_key
from consumer.targets.target import Claim, Claims, Target, target_of
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.timestamps import now_ms


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The target that a flow belongs to now, and the one before; None: it had none, or that cannot be read."""

    target: Target
    before: Target | None


async def confirm_target(
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    name: str,
    kinds: Kinds = DESTINATIONS,
) -> dict[Flow, Confirmation]:
    """Make each flow of the destination belong to the target of these settings.

    A flow that belongs to it already is left as it is, so its consumers go on. Raises InputError for an unknown name, or RelayError.
    """
    if name not in destinations:
        known = ", ".join(sorted(destinations)) or "none"
        raise InputError(f"The settings have no destination {name}; they have: {known}.")
    config = destinations[name]
    store = ClaimStore(connection, Topics(connection.kafka.topic_prefix).destinations)
    with kafka_errors_as_relay_errors(connection):
        return {
            flow: await _confirm(store, claim_key(name, flow), target_of(config.kind, identity))
            for flow, identity in kinds[config.kind].identity(config).items()
        }


async def _confirm(store: ClaimStore, key: str, target: Target) -> Confirmation:
    try:
        claims = await store.read(key)
    except ClaimUnknownError:
        claims = Claims()
    before = claims.current.target if claims.current else None
    if before is None or before.digest != target.digest or claims.may_be_lost:
        await store.write(key, Claim(target, now_ms(), confirmed=True))
    return Confirmation(target, before)
