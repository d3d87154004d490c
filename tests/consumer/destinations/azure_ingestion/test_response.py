import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.destinations.azure_ingestion.response import IngestionContext, IngestionResponse, classify
from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split

TARGET = IngestionContext("sentinel", "dcr-" + 32 * "0", "Custom-JiraAuditRelay")
NOW_MS = 1_763_800_000_000


def retry_after(**headers):
    response = IngestionResponse(429, {name.replace("_", "-"): value for name, value in headers.items()}, b"")
    return classify(response, TARGET, NOW_MS).after


def test_retry_after_is_read_in_each_of_its_forms():
    retry_at = datetime.fromtimestamp(NOW_MS / 1000, UTC) + timedelta(seconds=30)
    assert retry_after(Retry_After="7") == 7
    assert retry_after(Retry_After=format_datetime(retry_at, usegmt=True)) == 30
    assert retry_after(retry_after_ms="1500") == 1.5
    assert retry_after(Retry_After="99999999") == 900
    assert retry_after(Retry_After="-5") == 0
    assert retry_after(Retry_After="soon") is None
    assert retry_after() is None


@given(st.integers(100, 599), st.binary(max_size=60), st.text(max_size=30))
def test_every_answer_means_something(status, content, retry_after):
    """No answer, however odd, is an exception; none but an empty success counts as sent."""
    outcome = classify(IngestionResponse(status, {"Retry-After": retry_after}, content), TARGET, NOW_MS)
    assert isinstance(outcome, Sent | Retry | Split | Reject | Paused)
    assert not isinstance(outcome, Sent) or (status in (200, 202, 204) and not content.strip())


def test_a_rejection_tells_azures_own_error_and_the_id_for_a_support_ticket():
    error = {"error": {"code": "InvalidData", "message": "Bad\nrow\t7"}}
    response = IngestionResponse(400, {"x-ms-request-id": "r-1"}, json.dumps(error).encode())
    assert classify(response, TARGET, NOW_MS) == Reject("400 InvalidData Bad row 7 request r-1", 400)


NO_ACCESS = (
    "The authentication token provided does not have access to ingest data for the data collection rule with immutable Id"
    " 'dcr-0'. PipelineAccessResult: AccessGranted: False, IsRbacPresent: {rbac}, IsDcrDceBindingValid: {bound}, DcrArmId: x,"
    " Message: Required authorization action was not found for tenantId t objectId 01234567-89ab-cdef-0123-456789abcdef on"
    " resourceId x."
)


def forbidden(message, **headers):
    content = (
        message
        if isinstance(message, bytes)
        else json.dumps({"error": {"code": "OperationFailed", "message": message}})
    )
    content = content if isinstance(content, bytes) else content.encode()
    return classify(IngestionResponse(403, headers, content), TARGET, NOW_MS)


ROLE = "Give it the role Monitoring Metrics Publisher"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            NO_ACCESS.format(rbac=False, bound=""),
            f"object id 01234567-89ab-cdef-0123-456789abcdef\\) may not send .*{ROLE}",
        ),
        ("The authentication token provided does not have access to ingest data", ROLE),
        (
            NO_ACCESS.format(rbac=True, bound=False),
            "does not belong to the endpoint .*Set the endpoint to the rule's own",
        ),
        ("Data collection endpoint is not linked to the rule", "does not belong to the endpoint"),
        (NO_ACCESS.format(rbac=True, bound=True), "sees a role .*within 30 minutes"),
        (
            "Access from public network is not allowed, use private link",
            "does not accept requests from this network",
        ),
        (
            "The request was denied by the network security perimeter",
            "does not accept requests from this network",
        ),
        ("Something new", "Azure denies .*Something new.*Check the relay's role .*network access"),
        (
            b"<html>Blocked by policy</html>",
            "A server on the way to Azure denies .*a page of HTML.*HTTPS_PROXY",
        ),
        (b"", "A server on the way to Azure denies"),
    ],
)
def test_each_cause_of_a_denial_has_its_own_remedy(message, words):
    outcome = forbidden(message)
    assert (type(outcome), outcome.status) == (Paused, 403)
    assert re.search(words, outcome.reason)
    assert (ROLE in outcome.reason) == (ROLE in words)


def test_an_empty_denial_with_azures_request_id_is_azures_own():
    assert "Azure denies the requests to the rule" in forbidden(b"", **{"x-ms-request-id": "r-1"}).reason


@given(st.text(max_size=80), st.binary(max_size=80))
def test_every_denial_is_explained(text, content):
    assert isinstance(forbidden(text), Paused)
    assert isinstance(forbidden(content), Paused)


@pytest.mark.parametrize("status", [200, 202])
def test_a_success_with_an_encoding_alone_counts_where_it_can_have_no_content(status):
    """A gateway names the encoding that it would have used; rows of a 204 sent again and again would be there many times."""
    headers = {"Content-Encoding": "gzip"}
    assert classify(IngestionResponse(204, headers, b""), TARGET, NOW_MS) == Sent()
    assert isinstance(classify(IngestionResponse(status, headers, b""), TARGET, NOW_MS), Retry)
