"""The parts of a destination that one replay works with."""

from collections.abc import Callable
from dataclasses import dataclass

from consumer.decoding.event_rules import EventRules
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.flow import DeliveryFlow
from consumer.replay.letters import ReplayLetters
from consumer.replay.selection import Selection
from consumer.replay.source import ReplaySource


@dataclass(frozen=True, slots=True)
class ReplayParts:
    """The parts of a destination that one job works with; its flow has a circuit breaker of its own."""

    flow: DeliveryFlow
    letters: ReplayLetters
    """The dead letters of the flow."""
    schemas: SchemaLookup
    rules: EventRules
    selection: Selection
    source: ReplaySource
    live_wait: Callable[[], str | None]
    """Why live events wait for the destination; None: they do not."""
