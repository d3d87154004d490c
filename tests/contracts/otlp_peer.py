"""The peer of the kind otlp: a simulated backend."""

from contextlib import asynccontextmanager

from consumer.destinations.otlp.config import OtlpConfig
from consumer.destinations.outcome import Dropped, Paused, Reject, Retry, Sent, Split
from simulators import faults
from simulators.otlp.backend import OtlpBackend
from tests.contracts.peer import Answer, Peer

_STATUSES = {
    Reject: (400,),
    Paused: (301, 302, 307, 401, 402, 403, 404, 405, 408, 409, 410, 415, 422, 451, 500, 501, 505, 599),
    Split: (413,),
    Retry: (502, 503, 504),
}


def otlp_answers(backend):
    def fault_answer(outcome, fault):
        return Answer(outcome, lambda: backend.fault(fault), backend.clear_faults)

    def answer(outcome, status, **options):
        return fault_answer(outcome, faults.respond_with(status, **options))

    def dropping(outcome, *numbers):
        def play():
            for number in numbers:
                backend.drop(f"acme.atlassian.net/{number}")

        return Answer(outcome, play, backend.clear_faults)

    def warn():
        backend.warning = "use the other endpoint"

    def end_warning():
        backend.warning = ""

    return {
        str(status): answer(outcome, status, headers={"Location": "https://example.com/"} if status < 400 else None)
        for outcome, each in _STATUSES.items()
        for status in each
    } | {
        "429": answer(Retry, 429, headers={"Retry-After": "1"}),
        "some dropped": dropping(Dropped, 1),
        "all dropped": dropping(Reject, 0, 1, 2),
        "a warning": Answer(Sent, warn, end_warning),
        "page of a proxy": answer(Paused, 200, body="<html>", content_type="text/html"),
        "an error with 200": answer(Paused, 200, body='{"code": 3, "message": "bad"}'),
        "more dropped than sent": answer(Paused, 200, body='{"partialSuccess": {"rejectedLogRecords": "4"}}'),
        "an answer without end": answer(Paused, 200, body="[" * 100_000),
        "wrong encoding": answer(Retry, 200, body="x", headers={"Content-Encoding": "gzip"}),
        "202": fault_answer(Sent, faults.altered_head(status=202)),
        "204": fault_answer(Sent, faults.altered_head(status=204)),
        "reset": fault_answer(Retry, faults.reset()),
    }  # fmt: skip


@asynccontextmanager
async def otlp_peer(_monkeypatch, _directory, **settings):
    """`settings` replace those of the destination."""
    credential = {"Authorization": "Api-Token a-long-token"}
    async with OtlpBackend(credential=credential) as backend:
        config = OtlpConfig(
            **{
                "kind": "otlp",
                "endpoint": backend.url("live"),
                "history_endpoint": backend.url("history"),
                "headers": credential,
                "max_requests": 8,
            }
            | settings
        )

        def break_credential():
            backend.credential["Authorization"] = "Api-Token another-token"
            return lambda: backend.credential.update(credential)

        yield Peer(
            config,
            lambda: backend.stored_ids("live"),
            lambda: backend.stored_ids("history"),
            backend.poison,
            lambda: backend.fault(faults.hang(60), rate=1).cancel,
            lambda: backend.fault(faults.hang(60, after_processing=True), rate=1).cancel,
            break_credential,
            otlp_answers(backend),
        )
        backend.clear_faults()
