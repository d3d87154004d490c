"""The settings of a collector: their forms, the target that they name, and what `check` says of the routes."""

import pytest
from pydantic import ValidationError

from consumer.destinations.splunk.config import SplunkConfig, identity
from management.connection_checks import _test_destination
from simulators.splunk.collector import HecCollector, Token
from tests.support.hec import TOKEN


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"endpoint": "http://splunk.example.com:8088"}, "plain http"),
        ({"endpoint": "https://splunk.example.com:8088/services/collector"}, "has a path"),
        ({"token": None}, "neither token nor token_file"),
        ({"index": "Jira"}, "must be the name of an index"),
        ({"index": "_internal"}, "must be the name of an index"),
        ({"index": "a/b"}, "must be the name of an index"),
        ({"by_organization": {"acme": "A"}}, "must be the name of an index"),
        ({"by_organization": {"https://acme.example": "a"}}, "'acme.example' for this URL"),
        ({"sourcetype": 'x","index":"y'}, "at most 100 letters"),
        ({"certificate_file": "a"}, "certificate_file without key_file"),
        ({"history_by_organization": {"acme": "a"}}, "without history_index"),
        (
            {"history_index": "h", "by_organization": {"b": "b", "a": "a"}},
            "The history of a would go to history_index",
        ),
    ],
)
def test_a_setting_of_a_wrong_form_is_refused(settings, said):
    good = {"kind": "splunk", "endpoint": "https://splunk.example.com:8088", "token": TOKEN}
    SplunkConfig(**good)
    with pytest.raises(ValidationError, match=said):
        SplunkConfig(**good | settings)


def test_the_identity_has_each_index_and_no_token():
    config = SplunkConfig(
        kind="splunk",
        endpoint="https://splunk.example.com:8088",
        token=TOKEN,
        history_index="h",
        by_organization={"b": "jira_b", "a": "jira_a"},
        history_by_organization={"b": "h", "a": "h"},
    )
    assert identity(config) == {
        "live": {
            "endpoint": "https://splunk.example.com:8088",
            "index": "of the token",
            "index of a": "jira_a",
            "index of b": "jira_b",
        },
        "history": {
            "endpoint": "https://splunk.example.com:8088",
            "index": "h",
            "index of a": "h",
            "index of b": "h",
        },
    }


@pytest.mark.parametrize(
    ("organizations", "outcome", "said"),
    [
        ({"acme.atlassian.net", "globex.atlassian.net"}, "passed", "accepts requests"),
        (
            {"acme.atlassian.nett"},
            "refused",
            "acme.atlassian.net, which is no organization (did you mean acme.atlassian.nett?)",
        ),
        (set(), "refused", "by_organization names acme.atlassian.net, which is no organization, so no event"),
        (None, "passed", "accepts requests"),
    ],
)
async def test_check_names_an_index_for_no_organization(organizations, outcome, said):
    """A name that is misspelled sends the events of its organization to the index of all; None: they are not known."""
    async with HecCollector({TOKEN: Token()}) as collector:
        routes = {"acme.atlassian.net": "jira"}
        config = SplunkConfig(kind="splunk", endpoint=collector.url, token=TOKEN, by_organization=routes)
        test = await _test_destination("soc", config, "tester", organizations)
    assert test.outcome == outcome
    assert said in test.message


async def test_check_tries_the_indexes_of_each_flow():
    """Live and history may have one index for all, and others for an organization."""
    async with HecCollector({TOKEN: Token()}) as collector:
        config = SplunkConfig(
            kind="splunk",
            endpoint=collector.url,
            token=TOKEN,
            index="main",
            history_index="main",
            by_organization={"acme": "jira"},
            history_by_organization={"acme": "absent"},
        )
        test = await _test_destination("soc", config, "tester")
    assert test.outcome == "failed"
    assert "the index absent" in test.message
