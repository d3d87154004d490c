"""Processes between a real Kafka and a real OpenSearch: each event is one document, after faults and a kill."""

from itertools import cycle

from consumer.timing import BackoffCurve, BreakerTiming, ConsumerTiming, SenderTiming
from management.settings import Settings
from simulators import faults
from simulators.faults import Fault
from tests.support import ecs
from tests.support.cluster import flows
from tests.support.faulty_way import faulty_way
from tests.support.messages import event
from tests.support.pipeline_world import pipeline_world, wait_until

QUICK = BackoffCurve(0.05, 0.2)
TIMING = ConsumerTiming(
    breaker=BreakerTiming(QUICK, QUICK), sender=SenderTiming(rejection=QUICK, defect=QUICK)
)
LIVE = "logs-atlassian_jira.audit-default"
NULLS = dict.fromkeys(
    ("category", "description", "eventSource", "remoteAddress", "authorKey", "authorAccountId", "objectItem", "changedValues",
     "associatedItems", "unmodeled", "variant")
)  # fmt: skip
USER = {"id": "ug:1", "name": 'Zoë "Z" Müller', "typeName": "USER", "parentId": "1", "parentName": None}
GROUP = {"id": None, "name": "staff\\n", "typeName": "GROUP", "parentId": None, "parentName": None}
SHAPES = (
    {},
    {"summary": "User added to group", "category": "group management", "objectItem": GROUP, "associatedItems": [USER]},
    {"remoteAddress": "2001:db8::1", "changedValues": [{"fieldName": "Email", "changedFrom": None, "changedTo": "a\x00@b.c"}]},
    {"authorKey": "ug:1", "authorAccountId": "5b10", "description": '\u2028 \\ \'a":null,b\'', "unmodeled": '{"x": [1, null]}'},
    {"summary": None, "objectItem": USER, "associatedItems": [USER, GROUP], "remoteAddress": "fe80::1%eth0"},
    {"variant": "00000000000000ab", "eventSource": "", "associatedItems": [], "changedValues": []},
)  # fmt: skip
FAULTS = (
    faults.reset(),
    faults.reset(after_processing=True),
    faults.truncated_body(),
    faults.cut_body(),
    faults.respond_with(429, headers={"Retry-After": "0"}),
    faults.respond_with(503, "<html>busy</html>", content_type="text/html"),
    faults.respond_with(200, "<html>Sign in</html>", content_type="text/html"),
    faults.reset_in_body(),
)
"""Half of these faults hide that the documents were stored."""


class EverySecond:
    """Plays the faults in turn, one at every second request. `requests` counts all."""

    def __init__(self, listed):
        self.requests = 0
        self._listed = listed

    def fault(self):
        return Fault("every second", self._play)

    async def _play(self, request, serve_normally):
        self.requests += 1
        turn, normal = divmod(self.requests, 2)
        if normal:
            return await serve_normally()
        return await self._listed[turn % len(self._listed)].play(request, serve_normally)


def all_events(count):
    """Return events of each shape, of several organizations."""
    shapes = cycle(SHAPES)
    return [
        event(number, **NULLS | {"organization": f"org{number % 5}.atlassian.net"} | next(shapes))
        for number in range(count)
    ]


def settings_for(endpoint, kafka):
    cluster = {"kind": "elasticsearch", "endpoint": endpoint, "max_events": 20, "max_requests": 2}
    return Settings.model_validate(
        {
            "kafka": kafka,
            "consumer": {"start": "earliest", "linger_seconds": 0.05},
            "destinations": {"soc": cluster},
        }
    )


async def test_each_event_is_one_document_after_faults_and_a_kill(opensearch, kafka, prefix, monkeypatch):
    """Every second request meets a fault; a process is killed meanwhile, and the next one goes on.

    Each document is then read back from OpenSearch itself, under the id of its event, field by field.
    """
    async with (
        flows(opensearch),
        faulty_way(opensearch.endpoint) as way,
        pipeline_world(kafka, prefix, monkeypatch) as world,
    ):
        monkeypatch.setattr(
            world, "settings", lambda **_: settings_for(way.url, world.connection.kafka), raising=False
        )
        script = EverySecond(FAULTS)
        way.faults.add(script.fault(), rate=1, only=lambda request: request.path.endswith("_bulk"))
        events = all_events(600)
        await world.publish(events[:300])
        process = await world.start_process()
        try:
            await wait_until(lambda: script.requests >= 4)
        finally:
            process.kill()
            await process.wait()
        await world.publish(events[300:])
        async with world.consuming(timing=TIMING):
            await opensearch.wait_for_count(LIVE, len(events))
        assert script.requests >= 2 * len(FAULTS)
        documents = by_id(await opensearch.documents(LIVE))
        assert documents == {ecs.uid(each): ecs.document(each) for each in events}
        assert await opensearch.documents("jira-audit-history-*") == []
        assert await world.dead_letters() == []


def by_id(documents):
    assert len({each["_id"] for each in documents}) == len(documents)
    return {each["_id"]: {k: v for k, v in each.items() if k not in {"_id", "_index"}} for each in documents}
