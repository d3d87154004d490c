"""The peer of the destination kind splunk, with and without indexer acknowledgement."""

import json
from contextlib import asynccontextmanager

from consumer.destinations.outcome import Partial, Paused, Reject, Retry, Sent, Split
from consumer.destinations.splunk.config import SplunkConfig
from simulators import faults
from simulators.splunk import answers as hec
from simulators.splunk.collector import HecCollector, Token
from tests.contracts.peer import ROUTED_ORGANIZATION, Answer, Peer

TOKEN = "b7a0c0de-0000-4000-8000-00000000beef"
EVENT = "collector/event"
UID = "acme.atlassian.net/1"


@asynccontextmanager
async def splunk_peer(_monkeypatch, _directory, **settings):
    """`settings` replace those of the destination; with `acknowledge` the token acknowledges too."""
    token = Token(acknowledges=settings.get("acknowledge", False))
    indexes = {"main", "jira_history", "jira_routed"}
    async with HecCollector({TOKEN: token}, indexes) as collector:
        config = SplunkConfig(
            **{
                "kind": "splunk",
                "endpoint": collector.url,
                "token": TOKEN,
                "history_index": "jira_history",
                "by_organization": {ROUTED_ORGANIZATION: "jira_routed"},
                "history_by_organization": {ROUTED_ORGANIZATION: "jira_history"},
                "max_requests": 8,
            }
            | settings
        )

        def break_credential():
            collector.tokens["another"] = collector.tokens.pop(TOKEN)
            return lambda: collector.tokens.update({TOKEN: collector.tokens.pop("another")})

        yield Peer(
            config,
            lambda: collector.stored_ids("main"),
            lambda: collector.stored_ids("jira_history"),
            collector.poison,
            lambda: collector.fault(faults.hang(60), rate=1, path=EVENT).cancel,
            lambda: collector.fault(faults.hang(60, after_processing=True), rate=1, path=EVENT).cancel,
            break_credential,
            _answers(collector),
            lambda route: collector.stored_ids(route or "main"),
            retries_rows=False,
        )
        collector.clear_faults()


def _answers(collector):
    def answer(outcome, fault):
        return Answer(outcome, lambda: collector.fault(fault, rate=1, path=EVENT), collector.clear_faults)

    def code(outcome, each, **options):
        return answer(outcome, hec_fault(each, **options))

    def status(outcome, number, **options):
        return answer(outcome, faults.respond_with(number, **options))

    def busy_after(rows):
        collector.quirks.busy_after = rows

    codes = {
        Paused: (
            *(hec.TOKEN_DISABLED, hec.TOKEN_REQUIRED, hec.INVALID_AUTHORIZATION, hec.INVALID_TOKEN),
            *(hec.INCORRECT_INDEX, hec.INCORRECT_INDEX.about(2)),
            *(hec.CHANNEL_MISSING, hec.INVALID_CHANNEL, hec.ACK_DISABLED),
        ),
        Reject: (hec.NO_DATA, hec.INVALID_FORMAT, hec.INVALID_FORMAT.about(10_000), hec.BAD_FIELDS),
        Retry: (hec.SERVER_ERROR, hec.BUSY, hec.QUEUES_FULL, hec.SHUTTING_DOWN, hec.AT_CAPACITY, hec.ACK_AT_CAPACITY),
    }  # fmt: skip
    statuses = {
        Paused: (301, 307, 401, 403, 404, 405, 407, 415, 451),
        Split: (413,),
        Retry: (408, 425, 429, 500, 502, 503, 504),
    }
    return {
        "200": Answer(Sent, lambda: None),
        **{
            f"code {each.code} {each.event}": code(outcome, each)
            for outcome, found in codes.items()
            for each in found
        },
        **{f"status {each}": status(outcome, each) for outcome, found in statuses.items() for each in found},
        "some rejected": Answer(Partial, lambda: collector.poison(UID), collector.clear_faults),
        "first rejected": Answer(
            Partial, lambda: collector.poison("acme.atlassian.net/0"), collector.clear_faults
        ),
        "200 with an error": code(Retry, hec.BUSY, status=200),
        "200 of a proxy": status(Paused, 200, body="<html>", content_type="text/html"),
        "400 of a proxy": status(Reject, 400, body="<html>", content_type="text/html"),
        "broken off": answer(Retry, faults.truncated_body()),
        "cut": answer(Retry, faults.cut_body()),
        "wrong encoding": answer(Retry, faults.altered_head(headers={"Content-Encoding": "gzip"})),
        "reset": answer(Retry, faults.reset()),
        "busy within a body": Answer(Retry, lambda: busy_after(2), lambda: busy_after(None)),
    }


def hec_fault(answer, *, status=None):
    """Return a fault that gives an answer of the collector; the request has no effect."""
    return faults.respond_with(status or answer.status, json.dumps(answer.document()))
