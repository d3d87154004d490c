"""Expressions of alerts and dashboards, their metrics, and a real Prometheus."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

import consumer.metrics.catalogue
import management.completeness.metrics
import producer.metrics.catalogue
import relay.telemetry.traces.metrics
from relay.telemetry.certificates import CERTIFICATE_EXPIRY
from relay.telemetry.metrics import BUILD_INFO, Histogram, Metric

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
_INSTALL = "apt-get install prometheus"
NEEDS_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None, reason=f"promtool is not installed: {_INSTALL}"
)
NEEDS_PROMETHEUS = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason=f"prometheus is not installed: {_INSTALL}"
)
METRICS: dict[str, Metric[Any]] = {
    each.name: each
    for each in (
        *producer.metrics.catalogue.CATALOGUE,
        *consumer.metrics.catalogue.CATALOGUE,
        *management.completeness.metrics.CATALOGUE,
        *relay.telemetry.traces.metrics.CATALOGUE,
    )
}
FOREIGN = {
    f"{BUILD_INFO[0]}_info": {"version", "revision", "python"},
    CERTIFICATE_EXPIRY[0]: {"setting"},
    "up": set[str](),
    "process_start_time_seconds": set[str](),
    "process_resident_memory_bytes": set[str](),
    "process_cpu_seconds_total": set[str](),
    "process_open_fds": set[str](),
}
"""Metrics that are in no catalogue, with their labels."""
TARGET = {"namespace", "job", "instance"}
"""Labels that a scrape adds."""
_SELECTOR = re.compile(r"\b(jira_relay_[a-z_]+|up|process_[a-z_]+)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def read_alerts() -> list[dict[str, Any]]:
    """Return the rules of all groups of alerts."""
    return [rule for group in YAML(typ="safe").load(ALERTS)["groups"] for rule in group["rules"]]


def selectors(expression: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Yield the name of each series of an expression, with its matchers: label, operator, value."""
    for name, matchers in _SELECTOR.findall(expression):
        yield name, _MATCHER.findall(matchers)


def labels_of(name: str) -> dict[str, tuple[str, ...]] | None:
    """Return the labels of a metric with the values that are known. None: no process of the relay has this metric."""
    if name in FOREIGN:
        return dict.fromkeys(FOREIGN[name], ())
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    metric = METRICS.get(name) or METRICS.get(base)
    if metric is None or (metric.kind is Histogram) == (name == metric.name):
        return None
    found = {label.name: label.values for label in metric.labels}
    return found | {"le": ()} if name.endswith("_bucket") else found


def faults(expression: str) -> list[str]:
    """Return what is wrong with the series of an expression: an unknown metric, label, or value of a label."""
    found = []
    for name, matchers in selectors(expression):
        labels = labels_of(name)
        if labels is None:
            found.append(f"{name} is no metric")
            continue
        for label, operator, value in matchers:
            if label not in labels and label not in TARGET:
                found.append(f"{name} has no label {label}")
            values = labels.get(label, ())
            if values and "$" not in value and operator in {"=", "=~"}:
                parts = value.split("|") if operator == "=~" else [value]
                found += [f"{label} of {name} is never {part}" for part in parts if part not in values]
    return found


class Prometheus:
    """The HTTP API of a Prometheus."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an expression. Raises ValueError with Prometheus' text if it is wrong."""
        answer = await self._client.post(f"{self._url}/api/v1/query", data={"query": expression})
        found = answer.json()
        if found["status"] != "success":
            raise ValueError(f"{expression}: {found['error']}")
        result = found["data"]["result"]
        return [{"value": result}] if found["data"]["resultType"] == "scalar" else result

    async def wait_for(self, expression: str, seconds: float = 30) -> list[dict[str, Any]]:
        """Return the samples of an expression once it has some."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    if found := await self.query(expression):
                        return found
                except (httpx.TransportError, ValueError):  # it starts
                    pass
                await asyncio.sleep(0.05)

    async def alerts(self) -> list[dict[str, Any]]:
        """Return the pending and the firing alerts."""
        answer = await self._client.get(f"{self._url}/api/v1/alerts")
        found: list[dict[str, Any]] = answer.json()["data"]["alerts"]
        return found


@asynccontextmanager
async def run_prometheus(folder: Path, config: dict[str, Any]) -> AsyncIterator[Prometheus]:
    """Run a Prometheus with this configuration, on a port that it takes itself: a port chosen here may be taken meanwhile."""
    file = folder / "prometheus.yml"
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(config, stream)
    log = folder / "prometheus.log"
    command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it starts within milliseconds
            [*command, "--web.listen-address=127.0.0.1:0"], stdout=output, stderr=output
        )
    try:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            yield Prometheus(await _url_of(process, log), client)
    finally:
        process.kill()
        process.wait(timeout=30)


async def _url_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the URL of a Prometheus that starts. Raises RuntimeError with its log if it has ended."""
    async with asyncio.timeout(120):
        while True:
            ended, text = process.poll() is not None, await asyncio.to_thread(log.read_text, "utf-8")
            if found := re.search(r'"Listening on".* address=(\S+)\s', text):
                return f"http://{found[1]}"
            if ended:
                raise RuntimeError(text)
            await asyncio.sleep(0.05)


def read_dashboards() -> dict[str, dict[str, Any]]:
    """Return the dashboards by the names of their files."""
    files = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels of a dashboard."""
    panels: list[dict[str, Any]] = dashboard["panels"]
    return panels
