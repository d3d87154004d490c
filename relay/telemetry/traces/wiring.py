"""Open the export of traces as the settings say."""

import http.cookiejar
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import httpx
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from relay.config.telemetry import TRACES_PATH, TelemetryConfig
from relay.errors import RelayError, describe
from relay.http import create_tls_context, open_transport
from relay.telemetry.traces.client import TraceClient
from relay.telemetry.traces.exporter import ExportTiming, SpanExporter
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer

SERVICE_NAME = "jira-audit-relay"


@dataclass(frozen=True, slots=True)
class Traces:
    """The tracer of a process, and the exporter, which somebody must run. None: traces are off."""

    tracer: Tracer = NOT_TRACED
    exporter: SpanExporter | None = None


class _Headers(Mapping[str, str]):
    """The headers of the settings, each with its value as it is known now."""

    def __init__(self, headers: Mapping[str, SecretStr]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        return self._headers[name].get_secret_value()

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


@asynccontextmanager
async def open_traces(
    config: TelemetryConfig, registry: CollectorRegistry, instance: str, timing: ExportTiming | None = None
) -> AsyncIterator[Traces]:
    """Yield the traces of a process, and export what is left at the end. `instance` names the process.

    Raises RelayError for certificates that cannot be used, and SettingsError for a proxy.
    """
    if config.traces_endpoint is None:
        yield Traces()
        return
    url = config.traces_endpoint + TRACES_PATH
    resource = {
        "service.name": SERVICE_NAME,
        "service.version": version("jira-audit-relay"),
        "service.instance.id": instance,
    }
    async with _open_client(config) as client:
        exporter = SpanExporter(
            TraceClient(client, url, _Headers(config.traces_headers)).post, resource, registry, timing
        )
        tracer = Tracer(
            exporter.export, config.traces_ratio, lambda count: exporter.dropped("trace-too-large", count)
        )
        try:
            yield Traces(tracer, exporter)
        finally:
            await exporter.flush()


def _open_client(config: TelemetryConfig) -> httpx.AsyncClient:
    try:
        context = create_tls_context(config.traces_ca_file)
    except (OSError, ValueError) as error:
        raise RelayError(
            f"telemetry.traces_ca_file cannot be used: {describe(error)}. Check the file."
        ) from error
    return httpx.AsyncClient(
        transport=open_transport(context),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=5.0),
        headers={"User-Agent": f"jira-audit-relay/{version('jira-audit-relay')}"},
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
    )
