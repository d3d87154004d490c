import pytest

import schemas
from relay.avro.codec import SchemaId, frame, split_frame
from relay.config.schema_registry import SchemaRegistryConfig
from relay.schema_registry.client import RegistryTiming, open_schema_registry
from tests.support.hostile_server import hostile_server

AUDIT_EVENT = schemas.load("audit_event")


@pytest.mark.parametrize("seed", range(4))
async def test_no_answer_of_a_registry_raises_out_of_a_call(seed):
    """Each of hundreds of calls returns what was asked for, or a failure with a reason."""
    timing = RegistryTiming(total_seconds=5.0, step_seconds=1.0)
    async with (
        hostile_server(seed) as url,
        open_schema_registry(SchemaRegistryConfig(url=url), timing) as client,
    ):
        for _ in range(25):
            for answer in (
                await client.by_id(SchemaId(7)),
                await client.lookup("a-value", AUDIT_EVENT),
                await client.register("a-value", AUDIT_EVENT),
                await client.latest("a-value"),
                await client.check_compatibility("a-value", AUDIT_EVENT),
                await client.compatibility_level("a-value"),
                await client.set_full_transitive("a-value"),
            ):
                assert getattr(answer, "reason", "none") != ""
                if isinstance(answer, SchemaId):
                    assert split_frame(frame(answer)) == (answer, 5)
