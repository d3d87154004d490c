"""Two kinds of destinations at one simulated Azure, as a sandbox runs them."""

import json

import aiohttp

from sandbox.destinations import sentinel_asim
from sandbox.destinations.catalogue import PEERS
from sandbox.destinations.contract import DeliveredRow
from tests.sandbox.test_destinations import EVENT
from tests.support.azure_client import IngestionSender

MARK = "[AdditionalFields was cut by jira-relay: 0 of 900 items]"


async def test_the_kinds_of_one_sandbox_have_one_identity_and_faults_of_their_own(tmp_path):
    """A consumer has the variables of one identity. A fault of one kind does not meet the other, and ends alone."""
    async with (
        PEERS["sentinel"](tmp_path / "sentinel") as one,
        PEERS["sentinel-asim"](tmp_path / "sentinel-asim") as other,
        aiohttp.ClientSession() as session,
    ):
        assert one.environment == other.environment
        assert one.settings["rule_id"] == other.settings["rule_id"]
        sender = IngestionSender(one._azure, session)
        azure = one._azure
        first, _ = other.refuse()
        one.refuse()
        other.clear_faults()
        row = {"EventOwner": "acme", "EventOriginalUid": "acme/7/1a2b"}
        assert (await sender.send([{"EventUid": "acme/7"}]))[0] == 403
        assert (await sender.send([row], stream=azure.asim_stream))[0] == 204
        (stored,) = other.rows(history=False)
        assert (first.played, stored) == (0, DeliveredRow("acme", 7, stored.row, history=False))
        assert one.rows(history=False) == other.rows(history=True) == []


async def test_sandboxes_have_an_azure_each(tmp_path):
    """A second sandbox in the process does not see the rows of the first."""
    async with (
        PEERS["sentinel"](tmp_path / "a/sentinel") as one,
        PEERS["sentinel"](tmp_path / "b/sentinel") as other,
    ):
        assert one.environment != other.environment


async def test_lost_values_are_those_of_the_kind(tmp_path):
    """A sandbox reports a value that Azure dropped to the kind whose row had it, once."""
    async with (
        PEERS["sentinel-asim"](tmp_path / "sentinel-asim") as one,
        PEERS["sentinel"](tmp_path / "sentinel") as other,
        aiohttp.ClientSession() as session,
    ):
        sender = IngestionSender(one._azure, session)
        row = {"EventOwner": "acme", "EventCount": "many", "Colour": "red"}
        await sender.send([row], stream=one._azure.asim_stream)
        assert len(list(one.losses())) == 2
        assert list(other.losses()) == []


def test_a_member_of_long_additional_fields_may_be_truncated():
    """The limit of a value holds for AdditionalFields as a whole; a member that is changed without a mark differs."""
    items = [{"id": str(number), "name": "x" * 60, "typeName": None} for number in range(900)]
    event = {**EVENT, "associatedItems": items, "description": "d" * 20_000}
    row = {name: value for name, value in sentinel_asim.asim_row(event).items() if value is not None}
    row["AdditionalFields.unmodeled"] = json.dumps(row["AdditionalFields.unmodeled"])
    row["AdditionalFields.associatedItems"] = [{"name": MARK}]
    found = sentinel_asim.compare_row(row, event)
    assert (found.differing, found.truncated) == ([], ["AdditionalFields.associatedItems"])
    row["AdditionalFields.description"] = "other"
    assert sentinel_asim.compare_row(row, event).differing == ["AdditionalFields.description"]
