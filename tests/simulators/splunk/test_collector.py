"""The simulated collector answers as Splunk's documentation says, read by a client that shares no code with the relay."""

import asyncio
import gzip
import uuid

import httpx
import pytest

from simulators.splunk import answers
from simulators.splunk.collector import HecCollector, Token

TOKEN = "b7a0c0de-0000-4000-8000-00000000beef"
EVENT = "/services/collector/event"
AUTHORIZED = {"Authorization": f"Splunk {TOKEN}"}


@pytest.fixture
async def collector():
    async with HecCollector({TOKEN: Token()}) as one:
        yield one


@pytest.fixture
async def client(collector):
    async with httpx.AsyncClient(base_url=collector.url, trust_env=False, headers=AUTHORIZED) as one:
        yield one


def is_answer(response, answer):
    return (response.status_code, response.json()) == (answer.status, answer.document())


async def test_objects_one_after_the_other_are_stored(client, collector):
    """Blanks and line ends between them do not matter."""
    body = b'{"event":"a"}{"event":{"b":1},"index":"jira"}\n {"event":"c","time":"1.5"}'
    assert (await client.post(EVENT, content=body)).json() == {"text": "Success", "code": 0}
    compressed = gzip.compress(b'{"event":"d"}')
    await client.post(EVENT, content=compressed, headers={"Content-Encoding": "gzip"})
    assert [each["event"] for each in collector.stored("main")] == ["a", "c", "d"]
    assert [each["event"] for each in collector.stored("jira")] == [{"b": 1}]


@pytest.mark.parametrize(
    ("second", "answer"),
    [
        (b'{"event":""}', answers.EVENT_BLANK),
        (b'{"host":"x"}', answers.EVENT_REQUIRED),
        (b'{"event":', answers.INVALID_FORMAT),
        (b"[1]", answers.INVALID_FORMAT),
        (b'{"event":"x","time":"noon"}', answers.INVALID_FORMAT),
        (b'{"event":"x","time":-1}', answers.INVALID_FORMAT),
        (b'{"event":"x","index":"absent"}', answers.INCORRECT_INDEX),
        (b'{"event":"x","fields":{"a":{"b":1}}}', answers.BAD_FIELDS),
    ],
)
async def test_the_events_before_a_bad_one_are_stored(client, collector, second, answer):
    """The number of the bad one counts from 0, and nothing behind it is stored."""
    response = await client.post(EVENT, content=b'{"event":"a"}' + second + b'{"event":"c"}')
    assert is_answer(response, answer.about(1))
    assert [each["event"] for each in collector.stored("main")] == ["a"]


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"Authorization": ""}, answers.TOKEN_REQUIRED),
        ({"Authorization": "Bearer x"}, answers.INVALID_AUTHORIZATION),
        ({"Authorization": "Splunk"}, answers.INVALID_AUTHORIZATION),
        ({"Authorization": "Splunk x"}, answers.INVALID_TOKEN),
    ],
)
async def test_a_token_is_asked_for(client, headers, answer):
    assert is_answer(await client.post(EVENT, content=b'{"event":"a"}', headers=headers), answer)


async def test_the_state_of_token_and_collector_decides(client, collector):
    assert is_answer(await client.post(EVENT), answers.NO_DATA)
    assert is_answer(await client.get("/services/collector/health"), answers.HEALTHY)
    collector.healthy = False
    assert is_answer(await client.get("/services/collector/health"), answers.QUEUES_FULL)
    collector.tokens[TOKEN].enabled = False
    assert is_answer(await client.post(EVENT, content=b'{"event":"a"}'), answers.TOKEN_DISABLED)
    assert (await client.post("/elsewhere")).status_code == 404
    assert (await client.get(EVENT)).status_code == 405
    collector.max_content_length = 10
    collector.tokens[TOKEN].enabled = True
    assert (await client.post(EVENT, content=b'{"event":"a"}')).status_code == 413


async def test_an_acknowledgement_is_given_once_and_forgotten_at_a_restart(client, collector):
    """Ids count from 0 in each channel; a channel that no request has named is not valid."""
    collector.tokens[TOKEN].acknowledges = True
    assert is_answer(await client.post(EVENT, content=b'{"event":"a"}'), answers.CHANNEL_MISSING)
    channel = {"X-Splunk-Request-Channel": str(uuid.uuid4())}
    ask = {"url": "/services/collector/ack", "headers": channel, "json": {"acks": [0, 1]}}
    assert is_answer(await client.post(**ask), answers.INVALID_CHANNEL)
    ids = [
        (await client.post(EVENT, content=b'{"event":"a"}', headers=channel)).json()["ackId"]
        for _ in range(2)
    ]
    assert ids == [0, 1]
    assert (await client.post(**ask)).json() == {"acks": {"0": True, "1": True}}
    assert (await client.post(**ask)).json() == {"acks": {"0": False, "1": False}}
    collector.restart()
    assert is_answer(await client.post(**ask), answers.INVALID_CHANNEL)
    other = {"X-Splunk-Request-Channel": "no guid"}
    assert is_answer(
        await client.post(EVENT, content=b'{"event":"a"}', headers=other), answers.INVALID_CHANNEL
    )
    collector.tokens[TOKEN].acknowledges = False
    assert is_answer(await client.post(**ask), answers.ACK_DISABLED)


async def test_indexing_takes_its_time(client, collector):
    collector.tokens[TOKEN].acknowledges = True
    collector.channels.delay_seconds = 30
    channel = {"X-Splunk-Request-Channel": str(uuid.uuid4())}
    await client.post(EVENT, content=b'{"event":"a"}', headers=channel)
    ask = {"url": "/services/collector/ack", "headers": channel, "json": {"acks": [0]}}
    assert (await client.post(**ask)).json() == {"acks": {"0": False}}
    collector.channels.delay_seconds = 0.2
    await client.post(EVENT, content=b'{"event":"b"}', headers=channel)
    await asyncio.sleep(0.25)
    ask["json"] = {"acks": [0, 1]}
    assert (await client.post(**ask)).json() == {"acks": {"0": False, "1": True}}


async def test_quirks_are_played(client, collector):
    body = b'{"event":"a"}{"event":"b"}{"event":"c","index":"absent"}'
    collector.quirks.number_after_bad_index = True
    assert is_answer(await client.post(EVENT, content=body), answers.INCORRECT_INDEX.about(3))
    collector.quirks.no_event_numbers = True
    assert is_answer(await client.post(EVENT, content=body), answers.INCORRECT_INDEX)
    collector.quirks.no_event_numbers = False
    collector.quirks.busy_after = 1
    assert is_answer(await client.post(EVENT, content=body), answers.BUSY.about(1))
    assert [each["event"] for each in collector.stored("main")] == ["a", "b", "a", "b", "a"]
