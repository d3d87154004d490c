"""Documents of a replay: in history, under the ids of their events, so that nothing is there twice."""

import pytest

from consumer.destinations.outcome import Sent
from simulators.elasticsearch.cluster import SimulatedCluster
from tests.support.cluster import body_of, flows, flows_to
from tests.support.messages import event

ID, ANOTHER = "20261130-071500-ab12", "20261130-071500-cd34"
LIVE, HISTORY = "logs-atlassian_jira.audit-default", "jira-audit-history"
UIDS = [f"acme.atlassian.net/{number}" for number in range(6)]


@pytest.mark.parametrize("format_", ["ecs", "native", "ocsf"])
async def test_a_replay_repeats_nothing_in_history(format_):
    """Documents of a backfill and of another replay are there already: they count as sent, and gaps are filled."""
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint, format=format_) as opened:
        live, history = opened["live"], opened["history"]
        assert await live.send(body_of(live, event(1))) == Sent()
        assert await history.send(body_of(history, event(2, mode="backfill"))) == Sent()
        for replay, numbers in ((ID, (1, 2, 3)), (ID, (2, 3, 4)), (ANOTHER, (3, 4, 5))):
            body = body_of(history, *map(event, numbers), replay=replay)
            assert await history.send(body) == Sent()
        assert cluster.stored_ids(LIVE) == UIDS[1:2]
        assert sorted(cluster.stored_ids(HISTORY)) == UIDS[1:]


async def test_the_queries_of_the_page_find_a_replay(opensearch):
    """The id has a type in the template, so a real cluster counts by it; a document keeps the fields of the first time."""
    async with flows(opensearch) as opened:
        history = opened["history"]
        assert await history.send(body_of(history, event(1, mode="backfill"))) == Sent()
        for replay, numbers in ((ID, (1, 2, 3)), (ANOTHER, (3, 4))):
            assert await history.send(body_of(history, *map(event, numbers), replay=replay)) == Sent()
    await opensearch.call("POST", "jira-audit-history-*/_refresh")
    terms = {"size": 0, "aggs": {"replays": {"terms": {"field": "jira.audit.replay_id"}}}}
    found = await opensearch.call("POST", "jira-audit-history-*/_search", terms)
    buckets = found["aggregations"]["replays"]["buckets"]
    assert {each["key"]: each["doc_count"] for each in buckets} == {ID: 2, ANOTHER: 1}
    documents = {
        each["_id"]: each["jira"]["audit"] for each in await opensearch.documents("jira-audit-history-*")
    }
    assert [(documents[uid]["mode"], documents[uid].get("replay_id")) for uid in UIDS[1:5]] == [
        ("backfill", None),
        ("replay", ID),
        ("replay", ID),
        ("replay", ANOTHER),
    ]
