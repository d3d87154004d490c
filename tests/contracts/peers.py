"""The peer of each kind of destination, as the contract suite drives it; one line a kind in `PEERS`."""

from contextlib import asynccontextmanager

import orjson

from consumer.destinations.http.config import HttpConfig
from consumer.destinations.outcome import Partial, Paused, Reject, Retry, Sent, Split
from simulators import faults
from simulators.http.receiver import HttpReceiver
from tests.contracts.azure_peers import sentinel_asim_peer, sentinel_peer
from tests.contracts.elasticsearch_peer import elasticsearch_peer
from tests.contracts.file_destination.config import FileConfig
from tests.contracts.kafka_peer import kafka_peer
from tests.contracts.object_store_peer import object_store_peer
from tests.contracts.otlp_peer import otlp_peer
from tests.contracts.peer import ROUTED_ORGANIZATION, Answer, Peer
from tests.contracts.splunk_peer import splunk_peer


@asynccontextmanager
async def file_peer(_monkeypatch, directory):
    def file(name, content=""):
        """Write a file that decides about answers; returns how to remove it."""
        (directory / name).write_text(content)
        return lambda: (directory / name).unlink(missing_ok=True)

    def stored(flow="live"):
        return stored_in(f"{flow}.jsonl")

    def stored_in(file):
        spool = directory / file
        return (
            [orjson.loads(line)["uid"] for line in spool.read_bytes().splitlines()] if spool.exists() else []
        )

    def reject(uid):
        with (directory / "rejected").open("a") as rejected:
            rejected.write(f"{uid}\n")

    def break_credential():
        file("token", "another")
        return lambda: file("token", "secret")

    def answer(outcome, name, content=""):
        return Answer(outcome, lambda: file(name, content), (directory / name).unlink)

    file("token", "secret")
    answers = {
        "appended": Answer(Sent, lambda: None),
        "some rejected": answer(Partial, "rejected", "acme.atlassian.net/1"),
        "some throttled": answer(Partial, "throttled", "acme.atlassian.net/1"),
        "busy": answer(Retry, "busy", "0.01"),
        "too many lines": answer(Split, "small", "1"),
        "closed": answer(Reject, "closed"),
        "wrong token": Answer(Paused, break_credential, lambda: file("token", "secret")),
    }
    yield Peer(
        FileConfig(
            kind="file",
            directory=directory,
            token="secret",
            by_organization={ROUTED_ORGANIZATION: "routed.jsonl"},
        ),
        stored,
        lambda: stored("history"),
        reject,
        lambda: file("hold-before"),
        lambda: file("hold-after"),
        break_credential,
        answers,
        lambda route: stored_in(route or "live.jsonl"),
    )


def http_answers(receiver):
    def fault_answer(outcome, fault):
        return Answer(outcome, lambda: receiver.fault(fault), receiver.clear_faults)

    def answer(outcome, status, **options):
        return fault_answer(outcome, faults.respond_with(status, **options))

    statuses = {
        Reject: (400, 422),
        Paused: (301, 302, 307, 401, 402, 403, 404, 405, 409, 410, 415, 451),
        Split: (413,),
        Retry: (408, 425, 500, 501, 502, 503, 504, 599),
    }
    return {
        str(status): answer(outcome, status, headers={"Location": "https://example.com/"} if status < 400 else None)
        for outcome, each in statuses.items()
        for status in each
    } | {
        "429": answer(Retry, 429, headers={"Retry-After": "1"}),
        "page of a proxy": answer(Paused, 407, body="<html>", content_type="text/html"),
        "201": fault_answer(Sent, faults.altered_head(status=201)),
        "202": fault_answer(Sent, faults.altered_head(status=202)),
        "wrong encoding": fault_answer(Sent, faults.altered_head(headers={"Content-Encoding": "gzip"})),
        "reset": fault_answer(Retry, faults.reset()),
        "reset after 200": fault_answer(Sent, faults.reset_in_body()),
    }  # fmt: skip


@asynccontextmanager
async def http_peer(_monkeypatch, _directory, **settings):
    """`settings` replace those of the destination."""
    credential, signing = {"Authorization": "Bearer a-long-token"}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    async with HttpReceiver(credential=credential, secrets=(signing,)) as receiver:
        config = HttpConfig(
            **{
                "kind": "http",
                "url": receiver.url("live"),
                "history_url": receiver.url("history"),
                "headers": credential,
                "signing_secrets": (signing,),
                "max_requests": 8,
            }
            | settings
        )

        def break_credential():
            receiver.credential["Authorization"] = "Bearer another-token"
            return lambda: receiver.credential.update(credential)

        yield Peer(
            config,
            lambda: receiver.stored_ids("live"),
            lambda: receiver.stored_ids("history"),
            receiver.poison,
            lambda: receiver.fault(faults.hang(60), rate=1).cancel,
            lambda: receiver.fault(faults.hang(60, after_processing=True), rate=1).cancel,
            break_credential,
            http_answers(receiver),
        )
        receiver.clear_faults()


PEERS = {
    "sentinel": sentinel_peer,
    "sentinel-asim": sentinel_asim_peer,
    "http": http_peer,
    "splunk": splunk_peer,
    "elasticsearch": elasticsearch_peer,
    "object-store": object_store_peer,
    "otlp": otlp_peer,
    "kafka": kafka_peer,
    "file": file_peer,
}
