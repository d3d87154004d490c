import pytest

from tests.support.shard_loading import open_shard_loader


@pytest.fixture
async def shard_loader(kafka, prefix, tmp_path):
    async with open_shard_loader(kafka, prefix, tmp_path) as opened:
        yield opened
