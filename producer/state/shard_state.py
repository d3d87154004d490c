from dataclasses import dataclass, field

from producer.state.checkpoint import Checkpoint
from producer.state.ledger import Ledger


@dataclass(slots=True)
class OrganizationState:
    """What Kafka says of one organization: how far it has been read, and what was published."""

    ledger: Ledger
    checkpoint: Checkpoint | None = None


@dataclass(slots=True)
class ShardState:
    """Everything a shard knows; it is what stands committed on the progress topic, never more.

    `last_collected` is the newest Kafka timestamp written to the shard, in ms.
    """

    organizations: dict[str, OrganizationState] = field(default_factory=dict)
    last_collected: int = 0

    def organization(self, organization: str) -> OrganizationState:
        return self.organizations.setdefault(organization, OrganizationState(Ledger(organization)))
