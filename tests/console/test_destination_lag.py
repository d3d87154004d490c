"""How far a destination is behind, in events and in seconds, and the retries of its consumers."""

import pytest

from consumer.targets.target import Pause
from relay.status.model import DeliveryReport, RetriedRequest, Transition
from tests.support.views import NOW, status

LIVE = {"HX-Request": "true"}
RETRIED = RetriedRequest(NOW - 9_000, "<b>503</b> from Azure")
BEHIND = DeliveryReport("sentinel", NOW - 3_600_000, True, NOW - 7_412_000, 1_234, RETRIED)


@pytest.fixture
def console(console_with_sentinel):
    return console_with_sentinel


async def pages(console):
    """Return the table of destinations, and the live part of one's page, each in one line."""
    detail = await console.client.get("/destination?name=sentinel", headers=LIVE)
    return [" ".join(text.split()) for text in (await console.page("/destinations"), detail.text)]


async def test_the_age_of_the_oldest_event_and_the_retries_are_shown_with_their_reason(console):
    """The age is that of the report; reasons from outside are text. The graphs have the day as the topics tell it."""
    transitions = (
        Transition(NOW - 600_000, "active", None),
        Transition(NOW - 9_000, "waiting", "Azure is busy."),
    )
    soc = status("waiting", lag=20, transitions=transitions).with_slot(NOW, lag=20)
    day = status(deliveries=(BEHIND,)).with_counts(NOW, events=7, retries=1_234).with_slot(NOW, age=7_412_000)
    console.show(
        statuses={
            "destination/sentinel": soc,
            "consume/a-1": status(deliveries=(BEHIND,)),
            "delivery/sentinel/a-1-2": day,
        }
    )
    table, page = await pages(console)
    assert "7,412 s (2 h)" in table
    assert "7,412 s (2 h)" in page
    assert "Age of the oldest event not delivered yet: last 2 h, at most 2 h" in page
    assert "Events not delivered yet: last 20, at most 20" in page
    assert "7 events in 24 hours, at most 7 in one of them; 23 of the hours are not known" in page
    assert page.count("not known: no consumer reported") == 23
    assert "1,234 requests repeated since" in page
    assert "&lt;b&gt;503&lt;/b&gt; from Azure" in page
    assert '<td class="nowrap">until now</td><td class="reason">Azure is busy.' in page
    assert '<td class="nowrap">9 min</td>' in page


@pytest.mark.parametrize(
    ("statuses", "pause", "words"),
    [
        (
            {"consume/a-1": status(deliveries=(DeliveryReport("sentinel", NOW, True),))},
            None,
            "no event waits",
        ),
        (
            {"consume/a-1": status(deliveries=(DeliveryReport("sentinel", NOW, False),))},
            None,
            "has not read all",
        ),
        ({}, None, "the consumers are of a release that does not report it"),
        ({}, Pause(NOW - 5_000, "Anna"), "nobody reads the events while the destination is paused"),
    ],
)
async def test_no_event_waits_is_said_only_where_every_consumer_knows_it(console, statuses, pause, words):
    console.show(
        statuses={"destination/sentinel": status(lag=0)} | statuses,
        pauses={"sentinel": pause} if pause else {},
    )
    for text in await pages(console):
        assert words in text
        assert ("no event waits" in text) == (words == "no event waits")
    assert ('title="2026-09-21T14:13:15Z"' in (await pages(console))[0]) == (pause is not None)


async def test_events_of_before_the_first_start_are_no_contradiction(console):
    """They count in the lag, and the age is that of live delivery: `no event waits` beside 500 would be read as a fault."""
    idle = status(deliveries=(DeliveryReport("sentinel", NOW, True),))
    console.show(statuses={"destination/sentinel": status(lag=500), "consume/a-1": idle})
    for text in await pages(console):
        assert "no new event waits" in text


async def test_without_a_consumer_the_age_is_unknown_since_its_last_report(console):
    gone = status(
        valid_until=NOW - 60_000, at=NOW - 120_000, transitions=(Transition(NOW - 300_000, "active", None),)
    )
    console.show(statuses={"destination/sentinel": gone})
    for text in await pages(console):
        assert 'not known since <time class="instant" datetime="2026-09-21T14:11:20.000Z"' in text
        assert "no consumer reports now" in text
    assert "Retries</dt><dd>not known" in (await pages(console))[1]
    assert "at least</td>" in (await pages(console))[1]
