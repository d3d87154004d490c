"""After each form the focus is where the result is; each remedy at Atlassian is a link."""

from pathlib import Path

import pytest

import console as console_room
from console.rendering import sentence_markup
from management.connection_test import _test_error
from producer.sources.errors import ErrorKind, RequestContext, SourceFailure
from producer.sources.jira_cloud.messages import make_failure

TEMPLATES = Path(console_room.__file__).parent / "templates"
FIXED_AT_ATLASSIAN = (
    ErrorKind.KEY_REFUSED,
    ErrorKind.SCOPE_MISSING,
    ErrorKind.KEY_TYPE,
    ErrorKind.ANONYMOUS,
    ErrorKind.CAPTCHA,
    ErrorKind.NOT_ADMINISTRATOR,
    ErrorKind.FREE_PLAN,
    ErrorKind.FORBIDDEN,
    ErrorKind.NOT_THE_API,
    ErrorKind.UNAVAILABLE,
)


@pytest.mark.parametrize("kind", FIXED_AT_ATLASSIAN)
def test_a_failure_that_is_fixed_at_atlassian_links_to_the_page(kind):
    """The link leads to a page of Atlassian's, and the full stop behind it is not part of it."""
    failure = make_failure(kind, RequestContext("acme", "acme.atlassian.net"), status=403, quote="No")
    shown = sentence_markup(failure.message)

    assert '<a href="https://' in shown
    assert ".atlassian.com" in shown
    assert './"' not in shown
    assert '."' not in shown


def test_an_address_that_a_site_quotes_is_no_link():
    """Any customer of Atlassian can have a site at atlassian.net, and write messages."""
    quote = "see https://evil.atlassian.net and https://evil.example/id.atlassian.com"
    shown = sentence_markup(quote)

    assert "<a " not in shown


@pytest.mark.parametrize(("wait", "remedy"), [(119.2, "; try again in 120 s."), (None, "(429).")])
def test_a_test_that_is_rate_limited_says_when_to_try_again(wait, remedy):
    """No producer repeats the request of a connection test."""
    context = RequestContext("acme", "acme.atlassian.net")
    message = make_failure(ErrorKind.RATE_LIMITED, context, status=429).message
    error = _test_error(SourceFailure(ErrorKind.RATE_LIMITED, message, wait), message)

    assert str(error).endswith(remedy)


async def test_the_focus_is_on_the_refusal_of_a_form(console):
    """A reader who uses the keyboard hears the refusal first, and goes on from there; else the first field has the focus."""
    await console.sign_in()
    console.show()
    fresh = await console.page("/organizations/add")
    form = await console.form("/organizations/add")
    given = {"url": "https://acme.atlassian.net", "user": "audit@acme.example"}
    refused = (await console.client.post("/organizations/add", data=form | given)).text

    assert fresh.index('id="url"') < fresh.index("autofocus") < fresh.index('id="user"')
    assert "The API key is missing." in refused
    assert refused.index('role="alert" tabindex="-1" autofocus') < refused.index('id="url"')


def test_no_part_that_renews_itself_takes_the_focus():
    """htmx focuses an element with `autofocus` in what it swaps in: a reader would lose the place every few seconds."""
    live = [each for each in TEMPLATES.glob("*.html") if 'extends "live.html"' in each.read_text("utf-8")]

    assert len(live) > 5
    assert [each.name for each in live if "autofocus" in each.read_text("utf-8")] == []
