"""The compatibility of two schemas by the rules of Apache Avro."""

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from schemas import Schema


def unreadable(writer: Schema, reader: Schema) -> list[str]:
    """Return the reasons why `reader` cannot read data of `writer`; empty if it can."""
    result = ReaderWriterCompatibilityChecker().get_compatibility(
        avro.schema.make_avsc_object(reader), avro.schema.make_avsc_object(writer)
    )
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    return sorted(result.messages) or [str(result.compatibility)]
