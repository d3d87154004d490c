"""Shards that must not publish: a topic setting would cost data, or their batches are larger than a topic accepts."""

import asyncio

from producer.sharding.shard import ShardTiming
from tests.support.shard_harness import open_shard_harness, organization
from tests.support.waiting import wait_until


async def test_a_closed_shard_reports_its_organizations_and_opens_by_itself():
    """It loads nothing while a topic setting would cost data, and says so again before a status expires."""
    reasons = ["cleanup.policy is compact"]
    timing = ShardTiming(open_check_seconds=0.01, report_seconds=0.05)
    async with open_shard_harness(
        timing=timing, closed_reason=lambda: reasons[0] if reasons else None
    ) as found:
        found.set_organizations(organization("acme"), organization("globex"))
        await wait_until(lambda: set(found.polling.unavailable_reasons) == {"acme", "globex"})
        found.polling.unavailable_reasons.clear()
        await wait_until(lambda: found.polling.unavailable_reasons.get("acme") == reasons[0])
        assert found.shard.problem == reasons[0]
        assert found.publishers == []
        reasons.clear()
        await wait_until(lambda: found.polling.polls["acme"] == 1)

        assert found.shard.problem is None


async def test_an_open_shard_closes_when_a_setting_would_cost_data():
    """Any look may have found the setting."""
    reasons, timing = [], ShardTiming(open_check_seconds=0.01)
    async with open_shard_harness(
        timing=timing, closed_reason=lambda: reasons[0] if reasons else None
    ) as found:
        found.set_organizations(organization("acme"))
        await wait_until(lambda: found.polling.polled)
        reasons.append("retention.ms is 1000")
        await wait_until(lambda: found.polling.unavailable_reasons == {"acme": "retention.ms is 1000"})

        assert found.polling.polled == {}
        assert not found.shard.ready


async def test_a_risk_found_while_a_shard_loads_closes_it():
    reasons, may_load = [], asyncio.Event()
    async with open_shard_harness(closed_reason=lambda: reasons[0] if reasons else None) as found:
        load = found.shard._load_publisher

        async def load_slowly(number):
            await may_load.wait()
            return await load(number)

        found.shard._load_publisher = load_slowly
        found.set_organizations(organization("acme"))
        await asyncio.sleep(0.01)
        reasons.append("cleanup.policy is compact")
        may_load.set()
        await wait_until(lambda: found.polling.unavailable_reasons == {"acme": "cleanup.policy is compact"})

        assert found.polling.polls["acme"] == 0
        assert found.publishers[0].discarded


async def test_a_shard_is_loaded_again_when_its_batches_are_larger_than_a_topic_accepts():
    """An operator has lowered a limit; the next producer makes smaller batches, and no transaction is refused."""
    timing = ShardTiming(open_check_seconds=0.01, reload_first_seconds=0.01)
    async with open_shard_harness(timing=timing) as found:
        found.set_organizations(organization("acme"))
        await wait_until(lambda: found.polling.polled)
        found.publishers[0].batches_too_large = True
        await wait_until(lambda: len(found.publishers) == 2 and found.polling.polled)

        assert found.publishers[0].discarded
        assert found.shard.ready
