"""A key that is rotated in a store of secrets."""

import asyncio
import threading

from producer.sources.errors import ErrorKind
from producer.sources.throttle import REQUEST_SLOTS
from relay.credentials.keyring import CredentialOwner, Keyring
from relay.credentials.resolver import CredentialResolver
from relay.credentials.stores.cache import SecretStores
from tests.support.jira import error_kinds, page_request
from tests.support.secret_stores import ACME, QUICK, scripted_stores
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


async def test_a_key_that_another_organization_has_read_meanwhile_is_used(jira, watchful):
    """Two organizations share a secret. The second refusal comes when the first has read the new key."""
    acme = await jira.add_site("acme")
    stores, script, clock = scripted_stores("old-key", acme.token)
    source = stored_source(watchful, acme, stores)
    await stores.read(ACME)
    clock.seconds += 6
    send, sent = source._key.call, []

    async def call(ask, throttle):
        async def ask_and_wait(key):
            sent.append(key)
            found = await ask(key)
            if len(sent) == 1:
                await stores.reread(ACME)
            return found

        return await send(ask_and_wait, throttle)

    source._key.call = call

    assert (await source.fetch_page(page_request())).records == ()
    assert sent == ["old-key", acme.token]
    assert len(script.reads) == 2


async def test_a_store_that_hangs_holds_no_slot(jira, watchful):
    """Its organization waits for its first key; the slots are for organizations that have theirs."""
    acme = await jira.add_site("acme")
    held = threading.Event()

    async def hang(_reference):
        held.wait(60)
        return acme.token

    source = stored_source(watchful, acme, SecretStores(hang, QUICK))
    slots = source._throttle._slots.all
    waiting = asyncio.create_task(source.fetch_page(page_request()))
    try:
        await wait_until(lambda: len(source._key._credentials.stores._entries) == 1)
        for _ in range(10):
            await asyncio.sleep(0)
        assert slots._value == REQUEST_SLOTS
        assert not waiting.done()
    finally:
        held.set()
    assert (await waiting).records == ()


async def test_a_key_that_comes_into_the_store_ends_the_wait(jira, watchful):
    """An organization that waits out a refusal has the store asked every thirty seconds."""
    acme = await jira.add_site("acme")
    stores, script, clock = scripted_stores("old-key", "old-key", acme.token)
    source = stored_source(watchful, acme, stores)
    assert await error_kinds(source.fetch_page(page_request())) == [ErrorKind.KEY_REFUSED]
    waiting = asyncio.create_task(source.fetch_page(page_request()))
    clock.seconds += 31
    await wait_until(lambda: len(script.reads) == 2)
    await stores.reread(ACME)  # waits for the end of this read, whose time is taken then
    clock.seconds += 31

    assert (await asyncio.wait_for(waiting, 60)).records == ()
