"""The rows of a chunk: decoded, selected, marked as a replay and encoded. A chunk whose schema is in doubt waits."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence

from consumer.decoding.event_rules import EventRules
from consumer.decoding.row_encoding import EncodedEvents, RowEncoder, SelectionError, Selector, encode
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.defects import DEFECTS, defect_text, describe_defect
from consumer.delivery.flow import DeliveryFlow
from consumer.formats.replay_mark import mark_replayed
from consumer.timing import ReplayTiming
from relay.avro.codec import SchemaRef
from relay.errors import one_line, sentence
from relay.kafka import Record


class ChunkEncoder:
    """Encodes the chunks of one job, each until it is encoded: no event is dropped for a schema, a condition or a defect."""

    def __init__(
        self,
        flow: DeliveryFlow,
        schemas: SchemaLookup,
        rules: EventRules,
        select: Selector | None,
        replay_id: str,
        on_wait: Callable[[str | None], Awaitable[None]],
        *,
        keep_mode: bool,
        timing: ReplayTiming | None = None,
    ) -> None:
        """`on_wait` is awaited with the reason for which a chunk waits, and with None when it goes on."""
        self._flow = flow
        self._schemas = schemas
        self._select = select
        self._encode_rows = _marking(rules.encoder(flow.destination.encode), replay_id, keep_mode=keep_mode)
        self._on_wait = on_wait
        self._timing = timing or ReplayTiming()

    async def encode(self, records: Sequence[Record]) -> EncodedEvents:
        """Return the rows of these records; those that it names as undecodable are at fault themselves."""
        doubted: Collection[SchemaRef] = ()
        attempt = 0
        while True:
            encoded, doubted, reason = await self._attempt(records, doubted)
            if encoded is not None:
                if attempt:
                    await self._on_wait(None)
                return encoded
            await self._on_wait(reason)
            curve = self._timing.schema if doubted else self._timing.defect
            await asyncio.sleep(curve.wait(attempt, random.random()))
            attempt += 1

    async def _attempt(
        self, records: Sequence[Record], doubted: Collection[SchemaRef]
    ) -> tuple[EncodedEvents | None, Collection[SchemaRef], str]:
        """Return the rows; or None, the schemas in doubt, and why the records wait."""
        try:
            found = await self._schemas.schemas_for(records, doubted)
            encoded = await self._flow.run_in_worker(
                encode, records, found.schemas, self._encode_rows, self._select
            )
        except SelectionError as error:
            defect = one_line(str(error))
            self._flow.metrics.delivery_failed("filter", defect)
            return None, (), _condition_text(defect)
        except DEFECTS as error:
            defect = describe_defect(error)
            self._flow.metrics.delivery_failed("encoding events", defect)
            return None, (), defect_text("encoding events", defect)
        doubtful = self._schemas.doubtful(encoded, found)
        if not doubtful:
            return encoded, (), ""
        refs = {each.ref for each in doubtful if each.ref is not None}
        return None, refs, _doubt_text(records[doubtful[0].index], doubtful[0].reason)


def _marking(encode_rows: RowEncoder, replay_id: str, *, keep_mode: bool) -> RowEncoder:
    """Return the encoder behind the mark of the replay, which the privacy rules see and the conditions do not."""
    return lambda events: encode_rows(mark_replayed(events, replay_id, keep_mode=keep_mode))


def _condition_text(defect: str) -> str:
    return (
        f"The condition of the replay, or the filter of the destination, fails on an event ({defect}). No event is skipped or sent"
        " for it: cancel the replay, and start one with another condition."
    )


def _doubt_text(record: Record, reason: str) -> str:
    place = f"{record.topic}/{record.partition}"
    return f"Events of {place} from offset {record.offset} on wait: {sentence(reason)} The look-up is repeated by itself."
