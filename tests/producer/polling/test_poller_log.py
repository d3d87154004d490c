"""The log of an organization whose site refuses for hours: each request counts as ten minutes."""

import re
from dataclasses import replace

import structlog

from producer.sources.errors import RetryAction
from producer.sources.throttle import BackoffTiming
from relay.timestamps import DAY_MS
from simulators.jira_cloud import faults as jira_faults
from tests.support.jira import jira_clients
from tests.support.poller import CONFIG, PollerHarness

REQUEST_SECONDS = 600.0
REFUSALS = 20


async def test_hours_of_refusals_have_a_line_an_hour(jira, acme):
    """The log has the start, a reminder an hour and the end with its length and attempts; counters have each refusal."""
    short = dict.fromkeys(RetryAction, 0.05)
    backoff = BackoffTiming(short, short, 0.05, page_pause_seconds=0.01)
    async with jira_clients(jira, backoff=backoff) as clients:
        harness = PollerHarness(acme, clients)
        harness.config = replace(CONFIG, reread_day_every_ms=DAY_MS)
        harness.elapsed = lambda: REQUEST_SECONDS * len(acme.requests())
        with structlog.testing.capture_logs() as lines:
            async with harness.running():
                await harness.until(lambda: harness.status.last_poll)
                acme.script.add(jira_faults.not_administrator(), times=REFUSALS)
                await harness.until(lambda: any("works again" in line["event"] for line in lines))
                polled = harness.status.last_poll
                await harness.until(lambda: harness.status.last_poll > polled)

    shown = [line for line in lines if line["log_level"] != "debug"]
    assert [line["log_level"] for line in shown] == ["warning"] * 4 + ["info"]
    assert [line.get("lasting") for line in shown] == [None, "1 h", "2 h", "3 h", None]
    assert {line["organization"] for line in shown} == {"acme"}
    assert len({line["event"] for line in shown[:-1]}) == 1
    # A request of another purpose may come between two refusals, and each is ten minutes here.
    assert re.fullmatch(
        r"Polling works again; it had failed for 3 h [2-5]0 min \(20 attempts\)\.", shown[-1]["event"]
    )
