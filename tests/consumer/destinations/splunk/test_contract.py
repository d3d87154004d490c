"""With indexer acknowledgement the kind keeps the contract too; the suite of all kinds tries it without."""

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest

from consumer.destinations.splunk import SPLUNK
from consumer.destinations.splunk.destination import open_splunk
from tests.contracts import destination_delivery, destination_requests
from tests.contracts.destination import seconds_for
from tests.contracts.destination_case import feed_until, opened, uids
from tests.contracts.splunk_peer import splunk_peer
from tests.support.hec import QUICK_POLLS
from tests.support.in_memory_group import FakeGroup, assign
from tests.support.waiting import wait_until

ACKNOWLEDGING = replace(SPLUNK, open=partial(open_splunk, timing=QUICK_POLLS))
NOT_OF_IT = (
    destination_delivery.rows_to_retry_are_sent_alone,
    destination_delivery.one_rejected_row_among_a_thousand_is_the_only_dead_letter,
)
"""The answer about a bad event has no acknowledgement for those before it: they are sent once more, as a test below has it."""
CLAIMS = [
    *(each for each in destination_delivery.CLAIMS if each not in NOT_OF_IT),
    destination_requests.a_request_without_an_answer_ends_within_its_time,
    destination_requests.the_limits_agree,
    destination_requests.a_probe_stores_nothing,
    destination_requests.a_probe_sees_a_wrong_credential,
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
async def test_it_keeps_the_contract_with_acknowledgement(claim, monkeypatch, tmp_path):
    """Each claim about the delivery holds when offsets wait for the indexers."""
    async with (
        splunk_peer(monkeypatch, tmp_path, acknowledge=True) as peer,
        opened(ACKNOWLEDGING, peer, seconds_for(claim)) as case,
    ):
        await claim(case)


async def test_events_before_a_refused_one_are_sent_again_until_they_are_acknowledged(monkeypatch, tmp_path):
    """The refused event is the only dead letter, and only events that were before it in a body are there twice."""
    async with (
        splunk_peer(monkeypatch, tmp_path, acknowledge=True) as peer,
        opened(ACKNOWLEDGING, peer) as case,
    ):
        kafka = FakeGroup(1600)
        one = case.handler(kafka)
        peer.reject(uids([500])[0])
        await assign(one, kafka)
        await one.records(kafka.poll(1000))
        dead_letters = one._pipeline.flow.dead_letters
        await feed_until(one, kafka, lambda: dead_letters.put_records)
        await wait_until(lambda: kafka.committed_offset == kafka.next_offset)
        await one.closed()
        assert [offset for offset, *_ in dead_letters.put_records] == [500]
        times = Counter(peer.stored())
        assert times.keys() == set(uids(range(kafka.next_offset))) - set(uids([500]))
        assert {uid for uid, count in times.items() if count > 1} == set(uids(range(500)))
        assert max(times.values()) == 2
