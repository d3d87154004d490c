"""A body makes progress although one attempt is too short for all of it."""

import pytest

from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.object_store.destination import ObjectStoreDestination
from consumer.destinations.object_store.layout import flow_layouts
from consumer.destinations.outcome import Partial, Retry, Sent
from tests.support.metered_store import UNLIMITED, MeteredStore
from tests.support.object_stores import body, uids
from tests.support.parquet_objects import stored_uids


async def opened_on(store, timeout_seconds):
    config = ObjectStoreConfig(kind="object-store", location="s3://audit/jira")
    destination = ObjectStoreDestination(
        store, "lake", config, "live", flow_layouts(config)["live"], timeout_seconds
    )
    assert await destination.probe() == Sent()
    return destination


async def attempts(destination, store, offsets, *, most, **budget):
    """Send as the sender does, each attempt with this budget, until all rows are accepted. Return the outcomes before."""
    outcomes = []
    while offsets:
        for name, value in budget.items():
            setattr(store, name, value)
        outcome = await destination.send(body(destination, offsets))
        if outcome == Sent():
            break
        outcomes.append(outcome)
        assert len(outcomes) < most
        offsets = (
            [offsets[index] for index in sorted(outcome.retry)] if isinstance(outcome, Partial) else offsets
        )
    store.calls = store.rows = UNLIMITED
    return outcomes


async def test_a_body_over_many_small_objects_gets_on_at_each_attempt():
    """A quiet organization has an object a window; the group was reset, and reads them all at once."""
    store = MeteredStore()
    before = await opened_on(store, 20.0)
    for offset in range(30):
        assert await before.send(body(before, [offset])) == Sent()
    live = await opened_on(store, 20.0)
    outcomes = await attempts(live, store, range(40), calls=20, most=12)
    assert all(isinstance(each, Partial) and each.unprocessed for each in outcomes)
    assert stored_uids(store.objects) == uids(range(40))


async def test_a_slow_link_gets_one_object_through_at_each_attempt():
    """75 rows fit into the time, up or down; the body has 300."""
    store = MeteredStore()
    live = await opened_on(store, 20.0)
    outcomes = await attempts(live, store, range(300), rows=75, most=16)
    assert isinstance(outcomes[0], Retry)
    assert "within 20 s" in outcomes[0].reason
    assert stored_uids(store.objects) == uids(range(300))


@pytest.mark.parametrize("fault", [Retry("503 SlowDown", 503, 7.0), Retry("a lost connection")])
async def test_a_fault_keeps_what_was_found_before_it(fault):
    store = MeteredStore(fault=fault)
    before = await opened_on(store, 20.0)
    for offset in range(10):
        assert await before.send(body(before, [offset])) == Sent()
    live = await opened_on(store, 20.0)
    outcomes = await attempts(live, store, range(12), calls=7, most=12)
    assert [(each.reason, each.status, each.after, each.unprocessed) for each in outcomes] == [
        (fault.reason, fault.status, fault.after, False)
    ] * len(outcomes)
    assert stored_uids(store.objects) == uids(range(12))
