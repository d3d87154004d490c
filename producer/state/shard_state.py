"""The committed state of a shard and of its organizations."""

from dataclasses import dataclass, field

from producer.state.checkpoint import Checkpoint
from producer.state.ledger import Ledger


@dataclass(slots=True)
class OrganizationState:
    """The committed state of one organization. `checkpoint` None: it was never polled."""

    ledger: Ledger
    checkpoint: Checkpoint | None = None


@dataclass(slots=True)
class ShardState:
    """The committed state of a shard: its progress topic holds all of it.

    `last_collected` is the newest Kafka timestamp written to the shard, in ms.
    """

    organizations: dict[str, OrganizationState] = field(default_factory=dict)
    last_collected: int = 0

    def organization(self, organization: str) -> OrganizationState:
        return self.organizations.setdefault(organization, OrganizationState(Ledger(organization)))
