"""Schemas by their fingerprints."""

import schemas
from relay.avro.codec import Fingerprint, SchemaRef, fingerprint, read_schema
from schemas import Schema


def matching_schema(ref: Fingerprint, text: str | bytes) -> Schema | None:
    """Return the schema in a text. None if its fingerprint is another."""
    schema = read_schema(text)
    return schema if schema is not None and fingerprint(schema) == ref else None


def released_schemas() -> dict[SchemaRef, Schema]:
    """Return every version of every schema that this release has, by fingerprint."""
    versions = [
        schema
        for subject in schemas.SUBJECTS
        for schema in (*schemas.released(subject), schemas.load(subject))
    ]
    return {fingerprint(schema): schema for schema in versions}
