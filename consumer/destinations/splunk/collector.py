"""The requests of one flow to a collector, and what their answers mean."""

import asyncio
import uuid
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import orjson
from isal import igzip

from consumer.destinations.outcome import Outcome, Partial, Paused, Retry, Sent
from consumer.destinations.splunk.acknowledgements import Acknowledgements, PollAnswer
from consumer.destinations.splunk.client import HecClient
from consumer.destinations.splunk.response import (
    ACK_DISABLED,
    EVENT_BLANK,
    EVENT_REQUIRED,
    INVALID_CHANNEL,
    NO_DATA,
    HecResponse,
    Sending,
    acknowledgement_off,
    classify,
    describe,
)
from relay.timestamps import now_ms

T = TypeVar("T")

MAX_PROBED_INDEXES = 50
"""Indexes of organizations that a probe tries; a wrong one beyond pauses the destination at its first event."""


class Collector:
    """Sends bodies, and waits for their acknowledgement if `acknowledgements` are wanted. Each call ends within `timeout_seconds`."""

    def __init__(
        self,
        client: HecClient,
        name: str,
        max_requests: int,
        timeout_seconds: float,
        acknowledgements: Acknowledgements | None,
    ) -> None:
        self._client = client
        self._name = name
        self._slots = asyncio.Semaphore(max_requests)
        self._timeout_seconds = timeout_seconds
        self._acknowledgements = acknowledgements
        self._acknowledges = False
        """Whether the token is known to give acknowledgements."""

    async def send(self, content: bytes, rows: int, index: str | None) -> Outcome:
        """Send a body whose rows have one index."""
        return await self._bounded(self._send(content, Sending(self._name, rows, index)))

    async def probe(self, indexes: Iterable[str | None]) -> Outcome:
        """Check collector, token, indexes and acknowledgement, and store nothing."""
        return await self._bounded(self._probe(sorted(set(indexes), key=str)[:MAX_PROBED_INDEXES]))

    async def poll(self, channel: str, ids: Sequence[int]) -> PollAnswer | None:
        """Ask which requests of a channel are indexed; None: there is no answer now."""
        response = await self._within_time(self._client.post_ids(channel, ids))
        if not isinstance(response, HecResponse):
            return None
        if response.code == INVALID_CHANNEL:
            return PollAnswer(forgotten=True)
        found = response.document.get("acks")
        if response.status != 200 or not isinstance(found, dict):
            return None
        return PollAnswer([each for each in ids if found.get(str(each)) is True])

    async def _bounded(self, work: Awaitable[Outcome]) -> Outcome:
        outcome = await self._within_time(work)
        if outcome is None:
            outcome = Retry(f"Splunk did not answer within {self._timeout_seconds:g} s.")
        return self._client.explain(outcome)

    async def _within_time(self, work: Awaitable[T]) -> T | None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await work
        except TimeoutError:
            return None

    async def _send(self, content: bytes, sending: Sending) -> Outcome:
        acknowledgements = self._acknowledgements
        if acknowledgements is None:
            async with self._slots:
                return _outcome(await self._client.post_events(content, None), sending)
        if not self._acknowledges:
            fault = await self._find_acknowledgement_fault()
            if fault is not None:
                return fault
            self._acknowledges = True
        async with self._slots:
            return await self._send_with_channel(acknowledgements, content, sending)

    async def _send_with_channel(
        self, acknowledgements: Acknowledgements, content: bytes, sending: Sending
    ) -> Outcome:
        channel, post = acknowledgements.begin()
        try:
            response = await self._client.post_events(content, channel.id)
            outcome = _outcome(response, sending)
            if isinstance(response, Retry):
                return outcome
            ack_id = response.number("ackId")
            if outcome == Sent() and ack_id is not None:
                return acknowledgements.expect(channel, post, ack_id, response.status)
            if outcome == Sent():
                self._acknowledges = (
                    False  # the next call asks before it sends, or each would store its rows once more
                )
                return acknowledgement_off(self._name, describe(response), response.status)
            if (response.code is not None and response.status < 500) or ack_id is not None:
                channel.refused(post, ack_id)
            return _with_stored_rows_again(outcome, sending.rows)
        finally:
            channel.unanswered(post)

    async def _find_acknowledgement_fault(self) -> Outcome | None:
        """Ask for an acknowledgement of nothing, since a token that gives none takes events all the same."""
        response = await self._client.post_ids(str(uuid.uuid4()), [0])
        if isinstance(response, Retry):
            return response
        if response.code == ACK_DISABLED:
            return acknowledgement_off(self._name, describe(response), response.status)
        if response.code == INVALID_CHANNEL or (response.status == 200 and "acks" in response.document):
            return None
        outcome = classify(response, Sending(self._name, 0, None), now_ms())
        return (
            acknowledgement_off(self._name, describe(response), response.status)
            if outcome == Sent()
            else outcome
        )

    async def _probe(self, indexes: Sequence[str | None]) -> Outcome:
        health = await self._client.get_health()
        if isinstance(health, Retry):
            return health
        if health.status != 200:
            return classify(health, Sending(self._name, 0, None), now_ms())
        for index in indexes:
            outcome = await self._probe_index(index)
            if outcome != Sent():
                return outcome
        if self._acknowledgements is not None:
            return await self._find_acknowledgement_fault() or Sent()
        return Sent()

    async def _probe_index(self, index: str | None) -> Outcome:
        """Send a blank event, which splunkd refuses for its blank if token and index are right."""
        named = {} if index is None else {"index": index}
        content = igzip.compress(orjson.dumps({"event": "", **named}), 1, mtime=0)
        channel = None if self._acknowledgements is None else str(uuid.uuid4())
        response = await self._client.post_events(content, channel)
        if isinstance(response, Retry):
            return response
        if response.code in {NO_DATA, EVENT_REQUIRED, EVENT_BLANK}:
            return Sent()
        outcome = classify(response, Sending(self._name, 1, index), now_ms())
        if isinstance(outcome, Partial | Sent):
            return Paused(
                f"The server does not check events as an HTTP Event Collector ({describe(response)}). Check"
                f" destinations.{self._name}.endpoint.",
                response.status,
            )
        return outcome


def _outcome(response: HecResponse | Retry, sending: Sending) -> Outcome:
    return response if isinstance(response, Retry) else classify(response, sending, now_ms())


def _with_stored_rows_again(outcome: Outcome, rows: int) -> Outcome:
    """Send the rows before a bad one again too: they are stored, but nothing acknowledges them."""
    if isinstance(outcome, Partial):
        return replace(outcome, retry=frozenset(range(rows)) - outcome.rejected.keys())
    return outcome
