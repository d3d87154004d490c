"""Names of organizations in settings, as `by_organization` has them."""

import pytest
from pydantic import ValidationError

from relay.config.base import ConfigModel, OrganizationName


class Routed(ConfigModel):
    by_organization: dict[OrganizationName, str]


@pytest.mark.parametrize("name", ["acme.atlassian.net", "localhost:8080", "Acme", "ünïcode"])
def test_a_name_of_an_organization_is_taken_as_it_is(name):
    assert Routed(by_organization={name: "a"}).by_organization == {name: "a"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("https://acme.atlassian.net/jira", "'acme.atlassian.net' for this URL"),
        ("HTTPS://acme.atlassian.net", "'acme.atlassian.net' for this URL"),
        ("", "such as acme.atlassian.net"),
        ("acme .net", "such as acme.atlassian.net"),
        ("acme\n", "such as acme.atlassian.net"),
    ],
)
def test_a_text_that_names_no_organization_is_refused(name, hint):
    """A URL in the map would match no event, and every event would go to the target of all in silence."""
    with pytest.raises(ValidationError, match=hint):
        Routed(by_organization={name: "a"})
