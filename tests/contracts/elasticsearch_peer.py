"""The peer of the kind elasticsearch: a simulated cluster."""

import json
from contextlib import asynccontextmanager

from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.outcome import Partial, Paused, Reject, Retry, Sent, Split
from simulators import faults
from simulators.elasticsearch.cluster import SimulatedCluster
from simulators.elasticsearch.objects import ClusterError
from tests.contracts.peer import ROUTED_ORGANIZATION, Answer, Peer

KEY = "c2VjcmV0LWlkOnNlY3JldC1rZXk="
FULL_DISK = ClusterError(
    429,
    "cluster_block_exception",
    "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];",
)
WRITE_BLOCK = ClusterError(
    403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];"
)


def error(status, kind, reason="a reason"):
    """An answer of a whole request with an error."""
    body = {"error": {"root_cause": [], "type": kind, "reason": reason}, "status": status}
    return faults.respond_with(status, json.dumps(body))


class Faults:
    """Faults of the documents of one data stream."""

    def __init__(self, cluster, index):
        self.cluster = cluster
        self.index = index

    def backing(self):
        """The index that takes live documents; a fault needs one that is there."""
        objects = self.cluster.objects
        stream = objects.streams.get(self.index) or objects.create_stream(self.index)
        return stream.backing[-1]

    def close(self):
        self.backing().closed = True

    def block(self, reason):
        self.backing().block = reason

    def divert(self, uid):
        self.cluster.bulk.diverts = True
        self.cluster.bulk.poisons.add(uid)

    def throttle(self):
        self.cluster.bulk.busy = True

    def break_credential(self):
        self.cluster.authorization = "ApiKey another"
        return self.repair_credential

    def repair_credential(self):
        self.cluster.authorization = f"ApiKey {KEY}"


@asynccontextmanager
async def elasticsearch_peer(_monkeypatch, _directory, *, opensearch=False, **settings):
    """`settings` replace those of the destination."""
    async with SimulatedCluster(opensearch=opensearch, authorization=f"ApiKey {KEY}") as cluster:
        route = settings.get("index", "logs-atlassian_jira.audit-default") + ".routed"
        config = ElasticsearchConfig(
            **{
                "kind": "elasticsearch",
                "endpoint": cluster.endpoint,
                "api_key": KEY,
                "max_requests": 8,
                "max_events": 4_000,  # below the events of the claims, so that a second body has others
                "by_organization": {ROUTED_ORGANIZATION: route},
            }
            | settings
        )
        yield Peer(
            config,
            lambda: cluster.stored_ids(config.index),
            lambda: cluster.stored_ids(config.history_index),
            cluster.bulk.poisons.add,
            lambda: cluster.bulk_fault(faults.hang(60), rate=1).cancel,
            lambda: cluster.bulk_fault(faults.hang(60, after_processing=True), rate=1).cancel,
            Faults(cluster, config.index).break_credential,
            answers(cluster, Faults(cluster, config.index)),
            lambda each: (
                cluster.stored_ids(each)
                if each
                else [
                    uid for uid in cluster.stored_ids(config.index) if not uid.startswith(ROUTED_ORGANIZATION)
                ]
            ),
        )
        cluster.clear_faults()


def answers(cluster, documents):
    """Every answer of the page. Each is given to documents that are not there yet: the claim sends the same rows each time."""

    def answer(outcome, play):
        def play_anew():
            cluster.forget_documents()
            play()

        return Answer(outcome, play_anew, cluster.clear_faults)

    def request(outcome, fault, **options):
        return answer(outcome, lambda: cluster.bulk_fault(fault, **options or {"times": 1}))

    one = "acme.atlassian.net/1"
    return {
        "201": answer(Sent, lambda: None),
        "some rejected": answer(Partial, lambda: cluster.bulk.poisons.add(one)),
        "some throttled": answer(Partial, lambda: cluster.bulk.throttled.update({one: 1})),
        "some diverted": answer(Partial, lambda: documents.divert(one)),
        "all throttled": answer(Retry, documents.throttle),
        "closed index": answer(Paused, documents.close),
        "write block": answer(Paused, lambda: documents.block(WRITE_BLOCK)),
        "full disk": answer(Retry, lambda: documents.block(FULL_DISK)),
        "400 of a line": request(Reject, error(400, "action_request_validation_exception"), rate=1),
        "400": request(Paused, error(400, "illegal_argument_exception")),
        "401": request(Paused, error(401, "security_exception")),
        "403": request(Paused, error(403, "security_exception")),
        "403 of a block": request(Paused, error(403, "cluster_block_exception")),
        "404": request(Paused, error(404, "index_not_found_exception")),
        "406": request(Paused, error(406, "media_type_header_exception")),
        "413": request(Split, error(413, "content_too_long_exception")),
        "429": request(Retry, error(429, "circuit_breaking_exception")),
        "500": request(Retry, error(500, "illegal_state_exception")),
        "503": request(Retry, error(503, "unavailable_shards_exception")),
        "redirect": request(Paused, faults.respond_with(302, headers={"Location": "https://example.com/"})),
        "page of a proxy": request(Paused, faults.respond_with(200, "<html>", content_type="text/html")),
        "page of a proxy, 407": request(Paused, faults.respond_with(407, "<html>", content_type="text/html")),
        "another server's 200": request(Paused, faults.respond_with(200, "{}")),
        "202": request(Paused, faults.respond_with(202, "{}")),
        "empty 200": request(Retry, faults.respond_with(200, "")),
        "reset": request(Retry, faults.reset()),
    }  # fmt: skip
