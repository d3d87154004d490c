"""What a refill waits for, in words."""

from dataclasses import replace

from consumer.replay.refill_source import waiting_text
from relay.replays.refill import RefillProgress
from tests.support.replays import replay_job

JOB = replay_job(content="refill", organizations=("acme", "globex", "initech", "hooli"))
RUNNING = RefillProgress(JOB.id, "acme", "running", 1_000, 1_000, read_to=1_795_000_000_000, events=1_200)


def test_each_organization_that_is_not_read_is_named_and_the_others_are_counted():
    reports = {
        "acme": RUNNING,
        "globex": replace(RUNNING, organization="globex", reason="globex is paused."),
        "initech": replace(RUNNING, organization="initech", state="done"),
    }
    text = waiting_text(JOB, reports, 2_000)
    assert "acme: 1,200 events, up to 2026-" in text
    assert "globex is paused." in text
    assert "hooli is not begun." in text
    assert "initech" not in text
    assert "1 more organizations" in waiting_text(JOB, {}, 2_000)


def test_an_organization_without_news_may_be_deleted():
    """Nobody reports on it then."""
    text = waiting_text(JOB, {"acme": RUNNING}, 400_000)
    assert "acme has not moved since" in text
    assert "jira-relay organizations list" in text


def test_nothing_is_waited_for_once_all_have_ended():
    done = {name: replace(RUNNING, organization=name, state="done") for name in JOB.organizations}
    assert waiting_text(JOB, done, 2_000) is None
