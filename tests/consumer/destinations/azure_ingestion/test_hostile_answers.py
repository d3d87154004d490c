import pytest

from consumer.destinations.azure_ingestion.client import IngestionClient
from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split
from simulators.azure.world import AzureWorld
from tests.support.hostile_server import hostile_server
from tests.support.ingestion_world import body, destination, row, set_credentials


@pytest.mark.parametrize("seed", range(4))
async def test_no_answer_of_azure_raises_out_of_send(seed, monkeypatch):
    """Each request of sixty ends in an outcome that names its cause, whatever status, headers and encoding come."""
    async with AzureWorld() as azure, hostile_server(seed) as url:
        set_credentials(azure, "managed-identity", monkeypatch)
        async with IngestionClient("sentinel", destination(azure, endpoint=url), 5.0) as client:
            for number in range(60):
                outcome = await client.send(azure.stream, body([row(number)]))
                assert isinstance(outcome, Sent | Retry | Split | Reject | Paused)
                assert isinstance(outcome, Sent) or outcome.reason
                assert not isinstance(outcome, Retry) or 0 <= (outcome.after or 0) <= 900
