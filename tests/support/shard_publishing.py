"""Publishing to a real Kafka as a shard does it: the publisher is loaded anew after each failure."""

import random
import string
from collections.abc import Sequence
from typing import Any

from producer.events import Event, UnreadableRecord
from producer.publishing.publisher import ShardClosedError
from producer.publishing.transaction_outcomes import TransactionOutcomes
from producer.recovery.loader import ShardLoader
from producer.state.checkpoint import new_checkpoint
from tests.support.shard_loading import NOW, pending_records, records, unchanged

_CHARACTERS = string.digits + string.ascii_letters + "+/"


async def publish_all(
    loader: ShardLoader,
    outcomes: TransactionOutcomes,
    events: Sequence[Event],
    unreadable: Sequence[UnreadableRecord] = (),
    attempts: int = 20,
) -> list[str]:
    """Publish as a shard does: load anew after each failure. Return the reasons of the failures."""
    failures = []
    for _ in range(attempts):
        publisher = await loader.load(0, outcomes)
        try:
            if publisher.checkpoint("acme") is None:
                await publisher.write_checkpoint(
                    "acme", lambda _: new_checkpoint("acme", NOW - 5_000, now=NOW)
                )
            pending = pending_records(events)
            pending.unreadable.extend(unreadable)
            await publisher.publish("acme", pending, unchanged, persist=False)
        except ShardClosedError as error:
            failures.append(str(error))
        else:
            return failures
        finally:
            await publisher.discard()
    raise AssertionError(f"not published: {failures[-1]}")


def large_records(count: int, characters: int, first: int = 1) -> list[dict[str, Any]]:
    """Return events that hardly compress."""
    made = records("acme", *range(first, first + count))
    rng = random.Random(1)
    return [{**one, "description": "".join(rng.choices(_CHARACTERS, k=characters))} for one in made]
