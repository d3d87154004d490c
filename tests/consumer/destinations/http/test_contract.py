"""The other formats keep the contract too; the suite of all kinds tries the default."""

import pytest

from consumer.destinations.http import HTTP
from tests.contracts import destination_delivery, destination_requests
from tests.contracts.destination import seconds_for
from tests.contracts.destination_case import NEVER_LATE_SECONDS, feed_until, opened, uids
from tests.contracts.peers import http_peer
from tests.support.in_memory_group import FakeGroup, assign
from tests.support.waiting import wait_until

FORMATS = {
    "ndjson": {"format": "ndjson", "compression": "gzip"},
    "single": {"format": "single", "max_requests": 64},
    "cloudevents": {"format": "cloudevents", "max_events": 200},
}
CLAIMS = [
    destination_requests.any_event_becomes_a_row_within_the_limits,
    destination_requests.the_limits_agree,
    destination_requests.a_probe_stores_nothing,
    destination_delivery.a_kill_in_a_request_repeats_only_its_rows,
    destination_delivery.a_peer_that_rejects_everything_costs_no_event,
]
LARGE = [
    destination_requests.a_truncated_event_keeps_its_identity,
    destination_delivery.every_event_arrives_once_in_calm,
    destination_delivery.one_rejected_row_among_a_thousand_is_the_only_dead_letter,
    destination_delivery.the_counters_add_up,
]
"""Claims whose bodies hold several events, or which would be a thousand requests with the format single."""


@pytest.mark.parametrize(
    ("shape", "claim"),
    [
        *((shape, claim) for shape in FORMATS for claim in CLAIMS),
        *((shape, claim) for shape in ("ndjson", "cloudevents") for claim in LARGE),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
async def test_a_format_keeps_the_contract(shape, claim, monkeypatch, tmp_path):
    """Each claim holds for each format."""
    async with (
        http_peer(monkeypatch, tmp_path, **FORMATS[shape]) as peer,
        opened(HTTP, peer, seconds_for(claim)) as case,
    ):
        await claim(case)


async def test_a_rejected_event_of_its_own_request_is_the_only_dead_letter(monkeypatch, tmp_path):
    """With the format single a rejection needs no halves; the event becomes a dead letter when others were accepted."""
    async with (
        http_peer(monkeypatch, tmp_path, **FORMATS["single"]) as peer,
        opened(HTTP, peer, NEVER_LATE_SECONDS) as case,
    ):
        kafka = FakeGroup(1000)
        peer.reject("acme.atlassian.net/7")
        one = case.handler(kafka)
        await assign(one, kafka)
        dead_letters = one._pipeline.flow.dead_letters
        await feed_until(one, kafka, lambda: dead_letters.put_records)
        await wait_until(lambda: kafka.committed_offset == kafka.next_offset, 200)
        await one.closed()
        assert [offset for offset, *_ in dead_letters.put_records] == [7]
        assert sorted(peer.stored()) == sorted(uids(set(range(kafka.next_offset)) - {7}))
