"""The search for a gap after an outage: beside live polling, and never forgotten."""

from dataclasses import replace

import pytest

from producer.metrics import ProducerMetrics
from producer.state.checkpoint import EventPosition, new_checkpoint
from relay.timestamps import DAY_MS, now_ms, to_iso
from simulators import faults
from tests.support.poller import PollerHarness, ids


@pytest.fixture
def gaps(monkeypatch):
    """The gaps that were reported."""
    found = []
    monkeypatch.setattr(ProducerMetrics, "gap_found", lambda _self, *named: found.append(named))
    return found


async def harness_after_outage(acme, jira_fixture, days=4):
    known = replace(
        new_checkpoint("acme", now_ms() - days * DAY_MS, now=now_ms()), last_event=EventPosition(0, 1)
    )
    harness = PollerHarness(acme, jira_fixture)
    await harness.publisher.write_checkpoint("acme", lambda _: known)
    return harness, known


def refuse_undated(site, fault):
    """Refuse each request without dates, as the look for the oldest record sends it."""
    return site.script.add(
        fault, rate=1.0, only=lambda request: "offset" in request.query and "from" not in request.query
    )


@pytest.mark.parametrize(
    "fault", [faults.respond_with(403), faults.respond_with(500), faults.reset()], ids=lambda one: one.name
)
async def test_a_refused_look_for_the_oldest_record_holds_up_nothing(acme, jira_fixture, gaps, fault):
    """Live events arrive while Jira refuses the question, and the gap is reported once it answers."""
    oldest = acme.add_record(created=now_ms() - DAY_MS)
    harness, known = await harness_after_outage(acme, jira_fixture)
    refused = refuse_undated(acme, fault)
    async with harness.running():
        await harness.until(lambda: refused.played and len(harness.published()) == 1)
        happened = acme.add_records(3)
        await harness.until(lambda: len(harness.published()) == 4)
        await harness.until(
            lambda: (harness.status.reason or "").startswith("The search for a gap after the outage: ")
        )
        noted = harness.publisher.checkpoint("acme").outage
        refused.cancel()
        await harness.until(lambda: gaps)
        await harness.until(lambda: harness.publisher.checkpoint("acme").outage is None)
        await harness.until(lambda: harness.status.reason is None)

    assert noted.start == known.window_end
    assert harness.published() == ids([oldest, *happened])
    assert gaps == [("acme", to_iso(known.window_end), oldest["created"].replace("+0000", "Z"))]


async def test_a_gap_is_reported_after_a_restart(acme, jira_fixture, gaps):
    """The process dies while Jira refuses the question; the checkpoint has moved on, and still names the outage."""
    acme.add_record(created=now_ms() - DAY_MS)
    harness, known = await harness_after_outage(acme, jira_fixture)
    refused = refuse_undated(acme, faults.respond_with(500))
    async with harness.running():
        await harness.until(lambda: refused.played and harness.published())
    before = list(gaps)
    refused.cancel()
    async with harness.running():
        await harness.until(lambda: gaps)

    assert before == []
    assert harness.publisher.checkpoint("acme").window_end > known.window_end
    assert gaps[0][:2] == ("acme", to_iso(known.window_end))
