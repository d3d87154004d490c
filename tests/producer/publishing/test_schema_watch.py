import asyncio
import contextlib

from structlog.testing import capture_logs

from producer.publishing.schema_watch import watch_event_schema
from relay.telemetry.health import Health
from tests.support.waiting import wait_until

LOST = "The schema of events is not registered: run `jira-relay schemas register`."


class FakeStore:
    """Answers each look with the next of `answers`, the last one again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.looks = 0

    async def verify_encoder(self):
        self.looks += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def watched(store, looks):
    """Return the problems of /readyz after so many looks, and the log."""
    health = Health()
    with capture_logs() as logs:
        task = asyncio.create_task(watch_event_schema(store, health, 0.001))
        await wait_until(lambda: store.looks >= looks)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return health.problems(), [entry["event"].split(";")[0] for entry in logs]


async def test_a_lost_schema_is_logged_once_and_keeps_the_process_unready():
    problems, logs = await watched(FakeStore(None, LOST), 5)
    assert len(problems) == 1
    assert "jira-relay schemas register" in problems[0]
    assert logs == ["The schema of events is no longer registered"]


async def test_its_return_is_logged():
    problems, logs = await watched(FakeStore(LOST, LOST, None), 5)
    assert problems == []
    assert logs == [
        "The schema of events is no longer registered",
        "The schema of events is registered again.",
    ]
