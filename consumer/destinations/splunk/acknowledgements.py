"""The acknowledgements of one flow: a poll asks for every request that waits."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from consumer.destinations.outcome import Retry, Sent, Unconfirmed
from consumer.destinations.splunk.channel import Channel, End, Post
from consumer.timing import BackoffCurve
from relay.aio import Signal

MAX_IDS = 1_000
"""Ids of one poll; more are asked for by the next one."""


@dataclass(frozen=True, slots=True)
class PollAnswer:
    """The acknowledged ids. `forgotten`: the node does not know the channel."""

    indexed: Sequence[int] = ()
    forgotten: bool = False


Poll = Callable[[str, Sequence[int]], Awaitable[PollAnswer | None]]
"""Ask for ids of a channel; None: there is no answer now. Raises nothing but CancelledError."""


@dataclass(frozen=True, slots=True)
class AcknowledgementTiming:
    """Waits for acknowledgements."""

    poll: BackoffCurve = field(default_factory=lambda: BackoffCurve(0.5, 10.0))
    """Between two polls; it begins anew after each acknowledgement. The last events of a quiet index take two minutes."""
    grace_seconds: float = 30.0
    """How much longer than the setting a wait may take before the sender gives it up."""


@dataclass(slots=True)
class Acknowledgements:
    """Requests that wait for the indexers, and the poll that asks for them; `run` is a task of the destination's owner."""

    timeout_seconds: float
    timing: AcknowledgementTiming = field(default_factory=AcknowledgementTiming)
    _channels: list[Channel] = field(default_factory=list)
    _changed: Signal = field(default_factory=Signal)

    def begin(self) -> tuple[Channel, Post]:
        """Begin a request; return the channel that it names."""
        if not self._channels or not self._channels[-1].usable:
            self._channels.append(Channel(str(uuid.uuid4())))
        channel = self._channels[-1]
        return channel, channel.begin()

    def expect(self, channel: Channel, post: Post, ack_id: int, status: int) -> Unconfirmed:
        """Wait for the acknowledgement of a request that was answered with an id."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[End] = loop.create_future()

        def settle(end: End) -> None:
            if not ended.done():
                ended.set_result(end)

        channel.answered(post, ack_id, settle)
        loop.call_later(self.timeout_seconds, channel.give_up, ack_id, settle)
        self._changed.notify()

        async def confirm() -> Sent | Retry:
            return self._outcome(await ended)

        return Unconfirmed(
            confirm,
            self.timeout_seconds + self.timing.grace_seconds,
            status,
            "Splunk has not acknowledged the events.",
        )

    def _outcome(self, end: End) -> Sent | Retry:
        match end:
            case "indexed":
                return Sent()
            case "forgotten":
                return Retry(
                    "Splunk has forgotten which events it took, as after a restart, so they are sent again. If this happens often,"
                    " check that the load balancer keeps sessions."
                )
            case "late":
                return Retry(
                    f"Splunk took events and did not acknowledge them within {self.timeout_seconds:g} s, so they are sent again."
                    " Check its indexing queues, and that the load balancer keeps sessions."
                )

    async def run(self, poll: Poll) -> None:
        """Poll until cancelled, while a request waits."""
        attempt = 0
        while True:
            self._channels = [each for each in self._channels if not each.is_done]
            asked = [each for each in self._channels if each.waiting]
            if not asked:
                attempt = 0
                await self._changed.wait()
                continue
            await asyncio.sleep(self.timing.poll.wait(attempt, random.random()))
            found = [await _ask(poll, channel) for channel in asked]
            attempt = 0 if any(found) else attempt + 1


async def _ask(poll: Poll, channel: Channel) -> bool:
    """Ask for what waits in a channel; return whether anything is acknowledged."""
    answer = await poll(channel.id, channel.waiting[:MAX_IDS])
    if answer is None:
        return False
    if answer.forgotten:
        channel.lost()
    channel.acknowledge(answer.indexed)
    return bool(answer.indexed)
