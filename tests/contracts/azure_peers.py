"""The peers of the kinds that send to a data collection rule: simulated Azure, with the streams of each kind."""

from contextlib import asynccontextmanager

from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.destinations.sentinel_asim.config import SentinelAsimConfig
from simulators import faults
from simulators.azure import faults as azure_faults
from simulators.azure.world import ASIM, ASIM_HISTORY, HISTORY, LIVE, AzureWorld
from tests.contracts.peer import Answer, Peer


def ingestion_answers(azure):
    def answer(outcome, fault, **options):
        return Answer(outcome, lambda: azure.fault(fault, **options), azure.clear_faults)

    return {
        "204": Answer(Sent, lambda: None),
        "400": answer(Reject, azure_faults.ingestion_error(400, "InvalidData", "")),
        "401 once": answer(Sent, azure_faults.unauthorized()),
        "401 twice": answer(Paused, azure_faults.unauthorized(), times=2),
        "403": answer(Paused, azure_faults.forbidden()),
        "404": answer(Paused, azure_faults.rule_not_found()),
        "413": answer(Split, azure_faults.too_large()),
        "429": answer(Retry, azure_faults.throttled(0.01)),
        "503": answer(Retry, azure_faults.unavailable(503)),
        "page of a proxy": answer(Paused, azure_faults.gateway_page(407)),
        "redirect": answer(Paused, faults.respond_with(302, headers={"Location": "https://example.com/"})),
        "reset": answer(Retry, faults.reset()),
        "wrong encoding": answer(Retry, faults.respond_with(200, b"x", headers={"Content-Encoding": "gzip"})),
    }


@asynccontextmanager
async def ingestion_peer(monkeypatch, config, uid_column, live, history):
    """`config` is the model of the settings; `live` and `history` are tables."""
    async with AzureWorld(parameters={"asim": True}) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        (kind,) = config.model_fields["kind"].examples
        publishers = set(azure.identity.publishers)

        def break_credential():
            azure.identity.publishers.clear()
            return lambda: azure.identity.publishers.update(publishers)

        yield Peer(
            config(kind=kind, endpoint=azure.endpoint, rule_id=azure.rule_id, credential="managed-identity"),
            lambda: [row[uid_column] for row in azure.rows(live)],
            lambda: [row[uid_column] for row in azure.rows(history)],
            azure.poison,
            lambda: azure.fault(faults.hang(60), rate=1).cancel,
            lambda: azure.fault(faults.hang(60, after_processing=True), rate=1).cancel,
            break_credential,
            ingestion_answers(azure),
        )
        azure.clear_faults()


def sentinel_peer(monkeypatch, _directory):
    return ingestion_peer(monkeypatch, SentinelConfig, "EventUid", LIVE, HISTORY)


def sentinel_asim_peer(monkeypatch, _directory):
    return ingestion_peer(monkeypatch, SentinelAsimConfig, "EventOriginalUid", ASIM, ASIM_HISTORY)
