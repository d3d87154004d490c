"""A data stream, or the indices of months, as a destination."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import polars as pl

from consumer.destinations.contract import Body, Destination, Flow, Limits
from consumer.destinations.elasticsearch import rows
from consumer.destinations.elasticsearch.client import NDJSON, ClusterClient
from consumer.destinations.elasticsearch.config import NO_HISTORY, ElasticsearchConfig, history_routes
from consumer.destinations.elasticsearch.conflicts import conflicting_rows, find_taken, with_taken_ids
from consumer.destinations.elasticsearch.probe import probe_cluster
from consumer.destinations.elasticsearch.response import BulkContext, ClusterResponse, classify
from consumer.destinations.elasticsearch.target import FlowTargets, TargetName
from consumer.destinations.elasticsearch.target_check import TargetCheck
from consumer.destinations.outcome import Outcome, Partial, Paused, Sent
from consumer.formats.encoded_rows import EncodedRows
from relay.timestamps import now_ms

IN_FLIGHT_BYTES = 16_000_000
_ANSWER = "filter_path=errors,items.*.status,items.*.error,items.*.failure_store"
"""The members of an answer that the relay reads. Errors of a whole request are never filtered."""
_REQUIRED = "require_data_stream=true"
"""Elasticsearch 8.13 and later: no index is created, or written to, in place of a data stream."""


class ElasticsearchDestination:
    """Creates documents in the targets of one flow; the flows of a destination share the client."""

    def __init__(
        self,
        client: ClusterClient,
        target_check: TargetCheck,
        name: str,
        config: ElasticsearchConfig,
        targets: FlowTargets,
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._target_check = target_check
        self._name = name
        self._config = config
        self._targets = targets
        self._months = targets.months
        self._compressed = config.compression == "gzip"
        self._requires_stream = targets.layout == "data-stream"
        # The cluster answers 503 when a shard is not available for so long, before the relay gives up.
        self._wait = f"timeout={max(1, round(timeout_seconds / 2))}s"
        self.limits = Limits(
            rows.body_format(config),
            in_flight_bytes=max(IN_FLIGHT_BYTES, config.max_requests * config.max_body_bytes),
            in_flight_bodies=config.max_requests,
            request_timeout_seconds=timeout_seconds,
            routes=targets.by_organization,
        )
        self.address = (
            f"{config.endpoint}, {targets.name}{'' if self._months is None else ', an index a month'}"
        )
        self.config_hint = (
            f"Check that the templates of deploy/elasticsearch are loaded and fit the format {config.format}"
            f" (destinations.{name}.format), and read the text of the error."
        )

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        return rows.encode_rows(events, self._config.format, self._months, self.limits.format)

    def body(self, rows_to_send: EncodedRows) -> bytes:
        return rows.encode_body(rows_to_send, self._config, self.limits.format)

    async def send(self, body: Body) -> Outcome:
        outcome = await self._client.bounded(lambda: self._send(body))
        if isinstance(outcome, Paused):
            self._target_check.forget()  # the operator changes something
        return outcome

    async def probe(self) -> Outcome:
        """Ask for product, targets and rights. Nothing is written or created."""
        return await self._client.bounded(
            lambda: probe_cluster(self._client, self._target_check, self._name, self._targets.all)
        )

    async def _send(self, body: Body) -> Outcome:
        target = self._targets.named(body.route)
        problem = await self._target_check.make_ready(target)
        if problem is not None:
            return problem
        response = await self._bulk(target, body)
        if self._requires_stream and "[require_data_stream]" in response.unrecognized:
            self._requires_stream = False  # an older version, which has read nothing of the body
            response = await self._bulk(target, body)
        outcome = classify(response, BulkContext(self._name, target.name), body.rows, now_ms())
        return await self._with_taken_ids(outcome, response, target, body)

    async def _with_taken_ids(
        self, outcome: Outcome, response: ClusterResponse, target: TargetName, body: Body
    ) -> Outcome:
        """Reject the rows whose ids another program's documents have: such an event is not there, though the answer is a 409."""
        conflicts = conflicting_rows(response) if isinstance(outcome, Sent | Partial) else []
        if not conflicts:
            return outcome
        taken = await find_taken(
            self._client, target.pattern, body.content, conflicts, compressed=self._compressed
        )
        return with_taken_ids(outcome, taken)

    async def _bulk(self, target: TargetName, body: Body) -> ClusterResponse:
        path = "/_bulk" if self._months is not None else f"/{target.name}/_bulk"
        parameters = [_ANSWER, f"pipeline={self._config.pipeline}", self._wait]
        if self._requires_stream and self._client.is_elasticsearch:
            parameters.append(_REQUIRED)
        return await self._client.call(
            "POST", f"{path}?{'&'.join(parameters)}", body.content, NDJSON, compressed=self._compressed
        )


@asynccontextmanager
async def open_elasticsearch(
    name: str, config: ElasticsearchConfig, request_timeout_seconds: float
) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Open the targets of the settings. Raises RelayError for a credential or certificates that cannot be used."""
    targets: dict[Flow, FlowTargets] = {
        "live": FlowTargets(config.layout, config.index, config.by_organization)
    }
    if config.history_index != NO_HISTORY:
        targets["history"] = FlowTargets("monthly", config.history_index, history_routes(config))
    async with ClusterClient(name, config, request_timeout_seconds) as client:
        target_check = TargetCheck(client, name, time.monotonic)
        yield {
            flow: ElasticsearchDestination(client, target_check, name, config, each, request_timeout_seconds)
            for flow, each in targets.items()
        }
