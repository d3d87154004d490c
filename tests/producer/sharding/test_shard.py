import asyncio
import time

import pytest
import structlog

from producer.publishing.publisher import ShardClosedError
from producer.sharding.shard import ShardTiming
from relay.errors import RelayError
from tests.support.shard_harness import open_shard_harness, organization
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    "error",
    [
        RelayError("no"),
        TimeoutError(),
        ValueError("a defect"),
        asyncio.CancelledError(),
        NotImplementedError(),
    ],
    ids=type,
)
async def test_a_shard_survives_any_error_of_loading(error):
    """The shard loads again after Kafka errors, defects and inner cancellations."""
    async with open_shard_harness() as found:
        found.load_errors = [error, error]
        found.set_organizations(organization("acme"))
        await wait_until(lambda: found.polling.polls["acme"] == 1)


async def test_a_failed_publisher_is_replaced_and_all_are_polled_again():
    """Pollers end, a new publisher loads, and each organization continues with it."""
    async with open_shard_harness() as found:
        found.set_organizations(organization("acme"), organization("globex"))
        await wait_until(lambda: len(found.polling.polled) == 2)
        found.publishers[0].failed.set()
        await wait_until(lambda: found.polling.polls == {"acme": 2, "globex": 2})

        assert found.publishers[0].discarded
        assert len(found.publishers) == 2


async def test_a_publisher_that_fails_each_time_causes_no_tight_loop():
    """The shard backs off when a publisher fails right after each load."""

    async def fail(_organization, publisher):
        publisher.failed.set()
        raise ShardClosedError("Kafka refused a transaction.")

    async with open_shard_harness(fail) as found:
        began = time.monotonic()
        found.set_organizations(organization("acme"))
        await wait_until(lambda: len(found.publishers) >= 4)
        waits = 1.4 / 2  # three, of which each is half or more of 0.2, 0.4 and 0.8 s
        assert time.monotonic() - began >= waits


async def test_polling_that_ends_at_once_causes_no_tight_loop():
    """The shard logs the end, with or without an error, and starts again after a minute."""

    async def ends(organization, _publisher):
        if organization.name == "acme":
            raise ValueError("a defect")

    with structlog.testing.capture_logs() as logs:
        async with open_shard_harness(ends) as found:
            found.set_organizations(organization("acme"), organization("globex"))
            await wait_until(lambda: set(found.polling.polls) == {"acme", "globex"})
            await asyncio.sleep(0.3)

    assert found.polling.polls == {"acme": 1, "globex": 1}
    assert [entry["organization"] for entry in logs if entry["log_level"] == "error"] == ["acme", "globex"]


async def test_a_defect_in_one_poller_ends_no_other():
    """The publisher and the other pollers continue."""

    async def one_fails(organization, _publisher):
        if organization.name == "acme":
            raise ValueError("a defect")
        await asyncio.Event().wait()

    async with open_shard_harness(one_fails) as found:
        found.set_organizations(organization("acme"), organization("globex"))
        await wait_until(lambda: found.polling.polls["acme"] == 1)
        await asyncio.sleep(0.1)

        assert set(found.polling.polled) == {"globex"}
        assert not found.publishers[0].failed.is_set()


async def test_a_fenced_shard_asks_the_group_before_it_loads_again():
    """The loser renews its membership first, so two owners do not fence each other in turns."""
    async with open_shard_harness() as found:
        await wait_until(lambda: found.shard.ready)
        found.publishers[0].fenced = True
        found.publishers[0].failed.set()
        await wait_until(lambda: found.membership.suspicions == 1)
        await asyncio.sleep(0.5)
        assert len(found.publishers) == 1
        found.membership.sure.set()
        await wait_until(lambda: len(found.publishers) == 2)


async def test_a_kept_shard_continues_unless_the_membership_was_lost():
    """A shard reloads after a lost membership; a plain rebalance changes nothing."""
    async with open_shard_harness() as found:
        found.set_organizations(organization("acme"))
        await wait_until(lambda: found.polling.polled)
        found.shard.keep()
        await asyncio.sleep(0.1)
        assert len(found.publishers) == 1
        assert found.polling.calls == []
        found.membership.generation += 1
        found.shard.keep()
        assert found.polling.calls == [("released", "acme", True)]
        await wait_until(lambda: len(found.publishers) == 2 and found.shard.ready)
        found.shard.keep()
        await asyncio.sleep(0.1)

        assert len(found.publishers) == 2


async def test_a_revoked_shard_does_not_load_again():
    """A transaction that fails during closing does not fence the new owner."""
    async with open_shard_harness() as found:
        await wait_until(lambda: found.shard.ready)
        publisher = found.publishers[0]
        async with publisher.lock:
            closing = asyncio.create_task(found.stop())
            await asyncio.sleep(0.05)
            publisher.failed.set()
            await asyncio.sleep(1)
        await closing

    assert len(found.publishers) == 1


async def test_only_a_modified_organization_is_polled_anew():
    """Its poller restarts between transactions, and the others continue."""
    async with open_shard_harness() as found:
        found.set_organizations(organization("acme"), organization("globex"))
        await wait_until(lambda: len(found.polling.polled) == 2)
        async with found.publishers[0].lock:
            found.set_organizations(organization("acme", interval_seconds=5), organization("globex"))
            await asyncio.sleep(0.1)
            assert found.polling.polled["acme"].interval_seconds is None
        await wait_until(lambda: found.polling.polls["acme"] == 2)

        assert found.polling.polled["acme"].interval_seconds == 5
        assert found.polling.polls["globex"] == 1


async def test_a_deletion_is_reported_after_polling_has_ended():
    """No status follows the removal of an organization's status."""
    async with open_shard_harness() as found:
        found.set_organizations(organization("acme"), organization("globex"))
        await wait_until(lambda: len(found.polling.polled) == 2)
        found.set_organizations(organization("globex"))
        await wait_until(lambda: found.polling.calls)

        assert found.polling.calls == [("deleted", "acme", False)]


async def test_a_deletion_during_loading_is_reported():
    """The status is removed although no poller ran."""
    async with open_shard_harness() as found:
        found.set_organizations(organization("acme"))
        await wait_until(lambda: found.polling.polled)
        found.membership.sure.clear()
        found.publishers[0].failed.set()
        await wait_until(lambda: not found.polling.polled)
        found.set_organizations()
        found.membership.sure.set()
        await wait_until(lambda: found.polling.calls)

        assert found.polling.calls == [("deleted", "acme", False)]


async def test_a_deletion_during_another_change_is_reported():
    """A modified organization waits for a transaction; one deleted meanwhile keeps no status."""
    async with open_shard_harness() as found:
        found.set_organizations(organization("acme"), organization("globex"))
        await wait_until(lambda: len(found.polling.polled) == 2)
        async with found.publishers[0].lock:
            found.set_organizations(organization("acme", interval_seconds=5), organization("globex"))
            await asyncio.sleep(0.1)
            found.set_organizations(organization("acme", interval_seconds=5))
            await asyncio.sleep(0.1)
        await wait_until(lambda: "globex" not in found.polling.polled)
        await wait_until(lambda: found.polling.calls)

        assert found.polling.calls == [("deleted", "globex", False)]


async def test_a_closed_shard_leaves_nothing_running():
    """Its pollers have ended, its publisher is discarded, and no status follows."""
    async with open_shard_harness() as found:
        found.set_organizations(organization("acme"))
        await wait_until(lambda: found.polling.polled)
        await found.stop()

        assert found.polling.polled == {}
        assert found.publishers[0].discarded
        assert not found.shard.ready
        found.shard.discard_pending_status()
        assert found.polling.calls == [("released", "acme", False)]


async def test_closing_ends_within_its_time_limit():
    """Closing does not wait for a hanging transaction or a poller that ignores its cancellation."""

    async def stubborn(_organization, _publisher):
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async with open_shard_harness(stubborn, ShardTiming(close_seconds=0.2)) as found:
        found.set_organizations(organization("acme"))
        await wait_until(lambda: found.polling.polled)
        async with found.publishers[0].lock:
            began = time.monotonic()
            await found.stop()

    assert time.monotonic() - began < 30
    assert found.polling.polled == {}


async def test_organizations_are_failing_after_several_failures_to_load():
    """One or two failures are the restart of a broker; the third is reported, with the reason."""
    timing = ShardTiming(reload_first_seconds=0.01, reload_cap_seconds=0.01, failures_until_report=3)
    async with open_shard_harness(timing=timing) as found:
        found.set_organizations(organization("acme"))
        await wait_until(lambda: found.shard.ready)
        found.load_errors = [RelayError("A batch is corrupt.")] * 2
        found.publishers[0].failed.set()
        await wait_until(lambda: len(found.publishers) == 2)
        assert found.polling.unavailable_reasons == {}
        found.load_errors = [RelayError("A batch is corrupt.")] * 4
        found.publishers[1].failed.set()
        await wait_until(lambda: len(found.publishers) == 3)

        assert "A batch is corrupt." in found.polling.unavailable_reasons["acme"]
        assert found.shard.problem is None
