"""A condition on events in SQL, as filters of destinations have it."""

from collections.abc import Sequence

from polars.exceptions import PanicException

from consumer.decoding.columns import decode
from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.formats.filter import FilterError, compile_filter
from management.events.feed import Select
from management.organizations.validation import InputError
from relay.errors import sentence
from relay.kafka import Record

_DEFECTS = (Exception, PanicException)


def compile_condition(where: str) -> Select:
    """Return how records that meet the condition are selected. Raises InputError for another text."""
    try:
        compiled = compile_filter(where, EVENT_COLUMNS)
    except FilterError as error:
        raise InputError(sentence(f"The condition of `where` {error}")) from error

    def select(records: Sequence[Record]) -> tuple[list[Record], int]:
        decoded = decode(records, {})
        try:
            chosen = compiled.mask(decoded.frame).fill_null(value=False)
        except _DEFECTS as error:
            raise InputError(
                f"The condition of `where` failed on an event: {type(error).__name__}."
            ) from error
        selected = [records[index] for index, wanted in zip(decoded.indices, chosen, strict=True) if wanted]
        return selected, len(decoded.undecodable)

    return select
