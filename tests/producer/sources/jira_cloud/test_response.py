import httpx
import pytest

from producer.sources.errors import ErrorKind, RequestContext, RetryAction
from producer.sources.jira_cloud.response import JiraResponse, classify

NOW = 1_790_000_000_000
SITE = RequestContext("acme", "acme.atlassian.net")
GATEWAY = RequestContext("acme", "api.atlassian.com", gateway=True)
FAILED = {"x-seraph-loginreason": "AUTHENTICATED_FAILED"}
DENIED = {"x-seraph-loginreason": "AUTHENTICATION_DENIED"}
AUTHENTICATE = "Client must be authenticated to access this resource."


def classified(status, body="", headers=None, context=SITE, date_ms=None):
    return classify(JiraResponse(status, httpx.Headers(headers or {}), body.encode(), date_ms), context, NOW)


def errors(message):
    return f'{{"errorMessages":["{message}"],"errors":{{}}}}'


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "action"),
    [
        (429, "", {}, ErrorKind.RATE_LIMITED, RetryAction.WAIT),
        (500, "", {}, ErrorKind.UNAVAILABLE, RetryAction.RETRY),
        (503, "<html>", {}, ErrorKind.UNAVAILABLE, RetryAction.RETRY),
        (503, "", {"Retry-After": "5"}, ErrorKind.UNAVAILABLE, RetryAction.WAIT),
        (401, AUTHENTICATE, {}, ErrorKind.KEY_REFUSED, RetryAction.FIX),
        (401, AUTHENTICATE, FAILED, ErrorKind.KEY_REFUSED, RetryAction.FIX),
        (401, errors(AUTHENTICATE), FAILED, ErrorKind.KEY_REFUSED, RetryAction.FIX),
        (401, '{"code":401,"message":"Unauthorized"}', {}, ErrorKind.KEY_REFUSED, RetryAction.FIX),
        (
            401,
            '{"code":401,"message":"Unauthorized; scope does not match"}',
            {},
            ErrorKind.SCOPE_MISSING,
            RetryAction.FIX,
        ),
        (
            403,
            '{"error":"Failed to parse Connect Session Auth Token"}',
            {},
            ErrorKind.KEY_TYPE,
            RetryAction.FIX,
        ),
        (
            403,
            errors("Basic Authentication Failure - Reason : AUTHENTICATION_DENIED"),
            {},
            ErrorKind.CAPTCHA,
            RetryAction.FIX,
        ),
        *((status, "", DENIED, ErrorKind.CAPTCHA, RetryAction.FIX) for status in (200, 401, 403)),
        (200, '{"records":[]}', FAILED, ErrorKind.ANONYMOUS, RetryAction.FIX),
        (403, errors("You do not have permission"), {}, ErrorKind.NOT_ADMINISTRATOR, RetryAction.FIX),
        (
            403,
            errors(
                "Audit logs aren't available for this site as all of its Jira Cloud products are on Free plans."
            ),
            {},
            ErrorKind.FREE_PLAN,
            RetryAction.FIX,
        ),
        (403, errors("Your IP is not on the list"), {}, ErrorKind.FORBIDDEN, RetryAction.FIX),
        (403, "<html>blocked", {}, ErrorKind.FORBIDDEN, RetryAction.FIX),
        (404, errors("Not Found"), {}, ErrorKind.NOT_THE_API, RetryAction.FIX),
        (400, errors("Invalid date"), {}, ErrorKind.BAD_REQUEST, RetryAction.FIX),
        (302, "", {"Location": "https://id.atlassian.com/login"}, ErrorKind.REDIRECTED, RetryAction.FIX),
        (204, "", {}, ErrorKind.UNEXPECTED, RetryAction.RETRY),
        (418, "", {}, ErrorKind.UNEXPECTED, RetryAction.RETRY),
    ],
)
def test_each_refusal_has_its_own_cause(status, body, headers, kind, action):
    """Status, header and text give the kind; the kind gives the action."""
    found = classified(status, body, headers)
    assert (found.kind, found.action) == (kind, action)
    assert found.message.startswith("acme: ")
    assert "acme.atlassian.net" in found.message or kind is ErrorKind.SCOPE_MISSING
    assert "{" not in found.message


def test_a_readable_answer_is_no_failure():
    """A plain 200, one with announced limits and one with a successful login are read."""
    for headers in (
        {},
        {"Beta-Retry-After": "3600", "X-RateLimit-NearLimit": "true"},
        {"X-Seraph-LoginReason": "OK"},
    ):
        assert classified(200, "{}", headers) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "99999999999"}, 86_400),
        ({"Retry-After": "Mon, 21 Sep 2026 14:13:50 GMT"}, 30),
        ({"Retry-After": "Mon, 21 Sep 2026 14:00:00 GMT"}, 0),
        ({}, None),
        ({"Beta-Retry-After": "30", "X-Beta-RateLimit-Reason": "jira-quota-tenant-based"}, None),
        ({"RateLimit-Reason": "jira-burst-based", "X-RateLimit-Reset": "2026-09-21T15:00Z"}, None),
        ({"RateLimit-Reason": "jira-quota-tenant-based", "X-RateLimit-Reset": "2026-09-21T14:15Z"}, 100),
        ({"RateLimit-Reason": "jira-quota-global-based", "X-RateLimit-Reset": "x"}, 2800),
        ({"RateLimit-Reason": "jira-cost-based"}, 2800),
        (
            {
                "RateLimit-Reason": "jira-quota-based",
                "X-RateLimit-Reset": "2026-09-21T15:00Z",
                "Retry-After": "7",
            },
            7,
        ),
    ],
)
def test_the_wait_follows_jiras_answer(headers, seconds):
    """It is seconds, a date or a quota's refill within the hour; a Beta header does not count."""
    assert classified(429, "", headers).retry_after_seconds == seconds


def test_a_date_is_counted_by_jiras_clock():
    """A wrong local clock neither shortens a wait nor makes it endless."""
    found = classified(503, "", {"Retry-After": "Mon, 21 Sep 2026 14:13:50 GMT"}, date_ms=NOW + 20_000)
    assert (found.retry_after_seconds, found.date_ms) == (10, NOW + 20_000)


def test_a_redirect_names_only_the_host():
    """The context may hold a token, so the message leaves out the rest."""
    found = classified(302, "", {"Location": "https://login.example/x?token=s3cret#y"})
    assert "login.example" in found.message
    assert "s3cret" not in found.message
    assert classified(302, "", {"Location": "https://[bad"}).kind is ErrorKind.REDIRECTED
    assert classified(302, "", {"Location": "/login?s3cret"}).message.find("s3cret") < 0


def test_jiras_own_words_are_quoted_without_control_characters():
    """The quotation is short, on one line, and harmless to a terminal."""
    said = classified(400, '{"errorMessages":["Invalid\\u001b[31m date\\n' + "x" * 500 + '"]}').message
    assert "Invalid [31m date xxx" in said
    assert said.isprintable()
    assert len(said) < 500
    assert classified(400, "[" * 9_000).kind is ErrorKind.BAD_REQUEST
    assert "<b>" not in classified(403, "<b>", {"Content-Type": "text/html"}).message
    assert "no way" in classified(403, "no way", {"Content-Type": "text/plain"}).message


def test_a_refused_key_names_the_other_endpoint():
    """At the site the key may have scopes; at the gateway it may have none."""
    assert "gateway" in classified(401).message
    assert "at the site itself" in classified(401, context=GATEWAY).message
