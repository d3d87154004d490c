"""Reading back a workspace: what an upload that was answered 204 has left there."""

import pytest

from consumer.destinations.read_back import AcceptedEvents, EventPlace, ReadBackError
from consumer.destinations.sentinel import SENTINEL
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.destinations.sentinel.read_back import day_query
from relay.errors import RelayError
from relay.timestamps import DAY_MS, day_start, to_iso
from simulators.azure.logs_query import AUDIENCE
from simulators.faults import reset, respond_with
from tests.support.azure_client import make_row, running_azure

DAY = day_start("2026-11-23")
PLACE = EventPlace("jira-audit.events", 0, 0, DAY)


def row(number, organization="acme", at=DAY + 1_000):
    return make_row(number) | {
        "EventUid": f"{organization}/{number}",
        "Organization": organization,
        "EventCreationTime": to_iso(at),
        "EventMode": "live",
    }


def accepted(*numbers, organization="acme"):
    return AcceptedEvents(
        organization, DAY, DAY + DAY_MS, {f"{organization}/{each}": PLACE for each in numbers}
    )


@pytest.fixture
async def world(monkeypatch):
    """A workspace with the rows 1 to 4 of a day, one of the day before, and one of another organization."""
    async with running_azure() as (azure, sender):
        for name, value in azure.environment("managed-identity").items():
            monkeypatch.setenv(name, value)
        rows = [*map(row, range(1, 4)), row(9, at=DAY - 1), row(5, "globex")]
        assert (await sender.send(rows))[0] == 204
        assert (await sender.send([row(4)], stream=azure.history_stream))[0] == 204
        azure.query.readers.add(azure.identity.managed_identity_client)
        yield azure


def settings(azure, **changes):
    values = {
        "kind": "sentinel",
        "endpoint": azure.endpoint,
        "rule_id": azure.rule_id,
        "read_back": True,
        "workspace_id": azure.query.workspace_id,
        "read_back_credential": "managed-identity",
        "query_endpoint": azure.endpoint,
    }
    return SentinelConfig(**(values | changes))


async def missing(azure, events, **changes):
    async with SENTINEL.read_back("sentinel", settings(azure, **changes)) as reader:
        return await reader.missing(events)


async def failure(azure, **changes):
    with pytest.raises(ReadBackError) as raised:
        await missing(azure, accepted(1), **changes)
    return str(raised.value)


async def test_rows_that_azure_lost_behind_a_204_are_named_and_no_others(world):
    """Rows of both tables count, of this organization and day alone."""
    assert await missing(world, accepted(1, 2, 3, 4)) == set()
    world.lose("acme/2")
    assert await missing(world, accepted(1, 2, 3, 4)) == {"acme/2"}
    assert await missing(world, accepted(9, organization="acme")) == {"acme/9"}
    assert await missing(world, accepted(5)) == {"acme/5"}


async def test_an_answer_that_is_not_whole_proves_no_loss(world):
    """A cut result, a table that queries do not know yet, no rights, another workspace, a limit: each is named with its remedy."""
    world.query.max_rows = 1
    assert "in part (200 -2133196797" in await failure(world)
    world.query.max_rows = 100
    world.query.created = {"Jira_Audit_v2_CL"}
    assert "no such table or column yet (400 SEM0100: 'union' operator" in await failure(world)
    world.query.created = None
    assert "no such table" in await failure(world, read_back_tables=("Jira_Audit_v3_CL",))
    assert "workspace_id" in await failure(world, workspace_id="00000000-0000-0000-0000-000000000000")
    world.query.readers.clear()
    assert "Log Analytics Reader" in await failure(world)
    world.query.readers.add(world.identity.managed_identity_client)
    for fault, text in (
        (respond_with(429), "does not answer now"),
        (reset(), "connection to the workspace failed"),
    ):
        scripted = world.query.faults.add(fault, times=1)
        assert text in await failure(world)
        scripted.cancel()


async def test_a_credential_without_a_token_is_named(world, monkeypatch):
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    assert "read_back_credential" in await failure(world)


async def test_a_token_goes_to_azure_or_this_machine_alone(world):
    """Another endpoint and a missing workspace are refused before any request."""
    with pytest.raises(RelayError, match="query_endpoint"):
        await missing(world, accepted(1), query_endpoint="https://logs.example.com")
    with pytest.raises(ValueError, match="workspace_id"):
        settings(world, workspace_id=None)
    assert AUDIENCE == "https://api.loganalytics.io"


def test_a_name_is_one_literal_of_the_query_whatever_it_holds():
    """A quotation mark ends no literal, and a letter outside of ASCII is written as itself."""
    query = day_query(("Jira_CL",), accepted(1, organization='a"|müller\\'))
    assert '| where Organization == "a\\"|müller\\\\"\n' in query
