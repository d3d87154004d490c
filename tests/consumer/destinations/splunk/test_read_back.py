"""Reading back Splunk: what a collector has taken and the indexes show."""

import json

import httpx
import pytest

from consumer.destinations.read_back import AcceptedEvents, EventPlace, ReadBackError
from consumer.destinations.splunk import SPLUNK
from consumer.destinations.splunk.config import SplunkConfig
from consumer.destinations.splunk.read_back import day_search
from relay.timestamps import DAY_MS, day_start
from simulators.faults import reset, respond_with
from simulators.splunk.collector import HecCollector, Token
from simulators.splunk.search_head import SearchHead

DAY = day_start("2026-11-23")
PLACE = EventPlace("jira-audit.events", 0, 0, DAY)


def event(number, index="jira", host="acme", at=DAY):
    fields = {"event_uid": f"{host}/{number}"}
    return {"time": at / 1000, "host": host, "index": index, "fields": fields, "event": {"id": number}}


@pytest.fixture
async def head():
    """A search head over events 1 to 3 of a day, one of the day before, and one of another organization."""
    async with (
        HecCollector({"hec": Token()}) as collector,
        SearchHead(collector) as head,
        httpx.AsyncClient() as client,
    ):
        events = [event(1), event(2, at=DAY + DAY_MS - 1), event(3, "jira_history"), event(3, "jira_history")]
        events += [event(4, at=DAY - 1), event(5, host="globex")]
        body = "\n".join(map(json.dumps, events))
        sent = await client.post(
            f"{collector.url}/services/collector/event", content=body, headers={"Authorization": "Splunk hec"}
        )
        assert sent.status_code == 200
        yield head


def settings(head, **changes):
    values = {
        "kind": "splunk",
        "endpoint": head.url,
        "token": "hec",
        "index": "jira",
        "history_index": "jira_history",
    }
    values |= {"read_back": True, "read_back_endpoint": head.url, "read_back_token": head.token}
    return SplunkConfig(**(values | changes))


async def missing(head, *numbers, **changes):
    async with SPLUNK.read_back("soc", settings(head, **changes)) as reader:
        return await reader.missing(
            AcceptedEvents("acme", DAY, DAY + DAY_MS, {f"acme/{each}": PLACE for each in numbers})
        )


async def failure(head, **changes):
    with pytest.raises(ReadBackError) as raised:
        await missing(head, 1, **changes)
    return str(raised.value)


async def test_events_that_were_never_indexed_are_named(head):
    """Both indexes count, of this organization and day alone; no search job is left."""
    assert await missing(head, 1, 2, 3) == set()
    head.lost.add("acme/2")
    assert await missing(head, 1, 2, 3) == {"acme/2"}
    assert await missing(head, 1, 4, 5) == {"acme/4", "acme/5"}
    assert head.jobs == {}


async def test_an_answer_that_is_not_whole_proves_no_loss(head):
    """A peer that is down, a cut result, an index that the role may not search, a wrong token: nothing is known then."""
    head.warning = "Unable to distribute to peer named idx2."
    assert "did not see everything (Unable to distribute" in await failure(head)
    head.warning, head.max_result_rows = None, 1
    assert "found 3 events and returned 1" in await failure(head)
    head.max_result_rows, head.readable = 10, set()
    assert "may search its indexes" in await failure(head)
    assert "not the token of the collector" in await failure(head, read_back_token="hec")
    echo = json.dumps({"messages": [{"type": "FATAL", "text": f"bad token {head.token}"}]})
    scripted = head.faults.add(respond_with(403, echo), times=1)
    assert head.token not in (told := await failure(head))
    assert "bad token" in told
    scripted.cancel()
    scripted = head.faults.add(reset(), times=1)
    assert "connection to the search head failed" in await failure(head)
    scripted.cancel()


def test_settings_without_a_place_to_search_are_refused():
    for name in ("read_back_endpoint", "read_back_token", "index"):
        with pytest.raises(ValueError, match="read_back needs"):
            SplunkConfig(
                **{
                    "kind": "splunk",
                    "endpoint": "https://splunk.example.com:8088",
                    "token": "hec",
                    "index": "jira",
                    "read_back": True,
                    "read_back_endpoint": "https://splunk.example.com:8089",
                    "read_back_token": "t",
                }
                | {name: None}
            )


def test_a_name_is_one_literal_of_the_search_whatever_it_holds(head):
    """A quotation mark ends no literal, and a letter outside of ASCII is written as itself."""
    search = day_search(settings(head), 'a" | delete müller\\')
    assert 'host="a\\" | delete müller\\\\" by event_uid' in search
