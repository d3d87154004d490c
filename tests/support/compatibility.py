"""Whether data written with one schema can be read with another, by Apache Avro's own rules."""

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from schemas import Schema


def unreadable(writer: Schema, reader: Schema) -> list[str]:
    """Why the reader cannot read what the writer writes; empty: it can."""
    result = ReaderWriterCompatibilityChecker().get_compatibility(
        avro.schema.make_avsc_object(reader), avro.schema.make_avsc_object(writer)
    )
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    return sorted(result.messages) or [str(result.compatibility)]
