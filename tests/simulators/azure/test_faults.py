import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from simulators import faults
from simulators.azure import faults as azure_faults
from tests.support.azure_client import make_row, running_azure
from tests.support.waiting import wait_until


async def test_throttling_sends_every_form_of_retry_after():
    """A 429 has no Retry-After, seconds, a date or nonsense, each for one call."""
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=30)
    async with running_azure() as (azure, sender):
        for given in (None, 2, later, "soon"):
            azure.fault(azure_faults.throttled(given))
        found = []
        for _ in range(4):
            status, error, headers = await sender.send([make_row(1)])
            assert (status, error["code"]) == (429, "TooManyRequests")
            assert headers["x-ms-request-id"] == azure.calls[-1].request_id
            found.append(headers.get("Retry-After"))
        status, _error, headers = await sender.send([make_row(1)])
        assert (status, headers["x-ms-request-id"]) == (204, azure.calls[-1].request_id)
        assert [found[0], found[1], found[3]] == [None, "2", "soon"]
        assert found[2].endswith("GMT")
        assert parsedate_to_datetime(found[2]) == later


async def test_a_reset_can_follow_the_storing_of_the_rows():
    """With `after_processing` the rows are stored, so that a second sending makes duplicates."""
    async with running_azure() as (azure, sender):
        azure.fault(faults.reset())
        azure.fault(faults.reset(after_processing=True))
        for _ in range(2):
            with pytest.raises(aiohttp.ClientError):
                await sender.send([make_row(1)])
        assert [(call.status, call.stored) for call in azure.calls] == [(None, False), (None, True)]
        assert (await sender.send([make_row(1), make_row(2)]))[0] == 204
        assert azure.duplicates() == {"acme/1": 2}
        assert [arrival.number for arrival in azure.table().stored_rows] == [0, 1, 2]


async def test_a_hanging_call_is_listed_while_it_hangs():
    """`calls` has a call from its begin, and the world ends although a call hangs."""
    async with running_azure() as (azure, sender):
        azure.fault(faults.hang())
        sending = asyncio.create_task(sender.send([make_row(1)]))
        await wait_until(lambda: azure.calls)
        sending.cancel()
        await asyncio.wait({sending})
        assert [(call.status, call.fault) for call in azure.calls] == [(None, "hang")]


async def test_faults_follow_their_script():
    """A fault lasts for its number of calls or until it is cancelled, and `clear_faults` ends all."""
    async with running_azure() as (azure, sender):
        azure.fault(azure_faults.unavailable(500), times=2)
        azure.fault(azure_faults.gateway_page(), skip=1)
        statuses = [(await sender.send([make_row(1)]))[0] for _ in range(5)]
        assert statuses == [500, 500, 204, 502, 204]
        broken = azure.fault(azure_faults.broken_rule(), rate=1)
        assert [(await sender.send(rows))[0] for rows in ([make_row(1)], [])] == [400, 400]
        broken.cancel()
        assert (await sender.send([make_row(1)]))[0] == 204
        for fault in (azure_faults.unauthorized(), azure_faults.forbidden(), azure_faults.rule_not_found()):
            azure.fault(fault, rate=1)
            statuses.append((await sender.send([make_row(1)]))[0])
            azure.clear_faults()
        azure.fault(azure_faults.too_large(), only=lambda request: "History" in request.path)
        statuses.append((await sender.send([make_row(1)]))[0])
        statuses.append((await sender.send([make_row(1)], stream=azure.history_stream))[0])
        assert statuses[5:] == [401, 403, 404, 204, 413]


async def test_a_poison_row_fails_every_call_with_it():
    """A call with a row of this EventUid, or one that the predicate matches, is refused as a whole with 400."""
    async with running_azure() as (azure, sender):
        poison = azure.poison("acme/2")
        assert (await sender.send([make_row(1), make_row(2)]))[0] == 400
        assert (await sender.send([make_row(1)]))[0] == 204
        assert (await sender.send([make_row(2)]))[0] == 400
        assert poison.refused_calls == 2
        poison.cancel()
        azure.poison(lambda stored: stored["EventId"] > 10)
        assert (await sender.send([make_row(2)]))[0] == 204
        assert (await sender.send([make_row(11)]))[0] == 400
        assert [stored["EventId"] for stored in azure.rows()] == [1, 2]
