"""A real OpenSearch as the judge: templates, documents field by field, repeats, and its own answers."""

import asyncio
import gzip
from dataclasses import replace

import httpx

from consumer.destinations.outcome import Partial, Paused, Retry, Sent, Split
from simulators.elasticsearch.cluster import SimulatedCluster
from tests.support import ecs, ocsf
from tests.support.bulk_questions import QUESTIONS, shape
from tests.support.cluster import body_of, flows, flows_to
from tests.support.messages import event

LIVE = "logs-atlassian_jira.audit-default"
NULLS = dict.fromkeys(
    ("category", "description", "eventSource", "remoteAddress", "authorKey", "authorAccountId", "objectItem", "changedValues",
     "associatedItems", "unmodeled", "variant")
)  # fmt: skip
USER = {"id": "ug:1", "name": 'Zoë "Z" Müller', "typeName": "USER", "parentId": "1", "parentName": None}
GROUP = {"id": None, "name": "staff\\n", "typeName": "GROUP", "parentId": None, "parentName": None}
EVENTS = [
    event(1, **NULLS),
    event(2, **NULLS | {"summary": None, "remoteAddress": "10.1.2.3", "authorKey": "ug:2", "authorAccountId": "5b10"}),
    event(3, **NULLS | {"summary": "User added to group", "category": "group management", "objectItem": GROUP, "associatedItems": [USER]}),
    event(4, **NULLS | {"remoteAddress": "fe80::1%eth0", "description": "\u2028 \x00 'a\":null,b'", "unmodeled": '{"x": [1, null]}'}),
    event(5, **NULLS | {"remoteAddress": "2001:db8::1", "changedValues": [{"fieldName": "Email", "changedFrom": None, "changedTo": "a@b.c"}]}),
    event(6, **NULLS | {"created": -(2**62), "collected": 2**62, "eventSource": "", "associatedItems": [], "changedValues": []}),
    event(7, **NULLS | {"created": 2**62, "variant": "00000000000000ab", "organization": "ö" * 300}),
    event(8, **NULLS | {"summary": "Permission scheme updated", "category": "permissions", "id": -(2**63)}),
]  # fmt: skip


def by_id(documents):
    assert len({each["_id"] for each in documents}) == len(documents)
    return {each["_id"]: {k: v for k, v in each.items() if k not in {"_id", "_index"}} for each in documents}


async def test_every_field_is_read_back(opensearch):
    """Live and history: the documents are those of plain Python, under the ids of their events."""
    async with flows(opensearch) as opened:
        for flow, index in (("live", LIVE), ("history", "jira-audit-history-*")):
            assert await opened[flow].send(body_of(opened[flow], *EVENTS)) == Sent()
            found = by_id(await opensearch.documents(index))
            expected = {ecs.uid(each): ecs.document(each) for each in EVENTS}
            long = ecs.uid(EVENTS[6])
            (hashed,) = found.keys() - expected.keys()
            assert hashed.startswith("sha256:")
            assert found == {hashed if uid == long else uid: each for uid, each in expected.items()}


async def test_every_field_has_the_type_of_the_template(opensearch):
    """Nothing is guessed: the mapping after the documents is that of the file, and each kind of field finds its document."""
    async with flows(opensearch) as opened:
        assert await opened["live"].send(body_of(opened["live"], *EVENTS)) == Sent()
    template = await opensearch.call("GET", "_component_template/jira-audit-relay")
    wanted = template["component_templates"][0]["component_template"]["template"]["mappings"]
    (mapping,) = (await opensearch.call("GET", f"{LIVE}/_mapping")).values()
    assert mapping["mappings"]["properties"] == wanted["properties"]
    for query, ids in (
        ({"term": {"source.ip": "10.0.0.0/8"}}, {2}),
        ({"term": {"source.address": "fe80::1%eth0"}}, {4}),
        ({"term": {"jira.audit.affected_objects.name": 'Zoë "Z" Müller'}}, {3}),
        ({"term": {"jira.audit.changed_values.to": "a@b.c"}}, {5}),
        ({"term": {"event.category": "iam"}}, {1, 3, 4, 5, 6, 7, 8}),
        ({"term": {"user.target.group.name": "staff\\n"}}, {3}),
        ({"range": {"@timestamp": {"gte": "9999-12-31"}}}, {7}),
        ({"range": {"@timestamp": {"lt": "0001-01-02"}}}, {6}),
        ({"term": {"jira.audit.created_ms": -(2**62)}}, {6}),
        ({"term": {"related.hosts": "acme.atlassian.net"}}, {1, 2, 3, 4, 5, 6, 8}),
    ):
        found = await opensearch.documents(LIVE, query)
        assert {int(each["event"]["id"]) if int(each["event"]["id"]) > 0 else 8 for each in found} == ids, (
            query
        )


async def test_native_documents_are_read_back(opensearch):
    """Jira's own names, and @timestamp."""
    async with flows(opensearch, format="native") as opened:
        assert await opened["live"].send(body_of(opened["live"], *EVENTS)) == Sent()
        assert await opened["history"].send(body_of(opened["history"], *EVENTS)) == Sent()
    for index in (LIVE, "jira-audit-history-*"):
        found = {each["uid"]: each for each in await opensearch.documents(index)}
        assert found.keys() == {ecs.uid(each) for each in EVENTS}
        for each in EVENTS:
            document = found[ecs.uid(each)]
            for name, value in ecs.without_nulls(each).items():
                assert document[name] == value
            assert document["@timestamp"] == ecs.iso(each["created"])


async def test_ocsf_documents_are_read_back(opensearch):
    async with flows(opensearch, format="ocsf") as opened:
        assert await opened["live"].send(body_of(opened["live"], *EVENTS)) == Sent()
    found = by_id(await opensearch.documents(LIVE, {"term": {"class_uid": 3004}})).values()
    for each in EVENTS:
        assert {"@timestamp": ecs.iso(each["created"])} | ocsf.document(each) in found


async def test_a_repeat_makes_no_second_document(opensearch):
    """In a data stream until it rolls over, and in the indices of months for ever; also beside new documents."""
    async with flows(opensearch) as opened:
        live, history = opened["live"], opened["history"]
        for numbers in ((1, 2), (1, 2), (2, 3)):
            assert await live.send(body_of(live, *map(event, numbers))) == Sent()
            assert await history.send(body_of(history, *map(event, numbers))) == Sent()
        assert (
            len(await opensearch.documents(LIVE))
            == len(await opensearch.documents("jira-audit-history-*"))
            == 3
        )
        await opensearch.call("POST", f"{LIVE}/_rollover")
        assert await live.send(body_of(live, event(1))) == Sent()
        again = await opensearch.documents(LIVE)
        assert sorted(each["jira"]["audit"]["uid"][-1] for each in again) == ["1", "1", "2", "3"]


async def test_an_id_of_another_program_is_named(opensearch):
    """The event is not there, although the cluster answers that its document is."""
    async with flows(opensearch) as opened:
        live = opened["live"]
        assert await live.send(body_of(live)) == Sent()
        await opensearch.call(
            "PUT", f"{LIVE}/_create/acme.atlassian.net%2F2?refresh=true", {"@timestamp": 0, "message": "x"}
        )
        outcome = await live.send(body_of(live, event(1), event(2), event(3)))
        assert isinstance(outcome, Partial)
        assert outcome.rejected.keys() == {1}
        assert "acme.atlassian.net/2 belongs to another program" in outcome.rejected[1]


async def test_events_go_to_the_index_of_their_month(opensearch):
    """By their own time; a wild time makes no index of its own. The layout monthly does so for new events too."""
    times = {"2026.01": 1_767_225_600_000, "2025.12": 1_767_225_599_999, "undated": 2**50}
    events = [event(number, created=created) for number, created in enumerate(times.values())]
    async with flows(opensearch, index="jira-audit-history-x", layout="monthly") as opened:
        for flow, index in (("live", "jira-audit-history-x"), ("history", "jira-audit-history")):
            assert await opened[flow].send(body_of(opened[flow], *events)) == Sent()
            found = await opensearch.documents(f"{index}-2*,{index}-undated")
            assert {each["_index"] for each in found} == {f"{index}-{month}" for month in times}


async def test_a_document_that_does_not_fit_is_named_with_the_reason(opensearch):
    """The others are stored; a body of none that fits names each."""
    async with flows(opensearch) as opened:
        live = opened["live"]
        assert await live.send(body_of(live)) == Sent()
        bad = {"properties": {"later": {"type": "ip"}}}
        await opensearch.call("PUT", f"{LIVE}/_mapping", bad)
        body = body_of(live, event(2), event(3))
        for change, rejected in (((b"3", b"3"), {1}), ((b"", b""), {0, 1})):
            content = _with_field(body, change[0])
            outcome = await live.send(content)
            assert isinstance(outcome, Partial)
            assert outcome.rejected.keys() == rejected
            assert not outcome.retry
            assert all(
                "failed to parse field [later] of type [ip]" in each for each in outcome.rejected.values()
            )


def _with_field(body, uid):
    """The body with a field that is no IP address in the documents whose action line ends so."""
    lines = gzip.decompress(body.content).split(b"\n")
    for number in range(0, len(lines) - 1, 2):
        if uid + b'"}}' in lines[number]:
            lines[number + 1] = lines[number + 1].rstrip()[:-1] + b',"later":"nonsense"}'
    return replace(body, content=gzip.compress(b"\n".join(lines)))


async def test_blocks_pause_or_wait_and_end(opensearch):
    """Each is named, and no document is blamed; afterwards the same body is accepted."""
    created = 1_767_225_600_000
    index = "jira-audit-history-2026.01"
    async with flows(opensearch) as opened:
        history = opened["history"]
        assert await history.send(body_of(history, event(1, created=created))) == Sent()
        body = body_of(history, event(2, created=created), event(3, created=created + 40 * 86_400_000))

        async def outcome(settings):
            await opensearch.call("PUT", f"{index}/_settings", settings)
            return await history.send(body)

        found = await outcome({"index.blocks.write": True})
        assert isinstance(found, Partial)
        assert (found.rejected, found.retry) == ({}, {0})
        assert "is blocked" in found.reason
        body = body_of(history, event(2, created=created))
        assert "is blocked" in (await outcome({"index.blocks.write": True})).reason
        found = await outcome({"index.blocks.write": None, "index.blocks.read_only_allow_delete": True})
        assert isinstance(found, Retry)
        assert "disks are full" in found.reason
        await outcome({"index.blocks.read_only_allow_delete": None})
        await opensearch.call("POST", f"{index}/_close")
        found = await history.send(body_of(history, event(4, created=created)))
        assert isinstance(found, Paused)
        assert "is closed" in found.reason
        await opensearch.call("POST", f"{index}/_open?wait_for_active_shards=1")
        assert await history.send(body_of(history, event(4, created=created))) == Sent()
        await opensearch.call("PUT", "_cluster/settings", {"persistent": {"cluster.blocks.read_only": True}})
        found = await history.send(body)
        await opensearch.call("PUT", "_cluster/settings", {"persistent": {"cluster.blocks.read_only": None}})
        assert isinstance(found, Paused)
        assert "cluster.blocks.read_only" in found.reason


async def test_another_object_of_the_same_name_is_never_written_to(opensearch):
    """An index or an alias in place of the data stream, and an alias in place of a month."""
    async with flows(opensearch) as opened:
        await opensearch.call("PUT", "taken-index")
        await opensearch.call(
            "POST", "_aliases", {"actions": [{"add": {"index": "taken-index", "alias": "taken-alias"}}]}
        )
        for name, kind in (("taken-index", "index"), ("taken-alias", "alias")):
            async with flows_to(opensearch.endpoint, index=name) as others:
                for outcome in (
                    await others["live"].send(body_of(others["live"])),
                    await others["live"].probe(),
                ):
                    assert isinstance(outcome, Paused)
                    assert (
                        f"{name} belongs to another object of the cluster, of the type {kind}"
                        in outcome.reason
                    )
        month = {"actions": [{"add": {"index": "taken-index", "alias": "jira-audit-history-2026.01"}}]}
        await opensearch.call("POST", "_aliases", month)
        outcome = await opened["history"].send(
            body_of(opened["history"], event(1, created=1_767_225_600_000))
        )
        assert isinstance(outcome, Paused)
        assert "jira-audit-history-2026.01 belongs to another object" in outcome.reason
        assert await opensearch.documents("taken-index") == []
        await opensearch.call("DELETE", "taken-index")


async def test_a_cluster_without_templates_is_not_written_to(opensearch):
    """No field's type is guessed, and no index takes the place of the data stream; both heal when the templates are there."""
    async with flows(opensearch) as opened:
        for template in ("live", "history"):
            await opensearch.call("DELETE", f"_index_template/jira-audit-relay-{template}")
        for flow in opened.values():
            for outcome in (await flow.send(body_of(flow)), await flow.probe()):
                assert isinstance(outcome, Paused)
                assert "Load the templates of deploy/elasticsearch" in outcome.reason
        names = (await opensearch.call("GET", "_resolve/index/*"))["indices"]
        assert not [each for each in names if "audit" in each["name"]]
        await opensearch.load_templates()
        for flow in opened.values():
            assert await flow.probe() == Sent()
            assert await flow.send(body_of(flow)) == Sent()


async def test_limits_of_the_cluster(opensearch):
    """A body above http.max_content_length is split, and a text that Lucene would refuse is truncated with a mark."""
    async with flows(opensearch, compression="none") as opened:
        live = opened["live"]
        long = "ü" * 20_000
        events = [event(number, description=long) for number in range(100)]
        assert isinstance(await live.send(body_of(live, *events)), Split)
        assert await live.send(body_of(live, *events[:10])) == Sent()
        item = {"id": "1", "name": long, "typeName": "USER", "parentId": None, "parentName": None}
        assert (
            await live.send(body_of(live, event(200, summary=long, objectItem=item, authorKey=long)))
            == Sent()
        )
        (found,) = await opensearch.documents(LIVE, {"term": {"event.id": "200"}})
        assert (
            "name was cut by jira-relay: 40000 bytes" in found["jira"]["audit"]["affected_objects"][0]["name"]
        )


async def test_requests_at_a_time_make_each_document_once(opensearch):
    """Bodies that overlap race for the data stream, and for the same ids."""
    async with flows(opensearch) as opened:
        live = opened["live"]
        bodies = [body_of(live, *map(event, range(start, start + 50))) for start in range(0, 200, 10)]
        assert await asyncio.gather(*map(live.send, bodies)) == [Sent()] * len(bodies)
        assert len(await opensearch.documents(LIVE)) == 240


async def test_the_simulated_cluster_answers_alike(opensearch):
    """The same requests, in the same order, have the same statuses in both."""
    await opensearch.load_templates()
    template = {"index_patterns": ["logs-*-*"], "data_stream": {}, "priority": 1}
    await opensearch.call("PUT", "_index_template/questions", template)
    async with (
        SimulatedCluster(opensearch=True) as cluster,
        httpx.AsyncClient(trust_env=False, timeout=240) as client,
    ):
        for name, (path, body) in QUESTIONS.items():
            answers = []
            for endpoint in (cluster.endpoint, opensearch.endpoint):
                headers = {"Content-Type": "application/x-ndjson"}
                response = await client.post(f"{endpoint}/{path}", content=body, headers=headers)
                answers.append(shape(response.json(), response.status_code))
            assert answers[0] == answers[1], name
    await opensearch.call("DELETE", "_data_stream/logs-questions.*")
    await opensearch.call("DELETE", "_index_template/questions")
