"""The connection test of a source: what an operator learns before a producer uses URL, user and key."""

import json
from dataclasses import replace

import pytest

from management.organizations.apply_file import read_entries
from management.organizations.validation import InputError, validate_new_name, validate_url
from relay.errors import RelayError
from relay.url_policy import UrlError


async def a_working_connection_passes(opened):
    """A log that can be read passes, with a sentence, and with the identity and the time that its producer learns."""
    opened.world.add(opened.window.start)
    organization = opened.world.organization()
    opened.connection_test.check_url(organization)
    for new_key in (False, True):
        result = await opened.connection_test.run(organization, opened.world.key, new_key=new_key)
        assert result.failure is None
        assert result.message.endswith(".")
        assert (result.cloud_id is not None) == opened.world.has_identity
        assert (result.date_ms is not None) == opened.world.has_clock
    source = opened.source
    await source.bind_identity(None)
    assert source.identity == result.cloud_id


async def each_fault_fails_the_test(opened):
    """A fault at each request is a result: its message names the organization, and holds no key."""
    organization = opened.world.organization()
    for name in opened.world.faults:
        fault = opened.world.fault(name, times=None)
        result = await opened.connection_test.run(organization, opened.world.key)
        fault.cancel()
        if result.failure is None:
            assert name == "truncated", name  # a test may read less than a page
        else:
            assert result.message.startswith(f"{organization.name}: "), name
        assert opened.world.key not in result.message
    assert (await opened.connection_test.run(organization, opened.world.key)).failure is None


async def a_key_that_is_not_available_is_not_sent(opened):
    """Without a key the site alone is tested, and no login fails."""
    result = await opened.connection_test.run(opened.world.organization(), None)
    assert result.failure is None
    assert result.message.endswith(".")


async def a_foreign_url_gets_no_key(opened):
    """A URL that keys may not be sent to is refused, before the test and by it, with or without a key."""
    foreign = replace(opened.world.organization(), url="https://attacker.example")
    with pytest.raises(UrlError):
        opened.connection_test.check_url(foreign)
    for key in (opened.world.key, None):
        with pytest.raises(RelayError):
            await opened.connection_test.run(foreign, key)


async def an_operators_input_follows_its_rules(opened):
    """A file of organizations, a URL, a user and a backfill of the source pass the generic checks; URL and name are stable."""
    organization, rules = opened.world.organization(), opened.input_rules
    member = {
        "url": f" {organization.url} ",
        "user": organization.user,
        "backfill_days": rules.max_backfill_days,
    }
    (entry,) = read_entries(json.dumps([member]), "a file", None, rules)

    assert entry.change.url == organization.url == validate_url(entry.change.url, rules)
    assert entry.name == validate_new_name(rules.default_name(organization.url))
    assert not rules.user_advice.endswith(".")
    for wrong in ({"url": "nothing:"}, {"user": ""}, {"backfill_days": rules.max_backfill_days + 1}):
        with pytest.raises(InputError, match=r"\.$"):
            read_entries(json.dumps([member | wrong]), "a file", None, rules)
