"""The other settings of the kind keep the contract too; the suite of all kinds tries the default."""

import pytest

from consumer.destinations.otlp import OTLP
from tests.contracts import destination_delivery, destination_requests
from tests.contracts.destination import seconds_for
from tests.contracts.destination_case import feed_until, opened, uids
from tests.contracts.otlp_peer import otlp_peer
from tests.support.in_memory_group import FakeGroup, assign
from tests.support.waiting import wait_until

CLAIMS = [
    destination_requests.any_event_becomes_a_row_within_the_limits,
    destination_requests.a_row_depends_on_its_event_alone,
    destination_requests.a_truncated_event_keeps_its_identity,
    destination_requests.each_answer_has_an_outcome,
    destination_requests.a_full_body_is_stored_whole,
    destination_requests.a_probe_stores_nothing,
    destination_delivery.a_kill_in_a_request_repeats_only_its_rows,
    destination_delivery.one_rejected_row_among_a_thousand_is_the_only_dead_letter,
    destination_delivery.a_dropped_row_is_among_the_dead_letters,
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
async def test_json_keeps_the_contract(claim, monkeypatch, tmp_path):
    """Each claim holds for bodies of JSON that are not compressed."""
    settings = {"encoding": "json", "compression": "none"}
    async with (
        otlp_peer(monkeypatch, tmp_path, **settings) as peer,
        opened(OTLP, peer, seconds_for(claim)) as case,
    ):
        await claim(case)


async def test_dropped_events_are_found_where_the_backend_removes_repeats(monkeypatch, tmp_path):
    """With the setting halve the dropped event alone is a dead letter; others may be stored again under their uid."""
    async with otlp_peer(monkeypatch, tmp_path, partial_success="halve") as peer, opened(OTLP, peer) as case:
        kafka = FakeGroup(300)
        peer.answers["some dropped"].play()
        one = case.handler(kafka)
        await assign(one, kafka)
        await one.records(kafka.poll(200))
        dead_letters = one._pipeline.flow.dead_letters
        await feed_until(one, kafka, lambda: dead_letters.put_records)
        await wait_until(lambda: kafka.committed_offset == kafka.next_offset, 120)
        await one.closed()
        assert [offset for offset, *_ in dead_letters.put_records] == [1]
        assert set(peer.stored()) == set(uids(set(range(kafka.next_offset)) - {1}))
        assert not one._pipeline.flow.state.drops
