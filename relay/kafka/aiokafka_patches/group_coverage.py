"""Which partitions of a topic a consumer group reads, and how many members it has. aiokafka knows its own member alone."""

from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import for_code
from aiokafka.protocol.admin import DescribeGroupsRequest

_JOINING = frozenset({"PreparingRebalance", "CompletingRebalance"})


@dataclass(frozen=True, slots=True)
class GroupCoverage:
    """The partitions that a topic has now, and those that members of the group own."""

    partitions: frozenset[int]
    owned: frozenset[int]

    @property
    def unowned(self) -> frozenset[int]:
        """The partitions that no member owns, and so nobody reads."""
        return self.partitions - self.owned


async def group_coverage(consumer: AIOKafkaConsumer, topic: str) -> GroupCoverage | None:
    """Return the coverage of a topic by the consumer's group; None while the group rebalances. Raises KafkaError.

    The metadata is read anew, which also makes the members join again for partitions that were added.
    """
    client: Any = consumer._client  # noqa: SLF001
    await client.force_metadata_update()
    partitions = frozenset(client.cluster.partitions_for_topic(topic) or ())
    coordinator: Any = consumer._coordinator  # noqa: SLF001
    response = await coordinator._send_req(DescribeGroupsRequest([coordinator.group_id]))  # noqa: SLF001
    ((error_code, _group, state, _type, _protocol, members),) = (entry[:6] for entry in response.groups)
    if error_code:
        raise for_code(error_code)
    if state != "Stable":
        return None
    owned = {number for member in members for number in _numbers(member[4], topic)}
    return GroupCoverage(partitions, frozenset(owned))


async def member_count(consumer: AIOKafkaConsumer) -> int | None:
    """Return how many members the consumer's group has; None while they join. Raises KafkaError.

    The coordinator must be known, as it is after committed offsets were read.
    """
    coordinator: Any = consumer._coordinator  # noqa: SLF001
    response = await coordinator._send_req(DescribeGroupsRequest([coordinator.group_id]))  # noqa: SLF001
    ((error_code, _group, state, _type, _protocol, members),) = (entry[:6] for entry in response.groups)
    if error_code:
        raise for_code(error_code)
    return None if state in _JOINING else len(members)


def _numbers(encoded: bytes, topic: str) -> list[int]:
    if not encoded:
        return []
    assignment = ConsumerProtocol.ASSIGNMENT.decode(encoded).assignment
    return [number for name, numbers in assignment if name == topic for number in numbers]
