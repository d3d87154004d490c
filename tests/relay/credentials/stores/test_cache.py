import asyncio
import threading
from dataclasses import replace
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from relay.credentials.stores.cache import SecretStores
from relay.credentials.stores.error import SecretStoreError
from tests.support.secret_stores import ACME, QUICK, scripted_stores
from tests.support.waiting import wait_until

OTHER = "azure-key-vault:acme-kv/other"
AWAY = SecretStoreError("the vault acme-kv is away.", transient=True)
FORBIDDEN = SecretStoreError("the identity may not read it.")


async def test_a_secret_is_read_once_for_all_who_name_it():
    """Twenty organizations that name one secret cost one request."""
    stores, script, _ = scripted_stores("key")

    assert await asyncio.gather(*(stores.read(ACME) for _ in range(20))) == ["key"] * 20
    assert stores.known(ACME) == "key"
    assert script.reads == [ACME]


async def test_an_old_value_is_returned_at_once_and_read_again():
    """A caller with an old value does not wait for the store; the next one has the new value."""
    stores, script, clock = scripted_stores("old", "new")
    await stores.read(ACME)
    clock.seconds += 299
    assert stores.known(ACME) == "old"
    assert len(script.reads) == 1
    clock.seconds += 2

    assert stores.known(ACME) == "old"
    await wait_until(lambda: stores.known(ACME) == "new")
    assert len(script.reads) == 2


async def test_a_refused_login_reads_the_secret_again_within_the_budget():
    """A value of the last five seconds is not asked for again: many organizations share one secret."""
    stores, script, clock = scripted_stores("old", "new", "new")
    await stores.read(ACME)
    assert not await stores.reread(ACME)
    assert len(script.reads) == 1
    clock.seconds += 6

    answer, read = threading.Event(), stores._read

    async def read_slowly(reference):
        answer.wait(60)
        return await read(reference)

    stores._read = read_slowly  # else the first may have the new value before the second asks
    waiting = [asyncio.create_task(stores.reread(ACME)) for _ in range(2)]
    await asyncio.sleep(0)
    answer.set()

    assert await asyncio.gather(*waiting) == [True, True]
    assert stores.known(ACME) == "new"
    clock.seconds += 6
    assert not await stores.reread(ACME)
    assert len(script.reads) == 3


async def test_a_store_that_is_away_leaves_the_last_known_value_with_a_warning():
    """The warning names reference, age and reason; the next successful read is reported too."""
    stores, _, clock = scripted_stores("key", AWAY, AWAY, AWAY, "key")
    await stores.read(ACME)
    clock.seconds += 600
    with capture_logs() as logs:
        assert not await stores.reread(ACME)
        assert stores.known(ACME) == "key"
        clock.seconds += 60
        await stores.reread(ACME)

    warning, recovery = logs
    assert warning["log_level"] == "warning"
    assert (warning["reference"], warning["age_seconds"]) == (ACME, 600)
    assert warning["reason"] == str(AWAY)
    assert "answers again" in recovery["event"]


@pytest.mark.parametrize(("fault", "reads"), [(AWAY, 3), (FORBIDDEN, 1)])
async def test_attempts_are_bounded_and_a_lasting_fault_has_one(fault, reads):
    stores, script, clock = scripted_stores(fault)

    for _ in range(2):  # the second call is within the wait after a failure
        with pytest.raises(
            SecretStoreError, match=r"The secret azure-key-vault:acme-kv/jira cannot be read: "
        ):
            await stores.read(ACME)
    assert len(script.reads) == reads
    clock.seconds += 31
    with pytest.raises(SecretStoreError):
        await stores.read(ACME)
    assert len(script.reads) == 2 * reads


async def test_a_store_that_hangs_has_an_end():
    """Both the attempts and the whole read end, and name the time."""

    async def hang(_reference):
        await asyncio.sleep(3600)

    timing = replace(QUICK, attempt_seconds=0.01, total_seconds=60)
    with pytest.raises(SecretStoreError, match="no answer within 60 s"):
        await SecretStores(hang, timing).read(ACME)
    found = SecretStores(hang, replace(timing, attempt_seconds=60, total_seconds=0.01)).read_all([ACME])
    assert "no answer within 0.01 s" in str(found[ACME])


async def test_a_waiter_that_is_cancelled_takes_the_read_from_nobody():
    """The other waiters get the value, and later reads work."""
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def read(_reference):
        await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(held.wait(), loop).result(60))
        return "key"

    stores = SecretStores(read, QUICK)
    first, second = (asyncio.create_task(stores.read(ACME)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    held.set()

    assert await second == "key"
    assert first.cancelled()


async def test_a_defect_of_a_reader_is_a_fault_of_its_secret_alone():
    stores, _, clock = scripted_stores(RuntimeError("no such attribute"), "key")
    with pytest.raises(SecretStoreError, match=r"the read failed \(RuntimeError: no such attribute\)"):
        await stores.read(ACME)
    clock.seconds += 31

    assert await stores.read(ACME) == "key"
    assert await stores.read(OTHER) == "key"


async def test_a_read_that_cannot_begin_or_end_is_a_fault_and_no_wait_for_ever(monkeypatch):
    """The limit of threads is reached; then a listener fails, as a log does whose disk is full. Later reads work."""
    stores, _, clock = scripted_stores("key")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        with pytest.raises(SecretStoreError, match=r"can't start new thread.*limits of threads"):
            await asyncio.wait_for(stores.read(ACME), 60)
    listener = Mock(side_effect=[OSError("disk full"), None])
    stores.report_to(listener)
    clock.seconds += 31
    with pytest.raises(SecretStoreError, match="disk full"):
        await asyncio.wait_for(stores.read(ACME), 60)
    clock.seconds += 31

    assert await asyncio.wait_for(stores.read(ACME), 60) == "key"
    assert await asyncio.wait_for(stores.reread(ACME), 60) is False


async def test_each_value_is_reported_before_anybody_gets_it():
    """A redactor that comes later learns the known values; one value after a rotation is added to the first."""
    stores, _, clock = scripted_stores("old", "new")
    early, late = [], []
    stores.report_to(early.append)
    await stores.read(ACME)
    stores.report_to(late.append)
    clock.seconds += 6
    await stores.reread(ACME)

    assert early == late == ["old", "new"]


def test_the_start_reads_all_at_a_time():
    """Twelve secrets with eight readers; a fault of one is not a fault of others."""
    stores, script, _ = scripted_stores("key")
    names = [f"azure-key-vault:acme-kv/key-{number}" for number in range(12)]

    assert stores.read_all(names) == dict.fromkeys(names, "key")
    assert sorted(script.reads) == sorted(names)


def test_a_wrong_form_is_refused():
    stores, _, _ = scripted_stores("key")
    with pytest.raises(SecretStoreError, match="must have the form azure-key-vault:VAULT/SECRET"):
        stores.known("azure-key-vault:acme-kv")
