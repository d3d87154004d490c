"""The peer of the destination kind object-store: a simulated bucket of S3."""

from contextlib import asynccontextmanager

from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.outcome import Paused, Retry, Sent
from simulators import faults
from simulators.object_store.s3 import credential, s3_bucket
from tests.contracts.peer import ROUTED_ORGANIZATION, Absent, Answer, Peer
from tests.support.parquet_objects import stored_uids


def object_store_answers(bucket):
    def fault_answer(outcome, fault):
        return Answer(outcome, lambda: bucket.fault(fault, times=2), bucket.clear_faults)

    def answer(outcome, status, code="", **options):
        return fault_answer(outcome, faults.respond_with(status, f"<Code>{code}</Code>", **options))

    return {
        "200": Answer(Sent, lambda: None),
        "400": answer(Paused, 400, "AuthorizationHeaderMalformed"),
        "403": answer(Paused, 403, "AccessDenied"),
        "403 clock": answer(Paused, 403, "RequestTimeTooSkewed"),
        "404": answer(Paused, 404, "NoSuchBucket"),
        "409": answer(Retry, 409, "OperationAborted"),
        "429": answer(Retry, 429),
        "500": answer(Retry, 500, "InternalError"),
        "503": answer(Retry, 503, "SlowDown"),
        "redirect": answer(Paused, 301, "PermanentRedirect"),
        "page of a proxy": answer(Paused, 407, "<html>"),
        "reset": fault_answer(Retry, faults.reset()),
    }


@asynccontextmanager
async def object_store_peer(_monkeypatch, directory):
    async with s3_bucket() as bucket:
        file = directory / "credential"
        file.write_text(credential(bucket))

        def break_credential():
            file.write_text(credential(bucket).replace("a-long-secret", "another"))
            bucket.keys["AKIDEXAMPLE"] = "a-new-secret-key"
            return lambda: file.write_text(credential(bucket))

        yield Peer(
            ObjectStoreConfig(
                kind="object-store",
                location=f"s3://{bucket.name}/jira",
                endpoint=bucket.endpoint,
                region="eu-central-1",
                credential_file=file,
                by_organization={ROUTED_ORGANIZATION: "organization=routed"},
            ),
            lambda: stored_uids(bucket.objects, "jira/live/"),
            lambda: stored_uids(bucket.objects, "jira/history/"),
            Absent("an object store judges no rows"),
            lambda: bucket.fault(faults.hang(60), rate=1).cancel,
            lambda: (
                bucket.fault(
                    faults.hang(60, after_processing=True),
                    rate=1,
                    only=lambda request: request.method == "PUT",
                ).cancel
            ),
            break_credential,
            object_store_answers(bucket),
            lambda route: stored_uids(bucket.objects, f"jira/{route}/live/" if route else "jira/live/"),
            stored_replay=lambda replay: stored_uids(bucket.objects, f"jira/replay={replay}/"),
        )
        bucket.clear_faults()
