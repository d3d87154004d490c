"""The request of the uploader, against that of Microsoft's client."""

import contextlib
import io
import time

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError
from azure.monitor.ingestion.aio import LogsIngestionClient

from consumer.destinations.azure_ingestion.response import IngestionResponse
from consumer.destinations.azure_ingestion.upload import Uploader
from relay.credentials.azure import AzureTransport
from tests.support.ingestion_world import body, row

ENDPOINT, SCOPE = (
    "https://relay-a1b2.westeurope-1.ingest.monitor.azure.com",
    "https://monitor.azure.com/.default",
)
OWN = {"user-agent", "x-ms-client-request-id", "content-length", "host", "accept-encoding"}
"""Headers whose values belong to the client, to one request or to the connection."""


class Recorder(AzureTransport):
    """Keeps each request of Microsoft's client, and sends none."""

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


@pytest.mark.parametrize("proxy", [None, "http://proxy.example:3128"])
async def test_the_request_is_that_of_microsofts_client(proxy, monkeypatch):
    """Address, version and headers are those of the installed release of azure-monitor-ingestion, with and without a proxy."""
    rule, stream, content = "dcr-" + "1" * 32, "Custom-Jira_Audit_v2_CL", body([row(1)])
    recorder, sent = Recorder(), []

    async def post(path, headers, sent_content):
        sent.append((path, headers, sent_content))
        return IngestionResponse(204, {}, b"")

    if proxy is not None:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    uploader = Uploader(f"{ENDPOINT}/", SCOPE, Credential())
    monkeypatch.setattr(uploader._connections, "post", post)
    assert (uploader._proxied is None) == (proxy is None)
    if proxy is not None:
        monkeypatch.setattr(uploader, "_proxied", recorder)
    with pytest.raises(ServiceRequestError) if proxy else contextlib.nullcontext():
        await uploader.upload(rule, stream, content)
    async with LogsIngestionClient(ENDPOINT, Credential(), transport=recorder) as client:
        with pytest.raises(ServiceRequestError):
            await client.upload(rule, stream, io.BytesIO(content))

    *ours, theirs = recorder.requests
    ((path, headers, sent_content),) = sent or [
        (each.url.removeprefix(ENDPOINT), each.headers, each.content) for each in ours
    ]
    assert (theirs.method, f"{ENDPOINT}{path}") == ("POST", theirs.url)
    assert (sent_content, theirs.content.getvalue()) == (content, content)
    assert _usual(headers) == _usual(theirs.headers)


def _usual(headers):
    return {name.lower(): value for name, value in headers.items() if name.lower() not in OWN}
