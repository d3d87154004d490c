"""The simulated cluster answers as the documentation says, read by a client that shares no code with the relay.

tests/consumer/destinations/elasticsearch/test_opensearch.py holds its answers against those of a real OpenSearch.
"""

import gzip

import httpx
import pytest

from simulators import faults
from simulators.elasticsearch.cluster import SimulatedCluster
from simulators.elasticsearch.objects import ClusterError, Index
from tests.support.bulk_questions import DOCUMENT, MONTH, QUESTIONS, STREAM, create, lines, shape

ONE = lines((create("a/1"), DOCUMENT))


@pytest.fixture
async def cluster():
    async with SimulatedCluster() as one:
        yield one


@pytest.fixture
async def client(cluster):
    async with httpx.AsyncClient(base_url=cluster.endpoint, trust_env=False) as one:
        yield one


async def test_each_question_has_an_answer(client):
    """Created is 201, there already 409, and one document's fault is its own."""
    found = {}
    for name, (path, body) in QUESTIONS.items():
        response = await client.post(f"/{path}", content=body)
        found[name] = shape(response.json(), response.status_code)
    assert found["created"] == (200, False, [("create", 201), ("create", 201)])
    assert found["there already"] == (200, True, [("create", 409), ("create", 201)])
    assert found["twice in a body"] == (200, True, [("create", 201), ("create", 409)])
    assert (
        found["no timestamp"] == found["broken document"] == (200, True, [("create", 400), ("create", 201)])
    )
    assert found["required data stream"] == (200, False, [("create", 201)])
    assert {
        found[name]
        for name in ("broken action", "no line end", "no documents", "long id", "unknown parameter")
    } == {400}


async def test_an_id_is_unique_within_one_backing_index(client, cluster):
    """After a rollover the same id is created once more."""
    for _ in range(2):
        assert not (await client.post(f"/{STREAM}/_bulk", content=ONE)).json()["errors"]
        cluster.objects.streams[STREAM].rollover()
    assert cluster.stored_ids(STREAM) == ["a/1", "a/1"]
    response = await client.post(f"/{STREAM}/_search", json={"query": {"ids": {"values": ["a/1", "a/2"]}}})
    assert [hit["_id"] for hit in response.json()["hits"]["hits"]] == ["a/1", "a/1"]


async def test_the_failure_store_answers_201(client, cluster):
    cluster.bulk.diverts = True
    cluster.bulk.poisons.add("a/1")
    (item,) = (await client.post(f"/{STREAM}/_bulk", content=ONE)).json()["items"]
    assert (item["create"]["status"], item["create"]["failure_store"]) == (201, "used")
    assert cluster.stored_ids(STREAM) == []


async def test_names_are_resolved_and_created(client, cluster):
    """A data stream needs a template, and each name belongs to one object."""
    assert (
        (await client.put("/_data_stream/other"))
        .json()["error"]["reason"]
        .startswith("no matching index template")
    )
    assert (await client.put(f"/_data_stream/{STREAM}")).status_code == 200
    assert (await client.put(f"/_data_stream/{STREAM}")).json()["error"][
        "type"
    ] == "resource_already_exists_exception"
    cluster.objects.indices[MONTH] = Index(MONTH, closed=True)
    cluster.objects.aliases["logs-alias-x"] = MONTH
    assert (await client.put("/_data_stream/logs-alias-x")).status_code == 500
    answer = (await client.get("/_resolve/index/*")).json()
    assert [each["name"] for each in answer["data_streams"]] == [STREAM]
    assert answer["indices"] == [{"name": MONTH, "attributes": ["closed"]}]
    assert answer["aliases"] == [{"name": "logs-alias-x", "indices": [MONTH]}]
    assert (await client.post("/_index_template/_simulate_index/other")).json() == {}


@pytest.mark.parametrize(
    ("quirk", "status", "kind"),
    [
        ("auto_create", 404, "index_not_found_exception"),
        ("full", 400, "validation_exception"),
        ("closed", 400, "index_closed_exception"),
        ("block", 403, "cluster_block_exception"),
        ("busy", 429, "es_rejected_execution_exception"),
    ],
)
async def test_a_quirk_is_switched_on_and_off(quirk, status, kind, client, cluster):
    body = lines((create("a/1", _index=MONTH), DOCUMENT))
    index = Index(MONTH)
    if quirk in {"closed", "block"}:
        cluster.objects.indices[MONTH] = index
    index.closed = quirk == "closed"
    index.block = ClusterError(403, "cluster_block_exception", "blocked") if quirk == "block" else None
    cluster.objects.auto_create = quirk != "auto_create"
    cluster.objects.full = quirk == "full"
    cluster.bulk.busy = quirk == "busy"
    (item,) = (await client.post("/_bulk", content=body)).json()["items"]
    assert (item["create"]["status"], item["create"]["error"]["type"]) == (status, kind)
    cluster.clear_faults()
    cluster.objects.auto_create = True
    assert not (await client.post("/_bulk", content=body)).json()["errors"]


async def test_credential_rights_size_and_encoding_are_checked(client, cluster):
    cluster.authorization = "ApiKey x"
    assert (await client.post("/_bulk", content=ONE)).status_code == 401
    client.headers["Authorization"] = "ApiKey x"
    cluster.may_write = False
    assert (await client.post(f"/{STREAM}/_bulk", content=ONE)).status_code == 403
    cluster.may_write = True
    assert (await client.post(f"/{STREAM}/_bulk?pipeline=x", content=ONE)).status_code == 400
    packed = {"Content-Encoding": "gzip"}
    assert (await client.post(f"/{STREAM}/_bulk", content=b"x", headers=packed)).status_code == 400
    assert (
        await client.post(f"/{STREAM}/_bulk", content=gzip.compress(ONE), headers=packed)
    ).status_code == 200
    cluster.max_content_length = 10
    assert (await client.post(f"/{STREAM}/_bulk", content=ONE)).status_code == 413
    assert (await client.get("/nowhere")).status_code == 400
    cluster.fault(faults.respond_with(503), times=1)
    assert (await client.get("/")).status_code == 503


async def test_an_answer_holds_what_the_filter_names(client):
    path = f"/{STREAM}/_bulk?filter_path=errors,items.*.status,items.*.error"
    assert (await client.post(path, content=ONE)).json() == {
        "errors": False,
        "items": [{"create": {"status": 201}}],
    }


async def test_opensearch_tells_its_name_and_knows_no_required_streams():
    async with (
        SimulatedCluster(opensearch=True, version="3.8.0") as cluster,
        httpx.AsyncClient(base_url=cluster.endpoint, trust_env=False) as client,
    ):
        response = await client.get("/")
        assert response.json()["version"]["distribution"] == "opensearch"
        assert "x-elastic-product" not in response.headers
        assert (
            await client.post(f"/{STREAM}/_bulk?require_data_stream=true", content=ONE)
        ).status_code == 400
        assert (await client.post("/_security/user/_has_privileges", json={})).status_code == 400
