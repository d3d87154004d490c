"""VictoriaLogs, a backend that others wrote: it stores each event under its names and values."""

import asyncio
import json
from datetime import UTC, datetime

import httpx
import pytest

from consumer.destinations.otlp.config import OtlpConfig
from consumer.destinations.otlp.destination import open_otlp
from consumer.destinations.outcome import Sent
from embedded.ports import pick_free_port
from tests.support.messages import event
from tests.support.otlp import body_of, twin
from tests.support.real_servers import running

INSTALL = "go install github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.2"
EVENTS = 1_000


def full_event(number):
    return event(
        number,
        summary=f'Grüße "{number}" \\ 🎈',
        category="permissions",
        remoteAddress="203.0.113.9",
        authorAccountId=f"5b10-{number}",
        objectItem={"id": str(number), "name": "n", "typeName": "USER", "parentId": None, "parentName": None},
        changedValues=[{"fieldName": "f", "changedFrom": None, "changedTo": "b"}],
    )


async def stored_rows(client, query, count):
    """Return the rows of a query, once there are as many: VictoriaLogs shows new ones after a second."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get("/select/logsql/query", params={"query": query, "limit": "100000"})
            answer.raise_for_status()
            rows = [json.loads(line) for line in answer.text.splitlines()]
            if len(rows) >= count:
                return rows
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_every_event_is_stored_with_its_attributes(compression, tmp_path):
    """A thousand events of three bodies: each once, with the time, the body and each attribute of the twin."""
    port = pick_free_port()
    arguments = (f"-storageDataPath={tmp_path}", f"-httpListenAddr=127.0.0.1:{port}")
    async with (
        running("victoria-logs", INSTALL, port, *arguments),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
    ):
        url = f"http://127.0.0.1:{port}/insert/opentelemetry"
        config = OtlpConfig(kind="otlp", endpoint=url, history_endpoint=url, compression=compression)
        events = [full_event(number) for number in range(EVENTS)]
        async with open_otlp("logs", config, 25.0) as flows:
            assert await flows["live"].probe() == Sent()
            for first in range(0, EVENTS, 400):
                body = body_of(flows["live"], *events[first : first + 400])
                assert await flows["live"].send(body) == Sent()
            assert await flows["history"].send(body_of(flows["history"], full_event(EVENTS))) == Sent()
        live = await stored_rows(client, '"jira.audit.flow":=live', EVENTS)
        (old,) = await stored_rows(client, '"jira.audit.flow":=history', 1)
    rows = {row["log.record.uid"]: row for row in live}
    assert len(rows) == len(live) == EVENTS
    assert old["log.record.uid"] == f"acme.atlassian.net/{EVENTS}"
    for each in events:
        expected = twin(each)
        row = rows[expected["attributes"]["log.record.uid"]]
        assert row["_msg"] == expected["body"]
        time = datetime.fromisoformat(row["_time"]).astimezone(UTC)
        assert round(time.timestamp() * 1000) == each["created"]
        for key, value in expected["attributes"].items():
            found = json.loads(row[key]) if isinstance(value, list) else row[key]
            assert found == value, key
