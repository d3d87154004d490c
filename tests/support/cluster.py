"""The destination elasticsearch, opened for a simulated or a real cluster."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from consumer.decoding.columns import decode
from consumer.destinations.contract import Body, Destination, Flow
from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.elasticsearch.destination import open_elasticsearch
from consumer.formats.replay_mark import mark_replayed
from tests.support.messages import WRITER_SCHEMAS, event, message
from tests.support.opensearch import OpenSearch


@asynccontextmanager
async def flows_to(
    endpoint: str, timeout_seconds: float = 20.0, **settings: Any
) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Yield the flows to a cluster, with these settings beside kind and endpoint."""
    config = ElasticsearchConfig(**({"kind": "elasticsearch", "endpoint": endpoint} | settings))
    async with open_elasticsearch("soc", config, timeout_seconds) as flows:
        yield flows


def body_of(
    destination: Destination, *events: dict[str, Any], route: str | None = None, replay: str | None = None
) -> Body:
    """Return one body of these events; without any, of one plain event. `replay`: the id of the job that sends them again."""
    frame = decode([message(each) for each in events or (event(1),)], dict(WRITER_SCHEMAS.items())).frame
    if replay is not None:
        frame = mark_replayed(frame, replay)
    rows = destination.encode(frame)
    size = destination.limits.format.size(rows)
    return Body(destination.body(rows), len(rows), size, (), route, replay=replay)


@asynccontextmanager
async def flows(cluster: OpenSearch, **settings: Any) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Yield the flows to a real cluster without documents, with the templates of deploy/elasticsearch."""
    await cluster.call("DELETE", "_data_stream/logs-atlassian_jira.audit-*")
    await cluster.call("DELETE", "jira-audit-history-*")
    await cluster.load_templates(settings.get("format", "ecs"))
    async with flows_to(cluster.endpoint, **settings) as opened:
        yield opened
