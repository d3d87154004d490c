"""Dead letters as JSON lines: everything that is known of each, in bounded memory."""

import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

from management.corrupt_letters import CorruptLetters
from management.decoding import RecordDecoder, open_decoder
from management.formatting import iso_milliseconds
from management.organizations.store import kafka_errors_as_relay_errors
from relay.config.schema_registry import SchemaRegistryConfig
from relay.dead_letters.assembly import WholeLetter
from relay.dead_letters.closings import LetterState
from relay.dead_letters.letter import DeadLetter
from relay.dead_letters.log import open_letter_log
from relay.dead_letters.selection import LetterSelection
from relay.kafka.connection import Connection


def letter_document(letter: DeadLetter, state: LetterState | None) -> dict[str, Any]:
    """Return a letter without its content, as every command prints it. `state` None: it is not looked up."""
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "at": iso_milliseconds(letter.at),
        "organization": letter.organization,
        "size": letter.size,
        **({} if state is None else {"state": state}),
        "headers": {f"relay.{name}": value for name, value in letter.headers.items()},
    }


async def export_letters(
    connection: Connection,
    selection: LetterSelection,
    registry: SchemaRegistryConfig,
    on_corrupt: Callable[[str], None],
) -> AsyncIterator[dict[str, Any]]:
    """Yield the document of each letter of the selection, in the order of the topic's partitions. Raises RelayError.

    `on_corrupt` takes a sentence for each batch that cannot be read, once; its letters are missing.

    `event`: the decoded event, or the record of another schema as `record`; a producer's letter has the record of the source as
    `text`. Other bytes are `base64`.
    """
    corrupt = CorruptLetters(on_corrupt)
    with kafka_errors_as_relay_errors(connection):
        async with (
            open_decoder(registry, connection) as decoder,
            open_letter_log(connection, selection.only_organization, corrupt.add) as log,
        ):
            async for whole, state in log.letters():
                if selection.keeps(whole.letter, state):
                    yield letter_document(whole.letter, state) | await _content(whole, decoder)


async def _content(whole: WholeLetter, decoder: RecordDecoder) -> dict[str, Any]:
    content, remark = whole.content()
    document: dict[str, Any] = {}
    if remark is None:
        decoded, remark = await decoder.decode(content)
        if decoded is not None:
            return {"event" if decoded.subject == "AuditEvent" else "record": decoded.record}
    if remark is not None:
        document["remark"] = remark
    if whole.letter.destination is None:
        try:
            return document | {"text": content.decode()}
        except UnicodeDecodeError:
            pass
    return document | {"base64": base64.b64encode(content).decode()}
