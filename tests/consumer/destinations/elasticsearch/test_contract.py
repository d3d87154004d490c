"""The contract holds for the other layout, product and format too; the suite of all kinds tries the defaults."""

import pytest

from consumer.destinations.elasticsearch import ELASTICSEARCH
from tests.contracts import destination_delivery, destination_requests
from tests.contracts.destination import seconds_for
from tests.contracts.destination_case import opened
from tests.contracts.elasticsearch_peer import elasticsearch_peer

VARIANTS = {
    "OpenSearch": {"opensearch": True},
    "monthly and native": {
        "index": "jira-audit-history-live",
        "history_index": "jira-audit-history-old",
        "layout": "monthly",
        "format": "native",
    },
}
CLAIMS = [
    destination_requests.any_event_becomes_a_row_within_the_limits,
    destination_requests.history_never_reaches_the_live_flow,
    destination_requests.a_probe_stores_nothing,
    destination_delivery.a_kill_in_a_request_repeats_only_its_rows,
    destination_delivery.one_rejected_row_among_a_thousand_is_the_only_dead_letter,
    destination_delivery.each_organization_goes_by_its_own_route,
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_variant_keeps_the_contract(variant, claim, monkeypatch, tmp_path):
    async with (
        elasticsearch_peer(monkeypatch, tmp_path, **VARIANTS[variant]) as peer,
        opened(ELASTICSEARCH, peer, seconds_for(claim)) as case,
    ):
        await claim(case)
