"""The contract on a real broker, read by another client; the suite of all kinds has a simulated one and its faults."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from consumer.destinations.kafka import KAFKA
from consumer.destinations.kafka.config import TopicConfig
from tests.contracts import destination_delivery, destination_replay, destination_requests
from tests.contracts.destination import seconds_for
from tests.contracts.destination_case import opened
from tests.contracts.peer import ROUTED_ORGANIZATION, Absent, Peer
from tests.support.topic_reader import make_topics, read_topic

CLAIMS = [
    destination_delivery.every_event_arrives_once_in_calm,
    destination_delivery.a_kill_before_a_request_repeats_nothing,
    destination_delivery.a_kill_before_a_commit_repeats_only_uncommitted_rows,
    destination_delivery.each_organization_goes_by_its_own_route,
    destination_delivery.the_counters_add_up,
    destination_requests.history_never_reaches_the_live_flow,
    destination_replay.a_replay_never_reaches_the_live_flow,
    destination_requests.a_full_body_is_stored_whole,
    destination_requests.requests_at_a_time_keep_their_rows,
    destination_requests.a_truncated_event_keeps_its_identity,
    destination_requests.a_probe_stores_nothing,
]


@asynccontextmanager
async def real_peer(broker, prefix, **settings):
    """A peer whose topics are on a real broker, without faults."""
    topics = [f"{prefix}.{each}" for each in ("live", "history", "routed", "routed-history")]
    await asyncio.to_thread(make_topics, broker.bootstrap, *topics)
    live, history, routed, routed_history = topics
    config = TopicConfig(
        kind="kafka",
        topic=live,
        history_topic=history,
        by_organization={ROUTED_ORGANIZATION: routed},
        history_by_organization={ROUTED_ORGANIZATION: routed_history},
        bootstrap_servers=broker.bootstrap,
        **settings,
    )

    def uids(topic):
        return [each.headers["relay.uid"].decode() for each in read_topic(broker.bootstrap, topic)]

    absent = Absent("a real broker plays no faults")
    yield Peer(
        config,
        lambda: uids(live),
        lambda: uids(history),
        absent,
        lambda: absent,
        lambda: absent,
        absent,
        {},
        lambda route: uids(route or live),
        retries_rows=False,
    )


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
async def test_a_real_broker_keeps_the_contract(claim, kafka, prefix):
    """Each claim that needs no fault holds for records that librdkafka reads back."""
    async with real_peer(kafka, prefix) as peer, opened(KAFKA, peer, seconds_for(claim)) as case:
        await claim(case)
