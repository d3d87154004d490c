"""A key that is rotated in a store of secrets."""

import asyncio

from producer.sources.errors import ErrorKind
from relay.credentials.keyring import CredentialOwner, Keyring
from relay.credentials.resolver import CredentialResolver
from tests.support.jira import error_kinds, page_request
from tests.support.secret_stores import ACME, scripted_stores
from tests.support.waiting import wait_until

RING = Keyring([bytes(32)])


def stored_source(world, site, stores):
    """Return a source of the site whose key is a sealed reference to a store."""
    world.sources._credentials = CredentialResolver(RING, None, {}, stores=stores)
    owner = CredentialOwner(site.name, site.url, site.user)
    return world.source_for(
        site, credential_reference=ACME, credential_ciphertext=RING.seal_reference(ACME, owner)
    )


async def test_a_rotated_key_is_read_at_the_first_refusal_and_the_organization_does_not_fail(jira, watchful):
    """Jira refuses the old key; the store has the new one, and the same request succeeds with it."""
    acme = await jira.add_site("acme")
    stores, script, clock = scripted_stores("old-key", acme.token)
    source = stored_source(watchful, acme, stores)
    await stores.read(ACME)
    clock.seconds += 6

    assert (await source.fetch_page(page_request())).records == ()
    assert len(acme.requests()) == 2
    assert script.reads == [ACME, ACME]


async def test_a_key_that_stays_refused_costs_one_login_and_one_read(jira, watchful):
    acme = await jira.add_site("acme")
    stores, script, clock = scripted_stores("old-key")
    source = stored_source(watchful, acme, stores)
    await stores.read(ACME)
    clock.seconds += 6

    assert await error_kinds(source.fetch_page(page_request())) == [ErrorKind.KEY_REFUSED]
    assert len(acme.requests()) == 1
    assert len(script.reads) == 2


async def test_a_key_that_comes_into_the_store_ends_the_wait(jira, watchful):
    """An organization that waits out a refusal has the store asked every thirty seconds."""
    acme = await jira.add_site("acme")
    stores, script, clock = scripted_stores("old-key", "old-key", acme.token)
    source = stored_source(watchful, acme, stores)
    assert await error_kinds(source.fetch_page(page_request())) == [ErrorKind.KEY_REFUSED]
    waiting = asyncio.create_task(source.fetch_page(page_request()))
    clock.seconds += 31
    await wait_until(lambda: len(script.reads) == 2)
    clock.seconds += 31

    assert (await asyncio.wait_for(waiting, 60)).records == ()
