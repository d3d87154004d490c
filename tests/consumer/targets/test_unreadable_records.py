"""Claims and pauses of which one record cannot be read, as after a newer release: it does not hide the other one."""

import asyncio
from types import SimpleNamespace

import pytest

from consumer.targets import store as store_module
from consumer.targets.guard import TargetGuard
from consumer.targets.store import ClaimStore, ClaimUnknownError, UnreadablePauseError, claim_key, pause_key
from consumer.targets.target import Pause, target_of
from consumer.timing import TargetTiming
from relay.avro.codec import InternalCodec
from tests.support.waiting import wait_until

OWN, OTHER = target_of("sentinel", {"rule": "a"}), target_of("sentinel", {"rule": "b"})
QUICK = TargetTiming(interval_seconds=0.01, handover_seconds=0.01, release_seconds=1)
UNREADABLE = b"of a later release"


def claim(target):
    return InternalCodec("destination").encode(
        {"target": target.digest, "address": target.address, "at": 1, "confirmed": False}
    )


def state(word):
    return InternalCodec("destination_state").encode({"state": word, "at": 1, "who": "ann@host"})


@pytest.fixture
def topic(monkeypatch):
    """Return the values of the claim and the pause of `soc` as a topic has them; the test sets them."""
    values = {claim_key("soc", "live"): [claim(OWN)], pause_key("soc"): []}

    async def read_keys(_connection, _topic, keys):
        return {
            key: [SimpleNamespace(topic="destinations", value=value) for value in values[key.decode()]]
            for key in keys
        }

    monkeypatch.setattr(store_module, "read_keys", read_keys)
    return values


@pytest.fixture
def store(topic):  # noqa: ARG001 - it reads what the topic has
    return ClaimStore(None, "t")


async def test_a_pause_is_known_beside_a_claim_that_cannot_be_read(topic, store):
    topic[claim_key("soc", "live")] = [UNREADABLE]
    topic[pause_key("soc")] = [state("paused")]
    with pytest.raises(ClaimUnknownError) as caught:
        await store.read("soc", "live")
    assert caught.value.state.pause == Pause(1, "ann@host")


async def test_a_process_obeys_a_pause_though_the_claim_cannot_be_read(topic, store):
    """Before, `destinations pause` said that it was paused while its consumers went on."""
    topic[claim_key("soc", "live")] = [UNREADABLE]
    members = []

    async def member():
        members.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            members.pop()

    guard = TargetGuard("soc", "live", OWN, store, QUICK)
    task = asyncio.create_task(guard.run([member]))
    await wait_until(lambda: members)
    topic[pause_key("soc")] = [state("paused")]
    await wait_until(lambda: guard.pause and not members)
    topic[pause_key("soc")] = [state("running")]
    await wait_until(lambda: guard.pause is None and members)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_claim_counts_though_the_pause_cannot_be_read(topic, store):
    """Another target's process stays away, and the notice says how the record is replaced."""
    topic[pause_key("soc")] = [UNREADABLE]
    guard = TargetGuard("soc", "live", OTHER, store, QUICK)
    own = TargetGuard("soc", "live", OWN, store, QUICK)
    for each in (guard, own):
        task = asyncio.create_task(each.run([asyncio.Event().wait]))
        await wait_until(lambda each=each: each.notice)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert guard.problem
    assert own.problem is None
    assert "destinations resume soc" in own.notice


async def test_a_pause_that_was_seen_holds_while_its_record_cannot_be_read(topic, store):
    topic[pause_key("soc")] = [state("paused")]
    guard = TargetGuard("soc", "live", OWN, store, QUICK)
    task = asyncio.create_task(guard.run([asyncio.Event().wait]))
    await wait_until(lambda: guard.pause)
    topic[pause_key("soc")] = [UNREADABLE]
    await wait_until(lambda: guard.notice)
    assert guard.pause
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_error_says_that_the_record_of_a_pause_can_be_replaced(topic, store):
    topic[pause_key("soc")] = [UNREADABLE]
    with pytest.raises(UnreadablePauseError, match="replace the record"):
        await store.read_pauses(["soc"])
