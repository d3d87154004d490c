"""The request of the uploader, against that of Microsoft's client."""

import io
import time

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError
from azure.monitor.ingestion.aio import LogsIngestionClient

from consumer.destinations.azure_ingestion.upload import Uploader
from relay.credentials.azure import AzureTransport
from tests.support.ingestion_world import body, row

ENDPOINT, SCOPE = (
    "https://relay-a1b2.westeurope-1.ingest.monitor.azure.com",
    "https://monitor.azure.com/.default",
)
OWN = {"User-Agent", "x-ms-client-request-id", "Content-Length"}
"""Headers whose values belong to the client or to one request; of a file, the transport adds the length."""


class Recorder(AzureTransport):
    """Keeps each request, and sends none."""

    def __init__(self):
        super().__init__()
        self.requests = []

    async def send(self, request, **_options):
        self.requests.append(request)
        raise ServiceRequestError("Nothing is sent.")


class Credential:
    """Issues one token."""

    generation = 0

    async def get_token(self, *scopes, **_options):
        assert scopes == (SCOPE,)
        return AccessToken("one", int(time.time()) + 3_600)

    async def close(self):
        """Keep nothing."""


async def test_the_request_is_that_of_microsofts_client():
    """Address, version and headers are those of the installed release of azure-monitor-ingestion."""
    rule, stream, content = "dcr-" + "1" * 32, "Custom-Jira_Audit_v2_CL", body([row(1)])
    recorder = Recorder()
    uploader = Uploader(f"{ENDPOINT}/", SCOPE, Credential())
    uploader._transport = recorder
    with pytest.raises(ServiceRequestError):
        await uploader.upload(rule, stream, content)
    async with LogsIngestionClient(ENDPOINT, Credential(), transport=recorder) as client:
        with pytest.raises(ServiceRequestError):
            await client.upload(rule, stream, io.BytesIO(content))

    ours, theirs = recorder.requests
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert (ours.content, theirs.content.getvalue()) == (content, content)
    assert ours.headers.keys() >= OWN
    assert {name: ours.headers[name] for name in ours.headers.keys() - OWN} == {
        name: theirs.headers[name] for name in theirs.headers.keys() - OWN
    }
