import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from simulators.azure.rule import SilentLosses
from simulators.azure.world import HISTORY, LIVE, AzureWorld
from tests.support.azure_client import make_row, running_azure


async def test_waiting_ends_with_the_call_that_fulfils_the_condition():
    """`wait_until` checks its condition after each call, and raises TimeoutError in the end."""
    async with running_azure() as (azure, sender):
        waiting = asyncio.create_task(azure.wait_until(lambda: azure.accepted() == 2))
        await sender.send([make_row(1)])
        assert not waiting.done()
        await sender.send([make_row(2)])
        await waiting
        with pytest.raises(TimeoutError):
            await azure.wait_until(lambda: False, seconds=0.01)


async def test_dropped_rows_are_still_counted():
    """`keep_rows` drops the oldest rows, while the counts include them."""
    async with running_azure(keep_rows=2) as (azure, sender):
        await sender.send([make_row(number) for number in (1, 1, 2, 3)])
        assert [stored["EventId"] for stored in azure.rows()] == [2, 3]
        assert (azure.accepted(), azure.accepted(HISTORY)) == (4, 0)
        assert azure.duplicates() == {"acme/1": 2}


async def test_each_stream_fills_its_table():
    """Rows of a stream are in its table without a loss, and the rule sets TimeGenerated."""
    began = datetime.now(UTC)
    async with running_azure() as (azure, sender):
        await sender.send(
            [make_row(2**40, EventCreationTime="2025-05-01T01:36:46.173Z", AssociatedItems=[{}])]
        )
        await sender.send([make_row(1)], stream=azure.history_stream)
        (live,), (history,) = azure.rows(LIVE), azure.rows(HISTORY)
        assert (live["EventId"], history["EventId"]) == (2**40, 1)
        assert live["EventCreationTime"] == "2025-05-01T01:36:46.173Z"
        assert live["AssociatedItems"] == [{}]
        assert live["UserName"] is None
        stamped = datetime.fromisoformat(live["TimeGenerated"])
        second = timedelta(seconds=1)
        assert began - second <= stamped <= datetime.now(UTC) + second
        assert azure.losses == SilentLosses()


async def test_the_deployment_outputs_settings_of_the_relay():
    """The output `settings` has the lines of the relay's environment."""
    async with AzureWorld() as azure:
        assert azure.outputs()["settings"] == [
            f"RELAY_DESTINATIONS__SENTINEL__ENDPOINT={azure.endpoint}",
            f"RELAY_DESTINATIONS__SENTINEL__RULE_ID={azure.rule_id}",
        ]
