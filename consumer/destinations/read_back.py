"""Reading back: which of the events that a destination accepted it can still show."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from consumer.config import DestinationSettings
from relay.config.base import Count


class ReadBackError(Exception):
    """The destination did not say what it has, so nothing is known. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class EventPlace:
    """Where an event was read from, and when it was collected (ms UTC)."""

    topic: str
    partition: int
    offset: int
    collected: int


@dataclass(frozen=True, slots=True)
class AcceptedEvents:
    """Events of one organization that were created from `start` to before `end` (ms UTC): their places by EventUid."""

    organization: str
    start: int
    end: int
    places: Mapping[str, EventPlace]

    @property
    def uids(self) -> AbstractSet[str]:
        return self.places.keys()


class ReadBack(Protocol):
    async def missing(self, accepted: AcceptedEvents) -> set[str]:
        """Return the uids that neither the live target nor that of history has. It ends in bounded time.

        Raises ReadBackError where the destination does not answer in full: a part of an answer proves no absence.
        """


OpenReadBack = AbstractAsyncContextManager[ReadBack]


class ReadBackSettings(DestinationSettings):
    """The settings of a kind that can be asked what it has."""

    read_back: bool = Field(
        default=False,
        description="Whether `jira-relay proof show NAME` asks the destination which of the accepted events it has. It needs rights to "
        "read.",
        examples=[True],
    )
    read_back_days: Count = Field(
        default=30,
        ge=1,
        le=3_650,
        description="How many days back it is asked; at most as long as it keeps events, or deleted ones count as lost.",
        examples=[90],
    )
