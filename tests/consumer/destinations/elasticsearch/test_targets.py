"""Where documents go: looks before the first one, products and versions, rights, routes, months, and `check`."""

import pytest

from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.outcome import Partial, Paused, Retry, Sent
from management.connection_checks import _test_destination
from simulators import faults
from simulators.elasticsearch.cluster import SimulatedCluster
from simulators.elasticsearch.objects import Index, Template
from tests.support.cluster import body_of, flows_to
from tests.support.messages import event
from tests.support.sending import sent_at_last

LIVE = "logs-atlassian_jira.audit-default"


def paths(cluster):
    return [f"{call.method} {call.path}" for call in cluster.calls]


@pytest.mark.parametrize(
    ("opensearch", "version"), [(False, "9.1.0"), (False, "8.12.2"), (False, "7.17.9"), (True, "3.8.0")]
)
async def test_each_product_and_version_takes_documents(opensearch, version):
    """A parameter that an older one does not know is left out from then on; one look serves all bodies."""
    async with (
        SimulatedCluster(opensearch=opensearch, version=version) as cluster,
        flows_to(cluster.endpoint) as flows,
    ):
        for number in range(3):
            for flow in flows.values():
                assert await flow.send(body_of(flow, event(number))) == Sent()
        assert len(cluster.stored_ids(LIVE)) == len(cluster.stored_ids("jira-audit-history")) == 3
        live = [call for call in cluster.calls if call.path == f"/{LIVE}/_bulk"]
        assert ("require_data_stream" in live[-1].parameters) == (version == "9.1.0")
        assert len(live) == 3 + (version in {"8.12.2", "7.17.9"})
        assert len([path for path in paths(cluster) if "_resolve" in path]) == 2
        assert all(call.parameters["pipeline"] == "_none" for call in live)


@pytest.mark.parametrize("opensearch", [False, True])
@pytest.mark.parametrize("kind", ["index", "alias"])
async def test_a_name_of_another_object_pauses_until_it_is_free(kind, opensearch):
    """Nothing is written to it; when it is gone, the same events are accepted without a restart."""
    async with SimulatedCluster(opensearch=opensearch) as cluster, flows_to(cluster.endpoint) as flows:
        objects, live = cluster.objects, flows["live"]
        taken = objects.indices if kind == "index" else objects.aliases
        taken[LIVE] = Index(LIVE) if kind == "index" else "another"
        for _ in range(2):
            outcome = await live.send(body_of(live))
            assert isinstance(outcome, Paused)
            assert f"{LIVE} belongs to another object of the cluster, of the type {kind}" in outcome.reason
            assert isinstance(await live.probe(), Paused)
        assert not objects.arrived
        del taken[LIVE]
        assert await live.send(body_of(live)) == Sent()


async def test_an_object_that_takes_the_name_later_is_refused_by_elasticsearch():
    """The look holds for minutes; require_data_stream holds at each request."""
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint) as flows:
        live = flows["live"]
        assert await live.send(body_of(live)) == Sent()
        del cluster.objects.streams[LIVE]
        cluster.objects.indices[LIVE] = Index(LIVE)
        outcome = await live.send(body_of(live, event(2)))
        assert isinstance(outcome, Paused)
        assert "is not a data stream" in outcome.reason
        assert "of the type index" in (await live.send(body_of(live, event(2)))).reason


async def test_a_month_of_another_object_pauses_history_alone():
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint) as flows:
        cluster.objects.aliases["jira-audit-history-2025.12"] = "another"
        cluster.objects.aliases["jira-audit-history-not-a-month"] = "another"
        outcome = await flows["history"].send(body_of(flows["history"]))
        assert isinstance(outcome, Paused)
        assert "jira-audit-history-2025.12 belongs to another object" in outcome.reason
        assert await flows["live"].send(body_of(flows["live"])) == Sent()


@pytest.mark.parametrize("opensearch", [False, True])
@pytest.mark.parametrize("templates", [[], [Template(("*",), properties=("message",))]])
async def test_without_a_template_of_the_relay_nothing_is_written(templates, opensearch):
    """Neither by `check` nor by an event: the type of a field that was guessed can never be changed."""
    async with SimulatedCluster(opensearch=opensearch) as cluster, flows_to(cluster.endpoint) as flows:
        loaded, cluster.objects.templates = cluster.objects.templates, templates
        for flow in flows.values():
            for outcome in (await flow.probe(), await flow.send(body_of(flow))):
                assert isinstance(outcome, Paused)
                assert "Load the templates of deploy/elasticsearch" in outcome.reason
        assert not cluster.objects.indices
        cluster.objects.templates = loaded
        for flow in flows.values():
            assert await flow.send(body_of(flow)) == Sent()


async def test_a_credential_that_may_not_look_writes_all_the_same():
    """Elasticsearch holds require_data_stream itself; OpenSearch has a data stream already, or says who may make one."""
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint) as flows:
        cluster.may_look = False
        for flow in flows.values():
            assert await flow.send(body_of(flow)) == Sent()
            assert await flow.probe() == Sent()


@pytest.mark.parametrize(
    ("opensearch", "version", "note"),
    [
        (False, "9.1.0", "Elasticsearch 9.1"),
        (True, "3.8.0", "OpenSearch 3.8; the right to create documents shows with the first event"),
    ],
)
async def test_check_shows_product_and_version(opensearch, version, note):
    """And what it cannot know without writing."""
    async with (
        SimulatedCluster(opensearch=opensearch, version=version) as cluster,
        flows_to(cluster.endpoint) as flows,
    ):
        assert (await flows["live"].probe()).note == note
        config = ElasticsearchConfig(kind="elasticsearch", endpoint=cluster.endpoint)
        test = await _test_destination("soc", config, "tester")
        assert f"{LIVE} ({note})" in test.message


async def test_check_names_a_missing_right_and_an_old_version():
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint) as flows:
        cluster.may_write = False
        for outcome in (await flows["live"].probe(), await flows["live"].send(body_of(flows["live"]))):
            assert isinstance(outcome, Paused)
            assert "create_doc" in outcome.reason
    async with SimulatedCluster(version="7.8.1") as cluster, flows_to(cluster.endpoint) as flows:
        assert "Elasticsearch 7.8 has no data streams" in (await flows["live"].probe()).reason
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint) as flows:
        cluster.fault(faults.respond_with(200, "<html>", content_type="text/html"))
        assert "neither Elasticsearch nor OpenSearch" in (await flows["live"].probe()).reason
        cluster.fault(faults.respond_with(503))
        assert isinstance(await flows["live"].probe(), Retry)
        assert await flows["live"].probe() == Sent()
        assert not cluster.objects.streams


async def test_a_server_that_knows_only_bulk_requests_takes_documents():
    """Compatible servers have no data streams and no templates to look at."""
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint) as flows:
        for status in (404, 405):
            for flow in flows.values():
                cluster._faults.add(
                    faults.respond_with(status, "no such page"),
                    rate=1,
                    only=lambda request: "_bulk" not in request.path,
                )
                assert await flow.send(body_of(flow, event(status))) == Sent()
                cluster.clear_faults()


async def test_organizations_have_their_own_names_live_and_in_history():
    """Two organizations never meet in history either; the month is that of the event."""
    names = {"b.atlassian.net": "logs-atlassian_jira.audit-b"}
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint, by_organization=names) as flows:
        at = 1_767_225_600_000
        for flow in flows.values():
            for organization in ("a.atlassian.net", "b.atlassian.net"):
                route = flow.limits.routes.get(organization)
                body = body_of(flow, event(1, organization=organization, created=at), route=route)
                assert await flow.send(body) == Sent()
        assert {
            name: [each["_id"] for each in arrived] for name, arrived in cluster.objects.arrived.items()
        } == {
            LIVE: ["a.atlassian.net/1"],
            "logs-atlassian_jira.audit-b": ["b.atlassian.net/1"],
            "jira-audit-history-2026.01": ["a.atlassian.net/1"],
            "jira-audit-history-logs-atlassian_jira.audit-b-2026.01": ["b.atlassian.net/1"],
        }


async def test_a_repeat_is_refused_until_a_rollover():
    """A lost answer costs no second document; after a rollover the same id is free again, as the page says."""
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint, 1.0) as flows:
        live = flows["live"]
        body = body_of(live, event(1), event(2))
        await sent_at_last(lambda: live.send(body_of(live, event(1))))
        for fault in (
            faults.reset(after_processing=True),
            faults.reset_in_body(),
            faults.truncated_body(),
            faults.cut_body(),
            faults.hang(after_processing=True),
        ):
            cluster.bulk_fault(fault)
            assert isinstance(await live.send(body), Retry), fault.name
            await sent_at_last(lambda: live.send(body))
        assert cluster.stored_ids(LIVE) == ["acme.atlassian.net/1", "acme.atlassian.net/2"]
        cluster.objects.streams[LIVE].rollover()
        await sent_at_last(lambda: live.send(body))
        assert len(cluster.stored_ids(LIVE)) == 4


async def test_a_diverted_document_is_a_dead_letter_and_no_document():
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint) as flows:
        live = flows["live"]
        cluster.bulk.diverts = True
        cluster.bulk.poisons.add("acme.atlassian.net/2")
        outcome = await live.send(body_of(live, event(1), event(2)))
        assert isinstance(outcome, Partial)
        assert "diverted to the failure store" in outcome.rejected[1]
        assert cluster.stored_ids(LIVE) == ["acme.atlassian.net/1"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layout": "monthly", "index": "jira-audit-history-x", "format": "native"},
        {"compression": "none"},
        {"format": "ocsf"},
    ],
)
async def test_an_id_of_another_program_is_named(settings):
    """The event is not there, although the answer is a conflict; repeats beside it are accepted."""
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint, **settings) as flows:
        live = flows["live"]
        events = [event(number) for number in range(4)]
        assert await live.send(body_of(live, *events)) == Sent()
        for objects in (
            *cluster.objects.indices.values(),
            *(each.backing[-1] for each in cluster.objects.streams.values()),
        ):
            objects.documents["acme.atlassian.net/1"] = {"message": "of another program"}
            objects.documents["acme.atlassian.net/2"] = {"uid": "acme.atlassian.net/9"}
        cluster.bulk.poisons.add("acme.atlassian.net/4")
        for events_sent, rejected in ((events, {1, 2}), ([*events, event(4)], {1, 2, 4})):
            outcome = await live.send(body_of(live, *events_sent))
            assert isinstance(outcome, Partial)
            assert outcome.rejected.keys() == rejected
            assert "acme.atlassian.net/1 belongs to another program" in outcome.rejected[1]
        cluster.bulk.poisons.clear()
        cluster.may_look = False
        assert await live.send(body_of(live, *events)) == Sent()


async def test_a_repeat_is_accepted_whatever_a_search_answers():
    """It has no say in anything but ids of another program."""
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint) as flows:
        live = flows["live"]
        assert await live.send(body_of(live)) == Sent()
        for fault in (
            faults.respond_with(404),
            faults.respond_with(503),
            faults.reset(),
            faults.respond_with(200, "{}"),
            faults.respond_with(200, "<html>"),
            faults.respond_with(200, '{"hits": {"hits": [{"_id": "acme.atlassian.net/1"}]}}'),
        ):
            cluster._faults.add(fault, only=lambda request: "_search" in request.path)
            assert await live.send(body_of(live)) == Sent(), fault.name


async def test_a_cluster_that_fails_at_a_look_is_asked_again():
    async with SimulatedCluster() as cluster, flows_to(cluster.endpoint) as flows:
        for flow in flows.values():
            for status, outcome in ((503, Retry), (429, Retry), (401, Paused)):
                cluster.fault(faults.respond_with(status), times=1)
                assert type(await flow.send(body_of(flow))) is outcome
            assert await flow.send(body_of(flow)) == Sent()
        del cluster.objects.streams[LIVE]
    async with SimulatedCluster(opensearch=True) as cluster, flows_to(cluster.endpoint) as flows:
        cluster.objects.full = True
        outcome = await flows["live"].send(body_of(flows["live"]))
        assert isinstance(outcome, Paused)
        assert "cluster.max_shards_per_node" in outcome.reason
