"""One outcome for each answer of a cluster, and for each answer to a document."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.destinations.elasticsearch.response import (
    BulkContext,
    ClusterResponse,
    classify,
    classify_status,
)
from consumer.destinations.outcome import Outcome, Partial, Paused, Reject, Retry, Sent, Split

TARGET = BulkContext("soc", "logs-x")
STATUSES = {
    Sent: (200,),
    Retry: (408, 425, 429, 500, 502, 503, 504, 599),
    Split: (413,),
    Paused: (201, 202, 204, 300, 301, 302, 307, 308, 400, 401, 403, 404, 405, 406, 407, 409, 410, 415, 451),
}  # fmt: skip


def item(status, kind=None, reason="a reason", **members):
    """The answer to one document, with this error if it has a type."""
    error = (
        {}
        if kind is None
        else {
            "error": {
                "type": kind,
                "reason": reason,
                "index": "logs-x",
                "caused_by": {"type": "x", "reason": "a cause"},
            }
        }
    )
    return {"create": {"status": status, **error, **members}}  # fmt: skip


def answered(*items, rows=None, status=200):
    content = orjson.dumps({"errors": True, "items": items})
    return classify(ClusterResponse(status, {}, content), TARGET, len(items) if rows is None else rows, 0)


def refused(status, kind, reason="a reason", **headers):
    content = orjson.dumps({"error": {"type": kind, "reason": reason}, "status": status})
    return classify(ClusterResponse(status, headers, content), TARGET, 3, 0)


@pytest.mark.parametrize(("status", "outcome"), [(s, kind) for kind, each in STATUSES.items() for s in each])
def test_a_status_has_its_outcome(status, outcome):
    """The table of docs/destinations/elasticsearch.md."""
    assert type(classify_status(status)) is outcome


CREATED = item(201)
ACCEPTED = {
    "created": CREATED,
    "there already": item(409, "version_conflict_engine_exception"),
    "a conflict without its type": item(409),
    "no failure store": item(201, failure_store="not_applicable_or_unknown"),
}
REJECTED = {
    "mapping": item(400, "mapper_parsing_exception"),
    "document": item(400, "document_parsing_exception"),
    "illegal": item(400, "illegal_argument_exception", "Document contains at least one immense term"),
    "too large": item(413, "content_too_long_exception"),
    "the failure store failed too": item(400, "document_parsing_exception", failure_store="failed"),
}
BUSY = {
    "rejected execution": item(429, "es_rejected_execution_exception"),
    "shards": item(503, "unavailable_shards_exception"),
    "timeout": item(408, "process_cluster_event_timeout_exception"),
    "defect": item(500, "null_pointer_exception"),
    "full disk": item(429, "cluster_block_exception", "disk usage exceeded flood-stage watermark"),
}
BLOCKED = {
    "write block": item(403, "cluster_block_exception", "FORBIDDEN/8/index write (api)"),
    "rights": item(403, "security_exception"),
    "login": item(401, "security_exception"),
    "missing": item(404, "index_not_found_exception"),
    "closed": item(400, "index_closed_exception", "closed"),
    "shards": item(400, "validation_exception", "this action would add [2] shards"),
    "shards, by OpenSearch 1": item(400, "illegal_argument_exception", "cluster has [9]/[1] maximum normal shards open"),
    "pipeline": item(400, "illegal_argument_exception", "pipeline with id [x] does not exist"),
    "alias": item(400, "illegal_argument_exception", "no write index is defined for alias [x]"),
    "name": item(400, "invalid_index_name_exception"),
    "not a stream": item(400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams"),
    "another object": item(409, "resource_already_exists_exception"),
    "unknown": item(302),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_document_that_is_there_is_accepted(name):
    assert answered(ACCEPTED[name]) == Sent()


@pytest.mark.parametrize("name", REJECTED)
def test_a_document_that_never_fits_is_rejected_with_its_reason(name):
    """Beside an accepted one, and alone; the cause is a part of the reason."""
    for items in ([CREATED, REJECTED[name]], [REJECTED[name]] * 2):
        outcome = answered(*items)
        assert isinstance(outcome, Partial)
        assert outcome.rejected.keys() == {row for row, each in enumerate(items) if each is not CREATED}
        assert not outcome.retry
        assert "a cause" in outcome.rejected[1]


@pytest.mark.parametrize(
    ("name", "outcome"), [*((name, Retry) for name in BUSY), *((name, Paused) for name in BLOCKED)]
)
def test_a_document_that_is_not_to_blame_is_sent_again(name, outcome):
    """Alone, while others of the body are accepted or rejected; a body of none but such documents waits as a whole."""
    given = (BUSY if outcome is Retry else BLOCKED)[name]
    beside = answered(CREATED, given, REJECTED["mapping"])
    assert isinstance(beside, Partial)
    assert (beside.rejected.keys(), beside.retry) == ({2}, {1})
    whole = answered(given, given)
    assert type(whole) is outcome
    assert whole.reason == beside.reason


def test_a_blocked_document_speaks_for_a_busy_one():
    """An operator must act, so the flow pauses rather than waits."""
    assert isinstance(answered(BUSY["shards"], BLOCKED["closed"]), Paused)


def test_a_diverted_document_is_rejected_by_name():
    """201 with `failure_store: used`: it is stored where no search of the data stream finds it."""
    outcome = answered(CREATED, item(201, failure_store="used"))
    assert outcome.rejected == {
        1: "failure_store: the document was diverted to the failure store of the data stream"
    }


@pytest.mark.parametrize(
    ("content", "rows", "outcome"),
    [
        (b"", 1, Retry),
        (b'{"errors":false,"items":[{"create":{"sta', 1, Retry),
        (b'{"errors":false,"items":[{"create":{"status":201}}]}', 2, Retry),
        (b'{"errors":false,"items":[]}', 1, Retry),
        (b"<html>", 1, Paused),
        (b"{}", 1, Paused),
        (b'{"items":3}', 1, Paused),
        (b"[]", 1, Paused),
        (b'{"errors":false,"items":[{"create":{}}]}', 1, Paused),
        (b'{"errors":false,"items":[{"create":{"status":"201"}}]}', 1, Paused),
        (b'{"errors":false,"items":["x"]}', 1, Paused),
        (b'{"errors":false,"items":[{}]}', 1, Paused),
    ],
)
def test_only_an_answer_that_names_each_document_is_believed(content, rows, outcome):
    """One that broke off is asked for again, since repeats are refused; one of another form is not a cluster's."""
    assert type(classify(ClusterResponse(200, {}, content), TARGET, rows, 0)) is outcome


def test_errors_are_found_although_the_answer_says_there_are_none():
    content = orjson.dumps({"errors": False, "items": [CREATED, REJECTED["mapping"]]})
    assert isinstance(classify(ClusterResponse(200, {}, content), TARGET, 2, 0), Partial)


@pytest.mark.parametrize(
    ("answer", "outcome", "said"),
    [
        (refused(400, "action_request_validation_exception"), Reject, "Validation|a reason"),
        (
            refused(400, "illegal_argument_exception", "pipeline with id [x] does not exist"),
            Paused,
            ".pipeline",
        ),
        (
            refused(403, "cluster_block_exception", "FORBIDDEN/6/cluster read-only (api)"),
            Paused,
            "Remove the block",
        ),
        (refused(429, "cluster_block_exception", "flood-stage"), Retry, "disks are full"),
        (refused(404, "index_not_found_exception"), Paused, "action.auto_create_index"),
        (refused(401, "security_exception"), Paused, "destinations.soc.api_key"),
        (refused(403, "security_exception"), Paused, "create_doc"),
    ],
)
def test_a_refused_request_names_the_remedy(answer, outcome, said):
    assert type(answer) is outcome
    assert any(each in answer.reason for each in said.split("|"))


def test_the_cluster_says_how_long_to_wait():
    assert refused(429, "x", **{"retry-after": "7"}).after == 7
    assert refused(503, "x", **{"retry-after": "9999999"}).after == 900
    assert refused(503, "x").after is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 700) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["status", "error", "type", "reason", "create", "items"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.integers(100, 599), json_values, json_values)
def test_every_answer_means_something(status, first, second):
    """No answer, however odd, is an exception, and a reason is one line; only 201 and 409 are acceptances."""
    for document in (
        first,
        {"items": [first, second]},
        {"items": [{"create": first}, {"create": second}]},
        {"error": first},
    ):
        outcome = classify(ClusterResponse(status, {}, orjson.dumps(document)), TARGET, 2, 0)
        assert isinstance(outcome, Outcome)
        assert getattr(outcome, "reason", "x").isprintable()
        if isinstance(outcome, Sent):
            assert all(each["create"]["status"] in {200, 201, 409} for each in document["items"])
