"""A console without a Kafka."""

import pytest

from management.settings import load
from tests.support.console import open_console
from tests.support.settings import SENTINEL


@pytest.fixture
async def console():
    async with open_console() as world:
        yield world


@pytest.fixture
async def console_with_sentinel():
    """A console without a Kafka, whose settings have the destination `sentinel`; a person is signed in."""
    async with open_console(destinations=load(environ=SENTINEL).destinations) as world:
        await world.sign_in()
        world.show()
        yield world
