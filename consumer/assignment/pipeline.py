"""The parts of one pipeline, which outlive its assignments."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from consumer.assignment.start_offset_resolver import StartOffsetResolver
from consumer.decoding.event_rules import EventRules
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.flow import DeliveryFlow
from consumer.timing import AssignmentTiming


async def _always() -> None:
    """Return at once: every process may begin."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts that handle the events of one topic for one destination, across assignments."""

    start_offsets: StartOffsetResolver
    schemas: SchemaLookup
    flow: DeliveryFlow
    linger_seconds: float
    rules: EventRules = field(default_factory=EventRules)
    """Which events the destination receives, and which values it may see."""
    timing: AssignmentTiming = field(default_factory=AssignmentTiming)
    ends_at_split_offset: bool = False
    """Whether it delivers older events alone, up to `DeliveryProgress.live_from` of each partition."""
    require_own_target: Callable[[], Awaitable[None]] = _always
    """Raises KafkaError while the group belongs to another target: no partition begins then."""
