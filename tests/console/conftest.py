"""A console without a Kafka."""

import pytest

from tests.support.console import open_console


@pytest.fixture
async def console():
    async with open_console() as world:
        yield world
