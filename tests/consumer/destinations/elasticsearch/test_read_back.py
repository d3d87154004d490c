"""Reading back a cluster: the documents of events, by their ids."""

import json

import pytest

from consumer.destinations.elasticsearch import ELASTICSEARCH
from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.elasticsearch.response import ClusterResponse
from consumer.destinations.read_back import AcceptedEvents, EventPlace, ReadBackError
from simulators.elasticsearch.cluster import SimulatedCluster

PLACE = EventPlace("jira-audit.events", 0, 0, 0)
LIVE, HISTORY = "logs-atlassian_jira.audit-jira", "jira-audit-history-2026.11"
LONG = f"acme/{'9' * 600}"


@pytest.fixture
async def cluster():
    async with SimulatedCluster() as cluster:
        yield cluster


def settings(cluster, **changes):
    values = {
        "kind": "elasticsearch",
        "endpoint": cluster.endpoint,
        "read_back": True,
        "history_index": "jira-audit-history",
    }
    return ElasticsearchConfig(**(values | {"index": LIVE} | changes))


def create(cluster, name, *ids):
    lines = [
        line
        for each in ids
        for line in ({"create": {"_id": each}}, {"@timestamp": "2026-11-23T00:00:00Z", "uid": each})
    ]
    body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    assert cluster.bulk.apply(body, name, {})["errors"] is False


async def missing(cluster, *uids, organization="acme", **changes):
    async with ELASTICSEARCH.read_back("soc", settings(cluster, **changes)) as reader:
        return await reader.missing(AcceptedEvents(organization, 0, 1, dict.fromkeys(uids, PLACE)))


async def failure(cluster, **changes):
    with pytest.raises(ReadBackError) as raised:
        await missing(cluster, "acme/1", **changes)
    return str(raised.value)


async def test_documents_that_are_gone_are_named(cluster):
    """Live and history count; more events than one search holds are asked for in several."""
    many = [f"acme/{each}" for each in range(1, 1_503)]
    create(cluster, LIVE, *many)
    create(cluster, HISTORY, "acme/2000")
    assert await missing(cluster, *many, "acme/2000") == set()
    assert sum("_search" in call.path for call in cluster.calls) == 2
    cluster.objects.streams[LIVE].backing[-1].documents.pop("acme/1502")
    assert await missing(cluster, *many, "acme/2000") == {"acme/1502"}


async def test_a_long_uid_is_found_under_its_hash(cluster):
    create(cluster, LIVE, "acme/1")
    assert await missing(cluster, "acme/1", LONG) == {LONG}


async def test_an_answer_that_is_not_whole_proves_no_loss(cluster):
    """No index yet, failed shards, a search without time, no right: nothing is known then."""
    assert "no such index yet" in await failure(cluster)
    assert "no index of these names yet" in await failure(cluster, layout="monthly")
    create(cluster, LIVE, "acme/1")
    cluster.objects.failed_shards = 1
    assert "1 of 1 shards failed" in await failure(cluster)
    cluster.objects.failed_shards, cluster.objects.search_times_out = 0, True
    assert "in part" in await failure(cluster)
    cluster.objects.search_times_out, cluster.may_look = False, False
    assert "read_back_api_key" in await failure(cluster)


async def test_reading_has_a_credential_of_its_own(cluster):
    """Without one, that of writing is used; an organization's own index is asked."""
    create(cluster, "acme-audit", "acme/1")
    cluster.authorization = "ApiKey cmVhZDprZXk="
    writing = {"api_key": "d3JpdGU6a2V5", "by_organization": {"acme": "acme-audit"}}
    assert "refuses the search (401)" in await failure(cluster, **writing)
    assert await missing(cluster, "acme/1", **writing, read_back_api_key="cmVhZDprZXk=") == set()


async def test_a_page_with_a_document_too_many_proves_nothing(cluster):
    """After a rollover between two deliveries a stream has a document twice, and history a third: the page may lack another's."""
    async with ELASTICSEARCH.read_back("soc", settings(cluster)) as reader:
        hits = json.dumps([{"_id": "acme/1"}] * 3)
        content = f'{{"timed_out":false,"_shards":{{"total":3,"failed":0}},"hits":{{"hits":{hits}}}}}'

        async def call(*_):
            return ClusterResponse(200, {}, content.encode())

        reader._client.call = call
        with pytest.raises(ReadBackError, match="more than two documents"):
            await reader.missing(AcceptedEvents("acme", 0, 1, {"acme/1": PLACE}))
