"""Elasticsearch and OpenSearch, through the bulk API.

Enters: events in the Elastic Common Schema or in the native format, each with an action line that names its document id.
Leaves: one bulk request that creates documents in a data stream or in indices of a month, and the outcome of each row.
May not know: Kafka, delivery. docs/destinations/elasticsearch.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind, OpenFlows
from consumer.destinations.elasticsearch.config import ElasticsearchConfig, identity
from consumer.destinations.elasticsearch.response import classify_status
from consumer.destinations.read_back import OpenReadBack


def _open(name: str, config: ElasticsearchConfig, request_timeout_seconds: float) -> OpenFlows:
    from consumer.destinations.elasticsearch.destination import open_elasticsearch  # noqa: PLC0415 - see DestinationKind.open

    return open_elasticsearch(name, config, request_timeout_seconds)


def _read_back(name: str, config: ElasticsearchConfig) -> OpenReadBack:
    from consumer.destinations.elasticsearch.read_back import open_read_back  # noqa: PLC0415 - see DestinationKind.open

    return open_read_back(name, config)


ELASTICSEARCH = DestinationKind(ElasticsearchConfig, _open, identity, classify_status, read_back=_read_back)
