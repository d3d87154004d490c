"""Mistakes of an operator in the settings of destinations: each message names the destination, the setting and the correction."""

import pytest

from management import settings
from relay.errors import SettingsError

ENDPOINTS = {
    "splunk": {"ENDPOINT": "https://splunk.example:8088", "TOKEN": "0123abcd-1111-2222-3333-444455556666"},
    "elasticsearch": {"ENDPOINT": "https://elastic.example:9200"},
    "http": {"URL": "https://receiver.example/in"},
    "object-store": {"LOCATION": "s3://audit/jira"},
    "sentinel": {
        "ENDPOINT": "https://relay.ingest.monitor.azure.com",
        "RULE_ID": f"dcr-{'0' * 32}",
    },
}


def message(kind, **fields):
    """The fault of a destination `soc` of this kind, with these settings beside those that it needs."""
    given = ENDPOINTS[kind] | {"KIND": kind} | fields
    environ = {f"RELAY_DESTINATIONS__SOC__{name}": text for name, text in given.items()}
    with pytest.raises(SettingsError) as caught:
        settings.load(environ=environ)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("splunk", {"TOKEN": ""}, "destinations.soc: A destination of the kind splunk has neither token nor token_file: set one of them."),
        ("splunk", {"CERTIFICATE_FILE": "/x.pem"}, "destinations.soc: A destination has certificate_file without key_file, or the reverse: set both."),
        ("sentinel", {"CLOUD": "usgov"}, "destinations.soc: The endpoint https://relay.ingest.monitor.azure.com belongs to the cloud public, but cloud is usgov."),
        ("object-store", {"REGION": "EU West"}, "destinations.soc.region = 'EU West' (RELAY_DESTINATIONS__SOC__REGION): must have another form, such as 'eu-central-1'."),
        ("elasticsearch", {"PIPELINE": "a b"}, "destinations.soc.pipeline = 'a b' (RELAY_DESTINATIONS__SOC__PIPELINE): must have another form, such as 'jira-geoip'."),
        ("http", {"URL": "https://receiver.example/{organization}"}, "destinations.soc.url (RELAY_DESTINATIONS__SOC__URL): must have no placeholder such as {name}, since the relay replaces nothing in it."),
        ("http", {"HIDE": '{"remoteAddress": "masked"}'}, "destinations.soc.hide.remoteAddress = 'masked' (RELAY_DESTINATIONS__SOC__HIDE): must be 'drop', 'hash' or 'mask'."),
        ("http", {"HIDE": '{"remoteAdress": "mask"}'}, "destinations.soc.hide has an unknown column remoteAdress: did you mean remoteAddress?"),
        ("http", {"WHERE": 'category = "permissions"'}, "destinations.soc.where has an unknown column permissions: double quotes name a column; write a text as 'permissions'."),
        ("http", {"WHERE": "created > '2026-01-01'"}, "destinations.soc.where compares a time with a text: write the time as TIMESTAMP '2026-01-31 00:00:00' or DATE '2026-01-31'."),
        ("http", {"WHERE": "associatedItems[1].typeName = 'USER'"}, "destinations.soc.where reads into a list of objects: use associatedTypes, associatedNames or changedFields, as in 'USER' = ANY(associatedTypes)."),
        ("http", {"TABLE": "x"}, "RELAY_DESTINATIONS__SOC__TABLE in the environment is not a setting: see docs/settings.md for all settings."),
        ("http", {"HEADER": "x"}, "RELAY_DESTINATIONS__SOC__HEADER in the environment is not a setting: did you mean RELAY_DESTINATIONS__SOC__HEADERS?"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_correction(kind, fields, expected):
    """The whole message, as the operator reads it."""
    assert message(kind, **fields) == expected


def test_an_entry_of_a_route_is_named():
    """The organization too: there may be a hundred."""
    found = message("elasticsearch", BY_ORGANIZATION='{"acme.atlassian.net": "logs x"}')
    assert found.startswith("destinations.soc.by_organization.acme.atlassian.net = 'logs x' (")


def test_a_key_of_a_secret_table_is_not_shown():
    """A header may have been written the wrong way round."""
    found = message("http", HEADERS='{"s3cret-token": 5}')
    assert "destinations.soc.headers (RELAY_DESTINATIONS__SOC__HEADERS)" in found
    assert "s3cret" not in found
