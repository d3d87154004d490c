"""Bodies of a replay: each names the job, so that a kind can give its rows names of their own."""

from dataclasses import replace

import pytest

from tests.support.delivery import FakeDestination, sender_fixture


class Remembering(FakeDestination):
    """Remembers the replay that each body names."""

    def __init__(self):
        super().__init__()
        self.replays = []

    async def send(self, body):
        self.replays.append(body.replay)
        return await super().send(body)


@pytest.mark.parametrize("replay", [None, "20261130-071500-ab12"])
async def test_each_body_of_a_flow_names_its_replay(replay):
    """The flow of a consumer group names none."""
    async with sender_fixture(Remembering()) as fixture:
        fixture.flow = replace(fixture.flow, replay=replay)
        sender = fixture.new_sender()
        sender.start(fixture.rows(2))
        assert await sender.wait_until_finished(5)
        assert fixture.destination.replays == [replay]
